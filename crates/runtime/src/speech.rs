//! What agents say while they work: heard by whoever listens, kept in memory while the call is under way and for a little
//! while after, and never in the journal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_agents::Voice;
use quorate_core::RunId;
use tokio::sync::watch;

use crate::Engine;

/// Longest speech that is kept; what goes beyond is not heard.
pub const MAX_SPEECH_BYTES: usize = 256 * 1024;
/// Speeches of one run that are kept after they have ended.
const MAX_ENDED: usize = 16;

/// All that is said in an engine.
#[derive(Debug)]
pub(crate) struct Speeches {
    by_run: Mutex<HashMap<RunId, Vec<Arc<Speech>>>>,
    any: AtomicBool,
    /// Counts what is said, so that listeners need not look all the time.
    said: watch::Sender<u64>,
}

/// What one agent says in one attempt.
#[derive(Debug)]
struct Speech {
    task: Arc<str>,
    attempt: u32,
    text: Mutex<String>,
    ended: AtomicBool,
}

impl Default for Speeches {
    fn default() -> Speeches {
        Speeches { by_run: Mutex::default(), any: AtomicBool::new(false), said: watch::Sender::new(0) }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a speech when its call has ended, however that went.
pub(crate) struct Speaking {
    engine: Engine,
    speech: Arc<Speech>,
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.speech.ended.store(true, Ordering::Release);
        self.engine.0.speeches.changed();
    }
}

impl Speeches {
    fn changed(&self) {
        if self.said.receiver_count() > 0 {
            self.said.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn forget(&self, run: RunId) {
        // Most engines have nobody who talks.
        if self.any.load(Ordering::Acquire) {
            locked(&self.by_run).remove(&run);
        }
        self.changed();
    }
}

impl Engine {
    /// A voice for an attempt, and what ends the speech.
    pub(crate) fn give_voice(&self, run: RunId, task: &str, attempt: u32) -> (Voice, Speaking) {
        let speech = Arc::new(Speech { task: task.into(), attempt, text: Mutex::default(), ended: AtomicBool::new(false) });
        {
            self.0.speeches.any.store(true, Ordering::Release);
            let mut by_run = locked(&self.0.speeches.by_run);
            let speeches = by_run.entry(run).or_default();
            speeches.retain(|known| *known.task != *task);
            while speeches.iter().filter(|known| known.ended.load(Ordering::Acquire)).count() >= MAX_ENDED {
                let oldest = speeches.iter().position(|known| known.ended.load(Ordering::Acquire)).unwrap_or_default();
                speeches.remove(oldest);
            }
            speeches.push(speech.clone());
        }
        let (engine, saying) = (self.clone(), speech.clone());
        let voice = Voice::new(move |piece| {
            let mut text = locked(&saying.text);
            let room = MAX_SPEECH_BYTES - text.len();
            text.push_str(&piece[..piece.floor_char_boundary(room)]);
            drop(text);
            engine.0.speeches.changed();
        });
        (voice, Speaking { engine: self.clone(), speech })
    }

    /// Listens to the agents of a run: first to all that those at work have said so far, then to what they say next.
    #[must_use]
    pub fn listen(&self, run: RunId) -> Listening {
        Listening { engine: self.clone(), run, changed: self.0.speeches.said.subscribe(), known: Vec::new() }
    }
}

/// A piece of what an agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// For which task.
    pub task: Arc<str>,
    /// In which attempt.
    pub attempt: u32,
    /// How many bytes of it came before: whoever has those already goes on from there.
    pub from: usize,
    /// What it says.
    pub text: String,
}

/// Listens to the agents of a run.
#[derive(Debug)]
pub struct Listening {
    engine: Engine,
    run: RunId,
    changed: watch::Receiver<u64>,
    /// What was heard, and how much of each.
    known: Vec<(Arc<Speech>, usize)>,
}

impl Listening {
    /// What is said next; nothing once the run is over, or the engine has stopped.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let is_open = self.engine.is_open(self.run);
            self.changed.mark_unchanged();
            if let Some(heard) = self.now() {
                return Some(heard);
            }
            if !is_open || self.changed.changed().await.is_err() {
                return None;
            }
        }
    }

    fn now(&mut self) -> Option<Heard> {
        if let Some(speeches) = locked(&self.engine.0.speeches.by_run).get(&self.run) {
            for speech in speeches {
                if !self.known.iter().any(|(known, _)| Arc::ptr_eq(known, speech)) {
                    self.known.push((speech.clone(), 0));
                }
            }
        }
        let heard = self.known.iter_mut().find_map(|(speech, from)| {
            let text = locked(&speech.text);
            let new = text.get(*from..).filter(|new| !new.is_empty())?;
            let heard = Heard { task: speech.task.clone(), attempt: speech.attempt, from: *from, text: new.to_owned() };
            *from = text.len();
            Some(heard)
        });
        if heard.is_none() {
            // Nothing of these will follow.
            self.known.retain(|(speech, _)| !speech.ended.load(Ordering::Acquire) || Arc::strong_count(speech) > 1);
        }
        heard
    }
}
