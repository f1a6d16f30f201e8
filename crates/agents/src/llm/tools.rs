//! What a model may use while it works: other agents, the files of skills, and whatever else is put into a toolbox.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use quorate_core::{Asker, Digest, Effect, Failure, FailureClass, Payload, Request, Skill, Timestamp};
use quorate_expr::Type;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::schema_of;
use crate::seat::Place;
use crate::skill::{Shelf, SkillText, text_of};
use crate::slate::{Ask, Picked};
use crate::wire::{invalid, now};
use crate::{Call, Doing, Outcome, Registry};

/// How urgent a call is that another agent waits for.
const PRIORITY: u8 = 10;

/// A tool, as a model is told of it.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What it takes, as JSON Schema.
    pub input: Value,
    /// Whether what it does must not be done twice.
    pub once: bool,
}

/// What a tool says.
#[derive(Clone, Debug)]
pub struct ToolAnswer {
    /// The answer, as the model gets it.
    pub text: String,
}

/// What tools there are.
pub type Listing<'a> = Pin<Box<dyn Future<Output = Result<Vec<Tool>, Failure>> + Send + 'a>>;
/// A tool at work.
pub type Using<'a> = Pin<Box<dyn Future<Output = Result<ToolAnswer, Failure>> + Send + 'a>>;

/// Tools that belong together.
pub trait Toolbox: Send + Sync {
    /// What tools there are.
    fn tools(&self) -> Listing<'_>;
    /// Uses one, on behalf of a call.
    fn call<'a>(&'a self, tool: &'a str, input: Payload, on_behalf: &'a Call) -> Using<'a>;
}

/// Agents as tools. Such a call takes a place with the agent like any other, and stands in line for it; it takes none of the
/// places of the engine, for the agent that asks has one already.
pub struct AgentTools {
    registry: Weak<Registry>,
    agents: Vec<(String, Tool)>,
}

impl AgentTools {
    /// No agents yet, of this registry.
    #[must_use]
    pub fn new(registry: Weak<Registry>) -> AgentTools {
        AgentTools { registry, agents: Vec::new() }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// One more: what it does, what it takes, and what calling it does to the world.
    #[must_use]
    pub fn agent(mut self, id: &str, description: &str, input: &Type, effect: Effect) -> AgentTools {
        let schema = match input {
            Type::Object(_) => schema_of(input),
            _ => json!({ "type": "object" }),
        };
        let tool = Tool { name: tool_name(id), description: description.to_owned(), input: schema, once: effect == Effect::Once };
        self.agents.push((id.to_owned(), tool));
        self
    }
}

/// A name that every service takes: letters, digits, `_` and `-`, up to 64 of them.
pub(crate) fn tool_name(id: &str) -> String {
    let fit = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    id.chars().map(fit).take(64).collect()
}

impl Toolbox for AgentTools {
    fn tools(&self) -> Listing<'_> {
        Box::pin(async { Ok(self.agents.iter().map(|(_, tool)| tool.clone()).collect()) })
    }

    fn call<'a>(&'a self, tool: &'a str, input: Payload, on_behalf: &'a Call) -> Using<'a> {
        Box::pin(async move {
            let found = self.agents.iter().find(|(_, known)| known.name == tool);
            let (id, _) = found.ok_or_else(|| invalid(format!("there is no tool `{tool}`")))?;
            let registry = self.registry.upgrade().ok_or_else(|| invalid("the engine has stopped".to_owned()).unsent())?;
            let reply = call_agent(&registry, id, input, on_behalf).await?;
            Ok(ToolAnswer { text: reply.output.json().to_owned() })
        })
    }
}

/// Calls an agent on behalf of another one.
async fn call_agent(registry: &Registry, id: &str, input: Payload, on_behalf_of: &Call) -> Outcome {
    let asking = &on_behalf_of.request;
    // The same question is the same work, whichever attempt asks it.
    let question = Digest::of_parts(&[id.as_bytes(), input.json().as_bytes()]).to_string();
    let request = Request {
        run: asking.run,
        task: format!("{}/{id}/{}", asking.task, &question[..16]).into(),
        attempt: asking.attempt,
        deadline: asking.deadline,
        input,
        params: Payload::null(),
        outputs: Vec::new(),
        skills: Vec::new(),
        session: asking.session.clone(),
    };
    let cancel = on_behalf_of.cancel.clone();
    on_behalf(registry, id, &request.clone(), |doing, endpoint| async move {
        let call = Call { endpoint, cancel, ..Call::new(request) };
        match doing {
            Doing::Async(function) => function(call).await,
            Doing::Quick(function) => function(call),
            Doing::Blocking(function) => {
                let ended = tokio::task::spawn_blocking(move || function(call)).await;
                ended.unwrap_or_else(|wrong| Err(Failure::new(FailureClass::Internal, wrong.to_string())))
            }
        }
    })
    .await
}

/// Works with an agent for another one that waits for it: takes a place with it, or stands in line for one, and lets its standing
/// learn what came of it.
pub(crate) async fn on_behalf<T, F>(
    registry: &Registry,
    id: &str,
    request: &Request,
    work: impl FnOnce(Doing, usize) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (identity, place) = place_with(registry, id, request).await?;
    let working = work(place.agent().doing().clone(), place.endpoint());
    let outcome = match place.agent().call_timeout() {
        Some(limit) => tokio::time::timeout(std::time::Duration::from_millis(limit.0), working)
            .await
            .unwrap_or_else(|_| Err(Failure::new(FailureClass::Timeout, format!("`{id}` did not answer within {} ms", limit.0)))),
        None => working.await,
    };
    match &outcome {
        Ok(_) => place.succeeded(),
        Err(failure) => registry.failed(&identity, failure.class, failure.retry_after, Timestamp::from_micros(now())),
    }
    outcome
}

/// A place with an agent; where all are taken, the first that is free.
async fn place_with(registry: &Registry, id: &str, request: &Request) -> Result<(Arc<quorate_core::AgentRef>, Place), Failure> {
    let id: Arc<str> = id.into();
    let nobody = |none: crate::NoCandidate| Failure::new(FailureClass::Unavailable, none.to_string()).unsent();
    let key = |_: Option<&str>| Digest::of(&request.run.0.to_be_bytes());
    let mut held = None;
    loop {
        let slate = registry.slate(&Asker::Agent(&id)).map_err(nobody)?;
        match slate.choose(Ask { now: Timestamp::from_micros(now()), tried: &[], key: &key, held: held.take() }) {
            Picked::Agent { identity, place, .. } => return Ok((identity, place)),
            Picked::Nobody { failure, .. } => return Err(failure.unsent()),
            Picked::Full(line) => {
                let (grant, granted) = oneshot::channel();
                let grant = move |place: Option<Place>| match grant.send(place) {
                    // Whoever waited is gone, and the place is somebody else's.
                    Err(Some(place)) => Err(place),
                    Ok(()) | Err(None) => Ok(()),
                };
                slate.wait(&line, PRIORITY, None, Box::new(grant));
                held = granted.await.unwrap_or_default();
            }
        }
    }
}

/// The files that lie beside the skills of a task.
pub(super) struct SkillFiles {
    skills: Vec<(Skill, SkillText)>,
    shelf: Shelf,
}

impl SkillFiles {
    pub(super) fn of(skills: &[Skill], shelf: &Shelf) -> Option<Arc<dyn Toolbox>> {
        let with_files = |skill: &Skill| text_of(skill).ok().filter(|text| !text.files.is_empty()).map(|text| (skill.clone(), text));
        let skills: Vec<_> = skills.iter().filter_map(with_files).collect();
        (!skills.is_empty()).then(|| Arc::new(SkillFiles { skills, shelf: shelf.clone() }) as Arc<dyn Toolbox>)
    }
}

impl Toolbox for SkillFiles {
    fn tools(&self) -> Listing<'_> {
        let names: Vec<&str> = self.skills.iter().map(|(skill, _)| &*skill.name).collect();
        let tool = Tool {
            name: "read_skill_file".to_owned(),
            description: "Reads a file that belongs to one of your skills.".to_owned(),
            input: json!({
                "type": "object",
                "properties": { "skill": { "type": "string", "enum": names }, "path": { "type": "string" } },
                "required": ["skill", "path"],
                "additionalProperties": false,
            }),
            once: false,
        };
        Box::pin(async { Ok(vec![tool]) })
    }

    fn call<'a>(&'a self, _tool: &'a str, input: Payload, _on_behalf: &'a Call) -> Using<'a> {
        Box::pin(async move {
            let asked: Value = input.decode().unwrap_or_default();
            let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
            let found = self.skills.iter().find(|(skill, _)| *skill.name == *text("skill"));
            let (skill, said) = found.ok_or_else(|| invalid(format!("there is no skill `{}`", text("skill"))))?;
            let content = self.shelf.file(skill, said, text("path"))?;
            let text = String::from_utf8(content).map_err(|_| invalid(format!("`{}` is not text", text("path"))))?;
            Ok(ToolAnswer { text })
        })
    }
}
