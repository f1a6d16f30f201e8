//! Policies: which agents look at a piece of work, in which order, and what decides. Each is made into a plan, and the profile
//! of the work says which one it gets. Three shapes are read as they are written, of which the plan is always the same kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_core::draft::{ApprovalDraft, CheckpointDraft, JoinDraft, Needs, ResolveNeed, TaskDraft, ThenDraft, WorkDraft};
use quorate_core::{Draft, Millis, Plan, Problem, Role};
use quorate_expr::{Span, closest};

use crate::agents::{self, AgentSpec};
use crate::classify::Classifier;
use crate::files::{CHECKPOINT, MEMBER, PHASE, POLICY, ROUTING, STAGE};
use crate::lower::{self, Questions, retry, texts};
use crate::project::step;
use crate::report::{Diagnostic, Source};
use crate::shape::{Object, duration, json, number, truth};
use crate::yaml::{Kind, Node};

/// The agent that decides, where a policy does not name another.
pub(crate) const DECIDING_AGENT: &str = "DECISIONING";
/// The decision to take what an agent that decides says.
const FOLLOW_DECISION: &str = "FOLLOW_DECISION";
/// The decision to ask that agent first.
const ASK_DECIDING_AGENT: &str = "DECISIONING_AGENT";
/// What the originals write where nothing follows.
const CONTINUE: &str = "CONTINUE";

/// A policy, as it runs.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What it is for.
    pub description: Option<String>,
    /// What runs.
    pub plan: Arc<Plan>,
    /// Agents that run only where nothing decided before.
    pub on_demand: Vec<String>,
    pub(crate) at: At,
}

/// Where a policy and its parts stand.
#[derive(Clone, Debug)]
pub(crate) struct At {
    pub(crate) file: usize,
    pub(crate) span: Span,
    /// By checkpoint of the plan; nothing where nobody wrote it.
    pub(crate) checkpoints: Vec<Option<Span>>,
    /// Agents that may run and stand in a group as if they did.
    pub(crate) grouped: Vec<(String, Span)>,
    /// By task.
    pub(crate) members: BTreeMap<String, Span>,
    /// Whether it says what happens where nothing decides.
    pub(crate) otherwise: bool,
    /// Whether each of its agents may end it.
    pub(crate) staged: bool,
}

/// What lies around a policy.
pub(crate) struct Around<'a> {
    pub(crate) agents: &'a BTreeMap<String, AgentSpec>,
    pub(crate) functions: &'a [&'a str],
    pub(crate) classifier: &'a Classifier,
    /// The agent that decides, where the file says so.
    pub(crate) deciding: Option<&'a str>,
    /// The agents without which nothing is resolved by itself, where the file says so.
    pub(crate) needed: Vec<String>,
    pub(crate) groups: &'a BTreeMap<String, Vec<String>>,
    /// How people are asked where a policy does not say, by decision.
    pub(crate) reviews: BTreeMap<String, ApprovalDraft>,
    pub(crate) timeout: Option<Millis>,
}

/// An agent of a policy.
struct Member<'a> {
    id: String,
    node: &'a Node,
    agent: String,
    when: Option<String>,
    skip_when: Option<String>,
    depends_on: Vec<String>,
    role: Role,
    optional: bool,
    /// Whether it waits for people to answer.
    after_review: bool,
}

/// A policy on its way to a draft.
struct Lowering<'a, 'b> {
    around: &'b Around<'b>,
    node: &'a Node,
    members: Vec<Member<'a>>,
    checkpoints: Vec<(CheckpointDraft, Option<&'a Node>)>,
    /// How many of these somebody wrote.
    written: usize,
    /// Agents that may run and stand in a group.
    grouped: Vec<(String, Span)>,
    /// Which task an agent has.
    ids: BTreeMap<String, String>,
    deciding: String,
    /// How people are asked, by decision.
    reviews: BTreeMap<String, ApprovalDraft>,
    problems: Vec<Diagnostic>,
}

/// How people are asked, by decision.
pub(crate) fn reviews(
    node: &Node,
    groups: &BTreeMap<String, Vec<String>>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<String, ApprovalDraft> {
    let mut questions = Questions { groups, problems };
    node.entries().iter().map(|(action, asks)| (action.name.to_string(), questions.read(Some(asks)))).collect()
}

/// Makes a plan of a policy whose shape was checked.
pub(crate) fn policy(
    id: &str,
    node: &Node,
    (number, file, span): (usize, &Source, Span),
    around: &Around<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Policy> {
    let deciding = POLICY.get(node, "deciding_agent").and_then(Node::text).or(around.deciding).unwrap_or(DECIDING_AGENT).to_owned();
    let (members, checkpoints, ids) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut lowering = Lowering {
        around,
        node,
        members,
        checkpoints,
        written: 0,
        grouped: Vec::new(),
        ids,
        deciding,
        reviews: around.reviews.clone(),
        problems: Vec::new(),
    };
    if let Some(own) = POLICY.get(node, "reviews") {
        lowering.reviews.extend(reviews(own, around.groups, &mut lowering.problems));
    }
    match POLICY.get(node, "routing") {
        Some(routing) if ROUTING.get(routing, "phase_1").is_some() => lowering.phases(routing),
        Some(routing) => lowering.routed(routing),
        None if lowering.get("stages").is_some() => lowering.staged(),
        None => lowering.grouped(),
    }
    lowering.follow_at_last();
    lowering.ask_others();
    lowering.finally();
    lowering.after_review();
    let draft = lowering.draft(id);
    let compiled = Plan::compile(&draft);
    let found: Vec<Diagnostic> = match &compiled {
        Ok(plan) => plan.warnings().iter().map(|problem| lowering.place(problem, file)).collect(),
        Err(found) => found.iter().map(|problem| lowering.place(problem, file)).collect(),
    };
    // That nobody must run has been said in better words.
    let said = lowering.problems.iter().any(|problem| problem.code == "D001");
    lowering.problems.extend(found.into_iter().filter(|problem| !said || problem.code != "P002"));
    let sound = !lowering.problems.iter().any(Diagnostic::is_error);
    let at = At {
        file: number,
        span,
        checkpoints: lowering.checkpoints.iter().map(|(_, node)| node.map(|node| node.span)).collect(),
        grouped: std::mem::take(&mut lowering.grouped),
        members: lowering.members.iter().map(|member| (member.id.clone(), member.node.span)).collect(),
        otherwise: lowering.get("otherwise").is_some(),
        staged: lowering.get("stages").is_some(),
    };
    let on_demand = lowering.members.iter().filter(|member| member.role == Role::Catalogue).map(|member| member.agent.clone());
    let policy = compiled.ok().filter(|_| sound).map(|plan| Policy {
        description: POLICY.get(node, "description").and_then(Node::text).map(str::to_owned),
        plan: Arc::new(plan),
        on_demand: on_demand.collect(),
        at,
    });
    problems.append(&mut lowering.problems);
    policy
}

impl<'a> Lowering<'a, '_> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        POLICY.get(self.node, name)
    }

    // -- its agents

    /// An agent that is named, or described.
    fn member(&mut self, node: &'a Node, object: &'static Object) -> Option<&mut Member<'a>> {
        let field = |name| object.field(name).and_then(|_| object.get(node, name));
        let named = if node.text().is_some() { Some(node) } else { field("agent") };
        let agent = named?.text()?.to_owned();
        self.problems.extend(agents::missing(named.unwrap_or(node), self.around.agents, self.around.functions));
        let id = field("id").and_then(Node::text).map_or_else(|| plain(&agent), str::to_owned);
        let conditions: Vec<String> = field("skip_when").map(texts).unwrap_or_default();
        let skip_when = match &conditions[..] {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(several.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" or ")),
        };
        // By its agent, unless that does several things; and by its own name in any case.
        self.ids.entry(agent.clone()).or_insert_with(|| id.clone());
        self.ids.insert(id.clone(), id.clone());
        self.members.push(Member {
            id,
            node,
            agent,
            when: field("when").and_then(Node::text).map(str::to_owned),
            skip_when,
            depends_on: field("depends_on").map(texts).unwrap_or_default(),
            role: Role::Main,
            optional: field("optional").and_then(truth).unwrap_or(false),
            after_review: false,
        });
        self.members.last_mut()
    }

    fn position(&self, agent: &str) -> Option<usize> {
        self.members.iter().position(|member| member.agent == agent)
    }

    /// Agents that must, agents that may, and groups of them that run side by side.
    fn grouped(&mut self) {
        let mandatory = self.get("mandatory_agents").map(Node::items).unwrap_or_default();
        let optional = self.get("optional_agents").map(Node::items).unwrap_or_default();
        if mandatory.is_empty() {
            let problem = Diagnostic::error("D001", "this policy has no agent that must run").at(self.node.span);
            self.problems.push(problem.help("name them under `mandatory_agents`, or give it a `routing`"));
        }
        for (node, must) in mandatory.iter().map(|node| (node, true)).chain(optional.iter().map(|node| (node, false))) {
            let before = self.members.len();
            let Some(member) = self.member(node, &MEMBER) else { continue };
            // An agent that may run does so when its own condition holds, or when nothing decided without it.
            member.optional |= !must;
            if !must && member.when.is_none() {
                member.role = Role::Catalogue;
            }
            let agent = member.agent.clone();
            if self.members[..before].iter().any(|earlier| earlier.agent == agent) {
                self.members.pop();
                self.problems.push(Diagnostic::error("D002", format!("`{agent}` stands here twice")).at(node.span));
            }
        }
        let stages = self.stages();
        for (stage, members) in stages.iter().enumerate() {
            let before = |role: Role| -> Vec<String> {
                let earlier = stages[..stage].iter().rev();
                let of_role = |members: &&Vec<usize>| members.iter().any(|member| self.members[*member].role == role);
                let nearest = earlier.clone().find(of_role).map(Vec::as_slice).unwrap_or_default();
                nearest.iter().filter(|member| self.members[**member].role == role).map(|member| self.members[*member].id.clone()).collect()
            };
            let (main, asked) = (before(Role::Main), before(Role::Catalogue));
            for member in members {
                let depends_on = match self.members[*member].role {
                    Role::Catalogue => main.iter().chain(&asked).cloned().collect(),
                    _ => main.clone(),
                };
                self.members[*member].depends_on = depends_on;
            }
        }
        let checkpoints = self.get("decision_checkpoints");
        self.checkpoints(checkpoints, None);
    }

    /// Where an agent that decides runs, and no checkpoint says what becomes of its answer, that is the decision.
    fn follow_at_last(&mut self) {
        let deciding = self.position(&self.deciding).filter(|position| self.members[*position].role == Role::Main);
        let Some(deciding) = deciding.map(|position| self.members[position].id.clone()) else { return };
        if !self.follows(&deciding) {
            self.push("decided", Vec::new(), "always", ThenDraft::Follow(deciding), None);
        }
    }

    fn follows(&self, task: &str) -> bool {
        self.checkpoints.iter().any(|(checkpoint, _)| matches!(&checkpoint.then, ThenDraft::Follow(followed) if followed == task))
    }

    /// When all has ended that must run, and nothing decided, the agents run that may.
    fn ask_others(&mut self) {
        let adds = |then: &ThenDraft, id: &String| matches!(then, ThenDraft::Grow(tasks) if tasks.contains(id));
        let added = |id: &&String| self.checkpoints.iter().any(|(checkpoint, _)| adds(&checkpoint.then, id));
        let asked = self.members.iter().filter(|member| member.role == Role::Catalogue).map(|member| &member.id);
        let asked: Vec<String> = asked.filter(|id| !added(id)).cloned().collect();
        if !asked.is_empty() {
            self.push("optional_agents", Vec::new(), "always", ThenDraft::Grow(asked), None);
        }
    }

    /// The members in stages: the groups in their order, and every other agent that must run at its place among those that must.
    fn stages(&mut self) -> Vec<Vec<usize>> {
        let groups = self.get("parallel_groups").map(Node::items).unwrap_or_default();
        let mut grouped: Vec<Vec<usize>> = Vec::new();
        let mut met = BTreeSet::new();
        for group in groups {
            let mut members = Vec::new();
            for item in one_or_many(group) {
                let name = item.text().unwrap_or_default();
                let Some(position) = self.position(name) else {
                    let known = self.members.iter().map(|member| member.agent.as_str());
                    let near = closest(name, known).map(|near| format!("did you mean `{near}`?"));
                    let problem =
                        Diagnostic::error("D003", format!("`{name}` is in a group, and neither mandatory nor optional")).at(item.span);
                    self.problems.push(problem.help(near.unwrap_or_else(|| "name it under `mandatory_agents` as well".to_owned())));
                    continue;
                };
                if !met.insert(position) {
                    self.problems.push(Diagnostic::error("D002", format!("`{name}` is in two groups")).at(item.span));
                    continue;
                }
                if self.members[position].role == Role::Catalogue {
                    self.grouped.push((name.to_owned(), item.span));
                }
                members.push(position);
            }
            grouped.push(members);
        }
        // A group of nobody holds nobody up.
        grouped.retain(|members| !members.is_empty());
        let mut stages: Vec<Vec<usize>> = Vec::new();
        let mut left: Vec<usize> =
            (0..self.members.len()).filter(|member| !met.contains(member) && self.members[*member].role == Role::Main).collect();
        for group in grouped {
            // Those that stand before one of the group in the list of those that must.
            let last = group.iter().copied().filter(|member| self.members[*member].role == Role::Main).min();
            let (earlier, later) = left.into_iter().partition(|member| last.is_some_and(|first| *member < first));
            left = later;
            stages.extend(earlier.into_iter().map(|member: usize| vec![member]));
            stages.push(group);
        }
        stages.extend(left.into_iter().map(|member| vec![member]));
        let asked: Vec<usize> =
            (0..self.members.len()).filter(|member| !met.contains(member) && self.members[*member].role == Role::Catalogue).collect();
        if !asked.is_empty() {
            stages.push(asked);
        }
        stages
    }

    /// Agents one after another, each of which may stop it.
    fn staged(&mut self) {
        let mut last: Option<String> = None;
        let stages = self.get("stages").map(Node::items).unwrap_or_default();
        if stages.is_empty() {
            self.problems
                .push(Diagnostic::error("D001", "this policy has no agents").at(self.node.span).help("write `stages: [VALIDATION]`"));
        }
        for field in ["mandatory_agents", "optional_agents", "parallel_groups"] {
            if let Some(other) = self.get(field) {
                let problem = Diagnostic::error("D011", format!("`stages` and `{field}` both say what runs")).at(other.span);
                self.problems.push(problem.help("leave one of them out"));
            }
        }
        for node in stages {
            let Some(member) = self.member(node, &STAGE) else { continue };
            member.depends_on = last.take().into_iter().collect();
            let (id, agent) = (member.id.clone(), member.agent.clone());
            let conditional = member.when.is_some() || member.skip_when.is_some();
            last = Some(id.clone());
            let stage = |name: &str| if node.text().is_some() { None } else { STAGE.get(node, name) };
            let given = stage("stop_when");
            // An agent that says what it returns and does not name this never says it.
            let declared = self.around.agents.get(&agent).and_then(AgentSpec::returned).unwrap_or_default();
            let says = |field: &str| declared.at(&[quorate_expr::Segment::Field(field.into())]).is_some();
            let condition = match given.and_then(Node::text) {
                Some(text) => text.to_owned(),
                None if says("stop_workflow") => format!("default({id}.stop_workflow, false)"),
                None => continue,
            };
            let text = |name: &str| stage(name).and_then(Node::text).map(str::to_owned);
            let usual = says("reason").then(|| format!("{{{{ default({id}.reason, '{id} ends it') }}}}"));
            let action = text("action").unwrap_or_else(|| quorate_core::REJECTED.to_owned());
            // One that is not needed ends nothing.
            let runs = if conditional { format!("not skipped({id}) and ") } else { String::new() };
            let stops = if conditional { format!("{runs}({condition})") } else { condition.clone() };
            let stop = CheckpointDraft::new(vec![id.clone()], &stops, ThenDraft::Decide(action)).called(&format!("stop_{id}"));
            self.checkpoints.push((CheckpointDraft { reason: text("reason").or(usual), ..stop }, given));
            if given.is_some() {
                // Where it cannot be said whether it ends here, it does not go on as if it did not.
                let unsure = format!("{runs}not defined({condition})");
                let unsure = CheckpointDraft::new(vec![id.clone()], &unsure, ThenDraft::Decide(quorate_core::HIL_REVIEW.to_owned()));
                self.checkpoints.push((unsure.called(&format!("unsure_{id}")), None));
            }
        }
        let checkpoints = self.get("decision_checkpoints");
        self.checkpoints(checkpoints, None);
    }

    /// Agents with names of their own, and what each waits for.
    fn routed(&mut self, routing: &'a Node) {
        let nodes = ROUTING.get(routing, "agents").map(Node::items).unwrap_or_default();
        if nodes.is_empty() {
            let problem = Diagnostic::error("D001", "this policy has no agents").at(routing.span);
            self.problems.push(problem.help("write `agents: [{ id: N1, name: RULES, depends_on: [] }]`, or `phase_1: [RULES]`"));
        }
        for node in nodes {
            self.member(node, &crate::files::ROUTED);
        }
        for name in ["decision_checkpoint", "decision_checkpoint_1", "decision_checkpoint_2"] {
            self.checkpoints(ROUTING.get(routing, name), None);
        }
        let checkpoints = self.get("decision_checkpoints");
        self.checkpoints(checkpoints, None);
    }

    /// A first phase, one agent after another, and a second one side by side where its trigger holds.
    fn phases(&mut self, routing: &'a Node) {
        let mut last: Option<String> = None;
        for node in ROUTING.get(routing, "phase_1").map(Node::items).unwrap_or_default() {
            let Some(member) = self.member(node, &MEMBER) else { continue };
            member.depends_on = last.take().into_iter().collect();
            last = Some(member.id.clone());
        }
        let first: Vec<String> = last.into_iter().collect();
        self.checkpoints(ROUTING.get(routing, "decision_checkpoint_1"), Some(&first));
        let Some(second) = ROUTING.get(routing, "phase_2_conditional") else { return };
        let mut added = Vec::new();
        for node in PHASE.get(second, "additional_agents").map(Node::items).unwrap_or_default() {
            let Some(member) = self.member(node, &MEMBER) else { continue };
            (member.role, member.depends_on) = (Role::Catalogue, first.clone());
            added.push(member.id.clone());
        }
        let trigger = PHASE.get(second, "trigger");
        let text = trigger.and_then(Node::text).unwrap_or("always");
        let description = PHASE.get(second, "description").and_then(Node::text).map(str::to_owned);
        let draft = CheckpointDraft::new(first, text, ThenDraft::Grow(added.clone())).called("phase_2");
        self.checkpoints.push((CheckpointDraft { description, ..draft }, trigger));
        self.checkpoints(ROUTING.get(routing, "decision_checkpoint_2"), Some(&added));
    }

    /// Agents that run when it is decided, however.
    fn finally(&mut self) {
        for node in self.get("finally").map(Node::items).unwrap_or_default() {
            if let Some(member) = self.member(node, &MEMBER) {
                (member.role, member.optional) = (Role::Finally, true);
            }
        }
    }

    /// Agents that run when people have answered. One that ran before runs once more, so it is another task.
    fn after_review(&mut self) {
        let Some(node) = self.get("after_review") else { return };
        let reviews: Vec<String> = self.reviews.keys().map(|action| self.review_of(action)).collect();
        if reviews.is_empty() {
            let problem = Diagnostic::error("D008", "nobody is asked about a decision of this policy, so nothing follows an answer");
            self.problems.push(problem.at(node.span).help("`reviews` says how people are asked"));
            return;
        }
        for node in node.items() {
            let taken: BTreeSet<String> = self.members.iter().map(|member| member.id.clone()).collect();
            let Some(member) = self.member(node, &MEMBER) else { continue };
            if taken.contains(&member.id) {
                member.id.push_str("_after_review");
            }
            (member.role, member.optional) = (Role::Finally, true);
            (member.depends_on, member.after_review) = (reviews.clone(), true);
        }
    }

    // -- what decides

    fn push(&mut self, id: &str, after: Vec<String>, condition: &str, then: ThenDraft, node: Option<&'a Node>) {
        let draft = CheckpointDraft::new(after, condition, then).called(id);
        self.checkpoints.push((draft, node));
    }

    /// One checkpoint, or several. `usual`: after which tasks one is looked at that does not say.
    fn checkpoints(&mut self, node: Option<&'a Node>, usual: Option<&[String]>) {
        let Some(node) = node else { return };
        for node in one_or_many(node) {
            self.checkpoint(node, usual);
        }
    }

    fn checkpoint(&mut self, node: &'a Node, usual: Option<&[String]>) {
        let text = |name| CHECKPOINT.get(node, name).and_then(Node::text);
        let after = CHECKPOINT.get(node, "after").map(texts);
        let after: Vec<String> = match after {
            Some(names) => names.iter().map(|name| self.ids.get(name).cloned().unwrap_or_else(|| name.clone())).collect(),
            // Voices are looked at whenever one of them ends.
            None if CHECKPOINT.get(node, "voices").is_some() => Vec::new(),
            None => usual.map(<[String]>::to_vec).unwrap_or_default(),
        };
        self.written += 1;
        let id = text("id").map_or_else(|| format!("checkpoint_{}", self.written), str::to_owned);
        let Some(then) = lower::follows(node, &mut self.problems) else { return };
        let Some(condition) = lower::condition_of(node, &then, &mut self.problems) else { return };
        // It is looked at after the second phase in any case.
        let condition = if condition == "after_phase_2" { "always".to_owned() } else { condition };
        let named = |lowering: &Self, name: String| lowering.ids.get(&name).cloned().unwrap_or(name);
        let then = match then {
            ThenDraft::Decide(action) if action == FOLLOW_DECISION => {
                let follow = match &after[..] {
                    [one] => Some(one.clone()),
                    _ => self.position(&self.deciding.clone()).map(|position| self.members[position].id.clone()),
                };
                let Some(follow) = follow else {
                    let problem = Diagnostic::error("D004", "nothing says whose decision is followed").at(node.span);
                    self.problems.push(problem.help(format!("look at it `after` one agent, or let `{}` run", self.deciding)));
                    return;
                };
                ThenDraft::Follow(follow)
            }
            ThenDraft::Decide(action) if action == ASK_DECIDING_AGENT => {
                return self.ask_deciding_agent(&id, after, &condition, node);
            }
            ThenDraft::Decide(action) if action == CONTINUE => {
                let problem = Diagnostic::error("D005", "from `CONTINUE` nothing follows").at(node.span);
                self.problems.push(problem.help("leave this checkpoint out: where none holds, the run goes on"));
                return;
            }
            ThenDraft::Decide(action) => ThenDraft::Decide(action),
            ThenDraft::Follow(follow) => ThenDraft::Follow(named(self, follow)),
            ThenDraft::Grow(add) => ThenDraft::Grow(add.into_iter().map(|name| named(self, name)).collect()),
            ThenDraft::Voices(mut voices) => {
                for voice in &mut voices.of {
                    voice.task = named(self, std::mem::take(&mut voice.task));
                }
                ThenDraft::Voices(voices)
            }
        };
        let checkpoint = CheckpointDraft::new(after, &condition, then).called(&id);
        self.checkpoints.push((told(checkpoint, node), Some(node)));
    }

    /// These agents and all whom they waited for: who decides at last hears everything that was said until then.
    fn with_all_before(&self, after: &[String]) -> Vec<String> {
        let mut all: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = after.iter().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if all.insert(id) {
                open.extend(self.members.iter().filter(|member| member.id == id).flat_map(|member| &member.depends_on).map(String::as_str));
            }
        }
        let known = self.members.iter().map(|member| &member.id).filter(|id| all.contains(id.as_str())).cloned();
        known.chain(after.iter().filter(|id| self.members.iter().all(|member| member.id != **id)).cloned()).collect()
    }

    /// The agent that decides is asked, and its answer followed.
    fn ask_deciding_agent(&mut self, id: &str, after: Vec<String>, condition: &str, node: &'a Node) {
        let agent = self.deciding.clone();
        let task = match self.position(&agent) {
            Some(position) => position,
            None => {
                let Around { agents, functions, .. } = self.around;
                if !agents.contains_key(&agent) && !functions.contains(&agent.as_str()) {
                    let message = format!("this asks the agent that decides, and there is no agent `{agent}`");
                    let help = "write one of that name, or say which it is: `deciding_agent: NAME`";
                    self.problems.push(Diagnostic::error("D006", message).at(node.span).help(help));
                    return;
                }
                self.ids.insert(agent.clone(), plain(&agent));
                self.members.push(Member {
                    id: plain(&agent),
                    node,
                    agent,
                    when: None,
                    skip_when: None,
                    depends_on: self.with_all_before(&after),
                    role: Role::Catalogue,
                    optional: false,
                    after_review: false,
                });
                self.members.len() - 1
            }
        };
        let deciding = self.members[task].id.clone();
        if self.members[task].role == Role::Catalogue {
            let asks = CheckpointDraft::new(after, condition, ThenDraft::Grow(vec![deciding.clone()])).called(id);
            self.checkpoints.push((CheckpointDraft { description: described(node), ..asks }, Some(node)));
        }
        if !self.follows(&deciding) {
            let follows = CheckpointDraft::new(vec![deciding.clone()], "always", ThenDraft::Follow(deciding));
            let follows = told(follows.called(&format!("{id}_decided")), node);
            self.checkpoints.push((CheckpointDraft { description: None, ..follows }, None));
        }
    }

    // -- the draft

    fn draft(&self, id: &str) -> Draft {
        let text = |name| self.get(name).and_then(Node::text).map(str::to_owned);
        Draft {
            name: id.to_owned(),
            tasks: self
                .members
                .iter()
                .map(|member| self.task(member))
                .chain(self.reviews.iter().map(|(on, asks)| self.review(on, asks)))
                .collect(),
            reviews: self.reviews.keys().map(|action| (action.clone(), self.review_of(action))).collect(),
            checkpoints: self.checkpoints.iter().map(|(checkpoint, _)| checkpoint.clone()).collect(),
            decides: true,
            otherwise: text("otherwise"),
            on_unknown: text("on_unknown"),
            // What must run and failed leaves evidence that nothing is resolved on: people decide.
            on_failure: Some(text("on_failure").unwrap_or_else(|| quorate_core::HIL_REVIEW.to_owned())),
            resolve_needs: self.around.needed.iter().map(|agent| self.need(agent)).collect(),
            no_early_exit: self.get("early_exit_enabled").and_then(truth) == Some(false),
            max_parallel: self.get("max_parallel").and_then(number).and_then(|text| text.parse().ok()),
            timeout: self.get("timeout").and_then(duration).or(self.around.timeout),
            input: self.around.classifier.input.clone(),
            profile: self.around.classifier.profile(),
            ..Draft::default()
        }
    }

    /// The task that asks people about a decision: it is called as the decision, unless an agent is.
    fn review_of(&self, action: &str) -> String {
        let mut id = plain(action).to_lowercase();
        while self.members.iter().any(|member| member.id == id) {
            id.push('_');
        }
        id
    }

    fn review(&self, action: &str, asks: &ApprovalDraft) -> TaskDraft {
        let mut asks = asks.clone();
        if asks.question.is_empty() {
            asks.question = format!("The decision is {action}. What is to be done?");
        }
        TaskDraft { id: self.review_of(action), role: Role::Review, work: WorkDraft::Approval(asks), ..TaskDraft::default() }
    }

    /// The tasks of an agent without which nothing is resolved by itself.
    fn need(&self, agent: &str) -> ResolveNeed {
        let its = self.members.iter().filter(|member| member.agent == agent && member.role != Role::Finally);
        ResolveNeed { name: agent.to_owned(), tasks: its.map(|member| member.id.clone()).collect() }
    }

    fn task(&self, member: &Member<'_>) -> TaskDraft {
        let field = |name| if member.node.text().is_some() { None } else { MEMBER.get(member.node, name) };
        let before = || self.members.iter().filter(|other| member.depends_on.contains(&other.id));
        let may_be_skipped = |other: &Member<'_>| other.when.is_some() || other.skip_when.is_some() || other.role == Role::Catalogue;
        // One that is not needed holds nobody up, and one that may fail neither.
        let needs = match () {
            () if member.after_review => Some(Needs::Any),
            () if before().any(|other| other.optional) => Some(Needs::Settled),
            () if before().any(may_be_skipped) => Some(Needs::NoneFailed),
            () => None,
        };
        TaskDraft {
            depends_on: member.depends_on.clone(),
            join: needs.map(|needs| JoinDraft { needs, ..JoinDraft::default() }),
            when: member.when.clone(),
            skip_when: member.skip_when.clone(),
            params: field("params").map(json),
            retry: field("retry").map(retry),
            timeout: field("timeout").and_then(duration),
            optional: member.optional,
            role: member.role,
            ..call(&member.id, &member.agent, self.around.agents)
        }
    }

    /// A problem of the plan, at the place in the file that it is about.
    fn place(&self, problem: &Problem, file: &Source) -> Diagnostic {
        let found = Diagnostic::of(problem);
        let found = match problem.code {
            // The names of other policies' agents are known, too.
            "P010" if found.help.is_none() && self.around.agents.keys().any(|agent| problem.message.contains(&format!("`{agent}`"))) => {
                found.help("it is an agent of the project, and none of this policy: name it under `mandatory_agents` as well")
            }
            _ => found,
        };
        let mut steps = problem.at.split(['.', '[', ']']).filter(|step| !step.is_empty());
        let (kind, which) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let number = which.parse::<usize>().ok();
        let (whole, object): (Option<&Node>, &'static Object) = match kind {
            "tasks" => {
                let named = self.members.iter().position(|member| member.id == which);
                (number.or(named).and_then(|member| self.members.get(member)).map(|member| member.node), &crate::files::ROUTED)
            }
            "checkpoints" => (number.and_then(|number| self.checkpoints.get(number)).and_then(|(_, node)| *node), &CHECKPOINT),
            field => (POLICY.field(field).and_then(|_| POLICY.get(self.node, field)), &POLICY),
        };
        let Some(whole) = whole else { return found.at(self.node.span) };
        let name = match steps.next() {
            Some("then") => Some("action"),
            other => other,
        };
        let part = match &whole.kind {
            // The trigger of a phase, and the condition by which a stage ends it, are the condition by itself.
            Kind::Scalar(_) => Some(whole),
            _ => name.filter(|name| object.field(name).is_some()).and_then(|name| object.get(whole, name)),
        };
        // As deep as what it is about was written.
        let mut inside = problem.span;
        let part = part.map(|part| {
            steps.fold(part, |here, name| {
                step(here, name).unwrap_or_else(|| {
                    inside = None;
                    here
                })
            })
        });
        match (part, inside) {
            (Some(part), Some(inside)) => found.at(part.locate(&file.text, inside)),
            (Some(part), None) => found.at(part.span),
            (None, _) => found.at(whole.span),
        }
    }
}

/// A call of an agent, or of one of several that are it.
pub(crate) fn call(id: &str, agent: &str, agents: &BTreeMap<String, AgentSpec>) -> TaskDraft {
    let spec = agents.get(agent);
    let task = match spec.filter(|spec| spec.instances.is_some()) {
        Some(several) => TaskDraft::need(&plain(id), [several.id.as_str()]),
        None => TaskDraft::call(&plain(id), agent),
    };
    TaskDraft { output: spec.and_then(AgentSpec::returned).unwrap_or_default(), ..task }
}

/// The same with what is to go on record with its decision.
fn told(checkpoint: CheckpointDraft, node: &Node) -> CheckpointDraft {
    let reason = CHECKPOINT.get(node, "reason").and_then(Node::text).map(str::to_owned);
    CheckpointDraft { description: described(node), reason, with: CHECKPOINT.get(node, "with").map(json), ..checkpoint }
}

/// What it finds, in words.
fn described(node: &Node) -> Option<String> {
    CHECKPOINT.get(node, "description").and_then(Node::text).map(str::to_owned)
}

impl Policy {
    /// Where a checkpoint stands, if anybody wrote it.
    pub(crate) fn place_of(&self, checkpoint: &str) -> Option<Span> {
        let position = self.plan.checkpoints().position(|view| view.id == checkpoint)?;
        self.at.checkpoints.get(position).copied().flatten()
    }
}

/// What a list holds, or what stands in the place of one.
pub(crate) fn one_or_many(node: &Node) -> &[Node] {
    match node.kind {
        Kind::List(_) => node.items(),
        Kind::Scalar(_) | Kind::Map(_) => std::slice::from_ref(node),
    }
}

/// A name that a task may have.
fn plain(agent: &str) -> String {
    let letter = |letter: char| match letter {
        '_' | '-' => letter.to_string(),
        _ if letter.is_ascii_alphanumeric() => letter.to_string(),
        _ if letter.is_ascii() => "_".to_owned(),
        // Agents of other alphabets are not all called `_`.
        _ => format!("u{:x}", u32::from(letter)),
    };
    agent.chars().map(letter).collect()
}
