//! What does the work.
//!
//! An [`Agent`] is a name, a version, what it can do and what it does to the world, and a function that does it: async, or
//! blocking and then called on a thread where it may block, or so quick that it is called on the spot. The [`Registry`]
//! knows the agents and finds those that a task may ask for. This crate never decides when an agent is called, and never
//! retries: that is the engine's.

mod breaker;
mod cancel;
mod exec;
mod http;
mod line;
mod llm;
#[cfg(feature = "mcp")]
mod mcp;
mod net;
mod registry;
mod seat;
mod secret;
mod skill;
mod slate;
mod standard;
mod typed;
mod voice;
mod wire;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use quorate_core::{AgentRef, Effect, Failure, FailureClass, Millis, Reply, Request, Usage};
use quorate_expr::{Decimal, Type};

pub use breaker::{BreakerRule, BreakerState};
pub use cancel::Cancel;
pub use exec::{NOT_STARTED, NOT_STARTED_MARK, Program};
pub use http::Service;
pub use line::{Line, PLACES_PER_LEVEL, Rank};
pub use llm::{AgentTools, Api, Listing, Model, Prices, Prompt, Tool, ToolAnswer, Toolbox, USUAL_MAX_TOKENS, USUAL_STEPS, Using};
#[cfg(feature = "mcp")]
pub use mcp::{McpPlace, McpServer, McpTools};
pub use net::Reach;
pub use registry::{Endpoint, NoCandidate, Overview, Registry, RegistryStats};
pub use seat::{Grant, MAX_REST, Mode, Place, Wanted};
pub use secret::Secret;
pub use skill::{MAX_SKILL_FILES, MAX_SKILL_FILES_BYTES, MAX_SKILL_TEXT_BYTES, Shelf, SkillFile, SkillText, files_of};
pub use slate::{Ask, Picked, Slate};
pub use standard::{STANDARD, standard};
pub use typed::Worker;
pub use voice::Voice;

/// What comes of a call.
pub type Outcome = Result<Reply, Failure>;
/// A call under way.
pub type Calling = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A call: what is asked, and whether it still matters.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Raised when the outcome is no longer wanted. An agent that heeds it ends soon; one that does not is ended.
    pub cancel: Cancel,
    /// At which of the agent's endpoints; 0 where it has none.
    pub endpoint: usize,
    /// Where it says what it has so far.
    pub voice: Voice,
    /// What it may use, where its run has a budget.
    pub allowance: Option<Box<Allowance>>,
}

/// What a call may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Tokens, read and written together.
    pub tokens: Option<u64>,
    /// Money.
    pub cost: Option<Decimal>,
}

impl Call {
    /// A call that is wanted.
    #[must_use]
    pub fn new(request: Request) -> Call {
        Call { request, cancel: Cancel::new(), endpoint: 0, voice: Voice::default(), allowance: None }
    }
}

/// Something that does work.
#[derive(Clone)]
pub struct Agent {
    pub(crate) identity: Arc<AgentRef>,
    pub(crate) capabilities: Vec<Arc<str>>,
    pub(crate) max_concurrent: Option<usize>,
    pub(crate) timeout: Option<Millis>,
    pub(crate) priority: u32,
    pub(crate) weight: u32,
    pub(crate) share: u32,
    pub(crate) sticky_by: Option<Arc<str>>,
    pub(crate) breaker: BreakerRule,
    pub(crate) endpoints: Vec<Arc<str>>,
    probe: Option<Probe>,
    probe_every: Option<Millis>,
    talks: bool,
    waits: bool,
    reserve: Option<Reserve>,
    doing: Doing,
}

/// What a call may use at most, guessed before it is made.
pub type Reserve = Arc<dyn Fn(&Request) -> Usage + Send + Sync>;

/// Asks an agent, at one of its endpoints, whether it is well.
pub type Probe = Arc<dyn Fn(usize) -> Probing + Send + Sync>;
/// Such a question under way.
pub type Probing = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// How an agent is called.
#[derive(Clone)]
pub enum Doing {
    /// On the engine's own threads; it must not block them.
    Async(Arc<dyn Fn(Call) -> Calling + Send + Sync>),
    /// On a thread where it may block. Nobody can end it there.
    Blocking(Arc<dyn Fn(Call) -> Outcome + Send + Sync>),
    /// On the spot, by whoever drives the run.
    Quick(Arc<dyn Fn(Call) -> Outcome + Send + Sync>),
}

impl Agent {
    fn new(id: &str, doing: Doing) -> Agent {
        let identity = AgentRef::new(id, "1", Effect::None);
        Agent {
            identity: Arc::new(identity),
            capabilities: Vec::new(),
            max_concurrent: None,
            timeout: None,
            priority: 5,
            weight: 1,
            share: 1,
            sticky_by: None,
            breaker: BreakerRule::OFF,
            endpoints: Vec::new(),
            probe: None,
            probe_every: None,
            talks: false,
            waits: false,
            reserve: None,
            doing,
        }
    }

    /// An agent that is an async function.
    pub fn from_async<F, R>(id: &str, function: F) -> Agent
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        Agent::new(id, Doing::Async(Arc::new(move |call| Box::pin(function(call)))))
    }

    /// An agent that is a function which takes its time: it computes, waits, or reads files.
    pub fn from_blocking(id: &str, function: impl Fn(Call) -> Outcome + Send + Sync + 'static) -> Agent {
        Agent::new(id, Doing::Blocking(Arc::new(function)))
    }

    /// An agent that is a function which answers within microseconds: a rule, a lookup, a conversion. It is called between
    /// two steps of its run, which does nothing else meanwhile: no timeout ends it, and of several nobody runs beside
    /// another. What takes longer belongs in [`Agent::from_async`] or [`Agent::from_blocking`].
    pub fn from_quick(id: &str, function: impl Fn(Call) -> Outcome + Send + Sync + 'static) -> Agent {
        Agent::new(id, Doing::Quick(Arc::new(function)))
    }

    /// Its version; `1` where none is given.
    #[must_use]
    pub fn version(mut self, version: &str) -> Agent {
        Arc::make_mut(&mut self.identity).version = version.into();
        self
    }

    /// What calling it does to the world; nothing where it is not said.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Agent {
        Arc::make_mut(&mut self.identity).effect = effect;
        self
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities<'a>(mut self, capabilities: impl IntoIterator<Item = &'a str>) -> Agent {
        self.capabilities = capabilities.into_iter().map(Arc::from).collect();
        self
    }

    /// How many calls it takes at once: at least one.
    #[must_use]
    pub fn max_concurrent(mut self, calls: usize) -> Agent {
        self.max_concurrent = Some(calls.max(1));
        self
    }

    /// Of several that could do a task, the one with the higher priority does it; 5 where it is not given.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Agent {
        self.priority = priority;
        self
    }

    /// How much of the work it does beside others of the same priority: one of the weight 2 gets twice as much as one of the
    /// weight 1, which is what it has where it is not given. At least one.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Agent {
        self.weight = weight.max(1);
        self
    }

    /// How many of the runs are with this version, beside the shares of its other versions; 1 where it is not given.
    #[must_use]
    pub fn share(mut self, share: u32) -> Agent {
        self.share = share;
        self
    }

    /// By what runs are shared out among the versions: a path such as `input.customer` or `session.user`. What is the same
    /// there stays with one version. Without it every run is by itself.
    #[must_use]
    pub fn sticky_by(mut self, path: &str) -> Agent {
        self.sticky_by = Some(path.into());
        self
    }

    /// When it is left alone because it fails. Without it, what lies beyond a network has the usual rule, and nothing else has
    /// one.
    #[must_use]
    pub fn breaker(mut self, rule: BreakerRule) -> Agent {
        self.breaker = rule;
        self
    }

    /// Where it is, where it is at several places: a call says at which, by position. Each is left alone by itself when it
    /// fails. The names are shown and recorded.
    #[must_use]
    pub fn endpoints<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Agent {
        self.endpoints = names.into_iter().map(Arc::from).collect();
        self
    }

    /// How it is asked whether it is well.
    #[must_use]
    pub fn probed_by<F, R>(mut self, probe: F) -> Agent
    where
        F: Fn(usize) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.probe = Some(Arc::new(move |endpoint| Box::pin(probe(endpoint))));
        self
    }

    /// How often an engine asks it whether it is well; without it, nobody does but with calls.
    #[must_use]
    pub fn probe_every(mut self, every: Millis) -> Agent {
        self.probe_every = Some(every);
        self
    }

    /// Whether it says what it has while it works; see [`Call::voice`].
    #[must_use]
    pub fn talks(mut self) -> Agent {
        self.talks = true;
        self
    }

    /// Whether it does nothing itself but wait for other runs. It takes none of the places that an engine has for all agents
    /// together: those that it waits for need them, and would wait for it in turn.
    #[must_use]
    pub fn waits(mut self) -> Agent {
        self.waits = true;
        self
    }

    /// What a call may use at most, by what is asked. A run with a budget sets so much aside before it makes the call.
    #[must_use]
    pub fn reserving(mut self, guess: impl Fn(&Request) -> Usage + Send + Sync + 'static) -> Agent {
        self.reserve = Some(Arc::new(guess));
        self
    }

    /// Whether it says what it has while it works.
    #[must_use]
    pub fn does_talk(&self) -> bool {
        self.talks
    }

    /// Whether it only waits for other runs.
    #[must_use]
    pub fn does_wait(&self) -> bool {
        self.waits
    }

    /// What a call may use at most, if that can be said before it.
    #[must_use]
    pub fn reserve(&self, request: &Request) -> Option<Usage> {
        self.reserve.as_ref().map(|guess| guess(request))
    }

    /// How it is asked whether it is well, if it can be.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        self.probe.as_ref()
    }

    /// How often it is.
    #[must_use]
    pub fn probing(&self) -> Option<Millis> {
        self.probe_every.filter(|_| self.probe.is_some())
    }

    /// The same agent, called with what `prepare` makes of its calls.
    #[must_use]
    pub fn preparing(self, prepare: impl Fn(Call) -> Call + Send + Sync + 'static) -> Agent {
        let doing = match self.doing {
            Doing::Async(function) => Doing::Async(Arc::new(move |call| function(prepare(call)))),
            Doing::Blocking(function) => Doing::Blocking(Arc::new(move |call| function(prepare(call)))),
            Doing::Quick(function) => Doing::Quick(Arc::new(move |call| function(prepare(call)))),
        };
        Agent { doing, ..self }
    }

    /// What it returns. An output that does not fit is a failure of class `invalid`, whatever a plan expects of it.
    #[must_use]
    pub fn returns(self, kind: Type) -> Agent {
        let check = move |outcome: Outcome| match outcome {
            Ok(reply) => match reply.output.check(&kind) {
                Ok(()) => Ok(reply),
                Err(wrong) => Err(Failure::new(FailureClass::Invalid, wrong)),
            },
            failed => failed,
        };
        let doing = match self.doing {
            Doing::Async(function) => {
                let check = Arc::new(check);
                Doing::Async(Arc::new(move |call| {
                    let (calling, check) = (function(call), check.clone());
                    Box::pin(async move { check(calling.await) })
                }))
            }
            Doing::Blocking(function) => Doing::Blocking(Arc::new(move |call| check(function(call)))),
            Doing::Quick(function) => Doing::Quick(Arc::new(move |call| check(function(call)))),
        };
        Agent { doing, ..self }
    }

    /// How long a call may take, where the plan does not say.
    #[must_use]
    pub fn timeout(mut self, timeout: Millis) -> Agent {
        self.timeout = Some(timeout);
        self
    }

    /// Its name, version and effect.
    #[must_use]
    pub fn identity(&self) -> &Arc<AgentRef> {
        &self.identity
    }

    /// What it can do.
    #[must_use]
    pub fn can_do(&self) -> &[Arc<str>] {
        &self.capabilities
    }

    /// Its priority.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.priority
    }

    /// How many calls it takes at once, if there is a limit.
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        self.max_concurrent
    }

    /// How long a call may take, if it says so.
    #[must_use]
    pub fn call_timeout(&self) -> Option<Millis> {
        self.timeout
    }

    /// How it is called.
    #[must_use]
    pub fn doing(&self) -> &Doing {
        &self.doing
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("identity", &self.identity).field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}
