//! Work that comes in: classified, given a policy, and made into an order. Start at [`Host::intake`].

use std::sync::Arc;

use quorate_core::{Entry, Payload, Plan, Problem, Run};
use quorate_project::{Classifier, Comparison, Mode, Pick, Policies, Project};
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

    /// The same, by which work is done in this mode.
    ///
    /// # Errors
    /// A policy whose agents cannot run one after another, and why.
    pub fn in_mode(self, mode: Mode) -> Result<Intake, (String, Vec<Problem>)> {
        Ok(Intake { policies: self.policies.in_mode(mode)?, ..self })
    }

    /// How work is done.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.policies.mode
    }

    /// What the policy of a run would have made of the answers of its agents, where all of them ran one after another; with its name.
    #[must_use]
    pub fn compare(&self, run: &Run, entries: &[Entry]) -> Option<(String, Comparison)> {
        let pick = run.begun()?.route.as_ref()?.decode::<Pick>().ok().filter(|pick| !pick.mode.is_dynamic())?;
        let name = pick.policy?;
        let comparison = Comparison::of(run, entries, &self.policies.list.get(&name)?.plan)?;
        Some((name, comparison))
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

    /// The plan of what was picked.
    #[must_use]
    pub fn plan_of(&self, pick: &Pick) -> Option<&Arc<Plan>> {
        self.policies.plan(pick)
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
