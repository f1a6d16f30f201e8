//! A process that is killed a hundred times in the middle of durable work, and goes on each time.
//!
//! The test binary starts itself as the worker: the worker opens the journal, goes on with what it finds, starts runs
//! up to a number, and writes a line for every entry that was acknowledged and for every task that an agent did. The
//! test kills it with SIGKILL after a random while, again and again, and then checks what is on the disk.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate::draft::{TaskDraft, WorkDraft};
use quorate::{
    Agent, Draft, Durability, Engine, Event, Opened, Options, Order, Payload, Plan, Registry, Reply, RunId, RunStatus, SqliteJournal,
    SqliteOptions, SqliteReader, Wanted,
};

const WORKER: &str = "QUORATE_KILLED_WORKER";
const KILLS: usize = 100;
const IN_FLIGHT: usize = 16;
const STEPS: usize = 12;

/// Says what happened, in one write: lines of a killed process are whole or missing.
fn say(log: &Mutex<File>, line: &str) {
    log.lock().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Twelve tasks: a chain with a fan in the middle.
fn plan() -> Arc<Plan> {
    let task = |ix: usize| TaskDraft {
        id: format!("t{ix}"),
        depends_on: match ix {
            0 => Vec::new(),
            1..=4 => vec!["t0".into()],
            5 => (1..=4).map(|dep| format!("t{dep}")).collect(),
            _ => vec![format!("t{}", ix - 1)],
        },
        work: WorkDraft::Agent { id: Some("work".into()), capabilities: Vec::new() },
        ..TaskDraft::default()
    };
    let draft = Draft { name: "killed".into(), tasks: (0..STEPS).map(task).collect(), ..Draft::default() };
    Arc::new(Plan::compile(&draft).unwrap_or_else(|problems| panic!("{problems:?}")))
}

fn agents(log: &Arc<Mutex<File>>) -> Arc<Registry> {
    let registry = Registry::new();
    let log = log.clone();
    registry.register(Agent::from_async("work", move |call| {
        let log = log.clone();
        async move {
            let request = &call.request;
            say(&log, &format!("did {} {} {}", request.run, request.task, request.attempt));
            tokio::time::sleep(Duration::from_micros(200)).await;
            Ok(Reply::new(Payload::of(&"x".repeat(512)).unwrap()))
        }
    }));
    Arc::new(registry)
}

/// What the worker does until it is killed, or told by `finish` to let all runs end.
fn work(folder: &Path, finish: bool) {
    let log = Arc::new(Mutex::new(OpenOptions::new().append(true).create(true).open(folder.join("log")).unwrap()));
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let journal = Arc::new(SqliteJournal::open(&folder.join("data"), &SqliteOptions::default()).unwrap());
        let Opened { engine, left } = Engine::open(journal, agents(&log), Options::default()).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        say(&log, "opened");
        if finish {
            while engine.stats().open_runs > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            return engine.stop().await.unwrap();
        }
        let mut runs = tokio::task::JoinSet::new();
        for slot in 0.. {
            if slot >= IN_FLIGHT {
                runs.join_next().await.unwrap().unwrap();
            }
            let (engine, log) = (engine.clone(), log.clone());
            runs.spawn(async move {
                let run = engine.start(Order::new(plan(), Payload::null()).durability(Durability::Strict)).unwrap();
                // A run answers once its beginning is durable: from here on it may never be lost.
                if engine.look(run.id(), |run| run.seq()).await.is_ok() {
                    say(&log, &format!("looked {}", run.id()));
                }
                if let Ok(ended) = run.ended().await {
                    say(&log, &format!("ended {} {}", ended.run, ended.seq));
                }
            });
        }
    });
}

#[test]
fn killed_a_hundred_times_it_loses_nothing_and_does_nothing_twice() {
    if let Ok(folder) = std::env::var(WORKER) {
        let (folder, finish) = folder.split_once('|').unwrap();
        return work(Path::new(folder), finish == "finish");
    }
    let folder = tempfile::TempDir::new().unwrap();
    let mut waits = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 0..KILLS {
        let before = opened(folder.path());
        let mut worker = start(folder.path(), "work");
        // One of four is killed wherever it is by then; the others have begun to work, however busy the machine is.
        let begun = Instant::now();
        while kill % 4 != 0 && opened(folder.path()) == before && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(2));
        }
        waits ^= waits << 13;
        waits ^= waits >> 7;
        waits ^= waits << 17;
        std::thread::sleep(Duration::from_millis(waits % 120));
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    assert!(start(folder.path(), "finish").wait().unwrap().success(), "the last worker lets every run end");
    check(folder.path());
}

/// How often a worker has begun to work.
fn opened(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default().lines().filter(|line| *line == "opened").count()
}

fn start(folder: &Path, what: &str) -> std::process::Child {
    let name = "killed_a_hundred_times_it_loses_nothing_and_does_nothing_twice";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(WORKER, format!("{}|{what}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn check(folder: &Path) {
    let mut log = String::new();
    File::open(folder.join("log")).unwrap().read_to_string(&mut log).unwrap();
    let reader = SqliteReader::open(&folder.join("data")).unwrap();
    let report = reader.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
    assert!(reader.open_runs().unwrap().is_empty(), "every run completes");

    let mut acknowledged: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut finished_before: BTreeSet<(RunId, String)> = BTreeSet::new();
    let mut done: BTreeMap<(RunId, String), Vec<u32>> = BTreeMap::new();
    let mut begun: BTreeSet<RunId> = BTreeSet::new();
    let mut opened = 0;
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ended", run, seq] => drop(acknowledged.insert(run.parse().unwrap(), seq.parse().unwrap())),
            ["did", run, task, attempt] => done.entry((run.parse().unwrap(), task.to_owned())).or_default().push(attempt.parse().unwrap()),
            ["looked", run] => drop(begun.insert(run.parse::<RunId>().unwrap())),
            ["opened"] => opened += 1,
            _ => {}
        }
    }
    let mut interrupted = 0;
    for ((run, task), attempts) in &done {
        assert!(attempts.windows(2).all(|pair| pair[0] < pair[1]), "attempts of {task} in {run} only go up: {attempts:?}");
        let loaded = reader.load(*run).unwrap();
        let succeeded = loaded.entries.iter().find_map(|entry| match &entry.event {
            Event::TaskSucceeded { task: of, attempt, .. } if of.id() == task => Some(*attempt),
            _ => None,
        });
        // The attempt that succeeded is the last that was made: what is finished is not done again.
        assert_eq!(succeeded, attempts.last().copied(), "{task} in {run}");
        finished_before.insert((*run, task.clone()));
        interrupted += attempts.len() - 1;
    }
    for (run, seq) in &acknowledged {
        let loaded = reader.load(*run).unwrap();
        assert_eq!(loaded.head.seq, *seq, "nothing that was acknowledged is lost");
        let last = &loaded.entries.last().unwrap().event;
        assert!(matches!(last, Event::RunEnded { status: RunStatus::Succeeded, .. }), "{last:?}");
    }
    let listed = reader.list(&Wanted::newest(usize::MAX)).unwrap();
    let kept: BTreeSet<RunId> = listed.iter().map(|info| info.run).collect();
    assert!(begun.len() > KILLS && begun.is_subset(&kept), "a run that had begun durably is lost");
    for info in &listed {
        assert_eq!(info.ended.map(|(status, _)| status), Some(RunStatus::Succeeded));
        let tasks = (0..STEPS).filter(|ix| finished_before.contains(&(info.run, format!("t{ix}")))).count();
        assert_eq!(tasks, STEPS, "every task of {} was done", info.run);
    }
    // A test in which nothing happens, or in which nobody is interrupted, shows nothing.
    assert!(
        opened > KILLS / 2 && listed.len() > KILLS && interrupted > 10,
        "{opened} times opened, {} runs, {interrupted} interrupted",
        listed.len()
    );
    println!("{opened} times opened, {} runs, {} entries, {interrupted} attempts interrupted", listed.len(), report.entries);
}
