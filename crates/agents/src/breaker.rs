//! Breakers: what fails again and again is left alone for a while, and then tried with care.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_core::{Millis, Timestamp};

/// When an agent that fails is left alone, and when it is trusted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// So many failures in a row open it; none at all: it never opens.
    pub failures: u32,
    /// The first and the last of them lie no further apart than this.
    pub within: Millis,
    /// How long nothing is called that is open.
    pub open_for: Millis,
    /// After that so many calls are let through at once, and so many have to succeed before it closes. One that fails opens
    /// it again.
    pub trials: u32,
}

impl Default for BreakerRule {
    fn default() -> BreakerRule {
        BreakerRule { failures: 5, within: Millis(60_000), open_for: Millis(30_000), trials: 1 }
    }
}

impl BreakerRule {
    /// A breaker that never opens.
    pub const OFF: BreakerRule = BreakerRule { failures: 0, within: Millis(0), open_for: Millis(0), trials: 1 };
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Nothing is called until then.
    Open(Timestamp),
    /// Calls are let through to see how it goes: so many are under way.
    HalfOpen(u32),
}

/// Until when a breaker that is closed is open.
const CLOSED: i64 = i64::MIN;

/// A breaker. Reading it takes no lock; only what fails, and what is on trial, does.
#[derive(Debug)]
pub(crate) struct Breaker {
    open_until: AtomicI64,
    trials: AtomicU32,
    /// Whether anything failed lately, or it is not closed.
    marked: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    failures: VecDeque<Timestamp>,
    /// Trials that succeeded since it was half open.
    succeeded: u32,
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker { open_until: AtomicI64::new(CLOSED), trials: AtomicU32::new(0), marked: AtomicBool::new(false), seen: Mutex::default() }
    }
}

impl Breaker {
    pub(crate) fn is_closed(&self) -> bool {
        self.open_until.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn state(&self, now: Timestamp) -> BreakerState {
        match self.open_until.load(Ordering::Acquire) {
            CLOSED => BreakerState::Closed,
            until if until > now.micros() => BreakerState::Open(Timestamp::from_micros(until)),
            _ => BreakerState::HalfOpen(self.trials.load(Ordering::Acquire)),
        }
    }

    /// Begins a trial, where there is room for one.
    pub(crate) fn begin_trial(&self, rule: &BreakerRule) -> bool {
        let room = |trials| (trials < rule.trials.max(1)).then_some(trials + 1);
        self.trials.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok()
    }

    pub(crate) fn end_trial(&self) {
        self.trials.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes in a success. One is as good as another: also a call that began before it opened shows that there is somebody.
    pub(crate) fn succeeded(&self, rule: &BreakerRule) {
        if !self.marked.load(Ordering::Acquire) {
            return;
        }
        let mut seen = self.seen();
        if self.open_until.load(Ordering::Acquire) != CLOSED {
            seen.succeeded += 1;
            if seen.succeeded < rule.trials {
                return;
            }
            self.open_until.store(CLOSED, Ordering::Release);
        }
        seen.failures.clear();
        self.marked.store(false, Ordering::Release);
    }

    /// Takes in a failure, and says whether it opened the breaker.
    pub(crate) fn failed(&self, rule: &BreakerRule, now: Timestamp) -> bool {
        if rule.failures == 0 {
            return false;
        }
        let mut seen = self.seen();
        seen.failures.push_back(now);
        while seen.failures.front().is_some_and(|first| first.plus(rule.within) < now) {
            seen.failures.pop_front();
        }
        self.marked.store(true, Ordering::Release);
        let opens = match self.state(now) {
            BreakerState::Closed => seen.failures.len() >= rule.failures as usize,
            // What was under way when it opened says nothing new.
            BreakerState::Open(_) => false,
            BreakerState::HalfOpen(_) => true,
        };
        if opens {
            seen.failures.clear();
            seen.succeeded = 0;
            self.open_until.store(now.plus(rule.open_for).micros(), Ordering::Release);
        }
        opens
    }

    /// It answers again, as a probe found: the next calls are trials, however long it was to be left alone.
    pub(crate) fn answers(&self, now: Timestamp) {
        let open = |until| (until != CLOSED && until > now.micros()).then_some(now.micros());
        // One that is not open needs nothing.
        let _ = self.open_until.fetch_update(Ordering::AcqRel, Ordering::Acquire, open);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BreakerRule = BreakerRule { failures: 3, within: Millis(10_000), open_for: Millis(5_000), trials: 2 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn so_many_failures_in_a_row_open_it_and_so_many_trials_close_it() {
        let breaker = Breaker::default();
        for second in 0..3 {
            assert_eq!(breaker.state(at(second)), BreakerState::Closed);
            breaker.failed(&RULE, at(second));
        }
        assert_eq!(breaker.state(at(6)), BreakerState::Open(at(7)));
        assert_eq!(breaker.state(at(7)), BreakerState::HalfOpen(0));
        assert!(breaker.begin_trial(&RULE) && breaker.begin_trial(&RULE) && !breaker.begin_trial(&RULE));
        breaker.end_trial();
        breaker.succeeded(&RULE);
        assert_eq!(breaker.state(at(8)), BreakerState::HalfOpen(1));
        breaker.end_trial();
        breaker.succeeded(&RULE);
        assert_eq!(breaker.state(at(8)), BreakerState::Closed);
    }

    #[test]
    fn a_trial_that_fails_opens_it_again() {
        let breaker = Breaker::default();
        assert!((0..3).any(|second| breaker.failed(&RULE, at(second))));
        assert!(breaker.begin_trial(&RULE));
        breaker.end_trial();
        breaker.failed(&RULE, at(9));
        assert_eq!(breaker.state(at(9)), BreakerState::Open(at(14)));
    }

    #[test]
    fn a_success_between_and_failures_far_apart_leave_it_closed() {
        let breaker = Breaker::default();
        for second in [0, 1, 20, 40] {
            breaker.failed(&RULE, at(second));
        }
        assert_eq!(breaker.state(at(40)), BreakerState::Closed);
        breaker.failed(&RULE, at(41));
        breaker.succeeded(&RULE);
        breaker.failed(&RULE, at(42));
        assert_eq!(breaker.state(at(42)), BreakerState::Closed);
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_prolong_it_and_a_probe_ends_it() {
        let breaker = Breaker::default();
        let opened = (0..7).filter(|second| breaker.failed(&RULE, at(*second)));
        assert_eq!(opened.collect::<Vec<_>>(), [2]);
        assert_eq!(breaker.state(at(6)), BreakerState::Open(at(7)));
        breaker.answers(at(5));
        assert_eq!(breaker.state(at(5)), BreakerState::HalfOpen(0));
    }

    #[test]
    fn one_that_is_off_never_opens() {
        let breaker = Breaker::default();
        assert!(!(0..100).any(|_| breaker.failed(&BreakerRule::OFF, at(0))));
        assert_eq!(breaker.state(at(0)), BreakerState::Closed);
    }
}
