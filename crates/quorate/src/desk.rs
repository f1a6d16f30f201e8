//! Agents by which a run has work decided that comes up in it, each piece as a run of its own that is known by a key.
//!
//! A case outlives the run that it came up in: people may answer next week. So it is no part of that run, and it is not started
//! twice: whoever brings the same key again finds the run that is there, however it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures_util::future::{Either, select};
use quorate_agents::{Agent, Call, Outcome};
use quorate_core::{Effect, Failure, FailureClass, Payload, Plan, Reply, Role, Run, RunId, RunStatus, TaskStatus, TaskView};
use quorate_project::{Pick, rule_words};
use quorate_runtime::{Engine, Error, Order, WeakEngine};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::host::Host;
use crate::intake::Intake;

/// Has its input decided by the policies of the project.
const DECIDE: &str = "policies.decide";
/// Starts a workflow of the project as a run of its own, and does not wait for it.
const START: &str = "workflows.start";
/// Cancels a run.
const CANCEL: &str = "runs.cancel";
/// Longest key of a piece of work.
pub const MAX_KEY_BYTES: usize = 256;

/// Where work is handed in from within a run.
#[derive(Debug)]
pub struct Desk {
    intake: Option<Intake>,
    /// What its workflows run, with the expertise that they require.
    workflows: BTreeMap<String, Result<Order, String>>,
    project: String,
    engine: OnceLock<WeakEngine>,
}

/// What is said of a case by whoever had it decided.
#[derive(Debug, Serialize)]
struct Case<'a> {
    run: String,
    status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<&'a RawValue>,
    /// The agents that worked on it, and those of its plan that did not have to.
    agents: Vec<&'a str>,
    spared: Vec<&'a str>,
    /// What it waits for people to answer.
    asks: Vec<&'a str>,
}

#[derive(Default, Deserialize)]
struct Decide {
    key: Option<String>,
}

#[derive(Deserialize)]
struct Start {
    workflow: String,
    key: Option<String>,
}

#[derive(Deserialize)]
struct Cancel {
    run: RunId,
    reason: String,
}

impl Desk {
    /// What agents may `use` of it.
    pub const FUNCTIONS: [&str; 3] = [DECIDE, START, CANCEL];

    /// The desk of a project. It is closed until [`Desk::open`].
    #[must_use]
    pub fn of(host: &Host) -> Arc<Desk> {
        let ready = |plan: &Arc<Plan>| host.equipped(Order::new(plan.clone(), Payload::null())).map_err(|wrong| wrong.to_string());
        let workflows = host.project().workflows.iter().map(|(id, workflow)| (id.clone(), ready(&workflow.plan))).collect();
        let project = host.project().name.clone().unwrap_or_default();
        Arc::new(Desk { intake: host.intake(), workflows, project, engine: OnceLock::new() })
    }

    /// From here on, work goes to this engine.
    pub fn open(&self, engine: &Engine) {
        // One that is open stays where it is.
        let _ = self.engine.set(engine.downgrade());
    }

    /// The agent of this name, under the id `id`, if there is one.
    #[must_use]
    pub fn agent(self: &Arc<Self>, name: &str, id: &str) -> Option<Agent> {
        let desk = self.clone();
        let agent = match name {
            DECIDE => Agent::from_async(id, move |call| {
                let desk = desk.clone();
                async move { desk.decide(call).await }
            }),
            START => Agent::from_async(id, move |call| {
                let desk = desk.clone();
                async move { desk.start(call).await }
            }),
            CANCEL => Agent::from_async(id, move |call| {
                let desk = desk.clone();
                async move { desk.cancel(call).await }
            }),
            _ => return None,
        };
        // Done twice, it is the same run.
        Some(agent.effect(Effect::Idempotent).waits())
    }

    fn engine(&self) -> Result<Engine, Failure> {
        let engine = self.engine.get().and_then(WeakEngine::upgrade);
        engine.ok_or_else(|| Failure::new(FailureClass::Unavailable, "there is no engine yet that could take it"))
    }

    async fn decide(&self, call: Call) -> Outcome {
        let engine = self.engine()?;
        let none = || Failure::new(FailureClass::Invalid, "the project has no policies that could decide it");
        let intake = self.intake.as_ref().ok_or_else(none)?;
        let Decide { key } = params(&call)?.unwrap_or_default();
        let id = self.run_of(key, &call)?;
        let fits = call.request.input.check_as("input", intake.input());
        fits.map_err(|wrong| Failure::new(FailureClass::Invalid, wrong))?;
        let by = starter(&engine, &call).await?;
        let order = intake.order(call.request.input, &by);
        let (decided, told_to_stop) = (pin!(decided(&engine, order.id(id).within(call.request.run))), pin!(call.cancel.raised()));
        match select(decided, told_to_stop).await {
            Either::Left((decided, _)) => decided,
            Either::Right(_) => Err(Failure::new(FailureClass::Unavailable, "it was told to stop; the case goes on")),
        }
    }

    /// The run that is known by a key: where none is given, by the call itself, however often it is made.
    fn run_of(&self, key: Option<String>, call: &Call) -> Result<RunId, Failure> {
        let key = key.unwrap_or_else(|| call.request.idempotency_key());
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            let why = format!("the key of a piece of work has from 1 to {MAX_KEY_BYTES} bytes, and this one has {}", key.len());
            return Err(Failure::new(FailureClass::Invalid, why));
        }
        Ok(RunId::keyed(&self.project, &key))
    }

    async fn start(&self, call: Call) -> Outcome {
        let engine = self.engine()?;
        let invalid = |why: String| Failure::new(FailureClass::Invalid, why);
        let Some(Start { workflow, key }) = params(&call)? else {
            return Err(invalid(format!("`{START}` needs `params: {{ workflow, key }}`")));
        };
        let order = match self.workflows.get(&workflow) {
            Some(ready) => ready.clone().map_err(invalid)?,
            None => {
                let all: Vec<&str> = self.workflows.keys().map(String::as_str).collect();
                return Err(invalid(format!("there is no workflow `{workflow}`; the project has {}", all.join(", "))));
            }
        };
        let id = self.run_of(key, &call)?;
        call.request.input.check_as("input", order.plan.input()).map_err(invalid)?;
        let by = starter(&engine, &call).await?;
        // Whoever starts it again finds the run that is there, or was.
        let started = match engine.load(id).await {
            Ok(_) => false,
            Err(Error::NoRun(_)) => match engine.start(Order { input: call.request.input, by, ..order }.id(id).within(call.request.run)) {
                Ok(_) => true,
                Err(Error::Exists(_)) => false,
                Err(wrong) => return Err(failed(&wrong)),
            },
            Err(wrong) => return Err(failed(&wrong)),
        };
        let told = Payload::of(&serde_json::json!({ "run": id, "started": started }));
        Ok(Reply::new(told.unwrap_or_else(|_| Payload::null())))
    }

    async fn cancel(&self, call: Call) -> Outcome {
        let engine = self.engine()?;
        let Some(Cancel { run, reason }) = params(&call)? else {
            return Err(Failure::new(FailureClass::Invalid, format!("`{CANCEL}` needs `params: {{ run, reason }}`")));
        };
        let cancelled = match engine.cancel(run, "system", &reason, false).await {
            Ok(()) => true,
            // One that is over needs no cancelling, and one may end just now.
            Err(Error::NoRun(_)) => false,
            Err(wrong) => match engine.load(run).await {
                Ok(run) if run.has_ended() => false,
                _ => return Err(failed(&wrong)),
            },
        };
        let told = Payload::of(&serde_json::json!({ "run": run, "cancelled": cancelled }));
        Ok(Reply::new(told.unwrap_or_else(|_| Payload::null())))
    }
}

/// Who started the run that a call is a part of.
async fn starter(engine: &Engine, call: &Call) -> Result<Arc<str>, Failure> {
    let by = engine.look(call.request.run, |run| run.begun().map(|start| start.by.clone())).await;
    Ok(by.map_err(|wrong| failed(&wrong))?.unwrap_or_else(|| "system".into()))
}

/// A case, once it has ended, or waits for people or time to bring it on.
async fn decided(engine: &Engine, order: Order) -> Outcome {
    let input = order.input.clone();
    let run = rested(engine, order).await.map_err(|wrong| failed(&wrong))?;
    if run.begun().is_some_and(|start| start.input.json() != input.json()) {
        let why = format!("the key is that of another piece of work, which run {} is about", run.id());
        return Err(Failure::new(FailureClass::Invalid, why));
    }
    Ok(Reply::new(Payload::of(&Case::of(&run)).unwrap_or_else(|_| Payload::null())))
}

async fn rested(engine: &Engine, order: Order) -> Result<Run, Error> {
    let id = order.id.unwrap_or_else(|| engine.new_id());
    let mut run = match engine.load(id).await {
        Ok(run) => Some(run),
        Err(Error::NoRun(_)) => None,
        Err(wrong) => return Err(wrong),
    };
    let plan = order.plan.clone();
    if run.is_none() {
        match engine.start(order) {
            // Somebody else may have brought it meanwhile, and it may even have ended: the journal says so to whoever follows it.
            Ok(_) | Err(Error::Exists(_)) => {}
            Err(wrong) => return Err(wrong),
        }
    }
    let mut following = engine.follow_run(id, run.as_ref().map_or(0, Run::seq));
    while run.as_ref().is_none_or(|run| !rests(run)) {
        let Some(entry) = following.next().await? else { break };
        match &mut run {
            Some(run) => run.apply(&entry)?,
            None => run = Some(Run::load(id, plan.clone(), [&entry])?),
        }
    }
    run.ok_or(Error::NoRun(id))
}

/// Whether nothing more happens until people answer, or time goes by: what follows a decision in any case has been done.
fn rests(run: &Run) -> bool {
    let needs_nothing = |id: &str| run.plan().tasks().any(|(task, mut deps)| task == id && deps.next().is_none());
    let mut follows = run.tasks().filter(|task| task.role() == Role::Finally && needs_nothing(task.plan_id()));
    run.has_ended() || (run.status() == RunStatus::Waiting && follows.all(|task| task.ended().is_some()))
}

/// The agent of a task, or the task where its plan names none.
fn agent_of(task: TaskView<'_>) -> &str {
    task.agent().map(|agent| &*agent.id).or(task.named_agent()).unwrap_or(task.plan_id())
}

impl Case<'_> {
    fn of(run: &Run) -> Case<'_> {
        let decision = run.decision().map(|decision| &**decision);
        let pick = run.begun().and_then(|start| start.route.as_ref()?.decode::<Pick>().ok());
        let of_an_agent = |task: &TaskView<'_>| !matches!(task.role(), Role::Review | Role::Compensation);
        let (worked, not): (Vec<_>, Vec<_>) = run.tasks().filter(of_an_agent).partition(|task| task.attempts() > 0);
        let agents: BTreeSet<&str> = worked.into_iter().map(agent_of).collect();
        let not: BTreeSet<&str> = not.into_iter().map(agent_of).collect();
        let spared = not.difference(&agents).copied().collect();
        Case {
            run: run.id().to_string(),
            status: run.status(),
            policy: pick.and_then(|pick| pick.policy),
            profile: run.begun().and_then(|start| start.profile.as_ref()?.decode().ok()),
            action: decision.map(|decision| &*decision.action),
            confidence: decision.and_then(|decision| decision.confidence?.to_string().parse().ok()),
            because: decision.map(|decision| rule_words(run.plan(), &decision.rule)),
            reason: decision.and_then(|decision| decision.reason.as_deref()),
            with: decision.and_then(|decision| decision.with.as_ref()?.decode().ok()),
            agents: agents.into_iter().collect(),
            spared,
            asks: run.tasks().filter(|task| task.status() == TaskStatus::Asking).map(TaskView::id).collect(),
        }
    }
}

/// The parameters of a call, where it has any.
fn params<P: serde::de::DeserializeOwned>(call: &Call) -> Result<Option<P>, Failure> {
    let task = &call.request.task;
    call.request
        .params
        .decode()
        .map_err(|wrong| Failure::new(FailureClass::Invalid, format!("the parameters of {task} do not fit: {wrong}")))
}

/// What the engine says, as an agent says it: what may be otherwise next time is tried again.
fn failed(wrong: &Error) -> Failure {
    let class = match wrong {
        Error::BadStart { .. } | Error::Refused(_) => FailureClass::Invalid,
        _ => FailureClass::Unavailable,
    };
    Failure::new(class, wrong.to_string())
}
