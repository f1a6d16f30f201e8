//! Agents as projects declare them: plain data. What they do when they are called is not this crate's business.

use quorate_core::{Effect, Millis};
use quorate_expr::{Type, closest};
use serde_json::Value as Json;

use crate::files::AGENT;
use crate::lower::texts;
use crate::report::Diagnostic;
use crate::shape::{duration, json, number, truth};
use crate::types;
use crate::yaml::{Kind, Node};

/// An agent as a project declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSpec {
    /// Its id.
    pub id: String,
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
    /// Whether it is called at all.
    pub enabled: bool,
    /// Parameters that it gets where a task gives none.
    pub params: Option<Json>,
    /// What it returns.
    pub output: Type,
}

impl AgentSpec {
    /// Whether it is called for what asks for all of this.
    #[must_use]
    pub fn can(&self, wanted: &[String]) -> bool {
        self.enabled && wanted.iter().all(|name| self.capabilities.contains(name))
    }
}

/// What does the work of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// A function built into the program, by its name.
    Function(String),
    /// A program.
    Exec(ExecSpec),
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

/// Reads an agent whose shape was checked.
pub(crate) fn read(id: &str, node: &Node, functions: &[&str], problems: &mut Vec<Diagnostic>) -> Option<AgentSpec> {
    let get = |name| AGENT.get(node, name);
    if functions.contains(&id) {
        let problem = Diagnostic::error("A014", format!("`{id}` is always there, and would be another one here")).at(node.span);
        problems.push(problem.help("choose another name"));
    }
    let text = |name| get(name).and_then(Node::text).map(str::to_owned);
    let whole = |name| get(name).and_then(number).and_then(|text| text.parse::<usize>().ok());
    let does = match (get("use"), get("exec")) {
        (Some(function), None) => {
            let name = function.text().unwrap_or_default();
            if !functions.contains(&name) {
                let help = closest(name, functions.iter().copied())
                    .map_or_else(|| format!("there are: {}", functions.join(", ")), |near| format!("did you mean `{near}`?"));
                problems.push(Diagnostic::error("A001", format!("there is no function `{name}`")).at(function.span).help(help));
            }
            Does::Function(name.to_owned())
        }
        (None, Some(program)) => Does::Exec(exec(program, problems)),
        (Some(_), Some(program)) => {
            let problem = Diagnostic::error("A002", format!("`{id}` is both a function and a program")).at(program.span);
            problems.push(problem.help("leave out `use` or `exec`"));
            return None;
        }
        (None, None) => {
            let problem = Diagnostic::error("A003", format!("nothing says what `{id}` is")).at(node.span);
            problems.push(problem.help("give it `use`, for a function built in, or `exec`, for a program"));
            return None;
        }
    };
    let effect = match text("effect").as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("idempotent") => Some(Effect::Idempotent),
        Some("once") => Some(Effect::Once),
        Some(_) => Some(Effect::None),
        None => None,
    };
    Some(AgentSpec {
        id: id.to_owned(),
        does,
        description: text("description"),
        version: text("version"),
        capabilities: get("capabilities").map(texts).unwrap_or_default(),
        effect,
        priority: whole("priority").and_then(|priority| priority.try_into().ok()),
        max_concurrent: whole("max_concurrent"),
        timeout: get("timeout").and_then(duration),
        enabled: get("enabled").and_then(truth).unwrap_or(true),
        params: get("params").map(json),
        output: get("output").map_or(Type::Any, |node| types::read(node, problems)),
    })
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

/// Whether a path leads out of the folder that it starts in.
fn leaves_the_project(path: &str) -> bool {
    path.starts_with(['/', '\\', '~']) || path.contains(':') || path.split(['/', '\\']).any(|part| part == "..")
}
