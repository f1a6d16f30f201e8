//! What people see of the mistakes in their files.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fmt::Write as _;

use quorate_project::{Checked, Look, Project, Source};

const FUNCTIONS: [&str; 4] = ["std.echo", "std.set", "std.sleep", "std.fail"];

/// A project of these files, each introduced by a line `--- path`.
fn project(text: &str) -> Checked {
    let files = text.split("--- ").skip(1).map(|file| {
        let (path, text) = file.split_once('\n').unwrap();
        Source::new(path.trim(), text)
    });
    Project::read(files.collect(), &FUNCTIONS)
}

/// Everything that is wrong with these files, as it is shown.
fn shown(text: &str) -> String {
    let checked = project(text);
    let mut shown = String::new();
    for diagnostic in &checked.diagnostics {
        writeln!(shown, "{}\n", diagnostic.render(&checked.files, &Look { color: false, width: 100 })).unwrap();
    }
    shown
}

/// What is wrong with a workflow of these tasks.
fn tasks(text: &str) -> String {
    shown(&format!("--- workflows/w.yaml\ntasks:\n{text}"))
}

#[test]
fn what_is_no_yaml_is_said_with_its_place() {
    insta::assert_snapshot!(shown("--- workflows/w.yaml\ntasks:\n\t- id: a\n"), @"
    error[Y002]: this is not YAML: tabs disallowed within this context (block indentation)
     --> workflows/w.yaml:2:2
      |
    2 |     - id: a
      |     ^
      |
      = help: YAML is indented with spaces, never with tabs
    ");
    insta::assert_snapshot!(shown("--- workflows/w.yaml\ntasks: [\"a\n"), @r#"
    error[Y002]: this is not YAML: unclosed quote
     --> workflows/w.yaml:1:9
      |
    1 | tasks: ["a
      |         ^
    "#);
    insta::assert_snapshot!(shown("--- workflows/w.yaml\na: &x [1]\ntasks: *x\n"), @"
    error[Y003]: aliases are not followed
     --> workflows/w.yaml:2:8
      |
    2 | tasks: *x
      |        ^^
      |
      = help: write out what it stands for: what a reader sees is what runs
    ");
    insta::assert_snapshot!(shown("--- workflows/w.yaml\ntasks: []\n---\ntasks: []\n"), @"
    error[Y004]: a second document begins here
     --> workflows/w.yaml:2:1
      |
    2 | ---
      | ^^^
      |
      = help: put it into a file of its own
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, id: b}\n"), @"
    error[Y008]: `id` is given twice
     --> workflows/w.yaml:2:30
      |
    2 |   - {id: a, agent: std.echo, id: b}
      |      --                      ^^
      |      |
      |      it is given here already
    ");
    insta::assert_snapshot!(tasks("  - !task {id: a, agent: std.echo}\n"), @"
    error[Y006]: the tag `!task` means nothing here
     --> workflows/w.yaml:2:11
      |
    2 |   - !task {id: a, agent: std.echo}
      |           ^
      |
      = help: leave it out
    ");
}

#[test]
fn fields_are_checked_against_what_may_be_there() {
    insta::assert_snapshot!(tasks("  - {id: a, agnet: std.echo}\n"), @"
    error[F001]: a task has no field `agnet`
     --> workflows/w.yaml:2:13
      |
    2 |   - {id: a, agnet: std.echo}
      |             ^^^^^
      |
      = help: did you mean `agent`?
    ");
    insta::assert_snapshot!(tasks("  - {agent: std.echo}\n"), @"
    error[F002]: a task needs `id`
     --> workflows/w.yaml:2:5
      |
    2 |   - {agent: std.echo}
      |     ^^^^^^^^^^^^^^^^^
      |
      = help: its name, unique in the workflow
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, optional: yes}\n"), @"
    error[F003]: `optional` takes true or false, not `yes`
     --> workflows/w.yaml:2:40
      |
    2 |   - {id: a, agent: std.echo, optional: yes}
      |                                        ^^^
      |
      = help: write `true`
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, priority: 11}\n"), @"
    error[F005]: `priority` is a whole number from 1 to 10, not 11
     --> workflows/w.yaml:2:40
      |
    2 |   - {id: a, agent: std.echo, priority: 11}
      |                                        ^^
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, timeout: 5 minutes}\n"), @"
    error[F003]: `timeout` takes a length of time, such as 500ms, 30s or 1h 30m, not `5 minutes`
     --> workflows/w.yaml:2:39
      |
    2 |   - {id: a, agent: std.echo, timeout: 5 minutes}
      |                                       ^^^^^^^^^
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, join: al}\n"), @"
    error[F004]: `join` is one of all, none_failed, settled, any, not `al`
     --> workflows/w.yaml:2:36
      |
    2 |   - {id: a, agent: std.echo, join: al}
      |                                    ^^
      |
      = help: did you mean `all`?
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, timeout: 5s, timeout_seconds: 5}\n"), @"
    error[F007]: `timeout_seconds` and `timeout` are two names of the same field
     --> workflows/w.yaml:2:43
      |
    2 |   - {id: a, agent: std.echo, timeout: 5s, timeout_seconds: 5}
      |                                           ^^^^^^^^^^^^^^^
      |
      = help: give one of them
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, when: {{ b.ok }} }\n"), @"
    error[F003]: `when` takes a condition, not a mapping
     --> workflows/w.yaml:2:36
      |
    2 |   - {id: a, agent: std.echo, when: {{ b.ok }} }
      |                                    ^^^^^^^^^^
      |
      = help: put it in quotes: without them, `{` and `: ` begin a mapping

    error[Y007]: a key must be a name
     --> workflows/w.yaml:2:37
      |
    2 |   - {id: a, agent: std.echo, when: {{ b.ok }} }
      |                                     ^^^^^^^^
    ");
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, output: nubmer}\n"), @"
    error[F010]: `nubmer` is not a type
     --> workflows/w.yaml:2:38
      |
    2 |   - {id: a, agent: std.echo, output: nubmer}
      |                                      ^^^^^^
      |
      = help: did you mean `number`?
    ");
}

#[test]
fn conditions_are_underlined_where_they_are_wrong() {
    let before = "  - {id: score, agent: std.echo, output: {confidence: confidence, ok: bool}}\n";
    insta::assert_snapshot!(tasks(&format!("{before}  - {{id: b, agent: std.echo, depends_on: score, when: score.confidnce > 0.9}}\n")), @"
    error[X030]: unknown name `score.confidnce`
     --> workflows/w.yaml:3:55
      |
    3 |   - {id: b, agent: std.echo, depends_on: score, when: score.confidnce > 0.9}
      |                                                       ^^^^^^^^^^^^^^^
      |
      = help: did you mean `score.confidence`?
    ");
    insta::assert_snapshot!(tasks(&format!("{before}  - id: b\n    agent: std.echo\n    depends_on: [score]\n    when: >-\n      score.ok\n      and score.confidence > 'high'\n")), @"
    error[X042]: a number from 0 to 1 cannot be compared with the text 'high'
     --> workflows/w.yaml:8:11
      |
    8 |       and score.confidence > 'high'
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: a number is written without quotes
    ");
    insta::assert_snapshot!(tasks(&format!("{before}  - id: b\n    agent: std.echo\n    depends_on: [score]\n    params: {{note: \"it is \\u00e9 {{{{ score.okay }}}}\"}}\n")), @r#"
    error[X030]: unknown name `score.okay`
     --> workflows/w.yaml:6:37
      |
    6 |     params: {note: "it is \u00e9 {{ score.okay }}"}
      |                                     ^^^^^^^^^^
      |
      = help: did you mean `score.ok`?
    "#);
}
