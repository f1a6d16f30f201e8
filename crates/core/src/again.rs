//! Decisions taken again, from the facts that were on record before them.

use std::fmt;
use std::sync::Arc;

use crate::decide::Deciding;
use crate::decision::{Decision, Rule};
use crate::event::{Conclusion, Entry, Event};
use crate::plan::Plan;
use crate::run::{Corrupt, NONE, Run};
use crate::{RunId, Timestamp};

/// A run whose decision was taken again.
#[derive(Debug)]
pub struct Again {
    /// The run, as its journal tells it.
    pub run: Run,
    /// Where what follows from the facts is not what is on record: that.
    pub differs: Option<Differs>,
}

/// A decision that does not follow from the facts before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Differs {
    /// The entry.
    pub seq: u64,
    /// The decision that is on record there; nothing where a decision should be on record and is not.
    pub recorded: Option<Arc<Decision>>,
    /// The one that follows; nothing where none does.
    pub follows: Option<Arc<Decision>>,
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |decision: &Decision| format!("{}, because {}", decision.action, decision.rule);
        match (&self.recorded, &self.follows) {
            (Some(recorded), Some(follows)) => {
                write!(f, "the decision is {}; from what is on record follows {}", told(recorded), told(follows))
            }
            (Some(recorded), None) => write!(f, "the decision is {}; from what is on record none follows", told(recorded)),
            (None, Some(follows)) => write!(f, "no decision is on record; what follows is {}", told(follows)),
            (None, None) => f.write_str("nothing was decided"),
        }
    }
}

impl Run {
    /// Loads a run and takes its decision again, wherever the facts on record until then come to one.
    ///
    /// # Errors
    /// [`Corrupt`] at the first entry that cannot have happened.
    pub fn again(id: RunId, plan: &Arc<Plan>, entries: &[Entry]) -> Result<Again, Corrupt> {
        let mut run = Run::new(id, plan.clone());
        let mut differs = None;
        let mut produced = Vec::with_capacity(3);
        let mut at = 0;
        while let Some(entry) = entries.get(at) {
            let recorded = if let Event::Decided(recorded) = &entry.event { Some(recorded) } else { None };
            if recorded.is_some() {
                produced.clear();
                if recorded.is_some_and(|recorded| recorded.rule == Rule::OutOfTime) && run.due(entry.at) == Some(NONE) {
                    Deciding { run: &mut run, at: entry.at, entries: &mut produced, broken: None, at_last: false }.out_of_time();
                } else {
                    next_decision(&mut run, entry.at, &mut produced);
                }
                if !produced.is_empty() && entries[at..].starts_with(&produced) {
                    // What follows is what is on record: it has been folded already.
                    at += produced.len();
                    continue;
                }
                run = Run::midway(id, plan.clone(), &entries[..at])?;
            }
            if recorded.is_some() || run.is_due(entry) {
                produced.clear();
                next_decision(&mut run.clone(), entry.at, &mut produced);
                let follows =
                    produced.drain(..).find_map(|entry| if let Event::Decided(decision) = entry.event { Some(decision) } else { None });
                let agree = recorded.zip(follows.as_ref()).is_some_and(|(recorded, follows)| recorded.agrees_with(follows));
                if !agree && (recorded.is_some() || follows.is_some()) {
                    differs.get_or_insert(Differs { seq: entry.seq, recorded: recorded.cloned(), follows });
                }
            }
            run.apply(entry)?;
            at += 1;
        }
        Ok(Again { run, differs })
    }

    /// Whether a decision may have to be on record before this entry.
    fn is_due(&mut self, entry: &Entry) -> bool {
        if self.decision.is_some() || self.conclusion.is_some() {
            return false;
        }
        match &entry.event {
            // What is on record before checkpoints are looked at, or in one go with them.
            Event::RaceWon { .. } | Event::Grew { .. } | Event::GrowthRefused { .. } | Event::BudgetLow { .. } => false,
            Event::Concluded(conclusion) => matches!(**conclusion, Conclusion::Finished | Conclusion::Failed(_)),
            _ => !self.plan.decide_last && self.something_holds(),
        }
    }
}

/// What the facts come to by now: entries until the decision, or until something else follows first.
pub(crate) fn next_decision(run: &mut Run, at: Timestamp, entries: &mut Vec<Entry>) {
    let mut deciding = Deciding { run, at, entries, broken: None, at_last: false };
    while deciding.entries.is_empty() && deciding.broken.is_none() && !deciding.run.has_ended() && deciding.step() {}
}
