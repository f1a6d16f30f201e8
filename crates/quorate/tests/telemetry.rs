//! What a collector of OpenTelemetry gets to see.
#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use house::{House, server};
use insta::assert_snapshot;
use serde_json::Value;

struct Span {
    id: String,
    parent: String,
    trace: String,
    name: String,
    about: BTreeMap<String, String>,
}

/// Every span of what was exported.
fn spans(exported: &[Value]) -> Vec<Span> {
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let scopes = exported.iter().flat_map(|export| list(export, "resourceSpans")).flat_map(|resource| list(&resource, "scopeSpans"));
    let spans = scopes.flat_map(|scope| list(&scope, "spans"));
    let text = |value: &Value| {
        let inner = value.as_object().and_then(|object| object.values().next());
        inner.map(|inner| inner.as_str().map_or_else(|| inner.to_string(), str::to_owned)).unwrap_or_default()
    };
    spans
        .map(|span| {
            let about = list(&span, "attributes");
            let about = about.iter().map(|one| (one["key"].as_str().unwrap().to_owned(), text(&one["value"])));
            let field = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
            Span {
                id: field("spanId"),
                parent: field("parentSpanId"),
                trace: field("traceId"),
                name: field("name"),
                about: about.collect(),
            }
        })
        .collect()
}

/// The spans below one of them, as a picture.
fn tree(spans: &[Span], parent: &str, depth: usize, shown: &mut String) {
    let mut below: Vec<&Span> = spans.iter().filter(|span| span.parent == parent).collect();
    below.sort_by(|one, other| one.name.cmp(&other.name));
    for span in below {
        let wanted = ["gen_ai.", "quorate.task", "error.", "http."];
        let about: Vec<String> = span
            .about
            .iter()
            .filter(|(name, _)| wanted.iter().any(|wanted| name.starts_with(wanted)))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        shown.push_str(&format!("{}{} {}\n", "  ".repeat(depth), span.name, about.join(" ")));
        tree(spans, &span.id, depth + 1, shown);
    }
}

#[test]
fn a_run_is_a_trace_with_a_span_for_every_task_attempt_and_call() {
    let (exported, called) = (Arc::new(Mutex::new(Vec::<Value>::new())), Arc::new(Mutex::new(Vec::new())));
    let (exports, calls) = (exported.clone(), called.clone());
    let address = server(move |asked| {
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        if head.starts_with("POST /v1/traces") {
            assert!(head.to_lowercase().contains("x-team: recon"), "{head}");
            exports.lock().unwrap().push(serde_json::from_str(body).unwrap());
            return ("200 OK", "{}".to_owned());
        }
        if head.starts_with("POST /scores") {
            let parent = head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap_or_default().to_owned();
            calls.lock().unwrap().push(parent);
            return if calls.lock().unwrap().len() == 1 { ("503 Service Unavailable", String::new()) } else { ("200 OK", "7".to_owned()) };
        }
        let message = if body.contains("\"role\":\"tool\"") {
            r#"{"message": {"content": "It is 12.50."}, "finish_reason": "stop"}"#
        } else {
            r#"{"message": {"tool_calls": [{"id": "1", "function": {"name": "price", "arguments": "{}"}}]}, "finish_reason": "tool_calls"}"#
        };
        ("200 OK", format!("{{\"choices\": [{message}], \"usage\": {{\"prompt_tokens\": 9, \"completion_tokens\": 3}}}}"))
    });
    let house = House::empty();
    house.write("quorate.yaml", &format!("name: house\ntelemetry: {{ endpoint: 'http://{address}', headers: {{ x-team: recon }} }}\n"));
    let agents = format!(
        "agents:
  judge: {{ llm: {{ model: tiny-1, url: 'http://{address}/v1', allow_private: true, stream: false, tools: [price] }} }}
  price: {{ use: std.set, params: {{ value: 12.50 }} }}
  scorer: {{ http: {{ url: 'http://{address}/scores', allow_private: true }}, version: 1.4 }}
"
    );
    house.write("agents/a.yaml", &agents);
    house.write(
        "workflows/w.yaml",
        "workflows:
  w:
    tasks:
      - { id: look, agent: judge }
      - { id: score, agent: scorer, retry: { max_retries: 1, initial_delay: 1ms } }
",
    );
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(["run", "w", "-q"]).current_dir(house.path()).env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json").env("HOME", house.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let spans = spans(&exported.lock().unwrap());
    let mut shown = String::new();
    tree(&spans, "", 0, &mut shown);
    assert_snapshot!(shown, @"
    invoke_workflow w gen_ai.operation.name=invoke_workflow gen_ai.workflow.name=w
      task look quorate.task.id=look
        invoke_agent judge gen_ai.agent.name=judge gen_ai.agent.version=1 gen_ai.operation.name=invoke_agent gen_ai.usage.input_tokens=18 gen_ai.usage.output_tokens=6
          chat tiny-1 gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.max_tokens=4096 gen_ai.request.model=tiny-1 gen_ai.usage.input_tokens=9 gen_ai.usage.output_tokens=3
          chat tiny-1 gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.max_tokens=4096 gen_ai.request.model=tiny-1 gen_ai.usage.input_tokens=9 gen_ai.usage.output_tokens=3
          execute_tool price gen_ai.operation.name=execute_tool gen_ai.tool.call.id=1 gen_ai.tool.name=price
      task score quorate.task.id=score
        invoke_agent scorer error.type=unavailable gen_ai.agent.name=scorer gen_ai.agent.version=1.4 gen_ai.operation.name=invoke_agent
          POST http.request.method=POST
        invoke_agent scorer gen_ai.agent.name=scorer gen_ai.agent.version=1.4 gen_ai.operation.name=invoke_agent
          POST http.request.method=POST
    ");
    // A service that is called hears of the span that calls it, so that its own spans stand below.
    let called = called.lock().unwrap().clone();
    assert_eq!(called.len(), 2);
    for parent in called {
        let attempt = spans.iter().find(|span| parent.contains(&span.id)).unwrap();
        assert_eq!(parent, format!("00-{}-{}-01", attempt.trace, attempt.id));
        assert_eq!(attempt.name, "invoke_agent scorer");
    }
}

#[test]
fn without_a_collector_nothing_is_traced_and_with_a_dead_one_nothing_is_held_up() {
    let house = house::house();
    let run = || house.type_in("run greet -i '{\"name\": \"Ann\"}' -q");
    assert_snapshot!(run(), @"
    Hello, Ann!
    exit 0
    ");
    house.write("quorate.yaml", "name: house\ngroups: { leads: [ann, bob] }\ntelemetry: { endpoint: 'http://127.0.0.1:9' }\n");
    let begun = std::time::Instant::now();
    assert_snapshot!(run(), @"
    Hello, Ann!
    exit 0
    ");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    house.write("quorate.yaml", "name: house\ngroups: { leads: [ann, bob] }\ntelemetry: { endpoint: env:QUORATE_NO_SUCH_VARIABLE }\n");
    assert_snapshot!(run(), @"
    err: error: could not set up the export of spans: the value of `env:QUORATE_NO_SUCH_VARIABLE` is missing: the variable is not set
    exit 3
    ");
}
