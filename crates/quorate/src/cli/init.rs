//! `quorate init`: a project to begin with.

use std::path::{Path, PathBuf};

use quorate::project::PROJECT_FILE;
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Outcome, Problem};

/// What a project may begin with: their names, what they show, and their text.
const TEMPLATES: [(&str, &str, &str); 8] = [
    ("ci", "checks side by side, then build and deploy", include_str!("../../templates/ci.yaml")),
    ("etl", "rows that are read, cleaned one by one, and loaded", include_str!("../../templates/etl.yaml")),
    ("review", "two of three reviewers have to come to a result", include_str!("../../templates/review.yaml")),
    ("approval", "a payment that somebody has to agree to", include_str!("../../templates/approval.yaml")),
    ("map-reduce", "each item by itself, then all together", include_str!("../../templates/map-reduce.yaml")),
    ("saga", "steps that are undone when a later one fails", include_str!("../../templates/saga.yaml")),
    ("loop", "write and judge until it is good", include_str!("../../templates/loop.yaml")),
    (POLICIES, "work that gets a policy, and is decided by rules, voices or people", include_str!("../../templates/policies.yaml")),
];
const AGENTS: &str = include_str!("../../templates/agents.yaml");
/// The template of which the text is no workflow, and its agents.
const POLICIES: &str = "policies";
const POLICY_AGENTS: &str = include_str!("../../templates/policies.agents.yaml");

/// Makes a project to begin with.
///
/// Example: quorate init payments --template approval
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder; the current one where it is not given.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// What it begins with; `--template list` says what there is.
    #[arg(long, short, default_value = "ci")]
    template: String,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let screen = &context.screen;
    if arguments.template == "list" {
        if context.global.json {
            let templates: Vec<_> = TEMPLATES.iter().map(|(name, about, _)| json!({ "name": name, "about": about })).collect();
            screen.out(&json!({ "schema": "quorate.templates/1", "templates": templates }).to_string());
            return Ok(Exit::Succeeded);
        }
        for (name, about, _) in TEMPLATES {
            screen.out(&format!("{name:<12} {about}"));
        }
        return Ok(Exit::Succeeded);
    }
    let Some((name, about, text)) = TEMPLATES.into_iter().find(|(name, ..)| *name == arguments.template) else {
        let names = TEMPLATES.map(|(name, ..)| name);
        let near = quorate::expr::closest(&arguments.template, names)
            .map_or_else(|| format!("there are: {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
        return Err(Problem::new(Exit::NotFound, format!("there is no template `{}`", arguments.template)).hint(near));
    };
    let folder = &arguments.folder;
    if folder.join(PROJECT_FILE).exists() {
        let problem = Problem::new(Exit::Conflict, format!("{} is a project already", folder.display()));
        return Err(problem.hint("nothing was changed"));
    }
    let title = std::path::absolute(folder).ok().and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
    let title = serde_json::Value::from(title.unwrap_or_else(|| name.to_owned()));
    let project = format!(
        "name: {title}\ndescription: {about}\ndefault: {name}\nlimits: {{ max_concurrent_agents: 10 }}\n\
         groups:\n  clerks: [ann, bob]\n  heads: [cid]\n"
    );
    let (agents, place) =
        if name == POLICIES { (POLICY_AGENTS, format!("policies/{name}.yaml")) } else { (AGENTS, format!("workflows/{name}.yaml")) };
    let files = [
        (PROJECT_FILE.to_owned(), project.as_str()),
        ("agents/agents.yaml".to_owned(), agents),
        (place, text),
        (".gitignore".to_owned(), ".quorate/\n"),
    ];
    for (path, _) in &files {
        if path != ".gitignore" && folder.join(path).exists() {
            let problem = Problem::new(Exit::Conflict, format!("{} is there already", folder.join(path).display()));
            return Err(problem.hint("nothing was changed"));
        }
    }
    for (path, text) in &files {
        let path = folder.join(path);
        if path.exists() {
            screen.note(&format!("left {} as it is; it should have the line .quorate/", path.display()));
        } else {
            write(&path, text)?;
            screen.note(&format!("wrote {}", path.display()));
        }
    }
    let run = text.lines().find_map(|line| line.strip_prefix("# Run it:")).unwrap_or_default().trim();
    if context.global.json {
        let files: Vec<String> = files.iter().map(|(path, _)| folder.join(path).display().to_string()).collect();
        screen.out(&json!({ "schema": "quorate.init/1", "template": name, "files": files }).to_string());
        return Ok(Exit::Succeeded);
    }
    let there = if folder == Path::new(".") { String::new() } else { format!("cd {} && ", folder.display()) };
    screen.note(&format!("try it:  {there}{run}"));
    Ok(Exit::Succeeded)
}

fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let wrong = |wrong: std::io::Error| Problem::new(Exit::Failed, format!("could not write {}: {wrong}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(wrong)?;
    }
    std::fs::write(path, text).map_err(wrong)
}
