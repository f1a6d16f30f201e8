//! `quorate check`: everything that is wrong with a project, at once.

use std::path::PathBuf;

use quorate::expr::Span;
use quorate::host::Host;
use quorate::project::{Diagnostic, Graph, Severity, Source, Workflow};
use quorate::recon::wrong_settings;
use serde_json::{Value, json};

use super::context::{Context, counted};
use super::exit::{Exit, Outcome, Problem};

/// Checks a project: every mistake at once, with its place and what to do.
///
/// Example: quorate check examples/delivery
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The project folder; else that of `--project`, or the one at hand.
    folder: Option<PathBuf>,
    /// Warnings are mistakes as well.
    #[arg(long)]
    strict: bool,
}

/// What another strategy would make of a workflow, where that is worth a thought.
fn advice(workflow: &Workflow) -> String {
    let (stages, tasks) = (Graph::of(&workflow.plan, None).stage_count(), workflow.plan.task_count());
    let chosen = workflow.strategy.name == "sequential" && workflow.strategy.reason.is_none();
    if chosen && stages < tasks { format!("; as a dag it would take {stages} stages") } else { String::new() }
}

/// Mistakes as programs are told of them.
pub(crate) fn told(files: &[Source], diagnostics: &[Diagnostic]) -> Vec<Value> {
    let lines: Vec<_> = files.iter().map(Source::lines).collect();
    let one = |diagnostic: &Diagnostic| {
        let file = files.get(diagnostic.file);
        let place = lines.get(diagnostic.file).zip(diagnostic.span).map(|(lines, span)| lines.place(span.start));
        json!({
            "code": diagnostic.code,
            "severity": if diagnostic.is_error() { "error" } else { "warning" },
            "file": file.map(|file| &*file.path),
            "line": place.map(|(line, _)| line),
            "column": place.map(|(_, column)| column),
            "message": diagnostic.message,
            "help": diagnostic.help,
        })
    };
    diagnostics.iter().map(one).collect()
}

/// Every mistake of a project, also in the settings that its agents read, and the files that they are in.
fn all(host: &Host) -> (Vec<Source>, Vec<Diagnostic>) {
    let (mut files, mut diagnostics) = (host.checked.files.clone(), host.checked.diagnostics.clone());
    for (file, what) in wrong_settings(host) {
        let text = std::fs::read_to_string(host.folder.join(&file)).unwrap_or_default();
        files.push(Source::new(&file, &text));
        let what = what.strip_prefix(&format!("{file}: ")).map_or(what.clone(), str::to_owned);
        let (severity, file, notes) = (Severity::Error, files.len() - 1, Vec::new());
        diagnostics.push(Diagnostic { code: "R001", severity, span: place_of(&what, &text), message: what, file, notes, help: None });
    }
    (files, diagnostics)
}

/// Where the setting stands that a mistake is about: it is the one that nobody knows, or the first that is named.
fn place_of(what: &str, text: &str) -> Option<Span> {
    let named = what.split_once("unknown field `").map(|(_, named)| named).or_else(|| what.strip_prefix('`'))?;
    let name = named.split('`').next()?.rsplit('.').next()?;
    let start = text.match_indices(name).map(|(at, _)| at).find(|at| {
        let (before, behind) = (text[..*at].chars().next_back(), text[at + name.len()..].chars().next());
        behind == Some(':') && before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
    })?;
    Some(Span { start: start.try_into().ok()?, end: (start + name.len()).try_into().ok()? })
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let folder = match &arguments.folder {
        Some(folder) if !folder.is_dir() => return Err(Problem::new(Exit::NotFound, format!("there is no folder {}", folder.display()))),
        Some(folder) => folder.clone(),
        None => context.folder()?,
    };
    let host = context.read(&folder)?;
    let (files, diagnostics) = &all(&host);
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let wrong = errors > 0 || (arguments.strict && warnings > 0);
    if context.global.json {
        let shown = told(files, diagnostics);
        context.screen.out(&json!({ "schema": "quorate.check/1", "ok": !wrong, "diagnostics": shown }).to_string());
    } else {
        context.show_diagnostics(files, diagnostics.iter());
        let project = host.project();
        if errors == 0 {
            let agents = if project.agents.is_empty() { "no agents of its own".to_owned() } else { counted(project.agents.len(), "agent") };
            let policies = project.policies.list.len();
            let mut said = match (project.workflows.len(), policies) {
                (workflows, 0) => format!("{} and {agents}: ", counted(workflows, "workflow")),
                (0, policies) => format!("{} and {agents}: ", counted(policies, "policy")),
                (workflows, policies) => format!("{}, {} and {agents}: ", counted(workflows, "workflow"), counted(policies, "policy")),
            };
            said.push_str(&if warnings == 0 { "all is well".to_owned() } else { format!("sound, with {}", counted(warnings, "warning")) });
            context.screen.out(&said);
            for (id, workflow) in &project.workflows {
                let reason = workflow.strategy.reason.as_ref().map(|reason| format!(", because {reason}")).unwrap_or_default();
                // Nobody wrote the question for more of a budget as a task.
                let asks = workflow.plan.asks_for_budget();
                let question = if asks { " and a question for its budget" } else { "" };
                let tasks = counted(workflow.plan.task_count() - usize::from(asks), "task") + question;
                context.screen.out(&format!("  {id}: {tasks}, {}{reason}{}", workflow.strategy.name, advice(workflow)));
            }
        } else {
            context.screen.err(&format!("{} and {}", counted(errors, "mistake"), counted(warnings, "warning")));
        }
    }
    Ok(if wrong { Exit::Invalid } else { Exit::Succeeded })
}
