//! A crowd: ten thousand tasks over fifty agents that fail, ask to be left alone, are drained, replaced and let back in. Time
//! is tokio's, stopped; one thread does all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_agents::{Agent, BreakerRule, Call, Outcome, PLACES_PER_LEVEL, Registry};
use quorate_core::draft::{RetryDraft, TaskDraft};
use quorate_core::{Draft, Effect, Event, Failure, FailureClass, Millis, Payload, Plan, Reply, RunId, RunStatus, Timestamp};
use quorate_journal::{Journal, MemoryJournal};
use quorate_runtime::{Clock, Engine, Options, Order};
use tokio::time::{Instant, sleep};

use crate::Chance;

const AGENTS: usize = 50;
/// All tasks of all runs.
const TASKS: usize = 10_000;
const CAPABILITIES: [&str; 5] = ["read", "match", "price", "judge", "post"];
/// By how many who came later anybody is passed in line: what nine levels of priority are worth there.
#[expect(clippy::cast_possible_truncation, reason = "it is small")]
pub const MAX_PASSED: usize = 9 * PLACES_PER_LEVEL as usize;
/// Virtual time by which all must have ended.
const MAX_TIME: Duration = Duration::from_secs(6 * 60 * 60);

/// How a crowd was served.
#[derive(Clone, Debug)]
pub struct Served {
    /// Every entry of every run, as text.
    pub trace: String,
    /// Tasks that succeeded.
    pub tasks: usize,
    /// Calls of agents.
    pub calls: usize,
    /// Calls that failed and went to another agent.
    pub elsewhere: usize,
    /// Tasks that nobody could take for a while.
    pub turned_away: usize,
    /// By how many who came later somebody was passed at most, where every run has one task.
    pub passed: usize,
}

/// What is watched of every call.
#[derive(Debug, Default)]
struct Watched {
    busy: BTreeMap<String, usize>,
    /// Attempts under way.
    open: BTreeSet<(RunId, Arc<str>)>,
    calls: usize,
    drained: BTreeSet<String>,
    broken: Option<String>,
}

type Eyes = Arc<Mutex<Watched>>;

fn eyes(watched: &Eyes) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a call off the list, however it ends.
struct UnderWay {
    watched: Eyes,
    agent: String,
    attempt: (RunId, Arc<str>),
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut seen = eyes(&self.watched);
        seen.open.remove(&self.attempt);
        if let Some(count) = seen.busy.get_mut(&self.agent) {
            *count -= 1;
        }
    }
}

fn come_in(watched: &Eyes, agent: &str, slots: usize, call: &Call) -> UnderWay {
    let mut seen = eyes(watched);
    seen.calls += 1;
    let count = seen.busy.entry(agent.to_owned()).or_insert(0);
    *count += 1;
    let count = *count;
    let attempt = (call.request.run, call.request.task.clone());
    let alone = seen.open.insert(attempt.clone());
    if count > slots {
        seen.broken.get_or_insert(format!("{agent} is called {count} times at once, and takes {slots}"));
    }
    if !alone {
        seen.broken.get_or_insert(format!("two attempts of {} overlap", call.request.task));
    }
    if seen.drained.contains(agent) {
        seen.broken.get_or_insert(format!("{agent} is called while it is drained"));
    }
    UnderWay { watched: watched.clone(), agent: agent.to_owned(), attempt }
}

/// An agent that does what chance has it do; its slots are the same whenever it is registered.
fn agent(number: usize, seed: u64, watched: &Eyes) -> Agent {
    let mut chance = Chance::new(seed ^ (number as u64) << 20);
    let name = format!("agent{number:02}");
    // What everybody can ask for, somebody can do.
    let mut capabilities = vec![CAPABILITIES[number % CAPABILITIES.len()]];
    capabilities.extend(CAPABILITIES.iter().filter(|_| chance.percent(20)));
    let (slots, priority) = (1 + chance.below(4), u32::try_from(1 + chance.below(9)).unwrap_or(1));
    let (watched, own) = (watched.clone(), name.clone());
    let base = chance.draw();
    // In some crowds hardly anybody does what they should.
    let rough = 5 + 15 * usize::try_from(seed % 5).unwrap_or_default();
    let made = Agent::from_async(&name, move |call| {
        let under_way = come_in(&watched, &own, slots, &call);
        let mut chance = Chance::new(base ^ digest_of(&call));
        async move {
            let outcome = behave(&call, &mut chance, rough).await;
            drop(under_way);
            outcome
        }
    });
    let rule = BreakerRule { failures: 3, within: Millis(60_000), open_for: Millis(10_000), trials: 1 };
    made.capabilities(capabilities).max_concurrent(slots).priority(priority).effect(Effect::Idempotent).breaker(rule)
}

fn digest_of(call: &Call) -> u64 {
    let own = format!("{}/{}#{}", call.request.run, call.request.task, call.request.attempt);
    let digest = quorate_core::Digest::of(own.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    u64::from_be_bytes(first)
}

async fn behave(call: &Call, chance: &mut Chance, rough: usize) -> Outcome {
    sleep(Duration::from_millis(20 + chance.below(2_000) as u64)).await;
    if chance.percent(rough) {
        return Err(Failure::new(FailureClass::Unavailable, "it went away"));
    }
    match chance.below(100) {
        1..3 => Err(Failure::new(FailureClass::Internal, "it broke")),
        3..5 => Err(Failure::new(FailureClass::RateLimited, "not so fast").retry_after(Some(Millis(3_000)))),
        5..7 => {
            // It takes longer than it may.
            call.cancel.raised().await;
            Err(Failure::new(FailureClass::Unavailable, "it was told to stop"))
        }
        _ => Ok(Reply::new(Payload::null())),
    }
}

/// A plan, and what its first task asks for.
fn plan(chance: &mut Chance, tasks: usize) -> Result<(Arc<Plan>, &'static str), String> {
    let first = *chance.pick(&CAPABILITIES);
    let mut draft = Draft::new("crowd");
    let retry =
        RetryDraft { max_retries: 1_000, initial_delay: Millis(100), multiplier: 1.5, max_delay: Millis(5_000), ..RetryDraft::default() };
    for number in 0..tasks {
        let capability = if number == 0 { first } else { *chance.pick(&CAPABILITIES) };
        let priority = u8::try_from(1 + chance.below(10)).unwrap_or(5);
        let task = TaskDraft::need(&format!("t{number}"), [capability]).priority(priority).timeout(Millis(30_000));
        draft = draft.task(TaskDraft { retry: Some(retry.clone()), ..task });
    }
    let plan = Plan::compile(&draft).map_err(|problems| format!("{problems:?}"))?;
    Ok((Arc::new(plan), first))
}

/// Has a crowd served.
///
/// # Errors
/// The rule that was broken.
pub fn crowd(seed: u64) -> Result<Served, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|wrong| wrong.to_string())?.block_on(serve(seed)).map_err(|wrong| format!("seed {seed}: {wrong}"))
}

async fn serve(seed: u64) -> Result<Served, String> {
    let mut chance = Chance::new(seed);
    let watched = Eyes::default();
    let registry = Arc::new(Registry::new());
    (0..AGENTS).for_each(|number| registry.register(agent(number, seed, &watched)));
    let clock = Clock::Tokio(Timestamp::default(), Instant::now());
    let options = Options { clock, max_concurrent_agents: (!seed.is_multiple_of(2)).then_some(40), ..Options::default() };
    let journal = Arc::new(MemoryJournal::new());
    let engine = Engine::new(journal.clone(), registry.clone(), options);
    // Many runs of one task, or few of many.
    let tasks = if seed.is_multiple_of(4) { 1 } else { 100 };
    let plans = (0..64).map(|_| plan(&mut chance, tasks)).collect::<Result<Vec<_>, _>>()?;
    let mut asked = Vec::new();
    let operator = tokio::spawn(operate(registry, watched.clone(), seed));
    let mut handles = Vec::new();
    for number in 0..TASKS / tasks {
        let (plan, first) = chance.pick(&plans);
        asked.push(*first);
        let order = Order::new(plan.clone(), Payload::null()).id(RunId(number as u128));
        handles.push(engine.start(order).map_err(|wrong| wrong.to_string())?);
        sleep(Duration::from_millis(chance.below(20 * tasks) as u64)).await;
    }
    let mut unended = handles.len();
    for handle in handles {
        let id = handle.id();
        let ended = tokio::time::timeout(MAX_TIME, handle.ended()).await.map_err(|_| format!("{unended} runs never end, {id} is one"))?;
        let ended = ended.map_err(|wrong| wrong.to_string())?;
        if ended.status != RunStatus::Succeeded {
            return Err(format!("run {id} {}", ended.status));
        }
        unended -= 1;
    }
    operator.abort();
    engine.stop().await.map_err(|wrong| wrong.to_string())?;
    if let Some(broken) = eyes(&watched).broken.take() {
        return Err(broken);
    }
    let calls = eyes(&watched).calls;
    account(&journal, calls, (tasks == 1).then_some(&asked)).await
}

/// Somebody who drains agents, lets them back in, and registers them anew.
async fn operate(registry: Arc<Registry>, watched: Eyes, seed: u64) {
    let mut chance = Chance::new(!seed);
    loop {
        sleep(Duration::from_millis(200 + chance.below(1_000) as u64)).await;
        let number = chance.below(AGENTS);
        let name = format!("agent{number:02}");
        let drained = eyes(&watched).drained.contains(&name);
        match chance.below(3) {
            0 if !drained => {
                registry.drain(&name, None);
                // Places that were given before are used; afterwards nobody calls it.
                sleep(Duration::from_millis(1)).await;
                eyes(&watched).drained.insert(name);
            }
            1 => registry.register(agent(number, seed, &watched)),
            _ => {
                let back: Vec<String> = std::mem::take(&mut eyes(&watched).drained).into_iter().collect();
                back.iter().for_each(|name| assert!(registry.enable(name, None)));
            }
        }
    }
}

/// What the journal says: every task succeeded once, and nobody was passed by too many.
async fn account(journal: &MemoryJournal, calls: usize, asked: Option<&Vec<&'static str>>) -> Result<Served, String> {
    let mut served = Served { trace: String::new(), tasks: 0, calls, elsewhere: 0, turned_away: 0, passed: 0 };
    let (mut started, mut succeeded) = (0, BTreeMap::<(RunId, String), usize>::new());
    // The runs in the order in which their tasks were first given to somebody.
    let (mut seen, mut given, mut away) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    let records = journal.follow(0, usize::MAX).await.map_err(|wrong| wrong.to_string())?;
    for record in &records {
        for entry in &record.entries {
            let _ = writeln!(served.trace, "{} {}", record.run, serde_json::to_string(entry).unwrap_or_default());
            let key = |task: &str| (record.run, task.to_owned());
            match &entry.event {
                Event::TaskStarted { task, .. } => {
                    started += 1;
                    if seen.insert(key(task.id())) {
                        given.push(usize::try_from(record.run.0).unwrap_or_default());
                    }
                }
                Event::TaskSucceeded { task, .. } => *succeeded.entry(key(task.id())).or_default() += 1,
                Event::AttemptFailed { elsewhere: true, .. } => served.elsewhere += 1,
                Event::TurnedAway { .. } => {
                    served.turned_away += 1;
                    away.insert(usize::try_from(record.run.0).unwrap_or_default());
                }
                _ => {}
            }
        }
    }
    served.tasks = succeeded.len();
    let lost = TASKS - succeeded.len();
    if lost > 0 || succeeded.values().any(|times| *times != 1) {
        return Err(format!("{lost} tasks are lost, or one succeeded twice"));
    }
    if started != calls {
        return Err(format!("{started} attempts are on record, and {calls} calls were made"));
    }
    if let Some(asked) = asked {
        served.passed = passed(&given, asked, &away);
        if served.passed > MAX_PASSED {
            return Err(format!("somebody was passed by {} who came later", served.passed));
        }
    }
    Ok(served)
}

/// By how many of those who came later and asked for the same somebody was passed at most.
///
/// Who was turned away left the line, and does not count.
fn passed(given: &[usize], asked: &[&str], away: &BTreeSet<usize>) -> usize {
    let mut lines: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut most = 0;
    for run in given {
        let line = lines.entry(asked[*run]).or_default();
        if !away.contains(run) {
            most = most.max(line.iter().filter(|earlier| *earlier > run).count());
        }
        line.push(*run);
    }
    most
}
