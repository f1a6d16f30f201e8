//! `quorate run --each`: one run for every record of a file.

use std::io::{BufRead as _, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate::host::Host;
use quorate::project::{Workflow, standing};
use quorate::{Durability, Ended, Engine, FollowRun, MAX_VALUE_BYTES, Order, Payload, RunId, RunStatus};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::context::{Context, counted, parse_input};
use super::exit::{Exit, Outcome, Problem};
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

/// What became of a record.
struct Done {
    line: u64,
    run: Option<RunId>,
    status: String,
    ended: Option<Ended>,
    wrong: Option<String>,
}

pub(crate) fn run(context: &Context, host: &Host, workflow: &Workflow, batch: &Batch<'_>) -> Outcome {
    let mut out: Box<dyn Write> = match batch.out {
        Some(path) => {
            let file = std::fs::File::create(path);
            Box::new(file.map_err(|wrong| Problem::new(Exit::Failed, format!("could not write {}: {wrong}", path.display())))?)
        }
        None => Box::new(std::io::stdout()),
    };
    // Read before anything runs: a file with a mistake in it starts nothing.
    let records = records(batch.records)?;
    let bar = bar(&context.screen, records.len() as u64);
    let count = records.len();
    let mut counts = [0_usize; 3];
    super::runtime()?.block_on(async {
        let memory = batch.durability == Durability::Memory;
        let engine = context.engine(host, memory).await?;
        let by = context.me(host.project()).name;
        let (plan, durability) = (workflow.plan.clone(), batch.durability);
        let order = move |payload: Payload| Order { by: by.clone(), ..Order::new(plan.clone(), payload) }.durability(durability);
        let (tell, mut done) = mpsc::channel(batch.jobs.max(1));
        let queue = Arc::new(std::sync::Mutex::new(records.into_iter().map(move |(line, payload)| (line, order(payload)))));
        for _ in 0..batch.jobs.max(1) {
            tokio::spawn(work(engine.clone(), queue.clone(), tell.clone()));
        }
        drop(tell);
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        let mut interrupted = false;
        loop {
            tokio::select! {
                next = done.recv() => match next {
                    Some(next) => {
                        let slot = match next.ended.as_ref().map(|ended| ended.status) {
                            Some(RunStatus::Succeeded) => 0,
                            None if next.wrong.is_none() => 2,
                            _ => 1,
                        };
                        counts[slot] += 1;
                        bar.set_message(if counts[1] == 0 { String::new() } else { format!("{} failed", counts[1]) });
                        bar.inc(1);
                        writeln!(out, "{}", told(&next)).map_err(|wrong| Problem::new(Exit::Failed, format!("could not write a result: {wrong}")))?;
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
        engine.stop().await?;
        let [well, failed, waiting] = counts;
        let mut said = format!("{} of {}: {well} succeeded", workflow.plan.name(), counted(count, "record"));
        for (count, what) in [(failed, "failed"), (waiting, "wait for people"), (count - well - failed - waiting, "were not ended")] {
            if count > 0 {
                said.push_str(&format!(", {count} {what}"));
            }
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

/// Starts one run after another, as long as there are records.
async fn work<Q>(engine: Engine, queue: Arc<std::sync::Mutex<Q>>, tell: mpsc::Sender<Done>)
where
    Q: Iterator<Item = (u64, Order)> + Send,
{
    loop {
        let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
        let Some((line, order)) = next else { return };
        let done = match engine.start_followed(order) {
            Err(wrong) => Done { line, run: None, status: "refused".to_owned(), ended: None, wrong: Some(wrong.to_string()) },
            Ok((handle, following)) => {
                let run = handle.id();
                match settled(&engine, run, following, handle.ended()).await {
                    Ok(Some(ended)) => {
                        let well = ended.status == RunStatus::Succeeded;
                        // Of a run that is not kept, nobody can say more than that.
                        let wrong = if well { None } else { engine.load(run).await.ok().map(|run| standing(&run)) };
                        Done { line, run: Some(run), status: ended.status.to_string(), ended: Some(ended), wrong }
                    }
                    Ok(None) => Done { line, run: Some(run), status: "waiting".to_owned(), ended: None, wrong: None },
                    Err(wrong) => Done { line, run: Some(run), status: "unknown".to_owned(), ended: None, wrong: Some(wrong) },
                }
            }
        };
        if tell.send(done).await.is_err() {
            return;
        }
    }
}

/// Waits until a run has ended, or waits for people.
async fn settled(
    engine: &Engine,
    run: RunId,
    mut following: FollowRun,
    ended: impl Future<Output = Result<Ended, quorate::Error>>,
) -> Result<Option<Ended>, String> {
    tokio::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => return ended.map(Some).map_err(|wrong| wrong.to_string()),
            entry = following.next() => match entry {
                Ok(Some(entry)) if matches!(entry.event, quorate::Event::Asked { .. } | quorate::Event::OutcomeUnknown { .. }) => {
                    let waits = engine.look(run, |run| run.status() == RunStatus::Waiting).await;
                    if waits.unwrap_or(false) {
                        return Ok(None);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return ended.await.map(Some).map_err(|wrong| wrong.to_string()),
            },
        }
    }
}

fn told(done: &Done) -> Value {
    let mut told =
        json!({ "schema": "quorate.record/1", "record": done.line, "run_id": done.run.map(|run| run.to_string()), "status": done.status });
    if let Some(ended) = &done.ended {
        match &ended.output {
            Ok(output) if ended.status == RunStatus::Succeeded => told["output"] = output.decode().unwrap_or_default(),
            Ok(_) => {}
            Err(wrong) => told["error"] = wrong.to_string().into(),
        }
        if let Some(decision) = &ended.decision {
            told["decision"] = serde_json::to_value(&**decision).unwrap_or_default();
        }
    }
    if let Some(wrong) = &done.wrong {
        told["error"] = wrong.as_str().into();
    }
    told
}

fn bar(screen: &Screen, count: u64) -> ProgressBar {
    let target = if screen.err_is_terminal && !screen.quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count), target);
    let style = ProgressStyle::with_template("  {bar:30} {pos}/{len}  {per_sec}  {eta} left  {msg}");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

/// The records of a file, each with its line.
fn records(path: &str) -> Result<Vec<(u64, Payload)>, Problem> {
    let wrong = |wrong: &dyn std::fmt::Display| Problem::new(Exit::Invalid, format!("could not read the records of {path}: {wrong}"));
    let file = std::fs::File::open(path).map_err(|missing| match missing.kind() {
        std::io::ErrorKind::NotFound => Problem::new(Exit::NotFound, format!("there is no file {path}")),
        _ => wrong(&missing),
    })?;
    if path.ends_with(".csv") {
        return csv_records(path, file);
    }
    let mut records = Vec::new();
    for (line, text) in (1..).zip(BufReader::new(file).lines()) {
        let text = text.map_err(|broken| wrong(&broken))?;
        if text.len() > MAX_VALUE_BYTES {
            return Err(wrong(&format!("line {line} has more than the {MAX_VALUE_BYTES} bytes allowed")));
        }
        if !text.trim().is_empty() {
            records.push((line, parse_input(&text, &format!("{path}, line {line}"))?));
        }
    }
    Ok(records)
}

/// Every row as an object of texts; what is empty is null.
fn csv_records(path: &str, file: std::fs::File) -> Result<Vec<(u64, Payload)>, Problem> {
    let wrong = |wrong: &dyn std::fmt::Display| Problem::new(Exit::Invalid, format!("could not read the records of {path}: {wrong}"));
    let mut reader = csv::Reader::from_reader(file);
    let names = reader.headers().map_err(|broken| wrong(&broken))?.clone();
    let mut records = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|broken| wrong(&broken))?;
        let line = row.position().map_or(0, csv::Position::line);
        let field = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        let fields: Map<String, Value> = names.iter().zip(&row).map(|(name, text)| (name.to_owned(), field(text))).collect();
        let payload = Payload::of(&fields).map_err(|broken| wrong(&format!("line {line}: {broken}")))?;
        records.push((line, payload));
    }
    Ok(records)
}
