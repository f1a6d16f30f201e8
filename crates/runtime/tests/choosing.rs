//! How runs get their agents: the order of choice, failover, breakers and probes, through the whole engine.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "this is a test")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::compiled;
use quorate_agents::{Agent, BreakerRule, BreakerState, Call, Mode, Outcome, Registry};
use quorate_core::draft::{RetryDraft, TaskDraft};
use quorate_core::{Draft, Effect, Entry, Event, Failure, FailureClass, Millis, Payload, Reply, RunStatus, Timestamp};
use quorate_journal::MemoryJournal;
use quorate_runtime::{Clock, Engine, Options, Order};
use tokio::time::{Instant, sleep};

fn engine(registry: Arc<Registry>) -> Engine {
    let clock = Clock::Tokio(Timestamp::from_micros(0), Instant::now());
    Engine::new(Arc::new(MemoryJournal::new()), registry, Options { clock, ..Options::default() })
}

fn well() -> Outcome {
    Ok(Reply::new(Payload::null()))
}

fn ill(class: FailureClass) -> Outcome {
    Err(Failure::new(class, "it is not well"))
}

/// So many tasks that ask for this.
fn tasks(count: usize, capability: &str) -> Draft {
    (0..count).fold(Draft::new("many"), |draft, number| draft.task(TaskDraft::need(&format!("t{number}"), [capability])))
}

async fn entries(engine: &Engine, run: quorate_core::RunId) -> Vec<Entry> {
    engine.journal().load(vec![run]).await.unwrap().pop().unwrap().entries
}

/// Who was given what, in order, with what was said about it.
fn given(entries: &[Entry]) -> Vec<String> {
    let told = |entry: &Entry| match &entry.event {
        Event::TaskStarted { task, attempt, agent, choice, .. } => {
            let why = choice.as_ref().map(|choice| format!(", {choice}")).unwrap_or_default();
            Some(format!("{:>5} ms {}#{attempt} to {agent}{why}", entry.at.micros() / 1_000, task.id()))
        }
        Event::AttemptFailed { task, failure, elsewhere, .. } => {
            let then = if *elsewhere { ", goes elsewhere" } else { "" };
            Some(format!("{:>5} ms {} fails: {}{then}", entry.at.micros() / 1_000, task.id(), failure.class))
        }
        Event::TurnedAway { task, .. } => Some(format!("{:>5} ms {} is turned away", entry.at.micros() / 1_000, task.id())),
        Event::TaskFailed { task, cause } => Some(format!("{:>5} ms {} fails: {cause}", entry.at.micros() / 1_000, task.id())),
        _ => None,
    };
    entries.iter().filter_map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn document_004_gives_two_tasks_at_once_to_seniors_and_then_to_juniors() {
    let most = Arc::new(Mutex::new((0_usize, 0_usize)));
    let registry = Arc::new(Registry::new());
    let developer = |name: &'static str, senior: bool| {
        let (most, now) = (most.clone(), Arc::new(AtomicUsize::new(0)));
        Agent::from_async(name, move |_| {
            let (most, now) = (most.clone(), now.clone());
            async move {
                let busy = now.fetch_add(1, Ordering::SeqCst) + 1;
                {
                    let mut most = most.lock().unwrap();
                    let own = if senior { &mut most.0 } else { &mut most.1 };
                    *own = busy.max(*own);
                }
                sleep(Duration::from_millis(100)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                well()
            }
        })
    };
    let senior = developer("senior-developer", true).capabilities(["code_generation", "code_analysis", "debugging"]);
    registry.register(senior.priority(10).max_concurrent(2));
    registry.register(developer("junior-developer", false).capabilities(["code_generation"]).priority(5).max_concurrent(5));
    let engine = engine(registry);
    let begun = Instant::now();
    let ended = engine.start(Order::new(compiled(&tasks(10, "code_generation")), Payload::null())).unwrap().ended().await.unwrap();
    assert_eq!(ended.status, RunStatus::Succeeded);
    assert_eq!(*most.lock().unwrap(), (2, 5), "seniors and juniors at once");
    // Seven at a time: ten take two rounds.
    assert_eq!(begun.elapsed().as_millis(), 200);
    let entries = entries(&engine, ended.run).await;
    insta::assert_snapshot!(given(&entries).join("\n"), @"
      0 ms t0#1 to senior-developer 1, by priority; junior-developer 1 has a lower priority (5)
      0 ms t1#1 to senior-developer 1, by priority; junior-developer 1 has a lower priority (5)
      0 ms t2#1 to junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken
      0 ms t3#1 to junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken
      0 ms t4#1 to junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken
      0 ms t5#1 to junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken
      0 ms t6#1 to junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken
    100 ms t7#1 to senior-developer 1, the first to be free; junior-developer 1 has a lower priority (5)
    100 ms t8#1 to senior-developer 1, by priority; junior-developer 1 has a lower priority (5)
    100 ms t9#1 to junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken
    ");
}

#[tokio::test(start_paused = true)]
async fn a_dead_agent_costs_no_more_than_one_timeout_and_after_that_nothing() {
    let registry = Arc::new(Registry::new());
    // It never answers, and stands first.
    let dead = Agent::from_async("dead", |call: Call| async move {
        call.cancel.raised().await;
        ill(FailureClass::Unavailable)
    });
    let rule = BreakerRule { failures: 1, within: Millis(60_000), open_for: Millis(60_000), trials: 1 };
    registry.register(dead.capabilities(["x"]).priority(9).timeout(Millis(1_000)).breaker(rule));
    registry.register(Agent::from_quick("alive", |_| well()).capabilities(["x"]));
    let engine = engine(registry.clone());
    let plan = compiled(&tasks(1, "x"));
    let mut took = Vec::new();
    let mut told = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let ended = engine.start(Order::new(plan.clone(), Payload::null())).unwrap().ended().await.unwrap();
        assert_eq!(ended.status, RunStatus::Succeeded);
        took.push(begun.elapsed().as_millis());
        told.extend(given(&entries(&engine, ended.run).await));
    }
    assert_eq!(took, [1_000, 0, 0]);
    insta::assert_snapshot!(told.join("\n"), @"
       0 ms t0#1 to dead 1, by priority; alive 1 has a lower priority (5)
    1000 ms t0 fails: timeout, goes elsewhere
    1000 ms t0#2 to alive 1, the only one free; dead 1 failed too often, and is left alone until 1970-01-01T00:01:01.000000Z
    1000 ms t0#1 to alive 1, the only one free; dead 1 failed too often, and is left alone until 1970-01-01T00:01:01.000000Z
    1000 ms t0#1 to alive 1, the only one free; dead 1 failed too often, and is left alone until 1970-01-01T00:01:01.000000Z
    ");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_under_runs_and_closes_when_the_agent_is_well_again() {
    let (registry, broken) = (Arc::new(Registry::new()), Arc::new(AtomicBool::new(true)));
    let state = broken.clone();
    let rule = BreakerRule { failures: 3, within: Millis(60_000), open_for: Millis(10_000), trials: 1 };
    let agent = Agent::from_quick("fragile", move |_| if state.load(Ordering::SeqCst) { ill(FailureClass::Unavailable) } else { well() });
    registry.register(agent.breaker(rule));
    let engine = engine(registry.clone());
    let mut draft = Draft::new("calls").task(TaskDraft::call("a", "fragile"));
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 6, initial_delay: Millis(1_000), multiplier: 2.0, ..RetryDraft::default() });
    let run = engine.start(Order::new(compiled(&draft), Payload::null())).unwrap();
    sleep(Duration::from_secs(8)).await;
    let now = Timestamp::from_micros(8_000_000);
    assert!(matches!(registry.overview(now)[0].endpoints[0].breaker, BreakerState::Open(_)));
    broken.store(false, Ordering::SeqCst);
    let ended = run.ended().await.unwrap();
    assert_eq!(ended.status, RunStatus::Succeeded);
    assert_eq!(registry.overview(Timestamp::from_micros(60_000_000))[0].endpoints[0].breaker, BreakerState::Closed);
    insta::assert_snapshot!(given(&entries(&engine, ended.run).await).join("\n"), @"
        0 ms a#1 to fragile 1
        0 ms a fails: unavailable
     1000 ms a#2 to fragile 1
     1000 ms a fails: unavailable
     3000 ms a#3 to fragile 1
     3000 ms a fails: unavailable
     7000 ms a is turned away
    15000 ms a#4 to fragile 1
    ");
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_done_twice_goes_to_nobody_else() {
    let registry = Arc::new(Registry::new());
    for (name, priority) in [("first", 9), ("second", 5)] {
        let agent = Agent::from_quick(name, |_| ill(FailureClass::Unavailable)).capabilities(["pay"]);
        registry.register(agent.priority(priority).effect(Effect::Once));
    }
    let engine = engine(registry);
    let run = engine.start(Order::new(compiled(&tasks(1, "pay")), Payload::null())).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.status(run.id()).await.unwrap(), RunStatus::Waiting, "a person is asked");
    assert_eq!(given(&entries(&engine, run.id()).await).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_for_an_agent_that_is_drained_and_gives_up_on_one_that_is_disabled() {
    let registry = Arc::new(Registry::new());
    registry.register(Agent::from_quick("it", |_| well()));
    let engine = engine(registry.clone());
    let plan = compiled(&Draft::new("one").task(TaskDraft::call("a", "it")));
    registry.drain("it", None);
    let run = engine.start(Order::new(plan.clone(), Payload::null())).unwrap();
    sleep(Duration::from_secs(1)).await;
    let overview = &registry.overview(Timestamp::default())[0];
    assert_eq!((overview.mode, overview.waiting, overview.under_way), (Mode::Draining, 1, 0));
    registry.enable("it", None);
    assert_eq!(run.ended().await.unwrap().status, RunStatus::Succeeded);

    // Who waits when it is disabled learns of it.
    registry.drain("it", None);
    let run = engine.start(Order::new(plan, Payload::null())).unwrap();
    sleep(Duration::from_secs(1)).await;
    registry.disable("it", None);
    let ended = run.ended().await.unwrap();
    insta::assert_snapshot!(given(&entries(&engine, ended.run).await).join("\n"), @" 2000 ms a fails: unavailable: no agent that is called `it` takes calls: it 1 is disabled");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_wants_to_be_asked_how_it_is_is_left_alone_before_anybody_calls_it() {
    let (registry, asked) = (Arc::new(Registry::new()), Arc::new(AtomicUsize::new(0)));
    let counting = asked.clone();
    let rule = BreakerRule { failures: 2, within: Millis(60_000), open_for: Millis(3_600_000), trials: 1 };
    let ill = Agent::from_quick("ill", |_| well()).capabilities(["x"]).priority(9).breaker(rule).probe_every(Millis(10_000));
    registry.register(ill.probed_by(move |_| {
        let count = counting.fetch_add(1, Ordering::SeqCst);
        async move {
            match count {
                0 => Err(Failure::new(FailureClass::Unavailable, "no")),
                1 => panic!("a probe that panics is a bad answer"),
                _ => Ok(()),
            }
        }
    }));
    let broken = Agent::from_quick("broken", |_| well()).probe_every(Millis(10_000));
    registry.register(broken.probed_by(|_| -> std::future::Ready<Result<(), Failure>> { panic!("others are asked all the same") }));
    registry.register(Agent::from_quick("well", |_| well()).capabilities(["x"]));
    let engine = engine(registry);
    let plan = compiled(&tasks(1, "x"));
    let mut told = Vec::new();
    for wait in [0, 21, 21] {
        sleep(Duration::from_secs(wait)).await;
        let ended = engine.start(Order::new(plan.clone(), Payload::null())).unwrap().ended().await.unwrap();
        told.extend(given(&entries(&engine, ended.run).await));
    }
    insta::assert_snapshot!(told.join("\n"), @"
        0 ms t0#1 to ill 1, by priority; well 1 has a lower priority (5)
    21000 ms t0#1 to well 1, the only one free; ill 1 failed too often, and is left alone until 1970-01-01T01:00:20.000000Z
    42000 ms t0#1 to ill 1, by priority; well 1 has a lower priority (5)
    ");
    engine.stop().await.unwrap();
    let before = asked.load(Ordering::SeqCst);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(asked.load(Ordering::SeqCst), before, "an engine that has stopped asks nobody");
}

#[tokio::test(start_paused = true)]
async fn the_runs_of_a_customer_stay_with_one_version() {
    let registry = Arc::new(Registry::new());
    for version in ["1.0", "2.0"] {
        registry.register(Agent::from_quick("scorer", |_| well()).version(version).sticky_by("input.customer"));
    }
    let engine = engine(registry.clone());
    let plan = compiled(&Draft::new("one").task(TaskDraft::call("a", "scorer")));
    let version_for = async |customer: u32| {
        let input = Payload::of(&serde_json::json!({ "customer": customer })).unwrap();
        let ended = engine.start(Order::new(plan.clone(), input)).unwrap().ended().await.unwrap();
        let run = engine.load(ended.run).await.unwrap();
        run.task("a").unwrap().agent().unwrap().version.to_string()
    };
    let mut seen = Vec::new();
    for customer in 0..20 {
        let version = version_for(customer).await;
        assert_eq!(version_for(customer).await, version);
        seen.push(version);
    }
    assert!(seen.contains(&"1.0".to_owned()) && seen.contains(&"2.0".to_owned()));
    // While a version is away, its customers are with the other one.
    registry.disable("scorer", Some("2.0"));
    let second = u32::try_from(seen.iter().position(|version| version == "2.0").unwrap()).unwrap();
    assert_eq!(version_for(second).await, "1.0");
    registry.enable("scorer", Some("2.0"));
    assert_eq!(version_for(second).await, "2.0");
}
