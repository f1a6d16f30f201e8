//! Work that comes up in a run and is decided by policies, as runs of its own that outlive it.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use house::House;
use insta::assert_snapshot;

/// A project whose workflow has each of three pieces of work decided.
fn desk() -> House {
    let house = House::empty();
    house.write("quorate.yaml", "name: desk\ndefault: day\ngroups: { analysts: [ann, bob], heads: [cid] }\n");
    house.write(
        "agents/desk.yaml",
        "
agents:
  RULES_TOLERANCE: { use: std.set, output: { within_tolerance: bool, confidence: confidence },
                     params: { value: { within_tolerance: true, confidence: 0.95 } } }
  decide: { use: policies.decide }
  withdraw: { use: runs.cancel }
",
    );
    house.write(
        "policies/desk.yaml",
        "
input: { id: text, amount: number }
classify:
  break_type: \"'CASH'\"
  risk_tier: [{ when: amount < 100, then: LOW }, { when: amount < 1000, then: MEDIUM }, { then: HIGH }]
reviews:
  HIL_REVIEW: { question: 'What about {{ input.id }}?', by: { group: analysts }, evidence: { work: '{{ input }}' } }
policies:
  CASH:
    LOW:
      mandatory_agents: [RULES_TOLERANCE]
      decision_checkpoints: [{ after: RULES_TOLERANCE, condition: within_tolerance, action: AUTO_RESOLVE }]
    MEDIUM: { mandatory_agents: [RULES_TOLERANCE] }
    HIGH:
      mandatory_agents: [RULES_TOLERANCE]
      otherwise: ESCALATE
      reviews: { ESCALATE: { by: { groups: [analysts, heads], at_least: 2 } } }
",
    );
    house.write(
        "workflows/day.yaml",
        "
workflows:
  day:
    tasks:
      - id: each
        for_each: { items: input.work, max_parallel: 1 }
        agent: decide
        input: '{{ item }}'
        params: { key: '{{ item.id }}' }
    output: '{{ each }}'
  withdraw:
    tasks: [{ id: out, agent: withdraw, params: { run: '{{ input.run }}', reason: 'it was found' } }]
",
    );
    house
}

const WORK: &str = r#"'{"work": [{"id": "a", "amount": 5}, {"id": "b", "amount": 500}, {"id": "c", "amount": 5000}]}'"#;

/// The run that follows a policy.
fn run_of(house: &House, policy: &str) -> String {
    let listed = house.run(&["runs", "list", "--all", "--json"], "");
    let all: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let found = all["runs"].as_array().unwrap().iter().find(|run| run["target"] == policy);
    found.unwrap_or_else(|| panic!("{all}"))["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn every_piece_of_work_is_a_run_of_its_own_that_outlives_who_brought_it() {
    let house = desk();
    assert_snapshot!(house.type_in(&format!("run . -q -i {WORK}")), @r#"
    [
      {
        "run": "<id>",
        "status": "succeeded",
        "policy": "CASH/LOW",
        "profile": {
          "break_type": "CASH",
          "risk_tier": "LOW"
        },
        "action": "AUTO_RESOLVE",
        "confidence": 0.95,
        "because": "checkpoint_1 holds",
        "agents": [
          "RULES_TOLERANCE"
        ],
        "spared": [],
        "asks": []
      },
      {
        "run": "<id>",
        "status": "waiting",
        "policy": "CASH/MEDIUM",
        "profile": {
          "break_type": "CASH",
          "risk_tier": "MEDIUM"
        },
        "action": "HIL_REVIEW",
        "because": "nothing else decided",
        "agents": [
          "RULES_TOLERANCE"
        ],
        "spared": [],
        "asks": [
          "hil_review"
        ]
      },
      {
        "run": "<id>",
        "status": "waiting",
        "policy": "CASH/HIGH",
        "profile": {
          "break_type": "CASH",
          "risk_tier": "HIGH"
        },
        "action": "ESCALATE",
        "because": "nothing else decided",
        "agents": [
          "RULES_TOLERANCE"
        ],
        "spared": [],
        "asks": [
          "escalate"
        ]
      }
    ]
    exit 0
    "#);
    assert_snapshot!(house.type_in("runs list"), @"
    <id>	day	succeeded	<time>	<took>	eve
    exit 0
    ");
    assert_snapshot!(house.type_in("runs list --workflow CASH/LOW"), @"
    <id>	CASH/LOW	succeeded	<time>	<took>	run <id>
    exit 0
    ");
    assert_snapshot!(house.type_in("runs list --status waiting"), @"
    <id>	CASH/HIGH	waiting	<time>	<took>	run <id>
    <id>	CASH/MEDIUM	waiting	<time>	<took>	run <id>
    exit 0
    ");
    assert_snapshot!(house.type_in("runs list --all"), @"
    <id>	CASH/HIGH	waiting	<time>	<took>	run <id>
    <id>	CASH/MEDIUM	waiting	<time>	<took>	run <id>
    <id>	CASH/LOW	succeeded	<time>	<took>	run <id>
    <id>	day	succeeded	<time>	<took>	eve
    exit 0
    ");
    assert_snapshot!(house.type_in("approvals list"), @"
    <id>/hil_review	CASH/MEDIUM	-	the group analysts	What about b?
    <id>/escalate	CASH/HIGH	-	2 of the group analysts, the group heads	The decision is ESCALATE. What is to be done?
    exit 0
    ");
}

#[test]
fn work_that_is_brought_again_finds_the_run_that_is_there() {
    let house = desk();
    let first = house.type_in(&format!("run . -q -i {WORK}"));
    assert_eq!(house.type_in(&format!("run . -q -i {WORK}")), first);
    let listed = house.type_in("runs list --all");
    assert_eq!(listed.matches("CASH/").count(), 3, "{listed}");
    // What people answered meanwhile is found as well.
    house.type_in(&format!("approvals approve {} --as ann", run_of(&house, "CASH/MEDIUM")));
    assert_snapshot!(house.type_in(&format!("run . -q -i {WORK}")), @r#"
    [
      {
        "run": "<id>",
        "status": "succeeded",
        "policy": "CASH/LOW",
        "profile": {
          "break_type": "CASH",
          "risk_tier": "LOW"
        },
        "action": "AUTO_RESOLVE",
        "confidence": 0.95,
        "because": "checkpoint_1 holds",
        "agents": [
          "RULES_TOLERANCE"
        ],
        "spared": [],
        "asks": []
      },
      {
        "run": "<id>",
        "status": "succeeded",
        "policy": "CASH/MEDIUM",
        "profile": {
          "break_type": "CASH",
          "risk_tier": "MEDIUM"
        },
        "action": "HIL_REVIEW",
        "because": "nothing else decided",
        "agents": [
          "RULES_TOLERANCE"
        ],
        "spared": [],
        "asks": []
      },
      {
        "run": "<id>",
        "status": "waiting",
        "policy": "CASH/HIGH",
        "profile": {
          "break_type": "CASH",
          "risk_tier": "HIGH"
        },
        "action": "ESCALATE",
        "because": "nothing else decided",
        "agents": [
          "RULES_TOLERANCE"
        ],
        "spared": [],
        "asks": [
          "escalate"
        ]
      }
    ]
    exit 0
    "#);
}

#[test]
fn a_review_asks_whom_its_policy_says() {
    let house = desk();
    house.type_in(&format!("run . -q -i {WORK}"));
    let (medium, high) = (run_of(&house, "CASH/MEDIUM"), run_of(&house, "CASH/HIGH"));
    assert_snapshot!(house.type_in(&format!("approvals approve {medium} -q --as eve")), @"
    err: error: eve may not answer `hil_review`: they started the run
    exit 8
    ");
    assert_snapshot!(house.type_in(&format!("approvals approve {medium} -q --as cid")), @"
    err: error: cid may not answer `hil_review`: it asks the group analysts
    exit 8
    ");
    assert_snapshot!(house.type_in(&format!("approvals approve {medium} -q --as bob")), @r#"
    {
      "action": "HIL_REVIEW",
      "because": "nothing else decided",
      "answered": {"choice":"approve","expired":false,"answers":[{"by":"bob","choice":"approve","levels":[0]}]}
    }
    exit 0
    "#);
    assert_snapshot!(house.type_in(&format!("approvals approve {high} -q --as ann")), @r#"
    {
      "action": "ESCALATE",
      "because": "nothing else decided"
    }
    exit 0
    "#);
    assert_snapshot!(house.type_in(&format!("approvals approve {high} -q --as ann")), @"
    err: error: ann has answered `escalate` already; others have to agree, or they may still reject
    exit 9
    ");
    assert_snapshot!(house.type_in(&format!("approvals approve {high} -q --as cid")), @r#"
    {
      "action": "ESCALATE",
      "because": "nothing else decided",
      "answered": {"choice":"approve","expired":false,"answers":[{"by":"ann","choice":"approve","levels":[0]},{"by":"cid","choice":"approve","levels":[0]}]}
    }
    exit 0
    "#);
}

#[test]
fn who_waits_for_cases_takes_no_place_that_they_need() {
    let house = desk();
    let text = std::fs::read_to_string(house.path().join("quorate.yaml")).unwrap();
    house.write("quorate.yaml", &format!("{text}limits: {{ max_concurrent_agents: 1, run_timeout: 20s }}\n"));
    let day = std::fs::read_to_string(house.path().join("workflows/day.yaml")).unwrap();
    house.write("workflows/day.yaml", &day.replace("max_parallel: 1", "max_parallel: 3"));
    assert!(house.type_in(&format!("run . -q -i {WORK}")).ends_with("exit 0"));
}

#[test]
fn what_needs_no_answer_any_more_is_withdrawn() {
    let house = desk();
    house.type_in(&format!("run . -q -i {WORK}"));
    let run = run_of(&house, "CASH/MEDIUM");
    for _ in 0..2 {
        house.type_in(&format!("run withdraw -q -i '{{\"run\": \"{run}\"}}'"));
    }
    assert_snapshot!(house.type_in(&format!("runs show {run} -q")), @"
    run       <id>
    workflow  CASH/MEDIUM
    status    cancelled
    started   <time> by eve
    took  <took>
    agents    1 of 3
    path      RULES_TOLERANCE -> Decision -> hil_review
    decision  HIL_REVIEW

      ✓ RULES_TOLERANCE  succeeded  RULES_TOLERANCE  <took>
      □ hil_review       cancelled  <took>  the run was cancelled
    exit 0
    ");
}

#[test]
fn work_that_cannot_be_decided_says_why() {
    let house = desk();
    assert_snapshot!(house.type_in(r#"run . -q -i '{"work": [{"id": "a"}]}'"#), @"
    err: run <id> failed: each failed (each[0] failed); each[0] failed (invalid: `input` has no `amount`), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    assert_snapshot!(house.type_in(&format!(r#"run . -q -i '{{"work": [{{"id": "{}", "amount": 1}}]}}'"#, "a".repeat(300))), @"
    err: run <id> failed: each failed (each[0] failed); each[0] failed (invalid: the key of a piece of work has from 1 to 256 bytes, and this one has 300), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    // The same key for something else is no longer the same work.
    house.type_in(&format!("run . -q -i {WORK}"));
    assert_snapshot!(house.type_in(r#"run . -q -i '{"work": [{"id": "a", "amount": 6}]}'"#), @"
    err: run <id> failed: each failed (each[0] failed); each[0] failed (invalid: the key is that of another piece of work, which run <id> is about), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    std::fs::remove_dir_all(house.path().join("policies")).unwrap();
    assert_snapshot!(house.type_in(&format!("run . -q -i {WORK}")), @"
    err: run <id> failed: each failed (each[0] failed); each[0] failed (invalid: the project has no policies that could decide it), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
}

#[test]
fn a_review_that_nobody_can_settle_is_a_mistake() {
    let house = desk();
    let text = std::fs::read_to_string(house.path().join("policies/desk.yaml")).unwrap();
    house.write("policies/desk.yaml", &text.replace("group: analysts", "group: analyst").replace("at_least: 2", "at_least: 4"));
    assert_snapshot!(house.type_in("check"), @"
    err: error[W009]: there is no group `analyst`
    err:  --> policies/desk.yaml:7:61
    err:   |
    err: 7 | ...out {{ input.id }}?', by: { group: analyst }, evidence: { work: '{{ in...
    err:   |                              ^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: did you mean `analysts`?
    err:
    err: error[W019]: nobody can settle this: it takes 4 of 3 people
    err:   --> policies/desk.yaml:17:34
    err:    |
    err: 17 | ...ALATE: { by: { groups: [analysts, heads], at_least: 4 } } }
    err:    |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:    |
    err:    = help: ask more people, or fewer of them
    err:
    err: 2 mistakes and 0 warnings
    exit 3
    ");
}
