//! Policies: what is found out about work that comes in.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fmt::Write as _;

use quorate_core::Payload;
use quorate_project::{Checked, Look, Project, Source};

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
    requires_enrichment is true: `true`
    requires_matching is true: `break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']`, where break_type is 'TRADE_OMS_MISMATCH'
    requires_pattern_analysis is false: `risk_tier in ['MEDIUM', 'HIGH']`, where risk_tier is 'LOW'
    {"exposure":4999.99,"risk_tier":"LOW","requires_enrichment":true,"requires_matching":true,"requires_pattern_analysis":false}
    "#);
    insta::assert_snapshot!(found(BREAKS, r#"{"break_id": "B2", "break_type": "CASH_BREAK", "amount_diff": 5000}"#), @r#"
    exposure is 5000: `abs(default(amount_diff, 0))`, where amount_diff is 5000
    risk_tier is MEDIUM: row 2 holds, `exposure < 100000`, where exposure is 5000
    requires_enrichment is true: `true`
    requires_matching is false: `break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']`, where break_type is 'CASH_BREAK'
    requires_pattern_analysis is true: `risk_tier in ['MEDIUM', 'HIGH']`, where risk_tier is 'MEDIUM'
    {"exposure":5000,"risk_tier":"MEDIUM","requires_enrichment":true,"requires_matching":false,"requires_pattern_analysis":true}
    "#);
    insta::assert_snapshot!(found(BREAKS, r#"{"break_id": "B3", "break_type": "CASH_BREAK", "amount_diff": 100000}"#), @r#"
    exposure is 100000: `abs(default(amount_diff, 0))`, where amount_diff is 100000
    risk_tier is HIGH: row 3 holds where no other does
    requires_enrichment is true: `true`
    requires_matching is false: `break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']`, where break_type is 'CASH_BREAK'
    requires_pattern_analysis is true: `risk_tier in ['MEDIUM', 'HIGH']`, where risk_tier is 'HIGH'
    {"exposure":100000,"risk_tier":"HIGH","requires_enrichment":true,"requires_matching":false,"requires_pattern_analysis":true}
    "#);
    // What is absent is 0, as the document has it.
    insta::assert_snapshot!(found(BREAKS, r#"{"break_id": "B4", "break_type": "CASH_BREAK"}"#), @r#"
    exposure is 0: `abs(default(amount_diff, 0))`, where amount_diff is missing
    risk_tier is LOW: row 1 holds, `exposure < 5000`, where exposure is 0
    requires_enrichment is true: `true`
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
    risk_tier is HIGH: row 2 holds where no other does
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
    systems is ["oms","bank"]: `input.systems`, where input.systems is ['oms', 'bank']
    of is {"a":1.10}: `input.of`, where input.of is {"a": 1.10}
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
