//! Watching a run until it has ended, or waits for somebody.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate::{
    Engine, Entry, Error, Event, FolderLock, FollowRun, Head, Heard, Listening, Order, Plan, Run, RunHandle, RunId, RunStatus, TaskStatus,
    TaskView, Timestamp, Work,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::{Reader, load};
use super::exit::Problem;
use super::screen::{Screen, Style, lasting, one_line};
use super::{events, tree};

/// How long somebody at a terminal may press Ctrl-C a second time.
const SECOND_THOUGHTS: Duration = Duration::from_millis(1_500);
/// How often a terminal shows that something is under way.
const FRAME: Duration = Duration::from_millis(100);

/// After so many looks at which nothing had happened, whoever drives a run may have gone.
const QUIET: usize = 10;

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
    /// This process is to end.
    Ended,
    /// It was to be watched for so long only.
    TimedOut,
}

/// How a run is watched, and for how long at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch<'a> {
    pub(crate) view: View,
    pub(crate) at_most: Option<Duration>,
    /// What happened up to this entry is not told again.
    pub(crate) known: u64,
    /// Who cancels it by pressing Ctrl-C twice, where anybody may.
    pub(crate) by: Option<&'a str>,
}

/// Watches a run until it has ended, or nothing but people can bring it on, or somebody has seen enough.
pub(crate) async fn watch(engine: &Engine, id: RunId, plan: Arc<Plan>, watch: Watch<'_>, screen: &Screen) -> Result<Watched, Problem> {
    listen(engine, engine.follow_run(id, 0), id, plan, watch, screen).await
}

/// What came of watching a run that another process drives.
pub(crate) enum Afar {
    Watched(Box<Watched>),
    /// That process has gone. So many entries were told.
    Alone {
        seen: u64,
    },
}

/// Watches a run that another process drives: its journal says how far it has come.
pub(crate) async fn watch_from_afar(
    reader: &Reader,
    data: &Path,
    id: RunId,
    plan: Arc<Plan>,
    watch: Watch<'_>,
    screen: &Screen,
) -> Result<Afar, Problem> {
    let mut watching = Watching {
        id,
        plan,
        known: watch.known,
        has_children: false,
        run: None,
        entries: Vec::new(),
        view: watch.view,
        screen,
        tree: tree::Drawn::default(),
    };
    let mut looks = tokio::time::interval(FRAME);
    let (mut seen, mut head, mut quiet) = (None, Head::START, 0);
    let enough = enough(watch.at_most);
    tokio::pin!(enough);
    let left = loop {
        tokio::select! {
            // Nobody tells one process what another one has written.
            _ = looks.tick() => {
                let version = reader.version()?;
                if seen.replace(version) != Some(version) {
                    quiet = 0;
                    let loaded = reader.load_after(id, head)?;
                    head = loaded.head;
                    for entry in loaded.entries {
                        watching.take(entry)?;
                    }
                    if watching.run.as_ref().is_none_or(|run| rests_afar(reader, run)) {
                        break None;
                    }
                }
                quiet += 1;
                if quiet % QUIET == 0 && FolderLock::take(data).is_ok() {
                    watching.finish();
                    return Ok(Afar::Alone { seen: head.seq.max(watch.known) });
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
    Ok(Afar::Watched(Box::new(Watched { run: run.ok_or(Error::NoRun(id))?, entries, left })))
}

/// Somebody presses Ctrl-C, or ends the process politely, or its terminal is gone.
pub(crate) async fn told_to_stop() -> SignalKind {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [interrupt, terminate, hang_up] = kinds.map(|kind| comes(signal(kind)));
    tokio::select! {
        () = interrupt => kinds[0],
        () = terminate => kinds[1],
        () = hang_up => kinds[2],
    }
}

async fn comes(signal: std::io::Result<Signal>) {
    match signal {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Somebody who has pressed Ctrl-C presses it again: what was to be left is to be cancelled.
async fn pressed_again(screen: &Screen) -> bool {
    screen.note("Ctrl-C again cancels the run; otherwise it is left as it is");
    tokio::time::timeout(SECOND_THOUGHTS, told_to_stop()).await.is_ok_and(|kind| kind == SignalKind::interrupt())
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
        kind = told_to_stop() => if kind == SignalKind::interrupt() { Left::Interrupted } else { Left::Ended },
        () = timeout => Left::TimedOut,
    }
}

/// Starts a run, and watches it.
pub(crate) async fn start(engine: &Engine, order: Order, watch: Watch<'_>, screen: &Screen) -> Result<Watched, Problem> {
    let plan = order.plan.clone();
    let (running, following) = engine.start_followed(order)?;
    let id = running.id();
    tokio::select! {
        biased;
        watched = listen(engine, following, id, plan, watch, screen) => watched,
        // One that the engine cannot go on with says so here, and nowhere else.
        wrong = lost(running) => Err(wrong.into()),
    }
}

/// Why an engine gives a run up.
async fn lost(running: RunHandle) -> Error {
    match running.ended().await {
        Err(wrong) => wrong,
        Ok(_) => std::future::pending().await,
    }
}

async fn listen(
    engine: &Engine,
    mut following: FollowRun,
    id: RunId,
    plan: Arc<Plan>,
    Watch { view, at_most, known, by }: Watch<'_>,
    screen: &Screen,
) -> Result<Watched, Problem> {
    let mut watching =
        Watching { id, plan, known, has_children: false, run: None, entries: Vec::new(), view, screen, tree: tree::Drawn::default() };
    let mut frames = tokio::time::interval(FRAME);
    let mut voices = matches!(view, View::Tree | View::Entries).then(|| engine.listen(id));
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
            heard = heard(&mut voices) => watching.hear(heard),
            // What a run of its own does is not told here, and has to be looked at.
            _ = frames.tick(), if view == View::Tree || watching.has_children => watching.draw(),
            why = &mut enough => {
                watching.finish();
                let may_cancel = by.filter(|_| why == Left::Interrupted && screen.err_is_terminal);
                match may_cancel {
                    Some(by) if pressed_again(screen).await => {
                        // It may have ended in the meantime, which is seen in a moment.
                        let _ = engine.cancel(id, by, "Ctrl-C was pressed twice", false).await;
                        enough.set(self::enough(None));
                    }
                    _ => {
                        left = Some(why);
                        break;
                    }
                }
            }
        }
    }
    if left.is_none() {
        watching.finish();
    }
    let Watching { run, entries, .. } = watching;
    let run = run.ok_or(Error::NoRun(id))?;
    Ok(Watched { run, entries, left })
}

/// What agents say meanwhile. Once they are silent for good nothing more comes of it.
async fn heard(voices: &mut Option<Listening>) -> Heard {
    if let Some(listening) = voices
        && let Some(heard) = listening.next().await
    {
        return heard;
    }
    *voices = None;
    std::future::pending().await
}

struct Watching<'a> {
    id: RunId,
    plan: Arc<Plan>,
    known: u64,
    /// Whether it has started runs of its own.
    has_children: bool,
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
        self.has_children |= matches!(entry.event, Event::ChildStarted { .. });
        match self.view {
            View::Lines | View::Entries if entry.seq <= self.known => {}
            View::Lines => self.line(&entry),
            View::Entries => self.screen.out(&events::json(self.id, &entry)),
            View::Tree | View::Nothing => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    fn hear(&mut self, heard: Heard) {
        match self.view {
            View::Tree => self.tree.hear(heard),
            View::Entries => self.screen.out(&events::said(self.id, &heard)),
            View::Lines | View::Nothing => {}
        }
    }

    /// Whether nothing more happens by itself.
    async fn is_settled(&self, engine: &Engine) -> bool {
        let Some(run) = &self.run else { return false };
        if run.has_ended() {
            return true;
        }
        // Looking at every task at every entry would take long in a long plan.
        if run.status() != RunStatus::Waiting && !self.has_children {
            return false;
        }
        let rests = match stand(run) {
            Stand::Ended | Stand::AtRest => true,
            Stand::Children { timed: false, .. } => at_rest(engine, self.id, Patience::ForTime).await,
            Stand::Children { .. } | Stand::Timed | Stand::Busy => false,
        };
        if !rests {
            return false;
        }
        // It may have stood so in the past only. One that is over says so by its last entry.
        engine.look(self.id, Run::seq).await.is_ok_and(|seq| seq == run.seq())
    }

    fn draw(&mut self) {
        if let Some(run) = self.run.as_ref().filter(|_| self.view == View::Tree) {
            self.tree.draw(run, self.screen, now());
        }
    }

    /// What stands on the terminal stays there, and something else may be said below it.
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
            self.screen.note(&format!("{:>9}  run {} of {} started", "0ms", self.id.short(), self.plan.name()));
        }
    }
}

/// What a run waits for.
enum Stand {
    /// For nothing any more.
    Ended,
    /// For something that is under way, or may begin.
    Busy,
    /// For runs of its own, and whether for a certain time as well.
    Children { runs: Vec<RunId>, timed: bool },
    /// For a certain time, and nothing else.
    Timed,
    /// For people, or for signals.
    AtRest,
}

fn stand(run: &Run) -> Stand {
    if run.has_ended() {
        return Stand::Ended;
    }
    let mut runs = Vec::new();
    let mut ready = false;
    for work in run.outstanding() {
        match work {
            Work::Await { child: Some(child), .. } => runs.push(child),
            Work::Await { .. } => return Stand::Busy,
            Work::Dispatch { .. } => ready = true,
            Work::Ask { .. } | Work::Listen { .. } | Work::WakeAt(_) => {}
        }
    }
    // A task may stand in line behind what waits for people, or for what they say to what it would cost.
    if ready && run.next_ready().is_some() && !run.asks_for_more() {
        return Stand::Busy;
    }
    let waits = |task: TaskView<'_>| matches!(task.status(), TaskStatus::Sleeping | TaskStatus::Retrying) && task.due().is_some();
    let timed = run.tasks().any(waits);
    match () {
        () if !runs.is_empty() => Stand::Children { runs, timed },
        () if run.tasks().any(|task| task.status() == TaskStatus::Asking) || !timed => Stand::AtRest,
        () => Stand::Timed,
    }
}

/// Whether a run goes on without anybody, as long as somebody drives it.
pub(crate) fn goes_on_by_itself(run: &Run) -> bool {
    matches!(stand(run), Stand::Busy | Stand::Timed | Stand::Children { timed: true, .. })
}

/// How long somebody waits for a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Until nothing but people can bring it on.
    ForTime,
    /// Until nothing of it is under way: what waits for a certain time goes on later as well as now.
    ForWork,
}

/// Whether a run need not be waited for any more. One that is not open is brought on by nothing.
async fn at_rest(engine: &Engine, id: RunId, patience: Patience) -> bool {
    match engine.look(id, stand).await {
        Err(_) | Ok(Stand::Ended | Stand::AtRest) => true,
        Ok(Stand::Busy) => false,
        Ok(Stand::Timed) => patience == Patience::ForWork,
        Ok(Stand::Children { timed: true, .. }) if patience == Patience::ForTime => false,
        Ok(Stand::Children { runs, .. }) => all_rest(engine, runs, patience).await,
    }
}

/// Whether these runs, for which another one waits, are at rest. One that has yet to begin is not, nor is one whose end is on
/// its way to the run that waits for it.
async fn all_rest(engine: &Engine, runs: Vec<RunId>, patience: Patience) -> bool {
    for run in runs {
        let rests = match engine.look(run, stand).await {
            Err(_) | Ok(Stand::Ended | Stand::Busy) => false,
            Ok(Stand::AtRest) => true,
            Ok(Stand::Timed) => patience == Patience::ForWork,
            Ok(Stand::Children { timed: true, .. }) if patience == Patience::ForTime => false,
            Ok(Stand::Children { runs, .. }) => Box::pin(all_rest(engine, runs, patience)).await,
        };
        if !rests {
            return false;
        }
    }
    true
}

/// The same for a run that another process drives, as far as the journal tells.
fn rests_afar(reader: &Reader, run: &Run) -> bool {
    match stand(run) {
        Stand::Ended | Stand::AtRest => true,
        Stand::Busy | Stand::Timed | Stand::Children { timed: true, .. } => false,
        Stand::Children { runs, .. } => {
            runs.into_iter().all(|child| load(reader, child).is_ok_and(|(child, _)| !child.has_ended() && rests_afar(reader, &child)))
        }
    }
}

/// Waits until nothing of these runs is under way, or somebody has seen enough.
pub(crate) async fn finish(engine: &Engine, others: &[RunId], mut say: impl FnMut()) {
    let mut said = false;
    let enough = enough(None);
    tokio::pin!(enough);
    for id in others {
        while !at_rest(engine, *id, Patience::ForWork).await {
            if !std::mem::replace(&mut said, true) {
                say();
            }
            tokio::select! {
                () = tokio::time::sleep(FRAME) => {}
                _ = &mut enough => return,
            }
        }
    }
}

/// Stops an engine. Who cannot wait for what it still has under way presses Ctrl-C again: it is begun again later.
pub(crate) async fn stop(engine: &Engine) -> Result<(), Problem> {
    tokio::select! {
        stopped = engine.stop() => Ok(stopped?),
        _ = told_to_stop() => Ok(()),
    }
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
