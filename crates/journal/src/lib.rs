//! Where runs are kept: an append-only record of entries, chained by their digests.
//!
//! [`Journal`] is the whole of what the engine asks of a store. [`MemoryJournal`] keeps everything in memory for tests
//! and experiments, [`SqliteJournal`] keeps it in one file. Both pass the same [`conformance`] suite, and so must any other.
//!
//! A journal never changes or removes an entry, never interprets one beyond its place in the chain, and never repairs
//! what it finds damaged: it says which entry of which run it is. Start at [`Journal`].

mod codec;
pub mod conformance;
mod lock;
mod memory;
mod reader;
mod sqlite;
mod tally;
mod verify;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quorate_core::{Digest, Entry, Payload, RunId, RunStatus, Start, Timestamp};
use tokio::sync::oneshot;

pub use codec::{Line, read_line, write_lines};
pub use lock::FolderLock;
pub use memory::MemoryJournal;
pub use reader::SqliteReader;
pub use sqlite::{SqliteJournal, SqliteOptions};
pub use tally::{AgentTally, RunsTally, Tally, Times};
pub use verify::{Damage, Flaw, Report};

/// A boxed future, for what is not asked often.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A text under its digest, such as a plan.
pub type Text = (Digest, Arc<str>);

/// The end of a run's chain: the last entry and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last entry, 0 before the first.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Head {
    /// What the first entry of a run follows.
    pub const START: Head = Head { seq: 0, digest: Digest::ZERO };
}

/// A store of runs.
pub trait Journal: Send + Sync + fmt::Debug + 'static {
    /// Appends entries to a run after `after`, and keeps the texts that they name: all or nothing. Both are in the
    /// store's hands when this returns, in the order of the calls; the [`Appended`] is done once they are durable, or
    /// refused. A text that is kept already is not kept again, and an append of no entries does nothing at all.
    fn append(&self, run: RunId, after: Head, entries: &[Entry], texts: &[Text]) -> Append;

    /// The text that was kept under a digest.
    fn kept(&self, digest: Digest) -> Asked<'_, Result<Option<Arc<str>>, ReadError>>;

    /// The entries of these runs, in the order asked for. A run that is not there has none.
    fn load(&self, runs: Vec<RunId>) -> Asked<'_, Result<Vec<Loaded>, ReadError>>;

    /// The runs that have not ended, oldest first.
    fn open_runs(&self) -> Asked<'_, Result<Vec<RunId>, ReadError>>;

    /// What is known of the runs that are wanted, from the index: the newest first.
    fn list(&self, wanted: Wanted) -> Asked<'_, Result<Vec<RunInfo>, ReadError>>;

    /// Appends of all runs in the order in which they became durable, after a position.
    fn follow(&self, after: u64, limit: usize) -> Asked<'_, Result<Vec<Record>, ReadError>>;

    /// Checks every entry and every chain.
    fn verify(&self) -> Asked<'_, Result<Report, ReadError>>;

    /// What the store has done since it was opened.
    fn counters(&self) -> Counters;

    /// Waits until everything that was appended is durable.
    fn flush(&self) -> Asked<'_, Result<(), AppendError>>;
}

/// An append on its way.
#[derive(Debug)]
#[must_use = "nothing may follow from the entries before they are durable"]
pub struct Append {
    /// The head of the run if the append succeeds.
    pub head: Head,
    /// Done once the entries are durable.
    pub done: Appended,
}

/// Done once entries are durable.
#[derive(Debug)]
pub struct Appended(State);

#[derive(Debug)]
enum State {
    Ready(Option<Result<(), AppendError>>),
    Waiting(oneshot::Receiver<Result<(), AppendError>>),
}

impl Appended {
    /// An append whose outcome is known.
    pub fn ready(outcome: Result<(), AppendError>) -> Appended {
        Appended(State::Ready(Some(outcome)))
    }

    /// An append whose outcome is sent later.
    pub fn later() -> (oneshot::Sender<Result<(), AppendError>>, Appended) {
        let (sender, receiver) = oneshot::channel();
        (sender, Appended(State::Waiting(receiver)))
    }
}

impl Future for Appended {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(outcome) => Poll::Ready(outcome.take().unwrap_or(Ok(()))),
            State::Waiting(receiver) => Pin::new(receiver).poll(context).map(|outcome| outcome.unwrap_or(Err(AppendError::Closed))),
        }
    }
}

/// A run as the journal has it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The run.
    pub run: RunId,
    /// Its entries, from the first.
    pub entries: Vec<Entry>,
    /// The end of its chain.
    pub head: Head,
}

/// What the index knows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The run.
    pub run: RunId,
    /// What people call its plan.
    pub name: String,
    /// Its plan.
    pub plan: Digest,
    /// Who started it.
    pub by: String,
    /// The run that started it, where none of the people did.
    pub parent: Option<RunId>,
    /// When it began.
    pub started: Timestamp,
    /// How and when it ended, if it has.
    pub ended: Option<(RunStatus, Timestamp)>,
}

impl RunInfo {
    /// What the first entry of a run says of it.
    pub(crate) fn of(run: RunId, at: Timestamp, start: &Start) -> RunInfo {
        let parent = start.started_by();
        RunInfo { run, name: start.name.to_string(), plan: start.plan, by: start.by.to_string(), parent, started: at, ended: None }
    }
}

/// Which runs are listed. What is not said is all the same.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How many at the most.
    pub limit: usize,
    /// Only those whose plan has this name.
    pub name: Option<String>,
    /// Only those that stand so.
    pub stands: Option<Stands>,
    /// Only those that began at this time or later.
    pub since: Option<Timestamp>,
    /// Only those after this one in the list, which begins with the newest: the last one that is known.
    pub after: Option<(Timestamp, RunId)>,
    /// Not those that other runs started.
    pub roots: bool,
}

/// Whether a run has ended, as far as the index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It has not.
    Open,
    /// It has, and so.
    Ended(RunStatus),
}

impl Wanted {
    /// The newest runs.
    #[must_use]
    pub fn newest(limit: usize) -> Wanted {
        Wanted { limit, name: None, stands: None, since: None, after: None, roots: false }
    }

    /// Whether this run is among them, were there no limit.
    pub(crate) fn has(&self, info: &RunInfo) -> bool {
        let stands = info.ended.map_or(Stands::Open, |(status, _)| Stands::Ended(status));
        self.name.as_ref().is_none_or(|name| *name == info.name)
            && self.stands.is_none_or(|wanted| wanted == stands)
            && self.since.is_none_or(|since| info.started >= since)
            && self.after.is_none_or(|after| (info.started, info.run) < after)
            && !(self.roots && info.parent.is_some())
    }
}

/// One append, as it stands in the order of all runs.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its place in the order of all runs, counted from 1.
    pub position: u64,
    /// The run.
    pub run: RunId,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries that became durable.
    pub entries: u64,
    /// Appends that became durable.
    pub appends: u64,
    /// Transactions.
    pub commits: u64,
    /// Times that the disk was asked to flush on the way of a commit.
    pub flushes: u64,
    /// Times that the log was copied into the main file, off the way of commits.
    pub checkpoints: u64,
}

/// Entries that were not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else extended this journal; load the run and decide again.
    #[error("run {run} is already at entry {actual}, not {expected}")]
    Conflict {
        /// The run.
        run: RunId,
        /// Where the caller thought it was.
        expected: u64,
        /// Where it is.
        actual: u64,
    },
    /// The store failed; nothing follows from this append, and the next one begins where the last good one ended.
    #[error("could not append to the journal of run {run}")]
    Storage {
        /// The run.
        run: RunId,
        /// What the store said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The journal is closed; whether this append was kept shows when it is opened again.
    #[error("the journal is closed")]
    Closed,
}

/// A journal that could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// What is there cannot be what was written.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// The store failed.
    #[error("could not read the journal: {doing}")]
    Storage {
        /// What was attempted.
        doing: &'static str,
        /// What the store said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
}

/// A journal that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the data folder {folder} is in use by process {pid}")]
    Owned {
        /// The folder.
        folder: PathBuf,
        /// The process.
        pid: String,
    },
    /// The folder cannot be used.
    #[error("could not use the data folder {folder}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a journal, or one that this version does not know.
    #[error("{file} is not a journal that this version can read: {why}")]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The store failed.
    #[error("could not open the journal {file}")]
    Storage {
        /// The file.
        file: PathBuf,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The long values of entries, each with its digest.
pub(crate) fn long_values(entries: &[Entry]) -> impl Iterator<Item = (Digest, &Payload)> {
    entries.iter().flat_map(|entry| entry.event.long_payloads()).filter_map(|payload| Some((payload.kept_apart()?, payload)))
}
