//! Work that comes in: classified, given a policy, and made into an order. Start at [`Host::intake`].

use std::sync::Arc;

use quorate_core::Payload;
use quorate_project::{Classifier, Pick, Policies, Project};
use quorate_runtime::Order;

use crate::host::Host;

/// What is found out about work that comes in, and which policy it gets.
#[derive(Clone, Debug)]
pub struct Intake {
    classifier: Classifier,
    policies: Policies,
}

impl Host {
    /// How work comes in, where the project has policies.
    #[must_use]
    pub fn intake(&self) -> Option<Intake> {
        Intake::of(self.project())
    }
}

impl Intake {
    /// How work comes in to a project, where it has policies.
    #[must_use]
    pub fn of(project: &Project) -> Option<Intake> {
        (!project.policies.is_empty()).then(|| Intake { classifier: project.classifier.clone(), policies: project.policies.clone() })
    }

    /// What comes in looks like this.
    #[must_use]
    pub fn input(&self) -> &quorate_expr::Type {
        &self.classifier.input
    }

    /// What is found out about a piece of work, as a profile, and which policy it gets.
    #[must_use]
    pub fn look(&self, input: &Payload) -> (Payload, Pick) {
        let classified = self.classifier.classify(input);
        let pick = self.policies.pick(input, &classified);
        (classified.profile, pick)
    }

    /// What is run for a piece of work: its policy's plan, or where there is none for it the question to people. Why, goes on record.
    #[must_use]
    pub fn order(&self, input: Payload, by: &Arc<str>) -> Order {
        let (profile, pick) = self.look(&input);
        let plan = self.policies.plan(&pick).cloned().expect("a project with policies has a plan for whatever is picked");
        // What is on record of a pick is short: names and reasons.
        Order { profile: Some(profile), by: by.clone(), route: Payload::of(&pick).ok(), ..Order::new(plan, input) }
    }
}
