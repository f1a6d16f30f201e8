//! Where requests go: rules over what they say, the first that matches; and why, with what came close.

use std::collections::BTreeMap;

use quorate_core::{Operand, Payload};
use quorate_expr::{Field, Truth, Type, closest};
use serde::{Deserialize, Serialize};

use crate::agents::AgentSpec;
use crate::facts::{Facts, Formula, Known as Names};
use crate::files::ROUTE;
use crate::lower::texts;
use crate::report::{Diagnostic, Source};
use crate::yaml::Node;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// To this agent.
    Agent(String),
    /// To any agent that can do all of this.
    Capabilities(Vec<String>),
    /// To a run of this workflow.
    Workflow(String),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Agent(id) => write!(f, "the agent {id}"),
            Target::Capabilities(wanted) => write!(f, "an agent that can do {}", wanted.join(" and ")),
            Target::Workflow(id) => write!(f, "the workflow {id}"),
        }
    }
}

/// The rules of a project, in order.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    rules: Vec<Rule>,
    /// Where a request goes that no rule matches.
    default: Option<Target>,
    /// The agent that is asked where no rule matches.
    pub classifier: Option<String>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    /// Each as its words, in small letters.
    keywords: Vec<Vec<String>>,
    when: Option<Box<Formula>>,
    to: Target,
}

/// What came of looking at the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// Where the request goes; nowhere, where nothing says so.
    pub to: Option<Target>,
    /// What decided.
    pub by: RoutedBy,
    /// Rules that did not decide and are worth knowing, with why they did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub close: Vec<Close>,
    /// Who was asked and did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheeded: Option<Unheeded>,
}

/// Somebody who was asked where a request goes, and did not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unheeded {
    /// The agent.
    pub agent: String,
    /// What it did instead.
    pub why: String,
}

impl Routed {
    /// What else is worth knowing, a line each: rules that came close, and who did not say.
    #[must_use]
    pub fn beside(&self) -> Vec<String> {
        let close = self.close.iter().map(|close| format!("rule {}: {}", close.rule, close.why));
        close.chain(self.unheeded.iter().map(|asked| format!("{} was asked, and {}", asked.agent, asked.why))).collect()
    }
}

/// What decided where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutedBy {
    /// Whoever asked said so.
    Asker,
    /// The first rule that matches.
    Rule {
        /// Its name.
        rule: String,
        /// What matched: keywords, and the condition.
        matched: Vec<String>,
    },
    /// An agent was asked.
    Classifier {
        /// Which.
        agent: String,
    },
    /// Nothing else did.
    Default,
    /// Nothing did at all.
    Nothing,
}

impl std::fmt::Display for RoutedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RoutedBy::Asker => f.write_str("as asked"),
            RoutedBy::Rule { rule, matched } => write!(f, "the rule {rule} matches: {}", matched.join(", ")),
            RoutedBy::Classifier { agent } => write!(f, "no rule decides, and {agent} said so"),
            RoutedBy::Default => f.write_str("no rule decides, and this is the default"),
            RoutedBy::Nothing => f.write_str("no rule decides, and there is no default"),
        }
    }
}

/// A rule that did not decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Its name.
    pub rule: String,
    /// Why not.
    pub why: String,
}

impl Routes {
    /// Reads the rules of a project whose shape was checked.
    pub(crate) fn read(node: &Node, file: &Source, known: &Known<'_>, problems: &mut Vec<Diagnostic>) -> Routes {
        let mut routes = Routes::default();
        // Any field of a request may be read, and `text` is what it says.
        let text = [Field { name: "text".to_owned(), kind: Type::Text, required: false }];
        let names = Names { input: &Type::Any, profile: &text, later: &[] };
        let mut last: Option<&Node> = None;
        for (position, rule) in node.items().iter().enumerate() {
            let (keywords, when) = (ROUTE.get(rule, "keywords"), ROUTE.get(rule, "when"));
            let target = target(rule, known, problems);
            if let Some(first) = last {
                let problem = Diagnostic::warning("R003", "no request comes this far").at(rule.span);
                problems.push(problem.note(first.span, "this rule takes all that come to it").help("put the rule that takes all last"));
            }
            if keywords.is_none() && when.is_none() {
                last = last.or(Some(rule));
                routes.default = routes.default.or(target);
                continue;
            }
            let when = when.and_then(|node| Formula::condition(node, file, &names, problems));
            let none = keywords.is_some_and(|keywords| texts(keywords).is_empty());
            let keywords: Vec<Vec<String>> = keywords.map(texts).unwrap_or_default().iter().map(|text| words(text)).collect();
            if none {
                problems.push(
                    Diagnostic::error("R006", "there are no keywords here")
                        .at(rule.span)
                        .help("a rule without `keywords` and `when` takes every request"),
                );
            } else if keywords.iter().any(Vec::is_empty) {
                problems.push(Diagnostic::error("R006", "a keyword has letters or digits").at(rule.span));
            }
            let Some(to) = target else { continue };
            let name = ROUTE.get(rule, "name").and_then(Node::text).map_or_else(|| format!("{}", position + 1), str::to_owned);
            routes.rules.push(Rule { name, keywords, when: when.map(Box::new), to });
        }
        routes
    }

    /// Whether there is nothing that says where a request goes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.default.is_none() && self.classifier.is_none()
    }

    /// Where a request goes by the rules, or by the default. A rule whose condition is unknown, in front of one that matches,
    /// leaves the rules undecided.
    #[must_use]
    pub fn route(&self, request: &Payload) -> Routed {
        let text = text_of(request);
        let said = words(&text);
        let profile = [Payload::of(&text).ok()];
        let facts = Facts { input: request, profile: &profile };
        let (mut close, mut decided, mut undecided) = (Vec::new(), None, false);
        for rule in &self.rules {
            match rule.look(facts, &said) {
                Looked::Matches(matched) if decided.is_none() && !undecided => decided = Some((rule, matched)),
                Looked::Matches(matched) => {
                    let why =
                        if undecided { "matches, but stands behind one that is unknown" } else { "matches as well, but stands later" };
                    close.push(Close { rule: rule.name.clone(), why: format!("{why}: {}", matched.join(", ")) });
                }
                // What is unknown behind the rule that decides changes nothing.
                Looked::Unknown(_) if decided.is_some() => {}
                Looked::Unknown(why) => {
                    undecided = true;
                    close.push(Close { rule: rule.name.clone(), why });
                }
                Looked::Close(why) => close.push(Close { rule: rule.name.clone(), why }),
                Looked::No => {}
            }
        }
        match decided {
            Some((rule, matched)) => {
                Routed { to: Some(rule.to.clone()), by: RoutedBy::Rule { rule: rule.name.clone(), matched }, close, unheeded: None }
            }
            None if self.default.is_some() => Routed { to: self.default.clone(), by: RoutedBy::Default, close, unheeded: None },
            None => Routed { to: None, by: RoutedBy::Nothing, close, unheeded: None },
        }
    }
}

/// What a target may name.
pub(crate) struct Known<'a> {
    pub(crate) agents: &'a BTreeMap<String, AgentSpec>,
    pub(crate) functions: &'a [&'a str],
    pub(crate) workflows: Vec<&'a str>,
}

fn target(rule: &Node, known: &Known<'_>, problems: &mut Vec<Diagnostic>) -> Option<Target> {
    let kinds = ["agent", "capabilities", "workflow"];
    let given: Vec<(&str, &Node)> = kinds.into_iter().filter_map(|kind| Some((kind, ROUTE.get(rule, kind)?))).collect();
    let [(kind, node)] = given[..] else {
        let (code, message) = match given.len() {
            0 => ("R001", "nothing says where such requests go"),
            _ => ("R002", "such requests go to one place, and here are several"),
        };
        problems.push(Diagnostic::error(code, message).at(rule.span).help("name one `agent`, `capabilities` or `workflow`"));
        return None;
    };
    let name = node.text().unwrap_or_default();
    let missing = |what: &str, known: &mut dyn Iterator<Item = &str>| {
        let known: Vec<&str> = known.collect();
        let help = match closest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        Diagnostic::error("R004", format!("there is no {what} `{name}`")).at(node.span).help(help)
    };
    match kind {
        "agent" if known.agents.contains_key(name) || known.functions.contains(&name) => Some(Target::Agent(name.to_owned())),
        "agent" => {
            problems.push(missing("agent", &mut known.agents.keys().map(String::as_str)));
            None
        }
        "workflow" if known.workflows.contains(&name) => Some(Target::Workflow(name.to_owned())),
        "workflow" => {
            problems.push(missing("workflow", &mut known.workflows.iter().copied()));
            None
        }
        _ => {
            let wanted = texts(node);
            if !known.agents.values().any(|agent| agent.can(&wanted)) {
                problems.push(Diagnostic::error("R004", format!("no agent can do {}", wanted.join(" and "))).at(node.span));
                return None;
            }
            Some(Target::Capabilities(wanted))
        }
    }
}

/// How a rule looks at a request.
enum Looked {
    Matches(Vec<String>),
    Unknown(String),
    Close(String),
    No,
}

impl Rule {
    fn look(&self, facts: Facts<'_>, said: &[String]) -> Looked {
        let mut matched = Vec::new();
        if !self.keywords.is_empty() {
            let found = self.keywords.iter().find(|keyword| said.windows(keyword.len()).any(|window| window == &keyword[..]));
            match found {
                Some(keyword) => matched.push(format!("`{}`", keyword.join(" "))),
                None => return self.near(said),
            }
        }
        let Some(when) = &self.when else { return Looked::Matches(matched) };
        let (truth, operands) = when.holds(facts);
        let seen = |operand: &Operand| if operand.unknown { format!("there is no `{}`", operand.name) } else { operand.to_string() };
        let seen: Vec<String> = operands.iter().map(seen).collect();
        match truth {
            Truth::True => {
                matched.extend(seen);
                Looked::Matches(matched)
            }
            Truth::Unknown(_) => Looked::Unknown(format!("is unknown: {}", seen.join(", "))),
            Truth::False if matched.is_empty() => Looked::No,
            Truth::False => Looked::Close(format!("{} matches, its condition does not: {}", matched.join(", "), seen.join(", "))),
        }
    }

    /// Whether a keyword is at least part of a word: what people mean by that is for them to say.
    fn near(&self, said: &[String]) -> Looked {
        let part = |keyword: &Vec<String>| {
            let [keyword] = &keyword[..] else { return None };
            let word = said.iter().find(|word| word.contains(keyword.as_str()))?;
            Some(format!("`{word}` contains `{keyword}`, but is another word"))
        };
        self.keywords.iter().find_map(part).map_or(Looked::No, Looked::Close)
    }
}

/// What a request says: the text that it is, or that stands in it.
fn text_of(request: &Payload) -> String {
    let whole: serde_json::Value = request.decode().unwrap_or_default();
    if let Some(text) = whole.as_str() {
        return text.to_owned();
    }
    let field = |name: &str| whole.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let last_message = || {
        let message = whole.get("messages")?.as_array()?.last()?;
        message.get("content")?.as_str().map(str::to_owned)
    };
    ["text", "request", "message", "query"].into_iter().find_map(field).or_else(last_message).unwrap_or_default()
}

/// The words of a text, in small letters.
fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}
