//! What a reconciliation needs of the world: the files of its project, and what the journal says of earlier days.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use quorate_agents::Agent;
use quorate_core::{APPROVE, Answer, Role, Run, RunId, RunStatus, TaskStatus, TaskView};
use quorate_journal::{SqliteReader, Stands, Wanted};
use quorate_project::{AgentSpec, Does};
use quorate_recon::Date;
use quorate_recon::agents::{self, case_of};
use quorate_recon::settings::Books as Settings;
use quorate_recon::world::{Case, Fate, NoFile, Past, Since, World};
use quorate_runtime::{Engine, Error, WeakEngine};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::host::Host;

/// Runs among which a reconciliation is looked for.
const MAX_DAYS: usize = 10_000;
/// Runs that are looked at behind one that was found: a day may have been reconciled again after others.
const MAX_LOOKED_AT: usize = 400;
/// Cases that are looked at for patterns.
const MAX_CASES: usize = 1_000;
/// Largest file of settings.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;
/// The settings of a reconciliation, where its agent does not say.
const SETTINGS: &str = "books.yaml";
/// The workflow by which people open a break again that was closed by force.
const REOPEN: &str = "reopen";
/// How a run stands that others go on from.
const ENDED_WELL: Stands = Stands::Ended(RunStatus::Succeeded);
/// The task of policies by whose output the cause of a break is known.
const PATTERNS: &str = "PATTERN_INTELLIGENCE";

/// A project, as a reconciliation sees it.
#[derive(Debug)]
pub struct Books {
    folder: PathBuf,
    /// Where its runs are kept, if they are.
    data: Option<PathBuf>,
    project: String,
    policies: Vec<String>,
    engine: OnceLock<WeakEngine>,
    cases: Mutex<Option<(Date, Arc<Vec<Case>>)>>,
}

impl Books {
    /// What agents may `use` of it.
    pub const FUNCTIONS: [&str; 15] = agents::FUNCTIONS;

    /// The books of a project whose runs are kept in a folder.
    #[must_use]
    pub fn of(host: &Host, data: Option<&Path>) -> Arc<Books> {
        let project = host.project();
        Arc::new(Books {
            folder: host.folder.clone(),
            data: data.map(Path::to_owned),
            project: project.name.clone().unwrap_or_default(),
            policies: project.policies.list.keys().cloned().collect(),
            engine: OnceLock::new(),
            cases: Mutex::default(),
        })
    }

    /// From here on, what became of cases is known by this engine.
    pub fn open(&self, engine: &Engine) {
        // Books that are open stay so.
        let _ = self.engine.set(engine.downgrade());
    }

    /// The agent of this name, under the id `id`, if there is one.
    #[must_use]
    pub fn agent(self: &Arc<Self>, name: &str, id: &str) -> Option<Agent> {
        let world: Arc<dyn World> = self.clone();
        agents::agent(name, id, &world)
    }

    fn engine(&self) -> Result<Engine, String> {
        self.engine.get().and_then(WeakEngine::upgrade).ok_or_else(|| "there is no engine that knows of earlier days".to_owned())
    }

    fn load(&self, run: RunId) -> Result<Option<Run>, String> {
        let engine = self.engine()?;
        match Handle::current().block_on(engine.load(run)) {
            Ok(run) => Ok(Some(run)),
            Err(Error::NoRun(_)) => Ok(None),
            Err(wrong) => Err(format!("run {run} could not be read: {wrong}")),
        }
    }

    fn reader(&self) -> Result<Option<SqliteReader>, String> {
        let Some(data) = &self.data else { return Ok(None) };
        SqliteReader::open(data).map(Some).map_err(|wrong| format!("the journal could not be read: {wrong}"))
    }

    /// What reconciliations returned, of those of a workflow, each with its day: the newest first. Once one is found that is `wanted`,
    /// only so many more are looked at: the journal may hold years. One that failed later has opened its cases all the same; one that
    /// was cancelled does not count.
    fn past(&self, name: Option<String>, task: &str, wanted: &dyn Fn(Date) -> bool) -> Result<Vec<(Date, Past)>, String> {
        #[derive(Deserialize)]
        struct Of {
            day: Date,
        }
        let Some(reader) = self.reader()? else { return Ok(Vec::new()) };
        let listed = reader.list(&Wanted { name, ..Wanted::newest(MAX_DAYS) }).map_err(|wrong| wrong.to_string())?;
        let (mut found, mut since) = (Vec::new(), None);
        for info in listed {
            if since.is_some_and(|since| since >= MAX_LOOKED_AT) {
                break;
            }
            since = since.map(|since| since + 1);
            let Some(run) = self.load(info.run)? else { continue };
            let Some(output) = run.task(task).and_then(TaskView::output).filter(|_| run.status() != RunStatus::Cancelled) else {
                continue;
            };
            let Ok(Of { day }) = output.decode() else { continue };
            if wanted(day) {
                since = since.or(Some(0));
            }
            let by = run.begun().map(|start| start.by.to_string()).unwrap_or_default();
            let output = output.decode().map_err(|wrong| format!("what run {} returned cannot be read: {wrong}", info.run))?;
            found.push((day, Past { run: info.run.to_string(), by, output }));
        }
        Ok(found)
    }

    /// What a task returned in all runs of a workflow but one, where it is not undone.
    fn outputs(&self, name: String, task: &str, but: Option<RunId>) -> Result<Vec<Value>, String> {
        let Some(reader) = self.reader()? else { return Ok(Vec::new()) };
        let listed = reader.list(&Wanted { name: Some(name), ..Wanted::newest(MAX_CASES) }).map_err(|wrong| wrong.to_string())?;
        let mut outputs = Vec::new();
        for info in listed.iter().filter(|info| Some(info.run) != but) {
            let Some(other) = self.load(info.run)? else { continue };
            let undone = other.tasks().any(|task| task.role() == Role::Compensation && task.status() == TaskStatus::Succeeded);
            outputs.extend(other.task(task).filter(|_| !undone).and_then(|task| task.output()?.decode().ok()));
        }
        Ok(outputs)
    }

    /// The workflow that a run is one of.
    fn workflow_of(&self, run: RunId) -> Result<Option<String>, String> {
        Ok(self.load(run)?.and_then(|run| run.begun().map(|start| start.name.to_string())))
    }

    /// A path inside the project.
    fn inside(&self, path: &str) -> Result<PathBuf, String> {
        let relative = Path::new(path);
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if path.is_empty() || !plain {
            return Err("it is no path inside the project folder".to_owned());
        }
        Ok(self.folder.join(relative))
    }

    /// The same, once it is known that no link leads out of the project.
    fn real(&self, path: &str) -> Result<PathBuf, NoFile> {
        let whole = self.inside(path).map_err(NoFile::Other)?;
        let real = whole.canonicalize().map_err(|wrong| match wrong.kind() {
            ErrorKind::NotFound => NoFile::Missing,
            _ => NoFile::Other(wrong.to_string()),
        })?;
        let folder = self.folder.canonicalize().map_err(|wrong| NoFile::Other(wrong.to_string()))?;
        if real.starts_with(folder) { Ok(real) } else { Err(NoFile::Other("it leads out of the project folder".to_owned())) }
    }
}

/// What is wrong with the settings that reconciliations of a project read: the file, and what.
#[must_use]
pub fn wrong_settings(host: &Host) -> Vec<(String, String)> {
    let books = Books::of(host, None);
    let reads = |spec: &&AgentSpec| matches!(&spec.does, Does::Function(name) if name == "recon.reconcile" || name == "recon.waiting");
    let specs = host.project().agents.values().flat_map(AgentSpec::all).filter(reads);
    let named = |spec: &AgentSpec| spec.params.as_ref()?.get("books")?.as_str().map(str::to_owned);
    let files: BTreeSet<String> = specs.map(|spec| named(spec).unwrap_or_else(|| SETTINGS.to_owned())).collect();
    let mut wrong = Vec::new();
    // A file whose name is only known when it runs is looked at then.
    for file in files.into_iter().filter(|file| !file.contains("{{")) {
        match books.settings(&file).and_then(Settings::of) {
            Ok(settings) => {
                let feeds = settings.feeds.a.iter().chain(&settings.feeds.b);
                let mistakes: BTreeSet<String> = feeds.filter_map(|feed| feed.format(|name| books.settings(name)).err()).collect();
                wrong.extend(mistakes.into_iter().map(|what| (file.clone(), what)));
            }
            Err(what) => wrong.push((file, what)),
        }
    }
    wrong
}

impl World for Books {
    fn open(&self, path: &str) -> Result<Box<dyn BufRead + Send>, NoFile> {
        let real = self.real(path)?;
        let file = File::open(&real).map_err(|wrong| NoFile::Other(wrong.to_string()))?;
        if !file.metadata().is_ok_and(|about| about.is_file()) {
            return Err(NoFile::Other("it is not a file".to_owned()));
        }
        Ok(Box::new(BufReader::new(file)))
    }

    fn settings(&self, path: &str) -> Result<Value, String> {
        let real = self.real(path).map_err(|wrong| match wrong {
            NoFile::Missing => format!("there is no file {path} in the project folder"),
            NoFile::Other(why) => format!("{path} could not be read: {why}"),
        })?;
        let size = std::fs::metadata(&real).map_or(0, |about| about.len());
        if size > MAX_SETTINGS_BYTES {
            return Err(format!("{path} has {size} bytes, more than the {MAX_SETTINGS_BYTES} allowed"));
        }
        let text = std::fs::read_to_string(&real).map_err(|wrong| format!("{path} could not be read: {wrong}"))?;
        quorate_project::read_value(&text).map_err(|wrong| wrong.iter().map(|what| format!("{path}:{what}")).collect::<Vec<_>>().join("\n"))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let told = |wrong: std::io::Error| format!("{path} could not be written: {wrong}");
        let whole = self.inside(path).map_err(|why| format!("{path} could not be written: {why}"))?;
        let parent = whole.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).map_err(told)?;
        let (real, folder) = (parent.canonicalize().map_err(told)?, self.folder.canonicalize().map_err(told)?);
        if !real.starts_with(folder) {
            return Err(format!("{path} could not be written: it leads out of the project folder"));
        }
        // Whoever reads it meanwhile reads the file from before, and whoever writes it meanwhile has a file of their own.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = real.join(format!(".{name}.{}.{}", std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, real.join(&name))).map_err(told)
    }

    fn before(&self, run: RunId, task: &str, day: Date) -> Result<Option<Past>, String> {
        let Some(name) = self.workflow_of(run)? else { return Ok(None) };
        let past = self.past(Some(name), task, &|of| of < day)?;
        // Of several reconciliations of one day the newest counts, and that comes first.
        let earlier = past.iter().filter(|(of, _)| *of < day);
        let Some((of, last)) = earlier.reduce(|best, other| if other.0 > best.0 { other } else { best }) else { return Ok(None) };
        goes_on(&past, *of, last)?;
        Ok(Some(last.clone()))
    }

    fn earlier(&self, run: RunId, task: &str, day: Date) -> Result<Vec<Value>, String> {
        let Some(name) = self.workflow_of(run)? else { return Ok(Vec::new()) };
        let past = self.past(Some(name), task, &|of| of <= day)?.into_iter();
        let others = past.filter(|(of, past)| *of == day && past.run != run.to_string());
        Ok(others.map(|(_, past)| past.output).collect())
    }

    fn reconciled(&self, workflow: &str, task: &str, day: Date) -> Result<Since, String> {
        let past = self.past(Some(workflow.to_owned()), task, &|of| of <= day)?;
        let of_day: Vec<Past> = past.iter().filter(|(of, _)| *of == day).map(|(_, past)| past.clone()).collect();
        if let Some(newest) = of_day.first() {
            let ended_well = newest.run.parse().ok().and_then(|run| self.load(run).transpose()).transpose()?;
            if ended_well.is_none_or(|run| run.status() != RunStatus::Succeeded) {
                return Err(format!("the last reconciliation of {day}, run {}, did not end well; reconcile the day again", newest.run));
            }
            goes_on(&past, day, newest)?;
        }
        let mut later = BTreeMap::new();
        for (of, past) in past.into_iter().filter(|(of, _)| *of > day) {
            later.entry(of).or_insert(past.output);
        }
        Ok(Since { of_day, later: later.into_values().collect() })
    }

    fn last(&self, workflow: &str, task: &str) -> Result<Option<Value>, String> {
        let past = self.past(Some(workflow.to_owned()), task, &|_| true)?.into_iter();
        Ok(past.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, past)| past.output))
    }

    fn output(&self, run: &str, task: &str) -> Result<Option<Value>, String> {
        let Ok(run) = run.parse() else { return Ok(None) };
        let run = self.load(run)?;
        Ok(run.and_then(|run| run.task(task)?.output()?.decode().ok()))
    }

    fn standing_outputs(&self, run: RunId, task: &str) -> Result<Vec<Value>, String> {
        self.workflow_of(run)?.map_or_else(|| Ok(Vec::new()), |name| self.outputs(name, task, Some(run)))
    }

    fn outputs_of(&self, workflow: &str, task: &str) -> Result<Vec<Value>, String> {
        self.outputs(workflow.to_owned(), task, None)
    }

    fn case(&self, key: &str) -> Result<Option<Value>, String> {
        let run = self.load(RunId::keyed(&self.project, key))?;
        Ok(run.and_then(|run| run.begun()?.input.decode().ok()))
    }

    fn opened_again(&self) -> Result<Vec<String>, String> {
        #[derive(Deserialize)]
        struct Again {
            opened_again: String,
        }
        let Some(reader) = self.reader()? else { return Ok(Vec::new()) };
        let wanted = Wanted { name: Some(REOPEN.to_owned()), stands: Some(ENDED_WELL), ..Wanted::newest(MAX_CASES) };
        let listed = reader.list(&wanted).map_err(|wrong| wrong.to_string())?;
        let mut keys = Vec::new();
        for info in listed {
            let Some(run) = self.load(info.run)? else { continue };
            keys.extend(run.tasks().filter_map(|task| Some(task.output()?.decode::<Again>().ok()?.opened_again)));
        }
        Ok(keys)
    }

    fn fate(&self, key: &str) -> Result<Option<Fate>, String> {
        self.standing(RunId::keyed(&self.project, key))
    }

    fn standing(&self, run: RunId) -> Result<Option<Fate>, String> {
        Ok(self.load(run)?.as_ref().map(fate_of))
    }

    fn cases(&self, before: Date) -> Result<Arc<Vec<Case>>, String> {
        let mut known = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cases)) = known.as_ref().filter(|(day, _)| *day == before) {
            return Ok(cases.clone());
        }
        let mut cases = Vec::new();
        if let Some(reader) = self.reader()? {
            let listed = reader.list(&Wanted::newest(MAX_CASES)).map_err(|wrong| wrong.to_string())?;
            for info in listed.iter().filter(|info| self.policies.contains(&info.name)) {
                let Some(run) = self.load(info.run)? else { continue };
                cases.extend(case(&run).filter(|(_, day)| *day < before).map(|(case, _)| case));
            }
        }
        let cases = Arc::new(cases);
        *known = Some((before, cases.clone()));
        Ok(cases)
    }
}

/// That a reconciliation goes on from what is known of the days before it by now: each of them from the one before it, as that stands.
/// `past` has the newest of each day first.
fn goes_on(past: &[(Date, Past)], day: Date, of: &Past) -> Result<(), String> {
    let (mut day, mut of) = (day, of);
    loop {
        let earlier = past.iter().filter(|(other, _)| *other < day);
        let Some((nearest, newest)) = earlier.reduce(|best, other| if other.0 > best.0 { other } else { best }) else { return Ok(()) };
        let before: Option<Date> = of.output["before"].as_str().and_then(|before| before.parse().ok());
        let again = format!("reconcile {day} again first");
        match before {
            None => return Err(format!("{nearest} was reconciled since {day} was, which does not go on from it; {again}")),
            Some(before) if before < *nearest => {
                return Err(format!("{nearest} was reconciled since {day} went on from {before}; {again}"));
            }
            // It is too long ago to be known.
            Some(before) if before > *nearest => return Ok(()),
            Some(_) => {}
        }
        let from = past.iter().find(|(_, past)| of.output["before_run"] == *past.run);
        if from.is_none_or(|(_, from)| from.run != newest.run && !hands_on_the_same(from, newest)) {
            return Err(format!("{nearest} was reconciled anew since {day} went on from it; {again}"));
        }
        (day, of) = (*nearest, newest);
    }
}

/// Whether two reconciliations of a day leave the same to the next.
fn hands_on_the_same(one: &Past, other: &Past) -> bool {
    ["breaks", "adjustments", "closed", "left", "matched_file"].iter().all(|part| one.output[part] == other.output[part])
}

/// How people settled a case, where they were asked.
#[derive(Deserialize)]
struct Settled {
    choice: String,
    answers: Vec<Answer>,
}

/// What became of a case.
fn fate_of(run: &Run) -> Fate {
    #[derive(Deserialize)]
    struct With {
        resolution: Option<String>,
    }
    let decision = run.decision();
    let proposed = decision.and_then(|decision| decision.with.as_ref()?.decode::<With>().ok()?.resolution);
    // Of a run that is no case, whatever it asks people is what became of it.
    let asks = |task: &TaskView<'_>| task.role() == Role::Review || decision.is_none();
    let reviewed = run.tasks().filter(asks).filter(|task| task.status() == TaskStatus::Succeeded);
    let settled = reviewed.filter_map(|task| task.output()?.decode::<Settled>().ok()).last();
    let asked = run.tasks().any(|task| task.role() == Role::Review);
    let mut heard: Vec<String> = settled.iter().flat_map(|settled| &settled.answers).map(|answer| answer.by.to_string()).collect();
    heard.extend(run.tasks().filter_map(|task| task.asks()).flat_map(|asks| asks.answers).map(|answer| answer.by.to_string()));
    // Whoever answers with what was proposed agrees with it.
    let agreed = settled.as_ref().map(|settled| settled.choice == APPROVE || Some(&settled.choice) == proposed.as_ref());
    // An approval is a yes to what was proposed.
    let means = |choice: &str| if choice == APPROVE { proposed.clone() } else { Some(choice.to_owned()) };
    let resolution = match &settled {
        Some(settled) => means(&settled.choice),
        None if asked => None,
        None => proposed.clone(),
    };
    // Whoever answered otherwise has not decided it.
    let decided = |settled: &Settled| -> Vec<String> {
        let same = settled.answers.iter().filter(|answer| means(&answer.choice) == means(&settled.choice));
        same.map(|answer| answer.by.to_string()).collect()
    };
    let by = settled.as_ref().map(|settled| decided(settled).join(", "));
    Fate {
        run: run.id().to_string(),
        open: !run.has_ended(),
        asks: run.tasks().any(|task| task.status() == TaskStatus::Asking),
        withdrawn: run.status() == RunStatus::Cancelled,
        action: decision.map(|decision| decision.action.to_string()),
        resolution,
        heard,
        by,
        agreed,
    }
}

/// A case, and its day, where a run is about a break.
fn case(run: &Run) -> Option<(Case, Date)> {
    #[derive(Deserialize)]
    struct Cause {
        probable_root_cause: String,
    }
    let (record, day) = case_of(&run.begun()?.input.decode().ok()?)?;
    let Fate { action, resolution, agreed, .. } = fate_of(run);
    let cause = run.task(PATTERNS).and_then(|task| task.output()?.decode::<Cause>().ok()).map(|cause| cause.probable_root_cause);
    let counterparty = record.a.iter().chain(&record.b).find_map(|item| item.counterparty.as_deref()).map(str::to_owned);
    let (kind, account) = (record.kind.name().to_owned(), record.account.to_string());
    Some((Case { break_id: record.break_id, kind, account, counterparty, cause, action, resolution, agreed }, day))
}
