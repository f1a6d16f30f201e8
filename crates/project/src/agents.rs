//! Agents as projects declare them: plain data. What they do when they are called is not this crate's business.

use std::collections::BTreeMap;

use quorate_core::{Effect, Millis};
use quorate_expr::{Type, closest};
use serde_json::Value as Json;

use crate::files::{AGENT, BREAKER, HEALTH, HTTP};
use crate::lower::texts;
use crate::models::{Later, LlmSpec, McpSpec, Reader, pairs};
use crate::report::Diagnostic;
use crate::shape::{duration, json, number, truth};
use crate::types;
use crate::yaml::{Kind, Node};

/// An agent as a project declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSpec {
    /// Its id.
    pub id: String,
    /// Its place among all agents, as they stand in the files.
    pub order: usize,
    /// What does its work.
    pub does: Does,
    /// What it is for.
    pub description: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// What calling it does to the world, where it is said.
    pub effect: Option<Effect>,
    /// Of several that could do a task, the one with the higher priority does it.
    pub priority: Option<u32>,
    /// How many calls it takes at once.
    pub max_concurrent: Option<usize>,
    /// How long a call may take.
    pub timeout: Option<Millis>,
    /// How much it does beside others of the same priority.
    pub weight: Option<u32>,
    /// How many of the runs are with this version.
    pub share: Option<u32>,
    /// By what runs are shared out among its versions.
    pub sticky_by: Option<String>,
    /// How many of it there are, where each has an id of its own.
    pub instances: Option<usize>,
    /// When it is left alone because it fails.
    pub breaker: Option<BreakerSpec>,
    /// How it is asked whether it is well.
    pub health: HealthSpec,
    /// Its other versions.
    pub versions: Vec<AgentSpec>,
    /// Whether it is called at all.
    pub enabled: bool,
    /// Parameters that it gets where a task gives none.
    pub params: Option<Json>,
    /// What it returns.
    pub output: Type,
}

impl AgentSpec {
    /// Whether one of its versions is called for what asks for all of this.
    #[must_use]
    pub fn can(&self, wanted: &[String]) -> bool {
        let one_of_it = |name: &String| self.instances.is_some() && *name == self.id;
        let own = self.enabled && wanted.iter().all(|name| self.capabilities.contains(name) || one_of_it(name));
        own || self.versions.iter().any(|version| version.can(wanted))
    }

    /// What all of its versions return, where they return the same.
    #[must_use]
    pub fn returned(&self) -> Option<Type> {
        self.versions.iter().all(|version| version.output == self.output).then(|| self.output.clone())
    }

    /// All of its versions, this one first.
    pub fn all(&self) -> impl Iterator<Item = &AgentSpec> {
        std::iter::once(self).chain(&self.versions)
    }
}

/// What does the work of an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Does {
    /// A function built into the program, by its name.
    Function(String),
    /// A program.
    Exec(ExecSpec),
    /// A service.
    Http(HttpSpec),
    /// A language model.
    Llm(Box<LlmSpec>),
    /// A tool of an MCP server.
    Mcp(McpSpec),
}

/// A service that is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSpec {
    /// Where it is: addresses, or references such as `env:NAME`.
    pub urls: Vec<String>,
    /// What is sent along.
    pub headers: Vec<(String, String)>,
    /// Whether it may be at a private address.
    pub allow_private: bool,
    /// How many bytes it may answer.
    pub max_output: Option<usize>,
}

/// When an agent is left alone because it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerSpec {
    /// Never.
    Off,
    /// After so many failures; what is not said is as usual.
    On {
        /// In a row.
        failures: Option<u32>,
        /// No further apart than this.
        within: Option<Millis>,
        /// For so long.
        open_for: Option<Millis>,
        /// Until so many calls succeeded.
        trials: Option<u32>,
    },
}

/// How an agent is asked whether it is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthSpec {
    /// How often.
    pub every: Option<Millis>,
    /// Of a service: at which path.
    pub path: Option<String>,
    /// Of a program: with which command.
    pub command: Vec<String>,
}

/// A program that is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables that are set for it.
    pub env: Vec<(String, String)>,
    /// Variables that it gets from the environment.
    pub pass_env: Vec<String>,
    /// Where it runs, inside the project.
    pub folder: Option<String>,
    /// Whether one process serves many calls.
    pub keep_alive: bool,
    /// How many bytes it may write.
    pub max_output: Option<usize>,
}

/// What may stand only where all versions of an agent are.
const OF_ALL_VERSIONS: [&str; 4] = ["version", "versions", "instances", "sticky_by"];
/// What says what an agent is.
const KINDS: [&str; 5] = ["use", "exec", "http", "llm", "mcp"];

/// Reads an agent whose shape was checked, with its versions.
pub(crate) fn read(
    reader: Reader<'_>,
    node: &Node,
    functions: &[&str],
    later: &mut Later,
    problems: &mut Vec<Diagnostic>,
) -> Option<AgentSpec> {
    let id = reader.id;
    if functions.contains(&id) {
        let problem = Diagnostic::error("A014", format!("`{id}` is always there, and would be another one here")).at(node.span);
        problems.push(problem.help("choose another name"));
    }
    let Some(versions) = AGENT.get(node, "versions") else { return one(reader, &[node], None, functions, later, problems) };
    if let Some(field) = AGENT.get(node, "version") {
        let problem = Diagnostic::error("A015", format!("`{id}` has several versions, and this is of none of them")).at(field.span);
        problems.push(problem.help("write it into the version that it belongs to"));
    }
    let mut read = Vec::new();
    for (key, version) in versions.entries() {
        for field in OF_ALL_VERSIONS.into_iter().filter_map(|name| AGENT.get(version, name)) {
            let problem = Diagnostic::error("A016", "this belongs to the agent, and not to one of its versions").at(field.span);
            problems.push(problem.help("write it one level up, beside `versions`"));
        }
        read.extend(one(reader, &[version, node], Some(&key.name), functions, later, problems));
    }
    // The one with the greatest share stands for all of them.
    let greatest = (0..read.len()).rev().max_by_key(|position| read[*position].share.unwrap_or(1))?;
    let main = read.remove(greatest);
    if read.iter().chain([&main]).all(|version| version.share == Some(0)) {
        let problem = Diagnostic::error("A017", format!("no version of `{id}` has a share of the runs")).at(versions.span);
        problems.push(problem.help("give one of them a `share` of 1 or more"));
    }
    Some(AgentSpec { versions: read, ..main })
}

/// Reads one version of an agent: what a node does not say, the next one does.
fn one(
    reader: Reader<'_>,
    nodes: &[&Node],
    version: Option<&str>,
    functions: &[&str],
    later: &mut Later,
    problems: &mut Vec<Diagnostic>,
) -> Option<AgentSpec> {
    let id = reader.id;
    let get = |name| nodes.iter().find_map(|node| AGENT.get(node, name));
    let text = |name| get(name).and_then(Node::text).map(str::to_owned);
    let whole = |name| get(name).and_then(number).and_then(|text| text.parse::<usize>().ok());
    let small = |name| whole(name).and_then(|number| u32::try_from(number).ok());
    let of = |node: &Node| KINDS.into_iter().any(|name| AGENT.get(node, name).is_some());
    let says = nodes.iter().find(|node| of(node)).unwrap_or(&nodes[0]);
    let kinds: Vec<(&str, &Node)> = KINDS.into_iter().filter_map(|name| Some((name, AGENT.get(says, name)?))).collect();
    let does = match kinds[..] {
        [("use", function)] => {
            let name = function.text().unwrap_or_default();
            if !functions.contains(&name) {
                let help = closest(name, functions.iter().copied())
                    .map_or_else(|| format!("there are: {}", functions.join(", ")), |near| format!("did you mean `{near}`?"));
                problems.push(Diagnostic::error("A001", format!("there is no function `{name}`")).at(function.span).help(help));
            }
            Does::Function(name.to_owned())
        }
        [("exec", program)] => Does::Exec(exec(program, problems)),
        [("llm", model)] => Does::Llm(Box::new(reader.llm(model, later, problems))),
        [("mcp", server)] => Does::Mcp(reader.mcp(server, later, problems)),
        [(_, service)] => Does::Http(http(service, problems)),
        [(first, _), (second, node), ..] => {
            let problem = Diagnostic::error("A002", format!("`{id}` is two things at once: `{first}` and `{second}`")).at(node.span);
            problems.push(problem.help(format!("leave out one of them, `{first}` or `{second}`")));
            return None;
        }
        [] => {
            let problem = Diagnostic::error("A003", format!("nothing says what `{id}` is")).at(nodes[0].span);
            problems.push(problem.help(
                "give it `use`, `exec`, `http`, `llm` or `mcp`: a function built in, a program, a service, a model or a tool of a server",
            ));
            return None;
        }
    };
    let effect = match text("effect").as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("idempotent") => Some(Effect::Idempotent),
        Some("once") => Some(Effect::Once),
        Some(_) => Some(Effect::None),
        None => None,
    };
    let health = get("health").map(|node| health(node, &does, problems)).unwrap_or_default();
    Some(AgentSpec {
        id: id.to_owned(),
        order: 0,
        does,
        description: text("description").or_else(|| text("name")),
        version: version.map(str::to_owned).or_else(|| text("version")),
        capabilities: get("capabilities").map(texts).unwrap_or_default(),
        effect,
        priority: small("priority"),
        max_concurrent: whole("max_concurrent"),
        timeout: get("timeout").and_then(duration),
        weight: small("weight"),
        share: small("share"),
        sticky_by: get("sticky_by").and_then(|node| sticky(node, problems)),
        instances: whole("instances"),
        breaker: get("breaker").map(breaker),
        health,
        versions: Vec::new(),
        enabled: get("enabled").and_then(truth).unwrap_or(true),
        params: get("params").map(json),
        output: get("output").map_or(Type::Any, |node| types::read(node, problems)),
    })
}

/// The path by which runs are shared out.
fn sticky(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<String> {
    let path = node.text()?;
    let root = path.split('.').next().unwrap_or_default();
    let is_name = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'));
    if ["input", "session", "profile"].contains(&root) && path.split('.').all(is_name) {
        return Some(path.to_owned());
    }
    let problem = Diagnostic::error("A018", format!("`{path}` is no path into what a run is about")).at(node.span);
    problems.push(problem.help("write a path such as input.customer, profile.region or session.user"));
    None
}

fn breaker(node: &Node) -> BreakerSpec {
    if node.text().is_some_and(|text| text.eq_ignore_ascii_case("off")) {
        return BreakerSpec::Off;
    }
    let small = |name| BREAKER.get(node, name).and_then(number).and_then(|text| text.parse().ok());
    let time = |name| BREAKER.get(node, name).and_then(duration);
    BreakerSpec::On { failures: small("failures"), within: time("within"), open_for: time("open_for"), trials: small("trials") }
}

fn health(node: &Node, does: &Does, problems: &mut Vec<Diagnostic>) -> HealthSpec {
    if node.entries().is_empty() {
        return HealthSpec { every: duration(node), ..HealthSpec::default() };
    }
    let (path, command) = (HEALTH.get(node, "path"), HEALTH.get(node, "command"));
    let misplaced = match does {
        Does::Function(_) | Does::Llm(_) | Does::Mcp(_) => path.or(command),
        Does::Exec(_) => path,
        Does::Http(_) => command,
    };
    if let Some(misplaced) = misplaced {
        problems.push(Diagnostic::error("A019", "an agent of this kind is not asked like that").at(misplaced.span).help(
            "a service is asked at a `path`, a program with a `command`, a model and a server by themselves, and a function not at all",
        ));
    }
    HealthSpec {
        every: HEALTH.get(node, "every").and_then(duration),
        path: path.and_then(Node::text).map(str::to_owned),
        command: command.map(texts).unwrap_or_default(),
    }
}

fn http(node: &Node, problems: &mut Vec<Diagnostic>) -> HttpSpec {
    if let Some(url) = node.text() {
        let spec = HttpSpec { urls: vec![url.to_owned()], ..HttpSpec::default() };
        check_url(url, node, problems);
        return spec;
    }
    let urls = HTTP.get(node, "url");
    for url in urls.map(Node::items).unwrap_or_default().iter().chain(urls) {
        if let Some(text) = url.text() {
            check_url(text, url, problems);
        }
    }
    if urls.is_some_and(|urls| texts(urls).is_empty()) {
        problems.push(Diagnostic::error("A020", "here is no address").at(node.span).help("write `url: https://…`, or a list of them"));
    }
    HttpSpec {
        urls: urls.map(texts).unwrap_or_default(),
        headers: headers(HTTP.get(node, "headers"), problems),
        allow_private: HTTP.get(node, "allow_private").and_then(truth).unwrap_or(false),
        max_output: HTTP.get(node, "max_output").and_then(number).and_then(|text| text.parse().ok()),
    }
}

/// What is sent along with requests.
pub(crate) fn headers(node: Option<&Node>, problems: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    for (key, value) in node.map(Node::entries).unwrap_or_default() {
        if key.name.is_empty() || !key.name.chars().all(fits) {
            let problem = Diagnostic::error("A030", format!("`{}` is no name of a header", key.name.escape_debug())).at(value.span);
            problems.push(problem.help("names of headers have letters, digits and hyphens"));
        }
    }
    pairs(node)
}

pub(crate) fn check_url(text: &str, node: &Node, problems: &mut Vec<Diagnostic>) {
    let known = ["http://", "https://", "env:", "file:"].iter().any(|start| text.starts_with(start));
    if !known {
        let problem = Diagnostic::error("A020", format!("`{text}` is no address of a service")).at(node.span);
        problems.push(problem.help("write https://…, or `env:NAME` for one that stands in the environment"));
    } else if text.split("://").nth(1).and_then(|rest| rest.split('/').next()).is_some_and(|host| host.contains('@')) {
        let problem = Diagnostic::error("A021", "a password in an address is seen by everybody who sees the address").at(node.span);
        problems.push(problem.help("send it in a header: `headers: { Authorization: Basic env:NAME }`"));
    }
}

fn exec(node: &Node, problems: &mut Vec<Diagnostic>) -> ExecSpec {
    let spec = match &node.kind {
        Kind::List(_) => ExecSpec { command: texts(node), ..ExecSpec::default() },
        Kind::Scalar(_) | Kind::Map(_) => {
            let pairs = |(key, value): &(crate::yaml::Key, Node)| Some((key.name.to_string(), value.text()?.to_owned()));
            ExecSpec {
                command: node.get("command").map(texts).unwrap_or_default(),
                env: node.get("env").map(Node::entries).unwrap_or_default().iter().filter_map(pairs).collect(),
                pass_env: node.get("pass_env").map(texts).unwrap_or_default(),
                folder: node.get("folder").and_then(Node::text).map(str::to_owned),
                keep_alive: node.get("keep_alive").and_then(truth).unwrap_or(false),
                max_output: node.get("max_output").and_then(number).and_then(|text| text.parse().ok()),
            }
        }
    };
    // What is neither has been reported as that.
    if spec.command.is_empty() && node.text().is_none() {
        problems.push(Diagnostic::error("A004", "no program is named").at(node.span).help("write [python3, agents/rules.py]"));
    }
    if let Some(folder) = node.get("folder").filter(|folder| folder.text().is_some_and(leaves_the_project)) {
        problems.push(Diagnostic::error("A005", "this folder lies outside of the project").at(folder.span));
    }
    spec
}

/// What is wrong with the name of an agent.
pub(crate) fn missing(node: &Node, agents: &BTreeMap<String, AgentSpec>, functions: &[&str]) -> Option<Diagnostic> {
    let name = node.text().unwrap_or_default();
    match agents.get(name) {
        Some(agent) if agent.enabled => None,
        Some(_) => Some(Diagnostic::error("A011", format!("the agent `{name}` is not enabled")).at(node.span)),
        None if functions.contains(&name) => None,
        None => {
            let near = closest(name, agents.keys().map(String::as_str).chain(functions.iter().copied()));
            let help = near.map_or_else(|| names_of(agents.keys()), |near| format!("did you mean `{near}`?"));
            Some(Diagnostic::error("A010", format!("there is no agent `{name}`")).at(node.span).help(help))
        }
    }
}

pub(crate) fn names_of<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "write one in the folder `agents`".to_owned() } else { format!("there are: {}", names.join(", ")) }
}

/// Whether a path leads out of the folder that it starts in.
pub(crate) fn leaves_the_project(path: &str) -> bool {
    path.starts_with(['/', '\\', '~']) || path.contains(':') || path.split(['/', '\\']).any(|part| part == "..")
}
