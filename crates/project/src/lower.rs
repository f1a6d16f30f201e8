//! Workflows as they are written, made into drafts of plans.

use std::collections::{BTreeMap, HashSet};

use quorate_core::draft::{
    ApprovalDraft, BudgetDraft, CheckpointDraft, Choice, Expiry, ForEachDraft, JoinDraft, Level, Method, Needs, OnLate, RepeatDraft,
    RetryDraft, RowDraft, TaskDraft, ThenDraft, VoiceDraft, VoicesDraft, WaitDraft, WorkDraft,
};
use quorate_core::{Digest, Draft, FailureClass, Millis, Role};
use quorate_expr::{Decimal, Type};
use serde_json::Value as Json;

use crate::agents::AgentSpec;
use crate::files::{
    APPROVAL, BUDGET, CHECKPOINT, CHOICE, FOR_EACH, JOIN, LEVEL, LIMITS, PROJECT, REPEAT, RETRY, SCORE_ROW, TASK, VOICE, VOICES, WAIT,
    WORKFLOW,
};
use crate::report::Diagnostic;
use crate::shape::{Object, duration, json, number, truth};
use crate::types;
use crate::yaml::{Kind, Node};

/// What the project says for all of its workflows.
#[derive(Default)]
pub(crate) struct Usual<'a> {
    pub(crate) agent: Option<String>,
    pub(crate) timeout: Option<Millis>,
    pub(crate) retry: Option<&'a Node>,
    pub(crate) one_at_a_time: bool,
}

impl<'a> Usual<'a> {
    pub(crate) fn of(project: &'a Node) -> Usual<'a> {
        let fields = Fields::of(project, &PROJECT);
        Usual {
            agent: fields.text("default_agent"),
            timeout: fields.get("limits").and_then(|limits| LIMITS.get(limits, "run_timeout")).and_then(duration),
            retry: fields.get("default_retry"),
            one_at_a_time: fields.get("enable_parallel_execution").and_then(truth) == Some(false),
        }
    }
}

/// What lies around a workflow: what it takes where it says nothing, and what its names mean.
pub(crate) struct Around<'a> {
    /// The agents, by their ids.
    pub(crate) agents: &'a BTreeMap<String, AgentSpec>,
    /// The plans of other workflows.
    pub(crate) plans: &'a BTreeMap<String, Digest>,
    /// What it takes where it says nothing.
    pub(crate) usual: &'a Usual<'a>,
    /// The groups of people that there are.
    pub(crate) groups: &'a BTreeMap<String, Vec<String>>,
}

/// A draft, and where its parts were written.
pub(crate) struct Lowered<'a> {
    pub(crate) draft: Draft,
    pub(crate) strategy: Strategy,
    /// For every task of the draft, what it was made of.
    pub(crate) origins: Vec<&'a Node>,
}

/// The constraint that a workflow's tasks are under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// `sequential`, `parallel`, `dag` or `conditional`.
    pub name: &'static str,
    /// Why it was chosen, where the workflow left it open.
    pub reason: Option<String>,
}

/// A mapping and what it is, to read fields by their names.
#[derive(Clone, Copy)]
struct Fields<'a> {
    node: &'a Node,
    object: &'static Object,
}

impl<'a> Fields<'a> {
    fn of(node: &'a Node, object: &'static Object) -> Fields<'a> {
        Fields { node, object }
    }

    fn get(self, name: &str) -> Option<&'a Node> {
        debug_assert!(self.object.field(name).is_some(), "{} has no field {name}", self.object.title);
        self.object.get(self.node, name)
    }

    fn text(self, name: &str) -> Option<String> {
        self.get(name).and_then(Node::text).map(str::to_owned)
    }

    fn texts(self, name: &str) -> Vec<String> {
        self.get(name).map(texts).unwrap_or_default()
    }

    fn truth(self, name: &str) -> bool {
        self.get(name).and_then(truth).unwrap_or(false)
    }

    fn whole<N: TryFrom<u64>>(self, name: &str) -> Option<N> {
        number(self.get(name)?)?.parse::<u64>().ok()?.try_into().ok()
    }

    fn decimal(self, name: &str) -> Option<f64> {
        number(self.get(name)?)?.parse().ok()
    }

    fn duration(self, name: &str) -> Option<Millis> {
        self.get(name).and_then(duration)
    }

    fn json(self, name: &str) -> Option<Json> {
        self.get(name).map(json)
    }

    fn word(self, name: &str) -> Option<String> {
        self.text(name).map(|word| word.to_ascii_lowercase())
    }
}

/// Questions to people as they are written.
pub(crate) struct Questions<'a> {
    pub(crate) groups: &'a BTreeMap<String, Vec<String>>,
    pub(crate) problems: &'a mut Vec<Diagnostic>,
}

impl Questions<'_> {
    pub(crate) fn read(&mut self, node: Option<&Node>) -> ApprovalDraft {
        let Some(node) = node else { return ApprovalDraft::default() };
        let fields = Fields::of(node, &APPROVAL);
        let mut first = fields.get("by").map(|node| self.level(node)).unwrap_or_default();
        first.within = fields.duration("within").or(first.within);
        let mut levels = vec![first];
        levels.extend(fields.get("then").map(Node::items).unwrap_or_default().iter().map(|node| self.level(node)));
        let choices = fields.get("choices").map(Node::items).unwrap_or_default();
        let choices = choices.iter().map(|node| self.choice(node)).collect();
        ApprovalDraft {
            question: fields.text("question").unwrap_or_default(),
            evidence: fields.json("evidence"),
            choices,
            levels,
            on_expiry: fields.text("on_expiry").map_or(Expiry::Fail, Expiry::Choose),
            starter_may_answer: fields.truth("starter_may_answer"),
            override_needs_note: fields.truth("override_needs_note"),
            not_by: fields.texts("not_by"),
            except: fields.json("except").map(|names| match names {
                Json::String(name) if !name.contains("{{") => Box::new(Json::Array(vec![Json::String(name)])),
                names => Box::new(names),
            }),
        }
    }

    /// Who may answer. Nobody named where somebody should be is not the same as anybody.
    fn level(&mut self, node: &Node) -> Level {
        let level = if node.entries().is_empty() {
            Level { users: texts(node), ..Level::default() }
        } else {
            let fields = Fields::of(node, &LEVEL);
            Level {
                users: fields.texts("users"),
                groups: fields.texts("groups"),
                at_least: fields.whole("at_least"),
                within: fields.duration("within"),
            }
        };
        if level.users.is_empty() && level.groups.is_empty() {
            let problem = Diagnostic::error("W008", "this names nobody who may answer").at(node.span);
            self.problems.push(problem.help("name users or groups; without `by`, anybody may answer"));
        }
        let people: HashSet<&String> =
            level.groups.iter().filter_map(|group| self.groups.get(group)).flatten().chain(&level.users).collect();
        let known = level.groups.iter().all(|group| self.groups.contains_key(group));
        let needed = level.at_least.unwrap_or(1);
        if known && (people.len() as u64) < u64::from(needed) && !level.groups.is_empty() {
            let there = people.len();
            let problem = Diagnostic::error("W019", format!("nobody can settle this: it takes {needed} of {there} people")).at(node.span);
            self.problems.push(problem.help("ask more people, or fewer of them"));
        }
        for group in level.groups.iter().filter(|group| !self.groups.contains_key(*group)) {
            let near = quorate_expr::closest(group, self.groups.keys().map(String::as_str));
            let help =
                near.map_or_else(|| "groups stand in quorate.yaml, under `groups`".to_owned(), |near| format!("did you mean `{near}`?"));
            self.problems.push(Diagnostic::error("W009", format!("there is no group `{group}`")).at(node.span).help(help));
        }
        level
    }

    fn choice(&mut self, node: &Node) -> Choice {
        const NEGATIVE: [&str; 8] = ["reject", "rejected", "deny", "decline", "refuse", "no", "disapprove", "veto"];
        let Some(name) = node.text() else {
            let fields = Fields::of(node, &CHOICE);
            return Choice {
                name: fields.text("name").unwrap_or_default(),
                rejects: fields.truth("rejects"),
                needs_note: fields.truth("needs_note"),
            };
        };
        let negative = NEGATIVE.contains(&name.to_ascii_lowercase().as_str());
        if negative && name != "reject" {
            let problem = Diagnostic::error("W014", format!("it is not said whether `{name}` rejects")).at(node.span);
            self.problems.push(problem.help(format!("write {{ name: {name}, rejects: true }}, or false")));
        }
        Choice { name: name.to_owned(), rejects: negative, needs_note: false }
    }
}

/// One text, or several.
pub(crate) fn texts(node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::List(items) => items.iter().filter_map(Node::text).map(str::to_owned).collect(),
        Kind::Scalar(_) => node.text().map(str::to_owned).into_iter().collect(),
        Kind::Map(_) => Vec::new(),
    }
}

/// Makes a draft of a workflow whose shape was checked.
pub(crate) fn workflow<'a>(id: &str, node: &'a Node, around: &Around<'_>, problems: &mut Vec<Diagnostic>) -> Lowered<'a> {
    let fields = Fields::of(node, &WORKFLOW);
    let strategy = strategy(fields, problems);
    let mut lowering = Lowering { around, fields, tasks: Vec::new(), origins: Vec::new(), problems };
    for task in fields.get("tasks").map(Node::items).unwrap_or_default() {
        lowering.task(task, Role::Main, None);
    }
    lowering.mark_compensations();
    lowering.insert_approval_points();
    let checkpoints = fields.get("checkpoints").map(Node::items).unwrap_or_default();
    let checkpoints = checkpoints.iter().filter_map(|node| lowering.checkpoint(node)).collect();
    let budget = lowering.budget();
    let input = fields.get("input").map_or(Type::Any, |node| types::read(node, lowering.problems));
    if let Some(limit) = fields.duration("timeout").or(around.usual.timeout) {
        lowering.check_patience(limit);
    }
    let Lowering { tasks, origins, .. } = lowering;
    let draft = Draft {
        name: id.to_owned(),
        tasks,
        checkpoints,
        otherwise: fields.text("otherwise"),
        on_unknown: fields.text("on_unknown"),
        on_failure: fields.text("on_failure"),
        no_early_exit: fields.get("early_exit").and_then(truth) == Some(false),
        max_parallel: if around.usual.one_at_a_time { Some(1) } else { fields.whole("max_parallel_tasks") },
        one_at_a_time: strategy.name == "sequential",
        continue_on_failure: fields.truth("continue_on_failure"),
        timeout: fields.duration("timeout").or(around.usual.timeout),
        budget,
        input,
        output: fields.json("output"),
        ..Draft::default()
    };
    Lowered { draft, strategy, origins }
}

fn strategy(fields: Fields<'_>, problems: &mut Vec<Diagnostic>) -> Strategy {
    let tasks = fields.get("tasks").map(Node::items).unwrap_or_default();
    let has = |task: &Node, name: &str| TASK.get(task, name).is_some();
    let conditions = tasks.iter().filter(|task| has(task, "when") || has(task, "skip_when")).count();
    let dependent = tasks.iter().filter(|task| TASK.get(task, "depends_on").is_some_and(|node| !texts(node).is_empty())).count();
    let fixed = |name| Strategy { name, reason: None };
    match fields.word("strategy").as_deref() {
        Some("sequential") => fixed("sequential"),
        Some("dag") => fixed("dag"),
        Some("conditional") => {
            if conditions == 0 {
                let span = fields.get("strategy").map_or(fields.node.span, |node| node.span);
                let problem = Diagnostic::warning("W002", "the strategy is `conditional`, but no task has a condition").at(span);
                problems.push(problem.help("give a task `when`, or leave the strategy out"));
            }
            fixed("conditional")
        }
        Some("parallel") => {
            for task in tasks {
                if let Some(node) = TASK.get(task, "depends_on").filter(|node| !texts(node).is_empty()) {
                    let problem = Diagnostic::error("W001", "under the strategy `parallel` no task waits for another").at(node.span);
                    problems.push(problem.help("remove `depends_on`, or use the strategy `dag`"));
                }
            }
            fixed("parallel")
        }
        _ => {
            let count = tasks.len();
            let (name, reason) = if fields.node.get("steps").is_some() && dependent == 0 {
                ("sequential", "steps come one after another".to_owned())
            } else if conditions > 0 {
                ("conditional", format!("{conditions} of {count} tasks have a condition"))
            } else if dependent > 0 {
                ("dag", format!("{dependent} of {count} tasks wait for others"))
            } else if count > 1 {
                ("parallel", format!("none of the {count} tasks waits for another"))
            } else if tasks.iter().any(|task| has(task, "for_each")) {
                ("parallel", "its one task is done for each item".to_owned())
            } else {
                ("sequential", "there is one task".to_owned())
            };
            Strategy { name, reason: Some(reason) }
        }
    }
}

struct Lowering<'a, 'b> {
    around: &'b Around<'b>,
    fields: Fields<'a>,
    tasks: Vec<TaskDraft>,
    origins: Vec<&'a Node>,
    problems: &'b mut Vec<Diagnostic>,
}

impl<'a> Lowering<'a, '_> {
    fn push(&mut self, task: TaskDraft, origin: &'a Node) {
        self.tasks.push(task);
        self.origins.push(origin);
    }

    fn task(&mut self, node: &'a Node, role: Role, usual_id: Option<String>) {
        let fields = Fields::of(node, &TASK);
        let id = fields.text("id").or(usual_id).unwrap_or_else(|| {
            self.problems.push(Diagnostic::error("F002", "a task needs `id`").at(node.span).help("its name, unique in the workflow"));
            String::new()
        });
        let work = self.work(fields);
        let declared = fields.get("output").map(|node| types::read(node, self.problems));
        let output = declared.or_else(|| self.returned(&work));
        let role = match (fields.truth("finally"), fields.truth("on_demand")) {
            (true, true) => {
                let problem = Diagnostic::error("W003", format!("`{id}` cannot both run at the end and only when it is added"));
                self.problems.push(problem.at(node.span).help("leave out `finally` or `on_demand`"));
                role
            }
            (true, false) => Role::Finally,
            (false, true) => Role::Catalogue,
            (false, false) => role,
        };
        let compensate = fields.get("compensate");
        let by_itself = compensate.filter(|node| !node.entries().is_empty());
        let own_id = by_itself.map(|node| TASK.get(node, "id").and_then(Node::text).map_or_else(|| format!("undo-{id}"), str::to_owned));
        let calls = matches!(work, WorkDraft::Agent { .. } | WorkDraft::Workflow { .. });
        let (workflow, usual) = (self.fields, self.around.usual);
        let defaults = |name| workflow.get(name).filter(|_| calls);
        let task = TaskDraft {
            id,
            depends_on: fields.texts("depends_on"),
            join: fields.get("join").and_then(|node| self.join(node)),
            when: fields.text("when"),
            skip_when: fields.text("skip_when"),
            input: fields.json("input"),
            params: fields.json("params").or_else(|| {
                let text = fields.text("description").filter(|_| calls)?;
                Some(serde_json::json!({ "task": text }))
            }),
            retry: fields.get("retry").or_else(|| defaults("default_retry")).or_else(|| usual.retry.filter(|_| calls)).map(retry),
            timeout: fields.duration("timeout").or_else(|| defaults("default_timeout").and_then(duration)),
            optional: fields.truth("optional"),
            priority: fields.whole("priority"),
            role,
            compensate: own_id.or_else(|| compensate.and_then(Node::text).map(str::to_owned)),
            for_each: fields.get("for_each").map(for_each),
            repeat: fields.get("repeat").map(repeat),
            may_grow: fields.texts("may_add"),
            skills: fields.texts("required_skills"),
            output: output.unwrap_or_default(),
            work,
        };
        let undo = task.compensate.clone();
        self.push(task, node);
        if let Some(inline) = by_itself {
            self.task(inline, Role::Compensation, undo);
        }
    }

    /// What the agent says that it returns; of several that may be chosen, what all of them say.
    fn returned(&self, work: &WorkDraft) -> Option<Type> {
        let agents = self.around.agents;
        match work {
            WorkDraft::Agent { id: Some(agent), .. } => agents.get(agent).and_then(AgentSpec::returned),
            WorkDraft::Agent { id: None, capabilities } => {
                let able = agents.values().filter(|agent| agent.can(capabilities)).flat_map(AgentSpec::all);
                let mut outputs = able.map(|agent| &agent.output);
                let first = outputs.next()?;
                outputs.all(|other| other == first).then(|| first.clone())
            }
            WorkDraft::Approval(_) | WorkDraft::Wait(_) | WorkDraft::Workflow { .. } => None,
        }
    }

    fn work(&mut self, fields: Fields<'a>) -> WorkDraft {
        let kinds = ["approval", "wait", "workflow", "agent"];
        let given: Vec<&str> = kinds.into_iter().filter(|kind| fields.get(kind).is_some()).collect();
        if let [first, second, ..] = given[..] {
            let span = fields.get(second).map_or(fields.node.span, |node| node.span);
            let message = format!("a task does one thing, and this one has both `{first}` and `{second}`");
            self.problems.push(Diagnostic::error("W004", message).at(span).help("make two tasks of it"));
        }
        if let (Some(kind @ ("approval" | "wait" | "workflow")), Some(node)) = (given.first().copied(), fields.get("capabilities")) {
            let message = format!("a task does one thing: with `{kind}`, no agent is looked for");
            self.problems.push(Diagnostic::error("W004", message).at(node.span).help("leave out `capabilities`, or make two tasks of it"));
        }
        match given.first() {
            Some(&"approval") => WorkDraft::Approval(self.questions().read(fields.get("approval"))),
            Some(&"wait") => WorkDraft::Wait(wait(fields.get("wait"))),
            Some(&"workflow") => {
                let name = fields.text("workflow").unwrap_or_default();
                // One that is not there has been reported by whoever looked for it first.
                WorkDraft::Workflow { plan: self.around.plans.get(&name).copied().unwrap_or_else(|| Digest::of(b"")) }
            }
            _ => {
                let capabilities = fields.texts("capabilities");
                let agent = fields.text("agent").or_else(|| {
                    let default = self.fields.text("default_agent").or_else(|| self.around.usual.agent.clone());
                    default.filter(|_| capabilities.is_empty())
                });
                // One that there is several times is asked for by what all of them can do: to be one of it.
                let several = agent.as_ref().and_then(|id| self.around.agents.get(id)).filter(|agent| agent.instances.is_some());
                match several {
                    Some(agent) => {
                        let capabilities = std::iter::once(agent.id.clone()).chain(capabilities).collect();
                        WorkDraft::Agent { id: None, capabilities }
                    }
                    None => WorkDraft::Agent { id: agent, capabilities },
                }
            }
        }
    }

    fn questions(&mut self) -> Questions<'_> {
        Questions { groups: self.around.groups, problems: self.problems }
    }

    fn join(&mut self, node: &Node) -> Option<JoinDraft> {
        if let Some(word) = node.text() {
            return Some(JoinDraft { needs: needs(&word.to_ascii_lowercase()), ..JoinDraft::default() });
        }
        let fields = Fields::of(node, &JOIN);
        let named = fields.word("needs");
        let count: Option<u32> = fields.whole("at_least");
        if let (Some(_), Some(count)) = (&named, fields.get("at_least")) {
            let problem = Diagnostic::error("W005", "`needs` and `at_least` both say what the join needs").at(count.span);
            self.problems.push(problem.help("leave one of them out"));
        }
        let on_late = match fields.word("on_late").as_deref() {
            Some("proceed") => OnLate::Proceed,
            Some("skip") => OnLate::Skip,
            _ => OnLate::Fail,
        };
        let needs = count.map_or_else(|| named.as_deref().map_or(Needs::All, needs), Needs::AtLeast);
        Some(JoinDraft { needs, within: fields.duration("within"), on_late, race: fields.truth("race") })
    }

    fn checkpoint(&mut self, node: &Node) -> Option<CheckpointDraft> {
        let then = follows(node, self.problems)?;
        let fields = Fields::of(node, &CHECKPOINT);
        Some(CheckpointDraft {
            id: fields.text("id").unwrap_or_default(),
            description: fields.text("description"),
            after: fields.texts("after"),
            condition: condition_of(node, &then, self.problems)?,
            then,
            reason: fields.text("reason"),
            with: fields.json("with"),
        })
    }

    /// A question that may stay open longer than the run may take is closed by the end of the run.
    fn check_patience(&mut self, limit: Millis) {
        for (task, origin) in self.tasks.iter().zip(&self.origins) {
            let WorkDraft::Approval(approval) = &task.work else { continue };
            if approval.levels.iter().filter_map(|level| level.within).any(|within| within > limit) {
                let message = format!("`{}` gives people more time than the run has", task.id);
                let place = TASK.get(origin, "id").map_or(origin.span, |id| id.span);
                self.problems.push(Diagnostic::warning("W017", message).at(place).help("give the workflow a longer `timeout`"));
            }
        }
    }

    /// A task that another one names as what undoes it runs only then.
    fn mark_compensations(&mut self) {
        let undoing: HashSet<String> = self.tasks.iter().filter_map(|task| task.compensate.clone()).collect();
        for task in self.tasks.iter_mut().filter(|task| undoing.contains(&task.id)) {
            task.role = Role::Compensation;
        }
    }

    /// What a run may use, and the question that is asked when it is not enough.
    fn budget(&mut self) -> Option<BudgetDraft> {
        let node = self.fields.get("budget")?;
        let fields = Fields::of(node, &BUDGET);
        let decimal = |name| fields.get(name).and_then(number).and_then(|text| text.parse().ok());
        let asks = fields.get("on_limit").filter(|node| !node.text().is_some_and(|text| text.eq_ignore_ascii_case("fail")));
        let ask = asks.map(|asks| {
            let mut approval = self.questions().read(Some(asks));
            if approval.question.is_empty() {
                "The budget of this run does not suffice. May it use as much again?".clone_into(&mut approval.question);
            }
            let mut id = "more_budget".to_owned();
            while self.tasks.iter().any(|task| task.id == id) {
                id.push('_');
            }
            let task = TaskDraft { id: id.clone(), work: WorkDraft::Approval(approval), role: Role::Catalogue, ..TaskDraft::default() };
            self.push(task, asks);
            id
        });
        Some(BudgetDraft { tokens: fields.whole("tokens"), cost: decimal("cost"), warn_at: decimal("warn_at"), ask })
    }

    /// After each of these steps people are asked, and whatever waited for the step waits for them too.
    fn insert_approval_points(&mut self) {
        let Some(points) = self.fields.get("approval_points") else {
            if let Some(node) = self.fields.get("approval") {
                let problem = Diagnostic::error("W015", "nobody is asked: there are no `approval_points`").at(node.span);
                self.problems.push(problem.help("name the steps after which people are asked"));
            }
            return;
        };
        if self.fields.truth("continue_on_failure") {
            let problem = Diagnostic::error("W016", "with `continue_on_failure` a rejection would hold nothing back").at(points.span);
            self.problems.push(problem.help("leave one of them out, or write the approvals as tasks of their own"));
        }
        for point in points.items() {
            let Some(step) = point.text() else { continue };
            let Some(position) = self.tasks.iter().position(|task| task.id == step) else {
                let names = self.tasks.iter().map(|task| task.id.as_str());
                let near = quorate_expr::closest(step, names).map(|near| format!("did you mean `{near}`?"));
                self.problems.push(Diagnostic::error("W007", format!("there is no step `{step}`")).at(point.span).maybe_help(near));
                continue;
            };
            let asks = self.fields.get("approval");
            let mut approval = self.questions().read(asks);
            if approval.question.is_empty() {
                approval.question = format!("Is the result of {step} good enough to go on?");
            }
            let id = format!("approve-{step}");
            for task in &mut self.tasks {
                if task.depends_on.iter().any(|dep| dep == step) {
                    task.depends_on.push(id.clone());
                    if task.join.as_ref().is_some_and(|join| join.needs != Needs::All) && task.role != Role::Finally {
                        let message = format!("`{}` does not wait for the approval after `{step}`: its join takes less than all", task.id);
                        self.problems.push(
                            Diagnostic::error("W016", message).at(point.span).help("leave its join out, or write the approval as a task"),
                        );
                    }
                }
            }
            let decides = self.fields.get("checkpoints").map(Node::items).unwrap_or_default().iter();
            for checkpoint in decides.filter(|checkpoint| {
                CHECKPOINT.get(checkpoint, "after").is_some_and(|after| texts(after).iter().any(|after| after == step))
            }) {
                let message = format!("this checkpoint may decide before anybody has answered what is asked after `{step}`");
                self.problems
                    .push(Diagnostic::error("W016", message).at(checkpoint.span).help(format!("let it look after `approve-{step}`")));
            }
            let asks = TaskDraft { id, depends_on: vec![step.to_owned()], work: WorkDraft::Approval(approval), ..TaskDraft::default() };
            self.tasks.insert(position + 1, asks);
            self.origins.insert(position + 1, point);
        }
    }
}

/// What follows from a checkpoint: one thing.
pub(crate) fn follows(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<ThenDraft> {
    let fields = Fields::of(node, &CHECKPOINT);
    let action = fields.text("action").map(ThenDraft::Decide);
    let follow = fields.text("follow").map(ThenDraft::Follow);
    let add = fields.get("add").map(|node| ThenDraft::Grow(texts(node)));
    let voices = fields.get("voices").map(|node| ThenDraft::Voices(voices(node)));
    let given: Vec<ThenDraft> = [action, follow, add, voices].into_iter().flatten().collect();
    if given.len() != 1 {
        let message = if given.is_empty() { "nothing follows from this checkpoint" } else { "two things follow from this checkpoint" };
        let help = "give it `action`, `follow`, `add` or `voices`: one of them";
        problems.push(Diagnostic::error("W006", message).at(node.span).help(help));
        return None;
    }
    given.into_iter().next()
}

/// The condition of a checkpoint, which only one that hears voices can do without.
pub(crate) fn condition_of(node: &Node, then: &ThenDraft, problems: &mut Vec<Diagnostic>) -> Option<String> {
    match (CHECKPOINT.get(node, "condition"), then) {
        (Some(condition), _) => Some(condition.text().unwrap_or_default().to_owned()),
        (None, ThenDraft::Voices(_)) => Some("always".to_owned()),
        (None, ThenDraft::Decide(_) | ThenDraft::Follow(_) | ThenDraft::Grow(_)) => {
            let problem = Diagnostic::error("F002", "a checkpoint needs `condition`").at(node.span);
            problems.push(problem.help("write `always` if it is to hold in any case"));
            None
        }
    }
}

/// Voices whose shape was checked.
fn voices(node: &Node) -> VoicesDraft {
    let fields = Fields::of(node, &VOICES);
    // What is out of range has been told.
    let weighs = |weight: &Decimal| (Decimal::ZERO..=Decimal::ONE_THOUSAND).contains(weight);
    let decimal = |node: &Node| {
        let text = number(node)?;
        text.parse().or_else(|_| Decimal::from_scientific(text)).ok().filter(weighs)
    };
    let voice = |node: &Node| match node.text() {
        Some(task) => VoiceDraft { task: task.to_owned(), ..VoiceDraft::default() },
        None => {
            let fields = Fields::of(node, &VOICE);
            VoiceDraft {
                task: fields.text("task").unwrap_or_default(),
                weight: fields.get("weight").and_then(decimal),
                says: fields.text("says"),
                veto: fields.text("veto"),
            }
        }
    };
    let row = |node: &Node| RowDraft {
        when: SCORE_ROW.get(node, "when").and_then(Node::text).map(str::to_owned),
        then: SCORE_ROW.get(node, "then").and_then(Node::text).unwrap_or_default().to_owned(),
    };
    let items = |name| fields.get(name).map(Node::items).unwrap_or_default();
    VoicesDraft {
        by: match fields.word("by").as_deref() {
            Some("weighted") => Method::Weighted,
            Some("unanimity") => Method::Unanimity,
            Some("first") => Method::First,
            Some("best") => Method::Best,
            _ => Method::Majority,
        },
        of: items("of").iter().map(voice).collect(),
        at_least: fields.whole("at_least"),
        actions: items("actions").iter().map(row).collect(),
        choices: fields.texts("choices"),
        insufficient: fields.text("insufficient"),
        undecided: fields.text("undecided"),
        vetoed: fields.text("vetoed"),
    }
}

fn needs(word: &str) -> Needs {
    match word {
        "none_failed" => Needs::NoneFailed,
        "settled" => Needs::Settled,
        "any" => Needs::Any,
        _ => Needs::All,
    }
}

pub(crate) fn retry(node: &Node) -> RetryDraft {
    let fields = Fields::of(node, &RETRY);
    let usual = RetryDraft::default();
    RetryDraft {
        max_retries: fields.whole("max_retries").unwrap_or(usual.max_retries),
        initial_delay: fields.duration("initial_delay").unwrap_or(usual.initial_delay),
        multiplier: fields.decimal("multiplier").unwrap_or(usual.multiplier),
        max_delay: fields.duration("max_delay").unwrap_or(usual.max_delay),
        jitter: fields.decimal("jitter").unwrap_or(usual.jitter),
        on: fields.texts("on").iter().filter_map(|class| class_of(class)).collect(),
    }
}

fn class_of(name: &str) -> Option<FailureClass> {
    serde_json::from_value(Json::String(name.to_ascii_lowercase())).ok()
}

fn for_each(node: &Node) -> ForEachDraft {
    if let Some(items) = node.text() {
        return ForEachDraft { items: items.to_owned(), ..ForEachDraft::default() };
    }
    let fields = Fields::of(node, &FOR_EACH);
    ForEachDraft {
        items: fields.text("items").unwrap_or_default(),
        max_parallel: fields.whole("max_parallel"),
        keep_going: fields.truth("keep_going"),
    }
}

fn repeat(node: &Node) -> RepeatDraft {
    let fields = Fields::of(node, &REPEAT);
    RepeatDraft {
        from: fields.text("from").unwrap_or_default(),
        while_: fields.text("while").unwrap_or_default(),
        max: fields.whole("max").unwrap_or(1),
    }
}

fn wait(node: Option<&Node>) -> WaitDraft {
    let Some(node) = node else { return WaitDraft::default() };
    let fields = Fields::of(node, &WAIT);
    WaitDraft { lasting: fields.duration("for"), until: fields.text("until"), signal: fields.text("signal") }
}
