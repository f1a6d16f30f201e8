//! Why a run decided as it did: a pure function of its entries, told in the same words every time.

use std::collections::BTreeMap;

use quorate_core::draft::{TaskDraft, ThenDraft, WorkDraft};
use quorate_core::{Decision, Draft, Entry, Event, Flip, Grower, Look, NotTaken, Operand, Outcome, Role, Run, TaskStatus, TaskView};
use serde::Serialize;

use crate::pick::Pick;

/// The version of what an [`Explanation`] looks like.
pub const EXPLANATION_SCHEMA: &str = "quorate.explanation/1";

/// Why a run decided as it did.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// [`EXPLANATION_SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub run_id: String,
    /// What was found out about the work, and which policy it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
    /// Every agent of the plan, and why it ran or did not.
    pub agents: Vec<AgentWhy>,
    /// What was decided, on what, and what was not; nothing where it is not decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What would have had to be otherwise for another decision.
    pub nearest: Vec<Flip>,
}

/// Why an agent ran, or did not.
#[derive(Debug, Serialize)]
pub struct AgentWhy {
    /// Its task.
    pub task: String,
    /// The agent, or what it had to be able to do.
    pub agent: String,
    /// How the task stands; nothing where the run never came to it.
    pub status: Option<TaskStatus>,
    /// Why.
    pub why: String,
}

impl Explanation {
    /// Explains a run from its journal.
    #[must_use]
    pub fn of(run: &Run, entries: &[Entry]) -> Explanation {
        let draft = run.plan().draft();
        let decision = run.decision().map(|decision| &**decision);
        let (told, views) = (Told::of(entries), run.tasks().map(|view| (view.id(), view)).collect::<BTreeMap<_, _>>());
        let calls = draft.tasks.iter().filter_map(|task| Some((task, asked(task)?)));
        let agents = calls.map(|(task, agent)| {
            let view = views.get(task.id.as_str()).copied();
            let why = match view {
                Some(view) if !never_came(view) => reason(view, &told),
                _ => not_added(&draft, task, decision),
            };
            let status = view.filter(|view| !never_came(*view)).map(TaskView::status);
            AgentWhy { task: task.id.clone(), agent, status, why }
        });
        Explanation {
            schema: EXPLANATION_SCHEMA,
            run_id: run.id().to_string(),
            pick: run.begun().and_then(|start| start.route.as_ref()?.decode::<Pick>().ok()),
            agents: agents.collect(),
            decision: decision.cloned(),
            nearest: Run::nearest(run.id(), run.plan(), entries),
        }
    }

    /// The same as text, line by line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(pick) = &self.pick {
            lines.push("Which policy:".to_owned());
            lines.extend(pick_lines(pick).into_iter().map(|line| format!("  {line}")));
            lines.push(String::new());
        }
        if !self.agents.is_empty() {
            lines.push("Which agents:".to_owned());
            lines.extend(self.agents.iter().map(|agent| format!("  {}: {}", agent.name(), agent.why)));
            lines.push(String::new());
        }
        match &self.decision {
            Some(decision) => lines.extend(decision_lines(decision, &self.nearest)),
            None => lines.push("Nothing is decided yet.".to_owned()),
        }
        lines
    }
}

impl AgentWhy {
    fn name(&self) -> String {
        if self.task == self.agent { self.task.clone() } else { format!("{} ({})", self.task, self.agent) }
    }
}

/// What was found out, and which policy was picked, a line each.
#[must_use]
pub fn pick_lines(pick: &Pick) -> Vec<String> {
    let fields = pick.fields.iter().map(ToString::to_string);
    fields.chain(pick.passed.iter().cloned()).chain([pick.to_string()]).collect()
}

/// A decision, everything that was looked at for it, why nothing else was taken, and how near that was.
#[must_use]
pub fn decision_lines(decision: &Decision, nearest: &[Flip]) -> Vec<String> {
    let confidence = decision.confidence.map(|confidence| format!(", with a confidence of {confidence}")).unwrap_or_default();
    let mut lines = vec![format!("The decision is {}{confidence}: {}.", decision.action, decision.rule)];
    if let Some(reason) = &decision.reason {
        lines.push(format!("  because {reason}"));
    }
    if let Some(with) = &decision.with {
        lines.push(format!("  with {}", with.json()));
    }
    for voice in decision.council.iter().flat_map(|council| &council.voices) {
        lines.push(format!("  {voice}"));
    }
    lines.extend(decision.looks.iter().map(look_line));
    lines.extend(decision.not_taken.iter().map(|NotTaken { action, why }| format!("  not {action}: {why}")));
    if !nearest.is_empty() {
        lines.push("What would have been enough for another one:".to_owned());
        lines.extend(nearest.iter().map(|flip| format!("  {}", flip_line(flip))));
    }
    lines
}

fn look_line(look: &Look) -> String {
    let outcome = match look.outcome {
        Outcome::Holds => "holds",
        Outcome::Fails => "does not hold",
        Outcome::Unknown => "is unknown",
    };
    let operands: Vec<String> = look.operands.iter().map(ToString::to_string).collect();
    let operands = if operands.is_empty() { String::new() } else { format!(": {}", operands.join(", ")) };
    format!("  {} `{}` {outcome}{operands}", look.checkpoint, look.condition)
}

/// A way to another decision.
#[must_use]
pub fn flip_line(flip: &Flip) -> String {
    let needs: Vec<String> = flip.needs.iter().map(ToString::to_string).collect();
    let what = flip.action.as_ref().map_or_else(|| "it would have gone on".to_owned(), Clone::clone);
    format!("{what}: {} ({})", needs.join(" and "), flip.checkpoint)
}

/// Who is asked for a task, where that is an agent.
fn asked(task: &TaskDraft) -> Option<String> {
    match &task.work {
        WorkDraft::Agent { id, capabilities } => Some(id.clone().unwrap_or_else(|| capabilities.join("+"))),
        WorkDraft::Approval(_) | WorkDraft::Wait(_) | WorkDraft::Workflow { .. } => None,
    }
}

/// Whether a task is only a possibility of its plan.
fn never_came(task: TaskView<'_>) -> bool {
    !matches!(task.role(), Role::Main | Role::Finally) && task.status() == TaskStatus::Waiting && !task.grown()
}

/// What the journal says of why tasks may run, by task.
#[derive(Default)]
struct Told<'e> {
    admitted: BTreeMap<&'e str, &'e [Operand]>,
    grown: BTreeMap<&'e str, &'e Grower>,
}

impl<'e> Told<'e> {
    fn of(entries: &'e [Entry]) -> Told<'e> {
        let mut told = Told::default();
        for entry in entries {
            match &entry.event {
                Event::TaskAdmitted { task, operands } if !operands.is_empty() => drop(told.admitted.insert(task.id(), operands)),
                Event::Grew { by, tasks } => told.grown.extend(tasks.iter().map(|task| (&**task, by))),
                _ => {}
            }
        }
        told
    }
}

fn seen(operands: &[Operand]) -> String {
    operands.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn reason(task: TaskView<'_>, told: &Told<'_>) -> String {
    let admitted = told.admitted.get(task.id()).map(|operands| seen(operands));
    let because = admitted.map(|seen| format!(", as {seen}")).unwrap_or_default();
    let grown = if task.grown() { format!(", added{}", added_by(told.grown.get(task.id()).copied())) } else { String::new() };
    match (task.status(), task.cause()) {
        (TaskStatus::Succeeded, _) => format!("ran{grown}{because}"),
        (TaskStatus::Failed | TaskStatus::TimedOut, Some(cause)) => format!("failed: {cause}"),
        (TaskStatus::Skipped, Some(cause)) => format!("did not run: {cause}"),
        (TaskStatus::Cancelled, Some(cause)) => format!("was cancelled: {cause}"),
        (TaskStatus::Waiting, _) => "waits for those before it".to_owned(),
        (TaskStatus::Ready, _) => "may run, and waits for a place".to_owned(),
        (status, _) => format!("is {status}"),
    }
}

/// What added a task, and what it saw.
fn added_by(grower: Option<&Grower>) -> String {
    match grower {
        Some(Grower::Checkpoint { id, operands }) if operands.is_empty() => format!(" by {id}"),
        Some(Grower::Checkpoint { id, operands }) => format!(" by {id}, as {}", seen(operands)),
        Some(Grower::Task(by)) => format!(" by {}", by.id()),
        Some(Grower::Decision(_) | Grower::Budget(_)) | None => String::new(),
    }
}

/// Why a task that may be added was not.
fn not_added(draft: &Draft, task: &TaskDraft, decision: Option<&Decision>) -> String {
    let adds = |then: &ThenDraft| matches!(then, ThenDraft::Grow(tasks) if tasks.contains(&task.id));
    let Some(adding) = draft.checkpoints.iter().find(|checkpoint| adds(&checkpoint.then)) else {
        return "was not asked for".to_owned();
    };
    let look = decision.and_then(|decision| decision.looks.iter().find(|look| *look.checkpoint == *adding.id));
    match (look, decision) {
        (_, None) => format!("is added where {} holds", adding.id),
        (Some(look), Some(_)) if look.outcome == Outcome::Holds => "was not needed any more: it was decided before".to_owned(),
        (Some(look), Some(_)) => format!("was not needed:{}", look_line(look).trim_start_matches(' ').replacen(&*adding.id, "", 1)),
        (None, Some(_)) => "was not needed: it was decided before".to_owned(),
    }
}
