//! `quorate approvals`: what people are asked, and their answers.

use std::sync::Arc;

use clap::Subcommand;
use quorate::{Asks, Input, Role, Run, RunId, TaskView};
use serde_json::json;

use super::context::{Context, Reader, load, person};
use super::exit::{Exit, Outcome, Problem};
use super::follow::{Watch, watch};
use super::screen::{Table, one_line};
use super::{events, run};
use quorate::project::{Project, moment, with_words};

/// The answers to the question whether an attempt took effect.
const OUTCOMES: [&str; 3] = ["succeeded", "failed", "again"];

/// Lists what people are asked, and answers it.
///
/// Example: quorate approvals approve last --as ann --note 'checked the invoice'
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists open questions; those that are due first come first.
    ///
    /// Example: quorate approvals list --mine --as ann
    List {
        /// Only those that whoever acts may answer.
        #[arg(long)]
        mine: bool,
    },
    /// Shows a question, what the answer rests on, and who may answer.
    ///
    /// Example: quorate approvals show 9f3a21bc/sign_off
    Show {
        /// RUN/TASK, or a run that asks one question.
        approval: String,
    },
    /// Says yes.
    ///
    /// Example: quorate approvals approve last --as ann --note 'checked'
    Approve(Given),
    /// Says no.
    ///
    /// Example: quorate approvals reject last --as ann --note 'amount is wrong'
    Reject(Given),
    /// Gives any other answer that the question allows.
    ///
    /// Example: quorate approvals answer last --choice again
    Answer {
        #[command(flatten)]
        answer: Given,
        /// The answer.
        #[arg(long)]
        choice: String,
    },
    /// Hands a question on to somebody else.
    ///
    /// Example: quorate approvals delegate last --as ann --to bob
    Delegate {
        #[command(flatten)]
        answer: Given,
        /// To whom.
        #[arg(long, value_name = "NAME")]
        to: String,
    },
}

#[derive(Debug, clap::Args)]
struct Given {
    /// RUN/TASK, or a run that asks one question.
    approval: String,
    /// Why; it is kept with the answer.
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    match &arguments.verb {
        Verb::List { mine } => list(context, *mine),
        Verb::Show { approval } => show(context, approval),
        Verb::Approve(answer) => give(context, answer, &|asks| choice(asks, false)),
        Verb::Reject(answer) => give(context, answer, &|asks| choice(asks, true)),
        Verb::Answer { answer, choice } => give(context, answer, &|_| Ok(choice.clone())),
        Verb::Delegate { answer, to } => delegate(context, answer, to),
    }
}

/// The choice that says yes, or the one that says no.
fn choice(asks: Asks<'_>, rejects: bool) -> Result<String, Problem> {
    let usual = if rejects { "reject" } else { "approve" };
    let found =
        asks.choices.iter().find(|choice| choice.name == usual).or_else(|| asks.choices.iter().find(|choice| choice.rejects == rejects));
    found.map(|choice| choice.name.clone()).ok_or_else(|| {
        let choices = choices(asks).join(", ");
        Problem::new(Exit::Usage, format!("this question cannot be answered so; its answers are {choices}"))
            .hint("use `quorate approvals answer … --choice`")
    })
}

fn choices(asks: Asks<'_>) -> Vec<String> {
    match asks.choices {
        [] => OUTCOMES.map(str::to_owned).to_vec(),
        choices => choices.iter().map(|choice| choice.name.clone()).collect(),
    }
}

/// Who may answer, in words.
fn who(asks: Asks<'_>) -> String {
    let words = asks.levels.iter().map(|level| {
        let users = level.users.iter().cloned();
        let groups = level.groups.iter().map(|group| format!("the group {group}"));
        let names: Vec<String> = users.chain(groups).collect();
        let names = if names.is_empty() { "anybody".to_owned() } else { names.join(", ") };
        match level.at_least {
            Some(count @ 2..) => format!("{count} of {names}"),
            _ => names,
        }
    });
    let words: Vec<String> = words.collect();
    let mut said = if words.is_empty() { "anybody who knows".to_owned() } else { words.join("; or ") };
    for handed in asks.delegations {
        said.push_str(&format!("; {} for {}", handed.to, handed.from));
    }
    said
}

fn approval_id(run: RunId, task: TaskView<'_>) -> String {
    format!("{run}/{}", task.id())
}

/// The runs that have not ended. One that cannot be read does not hide the others.
fn open_runs(context: &Context, reader: &Reader) -> Result<Vec<Run>, Problem> {
    let mut runs = Vec::new();
    for id in reader.open_runs()? {
        match load(reader, id) {
            Ok((run, _)) => runs.push(run),
            Err(problem) => context.screen.err(&format!("warning: run {} cannot be read: {}", id.short(), problem.message)),
        }
    }
    Ok(runs)
}

fn list(context: &Context, mine: bool) -> Outcome {
    let runs = if context.data()?.exists() { open_runs(context, &context.reader()?)? } else { Vec::new() };
    let mut open: Vec<(&Run, TaskView<'_>, Asks<'_>)> =
        runs.iter().flat_map(|run| run.tasks().filter_map(move |task| Some((run, task, task.asks()?)))).collect();
    if mine {
        let folder = context.folder()?;
        let me = context.me(context.read(&folder)?.project());
        open.retain(|(_, task, asks)| {
            let answered = asks.answers.iter().any(|answer| answer.by == me.name);
            !answered && task.may_be_answered_by(&me).is_ok()
        });
    }
    open.sort_by_key(|(_, _, asks)| (asks.deadline.is_none(), asks.deadline));
    if context.global.json {
        let listed: Vec<_> = open.iter().map(|(run, task, asks)| told(run, *task, *asks)).collect();
        context.screen.out(&json!({ "schema": "quorate.approvals/1", "approvals": listed }).to_string());
        return Ok(Exit::Succeeded);
    }
    if open.is_empty() {
        context.screen.note(if mine { "there is nothing that you may answer" } else { "nobody is asked anything" });
    }
    let mut table = Table::new(&["APPROVAL", "WORKFLOW", "UNTIL", "BY", "QUESTION"]).minor(&["WORKFLOW"]);
    for (run, task, asks) in &open {
        let until = asks.deadline.map(moment).unwrap_or_else(|| "-".to_owned());
        let id = format!("{}/{}", run.id().short(), task.id());
        let proposed = proposal(run, *task).map(|with| format!(" (proposed: {with})")).unwrap_or_default();
        let question = format!("{}{proposed}", asks.question.text);
        table.row([id.into(), (&**run.plan().name()).into(), until.into(), who(*asks).into(), question.into()]);
    }
    if !open.is_empty() {
        table.show(&context.screen);
    }
    Ok(Exit::Succeeded)
}

/// What is proposed, where people are asked about a decision.
fn proposal(run: &Run, task: TaskView<'_>) -> Option<String> {
    let decision = run.decision().filter(|_| task.role() == Role::Review)?;
    decision.with.as_ref().map(with_words)
}

fn told(run: &Run, task: TaskView<'_>, asks: Asks<'_>) -> serde_json::Value {
    json!({
        "approval_id": approval_id(run.id(), task),
        "run_id": run.id().to_string(),
        "task": task.id(),
        "workflow": &**run.plan().name(),
        "question": asks.question.text,
        "evidence": events::plain(&asks.question.evidence),
        "evidence_digest": asks.question.evidence_digest,
        "choices": choices(asks),
        "by": asks.levels,
        "deadline": asks.deadline,
        "answers": asks.answers,
        "delegations": asks.delegations,
    })
}

/// A run, and the runs that it waits for.
fn family(reader: &Reader, id: RunId) -> Result<Vec<Run>, Problem> {
    let mut runs = vec![load(reader, id)?.0];
    let mut next = 0;
    while next < runs.len() {
        let children: Vec<RunId> = runs[next].children().map(|child| child.run).collect();
        for child in children {
            // One that has not begun yet asks nothing.
            runs.extend(load(reader, child).ok().map(|(run, _)| run));
        }
        next += 1;
    }
    Ok(runs)
}

/// Finds the one question that is meant.
fn find<T>(context: &Context, wanted: &str, then: impl FnOnce(&Run, TaskView<'_>, Asks<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
    let reader = context.reader()?;
    let (run, task) = match wanted.split_once('/') {
        Some((run, task)) => (run, Some(task)),
        None => (wanted, None),
    };
    let id = context.find_run(&reader, run)?;
    let runs = family(&reader, id)?;
    let run = &runs[0];
    let open: Vec<(&Run, TaskView<'_>, Asks<'_>)> =
        runs.iter().flat_map(|run| run.tasks().filter_map(move |view| Some((run, view, view.asks()?)))).collect();
    let own = |task: &str| open.iter().copied().find(|(run, view, _)| run.id() == id && view.id() == task);
    let found: Vec<(&Run, TaskView<'_>, Asks<'_>)> = match task {
        None => open.clone(),
        // The runs of a run may ask under the same name.
        Some(task) => own(task).map_or_else(|| open.iter().copied().filter(|(_, view, _)| view.id() == task).collect(), |own| vec![own]),
    };
    match found[..] {
        [(run, view, asks)] => then(run, view, asks),
        [] => {
            let answered = task.and_then(|task| run.task(task)).filter(|view| view.status().is_end());
            Err(match (task, answered) {
                (Some(task), Some(view)) => {
                    Problem::new(Exit::Conflict, format!("`{task}` asks nothing any more: it has {}", view.status()))
                }
                (Some(task), None) => Problem::new(Exit::NotFound, format!("`{task}` of run {} asks nothing", id.short())),
                (None, _) if run.has_ended() => {
                    Problem::new(Exit::Conflict, format!("run {} has ended, and asks nothing any more", id.short()))
                }
                (None, _) => Problem::new(Exit::NotFound, format!("run {} asks nothing", id.short())),
            })
        }
        ref several => {
            let names: Vec<String> = several.iter().map(|(run, view, _)| format!("{}/{}", run.id().short(), view.id())).collect();
            Err(Problem::new(Exit::Usage, format!("run {} asks {} questions", id.short(), several.len()))
                .hint(format!("name one: {}", names.join(", "))))
        }
    }
}

fn show(context: &Context, wanted: &str) -> Outcome {
    find(context, wanted, |run, task, asks| {
        let screen = &context.screen;
        if context.global.json {
            let mut one = told(run, task, asks);
            one["schema"] = "quorate.approval/1".into();
            screen.out(&one.to_string());
            return Ok(Exit::Succeeded);
        }
        screen.out(&one_line(&asks.question.text));
        screen.out("");
        screen.out(&format!("approval  {}/{}", run.id().short(), task.id()));
        screen.out(&format!("workflow  {}", run.plan().name()));
        screen.out(&format!("started   by {}", run.begun().map_or("", |start| &*start.by)));
        screen.out(&format!("by        {}", who(asks)));
        if !asks.starter_may_answer {
            screen.out("          not by whoever started the run");
        }
        if !asks.question.except.is_empty() {
            screen.out(&one_line(&format!("          not by {}, who had a part in it", asks.question.except.join(", "))));
        }
        screen.out(&format!("until     {}", asks.deadline.map_or_else(|| "any time".to_owned(), moment)));
        if let Some(decision) = run.decision().filter(|_| task.role() == Role::Review) {
            let with = proposal(run, task).unwrap_or_else(|| decision.action.to_string());
            screen.out(&one_line(&format!("proposed  {with}; `approve` is a yes to that")));
            if let Some(reason) = &decision.reason {
                screen.out(&one_line(&format!("because   {reason}")));
            }
        }
        if asks.override_needs_note {
            screen.out("          another answer than that needs a note");
        }
        screen.out(&format!("answers   {}", choices(asks).join(", ")));
        for answer in asks.answers {
            screen.out(&format!("          {} has answered {}", answer.by, answer.choice));
        }
        screen.out(&format!("evidence  {}", asks.question.evidence_digest));
        screen.out(&run::pretty(asks.question.evidence.json()));
        let id = format!("{}/{}", run.id().short(), task.id());
        screen.note(&match (choice(asks, false), choice(asks, true)) {
            (Ok(_), Ok(_)) => {
                format!("hint: `quorate approvals approve {id} --as NAME` says yes, `quorate approvals reject {id} --as NAME` no")
            }
            _ => format!("hint: `quorate approvals answer {id} --as NAME --choice …` answers it"),
        });
        Ok(Exit::Succeeded)
    })
}

fn give(context: &Context, answer: &Given, choose: &dyn Fn(Asks<'_>) -> Result<String, Problem>) -> Outcome {
    let (id, task, choice, evidence) = find(context, &answer.approval, |run, task, asks| {
        Ok((run.id(), Arc::<str>::from(task.id()), choose(asks)?, asks.question.evidence_digest))
    })?;
    put(context, id, &|project| Input::Answered {
        task: task.clone(),
        by: context.me(project),
        choice: choice.clone(),
        note: answer.note.clone(),
        evidence: Some(evidence),
        output: None,
    })
}

fn delegate(context: &Context, answer: &Given, to: &str) -> Outcome {
    let host = context.sound_part(&context.folder()?)?;
    let Project { groups, .. } = host.project();
    let (id, task) = find(context, &answer.approval, |run, task, asks| {
        let named = asks.levels.iter().flat_map(|level| &level.users).any(|user| **user == *to);
        // Who is asked is written down, and so is who may be asked instead: a name that is mistyped is nobody.
        if !groups.is_empty() && !named && person(to, host.project()).groups.is_empty() {
            let all: Vec<String> = groups.iter().map(|(group, people)| format!("{group} ({})", people.join(", "))).collect();
            let hint = format!("people are {}; whoever else is to answer is added to `groups` in quorate.yaml", all.join(", "));
            return Err(
                Problem::new(Exit::NotFound, format!("`{to}` is in no group of this project, and is not asked otherwise")).hint(hint)
            );
        }
        Ok((run.id(), Arc::<str>::from(task.id())))
    })?;
    put(context, id, &|project| Input::Delegated {
        task: task.clone(),
        from: context.me(project),
        to: person(to, project).name,
        note: answer.note.clone(),
    })
}

/// Gives a run what somebody said, and watches what comes of it.
fn put(context: &Context, id: RunId, said: &dyn Fn(&Project) -> Input) -> Outcome {
    let folder = context.folder()?;
    let host = context.sound_part(&folder)?;
    let reader = context.reader()?;
    let (before, _) = load(&reader, id)?;
    drop(reader);
    super::runtime()?.block_on(async {
        let owned = context.own(&host, Some((id, said(host.project())))).await?;
        let me = context.me(host.project()).name;
        let how = Watch { view: run::view(context, false), at_most: None, known: before.seq(), by: Some(&me) };
        let watched = watch(&owned.engine, id, before.plan().clone(), how, &context.screen).await;
        let exit = run::leave(context, &owned, watched, false).await?;
        // The answer was taken: what the run makes of it is said, and is no failure of this command.
        Ok(if exit == Exit::Interrupted { exit } else { Exit::Succeeded })
    })
}
