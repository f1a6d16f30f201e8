//! What is odd about policies although they can run; and that what the linter says is so.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use proptest::prelude::*;
use quorate_core::{AgentRef, Answered, Answers, Decision, Effect, Outcome, Payload, Plan, Reply, Rule, RunId, Start, Timestamp, rehearse};
use quorate_expr::MAX_TRIES;
use quorate_project::{Diagnostic, Project, Source};

const AGENTS: &str = "agents:
  INTAKE: { use: std.echo }
  RULES_TOLERANCE: { use: std.echo, output: { within: bool, confidence: confidence } }
  PATTERNS: { use: std.echo, output: { cause: { enum: [ROUNDING, TIMING, ERROR] } } }
  DECISIONING: { use: std.echo }
";

/// What the linter finds about these policies, a line each.
fn linted(policies: &str) -> String {
    let files =
        vec![Source::new("quorate.yaml", "name: p\n"), Source::new("agents/a.yaml", AGENTS), Source::new("policies/p.yaml", policies)];
    let checked = Project::read(files, &["std.echo"]);
    assert!(checked.is_sound(), "{:#?}", checked.diagnostics);
    let line = |problem: &Diagnostic| {
        let (line, column) = problem.span.map_or((0, 0), |span| checked.files[problem.file].lines().place(span.start));
        format!("{line}:{column} {} {} | {}\n", problem.code, problem.message, problem.help.as_deref().unwrap_or_default())
    };
    checked.project.lint(MAX_TRIES).iter().map(line).collect()
}

#[test]
fn rules_for_the_same_work_and_rules_for_none() {
    insta::assert_snapshot!(linted(
        "input: { kind: { enum: [FX, CASH, BOND] }, amount: number, desk: text }
policies: { a: { mandatory_agents: [RULES_TOLERANCE] }, b: { mandatory_agents: [RULES_TOLERANCE] } }
keyed_by: [desk]
rules:
  - { name: exception, when: kind == 'FX' and amount > 9000, policy: a }
  - { name: large, when: amount > 1000, policy: b }
  - { name: cash, when: kind == 'CASH', policy: a }
  - { name: huge, when: amount > 5000, policy: a }
  - { name: both, when: kind == 'FX' and kind == 'BOND', policy: a }
  - { name: others, policy: b }
  - { name: late, when: kind == 'BOND', policy: a }
"
    ), @"
    7:25 L005 the rules large and cash are both for work where kind is 'CASH' and amount is 1001 | large stands first, and gets it; say so in the condition of the other one
    8:25 L006 nothing is left for the rule huge: where it holds, one before it does, or is unknown | let it stand before the others, or leave it out
    9:25 L006 the rule both can never hold: `kind == 'FX' and kind == 'BOND'` | leave it out, or look at what it reads
    11:25 L006 nothing is left for the rule late: others holds for all work | let it stand before that one, or leave it out
    ");
}

#[test]
fn agents_that_can_never_run() {
    insta::assert_snapshot!(linted(
        "policies:
  default:
    routing:
      agents:
        - { id: N1, name: INTAKE, depends_on: [] }
        - { id: N2, name: RULES_TOLERANCE, depends_on: [N1] }
        - { id: N3, name: PATTERNS, depends_on: [N2], when: N2.confidence > 0.9 and N2.confidence < 0.5 }
        - { id: N4, name: PATTERNS, depends_on: [N2], skip_when: [N2.within, not N2.within] }
        - { id: N5, name: DECISIONING, depends_on: [N2], when: N2.within }
      decision_checkpoint: { after: N2, condition: within, action: ESCALATE }
"
    ), @"
    7:11 L008 N3 can never run: `N2.confidence > 0.9 and N2.confidence < 0.5` can never hold | leave it out, or look at what its condition reads
    8:11 L008 N4 can never run: `(N2.within) or (not N2.within)` always holds | leave it out, or look at what its condition reads
    10:28 L007 N4 must run, and checkpoint_1 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    ");
}

#[test]
fn stages_are_there_to_end_what_comes_after_them() {
    insta::assert_snapshot!(linted(
        "policies:
  default:
    stages:
      - { agent: INTAKE, stop_when: size > 5 }
      - { agent: RULES_TOLERANCE, stop_when: not within, when: input.amount > 5 }
      - { agent: PATTERNS, stop_when: cause == 'ERROR' and cause == 'TIMING' }
      - DECISIONING
    otherwise: ESCALATE
"
    ), @"
    2:3 L012 decided can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes
    6:39 L001 `cause == 'ERROR' and cause == 'TIMING'` can never hold, so nothing follows from stop_PATTERNS | leave it out, or look at what it reads
    ");
}

#[test]
fn resolving_without_the_rules() {
    let policy = |rest: &str| linted(&format!("policies:\n  default:\n    mandatory_agents: [INTAKE, PATTERNS]\n{rest}"));
    // Without them, beside them, before them; and after them.
    insta::assert_snapshot!(policy("    decision_checkpoints: { after: PATTERNS, condition: cause == 'ROUNDING', action: AUTO_RESOLVE }"), @"4:27 L012 checkpoint_1 can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes");
    insta::assert_snapshot!(policy("    optional_agents: [RULES_TOLERANCE]\n    otherwise: AUTO_RESOLVE"), @"2:3 L012 otherwise can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes");
    insta::assert_snapshot!(policy("    decision_checkpoints: { voices: { by: majority, of: [PATTERNS] } }"), @"4:27 L012 checkpoint_1 can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes");
    let rules = |rest: &str| linted(&format!("policies:\n  default:\n    mandatory_agents: [INTAKE, RULES_TOLERANCE, PATTERNS]\n{rest}"));
    insta::assert_snapshot!(rules("    decision_checkpoints: { after: PATTERNS, condition: cause == 'ROUNDING', action: AUTO_RESOLVE }"), @"");
    insta::assert_snapshot!(rules("    decision_checkpoints: { after: INTAKE, condition: always, action: AUTO_RESOLVE }"), @"
    4:27 L007 RULES_TOLERANCE and PATTERNS must run, and checkpoint_1 can decide before it does | let the checkpoint look `after` it as well, or let the agent be optional
    4:27 L012 checkpoint_1 can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes
    ");
    // An agent that may be skipped has to have been read.
    let skipped = "policies:\n  default:\n    mandatory_agents: [INTAKE, { agent: RULES_TOLERANCE, when: input.amount > 5 }, PATTERNS]\n";
    insta::assert_snapshot!(linted(&format!("{skipped}    decision_checkpoints: {{ after: PATTERNS, condition: always, action: AUTO_RESOLVE }}")), @"4:27 L012 checkpoint_1 can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes");
    insta::assert_snapshot!(linted(&format!("{skipped}    decision_checkpoints: {{ after: PATTERNS, condition: RULES_TOLERANCE.within, action: AUTO_RESOLVE }}")), @"");
    // One of several voices may be missing, unless all have to be heard, or it may veto.
    let voices = |voices: &str| rules(&format!("    decision_checkpoints: {{ voices: {{ by: majority, {voices} }} }}"));
    insta::assert_snapshot!(voices("of: [RULES_TOLERANCE, PATTERNS], at_least: 1"), @"4:27 L012 checkpoint_1 can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes");
    insta::assert_snapshot!(voices("of: [RULES_TOLERANCE, PATTERNS]"), @"");
    insta::assert_snapshot!(voices("of: [{ agent: RULES_TOLERANCE, veto: not within }, PATTERNS], at_least: 1"), @"");
    // What happens otherwise may happen where it was skipped.
    insta::assert_snapshot!(linted(&format!("{skipped}    otherwise: AUTO_RESOLVE")), @"2:3 L012 otherwise can come to AUTO_RESOLVE although RULES_TOLERANCE has found nothing | let it look after RULES_TOLERANCE, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes");
    // And who it takes is said by the project.
    insta::assert_snapshot!(linted(&format!("auto_resolve_needs: [DECISIONING]\n{skipped}    decision_checkpoints: {{ after: PATTERNS, condition: always, action: AUTO_RESOLVE }}")), @"5:27 L012 checkpoint_1 can come to AUTO_RESOLVE although DECISIONING has found nothing | let it look after DECISIONING, or decide HIL_REVIEW; `auto_resolve_needs` says whom it takes");
}

#[test]
fn more_exposure_and_a_laxer_decision() {
    let head = "input: { kind: text, amount: number }
classify: { exposure: abs(amount), tier: [{ when: exposure < 5, then: LOW }, { when: exposure < 50, then: MEDIUM }, { then: HIGH }] }
keyed_by: [kind, tier]
monotone: { over: [exposure, tier] }
policies:
  CASH:
";
    let table = |tier: &str, rows: &[(&str, &str)]| {
        let rows: String = rows
            .iter()
            .map(|(when, then)| format!("        - {{ after: RULES_TOLERANCE, condition: '{when}', action: {then} }}\n"))
            .collect();
        format!("    {tier}:\n      mandatory_agents: [RULES_TOLERANCE]\n      decision_checkpoints:\n{rows}")
    };
    let resolves = |tier: &str, least: &str| table(tier, &[(&format!("within and confidence > {least}"), "AUTO_RESOLVE")]);
    // The border falls where it should rise.
    insta::assert_snapshot!(linted(&format!("{head}{}{}{}", resolves("LOW", "0.8"), resolves("MEDIUM", "0.9"), resolves("HIGH", "0.85"))), @"
    7:5 L009 there is no policy for work whose kind is none of CASH | people decide on it; write a `default`
    18:11 L013 with more `tier` the decision may be laxer: HIL_REVIEW is followed by AUTO_RESOLVE where tier is MEDIUM and then HIGH and RULES_TOLERANCE.within is true and RULES_TOLERANCE.confidence is 0.88 | tighten this, or leave the field out of `monotone`
    ");
    insta::assert_snapshot!(linted(&format!("{head}{}{}{}", resolves("LOW", "0.8"), resolves("MEDIUM", "0.9"), resolves("HIGH", "0.95"))), @"7:5 L009 there is no policy for work whose kind is none of CASH | people decide on it; write a `default`");
    // Within one policy as well, by the number.
    let number = table(
        "default",
        &[("within and exposure > 900", "AUTO_RESOLVE"), ("within and confidence > 0.9", "AUTO_RESOLVE"), ("always", "ESCALATE")],
    );
    insta::assert_snapshot!(linted(&format!("{head}{number}")), @"
    7:5 L009 there is no policy for work whose kind is none of CASH | people decide on it; write a `default`
    10:11 L004 after RULES_TOLERANCE, nothing decides where RULES_TOLERANCE.within is true and profile.exposure is missing | people are asked then (HIL_REVIEW); say so with `otherwise: HIL_REVIEW`, or close the gap
    10:11 L013 with more `exposure` the decision may be laxer: ESCALATE is followed by AUTO_RESOLVE where RULES_TOLERANCE.within is true and exposure (less) is 0 and RULES_TOLERANCE.confidence is 0 and exposure (more) is 901 | tighten this, or leave the field out of `monotone`
    ");
    let sound = table("default", &[("within and exposure < 900", "AUTO_RESOLVE"), ("always", "ESCALATE")]);
    insta::assert_snapshot!(linted(&format!("{head}{sound}")), @"
    7:5 L009 there is no policy for work whose kind is none of CASH | people decide on it; write a `default`
    10:11 L004 after RULES_TOLERANCE, nothing decides where RULES_TOLERANCE.within is true and profile.exposure is missing | people are asked then (HIL_REVIEW); say so with `otherwise: HIL_REVIEW`, or close the gap
    ");
    // Of what has no order nothing can be said.
    insta::assert_snapshot!(linted("input: { kind: text }\nclassify: { what: kind }\nmonotone: { over: [what] }\npolicies: { default: { mandatory_agents: [RULES_TOLERANCE] } }"), @"3:11 L013 of `what` it is not known what is more: it is a text | name a number, or a text of which all values are listed from less to more");
}

// -- held against trying everything, by the engine itself

/// A policy of one agent, with these conditions.
fn policy(conditions: &[String], optional: bool) -> Project {
    let mark = if optional { "?" } else { "" };
    let output =
        format!("{{ 'flag{mark}': bool, 'kind{mark}': {{ enum: [A, B] }}, 'n{mark}': {{ type: number, minimum: 0, maximum: 3 }} }}");
    let rows: String = conditions
        .iter()
        .enumerate()
        .map(|(row, condition)| format!("      - {{ id: c{row}, after: RULES, condition: \"{condition}\", action: ACTION_{row} }}\n"))
        .collect();
    let text = format!("policies:\n  default:\n    mandatory_agents: [RULES]\n    decision_checkpoints:\n{rows}");
    let files = vec![
        Source::new("quorate.yaml", "name: p\n"),
        Source::new("agents/a.yaml", &format!("agents: {{ RULES: {{ use: std.echo, output: {output} }} }}")),
        Source::new("policies/p.yaml", &text),
    ];
    let checked = Project::read(files, &["std.echo"]);
    assert!(checked.is_sound(), "{:#?}\n{text}", checked.diagnostics);
    checked.project
}

/// Everything that the agent may return, finely enough that nothing lies between which differs.
fn everything(optional: bool) -> Vec<String> {
    let missing = || if optional { vec![None] } else { Vec::new() };
    let some = |values: &[&str]| values.iter().map(|value| Some((*value).to_owned())).chain(missing()).collect::<Vec<_>>();
    let (flags, kinds) = (some(&["true", "false"]), some(&["\"A\"", "\"B\""]));
    let numbers = some(&["0", "0.5", "1", "1.5", "2", "2.5", "3"]);
    let mut all = Vec::new();
    for (flag, kind) in flags.iter().flat_map(|flag| kinds.iter().map(move |kind| (flag, kind))) {
        for number in &numbers {
            let field = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("\"{name}\": {value}"));
            let fields: Vec<String> = [field("flag", flag), field("kind", kind), field("n", number)].into_iter().flatten().collect();
            all.push(format!("{{{}}}", fields.join(", ")));
        }
    }
    all
}

/// What the engine decides where the agent returns this.
fn decided(plan: &Arc<Plan>, output: &str) -> Decision {
    let agent = AgentRef::new("RULES", "1", Effect::None);
    let reply = Reply::new(Payload::parse(output.to_owned()).unwrap());
    let answers = Answers::from([("RULES".into(), Answered { agent: Arc::new(agent), result: Ok(reply), micros: 1 })]);
    let start = Start {
        plan: plan.digest(),
        name: plan.name().clone(),
        input: Payload::null(),
        profile: None,
        session: None,
        by: "test".into(),
        route: None,
        skills: Vec::new(),
        parent: None,
        within: None,
        deadline: None,
    };
    let rehearsal = rehearse(plan, RunId(1), Timestamp::default(), start, &answers);
    (**rehearsal.run.decision().unwrap()).clone()
}

/// Conditions that only compare, over what the agent returns.
fn condition() -> impl Strategy<Value = String> {
    let number = || (0..=3_i32).prop_map(|number| number.to_string());
    let compares = || prop::sample::select(&["<", "<=", ">", ">=", "==", "!="][..]);
    let part = prop_oneof![
        Just("flag".to_owned()),
        Just("defined(n)".to_owned()),
        prop::sample::select(&["A", "B"][..]).prop_map(|kind| format!("kind == '{kind}'")),
        (compares(), number()).prop_map(|(compares, number)| format!("n {compares} {number}")),
        (compares(), number()).prop_map(|(compares, number)| format!("default(n, 1) {compares} {number}")),
    ];
    part.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_the_linter_says_is_what_the_engine_does(conditions in prop::collection::vec(condition(), 1..4), optional: bool) {
        let project = policy(&conditions, optional);
        let plan = &project.policies.list["default"].plan;
        let decisions: Vec<Decision> = everything(optional).iter().map(|output| decided(plan, output)).collect();
        let found = project.lint(MAX_TRIES);
        let codes = |code: &str, row: usize| {
            let subject = match code {
                "L001" => format!("follows from c{row}"),
                "L002" => format!("`{}`", conditions[row]),
                _ => format!("left for c{row}:"),
            };
            let named = |problem: &&Diagnostic| problem.code == code && problem.message.contains(&subject);
            found.iter().any(|problem| named(&problem))
        };
        let outcome = |decision: &Decision, row: usize| decision.looks.iter().find(|look| *look.checkpoint == *format!("c{row}")).map(|look| look.outcome);
        for row in 0..conditions.len() {
            let holds = decisions.iter().any(|decision| outcome(decision, row) == Some(Outcome::Holds));
            let always = decisions.iter().all(|decision| outcome(decision, row) == Some(Outcome::Holds));
            let decides = decisions.iter().any(|decision| decision.rule == Rule::Checkpoint(format!("c{row}").into()));
            prop_assert_eq!(codes("L001", row), !holds, "{} can hold: {}", &conditions[row], holds);
            if holds && conditions.iter().filter(|other| **other == conditions[row]).count() == 1 {
                prop_assert_eq!(codes("L002", row), always, "{} always holds: {}", &conditions[row], always);
            }
            if holds && !always {
                prop_assert_eq!(codes("L003", row), !decides, "{:?}: c{} decides: {}", &conditions, row, decides);
            }
        }
        let open = decisions.iter().any(|decision| !matches!(decision.rule, Rule::Checkpoint(_)));
        let gap = found.iter().any(|problem| problem.code == "L004");
        prop_assert_eq!(gap, open && conditions.len() > 1, "{:?} leaves something open: {}", &conditions, open);
        prop_assert!(found.iter().all(|problem| problem.code != "L000"), "nothing is given up");
    }
}
