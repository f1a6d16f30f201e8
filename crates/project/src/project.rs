//! A project: its files, read and checked together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use quorate_core::{Digest, Millis, Plan, Problem};
use quorate_expr::{Severity, Span, Type, closest};

use crate::agents::{self, AgentSpec, Does};
use crate::classify::Classifier;
use crate::files::{CHECKPOINT, POLICIES, PROJECT, PROJECT_FILE, SCORE_ROW, TASK, TELEMETRY, VOICE, VOICES, WORKFLOW, top_of};
use crate::lower::{self, Around, Lowered, Strategy, Usual, texts};
use crate::models::{Later, PROMPTS_FOLDER, PricesSpec, Reader, pairs};
use crate::pick::{self, Policies};
use crate::policy;
use crate::report::{Diagnostic, Source};
use crate::routes::{Known, Routes};
use crate::shape::{duration, number, truth};
use crate::skills::{SKILL_FILE, SkillDirectory, Skills};
use crate::types;
use crate::yaml::{self, Node};

/// Most workflows that may call each other in a row.
pub const MAX_WORKFLOW_DEPTH: usize = 32;

/// What is said once for all policies of a project.
const ONCE: [&str; 11] = [
    "input",
    "about",
    "classify",
    "keyed_by",
    "deciding_agent",
    "mode",
    "sequence",
    "auto_resolve_needs",
    "monotone",
    "reviews",
    "default",
];

/// A checked project.
#[derive(Debug, Default)]
pub struct Project {
    /// What it is called.
    pub name: Option<String>,
    /// The workflow that is started when none is named.
    pub default: Option<String>,
    /// How many agents are called at once.
    pub max_concurrent_agents: Option<usize>,
    /// How long a call that is told to stop has for it.
    pub grace: Option<Millis>,
    /// Groups of people.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The agents, by id.
    pub agents: BTreeMap<String, AgentSpec>,
    /// The workflows, by id.
    pub workflows: BTreeMap<String, Workflow>,
    /// Where requests go.
    pub routes: Routes,
    /// The skills that its tasks may require.
    pub skills: Skills,
    /// What is found out about work that comes in.
    pub classifier: Classifier,
    /// The policies, and which work gets which.
    pub policies: Policies,
    /// Where the spans of its runs are sent.
    pub telemetry: Option<TelemetrySpec>,
    /// What capabilities mean, as far as the project says.
    pub capabilities: BTreeMap<String, String>,
}

/// Where spans are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetrySpec {
    /// The collector: an address, or a reference such as `env:NAME`.
    pub endpoint: String,
    /// What is sent along.
    pub headers: Vec<(String, String)>,
    /// Where it is said.
    pub span: Span,
}

/// A workflow that can run.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// What people call it.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What runs.
    pub plan: Arc<Plan>,
    /// The constraint that its tasks are under.
    pub strategy: Strategy,
}

/// What came of reading a project.
#[derive(Debug)]
pub struct Checked {
    /// The project; only what is sound is in it.
    pub project: Project,
    /// Its files.
    pub files: Vec<Source>,
    /// Every mistake, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Takes note that a directory of skills that the project names is not there. Elsewhere it may be.
    pub fn lacks(&mut self, directory: &SkillDirectory) {
        let Some(file) = self.files.iter().position(|file| &*file.path == PROJECT_FILE) else { return };
        let problem = Diagnostic::warning("S008", format!("there is no folder `{}`, so no skills come from it", directory.path));
        let problem = match directory.span {
            Some(span) => problem.at(span),
            None => problem,
        };
        self.find(problem.in_file(file));
    }

    /// Takes note that whoever runs the project sends no spans anywhere.
    pub fn sends_no_spans(&mut self) {
        let Some(file) = self.files.iter().position(|file| &*file.path == PROJECT_FILE) else { return };
        let Some(telemetry) = &self.project.telemetry else { return };
        let problem = Diagnostic::error("F013", "this program was built without the feature `otel`, and sends no spans");
        self.find(problem.at(telemetry.span).help("build it with `--features otel`, or leave `telemetry` out").in_file(file));
    }

    fn find(&mut self, problem: Diagnostic) {
        self.diagnostics.push(problem);
        self.diagnostics.sort_by_key(|problem| (problem.file, problem.span.map_or(0, |span| span.start)));
    }

    /// Whether the project can run.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// A workflow as it stands in a file.
struct Written<'a> {
    file: usize,
    node: &'a Node,
}

impl Project {
    /// Reads the files of a project. `functions` are the names that an agent may `use`.
    #[must_use]
    pub fn read(files: Vec<Source>, functions: &[&str]) -> Checked {
        let mut reading = Reading { functions, problems: Vec::new(), project: Project::default(), later: Later::default() };
        let trees = files.iter().enumerate().map(|(file, source)| match Kind::of(source) {
            Kind::Skill => {
                reading.skill(file, source);
                None
            }
            Kind::Prompt => None,
            Kind::Yaml => reading.tree(file, source),
        });
        let trees: Vec<Option<Node>> = trees.collect();
        let mut usual = Usual::default();
        let mut written = BTreeMap::new();
        for (file, (source, tree)) in files.iter().zip(&trees).enumerate() {
            let Some(tree) = tree else { continue };
            match &*source.path {
                PROJECT_FILE => {
                    usual = Usual::of(tree);
                    reading.settings(tree);
                }
                path if path.starts_with("agents/") => reading.agents(file, &files, tree),
                path if path.starts_with("workflows/") => reading.find_workflows(file, path, tree, &mut written),
                _ => {}
            }
        }
        reading.classify(&files, &trees);
        reading.check_models(&files);
        reading.policies(&files, &trees, &usual);
        let mut compiling =
            Compiling { files: &files, written: &written, usual, groups: reading.project.groups.clone(), plans: BTreeMap::new() };
        for id in written.keys() {
            compiling.compile(id, &mut Vec::new(), &mut reading);
        }
        let top = files.iter().position(|file| &*file.path == PROJECT_FILE);
        if let Some((file, node)) = top.and_then(|file| Some((file, PROJECT.get(trees[file].as_ref()?, "default_agent")?))) {
            let missing = agents::missing(node, &reading.project.agents, reading.functions);
            reading.report(file, missing.into_iter().collect());
        }
        reading.check_default(&files, &trees, &written);
        if let Some((file, tree)) = top.and_then(|file| Some((file, trees[file].as_ref()?))) {
            reading.routes(file, &files[file], tree, written.keys().map(String::as_str).collect());
        }
        let Reading { project, mut problems, .. } = reading;
        let place = |problem: &Diagnostic| (problem.file, problem.span.map_or(0, |span| span.start));
        problems.sort_by(|left, right| (place(left), left.code, &left.message).cmp(&(place(right), right.code, &right.message)));
        // What several versions of an agent share is read for each of them.
        problems.dedup();
        Checked { project, files, diagnostics: problems }
    }
}

/// Names are typed at command lines, stand in paths, and are shown at terminals.
fn unfit(code: &'static str, what: &str, name: &str) -> Option<Diagnostic> {
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | ' ' | '+' | ':');
    let edges = name.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_') && !name.ends_with(' ');
    let problem = || Diagnostic::error(code, format!("`{}` cannot be the name of {what}", name.escape_debug()));
    let help = "a name begins with a letter or a digit, and goes on with letters, digits, `_`, `-`, `.`, `:`, `+` and spaces";
    (!edges || !name.chars().all(fits) || name.len() > quorate_core::MAX_ID_BYTES).then(|| problem().help(help))
}

struct Reading<'a> {
    functions: &'a [&'a str],
    problems: Vec<Diagnostic>,
    project: Project,
    later: Later,
}

impl Reading<'_> {
    fn report(&mut self, file: usize, problems: Vec<Diagnostic>) {
        self.problems.extend(problems.into_iter().map(|problem| problem.in_file(file)));
    }

    /// The tree of a file whose shape is as it should be; of one that is not, what can be read.
    fn tree(&mut self, file: usize, source: &Source) -> Option<Node> {
        if let Some(why) = &source.unreadable {
            self.report(file, vec![Diagnostic::error("Y000", format!("this file cannot be read: {why}"))]);
            return None;
        }
        let (tree, mut problems) = yaml::parse(&source.text);
        if let Some(tree) = tree.as_ref().filter(|tree| !tree.is_null()) {
            yaml::check_keys(tree, &mut problems);
            let top = match top_of(&source.path) {
                Some(top) if top.title == "workflows" && is_one_workflow(tree) => Some(&WORKFLOW),
                top => top,
            };
            if let Some(top) = top {
                if tree.entries().is_empty() {
                    problems.push(Diagnostic::error("F003", format!("{} is a mapping, not {}", top.what, tree.describe())).at(tree.span));
                } else {
                    top.check(tree, &mut problems);
                }
            }
        }
        self.report(file, problems);
        tree.filter(|tree| !tree.is_null())
    }

    fn skill(&mut self, file: usize, source: &Source) {
        let mut problems = Vec::new();
        self.project.skills.read(source, &mut problems);
        self.report(file, problems);
    }

    /// What is found out about work, by the one file that says so.
    fn classify(&mut self, files: &[Source], trees: &[Option<Node>]) {
        let mut met: BTreeMap<&str, usize> = BTreeMap::new();
        let policies = files.iter().zip(trees).enumerate().filter(|(_, (source, _))| source.path.starts_with("policies/"));
        for (file, tree) in policies.filter_map(|(file, (_, tree))| Some((file, tree.as_ref()?))) {
            for name in ONCE {
                let Some(node) = pick::of_all(tree, name) else { continue };
                if let Some(first) = met.get(name) {
                    let problem = Diagnostic::error("C006", format!("`{name}` stands in two files")).at(node.span);
                    self.report(file, vec![problem.help(format!("the other one is {}; write all of it there", files[*first].path))]);
                    continue;
                }
                met.insert(name, file);
            }
        }
        let (input, classify) = (met.get("input").copied(), met.get("classify").copied());
        let node = |file: Option<usize>, name| file.and_then(|file| POLICIES.get(trees[file].as_ref()?, name));
        let mut problems = Vec::new();
        let kind = node(input, "input").map_or(Type::Any, |node| types::read(node, &mut problems));
        self.report(input.unwrap_or_default(), std::mem::take(&mut problems));
        let file = classify.unwrap_or_default();
        self.project.classifier = Classifier::read(node(classify, "classify"), kind, &files[file], &mut problems);
        self.report(file, problems);
    }

    fn policies(&mut self, files: &[Source], trees: &[Option<Node>], usual: &Usual<'_>) {
        let mut found = Vec::new();
        let Project { agents, classifier, groups, .. } = &self.project;
        let around = policy::Around {
            agents,
            functions: self.functions,
            classifier,
            groups,
            deciding: None,
            needed: Vec::new(),
            reviews: BTreeMap::new(),
            timeout: usual.timeout,
        };
        let policies = pick::Reading { files, trees, around }.policies(&mut |file, problem| found.push((file, problem)));
        self.project.policies = policies;
        found.into_iter().for_each(|(file, problem)| self.report(file, vec![problem]));
    }

    fn check_models(&mut self, files: &[Source]) {
        let (later, mut found) = (std::mem::take(&mut self.later), Vec::new());
        later.check(&self.project.agents, self.functions, files, &mut |file, problem| found.push((file, problem)));
        found.into_iter().for_each(|(file, problem)| self.report(file, vec![problem]));
    }

    fn settings(&mut self, tree: &Node) {
        let text = |name| PROJECT.get(tree, name).and_then(Node::text).map(str::to_owned);
        self.project.name = text("name");
        self.project.default = text("default");
        if let Some(limits) = PROJECT.get(tree, "limits") {
            self.project.max_concurrent_agents = limits.get("max_concurrent_agents").and_then(number).and_then(|text| text.parse().ok());
            self.project.grace = limits.get("grace").and_then(duration);
        }
        self.project.telemetry = PROJECT.get(tree, "telemetry").and_then(|node| {
            let endpoint = TELEMETRY.get(node, "endpoint")?.text()?.to_owned();
            Some(TelemetrySpec { endpoint, headers: pairs(TELEMETRY.get(node, "headers")), span: node.span })
        });
        let groups = PROJECT.get(tree, "groups").map(Node::entries).unwrap_or_default();
        self.project.groups = groups.iter().map(|(key, people)| (key.name.to_string(), texts(people))).collect();
    }

    fn agents(&mut self, file: usize, files: &[Source], tree: &Node) {
        let (mut problems, mut here) = (Vec::new(), BTreeSet::new());
        for (key, node) in tree.get("agents").map(Node::entries).unwrap_or_default() {
            // A name that is given twice in one file is told of as that.
            if !here.insert(&*key.name) {
                continue;
            }
            problems.extend(unfit("A031", "an agent", &key.name).map(|problem| problem.at(key.span)));
            let reader = Reader { file, id: &key.name, files };
            let Some(agent) = agents::read(reader, node, self.functions, &mut self.later, &mut problems) else { continue };
            if self.project.agents.contains_key(&agent.id) {
                let problem = Diagnostic::error("A006", format!("there are two agents called `{}`", agent.id)).at(key.span);
                problems.push(problem.help("the other one stands in another file"));
                continue;
            }
            let order = self.project.agents.len();
            self.project.agents.insert(agent.id.clone(), AgentSpec { order, ..agent });
        }
        self.report(file, problems);
    }

    fn find_workflows<'a>(&mut self, file: usize, path: &str, tree: &'a Node, written: &mut BTreeMap<String, Written<'a>>) {
        let mut found = Vec::new();
        if is_one_workflow(tree) {
            let stem = path.rsplit('/').next().unwrap_or(path);
            let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
            let id = WORKFLOW.get(tree, "id").and_then(Node::text).unwrap_or(stem);
            found.push((id.to_owned(), tree.span, tree));
        }
        for (key, node) in tree.get("workflows").map(Node::entries).unwrap_or_default() {
            let id = WORKFLOW.get(node, "id").and_then(Node::text).unwrap_or(&key.name);
            found.push((id.to_owned(), key.span, node));
        }
        for (id, span, node) in found {
            if let Some(first) = written.get(&id) {
                let problem = Diagnostic::error("W010", format!("there are two workflows called `{id}`")).at(span);
                let problem = if first.file == file {
                    problem.note(first.node.span, "the other one")
                } else {
                    problem.help("the other one stands in another file")
                };
                self.report(file, vec![problem]);
                continue;
            }
            self.report(file, unfit("W020", "a workflow", &id).map(|problem| problem.at(span)).into_iter().collect());
            written.insert(id, Written { file, node });
        }
    }

    fn routes(&mut self, file: usize, source: &Source, tree: &Node, workflows: Vec<&str>) {
        let mut problems = Vec::new();
        let known = Known { agents: &self.project.agents, functions: self.functions, workflows };
        let mut routes = PROJECT.get(tree, "routes").map(|node| Routes::read(node, source, &known, &mut problems)).unwrap_or_default();
        if let Some(node) = PROJECT.get(tree, "classifier") {
            let name = node.text().unwrap_or_default();
            if !self.project.agents.contains_key(name) && !self.functions.contains(&name) {
                let near = closest(name, self.project.agents.keys().map(String::as_str));
                let problem = Diagnostic::error("A010", format!("there is no agent `{name}`")).at(node.span);
                problems.push(
                    problem
                        .help(near.map_or_else(|| agents::names_of(self.project.agents.keys()), |near| format!("did you mean `{near}`?"))),
                );
            }
            routes.classifier = Some(name.to_owned());
        }
        self.project.routes = routes;
        let words = PROJECT.get(tree, "capabilities").map(Node::entries).unwrap_or_default();
        self.project.capabilities =
            words.iter().filter_map(|(name, text)| Some((name.name.to_string(), text.text()?.to_owned()))).collect();
        self.report(file, problems);
    }

    fn check_default(&mut self, files: &[Source], trees: &[Option<Node>], written: &BTreeMap<String, Written<'_>>) {
        // Policies are started by that word.
        let policies = !self.project.policies.is_empty();
        if policies && self.project.default.as_deref() == Some("policies") {
            return;
        }
        if written.is_empty() && !policies && self.problems.is_empty() && self.project.default.is_none() {
            let file = files.iter().position(|file| &*file.path == PROJECT_FILE).unwrap_or_default();
            let problem = Diagnostic::warning("W018", "the project has no workflow, and nothing that can run");
            self.report(file, vec![problem.help("write one in the folder `workflows`; `quorate init --template list` shows some")]);
        }
        let Some(default) = &self.project.default else { return };
        // It may be the one that could not be read.
        let policies = default == "policies";
        let folder = if policies { "policies/" } else { "workflows/" };
        let unread = |(file, tree): (&Source, &Option<Node>)| (tree.is_none() || policies) && file.path.starts_with(folder);
        if written.contains_key(default) || files.iter().zip(trees).any(unread) && self.problems.iter().any(Diagnostic::is_error) {
            return;
        }
        let help = match closest(default, written.keys().map(String::as_str)) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if written.is_empty() => Some("write one in the folder `workflows`".to_owned()),
            None => Some(format!("there are: {}", written.keys().cloned().collect::<Vec<_>>().join(", "))),
        };
        let problem = Diagnostic::error("W011", format!("there is no workflow `{default}`")).maybe_help(help);
        let Some(file) = files.iter().position(|file| &*file.path == PROJECT_FILE) else { return };
        let place = trees[file].as_ref().and_then(|tree| PROJECT.get(tree, "default"));
        let problem = match place {
            Some(node) => problem.at(node.span),
            None => problem,
        };
        self.report(file, vec![problem]);
    }
}

/// What a file of a project is.
enum Kind {
    Yaml,
    Skill,
    Prompt,
}

impl Kind {
    fn of(source: &Source) -> Kind {
        match source.path.split('/').next() {
            _ if source.path.rsplit('/').next() == Some(SKILL_FILE) => Kind::Skill,
            Some(PROMPTS_FOLDER) => Kind::Prompt,
            _ => Kind::Yaml,
        }
    }
}

/// Whether a file of `workflows/` holds one workflow rather than several.
fn is_one_workflow(tree: &Node) -> bool {
    let likely = |name: &str| WORKFLOW.field(name).is_some() || closest(name, ["tasks", "steps"]).is_some();
    tree.get("workflows").is_none() && tree.entries().iter().any(|(key, _)| likely(&key.name))
}

struct Compiling<'a> {
    files: &'a [Source],
    written: &'a BTreeMap<String, Written<'a>>,
    usual: Usual<'a>,
    groups: BTreeMap<String, Vec<String>>,
    plans: BTreeMap<String, Option<Digest>>,
}

impl Compiling<'_> {
    /// Compiles a workflow and those that it calls, once each. `above` are those that are being compiled.
    fn compile(&mut self, id: &str, above: &mut Vec<String>, reading: &mut Reading<'_>) -> Option<Digest> {
        if let Some(known) = self.plans.get(id) {
            return *known;
        }
        let written = self.written;
        let Written { file, node } = &written[id];
        above.push(id.to_owned());
        let mut problems = Vec::new();
        let called = self.called(node, above, &mut problems, reading);
        let around = Around { agents: &reading.project.agents, plans: &called.plans, usual: &self.usual, groups: &self.groups };
        let Lowered { draft, strategy, origins } = lower::workflow(id, node, &around, &mut problems);
        self.check_agents(&origins, &mut problems, reading);
        if draft.budget.as_ref().is_some_and(|budget| budget.cost.is_some()) {
            problems.extend(unpriced(&origins, reading));
        }
        if let Some(node) = WORKFLOW.get(node, "default_agent") {
            problems.extend(agents::missing(node, &reading.project.agents, reading.functions));
        }
        let compiled = Plan::compile(&draft);
        let found = match &compiled {
            Ok(plan) => plan.warnings(),
            Err(found) => found.as_slice(),
        };
        let places = Places::of(&self.files[*file], node, &origins, &draft);
        let earlier = reading.problems.iter().filter(|known| known.file == *file);
        let known = earlier.chain(&problems).filter(|known| known.is_error()).filter_map(|known| known.span);
        let mut known: Vec<(u32, u32)> = known.map(|span| (span.start, span.end)).collect();
        known.sort_unstable();
        problems.extend(found.iter().filter(|problem| !places.follows(problem, &known)).map(|problem| places.place(problem)));
        above.pop();
        let sound = called.all && !problems.iter().any(Diagnostic::is_error);
        reading.report(*file, problems);
        let digest = compiled.ok().filter(|_| sound).map(|plan| {
            let digest = plan.digest();
            let text = |name| WORKFLOW.get(node, name).and_then(Node::text).map(str::to_owned);
            let workflow = Workflow { title: text("name"), description: text("description"), plan: Arc::new(plan), strategy };
            reading.project.workflows.insert(id.to_owned(), workflow);
            digest
        });
        self.plans.insert(id.to_owned(), digest);
        digest
    }

    /// The plans of the workflows that this one calls.
    fn called(&mut self, node: &Node, above: &mut Vec<String>, problems: &mut Vec<Diagnostic>, reading: &mut Reading<'_>) -> Called {
        let mut called = Called { plans: BTreeMap::new(), all: true };
        for task in tasks_of(node) {
            let Some(name) = TASK.get(task, "workflow") else { continue };
            let wanted = name.text().unwrap_or_default();
            let wrong = if !self.written.contains_key(wanted) {
                let near = closest(wanted, self.written.keys().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
                Some(Diagnostic::error("W011", format!("there is no workflow `{wanted}`")).maybe_help(near))
            } else if let Some(round) = above.iter().position(|id| id == wanted) {
                let names = above[round..].join(" → ");
                let problem = Diagnostic::error("W012", format!("these workflows call each other: {names} → {wanted}"));
                Some(problem.help("a loop is written as `repeat`"))
            } else if above.len() >= MAX_WORKFLOW_DEPTH {
                Some(Diagnostic::error("W013", format!("workflows call each other deeper than the {MAX_WORKFLOW_DEPTH} levels allowed")))
            } else {
                None
            };
            match wrong {
                Some(wrong) => problems.push(wrong.at(name.span)),
                None => match self.compile(wanted, above, reading) {
                    Some(plan) => drop(called.plans.insert(wanted.to_owned(), plan)),
                    None => called.all = false,
                },
            }
        }
        called
    }

    /// What is wrong with the capabilities that a task asks for: nobody has them all.
    fn missing_capability(node: &Node, reading: &Reading<'_>) -> Option<Diagnostic> {
        let agents = &reading.project.agents;
        let wanted = texts(node);
        if agents.values().any(|agent| agent.can(&wanted)) {
            return None;
        }
        let known: BTreeSet<&str> = agents.values().flat_map(|agent| agent.capabilities.iter().map(String::as_str)).collect();
        let missing = wanted.iter().find(|name| !known.contains(name.as_str()));
        let near = missing.and_then(|name| closest(name, known.iter().copied()));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "no agent of this project has capabilities".to_owned(),
            None => format!("there are: {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
        };
        let problem = Diagnostic::error("A012", format!("no agent can do {}", wanted.join(" and ")));
        Some(problem.at(node.span).help(help))
    }

    /// Every agent that is named must be there, and somebody must be able to do what is asked for. A task that the run can do
    /// without is skipped where that is not so.
    fn check_agents(&self, origins: &[&Node], problems: &mut Vec<Diagnostic>, reading: &Reading<'_>) {
        let agents = &reading.project.agents;
        for origin in origins {
            problems.extend(reading.project.skills.missing(origin));
            let asks = |kind| TASK.get(origin, kind).is_some();
            let capabilities = TASK.get(origin, "capabilities");
            let missing = match (TASK.get(origin, "agent"), capabilities) {
                (Some(agent), _) => agents::missing(agent, agents, reading.functions),
                (None, Some(wanted)) if !["approval", "wait", "workflow"].into_iter().any(asks) => {
                    Self::missing_capability(wanted, reading)
                }
                (None, _) => None,
            };
            problems.extend(missing.map(|missing| {
                if TASK.get(origin, "optional").and_then(truth) != Some(true) {
                    return missing;
                }
                let message = format!("{}, and the task will be skipped: it is optional", missing.message);
                Diagnostic { severity: Severity::Warning, message, ..missing }
            }));
            let agent = TASK.get(origin, "agent").and_then(Node::text).and_then(|name| agents.get(name));
            if let (Some(agent), Some(node)) = (agent, capabilities) {
                let missing = texts(node).into_iter().find(|name| !agent.capabilities.contains(name));
                problems.extend(missing.map(|name| Diagnostic::error("A013", format!("`{}` cannot do {name}", agent.id)).at(node.span)));
            }
        }
    }
}

/// Models that cost nothing by their declaration, where money is counted.
fn unpriced(origins: &[&Node], reading: &Reading<'_>) -> Vec<Diagnostic> {
    let agents = &reading.project.agents;
    let unpriced = |origin: &&Node| {
        let node = TASK.get(origin, "agent")?;
        let agent = agents.get(node.text()?)?;
        let free = agent.all().any(|version| matches!(&version.does, Does::Llm(llm) if llm.prices == PricesSpec::default()));
        let problem = || Diagnostic::warning("A029", format!("nothing says what `{}` costs, so the budget does not count it", agent.id));
        free.then(|| problem().at(node.span).help("give the model its `prices`"))
    };
    origins.iter().filter_map(unpriced).collect()
}

struct Called {
    plans: BTreeMap<String, Digest>,
    /// Whether all of them are sound.
    all: bool,
}

/// The tasks of a workflow, also those that undo others.
fn tasks_of(node: &Node) -> Vec<&Node> {
    let mut found: Vec<&Node> = WORKFLOW.get(node, "tasks").map(|tasks| tasks.items().iter().collect()).unwrap_or_default();
    let mut next = 0;
    while let Some(task) = found.get(next).copied() {
        found.extend(TASK.get(task, "compensate").filter(|undo| !undo.entries().is_empty()));
        next += 1;
    }
    found
}

/// Finds where the parts of a draft were written.
struct Places<'a> {
    file: &'a Source,
    node: &'a Node,
    origins: &'a [&'a Node],
    tasks: HashMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    fn of(file: &'a Source, node: &'a Node, origins: &'a [&'a Node], draft: &'a quorate_core::Draft) -> Places<'a> {
        // Of two tasks of one name, the first is meant.
        let tasks = draft.tasks.iter().enumerate().rev().map(|(position, task)| (task.id.as_str(), position)).collect();
        Places { file, node, origins, tasks }
    }

    /// What a problem is about: a task, or the workflow as a whole.
    fn unit(&self, problem: &Problem) -> &Node {
        let mut steps = problem.at.split(['.', '[', ']']).filter(|step| !step.is_empty());
        let task = if steps.next() == Some("tasks") { steps.next() } else { None };
        task.and_then(|task| self.origin(task)).unwrap_or(self.node)
    }

    fn origin(&self, task: &str) -> Option<&Node> {
        let position = task.parse().ok().or_else(|| self.tasks.get(task).copied())?;
        self.origins.get(position).copied()
    }

    /// Whether the problem is hardly more than what follows from a mistake that was found in the same task before. The
    /// places of those are known, in order.
    fn follows(&self, problem: &Problem, known: &[(u32, u32)]) -> bool {
        let written = self.find(problem).is_some_and(|(_, exactly)| exactly);
        if problem.span.is_some() && written {
            return false;
        }
        let unit = self.unit(problem).span;
        let first = known.partition_point(|(start, _)| *start < unit.start);
        known[first..].iter().take_while(|(start, _)| *start <= unit.end).any(|(_, end)| *end <= unit.end)
    }

    /// Where what a problem is about was written, and whether it is that exactly, or what it belongs to.
    fn find(&self, problem: &Problem) -> Option<(&Node, bool)> {
        let mut steps = problem.at.split(['.', '[', ']']).filter(|step| !step.is_empty());
        let mut here = self.node;
        let first = steps.next().unwrap_or_default();
        if first == "tasks" {
            here = self.origin(steps.next().unwrap_or_default())?;
        } else {
            match step(here, first) {
                Some(next) => here = next,
                None => return Some((here, false)),
            }
        }
        for name in steps {
            match step(here, name) {
                Some(next) => here = next,
                // What was not written has no place of its own; what it belongs to has.
                None => return Some((here, false)),
            }
        }
        Some((here, true))
    }

    fn place(&self, problem: &Problem) -> Diagnostic {
        let found = Diagnostic::of(problem);
        let Some((here, _)) = self.find(problem) else { return found.at(self.node.span) };
        match problem.span {
            Some(inside) => found.at(here.locate(&self.file.text, inside)),
            None if here.entries().is_empty() => found.at(here.span),
            // A whole task underlined says less than its name.
            None => found.at(TASK.get(here, "id").map_or(here.span, |id| id.span)),
        }
    }
}

/// One step down, by the name that the compiler of plans uses.
pub(crate) fn step<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    if let Ok(position) = name.parse::<usize>() {
        return node.items().get(position);
    }
    let other = match name {
        "work" => return ["approval", "wait", "workflow", "agent", "agent_type", "agent_id"].iter().find_map(|name| node.get(name)),
        "levels" => "by",
        "max_parallel" => "max_parallel_tasks",
        "then" => "action",
        "grow" => "add",
        "role" => "on_demand",
        "may_grow" => "may_add",
        "skills" => "required_skills",
        same => same,
    };
    let by_alias = |object: &'static crate::shape::Object| object.get(node, other);
    let objects = [&TASK, &WORKFLOW, &CHECKPOINT, &VOICES, &VOICE, &SCORE_ROW];
    node.get(name).or_else(|| node.get(other)).or_else(|| objects.into_iter().find_map(by_alias))
}
