//! Entries as they are written: one line of JSON each, carrying the digest of the line before.

use quorate_core::{Digest, Entry, Event, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::verify::{Damage, Flaw};
use crate::{Head, Loaded};

/// An entry as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line<E> {
    /// The digest of the line before, zeros for the first.
    pub prev: Digest,
    /// The place of the entry in its run.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: E,
}

/// Writes entries as lines after `head`, and gives the new head.
///
/// # Panics
/// Never: an entry is plain data.
#[must_use]
pub fn write_lines(head: Head, entries: &[Entry]) -> (String, Head) {
    let mut text = Vec::with_capacity(entries.len() * 256);
    let mut head = head;
    for entry in entries {
        if !text.is_empty() {
            text.push(b'\n');
        }
        let start = text.len();
        let line = Line { prev: head.digest, seq: entry.seq, at: entry.at, event: &entry.event };
        serde_json::to_writer(&mut text, &line).expect("an entry is plain data, and a Vec takes any bytes");
        debug_assert!(!text[start..].contains(&b'\n'), "an entry is one line");
        head = Head { seq: entry.seq, digest: Digest::of(&text[start..]) };
    }
    (String::from_utf8(text).expect("JSON is text"), head)
}

/// Reads one line.
///
/// # Errors
/// What is wrong with it.
pub fn read_line(text: &str) -> Result<Line<Event>, serde_json::Error> {
    serde_json::from_str(text)
}

/// Reads the lines of one append onto a run, checking the chain.
pub(crate) fn read(run: RunId, body: &[u8], onto: &mut Loaded) -> Result<(), Damage> {
    for line in body.split(|byte| *byte == b'\n') {
        let seq = onto.head.seq + 1;
        let damage = |flaw| Damage { run: Some(run), seq: Some(seq), flaw };
        let text = std::str::from_utf8(line).map_err(|wrong| damage(Flaw::Unreadable(wrong.to_string())))?;
        let read = read_line(text).map_err(|wrong| damage(Flaw::Unreadable(wrong.to_string())))?;
        if read.seq != seq {
            return Err(damage(Flaw::Missing { next: read.seq }));
        }
        if read.prev != onto.head.digest {
            // The line says what came before; if that does not match, it is the entry before that was changed.
            let changed = Damage { run: Some(run), seq: Some(onto.head.seq.max(1)), flaw: Flaw::Changed };
            return Err(changed);
        }
        onto.entries.push(Entry { seq, at: read.at, event: read.event });
        onto.head = Head { seq, digest: Digest::of(line) };
    }
    Ok(())
}
