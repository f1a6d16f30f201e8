//! What is known of an agent for as long as it is registered, whoever calls it: how busy it is, and how well it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

    /// Whether nothing is the matter with it: its breaker is closed, and it does not rest.
    pub(crate) fn is_calm(&self, now: Timestamp) -> bool {
        self.breaker.is_closed() && self.rests_until.load(Ordering::Acquire) <= now.micros()
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

    /// Takes in that a call failed.
    pub(crate) fn failed(self: &Arc<Member>, seat: usize, class: FailureClass, rest: Option<Millis>, now: Timestamp) {
        let (seat, rule) = (&self.seats[seat], &self.agent.breaker);
        let mut changed = false;
        if let Some(rest) = rest {
            let until = now.plus(rest.min(MAX_REST)).micros();
            changed = seat.rests_until.fetch_max(until, Ordering::AcqRel) < until;
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
            self.look_again(now);
            self.desk.check(self);
        }
    }

    /// Sees to it that whoever waits for this agent is served when it can be called again, where time alone decides that.
    fn look_again(self: &Arc<Member>, now: Timestamp) {
        let until = |seat: &Arc<Seat>| match seat.trouble(&self.agent.breaker, now) {
            Some(WhyNot::BreakerOpen { until } | WhyNot::Resting { until }) => Some(until),
            _ => None,
        };
        let Some(until) = self.seats.iter().filter_map(until).min() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (member, wait) = (Arc::downgrade(self), until.micros().abs_diff(now.micros()));
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_micros(wait)).await;
            // One that is gone has nobody waiting for it.
            if let Some(member) = member.upgrade() {
                member.desk.see(until);
                member.desk.serve(&member);
            }
        });
    }

    /// Whether nobody is to wait for it: it is not called at all, or is left alone because it fails.
    fn is_hopeless(&self, now: Timestamp) -> bool {
        let failing = |why: Option<WhyNot>| matches!(why, Some(WhyNot::BreakerOpen { .. } | WhyNot::OnTrial));
        match self.standing.mode() {
            Mode::Disabled => true,
            Mode::Draining => false,
            Mode::Enabled => self.seats.iter().all(|seat| failing(seat.trouble(&self.agent.breaker, now))),
        }
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

    /// Whether it is with this agent, at this one of its endpoints.
    pub(crate) fn is_at(&self, standing: &Arc<Standing>, seat: usize) -> bool {
        Arc::ptr_eq(&self.member.standing, standing) && self.endpoint() == seat
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

    /// Whether the agent is still called, and not left alone: whoever has the place may have waited for something else since.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        let seat = &self.member.seats[self.endpoint()];
        let sound = self.sits == Sits::OnTrial || seat.breaker.state(now) == BreakerState::Closed;
        self.member.standing.mode() == Mode::Enabled && sound && seat.rests(now).is_none()
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

/// Agents any of whom would do, in the order of their numbers.
#[derive(Debug)]
pub struct Wanted(Vec<Arc<Member>>);

impl Wanted {
    pub(crate) fn new(mut members: Vec<Arc<Member>>) -> Wanted {
        members.sort_unstable_by_key(|member| member.standing.number);
        members.dedup_by_key(|member| member.standing.number);
        Wanted(members)
    }

    pub(crate) fn members(&self) -> &[Arc<Member>] {
        &self.0
    }

    fn includes(&self, member: &Member) -> bool {
        self.0.binary_search_by_key(&member.standing.number, |own| own.standing.number).is_ok()
    }

    fn is_same(&self, other: &Wanted) -> bool {
        let number = |member: &Arc<Member>| member.standing.number;
        std::ptr::eq(self, other) || self.0.iter().map(number).eq(other.0.iter().map(number))
    }
}

/// Those who wait for the same agents.
struct Waiting {
    wanted: Arc<Wanted>,
    line: Line<Grant>,
}

/// Where those stand in line who found no place.
#[derive(Default)]
pub(crate) struct Desk {
    waiting: AtomicUsize,
    number: AtomicU64,
    /// The latest time that anybody spoke of.
    now: AtomicI64,
    lines: Mutex<Vec<Waiting>>,
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

    fn lines(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody stands in line for these agents.
    pub(crate) fn is_waited_for(&self, wanted: &Wanted) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0 && self.lines().iter().any(|waiting| waiting.wanted.is_same(wanted))
    }

    /// How many stand in a line in which this agent would do.
    pub(crate) fn waiting_at(&self, member: &Member) -> usize {
        self.lines().iter().filter(|waiting| waiting.wanted.includes(member)).map(|waiting| waiting.line.len()).sum()
    }

    /// Stands in line for the first of these agents that is free, at a place where one stood before or at the one that the
    /// priority gives.
    pub(crate) fn wait(&self, wanted: &Arc<Wanted>, priority: u8, stood: Option<Rank>, grant: Grant) -> Rank {
        let rank = stood.unwrap_or_else(|| Rank::new(self.number.fetch_add(1, Ordering::AcqRel), priority));
        {
            let mut lines = self.lines();
            let known = lines.iter().position(|waiting| waiting.wanted.is_same(wanted));
            let position = known.unwrap_or_else(|| {
                lines.push(Waiting { wanted: wanted.clone(), line: Line::default() });
                lines.len() - 1
            });
            // They may have been registered anew.
            lines[position].wanted = wanted.clone();
            lines[position].line.push(rank, grant);
            self.waiting.fetch_add(1, Ordering::SeqCst);
        }
        // A place may have become free before this one stood in line.
        wanted.members().iter().for_each(|member| self.serve(member));
        rank
    }

    /// Gives free places with an agent to those who wait for one.
    pub(crate) fn serve(&self, member: &Arc<Member>) {
        while self.waiting.load(Ordering::SeqCst) > 0 && !member.standing.is_full() {
            let Some((place, grant)) = self.next_for(member) else { return };
            if let Err(place) = grant(Some(place)) {
                // One who left takes nothing, and the place is given back here rather than from within.
                place.give_back();
            }
        }
    }

    /// The first of those who wait for this agent, and a place with it.
    fn next_for(&self, member: &Arc<Member>) -> Option<(Place, Grant)> {
        let now = self.now();
        let usable = |position: &usize| member.seats[*position].trouble(&member.agent.breaker, now).is_none();
        let seat = (0..member.seats.len()).filter(usable).min_by_key(|position| member.under_way(*position))?;
        if member.standing.mode() != Mode::Enabled {
            return None;
        }
        let mut lines = self.lines();
        let waiting = lines.iter().enumerate().filter(|(_, waiting)| waiting.wanted.includes(member));
        let first = waiting.filter_map(|(position, waiting)| Some((waiting.line.first()?, position))).min();
        let (_, position) = first?;
        let mut place = Place::take(member)?;
        if !place.sit(member, seat, now, true) {
            place.give_back();
            return None;
        }
        let grant = lines[position].line.pop();
        if lines[position].line.is_empty() {
            lines.swap_remove(position);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        grant.map(|grant| (place, grant))
    }

    /// Lets those ask again who wait in vain, since this agent is not to be waited for any more.
    pub(crate) fn check(&self, member: &Member) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let now = self.now();
        let in_vain = |wanted: &Wanted| wanted.includes(member) && wanted.0.iter().all(|member| member.is_hopeless(now));
        let called: Vec<Waiting> = self.lines().extract_if(.., |waiting| in_vain(&waiting.wanted)).collect();
        self.call(called);
    }

    /// Lets everybody who waits ask again: other agents may do now.
    pub(crate) fn call_all(&self) {
        let called = std::mem::take(&mut *self.lines());
        self.call(called);
    }

    fn call(&self, called: Vec<Waiting>) {
        for Waiting { mut line, .. } in called {
            while let Some(grant) = line.pop() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                // There is no place that could come back.
                let _ = grant(None);
            }
        }
    }
}
