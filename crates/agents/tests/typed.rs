//! Rust functions with types as agents.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::sync::atomic::{AtomicU32, Ordering};

use insta::assert_snapshot;
use quorate_agents::{Agent, Call, Doing, Worker};
use quorate_core::{Failure, FailureClass, Payload, Request, RunId};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Order {
    amount: f64,
    #[serde(default)]
    rush: bool,
}

#[derive(Serialize)]
struct Quote {
    price: f64,
    number: u32,
}

/// Numbers its quotes.
#[derive(Default)]
struct Desk(AtomicU32);

impl Worker for Desk {
    type Input = Order;
    type Output = Quote;

    async fn work(&self, order: Order, call: Call) -> Result<Quote, Failure> {
        tokio::task::yield_now().await;
        if call.request.attempt > 1 {
            return Err(Failure::new(FailureClass::Refused, "asked before"));
        }
        let price = if order.rush { order.amount * 2.0 } else { order.amount };
        Ok(Quote { price, number: self.0.fetch_add(1, Ordering::Relaxed) + 1 })
    }
}

async fn ask(agent: &Agent, input: &str, params: &str, attempt: u32) -> String {
    let payload = |json: &str| Payload::parse(json.to_owned()).unwrap();
    let request = Request {
        run: RunId(7),
        task: "quote".into(),
        attempt,
        deadline: None,
        input: payload(input),
        params: payload(params),
        outputs: Vec::new(),
        skills: Vec::new(),
        session: None,
    };
    let call = Call::new(request);
    let outcome = match agent.doing().clone() {
        Doing::Async(function) => function(call).await,
        Doing::Blocking(function) => tokio::task::spawn_blocking(move || function(call)).await.unwrap(),
        Doing::Quick(function) => function(call),
    };
    outcome.map_or_else(|failure| failure.to_string(), |reply| reply.output.json().to_owned())
}

#[tokio::test]
async fn what_a_function_takes_is_read_for_it_and_what_it_returns_is_written() {
    let desk = Agent::from_worker("desk", Desk::default());
    assert_snapshot!(ask(&desk, r#"{"amount": 2.5}"#, "null", 1).await, @r#"{"price":2.5,"number":1}"#);
    assert_snapshot!(ask(&desk, r#"{"amount": 2.5}"#, r#"{"amount": 4, "rush": true}"#, 1).await, @r#"{"price":8.0,"number":2}"#);
    assert_snapshot!(ask(&desk, r#"{"amount": "much"}"#, "null", 1).await, @r#"invalid: `input` is not what it takes: invalid type: string "much", expected f64 at line 1 column 17"#);
    assert_snapshot!(ask(&desk, "null", r#"{"rush": true}"#, 1).await, @"invalid: `params` is not what it takes: missing field `amount` at line 1 column 14");
    assert_snapshot!(ask(&desk, r#"{"amount": 2.5}"#, "null", 2).await, @"refused: asked before");

    let doubled = Agent::from_typed("double", |number: i64| async move { Ok(number * 2) });
    assert_snapshot!(ask(&doubled, "21", "null", 1).await, @"42");
    let slow = Agent::from_typed_blocking("join", |words: Vec<String>| {
        if words.is_empty() { Err(Failure::new(FailureClass::Invalid, "nothing to join")) } else { Ok(words.join(" ")) }
    });
    assert_snapshot!(ask(&slow, r#"["so", "it", "is"]"#, "null", 1).await, @r#""so it is""#);
    assert_snapshot!(ask(&slow, "[]", "null", 1).await, @"invalid: nothing to join");
    let odd = Agent::from_typed("odd", |(): ()| async { Ok(std::collections::HashMap::from([(vec![1], 2)])) });
    assert_snapshot!(ask(&odd, "null", "null", 1).await, @"internal: what it returned cannot be kept: the value is not JSON");
}
