//! The task that drives one run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::mpsc::{self, TrySendError};
use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use quorate_agents::{Allowance, Ask, Call, Cancel, Doing, NoCandidate, Outcome, Picked, Place, Rank, Slate, Wanted};
use quorate_core::{
    AgentRef, Asker, Child, Choice, Corrupt, Digest, Effect, Entry, Event, Failure, FailureClass, Input, Offer, Parent, Refusal, Reply,
    Request, Run, RunId, RunStatus, Said, TaskRef, TaskStatus, Timestamp, Usage,
};
use quorate_journal::{AppendError, Appended, Head, Loaded, ReadError, Text};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::engine::{Adopting, Engine, Live, Tap, ended, no_longer_awaited};
use crate::slots::{Permit, Slots};
use crate::speech::Speaking;
use crate::traced::{self, Traced};
use crate::{Durability, Ended, Error};

/// Messages that are handled before their entries go to the journal together.
const MAX_TOGETHER: usize = 256;
/// Longest grace: time that is counted has an end.
const MAX_GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a run waits before it is loaded again, when the journal did not take its entries.
const RELOAD_AFTER: Duration = Duration::from_secs(1);

/// What somebody wants to know of a run; it answers by itself.
pub(crate) type Question = Box<dyn FnOnce(&Run) + Send>;

/// Where what arrives for a run is put. Senders would be counted in the very place that every message changes; a shared one is
/// counted elsewhere.
pub(crate) type Mailbox = Arc<mpsc::UnboundedSender<Message>>;

/// What arrives in the mailbox of a run.
pub(crate) enum Message {
    /// A call ended.
    CallEnded { call: CallId, outcome: Outcome },
    /// A call is gone without an outcome: it was ended by force, or never began.
    CallGone { call: CallId },
    /// A sub-workflow ended, or cannot go on.
    ChildEnded { task: Arc<str>, attempt: u32, outcome: Outcome },
    /// A place is free for a task of this lane.
    Granted { lane: u32, grant: Granted },
    /// Something happened.
    Input(Box<Input>, Option<oneshot::Sender<Result<(), Error>>>),
    /// Somebody wants to know something.
    Look(Question),
    /// The engine stops.
    Stop,
}

/// What comes to a run that stood in line.
pub(crate) enum Granted {
    /// It may call one agent more.
    Permit(Permit),
    /// A place with an agent, and why it was chosen, where it was.
    Place(Place, Option<Why>),
    /// Nothing: but asking again may lead to something else.
    AskAgain,
}

/// Who was chosen, and why.
type Why = (Arc<AgentRef>, Option<Box<Choice>>);

/// A call, as it reports.
#[derive(Clone, Debug)]
pub(crate) struct CallId {
    task: TaskRef,
    attempt: u32,
    /// How often the run had fallen back when the call was made: attempts count from the journal's last one again.
    life: u32,
}

/// A run as its driver takes it over.
pub(crate) struct Takeover {
    pub(crate) run: Run,
    /// Where its journal is.
    pub(crate) head: Head,
    /// What was decided and is not in the journal yet.
    pub(crate) entries: Vec<Entry>,
    /// What its journal has to keep along with its first entries.
    pub(crate) texts: Vec<Text>,
    pub(crate) durability: Durability,
    /// Who waits for its end.
    pub(crate) tell: Option<oneshot::Sender<Box<Result<Ended, Error>>>>,
    /// Who hears of every entry, however long they take to listen: of a run that is not kept, nobody can read it later.
    pub(crate) tap: Option<Tap>,
}

pub(crate) struct Driver {
    engine: Engine,
    run: Run,
    head: Head,
    durability: Durability,
    mailbox: Mailbox,
    inbox: mpsc::UnboundedReceiver<Message>,
    tell: Option<oneshot::Sender<Box<Result<Ended, Error>>>>,
    tap: Option<Tap>,
    /// Decided, and not in the journal yet.
    entries: Vec<Entry>,
    texts: Vec<Text>,
    /// Answers that wait for the entries before them.
    owed: Vec<Owed>,
    questions: Vec<Question>,
    /// Calls that ended on the spot.
    ended: VecDeque<(CallId, Outcome)>,
    /// Calls under way, by task: attempts of one task never overlap.
    flights: HashMap<u32, Flight, BuildHasherDefault<ByPosition>>,
    /// Calls that were told to stop and have not yet.
    landing: usize,
    stopped: u64,
    /// Calls from before the run fell back that do not end; their tasks cannot be tried again.
    stuck: Vec<CallId>,
    life: u32,
    /// Lanes in which this run waits for a place, and what came of that.
    queued: Vec<Queued>,
    granted: Vec<(u32, Granted)>,
    /// The agents that were asked last: for which lane, and at which generation of the registry.
    slate: Option<(u32, u64, Arc<Slate>)>,
    /// Appends that are not known to be durable, oldest first.
    pending: VecDeque<Appended>,
    /// Entries that followers hear of once they are durable.
    unpublished: Vec<Entry>,
    stopping: bool,
    end_told: bool,
    forgotten: bool,
    /// Why nothing can follow any more.
    broken: Option<Corrupt>,
    /// The spans that are open, where somebody traces.
    traced: Option<Box<Traced>>,
    /// When the last messages came: one look at the clock serves all that follows from them.
    now: Timestamp,
}

/// A lane in which a run stands in line.
struct Queued {
    lane: u32,
    priority: u8,
    /// Where it stands, which is where it comes back to if it was called for nothing.
    rank: Option<Rank>,
    called: bool,
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
    /// When the call has taken too long.
    deadline: Option<Timestamp>,
    kind: Kind,
    stage: Stage,
}

/// What does the work of an attempt.
enum Kind {
    Call(AbortHandle),
    Child(RunId),
}

/// How far the end of a flight has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its outcome is awaited.
    Awaited,
    /// It was told to stop, and has until then. A run of its own has as long as it needs.
    Told(Option<Instant>),
    /// It was ended by force, and has until then to heed that.
    Forced(Instant),
    /// Nothing ends it: a thread that goes on, a future that never yields. It keeps its places until it returns; the
    /// run does not wait for it, and its task is not tried again.
    GivenUp,
}

impl Flight {
    fn is_landing(&self) -> bool {
        matches!(self.stage, Stage::Told(_) | Stage::Forced(_))
    }

    fn until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Told(until) => until,
            Stage::Forced(until) => Some(until),
            Stage::Awaited | Stage::GivenUp => None,
        }
    }

    fn tell_to_stop(&mut self, until: Instant) {
        self.stage = Stage::Told(matches!(self.kind, Kind::Call(_)).then_some(until));
        self.cancel.raise();
    }
}

/// What starts once its entries are durable.
enum Launch {
    Call { task: TaskRef, call: Box<Call>, place: Place, permit: Option<Permit> },
    Child(Box<(Child, Digest, Request)>),
}

impl Driver {
    pub(crate) fn new(engine: Engine, takeover: Takeover, mailbox: Mailbox, inbox: mpsc::UnboundedReceiver<Message>) -> Driver {
        let Takeover { run, head, entries, texts, durability, tell, tap } = takeover;
        Driver {
            now: engine.0.options.clock.now(),
            traced: Traced::new(&run),
            engine,
            stopped: run.stopped(),
            run,
            head,
            durability,
            mailbox,
            inbox,
            tell,
            tap,
            entries,
            texts,
            owed: Vec::new(),
            questions: Vec::new(),
            ended: VecDeque::new(),
            flights: HashMap::default(),
            landing: 0,
            stuck: Vec::new(),
            life: 0,
            queued: Vec::new(),
            granted: Vec::new(),
            slate: None,
            pending: VecDeque::new(),
            unpublished: Vec::new(),
            stopping: false,
            end_told: false,
            forgotten: false,
            broken: None,
        }
    }

    /// Drives the run to its end, or until the engine stops.
    pub(crate) async fn drive(mut self: Box<Self>) {
        self.adopt_children();
        while let Err(refused) = self.go_on().await {
            // In a box of its own: a run that waits takes no room for what it hardly ever does.
            if let Err(wrong) = Box::pin(self.fall_back(refused)).await {
                self.give_up(wrong);
                break;
            }
        }
        self.close();
    }

    /// Answers what came while the run was ending. Of a run that has not ended the silence says that it stops.
    fn close(&mut self) {
        self.forget();
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Input(_, Some(tell)) if self.end_told => drop(tell.send(Err(Refusal::Ended(self.run.id()).into()))),
                Message::Look(question) if self.end_told => question(&self.run),
                _ => {}
            }
        }
    }

    fn forget(&mut self) {
        if !std::mem::replace(&mut self.forgotten, true) {
            self.engine.forget(self.run.id());
        }
    }

    async fn go_on(&mut self) -> Result<(), AppendError> {
        loop {
            let launches = self.dispatch();
            if let Some(corrupt) = self.broken.take() {
                self.stop_all();
                self.give_up(corrupt.into());
                return Ok(());
            }
            self.record().await?;
            for launch in launches {
                if self.launch(launch) {
                    // A run of many quick steps lets others have the thread now and then.
                    tokio::task::coop::consume_budget().await;
                }
            }
            if self.land() {
                continue;
            }
            if self.run.has_ended() {
                self.tell_end().await?;
            }
            let quiet = self.ended.is_empty() && self.flights.values().all(|flight| flight.stage == Stage::GivenUp);
            if quiet && (self.run.has_ended() || self.stopping) {
                return Ok(());
            }
            let first = if self.ended.is_empty() { self.next().await? } else { None };
            self.take_in(first);
        }
    }

    /// Waits for something to happen.
    async fn next(&mut self) -> Result<Option<Message>, AppendError> {
        let wake = if self.stopping { None } else { self.run.wake_at() };
        let clock = self.engine.0.options.clock;
        let wake = wake.map(|at| clock.instant_of(at));
        let deadline = [wake, self.landing_until()].into_iter().flatten().min();
        Ok(match (deadline, self.pending.front_mut()) {
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
        })
    }

    /// Takes in what has happened: what came from outside, then what ended here on the spot.
    fn take_in(&mut self, first: Option<Message>) {
        self.now = self.engine.0.options.clock.now();
        let mut left = MAX_TOGETHER;
        if let Some(message) = first {
            self.take(message);
            left -= 1;
        }
        while left > 0
            && let Ok(message) = self.inbox.try_recv()
        {
            self.take(message);
            left -= 1;
        }
        while left > 0
            && let Some((call, outcome)) = self.ended.pop_front()
        {
            self.call_ended(call, outcome);
            left -= 1;
        }
        if !self.stopping && self.run.wake_at().is_some_and(|at| at <= self.now) {
            self.advance(Input::Woke);
        }
    }

    /// When the first of the calls that were told to stop has had its time.
    fn landing_until(&self) -> Option<Instant> {
        if self.landing == 0 {
            return None;
        }
        self.flights.values().filter_map(Flight::until).min()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::CallEnded { call, outcome } => self.call_ended(call, outcome),
            Message::CallGone { call } => drop(self.landed(&call)),
            Message::ChildEnded { task, attempt, outcome } => {
                let flown = self.flights.values().find(|flight| flight.task.id() == &*task && flight.attempt == attempt);
                if let Some(call) = flown.map(|flight| CallId { task: flight.task.clone(), attempt, life: self.life }) {
                    self.landed(&call);
                }
                let Some(task) = self.awaited(&task, attempt) else { return };
                let result = self.check(&task, outcome);
                self.advance(Input::Ended { task, attempt, result });
            }
            Message::Granted { lane, grant } => {
                // It keeps its place in line until it is known what comes of this.
                self.queued.iter_mut().filter(|queued| queued.lane == lane).for_each(|queued| queued.called = true);
                if !matches!(grant, Granted::AskAgain) {
                    self.granted.push((lane, grant));
                }
            }
            Message::Input(input, tell) => {
                let outcome = self.run.advance_onto(self.now, *input, &mut self.entries);
                if let Err(Refusal::Broken(corrupt)) = &outcome {
                    self.broken = Some(corrupt.clone());
                }
                let outcome = outcome.map_err(Error::from);
                if let Some(tell) = tell {
                    self.owed.push(Owed { tell, outcome });
                }
            }
            Message::Look(question) => self.questions.push(question),
            Message::Stop => {
                self.stopping = true;
                self.queued.clear();
                self.granted.clear();
                self.stop_all();
            }
        }
    }

    fn call_ended(&mut self, call: CallId, outcome: Outcome) {
        if let Err(failure) = &outcome {
            // What was told to stop says nothing about how its agent does.
            let flight = self.flights.get(&call.task.position());
            if flight.is_none_or(|flight| flight.stage == Stage::Awaited) {
                self.engine.agent_failed(&self.run, &call.task, failure.class, failure.retry_after, self.now);
            }
        }
        if !self.landed(&call) || (self.stopping && outcome.is_err()) {
            // It is of a life that is over; or it was told to stop, and is made again when the run goes on.
            return;
        }
        let CallId { task, attempt, .. } = call;
        let result = self.check(&task, outcome);
        let traced = self.traced.is_some().then(|| task.clone());
        self.advance(Input::Ended { task, attempt, result });
        if let (Some(traced), Some(task)) = (&mut self.traced, traced) {
            traced.see(&self.run, &task);
        }
    }

    fn advance(&mut self, input: Input) {
        // The inputs of this driver name tasks and attempts of its own run; one that comes too late gives nothing.
        if let Err(Refusal::Broken(corrupt)) = self.run.advance_onto(self.now, input, &mut self.entries) {
            self.broken = Some(corrupt);
        }
    }

    /// What an agent, or a run of its own, returned must be what the plan says it returns.
    fn check(&self, task: &TaskRef, outcome: Outcome) -> Outcome {
        let reply = outcome?;
        match self.run.check_reply(task, &reply) {
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
        // Who stands in line does so for the most urgent task of the lane; for a more urgent one, once more.
        let stands = |queued: &&Queued| !queued.called && self.run.urgency_of(queued.lane).is_none_or(|now| now <= queued.priority);
        let mut full: Vec<u32> = self.queued.iter().filter(stands).map(|queued| queued.lane).collect();
        // The attempts before these have not stopped yet, and two must not overlap.
        let mut held: HashSet<u32> = match self.landing {
            0 => HashSet::new(),
            _ => self.flights.iter().filter(|(_, flight)| flight.is_landing()).map(|(position, _)| *position).collect(),
        };
        while self.broken.is_none()
            && let Some(Offer { task, lane, priority, asker }) = self.run.next_ready_except(&full, &held)
        {
            match self.flights.get(&task.position()).map(|flight| flight.stage) {
                Some(Stage::Awaited | Stage::Told(_) | Stage::Forced(_)) => {
                    held.insert(task.position());
                    continue;
                }
                Some(Stage::GivenUp) => {
                    self.advance(Input::Stuck { task });
                    continue;
                }
                None if self.stuck.iter().any(|call| call.task == task) => {
                    self.advance(Input::Stuck { task });
                    continue;
                }
                None => {}
            }
            // What is asked does not depend on the task, only on its lane.
            let registry = &self.engine.0.registry;
            let found = match (asker, self.slate.take()) {
                (Asker::Workflow(plan), _) => Found::Workflow(plan),
                (_, Some((known, generation, slate))) if known == lane && generation == registry.generation() => Found::Agents(slate),
                _ => registry.slate(&asker).map_or_else(Found::Nobody, Found::Agents),
            };
            let prepared = match found {
                Found::Workflow(plan) => Prepared::Child(plan),
                Found::Agents(slate) => self.prepare(slate, &task, lane, priority),
                Found::Nobody(none) => Prepared::Nobody(Failure::new(FailureClass::Unavailable, none.to_string()), false),
            };
            match prepared {
                Prepared::Full => full.push(lane),
                Prepared::Nobody(failure, for_now) => self.advance(Input::Nobody { task, failure, for_now }),
                Prepared::Call { why: (agent, choice), place, permit } => match self.asked(&task, &place) {
                    Err(failure) => self.advance(Input::Unfit { task, failure }),
                    Ok((mut request, wanted)) => {
                        let timeout = place.agent().call_timeout();
                        self.advance(Input::Dispatched { task: task.clone(), agent, timeout, choice, wanted });
                        match self.entries.last().map(|entry| &entry.event) {
                            Some(Event::TaskStarted { task: started, deadline, reserved, .. }) if *started == task => {
                                request.deadline = *deadline;
                                let allowance = reserved.as_deref().map(allowance_of).map(Box::new);
                                let call = Box::new(Call { endpoint: place.endpoint(), allowance, ..Call::new(request) });
                                launches.push(Launch::Call { task, call, place, permit });
                            }
                            // What is not in the journal is not called.
                            _ => drop(held.insert(task.position())),
                        }
                    }
                },
                Prepared::Child(plan) => launches.extend(self.prepare_child(task, plan)),
            }
        }
        // Whoever was called and wants nothing any more leaves the line, and places that nothing here needs go to others.
        self.queued.retain(|queued| !queued.called);
        self.granted.retain(|(lane, _)| self.queued.iter().any(|queued| queued.lane == *lane));
        launches
    }

    /// What an agent is asked, and what it may use for that at most, where the run has a budget.
    fn asked(&self, task: &TaskRef, place: &Place) -> Result<(Request, Option<Box<Usage>>), Failure> {
        let request = self.run.request(task)?;
        let wanted = if self.run.budget().is_some() { caught(|| place.agent().reserve(&request))?.map(Box::new) } else { None };
        Ok((request, wanted))
    }

    /// Chooses an agent, and takes the places that a call needs, or stands in line for the first that is taken.
    fn prepare(&mut self, slate: Arc<Slate>, task: &TaskRef, lane: u32, priority: u8) -> Prepared {
        let (place, why) = match self.take_granted(lane, |grant| matches!(grant, Granted::Place(..))) {
            // It was chosen, and waited for a permit.
            Some(Granted::Place(place, Some(why))) if place.holds(self.now) && self.run.tried(task).is_empty() => (place, why),
            granted => {
                let held = match granted {
                    Some(Granted::Place(place, _)) => Some(place),
                    _ => None,
                };
                match self.choose(&slate, task, held) {
                    Picked::Agent { identity, place, choice } => (place, (identity, choice)),
                    Picked::Full(line) => {
                        // A permit that is kept while others wait for it could hold up the very call that is waited for.
                        drop(self.take_granted(lane, |grant| matches!(grant, Granted::Permit(_))));
                        self.stand_in_line(&slate, &line, lane, priority);
                        return Prepared::Full;
                    }
                    Picked::Nobody { failure, for_now } => return Prepared::Nobody(failure, for_now),
                }
            }
        };
        self.queued.retain(|queued| queued.lane != lane);
        let slots = self.engine.0.slots.clone().filter(|_| !place.agent().does_wait());
        let Some(slots) = slots else { return self.prepared(slate, lane, why, place, None) };
        let granted = self.take_granted(lane, |grant| matches!(grant, Granted::Permit(_)));
        let permit = match granted {
            Some(Granted::Permit(permit)) => Some(permit),
            _ => slots.take_now(),
        };
        if permit.is_some() {
            return self.prepared(slate, lane, why, place, permit);
        }
        self.granted.push((lane, Granted::Place(place, Some(why))));
        self.wait_for_permit(&slots, lane, priority);
        Prepared::Full
    }

    fn prepared(&mut self, slate: Arc<Slate>, lane: u32, why: Why, place: Place, permit: Option<Permit>) -> Prepared {
        // Of many tasks in one lane, only the first one looks them up.
        self.slate = Some((lane, self.engine.0.registry.generation(), slate));
        Prepared::Call { why, place, permit }
    }

    fn choose(&self, slate: &Slate, task: &TaskRef, held: Option<Place>) -> Picked {
        let key = |path: Option<&str>| self.run.key(path);
        slate.choose(Ask { now: self.now, tried: self.run.tried(task), key: &key, held })
    }

    fn take_granted(&mut self, lane: u32, wanted: impl Fn(&Granted) -> bool) -> Option<Granted> {
        let position = self.granted.iter().position(|(granted, grant)| *granted == lane && wanted(grant))?;
        Some(self.granted.swap_remove(position).1)
    }

    fn stand_in_line(&mut self, slate: &Slate, line: &Arc<Wanted>, lane: u32, priority: u8) {
        let stood = self.queued.iter().find(|queued| queued.lane == lane && queued.priority >= priority).and_then(|queued| queued.rank);
        self.queued.retain(|queued| queued.lane != lane);
        let mailbox = self.mailbox.clone();
        let grant = move |place: Option<Place>| {
            let grant = place.map_or(Granted::AskAgain, |place| Granted::Place(place, None));
            match mailbox.unbounded_send(Message::Granted { lane, grant }).map_err(TrySendError::into_inner) {
                // A run that is gone gives its place back.
                Err(Message::Granted { grant: Granted::Place(place, _), .. }) => Err(place),
                Ok(()) | Err(_) => Ok(()),
            }
        };
        let rank = slate.wait(line, priority, stood, Box::new(grant));
        self.queued.push(Queued { lane, priority, rank: Some(rank), called: false });
    }

    fn wait_for_permit(&mut self, slots: &Arc<Slots>, lane: u32, priority: u8) {
        self.queued.push(Queued { lane, priority, rank: None, called: false });
        let mailbox = self.mailbox.clone();
        let grant = move |permit: Permit| {
            let message = Message::Granted { lane, grant: Granted::Permit(permit) };
            match mailbox.unbounded_send(message).map_err(TrySendError::into_inner) {
                Err(Message::Granted { grant: Granted::Permit(permit), .. }) => Err(permit),
                Ok(()) | Err(_) => Ok(()),
            }
        };
        slots.wait(priority, Box::new(grant));
    }

    fn prepare_child(&mut self, task: TaskRef, plan: Digest) -> Option<Launch> {
        let request = match self.run.request(&task) {
            Ok(request) => request,
            Err(failure) => {
                self.advance(Input::Unfit { task, failure });
                return None;
            }
        };
        self.advance(Input::ChildDispatched { task: task.clone() });
        let Some(Event::ChildStarted { attempt, run, .. }) = self.entries.last().map(|entry| &entry.event) else { return None };
        let child = Child { task, attempt: *attempt, run: *run };
        Some(Launch::Child(Box::new((child, plan, request))))
    }

    /// Starts what was prepared. True where that has ended already.
    fn launch(&mut self, launch: Launch) -> bool {
        match launch {
            Launch::Child(child) => {
                let (child, plan, request) = *child;
                self.launch_child(child, plan, request);
            }
            Launch::Call { task, mut call, place, permit } => {
                let (attempt, deadline) = (call.request.attempt, call.request.deadline);
                let id = CallId { task: task.clone(), attempt, life: self.life };
                let mut speaking = None;
                if place.agent().does_talk() {
                    let (voice, ends) = self.engine.give_voice(self.run.id(), task.id(), attempt);
                    call.voice = voice;
                    speaking = Some(ends);
                }
                let span = self.traced.as_mut().map(|traced| Box::new(traced.attempt(&task, attempt, place.agent().identity())));
                let held = Held { place, _permit: permit, _speaking: speaking, span };
                let (cancel, handle) = match held.place.agent().doing() {
                    Doing::Quick(function) => {
                        let outcome = held.within(|| function(*call));
                        held.let_go(&outcome);
                        self.ended.push_back((id, outcome));
                        return true;
                    }
                    Doing::Async(_) => (call.cancel.clone(), Underway { held, report: self.report(id) }.spawn(call)),
                    Doing::Blocking(_) => (call.cancel.clone(), Underway { held, report: self.report(id) }.spawn_blocking(call)),
                };
                let kind = Kind::Call(handle);
                self.flights.insert(task.position(), Flight { task, attempt, cancel, deadline, kind, stage: Stage::Awaited });
            }
        }
        false
    }

    fn report(&self, call: CallId) -> Report {
        Report { mailbox: self.mailbox.clone(), call: Some(call) }
    }

    fn launch_child(&mut self, child: Child, plan: Digest, request: Request) {
        let Child { task, attempt, run } = child;
        let cancel = Cancel::new();
        let begun = self.run.begun();
        let by = begun.map_or_else(|| "system".into(), |start| start.by.clone());
        let adopting = Adopting {
            parent: Parent { run: self.run.id(), task: task.id().into(), attempt },
            child: run,
            plan,
            input: request.input,
            session: request.session,
            by,
            skills: begun.map(|start| start.skills.clone()).unwrap_or_default(),
            durability: self.durability,
        };
        let id = CallId { task: task.clone(), attempt, life: self.life };
        let report = self.report(id);
        tokio::spawn(adopt(self.engine.clone(), adopting, cancel.clone(), report));
        let position = task.position();
        self.flights.insert(position, Flight { task, attempt, cancel, deadline: None, kind: Kind::Child(run), stage: Stage::Awaited });
    }

    /// A run that was loaded may wait for runs of its own: those go on by themselves, or have ended meanwhile.
    fn adopt_children(&mut self) {
        for child in self.run.children().collect::<Vec<_>>() {
            let plan = self.run.sub_plan(&child.task);
            // It was put together once before, from the same facts.
            if let (Some(plan), Ok(request)) = (plan, self.run.request(&child.task)) {
                self.launch_child(child, plan, request);
            }
        }
    }

    // -- stopping

    /// Tells calls to stop whose outcome the run no longer waits for, and ends those that had their time. True where one
    /// was given up, and its task can be given up as well.
    fn land(&mut self) -> bool {
        if self.run.stopped() != self.stopped {
            self.stopped = self.run.stopped();
            let until = self.grace();
            for flight in self.flights.values_mut() {
                if flight.stage == Stage::Awaited && !self.run.is_live(&flight.task, flight.attempt) {
                    flight.tell_to_stop(until);
                    if flight.deadline.is_some_and(|deadline| deadline <= self.now) {
                        self.engine.agent_failed(&self.run, &flight.task, FailureClass::Timeout, None, self.now);
                    }
                    if let Kind::Child(child) = flight.kind {
                        cancel_child(&self.engine, child);
                    }
                }
            }
            self.count_landing();
        }
        self.landing > 0 && self.end_by_force()
    }

    /// Until when a call that is told to stop now has time for it.
    fn grace(&self) -> Instant {
        Instant::now() + self.engine.0.options.grace.min(MAX_GRACE)
    }

    fn count_landing(&mut self) {
        self.landing = self.flights.values().filter(|flight| flight.is_landing()).count();
    }

    fn stop_all(&mut self) {
        let until = self.grace();
        // Runs of their own are stopped by the engine like any other.
        self.flights.retain(|_, flight| matches!(flight.kind, Kind::Call(_)));
        for flight in self.flights.values_mut().filter(|flight| flight.stage == Stage::Awaited) {
            flight.tell_to_stop(until);
        }
        self.count_landing();
    }

    fn end_by_force(&mut self) -> bool {
        let now = Instant::now();
        let until = self.grace();
        let mut given_up = false;
        for flight in self.flights.values_mut() {
            if flight.until().is_none_or(|until| until > now) {
                continue;
            }
            flight.stage = match (&flight.kind, flight.stage) {
                (Kind::Call(handle), Stage::Told(_)) => {
                    handle.abort();
                    Stage::Forced(until)
                }
                _ => {
                    given_up = true;
                    Stage::GivenUp
                }
            };
        }
        self.count_landing();
        given_up
    }

    /// Takes a call off the list, and says whether it is one of this life.
    fn landed(&mut self, call: &CallId) -> bool {
        if call.life != self.life {
            self.stuck.retain(|stuck| stuck.task != call.task || stuck.life != call.life);
            return false;
        }
        if let Some(flight) = self.flights.remove(&call.task.position()) {
            self.landing -= usize::from(flight.is_landing());
        }
        true
    }

    // -- the journal

    /// Makes entries durable, as far as the run asks for it, and then lets their consequences out.
    async fn record(&mut self) -> Result<(), AppendError> {
        let kept = self.durability != Durability::Memory;
        let asked = !self.owed.is_empty() || !self.questions.is_empty();
        if !kept && !asked && self.tap.is_none() && self.engine.0.live.receiver_count() == 0 {
            self.entries = Vec::new();
            return Ok(());
        }
        let leaves = asked || self.durability == Durability::Strict || self.entries.iter().any(leaves_the_engine);
        if kept && !self.entries.is_empty() {
            let append = self.engine.0.journal.append(self.run.id(), self.head, &self.entries, &self.texts);
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
            self.questions.drain(..).for_each(|question| question(&self.run));
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
        if !self.texts.is_empty() {
            self.engine.are_kept(&std::mem::take(&mut self.texts));
        }
        let shared = &self.engine.0;
        if shared.committed.receiver_count() > 0 {
            shared.committed.send_modify(|count| *count += 1);
        }
        let heard = shared.live.receiver_count() > 0;
        if !heard && self.tap.is_none() {
            self.unpublished = Vec::new();
            return;
        }
        let entries: Arc<[Entry]> = std::mem::take(&mut self.unpublished).into();
        if self.tap.as_ref().is_some_and(|tap| tap.unbounded_send(entries.clone()).is_err()) {
            self.tap = None;
        }
        if heard {
            // Nobody may be listening any more.
            let _ = shared.live.send(Live { run: self.run.id(), entries });
        }
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
        self.queued.clear();
        self.granted.clear();
        self.ended.clear();
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
        let parent = self.run.begun().and_then(|start| start.parent.clone());
        let orphaned = match &parent {
            Some(parent) => !self.engine.awaits(parent, id).await?,
            None => false,
        };
        let loaded = self.engine.0.journal.load(vec![id]).await?.pop().filter(|loaded| !loaded.entries.is_empty());
        self.now = self.engine.0.options.clock.now();
        let Some(Loaded { entries, head, .. }) = loaded else {
            // It never began. Whoever started it begins it again; what another run waits for, nobody else would.
            let start = self.run.begun().filter(|_| parent.is_some() && !orphaned).ok_or_else(|| refused.clone())?;
            let (run, entries) = Run::start(&self.run.plan().clone(), id, self.now, start.clone());
            (self.run, self.head, self.entries) = (run, Head::START, entries);
            self.stopped = self.run.stopped();
            self.unpublished.clear();
            return Ok(());
        };
        self.run = Run::load(id, self.run.plan().clone(), &entries)?;
        self.head = head;
        self.stopped = self.run.stopped();
        self.unpublished.retain(|entry| entry.seq <= head.seq);
        self.publish();
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
        while self.landing > 0 || Instant::now() < rested {
            match tokio::time::timeout_at(self.landing_until().unwrap_or(rested), self.inbox.next()).await {
                Ok(Some(Message::CallEnded { call, .. } | Message::CallGone { call })) => drop(self.landed(&call)),
                // Places are asked for again.
                Ok(Some(Message::Granted { .. })) => {}
                Ok(Some(Message::Stop)) => self.stopping = true,
                Ok(Some(message)) => held.push(message),
                Ok(None) | Err(_) => drop(self.end_by_force()),
            }
            if self.stopping && self.landing == 0 {
                return;
            }
        }
        let left = self.flights.drain().map(|(_, flight)| CallId { task: flight.task, attempt: flight.attempt, life: self.life });
        self.stuck.extend(left);
        self.life += 1;
    }

    /// This engine cannot go on with the run; whoever waits for it learns why.
    fn give_up(&mut self, wrong: Error) {
        if let Some(parent) = self.run.begun().and_then(|start| start.parent.clone())
            && !matches!(wrong, Error::Stopping)
        {
            let lost = Failure::new(FailureClass::Internal, format!("run {} cannot go on: {wrong}", self.run.id().short()));
            self.engine.tell_parent(&parent, Err(lost));
        }
        if let Some(tell) = self.tell.take() {
            // Whoever started it may not wait for it.
            let _ = tell.send(Box::new(Err(wrong)));
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
            self.forget();
        }
        if let Some(parent) = parent {
            self.engine.tell_parent(&parent, outcome_of(&self.run));
        }
        if let Some(tell) = self.tell.take() {
            // Whoever started it may not wait for it.
            let _ = tell.send(Box::new(Ok(ended)));
        }
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.forget();
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
    Agents(Arc<Slate>),
    Workflow(Digest),
    Nobody(NoCandidate),
}

enum Prepared {
    Full,
    /// And whether that passes.
    Nobody(Failure, bool),
    Call {
        why: Why,
        place: Place,
        permit: Option<Permit>,
    },
    Child(Digest),
}

/// What a call holds until it has ended, however it ends.
struct Held {
    place: Place,
    _permit: Option<Permit>,
    _speaking: Option<Speaking>,
    /// Where somebody traces.
    span: Option<Box<Span>>,
}

/// Reports the end of a call, also of one that is dropped halfway.
struct Report {
    mailbox: Mailbox,
    /// Nothing once it is reported.
    call: Option<CallId>,
}

impl Held {
    /// Calls a function that answers when it returns.
    fn within(&self, calling: impl FnOnce() -> Outcome) -> Outcome {
        match &self.span {
            Some(span) => caught(|| span.in_scope(calling)).flatten(),
            None => caught(calling).flatten(),
        }
    }

    /// Gives it all back. A place is free before the run learns of the end, so that its next task finds it.
    fn let_go(self, outcome: &Outcome) {
        if outcome.is_ok() {
            self.place.succeeded();
        }
        if let Some(span) = &self.span {
            traced::ended(span, outcome);
        }
    }
}

impl Report {
    fn tell(mut self, outcome: Outcome) {
        if let Some(call) = self.call.take() {
            // A run that is gone does not wait for it.
            let _ = self.mailbox.unbounded_send(Message::CallEnded { call, outcome });
        }
    }

    /// Somebody else reports.
    fn leave_it(mut self) {
        self.call = None;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let _ = self.mailbox.unbounded_send(Message::CallGone { call });
        }
    }
}

/// A call under way. What it holds comes first, so that it is given back first, also where the call is dropped halfway.
struct Underway {
    held: Held,
    report: Report,
}

impl Underway {
    /// Begins a call of an async function. The call travels in a box: what is spawned is moved many times before it runs.
    fn spawn(self, call: Box<Call>) -> AbortHandle {
        let span = self.held.span.as_deref().cloned();
        let calling = async move {
            let Doing::Async(function) = self.held.place.agent().doing() else { return };
            // Calling it makes the future, and may panic as well.
            let outcome = match caught(|| function(*call)) {
                Ok(calling) => AssertUnwindSafe(calling).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic))),
                Err(panicked) => Err(panicked),
            };
            self.tell(outcome);
        };
        match span {
            None => tokio::spawn(calling).abort_handle(),
            Some(span) => tokio::spawn(calling.instrument(span)).abort_handle(),
        }
    }

    /// Begins a call of a function that takes its time.
    fn spawn_blocking(self, call: Box<Call>) -> AbortHandle {
        let calling = move || {
            let Doing::Blocking(function) = self.held.place.agent().doing() else { return };
            // It may have stood in line for a thread until nobody wanted it any more.
            if !call.cancel.is_raised() {
                let outcome = self.held.within(|| function(*call));
                self.tell(outcome);
            }
        };
        tokio::task::spawn_blocking(calling).abort_handle()
    }

    fn tell(self, outcome: Outcome) {
        self.held.let_go(&outcome);
        self.report.tell(outcome);
    }
}

/// Goes on with a run that another one waits for, whatever its journal says at the moment.
async fn adopt(engine: Engine, adopting: Adopting, cancel: Cancel, report: Report) {
    let child = adopting.child;
    loop {
        match engine.adopt(adopting.clone()).await {
            Ok(()) => break report.leave_it(),
            // The run goes on when the engine is opened again, and so does this.
            Err(Error::Stopping) => return report.leave_it(),
            Err(Error::Read(ReadError::Storage { .. })) if !cancel.is_raised() => tokio::time::sleep(RELOAD_AFTER).await,
            Err(Error::Read(ReadError::Storage { .. })) => return,
            Err(wrong @ Error::BadStart { .. }) => return report.tell(Err(Failure::new(FailureClass::Invalid, wrong.to_string()))),
            Err(wrong) => return report.tell(Err(Failure::new(FailureClass::Unavailable, wrong.to_string()))),
        }
    }
    if cancel.is_raised() {
        // It was cancelled before it was there to be told.
        cancel_child(&engine, child);
    }
}

fn caught<T>(calling: impl FnOnce() -> T) -> Result<T, Failure> {
    std::panic::catch_unwind(AssertUnwindSafe(calling)).map_err(|panic| panicked(&*panic))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    let message = said.map_or_else(|| "the agent panicked".to_owned(), |said| format!("the agent panicked: {said}"));
    Failure::new(FailureClass::Internal, message)
}

/// What was set aside for a call is what it may use.
fn allowance_of(reserved: &Usage) -> Allowance {
    Allowance { tokens: Some(reserved.tokens()), cost: reserved.cost }
}

/// What a run that has ended is to the task that waits for it.
pub(crate) fn outcome_of(run: &Run) -> Outcome {
    let (class, how) = match run.status() {
        RunStatus::Succeeded => {
            let said = run.used().map(|used| Box::new(Said { usage: Some(used.clone()), ..Said::default() }));
            return run.output().map(|output| Reply { said, ..Reply::new(output) });
        }
        RunStatus::TimedOut => (FailureClass::Timeout, "ran out of time".to_owned()),
        status => (FailureClass::Refused, status.to_string()),
    };
    let failed = run.tasks().find(|task| matches!(task.status(), TaskStatus::Failed | TaskStatus::TimedOut));
    let why = failed.and_then(|task| Some(format!(": {} ({})", task.id(), task.cause()?)));
    let failure = Failure::new(class, format!("run {} {how}{}", run.id().short(), why.unwrap_or_default()));
    Err(Failure { usage: run.used().cloned().map(Box::new), ..failure })
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
