//! The wire format of Anthropic's messages.

use std::collections::BTreeMap;

use quorate_core::{Failure, FailureClass};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sse::Event;
use super::talk::{ANSWER, Asked, Asking, Heard, Hearing, MAX_ASKED, Message, Stop, Tokens, broken, kind_of};
use crate::Voice;
use crate::wire::invalid;

/// The version of the format.
pub(super) const VERSION: &str = "2023-06-01";

/// What is posted.
pub(super) fn body(asking: &Asking<'_>) -> Value {
    let messages: Vec<Value> = asking.history.iter().map(message).collect();
    let mut body = json!({ "model": asking.model, "max_tokens": asking.max_tokens, "messages": messages });
    if let Some(system) = asking.system {
        body["system"] = system.into();
    }
    if asking.stream {
        body["stream"] = true.into();
    }
    let mut tools: Vec<Value> =
        asking.tools.iter().map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.input })).collect();
    if let Some((schema, _)) = &asking.answer {
        // An answer of a certain shape is a tool that has to be used.
        tools.push(json!({ "name": ANSWER, "description": "Give the answer. Use it once, when you are done.", "input_schema": schema }));
        let alone = tools.len() == 1;
        body["tool_choice"] = if alone { json!({ "type": "tool", "name": ANSWER }) } else { json!({ "type": "any" }) };
    }
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::User(text) => json!({ "role": "user", "content": text }),
        Message::Model(heard) => {
            let mut parts: Vec<Value> = heard.thoughts.clone();
            if !heard.text.is_empty() {
                parts.push(json!({ "type": "text", "text": heard.text }));
            }
            parts.extend(heard.asked.iter().map(|asked| {
                let input: Value = serde_json::from_str(&asked.arguments).unwrap_or_else(|_| json!({}));
                json!({ "type": "tool_use", "id": asked.id, "name": asked.name, "input": input })
            }));
            if parts.is_empty() {
                // A turn without words is none to this service.
                parts.push(json!({ "type": "text", "text": "(no answer)" }));
            }
            json!({ "role": "assistant", "content": parts })
        }
        Message::Results(results) => {
            let one = |given: &super::talk::Given| json!({ "type": "tool_result", "tool_use_id": given.id, "content": given.text, "is_error": given.failed });
            json!({ "role": "user", "content": results.iter().map(one).collect::<Vec<_>>() })
        }
    }
}

#[derive(Deserialize)]
struct Piece {
    #[serde(rename = "type")]
    kind: String,
    index: Option<usize>,
    message: Option<Whole>,
    content_block: Option<Value>,
    delta: Option<Value>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Whole {
    #[serde(default)]
    content: Vec<Value>,
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Usage,
    error: Option<Value>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

/// Hears an answer.
#[derive(Default)]
pub(super) struct Listening {
    blocks: BTreeMap<usize, Block>,
    tokens: Tokens,
    stop: Option<Stop>,
    done: bool,
}

enum Block {
    Text(String),
    Tool(Asked),
    /// What has to be handed back as it came.
    Thought(Value),
}

impl Listening {
    fn begin(&mut self, index: usize, block: &Value, voice: &Voice) -> Result<(), Failure> {
        if index > MAX_ASKED {
            return Err(invalid(format!("answers in more than the {MAX_ASKED} parts allowed")));
        }
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let block = match text("type").as_str() {
            "text" => {
                voice.say(&text("text"));
                Block::Text(text("text"))
            }
            "tool_use" => {
                let input = block.get("input").filter(|input| input.as_object().is_some_and(|fields| !fields.is_empty()));
                Block::Tool(Asked { id: text("id"), name: text("name"), arguments: input.map(Value::to_string).unwrap_or_default() })
            }
            _ => Block::Thought(block.clone()),
        };
        self.blocks.insert(index, block);
        Ok(())
    }

    fn go_on(&mut self, index: usize, delta: &Value, voice: &Voice) -> Result<(), Failure> {
        let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        match (self.blocks.get_mut(&index), text("type")) {
            (Some(Block::Text(known)), "text_delta") => {
                voice.say(text("text"));
                known.push_str(text("text"));
            }
            (Some(Block::Tool(asked)), "input_json_delta") => asked.arguments.push_str(text("partial_json")),
            (Some(Block::Thought(thought)), "thinking_delta" | "signature_delta") => {
                for name in ["thinking", "signature"] {
                    if !text(name).is_empty() {
                        let known = thought.get(name).and_then(Value::as_str).unwrap_or_default();
                        thought[name] = format!("{known}{}", text(name)).into();
                    }
                }
            }
            (Some(_), _) => {}
            (None, _) => return Err(invalid(format!("goes on with the part {index} of its answer, which it has not begun"))),
        }
        Ok(())
    }

    fn use_up(&mut self, usage: Usage) {
        // The input comes first and the output last; whatever is said again is said as a whole.
        let cached = usage.cache_read_input_tokens.unwrap_or_default();
        if let Some(read) = usage.input_tokens.filter(|read| *read > 0 || self.tokens.read == 0) {
            self.tokens.read = read.saturating_add(cached).saturating_add(usage.cache_creation_input_tokens.unwrap_or_default());
            self.tokens.cached = cached;
        }
        self.tokens.written = usage.output_tokens.unwrap_or(self.tokens.written);
    }

    fn stop_for(&mut self, reason: &str) {
        self.stop = Some(match reason {
            "max_tokens" | "model_context_window_exceeded" => Stop::Length,
            "refusal" => Stop::Refused,
            _ => Stop::End,
        });
    }
}

impl Hearing for Listening {
    fn take(&mut self, event: &Event, voice: &Voice) -> Result<(), Failure> {
        let piece: Piece = serde_json::from_str(&event.data).map_err(|wrong| broken(&event.data, &wrong))?;
        let index = piece.index.unwrap_or_default();
        match piece.kind.as_str() {
            "message_start" => self.use_up(piece.message.map(|message| message.usage).unwrap_or_default()),
            "content_block_start" => self.begin(index, &piece.content_block.unwrap_or_default(), voice)?,
            "content_block_delta" => self.go_on(index, &piece.delta.unwrap_or_default(), voice)?,
            "message_delta" => {
                self.use_up(piece.usage.unwrap_or_default());
                if let Some(reason) = piece.delta.as_ref().and_then(|delta| delta.get("stop_reason")).and_then(Value::as_str) {
                    self.stop_for(reason);
                }
            }
            "message_stop" => self.done = true,
            "error" => return Err(failure_of(&piece.error.unwrap_or_default())),
            // `ping`, the end of a part, and what may come to be.
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &str, voice: &Voice) -> Result<(), Failure> {
        let whole: Whole = serde_json::from_str(body).map_err(|wrong| broken(body, &wrong))?;
        if let Some(error) = whole.error {
            return Err(failure_of(&error));
        }
        for (index, block) in whole.content.iter().enumerate() {
            self.begin(index, block, voice)?;
        }
        self.use_up(whole.usage);
        self.stop_for(whole.stop_reason.as_deref().unwrap_or_default());
        self.done = true;
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn tokens(&self) -> Tokens {
        self.tokens
    }

    fn heard(self: Box<Self>) -> Option<Heard> {
        let mut heard = Heard { stop: self.stop.filter(|_| self.done)?, ..Heard::default() };
        for block in self.blocks.into_values() {
            match block {
                Block::Text(text) => heard.text.push_str(&text),
                Block::Tool(asked) => heard.asked.push(asked),
                Block::Thought(thought) => heard.thoughts.push(thought),
            }
        }
        Some(heard)
    }
}

/// What an error in the body says.
pub(super) fn failure_of(error: &Value) -> Failure {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let class = text("type").and_then(kind_of).unwrap_or(FailureClass::Unavailable);
    Failure::new(class, format!("says: {}", text("message").unwrap_or("it does not say what is wrong")))
}
