//! What people see of the command line: each command as it is typed, what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use std::path::Path;

use house::{House, house, start, until};

#[test]
fn a_workflow_is_checked_run_and_told() {
    let house = house();
    insta::assert_snapshot!(house.type_in("check"), @"
    5 workflows and no agents of its own: all is well
      broken: 3 tasks, dag, because 2 of 3 tasks wait for others
      flaky: 2 tasks, dag, because 1 of 2 tasks wait for others
      greet: one task, sequential, because there is one task
      release: 3 tasks, dag, because 2 of 3 tasks wait for others
      sorted: 3 tasks, conditional, because 2 of 3 tasks have a condition
    exit 0
    ");
    insta::assert_snapshot!(house.type_in(r#"run greet -i '{"name": "Ann"}'"#), @"
    Hello, Ann!
    err:   <took>  run <id> of greet started
    err:   <took>  hello started: std.set 1
    err:   <took>  hello succeeded
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("run flaky --quiet"), @"
    null
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("run flaky"), @"
    null
    err:   <took>  run <id> of flaky started
    err:   <took>  fetch started: std.fail 1
    err:   <took>  fetch failed in attempt 1: unavailable: not yet; tried again at <time>
    err:   <took>  fetch started again: std.fail 1, attempt 2
    err:   <took>  fetch succeeded
    err:   <took>  use started: std.echo 1
    err:   <took>  use succeeded
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("run broken"), @"
    err:   <took>  run <id> of broken started
    err:   <took>  read started: std.echo 1
    err:   <took>  read succeeded
    err:   <took>  compute started: std.fail 1
    err:   <took>  compute failed: internal: division by zero
    err:   <took>  run failed
    err: run <id> failed: compute failed (internal: division by zero), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    insta::assert_snapshot!(house.type_in("run sorted"), @"
    0.42
    err:   <took>  run <id> of sorted started
    err:   <took>  score started: std.set 1
    err:   <took>  score succeeded
    err:   <took>  high is skipped: `score > 0.9` does not hold: score is 0.42
    err:   <took>  low started: std.echo 1
    err:   <took>  low succeeded
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs list"), @"
    <id>	sorted	succeeded	<time>	<took>	eve
    <id>	broken	failed	<time>	<took>	eve
    <id>	flaky	succeeded	<time>	<took>	eve
    <id>	flaky	succeeded	<time>	<took>	eve
    <id>	greet	succeeded	<time>	<took>	eve
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs list --status failed"), @"
    <id>	broken	failed	<time>	<took>	eve
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs show last"), @"
    run       <id>
    workflow  sorted
    status    succeeded
    started   <time> by eve
    took  <took>
    agents    2 of 3
    path      score -> low

      ✓ score  succeeded  std.set  <took>
      – high   skipped                      `score > 0.9` does not hold: score is 0.42
      ✓ low    succeeded  std.echo  <took>

    0.42
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs show last --at 3"), @"
    run       <id>
    workflow  sorted
    status    running
    started   <time> by eve
    took  <took>
    agents    1 of 3
    path      score

      ✓ score  succeeded  std.set  <took>
      · high   waiting
      · low    waiting
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs explain last"), @"
    Run <id> has ended well.

    How it came there:
         1  <took>  eve started it, at <time>
         2  <took>  score started: std.set 1
         3  <took>  score succeeded
         4  <took>  high is skipped: `score > 0.9` does not hold: score is 0.42
         5  <took>  low may run, as score is 0.42
         6  <took>  low started: std.echo 1
         7  <took>  low succeeded
         9  <took>  run succeeded
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs events last"), @"
    1	<took>	run_started
    2	<took>	task_started	score started: std.set 1
    3	<took>	task_succeeded	score succeeded
    4	<took>	task_skipped	high is skipped: `score > 0.9` does not hold: score is 0.42
    5	<took>	task_admitted
    6	<took>	task_started	low started: std.echo 1
    7	<took>	task_succeeded	low succeeded
    8	<took>	concluded
    9	<took>	run_ended	run succeeded
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("graph sorted"), @"
           [ score ]
         ┌─────┴──────┐
         ▼            ▼
    [ ◇ high  ]   [ ◇ low ]
    exit 0
    ");
}

#[test]
fn a_run_that_waits_for_people_ends_when_they_have_answered() {
    let house = house();
    insta::assert_snapshot!(house.type_in(r#"run release --as ann -i '{"version": "1.2"}'"#), @"
    err:   <took>  run <id> of release started
    err:   <took>  build started: std.echo 1
    err:   <took>  build succeeded
    err:   <took>  sign_off asks: Ship 1.2?
    err: run <id> waits for an answer to sign_off (“Ship 1.2?”)
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 5
    ");
    insta::assert_snapshot!(house.type_in("approvals list"), @"
    <id>/sign_off	release	-	2 of the group leads	Ship 1.2?
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("approvals list --mine --as ann"), @"
    err: there is nothing that you may answer
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("approvals show last"), @r#"
    Ship 1.2?

    approval  <id>/sign_off
    workflow  release
    started   by ann
    by        2 of the group leads
              not by whoever started the run
    until     any time
    answers   approve, reject
    evidence  <id>
    {
      "build": {
        "version": "1.2"
      }
    }
    err: hint: `quorate approvals approve <id>/sign_off --as NAME` says yes, `quorate approvals reject <id>/sign_off --as NAME` no
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("runs explain last"), @"
    Run <id> waits for an answer to sign_off (“Ship 1.2?”).

    How it came there:
         1  <took>  ann started it, at <time>
         2  <took>  build started: std.echo 1
         3  <took>  build succeeded
         4  <took>  sign_off asks: Ship 1.2?
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("approvals approve last --as ann"), @"
    err: error: ann may not answer `sign_off`: they started the run
    exit 8
    ");
    insta::assert_snapshot!(house.type_in("approvals approve last --as eve"), @"
    err: error: eve may not answer `sign_off`: it asks the group leads
    exit 8
    ");
    insta::assert_snapshot!(house.type_in("approvals answer last --as bob --choice maybe"), @"
    err: error: `maybe` is not taken as an answer to `sign_off`: choose one of approve, reject
    exit 3
    ");
    insta::assert_snapshot!(house.type_in("approvals approve last --as bob --note 'looks good'"), @"
    err:   <took>  sign_off: bob answered approve (looks good); more have to agree
    err: run <id> waits for an answer to sign_off (“Ship 1.2?”)
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("approvals approve last --as bob"), @"
    err: error: bob has answered `sign_off` already; others have to agree, or they may still reject
    exit 9
    ");
    insta::assert_snapshot!(house.type_in("approvals delegate last --as cid --to don"), @"
    err: error: `don` is in no group of this project, and is not asked otherwise
    err: hint: people are deputies (dan), leads (ann, bob, cid); whoever else is to answer is added to `groups` in quorate.yaml
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("approvals delegate last --as cid --to dan"), @"
    err:   <took>  sign_off: cid handed it on to dan
    err: run <id> waits for an answer to sign_off (“Ship 1.2?”)
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("approvals approve last/sign_off --as dan"), @r#"
    {
      "version": "1.2"
    }
    err:   <took>  sign_off: dan answered approve
    err:   <took>  publish started: std.echo 1
    err:   <took>  publish succeeded
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("approvals approve last --as cid"), @"
    err: error: run <id> has ended, and asks nothing any more
    exit 9
    ");
    insta::assert_snapshot!(house.type_in("approvals approve last/sign_off --as cid"), @"
    err: error: `sign_off` asks nothing any more: it has succeeded
    exit 9
    ");
}

#[test]
fn a_run_can_be_cancelled_and_tried_again() {
    let house = house();
    house.type_in(r#"run release --as ann -i '{"version": "1.2"}'"#);
    insta::assert_snapshot!(house.type_in("runs cancel last --reason 'wrong version'"), @"
    err:   <took>  eve cancels the run: wrong version
    err:   <took>  run cancelled
    err: run <id> was cancelled, after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs cancel last"), @"
    err: error: run <id> was cancelled already
    exit 9
    ");
    insta::assert_snapshot!(house.type_in("runs retry last"), @"
    err: trying again what run <id> was to do
    err:   <took>  run <id> of release started
    err:   <took>  build started: std.echo 1
    err:   <took>  build succeeded
    err:   <took>  sign_off asks: Ship 1.2?
    err: run <id> waits for an answer to sign_off (“Ship 1.2?”)
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 5
    ");
}

#[test]
fn programs_get_documents_and_streams() {
    let house = house();
    insta::assert_snapshot!(house.type_with("run greet -i - --json", r#"{"name": "Bob"}"#), @r#"
    {"schema":"quorate.run/1","run_id":"<id>","target":"greet","status":"succeeded","output":"Hello, Bob!","decision":null,"tasks":[{"id":"hello","status":"succeeded","agent":"std.set","agent_version":"1","attempts":1,"started_at":"<time>","ended_at":"<time>","duration_ms":<took>,"cause":null,"grown_by":null}],"execution_path":"hello","agents_invoked":1,"agents_planned":1,"parallel_steps":0,"duration_ms":<took>,"seq":5}
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in(r#"run greet -i '{"name": "Bob"}' --jsonl"#), @r#"
    {"schema":"quorate.event/1","type":"workflow_started","run_id":"<id>","seq":1,"at":"<time>","event":"run_started","data":{"plan":"<id>","name":"greet","input":{"name":"Bob"},"by":"eve"}}
    {"schema":"quorate.event/1","type":"step_started","run_id":"<id>","seq":2,"at":"<time>","step":"hello","event":"task_started","data":{"task":"hello","attempt":1,"agent":{"id":"std.set","version":"1","effect":"none"}}}
    {"schema":"quorate.event/1","type":"step_completed","run_id":"<id>","seq":3,"at":"<time>","step":"hello","event":"task_succeeded","data":{"task":"hello","attempt":1,"output":"Hello, Bob!"}}
    {"schema":"quorate.event/1","type":"concluded","run_id":"<id>","seq":4,"at":"<time>","event":"concluded","data":"finished"}
    {"schema":"quorate.event/1","type":"workflow_completed","run_id":"<id>","seq":5,"at":"<time>","event":"run_ended","data":{"status":"succeeded"}}
    err: run <id> has ended well, in <took>
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("runs list --json"), @r#"
    {"schema":"quorate.runs/1","runs":[{"run_id":"<id>","target":"greet","status":"succeeded","by":"eve","parent":null,"started_at":"<time>","ended_at":"<time>"},{"run_id":"<id>","target":"greet","status":"succeeded","by":"eve","parent":null,"started_at":"<time>","ended_at":"<time>"}]}
    exit 0
    "#);
    house.write("workflows/wrong.yaml", "tasks:\n  - { id: a, agent: std.ehco }\n");
    insta::assert_snapshot!(house.type_in("check --json"), @r#"
    {"schema":"quorate.check/1","ok":false,"diagnostics":[{"code":"A010","severity":"error","file":"workflows/wrong.yaml","line":2,"column":21,"message":"there is no agent `std.ehco`","help":"did you mean `std.echo`?"}]}
    exit 3
    "#);
}

#[test]
fn every_command_has_a_document_for_programs() {
    let house = House::empty();
    insta::assert_snapshot!(house.type_in("init . --template loop --json"), @r#"
    {"schema":"quorate.init/1","template":"loop","files":["./quorate.yaml","./agents/agents.yaml","./workflows/loop.yaml","./.gitignore"]}
    err: wrote ./quorate.yaml
    err: wrote ./agents/agents.yaml
    err: wrote ./workflows/loop.yaml
    err: wrote ./.gitignore
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("init --template list --json"), @r#"
    {"schema":"quorate.templates/1","templates":[{"name":"ci","about":"checks side by side, then build and deploy"},{"name":"etl","about":"rows that are read, cleaned one by one, and loaded"},{"name":"review","about":"two of three reviewers have to come to a result"},{"name":"approval","about":"a payment that somebody has to agree to"},{"name":"map-reduce","about":"each item by itself, then all together"},{"name":"saga","about":"steps that are undone when a later one fails"},{"name":"loop","about":"write and judge until it is good"},{"name":"policies","about":"work that gets a policy, and is decided by rules, voices or people"}]}
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("graph --json"), @r#"
    {"schema":"quorate.graph/1","target":"loop","tasks":[{"id":"write","by":"std.set","role":"main","conditional":false,"status":null,"stage":1},{"id":"judge","by":"std.set","role":"main","conditional":false,"status":null,"stage":2},{"id":"publish","by":"std.echo","role":"main","conditional":false,"status":null,"stage":3}],"edges":[{"from":"write","to":"judge","kind":"before"},{"from":"judge","to":"write","kind":"again"},{"from":"judge","to":"publish","kind":"before"}]}
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("check --json"), @r#"
    {"schema":"quorate.check/1","ok":true,"diagnostics":[]}
    exit 0
    "#);
    let doctor: serde_json::Value = serde_json::from_slice(&house.run(&["doctor", "--json"], "").stdout).unwrap();
    assert_eq!((&doctor["schema"], &doctor["ok"]), (&"quorate.doctor/1".into(), &true.into()));
    insta::assert_snapshot!(house.type_in("run nobody --json"), @r#"
    err: {"schema":"quorate.error/1","exit":4,"message":"there is no workflow `nobody`","hint":"there are: loop"}
    exit 4
    "#);
    house.write("workflows/loop.yaml", "");
    insta::assert_snapshot!(house.type_in("check"), @"
    err: error[W011]: there is no workflow `loop`
    err:  --> quorate.yaml:3:10
    err:   |
    err: 3 | default: loop
    err:   |          ^^^^
    err:   |
    err:   = help: write one in the folder `workflows`
    err:
    err: one mistake and 0 warnings
    exit 3
    ");
    std::fs::remove_file(house.path().join("workflows/loop.yaml")).unwrap();
    house.write("workflows/LOUD.YML", "tasks: [{ id: a, agent: std.ecko }]\n");
    insta::assert_snapshot!(house.type_in("check --json"), @r#"
    {"schema":"quorate.check/1","ok":false,"diagnostics":[{"code":"W011","severity":"error","file":"quorate.yaml","line":3,"column":10,"message":"there is no workflow `loop`","help":"did you mean `LOUD`?"},{"code":"A010","severity":"error","file":"workflows/LOUD.YML","line":1,"column":25,"message":"there is no agent `std.ecko`","help":"did you mean `std.echo`?"}]}
    exit 3
    "#);
}

#[test]
fn what_is_asked_wrongly_is_answered_clearly() {
    let house = house();
    insta::assert_snapshot!(house.type_in("runs list"), @"
    err: no runs
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("run gret"), @"
    err: error: there is no workflow `gret`
    err: hint: did you mean `greet`?
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("run"), @"
    err: error: quorate.yaml does not say which workflow is the `default`
    err: hint: there are: broken, flaky, greet, release, sorted
    exit 2
    ");
    insta::assert_snapshot!(house.type_in("run greet -i '{\"name\": '"), @"
    err: error: the input is not JSON: EOF while parsing a value, at column 9
    exit 3
    ");
    insta::assert_snapshot!(house.type_in("run greet -i nowhere.json"), @"
    err: error: could not read the input file nowhere.json: No such file or directory (os error 2)
    err: hint: -i takes a file, `-`, or JSON
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("run greet --project nowhere"), @"
    err: error: nowhere is no project: it holds no quorate.yaml
    err: hint: make one with `quorate init`
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("runs show 0123"), @"
    err: error: nothing has run here yet: there is no folder <house>/.quorate
    err: hint: start something with `quorate run`
    exit 4
    ");
    house.type_in(r#"run greet -i '{"name": "Ann"}'"#);
    insta::assert_snapshot!(house.type_in("runs show zzz"), @"
    err: error: there is no run `zzz`
    err: hint: `quorate runs list` shows them
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("runs show last --at 99"), @"
    err: error: run <id> has the entries 1 to 5, and no entry 99
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("approvals approve last"), @"
    err: error: run <id> has ended, and asks nothing any more
    exit 9
    ");
    insta::assert_snapshot!(house.type_in("run greet --colour"), @"
    err: error: unexpected argument '--colour' found
    err:
    err:   tip: a similar argument exists: '--color'
    err:
    err: Usage: quorate run --color <WHEN> <TARGET>
    err:
    err: For more information, try '--help'.
    exit 2
    ");
    house.write("workflows/wrong.yaml", "tasks:\n  - { id: a, agent: std.echo, depends_on: [b] }\n");
    insta::assert_snapshot!(house.type_in("run greet"), @"
    err: error[P010]: there is no task `b`
    err:  --> workflows/wrong.yaml:2:43
    err:   |
    err: 2 |   - { id: a, agent: std.echo, depends_on: [b] }
    err:   |                                           ^^^
    err:
    err: error: the project has one mistake
    err: hint: a project runs without mistakes only; `quorate check` shows warnings as well
    exit 3
    ");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let house = house();
    std::fs::write(house.path().join("workflows/binary.yaml"), [0x00, 0xff, 0xfe]).unwrap();
    let large = std::fs::File::create(house.path().join("workflows/large.yaml")).unwrap();
    large.set_len(1 << 30).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", house.path().join("workflows/outside.yaml")).unwrap();
    std::fs::create_dir_all(house.path().join("agents/folder.yaml")).unwrap();
    house.write("agents/bomb.yaml", "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n");
    house.write("agents/deep.yaml", &"[".repeat(200_000));
    insta::assert_snapshot!(house.type_in("check"), @"
    err: error[Y003]: aliases are not followed
    err:  --> agents/bomb.yaml:2:8
    err:   |
    err: 2 | b: &b [*a, *a]
    err:   |        ^^
    err:   |
    err:   = help: write out what it stands for: what a reader sees is what runs
    err:
    err: error[Y002]: this is not YAML: recursion limit exceeded
    err:  --> agents/deep.yaml:1:65
    err:   |
    err: 1 | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[...
    err:   |                                                                 ^
    err:
    err: error[Y000]: this file cannot be read: it is not UTF-8 text (byte 1)
    err: --> workflows/binary.yaml
    err:
    err: error[Y000]: this file cannot be read: it has 1073741824 bytes, more than the 16777216 allowed
    err: --> workflows/large.yaml
    err:
    err: error[Y000]: this file cannot be read: it lies outside of the project
    err: --> workflows/outside.yaml
    err:
    err: 5 mistakes and 0 warnings
    exit 3
    ");
}

#[test]
fn every_template_is_a_project_that_runs() {
    let templates: [(&str, &str, &str); 8] = [
        ("ci", r#"'{"branch": "main"}'"#, "0"),
        ("etl", r#"'{"rows": [{"id": 1}, {"id": 2}]}'"#, "0"),
        ("review", r#"'{"text": "A first draft."}'"#, "0"),
        ("approval", r#"'{"amount": 1200, "to": "ACME"}'"#, "5"),
        ("map-reduce", r#"'{"items": ["a", "b"]}'"#, "0"),
        ("saga", r#"'{"car": false}'"#, "1"),
        ("loop", r#"'{"topic": "quorums"}'"#, "0"),
        ("policies", r#"'{"break_type": "CASH_RECONCILIATION", "amount_a": 10000, "amount_b": 8800}'"#, "0"),
    ];
    let house = House::empty();
    for (name, input, exit) in templates {
        let made = house.type_in(&format!("init {name} --template {name}"));
        assert!(made.ends_with("exit 0"), "{made}");
        let checked = house.type_in(&format!("check --strict --project {name}"));
        assert!(checked.ends_with("exit 0"), "{checked}");
        let ran = house.type_in(&format!("run --project {name} -i {input}"));
        assert!(ran.ends_with(&format!("exit {exit}")), "{ran}");
    }
    insta::assert_snapshot!(house.type_in("runs show last --project saga"), @"
    run       <id>
    workflow  saga
    status    failed
    started   <time> by eve
    took  <took>
    agents    5 of 6
    path      flight -> hotel -> no-car

      ✓ flight                 succeeded  booking  <took>
      ✓ hotel                  succeeded  booking  <took>
      – car                    skipped                      `input.car` does not hold: input.car is false
      ✗ no-car                 failed     std.fail  <took>  refused: there is no car left
      ✓ cancel-hotel(hotel)    succeeded  booking  <took>
      ✓ cancel-flight(flight)  succeeded  booking  <took>
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs show last --project loop"), @r#"
    run       <id>
    workflow  loop
    status    succeeded
    started   <time> by eve
    took  <took>
    agents    3 of 3
    path      write -> judge -> publish

      ✓ write    succeeded  std.set  <took>
      ✓ write#2  succeeded  std.set  <took>
      ✓ write#3  succeeded  std.set  <took>
      ✓ judge    succeeded  std.set  <took>
      ✓ judge#2  succeeded  std.set  <took>
      ✓ judge#3  succeeded  std.set  <took>
      ✓ publish  succeeded  std.echo  <took>

    {
      "topic": "quorums"
    }
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("runs show last --project etl"), @r#"
    run       <id>
    workflow  etl
    status    succeeded
    started   <time> by eve
    took  <took>
    agents    3 of 3
    path      extract -> transform -> load

      ✓ extract       succeeded  std.set  <took>
      ✓ transform     succeeded  <took>
      ✓ transform[0]  succeeded  std.set  <took>
      ✓ transform[1]  succeeded  std.set  <took>
      ✓ load          succeeded  std.set  <took>

    {
      "loaded": [
        {
          "row": {
            "id": 1
          },
          "position": 0
        },
        {
          "row": {
            "id": 2
          },
          "position": 1
        }
      ]
    }
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("init saga"), @"
    err: error: saga is a project already
    err: hint: nothing was changed
    exit 9
    ");
    insta::assert_snapshot!(house.type_in("init fresh --template sag"), @"
    err: error: there is no template `sag`
    err: hint: did you mean `saga`?
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("init fresh --template list"), @"
    ci           checks side by side, then build and deploy
    etl          rows that are read, cleaned one by one, and loaded
    review       two of three reviewers have to come to a result
    approval     a payment that somebody has to agree to
    map-reduce   each item by itself, then all together
    saga         steps that are undone when a later one fails
    loop         write and judge until it is good
    policies     work that gets a policy, and is decided by rules, voices or people
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("init fresh"), @r#"
    err: wrote fresh/quorate.yaml
    err: wrote fresh/agents/agents.yaml
    err: wrote fresh/workflows/ci.yaml
    err: wrote fresh/.gitignore
    err: try it:  cd fresh && quorate run ci -i '{"branch": "main"}'
    exit 0
    "#);
}

#[test]
fn a_file_of_records_is_run_record_by_record() {
    let house = house();
    house.write("people.jsonl", "{\"name\": \"Ann\"}\n\n{\"name\": null}\n{\"name\": \"Bob\"}\n");
    house.write("people.csv", "name,age\nAnn,3\n\"Bob, the elder\",\n");
    insta::assert_snapshot!(house.type_in("run greet --each people.jsonl --jobs 1"), @r#"
    {"schema":"quorate.record/1","record":1,"line":1,"run_id":"<id>","status":"succeeded","output":"Hello, Ann!"}
    {"schema":"quorate.record/1","record":2,"line":3,"run_id":"<id>","status":"failed","error":"failed: hello failed (invalid: `input.name` is null)"}
    {"schema":"quorate.record/1","record":3,"line":4,"run_id":"<id>","status":"succeeded","output":"Hello, Bob!"}
    err: greet of 3 records: 2 succeeded, 1 failed
    exit 1
    "#);
    insta::assert_snapshot!(house.type_in("run greet --each people.csv --jobs 1 --out out.jsonl"), @"
    err: greet of 2 records: 2 succeeded
    exit 0
    ");
    assert_eq!(std::fs::read_to_string(house.path().join("out.jsonl")).unwrap().lines().count(), 2);
    insta::assert_snapshot!(house.type_in("run release --each people.jsonl --jobs 1 --quiet"), @r#"
    {"schema":"quorate.record/1","record":1,"line":1,"run_id":"<id>","status":"failed","error":"failed: sign_off failed (invalid: `input.version` is missing)"}
    {"schema":"quorate.record/1","record":2,"line":3,"run_id":"<id>","status":"failed","error":"failed: sign_off failed (invalid: `input.version` is missing)"}
    {"schema":"quorate.record/1","record":3,"line":4,"run_id":"<id>","status":"failed","error":"failed: sign_off failed (invalid: `input.version` is missing)"}
    exit 1
    "#);
    house.write("people.jsonl", "{\"name\": \"Ann\"}\n{name}\n");
    insta::assert_snapshot!(house.type_in("run greet --each people.jsonl"), @"
    err: error: people.jsonl, line 2, is not JSON: key must be a string, at column 2
    exit 3
    ");
    insta::assert_snapshot!(house.type_in("run greet --each nobody.jsonl"), @"
    err: error: there is no file nobody.jsonl
    exit 4
    ");
    house.write("people.jsonl", "");
    insta::assert_snapshot!(house.type_in("run greet --each people.jsonl"), @"
    err: warning: people.jsonl holds no records
    err: greet of 0 records: 0 succeeded
    exit 0
    ");
}

/// A field that is mistyped is not passed over: the run would go on without what was said.
#[test]
fn a_mistyped_field_of_an_input_is_not_passed_over() {
    let house = house();
    house.write(
        "workflows/sign.yaml",
        "input: { \"day?\": text, account: text }\ntasks: [{ id: say, agent: std.set, params: { value: \"{{ default(input.day, 'today') }}\" } }]\n",
    );
    insta::assert_snapshot!(house.type_in("run sign -i '{\"account\": \"1\", \"dya\": \"2026-03-12\"}'"), @r#"
    err: error: the input has `dya`, which is not declared, and no `day`
    err: hint: did you mean `day`? if not, say `"day": null` with it
    exit 3
    "#);
    insta::assert_snapshot!(house.type_in("run sign -i '{\"acount\": \"1\", \"day\": \"2026-03-12\"}'"), @r#"
    err: error: the input has `acount`, which is not declared, and no `account`
    err: hint: did you mean `account`?
    exit 3
    "#);
    insta::assert_snapshot!(house.type_in("run sign -q -i '{\"account\": \"1\", \"dya\": \"-\", \"day\": null}'"), @"
    today
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("run sign -q -i '{\"account\": \"1\", \"currency\": \"EUR\"}'"), @"
    today
    exit 0
    ");
    // Other words are no slips, nor are names that are numbered.
    house.write(
        "workflows/score.yaml",
        "input: { \"note?\": text, \"type?\": text, \"rate?\": text, \"amount_a?\": number }\ntasks: [{ id: say, agent: std.set, params: { value: yes } }]\n",
    );
    for name in ["name", "date", "time", "amount_b", "note2"] {
        assert!(house.type_in(&format!("run score -q -i '{{\"{name}\": 1}}'")).ends_with("exit 0"), "{name}");
    }
    for name in ["notes", "nte", "tpye", "NOTE", "amuont_a", "anount_a"] {
        assert!(house.type_in(&format!("run score -q -i '{{\"{name}\": 1}}'")).contains("did you mean"), "{name}");
    }
    house.write("days.csv", "account,Days\n1,2026-03-12\n");
    insta::assert_snapshot!(house.type_in("run sign --each days.csv"), @r#"
    err: error: days.csv, line 2, has `Days`, which is not declared, and no `day`
    err: hint: did you mean `day`? if not, say `"day": null` with it
    exit 3
    "#);
}

#[test]
fn a_list_of_runs_is_narrowed_and_read_page_by_page() {
    let house = house();
    house.write("workflows/outer.yaml", "tasks: [{ id: inner, workflow: broken }]\n");
    for (line, exit) in [("run sorted", 0), ("run greet -i '{\"name\": \"Ann\"}'", 0), ("run release -i '{\"version\": 1}'", 5)] {
        assert!(house.type_in(line).ends_with(&format!("exit {exit}")));
    }
    insta::assert_snapshot!(house.type_in("run outer --as ann"), @"
    err:   <took>  run <id> of outer started
    err:   <took>  inner started as run <id>
    err:   <took>  inner failed: refused: run <id> failed: compute (internal: division by zero)
    err:   <took>  run failed
    err: run <id> failed: inner failed (refused: run <id> failed: compute (internal: division by zero)), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    insta::assert_snapshot!(house.type_in("runs list --all"), @"
    <id>	broken	failed	<time>	<took>	run <id>
    <id>	outer	failed	<time>	<took>	ann
    <id>	release	waiting	<time>	<took>	eve
    <id>	greet	succeeded	<time>	<took>	eve
    <id>	sorted	succeeded	<time>	<took>	eve
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs list --status waiting --since 1h"), @"
    <id>	release	waiting	<time>	<took>	eve
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs list --workflow greet --json"), @r#"
    {"schema":"quorate.runs/1","runs":[{"run_id":"<id>","target":"greet","status":"succeeded","by":"eve","parent":null,"started_at":"<time>","ended_at":"<time>"}]}
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("runs list --since 2199-01-01"), @"
    err: no runs
    exit 0
    ");
    let ids = String::from_utf8(house.run(&["runs", "list", "--limit", "2"], "").stdout).unwrap();
    let last = ids.lines().last().unwrap().split('\t').next().unwrap();
    insta::assert_snapshot!(house.type_in(&format!("runs list --after {last}")), @"
    <id>	greet	succeeded	<time>	<took>	eve
    <id>	sorted	succeeded	<time>	<took>	eve
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs list --status finished"), @"
    err: error: invalid value 'finished' for '--status <STATUS>': a run stands so: running, waiting, compensating, succeeded, failed, timed_out, cancelled
    err:
    err: For more information, try '--help'.
    exit 2
    ");
    insta::assert_snapshot!(house.type_in("runs list --since yesterday"), @"
    err: error: invalid value 'yesterday' for '--since <TIME>': a day such as 2026-11-20, a point in time such as <time>, or how long ago: 2h, 7d
    err:
    err: For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn a_field_of_csv_is_what_the_workflow_declares_it_to_be() {
    let house = house();
    house.write(
        "workflows/pay.yaml",
        "\
input: { amount: number, urgent: bool, to: text, \"tags?\": [text] }
tasks: [{ id: pay, agent: std.set, params: { value: \"{{ input }}\" } }]
",
    );
    house.write(
        "payments.csv",
        "\u{feff}amount,urgent,to,tags\n12.50,true,0042,\"[\"\"a\"\"]\"\n 7 ,false,\"two\nlines\",\n\"1,200\",true,x,\n",
    );
    insta::assert_snapshot!(house.type_in("run pay --each payments.csv --jobs 1 --quiet"), @r#"
    {"schema":"quorate.record/1","record":1,"line":2,"run_id":"<id>","status":"succeeded","output":{"amount":12.50,"urgent":true,"to":"0042","tags":["a"]}}
    {"schema":"quorate.record/1","record":2,"line":3,"run_id":"<id>","status":"succeeded","output":{"amount":7,"urgent":false,"to":"two\nlines","tags":null}}
    {"schema":"quorate.record/1","record":3,"line":5,"run_id":null,"status":"refused","error":"the plan `pay` cannot begin: `input.amount` should be a number, but is \"1,200\""}
    exit 1
    "#);
}

#[test]
fn a_picture_of_a_run_shows_what_grew_where_it_grew() {
    let house = House::empty();
    for (template, input) in [("loop", "{\"topic\": \"x\"}"), ("map-reduce", "{\"items\": [\"a\", \"b\"]}")] {
        let folder = format!("{template}-project");
        house.type_in(&format!("init {folder} --template {template}"));
        assert!(house.type_in(&format!("run {template} --project {folder} -q -i '{input}'")).ends_with("exit 0"));
    }
    insta::assert_snapshot!(house.type_in("graph --run last --project loop-project"), @"
     [ ✓ write ]
          │
          ▼
     [ ✓ judge ]
          │
          ▼
    [ ✓ write#2 ]
          │
          ▼
    [ ✓ judge#2 ]
          │
          ▼
    [ ✓ write#3 ]
          │
          ▼
    [ ✓ judge#3 ]
          │
          ▼
    [ ✓ publish ]
    write … judge may run again
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("graph --run last --project loop-project --format todo"), @"
    ## loop

    - [x] write
    - [x] judge
    - [x] write#2
    - [x] judge#2
    - [x] write#3
    - [x] judge#3
    - [x] publish
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("graph --run last --project map-reduce-project"), @"
              [ ✓ map ]
          ┌───────┴───────┐
          ▼               ▼
    [ ✓ map[0]  ]   [ ✓ map[1]  ]
          └───────┬───────┘
                  ▼
            [ ✓ reduce  ]
    exit 0
    ");
    house.write(
        "loop-project/workflows/end.yaml",
        "\
id: end
tasks:
  - { id: a, agent: std.echo }
  - { id: b, agent: std.echo, depends_on: [a] }
  - { id: cleanup, agent: std.echo, finally: true }
  - { id: notify, agent: std.echo, finally: true, depends_on: [cleanup] }
",
    );
    insta::assert_snapshot!(house.type_in("graph end --project loop-project"), @"
       [ a ]
         │
         ▼
       [ b ]
    [ cleanup ]
         │
         ▼
    [ notify  ]
    exit 0
    ");
}

#[test]
fn csv_that_is_broken_starts_nothing() {
    let house = house();
    for (text, wrong) in [
        ("name\n\"Ann\nBob\n", "line 2: a quote opens here and is never closed"),
        ("name\n\"Ann\"x\n", "line 2: text stands behind the quote that closes a field"),
        ("name\r\nAnn\r\nB\"ob\r\n", "line 3: a quote stands inside of a field that does not begin with one"),
        ("name,\nAnn,1\n", "column 2 has no name"),
        ("name,name\nAnn,1\n", "the column `name` is there twice"),
        ("name,age\nAnn\n", "found record with 1 fields"),
    ] {
        house.write("people.csv", text);
        let shown = house.type_in("run greet --each people.csv");
        assert!(shown.contains(wrong) && shown.ends_with("exit 3"), "{shown}");
    }
    house.write("people.csv", "name\r\n\r\n\"A\"\"n\r\nn\"\r\nBob\r\n");
    let lines = house.type_in("run greet --each people.csv --jobs 1 -q");
    assert!(lines.contains("\"line\":3") && lines.contains("\"line\":5"), "{lines}");
}

#[test]
fn agents_are_listed_and_called() {
    let house = house();
    house.write("agents/rules.yaml", "agents:\n  rules:\n    exec: [sh, -c, 'cat > /dev/null; echo 3']\n    version: 1.2.0\n    output: number\n  mute:\n    exec: [sh, -c, 'echo almost']\n");
    insta::assert_snapshot!(house.type_in("agents list"), @"
    mute	1	enabled		program sh -c echo almost
    rules	1.2.0	enabled		program sh -c cat > /dev/null; echo 3
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents show rules"), @"
    agent_id        rules
    kind            program
    does            sh -c cat > /dev/null; echo 3
    version         1.2.0
    capabilities    []
    priority        5
    weight          1
    state           enabled
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents call rules"), @"
    3
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents call mute"), @"
    err: error: invalid: its answer is not JSON; it begins with `almost`
    exit 1
    ");
    insta::assert_snapshot!(house.type_in(r#"agents call std.set --params '{"value": [1, 2]}'"#), @"
    [
      1,
      2
    ]
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents call rulse"), @"
    err: error: there is no agent `rulse`
    err: hint: did you mean `rules`?
    exit 4
    ");
}

#[test]
fn what_an_agent_returns_is_what_it_says_whoever_chooses_it() {
    let house = house();
    let answers = |answer: &str| format!("exec: [sh, -c, \"cat > /dev/null; echo '{answer}'\"], capabilities: [score]");
    let agents = |second: &str| {
        let (fast, slow) = (answers("{\\\"score\\\": 2}"), answers("{}"));
        format!("agents:\n  fast: {{ {fast}, priority: 9, output: {{ score: confidence }} }}\n  slow: {{ {slow}, output: {second} }}\n")
    };
    house.write(
        "workflows/score.yaml",
        "tasks: [{ id: score, capability: score }, { id: high, agent: std.echo, depends_on: [score], when: score.scroe > 0.9 }]\n",
    );
    house.write("agents/score.yaml", &agents("{ score: confidence }"));
    insta::assert_snapshot!(house.type_in("run score"), @"
    err: error[X030]: unknown name `score.scroe`
    err:  --> workflows/score.yaml:1:99
    err:   |
    err: 1 | ..., depends_on: [score], when: score.scroe > 0.9 }]
    err:   |                                 ^^^^^^^^^^^
    err:   |
    err:   = help: did you mean `score.score`?
    err:
    err: error: the project has one mistake
    err: hint: a project runs without mistakes only; `quorate check` shows warnings as well
    exit 3
    ");
    // Where the two do not say the same, nothing is known beforehand, and each is held to its own word.
    house.write("agents/score.yaml", &agents("text"));
    insta::assert_snapshot!(house.type_in("run score --quiet"), @"
    err: run <id> failed: score failed (invalid: `output.score` should be a number from 0 to 1, but is 2), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
}

#[test]
fn a_journal_is_verified_and_damage_is_named() {
    let house = house();
    house.type_in(r#"run greet -i '{"name": "Ann"}'"#);
    insta::assert_snapshot!(house.type_in("audit verify"), @"
    5 entries of one run: every chain is whole
    seal <id>
    err: keep the seal elsewhere: a journal that was put back to an earlier state has another one
    exit 0
    ");
    let journal = rusqlite::Connection::open(house.path().join(".quorate/journal.db")).unwrap();
    assert_eq!(journal.execute("UPDATE runs SET name = 'other'", []).unwrap(), 1);
    drop(journal);
    insta::assert_snapshot!(house.type_in("audit verify"), @"
    run <id>: the index does not say what its entries say; it can be rebuilt from the entries
    err: the journal is damaged in one place; nothing was changed
    err: hint: no entry is; `quorate audit reindex` makes the index anew
    exit 1
    ");
    insta::assert_snapshot!(house.type_in("audit reindex"), @"
    err: the index has one run again
    exit 0
    ");
    assert!(house.type_in("audit verify -q").starts_with("5 entries of one run: every chain is whole"));
    let exported = house.type_in("audit export");
    assert_eq!(exported.lines().count(), 6, "five entries, and how it ended: {exported}");
    let changed = change(&house.path().join(".quorate/journal.db"));
    assert_eq!(changed, 1);
    insta::assert_snapshot!(house.type_in("audit verify"), @"
    run <id>, entry 3: it was changed after it was written
    err: the journal is damaged in one place; nothing was changed
    exit 1
    ");
    insta::assert_snapshot!(house.type_in("runs show last"), @"
    err: error: the journal is damaged: run <id>, entry 3: it was changed after it was written
    err: hint: `quorate audit verify` says what is damaged
    exit 1
    ");
}

/// Changes a text in the journal behind its back.
fn change(file: &Path) -> usize {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.execute("update appends set body = replace(body, 'Hello', 'Howdy') where body like '%Hello, Ann%'", []).unwrap()
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let named = commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    named.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_shows_an_example_and_fits_a_terminal() {
    let house = House::empty();
    let help = |command: &str| house.type_in(&format!("{command} --help"));
    let mut commands = listed(&help(""));
    assert!(commands.len() >= 14, "{commands:?}");
    let mut next = 0;
    while let Some(command) = commands.get(next).cloned() {
        let text = help(&command);
        assert!(text.contains("Example: quorate"), "{command} shows no example:\n{text}");
        let wide = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None, "{command}");
        commands.extend(listed(&text).iter().map(|verb| format!("{command} {verb}")));
        next += 1;
    }
    assert!(commands.len() >= 30, "{commands:?}");
    insta::assert_snapshot!(help(""), @"
    Coordinates many agents and turns what they say into one decision that can be
    explained, proved and replayed

    Usage: quorate [OPTIONS] <COMMAND>

    Commands:
      init         Makes a project to begin with
      check        Checks a project: every mistake at once, with its place and what
                   to do
      run          Starts a workflow, or the policy that is for a piece of work,
                   watches it, and prints what it returned
      ask          Sends a request where it belongs, and prints what came of it
      graph        Draws a workflow, or a run of one
      runs         Lists runs, shows them, and brings them on
      approvals    Lists what people are asked, and answers it
      policy       Lists policies, looks for what is odd about them, and shows what
                   a piece of work would come to
      agents       Lists agents, asks how they are, calls them, drains them
      skills       Lists skills, shows what they say, checks them
      audit        Checks the journal, and prints all of it
      doctor       Looks at the machine, the project and its data, and says what is
                   amiss
      bench        Measures the engine on this machine, beside the floor of the same
                   machine
      schema       Prints the JSON Schema of a kind of project file, for editors
      completions  Prints what a shell needs to complete commands
      man          Prints the manual, or writes a page for every command into a
                   folder
      exit-codes   Lists what the exit codes mean
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Options of every command:
          --project <DIR>  The project folder; else the current one, or the nearest
                           above that holds quorate.yaml
          --data <DIR>     Where runs are kept; else $QUORATE_DATA, or `.quorate` in
                           the project folder
          --as <NAME>      Who acts; else $QUORATE_AS, or the user of the system
          --json           One JSON document on standard output
      -q, --quiet          Nothing but what was asked for
          --color <WHEN>   When colours are used: auto, always or never

    Example: quorate run web-app -i input.json
    exit 0
    ");
    insta::assert_snapshot!(help("run"), @r#"
    Starts a workflow, or the policy that is for a piece of work, watches it, and
    prints what it returned.

    Example: quorate run web-app -i '{"customer": "ACME"}'

    Usage: quorate run [OPTIONS] [TARGET]

    Arguments:
      [TARGET]
              A workflow, or a project folder, whose default is started; or
              `policies`, by which the input is classified and decided

              [default: .]

    Options:
      -i, --input <JSON>
              The input: a file, `-` for standard input, or JSON

          --memory
              Keep nothing: the run is gone with this command

          --relaxed
              Go on working while entries are written; decisions and results wait
              for the disk

          --mode <MODE>
              How work is done by policies: `dynamic`, as they say; `sequential`, by
              all agents one after another; `compare`, as that, and what `dynamic`
              would have made of the same answers beside it

          --jsonl
              Everything that happens, as lines of JSON

          --timeout <TIME>
              Watch it for so long at the most: <took>, 5m. It goes on with the next
              command that owns the data

          --each <FILE>
              One run for every record of this file: lines of JSON, or CSV with a
              header

          --jobs <N>
              How many of these runs are under way at once; 8 where it is not given

          --out <FILE>
              Where a line of JSON for every one of these runs is written; standard
              output where it is not given

      -h, --help
              Print help (see a summary with '-h')

    Options of every command:
          --project <DIR>
              The project folder; else the current one, or the nearest above that
              holds quorate.yaml

          --data <DIR>
              Where runs are kept; else $QUORATE_DATA, or `.quorate` in the project
              folder

          --as <NAME>
              Who acts; else $QUORATE_AS, or the user of the system

          --json
              One JSON document on standard output

      -q, --quiet
              Nothing but what was asked for

          --color <WHEN>
              When colours are used: auto, always or never
    exit 0
    "#);
    insta::assert_snapshot!(help("approvals approve"), @"
    Says yes.

    Example: quorate approvals approve last --as ann --note 'checked'

    Usage: quorate approvals approve [OPTIONS] <APPROVAL>

    Arguments:
      <APPROVAL>
              RUN/TASK, or a run that asks one question

    Options:
          --note <NOTE>
              Why; it is kept with the answer

      -h, --help
              Print help (see a summary with '-h')

    Options of every command:
          --project <DIR>
              The project folder; else the current one, or the nearest above that
              holds quorate.yaml

          --data <DIR>
              Where runs are kept; else $QUORATE_DATA, or `.quorate` in the project
              folder

          --as <NAME>
              Who acts; else $QUORATE_AS, or the user of the system

          --json
              One JSON document on standard output

      -q, --quiet
              Nothing but what was asked for

          --color <WHEN>
              When colours are used: auto, always or never
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("exit-codes"), @"
    Exit codes:
        0  succeeded
        1  the run failed, was cancelled or timed out
        2  the command line is wrong
        3  the project or the input is not valid
        4  there is no such thing
        5  waiting for a person
        6  timed out waiting
        7  the server cannot be reached
        8  not permitted
        9  a conflict: somebody else was first, or has the data
      130  interrupted
    exit 0
    ");
}

#[test]
fn a_run_whose_process_was_killed_is_there_and_is_finished_by_the_next() {
    let house = house();
    let calls = house.path().join("calls");
    house.write(
        "agents/slow.yaml",
        &format!(
            "agents:\n  slow:\n    exec: [sh, -c, 'echo $$ >> {0}; test $(wc -l < {0}) -gt 1 || exec sleep 1000; echo 1']\n",
            calls.display()
        ),
    );
    house
        .write("workflows/slow.yaml", "tasks:\n  - { id: first, agent: std.echo }\n  - { id: second, agent: slow, depends_on: [first] }\n");
    let mut running = start(&house, "run slow");
    until("the program is called", || std::fs::read_to_string(&calls).is_ok_and(|text| text.ends_with('\n')));
    running.kill().unwrap();
    running.wait().unwrap();
    let pid = std::fs::read_to_string(&calls).unwrap();
    until("the program has died with its engine", || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    });
    insta::assert_snapshot!(house.type_in("runs list"), @"
    <id>	slow	running	<time>	<took>	eve
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs explain last"), @"
    Run <id> waits for second, which is under way.
    Nobody goes on with it at the moment; `quorate runs watch <id>` does.

    How it came there:
         1  <took>  eve started it, at <time>
         2  <took>  first started: std.echo 1
         3  <took>  first succeeded
         4  <took>  second started: slow 1
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs watch last"), @"
    1
    err:   <took>  second was interrupted in attempt 1
    err:   <took>  second started again: slow 1, attempt 2
    err:   <took>  second succeeded
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("audit verify --quiet"), @"
    9 entries of one run: every chain is whole
    seal <id>
    exit 0
    ");
}

#[test]
fn who_owns_the_data_is_named_and_others_may_look() {
    let house = house();
    house.write("workflows/slow.yaml", "tasks: [{ id: sleep, agent: std.sleep, params: { ms: 60000 } }]\n");
    let mut running = start(&house, "run slow");
    until("the run has begun", || house.type_in("runs list").contains("slow"));
    let shown = house.type_in("run greet").replace(&running.id().to_string(), "<pid>");
    insta::assert_snapshot!(shown, @"
    err: error: the data folder <house>/.quorate is in use by process <pid>
    err: hint: commands that only look (runs list, runs show) work meanwhile
    exit 9
    ");
    insta::assert_snapshot!(house.type_in("runs list"), @"
    <id>	slow	running	<time>	<took>	eve
    exit 0
    ");
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn programs_that_misbehave_are_named_and_leave_nothing_behind() {
    let house = house();
    let pids = house.path().join("pids");
    house.write(
        "agents/bad.yaml",
        &format!(
            "
agents:
  endless: {{ exec: [sh, -c, 'echo $$ >> {0}; while :; do sleep 1; done'], timeout: 300ms }}
  flood: {{ exec: {{ command: [sh, -c, 'echo $$ >> {0}; yes'], max_output: 100000 }} }}
  forks: {{ exec: [sh, -c, 'sleep 1000 & echo $! >> {0}; echo 1'] }}
  killed: {{ exec: [sh, -c, 'kill -9 $$'] }}
  half: {{ exec: [printf, '{{\"output\": [1'] }}
  missing: {{ exec: [no-such-program] }}
",
            pids.display()
        ),
    );
    house.write("quorate.yaml", "name: house\nlimits: { grace: 200ms }\ngroups: { leads: [ann, bob] }\n");
    for (agent, wanted) in [
        ("endless", "timeout"),
        ("flood", "wrote more than the 100000 bytes allowed"),
        ("killed", "was ended by signal 9 (SIGKILL)"),
        ("half", "its answer is not JSON"),
        ("missing", "could not start the program no-such-program"),
    ] {
        house.write(&format!("workflows/{agent}.yaml"), &format!("tasks: [{{ id: a, agent: {agent} }}]\n"));
        let shown = house.type_in(&format!("run {agent}"));
        assert!(shown.contains(wanted) && shown.ends_with("exit 1"), "{agent}: {shown}");
    }
    house.write("workflows/forks.yaml", "tasks: [{ id: a, agent: forks }]\n");
    assert!(house.type_in("run forks --quiet").starts_with("1\nexit 0"));
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        until("it is gone", || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        });
    }
    assert!(house.type_in("audit verify --quiet").contains("every chain is whole"));
}

#[test]
fn who_waits_long_enough_leaves_and_who_comes_later_goes_on() {
    let house = house();
    house.write("workflows/slow.yaml", "tasks: [{ id: sleep, agent: std.sleep, params: { ms: 5000 } }]\n");
    insta::assert_snapshot!(house.type_in("run slow --timeout 1s"), @"
    err:   <took>  run <id> of slow started
    err:   <took>  sleep started: std.sleep 1
    err: left run <id>, which waits for sleep, which is under way
    err: hint: `quorate runs watch <id>` goes on with it
    exit 6
    ");
    let mut running = start(&house, "runs watch last");
    until("the other one has taken the data", || house.type_in("runs explain last").contains("started again"));
    insta::assert_snapshot!(house.type_in("runs watch last --timeout 10ms"), @"
    err: left run <id>, which waits for sleep, which is under way in attempt 2
    err: hint: `quorate runs watch <id>` goes on with it
    exit 6
    ");
    insta::assert_snapshot!(house.type_in("runs watch last --quiet"), @"
    null
    exit 0
    ");
    assert_eq!(running.wait().unwrap().code(), Some(0));
    insta::assert_snapshot!(house.type_in("runs watch last --timeout soon"), @"
    err: error: invalid value 'soon' for '--timeout <TIME>': a length of time is written like <took>, <took> or 1h 30m
    err:
    err: For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn who_explains_a_run_names_the_limit_that_it_waits_for() {
    let house = house();
    house.write("agents/bank.yaml", "agents: { bank: { use: std.sleep, max_concurrent: 1 }, post: { use: std.sleep } }\n");
    house.write("quorate.yaml", "name: house\ngroups: { leads: [ann, bob, cid] }\nlimits: { max_concurrent_agents: 2 }\n");
    let nap = "params: { ms: 60000 }";
    house.write(
        "workflows/naps.yaml",
        &format!("tasks: [{{ id: first, agent: bank, {nap} }}, {{ id: second, agent: bank, {nap} }}, {{ id: a, agent: post, {nap} }}, {{ id: b, agent: post, {nap} }}]\n"),
    );
    let mut running = start(&house, "run naps");
    until("two are under way", || house.type_in("runs show last").matches("running").count() == 3);
    insta::assert_snapshot!(house.type_in("runs explain last").lines().next().unwrap(), @"Run <id> waits for first, which is under way; a free place for second (bank takes one call at a time, and is busy with <id>/first); a, which is under way; a free place for b (the project allows 2 calls at a time).");
    house::send("TERM", &running);
    assert_eq!(running.wait().unwrap().code(), Some(130));
}

#[test]
fn a_question_that_nobody_answers_expires_as_the_file_says() {
    let house = house();
    house.write(
        "workflows/ask.yaml",
        "tasks:\n  - { id: ask, approval: { question: Go?, within: 1s, by: [ann], then: [{ users: [bob], within: 1s }] } }\n",
    );
    assert!(house.type_in("run ask --quiet").ends_with("exit 5"));
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    insta::assert_snapshot!(house.type_in("runs watch last"), @"
    err:   <took>  ask asks the next ones, level 2
    err: run <id> waits for an answer to ask (“Go?”) until <time>
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 5
    ");
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    insta::assert_snapshot!(house.type_in("approvals approve last --as ann"), @"
    err: error: it comes too late: run <id> failed: ask timed out (nobody answered in time)
    exit 9
    ");
    insta::assert_snapshot!(house.type_in("runs explain last"), @"
    Run <id> failed: ask timed out (nobody answered in time).

    How it came there:
         1  <took>  eve started it, at <time>
         2  <took>  ask asks: Go?
         3  <took>  ask asks the next ones, level 2
         4  <took>  ask failed: nobody answered in time
         6  <took>  run failed
    exit 0
    ");
}

#[test]
fn a_run_that_waits_for_people_in_a_run_of_its_own_does_not_hold_the_data() {
    let house = house();
    house.write("workflows/top.yaml", "tasks: [{ id: sub, workflow: release }, { id: done, agent: std.echo, depends_on: sub }]\n");
    let waits = house.type_in(r#"run top --as eve -i '{"version": "1.2"}'"#);
    assert!(waits.ends_with("exit 5"), "{waits}");
    let asked = house.type_in("approvals list --json");
    assert!(asked.contains("Ship 1.2?"), "{asked}");
    for (who, exit) in [("ann", "0"), ("bob", "0")] {
        let answered = house.type_in(&format!("approvals approve last --as {who}"));
        assert!(answered.ends_with(&format!("exit {exit}")), "{answered}");
    }
    let shown = house.type_in("runs list --all");
    assert!(shown.lines().filter(|line| line.contains("succeeded")).count() == 2, "both runs have ended: {shown}");
}

#[test]
fn a_task_in_line_behind_a_run_that_waits_for_people_does_not_hold_the_data() {
    let house = house();
    house.write("workflows/outer.yaml", "strategy: sequential\ntasks: [{ id: first, workflow: release }, { id: then, agent: std.echo }]\n");
    assert!(house.type_in("run outer -i '{\"version\": 1}'").ends_with("exit 5"));
    for (who, exit) in [("ann", 0), ("bob", 0)] {
        assert!(house.type_in(&format!("approvals approve last --as {who}")).ends_with(&format!("exit {exit}")));
    }
    assert_eq!(house.type_in("runs list --all").matches("succeeded").count(), 2);
}

#[test]
fn runs_of_one_run_that_ask_the_same_are_told_apart() {
    let house = house();
    house.write("workflows/many.yaml", "tasks: [{ id: each, workflow: release, for_each: { items: input } }]\n");
    assert!(house.type_in("run many -i '[{\"version\": 1}, {\"version\": 2}]'").ends_with("exit 5"));
    let asked = house.type_in("approvals approve last/sign_off --as ann");
    assert!(asked.contains("asks 2 questions") && asked.ends_with("exit 2"), "{asked}");
}

#[test]
fn a_run_that_waits_for_a_certain_time_does_not_hold_up_other_commands() {
    let house = house();
    house.write("workflows/later.yaml", "tasks: [{ id: later, wait: { for: 1h } }]\n");
    assert!(house.type_in("run later --timeout 1s -q").ends_with("exit 6"));
    insta::assert_snapshot!(house.type_in("runs watch last --timeout 1s"), @"
    err: run <id> waits for <time>, for later
    err: left run <id>, which waits for <time>, for later
    err: hint: `quorate runs watch <id>` goes on with it
    exit 6
    ");
    let begun = std::time::Instant::now();
    assert!(house.type_in("run greet -i '{\"name\": \"Ann\"}' -q").ends_with("exit 0"));
    assert!(begun.elapsed().as_secs() < 10, "nobody waits an hour for somebody else's run");
    assert!(house.type_in("run later --memory --timeout 1s -q").ends_with("exit 6"), "it was left, and did not fail");
}

#[test]
fn who_watches_a_run_goes_on_with_it_when_its_owner_is_gone() {
    let house = house();
    house.write("workflows/slow.yaml", "tasks: [{ id: slow, agent: std.sleep, params: { ms: 1500 } }]\n");
    let mut owner = start(&house, "run slow");
    until("it is under way", || house.type_in("runs list --status running").contains("slow"));
    let mut watcher = start(&house, "runs watch last");
    std::thread::sleep(std::time::Duration::from_millis(300));
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(watcher.wait().unwrap().code(), Some(0));
    assert!(house.type_in("runs list").contains("succeeded"));
}

#[test]
fn who_does_not_get_the_data_destroys_no_results() {
    let house = house();
    house.write("workflows/slow.yaml", "tasks: [{ id: slow, agent: std.sleep, params: { ms: 60000 } }]\n");
    house.write("one.jsonl", "{\"name\": \"Ann\"}\n");
    house.write("out.jsonl", "what somebody else writes\n");
    let mut owner = start(&house, "run slow");
    until("it is under way", || house.type_in("runs list --status running").contains("slow"));
    assert!(house.type_in("run greet --each one.jsonl --out out.jsonl").ends_with("exit 9"));
    assert_eq!(std::fs::read_to_string(house.path().join("out.jsonl")).unwrap(), "what somebody else writes\n");
    house::send("TERM", &owner);
    owner.wait().unwrap();
}

#[test]
fn a_run_that_cannot_be_read_does_not_hide_the_others() {
    let house = house();
    for version in [1, 2] {
        assert!(house.type_in(&format!("run release -i '{{\"version\": {version}}}'")).ends_with("exit 5"));
    }
    let journal = rusqlite::Connection::open(house.path().join(".quorate/journal.db")).unwrap();
    let damage = "UPDATE appends SET body = replace(body, 'task_started', 'task_startled') WHERE run = (SELECT min(run) FROM runs)";
    assert!(journal.execute(damage, []).unwrap() > 0);
    drop(journal);
    let listed = house.type_in("runs list");
    assert!(listed.contains("unreadable") && listed.contains("waiting") && listed.ends_with("exit 0"), "{listed}");
    let asked = house.type_in("approvals list");
    assert!(asked.contains("Ship 2?") && asked.contains("cannot be read") && asked.ends_with("exit 0"), "{asked}");
}

#[test]
fn a_folder_does_not_hide_a_workflow_of_its_name() {
    let house = house();
    std::fs::create_dir(house.path().join("greet")).unwrap();
    assert!(house.type_in("run greet -i '{\"name\": \"Ann\"}' -q").ends_with("exit 0"));
}

#[test]
fn records_whose_runs_wait_for_people_do_not_hold_up_the_others() {
    let house = house();
    house.write("workflows/ask.yaml", "strategy: dag\ntasks: [{ id: ask, approval: { question: Go?, by: [ann] } }, { id: work, agent: std.sleep, params: { ms: 100 } }]\n");
    house.write("workflows/signal.yaml", "tasks: [{ id: listen, wait: { signal: go } }]\n");
    house.write("two.jsonl", "{}\n{}\n");
    insta::assert_snapshot!(house.type_in("run ask --each two.jsonl --jobs 1"), @r#"
    {"schema":"quorate.record/1","record":1,"line":1,"run_id":"<id>","status":"waiting","waits":"waits for an answer to ask (“Go?”)"}
    {"schema":"quorate.record/1","record":2,"line":2,"run_id":"<id>","status":"waiting","waits":"waits for an answer to ask (“Go?”)"}
    err: ask of 2 records: 0 succeeded, 2 wait for people
    exit 5
    "#);
    insta::assert_snapshot!(house.type_in("run signal --each two.jsonl --jobs 2 --quiet").replace("\"record\":2,\"line\":2", "\"record\":1,\"line\":1"), @r#"
    {"schema":"quorate.record/1","record":1,"line":1,"run_id":"<id>","status":"waiting","waits":"waits for the signal `go`, for listen"}
    {"schema":"quorate.record/1","record":1,"line":1,"run_id":"<id>","status":"waiting","waits":"waits for the signal `go`, for listen"}
    exit 5
    "#);
    insta::assert_snapshot!(house.type_in("run greet --each two.jsonl --out two.jsonl"), @"
    err: error: two.jsonl holds the records; the results need a file of their own
    exit 2
    ");
    assert_eq!(std::fs::read_to_string(house.path().join("two.jsonl")).unwrap(), "{}\n{}\n");
    insta::assert_snapshot!(house.type_in("run signal"), @"
    err:   <took>  run <id> of signal started
    err:   <took>  listen waits for its signal
    err: run <id> waits for the signal `go`, for listen
    err: hint: `quorate runs signal <id> NAME` sends a signal, `quorate runs cancel <id>` ends it
    exit 5
    ");
    insta::assert_snapshot!(house.type_in("runs signal last go --quiet"), @"
    null
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("run ask --memory --quiet"), @"
    err: error: the run waits for an answer to ask (“Go?”), and is gone: nothing of it was kept
    err: hint: run it without --memory
    exit 1
    ");
}

#[test]
fn what_else_was_open_is_brought_to_its_end_and_not_cut_off() {
    let house = house();
    let log = house.path().join("log");
    house.write(
        "agents/slow.yaml",
        &format!("agents:\n  slow:\n    exec: [sh, -c, 'echo begin >> {0}; sleep 1; echo end >> {0}']\n", log.display()),
    );
    house.write("workflows/slow.yaml", "tasks: [{ id: slow, agent: slow }]\n");
    let begun = |count: usize| std::fs::read_to_string(&log).is_ok_and(|text| text.matches("begin").count() == count);
    let mut running = start(&house, "run slow");
    until("it is under way", || begun(1));
    running.kill().unwrap();
    running.wait().unwrap();
    // Whoever cancels it does not begin it again.
    let cancelled = house.type_in("runs cancel last --reason enough");
    assert!(cancelled.ends_with("exit 0") && begun(1), "{cancelled}");

    let mut running = start(&house, "run slow");
    until("another one is under way", || begun(2));
    running.kill().unwrap();
    running.wait().unwrap();
    let other = house.type_in(r#"run greet -i '{"name": "Ann"}'"#);
    assert!(other.contains("going on with what else was open here"), "{other}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "begin\nbegin\nbegin\nend\n");
    assert!(!house.type_in("runs list").contains("running"));
}

#[test]
fn who_ends_the_process_politely_leaves_the_run_in_order() {
    let house = house();
    house.write("workflows/slow.yaml", "tasks: [{ id: sleep, agent: std.sleep, params: { ms: 60000 } }]\n");
    for signal in ["INT", "TERM", "HUP"] {
        let mut running = start(&house, "run slow");
        until("it is under way", || house.type_in("runs list --status running").contains("slow"));
        let sent = house::send(signal, &running);
        assert!(sent.success());
        assert_eq!(running.wait().unwrap().code(), Some(130), "{signal}");
        house.type_in("runs cancel last");
    }
    assert!(house.type_in("audit verify --quiet").contains("every chain is whole"));
}

#[test]
fn a_project_is_the_same_from_wherever_it_is_named() {
    let house = house();
    house.write("inner/quorate.yaml", "name: inner\n");
    house.write("inner/agents/a.yaml", "agents: { a: { exec: [agents/a.sh] } }\n");
    house.write("inner/agents/a.sh", "#!/bin/sh\npwd | sed 's/.*/\"&\"/'\n");
    let script = house.path().join("inner/agents/a.sh");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    house.write("inner/workflows/w.yaml", "tasks: [{ id: t, agent: a }]\n");
    insta::assert_snapshot!(house.type_in("run w --project inner --quiet"), @"
    <house>/inner
    exit 0
    ");
    house.write("inner/agents/b.yaml", "agents: { b: { exec: [no-such-program] }, c: { exec: [sh, -c, 'exit 127'] } }\n");
    insta::assert_snapshot!(house.type_in("agents call b --project inner"), @"
    err: error: invalid: could not start the program no-such-program: No such file or directory (os error 2)
    exit 1
    ");
    insta::assert_snapshot!(house.type_in("agents call c --project inner"), @"
    err: error: internal: `sh` ended with code 127
    exit 1
    ");
}

#[test]
fn a_mistake_in_one_workflow_does_not_keep_a_run_of_another_from_being_answered() {
    let house = house();
    house.type_in(r#"run release --as ann -i '{"version": "1.2"}'"#);
    house.write("workflows/wrong.yaml", "tasks: [{ id: a, agent: nobody }]\n");
    insta::assert_snapshot!(house.type_in("approvals approve last --as bob"), @"
    err: warning: the project has mistakes; `quorate check` shows them
    err:   <took>  sign_off: bob answered approve; more have to agree
    err: run <id> waits for an answer to sign_off (“Ship 1.2?”)
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("runs cancel last --quiet"), @"
    err: run <id> was cancelled, after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 0
    ");
}
