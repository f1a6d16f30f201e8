//! What a journal says about its agents and runs, in numbers: how often each was called, how that went, how long it took
//! and what it cost. A tally is a fold over entries that can be put down and taken up again where it was left, so that asking
//! again costs only what has happened since.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use quorate_core::{AgentRef, Digest, Entry, Event, RunId, RunStatus, Timestamp, Usage};
use serde::{Deserialize, Serialize};

use crate::{Journal, ReadError, SqliteReader};

/// Appends that are read at a time.
const AT_ONCE: usize = 1_024;
/// Parts into which a power of two is cut: times are known to one part in 64.
const PARTS: u64 = 64;

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The last append that is counted.
    pub position: u64,
    /// The agents, by name, then by version.
    pub agents: BTreeMap<Arc<str>, BTreeMap<Arc<str>, AgentTally>>,
    /// The runs.
    pub runs: RunsTally,
    /// Runs that have not ended, with their attempts under way.
    open: BTreeMap<RunId, Open>,
}

/// One agent in one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentTally {
    /// Calls that were made, attempts of the same task each by itself.
    pub calls: u64,
    /// Those that returned what they should.
    pub succeeded: u64,
    /// Those that failed, by the kind of failure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
    /// Those whose outcome nobody waited for any more: others were faster, a decision was taken, the engine stopped.
    pub cut_off: u64,
    /// Those under way.
    pub under_way: u64,
    /// How long those took that came to an end of their own.
    pub times: Times,
    /// What they used, as far as the agent says so.
    pub usage: Usage,
    /// When the last one began.
    pub last: Timestamp,
}

/// All runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunsTally {
    /// How many were begun.
    pub started: u64,
    /// How many ended how.
    pub ended: BTreeMap<String, u64>,
    /// How long those took that have ended.
    pub times: Times,
    /// How many followed which plan.
    pub plans: BTreeMap<Digest, u64>,
}

/// How long things took: in parts of which none is wider than a 64th of what is in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// All of them together, in microseconds.
    pub total: u64,
    parts: BTreeMap<u64, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Open {
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Attempt {
    task: Arc<str>,
    agent: Arc<str>,
    version: Arc<str>,
    since: Timestamp,
}

impl Times {
    fn add(&mut self, micros: u64) {
        self.count += 1;
        self.total = self.total.saturating_add(micros);
        *self.parts.entry(part_of(micros)).or_default() += 1;
    }

    /// The time within which so many of a hundred are, in microseconds.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.parts.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(part, _)| middle_of(*part))
    }

    /// The average, in microseconds.
    #[must_use]
    pub fn average(&self) -> Option<u64> {
        self.total.checked_div(self.count)
    }
}

/// Small times are exact; larger ones share a part with those that begin with the same six bits.
fn part_of(micros: u64) -> u64 {
    if micros < 2 * PARTS {
        return micros;
    }
    let power = u64::from(63 - micros.leading_zeros());
    let shift = power - 6;
    (shift << 32) | (micros >> shift)
}

fn middle_of(part: u64) -> u64 {
    // A file that was put down may say anything.
    let (shift, first) = ((part >> 32).min(57), part & 0x7f);
    if shift == 0 { part } else { (first << shift) + ((1 << shift) >> 1) }
}

fn between(since: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.micros().saturating_sub(since.micros())).unwrap_or_default()
}

impl AgentTally {
    /// Those that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// How many of those that came to an end of their own succeeded, from 0 to 1.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        let ended = self.succeeded + self.failures();
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
        (ended > 0).then(|| self.succeeded as f64 / ended as f64)
    }
}

impl Tally {
    /// Whether an entry of this name changes anything: the others need not be read for it.
    pub(crate) fn counts(line: &str) -> bool {
        /// Where the name of an event stands: behind the digest, the number and the time.
        const BEGINS: &str = "\"event\":{\"";
        let names = ["task_", "attempt_", "outcome_", "run_"];
        line.find(BEGINS).is_some_and(|at| names.iter().any(|name| line[at + BEGINS.len()..].starts_with(name)))
    }

    /// Counts an entry. Those of a run come in their order.
    pub fn take(&mut self, run: RunId, entry: &Entry) {
        match &entry.event {
            Event::RunStarted(start) => {
                self.runs.started += 1;
                *self.runs.plans.entry(start.plan).or_default() += 1;
                self.open.insert(run, Open { since: entry.at, attempts: Vec::new() });
            }
            Event::TaskStarted { task, agent, .. } => self.begin(run, task.id(), agent, entry.at),
            Event::TaskSucceeded { task, said, .. } => {
                let usage = said.as_ref().and_then(|said| said.usage.as_ref());
                if let Some((agent, took)) = self.end(run, task.id(), entry.at) {
                    agent.succeeded += 1;
                    agent.times.add(took);
                    agent.usage.add(usage.unwrap_or(&Usage::default()));
                }
            }
            Event::AttemptFailed { task, failure, .. } | Event::OutcomeUnknown { task, failure, .. } => {
                if let Some((agent, took)) = self.end(run, task.id(), entry.at) {
                    *agent.failed.entry(failure.class.to_string()).or_default() += 1;
                    agent.times.add(took);
                    agent.usage.add(failure.usage.as_deref().unwrap_or(&Usage::default()));
                }
            }
            Event::AttemptInterrupted { task, .. } | Event::TaskFailed { task, .. } | Event::TaskSkipped { task, .. } => {
                if let Some((agent, _)) = self.end(run, task.id(), entry.at) {
                    agent.cut_off += 1;
                }
            }
            Event::RunEnded { status, .. } => self.run_ended(run, *status, entry.at),
            _ => {}
        }
    }

    fn begin(&mut self, run: RunId, task: &str, agent: &AgentRef, at: Timestamp) {
        // One that lost a race has no entry of its own that says so; its next attempt does.
        if let Some((before, _)) = self.end(run, task, at) {
            before.cut_off += 1;
        }
        let tally = self.agent(&agent.id, &agent.version);
        tally.calls += 1;
        tally.under_way += 1;
        tally.last = tally.last.max(at);
        let attempt = Attempt { task: task.into(), agent: agent.id.clone(), version: agent.version.clone(), since: at };
        self.open.entry(run).or_default().attempts.push(attempt);
    }

    fn agent(&mut self, id: &Arc<str>, version: &Arc<str>) -> &mut AgentTally {
        self.agents.entry(id.clone()).or_default().entry(version.clone()).or_default()
    }

    /// The attempt of a task that was under way, off the list.
    fn end(&mut self, run: RunId, task: &str, at: Timestamp) -> Option<(&mut AgentTally, u64)> {
        let attempts = &mut self.open.get_mut(&run)?.attempts;
        let position = attempts.iter().position(|attempt| *attempt.task == *task)?;
        let attempt = attempts.swap_remove(position);
        let tally = self.agent(&attempt.agent, &attempt.version);
        tally.under_way = tally.under_way.saturating_sub(1);
        Some((tally, between(attempt.since, at)))
    }

    fn run_ended(&mut self, run: RunId, status: RunStatus, at: Timestamp) {
        *self.runs.ended.entry(status.to_string()).or_default() += 1;
        let Some(open) = self.open.remove(&run) else { return };
        self.runs.times.add(between(open.since, at));
        for attempt in open.attempts {
            let tally = self.agent(&attempt.agent, &attempt.version);
            tally.under_way = tally.under_way.saturating_sub(1);
            tally.cut_off += 1;
        }
    }

    /// Runs that have not ended.
    #[must_use]
    pub fn open_runs(&self) -> usize {
        self.open.len()
    }

    /// Counts what a journal has taken in since.
    ///
    /// # Errors
    /// [`ReadError`] where it cannot be read. What was counted before that is counted.
    pub async fn catch_up(&mut self, journal: &dyn Journal) -> Result<(), ReadError> {
        loop {
            let records = journal.follow(self.position, AT_ONCE).await?;
            if records.is_empty() {
                return Ok(());
            }
            for record in records {
                record.entries.iter().for_each(|entry| self.take(record.run, entry));
                self.position = record.position;
            }
        }
    }
}

/// A tally that was put down, and which journal it is of.
#[derive(Serialize, Deserialize)]
struct PutDown {
    format: u32,
    /// The digest of the last append that is counted.
    mark: Digest,
    tally: Tally,
}

/// Grows when a tally counts otherwise.
const FORMAT: u32 = 1;
/// The file beside a journal in which its tally is put down. It may be deleted at any time.
const FILE: &str = "tally.json";
/// So many appends more are worth putting down.
const WORTH_IT: u64 = 1_024;

impl SqliteReader {
    /// What this journal says about its agents and runs. The tally is put down in its folder, and taken up again the next time.
    ///
    /// # Errors
    /// [`ReadError`] where the journal cannot be read.
    pub fn tallied(&self, folder: &Path) -> Result<Tally, ReadError> {
        let file = folder.join(FILE);
        let mut tally = self.taken_up(&file)?.unwrap_or_default();
        let before = tally.position;
        self.tally(&mut tally)?;
        if tally.position >= before + WORTH_IT
            && let Some(mark) = self.mark(tally.position)?
        {
            // Who may not write here counts again the next time.
            let _ = put_down(&file, &PutDown { format: FORMAT, mark, tally: tally.clone() });
        }
        Ok(tally)
    }

    /// The tally that was put down, where it is one of this very journal.
    fn taken_up(&self, file: &Path) -> Result<Option<Tally>, ReadError> {
        let Ok(text) = std::fs::read_to_string(file) else { return Ok(None) };
        let Ok(PutDown { format: FORMAT, mark, tally }) = serde_json::from_str(&text) else { return Ok(None) };
        Ok((self.mark(tally.position)? == Some(mark)).then_some(tally))
    }
}

fn put_down(file: &Path, tally: &PutDown) -> std::io::Result<()> {
    let beside = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&beside, serde_json::to_vec(tally)?)?;
    // Whoever reads meanwhile reads the old one or the new one, and never half of one.
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_known_to_one_part_in_64() {
        for micros in (0..2_000).chain([12_345, 999_999, 1_000_000, 86_400_000_000, u64::MAX / 2]) {
            let found = middle_of(part_of(micros));
            assert!(found.abs_diff(micros) <= micros / 64, "{micros} is told as {found}");
        }
        let mut times = Times::default();
        (1..=1_000).for_each(|millis| times.add(millis * 1_000));
        let percentiles = [50, 95, 99, 100].map(|percent| times.percentile(percent).unwrap_or_default() / 1_000);
        let expected = [500_u64, 950, 990, 1_000];
        assert!(percentiles.iter().zip(expected).all(|(found, wanted)| found.abs_diff(wanted) <= wanted / 64), "{percentiles:?}");
        assert_eq!(Times::default().percentile(50), None);
    }
}
