//! How the programs behind document 000 failed: each defect that was found in them is a test of ours, by its number.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

mod house;

use std::sync::Arc;
use std::time::{Duration, Instant};

use house::{House, document};
use insta::assert_snapshot;
use quorate::intake::Intake;
use quorate::project::{Project, Source};
use quorate::{Agent, Engine, MemoryJournal, Options, Payload, Registry, Reply};
use serde_json::Value;

/// A run of the policies of a project.
fn ran(house: &House, work: &str) -> Value {
    let output = house.run(&["run", "policies", "--json", "-i", work], "");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// Its decision, and what it rests on.
fn decided(run: &Value) -> String {
    let decision = &run["decision"];
    format!("{} {} by {}", decision["action"], decision["confidence"], decision["rule"])
}

/// The document's agents, under policies of our own.
fn with(policies: &str) -> House {
    let house = House::empty();
    house.write("quorate.yaml", "name: defects\n");
    house.write("agents/agents.yaml", include_str!("../../project/tests/document_000/agents/agents.yaml"));
    house.write("policies/policies.yaml", policies);
    house
}

/// 1. All policies named BREAK_INGESTION as mandatory, and every plan lacked it, since plans were made of the groups alone.
#[test]
fn defect_1_an_agent_that_must_run_is_in_the_plan_also_where_no_group_has_it() {
    let house = document();
    for (work, path) in [
        (
            r#""amount_diff": 10, "within_tolerance": true, "confidence": 0.95"#,
            "BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> Decision",
        ),
        (
            r#""amount_diff": 990000"#,
            "BREAK_INGESTION -> DATA_ENRICHMENT -> [MATCHING_CORRELATION || RULES_TOLERANCE || PATTERN_INTELLIGENCE] -> DECISIONING -> Decision -> review",
        ),
        // And one that may run, and is in no group, can.
        (
            r#""amount_diff": 10, "within_tolerance": false, "confidence": 0.5"#,
            "BREAK_INGESTION -> DATA_ENRICHMENT -> [RULES_TOLERANCE || MATCHING_CORRELATION] -> PATTERN_INTELLIGENCE -> Decision -> review",
        ),
    ] {
        let run = ran(&house, &format!(r#"{{"break_type": "TRADE_OMS_MISMATCH", "asset_class": "EQUITY", {work}}}"#));
        assert_eq!(run["execution_path"], path, "{work}");
    }
    // Whatever the groups say, all that must run is in every plan.
    let groups =
        ["[]", "[[RULES_TOLERANCE]]", "[[DECISIONING, RULES_TOLERANCE], [DATA_ENRICHMENT]]", "[[DATA_ENRICHMENT], [], [BREAK_INGESTION]]"];
    for groups in groups {
        let house = with(&format!(
            "policies: {{ default: {{ mandatory_agents: [BREAK_INGESTION, DATA_ENRICHMENT, RULES_TOLERANCE, DECISIONING], parallel_groups: {groups} }} }}"
        ));
        let run = ran(&house, "{}");
        assert_eq!(run["agents_invoked"], 4, "{groups}: {}", run["execution_path"]);
    }
}

/// 2. Six agents of 200 ms, three at a time, took 1.22 s: they were called inside of coroutines, one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_2_side_by_side_means_side_by_side() {
    let names: Vec<String> = (1..=6).map(|number| format!("AGENT_{number}")).collect();
    let all = names.join(", ");
    let agents: String = names.iter().map(|name| format!("  {name}: {{ use: work }}\n")).collect();
    let files = vec![
        Source::new("quorate.yaml", "name: p\n"),
        Source::new("agents/a.yaml", &format!("agents:\n{agents}")),
        Source::new(
            "policies/p.yaml",
            &format!(
                "policies: {{ default: {{ mandatory_agents: [{all}], parallel_groups: [[{all}]], max_parallel: 3, otherwise: ESCALATE }} }}"
            ),
        ),
    ];
    let checked = Project::read(files, &["work"]);
    assert!(checked.is_sound(), "{:?}", checked.diagnostics);
    let registry = Registry::new();
    for name in &names {
        // Functions that block, as the originals did.
        registry.register(Agent::from_blocking(name, |_| {
            std::thread::sleep(Duration::from_millis(200));
            Ok(Reply::new(Payload::null()))
        }));
    }
    let engine = Engine::new(Arc::new(MemoryJournal::new()), Arc::new(registry), Options::default());
    let intake = Intake::of(&checked.project).unwrap();
    let begun = Instant::now();
    let run = engine.start(intake.order(Payload::parse("{}".to_owned()).unwrap(), &"eve".into())).unwrap();
    let decided = || async { engine.look(run.id(), |run| run.decision().is_some()).await.unwrap() };
    while !decided().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = begun.elapsed();
    println!("six agents of 200 ms, three at a time: {} ms", took.as_millis());
    assert!(took >= Duration::from_millis(400) && took < Duration::from_millis(450), "{took:?}");
    engine.stop().await.unwrap();
}

/// 3. A checkpoint read its confidence from an agent that the plan did not have, and so could never hold.
#[test]
fn defect_3_what_a_checkpoint_reads_is_there_or_it_is_a_mistake() {
    let house = with(
        "policies: { default: { mandatory_agents: [BREAK_INGESTION], decision_checkpoints: [{ after: BREAK_INGESTION, condition: RULES_TOLERANCE.confidence > 0.9, action: AUTO_RESOLVE }] } }",
    );
    assert_snapshot!(house.type_in("check"), @"
    err: error[X030]: unknown name `RULES_TOLERANCE.confidence`
    err:  --> policies/policies.yaml:1:121
    err:   |
    err: 1 | ...INGESTION, condition: RULES_TOLERANCE.confidence > 0.9, action: AUTO_R...
    err:   |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: known here: BREAK_INGESTION, review, input, profile, session
    err:
    err: one mistake and 0 warnings
    exit 3
    ");
    // And what is there, and can never hold, is told by the linter.
    let house = with(
        "policies: { default: { mandatory_agents: [RULES_TOLERANCE], decision_checkpoints: [{ after: RULES_TOLERANCE, condition: confidence > 0.9 and confidence < 0.5, action: AUTO_RESOLVE }] } }",
    );
    assert!(house.type_in("policy lint").contains("L001"));
}

/// 4. A condition was looked for as a part of a text: `match_found and within_tolerance` resolved without a match.
#[test]
fn defect_4_a_condition_is_read_and_not_looked_for() {
    let house = with(
        "policies: { default: { mandatory_agents: [MATCHING_CORRELATION, RULES_TOLERANCE], decision_checkpoints: [{ after: RULES_TOLERANCE, condition: MATCHING_CORRELATION.match_found and within_tolerance, action: AUTO_RESOLVE }] } }",
    );
    let decides = |work: &str| decided(&ran(&house, work));
    assert_snapshot!(decides(r#"{"match_found": true, "within_tolerance": true, "confidence": 0.8}"#), @r#""AUTO_RESOLVE" "0.8" by {"checkpoint":"checkpoint_1"}"#);
    assert_snapshot!(decides(r#"{"match_found": false, "within_tolerance": true}"#), @r#""HIL_REVIEW" null by "otherwise""#);
    assert_snapshot!(decides(r#"{"match_found": "within_tolerance", "within_tolerance": true}"#), @r#""HIL_REVIEW" null by {"unknown":{"checkpoint":"checkpoint_1","behind":"otherwise"}}"#);
    assert_snapshot!(decides(r#"{"within_tolerance": true}"#), @r#""HIL_REVIEW" null by {"unknown":{"checkpoint":"checkpoint_1","behind":"otherwise"}}"#);
}

/// 5. A node that failed counted as completed: enrichment failed, and the break was resolved with a confidence of 0.9.
#[test]
fn defect_5_what_failed_or_is_unknown_resolves_nothing() {
    let work =
        r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 100, "asset_class": "FX", "within_tolerance": true, "confidence": 0.99}"#;
    let agents = include_str!("../../project/tests/document_000/agents/agents.yaml");
    for agent in ["BREAK_INGESTION", "DATA_ENRICHMENT", "RULES_TOLERANCE"] {
        let house = document();
        let broken = agents.lines().map(|line| {
            if line.trim_start().starts_with(agent) { format!("  {agent}: {{ use: std.fail }}\n") } else { format!("{line}\n") }
        });
        let broken: String = broken.collect();
        house.write("agents/agents.yaml", &broken);
        let run = ran(&house, work);
        assert_eq!(run["decision"]["action"], "HIL_REVIEW", "{agent}: {}", run["decision"]);
        assert!(run["decision"]["rule"]["failed"]["task"].as_str().is_some_and(|task| task == agent), "{}", run["decision"]["rule"]);
    }
}

/// 6. Results stayed from one case to the next: the second one had five executions instead of two.
#[test]
fn defect_6_nothing_of_one_case_is_there_in_the_next() {
    let house = document();
    let work = |rest: &str| format!(r#"{{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, {rest}}}"#);
    let first = work(r#""within_tolerance": false, "rules_failed": true, "confidence": 0.99"#);
    // The second one says nothing of its confidence, which the first one had.
    let second = work(r#""within_tolerance": true, "rules_failed": false"#);
    house.write("work.jsonl", &format!("{first}\n{second}\n{first}\n"));
    house.run(&["run", "policies", "--each", "work.jsonl", "--jobs", "1", "--out", "out.jsonl"], "");
    let lines = std::fs::read_to_string(house.path().join("out.jsonl")).unwrap();
    let told: Vec<String> = lines
        .lines()
        .map(|line| {
            let done: Value = serde_json::from_str(line).unwrap();
            let contributors = done["decision"]["contributors"].as_array().unwrap().len();
            format!("{} by {contributors}, {}", done["decision"]["action"], done["decision"]["confidence"])
        })
        .collect();
    assert_eq!(told, [r#""ESCALATE" by 6, "0.7""#, r#""HIL_REVIEW" by 3, null"#, r#""ESCALATE" by 6, "0.7""#]);
}

/// 7. A tier without a policy fell back to a plan without rules and without checkpoints.
#[test]
fn defect_7_a_tier_without_a_policy_goes_to_people_and_is_told_before() {
    let house = with(
        "input: { break_type: text, amount: number }
classify: { risk_tier: [{ when: amount < 5000, then: LOW }, { then: CRITICAL }] }
policies: { CASH_RECONCILIATION: { LOW: { mandatory_agents: [RULES_TOLERANCE] } } }
",
    );
    let run = ran(&house, r#"{"break_type": "CASH_RECONCILIATION", "amount": 900000}"#);
    assert_snapshot!(decided(&run), @r#""HIL_REVIEW" null by {"checkpoint":"no_policy"}"#);
    assert_eq!((&run["agents_invoked"], &run["status"]), (&0.into(), &"waiting".into()));
    assert!(run["decision"]["reason"].as_str().unwrap().starts_with("no_policy"));
    assert!(house.type_in("policy lint").contains("L009"));
}

/// 8. An agent read what another one of the same parallel group returned: a race by construction.
#[test]
fn defect_8_who_reads_another_waits_for_it_or_it_is_a_mistake() {
    let house = with(
        "policies: { default: { mandatory_agents: [RULES_TOLERANCE, { agent: PATTERN_INTELLIGENCE, skip_when: RULES_TOLERANCE.within_tolerance }], parallel_groups: [[RULES_TOLERANCE, PATTERN_INTELLIGENCE]] } }",
    );
    assert_snapshot!(house.type_in("check"), @"
    err: error[X034]: `RULES_TOLERANCE.within_tolerance` cannot be read here: nothing says that `RULES_TOLERANCE` ends before `PATTERN_INTELLIGENCE` starts; let `PATTERN_INTELLIGENCE` depend on it
    err:  --> policies/policies.yaml:1:102
    err:   |
    err: 1 | ...IGENCE, skip_when: RULES_TOLERANCE.within_tolerance }], parallel_group...
    err:   |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:
    err: one mistake and 0 warnings
    exit 3
    ");
}

/// 9. The confidence of a decision was the threshold, and amounts of different currencies were subtracted.
#[test]
fn defect_9_confidence_is_what_was_seen_and_currencies_are_not_mixed() {
    let house = document();
    let work = |confidence: &str| {
        format!(
            r#"{{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, "within_tolerance": true, "rules_failed": false, "confidence": {confidence}}}"#
        )
    };
    for confidence in ["0.8500001", "0.97", "1"] {
        let run = ran(&house, &work(confidence));
        assert_eq!((&run["decision"]["action"], &run["decision"]["confidence"]), (&"AUTO_RESOLVE".into(), &confidence.into()));
    }
    let house = with(
        "input: { a: { amount: number, currency: text }, b: { amount: number, currency: text } }
classify:
  same_currency: a.currency == b.currency
  exposure: abs(a.amount - b.amount)
rules:
  - { name: mixed, when: not same_currency, policy: people }
  - { name: small, when: exposure < 5000, policy: rules }
policies: { people: { mandatory_agents: [BREAK_INGESTION] }, rules: { mandatory_agents: [RULES_TOLERANCE], otherwise: ESCALATE } }
",
    );
    let run = |a: &str, b: &str| {
        ran(&house, &format!(r#"{{"a": {{"amount": 100, "currency": "{a}"}}, "b": {{"amount": 100, "currency": "{b}"}}}}"#))
    };
    assert_eq!((&run("EUR", "EUR")["target"], &run("EUR", "JPY")["target"]), (&"rules".into(), &"people".into()));
}
