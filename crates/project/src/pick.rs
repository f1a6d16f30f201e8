//! Which policy a piece of work gets: by rules in order, then by the fields that policies are looked up by, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use quorate_core::draft::{CheckpointDraft, TaskDraft, ThenDraft, WaitDraft, WorkDraft};
use quorate_core::{Draft, HIL_REVIEW, Millis, Operand, Payload, Plan, Problem};
use quorate_expr::{Field, Truth, Type, closest, parse};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::agents::{self, AgentSpec};
use crate::classify::{Classified, Classifier, FieldFound};
use crate::facts::{Facts, Formula, Known};
use crate::files::{MONOTONE, POLICIES, POLICY, RULE};
use crate::lower::texts;
use crate::modes::{self, Mode};
use crate::policy::{self, Around, Policy, one_or_many};
use crate::report::{Diagnostic, Source};
use crate::yaml::{Node, Style};

/// By what policies are looked up, where a project does not say.
const USUAL_KEYS: [&str; 2] = ["break_type", "risk_tier"];
/// How the first of these is called in the profile of a single policy.
const FIRST_KEY: &str = "type";
/// The key of what has no policy of its own.
pub(crate) const OTHERS: &str = "default";
/// The agent without which nothing is resolved by itself, where a project has it and does not say.
const RULES_AGENT: &str = "RULES_TOLERANCE";
/// Rules that are told of because they did not hold.
const MAX_PASSED: usize = 12;
/// Lines that say what a piece of work is about.
const MAX_ABOUT: usize = 32;
/// What the plan of work without a policy is called.
pub const NO_POLICY: &str = "no_policy";

/// The policies of a project, and which work gets which.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// The policies, by name.
    pub list: BTreeMap<String, Policy>,
    pub(crate) keys: Vec<Key>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) keyed: BTreeMap<(String, Option<String>), String>,
    pub(crate) default: Option<String>,
    no_policy: Option<Arc<Plan>>,
    /// What the first key is in the profiles of single policies.
    pub(crate) profiled: Vec<(String, usize, quorate_expr::Span)>,
    /// How many agents the project has.
    agents: usize,
    /// How work is done.
    pub mode: Mode,
    /// A task for each agent, in the order in which all of them run one after another.
    sequence: Vec<TaskDraft>,
    /// Where all agents run one after another: the plans, by policy.
    sequential: BTreeMap<String, Arc<Plan>>,
    /// Agents without which nothing is to be resolved by itself.
    pub(crate) auto_resolve_needs: Vec<String>,
    pub(crate) monotone: Option<Monotone>,
    /// What says what a piece of work is about.
    about: Vec<Formula>,
}

/// Of more of which nothing laxer is to come.
#[derive(Clone, Debug)]
pub(crate) struct Monotone {
    pub(crate) over: Vec<String>,
    /// Decisions, the laxest first.
    pub(crate) actions: Vec<String>,
    pub(crate) file: usize,
    pub(crate) span: quorate_expr::Span,
}

/// A field by which policies are looked up.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) formula: Formula,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) when: Option<Formula>,
    pub(crate) policy: String,
    /// Where it stands; nothing where it is what a single policy says about its work.
    pub(crate) at: Option<(usize, quorate_expr::Span)>,
}

/// Which policy a piece of work gets, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pick {
    /// What the work is about, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// The policy; nothing where there is none for it, and people decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Why.
    pub because: PickedBy,
    /// Rules before it that did not hold, each with what it read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
    /// What was found out about the work.
    pub fields: Vec<FieldFound>,
    /// How many agents there are, of which the policy takes some.
    pub agents: usize,
    /// How the work is done.
    #[serde(default, skip_serializing_if = "Mode::is_dynamic")]
    pub mode: Mode,
}

/// What picks a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PickedBy {
    /// The first rule that holds.
    Rule {
        /// Its name.
        rule: String,
        /// Its condition; one without always holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What that read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operands: Vec<Operand>,
    },
    /// The fields that policies are looked up by.
    Keys {
        /// Each with its value.
        keys: Vec<Operand>,
    },
    /// There is none for it, and this one is for the others.
    Default {
        /// The keys, with their values.
        keys: Vec<Operand>,
    },
    /// A rule, or a key, is unknown: none is picked on what is not known.
    Unknown {
        /// What.
        what: String,
    },
    /// There is none for it.
    Nothing {
        /// The keys, with their values.
        keys: Vec<Operand>,
    },
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = |operands: &[Operand]| operands.iter().map(Operand::to_string).collect::<Vec<_>>().join(", ");
        match &self.policy {
            Some(policy) => write!(f, "policy {policy}")?,
            None => f.write_str("no policy, so people decide")?,
        }
        match &self.because {
            PickedBy::Rule { rule, when: Some(when), operands } => write!(f, ": the rule {rule} holds, `{when}`, where {}", seen(operands)),
            PickedBy::Rule { rule, when: None, .. } => write!(f, ": the rule {rule} holds where no other does"),
            PickedBy::Keys { keys } => write!(f, ": {}", seen(keys)),
            PickedBy::Default { keys } if keys.is_empty() => f.write_str(": it is that of all work for which there is no other"),
            PickedBy::Default { keys } => write!(f, ": it is that of all others, for {}", seen(keys)),
            PickedBy::Unknown { what } => write!(f, ": {what}"),
            PickedBy::Nothing { keys } if keys.is_empty() => f.write_str(": the project has none for it"),
            PickedBy::Nothing { keys } => write!(f, ": there is none for {}", seen(keys)),
        }
    }
}

impl Policies {
    /// Whether the project has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The plan by which work is done that gets this policy.
    #[must_use]
    pub fn plan_of(&self, policy: &str) -> Option<&Arc<Plan>> {
        match self.mode {
            Mode::Dynamic => self.list.get(policy).map(|policy| &policy.plan),
            Mode::Sequential | Mode::Compare => self.sequential.get(policy),
        }
    }

    /// The plan of what was picked. Where nothing was, people decide.
    #[must_use]
    pub fn plan(&self, pick: &Pick) -> Option<&Arc<Plan>> {
        match &pick.policy {
            Some(policy) => self.plan_of(policy),
            None => self.no_policy.as_ref(),
        }
    }

    /// Which policy a piece of work gets.
    #[must_use]
    pub fn pick(&self, input: &Payload, classified: &Classified) -> Pick {
        let facts = Facts { input, profile: &classified.values };
        let mut passed = Vec::new();
        let (policy, because) = self.look(facts, &mut passed);
        let about = self.about.iter().flat_map(|formula| lines_of(formula, facts)).take(MAX_ABOUT).collect();
        Pick { about, policy, because, passed, fields: classified.fields.clone(), agents: self.agents, mode: self.mode }
    }

    /// The same, by which work is done in this mode.
    ///
    /// # Errors
    /// A policy whose agents cannot run one after another, and why.
    pub fn in_mode(mut self, mode: Mode) -> Result<Policies, (String, Vec<Problem>)> {
        self.mode = mode;
        if !mode.is_dynamic() && self.sequential.is_empty() {
            for (id, policy) in &self.list {
                let plan = modes::sequential(&policy.plan, &self.sequence).map_err(|problems| (id.clone(), problems))?;
                self.sequential.insert(id.clone(), Arc::new(plan));
            }
        }
        Ok(self)
    }

    fn look(&self, facts: Facts<'_>, passed: &mut Vec<String>) -> (Option<String>, PickedBy) {
        for Rule { name, when, policy, .. } in &self.rules {
            let rule = name.clone();
            let Some(when) = when else {
                return (Some(policy.clone()), PickedBy::Rule { rule, when: None, operands: Vec::new() });
            };
            let (truth, operands) = when.holds(facts);
            let told = || operands.iter().map(Operand::to_string).collect::<Vec<_>>().join(", ");
            match truth {
                Truth::True => return (Some(policy.clone()), PickedBy::Rule { rule, when: Some(when.text().to_owned()), operands }),
                Truth::False if passed.len() < MAX_PASSED => {
                    passed.push(format!("the rule {rule} does not hold, `{}`: {}", when.text(), told()));
                }
                Truth::False => {}
                // It may be the first that holds: those behind it are not looked at.
                Truth::Unknown(_) => {
                    return (None, PickedBy::Unknown { what: format!("the rule {rule} is unknown, `{}`: {}", when.text(), told()) });
                }
            }
        }
        if self.keyed.is_empty() {
            let keys = Vec::new();
            return match &self.default {
                Some(default) => (Some(default.clone()), PickedBy::Default { keys }),
                None => (None, PickedBy::Nothing { keys }),
            };
        }
        let mut keys = Vec::with_capacity(self.keys.len());
        let mut found = Vec::with_capacity(self.keys.len());
        for Key { name, formula } in &self.keys {
            let value = formula.value(facts).0.ok().and_then(|value| value.decode::<String>().ok());
            let Some(value) = value else {
                // A policy for all of a type does not ask for the second key.
                if let Some(policy) = found.first().and_then(|first: &String| self.keyed.get(&(first.clone(), None))) {
                    return (Some(policy.clone()), PickedBy::Keys { keys });
                }
                return (None, PickedBy::Unknown { what: format!("{name} is unknown, by which policies are looked up") });
            };
            keys.push(Operand { name: name.clone(), value: value.clone(), unknown: false });
            found.push(value);
        }
        let first = found[0].clone();
        let exact = self.keyed.get(&(first.clone(), found.get(1).map(|value| tier(value))));
        if let Some(policy) = exact.or_else(|| self.keyed.get(&(first.clone(), None))) {
            return (Some(policy.clone()), PickedBy::Keys { keys });
        }
        let others = self.keyed.get(&(first, Some(OTHERS.to_owned()))).or(self.default.as_ref());
        match others {
            Some(policy) => (Some(policy.clone()), PickedBy::Default { keys }),
            None => (None, PickedBy::Nothing { keys }),
        }
    }
}

/// What a file says for all policies: what one that is a single policy says of itself is not that.
pub(crate) fn of_all<'a>(tree: &'a Node, name: &str) -> Option<&'a Node> {
    let own = POLICIES.get(tree, "routing").is_some() && POLICY.field(name).is_some();
    if own { None } else { POLICIES.get(tree, name) }
}

/// A policy as it stands in a file.
struct Written<'a> {
    file: usize,
    id: String,
    node: &'a Node,
    /// Of one that says for which work it is: that.
    profile: Option<&'a Node>,
    keys: Option<(String, Option<String>)>,
    /// Where its first key, and its name, stand.
    first: quorate_expr::Span,
    span: quorate_expr::Span,
}

/// What lies around the policies of a project.
pub(crate) struct Reading<'a> {
    pub(crate) files: &'a [Source],
    pub(crate) trees: &'a [Option<Node>],
    pub(crate) around: Around<'a>,
}

impl Reading<'_> {
    /// Reads all policies of a project, of which `tell` hears what is wrong.
    pub(crate) fn policies(mut self, tell: &mut dyn FnMut(usize, Diagnostic)) -> Policies {
        let trees: Vec<(usize, &Node)> = (self.files.iter().zip(self.trees).enumerate())
            .filter(|(_, (source, _))| source.path.starts_with("policies/"))
            .filter_map(|(file, (_, tree))| Some((file, tree.as_ref()?)))
            .collect();
        let one = |name: &str| trees.iter().find_map(|(file, tree)| Some((*file, of_all(tree, name)?)));
        self.around.deciding = one("deciding_agent").and_then(|(_, node)| node.text());
        self.around.needed = one("auto_resolve_needs").map(|(_, node)| texts(node)).unwrap_or_default();
        if let Some((file, node)) = one("reviews") {
            let mut problems = Vec::new();
            self.around.reviews = policy::reviews(node, self.around.groups, &mut problems);
            problems.into_iter().for_each(|problem| tell(file, problem));
        }
        let classifier = self.around.classifier;
        let profile = match classifier.profile() {
            Type::Object(fields) => fields,
            _ => Vec::new(),
        };
        let known = Known { input: &classifier.input, profile: &profile, later: &[] };
        let mut policies = Policies { agents: self.around.agents.len(), ..Policies::default() };
        if let Some((file, node)) = one("about") {
            let mut problems = Vec::new();
            let lines = one_or_many(node).iter().filter_map(|line| Formula::expression(line, &self.files[file], &known, &mut problems));
            policies.about = lines.collect();
            problems.into_iter().for_each(|problem| tell(file, problem));
        }
        let written = self.written(&trees);
        for Written { file, id, node, keys, span, .. } in &written {
            if policies.list.contains_key(id) {
                tell(
                    *file,
                    Diagnostic::error("D007", format!("there are two policies called `{id}`"))
                        .at(*span)
                        .help("give one of them another name"),
                );
                continue;
            }
            let mut problems = Vec::new();
            let made = policy::policy(id, node, (*file, &self.files[*file], *span), &self.around, &mut problems);
            problems.into_iter().for_each(|problem| tell(*file, problem));
            policies.list.extend(made.map(|made| (id.clone(), made)));
            match keys {
                Some((first, None)) if first == OTHERS => policies.default = Some(id.clone()),
                Some(keys) => {
                    if let Some(other) = policies.keyed.insert(keys.clone(), id.clone()) {
                        let problem = Diagnostic::error("D007", format!("`{id}` and `{other}` are for the same work")).at(*span);
                        tell(*file, problem.help("keep one of them: `LOW` and `LOW_RISK` are two names of one tier"));
                    }
                }
                None => {}
            }
        }
        if let Some((file, node)) = one("keyed_by") {
            let given = texts(node);
            let twice = given.len() == 2 && given[0] == given[1];
            if given.is_empty() || given.len() > 2 || twice {
                let problem = Diagnostic::error("D008", "policies are looked up by one field, or by two different ones").at(node.span);
                tell(file, problem.help("write `keyed_by: [break_type, risk_tier]`; what else matters can be a rule"));
            }
        }
        let names: Vec<String> = match one("keyed_by") {
            Some((_, node)) => texts(node),
            None => USUAL_KEYS.map(str::to_owned).to_vec(),
        };
        // Where rules pick all of them, nothing is looked up.
        let rules = trees.iter().flat_map(|(_, tree)| POLICIES.get(tree, "rules").map(Node::items).unwrap_or_default());
        let named = rules.filter_map(|rule| RULE.get(rule, "policy")).chain(one("default").map(|(_, node)| node));
        let named: BTreeSet<&str> = named.filter_map(Node::text).collect();
        let ruled = |id: &String| named.contains(id.as_str());
        let usual = one("keyed_by").is_some() || Formula::named(USUAL_KEYS[0], known).is_some();
        if !usual && policies.keyed.values().all(ruled) {
            policies.keyed.clear();
        }
        if !policies.keyed.is_empty() {
            self.keys(&names, &written, known, (one("keyed_by"), &named), &mut policies, tell);
        }
        for (file, tree) in &trees {
            self.rules(*file, tree, known, &written, &mut policies, tell);
        }
        self.profiles(&names, &written, known, &mut policies, tell);
        if let Some((file, node)) = one("default") {
            policies.default = self.named(file, node, &written, tell);
        }
        self.how(&one, &profile, &mut policies, tell);
        policies.no_policy = Some(Arc::new(Plan::compile(&no_policy(classifier)).expect("a plan that waits for no time is a plan")));
        policies
    }

    /// How work is done, and what is to be true of all policies.
    fn how<'a>(
        &self,
        one: &dyn Fn(&str) -> Option<(usize, &'a Node)>,
        profile: &[Field],
        policies: &mut Policies,
        tell: &mut dyn FnMut(usize, Diagnostic),
    ) {
        let agents = self.around.agents;
        let named = |(file, node): (usize, &'a Node), tell: &mut dyn FnMut(usize, Diagnostic)| {
            policy::one_or_many(node)
                .iter()
                .filter_map(|item| agents::missing(item, agents, self.around.functions))
                .for_each(|problem| tell(file, problem));
            texts(node)
        };
        let mut usual: Vec<&AgentSpec> = agents.values().filter(|agent| agent.enabled).collect();
        usual.sort_by_key(|agent| agent.order);
        let sequence = match one("sequence") {
            Some(given) => named(given, tell),
            None => usual.iter().map(|agent| agent.id.clone()).collect(),
        };
        policies.sequence = sequence.iter().map(|agent| policy::call(agent, agent, agents)).collect();
        policies.auto_resolve_needs = match one("auto_resolve_needs") {
            Some(given) => named(given, tell),
            None => agents.contains_key(RULES_AGENT).then(|| RULES_AGENT.to_owned()).into_iter().collect(),
        };
        policies.monotone = one("monotone").map(|(file, node)| {
            let given = |name| MONOTONE.get(node, name).map(texts);
            for field in MONOTONE.get(node, "over").map(Node::items).unwrap_or_default() {
                let name = field.text().unwrap_or_default();
                if !profile.iter().any(|known| known.name == name) {
                    let near = closest(name, profile.iter().map(|field| field.name.as_str())).map(|near| format!("did you mean `{near}`?"));
                    let problem = Diagnostic::error("D008", format!("nobody says what the `{name}` of work is")).at(field.span);
                    tell(file, problem.help(near.unwrap_or_else(|| "find it out under `classify`".to_owned())));
                }
            }
            let actions = given("actions").unwrap_or_else(|| quorate_core::ACTIONS.map(str::to_owned).to_vec());
            Monotone { over: given("over").unwrap_or_default(), actions, file, span: node.span }
        });
        if let Some((file, node)) = one("mode") {
            let mode = Mode::named(node.text().unwrap_or_default());
            match std::mem::take(policies).in_mode(mode) {
                Ok(read) => *policies = read,
                Err((policy, problems)) => {
                    let why = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
                    let message = format!("the agents of {policy} cannot run one after another: {why}");
                    tell(
                        file,
                        Diagnostic::error("D012", message).at(node.span).help("say in which order they can: `sequence: [FIRST, SECOND]`"),
                    );
                }
            }
        }
    }

    fn written<'a>(&self, trees: &[(usize, &'a Node)]) -> Vec<Written<'a>> {
        let mut written = Vec::new();
        for (file, tree) in trees {
            for (key, node) in POLICIES.get(tree, "policies").map(Node::entries).unwrap_or_default() {
                let mut push = |id: String, node, span, keys| {
                    written.push(Written { file: *file, id, node, profile: None, keys: Some(keys), first: key.span, span })
                };
                if POLICY.is_one(node) {
                    push(key.name.to_string(), node, key.span, (key.name.to_string(), None));
                    continue;
                }
                for (second, node) in node.entries() {
                    let name = if second.name.eq_ignore_ascii_case(OTHERS) { OTHERS.to_owned() } else { tier(&second.name) };
                    push(format!("{}/{}", key.name, second.name), node, second.span, (key.name.to_string(), Some(name)));
                }
            }
            if POLICIES.get(tree, "routing").is_some() {
                let path = &self.files[*file].path;
                let stem = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or(&**path, |(stem, _)| stem);
                let id = POLICIES.get(tree, "id").and_then(Node::text).unwrap_or(stem).to_owned();
                let profile = POLICIES.get(tree, "profile");
                // A whole file underlined says less than its first word.
                let span = tree.entries().first().map_or(tree.span, |(key, _)| key.span);
                written.push(Written { file: *file, id, node: tree, profile, keys: None, first: span, span });
            }
        }
        written
    }

    /// The fields by which policies are looked up, and whether they can be what the keys say.
    fn keys(
        &self,
        names: &[String],
        written: &[Written<'_>],
        known: Known<'_>,
        (place, named): (Option<(usize, &Node)>, &BTreeSet<&str>),
        policies: &mut Policies,
        tell: &mut dyn FnMut(usize, Diagnostic),
    ) {
        let keyed = written.iter().filter(|policy| policy.keys.is_some());
        let Some(first) = keyed.clone().next() else { return };
        let (file, span) = place.map_or((first.file, first.span), |(file, node)| (file, node.span));
        let needs_second = keyed.clone().any(|policy| policy.keys.as_ref().is_some_and(|(_, second)| second.is_some()));
        for (position, name) in names.iter().take(if needs_second { 2 } else { 1 }).enumerate() {
            let Some(formula) = Formula::named(name, known) else {
                let near =
                    closest(name, known.profile.iter().map(|field| field.name.as_str())).map(|near| format!("did you mean `{near}`?"));
                let message = format!("policies are looked up by `{name}`, and nobody says what that is");
                let help = near.unwrap_or_else(|| {
                    format!("find it out under `classify`, declare it under `input`, or say `keyed_by: [{}]` otherwise", names.join(", "))
                });
                tell(file, Diagnostic::error("D008", message).at(span).help(help));
                return;
            };
            if let Type::Enum(values) = formula.kind() {
                for policy in keyed.clone() {
                    let Some((first, second)) = &policy.keys else { continue };
                    let Some(value) = (if position == 0 { Some(first) } else { second.as_ref() }) else { continue };
                    // One that a rule picks needs no key.
                    let picked = value == OTHERS || (second.is_none() && named.contains(policy.id.as_str()));
                    if !picked && !values.iter().any(|known| known.eq_ignore_ascii_case(value)) {
                        let near = closest(value, values.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
                        let problem = Diagnostic::error("D009", format!("{name} is never `{value}`, so no work gets this policy"))
                            .at(if position == 0 { policy.first } else { policy.span });
                        tell(policy.file, problem.help(near.unwrap_or_else(|| format!("it is one of {}", values.join(", ")))));
                    }
                }
            }
            policies.keys.push(Key { name: name.clone(), formula });
        }
    }

    fn rules(
        &self,
        file: usize,
        tree: &Node,
        known: Known<'_>,
        written: &[Written<'_>],
        policies: &mut Policies,
        tell: &mut dyn FnMut(usize, Diagnostic),
    ) {
        for (position, rule) in POLICIES.get(tree, "rules").map(Node::items).unwrap_or_default().iter().enumerate() {
            let name = RULE.get(rule, "name").and_then(Node::text).map_or_else(|| (position + 1).to_string(), str::to_owned);
            let when = RULE.get(rule, "when");
            let mut problems = Vec::new();
            let formula = when.and_then(|when| Formula::condition(when, &self.files[file], &known, &mut problems));
            problems.into_iter().for_each(|problem| tell(file, problem));
            let Some(policy) = RULE.get(rule, "policy").and_then(|node| self.named(file, node, written, tell)) else { continue };
            if when.is_none() || formula.is_some() {
                let span = when.map_or(rule.span, |when| when.span);
                policies.rules.push(Rule { name, when: formula, policy, at: Some((file, span)) });
            }
        }
    }

    /// What single policies say about the work that they are for: what is more particular comes first.
    fn profiles(
        &self,
        names: &[String],
        written: &[Written<'_>],
        known: Known<'_>,
        policies: &mut Policies,
        tell: &mut dyn FnMut(usize, Diagnostic),
    ) {
        let mut found: Vec<(usize, Rule)> = Vec::new();
        for Written { file, id, profile, .. } in written.iter().filter(|policy| policy.profile.is_some()) {
            let entries = profile.map(Node::entries).unwrap_or_default();
            let mut parts = Vec::new();
            for (key, node) in entries {
                // A number is an example of such work, and no condition.
                let Some(text) = node.text().filter(|text| text.parse::<f64>().is_err() || node.style() != Some(Style::Plain)) else {
                    continue;
                };
                let field = match (&*key.name, names.first()) {
                    (FIRST_KEY, Some(first)) if !known.profile.iter().any(|field| field.name == FIRST_KEY) => first.as_str(),
                    (name, _) => name,
                };
                let Some(formula) = Formula::named(field, known) else {
                    let message = format!("nobody says what the `{field}` of work is");
                    tell(
                        *file,
                        Diagnostic::error("D008", message).at(key.span).help("find it out under `classify`, or declare it under `input`"),
                    );
                    continue;
                };
                let value = match formula.kind() {
                    Type::Enum(values) => values.iter().find(|known| tier(known) == tier(text)).map_or(text, String::as_str),
                    _ => text,
                };
                if names.first().is_some_and(|first| first == field) {
                    policies.profiled.push((value.to_owned(), *file, node.span));
                }
                parts.push(format!("{field} == '{}'", value.replace('\'', "")));
            }
            let condition = parts.join(" and ");
            let mut problems = Vec::new();
            let when = if parts.is_empty() { None } else { Formula::written(&condition, known, &mut problems) };
            let place = profile.map(|profile| profile.span);
            problems.into_iter().for_each(|problem| tell(*file, Diagnostic { span: place, ..problem }));
            if parts.is_empty() || when.is_some() {
                found.push((parts.len(), Rule { name: id.clone(), when, policy: id.clone(), at: place.map(|span| (*file, span)) }));
            }
        }
        found.sort_by_key(|(parts, _)| std::cmp::Reverse(*parts));
        policies.rules.extend(found.into_iter().map(|(_, rule)| rule));
    }

    /// The policy that is named.
    fn named(&self, file: usize, node: &Node, written: &[Written<'_>], tell: &mut dyn FnMut(usize, Diagnostic)) -> Option<String> {
        let wanted = node.text()?;
        if let Some(policy) = written.iter().find(|policy| policy.id == wanted) {
            return Some(policy.id.clone());
        }
        let names = || written.iter().map(|policy| policy.id.as_str());
        let help = match closest(wanted, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
        };
        tell(file, Diagnostic::error("D010", format!("there is no policy `{wanted}`")).at(node.span).help(help));
        None
    }
}

/// A tier is called LOW, and its policies LOW_RISK.
pub(crate) fn tier(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_suffix("_RISK").map_or_else(|| name.clone(), str::to_owned)
}

/// The lines of an expression: what is unknown says nothing.
fn lines_of(formula: &Formula, facts: Facts<'_>) -> Vec<String> {
    let Ok(value) = formula.value(facts).0 else { return Vec::new() };
    let one = |line: &Json| line.as_str().map_or_else(|| line.to_string(), str::to_owned);
    match value.decode() {
        Ok(Json::Array(all)) => all.iter().map(one).collect(),
        Ok(Json::Null) | Err(_) => Vec::new(),
        Ok(line) => vec![one(&line)],
    }
}

/// What runs for work without a policy: nothing but the question to people.
fn no_policy(classifier: &Classifier) -> Draft {
    // A plan begins with something; this takes no time and nobody.
    let wait = WaitDraft { lasting: Some(Millis(0)), ..WaitDraft::default() };
    let task = TaskDraft { id: NO_POLICY.to_owned(), work: WorkDraft::Wait(wait), ..TaskDraft::default() };
    let decides = CheckpointDraft::new(vec![NO_POLICY.to_owned()], "always", ThenDraft::Decide(HIL_REVIEW.to_owned())).called(NO_POLICY);
    let reason = Some("no_policy: the project has none for this work, or what it is looked up by is unknown".to_owned());
    let checkpoints = vec![CheckpointDraft { reason, ..decides }];
    Draft { checkpoints, input: classifier.input.clone(), profile: classifier.profile(), ..Draft::new(NO_POLICY) }.task(task)
}

impl Formula {
    /// What stands under a name, if anything does.
    fn named(name: &str, known: Known<'_>) -> Option<Formula> {
        Formula::made(parse(name).ok()?.check(&known).ok()?, known)
    }

    /// A condition that stands in no file.
    pub(crate) fn written(text: &str, known: Known<'_>, problems: &mut Vec<Diagnostic>) -> Option<Formula> {
        let checked = parse(text).map_err(|wrong| vec![wrong]).and_then(|ast| ast.check_condition(&known));
        match checked {
            Ok(checked) => Formula::made(checked, known),
            Err(wrong) => {
                problems.extend(wrong.into_iter().map(|wrong| Diagnostic::error(wrong.code, wrong.message).maybe_help(wrong.help)));
                None
            }
        }
    }
}
