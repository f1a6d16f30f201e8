//! Language models and MCP servers as agents: how they are declared, and what is checked once all agents are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Environment;
use quorate_core::Effect;
use quorate_expr::{Decimal, Field, Span, Type, closest};
use serde_json::{Map, Value as Json};

use crate::agents::{AgentSpec, Does, check_url, headers, leaves_the_project};
use crate::files::{LLM, MCP, PRICES, TOOL};
use crate::lower::texts;
use crate::report::{Diagnostic, Source};
use crate::shape::{Object, json, number, truth};
use crate::types;
use crate::yaml::{Key, Node};

/// The folder of a project's prompts.
pub const PROMPTS_FOLDER: &str = "prompts";
/// What a prompt may always name.
const KNOWN_NAMES: [&str; 6] = ["input", "params", "outputs", "session", "task", "attempt"];
/// What templates bring along.
const FUNCTIONS: [&str; 5] = ["range", "dict", "namespace", "loop", "self"];

/// A language model that is called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LlmSpec {
    /// Which model.
    pub model: String,
    /// In which format its service is spoken to.
    pub api: ApiSpec,
    /// Where the service is: addresses, or references such as `env:NAME`; that of the format's own where none is given.
    pub urls: Vec<String>,
    /// By what it knows us.
    pub key: Option<String>,
    /// What is sent along.
    pub headers: Vec<(String, String)>,
    /// Whether it may be at a private address.
    pub allow_private: bool,
    /// What the model should always heed.
    pub instructions: Option<String>,
    /// The same, as a template.
    pub system: Option<PromptSpec>,
    /// What it is asked.
    pub prompt: Option<PromptSpec>,
    /// What the templates name, besides what they always may.
    pub inputs: Vec<Field>,
    /// How many tokens it may write in a turn.
    pub max_tokens: Option<u64>,
    /// Whether it is heard while it answers.
    pub stream: bool,
    /// What else the service is told.
    pub extra: Map<String, Json>,
    /// What a million tokens cost.
    pub prices: PricesSpec,
    /// The agents that it may use.
    pub tools: Vec<ToolSpec>,
    /// How many turns a call may take.
    pub max_steps: Option<u32>,
}

/// In which format a service is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiSpec {
    /// OpenAI's chat completions.
    #[default]
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

/// What a million tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PricesSpec {
    /// Read.
    pub input: Option<Decimal>,
    /// Read, where the service had them at hand.
    pub cached: Option<Decimal>,
    /// Written.
    pub output: Option<Decimal>,
}

/// A prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptSpec {
    /// Its file.
    pub path: Arc<str>,
    /// The template.
    pub text: Arc<str>,
}

/// An agent that a model may use.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Its id. Of an MCP server it is all of its tools.
    pub agent: String,
    /// What the model is told that it does; what the agent says of itself where it is not given.
    pub description: Option<String>,
    /// What it takes.
    pub input: Type,
    /// Of the tools of an MCP server, these alone.
    pub only: Vec<String>,
}

/// A tool of an MCP server that is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpSpec {
    /// The program that is the server, with its arguments.
    pub command: Vec<String>,
    /// Variables that are set for it.
    pub env: Vec<(String, String)>,
    /// Variables that it gets from the environment.
    pub pass_env: Vec<String>,
    /// Where it runs, inside the project.
    pub folder: Option<String>,
    /// Where the server is, if it is a service.
    pub url: Option<String>,
    /// What is sent along.
    pub headers: Vec<(String, String)>,
    /// Whether it may be at a private address.
    pub allow_private: bool,
    /// The agent whose server it is.
    pub from: Option<String>,
    /// The tool; where it is not given, `params.tool` says which.
    pub tool: Option<String>,
}

/// What has to wait until everything has been read: where it stands, and in which file.
#[derive(Default)]
pub(crate) struct Later {
    agents: Vec<Named>,
    prompts: Vec<Asked>,
}

/// An agent that another one names.
struct Named {
    file: usize,
    span: Span,
    by: String,
    agent: String,
    /// Whether it has to be an MCP server.
    server: bool,
    only: Option<Span>,
}

/// A prompt that an agent has.
struct Asked {
    file: usize,
    span: Span,
    path: String,
    inputs: Vec<String>,
}

/// Names, each with a text.
pub(crate) fn pairs(node: Option<&Node>) -> Vec<(String, String)> {
    let pair = |(key, value): &(Key, Node)| Some((key.name.to_string(), value.text()?.to_owned()));
    node.map(Node::entries).unwrap_or_default().iter().filter_map(pair).collect()
}

fn urls(object: &'static Object, node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<String> {
    let urls = object.get(node, "url");
    for url in urls.map(Node::items).unwrap_or_default().iter().chain(urls) {
        if let Some(text) = url.text() {
            check_url(text, url, problems);
        }
    }
    urls.map(texts).unwrap_or_default()
}

/// Whose agent is read, and from which file.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) file: usize,
    pub(crate) id: &'a str,
    pub(crate) files: &'a [Source],
}

impl Reader<'_> {
    pub(crate) fn llm(self, node: &Node, later: &mut Later, problems: &mut Vec<Diagnostic>) -> LlmSpec {
        if let Some(model) = node.text() {
            return LlmSpec { model: model.to_owned(), api: api_of(model), stream: true, ..LlmSpec::default() };
        }
        let get = |name| LLM.get(node, name);
        let text = |name| get(name).and_then(Node::text).map(str::to_owned);
        let whole = |name| get(name).and_then(number).and_then(|text| text.parse::<u64>().ok());
        let model = text("model").unwrap_or_default();
        if let Some(key) = get("key").filter(|key| key.text().is_some_and(|text| !text.starts_with("env:") && !text.starts_with("file:"))) {
            let problem = Diagnostic::error("A028", "a key in a file is seen by everybody who sees the file").at(key.span);
            problems.push(problem.help("write `env:NAME` or `file:PATH`, and change the key if it is a real one"));
        }
        if let Some(key) = get("key").filter(|key| matches!(key.text(), Some("env:" | "file:"))) {
            problems.push(Diagnostic::error("A028", "this names nothing").at(key.span).help("write `env:NAME` or `file:PATH`"));
        }
        if let Some(name) = get("model").filter(|name| name.text().is_some_and(|text| text.trim().is_empty())) {
            problems.push(Diagnostic::error("A022", "a model has a name").at(name.span).help("write it as its service calls it"));
        }
        let inputs = match get("inputs").map(|node| types::read(node, problems)) {
            Some(Type::Object(fields)) => fields,
            Some(_) => {
                let span = get("inputs").map_or(node.span, |node| node.span);
                problems.push(Diagnostic::error("A022", "`inputs` takes names, each with its type").at(span));
                Vec::new()
            }
            None => Vec::new(),
        };
        let names: Vec<String> = inputs.iter().map(|field| field.name.clone()).collect();
        let mut prompt = |name| get(name).and_then(|node| self.prompt(node, &names, later));
        let (system, prompt) = (prompt("system"), prompt("prompt"));
        let mut extra = get("extra").map(json).and_then(|extra| extra.as_object().cloned()).unwrap_or_default();
        extra.extend(get("temperature").map(|node| ("temperature".to_owned(), json(node))));
        let price = |name| get("prices").and_then(|prices| PRICES.get(prices, name)).and_then(number).and_then(|text| text.parse().ok());
        let tools = get("tools").map(Node::items).unwrap_or_default().iter().map(|node| self.tool(node, later, problems)).collect();
        LlmSpec {
            api: match text("api").map(|word| word.to_ascii_lowercase()).as_deref() {
                Some("anthropic") => ApiSpec::Anthropic,
                Some(_) => ApiSpec::OpenAi,
                None => api_of(&model),
            },
            model,
            urls: urls(&LLM, node, problems),
            key: text("key"),
            headers: headers(get("headers"), problems),
            allow_private: get("allow_private").and_then(truth).unwrap_or(false),
            instructions: text("instructions"),
            system,
            prompt,
            inputs,
            max_tokens: whole("max_tokens"),
            stream: get("stream").and_then(truth).unwrap_or(true),
            extra,
            prices: PricesSpec { input: price("input"), cached: price("cached"), output: price("output") },
            tools,
            max_steps: whole("max_steps").and_then(|steps| u32::try_from(steps).ok()),
        }
    }

    fn prompt(self, node: &Node, names: &[String], later: &mut Later) -> Option<PromptSpec> {
        let written = node.text()?;
        let path = if written.contains('/') { written.to_owned() } else { format!("{PROMPTS_FOLDER}/{written}") };
        later.prompts.push(Asked { file: self.file, span: node.span, path: path.clone(), inputs: names.to_vec() });
        let source = self.files.iter().find(|file| *file.path == *path)?;
        Some(PromptSpec { path: source.path.clone(), text: source.text.clone() })
    }

    fn tool(self, node: &Node, later: &mut Later, problems: &mut Vec<Diagnostic>) -> ToolSpec {
        let agent = if node.entries().is_empty() { Some(node) } else { TOOL.get(node, "agent") };
        let only = TOOL.get(node, "only");
        if let Some(agent) = agent {
            let named = Named {
                file: self.file,
                span: agent.span,
                by: self.id.to_owned(),
                agent: agent.text().unwrap_or_default().to_owned(),
                server: false,
                only: only.map(|only| only.span),
            };
            later.agents.push(named);
        }
        let input = TOOL.get(node, "input").map_or(Type::Any, |node| types::read(node, problems));
        if let (Some(node), false) = (TOOL.get(node, "input"), matches!(input, Type::Any | Type::Object(_))) {
            problems.push(Diagnostic::error("A022", "a tool takes names, each with its type").at(node.span));
        }
        ToolSpec {
            agent: agent.and_then(Node::text).unwrap_or_default().to_owned(),
            description: TOOL.get(node, "description").and_then(Node::text).map(str::to_owned),
            input,
            only: only.map(texts).unwrap_or_default(),
        }
    }

    pub(crate) fn mcp(self, node: &Node, later: &mut Later, problems: &mut Vec<Diagnostic>) -> McpSpec {
        let get = |name| MCP.get(node, name);
        let text = |name| get(name).and_then(Node::text).map(str::to_owned);
        let (command, url, from) = (get("command"), get("url"), get("from"));
        let given = [("command", command), ("url", url), ("from", from)].into_iter().filter_map(|(name, node)| Some((name, node?)));
        match given.collect::<Vec<_>>()[..] {
            [] => {
                let problem = Diagnostic::error("A027", "nothing says where this MCP server is").at(node.span);
                problems.push(problem.help("give it `command`, for a program, `url`, for a service, or `from`, for that of another agent"));
            }
            [_] => {}
            [(first, _), (second, node), ..] => {
                let problem =
                    Diagnostic::error("A027", format!("this MCP server is at two places: `{first}` and `{second}`")).at(node.span);
                problems.push(problem.help("leave out one of them"));
            }
        }
        if let Some(from) = from {
            let agent = from.text().unwrap_or_default().to_owned();
            later.agents.push(Named { file: self.file, span: from.span, by: self.id.to_owned(), agent, server: true, only: None });
        }
        if let Some(folder) = get("folder").filter(|folder| folder.text().is_some_and(leaves_the_project)) {
            problems.push(Diagnostic::error("A005", "this folder lies outside of the project").at(folder.span));
        }
        McpSpec {
            command: command.map(texts).unwrap_or_default(),
            env: pairs(get("env")),
            pass_env: get("pass_env").map(texts).unwrap_or_default(),
            folder: text("folder"),
            url: urls(&MCP, node, problems).into_iter().next(),
            headers: headers(get("headers"), problems),
            allow_private: get("allow_private").and_then(truth).unwrap_or(false),
            from: text("from"),
            tool: text("tool"),
        }
    }
}

fn api_of(model: &str) -> ApiSpec {
    if model.starts_with("claude") { ApiSpec::Anthropic } else { ApiSpec::OpenAi }
}

impl Later {
    /// Checks what agents name, once all of them are known.
    pub(crate) fn check(
        &self,
        agents: &BTreeMap<String, AgentSpec>,
        functions: &[&str],
        files: &[Source],
        report: &mut dyn FnMut(usize, Diagnostic),
    ) {
        for named in &self.agents {
            if let Some(problem) = named.problem(agents, functions) {
                report(named.file, problem.at(named.span));
                continue;
            }
            let is_server = agents.get(&named.agent).is_some_and(|agent| matches!(agent.does, Does::Mcp(_)));
            if let Some(only) = named.only.filter(|_| !is_server) {
                report(named.file, Diagnostic::error("A027", "only an MCP server has several tools to choose from").at(only));
            }
        }
        let mut seen = Vec::new();
        for asked in &self.prompts {
            let Some(position) = files.iter().position(|file| *file.path == *asked.path) else {
                let known = || files.iter().map(|file| &*file.path).filter(|path| path.starts_with(PROMPTS_FOLDER));
                let help = match closest(&asked.path, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("prompts lie in the folder `{PROMPTS_FOLDER}`, as .md, .txt or .j2"),
                };
                report(asked.file, Diagnostic::error("A023", format!("there is no prompt `{}`", asked.path)).at(asked.span).help(help));
                continue;
            };
            // Several agents may have the same one; what is wrong with it is said once.
            if !seen.contains(&(position, &asked.inputs)) {
                seen.push((position, &asked.inputs));
                check_prompt(&files[position], &asked.inputs).into_iter().for_each(|problem| report(position, problem));
            }
        }
    }
}

impl Named {
    fn problem(&self, agents: &BTreeMap<String, AgentSpec>, functions: &[&str]) -> Option<Diagnostic> {
        let Some(agent) = agents.get(&self.agent) else {
            if functions.contains(&self.agent.as_str()) && !self.server {
                return None;
            }
            let names = agents.keys().map(String::as_str).chain(functions.iter().copied());
            let near = closest(&self.agent, names).map(|near| format!("did you mean `{near}`?"));
            return Some(Diagnostic::error("A024", format!("there is no agent `{}`", self.agent)).maybe_help(near));
        };
        if self.server {
            let is_one = matches!(&agent.does, Does::Mcp(mcp) if mcp.from.is_none());
            let wrong = || Diagnostic::error("A024", format!("`{}` is no MCP server", self.agent));
            return (!is_one).then(wrong);
        }
        if let Some(round) = round(&self.by, &self.agent, agents) {
            let problem = Diagnostic::error("A025", format!("`{}` would be a tool of its own: {}", self.by, round.join(" → ")));
            return Some(problem.help("calls that wait for each other never end"));
        }
        let by = agents.get(&self.by)?;
        let (own, its) = (by.effect.unwrap_or_default(), agent.effect.unwrap_or_default());
        let rank = |effect| match effect {
            Effect::None => 0,
            Effect::Idempotent => 1,
            Effect::Once => 2,
        };
        let word = |effect| match effect {
            Effect::None => "none",
            Effect::Idempotent => "idempotent",
            Effect::Once => "once",
        };
        (rank(own) < rank(its)).then(|| {
            let message = format!("`{}` has the effect `{}`, but its tool `{}` has `{}`", self.by, word(own), self.agent, word(its));
            let help = format!("write `effect: {}`: who calls a tool does what the tool does", word(its));
            Diagnostic::error("A026", message).help(help)
        })
    }
}

/// The way from a tool back to the agent that it is a tool of.
fn round(by: &str, tool: &str, agents: &BTreeMap<String, AgentSpec>) -> Option<Vec<String>> {
    let mut open = vec![vec![by.to_owned(), tool.to_owned()]];
    let mut seen = Vec::new();
    while let Some(way) = open.pop() {
        let last = way.last().cloned().unwrap_or_default();
        if last == by {
            return Some(way);
        }
        if seen.contains(&last) {
            continue;
        }
        for version in agents.get(&last).into_iter().flat_map(AgentSpec::all) {
            if let Does::Llm(llm) = &version.does {
                open.extend(llm.tools.iter().map(|tool| way.iter().cloned().chain([tool.agent.clone()]).collect()));
            }
        }
        seen.push(last);
    }
    None
}

/// What is wrong with a template: its grammar, or a name that nobody declared.
fn check_prompt(source: &Source, inputs: &[String]) -> Vec<Diagnostic> {
    if let Some(why) = &source.unreadable {
        return vec![Diagnostic::error("Y000", format!("this file cannot be read: {why}"))];
    }
    let templates = Environment::new();
    let template = match templates.template_from_named_str(&source.path, &source.text) {
        Ok(template) => template,
        Err(wrong) => {
            let what = wrong.detail().map_or_else(|| wrong.kind().to_string(), str::to_owned);
            return vec![Diagnostic::error("A023", format!("this is no template: {what}")).at(line_span(&source.text, wrong.line()))];
        }
    };
    let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    names.sort_unstable();
    let known = || KNOWN_NAMES.into_iter().chain(inputs.iter().map(String::as_str));
    let unknown = names.iter().filter(|name| !known().any(|known| known == *name) && !FUNCTIONS.contains(&name.as_str()));
    unknown
        .map(|name| {
            let problem = Diagnostic::error("A023", format!("nobody declared `{name}`")).at(place_of(&source.text, name));
            match closest(name, known()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!("declare it under `inputs`, or read it from one of {}", KNOWN_NAMES.join(", "))),
            }
        })
        .collect()
}

fn span_of(start: usize, end: usize) -> Span {
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    Span { start: at(start), end: at(end) }
}

fn line_span(text: &str, line: Option<usize>) -> Span {
    let mut start = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        if line == Some(number + 1) {
            return span_of(start, start + content.trim_end().len());
        }
        start += content.len();
    }
    span_of(0, 0)
}

/// Where a name stands inside of a template's marks.
fn place_of(text: &str, name: &str) -> Span {
    let is_part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == '.');
    let found = text.match_indices(name).find(|(at, _)| {
        let (before, after) = (&text[..*at], &text[at + name.len()..]);
        let opened = before.rfind("{{").max(before.rfind("{%"));
        let inside = opened.is_some_and(|opened| before[opened..].find("}}").or(before[opened..].find("%}")).is_none());
        inside && !is_part(before.chars().last()) && !after.starts_with(|next: char| next.is_alphanumeric() || next == '_')
    });
    found.map_or(span_of(0, 0), |(at, _)| span_of(at, at + name.len()))
}
