//! Decisions that many voices take together, as stories.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod story;

use insta::assert_snapshot;
use quorate_core::draft::{CheckpointDraft, Method, RowDraft, ThenDraft, VoiceDraft, VoicesDraft};
use quorate_core::{Draft, Plan};
use quorate_expr::Decimal;
use story::{Story, plan};

fn voices(by: Method, of: &[&str]) -> VoicesDraft {
    let voice = |task: &&str| VoiceDraft { task: (*task).to_owned(), ..VoiceDraft::default() };
    VoicesDraft {
        by,
        of: of.iter().map(voice).collect(),
        at_least: None,
        actions: Vec::new(),
        choices: vec!["buy".into(), "sell".into()],
        insufficient: None,
        undecided: None,
        vetoed: None,
    }
}

fn deciding(text: &str, voices: VoicesDraft) -> Draft {
    let council = CheckpointDraft::new(Vec::new(), "always", ThenDraft::Voices(voices)).called("council");
    Draft { checkpoints: vec![council], ..plan(text) }
}

fn row(when: &str, then: &str) -> RowDraft {
    RowDraft { when: (!when.is_empty()).then(|| when.to_owned()), then: then.to_owned() }
}

/// Document 001: momentum counts four parts, risk four, and correlation two. Whoever says that risk is blocked is obeyed.
fn trading(at_least: Option<u32>) -> Draft {
    let voice = |task: &str, weight: i64, says: &str| VoiceDraft {
        task: task.to_owned(),
        weight: Some(Decimal::new(weight, 1)),
        says: Some(says.to_owned()),
        veto: (task == "risk").then(|| "risk_level == 'blocked'".to_owned()),
    };
    let of = vec![voice("momentum", 4, "strength"), voice("risk", 4, "1 - risk_score"), voice("correlation", 2, "impact")];
    let actions = vec![row("score >= 0.7 and momentum.direction == 'up'", "buy"), row("score >= 0.7", "sell"), row("", "hold")];
    let choices = Vec::new();
    deciding("momentum; risk; correlation", VoicesDraft { of, actions, at_least, choices, ..voices(Method::Weighted, &[]) })
}

const UP: &str = r#"ok momentum {"strength": 0.9, "direction": "up"}; "#;
const SAFE: &str = r#"ok risk {"risk_score": 0.2, "risk_level": "low"}; "#;

/// What was heard, and what it came to: nothing of how it came there.
fn heard(draft: Draft, script: &str) -> String {
    let told = Story::new(draft).play(&format!("{script}; show heard; show why"));
    let from = told.lines().position(|line| line.starts_with("  ") && line.contains(": council") || line.contains("(confidence")).unwrap();
    told.lines().skip(from).collect::<Vec<_>>().join("\n")
}

#[test]
fn numbers_are_weighed_and_the_first_row_that_holds_says_what_their_mean_means() {
    let script = format!(r#"{UP}{SAFE}ok correlation {{"impact": 0.5}}"#);
    // 0.9 × 0.4 + (1 - 0.2) × 0.4 + 0.5 × 0.2
    assert_snapshot!(heard(trading(None), &script), @"
    buy: council: the weighted mean is 0.78 (confidence Some(0.78))
    momentum says 0.9, weight 0.4
    risk says 0.8, weight 0.4
    correlation says 0.5, weight 0.2
    confidence Some(0.78)
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
    let down = script.replace("up", "down").replace("0.5", "0.1");
    assert_snapshot!(heard(trading(None), &down), @"
    sell: council: the weighted mean is 0.7 (confidence Some(0.7))
    momentum says 0.9, weight 0.4
    risk says 0.8, weight 0.4
    correlation says 0.1, weight 0.2
    confidence Some(0.7)
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: `score >= 0.7 and momentum.direction == 'up'` does not hold: score is 0.7, momentum.direction is 'down'
    not hold: the voices came to something else
    ");
    assert_snapshot!(heard(trading(None), &down.replace("0.9", "0.2")), @"
    hold: council: the weighted mean is 0.42 (confidence Some(0.42))
    momentum says 0.2, weight 0.4
    risk says 0.8, weight 0.4
    correlation says 0.1, weight 0.2
    confidence Some(0.42)
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: `score >= 0.7 and momentum.direction == 'up'` does not hold: score is 0.42, momentum.direction is 'down'
    not sell: `score >= 0.7` does not hold: score is 0.42
    ");
}

#[test]
fn a_voice_that_is_missing_leaves_too_few_unless_the_others_are_enough() {
    let script = format!("{UP}{SAFE}fail correlation internal");
    assert_snapshot!(heard(trading(None), &script), @"
    HIL_REVIEW: council: 2 of 3 voices can be heard, and it takes 3 (confidence None)
    momentum says 0.9, weight 0.4
    risk says 0.8, weight 0.4
    correlation is not heard: it failed, weight 0.2
    confidence None
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: the voices came to something else
    not buy: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
    // The weights of the others are the whole then: (0.36 + 0.32) / 0.8.
    assert_snapshot!(heard(trading(Some(2)), &script), @"
    buy: council: the weighted mean is 0.85 (confidence Some(0.85))
    momentum says 0.9, weight 0.4
    risk says 0.8, weight 0.4
    correlation is not heard: it failed, weight 0.2
    confidence Some(0.85)
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
    // A number that is none, or not there, is a voice that was not heard.
    assert_snapshot!(heard(trading(Some(2)), &format!(r#"{UP}{SAFE}ok correlation {{"impact": "large"}}"#)), @"
    buy: council: the weighted mean is 0.85 (confidence Some(0.85))
    momentum says 0.9, weight 0.4
    risk says 0.8, weight 0.4
    correlation is not heard: `impact` is no number, weight 0.2
    confidence Some(0.85)
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
    assert_snapshot!(heard(trading(Some(3)), &format!("{UP}{SAFE}ok correlation")), @"
    HIL_REVIEW: council: 2 of 3 voices can be heard, and it takes 3 (confidence None)
    momentum says 0.9, weight 0.4
    risk says 0.8, weight 0.4
    correlation is not heard: `impact` is null, weight 0.2
    confidence None
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: the voices came to something else
    not buy: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
}

#[test]
fn a_veto_beats_any_weight_and_waits_for_nobody() {
    let blocked = r#"ok risk {"risk_score": 0.0, "risk_level": "blocked"}"#;
    assert_snapshot!(Story::new(trading(Some(2))).play(&format!("{blocked}; show heard")), @r#"
      0 run of story starts
      0 momentum starts #1
      0 risk starts #1
      0 correlation starts #1
      0 risk succeeds #1
      0 decided: REJECTED Voices { checkpoint: "council", how: "risk vetoes" }
      0 concluded: Decided
      0 run ends succeeded []
    REJECTED: council: risk vetoes (confidence None)
    momentum has not been heard, weight 0.4
    risk says 1, weight 0.4, and vetoes
    correlation has not been heard, weight 0.2
    "#);
    // Of one that may veto it has to be known whether it does.
    let enough = format!(r#"{UP}ok correlation {{"impact": 0.9}}; "#);
    assert_snapshot!(heard(trading(Some(2)), &format!("{enough}fail risk timeout")), @"
    HIL_REVIEW: council: whether risk vetoes is not known: `risk_level == 'blocked'` comes from a task that failed (confidence None)
    momentum says 0.9, weight 0.4
    risk is not heard: it was too late, weight 0.4
    correlation says 0.9, weight 0.2
    confidence None
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: the voices came to something else
    not buy: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
    assert_snapshot!(heard(trading(Some(2)), &format!(r#"{enough}ok risk {{"risk_score": 0.1}}"#)), @"
    HIL_REVIEW: council: whether risk vetoes is not known: `risk_level == 'blocked'` is missing (confidence None)
    momentum says 0.9, weight 0.4
    risk says 0.9, weight 0.4
    correlation says 0.9, weight 0.2
    confidence None
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: the voices came to something else
    not buy: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
}

#[test]
fn a_row_that_is_unknown_is_not_passed_by() {
    let script = format!(r#"ok momentum {{"strength": 0.9}}; {SAFE}ok correlation {{"impact": 0.5}}"#);
    assert_snapshot!(heard(trading(None), &script), @"
    HIL_REVIEW: council: `score >= 0.7 and momentum.direction == 'up'` is unknown, where the mean is 0.78 (confidence Some(0.78))
    momentum says 0.9, weight 0.4
    risk says 0.8, weight 0.4
    correlation says 0.5, weight 0.2
    confidence Some(0.78)
    not AUTO_RESOLVE: no checkpoint of this plan takes it by itself
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: the voices came to something else
    not buy: `score >= 0.7 and momentum.direction == 'up'` is unknown: score is 0.78, momentum.direction is missing
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
}

#[test]
fn a_majority_decides_as_soon_as_nothing_can_change_it() {
    let three = || deciding("a; b; c", voices(Method::Majority, &["a", "b", "c"]));
    let two = || deciding("a; b; c", VoicesDraft { at_least: Some(2), ..voices(Method::Majority, &["a", "b", "c"]) });
    let buy = |task: &str, confidence: &str| format!(r#"ok {task} {{"action": "buy", "confidence": {confidence}}}; "#);
    // All three have to be heard here, and two there: then the third is not waited for.
    let agree = format!("{}{}", buy("a", "0.9"), buy("c", "0.6"));
    assert_snapshot!(heard(three(), &format!(r#"{agree}ok b {{"action": "sell"}}"#)), @"
    buy: council: more than half of the voices say so (confidence Some(0.6))
    a says buy, confidence 0.9
    b says sell
    c says buy, confidence 0.6
    confidence Some(0.6)
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not sell: 1 of 3 voices said so
    ");
    assert_snapshot!(Story::new(two()).play(&format!("{agree}show heard")), @r#"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 c starts #1
      0 a succeeds #1
      0 c succeeds #1
      0 decided: buy Voices { checkpoint: "council", how: "more than half of the voices say so" }
      0 concluded: Decided
      0 run ends succeeded []
    buy: council: more than half of the voices say so (confidence Some(0.6))
    a says buy, confidence 0.9
    b has not been heard
    c says buy, confidence 0.6
    "#);
    let split = format!(r#"{}ok b {{"action": "sell"}}; ok c {{"action": "HIL_REVIEW"}}"#, buy("a", "0.9"));
    assert_snapshot!(heard(three(), &split), @"
    HIL_REVIEW: council: no action has more than half of the votes (confidence None)
    a says buy, confidence 0.9
    b says sell
    c says HIL_REVIEW
    confidence None
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: 1 of 3 voices said so
    not sell: 1 of 3 voices said so
    ");
    // One against one is no majority, whoever is missing.
    assert_snapshot!(heard(two(), &format!(r#"{}ok b {{"action": "sell"}}; fail c internal"#, buy("a", "0.9"))), @"
    HIL_REVIEW: council: no action has more than half of the votes (confidence None)
    a says buy, confidence 0.9
    b says sell
    c is not heard: it failed
    confidence None
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: 1 of 3 voices said so
    not sell: 1 of 3 voices said so
    ");
    // A word that nobody knows is no vote.
    assert_snapshot!(heard(two(), &format!(r#"{}ok b {{"action": "Buy!"}}; ok c {{"action": "buy"}}"#, buy("a", "0.9"))), @"
    buy: council: more than half of the voices say so (confidence Some(0.9))
    a says buy, confidence 0.9
    b is not heard: `Buy!` is not an action of this plan
    c says buy
    confidence Some(0.9)
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not sell: the voices came to something else
    ");
    // Weights count, not heads.
    let mut weighty = voices(Method::Majority, &["a", "b", "c"]);
    weighty.of[1].weight = Some(Decimal::new(25, 1));
    assert_snapshot!(heard(deciding("a; b; c", weighty), &format!(r#"{agree}ok b {{"action": "sell", "confidence": 0.7}}"#)), @"
    sell: council: more than half of the voices say so (confidence Some(0.7))
    a says buy, confidence 0.9
    b says sell, weight 2.5, confidence 0.7
    c says buy, confidence 0.6
    confidence Some(0.7)
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: 2 of 3 voices said so, with a weight of 2
    ");
}

#[test]
fn unanimity_is_over_with_the_first_who_differs() {
    let all = || deciding("a; b; c", VoicesDraft { undecided: Some("hold".into()), ..voices(Method::Unanimity, &["a", "b", "c"]) });
    let says = |task: &str, action: &str, confidence: &str| format!(r#"ok {task} {{"action": "{action}", "confidence": {confidence}}}; "#);
    let agree = format!("{}{}", says("a", "buy", "0.9"), says("b", "buy", "0.8"));
    assert_snapshot!(heard(all(), &format!("{agree}{}", says("c", "buy", "0.95"))), @"
    buy: council: all voices say so (confidence Some(0.8))
    a says buy, confidence 0.9
    b says buy, confidence 0.8
    c says buy, confidence 0.95
    confidence Some(0.8)
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
    assert_snapshot!(Story::new(all()).play(&format!("{}{}show heard", says("a", "buy", "0.9"), says("b", "sell", "0.8"))), @r#"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 c starts #1
      0 a succeeds #1
      0 b succeeds #1
      0 decided: hold Voices { checkpoint: "council", how: "the voices do not agree" }
      0 concluded: Decided
      0 run ends succeeded []
    hold: council: the voices do not agree (confidence None)
    a says buy, confidence 0.9
    b says sell, confidence 0.8
    c has not been heard
    "#);
    // Who is silent does not agree.
    assert_snapshot!(heard(all(), &format!("{agree}fail c internal")), @"
    HIL_REVIEW: council: 2 of 3 voices can be heard, and it takes 3 (confidence None)
    a says buy, confidence 0.9
    b says buy, confidence 0.8
    c is not heard: it failed
    confidence None
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: 2 of 3 voices said so
    not hold: the voices came to something else
    not sell: the voices came to something else
    ");
}

#[test]
fn the_first_and_the_surest() {
    let says = |task: &str, action: &str, confidence: &str| format!(r#"ok {task} {{"action": "{action}"{confidence}}}; "#);
    let first = || deciding("a; b; c", voices(Method::First, &["a", "b", "c"]));
    assert_snapshot!(Story::new(first()).play(&format!("fail a internal; {}show heard", says("c", "sell", r#", "confidence": 0.4"#))), @r#"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 c starts #1
      0 a fails #1: internal
      0 c succeeds #1
      0 decided: sell Voices { checkpoint: "council", how: "the first voice says so" }
      0 concluded: Decided
      0 run ends succeeded []
    sell: council: the first voice says so (confidence Some(0.4))
    a is not heard: it failed
    b has not been heard
    c says sell, confidence 0.4
    "#);
    assert_snapshot!(heard(first(), "fail a internal; fail b timeout; fail c invalid"), @"
    HIL_REVIEW: council: 0 of 3 voices can be heard, and it takes 1 (confidence None)
    a is not heard: it failed
    b is not heard: it was too late
    c is not heard: it failed
    confidence None
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: the voices came to something else
    not sell: the voices came to something else
    ");
    let best = || deciding("a; b; c", VoicesDraft { at_least: Some(1), ..voices(Method::Best, &["a", "b", "c"]) });
    let (a, b) = (says("a", "buy", r#", "confidence": 0.8"#), says("b", "sell", r#", "confidence": 0.81"#));
    assert_snapshot!(heard(best(), &format!("{a}{b}{}", says("c", "buy", ""))), @"
    sell: council: the surest voice says so (confidence Some(0.81))
    a says buy, confidence 0.8
    b says sell, confidence 0.81
    c says buy
    confidence Some(0.81)
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: 2 of 3 voices said so
    ");
    let tie = says("c", "buy", r#", "confidence": 0.81"#);
    assert_snapshot!(heard(best(), &format!("{a}{b}{tie}")), @"
    HIL_REVIEW: council: the surest voices do not agree (confidence None)
    a says buy, confidence 0.8
    b says sell, confidence 0.81
    c says buy, confidence 0.81
    confidence None
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: 2 of 3 voices said so
    not sell: 1 of 3 voices said so
    ");
    // A confidence of 100 is none.
    assert_snapshot!(heard(best(), &format!("{a}fail b internal; {}", says("c", "sell", r#", "confidence": 100"#))), @"
    buy: council: the surest voice says so (confidence Some(0.8))
    a says buy, confidence 0.8
    b is not heard: it failed
    c says sell
    confidence Some(0.8)
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not sell: 1 of 3 voices said so
    ");
}

#[test]
fn a_voice_that_nobody_asked_for_is_not_waited_for() {
    let mut draft = deciding("a; b", VoicesDraft { at_least: Some(1), ..voices(Method::Majority, &["a", "b"]) });
    draft.tasks[1].role = quorate_core::Role::Catalogue;
    let grow = ThenDraft::Grow(vec!["b".into()]);
    draft.checkpoints.insert(0, CheckpointDraft::new(vec!["a".into()], "doubtful", grow));
    assert_snapshot!(heard(draft.clone(), r#"ok a {"action": "buy", "doubtful": false}"#), @"
    buy: council: more than half of the voices say so (confidence None)
    a says buy
    b is not heard: it was not asked
    confidence None
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not HIL_REVIEW: the voices came to something else
    not REJECTED: the voices came to something else
    not sell: the voices came to something else
    ");
    assert_snapshot!(heard(draft, r#"ok a {"action": "buy", "doubtful": true}; ok b {"action": "sell"}"#), @"
    HIL_REVIEW: council: no action has more than half of the votes (confidence None)
    a says buy
    b says sell
    confidence None
    not AUTO_RESOLVE: the voices came to something else
    not ESCALATE: the voices came to something else
    not REJECTED: the voices came to something else
    not buy: 1 of 2 voices said so
    not sell: 1 of 2 voices said so
    ");
}

#[test]
fn a_decision_says_why_and_what_goes_with_it() {
    let mut draft = plan("size");
    let mut checkpoint = CheckpointDraft::new(vec!["size".into()], "risk > 0.8", ThenDraft::Decide("trade_with_caution".into()));
    checkpoint.reason = Some("the risk is {{ risk }}, so half of {{ wanted }} is enough".into());
    checkpoint.with = Some(serde_json::json!({"multiplier": 0.5, "most": "{{ wanted / 2 }}", "checks": ["volatility", "liquidity"]}));
    draft.checkpoints = vec![checkpoint.called("caution")];
    let told = |script: &str| {
        let told = Story::new(draft.clone()).play(&format!("{script}; show decision"));
        told.lines()
            .filter(|line| ["action\"", "reason", "with", "multiplier", "most", "rule", "caution"].iter().any(|part| line.contains(part)))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    assert_snapshot!(told(r#"ok size {"risk": 0.9, "wanted": 1000}"#), @r#"
      0 decided: trade_with_caution Checkpoint("caution")
    "action": "trade_with_caution",
    "rule": {
      "checkpoint": "caution"
    "reason": "the risk is 0.9, so half of 1000 is enough",
    "with": {
      "value": {"multiplier":0.5,"most":500,"checks":["volatility","liquidity"]}
        "checkpoint": "caution",
        "action": "AUTO_RESOLVE",
        "action": "ESCALATE",
        "action": "HIL_REVIEW",
        "action": "REJECTED",
    "#);
    // An action without what goes with it is left to people.
    assert_snapshot!(told(r#"ok size {"risk": 0.9}"#), @r#"
      0 decided: HIL_REVIEW Incomplete { checkpoint: "caution", why: "`wanted / 2` is missing" }
    "action": "HIL_REVIEW",
    "rule": {
        "checkpoint": "caution",
    "reason": "(its reason cannot be told: `wanted` is missing)",
        "checkpoint": "caution",
        "action": "AUTO_RESOLVE",
        "action": "ESCALATE",
        "action": "REJECTED",
        "action": "trade_with_caution",
    "#);
}

#[test]
fn voices_that_cannot_decide_are_found_before_anything_runs() {
    let wrong = |voices: VoicesDraft| {
        let problems = Plan::compile(&deciding("a; b; c", voices)).err().unwrap_or_default();
        problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
    };
    let ab = |by| voices(by, &["a", "b"]);
    assert_snapshot!(wrong(voices(Method::First, &[])), @"checkpoints[0].voices: there are 0 voices; 1 to 1000 can decide together [P026]");
    assert_snapshot!(wrong(VoicesDraft { at_least: Some(3), ..ab(Method::Majority) }), @"checkpoints[0].voices.at_least: 3 of 2 voices can never be heard [P026]; write a number from 1 to 2");
    assert_snapshot!(wrong(VoicesDraft { at_least: Some(0), ..ab(Method::Majority) }), @"checkpoints[0].voices.at_least: a decision that hears nobody is none [P026]; write a number from 1 to 2");
    assert_snapshot!(wrong(VoicesDraft { choices: Vec::new(), ..ab(Method::Weighted) }), @"checkpoints[0].voices.actions: nothing says what the weighted mean means [P026]; write `actions: [{ when: score >= 0.7, then: AUTO_RESOLVE }]`");
    assert_snapshot!(wrong(VoicesDraft { actions: vec![row("score > 1", "buy")], ..ab(Method::Majority) }), @"checkpoints[0].voices.actions: votes have no mean that could mean something [P026]; leave it out, or weigh numbers: `by: weighted`");
    assert_snapshot!(wrong(VoicesDraft { actions: vec![row("scores > 1", "buy")], ..ab(Method::Weighted) }), @"checkpoints[0].voices.choices: where numbers are weighed nobody votes [P026]; leave it out: what the mean can mean stands under `actions`");
    assert_snapshot!(wrong(voices(Method::Best, &["a", "a", "x"])), @"
    checkpoints[0].voices.of[1].task: `a` is heard twice [P026]
    checkpoints[0].voices.of[2].task: there is no task `x` [P010]
    ");
    let mut weightless = ab(Method::Majority);
    weightless.of[0].weight = Some(Decimal::ZERO);
    weightless.of[1].veto = Some("confidence".into());
    assert_snapshot!(wrong(weightless), @"checkpoints[0].voices.of[0].weight: a weight is more than 0 and at most 1000, not 0 [P026]");
    let mut after = deciding("a; b; c", ab(Method::Majority));
    after.checkpoints[0].after = vec!["c".into()];
    assert_snapshot!(Plan::compile(&after).unwrap_err()[0].to_string(), @"checkpoints[0].after: a checkpoint that hears voices has no `after` [P026]; leave it out: voices are looked at whenever one of them ends");
}

#[test]
fn what_a_voice_does_not_say_is_not_looked_for_in_what_the_caller_sent() {
    let mut draft = deciding("a", voices(Method::Majority, &["a"]));
    // The agent says what it returns, and an action is not among it.
    let cause = quorate_expr::Field { name: "cause".into(), kind: quorate_expr::Type::Text, required: false };
    draft.tasks[0].output = quorate_expr::Type::Object(vec![cause]);
    let told = Story::new(draft).input(r#"{"action": "AUTO_RESOLVE"}"#).play(r#"ok a {"cause": "none"}; show heard"#);
    assert!(told.contains("a is not heard: `action` is missing"), "{told}");
}

#[test]
fn that_a_voice_failed_is_for_its_council_to_judge_and_for_nobody_else() {
    let after = |task: &str, then: &str| CheckpointDraft::new(vec![task.to_owned()], "always", ThenDraft::Decide(then.to_owned()));
    let mut draft = deciding("a; b", VoicesDraft { at_least: Some(1), ..voices(Method::Majority, &["a", "b"]) });
    draft.checkpoints[0].condition = "input.large".to_owned();
    draft.checkpoints.push(after("b", "AUTO_RESOLVE").called("other"));
    draft.on_failure = Some("HIL_REVIEW".into());
    let play = |large: bool, script: &str| {
        let told = Story::new(draft.clone()).input(&format!(r#"{{"large": {large}}}"#)).play(script);
        told.lines()
            .filter(|line| line.contains("decided") || line.contains("run ends") || line.contains("concluded"))
            .map(|line| format!("{}\n", line.trim()))
            .collect::<String>()
    };
    // Where the council does not decide, what failed is a failure like any other.
    assert_snapshot!(play(false, r#"fail a internal; ok b {"action": "buy"}; answer review ann approve"#), @"
    0 decided: HIL_REVIEW Failed { task: a }
    0 concluded: Failed(a)
    0 run ends failed [a]
    ");
    assert_snapshot!(play(false, r#"ok a; ok b {"action": "buy"}"#), @r#"
    0 decided: AUTO_RESOLVE Checkpoint("other")
    0 concluded: Decided
    0 run ends succeeded []
    "#);
    // Where it does, one of two is enough.
    assert_snapshot!(play(true, r#"fail a internal; ok b {"action": "buy"}"#), @r#"
    0 decided: buy Voices { checkpoint: "council", how: "more than half of the voices say so" }
    0 concluded: Decided
    0 run ends succeeded []
    "#);
    // And where nothing is to be decided on a failure, the run fails.
    draft.on_failure = None;
    let told = Story::new(draft.clone()).input(r#"{"large": false}"#).play(r#"fail a internal; ok b {"action": "buy"}"#);
    assert!(told.contains("concluded: Failed(a)") && !told.contains("decided"), "{told}");
}

#[test]
fn who_answers_first_does_not_change_what_is_decided() {
    // A veto that reads what another one will say waits for it.
    let voice =
        |task: &str, veto: Option<&str>| VoiceDraft { task: task.to_owned(), veto: veto.map(str::to_owned), ..VoiceDraft::default() };
    let of = vec![voice("a", Some("b.blocked")), voice("b", None)];
    let draft = || deciding("a; b", VoicesDraft { of: of.clone(), ..voices(Method::Majority, &[]) });
    let (a, b) = (r#"ok a {"action": "buy"}"#, r#"ok b {"action": "buy", "blocked": false}"#);
    let (first, second) = (heard(draft(), &format!("{a}; {b}")), heard(draft(), &format!("{b}; {a}")));
    assert_eq!(first, second);
    assert!(first.contains("buy: council: more than half"), "{first}");
    // So does a row, and what goes with the action.
    let numbers = |with: Option<serde_json::Value>, when: &str| {
        let of = vec![voice("a", None), voice("b", None)];
        let actions = vec![row(when, "buy"), row("", "hold")];
        let mut draft = deciding("a; b; c", VoicesDraft { of, actions, choices: Vec::new(), ..voices(Method::Weighted, &[]) });
        draft.checkpoints[0].with = with;
        draft
    };
    let (a, b, c) = (r#"ok a {"confidence": 0.8}"#, r#"ok b {"confidence": 0.9}"#, r#"ok c {"ok": true}"#);
    for (with, when) in [(None, "score > 0.5 and c.ok"), (Some(serde_json::json!({"ok": "{{ c.ok }}"})), "score > 0.5")] {
        let decided = |script: &str| heard(numbers(with.clone(), when), script);
        assert_eq!(decided(&format!("{a}; {b}; {c}")), decided(&format!("{c}; {a}; {b}")), "{when}");
        assert!(decided(&format!("{a}; {b}; {c}")).contains("buy: council"), "{when}");
        // Where it never comes, people decide.
        assert!(decided(&format!("{a}; {b}; ok c {{}}")).contains("HIL_REVIEW: council"), "{when}");
    }
}

#[test]
fn an_unknown_council_is_not_passed_by() {
    let mut draft = deciding("a; b", VoicesDraft { at_least: Some(1), ..voices(Method::Majority, &["a", "b"]) });
    draft.tasks[1].role = quorate_core::Role::Catalogue;
    draft.checkpoints[0].condition = "a.ok".to_owned();
    draft.checkpoints.insert(0, CheckpointDraft::new(vec!["a".into()], "doubtful", ThenDraft::Grow(vec!["b".into()])));
    draft.otherwise = Some("AUTO_RESOLVE".into());
    let told = Story::new(draft).play(r#"ok a {"doubtful": false}"#);
    assert!(told.contains(r#"decided: HIL_REVIEW Unknown { checkpoint: "council", behind: "otherwise" }"#), "{told}");
}

#[test]
fn what_nobody_agreed_on_is_never_resolved_by_itself() {
    let resolve = || Some("AUTO_RESOLVE".to_owned());
    let ab = || voices(Method::Majority, &["a", "b"]);
    for voices in [
        VoicesDraft { insufficient: resolve(), ..ab() },
        VoicesDraft { undecided: resolve(), ..ab() },
        VoicesDraft { vetoed: resolve(), ..ab() },
    ] {
        let problems = Plan::compile(&deciding("a; b", voices)).unwrap_err();
        assert!(problems[0].code == "P003" && problems[0].message.contains("never resolved by itself"), "{problems:?}");
    }
}
