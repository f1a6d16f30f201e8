//! `quorate run`: starts a workflow and watches it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate::expr::{Decimal, Type};
use quorate::host::Host;
use quorate::intake::Intake;
use quorate::project::{Comparison, Mode, PROJECT_FILE, Summary, Workflow, standing};
use quorate::{Decision, Durability, Entry, Order, Payload, Role, Run, RunStatus, TaskStatus};
use serde::Serialize;
use serde_json::value::RawValue;

use super::compare;
use super::context::{Context, Owned, input};
use super::each;
use super::exit::{Exit, Outcome, Problem};
use super::follow::{View, Watch, Watched, start, stop};
use super::runs;
use super::screen::{Style, lasting, one_line};

/// How many runs of `--each` are under way at once, where nobody says.
const USUAL_JOBS: usize = 8;

/// What `run` calls the policies of a project: the work is classified, gets a policy, and is decided.
const POLICIES: &str = "policies";

/// What is started.
pub(crate) enum Target<'a> {
    Workflow(&'a Workflow),
    /// The plan of the policy that is for the work.
    Policies(Box<Intake>),
}

impl Target<'_> {
    pub(crate) fn name(&self) -> &str {
        match self {
            Target::Workflow(workflow) => workflow.plan.name(),
            Target::Policies(_) => POLICIES,
        }
    }

    /// What its input looks like.
    pub(crate) fn input(&self) -> &Type {
        match self {
            Target::Workflow(workflow) => workflow.plan.input(),
            Target::Policies(intake) => intake.input(),
        }
    }

    /// The same, by which work is done in this mode.
    fn in_mode(self, mode: Option<Mode>) -> Result<Self, Problem> {
        match (self, mode) {
            (target, None) => Ok(target),
            (Target::Workflow(workflow), Some(_)) => {
                let problem = Problem::new(Exit::Usage, format!("{} is a workflow, and is always run as it says", workflow.plan.name()));
                Err(problem.hint("`quorate run policies --mode …` is for work that gets a policy"))
            }
            (Target::Policies(intake), Some(mode)) => {
                let wrong = |(policy, problems): (String, Vec<quorate::Problem>)| {
                    let why = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
                    let problem = Problem::new(Exit::Invalid, format!("the agents of {policy} cannot run one after another: {why}"));
                    problem.hint("say in which order they can, in a file of `policies`: `sequence: [FIRST, SECOND]`")
                };
                Ok(Target::Policies(Box::new(intake.in_mode(mode).map_err(wrong)?)))
            }
        }
    }

    /// What another way would have made of it, where that is asked for, and by which policy.
    pub(crate) fn compare(&self, run: &Run, entries: &[Entry]) -> Option<(String, Comparison)> {
        let Target::Policies(intake) = self else { return None };
        (intake.mode() == Mode::Compare).then(|| intake.compare(run, entries)).flatten()
    }

    /// What compares runs, where that is asked for.
    pub(crate) fn comparing(&self) -> Option<Intake> {
        match self {
            Target::Policies(intake) if intake.mode() == Mode::Compare => Some((**intake).clone()),
            Target::Policies(_) | Target::Workflow(_) => None,
        }
    }

    /// How an input becomes an order.
    pub(crate) fn orders(&self, host: &Host, by: Arc<str>) -> Result<Box<dyn Fn(Payload) -> Order + Send>, Problem> {
        match self {
            Target::Workflow(workflow) => {
                let equipped = host.equipped(Order { by, ..Order::new(workflow.plan.clone(), Payload::null()) })?;
                Ok(Box::new(move |input| Order { input, ..equipped.clone() }))
            }
            Target::Policies(intake) => {
                let intake = intake.clone();
                Ok(Box::new(move |input| intake.order(input, &by)))
            }
        }
    }
}

/// Starts a workflow, or the policy that is for a piece of work, watches it, and prints what it returned.
///
/// Example: quorate run web-app -i '{"customer": "ACME"}'
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A workflow, or a project folder, whose default is started; or `policies`, by which the input is classified and decided.
    #[arg(default_value = ".")]
    target: String,
    /// The input: a file, `-` for standard input, or JSON.
    #[arg(long, short, value_name = "JSON")]
    input: Option<String>,
    /// Keep nothing: the run is gone with this command.
    #[arg(long)]
    memory: bool,
    /// Go on working while entries are written; decisions and results wait for the disk.
    #[arg(long, conflicts_with = "memory")]
    relaxed: bool,
    /// How work is done by policies: `dynamic`, as they say; `sequential`, by all agents one after another; `compare`, as that, and
    /// what `dynamic` would have made of the same answers beside it.
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<Mode>,
    /// Everything that happens, as lines of JSON.
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
    /// Watch it for so long at the most: 30s, 5m. It goes on with the next command that owns the data.
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// One run for every record of this file: lines of JSON, or CSV with a header.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "jsonl", "timeout"])]
    each: Option<String>,
    /// How many of these runs are under way at once; 8 where it is not given.
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "each")]
    jobs: Option<usize>,
    /// Where a line of JSON for every one of these runs is written; standard output where it is not given.
    #[arg(long, value_name = "FILE", requires = "each")]
    out: Option<PathBuf>,
}

pub(crate) fn run(mut context: Context, arguments: &Arguments) -> Outcome {
    let workflow = target(&mut context, &arguments.target)?;
    let folder = context.folder()?;
    let host = context.host(&folder)?;
    let target = find_target(&host, workflow.as_deref())?.in_mode(arguments.mode)?;
    let durability = match (arguments.memory, arguments.relaxed) {
        (true, _) => Durability::Memory,
        (_, true) => Durability::Relaxed,
        _ => Durability::Strict,
    };
    if let Some(records) = &arguments.each {
        let batch = each::Batch { records, jobs: arguments.jobs.unwrap_or(USUAL_JOBS), out: arguments.out.as_deref(), durability };
        return each::run(&context, &host, &target, &batch);
    }
    let payload = match &arguments.input {
        None => nothing_for(target.input()),
        given => input(given.as_deref())?,
    };
    match &target {
        Target::Policies(intake) => intake_fits(intake, &payload)?,
        Target::Workflow(workflow) => names_are_meant("the input", &payload, workflow.plan.input())?,
    }
    super::runtime()?.block_on(async {
        let owned = if arguments.memory { Context::fleeting(&host)? } else { context.own(&host, None).await? };
        let by = context.me(host.project()).name;
        let order = target.orders(&host, by.clone())?(payload).durability(durability);
        let how = Watch { view: view(&context, arguments.jsonl), at_most: arguments.timeout, known: 0, by: Some(&by) };
        let watched = start(&owned.engine, order, how, &context.screen).await;
        let compared = watched.as_ref().ok().and_then(|watched| target.compare(&watched.run, &watched.entries));
        if arguments.memory && watched.as_ref().is_ok_and(|watched| !watched.run.has_ended()) {
            stop(&owned.engine).await?;
            let watched = watched?;
            let exit = watched.left.map_or(Exit::Failed, Exit::left);
            let problem = Problem::new(exit, format!("the run {}, and is gone: nothing of it was kept", standing(&watched.run)));
            return Err(problem.hint("run it without --memory"));
        }
        let comparison = compared.as_ref().map(|(_, comparison)| comparison);
        leave_compared(&context, &owned, watched, arguments.jsonl, comparison).await
    })
}

/// The input where none was given: an object of which nothing is said, where that is one.
fn nothing_for(kind: &Type) -> Payload {
    let empty = Payload::parse("{}".to_owned()).ok().filter(|empty| Payload::null().check(kind).is_err() && empty.check(kind).is_ok());
    empty.unwrap_or_else(Payload::null)
}

/// A target that is a folder is the project; otherwise it is a workflow of the project at hand.
pub(crate) fn target(context: &mut Context, target: &str) -> Result<Option<String>, Problem> {
    let path = Path::new(target);
    // A bare word is a workflow, unless it can only be a project.
    let names_folder = target.contains('/') || path.join(PROJECT_FILE).is_file();
    if target == "." || (names_folder && context.global.project.is_none()) {
        if target != "." || context.global.project.is_none() {
            if !path.is_dir() {
                return Err(Problem::new(Exit::NotFound, format!("there is no folder {target}")));
            }
            context.global.project = Some(path.to_owned());
        }
        return Ok(None);
    }
    Ok(Some(target.to_owned()))
}

/// The policies where they are named and no workflow is called like that, else a workflow.
fn find_target<'a>(host: &'a Host, wanted: Option<&str>) -> Result<Target<'a>, Problem> {
    let name = wanted.or(host.project().default.as_deref());
    let only = name.is_none() && host.project().workflows.is_empty();
    let meant = only || name == Some(POLICIES) && !host.project().workflows.contains_key(POLICIES);
    match host.intake().filter(|_| meant) {
        Some(intake) => Ok(Target::Policies(Box::new(intake))),
        None if meant && !only => Err(no_policies()),
        None => find(host, wanted).map(Target::Workflow),
    }
}

/// Whether every field of an input is likely to be meant. An input may have more fields than are declared, so one that is
/// mistyped would be passed over, and the run go on without what was said.
pub(crate) fn names_are_meant(what: &str, input: &Payload, kind: &Type) -> Result<(), Problem> {
    let Type::Object(declared) = kind else { return Ok(()) };
    // What is no object is refused for that.
    let Ok(given) = input.decode::<BTreeMap<String, &RawValue>>() else { return Ok(()) };
    for name in given.keys().filter(|name| declared.iter().all(|field| field.name != **name)) {
        let mut missing = declared.iter().filter(|field| !given.contains_key(field.name.as_str()));
        if let Some(near) = missing.find(|field| is_slip(name, &field.name)) {
            let otherwise = if near.required { String::new() } else { format!(" if not, say `\"{}\": null` with it", near.name) };
            let problem = Problem::new(Exit::Invalid, format!("{what} has `{name}`, which is not declared, and no `{}`", near.name));
            return Err(problem.hint(format!("did you mean `{}`?{otherwise}", near.name)));
        }
    }
    Ok(())
}

/// Whether one name is a slip of the finger away from another. Names that are other words, or number the same one, are not: `date` and
/// `rate`, `amount_a` and `amount_b`.
fn is_slip(given: &str, meant: &str) -> bool {
    /// In a shorter name, another letter makes another word.
    const LONG: usize = 6;
    let [given, meant] = [given, meant].map(|name| name.to_lowercase().chars().collect::<Vec<char>>());
    let apart: Vec<usize> = (0..given.len().min(meant.len())).filter(|at| given[*at] != meant[*at]).collect();
    let with_one_more = |long: &[char], short: &[char]| {
        let at = apart.first().copied().unwrap_or(short.len());
        short.len() > 1 && !long[at].is_numeric() && long[at + 1..] == short[at..]
    };
    match (given.len().cmp(&meant.len()), &apart[..]) {
        (Ordering::Equal, []) => true,
        (Ordering::Equal, [at]) => given.len() >= LONG && at + 1 < given.len(),
        (Ordering::Equal, [one, other]) => one + 1 == *other && given[*one] == meant[*other] && given[*other] == meant[*one],
        (Ordering::Equal, _) => false,
        (Ordering::Greater, _) => given.len() == meant.len() + 1 && with_one_more(&given, &meant),
        (Ordering::Less, _) => meant.len() == given.len() + 1 && with_one_more(&meant, &given),
    }
}

/// Whether what comes in looks like work.
pub(crate) fn intake_fits(intake: &Intake, input: &Payload) -> Result<(), Problem> {
    names_are_meant("the input", input, intake.input())?;
    let hint = "`input` in the folder `policies` says what work looks like";
    input.check_as("input", intake.input()).map_err(|wrong| Problem::new(Exit::Invalid, wrong).hint(hint))
}

pub(crate) fn no_policies() -> Problem {
    let problem = Problem::new(Exit::NotFound, "this project has no policies");
    problem.hint("write one in the folder `policies`; `quorate schema policies` says what may stand there")
}

pub(crate) fn find<'a>(host: &'a Host, wanted: Option<&str>) -> Result<&'a Workflow, Problem> {
    let workflows = &host.project().workflows;
    let policies = (!host.project().policies.is_empty()).then_some(POLICIES);
    let known = || match workflows.is_empty() {
        true if policies.is_some() => "the project has policies: `quorate run policies`".to_owned(),
        true => "this project has no workflows; write one in the folder `workflows`".to_owned(),
        false => format!("there are: {}", workflows.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    let name = match (wanted.or(host.project().default.as_deref()), workflows.len()) {
        (Some(name), _) => name,
        (None, 1) => workflows.keys().next().map_or("", String::as_str),
        (None, _) => return Err(Problem::new(Exit::Usage, "quorate.yaml does not say which workflow is the `default`").hint(known())),
    };
    workflows.get(name).ok_or_else(|| {
        let near = quorate::expr::closest(name, workflows.keys().map(String::as_str).chain(policies));
        let hint = near.map_or_else(known, |near| format!("did you mean `{near}`?"));
        Problem::new(Exit::NotFound, format!("there is no workflow `{name}`")).hint(hint)
    })
}

pub(crate) fn view(context: &Context, jsonl: bool) -> View {
    match () {
        () if jsonl => View::Entries,
        () if context.global.quiet || context.global.json => View::Nothing,
        () if context.screen.err_is_terminal => View::Tree,
        () => View::Lines,
    }
}

/// Tells how a run that was watched stands, and leaves the engine as it should be left.
pub(crate) async fn leave(context: &Context, owned: &Owned, watched: Result<Watched, Problem>, jsonl: bool) -> Outcome {
    leave_compared(context, owned, watched, jsonl, None).await
}

/// The same with what another way would have made of it.
async fn leave_compared(
    context: &Context,
    owned: &Owned,
    watched: Result<Watched, Problem>,
    jsonl: bool,
    comparison: Option<&Comparison>,
) -> Outcome {
    let watched = match watched {
        Ok(watched) => watched,
        Err(wrong) => {
            stop(&owned.engine).await?;
            return Err(wrong);
        }
    };
    tell(context, &watched.run, &watched.entries, jsonl, watched.left.is_some(), owned.kept, comparison);
    let exit = watched.left.map_or_else(|| Exit::of(&watched.run), Exit::left);
    if watched.left.is_some() {
        stop(&owned.engine).await?;
    } else {
        context.leave(owned, Some(watched.run.id())).await?;
    }
    Ok(exit)
}

/// Tells how a run that was watched stands.
pub(crate) fn tell_watched(context: &Context, watched: &Watched, jsonl: bool, kept: bool) -> Exit {
    tell(context, &watched.run, &watched.entries, jsonl, watched.left.is_some(), kept, None);
    watched.left.map_or_else(|| Exit::of(&watched.run), Exit::left)
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a number from 1".to_owned())
}

/// How work is done, as an argument.
fn mode(text: &str) -> Result<Mode, String> {
    let known = [Mode::Dynamic, Mode::Sequential, Mode::Compare];
    known.into_iter().find(|mode| mode.to_string() == text).ok_or_else(|| "it is dynamic, sequential or compare".to_owned())
}

/// A length of time, as an argument.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let time = quorate::project::read_duration(text).ok_or("a length of time is written like 500ms, 30s or 1h 30m")?;
    Ok(Duration::from_millis(time.0))
}

/// Tells of a run that had ended before anybody watched it.
pub(crate) fn tell_of(context: &Context, run: &Run, entries: &[Entry], jsonl: bool) -> Outcome {
    tell(context, run, entries, jsonl, false, true, None);
    Ok(Exit::of(run))
}

fn tell(context: &Context, run: &Run, entries: &[Entry], jsonl: bool, left: bool, kept: bool, comparison: Option<&Comparison>) {
    let (screen, id) = (&context.screen, run.id().short());
    let summary = Summary { comparison, ..Summary::of(run, entries) };
    if context.global.json {
        screen.out(&serde_json::to_string(&summary).unwrap_or_default());
        return;
    }
    match (run.decision(), &summary.output) {
        _ if jsonl => {}
        _ if let Some(comparison) = comparison => compare::show(screen, comparison),
        // Work that came in for a decision is answered with it.
        (Some(decision), _) if run.begun().is_some_and(|start| start.route.is_some()) => {
            screen.out(&serde_json::to_string_pretty(&Decided::of(run, decision)).unwrap_or_default());
        }
        // What is told in words is read as words.
        (_, Some(output)) => screen.out(&serde_json::from_str::<String>(output.get()).unwrap_or_else(|_| pretty(output.get()))),
        (_, None) => {}
    }
    let took = lasting(summary.duration_ms);
    let stands = match context.reader() {
        Ok(reader) if left => runs::stands(context, &reader, run),
        _ => standing(run),
    };
    let stands = screen.paint(Style::of_run(run.status()), &one_line(&stands), true);
    match run.status() {
        RunStatus::Succeeded if summary.output_error.is_some() => screen.err(&format!("run {id} {stands}")),
        RunStatus::Succeeded => screen.note(&format!("run {id} {stands}, in {took}")),
        _ if left => {
            screen.note(&format!("left run {id}, which {stands}"));
            screen.note(&format!("hint: `quorate runs watch {id}` goes on with it"));
        }
        RunStatus::Waiting | RunStatus::Running | RunStatus::Compensating => {
            screen.note(&format!("run {id} {stands}"));
            let asking = run.tasks().filter(|task| task.status() == TaskStatus::Asking).count();
            screen.note(&if asking == 1 {
                format!("hint: `quorate approvals show {id}` shows what is asked, and how it is answered")
            } else if asking > 1 {
                "hint: `quorate approvals list` shows what is asked".to_owned()
            } else if run.children().next().is_some() {
                "hint: `quorate approvals list` shows what the runs that it waits for ask".to_owned()
            } else {
                format!("hint: `quorate runs signal {id} NAME` sends a signal, `quorate runs cancel {id}` ends it")
            });
        }
        _ => {
            screen.err(&format!("run {id} {stands}, after {took}"));
            if kept {
                screen.err(&format!("hint: `quorate runs explain {id}` tells the whole story"));
            }
        }
    }
}

/// What was decided, for whoever goes on with it.
#[derive(Serialize)]
struct Decided<'a> {
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<Decimal>,
    because: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<&'a RawValue>,
    /// What people made of it, where they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<&'a RawValue>,
}

impl<'a> Decided<'a> {
    fn of(run: &'a Run, decision: &'a Decision) -> Decided<'a> {
        let mut reviews = run.tasks().filter(|task| task.role() == Role::Review);
        Decided {
            answered: reviews.find_map(|task| task.output()?.decode().ok()),
            action: &decision.action,
            confidence: decision.confidence,
            because: decision.rule.to_string(),
            reason: decision.reason.as_deref(),
            with: decision.with.as_ref().and_then(|with| with.decode().ok()),
        }
    }
}

/// JSON as people read it.
pub(crate) fn pretty(json: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| json.to_owned())
}
