//! What people see of the mistakes in their files.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fmt::Write as _;

use quorate_project::{BreakerSpec, Checked, Look, Project, Source};

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
    insta::assert_snapshot!(tasks("  - {id: a, agent: std.echo, when: {{ b.ok }} }\n"), @r#"
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
      |
      = help: a value in braces stands in quotes: "{{ … }}"
    "#);
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

/// Every mistake in a line: its place, its code, what is wrong and what to do.
fn told(text: &str) -> String {
    let checked = project(text);
    let mut told = String::new();
    for diagnostic in &checked.diagnostics {
        let file = &checked.files[diagnostic.file];
        let (line, column) = diagnostic.span.map_or((0, 0), |span| file.lines().place(span.start));
        let kind = if diagnostic.is_error() { "error" } else { "warning" };
        let help = diagnostic.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
        writeln!(told, "{}:{line}:{column} {kind}[{}] {}{help}", file.path, diagnostic.code, diagnostic.message).unwrap();
    }
    told
}

/// Words of a project that mean the same as a mapping with nothing in it.
#[test]
fn what_is_as_usual_needs_no_fields() {
    let checked = project(
        "--- agents/a.yaml\nagents: { a: { http: 'env:URL', breaker: ON }, b: { http: 'env:URL', breaker: off } }\n\
         --- workflows/w.yaml\nbudget: { tokens: 9, on_limit: Ask }\ntasks: [{ id: t, agent: a }]\n",
    );
    assert_eq!(checked.diagnostics, []);
    let breaker = |id: &str| checked.project.agents[id].breaker;
    assert_eq!(breaker("a"), Some(BreakerSpec::On { failures: None, within: None, open_for: None, trials: None }));
    assert_eq!(breaker("b"), Some(BreakerSpec::Off));
    let plan = &checked.project.workflows["w"].plan;
    assert!(plan.asks_for_budget() && plan.task_count() == 2);
}

#[test]
fn who_cannot_send_spans_says_so_where_they_are_asked_for() {
    let mut checked = project(
        "--- quorate.yaml\nname: x\ntelemetry: { endpoint: 'http://127.0.0.1:4318' }\n--- workflows/w.yaml\ntasks: [{ id: t, agent: std.echo }]\n",
    );
    assert!(checked.is_sound());
    checked.sends_no_spans();
    assert!(!checked.is_sound());
    insta::assert_snapshot!(checked.diagnostics[0].render(&checked.files, &Look { color: false, width: 100 }), @"
    error[F013]: this program was built without the feature `otel`, and sends no spans
     --> quorate.yaml:2:12
      |
    2 | telemetry: { endpoint: 'http://127.0.0.1:4318' }
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: build it with `--features otel`, or leave `telemetry` out
    ");
}

#[test]
fn names_that_would_steer_a_terminal_are_seen_as_what_they_are() {
    let shown = shown(
        "--- agents/a.yaml\nagents: { \"a\\e[31mb\": { use: std.echo } }\n--- workflows/w.yaml\ntasks: [{ id: t, agent: \"a\\e[32mb\" }]\n",
    );
    assert!(!shown.contains('\u{1b}'), "{shown}");
    insta::assert_snapshot!(shown, @r#"
    error[A031]: `a\u{1b}[31mb` cannot be the name of an agent
     --> agents/a.yaml:1:11
      |
    1 | agents: { "a\e[31mb": { use: std.echo } }
      |           ^^^^^^^^^^
      |
      = help: a name begins with a letter or a digit, and goes on with letters, digits, `_`, `-`, `.`, `:`, `+` and spaces

    error[A010]: there is no agent `a␛[32mb`
     --> workflows/w.yaml:1:25
      |
    1 | tasks: [{ id: t, agent: "a\e[32mb" }]
      |                         ^^^^^^^^^^
      |
      = help: did you mean `a�[31mb`?
    "#);
}

#[test]
fn every_kind_of_mistake_has_a_place_a_code_and_a_way_out() {
    let mut all = String::new();
    let mut add = |files: &str| all.push_str(&told(files));
    // Tasks, one mistake each.
    for task in [
        "{ id: and, agent: std.echo }",
        "{ id: 1st, agent: std.echo }",
        "{ id: a }",
        "{ id: a, agent: std.echo, workflow: w }",
        "{ id: a, approval: { question: 'Go?' }, capability: flying }",
        "{ id: a, wait: { for: 1s }, params: { x: 1 } }",
        "{ id: a, approval: { question: 'Go?' }, input: { x: 1 } }",
        "{ id: a, workflow: other }",
        "{ id: a, workflow: w }",
        "{ id: a, agent: nobody }",
        "{ id: a, capability: flying }",
        "{ id: a, agent: std.echo, depends_on: [a] }",
        "{ id: a, agent: std.echo, depends_on: [b, b] }",
        "{ id: a, agent: std.echo, depends_on: [c] }",
        "{ id: a, agent: std.echo, join: any }",
        "{ id: a, agent: std.echo, depends_on: [b], join: { at_least: 2 } }",
        "{ id: a, agent: std.echo, depends_on: [b], join: { needs: any, at_least: 1 } }",
        "{ id: a, agent: std.echo, depends_on: [b], join: { on_late: skip } }",
        "{ id: a, agent: std.echo, when: 'b.ok' }",
        "{ id: a, agent: std.echo, depends_on: [b], when: 'b.ok and' }",
        "{ id: a, agent: std.echo, depends_on: [b], when: 'b.ok = true' }",
        "{ id: a, agent: std.echo, depends_on: [b], when: 'b.score' }",
        "{ id: a, agent: std.echo, depends_on: [b], when: 'b.score > 2' }",
        "{ id: a, agent: std.echo, depends_on: [b], when: 'b.ok > 3' }",
        "{ id: a, agent: std.echo, params: { text: 'Hello {{ input.name' } }",
        "{ id: a, agent: std.echo, params: { text: '{{ nobody }}' } }",
        "{ id: a, approval: { question: 'Go?', by: { group: leads, at_least: 5 } } }",
        "{ id: a, agent: std.echo, when: '{{ input.go }}' }",
        "{ id: a, agent: std.echo, depends_on: [b], join: settled, params: { text: ['scored {{ b.score }}'] } }",
        "{ id: a, agent: std.echo, depends_on: [b], join: settled, params: { text: '{{ default(b.score, 0) }}' }, when: b.ok }",
        "{ id: a, agent: std.echo, depends_on: [b], join: settled, params: { text: '{{ b.score }}' }, when: completed(b) }",
        "{ id: a, agent: std.echo, for_each: { items: 'b.score' }, depends_on: [b] }",
        "{ id: a, agent: std.echo, repeat: { from: b, while: never, max: 2 } }",
        "{ id: a, agent: std.echo, repeat: { from: a, max: 2 } }",
        "{ id: a, agent: std.echo, repeat: { from: a, while: never, max: 0 } }",
        "{ id: a, agent: std.echo, compensate: c }",
        "{ id: a, agent: std.echo, may_add: [b] }",
        "{ id: a, agent: std.echo, on_demand: true }",
        "{ id: a, agent: std.echo, on_demand: true, finally: true }",
        "{ id: a, agent: std.echo, retry: { max_retries: 5, backoff: 2 } }",
        "{ id: a, agent: std.echo, retry: { jitter: 2 } }",
        "{ id: a, agent: std.echo, retry: { on: [tired] } }",
        "{ id: a, agent: std.echo, output: [number, text] }",
        "{ id: a, agent: std.echo, output: { type: number, minimum: 2, maximum: 1 } }",
        "{ id: a, wait: {} }",
        "{ id: a, wait: { until: 'tomorrow' } }",
        "{ id: a, wait: { for: 1h }, timeout: 1s }",
        "{ id: a, approval: {} }",
        "{ id: a, approval: { question: 'Go?', by: { users: [ann], at_least: 2 } } }",
        "{ id: a, approval: { question: 'Go?', on_expiry: maybe, within: 1h } }",
        "{ id: a, approval: { question: 'Go?', choices: [{ name: no, rejects: true }] } }",
        "{ id: a, approval: { question: 'Go?', then: [{ group: heads }] } }",
        "{ id: a, approval: { question: 'Go?', not_by: [nobody] } }",
        "{ id: a, approval: { question: 'Go?', by: [] } }",
        "{ id: a, approval: { question: 'Go?', by: { group: ledas } } }",
        "{ id: a, approval: { question: 'Go?', choices: [approve, deny] } }",
        "{ id: a, approval: }",
        "{ id: a, agent: std.echo, capabilities: [flying] }",
        "{ id: a, approval: { question: 'Go?' }, compensate: b }",
    ] {
        let b = "{ id: b, agent: std.echo, output: { ok: bool, score: confidence } }";
        add(&format!("--- workflows/w.yaml\ntasks:\n  - {b}\n  - {task}\n"));
    }
    // Workflows.
    add("--- workflows/w.yaml\nstrategy: parallel\ntasks: [{ id: a, agent: std.echo }, { id: b, agent: std.echo, depends_on: a }]\n");
    add("--- workflows/w.yaml\nstrategy: conditional\ntasks: [{ id: a, agent: std.echo }]\n");
    add("--- workflows/w.yaml\nstrategy: zigzag\ntasks: [{ id: a, agent: std.echo }]\n");
    add("--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo, depends_on: b }, { id: b, agent: std.echo, depends_on: a }]\n");
    add("--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }, { id: a, agent: std.set }]\n");
    add("--- workflows/w.yaml\ntasks: []\n");
    add("--- workflows/w.yaml\nmax_parallel_tasks: 0\ntasks: [{ id: a, agent: std.echo }]\n");
    add("--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }]\ncheckpoints: [{ after: a, condition: always }]\n");
    add("--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }]\ncheckpoints: [{ after: c, condition: always, action: STOP }]\n");
    add("--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }]\non_unknown: AUTO_RESOLVE\n");
    add("--- workflows/w.yaml\nsteps: [{ name: a, agent: std.echo }]\napproval_points: [b]\n");
    add("--- workflows/w.yaml\nsteps: [{ name: a, agent: std.echo }]\napproval: { question: Go? }\n");
    add(
        "--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }, { id: b, agent: std.echo, depends_on: a, join: any }]\napproval_points: [a]\n",
    );
    add(
        "--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }]\napproval_points: [a]\ncheckpoints: [{ after: a, condition: always, action: STOP }]\n",
    );
    add("--- workflows/w.yaml\ndefault_agent: nobody\ntasks: [{ id: a }]\n");
    add("--- workflows/v.yaml\nid: w\ntasks: [{ id: a, agent: std.echo }]\n--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }]\n");
    add("--- workflows/v.yaml\ntasks: [{ id: a, workflow: w }]\n--- workflows/w.yaml\ntasks: [{ id: a, workflow: v }]\n");
    add("--- workflows/w.yaml\njust a text\n");
    // Agents and the project.
    add("--- agents/a.yaml\nagents: { a: { use: std.ehco } }\n");
    add("--- agents/a.yaml\nagents: { a: { version: 1 } }\n");
    add("--- agents/a.yaml\nagents: { a: { use: std.echo, exec: [a] } }\n");
    add("--- agents/a.yaml\nagents: { a: { exec: [] } }\n");
    add("--- agents/a.yaml\nagents: { a: { exec: { command: [a], folder: ../elsewhere } } }\n");
    add("--- agents/a.yaml\nagents: { a: { exec: 'python3 a.py' } }\n");
    add("--- agents/a.yaml\nagents: { a: { use: std.echo, effect: twice } }\n");
    add("--- agents/a.yaml\nagents: { a: { use: std.echo } }\n--- agents/b.yaml\nagents: { a: { use: std.set } }\n");
    add("--- agents/a.yaml\nagents: { a: { use: std.echo, enabled: false } }\n--- workflows/w.yaml\ntasks: [{ id: t, agent: a }]\n");
    add("--- quorate.yaml\nname: house\ndefault: nothing\n");
    add("--- quorate.yaml\nnmae: house\n");
    add(
        "--- quorate.yaml\ngroups: { few: [ann] }\n--- workflows/w.yaml\ntasks: [{ id: a, approval: { question: 'Go?', by: { group: few, at_least: 2 } } }]\n",
    );
    add("--- quorate.yaml\ndefault: w\n--- workflows/w.yaml\ntask: [{ id: a, agent: std.echo }]\n");
    add("--- quorate.yaml\ndefault: w\n--- workflows/w.yaml\ntasks:\n\t- { id: a }\n");
    add("--- agents/a.yaml\nagents: { std.echo: { exec: [cat] } }\n--- workflows/w.yaml\ntasks: [{ id: a, agent: std.echo }]\n");
    let agent = |text: &str| format!("--- agents/a.yaml\nagents: {{ a: {text} }}\n");
    add(&agent("{ use: std.echo, version: 1.0, versions: { 1.0: { use: std.set }, 2.0: {} } }"));
    add(&agent("{ sticky_by: 'input.a+', versions: { 1.0: { use: std.set }, 2.0: { exec: [cat] } } }"));
    add(
        "--- agents/a.yaml\nagents: { '': { use: std.echo }, '--help': { use: std.echo }, a@2: { use: std.echo }, \"a\\e[31m\": { use: std.echo } }\n",
    );
    add("--- workflows/w.yaml\nid: \"../w\\t\"\ntasks: [{ id: t, agent: std.echo }]\n");
    add(&agent("{ http: { url: [], headers: { 'bad header': x } } }"));
    add(&agent("{ versions: { 1.0: { use: std.set, instances: 2 } } }"));
    add(&agent("{ versions: { 1.0: { use: std.set, share: 0 }, 2.0: { use: std.echo, share: 0 } } }"));
    add(&agent("{ use: std.echo, sticky_by: customer }"));
    add(&agent("{ use: std.echo, health: { path: /health } }"));
    add(&agent("{ http: localhost:8080 }"));
    add(&agent("{ http: { url: ['https://me:secret@example.com/', env:OTHER] } }"));
    add(&agent("{ http: { url: env:URL, allow_privat: true } }"));
    add(&agent("{ http: env:URL, breaker: sometimes, health: daily }"));
    add("--- workflows/w.yaml\nbudget: { tokens: 9, on_limit: shrug }\ntasks: [{ id: a, agent: std.echo }]\n");
    let prompts = "--- prompts/judge.md\nIs {{ amout }} much?\n{% if %}\n--- prompts/other.md\nIs {{ amount }} of {{ input.all }} {{ currency }} much?\n";
    let model = |text: &str| format!("{}{prompts}", agent(&format!("{{ llm: {text} }}")));
    add(&model("{ model: m, prompt: juge.md }"));
    add(&model("{ model: m, prompt: judge.md }"));
    add(&model("{ model: m, prompt: other.md, inputs: { amounts: number } }"));
    add(&model("{ model: m, inputs: number, key: sk-live-123456 }"));
    add(&model("{ model: '', key: 'env:', headers: { 'x\\ny': z } }"));
    add(&model("{ model: m, url: localhost:11434, tools: [a, std.eco, { agent: std.echo, input: text, only: [x] }] }"));
    add(
        "--- agents/a.yaml\nagents:\n  a: { llm: { model: m, tools: [b] } }\n  b: { llm: { model: m, tools: [{ agent: c }] } }\n  c: { effect: once, llm: { model: m, tools: [a] } }\n",
    );
    add(&agent("{ mcp: { tool: x } }"));
    add(&agent("{ mcp: { command: [x], url: 'http://x', folder: ../x } }"));
    add(&agent("{ mcp: { from: a, tool: x } }"));
    add("--- workflows/w.yaml\noutput: '{{ a }}'\ntasks: [{ id: a, agent: std.echo, optional: true }]\n");
    add("--- quorate.yaml\nlimits: { max_concurrent_agents: many }\n");
    let kinds: std::collections::BTreeSet<&str> =
        all.split(['[', ']']).filter(|code| code.len() == 4 && code[1..].chars().all(|c| c.is_ascii_digit())).collect();
    assert!(kinds.len() >= 40, "{} kinds: {kinds:?}", kinds.len());
    insta::assert_snapshot!(all, @r"
    workflows/w.yaml:3:11 error[P004] `and` means something else in conditions | choose another name
    workflows/w.yaml:3:11 error[P004] `1st` cannot be the name of a task | a name starts with a letter, goes on with letters, digits, `_` and `-`, and has up to 128 of them
    workflows/w.yaml:3:11 error[P021] nothing says who does `a` | name an agent, or at least one capability
    workflows/w.yaml:3:21 error[W004] a task does one thing, and this one has both `workflow` and `agent` | make two tasks of it
    workflows/w.yaml:3:41 error[W012] these workflows call each other: w → w | a loop is written as `repeat`
    workflows/w.yaml:3:57 error[W004] a task does one thing: with `approval`, no agent is looked for | leave out `capabilities`, or make two tasks of it
    workflows/w.yaml:3:41 error[P020] only an agent gets parameters
    workflows/w.yaml:3:52 error[P020] only an agent or a workflow gets an input
    workflows/w.yaml:3:24 error[W011] there is no workflow `other`
    workflows/w.yaml:3:24 error[W012] these workflows call each other: w → w | a loop is written as `repeat`
    workflows/w.yaml:3:21 error[A010] there is no agent `nobody` | write one in the folder `agents`
    workflows/w.yaml:3:26 error[A012] no agent can do flying | no agent of this project has capabilities
    workflows/w.yaml:3:43 error[P011] `a` depends on itself
    workflows/w.yaml:3:43 error[P012] `b` is named twice
    workflows/w.yaml:3:43 error[P010] there is no task `c`
    workflows/w.yaml:3:37 error[P015] `a` has a join but no dependencies to join
    workflows/w.yaml:3:54 error[P016] this join cannot fire: it needs 2 of its dependencies, and only 1 can run without being added | it has no more dependencies than these
    workflows/w.yaml:3:78 error[W005] `needs` and `at_least` both say what the join needs | leave one of them out
    workflows/w.yaml:3:54 error[P015] `on_late` says what happens after `within`, which is missing
    workflows/w.yaml:3:38 error[X034] `b.ok` cannot be read here: nothing says that `b` ends before `a` starts; let `a` depend on it
    workflows/w.yaml:3:63 error[X011] the condition ends where a value should stand
    workflows/w.yaml:3:60 error[X005] `=` does not compare | write `==`
    workflows/w.yaml:3:55 error[X040] a condition is true or false, but this is a number from 0 to 1
    workflows/w.yaml:3:55 warning[X044] `b.score > 2` can never hold | the value is declared as a number from 0 to 1
    workflows/w.yaml:3:55 error[X042] true or false cannot be compared with the number 3
    workflows/w.yaml:3:54 error[X060] this `{{` is never closed | end the expression with `}}`
    workflows/w.yaml:3:47 error[W009] there is no group `leads` | groups stand in quorate.yaml, under `groups`
    workflows/w.yaml:3:38 error[X011] a value is missing before `{` | a condition stands without braces
    workflows/w.yaml:3:80 warning[P027] `b` may have failed or been skipped by then, and `a` fails for want of it | say what stands in its place, as in default(b, …), or ask for it in `when`
    workflows/w.yaml:3:50 error[P026] `for_each` takes a list, and this is a number from 0 to 1
    workflows/w.yaml:3:39 error[P019] `b` does not come before `a`, so there is no section to repeat
    workflows/w.yaml:3:39 error[F002] a repeated section needs `while` | again while this holds
    workflows/w.yaml:3:69 error[F005] `max` is a whole number from 1 to 10000, not 0
    workflows/w.yaml:3:43 error[P010] there is no task `c`
    workflows/w.yaml:3:40 error[P018] `b` runs anyway; one that is added has the role catalogue
    workflows/w.yaml:3:42 error[P017] `a` can never run: no checkpoint and no agent can add it
    workflows/w.yaml:3:5 error[W003] `a` cannot both run at the end and only when it is added | leave out `finally` or `on_demand`
    workflows/w.yaml:3:56 error[F001] a retry has no field `backoff` | it may have: max_retries, initial_delay, multiplier, max_delay, jitter, on
    workflows/w.yaml:3:48 error[F005] `jitter` is a number from 0 to 1, not 2
    workflows/w.yaml:3:45 error[F004] `on` is one of invalid, unavailable, timeout, rate_limited, internal, refused, not `tired`
    workflows/w.yaml:3:48 error[F011] a list has one type for all of its items | write [number], or {enum: [A, B]} for one of several texts
    workflows/w.yaml:3:39 error[F012] the minimum is larger than the maximum
    workflows/w.yaml:3:20 error[P022] this wait waits for nothing | give it `for`, `until` or `signal`
    workflows/w.yaml:3:42 error[P020] only an agent or a workflow runs out of time | give the wait `for` or `until`
    workflows/w.yaml:3:24 error[P023] `a` asks people, but has no question
    workflows/w.yaml:3:47 error[P023] it takes 2 people to agree, but names only 1
    workflows/w.yaml:3:54 error[P023] `maybe` is not one of the choices
    workflows/w.yaml:3:52 error[P023] every choice rejects, so the question could as well not be asked
    workflows/w.yaml:3:50 error[W009] there is no group `heads` | groups stand in quorate.yaml, under `groups`
    workflows/w.yaml:3:51 error[P010] there is no task `nobody`
    workflows/w.yaml:3:47 error[W008] this names nobody who may answer | name users or groups; without `by`, anybody may answer
    workflows/w.yaml:3:47 error[W009] there is no group `ledas` | groups stand in quorate.yaml, under `groups`
    workflows/w.yaml:3:62 error[W014] it is not said whether `deny` rejects | write { name: deny, rejects: true }, or false
    workflows/w.yaml:3:14 error[F009] `approval` has no value | it takes an approval with its fields; or leave it out
    workflows/w.yaml:3:57 error[P020] only what an agent or a workflow did can be undone
    workflows/w.yaml:2:75 error[W001] under the strategy `parallel` no task waits for another | remove `depends_on`, or use the strategy `dag`
    workflows/w.yaml:1:11 warning[W002] the strategy is `conditional`, but no task has a condition | give a task `when`, or leave the strategy out
    workflows/w.yaml:1:11 error[F004] `strategy` is one of auto, dag, sequential, parallel, conditional, not `zigzag`
    workflows/w.yaml:1:90 error[P013] these tasks wait for each other: b → a → b | remove one of these dependencies, or write the loop as `repeat`
    workflows/w.yaml:1:43 error[P005] there are two tasks called `a`, the first at tasks[0]
    workflows/w.yaml:1:1 error[P002] the plan has no task to start with
    workflows/w.yaml:1:21 error[F005] `max_parallel_tasks` is a whole number from 1, not 0
    workflows/w.yaml:2:15 error[W006] nothing follows from this checkpoint | give it `action`, `follow`, `add` or `voices`: one of them
    workflows/w.yaml:2:24 error[P010] there is no task `c`
    workflows/w.yaml:2:13 error[P003] what is unknown is never resolved by itself | leave it out for HIL_REVIEW, or name another action
    workflows/w.yaml:2:19 error[W007] there is no step `b`
    workflows/w.yaml:2:11 error[W015] nobody is asked: there are no `approval_points` | name the steps after which people are asked
    workflows/w.yaml:2:19 error[W016] `b` does not wait for the approval after `a`: its join takes less than all | leave its join out, or write the approval as a task
    workflows/w.yaml:3:15 error[W016] this checkpoint may decide before anybody has answered what is asked after `a` | let it look after `approve-a`
    workflows/w.yaml:1:16 error[A010] there is no agent `nobody` | write one in the folder `agents`
    workflows/w.yaml:1:1 error[W010] there are two workflows called `w` | the other one stands in another file
    workflows/w.yaml:1:28 error[W012] these workflows call each other: v → w → v | a loop is written as `repeat`
    workflows/w.yaml:1:1 error[F003] a file of workflows is a mapping, not a text
    agents/a.yaml:1:21 error[A001] there is no function `std.ehco` | did you mean `std.echo`?
    agents/a.yaml:1:14 error[A003] nothing says what `a` is | give it `use`, `exec`, `http`, `llm` or `mcp`: a function built in, a program, a service, a model or a tool of a server
    agents/a.yaml:1:37 error[A002] `a` is two things at once: `use` and `exec` | leave out one of them, `use` or `exec`
    agents/a.yaml:1:22 error[A004] no program is named | write [python3, agents/rules.py]
    agents/a.yaml:1:46 error[A005] this folder lies outside of the project
    agents/a.yaml:1:22 error[F003] `exec` takes a list, each item a text, or a program with its fields, not `python3 a.py`
    agents/a.yaml:1:39 error[F004] `effect` is one of none, idempotent, once, not `twice`
    agents/b.yaml:1:11 error[A006] there are two agents called `a` | the other one stands in another file
    workflows/w.yaml:1:25 error[A011] the agent `a` is not enabled
    quorate.yaml:2:10 error[W011] there is no workflow `nothing` | write one in the folder `workflows`
    quorate.yaml:1:1 error[F001] a project has no field `nmae` | did you mean `name`?
    workflows/w.yaml:1:51 error[W019] nobody can settle this: it takes 2 of 1 people | ask more people, or fewer of them
    workflows/w.yaml:1:1 error[F001] a workflow has no field `task` | did you mean `tasks`?
    workflows/w.yaml:1:1 error[F002] a workflow needs `tasks` | its tasks. Of two that are equally urgent, the earlier one goes first
    workflows/w.yaml:2:2 error[Y002] this is not YAML: tabs disallowed within this context (block indentation) | YAML is indented with spaces, never with tabs
    agents/a.yaml:1:21 error[A014] `std.echo` is always there, and would be another one here | choose another name
    agents/a.yaml:1:40 error[A015] `a` has several versions, and this is of none of them | write it into the version that it belongs to
    agents/a.yaml:1:27 error[A018] `input.a+` is no path into what a run is about | write a path such as input.customer, profile.region or session.user
    agents/a.yaml:1:11 error[A031] `` cannot be the name of an agent | a name begins with a letter or a digit, and goes on with letters, digits, `_`, `-`, `.`, `:`, `+` and spaces
    agents/a.yaml:1:34 error[A031] `--help` cannot be the name of an agent | a name begins with a letter or a digit, and goes on with letters, digits, `_`, `-`, `.`, `:`, `+` and spaces
    agents/a.yaml:1:63 error[A031] `a@2` cannot be the name of an agent | a name begins with a letter or a digit, and goes on with letters, digits, `_`, `-`, `.`, `:`, `+` and spaces
    agents/a.yaml:1:87 error[A031] `a\u{1b}[31m` cannot be the name of an agent | a name begins with a letter or a digit, and goes on with letters, digits, `_`, `-`, `.`, `:`, `+` and spaces
    workflows/w.yaml:1:1 error[W020] `../w\t` cannot be the name of a workflow | a name begins with a letter or a digit, and goes on with letters, digits, `_`, `-`, `.`, `:`, `+` and spaces
    agents/a.yaml:1:22 error[A020] here is no address | write `url: https://…`, or a list of them
    agents/a.yaml:1:58 error[A030] `bad header` is no name of a header | names of headers have letters, digits and hyphens
    agents/a.yaml:1:60 error[A016] this belongs to the agent, and not to one of its versions | write it one level up, beside `versions`
    agents/a.yaml:1:26 error[A017] no version of `a` has a share of the runs | give one of them a `share` of 1 or more
    agents/a.yaml:1:42 error[A018] `customer` is no path into what a run is about | write a path such as input.customer, profile.region or session.user
    agents/a.yaml:1:47 error[A019] an agent of this kind is not asked like that | a service is asked at a `path`, a program with a `command`, a model and a server by themselves, and a function not at all
    agents/a.yaml:1:22 error[A020] `localhost:8080` is no address of a service | write https://…, or `env:NAME` for one that stands in the environment
    agents/a.yaml:1:30 error[A021] a password in an address is seen by everybody who sees the address | send it in a header: `headers: { Authorization: Basic env:NAME }`
    agents/a.yaml:1:38 error[F001] a service has no field `allow_privat` | did you mean `allow_private`?
    agents/a.yaml:1:40 error[F004] `breaker` is one of on, off, not `sometimes` | it may also be a breaker with its fields
    agents/a.yaml:1:59 error[F003] `health` takes a length of time, such as 500ms, 30s or 1h 30m, not `daily` | it may also be a probe with its fields
    workflows/w.yaml:1:32 error[F004] `on_limit` is one of fail, ask, not `shrug` | it may also be an approval with its fields
    agents/a.yaml:1:41 error[A023] there is no prompt `prompts/juge.md` | did you mean `prompts/judge.md`?
    prompts/judge.md:2:1 error[A023] this is no template: unexpected end of block
    prompts/other.md:1:7 error[A023] nobody declared `amount` | did you mean `amounts`?
    prompts/other.md:1:39 error[A023] nobody declared `currency` | declare it under `inputs`, or read it from one of input, params, outputs, session, task, attempt
    agents/a.yaml:1:41 error[A022] `inputs` takes names, each with its type
    agents/a.yaml:1:54 error[A028] a key in a file is seen by everybody who sees the file | write `env:NAME` or `file:PATH`, and change the key if it is a real one
    agents/a.yaml:1:30 error[A022] a model has a name | write it as its service calls it
    agents/a.yaml:1:39 error[A028] this names nothing | write `env:NAME` or `file:PATH`
    agents/a.yaml:1:66 error[A030] `x\\ny` is no name of a header | names of headers have letters, digits and hyphens
    agents/a.yaml:1:38 error[A020] `localhost:11434` is no address of a service | write https://…, or `env:NAME` for one that stands in the environment
    agents/a.yaml:1:63 error[A025] `a` would be a tool of its own: a → a | calls that wait for each other never end
    agents/a.yaml:1:66 error[A024] there is no agent `std.eco` | did you mean `std.echo`?
    agents/a.yaml:1:101 error[A022] a tool takes names, each with its type
    agents/a.yaml:1:113 error[A027] only an MCP server has several tools to choose from
    agents/a.yaml:2:33 error[A025] `a` would be a tool of its own: a → b → c → a | calls that wait for each other never end
    agents/a.yaml:3:42 error[A025] `b` would be a tool of its own: b → c → a → b | calls that wait for each other never end
    agents/a.yaml:4:47 error[A025] `c` would be a tool of its own: c → a → b → c | calls that wait for each other never end
    agents/a.yaml:1:21 error[A027] nothing says where this MCP server is | give it `command`, for a program, `url`, for a service, or `from`, for that of another agent
    agents/a.yaml:1:42 error[A027] this MCP server is at two places: `command` and `url` | leave out one of them
    agents/a.yaml:1:62 error[A005] this folder lies outside of the project
    agents/a.yaml:1:29 error[A024] `a` is no MCP server
    workflows/w.yaml:1:9 warning[P027] `a` may have failed or been skipped, and the run then returns nothing | say what stands in its place, as in default(a, …)
    quorate.yaml:1:34 error[F003] `max_concurrent_agents` takes a whole number from 1, not `many`
    ");
}

/// Pieces of which files are made; put together at random they are hardly ever right.
const PIECES: [&str; 48] = [
    "tasks:",
    "workflows:",
    "agents:",
    "- ",
    "  ",
    "    ",
    "\n",
    "\n",
    "\n",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "id",
    "a",
    "b",
    "agent",
    "std.echo",
    "when",
    "a.ok > 3",
    "\"",
    "'",
    "''",
    "\\u00e9",
    "|",
    ">-",
    "#",
    "&x",
    "*x",
    "!t",
    "---",
    "\t",
    "é",
    "{{ a",
    " }}",
    "policies",
    "classify",
    "routing",
    "phase_1",
    "profile",
    "mandatory_agents",
    "decision_checkpoints",
    "action",
    "depends_on",
    "0.5",
    "\r\n",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    /// Whatever stands in a file, it is read or it is named what is wrong, in place.
    #[test]
    fn no_file_is_too_odd(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60),
        path in proptest::sample::select(&["quorate.yaml", "workflows/w.yaml", "policies/p.yaml"][..]),
    ) {
        let text = pieces.concat();
        let checked = Project::read(vec![Source::new(path, &text), Source::new("agents/a.yaml", &text)], &FUNCTIONS);
        for diagnostic in &checked.diagnostics {
            assert!(!diagnostic.render(&checked.files, &Look { color: true, width: 80 }).is_empty());
        }
    }

    /// A condition is underlined where it stands, however it is written.
    #[test]
    fn a_wrong_name_is_underlined_however_the_condition_is_written(style in 0..9_usize, before in "[a-zé ]{0,12}") {
        let before = before.trim();
        let text = format!("'{before}' == input.text and wrongname.x > 1");
        let written = match style {
            0 => format!("\"{text}\""),
            1 => format!("'{}'", text.replace('\'', "''")),
            2 => format!(">-\n      {}", text.replace(" and ", "\n      and ")),
            3 => format!("|\n      {}", text.replace(" and ", "\n      and ")),
            4 => format!("\"{}\"", text.replace('é', "\\u00e9").replace(" and ", "\n      and ")),
            5 => format!("\"{}\"", text.replace(" and ", "\\tand\\x20")),
            6 => format!("\"{}\"", text.replace(" and ", " \\\n      and\\_")),
            7 => format!("|2-\n      {}", text.replace(" and ", "\n      and ")),
            _ => format!("input.text == 'x'\n      and {}", text.split_once(" and ").unwrap().1),
        };
        let file = format!("tasks:\n  - {{ id: a, agent: std.echo, output: {{ ok: bool }} }}\n  - id: b\n    agent: std.echo\n    depends_on: [a]\n    when: {written}\n");
        let file = file.replace("wrongname.x", "a.wrong");
        let checked = project(&format!("--- workflows/w.yaml\n{file}"));
        let found: Vec<&str> = checked.diagnostics.iter().filter_map(|diagnostic| Some(diagnostic.span?.text(&checked.files[0].text))).collect();
        proptest::prop_assert_eq!(found, ["a.wrong"], "{}", file);
    }
}
