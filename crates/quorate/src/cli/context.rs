//! What every command needs: the project, its data, and who acts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate::desk::Desk;
use quorate::host::{DATA_FOLDER, Host, open_journal};

use quorate::project::{Diagnostic, Look, PROJECT_FILE, Project, Source, standing};
#[cfg(feature = "recon")]
use quorate::recon::Books;
use quorate::{
    Agent, Digest, Engine, Entry, Input, Journal as _, Loaded, MAX_VALUE_BYTES, MemoryJournal, OpenError, Payload, Person, Plan, Refusal,
    Run, RunId, SqliteJournal, SqliteReader, Wanted,
};

use super::exit::{Exit, Problem};
use super::follow::{finish, now, stop};
use super::launch::launcher;
use super::modes::heed;
use super::screen::{Color, Screen};

/// How long a command waits for another one to be done with the data.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most runs among which a shortened id is looked up.
const MAX_LOOKED_UP: usize = 100_000;

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The project folder; else the current one, or the nearest above that holds quorate.yaml.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Where runs are kept; else $QUORATE_DATA, or `.quorate` in the project folder.
    #[arg(long, global = true, value_name = "DIR", env = "QUORATE_DATA", hide_env = true)]
    pub(crate) data: Option<PathBuf>,
    /// Who acts; else $QUORATE_AS, or the user of the system.
    #[arg(long = "as", global = true, value_name = "NAME", env = "QUORATE_AS", hide_env = true)]
    pub(crate) by: Option<String>,
    /// One JSON document on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Nothing but what was asked for.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// When colours are used: auto, always or never.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true, hide_default_value = true)]
    pub(crate) color: Color,
}

/// An engine, and the runs that were open in its data before.
pub(crate) struct Owned {
    pub(crate) engine: Engine,
    /// Whether its runs are there afterwards.
    pub(crate) kept: bool,
    pub(crate) open: Vec<RunId>,
}

/// The functions that agents may `use` of this program, besides those that are always there.
struct Functions {
    desk: Arc<Desk>,
    #[cfg(feature = "recon")]
    books: Arc<Books>,
}

impl Functions {
    fn names() -> Vec<&'static str> {
        let names = Desk::FUNCTIONS.into_iter();
        #[cfg(feature = "recon")]
        let names = names.chain(Books::FUNCTIONS);
        names.collect()
    }

    #[cfg_attr(not(feature = "recon"), expect(unused_variables, reason = "only reconciliations look at earlier days"))]
    fn of(host: &Host, data: Option<&Path>) -> Functions {
        Functions {
            desk: Desk::of(host),
            #[cfg(feature = "recon")]
            books: Books::of(host, data),
        }
    }

    fn agent(&self, name: &str, id: &str) -> Option<Agent> {
        let found = self.desk.agent(name, id);
        #[cfg(feature = "recon")]
        let found = found.or_else(|| self.books.agent(name, id));
        found
    }

    /// What these need of an engine is there before its runs go on.
    fn open(&self, engine: &Engine) {
        self.desk.open(engine);
        #[cfg(feature = "recon")]
        self.books.open(engine);
    }
}

fn know(engine: &Engine, host: &Host) {
    for workflow in host.project().workflows.values() {
        engine.know(&workflow.plan);
    }
}

/// Tells a run something while nobody drives it.
async fn give(journal: &SqliteJournal, id: RunId, input: Input) -> Result<(), Problem> {
    let loaded = journal.load(vec![id]).await?.pop();
    let Some(Loaded { entries, head, .. }) = loaded.filter(|loaded| !loaded.entries.is_empty()) else {
        return Err(quorate::Error::NoRun(id).into());
    };
    let Some(quorate::Event::RunStarted(start)) = entries.first().map(|entry| &entry.event) else {
        return Err(quorate::Error::NoRun(id).into());
    };
    let text = journal.kept(start.plan).await?;
    let plan = text.and_then(|text| Plan::read(&text).ok()).ok_or(quorate::Error::PlanGone { run: id, plan: start.plan })?;
    let mut run = Run::load(id, Arc::new(plan), &entries).map_err(quorate::Error::from)?;
    // What is due by now comes first: an answer may come too late.
    let mut following = run.advance(now(), Input::Woke).unwrap_or_default();
    let given = run.advance(now(), input);
    if let Ok(entries) = &given {
        following.extend(entries.iter().cloned());
    }
    journal.append(id, head, &following, &[]).done.await.map_err(quorate::Error::from)?;
    given.map(drop).map_err(|refusal| match refusal {
        Refusal::Ended(_) => Problem::new(Exit::Conflict, format!("it comes too late: run {} {}", id.short(), standing(&run))),
        other => quorate::Error::from(other).into(),
    })
}

/// The journal, and the plans that were read from it: many runs follow the same one.
pub(crate) struct Reader {
    journal: SqliteReader,
    plans: RefCell<HashMap<Digest, Arc<Plan>>>,
}

impl std::ops::Deref for Reader {
    type Target = SqliteReader;

    fn deref(&self) -> &SqliteReader {
        &self.journal
    }
}

/// A command's surroundings.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) screen: Screen,
}

impl Context {
    pub(crate) fn new(global: Global) -> Context {
        let screen = Screen::new(global.color, global.quiet);
        Context { global, screen }
    }

    /// The project folder.
    pub(crate) fn folder(&self) -> Result<PathBuf, Problem> {
        match &self.global.project {
            // A folder that is named is meant, and none above it.
            Some(folder) if !folder.join(PROJECT_FILE).is_file() => {
                let problem = Problem::new(Exit::NotFound, format!("{} is no project: it holds no {PROJECT_FILE}", folder.display()));
                Err(problem.hint("make one with `quorate init`"))
            }
            Some(folder) => Ok(folder.clone()),
            None => Ok(Host::find(Path::new("."))?),
        }
    }

    /// The project, whatever is wrong with it.
    pub(crate) fn read(&self, folder: &Path) -> Result<Host, Problem> {
        let mut host = Host { launcher: launcher(), ..Host::read(folder, &Functions::names())? };
        if !cfg!(feature = "otel") {
            host.checked.sends_no_spans();
        }
        Ok(host)
    }

    /// The project, which can run. What is wrong with it is shown.
    pub(crate) fn host(&self, folder: &Path) -> Result<Host, Problem> {
        let host = self.read(folder)?;
        if !host.checked.is_sound() {
            self.show_diagnostics(&host.checked.files, host.checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()));
            let errors = host.checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
            let problem = Problem::new(Exit::Invalid, format!("the project has {}", counted(errors, "mistake")));
            return Err(problem.hint("a project runs without mistakes only; `quorate check` shows warnings as well"));
        }
        Ok(host)
    }

    /// The project as far as it is sound: what is in the journal goes on by its own plan, whatever is being edited.
    pub(crate) fn sound_part(&self, folder: &Path) -> Result<Host, Problem> {
        let host = self.read(folder)?;
        if !host.checked.is_sound() {
            self.screen.note("warning: the project has mistakes; `quorate check` shows them");
        }
        Ok(host)
    }

    pub(crate) fn show_diagnostics<'a>(&self, files: &[Source], wanted: impl Iterator<Item = &'a Diagnostic>) {
        /// More than anybody reads at once.
        const SHOWN: usize = 25;
        let look = Look { color: self.screen.err_color, width: self.screen.width };
        let (shown, more): (Vec<_>, Vec<_>) = wanted.enumerate().partition(|(position, _)| *position < SHOWN);
        for (_, diagnostic) in shown {
            self.screen.picture(&diagnostic.render(files, &look));
            self.screen.err("");
        }
        if !more.is_empty() {
            self.screen.err(&format!("… and {} more; with --json all of them are told\n", more.len()));
        }
    }

    /// Where runs are kept.
    pub(crate) fn data(&self) -> Result<PathBuf, Problem> {
        match &self.global.data {
            Some(data) => Ok(data.clone()),
            None => Ok(self.folder()?.join(DATA_FOLDER)),
        }
    }

    /// The journal, to look at only: whoever owns it goes on meanwhile.
    pub(crate) fn reader(&self) -> Result<Reader, Problem> {
        let data = self.data()?;
        if !data.exists() {
            let problem = Problem::new(Exit::NotFound, format!("nothing has run here yet: there is no folder {}", data.display()));
            return Err(problem.hint("start something with `quorate run`"));
        }
        Ok(Reader { journal: SqliteReader::open(&data)?, plans: RefCell::default() })
    }

    /// Whoever acts.
    pub(crate) fn me(&self, project: &Project) -> Person {
        let user = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
        let name = self.global.by.clone().or_else(user).or_else(system_user).unwrap_or_else(|| "system".to_owned());
        person(&name, project)
    }

    /// An engine that owns the data of this project, and goes on with whatever was left open in it. `given` is what a run is
    /// told before anything goes on: whoever cancels a run does not want it to begin again first.
    pub(crate) async fn own(&self, host: &Host, given: Option<(RunId, Input)>) -> Result<Owned, Problem> {
        super::telemetry::begin(host)?;
        let data = self.data()?;
        let begun = Instant::now();
        let journal = loop {
            match open_journal(&data) {
                // Most commands are done in a moment.
                Err(OpenError::Owned { .. }) if begun.elapsed() < PATIENCE => tokio::time::sleep(PATIENCE / 40).await,
                other => break other?,
            }
        };
        if let Some((run, input)) = given {
            give(&journal, run, input).await?;
        }
        let open = journal.open_runs().await?;
        let functions = Functions::of(host, Some(&data));
        let registry = host.registry(|name, id| functions.agent(name, id));
        heed(&data, &registry);
        let engine = Engine::new(journal, registry, host.options());
        functions.open(&engine);
        for (run, wrong) in engine.go_on().await? {
            self.screen.err(&format!("warning: run {} cannot go on: {wrong}", run.short()));
        }
        know(&engine, host);
        Ok(Owned { engine, kept: true, open })
    }

    /// An engine that keeps nothing.
    pub(crate) fn fleeting(host: &Host) -> Result<Owned, Problem> {
        super::telemetry::begin(host)?;
        let functions = Functions::of(host, None);
        let registry = host.registry(|name, id| functions.agent(name, id));
        let engine = Engine::new(Arc::new(MemoryJournal::new()), registry, host.options());
        functions.open(&engine);
        know(&engine, host);
        Ok(Owned { engine, kept: false, open: Vec::new() })
    }

    /// Leaves an engine. What else was open and goes on by itself is brought to its end, or to where it waits for people:
    /// to cut it off would only begin it again.
    pub(crate) async fn leave(&self, owned: &Owned, done_with: Option<RunId>) -> Result<(), Problem> {
        let others: Vec<RunId> = owned.open.iter().copied().filter(|run| Some(*run) != done_with).collect();
        let busy = owned.engine.stats().open_runs;
        if !others.is_empty() && busy > 0 {
            finish(&owned.engine, &others, || self.screen.note("going on with what else was open here; Ctrl-C leaves it")).await;
        }
        stop(&owned.engine).await
    }

    /// The run that is meant by an id, the beginning or the end of one, or `last`.
    /// The run that is known by a key, or the newest of those that are numbered behind it.
    fn keyed(&self, reader: &Reader, key: &str) -> Option<RunId> {
        let host = self.folder().and_then(|folder| self.read(&folder)).ok()?;
        let project = host.project().name.clone().unwrap_or_default();
        let there = |key: &str| Some(RunId::keyed(&project, key)).filter(|run| load(reader, *run).is_ok());
        there(key).or_else(|| (1..).map_while(|number| there(&format!("{key}/{number}"))).last())
    }

    pub(crate) fn find_run(&self, reader: &Reader, wanted: &str) -> Result<RunId, Problem> {
        if let Ok(run) = wanted.parse::<RunId>() {
            return Ok(run);
        }
        if wanted == "last" {
            // One that another run started is not what anybody means.
            let last = reader.list(&Wanted { roots: true, ..Wanted::newest(1) })?;
            return last.first().map(|info| info.run).ok_or_else(|| Problem::new(Exit::NotFound, "nothing has run here yet"));
        }
        let known = reader.list(&Wanted::newest(MAX_LOOKED_UP))?;
        let given = wanted;
        let wanted = wanted.to_ascii_lowercase();
        let fits = |run: &RunId| {
            let id = run.to_string();
            id.starts_with(&wanted) || id.ends_with(&wanted)
        };
        let found: Vec<RunId> = known.iter().map(|info| info.run).filter(fits).collect();
        match found[..] {
            [run] if !wanted.is_empty() => Ok(run),
            [] => self
                .keyed(reader, given)
                .ok_or_else(|| Problem::new(Exit::NotFound, format!("there is no run `{given}`")).hint("`quorate runs list` shows them")),
            _ => {
                let some: Vec<String> = found.iter().take(5).map(ToString::to_string).collect();
                Err(Problem::new(Exit::Usage, format!("`{wanted}` may be any of {} runs", found.len())).hint(some.join("\n      ")))
            }
        }
    }
}

/// The name of the user whose process this is, where the system knows one.
fn system_user() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let named = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.get(2) == Some(&&*id));
    named.map(|fields| fields[0].to_owned())
}

/// Somebody, with the groups that the project knows them in.
pub(crate) fn person(name: &str, project: &Project) -> Person {
    let groups = project.groups.iter().filter(|(_, people)| people.iter().any(|person| person == name));
    Person { name: name.into(), groups: groups.map(|(group, _)| group.clone()).collect() }
}

/// A run as the journal has it, with its entries.
pub(crate) fn load(reader: &Reader, run: RunId) -> Result<(Run, Vec<Entry>), Problem> {
    let Loaded { entries, .. } = reader.load(run)?;
    let plan = plan_of(reader, run, &entries)?;
    let loaded = Run::load(run, plan, &entries).map_err(|wrong| Problem::new(Exit::Failed, wrong.to_string()))?;
    Ok((loaded, entries))
}

/// The plan that a run follows.
pub(crate) fn plan_of(reader: &Reader, run: RunId, entries: &[Entry]) -> Result<Arc<Plan>, Problem> {
    let Some(quorate::Event::RunStarted(start)) = entries.first().map(|entry| &entry.event) else {
        return Err(Problem::new(Exit::NotFound, format!("there is no run {run}")).hint("`quorate runs list` shows them"));
    };
    if let Some(plan) = reader.plans.borrow().get(&start.plan) {
        return Ok(plan.clone());
    }
    let lost = |why: String| Problem::new(Exit::Failed, format!("the plan of run {run} cannot be read: {why}"));
    let text = reader.kept(start.plan)?.ok_or_else(|| lost("it is not in the journal".to_owned()))?;
    let plan = Plan::read(&text).map_err(|problems| lost(problems.first().map(ToString::to_string).unwrap_or_default()))?;
    let plan = Arc::new(plan);
    reader.plans.borrow_mut().insert(start.plan, plan.clone());
    Ok(plan)
}

pub(crate) fn counted(count: usize, thing: &str) -> String {
    // A policy and an oddity end alike, and no thing here ends in a vowel and a y.
    match (count, thing.strip_suffix('y')) {
        (1, _) => format!("one {thing}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {thing}s"),
    }
}

/// The input of a run: a file, `-` for standard input, or JSON as it is.
pub(crate) fn input(given: Option<&str>) -> Result<Payload, Problem> {
    let Some(given) = given else { return Ok(Payload::null()) };
    let looks_like_json = given.trim_start().starts_with(['{', '[', '"']) || serde_json::from_str::<serde_json::Value>(given).is_ok();
    let (text, from) = if given == "-" {
        (read_at_most(std::io::stdin().lock(), "standard input")?, "standard input".to_owned())
    } else if looks_like_json {
        (given.to_owned(), "the input".to_owned())
    } else {
        let file = std::fs::File::open(given).map_err(|wrong| {
            let exit = if wrong.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Invalid };
            Problem::new(exit, format!("could not read the input file {given}: {wrong}")).hint("-i takes a file, `-`, or JSON")
        })?;
        (read_at_most(file, given)?, given.to_owned())
    };
    parse_input(&text, &from)
}

pub(crate) fn parse_input(text: &str, from: &str) -> Result<Payload, Problem> {
    // Some systems begin every text with a mark of its byte order.
    let text = text.trim_start_matches('\u{feff}');
    if let Err(wrong) = serde_json::from_str::<&serde_json::value::RawValue>(text) {
        // The place is that in a text of several lines; of a single one, its columns say enough.
        let (line, column) = (wrong.line(), wrong.column());
        let place = if text.trim_end().contains('\n') { format!("line {line}, column {column}") } else { format!("column {column}") };
        let what = wrong.to_string();
        let what = what.split(" at line ").next().unwrap_or(&what);
        return Err(Problem::new(Exit::Invalid, format!("{from} is not JSON: {what}, at {place}")));
    }
    Payload::parse(text.to_owned()).map_err(|wrong| Problem::new(Exit::Invalid, format!("{from} cannot be used: {wrong}")))
}

pub(crate) fn read_at_most(from: impl std::io::Read, name: &str) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_VALUE_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|wrong| Problem::new(Exit::Invalid, format!("could not read {name}: {wrong}")))?;
    if bytes.len() > MAX_VALUE_BYTES {
        return Err(Problem::new(Exit::Invalid, format!("{name} has more than the {MAX_VALUE_BYTES} bytes allowed")));
    }
    String::from_utf8(bytes).map_err(|_| Problem::new(Exit::Invalid, format!("{name} is not UTF-8 text")))
}
