//! Entries, as people and programs read them.

use quorate::project::explanation_in;
use quorate::{Entry, Event, Grower, Heard, Payload, RunId, Said, TaskRef, Verdict};
use serde_json::{Value, json};

use super::screen::{lasting, one_line};

/// The version of what [`json`] looks like.
const SCHEMA: &str = "quorate.event/1";

/// The version of an agent that says of none.
const FIRST: &str = "1";

/// What happened, in a line, with all that is on record about why.
pub(crate) fn whole_line(event: &Event) -> Option<String> {
    match event {
        Event::TaskStarted { choice: Some(choice), .. } => line(event).map(|line| format!("{line}, {choice}")),
        Event::TaskSucceeded { output, said, .. } => {
            let explained = explanation_in(output).map(|said| format!(": {said}")).unwrap_or_default();
            let beside = said.as_ref().map(|said| beside(said)).unwrap_or_default();
            line(event).map(|line| format!("{line}{beside}{explained}"))
        }
        _ => line(event),
    }
}

/// What happened, in a line; the beginning is told by whoever shows it.
pub(crate) fn line(event: &Event) -> Option<String> {
    let said = match event {
        Event::RunStarted(_) | Event::TaskAdmitted { .. } | Event::RetryDue { .. } | Event::Gathered { .. } => return None,
        // An agent of one version, after which its task is called, needs no other name.
        Event::TaskStarted { task, attempt: 1, agent, .. } if task.id() == &*agent.id && &*agent.version == FIRST => {
            format!("{} started", task.id())
        }
        Event::TaskStarted { task, attempt: 1, agent, .. } => format!("{} started: {agent}", task.id()),
        Event::TaskStarted { task, attempt, agent, .. } => {
            format!("{} started again: {agent}, attempt {attempt}", task.id())
        }
        Event::ChildStarted { task, run, .. } => format!("{} started as run {run}", task.id()),
        Event::TaskSucceeded { task, .. } => format!("{} succeeded", task.id()),
        Event::AttemptFailed { task, attempt, failure, retry_at: Some(at), .. } => {
            format!("{} failed in attempt {attempt}: {failure}; tried again at {at}", task.id())
        }
        Event::AttemptFailed { task, attempt, failure, elsewhere: true, .. } => {
            format!("{} failed in attempt {attempt}: {failure}; it goes to another agent", task.id())
        }
        Event::TurnedAway { task, failure, retry_at } => {
            format!("{} could not be taken by anybody: {failure}; tried again at {retry_at}", task.id())
        }
        Event::AttemptFailed { task, failure, .. } => format!("{} failed: {failure}", task.id()),
        Event::AttemptInterrupted { task, attempt } => format!("{} was interrupted in attempt {attempt}", task.id()),
        Event::OutcomeUnknown { task, failure, .. } => {
            format!("{}: nobody knows whether it took effect ({failure}); a person is asked", task.id())
        }
        Event::TaskFailed { task, cause } => format!("{} failed: {cause}", task.id()),
        Event::TaskSkipped { task, cause } => format!("{} is skipped: {cause}", task.id()),
        Event::JoinLate { task } => format!("{} goes on without what is late", task.id()),
        Event::RaceWon { task, losers } => format!("{} has enough; cancelled: {}", task.id(), names(losers)),
        Event::Mapped { task, .. } => format!("{} runs for each item", task.id()),
        Event::Repeated { task, iteration, .. } => format!("{} repeats its section, time {iteration}", task.id()),
        Event::RepeatEnded { task, iterations, exhausted, .. } => {
            format!("{} is through after {iterations}{}", task.id(), if *exhausted { ", the most allowed" } else { "" })
        }
        Event::Asked { task, question } => format!("{} asks: {}", task.id(), question.text),
        Event::Escalated { task, level, .. } => format!("{} asks the next ones, level {}", task.id(), level + 1),
        Event::Delegated { task, from, to, .. } => format!("{}: {from} handed it on to {to}", task.id()),
        Event::Answered { task, answer, verdict } => {
            let note = if answer.note.is_empty() { String::new() } else { format!(" ({})", answer.note) };
            let more = if *verdict == Verdict::Counted { "; more have to agree" } else { "" };
            format!("{}: {} answered {}{note}{more}", task.id(), answer.by, answer.choice)
        }
        Event::Slept { task, until: Some(until) } => format!("{} waits until {until}", task.id()),
        Event::Slept { task, until: None } => format!("{} waits for its signal", task.id()),
        Event::Woken { task, .. } => format!("{} goes on", task.id()),
        Event::SignalReceived(signal) => format!("signal {} came in", signal.name),
        Event::Grew { by, tasks } => {
            let by = match by {
                Grower::Checkpoint { id, .. } => format!("checkpoint {id}"),
                Grower::Task(task) => task.id().to_owned(),
                Grower::Decision(action) => format!("the decision {action}"),
                Grower::Budget(exceeded) => format!("the budget ({exceeded}, for {})", exceeded.task.id()),
            };
            format!("{by} added {}", tasks.iter().map(|task| &**task).collect::<Vec<_>>().join(", "))
        }
        Event::BudgetLow { used, limit } => format!("{used} of {limit} are used"),
        Event::GrowthRefused { task, asked } => format!("{} may not add {}", task.id(), asked.join(", ")),
        Event::Decided(decision) => {
            let confidence = decision.confidence.map(|confidence| format!(" with confidence {confidence}")).unwrap_or_default();
            format!("decided: {}{confidence}", decision.action)
        }
        Event::CancelRequested { by, reason, .. } => format!("{by} cancels the run: {reason}"),
        Event::Concluded(_) => return None,
        Event::RunEnded { status, .. } => format!("run {status}"),
    };
    Some(said)
}

fn names(tasks: &[TaskRef]) -> String {
    tasks.iter().map(TaskRef::id).collect::<Vec<_>>().join(", ")
}

/// What an agent says while it works: told as it comes, and kept nowhere.
pub(crate) fn said(run: RunId, heard: &Heard) -> String {
    let Heard { task, attempt, from, text } = heard;
    let (run, kind) = (run.to_string(), "agent_said");
    json!({ "schema": SCHEMA, "type": kind, "run_id": run, "step": task, "attempt": attempt, "from": from, "text": text }).to_string()
}

/// What an agent said besides its output.
fn beside(said: &Said) -> String {
    let mut told = String::new();
    if let Some(usage) = &said.usage {
        told.push_str(&format!(", with {usage}"));
    }
    for tool in &said.tools {
        let became = if tool.failed { "failed:" } else { "gave" };
        let took = lasting(tool.took.0);
        told.push_str(&format!("; {}({}) {became} {} in {took}", tool.name, one_line(&tool.asked), one_line(&tool.answered)));
    }
    told
}

/// An entry for programs. `type` is the name under which others know such events.
pub(crate) fn json(run: RunId, entry: &Entry) -> String {
    let mut event = serde_json::to_value(&entry.event).unwrap_or_default();
    let name = entry.event.name();
    // The journal has the event under its name.
    let body = match event.get_mut(name) {
        Some(body) => body.take(),
        None => Value::Null,
    };
    let body = without_envelopes(body);
    let step = body.get("task").and_then(|task| task.get("id").or(Some(task))).filter(|task| task.is_string()).cloned();
    let mut object =
        json!({ "schema": SCHEMA, "type": type_of(&entry.event), "run_id": run.to_string(), "seq": entry.seq, "at": entry.at });
    if let (Some(object), Some(step)) = (object.as_object_mut(), step) {
        object.insert("step".to_owned(), step);
    }
    if let Some(object) = object.as_object_mut() {
        object.insert("event".to_owned(), name.into());
        object.insert("data".to_owned(), body);
    }
    object.to_string()
}

/// The value as everybody knows it.
pub(crate) fn plain(payload: &Payload) -> Value {
    payload.decode().unwrap_or_default()
}

/// The journal keeps values in an envelope, since long ones are kept apart. Whoever is not the journal gets the value.
fn without_envelopes(value: Value) -> Value {
    const KEPT: [&str; 8] = ["route", "input", "output", "profile", "session", "evidence", "payload", "items"];
    let Value::Object(fields) = value else { return value };
    let open = |(name, value): (String, Value)| match value {
        Value::Object(mut envelope) if KEPT.contains(&name.as_str()) && envelope.len() == 1 && envelope.contains_key("value") => {
            let inside = envelope.remove("value").unwrap_or_default();
            (name, inside)
        }
        // Questions and answers are one level down.
        other => (name, without_envelopes(other)),
    };
    Value::Object(fields.into_iter().map(open).collect())
}

fn type_of(event: &Event) -> &'static str {
    match event {
        Event::RunStarted(_) => "workflow_started",
        Event::RunEnded { .. } => "workflow_completed",
        Event::TaskStarted { .. } | Event::ChildStarted { .. } => "step_started",
        Event::TaskSucceeded { .. } => "step_completed",
        Event::AttemptFailed { retry_at: Some(_), .. } | Event::AttemptFailed { elsewhere: true, .. } | Event::TurnedAway { .. } => {
            "step_retrying"
        }
        Event::AttemptFailed { .. } | Event::TaskFailed { .. } => "step_failed",
        Event::TaskSkipped { .. } => "step_skipped",
        Event::Asked { .. } => "approval_requested",
        Event::Answered { .. } => "approval_answered",
        other => other.name(),
    }
}
