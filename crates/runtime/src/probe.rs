//! Asks agents how they are, as often as each of them wants to be asked.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use quorate_agents::{Mode, Overview};
use quorate_core::{AgentRef, Millis};
use tokio::time::Instant;

use crate::engine::Shared;

/// How long an agent may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked at most.
const MOST_OFTEN: Duration = Duration::from_millis(100);
/// How often it is looked whether somebody new wants to be asked.
const LOOK_AROUND: Duration = Duration::from_secs(10);

/// Goes on until the engine stops, or is gone.
pub(crate) async fn keep_asking(engine: Weak<Shared>) {
    let Some(mut stopped) = engine.upgrade().map(|engine| engine.stopped.subscribe()) else { return };
    let mut due: HashMap<Key, Instant> = HashMap::new();
    loop {
        let Some(next) = engine.upgrade().map(|engine| ask_those(&engine, &mut due)) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// An agent of a version, at one of its endpoints.
type Key = (Arc<str>, Arc<str>, usize);

/// Asks those whose time has come, and says when the next one's does.
fn ask_those(engine: &Arc<Shared>, due: &mut HashMap<Key, Instant>) -> Instant {
    let now = Instant::now();
    let mut next = now + LOOK_AROUND;
    for Overview { agent, mode, endpoints, .. } in engine.registry.overview(engine.options.clock.now()) {
        let (Some(Millis(every)), Some(probe), true) = (agent.probing(), agent.probe(), mode != Mode::Disabled) else { continue };
        let every = Duration::from_millis(every).max(MOST_OFTEN);
        for (position, endpoint) in endpoints.into_iter().enumerate() {
            let identity = agent.identity();
            let at = due.entry((identity.id.clone(), identity.version.clone(), position)).or_insert(now + every);
            if *at <= now {
                *at = now + every;
                let identity = AgentRef { endpoint: endpoint.name, ..(**identity).clone() };
                let (probe, engine) = (probe.clone(), Arc::downgrade(engine));
                tokio::spawn(async move {
                    // Calling it makes the question, and may panic as well.
                    let asking = AssertUnwindSafe(async move { probe(position).await }).catch_unwind();
                    let well = matches!(tokio::time::timeout(PATIENCE.min(every), asking).await, Ok(Ok(Ok(()))));
                    if let Some(engine) = engine.upgrade() {
                        engine.registry.probed(&identity, well, engine.options.clock.now());
                    }
                });
            }
            next = next.min(*at);
        }
    }
    next
}
