//! Skills: folders that tasks require and agents receive.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use house::House;
use insta::assert_snapshot;

const REVIEW: &str = "---
name: python-code-review
description: Reviews Python code. Use it before a change is merged.
version: 1.2.0
tags: [review, python]
license: MIT
allowed-tools: Read Grep
metadata:
  author: platform
---

# Reviewing

Look for bare `except` first.
";

const WORKFLOWS: &str = r#"
workflows:
  review:
    tasks:
      - { id: look, agent: reviewer, required_skills: [python-code-review, api-design], params: { focus: security } }
  outer:
    tasks:
      - { id: inner, workflow: review }
"#;

/// What an agent says that got skills: their names, versions, the last line of each, and what lies in their folders.
const REVIEWER: &str = r#"
import json, os, sys
asked = json.load(sys.stdin)
told = [[s["name"], s.get("version"), s["body"].splitlines()[-1], sorted(f["path"] for f in s.get("files", []))] for s in asked["skills"]]
print(json.dumps({"output": {"skills": told, "here": [os.path.basename(s["folder"]) for s in asked["skills"]]}}))
"#;

fn house() -> House {
    let house = House::empty();
    house.write("quorate.yaml", "name: house\n");
    house.write("workflows/w.yaml", WORKFLOWS);
    house.write("agents/a.yaml", "agents:\n  reviewer: { exec: [python3, agents/reviewer.py] }\n");
    house.write("agents/reviewer.py", REVIEWER);
    house.write("skills/python-code-review/SKILL.md", REVIEW);
    house.write("skills/python-code-review/references/rules.md", "no bare except\n");
    house.write("skills/design/api-design/SKILL.md", "---\nname: api-design\ndescription: Designs APIs.\n---\nNouns, not verbs.\n");
    house
}

#[test]
fn a_task_gets_the_skills_that_it_requires() {
    let house = house();
    assert_snapshot!(house.type_in("run review --json"), @r#"
    {"schema":"quorate.run/1","run_id":"<id>","target":"review","status":"succeeded","output":{"skills": [["python-code-review", "1.2.0", "Look for bare `except` first.", ["references/rules.md"]], ["api-design", null, "Nouns, not verbs.", []]], "here": ["python-code-review", "api-design"]},"decision":null,"tasks":[{"id":"look","status":"succeeded","agent":"reviewer","agent_version":"1","attempts":1,"started_at":"<time>","ended_at":"<time>","duration_ms":<took>,"cause":null,"grown_by":null}],"execution_path":"look","agents_invoked":1,"agents_planned":1,"parallel_steps":0,"duration_ms":<took>,"seq":5}
    exit 0
    "#);
    assert_snapshot!(house.type_in("run outer --quiet"), @r#"
    {
      "skills": [
        [
          "python-code-review",
          "1.2.0",
          "Look for bare `except` first.",
          [
            "references/rules.md"
          ]
        ],
        [
          "api-design",
          null,
          "Nouns, not verbs.",
          []
        ]
      ],
      "here": [
        "python-code-review",
        "api-design"
      ]
    }
    exit 0
    "#);
}

#[test]
fn a_run_goes_on_with_the_skills_that_it_began_with() {
    let house = house();
    let tasks = "workflows:\n  w:\n    tasks:\n      - { id: sign_off, approval: { question: Go on? } }\n";
    let last = "      - { id: look, agent: reviewer, required_skills: [api-design, python-code-review], depends_on: [sign_off] }\n";
    house.write("workflows/w.yaml", &format!("{tasks}{last}"));
    let run = |line: &str| house.run(&line.split(' ').collect::<Vec<_>>(), "");
    let mut shown = String::new();
    for changed in ["skills/design/api-design/SKILL.md", "skills/python-code-review/references/rules.md"] {
        assert_eq!(run("run w").status.code(), Some(5));
        let text = std::fs::read_to_string(house.path().join(changed)).unwrap();
        house.write(changed, &text.replace("Nouns, not verbs.", "Verbs!").replace("no bare except", "anything goes"));
        let answered = run("approvals approve --as ann last");
        // What was read at the beginning is what it gets.
        let got_it = String::from_utf8_lossy(&answered.stdout).contains("Nouns, not verbs.");
        assert_eq!(got_it, changed.ends_with("SKILL.md"), "{answered:?}");
        house.write(changed, &text);
        // What it says comes from the journal; of what lies beside it, it is noticed.
        shown.push_str(&house.type_in("runs explain last"));
    }
    assert_snapshot!(shown, @"
    Run <id> has ended well.

    How it came there:
         1  <took>  eve started it, at <time>
                     with the skill api-design, as of then (64a3bb3862e7)
                     with the skill python-code-review 1.2.0, as of then (84c9990b9ef5)
         2  <took>  sign_off asks: Go on?
         3  <took>  sign_off: ann answered approve
         4  <took>  look started: reviewer 1
         5  <took>  look succeeded
         7  <took>  run succeeded
    exit 0Run <id> failed: look failed (invalid: `references/rules.md` of the skill `python-code-review` is not what it was when the run began; a new run takes it as it is now).

    How it came there:
         1  <took>  eve started it, at <time>
                     with the skill api-design, as of then (64a3bb3862e7)
                     with the skill python-code-review 1.2.0, as of then (84c9990b9ef5)
         2  <took>  sign_off asks: Go on?
         3  <took>  sign_off: ann answered approve
         4  <took>  look started: reviewer 1
         5  <took>  look failed: invalid: `references/rules.md` of the skill `python-code-review` is not what it was when the run began; a new run takes it as it is now
         7  <took>  run failed
    exit 0
    ");
}

#[test]
fn skills_are_listed_shown_and_checked() {
    let house = house();
    house.write(
        "home/.quorate/skills/test-strategy/SKILL.md",
        "---\nname: test-strategy\ndescription: What to test.\ntags: review\n---\nAll.\n",
    );
    house.write("home/.quorate/skills/api-design/SKILL.md", "---\nname: api-design\ndescription: Another one.\n---\nVerbs.\n");
    assert_snapshot!(house.type_in("skills list"), @"
    api-design			skills/design/api-design	Designs APIs.
    python-code-review	1.2.0	review, python	skills/python-code-review	Reviews Python code. Use it before a change is merged.
    test-strategy		review	~/.quorate/skills/test-strategy	What to test.
    err: ~/.quorate/skills/api-design/SKILL.md is not used: skills/design/api-design/SKILL.md comes first
    exit 0
    ");
    assert_snapshot!(house.type_in("skills list --tag review --json"), @r#"
    {"schema":"quorate.skills/1","skills":[{"skill":"python-code-review","version":"1.2.0","description":"Reviews Python code. Use it before a change is merged.","tags":["review","python"],"license":"MIT","compatibility":null,"allowed_tools":["Read","Grep"],"metadata":{"author":"platform"},"file":"skills/python-code-review/SKILL.md","used":true},{"skill":"test-strategy","version":null,"description":"What to test.","tags":["review"],"license":null,"compatibility":null,"allowed_tools":[],"metadata":{},"file":"~/.quorate/skills/test-strategy/SKILL.md","used":true}]}
    exit 0
    "#);
    assert_snapshot!(house.type_in("skills show python-code-review"), @"
    skill          python-code-review
    version        1.2.0
    description    Reviews Python code. Use it before a change is merged.
    tags           review, python
    license        MIT
    allowed_tools  Read, Grep
    file           skills/python-code-review/SKILL.md
    author         platform
    digest         <id>
    beside it      references/rules.md (15 bytes)

    # Reviewing

    Look for bare `except` first.
    exit 0
    ");
    assert_snapshot!(house.type_in("skills check"), @"
    api-design	well	one line of text
    python-code-review	well	3 lines of text, one file
    test-strategy	well	one line of text
    exit 0
    ");
    assert_snapshot!(house.type_in("skills show python-review"), @"
    err: error: there is no skill `python-review`
    err: hint: there are: api-design, python-code-review, test-strategy
    exit 4
    ");
    assert_snapshot!(house.type_in("skills list --tag nothing"), @"
    err: no skill has the tag `nothing`
    exit 0
    ");
}

#[test]
fn a_missing_skill_is_named_with_those_that_are_there() {
    let house = house();
    house.write("workflows/w.yaml", "workflows:\n  a:\n    tasks:\n      - { id: t, agent: std.echo, required_skills: [nonexistent-skill] }\n      - { id: w, wait: { for: 1s }, required_skills: [api-design] }\n");
    assert_snapshot!(house.type_in("check"), @"
    err: error[S006]: there is no skill `nonexistent-skill`
    err:  --> workflows/w.yaml:4:53
    err:   |
    err: 4 |       - { id: t, agent: std.echo, required_skills: [nonexistent-skill] }
    err:   |                                                     ^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: there are: api-design, python-code-review
    err:
    err: error[P020]: only an agent gets skills
    err:  --> workflows/w.yaml:5:54
    err:   |
    err: 5 |       - { id: w, wait: { for: <took> }, required_skills: [api-design] }
    err:   |                                                      ^^^^^^^^^^^^
    err:
    err: 2 mistakes and 0 warnings
    exit 3
    ");
}

#[test]
fn the_directories_are_those_that_the_project_names() {
    let house = house();
    house.write(
        "quorate.yaml",
        "name: house\nskill_directories:\n  - { path: ~/own, recursive: true }\n  - { path: ./skills, recursive: false }\n  - missing\n",
    );
    house.write("home/own/deep/api-design/SKILL.md", "---\nname: api-design\ndescription: From home.\n---\nNouns.\n");
    house.write("home/own/python-code-review/SKILL.md", "---\nname: python-code-review\ndescription: From home.\n---\nNouns.\n");
    assert_snapshot!(house.type_in("skills list"), @"
    api-design			~/own/deep/api-design	From home.
    python-code-review	1.2.0	review, python	skills/python-code-review	Reviews Python code. Use it before a change is merged.
    err: ~/own/python-code-review/SKILL.md is not used: skills/python-code-review/SKILL.md comes first
    exit 0
    ");
    assert_snapshot!(house.type_in("check"), @"
    2 workflows and one agent: sound, with one warning
      outer: one task, sequential, because there is one task
      review: one task, sequential, because there is one task
    err: warning[S008]: there is no folder `missing`, so no skills come from it
    err:  --> quorate.yaml:5:5
    err:   |
    err: 5 |   - missing
    err:   |     ^^^^^^^
    exit 0
    ");
}

#[test]
fn what_is_no_skill_is_told_with_its_place() {
    let house = house();
    let skill = |name: &str, text: &str| house.write(&format!("skills/{name}/SKILL.md"), text);
    skill("a-none", "# Just a text\n");
    skill("b-open", "---\nname: b-open\ndescription: x\n");
    skill("c-other", "---\nname: c-odd\ndescription: x\n---\n");
    skill("D-Loud", "---\nname: D-Loud\ndescription: x\n---\n");
    skill("e-silent", "---\nname: e-silent\ndescription: ''\nmodel: opus\n---\n");
    skill("f-long", &format!("---\nname: f-long\ndescription: {}\n---\n", "x".repeat(1_025)));
    skill("g-bare", "---\nname: g-bare\n---\n");
    skill("h-list", "---\n- a\n---\n");
    skill("i-empty", "");
    skill("j-huge", &format!("---\nname: j-huge\ndescription: >\n{}---\n", "  x\n".repeat(20_000)));
    skill("again/api-design", "---\nname: api-design\ndescription: Another one.\n---\n");
    house.write("home/.quorate/skills/k-home/SKILL.md", "---\nname: k\n---\n");
    assert_snapshot!(house.type_in("check"), @"
    err: error[S002]: `D-Loud` is no name for a skill
    err:  --> skills/D-Loud/SKILL.md:2:7
    err:   |
    err: 2 | name: D-Loud
    err:   |       ^^^^^^
    err:   |
    err:   = help: small letters, digits and single hyphens between them, up to 64
    err:
    err: error[S001]: this is no skill: it does not begin with a line `---`
    err: --> skills/a-none/SKILL.md
    err:  = help: begin it with `---`, `name: …`, `description: …` and `---`, a line each
    err:
    err: error[S001]: this is no skill: the line `---` that ends the front matter is missing
    err: --> skills/b-open/SKILL.md
    err:  = help: begin it with `---`, `name: …`, `description: …` and `---`, a line each
    err:
    err: error[S003]: the skill `c-odd` lies in a folder called `c-other`
    err:  --> skills/c-other/SKILL.md:2:7
    err:   |
    err: 2 | name: c-odd
    err:   |       ^^^^^
    err:   |
    err:   = help: call the folder `c-odd`, or the skill `c-other`
    err:
    err: warning[S007]: there are two skills called `api-design`, and this one is not used
    err: --> skills/design/api-design/SKILL.md
    err:  = help: the other one is skills/again/api-design/SKILL.md
    err:
    err: error[S004]: the description has 0 characters
    err:  --> skills/e-silent/SKILL.md:3:14
    err:   |
    err: 3 | description: ''
    err:   |              ^^
    err:   |
    err:   = help: say in up to 1024 characters what it does, and when it is of use
    err:
    err: warning[F001]: the front matter of a skill has no field `model`
    err:  --> skills/e-silent/SKILL.md:4:1
    err:   |
    err: 4 | model: opus
    err:   | ^^^^^
    err:   |
    err:   = help: it may have: name, description, version, tags, license, compatibility, allowed-tools, metadata
    err:
    err: error[S004]: the description has 1025 characters
    err:  --> skills/f-long/SKILL.md:3:14
    err:   |
    err: 3 | ...n: xxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxx
    err:   |       ^^^^^^^^^^^^^^^^^^^^^^^^^...^^^^^^^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: say in up to 1024 characters what it does, and when it is of use
    err:
    err: error[F002]: the front matter of a skill needs `description`
    err:  --> skills/g-bare/SKILL.md:2:1
    err:   |
    err: 2 | name: g-bare
    err:   | ^^^^^^^^^^^^
    err:   |
    err:   = help: what it does and when it is of use, in up to 1,024 characters
    err:
    err: error[S001]: this is no skill: its front matter says nothing
    err: --> skills/h-list/SKILL.md
    err:  = help: it needs `name` and `description`
    err:
    err: error[S001]: this is no skill: it is empty
    err: --> skills/i-empty/SKILL.md
    err:  = help: begin it with `---`, `name: …`, `description: …` and `---`, a line each
    err:
    err: error[Y000]: this file cannot be read: its front matter has more than the 65536 bytes allowed
    err: --> skills/j-huge/SKILL.md
    err:
    err: warning[F002]: the front matter of a skill needs `description`
    err:  --> ~/.quorate/skills/k-home/SKILL.md:2:1
    err:   |
    err: 2 | name: k
    err:   | ^^^^^^^
    err:   |
    err:   = help: what it does and when it is of use, in up to 1,024 characters
    err:
    err: 10 mistakes and 3 warnings
    exit 3
    ");
    // Only what stands in front was read: the rest may be anything until somebody requires it.
    let house = self::house();
    std::fs::write(house.path().join("skills/design/api-design/SKILL.md"), b"---\nname: api-design\ndescription: x\n---\n\xff\xfe")
        .unwrap();
    assert_snapshot!(house.type_in("check"), @"
    2 workflows and one agent: all is well
      outer: one task, sequential, because there is one task
      review: one task, sequential, because there is one task
    exit 0
    ");
    assert_snapshot!(house.type_in("run review"), @"
    err: error: could not read the skill `api-design` from <house>/skills/design/api-design: SKILL.md is not UTF-8 text (byte 40)
    exit 3
    ");
    assert_snapshot!(house.type_in("skills check"), @"
    api-design	not well	could not read the skill `api-design` from <house>/skills/design/api-design: SKILL.md is not UTF-8 text (byte 40)
    python-code-review	well	3 lines of text, one file
    exit 3
    ");
    assert_snapshot!(house.type_in("skills check skills/design/api-design skills/nothing"), @"
    err: error: skills/nothing is no skill: it holds no SKILL.md
    exit 4
    ");
}
