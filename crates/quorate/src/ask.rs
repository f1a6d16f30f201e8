//! Requests: something that somebody wants, which goes to an agent or to a workflow. Start at [`Host::ask`].

use std::sync::Arc;

use quorate_core::draft::TaskDraft;
use quorate_core::{Draft, Failure, FailureClass, Payload, Plan, RunStatus};
use quorate_project::{AgentSpec, Routed, RoutedBy, Target, Unheeded};
use quorate_runtime::{Engine, Error, Order};
use serde_json::{Value, json};

use crate::host::Host;
use crate::skills::SkillError;

/// A request that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No rule matches, there is no default, and no agent could say.
    #[error("nothing says where this request goes: {0}")]
    Nowhere(String),
    /// It is to go to something that is not there.
    #[error("there is no {0}")]
    NoTarget(String),
    /// The agent that was asked where it goes did not say.
    #[error("{agent} was asked where this request goes, and {why}")]
    Classifier {
        /// The agent.
        agent: String,
        /// What it said instead.
        why: String,
    },
    /// What it goes to requires a skill that it cannot have.
    #[error(transparent)]
    Skill(#[from] SkillError),
    /// The engine could not ask.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl Host {
    /// Where a request goes: where whoever asks says, else by the rules of the project, else by its default. It asks nobody.
    #[must_use]
    pub fn route(&self, request: &Payload, wanted: Option<Target>) -> Routed {
        match wanted {
            Some(to) => Routed { to: Some(to), by: RoutedBy::Asker, close: Vec::new(), unheeded: None },
            None => self.project().routes.route(request),
        }
    }

    /// Where a request goes, also where an agent has to be asked for that: its [`Host::route`], and where no rule matches what
    /// the classifier of the project says.
    ///
    /// # Errors
    /// [`AskError`] where it goes nowhere.
    pub async fn ask(&self, engine: &Engine, request: &Payload, wanted: Option<Target>, by: &Arc<str>) -> Result<Routed, AskError> {
        let mut routed = self.route(request, wanted);
        let open = matches!(routed.by, RoutedBy::Default | RoutedBy::Nothing);
        if let Some(agent) = self.project().routes.classifier.as_ref().filter(|_| open) {
            match self.classify(engine, agent, request, by).await {
                Ok(to) => return Ok(Routed { to: Some(to), by: RoutedBy::Classifier { agent: agent.clone() }, ..routed }),
                // A default is there for whoever does not know.
                Err(AskError::Classifier { agent, why }) if routed.to.is_some() => routed.unheeded = Some(Unheeded { agent, why }),
                Err(wrong) => return Err(wrong),
            }
        }
        if routed.to.is_none() {
            let why = if self.project().routes.is_empty() {
                "the project has no `routes`".to_owned()
            } else {
                "no rule decides, and there is no default".to_owned()
            };
            return Err(AskError::Nowhere(why));
        }
        Ok(routed)
    }

    /// What is run for a request that goes there: the workflow, or a single call of the agent.
    ///
    /// # Errors
    /// [`AskError::NoTarget`] where it is not there.
    pub fn order(&self, to: &Target, routed: &Routed, request: Payload, by: &Arc<str>) -> Result<Order, AskError> {
        let project = self.project();
        let plan = match to {
            Target::Workflow(id) => {
                let known = project.workflows.get(id).map(|workflow| workflow.plan.clone());
                known.ok_or_else(|| AskError::NoTarget(format!("workflow `{id}`")))?
            }
            Target::Capabilities(wanted) => single(&wanted.join("+"), TaskDraft::need("answer", wanted.iter().map(String::as_str)))?,
            Target::Agent(id) => {
                let spec = project.agents.get(id);
                let standard = quorate_agents::STANDARD.contains(&id.as_str());
                if spec.is_none() && !standard {
                    return Err(AskError::NoTarget(format!("agent `{id}`")));
                }
                let task = match spec.filter(|spec| spec.instances.is_some()) {
                    Some(several) => TaskDraft::need("answer", [several.id.as_str()]),
                    None => TaskDraft::call("answer", id),
                };
                let output = spec.and_then(AgentSpec::returned).unwrap_or_default();
                single(id, TaskDraft { output, ..task })?
            }
        };
        let route = Payload::of(routed).ok();
        Ok(self.equipped(Order { by: by.clone(), route, ..Order::new(plan, request) })?)
    }

    async fn classify(&self, engine: &Engine, agent: &str, request: &Payload, by: &Arc<str>) -> Result<Target, AskError> {
        let refuse = |why: String| AskError::Classifier { agent: agent.to_owned(), why };
        let request: Value = request.decode().unwrap_or_default();
        let input = json!({ "request": request, "choices": self.choices(agent) });
        let input = Payload::of(&input).map_err(|wrong| refuse(wrong.to_string()))?;
        let plan = single(agent, TaskDraft::call("where", agent))?;
        let ended = engine.start(Order { by: by.clone(), ..Order::new(plan, input) })?.ended().await?;
        if ended.status != RunStatus::Succeeded {
            return Err(refuse(format!("its run {} {}", ended.run.short(), ended.status)));
        }
        let answer = ended.output.map_err(|failure: Failure| refuse(failure.to_string()))?;
        let answer: Value = answer.decode().unwrap_or_default();
        let field = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let project = self.project();
        let to = match (field("workflow"), field("agent").or_else(|| answer.as_str().map(str::to_owned))) {
            (Some(id), _) if project.workflows.contains_key(&id) => Target::Workflow(id),
            (None, Some(id)) if project.agents.contains_key(&id) => Target::Agent(id),
            (None, Some(id)) if project.workflows.contains_key(&id) => Target::Workflow(id),
            _ => {
                let shown: String = answer.to_string().chars().take(120).collect();
                return Err(refuse(format!("named nothing that is there: {shown}")));
            }
        };
        Ok(to)
    }

    /// What a classifying agent can choose from.
    fn choices(&self, classifier: &str) -> Vec<Value> {
        let project = self.project();
        let agents = project
            .agents
            .values()
            .filter(|agent| agent.id != classifier && agent.enabled)
            .map(|agent| json!({ "agent": agent.id, "description": agent.description, "capabilities": agent.capabilities }));
        let workflows = project
            .workflows
            .iter()
            .map(|(id, workflow)| json!({ "workflow": id, "description": workflow.description.as_ref().or(workflow.title.as_ref()) }));
        agents.chain(workflows).collect()
    }
}

/// A plan of a single task.
fn single(name: &str, task: TaskDraft) -> Result<Arc<Plan>, AskError> {
    let wrong = |problems: Vec<quorate_core::Problem>| {
        let why = problems.first().map(ToString::to_string).unwrap_or_default();
        AskError::Nowhere(Failure::new(FailureClass::Invalid, why).to_string())
    };
    Plan::compile(&Draft::new(name).task(task)).map(Arc::new).map_err(wrong)
}
