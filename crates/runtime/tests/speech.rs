//! What agents say while they work: heard from its beginning by whoever comes late, and kept nowhere.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use quorate_agents::{Agent, Call, Registry};
use quorate_core::draft::TaskDraft;
use quorate_core::{Draft, Failure, FailureClass, Payload, Plan, Reply};
use quorate_journal::{Journal as _, MemoryJournal};
use quorate_runtime::{Engine, Heard, MAX_SPEECH_BYTES, Options, Order};
use tokio::sync::Notify;

fn plan(draft: &Draft) -> Arc<Plan> {
    Arc::new(Plan::compile(draft).unwrap())
}

/// An engine with one agent that speaks, and goes on when it is told to.
fn speaker() -> (Engine, Arc<Notify>, Arc<MemoryJournal>) {
    let registry = Registry::new();
    let go_on = Arc::new(Notify::new());
    let waits = go_on.clone();
    let agent = Agent::from_async("speaker", move |call: Call| {
        let waits = waits.clone();
        async move {
            call.voice.say("one ");
            call.voice.say("two ");
            waits.notified().await;
            call.voice.say("three");
            if call.request.attempt == 1 {
                return Err(Failure::new(FailureClass::Unavailable, "lost its voice"));
            }
            Ok(Reply::new(Payload::null()))
        }
    });
    registry.register(agent.talks());
    registry.register(Agent::from_quick("mute", |_| Ok(Reply::new(Payload::null()))));
    let journal = Arc::new(MemoryJournal::new());
    (Engine::new(journal.clone(), Arc::new(registry), Options::default()), go_on, journal)
}

#[tokio::test]
async fn who_comes_late_hears_it_from_the_beginning_and_then_goes_on() {
    let (engine, go_on, journal) = speaker();
    let task = TaskDraft::call("talk", "speaker").retries(1);
    let running = engine.start(Order::new(plan(&Draft::new("w").task(task)), Payload::null())).unwrap();
    let mut early = engine.listen(running.id());
    let mut heard = String::new();
    while heard != "one two " {
        heard.push_str(&early.next().await.unwrap().text);
    }
    let mut late = engine.listen(running.id());
    let first = late.next().await.unwrap();
    assert_eq!(first, Heard { task: "talk".into(), attempt: 1, from: 0, text: "one two ".into() });
    go_on.notify_one();
    let next = late.next().await.unwrap();
    assert_eq!((next.from, next.text.as_str()), (8, "three"));
    // Another attempt begins anew.
    let again = late.next().await.unwrap();
    assert_eq!((again.attempt, again.from, again.text.as_str()), (2, 0, "one two "));
    go_on.notify_one();
    assert_eq!(late.next().await.unwrap().text, "three");
    assert_eq!(late.next().await, None, "the run is over");
    running.ended().await.unwrap();
    let kept = journal.follow(0, 100).await.unwrap();
    let kept: String = kept.iter().flat_map(|record| &record.entries).map(|entry| serde_json::to_string(entry).unwrap()).collect();
    assert!(!kept.contains("one two"), "nothing of it is in the journal");
    assert_eq!(engine.listen(quorate_core::RunId(7)).next().await, None, "nobody speaks in a run that is not there");
}

#[tokio::test]
async fn a_run_in_which_nobody_speaks_ends_what_is_heard_of_it_and_a_long_speech_is_cut() {
    let (engine, _, _) = speaker();
    let running = engine.start(Order::new(plan(&Draft::new("w").task(TaskDraft::call("a", "mute"))), Payload::null())).unwrap();
    let mut listening = engine.listen(running.id());
    assert_eq!(listening.next().await, None);

    let registry = Registry::new();
    registry.register(
        Agent::from_async("long", |call: Call| async move {
            (0..MAX_SPEECH_BYTES / 4).for_each(|_| call.voice.say("äöü"));
            std::future::pending::<()>().await;
            Ok(Reply::new(Payload::null()))
        })
        .talks(),
    );
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), Options::default());
    let running = engine.start(Order::new(plan(&Draft::new("w").task(TaskDraft::call("a", "long"))), Payload::null())).unwrap();
    let mut listening = engine.listen(running.id());
    let mut bytes = 0;
    while bytes < MAX_SPEECH_BYTES - 1 {
        bytes += listening.next().await.unwrap().text.len();
    }
    assert!(bytes <= MAX_SPEECH_BYTES, "{bytes}");
}
