//! Why an agent was chosen: recorded with the attempt that it was given.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::event::AgentRef;

/// Most agents that were not chosen and are named with a choice; the rest is counted.
pub const MAX_NAMED: usize = 12;
/// To how many other agents a task goes in a row before its failure counts as one.
pub const MAX_FAILOVERS: usize = 3;

/// Why an agent was chosen, and why no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What decided between those that could have done it.
    pub by: ChosenBy,
    /// How many others could do it, should this one fail: those that are called at all, and did not fail at it just now.
    #[serde(default, skip_serializing_if = "is_none")]
    pub others: u32,
    /// Who was not chosen, in the order in which they would have been, as far as [`MAX_NAMED`] goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<NotChosen>,
    /// How many more there were.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

/// What decided between agents that could all have done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// There was no other.
    Only,
    /// Of its versions this one has the share into which the key of the run falls.
    Split,
    /// It has the highest priority.
    Priority,
    /// Fewer calls were under way.
    Load,
    /// It had fewer turns before.
    Turn,
    /// Nothing but the order of their names.
    Name,
    /// All were busy, and it was the first to be free.
    Free,
}

impl fmt::Display for ChosenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChosenBy::Only => "the only one",
            ChosenBy::Split => "by its share",
            ChosenBy::Priority => "by priority",
            ChosenBy::Load => "the least busy",
            ChosenBy::Turn => "in turn",
            ChosenBy::Name => "the first by name",
            ChosenBy::Free => "the first to be free",
        })
    }
}

/// An agent that could do what was asked for, and was not chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotChosen {
    /// The agent.
    pub agent: Arc<AgentRef>,
    /// Why not.
    pub why: WhyNot,
}

/// Why an agent was not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// Somebody disabled it.
    Disabled,
    /// Somebody drains it: it takes no new calls.
    Draining,
    /// It failed too often, and is left alone.
    BreakerOpen {
        /// Until then.
        until: Timestamp,
    },
    /// It failed too often, and is being tried with other calls.
    OnTrial,
    /// It asked to be left alone.
    Resting {
        /// Until then.
        until: Timestamp,
    },
    /// It takes no more calls at once.
    Full {
        /// How many it takes.
        slots: u32,
    },
    /// It failed at this just now.
    Tried,
    /// The key of the run falls into the share of another version.
    OtherVersion,
    /// Another one has a higher priority.
    LowerPriority {
        /// Its own.
        priority: u32,
    },
    /// More calls were under way.
    Busier {
        /// How many.
        calls: u32,
    },
    /// It had more turns before, or comes later by name.
    Later,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhyNot::Disabled => f.write_str("is disabled"),
            WhyNot::Draining => f.write_str("is drained"),
            WhyNot::BreakerOpen { until } => write!(f, "failed too often, and is left alone until {until}"),
            WhyNot::OnTrial => f.write_str("failed too often, and is being tried with another call"),
            WhyNot::Resting { until } => write!(f, "asked to be left alone until {until}"),
            WhyNot::Full { slots } => write!(f, "has its {slots} slots taken"),
            WhyNot::Tried => f.write_str("failed at it just now"),
            WhyNot::OtherVersion => f.write_str("has another share of the runs"),
            WhyNot::LowerPriority { priority } => write!(f, "has a lower priority ({priority})"),
            WhyNot::Busier { calls } => write!(f, "is busier ({calls} under way)"),
            WhyNot::Later => f.write_str("comes later"),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            ChosenBy::Only if !self.not.is_empty() => f.write_str("the only one free")?,
            by => write!(f, "{by}")?,
        }
        for (position, NotChosen { agent, why }) in self.not.iter().enumerate() {
            write!(f, "{} {agent} {why}", if position == 0 { ";" } else { "," })?;
        }
        if self.more > 0 {
            write!(f, ", and {} more", self.more)?;
        }
        Ok(())
    }
}
