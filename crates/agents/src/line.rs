//! Lines in which the more urgent stand further ahead, and in which everybody's turn comes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// How many places in line one level of priority is worth. Priorities reach from 1 to 10, so of those who come later at
/// most nine times as many are served before somebody.
pub const PLACES_PER_LEVEL: u64 = 100;

/// The highest priority that counts.
const MOST_URGENT: u8 = 10;

/// Where somebody stands in line. Whoever leaves and comes back with it stands where they stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u64);

impl Rank {
    /// Where the so-manieth to come stands, by how urgent it is.
    #[must_use]
    pub fn new(number: u64, priority: u8) -> Rank {
        Rank(number + u64::from(MOST_URGENT.saturating_sub(priority)) * PLACES_PER_LEVEL)
    }
}

/// A line.
#[derive(Debug)]
pub struct Line<W> {
    heap: BinaryHeap<Waiter<W>>,
}

#[derive(Debug)]
struct Waiter<W> {
    rank: Rank,
    who: W,
}

impl<W> Default for Line<W> {
    fn default() -> Line<W> {
        Line { heap: BinaryHeap::new() }
    }
}

impl<W> Line<W> {
    /// Stands in line.
    pub fn push(&mut self, rank: Rank, who: W) {
        self.heap.push(Waiter { rank, who });
    }

    /// Where the first one stands.
    #[must_use]
    pub fn first(&self) -> Option<Rank> {
        self.heap.peek().map(|waiter| waiter.rank)
    }

    /// Takes the first one out of the line.
    pub fn pop(&mut self) -> Option<W> {
        self.heap.pop().map(|waiter| waiter.who)
    }

    /// How many stand in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nobody does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<W> Ord for Waiter<W> {
    /// The greatest is served first.
    fn cmp(&self, other: &Waiter<W>) -> Ordering {
        other.rank.cmp(&self.rank)
    }
}

impl<W> PartialOrd for Waiter<W> {
    fn partial_cmp(&self, other: &Waiter<W>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<W> PartialEq for Waiter<W> {
    fn eq(&self, other: &Waiter<W>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<W> Eq for Waiter<W> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_urgent_stand_ahead_and_the_line_is_kept_among_equals() {
        let mut line = Line::default();
        for (number, (who, priority)) in (0..).zip([("low", 1), ("high", 9), ("later", 9), ("middle", 5)]) {
            line.push(Rank::new(number, priority), who);
        }
        let order: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
        assert_eq!(order, ["high", "later", "middle", "low"]);
    }

    #[test]
    fn nobody_is_passed_by_more_than_so_many_who_came_later() {
        let mut line = Line::default();
        line.push(Rank::new(0, 1), "patient");
        let passed = (1..).take_while(|number| {
            line.push(Rank::new(*number, 10), "urgent");
            line.pop() == Some("urgent")
        });
        // The last of them stands where the first one does.
        assert!(passed.count() <= 9 * usize::try_from(PLACES_PER_LEVEL).unwrap());
    }
}
