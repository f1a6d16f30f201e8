//! Language models: every story is told in both formats, by a server that says byte for byte what it is told to say.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod packages;
mod server;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use insta::assert_snapshot;
use quorate_agents::{
    Agent, AgentTools, Allowance, Api, Call, Doing, Listing, Model, Outcome, Prices, Prompt, Reach, Registry, Secret, Shelf, SkillText,
    Tool, ToolAnswer, Toolbox, Using, Voice, files_of,
};
use quorate_core::{Effect, Failure, FailureClass, Payload, Reply, Request, RunId, Skill};
use quorate_expr::{Decimal, Field, Range, Type};
use serde_json::{Value, json};
use server::{Asked, Server, answer};

/// What a model says, whatever the format.
#[derive(Clone, Copy)]
enum Part {
    Text(&'static str),
    /// A tool by its id and name, and its arguments piece by piece.
    Tool(&'static str, &'static str, &'static [&'static str]),
    /// An event as it is.
    Raw(&'static str),
    /// The connection ends here.
    Cut,
    /// Why it stops, in the words of either format.
    Stop(&'static str, &'static str),
}
use Part::{Cut, Raw, Stop, Text, Tool as Use};

/// Writes an answer in one of the formats.
struct Writer {
    api: Api,
    out: String,
}

impl Writer {
    fn push(&mut self, event: &Value) {
        if let Some(kind) = event["type"].as_str() {
            let _ = writeln!(self.out, "event: {kind}");
        }
        let _ = write!(self.out, "data: {event}\n\n");
    }

    fn delta(&mut self, delta: &Value) {
        self.push(&json!({ "choices": [{ "index": 0, "delta": delta }] }));
    }

    fn block(&mut self, index: usize, begin: &Value, deltas: &[Value]) {
        self.push(&json!({ "type": "content_block_start", "index": index, "content_block": begin }));
        for delta in deltas {
            self.push(&json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        self.push(&json!({ "type": "content_block_stop", "index": index }));
    }
}

/// The events of an answer. It uses 100 tokens to read, 40 of which are at hand, and 20 to write.
fn events(api: Api, parts: &[Part]) -> String {
    let mut to = Writer { api, out: String::new() };
    if api == Api::Anthropic {
        let usage = json!({ "input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 1 });
        to.push(&json!({ "type": "message_start", "message": { "role": "assistant", "content": [], "usage": usage } }));
        to.push(&json!({ "type": "ping" }));
    }
    let (mut tools, mut stop) = (0, None);
    for (index, part) in parts.iter().enumerate() {
        match (part, api) {
            (Cut, _) => return to.out,
            (Raw(event), _) => {
                let _ = write!(to.out, "data: {event}\n\n");
            }
            (Stop(openai, _), Api::OpenAi) => stop = Some(*openai),
            (Stop(_, anthropic), Api::Anthropic) => stop = Some(*anthropic),
            (Text(text), Api::OpenAi) => text.split_inclusive(' ').for_each(|piece| to.delta(&json!({ "content": piece }))),
            (Text(text), Api::Anthropic) => {
                let pieces: Vec<Value> = text.split_inclusive(' ').map(|piece| json!({ "type": "text_delta", "text": piece })).collect();
                to.block(index, &json!({ "type": "text", "text": "" }), &pieces);
            }
            (Use(id, name, pieces), Api::OpenAi) => {
                let begin = json!({ "index": tools, "id": id, "type": "function", "function": { "name": name, "arguments": "" } });
                to.delta(&json!({ "tool_calls": [begin] }));
                for piece in *pieces {
                    to.delta(&json!({ "tool_calls": [{ "index": tools, "function": { "arguments": piece } }] }));
                }
                tools += 1;
            }
            (Use(id, name, pieces), Api::Anthropic) => {
                let pieces: Vec<Value> = pieces.iter().map(|piece| json!({ "type": "input_json_delta", "partial_json": piece })).collect();
                to.block(index, &json!({ "type": "tool_use", "id": id, "name": name, "input": {} }), &pieces);
            }
        }
    }
    match to.api {
        Api::OpenAi => {
            to.push(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": stop.unwrap_or("stop") }] }));
            let usage = json!({ "prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": { "cached_tokens": 40 } });
            to.push(&json!({ "choices": [], "usage": usage }));
            to.out.push_str("data: [DONE]\n\n");
        }
        Api::Anthropic => {
            let delta = json!({ "stop_reason": stop.unwrap_or("end_turn") });
            to.push(&json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 20 } }));
            to.push(&json!({ "type": "message_stop" }));
        }
    }
    to.out
}

/// A stream, in pieces of a few bytes that end anywhere.
fn stream(text: &str) -> server::Said {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n";
    let mut said = vec![(Duration::ZERO, head.as_bytes().to_vec())];
    said.extend(text.as_bytes().chunks(37).map(|piece| (Duration::ZERO, piece.to_vec())));
    said
}

fn request() -> Request {
    Request {
        run: RunId(7),
        task: "judge".into(),
        attempt: 1,
        deadline: None,
        input: payload(r#"{"amount": 12.50, "currency": "EUR"}"#),
        params: payload(r#"{"task": "Judge this break.", "tone": "dry"}"#),
        outputs: vec![("rules".into(), payload(r#"{"within_tolerance": false}"#))],
        skills: Vec::new(),
        session: None,
    }
}

fn payload(json: &str) -> Payload {
    Payload::parse(json.to_owned()).unwrap()
}

/// A model behind a server that answers its turns one after another.
async fn model(api: Api, turns: Vec<Vec<Part>>) -> (Model, Server) {
    let server = Server::start(move |_, count| stream(&events(api, &turns[(count - 1).min(turns.len() - 1)]))).await;
    (at(api, &server), server)
}

fn at(api: Api, server: &Server) -> Model {
    let million = |price: &str| Some(price.parse().unwrap());
    Model {
        urls: vec![Secret::Plain(format!("{}/v1", server.address))],
        reach: Reach::Private,
        prices: Prices { input: million("2"), cached: million("0.5"), output: million("10") },
        ..Model::new(api, "tiny-1")
    }
}

async fn call(model: Model, call: Call) -> Outcome {
    let agent = Agent::from_model("judge", model);
    let Doing::Async(function) = agent.doing() else { panic!("a model is async") };
    function(call).await
}

/// An outcome in one line: what was answered or why not, what was used, and by which tools.
fn told(outcome: Outcome) -> String {
    let used = |usage: &quorate_core::Usage| {
        let cost = usage.cost.map(|cost| format!(" {cost}")).unwrap_or_default();
        format!("{}+{} tokens{cost}", usage.tokens_in, usage.tokens_out)
    };
    match outcome {
        Ok(reply) => {
            let said = reply.said.unwrap_or_default();
            let tools: String = said
                .tools
                .iter()
                .map(|tool| format!("; {}({}) {} {}", tool.name, tool.asked, if tool.failed { "failed:" } else { "->" }, tool.answered))
                .collect();
            format!("{} [{}{tools}]", reply.output.json(), said.usage.as_ref().map(used).unwrap_or_default())
        }
        Err(failure) => {
            let usage = failure.usage.as_ref().map_or_else(|| "nothing used".to_owned(), |usage| used(usage));
            let unsent = if failure.unsent { ", unsent" } else { "" };
            format!("{}: {} [{usage}{unsent}]", failure.class, without_address(&failure.message))
        }
    }
}

fn without_address(message: &str) -> String {
    let at = message.find("`http://127.0.0.1:");
    at.map_or_else(
        || message.to_owned(),
        |at| format!("{}it{}", &message[..at], &message[at + 1..][message[at + 1..].find('`').unwrap() + 1..]),
    )
}

/// The same story in both formats must be the same story.
async fn both(dress: impl Fn(Model) -> Model, turns: Vec<Vec<Part>>) -> String {
    let mut stories = Vec::new();
    for api in [Api::OpenAi, Api::Anthropic] {
        let (model, _server) = model(api, turns.clone()).await;
        stories.push(told(call(dress(model), Call::new(request())).await));
    }
    // What a turn used that broke off is told at its end by the one, and at its beginning by the other.
    let told_twice = |story: &String| story.split(" [").next().map(str::to_owned).filter(|_| !story.contains(" [200+"));
    let same = stories[0] == stories[1] || (told_twice(&stories[0]).is_some() && told_twice(&stories[0]) == told_twice(&stories[1]));
    assert!(same, "{stories:#?}");
    stories.swap_remove(1)
}

fn verdict() -> Type {
    let field = |name: &str, kind: Type, required| Field { name: name.into(), kind, required };
    Type::Object(vec![
        field("verdict", Type::Enum(vec!["match".into(), "break".into()]), true),
        field("confidence", Type::Number(Range::UNIT), true),
    ])
}

fn shaped(model: Model) -> Model {
    Model { output: verdict(), ..model }
}

/// Tools that somebody wrote.
struct Warehouse;

impl Toolbox for Warehouse {
    fn tools(&self) -> Listing<'_> {
        let tool = |name: &str, once| Tool {
            name: name.to_owned(),
            description: format!("The {name}."),
            input: json!({ "type": "object", "properties": { "sku": { "type": "string" } } }),
            once,
        };
        Box::pin(async move { Ok(vec![tool("price", false), tool("stock", false), tool("pay", true)]) })
    }

    fn call<'a>(&'a self, tool: &'a str, input: Payload, _on_behalf: &'a Call) -> Using<'a> {
        Box::pin(async move {
            match tool {
                "price" => Ok(ToolAnswer { text: format!("12.50 for {}", input.json()) }),
                "stock" => Err(Failure::new(FailureClass::Unavailable, "the warehouse is closed")),
                _ => Err(Failure::new(FailureClass::Timeout, "no answer")),
            }
        })
    }
}

fn with_tools(model: Model) -> Model {
    Model { tools: vec![Arc::new(Warehouse)], ..model }
}

#[tokio::test]
async fn a_model_answers_in_its_own_words() {
    assert_snapshot!(both(|model| model, vec![vec![Text("It is a rounding difference.")]]).await, @r#""It is a rounding difference." [100+20 tokens 0.00034]"#);
}

#[tokio::test]
async fn it_is_heard_while_it_speaks() {
    for api in [Api::OpenAi, Api::Anthropic] {
        let (model, _server) = model(api, vec![vec![Text("one two three")]]).await;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let voice = Voice::new(move |text: &str| hears.lock().unwrap().push(text.to_owned()));
        call(model, Call { voice, ..Call::new(request()) }).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), ["one ", "two ", "three"]);
    }
}

#[tokio::test]
async fn an_answer_has_the_shape_that_is_declared() {
    let good = r#"{"verdict": "break", "confidence": 0.97}"#;
    assert_snapshot!(both(shaped, vec![vec![Text(good)]]).await, @r#"{"verdict": "break", "confidence": 0.97} [100+20 tokens 0.00034]"#);
    assert_snapshot!(both(shaped, vec![vec![Text("```json\n{\"verdict\": \"break\", \"confidence\": 0.97}\n```")]]).await, @r#"{"verdict": "break", "confidence": 0.97} [100+20 tokens 0.00034]"#);
    // It gets another turn, in which it is told what is wrong.
    assert_snapshot!(both(shaped, vec![vec![Text("I think it is a break.")], vec![Text(good)]]).await, @r#"{"verdict": "break", "confidence": 0.97} [200+40 tokens 0.00068]"#);
    assert_snapshot!(both(shaped, vec![vec![Text(r#"{"verdict": "maybe", "confidence": 1000000000000}"#)], vec![Text(good)]]).await, @r#"{"verdict": "break", "confidence": 0.97} [200+40 tokens 0.00068]"#);
    assert_snapshot!(both(shaped, vec![vec![Text("{")], vec![Text(r#"{"verdict": "break"}"#)]]).await, @"invalid: `output` has no `confidence` (it was told so, and answered like that again) [200+40 tokens 0.00068]");
    let number = |model| Model { output: Type::NUMBER, ..model };
    assert_snapshot!(both(number, vec![vec![Text(r#"{"answer": 12.50}"#)]]).await, @"12.50 [100+20 tokens 0.00034]");
    // Where an answer is a tool, it comes by that.
    let (model, server) = model(
        Api::Anthropic,
        vec![
            vec![Use("t1", "answer", &["{\"verdict\":", "\"maybe\"}"])],
            vec![Use("t2", "answer", &[r#"{"verdict": "break", "confidence": 0.97}"#])],
        ],
    )
    .await;
    assert_snapshot!(told(call(shaped(model), Call::new(request())).await), @r#"{"verdict": "break", "confidence": 0.97} [200+40 tokens 0.00068]"#);
    let second: Value = serde_json::from_str(&server.asked()[1].body).unwrap();
    assert_snapshot!(second["messages"][2].to_string(), @r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"This cannot be used: `output.verdict` should be one of match, break, but is \"maybe\". Answer again, with JSON alone, by the schema that you were given.","is_error":true}]}"#);
}

#[tokio::test]
async fn a_model_uses_tools_until_it_knows() {
    let turns = vec![
        vec![Text("Let me look. "), Use("a", "price", &["{\"sku\"", ": \"x\"}"]), Use("b", "stock", &["{}"])],
        vec![Use("c", "pray", &["{}"]), Use("d", "price", &["{not json"])],
        vec![Text("It costs 12.50.")],
    ];
    assert_snapshot!(both(with_tools, turns.clone()).await, @r#""It costs 12.50." [300+60 tokens 0.00102; price({"sku": "x"}) -> 12.50 for {"sku": "x"}; stock({}) failed: unavailable: the warehouse is closed; pray({}) failed: invalid: there is no tool `pray`; there are: price, stock, pay; price({not json) failed: invalid: its arguments are not JSON: {not json]"#);
    // What must not be done twice ends the call where nobody knows whether it was done.
    assert_snapshot!(both(with_tools, vec![vec![Use("a", "pay", &["{}"])], vec![Text("Paid.")]]).await, @"timeout: its tool `pay` failed, and what it does must not be done twice: no answer [100+20 tokens 0.00034]");
    // It does not go on for ever.
    assert_snapshot!(both(|model| Model { max_steps: 3, ..with_tools(model) }, vec![vec![Use("a", "price", &["{}"])]]).await, @"invalid: it has not answered within the 3 turns that a call may take [300+60 tokens 0.00102]");
    // What the services are told of it.
    for api in [Api::OpenAi, Api::Anthropic] {
        let (model, server) = model(api, turns.clone()).await;
        call(with_tools(model), Call::new(request())).await.unwrap();
        let asked = server.asked();
        assert_eq!(asked.len(), 3);
        let body: Value = serde_json::from_str(&asked[1].body).unwrap();
        match api {
            Api::OpenAi => assert_snapshot!(shown(&body), @r#"
            {
              "model": "tiny-1",
              "messages": [
                {
                  "role": "user",
                  "content": "Judge this break.\n\nParameters:\n{\"tone\":\"dry\"}\n\nInput:\n{\"amount\": 12.50, \"currency\": \"EUR\"}\n\nWhat came of the task `rules`:\n{\"within_tolerance\": false}"
                },
                {
                  "role": "assistant",
                  "content": "Let me look. ",
                  "tool_calls": [
                    {
                      "id": "a",
                      "type": "function",
                      "function": {
                        "name": "price",
                        "arguments": "{\"sku\": \"x\"}"
                      }
                    },
                    {
                      "id": "b",
                      "type": "function",
                      "function": {
                        "name": "stock",
                        "arguments": "{}"
                      }
                    }
                  ]
                },
                {
                  "role": "tool",
                  "tool_call_id": "a",
                  "content": "12.50 for {\"sku\": \"x\"}"
                },
                {
                  "role": "tool",
                  "tool_call_id": "b",
                  "content": "unavailable: the warehouse is closed"
                }
              ],
              "max_tokens": 4096,
              "stream": true,
              "stream_options": {
                "include_usage": true
              },
              "tools": [
                {
                  "type": "function",
                  "function": {
                    "name": "price",
                    "description": "The price.",
                    "parameters": {
                      "type": "object",
                      "properties": {
                        "sku": {
                          "type": "string"
                        }
                      }
                    }
                  }
                },
                {
                  "type": "function",
                  "function": {
                    "name": "stock",
                    "description": "The stock.",
                    "parameters": {
                      "type": "object",
                      "properties": {
                        "sku": {
                          "type": "string"
                        }
                      }
                    }
                  }
                },
                {
                  "type": "function",
                  "function": {
                    "name": "pay",
                    "description": "The pay.",
                    "parameters": {
                      "type": "object",
                      "properties": {
                        "sku": {
                          "type": "string"
                        }
                      }
                    }
                  }
                }
              ]
            }
            "#),
            Api::Anthropic => assert_snapshot!(shown(&body), @r#"
            {
              "model": "tiny-1",
              "max_tokens": 4096,
              "messages": [
                {
                  "role": "user",
                  "content": "Judge this break.\n\nParameters:\n{\"tone\":\"dry\"}\n\nInput:\n{\"amount\": 12.50, \"currency\": \"EUR\"}\n\nWhat came of the task `rules`:\n{\"within_tolerance\": false}"
                },
                {
                  "role": "assistant",
                  "content": [
                    {
                      "type": "text",
                      "text": "Let me look. "
                    },
                    {
                      "type": "tool_use",
                      "id": "a",
                      "name": "price",
                      "input": {
                        "sku": "x"
                      }
                    },
                    {
                      "type": "tool_use",
                      "id": "b",
                      "name": "stock",
                      "input": {}
                    }
                  ]
                },
                {
                  "role": "user",
                  "content": [
                    {
                      "type": "tool_result",
                      "tool_use_id": "a",
                      "content": "12.50 for {\"sku\": \"x\"}",
                      "is_error": false
                    },
                    {
                      "type": "tool_result",
                      "tool_use_id": "b",
                      "content": "unavailable: the warehouse is closed",
                      "is_error": true
                    }
                  ]
                }
              ],
              "stream": true,
              "tools": [
                {
                  "name": "price",
                  "description": "The price.",
                  "input_schema": {
                    "type": "object",
                    "properties": {
                      "sku": {
                        "type": "string"
                      }
                    }
                  }
                },
                {
                  "name": "stock",
                  "description": "The stock.",
                  "input_schema": {
                    "type": "object",
                    "properties": {
                      "sku": {
                        "type": "string"
                      }
                    }
                  }
                },
                {
                  "name": "pay",
                  "description": "The pay.",
                  "input_schema": {
                    "type": "object",
                    "properties": {
                      "sku": {
                        "type": "string"
                      }
                    }
                  }
                }
              ]
            }
            "#),
        }
    }
}

fn shown(body: &Value) -> String {
    serde_json::to_string_pretty(body).unwrap()
}

#[tokio::test]
async fn what_breaks_is_told_as_what_it_is() {
    let mut table = String::new();
    let mut story = async |name: &str, turns: Vec<Vec<Part>>| {
        let _ = writeln!(table, "{name}: {}", both(|model| model, turns).await);
    };
    story("cut at once", vec![vec![Cut]]).await;
    story("cut in the middle", vec![vec![Text("It is a "), Cut]]).await;
    story("malformed", vec![vec![Text("It "), Raw("{\"choices\": [{\"delta\": {\"cont")]]).await;
    story("overloaded", vec![vec![Text("It "), Raw(r#"{"type": "error", "error": {"type": "overloaded_error", "message": "too many"}}"#)]])
        .await;
    story("too long", vec![vec![Text("It "), Stop("length", "max_tokens")]]).await;
    story("declined", vec![vec![Text("It "), Stop("content_filter", "refusal")]]).await;
    assert_snapshot!(table, @r#"
    cut at once: unavailable: it broke off in the middle of its answer [100+1 tokens 0.00015]
    cut in the middle: unavailable: it broke off in the middle of its answer [100+1 tokens 0.00015]
    malformed: invalid: it sent a piece of its answer that cannot be read (EOF while parsing a string at line 1 column 29): {\"choices\": [{\"delta\": {\"cont [100+1 tokens 0.00015]
    overloaded: unavailable: it says: too many [100+1 tokens 0.00015]
    too long: invalid: its answer was cut off after the 4096 tokens that it may write [100+20 tokens 0.00034]
    declined: refused: it declines to answer [100+20 tokens 0.00034]
    "#);
}

#[tokio::test]
async fn a_service_that_does_not_answer_says_why_by_its_status() {
    let mut table = String::new();
    for (status, headers, body) in [
        ("429 Too Many Requests", "retry-after: 7\r\n", r#"{"error": {"type": "rate_limit_error", "message": "slow down"}}"#),
        ("429 Too Many Requests", "", r#"{"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "pay first"}}"#),
        ("401 Unauthorized", "", r#"{"error": {"type": "authentication_error", "message": "invalid x-api-key"}}"#),
        ("400 Bad Request", "", r#"{"error": {"type": "invalid_request_error", "message": "prompt is too long"}}"#),
        ("529 Overloaded", "", r#"{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}"#),
        ("500 Internal Server Error", "", "<html>oops</html>"),
        ("200 OK", "content-type: application/json\r\n", "[]"),
    ] {
        let mut stories = Vec::new();
        for api in [Api::OpenAi, Api::Anthropic] {
            let server = Server::start(move |_, _| answer(status, headers, body)).await;
            let outcome = call(at(api, &server), Call::new(request())).await;
            let rest =
                outcome.as_ref().err().and_then(|failure| failure.retry_after).map(|rest| format!(", rests {rest:?}")).unwrap_or_default();
            stories.push(format!("{status}: {}{rest}", told(outcome)));
        }
        assert_eq!(stories[0], stories[1]);
        let _ = writeln!(table, "{}", stories[0]);
    }
    assert_snapshot!(table, @"
    429 Too Many Requests: rate_limited: it answered 429 Too Many Requests and says: slow down [nothing used], rests Millis(7000)
    429 Too Many Requests: refused: it answered 429 Too Many Requests and says: pay first [nothing used]
    401 Unauthorized: refused: it answered 401 Unauthorized and says: invalid x-api-key [nothing used]
    400 Bad Request: invalid: it answered 400 Bad Request and says: prompt is too long [nothing used]
    529 Overloaded: unavailable: it answered 529 <unknown status code> and says: Overloaded [nothing used]
    500 Internal Server Error: internal: it answered 500 Internal Server Error: <html>oops</html> [nothing used]
    200 OK: invalid: it sent a piece of its answer that cannot be read (it is not of this format): [] [nothing used]
    ");
}

#[tokio::test]
async fn an_answer_may_come_in_one_piece() {
    let openai = r#"{"choices": [{"message": {"role": "assistant", "content": "All at once."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}"#;
    let anthropic = r#"{"type": "message", "content": [{"type": "text", "text": "All at once."}], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 3}}"#;
    for (api, body) in [(Api::OpenAi, openai), (Api::Anthropic, anthropic)] {
        let server = Server::start(move |_, _| server::json(body)).await;
        let outcome = call(Model { stream: false, ..at(api, &server) }, Call::new(request())).await;
        assert_eq!(told(outcome), "\"All at once.\" [9+3 tokens 0.000048]");
        let asked: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
        assert_eq!(asked.get("stream"), None);
    }
}

#[tokio::test]
async fn a_service_that_claims_to_have_used_everything_is_believed_as_far_as_numbers_go() {
    let all = u64::MAX;
    let openai = format!(
        r#"{{"choices": [{{"message": {{"content": "{{}}"}}, "finish_reason": "stop"}}], "usage": {{"prompt_tokens": {all}, "completion_tokens": {all}, "prompt_tokens_details": {{"cached_tokens": {all}}}}}}}"#
    );
    let anthropic = format!(
        r#"{{"type": "message", "content": [{{"type": "text", "text": "{{}}"}}], "stop_reason": "end_turn", "usage": {{"input_tokens": {all}, "cache_read_input_tokens": {all}, "cache_creation_input_tokens": {all}, "output_tokens": {all}}}}}"#
    );
    for (api, body) in [(Api::OpenAi, openai), (Api::Anthropic, anthropic)] {
        let server = Server::start(move |_, _| server::json(&body)).await;
        let dear = Some(Decimal::MAX);
        let model = Model { prices: Prices { input: dear, cached: dear, output: dear }, ..shaped(at(api, &server)) };
        let outcome = call(model, Call::new(request())).await;
        assert_eq!(outcome.unwrap_err().usage.unwrap().to_string(), format!("{all} tokens for {}", Decimal::MAX));
        assert_eq!(server.asked().len(), 2, "it gets one turn to repair its answer");
    }
}

#[tokio::test]
async fn what_is_set_aside_for_the_longest_talk_is_a_number() {
    let (model, _server) = model(Api::OpenAi, Vec::new()).await;
    let dear = Some(Decimal::MAX);
    let model = Model {
        max_tokens: u64::MAX,
        max_steps: u32::MAX,
        prices: Prices { input: dear, cached: dear, output: dear },
        ..with_tools(model)
    };
    let aside = Agent::from_model("judge", model).reserve(&request()).unwrap();
    assert_eq!(aside.to_string(), format!("{} tokens for {}", u64::MAX, Decimal::MAX));
}

#[tokio::test]
async fn a_key_that_a_service_says_aloud_is_heard_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "sk-supersecret").unwrap();
    for api in [Api::OpenAi, Api::Anthropic] {
        let pieces = ["Your key", " is sk-su", "persec", "ret, is it not?"].map(Text).to_vec();
        let (model, _server) = model(api, vec![pieces]).await;
        let said = Arc::new(Mutex::new(String::new()));
        let hears = said.clone();
        let voice = Voice::new(move |text: &str| hears.lock().unwrap().push_str(text));
        let model = Model { key: Some(Secret::parse("file:key", folder.path())), ..model };
        let failure = call(model, Call { voice, ..Call::new(request()) }).await.unwrap_err();
        assert_eq!(failure.message, "its answer contains the value of `file:key`, which is a secret, and is not kept");
        assert_eq!(*said.lock().unwrap(), "Your key is (file:key), is it not?");
    }
}

#[tokio::test]
async fn a_prompt_is_a_template_over_what_is_declared() {
    let field = |name: &str, kind, required| Field { name: name.into(), kind, required };
    let text =
        "{{ currency }} {{ amount }}{% if note %} ({{ note }}){% endif %}, tolerance {{ outputs.rules.within_tolerance }}, {{ params }}";
    let prompt = |text: &str| Prompt::new("prompts/judge.md", text).unwrap();
    let ask = async |text: &str, inputs: Vec<Field>| {
        let (model, server) = model(Api::OpenAi, vec![vec![Text("Yes.")]]).await;
        let model = Model { prompt: Some(prompt(text)), inputs, instructions: Some("Be brief.".into()), ..model };
        let outcome = call(model, Call::new(request())).await;
        server
            .asked()
            .first()
            .map_or_else(|| told(outcome), |asked| serde_json::from_str::<Value>(&asked.body).unwrap()["messages"].to_string())
    };
    let inputs = vec![field("amount", Type::NUMBER, true), field("currency", Type::Text, true), field("note", Type::Text, false)];
    assert_snapshot!(ask(text, inputs).await, @r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"EUR 12.5, tolerance false, {\"task\": \"Judge this break.\", \"tone\": \"dry\"}"}]"#);
    assert_snapshot!(ask("{{ rate }}", vec![field("rate", Type::NUMBER, true)]).await, @"invalid: its prompt needs `rate`, which stands neither in `params` nor in `input` [nothing used, unsent]");
    assert_snapshot!(ask("{{ currency }}", vec![field("currency", Type::NUMBER, true)]).await, @r#"invalid: `currency` should be a number, but is "EUR" [nothing used, unsent]"#);
    assert_snapshot!(ask("{{ input.missing }}", Vec::new()).await, @"invalid: the prompt prompts/judge.md cannot be filled in: undefined value: `input.missing` is undefined, in line 1 [nothing used, unsent]");
    assert_snapshot!(ask("{% for a in range(1000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}", Vec::new()).await, @"invalid: the prompt prompts/judge.md cannot be filled in: engine ran out of fuel, in line 1 [nothing used, unsent]");
    assert_snapshot!(Prompt::new("p.md", "a\n{% if %}").unwrap_err(), @"syntax error: unexpected end of block, in line 2");
}

#[tokio::test]
async fn a_model_gets_skills_and_reads_what_lies_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.md"), "Never net across currencies.").unwrap();
    let text = SkillText {
        description: "Judges breaks.".into(),
        body: "Read rules.md first.".into(),
        files: files_of(folder.path(), "SKILL.md").unwrap(),
        ..SkillText::default()
    };
    let skill = Skill::new("breaks", Some("1.0"), Payload::of(&text).unwrap());
    let shelf = Shelf::new(HashMap::from([("breaks".to_owned(), folder.path().to_owned())]));
    let turns = vec![
        vec![
            Use("a", "read_skill_file", &[r#"{"skill": "breaks", "path": "rules.md"}"#]),
            Use("b", "read_skill_file", &[r#"{"skill": "breaks", "path": "../../etc/passwd"}"#]),
        ],
        vec![Text("Understood.")],
    ];
    for api in [Api::OpenAi, Api::Anthropic] {
        let (model, server) = model(api, turns.clone()).await;
        let request = Request { skills: vec![skill.clone()], ..request() };
        let outcome = call(Model { shelf: shelf.clone(), ..model }, Call::new(request)).await;
        assert_eq!(
            told(outcome),
            r#""Understood." [200+40 tokens 0.00068; read_skill_file({"skill": "breaks", "path": "rules.md"}) -> Never net across currencies.; read_skill_file({"skill": "breaks", "path": "../../etc/passwd"}) failed: invalid: the skill `breaks` has no file `../../etc/passwd`; it has: rules.md]"#
        );
        assert!(server.asked()[0].body.contains("Read rules.md first."));
    }
}

#[tokio::test]
async fn agents_are_tools_of_other_agents() {
    let registry = Arc::new(Registry::new());
    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = begun.clone();
    let pricing = Agent::from_async("pricing.v2", move |call: Call| {
        let seen = seen.clone();
        async move {
            seen.lock().unwrap().push((call.request.idempotency_key(), call.request.input.json().to_owned()));
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(Reply::new(payload("12.50")))
        }
    });
    registry.register(pricing.max_concurrent(1));
    registry.register(Agent::from_blocking("grumpy", |_| Err(Failure::new(FailureClass::Refused, "not today"))));
    let tools = AgentTools::new(Arc::downgrade(&registry))
        .agent("pricing.v2", "Says what it costs.", &Type::Object(vec![]), Effect::None)
        .agent("grumpy", "Says no.", &Type::Any, Effect::Once);
    let turns = vec![
        vec![Use("a", "pricing_v2", &[r#"{"sku": 1}"#]), Use("b", "pricing_v2", &[r#"{"sku": 2}"#]), Use("c", "grumpy", &[])],
        vec![Text("25.")],
    ];
    let (model, _server) = model(Api::OpenAi, turns).await;
    let begins = std::time::Instant::now();
    let outcome = call(Model { tools: vec![Arc::new(tools)], ..model }, Call::new(request())).await;
    assert_snapshot!(told(outcome), @r#""25." [200+40 tokens 0.00068; pricing_v2({"sku": 1}) -> 12.50; pricing_v2({"sku": 2}) -> 12.50; grumpy() failed: refused: not today]"#);
    assert!(begins.elapsed() >= Duration::from_millis(100), "it takes one at a time");
    let begun = begun.lock().unwrap().clone();
    assert_eq!(begun.len(), 2);
    assert!(begun.iter().all(|(key, _)| key.starts_with(&format!("{}/judge/pricing.v2/", RunId(7)))) && begun[0].0 != begun[1].0);
    assert!(registry.overview(quorate_core::Timestamp::from_micros(0)).iter().all(|one| one.under_way == 0), "places are given back");
}

#[tokio::test]
async fn a_call_uses_no_more_than_it_may() {
    let asks = |allowance: Allowance| async move {
        let turns = vec![vec![Use("a", "price", &["{}"])]];
        let (model, server) = model(Api::Anthropic, turns).await;
        let call_with = Call { allowance: Some(Box::new(allowance)), ..Call::new(request()) };
        let outcome = told(call(with_tools(model), call_with).await);
        let limits: Vec<u64> = server
            .asked()
            .iter()
            .map(|asked: &Asked| serde_json::from_str::<Value>(&asked.body).unwrap()["max_tokens"].as_u64().unwrap())
            .collect();
        format!("{outcome} {limits:?}")
    };
    let tokens = |tokens| Allowance { tokens: Some(tokens), cost: None };
    assert_snapshot!(asks(tokens(10)).await, @"refused: its next turn would use more than was set aside for it; 0 tokens are used [nothing used, unsent] []");
    assert_snapshot!(asks(tokens(700)).await, @"refused: its next turn would use more than was set aside for it; 360 tokens are used [300+60 tokens 0.00102] [495, 308, 122]");
    assert_snapshot!(asks(Allowance { tokens: None, cost: Some("0.004".parse().unwrap()) }).await, @"invalid: it has not answered within the 8 turns that a call may take [800+160 tokens 0.00272] [359, 311, 264, 217, 169, 122, 75, 28]");
}

#[tokio::test]
async fn a_call_that_is_told_to_stop_stops() {
    let server = Server::start(|_, _| {
        vec![
            (Duration::ZERO, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec()),
            (Duration::from_secs(30), Vec::new()),
        ]
    })
    .await;
    let asked = Call::new(request());
    let cancel = asked.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.raise();
    });
    assert_eq!(told(call(at(Api::OpenAi, &server), asked).await), "unavailable: it was told to stop [nothing used]");
}

/// A mock of both services that somebody else wrote, so that what we send and hear is not only what we think of it.
#[tokio::test]
async fn a_mock_of_somebody_else_is_understood() {
    let Some(folder) = packages::npm("@copilotkit/aimock@1.43.0") else { return };
    let fixtures = tempfile::tempdir().unwrap();
    let path = fixtures.path().join("talks.json");
    let talks = json!({ "fixtures": [
        { "match": { "userMessage": "Judge" }, "response": { "content": "{\"verdict\": \"break\", \"confidence\": 0.9}" } },
        { "match": { "userMessage": "Greet" }, "response": { "content": "Good morning to all of you who are here." } },
        { "match": { "userMessage": "Flood" }, "response": { "error": { "message": "slow down", "type": "rate_limit_error" }, "status": 429 } },
    ] });
    std::fs::write(&path, talks.to_string()).unwrap();
    let mut command = std::process::Command::new(folder.join("node_modules/.bin/llmock"));
    let Some((_running, line)) = packages::start(command.args(["-p", "0", "-f"]).arg(&path), "listening on") else { return };
    let address = line.split_whitespace().last().unwrap();
    for (api, name) in [(Api::OpenAi, "gpt-4o"), (Api::Anthropic, "claude-sonnet-4-5")] {
        let model = || Model { urls: vec![Secret::Plain(format!("{address}/v1"))], reach: Reach::Private, ..Model::new(api, name) };
        let ask = |model: Model, task: &str, voice| {
            let params = payload(&json!({ "task": task }).to_string());
            call(model, Call { voice, ..Call::new(Request { params, ..request() }) })
        };
        let heard = Arc::new(Mutex::new(String::new()));
        let hears = heard.clone();
        let voice = Voice::new(move |text: &str| hears.lock().unwrap().push_str(text));
        let reply = ask(model(), "Greet them.", voice).await.unwrap();
        assert_eq!(reply.output.json(), "\"Good morning to all of you who are here.\"");
        assert_eq!(*heard.lock().unwrap(), "Good morning to all of you who are here.");
        // This mock counts the tokens of one of the two.
        let usage = reply.said.and_then(|said| said.usage);
        assert_eq!(usage.is_some_and(|usage| usage.tokens_in > 0 && usage.tokens_out > 0), api == Api::OpenAi);
        let reply = ask(shaped(model()), "Judge it.", Voice::default()).await.unwrap();
        assert_eq!(reply.output.json(), r#"{"verdict": "break", "confidence": 0.9}"#);
        let failure = ask(model(), "Flood it.", Voice::default()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::RateLimited, "{failure}");
    }
}
