//! Why a run decided as it did: a pure function of its entries, told in the same words every time.

use std::collections::BTreeMap;

use quorate_core::draft::{TaskDraft, ThenDraft, WorkDraft};
use quorate_core::{
    Decision, Draft, Entry, Event, Flip, Grower, Look, NOT_BY_ITSELF, NotTaken, Operand, Outcome, Payload, Plan, Role, Rule, Run,
    TaskStatus, TaskView, ThenView,
};
use quorate_expr::Slot;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::pick::Pick;

/// The version of what an [`Explanation`] looks like.
pub const EXPLANATION_SCHEMA: &str = "quorate.explanation/1";

/// Why a run decided as it did.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// [`EXPLANATION_SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub run_id: String,
    /// What was found out about the work, and which policy it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
    /// Every agent of the plan, and why it ran or did not.
    pub agents: Vec<AgentWhy>,
    /// What was decided, on what, and what was not; nothing where it is not decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What people answered who were asked about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// What would have had to be otherwise for another decision.
    pub nearest: Vec<Flip>,
}

/// Why an agent ran, or did not.
#[derive(Debug, Serialize)]
pub struct AgentWhy {
    /// Its task.
    pub task: String,
    /// The agent, or what it had to be able to do.
    pub agent: String,
    /// How the task stands; nothing where the run never came to it.
    pub status: Option<TaskStatus>,
    /// Why.
    pub why: String,
    /// What it says of itself: the text `explanation` of its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What an output says of itself, in words.
#[must_use]
pub fn explanation_in(output: &Payload) -> Option<String> {
    #[derive(Deserialize)]
    struct Of {
        explanation: String,
    }
    output.decode::<Of>().ok().map(|of| of.explanation).filter(|said| !said.is_empty())
}

impl Explanation {
    /// Explains a run from its journal.
    #[must_use]
    pub fn of(run: &Run, entries: &[Entry]) -> Explanation {
        let draft = run.plan().draft();
        let decision = run.decision().map(|decision| &**decision);
        let (told, words, views) =
            (Told::of(entries), Words::of(run.plan()), run.tasks().map(|view| (view.id(), view)).collect::<BTreeMap<_, _>>());
        let calls = draft.tasks.iter().filter_map(|task| Some((task, asked(task)?)));
        let agents = calls.map(|(task, agent)| {
            let view = views.get(task.id.as_str()).copied();
            let why = match view {
                Some(view) if !never_came(view) => reason(view, &told, &words),
                _ => not_added(&draft, task, decision),
            };
            let status = view.filter(|view| !never_came(*view)).map(TaskView::status);
            let said = view.and_then(|view| explanation_in(view.output()?));
            AgentWhy { task: task.id.clone(), agent, status, why, said }
        });
        Explanation {
            schema: EXPLANATION_SCHEMA,
            run_id: run.id().to_string(),
            pick: run.begun().and_then(|start| start.route.as_ref()?.decode::<Pick>().ok()),
            agents: agents.collect(),
            decision: decision.cloned(),
            answers: answers(run, entries),
            nearest: Run::nearest(run.id(), run.plan(), entries),
        }
    }

    /// The same as text, line by line. `plan`: that of the run.
    #[must_use]
    pub fn lines(&self, plan: &Plan) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(pick) = &self.pick {
            lines.extend(pick.about.iter().cloned());
            if !pick.about.is_empty() {
                lines.push(String::new());
            }
            lines.push("Which policy:".to_owned());
            lines.extend(pick_lines(pick).into_iter().map(|line| format!("  {line}")));
            lines.push(String::new());
        }
        if !self.agents.is_empty() {
            lines.push("Which agents:".to_owned());
            for agent in &self.agents {
                lines.push(format!("  {}: {}", agent.name(), agent.why));
                lines.extend(agent.said.iter().map(|said| format!("      {said}")));
            }
            lines.push(String::new());
        }
        match &self.decision {
            Some(decision) => lines.extend(decision_lines(plan, decision, &self.answers, &self.nearest)),
            None => lines.push("Nothing is decided yet.".to_owned()),
        }
        lines
    }
}

impl AgentWhy {
    fn name(&self) -> String {
        if self.task == self.agent { self.task.clone() } else { format!("{} ({})", self.task, self.agent) }
    }
}

/// What was found out, and which policy was picked, a line each.
#[must_use]
pub fn pick_lines(pick: &Pick) -> Vec<String> {
    let fields = pick.fields.iter().map(ToString::to_string);
    fields.chain(pick.passed.iter().cloned()).chain([pick.to_string()]).collect()
}

/// What led to a decision, in the words of whoever wrote its policy.
#[must_use]
pub fn rule_words(plan: &Plan, rule: &Rule) -> String {
    Words::of(plan).rule(rule)
}

/// A decision, everything that was looked at for it, why nothing else was taken, and how near that was.
#[must_use]
pub fn decision_lines(plan: &Plan, decision: &Decision, answers: &[String], nearest: &[Flip]) -> Vec<String> {
    let words = Words::of(plan);
    let confidence = decision.confidence.map(|confidence| format!(", with a confidence of {confidence}")).unwrap_or_default();
    let mut lines = vec![format!("The decision is {}{confidence}: {}.", decision.action, words.rule(&decision.rule))];
    if let Some(reason) = &decision.reason {
        lines.push(format!("  because {reason}"));
    }
    if let Some(with) = &decision.with {
        lines.push(format!("  with {}", with_words(with)));
    }
    lines.extend(answers.iter().map(|answer| format!("  {answer}")));
    for voice in decision.council.iter().flat_map(|council| &council.voices) {
        lines.push(format!("  {voice}"));
    }
    if !decision.looks.is_empty() {
        lines.push("What was looked at, in this order:".to_owned());
        let (taken, mut decided) = (decision.rule.checkpoint(), false);
        for look in &decision.looks {
            lines.push(format!("  {}", words.look(look, decided)));
            decided |= taken == Some(&*look.checkpoint);
        }
    }
    if !decision.not_taken.is_empty() {
        lines.push("Why nothing else was decided:".to_owned());
        lines.extend(words.not_taken(decision));
    }
    if !nearest.is_empty() {
        lines.push("What would have been enough for another one:".to_owned());
        lines.extend(nearest.iter().map(|flip| format!("  {}", words.flip(flip))));
    }
    lines
}

/// What people answered who were asked about a decision, a line each.
#[must_use]
pub fn answers(run: &Run, entries: &[Entry]) -> Vec<String> {
    let reviews: Vec<&str> = run.tasks().filter(|task| task.role() == Role::Review).map(TaskView::id).collect();
    let told = |entry: &Entry| match &entry.event {
        Event::Answered { task, answer, .. } if reviews.contains(&task.id()) => {
            let note = if answer.note.is_empty() { String::new() } else { format!(" (“{}”)", answer.note) };
            Some(format!("{} was asked, and answered {}{note}", answer.by, answer.choice))
        }
        _ => None,
    };
    entries.iter().filter_map(told).collect()
}

/// What goes with a decision: fields and their values, where it is no more than that.
#[must_use]
pub fn with_words(with: &Payload) -> String {
    let told = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    let fields = with.decode::<serde_json::Map<String, Json>>().ok();
    let fields =
        fields.and_then(|fields| fields.iter().map(|(name, value)| Some(format!("{name} {}", told(value)?))).collect::<Option<Vec<_>>>());
    fields.map_or_else(|| with.json().to_owned(), |fields| fields.join(", "))
}

/// What people call what is looked at in a plan.
struct Words<'p> {
    checkpoints: BTreeMap<&'p str, Named<'p>>,
    /// These, as they stand in the plan.
    order: Vec<&'p str>,
}

struct Named<'p> {
    description: Option<String>,
    then: ThenView<'p>,
    /// Whose answer a name means.
    says: BTreeMap<String, &'p str>,
}

impl<'p> Words<'p> {
    fn of(plan: &'p Plan) -> Words<'p> {
        let drafted = plan.draft().checkpoints;
        let named = plan.checkpoints().zip(drafted).map(|(view, draft)| {
            let slots = view.condition.slots().iter().zip(&view.reads);
            let says = slots.filter_map(|(slot, read)| match slot {
                Slot::Value(path) => Some((path.to_string(), read.task?)),
                Slot::Status(..) => None,
            });
            (view.id, Named { description: draft.description, says: says.collect(), then: view.then })
        });
        Words { checkpoints: named.collect(), order: plan.checkpoints().map(|view| view.id).collect() }
    }

    fn description(&self, checkpoint: &str) -> Option<&str> {
        self.checkpoints.get(checkpoint)?.description.as_deref()
    }

    /// A value that was read, and who said it where the name does not tell.
    fn operand(&self, checkpoint: &str, operand: &Operand) -> String {
        let says = self.checkpoints.get(checkpoint).and_then(|named| named.says.get(&operand.name));
        match says.filter(|task| !operand.name.starts_with(**task)) {
            Some(task) => format!("{operand} ({task})"),
            None => operand.to_string(),
        }
    }

    fn operands(&self, checkpoint: &str, operands: &[Operand]) -> String {
        operands.iter().map(|operand| self.operand(checkpoint, operand)).collect::<Vec<_>>().join(", ")
    }

    fn rule(&self, rule: &Rule) -> String {
        match rule {
            Rule::Checkpoint(id) => match self.description(id) {
                Some(description) => in_a_sentence(description),
                None => rule.to_string(),
            },
            Rule::Followed { task, .. } => format!("{} says so", task.id()),
            _ => rule.to_string(),
        }
    }

    /// What a checkpoint found. `decided`: one before it had decided, so that nothing followed from it.
    fn look(&self, look: &Look, decided: bool) -> String {
        let Look { checkpoint, condition, outcome, operands } = look;
        let seen = self.operands(checkpoint, operands);
        let named = self.checkpoints.get(&**checkpoint);
        let description = self.description(checkpoint);
        if condition == ALWAYS {
            if decided {
                return format!("{}: it was decided before", description.unwrap_or(checkpoint));
            }
            let then = match named.map(|named| &named.then) {
                Some(ThenView::Adds(tasks)) => format!("{} asked as well", are(tasks)),
                Some(ThenView::Follows(task)) => return format!("What {task} says is taken, in any case"),
                Some(ThenView::Decides(action)) => (*action).to_owned(),
                Some(ThenView::Weighs { of, .. }) => format!("what {} say is weighed", listed(of)),
                None => "it holds".to_owned(),
            };
            return format!("{}, in any case: {then}", description.unwrap_or(checkpoint));
        }
        match description {
            Some(description) => {
                // That something is not there is what the words say, unless it is why nobody knows.
                let told = |operand: &&Operand| operand.value != MISSING || *outcome == Outcome::Unknown;
                let there: Vec<Operand> = operands.iter().filter(told).cloned().collect();
                let seen = self.operands(checkpoint, &there);
                let outcome = match outcome {
                    Outcome::Holds => "yes",
                    Outcome::Fails => "no",
                    Outcome::Unknown => "nobody knows",
                };
                let seen = if seen.is_empty() { seen } else { format!(", {seen}") };
                format!("{description}: {outcome}{seen}")
            }
            None => {
                let seen = if seen.is_empty() { seen } else { format!(": {seen}") };
                format!("{checkpoint} `{condition}` {}{seen}", holds(*outcome))
            }
        }
    }

    /// Why nothing else was taken: what nothing leads to is told of together.
    fn not_taken(&self, decision: &Decision) -> Vec<String> {
        let (mut lines, mut nothing): (_, Vec<&str>) = (Vec::new(), Vec::new());
        for NotTaken { action, why } in &decision.not_taken {
            if why == NOT_BY_ITSELF {
                nothing.push(action);
            } else {
                let told = self.ways_to(action, decision).unwrap_or_else(|| why.clone());
                lines.push(format!("  not {action}: {told}"));
            }
        }
        if !nothing.is_empty() {
            let follows = self.checkpoints.values().find_map(|named| match named.then {
                ThenView::Follows(task) => Some(task),
                _ => None,
            });
            let why = match follows {
                Some(task) if decision.contributors.iter().any(|heard| heard.task.id() == task) => {
                    format!("{task} could have said so, and did not")
                }
                Some(task) => format!("only {task} could have said so, and it was decided without it"),
                None => "nothing here leads to it".to_owned(),
            };
            lines.push(format!("  not {}: {why}", nothing.join(", not ")));
        }
        lines
    }

    /// What became of all checkpoints that lead to an action, in the words of whoever wrote them, where each of them has some.
    fn ways_to(&self, action: &str, decision: &Decision) -> Option<String> {
        let leads = |named: &&Named<'_>| matches!(named.then, ThenView::Decides(taken) if taken == action);
        let mut ways = Vec::new();
        for (id, named) in self.order.iter().filter_map(|id| Some((id, self.checkpoints.get(id).filter(leads)?))) {
            let what = format!("“{}”", named.description.as_deref()?);
            ways.push(match decision.looks.iter().find(|look| *look.checkpoint == **id) {
                None => format!("{what} was not looked at"),
                Some(Look { outcome: Outcome::Fails, .. }) => format!("{what} is not the case"),
                Some(Look { outcome: Outcome::Unknown, .. }) => format!("nobody knows whether {what}"),
                // Something is known that keeps it from being taken, and the engine says what.
                Some(Look { outcome: Outcome::Holds, .. }) if decision.rule.checkpoint().is_none() => return None,
                Some(Look { outcome: Outcome::Holds, .. }) => format!("{what} came after what decided"),
            });
        }
        (!ways.is_empty()).then(|| ways.join("; "))
    }

    /// A way to another decision.
    fn flip(&self, flip: &Flip) -> String {
        let needs: Vec<String> = flip.needs.iter().map(ToString::to_string).collect();
        let what = flip.action.as_ref().map_or_else(|| "it would have gone on".to_owned(), Clone::clone);
        let which = self.description(&flip.checkpoint).unwrap_or(&flip.checkpoint);
        format!("{what}: {} ({which})", needs.join(" and "))
    }
}

/// What is said of a value that is not there.
const MISSING: &str = "is missing";
/// The condition that holds wherever it is looked at.
const ALWAYS: &str = "always";

fn holds(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Holds => "holds",
        Outcome::Fails => "does not hold",
        Outcome::Unknown => "is unknown",
    }
}

/// A sentence that goes on in another one.
fn in_a_sentence(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        // Not of what is written in capitals.
        (Some(first), second) if second.is_none_or(|second| !second.is_uppercase()) => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn are(names: &[&str]) -> String {
    format!("{} {}", listed(names), if names.len() == 1 { "is" } else { "are" })
}

/// Who is asked for a task, where that is an agent.
fn asked(task: &TaskDraft) -> Option<String> {
    match &task.work {
        WorkDraft::Agent { id, capabilities } => Some(id.clone().unwrap_or_else(|| capabilities.join("+"))),
        WorkDraft::Approval(_) | WorkDraft::Wait(_) | WorkDraft::Workflow { .. } => None,
    }
}

/// Whether a task is only a possibility of its plan.
fn never_came(task: TaskView<'_>) -> bool {
    !matches!(task.role(), Role::Main | Role::Finally) && task.status() == TaskStatus::Waiting && !task.grown()
}

/// What the journal says of why tasks may run, by task.
#[derive(Default)]
struct Told<'e> {
    admitted: BTreeMap<&'e str, &'e [Operand]>,
    grown: BTreeMap<&'e str, &'e Grower>,
}

impl<'e> Told<'e> {
    fn of(entries: &'e [Entry]) -> Told<'e> {
        let mut told = Told::default();
        for entry in entries {
            match &entry.event {
                Event::TaskAdmitted { task, operands } if !operands.is_empty() => drop(told.admitted.insert(task.id(), operands)),
                Event::Grew { by, tasks } => told.grown.extend(tasks.iter().map(|task| (&**task, by))),
                _ => {}
            }
        }
        told
    }
}

fn seen(operands: &[Operand]) -> String {
    operands.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn reason(task: TaskView<'_>, told: &Told<'_>, words: &Words<'_>) -> String {
    let admitted = told.admitted.get(task.id()).map(|operands| seen(operands));
    let because = admitted.map(|seen| format!(", as {seen}")).unwrap_or_default();
    let grown = if task.grown() { added_by(told.grown.get(task.id()).copied(), words) } else { String::new() };
    match (task.status(), task.cause()) {
        (TaskStatus::Succeeded, _) if task.follows_answers() => "ran when people had answered".to_owned(),
        (TaskStatus::Skipped, _) if task.follows_answers() => "was not needed: nobody was asked, or nobody answered".to_owned(),
        (TaskStatus::Waiting, _) if task.follows_answers() => "runs when people have answered".to_owned(),
        (TaskStatus::Succeeded, _) => format!("ran{grown}{because}"),
        (TaskStatus::Failed | TaskStatus::TimedOut, Some(cause)) => format!("failed: {cause}"),
        (TaskStatus::Skipped, Some(cause)) => format!("did not run: {cause}"),
        (TaskStatus::Cancelled, Some(cause)) => format!("was cancelled: {cause}"),
        (TaskStatus::Waiting, _) => "waits for those before it".to_owned(),
        (TaskStatus::Ready, _) => "may run, and waits for a place".to_owned(),
        (status, _) => format!("is {status}"),
    }
}

/// What added a task, and what it saw.
fn added_by(grower: Option<&Grower>, words: &Words<'_>) -> String {
    match grower {
        Some(Grower::Checkpoint { id, operands }) => {
            let since = match words.description(id) {
                Some(description) => format!(", since {}", in_a_sentence(description)),
                None => format!(", added by {id}"),
            };
            if operands.is_empty() { since } else { format!("{since}, as {}", seen(operands)) }
        }
        Some(Grower::Task(by)) => format!(", added by {}", by.id()),
        Some(Grower::Decision(_) | Grower::Budget(_)) | None => ", added".to_owned(),
    }
}

/// Why a task that may be added was not.
fn not_added(draft: &Draft, task: &TaskDraft, decision: Option<&Decision>) -> String {
    let adds = |then: &ThenDraft| matches!(then, ThenDraft::Grow(tasks) if tasks.contains(&task.id));
    let Some(adding) = draft.checkpoints.iter().find(|checkpoint| adds(&checkpoint.then)) else {
        return "was not asked for".to_owned();
    };
    let look = decision.and_then(|decision| decision.looks.iter().find(|look| *look.checkpoint == *adding.id));
    match (look, decision) {
        (_, None) => format!("is added where {} holds", adding.id),
        (Some(look), Some(_)) if look.outcome == Outcome::Holds => "was not needed any more: it was decided before".to_owned(),
        (Some(look), Some(_)) => {
            let seen = if look.operands.is_empty() { String::new() } else { format!(": {}", seen(&look.operands)) };
            format!("was not needed: `{}` {}{seen}", look.condition, holds(look.outcome))
        }
        (None, Some(_)) => "was not needed: it was decided before".to_owned(),
    }
}
