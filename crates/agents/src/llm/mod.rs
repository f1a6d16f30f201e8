//! Language models as agents.
//!
//! One call of such an agent is a talk: the prompt goes out, the model answers or asks for tools, gets what they gave, and
//! goes on, for a limited number of turns. An answer that has to be of a certain shape and is not gets one more turn, in
//! which it is told why. What is said in between is heard by whoever listens and kept by nobody; tokens and money are
//! counted also where the call fails.

mod anthropic;
mod openai;
mod prompt;
mod schema;
mod sse;
mod talk;
mod tools;

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use quorate_core::{Failure, FailureClass, MAX_VALUE_BYTES, Millis, Payload, Reply, Request, Said, Timestamp, ToolUse, Usage};
use quorate_expr::{Decimal, Field, Type};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Map, Value};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::breaker::BreakerRule;
use crate::net::{Reach, beginning, body, class_of, client, header, retry_after, sensitive, told_of, unanswered, url};
use crate::secret::{Revealed, Secret};
use crate::skill::{Shelf, text_of};
use crate::wire::{invalid, now};
use crate::{Agent, Call, Outcome, Voice};

pub use prompt::Prompt;
pub(crate) use schema::schema_of;
use talk::{ANSWER, Asked, Asking, Given, Heard, Hearing, Message, Stop, Tokens};
pub use tools::{AgentTools, Listing, Tool, ToolAnswer, Toolbox, Using};
#[cfg(feature = "mcp")]
pub(crate) use tools::{on_behalf, tool_name};

/// How many turns a call may take, where it is not said.
pub const USUAL_STEPS: u32 = 8;
/// How many tokens a model may write in a turn, where it is not said.
pub const USUAL_MAX_TOKENS: u64 = 4_096;
/// Most bytes of text for one token: a guess that is on the safe side for every language.
const BYTES_PER_TOKEN: u64 = 3;
/// Most uses of tools that are kept with an answer.
const MAX_KEPT_USES: usize = 64;
/// Longest text of a tool's question or answer that is kept with it.
const MAX_KEPT_TEXT: usize = 2 * 1024;
/// Longest text that a model gets from a tool.
const MAX_GIVEN_BYTES: usize = 256 * 1024;

/// In which format a service is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// OpenAI's chat completions, which many services and local servers speak.
    #[default]
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

impl Api {
    fn usual_url(self) -> &'static str {
        match self {
            Api::OpenAi => "https://api.openai.com/v1",
            Api::Anthropic => "https://api.anthropic.com/v1",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Api::OpenAi => "chat/completions",
            Api::Anthropic => "messages",
        }
    }

    fn listening(self) -> Box<dyn Hearing> {
        match self {
            Api::OpenAi => Box::new(openai::Listening::default()),
            Api::Anthropic => Box::new(anthropic::Listening::default()),
        }
    }
}

/// What a million tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Read.
    pub input: Option<Decimal>,
    /// Read, where the service had them at hand; as all others where it is not given.
    pub cached: Option<Decimal>,
    /// Written.
    pub output: Option<Decimal>,
}

/// A language model that does work.
#[derive(Clone)]
pub struct Model {
    /// In which format it is spoken to.
    pub api: Api,
    /// Where it is, up to the version; that of the format's own service where none is given.
    pub urls: Vec<Secret>,
    /// By what the service knows us.
    pub key: Option<Secret>,
    /// What is sent along with every call.
    pub headers: Vec<(String, Secret)>,
    /// Where it may be.
    pub reach: Reach,
    /// Which model.
    pub model: String,
    /// What it should always heed.
    pub instructions: Option<String>,
    /// The same, as a template.
    pub system: Option<Prompt>,
    /// What it is asked; without it, what the task is about.
    pub prompt: Option<Prompt>,
    /// What the templates name besides what they always may, from `params` or `input`.
    pub inputs: Vec<Field>,
    /// What it answers; a text where nothing is declared.
    pub output: Type,
    /// How many tokens it may write in a turn.
    pub max_tokens: u64,
    /// Whether it is heard while it answers.
    pub stream: bool,
    /// What else the service is told.
    pub extra: Map<String, Value>,
    /// What it costs.
    pub prices: Prices,
    /// What it may use.
    pub tools: Vec<Arc<dyn Toolbox>>,
    /// How many turns a call may take.
    pub max_steps: u32,
    /// Where it finds the files of the skills that it gets.
    pub shelf: Shelf,
}

impl Model {
    /// A model by its name, in this format, with nothing else said.
    #[must_use]
    pub fn new(api: Api, model: &str) -> Model {
        Model {
            api,
            urls: Vec::new(),
            key: None,
            headers: Vec::new(),
            reach: Reach::Public,
            model: model.to_owned(),
            instructions: None,
            system: None,
            prompt: None,
            inputs: Vec::new(),
            output: Type::Any,
            max_tokens: USUAL_MAX_TOKENS,
            stream: true,
            extra: Map::new(),
            prices: Prices::default(),
            tools: Vec::new(),
            max_steps: USUAL_STEPS,
            shelf: Shelf::default(),
        }
    }
}

impl Agent {
    /// An agent that is a language model.
    #[must_use]
    pub fn from_model(id: &str, model: Model) -> Agent {
        let model = Arc::new(model);
        let names: Vec<String> = if model.urls.len() > 1 { model.urls.iter().map(Secret::to_string).collect() } else { Vec::new() };
        let (probed, guessing) = (model.clone(), model.clone());
        let agent = Agent::from_async(id, move |call| {
            let model = model.clone();
            async move { model.call(call).await }
        });
        let agent = agent.breaker(BreakerRule::default()).endpoints(names.iter().map(String::as_str)).talks();
        let agent = agent.reserving(move |request| guessing.guess(request));
        agent.probed_by(move |endpoint| {
            let model = probed.clone();
            async move { model.probe(endpoint).await }
        })
    }
}

/// A call under way.
struct Talk<'a> {
    model: &'a Model,
    call: &'a Call,
    system: Option<String>,
    tools: Vec<(Tool, Arc<dyn Toolbox>)>,
    history: Vec<Message>,
    used: Vec<ToolUse>,
    turns: u32,
    repaired: bool,
}

impl Model {
    async fn call(&self, call: Call) -> Outcome {
        let (mut revealed, mut spent) = (Revealed::default(), Spent::default());
        let cancel = call.cancel.clone();
        let outcome = tokio::select! {
            outcome = self.talk(&call, &mut revealed, &mut spent) => outcome,
            () = cancel.raised() => Err(Failure::new(FailureClass::Unavailable, "it was told to stop")),
        };
        let outcome = revealed.kept_out_of(outcome);
        let usage = spent.usage(&self.prices);
        match outcome {
            Ok(mut reply) => {
                reply.said.get_or_insert_default().usage = usage;
                Ok(reply)
            }
            Err(failure) => Err(Failure { usage: usage.map(Box::new), ..failure }),
        }
    }

    async fn talk(&self, call: &Call, revealed: &mut Revealed, spent: &mut Spent) -> Outcome {
        let (system, question) = (self.system(&call.request)?, self.question(&call.request)?);
        let mut tools: Vec<(Tool, Arc<dyn Toolbox>)> = Vec::new();
        for toolbox in &self.toolboxes(&call.request) {
            for tool in toolbox.tools().await? {
                if tool.name == ANSWER || tools.iter().any(|(known, _)| known.name == tool.name) {
                    return Err(invalid(format!("it has two tools called `{}`", tool.name)).unsent());
                }
                tools.push((tool, toolbox.clone()));
            }
        }
        let history = vec![Message::User(question)];
        let mut talk = Talk { model: self, call, system, tools, history, used: Vec::new(), turns: 0, repaired: false };
        loop {
            if talk.turns >= self.max_steps {
                return Err(invalid(format!("it has not answered within the {} turns that a call may take", self.max_steps)));
            }
            talk.turns += 1;
            let heard = self.turn(&talk, revealed, spent).await?;
            if let Some(reply) = talk.take(heard).await? {
                return Ok(reply);
            }
        }
    }

    /// Everything that it may use for this request.
    fn toolboxes(&self, request: &Request) -> Vec<Arc<dyn Toolbox>> {
        let mut toolboxes = self.tools.clone();
        toolboxes.extend(tools::SkillFiles::of(&request.skills, &self.shelf));
        toolboxes
    }

    // -- what is said

    fn system(&self, request: &Request) -> Result<Option<String>, Failure> {
        let mut parts = Vec::new();
        parts.extend(self.instructions.clone());
        if let Some(prompt) = &self.system {
            parts.push(prompt.render(request, &self.inputs)?);
        }
        for skill in &request.skills {
            let text = text_of(skill)?;
            let beside: Vec<&str> = text.files.iter().map(|file| file.path.as_str()).collect();
            let beside = if beside.is_empty() { String::new() } else { format!("\n\nFiles of this skill: {}", beside.join(", ")) };
            parts.push(format!("# Skill: {}\n\n{}\n\n{}{beside}", skill.name, text.description, text.body));
        }
        if self.output != Type::Any {
            parts.push(format!("Answer with JSON alone, by this schema: {}", schema::of_answer(&self.output)));
        }
        Ok((!parts.is_empty()).then(|| parts.join("\n\n")))
    }

    fn question(&self, request: &Request) -> Result<String, Failure> {
        if let Some(prompt) = &self.prompt {
            return prompt.render(request, &self.inputs);
        }
        let mut params: Value = request.params.decode().unwrap_or_default();
        let task = params.as_object_mut().and_then(|fields| fields.shift_remove("task"));
        let task = task.as_ref().and_then(Value::as_str).map_or_else(|| format!("Do the task `{}`.", request.task), str::to_owned);
        let mut parts = vec![task];
        let is_empty = |json: &str| matches!(json, "null" | "{}");
        for (name, json) in [("Parameters", params.to_string()), ("Input", request.input.json().to_owned())] {
            if !is_empty(&json) {
                parts.push(format!("{name}:\n{json}"));
            }
        }
        for (task, output) in &request.outputs {
            parts.push(format!("What came of the task `{task}`:\n{}", output.json()));
        }
        Ok(parts.join("\n\n"))
    }

    /// How much one call may use, so far as that is known before it.
    fn guess(&self, request: &Request) -> Usage {
        let said: usize = [&request.input, &request.params]
            .into_iter()
            .chain(request.outputs.iter().map(|(_, output)| output))
            .map(|payload| payload.json().len())
            .sum();
        let skills: usize = request.skills.iter().map(|skill| skill.text.json().len()).sum();
        let text = said + skills + self.instructions.as_ref().map_or(0, String::len);
        let read = text as u64 / BYTES_PER_TOKEN + self.overhead();
        // A call with tools takes several turns, each of which reads all that was said before.
        let turns = if self.tools.is_empty() { 1 } else { u64::from(self.max_steps.max(1)) };
        let written = self.max_tokens.saturating_mul(turns);
        let before = self.max_tokens.saturating_mul(turns - 1);
        let tokens = Tokens { read: read.saturating_add(before).saturating_mul(turns), cached: 0, written };
        Spent { tokens, turns: 1 }.usage(&self.prices).unwrap_or_default()
    }

    fn overhead(&self) -> u64 {
        let prompts = [&self.prompt, &self.system].into_iter().flatten().map(Prompt::size).sum::<usize>();
        prompts as u64 / BYTES_PER_TOKEN + 64
    }

    // -- one turn

    async fn turn(&self, talk: &Talk<'_>, revealed: &mut Revealed, spent: &mut Spent) -> Result<Heard, Failure> {
        let strict = schema::is_strict(&self.output);
        let tools: Vec<Tool> = talk.tools.iter().map(|(tool, _)| tool.clone()).collect();
        let mut asking = Asking {
            model: &self.model,
            system: talk.system.as_deref(),
            history: &talk.history,
            tools: &tools,
            answer: (self.output != Type::Any).then(|| (schema::of_answer(&self.output), strict)),
            max_tokens: self.max_tokens,
            stream: self.stream,
            usual: self.urls.is_empty(),
        };
        let mut body = self.body(&asking);
        let left = self.left(talk.call, spent, body.to_string().len())?;
        if left < self.max_tokens {
            asking.max_tokens = left;
            body = self.body(&asking);
        }
        let place = self.place(talk.call.endpoint);
        let named = |failure: Failure| told_of(&place, failure);
        let span = self.span(asking.max_tokens);
        let request = self.request(Method::POST, &place, self.api.path(), revealed)?;
        let request = request.header(CONTENT_TYPE, "application/json").header("idempotency-key", turn_key(&talk.call.request, talk.turns));
        let (mut listening, voice) = (self.api.listening(), revealed.discreet(&talk.call.voice));
        let heard = async {
            let response = request.body(body.to_string()).send().await.map_err(|wrong| unanswered(&wrong))?;
            self.hear(response, &voice, &mut listening).await
        };
        let outcome = heard.instrument(span.clone()).await;
        spent.turns += 1;
        // What it used counts also where it broke off.
        let tokens = listening.tokens();
        spent.tokens = spent.tokens.and(tokens);
        span.record("gen_ai.usage.input_tokens", tokens.read);
        span.record("gen_ai.usage.output_tokens", tokens.written);
        if let Err(failure) = &outcome {
            span.record("error.type", failure.class.to_string());
            span.record("otel.status_code", "ERROR");
        }
        outcome.map_err(named)?;
        let broke_off = || named(Failure::new(FailureClass::Unavailable, "broke off in the middle of its answer"));
        let heard = listening.heard().ok_or_else(broke_off)?;
        match (&heard.refusal, heard.stop) {
            (Some(why), _) => Err(Failure::new(FailureClass::Refused, format!("it declines: {}", beginning(why.as_bytes())))),
            (None, Stop::Refused) => Err(Failure::new(FailureClass::Refused, "it declines to answer")),
            (None, Stop::Length) => {
                Err(invalid(format!("its answer was cut off after the {} tokens that it may write", asking.max_tokens)))
            }
            (None, Stop::End) => Ok(heard),
        }
    }

    /// What whoever traces sees of a turn.
    fn span(&self, max_tokens: u64) -> Span {
        let provider = match self.api {
            Api::OpenAi => "openai",
            Api::Anthropic => "anthropic",
        };
        tracing::info_span!(
            "chat",
            otel.name = format!("chat {}", self.model),
            otel.kind = "client",
            otel.status_code = Empty,
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = provider,
            gen_ai.request.model = self.model,
            gen_ai.request.max_tokens = max_tokens,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            error.type = Empty,
        )
    }

    fn body(&self, asking: &Asking<'_>) -> Value {
        let mut body = match self.api {
            Api::OpenAi => openai::body(asking),
            Api::Anthropic => anthropic::body(asking),
        };
        for (name, value) in &self.extra {
            body[name] = value.clone();
        }
        body
    }

    /// How many tokens it may still write, by what its run can afford.
    fn left(&self, call: &Call, spent: &Spent, bytes: usize) -> Result<u64, Failure> {
        let Some(allowance) = &call.allowance else { return Ok(self.max_tokens) };
        let next = Spent { tokens: spent.tokens.and(Tokens { read: bytes as u64 / BYTES_PER_TOKEN, cached: 0, written: 0 }), turns: 1 };
        let used = next.usage(&self.prices).unwrap_or_default();
        let by_tokens = allowance.tokens.map(|all| all.saturating_sub(used.tokens()));
        let by_money = allowance.cost.zip(self.prices.output).filter(|(_, price)| !price.is_zero()).map(|(all, price)| {
            let left = (all - used.cost.unwrap_or_default()).max(Decimal::ZERO);
            // More than can be counted is as good as no limit.
            let tokens = left.checked_mul(Decimal::from(MILLION)).and_then(|left| left.checked_div(price));
            tokens.and_then(|tokens| u64::try_from(tokens.trunc()).ok()).unwrap_or(u64::MAX)
        });
        match by_tokens.into_iter().chain(by_money).min() {
            Some(0) => {
                let used = spent.tokens.read.saturating_add(spent.tokens.written);
                let message = format!("its next turn would use more than was set aside for it; {used} tokens are used");
                let failure = Failure::new(FailureClass::Refused, message);
                Err(if spent.turns == 0 { failure.unsent() } else { failure })
            }
            Some(left) => Ok(left.min(self.max_tokens)),
            None => Ok(self.max_tokens),
        }
    }

    fn place(&self, endpoint: usize) -> Secret {
        self.urls.get(endpoint).cloned().unwrap_or_else(|| Secret::Plain(self.api.usual_url().to_owned()))
    }

    fn request(&self, method: Method, place: &Secret, path: &str, revealed: &mut Revealed) -> Result<RequestBuilder, Failure> {
        let mut address = url(&revealed.reveal(place)?, place, self.reach)?;
        let whole = format!("{}/{path}", address.path().trim_end_matches('/'));
        address.set_path(&whole);
        let mut request = client(self.reach)?.request(method, address);
        if let Some(key) = &self.key {
            let key = revealed.reveal(key)?;
            let (name, value) = match self.api {
                Api::OpenAi => ("authorization", format!("Bearer {key}")),
                Api::Anthropic => ("x-api-key", key),
            };
            request = request.header(name, sensitive(&value).ok_or_else(|| invalid("its key cannot be sent".to_owned()).unsent())?);
        }
        if self.api == Api::Anthropic {
            request = request.header("anthropic-version", anthropic::VERSION);
        }
        for (name, value) in &self.headers {
            let (name, value) = header(name, value, revealed)?;
            request = request.header(name, value);
        }
        Ok(request)
    }

    async fn hear(&self, response: Response, voice: &Voice, listening: &mut Box<dyn Hearing>) -> Result<(), Failure> {
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            let written = body(response, MAX_VALUE_BYTES).await?;
            let failure = failure_of(self.api, status, &written);
            let rest = retry_after(&headers, Timestamp::from_micros(now()));
            return Err(failure.retry_after(rest));
        }
        let is_stream = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("event-stream"));
        if !is_stream {
            let written = body(response, MAX_VALUE_BYTES).await?;
            let text = std::str::from_utf8(&written).map_err(|_| invalid("answered with what is not UTF-8".to_owned()))?;
            return listening.whole(text, voice);
        }
        let (mut pieces, mut events, mut bytes) = (response.bytes_stream(), sse::Events::default(), 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|wrong| unanswered(&wrong))?;
            bytes += piece.len();
            if bytes > MAX_VALUE_BYTES {
                return Err(invalid(format!("answered with more than the {MAX_VALUE_BYTES} bytes allowed")));
            }
            for event in events.take(&piece)? {
                listening.take(&event, voice)?;
            }
            if listening.is_done() {
                break;
            }
        }
        Ok(())
    }

    /// Asks the service whether it is well: what it offers is a question that costs nothing.
    async fn probe(&self, endpoint: usize) -> Result<(), Failure> {
        let (mut revealed, place) = (Revealed::default(), self.place(endpoint));
        let request = self.request(Method::GET, &place, "models", &mut revealed)?.header(ACCEPT, "application/json");
        let asked = async {
            let response = request.send().await.map_err(|wrong| unanswered(&wrong))?;
            match response.status() {
                // Not every service that speaks the format has a list.
                status if status.is_success() || status.as_u16() == 404 => Ok(()),
                status => Err(Failure::new(class_of(status), format!("answered {status} when asked how it is"))),
            }
        };
        let outcome: Result<(), Failure> = asked.await;
        outcome.map_err(|failure| told_of(&place, Failure { message: revealed.redacted(&failure.message), ..failure }))
    }
}

/// What an answer with a status that is no success says.
fn failure_of(api: Api, status: reqwest::StatusCode, written: &[u8]) -> Failure {
    let error = serde_json::from_slice::<Value>(written).ok().and_then(|body| body.get("error").cloned());
    let own = error.map(|error| match api {
        Api::OpenAi => openai::failure_of(&error),
        Api::Anthropic => anthropic::failure_of(&error),
    });
    match own {
        // Services call almost everything by a name; where one means nothing, the status does.
        Some(own) if own.class != FailureClass::Unavailable => Failure { message: format!("answered {status} and {}", own.message), ..own },
        Some(own) => Failure { message: format!("answered {status} and {}", own.message), ..Failure::new(class_of(status), "") },
        None => {
            let said = beginning(written);
            let said = if said.is_empty() { said } else { format!(": {said}") };
            Failure::new(class_of(status), format!("answered {status}{said}"))
        }
    }
}

impl Talk<'_> {
    /// Takes in what the model said: an answer, or a wish for tools.
    async fn take(&mut self, mut heard: Heard) -> Result<Option<Reply>, Failure> {
        let answered = heard.asked.iter().position(|asked| asked.name == ANSWER).map(|position| heard.asked.swap_remove(position));
        match answered {
            Some(answer) => self.answered(heard, Some(answer)),
            None if heard.asked.is_empty() => self.answered(heard, None),
            None => {
                let results = join_all(heard.asked.iter().map(|asked| self.ask(asked))).await;
                let mut given = Vec::with_capacity(results.len());
                for result in results {
                    let (one, used) = result?;
                    given.push(one);
                    if self.used.len() < MAX_KEPT_USES {
                        self.used.push(used);
                    }
                }
                self.history.push(Message::Model(heard));
                self.history.push(Message::Results(given));
                Ok(None)
            }
        }
    }

    /// An answer. One that does not fit gets another turn, once.
    fn answered(&mut self, mut heard: Heard, by_tool: Option<Asked>) -> Result<Option<Reply>, Failure> {
        let text = by_tool.as_ref().map_or(heard.text.as_str(), |answer| answer.arguments.as_str());
        let read = match &self.model.output {
            Type::Any => Payload::of(text).map_err(|wrong| invalid(wrong.to_string())),
            kind => schema::read(text, kind),
        };
        let wrong = match read {
            Ok(output) => {
                let said = Said { tools: std::mem::take(&mut self.used), ..Said::default() };
                return Ok(Some(Reply { output, said: (said != Said::default()).then(|| Box::new(said)), grow: Vec::new() }));
            }
            Err(wrong) => wrong,
        };
        if std::mem::replace(&mut self.repaired, true) || self.turns >= self.model.max_steps {
            return Err(Failure { message: format!("{} (it was told so, and answered like that again)", wrong.message), ..wrong });
        }
        let again = format!("This cannot be used: {}. Answer again, with JSON alone, by the schema that you were given.", wrong.message);
        match by_tool {
            Some(answer) => {
                let given = Given { id: answer.id.clone(), text: again, failed: true };
                // Of several tools that were asked for at once only the answer counts.
                heard.asked = vec![answer];
                self.history.push(Message::Model(heard));
                self.history.push(Message::Results(vec![given]));
            }
            None => {
                self.history.push(Message::Model(heard));
                self.history.push(Message::User(again));
            }
        }
        Ok(None)
    }

    /// Asks a tool on behalf of the model, which learns of what fails. Only what may have taken effect, and must not do so twice,
    /// ends the call.
    async fn ask(&self, asked: &Asked) -> Result<(Given, ToolUse), Failure> {
        let begun = Instant::now();
        let span = tracing::info_span!(
            "tool",
            otel.name = format!("execute_tool {}", asked.name),
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = asked.name,
            gen_ai.tool.call.id = asked.id,
        );
        let answer = self.answer_of(asked).instrument(span).await?;
        let took = Millis(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        let (text, failed) = match answer {
            Ok(text) => (text, false),
            Err(failure) => (failure.to_string(), true),
        };
        let used = ToolUse { name: asked.name.clone(), asked: kept(&asked.arguments), answered: kept(&text), took, failed };
        let text = if text.len() > MAX_GIVEN_BYTES {
            format!("{}… (cut: it has {} bytes)", &text[..text.floor_char_boundary(MAX_GIVEN_BYTES)], text.len())
        } else {
            text
        };
        Ok((Given { id: asked.id.clone(), text, failed }, used))
    }

    async fn answer_of(&self, asked: &Asked) -> Result<Result<String, Failure>, Failure> {
        let Some((tool, toolbox)) = self.tools.iter().find(|(tool, _)| tool.name == asked.name) else {
            let known: Vec<&str> = self.tools.iter().map(|(tool, _)| tool.name.as_str()).collect();
            return Ok(Err(invalid(format!("there is no tool `{}`; there are: {}", asked.name, known.join(", ")))));
        };
        let arguments = if asked.arguments.trim().is_empty() { "{}" } else { &asked.arguments };
        let input = match Payload::parse(arguments.to_owned()) {
            Ok(input) => input,
            Err(_) => return Ok(Err(invalid(format!("its arguments are not JSON: {}", beginning(arguments.as_bytes()))))),
        };
        match toolbox.call(&tool.name, input, self.call).await {
            Err(failure) if tool.once && may_have_happened(&failure) => Err(Failure {
                message: format!("its tool `{}` failed, and what it does must not be done twice: {}", tool.name, failure.message),
                ..failure
            }),
            outcome => Ok(outcome.map(|answer| answer.text)),
        }
    }
}

/// Another attempt is another talk: an answer of the one before that was no good must not come back.
fn turn_key(request: &Request, turn: u32) -> String {
    format!("{}/{}/{turn}", request.idempotency_key(), request.attempt)
}

fn may_have_happened(failure: &Failure) -> bool {
    let turned_away = matches!(failure.class, FailureClass::Refused | FailureClass::RateLimited | FailureClass::Invalid);
    !failure.unsent && !turned_away
}

fn kept(text: &str) -> String {
    if text.len() <= MAX_KEPT_TEXT {
        return text.to_owned();
    }
    format!("{}… ({} bytes in all)", &text[..text.floor_char_boundary(MAX_KEPT_TEXT)], text.len())
}

const MILLION: u64 = 1_000_000;

/// What a call has used so far.
#[derive(Clone, Copy, Default)]
struct Spent {
    tokens: Tokens,
    turns: u32,
}

impl Tokens {
    fn and(self, more: Tokens) -> Tokens {
        // A service may say anything.
        Tokens {
            read: self.read.saturating_add(more.read),
            cached: self.cached.saturating_add(more.cached),
            written: self.written.saturating_add(more.written),
        }
    }
}

impl Spent {
    fn usage(&self, prices: &Prices) -> Option<Usage> {
        let Tokens { read, cached, written } = self.tokens;
        if (read, written) == (0, 0) {
            // It did not come to that, or the service does not say.
            return None;
        }
        let input = prices.input.unwrap_or_default();
        let parts = [
            (read.saturating_sub(cached), input),
            (cached.min(read), prices.cached.unwrap_or(input)),
            (written, prices.output.unwrap_or_default()),
        ];
        let sum =
            || parts.into_iter().try_fold(Decimal::ZERO, |sum, (tokens, price)| sum.checked_add(Decimal::from(tokens).checked_mul(price)?));
        let known = prices.input.is_some() || prices.output.is_some();
        let cost = known.then(|| sum().map_or(Decimal::MAX, |sum| (sum / Decimal::from(MILLION)).normalize()));
        Some(Usage { tokens_in: read, tokens_out: written, cost })
    }
}
