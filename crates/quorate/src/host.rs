//! A project folder on disk: its files, its agents as they can be called, and the engine over its data.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use quorate_agents::{
    Agent, AgentTools, Api, BreakerRule, Call, Model, Prices, Program, Prompt, Reach, Registry, STANDARD, Secret, Service, Shelf, Toolbox,
    standard,
};
use quorate_core::Payload;
use quorate_expr::Type;
use quorate_project::{
    AgentSpec, ApiSpec, BreakerSpec, Checked, Does, ExecSpec, FOLDERS, HealthSpec, HttpSpec, LlmSpec, MAX_FILE_BYTES, PROJECT_FILE,
    PROMPTS_FOLDER, Project, PromptSpec, Source,
};
use quorate_runtime::Options;
use serde_json::{Map, Value};

use crate::servers::Servers;

/// Most files of a project.
pub const MAX_FILES: usize = 10_000;
/// How deep the folders of a project may lie in each other.
const MAX_FOLDERS: usize = 16;
/// The folder beside a project where its runs are kept.
pub const DATA_FOLDER: &str = ".quorate";

/// A project folder that could not be read at all. Mistakes in its files are not errors: they are in [`Checked`].
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is none.
    #[error("there is no project in {folder}: neither it nor a folder above it holds `{PROJECT_FILE}`")]
    NoProject {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The folder cannot be read.
    #[error("could not read the project folder {folder}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is more in it than a project may have.
    #[error("the project in {folder} has more than the {MAX_FILES} files allowed")]
    TooManyFiles {
        /// The folder.
        folder: PathBuf,
    },
}

/// A project folder, read and checked.
#[derive(Debug)]
pub struct Host {
    /// The folder.
    pub folder: PathBuf,
    /// What is in it.
    pub checked: Checked,
    /// What starts the programs of its agents, where they are not started directly; see [`Program::launcher`].
    pub launcher: Vec<String>,
    /// The folders of its skills, by how their files are shown.
    pub skill_folders: HashMap<String, PathBuf>,
}

impl Host {
    /// The project folder that `start` lies in: itself, or the nearest one above.
    ///
    /// # Errors
    /// [`HostError::NoProject`] where there is none.
    pub fn find(start: &Path) -> Result<PathBuf, HostError> {
        let whole = std::path::absolute(start).map_err(|source| HostError::Folder { folder: start.to_owned(), source })?;
        let found = whole.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file());
        found.map(Path::to_owned).ok_or(HostError::NoProject { folder: whole.clone() })
    }

    /// Reads and checks the project in a folder. `functions` are the names of Rust functions that its agents may `use`, besides
    /// the ones that are always there.
    ///
    /// # Errors
    /// [`HostError`] where the folder cannot be read. What is wrong in its files is in [`Host::checked`].
    pub fn read(folder: &Path, functions: &[&str]) -> Result<Host, HostError> {
        // Programs run in it, and are found from it: a path from elsewhere would lead nowhere.
        let folder = &std::path::absolute(folder).map_err(|source| HostError::Folder { folder: folder.to_owned(), source })?;
        let mut files = vec![source(folder, &folder.join(PROJECT_FILE))];
        for name in FOLDERS.into_iter().chain([PROMPTS_FOLDER]) {
            let mut found = Vec::new();
            let ends: &[&str] = if name == PROMPTS_FOLDER { &["md", "txt", "j2", "jinja"] } else { &["yaml", "yml"] };
            collect(folder, &folder.join(name), ends, 0, &mut found)?;
            found.sort();
            if files.len() + found.len() > MAX_FILES {
                return Err(HostError::TooManyFiles { folder: folder.to_owned() });
            }
            files.extend(found.iter().map(|path| source(folder, path)));
        }
        let skills = crate::skills::discover(folder, &files[0]);
        files.extend(skills.sources);
        let functions: Vec<&str> = STANDARD.iter().chain(functions).copied().collect();
        let mut checked = Project::read(files, &functions);
        skills.missing.iter().for_each(|directory| checked.lacks(directory));
        Ok(Host { folder: folder.to_owned(), checked, launcher: Vec::new(), skill_folders: skills.folders })
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.checked.project
    }

    /// The agents of the project, ready to be called. `functions` gives those that the program brings along.
    pub fn registry(&self, functions: impl Fn(&str, &str) -> Option<Agent>) -> Arc<Registry> {
        Arc::new_cyclic(|me| self.fill(Registry::new(), me, functions))
    }

    fn fill(&self, registry: Registry, me: &Weak<Registry>, functions: impl Fn(&str, &str) -> Option<Agent>) -> Registry {
        let servers = self.servers();
        for name in STANDARD {
            standard(name, name).into_iter().for_each(|agent| registry.register(agent));
        }
        for spec in self.project().agents.values().flat_map(AgentSpec::all) {
            for id in ids_of(spec) {
                let made = match &spec.does {
                    Does::Function(name) => functions(name, &id).or_else(|| standard(name, &id)),
                    Does::Exec(exec) => Some(self.program(&id, exec, &spec.health)),
                    Does::Http(http) => Some(self.service(&id, http, &spec.health)),
                    Does::Llm(llm) => self.model(llm, spec, me, &servers).map(|model| Agent::from_model(&id, model)),
                    Does::Mcp(mcp) => servers.agent(&id, spec, mcp),
                };
                let Some(agent) = made.map(|agent| dressed(agent, spec)) else { continue };
                let version = agent.identity().version.clone();
                registry.register(agent);
                if !spec.enabled {
                    registry.disable(&id, Some(&version));
                }
            }
        }
        registry
    }

    /// How an engine for this project is set up.
    #[must_use]
    pub fn options(&self) -> Options {
        let usual = Options::default();
        Options {
            max_concurrent_agents: self.project().max_concurrent_agents.or(usual.max_concurrent_agents),
            grace: self.project().grace.map_or(usual.grace, |grace| Duration::from_millis(grace.0)),
            ..usual
        }
    }

    /// A language model; one whose prompts are no templates has been reported as that.
    fn model(&self, llm: &LlmSpec, spec: &AgentSpec, registry: &Weak<Registry>, servers: &Servers) -> Option<Model> {
        let secret = |text: &String| Secret::parse(text, &self.folder);
        let prompt = |prompt: &Option<PromptSpec>| prompt.as_ref().map(|prompt| Prompt::new(&prompt.path, &prompt.text)).transpose().ok();
        let api = match llm.api {
            ApiSpec::OpenAi => Api::OpenAi,
            ApiSpec::Anthropic => Api::Anthropic,
        };
        let usual = Model::new(api, &llm.model);
        let mut tools: Vec<Arc<dyn Toolbox>> = Vec::new();
        let mut agents = AgentTools::new(registry.clone());
        for tool in &llm.tools {
            let known = self.project().agents.get(&tool.agent);
            let effect = known.and_then(|agent| agent.effect).unwrap_or_default();
            if let Some((known, Does::Mcp(mcp))) = known.map(|agent| (agent, &agent.does)) {
                tools.extend(servers.tools(tool, known, mcp, registry));
                continue;
            }
            let about = tool.description.as_deref().or_else(|| known?.description.as_deref()).unwrap_or(&tool.agent);
            agents = agents.agent(&tool.agent, about, &tool.input, effect);
        }
        if !agents.is_empty() {
            tools.push(Arc::new(agents));
        }
        Some(Model {
            urls: llm.urls.iter().map(secret).collect(),
            key: llm.key.as_ref().map(secret),
            headers: llm.headers.iter().map(|(name, value)| (name.clone(), secret(value))).collect(),
            reach: if llm.allow_private { Reach::Private } else { Reach::Public },
            instructions: llm.instructions.clone(),
            system: prompt(&llm.system)?,
            prompt: prompt(&llm.prompt)?,
            inputs: llm.inputs.clone(),
            output: spec.output.clone(),
            max_tokens: llm.max_tokens.unwrap_or(usual.max_tokens),
            stream: llm.stream,
            extra: llm.extra.clone(),
            prices: Prices { input: llm.prices.input, cached: llm.prices.cached, output: llm.prices.output },
            tools,
            max_steps: llm.max_steps.unwrap_or(usual.max_steps),
            shelf: self.shelf(),
            ..usual
        })
    }

    fn service(&self, id: &str, http: &HttpSpec, health: &HealthSpec) -> Agent {
        let secret = |text: &String| Secret::parse(text, &self.folder);
        let service = Service {
            urls: http.urls.iter().map(secret).collect(),
            headers: http.headers.iter().map(|(name, value)| (name.clone(), secret(value))).collect(),
            reach: if http.allow_private { Reach::Private } else { Reach::Public },
            max_output: http.max_output,
            health: health.path.clone(),
        };
        Agent::from_service(id, service)
    }

    fn program(&self, id: &str, exec: &ExecSpec, health: &HealthSpec) -> Agent {
        let program = self.started_by(&exec.command, exec.folder.as_ref(), &exec.env, &exec.pass_env);
        let program = Program { max_output: exec.max_output, shelf: self.shelf(), ..program };
        let probe = (!health.command.is_empty()).then(|| Program { command: self.found(&health.command), ..program.clone() });
        let agent = if exec.keep_alive { Agent::from_server(id, program) } else { Agent::from_program(id, program) };
        match probe {
            Some(probe) => agent.probed_with(probe),
            None => agent,
        }
    }

    /// A program of the project.
    pub(crate) fn started_by(&self, command: &[String], folder: Option<&String>, env: &[(String, String)], pass_env: &[String]) -> Program {
        Program {
            command: self.found(command),
            launcher: self.launcher.clone(),
            folder: Some(folder.map_or_else(|| self.folder.clone(), |inside| self.folder.join(inside))),
            env: env.iter().map(|(name, value)| (name.clone(), Secret::parse(value, &self.folder))).collect(),
            pass_env: pass_env.to_vec(),
            max_output: None,
            shelf: Shelf::default(),
        }
    }

    /// A command whose program is found from the project, where it is a path.
    fn found(&self, command: &[String]) -> Vec<String> {
        let mut command = command.to_vec();
        if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
            *program = self.folder.join(&*program).to_string_lossy().into_owned();
        }
        command
    }
}

/// Under which ids an agent is registered.
fn ids_of(spec: &AgentSpec) -> Vec<String> {
    match spec.instances {
        None => vec![spec.id.clone()],
        Some(count) => (0..count).map(|number| format!("{}_{number}", spec.id)).collect(),
    }
}

/// An agent with everything that its project says about it. What is not said stays as it is.
fn dressed(mut agent: Agent, spec: &AgentSpec) -> Agent {
    if let Some(usual) = spec.params.as_ref().and_then(Value::as_object).cloned() {
        agent = agent.preparing(move |call| with_params(call, &usual));
    }
    if spec.output != Type::Any {
        agent = agent.returns(spec.output.clone());
    }
    if let Some(effect) = spec.effect {
        agent = agent.effect(effect);
    }
    if !spec.capabilities.is_empty() || spec.instances.is_some() {
        // Of several of one kind each can be what all of them are.
        let own = spec.instances.map(|_| spec.id.as_str());
        agent = agent.capabilities(spec.capabilities.iter().map(String::as_str).chain(own));
    }
    if let Some(version) = &spec.version {
        agent = agent.version(version);
    }
    if let Some(calls) = spec.max_concurrent {
        agent = agent.max_concurrent(calls);
    }
    if let Some(timeout) = spec.timeout {
        agent = agent.timeout(timeout);
    }
    if let Some(priority) = spec.priority {
        agent = agent.priority(priority);
    }
    if let Some(weight) = spec.weight {
        agent = agent.weight(weight);
    }
    if let Some(share) = spec.share {
        agent = agent.share(share);
    }
    if let Some(path) = &spec.sticky_by {
        agent = agent.sticky_by(path);
    }
    if let Some(every) = spec.health.every {
        agent = agent.probe_every(every);
    }
    let usual = BreakerRule::default();
    match spec.breaker {
        None => {}
        Some(BreakerSpec::Off) => agent = agent.breaker(BreakerRule::OFF),
        Some(BreakerSpec::On { failures, within, open_for, trials }) => {
            agent = agent.breaker(BreakerRule {
                failures: failures.unwrap_or(usual.failures),
                within: within.unwrap_or(usual.within),
                open_for: open_for.unwrap_or(usual.open_for),
                trials: trials.unwrap_or(usual.trials),
            });
        }
    }
    agent
}

/// A call with these parameters where its task gives none of that name.
fn with_params(mut call: Call, usual: &Map<String, Value>) -> Call {
    // What is no object has no names.
    if let Ok(given) = call.request.params.decode::<Option<Map<String, Value>>>() {
        let mut all = usual.clone();
        all.extend(given.unwrap_or_default());
        call.request.params = Payload::of(&all).unwrap_or(call.request.params);
    }
    call
}

/// The files below a folder whose names end like that. What is linked from elsewhere is not read: a project is what lies in its folder.
fn collect(root: &Path, folder: &Path, ends: &[&str], depth: usize, found: &mut Vec<PathBuf>) -> Result<(), HostError> {
    let wrong = |source| HostError::Folder { folder: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(other) => return Err(wrong(other)),
    };
    for entry in entries {
        let entry = entry.map_err(wrong)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(wrong)?);
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() && depth < MAX_FOLDERS {
            collect(root, &path, ends, depth + 1, found)?;
        } else if !kind.is_dir() && path.extension().is_some_and(|end| ends.iter().any(|known| end.eq_ignore_ascii_case(known))) {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            return Err(HostError::TooManyFiles { folder: root.to_owned() });
        }
    }
    Ok(())
}

fn source(root: &Path, path: &Path) -> Source {
    let inside = path.strip_prefix(root).unwrap_or(path).components();
    let names: Vec<String> = inside
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let name = names.join("/");
    match text(root, path) {
        Ok(text) => Source::new(&name, &text),
        Err(why) => Source::unreadable(&name, why),
    }
}

fn text(root: &Path, path: &Path) -> Result<String, String> {
    let real = path.canonicalize().map_err(|wrong| wrong.to_string())?;
    if !root.canonicalize().is_ok_and(|root| real.starts_with(root)) {
        return Err("it lies outside of the project".to_owned());
    }
    let about = std::fs::metadata(&real).map_err(|wrong| wrong.to_string())?;
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    if about.len() > MAX_FILE_BYTES as u64 {
        return Err(format!("it has {} bytes, more than the {MAX_FILE_BYTES} allowed", about.len()));
    }
    let bytes = std::fs::read(&real).map_err(|wrong| wrong.to_string())?;
    String::from_utf8(bytes).map_err(|wrong| format!("it is not UTF-8 text (byte {})", wrong.utf8_error().valid_up_to()))
}

/// Opens the journal that lies beside a project.
///
/// # Errors
/// [`quorate_journal::OpenError`] where it cannot be opened, or belongs to another process.
pub fn open_journal(data: &Path) -> Result<Arc<quorate_journal::SqliteJournal>, quorate_journal::OpenError> {
    quorate_journal::SqliteJournal::open(data, &quorate_journal::SqliteOptions::default()).map(Arc::new)
}
