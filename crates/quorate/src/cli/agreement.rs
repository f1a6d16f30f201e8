//! What people made of decisions that they were asked about: by policy and rule, and by the agents that had spoken.

use std::collections::BTreeMap;

use quorate::{Answer, Role, Rule, Run, TaskStatus, TaskView};
use serde::Deserialize;
use serde_json::{Value, json};

use super::screen::{Screen, Table};

/// How often people were asked, and agreed.
#[derive(Clone, Copy, Default)]
struct Count {
    decided: usize,
    asked: usize,
    answered: usize,
    agreed: usize,
}

impl Count {
    fn add(&mut self, asked: bool, answer: Option<bool>) {
        self.decided += 1;
        self.asked += usize::from(asked);
        self.answered += usize::from(answer.is_some());
        self.agreed += usize::from(answer == Some(true));
    }

    fn told(self) -> [String; 5] {
        let share = match self.answered {
            0 => "-".to_owned(),
            answered => format!("{} %", (self.agreed * 100 + answered / 2) / answered),
        };
        [self.decided, self.asked, self.answered, self.agreed]
            .map(|count| count.to_string())
            .into_iter()
            .chain([share])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_default()
    }

    fn json(self) -> Value {
        let Count { decided, asked, answered, agreed } = self;
        json!({ "decided": decided, "asked": asked, "answered": answered, "agreed": agreed })
    }
}

/// Decisions of many runs.
#[derive(Default)]
pub(crate) struct Agreement {
    /// By policy, action, and what led to it.
    rules: BTreeMap<(String, String, String), Count>,
    agents: BTreeMap<String, Count>,
}

/// What an approval returns.
#[derive(Deserialize)]
struct Settled {
    choice: String,
    /// Nobody else returns these.
    #[serde(rename = "answers")]
    _answers: Vec<Answer>,
}

impl Agreement {
    /// Adds a run of a policy, if it decided.
    pub(crate) fn add(&mut self, policy: &str, run: &Run) {
        let Some(decision) = run.decision() else { return };
        let reviews = || run.tasks().filter(|task| task.role() == Role::Review && task.status() != TaskStatus::Waiting);
        let settled =
            |task: TaskView<'_>| (task.status() == TaskStatus::Succeeded).then(|| task.output()?.decode::<Settled>().ok()).flatten();
        let answer = reviews().find_map(settled).map(|settled| run.proposes(&settled.choice));
        // Who rejects it does not agree.
        let answer = answer.or_else(|| reviews().any(|task| task.status() == TaskStatus::Failed).then_some(false));
        let asked = reviews().next().is_some();
        let rule = match &decision.rule {
            Rule::Followed { task, .. } => format!("{} says so", task.id()),
            rule => rule.checkpoint().map_or_else(|| rule.to_string(), str::to_owned),
        };
        self.rules.entry((policy.to_owned(), decision.action.to_string(), rule)).or_default().add(asked, answer);
        let mut heard: Vec<String> = decision.contributors.iter().map(|heard| heard.agent.to_string()).collect();
        heard.sort_unstable();
        heard.dedup();
        for agent in heard {
            self.agents.entry(agent).or_default().add(asked, answer);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn json(&self) -> Value {
        let with = |more: Value, count: Count| {
            let mut whole = count.json();
            if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), more) {
                whole.extend(more);
            }
            whole
        };
        let rules = self
            .rules
            .iter()
            .map(|((policy, action, rule), count)| with(json!({ "policy": policy, "action": action, "rule": rule }), *count));
        let agents = self.agents.iter().map(|(agent, count)| with(json!({ "agent": agent }), *count));
        json!({ "schema": "quorate.policy-agreement/1", "rules": rules.collect::<Vec<_>>(), "agents": agents.collect::<Vec<_>>() })
    }

    pub(crate) fn show(&self, screen: &Screen) {
        let mut rules = Table::new(&["POLICY", "DECISION", "BY", "DECIDED", "ASKED", "ANSWERED", "AGREED", "SHARE"]);
        for ((policy, action, rule), count) in &self.rules {
            let [decided, asked, answered, agreed, share] = count.told();
            rules.row([policy, action, rule, &decided, &asked, &answered, &agreed, &share].map(|cell| cell.as_str().into()));
        }
        rules.show(screen);
        screen.out("");
        let mut agents = Table::new(&["AGENT", "HEARD", "ASKED", "ANSWERED", "AGREED", "SHARE"]);
        for (agent, count) in &self.agents {
            let [decided, asked, answered, agreed, share] = count.told();
            agents.row([agent, &decided, &asked, &answered, &agreed, &share].map(|cell| cell.as_str().into()));
        }
        agents.show(screen);
    }
}
