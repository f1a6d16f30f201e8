//! `quorate doctor`: whether this machine and this project are fit for work.

use std::path::Path;
use std::time::{Duration, Instant};

use quorate::SqliteReader;
use quorate::host::{DATA_FOLDER, Host};
use quorate::project::{AgentSpec, Does};
use serde_json::json;

use super::agents::program;
use super::context::{Context, counted};
use super::exit::{Exit, Outcome};
use super::screen::Style;

/// A flush that takes longer makes every durable step slow.
const SLOW_FLUSH: Duration = Duration::from_millis(5);

/// Looks at the machine, the project and its data, and says what is amiss.
///
/// Example: quorate doctor
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// How one look went.
enum Look {
    Well(String),
    Odd(String),
    Wrong(String),
}

pub(crate) fn run(context: &Context, _: &Arguments) -> Outcome {
    let mut looks: Vec<(&str, Look)> = Vec::new();
    let mut tell = |what, look| looks.push((what, look));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    tell("version", Look::Well(format!("quorate {}, {}", env!("CARGO_PKG_VERSION"), counted(threads, "core"))));
    let folder = match context.folder() {
        Ok(folder) => folder,
        Err(problem) => {
            tell("project", Look::Odd(problem.message));
            return Ok(show(context, &looks));
        }
    };
    let host = context.read(&folder)?;
    tell("project", project(&host));
    for (id, look) in programs(&host) {
        tell(
            "agent",
            match look {
                Ok(path) => Look::Well(format!("{id} runs {path}")),
                Err(why) => Look::Wrong(format!("{id}: {why}")),
            },
        );
    }
    let data = context.global.data.clone().unwrap_or_else(|| folder.join(DATA_FOLDER));
    tell("data", journal(&data));
    tell("disk", disk(if data.exists() { &data } else { &folder }));
    Ok(show(context, &looks))
}

fn show(context: &Context, looks: &[(&str, Look)]) -> Exit {
    let wrong = looks.iter().any(|(_, look)| matches!(look, Look::Wrong(_)));
    if context.global.json {
        let looks: Vec<_> = looks
            .iter()
            .map(|(what, look)| {
                let (how, text) = match look {
                    Look::Well(text) => ("well", text),
                    Look::Odd(text) => ("odd", text),
                    Look::Wrong(text) => ("wrong", text),
                };
                json!({ "what": what, "how": how, "text": text })
            })
            .collect();
        context.screen.out(&json!({ "schema": "quorate.doctor/1", "ok": !wrong, "looks": looks }).to_string());
    } else {
        for (what, look) in looks {
            let (sign, style, text) = match look {
                Look::Well(text) => ("✓", Style::Good, text),
                Look::Odd(text) => ("!", Style::Asking, text),
                Look::Wrong(text) => ("✗", Style::Bad, text),
            };
            context.screen.out(&format!("{} {what:<9} {text}", context.screen.paint(style, sign, false)));
        }
    }
    if wrong { Exit::Failed } else { Exit::Succeeded }
}

fn project(host: &Host) -> Look {
    let errors = host.checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let named = format!("{} in {}", counted(host.project().workflows.len(), "workflow"), host.folder.display());
    match (errors, host.checked.diagnostics.len() - errors) {
        (0, 0) => Look::Well(named),
        (0, warnings) => Look::Odd(format!("{named}, with {}: quorate check", counted(warnings, "warning"))),
        (errors, _) => Look::Wrong(format!("{named}, with {}: quorate check", counted(errors, "mistake"))),
    }
}

/// Where the programs of the agents are found.
fn programs(host: &Host) -> Vec<(String, Result<String, String>)> {
    let agents = host.project().agents.values().flat_map(AgentSpec::all);
    agents
        .filter_map(|agent| match &agent.does {
            Does::Exec(exec) => Some((agent.id.clone(), program(host, exec.command.first()?))),
            Does::Mcp(mcp) => Some((agent.id.clone(), program(host, mcp.command.first()?))),
            Does::Function(_) | Does::Http(_) | Does::Llm(_) => None,
        })
        .collect()
}

fn journal(data: &Path) -> Look {
    if !data.exists() {
        return Look::Well(format!("nothing has run yet; runs will be kept in {}", data.display()));
    }
    match SqliteReader::open(data) {
        Err(wrong) => Look::Wrong(wrong.to_string()),
        Ok(reader) => match reader.open_runs() {
            Ok(open) if open.is_empty() => {
                Look::Well(format!("no open runs in {}; `quorate audit verify` checks every entry", data.display()))
            }
            Ok(open) => {
                Look::Well(format!("{} in {}; `quorate audit verify` checks every entry", counted(open.len(), "open run"), data.display()))
            }
            Err(wrong) => Look::Wrong(wrong.to_string()),
        },
    }
}

/// How long a flush takes: it is what a durable step costs.
fn disk(folder: &Path) -> Look {
    const TRIES: usize = 20;
    let measured = || -> std::io::Result<Duration> {
        use std::io::Write as _;
        let mut file = tempfile::tempfile_in(folder)?;
        let mut times = Vec::with_capacity(TRIES);
        for _ in 0..TRIES {
            file.write_all(&[1; 4_096])?;
            let begun = Instant::now();
            file.sync_data()?;
            times.push(begun.elapsed());
        }
        times.sort();
        Ok(times[TRIES / 2])
    };
    match measured() {
        Ok(time) if time > SLOW_FLUSH => Look::Odd(format!("a flush takes {} ms: durable steps will be slow", time.as_millis())),
        Ok(time) => Look::Well(format!("a flush takes {} µs", time.as_micros())),
        Err(wrong) => Look::Wrong(format!("{} cannot be written: {wrong}", folder.display())),
    }
}
