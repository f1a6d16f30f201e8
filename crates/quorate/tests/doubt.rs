//! Nothing is resolved by itself while something speaks against it: a table of policies, work, and what people see.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use house::House;
use insta::assert_snapshot;
use serde_json::Value;

/// Three agents that say what they are told, one that fails, and one that takes its time.
fn policy(body: &str) -> House {
    let house = House::empty();
    house.write("quorate.yaml", "name: doubt\n");
    house.write(
        "agents/agents.yaml",
        "agents:
  A: { use: std.echo }
  B: { use: std.echo }
  C: { use: std.echo }
  F: { use: std.fail, params: { message: boom } }
  S: { use: std.sleep, params: { ms: 500 } }
",
    );
    house.write("policies/policies.yaml", body);
    house
}

fn decided(body: &str, work: &str) -> String {
    let house = policy(body);
    let output = house.run(&["run", "policies", "--json", "-i", work], "");
    let run: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let explained = house.type_in("policy explain last");
    let why = explained.lines().find(|line| line.starts_with("The decision")).unwrap_or_default();
    format!("{} {}\n{why}", run["decision"]["action"], run["status"])
}

fn of(checkpoints: &str) -> String {
    format!("policies:\n  default:\n    mandatory_agents: [A, B]\n    decision_checkpoints:\n{checkpoints}")
}

#[test]
fn what_stands_before_it_and_is_unknown_is_not_overtaken() {
    let fraud =
        of("      - { after: A, condition: A.fraud, action: REJECTED }\n      - { after: B, condition: B.x > 1, action: AUTO_RESOLVE }\n");
    assert_snapshot!(decided(&fraud, r#"{"x": 5, "fraud": false}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE: checkpoint_2 holds.
    "#);
    assert_snapshot!(decided(&fraud, r#"{"x": 5, "fraud": true}"#), @r#"
    "REJECTED" "succeeded"
    The decision is REJECTED: checkpoint_1 holds.
    "#);
    assert_snapshot!(decided(&fraud, r#"{"x": 5, "fraud": "yes"}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: checkpoint_1 is unknown, and stands before checkpoint_2, which holds.
    "#);
    assert_snapshot!(decided(&format!("{fraud}    on_unknown: ESCALATE\n"), r#"{"x": 5}"#), @r#"
    "ESCALATE" "waiting"
    The decision is ESCALATE: checkpoint_1 is unknown, and stands before checkpoint_2, which holds.
    "#);
    // Another chance to resolve it is no doubt, and neither is what follows an agent that was not needed.
    let chances = of(
        "      - { after: A, condition: A.sure, action: AUTO_RESOLVE }\n      - { after: B, condition: B.x > 1, action: AUTO_RESOLVE }\n",
    );
    assert_snapshot!(decided(&chances, r#"{"x": 5}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE: checkpoint_2 holds.
    "#);
    let not_needed = fraud.replace("[A, B]", "[{ agent: A, when: input.large }, B]");
    assert_snapshot!(decided(&not_needed, r#"{"x": 5, "large": false}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE: checkpoint_2 holds.
    "#);
    // Voices do not overtake it either, nor do stages.
    let voices = of("      - { after: A, condition: A.fraud, action: REJECTED }\n      - { voices: { by: unanimity, of: [A, B] } }\n");
    assert_snapshot!(decided(&voices, r#"{"action": "AUTO_RESOLVE"}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: checkpoint_1 is unknown, and stands before checkpoint_2, which holds.
    "#);
    let stages = "policies:\n  default:\n    stages: [A, { agent: B, stop_when: B.ok, action: AUTO_RESOLVE }]\n";
    assert_snapshot!(decided(stages, r#"{"stop_workflow": "true", "ok": true}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: stop_A is unknown, and stands before stop_B, which holds.
    "#);
}

#[test]
fn whether_somebody_had_to_be_asked_has_to_be_known() {
    let body = "policies:
  default:
    mandatory_agents: [A, { agent: B, when: A.amount > 10000 }]
    decision_checkpoints: [{ after: [A, B], condition: A.ok, action: AUTO_RESOLVE }]
";
    assert_snapshot!(decided(body, r#"{"ok": true, "amount": 5}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE: checkpoint_1 holds.
    "#);
    assert_snapshot!(decided(body, r#"{"ok": true, "amount": 25000}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE: checkpoint_1 holds.
    "#);
    assert_snapshot!(decided(body, r#"{"ok": true, "amount": "25000"}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: whether B was to run is not known: `A.amount > 10000` is unknown: A.amount is '25000', and without that nothing is resolved by itself.
    "#);
    let otherwise =
        body.replace("decision_checkpoints: [{ after: [A, B], condition: A.ok, action: AUTO_RESOLVE }]", "otherwise: AUTO_RESOLVE");
    assert_snapshot!(decided(&otherwise, r#"{"ok": true}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: whether B was to run is not known: `A.amount > 10000` is unknown: A.amount is missing, and without that nothing is resolved by itself.
    "#);
}

#[test]
fn whom_the_project_says_that_it_takes_has_to_have_found_something() {
    let with = |agents: &str| {
        format!(
            "auto_resolve_needs: [C]\npolicies:\n  default:\n    mandatory_agents: [{agents}]\n    decision_checkpoints: [{{ after: A, condition: A.x > 1, action: AUTO_RESOLVE }}]\n"
        )
    };
    assert_snapshot!(decided(&with("C, A"), r#"{"x": 5}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE: checkpoint_1 holds.
    "#);
    assert_snapshot!(decided(&with("A, C"), r#"{"x": 5}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: C has found nothing, and without that nothing is resolved by itself.
    "#);
    assert_snapshot!(decided(&with("A"), r#"{"x": 5}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: C has found nothing, and without that nothing is resolved by itself.
    "#);
    let voices = with("A")
        .replace("mandatory_agents: [A]", "mandatory_agents: [A, B, C]")
        .replace("{ after: A, condition: A.x > 1, action: AUTO_RESOLVE }", "{ voices: { by: first, of: [A, B] } }");
    assert_snapshot!(decided(&voices, r#"{"action": "AUTO_RESOLVE"}"#), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: C has found nothing, and without that nothing is resolved by itself.
    "#);
}

#[test]
fn a_mean_is_not_rounded_before_it_is_judged() {
    let body = "policies:
  default:
    mandatory_agents: [A, B, C]
    decision_checkpoints:
      - voices:
          by: weighted
          of: [{ agent: A, says: A.a }, { agent: B, says: B.b }, { agent: C, says: C.c }]
          actions: [{ when: score >= 0.8, then: AUTO_RESOLVE }, { then: ESCALATE }]
";
    assert_snapshot!(decided(body, r#"{"a": 0.8, "b": 0.8, "c": 0.799999}"#), @r#"
    "ESCALATE" "waiting"
    The decision is ESCALATE, with a confidence of 0.7999996666666666666666666667: checkpoint_1: the weighted mean is 0.799999….
    "#);
    assert_snapshot!(decided(body, r#"{"a": 0.8, "b": 0.8, "c": 0.8}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE, with a confidence of 0.8: checkpoint_1: the weighted mean is 0.8.
    "#);
}

#[test]
fn who_runs_out_of_time_leaves_it_to_people() {
    let body = "policies: { default: { mandatory_agents: [A, S], timeout: 50ms, decision_checkpoints: [{ after: S, condition: always, action: AUTO_RESOLVE }] } }";
    assert_snapshot!(decided(body, "{}"), @r#"
    "HIL_REVIEW" "waiting"
    The decision is HIL_REVIEW: there was no time left.
    "#);
}

#[test]
fn a_bare_name_is_one_of_what_comes_in_where_nothing_is_found_out() {
    let body = "policies: { default: { mandatory_agents: [A, B], decision_checkpoints: [{ after: [A, B], condition: x > 1, action: AUTO_RESOLVE }] } }";
    assert_snapshot!(decided(body, r#"{"x": 5}"#), @r#"
    "AUTO_RESOLVE" "succeeded"
    The decision is AUTO_RESOLVE: checkpoint_1 holds.
    "#);
}

#[test]
fn what_would_have_been_enough_is_any_of_several() {
    let body = "policies: { default: { mandatory_agents: [A], decision_checkpoints: [{ after: A, condition: 'A.z >= 3 and A.z in [2, 8]', action: AUTO_RESOLVE }] } }";
    let house = policy(body);
    house.run(&["run", "policies", "-i", r#"{"z": 9}"#], "");
    assert_snapshot!(house.type_in("policy explain last").lines().skip_while(|line| !line.starts_with("What would")).collect::<Vec<_>>().join("\n"), @"
    What would have been enough for another one:
      AUTO_RESOLVE: A.z is 9, needs one of 2, 8 (checkpoint_1)
    exit 0
    ");
}

#[test]
fn mistakes_that_would_pick_the_wrong_policy_are_told() {
    let wrong = |body: &str| {
        let told = policy(body).type_in("check");
        told.lines().filter_map(|line| line.strip_prefix("err: error")).map(|line| format!("{line}\n")).collect::<String>()
    };
    let tiers = "input: { break_type: text, risk_tier: text }\npolicies: { X: { LOW: { mandatory_agents: [A] }, LOW_RISK: { mandatory_agents: [B] } } }";
    assert_snapshot!(wrong(tiers), @"[D007]: `X/LOW_RISK` and `X/LOW` are for the same work");
    assert_snapshot!(wrong("input: { a: text, b: text }\nkeyed_by: [a, a]\npolicies: { X: { Y: { mandatory_agents: [A] } } }"), @"[D008]: policies are looked up by one field, or by two different ones");
    assert_snapshot!(wrong("keyed_by: []\nsequence: []\nauto_resolve_needs: []\npolicies: { default: { mandatory_agents: [A], decision_checkpoints: [] } }"), @"[D008]: policies are looked up by one field, or by two different ones");
    assert_snapshot!(wrong("policies: { default: { mandatory_agents: [A], decision_checkpoints: [{ voices: { by: first, of: [A, B] } }] } }"), @"[P010]: there is no task `B`");
    // An agent of another alphabet has a name of its own.
    let house = policy("policies: { default: { mandatory_agents: [Ä, Ö] } }");
    house.write("agents/more.yaml", "agents: { Ä: { use: std.echo }, Ö: { use: std.echo } }");
    assert_snapshot!(house.type_in("check").lines().last().unwrap(), @"exit 0");
    // Work that no rule picks a policy for is told by the linter.
    let rules = policy("input: { x: number }\nrules: [{ when: x > 5, policy: p }]\npolicies: { p: { mandatory_agents: [A] } }");
    assert_snapshot!(rules.type_in("policy lint").lines().filter(|line| line.contains("L009")).collect::<Vec<_>>().join("\n"), @"err: warning[L009]: there is no policy for work where x is 4");
}

#[test]
fn five_hundred_rules_are_linted_and_what_was_not_looked_for_is_said() {
    let rules: String = (0..500)
        .map(|number| format!("  - {{ when: x > {number} and y < {} or abs(x - y) == {number}, policy: p }}\n", 500 - number))
        .collect();
    let house = policy(&format!("input: {{ x: number, y: number }}\nrules:\n{rules}policies: {{ p: {{ mandatory_agents: [A] }} }}"));
    let told = house.type_in("policy lint");
    assert!(told.contains("L000") && told.contains("behind the first"), "{}", &told[told.len().saturating_sub(2_000)..]);
}
