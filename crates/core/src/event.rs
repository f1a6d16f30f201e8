//! What a journal records: facts in the past tense, and the causes behind them.

use std::fmt;
use std::sync::Arc;

use quorate_expr::{Decimal, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::budget::{Exceeded, Limit};
use crate::choice::Choice;
use crate::decision::Decision;
use crate::{Digest, Millis, Payload, RunId, Timestamp};

/// One fact in the journal of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the run, counted from 1 without gaps.
    pub seq: u64,
    /// When it happened; never earlier than the entry before it.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A task of a run, by its place and its name. Written as its name alone.
#[derive(Clone)]
pub struct TaskRef {
    pub(crate) ix: u32,
    pub(crate) id: Arc<str>,
}

impl TaskRef {
    /// The place of a task that was read by name and not yet looked up.
    pub(crate) const UNRESOLVED: u32 = u32::MAX;

    /// Its place among the tasks of its run.
    #[must_use]
    pub fn position(&self) -> u32 {
        self.ix
    }

    /// The name of the task.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl PartialEq for TaskRef {
    fn eq(&self, other: &TaskRef) -> bool {
        self.id == other.id
    }
}

impl Serialize for TaskRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id)
    }
}

impl<'de> Deserialize<'de> for TaskRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TaskRef, D::Error> {
        Ok(TaskRef { ix: TaskRef::UNRESOLVED, id: Arc::deserialize(deserializer)? })
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run began. Always the first entry.
    RunStarted(Box<Start>),
    /// The condition of a task was read and lets it run.
    TaskAdmitted {
        /// The task.
        task: TaskRef,
        /// What the condition saw.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operands: Vec<Operand>,
    },
    /// An attempt was given to an agent.
    TaskStarted {
        /// The task.
        task: TaskRef,
        /// Counted from 1.
        attempt: u32,
        /// Who does it.
        agent: Arc<AgentRef>,
        /// When the attempt times out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
        /// Why this agent was chosen, where there was a choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        choice: Option<Box<Choice>>,
        /// What is set aside for it, where the run has a budget.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserved: Option<Box<Usage>>,
    },
    /// An attempt was given to a run of its own.
    ChildStarted {
        /// The task.
        task: TaskRef,
        /// Counted from 1.
        attempt: u32,
        /// The run.
        run: RunId,
        /// When the attempt times out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// An attempt succeeded, and with it the task.
    TaskSucceeded {
        /// The task.
        task: TaskRef,
        /// The attempt.
        attempt: u32,
        /// What it returned, unchanged.
        output: Payload,
        /// What else the agent said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Box<Said>>,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The task.
        task: TaskRef,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: Box<Failure>,
        /// When the next attempt is due. Where nothing says that there is another one, the task has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
        /// Whether the task goes to another agent at once, which does not count as a retry.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        elsewhere: bool,
    },
    /// No agent could take the task for the time being, and none was called. It counts as a failure all the same.
    TurnedAway {
        /// The task.
        task: TaskRef,
        /// Why.
        failure: Box<Failure>,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// The wait before the next attempt is over.
    RetryDue {
        /// The task.
        task: TaskRef,
    },
    /// The engine stopped while an attempt was under way, and the attempt with it.
    AttemptInterrupted {
        /// The task.
        task: TaskRef,
        /// The attempt.
        attempt: u32,
    },
    /// Nobody knows whether an attempt that must not be made twice took effect. A person is asked.
    OutcomeUnknown {
        /// The task.
        task: TaskRef,
        /// The attempt.
        attempt: u32,
        /// Why it is not known.
        failure: Box<Failure>,
    },
    /// A task ended without success and without an attempt that failed.
    TaskFailed {
        /// The task.
        task: TaskRef,
        /// Why.
        cause: Box<Cause>,
    },
    /// A task will not run.
    TaskSkipped {
        /// The task.
        task: TaskRef,
        /// Why.
        cause: Box<Cause>,
    },
    /// The dependencies of a task were late, and it goes on without them.
    JoinLate {
        /// The task.
        task: TaskRef,
    },
    /// A join had enough, and dependencies that had not ended were cancelled.
    RaceWon {
        /// The task whose join it is.
        task: TaskRef,
        /// The dependencies.
        losers: Vec<TaskRef>,
    },
    /// A list was found, and the task runs for each of its items.
    Mapped {
        /// The task.
        task: TaskRef,
        /// The list.
        items: Payload,
    },
    /// All items of a task have ended.
    Gathered {
        /// The task.
        task: TaskRef,
    },
    /// A section of the plan runs again.
    Repeated {
        /// The task that ends the section.
        task: TaskRef,
        /// Which time it is, counted from 1.
        iteration: u32,
        /// What the condition saw.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operands: Vec<Operand>,
    },
    /// A section of the plan does not run again.
    RepeatEnded {
        /// The task that ends the section.
        task: TaskRef,
        /// How often it ran.
        iterations: u32,
        /// Whether it ended because it had run as often as it may.
        exhausted: bool,
        /// What the condition saw.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operands: Vec<Operand>,
        /// Whether a value was missing on which the condition depends.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unknown: bool,
    },
    /// People were asked.
    Asked {
        /// The task.
        task: TaskRef,
        /// The question.
        question: Box<Question>,
    },
    /// The first ones who were asked let their time pass; the next ones are asked.
    Escalated {
        /// The task.
        task: TaskRef,
        /// Who is asked now, by position.
        level: u32,
        /// How long they have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// Somebody handed a question on.
    Delegated {
        /// The task.
        task: TaskRef,
        /// Who.
        from: Arc<str>,
        /// To whom.
        to: Arc<str>,
        /// Their note.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// The levels at which they were asked; they are not asked any more.
        levels: Vec<u32>,
    },
    /// Somebody answered.
    Answered {
        /// The task.
        task: TaskRef,
        /// The answer.
        answer: Box<Answer>,
        /// What follows from it.
        verdict: Verdict,
    },
    /// A wait began.
    Slept {
        /// The task.
        task: TaskRef,
        /// When it ends by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A wait is over.
    Woken {
        /// The task.
        task: TaskRef,
        /// The entry of the signal that ended it; without it, time did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<u64>,
    },
    /// A signal came in.
    SignalReceived(Box<Signal>),
    /// Tasks of the catalogue were added.
    Grew {
        /// By what.
        by: Grower,
        /// The tasks.
        tasks: Vec<Arc<str>>,
    },
    /// An agent asked for tasks that the plan does not let it add.
    GrowthRefused {
        /// The task of the agent.
        task: TaskRef,
        /// What it asked for.
        asked: Vec<String>,
    },
    /// More of the budget is used than that at which it was to be told.
    BudgetLow {
        /// What is used.
        used: Box<Usage>,
        /// What may be.
        limit: Limit,
    },
    /// The decision was taken.
    Decided(Arc<Decision>),
    /// Somebody asked for the run to be cancelled.
    CancelRequested {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
        /// Whether what was done is undone.
        rollback: bool,
    },
    /// The main part of the run is over. What had not started is skipped, what was under way is cancelled.
    Concluded(Box<Conclusion>),
    /// The run ended. Always the last entry.
    RunEnded {
        /// How.
        status: RunStatus,
        /// Mandatory tasks that did not succeed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failed: Vec<TaskRef>,
    },
}

impl Event {
    /// The name of the event as it stands in the journal.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::RunStarted(_) => "run_started",
            Event::TaskAdmitted { .. } => "task_admitted",
            Event::TaskStarted { .. } => "task_started",
            Event::ChildStarted { .. } => "child_started",
            Event::TaskSucceeded { .. } => "task_succeeded",
            Event::AttemptFailed { .. } => "attempt_failed",
            Event::TurnedAway { .. } => "turned_away",
            Event::RetryDue { .. } => "retry_due",
            Event::AttemptInterrupted { .. } => "attempt_interrupted",
            Event::OutcomeUnknown { .. } => "outcome_unknown",
            Event::TaskFailed { .. } => "task_failed",
            Event::TaskSkipped { .. } => "task_skipped",
            Event::JoinLate { .. } => "join_late",
            Event::RaceWon { .. } => "race_won",
            Event::Mapped { .. } => "mapped",
            Event::Gathered { .. } => "gathered",
            Event::Repeated { .. } => "repeated",
            Event::RepeatEnded { .. } => "repeat_ended",
            Event::Asked { .. } => "asked",
            Event::Escalated { .. } => "escalated",
            Event::Delegated { .. } => "delegated",
            Event::Answered { .. } => "answered",
            Event::Slept { .. } => "slept",
            Event::Woken { .. } => "woken",
            Event::SignalReceived(_) => "signal_received",
            Event::Grew { .. } => "grew",
            Event::GrowthRefused { .. } => "growth_refused",
            Event::BudgetLow { .. } => "budget_low",
            Event::Decided(_) => "decided",
            Event::CancelRequested { .. } => "cancel_requested",
            Event::Concluded(_) => "concluded",
            Event::RunEnded { .. } => "run_ended",
        }
    }

    /// The task that the event is about, if it is about one.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRef> {
        match self {
            Event::TaskAdmitted { task, .. }
            | Event::TaskStarted { task, .. }
            | Event::ChildStarted { task, .. }
            | Event::TaskSucceeded { task, .. }
            | Event::AttemptFailed { task, .. }
            | Event::TurnedAway { task, .. }
            | Event::RetryDue { task }
            | Event::AttemptInterrupted { task, .. }
            | Event::OutcomeUnknown { task, .. }
            | Event::TaskFailed { task, .. }
            | Event::TaskSkipped { task, .. }
            | Event::JoinLate { task }
            | Event::RaceWon { task, .. }
            | Event::Mapped { task, .. }
            | Event::Gathered { task }
            | Event::Repeated { task, .. }
            | Event::RepeatEnded { task, .. }
            | Event::Asked { task, .. }
            | Event::Escalated { task, .. }
            | Event::Delegated { task, .. }
            | Event::Answered { task, .. }
            | Event::Slept { task, .. }
            | Event::Woken { task, .. }
            | Event::GrowthRefused { task, .. } => Some(task),
            Event::RunStarted(_)
            | Event::SignalReceived(_)
            | Event::Grew { .. }
            | Event::BudgetLow { .. }
            | Event::Decided(_)
            | Event::CancelRequested { .. }
            | Event::Concluded(_)
            | Event::RunEnded { .. } => None,
        }
    }

    /// Every value that the event carries, so that long ones can be kept apart and put back.
    pub fn for_each_payload(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        match self {
            Event::RunStarted(start) => {
                visit(&mut start.input);
                start.profile.iter_mut().chain(&mut start.session).chain(&mut start.route).for_each(&mut *visit);
                start.skills.iter_mut().for_each(|skill| visit(&mut skill.text));
            }
            Event::TaskSucceeded { output, .. } => visit(output),
            Event::Mapped { items, .. } => visit(items),
            Event::Asked { question, .. } => visit(&mut question.evidence),
            Event::Answered { answer, .. } => answer.output.iter_mut().for_each(visit),
            Event::SignalReceived(signal) => visit(&mut signal.payload),
            Event::TaskAdmitted { .. }
            | Event::TaskStarted { .. }
            | Event::ChildStarted { .. }
            | Event::AttemptFailed { .. }
            | Event::TurnedAway { .. }
            | Event::RetryDue { .. }
            | Event::AttemptInterrupted { .. }
            | Event::OutcomeUnknown { .. }
            | Event::TaskFailed { .. }
            | Event::TaskSkipped { .. }
            | Event::JoinLate { .. }
            | Event::RaceWon { .. }
            | Event::Gathered { .. }
            | Event::Repeated { .. }
            | Event::RepeatEnded { .. }
            | Event::Escalated { .. }
            | Event::Delegated { .. }
            | Event::Slept { .. }
            | Event::Woken { .. }
            | Event::Grew { .. }
            | Event::GrowthRefused { .. }
            | Event::BudgetLow { .. }
            | Event::Decided(_)
            | Event::CancelRequested { .. }
            | Event::Concluded(_)
            | Event::RunEnded { .. } => {}
        }
    }

    /// Every value of the event that is kept apart, by reference.
    pub fn long_payloads(&self) -> impl Iterator<Item = &Payload> {
        let (one, rest): (Option<&Payload>, [Option<&Payload>; 3]) = match self {
            Event::RunStarted(start) => (Some(&start.input), [start.profile.as_ref(), start.session.as_ref(), start.route.as_ref()]),
            Event::TaskSucceeded { output, .. } => (Some(output), [None, None, None]),
            Event::Mapped { items, .. } => (Some(items), [None, None, None]),
            Event::Asked { question, .. } => (Some(&question.evidence), [None, None, None]),
            Event::Answered { answer, .. } => (answer.output.as_ref(), [None, None, None]),
            Event::SignalReceived(signal) => (Some(&signal.payload), [None, None, None]),
            _ => (None, [None, None, None]),
        };
        let skills: &[Skill] = match self {
            Event::RunStarted(start) => &start.skills,
            _ => &[],
        };
        let skills = skills.iter().map(|skill| &skill.text);
        one.into_iter().chain(rest.into_iter().flatten()).chain(skills).filter(|payload| payload.kept_apart().is_some())
    }
}

/// How a run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The plan that it follows to its end, by content.
    pub plan: Digest,
    /// What people call the plan.
    pub name: Arc<str>,
    /// What the run is about.
    pub input: Payload,
    /// What classification found out about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Payload>,
    /// For whom it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Payload>,
    /// Who started it.
    pub by: Arc<str>,
    /// Why it follows this plan, where it is what a request was routed to or a policy: which rule, what came close, what was found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Payload>,
    /// The skills that its tasks require, and those of the runs within it, as they were when it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<Skill>,
    /// The run and the task that started it as a sub-workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run in which an agent started it, where it goes on by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<RunId>,
    /// When its main part times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

impl Start {
    /// The run that started it, where none of the people did: as a sub-workflow, or by an agent.
    #[must_use]
    pub fn started_by(&self) -> Option<RunId> {
        self.parent.as_ref().map(|parent| parent.run).or(self.within)
    }
}

/// Expertise that a task requires and its agent receives. A run goes on with what it was when the run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skill {
    /// Its name.
    pub name: Arc<str>,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// What it says, and what lies beside it; kept once for all runs.
    pub text: Payload,
}

impl Skill {
    /// A skill with this text.
    #[must_use]
    pub fn new(name: &str, version: Option<&str>, text: Payload) -> Skill {
        Skill { name: name.into(), version: version.map(Arc::from), text: text.apart() }
    }

    /// The digest of its text, which is what the run is pinned to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.text.kept_apart().unwrap_or_else(|| Digest::of(self.text.json().as_bytes()))
    }
}

/// The task that started a run as a sub-workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its run.
    pub run: RunId,
    /// Its name.
    pub task: Arc<str>,
    /// Its attempt.
    pub attempt: u32,
}

/// Who did, or does, a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRef {
    /// The agent.
    pub id: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// What calling it does to the world.
    pub effect: Effect,
    /// Where it is, as its project writes it, where it is at several places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Arc<str>>,
}

impl AgentRef {
    /// The agent of this name and version.
    #[must_use]
    pub fn new(id: &str, version: &str, effect: Effect) -> AgentRef {
        AgentRef { id: id.into(), version: version.into(), effect, endpoint: None }
    }
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.version)?;
        self.endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, " at {endpoint}"))
    }
}

/// What calling an agent does to the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// Something that is the same when it is done twice with one key.
    Idempotent,
    /// Something that must not be done twice.
    Once,
}

/// What an agent said besides its output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// How sure it is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Decimal>,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it wants to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The tools that it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolUse>,
}

/// A tool that an agent used while it worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolUse {
    /// Its name.
    pub name: String,
    /// What it was asked; of a long text, the beginning.
    pub asked: String,
    /// What it answered; of a long text, the beginning.
    pub answered: String,
    /// How long that took.
    pub took: Millis,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// What a call used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    #[serde(default)]
    pub tokens_in: u64,
    /// Tokens written.
    #[serde(default)]
    pub tokens_out: u64,
    /// What it cost, in the currency of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Decimal>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{class}{}{message}", if message.is_empty() { "" } else { ": " })]
pub struct Failure {
    /// What kind of failure it is.
    pub class: FailureClass,
    /// What happened.
    pub message: String,
    /// How long the agent asks to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Millis>,
    /// Whether the agent was never reached, so that nothing can have taken effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsent: bool,
    /// What the call used all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Box<Usage>>,
}

/// Longest text that somebody adds to an entry: a message, a log, a note, a reason. Those of agents are cut, those of
/// people are refused.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Cuts a text that is too long, and says so in it.
pub(crate) fn cut(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        let bytes = text.len();
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push_str(&format!("… ({bytes} bytes in all)"));
    }
}

impl Failure {
    /// A failure of this class.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Failure {
        Failure { class, message: message.into(), retry_after: None, unsent: false, usage: None }
    }

    /// The same, before the agent was reached.
    #[must_use]
    pub fn unsent(mut self) -> Failure {
        self.unsent = true;
        self
    }

    /// The same, by an agent that asks to be left alone for so long.
    #[must_use]
    pub fn retry_after(mut self, retry_after: Option<Millis>) -> Failure {
        self.retry_after = retry_after;
        self
    }
}

/// What kind of failure it is; it decides whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// What was asked, or what was answered, does not fit.
    Invalid,
    /// The agent could not be reached.
    Unavailable,
    /// It took too long.
    Timeout,
    /// It asks for fewer calls.
    RateLimited,
    /// It broke.
    Internal,
    /// It will not do it.
    Refused,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailureClass::Invalid => "invalid",
            FailureClass::Unavailable => "unavailable",
            FailureClass::Timeout => "timeout",
            FailureClass::RateLimited => "rate_limited",
            FailureClass::Internal => "internal",
            FailureClass::Refused => "refused",
        })
    }
}

/// Why a task did not run, or did not succeed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its condition does not hold, or is unknown.
    Condition {
        /// The condition.
        text: String,
        /// What it saw.
        operands: Vec<Operand>,
        /// Whether a value was missing on which it depends.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unknown: bool,
    },
    /// A dependency did not succeed.
    Dependency(TaskRef),
    /// Too few dependencies can still succeed.
    JoinImpossible {
        /// How many succeeded.
        succeeded: u32,
        /// How many are needed.
        needed: u32,
    },
    /// Its dependencies were late.
    Late,
    /// Another one was faster.
    LostRace(TaskRef),
    /// The decision was taken without it.
    EarlyDecision,
    /// The run ended without it, because a task failed.
    RunFailed(TaskRef),
    /// The run ran out of time.
    RunTimedOut,
    /// The run was cancelled.
    RunCancelled,
    /// The section it belongs to runs again.
    Superseded,
    /// Its last attempt failed.
    Attempt(Failure),
    /// Its values could not be put together, or its agent could not be found.
    Unfit(Failure),
    /// Somebody rejected it.
    Rejected {
        /// Who.
        by: Arc<str>,
        /// Their note.
        note: String,
    },
    /// Nobody answered in time.
    Expired,
    /// An item of it failed.
    Item(TaskRef),
    /// What remained could never start.
    Stalled,
    /// The run cannot afford it.
    OverBudget(Box<Exceeded>),
    /// Somebody found out that it did not happen.
    NotDone {
        /// Who.
        by: Arc<str>,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Condition { text, operands, unknown } => {
                write!(f, "`{text}` {}", if *unknown { "is unknown" } else { "does not hold" })?;
                for (position, operand) in operands.iter().enumerate() {
                    let lead = if position == 0 { ": " } else { ", " };
                    write!(f, "{lead}{operand}")?;
                }
                Ok(())
            }
            Cause::Dependency(task) => write!(f, "{} did not succeed", task.id),
            Cause::JoinImpossible { succeeded, needed } => {
                write!(f, "{succeeded} of its dependencies succeeded, it needs {needed}")
            }
            Cause::Late => f.write_str("its dependencies were late"),
            Cause::LostRace(task) => write!(f, "{} had enough without it", task.id),
            Cause::EarlyDecision => f.write_str("early decision"),
            Cause::RunFailed(task) => write!(f, "the run failed with {}", task.id),
            Cause::RunTimedOut => f.write_str("the run ran out of time"),
            Cause::RunCancelled => f.write_str("the run was cancelled"),
            Cause::Superseded => f.write_str("its section ran again"),
            Cause::Attempt(failure) | Cause::Unfit(failure) => write!(f, "{}: {}", failure.class, failure.message),
            Cause::Rejected { by, note } if note.is_empty() => write!(f, "rejected by {by}"),
            Cause::Rejected { by, note } => write!(f, "rejected by {by}: {note}"),
            Cause::Expired => f.write_str("nobody answered in time"),
            Cause::Item(task) => write!(f, "{} failed", task.id),
            Cause::Stalled => f.write_str("nothing could start it any more"),
            Cause::OverBudget(exceeded) => exceeded.fmt(f),
            Cause::NotDone { by } => write!(f, "{by} found that it was not done"),
        }
    }
}

/// A name that a condition read, and what it found, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operand {
    /// What was read.
    pub name: String,
    /// What was found, or why nothing was.
    pub value: String,
    /// Whether nothing was found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// Longest value of an operand: who wants to know more looks at the output, which is kept once.
const MAX_OPERAND_BYTES: usize = 256;

impl Operand {
    /// What was found under a name.
    #[must_use]
    pub fn seen(name: String, value: &Value<'_>) -> Operand {
        match value {
            Value::Unknown(why) => Operand { name, value: why.to_string(), unknown: true },
            value => {
                let mut value = value.to_string();
                if value.len() > MAX_OPERAND_BYTES {
                    let bytes = value.len();
                    value.truncate(value.floor_char_boundary(MAX_OPERAND_BYTES));
                    value.push_str(&format!("… ({bytes} bytes)"));
                }
                Operand { name, value, unknown: false }
            }
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unknown { write!(f, "{} {}", self.name, self.value) } else { write!(f, "{} is {}", self.name, self.value) }
    }
}

/// A question as it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// What the answer rests on.
    pub evidence: Payload,
    /// Its digest; an answer names the evidence that it saw.
    pub evidence_digest: Digest,
    /// How long the first ones have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Who may not answer, since they had a part in what it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Arc<str>>,
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Who answered.
    pub by: Arc<str>,
    /// What.
    pub choice: String,
    /// Their note.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What the task returned, where the question was whether it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// The levels at which they were asked: agreement is counted for each level by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<u32>,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More people have to agree.
    Counted,
    /// The question is settled, and the task succeeded.
    Accepted,
    /// The question is settled, and the task failed.
    Rejected,
    /// The task is tried again.
    Again,
}

/// A message from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What it is called.
    pub name: Arc<str>,
    /// A second one of this id is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// What it says.
    pub payload: Payload,
    /// Who sent it.
    pub by: Arc<str>,
}

/// What made a run grow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grower {
    /// A checkpoint.
    Checkpoint {
        /// Its name.
        id: Arc<str>,
        /// What it saw.
        operands: Vec<Operand>,
    },
    /// The agent of a task.
    Task(TaskRef),
    /// A decision that opens a review.
    Decision(String),
    /// The budget, which a call would have exceeded.
    Budget(Box<Exceeded>),
}

/// How the main part of a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// All of its tasks have ended.
    Finished,
    /// A decision was taken.
    Decided,
    /// A task failed that the run cannot do without.
    Failed(TaskRef),
    /// Nothing was under way, and these tasks could never start.
    Stalled(Vec<TaskRef>),
    /// It ran out of time.
    TimedOut,
    /// It was cancelled.
    Cancelled {
        /// Whether what was done is undone.
        rollback: bool,
    },
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Something is under way or could be.
    Running,
    /// Only people, timers or signals are outstanding.
    Waiting,
    /// What was done is being undone.
    Compensating,
    /// It ended well.
    Succeeded,
    /// A task failed that it could not do without.
    Failed,
    /// It ran out of time.
    TimedOut,
    /// It was cancelled.
    Cancelled,
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunStatus::Running => "running",
            RunStatus::Waiting => "waiting",
            RunStatus::Compensating => "compensating",
            RunStatus::Succeeded => "succeeded",
            RunStatus::Failed => "failed",
            RunStatus::TimedOut => "timed_out",
            RunStatus::Cancelled => "cancelled",
        })
    }
}
