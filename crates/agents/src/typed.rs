//! Rust functions with types: what they take is read for them, and what they return is written.

use std::future::Future;
use std::sync::Arc;

use quorate_core::{Failure, FailureClass, Payload, Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::invalid;
use crate::{Agent, Call, Outcome};

/// Something that does work, with a state of its own: a model that was loaded, a connection, a cache.
pub trait Worker: Send + Sync + 'static {
    /// What it takes.
    type Input: DeserializeOwned + Send;
    /// What it returns.
    type Output: Serialize;

    /// Does the work. The call says for which run and task, until when, and whether it still matters.
    fn work(&self, input: Self::Input, call: Call) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

impl Agent {
    /// An agent that is a [`Worker`]. It takes the parameters of its task, or its input where there are none.
    #[must_use]
    pub fn from_worker<W: Worker>(id: &str, worker: W) -> Agent {
        let worker = Arc::new(worker);
        Agent::from_async(id, move |call| {
            let worker = worker.clone();
            async move {
                let input = taken(&call)?;
                given(worker.work(input, call).await?)
            }
        })
    }

    /// An agent that is an async function with types. It takes the parameters of its task, or its input where there are none.
    pub fn from_typed<I, O, F, R>(id: &str, function: F) -> Agent
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        F: Fn(I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, Failure>> + Send + 'static,
    {
        let function = Arc::new(function);
        Agent::from_async(id, move |call| {
            let function = function.clone();
            async move { given(function(taken(&call)?).await?) }
        })
    }

    /// An agent that is a function with types which takes its time, on a thread where it may.
    pub fn from_typed_blocking<I, O, F>(id: &str, function: F) -> Agent
    where
        I: DeserializeOwned,
        O: Serialize,
        F: Fn(I) -> Result<O, Failure> + Send + Sync + 'static,
    {
        Agent::from_blocking(id, move |call| given(function(taken(&call)?)?))
    }
}

fn taken<I: DeserializeOwned>(call: &Call) -> Result<I, Failure> {
    let request = &call.request;
    let (name, value) = if request.params.json() == "null" { ("input", &request.input) } else { ("params", &request.params) };
    value.decode().map_err(|wrong| invalid(format!("`{name}` is not what it takes: {wrong}")).unsent())
}

fn given<O: Serialize>(output: O) -> Outcome {
    let output =
        Payload::of(&output).map_err(|wrong| Failure::new(FailureClass::Internal, format!("what it returned cannot be kept: {wrong}")))?;
    Ok(Reply::new(output))
}
