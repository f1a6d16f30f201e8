//! MCP servers that others wrote: the reference server, and one in Python with the official SDK. Where Node or Python or the
//! packages are missing, the tests say so and skip.
#![cfg(feature = "mcp")]
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod packages;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use insta::assert_snapshot;
use quorate_agents::{Agent, Api, Call, Doing, McpPlace, McpServer, McpTools, Model, Outcome, Program, Reach, Registry, Secret, Toolbox};
use quorate_core::{Effect, Payload, Request, RunId};

const EVERYTHING: &str = "@modelcontextprotocol/server-everything@2026.8.31";
const SDK: &str = "mcp==2.3.0";

fn everything() -> Option<Program> {
    let folder = packages::npm(EVERYTHING)?;
    let program = folder.join("node_modules/.bin/mcp-server-everything").to_string_lossy().into_owned();
    Some(Program { command: vec![program, "stdio".to_owned()], ..Program::default() })
}

/// Python with the SDK, and the server that is written with it.
fn ledger() -> Option<(PathBuf, PathBuf)> {
    let python = packages::python(SDK)?.join("bin/python");
    Some((python, Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/ledger.py")))
}

fn in_python() -> Option<Program> {
    let (python, script) = ledger()?;
    let command = vec![python.to_string_lossy().into_owned(), script.to_string_lossy().into_owned(), "stdio".to_owned()];
    Some(Program { command, ..Program::default() })
}

fn call(params: &str) -> Call {
    Call::new(Request {
        run: RunId(7),
        task: "use".into(),
        attempt: 1,
        deadline: None,
        input: Payload::parse("{\"message\": \"from the input\"}".to_owned()).unwrap(),
        params: Payload::parse(params.to_owned()).unwrap(),
        outputs: Vec::new(),
        skills: Vec::new(),
        session: None,
    })
}

async fn ask(agent: &Agent, params: &str) -> Outcome {
    let Doing::Async(function) = agent.doing() else { panic!("it is async") };
    function(call(params)).await
}

async fn told(agent: &Agent, params: &str) -> String {
    ask(agent, params).await.map_or_else(|failure| failure.to_string(), |reply| reply.output.json().to_owned())
}

#[tokio::test]
async fn the_tools_of_the_reference_server_are_agents() {
    let Some(program) = everything() else { return };
    let server = McpServer::new(McpPlace::Program(program));
    let names: Vec<String> = server.tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    assert!(["echo", "get-sum", "get-structured-content"].iter().all(|name| names.iter().any(|known| known == name)), "{names:?}");
    let sum = Agent::from_mcp("sum", server.clone(), Some("get-sum"));
    assert_snapshot!(told(&sum, r#"{"a": 1.5, "b": 2}"#).await, @r#""The sum of 1.5 and 2 is 3.5.""#);
    // What does not fit its schema is the server's to refuse.
    assert_snapshot!(told(&sum, r#"{"a": "one"}"#).await.lines().next().unwrap(), @"internal: `get-sum` says: MCP error -32602: Input validation error: Invalid arguments for tool get-sum: Invalid input: expected number, received string at a");
    let any = Agent::from_mcp("any", server.clone(), None);
    assert_snapshot!(told(&any, r#"{"tool": "echo"}"#).await, @r#""Echo: from the input""#);
    assert_snapshot!(told(&any, r#"{"tool": "get-structured-content", "location": "Chicago"}"#).await, @r#"{"temperature":36,"conditions":"Light rain / drizzle","humidity":82}"#);
    assert_snapshot!(told(&any, r#"{"tool": "get-tiny-image"}"#).await.chars().take(80).collect::<String>(), @r#"[{"type":"text","text":"Here's the image you requested:"},{"type":"image","data""#);
    assert!(told(&any, r#"{"tool": "ecco"}"#).await.starts_with("invalid: the server has no tool `ecco`; it has: echo, "));
    assert_snapshot!(told(&any, "{}").await, @"invalid: nothing says which tool of the server is meant: give the agent `tool`, or the task `params.tool`");
    // The environment is what the project gives it, and nothing else.
    let seen = told(&any, r#"{"tool": "get-env"}"#).await;
    assert!(seen.contains("PATH") && !seen.contains("CARGO_MANIFEST_DIR"), "{seen}");
    // One that takes long is told to stop.
    let long = call(r#"{"tool": "trigger-long-running-operation", "duration": 60, "steps": 6}"#);
    let cancel = long.cancel.clone();
    let Doing::Async(function) = any.doing().clone() else { panic!("it is async") };
    let running = tokio::spawn(function(long));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    cancel.raise();
    assert_snapshot!(running.await.unwrap().unwrap_err(), @"unavailable: it was told to stop");
    assert_snapshot!(told(&any, r#"{"tool": "echo", "message": "still there"}"#).await, @r#""Echo: still there""#);
}

#[tokio::test]
async fn a_server_in_python_speaks_both_ways() {
    let (Some(program), Some((python, script))) = (in_python(), ledger()) else { return };
    let by_pipe = McpServer::new(McpPlace::Program(program));
    let port = packages::free_port();
    let started = packages::start(Command::new(python).arg(script).arg(port.to_string()), "Application startup complete");
    let Some((_running, _)) = started else { return };
    let url = Secret::Plain(format!("http://127.0.0.1:{port}/mcp"));
    let by_http = McpServer::new(McpPlace::Service { url: url.clone(), headers: Vec::new(), reach: Reach::Private });
    for server in [by_pipe, by_http] {
        let agent = Agent::from_mcp("ledger", server, None);
        // Every digit comes back.
        let sum = told(&agent, r#"{"tool": "add", "a": "0.1", "b": "12345678901234567890.2"}"#).await;
        assert_eq!(sum, r#"{   "sum": "12345678901234567890.3",   "count": 2 }"#);
        assert_eq!(told(&agent, r#"{"tool": "divide", "a": 1, "b": 3}"#).await, r#"{"result":0.3333333333333333}"#);
        assert_eq!(told(&agent, r#"{"tool": "divide", "a": 1, "b": 0}"#).await, "internal: `divide` says: Error executing tool divide");
    }
    // Nobody goes to a private address who may not.
    let outside = McpServer::new(McpPlace::Service { url, headers: Vec::new(), reach: Reach::Public });
    let refused = told(&Agent::from_mcp("ledger", outside, Some("add")), "{}").await;
    assert!(refused.contains("allow_private"), "{refused}");
}

#[tokio::test]
async fn a_server_that_has_gone_is_started_again() {
    let Some(mut program) = in_python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let noted = folder.path().join("pid");
    // It notes its number, so that it can be ended.
    program.launcher = vec!["/bin/sh".into(), "-c".into(), format!("echo $$ >> {}; exec \"$@\"", noted.display()), "sh".into()];
    let agent = Agent::from_mcp("ledger", McpServer::new(McpPlace::Program(program)), Some("divide"));
    assert_eq!(told(&agent, r#"{"a": 6, "b": 3}"#).await, r#"{"result":2.0}"#);
    let first = std::fs::read_to_string(&noted).unwrap();
    let pid = rustix::process::Pid::from_raw(first.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let again = async {
        // Its end is noticed in a moment; a call meanwhile fails as `unavailable`, and is tried again like any other.
        for _ in 0..50 {
            match ask(&agent, r#"{"a": 6, "b": 2}"#).await {
                Ok(reply) => return reply.output.json().to_owned(),
                Err(failure) => assert_eq!(failure.class, quorate_core::FailureClass::Unavailable, "{failure}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("it does not come back")
    };
    assert_eq!(again.await, r#"{"result":3.0}"#);
    assert_eq!(std::fs::read_to_string(&noted).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn what_is_no_server_is_told_as_that() {
    let program = |words: &[&str]| {
        McpServer::new(McpPlace::Program(Program { command: words.iter().map(|word| (*word).to_owned()).collect(), ..Program::default() }))
    };
    let of = |server| Agent::from_mcp("x", server, Some("echo"));
    assert_snapshot!(told(&of(program(&["no-such-program"])), "{}").await, @"invalid: could not start the program no-such-program: No such file or directory (os error 2)");
    assert_snapshot!(told(&of(program(&["sh", "-c", "echo oops >&2; exit 3"])), "{}").await, @"internal: `sh` ended with code 3: oops");
    let dies = r#"read l; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}'
        read l; read l; echo '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}}'
        read l; echo 'out of paper' >&2; exit 7"#;
    assert_snapshot!(told(&of(program(&["sh", "-c", dies])), "{}").await, @"unavailable: the server has gone: `sh` ended with code 7: out of paper");
    let ended = told(&of(program(&["true"])), "{}").await;
    assert!(ended.starts_with("unavailable: the server "), "{ended}");
    // Others say something, or begin well and then say no more: nobody waits for them for ever.
    let patience = std::time::Duration::from_millis(300);
    let hello = r#"read l; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}'; exec sleep 60"#;
    for (script, expected) in [
        (
            "echo Listening on port 80; exec sleep 60",
            "timeout: the server did not answer within 300ms; what it wrote is not the Model Context Protocol: `Listening on port 80\\n`",
        ),
        ("exec sleep 60", "timeout: the server did not answer within 300ms"),
        (hello, "timeout: the server did not say what tools it has within 300ms"),
    ] {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let place = McpPlace::Program(Program { command, ..Program::default() });
        assert_eq!(told(&of(McpServer::patient(place, patience)), "{}").await, expected);
    }
    let silent = server::Server::start(|_, _| server::answer("401 Unauthorized", "www-authenticate: Bearer\r\n", "")).await;
    let broken = server::Server::start(|_, _| server::answer("503 Service Unavailable", "retry-after: 3\r\n", "")).await;
    for (server, class) in [(silent, "refused"), (broken, "unavailable")] {
        let place = McpPlace::Service { url: Secret::Plain(server.address.clone()), headers: Vec::new(), reach: Reach::Private };
        let failure = ask(&of(McpServer::new(place)), "{}").await.unwrap_err();
        assert!(failure.to_string().starts_with(class), "{failure}");
    }
}

/// A model, a mock of its service that somebody else wrote, and tools of a server that somebody else wrote.
#[tokio::test]
async fn a_model_uses_the_tools_of_a_server() {
    let (Some(program), Some(folder)) = (in_python(), packages::npm("@copilotkit/aimock@1.43.0")) else { return };
    let fixtures = tempfile::tempdir().unwrap();
    let path = fixtures.path().join("talks.json");
    let asks =
        r#"{"match": {"userMessage": "divide"}, "response": {"toolCalls": [{"name": "divide", "arguments": "{\"a\": 9, \"b\": 2}"}]}}"#;
    let says = r#"{"match": {"userMessage": "divide", "hasToolResult": true}, "response": {"content": "It is 4.5."}}"#;
    std::fs::write(&path, format!("{{\"fixtures\": [{says}, {asks}]}}")).unwrap();
    let mut command = Command::new(folder.join("node_modules/.bin/llmock"));
    let Some((_running, line)) = packages::start(command.args(["-p", "0", "-f"]).arg(&path), "listening on") else { return };
    let address = line.split_whitespace().last().unwrap().to_owned();
    let registry = Arc::new(Registry::new());
    let server = McpServer::new(McpPlace::Program(program));
    registry.register(Agent::from_mcp("ledger", server.clone(), None).max_concurrent(1));
    let tools: Arc<dyn Toolbox> =
        Arc::new(McpTools::new(Arc::downgrade(&registry), "ledger", server, &["divide".to_owned()], Effect::None));
    for api in [Api::OpenAi, Api::Anthropic] {
        let model = Model {
            urls: vec![Secret::Plain(format!("{address}/v1"))],
            reach: Reach::Private,
            tools: vec![tools.clone()],
            ..Model::new(api, if api == Api::OpenAi { "gpt-4o" } else { "claude-sonnet-4-5" })
        };
        let reply = ask(&Agent::from_model("judge", model), r#"{"task": "Please divide nine by two."}"#).await.unwrap();
        let said = reply.said.unwrap();
        assert_eq!(reply.output.json(), "\"It is 4.5.\"");
        let used: Vec<(&str, &str)> = said.tools.iter().map(|tool| (tool.name.as_str(), tool.answered.as_str())).collect();
        assert_eq!(used, [("divide", "4.5")]);
    }
}
