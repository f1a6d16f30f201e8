//! What is said between us and a model, whatever format it travels in.

use quorate_core::{Failure, FailureClass};
use serde_json::Value;

use super::Tool;
use super::sse::Event;
use crate::Voice;
use crate::net::beginning;
use crate::wire::invalid;

/// Most tools that a model may ask for at once.
pub(super) const MAX_ASKED: usize = 128;
/// The tool by which a model answers where the format has no other way to ask for a shape.
pub(super) const ANSWER: &str = "answer";

/// What is said in one turn.
pub(super) struct Asking<'a> {
    pub(super) model: &'a str,
    pub(super) system: Option<&'a str>,
    pub(super) history: &'a [Message],
    pub(super) tools: &'a [Tool],
    /// The schema of the answer, and whether it is strict.
    pub(super) answer: Option<(Value, bool)>,
    pub(super) max_tokens: u64,
    pub(super) stream: bool,
    /// Whether it goes to the service that the format comes from.
    pub(super) usual: bool,
}

/// What was said before.
pub(super) enum Message {
    User(String),
    Model(Heard),
    Results(Vec<Given>),
}

/// What a model said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) asked: Vec<Asked>,
    /// What has to be handed back as it came.
    pub(super) thoughts: Vec<Value>,
    pub(super) refusal: Option<String>,
    pub(super) stop: Stop,
}

/// A tool that a model asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) name: String,
    /// A text that should be JSON.
    pub(super) arguments: String,
}

/// What a model gets from a tool.
pub(super) struct Given {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) failed: bool,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was done, or wants tools.
    #[default]
    End,
    /// It may not say more.
    Length,
    /// It does not want to.
    Refused,
}

/// What a turn used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// All that was read.
    pub(super) read: u64,
    /// So many of those cost less.
    pub(super) cached: u64,
    pub(super) written: u64,
}

/// Puts together what a model says.
pub(super) trait Hearing: Send {
    /// Takes in an event of a stream.
    fn take(&mut self, event: &Event, voice: &Voice) -> Result<(), Failure>;
    /// Takes in an answer that came in one piece.
    fn whole(&mut self, body: &str, voice: &Voice) -> Result<(), Failure>;
    /// Whether nothing more will come.
    fn is_done(&self) -> bool;
    /// What it used, as far as it said so.
    fn tokens(&self) -> Tokens;
    /// What was heard; nothing where it broke off.
    fn heard(self: Box<Self>) -> Option<Heard>;
}

/// A piece of an answer that cannot be read.
pub(super) fn broken(piece: &str, wrong: &serde_json::Error) -> Failure {
    let why = if wrong.is_data() { "it is not of this format".to_owned() } else { wrong.to_string() };
    invalid(format!("sent a piece of its answer that cannot be read ({why}): {}", beginning(piece.as_bytes())))
}

/// What kind of failure it is that a service calls by this name.
pub(super) fn kind_of(name: &str) -> Option<FailureClass> {
    Some(match name {
        "rate_limit_error" | "rate_limit_exceeded" | "tokens" | "requests" => FailureClass::RateLimited,
        "overloaded_error" | "server_overloaded" | "service_unavailable" => FailureClass::Unavailable,
        "timeout_error" => FailureClass::Timeout,
        "api_error" | "server_error" | "internal_server_error" => FailureClass::Internal,
        "authentication_error" | "permission_error" | "billing_error" | "insufficient_quota" | "invalid_api_key" => FailureClass::Refused,
        "invalid_request_error" | "not_found_error" | "request_too_large" | "context_length_exceeded" | "model_not_found" => {
            FailureClass::Invalid
        }
        _ => return None,
    })
}
