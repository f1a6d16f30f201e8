//! Following journals as they grow.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use futures_channel::mpsc;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use quorate_core::{Entry, Event, RunId};
use quorate_journal::{Loaded, ReadError, Record};
use tokio::sync::{broadcast, watch};

use crate::engine::Live;
use crate::{Durability, Engine, Error, Order, RunHandle};

/// Records that are read at a time.
const PAGE: usize = 256;

/// The entries of all runs, in the order in which they became durable, from any position on.
#[derive(Debug)]
pub struct Follow {
    engine: Engine,
    position: u64,
    page: VecDeque<Record>,
    committed: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
}

/// The entries of one run from any entry on, until its last.
#[derive(Debug)]
pub struct FollowRun {
    engine: Engine,
    run: RunId,
    seq: u64,
    page: VecDeque<Entry>,
    source: Source,
    over: bool,
}

enum Source {
    /// What all followers hear; whoever is too slow reads the journal.
    Live {
        live: broadcast::Receiver<Live>,
        stopped: watch::Receiver<bool>,
        read_journal: bool,
        /// A read that is under way, and whether the run was open when it began. Whoever gives up waiting for the next entry
        /// and asks again does not begin it anew.
        reading: Option<(bool, Reading)>,
    },
    /// A channel of its own, for a run that is not kept.
    Tap(mpsc::UnboundedReceiver<Arc<[Entry]>>),
}

type Reading = BoxFuture<'static, Result<Vec<Loaded>, ReadError>>;

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Live { .. } => "Live",
            Source::Tap(_) => "Tap",
        })
    }
}

impl Engine {
    /// Follows all runs after a position; 0 is the beginning of the journal.
    #[must_use]
    pub fn follow(&self, after: u64) -> Follow {
        let (committed, stopped) = (self.0.committed.subscribe(), self.0.stopped.subscribe());
        Follow { engine: self.clone(), position: after, page: VecDeque::new(), committed, stopped }
    }

    /// Follows one run after an entry; 0 is its beginning.
    #[must_use]
    pub fn follow_run(&self, run: RunId, after: u64) -> FollowRun {
        FollowRun::new(self, run, after, self.live(true))
    }

    fn live(&self, read_journal: bool) -> Source {
        Source::Live { live: self.0.live.subscribe(), stopped: self.0.stopped.subscribe(), read_journal, reading: None }
    }
}

impl Engine {
    /// Begins a run and follows it from its first entry. It is the way to see all of one that is not kept: what nobody
    /// hears of such a run, nobody can read later.
    ///
    /// # Errors
    /// Those of [`Engine::start`].
    pub fn start_followed(&self, order: Order) -> Result<(RunHandle, FollowRun), Error> {
        let id = order.id.unwrap_or_else(|| self.new_id());
        if order.durability == Durability::Memory {
            let (tap, told) = mpsc::unbounded();
            let running = self.start_as(id, order, None, Some(tap))?;
            return Ok((running, FollowRun::new(self, id, 0, Source::Tap(told))));
        }
        let following = FollowRun::new(self, id, 0, self.live(false));
        Ok((self.start(order.id(id))?, following))
    }
}

impl Follow {
    /// The next append, once there is one.
    ///
    /// # Errors
    /// [`Error::Read`] where the journal cannot be read: ask again. [`Error::Stopping`] once the engine has stopped and
    /// there will be no more.
    pub async fn next(&mut self) -> Result<Record, Error> {
        loop {
            if let Some(record) = self.page.pop_front() {
                self.position = record.position;
                return Ok(record);
            }
            self.committed.mark_unchanged();
            let last = *self.stopped.borrow();
            self.page = self.engine.0.journal.follow(self.position, PAGE).await?.into();
            if !self.page.is_empty() {
                continue;
            }
            if last {
                return Err(Error::Stopping);
            }
            tokio::select! {
                _ = self.committed.changed() => {}
                _ = self.stopped.wait_for(|stopped| *stopped) => {}
            }
        }
    }
}

impl FollowRun {
    fn new(engine: &Engine, run: RunId, after: u64, source: Source) -> FollowRun {
        FollowRun { engine: engine.clone(), run, seq: after, page: VecDeque::new(), source, over: false }
    }

    /// The next entry, once there is one; `None` after the last entry of a run that has ended. Nothing is lost where the
    /// future is dropped before it is done.
    ///
    /// # Errors
    /// [`Error::Read`] where the journal cannot be read: ask again. [`Error::NoRun`] where there is no such run,
    /// [`Error::NotKept`] where entries are gone because the run is not kept, and [`Error::Stopping`] once the engine has
    /// stopped.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            while let Some(entry) = self.page.pop_front() {
                // What was read from the journal may come again from the live entries.
                if entry.seq > self.seq + 1 {
                    return Err(Error::NotKept { run: self.run, seq: self.seq + 1 });
                }
                if entry.seq > self.seq {
                    self.seq = entry.seq;
                    self.over = matches!(entry.event, Event::RunEnded { .. });
                    return Ok(Some(entry));
                }
            }
            if self.over {
                return Ok(None);
            }
            match &mut self.source {
                Source::Tap(told) => match told.next().await {
                    Some(entries) => self.page.extend(entries.iter().cloned()),
                    None => return Err(Error::Stopping),
                },
                Source::Live { read_journal: true, .. } => self.read_all().await?,
                Source::Live { live, stopped, read_journal, .. } => {
                    if *stopped.borrow() {
                        return Err(Error::Stopping);
                    }
                    let heard = tokio::select! {
                        heard = live.recv() => heard.ok(),
                        // What became durable before it stopped is in the journal.
                        _ = async { stopped.wait_for(|stopped| *stopped).await.is_ok() } => None,
                    };
                    match heard {
                        Some(live) if live.run == self.run => self.page.extend(live.entries.iter().cloned()),
                        Some(_) => {}
                        // It was too slow, or nobody sends any more: the journal has it all.
                        None => *read_journal = true,
                    }
                }
            }
        }
    }

    async fn read_all(&mut self) -> Result<(), Error> {
        let Source::Live { read_journal, reading, .. } = &mut self.source else { return Ok(()) };
        let (open, under_way) = reading.get_or_insert_with(|| {
            let (journal, run) = (self.engine.0.journal.clone(), self.run);
            (self.engine.is_open(run), Box::pin(async move { journal.load(vec![run]).await }))
        });
        let loaded = under_way.await;
        let open = *open;
        *reading = None;
        let entries: VecDeque<Entry> = loaded?.into_iter().flat_map(|loaded| loaded.entries).collect();
        match entries.back() {
            Some(last) => self.over = matches!(last.event, Event::RunEnded { .. }) && last.seq <= self.seq,
            // One that is open and not in the journal is not kept at all, or not yet.
            None if open => {}
            None => return Err(Error::NoRun(self.run)),
        }
        *read_journal = false;
        self.page = entries;
        Ok(())
    }
}
