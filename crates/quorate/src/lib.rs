//! Quorate coordinates many agents and turns what they say into one decision that can be explained, proved and replayed.
//!
//! This crate is what programs depend on: it gives the parts of the engine one name each.
//! README.md has a first example, ARCHITECTURE.md the map. Start at [`Engine`].

pub mod ask;
pub mod desk;
pub mod host;
pub mod intake;
#[cfg(feature = "recon")]
pub mod recon;
mod servers;
pub mod skills;

/// The example in README.md is compiled and run like any other.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub use quorate_agents::{
    Agent, AgentTools, Allowance, Api, Ask, BreakerRule, BreakerState, Call, Cancel, Doing, Endpoint, MAX_REST, MAX_SKILL_FILES,
    MAX_SKILL_FILES_BYTES, MAX_SKILL_TEXT_BYTES, Mode, Model, NOT_STARTED, NOT_STARTED_MARK, NoCandidate, Outcome, Overview,
    PLACES_PER_LEVEL, Picked, Place, Prices, Program, Prompt, Reach, Registry, RegistryStats, STANDARD, Secret, Service, Shelf, SkillFile,
    SkillText, Slate, Tool, ToolAnswer, Toolbox, Voice, Worker, files_of, standard,
};
#[cfg(feature = "mcp")]
pub use quorate_agents::{McpPlace, McpServer, McpTools};
pub use quorate_core::*;
pub use quorate_expr as expr;
pub use quorate_journal::{
    AgentTally, Append, AppendError, Appended, Asked, Counters, Damage, Flaw, FolderLock, Head, Journal, Line, Loaded, MemoryJournal,
    OpenError, ReadError, Record, Report, RunInfo, RunsTally, SqliteJournal, SqliteOptions, SqliteReader, Stands, Tally, Text, Times,
    Wanted, read_line, write_lines,
};
pub use quorate_project as project;
pub use quorate_runtime::{
    Clock, Durability, Ended, Engine, Error, Follow, FollowRun, Heard, Listening, MAX_SPEECH_BYTES, Opened, Options, Order, RunHandle,
    Stats, WeakEngine,
};
