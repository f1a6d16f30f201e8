//! `quorate bench`: what the engine costs on this machine, beside what the machine itself costs.

use std::fs::OpenOptions;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::bench_policy;
use anyhow::{Context as _, bail, ensure};
use quorate::draft::{TaskDraft, WorkDraft};
use quorate::expr::{Decimal, Names, Path, Resolution, Type, Value};
use quorate::{
    Agent, Ask, Asker, Digest, Draft, Durability, Engine, Head, Input, Journal, MemoryJournal, Opened, Options, Order, Payload, Picked,
    Plan, Registry, Reply, Run, RunId, RunStatus, SqliteJournal, SqliteOptions, Start, Timestamp,
};

/// The length of the result that every task returns where results are encoded.
const RESULT_BYTES: usize = 1_024;

/// Measures the engine on this machine, beside the floor of the same machine.
///
/// Example: quorate bench --only recon --json
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only workloads whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How long each figure is measured, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1_500)]
    budget: u64,
    /// Where the journals are written: the disk to be measured. A temporary folder where it is not given.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Measure this one figure, in this process.
    #[arg(long, value_name = "WORKLOAD/MODE", hide = true)]
    figure: Option<String>,
}

/// One figure.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Figure {
    workload: String,
    mode: String,
    steps: usize,
    us_per_step: f64,
    steps_per_s: f64,
    /// Of one run; of one operation where there are no runs.
    p50_us: f64,
    p99_us: f64,
    flushes_per_step: f64,
    peak_rss_mib: f64,
}

/// With `json`, one JSON object per figure instead of a table.
pub(crate) fn run(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let bench = Bench { arguments, json };
    let Some(figure) = &arguments.figure else { return bench.in_processes_of_their_own() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("could not start the threads")?;
    runtime.block_on(bench.one(figure))
}

pub(super) struct Bench<'a> {
    arguments: &'a Arguments,
    json: bool,
}

/// A plan in the shape of a workload, and how its runs are started.
struct Workload {
    name: &'static str,
    deps: Vec<Vec<usize>>,
    in_flight: usize,
}

fn workloads() -> Vec<Workload> {
    let chain = (0..100).map(|ix: usize| ix.checked_sub(1).into_iter().collect()).collect();
    let fan = |width: usize| {
        let mut deps = vec![Vec::new(); width];
        deps.push((0..width).collect());
        deps
    };
    let layered = (0..1_000)
        .map(|ix| match ix / 100 {
            0 => Vec::new(),
            layer => [0, 33, 67].iter().map(|shift| (layer - 1) * 100 + (ix + shift) % 100).collect(),
        })
        .collect();
    let recon = || vec![vec![], vec![0], vec![1], vec![1], vec![1], vec![2, 3, 4], vec![5]];
    let one = |name, deps| Workload { name, deps, in_flight: 1 };
    vec![
        one("chain_100", chain),
        one("fan_out_1000", fan(1_000)),
        one("fan_out_10000", fan(10_000)),
        one("layered_10x100", layered),
        one("recon_7", recon()),
        Workload { name: "recon_7_x64", deps: recon(), in_flight: 64 },
    ]
}

#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    durability: Durability,
    agents: Agents,
}

/// What the steps do.
#[derive(Clone, Copy)]
enum Agents {
    /// Return a shared value, from an async function.
    Shared,
    /// Return a shared value, on the spot.
    Quick,
    /// Encode a result of 1 KiB, in an async function.
    Encoding,
    /// Encode a result of 1 KiB, on the spot.
    QuickEncoding,
}

const MODES: [Mode; 7] = [
    Mode { name: "memory", durability: Durability::Memory, agents: Agents::Shared },
    Mode { name: "memory_1k", durability: Durability::Memory, agents: Agents::Encoding },
    Mode { name: "quick", durability: Durability::Memory, agents: Agents::Quick },
    Mode { name: "quick_1k", durability: Durability::Memory, agents: Agents::QuickEncoding },
    Mode { name: "strict_1k", durability: Durability::Strict, agents: Agents::Encoding },
    Mode { name: "relaxed_1k", durability: Durability::Relaxed, agents: Agents::Encoding },
    Mode { name: "quick_strict_1k", durability: Durability::Strict, agents: Agents::QuickEncoding },
];

const RECOVERY: &str = "recover_10000";
const WAITING: &str = "waiting_10000_runs";

/// All figures, each by its workload and mode.
fn figures() -> Vec<String> {
    let mut figures: Vec<String> =
        ["floor_spawn/machine", "floor_flush/machine", "condition/compiled", "core_chain_100/memory", "choose_of_100/memory"]
            .map(str::to_owned)
            .to_vec();
    for mode in MODES {
        figures.extend(workloads().iter().map(|workload| format!("{}/{}", workload.name, mode.name)));
    }
    figures.extend([format!("{RECOVERY}/strict_1k"), format!("{WAITING}/memory")]);
    figures.extend(bench_policy::FIGURES.map(str::to_owned));
    figures
}

impl Bench<'_> {
    /// Every figure in a process of its own: one that has written a hundred megabytes of journal has an allocator full
    /// of holes, and whatever is measured after it would be measured with them.
    fn in_processes_of_their_own(&self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("could not find this program")?;
        let mut shown = 0;
        for figure in figures().into_iter().filter(|figure| self.wanted(figure)) {
            let mut child = Command::new(&program);
            child.args(["bench", "--json", "--figure", &figure, "--budget", &self.arguments.budget.to_string()]);
            if let Some(folder) = &self.arguments.folder {
                child.arg("--folder").arg(folder);
            }
            let output = child.stderr(Stdio::inherit()).output().context("could not start a process for a figure")?;
            ensure!(output.status.success(), "the figure {figure} could not be measured");
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                self.show(&serde_json::from_str(line).context("a figure that cannot be read")?, shown == 0);
                shown += 1;
            }
        }
        let only = self.arguments.only.as_deref().unwrap_or_default();
        ensure!(shown > 0, "no figure has `{only}` in its name; without --only all of them are shown");
        Ok(())
    }

    async fn one(&self, figure: &str) -> anyhow::Result<()> {
        if self.policy_figure(figure).await? {
            return Ok(());
        }
        match figure.split_once('/') {
            Some(("floor_spawn", _)) => self.floor_spawn().await,
            Some(("floor_flush", _)) => self.floor_flush(),
            Some(("condition", _)) => self.conditions(),
            Some(("core_chain_100", _)) => self.core(),
            Some(("choose_of_100", _)) => self.choose(),
            Some((RECOVERY, _)) => self.recovery().await,
            Some((WAITING, _)) => self.waiting().await,
            Some((name, mode)) => {
                let workload = workloads().into_iter().find(|workload| workload.name == name);
                let mode = MODES.into_iter().find(|known| known.name == mode);
                let (workload, mode) = workload.zip(mode).with_context(|| format!("there is no figure {figure}"))?;
                self.show(&self.workload(&workload, mode).await?, false);
                Ok(())
            }
            None => bail!("there is no figure {figure}"),
        }
    }

    fn wanted(&self, name: &str) -> bool {
        self.arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    pub(super) fn budget(&self) -> Duration {
        Duration::from_millis(self.arguments.budget)
    }

    pub(super) fn folder(&self) -> anyhow::Result<tempfile::TempDir> {
        let made = match &self.arguments.folder {
            Some(folder) => {
                std::fs::create_dir_all(folder).with_context(|| format!("could not make the folder {}", folder.display()))?;
                tempfile::TempDir::new_in(folder)
            }
            None => tempfile::TempDir::new(),
        };
        made.context("could not make a folder for the journal")
    }

    /// What the machine itself takes for a spawned task.
    async fn floor_spawn(&self) -> anyhow::Result<()> {
        reset_peak();
        let times = tokio::spawn(async {
            let mut times = Vec::new();
            for _ in 0..20 {
                let start = Instant::now();
                for ix in 0..5_000 {
                    std::hint::black_box(tokio::spawn(async move { ix }).await.unwrap_or_default());
                }
                times.push(start.elapsed() / 5_000);
            }
            times
        });
        self.show(&figure("floor_spawn", "machine", 1, times.await?, 0.0), false);
        Ok(())
    }

    /// What the machine itself takes for a flush of 4 KiB.
    fn floor_flush(&self) -> anyhow::Result<()> {
        let folder = self.folder()?;
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(folder.path().join("floor"))?;
        file.write_all(&vec![0; 4 * 1024 * 1024])?;
        file.sync_all()?;
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < self.budget() / 2 {
            if times.len() % 1_024 == 0 {
                file.rewind()?;
            }
            let start = Instant::now();
            file.write_all(&[1; 4_096])?;
            file.sync_data()?;
            times.push(start.elapsed());
        }
        self.show(&figure("floor_flush", "machine", 1, times, 1.0), false);
        Ok(())
    }

    fn conditions(&self) -> anyhow::Result<()> {
        struct Two;
        impl Names for Two {
            fn resolve(&self, path: &Path) -> Resolution {
                Resolution::Value(if path.head() == "confidence" { Type::NUMBER } else { Type::Bool })
            }
            fn known(&self) -> Vec<String> {
                Vec::new()
            }
        }
        let ast = quorate::expr::parse("within_tolerance and confidence > 0.9").map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
        let Ok(condition) = ast.check_condition(&Two) else { bail!("the condition of the measurement does not check") };
        let values = [Value::Bool(true), Value::Number(Decimal::new(95, 2))];
        let mut times = Vec::new();
        for _ in 0..200 {
            let start = Instant::now();
            for _ in 0..10_000 {
                std::hint::black_box(condition.truth(std::hint::black_box(&values[..])));
            }
            times.push(start.elapsed() / 10_000);
        }
        self.show(&figure("condition", "compiled", 1, times, 0.0), false);
        Ok(())
    }

    /// The state machine alone: everything that a step of a chain costs before anybody is called.
    fn core(&self) -> anyhow::Result<()> {
        let workload = &workloads()[0];
        let plan = plan(workload)?;
        let agent = Agent::from_blocking("work", |_| Ok(Reply::new(Payload::null())));
        let steps = workload.deps.len();
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < self.budget() {
            let start = Instant::now();
            let (mut run, mut entries) = Run::start(&plan, RunId(1), Timestamp::default(), order_start(&plan));
            while let Some(offer) = run.next_ready() {
                let task = offer.task;
                let dispatched =
                    Input::Dispatched { task: task.clone(), agent: agent.identity().clone(), timeout: None, choice: None, wanted: None };
                entries.extend(run.advance(Timestamp::default(), dispatched)?);
                let ended = Input::Ended { task, attempt: 1, result: Ok(Reply::new(Payload::null())) };
                entries.extend(run.advance(Timestamp::default(), ended)?);
            }
            ensure!(run.has_ended(), "the run of the measurement did not end");
            times.push(start.elapsed());
            std::hint::black_box(entries);
        }
        self.show(&figure("core_chain_100", "memory", steps, times, 0.0), false);
        Ok(())
    }

    /// What it costs to choose one of a hundred agents that could all do it, and to say why no other.
    fn choose(&self) -> anyhow::Result<()> {
        let registry = Registry::new();
        for number in 0..100_u32 {
            let agent = Agent::from_quick(&format!("agent{number:02}"), |_| Ok(Reply::new(Payload::null())));
            registry.register(agent.capabilities(["work"]).max_concurrent(4));
        }
        let wanted: [Arc<str>; 1] = ["work".into()];
        let slate = registry.slate(&Asker::Capabilities(&wanted))?;
        let key = |_: Option<&str>| Digest::ZERO;
        let mut times = Vec::new();
        for _ in 0..500 {
            let start = Instant::now();
            for _ in 0..1_000 {
                let ask = Ask { now: Timestamp::default(), tried: &[], key: &key, held: None };
                let Picked::Agent { place, choice, .. } = slate.choose(ask) else { bail!("nobody was chosen") };
                std::hint::black_box(choice);
                drop(place);
            }
            times.push(start.elapsed() / 1_000);
        }
        self.show(&figure("choose_of_100", "memory", 1, times, 0.0), false);
        Ok(())
    }

    async fn workload(&self, workload: &Workload, mode: Mode) -> anyhow::Result<Figure> {
        let folder = self.folder()?;
        let journal: Arc<dyn Journal> = match mode.durability {
            Durability::Memory => Arc::new(MemoryJournal::new()),
            Durability::Strict | Durability::Relaxed => Arc::new(SqliteJournal::open(folder.path(), &SqliteOptions::default())?),
        };
        let engine = Engine::new(journal, Arc::new(registry(mode.agents)?), Options::default());
        let plan = plan(workload)?;
        reset_peak();
        self.measure(&engine, &plan, mode, workload.in_flight, Duration::from_millis(200)).await?;
        let before = engine.journal().counters();
        let begun = Instant::now();
        let times = self.measure(&engine, &plan, mode, workload.in_flight, self.budget()).await?;
        let wall = begun.elapsed();
        let after = engine.journal().counters();
        let steps = workload.deps.len() * times.len();
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let flushes = (after.flushes - before.flushes) as f64 / steps as f64;
        let mut figure = figure(workload.name, mode.name, workload.deps.len(), times, flushes);
        if workload.in_flight > 1 {
            // Runs overlap, so what counts is how many steps there are in all that time.
            figure.us_per_step = micros(wall) / steps_f64(steps);
            figure.steps_per_s = 1e6 / figure.us_per_step;
        }
        engine.stop().await?;
        Ok(figure)
    }

    /// Starts runs for a while, so many at once, and gives the time that each took.
    async fn measure(
        &self,
        engine: &Engine,
        plan: &Arc<Plan>,
        mode: Mode,
        in_flight: usize,
        budget: Duration,
    ) -> anyhow::Result<Vec<Duration>> {
        let begun = Instant::now();
        let failed = Arc::new(AtomicUsize::new(0));
        let starters: Vec<_> = (0..in_flight)
            .map(|_| {
                let (engine, plan, failed) = (engine.clone(), plan.clone(), failed.clone());
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    while begun.elapsed() < budget || times.is_empty() {
                        let start = Instant::now();
                        let order = Order::new(plan.clone(), Payload::null()).durability(mode.durability);
                        let ended = match engine.start(order) {
                            Ok(run) => run.ended().await,
                            Err(wrong) => Err(wrong),
                        };
                        times.push(start.elapsed());
                        if !ended.is_ok_and(|ended| ended.status == RunStatus::Succeeded) {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for starter in starters {
            times.extend(starter.await?);
        }
        ensure!(failed.load(Ordering::Relaxed) == 0, "runs of the measurement failed");
        Ok(times)
    }

    /// How long it takes until 10,000 runs that were interrupted go on.
    async fn recovery(&self) -> anyhow::Result<()> {
        const RUNS: usize = 10_000;
        let folder = self.folder()?;
        let workload = workloads().swap_remove(4);
        let plan = plan(&workload)?;
        self.leave_open(&folder, &plan, RUNS).await?;
        reset_peak();
        let start = Instant::now();
        let journal = Arc::new(SqliteJournal::open(folder.path(), &SqliteOptions::default())?);
        let Opened { engine, left } = Engine::open(journal, Arc::new(registry(Agents::Encoding)?), Options::default()).await?;
        ensure!(left.is_empty() && engine.stats().started == RUNS as u64, "the engine goes on with other runs than were left");
        let opened = start.elapsed();
        self.show(&figure("recover_10000_runs", "strict_1k", RUNS, vec![opened], 0.0), false);
        while engine.stats().open_runs > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.show(&figure("recover_10000_to_end", "strict_1k", RUNS * 4, vec![start.elapsed()], 0.0), false);
        engine.stop().await?;
        Ok(())
    }

    /// Leaves runs behind that are in the middle of their third step.
    async fn leave_open(&self, folder: &tempfile::TempDir, plan: &Arc<Plan>, runs: usize) -> anyhow::Result<()> {
        let journal = SqliteJournal::open(folder.path(), &SqliteOptions::default())?;
        let text = [(plan.digest(), plan.source().clone())];
        let agent = Agent::from_blocking("work", |_| Ok(Reply::new(Payload::null())));
        let result = result()?;
        let mut last = None;
        for number in 0..runs {
            let id = RunId::at(Timestamp::from_micros(1_000_000), number as u128);
            let (mut run, mut entries) = Run::start(plan, id, Timestamp::default(), order_start(plan));
            for step in 0..5 {
                let Some(offer) = run.next_ready() else { break };
                let task = offer.task;
                let dispatched =
                    Input::Dispatched { task: task.clone(), agent: agent.identity().clone(), timeout: None, choice: None, wanted: None };
                entries.extend(run.advance(Timestamp::default(), dispatched)?);
                if step < 3 {
                    let ended = Input::Ended { task, attempt: 1, result: Ok(Reply::new(result.clone())) };
                    entries.extend(run.advance(Timestamp::default(), ended)?);
                }
            }
            last = Some(journal.append(id, Head::START, &entries, &text));
        }
        if let Some(last) = last {
            last.done.await?;
        }
        Ok(())
    }

    /// What a run takes in memory while it waits for a signal.
    async fn waiting(&self) -> anyhow::Result<()> {
        const RUNS: usize = 10_000;
        let mut draft = draft(&workloads().swap_remove(4));
        draft.tasks[0].work = WorkDraft::Wait(quorate::draft::WaitDraft { signal: Some("go".into()), ..Default::default() });
        let plan = Arc::new(Plan::compile(&draft).map_err(|problems| anyhow::anyhow!("{}", problems[0]))?);
        let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry(Agents::Shared)?), Options::default());
        reset_peak();
        let before = peak_kib();
        let start = Instant::now();
        let mut handles = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            handles.push(engine.start(Order::new(plan.clone(), Payload::null()).durability(Durability::Memory))?);
        }
        let last = handles[RUNS - 1].id();
        engine.look(last, Run::status).await?;
        let took = start.elapsed();
        let each = (peak_kib() - before) * 1024.0 / steps_f64(RUNS);
        let mut figure = figure("waiting_10000_runs", "memory", RUNS, vec![took], 0.0);
        figure.workload = format!("waiting_10000_runs ({each:.0} bytes each)");
        self.show(&figure, false);
        Ok(())
    }

    /// How long one operation takes.
    pub(super) fn show_each(&self, workload: &str, mode: &str, times: Vec<Duration>) {
        self.show(&figure(workload, mode, 1, times, 0.0), false);
    }

    /// How many operations there are in all that time, which overlap.
    pub(super) fn show_rate(&self, workload: &str, mode: &str, times: Vec<Duration>, wall: Duration, flushes: f64) {
        let count = times.len();
        let mut figure = figure(workload, mode, 1, times, flushes);
        figure.us_per_step = micros(wall) / steps_f64(count);
        figure.steps_per_s = 1e6 / figure.us_per_step;
        self.show(&figure, false);
    }

    fn show(&self, figure: &Figure, first: bool) {
        if self.json {
            out(&serde_json::to_string(figure).unwrap_or_default());
            return;
        }
        if first {
            out(&format!(
                "{:<24} {:<15} {:>6} {:>9} {:>11} {:>10} {:>10} {:>12} {:>8}",
                "workload", "mode", "steps", "us/step", "steps/s", "p50 us", "p99 us", "flushes/step", "RSS MiB"
            ));
        }
        out(&format!(
            "{:<24} {:<15} {:>6} {:>9.3} {:>11.0} {:>10.1} {:>10.1} {:>12.4} {:>8.1}",
            figure.workload,
            figure.mode,
            figure.steps,
            figure.us_per_step,
            figure.steps_per_s,
            figure.p50_us,
            figure.p99_us,
            figure.flushes_per_step,
            figure.peak_rss_mib
        ));
    }
}

/// A line of what was asked for. Whoever reads it may have seen enough.
fn out(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn draft(workload: &Workload) -> Draft {
    let task = |(ix, deps): (usize, &Vec<usize>)| TaskDraft {
        id: format!("t{ix}"),
        depends_on: deps.iter().map(|dep| format!("t{dep}")).collect(),
        work: WorkDraft::Agent { id: Some("work".into()), capabilities: Vec::new() },
        ..TaskDraft::default()
    };
    Draft { name: workload.name.into(), tasks: workload.deps.iter().enumerate().map(task).collect(), ..Draft::default() }
}

fn plan(workload: &Workload) -> anyhow::Result<Arc<Plan>> {
    match Plan::compile(&draft(workload)) {
        Ok(plan) => Ok(Arc::new(plan)),
        Err(problems) => bail!("the plan of {} does not compile: {}", workload.name, problems[0]),
    }
}

fn order_start(plan: &Plan) -> Start {
    Start {
        plan: plan.digest(),
        name: plan.name().clone(),
        input: Payload::null(),
        profile: None,
        session: None,
        by: "bench".into(),
        route: None,
        skills: Vec::new(),
        parent: None,
        within: None,
        deadline: None,
    }
}

/// The agent of all steps.
fn registry(agents: Agents) -> anyhow::Result<Registry> {
    let nothing = Payload::null();
    let value: Arc<serde_json::Value> = Arc::new(result()?.decode()?);
    let encode = move || {
        let failed = |wrong: quorate::BadValue| quorate::Failure::new(quorate::FailureClass::Internal, wrong.to_string());
        Payload::of(&*value).map(Reply::new).map_err(failed)
    };
    let registry = Registry::new();
    registry.register(match agents {
        Agents::Shared => Agent::from_async("work", move |_| std::future::ready(Ok(Reply::new(nothing.clone())))),
        Agents::Quick => Agent::from_quick("work", move |_| Ok(Reply::new(nothing.clone()))),
        Agents::Encoding => Agent::from_async("work", move |_| {
            let encode = encode.clone();
            async move { encode() }
        }),
        Agents::QuickEncoding => Agent::from_quick("work", move |_| encode()),
    });
    Ok(registry)
}

/// What a matching agent might return, padded to the length that all measurements use.
fn result() -> anyhow::Result<Payload> {
    let candidate = |ix: usize| serde_json::json!({"id": format!("TRD-{ix:010}"), "score": 0.5, "quantity": 1_000 + ix, "currency": "EUR"});
    let mut value = serde_json::json!({
        "status": "COMPLETED",
        "confidence": 0.9375,
        "within_tolerance": true,
        "candidates": (0..8).map(candidate).collect::<Vec<_>>(),
        "pad": "",
    });
    let length = serde_json::to_string(&value)?.len();
    value["pad"] = "x".repeat(RESULT_BYTES.saturating_sub(length)).into();
    Ok(Payload::of(&value)?)
}

fn figure(workload: &str, mode: &str, steps: usize, mut times: Vec<Duration>, flushes_per_step: f64) -> Figure {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len().saturating_sub(1)) * part / 100).copied().unwrap_or_default();
    let p50 = micros(at(50));
    Figure {
        workload: workload.to_owned(),
        mode: mode.to_owned(),
        steps,
        us_per_step: p50 / steps_f64(steps),
        steps_per_s: 1e6 * steps_f64(steps) / p50,
        p50_us: p50,
        p99_us: micros(at(99)),
        flushes_per_step,
        peak_rss_mib: peak_kib() / 1024.0,
    }
}

fn micros(length: Duration) -> f64 {
    length.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "counts of steps are far below the limit")]
fn steps_f64(steps: usize) -> f64 {
    steps as f64
}

/// Lets the system forget the highest memory use so far, where it can.
fn reset_peak() {
    // Without it, the figure is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
