//! Policies at the command line: document 000 as it stands there, with the paths that it states.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use house::{House, document};
use insta::assert_snapshot;
use serde_json::Value;

/// What became of a piece of work: the path, how many agents it took, the decision, and why others did not run.
fn path(house: &House, work: &str) -> String {
    let output = house.run(&["run", ".", "--json", "-i", work], "");
    let run: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut told = format!(
        "{}: {}\n{} of {} agents, {} side by side: {} {}",
        text(&run["target"]),
        text(&run["execution_path"]),
        run["agents_invoked"],
        run["agents_known"],
        run["parallel_steps"],
        text(&run["decision"]["action"]),
        run["decision"]["confidence"],
    );
    for task in run["tasks"].as_array().unwrap().iter().filter(|task| task["status"] != "succeeded") {
        told += &format!("\n{} {}: {}", text(&task["id"]), text(&task["status"]), text(&task["cause"]));
    }
    told
}

#[test]
fn a_small_cash_break_takes_three_agents() {
    let house = document();
    let work = r#"{"break_type": "CASH_RECONCILIATION", "amount_diff": 1200, "asset_class": "FX", "within_rounding_tolerance": true}"#;
    assert_snapshot!(path(&house, work), @"
    small_cash_break: N1 -> N2 -> N3 -> Decision
    3 of 7 agents, 0 side by side: AUTO_RESOLVE null
    ");
    let work = r#"{"break_type": "CASH_RECONCILIATION", "amount_diff": 1200, "asset_class": "FX", "within_rounding_tolerance": false}"#;
    assert_snapshot!(path(&house, work), @"
    small_cash_break: N1 -> N2 -> N3 -> Decision -> review
    3 of 7 agents, 0 side by side: HIL_REVIEW null
    review asking:
    ");
    // What the rules do not say is not known, and nothing is resolved by that.
    assert_snapshot!(path(&house, r#"{"break_type": "CASH_RECONCILIATION", "amount_diff": 1200, "asset_class": "FX"}"#), @"
    small_cash_break: N1 -> N2 -> N3 -> Decision -> review
    3 of 7 agents, 0 side by side: HIL_REVIEW null
    review asking:
    ");
}

#[test]
fn work_is_answered_with_its_decision() {
    let house = House::empty();
    assert!(house.type_in("init . --template policies -q").ends_with("exit 0"));
    let small = r#"{"break_type": "CASH_RECONCILIATION", "amount_a": 10000, "amount_b": 8800}"#;
    assert_snapshot!(house.type_in(&format!("run . -q -i '{small}'")), @r#"
    {
      "action": "AUTO_RESOLVE",
      "confidence": "0.95",
      "because": "checkpoint_1 holds",
      "reason": "1200 is within tolerance"
    }
    exit 0
    "#);
    let huge = small.replace("8800", "8");
    assert_snapshot!(house.type_in(&format!("run . -q -i '{}'", huge.replace("10000", "3000000"))), @r#"
    {
      "action": "ESCALATE",
      "because": "nothing else decided"
    }
    exit 5
    "#);
}

#[test]
fn a_large_derivative_takes_all_seven_three_of_them_side_by_side() {
    let house = document();
    let work = r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 250000, "asset_class": "DERIVATIVE"}"#;
    assert_snapshot!(path(&house, work), @r#"
    large_derivative_break: N1 -> N2 -> [N3 || N4 || N5] -> N6 -> N7 -> Decision -> review
    7 of 7 agents, 3 side by side: ESCALATE "0.7"
    review asking:
    "#);
}

#[test]
fn a_medium_break_takes_three_agents_or_six() {
    let house = document();
    let work = |rest: &str| format!(r#"{{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, {rest}}}"#);
    assert_snapshot!(path(&house, &work(r#""within_tolerance": true, "confidence": 0.86, "rules_failed": false"#)), @r#"
    medium_with_expansion: BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> Decision
    3 of 7 agents, 0 side by side: AUTO_RESOLVE "0.86"
    "#);
    assert_snapshot!(path(&house, &work(r#""within_tolerance": true, "confidence": 0.84, "rules_failed": false"#)), @r#"
    medium_with_expansion: BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> [MATCHING_CORRELATION || PATTERN_INTELLIGENCE] -> DECISIONING -> Decision -> review
    6 of 7 agents, 2 side by side: ESCALATE "0.7"
    review asking:
    "#);
    assert_snapshot!(path(&house, &work(r#""within_tolerance": false, "rules_failed": true"#)), @r#"
    medium_with_expansion: BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> [MATCHING_CORRELATION || PATTERN_INTELLIGENCE] -> DECISIONING -> Decision -> review
    6 of 7 agents, 2 side by side: ESCALATE "0.7"
    review asking:
    "#);
    // The document leaves this one open: people decide.
    assert_snapshot!(path(&house, &work(r#""within_tolerance": true, "confidence": 0.85, "rules_failed": false"#)), @"
    medium_with_expansion: BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> Decision -> review
    3 of 7 agents, 0 side by side: HIL_REVIEW null
    review asking:
    ");
    assert_snapshot!(path(&house, &work(r#""within_tolerance": true, "rules_failed": false"#)), @"
    medium_with_expansion: BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> Decision -> review
    3 of 7 agents, 0 side by side: HIL_REVIEW null
    review asking:
    ");
}

#[test]
fn optional_agents_run_where_nothing_was_decided_without_them() {
    let house = document();
    let work = |confidence: &str| {
        format!(
            r#"{{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 100, "asset_class": "FX", "within_tolerance": true, "confidence": {confidence}}}"#
        )
    };
    assert_snapshot!(path(&house, &work("0.95")), @r#"
    TRADE_OMS_MISMATCH/LOW_RISK: BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> Decision
    3 of 7 agents, 0 side by side: AUTO_RESOLVE "0.95"
    "#);
    assert_snapshot!(path(&house, &work("0.9")), @"
    TRADE_OMS_MISMATCH/LOW_RISK: BREAK_INGESTION -> DATA_ENRICHMENT -> [RULES_TOLERANCE || MATCHING_CORRELATION] -> PATTERN_INTELLIGENCE -> Decision -> review
    5 of 7 agents, 2 side by side: HIL_REVIEW null
    review asking:
    ");
}

#[test]
fn work_without_a_policy_goes_to_people_with_the_reason() {
    let house = document();
    assert_snapshot!(path(&house, r#"{"break_type": "CASH_BREAK", "asset_class": "FX"}"#), @"
    no_policy: no_policy -> Decision -> review
    0 of 7 agents, 0 side by side: HIL_REVIEW null
    review asking:
    ");
    assert_snapshot!(house.type_in("runs explain last"), @"
    Run <id> waits for an answer to review (“What is to be done? The decision is left to people.”).

    The decision is HIL_REVIEW: no_policy holds.
      because no_policy: the project has none for this work, or what it is looked up by is unknown
    What was looked at, in this order:
      no_policy, in any case: HIL_REVIEW
    Why nothing else was decided:
      not AUTO_RESOLVE, not ESCALATE, not REJECTED: nothing here leads to it

    How it came there:
         1  <took>  eve started it, at <time>
                     exposure is 0: `abs(default(amount_diff, 0))`, where amount_diff is missing
                     risk_tier is LOW: row 1 holds, `exposure < 5000`, where exposure is 0
                     the rule large_derivative_break does not hold, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is 'CASH_BREAK', risk_tier is 'LOW', asset_class is 'FX'
                     the rule medium_with_expansion does not hold, `break_type == 'BROKER_VS_INTERNAL' and risk_tier == 'MEDIUM'`: break_type is 'CASH_BREAK', risk_tier is 'LOW'
                     the rule small_cash_break does not hold, `break_type == 'CASH_RECONCILIATION' and risk_tier == 'LOW'`: break_type is 'CASH_BREAK', risk_tier is 'LOW'
                     no policy, so people decide: there is none for break_type is CASH_BREAK, risk_tier is LOW
         2  <took>  no_policy waits until <time>
         3  <took>  no_policy goes on
         4  <took>  decided: HIL_REVIEW
         5  <took>  the decision HIL_REVIEW added review
         6  <took>  review asks: What is to be done? The decision is left to people.
    exit 0
    ");
    assert_snapshot!(house.type_in("run polices"), @"
    err: error: there is no workflow `polices`
    err: hint: did you mean `policies`?
    exit 4
    ");
    // What comes in has to look like work.
    assert_snapshot!(house.type_in("run policies -i '{\"amount_diff\": \"much\"}'"), @r#"
    err: error: `input.amount_diff` should be a number, but is "much"
    err: hint: `input` in the folder `policies` says what work looks like
    exit 3
    "#);
}

/// Of the programs behind the document, one resolved a break by itself whose enrichment had failed.
#[test]
fn an_agent_that_fails_and_must_run_leaves_the_decision_to_people() {
    let house = document();
    let agents = include_str!("../../project/tests/document_000/agents/agents.yaml");
    house.write(
        "agents/agents.yaml",
        &agents.replace("DATA_ENRICHMENT: { use: std.echo }", "DATA_ENRICHMENT: { use: std.fail, params: { message: the OMS is down } }"),
    );
    let work =
        r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 100, "asset_class": "FX", "within_tolerance": true, "confidence": 0.99}"#;
    assert_snapshot!(path(&house, work), @"
    TRADE_OMS_MISMATCH/LOW_RISK: BREAK_INGESTION -> DATA_ENRICHMENT -> Decision -> review
    2 of 7 agents, 0 side by side: HIL_REVIEW null
    DATA_ENRICHMENT failed: internal: the OMS is down
    RULES_TOLERANCE skipped: the run failed with DATA_ENRICHMENT
    review asking:
    ");
    let explained = house.type_in("runs explain last");
    assert!(explained.contains("not AUTO_RESOLVE: checkpoint_1 was not reached"), "{explained}");
    assert_snapshot!(house.type_in("approvals approve last --as ann").lines().last().unwrap(), @"exit 0");
    assert_snapshot!(house.type_in("runs list").lines().next().unwrap().split('\t').skip(1).take(2).collect::<Vec<_>>().join(" "), @"TRADE_OMS_MISMATCH/LOW_RISK failed");
}

#[test]
fn a_plan_is_shown_before_it_runs() {
    let house = document();
    assert_snapshot!(house.type_in("check"), @"
    5 policies and 7 agents: all is well
    exit 0
    ");
    assert_snapshot!(house.type_in("policy list"), @"
    TRADE_OMS_MISMATCH/HIGH_RISK	6	0	5
    TRADE_OMS_MISMATCH/LOW_RISK	3	2	5
    large_derivative_break	7	0	6
    medium_with_expansion	3	3	6
    small_cash_break	3	0	4
    exit 0
    ");
    assert_snapshot!(house.type_in("policy plan -i '{\"break_type\": \"BROKER_VS_INTERNAL\", \"amount_diff\": 45000, \"asset_class\": \"FX\"}'"), @"
    exposure is 45000: `abs(default(amount_diff, 0))`, where amount_diff is 45000
    risk_tier is MEDIUM: row 2 holds, `exposure < 100000`, where exposure is 45000
    the rule large_derivative_break does not hold, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is 'BROKER_VS_INTERNAL', risk_tier is 'MEDIUM', asset_class is 'FX'
    policy medium_with_expansion: the rule medium_with_expansion holds, `break_type == 'BROKER_VS_INTERNAL' and risk_tier == 'MEDIUM'`, where break_type is 'BROKER_VS_INTERNAL', risk_tier is 'MEDIUM'

                     [ BREAK_INGESTION ]
                              │
                              ▼
                     [ DATA_ENRICHMENT ]
                              │
                              ▼
                     [ RULES_TOLERANCE ]
                ┌─────────────┴─────────────┐
                ▼                           ▼
    [ MATCHING_CORRELATION  ]   [ PATTERN_INTELLIGENCE  ]
                └─────────────┬─────────────┘
                              ▼
                       [ DECISIONING ]
                         [ review  ]

    after RULES_TOLERANCE: `within_tolerance and confidence > 0.85`: AUTO_RESOLVE
    after RULES_TOLERANCE: `rules_failed or confidence < 0.85`: MATCHING_CORRELATION and PATTERN_INTELLIGENCE as well
    after MATCHING_CORRELATION and PATTERN_INTELLIGENCE: DECISIONING as well
    after DECISIONING: what DECISIONING says
    otherwise: HIL_REVIEW

    no run of this policy is on record, by which to say what is likely
    exit 0
    ");
    assert_snapshot!(house.type_in("policy plan -i '{\"amount_diff\": \"much\"}'"), @r#"
    err: error: `input.amount_diff` should be a number, but is "much"
    err: hint: `input` in the folder `policies` says what work looks like
    exit 3
    "#);
    assert_eq!(house::house().type_in("run policies"), house::house().type_in("policy list"));
    assert_snapshot!(house::house().type_in("policy list"), @"
    err: error: this project has no policies
    err: hint: write one in the folder `policies`; `quorate schema policies` says what may stand there
    exit 4
    ");
}

#[test]
fn every_record_of_a_file_gets_its_own_policy() {
    let house = document();
    let small = r#"{"break_type": "CASH_RECONCILIATION", "amount_diff": 12, "asset_class": "FX", "within_rounding_tolerance": true}"#;
    house.write("breaks.jsonl", &format!("{small}\n{{\"break_type\": \"CASH_BREAK\", \"asset_class\": \"FX\"}}\n{small}\n"));
    assert_snapshot!(house.type_in("run policies --each breaks.jsonl --jobs 1 --out out.jsonl"), @"
    err: policies of 3 records: 2 succeeded, 1 wait for people
    exit 5
    ");
    assert_snapshot!(house.type_in("runs list").lines().filter_map(|line| line.split('\t').nth(1)).collect::<Vec<_>>().join(" "), @"small_cash_break no_policy small_cash_break");
}

#[test]
fn what_is_odd_about_policies_is_shown_before_they_run() {
    let house = document();
    let told = house.type_in("policy lint --strict");
    let codes: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("err: warning[")?.get(..4)).collect();
    assert_eq!(codes.len(), 6, "{told}");
    assert_snapshot!(told, @r#"
    5 policies: 6 oddities
    err: warning[L009]: there is no policy for work whose break_type is none of TRADE_OMS_MISMATCH, BROKER_VS_INTERNAL, CASH_RECONCILIATION
    err:  --> policies/large_derivative_break.yaml:1:1
    err:   |
    err: 1 | profile:
    err:   | ^^^^^^^
    err:   |
    err:   = help: people decide on it; write a `default`
    err:
    err: warning[L009]: there is no policy for work whose break_type is BROKER_VS_INTERNAL and whose risk_tier is LOW or HIGH
    err:  --> policies/medium_with_expansion.yaml:2:9
    err:   |
    err: 2 |   type: BROKER_VS_INTERNAL
    err:   |         ^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: people decide on it; write one, or a `default`
    err:
    err: warning[L004]: after RULES_TOLERANCE, nothing decides where RULES_TOLERANCE.within_tolerance is true and RULES_TOLERANCE.confidence is 0.85 and RULES_TOLERANCE.rules_failed is false; or where RULES_TOLERANCE.within_tolerance is true and RULES_TOLERANCE.confidence is missing
    err:   --> policies/medium_with_expansion.yaml:13:5
    err:    |
    err: 13 | /     condition: "within_tolerance and confidence > 0.85"
    err: 14 | |     action: AUTO_RESOLVE
    err:    | |________________________^
    err:    |
    err:    = help: people are asked then (HIL_REVIEW); say so with `otherwise: HIL_REVIEW`, or close the gap
    err:
    err: warning[L009]: there is no policy for work whose break_type is TRADE_OMS_MISMATCH and whose risk_tier is MEDIUM
    err:  --> policies/routing_policies.yaml:3:5
    err:   |
    err: 3 |     LOW_RISK:
    err:   |     ^^^^^^^^
    err:   |
    err:   = help: people decide on it; write one, or a `default`
    err:
    err: warning[L011]: `MATCHING_CORRELATION` stands in a group, and runs only where nothing decided before
    err:   --> policies/routing_policies.yaml:13:12
    err:    |
    err: 13 |         - [MATCHING_CORRELATION, RULES_TOLERANCE]
    err:    |            ^^^^^^^^^^^^^^^^^^^^
    err:    |
    err:    = help: let it be mandatory, or give it `when`, if it is to run beside the others
    err:
    err: warning[L009]: there is no policy for work whose break_type is CASH_RECONCILIATION and whose risk_tier is MEDIUM or HIGH
    err:  --> policies/small_cash_break.yaml:2:9
    err:   |
    err: 2 |   type: CASH_RECONCILIATION
    err:   |         ^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: people decide on it; write one, or a `default`
    exit 3
    "#);
    assert!(house.type_in("policy lint --json").ends_with("exit 0"));
}

#[test]
fn what_is_likely_is_what_became_of_work_like_it() {
    let house = document();
    let work = |confidence: &str| {
        format!(
            r#"{{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, "within_tolerance": true, "confidence": {confidence}, "rules_failed": false}}"#
        )
    };
    let lines = ["0.9", "0.9", "0.9", "0.5", "0.85"].map(work).join("\n");
    house.write("work.jsonl", &lines);
    house.run(&["run", "policies", "--each", "work.jsonl", "--jobs", "1", "--out", "out.jsonl"], "");
    let told = house.type_in("policy plan -i '{\"break_type\": \"BROKER_VS_INTERNAL\", \"amount_diff\": 45000}'");
    let likely = told.lines().skip_while(|line| !line.starts_with("of the last")).map(|line| format!("{line}\n")).collect::<String>();
    assert_snapshot!(likely, @"
    of the last 5 runs of this policy:
       60 %  AUTO_RESOLVE, 3 agents, half in <took>, nine in ten in <took>
             BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE
       20 %  HIL_REVIEW, 3 agents, in <took>
             BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE
       20 %  ESCALATE, 6 agents, in <took>
             BREAK_INGESTION -> DATA_ENRICHMENT -> RULES_TOLERANCE -> [MATCHING_CORRELATION || PATTERN_INTELLIGENCE] -> DECISIONING
    exit 0
    ");
    let json = house.run(&["policy", "plan", "--json", "-i", r#"{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000}"#], "");
    let plan: Value = serde_json::from_slice(&json.stdout).unwrap();
    let ways: Vec<String> = plan["likely"]["ways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| format!("{} {} {}", way["runs"], way["agents"], way["action"]))
        .collect();
    assert_eq!(
        (&plan["likely"]["runs"], ways),
        (&5.into(), vec!["3 3 \"AUTO_RESOLVE\"".to_owned(), "1 3 \"HIL_REVIEW\"".to_owned(), "1 6 \"ESCALATE\"".to_owned()])
    );
    assert_eq!(plan["graph"]["schema"], "quorate.graph/1");
}

#[test]
fn a_decision_explains_itself() {
    let house = document();
    let work =
        r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 100, "asset_class": "FX", "within_tolerance": true, "confidence": 0.88}"#;
    house.run(&["run", ".", "-i", work], "");
    assert_snapshot!(house.type_in("policy explain last"), @"
    Which policy:
      exposure is 100: `abs(default(amount_diff, 0))`, where amount_diff is 100
      risk_tier is LOW: row 1 holds, `exposure < 5000`, where exposure is 100
      the rule large_derivative_break does not hold, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'LOW', asset_class is 'FX'
      the rule medium_with_expansion does not hold, `break_type == 'BROKER_VS_INTERNAL' and risk_tier == 'MEDIUM'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'LOW'
      the rule small_cash_break does not hold, `break_type == 'CASH_RECONCILIATION' and risk_tier == 'LOW'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'LOW'
      policy TRADE_OMS_MISMATCH/LOW_RISK: break_type is TRADE_OMS_MISMATCH, risk_tier is LOW

    Which agents:
      BREAK_INGESTION: ran
      DATA_ENRICHMENT: ran
      RULES_TOLERANCE: ran
      MATCHING_CORRELATION: ran, added by optional_agents
      PATTERN_INTELLIGENCE: ran, added by optional_agents

    The decision is HIL_REVIEW: nothing else decided.
    What was looked at, in this order:
      checkpoint_1 `within_tolerance and confidence > 0.9` does not hold: within_tolerance is true (RULES_TOLERANCE), confidence is 0.88 (RULES_TOLERANCE)
      optional_agents, in any case: MATCHING_CORRELATION and PATTERN_INTELLIGENCE are asked as well
    Why nothing else was decided:
      not AUTO_RESOLVE: `within_tolerance and confidence > 0.9` does not hold: within_tolerance is true, confidence is 0.88
      not ESCALATE, not REJECTED: nothing here leads to it
    What would have been enough for another one:
      AUTO_RESOLVE: confidence is 0.88, needs more than 0.9 (checkpoint_1)
    exit 0
    ");
    let json: Value = serde_json::from_slice(&house.run(&["policy", "explain", "last", "--json"], "").stdout).unwrap();
    assert_eq!(json["schema"], "quorate.explanation/1");
    assert_snapshot!(json["nearest"][0], @r#"{"checkpoint":"checkpoint_1","action":"AUTO_RESOLVE","needs":[{"name":"confidence","value":"0.88","needs":"more than 0.9"}]}"#);
    assert_snapshot!(json["agents"][2], @r#"{"task":"RULES_TOLERANCE","agent":"RULES_TOLERANCE","status":"succeeded","why":"ran"}"#);
    assert_snapshot!(json["decision"]["rule"], @r#""otherwise""#);
    // The same in the whole story of the run.
    let explained: Value = serde_json::from_slice(&house.run(&["runs", "explain", "last", "--json"], "").stdout).unwrap();
    assert_eq!(explained["nearest"], json["nearest"]);
    // What it says would have been enough, is.
    let run = house.run(&["run", ".", "--json", "-i", &work.replace("0.88", "0.901")], "");
    assert_eq!(serde_json::from_slice::<Value>(&run.stdout).unwrap()["decision"]["action"], "AUTO_RESOLVE");
    assert_snapshot!(house.type_in("policy explain nobody"), @"
    err: error: there is no run `nobody`
    err: hint: `quorate runs list` shows them
    exit 4
    ");
}

/// Whoever writes a whole journal anew has chains that fit. What was decided still has to follow from it.
#[tokio::test]
async fn a_decision_that_does_not_follow_is_named() {
    use quorate::{Digest, Event, Head, Journal as _, RunId, SqliteJournal, SqliteOptions, SqliteReader, Wanted};
    let house = document();
    let work = r#"{"break_type": "BROKER_VS_INTERNAL", "amount_diff": 45000, "within_tolerance": true, "confidence": 0.85, "rules_failed": false}"#;
    house.run(&["run", ".", "-i", work], "");
    assert_snapshot!(house.type_in("audit verify -q").lines().take(2).collect::<Vec<_>>().join("\n"), @"
    11 entries of one run: every chain is whole
    one decision follows from what is on record
    ");
    let data = house.path().join(".quorate");
    let reader = SqliteReader::open(&data).unwrap();
    let run: RunId = reader.list(&Wanted::newest(1)).unwrap()[0].run;
    let mut entries = reader.load(run).unwrap().entries;
    let Event::RunStarted(start) = &entries[0].event else { panic!("no run") };
    let (plan, text) = (start.plan, reader.kept(start.plan).unwrap().unwrap());
    drop(reader);
    for entry in &mut entries {
        if let Event::Decided(decision) = &mut entry.event {
            std::sync::Arc::make_mut(decision).action = "AUTO_RESOLVE".to_owned();
        }
    }
    // A review is not opened by what resolves itself.
    entries.truncate(entries.iter().position(|entry| matches!(entry.event, Event::Decided(_))).unwrap() + 1);
    std::fs::remove_dir_all(&data).unwrap();
    let journal = SqliteJournal::open(&data, &SqliteOptions::default()).unwrap();
    let texts: [(Digest, std::sync::Arc<str>); 1] = [(plan, text.into())];
    journal.append(run, Head::START, &entries, &texts).done.await.unwrap();
    drop(journal);
    assert_snapshot!(house.type_in("audit verify -q"), @"
    8 entries of one run: every chain is whole
    run <id>, entry 8: the decision is AUTO_RESOLVE, because nothing else decided; from what is on record follows HIL_REVIEW, because nothing else decided
    seal <id>
    exit 1
    ");
}
