//! What would have had to be otherwise for another decision.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod story;

use insta::assert_snapshot;
use quorate_core::draft::{CheckpointDraft, Method, RowDraft, ThenDraft, VoiceDraft, VoicesDraft};
use quorate_core::{Draft, Role};
use story::{Story, plan};

/// Document 000, example 3: rules first, and more agents only if the rules do not settle it.
fn expanding() -> Draft {
    let mut draft = plan("N1; N2 < N1; N3 < N2; N4; N5; N6 < N4 N5");
    for task in &mut draft.tasks[3..] {
        task.role = Role::Catalogue;
    }
    let n3 = || vec!["N3".to_owned()];
    let more = ["N4", "N5", "N6"].map(str::to_owned).to_vec();
    draft.checkpoints = vec![
        CheckpointDraft::new(n3(), "within_tolerance and confidence > 0.85", ThenDraft::Decide("AUTO_RESOLVE".into())).called("rules"),
        CheckpointDraft::new(n3(), "rules_failed or confidence < 0.85", ThenDraft::Grow(more)).called("phase_2"),
        CheckpointDraft::new(vec!["N6".into()], "always", ThenDraft::Follow("N6".into())).called("decided"),
    ];
    draft
}

fn nearest(draft: Draft, script: &str) -> String {
    let told = Story::new(draft).play(&format!("{script}; show nearest"));
    told.lines().filter(|line| !line.trim_start().starts_with(|letter: char| letter.is_ascii_digit())).collect::<Vec<_>>().join("\n")
}

fn rules(json: &str) -> String {
    nearest(expanding(), &format!("ok N1; ok N2; ok N3 {json}"))
}

#[test]
fn a_decision_says_how_near_the_others_were() {
    // Exactly on the border nothing decides, and one digit more or less would have been enough.
    assert_snapshot!(rules(r#"{"within_tolerance": true, "rules_failed": false, "confidence": 0.85}"#), @"
    HIL_REVIEW: nothing else decided
    AUTO_RESOLVE (rules): confidence is 0.85, needs more than 0.85
    it would have gone on (phase_2): confidence is 0.85, needs less than 0.85
    ");
    assert_snapshot!(rules(r#"{"within_tolerance": true, "rules_failed": false, "confidence": 0.97}"#), @"
    AUTO_RESOLVE: rules holds
    HIL_REVIEW (rules): confidence is 0.97, needs at most 0.85
    it would have gone on (phase_2): confidence is 0.97, needs less than 0.85
    ");
    // What is missing would have had to be there.
    assert_snapshot!(rules(r#"{"within_tolerance": true, "rules_failed": false}"#), @"
    HIL_REVIEW: rules is unknown, and nothing else decided
    AUTO_RESOLVE (rules): confidence is missing, needs more than 0.85
    ");
}

#[test]
fn a_way_that_another_rule_would_bar_is_not_told() {
    let after = || vec!["a".to_owned()];
    let mut draft = plan("a");
    draft.checkpoints = vec![
        CheckpointDraft::new(after(), "blocked", ThenDraft::Decide("REJECTED".into())).called("barred"),
        CheckpointDraft::new(after(), "score >= 7", ThenDraft::Decide("AUTO_RESOLVE".into())).called("good"),
    ];
    assert_snapshot!(nearest(draft.clone(), r#"ok a {"blocked": false, "score": 6}"#), @"
    HIL_REVIEW: nothing else decided
    REJECTED (barred): blocked is false, needs to be true
    AUTO_RESOLVE (good): score is 6, needs at least 7
    ");
    assert_snapshot!(nearest(draft, r#"ok a {"blocked": true, "score": 6}"#), @"
    REJECTED: barred holds
    HIL_REVIEW (barred): blocked is true, needs to be false
    ");
}

#[test]
fn what_voices_came_to_says_how_near_the_others_were() {
    let voice = |task: &str| VoiceDraft { task: task.to_owned(), says: Some("number".into()), ..VoiceDraft::default() };
    let row = |when: Option<&str>, then: &str| RowDraft { when: when.map(str::to_owned), then: then.to_owned() };
    let voices = VoicesDraft {
        by: Method::Weighted,
        of: vec![voice("a"), voice("b")],
        at_least: None,
        actions: vec![row(Some("score >= 0.7"), "buy"), row(Some("score < 0.3"), "sell"), row(None, "hold")],
        choices: Vec::new(),
        insufficient: None,
        undecided: None,
        vetoed: None,
    };
    let draft = Draft {
        checkpoints: vec![CheckpointDraft::new(Vec::new(), "always", ThenDraft::Voices(voices)).called("council")],
        ..plan("a; b")
    };
    assert_snapshot!(nearest(draft, r#"ok a {"number": 0.8}; ok b {"number": 0.5}"#), @"
    hold: council: the weighted mean is 0.65
    buy (council): score is 0.65, needs at least 0.7
    sell (council): score is 0.65, needs less than 0.3
    ");
}
