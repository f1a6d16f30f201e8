//! The front door: starts runs, goes on with them, and hands them what happens.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_channel::mpsc;
use quorate_agents::Registry;
use quorate_core::{Digest, Entry, Event, Input, Parent, Payload, Plan, Run, RunId, RunStatus, Start, TaskRef};
use quorate_journal::{Head, Journal};
use tokio::sync::{broadcast, oneshot, watch};

use crate::drive::{Driver, Message};
use crate::slots::Slots;
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

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) options: Options,
    pub(crate) slots: Option<Arc<Slots>>,
    agent_slots: Mutex<HashMap<Arc<str>, Arc<Slots>>>,
    plans: Mutex<HashMap<Digest, Arc<Plan>>>,
    runs: [Mutex<HashMap<RunId, mpsc::UnboundedSender<Message>>>; SHARDS],
    open: watch::Sender<usize>,
    pub(crate) stopping: AtomicBool,
    chance: RandomState,
    started: AtomicU64,
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) live: broadcast::Sender<Live>,
}

/// Entries of a run as they became durable.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) run: RunId,
    pub(crate) entries: Arc<[Entry]>,
}

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
    /// What has to be durable before what.
    pub durability: Durability,
}

impl Order {
    /// A plan and an input, by the system, strictly durable.
    #[must_use]
    pub fn new(plan: Arc<Plan>, input: Payload) -> Order {
        Order { plan, input, profile: None, session: None, by: "system".into(), durability: Durability::Strict }
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
    ended: oneshot::Receiver<Ended>,
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
    /// [`Error::Stopping`] where the engine stops before: the run goes on when it is opened again.
    pub async fn ended(self) -> Result<Ended, Error> {
        self.ended.await.map_err(|_| Error::Stopping)
    }
}

/// How an engine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Runs in memory.
    pub open_runs: usize,
    /// Runs that were started since the engine was made.
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
            agent_slots: Mutex::default(),
            plans: Mutex::default(),
            runs: std::array::from_fn(|_| Mutex::default()),
            open: watch::Sender::new(0),
            stopping: AtomicBool::new(false),
            chance: RandomState::new(),
            started: AtomicU64::new(0),
            committed: watch::Sender::new(0),
            live: broadcast::Sender::new(LIVE_ENTRIES),
        }))
    }

    /// An engine over a journal, going on with every run in it that has not ended.
    ///
    /// # Errors
    /// [`Error`] at the first run that cannot be gone on with; nothing is repaired.
    pub async fn open(journal: Arc<dyn Journal>, registry: Arc<Registry>, options: Options) -> Result<Engine, Error> {
        let engine = Engine::new(journal, registry, options);
        let open = engine.0.journal.open_runs().await?;
        let mut loaded = Vec::with_capacity(open.len());
        for chunk in open.chunks(LOAD_AT_ONCE) {
            for found in engine.0.journal.load(chunk.to_vec()).await? {
                let Some(Event::RunStarted(start)) = found.entries.first().map(|entry| &entry.event) else {
                    return Err(Error::NoRun(found.run));
                };
                let plan = engine.plan(found.run, start.plan).await?;
                loaded.push((Run::load(found.run, plan, &found.entries)?, found.head));
            }
        }
        for (mut run, head) in loaded {
            let entries = run.advance(engine.0.options.clock.now(), Input::Restarted)?;
            engine.drive(run, entries, head, Durability::Strict, None);
        }
        Ok(engine)
    }

    /// Makes a plan known, so that tasks can run it as a sub-workflow.
    pub fn know(&self, plan: &Arc<Plan>) {
        if self.plans().insert(plan.digest(), plan.clone()).is_none() {
            self.0.journal.keep(plan.digest(), plan.source().clone());
        }
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Plan>>> {
        self.0.plans.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn known(&self, digest: Digest) -> Option<Arc<Plan>> {
        self.plans().get(&digest).cloned()
    }

    pub(crate) async fn plan(&self, run: RunId, digest: Digest) -> Result<Arc<Plan>, Error> {
        if let Some(known) = self.plans().get(&digest) {
            return Ok(known.clone());
        }
        let source = self.0.journal.kept(digest).await?.ok_or(Error::PlanGone { run, plan: digest })?;
        let plan = Arc::new(Plan::read(&source).map_err(|problems| Error::BadPlan { plan: digest, problems })?);
        self.plans().insert(digest, plan.clone());
        Ok(plan)
    }

    /// Begins a run. Under strict durability nothing of it starts before its beginning is durable.
    ///
    /// # Errors
    /// [`Error::Stopping`].
    pub fn start(&self, order: Order) -> Result<RunHandle, Error> {
        let chance = self.0.chance.hash_one(self.0.started.fetch_add(1, Ordering::Relaxed));
        let more = self.0.chance.hash_one(chance);
        let run = RunId::at(self.0.options.clock.now(), (u128::from(chance) << 64) | u128::from(more));
        self.start_as(run, order, None)
    }

    pub(crate) fn start_as(&self, run: RunId, order: Order, parent: Option<Parent>) -> Result<RunHandle, Error> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(Error::Stopping);
        }
        let Order { plan, input, profile, session, by, durability } = order;
        if durability != Durability::Memory {
            self.know(&plan);
        }
        let start = Start { plan: plan.digest(), name: plan.name().clone(), input, profile, session, by, parent, deadline: None };
        let (state, entries) = Run::start(&plan, run, self.0.options.clock.now(), start);
        let (tell, ended) = oneshot::channel();
        self.drive(state, entries, Head::START, durability, Some(tell));
        Ok(RunHandle { run, ended })
    }

    fn drive(&self, run: Run, entries: Vec<Entry>, head: Head, durability: Durability, tell: Option<oneshot::Sender<Ended>>) {
        let id = run.id();
        let (mailbox, inbox) = mpsc::unbounded();
        self.shard(id).insert(id, mailbox.clone());
        self.0.open.send_modify(|open| *open += 1);
        // In a box, because an async function keeps what it is called with twice.
        let driver = Box::new(Driver::new(self.clone(), run, head, durability, mailbox, inbox, tell));
        tokio::spawn(driver.drive(entries));
    }

    fn shard(&self, run: RunId) -> MutexGuard<'_, HashMap<RunId, mpsc::UnboundedSender<Message>>> {
        let shard = usize::try_from(run.0 % SHARDS as u128).unwrap_or_default();
        self.0.runs[shard].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, run: RunId) {
        if self.shard(run).remove(&run).is_some() {
            self.0.open.send_modify(|open| *open -= 1);
        }
    }

    pub(crate) fn send(&self, run: RunId, message: Message) -> Result<(), Error> {
        let mailbox = self.shard(run).get(&run).cloned().ok_or(Error::NoRun(run))?;
        mailbox.unbounded_send(message).map_err(|_| Error::NoRun(run))
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

    /// Asks an open run something about its state.
    ///
    /// # Errors
    /// [`Error::NoRun`] where it is over; load it from the journal instead.
    pub async fn look<T: Send + 'static>(&self, run: RunId, question: impl FnOnce(&Run) -> T + Send + 'static) -> Result<T, Error> {
        let (tell, told) = oneshot::channel();
        let question = Box::new(move |run: &Run| {
            // Whoever asked may not want to know any more.
            let _ = tell.send(question(run));
        });
        self.send(run, Message::Look(question))?;
        told.await.map_err(|_| Error::Stopping)
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
        let loaded = self.0.journal.load(vec![run]).await?.pop().ok_or(Error::NoRun(run))?;
        let Some(Event::RunStarted(start)) = loaded.entries.first().map(|entry| &entry.event) else {
            return Err(Error::NoRun(run));
        };
        let plan = self.plan(run, start.plan).await?;
        Ok(Run::load(run, plan, &loaded.entries)?)
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
        self.0.stopping.store(true, Ordering::Release);
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
        Ok(self.0.journal.flush().await?)
    }

    pub(crate) fn slots_of(&self, agent: &Arc<str>, limit: usize) -> Arc<Slots> {
        let mut slots = self.0.agent_slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        slots.entry(agent.clone()).or_insert_with(|| Slots::new(limit)).clone()
    }

    /// Tells a parent how its child ended, if it is there to be told.
    pub(crate) fn tell_parent(&self, parent: &Parent, ended: &Ended) {
        let message = Message::ChildEnded { task: parent.task.clone(), attempt: parent.attempt, ended: Box::new(ended.clone()) };
        // A parent that is over does not wait for its children.
        let _ = self.send(parent.run, message);
    }

    /// Goes on with the run that a task waits for: starts it, or learns how it ended, where it is not open.
    pub(crate) async fn adopt(&self, parent: RunId, task: TaskRef, attempt: u32, child: RunId, order: Order) -> Result<(), Error> {
        if self.shard(child).contains_key(&child) {
            return Ok(());
        }
        let durability = order.durability;
        let known = if durability == Durability::Memory { None } else { self.0.journal.load(vec![child]).await?.pop() };
        match known {
            Some(loaded) if !loaded.entries.is_empty() => {
                let run = self.load(child).await?;
                if run.has_ended() {
                    let ended = ended(&run);
                    let link = Parent { run: parent, task: task.id().into(), attempt };
                    self.tell_parent(&link, &ended);
                }
                Ok(())
            }
            _ => {
                let link = Parent { run: parent, task: task.id().into(), attempt };
                self.start_as(child, order, Some(link)).map(drop)
            }
        }
    }
}

pub(crate) fn ended(run: &Run) -> Ended {
    Ended { run: run.id(), status: run.status(), output: run.output(), decision: run.decision().cloned(), seq: run.seq() }
}
