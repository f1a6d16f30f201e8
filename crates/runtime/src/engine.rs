//! The front door: starts runs, goes on with them, and hands them what happens.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use futures_channel::mpsc;
use quorate_agents::{Outcome, Registry};
use quorate_core::draft::TaskDraft;
use quorate_core::{
    Digest, Draft, Event, FailureClass, Input, Millis, Parent, Payload, Plan, Progress, Run, RunId, RunStatus, Skill, Start, TaskRef,
    Timestamp,
};
use quorate_journal::{Head, Journal, Loaded, ReadError, Text};
use tokio::sync::{broadcast, oneshot, watch};

use crate::drive::{Driver, Mailbox, Message, Takeover, outcome_of};
use crate::probe::keep_asking;
use crate::slots::Slots;
use crate::speech::Speeches;
use crate::{Clock, Durability, Ended, Error};

/// Runs that are loaded at a time when an engine is opened.
const LOAD_AT_ONCE: usize = 256;
/// Live entries that a slow follower may be behind before it reads the journal instead.
const LIVE_ENTRIES: usize = 1_024;

/// How an engine behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many agents are called at once, over all runs.
    pub max_concurrent_agents: Option<usize>,
    /// How long an agent that was told to stop has before it is ended.
    pub grace: Duration,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options { max_concurrent_agents: None, grace: Duration::from_secs(5), clock: Clock::System }
    }
}

/// Drives runs. Cloning it gives another handle to the same engine.
#[derive(Clone, Debug)]
pub struct Engine(pub(crate) Arc<Shared>);

/// An engine that goes away when nobody else has it: what an agent of it holds that starts runs.
#[derive(Clone, Debug)]
pub struct WeakEngine(Weak<Shared>);

impl WeakEngine {
    /// The engine, if it is still there.
    #[must_use]
    pub fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(Engine)
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) options: Options,
    pub(crate) slots: Option<Arc<Slots>>,
    plans: Mutex<HashMap<Digest, Known>>,
    runs: [Mutex<HashMap<RunId, Mailbox>>; SHARDS],
    open: watch::Sender<usize>,
    pub(crate) stopping: AtomicBool,
    chance: RandomState,
    /// Runs that were given a name, and runs that were driven.
    named: AtomicU64,
    started: AtomicU64,
    pub(crate) committed: watch::Sender<u64>,
    /// Whether there will be no more entries.
    pub(crate) stopped: watch::Sender<bool>,
    pub(crate) live: broadcast::Sender<Live>,
    /// Whether agents are asked how they are.
    probing: AtomicBool,
    pub(crate) speeches: Speeches,
}

#[derive(Debug)]
struct Known {
    plan: Arc<Plan>,
    /// Whether the journal is known to have it.
    kept: bool,
}

/// Entries of a run as they became durable.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) run: RunId,
    pub(crate) entries: Arc<[quorate_core::Entry]>,
}

/// Hears of every entry of one run.
pub(crate) type Tap = mpsc::UnboundedSender<Arc<[quorate_core::Entry]>>;

const SHARDS: usize = 16;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Order {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What it is about.
    pub input: Payload,
    /// What classification found out about it.
    pub profile: Option<Payload>,
    /// For whom it acts.
    pub session: Option<Payload>,
    /// Who starts it.
    pub by: Arc<str>,
    /// Why, where it is what a request was routed to.
    pub route: Option<Payload>,
    /// The expertise that its tasks require, and those of the runs within it.
    pub skills: Vec<Skill>,
    /// What has to be durable before what.
    pub durability: Durability,
    /// The run in which an agent starts it.
    pub within: Option<RunId>,
    /// Its id, where the caller has one: starting it a second time is refused, however often it is tried.
    pub id: Option<RunId>,
}

impl Order {
    /// A plan and an input, by the system, strictly durable.
    #[must_use]
    pub fn new(plan: Arc<Plan>, input: Payload) -> Order {
        let (by, durability) = ("system".into(), Durability::Strict);
        Order { plan, input, profile: None, session: None, by, route: None, skills: Vec::new(), durability, within: None, id: None }
    }

    /// The same, as the run of this id.
    #[must_use]
    pub fn id(mut self, id: RunId) -> Order {
        self.id = Some(id);
        self
    }

    /// The same, started by an agent of another run.
    #[must_use]
    pub fn within(mut self, run: RunId) -> Order {
        self.within = Some(run);
        self
    }

    /// The same, with another durability.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Order {
        self.durability = durability;
        self
    }
}

/// A run that was started.
#[derive(Debug)]
pub struct RunHandle {
    run: RunId,
    ended: oneshot::Receiver<Box<Result<Ended, Error>>>,
}

impl RunHandle {
    /// The run.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.run
    }

    /// Waits until the run has ended.
    ///
    /// # Errors
    /// [`Error::Stopping`] where the engine stops before: the run goes on when it is opened again. Any other [`Error`]
    /// says why this engine cannot go on with the run.
    pub async fn ended(self) -> Result<Ended, Error> {
        self.ended.await.map_or(Err(Error::Stopping), |ended| *ended)
    }
}

/// An engine that goes on with what a journal holds.
#[derive(Debug)]
#[must_use]
pub struct Opened {
    /// The engine.
    pub engine: Engine,
    /// Open runs that it cannot go on with, and why. They are as they were, and nothing is repaired.
    pub left: Vec<(RunId, Error)>,
}

/// How an engine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Runs in memory.
    pub open_runs: usize,
    /// Runs that were begun, or gone on with, since the engine was made.
    pub started: u64,
}

impl Engine {
    /// An engine over a journal, which it leaves alone. Use [`Engine::open`] to go on with what the journal holds.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, registry: Arc<Registry>, options: Options) -> Engine {
        Engine(Arc::new(Shared {
            journal,
            registry,
            slots: options.max_concurrent_agents.map(Slots::new),
            options,
            plans: Mutex::default(),
            runs: std::array::from_fn(|_| Mutex::default()),
            open: watch::Sender::new(0),
            stopping: AtomicBool::new(false),
            chance: RandomState::new(),
            named: AtomicU64::new(0),
            started: AtomicU64::new(0),
            committed: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
            live: broadcast::Sender::new(LIVE_ENTRIES),
            probing: AtomicBool::new(false),
            speeches: Speeches::default(),
        }))
    }

    /// An engine over a journal, going on with every run in it that has not ended, and can be gone on with.
    ///
    /// # Errors
    /// [`Error::Read`] where the journal does not say which runs are open.
    pub async fn open(journal: Arc<dyn Journal>, registry: Arc<Registry>, options: Options) -> Result<Opened, Error> {
        let engine = Engine::new(journal, registry, options);
        let left = engine.go_on().await?;
        Ok(Opened { engine, left })
    }

    /// Goes on with every run in the journal that has not ended, and can be gone on with. It is done once, before anything else:
    /// who needs the engine before its runs go on makes it with [`Engine::new`], and then does this.
    ///
    /// # Errors
    /// [`Error::Read`] where the journal does not say which runs are open. Runs that it cannot go on with are returned, and why.
    pub async fn go_on(&self) -> Result<Vec<(RunId, Error)>, Error> {
        let open = self.0.journal.open_runs().await?;
        let (mut loaded, mut left) = (Vec::with_capacity(open.len()), Vec::new());
        for chunk in open.chunks(LOAD_AT_ONCE) {
            for (run, found) in self.load_each(chunk).await {
                match self.fold(run, found).await {
                    Ok(found) => loaded.push(found),
                    Err(Error::Read(wrong @ ReadError::Storage { .. })) => return Err(wrong.into()),
                    Err(wrong) => left.push((run, wrong)),
                }
            }
        }
        let awaited: HashSet<RunId> = loaded.iter().flat_map(|(run, _)| run.children()).map(|child| child.run).collect();
        let now = self.0.options.clock.now();
        let restart = |run: &mut Run| -> Result<Vec<quorate_core::Entry>, Error> {
            let mut entries = run.advance(now, Input::Restarted)?;
            if run.begun().is_some_and(|start| start.parent.is_some()) && !awaited.contains(&run.id()) {
                // It was about to be told when the engine stopped.
                run.advance_onto(now, no_longer_awaited(), &mut entries)?;
            }
            Ok(entries)
        };
        for (mut run, head) in loaded {
            let entries = match restart(&mut run) {
                Ok(entries) => entries,
                Err(wrong) => {
                    left.push((run.id(), wrong));
                    continue;
                }
            };
            self.drive(Takeover { run, head, entries, texts: Vec::new(), durability: Durability::Strict, tell: None, tap: None })?;
        }
        Ok(left)
    }

    /// Many runs at once; where one of them is damaged, each for itself.
    async fn load_each(&self, runs: &[RunId]) -> Vec<(RunId, Result<Loaded, Error>)> {
        if let Ok(loaded) = self.0.journal.load(runs.to_vec()).await {
            return loaded.into_iter().map(|loaded| (loaded.run, Ok(loaded))).collect();
        }
        let mut each = Vec::with_capacity(runs.len());
        for run in runs {
            let loaded = self.0.journal.load(vec![*run]).await.map_err(Error::from);
            each.push((*run, loaded.and_then(|mut loaded| loaded.pop().ok_or(Error::NoRun(*run)))));
        }
        each
    }

    async fn fold(&self, id: RunId, loaded: Result<Loaded, Error>) -> Result<(Run, Head), Error> {
        let loaded = loaded?;
        let Some(Event::RunStarted(start)) = loaded.entries.first().map(|entry| &entry.event) else {
            return Err(Error::NoRun(id));
        };
        let plan = self.plan(id, start.plan).await?;
        Ok((Run::load(id, plan, &loaded.entries)?, loaded.head))
    }

    /// Makes a plan known, so that tasks can run it as a sub-workflow. A run keeps the plans that it may come to run.
    pub fn know(&self, plan: &Arc<Plan>) {
        self.plans().entry(plan.digest()).or_insert_with(|| Known { plan: plan.clone(), kept: false });
    }

    /// The plan of a run and those within it, as far as the journal does not have them.
    fn texts_of(&self, plan: &Arc<Plan>) -> Vec<Text> {
        self.know(plan);
        let plans = self.plans();
        let (mut open, mut seen, mut texts) = (vec![plan.digest()], HashSet::new(), Vec::new());
        while let Some(digest) = open.pop() {
            if let Some(known) = plans.get(&digest).filter(|known| !known.kept && seen.insert(digest)) {
                texts.push((digest, known.plan.source().clone()));
                open.extend(known.plan.sub_plans());
            }
        }
        texts
    }

    pub(crate) fn are_kept(&self, texts: &[Text]) {
        let mut plans = self.plans();
        for (digest, _) in texts {
            if let Some(known) = plans.get_mut(digest) {
                known.kept = true;
            }
        }
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.0.plans.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A plan that is known, or that the journal has.
    async fn plan(&self, run: RunId, digest: Digest) -> Result<Arc<Plan>, Error> {
        if let Some(known) = self.plans().get(&digest) {
            return Ok(known.plan.clone());
        }
        let source = self.0.journal.kept(digest).await?.ok_or(Error::PlanGone { run, plan: digest })?;
        let plan = Arc::new(Plan::read(&source).map_err(|problems| Error::BadPlan { plan: digest, problems })?);
        self.plans().insert(digest, Known { plan: plan.clone(), kept: true });
        Ok(plan)
    }

    /// Begins a run. Under strict durability nothing of it starts before its beginning is durable.
    ///
    /// # Errors
    /// [`Error::BadStart`] where the input is not what the plan says; [`Error::Stopping`]; [`Error::Exists`] where a run of
    /// the same id is open. One that has ended is found by the
    /// journal, and its [`RunHandle::ended`] says so.
    pub fn start(&self, order: Order) -> Result<RunHandle, Error> {
        self.start_as(order.id.unwrap_or_else(|| self.new_id()), order, None, None)
    }

    /// An id that no run has.
    #[must_use]
    pub fn new_id(&self) -> RunId {
        let chance = self.0.chance.hash_one(self.0.named.fetch_add(1, Ordering::Relaxed));
        let more = self.0.chance.hash_one(chance);
        RunId::at(self.0.options.clock.now(), (u128::from(chance) << 64) | u128::from(more))
    }

    pub(crate) fn start_as(&self, run: RunId, order: Order, parent: Option<Parent>, tap: Option<Tap>) -> Result<RunHandle, Error> {
        let Order { plan, input, profile, session, by, route, skills, durability, within, id: _ } = order;
        let bad = |why| Error::BadStart { plan: plan.name().clone(), why };
        plan.check_start(&input, profile.as_ref()).map_err(bad)?;
        if let Some(missing) = plan.skills().iter().find(|name| !skills.iter().any(|skill| skill.name == **name)) {
            return Err(bad(format!("it requires the skill `{missing}`, which did not come with it")));
        }
        let texts = if durability == Durability::Memory { Vec::new() } else { self.texts_of(&plan) };
        let (digest, name) = (plan.digest(), plan.name().clone());
        let start = Start { plan: digest, name, input, profile, session, by, route, skills, parent, within, deadline: None };
        let (state, entries) = Run::start(&plan, run, self.0.options.clock.now(), start);
        let (tell, ended) = oneshot::channel();
        self.drive(Takeover { run: state, head: Head::START, entries, texts, durability, tell: Some(tell), tap })?;
        Ok(RunHandle { run, ended })
    }

    fn drive(&self, takeover: Takeover) -> Result<(), Error> {
        let id = takeover.run.id();
        let (mailbox, inbox) = mpsc::unbounded();
        let mailbox = Arc::new(mailbox);
        {
            let mut shard = self.shard(id);
            // Looked at while nobody else is: who stops the engine tells those who are here afterwards.
            if self.0.stopping.load(Ordering::SeqCst) {
                return Err(Error::Stopping);
            }
            match shard.entry(id) {
                Entry::Occupied(_) => return Err(Error::Exists(id)),
                Entry::Vacant(free) => drop(free.insert(mailbox.clone())),
            }
            self.0.open.send_modify(|open| *open += 1);
        }
        self.0.started.fetch_add(1, Ordering::Relaxed);
        if self.0.registry.wants_probes() && !self.0.probing.swap(true, Ordering::AcqRel) {
            tokio::spawn(keep_asking(Arc::downgrade(&self.0)));
        }
        // In a box, because an async function keeps what it is called with twice.
        let driver = Box::new(Driver::new(self.clone(), takeover, mailbox, inbox));
        tokio::spawn(driver.drive());
        Ok(())
    }

    fn shard(&self, run: RunId) -> MutexGuard<'_, HashMap<RunId, Mailbox>> {
        let shard = usize::try_from(run.0 % SHARDS as u128).unwrap_or_default();
        self.0.runs[shard].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, run: RunId) {
        if self.shard(run).remove(&run).is_some() {
            self.0.speeches.forget(run);
            self.0.open.send_modify(|open| *open -= 1);
        }
    }

    pub(crate) fn send(&self, run: RunId, message: Message) -> Result<(), Error> {
        let mailbox = self.shard(run).get(&run).cloned().ok_or(Error::NoRun(run))?;
        mailbox.unbounded_send(message).map_err(|_| Error::NoRun(run))
    }

    /// Runs an order to its end, and shows the run whenever something has happened in it.
    ///
    /// # Errors
    /// Those of [`Engine::start`], and whatever kept the engine from going on with it.
    pub async fn run_with(&self, order: Order, mut on_change: impl FnMut(&Run) + Send) -> Result<Ended, Error> {
        let plan = order.plan.clone();
        let (handle, mut following) = self.start_followed(order)?;
        let mut seen: Option<Run> = None;
        while let Some(entry) = following.next().await? {
            match &mut seen {
                Some(run) => run.apply(&entry)?,
                None => seen = Some(Run::load(handle.id(), plan.clone(), [&entry])?),
            }
            seen.iter().for_each(&mut on_change);
        }
        handle.ended().await
    }

    /// Does a single task, as a run of its own.
    ///
    /// # Errors
    /// [`Error::BadPlan`] where the task is not one that can run; those of [`Engine::start`].
    pub async fn execute_task(&self, task: TaskDraft, input: Payload) -> Result<Ended, Error> {
        let draft = Draft::new(&task.id.clone()).task(task);
        let bad = |problems| Error::BadPlan { plan: Digest::of(draft.name.as_bytes()), problems };
        let plan = Plan::compile(&draft).map_err(bad)?;
        self.start(Order::new(Arc::new(plan), input))?.ended().await
    }

    /// How far a run has come, open or ended.
    ///
    /// # Errors
    /// [`Error`] where there is no such run, or its journal cannot be read.
    pub async fn progress(&self, run: RunId) -> Result<Progress, Error> {
        match self.look(run, Run::progress).await {
            Err(Error::NoRun(_)) => Ok(self.load(run).await?.progress()),
            other => other,
        }
    }

    /// Gives a run an input, and waits until what follows from it is durable.
    ///
    /// # Errors
    /// [`Error`]: the run is over, the input is refused, or the journal did not take it.
    pub async fn input(&self, run: RunId, input: Input) -> Result<(), Error> {
        let (tell, told) = oneshot::channel();
        self.send(run, Message::Input(Box::new(input), Some(tell)))?;
        told.await.map_err(|_| Error::Stopping)?
    }

    /// Cancels a run.
    ///
    /// # Errors
    /// [`Error::NoRun`] where it is over already.
    pub async fn cancel(&self, run: RunId, by: &str, reason: &str, rollback: bool) -> Result<(), Error> {
        self.input(run, Input::Cancel { by: by.into(), reason: reason.to_owned(), rollback }).await
    }

    /// Asks an open run something about its state. It answers once the state is durable.
    ///
    /// # Errors
    /// [`Error::NoRun`] where it is over; load it from the journal instead.
    pub async fn look<T: Send + 'static>(&self, run: RunId, question: impl FnOnce(&Run) -> T + Send + 'static) -> Result<T, Error> {
        let (tell, told) = oneshot::channel();
        let question = Box::new(move |run: &Run| {
            let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| question(run)));
            // Whoever asked may not want to know any more.
            let _ = tell.send(answer);
        });
        self.send(run, Message::Look(question))?;
        match told.await.map_err(|_| Error::Stopping)? {
            Ok(answer) => Ok(answer),
            // It is the question that panicked, so it is who asked it that fails.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// How a run stands, open or ended.
    ///
    /// # Errors
    /// [`Error`] where there is no such run, or its journal cannot be read.
    pub async fn status(&self, run: RunId) -> Result<RunStatus, Error> {
        match self.look(run, Run::status).await {
            Err(Error::NoRun(_)) => Ok(self.load(run).await?.status()),
            other => other,
        }
    }

    /// Rebuilds a run from its journal.
    ///
    /// # Errors
    /// [`Error`] where there is no such run, or its journal cannot be read.
    pub async fn load(&self, run: RunId) -> Result<Run, Error> {
        let loaded = self.0.journal.load(vec![run]).await?.pop().ok_or(Error::NoRun(run));
        self.fold(run, loaded).await.map(|(run, _)| run)
    }

    /// The same engine, for one of its own agents to hold.
    #[must_use]
    pub fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.0))
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.0.journal
    }

    /// The agents.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// How the engine stands.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { open_runs: *self.0.open.borrow(), started: self.0.started.load(Ordering::Relaxed) }
    }

    /// Starts nothing more, lets calls under way come to their end or their grace, and makes everything durable.
    ///
    /// # Errors
    /// [`Error::Append`] where the journal could not make everything durable.
    pub async fn stop(&self) -> Result<(), Error> {
        self.0.stopping.store(true, Ordering::SeqCst);
        for shard in &self.0.runs {
            let shard = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for mailbox in shard.values() {
                // A run that ends just now needs no telling.
                let _ = mailbox.unbounded_send(Message::Stop);
            }
        }
        let mut open = self.0.open.subscribe();
        // The sender lives as long as this handle.
        let _ = open.wait_for(|open| *open == 0).await;
        let flushed = self.0.journal.flush().await;
        self.0.stopped.send_replace(true);
        Ok(flushed?)
    }

    /// Lets the standing of an agent learn that a call of it failed.
    pub(crate) fn agent_failed(&self, run: &Run, task: &TaskRef, class: FailureClass, rest: Option<Millis>, now: Timestamp) {
        if let Some(agent) = run.agent_of(task) {
            self.0.registry.failed(agent, class, rest, now);
        }
    }

    /// Tells a parent what came of its child, if it is there to be told.
    pub(crate) fn tell_parent(&self, parent: &Parent, outcome: Outcome) {
        let message = Message::ChildEnded { task: parent.task.clone(), attempt: parent.attempt, outcome };
        // A parent that is over does not wait for its children.
        let _ = self.send(parent.run, message);
    }

    /// Whether a run still waits for one that it started.
    pub(crate) async fn awaits(&self, parent: &Parent, child: RunId) -> Result<bool, Error> {
        let waits = move |run: &Run| run.children().any(|awaited| awaited.run == child);
        match self.look(parent.run, waits).await {
            Err(Error::NoRun(_)) => Ok(waits(&self.load(parent.run).await?)),
            other => other,
        }
    }

    /// Goes on with the run that a task waits for: starts it, or learns how it ended, where it is not open.
    pub(crate) async fn adopt(&self, adopting: Adopting) -> Result<(), Error> {
        let Adopting { parent, child, plan, input, session, by, skills, durability } = adopting;
        if self.is_open(child) {
            return Ok(());
        }
        let known = if durability == Durability::Memory { None } else { self.0.journal.load(vec![child]).await?.pop() };
        if known.is_none_or(|loaded| loaded.entries.is_empty()) {
            let plan = self.plan(child, plan).await?;
            let order = Order { session, by, skills, durability, ..Order::new(plan, input) };
            return match self.start_as(child, order, Some(parent), None) {
                // Somebody else adopted it meanwhile.
                Err(Error::Exists(_)) => Ok(()),
                other => other.map(drop),
            };
        }
        let run = self.load(child).await?;
        if run.has_ended() {
            self.tell_parent(&parent, outcome_of(&run));
        }
        Ok(())
    }

    pub(crate) fn is_open(&self, run: RunId) -> bool {
        self.shard(run).contains_key(&run)
    }
}

/// A run that another one waits for.
#[derive(Clone, Debug)]
pub(crate) struct Adopting {
    pub(crate) parent: Parent,
    pub(crate) child: RunId,
    pub(crate) plan: Digest,
    pub(crate) input: Payload,
    pub(crate) session: Option<Payload>,
    pub(crate) by: Arc<str>,
    pub(crate) skills: Vec<Skill>,
    pub(crate) durability: Durability,
}

/// What a run is told that another one started and no longer waits for.
pub(crate) fn no_longer_awaited() -> Input {
    Input::Cancel { by: "system".into(), reason: "the run that started it no longer waits for it".into(), rollback: true }
}

pub(crate) fn ended(run: &Run) -> Ended {
    Ended { run: run.id(), status: run.status(), output: run.output(), decision: run.decision().cloned(), seq: run.seq() }
}
