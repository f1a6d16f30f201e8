//! `quorate agents`: who does the work of a project.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Subcommand;
use quorate::draft::{TaskDraft, WorkDraft};
use quorate::host::Host;
use quorate::project::{AgentSpec, BreakerSpec, Does, Summary};
use quorate::{AgentRef, Draft, Durability, Failure, MAX_ID_BYTES, Order, Overview, Payload, Plan};
use serde_json::{Value, json};

use super::context::{Context, counted, input};
use super::exit::{Exit, Outcome, Problem};
use super::follow::{View, Watch, now, start, stop};
use super::modes::{MAX_NOTE_BYTES, Modes, Off, Said};
use super::run;
use super::screen::{Style, Table, lasting};

/// How long an agent may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lists agents, asks how they are, calls them, drains them.
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
    /// Example: quorate agents list --can code_generation
    List {
        /// Only those that can do this.
        #[arg(long, value_name = "CAPABILITY")]
        can: Option<String>,
    },
    /// Shows one agent, with its versions.
    ///
    /// Example: quorate agents show reviewer
    Show {
        /// Its id.
        agent: String,
    },
    /// Asks agents how they are.
    ///
    /// Example: quorate agents check
    Check {
        /// Which; all of them where none is named.
        agents: Vec<String>,
    },
    /// Counts calls, and how they went: times, failures, tokens and money, places and who stands in line.
    ///
    /// Example: quorate agents stats scorer
    Stats {
        /// Which; all of them where none is named.
        agent: Option<String>,
    },
    /// Lists the tools of an agent that is an MCP server.
    ///
    /// Example: quorate agents tools files
    Tools {
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
    /// Has an agent take no new calls for now: calls under way go on, and what asks for it alone waits.
    ///
    /// Example: quorate agents drain scorer@2.0 --note "new model at noon"
    Drain(Switch),
    /// Has an agent not called any more, as if it were not there.
    ///
    /// Example: quorate agents disable scorer
    Disable(Switch),
    /// Lets an agent be called again that was drained or disabled.
    ///
    /// Example: quorate agents enable scorer
    Enable {
        /// Its id, or one of its versions as `id@version`.
        agent: String,
    },
}

#[derive(Debug, clap::Args)]
struct Switch {
    /// Its id, or one of its versions as `id@version`.
    agent: String,
    /// Why; whoever looks sees it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    match &arguments.verb {
        Verb::List { can } => list(context, can.as_deref()),
        Verb::Show { agent } => show(context, agent),
        Verb::Check { agents } => check(context, agents),
        Verb::Tools { agent } => tools(context, agent),
        Verb::Stats { agent } => super::stats::of_agents(context, agent.as_deref()),
        Verb::Call { agent, input: given, params } => {
            let given = input(given.as_deref())?;
            let params = params.as_deref().map(|params| input(Some(params))).transpose()?;
            call(context, agent, given, params)
        }
        Verb::Drain(switch) => switch_off(context, switch, Off::Drained),
        Verb::Disable(switch) => switch_off(context, switch, Off::Disabled),
        Verb::Enable { agent } => enable(context, agent),
    }
}

// -- looking

pub(crate) fn version_of(agent: &AgentSpec) -> &str {
    agent.version.as_deref().unwrap_or("1")
}

/// What was said about agents; nothing in a project that has no data yet.
fn said(context: &Context) -> Result<Modes, Problem> {
    Ok(Modes::read(&context.data()?)?)
}

/// Whether an agent is called, and who said so if not.
fn state(agent: &AgentSpec, modes: &Modes) -> (&'static str, Option<Said>) {
    match modes.about(&agent.id, version_of(agent)) {
        Some(said) if said.mode == Off::Drained => ("drained", Some(said.clone())),
        Some(said) => ("disabled", Some(said.clone())),
        None if agent.enabled => ("enabled", None),
        None => ("disabled", None),
    }
}

fn told(agent: &AgentSpec, modes: &Modes) -> Value {
    let (kind, does) = does(agent);
    let (state, said) = state(agent, modes);
    json!({
        "agent_id": agent.id,
        "kind": kind,
        "does": does,
        "description": agent.description,
        "version": version_of(agent),
        "share": agent.share,
        "sticky_by": agent.sticky_by,
        "instances": agent.instances,
        "capabilities": agent.capabilities,
        "effect": agent.effect,
        "priority": agent.priority.unwrap_or(5),
        "weight": agent.weight.unwrap_or(1),
        "max_concurrent": agent.max_concurrent,
        "timeout_ms": agent.timeout,
        "breaker": breaker(agent),
        "health_every_ms": agent.health.every,
        "state": state,
        "said_by": said.as_ref().map(|said| &said.by),
        "said_at": said.as_ref().map(|said| said.at),
        "note": said.map(|said| said.note).filter(|note| !note.is_empty()),
    })
}

fn breaker(agent: &AgentSpec) -> Value {
    match agent.breaker {
        Some(BreakerSpec::Off) => "off".into(),
        Some(BreakerSpec::On { failures, within, open_for, trials }) => {
            json!({ "failures": failures, "within_ms": within, "open_for_ms": open_for, "trials": trials })
        }
        None => Value::Null,
    }
}

fn does(agent: &AgentSpec) -> (&'static str, String) {
    match &agent.does {
        Does::Function(name) => ("function", name.clone()),
        Does::Exec(exec) => ("program", exec.command.join(" ")),
        Does::Http(http) => ("service", http.urls.join(", ")),
        Does::Llm(llm) => ("model", format!("{}{}", llm.model, at(&llm.urls))),
        Does::Mcp(mcp) => {
            let tool = mcp.tool.as_deref().unwrap_or("any tool");
            let place = mcp.from.clone().or_else(|| mcp.url.clone()).unwrap_or_else(|| mcp.command.join(" "));
            ("tool", format!("{tool} of {place}"))
        }
    }
}

fn at(urls: &[String]) -> String {
    if urls.is_empty() { String::new() } else { format!(" at {}", urls.join(", ")) }
}

fn list(context: &Context, can: Option<&str>) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let modes = said(context)?;
    let agents: Vec<&AgentSpec> = host.project().agents.values().flat_map(AgentSpec::all).collect();
    let able = |agent: &&AgentSpec| can.is_none_or(|can| agent.capabilities.iter().any(|known| known == can));
    let found: Vec<&AgentSpec> = agents.iter().copied().filter(able).collect();
    if let (Some(can), true) = (can, found.is_empty()) {
        let known = agents.iter().flat_map(|agent| &agent.capabilities).map(String::as_str);
        let problem = Problem::new(Exit::NotFound, format!("no agent of this project can do `{can}`"));
        return Err(problem.hint(nearest(can, known, "capability")));
    }
    if context.global.json {
        let all: Vec<Value> = found.iter().map(|agent| told(agent, &modes)).collect();
        context.screen.out(&json!({ "schema": "quorate.agents/1", "agents": all }).to_string());
        return Ok(Exit::Succeeded);
    }
    let mut table = Table::new(&["AGENT", "VERSION", "STATE", "CAPABILITIES", "DOES"]);
    for agent in &found {
        let (kind, does) = does(agent);
        let (state, said) = state(agent, &modes);
        let state = said.map_or_else(|| state.to_owned(), |said| format!("{state} by {}", said.by));
        let id = agent.instances.map_or_else(|| agent.id.clone(), |count| format!("{} ×{count}", agent.id));
        let (version, capabilities) = (version_of(agent).to_owned(), agent.capabilities.join(", "));
        table.row([id.into(), version.into(), state.into(), capabilities.into(), format!("{kind} {does}").into()]);
    }
    if found.is_empty() {
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
    let modes = said(context)?;
    if context.global.json {
        let mut whole = told(agent, &modes);
        whole["schema"] = "quorate.agent/1".into();
        whole["versions"] = agent.versions.iter().map(|version| told(version, &modes)).collect();
        context.screen.out(&whole.to_string());
        return Ok(Exit::Succeeded);
    }
    for (position, version) in agent.all().enumerate() {
        if position > 0 {
            context.screen.out("");
        }
        for (name, value) in told(version, &modes).as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            context.screen.out(&format!("{name:<15} {value}"));
        }
    }
    Ok(Exit::Succeeded)
}

pub(crate) fn no_agent<'a>(wanted: &str, known: impl Iterator<Item = &'a str> + Clone) -> Problem {
    Problem::new(Exit::NotFound, format!("there is no agent `{wanted}`")).hint(nearest(wanted, known, "agent"))
}

fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str> + Clone, what: &str) -> String {
    if let Some(near) = quorate::expr::closest(wanted, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    known.dedup();
    match what {
        "capability" if known.is_empty() => "no agent of this project has capabilities".to_owned(),
        "agent" if known.is_empty() => "the project has no agents of its own".to_owned(),
        "capability" => format!("there are: {}", known.join(", ")),
        _ => format!("{}: {}", counted(known.len(), what), known.join(", ")),
    }
}

// -- asking how they are

fn check(context: &Context, wanted: &[String]) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let known = &host.project().agents;
    if let Some(missing) = wanted.iter().find(|wanted| !known.contains_key(*wanted)) {
        return Err(no_agent(missing, known.keys().map(String::as_str)));
    }
    let registry = host.registry(|_, _| None);
    let meant = |overview: &Overview| {
        let spec = spec_of(&host, &overview.agent.identity().id);
        spec.is_some_and(|spec| wanted.is_empty() || wanted.contains(&spec.id))
    };
    let found: Vec<Overview> = registry.overview(now()).into_iter().filter(meant).collect();
    let looked = super::runtime()?.block_on(async {
        let asking = found.iter().flat_map(|overview| {
            overview.endpoints.iter().enumerate().map(|(position, endpoint)| ask(&host, overview, position, endpoint.name.clone()))
        });
        futures_util::future::join_all(asking).await
    });
    let ill = looked.iter().filter(|look| matches!(look.how, How::Ill(_))).count();
    if context.global.json {
        let all: Vec<Value> = looked.iter().map(Look::json).collect();
        context.screen.out(&json!({ "schema": "quorate.agent-checks/1", "checks": all }).to_string());
    } else {
        let mut table = Table::new(&["AGENT", "HOW", "TOOK", "WHAT"]);
        for look in &looked {
            let (how, style, what) = match &look.how {
                How::Well(what) => ("well", Style::Good, what.clone()),
                How::Ill(failure) => ("not well", Style::Bad, failure.to_string()),
                How::Unasked(why) => ("not asked", Style::Dim, why.clone()),
            };
            let took = look.took.map(|took| lasting(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))).unwrap_or_default();
            table.row([look.agent.to_string().into(), super::screen::Cell::styled(how, style), took.into(), what.into()]);
        }
        table.show(&context.screen);
    }
    Ok(if ill > 0 { Exit::Failed } else { Exit::Succeeded })
}

#[cfg(not(feature = "mcp"))]
fn tools(_context: &Context, _wanted: &str) -> Outcome {
    Err(Problem::new(Exit::Failed, "this program was built without the feature `mcp`"))
}

#[cfg(feature = "mcp")]
fn tools(context: &Context, wanted: &str) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let agents = &host.project().agents;
    if !agents.contains_key(wanted) {
        return Err(no_agent(wanted, agents.keys().map(String::as_str)));
    }
    let server = host.mcp_server(wanted);
    let server = server.ok_or_else(|| Problem::new(Exit::Invalid, format!("`{wanted}` is no MCP server, and has no tools of its own")))?;
    let asked = super::runtime()?.block_on(server.tools());
    let tools = asked.map_err(|failure| Problem::new(Exit::Failed, format!("{wanted} does not say what tools it has: {failure}")))?;
    if context.global.json {
        let one = |tool: &quorate::Tool| json!({ "tool": tool.name, "description": tool.description, "input": tool.input });
        let all: Vec<Value> = tools.iter().map(one).collect();
        context.screen.out(&json!({ "schema": "quorate.tools/1", "agent_id": wanted, "tools": all }).to_string());
        return Ok(Exit::Succeeded);
    }
    let mut table = Table::new(&["TOOL", "TAKES", "WHAT FOR"]);
    for tool in &tools {
        let takes: Vec<&str> =
            tool.input["properties"].as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default();
        table.row([tool.name.clone().into(), takes.join(", ").into(), tool.description.clone().into()]);
    }
    table.show(&context.screen);
    Ok(Exit::Succeeded)
}

/// What came of asking an agent.
struct Look {
    agent: AgentRef,
    how: How,
    took: Option<Duration>,
}

enum How {
    Well(String),
    Ill(Failure),
    Unasked(String),
}

impl Look {
    fn json(&self) -> Value {
        let (how, what) = match &self.how {
            How::Well(what) => ("well", what.clone()),
            How::Ill(failure) => ("ill", failure.to_string()),
            How::Unasked(why) => ("unasked", why.clone()),
        };
        let took = self.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let AgentRef { id, version, endpoint, .. } = &self.agent;
        json!({ "agent_id": id, "version": version, "endpoint": endpoint, "how": how, "what": what, "took_ms": took })
    }
}

async fn ask(host: &Host, overview: &Overview, position: usize, endpoint: Option<Arc<str>>) -> Look {
    let agent = AgentRef { endpoint, ..(**overview.agent.identity()).clone() };
    if let Some(probe) = overview.agent.probe() {
        let begun = Instant::now();
        let slow = || Failure::new(quorate::FailureClass::Timeout, format!("it did not say how it is within {} s", PATIENCE.as_secs()));
        let outcome = tokio::time::timeout(PATIENCE, probe(position)).await.unwrap_or_else(|_| Err(slow()));
        let how = outcome.map_or_else(How::Ill, |()| How::Well("it answers".to_owned()));
        return Look { agent, how, took: Some(begun.elapsed()) };
    }
    let how = match spec_of(host, &agent.id).map(|spec| &spec.does) {
        Some(Does::Exec(exec)) => match program(host, exec.command.first().map_or("", String::as_str)) {
            Ok(path) => How::Well(format!("its program is {path}")),
            Err(why) => How::Ill(Failure::new(quorate::FailureClass::Invalid, why)),
        },
        _ => How::Unasked("it is built in".to_owned()),
    };
    Look { agent, how, took: None }
}

/// What the project says of an agent that is registered, which may be one of several instances.
fn spec_of<'a>(host: &'a Host, id: &str) -> Option<&'a AgentSpec> {
    let agents = &host.project().agents;
    let of_several = || {
        let (base, number) = id.rsplit_once('_')?;
        let spec = agents.get(base)?;
        spec.instances.filter(|count| number.parse::<usize>().is_ok_and(|number| number < *count)).map(|_| spec)
    };
    agents.get(id).or_else(of_several)
}

fn may_run(about: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o111 != 0
}

/// Where a program is found.
pub(crate) fn program(host: &Host, name: &str) -> Result<String, String> {
    if name.contains('/') {
        let path = host.folder.join(name);
        return match path.metadata() {
            Ok(about) if about.is_file() && may_run(&about) => Ok(path.display().to_string()),
            Ok(about) if about.is_file() => Err(format!("{} may not be executed; `chmod +x` lets it", path.display())),
            _ => Err(format!("there is no program {}", path.display())),
        };
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let runs = |path: &PathBuf| path.metadata().is_ok_and(|about| about.is_file() && may_run(&about));
    let found = std::env::split_paths(&paths).map(|folder| folder.join(name)).find(runs);
    found.map(|path| path.display().to_string()).ok_or_else(|| format!("there is no program `{name}` on the PATH"))
}

// -- saying which are called

/// The agent that is meant, and how it is called in the file.
fn meant(context: &Context, wanted: &str) -> Result<String, Problem> {
    let host = context.sound_part(&context.folder()?)?;
    let (id, version) = wanted.split_once('@').map_or((wanted, None), |(id, version)| (id, Some(version)));
    let agents = &host.project().agents;
    let Some(spec) = spec_of(&host, id) else {
        return Err(no_agent(id, agents.keys().map(String::as_str)));
    };
    if let Some(version) = version.filter(|version| spec.all().all(|known| version_of(known) != *version)) {
        let versions: Vec<&str> = spec.all().map(version_of).collect();
        let problem = Problem::new(Exit::NotFound, format!("there is no version `{version}` of the agent `{id}`"));
        return Err(problem.hint(format!("there are: {}", versions.join(", "))));
    }
    if spec.instances.is_some() && id == spec.id {
        let problem = Problem::new(Exit::NotFound, format!("there are several of `{id}`"));
        return Err(problem.hint(format!("name one of them, such as `{id}_0`")));
    }
    Ok(wanted.to_owned())
}

fn switch_off(context: &Context, switch: &Switch, mode: Off) -> Outcome {
    let agent = meant(context, &switch.agent)?;
    let host = context.sound_part(&context.folder()?)?;
    if switch.note.len() > MAX_NOTE_BYTES {
        return Err(Problem::new(
            Exit::Invalid,
            format!("the note has {} bytes, more than the {MAX_NOTE_BYTES} allowed", switch.note.len()),
        ));
    }
    let by = context.me(host.project()).name.to_string();
    if by.len() > MAX_ID_BYTES {
        return Err(Problem::new(Exit::Invalid, format!("the name has {} bytes, more than the {MAX_ID_BYTES} allowed", by.len())));
    }
    write(context, &agent, Some(Said { mode, by, at: now(), note: switch.note.clone() }))?;
    let what = match mode {
        Off::Drained => "takes no new calls; what asks for it alone waits",
        Off::Disabled => "is not called any more",
    };
    context.screen.note(&format!("{agent} {what}, until `quorate agents enable {agent}`"));
    Ok(Exit::Succeeded)
}

fn enable(context: &Context, wanted: &str) -> Outcome {
    let agent = meant(context, wanted)?;
    if said(context)?.agents.contains_key(&agent) {
        write(context, &agent, None)?;
        context.screen.note(&format!("{agent} is called again"));
    } else {
        context.screen.note(&format!("nobody had said that {agent} is not called"));
    }
    let host = context.sound_part(&context.folder()?)?;
    let id = agent.split('@').next().unwrap_or(&agent);
    if host.project().agents.get(id).is_some_and(|spec| !spec.enabled) {
        context.screen.note(&format!("it is still disabled by the project itself: `enabled: false` in agents/ ({id})"));
    }
    Ok(Exit::Succeeded)
}

fn write(context: &Context, agent: &str, said: Option<Said>) -> Result<Modes, Problem> {
    let data = context.data()?;
    Ok(Modes::say(Path::new(&data), agent, said)?)
}

// -- calling

/// A call is a run of one task, so that it is limited, checked and told like any other.
fn call(context: &Context, agent: &str, input: Payload, params: Option<Payload>) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let known = || host.project().agents.keys().map(String::as_str).chain(quorate::STANDARD);
    let spec = spec_of(&host, agent);
    if spec.is_none() && !quorate::STANDARD.contains(&agent) {
        return Err(no_agent(agent, known()));
    }
    let several = spec.filter(|spec| spec.instances.is_some() && spec.id == agent);
    let work = match several {
        Some(spec) => WorkDraft::Agent { id: None, capabilities: vec![spec.id.clone()] },
        None => WorkDraft::Agent { id: Some(agent.to_owned()), capabilities: Vec::new() },
    };
    let task = TaskDraft {
        id: "call".to_owned(),
        work,
        params: params.map(|params| params.decode().unwrap_or_default()),
        output: spec.and_then(AgentSpec::returned).unwrap_or_default(),
        ..TaskDraft::default()
    };
    let draft = Draft { name: agent.to_owned(), tasks: vec![task], ..Draft::default() };
    let plan = Plan::compile(&draft)
        .map_err(|problems| Problem::new(Exit::Invalid, problems.first().map(ToString::to_string).unwrap_or_default()))?;
    let plan = Arc::new(plan);
    super::runtime()?.block_on(async {
        let engine = Context::fleeting(&host)?.engine;
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
