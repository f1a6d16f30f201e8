//! The journal in one SQLite file.
//!
//! One thread writes. It takes everything that is queued, commits it as one transaction, and tells those who wait:
//! however many runs append at once, they share one flush. A second thread copies the log into the main file, so that
//! no commit has to. A third one reads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quorate_core::{Digest, Entry, Event, RunId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::oneshot;

use crate::codec;
use crate::reader::{bytes_of, index, seal_of, storage, write_head};
use crate::{
    Append, AppendError, Appended, Asked, Counters, Flaw, FolderLock, Head, Journal, Loaded, OpenError, ReadError, Record, Report, RunInfo,
    SqliteReader, Text, Wanted,
};

pub(crate) const FILE: &str = "journal.db";
/// "Qrt1": tells a journal from other databases.
pub(crate) const APPLICATION_ID: i64 = 0x5172_7431;
/// Grows when older versions can no longer read what is written.
pub(crate) const FORMAT: i64 = 2;
/// Most appends that share a commit.
const MAX_BATCH: usize = 4_096;
/// How long a commit is tried again, where what is wrong may pass by.
const PATIENCE: Duration = Duration::from_secs(10);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Bytes of log after which it is copied into the main file.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;
/// How often the helper goes on copying what was written while it copied, and how few pages are not worth it.
const MAX_COPIES: u32 = 3;
const FEW_PAGES: i64 = 128;
/// How long the writer stays awake after a commit.
const STAY_AWAKE: Duration = Duration::from_micros(50);
/// Pages that a commit writes besides those that its entries fill: the ends of the tables and of their indexes.
const PAGES_PER_COMMIT: u64 = 3;
const PAGE_BYTES: u64 = 4_096;
/// Bytes of log after which the writer helps, so that the log cannot grow without end while there is no pause.
const MAX_LOG_BYTES: u64 = 256 * 1024 * 1024;

const SCHEMA: &str = "
    CREATE TABLE appends (position INTEGER PRIMARY KEY, run BLOB NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE UNIQUE INDEX appends_by_run ON appends (run, seq);
    CREATE TABLE commits (number INTEGER PRIMARY KEY, heads BLOB NOT NULL, seal BLOB NOT NULL);
    CREATE TABLE kept (digest BLOB PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE runs (run BLOB NOT NULL, name TEXT NOT NULL, plan BLOB NOT NULL, by TEXT NOT NULL, parent BLOB,
        started INTEGER NOT NULL, status TEXT, ended INTEGER, PRIMARY KEY (started, run)) WITHOUT ROWID;
    CREATE INDEX runs_open ON runs (run) WHERE ended IS NULL;
";

/// How a journal is kept.
#[derive(Clone, Debug, Default)]
pub struct SqliteOptions {
    /// Whether commits are handed to the system without a flush. Survives a killed process, not a power cut.
    pub unflushed: bool,
}

/// A journal in the file `journal.db` of a folder that this process owns.
#[derive(Debug)]
pub struct SqliteJournal {
    folder: PathBuf,
    writer: Option<Sender<Order>>,
    reader: Option<Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
    counters: Arc<SharedCounters>,
    _lock: FolderLock,
}

#[derive(Debug, Default)]
struct SharedCounters {
    entries: AtomicU64,
    appends: AtomicU64,
    commits: AtomicU64,
    flushes: AtomicU64,
    checkpoints: AtomicU64,
}

#[derive(Debug)]
enum Order {
    Append(Box<Appending>),
    Flush(oneshot::Sender<Result<(), AppendError>>),
}

#[derive(Debug)]
struct Appending {
    run: RunId,
    after: Head,
    head: Head,
    entries: u64,
    body: String,
    texts: Vec<Text>,
    /// The first and the last entry where they begin or end the run: the index wants to know.
    marks: Vec<Entry>,
    done: oneshot::Sender<Result<(), AppendError>>,
}

type Question = Box<dyn FnOnce(&SqliteReader) + Send>;

impl SqliteJournal {
    /// Opens the journal of a data folder, making both where they are not there, and owns it until it is dropped.
    ///
    /// # Errors
    /// [`OpenError`]: another process owns the folder, or the file is not a journal.
    pub fn open(folder: &Path, options: &SqliteOptions) -> Result<SqliteJournal, OpenError> {
        let lock = FolderLock::take(folder)?;
        let file = folder.join(FILE);
        let failed = |source: rusqlite::Error| OpenError::Storage { file: file.clone(), source: source.into() };
        let connection = Connection::open(&file).map_err(failed)?;
        let existed = !is_blank(&connection);
        if existed {
            SqliteReader::open(folder)?;
        }
        let flush = if options.unflushed { "NORMAL" } else { "FULL" };
        let settings =
            format!("PRAGMA journal_mode=WAL; PRAGMA synchronous={flush}; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-65536;");
        connection.execute_batch(&settings).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        // Otherwise a statement is made anew for every value that is bound to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
        if !existed {
            let marks = format!("PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT};");
            connection.execute_batch(&format!("BEGIN; {SCHEMA} {marks} COMMIT;")).map_err(failed)?;
        }
        let reader = SqliteReader::open(folder)?;
        let checkpointing = Connection::open(&file).map_err(failed)?;
        checkpointing.execute_batch(&format!("PRAGMA synchronous={flush};")).map_err(failed)?;

        let counters = Arc::new(SharedCounters::default());
        let (orders, writer_inbox) = channel();
        let (questions, reader_inbox) = channel::<Question>();
        let (nudge, nudges) = sync_channel(1);
        let copied = Arc::new(AtomicBool::new(false));
        let mut writer = Writer::new(connection, options, counters.clone(), Copying { nudge, copied: copied.clone() }, &file)?;
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let folder = folder.to_owned();
            std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|source| OpenError::Folder { folder, source })
        };
        let checkpoint_counters = counters.clone();
        let threads = vec![
            spawn("journal-write", Box::new(move || writer.run(&writer_inbox)))?,
            spawn("journal-copy", Box::new(move || checkpoint_when_nudged(&checkpointing, &nudges, &copied, &checkpoint_counters)))?,
            spawn("journal-read", Box::new(move || reader_inbox.into_iter().for_each(|question| question(&reader))))?,
        ];
        Ok(SqliteJournal { folder: folder.to_owned(), writer: Some(orders), reader: Some(questions), threads, counters, _lock: lock })
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the index anew from the entries.
    ///
    /// # Errors
    /// [`ReadError`] where an entry cannot be read, or the index not be written; the old index is then still there.
    pub fn rebuild_index(folder: &Path) -> Result<u64, ReadError> {
        let _lock =
            FolderLock::take(folder).map_err(|wrong| ReadError::Storage { doing: "taking the data folder", source: Arc::new(wrong) })?;
        let doing = "rebuilding the index";
        let reader = SqliteReader::open(folder).map_err(|wrong| ReadError::Storage { doing, source: Arc::new(wrong) })?;
        let damage = reader.verify()?.damage.into_iter().find(|damage| !matches!(damage.flaw, Flaw::Index(_)));
        if let Some(damage) = damage {
            // An index of what is damaged would hide it.
            return Err(ReadError::Damaged(damage));
        }
        let mut connection = Connection::open(folder.join(FILE)).map_err(|wrong| storage(doing, wrong))?;
        let transaction = connection.transaction().map_err(|wrong| storage(doing, wrong))?;
        transaction.execute("DELETE FROM runs", []).map_err(|wrong| storage(doing, wrong))?;
        let (mut after, mut runs) = (0, 0);
        loop {
            let records = reader.follow(after, MAX_BATCH)?;
            let Some(last) = records.last() else { break };
            after = last.position;
            for record in &records {
                for entry in &record.entries {
                    runs += u64::from(matches!(entry.event, Event::RunStarted(_)));
                    index(&transaction, record.run, entry).map_err(|wrong| storage(doing, wrong))?;
                }
            }
        }
        transaction.commit().map_err(|wrong| storage(doing, wrong))?;
        Ok(runs)
    }

    fn order(&self, order: Order) {
        // A writer that is gone drops the order, and whoever waits for it learns that the journal is closed.
        if let Some(writer) = &self.writer {
            let _ = writer.send(order);
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&SqliteReader) -> Result<T, ReadError> + Send + 'static,
    ) -> Asked<'_, Result<T, ReadError>> {
        let (sender, receiver) = oneshot::channel();
        let question: Question = Box::new(move |reader| {
            // Whoever asked may not want to know any more.
            let _ = sender.send(question(reader));
        });
        if let Some(reader) = &self.reader {
            let _ = reader.send(question);
        }
        Box::pin(async move { receiver.await.unwrap_or(Err(ReadError::Closed)) })
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.writer = None;
        self.reader = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Journal for SqliteJournal {
    fn append(&self, run: RunId, after: Head, entries: &[Entry], texts: &[Text]) -> Append {
        if entries.is_empty() {
            return Append { head: after, done: Appended::ready(Ok(())) };
        }
        let (body, head) = codec::write_lines(after, entries);
        let values = crate::long_values(entries).map(|(digest, value)| (digest, value.json().into()));
        let texts = values.chain(texts.iter().cloned()).collect();
        let marks = entries.iter().filter(|entry| matches!(entry.event, Event::RunStarted(_) | Event::RunEnded { .. })).cloned().collect();
        let (sender, done) = Appended::later();
        let appending = Appending { run, after, head, entries: entries.len() as u64, body, texts, marks, done: sender };
        self.order(Order::Append(Box::new(appending)));
        Append { head, done }
    }

    fn kept(&self, digest: Digest) -> Asked<'_, Result<Option<Arc<str>>, ReadError>> {
        self.ask(move |reader| reader.kept(digest).map(|text| text.map(Into::into)))
    }

    fn load(&self, runs: Vec<RunId>) -> Asked<'_, Result<Vec<Loaded>, ReadError>> {
        self.ask(move |reader| runs.into_iter().map(|run| reader.load(run)).collect())
    }

    fn open_runs(&self) -> Asked<'_, Result<Vec<RunId>, ReadError>> {
        self.ask(SqliteReader::open_runs)
    }

    fn list(&self, wanted: Wanted) -> Asked<'_, Result<Vec<RunInfo>, ReadError>> {
        self.ask(move |reader| reader.list(&wanted))
    }

    fn follow(&self, after: u64, limit: usize) -> Asked<'_, Result<Vec<Record>, ReadError>> {
        self.ask(move |reader| reader.follow(after, limit))
    }

    fn verify(&self) -> Asked<'_, Result<Report, ReadError>> {
        // It takes a while: others who read do not wait behind it.
        let (sender, receiver) = oneshot::channel();
        let folder = self.folder.clone();
        std::thread::spawn(move || {
            let doing = "opening it once more";
            let reader = SqliteReader::open(&folder).map_err(|wrong| ReadError::Storage { doing, source: Arc::new(wrong) });
            // Whoever asked may not want to know any more.
            let _ = sender.send(reader.and_then(|reader| reader.verify()));
        });
        Box::pin(async move { receiver.await.unwrap_or(Err(ReadError::Closed)) })
    }

    fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            entries: read(&self.counters.entries),
            appends: read(&self.counters.appends),
            commits: read(&self.counters.commits),
            flushes: read(&self.counters.flushes),
            checkpoints: read(&self.counters.checkpoints),
        }
    }

    fn flush(&self) -> Asked<'_, Result<(), AppendError>> {
        let (sender, receiver) = oneshot::channel();
        self.order(Order::Flush(sender));
        Box::pin(async move { receiver.await.unwrap_or(Err(AppendError::Closed)) })
    }
}

/// Whether nothing was ever written: the file is new, or whoever made it died before the first commit.
fn is_blank(connection: &Connection) -> bool {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    matches!((number("PRAGMA application_id"), number("SELECT COUNT(*) FROM sqlite_schema")), (Ok(0), Ok(0)))
}

/// How the writer has the log copied into the main file. A helper copies nearly all of it while commits go on; the
/// writer copies the rest between two commits, so that the log starts over and its blocks are used again. A log that
/// only grows costs every flush the recording of its new length.
struct Copying {
    nudge: SyncSender<()>,
    copied: Arc<AtomicBool>,
}

struct Writer {
    connection: Connection,
    flushed: bool,
    counters: Arc<SharedCounters>,
    copying: Copying,
    /// The heads of runs that are open, as far as this writer has met them.
    heads: HashMap<RunId, Head>,
    position: i64,
    commit: u64,
    seal: Digest,
    log_bytes: u64,
    /// Whether the last commit went well, so that one that fails is worth waiting for.
    patient: bool,
}

impl Writer {
    fn new(
        connection: Connection,
        options: &SqliteOptions,
        counters: Arc<SharedCounters>,
        copying: Copying,
        file: &Path,
    ) -> Result<Writer, OpenError> {
        let failed = |source: rusqlite::Error| OpenError::Storage { file: file.to_owned(), source: source.into() };
        let position = connection.query_row("SELECT COALESCE(MAX(position), 0) FROM appends", [], |row| row.get(0)).map_err(failed)?;
        let last = connection
            .query_row("SELECT number, seal FROM commits ORDER BY number DESC LIMIT 1", [], |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), Digest(row.get(1)?)))
            })
            .optional()
            .map_err(failed)?;
        let (commit, seal) = last.unwrap_or((0, Digest::ZERO));
        let flushed = !options.unflushed;
        Ok(Writer { connection, flushed, counters, copying, heads: HashMap::new(), position, commit, seal, log_bytes: 0, patient: true })
    }

    fn run(&mut self, inbox: &Receiver<Order>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while let Some(first) = next_order(inbox) {
            batch.push(first);
            batch.extend(inbox.try_iter().take(MAX_BATCH - 1));
            self.commit_batch(&mut batch);
        }
    }

    /// Commits a batch. What may pass by (another process at the file, a full disk) is waited for; where an append is at
    /// fault, only that one is refused.
    fn commit_batch(&mut self, batch: &mut Vec<Order>) {
        let begun = Instant::now();
        loop {
            let wrong = match self.try_batch(batch) {
                Ok(outcomes) => {
                    self.patient = true;
                    break answer(batch, outcomes);
                }
                Err(wrong) => wrong,
            };
            let passes = may_pass(&wrong);
            if passes && self.patient && begun.elapsed() < PATIENCE {
                std::thread::sleep(TRY_AGAIN_AFTER);
            } else if !passes && batch.len() > 1 {
                for order in std::mem::take(batch) {
                    self.commit_batch(&mut vec![order]);
                }
                break;
            } else {
                // Whoever comes next is refused at once, until the disk has recovered.
                self.patient = !passes;
                break refuse(batch, &Arc::new(wrong));
            }
        }
        self.copy_log();
    }

    fn try_batch(&mut self, batch: &[Order]) -> rusqlite::Result<Vec<Result<(), AppendError>>> {
        let before = (self.position, self.commit, self.seal);
        let mut replaced: Vec<(RunId, Option<Head>)> = Vec::new();
        let outcomes = self.write(batch, &mut replaced);
        if outcomes.is_err() {
            // A transaction that failed may be open still; if it is not, this fails and changes nothing.
            let _ = self.connection.execute_batch("ROLLBACK");
            (self.position, self.commit, self.seal) = before;
            for (run, head) in replaced.into_iter().rev() {
                match head {
                    Some(head) => self.heads.insert(run, head),
                    None => self.heads.remove(&run),
                };
            }
        }
        outcomes
    }

    /// Writes a batch as one transaction, and says which of its appends were refused.
    fn write(&mut self, batch: &[Order], replaced: &mut Vec<(RunId, Option<Head>)>) -> rusqlite::Result<Vec<Result<(), AppendError>>> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut changed = Vec::new();
        let (mut entries, mut appends) = (0, 0);
        for order in batch {
            let outcome = match order {
                Order::Flush(_) => Ok(()),
                Order::Append(append) => match self.append(append)? {
                    None => {
                        replaced.push((append.run, self.heads.insert(append.run, append.head)));
                        changed.push(append.run);
                        entries += append.entries;
                        appends += 1;
                        Ok(())
                    }
                    Some(actual) => Err(AppendError::Conflict { run: append.run, expected: append.after.seq, actual: actual.seq }),
                },
            };
            outcomes.push(outcome);
        }
        if !changed.is_empty() {
            self.seal(&mut changed)?;
        }
        self.connection.execute_batch("COMMIT")?;
        for order in batch {
            if let Order::Append(append) = order
                && append.marks.iter().any(|mark| matches!(mark.event, Event::RunEnded { .. }))
            {
                self.heads.remove(&append.run);
            }
        }
        self.counters.entries.fetch_add(entries, Ordering::Relaxed);
        self.counters.appends.fetch_add(appends, Ordering::Relaxed);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.flushes.fetch_add(u64::from(self.flushed), Ordering::Relaxed);
        self.log_bytes += PAGES_PER_COMMIT * PAGE_BYTES;
        Ok(outcomes)
    }

    /// Writes an append where it follows the head of its run; else that is given.
    fn append(&mut self, append: &Appending) -> rusqlite::Result<Option<Head>> {
        let known = self.heads.get(&append.run).copied();
        // A run that begins is not looked for: nearly always it is new, and where it is not, the index of the table says so.
        let begins = known.is_none() && append.after == Head::START;
        if !begins {
            let actual = known.map_or_else(|| self.head_on_disk(append.run), Ok)?;
            if actual != append.after {
                return Ok(Some(actual));
            }
        }
        match self.insert(append) {
            Err(wrong) if begins && wrong.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                let actual = self.head_on_disk(append.run)?;
                if actual == Head::START {
                    return Err(wrong);
                }
                self.position -= 1;
                Ok(Some(actual))
            }
            inserted => inserted.map(|()| None),
        }
    }

    fn head_on_disk(&self, run: RunId) -> rusqlite::Result<Head> {
        let sql = "SELECT body FROM appends WHERE run = ?1 ORDER BY seq DESC LIMIT 1";
        let last: Option<String> = self.connection.prepare_cached(sql)?.query_row([bytes_of(run)], |row| row.get(0)).optional()?;
        let line = last.as_deref().and_then(|body| body.rsplit('\n').next());
        let head = line.and_then(|line| Some(Head { seq: codec::read_line(line).ok()?.seq, digest: Digest::of(line.as_bytes()) }));
        Ok(head.unwrap_or(Head::START))
    }

    fn insert(&mut self, append: &Appending) -> rusqlite::Result<()> {
        for (digest, text) in &append.texts {
            self.keep(*digest, text)?;
        }
        self.position += 1;
        let sql = "INSERT INTO appends (position, run, seq, body) VALUES (?1, ?2, ?3, ?4)";
        let first = i64::try_from(append.after.seq + 1).unwrap_or(i64::MAX);
        self.connection.prepare_cached(sql)?.execute(params![self.position, bytes_of(append.run), first, append.body])?;
        self.log_bytes += append.body.len() as u64 + 128;
        append.marks.iter().try_for_each(|mark| index(&self.connection, append.run, mark))
    }

    fn keep(&self, digest: Digest, text: &str) -> rusqlite::Result<()> {
        let sql = "INSERT OR IGNORE INTO kept (digest, body) VALUES (?1, ?2)";
        self.connection.prepare_cached(sql)?.execute(params![digest.0, text]).map(drop)
    }

    /// Records the heads that a commit moves, chained to the commit before: what was once committed cannot vanish unnoticed.
    fn seal(&mut self, changed: &mut Vec<RunId>) -> rusqlite::Result<()> {
        changed.sort_unstable();
        changed.dedup();
        let mut heads = Vec::with_capacity(changed.len() * 56);
        for run in changed {
            write_head(&mut heads, *run, self.heads[run]);
        }
        self.commit += 1;
        self.seal = seal_of(self.seal, self.commit, &heads);
        let number = i64::try_from(self.commit).unwrap_or(i64::MAX);
        let sql = "INSERT INTO commits (number, heads, seal) VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute(params![number, heads, self.seal.0]).map(drop)
    }

    fn copy_log(&mut self) {
        let helped = self.copying.copied.swap(false, Ordering::AcqRel);
        if helped || self.log_bytes > MAX_LOG_BYTES {
            checkpoint(&self.connection, &self.counters);
            self.log_bytes = 0;
        } else if self.log_bytes > CHECKPOINT_BYTES {
            // A helper that is at it already needs no second nudge.
            let _ = self.copying.nudge.try_send(());
        }
    }
}

/// The next order; `None` once the journal is closed. A thread that sleeps takes longer to wake than a run takes to
/// answer a commit with its next step, so the writer stays awake for about half a flush before it goes to sleep.
fn next_order(inbox: &Receiver<Order>) -> Option<Order> {
    let begun = Instant::now();
    while begun.elapsed() < STAY_AWAKE {
        match inbox.try_recv() {
            Ok(order) => return Some(order),
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
            Err(TryRecvError::Disconnected) => return None,
        }
    }
    inbox.recv().ok()
}

/// Whether it may be better a moment later.
fn may_pass(wrong: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, SystemIoFailure};
    let code = wrong.sqlite_error_code();
    matches!(code, Some(CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | OutOfMemory | SystemIoFailure))
}

fn answer(batch: &mut Vec<Order>, outcomes: Vec<Result<(), AppendError>>) {
    for (order, outcome) in batch.drain(..).zip(outcomes) {
        // Whoever appended may be gone; the entries are kept all the same.
        let _ = match order {
            Order::Append(append) => append.done.send(outcome),
            Order::Flush(done) => done.send(outcome),
        };
    }
}

fn refuse(batch: &mut Vec<Order>, wrong: &Arc<rusqlite::Error>) {
    for order in batch.drain(..) {
        let storage = |run| AppendError::Storage { run, source: wrong.clone() };
        let _ = match order {
            Order::Append(append) => append.done.send(Err(storage(append.run))),
            Order::Flush(done) => done.send(Err(storage(RunId(0)))),
        };
    }
}

fn checkpoint_when_nudged(connection: &Connection, nudges: &Receiver<()>, copied: &AtomicBool, counters: &SharedCounters) {
    for () in nudges {
        // What is written while it copies is copied as well, so that next to nothing is left to the writer, for whom all wait.
        let mut before = 0;
        for _ in 0..MAX_COPIES {
            let Some(pages) = checkpoint(connection, counters) else { break };
            if pages - before < FEW_PAGES {
                break;
            }
            before = pages;
        }
        copied.store(true, Ordering::Release);
    }
    // The last one out leaves a file that is whole without its log.
    checkpoint(connection, counters);
}

/// Copies the log into the main file, and says how many of its pages are copied by now.
fn checkpoint(connection: &Connection, counters: &SharedCounters) -> Option<i64> {
    // A reader may hold parts of the log; what cannot be copied now is copied the next time.
    let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)).ok()?;
    counters.checkpoints.fetch_add(1, Ordering::Relaxed);
    Some(copied)
}
