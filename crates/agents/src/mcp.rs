//! MCP servers: programs or services whose tools are agents, and tools of agents that are models.
//!
//! A server is started, or connected to, when it is first needed, and again when it has gone. One connection serves many calls.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use quorate_core::{Effect, Failure, FailureClass, Payload, Reply};
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, JsonObject};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use rmcp::transport::{DynamicTransportError, StreamableHttpClientTransport};
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::ChildStdout;
use tokio::sync::{Mutex, watch};

use crate::breaker::BreakerRule;
use crate::exec::{Group, Program, read_end};
use crate::llm::{Listing, Tool, ToolAnswer, Toolbox, Using, on_behalf, tool_name};
use crate::net::{Reach, class_of, client, header, retry_after_text, told_of, unanswered, url};
use crate::secret::{Revealed, Secret};
use crate::wire::{SHOWN, beginning as shown, invalid, now};
use crate::{Agent, Call, Outcome, Registry};

/// How long a server may take until it answers for the first time: some are fetched before they run.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server that does not answer any more may take to end.
const LINGER: Duration = Duration::from_secs(1);

/// Where an MCP server is.
#[derive(Clone, Debug)]
pub enum McpPlace {
    /// A program that speaks on its standard input and output.
    Program(Program),
    /// A service that speaks streamable HTTP.
    Service {
        /// Its address.
        url: Secret,
        /// What is sent along.
        headers: Vec<(String, Secret)>,
        /// Where it may be.
        reach: Reach,
    },
}

/// An MCP server.
pub struct McpServer {
    place: McpPlace,
    patience: Duration,
    connection: Mutex<Option<Arc<Connected>>>,
}

/// A server that answers.
struct Connected {
    peer: RunningService<RoleClient, ()>,
    tools: Vec<rmcp::model::Tool>,
    /// What was revealed to it must not come back.
    revealed: Revealed,
    /// Where it is a program.
    leash: Option<Leash>,
}

/// What holds a program: it ends when this goes.
struct Leash {
    _group: Group,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
}

impl Connected {
    /// Why it does not answer any more.
    async fn gone(&self) -> Failure {
        let mut why = String::new();
        if let Some(leash) = &self.leash
            && let Ok(Ok(told)) = tokio::time::timeout(LINGER, leash.ended.clone().wait_for(Option::is_some)).await
        {
            why = told.as_deref().map(|told| format!(": {told}")).unwrap_or_default();
        }
        Failure::new(FailureClass::Unavailable, format!("the server has gone{why}"))
    }
}

impl McpServer {
    /// A server at this place.
    #[must_use]
    pub fn new(place: McpPlace) -> Arc<McpServer> {
        McpServer::patient(place, PATIENCE)
    }

    /// The same, where it may take this long until it answers for the first time.
    #[must_use]
    pub fn patient(place: McpPlace, patience: Duration) -> Arc<McpServer> {
        Arc::new(McpServer { place, patience, connection: Mutex::default() })
    }

    /// What tools it has.
    ///
    /// # Errors
    /// Why it does not say.
    pub async fn tools(&self) -> Result<Vec<Tool>, Failure> {
        let connected = self.connected().await?;
        let tool = |tool: &rmcp::model::Tool| Tool {
            name: tool.name.to_string(),
            description: tool.description.as_deref().unwrap_or_default().to_owned(),
            input: Value::Object((*tool.input_schema).clone()),
            once: false,
        };
        Ok(connected.tools.iter().map(tool).collect())
    }

    /// The connection, made where there is none that is open.
    async fn connected(&self) -> Result<Arc<Connected>, Failure> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|open| !open.peer.is_transport_closed()) {
            return Ok(open.clone());
        }
        *connection = None;
        let mut revealed = Revealed::default();
        let begun = tokio::time::Instant::now();
        let made = match &self.place {
            McpPlace::Program(program) => start(program, &mut revealed, self.patience).await,
            McpPlace::Service { url, headers, reach } => connect(url, headers, *reach, &mut revealed, self.patience).await,
        };
        let told = |failure: Failure| Failure { message: revealed.redacted(&failure.message), ..failure };
        let (peer, leash) = made.map_err(told)?;
        // Others wait for this connection as well.
        let tools = tokio::time::timeout_at(begun + self.patience, peer.list_all_tools()).await;
        let tools = tools.map_err(|_| late("say what tools it has", self.patience))?.map_err(|wrong| told(failure_of(&wrong)))?;
        let open = Arc::new(Connected { peer, tools, revealed, leash });
        *connection = Some(open.clone());
        Ok(open)
    }

    /// Calls a tool.
    async fn call(&self, tool: &str, input: JsonObject, call: &Call) -> Result<CallToolResult, Failure> {
        let stopped = || Failure::new(FailureClass::Unavailable, "it was told to stop");
        let connected = tokio::select! {
            connected = self.connected() => connected?,
            () = call.cancel.raised() => return Err(stopped().unsent()),
        };
        if !connected.tools.iter().any(|known| known.name == tool) {
            let names: Vec<&str> = connected.tools.iter().map(|tool| &*tool.name).collect();
            return Err(invalid(format!("the server has no tool `{tool}`; it has: {}", names.join(", "))).unsent());
        }
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(input);
        let result = tokio::select! {
            result = connected.peer.call_tool(params) => match result {
                Err(ServiceError::TransportClosed) => Err(connected.gone().await),
                result => result.map_err(|wrong| failure_of(&wrong)),
            },
            // The server is told so.
            () = call.cancel.raised() => Err(stopped()),
        };
        let result = result.and_then(|result| match result.is_error {
            Some(true) => Err(Failure::new(FailureClass::Internal, format!("`{tool}` says: {}", text_of(&result.content)))),
            _ => Ok(result),
        });
        result.map_err(|failure| Failure { message: connected.revealed.redacted(&failure.message), ..failure })
    }

    /// A text without what was revealed to the server.
    async fn redacted(&self, text: &str) -> String {
        let connection = self.connection.lock().await.clone();
        connection.map_or_else(|| text.to_owned(), |connected| connected.revealed.redacted(text))
    }

    async fn answer(&self, tool: &str, input: JsonObject, call: &Call) -> Outcome {
        let result = self.call(tool, input, call).await?;
        let output = output_of(&result)?;
        let connected = self.connection.lock().await.clone();
        let outcome = Ok(Reply::new(output));
        connected.map_or(outcome.clone(), |connected| connected.revealed.kept_out_of(outcome))
    }
}

type Made = (RunningService<RoleClient, ()>, Option<Leash>);

async fn start(program: &Program, revealed: &mut Revealed, patience: Duration) -> Result<Made, Failure> {
    let (mut child, group) = program.start(revealed)?;
    let complaint = tokio::spawn(read_end(child.stderr.take()));
    let (Some(stdout), Some(stdin)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(Failure::new(FailureClass::Internal, "the program has no input or no output"));
    };
    let beginning = Arc::default();
    let stdout = Overheard { output: stdout, beginning: Arc::clone(&beginning) };
    match tokio::time::timeout(patience, ().serve((stdout, stdin))).await {
        Ok(Ok(peer)) => {
            let (tell, ended) = watch::channel(None);
            let program = program.clone();
            tokio::spawn(async move {
                if let Ok(status) = child.wait().await {
                    // Something that it started may hold its output open.
                    let complaint = tokio::time::timeout(LINGER / 2, complaint).await;
                    tell.send_replace(Some(program.failed(status, &complaint.map(Result::unwrap_or_default).unwrap_or_default()).message));
                }
            });
            Ok((peer, Some(Leash { _group: group, ended })))
        }
        Ok(Err(wrong)) => {
            // One that ends by itself says more about it than one that is ended.
            let ended = tokio::time::timeout(LINGER, child.wait()).await;
            drop(group);
            let complaint = complaint.await.unwrap_or_default();
            match ended {
                Ok(Ok(status)) if !status.success() => Err(program.failed(status, &complaint).unsent()),
                _ => Err(unready(&wrong)),
            }
        }
        Err(_) => {
            let wrote = std::mem::take(&mut *beginning.lock().unwrap_or_else(PoisonError::into_inner));
            let mut failure = late("answer", patience);
            if wrote.first().is_some_and(|first| *first != b'{') {
                let wrote = shown(&String::from_utf8_lossy(&wrote));
                failure.message.push_str(&format!("; what it wrote is not the Model Context Protocol: {wrote}"));
            }
            Err(failure)
        }
    }
}

/// What a program writes, and how that begins: one that is no server is known by it.
struct Overheard {
    output: ChildStdout,
    beginning: Arc<std::sync::Mutex<Vec<u8>>>,
}

impl AsyncRead for Overheard {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.output).poll_read(context, buffer);
        let mut beginning = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let new = &buffer.filled()[before..];
        let room = SHOWN.saturating_sub(beginning.len()).min(new.len());
        beginning.extend_from_slice(&new[..room]);
        read
    }
}

async fn connect(
    place: &Secret,
    headers: &[(String, Secret)],
    reach: Reach,
    revealed: &mut Revealed,
    patience: Duration,
) -> Result<Made, Failure> {
    let address = url(&revealed.reveal(place)?, place, reach)?;
    let mut sent = HashMap::new();
    for (name, value) in headers {
        let (name, value) = header(name, value, revealed)?;
        sent.insert(name, value);
    }
    let config = StreamableHttpClientTransportConfig::with_uri(address.to_string()).custom_headers(sent);
    let transport = StreamableHttpClientTransport::with_client(client(reach)?, config);
    match tokio::time::timeout(patience, ().serve(transport)).await {
        Ok(Ok(peer)) => Ok((peer, None)),
        Ok(Err(wrong)) => {
            let failure = unready(&wrong);
            Err(told_of(place, failure))
        }
        Err(_) => Err(late("answer", patience)),
    }
}

fn late(what: &str, patience: Duration) -> Failure {
    Failure::new(FailureClass::Timeout, format!("the server did not {what} within {patience:?}")).unsent()
}

fn unready(wrong: &ClientInitializeError) -> Failure {
    match wrong {
        ClientInitializeError::TransportError { error, .. } => transport(error),
        other => Failure::new(FailureClass::Unavailable, format!("the server did not begin: {other}")),
    }
    .unsent()
}

fn failure_of(wrong: &ServiceError) -> Failure {
    /// Codes of JSON-RPC for what is wrong with a request.
    const WRONG_REQUEST: [i32; 3] = [-32_600, -32_601, -32_602];
    match wrong {
        ServiceError::McpError(said) if WRONG_REQUEST.contains(&said.code.0) => invalid(format!("the server says: {}", said.message)),
        ServiceError::McpError(said) => Failure::new(FailureClass::Internal, format!("the server says: {}", said.message)),
        ServiceError::TransportSend(error) => transport(error),
        ServiceError::TransportClosed => Failure::new(FailureClass::Unavailable, "the server has gone"),
        ServiceError::Timeout { .. } => Failure::new(FailureClass::Timeout, "the server did not answer in time"),
        other => Failure::new(FailureClass::Internal, other.to_string()),
    }
}

/// What went wrong on the way, as far as it can be told.
fn transport(error: &DynamicTransportError) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error.error);
    while let Some(wrong) = cause {
        if let Some(wrong) = wrong.downcast_ref::<reqwest::Error>() {
            return wrong.status().map_or_else(|| unanswered(wrong), |status| Failure::new(class_of(status), format!("answered {status}")));
        }
        match wrong.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            Some(StreamableHttpError::Client(wrong)) => {
                return wrong
                    .status()
                    .map_or_else(|| unanswered(wrong), |status| Failure::new(class_of(status), format!("answered {status}")));
            }
            Some(StreamableHttpError::HttpStatus(answered)) => {
                let class = reqwest::StatusCode::from_u16(answered.status).map_or(FailureClass::Internal, class_of);
                let rest =
                    answered.retry_after.as_deref().and_then(|text| retry_after_text(text, quorate_core::Timestamp::from_micros(now())));
                return Failure::new(class, format!("answered {}", answered.status)).retry_after(rest);
            }
            Some(StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_)) => {
                return Failure::new(FailureClass::Refused, "wants to know who asks; give it a header with a token");
            }
            _ => cause = wrong.source(),
        }
    }
    Failure::new(FailureClass::Unavailable, format!("the server is out of reach: {}", error.error))
}

// -- what it says

fn text_of(content: &[ContentBlock]) -> String {
    let one = |block: &ContentBlock| match block {
        ContentBlock::Text(text) => text.text.clone(),
        other => {
            let kind = serde_json::to_value(other).ok().and_then(|value| Some(value.get("type")?.as_str()?.to_owned()));
            format!("[{}]", kind.unwrap_or_else(|| "something that is no text".to_owned()))
        }
    };
    content.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// What a tool returned: its structured content, else its text, as JSON where it is that.
fn output_of(result: &CallToolResult) -> Result<Payload, Failure> {
    let wrong = |wrong: quorate_core::BadValue| invalid(wrong.to_string());
    let text = match &result.content[..] {
        [ContentBlock::Text(text)] => Some(text.text.as_str()),
        _ => None,
    };
    let parsed: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    match (&result.structured_content, text, parsed) {
        // The text says the same, and has every digit.
        (Some(structured), Some(text), Some(parsed)) if same(structured, &parsed) => Payload::parse(text.to_owned()).map_err(wrong),
        (Some(structured), _, _) => Payload::of(structured).map_err(wrong),
        (None, Some(text), Some(_)) => Payload::parse(text.to_owned()).map_err(wrong),
        (None, Some(text), None) => Payload::of(text).map_err(wrong),
        (None, None, _) if result.content.is_empty() => Ok(Payload::null()),
        (None, None, _) => Payload::of(&result.content).map_err(wrong),
    }
}

/// Whether two values are the same but for how their numbers are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

// -- as an agent

impl Agent {
    /// An agent that is a tool of an MCP server; without a tool, the one that `params.tool` names. The tool gets the other
    /// parameters, or the input where there are none.
    #[must_use]
    pub fn from_mcp(id: &str, server: Arc<McpServer>, tool: Option<&str>) -> Agent {
        let tool: Option<Arc<str>> = tool.map(Arc::from);
        let probed = server.clone();
        let agent = Agent::from_async(id, move |call| {
            let (server, tool) = (server.clone(), tool.clone());
            async move {
                let (tool, input) = asked(&call, tool.as_deref())?;
                server.answer(&tool, input, &call).await
            }
        });
        let agent = agent.breaker(BreakerRule::default());
        agent.probed_by(move |_| {
            let server = probed.clone();
            async move { server.connected().await.map(drop) }
        })
    }
}

/// Which tool is asked, and for what.
fn asked(call: &Call, tool: Option<&str>) -> Result<(String, JsonObject), Failure> {
    let mut params: Option<JsonObject> =
        call.request.params.decode().map_err(|_| invalid("`params` are no object, which is what a tool takes".to_owned()).unsent())?;
    let named = params.as_mut().filter(|_| tool.is_none()).and_then(|params| params.shift_remove("tool"));
    let tool = match (tool, named) {
        (Some(tool), _) => tool.to_owned(),
        (None, Some(Value::String(tool))) => tool,
        (None, _) => {
            return Err(invalid(
                "nothing says which tool of the server is meant: give the agent `tool`, or the task `params.tool`".to_owned(),
            )
            .unsent());
        }
    };
    if let Some(params) = params.filter(|params| !params.is_empty()) {
        return Ok((tool, params));
    }
    let input: Option<JsonObject> = call.request.input.decode().unwrap_or_default();
    Ok((tool, input.unwrap_or_default()))
}

/// The tools of an MCP server, for models: all, or those that are named. Each use takes a place with the agent that is the server.
pub struct McpTools {
    registry: Weak<Registry>,
    agent: String,
    server: Arc<McpServer>,
    only: Vec<String>,
    once: bool,
}

impl McpTools {
    /// The tools of this server, which is this agent of this registry.
    #[must_use]
    pub fn new(registry: Weak<Registry>, agent: &str, server: Arc<McpServer>, only: &[String], effect: Effect) -> McpTools {
        McpTools { registry, agent: agent.to_owned(), server, only: only.to_vec(), once: effect == Effect::Once }
    }
}

impl Toolbox for McpTools {
    fn tools(&self) -> Listing<'_> {
        Box::pin(async {
            let tools = self
                .server
                .tools()
                .await
                .map_err(|failure| Failure { message: format!("{}: {}", self.agent, failure.message), ..failure })?;
            if let Some(missing) = self.only.iter().find(|name| !tools.iter().any(|tool| tool.name == **name)) {
                let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
                return Err(invalid(format!("{} has no tool `{missing}`; it has: {}", self.agent, names.join(", "))).unsent());
            }
            let wanted = |tool: &Tool| self.only.is_empty() || self.only.contains(&tool.name);
            Ok(tools.into_iter().filter(wanted).map(|tool| Tool { name: tool_name(&tool.name), once: self.once, ..tool }).collect())
        })
    }

    fn call<'a>(&'a self, tool: &'a str, input: Payload, call: &'a Call) -> Using<'a> {
        Box::pin(async move {
            let tools = self.server.tools().await?;
            let name = tools.iter().find(|known| tool_name(&known.name) == tool).map_or(tool, |known| known.name.as_str());
            let input: JsonObject = input.decode().map_err(|_| invalid("its arguments are no object".to_owned()))?;
            let registry = self.registry.upgrade().ok_or_else(|| invalid("the engine has stopped".to_owned()).unsent())?;
            let result = on_behalf(&registry, &self.agent, &call.request, |_, _| self.server.call(name, input, call)).await?;
            let text = match (&result.content[..], &result.structured_content) {
                ([], Some(structured)) => structured.to_string(),
                (content, _) => text_of(content),
            };
            Ok(ToolAnswer { text: self.server.redacted(&text).await })
        })
    }
}
