//! Plans as they are written down: plain data, nothing checked. [`Plan::compile`](crate::Plan::compile) checks.

use quorate_expr::{Decimal, Type};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Digest, Millis};

/// A plan before it is checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Draft {
    /// What people call it.
    pub name: String,
    /// Its tasks; of two that are equally urgent the earlier one goes first.
    pub tasks: Vec<TaskDraft>,
    /// Conditions that may decide, in the order in which they are looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<CheckpointDraft>,
    /// Whether the run takes a decision even without checkpoints.
    #[serde(skip_serializing_if = "is_false")]
    pub decides: bool,
    /// The decision when nothing else decided; `HIL_REVIEW` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
    /// The decision when an unknown rule stands before one that holds; `HIL_REVIEW` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<String>,
    /// The decision when something failed that the run cannot do without. Where it is not given, the run fails undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// Approvals that a decision opens: action, then the task that asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<(String, String)>,
    /// Whether tasks go on after a decision instead of being skipped.
    #[serde(skip_serializing_if = "is_false")]
    pub no_early_exit: bool,
    /// Whether checkpoints are looked at only when everything has ended.
    #[serde(skip_serializing_if = "is_false")]
    pub decide_last: bool,
    /// What nothing is resolved by itself without: of each of these lists of tasks one has to have succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolve_needs: Vec<ResolveNeed>,
    /// How many tasks run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// One task at a time, in the order of the file.
    #[serde(skip_serializing_if = "is_false")]
    pub one_at_a_time: bool,
    /// Whether a failure leaves the other tasks alone.
    #[serde(skip_serializing_if = "is_false")]
    pub continue_on_failure: bool,
    /// How long the run may take until its decision or end; what follows is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
    /// What the run may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetDraft>,
    /// What the input looks like.
    #[serde(skip_serializing_if = "is_any")]
    pub input: Type,
    /// What the profile looks like.
    #[serde(skip_serializing_if = "is_any")]
    pub profile: Type,
    /// What the run returns: JSON with `{{ }}` in its strings. Without it, what its last tasks returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
}

/// What nothing is resolved by itself without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResolveNeed {
    /// What people call it.
    pub name: String,
    /// The tasks of which one has to have succeeded; none: nothing is ever resolved by itself.
    pub tasks: Vec<String>,
}

/// What a run may use: of what its agents say that they use, and set aside before they are called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetDraft {
    /// Tokens, read and written together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Decimal>,
    /// At which share of it that is put on record: 0.8 for four fifths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<Decimal>,
    /// The task of the catalogue that asks people for as much again when it is reached; without it, the task that would
    /// not fit fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
}

/// One task before it is checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskDraft {
    /// Its name, unique in the plan.
    pub id: String,
    /// What is done.
    pub work: WorkDraft,
    /// Tasks that come before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// What it needs of them; `all`, or `settled` for a `finally` task, where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<JoinDraft>,
    /// Runs only if this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Does not run if this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_when: Option<String>,
    /// What the agent gets as input, instead of the input of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// What the agent gets as parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Json>,
    /// How failures are retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryDraft>,
    /// How long one attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
    /// Whether the run can do without it.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
    /// 1 to 10, higher first; 5 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// When it belongs to the run.
    #[serde(skip_serializing_if = "Role::is_main")]
    pub role: Role,
    /// The task that undoes this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compensate: Option<String>,
    /// Runs once for every item of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEachDraft>,
    /// Runs a section of the plan again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatDraft>,
    /// Tasks of the catalogue that the agent of this task may add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub may_grow: Vec<String>,
    /// Expertise that its agent gets, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// What it returns.
    #[serde(skip_serializing_if = "is_any")]
    pub output: Type,
}

impl Draft {
    /// A plan of this name, without tasks yet.
    #[must_use]
    pub fn new(name: &str) -> Draft {
        Draft { name: name.to_owned(), ..Draft::default() }
    }

    /// The same with one task more.
    #[must_use]
    pub fn task(mut self, task: TaskDraft) -> Draft {
        self.tasks.push(task);
        self
    }
}

impl TaskDraft {
    fn of(id: &str, work: WorkDraft) -> TaskDraft {
        TaskDraft { id: id.to_owned(), work, ..TaskDraft::default() }
    }

    /// A task that this agent does.
    #[must_use]
    pub fn call(id: &str, agent: &str) -> TaskDraft {
        TaskDraft::of(id, WorkDraft::Agent { id: Some(agent.to_owned()), capabilities: Vec::new() })
    }

    /// A task for any agent that can do all of this.
    #[must_use]
    pub fn need<'a>(id: &str, capabilities: impl IntoIterator<Item = &'a str>) -> TaskDraft {
        TaskDraft::of(id, WorkDraft::Agent { id: None, capabilities: capabilities.into_iter().map(str::to_owned).collect() })
    }

    /// A question to these people.
    #[must_use]
    pub fn ask(id: &str, question: &str, by: Level) -> TaskDraft {
        TaskDraft::of(
            id,
            WorkDraft::Approval(ApprovalDraft { question: question.to_owned(), levels: vec![by], ..ApprovalDraft::default() }),
        )
    }

    /// The same, after these tasks.
    #[must_use]
    pub fn after<'a>(mut self, tasks: impl IntoIterator<Item = &'a str>) -> TaskDraft {
        self.depends_on.extend(tasks.into_iter().map(str::to_owned));
        self
    }

    /// The same, only if this condition holds.
    #[must_use]
    pub fn when(mut self, condition: &str) -> TaskDraft {
        self.when = Some(condition.to_owned());
        self
    }

    /// The same with these parameters, which may hold `{{ }}`.
    #[must_use]
    pub fn params(mut self, params: Json) -> TaskDraft {
        self.params = Some(params);
        self
    }

    /// The same, tried again so often.
    #[must_use]
    pub fn retries(mut self, max_retries: u32) -> TaskDraft {
        self.retry = Some(RetryDraft { max_retries, ..self.retry.unwrap_or_default() });
        self
    }

    /// The same, with so much time for an attempt.
    #[must_use]
    pub fn timeout(mut self, timeout: Millis) -> TaskDraft {
        self.timeout = Some(timeout);
        self
    }

    /// The same, without which the run can do.
    #[must_use]
    pub fn optional(mut self) -> TaskDraft {
        self.optional = true;
        self
    }

    /// The same, so urgent: 1 to 10, higher first.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> TaskDraft {
        self.priority = Some(priority);
        self
    }
}

/// When a task belongs to the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// From the start.
    #[default]
    Main,
    /// When a checkpoint or an agent adds it.
    Catalogue,
    /// When a decision opens it.
    Review,
    /// When a task is undone that names it.
    Compensation,
    /// After the decision or the end, whatever it was.
    Finally,
}

impl Role {
    fn is_main(&self) -> bool {
        *self == Role::Main
    }
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkDraft {
    /// An agent is called: the one named, or one that has the capabilities.
    Agent {
        /// The agent's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// What the agent must be able to do.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        capabilities: Vec<String>,
    },
    /// People are asked.
    Approval(ApprovalDraft),
    /// Time passes, or a signal comes.
    Wait(WaitDraft),
    /// Another plan runs as a run of its own.
    Workflow {
        /// The digest of that plan.
        plan: Digest,
    },
}

impl Default for WorkDraft {
    fn default() -> WorkDraft {
        WorkDraft::Agent { id: None, capabilities: Vec::new() }
    }
}

/// A question to people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalDraft {
    /// The question; may hold `{{ }}`.
    pub question: String,
    /// What the answer rests on; may hold `{{ }}`. The outputs of the dependencies where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Json>,
    /// The answers to choose from; `approve` and `reject` where none are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Who may answer, first asked first; each next one is asked when the one before let its time pass.
    pub levels: Vec<Level>,
    /// What happens when the last level lets its time pass.
    #[serde(skip_serializing_if = "Expiry::is_fail")]
    pub on_expiry: Expiry,
    /// Whether the one who started the run may answer.
    #[serde(skip_serializing_if = "is_false")]
    pub starter_may_answer: bool,
    /// Whether an answer to a decision needs a note that is neither `approve` nor what the decision proposes.
    #[serde(skip_serializing_if = "is_false")]
    pub override_needs_note: bool,
    /// Tasks whose answers disqualify: whoever proposed may not approve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_by: Vec<String>,
    /// Names of people who may not answer, as a list, or `{{ }}` that gives one: those who had a part in what is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<Box<Json>>,
}

/// The answer that is a yes to what is asked, or proposed.
pub const APPROVE: &str = "approve";

/// One answer to choose from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What is answered.
    pub name: String,
    /// Whether one such answer rejects.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rejects: bool,
    /// Whether a note is needed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub needs_note: bool,
}

/// People who may answer, how many it takes, and how long they have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Level {
    /// By name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// By group. Nobody named and no group: anybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// How many must agree; 1 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u32>,
    /// How long they have; for ever where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Millis>,
}

/// What happens to a question that nobody answered in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// The task times out.
    #[default]
    Fail,
    /// This choice is taken, and marked as taken by nobody.
    Choose(String),
}

impl Expiry {
    fn is_fail(&self) -> bool {
        *self == Expiry::Fail
    }
}

/// What a wait waits for; whichever comes first where several are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaitDraft {
    /// A length of time.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Millis>,
    /// A point in time: an expression, or a time in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The name of a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
}

/// What a task needs of its dependencies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JoinDraft {
    /// How many must have ended, and how.
    pub needs: Needs,
    /// How long it waits from when the first of them starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Millis>,
    /// What it does when that time has passed.
    #[serde(skip_serializing_if = "OnLate::is_fail")]
    pub on_late: OnLate,
    /// Whether dependencies that have not ended by then are cancelled.
    #[serde(skip_serializing_if = "is_false")]
    pub race: bool,
}

/// How many dependencies must have ended, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Every one succeeded.
    #[default]
    All,
    /// Every one ended, none of them failed.
    NoneFailed,
    /// Every one ended, however.
    Settled,
    /// One succeeded.
    Any,
    /// So many succeeded.
    AtLeast(u32),
}

/// What a task does when its dependencies are late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLate {
    /// It times out.
    #[default]
    Fail,
    /// It goes on with what is there.
    Proceed,
    /// It is skipped.
    Skip,
}

impl OnLate {
    fn is_fail(&self) -> bool {
        *self == OnLate::Fail
    }
}

/// How failures are retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryDraft {
    /// Attempts after the first one.
    pub max_retries: u32,
    /// The wait before the second attempt.
    pub initial_delay: Millis,
    /// By how much each further wait grows.
    pub multiplier: f64,
    /// The longest wait.
    pub max_delay: Millis,
    /// Up to which part of it a wait is shortened, 0 to 1, so that many do not come back at once.
    pub jitter: f64,
    /// The classes that are retried; where none are given, `timeout`, `unavailable`, `rate_limited` and `internal`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<crate::FailureClass>,
}

impl Default for RetryDraft {
    fn default() -> RetryDraft {
        RetryDraft { max_retries: 3, initial_delay: Millis(1_000), multiplier: 2.0, max_delay: Millis(60_000), jitter: 0.0, on: Vec::new() }
    }
}

/// Runs a task once for every item of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForEachDraft {
    /// An expression that gives the list. In the task, `item` is the item and `index` its position.
    pub items: String,
    /// How many items run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// Whether an item that fails leaves the others alone; its place in the result is `null`.
    #[serde(skip_serializing_if = "is_false")]
    pub keep_going: bool,
}

/// Runs the section from `from` to this task again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepeatDraft {
    /// Where the section begins.
    pub from: String,
    /// Again while this holds; read when the task has succeeded.
    #[serde(rename = "while")]
    pub while_: String,
    /// How often the section runs at the most.
    pub max: u32,
}

/// A condition that is looked at when tasks end, and what follows when it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointDraft {
    /// What people call it; its position where it has no name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What it finds, in words: what is the case where it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The tasks that must have ended. None: looked at when all else has ended and nothing decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// The condition.
    pub condition: String,
    /// What follows.
    pub then: ThenDraft,
    /// Why, in words that go on record with the decision; may hold `{{ }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What goes on record beside the action, for whoever carries it out: JSON with `{{ }}` in its strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Json>,
}

impl CheckpointDraft {
    /// A checkpoint without a name, after these tasks.
    #[must_use]
    pub fn new(after: Vec<String>, condition: &str, then: ThenDraft) -> CheckpointDraft {
        CheckpointDraft { id: String::new(), description: None, after, condition: condition.to_owned(), then, reason: None, with: None }
    }

    /// The same with this name.
    #[must_use]
    pub fn called(mut self, id: &str) -> CheckpointDraft {
        id.clone_into(&mut self.id);
        self
    }
}

/// What follows from a checkpoint that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ThenDraft {
    /// This action is the decision.
    Decide(String),
    /// The decision is what this task returned as `action`.
    Follow(String),
    /// These tasks of the catalogue are added.
    Grow(Vec<String>),
    /// What these tasks say together is the decision. It is looked at whenever one of them ends.
    Voices(VoicesDraft),
}

/// How many voices come to one decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoicesDraft {
    /// By which rule.
    pub by: Method,
    /// Whose they are.
    pub of: Vec<VoiceDraft>,
    /// How many must be heard; without it all of them, and one where the first is taken. The weights of the others count for
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u32>,
    /// Of weighted numbers: what their `score` means. The first row that holds decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<RowDraft>,
    /// Of votes: what may be voted for, besides the actions that every plan knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The decision where too few are heard, or one that may veto is not; `HIL_REVIEW` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insufficient: Option<String>,
    /// The decision where they do not agree, or no row holds; `HIL_REVIEW` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// The decision where one of them vetoes; `REJECTED` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vetoed: Option<String>,
}

/// By which rule voices come to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Numbers, of which the weighted mean is the score.
    Weighted,
    /// Votes, of which more than half of all weight has to agree.
    Majority,
    /// Votes that all agree.
    Unanimity,
    /// The first vote.
    First,
    /// The vote whose voice is the surest of it.
    Best,
}

/// One of several voices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoiceDraft {
    /// The task.
    pub task: String,
    /// What it counts; 1 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Decimal>,
    /// What it says, as an expression over what it returned; its `confidence` where numbers are weighed, else its `action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Where this holds, nothing that the others say counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub veto: Option<String>,
}

/// What a score means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RowDraft {
    /// A condition, which may read `score`; without one the row always holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The decision.
    pub then: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_any(kind: &Type) -> bool {
    *kind == Type::Any
}
