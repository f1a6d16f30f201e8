//! What people said about agents while a project runs: who is drained, who is disabled, by whom and why. It stands in a file
//! beside the journal, which any process may write, and an engine heeds while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::{Mode, Registry, Timestamp};
use serde::{Deserialize, Serialize};

/// The file in the data folder.
const FILE: &str = "agents.json";
/// Longest note that somebody leaves.
pub(crate) const MAX_NOTE_BYTES: usize = 1_024;

/// What people said about agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Modes {
    /// By agent, or by agent and version as `scorer@2.0`.
    #[serde(default)]
    pub(crate) agents: BTreeMap<String, Said>,
}

/// What somebody said about an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// What becomes of it.
    pub(crate) mode: Off,
    /// Who said so.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

/// How an agent is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Off {
    /// For now: what asks for it waits.
    Drained,
    /// As if it were not there.
    Disabled,
}

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} {file}, where it stands who is drained and who is disabled")]
pub(crate) struct ModesError {
    doing: &'static str,
    file: PathBuf,
    pub(crate) source: std::io::Error,
}

impl Modes {
    /// What was said; nothing where there is no file.
    ///
    /// # Errors
    /// [`ModesError`] where the file is there and cannot be read.
    pub(crate) fn read(data: &Path) -> Result<Modes, ModesError> {
        let file = data.join(FILE);
        let wrong = |source| ModesError { doing: "read", file: file.clone(), source };
        match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map_err(|broken| wrong(broken.into())),
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(Modes::default()),
            Err(other) => Err(wrong(other)),
        }
    }

    /// Says something about an agent, or takes it back.
    ///
    /// # Errors
    /// [`ModesError`] where the file cannot be read or written. It is then as it was.
    pub(crate) fn say(data: &Path, agent: &str, said: Option<Said>) -> Result<Modes, ModesError> {
        let file = data.join(FILE);
        let wrong = |source| ModesError { doing: "write", file: file.clone(), source };
        let mut modes = Modes::read(data)?;
        match said {
            Some(said) => drop(modes.agents.insert(agent.to_owned(), said)),
            None => drop(modes.agents.remove(agent)),
        }
        std::fs::create_dir_all(data).map_err(wrong)?;
        // Whoever reads it sees all of it, before or after.
        let mut new = tempfile::NamedTempFile::new_in(data).map_err(wrong)?;
        let text = serde_json::to_string_pretty(&modes).map_err(|broken| wrong(broken.into()))?;
        new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(wrong)?;
        new.persist(&file).map_err(|failed| wrong(failed.error))?;
        Ok(modes)
    }

    /// What was said about a version of an agent, or about the agent as a whole.
    #[must_use]
    pub(crate) fn about(&self, id: &str, version: &str) -> Option<&Said> {
        self.agents.get(&format!("{id}@{version}")).or_else(|| self.agents.get(id))
    }

    /// Has a registry heed what was said. `usual` says which agents the project itself disables.
    pub(crate) fn apply(&self, registry: &Registry, usual: &dyn Fn(&str, &str) -> bool) {
        for known in registry.overview(Timestamp::default()) {
            let identity = known.agent.identity();
            let (id, version) = (&*identity.id, &*identity.version);
            let wanted = match self.about(id, version).map(|said| said.mode) {
                Some(Off::Drained) => Mode::Draining,
                Some(Off::Disabled) => Mode::Disabled,
                None if usual(id, version) => Mode::Enabled,
                None => Mode::Disabled,
            };
            if wanted == known.mode {
                continue;
            }
            match wanted {
                Mode::Enabled => registry.enable(id, Some(version)),
                Mode::Disabled => registry.disable(id, Some(version)),
                Mode::Draining => registry.drain(id, Some(version)),
            };
        }
    }
}

/// Has a registry heed the file: now, and for as long as the registry is there, whenever somebody writes it.
pub(crate) fn heed(data: &Path, registry: &Arc<Registry>) {
    let known = registry.overview(Timestamp::default()).into_iter().filter(|known| known.mode == Mode::Enabled);
    let enabled: BTreeSet<(Arc<str>, Arc<str>)> =
        known.map(|known| (known.agent.identity().id.clone(), known.agent.identity().version.clone())).collect();
    let (folder, registry) = (data.to_owned(), Arc::downgrade(registry));
    let apply = move || {
        let usual = |id: &str, version: &str| enabled.iter().any(|(known, of)| **known == *id && **of == *version);
        let Some(registry) = registry.upgrade() else { return false };
        // One that cannot be read is reported by the commands that show it.
        if let Ok(modes) = Modes::read(&folder) {
            modes.apply(&registry, &usual);
        }
        true
    };
    apply();
    // Where the system does not say what changes, it counts from the next start on.
    if let Ok(folder) = Watched::new(data) {
        // It waits without end, and ends with the process.
        let waiting = move || while folder.changed().is_ok() && apply() {};
        let _ = std::thread::Builder::new().name("agents-heed".to_owned()).spawn(waiting);
    }
}

/// A folder of which the system says when something is written in it.
#[cfg(target_os = "linux")]
struct Watched(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Watched {
    fn new(folder: &Path) -> std::io::Result<Watched> {
        use rustix::fs::inotify;
        let told = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        // A file that is put in the place of another one is all that matters here.
        inotify::add_watch(&told, folder, inotify::WatchFlags::MOVED_TO)?;
        Ok(Watched(told))
    }

    /// Waits until something was written. What it was does not matter: the file is read anew.
    fn changed(&self) -> std::io::Result<()> {
        let mut events = [0_u8; 4_096];
        rustix::io::read(&self.0, &mut events)?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
struct Watched;

#[cfg(not(target_os = "linux"))]
impl Watched {
    fn new(_: &Path) -> std::io::Result<Watched> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn changed(&self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
