//! The agents that there are.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use quorate_core::Asker;

use crate::Agent;

/// Knows the agents, and finds those that a task may ask for.
#[derive(Debug, Default)]
pub struct Registry {
    agents: RwLock<BTreeMap<Arc<str>, Arc<Agent>>>,
}

/// No agent can do a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no agent {asked}; there {}", self.shown())]
pub struct NoCandidate {
    asked: String,
    there: Vec<String>,
}

impl NoCandidate {
    fn shown(&self) -> String {
        const SHOWN: usize = 12;
        match self.there.len() {
            0 => "is none at all".to_owned(),
            1..=SHOWN => format!("is {}", self.there.join(", ")),
            count => format!("is {} and {} more", self.there[..SHOWN].join(", "), count - SHOWN),
        }
    }
}

impl Registry {
    /// A registry without agents.
    #[must_use]
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds an agent. One of the same name is replaced; calls under way go on with the one they started with.
    pub fn register(&self, agent: Agent) {
        let id = agent.identity.id.clone();
        self.agents.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id, Arc::new(agent));
    }

    /// Takes an agent away, and says whether it was there.
    pub fn unregister(&self, id: &str) -> bool {
        self.agents.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id).is_some()
    }

    /// The agent that a task may ask for: the one it names, or of those that have all it asks for the one with
    /// the highest priority, then the first by name.
    ///
    /// # Errors
    /// [`NoCandidate`] with what was asked for, and what there is.
    pub fn find(&self, asker: &Asker<'_>) -> Result<Arc<Agent>, NoCandidate> {
        let agents = self.agents.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = match asker {
            Asker::Agent(id) => agents.get(*id),
            Asker::Capabilities(wanted) => {
                let able = agents.values().filter(|agent| wanted.iter().all(|one| agent.capabilities.contains(one)));
                // Of those that are equal the first by name.
                able.rev().max_by_key(|agent| agent.priority)
            }
            Asker::Workflow(_) => None,
        };
        found.cloned().ok_or_else(|| {
            let asked = match asker {
                Asker::Agent(id) => format!("is called `{id}`"),
                Asker::Capabilities(wanted) => format!("can do {}", wanted.join(", ")),
                Asker::Workflow(plan) => format!("runs the workflow {plan}"),
            };
            let shown = |agent: &Arc<Agent>| match agent.capabilities.is_empty() {
                true => agent.identity.id.to_string(),
                false => format!("{} ({})", agent.identity.id, agent.capabilities.join(", ")),
            };
            NoCandidate { asked, there: agents.values().map(shown).collect() }
        })
    }
}
