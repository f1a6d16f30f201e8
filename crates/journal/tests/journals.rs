//! Every journal passes the suite, and damage is named.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

use std::path::Path;

use quorate_core::{Payload, RunId};
use quorate_journal::conformance::{carrying, check, ended, plan, started};
use quorate_journal::{
    AppendError, Head, Journal, MemoryJournal, OpenError, ReadError, SqliteJournal, SqliteOptions, SqliteReader, Wanted, write_lines,
};
use tempfile::TempDir;

#[tokio::test]
async fn the_memory_journal_conforms() {
    check(&MemoryJournal::new()).await;
}

#[tokio::test]
async fn the_sqlite_journal_conforms() {
    let folder = TempDir::new().unwrap();
    check(&open(folder.path())).await;
}

fn open(folder: &Path) -> SqliteJournal {
    SqliteJournal::open(folder, &SqliteOptions::default()).unwrap()
}

fn long_value() -> Payload {
    Payload::of(&"v".repeat(quorate_core::MAX_INLINE_BYTES + 1)).unwrap()
}

/// Three runs of three entries each, the second with a long value, closed.
async fn written() -> TempDir {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    for run in 1..=3 {
        let mut head = Head::START;
        let value = if run == 2 { long_value() } else { Payload::of("vvvvvvvvvv").unwrap() };
        for entry in [started(1), carrying(2, value), ended(3)] {
            let append = journal.append(RunId(run), head, &[entry], &[plan()]);
            head = append.head;
            append.done.await.unwrap();
        }
    }
    folder
}

fn change(folder: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(folder.join("journal.db")).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql} changes something");
}

fn damage(folder: &Path) -> Vec<String> {
    SqliteReader::open(folder).unwrap().verify().unwrap().damage.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_sound_journal_is_sound_also_when_it_is_opened_again() {
    let folder = written().await;
    assert_eq!(damage(folder.path()), [""; 0]);
    let journal = open(folder.path());
    let head = journal.load(vec![RunId(1)]).await.unwrap()[0].head;
    assert_eq!(head.seq, 3);
    let report = journal.verify().await.unwrap();
    assert_eq!((report.runs, report.entries, report.values, report.commits), (3, 9, 2, 9));
}

#[tokio::test]
async fn every_kind_of_damage_is_named_and_nothing_is_repaired() {
    let two = RunId(2).to_string();
    for (sql, expected) in [
        (
            "UPDATE appends SET body = replace(body, 'vvv', 'vvw') WHERE run = x'00000000000000000000000000000001' AND seq = 2",
            format!("run {}, entry 2: it was changed after it was written", RunId(1)),
        ),
        (
            "UPDATE appends SET body = replace(body, 'succeeded', 'cancelled') WHERE run = x'00000000000000000000000000000002' AND seq = 3",
            format!("run {two}, entry 3: it was changed after it was written"),
        ),
        (
            "UPDATE appends SET body = substr(body, 1, 40) WHERE run = x'00000000000000000000000000000002' AND seq = 2",
            format!("run {two}, entry 2: it cannot be read: EOF while parsing a string at line 1 column 40"),
        ),
        (
            "DELETE FROM appends WHERE run = x'00000000000000000000000000000002' AND seq = 2",
            format!("run {two}, entry 2: it is missing; the next one that is there is 3"),
        ),
        (
            "DELETE FROM appends WHERE run = x'00000000000000000000000000000002' AND seq = 3",
            format!("run {two}, entry 3: it is missing, and so is what followed up to entry 3"),
        ),
        ("DELETE FROM appends WHERE run = x'00000000000000000000000000000002'", format!("run {two}: all of its entries are missing")),
        ("DELETE FROM kept", format!("run {two}, entry 2: its value {} is missing", long_value().kept_apart().unwrap())),
        ("DELETE FROM commits WHERE number = 5", "commit 5 was changed or is missing".to_owned()),
        ("DELETE FROM kept WHERE body = 'plan'", format!("run {two}: its value {} is missing", plan().0)),
        (
            "DELETE FROM runs WHERE run = x'00000000000000000000000000000002'",
            format!("run {two}: the index does not name it; it can be rebuilt from the entries"),
        ),
        (
            "UPDATE runs SET ended = NULL, status = NULL WHERE run = x'00000000000000000000000000000002'",
            format!("run {two}: the index does not say what its entries say; it can be rebuilt from the entries"),
        ),
        ("UPDATE appends SET position = 20 - position", "append 11 does not stand where it was written".to_owned()),
        ("UPDATE appends SET position = position + 1 WHERE position = 9", "append 10 does not stand where it was written".to_owned()),
    ] {
        let folder = written().await;
        change(folder.path(), sql);
        let found = damage(folder.path());
        assert!(found.contains(&expected), "{sql}\nshould be found as: {expected}\nwas found as: {found:#?}");
        assert_eq!(damage(folder.path()), found, "looking does not repair");
    }
}

#[tokio::test]
async fn a_flipped_byte_is_found_or_changes_nothing_that_was_written() {
    let folder = written().await;
    let file = folder.path().join("journal.db");
    let sound = std::fs::read(&file).unwrap();
    let runs =
        |reader: &SqliteReader| (1..=3).map(|run| reader.load(RunId(run)).map(|loaded| loaded.entries)).collect::<Result<Vec<_>, _>>();
    let written = runs(&SqliteReader::open(folder.path()).unwrap()).unwrap();
    let (mut found, mut harmless) = (0, 0);
    for at in (0..sound.len()).step_by(61) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let Ok(reader) = SqliteReader::open(folder.path()) else {
            found += 1;
            continue;
        };
        match reader.verify() {
            Ok(report) if report.is_sound() => {
                // Pages have room that holds nothing; what was written is read as it was.
                assert_eq!(runs(&reader).unwrap(), written, "byte {at}");
                harmless += 1;
            }
            Ok(_) | Err(_) => found += 1,
        }
    }
    assert!(found > harmless, "{found} found, {harmless} in unused places");
}

#[tokio::test]
async fn a_truncated_file_is_damaged_and_says_so() {
    let folder = written().await;
    let file = folder.path().join("journal.db");
    let bytes = std::fs::read(&file).unwrap();
    for kept in [bytes.len() / 2, bytes.len() - 4096, 4096] {
        std::fs::write(&file, &bytes[..kept]).unwrap();
        match SqliteReader::open(folder.path()).map(|reader| reader.verify()) {
            Ok(Ok(report)) => {
                let said: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
                let named = said.iter().any(|line| line.starts_with(&format!("run {}, entry 2: ", RunId(2))));
                // Of one page nothing is left that has a name.
                assert!(named || (kept == 4096 && !said.is_empty()), "{kept} of {} bytes: {said:#?}", bytes.len());
            }
            Ok(Err(wrong)) => assert!(wrong.to_string().contains("damaged"), "{wrong}"),
            Err(wrong) => assert!(matches!(wrong, OpenError::Foreign { .. } | OpenError::Storage { .. }), "{wrong}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_run_cannot_be_loaded_and_the_others_can() {
    let folder = written().await;
    change(
        folder.path(),
        "UPDATE appends SET body = replace(body, 'vvv', 'vvw') WHERE run = x'00000000000000000000000000000001' AND seq = 2",
    );
    let reader = SqliteReader::open(folder.path()).unwrap();
    assert_eq!(
        reader.load(RunId(1)).unwrap_err().to_string(),
        format!("the journal is damaged: run {}, entry 2: it was changed after it was written", RunId(1))
    );
    assert_eq!(reader.load(RunId(3)).unwrap().entries.len(), 3);
}

#[tokio::test]
async fn one_process_owns_a_folder_and_others_may_read() {
    let folder = written().await;
    let journal = open(folder.path());
    let refused = SqliteJournal::open(folder.path(), &SqliteOptions::default()).unwrap_err();
    assert!(refused.to_string().contains(&format!("is in use by process {}", std::process::id())), "{refused}");
    journal.append(RunId(9), Head::START, &[started(1)], &[]).done.await.unwrap();
    let reader = SqliteReader::open(folder.path()).unwrap();
    assert_eq!(reader.load(RunId(9)).unwrap().entries.len(), 1, "a reader sees what is committed while the owner goes on");
    drop(journal);
    open(folder.path());
}

#[tokio::test]
async fn other_files_are_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("journal.db"), "not a database, but long enough to look at ".repeat(200)).unwrap();
    let refused = SqliteJournal::open(folder.path(), &SqliteOptions::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert!(SqliteReader::open(&folder.path().join("nowhere")).is_err());
}

#[tokio::test]
async fn the_index_can_be_rebuilt() {
    let folder = written().await;
    let before = SqliteReader::open(folder.path()).unwrap().list(&Wanted::newest(10)).unwrap();
    change(folder.path(), "DELETE FROM runs");
    assert_eq!(SqliteReader::open(folder.path()).unwrap().list(&Wanted::newest(10)).unwrap(), []);
    assert_eq!(SqliteJournal::rebuild_index(folder.path()).unwrap(), 3);
    assert_eq!(SqliteReader::open(folder.path()).unwrap().list(&Wanted::newest(10)).unwrap(), before);
}

#[tokio::test]
async fn appends_of_many_runs_share_a_flush() {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    let appends: Vec<_> = (0..1_000).map(|run| journal.append(RunId(run), Head::START, &[started(1)], &[])).collect();
    for append in appends {
        append.done.await.unwrap();
    }
    let counters = journal.counters();
    assert_eq!((counters.appends, counters.entries), (1_000, 1_000));
    assert!(counters.flushes < 500, "1000 appends took {} flushes", counters.flushes);
}

#[tokio::test]
async fn an_index_of_what_is_damaged_is_not_rebuilt() {
    let folder = written().await;
    change(folder.path(), "UPDATE appends SET body = replace(body, 'vvv', 'vvw') WHERE seq = 2");
    let refused = SqliteJournal::rebuild_index(folder.path()).unwrap_err();
    assert!(matches!(refused, ReadError::Damaged(_)), "{refused}");
}

#[tokio::test]
async fn a_journal_that_is_being_written_is_sound() {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    let mut heads = [Head::START; 20];
    let mut reports = Vec::new();
    for seq in 1..=100 {
        for (run, head) in (0..).zip(&mut heads) {
            let entry = if seq == 1 { started(1) } else { carrying(seq, Payload::null()) };
            let append = journal.append(RunId(run), *head, &[entry], &[plan()]);
            *head = append.head;
            drop(append.done);
        }
        if seq % 10 == 0 {
            reports.push(journal.verify());
        }
    }
    for report in reports {
        let report = report.await.unwrap();
        assert!(report.is_sound(), "{:?}", report.damage);
    }
}

/// Somebody else holds the file for longer than SQLite waits.
#[tokio::test]
async fn a_commit_waits_until_the_file_is_free() {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    let first = journal.append(RunId(1), Head::START, &[started(1)], &[plan()]);
    first.done.await.unwrap();
    let other = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let second = journal.append(RunId(1), first.head, &[ended(2)], &[]);
    // Longer than SQLite itself waits.
    std::thread::sleep(std::time::Duration::from_millis(5_500));
    other.execute_batch("ROLLBACK").unwrap();
    second.done.await.unwrap();
    assert_eq!(journal.load(vec![RunId(1)]).await.unwrap()[0].entries.len(), 2);
}

#[tokio::test]
async fn an_append_at_fault_is_refused_alone() {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    let other = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON appends WHEN NEW.run = x'00000000000000000000000000000007' BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    other.execute_batch(trigger).unwrap();
    let appends: Vec<_> = (0..20).map(|run| journal.append(RunId(run), Head::START, &[started(1)], &[plan()])).collect();
    for (run, append) in (0..20).zip(appends) {
        match append.done.await {
            Ok(()) => assert_ne!(run, 7),
            Err(AppendError::Storage { run: RunId(7), .. }) => {}
            Err(wrong) => panic!("run {run}: {wrong}"),
        }
    }
    assert!(journal.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn a_folder_whose_maker_was_killed_can_be_used() {
    let folder = TempDir::new().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    connection.execute_batch("PRAGMA journal_mode=WAL;").unwrap();
    drop(connection);
    assert!(std::fs::metadata(folder.path().join("journal.db")).unwrap().len() > 0);
    check(&open(folder.path())).await;
}

#[tokio::test]
async fn a_run_is_read_from_where_it_is_known_and_as_it_was_written() {
    let folder = written().await;
    let reader = SqliteReader::open(folder.path()).unwrap();
    let whole = reader.load(RunId(1)).unwrap();
    let lines = reader.lines(RunId(1)).unwrap();
    assert_eq!(lines.trim_end(), write_lines(Head::START, &whole.entries).0);
    let first = write_lines(Head::START, &whole.entries[..1]).1;
    let rest = reader.load_after(RunId(1), first).unwrap();
    assert_eq!((rest.entries.as_slice(), rest.head), (&whole.entries[1..], whole.head));
    let elsewhere = Head { digest: whole.head.digest, ..first };
    assert!(matches!(reader.load_after(RunId(1), elsewhere), Err(ReadError::Damaged(_))), "the chain is checked from there on");
    assert!(reader.load_after(RunId(1), whole.head).unwrap().entries.is_empty());
}
