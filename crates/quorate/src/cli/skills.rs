//! `quorate skills`: the expertise that tasks of a project may require.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use quorate::host::Host;
use quorate::project::{Diagnostic, Look, SKILL_FILE, SkillSpec, check_skill};
use quorate::skills::{SkillError, front_of, read_skill};
use quorate::{Skill, SkillText};
use serde_json::{Value, json};

use super::context::{Context, counted};
use super::exit::{Exit, Outcome, Problem};
use super::screen::{Cell, Style, Table};

/// Lists skills, shows what they say, checks them.
///
/// Example: quorate skills show python-code-review
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the skills that tasks of the project may require.
    ///
    /// Example: quorate skills list --tag review
    List {
        /// Only those with this tag.
        #[arg(long, value_name = "TAG")]
        tag: Option<String>,
    },
    /// Shows one skill: what its author says about it, what lies beside it, and its text.
    ///
    /// Example: quorate skills show python-code-review
    Show {
        /// Its name.
        skill: String,
    },
    /// Checks skills whole: all of the project, or the folders that are named, which need not belong to one.
    ///
    /// Example: quorate skills check ~/skills/api-design
    Check {
        /// Folders with a SKILL.md.
        folders: Vec<PathBuf>,
    },
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    match &arguments.verb {
        Verb::List { tag } => list(context, tag.as_deref()),
        Verb::Show { skill } => show(context, skill),
        Verb::Check { folders } if folders.is_empty() => check_all(context),
        Verb::Check { folders } => check(context, folders),
    }
}

fn told(spec: &SkillSpec, used: bool) -> Value {
    json!({
        "skill": spec.name,
        "version": spec.version,
        "description": spec.description,
        "tags": spec.tags,
        "license": spec.license,
        "compatibility": spec.compatibility,
        "allowed_tools": spec.allowed_tools,
        "metadata": spec.metadata,
        "file": &*spec.path,
        "used": used,
    })
}

fn list(context: &Context, tag: Option<&str>) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let skills = &host.project().skills;
    let tagged = |spec: &&SkillSpec| tag.is_none_or(|tag| spec.tags.iter().any(|known| known == tag));
    let known: Vec<&SkillSpec> = skills.known.values().filter(tagged).collect();
    let shadowed: Vec<&SkillSpec> = skills.shadowed.iter().filter(tagged).collect();
    if context.global.json {
        let all = known.iter().map(|spec| told(spec, true)).chain(shadowed.iter().map(|spec| told(spec, false)));
        context.screen.out(&json!({ "schema": "quorate.skills/1", "skills": all.collect::<Vec<_>>() }).to_string());
        return Ok(Exit::Succeeded);
    }
    let mut table = Table::new(&["SKILL", "VERSION", "TAGS", "FROM", "WHAT FOR"]);
    for spec in &known {
        let (version, from) = (spec.version.clone().unwrap_or_default(), spec.path.trim_end_matches(SKILL_FILE).trim_end_matches('/'));
        table.row([spec.name.clone().into(), version.into(), spec.tags.join(", ").into(), from.into(), spec.description.clone().into()]);
    }
    match (known.is_empty(), tag) {
        (true, Some(tag)) => context.screen.note(&format!("no skill has the tag `{tag}`")),
        (true, None) => context.screen.note(&format!("this project finds no skills; one is written in skills/NAME/{SKILL_FILE}")),
        (false, _) => table.show(&context.screen),
    }
    for spec in shadowed {
        context.screen.note(&format!("{} is not used: {} comes first", spec.path, skills.known[&spec.name].path));
    }
    Ok(Exit::Succeeded)
}

fn show(context: &Context, name: &str) -> Outcome {
    let host = context.host(&context.folder()?)?;
    let skill = host.skill(name)?;
    let spec = &host.project().skills.known[name];
    let text = text_of(&skill)?;
    if context.global.json {
        let mut whole = told(spec, true);
        whole["schema"] = "quorate.skill/1".into();
        whole["digest"] = skill.digest().to_string().into();
        whole["files"] = json!(text.files);
        whole["body"] = text.body.into();
        context.screen.out(&whole.to_string());
        return Ok(Exit::Succeeded);
    }
    let screen = &context.screen;
    let line = |name: &str, value: &str| screen.out(&format!("{name:<14} {value}"));
    for (name, value) in told(spec, true).as_object().into_iter().flatten() {
        match value {
            Value::String(text) => line(name, text),
            Value::Array(list) if !list.is_empty() => {
                line(name, &list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
            }
            _ => {}
        }
    }
    for (name, value) in &spec.metadata {
        line(name, value);
    }
    line("digest", &skill.digest().to_string());
    for file in &text.files {
        line("beside it", &format!("{} ({} bytes)", file.path, file.bytes));
    }
    screen.out("");
    screen.out(&text.body);
    Ok(Exit::Succeeded)
}

fn text_of(skill: &Skill) -> Result<SkillText, Problem> {
    skill.text.decode().map_err(|wrong| Problem::new(Exit::Failed, format!("the skill `{}` cannot be read: {wrong}", skill.name)))
}

fn check_all(context: &Context) -> Outcome {
    let host = context.read(&context.folder()?)?;
    let in_a_skill = |diagnostic: &&Diagnostic| host.checked.files.get(diagnostic.file).is_some_and(|file| file.path.ends_with(SKILL_FILE));
    let found: Vec<&Diagnostic> = host.checked.diagnostics.iter().filter(in_a_skill).collect();
    show_all(context, &found, &host);
    let looked = host.project().skills.known.values().map(|spec| {
        let skill = host.skill(&spec.name).map_err(|wrong| super::exit::whole(&wrong));
        (spec.name.clone(), spec.path.to_string(), skill)
    });
    let well = tell(context, &looked.collect::<Vec<_>>());
    Ok(if well && !found.iter().any(|diagnostic| diagnostic.is_error()) { Exit::Succeeded } else { Exit::Invalid })
}

fn show_all(context: &Context, found: &[&Diagnostic], host: &Host) {
    let look = Look { color: context.screen.err_color, width: context.screen.width };
    for diagnostic in found {
        context.screen.picture(&diagnostic.render(&host.checked.files, &look));
        context.screen.err("");
    }
}

fn check(context: &Context, folders: &[PathBuf]) -> Outcome {
    let (mut looked, mut wrong) = (Vec::new(), false);
    for folder in folders {
        // A file that is named is meant with its folder.
        let folder: &Path = if folder.ends_with(SKILL_FILE) { folder.parent().unwrap_or(folder) } else { folder };
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let file = whole.join(SKILL_FILE);
        if !file.is_file() {
            let problem = Problem::new(Exit::NotFound, format!("{} is no skill: it holds no {SKILL_FILE}", folder.display()));
            return Err(problem);
        }
        let source = front_of(&file.to_string_lossy(), &file);
        let (spec, found) = check_skill(&source);
        let look = Look { color: context.screen.err_color, width: context.screen.width };
        for diagnostic in &found {
            context.screen.picture(&diagnostic.render(std::slice::from_ref(&source), &look));
            context.screen.err("");
        }
        wrong |= found.iter().any(Diagnostic::is_error);
        if let Some(spec) = spec {
            let skill = read_skill(&spec, &whole).map_err(|wrong| wrong.to_string());
            looked.push((spec.name, folder.display().to_string(), skill));
        }
    }
    let well = tell(context, &looked);
    Ok(if well && !wrong { Exit::Succeeded } else { Exit::Invalid })
}

/// Tells what came of reading skills whole. True where all could be read.
fn tell(context: &Context, looked: &[(String, String, Result<Skill, String>)]) -> bool {
    let well = looked.iter().all(|(_, _, skill)| skill.is_ok());
    if context.global.json {
        let one = |(name, from, skill): &(String, String, Result<Skill, String>)| {
            let digest = skill.as_ref().ok().map(|skill| skill.digest().to_string());
            json!({ "skill": name, "from": from, "digest": digest, "wrong": skill.as_ref().err() })
        };
        let all: Vec<Value> = looked.iter().map(one).collect();
        context.screen.out(&json!({ "schema": "quorate.skill-checks/1", "checks": all }).to_string());
        return well;
    }
    let mut table = Table::new(&["SKILL", "HOW", "WHAT"]);
    for (name, _, skill) in looked {
        let (how, style, what) = match skill {
            Ok(skill) => {
                let about = text_of(skill).map(|text| {
                    let files = if text.files.is_empty() { String::new() } else { format!(", {}", counted(text.files.len(), "file")) };
                    format!("{} of text{files}", counted(text.body.lines().count(), "line"))
                });
                ("well", Style::Good, about.unwrap_or_default())
            }
            Err(wrong) => ("not well", Style::Bad, wrong.clone()),
        };
        table.row([name.clone().into(), Cell::styled(how, style), what.into()]);
    }
    if looked.is_empty() {
        context.screen.note("there is no sound skill to look into");
    } else {
        table.show(&context.screen);
    }
    well
}

impl From<SkillError> for Problem {
    fn from(wrong: SkillError) -> Problem {
        let text = super::exit::whole(&wrong);
        match wrong {
            SkillError::Missing { instead, .. } => Problem::new(Exit::NotFound, text).hint(instead),
            SkillError::Unreadable { .. } => Problem::new(Exit::Invalid, text),
        }
    }
}
