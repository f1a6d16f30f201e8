//! Watching a run until it has ended, or waits for somebody.

use std::sync::Arc;
use std::time::Duration;

use quorate::{Engine, Entry, Error, Event, FollowRun, Order, Plan, Run, RunId, RunStatus, TaskStatus, Timestamp};

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
    /// Whether somebody pressed Ctrl-C.
    pub(crate) interrupted: bool,
}

/// Watches a run until it has ended, or nothing but people can bring it on, or somebody presses Ctrl-C. What happened up to
/// the entry `known` is not told again.
pub(crate) async fn watch(
    engine: &Engine,
    id: RunId,
    plan: Arc<Plan>,
    known: u64,
    view: View,
    screen: &Screen,
) -> Result<Watched, Problem> {
    listen(engine, engine.follow_run(id, 0), id, plan, known, view, screen).await
}

/// Starts a run, and watches it.
pub(crate) async fn start(engine: &Engine, order: Order, view: View, screen: &Screen) -> Result<Watched, Problem> {
    let plan = order.plan.clone();
    let (running, following) = engine.start_followed(order)?;
    listen(engine, following, running.id(), plan, 0, view, screen).await
}

async fn listen(
    engine: &Engine,
    mut following: FollowRun,
    id: RunId,
    plan: Arc<Plan>,
    known: u64,
    view: View,
    screen: &Screen,
) -> Result<Watched, Problem> {
    let mut watching = Watching { id, plan, known, run: None, entries: Vec::new(), view, screen, tree: tree::Drawn::default() };
    let mut frames = tokio::time::interval(FRAME);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    let mut interrupted = false;
    while !watching.is_settled(engine).await {
        tokio::select! {
            entry = following.next() => match entry {
                Ok(Some(entry)) => watching.take(entry)?,
                Ok(None) | Err(Error::Stopping) => break,
                Err(wrong) => return Err(wrong.into()),
            },
            _ = frames.tick(), if view == View::Tree => watching.draw(),
            _ = &mut interrupt => {
                interrupted = true;
                break;
            }
        }
    }
    watching.finish();
    let Watching { run, entries, .. } = watching;
    let run = run.ok_or(Error::NoRun(id))?;
    Ok(Watched { run, entries, interrupted })
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
        if run.has_ended() {
            return true;
        }
        if run.status() != RunStatus::Waiting || !waits_for_people(run) {
            return false;
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

/// Whether a run that waits is not brought on by time: somebody has to do something.
fn waits_for_people(run: &Run) -> bool {
    let asks = run.tasks().any(|task| task.status() == TaskStatus::Asking);
    asks || run.wake_at().is_none()
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
