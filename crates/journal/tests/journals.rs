//! Every journal passes the suite, and damage is named.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

use std::path::Path;

use quorate_core::{Payload, RunId};
use quorate_journal::conformance::{carrying, check, ended, started};
use quorate_journal::{Flaw, Head, Journal, MemoryJournal, OpenError, SqliteJournal, SqliteOptions, SqliteReader};
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

/// Three runs of three entries each, the second with a long value, closed.
async fn written() -> TempDir {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    for run in 1..=3 {
        let mut head = Head::START;
        let size = if run == 2 { quorate_core::MAX_INLINE_BYTES + 1 } else { 10 };
        for entry in [started(1), carrying(2, Payload::of(&"v".repeat(size)).unwrap()), ended(3)] {
            let append = journal.append(RunId(run), head, &[entry]);
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
    assert_eq!((report.runs, report.entries, report.values, report.commits), (3, 9, 1, 9));
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
        (
            "DELETE FROM kept",
            format!("run {two}, entry 2: its value 7716afe2bd43b9b6a0d31c4c2eb50c63e66c7ebdaf9b5e8bd0dd9a8a7a2ee8fa is missing"),
        ),
        ("DELETE FROM commits WHERE number = 5", "commit 5 was changed or is missing".to_owned()),
    ] {
        let folder = written().await;
        change(folder.path(), sql);
        let found = damage(folder.path());
        let matches = |line: &String| {
            if expected.contains("its value") {
                line.starts_with(&format!("run {two}, entry 2: its value ")) && line.ends_with("is missing")
            } else {
                *line == expected
            }
        };
        assert!(found.iter().any(matches), "{sql}\nshould be found as: {expected}\nwas found as: {found:#?}");
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
    assert!(refused.to_string().contains(&format!("belongs to process {}", std::process::id())), "{refused}");
    journal.append(RunId(9), Head::START, &[started(1)]).done.await.unwrap();
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
    let before = SqliteReader::open(folder.path()).unwrap().list(10).unwrap();
    change(folder.path(), "DELETE FROM runs");
    assert_eq!(SqliteReader::open(folder.path()).unwrap().list(10).unwrap(), []);
    assert_eq!(SqliteJournal::rebuild_index(folder.path()).unwrap(), 3);
    assert_eq!(SqliteReader::open(folder.path()).unwrap().list(10).unwrap(), before);
}

#[tokio::test]
async fn appends_of_many_runs_share_a_flush() {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    let appends: Vec<_> = (0..1_000).map(|run| journal.append(RunId(run), Head::START, &[started(1)])).collect();
    for append in appends {
        append.done.await.unwrap();
    }
    let counters = journal.counters();
    assert_eq!((counters.appends, counters.entries), (1_000, 1_000));
    assert!(counters.flushes < 500, "1000 appends took {} flushes", counters.flushes);
}

#[test]
fn flaws_are_comparable() {
    assert_ne!(Flaw::Changed, Flaw::RunGone);
}
