//! A run in a few words: what people and programs are told about it.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::{
    Asker, Conclusion, Decision, Entry, Event, Grower, Limit, Role, Run, RunStatus, TaskStatus, TaskView, Timestamp, Usage, Work,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::modes::Comparison;
use crate::pick::Pick;

/// The version of what [`Summary`] looks like.
pub const RUN_SCHEMA: &str = "quorate.run/1";

/// A run, as it is told.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    /// [`RUN_SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub run_id: String,
    /// What was started.
    pub target: &'a str,
    /// How it stands.
    pub status: RunStatus,
    /// What it returned, once it has ended well.
    pub output: Option<Box<RawValue>>,
    /// Why that cannot be put together, though it has ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_error: Option<String>,
    /// What it decided.
    pub decision: Option<&'a Decision>,
    /// Its tasks, in the order of the plan, then as they grew.
    pub tasks: Vec<TaskSummary<'a>>,
    /// The stages in which tasks ran; tasks of one stage stand side by side.
    pub execution_path: String,
    /// Tasks of the plan that an agent worked on, however often; of a policy, the agents that worked.
    pub agents_invoked: usize,
    /// Tasks that the plan has for agents.
    pub agents_planned: usize,
    /// How many agents its project has, where it follows a policy, which takes some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents_known: Option<usize>,
    /// What its agents say that they used, as far as they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<&'a Usage>,
    /// What it may use, with what people added to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Limit>,
    /// Tasks that ran beside others in their stage.
    pub parallel_steps: usize,
    /// From its first entry to its last.
    pub duration_ms: u64,
    /// Its last entry.
    pub seq: u64,
    /// Where all agents ran one after another: what its policy would have made of their answers, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<&'a Comparison>,
}

/// A task, as it is told.
#[derive(Debug, Serialize)]
pub struct TaskSummary<'a> {
    /// Its name.
    pub id: &'a str,
    /// How it stands.
    pub status: TaskStatus,
    /// Who did it.
    pub agent: Option<&'a str>,
    /// In which version.
    pub agent_version: Option<&'a str>,
    /// How many attempts have started.
    pub attempts: u32,
    /// When the first of them started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// From the one to the other.
    pub duration_ms: Option<u64>,
    /// Why it did not succeed.
    pub cause: Option<String>,
    /// What added it to the run, where the plan did not have it at the start.
    pub grown_by: Option<String>,
}

/// What a run returned, where it ended well.
fn output(run: &Run) -> Option<Result<Box<RawValue>, String>> {
    let output = (run.status() == RunStatus::Succeeded).then(|| run.output())?;
    let raw = output
        .map_err(|failure| failure.message)
        .and_then(|output| RawValue::from_string(output.json().to_owned()).map_err(|wrong| wrong.to_string()));
    Some(raw)
}

/// A moment as people read it, in UTC.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.split('.').next().unwrap_or(&text).replace('T', " ")
}

/// Milliseconds from one point in time to another.
#[must_use]
pub fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to.micros() - from.micros()) / 1_000).unwrap_or(0)
}

impl<'a> Summary<'a> {
    /// What is told of a run and its journal.
    #[must_use]
    pub fn of(run: &'a Run, entries: &'a [Entry]) -> Summary<'a> {
        let growers = growers(entries);
        let tasks: Vec<TaskSummary<'a>> =
            run.tasks().filter(|task| is_told(*task)).map(|task| TaskSummary::of(task, growers.get(task.id()).cloned())).collect();
        let (returned, output_error) = match output(run) {
            Some(Ok(output)) => (Some(output), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let (before, after) = stages(run);
        let shown = |stage: &Vec<&str>| if stage.len() == 1 { stage[0].to_owned() } else { format!("[{}]", stage.join(" || ")) };
        let decided = run.decision().map(|_| "Decision".to_owned());
        let path: Vec<String> = before.iter().map(shown).chain(decided).chain(after.iter().map(shown)).collect();
        let pick = run.begun().and_then(|start| start.route.as_ref()?.decode::<Pick>().ok());
        Summary {
            schema: RUN_SCHEMA,
            run_id: run.id().to_string(),
            target: run.plan().name(),
            status: run.status(),
            output: returned,
            output_error,
            decision: run.decision().map(|decision| &**decision),
            execution_path: path.join(" -> "),
            agents_invoked: run
                .tasks()
                .filter_map(|task| task.agent().map(|agent| if pick.is_some() { &*agent.id } else { task.plan_id() }))
                .collect::<BTreeSet<_>>()
                .len(),
            agents_planned: run.plan().agent_tasks(),
            agents_known: pick.map(|pick| pick.agents),
            usage: run.used(),
            budget: run.budget(),
            parallel_steps: before.iter().chain(&after).filter(|stage| stage.len() > 1).map(Vec::len).sum(),
            duration_ms: entries.first().zip(entries.last()).map_or(0, |(first, last)| millis_between(first.at, last.at)),
            seq: run.seq(),
            comparison: None,
            tasks,
        }
    }
}

impl<'a> TaskSummary<'a> {
    fn of(task: TaskView<'a>, grown_by: Option<String>) -> TaskSummary<'a> {
        TaskSummary {
            id: task.id(),
            status: task.status(),
            agent: task.agent().map(|agent| &*agent.id),
            agent_version: task.agent().map(|agent| &*agent.version),
            attempts: task.attempts(),
            started_at: task.started(),
            ended_at: task.ended(),
            duration_ms: task.started().zip(task.ended()).map(|(started, ended)| millis_between(started, ended)),
            cause: task.cause().map(ToString::to_string),
            grown_by,
        }
    }
}

/// Tasks that nothing brought in are not told of: they are possibilities of the plan.
fn is_told(task: TaskView<'_>) -> bool {
    match task.role() {
        Role::Main | Role::Finally => true,
        Role::Catalogue | Role::Review | Role::Compensation => task.status() != TaskStatus::Waiting || task.grown(),
    }
}

fn growers(entries: &[Entry]) -> BTreeMap<&str, String> {
    let mut growers = BTreeMap::new();
    for entry in entries {
        match &entry.event {
            Event::Grew { by, tasks } => {
                let by = match by {
                    Grower::Checkpoint { id, .. } => format!("checkpoint {id}"),
                    Grower::Task(task) => format!("task {}", task.id()),
                    Grower::Decision(action) => format!("decision {action}"),
                    Grower::Budget(_) => "the budget".to_owned(),
                };
                growers.extend(tasks.iter().map(|task| (&**task, by.clone())));
            }
            _ => continue,
        }
    }
    growers
}

/// Tasks that were worked on side by side, as far as the plan says.
type Stages<'a> = Vec<Vec<&'a str>>;

/// The tasks that were worked on, by how far down the plan they lie; where they ran one at a time, by when they began. Those
/// that lead to the decision, or the end, and those that come after it.
fn stages(run: &Run) -> (Stages<'_>, Stages<'_>) {
    let began = |task: &TaskView<'_>| task.attempts() > 0 || task.started().is_some();
    let worked: Vec<TaskView<'_>> = run.tasks().filter(|task| began(task) && task.id() == task.plan_id()).collect();
    let leads = |task: &TaskView<'_>| matches!(task.role(), Role::Main | Role::Catalogue);
    let (before, after): (Vec<TaskView<'_>>, Vec<TaskView<'_>>) = worked.into_iter().partition(leads);
    let after = one_by_one(after);
    if run.plan().max_parallel() == Some(1) {
        return (one_by_one(before), after);
    }
    let counts: BTreeSet<&str> = before.iter().map(|task| task.id()).collect();
    let plan: BTreeMap<&str, Vec<&str>> = run.plan().tasks().map(|(id, deps)| (id, deps.collect())).collect();
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for task in run.plan().in_order() {
        let deps = plan.get(task).map(Vec::as_slice).unwrap_or_default();
        let above = deps.iter().filter_map(|dep| depths.get(dep)).max().copied().unwrap_or(0);
        depths.insert(task, above + usize::from(counts.contains(task)));
    }
    let deepest = depths.values().max().copied().unwrap_or(0);
    let mut stages: Stages<'_> = vec![Vec::new(); deepest];
    for task in before {
        stages[depths.get(task.id()).copied().unwrap_or(1).max(1) - 1].push(task.id());
    }
    stages.retain(|stage| !stage.is_empty());
    (stages, after)
}

/// Each by itself, by when it began.
fn one_by_one(mut tasks: Vec<TaskView<'_>>) -> Stages<'_> {
    tasks.sort_by_key(|task| task.started());
    tasks.into_iter().map(|task| vec![task.id()]).collect()
}

/// Where a run stands and why, in one sentence that begins with the run.
#[must_use]
pub fn standing(run: &Run) -> String {
    standing_with(run, &|_| None)
}

/// The same, by somebody who knows which limit keeps an agent from being called.
#[must_use]
pub fn standing_with(run: &Run, limit: &dyn Fn(Asker<'_>) -> Option<String>) -> String {
    match run.status() {
        RunStatus::Succeeded => match (run.decision(), run.output()) {
            (Some(decision), _) => format!("has ended: the decision is {}", decision.action),
            (None, Ok(_)) => "has ended well".to_owned(),
            (None, Err(failure)) => format!("has ended, but what it returns cannot be put together: {}", failure.message),
        },
        RunStatus::Failed | RunStatus::TimedOut | RunStatus::Cancelled => ending(run),
        RunStatus::Running | RunStatus::Waiting | RunStatus::Compensating => {
            let waits = waits(run, limit);
            let all = if waits.is_empty() { "nothing that has a name".to_owned() } else { waits.join("; ") };
            let undoing = if run.status() == RunStatus::Compensating { "undoes what was done, and waits for" } else { "waits for" };
            format!("{undoing} {all}")
        }
    }
}

/// How a run came to its end.
fn ending(run: &Run) -> String {
    let failed: Vec<String> = run
        .tasks()
        .filter(|task| matches!(task.status(), TaskStatus::Failed | TaskStatus::TimedOut))
        .filter_map(|task| Some(format!("{} {} ({})", task.id(), words(task.status()), task.cause()?)))
        .collect();
    let why = if failed.is_empty() { String::new() } else { format!(": {}", failed.join("; ")) };
    match (run.conclusion(), run.status()) {
        (Some(Conclusion::Stalled(tasks)), _) => {
            let names: Vec<&str> = tasks.iter().map(quorate_core::TaskRef::id).collect();
            format!("failed: nothing was under way, and {} could never start", names.join(", "))
        }
        (_, RunStatus::Cancelled) => "was cancelled".to_owned(),
        (_, RunStatus::TimedOut) => "ran out of time".to_owned(),
        _ => format!("failed{why}"),
    }
}

fn words(status: TaskStatus) -> &'static str {
    if status == TaskStatus::TimedOut { "timed out" } else { "failed" }
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}

/// What a run waits for, one by one.
fn waits(run: &Run, limit: &dyn Fn(Asker<'_>) -> Option<String>) -> Vec<String> {
    const SHOWN: usize = 5;
    let busy = run.tasks().filter(|task| task.status() == TaskStatus::Running).count();
    let full = run.plan().max_parallel().filter(|most| busy >= *most as usize);
    // Where the run itself would let one start, somebody else is at a limit.
    let full = full.or_else(|| run.plan().max_parallel().filter(|_| run.next_ready().is_none()));
    let place = |asker| match full {
        Some(most) => format!("{most} at a time is the most that the workflow allows"),
        None => limit(asker).unwrap_or_else(|| "its agent, or the engine, is at its limit".to_owned()),
    };
    // Tasks that wait for the same are told together, where the first of them is.
    let mut standing: Vec<(String, Vec<String>)> = Vec::new();
    for work in run.outstanding() {
        if let Work::Dispatch { task, asker } = work {
            let why = place(asker);
            match standing.iter_mut().find(|(known, _)| *known == why) {
                Some((_, tasks)) => tasks.push(task.id().to_owned()),
                None => standing.push((why, vec![task.id().to_owned()])),
            }
        }
    }
    let mut waits: Vec<String> = run
        .outstanding()
        .filter_map(|work| match work {
            // What it cannot afford waits for the answer to that question, which is told below.
            Work::Dispatch { .. } if run.asks_for_more() => None,
            Work::Dispatch { task, .. } => {
                let (why, tasks) = standing.iter().find(|(_, tasks)| tasks[0] == task.id())?;
                Some(format!("a free place for {} ({why})", some(tasks)))
            }
            Work::Await { task, child: Some(child), .. } => Some(format!("{}, which is run {}", task.id(), child.short())),
            Work::Await { task, attempt: 1, .. } => Some(format!("{}, which is under way", task.id())),
            Work::Await { task, attempt, .. } => Some(format!("{}, which is under way in attempt {attempt}", task.id())),
            Work::Ask { task, question } => {
                // Those who are asked later have time of their own.
                let deadline = run.task(task.id()).and_then(TaskView::due).or(question.deadline);
                let until = deadline.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
                Some(format!("an answer to {} (“{}”){until}", task.id(), question.text))
            }
            Work::Listen { task, signal } => Some(format!("the signal `{signal}`, for {}", task.id())),
            Work::WakeAt(_) => None,
        })
        .collect();
    for task in run.tasks() {
        match (task.status(), task.due()) {
            (TaskStatus::Retrying, Some(until)) => {
                let why = task.setback().map(|failure| format!(", after {failure}")).unwrap_or_default();
                waits.push(format!("attempt {} of {}, due at {}{why}", task.attempts() + 1, task.id(), moment(until)));
            }
            (TaskStatus::Sleeping, Some(until)) => waits.push(format!("{}, for {}", moment(until), task.id())),
            _ => {}
        }
    }
    if waits.len() > SHOWN {
        let more = waits.len() - SHOWN;
        waits.truncate(SHOWN);
        waits.push(format!("{more} more"));
    }
    waits
}
