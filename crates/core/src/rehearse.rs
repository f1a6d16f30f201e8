//! What another plan would have made of the same answers: a run in a time of its own, in which nobody is called.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::decide::{Input, Reply};
use crate::event::{AgentRef, Entry, Event, Failure, FailureClass, Start, TaskRef};
use crate::plan::Plan;
use crate::run::Run;
use crate::{RunId, Timestamp};

/// Most things that happen in one rehearsal.
const MAX_HAPPENINGS: usize = 1_000_000;

/// What an agent answered once, and how long that took.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Who.
    pub agent: Arc<AgentRef>,
    /// What.
    pub result: Result<Reply, Failure>,
    /// How long it took, in microseconds.
    pub micros: i64,
}

/// What agents answered, by task.
pub type Answers = BTreeMap<Arc<str>, Answered>;

/// A run that never was.
#[derive(Debug)]
pub struct Rehearsal {
    /// The run, as far as it came.
    pub run: Run,
    /// Its entries. Time begins when the run began whose answers these are.
    pub entries: Vec<Entry>,
    /// Tasks that would have asked agents of which no answer is known.
    pub unanswered: Vec<Arc<str>>,
}

/// What the agents of a run answered, task by task.
#[must_use]
pub fn answers(entries: &[Entry]) -> Answers {
    struct Begun<'a> {
        first: Timestamp,
        last: Timestamp,
        agent: &'a Arc<AgentRef>,
    }
    let mut begun: BTreeMap<&str, Begun<'_>> = BTreeMap::new();
    let mut answers = Answers::new();
    let mut ended = |task: &TaskRef, at: Timestamp, begun: Option<&Begun<'_>>, result: Result<Reply, Failure>| {
        if let Some(Begun { first, last, agent }) = begun {
            // What failed may be tried again there as well; what succeeded at last is one answer.
            let from = if result.is_ok() { first } else { last };
            let micros = at.micros() - from.micros();
            answers.insert(task.id().into(), Answered { agent: (*agent).clone(), result, micros });
        }
    };
    for entry in entries {
        match &entry.event {
            Event::TaskStarted { task, agent, .. } => {
                let first = begun.get(task.id()).map_or(entry.at, |begun| begun.first);
                begun.insert(task.id(), Begun { first, last: entry.at, agent });
            }
            Event::TaskSucceeded { task, output, said, .. } => {
                let reply = Reply { said: said.clone(), ..Reply::new(output.clone()) };
                ended(task, entry.at, begun.get(task.id()), Ok(reply));
            }
            Event::AttemptFailed { task, failure, .. } => ended(task, entry.at, begun.get(task.id()), Err((**failure).clone())),
            _ => {}
        }
    }
    answers
}

/// Runs a plan over answers that are known, each of which takes as long as it took. Limits of the plan hold; agents have as many
/// hands as are needed, and people do not answer.
#[must_use]
pub fn rehearse(plan: &Arc<Plan>, id: RunId, at: Timestamp, start: Start, answers: &Answers) -> Rehearsal {
    let (run, entries) = Run::start(plan, id, at, start);
    let mut rehearsal = Rehearsal { run, entries, unanswered: Vec::new() };
    let (mut now, mut coming, mut sent) = (at, BTreeMap::new(), 0_u64);
    for _ in 0..MAX_HAPPENINGS {
        rehearsal.dispatch(now, answers, &mut |until: Timestamp, ended| {
            sent += 1;
            coming.insert((until, sent), ended);
        });
        let next = coming.first_key_value().map(|((at, _), _)| *at);
        let wakes = rehearsal.run.wake_at();
        match (next, wakes) {
            (Some(at), wakes) if wakes.is_none_or(|wakes| at <= wakes) => {
                let Some((_, input)) = coming.pop_first() else { break };
                now = at;
                rehearsal.step(now, input);
            }
            // People who are asked do not answer, and what waits for them waits.
            (None, Some(_)) if rehearsal.run.conclusion().is_some() => break,
            (_, Some(wakes)) => {
                now = wakes;
                rehearsal.step(now, Input::Woke);
            }
            (None | Some(_), None) => break,
        }
        if rehearsal.run.has_ended() {
            break;
        }
    }
    rehearsal
}

impl Rehearsal {
    /// When nothing more led to the decision, or the main part had ended without one.
    #[must_use]
    pub fn concluded(&self) -> Option<Timestamp> {
        concluded(&self.entries)
    }

    fn dispatch(&mut self, now: Timestamp, answers: &Answers, send: &mut dyn FnMut(Timestamp, Input)) {
        let mut held = HashSet::new();
        while let Some(offer) = self.run.next_ready_except(&[], &held) {
            let task = offer.task;
            let known = answers.get(task.id());
            let input = match (self.run.request(&task), known) {
                (Err(failure), _) => Input::Unfit { task: task.clone(), failure },
                (Ok(_), None) => {
                    if !self.unanswered.iter().any(|known| **known == *task.id()) {
                        self.unanswered.push(task.id().into());
                    }
                    let failure = Failure::new(FailureClass::Unavailable, "nobody was asked then, so no answer is known");
                    Input::Nobody { task: task.clone(), failure, for_now: false }
                }
                (Ok(_), Some(known)) => {
                    Input::Dispatched { task: task.clone(), agent: known.agent.clone(), timeout: None, choice: None, wanted: None }
                }
            };
            let before = self.entries.len();
            self.step(now, input);
            let started = self.entries[before..].iter().find_map(|entry| match &entry.event {
                Event::TaskStarted { task: of, attempt, .. } if *of == task => Some(*attempt),
                _ => None,
            });
            match (started, known) {
                (Some(attempt), Some(known)) => {
                    let until = Timestamp::from_micros(now.micros() + known.micros.max(0));
                    send(until, Input::Ended { task, attempt, result: known.result.clone() });
                }
                _ => drop(held.insert(task.position())),
            }
        }
    }

    fn step(&mut self, now: Timestamp, input: Input) {
        // What is refused, as an answer that comes too late, changes nothing.
        if let Ok(entries) = self.run.advance(now, input) {
            self.entries.extend(entries);
        }
    }
}

/// When nothing more led to the decision of a run, or its main part had ended without one.
#[must_use]
pub fn concluded(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().find(|entry| matches!(entry.event, Event::Concluded(_))).map(|entry| entry.at)
}
