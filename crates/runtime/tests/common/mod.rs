//! Plans and agents that tests of the engine share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_agents::Agent;
use quorate_core::draft::{TaskDraft, WaitDraft, WorkDraft};
use quorate_core::{Draft, Payload, Plan, Reply};

/// `"a; b < a"`: tasks that ask for agents of their own names. One that is called `go` waits for the signal `go`.
pub(crate) fn draft(text: &str) -> Draft {
    let task = |text: &str| {
        let (id, deps) = text.split_once('<').unwrap_or((text, ""));
        let id = id.trim().to_owned();
        let work = match id.as_str() {
            "go" => WorkDraft::Wait(WaitDraft { signal: Some("go".into()), ..WaitDraft::default() }),
            id => WorkDraft::Agent { id: Some(id.to_owned()), capabilities: Vec::new() },
        };
        TaskDraft { id, depends_on: deps.split_whitespace().map(str::to_owned).collect(), work, ..TaskDraft::default() }
    };
    Draft { name: "test".to_owned(), tasks: text.split(';').map(task).collect(), ..Draft::default() }
}

pub(crate) fn compiled(draft: &Draft) -> Arc<Plan> {
    Arc::new(Plan::compile(draft).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

/// An agent that counts how many of its calls overlap.
pub(crate) fn counting(name: &str, at_once: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Agent {
    let (at_once, most) = (at_once.clone(), most.clone());
    Agent::from_async(name, move |_| {
        let (at_once, most) = (at_once.clone(), most.clone());
        async move {
            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            Ok(Reply::new(Payload::null()))
        }
    })
}
