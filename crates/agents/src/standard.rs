//! Agents that are always there: to try things out, and to be put in the place of others in tests.

use std::time::Duration;

use quorate_core::{Failure, FailureClass, Payload, Reply};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::invalid;
use crate::{Agent, Call, Outcome};

/// The names of the agents that are always there.
pub const STANDARD: [&str; 4] = ["std.echo", "std.set", "std.sleep", "std.fail"];

/// The agent of this name, under the id `id`, if there is one.
#[must_use]
pub fn standard(name: &str, id: &str) -> Option<Agent> {
    match name {
        "std.echo" => Some(Agent::from_quick(id, |call| Ok(Reply::new(call.request.input)))),
        "std.set" => Some(Agent::from_quick(id, |call| set(&call))),
        "std.sleep" => Some(Agent::from_async(id, sleep)),
        "std.fail" => Some(Agent::from_quick(id, |call| fail(&call))),
        _ => None,
    }
}

/// The parameters of a call; where there are none, those of nothing at all.
fn params<'a, P: Deserialize<'a> + Default>(call: &'a Call) -> Result<P, Failure> {
    let given: Option<P> =
        call.request.params.decode().map_err(|wrong| invalid(format!("the parameters of {} do not fit: {wrong}", call.request.task)))?;
    Ok(given.unwrap_or_default())
}

/// Returns `params.value`.
fn set(call: &Call) -> Outcome {
    #[derive(Default, Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        value: Option<&'a RawValue>,
    }
    let set: Set<'_> = params(call)?;
    let value = set.value.ok_or_else(|| invalid("`std.set` returns `params.value`, and there is none".to_owned()))?;
    Payload::parse(value.get().to_owned()).map(Reply::new).map_err(|wrong| invalid(wrong.to_string()))
}

/// Waits `params.ms` milliseconds, and returns its input.
async fn sleep(call: Call) -> Outcome {
    #[derive(Default, Deserialize)]
    struct Sleep {
        #[serde(default)]
        ms: u64,
    }
    let Sleep { ms } = params(&call)?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(ms)) => Ok(Reply::new(call.request.input)),
        () = call.cancel.raised() => Err(Failure::new(FailureClass::Unavailable, "it was told to stop")),
    }
}

/// Fails, in the first `params.times` attempts or in all of them; then it returns its input.
fn fail(call: &Call) -> Outcome {
    #[derive(Default, Deserialize)]
    struct Fail {
        class: Option<FailureClass>,
        message: Option<String>,
        times: Option<u32>,
    }
    let fail: Fail = params(call)?;
    if fail.times.is_some_and(|times| call.request.attempt > times) {
        return Ok(Reply::new(call.request.input.clone()));
    }
    Err(Failure::new(fail.class.unwrap_or(FailureClass::Internal), fail.message.unwrap_or_else(|| "it was told to fail".to_owned())))
}
