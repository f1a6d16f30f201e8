//! `quorate runs`: what has run, how it stands, why, and what to do about it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use quorate::project::{
    AgentSpec, Pick, Project, Routed, Summary, answers, decision_lines, millis_between, moment, pick_lines, standing, standing_with,
};
use quorate::{
    Asker, Durability, Entry, Event, FolderLock, Grower, Input, Order, Run, RunStatus, Signal, Stands, TaskStatus, Timestamp, Wanted, Work,
};
use serde_json::json;

use super::context::{Context, Reader, counted, input, load};
use super::exit::{Exit, Outcome, Problem};
use super::follow::{Afar, View, Watch, goes_on_by_itself, now, start, watch, watch_from_afar};
use super::modes::{Modes, Off};
use super::screen::{Cell, Screen, Style, Table, lasting, one_line};
use super::{events, run, tree};

/// Most tasks of a run that are shown.
const MAX_SHOWN: usize = 200;
/// How a run may stand.
const STATUSES: &str = "running, waiting, compensating, succeeded, failed, timed_out, cancelled";

/// Lists runs, shows them, and brings them on.
///
/// Example: quorate runs explain last
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists runs, the newest first.
    ///
    /// Example: quorate runs list --status waiting
    List(Which),
    /// Counts runs: how many, how they ended, how long they took, under which strategies.
    ///
    /// Example: quorate runs stats
    Stats,
    /// Shows a run: its tasks, its decision, what it returned.
    ///
    /// Example: quorate runs show last --at 12
    Show {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
        /// As it stood after this entry.
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
    },
    /// Shows everything that happened in a run.
    ///
    /// Example: quorate runs events last --jsonl
    Events {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
        /// As lines of JSON.
        #[arg(long)]
        jsonl: bool,
    },
    /// Says where a run stands and why, and how it came there.
    ///
    /// Example: quorate runs explain 9f3a21bc
    Explain {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
    },
    /// Goes on with a run, and watches it until it ends or waits for somebody.
    ///
    /// Example: quorate runs watch last
    Watch {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
        /// Everything that happens, as lines of JSON.
        #[arg(long, conflicts_with = "json")]
        jsonl: bool,
        /// For so long at the most: 30s, 5m.
        #[arg(long, value_name = "TIME", value_parser = run::time)]
        timeout: Option<Duration>,
    },
    /// Cancels a run.
    ///
    /// Example: quorate runs cancel last --reason 'wrong file' --rollback
    Cancel {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
        /// Why.
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Undo what was done.
        #[arg(long)]
        rollback: bool,
    },
    /// Starts the same plan with the same input as a new run.
    ///
    /// Example: quorate runs retry last
    Retry {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
    },
    /// Sends a signal to a run that waits for one.
    ///
    /// Example: quorate runs signal last payment_received -i '{"amount": 10}'
    Signal {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
        /// The name of the signal.
        name: String,
        /// What it carries: a file, `-` for standard input, or JSON.
        #[arg(long, short, value_name = "JSON")]
        input: Option<String>,
    },
    /// Prints the journal of a run, line by line, as it is chained.
    ///
    /// Example: quorate runs export last > run.jsonl
    Export {
        /// Its id, the beginning or the end of it, or `last`.
        run: String,
    },
}

/// Which runs are listed.
#[derive(Debug, clap::Args)]
struct Which {
    /// Only those that stand so: running, waiting, compensating, succeeded, failed, timed_out, cancelled.
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<RunStatus>,
    /// Only those of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Only those that began since then: 2h, 7d, 2026-11-20, 2026-11-20T09:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    since: Option<Timestamp>,
    /// Only those that come after this one in the list.
    #[arg(long, value_name = "RUN")]
    after: Option<String>,
    /// Those as well that other runs started. Of a workflow or a status that is named, they are shown in any case.
    #[arg(long)]
    all: bool,
    /// How many at the most.
    #[arg(long, default_value_t = 20, value_parser = run::at_least_one)]
    limit: usize,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    match &arguments.verb {
        Verb::List(which) => list(context, which),
        Verb::Stats => super::stats::of_runs(context),
        Verb::Show { run, at } => show(context, run, *at),
        Verb::Events { run, jsonl } => show_events(context, run, *jsonl || context.global.json),
        Verb::Explain { run } => explain(context, run),
        Verb::Watch { run, jsonl, timeout } => bring_on(context, run, *jsonl, *timeout, None),
        Verb::Cancel { run, reason, rollback } => {
            let cancel = |by: Arc<str>| Input::Cancel { by, reason: reason.clone(), rollback: *rollback };
            bring_on(context, run, false, None, Some(&cancel))
        }
        Verb::Signal { run, name, input: given } => {
            let payload = input(given.as_deref())?;
            let signal = |by: Arc<str>| Input::Signal(Signal { name: name.as_str().into(), payload: payload.clone(), id: None, by });
            bring_on(context, run, false, None, Some(&signal))
        }
        Verb::Retry { run } => retry(context, run),
        Verb::Export { run } => export(context, run),
    }
}

fn list(context: &Context, which: &Which) -> Outcome {
    let mut table = Table::new(&["RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK", "BY"]);
    let mut listed = Vec::new();
    let mut last = None;
    if context.data()?.exists() {
        let reader = context.reader()?;
        let mut wanted = which.wanted(context, &reader)?;
        'pages: loop {
            let page = reader.list(&wanted)?;
            for info in &page {
                let stands = match info.ended {
                    Some((status, _)) => Ok(status),
                    None => load(&reader, info.run).map(|(run, _)| run.status()),
                };
                // One that cannot be read does not hide the others.
                let (stands, word) = match stands {
                    Ok(stands) => (Some(stands), stands.to_string()),
                    Err(problem) => {
                        context.screen.err(&format!("warning: run {} cannot be read: {}", info.run.short(), problem.message));
                        (None, "unreadable".to_owned())
                    }
                };
                if which.status.is_some() && which.status != stands {
                    continue;
                }
                let ended = info.ended.map(|(_, at)| at);
                let by = match info.parent {
                    Some(parent) => format!("run {}", parent.short()),
                    None => info.by.clone(),
                };
                table.row([
                    info.run.short().into(),
                    info.name.as_str().into(),
                    Cell::styled(word.clone(), stands.map_or(Style::Bad, Style::of_run)),
                    moment(info.started).into(),
                    lasting(millis_between(info.started, ended.unwrap_or_else(now))).into(),
                    by.into(),
                ]);
                listed.push(json!({
                    "run_id": info.run.to_string(), "target": info.name, "status": word, "by": info.by,
                    "parent": info.parent.map(|parent| parent.to_string()), "started_at": info.started, "ended_at": ended,
                }));
                if listed.len() == which.limit {
                    last = Some(info.run);
                    break 'pages;
                }
            }
            // How an open run stands is known when it is looked at: a page may hold fewer than it seems.
            match page.last().filter(|_| page.len() == wanted.limit) {
                Some(info) => wanted.after = Some((info.started, info.run)),
                None => break,
            }
        }
    }
    if context.global.json {
        context.screen.out(&json!({ "schema": "quorate.runs/1", "runs": listed }).to_string());
    } else if listed.is_empty() {
        context.screen.note("no runs");
    } else {
        table.show(&context.screen);
    }
    if let Some(last) = last.filter(|_| context.screen.out_is_terminal && !context.global.json) {
        context.screen.note(&format!("hint: `quorate runs list --after {}` goes on from here", last.short()));
    }
    Ok(Exit::Succeeded)
}

impl Which {
    fn wanted(&self, context: &Context, reader: &Reader) -> Result<Wanted, Problem> {
        let after = match &self.after {
            None => None,
            Some(after) => {
                let (run, entries) = load(reader, context.find_run(reader, after)?)?;
                entries.first().map(|first| (first.at, run.id()))
            }
        };
        let stands = self.status.map(|status| match status {
            RunStatus::Running | RunStatus::Waiting | RunStatus::Compensating => Stands::Open,
            RunStatus::Succeeded | RunStatus::Failed | RunStatus::TimedOut | RunStatus::Cancelled => Stands::Ended(status),
        });
        Ok(Wanted {
            limit: self.limit,
            name: self.workflow.clone(),
            stands,
            since: self.since,
            after,
            roots: !self.all && self.workflow.is_none() && self.status.is_none(),
        })
    }
}

/// A point in time as an argument: itself, its day, or how long ago it was.
fn point_in_time(text: &str) -> Result<Timestamp, String> {
    if let Some(ago) = quorate::project::read_duration(text) {
        return Ok(Timestamp::from_micros(now().micros().saturating_sub(i64::try_from(ago.0).unwrap_or(i64::MAX).saturating_mul(1_000))));
    }
    let midnight = format!("{text}T00:00:00Z");
    let wrong = |_| "a day such as 2026-11-20, a point in time such as 2026-11-20T09:30:00Z, or how long ago: 2h, 7d".to_owned();
    text.parse().or_else(|_| midnight.parse()).map_err(wrong)
}

fn status(text: &str) -> Result<RunStatus, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("a run stands so: {STATUSES}"))
}

/// A run as it stood after an entry; as it stands, where none is given.
pub(crate) fn loaded(context: &Context, wanted: &str, at: Option<u64>) -> Result<(Reader, Run, Vec<Entry>), Problem> {
    let reader = context.reader()?;
    let id = context.find_run(&reader, wanted)?;
    let (mut run, mut entries) = load(&reader, id)?;
    if let Some(at) = at {
        if at == 0 || at > run.seq() {
            let message = format!("run {} has the entries 1 to {}, and no entry {at}", id.short(), run.seq());
            return Err(Problem::new(Exit::NotFound, message));
        }
        entries.retain(|entry| entry.seq <= at);
        run = Run::load(id, run.plan().clone(), &entries).map_err(|wrong| Problem::new(Exit::Failed, wrong.to_string()))?;
    }
    Ok((reader, run, entries))
}

fn show(context: &Context, wanted: &str, at: Option<u64>) -> Outcome {
    let (_, run, entries) = loaded(context, wanted, at)?;
    let summary = Summary::of(&run, &entries);
    let screen = &context.screen;
    if context.global.json {
        screen.out(&serde_json::to_string(&summary).unwrap_or_default());
        return Ok(Exit::Succeeded);
    }
    screen.out(&format!("run       {}", run.id()));
    screen.out(&format!("workflow  {}", run.plan().name()));
    screen.out(&format!("status    {}", run.status()));
    if let (Some(first), Some(start)) = (entries.first(), run.begun()) {
        screen.out(&format!("started   {} by {}", moment(first.at), start.by));
    }
    let parallel = if summary.parallel_steps == 0 { String::new() } else { format!(", {} side by side", summary.parallel_steps) };
    screen.out(&format!("took      {}", lasting(summary.duration_ms)));
    screen.out(&format!("agents    {} of {}{parallel}", summary.agents_invoked, summary.agents_known.unwrap_or(summary.agents_planned)));
    if let Some(used) = summary.usage {
        let of = summary.budget.map(|limit| format!(", of {limit}")).unwrap_or_default();
        screen.out(&format!("used      {used}{of}"));
    }
    if !summary.execution_path.is_empty() {
        screen.out(&format!("path      {}", summary.execution_path));
    }
    if let Some(decision) = &summary.decision {
        let confidence = decision.confidence.map(|confidence| format!(", confidence {confidence}")).unwrap_or_default();
        screen.out(&format!("decision  {}{confidence}", decision.action));
    }
    screen.out("");
    let last = entries.last().map_or_else(now, |entry| entry.at);
    let at = if run.has_ended() || at.is_some() { last } else { now() };
    // Whoever reads it in a pipe looks for words, which are whole there.
    let wide = Screen { width: if screen.out_is_terminal { screen.width } else { usize::MAX }, err_color: screen.out_color, ..*screen };
    for line in tree::lines(&run, &wide, at, ("●", &tree::Said::new()), MAX_SHOWN) {
        screen.out(&line);
    }
    if let Some(output) = &summary.output {
        screen.out(&format!("\n{}", run::pretty(output.get())));
    }
    Ok(Exit::Succeeded)
}

fn show_events(context: &Context, wanted: &str, jsonl: bool) -> Outcome {
    let (_, run, entries) = loaded(context, wanted, None)?;
    let mut table = Table::new(&["SEQ", "SINCE", "EVENT", "WHAT"]);
    let begun = entries.first().map_or_else(now, |entry| entry.at);
    for entry in &entries {
        if jsonl {
            context.screen.out(&events::json(run.id(), entry));
            continue;
        }
        let what = events::line(&entry.event).unwrap_or_default();
        table.row([entry.seq.to_string().into(), lasting(millis_between(begun, entry.at)).into(), entry.event.name().into(), what.into()]);
    }
    if !jsonl {
        table.show(&context.screen);
    }
    Ok(Exit::Succeeded)
}

/// Most open runs that are looked at for who is busy.
const MAX_LOOKED_AT: usize = 1_000;

/// Who is at work by now: for every agent, the tasks that it does.
fn busy(reader: &Reader) -> BTreeMap<String, Vec<String>> {
    let mut busy: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let open = Wanted { stands: Some(Stands::Open), ..Wanted::newest(MAX_LOOKED_AT) };
    let open = reader.list(&open).unwrap_or_default();
    for (run, _) in open.iter().filter_map(|info| load(reader, info.run).ok()) {
        for task in run.tasks().filter(|task| task.status() == TaskStatus::Running) {
            let place = format!("{}/{}", run.id().short(), task.id());
            task.agent().into_iter().for_each(|agent| busy.entry(agent.id.to_string()).or_default().push(place.clone()));
        }
    }
    busy
}

/// Which limit a task waits for, as far as the project, the journal and what people said tell.
fn limit_of(project: &Project, modes: &Modes, busy: &BTreeMap<String, Vec<String>>, asker: Asker<'_>) -> Option<String> {
    const SHOWN: usize = 3;
    let wanted: Vec<&AgentSpec> = match asker {
        Asker::Agent(id) => project.agents.get(&**id).into_iter().flat_map(AgentSpec::all).collect(),
        Asker::Capabilities(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            project.agents.values().flat_map(AgentSpec::all).filter(|agent| agent.can(&names)).collect()
        }
        Asker::Workflow(_) => Vec::new(),
    };
    let off = wanted.iter().filter_map(|agent| {
        let said = modes.about(&agent.id, agent.version.as_deref().unwrap_or("1"))?;
        let how = if said.mode == Off::Drained { "drained" } else { "disabled" };
        let note = if said.note.is_empty() { String::new() } else { format!(": {}", said.note) };
        Some(format!("{} is {how} by {}{note}", agent.id, said.by))
    });
    let full = || {
        wanted.iter().find_map(|agent| {
            let (most, who) = (agent.max_concurrent?, busy.get(&agent.id)?);
            let shown = who.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            (who.len() >= most).then(|| format!("{} takes {} at a time, and is busy with {shown}", agent.id, counted(most, "call")))
        })
    };
    let off: Vec<String> = off.collect();
    let off = (!off.is_empty()).then(|| off.join(", "));
    off.or_else(full).or_else(|| {
        let all: usize = busy.values().map(Vec::len).sum();
        let most = project.max_concurrent_agents.filter(|most| all >= *most)?;
        Some(format!("the project allows {} at a time", counted(most, "call")))
    })
}

/// Where a run stands, with the limits that its tasks wait for.
pub(crate) fn stands(context: &Context, reader: &Reader, run: &Run) -> String {
    // The data may lie where there is no project.
    let host = context.folder().and_then(|folder| context.read(&folder)).ok();
    let at_work = OnceCell::new();
    let modes = context.data().ok().and_then(|data| Modes::read(&data).ok()).unwrap_or_default();
    let limit = |asker: Asker<'_>| limit_of(host.as_ref()?.project(), &modes, at_work.get_or_init(|| busy(reader)), asker);
    standing_with(run, &limit)
}

fn explain(context: &Context, wanted: &str) -> Outcome {
    let (reader, run, entries) = loaded(context, wanted, None)?;
    let screen = &context.screen;
    let standing = stands(context, &reader, &run);
    if context.global.json {
        let facts: Vec<_> = entries
            .iter()
            .filter_map(|entry| Some(json!({ "seq": entry.seq, "at": entry.at, "what": events::whole_line(&entry.event)? })))
            .collect();
        let told = json!({
            "schema": "quorate.explain/1", "run_id": run.id().to_string(), "status": run.status(), "standing": standing, "facts": facts,
            "decision": run.decision().map(|decision| &**decision), "nearest": Run::nearest(run.id(), run.plan(), &entries),
        });
        screen.out(&told.to_string());
        return Ok(Exit::Succeeded);
    }
    screen.out(&format!("Run {} {}.", run.id().short(), one_line(&standing)));
    for child in run.children() {
        if let Ok((child, _)) = load(&reader, child.run) {
            screen.out(&format!("Run {} {}.", child.id().short(), one_line(&quorate::project::standing(&child))));
        }
    }
    if goes_on_by_itself(&run) && context.data().is_ok_and(|data| FolderLock::take(&data).is_ok()) {
        screen.out(&format!("Nobody goes on with it at the moment; `quorate runs watch {}` does.", run.id().short()));
    }
    let picked = run.begun().and_then(|start| start.route.as_ref()?.decode::<Pick>().ok());
    if let Some(Pick { about, .. }) = picked.as_ref().filter(|pick| !pick.about.is_empty()) {
        screen.out("");
        about.iter().for_each(|line| screen.out(&one_line(line)));
    }
    if let Some(decision) = run.decision() {
        screen.out("");
        for line in decision_lines(run.plan(), decision, &answers(&run, &entries), &Run::nearest(run.id(), run.plan(), &entries)) {
            screen.out(&one_line(&line));
        }
    }
    screen.out("");
    screen.out("How it came there:");
    let drafted = run.plan().draft().checkpoints;
    let begun = entries.first().map_or_else(now, |entry| entry.at);
    if let (Some(first), Some(start)) = (entries.first(), run.begun()) {
        let routed = start.route.as_ref().and_then(|route| route.decode::<Routed>().ok());
        let why = routed.as_ref().map(|routed| format!("; {}", routed.by)).unwrap_or_default();
        screen.out(&format!("  {:>4} {:>9}  {} started it, at {}{why}", first.seq, "0ms", start.by, moment(first.at)));
        for line in routed.iter().flat_map(Routed::beside) {
            screen.out(&format!("{:17}{line}", ""));
        }
        for line in picked.iter().flat_map(pick_lines) {
            screen.out(&format!("{:17}{}", "", one_line(&line)));
        }
        for skill in &start.skills {
            let version = skill.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            screen.out(&format!("{:17}with the skill {}{version}, as of then ({:.12})", "", skill.name, skill.digest().to_string()));
        }
    }
    for entry in &entries {
        let operands: &[quorate::Operand] = match &entry.event {
            Event::TaskAdmitted { operands, .. } => operands,
            _ => &[],
        };
        let what = match (&entry.event, operands) {
            (Event::TaskAdmitted { task, .. }, [_, ..]) => {
                let seen: Vec<String> = operands.iter().map(ToString::to_string).collect();
                Some(format!("{} may run, as {}", task.id(), seen.join(", ")))
            }
            (Event::Grew { by: Grower::Checkpoint { id, .. }, tasks }, _) => {
                let found = drafted.iter().find(|checkpoint| checkpoint.id == **id);
                let words = found.and_then(|checkpoint| checkpoint.description.clone());
                let asked = tasks.iter().map(|task| &**task).collect::<Vec<_>>().join(", ");
                words.map(|words| format!("{words}: {asked} as well")).or_else(|| events::whole_line(&entry.event))
            }
            (event, _) => events::whole_line(event),
        };
        if let Some(what) = what {
            screen.out(&format!("  {:>4} {:>9}  {}", entry.seq, lasting(millis_between(begun, entry.at)), one_line(&what)));
        }
    }
    Ok(Exit::Succeeded)
}

/// Owns the data for a while, gives a run an input, and watches what comes of it.
fn bring_on(context: &Context, wanted: &str, jsonl: bool, at_most: Option<Duration>, give: Option<&dyn Fn(Arc<str>) -> Input>) -> Outcome {
    let folder = context.folder()?;
    let host = context.sound_part(&folder)?;
    let reader = context.reader()?;
    let id = context.find_run(&reader, wanted)?;
    let (known, entries) = load(&reader, id)?;
    if known.has_ended() {
        if give.is_some() {
            return Err(Problem::new(Exit::Conflict, format!("run {} {} already", id.short(), standing(&known))));
        }
        return run::tell_of(context, &known, &entries, jsonl);
    }
    let me = context.me(host.project()).name;
    let given = give.map(|give| give(me.clone()));
    if let Some(Input::Signal(signal)) = &given {
        note_unexpected(context, &known, &signal.name);
    }
    let mut how = Watch { view: run::view(context, jsonl), at_most, known: known.seq(), by: Some(&me) };
    // What happened before is not told again, and of what only sleeps there would be nothing to read.
    let sleeps = known.status() == RunStatus::Waiting && known.tasks().all(|task| task.asks().is_none());
    if how.view == View::Lines && give.is_none() && sleeps {
        context.screen.note(&format!("run {} {}", id.short(), standing(&known)));
    }
    super::runtime()?.block_on(async {
        let given = given.map(|given| (id, given));
        let owned = loop {
            match context.own(&host, given.clone()).await {
                // Another process drives it, which can be watched from here; if it goes, this one goes on.
                Err(problem) if problem.exit == Exit::Conflict && give.is_none() => {
                    let (data, plan) = (context.data()?, known.plan().clone());
                    match watch_from_afar(&reader, &data, id, plan, how, &context.screen).await? {
                        Afar::Watched(watched) => return Ok(run::tell_watched(context, &watched, jsonl, true)),
                        Afar::Alone { seen } => how.known = seen,
                    }
                }
                other => break other?,
            }
        };
        drop(reader);
        let watched = watch(&owned.engine, id, known.plan().clone(), how, &context.screen).await;
        let cancelled = watched.as_ref().is_ok_and(|watched| watched.run.status() == RunStatus::Cancelled);
        let exit = run::leave(context, &owned, watched, jsonl).await?;
        // Whoever cancels a run wants it to be cancelled.
        Ok(if give.is_some() && cancelled { Exit::Succeeded } else { exit })
    })
}

/// A signal that nothing waits for is no mistake: what waits for it may not have begun. A name that is misspelt looks the same.
fn note_unexpected(context: &Context, run: &Run, name: &str) {
    let signal = |work| if let Work::Listen { signal, .. } = work { Some(signal) } else { None };
    let awaited: Vec<Arc<str>> = run.outstanding().filter_map(signal).collect();
    if awaited.iter().any(|awaited| **awaited == *name) {
        return;
    }
    let others = if awaited.is_empty() { String::new() } else { format!("; it waits for {}", awaited.join(", ")) };
    context.screen.note(&format!("warning: run {} does not wait for the signal `{name}` now{others}", run.id().short()));
}

fn retry(context: &Context, wanted: &str) -> Outcome {
    let folder = context.folder()?;
    let host = context.sound_part(&folder)?;
    let reader = context.reader()?;
    let id = context.find_run(&reader, wanted)?;
    let (old, _) = load(&reader, id)?;
    let begun = old.begun().ok_or_else(|| Problem::new(Exit::NotFound, format!("run {} has not begun", id.short())))?;
    if old.status() == RunStatus::Running || old.status() == RunStatus::Waiting {
        let problem = Problem::new(Exit::Conflict, format!("run {} has not ended", id.short()));
        return Err(problem.hint(format!("quorate runs watch {} goes on with it", id.short())));
    }
    let me = context.me(host.project()).name;
    let order = Order {
        by: me.clone(),
        profile: begun.profile.clone(),
        session: begun.session.clone(),
        skills: begun.skills.clone(),
        ..Order::new(old.plan().clone(), begun.input.clone())
    };
    drop(reader);
    super::runtime()?.block_on(async {
        let owned = context.own(&host, None).await?;
        let how = Watch { view: run::view(context, false), at_most: None, known: 0, by: Some(&me) };
        context.screen.note(&format!("trying again what run {} was to do", id.short()));
        let watched = start(&owned.engine, order.durability(Durability::Strict), how, &context.screen).await;
        run::leave(context, &owned, watched, false).await
    })
}

fn export(context: &Context, wanted: &str) -> Outcome {
    let reader = context.reader()?;
    let id = context.find_run(&reader, wanted)?;
    let lines = reader.lines(id)?;
    if lines.is_empty() {
        return Err(Problem::new(Exit::NotFound, format!("there is no run {id}")).hint("`quorate runs list` shows them"));
    }
    context.screen.out(lines.trim_end());
    Ok(Exit::Succeeded)
}
