//! What would have had to be otherwise for another decision: found, and tried on the facts before it is told.

use std::sync::Arc;

use quorate_expr::{Decimal, Need, Segment, Value};
use serde::Serialize;
use serde_json::Value as Json;

use crate::again::next_decision;
use crate::bind::{Bound, Read};
use crate::decision::Rule;
use crate::event::{Entry, Event, Operand};
use crate::facts::Facts;
use crate::plan::{Plan, Then};
use crate::run::{NONE, Run};
use crate::voices::Voices;
use crate::{Payload, RunId};

/// Most ways to another decision that are told.
pub const MAX_FLIPS: usize = 16;

/// A way to another decision, all else being as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// The checkpoint that would have come out otherwise.
    pub checkpoint: Arc<str>,
    /// The decision there would have been; nothing where the run would have gone on.
    pub action: Option<String>,
    /// All that would have had to be otherwise.
    pub needs: Vec<Needed>,
}

/// A value that would have had to be otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// What was, as an operand is told.
    #[serde(flatten)]
    pub seen: Operand,
    /// What it would have had to be: `more than 0.9`.
    pub needs: String,
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, needs {}", self.seen, self.needs)
    }
}

impl Run {
    /// Ways to another decision than the one on record, those with the fewest changes first. Each was tried: with it, the facts
    /// come to what it says.
    #[must_use]
    pub fn nearest(id: RunId, plan: &Arc<Plan>, entries: &[Entry]) -> Vec<Flip> {
        let decided = entries.iter().enumerate().find_map(|(at, entry)| match &entry.event {
            Event::Decided(decision) => Some((at, decision)),
            _ => None,
        });
        let Some((at, decision)) = decided else { return Vec::new() };
        let Ok(run) = Run::midway(id, plan.clone(), &entries[..at]) else { return Vec::new() };
        let trying = Trying { run: &run, plan, before: &entries[..at], moment: entries[at].at, taken: &decision.action };
        let mut flips: Vec<Flip> = Vec::new();
        for (ix, checkpoint) in (0..).zip(&plan.checkpoints) {
            let voices = if let Then::Voices(voices) = &checkpoint.then { Some(voices) } else { None };
            let reached = run.is_reached(ix) || voices.is_some();
            if !reached || run.fired[ix as usize] {
                continue;
            }
            let facts = Facts { run: &run, bound: &checkpoint.condition, reader: None, score: None };
            let holds = run.truth(&checkpoint.condition, None).holds();
            let needs = checkpoint.condition.checked.flip(&facts, !holds);
            flips.extend(needs.and_then(|needs| trying.with(&checkpoint.id, &checkpoint.condition, &needs)));
            // What a score means matters where the voices decided.
            let score = decision.council.as_ref().and_then(|council| council.score);
            let decided = matches!(&decision.rule, Rule::Voices { checkpoint: id, .. } if *id == checkpoint.id);
            if let Some((voices, score)) = voices.zip(score).filter(|_| decided) {
                trying.score(&checkpoint.id, voices, score, &mut flips);
            }
        }
        flips.sort_by_key(|flip| (flip.needs.len(), flip.action.is_none()));
        let mut told: Vec<Flip> = Vec::new();
        for flip in flips {
            // What a shorter way says is not said again.
            if !told.iter().any(|known| known.needs == flip.needs) && told.len() < MAX_FLIPS {
                told.push(flip);
            }
        }
        told
    }
}

struct Trying<'a> {
    run: &'a Run,
    plan: &'a Arc<Plan>,
    before: &'a [Entry],
    moment: crate::Timestamp,
    taken: &'a str,
}

impl Trying<'_> {
    /// What the facts come to when these values are otherwise, where that is something else.
    fn with(&self, checkpoint: &Arc<str>, bound: &Bound, needs: &[Need]) -> Option<Flip> {
        let mut entries = self.before.to_vec();
        for need in needs {
            self.change(&mut entries, &bound.reads[need.slot], &need.to)?;
        }
        let mut run = Run::midway(self.run.id(), self.plan.clone(), &entries).ok()?;
        let mut follows = Vec::new();
        next_decision(&mut run, self.moment, &mut follows);
        let action = follows.into_iter().find_map(|entry| match entry.event {
            Event::Decided(decision) => Some(decision.action.clone()),
            _ => None,
        });
        let flip = Flip { checkpoint: checkpoint.clone(), action, needs: needs.iter().map(needed).collect() };
        (flip.action.as_deref() != Some(self.taken)).then_some(flip)
    }

    /// Which score would have meant something else.
    fn score(&self, checkpoint: &Arc<str>, voices: &Voices, score: Decimal, flips: &mut Vec<Flip>) {
        for row in &voices.rows {
            let Some(when) = &row.when else { continue };
            let facts = Facts { run: self.run, bound: when, reader: None, score: Some(score) };
            let holds = when.checked.truth(&facts).holds();
            let Some(needs) = when.checked.flip(&facts, !holds) else { continue };
            let of_score = |need: &&Need| matches!(when.reads[need.slot], Read::Score);
            if !needs.iter().any(|need| of_score(&need)) {
                flips.extend(self.with(checkpoint, when, &needs));
                continue;
            }
            let [Need { to: Value::Number(to), .. }] = &needs[..] else { continue };
            let action = self.run.meaning_of(voices, *to);
            if *action != *self.taken {
                let needs = needs.iter().map(needed).collect();
                flips.push(Flip { checkpoint: checkpoint.clone(), action: Some(action.to_string()), needs });
            }
        }
    }

    /// Lets one fact be otherwise.
    fn change(&self, entries: &mut [Entry], read: &Read, to: &Value<'_>) -> Option<()> {
        let to: Option<Json> = match to {
            Value::Unknown(_) => None,
            value => Some(Payload::from_value(value).ok()?.decode().ok()?),
        };
        match read {
            Read::Output(node, path) => {
                let ix = Some(self.run.latest[*node as usize]).filter(|ix| *ix != NONE)?;
                let id = self.run.reference(ix);
                let told = entries.iter_mut().rev().find_map(|entry| match &mut entry.event {
                    Event::TaskSucceeded { task, output, said, .. } if task.id() == id.id() => Some((output, said)),
                    _ => None,
                });
                let (output, said) = told?;
                if to.is_none() {
                    // A confidence that was said beside the output would still be there.
                    *said = None;
                }
                set(output, path, to)
            }
            Read::Input(path) | Read::Profile(path) => {
                let Event::RunStarted(start) = &mut entries.first_mut()?.event else { return None };
                match read {
                    Read::Input(_) => set(&mut start.input, path, to),
                    _ => set(start.profile.as_mut()?, path, to),
                }
            }
            Read::Status(..) | Read::Session(_) | Read::Item(_) | Read::Index | Read::Score => None,
        }
    }
}

fn needed(need: &Need) -> Needed {
    Needed { seen: Operand::seen(need.what.clone(), &need.now), needs: need.needs.clone() }
}

/// Puts a value at a place, or takes away what is there.
fn set(payload: &mut Payload, path: &[Segment], to: Option<Json>) -> Option<()> {
    let mut whole: Json = payload.decode().ok()?;
    let (last, way) = path.split_last()?;
    let mut at = &mut whole;
    for step in way {
        at = match step {
            Segment::Field(name) => at.as_object_mut()?.entry(&**name).or_insert_with(|| Json::Object(serde_json::Map::new())),
            Segment::Index(index) => at.get_mut(*index as usize)?,
        };
    }
    match (last, to) {
        (Segment::Field(name), Some(to)) => drop(at.as_object_mut()?.insert(name.to_string(), to)),
        (Segment::Field(name), None) => drop(at.as_object_mut()?.remove(&**name)),
        (Segment::Index(index), to) => *at.get_mut(*index as usize)? = to.unwrap_or(Json::Null),
    }
    *payload = Payload::of(&whole).ok()?;
    Some(())
}
