//! What the engine does when something else fails: the disk, an agent, the process, the one who asks.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "this is a test")]

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{compiled, counting, draft};
use quorate_agents::{Agent, Registry};
use quorate_core::draft::{RetryDraft, WorkDraft};
use quorate_core::{
    Draft, Effect, Entry, Event, Failure, FailureClass, Input, Millis, Payload, Person, Plan, Reply, Run, RunId, RunStatus, Said, Signal,
    TaskStatus, Timestamp,
};
use quorate_journal::{
    Append, AppendError, Appended, Asked, Counters, Head, Journal, Loaded, MemoryJournal, ReadError, Record, Report, RunInfo,
    SqliteJournal, SqliteOptions, Text, Wanted, write_lines,
};
use quorate_runtime::{Clock, Durability, Engine, Error, Opened, Options, Order};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

// -- plans, agents, journals

fn calling(draft: &mut Draft, id: &str, agent: &str) {
    let task = draft.tasks.iter_mut().find(|task| task.id == id).unwrap();
    task.work = WorkDraft::Agent { id: Some(agent.into()), capabilities: Vec::new() };
}

fn nested(inner: &Plan, text: &str) -> Draft {
    let mut outer = draft(text);
    outer.tasks.iter_mut().find(|task| task.id == "sub").unwrap().work = WorkDraft::Workflow { plan: inner.digest() };
    outer
}

fn order(plan: &Arc<Plan>) -> Order {
    Order::new(plan.clone(), Payload::null())
}

fn go() -> Input {
    Input::Signal(Signal { name: "go".into(), id: None, payload: Payload::null(), by: "bus".into() })
}

fn quick(names: &[&str]) -> Registry {
    let registry = Registry::new();
    for name in names {
        registry.register(Agent::from_async(name, |_| async { Ok(Reply::new(Payload::null())) }));
    }
    registry
}

fn sqlite(folder: &tempfile::TempDir) -> Arc<SqliteJournal> {
    Arc::new(SqliteJournal::open(folder.path(), &SqliteOptions::default()).unwrap())
}

async fn reopened(folder: &tempfile::TempDir, registry: Registry) -> Opened {
    Engine::open(sqlite(folder), Arc::new(registry), Options::default()).await.unwrap()
}

/// An engine on tokio's clock over a gate.
fn gated(registry: Registry) -> (Arc<Gate>, Engine) {
    let gate = Arc::new(Gate::default());
    let clock = Clock::Tokio(Timestamp::from_micros(0), Instant::now());
    let options = Options { clock, grace: Duration::from_millis(100), ..Options::default() };
    (gate.clone(), Engine::new(gate, Arc::new(registry), options))
}

/// A journal in memory whose appends can be held back, and refused.
#[derive(Debug, Default)]
struct Gate {
    inner: MemoryJournal,
    shut: AtomicBool,
    refusing: AtomicUsize,
    /// How many milliseconds a load takes, and how many were begun.
    slow: AtomicUsize,
    loads: AtomicUsize,
    held: Mutex<VecDeque<Held>>,
}

#[derive(Debug)]
struct Held {
    run: RunId,
    after: Head,
    entries: Vec<Entry>,
    texts: Vec<Text>,
    done: oneshot::Sender<Result<(), AppendError>>,
}

impl Gate {
    fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
        for held in self.held.lock().unwrap().drain(..) {
            let Append { done, .. } = self.inner.append(held.run, held.after, &held.entries, &held.texts);
            let outcome = futures_util::FutureExt::now_or_never(done).unwrap();
            // Whoever waited may be gone.
            let _ = held.done.send(outcome);
        }
    }

    /// Refuses so many appends.
    fn refuse(&self, count: usize) {
        self.refusing.store(count, Ordering::SeqCst);
    }

    async fn holds(&self, count: usize) {
        while self.held.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Journal for Gate {
    fn append(&self, run: RunId, after: Head, entries: &[Entry], texts: &[Text]) -> Append {
        let (_, head) = write_lines(after, entries);
        if self.refusing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            let source = Arc::new(std::io::Error::other("the disk is full"));
            return Append { head, done: Appended::ready(Err(AppendError::Storage { run, source })) };
        }
        if self.shut.load(Ordering::SeqCst) {
            let (sender, done) = Appended::later();
            self.held.lock().unwrap().push_back(Held { run, after, entries: entries.to_vec(), texts: texts.to_vec(), done: sender });
            return Append { head, done };
        }
        self.inner.append(run, after, entries, texts)
    }

    fn kept(&self, digest: quorate_core::Digest) -> Asked<'_, Result<Option<Arc<str>>, ReadError>> {
        self.inner.kept(digest)
    }

    fn load(&self, runs: Vec<RunId>) -> Asked<'_, Result<Vec<Loaded>, ReadError>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let (loading, slow) = (self.inner.load(runs), self.slow.load(Ordering::SeqCst));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(slow as u64)).await;
            loading.await
        })
    }

    fn open_runs(&self) -> Asked<'_, Result<Vec<RunId>, ReadError>> {
        self.inner.open_runs()
    }

    fn list(&self, wanted: Wanted) -> Asked<'_, Result<Vec<RunInfo>, ReadError>> {
        self.inner.list(wanted)
    }

    fn follow(&self, after: u64, limit: usize) -> Asked<'_, Result<Vec<Record>, ReadError>> {
        self.inner.follow(after, limit)
    }

    fn verify(&self) -> Asked<'_, Result<Report, ReadError>> {
        self.inner.verify()
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }

    fn flush(&self) -> Asked<'_, Result<(), AppendError>> {
        self.inner.flush()
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_is_asked_again_and_again_goes_on_with_what_it_has_begun() {
    let (gate, engine) = gated(quick(&["a", "b"]));
    let ended = engine.start(order(&compiled(&draft("a; b < a")))).unwrap().ended().await.unwrap();
    gate.slow.store(1_000, Ordering::SeqCst);
    gate.loads.store(0, Ordering::SeqCst);
    let mut following = engine.follow_run(ended.run, 0);
    let mut heard = 0;
    // Whoever draws a picture every tenth of a second gives up waiting each time.
    for _ in 0..100 {
        if let Ok(next) = timeout(Duration::from_millis(100), following.next()).await {
            match next.unwrap() {
                Some(_) => heard += 1,
                None => break,
            }
        }
    }
    assert_eq!((heard, gate.loads.load(Ordering::SeqCst)), (ended.seq, 1));
}

// -- the disk

#[tokio::test(start_paused = true)]
async fn a_run_whose_entries_were_refused_goes_on_from_what_is_on_disk() {
    let calls = Arc::new(AtomicUsize::new(0));
    let registry = quick(&["b"]);
    let counted = calls.clone();
    registry.register(Agent::from_async("a", move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(Reply::new(Payload::null())) }
    }));
    let (gate, engine) = gated(registry);
    let run = engine.start(order(&compiled(&draft("go; a < go; b < a")))).unwrap();
    let id = run.id();
    engine.look(id, |_| ()).await.unwrap();
    gate.refuse(3);
    let refused = engine.input(id, go()).await.unwrap_err();
    assert!(matches!(refused, Error::Append(AppendError::Storage { .. })), "whoever sent it learns that it was not taken: {refused}");
    // It is refused twice more while the run tries to go on, and then it is not.
    while engine.input(id, go()).await.is_err() {}
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Succeeded);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_stood_in_line_when_the_disk_failed_still_gets_a_place() {
    let release = Arc::new(Notify::new());
    let waits = release.clone();
    let registry = Registry::new();
    let narrow = Agent::from_async("narrow", move |call| {
        let waits = waits.clone();
        async move {
            if call.request.input.json() == "1" {
                waits.notified().await;
            }
            Ok(Reply::new(Payload::null()))
        }
    });
    registry.register(narrow.max_concurrent(1));
    let (gate, engine) = gated(registry);
    let plan = compiled(&draft("narrow"));
    let first = engine.start(Order::new(plan.clone(), Payload::parse("1".into()).unwrap())).unwrap();
    engine.look(first.id(), |_| ()).await.unwrap();
    let second = engine.start(order(&plan)).unwrap();
    engine.look(second.id(), |_| ()).await.unwrap();
    gate.refuse(1);
    assert!(engine.input(second.id(), go()).await.is_err());
    release.notify_one();
    assert_eq!(first.ended().await.unwrap().status, RunStatus::Succeeded);
    assert_eq!(timeout(Duration::from_secs(60), second.ended()).await.unwrap().unwrap().status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_answered_from_what_is_on_disk() {
    let (gate, engine) = gated(quick(&[]));
    let id = engine.start(order(&compiled(&draft("go")))).unwrap().id();
    engine.look(id, |_| ()).await.unwrap();
    gate.shut();
    let (told, asked) = (engine.clone(), engine.clone());
    let told = tokio::spawn(async move { told.input(id, go()).await });
    gate.holds(1).await;
    let asked = tokio::spawn(async move { asked.status(id).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!asked.is_finished() && !told.is_finished(), "nothing is said of what is not on disk");
    gate.open();
    told.await.unwrap().unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_a_run_ends_learns_that_it_has_ended() {
    let (gate, engine) = gated(quick(&[]));
    let id = engine.start(order(&compiled(&draft("go")))).unwrap().id();
    engine.look(id, |_| ()).await.unwrap();
    gate.shut();
    let (ending, late) = (engine.clone(), engine.clone());
    let ending = tokio::spawn(async move { ending.input(id, go()).await });
    gate.holds(1).await;
    let late = tokio::spawn(async move { late.cancel(id, "ann", "too late", true).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    gate.open();
    ending.await.unwrap().unwrap();
    let refused = late.await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), format!("run {id} has ended"));
}

// -- the process

#[tokio::test]
async fn a_value_of_many_lines_survives_a_restart() {
    let folder = tempfile::TempDir::new().unwrap();
    let registry = Registry::new();
    registry.register(Agent::from_async("a", |_| async { Ok(Reply::new(Payload::parse("{\n  \"x\": 1\n}".into()).unwrap())) }));
    let engine = Engine::new(sqlite(&folder), Arc::new(registry), Options::default());
    let id = engine.start(order(&compiled(&draft("a; go < a")))).unwrap().id();
    while engine.status(id).await.unwrap() != RunStatus::Waiting {
        tokio::task::yield_now().await;
    }
    engine.stop().await.unwrap();
    drop(engine);
    let Opened { engine, left } = reopened(&folder, quick(&["a"])).await;
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(engine.status(id).await.unwrap(), RunStatus::Waiting);
}

#[tokio::test]
async fn a_run_that_cannot_be_loaded_does_not_keep_the_others_shut() {
    let folder = tempfile::TempDir::new().unwrap();
    let engine = Engine::new(sqlite(&folder), Arc::new(quick(&[])), Options::default());
    let plan = compiled(&draft("go"));
    let (bad, good) = (engine.start(order(&plan)).unwrap().id(), engine.start(order(&plan)).unwrap().id());
    for id in [bad, good] {
        engine.look(id, |_| ()).await.unwrap();
    }
    engine.stop().await.unwrap();
    drop(engine);
    let connection = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    let sql = "UPDATE appends SET body = substr(body, 1, 40) WHERE run = ?1";
    assert_eq!(connection.execute(sql, [bad.0.to_be_bytes()]).unwrap(), 1);
    drop(connection);
    let Opened { engine, left } = reopened(&folder, quick(&[])).await;
    assert_eq!(left.len(), 1);
    assert!(left[0].0 == bad && left[0].1.to_string().contains("entry 1: it cannot be read"), "{left:?}");
    engine.input(good, go()).await.unwrap();
    assert_eq!(engine.status(good).await.unwrap(), RunStatus::Succeeded);
}

#[tokio::test]
async fn what_a_remote_service_asks_for_does_not_poison_the_journal() {
    let folder = tempfile::TempDir::new().unwrap();
    let registry = Registry::new();
    registry.register(Agent::from_async("a", |_| async {
        Err(Failure { retry_after: Some(Millis(u64::MAX)), ..Failure::new(FailureClass::RateLimited, "x".repeat(40 << 20)) })
    }));
    let mut draft = draft("a");
    draft.tasks[0].retry = Some(RetryDraft::default());
    let engine = Engine::new(sqlite(&folder), Arc::new(registry), Options::default());
    let id = engine.start(order(&compiled(&draft))).unwrap().id();
    while engine.look(id, |run| run.task("a").unwrap().status()).await.unwrap() != TaskStatus::Retrying {
        tokio::task::yield_now().await;
    }
    engine.stop().await.unwrap();
    drop(engine);
    assert!(std::fs::metadata(folder.path().join("journal.db")).unwrap().len() < 1 << 20, "a message of 40 MiB is cut");
    let Opened { engine, left } = reopened(&folder, quick(&[])).await;
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(engine.look(id, |run| run.task("a").unwrap().status()).await.unwrap(), TaskStatus::Retrying);
}

#[tokio::test]
async fn a_sub_workflow_is_found_in_the_journal_after_a_restart() {
    let folder = tempfile::TempDir::new().unwrap();
    let inner = compiled(&draft("x"));
    let outer = compiled(&nested(&inner, "go; sub < go"));
    let engine = Engine::new(sqlite(&folder), Arc::new(quick(&["x"])), Options::default());
    engine.know(&inner);
    let id = engine.start(order(&outer)).unwrap().id();
    engine.look(id, |_| ()).await.unwrap();
    engine.stop().await.unwrap();
    drop(engine);
    // Nobody tells the new engine about the inner plan.
    let Opened { engine, .. } = reopened(&folder, quick(&["x"])).await;
    let mut follow = engine.follow_run(id, 0);
    engine.input(id, go()).await.unwrap();
    while follow.next().await.unwrap().is_some() {}
    assert_eq!(engine.status(id).await.unwrap(), RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_sub_workflow_that_a_crash_left_at_either_end_is_gone_on_with() {
    let inner = compiled(&draft("x"));
    let outer = compiled(&nested(&inner, "sub"));
    for ended in [false, true] {
        let journal = Arc::new(MemoryJournal::new());
        let start = |plan: &Plan, parent| quorate_core::Start {
            plan: plan.digest(),
            name: plan.name().clone(),
            input: Payload::null(),
            profile: None,
            session: None,
            by: "tester".into(),
            route: None,
            skills: Vec::new(),
            parent,
            within: None,
            deadline: None,
        };
        let (id, at) = (RunId(7), Timestamp::from_micros(0));
        let (mut run, mut entries) = Run::start(&outer, id, at, start(&outer, None));
        let task = run.next_ready().unwrap().task;
        entries.extend(run.advance(at, Input::ChildDispatched { task }).unwrap());
        let texts = [&outer, &inner].map(|plan| (plan.digest(), plan.source().clone()));
        journal.append(id, Head::START, &entries, &texts).done.await.unwrap();
        if ended {
            let parent = quorate_core::Parent { run: id, task: "sub".into(), attempt: 1 };
            let (mut run, mut entries) = Run::start(&inner, id.child("sub", 1), at, start(&inner, Some(parent)));
            let task = run.next_ready().unwrap().task;
            let agent = Arc::new(quorate_core::AgentRef::new("x", "1", Effect::None));
            entries.extend(
                run.advance(at, Input::Dispatched { task: task.clone(), agent, timeout: None, choice: None, wanted: None }).unwrap(),
            );
            entries.extend(run.advance(at, Input::Ended { task, attempt: 1, result: Ok(Reply::new(Payload::null())) }).unwrap());
            journal.append(id.child("sub", 1), Head::START, &entries, &[]).done.await.unwrap();
        }
        let Opened { engine, .. } = Engine::open(journal, Arc::new(quick(&["x"])), Options::default()).await.unwrap();
        let mut follow = engine.follow_run(id, 0);
        while timeout(Duration::from_secs(60), follow.next()).await.unwrap().unwrap().is_some() {}
        assert_eq!(engine.status(id).await.unwrap(), RunStatus::Succeeded, "the child had ended: {ended}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_and_stopping_do_not_miss_each_other() {
    let plan = compiled(&draft("go"));
    for _ in 0..200 {
        let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(quick(&[])), Options::default());
        let (other, plan) = (engine.clone(), plan.clone());
        let starter = tokio::spawn(async move { (0..5_000).take_while(|_| other.start(order(&plan)).is_ok()).count() });
        tokio::task::yield_now().await;
        timeout(Duration::from_secs(20), engine.stop()).await.expect("it stops").unwrap();
        starter.await.unwrap();
        assert_eq!(engine.stats().open_runs, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_fails_nobody() {
    let inner = compiled(&draft("x"));
    let chain: Vec<String> = (1..40).map(|ix| format!("s{ix} < s{}", ix - 1)).collect();
    let mut outer = draft(&format!("s0; {}", chain.join(";")));
    for task in &mut outer.tasks {
        task.work = WorkDraft::Workflow { plan: inner.digest() };
    }
    let (outer, waiting) = (compiled(&outer), compiled(&draft("go")));
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(quick(&["x"])), Options::default());
    engine.know(&inner);
    for _ in 0..2_000 {
        engine.start(order(&waiting)).unwrap();
    }
    let parents: Vec<RunId> = (0..100).map(|_| engine.start(order(&outer)).unwrap().id()).collect();
    engine.look(parents[99], |_| ()).await.unwrap();
    timeout(Duration::from_secs(20), engine.stop()).await.expect("it stops").unwrap();
    for parent in parents {
        assert_ne!(engine.load(parent).await.unwrap().status(), RunStatus::Failed);
    }
}

#[tokio::test]
async fn followers_end_when_the_engine_stops_and_unknown_runs_are_not_waited_for() {
    let folder = tempfile::TempDir::new().unwrap();
    let engine = Engine::new(sqlite(&folder), Arc::new(quick(&[])), Options::default());
    let id = engine.start(order(&compiled(&draft("go")))).unwrap().id();
    let (mut one, mut all) = (engine.follow_run(id, 0), engine.follow(0));
    let one = tokio::spawn(async move { while one.next().await.is_ok_and(|entry| entry.is_some()) {} });
    let all = tokio::spawn(async move { while all.next().await.is_ok() {} });
    assert!(matches!(engine.follow_run(RunId(99), 0).next().await, Err(Error::NoRun(RunId(99)))));
    engine.stop().await.unwrap();
    one.await.unwrap();
    all.await.unwrap();
    drop(engine);
    sqlite(&folder);
}

// -- agents

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_ten_thousand_who_left_is_passed_over() {
    let release = Arc::new(Notify::new());
    let waits = release.clone();
    let registry = Registry::new();
    let agent = Agent::from_async("a", move |_| {
        let waits = waits.clone();
        async move {
            waits.notified().await;
            Ok(Reply::new(Payload::null()))
        }
    });
    registry.register(agent.max_concurrent(1));
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), Options::default());
    let plan = compiled(&draft("a"));
    let start = || engine.start(order(&plan).durability(Durability::Memory)).unwrap();
    let first = start();
    engine.look(first.id(), |_| ()).await.unwrap();
    let others: Vec<_> = (0..10_000).map(|_| start()).collect();
    for other in &others {
        engine.cancel(other.id(), "ann", "enough", false).await.unwrap();
    }
    for other in others {
        other.ended().await.unwrap();
    }
    release.notify_one();
    assert_eq!(first.ended().await.unwrap().status, RunStatus::Succeeded);
}

#[test]
fn a_call_that_stood_in_line_for_a_thread_is_not_made_when_nobody_wants_it_any_more() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_all().build().unwrap();
    let (busy, paid) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let registry = Registry::new();
    let (until, counted) = (busy.clone(), paid.clone());
    registry.register(Agent::from_blocking("slow", move |_| {
        while until.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok(Reply::new(Payload::null()))
    }));
    registry.register(Agent::from_blocking("pay", move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Reply::new(Payload::null()))
    }));
    runtime.block_on(async {
        let options = Options { grace: Duration::from_millis(20), ..Options::default() };
        let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), options);
        let slow = engine.start(order(&compiled(&draft("slow")))).unwrap();
        engine.look(slow.id(), |_| ()).await.unwrap();
        let mut paying = draft("pay");
        paying.tasks[0].timeout = Some(Millis(20));
        let ended = engine.start(order(&compiled(&paying))).unwrap().ended().await.unwrap();
        assert_eq!(ended.status, RunStatus::Failed);
        busy.store(false, Ordering::SeqCst);
        assert_eq!(slow.ended().await.unwrap().status, RunStatus::Succeeded);
        engine.stop().await.unwrap();
    });
    drop(runtime);
    assert_eq!(paid.load(Ordering::SeqCst), 0);
}

/// Spins until it is let go, and never yields.
fn spinning(name: &str, free: &Arc<AtomicBool>) -> Agent {
    let free = free.clone();
    Agent::from_async(name, move |_| {
        let free = free.clone();
        async move {
            while !free.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(Reply::new(Payload::null()))
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_agent_that_never_yields_is_given_up() {
    let free = Arc::new(AtomicBool::new(false));
    let registry = Registry::new();
    registry.register(spinning("stubborn", &free));
    let options = Options { grace: Duration::from_millis(20), ..Options::default() };
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), options);
    let mut draft = draft("stubborn");
    draft.tasks[0].timeout = Some(Millis(20));
    draft.tasks[0].retry = Some(RetryDraft { initial_delay: Millis(0), ..RetryDraft::default() });
    let run = engine.start(order(&compiled(&draft))).unwrap();
    let id = run.id();
    assert_eq!(timeout(Duration::from_secs(20), run.ended()).await.unwrap().unwrap().status, RunStatus::Failed);
    timeout(Duration::from_secs(20), engine.stop()).await.expect("it stops").unwrap();
    free.store(true, Ordering::SeqCst);
    let cause = engine.load(id).await.unwrap().task("stubborn").unwrap().cause().unwrap().to_string();
    assert_eq!(cause, "timeout: the attempt before does not stop, and two must not overlap");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_given_up_blocks_its_own_task_and_no_other() {
    let free = Arc::new(AtomicBool::new(false));
    let until = free.clone();
    let registry = Registry::new();
    let pay = Agent::from_blocking("pay", move |call| {
        while &*call.request.task == "pay" && !until.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok(Reply::new(Payload::null()))
    });
    registry.register(pay.effect(Effect::Once));
    let mut draft = draft("pay; go; other < go");
    draft.tasks[0].timeout = Some(Millis(20));
    draft.continue_on_failure = true;
    calling(&mut draft, "other", "pay");
    let options = Options { grace: Duration::from_millis(20), ..Options::default() };
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), options);
    let run = engine.start(order(&compiled(&draft))).unwrap();
    let id = run.id();
    while engine.look(id, |run| run.task("pay").unwrap().status()).await.unwrap() != TaskStatus::Asking {
        tokio::task::yield_now().await;
    }
    let by = Person { name: "ann".into(), groups: Vec::new() };
    let again = Input::Answered { task: "pay".into(), by, choice: "again".into(), note: String::new(), evidence: None, output: None };
    engine.input(id, again).await.unwrap();
    engine.input(id, go()).await.unwrap();
    assert_eq!(timeout(Duration::from_secs(20), run.ended()).await.unwrap().unwrap().status, RunStatus::Failed);
    free.store(true, Ordering::SeqCst);
    let run = engine.load(id).await.unwrap();
    assert_eq!(run.task("other").unwrap().status(), TaskStatus::Succeeded);
    assert!(run.task("pay").unwrap().cause().unwrap().to_string().contains("does not stop"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_landing_holds_up_nobody_else() {
    let registry = Registry::new();
    registry.register(Agent::from_async("x", |call| async move {
        if &*call.request.task == "a" && call.request.attempt == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Reply::new(Payload::null()))
    }));
    let mut draft = draft("a; b");
    calling(&mut draft, "a", "x");
    calling(&mut draft, "b", "x");
    draft.max_parallel = Some(1);
    draft.tasks[0].timeout = Some(Millis(100));
    draft.tasks[0].retry = Some(RetryDraft { initial_delay: Millis(0), ..RetryDraft::default() });
    let (_, engine) = gated(registry);
    let run = engine.start(order(&compiled(&draft))).unwrap();
    let id = run.id();
    run.ended().await.unwrap();
    let run = engine.load(id).await.unwrap();
    let began = |task: &str| run.task(task).unwrap().started().unwrap().micros() / 1_000;
    assert_eq!((began("a"), began("b")), (0, 100), "b does not wait until the grace of a is over");
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_does_not_wait_behind_its_own_run() {
    let (seen, release) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
    let (log, waits) = (seen.clone(), release.clone());
    let registry = Registry::new();
    let agent = Agent::from_async("x", move |call| {
        let (log, waits) = (log.clone(), waits.clone());
        async move {
            log.lock().unwrap().push(call.request.task.to_string());
            waits.notified().await;
            Ok(Reply::new(Payload::null()))
        }
    });
    registry.register(agent.max_concurrent(1));
    let (_, engine) = gated(registry);
    let with = |text: &str, priorities: &[(&str, u8)]| {
        let mut draft = draft(text);
        for (id, priority) in priorities {
            calling(&mut draft, id, "x");
            draft.tasks.iter_mut().find(|task| task.id == *id).unwrap().priority = Some(*priority);
        }
        compiled(&draft)
    };
    let mut runs = Vec::new();
    for plan in
        [with("holder", &[("holder", 5)]), with("low; go; urgent < go", &[("low", 1), ("urgent", 10)]), with("middle", &[("middle", 5)])]
    {
        let run = engine.start(order(&plan)).unwrap();
        engine.look(run.id(), |_| ()).await.unwrap();
        runs.push(run);
    }
    engine.input(runs[1].id(), go()).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        release.notify_one();
    }
    for run in runs {
        run.ended().await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), ["holder", "urgent", "middle", "low"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_checked_whoever_returns_it() {
    let registry = Registry::new();
    registry.register(Agent::from_async("x", |_| async { Ok(Reply::new(Payload::of("not an object").unwrap())) }));
    registry.register(Agent::from_async("sure", |_| async {
        let said = Said { confidence: Some("1000000000000".parse().unwrap()), ..Said::default() };
        Ok(Reply { said: Some(Box::new(said)), ..Reply::new(Payload::null()) })
    }));
    let inner = compiled(&draft("x"));
    let mut outer = nested(&inner, "sub; sure");
    outer.continue_on_failure = true;
    outer.tasks[0].output = serde_json::from_str(r#"{"object": [{"name": "within_tolerance", "type": "bool"}]}"#).unwrap();
    let (_, engine) = gated(registry);
    engine.know(&inner);
    let run = engine.start(order(&compiled(&outer))).unwrap();
    let id = run.id();
    run.ended().await.unwrap();
    let run = engine.load(id).await.unwrap();
    let cause = |task: &str| run.task(task).unwrap().cause().unwrap().to_string();
    assert_eq!(cause("sub"), "invalid: `output` should be an object, but is \"not an object\"");
    assert_eq!(cause("sure"), "invalid: the confidence should be a number from 0 to 1, but is 1000000000000");
}

#[tokio::test(start_paused = true)]
async fn limits_can_change_and_a_grace_without_end_is_a_long_one() {
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let registry = Arc::new(Registry::new());
    let options = Options { grace: Duration::MAX, ..Options::default() };
    let engine = Engine::new(Arc::new(MemoryJournal::new()), registry.clone(), options);
    let plan = compiled(&draft("a"));
    for limit in [1, 8] {
        registry.register(counting("a", &at_once, &most).max_concurrent(limit));
        let runs: Vec<_> = (0..8).map(|_| engine.start(order(&plan)).unwrap()).collect();
        for run in runs {
            run.ended().await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), limit);
    }
    let run = engine.start(order(&plan)).unwrap();
    engine.cancel(run.id(), "ann", "enough", false).await.unwrap();
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_panics_harms_who_asks_and_nobody_else() {
    let (_, engine) = gated(quick(&[]));
    let run = engine.start(order(&compiled(&draft("go")))).unwrap();
    let id = run.id();
    let other = engine.clone();
    let asked = tokio::spawn(async move { other.look(id, |_| panic!("what was I thinking")).await });
    assert!(asked.await.unwrap_err().is_panic());
    engine.input(id, go()).await.unwrap();
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Succeeded);
    let entries = engine.journal().load(vec![id]).await.unwrap().remove(0).entries;
    assert!(matches!(entries.last().unwrap().event, Event::RunEnded { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_started_once_however_often_it_is_tried() {
    let (_, engine) = gated(quick(&[]));
    let plan = compiled(&draft("go"));
    let run = engine.start(order(&plan).id(RunId(7))).unwrap();
    assert!(matches!(engine.start(order(&plan).id(RunId(7))), Err(Error::Exists(RunId(7)))));
    engine.input(RunId(7), go()).await.unwrap();
    run.ended().await.unwrap();
    let again = engine.start(order(&plan).id(RunId(7))).unwrap().ended().await.unwrap_err();
    assert!(matches!(again, Error::Append(AppendError::Conflict { expected: 0, .. })), "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_run_begins_only_with_what_its_plan_says() {
    let mut inner = draft("x");
    inner.input = serde_json::from_str(r#"{"object": [{"name": "amount", "type": {"number": {}}}]}"#).unwrap();
    let inner = compiled(&inner);
    let mut outer = nested(&inner, "sub");
    outer.continue_on_failure = true;
    let (_, engine) = gated(quick(&["x"]));
    engine.know(&inner);
    let refused = engine.start(order(&inner)).unwrap_err();
    assert_eq!(refused.to_string(), "the plan `test` cannot begin: `input` should be an object, but is null");
    let fits = Payload::parse(r#"{"amount": 12.50}"#.into()).unwrap();
    assert_eq!(engine.start(Order::new(inner.clone(), fits)).unwrap().ended().await.unwrap().status, RunStatus::Succeeded);
    let run = engine.start(order(&compiled(&outer))).unwrap();
    let id = run.id();
    run.ended().await.unwrap();
    let cause = engine.load(id).await.unwrap().task("sub").unwrap().cause().unwrap().to_string();
    assert_eq!(cause, "invalid: the plan `test` cannot begin: `input` should be an object, but is null");
}
