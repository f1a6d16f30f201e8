//! Damage, by name.

use std::fmt;

use quorate_core::{Digest, RunId};

/// Something that cannot be what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The run, where it can be told.
    pub run: Option<RunId>,
    /// The entry, where it can be told.
    pub seq: Option<u64>,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with an entry, a run, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not what its successor, or the record of its commit, says it was.
    Changed,
    /// It cannot be read.
    Unreadable(String),
    /// It is gone; the next one that is there is this.
    Missing {
        /// The next entry.
        next: u64,
    },
    /// The run ends here, but went on to this entry.
    CutOff {
        /// The last entry that was committed.
        committed: u64,
    },
    /// The whole run is gone.
    RunGone,
    /// An entry names a value that is gone.
    ValueGone(Digest),
    /// A value is not what its name says.
    ValueChanged(Digest),
    /// The record of commits is broken at this one.
    Commit(u64),
    /// There are entries that no commit knows.
    Uncommitted,
    /// An append does not stand where it was written in the order of all runs.
    Order {
        /// Its place.
        position: u64,
    },
    /// The index does not say what the entries say.
    Index(&'static str),
    /// The file itself is damaged.
    File(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.run, self.seq) {
            (Some(run), Some(seq)) => write!(f, "run {run}, entry {seq}: ")?,
            (Some(run), None) => write!(f, "run {run}: ")?,
            (None, _) => {}
        }
        match &self.flaw {
            Flaw::Changed => f.write_str("it was changed after it was written"),
            Flaw::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Flaw::Missing { next } => write!(f, "it is missing; the next one that is there is {next}"),
            Flaw::CutOff { committed } => write!(f, "it is missing, and so is what followed up to entry {committed}"),
            Flaw::RunGone => f.write_str("all of its entries are missing"),
            Flaw::ValueGone(digest) => write!(f, "its value {digest} is missing"),
            Flaw::ValueChanged(digest) => write!(f, "its value {digest} was changed"),
            Flaw::Commit(commit) => write!(f, "commit {commit} was changed or is missing"),
            Flaw::Uncommitted => f.write_str("it is there, but no commit wrote it"),
            Flaw::Order { position } => write!(f, "append {position} does not stand where it was written"),
            Flaw::Index(what) => write!(f, "the index {what}; it can be rebuilt from the entries"),
            Flaw::File(why) => write!(f, "the file is damaged: {why}"),
        }
    }
}

/// What a check of a whole journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs looked at.
    pub runs: u64,
    /// Entries looked at.
    pub entries: u64,
    /// Values looked at.
    pub values: u64,
    /// Commits looked at.
    pub commits: u64,
    /// The digest of the last commit. Kept elsewhere, it also shows when the end of a journal was cut off as a whole.
    pub seal: Option<Digest>,
    /// What is wrong.
    pub damage: Vec<Damage>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}
