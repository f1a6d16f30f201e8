//! What a run may use, and what it has used: tokens and money.
//!
//! Before a call is made that says what it may use at most, so much is set aside; what it did use takes its place when it has
//! ended. A call that would not fit waits for those under way, which may use less than was set aside for them. Where it
//! would not fit even so, the budget is reached: people are asked, or the task fails.

use std::collections::BTreeMap;
use std::fmt;

use quorate_expr::Decimal;
use serde::{Deserialize, Serialize};

use crate::event::{TaskRef, Usage};

/// What a run may use.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) tokens: Option<u64>,
    pub(crate) cost: Option<Decimal>,
    pub(crate) warn_at: Option<Decimal>,
    /// The task that asks people when it is reached; each time they agree, there is as much again.
    pub(crate) ask: Option<u32>,
}

/// What a run has used, and what is set aside for calls under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spending {
    pub(crate) used: Usage,
    /// By task.
    pub(crate) reserved: BTreeMap<u32, Usage>,
    /// How often people let it have as much again.
    pub(crate) raised: u32,
    /// Whether it was told that little is left.
    pub(crate) warned: bool,
    /// For which call people were asked for more the last time.
    pub(crate) exceeded: Option<Box<Exceeded>>,
}

/// Whether a call can be afforded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Fits,
    /// When calls under way have used less than was set aside for them.
    Later,
    Over,
}

/// A budget, as it is told: with what people added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Tokens, read and written together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Decimal>,
}

/// A call that would not fit into a budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exceeded {
    /// The task.
    pub task: TaskRef,
    /// What the run had used.
    pub used: Usage,
    /// What would have been set aside for the call.
    pub wanted: Usage,
    /// What the run may use.
    pub limit: Limit,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exceeded { used, wanted, limit, .. } = self;
        write!(f, "the run may use {limit}, and has used {used}; this could take {wanted}")
    }
}

impl Usage {
    /// Read and written.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens_in.saturating_add(self.tokens_out)
    }

    /// Adds what something else used. A cost that is not known counts as nothing.
    pub fn add(&mut self, more: &Usage) {
        self.tokens_in = self.tokens_in.saturating_add(more.tokens_in);
        self.tokens_out = self.tokens_out.saturating_add(more.tokens_out);
        self.cost = match (self.cost, more.cost) {
            (Some(own), Some(more)) => Some(own.checked_add(more).unwrap_or(Decimal::MAX)),
            (own, more) => own.or(more),
        };
    }
}

impl Budget {
    /// What may be used, with what people added to it.
    pub(crate) fn limit(&self, raised: u32) -> Limit {
        let times = u64::from(raised) + 1;
        Limit {
            tokens: self.tokens.map(|tokens| tokens.saturating_mul(times)),
            cost: self.cost.map(|cost| cost.checked_mul(times.into()).unwrap_or(Decimal::MAX)),
        }
    }

    pub(crate) fn room(&self, spending: &Spending, wanted: &Usage) -> Room {
        let limit = self.limit(spending.raised);
        let mut alone = spending.used.clone();
        alone.add(wanted);
        let mut beside = alone.clone();
        spending.reserved.values().for_each(|reserved| beside.add(reserved));
        match (limit.holds(&beside), limit.holds(&alone)) {
            (true, _) => Room::Fits,
            (false, true) => Room::Later,
            (false, false) => Room::Over,
        }
    }

    /// Whether more is used than that at which somebody wants to know.
    pub(crate) fn is_low(&self, spending: &Spending) -> bool {
        let Some(share) = self.warn_at else { return false };
        let limit = self.limit(spending.raised);
        let part = |all: Decimal| all.checked_mul(share).unwrap_or(Decimal::MAX);
        let used = &spending.used;
        limit.tokens.is_some_and(|all| Decimal::from(used.tokens()) >= part(all.into()))
            || limit.cost.is_some_and(|all| used.cost.unwrap_or_default() >= part(all))
    }
}

impl Limit {
    fn holds(&self, used: &Usage) -> bool {
        self.tokens.is_none_or(|all| used.tokens() <= all) && self.cost.is_none_or(|all| used.cost.unwrap_or_default() <= all)
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.tokens())?;
        self.cost.map_or(Ok(()), |cost| write!(f, " for {}", cost.normalize()))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tokens, self.cost) {
            (Some(tokens), Some(cost)) => write!(f, "{tokens} tokens and {}", cost.normalize()),
            (Some(tokens), None) => write!(f, "{tokens} tokens"),
            (None, Some(cost)) => write!(f, "{}", cost.normalize()),
            (None, None) => f.write_str("anything"),
        }
    }
}
