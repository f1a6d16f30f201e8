//! Watching a run until it has ended, or waits for somebody.

use std::sync::Arc;
use std::time::Duration;

use quorate::{Engine, Entry, Error, Event, FollowRun, Order, Plan, Run, RunId, RunStatus, SqliteReader, TaskStatus, Timestamp};

use super::context::short;
use super::exit::Problem;
use super::screen::{Screen, Style, lasting, one_line};
use super::{events, tree};

/// How often a terminal shows that something is under way.
const FRAME: Duration = Duration::from_millis(100);

/// How a run is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// A tree that is drawn again and again, on a terminal.
    Tree,
    /// A line for everything that happens.
    Lines,
    /// The entries, as lines of JSON on standard output.
    Entries,
    /// Nothing.
    Nothing,
}

/// A run as far as it was watched.
pub(crate) struct Watched {
    pub(crate) run: Run,
    pub(crate) entries: Vec<Entry>,
    /// Why it is not watched any more, though it goes on.
    pub(crate) left: Option<Left>,
}

/// Why a run is left that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// It was to be watched for so long only.
    TimedOut,
}

/// How a run is watched, and for how long at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) view: View,
    pub(crate) at_most: Option<Duration>,
    /// What happened up to this entry is not told again.
    pub(crate) known: u64,
}

/// Watches a run until it has ended, or nothing but people can bring it on, or somebody has seen enough.
pub(crate) async fn watch(engine: &Engine, id: RunId, plan: Arc<Plan>, watch: Watch, screen: &Screen) -> Result<Watched, Problem> {
    listen(engine, engine.follow_run(id, 0), id, plan, watch, screen).await
}

/// Watches a run that another process drives: its journal says how far it has come.
pub(crate) async fn watch_from_afar(
    reader: &SqliteReader,
    id: RunId,
    plan: Arc<Plan>,
    watch: Watch,
    screen: &Screen,
) -> Result<Watched, Problem> {
    let mut watching =
        Watching { id, plan, known: watch.known, run: None, entries: Vec::new(), view: watch.view, screen, tree: tree::Drawn::default() };
    let mut looks = tokio::time::interval(FRAME);
    let enough = enough(watch.at_most);
    tokio::pin!(enough);
    let left = loop {
        tokio::select! {
            // Nobody tells one process what another one has written.
            _ = looks.tick() => {
                for entry in reader.load(id)?.entries.into_iter().skip(watching.entries.len()) {
                    watching.take(entry)?;
                }
                if watching.run.as_ref().is_none_or(is_at_rest) {
                    break None;
                }
                if watch.view == View::Tree {
                    watching.draw();
                }
            }
            left = &mut enough => break Some(left),
        }
    };
    watching.finish();
    let Watching { run, entries, .. } = watching;
    Ok(Watched { run: run.ok_or(Error::NoRun(id))?, entries, left })
}

/// Somebody presses Ctrl-C, or the time is up.
async fn enough(at_most: Option<Duration>) -> Left {
    let timeout = async {
        match at_most {
            Some(at_most) => tokio::time::sleep(at_most).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Left::Interrupted,
        () = timeout => Left::TimedOut,
    }
}

/// Starts a run, and watches it.
pub(crate) async fn start(engine: &Engine, order: Order, watch: Watch, screen: &Screen) -> Result<Watched, Problem> {
    let plan = order.plan.clone();
    let (running, following) = engine.start_followed(order)?;
    listen(engine, following, running.id(), plan, watch, screen).await
}

async fn listen(
    engine: &Engine,
    mut following: FollowRun,
    id: RunId,
    plan: Arc<Plan>,
    Watch { view, at_most, known }: Watch,
    screen: &Screen,
) -> Result<Watched, Problem> {
    let mut watching = Watching { id, plan, known, run: None, entries: Vec::new(), view, screen, tree: tree::Drawn::default() };
    let mut frames = tokio::time::interval(FRAME);
    let enough = enough(at_most);
    tokio::pin!(enough);
    let mut left = None;
    while !watching.is_settled(engine).await {
        tokio::select! {
            entry = following.next() => match entry {
                Ok(Some(entry)) => watching.take(entry)?,
                Ok(None) | Err(Error::Stopping) => break,
                Err(wrong) => return Err(wrong.into()),
            },
            _ = frames.tick(), if view == View::Tree => watching.draw(),
            why = &mut enough => {
                left = Some(why);
                break;
            }
        }
    }
    watching.finish();
    let Watching { run, entries, .. } = watching;
    let run = run.ok_or(Error::NoRun(id))?;
    Ok(Watched { run, entries, left })
}

struct Watching<'a> {
    id: RunId,
    plan: Arc<Plan>,
    known: u64,
    run: Option<Run>,
    entries: Vec<Entry>,
    view: View,
    screen: &'a Screen,
    tree: tree::Drawn,
}

impl Watching<'_> {
    fn take(&mut self, entry: Entry) -> Result<(), Problem> {
        match &mut self.run {
            Some(run) => run.apply(&entry).map_err(Error::from)?,
            None => self.run = Some(Run::load(self.id, self.plan.clone(), [&entry]).map_err(Error::from)?),
        }
        match self.view {
            View::Lines | View::Entries if entry.seq <= self.known => {}
            View::Lines => self.line(&entry),
            View::Entries => self.screen.out(&events::json(self.id, &entry)),
            View::Tree | View::Nothing => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Whether nothing more happens by itself.
    async fn is_settled(&self, engine: &Engine) -> bool {
        let Some(run) = &self.run else { return false };
        if run.has_ended() || !is_at_rest(run) {
            return run.has_ended();
        }
        // It may have stood so in the past only. One that is over says so by its last entry.
        engine.look(self.id, Run::seq).await.is_ok_and(|seq| seq == run.seq())
    }

    fn draw(&mut self) {
        if let Some(run) = &self.run {
            self.tree.draw(run, self.screen, now());
        }
    }

    fn finish(&mut self) {
        if self.view == View::Tree {
            self.draw();
            self.tree.leave();
        }
    }

    fn line(&self, entry: &Entry) {
        let begun = self.entries.first().map_or(entry.at, |first| first.at);
        if let Some(text) = events::line(&entry.event) {
            let since = format!("{:>9}", lasting(quorate::project::millis_between(begun, entry.at)));
            let since = self.screen.paint(Style::Dim, &since, true);
            self.screen.note(&format!("{since}  {}", one_line(&text)));
        }
        if let Event::RunStarted(_) = &entry.event {
            self.screen.note(&format!("{:>9}  run {} of {} started", "0ms", short(self.id), self.plan.name()));
        }
    }
}

/// Whether a run has ended, or is not brought on by time: somebody has to do something.
fn is_at_rest(run: &Run) -> bool {
    let asks = || run.tasks().any(|task| task.status() == TaskStatus::Asking);
    run.has_ended() || (run.status() == RunStatus::Waiting && (asks() || run.wake_at().is_none()))
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
