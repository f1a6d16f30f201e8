//! Random policies, as somebody would write them: every shape, in every combination that is sound.

use std::fmt::Write as _;
use std::sync::Arc;

use quorate_core::{Draft, Plan};
use quorate_project::{Classifier, Mode, Project, Source};

use crate::Chance;
use crate::plans::AGENTS;

/// What an agent of the simulation may return, as far as policies may count on it.
const OUTPUT: &str = "{ 'ok?': bool, 'score?': number, 'confidence?': confidence, 'action?': text, 'vote?': text, 'stop_workflow?': bool }";
/// Conditions over it, and over the profile and the input.
const CONDITIONS: [&str; 8] = [
    "ok",
    "score > 5",
    "ok and confidence > 0.5",
    "not ok or score < 3",
    "always",
    "confidence > 0.5 and size == 'LARGE'",
    "default(score, 0) >= 4",
    "flag",
];
const ACTIONS: [&str; 4] = ["AUTO_RESOLVE", "HIL_REVIEW", "ESCALATE", "REJECTED"];

/// The plan of a random policy, and its draft, and how work for it is classified.
pub(crate) fn random(chance: &mut Chance) -> (Draft, Arc<Plan>, Classifier) {
    loop {
        let text = policy(chance);
        let mut agents = String::from("agents:\n");
        for name in names() {
            writeln!(agents, "  {name}: {{ use: sim, output: {OUTPUT} }}").expect("a String takes any text");
        }
        let files = vec![
            Source::new("quorate.yaml", "name: sim\n"),
            Source::new("agents/agents.yaml", &agents),
            Source::new("policies/policies.yaml", &text),
        ];
        let checked = Project::read(files, &["sim"]);
        let sequential = chance.percent(20);
        if !checked.is_sound() {
            continue;
        }
        let mode = if sequential { Mode::Sequential } else { Mode::Dynamic };
        let Project { policies, classifier, .. } = checked.project;
        let Ok(policies) = policies.in_mode(mode) else { continue };
        if let Some(plan) = policies.plan_of("default") {
            return (plan.draft(), plan.clone(), classifier);
        }
    }
}

/// Each agent of the simulation, under several names.
fn names() -> impl Iterator<Item = String> {
    (0..7).map(|number| format!("{}_{number}", AGENTS[number % AGENTS.len()].0))
}

fn policy(chance: &mut Chance) -> String {
    let all: Vec<String> = names().collect();
    let count = 1 + chance.below(6);
    let agents = &all[..count];
    let mut text = String::from(
        "input: { flag: bool, items: [number] }
classify: { size: [{ when: length(input.items) > 2, then: LARGE }, { then: SMALL }] }
policies:
  default:
",
    );
    let mut line = |indent: usize, what: &str| {
        text.push_str(&" ".repeat(indent));
        text.push_str(what);
        text.push('\n');
    };
    match chance.below(4) {
        0 => {
            line(4, "routing:");
            line(6, "agents:");
            for (position, agent) in agents.iter().enumerate() {
                let before: Vec<String> = (0..position).filter(|_| chance.percent(50)).map(|other| format!("N{other}")).collect();
                let when = if chance.percent(25) { ", when: flag" } else { "" };
                let optional = if chance.percent(25) { ", optional: true" } else { "" };
                line(8, &format!("- {{ id: N{position}, name: {agent}, depends_on: [{}]{when}{optional} }}", before.join(", ")));
            }
        }
        1 => {
            let first = 1 + chance.below(count);
            line(4, "routing:");
            line(6, &format!("phase_1: [{}]", agents[..first].join(", ")));
            line(6, &format!("decision_checkpoint_1: {{ condition: {}, action: {} }}", chance.pick(&CONDITIONS), chance.pick(&ACTIONS)));
            if first < count {
                line(6, "phase_2_conditional:");
                line(8, &format!("trigger: {}", chance.pick(&CONDITIONS)));
                line(8, &format!("additional_agents: [{}]", agents[first..].join(", ")));
            }
        }
        2 => {
            line(4, "stages:");
            for agent in agents {
                let stop = if chance.percent(60) {
                    format!(", stop_when: {}, action: {}", chance.pick(&CONDITIONS), chance.pick(&ACTIONS))
                } else {
                    String::new()
                };
                line(6, &format!("- {{ agent: {agent}{stop} }}"));
            }
        }
        _ => {
            let must = 1 + chance.below(count);
            line(4, &format!("mandatory_agents: [{}]", agents[..must].join(", ")));
            if must < count {
                line(4, &format!("optional_agents: [{}]", agents[must..].join(", ")));
            }
            let cut = chance.below(count);
            if chance.percent(60) {
                line(4, &format!("parallel_groups: [[{}], [{}]]", agents[..cut].join(", "), agents[cut..].join(", ")));
            }
        }
    }
    checkpoints(chance, agents, &mut line);
    for (field, percent) in [("otherwise", 20), ("on_unknown", 10), ("on_failure", 20)] {
        if chance.percent(percent) {
            // What is not known, or failed, is never resolved by itself: such a policy is not sound.
            line(4, &format!("{field}: {}", chance.pick(&ACTIONS)));
        }
    }
    if chance.percent(25) {
        line(4, &format!("max_parallel: {}", 1 + chance.below(3)));
    }
    if chance.percent(20) {
        line(4, "early_exit_enabled: false");
    }
    if chance.percent(30) {
        line(4, &format!("finally: [{}]", all[6]));
    }
    text
}

fn checkpoints(chance: &mut Chance, agents: &[String], line: &mut dyn FnMut(usize, &str)) {
    let count = chance.below(4);
    if count == 0 {
        return;
    }
    line(4, "decision_checkpoints:");
    for _ in 0..count {
        let after = chance.pick(agents).clone();
        let condition = chance.pick(&CONDITIONS);
        match chance.below(6) {
            0 => line(
                6,
                &format!(
                    "- {{ after: {after}, condition: {condition}, action: FOLLOW_DECISION, reason: 'says {{{{ default({after}.vote, 1) }}}}' }}"
                ),
            ),
            1 => {
                let by = *chance.pick(&["majority", "unanimity", "first", "best", "weighted"]);
                let of: Vec<String> = agents.iter().filter(|_| chance.percent(70)).cloned().collect();
                let rows = if by == "weighted" {
                    ", actions: [{ when: score > 0.5, then: AUTO_RESOLVE }, { then: ESCALATE }]"
                } else {
                    ", choices: [HOLD]"
                };
                line(
                    6,
                    &format!(
                        "- {{ condition: {}, voices: {{ by: {by}, of: [{}]{rows} }} }}",
                        chance.pick(&["always", "flag"]),
                        of.join(", ")
                    ),
                );
            }
            2 => line(
                6,
                &format!(
                    "- {{ after: {after}, condition: {condition}, action: {}, with: {{ score: '{{{{ {after}.score }}}}' }} }}",
                    chance.pick(&ACTIONS)
                ),
            ),
            _ => line(6, &format!("- {{ after: {after}, condition: {condition}, action: {} }}", chance.pick(&ACTIONS))),
        }
    }
}
