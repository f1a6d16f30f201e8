//! What follows from what happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quorate_expr::Truth;

use crate::bind::Form;
use crate::budget::{Exceeded, Room};
use crate::choice::{Choice, MAX_FAILOVERS};
use crate::decision::{Contributor, Decision, Look, NotTaken, OTHERWISE, Outcome, Rule};
use crate::draft::{APPROVE, Expiry, Level, OnLate};
use crate::event::cut;
use crate::event::{
    AgentRef, Answer, Cause, Conclusion, Effect, Entry, Event, Failure, FailureClass, Grower, Operand, Question, RunStatus, Said, Signal,
    Start, TaskRef, Usage, Verdict,
};
use crate::plan::{Approval, Checkpoint, Needed, Plan, Then, Until, Work};
use crate::run::{Agenda, Asking, Corrupt, Delegation, JoinVerdict, NOBODY, NONE, Origin, Run, State, TaskStatus};
use crate::voices::{self, Council, Verdict as Heard};
use crate::{Digest, MAX_ID_BYTES, MAX_TEXT_BYTES, Millis, Payload, Role, RunId, Timestamp};

/// Most signals of one name that a run keeps for whoever will wait for them.
pub const MAX_SIGNALS_WAITING: usize = 10_000;
/// Most tasks that an agent can ask for at once.
pub const MAX_ASKED_FOR: usize = 1_000;

/// Something that happened outside of the run.
#[derive(Clone, Debug)]
pub enum Input {
    /// An agent with a free slot was found for a task that may start.
    Dispatched {
        /// The task.
        task: TaskRef,
        /// The agent.
        agent: Arc<AgentRef>,
        /// How long the agent may take, where the plan does not say.
        timeout: Option<Millis>,
        /// Why this agent, where there was a choice.
        choice: Option<Box<Choice>>,
        /// What the call may use at most, where that can be said before it.
        wanted: Option<Box<Usage>>,
    },
    /// A run of its own was found for a task that may start.
    ChildDispatched {
        /// The task.
        task: TaskRef,
    },
    /// No agent can do a task: one that the run can do without is skipped for it.
    Nobody {
        /// The task.
        task: TaskRef,
        /// Who was looked for.
        failure: Failure,
        /// Whether there will be one: those who can do it are left alone for a while.
        for_now: bool,
    },
    /// The values of a task cannot be put together.
    Unfit {
        /// The task.
        task: TaskRef,
        /// Why.
        failure: Failure,
    },
    /// An attempt ended.
    Ended {
        /// The task.
        task: TaskRef,
        /// The attempt.
        attempt: u32,
        /// What came of it.
        result: Result<Reply, Failure>,
    },
    /// An attempt that was told to stop does not; another one would overlap with it.
    Stuck {
        /// The task.
        task: TaskRef,
    },
    /// Whoever called the agents stopped, and with it every attempt under way.
    Restarted,
    /// Somebody answered a question.
    Answered {
        /// The task, by name.
        task: Arc<str>,
        /// Who.
        by: Person,
        /// What.
        choice: String,
        /// Their note.
        note: String,
        /// The digest of the evidence that they saw; where it is given, it must be the one that was asked with.
        evidence: Option<Digest>,
        /// What the task returned, where the question is whether it happened.
        output: Option<Payload>,
    },
    /// Somebody hands a question on.
    Delegated {
        /// The task, by name.
        task: Arc<str>,
        /// Who.
        from: Person,
        /// To whom.
        to: Arc<str>,
        /// Their note.
        note: String,
    },
    /// A message came in.
    Signal(Signal),
    /// Time has passed.
    Woke,
    /// Somebody wants the run to end.
    Cancel {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
        /// Whether what was done is to be undone.
        rollback: bool,
    },
}

/// What an agent returned.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its output.
    pub output: Payload,
    /// What else it said.
    pub said: Option<Box<Said>>,
    /// Tasks of the catalogue that it asks for.
    pub grow: Vec<String>,
}

impl Reply {
    /// A reply that is nothing but an output.
    #[must_use]
    pub fn new(output: Payload) -> Reply {
        Reply { output, said: None, grow: Vec::new() }
    }
}

/// Somebody who acts, with the groups they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name.
    pub name: Arc<str>,
    /// Their groups.
    pub groups: Vec<String>,
}

/// Why an input was not taken. Nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run has no first entry.
    #[error("run {0} has not begun")]
    NotBegun(RunId),
    /// Its journal tells a story from which nothing can follow. The run is not to be used any more.
    #[error(transparent)]
    Broken(#[from] Corrupt),
    /// The run is over.
    #[error("run {0} has ended")]
    Ended(RunId),
    /// There is no such task.
    #[error("run {run} has no task `{task}`")]
    NoTask {
        /// The run.
        run: RunId,
        /// The task.
        task: Arc<str>,
    },
    /// The task is not where the input says it is.
    #[error("task `{task}` is {status}, so it cannot be {action}")]
    NotNow {
        /// The task.
        task: Arc<str>,
        /// How it stands.
        status: TaskStatus,
        /// What was asked.
        action: &'static str,
    },
    /// They may not answer this question.
    #[error("{by} may not answer `{task}`: {why}")]
    NotPermitted {
        /// The task.
        task: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Why not.
        why: String,
    },
    /// The question does not allow this answer.
    #[error("`{choice}` is not taken as an answer to `{task}`: {why}")]
    BadAnswer {
        /// The task.
        task: Arc<str>,
        /// The answer.
        choice: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody takes these signals.
    #[error("{waiting} signals `{name}` wait to be taken already")]
    TooManySignals {
        /// Their name.
        name: Arc<str>,
        /// How many there are.
        waiting: usize,
    },
    /// A text is too long.
    #[error("the {what} has {bytes} bytes, more than the {max} allowed; hand over a reference to it instead")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// They have answered, and others have to agree.
    #[error("{by} has answered `{task}` already; others have to agree, or they may still reject")]
    AnsweredAlready {
        /// The task.
        task: Arc<str>,
        /// Who.
        by: Arc<str>,
    },
    /// What was seen is not what was asked with.
    #[error("the evidence of `{task}` is {actual}, not {seen}; look at it again")]
    OtherEvidence {
        /// The task.
        task: Arc<str>,
        /// What was seen.
        seen: Digest,
        /// What was asked with.
        actual: Digest,
    },
}

impl Run {
    /// Begins a run.
    ///
    /// # Panics
    /// Never: the entries that are decided can be folded.
    #[must_use]
    pub fn start(plan: &Arc<Plan>, id: RunId, at: Timestamp, start: Start) -> (Run, Vec<Entry>) {
        let deadline = plan.timeout.map(|timeout| at.plus(timeout));
        let start = Start { plan: plan.digest(), name: plan.name().clone(), deadline, ..start };
        let mut run = Run::new(id, plan.clone());
        let mut entries = Vec::with_capacity(2);
        let mut deciding = Deciding { run: &mut run, at, entries: &mut entries, broken: None, at_last: false };
        deciding.record(Event::RunStarted(Box::new(start)));
        deciding.settle();
        assert_eq!(deciding.broken, None, "a plan that was checked can begin");
        (run, entries)
    }

    /// Decides what follows from an input, folds it into the state, and returns it for the journal.
    ///
    /// An input that repeats what is known, or comes too late, gives no entries. If the journal does not take the
    /// entries, the run is ahead of its journal and has to be loaded again.
    ///
    /// # Errors
    /// [`Refusal`] where the input cannot be taken. The state is as it was, unless it is [`Refusal::Broken`].
    pub fn advance(&mut self, at: Timestamp, input: Input) -> Result<Vec<Entry>, Refusal> {
        let mut entries = Vec::with_capacity(2);
        self.advance_onto(at, input, &mut entries)?;
        Ok(entries)
    }

    /// The same, putting the entries behind others that go to the journal with them.
    ///
    /// # Errors
    /// [`Refusal`] where the input cannot be taken. The entries are as they were, and so is the state, unless it is
    /// [`Refusal::Broken`].
    pub fn advance_onto(&mut self, at: Timestamp, input: Input, entries: &mut Vec<Entry>) -> Result<(), Refusal> {
        if self.start.is_none() {
            return Err(Refusal::NotBegun(self.id));
        }
        if self.has_ended() {
            return match input {
                Input::Answered { .. } | Input::Delegated { .. } | Input::Signal(_) | Input::Cancel { .. } => Err(Refusal::Ended(self.id)),
                // An agent may report after the end, and a timer may fire.
                _ => Ok(()),
            };
        }
        let at = at.max(self.at);
        let before = entries.len();
        let mut deciding = Deciding { run: self, at, entries, broken: None, at_last: false };
        deciding.input(input)?;
        deciding.settle();
        match deciding.broken {
            None => Ok(()),
            Some(corrupt) => {
                entries.truncate(before);
                Err(Refusal::Broken(corrupt))
            }
        }
    }

    fn task_named(&self, id: &Arc<str>) -> Result<u32, Refusal> {
        self.task(id).map(|task| task.position()).ok_or_else(|| Refusal::NoTask { run: self.id, task: id.clone() })
    }
}

/// Whether a text that somebody sends is short enough to be kept for ever.
fn fits(what: &'static str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.len() <= max { Ok(()) } else { Err(Refusal::TooLong { what, bytes: text.len(), max }) }
}

pub(crate) struct Deciding<'r> {
    pub(crate) run: &'r mut Run,
    pub(crate) at: Timestamp,
    pub(crate) entries: &'r mut Vec<Entry>,
    /// Why nothing more can follow: the state came from entries that nobody decided.
    pub(crate) broken: Option<Corrupt>,
    /// Whether everything has ended and nothing decided, so that what is kept for this is looked at.
    pub(crate) at_last: bool,
}

impl Deciding<'_> {
    fn record(&mut self, event: Event) {
        if self.broken.is_some() {
            return;
        }
        let entry = Entry { seq: self.run.seq + 1, at: self.at, event };
        match self.run.apply(&entry) {
            Ok(()) => self.entries.push(entry),
            Err(corrupt) => self.broken = Some(corrupt),
        }
    }

    fn state(&self, ix: u32) -> &State {
        &self.run.tasks[ix as usize].state
    }

    fn input(&mut self, input: Input) -> Result<(), Refusal> {
        match input {
            Input::Dispatched { task, agent, timeout, choice, wanted } => self.dispatched(task, agent, timeout, choice, wanted),
            Input::ChildDispatched { task } => self.child_dispatched(task),
            Input::Nobody { task, failure, for_now } => {
                self.nobody(task, failure, for_now);
                Ok(())
            }
            Input::Unfit { task, failure } => {
                self.unfit(task, failure, false);
                Ok(())
            }
            Input::Ended { task, attempt, result } => {
                // A superseded attempt may still report, and an agent may answer twice.
                if self.run.is_live(&task, attempt)
                    && let Ok(task) = self.run.known(task)
                {
                    self.attempt_ended(task, attempt, result);
                }
                Ok(())
            }
            Input::Stuck { task } => {
                if self.is(&task, |state| matches!(state, State::Ready | State::Retrying { .. })) {
                    let failure = Failure::new(FailureClass::Timeout, "the attempt before does not stop, and two must not overlap");
                    self.record(Event::TaskFailed { task, cause: Box::new(Cause::Unfit(failure)) });
                }
                Ok(())
            }
            Input::Restarted => {
                self.restarted();
                Ok(())
            }
            Input::Answered { task, by, choice, note, evidence, output } => {
                fits("note", &note, MAX_TEXT_BYTES)?;
                fits("name", &by.name, MAX_ID_BYTES)?;
                let ix = self.run.task_named(&task)?;
                self.answered(ix, &by, Answer { by: by.name.clone(), choice, note, output, levels: Vec::new() }, evidence)
            }
            Input::Delegated { task, from, to, note } => {
                fits("note", &note, MAX_TEXT_BYTES)?;
                fits("name", &from.name, MAX_ID_BYTES)?;
                fits("name", &to, MAX_ID_BYTES)?;
                self.delegated(&task, &from, to, note)
            }
            Input::Signal(signal) => {
                fits("name of the signal", &signal.name, MAX_ID_BYTES)?;
                fits("name of the sender", &signal.by, MAX_ID_BYTES)?;
                fits("id of the signal", signal.id.as_deref().unwrap_or_default(), MAX_ID_BYTES)?;
                // A signal with an id that is known has been received already.
                if !signal.id.as_ref().is_some_and(|id| self.run.knows_signal(id)) {
                    let waiting = self.run.signals.get(&signal.name).map_or(0, VecDeque::len);
                    if waiting >= MAX_SIGNALS_WAITING {
                        return Err(Refusal::TooManySignals { name: signal.name, waiting });
                    }
                    self.record(Event::SignalReceived(Box::new(signal)));
                }
                Ok(())
            }
            Input::Woke => {
                self.woke();
                Ok(())
            }
            Input::Cancel { by, reason, rollback } => {
                fits("reason", &reason, MAX_TEXT_BYTES)?;
                fits("name", &by, MAX_ID_BYTES)?;
                // Once more it ends what comes after the end.
                if !self.run.cancel_requested || (self.run.conclusion.is_some() && self.run.count.open_after > 0) {
                    self.record(Event::CancelRequested { by, reason, rollback });
                    if self.run.conclusion.is_none() {
                        self.conclude(Conclusion::Cancelled { rollback });
                    }
                }
                Ok(())
            }
        }
    }

    // -- attempts

    fn is(&self, task: &TaskRef, possible: impl Fn(&State) -> bool) -> bool {
        self.run.place(task).is_some_and(|ix| possible(self.state(ix)))
    }

    fn unfit(&mut self, task: TaskRef, mut failure: Failure, nobody: bool) {
        cut(&mut failure.message);
        let Some(ix) = self.run.place(&task).filter(|ix| matches!(self.state(*ix), State::Ready)) else { return };
        let state = &self.run.tasks[ix as usize];
        let untouched = state.attempt == 0 && !matches!(state.origin, Origin::Item { .. });
        let cause = Box::new(Cause::Unfit(failure));
        let skipped = nobody && untouched && self.run.node(ix).optional;
        self.record(if skipped { Event::TaskSkipped { task, cause } } else { Event::TaskFailed { task, cause } });
    }

    /// The task and its next attempt, where it may start.
    fn next_attempt(&self, task: TaskRef) -> Result<(TaskRef, u32), Refusal> {
        let task = self.run.known(task).map_err(|task| Refusal::NoTask { run: self.run.id, task: task.id })?;
        match self.state(task.ix).status() {
            TaskStatus::Ready => {
                let attempt = self.run.tasks[task.ix as usize].attempt + 1;
                Ok((task, attempt))
            }
            status => Err(Refusal::NotNow { task: task.id, status, action: "started" }),
        }
    }

    fn dispatched(
        &mut self,
        task: TaskRef,
        agent: Arc<AgentRef>,
        timeout: Option<Millis>,
        choice: Option<Box<Choice>>,
        wanted: Option<Box<Usage>>,
    ) -> Result<(), Refusal> {
        let (task, attempt) = self.next_attempt(task)?;
        // What undoes, reviews or tidies up is never held back.
        let counts = self.run.plan.budget.is_some() && matches!(self.run.node(task.ix).role, Role::Main | Role::Catalogue);
        let reserved = wanted.filter(|_| counts);
        if let Some(wanted) = &reserved
            && !self.affords(&task, wanted)
        {
            return Ok(());
        }
        let deadline = self.run.timeout_of(&task).or(timeout).map(|timeout| self.at.plus(timeout));
        self.record(Event::TaskStarted { task, attempt, agent, deadline, choice, reserved });
        Ok(())
    }

    /// Whether the run can afford a call now. Where it never could, people are asked for more, or the task fails.
    fn affords(&mut self, task: &TaskRef, wanted: &Usage) -> bool {
        let plan = self.run.plan.clone();
        let Some(budget) = &plan.budget else { return true };
        let spending = self.run.spending.get_or_insert_default();
        match budget.room(spending, wanted) {
            Room::Fits => return true,
            Room::Later => return false,
            Room::Over => {}
        }
        let (used, limit) = (spending.used.clone(), budget.limit(spending.raised));
        let exceeded = Box::new(Exceeded { task: task.clone(), used, wanted: wanted.clone(), limit });
        match budget.ask {
            Some(ask) if !self.run.was_refused_more() => {
                if !self.run.asks_for_more() {
                    let tasks = vec![plan.nodes[ask as usize].id.clone()];
                    self.record(Event::Grew { by: Grower::Budget(exceeded), tasks });
                }
            }
            _ => self.record(Event::TaskFailed { task: task.clone(), cause: Box::new(Cause::OverBudget(exceeded)) }),
        }
        false
    }

    /// Puts on record that little of the budget is left.
    fn look_at_budget(&mut self) {
        let low = self
            .run
            .plan
            .budget
            .as_ref()
            .zip(self.run.spending.as_ref())
            .filter(|(budget, spending)| !spending.warned && budget.is_low(spending));
        if let Some((budget, spending)) = low {
            let (used, limit) = (Box::new(spending.used.clone()), budget.limit(spending.raised));
            self.record(Event::BudgetLow { used, limit });
        }
    }

    fn child_dispatched(&mut self, task: TaskRef) -> Result<(), Refusal> {
        let (task, attempt) = self.next_attempt(task)?;
        let run = self.run.id.child(&task.id, attempt);
        let deadline = self.run.timeout_of(&task).map(|timeout| self.at.plus(timeout));
        self.record(Event::ChildStarted { task, attempt, run, deadline });
        Ok(())
    }

    fn attempt_ended(&mut self, task: TaskRef, attempt: u32, result: Result<Reply, Failure>) {
        match result {
            Ok(Reply { output, mut said, grow }) => {
                said.iter_mut().filter_map(|said| said.log.as_mut()).for_each(cut);
                self.record(Event::TaskSucceeded { task: task.clone(), attempt, output, said });
                if !grow.is_empty() {
                    self.grow_on_demand(task, grow);
                }
            }
            Err(mut failure) => {
                cut(&mut failure.message);
                self.attempt_failed(task, attempt, failure);
            }
        }
        self.look_at_budget();
    }

    fn attempt_failed(&mut self, task: TaskRef, attempt: u32, failure: Failure) {
        let state = &self.run.tasks[task.ix as usize];
        let once = state.agent.as_ref().is_some_and(|agent| agent.effect == Effect::Once) && !failure.unsent;
        if once && matches!(failure.class, FailureClass::Timeout | FailureClass::Internal | FailureClass::Unavailable) {
            self.record(Event::OutcomeUnknown { task, attempt, failure: Box::new(failure) });
            return;
        }
        // Of what must not be done twice, only a call that was turned away at the door is made again.
        let may_retry = !once || failure.class == FailureClass::RateLimited;
        let elsewhere = may_retry
            && !matches!(failure.class, FailureClass::Invalid | FailureClass::Refused)
            && state.aside.as_ref().is_some_and(|aside| aside.others > 0 && aside.tried.len() < MAX_FAILOVERS);
        let retry_at = if may_retry && !elsewhere { self.retry_at(task.ix, attempt, &failure) } else { None };
        self.record(Event::AttemptFailed { task, attempt, failure: Box::new(failure), retry_at, elsewhere });
    }

    /// When a task that failed is tried again, if it is.
    fn retry_at(&self, ix: u32, attempt: u32, failure: &Failure) -> Option<Timestamp> {
        let state = &self.run.tasks[ix as usize];
        let retry = self.run.node(ix).retry.as_ref()?;
        let chance = Digest::of_parts(&[&self.run.id.0.to_be_bytes(), state.id.as_bytes(), &attempt.to_be_bytes()]).fraction();
        let delay = retry.delay(state.failures + 1, failure.class, chance)?;
        Some(self.at.plus(delay.max(failure.retry_after.unwrap_or_default())))
    }

    /// Nobody can do a task, or nobody for the time being.
    fn nobody(&mut self, task: TaskRef, mut failure: Failure, for_now: bool) {
        if for_now && let Some(ix) = self.run.place(&task).filter(|ix| matches!(self.state(*ix), State::Ready)) {
            let state = &self.run.tasks[ix as usize];
            let next = state.attempt.saturating_add(state.failures);
            if let Some(retry_at) = self.retry_at(ix, next, &failure) {
                cut(&mut failure.message);
                self.record(Event::TurnedAway { task: self.run.reference(ix), failure: Box::new(failure), retry_at });
                return;
            }
        }
        self.unfit(task, failure, true);
    }

    fn restarted(&mut self) {
        for ix in 0..u32::try_from(self.run.tasks.len()).expect("MAX_INSTANCES fits") {
            let task = &self.run.tasks[ix as usize];
            let State::Running(running) = &task.state else { continue };
            if running.child.is_some() {
                // A run of its own has a journal of its own, and goes on by itself.
                continue;
            }
            let attempt = task.attempt;
            let once = task.agent.as_ref().is_some_and(|agent| agent.effect == Effect::Once);
            let task = self.run.reference(ix);
            if once {
                let failure = Failure::new(FailureClass::Internal, "the engine stopped while it was under way");
                self.record(Event::OutcomeUnknown { task, attempt, failure: Box::new(failure) });
            } else {
                self.record(Event::AttemptInterrupted { task, attempt });
            }
        }
    }

    // -- people

    fn asking(&self, ix: u32, action: &'static str) -> Result<&Asking, Refusal> {
        match self.state(ix) {
            State::Asking(asking) => Ok(asking),
            other => Err(Refusal::NotNow { task: self.run.tasks[ix as usize].id.clone(), status: other.status(), action }),
        }
    }

    fn answered(&mut self, ix: u32, by: &Person, answer: Answer, seen: Option<Digest>) -> Result<(), Refusal> {
        let asking = self.asking(ix, "answered")?;
        let task = self.run.reference(ix);
        let actual = asking.question.evidence_digest;
        if let Some(seen) = seen
            && seen != actual
        {
            return Err(Refusal::OtherEvidence { task: task.id, seen, actual });
        }
        let bad = |why: String| Refusal::BadAnswer { task: task.id.clone(), choice: answer.choice.clone(), why };
        let mut levels = Vec::new();
        let verdict = if asking.outcome {
            match answer.choice.as_str() {
                "succeeded" => Verdict::Accepted,
                "failed" => Verdict::Rejected,
                "again" => Verdict::Again,
                _ => return Err(bad("answer `succeeded`, `failed` or `again`".to_owned())),
            }
        } else if let Work::Approval(approval) = &self.run.node(ix).work {
            levels = self.run.may_answer(ix, approval, asking, by)?;
            // Whoever agreed may still find out that it is wrong, but not agree twice, nor to two things.
            let rejects = approval.choices.iter().any(|known| known.name == answer.choice && known.rejects);
            if !rejects && asking.answers.iter().any(|given| given.by == by.name) {
                return Err(Refusal::AnsweredAlready { task: task.id, by: by.name.clone() });
            }
            let verdict = verdict_of(approval, asking, &answer, &levels, &|other| self.run.agree(other, &answer.choice)).map_err(bad)?;
            if approval.override_needs_note && !says_something(&answer.note) && !self.run.proposes(&answer.choice) {
                return Err(bad("it is not what was proposed, and needs a note".to_owned()));
            }
            verdict
        } else {
            return Err(bad("this task asks nothing".to_owned()));
        };
        if let Some(output) = &answer.output {
            output.check(&self.run.node(ix).output).map_err(bad)?;
        }
        let answer = Answer { levels, ..answer };
        self.record(Event::Answered { task, answer: Box::new(answer), verdict });
        Ok(())
    }

    /// Hands a question on: who does so is not asked any more, and the other one is in their place.
    fn delegated(&mut self, task: &Arc<str>, from: &Person, to: Arc<str>, note: String) -> Result<(), Refusal> {
        let ix = self.run.task_named(task)?;
        let asking = self.asking(ix, "delegated")?;
        let refuse = |who: &Arc<str>, why: String| Err(Refusal::NotPermitted { task: task.clone(), by: who.clone(), why });
        let approval = match &self.run.node(ix).work {
            Work::Approval(approval) if !asking.outcome => approval,
            _ => return refuse(&from.name, "anybody who knows may answer this question, so there is nothing to hand on".to_owned()),
        };
        let levels = self.run.may_answer(ix, approval, asking, from)?;
        if asking.answers.iter().any(|answer| answer.by == from.name) {
            return refuse(&from.name, "they have answered already".to_owned());
        }
        if to == from.name {
            return refuse(&to, "it is theirs already".to_owned());
        }
        if to.is_empty() || to.trim() != &*to {
            return refuse(&to, "a name has no white space around it, and is not empty".to_owned());
        }
        let next = Person { name: to.clone(), groups: Vec::new() };
        let handed = Delegation { from: from.name.clone(), to: to.clone(), levels: levels.clone() };
        let handed = Asking { delegations: vec![handed], ..asking.clone() };
        self.run.may_answer(ix, approval, &handed, &next)?;
        let task = self.run.reference(ix);
        self.record(Event::Delegated { task, from: from.name.clone(), to, note, levels });
        Ok(())
    }

    // -- time

    fn woke(&mut self) {
        while self.broken.is_none()
            && let Some(ix) = self.run.due(self.at)
        {
            if ix == NONE {
                self.out_of_time();
                continue;
            }
            let task = self.run.reference(ix);
            match self.state(ix) {
                State::Running(_) => {
                    let attempt = self.run.tasks[ix as usize].attempt;
                    self.attempt_failed(task, attempt, Failure::new(FailureClass::Timeout, "it took longer than it may"));
                }
                State::Retrying { .. } => self.record(Event::RetryDue { task }),
                State::Sleeping { .. } => self.record(Event::Woken { task, signal: None }),
                State::Asking(_) => self.question_expired(ix, task),
                State::Waiting => self.join_late(ix, task),
                State::Ready | State::Mapping(_) | State::Succeeded | State::Ended(..) => {
                    unreachable!("{} has no timer", task.id)
                }
            }
            // What follows from this one comes before the next one is due.
            self.settle();
        }
    }

    /// Nothing more is waited for. What was not decided by then is decided as if something had failed.
    pub(crate) fn out_of_time(&mut self) {
        let plan = self.run.plan.clone();
        if let Some(action) = plan.on_failure.as_ref().filter(|_| self.run.decision.is_none()) {
            self.take(&plan, Taken::new(action, Rule::OutOfTime));
        }
        self.conclude(Conclusion::TimedOut);
    }

    fn question_expired(&mut self, ix: u32, task: TaskRef) {
        let (State::Asking(asking), Work::Approval(approval)) = (self.state(ix), &self.run.node(ix).work) else { return };
        let next = asking.level + 1;
        if let Some(level) = approval.levels.get(next as usize) {
            let deadline = level.within.map(|within| self.at.plus(within));
            return self.record(Event::Escalated { task, level: next, deadline });
        }
        match &approval.on_expiry {
            Expiry::Fail => self.record(Event::TaskFailed { task, cause: Box::new(Cause::Expired) }),
            Expiry::Choose(choice) => {
                let rejects = approval.choices.iter().any(|known| known.name == *choice && known.rejects);
                let verdict = if rejects { Verdict::Rejected } else { Verdict::Accepted };
                let answer = Answer {
                    by: NOBODY.into(),
                    choice: choice.clone(),
                    note: "nobody answered in time".into(),
                    output: None,
                    levels: Vec::new(),
                };
                self.record(Event::Answered { task, answer: Box::new(answer), verdict });
            }
        }
    }

    fn join_late(&mut self, ix: u32, task: TaskRef) {
        match self.run.node(ix).join.on_late {
            OnLate::Proceed => self.record(Event::JoinLate { task }),
            OnLate::Skip => self.record(Event::TaskSkipped { task, cause: Box::new(Cause::Late) }),
            OnLate::Fail => self.record(Event::TaskFailed { task, cause: Box::new(Cause::Late) }),
        }
    }

    // -- coming to rest

    /// Decides everything that follows from the state alone, until nothing more does.
    fn settle(&mut self) {
        while self.broken.is_none() && !self.run.has_ended() && self.step() {}
        debug_assert!(self.broken.is_some() || self.run.agenda.is_empty(), "the run came to rest with work on its agenda");
    }

    pub(crate) fn step(&mut self) -> bool {
        let agenda = &mut self.run.agenda;
        if let Some(winner) = agenda.races.pop_front() {
            self.win(winner);
        } else if let Some(ix) = agenda.fatal.take() {
            // What the run cannot do without has failed: nothing is decided on what is left.
            let task = self.run.reference(ix);
            let plan = self.run.plan.clone();
            if let Some(action) = plan.on_failure.as_ref().filter(|_| self.run.decision.is_none()) {
                // Whoever that asks decides; no checkpoint does on what is left.
                self.take(&plan, Taken::new(action, Rule::Failed { task: task.clone() }));
            }
            self.conclude(Conclusion::Failed(task));
        } else if !agenda.checks.is_empty() {
            let mut checks = std::mem::take(&mut agenda.checks);
            checks.sort_unstable();
            checks.dedup();
            self.look_at(&checks);
        } else if let Some(ix) = agenda.joins.pop_front() {
            self.consider(ix);
        } else if let Some(ix) = agenda.repeats.front().copied() {
            self.repeat(ix);
        } else if let Some(ix) = agenda.maps.pop_front() {
            self.gather(ix);
        } else if !self.run.listeners.is_empty() && self.deliver_signal() {
        } else if let Some(ready) = self.run.ready_inside.peek().copied()
            && self.run.is_first_in_line(ready.task())
        {
            self.start_inside(ready.task());
        } else {
            return self.finish();
        }
        true
    }

    fn win(&mut self, winner: u32) {
        let losers: Vec<TaskRef> = self.run.rivals(winner).into_iter().map(|loser| self.run.reference(loser)).collect();
        if !losers.is_empty() {
            let task = self.run.reference(winner);
            self.record(Event::RaceWon { task, losers });
        }
    }

    fn consider(&mut self, ix: u32) {
        if !matches!(self.state(ix), State::Waiting) || !self.run.may_start(ix) {
            return;
        }
        match self.run.join_verdict(ix) {
            JoinVerdict::Open => {}
            JoinVerdict::Never => self.join_never(ix),
            JoinVerdict::Fires => self.read_condition(ix),
        }
    }

    fn join_never(&mut self, ix: u32) {
        let task = self.run.reference(ix);
        let tally = self.run.tasks[ix as usize].tally;
        let node = self.run.node(ix);
        let needed = match node.join.needs {
            crate::draft::Needs::Any => 1,
            crate::draft::Needs::AtLeast(count) => count,
            _ => {
                let culprit = node.deps.iter().find_map(|dep| match self.run.latest[*dep as usize] {
                    NONE => None,
                    dep => matches!(self.state(dep), State::Ended(..)).then(|| self.run.reference(dep)),
                });
                let cause = culprit.map_or(Cause::Stalled, Cause::Dependency);
                return self.record(Event::TaskSkipped { task, cause: Box::new(cause) });
            }
        };
        let cause = Box::new(Cause::JoinImpossible { succeeded: tally.succeeded, needed });
        // Failures that this join was to judge must not vanish in a skip.
        self.record(if tally.failed > 0 { Event::TaskFailed { task, cause } } else { Event::TaskSkipped { task, cause } });
    }

    fn read_condition(&mut self, ix: u32) {
        let task = self.run.reference(ix);
        let node = self.run.node(ix);
        let mut seen = Vec::new();
        if let Some(when) = &node.when {
            let (truth, operands) = self.run.explain(when, Some(ix));
            if !truth.holds() {
                let cause = Box::new(Cause::Condition { text: when.text().to_owned(), operands, unknown: truth != Truth::False });
                return self.record(Event::TaskSkipped { task, cause });
            }
            seen = operands;
        }
        if let Some(skip_when) = &node.skip_when {
            let (truth, operands) = self.run.explain(skip_when, Some(ix));
            if truth.holds() {
                let cause = Box::new(Cause::Condition { text: format!("not ({})", skip_when.text()), operands, unknown: false });
                return self.record(Event::TaskSkipped { task, cause });
            }
            seen.extend(operands);
        }
        self.record(Event::TaskAdmitted { task, operands: seen });
    }

    fn repeat(&mut self, ix: u32) {
        let task = self.run.reference(ix);
        let node = self.run.node(ix);
        let Some(repeat) = &node.repeat else { return };
        let done = match self.run.tasks[ix as usize].origin {
            Origin::Iteration { turn, .. } => turn,
            _ => 1,
        };
        let (truth, operands) = self.run.explain(&repeat.again, Some(ix));
        let needed: usize = repeat.section.iter().map(|member| crate::run::with_undo(&self.run.plan.nodes[*member as usize])).sum();
        if truth.holds() && done < repeat.max && needed <= self.run.room() {
            self.record(Event::Repeated { task, iteration: done + 1, operands });
        } else {
            let unknown = matches!(truth, Truth::Unknown(_));
            self.record(Event::RepeatEnded { task, iterations: done, exhausted: truth.holds(), operands, unknown });
        }
    }

    fn gather(&mut self, ix: u32) {
        let State::Mapping(mapping) = self.state(ix) else { return };
        let keep_going = self.run.node(ix).for_each.as_ref().is_some_and(|each| each.keep_going);
        let task = self.run.reference(ix);
        if let Some(item) = mapping.failed
            && !keep_going
        {
            let cause = Box::new(Cause::Item(self.run.reference(item)));
            return self.record(Event::TaskFailed { task, cause });
        }
        if mapping.open > 0 {
            return;
        }
        match self.run.gather(mapping) {
            Ok(_) => self.record(Event::Gathered { task }),
            Err(why) => {
                let failure = Failure::new(FailureClass::Invalid, format!("the results together: {why}"));
                self.record(Event::TaskFailed { task, cause: Box::new(Cause::Unfit(failure)) });
            }
        }
    }

    /// Gives a signal to whoever has waited for it longest.
    fn deliver_signal(&mut self) -> bool {
        let run = &*self.run;
        let found = run.listeners.iter().find_map(|(name, line)| Some((*line.front()?, run.signals.get(name)?.front()?.seq)));
        let Some((ix, seq)) = found else { return false };
        let task = self.run.reference(ix);
        self.record(Event::Woken { task, signal: Some(seq) });
        true
    }

    /// Starts what needs nobody outside to start it: a question, a wait, a list.
    fn start_inside(&mut self, ix: u32) {
        let begun = if self.run.is_map(ix) { self.map(ix) } else { self.ask_or_wait(ix) };
        let task = self.run.reference(ix);
        match begun {
            Ok(event) => self.record(event),
            Err(failure) => self.record(Event::TaskFailed { task, cause: Box::new(Cause::Unfit(failure)) }),
        }
    }

    fn map(&self, ix: u32) -> Result<Event, Failure> {
        let invalid = |why: String| Failure::new(FailureClass::Invalid, why);
        let task = self.run.reference(ix);
        let Some(each) = &self.run.node(ix).for_each else { return Err(invalid("it has no list".to_owned())) };
        let text = each.items.text();
        let json = self.run.json_of(&each.items, Some(ix)).map_err(|why| invalid(format!("its list `{text}` {why}")))?;
        let items = Payload::parse(json).map_err(|wrong| invalid(format!("its list: {wrong}")))?;
        let count = items.items().ok_or_else(|| invalid(format!("`{text}` is not a list")))?.len();
        let room = self.run.room() / crate::run::with_undo(self.run.node(ix));
        if count > room {
            return Err(invalid(format!("its list has {count} items, and the run has room for {room} more tasks")));
        }
        Ok(Event::Mapped { task, items })
    }

    fn ask_or_wait(&self, ix: u32) -> Result<Event, Failure> {
        let task = self.run.reference(ix);
        match &self.run.node(ix).work {
            Work::Approval(approval) => {
                let text = self.run.render_plain(&approval.question, Some(ix))?;
                let evidence = match &approval.evidence {
                    // Whoever reviews a decision answers to it, whatever else there is to see.
                    Some(form) if self.run.node(ix).role == Role::Review => {
                        let (decision, more) = (self.evidence(ix)?, self.run.render(form, Some(ix))?);
                        let whole = format!("{{\"decision\":{},\"evidence\":{}}}", decision.json(), more.json());
                        Payload::parse(whole).map_err(|wrong| Failure::new(FailureClass::Invalid, format!("the evidence: {wrong}")))?
                    }
                    Some(form) => self.run.render(form, Some(ix))?,
                    None => self.evidence(ix)?,
                };
                let deadline = approval.levels[0].within.map(|within| self.at.plus(within));
                let evidence_digest = Digest::of(evidence.json().as_bytes());
                let except = match &approval.except {
                    Some(form) => {
                        let names = self.run.render(form, Some(ix))?.decode::<Vec<Arc<str>>>();
                        names.map_err(|wrong| {
                            Failure::new(FailureClass::Invalid, format!("who may not answer is no list of names: {wrong}"))
                        })?
                    }
                    None => Vec::new(),
                };
                Ok(Event::Asked { task, question: Box::new(Question { text, evidence, evidence_digest, deadline, except }) })
            }
            Work::Wait { lasting, until, signal: _ } => {
                let lasting = lasting.map(|length| self.at.plus(length));
                let until = match until {
                    None => None,
                    Some(Until::Fixed(at)) => Some(*at),
                    Some(Until::Computed(bound)) => {
                        let json = self.run.json_of(bound, Some(ix));
                        let text = json.ok().and_then(|json| serde_json::from_str::<String>(&json).ok()).unwrap_or_default();
                        let wrong = |_| Failure::new(FailureClass::Invalid, format!("`{}` is not a point in time", bound.text()));
                        Some(text.parse().map_err(wrong)?)
                    }
                };
                Ok(Event::Slept { task, until: [lasting, until].into_iter().flatten().min() })
            }
            Work::Agent { .. } | Work::Workflow { .. } => Err(Failure::new(FailureClass::Internal, "an agent does this")),
        }
    }

    /// What a question rests on where the plan does not say: what came before it, or the decision.
    fn evidence(&self, ix: u32) -> Result<Payload, Failure> {
        let too_large = |wrong: crate::BadValue| Failure::new(FailureClass::Invalid, format!("the evidence: {wrong}"));
        if self.run.node(ix).role == Role::Review {
            return Payload::of(&self.run.decision).map_err(too_large);
        }
        if let Some(exceeded) =
            self.run.spending.as_ref().and_then(|spending| spending.exceeded.as_ref()).filter(|_| self.run.is_budget_question(ix))
        {
            return Payload::of(exceeded).map_err(too_large);
        }
        let outputs = self.run.request(&self.run.reference(ix))?.outputs;
        let mut json = String::from("{");
        for (position, (id, output)) in outputs.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            json.push_str(&format!("{comma}\"{id}\":{}", output.json()));
        }
        json.push('}');
        Payload::parse(json).map_err(too_large)
    }

    // -- growth

    fn grow_on_demand(&mut self, task: TaskRef, mut asked: Vec<String>) {
        let more = asked.len().saturating_sub(MAX_ASKED_FOR);
        asked.truncate(MAX_ASKED_FOR);
        asked.extend((more > 0).then(|| format!("{more} more")));
        asked.iter_mut().for_each(|name| name.truncate(name.floor_char_boundary(MAX_ID_BYTES)));
        let plan = self.run.plan.clone();
        let allowed = &self.run.node(task.ix).may_grow;
        let (granted, refused): (Vec<String>, Vec<String>) =
            asked.into_iter().partition(|id| plan.find(id).is_some_and(|node| allowed.contains(&node)));
        if !refused.is_empty() {
            self.record(Event::GrowthRefused { task: task.clone(), asked: refused });
        }
        let nodes: Vec<u32> = granted.iter().filter_map(|id| plan.find(id)).collect();
        self.grow(Grower::Task(task), &nodes);
    }

    /// Adds those of the tasks that the run does not have yet.
    fn grow(&mut self, by: Grower, nodes: &[u32]) {
        let mut tasks: Vec<Arc<str>> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let id = &self.run.plan.nodes[*node as usize].id;
            if self.run.latest[*node as usize] == NONE && !tasks.contains(id) {
                tasks.push(id.clone());
            }
        }
        let over = self.run.conclusion.is_some() && !matches!(by, Grower::Decision(_));
        let checkpoint = matches!(by, Grower::Checkpoint { .. });
        if !over && (checkpoint || !tasks.is_empty()) {
            self.record(Event::Grew { by, tasks });
        }
    }

    // -- decisions

    fn look_at(&mut self, checks: &[u32]) {
        let plan = self.run.plan.clone();
        if plan.decide_last {
            return;
        }
        for ix in checks {
            if self.run.decision.is_some() || self.run.conclusion.is_some() {
                return;
            }
            if !self.run.holds(&plan, *ix) {
                continue;
            }
            let before = self.entries.len();
            self.checkpoint_holds(&plan, *ix);
            if self.entries.len() > before {
                // What follows from that comes first, as it does where a run is loaded here.
                return self.run.agenda.checks.extend(checks);
            }
        }
    }

    /// A checkpoint holds. It follows only if no unknown one stands before it in its table.
    fn checkpoint_holds(&mut self, plan: &Plan, ix: u32) {
        let checkpoint = &plan.checkpoints[ix as usize];
        let before = plan.checkpoints[..ix as usize].iter().zip(&self.run.fired);
        let unknown = before.filter(|(other, fired)| other.table == checkpoint.table && !**fired).map(|(other, _)| other);
        let unknown = unknown.into_iter().find(|other| matches!(self.run.truth(&other.condition, None), Truth::Unknown(_)));
        if let Some(unknown) = unknown {
            if !self.run.may_still_learn(&unknown.condition) {
                let rule = Rule::Unknown { checkpoint: unknown.id.clone(), behind: checkpoint.id.clone() };
                self.decide(plan, Taken::new(&plan.on_unknown, rule));
            }
            return;
        }
        let waits = |other: &Checkpoint| !self.at_last && self.run.waits_for_more(other);
        let earlier = plan.checkpoints[..ix as usize]
            .iter()
            .zip(&self.run.fired)
            .filter(|(other, fired)| other.table == checkpoint.table && !**fired);
        if waits(checkpoint) || earlier.into_iter().any(|(other, _)| self.run.truth(&other.condition, None).holds() && waits(other)) {
            return;
        }
        let subject = checkpoint.after.first().copied();
        match &checkpoint.then {
            Then::Decide(action) => {
                let confidence = subject.and_then(|node| self.run.confidence_of(node));
                let taken = Taken { confidence, ..Taken::new(action, Rule::Checkpoint(checkpoint.id.clone())) };
                self.decide_with(plan, checkpoint, taken);
            }
            Then::Voices(voices) => {
                let Some(Heard { action, confidence, council }) = self.run.council(voices, self.at_last) else { return };
                let rule = Rule::Voices { checkpoint: checkpoint.id.clone(), how: council.to_string() };
                self.decide_with(plan, checkpoint, Taken { confidence, council: Some(Box::new(council)), ..Taken::new(&action, rule) });
            }
            Then::Follow(node) => self.follow(plan, checkpoint, *node),
            Then::Grow(nodes) => {
                let (_, operands) = self.run.explain(&checkpoint.condition, None);
                self.grow(Grower::Checkpoint { id: checkpoint.id.clone(), operands }, nodes);
            }
        }
    }

    fn follow(&mut self, plan: &Plan, checkpoint: &Checkpoint, node: u32) {
        let task = match self.run.latest[node as usize] {
            NONE => TaskRef { ix: NONE, id: plan.nodes[node as usize].id.clone() },
            ix => self.run.reference(ix),
        };
        let confidence = self.run.confidence_of(node);
        let wrong = match self.run.text_field(node, "action") {
            Ok(action) if plan.actions.contains(action.as_str()) => {
                let rule = Rule::Followed { checkpoint: checkpoint.id.clone(), task };
                return self.decide_with(plan, checkpoint, Taken { confidence, ..Taken::new(&action, rule) });
            }
            Ok(action) => format!("`{action}` is not an action of this plan"),
            Err(why) => format!("its action {why}"),
        };
        let rule = Rule::NotFollowed { checkpoint: checkpoint.id.clone(), task, why: wrong };
        self.decide(plan, Taken { confidence, ..Taken::new(crate::HIL_REVIEW, rule) });
    }

    /// Decides with what the checkpoint says besides. An action without what goes with it is left to people.
    fn decide_with(&mut self, plan: &Plan, checkpoint: &Checkpoint, mut taken: Taken) {
        let told = |form: &Form| {
            self.run.render_plain(form, None).unwrap_or_else(|failure| format!("(its reason cannot be told: {})", failure.message))
        };
        taken.reason = checkpoint.reason.as_ref().map(told);
        match checkpoint.with.as_ref().map(|form| self.run.render(form, None)).transpose() {
            Ok(with) => taken.with = with,
            Err(failure) => {
                taken.instead = Some(std::mem::replace(&mut taken.action, plan.on_unknown.to_string()));
                taken.rule = Rule::Incomplete { checkpoint: checkpoint.id.clone(), why: failure.message };
            }
        }
        self.decide(plan, taken);
    }

    fn decide(&mut self, plan: &Plan, mut taken: Taken) {
        if taken.action == crate::AUTO_RESOLVE {
            match self.doubt(plan, &taken.rule) {
                Doubt::None => {}
                Doubt::Open if !self.at_last => return,
                Doubt::Open => {}
                Doubt::Settled(rule) => {
                    taken.instead = Some(std::mem::replace(&mut taken.action, plan.on_unknown.to_string()));
                    (taken.rule, taken.confidence, taken.with) = (rule, None, None);
                }
            }
        }
        // That a voice failed is for its council to judge; for every other decision it is a failure like any.
        if taken.council.is_none()
            && let Some(failed) = self.run.unheard_failure()
        {
            self.run.agenda.fatal.get_or_insert(failed);
            return;
        }
        self.take(plan, taken);
        if plan.early_exit && self.run.count.open > 0 {
            self.conclude(Conclusion::Decided);
        }
    }

    /// Why something is not to be resolved by itself although a rule says so: what stands before that rule and leads to something
    /// else is unknown, it is not known whether an agent was to be asked, or one is missing that it takes.
    fn doubt(&self, plan: &Plan, rule: &Rule) -> Doubt {
        let run = &*self.run;
        let here = rule.checkpoint().and_then(|id| plan.checkpoints.iter().position(|checkpoint| *checkpoint.id == *id));
        let before = plan.checkpoints[..here.unwrap_or(plan.checkpoints.len())].iter().enumerate();
        for (ix, checkpoint) in before {
            let resolves = matches!(&checkpoint.then, Then::Decide(action) if **action == *crate::AUTO_RESOLVE);
            if resolves || matches!(checkpoint.then, Then::Grow(_)) || run.fired[ix] {
                continue;
            }
            let ended = !checkpoint.after.is_empty() && run.is_reached(u32::try_from(ix).expect("MAX_CHECKPOINTS fits"));
            // What is looked at after an agent that was not needed is not missing.
            let needed = checkpoint.after.iter().all(|node| match run.latest[*node as usize] {
                NONE => false,
                task => !matches!(run.state(task), State::Ended(TaskStatus::Skipped, _)),
            });
            if ended && needed && matches!(run.truth(&checkpoint.condition, None), Truth::Unknown(_)) {
                if run.may_still_learn(&checkpoint.condition) {
                    return Doubt::Open;
                }
                let behind = here.map_or_else(|| OTHERWISE.into(), |here| plan.checkpoints[here].id.clone());
                return Doubt::Settled(Rule::Unknown { checkpoint: checkpoint.id.clone(), behind });
            }
        }
        for task in &run.tasks {
            let node = &plan.nodes[task.node as usize];
            let must = node.role == Role::Main && !node.optional && !matches!(task.origin, Origin::Item { .. });
            if let State::Ended(TaskStatus::Skipped, cause) = &task.state
                && must
                && let Cause::Condition { unknown: true, .. } = &**cause
            {
                return Doubt::Settled(Rule::Doubt { why: format!("whether {} was to run is not known: {cause}", task.id) });
            }
        }
        let there = |node: &u32| match run.latest[*node as usize] {
            NONE => false,
            task => matches!(run.state(task), State::Succeeded),
        };
        match plan.resolve_needs.iter().find(|need| !need.tasks.iter().any(there)) {
            Some(Needed { name, .. }) => Doubt::Settled(Rule::Doubt { why: format!("{name} has found nothing") }),
            None => Doubt::None,
        }
    }

    /// Takes a decision, and opens what it opens.
    fn take(&mut self, plan: &Plan, taken: Taken) {
        let Taken { action, confidence, rule, reason, with, council, instead } = taken;
        let looks = self.looks(plan, rule.checkpoint());
        let others = plan.actions.iter().filter(|other| ***other != *action);
        let not_taken = others.map(|other| not_taken(plan, other, &looks, council.as_deref(), instead.as_deref())).collect();
        let contributors = self.run.tasks.iter().enumerate().filter_map(|(ix, task)| {
            let agent = task.agent.clone().filter(|_| matches!(task.state, State::Succeeded))?;
            Some(Contributor { task: self.run.reference(u32::try_from(ix).ok()?), agent })
        });
        let contributors = contributors.collect();
        let decision = Decision { action: action.clone(), confidence, rule, reason, with, council, looks, contributors, not_taken };
        self.record(Event::Decided(Arc::new(decision)));
        // Before the main part is over, so that what comes after it knows whom to wait for.
        let reviews: Vec<u32> = plan.reviews.iter().filter(|(on, _)| **on == *action).map(|(_, node)| *node).collect();
        if !reviews.is_empty() {
            self.grow(Grower::Decision(action), &reviews);
        }
    }

    /// All checkpoints that were looked at, and the one that decided, also where it did before all that it looks at had ended.
    fn looks(&self, plan: &Plan, decided: Option<&str>) -> Vec<Look> {
        // Those that are kept for the end are looked at then.
        let come = |ix: u32, checkpoint: &Checkpoint| !checkpoint.after.is_empty() || self.at_last || self.run.fired[ix as usize];
        let reached = (0..)
            .zip(&plan.checkpoints)
            .filter(|(ix, checkpoint)| decided == Some(&*checkpoint.id) || (self.run.is_reached(*ix) && come(*ix, checkpoint)));
        let reached = reached.map(|(_, checkpoint)| checkpoint);
        let look = |checkpoint: &Checkpoint| {
            let (truth, operands) = self.run.explain(&checkpoint.condition, None);
            let condition = checkpoint.condition.text().to_owned();
            Look { checkpoint: checkpoint.id.clone(), condition, outcome: truth.into(), operands }
        };
        reached.map(look).collect()
    }

    // -- the end

    fn conclude(&mut self, conclusion: Conclusion) {
        self.record(Event::Concluded(Box::new(conclusion)));
    }

    /// Looks whether the main part, or the whole run, is over. Nothing is on the agenda.
    fn finish(&mut self) -> bool {
        let run = &*self.run;
        if run.conclusion.is_some() {
            return self.finish_after();
        }
        if run.count.open > 0 {
            if run.count.active() > 0 {
                return false;
            }
            let open = run.tasks.iter().enumerate().filter(|(_, task)| !task.state.status().is_end());
            let stuck = open.filter(|(_, task)| matches!(run.plan.nodes[task.node as usize].role, Role::Main | Role::Catalogue));
            let stuck = stuck.map(|(ix, _)| run.reference(u32::try_from(ix).expect("MAX_INSTANCES fits"))).collect();
            self.conclude(Conclusion::Stalled(stuck));
            return true;
        }
        if run.plan.decides && run.decision.is_none() {
            self.decide_at_last();
        } else {
            let decided = run.decision.is_some();
            self.conclude(if decided { Conclusion::Decided } else { Conclusion::Finished });
        }
        true
    }

    /// Everything has ended and nothing decided: the checkpoints that were kept for this are looked at.
    fn decide_at_last(&mut self) {
        self.at_last = true;
        self.take_last();
        self.at_last = false;
    }

    fn take_last(&mut self) {
        let plan = self.run.plan.clone();
        for (ix, checkpoint) in (0..).zip(&plan.checkpoints) {
            let kept = checkpoint.after.is_empty() || matches!(checkpoint.then, Then::Voices(_));
            let kept = (kept || (plan.decide_last && self.run.is_reached(ix))) && !self.run.fired[ix as usize];
            if kept && self.run.truth(&checkpoint.condition, None).holds() {
                let before = self.entries.len();
                self.checkpoint_holds(&plan, ix);
                if self.entries.len() > before {
                    return;
                }
            }
        }
        // What happens otherwise stands behind every checkpoint that was reached, and does not pass by an unknown one.
        let come = |ix: u32, checkpoint: &Checkpoint| self.run.is_reached(ix) || matches!(checkpoint.then, Then::Voices(_));
        let reached = (0..).zip(&plan.checkpoints).filter(|(ix, checkpoint)| !self.run.fired[*ix as usize] && come(*ix, checkpoint));
        let unknown = reached.map(|(_, checkpoint)| checkpoint).find(|checkpoint| {
            !matches!(checkpoint.then, Then::Grow(_)) && matches!(self.run.truth(&checkpoint.condition, None), Truth::Unknown(_))
        });
        match unknown {
            Some(unknown) => {
                let rule = Rule::Unknown { checkpoint: unknown.id.clone(), behind: OTHERWISE.into() };
                self.decide(&plan, Taken::new(&plan.on_unknown, rule));
            }
            None => self.decide(&plan, Taken::new(&plan.otherwise, Rule::Otherwise)),
        }
    }

    fn finish_after(&mut self) -> bool {
        let run = &*self.run;
        if run.count.active() > 0 {
            return false;
        }
        if run.count.open_after > 0 {
            let waiting =
                |task: &crate::run::Task| matches!(task.state, State::Waiting) && run.plan.nodes[task.node as usize].role == Role::Finally;
            let stuck = run.tasks.iter().position(waiting).expect("a final task that is open and not active waits");
            let task = run.reference(u32::try_from(stuck).expect("MAX_INSTANCES fits"));
            self.record(Event::TaskSkipped { task, cause: Box::new(Cause::Stalled) });
            return true;
        }
        let failed = (0..).zip(&run.tasks).filter(|(_, task)| run.counts_as_failed(task));
        let failed: Vec<TaskRef> = failed.map(|(ix, _)| run.reference(ix)).collect();
        let status = match run.conclusion.as_deref() {
            Some(Conclusion::TimedOut) => RunStatus::TimedOut,
            Some(Conclusion::Cancelled { .. }) => RunStatus::Cancelled,
            // Also where it was cancelled while people had still to look at the decision.
            Some(Conclusion::Finished | Conclusion::Decided) if run.cancel_requested => RunStatus::Cancelled,
            Some(Conclusion::Finished | Conclusion::Decided) if failed.is_empty() => RunStatus::Succeeded,
            _ => RunStatus::Failed,
        };
        self.record(Event::RunEnded { status, failed });
        true
    }
}

impl Agenda {
    fn is_empty(&self) -> bool {
        self.races.is_empty()
            && self.checks.is_empty()
            && self.fatal.is_none()
            && self.joins.is_empty()
            && self.repeats.is_empty()
            && self.maps.is_empty()
    }
}

/// Whether a note is one: signs alone, seen or unseen, tell nobody anything.
fn says_something(note: &str) -> bool {
    note.chars().any(char::is_alphanumeric)
}

/// What an answer to a question of the plan comes to.
fn verdict_of(
    approval: &Approval,
    asking: &Asking,
    answer: &Answer,
    levels: &[u32],
    agrees: &dyn Fn(&str) -> bool,
) -> Result<Verdict, String> {
    let Some(choice) = approval.choices.iter().find(|choice| choice.name == answer.choice) else {
        let names: Vec<&str> = approval.choices.iter().map(|choice| choice.name.as_str()).collect();
        return Err(format!("choose one of {}", names.join(", ")));
    };
    if choice.needs_note && !says_something(&answer.note) {
        return Err("it needs a note".to_owned());
    }
    if choice.rejects {
        return Ok(Verdict::Rejected);
    }
    // Each level counts for itself: who is asked later does not lower what was needed before.
    let agree = |level: u32| {
        let others = asking.answers.iter().filter(|other| other.by != answer.by && agrees(&other.choice));
        others.filter(|other| other.levels.contains(&level)).count() + usize::from(levels.contains(&level))
    };
    let enough = (0..=asking.level).any(|level| agree(level) >= approval.levels[level as usize].at_least.unwrap_or(1) as usize);
    Ok(if enough { Verdict::Accepted } else { Verdict::Counted })
}

impl Run {
    /// Whether an answer agrees with the decision: `approve` is a yes to what it proposes, and so is naming that.
    #[must_use]
    pub fn proposes(&self, choice: &str) -> bool {
        let with = self.decision().and_then(|decision| decision.with.as_ref());
        let proposed = with.and_then(|with| with.decode::<BTreeMap<String, serde_json::Value>>().ok()).unwrap_or_default();
        choice == APPROVE || proposed.values().any(|value| value == choice)
    }

    /// Whether two answers say the same: in the same words, or one of them by naming what is proposed.
    fn agree(&self, one: &str, other: &str) -> bool {
        one == other || (one == APPROVE || other == APPROVE) && self.proposes(one) && self.proposes(other)
    }
}

/// Whether a level asks somebody; one that names nobody asks everybody.
fn names(level: &Level, by: &Person) -> bool {
    (level.users.is_empty() && level.groups.is_empty())
        || level.users.iter().any(|user| **user == *by.name)
        || level.groups.iter().any(|group| by.groups.contains(group))
}

impl Run {
    /// Whether a checkpoint is come to, and holds.
    fn holds(&mut self, plan: &Plan, ix: u32) -> bool {
        let checkpoint = &plan.checkpoints[ix as usize];
        // Voices may agree before the last of them is heard.
        let come = self.has_come_to(ix) || matches!(checkpoint.then, Then::Voices(_));
        let open = !checkpoint.after.is_empty() && !self.fired[ix as usize] && come;
        open && self.truth(&checkpoint.condition, None).holds()
    }

    /// Whether what goes with the action of a checkpoint cannot be put together yet, and may be later.
    fn waits_for_more(&self, checkpoint: &Checkpoint) -> bool {
        let open = checkpoint.with.as_ref().is_some_and(|with| self.render(with, None).is_err());
        open && checkpoint.reads_with().any(|bound| self.may_still_learn(bound))
    }

    /// Whether one of the checkpoints that are to be looked at holds. Those that do not are not looked at again.
    pub(crate) fn something_holds(&mut self) -> bool {
        let plan = self.plan.clone();
        let mut checks = std::mem::take(&mut self.agenda.checks);
        checks.retain(|ix| {
            let settled = match &plan.checkpoints[*ix as usize].then {
                Then::Voices(voices) => self.council(voices, false).is_some(),
                Then::Decide(_) | Then::Follow(_) | Then::Grow(_) => true,
            };
            settled && self.holds(&plan, *ix)
        });
        self.agenda.checks = checks;
        !self.agenda.checks.is_empty()
    }
}

/// What speaks against resolving something by itself.
enum Doubt {
    None,
    /// It may still come to be known.
    Open,
    /// That is how it stands.
    Settled(Rule),
}

/// A decision on its way.
struct Taken {
    action: String,
    confidence: Option<quorate_expr::Decimal>,
    rule: Rule,
    reason: Option<String>,
    with: Option<Payload>,
    council: Option<Box<Council>>,
    /// The action that it would have been, had all been there that goes with it.
    instead: Option<String>,
}

impl Taken {
    fn new(action: &str, rule: Rule) -> Taken {
        Taken { action: action.to_owned(), confidence: None, rule, reason: None, with: None, council: None, instead: None }
    }
}

/// Why an action was not taken that no checkpoint leads to: whoever explains it says so in their own words.
pub const NOT_BY_ITSELF: &str = "no checkpoint of this plan takes it by itself";

fn not_taken(plan: &Plan, action: &Arc<str>, looks: &[Look], council: Option<&Council>, instead: Option<&str>) -> NotTaken {
    if instead == Some(&**action) {
        return NotTaken { action: action.to_string(), why: "something is not known that it takes".to_owned() };
    }
    let leads = |checkpoint: &&Checkpoint| match &checkpoint.then {
        Then::Decide(taken) => taken == action,
        Then::Voices(voices) => voices::actions(plan, voices).contains(action),
        Then::Follow(_) | Then::Grow(_) => false,
    };
    if let Some(why) = council.and_then(|council| council.why_not(action)) {
        return NotTaken { action: action.to_string(), why };
    }
    let lead = plan.checkpoints.iter().find(leads);
    if council.is_some() && lead.is_some_and(|lead| matches!(lead.then, Then::Voices(_))) {
        return NotTaken { action: action.to_string(), why: "the voices came to something else".to_owned() };
    }
    let why = match lead {
        None => NOT_BY_ITSELF.to_owned(),
        Some(checkpoint) => match looks.iter().find(|look| look.checkpoint == checkpoint.id) {
            None => {
                let open: Vec<&str> = checkpoint.after.iter().map(|node| &*plan.nodes[*node as usize].id).collect();
                format!("{} was not reached: it is looked at after {}", checkpoint.id, open.join(", "))
            }
            Some(look) => {
                let outcome = match look.outcome {
                    Outcome::Holds => "holds, but something else came first",
                    Outcome::Fails => "does not hold",
                    Outcome::Unknown => "is unknown",
                };
                format!("`{}` {outcome}{}", look.condition, seen(&look.operands))
            }
        },
    };
    NotTaken { action: action.to_string(), why }
}

/// What a condition saw, behind its outcome.
pub(crate) fn seen(operands: &[Operand]) -> String {
    let told: Vec<String> = operands.iter().map(Operand::to_string).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
}

impl Run {
    /// The levels at which somebody is asked, or why they may not answer.
    pub(crate) fn may_answer(&self, ix: u32, approval: &Approval, asking: &Asking, by: &Person) -> Result<Vec<u32>, Refusal> {
        let refuse = |why: String| Err(Refusal::NotPermitted { task: self.tasks[ix as usize].id.clone(), by: by.name.clone(), why });
        let starter = self.begun().is_some_and(|start| start.by == by.name);
        if starter && !approval.starter_may_answer {
            return refuse("they started the run".to_owned());
        }
        if asking.question.except.contains(&by.name) {
            return refuse("they had a part in what it is about".to_owned());
        }
        // Whoever proposed may not approve, also where they proposed through somebody else.
        if let Some(node) = approval.not_by.iter().find(|node| self.acted.iter().any(|(in_, who)| in_ == *node && *who == by.name)) {
            return refuse(format!("they acted in `{}`", self.plan.nodes[*node as usize].id));
        }
        let mut levels: Vec<u32> = (0..=asking.level).filter(|level| names(&approval.levels[*level as usize], by)).collect();
        for Delegation { from, to, levels: handed } in &asking.delegations {
            if *from == by.name {
                levels.clear();
            } else if *to == by.name {
                levels.extend(handed);
            }
        }
        levels.sort_unstable();
        levels.dedup();
        if !levels.is_empty() {
            return Ok(levels);
        }
        if let Some(handed) = asking.delegations.iter().rev().find(|handed| handed.from == by.name) {
            return refuse(format!("they handed it on to {}", handed.to));
        }
        let asked = &approval.levels[..=asking.level as usize];
        let users = asked.iter().flat_map(|level| level.users.iter().cloned());
        let groups = asked.iter().flat_map(|level| level.groups.iter().map(|group| format!("the group {group}")));
        refuse(format!("it asks {}", users.chain(groups).collect::<Vec<_>>().join(", ")))
    }
}
