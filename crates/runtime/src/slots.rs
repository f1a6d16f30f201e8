//! Limits on how much happens at once, with lines in which the more urgent stand first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use quorate_agents::{Line, Rank};

/// So many places, and a line of those who wait for one.
#[derive(Debug)]
pub(crate) struct Slots {
    free: AtomicUsize,
    waiting: AtomicUsize,
    line: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    number: u64,
    line: Line<Waiter>,
}

/// Told when a place is free; the place comes along, and comes back where nobody is there to take it.
pub(crate) type Grant = Box<dyn FnOnce(Permit) -> Result<(), Permit> + Send>;

struct Waiter(Grant);

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiter")
    }
}

/// A place, until it is dropped. Then the next in line gets it.
#[derive(Debug)]
pub(crate) struct Permit(Option<Arc<Slots>>);

impl Slots {
    pub(crate) fn new(places: usize) -> Arc<Slots> {
        Arc::new(Slots { free: AtomicUsize::new(places), waiting: AtomicUsize::new(0), line: Mutex::default() })
    }

    /// A place that is free now, unless others wait for it.
    pub(crate) fn take_now(self: &Arc<Slots>) -> Option<Permit> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        self.take_any()
    }

    fn take_any(self: &Arc<Slots>) -> Option<Permit> {
        let taken = self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| free.checked_sub(1));
        taken.is_ok().then(|| Permit(Some(self.clone())))
    }

    /// Stands in line. `grant` is called with a place, at once or later; it must not block.
    pub(crate) fn wait(self: &Arc<Slots>, priority: u8, grant: Grant) {
        {
            let mut waiting = self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let rank = Rank::new(waiting.number, priority);
            waiting.number += 1;
            waiting.line.push(rank, Waiter(grant));
            self.waiting.store(waiting.line.len(), Ordering::SeqCst);
        }
        // A place may have become free before this one stood in line.
        self.serve();
    }

    fn serve(self: &Arc<Slots>) {
        while self.waiting.load(Ordering::SeqCst) > 0 {
            let Some(permit) = self.take_any() else { return };
            let next = {
                let mut waiting = self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let next = waiting.line.pop();
                self.waiting.store(waiting.line.len(), Ordering::SeqCst);
                next
            };
            // One who left takes nothing, and the place is given back here rather than from within.
            let unused = match next {
                Some(Waiter(grant)) => grant(permit).err(),
                None => Some(permit),
            };
            if let Some(mut permit) = unused {
                permit.0 = None;
                self.free.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.free.fetch_add(1, Ordering::SeqCst);
            slots.serve();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_more_urgent_gets_the_next_place_and_nobody_passes_the_line() {
        let slots = Slots::new(1);
        let first = slots.take_now().unwrap();
        assert!(slots.take_now().is_none());
        let (told, order) = channel();
        for (name, priority) in [("low", 1), ("high", 9), ("later", 9)] {
            let told = told.clone();
            slots.wait(priority, Box::new(move |permit| told.send((name, permit)).map_err(|unsent| unsent.0.1)));
        }
        drop(first);
        for expected in ["high", "later", "low"] {
            assert!(slots.take_now().is_none(), "others wait");
            let (name, permit) = order.recv().unwrap();
            assert_eq!(name, expected);
            drop(permit);
        }
        assert!(slots.take_now().is_some());
    }

    #[test]
    fn a_line_of_a_million_who_left_is_passed_over() {
        let slots = Slots::new(1);
        let first = slots.take_now();
        for _ in 0..1_000_000 {
            slots.wait(5, Box::new(Err));
        }
        let (told, got) = channel();
        slots.wait(1, Box::new(move |permit| told.send(permit).map_err(|unsent| unsent.0)));
        drop(first);
        assert!(got.try_recv().is_ok());
        assert!(slots.take_now().is_some());
    }
}
