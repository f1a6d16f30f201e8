//! The whole engine in a storm: a disk that is slow and fails, a process that is killed and started again, agents that
//! fail, panic and do not heed, people who answer what they may not. Time is tokio's, stopped; one thread does all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use quorate_agents::{Agent, Call, Outcome, Registry};
use quorate_core::draft::WorkDraft;
use quorate_core::{
    Digest, Draft, Effect, Entry, Event, Failure, FailureClass, Input, Payload, Person, Plan, Reply, Run, RunId, RunStatus, Signal,
    Timestamp, Work,
};
use quorate_journal::{
    Append, AppendError, Appended, Asked, Counters, Head, Journal, Loaded, MemoryJournal, ReadError, Record, Report, RunInfo, Text, Wanted,
};
use quorate_runtime::{Clock, Durability, Engine, Error, Opened, Options, Order};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::plans::{AGENTS, random};
use crate::{Chance, Watch};

/// Virtual time that a process lives at most; one in which a run has not ended by then never ends it.
const MAX_LIFE: Duration = Duration::from_secs(1_200);
/// How long the disk fails in one life; after that it is well, and every run must end without anybody's help.
const ROUGH: Duration = Duration::from_secs(20);
/// Virtual time that stopping takes at most: longer than any call goes on that does not heed.
const MAX_STOP: Duration = Duration::from_secs(30);
/// How long a run may go on that nobody waits for any more: until it hears of it.
const MAX_ORPHANED: quorate_core::Millis = quorate_core::Millis(3_000);
/// How often the world looks at the runs.
const TICK: Duration = Duration::from_millis(250);
/// Most agents that are called at once.
const MAX_CALLS: usize = 4;

/// How a storm went.
#[derive(Clone, Debug)]
pub struct Weathered {
    /// Everything that is on disk, and every restart, as text.
    pub trace: String,
    /// Entries on disk.
    pub entries: usize,
    /// Times that the process was killed or stopped, and started again.
    pub restarts: usize,
    /// Appends that the disk refused.
    pub refused: usize,
    /// Calls of agents.
    pub calls: usize,
}

/// Plays one seed.
///
/// # Errors
/// The rule that was broken, with the journal that led to it.
pub fn weather(seed: u64) -> Result<Weathered, String> {
    let world = World::new(seed);
    let outcome = world.play();
    let trace = world.trace();
    let count = world.disk.now();
    match outcome {
        Ok(()) => Ok(Weathered { entries: trace.1, trace: trace.0, restarts: count.restarts, refused: count.refused, calls: count.calls }),
        Err(wrong) => Err(format!("seed {seed}: {wrong}\n{}{}", trace.0, world.shown())),
    }
}

// -- the disk

/// What outlives the process.
#[derive(Debug, Default)]
struct Disk {
    journal: MemoryJournal,
    seen: Mutex<Seen>,
}

/// What the world has seen.
#[derive(Debug, Default)]
struct Seen {
    /// How often each attempt was made of what must not be done twice.
    once: BTreeMap<(RunId, String, u32), usize>,
    restarts: usize,
    refused: usize,
    calls: usize,
    /// The first rule that was broken.
    broken: Option<String>,
}

impl Disk {
    fn now(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn breaks(&self, rule: String) {
        self.now().broken.get_or_insert(rule);
    }
}

enum ToDisk {
    Append { run: RunId, after: Head, entries: Vec<Entry>, texts: Vec<Text>, done: oneshot::Sender<Result<(), AppendError>> },
    Flush(oneshot::Sender<Result<(), AppendError>>),
}

/// A journal on a disk that takes its time, and fails.
#[derive(Debug)]
struct Storm {
    disk: Arc<Disk>,
    queue: mpsc::UnboundedSender<ToDisk>,
    chance: Mutex<Chance>,
    percent: usize,
    begun: Instant,
}

fn broken_disk() -> Arc<std::io::Error> {
    Arc::new(std::io::Error::other("the disk had enough"))
}

impl Storm {
    fn begin(disk: &Arc<Disk>, mut chance: Chance, percent: usize) -> Storm {
        let (queue, inbox) = mpsc::unbounded_channel();
        let reading = Chance::new(chance.draw());
        let begun = Instant::now();
        tokio::spawn(write(disk.clone(), inbox, chance, percent, begun));
        Storm { disk: disk.clone(), queue, chance: Mutex::new(reading), percent, begun }
    }

    fn fails(&self) -> bool {
        let fails = self.chance.lock().unwrap_or_else(std::sync::PoisonError::into_inner).percent(self.percent / 2);
        fails && self.begun.elapsed() < ROUGH
    }

    fn read<'a, T: Send + 'a>(&self, answer: Asked<'a, Result<T, ReadError>>) -> Asked<'a, Result<T, ReadError>> {
        if self.fails() {
            return Box::pin(async { Err(ReadError::Storage { doing: "weathering the storm", source: broken_disk() }) });
        }
        answer
    }
}

/// What is queued is on disk a while later, all or nothing; what is queued when the process dies is gone.
async fn write(disk: Arc<Disk>, mut inbox: mpsc::UnboundedReceiver<ToDisk>, mut chance: Chance, percent: usize, begun: Instant) {
    while let Some(first) = inbox.recv().await {
        sleep(Duration::from_micros(chance.below(3_000) as u64)).await;
        let mut batch = vec![first];
        while let Ok(next) = inbox.try_recv() {
            batch.push(next);
        }
        let fails = chance.percent(percent) && begun.elapsed() < ROUGH;
        for order in batch {
            let refused = |run| if fails { Err(AppendError::Storage { run, source: broken_disk() }) } else { Ok(()) };
            // Whoever waited may be gone.
            let _ = match order {
                ToDisk::Append { run, after, entries, texts, done } => {
                    let outcome = match refused(run) {
                        Ok(()) => disk.journal.append(run, after, &entries, &texts).done.await,
                        refused => refused,
                    };
                    disk.now().refused += usize::from(outcome.is_err());
                    done.send(outcome)
                }
                ToDisk::Flush(done) => done.send(refused(RunId(0))),
            };
        }
    }
}

impl Journal for Storm {
    fn append(&self, run: RunId, after: Head, entries: &[Entry], texts: &[Text]) -> Append {
        let (_, head) = quorate_journal::write_lines(after, entries);
        let (done, appended) = Appended::later();
        // A process that is being killed has no disk any more.
        let _ = self.queue.send(ToDisk::Append { run, after, entries: entries.to_vec(), texts: texts.to_vec(), done });
        Append { head, done: appended }
    }

    fn kept(&self, digest: Digest) -> Asked<'_, Result<Option<Arc<str>>, ReadError>> {
        self.read(self.disk.journal.kept(digest))
    }

    fn load(&self, runs: Vec<RunId>) -> Asked<'_, Result<Vec<Loaded>, ReadError>> {
        self.read(self.disk.journal.load(runs))
    }

    fn open_runs(&self) -> Asked<'_, Result<Vec<RunId>, ReadError>> {
        self.read(self.disk.journal.open_runs())
    }

    fn list(&self, wanted: Wanted) -> Asked<'_, Result<Vec<RunInfo>, ReadError>> {
        self.read(self.disk.journal.list(wanted))
    }

    fn follow(&self, after: u64, limit: usize) -> Asked<'_, Result<Vec<Record>, ReadError>> {
        self.read(self.disk.journal.follow(after, limit))
    }

    fn verify(&self) -> Asked<'_, Result<Report, ReadError>> {
        self.disk.journal.verify()
    }

    fn counters(&self) -> Counters {
        self.disk.journal.counters()
    }

    fn flush(&self) -> Asked<'_, Result<(), AppendError>> {
        let (done, appended) = oneshot::channel();
        let _ = self.queue.send(ToDisk::Flush(done));
        Box::pin(async { appended.await.unwrap_or(Err(AppendError::Closed)) })
    }
}

// -- the world

struct World {
    seed: u64,
    disk: Arc<Disk>,
    runs: Vec<Planned>,
    /// Plans by their digest, also those of runs within runs.
    drafts: BTreeMap<Digest, (Draft, Arc<Plan>)>,
    percent: usize,
}

struct Planned {
    id: RunId,
    plan: Arc<Plan>,
    durability: Durability,
}

/// How a process came to its end.
enum Life {
    /// All runs have ended.
    Over,
    /// It was killed, or stopped.
    Cut,
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5707);
        let mut drafts = BTreeMap::new();
        let mut runs = Vec::new();
        for number in 0..1 + chance.below(4) {
            let (mut draft, mut plan) = random(&mut chance);
            let (inner, inner_plan) = random(&mut chance);
            if chance.percent(40)
                && let Some(task) = draft.tasks.iter_mut().find(|task| matches!(task.work, WorkDraft::Agent { .. }))
            {
                task.work = WorkDraft::Workflow { plan: inner_plan.digest() };
                // A list of runs within runs would make seeds that take seconds.
                task.for_each = None;
                if let Ok(nested) = Plan::compile(&draft) {
                    plan = Arc::new(nested);
                    drafts.insert(inner_plan.digest(), (inner, inner_plan));
                }
            }
            drafts.insert(plan.digest(), (draft, plan.clone()));
            let durability = *chance.pick(&[Durability::Strict, Durability::Strict, Durability::Relaxed]);
            runs.push(Planned { id: RunId((u128::from(seed) << 8) | number as u128), plan, durability });
        }
        let percent = *chance.pick(&[0, 0, 2, 10]);
        World { seed, disk: Arc::new(Disk::default()), runs, drafts, percent }
    }

    fn play(&self) -> Result<(), String> {
        let mut start = Timestamp::from_micros(0);
        let mut chance = Chance::new(self.seed ^ 0x11fe);
        loop {
            let last = self.disk.now().restarts >= 6;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let runtime = runtime.map_err(|wrong| wrong.to_string())?;
            let (life, end) = runtime.block_on(async {
                let clock = Clock::Tokio(start, Instant::now());
                let long = last || chance.percent(20);
                let cut = if long { MAX_LIFE } else { Duration::from_micros(chance.below(8_000_000) as u64) };
                (self.live(clock, chance.draw(), cut, last).await, clock.now())
            });
            // What a killed process had in hand is dropped with its runtime.
            drop(runtime);
            if let Some(broken) = self.disk.now().broken.take() {
                return Err(broken);
            }
            match life? {
                Life::Over => return self.check(),
                Life::Cut => self.disk.now().restarts += 1,
            }
            start = end.plus(quorate_core::Millis(chance.below(2_000) as u64));
        }
    }

    /// One process, from its start until it is cut off, or everything has ended.
    async fn live(&self, clock: Clock, seed: u64, cut: Duration, last: bool) -> Result<Life, String> {
        let mut chance = Chance::new(seed);
        let percent = if last { 0 } else { self.percent };
        let storm = Arc::new(Storm::begin(&self.disk, Chance::new(chance.draw()), percent));
        let options = Options { max_concurrent_agents: Some(MAX_CALLS), grace: Duration::from_millis(300), clock };
        let engine = match Engine::open(storm, Arc::new(self.agents()), options).await {
            Ok(Opened { engine, left }) if left.is_empty() => engine,
            Ok(Opened { left, .. }) => return Err(format!("run {} cannot be gone on with: {}", left[0].0, left[0].1)),
            Err(Error::Read(ReadError::Storage { .. })) => return Ok(Life::Cut),
            Err(wrong) => return Err(format!("the engine cannot be opened: {wrong}")),
        };
        if self.disk.now().restarts.is_multiple_of(3) {
            // At other times the journal has to know them.
            self.drafts.values().for_each(|(_, plan)| engine.know(plan));
        }
        let followed = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(follow(engine.clone(), followed.clone()));
        for planned in &self.runs {
            tokio::spawn(follow_run(engine.clone(), planned.id, self.disk.clone()));
        }
        let stops = !last && chance.percent(30);
        match tokio::time::timeout(cut, self.until_all_have_ended(&engine, &mut chance)).await {
            Ok(ended) => ended?,
            Err(_) if cut == MAX_LIFE => return Err("a run neither ends nor waits for anybody".to_owned()),
            Err(_) => {
                if stops {
                    // A disk that fails at the last moment loses what the next start finds out.
                    let stopped = tokio::time::timeout(MAX_STOP, engine.stop()).await;
                    stopped.map(drop).map_err(|_| format!("the engine does not stop: {:?}", engine.stats()))?;
                }
                return Ok(Life::Cut);
            }
        }
        self.say_goodbye(&engine, &followed).await
    }

    async fn until_all_have_ended(&self, engine: &Engine, chance: &mut Chance) -> Result<(), String> {
        for tick in 0.. {
            self.start_missing(engine).await?;
            if self.all_ended().await? {
                return Ok(());
            }
            for open in self.open_runs().await? {
                self.meddle(engine, open, chance, tick).await;
            }
            sleep(TICK).await;
        }
        Ok(())
    }

    /// Whoever started a run and did not hear that it is on disk starts it again.
    async fn start_missing(&self, engine: &Engine) -> Result<(), String> {
        for planned in &self.runs {
            if !self.loaded(planned.id).await?.is_empty() {
                continue;
            }
            let items: Vec<usize> = (0..3).collect();
            let input = Payload::of(&serde_json::json!({"flag": self.seed.is_multiple_of(2), "items": items}));
            let input = input.map_err(|wrong| wrong.to_string())?;
            let order = Order::new(planned.plan.clone(), input).durability(planned.durability).id(planned.id);
            match engine.start(order) {
                Ok(_) | Err(Error::Exists(_)) => {}
                Err(wrong) => return Err(format!("run {} cannot be started: {wrong}", planned.id)),
            }
        }
        Ok(())
    }

    async fn loaded(&self, run: RunId) -> Result<Vec<Entry>, String> {
        let loaded = self.disk.journal.load(vec![run]).await.map_err(|wrong| wrong.to_string())?;
        Ok(loaded.into_iter().flat_map(|loaded| loaded.entries).collect())
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, String> {
        self.disk.journal.open_runs().await.map_err(|wrong| wrong.to_string())
    }

    async fn all_ended(&self) -> Result<bool, String> {
        for planned in &self.runs {
            let entries = self.loaded(planned.id).await?;
            if !entries.last().is_some_and(|last| matches!(last.event, Event::RunEnded { .. })) {
                return Ok(false);
            }
        }
        Ok(self.open_runs().await?.is_empty())
    }

    /// Answers what is asked, sends what is waited for, and now and then what is not.
    async fn meddle(&self, engine: &Engine, run: RunId, chance: &mut Chance, tick: usize) {
        let asked = engine.look(run, |run| {
            let asked = |work: Work<'_>| match work {
                Work::Ask { task, question } => Some((Arc::from(task.id()), question.text.starts_with("Did attempt"))),
                _ => None,
            };
            run.outstanding().filter_map(asked).collect::<Vec<(Arc<str>, bool)>>()
        });
        // A run that is being loaded again answers later, and one that ended not at all.
        let Ok(Ok(asked)) = tokio::time::timeout(TICK, asked).await else { return };
        let mut inputs = Vec::new();
        for (task, outcome) in asked {
            let choices: &[&str] = if outcome { &["succeeded", "failed", "again"] } else { &["approve", "approve", "reject", "nonsense"] };
            let name = *chance.pick(&["ann", "bob", "cid", "eve", "system"]);
            let groups = if ["ann", "bob", "cid"].contains(&name) { vec!["leads".to_owned()] } else { Vec::new() };
            let by = Person { name: name.into(), groups };
            let choice = (*chance.pick(choices)).to_owned();
            inputs.push(Input::Answered { task, by, choice, note: String::new(), evidence: None, output: None });
        }
        if chance.percent(if tick < 40 { 10 } else { 100 }) {
            let id = chance.percent(50).then(|| format!("s{}", chance.below(3)).into());
            inputs.push(Input::Signal(Signal { name: "go".into(), id, payload: Payload::null(), by: "world".into() }));
        }
        if chance.percent(1) {
            let rollback = chance.percent(50);
            inputs.push(Input::Cancel { by: "world".into(), reason: "why not".into(), rollback });
        }
        for input in inputs {
            let acknowledged = tokio::time::timeout(TICK, engine.input(run, input.clone())).await;
            if let (Ok(Ok(())), Input::Cancel { .. }) = (acknowledged, input) {
                let on_disk = self.loaded(run).await.unwrap_or_default();
                if !on_disk.iter().any(|entry| matches!(entry.event, Event::CancelRequested { .. })) {
                    self.disk.breaks(format!("the cancel of run {run} was acknowledged and is not on disk"));
                }
            }
        }
    }

    /// When all has ended, nothing is left in memory, and whoever followed has seen it all.
    async fn say_goodbye(&self, engine: &Engine, followed: &Mutex<Vec<Record>>) -> Result<Life, String> {
        // Calls that do not heed are ended by force first.
        sleep(Duration::from_secs(30)).await;
        let open = engine.stats().open_runs;
        if open > 0 {
            return Err(format!("{open} runs are in memory after all have ended"));
        }
        let journal = &self.disk.journal;
        let all = journal.follow(0, usize::MAX).await.map_err(|wrong| wrong.to_string())?;
        let seen: Vec<u64> =
            followed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().map(|record| record.position).collect();
        if seen != all.iter().map(|record| record.position).collect::<Vec<_>>() {
            return Err(format!("whoever followed saw {seen:?} of {} appends", all.len()));
        }
        for planned in &self.runs {
            let mut following = engine.follow_run(planned.id, 1);
            let mut expected = 2;
            loop {
                match following.next().await {
                    Ok(Some(entry)) if entry.seq == expected => expected += 1,
                    Ok(Some(entry)) => return Err(format!("entry {} of run {} came in the place of {expected}", entry.seq, planned.id)),
                    Ok(None) => break,
                    Err(Error::Read(ReadError::Storage { .. })) => following = engine.follow_run(planned.id, expected - 1),
                    Err(wrong) => return Err(wrong.to_string()),
                }
            }
        }
        Ok(Life::Over)
    }

    fn agents(&self) -> Registry {
        let registry = Registry::new();
        let busy = Arc::new(Mutex::new(Busy::default()));
        for (name, limit) in AGENTS {
            let effect = match name {
                "quick" => Effect::None,
                "narrow" => Effect::Idempotent,
                _ => Effect::Once,
            };
            let (disk, busy, seed) = (self.disk.clone(), busy.clone(), self.seed);
            let strict = |run: &&Planned| run.durability == Durability::Strict;
            let patient: BTreeSet<RunId> = self.runs.iter().filter(strict).map(|run| run.id).collect();
            let around = move |call: &Call| {
                let strict = effect == Effect::Once || patient.contains(&call.request.run);
                Surroundings { disk: disk.clone(), busy: busy.clone(), seed, strict }
            };
            // Of every other seed, what is quick is called on the spot.
            let agent = if name == "quick" && seed.is_multiple_of(2) {
                Agent::from_quick(name, move |call| {
                    let around = around(&call);
                    let (_under_way, mut chance) =
                        begin(&call, name, limit, effect, &around).now_or_never().expect("what is in memory is there");
                    let what = chance.below(20);
                    answer(&own(&call), &mut chance, what)
                })
            } else {
                Agent::from_async(name, move |call| {
                    let around = around(&call);
                    async move {
                        let (_under_way, chance) = begin(&call, name, limit, effect, &around).await;
                        behave(&call, &own(&call), chance).await
                    }
                })
            };
            registry.register(agent.effect(effect).max_concurrent(limit));
        }
        registry
    }

    /// Everything that is on disk must be a story that keeps the rules.
    fn check(&self) -> Result<(), String> {
        let stories = self.stories();
        let mut ended: BTreeMap<(RunId, &str), Timestamp> = BTreeMap::new();
        let mut folded = Vec::new();
        for (run, entries) in &stories {
            let Some(Event::RunStarted(start)) = entries.first().map(|entry| &entry.event) else {
                return Err(format!("run {run} has no beginning"));
            };
            let (draft, plan) = self.drafts.get(&start.plan).ok_or("a run follows a plan that nobody made")?;
            let mut watch = Watch::new(draft);
            entries.iter().try_for_each(|entry| watch.see(entry)).map_err(|wrong| format!("run {run}: {wrong}"))?;
            let run = Run::load(*run, plan.clone(), entries).map_err(|corrupt| corrupt.to_string())?;
            run.check_invariants()?;
            if matches!(run.status(), RunStatus::Running | RunStatus::Waiting | RunStatus::Compensating) {
                return Err(format!("run {} is {} after all have ended", run.id(), run.status()));
            }
            folded.push(run);
        }
        for run in &folded {
            ended.extend(run.tasks().filter_map(|task| Some(((run.id(), task.id()), task.ended()?))));
        }
        for child in &folded {
            let Some(parent) = child.begun().and_then(|start| start.parent.as_ref()) else { continue };
            let longest = ended.get(&(parent.run, &*parent.task)).map(|ended| ended.plus(MAX_ORPHANED));
            let cancelled = stories[&child.id()].iter().any(|entry| matches!(entry.event, Event::CancelRequested { .. }));
            if !cancelled && longest.is_some_and(|longest| child.at() > longest) {
                return Err(format!("run {} went on after the run that started it no longer waited for it", child.id()));
            }
        }
        Ok(())
    }

    fn stories(&self) -> BTreeMap<RunId, Vec<Entry>> {
        let mut stories: BTreeMap<RunId, Vec<Entry>> = BTreeMap::new();
        for record in now(self.disk.journal.follow(0, usize::MAX)).into_iter().flatten() {
            stories.entry(record.run).or_default().extend(record.entries);
        }
        stories
    }

    fn trace(&self) -> (String, usize) {
        let (mut trace, mut entries) = (String::new(), 0);
        for record in now(self.disk.journal.follow(0, usize::MAX)).into_iter().flatten() {
            for entry in record.entries {
                entries += 1;
                let _ = writeln!(trace, "{} {}", record.run, serde_json::to_string(&entry).unwrap_or_default());
            }
        }
        (trace, entries)
    }

    fn shown(&self) -> String {
        let mut shown = String::new();
        for planned in &self.runs {
            let _ = writeln!(shown, "run {} is {:?}", planned.id, planned.durability);
        }
        for (digest, (draft, _)) in &self.drafts {
            let _ = writeln!(shown, "plan {digest}: {}", serde_json::to_string(draft).unwrap_or_default());
        }
        shown
    }
}

/// What memory answers, it answers at once.
fn now<T>(asked: Asked<'_, Result<T, ReadError>>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(asked).poll(&mut context) {
        std::task::Poll::Ready(answer) => answer.ok(),
        std::task::Poll::Pending => None,
    }
}

async fn follow(engine: Engine, followed: Arc<Mutex<Vec<Record>>>) {
    let mut following = engine.follow(0);
    loop {
        match following.next().await {
            Ok(record) => followed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(record),
            // It can be asked again, and goes on where it was.
            Err(Error::Read(ReadError::Storage { .. })) => sleep(TICK).await,
            Err(_) => return,
        }
    }
}

/// Whoever follows a run never hears of what is not on disk.
async fn follow_run(engine: Engine, run: RunId, disk: Arc<Disk>) {
    let mut following = engine.follow_run(run, 0);
    let mut expected = 1;
    loop {
        match following.next().await {
            Ok(Some(entry)) => {
                let on_disk = disk.journal.load(vec![run]).await.unwrap_or_default().pop();
                let kept = on_disk.and_then(|loaded| loaded.entries.into_iter().find(|kept| kept.seq == entry.seq));
                if entry.seq != expected || kept.as_ref() != Some(&entry) {
                    disk.breaks(format!("whoever followed run {run} heard of {entry:?} in the place of entry {expected}, {kept:?}"));
                }
                expected += 1;
            }
            Err(Error::Read(ReadError::Storage { .. })) => sleep(TICK).await,
            Ok(None) | Err(_) => return,
        }
    }
}

// -- the agents

/// Calls under way in one process.
#[derive(Debug, Default)]
struct Busy {
    calls: BTreeSet<(RunId, Arc<str>)>,
    by_agent: BTreeMap<&'static str, usize>,
}

struct Surroundings {
    disk: Arc<Disk>,
    busy: Arc<Mutex<Busy>>,
    seed: u64,
    strict: bool,
}

/// Takes a call off the list when it ends, however it ends.
struct UnderWay {
    busy: Arc<Mutex<Busy>>,
    call: (RunId, Arc<str>),
    agent: &'static str,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        busy.calls.remove(&self.call);
        if let Some(count) = busy.by_agent.get_mut(self.agent) {
            *count -= 1;
        }
    }
}

fn own(call: &Call) -> String {
    format!("{}#{}", call.request.task, call.request.attempt)
}

/// What is watched of every call, and the chance that decides what becomes of it.
async fn begin(call: &Call, agent: &'static str, limit: usize, effect: Effect, around: &Surroundings) -> (UnderWay, Chance) {
    let request = &call.request;
    let own = own(call);
    let under_way = come_in(around, request.run, &request.task, agent, limit);
    if around.strict && !is_on_disk(&around.disk, request.run, &request.task, request.attempt).await {
        around.disk.breaks(format!("{own} of run {} was called before its entry was on disk", request.run));
    }
    {
        let mut seen = around.disk.now();
        seen.calls += 1;
        if effect == Effect::Once {
            let times = seen.once.entry((request.run, request.task.to_string(), request.attempt)).or_insert(0);
            *times += 1;
            if *times > 1 {
                seen.broken.get_or_insert(format!("{own} of run {} must not be done twice, and was", request.run));
            }
        }
    }
    let digest = Digest::of_parts(&[&around.seed.to_be_bytes(), &request.run.0.to_be_bytes(), own.as_bytes()]);
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    (under_way, Chance::new(u64::from_be_bytes(first)))
}

fn come_in(around: &Surroundings, run: RunId, task: &Arc<str>, agent: &'static str, limit: usize) -> UnderWay {
    let mut busy = around.busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let call = (run, task.clone());
    if !busy.calls.insert(call.clone()) {
        around.disk.breaks(format!("two attempts of {task} of run {run} overlap"));
    }
    let count = busy.by_agent.entry(agent).or_insert(0);
    *count += 1;
    if *count > limit {
        around.disk.breaks(format!("{agent} is called {count} times at once, and takes {limit}"));
    }
    let all: usize = busy.by_agent.values().sum();
    if all > MAX_CALLS {
        around.disk.breaks(format!("{all} agents are called at once, and {MAX_CALLS} may be"));
    }
    UnderWay { busy: around.busy.clone(), call, agent }
}

async fn is_on_disk(disk: &Disk, run: RunId, task: &str, attempt: u32) -> bool {
    let loaded = disk.journal.load(vec![run]).await.unwrap_or_default();
    let wanted =
        |entry: &Entry| matches!(&entry.event, Event::TaskStarted { task: of, attempt: made, .. } if of.id() == task && *made == attempt);
    loaded.iter().any(|loaded| loaded.entries.iter().any(wanted))
}

async fn behave(call: &Call, own: &str, mut chance: Chance) -> Outcome {
    sleep(Duration::from_micros(chance.below(400_000) as u64)).await;
    match chance.below(20) {
        // It heeds its cancellation, and nothing else.
        1 => {
            let cancelled = tokio::time::timeout(Duration::from_secs(5), call.cancel.raised()).await;
            Err(Failure::new(FailureClass::Unavailable, if cancelled.is_ok() { "cancelled" } else { own }))
        }
        // It does not heed anything for a long time.
        2 => {
            sleep(Duration::from_secs(10)).await;
            reply(own, &mut chance)
        }
        what => answer(own, &mut chance, what),
    }
}

fn answer(own: &str, chance: &mut Chance, what: usize) -> Outcome {
    match what {
        // It panics.
        0 => std::panic::resume_unwind(Box::new(own.to_owned())),
        3..7 => {
            let classes = [FailureClass::Invalid, FailureClass::Unavailable, FailureClass::RateLimited, FailureClass::Refused];
            Err(Failure::new(*chance.pick(&classes), own))
        }
        _ => reply(own, chance),
    }
}

fn reply(own: &str, chance: &mut Chance) -> Outcome {
    let items: Vec<usize> = (0..chance.below(4)).collect();
    let output = serde_json::json!({
        "ok": chance.percent(60), "score": chance.below(10), "items": items, "action": "ESCALATE", "confidence": 0.6, "by": own,
    });
    let written = if chance.percent(50) { serde_json::to_string_pretty(&output) } else { serde_json::to_string(&output) };
    let internal = |wrong: String| Failure::new(FailureClass::Internal, wrong);
    let output = Payload::parse(written.map_err(|wrong| internal(wrong.to_string()))?).map_err(|wrong| internal(wrong.to_string()))?;
    let grow = if chance.percent(15) { vec!["grown0".into()] } else { Vec::new() };
    Ok(Reply { grow, ..Reply::new(output) })
}
