//! Quorate coordinates many agents and turns what they say into one decision that can be explained, proved and replayed.
//!
//! This crate is what programs depend on: it gives the parts of the engine one name each.
//!
//! ```
//! use std::sync::Arc;
//! use quorate::{Agent, Draft, Engine, MemoryJournal, Options, Order, Payload, Plan, Registry, Reply, RunStatus};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let draft: Draft = serde_json::from_str(r#"{
//!     "name": "greet",
//!     "tasks": [
//!         {"id": "name", "work": {"agent": {"id": "name"}}},
//!         {"id": "greet", "work": {"agent": {"id": "greet"}}, "depends_on": ["name"],
//!          "params": {"text": "Hello, {{ name.first }}!"}}
//!     ]
//! }"#)?;
//! let plan = Plan::compile(&draft).map_err(|problems| problems[0].to_string())?;
//!
//! let registry = Registry::new();
//! registry.register(Agent::from_async("name", |_| async {
//!     Ok(Reply::new(Payload::parse(r#"{"first": "Ann"}"#.into()).expect("JSON")))
//! }));
//! registry.register(Agent::from_async("greet", |call| async move { Ok(Reply::new(call.request.params)) }));
//!
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! let ended = runtime.block_on(async {
//!     let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), Options::default());
//!     engine.start(Order::new(Arc::new(plan), Payload::null()))?.ended().await
//! })?;
//! assert_eq!(ended.status, RunStatus::Succeeded);
//! assert_eq!(ended.output.expect("it returned something").json(), r#"{"text":"Hello, Ann!"}"#);
//! # Ok(())
//! # }
//! ```

pub use quorate_agents::{Agent, Call, Cancel, Doing, NoCandidate, Outcome, Registry};
pub use quorate_core::*;
pub use quorate_expr as expr;
pub use quorate_journal::{
    AppendError, Damage, Flaw, Head, Journal, MemoryJournal, OpenError, ReadError, Record, Report, RunInfo, SqliteJournal, SqliteOptions,
    SqliteReader,
};
pub use quorate_runtime::{Clock, Durability, Ended, Engine, Error, Follow, FollowRun, Options, Order, RunHandle, Stats};
