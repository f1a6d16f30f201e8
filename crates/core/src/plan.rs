//! Plans that can run: checked, immutable, named by their content.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use quorate_expr::{Decimal, Diagnostic, Severity, Span, Type, closest};

use crate::bind::{Bound, Form, Names, Reads};
use crate::budget::Budget;
use crate::decision::{ACTIONS, AUTO_RESOLVE, ESCALATE, HIL_REVIEW, REJECTED};
use crate::draft::{
    APPROVE, ApprovalDraft, Choice, Draft, Expiry, JoinDraft, Level, Method, Needs, OnLate, RetryDraft, Role, TaskDraft, ThenDraft,
    VoiceDraft, VoicesDraft, WaitDraft, WorkDraft,
};
use crate::run::NONE;
use crate::voices::{MAX_VOICES, Row, Voice, Voices};
use crate::{Digest, FailureClass, Millis, Payload, Timestamp};

/// Most tasks of one plan.
pub const MAX_TASKS: usize = 100_000;
/// Most dependencies of one plan, all tasks together.
pub const MAX_DEPENDENCIES: usize = 1_000_000;
/// Most checkpoints of one plan.
pub const MAX_CHECKPOINTS: usize = 1_000;
/// Longest name of a task.
pub const MAX_ID_BYTES: usize = 128;
/// Most skills that a task may require.
pub const MAX_TASK_SKILLS: usize = 32;
/// Problems after which nothing is suggested any more: it takes a while to look for what may have been meant, and nobody
/// reads the thousandth guess.
pub(crate) const MAX_GUESSES: usize = 50;
/// Most attempts that a retry may add, and most times that a section may run.
pub const MAX_REPEATS: u32 = 10_000;

/// A plan that can run. One that exists is acyclic outside of its repeats, complete, and every join in it can fire.
#[derive(Debug)]
pub struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) digest: Digest,
    source: Arc<str>,
    warnings: Vec<Problem>,
    input: Type,
    profile: Type,
    pub(crate) nodes: Vec<Node>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) decides: bool,
    pub(crate) otherwise: Arc<str>,
    pub(crate) on_unknown: Arc<str>,
    pub(crate) on_failure: Option<Arc<str>>,
    pub(crate) reviews: Vec<(Arc<str>, u32)>,
    pub(crate) actions: BTreeSet<Arc<str>>,
    pub(crate) early_exit: bool,
    pub(crate) decide_last: bool,
    pub(crate) resolve_needs: Box<[Needed]>,
    pub(crate) max_parallel: u32,
    pub(crate) one_at_a_time: bool,
    pub(crate) continue_on_failure: bool,
    pub(crate) timeout: Option<Millis>,
    pub(crate) output: Option<Form>,
    pub(crate) has_late_joins: bool,
    skills: Box<[Arc<str>]>,
    pub(crate) budget: Option<Box<Budget>>,
    pub(crate) lane_count: u32,
    by_id: HashMap<Arc<str>, u32>,
}

/// What nothing is resolved by itself without: of these tasks one has to have succeeded.
#[derive(Debug)]
pub(crate) struct Needed {
    pub(crate) name: Arc<str>,
    pub(crate) tasks: Box<[u32]>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: Arc<str>,
    pub(crate) work: Work,
    /// Tasks that ask for the same agent share a lane.
    pub(crate) lane: u32,
    pub(crate) deps: Box<[u32]>,
    pub(crate) succ: Box<[u32]>,
    pub(crate) join: JoinDraft,
    pub(crate) when: Option<Bound>,
    pub(crate) skip_when: Option<Bound>,
    pub(crate) input: Option<Form>,
    pub(crate) params: Option<Form>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout: Option<Millis>,
    pub(crate) optional: bool,
    /// Whether every task after it counts successes only, so that its failure is theirs to judge.
    pub(crate) absorbed: bool,
    /// Whether it is one of several voices, who judge what it means that it failed.
    pub(crate) is_voice: bool,
    /// The task at the end of the repeated section that it belongs to, or `NONE`.
    pub(crate) section: u32,
    pub(crate) priority: u8,
    pub(crate) role: Role,
    pub(crate) compensate: Option<u32>,
    pub(crate) for_each: Option<ForEach>,
    pub(crate) repeat: Option<Repeat>,
    pub(crate) may_grow: Box<[u32]>,
    pub(crate) skills: Box<[Arc<str>]>,
    pub(crate) output: Type,
    /// The checkpoints to look at when this task ends.
    pub(crate) watched_by: Vec<u32>,
}

#[derive(Debug)]
pub(crate) enum Work {
    Agent { id: Option<Arc<str>>, capabilities: Box<[Arc<str>]> },
    Approval(Box<Approval>),
    Wait { lasting: Option<Millis>, until: Option<Until>, signal: Option<Arc<str>> },
    Workflow { plan: Digest },
}

#[derive(Debug)]
pub(crate) enum Until {
    Fixed(Timestamp),
    Computed(Bound),
}

#[derive(Debug)]
pub(crate) struct Approval {
    pub(crate) question: Form,
    pub(crate) evidence: Option<Form>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) levels: Vec<Level>,
    pub(crate) on_expiry: Expiry,
    pub(crate) starter_may_answer: bool,
    pub(crate) override_needs_note: bool,
    pub(crate) not_by: Box<[u32]>,
    pub(crate) except: Option<Form>,
}

#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) draft: RetryDraft,
}

#[derive(Debug)]
pub(crate) struct ForEach {
    pub(crate) items: Bound,
    pub(crate) max_parallel: usize,
    pub(crate) keep_going: bool,
}

#[derive(Debug)]
pub(crate) struct Repeat {
    /// The tasks of the section, in plan order, this one among them.
    pub(crate) section: Box<[u32]>,
    pub(crate) again: Bound,
    pub(crate) max: u32,
}

#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) id: Arc<str>,
    pub(crate) after: Box<[u32]>,
    pub(crate) condition: Bound,
    pub(crate) then: Then,
    pub(crate) reason: Option<Form>,
    pub(crate) with: Option<Form>,
    /// Checkpoints after the same tasks form one first-match table.
    pub(crate) table: usize,
}

impl Checkpoint {
    /// Whether what follows from it may be that something is resolved by itself.
    pub(crate) fn may_resolve(&self) -> bool {
        match &self.then {
            Then::Decide(action) => **action == *AUTO_RESOLVE,
            Then::Follow(_) | Then::Voices(_) => true,
            Then::Grow(_) => false,
        }
    }

    /// What it reads besides its condition.
    pub(crate) fn reads_besides(&self) -> impl Iterator<Item = &Bound> {
        let voices = if let Then::Voices(voices) = &self.then { Some(voices) } else { None };
        let heard = voices.into_iter().flat_map(|voices| &voices.of).flat_map(|voice| voice.says.iter().chain(&voice.veto));
        let rows = voices.into_iter().flat_map(|voices| &voices.rows).filter_map(|row| row.when.as_ref());
        heard.chain(rows).chain(self.reads_with())
    }

    /// What it reads for what goes with its action.
    pub(crate) fn reads_with(&self) -> impl Iterator<Item = &Bound> {
        let mut bounds = Vec::new();
        if let Some(with) = &self.with {
            with.each("", &mut |_, bound| bounds.push(bound));
        }
        bounds.into_iter()
    }
}

#[derive(Debug)]
pub(crate) enum Then {
    Decide(Arc<str>),
    Follow(u32),
    Grow(Box<[u32]>),
    Voices(Box<Voices>),
}

/// One mistake in a [`Draft`]: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable code.
    pub code: &'static str,
    /// The place in the draft, such as `tasks.review.depends_on`.
    pub at: String,
    /// The range of bytes in the text at that place, where the mistake is in a condition.
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
    /// Whether a plan can be made all the same.
    pub severity: Severity,
}

impl Problem {
    pub(crate) fn new(code: &'static str, at: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { code, at: at.into(), span: None, message: message.into(), help: None, severity: Severity::Error }
    }

    /// One that was found in a condition, which stands so far behind the beginning of the text.
    pub(crate) fn in_text(found: &Diagnostic, at: &str, shift: u32) -> Problem {
        let span = Span { start: found.span.start + shift, end: found.span.end + shift };
        let (message, help) = (found.message.clone(), found.help.clone());
        Problem { code: found.code, at: at.to_owned(), span: Some(span), message, help, severity: found.severity }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.at, self.message, self.code)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Plan {
    /// Checks a draft and makes it a plan.
    ///
    /// # Errors
    /// Every mistake, in the order of the draft.
    pub fn compile(draft: &Draft) -> Result<Plan, Vec<Problem>> {
        let whole = with_reviews(draft);
        let undo_items = whole.tasks.iter().filter(|task| task.for_each.is_some()).filter_map(|task| task.compensate.as_deref()).collect();
        let councils = whole.checkpoints.iter().filter_map(|checkpoint| match &checkpoint.then {
            ThenDraft::Voices(voices) => Some(&voices.of),
            ThenDraft::Decide(_) | ThenDraft::Follow(_) | ThenDraft::Grow(_) => None,
        });
        let voices = councils.flatten().map(|voice| voice.task.as_str()).collect();
        let mut compiler =
            Compiler { draft: &whole, by_id: HashMap::new(), undo_items, voices, in_section: HashMap::new(), problems: Vec::new() };
        let plan = compiler.plan();
        match plan {
            Some(plan) if compiler.problems.iter().all(|problem| problem.severity == Severity::Warning) => {
                Ok(Plan { warnings: compiler.problems, ..plan })
            }
            _ => Err(compiler.problems),
        }
    }

    /// The plan as a draft, with everything that was added to what was written.
    ///
    /// # Panics
    /// Never: the text of a plan is a draft.
    #[must_use]
    pub fn draft(&self) -> Draft {
        serde_json::from_str(&self.source).expect("a plan was written from a draft")
    }

    /// Reads a plan back from the text that [`Plan::source`] gave.
    ///
    /// # Errors
    /// Why the text is not a plan.
    pub fn read(source: &str) -> Result<Plan, Vec<Problem>> {
        let draft: Draft = serde_json::from_str(source).map_err(|wrong| vec![Problem::new("P000", "plan", wrong.to_string())])?;
        Plan::compile(&draft)
    }

    /// The plan as text; its digest is [`Plan::digest`].
    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The name of the plan by its content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the profile of its work looks like.
    #[must_use]
    pub fn profile(&self) -> &Type {
        &self.profile
    }

    /// What its input is declared to be.
    #[must_use]
    pub fn input(&self) -> &Type {
        &self.input
    }

    /// Checks what a run is to be about against what the plan says.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check_start(&self, input: &Payload, profile: Option<&Payload>) -> Result<(), String> {
        input.check_as("input", &self.input)?;
        profile.map_or(Ok(()), |profile| profile.check_as("profile", &self.profile))
    }

    /// What is odd about it, though it can run: a condition that can never hold, say.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Whether one task of a section comes before another one of it.
    pub(crate) fn comes_before(&self, earlier: u32, later: u32) -> bool {
        let node = |ix: u32| &self.nodes[ix as usize];
        if node(later).deps.contains(&earlier) || (self.one_at_a_time && earlier < later) {
            return true;
        }
        let section = node(later).section;
        let mut open: Vec<u32> = node(later).deps.to_vec();
        let mut seen = HashSet::new();
        while let Some(ix) = open.pop() {
            if ix == earlier {
                return true;
            }
            if node(ix).section == section && seen.insert(ix) {
                open.extend(&node(ix).deps);
            }
        }
        false
    }

    /// How many tasks it has, of every role.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.nodes.len()
    }

    /// Whether one of its tasks is the question for more of its budget.
    #[must_use]
    pub fn asks_for_budget(&self) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.ask.is_some())
    }

    /// The names of its tasks and of the tasks that each depends on.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.nodes.iter().map(|node| (&*node.id, node.deps.iter().map(|dep| &*self.nodes[*dep as usize].id)))
    }

    /// The names of its tasks, each after all that it depends on.
    #[must_use]
    pub fn in_order(&self) -> Vec<&str> {
        let mut open: Vec<usize> = self.nodes.iter().map(|node| node.deps.len()).collect();
        let mut free: std::collections::VecDeque<usize> = (0..open.len()).filter(|ix| open[*ix] == 0).collect();
        let mut order = Vec::with_capacity(open.len());
        while let Some(ix) = free.pop_front() {
            order.push(&*self.nodes[ix].id);
            for next in &self.nodes[ix].succ {
                open[*next as usize] -= 1;
                if open[*next as usize] == 0 {
                    free.push_back(*next as usize);
                }
            }
        }
        order
    }

    /// How many of its tasks run at once at the most, where it says so.
    #[must_use]
    pub fn max_parallel(&self) -> Option<u32> {
        if self.one_at_a_time { Some(1) } else { (self.max_parallel < u32::MAX).then_some(self.max_parallel) }
    }

    /// How many of its tasks are for agents.
    #[must_use]
    pub fn agent_tasks(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node.work, Work::Agent { .. })).count()
    }

    /// The plans that its tasks run as sub-workflows.
    pub fn sub_plans(&self) -> impl Iterator<Item = Digest> {
        self.nodes.iter().filter_map(|node| match node.work {
            Work::Workflow { plan } => Some(plan),
            Work::Agent { .. } | Work::Approval(_) | Work::Wait { .. } => None,
        })
    }

    /// The constraint that its tasks are under: `sequential`, `parallel`, `conditional` or `dag`.
    #[must_use]
    pub fn strategy(&self) -> &'static str {
        let main = || self.nodes.iter().filter(|node| node.role == Role::Main);
        if self.one_at_a_time || main().count() == 1 {
            "sequential"
        } else if main().any(|node| node.when.is_some() || node.skip_when.is_some()) {
            "conditional"
        } else if main().all(|node| node.deps.is_empty()) {
            "parallel"
        } else {
            "dag"
        }
    }

    /// The skills that its tasks require, each once.
    #[must_use]
    pub fn skills(&self) -> &[Arc<str>] {
        &self.skills
    }

    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }
}

/// A decision that is for people to take is put before people: where a draft does not say how, it gets a question.
fn with_reviews(draft: &Draft) -> Cow<'_, Draft> {
    let missing = |action: &&str| !draft.reviews.iter().any(|(on, _)| on == action);
    let missing: Vec<&str> = [HIL_REVIEW, ESCALATE].into_iter().filter(missing).collect();
    if !decides(draft) || missing.is_empty() {
        return Cow::Borrowed(draft);
    }
    let names: BTreeSet<&str> = draft.tasks.iter().map(|task| task.id.as_str()).collect();
    let mut id = "review".to_owned();
    while names.contains(id.as_str()) {
        id.push('_');
    }
    let mut whole = draft.clone();
    whole.reviews.extend(missing.into_iter().map(|action| (action.to_owned(), id.clone())));
    let question = ApprovalDraft { question: "What is to be done? The decision is left to people.".to_owned(), ..ApprovalDraft::default() };
    whole.tasks.push(TaskDraft { id, role: Role::Review, work: WorkDraft::Approval(question), ..TaskDraft::default() });
    Cow::Owned(whole)
}

fn decides(draft: &Draft) -> bool {
    draft.decides || draft.otherwise.is_some() || draft.checkpoints.iter().any(|checkpoint| !matches!(checkpoint.then, ThenDraft::Grow(_)))
}

struct Compiler<'a> {
    draft: &'a Draft,
    by_id: HashMap<Arc<str>, u32>,
    /// The tasks that undo what was done for the items of a list.
    undo_items: HashSet<&'a str>,
    /// The tasks that are heard as one of several voices.
    voices: HashSet<&'a str>,
    /// For each task of a repeated section, the task at its end.
    in_section: HashMap<u32, u32>,
    problems: Vec<Problem>,
}

const RESERVED: [&str; 17] = [
    "input",
    "profile",
    "session",
    "item",
    "index",
    "params",
    "and",
    "or",
    "not",
    "in",
    "true",
    "false",
    "always",
    "never",
    "starts_with",
    "ends_with",
    "contains",
];

impl Compiler<'_> {
    fn plan(&mut self) -> Option<Plan> {
        let draft = self.draft;
        self.check_size();
        self.check_ids();
        if !self.problems.is_empty() {
            // Without sound names every further message would be a guess.
            return None;
        }
        let deps: Vec<Box<[u32]>> = draft.tasks.iter().map(|task| self.dependencies(task)).collect();
        let succ = successors(&deps);
        if self.check_cycles(&deps) {
            return None;
        }
        self.check_limits();
        self.check_roles(&deps);
        let sections = self.sections(&deps, &succ);
        self.in_section = sections.iter().flat_map(|(end, section)| section.iter().map(|member| (*member, *end))).collect();
        let names = Names {
            draft,
            by_id: &self.by_id.clone(),
            deps: &deps,
            succ: &succ,
            sections: &sections,
            later: RefCell::default(),
            asked: Cell::new(0),
        };
        let mut nodes: Vec<Node> = Vec::with_capacity(draft.tasks.len());
        for (ix, task) in draft.tasks.iter().enumerate() {
            let node = self.node(&names, ix, task, &deps, &succ, &sections);
            nodes.push(node);
        }
        let lane_count = share_lanes(&mut nodes);
        let checkpoints = self.checkpoints(&names, &mut nodes);
        let output = draft.output.as_ref().map(|json| Form::compile(json, "output", &names.after_all(), &mut self.problems));
        if let Some(form) = &output {
            self.check_output(form);
        }
        let need = |(position, need): (usize, &crate::draft::ResolveNeed)| {
            let at = || format!("resolve_needs[{position}].tasks");
            Needed { name: need.name.as_str().into(), tasks: need.tasks.iter().filter_map(|id| self.task(id, at)).collect() }
        };
        let resolve_needs = draft.resolve_needs.iter().enumerate().map(need).collect();
        let reviews = self.reviews(&mut nodes);
        let budget = self.budget(&nodes);
        let source: Arc<str> = serde_json::to_string(draft).expect("a draft is plain data").into();
        let otherwise: Arc<str> = draft.otherwise.as_deref().unwrap_or(HIL_REVIEW).into();
        let on_unknown: Arc<str> = draft.on_unknown.as_deref().unwrap_or(HIL_REVIEW).into();
        let mut actions: BTreeSet<Arc<str>> = ACTIONS.into_iter().map(Arc::from).collect();
        let on_failure: Option<Arc<str>> = draft.on_failure.as_deref().filter(|_| decides(draft)).map(Arc::from);
        actions.extend([otherwise.clone(), on_unknown.clone()]);
        actions.extend(on_failure.clone());
        actions.extend(checkpoints.iter().flat_map(|checkpoint| match &checkpoint.then {
            Then::Decide(action) => vec![action.clone()],
            Then::Voices(voices) => {
                let own = [&voices.insufficient, &voices.undecided, &voices.vetoed];
                own.into_iter().chain(voices.rows.iter().map(|row| &row.then)).cloned().collect()
            }
            Then::Follow(_) | Then::Grow(_) => Vec::new(),
        }));
        actions.extend(draft.checkpoints.iter().flat_map(|checkpoint| match &checkpoint.then {
            ThenDraft::Voices(voices) => voices.choices.iter().map(|choice| choice.as_str().into()).collect(),
            ThenDraft::Decide(_) | ThenDraft::Follow(_) | ThenDraft::Grow(_) => Vec::<Arc<str>>::new(),
        }));
        Some(Plan {
            name: draft.name.as_str().into(),
            digest: Digest::of(source.as_bytes()),
            source,
            warnings: Vec::new(),
            input: draft.input.clone(),
            profile: draft.profile.clone(),
            decides: decides(draft),
            checkpoints,
            otherwise,
            on_unknown,
            on_failure,
            reviews,
            actions,
            early_exit: !draft.no_early_exit,
            decide_last: draft.decide_last,
            resolve_needs,
            max_parallel: draft.max_parallel.unwrap_or(u32::MAX),
            one_at_a_time: draft.one_at_a_time,
            continue_on_failure: draft.continue_on_failure,
            timeout: draft.timeout,
            output,
            has_late_joins: nodes.iter().any(|node| node.join.within.is_some()),
            skills: nodes.iter().flat_map(|node| &node.skills).cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            budget,
            lane_count,
            nodes,
            by_id: std::mem::take(&mut self.by_id),
        })
    }

    fn report(&mut self, code: &'static str, at: impl Into<String>, message: impl Into<String>, help: Option<String>) {
        self.problems.push(Problem { help, ..Problem::new(code, at, message) });
    }

    fn check_size(&mut self) {
        let draft = self.draft;
        let dependencies: usize = draft.tasks.iter().map(|task| task.depends_on.len()).sum();
        for (what, count, most) in [
            ("tasks", draft.tasks.len(), MAX_TASKS),
            ("dependencies", dependencies, MAX_DEPENDENCIES),
            ("checkpoints", draft.checkpoints.len(), MAX_CHECKPOINTS),
        ] {
            if count > most {
                let help = "split the plan into sub-workflows".to_owned();
                self.report("P001", what, format!("the plan has {count} {what}, more than the {most} allowed"), Some(help));
            }
        }
    }

    fn check_limits(&mut self) {
        let draft = self.draft;
        if draft.tasks.iter().all(|task| task.role != Role::Main) {
            self.report("P002", "tasks", "the plan has no task to start with", None);
        }
        if draft.on_unknown.as_deref() == Some(AUTO_RESOLVE) {
            let help = format!("leave it out for {HIL_REVIEW}, or name another action");
            self.report("P003", "on_unknown", "what is unknown is never resolved by itself", Some(help));
        }
        if draft.on_failure.as_deref() == Some(AUTO_RESOLVE) {
            let help = format!("leave it out, or name another action, such as {HIL_REVIEW}");
            self.report("P003", "on_failure", "what failed is never resolved by itself", Some(help));
        }
        if draft.max_parallel == Some(0) {
            self.report(
                "P003",
                "max_parallel",
                "with no task at a time nothing would ever run",
                Some("leave it out, or allow 1".to_owned()),
            );
        }
    }

    fn check_ids(&mut self) {
        for (ix, task) in self.draft.tasks.iter().enumerate() {
            let at = format!("tasks[{ix}].id");
            let id = task.id.as_str();
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if id.is_empty()
                || id.len() > MAX_ID_BYTES
                || !id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                || !id.chars().all(plain)
            {
                let help =
                    format!("a name starts with a letter, goes on with letters, digits, `_` and `-`, and has up to {MAX_ID_BYTES} of them");
                self.report("P004", at, format!("`{id}` cannot be the name of a task"), Some(help));
            } else if RESERVED.contains(&id) {
                self.report("P004", at, format!("`{id}` means something else in conditions"), Some("choose another name".to_owned()));
            } else if let Some(first) = self.by_id.insert(id.into(), u32::try_from(ix).unwrap_or(u32::MAX)) {
                self.report("P005", at, format!("there are two tasks called `{id}`, the first at tasks[{first}]"), None);
            }
        }
    }

    /// Looks a task up by name, and reports a name that is not there.
    fn task(&mut self, id: &str, at: impl Fn() -> String) -> Option<u32> {
        let found = self.by_id.get(id).copied();
        if found.is_none() {
            let names = self.draft.tasks.iter().map(|task| task.id.as_str());
            let near = if self.problems.len() < MAX_GUESSES { closest(id, names) } else { None };
            let shown: String = id.chars().take(MAX_ID_BYTES).collect();
            self.report("P010", at(), format!("there is no task `{shown}`"), near.map(|near| format!("did you mean `{near}`?")));
        }
        found
    }

    fn dependencies(&mut self, task: &TaskDraft) -> Box<[u32]> {
        let mut found = Vec::with_capacity(task.depends_on.len());
        let mut seen = BTreeSet::new();
        for id in &task.depends_on {
            let at = || format!("tasks.{}.depends_on", task.id);
            if *id == task.id {
                self.report("P011", at(), format!("`{id}` depends on itself"), None);
            } else if !seen.insert(id) {
                self.report("P012", at(), format!("`{id}` is named twice"), None);
            } else if let Some(dep) = self.task(id, at) {
                found.push(dep);
            }
        }
        found.into()
    }

    /// Reports one cycle, if there is any, and says whether there is.
    fn check_cycles(&mut self, deps: &[Box<[u32]>]) -> bool {
        let mut open: Vec<usize> = deps.iter().map(|deps| deps.len()).collect();
        let succ = successors(deps);
        let mut free: Vec<usize> = (0..deps.len()).filter(|ix| open[*ix] == 0).collect();
        let mut done = 0;
        while let Some(ix) = free.pop() {
            done += 1;
            for next in &succ[ix] {
                open[*next as usize] -= 1;
                if open[*next as usize] == 0 {
                    free.push(*next as usize);
                }
            }
        }
        if done == deps.len() {
            return false;
        }
        // Going back along tasks that were never freed must come round.
        let mut path = vec![open.iter().position(|open| *open > 0).unwrap_or(0)];
        let round = loop {
            let here = path[path.len() - 1];
            let back = deps[here].iter().map(|dep| *dep as usize).find(|dep| open[*dep] > 0).unwrap_or(here);
            if let Some(start) = path.iter().position(|seen| *seen == back) {
                break path.split_off(start);
            }
            path.push(back);
        };
        let names: Vec<&str> = round.iter().rev().map(|ix| self.draft.tasks[*ix].id.as_str()).collect();
        let shown =
            if names.len() > 12 { format!("{} → … ({} tasks)", names[..12].join(" → "), names.len()) } else { names.join(" → ") };
        let at = format!("tasks.{}.depends_on", names[0]);
        let help = "remove one of these dependencies, or write the loop as `repeat`".to_owned();
        self.report("P013", at, format!("these tasks wait for each other: {shown} → {}", names[0]), Some(help));
        true
    }

    fn check_roles(&mut self, deps: &[Box<[u32]>]) {
        let draft = self.draft;
        for (task, deps) in draft.tasks.iter().zip(deps) {
            let at = format!("tasks.{}.depends_on", task.id);
            if matches!(task.role, Role::Review | Role::Compensation) && !deps.is_empty() {
                let why = if task.role == Role::Review { "a decision opens it" } else { "it runs when the task is undone that names it" };
                self.report("P014", at.clone(), format!("`{}` cannot depend on other tasks: {why}", task.id), None);
            }
            for dep in deps {
                let dep = &draft.tasks[*dep as usize];
                let wrong = match (task.role, dep.role) {
                    (_, Role::Compensation) => Some("runs only when something is undone"),
                    (Role::Main | Role::Catalogue, Role::Finally) => Some("runs after the end"),
                    (Role::Main | Role::Catalogue, Role::Review) => Some("runs after the decision"),
                    _ => None,
                };
                if let Some(why) = wrong {
                    self.report("P014", at.clone(), format!("`{}` cannot wait for `{}`, which {why}", task.id, dep.id), None);
                }
            }
            self.check_join(task, deps);
        }
        self.check_catalogue();
    }

    fn check_join(&mut self, task: &TaskDraft, deps: &[u32]) {
        let Some(join) = &task.join else {
            self.check_join_fires(task, deps, Needs::All);
            return;
        };
        let at = format!("tasks.{}.join", task.id);
        if deps.is_empty() {
            self.report("P015", at, format!("`{}` has a join but no dependencies to join", task.id), None);
            return;
        }
        if join.needs == Needs::AtLeast(0) {
            self.report(
                "P015",
                at.clone(),
                "a join that needs no dependency would not wait for any",
                Some("leave the dependencies out".to_owned()),
            );
        }
        if join.within.is_none() && join.on_late != OnLate::Fail {
            self.report("P015", at.clone(), "`on_late` says what happens after `within`, which is missing", None);
        }
        if join.within.is_some() && task.role == Role::Finally {
            self.report("P015", at, "when a final task runs, all before it has ended: nothing can be late", None);
        }
        self.check_join_fires(task, deps, join.needs);
    }

    fn check_join_fires(&mut self, task: &TaskDraft, deps: &[u32], needs: Needs) {
        let there = deps.iter().filter(|dep| self.draft.tasks[**dep as usize].role != Role::Catalogue).count();
        let needed = match needs {
            Needs::All if task.role == Role::Main => deps.len(),
            Needs::AtLeast(count) if task.role == Role::Main || count as usize > deps.len() => count as usize,
            Needs::Any if task.role == Role::Main => 1,
            _ => return,
        };
        // A dependency that is not there has been reported, and what it would have been is not known.
        if needed <= there || deps.len() < task.depends_on.len() || deps.is_empty() {
            return;
        }
        let at = format!("tasks.{}.join", task.id);
        let message = format!("this join cannot fire: it needs {needed} of its dependencies, and only {there} can run without being added");
        let help = if needed > deps.len() {
            "it has no more dependencies than these".to_owned()
        } else {
            "use `none_failed` or `settled` to wait for tasks of the catalogue only if they are added".to_owned()
        };
        self.report("P016", at, message, Some(help));
    }

    /// Every task of the catalogue, and every compensation and review, must be reachable by what brings it in.
    fn check_catalogue(&mut self) {
        let draft = self.draft;
        let grown =
            draft.tasks.iter().flat_map(|task| &task.may_grow).chain(draft.checkpoints.iter().flat_map(
                |checkpoint| match &checkpoint.then {
                    ThenDraft::Grow(tasks) => tasks.as_slice(),
                    ThenDraft::Decide(_) | ThenDraft::Follow(_) | ThenDraft::Voices(_) => &[],
                },
            ));
        let asked = draft.budget.iter().filter_map(|budget| budget.ask.as_ref());
        let grown: BTreeSet<&str> = grown.chain(asked).map(String::as_str).collect();
        let undoing: BTreeSet<&str> = draft.tasks.iter().filter_map(|task| task.compensate.as_deref()).collect();
        let reviewing: BTreeSet<&str> = draft.reviews.iter().map(|(_, task)| task.as_str()).collect();
        for task in &draft.tasks {
            let (known, how) = match task.role {
                Role::Catalogue => (&grown, "no checkpoint and no agent can add it"),
                Role::Compensation => (&undoing, "no task names it as its compensation"),
                Role::Review => (&reviewing, "no decision opens it"),
                Role::Main | Role::Finally => continue,
            };
            if !known.contains(task.id.as_str()) {
                self.report("P017", format!("tasks.{}.role", task.id), format!("`{}` can never run: {how}", task.id), None);
            }
        }
        for task in &draft.tasks {
            for name in &task.may_grow {
                self.check_brought_in(name, Role::Catalogue, || format!("tasks.{}.may_grow", task.id));
            }
            if let Some(name) = &task.compensate {
                self.check_brought_in(name, Role::Compensation, || format!("tasks.{}.compensate", task.id));
            }
        }
        for (position, checkpoint) in draft.checkpoints.iter().enumerate() {
            if let ThenDraft::Grow(names) = &checkpoint.then {
                for name in names {
                    self.check_brought_in(name, Role::Catalogue, || format!("checkpoints[{position}].grow"));
                }
            }
        }
        if let Some(name) = draft.budget.as_ref().and_then(|budget| budget.ask.as_ref()) {
            self.check_brought_in(name, Role::Catalogue, || "budget.ask".to_owned());
        }
        for (_, name) in &draft.reviews {
            self.check_brought_in(name, Role::Review, || "reviews".to_owned());
        }
    }

    /// What is brought into a run must be there, and must not run anyway.
    fn check_brought_in(&mut self, name: &str, role: Role, at: impl Fn() -> String) {
        if let Some(ix) = self.task(name, &at)
            && self.draft.tasks[ix as usize].role != role
        {
            let message = format!("`{name}` runs anyway; one that is added has the role {role:?}").to_lowercase();
            self.report("P018", at(), message, None);
        }
    }

    /// For each task with a `repeat`, the tasks that run again.
    fn sections(&mut self, deps: &[Box<[u32]>], succ: &[Vec<u32>]) -> BTreeMap<u32, Box<[u32]>> {
        let draft = self.draft;
        let mut sections = BTreeMap::new();
        let mut owner: HashMap<u32, &str> = HashMap::new();
        for (ix, task) in (0..).zip(&draft.tasks) {
            let Some(repeat) = &task.repeat else { continue };
            let at = format!("tasks.{}.repeat", task.id);
            let Some(from) = self.task(&repeat.from, || at.clone()) else { continue };
            let forward = reachable(from, succ);
            let backward = reachable(ix, deps);
            let section: Box<[u32]> = forward.intersection(&backward).copied().collect();
            if section.is_empty() {
                let message = format!("`{}` does not come before `{}`, so there is no section to repeat", repeat.from, task.id);
                self.report("P019", at, message, None);
                continue;
            }
            if repeat.max == 0 || repeat.max > MAX_REPEATS {
                self.report("P003", at.clone(), format!("a section runs 1 to {MAX_REPEATS} times, not {}", repeat.max), None);
            }
            if task.for_each.is_some() {
                let help = "give the list to a task of the section instead".to_owned();
                self.report("P019", at.clone(), "a task with `for_each` cannot end a repeated section", Some(help));
            }
            for member in &section {
                let name = &draft.tasks[*member as usize].id;
                if let Some(other) = owner.insert(*member, &task.id) {
                    let help = "put the inner one into a sub-workflow".to_owned();
                    self.report("P019", at.clone(), format!("`{name}` belongs to the section of `{other}` already"), Some(help));
                }
                let outside = succ[*member as usize].iter().find(|next| {
                    **next != ix && !section.contains(next) && draft.tasks[**next as usize].role != Role::Finally && *member != ix
                });
                if let Some(next) = outside {
                    let next = &draft.tasks[*next as usize].id;
                    let help = format!("let `{next}` depend on `{}`; it can still read `{name}`", task.id);
                    let message = format!("`{next}` waits for `{name}`, which may run several times");
                    self.report("P019", format!("tasks.{next}.depends_on"), message, Some(help));
                }
            }
            sections.insert(ix, section);
        }
        sections
    }

    fn node(
        &mut self,
        names: &Names<'_>,
        ix: usize,
        task: &TaskDraft,
        deps: &[Box<[u32]>],
        succ: &[Vec<u32>],
        sections: &BTreeMap<u32, Box<[u32]>>,
    ) -> Node {
        let here = u32::try_from(ix).expect("MAX_TASKS fits");
        let at = |field: &str| format!("tasks.{}.{field}", task.id);
        let before = names.before(here);
        let of_item = task.for_each.is_some() || (task.role == Role::Compensation && self.undo_items.contains(task.id.as_str()));
        let each = names.before(here).with_item(of_item);
        let default_join = if task.role == Role::Finally { Needs::Settled } else { Needs::All };
        let join = task.join.clone().unwrap_or(JoinDraft { needs: default_join, ..JoinDraft::default() });
        let counts_successes = |next: &u32| {
            let join = self.draft.tasks[*next as usize].join.as_ref();
            matches!(join.map(|join| join.needs), Some(Needs::Any | Needs::AtLeast(_)))
        };
        let mut after = succ[ix].iter().filter(|next| self.draft.tasks[**next as usize].role != Role::Finally).peekable();
        let is_voice = self.voices.contains(task.id.as_str());
        let absorbed = after.peek().is_some() && after.all(counts_successes);
        let priority = task.priority.unwrap_or(5);
        if !(1..=10).contains(&priority) {
            self.report("P003", at("priority"), format!("a priority is 1 to 10, not {priority}"), None);
        }
        let problems = &mut self.problems;
        let undoing = task.role == Role::Compensation;
        let conditions = if undoing { &each } else { &before };
        let when = task.when.as_ref().and_then(|text| Bound::condition(text, &at("when"), conditions, problems));
        let skip_when = task.skip_when.as_ref().and_then(|text| Bound::condition(text, &at("skip_when"), conditions, problems));
        let input = task.input.as_ref().map(|json| Form::compile(json, &at("input"), &each, problems));
        let params = task.params.as_ref().map(|json| Form::compile(json, &at("params"), &each, problems));
        let for_each = task.for_each.as_ref().and_then(|draft| {
            let items = Bound::expression(&draft.items, &at("for_each.items"), &before, problems)?;
            let kind = items.checked.type_of(items.checked.ast().root());
            if !matches!(kind, Type::List(_) | Type::Any) {
                problems.push(Problem::new("P026", at("for_each.items"), format!("`for_each` takes a list, and this is {kind}")));
            }
            Some(ForEach { items, max_parallel: draft.max_parallel.map_or(usize::MAX, |max| max as usize), keep_going: draft.keep_going })
        });
        let repeat = task.repeat.as_ref().zip(sections.get(&here)).and_then(|(draft, section)| {
            let again = Bound::condition(&draft.while_, &at("repeat.while"), &names.at_end_of(here), problems)?;
            Some(Repeat { section: section.clone(), again, max: draft.max })
        });
        if task.for_each.as_ref().is_some_and(|draft| draft.max_parallel == Some(0)) {
            self.report("P003", at("for_each.max_parallel"), "with no item at a time nothing would ever run", None);
        }
        self.check_fields(task);
        let node = Node {
            id: task.id.as_str().into(),
            work: self.work(task, &each),
            lane: 0,
            deps: deps[ix].clone(),
            succ: succ[ix].clone().into(),
            join,
            when,
            skip_when,
            input,
            params,
            retry: self.retry(task),
            timeout: task.timeout,
            optional: task.optional,
            absorbed,
            is_voice,
            section: self.in_section.get(&here).copied().unwrap_or(NONE),
            priority,
            role: task.role,
            compensate: task.compensate.as_ref().and_then(|id| self.by_id.get(id.as_str()).copied()),
            for_each,
            repeat,
            may_grow: task.may_grow.iter().filter_map(|id| self.by_id.get(id.as_str()).copied()).collect(),
            skills: task.skills.iter().map(|name| name.as_str().into()).collect(),
            output: task.output.clone(),
            watched_by: Vec::new(),
        };
        self.check_gaps(task, &node);
        node
    }

    /// A run that returns what a task returned needs that task to have run.
    fn check_output(&mut self, form: &Form) {
        let mut gaps: Vec<(String, u32)> = Vec::new();
        form.each("output", &mut |at, bound| gaps.extend(bound.bare_output().map(|read| (at.to_owned(), read))));
        for (at, read) in gaps {
            let task = &self.draft.tasks[read as usize];
            if task.optional || task.when.is_some() || task.skip_when.is_some() {
                let message = format!("`{}` may have failed or been skipped, and the run then returns nothing", task.id);
                let help = format!("say what stands in its place, as in default({}, …)", task.id);
                self.problems.push(Problem { severity: Severity::Warning, help: Some(help), ..Problem::new("P027", at, message) });
            }
        }
    }

    /// A task that also runs after others that returned nothing fails where it reads what they did not return.
    fn check_gaps(&mut self, task: &TaskDraft, node: &Node) {
        if node.join.needs == Needs::All {
            return;
        }
        let mut gaps: Vec<(String, u32)> = Vec::new();
        let asked: Vec<u32> = node.when.iter().flat_map(Bound::tasks).collect();
        let mut look = |at: &str, bound: &Bound| {
            gaps.extend(
                bound.bare_output().filter(|read| node.deps.contains(read) && !asked.contains(read)).map(|read| (at.to_owned(), read)),
            );
        };
        let at = |field: &str| format!("tasks.{}.{field}", task.id);
        for (field, form) in [("input", &node.input), ("params", &node.params)] {
            form.iter().for_each(|form| form.each(&at(field), &mut look));
        }
        if let Some(for_each) = &node.for_each {
            look(&at("for_each.items"), &for_each.items);
        }
        for (at, read) in gaps {
            let read = &self.draft.tasks[read as usize];
            let may_be_skipped = read.when.is_some() || read.skip_when.is_some();
            let how = match node.join.needs {
                Needs::NoneFailed if may_be_skipped => "been skipped",
                Needs::NoneFailed | Needs::All => continue,
                Needs::Settled | Needs::Any | Needs::AtLeast(_) => "failed or been skipped",
            };
            let message = format!("`{}` may have {how} by then, and `{}` fails for want of it", read.id, task.id);
            let help = format!("say what stands in its place, as in default({}, …), or ask for it in `when`", read.id);
            self.problems.push(Problem { severity: Severity::Warning, help: Some(help), ..Problem::new("P027", at, message) });
        }
    }

    /// Fields that would mean nothing on a task of this kind.
    fn check_fields(&mut self, task: &TaskDraft) {
        let at = |field: &str| format!("tasks.{}.{field}", task.id);
        if task.params.is_some() && !matches!(task.work, WorkDraft::Agent { .. }) {
            self.report("P020", at("params"), "only an agent gets parameters", None);
        }
        if !matches!(task.work, WorkDraft::Agent { .. } | WorkDraft::Workflow { .. }) {
            let by_itself = [
                ("input", task.input.is_some(), "only an agent or a workflow gets an input"),
                ("compensate", task.compensate.is_some(), "only what an agent or a workflow did can be undone"),
                ("timeout", task.timeout.is_some(), "only an agent or a workflow runs out of time"),
                ("retry", task.retry.is_some(), "only an agent or a workflow is tried again"),
            ];
            for (field, given, message) in by_itself {
                if given {
                    let help = match (&task.work, field) {
                        (WorkDraft::Approval(_), "timeout") => Some("give the approval a `within`".to_owned()),
                        (WorkDraft::Wait(_), "timeout") => Some("give the wait `for` or `until`".to_owned()),
                        _ => None,
                    };
                    self.report("P020", at(field), message, help);
                }
            }
        }
        if !task.skills.is_empty() && !matches!(task.work, WorkDraft::Agent { .. }) {
            self.report("P020", at("skills"), "only an agent gets skills", None);
        }
        if task.skills.len() > MAX_TASK_SKILLS {
            let count = task.skills.len();
            self.report("P003", at("skills"), format!("{count} skills are more than the {MAX_TASK_SKILLS} that a task may require"), None);
        }
        if task.role != Role::Main && task.role != Role::Catalogue && task.repeat.is_some() {
            self.report("P019", at("repeat"), "only what belongs to the main part runs again", None);
        }
    }

    fn work(&mut self, task: &TaskDraft, reads: &Reads<'_>) -> Work {
        let at = format!("tasks.{}.work", task.id);
        match &task.work {
            WorkDraft::Agent { id, capabilities } => {
                if id.is_none() && capabilities.is_empty() {
                    let help = "name an agent, or at least one capability".to_owned();
                    self.report("P021", at, format!("nothing says who does `{}`", task.id), Some(help));
                }
                Work::Agent {
                    id: id.as_deref().map(Arc::from),
                    capabilities: capabilities.iter().map(|name| name.as_str().into()).collect(),
                }
            }
            WorkDraft::Workflow { plan } => Work::Workflow { plan: *plan },
            WorkDraft::Wait(wait) => self.wait(wait, &at, reads),
            WorkDraft::Approval(approval) => Work::Approval(Box::new(self.approval(approval, task, &at, reads))),
        }
    }

    fn wait(&mut self, wait: &WaitDraft, at: &str, reads: &Reads<'_>) -> Work {
        if *wait == WaitDraft::default() {
            self.report("P022", at, "this wait waits for nothing", Some("give it `for`, `until` or `signal`".to_owned()));
        }
        let until = wait.until.as_ref().and_then(|text| match text.parse() {
            Ok(fixed) => Some(Until::Fixed(fixed)),
            Err(_) => Bound::expression(text, &format!("{at}.until"), reads, &mut self.problems).map(Until::Computed),
        });
        Work::Wait { lasting: wait.lasting, until, signal: wait.signal.as_deref().map(Arc::from) }
    }

    fn approval(&mut self, draft: &ApprovalDraft, task: &TaskDraft, at: &str, reads: &Reads<'_>) -> Approval {
        if draft.question.trim().is_empty() {
            self.report("P023", format!("{at}.question"), format!("`{}` asks people, but has no question", task.id), None);
        }
        let mut choices = draft.choices.clone();
        if choices.is_empty() {
            let choice = |name: &str, rejects| Choice { name: name.to_owned(), rejects, needs_note: false };
            choices = vec![choice(APPROVE, false), choice("reject", task.role != Role::Review)];
        }
        if choices.iter().all(|choice| choice.rejects) {
            self.report("P023", format!("{at}.choices"), "every choice rejects, so the question could as well not be asked", None);
        }
        if let Expiry::Choose(choice) = &draft.on_expiry
            && !choices.iter().any(|known| known.name == *choice)
        {
            self.report("P023", format!("{at}.on_expiry"), format!("`{choice}` is not one of the choices"), None);
        }
        let levels = if draft.levels.is_empty() { vec![Level::default()] } else { draft.levels.clone() };
        for (position, level) in levels.iter().enumerate() {
            let people = level.users.len();
            let needed = level.at_least.unwrap_or(1) as usize;
            if needed == 0 || (level.groups.is_empty() && people > 0 && needed > people) {
                let message = format!("it takes {needed} people to agree, but names only {people}");
                self.report("P023", format!("{at}.levels[{position}]"), message, None);
            }
            if position + 1 < levels.len() && level.within.is_none() {
                let message = "the next level is never asked, because this one has all the time in the world";
                self.report("P023", format!("{at}.levels[{position}]"), message, Some("give it `within`".to_owned()));
            }
        }
        let not_by = draft.not_by.iter().filter_map(|id| self.task(id, || format!("{at}.not_by"))).collect();
        let question = serde_json::Value::String(draft.question.clone());
        Approval {
            question: Form::compile(&question, &format!("{at}.question"), reads, &mut self.problems),
            evidence: draft.evidence.as_ref().map(|json| Form::compile(json, &format!("{at}.evidence"), reads, &mut self.problems)),
            choices,
            levels,
            on_expiry: draft.on_expiry.clone(),
            starter_may_answer: draft.starter_may_answer,
            override_needs_note: draft.override_needs_note,
            not_by,
            except: draft.except.as_ref().map(|json| Form::compile(json, &format!("{at}.except"), reads, &mut self.problems)),
        }
    }

    fn retry(&mut self, task: &TaskDraft) -> Option<Retry> {
        let draft = task.retry.as_ref()?;
        let at = format!("tasks.{}.retry", task.id);
        if draft.max_retries > MAX_REPEATS {
            self.report("P003", at.clone(), format!("{} retries are more than the {MAX_REPEATS} allowed", draft.max_retries), None);
        }
        if !(1.0..=1_000.0).contains(&draft.multiplier) {
            self.report("P003", at.clone(), format!("the multiplier is 1 to 1000, not {}", draft.multiplier), None);
        }
        if !(0.0..=1.0).contains(&draft.jitter) {
            self.report("P003", at, format!("the jitter is 0 to 1, not {}", draft.jitter), None);
        }
        Some(Retry { draft: draft.clone() })
    }

    fn checkpoints(&mut self, names: &Names<'_>, nodes: &mut [Node]) -> Vec<Checkpoint> {
        let draft = self.draft;
        let mut checkpoints = Vec::new();
        let mut tables: Vec<BTreeSet<u32>> = Vec::new();
        let mut ids = BTreeSet::new();
        for (position, checkpoint) in draft.checkpoints.iter().enumerate() {
            let at = format!("checkpoints[{position}]");
            let id: Arc<str> =
                if checkpoint.id.is_empty() { format!("checkpoint-{}", position + 1).into() } else { checkpoint.id.as_str().into() };
            if !ids.insert(id.clone()) {
                self.report("P005", at.clone(), format!("there are two checkpoints called `{id}`"), None);
            }
            let voices = match &checkpoint.then {
                ThenDraft::Voices(voices) => self.voices(voices, names, &at),
                ThenDraft::Decide(_) | ThenDraft::Follow(_) | ThenDraft::Grow(_) => None,
            };
            let mut after: Box<[u32]> = checkpoint.after.iter().filter_map(|id| self.task(id, || format!("{at}.after"))).collect();
            if let Some(voices) = &voices {
                if !after.is_empty() {
                    let help = "leave it out: voices are looked at whenever one of them ends".to_owned();
                    self.report("P026", format!("{at}.after"), "a checkpoint that hears voices has no `after`", Some(help));
                }
                after = voices.of.iter().map(|voice| voice.task).collect();
            }
            for task in &after {
                if matches!(draft.tasks[*task as usize].role, Role::Finally | Role::Review | Role::Compensation) {
                    let name = &draft.tasks[*task as usize].id;
                    self.report("P024", format!("{at}.after"), format!("`{name}` runs after the decision, so it cannot lead to one"), None);
                }
            }
            let then = match &checkpoint.then {
                ThenDraft::Decide(action) => Some(Then::Decide(action.as_str().into())),
                ThenDraft::Follow(task) => self.task(task, || format!("{at}.then")).map(Then::Follow),
                ThenDraft::Grow(tasks) => Some(Then::Grow(tasks.iter().filter_map(|id| self.by_id.get(id.as_str()).copied()).collect())),
                ThenDraft::Voices(_) => voices.map(|voices| Then::Voices(Box::new(voices))),
            };
            let reads = names.after(&after);
            let condition = Bound::condition(&checkpoint.condition, &format!("{at}.condition"), &reads, &mut self.problems);
            let reason = checkpoint
                .reason
                .as_ref()
                .map(|text| Form::compile(&serde_json::Value::String(text.clone()), &format!("{at}.reason"), &reads, &mut self.problems));
            let with = checkpoint.with.as_ref().map(|json| Form::compile(json, &format!("{at}.with"), &reads, &mut self.problems));
            let (Some(condition), Some(then)) = (condition, then) else { continue };
            let set: BTreeSet<u32> = after.iter().copied().collect();
            let table = tables.iter().position(|known| *known == set).unwrap_or_else(|| {
                tables.push(set.clone());
                tables.len() - 1
            });
            checkpoints.push(Checkpoint { id, after, condition, then, reason, with, table });
        }
        watch(&checkpoints, nodes);
        checkpoints
    }

    /// Voices that decide together.
    fn voices(&mut self, draft: &VoicesDraft, names: &Names<'_>, at: &str) -> Option<Voices> {
        let VoicesDraft { by, of, at_least, actions, choices, insufficient, undecided, vetoed } = draft;
        if of.is_empty() || of.len() > MAX_VOICES {
            self.report(
                "P026",
                format!("{at}.voices"),
                format!("there are {} voices; 1 to {MAX_VOICES} can decide together", of.len()),
                None,
            );
            return None;
        }
        let weighted = *by == Method::Weighted;
        if weighted && actions.is_empty() {
            let help = "write `actions: [{ when: score >= 0.7, then: AUTO_RESOLVE }]`".to_owned();
            self.report("P026", format!("{at}.voices.actions"), "nothing says what the weighted mean means", Some(help));
        }
        if !weighted && !actions.is_empty() {
            let help = "leave it out, or weigh numbers: `by: weighted`".to_owned();
            self.report("P026", format!("{at}.voices.actions"), "votes have no mean that could mean something", Some(help));
        }
        if weighted && !choices.is_empty() {
            let help = "leave it out: what the mean can mean stands under `actions`".to_owned();
            self.report("P026", format!("{at}.voices.choices"), "where numbers are weighed nobody votes", Some(help));
        }
        let usual = if *by == Method::First { 1 } else { of.len() };
        let at_least = at_least.map_or(usual, |least| least as usize);
        if at_least == 0 || at_least > of.len() {
            let message = format!("{at_least} of {} voices can never be heard", of.len());
            let message = if at_least == 0 { "a decision that hears nobody is none".to_owned() } else { message };
            self.report("P026", format!("{at}.voices.at_least"), message, Some(format!("write a number from 1 to {}", of.len())));
        }
        for (field, given) in [("insufficient", insufficient), ("undecided", undecided), ("vetoed", vetoed)] {
            if given.as_deref() == Some(AUTO_RESOLVE) {
                let help = "leave it out, or name another action".to_owned();
                let message = "what nobody agreed on is never resolved by itself";
                self.report("P003", format!("{at}.voices.{field}"), message, Some(help));
            }
        }
        let mut met = BTreeSet::new();
        let mut heard = Vec::with_capacity(of.len());
        for (position, voice) in of.iter().enumerate() {
            let at = format!("{at}.voices.of[{position}]");
            heard.extend(self.voice(voice, names, &at));
            if !met.insert(voice.task.as_str()) {
                self.report("P026", format!("{at}.task"), format!("`{}` is heard twice", voice.task), None);
            }
        }
        let tasks: Vec<u32> = heard.iter().map(|voice| voice.task).collect();
        let reads = names.after(&tasks).with_score();
        let mut rows = Vec::with_capacity(actions.len());
        for (position, row) in actions.iter().enumerate() {
            let at = format!("{at}.voices.actions[{position}].when");
            let when = row.when.as_ref().map(|text| Bound::condition(text, &at, &reads, &mut self.problems));
            match when {
                Some(None) => {}
                when => rows.push(Row { when: when.flatten(), then: row.then.as_str().into() }),
            }
        }
        let action = |given: &Option<String>, usual: &str| given.as_deref().unwrap_or(usual).into();
        Some(Voices {
            by: *by,
            of: heard,
            at_least,
            rows,
            insufficient: action(insufficient, HIL_REVIEW),
            undecided: action(undecided, HIL_REVIEW),
            vetoed: action(vetoed, REJECTED),
        })
    }

    fn voice(&mut self, draft: &VoiceDraft, names: &Names<'_>, at: &str) -> Option<Voice> {
        let task = self.task(&draft.task, || format!("{at}.task"))?;
        if names.draft.tasks[task as usize].for_each.is_some() {
            self.report(
                "P026",
                format!("{at}.task"),
                format!("`{}` runs for every item of a list, and has no single voice", draft.task),
                None,
            );
        }
        let weight = draft.weight.unwrap_or(Decimal::ONE);
        if weight <= Decimal::ZERO || weight > Decimal::ONE_THOUSAND {
            self.report("P026", format!("{at}.weight"), format!("a weight is more than 0 and at most 1000, not {weight}"), None);
        }
        let reads = names.after(&[task]);
        let says = match &draft.says {
            Some(text) => Some(Bound::expression(text, &format!("{at}.says"), &reads, &mut self.problems)?),
            None => None,
        };
        let veto = match &draft.veto {
            Some(text) => Some(Bound::condition(text, &format!("{at}.veto"), &reads, &mut self.problems)?),
            None => None,
        };
        Some(Voice { task, weight, says, veto })
    }

    fn budget(&mut self, nodes: &[Node]) -> Option<Box<Budget>> {
        let draft = self.draft.budget.as_ref()?;
        let share = |share: &Decimal| share.is_sign_positive() && !share.is_zero() && *share <= Decimal::ONE;
        if draft.tokens.is_none() && draft.cost.is_none() {
            self.report("P003", "budget", "a budget says how many tokens, or how much money", None);
        }
        if draft.tokens == Some(0) || draft.cost.is_some_and(|cost| cost.is_sign_negative() || cost.is_zero()) {
            self.report("P003", "budget", "with a budget of nothing no agent could be called", None);
        }
        if let Some(wrong) = draft.warn_at.as_ref().filter(|at| !share(at)) {
            self.report("P003", "budget.warn_at", format!("this is a share of the budget, up to 1, and not {wrong}"), None);
        }
        let ask = draft.ask.as_ref().and_then(|task| self.task(task, || "budget.ask".to_owned()));
        if let Some(ix) = ask
            && (!matches!(nodes[ix as usize].work, Work::Approval(_)) || !nodes[ix as usize].deps.is_empty())
        {
            let id = &nodes[ix as usize].id;
            self.report("P025", "budget.ask", format!("`{id}` cannot be asked at any time: it is a question that waits for nothing"), None);
        }
        Some(Box::new(Budget { tokens: draft.tokens, cost: draft.cost, warn_at: draft.warn_at, ask }))
    }

    fn reviews(&mut self, nodes: &mut [Node]) -> Vec<(Arc<str>, u32)> {
        let mut reviews = Vec::new();
        for (action, task) in &self.draft.reviews {
            let Some(ix) = self.by_id.get(task.as_str()).copied() else { continue };
            if !matches!(nodes[ix as usize].work, Work::Approval(_)) {
                self.report("P025", "reviews", format!("`{task}` reviews the decision {action}, but asks nobody"), None);
            }
            reviews.push((action.as_str().into(), ix));
        }
        reviews
    }
}

impl Retry {
    /// How long to wait after this attempt, or `None` where there is no further one.
    pub(crate) fn delay(&self, failures: u32, class: FailureClass, chance: f64) -> Option<Millis> {
        const USUAL: [FailureClass; 4] =
            [FailureClass::Timeout, FailureClass::Unavailable, FailureClass::RateLimited, FailureClass::Internal];
        let retry = &self.draft;
        let classes = if retry.on.is_empty() { &USUAL[..] } else { &retry.on };
        if failures > retry.max_retries || !classes.contains(&class) {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a wait, bounded just below"
        )]
        let millis = {
            let grown = retry.initial_delay.0 as f64 * retry.multiplier.powf(f64::from(failures.saturating_sub(1)));
            (grown.min(retry.max_delay.0 as f64) * (1.0 - retry.jitter * chance)) as u64
        };
        Some(Millis(millis))
    }
}

/// Tells every task which checkpoints to look at when it ends: those of a table depend on what any of them reads.
fn watch(checkpoints: &[Checkpoint], nodes: &mut [Node]) {
    let tables = checkpoints.iter().map(|checkpoint| checkpoint.table + 1).max().unwrap_or(0);
    let mut watched: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); tables];
    for checkpoint in checkpoints {
        watched[checkpoint.table].extend(checkpoint.after.iter().copied().chain(checkpoint.condition.tasks()));
        watched[checkpoint.table].extend(checkpoint.reads_besides().flat_map(Bound::tasks));
    }
    // What may resolve by itself waits for what may still come to be known of those before it.
    let mut before: BTreeSet<u32> = BTreeSet::new();
    for (ix, checkpoint) in (0..).zip(checkpoints) {
        let mut all = watched[checkpoint.table].clone();
        if checkpoint.may_resolve() {
            all.extend(&before);
        }
        before.extend(checkpoint.condition.tasks());
        for node in all {
            nodes[node as usize].watched_by.push(ix);
        }
    }
}

/// Gives tasks that ask for the same agent the same lane, and says how many lanes there are.
fn share_lanes(nodes: &mut [Node]) -> u32 {
    let mut lanes: HashMap<String, u32> = HashMap::new();
    for node in nodes {
        let asked = match &node.work {
            Work::Agent { id: Some(id), .. } => format!("agent {id}"),
            Work::Agent { id: None, capabilities } => format!("capabilities {}", capabilities.join(" ")),
            Work::Workflow { plan } => format!("workflow {plan}"),
            Work::Approval(_) | Work::Wait { .. } => continue,
        };
        let next = u32::try_from(lanes.len()).expect("MAX_TASKS fits");
        node.lane = *lanes.entry(asked).or_insert(next);
    }
    u32::try_from(lanes.len()).expect("MAX_TASKS fits")
}

fn successors(deps: &[Box<[u32]>]) -> Vec<Vec<u32>> {
    let mut succ = vec![Vec::new(); deps.len()];
    for (ix, deps) in (0..).zip(deps) {
        for dep in deps {
            succ[*dep as usize].push(ix);
        }
    }
    succ
}

/// Everything that can be reached from `start`, itself included.
fn reachable<L: AsRef<[u32]>>(start: u32, edges: &[L]) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(ix) = open.pop() {
        for next in edges[ix as usize].as_ref() {
            if found.insert(*next) {
                open.push(*next);
            }
        }
    }
    found
}
