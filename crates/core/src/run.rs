//! The state of a run: the fold of its entries.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::budget::{Limit, Spending};
use crate::choice::MAX_FAILOVERS;
use crate::decision::Decision;
use crate::draft::{Choice, Level, Needs, Role};
use crate::event::{
    AgentRef, Answer, Cause, Conclusion, Effect, Entry, Event, Grower, Question, RunStatus, Start, TaskRef, Usage, Verdict,
};
use crate::plan::{Node, Plan, Work};
use crate::{Failure, FailureClass, Payload, Person, Refusal, RunId, Timestamp};

/// Most tasks of one run, those included that it grew.
pub const MAX_INSTANCES: usize = 1_000_000;
/// Who answers when nobody does and the plan says what happens then.
pub const NOBODY: &str = "(nobody)";
pub(crate) const NONE: u32 = u32::MAX;

/// One execution of a plan for one input.
#[derive(Clone, Debug)]
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) start: Option<Arc<Start>>,
    pub(crate) tasks: Vec<Task>,
    /// For each task of the plan the newest of its instances, or `NONE`.
    pub(crate) latest: Vec<u32>,
    names: Option<HashMap<Arc<str>, u32>>,
    /// Tasks that may start, by lane: tasks that ask for the same agent stand in line together.
    lanes: Vec<BinaryHeap<Ready>>,
    /// The lanes in which somebody stands.
    pub(crate) open_lanes: Vec<u32>,
    /// Tasks that the run itself starts: questions, waits and lists.
    pub(crate) ready_inside: BinaryHeap<Ready>,
    wakes: BinaryHeap<Reverse<Wake>>,
    pub(crate) agenda: Agenda,
    pub(crate) count: Counts,
    /// Tasks that can be undone, in the order in which they ended: those that succeeded, and those that may have taken
    /// effect all the same.
    undoable: Vec<u32>,
    /// Who answered in which task, or handed a question of it on.
    pub(crate) acted: Vec<(u32, Arc<str>)>,
    /// Places among the instances that are spoken for.
    reserved: usize,
    /// For each checkpoint how many of its tasks are known to have ended; see [`Run::have_ended`].
    reached: Vec<u32>,
    pub(crate) undo: VecDeque<u32>,
    /// Signals that nobody has taken, by name, oldest first.
    pub(crate) signals: BTreeMap<Arc<str>, VecDeque<Received>>,
    signal_ids: HashSet<Arc<str>>,
    /// Tasks that wait for a signal, by its name; few names, and many runs that wait.
    pub(crate) listeners: Vec<(Arc<str>, VecDeque<u32>)>,
    pub(crate) fired: Vec<bool>,
    pub(crate) decision: Option<Arc<Decision>>,
    pub(crate) conclusion: Option<Arc<Conclusion>>,
    pub(crate) cancel_requested: bool,
    pub(crate) ended: Option<RunStatus>,
    /// Counts every attempt that the run itself stopped; see [`Run::stopped`].
    pub(crate) stopped: u64,
    finally_begun: bool,
    /// What it has used; nothing where nobody said that they use anything.
    pub(crate) spending: Option<Box<Spending>>,
}

/// What has to be looked at before the run comes to rest. Empty between two calls of `advance`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agenda {
    pub(crate) checks: Vec<u32>,
    pub(crate) races: VecDeque<u32>,
    pub(crate) joins: VecDeque<u32>,
    pub(crate) repeats: VecDeque<u32>,
    pub(crate) maps: VecDeque<u32>,
    pub(crate) fatal: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ready: u32,
    pub(crate) running: u32,
    pub(crate) retrying: u32,
    pub(crate) asking: u32,
    pub(crate) sleeping: u32,
    pub(crate) mapping: u32,
    /// Tasks of the main part that have not ended.
    pub(crate) open: u32,
    /// Reviews and final tasks that have not ended.
    pub(crate) open_after: u32,
}

impl Counts {
    pub(crate) fn active(&self) -> u32 {
        self.ready + self.running + self.retrying + self.asking + self.sleeping + self.mapping
    }

    fn of(&mut self, state: &State) -> Option<&mut u32> {
        match state {
            State::Ready => Some(&mut self.ready),
            State::Running(_) => Some(&mut self.running),
            State::Retrying { .. } => Some(&mut self.retrying),
            State::Asking(_) => Some(&mut self.asking),
            State::Sleeping { .. } => Some(&mut self.sleeping),
            State::Mapping(_) => Some(&mut self.mapping),
            State::Waiting | State::Succeeded | State::Ended(..) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: Arc<str>,
    pub(crate) node: u32,
    pub(crate) origin: Origin,
    pub(crate) state: State,
    pub(crate) attempt: u32,
    pub(crate) failures: u32,
    /// Whether the condition was read, or the join was let go.
    pub(crate) admitted: bool,
    pub(crate) late: bool,
    pub(crate) tally: Tally,
    pub(crate) late_at: Option<Timestamp>,
    /// Whether an attempt that did not succeed may have taken effect.
    pub(crate) touched: bool,
    pub(crate) output: Option<Payload>,
    pub(crate) agent: Option<Arc<AgentRef>>,
    /// What few tasks have, and what therefore stands apart.
    pub(crate) aside: Option<Box<Aside>>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

/// Runs wait by the ten thousand, and most of what one takes is its tasks.
const _: () = assert!(size_of::<Task>() <= 152);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Plan,
    Grown,
    Item {
        map: u32,
        index: u32,
    },
    /// The instance of a later turn of a section, and that of the turn before.
    Iteration {
        turn: u32,
        before: u32,
    },
    Undoes(u32),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Aside {
    /// The confidence that its agent reported beside its output.
    pub(crate) confidence: Option<quorate_expr::Decimal>,
    /// The item for which it runs.
    pub(crate) item: Option<Payload>,
    /// How many others could have done it, when the last attempt began.
    pub(crate) others: u32,
    /// Agents that failed at it one after another.
    pub(crate) tried: Vec<Arc<AgentRef>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) open: u32,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum State {
    Waiting,
    Ready,
    Running(Running),
    Retrying { until: Timestamp, failure: Box<Failure> },
    Asking(Box<Asking>),
    Sleeping { until: Option<Timestamp> },
    Mapping(Box<Mapping>),
    Succeeded,
    Ended(TaskStatus, Arc<Cause>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) deadline: Option<Timestamp>,
    /// The run that does it, where it is a sub-workflow; apart, because few tasks are.
    pub(crate) child: Option<Box<RunId>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) question: Question,
    /// Whether the question is if an attempt happened, rather than the one of the plan.
    pub(crate) outcome: bool,
    pub(crate) level: u32,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) delegations: Vec<Delegation>,
}

/// A question that somebody handed on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Delegation {
    /// Who is not asked any more.
    pub from: Arc<str>,
    /// Who is, in their place.
    pub to: Arc<str>,
    /// The levels at which they were asked.
    pub levels: Vec<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) items: Vec<Payload>,
    pub(crate) instances: Vec<u32>,
    pub(crate) open: u32,
    pub(crate) failed: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) seq: u64,
    pub(crate) payload: Payload,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum TaskStatus {
    Waiting,
    Ready,
    Running,
    Retrying,
    Asking,
    Sleeping,
    Succeeded,
    Failed,
    TimedOut,
    Skipped,
    Cancelled,
}

impl TaskStatus {
    /// Whether nothing more will happen to the task.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, TaskStatus::Succeeded | TaskStatus::Failed | TaskStatus::TimedOut | TaskStatus::Skipped | TaskStatus::Cancelled)
    }
}

impl std::fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TaskStatus::Waiting => "waiting",
            TaskStatus::Ready => "ready",
            TaskStatus::Running => "running",
            TaskStatus::Retrying => "retrying",
            TaskStatus::Asking => "asking",
            TaskStatus::Sleeping => "sleeping",
            TaskStatus::Succeeded => "succeeded",
            TaskStatus::Failed => "failed",
            TaskStatus::TimedOut => "timed_out",
            TaskStatus::Skipped => "skipped",
            TaskStatus::Cancelled => "cancelled",
        })
    }
}

impl State {
    pub(crate) fn status(&self) -> TaskStatus {
        match self {
            State::Waiting => TaskStatus::Waiting,
            State::Ready => TaskStatus::Ready,
            State::Running(_) | State::Mapping(_) => TaskStatus::Running,
            State::Retrying { .. } => TaskStatus::Retrying,
            State::Asking(_) => TaskStatus::Asking,
            State::Sleeping { .. } => TaskStatus::Sleeping,
            State::Succeeded => TaskStatus::Succeeded,
            State::Ended(status, _) => *status,
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        matches!(self, State::Succeeded | State::Ended(..))
    }
}

/// A task that may start: the most urgent one first, then the one that stands first in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ready {
    priority: u8,
    first: Reverse<u32>,
}

impl Ready {
    pub(crate) fn task(self) -> u32 {
        self.first.0
    }

    pub(crate) fn priority(self) -> u8 {
        self.priority
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wake {
    at: Timestamp,
    task: u32,
}

/// A journal that does not tell a possible story. The run cannot be trusted, and nothing is repaired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} of run {run} cannot have happened: {why}")]
pub struct Corrupt {
    /// The run.
    pub run: RunId,
    /// The entry.
    pub seq: u64,
    /// What is impossible about it.
    pub why: String,
}

/// How far a run has come, in tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How the run stands.
    pub status: RunStatus,
    /// All tasks that belong to it by now.
    pub total: usize,
    /// Those that succeeded.
    pub completed: usize,
    /// Those that failed, timed out or were cancelled.
    pub failed: usize,
    /// Those that were skipped.
    pub skipped: usize,
    /// Those that are under way, or wait for another attempt, for people or for time.
    pub running: usize,
    /// Those that have not begun.
    pub open: usize,
}

/// A question that is open.
#[derive(Clone, Copy, Debug)]
pub struct Asks<'a> {
    /// The question, and what the answer rests on.
    pub question: &'a Question,
    /// The answers to choose from. None: the question is whether an attempt took effect, and the answers are those that
    /// the question names.
    pub choices: &'a [Choice],
    /// Who is asked by now. None: anybody.
    pub levels: &'a [Level],
    /// Whether the one who started the run may answer.
    pub starter_may_answer: bool,
    /// Whether another answer than `approve`, or what was proposed, needs a note.
    pub override_needs_note: bool,
    /// How long they have.
    pub deadline: Option<Timestamp>,
    /// Who has answered, where it takes several.
    pub answers: &'a [Answer],
    /// Who handed it on.
    pub delegations: &'a [Delegation],
}

/// A task as others see it.
#[derive(Clone, Copy, Debug)]
pub struct TaskView<'a> {
    run: &'a Run,
    ix: u32,
}

impl<'a> TaskView<'a> {
    fn task(self) -> &'a Task {
        &self.run.tasks[self.ix as usize]
    }

    pub(crate) fn position(self) -> u32 {
        self.ix
    }

    /// The task as inputs name it.
    #[must_use]
    pub fn reference(self) -> TaskRef {
        self.run.reference(self.ix)
    }

    /// Its name; those of grown tasks say where they came from, as `score[3]` and `draft#2` do.
    #[must_use]
    pub fn id(self) -> &'a str {
        &self.task().id
    }

    /// The name of the task in the plan.
    #[must_use]
    pub fn plan_id(self) -> &'a str {
        &self.run.node(self.ix).id
    }

    /// How it stands.
    #[must_use]
    pub fn status(self) -> TaskStatus {
        self.task().state.status()
    }

    /// How many items it runs for, as long as it does.
    #[must_use]
    pub fn items(self) -> Option<usize> {
        match &self.task().state {
            State::Mapping(mapping) => Some(mapping.items.len()),
            _ => None,
        }
    }

    /// How many attempts have started.
    #[must_use]
    pub fn attempts(self) -> u32 {
        self.task().attempt
    }

    /// Why it did not succeed, once it has ended without.
    #[must_use]
    pub fn cause(self) -> Option<&'a Cause> {
        match &self.task().state {
            State::Ended(_, cause) => Some(cause),
            _ => None,
        }
    }

    /// Why its last attempt failed, while it waits for the next one.
    #[must_use]
    pub fn setback(self) -> Option<&'a Failure> {
        match &self.task().state {
            State::Retrying { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// What it returned.
    #[must_use]
    pub fn output(self) -> Option<&'a Payload> {
        self.task().output.as_ref()
    }

    /// Who did it, or is doing it.
    #[must_use]
    pub fn agent(self) -> Option<&'a AgentRef> {
        self.task().agent.as_deref()
    }

    /// Whether it runs when people have answered what a decision asked them.
    #[must_use]
    pub fn follows_answers(self) -> bool {
        let node = self.run.node(self.ix);
        let reviews = node.deps.iter().all(|dep| self.run.plan.nodes[*dep as usize].role == Role::Review);
        node.role == Role::Finally && !node.deps.is_empty() && reviews
    }

    /// The agent that its plan names; nothing where one is chosen by what it can, or where it is no task for an agent.
    #[must_use]
    pub fn named_agent(self) -> Option<&'a str> {
        match &self.run.node(self.ix).work {
            Work::Agent { id, .. } => id.as_deref(),
            Work::Approval(_) | Work::Wait { .. } | Work::Workflow { .. } => None,
        }
    }

    /// When its first attempt, question or wait began.
    #[must_use]
    pub fn started(self) -> Option<Timestamp> {
        self.task().started
    }

    /// When it ended.
    #[must_use]
    pub fn ended(self) -> Option<Timestamp> {
        self.task().ended
    }

    /// When it goes on by itself: its next attempt begins, its wait ends, or its time is up.
    #[must_use]
    pub fn due(self) -> Option<Timestamp> {
        match &self.task().state {
            State::Running(running) => running.deadline,
            State::Retrying { until, .. } => Some(*until),
            State::Asking(asking) => asking.deadline,
            State::Sleeping { until } => *until,
            State::Waiting | State::Ready | State::Mapping(_) | State::Succeeded | State::Ended(..) => None,
        }
    }

    /// The question that is open, while it asks.
    #[must_use]
    pub fn asks(self) -> Option<Asks<'a>> {
        let State::Asking(asking) = &self.task().state else { return None };
        let approval = match &self.run.node(self.ix).work {
            Work::Approval(approval) if !asking.outcome => Some(&**approval),
            _ => None,
        };
        Some(Asks {
            question: &asking.question,
            choices: approval.map_or(&[], |approval| &approval.choices),
            levels: approval.map_or(&[], |approval| &approval.levels[..=asking.level as usize]),
            starter_may_answer: approval.is_none_or(|approval| approval.starter_may_answer),
            override_needs_note: approval.is_some_and(|approval| approval.override_needs_note),
            deadline: asking.deadline,
            answers: &asking.answers,
            delegations: &asking.delegations,
        })
    }

    /// Whether somebody may answer the question that it asks, and if not, why.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`]; [`Refusal::NotNow`] where it asks nothing.
    pub fn may_be_answered_by(self, by: &Person) -> Result<(), Refusal> {
        let State::Asking(asking) = &self.task().state else {
            return Err(Refusal::NotNow { task: self.task().id.clone(), status: self.status(), action: "answered" });
        };
        match &self.run.node(self.ix).work {
            Work::Approval(approval) if !asking.outcome => self.run.may_answer(self.ix, approval, asking, by).map(drop),
            _ => Ok(()),
        }
    }

    /// Whether the plan did not have it at the start.
    #[must_use]
    pub fn grown(self) -> bool {
        self.task().origin != Origin::Plan
    }

    /// When it belongs to the run.
    #[must_use]
    pub fn role(self) -> Role {
        self.run.node(self.ix).role
    }
}

impl Run {
    /// A run of `plan` that has not begun.
    pub(crate) fn new(id: RunId, plan: Arc<Plan>) -> Run {
        Run {
            id,
            seq: 0,
            at: Timestamp::default(),
            start: None,
            tasks: Vec::new(),
            latest: Vec::new(),
            names: None,
            lanes: Vec::new(),
            open_lanes: Vec::new(),
            ready_inside: BinaryHeap::new(),
            wakes: BinaryHeap::new(),
            agenda: Agenda::default(),
            count: Counts::default(),
            undoable: Vec::new(),
            acted: Vec::new(),
            reserved: 0,
            reached: Vec::new(),
            undo: VecDeque::new(),
            signals: BTreeMap::new(),
            signal_ids: HashSet::new(),
            listeners: Vec::new(),
            fired: Vec::new(),
            decision: None,
            conclusion: None,
            cancel_requested: false,
            ended: None,
            stopped: 0,
            finally_begun: false,
            spending: None,
            plan,
        }
    }

    /// Rebuilds a run from its journal.
    ///
    /// # Errors
    /// [`Corrupt`] at the first entry that cannot have happened.
    pub fn load<'e>(id: RunId, plan: Arc<Plan>, entries: impl IntoIterator<Item = &'e Entry>) -> Result<Run, Corrupt> {
        let mut run = Run::midway(id, plan, entries)?;
        // Everything that follows from an input is appended with it, so what is left here has led to nothing.
        run.agenda = Agenda::default();
        Ok(run)
    }

    /// The same in the middle of an append, with all that has still to be looked at.
    pub(crate) fn midway<'e>(id: RunId, plan: Arc<Plan>, entries: impl IntoIterator<Item = &'e Entry>) -> Result<Run, Corrupt> {
        let mut run = Run::new(id, plan);
        for entry in entries {
            run.apply(entry)?;
        }
        Ok(run)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The last entry that was folded.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When the last entry happened.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// How it began, once it has.
    #[must_use]
    pub fn begun(&self) -> Option<&Start> {
        self.start.as_deref()
    }

    /// The decision, once it is taken.
    #[must_use]
    pub fn decision(&self) -> Option<&Arc<Decision>> {
        self.decision.as_ref()
    }

    /// How its main part ended, once it has.
    #[must_use]
    pub fn conclusion(&self) -> Option<&Conclusion> {
        self.conclusion.as_deref()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        match self.ended {
            Some(status) => status,
            None if !self.undo.is_empty() => RunStatus::Compensating,
            None if self.count.running + self.count.retrying > 0 => RunStatus::Running,
            // What could start can not be afforded until people have answered.
            None if self.count.asking > 0 && self.asks_for_more() => RunStatus::Waiting,
            // A plan of one task at a time goes on when the question or the wait before is over.
            None if self.count.ready > 0 && !(self.plan.one_at_a_time && self.count.asking + self.count.sleeping > 0) => RunStatus::Running,
            None if self.count.asking + self.count.sleeping > 0 => RunStatus::Waiting,
            None => RunStatus::Running,
        }
    }

    /// Whether its last entry was folded.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// What its agents say that they have used, also where they failed; nothing where none said so.
    #[must_use]
    pub fn used(&self) -> Option<&Usage> {
        self.spending.as_ref().map(|spending| &spending.used).filter(|used| **used != Usage::default())
    }

    /// What it may use, where it has a budget: with what people added to it.
    #[must_use]
    pub fn budget(&self) -> Option<Limit> {
        let raised = self.spending.as_ref().map_or(0, |spending| spending.raised);
        self.plan.budget.as_ref().map(|budget| budget.limit(raised))
    }

    fn use_up(&mut self, used: Option<&Usage>) {
        if let Some(used) = used {
            self.spending.get_or_insert_default().used.add(used);
        }
    }

    /// Whether the task asks people whether the run may use more.
    pub(crate) fn is_budget_question(&self, ix: u32) -> bool {
        self.plan.budget.as_ref().is_some_and(|budget| budget.ask == Some(self.tasks[ix as usize].node))
    }

    /// The last question to people whether it may use more.
    fn question_of_budget(&self) -> Option<&State> {
        let ix = self.latest[self.plan.budget.as_ref()?.ask? as usize];
        (ix != NONE).then(|| &self.tasks[ix as usize].state)
    }

    /// Whether people are asked whether it may use more.
    #[must_use]
    pub fn asks_for_more(&self) -> bool {
        self.question_of_budget().is_some_and(|state| !state.is_end())
    }

    /// Whether they said no, or nothing.
    pub(crate) fn was_refused_more(&self) -> bool {
        self.question_of_budget().is_some_and(|state| matches!(state, State::Ended(..)))
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = Progress { status: self.status(), total: 0, completed: 0, failed: 0, skipped: 0, running: 0, open: 0 };
        let belongs = |task: &TaskView<'_>| matches!(task.role(), Role::Main | Role::Finally) || task.status() != TaskStatus::Waiting;
        for task in self.tasks().filter(belongs) {
            progress.total += 1;
            let count = match task.status() {
                TaskStatus::Succeeded => &mut progress.completed,
                TaskStatus::Failed | TaskStatus::TimedOut | TaskStatus::Cancelled => &mut progress.failed,
                TaskStatus::Skipped => &mut progress.skipped,
                TaskStatus::Running | TaskStatus::Retrying | TaskStatus::Asking | TaskStatus::Sleeping => &mut progress.running,
                TaskStatus::Waiting | TaskStatus::Ready => &mut progress.open,
            };
            *count += 1;
        }
        progress
    }

    /// Its tasks: those of the plan in its order, then those that grew.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView<'_>> {
        (0..self.tasks.len()).map(|ix| TaskView { run: self, ix: u32::try_from(ix).expect("MAX_INSTANCES fits") })
    }

    /// The task of this name.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<TaskView<'_>> {
        let ix = match &self.names {
            Some(names) => *names.get(id)?,
            None => u32::try_from(self.tasks.iter().position(|task| &*task.id == id)?).ok()?,
        };
        Some(TaskView { run: self, ix })
    }

    pub(crate) fn node(&self, ix: u32) -> &Node {
        &self.plan.nodes[self.tasks[ix as usize].node as usize]
    }

    pub(crate) fn reference(&self, ix: u32) -> TaskRef {
        TaskRef { ix, id: self.tasks[ix as usize].id.clone() }
    }

    pub(crate) fn state(&self, ix: u32) -> &State {
        &self.tasks[ix as usize].state
    }

    /// Folds one recorded entry into the state.
    ///
    /// # Errors
    /// [`Corrupt`] where the entry cannot have happened. The run is not to be used any more.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        let corrupt = |why: String| Corrupt { run: self.id, seq: entry.seq, why };
        if entry.seq != self.seq + 1 {
            return Err(corrupt(format!("it follows entry {}", self.seq)));
        }
        if entry.at < self.at {
            return Err(corrupt(format!("it is earlier ({}) than the entry before it ({})", entry.at, self.at)));
        }
        if self.ended.is_some() {
            return Err(corrupt("the run had ended".to_owned()));
        }
        if self.start.is_none() != matches!(entry.event, Event::RunStarted(_)) {
            return Err(corrupt("the first entry, and only the first one, starts the run".to_owned()));
        }
        self.seq = entry.seq;
        self.at = entry.at;
        self.fold(&entry.event).map_err(|why| Corrupt { run: self.id, seq: entry.seq, why })?;
        self.drop_stale_wakes();
        if cfg!(debug_assertions) {
            self.check_invariants().map_err(|why| Corrupt { run: self.id, seq: entry.seq, why })?;
        }
        Ok(())
    }

    fn fold(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::RunStarted(start) => return self.on_started(start),
            Event::TaskAdmitted { task, .. } => {
                let ix = self.expect(task, |state| matches!(state, State::Waiting))?;
                if self.join_verdict(ix) != JoinVerdict::Fires || !self.may_start(ix) {
                    return Err(format!("task {} was not at its turn", task.id));
                }
                self.tasks[ix as usize].admitted = true;
                self.fire(ix);
            }
            Event::TaskStarted { task, attempt, agent, deadline, choice, reserved } => {
                let ix = self.expect(task, |state| matches!(state, State::Ready))?;
                self.must_be(ix, "called", |node| matches!(node.work, Work::Agent { .. }))?;
                let task = &mut self.tasks[ix as usize];
                task.agent = Some(agent.clone());
                let others = choice.as_ref().map_or(0, |choice| choice.others);
                if others > 0 || task.aside.is_some() {
                    task.aside.get_or_insert_default().others = others;
                }
                self.on_attempt(ix, *attempt, Running { deadline: *deadline, child: None })?;
                if let Some(reserved) = reserved {
                    self.spending.get_or_insert_default().reserved.insert(ix, (**reserved).clone());
                }
            }
            Event::ChildStarted { task, attempt, run, deadline } => {
                let ix = self.expect(task, |state| matches!(state, State::Ready))?;
                self.must_be(ix, "run", |node| matches!(node.work, Work::Workflow { .. }))?;
                self.on_attempt(ix, *attempt, Running { deadline: *deadline, child: Some(Box::new(*run)) })?;
            }
            Event::TaskSucceeded { task, attempt, output, said } => {
                let ix = self.expect_attempt(task, *attempt)?;
                let task = &mut self.tasks[ix as usize];
                task.output = Some(output.clone());
                if let Some(confidence) = said.as_ref().and_then(|said| said.confidence) {
                    task.aside.get_or_insert_default().confidence = Some(confidence);
                }
                self.use_up(said.as_ref().and_then(|said| said.usage.as_ref()));
                self.succeed(ix);
            }
            Event::AttemptFailed { task, attempt, failure, retry_at, elsewhere } => {
                let ix = self.expect_attempt(task, *attempt)?;
                self.use_up(failure.usage.as_deref());
                self.stopped += u64::from(failure.class == FailureClass::Timeout);
                if !failure.unsent && !matches!(failure.class, FailureClass::Refused | FailureClass::RateLimited) {
                    self.touch(ix);
                }
                match (retry_at, elsewhere) {
                    (_, true) => self.go_elsewhere(ix)?,
                    (Some(until), false) => self.try_again(ix, *until, failure),
                    (None, false) => {
                        self.tasks[ix as usize].failures += 1;
                        let status = if failure.class == FailureClass::Timeout { TaskStatus::TimedOut } else { TaskStatus::Failed };
                        self.end(ix, status, Cause::Attempt((**failure).clone()));
                    }
                }
            }
            Event::TurnedAway { task, failure, retry_at } => {
                let ix = self.expect(task, |state| matches!(state, State::Ready))?;
                self.must_be(ix, "called", |node| matches!(node.work, Work::Agent { .. }))?;
                self.try_again(ix, *retry_at, failure);
            }
            Event::RetryDue { task } => {
                let ix = self.expect(task, |state| matches!(state, State::Retrying { .. }))?;
                self.make_ready(ix);
            }
            Event::AttemptInterrupted { task, attempt } => {
                let ix = self.expect_attempt(task, *attempt)?;
                self.touch(ix);
                self.make_ready(ix);
            }
            Event::OutcomeUnknown { task, attempt, failure } => {
                let ix = self.expect_attempt(task, *attempt)?;
                self.use_up(failure.usage.as_deref());
                self.stopped += u64::from(failure.class == FailureClass::Timeout);
                self.touch(ix);
                self.ask_for_outcome(ix, &failure.message);
            }
            Event::TaskFailed { task, cause } => {
                let ix = self.expect(task, |state| !state.is_end())?;
                let status = if matches!(**cause, Cause::Expired | Cause::Late) { TaskStatus::TimedOut } else { TaskStatus::Failed };
                self.stop_items(ix, cause);
                self.end(ix, status, (**cause).clone());
            }
            Event::TaskSkipped { task, cause } => {
                let ix = self.expect(task, |state| matches!(state, State::Waiting | State::Ready))?;
                self.end(ix, TaskStatus::Skipped, (**cause).clone());
            }
            Event::JoinLate { task } => {
                let ix = self.expect(task, |state| matches!(state, State::Waiting))?;
                if self.tasks[ix as usize].late_at.is_none() || !self.may_start(ix) {
                    return Err(format!("task {} was not waiting for anybody who could be late", task.id));
                }
                self.tasks[ix as usize].late = true;
                self.fire(ix);
            }
            Event::RaceWon { task, losers } => {
                let winner = self.resolve(task)?;
                self.agenda.races.retain(|open| *open != winner);
                let by = self.reference(winner);
                for loser in losers {
                    let ix = self.expect(loser, |state| !state.is_end())?;
                    if !self.plan.nodes[self.tasks[winner as usize].node as usize].deps.contains(&self.tasks[ix as usize].node) {
                        return Err(format!("task {} was no rival of {}", loser.id, task.id));
                    }
                    self.stop(ix, &Cause::LostRace(by.clone()));
                }
            }
            Event::Mapped { task, items } => {
                let ix = self.expect(task, |state| matches!(state, State::Ready))?;
                if !self.is_map(ix) {
                    return Err(format!("task {} has no list", task.id));
                }
                self.on_mapped(ix, items)?;
            }
            Event::Gathered { task } => {
                let ix = self.expect(task, |state| matches!(state, State::Mapping(_)))?;
                self.on_gathered(ix)?;
            }
            Event::Repeated { task, iteration, .. } => {
                let ix = self.expect(task, |state| matches!(state, State::Succeeded))?;
                self.on_repeated(ix, *iteration)?;
            }
            Event::RepeatEnded { task, .. } => {
                let ix = self.expect(task, |state| matches!(state, State::Succeeded))?;
                if !self.agenda.repeats.contains(&ix) {
                    return Err(format!("task {} was not at the end of a section", task.id));
                }
                self.agenda.repeats.retain(|open| *open != ix);
                self.spread(ix);
            }
            Event::Asked { task, question } => {
                let ix = self.expect(task, |state| matches!(state, State::Ready))?;
                self.must_be(ix, "asked", |node| matches!(node.work, Work::Approval(_)))?;
                self.begin(ix);
                self.ask(ix, Asking::new((**question).clone(), false));
            }
            Event::Escalated { task, level, deadline } => {
                let ix = self.expect(task, |state| matches!(state, State::Asking(_)))?;
                self.on_escalated(ix, *level, *deadline)?;
            }
            Event::Delegated { task, from, to, levels, .. } => {
                let ix = self.expect(task, |state| matches!(state, State::Asking(_)))?;
                self.acted.push((self.tasks[ix as usize].node, from.clone()));
                if let State::Asking(asking) = &mut self.tasks[ix as usize].state {
                    asking.delegations.push(Delegation { from: from.clone(), to: to.clone(), levels: levels.clone() });
                }
            }
            Event::Answered { task, answer, verdict } => {
                let ix = self.expect(task, |state| matches!(state, State::Asking(_)))?;
                self.acted.push((self.tasks[ix as usize].node, answer.by.clone()));
                self.on_answered(ix, answer, *verdict);
            }
            Event::Slept { task, until } => {
                let ix = self.expect(task, |state| matches!(state, State::Ready))?;
                self.must_be(ix, "waiting", |node| matches!(node.work, Work::Wait { .. }))?;
                self.begin(ix);
                self.set(ix, State::Sleeping { until: *until });
                if let Some(until) = until {
                    self.wake(ix, *until);
                }
                if let Some(signal) = self.awaited_signal(ix) {
                    self.listen(signal, ix);
                }
            }
            Event::Woken { task, signal } => {
                let ix = self.expect(task, |state| matches!(state, State::Sleeping { .. }))?;
                self.on_woken(ix, *signal)?;
            }
            Event::SignalReceived(signal) => {
                if let Some(id) = &signal.id
                    && !self.signal_ids.insert(id.clone())
                {
                    return Err(format!("signal {id} had been received"));
                }
                let received = Received { seq: self.seq, payload: signal.payload.clone() };
                self.signals.entry(signal.name.clone()).or_default().push_back(received);
            }
            Event::Grew { by, tasks } => self.on_grew(by, tasks)?,
            Event::GrowthRefused { task, .. } => {
                self.resolve(task)?;
            }
            Event::BudgetLow { .. } => {
                let spending = self.spending.as_mut().ok_or_else(|| "nothing had been used".to_owned())?;
                if std::mem::replace(&mut spending.warned, true) {
                    return Err("it had been told that little is left".to_owned());
                }
            }
            Event::Decided(decision) => {
                if self.decision.replace(decision.clone()).is_some() {
                    return Err("the run had decided".to_owned());
                }
                self.agenda.checks.clear();
            }
            Event::CancelRequested { rollback, .. } => {
                let again = std::mem::replace(&mut self.cancel_requested, true);
                if self.conclusion.is_some() {
                    self.cancel_what_follows(again);
                    if *rollback {
                        self.begin_undo()?;
                    }
                }
            }
            Event::Concluded(conclusion) => self.on_concluded(conclusion)?,
            Event::RunEnded { status, .. } => {
                if self.conclusion.is_none() || self.count.active() > 0 || self.count.open_after > 0 {
                    return Err("tasks had not ended".to_owned());
                }
                self.ended = Some(*status);
            }
        }
        Ok(())
    }

    // -- looking tasks up

    fn resolve(&mut self, task: &TaskRef) -> Result<u32, String> {
        if let Some(known) = self.tasks.get(task.ix as usize)
            && (Arc::ptr_eq(&known.id, &task.id) || known.id == task.id)
        {
            return Ok(task.ix);
        }
        let tasks = &self.tasks;
        let names = self.names.get_or_insert_with(|| (0..).zip(tasks).map(|(ix, task)| (task.id.clone(), ix)).collect());
        names.get(&task.id).copied().ok_or_else(|| format!("there is no task {}", task.id))
    }

    fn expect(&mut self, task: &TaskRef, possible: impl Fn(&State) -> bool) -> Result<u32, String> {
        let ix = self.resolve(task)?;
        let state = self.state(ix);
        if possible(state) { Ok(ix) } else { Err(format!("task {} was {}", task.id, state.status())) }
    }

    /// Whether the plan lets this happen to a task of this kind.
    fn must_be(&self, ix: u32, what: &str, kind: impl Fn(&Node) -> bool) -> Result<(), String> {
        let one = !self.is_map(ix) && kind(self.node(ix));
        if one { Ok(()) } else { Err(format!("task {} is none that is {what}", self.tasks[ix as usize].id)) }
    }

    fn expect_attempt(&mut self, task: &TaskRef, attempt: u32) -> Result<u32, String> {
        let ix = self.expect(task, |state| matches!(state, State::Running(_)))?;
        let current = self.tasks[ix as usize].attempt;
        if attempt == current { Ok(ix) } else { Err(format!("task {} was in attempt {current}, not {attempt}", task.id)) }
    }

    // -- the life of a task

    fn set(&mut self, ix: u32, state: State) {
        let task = &mut self.tasks[ix as usize];
        let before = std::mem::replace(&mut task.state, state);
        if let Some(count) = self.count.of(&before) {
            *count -= 1;
        }
        let after = &self.tasks[ix as usize].state;
        if let Some(count) = self.count.of(after) {
            *count += 1;
        }
        if let (State::Running(_), Some(spending)) = (&before, &mut self.spending) {
            spending.reserved.remove(&ix);
        }
        match before {
            State::Ready => self.leave_line(ix),
            State::Sleeping { .. } => self.stop_listening(ix),
            _ => {}
        }
    }

    /// Takes those off the head of a line who do not stand in it any more.
    fn leave_line(&mut self, ix: u32) {
        let gone = |tasks: &[Task], first: &Ready| !matches!(tasks[first.task() as usize].state, State::Ready);
        while self.ready_inside.peek().is_some_and(|first| gone(&self.tasks, first)) {
            self.ready_inside.pop();
        }
        let lane = self.node(ix).lane;
        let Some(line) = self.lanes.get_mut(lane as usize) else { return };
        while line.peek().is_some_and(|first| gone(&self.tasks, first)) {
            line.pop();
        }
        if line.is_empty() {
            self.open_lanes.retain(|open| *open != lane);
        }
    }

    /// Who stands first in a lane.
    pub(crate) fn first_in(&self, lane: u32, held: &HashSet<u32>) -> Option<Ready> {
        let line = self.lanes.get(lane as usize)?;
        if held.is_empty() {
            return line.peek().copied();
        }
        // Behind the first one stand also some who left.
        let waits = |ready: &&Ready| matches!(self.state(ready.task()), State::Ready) && !held.contains(&ready.task());
        line.iter().filter(waits).max().copied()
    }

    fn begin(&mut self, ix: u32) {
        let at = self.at;
        self.tasks[ix as usize].started.get_or_insert(at);
        if self.plan.has_late_joins {
            self.start_late_joins(ix);
        }
    }

    fn on_attempt(&mut self, ix: u32, attempt: u32, running: Running) -> Result<(), String> {
        let task = &mut self.tasks[ix as usize];
        if attempt != task.attempt + 1 {
            return Err(format!("attempt {attempt} of task {} follows attempt {}", task.id, task.attempt));
        }
        task.attempt = attempt;
        self.begin(ix);
        if let Some(deadline) = running.deadline {
            self.wake(ix, deadline);
        }
        self.set(ix, State::Running(running));
        Ok(())
    }

    /// An attempt failed, or could not be made, and another one is due.
    fn try_again(&mut self, ix: u32, until: Timestamp, failure: &Failure) {
        let task = &mut self.tasks[ix as usize];
        task.failures += 1;
        if let Some(aside) = &mut task.aside {
            aside.tried.clear();
        }
        self.set(ix, State::Retrying { until, failure: Box::new(failure.clone()) });
        self.wake(ix, until);
    }

    /// The agent failed, and another one does the task.
    fn go_elsewhere(&mut self, ix: u32) -> Result<(), String> {
        let task = &mut self.tasks[ix as usize];
        let aside = task.aside.get_or_insert_default();
        if aside.others == 0 || aside.tried.len() >= MAX_FAILOVERS {
            return Err(format!("there was nobody else for task {}", task.id));
        }
        aside.tried.extend(task.agent.clone());
        self.make_ready(ix);
        Ok(())
    }

    fn make_ready(&mut self, ix: u32) {
        self.set(ix, State::Ready);
        let node = self.node(ix);
        let item = matches!(self.tasks[ix as usize].origin, Origin::Item { .. });
        // One at a time means in the order of the file, but a list that has begun comes to its end first.
        let priority = match () {
            // What could start cannot be afforded before this is answered.
            () if self.is_budget_question(ix) => u8::MAX,
            () if self.plan.one_at_a_time => u8::from(item),
            () => node.priority,
        };
        let ready = Ready { priority, first: Reverse(ix) };
        let inside = match node.work {
            Work::Approval(_) | Work::Wait { .. } => true,
            Work::Agent { .. } | Work::Workflow { .. } => self.is_map(ix),
        };
        if inside {
            self.ready_inside.push(ready);
            return;
        }
        let lane = node.lane;
        let line = &mut self.lanes[lane as usize];
        if line.is_empty() {
            self.open_lanes.push(lane);
        }
        line.push(ready);
    }

    /// Whether the task stands for all items of a list, rather than for one of them.
    pub(crate) fn is_map(&self, ix: u32) -> bool {
        self.node(ix).for_each.is_some() && !matches!(self.tasks[ix as usize].origin, Origin::Item { .. })
    }

    fn succeed(&mut self, ix: u32) {
        if self.is_budget_question(ix) {
            let spending = self.spending.get_or_insert_default();
            spending.raised += 1;
            spending.warned = false;
        }
        let again = self.node(ix).repeat.is_some() && self.conclusion.is_none();
        self.close(ix, State::Succeeded);
        if again {
            self.agenda.repeats.push_back(ix);
        } else {
            self.spread(ix);
        }
    }

    fn end(&mut self, ix: u32, status: TaskStatus, cause: Cause) {
        self.close(ix, State::Ended(status, Arc::new(cause)));
        self.spread(ix);
    }

    /// Ends a task, and tells nobody yet.
    fn close(&mut self, ix: u32, end: State) {
        let succeeded = matches!(end, State::Succeeded);
        self.set(ix, end);
        let at = self.at;
        let task = &mut self.tasks[ix as usize];
        task.ended = Some(at);
        let touched = task.touched;
        self.settle_count(ix);
        let node = self.node(ix);
        let undoable = node.compensate.is_some() && matches!(node.role, Role::Main | Role::Catalogue) && !self.is_map(ix);
        if undoable && (succeeded || touched) {
            self.undoable.push(ix);
        }
    }

    /// What was under way may have taken effect, whatever came of it.
    fn touch(&mut self, ix: u32) {
        let task = &mut self.tasks[ix as usize];
        let child = matches!(&task.state, State::Running(running) if running.child.is_some());
        task.touched |= child || task.agent.as_ref().is_some_and(|agent| agent.effect != Effect::None);
    }

    /// Takes an ended task off the counts of what is open.
    fn settle_count(&mut self, ix: u32) {
        if matches!(self.tasks[ix as usize].origin, Origin::Item { .. }) {
            return;
        }
        match self.node(ix).role {
            Role::Main | Role::Catalogue => self.count.open -= 1,
            Role::Review | Role::Finally => self.count.open_after -= 1,
            Role::Compensation => {}
        }
    }

    /// Tells everything that waits for an ended task.
    fn spread(&mut self, ix: u32) {
        let task = &self.tasks[ix as usize];
        let node_ix = task.node as usize;
        let status = task.state.status();
        match task.origin {
            Origin::Item { map, .. } => return self.item_ended(map, ix),
            Origin::Undoes(_) => return self.undo_next(),
            Origin::Plan | Origin::Grown | Origin::Iteration { .. } => {}
        }
        let plan = self.plan.clone();
        let node = &plan.nodes[node_ix];
        if self.decision.is_none() && self.conclusion.is_none() {
            self.agenda.checks.extend(&node.watched_by);
        }
        let failed = matches!(status, TaskStatus::Failed | TaskStatus::TimedOut);
        if failed && node.role == Role::Review && !node.optional && self.conclusion.is_some() {
            // Nothing stands for what was rejected.
            self.begin_undo().expect("room is kept for undoing what was done");
        }
        if failed && self.conclusion.is_none() && !node.optional && !node.absorbed && !node.is_voice && !plan.continue_on_failure {
            self.agenda.fatal.get_or_insert(ix);
        }
        for next in &node.succ {
            let waiting = self.latest[*next as usize];
            if waiting == NONE || !matches!(self.state(waiting), State::Waiting) {
                continue;
            }
            let tally = &mut self.tasks[waiting as usize].tally;
            tally.open -= 1;
            tally.count(status);
            self.look_at_join(waiting);
        }
    }

    // -- joins

    pub(crate) fn join_verdict(&self, ix: u32) -> JoinVerdict {
        let task = &self.tasks[ix as usize];
        let tally = task.tally;
        if task.late {
            return JoinVerdict::Fires;
        }
        let needed = match self.node(ix).join.needs {
            Needs::All if tally.failed + tally.skipped > 0 => return JoinVerdict::Never,
            Needs::NoneFailed if tally.failed > 0 => return JoinVerdict::Never,
            Needs::All | Needs::NoneFailed | Needs::Settled => {
                return if tally.open == 0 { JoinVerdict::Fires } else { JoinVerdict::Open };
            }
            Needs::Any => 1,
            Needs::AtLeast(count) => count,
        };
        if tally.succeeded >= needed {
            JoinVerdict::Fires
        } else if tally.succeeded + tally.open < needed {
            JoinVerdict::Never
        } else {
            JoinVerdict::Open
        }
    }

    fn look_at_join(&mut self, ix: u32) {
        match self.join_verdict(ix) {
            JoinVerdict::Open => {}
            JoinVerdict::Fires => self.fire(ix),
            JoinVerdict::Never if self.may_start(ix) => self.agenda.joins.push_back(ix),
            JoinVerdict::Never => {}
        }
    }

    /// Whether the part of the run has come to which the task belongs.
    pub(crate) fn may_start(&self, ix: u32) -> bool {
        match self.node(ix).role {
            Role::Main | Role::Catalogue => self.conclusion.is_none(),
            Role::Review => true,
            Role::Finally => self.finally_begun,
            Role::Compensation => self.undo.front() == Some(&ix),
        }
    }

    fn fire(&mut self, ix: u32) {
        if !self.may_start(ix) {
            return;
        }
        let node = self.node(ix);
        let asks = !self.tasks[ix as usize].admitted && (node.when.is_some() || node.skip_when.is_some());
        if asks {
            self.agenda.joins.push_back(ix);
            return;
        }
        if node.join.race && !self.rivals(ix).is_empty() {
            self.agenda.races.push_back(ix);
        }
        self.make_ready(ix);
    }

    /// The dependencies of a join that do not matter to it any more, and have not ended.
    pub(crate) fn rivals(&self, winner: u32) -> Vec<u32> {
        let deps = &self.plan.nodes[self.tasks[winner as usize].node as usize].deps;
        let there = deps.iter().map(|dep| self.latest[*dep as usize]).filter(|dep| *dep != NONE);
        there.filter(|dep| !self.state(*dep).is_end()).collect()
    }

    /// Ends a task that was under way as cancelled, and one that was not as skipped.
    fn stop(&mut self, ix: u32, cause: &Cause) {
        self.stop_items(ix, cause);
        let status = match self.state(ix) {
            State::Waiting | State::Ready if self.tasks[ix as usize].attempt == 0 => TaskStatus::Skipped,
            _ => TaskStatus::Cancelled,
        };
        self.cut_off(ix);
        self.end(ix, status, cause.clone());
    }

    /// Whoever calls agents is to hear of an attempt that is stopped, and whoever undoes things too.
    fn cut_off(&mut self, ix: u32) {
        if matches!(self.state(ix), State::Running(_)) {
            self.stopped += 1;
            self.touch(ix);
        }
    }

    fn start_late_joins(&mut self, ix: u32) {
        let plan = self.plan.clone();
        for next in &plan.nodes[self.tasks[ix as usize].node as usize].succ {
            let waiting = self.latest[*next as usize];
            let Some(within) = plan.nodes[*next as usize].join.within else { continue };
            if waiting != NONE && self.tasks[waiting as usize].late_at.is_none() && matches!(self.state(waiting), State::Waiting) {
                let late_at = self.at.plus(within);
                self.tasks[waiting as usize].late_at = Some(late_at);
                self.wake(waiting, late_at);
            }
        }
    }

    // -- growth

    fn on_started(&mut self, start: &Start) -> Result<(), String> {
        if start.plan != self.plan.digest {
            return Err(format!("it follows the plan {}, not {}", start.plan, self.plan.digest));
        }
        let plan = self.plan.clone();
        self.start = Some(Arc::new(start.clone()));
        self.latest = vec![NONE; plan.nodes.len()];
        self.lanes = vec![BinaryHeap::new(); plan.lane_count as usize];
        self.fired = vec![false; plan.checkpoints.len()];
        self.reached = vec![0; plan.checkpoints.len()];
        // What the plan may add finds room, whatever lists and repeats take.
        self.reserved = plan.nodes.iter().filter(|node| matches!(node.role, Role::Catalogue | Role::Review)).map(with_undo).sum();
        self.tasks.reserve(plan.nodes.len());
        for (node, ix) in plan.nodes.iter().zip(0..) {
            if matches!(node.role, Role::Main | Role::Finally) {
                self.latest[ix as usize] = self.instance(node.id.clone(), ix, Origin::Plan)?;
            }
        }
        for ix in 0..self.tasks.len() {
            self.recount(u32::try_from(ix).expect("MAX_INSTANCES fits"));
        }
        for ix in 0..self.tasks.len() {
            self.look_at_join(u32::try_from(ix).expect("MAX_INSTANCES fits"));
        }
        if let Some(deadline) = start.deadline {
            self.wake(NONE, deadline);
        }
        Ok(())
    }

    /// How many more tasks the run can have besides those for which room is kept.
    pub(crate) fn room(&self) -> usize {
        MAX_INSTANCES.saturating_sub(self.tasks.len() + self.reserved)
    }

    fn instance(&mut self, id: Arc<str>, node: u32, origin: Origin) -> Result<u32, String> {
        match origin {
            // Their undoing has to find room as well.
            Origin::Plan | Origin::Iteration { .. } => self.reserved += usize::from(self.plan.nodes[node as usize].compensate.is_some()),
            Origin::Grown | Origin::Item { .. } | Origin::Undoes(_) => self.reserved = self.reserved.saturating_sub(1),
        }
        if self.tasks.len() >= MAX_INSTANCES {
            return Err(format!("a run has at most {MAX_INSTANCES} tasks"));
        }
        let ix = u32::try_from(self.tasks.len()).expect("MAX_INSTANCES fits");
        match self.plan.nodes[node as usize].role {
            _ if matches!(origin, Origin::Item { .. }) => {}
            Role::Main | Role::Catalogue => self.count.open += 1,
            Role::Review | Role::Finally => self.count.open_after += 1,
            Role::Compensation => {}
        }
        if let Some(names) = &mut self.names {
            names.insert(id.clone(), ix);
        }
        self.tasks.push(Task {
            id,
            node,
            origin,
            state: State::Waiting,
            attempt: 0,
            failures: 0,
            admitted: false,
            late: false,
            tally: Tally::default(),
            late_at: None,
            touched: false,
            output: None,
            agent: None,
            aside: None,
            started: None,
            ended: None,
        });
        Ok(ix)
    }

    /// Counts the dependencies of a task as they stand. One that the run does not have counts as skipped.
    fn recount(&mut self, ix: u32) {
        let node = &self.plan.nodes[self.tasks[ix as usize].node as usize];
        let mut tally = Tally::default();
        for dep in &node.deps {
            match self.latest[*dep as usize] {
                NONE => tally.skipped += 1,
                dep => {
                    let state = &self.tasks[dep as usize].state;
                    let looping = self.agenda.repeats.contains(&dep);
                    if state.is_end() && !looping { tally.count(state.status()) } else { tally.open += 1 }
                }
            }
        }
        self.tasks[ix as usize].tally = tally;
    }

    fn on_grew(&mut self, by: &Grower, ids: &[Arc<str>]) -> Result<(), String> {
        let plan = self.plan.clone();
        if let Grower::Checkpoint { id, .. } = by
            && let Some(position) = plan.checkpoints.iter().position(|checkpoint| checkpoint.id == *id)
        {
            self.fired[position] = true;
        }
        let mut grown = Vec::with_capacity(ids.len());
        for id in ids {
            let node = plan.find(id).ok_or_else(|| format!("the plan has no task {id}"))?;
            let (role, decided) = (plan.nodes[node as usize].role, matches!(by, Grower::Decision(_)));
            let budget = matches!(by, Grower::Budget(_)) && plan.budget.as_ref().is_some_and(|budget| budget.ask == Some(node));
            let before = self.latest[node as usize];
            if before != NONE && !(budget && self.tasks[before as usize].state.is_end()) {
                return Err(format!("task {id} had been added"));
            }
            if role != if decided { Role::Review } else { Role::Catalogue } || (!decided && self.conclusion.is_some()) {
                return Err(format!("task {id} is none that can be added now"));
            }
            let again = self.spending.as_ref().map_or(0, |spending| spending.raised);
            let name = if before == NONE { id.clone() } else { format!("{id}#{}", again + 1).into() };
            let ix = self.instance(name, node, Origin::Grown)?;
            self.latest[node as usize] = ix;
            grown.push(ix);
        }
        if let Grower::Budget(exceeded) = by {
            self.spending.get_or_insert_default().exceeded = Some(exceeded.clone());
        }
        self.enter(&plan, &grown);
        Ok(())
    }

    /// Lets new instances take their places: they count what they depend on, and those that wait for them count them.
    /// One that was ready and has not begun waits for them again.
    fn enter(&mut self, plan: &Plan, grown: &[u32]) {
        let mut waiting = BTreeSet::new();
        for ix in grown {
            let node = &plan.nodes[self.tasks[*ix as usize].node as usize];
            let begun =
                |dep: &&u32| self.latest[**dep as usize] != NONE && self.tasks[self.latest[**dep as usize] as usize].started.is_some();
            if node.join.within.is_some()
                && let Some(dep) = node.deps.iter().find(begun)
            {
                self.start_late_joins(self.latest[*dep as usize]);
            }
            waiting.insert(*ix);
            for next in &node.succ {
                let next = self.latest[*next as usize];
                if next != NONE && self.unready(next) {
                    waiting.insert(next);
                }
            }
        }
        for ix in &waiting {
            self.recount(*ix);
        }
        for ix in waiting {
            self.look_at_join(ix);
        }
    }

    /// Takes a task out of its line that has not begun, and says whether it waits now.
    fn unready(&mut self, ix: u32) -> bool {
        let task = &mut self.tasks[ix as usize];
        if matches!(task.state, State::Ready) && task.attempt == 0 && !task.late {
            task.admitted = false;
            self.agenda.races.retain(|winner| *winner != ix);
            self.set(ix, State::Waiting);
        }
        matches!(self.state(ix), State::Waiting)
    }

    fn on_repeated(&mut self, ix: u32, iteration: u32) -> Result<(), String> {
        let plan = self.plan.clone();
        let node = &plan.nodes[self.tasks[ix as usize].node as usize];
        let Some(repeat) = &node.repeat else {
            return Err(format!("task {} does not repeat anything", node.id));
        };
        let done = match self.tasks[ix as usize].origin {
            Origin::Iteration { turn, .. } => turn,
            _ => 1,
        };
        if iteration != done + 1 || iteration > repeat.max {
            return Err(format!("turn {iteration} of task {} follows turn {done} of {}", node.id, repeat.max));
        }
        if !self.agenda.repeats.contains(&ix) {
            return Err(format!("the section of task {} was not at its end", node.id));
        }
        self.agenda.repeats.retain(|open| *open != ix);
        for member in &repeat.section {
            let old = self.latest[*member as usize];
            if old != NONE && !self.state(old).is_end() {
                self.stop(old, &Cause::Superseded);
            }
        }
        // What the stopped tasks of the last time had put on the agenda concerns instances that are gone.
        self.reached.fill(0);
        let mut grown = Vec::with_capacity(repeat.section.len());
        // What was never added does not run again either.
        for member in repeat.section.iter().filter(|member| self.latest[**member as usize] != NONE).collect::<Vec<_>>() {
            let id = format!("{}#{iteration}", plan.nodes[*member as usize].id).into();
            let before = self.latest[*member as usize];
            let new = self.instance(id, *member, Origin::Iteration { turn: iteration, before })?;
            self.latest[*member as usize] = new;
            grown.push(new);
        }
        self.agenda.joins.retain(|open| self.latest[self.tasks[*open as usize].node as usize] == *open);
        self.enter(&plan, &grown);
        Ok(())
    }

    fn on_mapped(&mut self, ix: u32, items: &Payload) -> Result<(), String> {
        let texts = items.items().ok_or_else(|| "its items are not a list".to_owned())?;
        let items: Vec<Payload> =
            texts.into_iter().map(|item| Payload::of(item).map_err(|wrong| wrong.to_string())).collect::<Result<_, _>>()?;
        self.begin(ix);
        let open = u32::try_from(items.len()).map_err(|_| "it has too many items".to_owned())?;
        if items.len().saturating_mul(with_undo(self.node(ix))) > self.room() {
            return Err(format!("its {open} items are more than the run has room for"));
        }
        self.reserved += items.len() * with_undo(self.node(ix));
        self.set(ix, State::Mapping(Box::new(Mapping { items, instances: Vec::new(), open, failed: None })));
        let parallel = self.node(ix).for_each.as_ref().map_or(usize::MAX, |each| each.max_parallel);
        for _ in 0..parallel.min(open as usize) {
            self.next_item(ix)?;
        }
        if open == 0 {
            self.agenda.maps.push_back(ix);
        }
        Ok(())
    }

    fn next_item(&mut self, map: u32) -> Result<(), String> {
        let task = &self.tasks[map as usize];
        let State::Mapping(mapping) = &task.state else { return Ok(()) };
        let index = mapping.instances.len();
        if index == mapping.items.len() {
            return Ok(());
        }
        let id = format!("{}[{index}]", task.id).into();
        let payload = mapping.items[index].clone();
        let index = u32::try_from(index).expect("counted as u32");
        let item = self.instance(id, task.node, Origin::Item { map, index })?;
        self.tasks[item as usize].aside.get_or_insert_default().item = Some(payload);
        if let State::Mapping(mapping) = &mut self.tasks[map as usize].state {
            mapping.instances.push(item);
        }
        self.make_ready(item);
        Ok(())
    }

    fn item_ended(&mut self, map: u32, item: u32) {
        let succeeded = matches!(self.state(item), State::Succeeded);
        let State::Mapping(mapping) = &mut self.tasks[map as usize].state else { return };
        mapping.open -= 1;
        if !succeeded {
            mapping.failed.get_or_insert(item);
        }
        self.agenda.maps.push_back(map);
        self.next_item(map).expect("room was kept for all items when the list was found");
    }

    fn stop_items(&mut self, ix: u32, cause: &Cause) {
        let State::Mapping(mapping) = self.state(ix) else { return };
        let (instances, never) = (mapping.instances.clone(), mapping.items.len() - mapping.instances.len());
        self.reserved = self.reserved.saturating_sub(never * with_undo(self.node(ix)));
        for item in instances {
            if !self.state(item).is_end() {
                let begun = self.tasks[item as usize].attempt > 0;
                let status = if begun { TaskStatus::Cancelled } else { TaskStatus::Skipped };
                self.cut_off(item);
                self.close(item, State::Ended(status, Arc::new(cause.clone())));
            }
        }
    }

    fn on_gathered(&mut self, ix: u32) -> Result<(), String> {
        let State::Mapping(mapping) = self.state(ix) else { return Ok(()) };
        if mapping.open > 0 {
            return Err(format!("{} items had not ended", mapping.open));
        }
        let output = self.gather(mapping)?;
        self.tasks[ix as usize].output = Some(output);
        self.succeed(ix);
        Ok(())
    }

    /// The outputs of the items, in their order; `null` for one that has none.
    pub(crate) fn gather(&self, mapping: &Mapping) -> Result<Payload, String> {
        let outputs = mapping.instances.iter().map(|item| self.tasks[*item as usize].output.as_ref().map_or("null", Payload::json));
        let mut text = String::from("[");
        for (position, output) in outputs.enumerate() {
            if position > 0 {
                text.push(',');
            }
            text.push_str(output);
            if text.len() > crate::MAX_VALUE_BYTES {
                break;
            }
        }
        text.push(']');
        Payload::parse(text).map_err(|wrong| wrong.to_string())
    }

    // -- people, time and signals

    fn ask(&mut self, ix: u32, asking: Asking) {
        if let Some(deadline) = asking.deadline {
            self.wake(ix, deadline);
        }
        self.set(ix, State::Asking(Box::new(asking)));
    }

    fn ask_for_outcome(&mut self, ix: u32, why: &str) {
        let task = &self.tasks[ix as usize];
        let text = format!("Did attempt {} of {} take effect? It is not known: {why}", task.attempt, task.id);
        let evidence = Payload::null();
        let evidence_digest = crate::Digest::of(evidence.json().as_bytes());
        let question = Question { text, evidence_digest, evidence, deadline: None, except: Vec::new() };
        self.ask(ix, Asking::new(question, true));
    }

    fn on_escalated(&mut self, ix: u32, level: u32, deadline: Option<Timestamp>) -> Result<(), String> {
        let levels = match &self.node(ix).work {
            Work::Approval(approval) => approval.levels.len(),
            Work::Agent { .. } | Work::Wait { .. } | Work::Workflow { .. } => 0,
        };
        let State::Asking(asking) = &mut self.tasks[ix as usize].state else { return Ok(()) };
        if asking.outcome || level != asking.level + 1 || level as usize >= levels {
            return Err(format!("level {level} of {levels} does not follow level {}", asking.level));
        }
        asking.level = level;
        asking.deadline = deadline;
        if let Some(deadline) = deadline {
            self.wake(ix, deadline);
        }
        Ok(())
    }

    fn on_answered(&mut self, ix: u32, answer: &Answer, verdict: Verdict) {
        let State::Asking(asking) = &mut self.tasks[ix as usize].state else { return };
        // While a question is open people may change their minds.
        asking.answers.retain(|earlier| earlier.by != answer.by);
        asking.answers.push(answer.clone());
        let outcome = asking.outcome;
        match verdict {
            Verdict::Counted => {}
            Verdict::Accepted => {
                let output = if outcome { answer.output.clone().unwrap_or_else(Payload::null) } else { settled(answer, &asking.answers) };
                self.tasks[ix as usize].output = Some(output);
                self.succeed(ix);
            }
            Verdict::Rejected => {
                let by = answer.by.clone();
                // Somebody looked: it did not happen.
                self.tasks[ix as usize].touched &= !outcome;
                let cause = if outcome { Cause::NotDone { by } } else { Cause::Rejected { by, note: answer.note.clone() } };
                self.end(ix, TaskStatus::Failed, cause);
            }
            Verdict::Again => self.make_ready(ix),
        }
    }

    fn on_woken(&mut self, ix: u32, signal: Option<u64>) -> Result<(), String> {
        let output = match signal {
            None => Payload::null(),
            Some(seq) => {
                let name = self.awaited_signal(ix).ok_or_else(|| "it waited for no signal".to_owned())?;
                let line = self.signals.get_mut(&name);
                let first = line.and_then(|line| if line.front()?.seq == seq { line.pop_front() } else { None });
                first.ok_or_else(|| format!("entry {seq} is no signal that was there to take"))?.payload
            }
        };
        self.tasks[ix as usize].output = Some(output);
        self.succeed(ix);
        Ok(())
    }

    fn awaited_signal(&self, ix: u32) -> Option<Arc<str>> {
        match &self.node(ix).work {
            Work::Wait { signal, .. } => signal.clone(),
            Work::Agent { .. } | Work::Approval(_) | Work::Workflow { .. } => None,
        }
    }

    fn listen(&mut self, signal: Arc<str>, ix: u32) {
        match self.listeners.iter_mut().find(|(name, _)| *name == signal) {
            Some((_, line)) => line.push_back(ix),
            None => {
                self.listeners.reserve_exact(1);
                self.listeners.push((signal, VecDeque::from([ix])));
            }
        }
    }

    fn stop_listening(&mut self, ix: u32) {
        let Some(signal) = self.awaited_signal(ix) else { return };
        if let Some((_, line)) = self.listeners.iter_mut().find(|(name, _)| *name == signal)
            && let Some(position) = line.iter().position(|listener| *listener == ix)
        {
            line.remove(position);
        }
        self.listeners.retain(|(_, line)| !line.is_empty());
    }

    fn wake(&mut self, task: u32, at: Timestamp) {
        self.wakes.push(Reverse(Wake { at, task }));
    }

    /// When the run wants to be woken next, if it does.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.wakes.peek().map(|wake| wake.0.at)
    }

    /// The next task, `NONE` for the run itself, whose time has come.
    pub(crate) fn due(&self, at: Timestamp) -> Option<u32> {
        self.wakes.peek().filter(|wake| wake.0.at <= at).map(|wake| wake.0.task)
    }

    /// Forgets wake-ups that nothing waits for any more, so that the first one is always wanted.
    fn drop_stale_wakes(&mut self) {
        while let Some(Reverse(wake)) = self.wakes.peek() {
            if self.wants(*wake) {
                return;
            }
            self.wakes.pop();
        }
    }

    fn wants(&self, wake: Wake) -> bool {
        if wake.task == NONE {
            return self.conclusion.is_none();
        }
        let task = &self.tasks[wake.task as usize];
        match &task.state {
            State::Waiting => task.late_at == Some(wake.at) && !task.late && self.may_start(wake.task),
            State::Running(running) => running.deadline == Some(wake.at),
            State::Retrying { until, .. } => *until == wake.at,
            State::Asking(asking) => asking.deadline == Some(wake.at),
            State::Sleeping { until } => *until == Some(wake.at),
            State::Ready | State::Mapping(_) | State::Succeeded | State::Ended(..) => false,
        }
    }

    // -- the end

    fn on_concluded(&mut self, conclusion: &Conclusion) -> Result<(), String> {
        if self.conclusion.is_some() {
            return Err("the run had concluded".to_owned());
        }
        self.conclusion = Some(Arc::new(conclusion.clone()));
        let cause = match conclusion {
            Conclusion::Finished => Cause::Stalled,
            Conclusion::Decided => Cause::EarlyDecision,
            Conclusion::Failed(task) => Cause::RunFailed(task.clone()),
            Conclusion::Stalled(_) => Cause::Stalled,
            Conclusion::TimedOut => Cause::RunTimedOut,
            Conclusion::Cancelled { .. } => Cause::RunCancelled,
        };
        for ix in 0..u32::try_from(self.tasks.len()).expect("MAX_INSTANCES fits") {
            if !self.state(ix).is_end() && matches!(self.node(ix).role, Role::Main | Role::Catalogue) {
                self.stop(ix, &cause);
            }
        }
        self.agenda = Agenda::default();
        let undo = match conclusion {
            Conclusion::Finished | Conclusion::Decided => self.tasks.iter().any(|task| self.counts_as_failed(task)),
            Conclusion::Cancelled { rollback } => *rollback,
            Conclusion::Failed(_) | Conclusion::Stalled(_) | Conclusion::TimedOut => true,
        };
        if undo {
            self.begin_undo()?;
        }
        if self.undo.is_empty() {
            self.begin_finally();
        }
        Ok(())
    }

    /// Undoes what was done, the last first.
    pub(crate) fn begin_undo(&mut self) -> Result<(), String> {
        let idle = self.undo.is_empty();
        for ix in std::mem::take(&mut self.undoable).into_iter().rev() {
            let Some(compensation) = self.node(ix).compensate else { continue };
            let id = format!("{}({})", self.plan.nodes[compensation as usize].id, self.tasks[ix as usize].id).into();
            let new = self.instance(id, compensation, Origin::Undoes(ix))?;
            self.undo.push_back(new);
        }
        match self.undo.front() {
            Some(first) if idle => self.look_at_join(*first),
            _ => {}
        }
        Ok(())
    }

    /// Whether a task failed that the run cannot do without, and that no join was there to judge.
    pub(crate) fn counts_as_failed(&self, task: &Task) -> bool {
        let node = &self.plan.nodes[task.node as usize];
        let failed = matches!(task.state, State::Ended(TaskStatus::Failed | TaskStatus::TimedOut, _));
        let left_out = matches!(task.origin, Origin::Item { .. }) || node.optional;
        let heard = node.is_voice && self.decision.as_ref().is_some_and(|decision| decision.council.is_some());
        let judged = || heard || (node.absorbed && node.succ.iter().any(|next| self.judged(*next)));
        failed && !left_out && !judged()
    }

    /// A voice that failed, without which the run cannot do: its council judges that, and nobody else.
    pub(crate) fn unheard_failure(&self) -> Option<u32> {
        if self.plan.continue_on_failure {
            return None;
        }
        let mut failed = (0..).zip(&self.tasks).filter(|(_, task)| {
            let node = &self.plan.nodes[task.node as usize];
            let failed = matches!(task.state, State::Ended(TaskStatus::Failed | TaskStatus::TimedOut, _));
            failed && node.is_voice && !node.optional && !node.absorbed && self.latest[task.node as usize] != NONE
        });
        failed.find(|(ix, task)| self.latest[task.node as usize] == *ix).map(|(ix, _)| ix)
    }

    /// Whether a join came to look at its dependencies, or the decision was taken without it.
    fn judged(&self, node: u32) -> bool {
        match self.latest[node as usize] {
            NONE => false,
            ix => match self.state(ix) {
                State::Waiting => false,
                State::Ended(TaskStatus::Skipped, cause) => matches!(**cause, Cause::EarlyDecision | Cause::Condition { .. }),
                _ => true,
            },
        }
    }

    fn undo_next(&mut self) {
        self.undo.pop_front();
        match self.undo.front() {
            Some(next) => self.look_at_join(*next),
            None if !self.finally_begun => self.begin_finally(),
            None => {}
        }
    }

    fn begin_finally(&mut self) {
        self.finally_begun = true;
        for ix in 0..u32::try_from(self.tasks.len()).expect("MAX_INSTANCES fits") {
            if self.node(ix).role == Role::Finally && matches!(self.state(ix), State::Waiting) {
                self.recount(ix);
                self.look_at_join(ix);
            }
        }
    }

    /// A cancel after the main part ends the reviews. A second one ends the final tasks, too.
    fn cancel_what_follows(&mut self, again: bool) {
        for ix in 0..u32::try_from(self.tasks.len()).expect("MAX_INSTANCES fits") {
            let role = self.node(ix).role;
            if (role == Role::Review || (role == Role::Finally && again)) && !self.state(ix).is_end() {
                self.stop(ix, &Cause::RunCancelled);
            }
        }
    }

    /// Counts every attempt that the run itself stopped: by a timeout, a lost race, a decision, an end.
    /// Whoever calls agents compares it with what it was, and asks [`Run::is_live`] about its calls when it grew.
    #[must_use]
    pub fn stopped(&self) -> u64 {
        self.stopped
    }

    /// Whether this attempt is the one that the run waits for.
    #[must_use]
    pub fn is_live(&self, task: &TaskRef, attempt: u32) -> bool {
        self.place(task).is_some_and(|ix| {
            let task = &self.tasks[ix as usize];
            matches!(task.state, State::Running(_)) && task.attempt == attempt
        })
    }

    /// The place of a task, also of one that was read by name.
    pub(crate) fn place(&self, task: &TaskRef) -> Option<u32> {
        match self.tasks.get(task.ix as usize) {
            Some(known) if Arc::ptr_eq(&known.id, &task.id) || known.id == task.id => Some(task.ix),
            _ => self.task(&task.id).map(TaskView::position),
        }
    }

    /// A task as this run knows it, also one that was read by name. One that it does not have comes back.
    pub(crate) fn known(&self, task: TaskRef) -> Result<TaskRef, TaskRef> {
        match self.place(&task) {
            Some(ix) if ix == task.ix => Ok(task),
            Some(ix) => Ok(self.reference(ix)),
            None => Err(task),
        }
    }

    /// Whether all tasks of a checkpoint have ended.
    pub(crate) fn is_reached(&self, checkpoint: u32) -> bool {
        self.ended_of(checkpoint) == self.plan.checkpoints[checkpoint as usize].after.len()
    }

    /// The same. What has been found out once is not looked at again, until a section runs again.
    pub(crate) fn has_come_to(&mut self, checkpoint: u32) -> bool {
        let ended = self.ended_of(checkpoint);
        self.reached[checkpoint as usize] = u32::try_from(ended).expect("MAX_DEPENDENCIES fits");
        ended == self.plan.checkpoints[checkpoint as usize].after.len()
    }

    fn ended_of(&self, checkpoint: u32) -> usize {
        let known = self.reached[checkpoint as usize] as usize;
        let ended = |node: &&u32| match self.latest[**node as usize] {
            NONE => false,
            ix => self.state(ix).is_end() && !self.agenda.repeats.contains(&ix),
        };
        known + self.plan.checkpoints[checkpoint as usize].after[known..].iter().take_while(ended).count()
    }

    pub(crate) fn knows_signal(&self, id: &str) -> bool {
        self.signal_ids.contains(id)
    }

    /// What must always be so. Cheap enough to stay on in tests and simulations; see the list in ARCHITECTURE.md.
    ///
    /// # Errors
    /// What is not so.
    pub fn check_invariants(&self) -> Result<(), String> {
        // A whole count after every entry would make long runs quadratic: large runs are counted now and then.
        if self.tasks.len() > 64 && !self.seq.is_multiple_of(256) {
            return Ok(());
        }
        let mut count = Counts::default();
        for (ix, task) in (0..).zip(&self.tasks) {
            if let Some(counted) = count.of(&task.state) {
                *counted += 1;
            }
            let item = matches!(task.origin, Origin::Item { .. });
            match self.plan.nodes[task.node as usize].role {
                _ if item || task.state.is_end() => {}
                Role::Main | Role::Catalogue => count.open += 1,
                Role::Review | Role::Finally => count.open_after += 1,
                Role::Compensation => {}
            }
            let left = matches!(task.state, State::Ready | State::Running(_)) && matches!(task.origin, Origin::Plan) && !task.late;
            if left && self.latest[task.node as usize] == ix && self.join_verdict(ix) != JoinVerdict::Fires && self.conclusion.is_none() {
                return Err(format!("task {} started before its join", task.id));
            }
            if matches!(task.state, State::Succeeded) != task.output.is_some() {
                return Err(format!(
                    "task {} is {} and {} output",
                    task.id,
                    task.state.status(),
                    if task.output.is_some() { "has an" } else { "has no" }
                ));
            }
        }
        if count != self.count {
            return Err(format!("the counts {:?} should be {count:?}", self.count));
        }
        if self.ended.is_some() && (count.active() > 0 || count.open + count.open_after > 0) {
            return Err("the run ended before its tasks".to_owned());
        }
        Ok(())
    }
}

impl Asking {
    fn new(question: Question, outcome: bool) -> Asking {
        let deadline = question.deadline;
        Asking { question, outcome, level: 0, deadline, answers: Vec::new(), delegations: Vec::new() }
    }
}

/// How much room a task of this node needs: its own, and that of its undoing.
pub(crate) fn with_undo(node: &Node) -> usize {
    1 + usize::from(node.compensate.is_some())
}

/// What a join has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinVerdict {
    Open,
    Fires,
    Never,
}

impl Tally {
    fn count(&mut self, status: TaskStatus) {
        match status {
            TaskStatus::Succeeded => self.succeeded += 1,
            TaskStatus::Failed | TaskStatus::TimedOut => self.failed += 1,
            _ => self.skipped += 1,
        }
    }
}

/// What an approval returns.
fn settled(last: &Answer, answers: &[Answer]) -> Payload {
    #[derive(serde::Serialize)]
    struct Settled<'a> {
        choice: &'a str,
        expired: bool,
        answers: &'a [Answer],
    }
    Payload::of(&Settled { choice: &last.choice, expired: &*last.by == NOBODY, answers }).unwrap_or_else(|_| Payload::null())
}
