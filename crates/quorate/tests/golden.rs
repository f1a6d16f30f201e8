//! Journals as they were written before: they are read for good, and the same work writes the same journal, byte for byte.
//!
//! A line that changes is a change of the format. Whoever means it sets `UPDATE_GOLDEN=1`, looks at what changed, and says in
//! the changelog what becomes of journals that are there already.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate::host::Host;
use quorate::{
    Clock, Digest, Engine, Entry, Head, Input, MemoryJournal, Options, Order, Payload, Person, Plan, Run, RunId, RunStatus, Signal,
    Timestamp, read_line, write_lines,
};
use tokio::time::{Instant, sleep};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A run of a workflow on a clock of its own: its plan, and its journal line by line.
async fn written(host: &Host, workflow: &str, input: &str, people: impl AsyncFnOnce(&Engine, RunId)) -> String {
    let clock = Clock::Tokio(Timestamp::from_micros(1_700_000_000_000_000), Instant::now());
    let registry = host.registry(|_, _| None);
    let engine = Engine::new(Arc::new(MemoryJournal::new()), registry, Options { clock, ..host.options() });
    host.project().workflows.values().for_each(|workflow| engine.know(&workflow.plan));
    let plan = host.project().workflows[workflow].plan.clone();
    let id = RunId(0x00c0_ffee);
    let order = Order { by: "eve".into(), ..Order::new(plan.clone(), Payload::parse(input.to_owned()).unwrap()) };
    let running = engine.start(order.id(id)).unwrap();
    people(&engine, id).await;
    running.ended().await.unwrap();
    let loaded = engine.journal().load(vec![id]).await.unwrap().pop().unwrap();
    format!("{}\n{}\n", plan.source(), write_lines(Head::START, &loaded.entries).0)
}

/// The run that a journal is of.
fn read(journal: &str) -> Run {
    let mut lines = journal.lines();
    let plan = Arc::new(Plan::read(lines.next().unwrap()).unwrap());
    let mut before = Digest::ZERO;
    let entries: Vec<Entry> = lines
        .map(|text| {
            let line = read_line(text).unwrap_or_else(|wrong| panic!("{wrong}: {text}"));
            assert_eq!(line.prev, before, "the chain holds at {text}");
            before = Digest::of(text.as_bytes());
            Entry { seq: line.seq, at: line.at, event: line.event }
        })
        .collect();
    Run::load(RunId(0x00c0_ffee), plan, &entries).unwrap()
}

async fn answers(engine: &Engine, id: RunId) {
    for name in ["ann", "bob"] {
        sleep(Duration::from_secs(60)).await;
        let by = Person { name: name.into(), groups: vec!["leads".into()] };
        let (choice, note) = ("approve".to_owned(), format!("{name} has looked"));
        engine.input(id, Input::Answered { task: "sign_off".into(), by, choice, note, evidence: None, output: None }).await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    let signal = Signal { name: "go".into(), id: Some("1".into()), payload: Payload::null(), by: "gate".into() };
    engine.input(id, Input::Signal(signal)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn journals_are_written_as_before_and_read_for_good() {
    let host = Host::read(&folder(), &[]).unwrap();
    assert!(host.checked.is_sound(), "{:#?}", host.checked.diagnostics);
    let nobody = async |_: &Engine, _: RunId| ();
    for (workflow, ends, attempts) in [
        ("joins", RunStatus::Succeeded, 7),
        ("retries", RunStatus::Succeeded, 3),
        ("undone", RunStatus::Failed, 5),
        ("asked", RunStatus::Succeeded, 2),
        ("again", RunStatus::Succeeded, 4),
        ("decided", RunStatus::Succeeded, 2),
    ] {
        let now = match workflow {
            "asked" => written(&host, workflow, r#"{"version": "1.2"}"#, answers).await,
            _ => written(&host, workflow, "null", nobody).await,
        };
        let file = folder().join(format!("{workflow}.jsonl"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let before = std::fs::read_to_string(&file).unwrap();
        let run = read(&before);
        let worked: u32 = run.tasks().map(quorate::TaskView::attempts).sum();
        assert_eq!((run.status(), worked), (ends, attempts), "{workflow}, as it was written before");
        let differs = before.lines().zip(now.lines()).find(|(before, now)| before != now);
        assert_eq!(differs, None, "{workflow} is written in another way");
        assert_eq!(before.lines().count(), now.lines().count(), "{workflow} has other entries");
    }
}
