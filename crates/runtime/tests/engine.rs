//! How the engine drives runs: limits, time, panics, stopping, going on.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "this is a test")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{compiled, counting, draft};
use quorate_agents::{Agent, Registry};
use quorate_core::draft::{ApprovalDraft, BudgetDraft, Level, RetryDraft, TaskDraft, WaitDraft, WorkDraft};
use quorate_core::{
    Effect, Event, Failure, FailureClass, Input, Millis, Payload, Person, Reply, Role, Run, RunId, RunStatus, Signal, TaskStatus, Timestamp,
};
use quorate_journal::{MemoryJournal, SqliteJournal, SqliteOptions, Wanted};
use quorate_runtime::{Clock, Durability, Engine, Error, Opened, Options, Order};
use tokio::time::Instant;

fn number(value: u64) -> Payload {
    Payload::of(&value).unwrap()
}

/// Agents that return their number at once, under these names.
fn registry(names: &[&str]) -> Registry {
    let registry = Registry::new();
    for (value, name) in (0..).zip(names) {
        registry.register(Agent::from_async(name, move |_| async move { Ok(Reply::new(number(value))) }));
    }
    registry
}

/// An engine on tokio's clock, so that tests wait for nothing.
fn engine(registry: Registry) -> Engine {
    engine_with(registry, Options::default())
}

fn engine_with(registry: Registry, options: Options) -> Engine {
    let clock = Clock::Tokio(Timestamp::from_micros(0), Instant::now());
    Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), Options { clock, ..options })
}

#[tokio::test(start_paused = true)]
async fn a_run_returns_what_its_last_task_returned_under_every_durability() {
    let plan = compiled(&draft("a; b < a; c < a b"));
    for durability in [Durability::Strict, Durability::Relaxed, Durability::Memory] {
        let engine = engine(registry(&["a", "b", "c"]));
        let ended = engine.start(Order::new(plan.clone(), Payload::null()).durability(durability)).unwrap().ended().await.unwrap();
        assert_eq!((ended.status, ended.output.unwrap().json()), (RunStatus::Succeeded, "2"));
        assert_eq!(engine.stats().open_runs, 0, "a run that has ended leaves memory");
        let kept = engine.journal().load(vec![ended.run]).await.unwrap()[0].entries.len() as u64;
        assert_eq!(kept, if durability == Durability::Memory { 0 } else { ended.seq });
    }
}

#[tokio::test(start_paused = true)]
async fn six_tasks_three_at_a_time_take_two_rounds() {
    let registry = Registry::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        registry.register(Agent::from_async(name, |_| async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(Reply::new(Payload::null()))
        }));
    }
    let mut draft = draft("a; b; c; d; e; f");
    draft.max_parallel = Some(3);
    let begun = Instant::now();
    engine(registry).start(Order::new(compiled(&draft), Payload::null())).unwrap().ended().await.unwrap();
    assert_eq!(begun.elapsed().as_millis(), 400);
}

#[tokio::test(start_paused = true)]
async fn limits_of_agents_and_of_the_engine_hold_over_all_runs() {
    let (narrow, narrow_most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (all, all_most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let registry = Registry::new();
    registry.register(counting("narrow", &narrow, &narrow_most).max_concurrent(2));
    registry.register(counting("wide", &all, &all_most));
    let engine = engine_with(registry, Options { max_concurrent_agents: Some(5), ..Options::default() });
    let mut draft = draft("a; b; c; d; e; f");
    for (ix, task) in draft.tasks.iter_mut().enumerate() {
        task.work = WorkDraft::Agent { id: Some(if ix % 2 == 0 { "narrow" } else { "wide" }.into()), capabilities: Vec::new() };
    }
    let plan = compiled(&draft);
    let runs: Vec<_> = (0..20).map(|_| engine.start(Order::new(plan.clone(), Payload::null())).unwrap()).collect();
    for run in runs {
        assert_eq!(run.ended().await.unwrap().status, RunStatus::Succeeded);
    }
    assert_eq!(narrow_most.load(Ordering::SeqCst), 2);
    assert!((3..=5).contains(&all_most.load(Ordering::SeqCst)), "{all_most:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_task_and_nothing_else() {
    let registry = registry(&["fine"]);
    registry.register(Agent::from_async("async", |_| async { panic!("out of cheese") }));
    registry.register(Agent::from_blocking("blocking", |_| panic!("out of bread")));
    registry.register(Agent::from_quick("quick", |_| panic!("out of jam")));
    registry.register(Agent::from_quick("guessing", |_| Ok(Reply::new(Payload::null()))).reserving(|_| panic!("out of ideas")));
    let mut draft = draft("async; blocking; quick; guessing; fine");
    draft.continue_on_failure = true;
    draft.budget = Some(BudgetDraft { tokens: Some(1_000), ..BudgetDraft::default() });
    let engine = engine(registry);
    let run = engine.start(Order::new(compiled(&draft), Payload::null())).unwrap();
    let id = run.id();
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Failed);
    let run = engine.load(id).await.unwrap();
    let cause = |task: &str| run.task(task).unwrap().cause().map(ToString::to_string);
    assert_eq!(cause("async").unwrap(), "internal: the agent panicked: out of cheese");
    assert_eq!(cause("blocking").unwrap(), "internal: the agent panicked: out of bread");
    assert_eq!(cause("quick").unwrap(), "internal: the agent panicked: out of jam");
    assert_eq!(cause("guessing").unwrap(), "internal: the agent panicked: out of ideas");
    assert_eq!(run.task("fine").unwrap().status(), TaskStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_quick_is_called_by_whoever_drives_its_run_and_leaves_room_for_others() {
    let (seen, calls) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicUsize::new(0)));
    let (callers, counted) = (seen.clone(), calls.clone());
    let registry = Registry::new();
    registry.register(
        Agent::from_quick("quick", move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            callers.lock().unwrap().insert(tokio::task::id());
            Ok(Reply::new(Payload::null()))
        })
        .max_concurrent(1),
    );
    let mut draft = draft("quick");
    draft.tasks = (0..5_000).map(|ix| TaskDraft { id: format!("t{ix}"), ..draft.tasks[0].clone() }).collect();
    let engine = engine(registry);
    let running = engine.start(Order::new(compiled(&draft), Payload::null()).durability(Durability::Memory)).unwrap();
    let mut turns = 0;
    while calls.load(Ordering::SeqCst) < 5_000 {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert_eq!(running.ended().await.unwrap().status, RunStatus::Succeeded);
    assert_eq!(seen.lock().unwrap().len(), 1, "no call has a task of its own");
    assert!(turns > 20, "others had the thread only {turns} times");
}

#[tokio::test(start_paused = true)]
async fn retries_wait_on_the_engines_clock() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let registry = Registry::new();
    registry.register(Agent::from_async("a", move |_| {
        let failing = counted.fetch_add(1, Ordering::SeqCst) < 5;
        async move { if failing { Err(Failure::new(FailureClass::Unavailable, "not yet")) } else { Ok(Reply::new(Payload::null())) } }
    }));
    let mut draft = draft("a");
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 5, max_delay: Millis(10_000), ..RetryDraft::default() });
    let begun = Instant::now();
    let ended = engine(registry).start(Order::new(compiled(&draft), Payload::null())).unwrap().ended().await.unwrap();
    assert_eq!(ended.status, RunStatus::Succeeded);
    // 1 + 2 + 4 + 8 + 10 seconds.
    assert_eq!(begun.elapsed().as_secs(), 25);
    assert_eq!(calls.load(Ordering::SeqCst), 6);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_tells_the_agent_first_and_ends_it_after_its_grace() {
    let told = Arc::new(AtomicUsize::new(0));
    let heard = told.clone();
    let registry = Registry::new();
    registry.register(Agent::from_async("deaf", move |call| {
        let heard = heard.clone();
        async move {
            call.cancel.raised().await;
            heard.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    }));
    let mut draft = draft("deaf");
    draft.tasks[0].timeout = Some(Millis(100));
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 1, initial_delay: Millis(0), ..RetryDraft::default() });
    let engine = engine_with(registry, Options { grace: Duration::from_secs(3), ..Options::default() });
    let begun = Instant::now();
    let ended = engine.start(Order::new(compiled(&draft), Payload::null())).unwrap().ended().await.unwrap();
    assert_eq!(ended.status, RunStatus::Failed);
    assert_eq!(told.load(Ordering::SeqCst), 2, "each attempt was told");
    // 100 ms, then 3 s of grace before the second attempt may start, then 100 ms.
    assert_eq!(begun.elapsed().as_millis(), 3_200);
}

#[tokio::test]
async fn a_thread_that_does_not_stop_fails_its_task_rather_than_overlap_with_itself() {
    let registry = Registry::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, release) = (calls.clone(), Arc::new(AtomicUsize::new(0)));
    let released = release.clone();
    registry.register(Agent::from_blocking("stubborn", move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        while released.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        Ok(Reply::new(Payload::null()))
    }));
    let mut draft = draft("stubborn");
    draft.tasks[0].timeout = Some(Millis(20));
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 3, initial_delay: Millis(0), ..RetryDraft::default() });
    let options = Options { grace: Duration::from_millis(20), ..Options::default() };
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), options);
    let run = engine.start(Order::new(compiled(&draft), Payload::null())).unwrap();
    let id = run.id();
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Failed);
    release.store(1, Ordering::SeqCst);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let cause = engine.load(id).await.unwrap().task("stubborn").unwrap().cause().unwrap().to_string();
    assert_eq!(cause, "timeout: the attempt before does not stop, and two must not overlap");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_invalid() {
    let registry = Registry::new();
    registry.register(Agent::from_async("sure", |_| async {
        Ok(Reply::new(Payload::parse(r#"{"confidence": 1000000000000}"#.into()).unwrap()))
    }));
    registry.register(Agent::from_async("typed", |_| async {
        Ok(Reply::new(Payload::parse(r#"{"within_tolerance": "yes"}"#.into()).unwrap()))
    }));
    let mut draft = draft("sure; typed; nobody");
    draft.continue_on_failure = true;
    draft.tasks[1].output = serde_json::from_str(r#"{"object": [{"name": "within_tolerance", "type": "bool"}]}"#).unwrap();
    let engine = engine(registry);
    let run = engine.start(Order::new(compiled(&draft), Payload::null())).unwrap();
    let id = run.id();
    run.ended().await.unwrap();
    let run = engine.load(id).await.unwrap();
    let cause = |task: &str| run.task(task).unwrap().cause().unwrap().to_string();
    assert_eq!(cause("sure"), "invalid: `output.confidence` should be a number from 0 to 1, but is 1000000000000");
    assert_eq!(cause("typed"), "invalid: `output.within_tolerance` should be true or false, but is \"yes\"");
    assert_eq!(cause("nobody"), "unavailable: no agent is called `nobody`; there is sure, typed");
}

#[tokio::test(start_paused = true)]
async fn people_signals_and_cancels_reach_a_run_and_refusals_come_back() {
    let mut draft = draft("ask; hear < ask; end < hear");
    draft.tasks[0].work = WorkDraft::Approval(ApprovalDraft { question: "Go?".into(), ..ApprovalDraft::default() });
    draft.tasks[1].work = WorkDraft::Wait(WaitDraft { signal: Some("go".into()), ..WaitDraft::default() });
    let engine = engine(registry(&["end"]));
    let run = engine.start(Order::new(compiled(&draft), Payload::null())).unwrap();
    let id = run.id();
    let answer = |name: &str| Input::Answered {
        task: "ask".into(),
        by: Person { name: name.into(), groups: Vec::new() },
        choice: "approve".into(),
        note: String::new(),
        evidence: None,
        output: None,
    };
    assert_eq!(engine.look(id, Run::status).await.unwrap(), RunStatus::Waiting);
    assert!(matches!(engine.input(id, answer("system")).await, Err(Error::Refused(_))), "the starter may not answer");
    engine.input(id, answer("ann")).await.unwrap();
    assert!(matches!(engine.input(id, answer("bob")).await, Err(Error::Refused(_))), "the first answer wins");
    engine.input(id, Input::Signal(Signal { name: "go".into(), id: None, payload: number(7), by: "bus".into() })).await.unwrap();
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Succeeded);
    assert!(matches!(engine.cancel(id, "ann", "late", false).await, Err(Error::NoRun(_))));
    assert_eq!(engine.status(id).await.unwrap(), RunStatus::Succeeded);
    assert!(engine.status(RunId(5)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_workflow_within_a_workflow_is_a_run_of_its_own() {
    let inner = compiled(&draft("x; y < x"));
    let mut outer = draft("a; sub < a; z < sub");
    outer.tasks[1].work = WorkDraft::Workflow { plan: inner.digest() };
    outer.tasks[2].input = Some(serde_json::json!("{{ sub }}"));
    let registry = registry(&["a", "x", "y"]);
    registry.register(Agent::from_async("z", |call| async move { Ok(Reply::new(call.request.input)) }));
    let engine = engine(registry);
    engine.know(&inner);
    let run = engine.start(Order::new(compiled(&outer), Payload::null())).unwrap();
    let id = run.id();
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.status, ended.output.unwrap().json()), (RunStatus::Succeeded, "2"));
    let entries = &engine.journal().load(vec![id]).await.unwrap()[0].entries;
    let child = entries.iter().find_map(|entry| match &entry.event {
        Event::ChildStarted { run, .. } => Some(*run),
        _ => None,
    });
    let child = engine.load(child.unwrap()).await.unwrap();
    assert_eq!(child.begun().unwrap().parent.as_ref().unwrap().run, id);
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_run_cancels_the_runs_that_it_started() {
    let mut inner = draft("wait; clean");
    inner.tasks[0].work = WorkDraft::Wait(WaitDraft { signal: Some("never".into()), ..WaitDraft::default() });
    inner.tasks[1].role = Role::Finally;
    let inner = compiled(&inner);
    let mut outer = draft("sub");
    outer.tasks[0].work = WorkDraft::Workflow { plan: inner.digest() };
    let engine = engine(registry(&["clean"]));
    engine.know(&inner);
    let run = engine.start(Order::new(compiled(&outer), Payload::null())).unwrap();
    let id = run.id();
    while engine.stats().open_runs < 2 {
        tokio::task::yield_now().await;
    }
    engine.cancel(id, "ann", "enough", false).await.unwrap();
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Cancelled);
    while engine.stats().open_runs > 0 {
        tokio::task::yield_now().await;
    }
    let listed = engine.journal().list(Wanted::newest(10)).await.unwrap();
    assert!(listed.iter().all(|info| info.ended.is_some_and(|(status, _)| status == RunStatus::Cancelled)), "{listed:?}");
}

#[tokio::test]
async fn an_engine_that_is_stopped_goes_on_when_it_is_opened_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let agents = |patient: bool| {
        let registry = registry(&["a", "c"]);
        let calls = calls.clone();
        let agent = Agent::from_async("b", move |call| {
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                if patient {
                    return Ok(Reply::new(number(1)));
                }
                call.cancel.raised().await;
                Err(Failure::new(FailureClass::Unavailable, "interrupted"))
            }
        });
        registry.register(agent.effect(Effect::Idempotent));
        Arc::new(registry)
    };
    let open = || Arc::new(SqliteJournal::open(folder.path(), &SqliteOptions::default()).unwrap());
    let engine = Engine::new(open(), agents(false), Options::default());
    let run = engine.start(Order::new(compiled(&draft("a; b < a; c < b")), Payload::null())).unwrap();
    let id = run.id();
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    engine.stop().await.unwrap();
    assert!(matches!(run.ended().await, Err(Error::Stopping)));
    assert!(matches!(engine.start(Order::new(compiled(&draft("a")), Payload::null())), Err(Error::Stopping)));
    drop(engine);

    let Opened { engine, left } = Engine::open(open(), agents(true), Options::default()).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let mut follow = engine.follow_run(id, 0);
    let mut events = Vec::new();
    while let Some(entry) = follow.next().await.unwrap() {
        events.push(entry.event.name());
    }
    assert_eq!(events.first(), Some(&"run_started"));
    assert_eq!(events.last(), Some(&"run_ended"));
    let run = engine.load(id).await.unwrap();
    assert_eq!((run.status(), run.task("a").unwrap().attempts()), (RunStatus::Succeeded, 1));
    assert!(engine.journal().verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn entries_can_be_followed_from_anywhere() {
    let engine = engine(registry(&["a", "b"]));
    let mut all = engine.follow(0);
    let plan = compiled(&draft("a; b < a"));
    let run = engine.start(Order::new(plan.clone(), Payload::null())).unwrap();
    let id = run.id();
    let mut one = engine.follow_run(id, 2);
    let ended = run.ended().await.unwrap();
    let mut seen = 0;
    let mut positions = Vec::new();
    while seen < ended.seq {
        let record = all.next().await.unwrap();
        assert_eq!((record.run, record.entries[0].seq), (id, seen + 1));
        seen += record.entries.len() as u64;
        positions.push(record.position);
    }
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
    let mut seqs = Vec::new();
    while let Some(entry) = one.next().await.unwrap() {
        seqs.push(entry.seq);
    }
    assert_eq!(seqs, (3..=ended.seq).collect::<Vec<_>>());
    let mut after = engine.follow_run(id, ended.seq);
    assert!(after.next().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_not_kept_is_heard_from_its_first_entry() {
    let plan = compiled(&draft("a; b < a; c < b"));
    let registry = Registry::new();
    for name in ["a", "b", "c"] {
        registry.register(Agent::from_quick(name, |_| Ok(Reply::new(Payload::null()))));
    }
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), Options::default());
    for _ in 0..200 {
        let order = Order::new(plan.clone(), Payload::null()).durability(Durability::Memory);
        let (running, mut following) = engine.start_followed(order).unwrap();
        let mut heard = Vec::new();
        while let Some(entry) = following.next().await.unwrap() {
            heard.push(entry.seq);
        }
        let last = running.ended().await.unwrap().seq;
        assert_eq!(heard, (1..=last).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn who_is_slow_to_listen_hears_all_of_a_run_that_is_not_kept_and_who_comes_late_learns_that_it_is_gone() {
    // More steps than any shared channel holds.
    let chain = (0..3_000).fold(quorate_core::Draft::new("chain"), |draft, ix| {
        let task = TaskDraft::call(&format!("t{ix}"), "a");
        draft.task(if ix == 0 { task } else { task.after([format!("t{}", ix - 1).as_str()]) })
    });
    let plan = compiled(&chain.task(TaskDraft::ask("ask", "Go?", Level::default()).after(["t2999"])));
    let engine = engine(registry(&["a"]));
    let order = Order::new(plan, Payload::null()).durability(Durability::Memory);
    let (running, mut following) = engine.start_followed(order).unwrap();
    while engine.status(running.id()).await.unwrap() != RunStatus::Waiting {
        tokio::task::yield_now().await;
    }
    let mut late = engine.follow_run(running.id(), 0);
    let late = tokio::spawn(async move { late.next().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    engine.cancel(running.id(), "ann", "enough", false).await.unwrap();
    let gone = late.await.unwrap().unwrap_err();
    assert!(matches!(gone, Error::NotKept { seq: 1, .. }), "{gone}");
    let mut heard = Vec::new();
    while let Some(entry) = following.next().await.unwrap() {
        heard.push(entry.seq);
    }
    assert_eq!(heard, (1..=running.ended().await.unwrap().seq).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_single_task_is_done_and_a_run_is_shown_while_it_goes_on() {
    let engine = engine(registry(&["a", "b"]));
    let ended = engine.execute_task(TaskDraft::call("only", "b"), Payload::null()).await.unwrap();
    assert_eq!((ended.status, ended.output.unwrap().json()), (RunStatus::Succeeded, "1"));
    assert!(matches!(engine.execute_task(TaskDraft::call("not a name", "b"), Payload::null()).await, Err(Error::BadPlan { .. })));

    let mut seen = Vec::new();
    let order = Order::new(compiled(&draft("a; b < a")), Payload::null());
    let ended = engine.run_with(order, |run| seen.push((run.progress().completed, run.progress().open))).await.unwrap();
    seen.dedup();
    assert_eq!(seen, [(0, 2), (0, 1), (1, 1), (1, 0), (2, 0)]);
    let progress = engine.progress(ended.run).await.unwrap();
    assert_eq!((progress.status, progress.total, progress.completed), (RunStatus::Succeeded, 2, 2));
}
