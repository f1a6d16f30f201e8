//! The simulator: a random plan, a random world around it, crashes at every append, and invariants after every entry.
//!
//! Everything comes from one seed: the plan, what agents and people do and when, which messages come twice or late,
//! and when the engine dies. Time is virtual. The same seed gives the same journal, byte for byte; [`check`] runs
//! every seed twice to prove it. The invariants are stated in [`Watch`], which knows nothing of the state machine but
//! its entries and the draft of the plan. A simulator knows only what it asserts: add the invariant with the fix.

mod chance;
mod crowd;
mod plans;
mod policies;
mod storm;
mod watch;
mod world;

pub use chance::Chance;
pub use crowd::{MAX_PASSED, Served, crowd};
pub use storm::{Weathered, weather};
pub use watch::Watch;
pub use world::{Outcome, play};

/// Plays a seed twice: a run in a random world.
///
/// # Errors
/// What was wrong, with the story that led to it.
pub fn check(seed: u64) -> Result<Outcome, String> {
    let first = play(seed)?;
    let second = play(seed)?;
    same(seed, &first.trace, &second.trace)?;
    Ok(first)
}

/// Plays a seed twice: the whole engine in a storm.
///
/// # Errors
/// What was wrong, with the story that led to it.
pub fn check_engine(seed: u64) -> Result<Weathered, String> {
    let first = weather(seed)?;
    let second = weather(seed)?;
    same(seed, &first.trace, &second.trace)?;
    Ok(first)
}

/// Plays a seed twice: many tasks, many agents.
///
/// # Errors
/// What was wrong.
pub fn check_crowd(seed: u64) -> Result<Served, String> {
    let first = crowd(seed)?;
    let second = crowd(seed)?;
    same(seed, &first.trace, &second.trace)?;
    Ok(first)
}

fn same(seed: u64, first: &str, second: &str) -> Result<(), String> {
    let Some(line) = first.lines().zip(second.lines()).position(|(first, second)| first != second) else {
        return if first == second { Ok(()) } else { Err(format!("seed {seed}: two runs of the same seed differ in length")) };
    };
    let shown = |text: &str| text.lines().nth(line).unwrap_or_default().to_owned();
    Err(format!("seed {seed}: two runs of the same seed differ at entry {}:\n{}\n{}", line + 1, shown(first), shown(second)))
}
