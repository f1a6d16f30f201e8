//! The skills that a project finds on this machine. Of all of them the front matter is read; the rest of one is read when a
//! run begins that requires it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use quorate_agents::{MAX_SKILL_TEXT_BYTES, Shelf, SkillText, files_of};
use quorate_core::{Payload, Skill};
use quorate_project::{MAX_FRONT_MATTER_BYTES, SKILL_FILE, SkillDirectory, SkillSpec, Skills, Source, front_matter, skill_directories};
use quorate_runtime::Order;

use crate::host::Host;

/// Most skills that are looked at.
pub const MAX_SKILLS: usize = 10_000;
/// How deep folders of skills may lie in each other.
const MAX_FOLDERS: usize = 8;

/// A skill that a run cannot have.
#[derive(Debug, thiserror::Error)]
pub enum SkillError {
    /// There is none of that name.
    #[error("there is no skill `{name}`")]
    Missing {
        /// The name.
        name: String,
        /// What there is.
        instead: String,
    },
    /// It cannot be read.
    #[error("could not read the skill `{name}` from {path}")]
    Unreadable {
        /// The name.
        name: String,
        /// Its folder.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// Front matters, where their folders are, and the directories that are not there.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) sources: Vec<Source>,
    pub(crate) folders: HashMap<String, PathBuf>,
    pub(crate) missing: Vec<SkillDirectory>,
}

/// Looks for skills where the project says.
pub(crate) fn discover(root: &Path, project: &Source) -> Found {
    let mut found = Found::default();
    for directory in skill_directories(project) {
        let Some(folder) = place_of(root, &directory.path).filter(|folder| folder.is_dir()) else {
            if directory.span.is_some() {
                found.missing.push(directory);
            }
            continue;
        };
        let mut paths = Vec::new();
        let depth = if directory.recursive { MAX_FOLDERS } else { 1 };
        collect(&folder, &directory.path, depth, directory.is_elsewhere(), &mut paths);
        paths.sort();
        for (shown, folder) in paths {
            found.sources.push(front_of(&shown, &folder.join(SKILL_FILE)));
            found.folders.insert(shown, folder);
        }
    }
    found
}

/// Where a directory is, with `~` for the home of whoever runs this.
fn place_of(root: &Path, path: &str) -> Option<PathBuf> {
    match path.strip_prefix('~') {
        Some(rest) => {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
            Some(Path::new(&home).join(rest.trim_start_matches('/')))
        }
        None => Some(root.join(path)),
    }
}

/// The folders with a `SKILL.md` below a folder. What lies inside of a skill belongs to it.
fn collect(folder: &Path, shown: &str, depth: usize, links: bool, found: &mut Vec<(String, PathBuf)>) {
    // A folder that cannot be looked into has no skills for us.
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        // A project is what lies in its folder; in a home, skills are often linked.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir() || (links && kind.is_symlink() && path.is_dir()));
        if !is_folder || name.starts_with('.') || found.len() >= MAX_SKILLS {
            continue;
        }
        let shown = format!("{}/{name}", shown.trim_end_matches('/'));
        if path.join(SKILL_FILE).is_file() {
            found.push((format!("{shown}/{SKILL_FILE}"), path));
        } else if depth > 1 {
            collect(&path, &shown, depth - 1, links, found);
        }
    }
}

/// The beginning of a skill's file, to the end of its front matter. `shown` is how the file is called.
#[must_use]
pub fn front_of(shown: &str, path: &Path) -> Source {
    let read = || -> io::Result<String> {
        let mut lines = BufReader::new(File::open(path)?.take(MAX_FRONT_MATTER_BYTES as u64 + 1));
        let mut text = String::new();
        loop {
            let begin = text.len();
            let bytes = lines.read_line(&mut text)?;
            let ends = begin > 0 && text[begin..].trim_end() == "---";
            if bytes == 0 || ends || (begin == 0 && !text.trim_start_matches('\u{feff}').starts_with("---")) {
                break;
            }
        }
        if text.len() > MAX_FRONT_MATTER_BYTES {
            return Err(io::Error::other(format!("its front matter has more than the {MAX_FRONT_MATTER_BYTES} bytes allowed")));
        }
        Ok(text)
    };
    read().map_or_else(|wrong| Source::unreadable(shown, wrong.to_string()), |text| Source::new(shown, &text))
}

/// Reads a skill: what it says, and what lies beside it.
///
/// # Errors
/// What cannot be read.
pub fn read_skill(spec: &SkillSpec, folder: &Path) -> io::Result<Skill> {
    let mut bytes = Vec::new();
    File::open(folder.join(SKILL_FILE))?.take(MAX_SKILL_TEXT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SKILL_TEXT_BYTES {
        return Err(io::Error::other(format!("{SKILL_FILE} has more than the {MAX_SKILL_TEXT_BYTES} bytes allowed")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|wrong| io::Error::other(format!("{SKILL_FILE} is not UTF-8 text (byte {})", wrong.utf8_error().valid_up_to())))?;
    let (_, body) = front_matter(&text).map_err(io::Error::other)?;
    let text = SkillText {
        description: spec.description.clone(),
        tags: spec.tags.clone(),
        license: spec.license.clone(),
        compatibility: spec.compatibility.clone(),
        allowed_tools: spec.allowed_tools.clone(),
        metadata: spec.metadata.clone(),
        body: body.trim().to_owned(),
        files: files_of(folder, SKILL_FILE)?,
    };
    let text = Payload::of(&text).map_err(io::Error::other)?;
    Ok(Skill::new(&spec.name, spec.version.as_deref(), text))
}

impl Host {
    /// Where a skill lies.
    #[must_use]
    pub fn skill_folder(&self, spec: &SkillSpec) -> Option<&Path> {
        self.skill_folders.get(&*spec.path).map(PathBuf::as_path)
    }

    /// A skill as it is now.
    ///
    /// # Errors
    /// [`SkillError`] where it is not there, or cannot be read.
    pub fn skill(&self, name: &str) -> Result<Skill, SkillError> {
        let skills: &Skills = &self.project().skills;
        let missing = || SkillError::Missing { name: name.to_owned(), instead: skills.instead_of(name) };
        let spec = skills.known.get(name).ok_or_else(missing)?;
        let folder = self.skill_folder(spec).ok_or_else(missing)?;
        read_skill(spec, folder).map_err(|source| SkillError::Unreadable { name: name.to_owned(), path: folder.to_owned(), source })
    }

    /// The same order with the skills that its tasks require, and those of the runs within it, as they are now.
    ///
    /// # Errors
    /// [`SkillError`] for the first that it cannot have.
    pub fn equipped(&self, order: Order) -> Result<Order, SkillError> {
        let plans = self.project().workflows.values().map(|workflow| (workflow.plan.digest(), &workflow.plan));
        let known: HashMap<_, _> = plans.collect();
        let (mut open, mut seen, mut wanted) = (vec![&order.plan], HashSet::new(), BTreeSet::new());
        while let Some(plan) = open.pop() {
            if seen.insert(plan.digest()) {
                wanted.extend(plan.skills());
                open.extend(plan.sub_plans().filter_map(|digest| known.get(&digest)));
            }
        }
        let skills = wanted.iter().map(|name| self.skill(name)).collect::<Result<_, _>>()?;
        Ok(Order { skills, ..order })
    }

    /// Where agents on this machine find the files of skills.
    pub(crate) fn shelf(&self) -> Shelf {
        let known = self.project().skills.known.values();
        Shelf::new(known.filter_map(|spec| Some((spec.name.clone(), self.skill_folder(spec)?.to_owned()))).collect())
    }
}
