//! Document 000's migration: all agents one after another beside what the policy asks for, and its speed table, measured.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

mod house;

use house::{House, document, masked};
use insta::assert_snapshot;
use serde_json::Value;

/// The seven agents, as slow as models are where they are asked: 1.3 s, one after another.
const SLEEPERS: &str = "agents:
  BREAK_INGESTION: { use: std.sleep, params: { ms: 20 } }
  DATA_ENRICHMENT: { use: std.sleep, params: { ms: 40 } }
  MATCHING_CORRELATION: { use: std.sleep, params: { ms: 460 } }
  RULES_TOLERANCE: { use: std.sleep, params: { ms: 280 }, output: { 'within_tolerance?': bool, 'confidence?': confidence, 'within_rounding_tolerance?': bool, 'rules_failed?': bool } }
  PATTERN_INTELLIGENCE: { use: std.sleep, params: { ms: 460 } }
  DECISIONING: { use: std.sleep, params: { ms: 30 }, output: { action: text, confidence: confidence } }
  WORKFLOW_FEEDBACK: { use: std.sleep, params: { ms: 30 } }
";

/// Work of which each agent says what is in it: simple, medium and complex, as the document's table has them.
const SIMPLE: &str = r#"{"break_type": "CASH_RECONCILIATION", "amount_diff": 1200, "asset_class": "FX", "within_rounding_tolerance": true, "action": "HIL_REVIEW", "confidence": 0.9}"#;
const MEDIUM: &str = r#"{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, "asset_class": "FX", "within_tolerance": false, "rules_failed": true, "confidence": 0.6, "action": "HIL_REVIEW"}"#;
const COMPLEX: &str =
    r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 250000, "asset_class": "DERIVATIVE", "action": "ESCALATE", "confidence": 0.8}"#;

fn sleepers() -> House {
    let house = document();
    house.write("agents/agents.yaml", SLEEPERS);
    house
}

/// What is printed about a run, as JSON.
fn ran(house: &House, mode: &str, work: &str) -> Value {
    let output = house.run(&["run", ".", "--mode", mode, "--json", "-i", work], "");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_speed_table_of_document_000_is_measured() {
    let house = sleepers();
    for (what, work, agents, least) in [("simple", SIMPLE, 3, 0.67), ("medium", MEDIUM, 6, 0.33), ("complex", COMPLEX, 7, 0.50)] {
        let compared = ran(&house, "compare", work)["comparison"].clone();
        let saved = compared["saved"].as_f64().unwrap();
        let (one_by_one, as_needed) = (compared["sequential"]["micros"].as_i64().unwrap(), compared["dynamic"]["micros"].as_i64().unwrap());
        assert_eq!((&compared["sequential"]["agents"], &compared["dynamic"]["agents"]), (&7.into(), &agents.into()), "{what}: {compared}");
        assert_eq!(compared["unanswered"], Value::Null, "{compared}");
        // What the comparison says is what a run that does it takes.
        let real = ran(&house, "dynamic", work);
        // Up to the question to people, or the end.
        let took = real["duration_ms"].as_i64().unwrap() * 1_000;
        println!("{what}: {one_by_one} us, {as_needed} us ({:.0} %), really {took} us", saved * 100.0);
        assert!(saved >= least, "{what}: {saved}");
        assert!((took - as_needed).abs() * 10 < as_needed, "{what}: {as_needed} us were said, {took} us it took");
        assert_eq!(real["decision"]["action"], compared["dynamic"]["action"], "{what}");
    }
    assert_eq!(house.type_in("policy compare").lines().count(), 4);
}

#[test]
fn both_ways_are_shown_side_by_side() {
    let house = document();
    let work = r#"{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, "within_tolerance": true, "confidence": 0.86, "rules_failed": false}"#;
    let told = house.run(&["run", ".", "-q", "--mode", "compare", "-i", work], "");
    let table: String = String::from_utf8(told.stdout).unwrap().lines().take(2).map(|line| format!("{line}\n")).collect();
    assert_snapshot!(masked(&table), @"
    sequential	AUTO_RESOLVE	0.86	7	<took>	BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> MATCHING_CORRELATION -> PATTERN_INTELLIGENCE -> DECISIONING -> WORKFLOW_FEEDBACK -> Decision
    dynamic	AUTO_RESOLVE	0.86	3	<took>	BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> Decision
    ");
    // Where the policy leaves it to people and the agent that decides would have been followed, they do not agree.
    let open = work.replace("0.86", "0.85");
    let told = house.run(&["run", ".", "-q", "--mode", "compare", "-i", &open], "");
    let table: String = String::from_utf8(told.stdout).unwrap().lines().take(2).map(|line| format!("{line}\n")).collect();
    assert_snapshot!(masked(&table), @"
    sequential	ESCALATE	0.7	7	<took>	BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> MATCHING_CORRELATION -> PATTERN_INTELLIGENCE -> DECISIONING -> WORKFLOW_FEEDBACK -> Decision -> review
    dynamic	HIL_REVIEW		3	<took>	BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> Decision -> review
    ");
    let totals: Value = serde_json::from_slice(&house.run(&["policy", "compare", "--json"], "").stdout).unwrap();
    let policy = &totals["policies"][0];
    assert_eq!((&policy["runs"], &policy["agree"], &policy["differ_on_resolving"]), (&2.into(), &1.into(), &0.into()), "{totals}");
}

#[test]
fn all_agents_one_after_another_is_a_setting_of_the_project_too() {
    let house = document();
    house.write("policies/mode.yaml", "mode: sequential\nsequence: [BREAK_INGESTION, DATA_ENRICHMENT, MATCHING_CORRELATION, RULES_TOLERANCE, PATTERN_INTELLIGENCE, DECISIONING, WORKFLOW_FEEDBACK]\n");
    let work = r#"{"break_type": "CASH_RECONCILIATION", "amount_diff": 12, "asset_class": "FX", "within_rounding_tolerance": true}"#;
    let run: Value = serde_json::from_slice(&house.run(&["run", ".", "--json", "-i", work], "").stdout).unwrap();
    assert_snapshot!(run["execution_path"].as_str().unwrap(), @"N1 -> N2 -> MATCHING_CORRELATION -> N3 -> PATTERN_INTELLIGENCE -> DECISIONING -> WORKFLOW_FEEDBACK -> Decision");
    assert_eq!((&run["agents_invoked"], &run["decision"]["action"]), (&7.into(), &"AUTO_RESOLVE".into()));
    // What is shown before is what runs.
    let plan: Value = serde_json::from_slice(&house.run(&["policy", "plan", "--json", "-i", work], "").stdout).unwrap();
    assert_eq!(
        (&plan["mode"], &plan["likely"]["runs"], plan["graph"]["tasks"].as_array().map(Vec::len)),
        (&"sequential".into(), &1.into(), Some(8)),
        "{plan}"
    );
    // What is said for one run goes before it.
    let run = ran(&house, "dynamic", work);
    assert_eq!((&run["agents_invoked"], &run["decision"]["action"]), (&3.into(), &"AUTO_RESOLVE".into()));
}

#[test]
fn what_cannot_be_done_that_way_is_said() {
    let house = document();
    house.write("policies/mode.yaml", "mode: sideways\nsequence: [BREAK_INGESTION, NOBODY]\n");
    assert_snapshot!(house.type_in("check"), @"
    err: error[F004]: `mode` is one of dynamic, sequential, compare, not `sideways`
    err:  --> policies/mode.yaml:1:7
    err:   |
    err: 1 | mode: sideways
    err:   |       ^^^^^^^^
    err:
    err: error[A010]: there is no agent `NOBODY`
    err:  --> policies/mode.yaml:2:29
    err:   |
    err: 2 | sequence: [BREAK_INGESTION, NOBODY]
    err:   |                             ^^^^^^
    err:   |
    err:   = help: there are: BREAK_INGESTION, DATA_ENRICHMENT, DECISIONING, MATCHING_CORRELATION, PATTERN_INTELLIGENCE, RULES_TOLERANCE, WORKFLOW_FEEDBACK
    err:
    err: 2 mistakes and 0 warnings
    exit 3
    ");
    assert_snapshot!(house::house().type_in("run greet --mode compare"), @"
    err: error: greet is a workflow, and is always run as it says
    err: hint: `quorate run policies --mode …` is for work that gets a policy
    exit 2
    ");
    assert_snapshot!(house::house().type_in("run greet --mode quick"), @"
    err: error: invalid value 'quick' for '--mode <MODE>': it is dynamic, sequential or compare
    err:
    err: For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn many_pieces_of_work_are_compared_policy_by_policy() {
    let house = document();
    let line = |confidence: &str| {
        format!(
            r#"{{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, "within_tolerance": true, "confidence": {confidence}, "rules_failed": false}}"#
        )
    };
    house.write("work.jsonl", &["0.84", "0.85", "0.86"].map(line).join("\n"));
    let told = house.run(&["run", ".", "-q", "--mode", "compare", "--each", "work.jsonl", "--jobs", "1", "--out", "out.jsonl"], "");
    let table = String::from_utf8(told.stdout).unwrap();
    let columns: Vec<&str> = table.trim_end().split('\t').collect();
    assert_eq!(columns[..4], ["medium_with_expansion", "3", "2 of 3", "21 -> 12"], "{table}");
    let lines = std::fs::read_to_string(house.path().join("out.jsonl")).unwrap();
    let agree: Vec<bool> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["comparison"]["agree"].as_bool().unwrap()).collect();
    assert_eq!(agree, [true, false, true], "{lines}");
}
