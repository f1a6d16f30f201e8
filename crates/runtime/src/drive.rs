//! The task that drives one run.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::mpsc;
use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use quorate_agents::{Agent, Call, Cancel, Doing, Outcome};
use quorate_core::{
    Asker, Child, Digest, Effect, Entry, Event, Failure, FailureClass, Input, Offer, Parent, Reply, Request, Run, RunId, RunStatus,
    TaskRef, Timestamp,
};
use quorate_journal::{AppendError, Appended, Head, Loaded, ReadError};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::engine::{Engine, Live, Order, ended, no_longer_awaited};
use crate::slots::{Permit, Slots};
use crate::{Durability, Ended, Error};

/// Messages that are handled before their entries go to the journal together.
const MAX_TOGETHER: usize = 256;
/// How long a run waits before it is loaded again, when the journal did not take its entries.
const RELOAD_AFTER: Duration = Duration::from_secs(1);

/// What arrives in the mailbox of a run.
pub(crate) enum Message {
    /// A call ended.
    CallEnded { task: TaskRef, attempt: u32, outcome: Outcome },
    /// A call is gone without an outcome: it was ended by force.
    CallGone { task: TaskRef },
    /// A sub-workflow ended, or cannot go on.
    ChildEnded { task: Arc<str>, attempt: u32, outcome: Outcome },
    /// A place is free for a task of this lane.
    Granted { lane: u32, permit: Permit },
    /// Something happened.
    Input(Box<Input>, Option<oneshot::Sender<Result<(), Error>>>),
    /// Somebody wants to know something.
    Look(Box<dyn FnOnce(&Run) + Send>),
    /// The engine stops.
    Stop,
}

/// A run as its driver takes it over.
pub(crate) struct Takeover {
    pub(crate) run: Run,
    /// Where its journal is.
    pub(crate) head: Head,
    /// What was decided and is not in the journal yet.
    pub(crate) entries: Vec<Entry>,
    pub(crate) durability: Durability,
    /// Who waits for its end.
    pub(crate) tell: Option<oneshot::Sender<Result<Ended, Error>>>,
}

pub(crate) struct Driver {
    engine: Engine,
    run: Run,
    head: Head,
    durability: Durability,
    mailbox: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    tell: Option<oneshot::Sender<Result<Ended, Error>>>,
    /// Decided, and not in the journal yet.
    entries: Vec<Entry>,
    /// Answers that wait for the entries before them.
    owed: Vec<Owed>,
    /// Calls under way, by task: attempts of one task never overlap.
    flights: HashMap<u32, Flight, BuildHasherDefault<ByPosition>>,
    /// Calls that were told to stop and have not yet.
    landing: usize,
    stopped: u64,
    /// Lanes in which this run waits for a place, and places that came.
    queued: Vec<u32>,
    granted: Vec<(u32, Permit)>,
    /// Appends that are not known to be durable, oldest first.
    pending: VecDeque<Appended>,
    /// Entries that followers hear of once they are durable.
    unpublished: Vec<Entry>,
    stopping: bool,
    end_told: bool,
    /// When the last messages came: one look at the clock serves all that follows from them.
    now: Timestamp,
}

/// Positions are spread well enough as they are.
#[derive(Default)]
struct ByPosition(u64);

impl Hasher for ByPosition {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, position: u32) {
        // The table takes its groups from the low bits and its marks from the high ones.
        self.0 = u64::from(position).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

struct Flight {
    task: TaskRef,
    attempt: u32,
    cancel: Cancel,
    ending: Ending,
    landing_until: Option<Instant>,
    /// Whether the run no longer waits for it, although it goes on.
    given_up: bool,
}

impl Flight {
    fn is_landing(&self) -> bool {
        self.landing_until.is_some() && !self.given_up
    }
}

/// How a call is ended by force.
enum Ending {
    Abort(AbortHandle),
    /// A thread cannot be ended from outside.
    Never,
    /// A run is cancelled.
    Child(RunId),
}

/// What starts once its entries are durable.
enum Launch {
    Call { task: TaskRef, request: Box<Request>, agent: Arc<Agent>, permits: Vec<Permit> },
    Child { task: TaskRef, attempt: u32, child: RunId, order: Box<Order> },
}

impl Driver {
    pub(crate) fn new(
        engine: Engine,
        takeover: Takeover,
        mailbox: mpsc::UnboundedSender<Message>,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Driver {
        let Takeover { run, head, entries, durability, tell } = takeover;
        Driver {
            now: engine.0.options.clock.now(),
            engine,
            stopped: run.stopped(),
            run,
            head,
            durability,
            mailbox,
            inbox,
            tell,
            entries,
            owed: Vec::new(),
            flights: HashMap::default(),
            landing: 0,
            queued: Vec::new(),
            granted: Vec::new(),
            pending: VecDeque::new(),
            unpublished: Vec::new(),
            stopping: false,
            end_told: false,
        }
    }

    /// Drives the run to its end, or until the engine stops.
    pub(crate) async fn drive(mut self: Box<Self>) {
        self.adopt_children();
        while let Err(refused) = self.go_on().await {
            if let Err(wrong) = self.fall_back(refused).await {
                self.give_up(wrong);
                break;
            }
        }
        // Whoever still waits for an answer learns by the silence that there will be none.
    }

    async fn go_on(&mut self) -> Result<(), AppendError> {
        loop {
            let launches = self.dispatch();
            self.record().await?;
            launches.into_iter().for_each(|launch| self.launch(launch));
            self.land();
            if self.run.has_ended() {
                self.tell_end().await?;
            }
            if (self.run.has_ended() || self.stopping) && self.flights.values().all(|flight| flight.given_up) {
                return Ok(());
            }
            self.next().await?;
        }
    }

    /// Waits for something to happen, and takes in everything that has.
    async fn next(&mut self) -> Result<(), AppendError> {
        let wake = if self.stopping { None } else { self.run.wake_at() };
        let clock = self.engine.0.options.clock;
        let wake = wake.map(|at| clock.instant_of(at));
        let deadline = [wake, self.landing_until()].into_iter().flatten().min();
        let first = match (deadline, self.pending.front_mut()) {
            (None, None) => self.inbox.next().await,
            (Some(deadline), None) => tokio::select! {
                biased;
                message = self.inbox.next() => message,
                () = tokio::time::sleep_until(deadline) => None,
            },
            (_, Some(oldest)) => tokio::select! {
                biased;
                message = self.inbox.next() => message,
                kept = oldest => {
                    self.pending.pop_front();
                    kept?;
                    if self.pending.is_empty() {
                        self.publish();
                    }
                    None
                }
            },
        };
        self.now = clock.now();
        if let Some(message) = first {
            self.take(message);
            for _ in 1..MAX_TOGETHER {
                match self.inbox.try_recv() {
                    Ok(message) => self.take(message),
                    Err(_) => break,
                }
            }
        }
        if !self.stopping && self.run.wake_at().is_some_and(|at| at <= self.now) {
            self.advance(Input::Woke);
        }
        Ok(())
    }

    /// When the first of the calls that were told to stop has had its time.
    fn landing_until(&self) -> Option<Instant> {
        if self.landing == 0 {
            return None;
        }
        self.flights.values().filter(|flight| flight.is_landing()).filter_map(|flight| flight.landing_until).min()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::CallEnded { task, attempt, outcome } => {
                self.landed(&task);
                if self.stopping && outcome.is_err() {
                    // It was told to stop. It is made again when the run goes on.
                    return;
                }
                let result = outcome.and_then(|reply| self.check(&task, reply));
                self.advance(Input::Ended { task, attempt, result });
            }
            Message::CallGone { task } => self.landed(&task),
            Message::ChildEnded { task, attempt, outcome } => {
                if let Some(flight) = self.flights.values().find(|flight| flight.task.id() == &*task && flight.attempt == attempt) {
                    let flown = flight.task.clone();
                    self.landed(&flown);
                }
                let Some(task) = self.awaited(&task, attempt) else { return };
                self.advance(Input::Ended { task, attempt, result: outcome });
            }
            Message::Granted { lane, permit } => {
                self.queued.retain(|queued| *queued != lane);
                self.granted.push((lane, permit));
            }
            Message::Input(input, tell) => {
                let outcome = self.run.advance_onto(self.now, *input, &mut self.entries).map_err(Error::from);
                if let Some(tell) = tell {
                    self.owed.push(Owed { tell, outcome });
                }
            }
            Message::Look(question) => question(&self.run),
            Message::Stop => {
                self.stopping = true;
                self.queued.clear();
                self.granted.clear();
                self.stop_all();
            }
        }
    }

    fn advance(&mut self, input: Input) {
        // The inputs of this driver name tasks and attempts of its own run; one that comes too late gives nothing.
        let _ = self.run.advance_onto(self.now, input, &mut self.entries);
    }

    /// What an agent returned must be what the plan says it returns.
    fn check(&self, task: &TaskRef, reply: Reply) -> Outcome {
        match self.run.check_output(task, &reply.output) {
            Ok(()) => Ok(reply),
            Err(why) => Err(Failure::new(FailureClass::Invalid, why)),
        }
    }

    fn awaited(&self, id: &str, attempt: u32) -> Option<TaskRef> {
        self.run.children().find(|child| child.task.id() == id && child.attempt == attempt).map(|child| child.task)
    }

    // -- starting

    /// Finds agents and places for the tasks that may start.
    fn dispatch(&mut self) -> Vec<Launch> {
        let mut launches = Vec::new();
        if self.stopping || (self.run.status() == RunStatus::Compensating && self.landing > 0) {
            return launches;
        }
        let mut full = self.queued.clone();
        while let Some(Offer { task, lane, priority, asker }) = self.run.next_ready_except(&full) {
            if self.flights.contains_key(&task.position()) {
                // The attempt before has not stopped yet, and two must not overlap.
                full.push(lane);
                continue;
            }
            let found = self.find(asker);
            match self.prepare(found, lane, priority) {
                Prepared::Full => full.push(lane),
                Prepared::Unfit(failure) => self.advance(Input::Unfit { task, failure }),
                Prepared::Call(agent, permits) => match self.run.request(&task) {
                    Err(failure) => self.advance(Input::Unfit { task, failure }),
                    Ok(mut request) => {
                        let timeout = agent.call_timeout();
                        let input = Input::Dispatched { task: task.clone(), agent: agent.identity().clone(), timeout, choice: None };
                        self.advance(input);
                        request.deadline = self.entries.last().and_then(deadline_of);
                        launches.push(Launch::Call { task, request: Box::new(request), agent, permits });
                    }
                },
                Prepared::Child(plan) => launches.extend(self.prepare_child(task, plan)),
            }
        }
        // Places that nothing here needs go to others.
        self.granted.retain(|(lane, _)| self.queued.contains(lane));
        launches
    }

    fn find(&self, asker: Asker<'_>) -> Found {
        match asker {
            Asker::Workflow(plan) => Found::Workflow(plan),
            Asker::Agent(_) | Asker::Capabilities(_) => match self.engine.0.registry.find(&asker) {
                Ok(agent) => Found::Agent(agent),
                Err(none) => Found::Nobody(Failure::new(FailureClass::Unavailable, none.to_string())),
            },
        }
    }

    /// Takes the places that a call needs, or stands in line for the first that is taken.
    fn prepare(&mut self, found: Found, lane: u32, priority: u8) -> Prepared {
        let agent = match found {
            Found::Workflow(plan) => return Prepared::Child(plan),
            Found::Nobody(failure) => return Prepared::Unfit(failure),
            Found::Agent(agent) => agent,
        };
        let limits = agent.limit().map(|limit| self.engine.slots_of(&agent.identity().id, limit));
        let limits = limits.into_iter().chain(self.engine.0.slots.clone());
        let mut permits = Vec::new();
        for limit in limits {
            let granted = self.granted.iter().position(|(granted, permit)| *granted == lane && permit.is_of(&limit));
            let permit = granted.map(|position| self.granted.swap_remove(position).1).or_else(|| limit.take_now());
            match permit {
                Some(permit) => permits.push(permit),
                None => {
                    // What is held already is kept while the run stands in the next line.
                    self.granted.extend(permits.into_iter().map(|permit| (lane, permit)));
                    self.queue(&limit, lane, priority);
                    return Prepared::Full;
                }
            }
        }
        Prepared::Call(agent, permits)
    }

    fn queue(&mut self, limit: &Arc<Slots>, lane: u32, priority: u8) {
        self.queued.push(lane);
        let mailbox = self.mailbox.clone();
        limit.wait(
            priority,
            Box::new(move |permit| {
                // A run that is gone gives its place back by dropping it.
                let _ = mailbox.unbounded_send(Message::Granted { lane, permit });
            }),
        );
    }

    fn prepare_child(&mut self, task: TaskRef, plan: Digest) -> Option<Launch> {
        let unknown = || Failure::new(FailureClass::Unavailable, format!("the workflow {plan} is not known to this engine"));
        let found = self.engine.known(plan).ok_or_else(unknown);
        let (plan, request) = match found.and_then(|plan| Ok((plan, self.run.request(&task)?))) {
            Ok(found) => found,
            Err(failure) => {
                self.advance(Input::Unfit { task, failure });
                return None;
            }
        };
        self.advance(Input::ChildDispatched { task: task.clone() });
        let Some(Event::ChildStarted { attempt, run: child, .. }) = self.entries.last().map(|entry| &entry.event) else { return None };
        let (attempt, child) = (*attempt, *child);
        Some(Launch::Child { task, attempt, child, order: Box::new(self.child_order(plan, request)) })
    }

    fn child_order(&self, plan: Arc<quorate_core::Plan>, request: Request) -> Order {
        let by = self.run.begun().map_or_else(|| "system".into(), |start| start.by.clone());
        Order { plan, input: request.input, profile: None, session: request.session, by, durability: self.durability, id: None }
    }

    fn launch(&mut self, launch: Launch) {
        match launch {
            Launch::Child { task, attempt, child, order } => self.launch_child(task, attempt, child, *order),
            Launch::Call { task, request, agent, permits } => {
                let attempt = request.attempt;
                let cancel = Cancel::new();
                let call = Call { request: *request, cancel: cancel.clone() };
                let report = Report { mailbox: self.mailbox.clone(), task: task.clone(), attempt, told: false };
                let ending = match agent.doing() {
                    Doing::Async(function) => {
                        let function = function.clone();
                        let calling = async move {
                            // Calling it makes the future, and may panic as well.
                            let calling = AssertUnwindSafe(async move { function(call).await }).catch_unwind();
                            report.tell(calling.await, permits);
                        };
                        Ending::Abort(tokio::spawn(calling).abort_handle())
                    }
                    Doing::Blocking(function) => {
                        let function = function.clone();
                        tokio::task::spawn_blocking(move || {
                            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| function(call)));
                            report.tell(outcome, permits);
                        });
                        Ending::Never
                    }
                };
                self.flights.insert(task.position(), Flight { task, attempt, cancel, ending, landing_until: None, given_up: false });
            }
        }
    }

    fn launch_child(&mut self, task: TaskRef, attempt: u32, child: RunId, order: Order) {
        let (engine, cancel, mailbox) = (self.engine.clone(), Cancel::new(), self.mailbox.clone());
        let parent = Parent { run: self.run.id(), task: task.id().into(), attempt };
        let flight = Flight {
            task: task.clone(),
            attempt,
            cancel: cancel.clone(),
            ending: Ending::Child(child),
            landing_until: None,
            given_up: false,
        };
        self.flights.insert(task.position(), flight);
        tokio::spawn(async move {
            if let Err(wrong) = engine.adopt(parent, child, order).await {
                let outcome = Err(Failure::new(FailureClass::Internal, wrong.to_string()));
                let _ = mailbox.unbounded_send(Message::CallEnded { task, attempt, outcome });
            } else if cancel.is_raised() {
                // It was cancelled before it was there to be told.
                cancel_child(&engine, child);
            }
        });
    }

    /// A run that was loaded may wait for runs of its own: those go on by themselves, or have ended meanwhile.
    fn adopt_children(&mut self) {
        for Child { task, attempt, run: child } in self.run.children().collect::<Vec<_>>() {
            let plan = self.run.sub_plan(&task).and_then(|plan| self.engine.known(plan));
            if let (Some(plan), Ok(request)) = (plan, self.run.request(&task)) {
                let order = self.child_order(plan, request);
                self.launch_child(task, attempt, child, order);
            }
        }
    }

    // -- stopping

    /// Tells calls to stop whose outcome the run no longer waits for, and ends those that had their time.
    fn land(&mut self) {
        if self.run.stopped() != self.stopped {
            self.stopped = self.run.stopped();
            let grace = Instant::now() + self.engine.0.options.grace;
            let mut landing = 0;
            for flight in self.flights.values_mut() {
                let live = self.run.is_live(&flight.task, flight.attempt);
                if !live && flight.landing_until.is_none() {
                    flight.landing_until = Some(grace);
                    flight.cancel.raise();
                    if let Ending::Child(child) = flight.ending {
                        cancel_child(&self.engine, child);
                    }
                }
                landing += usize::from(flight.is_landing());
            }
            self.landing = landing;
        }
        if self.landing > 0 {
            self.end_by_force();
        }
    }

    fn stop_all(&mut self) {
        let grace = Instant::now() + self.engine.0.options.grace;
        // Runs of their own are stopped by the engine like any other.
        self.flights.retain(|_, flight| !matches!(flight.ending, Ending::Child(_)));
        for flight in self.flights.values_mut() {
            flight.landing_until.get_or_insert(grace);
            flight.cancel.raise();
        }
        self.landing = self.flights.values().filter(|flight| flight.is_landing()).count();
    }

    fn end_by_force(&mut self) {
        let now = Instant::now();
        let mut stuck = Vec::new();
        for flight in self.flights.values_mut() {
            if flight.given_up || flight.landing_until.is_none_or(|until| until > now) {
                continue;
            }
            flight.landing_until = Some(now + self.engine.0.options.grace);
            match &flight.ending {
                Ending::Abort(handle) => handle.abort(),
                Ending::Child(_) => {}
                Ending::Never => {
                    // It keeps its places until it returns; the run does not wait for it any longer.
                    flight.given_up = true;
                    self.landing -= 1;
                    stuck.push(flight.task.clone());
                }
            }
        }
        for task in stuck {
            // Sent to itself: what follows goes to the journal like everything else.
            let _ = self.mailbox.unbounded_send(Message::Input(Box::new(Input::Stuck { task }), None));
        }
    }

    fn landed(&mut self, task: &TaskRef) {
        if let Some(flight) = self.flights.remove(&task.position()) {
            self.landing -= usize::from(flight.is_landing());
        }
    }

    // -- the journal

    /// Makes entries durable, as far as the run asks for it, and then lets their consequences out.
    async fn record(&mut self) -> Result<(), AppendError> {
        let kept = self.durability != Durability::Memory;
        if !kept && self.owed.is_empty() && self.engine.0.live.receiver_count() == 0 {
            self.entries.clear();
            return Ok(());
        }
        let leaves = self.durability == Durability::Strict || !self.owed.is_empty() || self.entries.iter().any(leaves_the_engine);
        if kept && !self.entries.is_empty() {
            let append = self.engine.0.journal.append(self.run.id(), self.head, &self.entries);
            self.head = append.head;
            self.pending.push_back(append.done);
        }
        self.unpublished.extend(std::mem::take(&mut self.entries));
        if leaves || self.pending.is_empty() {
            let durable = self.durable().await;
            for owed in self.owed.drain(..) {
                // Whoever asked may not want to know any more.
                let _ = owed.tell.send(durable.clone().map_err(Error::from).and(owed.outcome));
            }
            durable?;
            self.publish();
        }
        Ok(())
    }

    async fn durable(&mut self) -> Result<(), AppendError> {
        while let Some(oldest) = self.pending.pop_front() {
            oldest.await?;
        }
        Ok(())
    }

    /// Lets followers hear of entries that are durable. Who begins to listen later finds them in the journal.
    fn publish(&mut self) {
        if self.unpublished.is_empty() {
            return;
        }
        let shared = &self.engine.0;
        if shared.committed.receiver_count() > 0 {
            shared.committed.send_modify(|count| *count += 1);
        }
        if shared.live.receiver_count() == 0 {
            self.unpublished = Vec::new();
            return;
        }
        let entries = std::mem::take(&mut self.unpublished).into();
        // Nobody may be listening any more.
        let _ = shared.live.send(Live { run: self.run.id(), entries });
    }

    /// The journal did not take what was decided, so the run is ahead of it. Whatever is under way is stopped, and the
    /// run goes on from what the journal has, as it would after a crash.
    async fn fall_back(&mut self, refused: AppendError) -> Result<(), Error> {
        let AppendError::Storage { .. } = refused else {
            // The run is somebody else's now, or the journal is closed.
            return Err(refused.into());
        };
        self.entries.clear();
        self.pending.clear();
        self.stop_all();
        let mut held = Vec::new();
        loop {
            self.wait_for_calls(&mut held).await;
            if self.stopping {
                return Err(Error::Stopping);
            }
            match self.reload(&refused).await {
                Ok(()) => break,
                Err(Error::Read(ReadError::Storage { .. })) => {}
                Err(wrong) => return Err(wrong),
            }
        }
        self.adopt_children();
        held.into_iter().for_each(|message| self.take(message));
        Ok(())
    }

    async fn reload(&mut self, refused: &AppendError) -> Result<(), Error> {
        let id = self.run.id();
        let loaded = self.engine.0.journal.load(vec![id]).await?.pop().filter(|loaded| !loaded.entries.is_empty());
        // Without an entry it never began.
        let Loaded { entries, head, .. } = loaded.ok_or_else(|| refused.clone())?;
        let run = Run::load(id, self.run.plan().clone(), &entries)?;
        let orphaned = match run.begun().and_then(|start| start.parent.as_ref()) {
            Some(parent) => !self.engine.awaits(parent, id).await?,
            None => false,
        };
        self.stopped = run.stopped();
        self.unpublished.retain(|entry| entry.seq <= run.seq());
        self.publish();
        (self.run, self.head) = (run, head);
        self.now = self.engine.0.options.clock.now();
        self.advance(Input::Restarted);
        if orphaned {
            // It may have been told so before, and its journal did not take it.
            self.advance(no_longer_awaited());
        }
        Ok(())
    }

    /// Waits a while, and until no call is under way any more. What else arrives is kept for later.
    async fn wait_for_calls(&mut self, held: &mut Vec<Message>) {
        let rested = Instant::now() + RELOAD_AFTER;
        while !self.flights.is_empty() || Instant::now() < rested {
            let until = self.landing_until().unwrap_or(rested);
            match tokio::time::timeout_at(until, self.inbox.next()).await {
                Ok(Some(Message::CallEnded { task, .. } | Message::CallGone { task })) => self.landed(&task),
                // Places are asked for again.
                Ok(Some(Message::Granted { .. })) => {}
                Ok(Some(Message::Stop)) => self.stopping = true,
                Ok(Some(message)) => held.push(message),
                Ok(None) | Err(_) => self.end_by_force(),
            }
            if self.stopping && self.flights.values().all(|flight| flight.given_up) {
                return;
            }
        }
    }

    /// This engine cannot go on with the run; whoever waits for it learns why.
    fn give_up(&mut self, wrong: Error) {
        if let Some(parent) = self.run.begun().and_then(|start| start.parent.clone())
            && !matches!(wrong, Error::Stopping)
        {
            let lost = Failure::new(FailureClass::Internal, format!("run {} cannot go on: {wrong}", self.run.id()));
            self.engine.tell_parent(&parent, Err(lost));
        }
        if let Some(tell) = self.tell.take() {
            // Whoever started it may not wait for it.
            let _ = tell.send(Err(wrong));
        }
    }

    /// Tells whoever waits for the end, once the end is durable.
    async fn tell_end(&mut self) -> Result<(), AppendError> {
        self.durable().await?;
        if std::mem::replace(&mut self.end_told, true) {
            return Ok(());
        }
        let parent: Option<Parent> = self.run.begun().and_then(|start| start.parent.clone());
        if self.tell.is_none() && parent.is_none() {
            return Ok(());
        }
        let ended = ended(&self.run);
        if self.flights.is_empty() {
            // The run leaves memory before anybody learns that it ended.
            self.engine.forget(self.run.id());
        }
        if let Some(parent) = parent {
            self.engine.tell_parent(&parent, outcome_of(&ended));
        }
        if let Some(tell) = self.tell.take() {
            // Whoever started it may not wait for it.
            let _ = tell.send(Ok(ended));
        }
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.engine.forget(self.run.id());
        if std::thread::panicking() {
            self.give_up(Error::Broken(self.run.id()));
        }
    }
}

/// An answer that is owed once the entries before it are durable.
struct Owed {
    tell: oneshot::Sender<Result<(), Error>>,
    outcome: Result<(), Error>,
}

enum Found {
    Agent(Arc<Agent>),
    Workflow(Digest),
    Nobody(Failure),
}

enum Prepared {
    Full,
    Unfit(Failure),
    Call(Arc<Agent>, Vec<Permit>),
    Child(Digest),
}

/// Reports the end of a call, also of one that is dropped halfway.
struct Report {
    mailbox: mpsc::UnboundedSender<Message>,
    task: TaskRef,
    attempt: u32,
    told: bool,
}

impl Report {
    fn tell(mut self, outcome: Result<Outcome, Box<dyn std::any::Any + Send>>, permits: Vec<Permit>) {
        let outcome = outcome.unwrap_or_else(|panic| Err(Failure::new(FailureClass::Internal, panicked(&*panic))));
        self.told = true;
        // The place is free before the run learns of the end, so that its next task finds it.
        drop(permits);
        // A run that is gone does not wait for it.
        let _ = self.mailbox.unbounded_send(Message::CallEnded { task: self.task.clone(), attempt: self.attempt, outcome });
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.told {
            let _ = self.mailbox.unbounded_send(Message::CallGone { task: self.task.clone() });
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    said.map_or_else(|| "the agent panicked".to_owned(), |said| format!("the agent panicked: {said}"))
}

pub(crate) fn outcome_of(ended: &Ended) -> Outcome {
    match ended.status {
        RunStatus::Succeeded => ended.output.clone().map(Reply::new),
        RunStatus::TimedOut => Err(Failure::new(FailureClass::Timeout, format!("run {} ran out of time", ended.run))),
        status => Err(Failure::new(FailureClass::Refused, format!("run {} {status}", ended.run))),
    }
}

fn deadline_of(entry: &Entry) -> Option<quorate_core::Timestamp> {
    match &entry.event {
        Event::TaskStarted { deadline, .. } => *deadline,
        _ => None,
    }
}

/// Decisions, questions, answers and ends are seen outside, and what must not be done twice must not be forgotten:
/// under relaxed durability they wait for the disk.
fn leaves_the_engine(entry: &Entry) -> bool {
    match &entry.event {
        Event::Decided(_)
        | Event::Asked { .. }
        | Event::Answered { .. }
        | Event::OutcomeUnknown { .. }
        | Event::RunEnded { .. }
        | Event::ChildStarted { .. } => true,
        Event::TaskStarted { agent, .. } => agent.effect == Effect::Once,
        _ => false,
    }
}

fn cancel_child(engine: &Engine, child: RunId) {
    // A child that has ended needs no cancelling.
    let _ = engine.send(child, Message::Input(Box::new(no_longer_awaited()), None));
}
