//! The simulator: a random plan, a random world around it, crashes at every append, and invariants after every entry.
//!
//! Everything comes from one seed: the plan, what agents and people do and when, which messages come twice or late,
//! and when the engine dies. Time is virtual. The same seed gives the same journal, byte for byte; [`check`] runs
//! every seed twice to prove it. The invariants are stated in [`Watch`], which knows nothing of the state machine but
//! its entries and the draft of the plan. A simulator knows only what it asserts: add the invariant with the fix.

mod chance;
mod plans;
mod watch;
mod world;

pub use chance::Chance;
pub use watch::Watch;
pub use world::{Outcome, play};

/// Plays a seed twice.
///
/// # Errors
/// What was wrong, with the story that led to it.
pub fn check(seed: u64) -> Result<Outcome, String> {
    let first = play(seed)?;
    let second = play(seed)?;
    if first.trace != second.trace {
        return Err(format!("seed {seed}: two runs of the same seed differ"));
    }
    Ok(first)
}
