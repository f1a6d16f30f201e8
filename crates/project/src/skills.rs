//! Skills: folders with a `SKILL.md`, of which the front matter is read here and the rest when a task needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_expr::{Severity, Span, closest};

use crate::files::{PROJECT, SKILL, SKILL_DIRECTORY, TASK};
use crate::lower::texts;
use crate::report::{Diagnostic, Source};
use crate::shape::{json, truth};
use crate::yaml::{self, Node};

/// The file that makes a folder a skill.
pub const SKILL_FILE: &str = "SKILL.md";
/// Where skills are looked for when a project does not say: in the project, and in the home of whoever runs it.
pub const USUAL_SKILLS: [&str; 2] = ["skills", "~/.quorate/skills"];
/// Longest front matter of a skill.
pub const MAX_FRONT_MATTER_BYTES: usize = 64 * 1024;

/// Longest name of a skill, in characters.
const MAX_NAME: usize = 64;
/// Longest description, in characters: every model reads it before it knows whether it needs the skill.
const MAX_DESCRIPTION: usize = 1_024;
/// Longest word on what a skill needs around it, in characters.
const MAX_COMPATIBILITY: usize = 500;
/// Names that are listed where one is missing.
const MAX_LISTED: usize = 12;

/// What the front matter of a skill says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillSpec {
    /// Its name, which is that of its folder.
    pub name: String,
    /// What it is good for, and when.
    pub description: String,
    /// Its version.
    pub version: Option<String>,
    /// Words by which people find it.
    pub tags: Vec<String>,
    /// Under which terms it may be used.
    pub license: Option<String>,
    /// What it needs around it.
    pub compatibility: Option<String>,
    /// The tools that it means to use.
    pub allowed_tools: Vec<String>,
    /// Whatever else its author wrote down.
    pub metadata: BTreeMap<String, String>,
    /// Its file, as it is shown.
    pub path: Arc<str>,
}

/// The skills of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skills {
    /// Those that tasks get, by name.
    pub known: BTreeMap<String, SkillSpec>,
    /// Those of which another one of the same name comes first.
    pub shadowed: Vec<SkillSpec>,
    /// Those with mistakes.
    broken: BTreeSet<String>,
}

/// A folder in which skills are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillDirectory {
    /// Its path: inside the project, or from elsewhere, where `~` is the home of whoever runs it.
    pub path: String,
    /// Whether they may lie deeper in it.
    pub recursive: bool,
    /// Where it stands in the project's file, if it does.
    pub span: Option<Span>,
}

impl SkillDirectory {
    /// Whether it lies outside of the project.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        is_elsewhere(&self.path)
    }
}

fn is_elsewhere(path: &str) -> bool {
    path.starts_with(['~', '/', '\\']) || path.contains(':') || path.split(['/', '\\']).any(|part| part == "..")
}

/// Where the skills of a project are looked for, in the order in which they count: those of the project come first.
#[must_use]
pub fn skill_directories(project: &Source) -> Vec<SkillDirectory> {
    let tree = yaml::parse(&project.text).0;
    let written = tree.as_ref().and_then(|tree| PROJECT.get(tree, "skill_directories"));
    let Some(written) = written else {
        return USUAL_SKILLS.into_iter().map(|path| SkillDirectory { path: path.to_owned(), recursive: true, span: None }).collect();
    };
    let one = |node: &Node| {
        let path = if node.entries().is_empty() { Some(node) } else { SKILL_DIRECTORY.get(node, "path") }?;
        let recursive = SKILL_DIRECTORY.get(node, "recursive").and_then(truth).unwrap_or(true);
        Some(SkillDirectory { path: path.text()?.trim_start_matches("./").to_owned(), recursive, span: Some(path.span) })
    };
    let nodes = if written.items().is_empty() { std::slice::from_ref(written) } else { written.items() };
    let mut found: Vec<SkillDirectory> = nodes.iter().filter_map(one).collect();
    found.sort_by_key(SkillDirectory::is_elsewhere);
    found
}

/// The front matter of a skill and what follows it, or why there is none. The front matter begins with its first line, so
/// that places in it are places in the file.
///
/// # Errors
/// What is missing.
pub fn front_matter(text: &str) -> Result<(&str, &str), &'static str> {
    let mut end = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_fence = line.trim_start_matches('\u{feff}').trim_end() == "---";
        match (number, is_fence) {
            (0, false) => return Err("it does not begin with a line `---`"),
            (0, true) | (_, false) => end += line.len(),
            (_, true) => return Ok((&text[..end], &text[end + line.len()..])),
        }
    }
    Err(if text.is_empty() { "it is empty" } else { "the line `---` that ends the front matter is missing" })
}

impl Skills {
    /// Takes in the front matter of one skill. Those that come first are the ones that count.
    pub(crate) fn read(&mut self, source: &Source, problems: &mut Vec<Diagnostic>) {
        let folder = source.path.rsplit('/').nth(1).unwrap_or_default();
        let mut found = Vec::new();
        let skill = read(source, folder, &mut found);
        let elsewhere = is_elsewhere(&source.path);
        // What lies in somebody's home does not keep a project from running, unless it needs it.
        let lasting = |problem: Diagnostic| if elsewhere { Diagnostic { severity: Severity::Warning, ..problem } } else { problem };
        let sound = !found.iter().any(Diagnostic::is_error);
        problems.extend(found.into_iter().map(lasting));
        let Some(skill) = skill.filter(|_| sound) else {
            self.broken.insert(folder.to_owned());
            return;
        };
        let Some(first) = self.known.get(&skill.name) else {
            self.known.insert(skill.name.clone(), skill);
            return;
        };
        if is_elsewhere(&first.path) == elsewhere {
            let problem = Diagnostic::warning("S007", format!("there are two skills called `{}`, and this one is not used", skill.name));
            problems.push(problem.help(format!("the other one is {}", first.path)));
        }
        self.shadowed.push(skill);
    }

    /// What is wrong with the skills that a task requires.
    pub(crate) fn missing(&self, task: &Node) -> Vec<Diagnostic> {
        let Some(node) = TASK.get(task, "required_skills") else { return Vec::new() };
        let wanted = if node.items().is_empty() { std::slice::from_ref(node) } else { node.items() };
        let missing = |node: &&Node| node.text().is_some_and(|name| !self.known.contains_key(name));
        wanted.iter().filter(missing).filter_map(|node| self.not_there(node)).collect()
    }

    fn not_there(&self, node: &Node) -> Option<Diagnostic> {
        let name = node.text()?;
        if self.broken.contains(name) {
            // It has been reported as what it is; where that did not stop the project, this does.
            return Some(Diagnostic::error("S006", format!("the skill `{name}` cannot be used: it has mistakes")).at(node.span));
        }
        let problem = Diagnostic::error("S006", format!("there is no skill `{name}`")).at(node.span);
        Some(problem.help(self.instead_of(name)))
    }

    /// What there is instead of a skill that is missing.
    #[must_use]
    pub fn instead_of(&self, name: &str) -> String {
        let names: Vec<&str> = self.known.keys().map(String::as_str).collect();
        if names.is_empty() {
            return format!("there are none yet: write one in {}/{name}/{SKILL_FILE}", USUAL_SKILLS[0]);
        }
        let near = closest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
        let more = if names.len() > MAX_LISTED { format!(", and {} more", names.len() - MAX_LISTED) } else { String::new() };
        format!("{}there are: {}{more}", near.unwrap_or_default(), names[..names.len().min(MAX_LISTED)].join(", "))
    }
}

/// Checks the front matter of a skill, wherever it lies.
#[must_use]
pub fn check_skill(source: &Source) -> (Option<SkillSpec>, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let spec = read(source, source.path.rsplit('/').nth(1).unwrap_or_default(), &mut problems);
    (spec, problems)
}

fn read(source: &Source, folder: &str, problems: &mut Vec<Diagnostic>) -> Option<SkillSpec> {
    if let Some(why) = &source.unreadable {
        problems.push(Diagnostic::error("Y000", format!("this file cannot be read: {why}")));
        return None;
    }
    let front = match front_matter(&source.text) {
        Ok((front, _)) => front,
        Err(why) => {
            let problem = Diagnostic::error("S001", format!("this is no skill: {why}"));
            problems.push(problem.help("begin it with `---`, `name: …`, `description: …` and `---`, a line each"));
            return None;
        }
    };
    let (tree, mut found) = yaml::parse(front);
    let tree = tree.filter(|tree| !tree.entries().is_empty());
    if let Some(tree) = &tree {
        yaml::check_keys(tree, &mut found);
        SKILL.check(tree, &mut found);
        // Others read this file, too, and may know more fields.
        found.iter_mut().filter(|problem| problem.code == "F001").for_each(|problem| problem.severity = Severity::Warning);
    } else if found.is_empty() {
        found.push(Diagnostic::error("S001", "this is no skill: its front matter says nothing").help("it needs `name` and `description`"));
    }
    problems.append(&mut found);
    let tree = tree?;
    let text = |name| SKILL.get(&tree, name).and_then(Node::text).map(str::to_owned);
    let words = |name| {
        let node = SKILL.get(&tree, name)?;
        let split = |text: &str| text.split([' ', ',']).map(str::to_owned).filter(|word| !word.is_empty()).collect();
        Some(node.text().map_or_else(|| texts(node), split))
    };
    let metadata: BTreeMap<String, String> = SKILL
        .get(&tree, "metadata")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|(key, value)| (key.name.to_string(), value.text().map_or_else(|| json(value).to_string(), str::to_owned)))
        .collect();
    let spec = SkillSpec {
        name: text("name")?,
        description: text("description")?,
        version: text("version").or_else(|| metadata.get("version").cloned()),
        tags: words("tags").unwrap_or_default(),
        license: text("license"),
        compatibility: text("compatibility"),
        allowed_tools: words("allowed-tools").unwrap_or_default(),
        metadata,
        path: source.path.clone(),
    };
    check(&spec, &tree, folder, problems);
    Some(spec)
}

/// What the format asks for beyond its shape.
fn check(spec: &SkillSpec, tree: &Node, folder: &str, problems: &mut Vec<Diagnostic>) {
    let mut report = |code, field, message: String, help: String| {
        let span = SKILL.get(tree, field).map_or(tree.span, |node| node.span);
        problems.push(Diagnostic::error(code, message).at(span).help(help));
    };
    let letters = |next: char| next.is_ascii_lowercase() || next.is_ascii_digit() || next == '-';
    let name = &spec.name;
    let wrong_ends = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(letters) || wrong_ends {
        let help = format!("small letters, digits and single hyphens between them, up to {MAX_NAME}");
        report("S002", "name", format!("`{name}` is no name for a skill"), help);
    } else if name != folder {
        let help = format!("call the folder `{name}`, or the skill `{folder}`");
        report("S003", "name", format!("the skill `{name}` lies in a folder called `{folder}`"), help);
    }
    let length = spec.description.trim().chars().count();
    if length == 0 || length > MAX_DESCRIPTION {
        let help = format!("say in up to {MAX_DESCRIPTION} characters what it does, and when it is of use");
        report("S004", "description", format!("the description has {length} characters"), help);
    }
    let length = spec.compatibility.as_ref().map_or(0, |text| text.chars().count());
    if length > MAX_COMPATIBILITY {
        let help = format!("up to {MAX_COMPATIBILITY}; the rest belongs into the text");
        report("S005", "compatibility", format!("`compatibility` has {length} characters"), help);
    }
}
