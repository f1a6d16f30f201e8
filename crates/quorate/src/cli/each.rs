//! `quorate run --each`: one run for every record of a file.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use quorate::host::Host;
use quorate::intake::Intake;
use quorate::project::{Comparison, standing};
use quorate::{Durability, Engine, Order, Run, RunStatus};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::compare::Totals;
use super::context::{Context, counted};
use super::exit::{Exit, Outcome, Problem};
use super::follow::{View, Watch, start, stop, told_to_stop};
use super::records::{self, Record};
use super::run::{Target, names_are_meant};
use super::screen::Screen;

/// What runs, for which records.
pub(crate) struct Batch<'a> {
    /// The file with the records.
    pub(crate) records: &'a str,
    /// How many runs are under way at once.
    pub(crate) jobs: usize,
    /// Where a line for every run is written.
    pub(crate) out: Option<&'a Path>,
    pub(crate) durability: Durability,
}

/// Most runs of one file that are under way at once.
const MAX_JOBS: usize = 10_000;
/// The version of what [`told`] looks like.
const SCHEMA: &str = "quorate.record/1";

/// Which record it is, and the line at which it begins.
#[derive(Clone, Copy)]
struct Place {
    record: usize,
    line: u64,
}

/// What became of a record.
struct Done {
    place: Place,
    run: Option<Run>,
    /// Where it was done both ways: by which policy, and what came of it.
    compared: Option<(String, Comparison)>,
    /// Why there is no run.
    wrong: Option<String>,
}

pub(crate) fn run(context: &Context, host: &Host, target: &Target<'_>, batch: &Batch<'_>) -> Outcome {
    // Read before anything is written or runs: a file with a mistake in it starts nothing, and destroys nothing.
    let records = records::read(batch.records, target.input())?;
    for Record { line, payload } in &records {
        names_are_meant(&format!("{}, line {line},", batch.records), payload, target.input())?;
    }
    if records.is_empty() {
        context.screen.note(&format!("warning: {} holds no records", batch.records));
    }
    let same = |path: &Path| {
        path.canonicalize().ok().is_some_and(|path| Path::new(batch.records).canonicalize().is_ok_and(|records| records == path))
    };
    if let Some(path) = batch.out.filter(|path| same(path)) {
        return Err(Problem::new(Exit::Usage, format!("{} holds the records; the results need a file of their own", path.display())));
    }
    let bar = bar(&context.screen, records.len() as u64);
    let count = records.len();
    // More hands than work find nothing to do.
    let jobs = batch.jobs.min(count).clamp(1, MAX_JOBS);
    super::runtime()?.block_on(async {
        let kept = batch.durability != Durability::Memory;
        let owned = if kept { context.own(host, None).await? } else { Context::fleeting(host)? };
        // Whoever does not get the data leaves the results of others alone.
        let mut results = Results { out: open(batch.out)?, kept, counts: [0; 3], totals: Totals::default() };
        let engine = &owned.engine;
        let by = context.me(host.project()).name;
        let (order, durability) = (target.orders(host, by)?, batch.durability);
        let (tell, mut done) = mpsc::channel(jobs);
        let orders = (1..)
            .zip(records)
            .map(move |(record, found)| (Place { record, line: found.line }, order(found.payload).durability(durability)));
        let queue = Arc::new(Queue { orders: Mutex::new(orders), closed: AtomicBool::new(false) });
        let intake = target.comparing().map(Arc::new);
        for _ in 0..jobs {
            tokio::spawn(work(engine.clone(), queue.clone(), tell.clone(), context.screen, intake.clone()));
        }
        drop(tell);
        let interrupt = told_to_stop();
        tokio::pin!(interrupt);
        let (mut interrupted, mut unwritten) = (false, None);
        loop {
            tokio::select! {
                next = done.recv() => match next {
                    Some(next) => {
                        if let Err(wrong) = results.add(&next) {
                            unwritten = Some(wrong);
                            break;
                        }
                        let failed = results.counts[1];
                        bar.set_message(if failed == 0 { String::new() } else { format!("{failed} failed") });
                        bar.inc(1);
                    }
                    None => break,
                },
                _ = &mut interrupt => {
                    interrupted = true;
                    break;
                }
            }
        }
        bar.finish_and_clear();
        queue.closed.store(true, Ordering::Relaxed);
        if interrupted || unwritten.is_some() {
            stop(engine).await?;
            // What had ended before it stopped has a line as well.
            while let (None, Ok(next)) = (&unwritten, done.try_recv()) {
                if next.run.as_ref().is_some_and(Run::has_ended) {
                    unwritten = results.add(&next).err();
                }
            }
        } else {
            context.leave(&owned, None).await?;
        }
        if let Some(wrong) = unwritten {
            return Err(Problem::new(Exit::Failed, format!("could not write a result: {wrong}")));
        }
        let [well, failed, waiting] = results.counts;
        let mut said = format!("{} of {}: {well} succeeded", target.name(), counted(count, "record"));
        for (count, what) in [(failed, "failed"), (waiting, "wait for people"), (count - well - failed - waiting, "were not ended")] {
            if count > 0 {
                said.push_str(&format!(", {count} {what}"));
            }
        }
        if !results.totals.is_empty() && batch.out.is_some() {
            results.totals.table().show(&context.screen);
        } else if !results.totals.is_empty() {
            context.screen.note("hint: `quorate policy compare` shows both ways side by side, policy by policy");
        }
        context.screen.note(&said);
        Ok(match () {
            () if interrupted => Exit::Interrupted,
            () if failed > 0 => Exit::Failed,
            () if waiting > 0 => Exit::Waiting,
            () => Exit::Succeeded,
        })
    })
}

fn open(out: Option<&Path>) -> Result<Box<dyn Write>, Problem> {
    let Some(path) = out else { return Ok(Box::new(std::io::stdout())) };
    match std::fs::File::create(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(wrong) => Err(Problem::new(Exit::Failed, format!("could not write {}: {wrong}", path.display()))),
    }
}

/// The lines that come out, and how many records went well, failed, and wait.
struct Results {
    out: Box<dyn Write>,
    /// Whether a run that waits is still there afterwards.
    kept: bool,
    counts: [usize; 3],
    /// What was done both ways.
    totals: Totals,
}

impl Results {
    fn add(&mut self, done: &Done) -> std::io::Result<()> {
        let slot = match &done.run {
            Some(run) if run.status() == RunStatus::Succeeded => 0,
            Some(run) if !run.has_ended() && self.kept => 2,
            _ => 1,
        };
        self.counts[slot] += 1;
        if let Some((policy, comparison)) = &done.compared {
            self.totals.add(policy, comparison);
        }
        // Put together first: written piece by piece, a line is dozens of calls of the system.
        self.out.write_all(format!("{}\n", told(done, self.kept)).as_bytes())
    }
}

/// What is still to be run.
struct Queue<Q> {
    orders: Mutex<Q>,
    /// Nothing more is to begin.
    closed: AtomicBool,
}

/// Starts one run after another, as long as there are records.
async fn work<Q>(engine: Engine, queue: Arc<Queue<Q>>, tell: mpsc::Sender<Done>, screen: Screen, comparing: Option<Arc<Intake>>)
where
    Q: Iterator<Item = (Place, Order)> + Send,
{
    loop {
        let next = queue.orders.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some((place, order)) = next.filter(|_| !queue.closed.load(Ordering::Relaxed)) else { return };
        let how = Watch { view: View::Nothing, at_most: None, known: 0, by: None };
        let done = match start(&engine, order, how, &screen).await {
            Ok(watched) => {
                let compared = comparing.as_ref().and_then(|intake| intake.compare(&watched.run, &watched.entries));
                Done { place, run: Some(watched.run), compared, wrong: None }
            }
            Err(problem) => Done { place, run: None, compared: None, wrong: Some(problem.message) },
        };
        if tell.send(done).await.is_err() {
            return;
        }
    }
}

fn told(done: &Done, kept: bool) -> Value {
    let Place { record, line } = done.place;
    let Some(run) = &done.run else {
        return json!({ "schema": SCHEMA, "record": record, "line": line, "run_id": null, "status": "refused", "error": done.wrong });
    };
    let id = run.id().to_string();
    let mut told = json!({ "schema": SCHEMA, "record": record, "line": line, "run_id": id, "status": run.status() });
    match (run.status(), run.output()) {
        (RunStatus::Succeeded, Ok(output)) => told["output"] = output.decode().unwrap_or_default(),
        (RunStatus::Succeeded, Err(wrong)) => told["error"] = wrong.to_string().into(),
        _ if run.has_ended() => told["error"] = standing(run).into(),
        _ if !kept => told["error"] = format!("{}, and is gone: nothing of it was kept", standing(run)).into(),
        _ => told["waits"] = standing(run).into(),
    }
    if let Some((_, comparison)) = &done.compared {
        told["comparison"] = serde_json::to_value(comparison).unwrap_or_default();
    }
    if let Some(decision) = run.decision() {
        told["decision"] = serde_json::to_value(&**decision).unwrap_or_default();
    }
    told
}

fn bar(screen: &Screen, count: u64) -> ProgressBar {
    let target = if screen.err_is_terminal && !screen.quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count), target);
    let style = ProgressStyle::with_template("  {bar:30} {pos}/{len}  {rate}  {eta} left  {msg}");
    // A hundredth of a record tells nobody anything.
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let rate = state.per_sec();
        let _ = write!(out, "{rate:.*}/s", usize::from(rate < 10.0));
    };
    style.map_or(bar.clone(), |style| bar.with_style(style.with_key("rate", rate)))
}
