//! Limits on how much happens at once, with lines in which the more urgent stand first.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// So many places, and a line of those who wait for one.
#[derive(Debug)]
pub(crate) struct Slots {
    places: AtomicUsize,
    /// Below zero while more are taken than there are places now.
    free: AtomicIsize,
    waiting: AtomicUsize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    heap: BinaryHeap<Waiter>,
}

/// Told when a place is free; the place comes along, and comes back where nobody is there to take it.
pub(crate) type Grant = Box<dyn FnOnce(Permit) -> Result<(), Permit> + Send>;

struct Waiter {
    priority: u8,
    number: u64,
    grant: Grant,
}

impl Waiter {
    fn rank(&self) -> (u8, std::cmp::Reverse<u64>) {
        (self.priority, std::cmp::Reverse(self.number))
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Waiter").field(&self.rank()).finish()
    }
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Waiter) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Waiter {}

impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Waiter) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiter {
    fn cmp(&self, other: &Waiter) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// A place, until it is dropped. Then the next in line gets it.
#[derive(Debug)]
pub(crate) struct Permit(Option<Arc<Slots>>);

impl Permit {
    pub(crate) fn is_of(&self, slots: &Arc<Slots>) -> bool {
        self.0.as_ref().is_some_and(|own| Arc::ptr_eq(own, slots))
    }
}

impl Slots {
    pub(crate) fn new(places: usize) -> Arc<Slots> {
        let free = AtomicIsize::new(signed(places));
        Arc::new(Slots { places: AtomicUsize::new(places), free, waiting: AtomicUsize::new(0), line: Mutex::default() })
    }

    /// Changes how many places there are. Places that are taken stay taken.
    pub(crate) fn resize(self: &Arc<Slots>, places: usize) {
        let before = self.places.swap(places, Ordering::SeqCst);
        if before != places {
            self.free.fetch_add(signed(places) - signed(before), Ordering::SeqCst);
            self.serve();
        }
    }

    /// A place that is free now, unless others wait for it.
    pub(crate) fn take_now(self: &Arc<Slots>) -> Option<Permit> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        self.take_any()
    }

    fn take_any(self: &Arc<Slots>) -> Option<Permit> {
        let taken = self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| (free > 0).then_some(free - 1));
        taken.is_ok().then(|| Permit(Some(self.clone())))
    }

    /// Stands in line. `grant` is called with a place, at once or later; it must not block.
    pub(crate) fn wait(self: &Arc<Slots>, priority: u8, grant: Grant) {
        {
            let mut line = self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let number = line.next;
            line.next += 1;
            line.heap.push(Waiter { priority, number, grant });
            self.waiting.store(line.heap.len(), Ordering::SeqCst);
        }
        // A place may have become free before this one stood in line.
        self.serve();
    }

    fn serve(self: &Arc<Slots>) {
        while self.waiting.load(Ordering::SeqCst) > 0 {
            let Some(permit) = self.take_any() else { return };
            let next = {
                let mut line = self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let next = line.heap.pop();
                self.waiting.store(line.heap.len(), Ordering::SeqCst);
                next
            };
            // One who left takes nothing, and the place is given back here rather than from within.
            let unused = match next {
                Some(waiter) => (waiter.grant)(permit).err(),
                None => Some(permit),
            };
            if let Some(mut permit) = unused {
                permit.0 = None;
                self.free.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

fn signed(places: usize) -> isize {
    isize::try_from(places).unwrap_or(isize::MAX / 2)
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

    #[test]
    fn a_limit_can_be_raised_and_lowered_while_places_are_taken() {
        let slots = Slots::new(2);
        let taken: Vec<_> = (0..2).filter_map(|_| slots.take_now()).collect();
        slots.resize(1);
        drop(taken);
        let one = slots.take_now();
        assert!(one.is_some() && slots.take_now().is_none());
        slots.resize(3);
        assert!(slots.take_now().is_some());
    }
}
