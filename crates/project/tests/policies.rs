//! Policies: what is found out about work that comes in.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fmt::Write as _;

use quorate_core::draft::{CheckpointDraft, WorkDraft};
use quorate_core::{Draft, Payload, Role};
use quorate_expr::MAX_TRIES;
use quorate_project::{Checked, Diagnostic, Look, Project, Source};

/// The project of these files, each after a line `--- path`.
fn project(text: &str) -> Checked {
    let workflow = "--- workflows/w.yaml\ntasks: [{ id: t, agent: std.echo }]\n";
    let files = [text, workflow].concat();
    let files = files.split("--- ").skip(1).map(|file| {
        let (path, text) = file.split_once('\n').unwrap();
        Source::new(path.trim(), text)
    });
    Project::read(files.collect(), &["std.echo"])
}

/// What is found out about a piece of work, a line for each field, and the profile.
fn found(policies: &str, input: &str) -> String {
    let checked = project(&format!("--- policies/p.yaml\n{policies}"));
    assert_eq!(checked.diagnostics, [], "{}", shown(&checked));
    let classified = checked.project.classifier.classify(&Payload::parse(input.to_owned()).unwrap());
    assert!(classified.profile.check(&checked.project.classifier.profile()).is_ok());
    let mut told = String::new();
    classified.fields.iter().for_each(|field| writeln!(told, "{field}").unwrap());
    told + classified.profile.json()
}

fn shown(checked: &Checked) -> String {
    let look = Look { color: false, width: 100 };
    checked.diagnostics.iter().map(|diagnostic| format!("{}\n\n", diagnostic.render(&checked.files, &look))).collect()
}

/// What document 000 writes in Python.
const BREAKS: &str = "
input:
  break_id: text
  break_type: text
  'amount_diff?': number
classify:
  exposure: abs(default(amount_diff, 0))
  risk_tier:
    - { when: exposure < 5000, then: LOW }
    - { when: exposure < 100000, then: MEDIUM }
    - { then: HIGH }
  requires_enrichment: true
  requires_matching: break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']
  requires_pattern_analysis: risk_tier in ['MEDIUM', 'HIGH']
";

#[test]
fn the_classifier_of_document_000() {
    insta::assert_snapshot!(found(BREAKS, r#"{"break_id": "B1", "break_type": "TRADE_OMS_MISMATCH", "amount_diff": -4999.99}"#), @r#"
    exposure is 4999.99: `abs(default(amount_diff, 0))`, where amount_diff is -4999.99
    risk_tier is LOW: row 1 holds, `exposure < 5000`, where exposure is 4999.99
    requires_enrichment is true, always
    requires_matching is true: `break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']`, where break_type is 'TRADE_OMS_MISMATCH'
    requires_pattern_analysis is false: `risk_tier in ['MEDIUM', 'HIGH']`, where risk_tier is 'LOW'
    {"exposure":4999.99,"risk_tier":"LOW","requires_enrichment":true,"requires_matching":true,"requires_pattern_analysis":false}
    "#);
    insta::assert_snapshot!(found(BREAKS, r#"{"break_id": "B2", "break_type": "CASH_BREAK", "amount_diff": 5000}"#), @r#"
    exposure is 5000: `abs(default(amount_diff, 0))`, where amount_diff is 5000
    risk_tier is MEDIUM: row 2 holds, `exposure < 100000`, where exposure is 5000
    requires_enrichment is true, always
    requires_matching is false: `break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']`, where break_type is 'CASH_BREAK'
    requires_pattern_analysis is true: `risk_tier in ['MEDIUM', 'HIGH']`, where risk_tier is 'MEDIUM'
    {"exposure":5000,"risk_tier":"MEDIUM","requires_enrichment":true,"requires_matching":false,"requires_pattern_analysis":true}
    "#);
    insta::assert_snapshot!(found(BREAKS, r#"{"break_id": "B3", "break_type": "CASH_BREAK", "amount_diff": 100000}"#), @r#"
    exposure is 100000: `abs(default(amount_diff, 0))`, where amount_diff is 100000
    risk_tier is HIGH: row 3, since none above it holds
    requires_enrichment is true, always
    requires_matching is false: `break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']`, where break_type is 'CASH_BREAK'
    requires_pattern_analysis is true: `risk_tier in ['MEDIUM', 'HIGH']`, where risk_tier is 'HIGH'
    {"exposure":100000,"risk_tier":"HIGH","requires_enrichment":true,"requires_matching":false,"requires_pattern_analysis":true}
    "#);
    // What is absent is 0, as the document has it.
    insta::assert_snapshot!(found(BREAKS, r#"{"break_id": "B4", "break_type": "CASH_BREAK"}"#), @r#"
    exposure is 0: `abs(default(amount_diff, 0))`, where amount_diff is missing
    risk_tier is LOW: row 1 holds, `exposure < 5000`, where exposure is 0
    requires_enrichment is true, always
    requires_matching is false: `break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']`, where break_type is 'CASH_BREAK'
    requires_pattern_analysis is false: `risk_tier in ['MEDIUM', 'HIGH']`, where risk_tier is 'LOW'
    {"exposure":0,"risk_tier":"LOW","requires_enrichment":true,"requires_matching":false,"requires_pattern_analysis":false}
    "#);
}

#[test]
fn what_cannot_be_found_out_is_unknown_and_decides_nothing() {
    let tiers = "
classify:
  exposure: abs(amount_a - amount_b)
  risk_tier:
    - { when: exposure < 5000, then: LOW }
    - { then: HIGH }
  careful: { table: [{ when: exposure < 5000, then: 1 }, { when: exposure < 6000, then: 2 }], on_unknown: 3 }
  regulatory: break_type == 'REGULATORY_DATA' or risk_tier == 'HIGH'
";
    insta::assert_snapshot!(found(tiers, r#"{"amount_a": "10", "amount_b": 4}"#), @r#"
    exposure is unknown: `abs(amount_a - amount_b)`, where amount_a is '10', amount_b is 4
    risk_tier is unknown: row 1 is unknown, `exposure < 5000`, where exposure is missing
    careful is 3: row 1 is unknown, `exposure < 5000`, where exposure is missing
    regulatory is unknown: `break_type == 'REGULATORY_DATA' or risk_tier == 'HIGH'`, where break_type is missing, risk_tier is missing
    {"careful":3}
    "#);
    insta::assert_snapshot!(found(tiers, r#"{"amount_a": 9000, "amount_b": 4, "break_type": "REGULATORY_DATA"}"#), @r#"
    exposure is 8996: `abs(amount_a - amount_b)`, where amount_a is 9000, amount_b is 4
    risk_tier is HIGH: row 2, since none above it holds
    careful is 3: no row holds
    regulatory is true: `break_type == 'REGULATORY_DATA' or risk_tier == 'HIGH'`, where break_type is 'REGULATORY_DATA', risk_tier is 'HIGH'
    {"exposure":8996,"risk_tier":"HIGH","careful":3,"regulatory":true}
    "#);
    insta::assert_snapshot!(found(tiers, "[1, 2]"), @r#"
    exposure is unknown: `abs(amount_a - amount_b)`, where amount_a is of the wrong type, amount_b is of the wrong type
    risk_tier is unknown: row 1 is unknown, `exposure < 5000`, where exposure is missing
    careful is 3: row 1 is unknown, `exposure < 5000`, where exposure is missing
    regulatory is unknown: `break_type == 'REGULATORY_DATA' or risk_tier == 'HIGH'`, where break_type is of the wrong type, risk_tier is missing
    {"careful":3}
    "#);
}

#[test]
fn a_profile_is_exact_and_may_hold_lists_and_objects() {
    let parts = "classify: { systems: input.systems, of: input.of, sum: 'sum(input.parts) + 0.01', first: 'upper(systems[0])' }";
    insta::assert_snapshot!(found(parts, r#"{"systems": ["oms", "bank"], "of": {"a": 1.10}, "parts": [0.1, 0.2, 12345678901234567890.55]}"#), @r#"
    systems is ["oms","bank"], as input.systems is ['oms', 'bank']
    of is {"a":1.10}, as input.of is {"a": 1.10}
    sum is 12345678901234567890.86: `sum(input.parts) + 0.01`, where input.parts is [0.1, 0.2, 12345678901234567890.55]
    first is OMS: `upper(systems[0])`, where systems[0] is 'oms'
    {"systems":["oms","bank"],"of":{"a": 1.10},"sum":12345678901234567890.86,"first":"OMS"}
    "#);
}

#[test]
fn what_is_wrong_with_a_classification_is_shown_in_its_place() {
    let checked = project(
        "--- policies/a.yaml
input: { amount: number }
classify:
  tier: [{ when: exposure < 5, then: LOW }, { then: HIGH }, { when: amount > 5, then: NONE }]
  exposure: abs(amuont)
  input: 1
  wrong: { value: '1', table: [{ then: 1 }] }
  empty: []
  sum: amount + 'x'
--- policies/b.yaml
classify: { other: amount }
",
    );
    insta::assert_snapshot!(shown(&checked), @"
    error[X034]: `exposure` cannot be read here: `exposure` is found out further down; write it above
     --> policies/a.yaml:3:18
      |
    3 |   tier: [{ when: exposure < 5, then: LOW }, { then: HIGH }, { when: amount > 5, then: NONE }]
      |                  ^^^^^^^^

    warning[C004]: no work comes as far as this row
     --> policies/a.yaml:3:61
      |
    3 |   tier: [{ when: exposure < 5, then: LOW }, { then: HIGH }, { when: amount > 5, then: NONE }]
      |                                             --------------  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |                                             |
      |                                             this one always holds
      |
      = help: put the row without `when` last

    error[X030]: unknown name `amuont`
     --> policies/a.yaml:4:17
      |
    4 |   exposure: abs(amuont)
      |                 ^^^^^^
      |
      = help: did you mean `amount`?

    error[C001]: `input` cannot be a field of a profile
     --> policies/a.yaml:5:3
      |
    5 |   input: 1
      |   ^^^^^
      |
      = help: a name has letters, digits and `_`, and is none of input, profile, session, params

    error[C002]: a field has a `value` or a `table`, one of them
     --> policies/a.yaml:6:10
      |
    6 |   wrong: { value: '1', table: [{ then: 1 }] }
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `value: an expression`, or `table: [{ when: …, then: … }]`

    error[C003]: this table has no rows
     --> policies/a.yaml:7:10
      |
    7 |   empty: []
      |          ^^
      |
      = help: write [{ when: …, then: … }]

    error[X041]: each side of an arithmetic operation is a number, but this is the text 'x'
     --> policies/a.yaml:8:17
      |
    8 |   sum: amount + 'x'
      |                 ^^^

    error[C006]: `classify` stands in two files
     --> policies/b.yaml:1:11
      |
    1 | classify: { other: amount }
      |           ^^^^^^^^^^^^^^^^^
      |
      = help: the other one is policies/a.yaml; write all of it there
    ");
}

// -- policies

/// Document 000: its agents, what it writes in Python as a classification, and its three ways of writing a policy as they stand there.
fn document(more: &[(&str, &str)]) -> Vec<Source> {
    macro_rules! source {
        ($path:literal) => {
            Source::new($path, include_str!(concat!("document_000/", $path)))
        };
    }
    let mut files = vec![
        source!("agents/agents.yaml"),
        source!("policies/classify.yaml"),
        source!("policies/routing_policies.yaml"),
        source!("policies/small_cash_break.yaml"),
        source!("policies/large_derivative_break.yaml"),
        source!("policies/medium_with_expansion.yaml"),
    ];
    files.extend(more.iter().map(|(path, text)| Source::new(path, text)));
    files
}

/// A project of its agents, and of these policies instead of its own.
fn with(policies: &str) -> Checked {
    let files = document(&[("policies/p.yaml", policies)]).into_iter();
    Project::read(
        files.filter(|file| !file.path.starts_with("policies/") || &*file.path == "policies/p.yaml").collect(),
        &["std.echo", "std.set"],
    )
}

/// A plan in a few lines: its tasks with what they wait for, and what may decide.
fn drawn(checked: &Checked, policy: &str) -> String {
    let draft: Draft = serde_json::from_str(checked.project.policies.list[policy].plan.source()).unwrap();
    let mut drawn = String::new();
    for task in draft.tasks.iter().filter(|task| matches!(task.work, WorkDraft::Agent { .. })) {
        let WorkDraft::Agent { id, .. } = &task.work else { continue };
        let agent = id.as_deref().filter(|agent| *agent != task.id).map(|agent| format!(" ({agent})")).unwrap_or_default();
        let after = if task.depends_on.is_empty() { String::new() } else { format!(" after {}", task.depends_on.join(", ")) };
        let role = if task.role == Role::Main { String::new() } else { format!(", {:?}", task.role).to_lowercase() };
        let optional = if task.optional { ", optional" } else { "" };
        writeln!(drawn, "{}{agent}{after}{role}{optional}", task.id).unwrap();
    }
    for CheckpointDraft { id, after, condition, then, .. } in &draft.checkpoints {
        writeln!(drawn, "{id}: after {}, {condition} -> {then:?}", if after.is_empty() { "all".to_owned() } else { after.join(", ") })
            .unwrap();
    }
    drawn
}

/// Which policy work gets, and why.
fn picked(checked: &Checked, input: &str) -> String {
    let input = Payload::parse(input.to_owned()).unwrap();
    let project = &checked.project;
    let pick = project.policies.pick(&input, &project.classifier.classify(&input));
    assert!(project.policies.plan(&pick).is_some());
    pick.passed.iter().map(|passed| format!("{passed}\n")).collect::<String>() + &pick.to_string()
}

#[test]
fn what_is_said_for_all_policies_is_said_once() {
    let own = "routing: { agents: [{ id: N1, name: BREAK_INGESTION }] }\nprofile: { type: X }\nreviews: { HIL_REVIEW: { question: 'Its own?' } }\n";
    let more = [
        ("policies/one.yaml", "about: [break_type]\nreviews: { HIL_REVIEW: { question: 'This?' } }\n"),
        ("policies/other.yaml", "about: [amount_diff]\nreviews: { ESCALATE: { question: 'Or this?' } }\n"),
        ("policies/single.yaml", own),
    ];
    insta::assert_snapshot!(shown(&Project::read(document(&more), &["std.echo", "std.set"])), @"
    error[C006]: `about` stands in two files
     --> policies/other.yaml:1:8
      |
    1 | about: [amount_diff]
      |        ^^^^^^^^^^^^^
      |
      = help: the other one is policies/one.yaml; write all of it there

    error[C006]: `reviews` stands in two files
     --> policies/other.yaml:2:10
      |
    2 | reviews: { ESCALATE: { question: 'Or this?' } }
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: the other one is policies/one.yaml; write all of it there
    ");
}

#[test]
fn document_000_loads_as_it_stands_there() {
    let checked = Project::read(document(&[]), &["std.echo", "std.set"]);
    insta::assert_snapshot!(shown(&checked), @"");
    insta::assert_snapshot!(drawn(&checked, "TRADE_OMS_MISMATCH/LOW_RISK"), @r#"
    BREAK_INGESTION
    DATA_ENRICHMENT after BREAK_INGESTION
    RULES_TOLERANCE after DATA_ENRICHMENT
    MATCHING_CORRELATION after DATA_ENRICHMENT, catalogue, optional
    PATTERN_INTELLIGENCE after RULES_TOLERANCE, MATCHING_CORRELATION, catalogue, optional
    checkpoint_1: after RULES_TOLERANCE, within_tolerance and confidence > 0.9 -> Decide("AUTO_RESOLVE")
    optional_agents: after all, always -> Grow(["MATCHING_CORRELATION", "PATTERN_INTELLIGENCE"])
    "#);
    insta::assert_snapshot!(drawn(&checked, "TRADE_OMS_MISMATCH/HIGH_RISK"), @r#"
    BREAK_INGESTION
    DATA_ENRICHMENT after BREAK_INGESTION
    MATCHING_CORRELATION after DATA_ENRICHMENT
    RULES_TOLERANCE after DATA_ENRICHMENT
    PATTERN_INTELLIGENCE after DATA_ENRICHMENT
    DECISIONING after MATCHING_CORRELATION, RULES_TOLERANCE, PATTERN_INTELLIGENCE
    checkpoint_1: after DECISIONING, always -> Follow("DECISIONING")
    "#);
    insta::assert_snapshot!(drawn(&checked, "small_cash_break"), @r#"
    N1 (BREAK_INGESTION)
    N2 (DATA_ENRICHMENT) after N1
    N3 (RULES_TOLERANCE) after N2
    checkpoint_1: after N3, within_rounding_tolerance -> Decide("AUTO_RESOLVE")
    "#);
    insta::assert_snapshot!(drawn(&checked, "large_derivative_break"), @r#"
    N1 (BREAK_INGESTION)
    N2 (DATA_ENRICHMENT) after N1
    N3 (MATCHING_CORRELATION) after N2
    N4 (RULES_TOLERANCE) after N2
    N5 (PATTERN_INTELLIGENCE) after N2
    N6 (DECISIONING) after N3, N4, N5
    N7 (WORKFLOW_FEEDBACK) after N6
    decided: after all, always -> Follow("N6")
    "#);
    insta::assert_snapshot!(drawn(&checked, "medium_with_expansion"), @r#"
    BREAK_INGESTION
    DATA_ENRICHMENT after BREAK_INGESTION
    RULES_TOLERANCE after DATA_ENRICHMENT
    MATCHING_CORRELATION after RULES_TOLERANCE, catalogue
    PATTERN_INTELLIGENCE after RULES_TOLERANCE, catalogue
    DECISIONING after BREAK_INGESTION, DATA_ENRICHMENT, RULES_TOLERANCE, MATCHING_CORRELATION, PATTERN_INTELLIGENCE, catalogue
    checkpoint_1: after RULES_TOLERANCE, within_tolerance and confidence > 0.85 -> Decide("AUTO_RESOLVE")
    phase_2: after RULES_TOLERANCE, rules_failed or confidence < 0.85 -> Grow(["MATCHING_CORRELATION", "PATTERN_INTELLIGENCE"])
    checkpoint_2: after MATCHING_CORRELATION, PATTERN_INTELLIGENCE, always -> Grow(["DECISIONING"])
    checkpoint_2_decided: after DECISIONING, always -> Follow("DECISIONING")
    "#);
}

#[test]
fn work_gets_its_policy_and_it_is_said_why() {
    let checked = Project::read(document(&[]), &["std.echo", "std.set"]);
    insta::assert_snapshot!(picked(&checked, r#"{"break_type": "CASH_RECONCILIATION", "amount_diff": 1200, "asset_class": "FX"}"#), @"
    the rule large_derivative_break does not hold, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is 'CASH_RECONCILIATION', risk_tier is 'LOW', asset_class is 'FX'
    policy small_cash_break: the rule small_cash_break holds, `break_type == 'CASH_RECONCILIATION' and risk_tier == 'LOW'`, where break_type is 'CASH_RECONCILIATION', risk_tier is 'LOW'
    ");
    insta::assert_snapshot!(picked(&checked, r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 250000, "asset_class": "DERIVATIVE"}"#), @"policy large_derivative_break: the rule large_derivative_break holds, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`, where break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'HIGH', asset_class is 'DERIVATIVE'");
    insta::assert_snapshot!(picked(&checked, r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 250000, "asset_class": "EQUITY"}"#), @"
    the rule large_derivative_break does not hold, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'HIGH', asset_class is 'EQUITY'
    the rule small_cash_break does not hold, `break_type == 'CASH_RECONCILIATION' and risk_tier == 'LOW'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'HIGH'
    the rule medium_with_expansion does not hold, `break_type == 'BROKER_VS_INTERNAL' and risk_tier == 'MEDIUM'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'HIGH'
    policy TRADE_OMS_MISMATCH/HIGH_RISK: break_type is TRADE_OMS_MISMATCH, risk_tier is HIGH
    ");
    insta::assert_snapshot!(picked(&checked, r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 45000, "asset_class": "EQUITY"}"#), @"
    the rule large_derivative_break does not hold, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'MEDIUM', asset_class is 'EQUITY'
    the rule small_cash_break does not hold, `break_type == 'CASH_RECONCILIATION' and risk_tier == 'LOW'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'MEDIUM'
    the rule medium_with_expansion does not hold, `break_type == 'BROKER_VS_INTERNAL' and risk_tier == 'MEDIUM'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'MEDIUM'
    no policy, so people decide: there is none for break_type is TRADE_OMS_MISMATCH, risk_tier is MEDIUM
    ");
    insta::assert_snapshot!(picked(&checked, r#"{"amount_diff": 45000}"#), @"
    the rule large_derivative_break does not hold, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is missing, risk_tier is 'MEDIUM', asset_class is missing
    the rule small_cash_break does not hold, `break_type == 'CASH_RECONCILIATION' and risk_tier == 'LOW'`: break_type is missing, risk_tier is 'MEDIUM'
    no policy, so people decide: the rule medium_with_expansion is unknown, `break_type == 'BROKER_VS_INTERNAL' and risk_tier == 'MEDIUM'`: break_type is missing, risk_tier is 'MEDIUM'
    ");
    // Whether it is a derivative decides, and is not said.
    insta::assert_snapshot!(picked(&checked, r#"{"break_type": "TRADE_OMS_MISMATCH", "amount_diff": 250000}"#), @"no policy, so people decide: the rule large_derivative_break is unknown, `break_type == 'TRADE_OMS_MISMATCH' and risk_tier == 'HIGH' and asset_class == 'DERIVATIVE'`: break_type is 'TRADE_OMS_MISMATCH', risk_tier is 'HIGH', asset_class is missing");
}

#[test]
fn rules_come_first_then_keys_then_defaults() {
    let checked = with(
        "input: { kind: text, 'amount?': number, 'urgent?': bool }
keyed_by: [kind, size]
classify: { size: [{ when: amount < 10, then: small }, { then: large }] }
rules:
  - { name: hurry, when: urgent and size == 'small', policy: quick }
policies:
  quick: { mandatory_agents: [RULES_TOLERANCE] }
  cash:
    small: { mandatory_agents: [RULES_TOLERANCE] }
    default: { mandatory_agents: [DATA_ENRICHMENT, RULES_TOLERANCE] }
  default: { mandatory_agents: [BREAK_INGESTION], otherwise: ESCALATE }
",
    );
    insta::assert_snapshot!(shown(&checked), @"");
    for (input, policy) in [
        (r#"{"kind": "cash", "amount": 5, "urgent": true}"#, "policy quick: the rule hurry holds"),
        (r#"{"kind": "cash", "amount": 5, "urgent": false}"#, "policy cash/small: kind is cash, size is small"),
        (r#"{"kind": "cash", "amount": 50}"#, "policy cash/default: it is that of all others, for kind is cash, size is large"),
        (r#"{"kind": "quick", "amount": 50}"#, "policy quick: kind is quick, size is large"),
        (r#"{"kind": "fx", "amount": 50}"#, "policy default: it is that of all others, for kind is fx"),
        // Nobody knows whether it is urgent, and then nobody knows which policy it gets.
        (r#"{"kind": "cash", "amount": 5}"#, "no policy, so people decide: the rule hurry is unknown"),
        (r#"{"kind": "cash", "urgent": false}"#, "no policy, so people decide: size is unknown, by which policies are looked up"),
    ] {
        let told = picked(&checked, input);
        assert!(told.lines().last().unwrap().starts_with(policy), "{input}: {told}");
    }
}

#[test]
fn what_is_wrong_with_policies_is_shown_in_its_place() {
    let checked = with(
        "input: { break_type: { enum: [CASH, TRADE] } }
classify: { risk_tier: [{ when: break_type == 'CASH', then: LOW }, { then: HIGH }] }
default: CASH/LO
policies:
  CASH:
    LOWER_RISK: { mandatory_agents: [BREAK_INGESTION] }
    LOW: { mandatory_agents: [RULES_TOLERANC, BREAK_INGESTION, BREAK_INGESTION], parallel_groups: [[BREAK_INGESTION], [DATA_ENRICHMENT]] }
  TRAD:
    HIGH:
      mandatory_agents: [RULES_TOLERANCE, { agent: DATA_ENRICHMENT, when: confidence > 2 }]
      optional_agents: []
      decision_checkpoints:
        - { after: RULES_TOLERANCE, condition: within_tolernce, action: AUTO_RESOLVE }
        - { after: [RULES_TOLERANCE, DATA_ENRICHMENT], condition: always, action: CONTINUE }
        - { after: NOBODY, condition: always, action: AUTO_RESOLVE }
        - { condition: always }
  TRADE:
    HIGH: { optional_agents: [RULES_TOLERANCE], deciding_agent: JUDGE, checkpoints: [{ condition: always, action: DECISIONING_AGENT }] }
    NONE: { routing: { agents: [{ id: A, name: DECISIONING, depends_on: [B] }] } }
rules: [{ when: amuont > 5, policy: CASH/LOW }]
",
    );
    insta::assert_snapshot!(shown(&checked), @"
    error[D010]: there is no policy `CASH/LO`
     --> policies/p.yaml:3:10
      |
    3 | default: CASH/LO
      |          ^^^^^^^
      |
      = help: did you mean `CASH/LOW`?

    error[D009]: risk_tier is never `LOWER`, so no work gets this policy
     --> policies/p.yaml:6:5
      |
    6 |     LOWER_RISK: { mandatory_agents: [BREAK_INGESTION] }
      |     ^^^^^^^^^^
      |
      = help: did you mean `LOW`?

    error[A010]: there is no agent `RULES_TOLERANC`
     --> policies/p.yaml:7:31
      |
    7 |     LOW: { mandatory_agents: [RULES_TOLERANC, BREAK_INGESTION, BREAK_INGESTION], parallel_gro...
      |                               ^^^^^^^^^^^^^^
      |
      = help: did you mean `RULES_TOLERANCE`?

    error[D002]: `BREAK_INGESTION` stands here twice
     --> policies/p.yaml:7:64
      |
    7 |     LOW: { mandatory_agents: [RULES_TOLERANC, BREAK_INGESTION, BREAK_INGESTION], parallel_gro...
      |                                                                ^^^^^^^^^^^^^^^

    error[D003]: `DATA_ENRICHMENT` is in a group, and neither mandatory nor optional
     --> policies/p.yaml:7:120
      |
    7 | ...arallel_groups: [[BREAK_INGESTION], [DATA_ENRICHMENT]] }
      |                                         ^^^^^^^^^^^^^^^
      |
      = help: name it under `mandatory_agents` as well

    error[D009]: break_type is never `TRAD`, so no work gets this policy
     --> policies/p.yaml:8:3
      |
    8 |   TRAD:
      |   ^^^^
      |
      = help: did you mean `TRADE`?

    warning[X044]: `confidence > 2` can never hold
      --> policies/p.yaml:10:75
       |
    10 |       mandatory_agents: [RULES_TOLERANCE, { agent: DATA_ENRICHMENT, when: confidence > 2 }]
       |                                                                           ^^^^^^^^^^^^^^
       |
       = help: the value is declared as a number from 0 to 1

    error[X030]: unknown name `within_tolernce`
      --> policies/p.yaml:13:48
       |
    13 |         - { after: RULES_TOLERANCE, condition: within_tolernce, action: AUTO_RESOLVE }
       |                                                ^^^^^^^^^^^^^^^
       |
       = help: did you mean `within_tolerance`?

    error[D005]: from `CONTINUE` nothing follows
      --> policies/p.yaml:14:11
       |
    14 |         - { after: [RULES_TOLERANCE, DATA_ENRICHMENT], condition: always, action: CONTINUE }
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: leave this checkpoint out: where none holds, the run goes on

    error[P010]: there is no task `NOBODY`
      --> policies/p.yaml:15:20
       |
    15 |         - { after: NOBODY, condition: always, action: AUTO_RESOLVE }
       |                    ^^^^^^

    error[W006]: nothing follows from this checkpoint
      --> policies/p.yaml:16:11
       |
    16 |         - { condition: always }
       |           ^^^^^^^^^^^^^^^^^^^^^
       |
       = help: give it `action`, `follow`, `add` or `voices`: one of them

    error[D001]: this policy has no agent that must run
      --> policies/p.yaml:18:11
       |
    18 | ...H: { optional_agents: [RULES_TOLERANCE], deciding_agent: JUDGE, checkpoints: [{ condition: always, action: DECISIONING_AGENT }] }
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: name them under `mandatory_agents`, or give it a `routing`

    error[D006]: this asks the agent that decides, and there is no agent `JUDGE`
      --> policies/p.yaml:18:86
       |
    18 | ...UDGE, checkpoints: [{ condition: always, action: DECISIONING_AGENT }] }
       |                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write one of that name, or say which it is: `deciding_agent: NAME`

    error[D009]: risk_tier is never `NONE`, so no work gets this policy
      --> policies/p.yaml:19:5
       |
    19 |     NONE: { routing: { agents: [{ id: A, name: DECISIONING, depends_on: [B] }] } }
       |     ^^^^
       |
       = help: it is one of LOW, HIGH

    error[P010]: there is no task `B`
      --> policies/p.yaml:19:73
       |
    19 |     NONE: { routing: { agents: [{ id: A, name: DECISIONING, depends_on: [B] }] } }
       |                                                                         ^^^

    error[X030]: unknown name `amuont`
      --> policies/p.yaml:20:17
       |
    20 | rules: [{ when: amuont > 5, policy: CASH/LOW }]
       |                 ^^^^^^
       |
       = help: known here: risk_tier, break_type, input, profile
    ");
}

#[test]
fn a_policy_may_not_ask_an_agent_that_is_not_enabled() {
    let asleep = ("agents/asleep.yaml", "agents: { ASLEEP: { use: std.echo, enabled: false } }");
    let policy = ("policies/p.yaml", "policies: { CASH_BREAK: { LOW: { mandatory_agents: [ASLEEP] } } }");
    insta::assert_snapshot!(shown(&Project::read(document(&[asleep, policy]), &["std.echo", "std.set"])), @"
    error[A011]: the agent `ASLEEP` is not enabled
     --> policies/p.yaml:1:53
      |
    1 | policies: { CASH_BREAK: { LOW: { mandatory_agents: [ASLEEP] } } }
      |                                                     ^^^^^^
    ");
}

// -- what is odd about them

/// What the linter finds, a line each.
fn linted(checked: &Checked) -> String {
    assert!(checked.is_sound(), "{}", shown(checked));
    let line = |problem: &Diagnostic| {
        let file = &checked.files[problem.file];
        let (line, column) = problem.span.map_or((0, 0), |span| file.lines().place(span.start));
        format!("{}:{line}:{column} {} {} | {}\n", file.path, problem.code, problem.message, problem.help.as_deref().unwrap_or_default())
    };
    checked.project.lint(MAX_TRIES).iter().map(line).collect()
}

#[test]
fn the_linter_finds_what_document_000_leaves_open() {
    let checked = Project::read(document(&[]), &["std.echo", "std.set"]);
    insta::assert_snapshot!(linted(&checked), @"
    policies/routing_policies.yaml:3:5 L009 there is no policy for work whose break_type is TRADE_OMS_MISMATCH and whose risk_tier is MEDIUM | people decide on it; write one, or a `default`
    policies/routing_policies.yaml:3:5 L009 there is no policy for work whose break_type is none of TRADE_OMS_MISMATCH, CASH_RECONCILIATION, BROKER_VS_INTERNAL | people decide on it; write a `default`
    policies/routing_policies.yaml:13:12 L011 `MATCHING_CORRELATION` stands in a group, and runs only where nothing decided before | let it be mandatory, or give it `when`, if it is to run beside the others
    policies/small_cash_break.yaml:2:9 L009 there is no policy for work whose break_type is CASH_RECONCILIATION and whose risk_tier is MEDIUM or HIGH | people decide on it; write one, or a `default`
    policies/medium_with_expansion.yaml:2:9 L009 there is no policy for work whose break_type is BROKER_VS_INTERNAL and whose risk_tier is LOW or HIGH | people decide on it; write one, or a `default`
    policies/medium_with_expansion.yaml:13:5 L004 after RULES_TOLERANCE, nothing decides where RULES_TOLERANCE.within_tolerance is true and RULES_TOLERANCE.confidence is 0.85 and RULES_TOLERANCE.rules_failed is false; or where RULES_TOLERANCE.within_tolerance is true and RULES_TOLERANCE.confidence is missing | people are asked then (HIL_REVIEW); say so with `otherwise: HIL_REVIEW`, or close the gap
    ");
}

#[test]
fn the_linter_finds_what_can_never_or_always_hold_and_what_nothing_is_left_for() {
    let policy = |checkpoints: &[&str]| {
        let line = |checkpoint: &&str| format!("      - {{ after: RULES_TOLERANCE, {checkpoint} }}\n");
        let lines: String = checkpoints.iter().map(line).collect();
        linted(&with(&format!(
            "policies:
  default:
    mandatory_agents: [RULES_TOLERANCE, DECISIONING]
    decision_checkpoints:
{lines}"
        )))
    };
    // Two parts, each of which may hold, and never both.
    insta::assert_snapshot!(policy(&["condition: confidence > 0.9 and confidence < 0.5, action: AUTO_RESOLVE"]), @"policies/p.yaml:5:9 L001 `confidence > 0.9 and confidence < 0.5` can never hold, so nothing follows from checkpoint_1 | leave it out, or look at what it reads");
    insta::assert_snapshot!(policy(&["condition: defined(confidence) or not defined(confidence), action: REJECTED"]), @"policies/p.yaml:5:9 L002 `defined(confidence) or not defined(confidence)` always holds | write `always`, if that is meant");
    insta::assert_snapshot!(policy(&[
        "condition: confidence > 0.5, action: HIL_REVIEW",
        "condition: confidence > 0.9, action: AUTO_RESOLVE",
        "condition: confidence <= 0.5, action: ESCALATE",
    ]), @"
    policies/p.yaml:5:9 L007 DECISIONING must run, and checkpoint_1 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    policies/p.yaml:5:9 L004 after RULES_TOLERANCE, nothing decides where RULES_TOLERANCE.confidence is missing | people are asked then (HIL_REVIEW); say so with `otherwise: HIL_REVIEW`, or close the gap
    policies/p.yaml:6:9 L003 nothing is left for checkpoint_2: where it holds, checkpoint_1 decides before it, or is unknown | let it stand before the others, or leave it out
    policies/p.yaml:7:9 L007 DECISIONING must run, and checkpoint_3 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    ");
    // What stands behind one that is unknown does not decide either; one that is never unknown closes it.
    insta::assert_snapshot!(policy(&[
        "condition: confidence > 0.5, action: AUTO_RESOLVE",
        "condition: 'default(confidence, 0) <= 0.5', action: ESCALATE",
    ]), @"
    policies/p.yaml:5:9 L007 DECISIONING must run, and checkpoint_1 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    policies/p.yaml:5:9 L004 after RULES_TOLERANCE, nothing decides where RULES_TOLERANCE.confidence is missing | people are asked then (HIL_REVIEW); say so with `otherwise: HIL_REVIEW`, or close the gap
    policies/p.yaml:6:9 L007 DECISIONING must run, and checkpoint_2 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    ");
    insta::assert_snapshot!(policy(&[
        "condition: 'default(confidence, 0) > 0.5', action: AUTO_RESOLVE",
        "condition: 'default(confidence, 0) <= 0.5', action: ESCALATE",
    ]), @"
    policies/p.yaml:5:9 L007 DECISIONING must run, and checkpoint_1 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    policies/p.yaml:6:9 L007 DECISIONING must run, and checkpoint_2 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    ");
}

#[test]
fn the_linter_finds_work_without_a_policy() {
    let checked = with(
        "input: { break_type: { enum: [CASH, TRADE, FX] }, amount: number }
classify: { risk_tier: [{ when: amount < 5, then: LOW }, { when: amount < 50, then: MEDIUM }, { then: HIGH }] }
policies:
  CASH: { LOW_RISK: { mandatory_agents: [RULES_TOLERANCE] } }
  TRADE: { HIGH: { mandatory_agents: [RULES_TOLERANCE] }, default: { mandatory_agents: [DECISIONING] } }
",
    );
    insta::assert_snapshot!(linted(&checked), @"
    policies/p.yaml:4:11 L009 there is no policy for work whose break_type is CASH and whose risk_tier is MEDIUM or HIGH | people decide on it; write one, or a `default`
    policies/p.yaml:4:11 L009 there is no policy for work whose break_type is FX and whose risk_tier is LOW or MEDIUM or HIGH | people decide on it; write one, or a `default`
    policies/p.yaml:5:59 L012 decided can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes
    ");
}

#[test]
fn two_hundred_policies_are_linted_within_their_tries() {
    let mut policies = String::from("input: { break_type: text, risk_tier: { enum: [LOW, MEDIUM, HIGH, CRITICAL] } }\npolicies:\n");
    for kind in 0..50 {
        writeln!(policies, "  TYPE{kind}:").unwrap();
        for tier in ["LOW", "MEDIUM", "HIGH", "CRITICAL"] {
            writeln!(policies, "    {tier}:\n      mandatory_agents: [DATA_ENRICHMENT, RULES_TOLERANCE]\n      decision_checkpoints:")
                .unwrap();
            for step in 0..4 {
                let condition = format!("within_tolerance and confidence > 0.{}", 9 - step);
                writeln!(policies, "        - {{ after: RULES_TOLERANCE, condition: {condition}, action: AUTO_RESOLVE }}").unwrap();
            }
        }
    }
    let checked = with(&policies);
    assert!(checked.is_sound(), "{}", shown(&checked));
    assert_eq!(checked.project.policies.list.len(), 200);
    let found = checked.project.lint(2_000);
    assert!(!found.is_empty() && found.iter().all(|problem| problem.code != "L000"));
    // And what would take more says so.
    assert!(checked.project.lint(1).iter().any(|problem| problem.code == "L000"));
}
