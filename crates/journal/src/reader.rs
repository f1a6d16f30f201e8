//! Reading a journal in SQLite, also one that another process writes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{Digest, Entry, Event, Payload, RunId, RunStatus, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::codec;
use crate::sqlite::{APPLICATION_ID, FORMAT};
use crate::tally::Tally;
use crate::verify::{Damage, Flaw, Report};
use crate::{Head, Loaded, OpenError, ReadError, Record, RunInfo, Stands, Wanted};

/// How long a reader waits while the file is being opened or recovered by its owner.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a journal without owning it.
#[derive(Debug)]
pub struct SqliteReader {
    connection: Connection,
}

impl SqliteReader {
    /// Opens the journal in a data folder for reading. Another process may own it and go on writing.
    ///
    /// # Errors
    /// [`OpenError`] where there is no journal, or none of this format.
    pub fn open(folder: &Path) -> Result<SqliteReader, OpenError> {
        let file = folder.join(crate::sqlite::FILE);
        let failed = |source: rusqlite::Error| OpenError::Storage { file: file.clone(), source: source.into() };
        let connection =
            Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        // Lets SQLite read what is left of a file that was cut off, so that the loss can be named. Nothing can be
        // written through this connection; the owner's refuses such a file.
        connection.execute_batch("PRAGMA writable_schema=ON").map_err(failed)?;
        let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let foreign = |why: String| OpenError::Foreign { file: file.clone(), why };
        match (pragma("application_id"), pragma("user_version")) {
            (Ok(APPLICATION_ID), Ok(FORMAT)) => {}
            (Ok(APPLICATION_ID), Ok(other)) => return Err(foreign(format!("it has format {other}, this version reads format {FORMAT}"))),
            (Ok(_), _) => return Err(foreign("it is some other database".to_owned())),
            (Err(wrong), _) if is_corrupt(&wrong) => return Err(foreign(wrong.to_string())),
            (Err(wrong), _) => return Err(failed(wrong)),
        }
        Ok(SqliteReader { connection })
    }

    /// The entries of a run; none where it is not there.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] at the first entry that is not what was written; [`ReadError::Storage`] where the file cannot be
    /// read at the moment.
    pub fn load(&self, run: RunId) -> Result<Loaded, ReadError> {
        self.load_after(run, Head::START)
    }

    /// The entries of a run after a head of it that is known.
    ///
    /// # Errors
    /// Those of [`SqliteReader::load`].
    pub fn load_after(&self, run: RunId, head: Head) -> Result<Loaded, ReadError> {
        let mut loaded = Loaded { run, entries: Vec::new(), head };
        self.each_append(run, head.seq, |body| codec::read(run, body, &mut loaded).map_err(ReadError::Damaged))?;
        self.fill(run, &mut loaded.entries)?;
        Ok(loaded)
    }

    /// The entries of a run as they were written: each a line of JSON with the digest of the line before.
    ///
    /// # Errors
    /// [`ReadError`] where they cannot be read. Nothing is checked.
    pub fn lines(&self, run: RunId) -> Result<String, ReadError> {
        let mut lines = Vec::new();
        self.each_append(run, 0, |body| {
            lines.extend_from_slice(body);
            lines.push(b'\n');
            Ok(())
        })?;
        let unreadable =
            |wrong: std::string::FromUtf8Error| Damage { run: Some(run), seq: None, flaw: Flaw::Unreadable(wrong.to_string()) };
        String::from_utf8(lines).map_err(|wrong| ReadError::Damaged(unreadable(wrong)))
    }

    /// Shows what was appended to a run after an entry, append by append.
    fn each_append(&self, run: RunId, after: u64, mut show: impl FnMut(&[u8]) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let doing = "looking up a run";
        let sql = "SELECT seq, body FROM appends WHERE run = ?1 AND seq > ?2 ORDER BY seq";
        let mut statement = self.connection.prepare_cached(sql).map_err(|wrong| storage(doing, wrong))?;
        let limits = params![bytes_of(run), i64::try_from(after).unwrap_or(i64::MAX)];
        let mut rows = statement.query(limits).map_err(|wrong| storage(doing, wrong))?;
        let mut seq = after + 1;
        while let Some(row) = rows.next().map_err(|wrong| in_run(run, seq, wrong))? {
            seq = row.get::<_, i64>(0).map_err(|wrong| in_run(run, seq, wrong))?.unsigned_abs();
            let body = row.get_ref(1).and_then(|body| body.as_bytes().map_err(Into::into));
            show(body.map_err(|wrong| in_run(run, seq, wrong))?)?;
        }
        Ok(())
    }

    /// Puts long values back in their places.
    fn fill(&self, run: RunId, entries: &mut [Entry]) -> Result<(), ReadError> {
        for entry in entries {
            let mut outcome = Ok(());
            let seq = entry.seq;
            entry.event.for_each_payload(&mut |payload| {
                if let Some(digest) = payload.absent() {
                    let damage = |flaw| ReadError::Damaged(Damage { run: Some(run), seq: Some(seq), flaw });
                    match self.kept(digest) {
                        Ok(Some(text)) => match Payload::kept_as(digest, text) {
                            Some(found) => *payload = found,
                            None => outcome = Err(damage(Flaw::ValueChanged(digest))),
                        },
                        Ok(None) => outcome = Err(damage(Flaw::ValueGone(digest))),
                        Err(ReadError::Damaged(inner)) => outcome = Err(damage(inner.flaw)),
                        Err(passing) => outcome = Err(passing),
                    }
                }
            });
            outcome?;
        }
        Ok(())
    }

    /// The text that was kept under a digest.
    ///
    /// # Errors
    /// [`ReadError::Storage`] where the file cannot be read.
    pub fn kept(&self, digest: Digest) -> Result<Option<String>, ReadError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT body FROM kept WHERE digest = ?1")
            .map_err(|wrong| storage("looking up a value", wrong))?;
        statement.query_row([digest.0], |row| row.get(0)).optional().map_err(|wrong| storage("looking up a value", wrong))
    }

    /// The runs that have not ended, oldest first.
    ///
    /// # Errors
    /// [`ReadError::Storage`] where the file cannot be read.
    pub fn open_runs(&self) -> Result<Vec<RunId>, ReadError> {
        let doing = "listing the open runs";
        let mut statement = self
            .connection
            .prepare_cached("SELECT run FROM runs WHERE ended IS NULL ORDER BY run")
            .map_err(|wrong| storage(doing, wrong))?;
        let rows = statement.query_map([], |row| row.get(0).map(run_of)).map_err(|wrong| storage(doing, wrong))?;
        rows.collect::<Result<_, _>>().map_err(|wrong| storage(doing, wrong))
    }

    /// A number that is another one whenever somebody has written since: asking for it costs next to nothing.
    ///
    /// # Errors
    /// [`ReadError::Storage`] where the file cannot be read.
    pub fn version(&self) -> Result<i64, ReadError> {
        let asked =
            self.connection.prepare_cached("PRAGMA data_version").and_then(|mut statement| statement.query_row([], |row| row.get(0)));
        asked.map_err(|wrong| storage("looking for what was written", wrong))
    }

    /// What is known of the runs that are wanted, from the index: the newest first.
    ///
    /// # Errors
    /// [`ReadError::Storage`] where the file cannot be read.
    pub fn list(&self, wanted: &Wanted) -> Result<Vec<RunInfo>, ReadError> {
        let doing = "listing the runs";
        let sql = "SELECT run, name, plan, by, parent, started, status, ended FROM runs
            WHERE (?2 IS NULL OR name = ?2) AND (?3 IS NULL OR (ended IS NULL) = ?3) AND (?4 IS NULL OR status = ?4)
            AND started >= ?5 AND (started, run) < (?6, ?7) AND NOT (?8 AND parent IS NOT NULL)
            ORDER BY started DESC, run DESC LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(|wrong| storage(doing, wrong))?;
        let info = |row: &rusqlite::Row<'_>| {
            let status: Option<String> = row.get(6)?;
            let ended: Option<i64> = row.get(7)?;
            let status = status.and_then(|status| serde_json::from_value::<RunStatus>(status.into()).ok());
            Ok(RunInfo {
                run: run_of(row.get(0)?),
                name: row.get(1)?,
                plan: Digest(row.get(2)?),
                by: row.get(3)?,
                parent: row.get::<_, Option<_>>(4)?.map(run_of),
                started: Timestamp::from_micros(row.get(5)?),
                ended: status.zip(ended.map(Timestamp::from_micros)),
            })
        };
        let status = match wanted.stands {
            Some(Stands::Ended(status)) => Some(status.to_string()),
            Some(Stands::Open) | None => None,
        };
        let open = wanted.stands.map(|stands| stands == Stands::Open);
        let since = wanted.since.map_or(i64::MIN, Timestamp::micros);
        let (before, run) = wanted.after.map_or((i64::MAX, RunId(u128::MAX)), |(at, run)| (at.micros(), run));
        let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX);
        let limits = params![limit, wanted.name, open, status, since, before, bytes_of(run), wanted.roots];
        let rows = statement.query_map(limits, info).map_err(|wrong| storage(doing, wrong))?;
        rows.collect::<Result<_, _>>().map_err(|wrong| storage(doing, wrong))
    }

    /// Appends of all runs in the order in which they became durable, after a position.
    ///
    /// # Errors
    /// [`ReadError`] where they cannot be read.
    pub fn follow(&self, after: u64, limit: usize) -> Result<Vec<Record>, ReadError> {
        let doing = "following the journal";
        let sql = "SELECT position, run, body FROM appends WHERE position > ?1 ORDER BY position LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql).map_err(|wrong| storage(doing, wrong))?;
        let limits = params![i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX)];
        let mut rows = statement.query(limits).map_err(|wrong| storage(doing, wrong))?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(|wrong| storage(doing, wrong))? {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, run_of(row.get(1)?), row.get_ref(2)?.as_bytes()?.to_vec()));
            let (position, run, body) = read(row).map_err(|wrong| storage(doing, wrong))?;
            let mut entries = Vec::new();
            for line in body.split(|byte| *byte == b'\n') {
                let damage = |why: String| ReadError::Damaged(Damage { run: Some(run), seq: None, flaw: Flaw::Unreadable(why) });
                let text = std::str::from_utf8(line).map_err(|wrong| damage(wrong.to_string()))?;
                let line = codec::read_line(text).map_err(|wrong| damage(wrong.to_string()))?;
                entries.push(Entry { seq: line.seq, at: line.at, event: line.event });
            }
            self.fill(run, &mut entries)?;
            records.push(Record { position: position.unsigned_abs(), run, entries });
        }
        Ok(records)
    }

    /// Goes on with a tally from where it was left.
    ///
    /// # Errors
    /// [`ReadError`] where the journal cannot be read. What was counted before that is counted.
    pub fn tally(&self, tally: &mut Tally) -> Result<(), ReadError> {
        let doing = "counting what the journal holds";
        let sql = "SELECT position, run, body FROM appends WHERE position > ?1 ORDER BY position";
        let mut statement = self.connection.prepare_cached(sql).map_err(|wrong| storage(doing, wrong))?;
        let after = i64::try_from(tally.position).unwrap_or(i64::MAX);
        let mut rows = statement.query([after]).map_err(|wrong| storage(doing, wrong))?;
        while let Some(row) = rows.next().map_err(|wrong| storage(doing, wrong))? {
            let run = run_of(row.get(1).map_err(|wrong| storage(doing, wrong))?);
            let damage = |why: String| ReadError::Damaged(Damage { run: Some(run), seq: None, flaw: Flaw::Unreadable(why) });
            let body = row.get_ref(2).and_then(|body| body.as_str().map_err(Into::into)).map_err(|wrong| damage(wrong.to_string()))?;
            for line in body.split('\n').filter(|line| Tally::counts(line)) {
                let line = codec::read_line(line).map_err(|wrong| damage(wrong.to_string()))?;
                tally.take(run, &Entry { seq: line.seq, at: line.at, event: line.event });
            }
            tally.position = row.get::<_, i64>(0).map_err(|wrong| storage(doing, wrong))?.unsigned_abs();
        }
        Ok(())
    }

    /// What tells this journal at a position from any other: the digest of the append there.
    ///
    /// # Errors
    /// [`ReadError::Storage`] where the file cannot be read.
    pub fn mark(&self, position: u64) -> Result<Option<Digest>, ReadError> {
        let doing = "looking up an append";
        let sql = "SELECT body FROM appends WHERE position = ?1";
        let body: Option<String> = self
            .connection
            .query_row(sql, [i64::try_from(position).unwrap_or(i64::MAX)], |row| row.get(0))
            .optional()
            .map_err(|wrong| storage(doing, wrong))?;
        Ok(body.map(|body| Digest::of(body.as_bytes())))
    }

    /// Checks every entry of every run, every value, their order, the chain of commits, and the index.
    ///
    /// # Errors
    /// [`ReadError::Storage`] where the file cannot be read at all. Damage is in the report.
    pub fn verify(&self) -> Result<Report, ReadError> {
        // One look at one moment, whatever is written meanwhile.
        self.connection.execute_batch("BEGIN").map_err(|wrong| storage("beginning to verify", wrong))?;
        let report = self.verify_now();
        // What was only read needs no end that succeeds.
        let _ = self.connection.execute_batch("ROLLBACK");
        report
    }

    fn verify_now(&self) -> Result<Report, ReadError> {
        let mut report = Report::default();
        self.check_file(&mut report);
        let commits = self.check_commits(&mut report)?;
        let mut known: Vec<RunId> = commits.keys().copied().collect();
        known.extend(self.runs_with_entries(&mut report)?.into_iter().filter(|run| !commits.contains_key(run)));
        known.sort_unstable();
        let mut index = self.index(&mut report);
        for run in known {
            let committed = commits.get(&run).and_then(|heads| heads.last()).map(|(_, head)| *head);
            self.check_run(run, committed, index.remove(&run), &mut report);
        }
        let left = index.into_keys().map(|run| Damage { run: Some(run), seq: None, flaw: Flaw::Index("names a run without entries") });
        report.damage.extend(left);
        self.check_order(&commits, &mut report);
        self.check_values(&mut report)?;
        Ok(report)
    }

    fn check_file(&self, report: &mut Report) {
        let mut note = |why: String| report.damage.push(Damage { run: None, seq: None, flaw: Flaw::File(why) });
        match self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0)) {
            Ok(said) if said == "ok" => {}
            Ok(said) => note(said),
            Err(wrong) => note(wrong.to_string()),
        }
    }

    /// Walks the chain of commits, and gives the heads to which they moved every run.
    fn check_commits(&self, report: &mut Report) -> Result<HashMap<RunId, Vec<(u64, Head)>>, ReadError> {
        let doing = "reading the commits";
        let mut statement =
            self.connection.prepare("SELECT number, heads, seal FROM commits ORDER BY number").map_err(|wrong| storage(doing, wrong))?;
        let mut rows = statement.query([]).map_err(|wrong| storage(doing, wrong))?;
        let mut heads: HashMap<RunId, Vec<(u64, Head)>> = HashMap::new();
        let mut seal = Digest::ZERO;
        let mut last = 0;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(wrong) => {
                    report.damage.push(Damage { run: None, seq: None, flaw: Flaw::File(wrong.to_string()) });
                    break;
                }
            };
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, Vec<u8>>(1)?, Digest(row.get(2)?)));
            let (number, body, written) = read(row).map_err(|wrong| storage(doing, wrong))?;
            let expected = seal_of(seal, number, &body);
            if number != last + 1 || written != expected {
                report.damage.push(Damage { run: None, seq: None, flaw: Flaw::Commit(last + 1) });
            }
            for (run, head) in heads_in(&body) {
                heads.entry(run).or_default().push((number, head));
            }
            report.commits += 1;
            (seal, last) = (written, number);
        }
        report.seal = (last > 0).then_some(seal);
        Ok(heads)
    }

    fn runs_with_entries(&self, report: &mut Report) -> Result<Vec<RunId>, ReadError> {
        let doing = "listing the runs with entries";
        let mut statement = self.connection.prepare("SELECT DISTINCT run FROM appends").map_err(|wrong| storage(doing, wrong))?;
        let rows = statement.query_map([], |row| row.get(0).map(run_of)).map_err(|wrong| storage(doing, wrong))?;
        let mut found = Vec::new();
        for row in rows {
            match row {
                Ok(run) => found.push(run),
                Err(wrong) => {
                    report.damage.push(Damage { run: None, seq: None, flaw: Flaw::File(wrong.to_string()) });
                    break;
                }
            }
        }
        Ok(found)
    }

    /// What the index says of every run.
    fn index(&self, report: &mut Report) -> HashMap<RunId, RunInfo> {
        match self.list(&Wanted::newest(usize::MAX)) {
            Ok(listed) => listed.into_iter().map(|info| (info.run, info)).collect(),
            Err(wrong) => {
                report.damage.push(Damage { run: None, seq: None, flaw: Flaw::File(wrong.to_string()) });
                HashMap::new()
            }
        }
    }

    /// The order of all appends is that of the commits that wrote them, without gaps.
    fn check_order(&self, commits: &HashMap<RunId, Vec<(u64, Head)>>, report: &mut Report) {
        let walk = || {
            let mut statement = self.connection.prepare("SELECT position, run, seq FROM appends ORDER BY position")?;
            let mut rows = statement.query([])?;
            let (mut last, mut commit) = (0, 0);
            while let Some(row) = rows.next()? {
                let (position, run, seq) = (row.get::<_, i64>(0)?, run_of(row.get(1)?), row.get::<_, i64>(2)?.unsigned_abs());
                let heads = commits.get(&run).map_or(&[][..], Vec::as_slice);
                let written = heads.get(heads.partition_point(|(_, head)| head.seq < seq)).map_or(commit, |(number, _)| *number);
                if position != last + 1 || written < commit {
                    return Ok(Some(position.unsigned_abs()));
                }
                (last, commit) = (position, written);
            }
            Ok(None)
        };
        let flaw = match walk() {
            Ok(None) => return,
            Ok(Some(position)) => Flaw::Order { position },
            Err(wrong) => Flaw::File(rusqlite::Error::to_string(&wrong)),
        };
        report.damage.push(Damage { run: None, seq: None, flaw });
    }

    fn check_run(&self, run: RunId, committed: Option<Head>, indexed: Option<RunInfo>, report: &mut Report) {
        report.runs += 1;
        let loaded = match self.load(run) {
            Ok(loaded) => loaded,
            Err(ReadError::Damaged(damage)) => return report.damage.push(damage),
            Err(wrong) => {
                let flaw = Flaw::File(wrong.to_string());
                return report.damage.push(Damage { run: Some(run), seq: None, flaw });
            }
        };
        report.entries += loaded.entries.len() as u64;
        if let Some(flaw) = self.index_flaw(&loaded, indexed) {
            report.damage.push(Damage { run: Some(run), seq: None, flaw });
        }
        let head = loaded.head;
        let (seq, flaw) = match committed {
            Some(committed) if committed == head => return,
            Some(_) if head.seq == 0 => (None, Flaw::RunGone),
            Some(committed) if head.seq < committed.seq => (Some(head.seq + 1), Flaw::CutOff { committed: committed.seq }),
            Some(committed) if head.seq == committed.seq => (Some(head.seq), Flaw::Changed),
            Some(committed) => (Some(committed.seq + 1), Flaw::Uncommitted),
            None => (Some(1), Flaw::Uncommitted),
        };
        report.damage.push(Damage { run: Some(run), seq, flaw });
    }

    /// What is wrong with the row of a run in the index, or with the plan that it names.
    fn index_flaw(&self, loaded: &Loaded, indexed: Option<RunInfo>) -> Option<Flaw> {
        let Event::RunStarted(start) = &loaded.entries.first()?.event else { return None };
        let ended = loaded.entries.last().and_then(|last| match &last.event {
            Event::RunEnded { status, .. } => Some((*status, last.at)),
            _ => None,
        });
        let expected = RunInfo { ended, ..RunInfo::of(loaded.run, loaded.entries[0].at, start) };
        match indexed {
            None => return Some(Flaw::Index("does not name it")),
            Some(info) if info != expected => return Some(Flaw::Index("does not say what its entries say")),
            Some(_) => {}
        }
        match self.kept(start.plan) {
            Ok(Some(_)) => None,
            Ok(None) => Some(Flaw::ValueGone(start.plan)),
            Err(wrong) => Some(Flaw::File(wrong.to_string())),
        }
    }

    fn check_values(&self, report: &mut Report) -> Result<(), ReadError> {
        let doing = "reading the values";
        let mut statement = self.connection.prepare("SELECT digest, body FROM kept").map_err(|wrong| storage(doing, wrong))?;
        let mut rows = statement.query([]).map_err(|wrong| storage(doing, wrong))?;
        loop {
            let read = |row: &rusqlite::Row<'_>| Ok((Digest(row.get(0)?), Digest::of(row.get_ref(1)?.as_bytes()?)));
            let flaw = match rows.next().and_then(|row| row.map(read).transpose()) {
                Ok(None) => return Ok(()),
                Ok(Some((name, content))) => {
                    report.values += 1;
                    if name == content {
                        continue;
                    }
                    Flaw::ValueChanged(name)
                }
                Err(wrong) => {
                    report.damage.push(Damage { run: None, seq: None, flaw: Flaw::File(wrong.to_string()) });
                    return Ok(());
                }
            };
            report.damage.push(Damage { run: None, seq: None, flaw });
        }
    }
}

/// The digest that seals a commit and all before it.
pub(crate) fn seal_of(previous: Digest, number: u64, heads: &[u8]) -> Digest {
    Digest::of_parts(&[&previous.0, &number.to_be_bytes(), heads])
}

const HEAD_BYTES: usize = 16 + 8 + 32;

pub(crate) fn write_head(heads: &mut Vec<u8>, run: RunId, head: Head) {
    heads.extend(run.0.to_be_bytes());
    heads.extend(head.seq.to_be_bytes());
    heads.extend(head.digest.0);
}

fn heads_in(body: &[u8]) -> impl Iterator<Item = (RunId, Head)> {
    body.chunks_exact(HEAD_BYTES).map(|chunk| {
        let mut run = [0; 16];
        let mut seq = [0; 8];
        let mut digest = [0; 32];
        run.copy_from_slice(&chunk[..16]);
        seq.copy_from_slice(&chunk[16..24]);
        digest.copy_from_slice(&chunk[24..]);
        (RunId(u128::from_be_bytes(run)), Head { seq: u64::from_be_bytes(seq), digest: Digest(digest) })
    })
}

pub(crate) fn bytes_of(run: RunId) -> [u8; 16] {
    run.0.to_be_bytes()
}

fn run_of(bytes: [u8; 16]) -> RunId {
    RunId(u128::from_be_bytes(bytes))
}

pub(crate) fn storage(doing: &'static str, wrong: rusqlite::Error) -> ReadError {
    if is_corrupt(&wrong) {
        return ReadError::Damaged(Damage { run: None, seq: None, flaw: Flaw::File(wrong.to_string()) });
    }
    ReadError::Storage { doing, source: Arc::new(wrong) }
}

/// What went wrong while the entries of a run were read. What the disk could not give may be there a moment later.
fn in_run(run: RunId, seq: u64, wrong: rusqlite::Error) -> ReadError {
    // A file that is shorter than it says stays so.
    let short = wrong.sqlite_error().is_some_and(|wrong| wrong.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ);
    let of_the_file = wrong.sqlite_error_code().is_none() || is_corrupt(&wrong) || short;
    if of_the_file {
        return ReadError::Damaged(Damage { run: Some(run), seq: Some(seq), flaw: Flaw::File(wrong.to_string()) });
    }
    storage("reading a run", wrong)
}

fn is_corrupt(wrong: &rusqlite::Error) -> bool {
    let code = wrong.sqlite_error_code();
    matches!(code, Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

/// The change to the index that an entry makes.
pub(crate) fn index(connection: &Connection, run: RunId, entry: &Entry) -> rusqlite::Result<()> {
    match &entry.event {
        Event::RunStarted(start) => {
            let sql = "INSERT OR REPLACE INTO runs (run, name, plan, by, parent, started) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let parent = start.started_by().map(bytes_of);
            let row = params![bytes_of(run), &*start.name, start.plan.0, &*start.by, parent, entry.at.micros()];
            connection.prepare_cached(sql)?.execute(row).map(drop)
        }
        Event::RunEnded { status, .. } => {
            let row = params![bytes_of(run), status.to_string(), entry.at.micros()];
            connection.prepare_cached("UPDATE runs SET status = ?2, ended = ?3 WHERE run = ?1 AND ended IS NULL")?.execute(row).map(drop)
        }
        _ => Ok(()),
    }
}
