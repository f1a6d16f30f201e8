//! The wire format of OpenAI's chat completions, which many services and local servers speak.

use quorate_core::{Failure, FailureClass};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sse::Event;
use super::talk::{Asked, Asking, Heard, Hearing, MAX_ASKED, Message, Stop, Tokens, broken, kind_of};
use crate::Voice;
use crate::wire::invalid;

/// What is posted.
pub(super) fn body(asking: &Asking<'_>) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = asking.system {
        messages.push(json!({ "role": "system", "content": system }));
    }
    for message in asking.history {
        match message {
            Message::User(text) => messages.push(json!({ "role": "user", "content": text })),
            Message::Model(heard) => {
                let mut said = json!({ "role": "assistant", "content": heard.text });
                if !heard.asked.is_empty() {
                    said["tool_calls"] = heard
                        .asked
                        .iter()
                        .map(|asked| json!({ "id": asked.id, "type": "function", "function": { "name": asked.name, "arguments": asked.arguments } }))
                        .collect();
                }
                messages.push(said);
            }
            Message::Results(results) => {
                messages.extend(results.iter().map(|given| json!({ "role": "tool", "tool_call_id": given.id, "content": given.text })));
            }
        }
    }
    let mut body = json!({ "model": asking.model, "messages": messages });
    // The service itself has given the field another name; others know the old one.
    let limit = if asking.usual { "max_completion_tokens" } else { "max_tokens" };
    body[limit] = asking.max_tokens.into();
    if asking.stream {
        body["stream"] = true.into();
        body["stream_options"] = json!({ "include_usage": true });
    }
    if !asking.tools.is_empty() {
        let one = |tool: &super::Tool| json!({ "type": "function", "function": { "name": tool.name, "description": tool.description, "parameters": tool.input } });
        body["tools"] = asking.tools.iter().map(one).collect();
    }
    if let Some((schema, strict)) = &asking.answer {
        body["response_format"] = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": strict } });
    }
    body
}

#[derive(Default, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Choice {
    #[serde(default, alias = "message")]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    index: Option<usize>,
    id: Option<String>,
    #[serde(default)]
    function: Function,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

/// Hears an answer.
#[derive(Default)]
pub(super) struct Listening {
    heard: Heard,
    tokens: Tokens,
    stop: Option<Stop>,
    done: bool,
}

impl Listening {
    fn chunk(&mut self, chunk: Chunk, voice: &Voice) -> Result<(), Failure> {
        if let Some(error) = chunk.error {
            return Err(failure_of(&error));
        }
        if let Some(usage) = chunk.usage {
            let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or_default();
            self.tokens = Tokens { read: usage.prompt_tokens, cached, written: usage.completion_tokens };
        }
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        if let Some(text) = choice.delta.content {
            voice.say(&text);
            self.heard.text.push_str(&text);
        }
        if let Some(text) = choice.delta.refusal {
            self.heard.refusal.get_or_insert_default().push_str(&text);
        }
        for (position, call) in choice.delta.tool_calls.unwrap_or_default().into_iter().enumerate() {
            self.ask(call, position)?;
        }
        if let Some(reason) = choice.finish_reason {
            self.stop = Some(match reason.as_str() {
                "length" => Stop::Length,
                "content_filter" => Stop::Refused,
                _ => Stop::End,
            });
        }
        Ok(())
    }

    /// A tool that is asked for comes in pieces, which say which of them they belong to.
    fn ask(&mut self, call: ToolCall, position: usize) -> Result<(), Failure> {
        let asked = &mut self.heard.asked;
        let index = call.index.unwrap_or(position);
        if index > asked.len() || index >= MAX_ASKED {
            return Err(invalid(format!("asks for the tool number {index} after {} of them; up to {MAX_ASKED} are allowed", asked.len())));
        }
        if index == asked.len() {
            asked.push(Asked::default());
        }
        let ask = &mut asked[index];
        ask.id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| std::mem::take(&mut ask.id));
        ask.name.push_str(&call.function.name.unwrap_or_default());
        match call.function.arguments {
            Some(Value::String(piece)) => ask.arguments.push_str(&piece),
            Some(Value::Null) | None => {}
            // Some servers send an object where a text belongs.
            Some(whole) => ask.arguments = whole.to_string(),
        }
        Ok(())
    }
}

impl Hearing for Listening {
    fn take(&mut self, event: &Event, voice: &Voice) -> Result<(), Failure> {
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk = serde_json::from_str(&event.data).map_err(|wrong| broken(&event.data, &wrong))?;
        self.chunk(chunk, voice)
    }

    fn whole(&mut self, body: &str, voice: &Voice) -> Result<(), Failure> {
        let chunk = serde_json::from_str(body).map_err(|wrong| broken(body, &wrong))?;
        self.done = true;
        self.chunk(chunk, voice)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn tokens(&self) -> Tokens {
        self.tokens
    }

    fn heard(self: Box<Self>) -> Option<Heard> {
        // Some servers do not say that they are done; a reason to stop is as good.
        let stop = self.stop?;
        Some(Heard { stop, ..self.heard })
    }
}

/// What an error in the body says.
pub(super) fn failure_of(error: &Value) -> Failure {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let message = text("message").or_else(|| error.as_str()).unwrap_or("it does not say what is wrong");
    let class = [text("code"), text("type")].into_iter().flatten().find_map(kind_of).unwrap_or(FailureClass::Unavailable);
    Failure::new(class, format!("says: {message}"))
}
