//! The engine: drives runs over a journal and agents.
//!
//! [`Engine::start`] begins a run, [`Engine::open`] goes on with those that a journal holds. Every run is driven by one
//! task that owns its state: inputs arrive in its mailbox, entries go to the journal, and only what is durable has
//! consequences, as far as the [`Durability`] of the run asks for it. Nothing here decides; the core does.
//!
//! Recovery is not a mode: a run is loaded, told that it was interrupted, and does what is outstanding.

mod clock;
mod drive;
mod engine;
mod probe;
mod slots;
mod speech;
mod stream;
mod traced;

use std::sync::Arc;

use quorate_core::{Decision, Digest, Failure, Payload, Problem, Refusal, RunId, RunStatus};
use quorate_journal::{AppendError, ReadError};

pub use clock::Clock;
pub use engine::{Engine, Opened, Options, Order, RunHandle, Stats, WeakEngine};
pub use speech::{Heard, Listening, MAX_SPEECH_BYTES};
pub use stream::{Follow, FollowRun};

/// What has to be durable before what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// An entry is durable before anything that follows from it starts.
    #[default]
    Strict,
    /// Work goes on while entries are being flushed; decisions, answers and results leave once they are durable.
    Relaxed,
    /// Nothing is kept.
    Memory,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub status: RunStatus,
    /// What it returned, or why that could not be put together.
    pub output: Result<Payload, Failure>,
    /// What it decided.
    pub decision: Option<Arc<Decision>>,
    /// Its last entry.
    pub seq: u64,
}

/// What an engine could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run is not there, or is over.
    #[error("no open run {0}")]
    NoRun(RunId),
    /// A run of this id is open.
    #[error("run {0} is open already")]
    Exists(RunId),
    /// Entries of a run that is not kept went by before anybody listened: see [`Engine::start_followed`].
    #[error("entry {seq} of run {run} is gone: the run is not kept, and has to be followed from its start")]
    NotKept {
        /// The run.
        run: RunId,
        /// The first entry that is gone.
        seq: u64,
    },
    /// What the run is to be about is not what its plan says.
    #[error("the plan `{plan}` cannot begin: {why}")]
    BadStart {
        /// What people call the plan.
        plan: Arc<str>,
        /// What does not fit.
        why: String,
    },
    /// The input was not taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A run follows a plan that the journal does not have.
    #[error("the plan {plan} of run {run} is not known, and not in the journal")]
    PlanGone {
        /// The run.
        run: RunId,
        /// The plan.
        plan: Digest,
    },
    /// A plan in the journal is not one that this version can run.
    #[error("the plan {plan} cannot be used: {}", .problems.first().map(ToString::to_string).unwrap_or_default())]
    BadPlan {
        /// The plan.
        plan: Digest,
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// The journal of a run tells an impossible story.
    #[error(transparent)]
    Corrupt(#[from] quorate_core::Corrupt),
    /// The engine itself failed: a defect. The other runs go on.
    #[error("the engine failed on run {0}, which is a defect of its own; the run goes on when it is opened again")]
    Broken(RunId),
    /// The engine is stopping, or has stopped.
    #[error("the engine is stopping; the run goes on when it is opened again")]
    Stopping,
}
