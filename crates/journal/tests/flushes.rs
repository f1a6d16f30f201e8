//! A commit is flushed to the disk: counted by the system, and not by us.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

use std::path::Path;
use std::process::Command;

use quorate_core::{Payload, RunId};
use quorate_journal::conformance::{carrying, plan, started};
use quorate_journal::{Head, Journal, SqliteJournal, SqliteOptions};

const CHILD: &str = "QUORATE_TEST_APPENDS_TO";
const APPENDS: u64 = 200;

/// What the child does: appends, each of which waits for the one before.
async fn append_to(folder: &Path, unflushed: bool) {
    let journal = SqliteJournal::open(folder, &SqliteOptions { unflushed }).unwrap();
    let mut head = Head::START;
    for seq in 1..=APPENDS {
        let entry = if seq == 1 { started(1) } else { carrying(seq, Payload::null()) };
        let append = journal.append(RunId(1), head, &[entry], &[plan()]);
        head = append.head;
        append.done.await.unwrap();
    }
    assert_eq!(journal.counters().flushes, if unflushed { 0 } else { APPENDS });
}

/// How often the system was asked to flush while the child appended, if that can be seen here.
fn flushes(unflushed: bool) -> Option<u64> {
    let folder = tempfile::TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let child = Command::new("strace")
        .args(["-f", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "commits_are_flushed", "--nocapture"])
        .env(CHILD, folder.path().join("data"))
        .env("QUORATE_TEST_UNFLUSHED", if unflushed { "yes" } else { "" })
        .output();
    match child {
        Ok(output) if output.status.success() => {
            let trace = std::fs::read_to_string(trace).unwrap();
            Some(trace.lines().filter(|line| line.contains("sync(")).count() as u64)
        }
        Ok(output) => {
            println!("skipped: strace cannot watch a process here: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(wrong) => {
            println!("skipped: strace cannot be started: {wrong}");
            None
        }
    }
}

#[test]
fn commits_are_flushed() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let unflushed = std::env::var_os("QUORATE_TEST_UNFLUSHED").is_some_and(|said| said == "yes");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        return runtime.block_on(append_to(Path::new(&folder), unflushed));
    }
    if let (Some(flushed), Some(unflushed)) = (flushes(false), flushes(true)) {
        println!("{APPENDS} commits: {flushed} flushes, and {unflushed} where they are not asked for");
        assert!(flushed >= APPENDS, "{APPENDS} commits were flushed {flushed} times");
        assert!(unflushed < APPENDS / 2, "without flushes there were {unflushed}");
    }
}
