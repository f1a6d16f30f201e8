//! Skills as agents get them: what a skill says travels with the request, and what lies beside it is found on a shelf.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_core::{Digest, Failure, Skill};
use serde::{Deserialize, Serialize};

use crate::wire::invalid;

/// Longest text of a skill.
pub const MAX_SKILL_TEXT_BYTES: usize = 1024 * 1024;
/// Most files of a skill.
pub const MAX_SKILL_FILES: usize = 256;
/// How large the files of a skill may be, all together.
pub const MAX_SKILL_FILES_BYTES: u64 = 16 * 1024 * 1024;
/// How deep the folders of a skill may lie in each other.
const MAX_SKILL_FOLDERS: usize = 8;

/// What a skill says, and what lies beside it. This is what a run is pinned to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SkillText {
    /// What it is good for, and when.
    pub description: String,
    /// Words by which people find it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Under which terms it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// What it needs around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<String>,
    /// The tools that it means to use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_tools: Vec<String>,
    /// Whatever else its author wrote down.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The expertise itself.
    pub body: String,
    /// The files that lie beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<SkillFile>,
}

/// A file that lies beside a skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillFile {
    /// Its path inside the folder, with `/` between the parts.
    pub path: String,
    /// How large it is.
    pub bytes: u64,
    /// What is in it.
    pub digest: Digest,
}

/// Lists the files of a skill's folder besides `except`, by path. What is hidden, linked or left behind by Python is none.
///
/// # Errors
/// What cannot be read, or is more than a skill may have.
pub fn files_of(folder: &Path, except: &str) -> io::Result<Vec<SkillFile>> {
    let mut paths = Vec::new();
    collect(folder, "", 0, &mut paths)?;
    paths.retain(|path| path != except);
    paths.sort();
    if paths.len() > MAX_SKILL_FILES {
        return Err(io::Error::other(format!("it has more than the {MAX_SKILL_FILES} files allowed")));
    }
    let mut left = MAX_SKILL_FILES_BYTES;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let content = read_at_most(&folder.join(&path), left)?;
        let bytes = content.len() as u64;
        left -= bytes;
        files.push(SkillFile { path, bytes, digest: Digest::of(&content) });
    }
    Ok(files)
}

fn collect(folder: &Path, inside: &str, depth: usize, found: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name().to_string_lossy().into_owned(), entry.file_type()?);
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        if kind.is_file() {
            found.push(path);
        } else if kind.is_dir() && depth < MAX_SKILL_FOLDERS {
            collect(&entry.path(), &path, depth + 1, found)?;
        }
        if found.len() > MAX_SKILL_FILES + 1 {
            return Ok(());
        }
    }
    Ok(())
}

fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!("its files have more than the {MAX_SKILL_FILES_BYTES} bytes allowed")));
    }
    Ok(content)
}

/// Where skills lie on this machine, by name.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<HashMap<String, PathBuf>>);

impl Shelf {
    /// A shelf with these folders on it.
    #[must_use]
    pub fn new(folders: HashMap<String, PathBuf>) -> Shelf {
        Shelf(Arc::new(folders))
    }

    /// The folder of a skill, if it is here. What lies in it is what lay there when the run began.
    fn folder_of(&self, skill: &Skill, text: &SkillText) -> Result<Option<&Path>, Failure> {
        let Some(folder) = self.0.get(&*skill.name) else { return Ok(None) };
        for file in &text.files {
            file.check(&skill.name, folder)?;
        }
        Ok(Some(folder))
    }

    /// A file of a skill, as it was when the run began.
    pub(crate) fn file(&self, skill: &Skill, text: &SkillText, path: &str) -> Result<Vec<u8>, Failure> {
        let Some(file) = text.files.iter().find(|file| file.path == path) else {
            let names: Vec<&str> = text.files.iter().map(|file| file.path.as_str()).collect();
            let there = if names.is_empty() { "it has none".to_owned() } else { format!("it has: {}", names.join(", ")) };
            return Err(invalid(format!("the skill `{}` has no file `{path}`; {there}", skill.name)));
        };
        let gone = || invalid(format!("the skill `{}` is not on this machine", skill.name));
        file.check(&skill.name, self.0.get(&*skill.name).ok_or_else(gone)?)
    }
}

impl SkillFile {
    fn check(&self, skill: &str, folder: &Path) -> Result<Vec<u8>, Failure> {
        let wrong =
            |why: String| invalid(format!("`{}` of the skill `{skill}` {why}; a new run takes it as it is now", self.path)).unsent();
        let content =
            read_at_most(&folder.join(&self.path), MAX_SKILL_FILES_BYTES).map_err(|why| wrong(format!("cannot be read ({why})")))?;
        if Digest::of(&content) != self.digest {
            return Err(wrong("is not what it was when the run began".to_owned()));
        }
        Ok(content)
    }
}

/// A skill as it goes out to an agent.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    #[serde(flatten)]
    text: SkillText,
}

impl<'a> Told<'a> {
    pub(crate) fn of(skill: &'a Skill, shelf: &Shelf) -> Result<Told<'a>, Failure> {
        let text = text_of(skill)?;
        let folder = shelf.folder_of(skill, &text)?.map(|folder| folder.to_string_lossy().into_owned());
        Ok(Told { name: &skill.name, version: skill.version.as_deref(), digest: skill.digest().to_string(), folder, text })
    }
}

/// What a skill says.
pub(crate) fn text_of(skill: &Skill) -> Result<SkillText, Failure> {
    skill.text.decode().map_err(|wrong| invalid(format!("the skill `{}` cannot be read: {wrong}", skill.name)))
}
