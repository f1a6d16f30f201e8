//! Projects: YAML in, checked definitions out.
//!
//! [`Project::read`] takes the files of a project folder and gives its agents and its workflows, compiled to plans, with
//! every mistake at once: a [`Diagnostic`] knows its file, its place and what to do. What may stand in a file is declared
//! once (`files.rs`); files are checked against it, and [`schema`] makes the JSON Schema of it that editors use.
//!
//! This crate reads no files itself, and calls nobody: the program that does hands the texts over.

mod agents;
mod classify;
mod explain;
mod facts;
mod files;
mod graph;
mod lint;
mod lower;
mod models;
mod modes;
mod pick;
mod policy;
mod project;
mod report;
mod routes;
mod shape;
mod skills;
mod summary;
mod types;
mod yaml;

pub use agents::{AgentSpec, BreakerSpec, Does, ExecSpec, HealthSpec, HttpSpec};
pub use classify::{Because, Classified, Classifier, FieldFound};
pub use explain::{AgentWhy, EXPLANATION_SCHEMA, Explanation, answers, decision_lines, explanation_in, pick_lines, rule_words, with_words};
pub use files::{FOLDERS, PROJECT_FILE};
pub use graph::{Graph, MAX_DRAWN};
pub use lower::Strategy;
pub use models::{ApiSpec, LlmSpec, McpSpec, PROMPTS_FOLDER, PricesSpec, PromptSpec, ToolSpec};
pub use modes::{Comparison, Mode, Side, sequential_name};
pub use pick::{NO_POLICY, Pick, PickedBy, Policies};
pub use policy::Policy;
pub use project::{Checked, MAX_WORKFLOW_DEPTH, Project, TelemetrySpec, Workflow};
pub use quorate_expr::Severity;
pub use report::{Diagnostic, Lines, Look, Source};
pub use routes::{Close, Routed, RoutedBy, Routes, Target, Unheeded};
pub use shape::read_duration;
pub use skills::{
    MAX_FRONT_MATTER_BYTES, SKILL_FILE, SkillDirectory, SkillSpec, Skills, USUAL_SKILLS, check_skill, front_matter, skill_directories,
};
pub use summary::{RUN_SCHEMA, Summary, TaskSummary, millis_between, moment, standing, standing_with};
pub use yaml::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, read_value};

/// Every field of every file, as Markdown: the tables of the book.
#[must_use]
pub fn fields() -> String {
    let mut met: Vec<&'static shape::Object> = files::tops().into_iter().map(|(_, object)| object).collect();
    let mut text = String::new();
    let mut next = 0;
    while let Some(object) = met.get(next).copied() {
        text.push_str(&format!("### {}\n\n{}\n", object.title, object.table(&mut met)));
        next += 1;
    }
    text
}

/// The JSON Schema of a kind of file: `project`, `agents`, `workflows`, `workflow` or `skill`.
#[must_use]
pub fn schema(kind: &str) -> Option<serde_json::Value> {
    let (_, object) = files::tops().into_iter().find(|(name, _)| *name == kind)?;
    let mut definitions = serde_json::Map::new();
    let top = shape::Shape::Object(object).schema(&mut definitions);
    let mut schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Quorate: {}", object.what),
        "$defs": definitions,
    });
    schema["$ref"] = top["$ref"].clone();
    Some(schema)
}
