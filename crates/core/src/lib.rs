//! Quorate's state machine.
//!
//! A [`Draft`] is checked once and becomes a [`Plan`]. A [`Run`] follows a plan: something happened goes in as an
//! [`Input`], what follows comes out as [`Entry`]s for the journal, and the state is nothing but the fold of the
//! entries. There are four kinds of calls:
//!
//! - [`Run::start`] and [`Run::load`] make a run, from nothing or from its journal;
//! - [`Run::advance`] takes an input and gives the entries that follow from it;
//! - [`Run::outstanding`], [`Run::next_ready`] and [`Run::wake_at`] say what the run is waiting for;
//! - [`Run::status`], [`Run::tasks`], [`Run::decision`] and [`Run::output`] say how it stands.
//!
//! This crate never reads a clock, rolls dice, spawns, sleeps, or touches a file or a socket. Time comes in with the
//! input, chance is a digest of names, and no map is walked whose order is not fixed: the same inputs give the same
//! entries, byte for byte. No user code is run again to rebuild a state.

mod again;
mod bind;
mod budget;
mod choice;
mod decide;
mod decision;
pub mod draft;
mod event;
mod facts;
mod ids;
mod nearest;
mod outlook;
mod payload;
mod plan;
mod rehearse;
mod run;
mod voices;
mod work;

pub use again::{Again, Differs};
pub use budget::{Exceeded, Limit};
pub use choice::{Choice, ChosenBy, MAX_FAILOVERS, MAX_NAMED, NotChosen, WhyNot};
pub use decide::{Input, MAX_ASKED_FOR, MAX_SIGNALS_WAITING, NOT_BY_ITSELF, Person, Refusal, Reply};
pub use decision::{
    ACTIONS, AUTO_RESOLVE, Contributor, Decision, ESCALATE, HIL_REVIEW, Look, NotTaken, OTHERWISE, Outcome, REJECTED, Rule,
};
pub use draft::{APPROVE, Draft, Role};
pub use event::{
    AgentRef, Answer, Cause, Conclusion, Effect, Entry, Event, Failure, FailureClass, Grower, MAX_TEXT_BYTES, Operand, Parent, Question,
    RunStatus, Said, Signal, Skill, Start, TaskRef, ToolUse, Usage, Verdict,
};
pub use ids::{Digest, Millis, NotA, RunId, Timestamp};
pub use nearest::{Flip, MAX_FLIPS, Needed};
pub use outlook::{CheckpointView, GateView, Place, ThenView};
pub use payload::{BadValue, MAX_INLINE_BYTES, MAX_VALUE_BYTES, Payload};
pub use plan::{MAX_CHECKPOINTS, MAX_DEPENDENCIES, MAX_ID_BYTES, MAX_REPEATS, MAX_TASK_SKILLS, MAX_TASKS, Plan, Problem};
pub use rehearse::{Answered, Answers, Rehearsal, answers, concluded, rehearse};
pub use run::{Asks, Corrupt, Delegation, MAX_INSTANCES, NOBODY, Progress, Run, TaskStatus, TaskView};
pub use voices::{Agreement, Council, Heard, MAX_VOICES, RowLook};
pub use work::{Asker, Child, Offer, Request, Work};
