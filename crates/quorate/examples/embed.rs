//! A workflow inside of a program: no files, no server. Run it with `cargo run --example embed`.

use std::sync::Arc;

use quorate::draft::TaskDraft;
use quorate::{Agent, Draft, Engine, MemoryJournal, Options, Order, Payload, Plan, Registry, Reply, Run};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    registry.register(Agent::from_async("price", |_| async { Ok(Reply::new(Payload::parse("120".into()).expect("a number"))) }));
    registry.register(Agent::from_quick("say", |call| Ok(Reply::new(call.request.params))));

    let draft = Draft::new("quote")
        .task(TaskDraft::call("price", "price").retries(3))
        .task(TaskDraft::call("cheap", "say").after(["price"]).when("price < 100").params(serde_json::json!("buy")))
        .task(TaskDraft::call("dear", "say").after(["price"]).when("price >= 100").params(serde_json::json!("think twice: {{ price }}")));
    let plan = Arc::new(Plan::compile(&draft).map_err(|problems| problems[0].to_string())?);

    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), Options::default());
    let mut steps = Vec::new();
    let ended = engine.run_with(Order::new(plan, Payload::null()), |run: &Run| steps.push(run.progress().completed)).await?;
    assert_eq!(ended.output?.json(), r#"{"dear":"think twice: 120"}"#);
    assert_eq!(steps.last(), Some(&2));
    Ok(())
}
