//! The decision of a run, with all that is needed to check it.

use std::fmt;
use std::sync::Arc;

use quorate_expr::{Decimal, Truth};
use serde::{Deserialize, Serialize};

use crate::Payload;
use crate::event::{AgentRef, Operand, TaskRef};
use crate::voices::Council;

/// The decision when nothing else decided, and whenever what was seen is not enough.
pub const HIL_REVIEW: &str = "HIL_REVIEW";
/// The decision that needs nobody any more.
pub const AUTO_RESOLVE: &str = "AUTO_RESOLVE";
/// The decision that asks people who decide more.
pub const ESCALATE: &str = "ESCALATE";
/// What stands behind a checkpoint that stays unknown, where no other checkpoint does.
pub const OTHERWISE: &str = "otherwise";
/// The decision that nothing is to be done.
pub const REJECTED: &str = "REJECTED";
/// The actions that every plan knows.
pub const ACTIONS: [&str; 4] = [AUTO_RESOLVE, HIL_REVIEW, ESCALATE, REJECTED];

/// What was decided, on what, and why nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is to be done.
    pub action: String,
    /// The confidence that was observed, not the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Decimal>,
    /// What decided.
    pub rule: Rule,
    /// Why, in the words of whoever wrote the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What goes with the action, for whoever carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Payload>,
    /// Where voices decided together: what was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub council: Option<Box<Council>>,
    /// Every checkpoint that was looked at, with what it saw.
    pub looks: Vec<Look>,
    /// Whose output was there.
    pub contributors: Vec<Contributor>,
    /// The actions that were not taken.
    pub not_taken: Vec<NotTaken>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A checkpoint that holds.
    Checkpoint(Arc<str>),
    /// A checkpoint handed the decision to a task, which took it.
    Followed {
        /// The checkpoint.
        checkpoint: Arc<str>,
        /// The task.
        task: TaskRef,
    },
    /// A checkpoint handed the decision to a task whose answer is no action of this plan.
    NotFollowed {
        /// The checkpoint.
        checkpoint: Arc<str>,
        /// The task.
        task: TaskRef,
        /// What is wrong with the answer.
        why: String,
    },
    /// A checkpoint that stays unknown stands before one that holds.
    Unknown {
        /// The one that is unknown.
        checkpoint: Arc<str>,
        /// The one that holds.
        behind: Arc<str>,
    },
    /// What voices came to together.
    Voices {
        /// The checkpoint that weighs them.
        checkpoint: Arc<str>,
        /// What they came to, in a few words.
        how: String,
    },
    /// A checkpoint holds, but what goes with its action cannot be put together.
    Incomplete {
        /// The checkpoint.
        checkpoint: Arc<str>,
        /// What is missing.
        why: String,
    },
    /// It would have been resolved by itself, but something is missing that this takes.
    Doubt {
        /// What is missing.
        why: String,
    },
    /// The run had no time left.
    OutOfTime,
    /// Something failed that the run cannot do without.
    Failed {
        /// The task.
        task: TaskRef,
    },
    /// Nothing decided.
    Otherwise,
}

impl Decision {
    /// Whether another one is the same decision, on the same ground. How that is put into words may differ from version to version.
    #[must_use]
    pub fn agrees_with(&self, other: &Decision) -> bool {
        let came_to = |decision: &Decision| decision.council.as_ref().map(|council| (council.score, council.voices.len()));
        self.action == other.action
            && self.confidence == other.confidence
            && self.with == other.with
            && self.rule.ground() == other.rule.ground()
            && came_to(self) == came_to(other)
    }
}

impl Rule {
    /// The checkpoint that decided, if one did.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        match self {
            Rule::Checkpoint(id) => Some(id),
            Rule::Followed { checkpoint, .. }
            | Rule::NotFollowed { checkpoint, .. }
            | Rule::Voices { checkpoint, .. }
            | Rule::Incomplete { checkpoint, .. } => Some(checkpoint),
            Rule::Unknown { .. } | Rule::Doubt { .. } | Rule::OutOfTime | Rule::Failed { .. } | Rule::Otherwise => None,
        }
    }

    /// What decided, without the words.
    fn ground(&self) -> (std::mem::Discriminant<Rule>, Option<&str>, Option<&str>) {
        let (first, second) = match self {
            Rule::Checkpoint(checkpoint) => (Some(&**checkpoint), None),
            Rule::Followed { checkpoint, task } | Rule::NotFollowed { checkpoint, task, .. } => (Some(&**checkpoint), Some(task.id())),
            Rule::Unknown { checkpoint, behind } => (Some(&**checkpoint), Some(&**behind)),
            Rule::Voices { checkpoint, .. } | Rule::Incomplete { checkpoint, .. } => (Some(&**checkpoint), None),
            Rule::Failed { task } => (None, Some(task.id())),
            Rule::Doubt { .. } | Rule::OutOfTime | Rule::Otherwise => (None, None),
        };
        (std::mem::discriminant(self), first, second)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Checkpoint(checkpoint) => write!(f, "{checkpoint} holds"),
            Rule::Followed { checkpoint, task } => write!(f, "{checkpoint} holds, and {} says so", task.id()),
            Rule::NotFollowed { checkpoint, task, why } => write!(f, "{checkpoint} holds, and {} was to say it, but {why}", task.id()),
            Rule::Unknown { checkpoint, behind } if **behind == *OTHERWISE => {
                write!(f, "{checkpoint} is unknown, and nothing else decided")
            }
            Rule::Unknown { checkpoint, behind } => write!(f, "{checkpoint} is unknown, and stands before {behind}, which holds"),
            Rule::Voices { checkpoint, how } => write!(f, "{checkpoint}: {how}"),
            Rule::Incomplete { checkpoint, why } => write!(f, "{checkpoint} holds, but what goes with it is not known: {why}"),
            Rule::Doubt { why } => write!(f, "{why}, and without that nothing is resolved by itself"),
            Rule::OutOfTime => f.write_str("there was no time left"),
            Rule::Failed { task } => write!(f, "{} failed, without which nothing is decided", task.id()),
            Rule::Otherwise => f.write_str("nothing else decided"),
        }
    }
}

/// A checkpoint that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Its name.
    pub checkpoint: Arc<str>,
    /// Its condition.
    pub condition: String,
    /// What it found.
    pub outcome: Outcome,
    /// What it saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operands: Vec<Operand>,
}

/// What a checkpoint found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// A value is missing.
    Unknown,
}

impl From<Truth> for Outcome {
    fn from(truth: Truth) -> Outcome {
        match truth {
            Truth::True => Outcome::Holds,
            Truth::False => Outcome::Fails,
            Truth::Unknown(_) => Outcome::Unknown,
        }
    }
}

/// A task whose output was there when the decision was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contributor {
    /// The task.
    pub task: TaskRef,
    /// Who did it.
    pub agent: Arc<AgentRef>,
}

/// An action that was not taken, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotTaken {
    /// The action.
    pub action: String,
    /// Why it was not taken.
    pub why: String,
}
