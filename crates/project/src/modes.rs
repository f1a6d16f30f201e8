//! How work is done: as its policy says, by all agents one after another, or both beside each other.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use quorate_core::draft::{JoinDraft, Needs, TaskDraft, ThenDraft, WorkDraft};
use quorate_core::{AUTO_RESOLVE, Decision, Entry, Plan, Problem, Role, Run, Usage, answers, concluded, rehearse};
use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// How work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As its policy says: what is needed, side by side where that can be.
    #[default]
    Dynamic,
    /// All agents, one after another; the policy only decides.
    Sequential,
    /// As [`Mode::Sequential`], and what [`Mode::Dynamic`] would have made of the same answers beside it.
    Compare,
}

impl Mode {
    pub(crate) fn named(word: &str) -> Mode {
        match word.to_ascii_lowercase().as_str() {
            "sequential" => Mode::Sequential,
            "compare" => Mode::Compare,
            _ => Mode::Dynamic,
        }
    }

    /// Whether it is the usual one.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        *self == Mode::Dynamic
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Dynamic => "dynamic",
            Mode::Sequential => "sequential",
            Mode::Compare => "compare",
        })
    }
}

/// The plan of a policy by which all agents run, one after another, in this order, and the same checkpoints decide. `order`: a task
/// for each agent, which is taken where the policy has none.
///
/// # Errors
/// Where that is no plan.
pub(crate) fn sequential(policy: &Plan, order: &[TaskDraft]) -> Result<Plan, Vec<Problem>> {
    let mut draft = policy.draft();
    draft.name = sequential_name(&draft.name);
    // All of them, and then it is decided.
    (draft.one_at_a_time, draft.decide_last, draft.max_parallel) = (true, true, None);
    // What would be added is there from the start.
    draft.checkpoints.retain(|checkpoint| !matches!(checkpoint.then, ThenDraft::Grow(_)));
    let (mut members, others): (Vec<TaskDraft>, Vec<TaskDraft>) = draft.tasks.drain(..).partition(is_member);
    let known: BTreeSet<String> = members.iter().chain(&others).filter_map(agent_of).map(str::to_owned).collect();
    let extra = order.iter().filter(|task| agent_of(task).is_some_and(|agent| !known.contains(agent)));
    let free = |task: &&TaskDraft| others.iter().all(|other| other.id != task.id);
    members.extend(extra.filter(free).map(|task| TaskDraft { optional: true, ..task.clone() }));
    let place = |task: &TaskDraft| order.iter().position(|known| agent_of(known) == agent_of(task)).unwrap_or(order.len());
    members.sort_by_key(place);
    let mut placed: Vec<TaskDraft> = Vec::with_capacity(members.len());
    while !members.is_empty() {
        // The first in order whose own dependencies have come.
        let has_come = |task: &&TaskDraft| task.depends_on.iter().all(|dep| !members.iter().any(|other| other.id == *dep));
        let next = members.iter().position(|task| has_come(&task)).unwrap_or(0);
        let mut task = members.remove(next);
        let added = task.depends_on.is_empty() && !known.contains(agent_of(&task).unwrap_or_default());
        if added {
            // What the policy does not ask for gets all that was found out before it.
            task.depends_on = placed.iter().map(|earlier| earlier.id.clone()).collect();
        }
        task.optional |= task.role == Role::Catalogue;
        (task.role, task.when, task.skip_when, task.may_grow) = (Role::Main, None, None, Vec::new());
        task.join = (!task.depends_on.is_empty()).then(|| JoinDraft { needs: Needs::Settled, ..JoinDraft::default() });
        placed.push(task);
    }
    draft.tasks = placed.into_iter().chain(others).collect();
    Plan::compile(&draft)
}

/// How runs of a policy are called whose agents ran one after another.
#[must_use]
pub fn sequential_name(policy: &str) -> String {
    format!("{policy} (sequential)")
}

fn is_member(task: &TaskDraft) -> bool {
    matches!(task.role, Role::Main | Role::Catalogue) && matches!(task.work, WorkDraft::Agent { .. })
}

/// Who is asked: of an agent of which there are several, by its name as a capability.
fn agent_of(task: &TaskDraft) -> Option<&str> {
    match &task.work {
        WorkDraft::Agent { id: Some(id), .. } => Some(id),
        WorkDraft::Agent { id: None, capabilities } => capabilities.first().map(String::as_str),
        WorkDraft::Approval(_) | WorkDraft::Wait(_) | WorkDraft::Workflow { .. } => None,
    }
}

/// What the two ways made of the same work and the same answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// All agents, one after another: as it was.
    pub sequential: Side,
    /// As the policy says: as it would have been, with the same answers.
    pub dynamic: Side,
    /// Whether both decided the same.
    pub agree: bool,
    /// By how much of the time the second one is quicker: 0.67 for two thirds.
    pub saved: f64,
    /// Tasks of the second one whose agents were not asked in the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Arc<str>>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// What was decided; nothing where it never came to that.
    pub action: Option<String>,
    /// How sure that was.
    pub confidence: Option<quorate_expr::Decimal>,
    /// How many agents were asked.
    pub agents: usize,
    /// Until all had ended that led to the decision, in microseconds.
    pub micros: i64,
    /// Which agents, in which stages.
    pub execution_path: String,
    /// What they used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Side {
    fn of(run: &Run, entries: &[Entry]) -> Side {
        let summary = Summary::of(run, entries);
        let from = entries.first().map(|entry| entry.at);
        let micros = from.zip(concluded(entries)).map_or(0, |(from, to)| to.micros() - from.micros());
        let decision: Option<&Decision> = run.decision().map(|decision| &**decision);
        Side {
            action: decision.map(|decision| decision.action.clone()),
            confidence: decision.and_then(|decision| decision.confidence),
            agents: summary.agents_invoked,
            micros,
            execution_path: summary.execution_path,
            usage: run.used().cloned(),
        }
    }
}

impl Comparison {
    /// Compares a run of all agents with what the plan of its policy would have made of the same answers.
    #[must_use]
    pub fn of(run: &Run, entries: &[Entry], policy: &Arc<Plan>) -> Option<Comparison> {
        let (start, first) = (run.begun()?, entries.first()?);
        concluded(entries)?;
        let rehearsal = rehearse(policy, run.id(), first.at, start.clone(), &answers(entries));
        let sequential = Side::of(run, entries);
        let dynamic = Side::of(&rehearsal.run, &rehearsal.entries);
        #[expect(clippy::cast_precision_loss, reason = "times of runs are far below the limit")]
        let saved = if sequential.micros > 0 { 1.0 - dynamic.micros as f64 / sequential.micros as f64 } else { 0.0 };
        let agree = sequential.action == dynamic.action;
        Some(Comparison { sequential, dynamic, agree, saved, unanswered: rehearsal.unanswered })
    }

    /// Whether one of them would resolve by itself what the other one would not.
    #[must_use]
    pub fn differs_on_resolving(&self) -> bool {
        let resolves = |side: &Side| side.action.as_deref() == Some(AUTO_RESOLVE);
        resolves(&self.sequential) != resolves(&self.dynamic)
    }
}
