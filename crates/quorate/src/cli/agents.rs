//! `quorate agents`: who does the work of a project.

use std::sync::Arc;

use clap::Subcommand;
use quorate::draft::{TaskDraft, WorkDraft};
use quorate::project::{AgentSpec, Does, Summary};
use quorate::{Draft, Durability, Order, Payload, Plan};
use serde_json::{Value, json};

use super::context::{Context, counted, input};
use super::exit::{Exit, Outcome, Problem};
use super::follow::{View, Watch, start, stop};
use super::run;
use super::screen::Table;

/// Lists the agents of a project, and calls one.
///
/// Example: quorate agents call reviewer -i '{"code": "TODO"}'
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the agents of the project.
    ///
    /// Example: quorate agents list
    List,
    /// Shows one agent.
    ///
    /// Example: quorate agents show reviewer
    Show {
        /// Its id.
        agent: String,
    },
    /// Calls an agent once, and prints what it returns. Nothing is kept.
    ///
    /// Example: quorate agents call std.set --params '{"value": 3}'
    Call {
        /// Its id.
        agent: String,
        /// What it gets as input: a file, `-` for standard input, or JSON.
        #[arg(long, short, value_name = "JSON")]
        input: Option<String>,
        /// What it gets as parameters.
        #[arg(long, short, value_name = "JSON")]
        params: Option<String>,
    },
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    match &arguments.verb {
        Verb::List => list(context),
        Verb::Show { agent } => show(context, agent),
        Verb::Call { agent, input: given, params } => {
            let given = input(given.as_deref())?;
            let params = params.as_deref().map(|params| input(Some(params))).transpose()?;
            call(context, agent, given, params)
        }
    }
}

fn told(agent: &AgentSpec) -> Value {
    let (kind, does) = does(agent);
    json!({
        "agent_id": agent.id,
        "kind": kind,
        "does": does,
        "description": agent.description,
        "version": agent.version.as_deref().unwrap_or("1"),
        "capabilities": agent.capabilities,
        "effect": agent.effect,
        "priority": agent.priority,
        "max_concurrent": agent.max_concurrent,
        "timeout_ms": agent.timeout,
        "enabled": agent.enabled,
    })
}

fn does(agent: &AgentSpec) -> (&'static str, String) {
    match &agent.does {
        Does::Function(name) => ("function", name.clone()),
        Does::Exec(exec) => ("program", exec.command.join(" ")),
        Does::Http(http) => ("service", http.urls.join(", ")),
    }
}

fn list(context: &Context) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let agents = &host.project().agents;
    if context.global.json {
        let all: Vec<Value> = agents.values().map(told).collect();
        context.screen.out(&json!({ "schema": "quorate.agents/1", "agents": all }).to_string());
        return Ok(Exit::Succeeded);
    }
    let mut table = Table::new(&["AGENT", "VERSION", "CAPABILITIES", "DOES"]);
    for agent in agents.values() {
        let (kind, does) = does(agent);
        let off = if agent.enabled { "" } else { " (not enabled)" };
        let version = agent.version.as_deref().unwrap_or("1");
        table.row([agent.id.as_str().into(), version.into(), agent.capabilities.join(", ").into(), format!("{kind} {does}{off}").into()]);
    }
    if agents.is_empty() {
        context.screen.note("this project has no agents of its own; those named std.* are always there");
    } else {
        table.show(&context.screen);
    }
    Ok(Exit::Succeeded)
}

fn show(context: &Context, wanted: &str) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let agents = &host.project().agents;
    let agent = agents.get(wanted).ok_or_else(|| no_agent(wanted, agents.keys().map(String::as_str)))?;
    let mut told = told(agent);
    told["schema"] = "quorate.agent/1".into();
    if context.global.json {
        context.screen.out(&told.to_string());
        return Ok(Exit::Succeeded);
    }
    for (name, value) in told.as_object().into_iter().flatten().filter(|(name, value)| *name != "schema" && !value.is_null()) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        context.screen.out(&format!("{name:<15} {value}"));
    }
    Ok(Exit::Succeeded)
}

fn no_agent<'a>(wanted: &str, known: impl Iterator<Item = &'a str> + Clone) -> Problem {
    let hint = match quorate::expr::closest(wanted, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{}: {}", counted(known.clone().count(), "agent"), known.collect::<Vec<_>>().join(", ")),
    };
    Problem::new(Exit::NotFound, format!("there is no agent `{wanted}`")).hint(hint)
}

/// A call is a run of one task, so that it is limited, checked and told like any other.
fn call(context: &Context, agent: &str, input: Payload, params: Option<Payload>) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let known = || host.project().agents.keys().map(String::as_str).chain(quorate::STANDARD);
    if !known().any(|known| known == agent) {
        return Err(no_agent(agent, known()));
    }
    let output = host.project().agents.get(agent).map(|agent| agent.output.clone()).unwrap_or_default();
    let task = TaskDraft {
        id: "call".to_owned(),
        work: WorkDraft::Agent { id: Some(agent.to_owned()), capabilities: Vec::new() },
        params: params.map(|params| params.decode().unwrap_or_default()),
        output,
        ..TaskDraft::default()
    };
    let draft = Draft { name: agent.to_owned(), tasks: vec![task], ..Draft::default() };
    let plan = Plan::compile(&draft)
        .map_err(|problems| Problem::new(Exit::Invalid, problems.first().map(ToString::to_string).unwrap_or_default()))?;
    let plan = Arc::new(plan);
    super::runtime()?.block_on(async {
        let engine = Context::fleeting(&host).engine;
        let order = Order { by: context.me(host.project()).name, ..Order::new(plan.clone(), input) };
        let how = Watch { view: View::Nothing, at_most: None, known: 0, by: None };
        let watched = start(&engine, order.durability(Durability::Memory), how, &context.screen).await;
        stop(&engine).await?;
        let watched = watched?;
        let summary = Summary::of(&watched.run, &watched.entries);
        match (&summary.output, summary.tasks.first().and_then(|task| task.cause.clone())) {
            (Some(output), _) => context.screen.out(&run::pretty(output.get())),
            (None, _) if watched.left.is_some() => {
                context.screen.err("the call was given up, and nothing of it was kept");
                return Ok(watched.left.map_or(Exit::Failed, Exit::left));
            }
            (None, cause) => return Err(Problem::new(Exit::Failed, cause.unwrap_or_else(|| "it did not answer".to_owned()))),
        }
        Ok(Exit::of(&watched.run))
    })
}
