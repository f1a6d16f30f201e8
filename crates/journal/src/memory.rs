//! A journal that is gone when the process is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_core::{Digest, Entry, Event, RunId};

use crate::codec;
use crate::{
    Append, AppendError, Appended, Asked, Counters, Damage, Flaw, Head, Journal, Loaded, ReadError, Record, Report, RunInfo, Text, Wanted,
};

/// Keeps runs in memory, in the form in which others write them to disk.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    runs: BTreeMap<RunId, (Head, RunInfo)>,
    appends: Vec<(RunId, String)>,
    by_run: HashMap<RunId, Vec<usize>>,
    values: HashMap<Digest, Arc<str>>,
    counters: Counters,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> MemoryJournal {
        MemoryJournal::default()
    }

    fn kept_now(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Kept {
    fn load(&self, run: RunId) -> Result<Loaded, ReadError> {
        let mut loaded = Loaded { run, entries: Vec::new(), head: Head::START };
        for position in self.by_run.get(&run).into_iter().flatten() {
            codec::read(run, self.appends[*position].1.as_bytes(), &mut loaded).map_err(ReadError::Damaged)?;
        }
        self.fill(&mut loaded.entries);
        Ok(loaded)
    }

    fn fill(&self, entries: &mut [Entry]) {
        for entry in entries {
            entry.event.for_each_payload(&mut |payload| {
                let kept = |digest| quorate_core::Payload::kept_as(digest, self.values.get(&digest)?.to_string());
                if let Some(found) = payload.absent().and_then(kept) {
                    *payload = found;
                }
            });
        }
    }
}

impl Journal for MemoryJournal {
    fn append(&self, run: RunId, after: Head, entries: &[Entry], texts: &[Text]) -> Append {
        if entries.is_empty() {
            return Append { head: after, done: Appended::ready(Ok(())) };
        }
        let (body, head) = codec::write_lines(after, entries);
        let mut kept = self.kept_now();
        let actual = kept.runs.get(&run).map_or(Head::START, |(head, _)| *head);
        if actual != after {
            let refused = AppendError::Conflict { run, expected: after.seq, actual: actual.seq };
            return Append { head, done: Appended::ready(Err(refused)) };
        }
        for (digest, value) in crate::long_values(entries) {
            kept.values.entry(digest).or_insert_with(|| value.json().into());
        }
        kept.values.extend(texts.iter().cloned());
        for entry in entries {
            match &entry.event {
                Event::RunStarted(start) => {
                    kept.runs.insert(run, (head, RunInfo::of(run, entry.at, start)));
                }
                Event::RunEnded { status, .. } => {
                    if let Some((_, info)) = kept.runs.get_mut(&run) {
                        info.ended = Some((*status, entry.at));
                    }
                }
                _ => {}
            }
        }
        if let Some((known, _)) = kept.runs.get_mut(&run) {
            *known = head;
        }
        let position = kept.appends.len();
        kept.appends.push((run, body));
        kept.by_run.entry(run).or_default().push(position);
        kept.counters.entries += entries.len() as u64;
        kept.counters.appends += 1;
        kept.counters.commits += 1;
        Append { head, done: Appended::ready(Ok(())) }
    }

    fn kept(&self, digest: Digest) -> Asked<'_, Result<Option<Arc<str>>, ReadError>> {
        let found = self.kept_now().values.get(&digest).cloned();
        Box::pin(async move { Ok(found) })
    }

    fn load(&self, runs: Vec<RunId>) -> Asked<'_, Result<Vec<Loaded>, ReadError>> {
        let kept = self.kept_now();
        let loaded = runs.into_iter().map(|run| kept.load(run)).collect();
        Box::pin(async move { loaded })
    }

    fn open_runs(&self) -> Asked<'_, Result<Vec<RunId>, ReadError>> {
        let open = self.kept_now().runs.values().filter(|(_, info)| info.ended.is_none()).map(|(_, info)| info.run).collect();
        Box::pin(async move { Ok(open) })
    }

    fn list(&self, wanted: Wanted) -> Asked<'_, Result<Vec<RunInfo>, ReadError>> {
        let mut listed: Vec<RunInfo> =
            self.kept_now().runs.values().filter(|(_, info)| wanted.has(info)).map(|(_, info)| info.clone()).collect();
        listed.sort_unstable_by_key(|info| Reverse((info.started, info.run)));
        listed.truncate(wanted.limit);
        Box::pin(async move { Ok(listed) })
    }

    fn follow(&self, after: u64, limit: usize) -> Asked<'_, Result<Vec<Record>, ReadError>> {
        let kept = self.kept_now();
        let first = usize::try_from(after).unwrap_or(usize::MAX);
        let mut records = Vec::new();
        for (position, (run, body)) in (after + 1..).zip(kept.appends.iter().skip(first).take(limit)) {
            let read = |line| {
                let line = codec::read_line(line).expect("what was written here can be read");
                Entry { seq: line.seq, at: line.at, event: line.event }
            };
            let mut entries: Vec<Entry> = body.split('\n').map(read).collect();
            kept.fill(&mut entries);
            records.push(Record { position, run: *run, entries });
        }
        Box::pin(async move { Ok(records) })
    }

    fn verify(&self) -> Asked<'_, Result<Report, ReadError>> {
        let kept = self.kept_now();
        let mut report = Report {
            runs: kept.runs.len() as u64,
            entries: kept.counters.entries,
            values: kept.values.len() as u64,
            commits: kept.counters.commits,
            ..Report::default()
        };
        for (run, (head, _)) in &kept.runs {
            match kept.load(*run) {
                Ok(loaded) if loaded.head == *head => {}
                Ok(loaded) => report.damage.push(Damage { run: Some(*run), seq: Some(loaded.head.seq), flaw: Flaw::Changed }),
                Err(ReadError::Damaged(damage)) => report.damage.push(damage),
                Err(wrong) => report.damage.push(Damage { run: Some(*run), seq: None, flaw: Flaw::File(wrong.to_string()) }),
            }
        }
        Box::pin(async move { Ok(report) })
    }

    fn counters(&self) -> Counters {
        self.kept_now().counters
    }

    fn flush(&self) -> Asked<'_, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }
}
