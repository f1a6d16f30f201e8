//! Following journals as they grow.

use std::collections::VecDeque;

use quorate_core::{Entry, Event, RunId};
use quorate_journal::Record;
use tokio::sync::{broadcast, watch};

use crate::engine::Live;
use crate::{Engine, Error};

/// Records that are read at a time.
const PAGE: usize = 256;

/// The entries of all runs, in the order in which they became durable, from any position on.
#[derive(Debug)]
pub struct Follow {
    engine: Engine,
    position: u64,
    page: VecDeque<Record>,
    committed: watch::Receiver<u64>,
}

/// The entries of one run from any entry on, until its last.
#[derive(Debug)]
pub struct FollowRun {
    engine: Engine,
    run: RunId,
    seq: u64,
    page: VecDeque<Entry>,
    live: broadcast::Receiver<Live>,
    read_journal: bool,
    over: bool,
}

impl Engine {
    /// Follows all runs after a position; 0 is the beginning of the journal.
    #[must_use]
    pub fn follow(&self, after: u64) -> Follow {
        Follow { engine: self.clone(), position: after, page: VecDeque::new(), committed: self.0.committed.subscribe() }
    }

    /// Follows one run after an entry; 0 is its beginning.
    #[must_use]
    pub fn follow_run(&self, run: RunId, after: u64) -> FollowRun {
        let live = self.0.live.subscribe();
        FollowRun { engine: self.clone(), run, seq: after, page: VecDeque::new(), live, read_journal: true, over: false }
    }
}

impl Follow {
    /// The next append, once there is one.
    ///
    /// # Errors
    /// [`Error`] where the journal cannot be read, or is closed.
    pub async fn next(&mut self) -> Result<Record, Error> {
        loop {
            if let Some(record) = self.page.pop_front() {
                self.position = record.position;
                return Ok(record);
            }
            self.committed.mark_unchanged();
            self.page = self.engine.0.journal.follow(self.position, PAGE).await?.into();
            if self.page.is_empty() {
                self.committed.changed().await.map_err(|_| Error::Stopping)?;
            }
        }
    }
}

impl FollowRun {
    /// The next entry, once there is one; `None` after the last entry of a run that has ended.
    ///
    /// # Errors
    /// [`Error`] where the journal cannot be read.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            while let Some(entry) = self.page.pop_front() {
                // What was read from the journal may come again from the live entries.
                if entry.seq > self.seq {
                    self.seq = entry.seq;
                    self.over = matches!(entry.event, Event::RunEnded { .. });
                    return Ok(Some(entry));
                }
            }
            if self.over {
                return Ok(None);
            }
            if self.read_journal {
                let loaded = self.engine.0.journal.load(vec![self.run]).await?;
                self.read_journal = false;
                self.page = loaded.into_iter().flat_map(|loaded| loaded.entries).collect();
                self.over = self.page.back().is_some_and(|last| matches!(last.event, Event::RunEnded { .. }) && last.seq <= self.seq);
                continue;
            }
            match self.live.recv().await {
                Ok(live) if live.run == self.run => self.page.extend(live.entries.iter().cloned()),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.read_journal = true,
                Err(broadcast::error::RecvError::Closed) => return Err(Error::Stopping),
            }
        }
    }
}
