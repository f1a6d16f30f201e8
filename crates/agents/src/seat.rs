//! What is known of an agent for as long as it is registered, whoever calls it: how busy it is, and how well it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use quorate_core::{FailureClass, Millis, Timestamp, WhyNot};
use tokio::sync::Notify;

use crate::Agent;
use crate::breaker::{Breaker, BreakerRule, BreakerState};
use crate::line::{Line, Rank};

/// Longest time that an agent is left alone because it asked for it.
pub const MAX_REST: Millis = Millis(10 * 60 * 1_000);
/// How many places there are where there is no limit.
const UNLIMITED: u32 = u32::MAX;
/// What one turn counts for an agent of the weight 1.
const TURN: u64 = 1 << 20;

/// Whether an agent is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// It is.
    #[default]
    Enabled,
    /// It is as if it were not there. Calls under way go on.
    Disabled,
    /// It takes no new calls for now: what asks for it waits. Calls under way go on.
    Draining,
}

/// An agent of one version: its places, whoever takes them.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) number: u32,
    mode: AtomicU8,
    slots: AtomicU32,
    under_way: AtomicU32,
}

/// One of the places where an agent is.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    pub(crate) breaker: Breaker,
    rests_until: AtomicI64,
    under_way: AtomicU32,
    turns: AtomicU64,
}

impl Standing {
    pub(crate) fn new(number: u32) -> Standing {
        Standing { number, mode: AtomicU8::new(Mode::Enabled as u8), slots: AtomicU32::new(UNLIMITED), under_way: AtomicU32::new(0) }
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Acquire) {
            0 => Mode::Enabled,
            1 => Mode::Disabled,
            _ => Mode::Draining,
        }
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Release);
    }

    /// Calls under way stay under way, also where there are more of them than places now.
    pub(crate) fn set_slots(&self, slots: Option<usize>) {
        let slots = slots.map_or(UNLIMITED, |slots| u32::try_from(slots).unwrap_or(UNLIMITED));
        self.slots.store(slots, Ordering::Release);
    }

    /// How many places there are, if there is a limit.
    pub(crate) fn slots(&self) -> Option<u32> {
        Some(self.slots.load(Ordering::Acquire)).filter(|slots| *slots != UNLIMITED)
    }

    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Acquire)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.under_way() >= self.slots.load(Ordering::Acquire)
    }

    fn take(&self) -> bool {
        let slots = self.slots.load(Ordering::Acquire);
        if slots == UNLIMITED {
            self.under_way.fetch_add(1, Ordering::AcqRel);
            return true;
        }
        let room = |taken| (taken < slots).then_some(taken + 1);
        self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok()
    }
}

impl Seat {
    /// How many turns it had, by its weight: who had fewer is next.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    /// One that is new begins where the others are: it does not get all the calls that they had before.
    pub(crate) fn set_turns(&self, turns: u64) {
        self.turns.store(turns, Ordering::Release);
    }

    /// Until when it rests, if it does.
    pub(crate) fn rests(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.rests_until.load(Ordering::Acquire);
        (until > now.micros()).then(|| Timestamp::from_micros(until))
    }

    /// Why it cannot be called now, if it cannot.
    pub(crate) fn trouble(&self, rule: &BreakerRule, now: Timestamp) -> Option<WhyNot> {
        match self.breaker.state(now) {
            BreakerState::Closed => self.rests(now).map(|until| WhyNot::Resting { until }),
            BreakerState::Open(until) => Some(WhyNot::BreakerOpen { until }),
            BreakerState::HalfOpen(trials) if trials >= rule.trials.max(1) => Some(WhyNot::OnTrial),
            BreakerState::HalfOpen(_) => self.rests(now).map(|until| WhyNot::Resting { until }),
        }
    }
}

/// An agent of one version, as it is registered.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) agent: Arc<Agent>,
    /// Where those stand in line who want it.
    pub(crate) desk: Arc<Desk>,
    pub(crate) standing: Arc<Standing>,
    /// One for each of its endpoints.
    pub(crate) seats: Vec<Arc<Seat>>,
}

impl Member {
    /// Which of its seats is at this endpoint.
    pub(crate) fn seat_at(&self, endpoint: Option<&Arc<str>>) -> Option<usize> {
        (0..self.seats.len()).find(|position| self.agent.endpoints.get(*position) == endpoint)
    }

    /// How many calls are under way at one of its endpoints.
    pub(crate) fn under_way(&self, seat: usize) -> u32 {
        // What is at one place only is counted once.
        if self.seats.len() == 1 { self.standing.under_way() } else { self.seats[seat].under_way.load(Ordering::Acquire) }
    }

    /// Takes in that a call failed, and lets those ask again who may have to wait for something else now.
    pub(crate) fn failed(&self, seat: usize, class: FailureClass, rest: Option<Millis>, now: Timestamp) {
        let (seat, rule) = (&self.seats[seat], &self.agent.breaker);
        let mut changed = false;
        if let Some(rest) = rest {
            let until = now.plus(rest.min(MAX_REST)).micros();
            changed = seat.rests_until.fetch_max(until, Ordering::AcqRel) <= now.micros();
        }
        self.desk.see(now);
        match class {
            FailureClass::Unavailable | FailureClass::Timeout | FailureClass::Internal => changed |= seat.breaker.failed(rule, now),
            // It asks for fewer calls: it is neither well nor broken.
            FailureClass::RateLimited => {}
            // Whatever it says, it is there to say it.
            FailureClass::Invalid | FailureClass::Refused => seat.breaker.succeeded(rule),
        }
        if changed {
            self.desk.call_all();
        }
    }

    /// Whether it can be called now, places aside.
    fn is_usable(&self, now: Timestamp) -> bool {
        self.standing.mode() == Mode::Enabled && self.seats.iter().any(|seat| seat.trouble(&self.agent.breaker, now).is_none())
    }
}

/// A place with an agent, until it is dropped. Then the next in line gets it.
#[derive(Debug)]
pub struct Place {
    member: Arc<Member>,
    /// At which of its endpoints.
    seat: u32,
    sits: Sits,
}

/// How far a place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sits {
    /// No endpoint is chosen.
    Nowhere,
    /// One is.
    Down,
    /// One is, to see whether it answers again.
    OnTrial,
    /// The place is given back.
    Gone,
}

impl Place {
    /// A place with an agent, where there is one.
    pub(crate) fn take(member: &Arc<Member>) -> Option<Place> {
        member.standing.take().then(|| Place { member: member.clone(), seat: 0, sits: Sits::Nowhere })
    }

    pub(crate) fn is_with(&self, standing: &Arc<Standing>) -> bool {
        Arc::ptr_eq(&self.member.standing, standing)
    }

    /// Chooses one of the endpoints of the agent. False where it is being tried by others. Turns are counted where there are
    /// others who could have it.
    pub(crate) fn sit(&mut self, member: &Arc<Member>, position: usize, now: Timestamp, counted: bool) -> bool {
        self.stand();
        if !Arc::ptr_eq(&self.member, member) {
            // It was registered anew since the place was taken.
            self.member = member.clone();
        }
        let seat = &member.seats[position];
        let trial = seat.breaker.state(now) != BreakerState::Closed;
        if trial && !seat.breaker.begin_trial(&member.agent.breaker) {
            return false;
        }
        if member.seats.len() > 1 {
            seat.under_way.fetch_add(1, Ordering::AcqRel);
        }
        if counted {
            seat.turns.fetch_add(TURN / u64::from(member.agent.weight.max(1)), Ordering::AcqRel);
        }
        self.seat = u32::try_from(position).expect("an agent has few endpoints");
        self.sits = if trial { Sits::OnTrial } else { Sits::Down };
        true
    }

    fn stand(&mut self) {
        let seats = &self.member.seats;
        match std::mem::replace(&mut self.sits, Sits::Nowhere) {
            Sits::Nowhere | Sits::Gone => return,
            Sits::OnTrial => seats[self.endpoint()].breaker.end_trial(),
            Sits::Down => {}
        }
        if seats.len() > 1 {
            seats[self.endpoint()].under_way.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Gives it back without serving the line.
    fn give_back(mut self) {
        self.stand();
        self.member.standing.under_way.fetch_sub(1, Ordering::AcqRel);
        self.sits = Sits::Gone;
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &Arc<Agent> {
        &self.member.agent
    }

    /// Which of its endpoints.
    #[must_use]
    pub fn endpoint(&self) -> usize {
        self.seat as usize
    }

    /// Says that the call went well, from which is learned that the agent is.
    pub fn succeeded(&self) {
        self.member.seats[self.endpoint()].breaker.succeeded(&self.member.agent.breaker);
    }

    /// Says why the call failed, from which is learned whether the agent is well, and whether it wants to be left alone.
    pub fn failed(&self, class: FailureClass, rest: Option<Millis>, now: Timestamp) {
        self.member.failed(self.endpoint(), class, rest, now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.sits == Sits::Gone {
            return;
        }
        self.stand();
        let left = self.member.standing.under_way.fetch_sub(1, Ordering::AcqRel) - 1;
        if left == 0 && self.member.standing.mode() != Mode::Enabled {
            self.member.desk.idle.notify_waiters();
        }
        self.member.desk.serve(&self.member);
    }
}

/// Told when a place is free, or that it is worth asking again. A place that nobody is there to take comes back.
pub type Grant = Box<dyn FnOnce(Option<Place>) -> Result<(), Place> + Send>;

/// The lines, each with the agents that would do, in order.
type Lines = Vec<(Arc<[u32]>, Line<Grant>)>;

/// Where those stand in line who found no place.
#[derive(Default)]
pub(crate) struct Desk {
    waiting: AtomicUsize,
    number: AtomicU64,
    /// The latest time that anybody spoke of.
    now: AtomicI64,
    lines: Mutex<Lines>,
    /// Told when an agent that is not called any more has nothing under way.
    pub(crate) idle: Notify,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Desk {
    pub(crate) fn see(&self, now: Timestamp) {
        self.now.store(now.micros(), Ordering::Release);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::Acquire))
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many stand in line for these agents.
    pub(crate) fn waiting_for(&self, wanted: &[u32]) -> usize {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        self.lines().iter().find(|(line, _)| **line == *wanted).map_or(0, |(_, line)| line.len())
    }

    /// How many stand in a line in which this agent would do.
    pub(crate) fn waiting_at(&self, number: u32) -> usize {
        self.lines().iter().filter(|(wanted, _)| wanted.contains(&number)).map(|(_, line)| line.len()).sum()
    }

    /// Stands in line for the first of these agents that is free, at a place where one stood before or at the one that the
    /// priority gives.
    pub(crate) fn wait(&self, wanted: &Arc<[u32]>, priority: u8, stood: Option<Rank>, grant: Grant) -> Rank {
        let rank = stood.unwrap_or_else(|| Rank::new(self.number.fetch_add(1, Ordering::AcqRel), priority));
        let mut lines = self.lines();
        let known = lines.iter().position(|(line, _)| *line == *wanted);
        let position = known.unwrap_or_else(|| {
            lines.push((wanted.clone(), Line::default()));
            lines.len() - 1
        });
        lines[position].1.push(rank, grant);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        rank
    }

    /// Gives free places with an agent to those who wait for one.
    pub(crate) fn serve(&self, member: &Arc<Member>) {
        while self.waiting.load(Ordering::SeqCst) > 0 && member.is_usable(self.now()) {
            let Some((place, grant)) = self.next_for(member) else { return };
            if let Err(place) = grant(Some(place)) {
                // One who left takes nothing, and the place is given back here rather than from within.
                place.give_back();
            }
        }
    }

    /// The first of those who wait for this agent, and a place with it.
    fn next_for(&self, member: &Arc<Member>) -> Option<(Place, Grant)> {
        let mut lines = self.lines();
        let number = &member.standing.number;
        let waiting = lines.iter().enumerate().filter(|(_, (wanted, _))| wanted.binary_search(number).is_ok());
        let first = waiting.filter_map(|(position, (_, line))| Some((line.first()?, position))).min();
        let (_, position) = first?;
        let place = Place::take(member)?;
        let grant = lines[position].1.pop();
        if lines[position].1.is_empty() {
            lines.swap_remove(position);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        grant.map(|grant| (place, grant))
    }

    /// Lets everybody who waits ask again: other agents may do now.
    pub(crate) fn call_all(&self) {
        let lines = std::mem::take(&mut *self.lines());
        for (_, mut line) in lines {
            while let Some(grant) = line.pop() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                // There is no place that could come back.
                let _ = grant(None);
            }
        }
    }
}
