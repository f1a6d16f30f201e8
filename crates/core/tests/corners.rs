//! Corners: what is easily got wrong where two features meet.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod story;

use insta::assert_snapshot;
use quorate_core::draft::{
    ApprovalDraft, CheckpointDraft, Expiry, ForEachDraft, JoinDraft, Level, Needs, OnLate, RepeatDraft, RetryDraft, TaskDraft, ThenDraft,
    WaitDraft, WorkDraft,
};
use quorate_core::{Draft, Effect, Millis, Plan, Role};
use story::{Story, plan};

fn task<'d>(draft: &'d mut Draft, id: &str) -> &'d mut TaskDraft {
    draft.tasks.iter_mut().find(|task| task.id == id).unwrap()
}

fn checkpoint(after: &[&str], condition: &str, then: ThenDraft) -> CheckpointDraft {
    let after = after.iter().map(|id| (*id).to_owned()).collect();
    CheckpointDraft::new(after, condition, then)
}

fn decide(action: &str) -> ThenDraft {
    ThenDraft::Decide(action.into())
}

fn joined(needs: Needs, race: bool) -> Option<JoinDraft> {
    Some(JoinDraft { needs, race, ..JoinDraft::default() })
}

fn again(from: &str, condition: &str, max: u32) -> Option<RepeatDraft> {
    Some(RepeatDraft { from: from.into(), while_: condition.into(), max })
}

fn asking(levels: Vec<Level>) -> WorkDraft {
    WorkDraft::Approval(ApprovalDraft { question: "Go?".into(), levels, ..ApprovalDraft::default() })
}

fn group(name: &str, at_least: u32) -> Level {
    Level { groups: vec![name.into()], at_least: Some(at_least), ..Level::default() }
}

/// `charge`, which `refund` undoes.
fn charging(text: &str) -> Draft {
    let mut draft = plan(&format!("{text}; refund"));
    task(&mut draft, "charge").compensate = Some("refund".into());
    task(&mut draft, "refund").role = Role::Compensation;
    draft
}

fn play(draft: &Draft, script: &str) -> String {
    Story::new(draft.clone()).effect(Effect::Idempotent).play(script)
}

#[test]
fn a_race_that_is_won_without_rivals_is_over_also_after_a_restart() {
    let mut draft = plan("s; a < s; b < s; first < a b");
    task(&mut draft, "first").join = joined(Needs::AtLeast(2), true);
    task(&mut draft, "first").repeat = again("s", "always", 2);
    // Every step is decided by the run and by one that was loaded just before; see the story.
    assert_snapshot!(play(&draft, "ok s; ok a; ok b; ok first; ok s#2; restart; ok a#2; ok b#2; ok first#2"), @"
    0 run of story starts
    0 s starts #1
    0 s succeeds #1
    0 a starts #1
    0 b starts #1
    0 a succeeds #1
    0 b succeeds #1
    0 first starts #1
    0 first succeeds #1
    0 first repeated
    0 s#2 starts #1
    0 s#2 succeeds #1
    0 a#2 starts #1
    0 b#2 starts #1
    0 a#2 attempt_interrupted
    0 b#2 attempt_interrupted
    0 a#2 starts #2
    0 b#2 starts #2
    0 a#2 succeeds #2
    0 b#2 succeeds #2
    0 first#2 starts #1
    0 first#2 succeeds #1
    0 first#2 repeat_ended
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn what_grows_is_seen_to_before_the_next_checkpoint_is_looked_at() {
    let mut draft = plan("a; e < a g; g");
    task(&mut draft, "g").role = Role::Catalogue;
    task(&mut draft, "e").join = joined(Needs::Any, true);
    let grow = checkpoint(&["a"], "always", ThenDraft::Grow(vec!["g".into()]));
    draft.checkpoints = vec![grow, checkpoint(&["a"], "always", decide("HOLD"))];
    assert_snapshot!(play(&draft, "ok a"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 Checkpoint { id: "checkpoint-1", operands: [] } adds ["g"]
    0 e race_won
    0 decided: HOLD Checkpoint("checkpoint-2")
    0 concluded: Decided
    0 run ends succeeded []
    "#);
}

#[test]
fn a_checkpoint_that_was_looked_at_is_not_looked_at_again_after_a_restart() {
    let mut draft = plan("k; x; e < x; z");
    task(&mut draft, "e").repeat = again("x", "always", 2);
    draft.checkpoints = vec![checkpoint(&["k"], "not defined(x.score)", decide("REJECTED"))];
    assert_snapshot!(play(&draft, "ok x {\"score\": 1}; ok k; ok e; at 5"), @"
    0 run of story starts
    0 k starts #1
    0 x starts #1
    0 z starts #1
    0 x succeeds #1
    0 e starts #1
    0 k succeeds #1
    0 e succeeds #1
    0 e repeated
    0 x#2 starts #1
    ");
}

#[test]
fn what_is_unknown_is_not_passed_by_on_the_way_to_otherwise() {
    let mut draft = plan("rules");
    draft.checkpoints = vec![checkpoint(&["rules"], "fraud > 0.8", decide("ESCALATE"))];
    draft.otherwise = Some("AUTO_RESOLVE".into());
    assert_snapshot!(play(&draft, "ok rules {\"note\": 1}"), @r#"
    0 run of story starts
    0 rules starts #1
    0 rules succeeds #1
    0 decided: HIL_REVIEW Unknown { checkpoint: "checkpoint-1", behind: "otherwise" }
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: What is to be done? The decision is left to people.
    0 concluded: Decided
    "#);
    assert_snapshot!(play(&draft, "ok rules {\"fraud\": 0.1}"), @"
    0 run of story starts
    0 rules starts #1
    0 rules succeeds #1
    0 decided: AUTO_RESOLVE Otherwise
    0 concluded: Decided
    0 run ends succeeded []
    ");
    draft.on_unknown = Some("AUTO_RESOLVE".into());
    assert_snapshot!(Plan::compile(&draft).unwrap_err()[0].to_string(), @"on_unknown: what is unknown is never resolved by itself [P003]; leave it out for HIL_REVIEW, or name another action");
}

#[test]
fn what_an_agent_leaves_out_is_not_taken_from_the_caller() {
    let mut draft = plan("rules");
    draft.checkpoints = vec![checkpoint(&["rules"], "within_tolerance and confidence > 0.9", decide("AUTO_RESOLVE"))];
    let input = r#"{"within_tolerance": true, "confidence": 1}"#;
    for answer in [r#"{"note": 1}"#, r#""sorry, I cannot""#, "null"] {
        let told = Story::new(draft.clone()).input(input).play(&format!("ok rules {answer}"));
        assert!(told.contains("decided: HIL_REVIEW"), "{told}");
    }
    // An impossible confidence is none, wherever it stands.
    draft.checkpoints = vec![checkpoint(&["rules"], "input.confidence > 0.9", decide("AUTO_RESOLVE"))];
    let told = Story::new(draft).input(r#"{"confidence": 1000000000000}"#).play("ok rules {}");
    assert!(told.contains("decided: HIL_REVIEW"), "{told}");
}

#[test]
fn nothing_is_resolved_when_a_check_that_must_not_fail_fails() {
    let mut draft = plan("rules; fraud");
    draft.checkpoints = vec![checkpoint(&["rules", "fraud"], "rules.within_tolerance", decide("AUTO_RESOLVE"))];
    assert_snapshot!(play(&draft, "ok rules {\"within_tolerance\": true}; fail fraud refused"), @"
    0 run of story starts
    0 rules starts #1
    0 fraud starts #1
    0 rules succeeds #1
    0 fraud fails #1: refused
    0 concluded: Failed(fraud)
    0 run ends failed [fraud]
    ");
}

#[test]
fn a_decision_for_people_asks_people() {
    let mut draft = plan("a");
    draft.decides = true;
    assert_snapshot!(play(&draft, "ok a; answer review ann approve"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 decided: HIL_REVIEW Otherwise
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: What is to be done? The decision is left to people.
    0 concluded: Decided
    0 ann answers review: approve (Accepted)
    0 run ends succeeded []
    "#);
    assert_snapshot!(play(&draft, "ok a; cancel"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 decided: HIL_REVIEW Otherwise
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: What is to be done? The decision is left to people.
    0 concluded: Decided
    0 starter cancels: changed my mind (rollback: false)
    0 run ends cancelled []
    "#);
}

#[test]
fn a_final_task_waits_for_the_review_that_it_depends_on() {
    let mut draft = plan("a; slow; tell < review; review");
    task(&mut draft, "review").role = Role::Review;
    task(&mut draft, "review").work = asking(Vec::new());
    task(&mut draft, "tell").role = Role::Finally;
    draft.reviews = vec![("HIL_REVIEW".into(), "review".into())];
    draft.checkpoints = vec![checkpoint(&["a"], "always", decide("HIL_REVIEW"))];
    assert_snapshot!(play(&draft, "ok a; answer review ann approve; ok tell"), @r#"
    0 run of story starts
    0 a starts #1
    0 slow starts #1
    0 a succeeds #1
    0 decided: HIL_REVIEW Checkpoint("checkpoint-1")
    0 Decision("HIL_REVIEW") adds ["review"]
    0 concluded: Decided
    0 review asks: Go?
    0 ann answers review: approve (Accepted)
    0 tell starts #1
    0 tell succeeds #1
    0 run ends succeeded []
    "#);
}

#[test]
fn joins_wait_for_what_grows() {
    let mut draft = plan("a; extra < a; end < a extra");
    task(&mut draft, "extra").role = Role::Catalogue;
    task(&mut draft, "end").join = joined(Needs::Settled, false);
    draft.checkpoints = vec![checkpoint(&["a"], "always", ThenDraft::Grow(vec!["extra".into()]))];
    assert_snapshot!(play(&draft, "ok a; ok extra; ok end"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 Checkpoint { id: "checkpoint-1", operands: [] } adds ["extra"]
    0 extra starts #1
    0 extra succeeds #1
    0 end starts #1
    0 end succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    "#);
    draft.checkpoints.clear();
    task(&mut draft, "a").may_grow = vec!["extra".into()];
    assert_snapshot!(play(&draft, "grow a extra; ok extra; ok end"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 Task(a) adds ["extra"]
    0 extra starts #1
    0 extra succeeds #1
    0 end starts #1
    0 end succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    "#);
    assert_snapshot!(play(&draft, "ok a; ok end"), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 end starts #1
    0 end succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_task_that_grows_late_still_counts_the_time() {
    let mut draft = plan("a; slow; j < slow");
    task(&mut draft, "j").role = Role::Catalogue;
    task(&mut draft, "j").join = Some(JoinDraft { within: Some(Millis(100)), on_late: OnLate::Proceed, ..JoinDraft::default() });
    draft.checkpoints = vec![checkpoint(&["a"], "always", ThenDraft::Grow(vec!["j".into()]))];
    assert_snapshot!(play(&draft, "at 50; ok a; at 1000; ok j; ok slow"), @r#"
       0 run of story starts
       0 a starts #1
       0 slow starts #1
      50 a succeeds #1
      50 Checkpoint { id: "checkpoint-1", operands: [] } adds ["j"]
    1000 j join_late
    1000 j starts #1
    1000 j succeeds #1
    1000 slow succeeds #1
    1000 concluded: Finished
    1000 run ends succeeded []
    "#);
}

#[test]
fn asking_more_people_does_not_lower_what_was_needed() {
    let mut draft = plan("pay");
    let first = Level { within: Some(Millis(100)), ..group("leads", 2) };
    task(&mut draft, "pay").work = asking(vec![first, group("bosses", 1)]);
    assert_snapshot!(play(&draft, "at 100; answer pay ann approve; answer pay bob approve"), @"
      0 run of story starts
      0 pay asks: Go?
    100 pay escalated
    100 ann answers pay: approve (Counted)
    100 bob answers pay: approve (Accepted)
    100 concluded: Finished
    100 run ends succeeded []
    ");
    assert_snapshot!(play(&draft, "at 100; answer pay ann approve; answer pay max approve"), @"
      0 run of story starts
      0 pay asks: Go?
    100 pay escalated
    100 ann answers pay: approve (Counted)
    100 max answers pay: approve (Accepted)
    100 concluded: Finished
    100 run ends succeeded []
    ");
}

#[test]
fn who_hands_a_question_on_gives_it_away() {
    let mut draft = plan("pay");
    task(&mut draft, "pay").work = asking(vec![group("leads", 2)]);
    assert_snapshot!(play(&draft, "delegate pay ann eve; answer pay ann approve; delegate pay ann dan; answer pay eve approve; \
                                   delegate pay eve dan; answer pay bob reject"), @"
      0 run of story starts
      0 pay asks: Go?
      0 pay delegated
    refused: ann may not answer `pay`: they handed it on to eve
    refused: ann may not answer `pay`: they handed it on to eve
      0 eve answers pay: approve (Counted)
    refused: eve may not answer `pay`: they have answered already
      0 bob answers pay: reject (Rejected)
      0 concluded: Failed(pay)
      0 run ends failed [pay]
    ");
}

#[test]
fn people_may_change_their_minds_while_a_question_is_open() {
    let mut draft = plan("pay");
    let choices = ["now", "later"].map(|name| quorate_core::draft::Choice { name: name.into(), rejects: false, needs_note: false });
    let approval =
        ApprovalDraft { question: "When?".into(), levels: vec![group("leads", 2)], choices: choices.to_vec(), ..ApprovalDraft::default() };
    task(&mut draft, "pay").work = WorkDraft::Approval(approval);
    assert_snapshot!(play(&draft, "answer pay ann now; answer pay bob later; answer pay bob now"), @"
      0 run of story starts
      0 pay asks: When?
      0 ann answers pay: now (Counted)
      0 bob answers pay: later (Counted)
    refused: bob has answered `pay` already; others have to agree, or they may still reject
    ");
}

#[test]
fn nobody_agrees_twice_and_whoever_agreed_may_still_reject() {
    let mut draft = plan("pay");
    task(&mut draft, "pay").work = asking(vec![group("leads", 2)]);
    assert_snapshot!(play(&draft, "answer pay ann approve; answer pay ann approve; answer pay ann reject"), @"
      0 run of story starts
      0 pay asks: Go?
      0 ann answers pay: approve (Counted)
    refused: ann has answered `pay` already; others have to agree, or they may still reject
      0 ann answers pay: reject (Rejected)
      0 concluded: Failed(pay)
      0 run ends failed [pay]
    ");
}

#[test]
fn who_proposed_does_not_approve_in_whatever_way_they_proposed() {
    let mut draft = plan("propose; approve < propose");
    task(&mut draft, "propose").work = asking(vec![group("leads", 1)]);
    task(&mut draft, "propose").for_each = Some(ForEachDraft { items: "input.list".into(), max_parallel: None, keep_going: false });
    let approval = ApprovalDraft { question: "Go?".into(), not_by: vec!["propose".into()], ..ApprovalDraft::default() };
    task(&mut draft, "approve").work = WorkDraft::Approval(approval);
    let script = "delegate propose[0] ann dan; answer propose[0] dan approve; answer propose[1] bob approve; \
                  answer approve ann approve; answer approve bob approve; answer approve dan approve; answer approve eve approve";
    assert_snapshot!(Story::new(draft).input(r#"{"list": [1, 2]}"#).play(script), @"
      0 run of story starts
      0 propose mapped
      0 propose[0] asks: Go?
      0 propose[1] asks: Go?
      0 propose[0] delegated
      0 dan answers propose[0]: approve (Accepted)
      0 bob answers propose[1]: approve (Accepted)
      0 propose gathered
      0 approve asks: Go?
    refused: ann may not answer `approve`: they acted in `propose`
    refused: bob may not answer `approve`: they acted in `propose`
    refused: dan may not answer `approve`: they acted in `propose`
      0 eve answers approve: approve (Accepted)
      0 concluded: Finished
      0 run ends succeeded []
    ");
}

#[test]
fn what_may_have_taken_effect_is_undone() {
    let mut draft = charging("charge");
    task(&mut draft, "charge").timeout = Some(Millis(10));
    let timed_out = play(&draft, "at 10; ok refund(charge)");
    task(&mut draft, "charge").retry = Some(RetryDraft { initial_delay: Millis(1_000), ..RetryDraft::default() });
    let retrying = play(&draft, "at 10; cancel rollback; ok refund(charge)");
    let refused = play(&charging("charge"), "fail charge refused");
    assert_snapshot!(format!("{timed_out}\n{retrying}\n{refused}"), @"
     0 run of story starts
     0 charge starts #1, until 10
    10 charge fails #1: timeout
    10 concluded: Failed(charge)
    10 refund(charge) starts #1
    10 refund(charge) succeeds #1
    10 run ends failed [charge]

     0 run of story starts
     0 charge starts #1, until 10
    10 charge fails #1: timeout, again at 1010
    10 starter cancels: changed my mind (rollback: true)
    10 concluded: Cancelled { rollback: true }
    10 refund(charge) starts #1
    10 refund(charge) succeeds #1
    10 run ends cancelled []

     0 run of story starts
     0 charge starts #1
     0 charge fails #1: refused
     0 concluded: Failed(charge)
     0 run ends failed [charge]
    ");
}

#[test]
fn items_and_losers_of_races_are_undone_as_well() {
    let mut draft = charging("charge");
    task(&mut draft, "charge").for_each = Some(ForEachDraft { items: "input.list".into(), max_parallel: None, keep_going: false });
    task(&mut draft, "refund").params = Some(serde_json::json!({"of": "{{ item.id }}", "at": "{{ index }}"}));
    let story = Story::new(draft).effect(Effect::Idempotent).input(r#"{"list": [{"id": "x"}, {"id": "y"}]}"#);
    let items = story
        .play("ok charge[0]; cancel rollback; show refund(charge[1]); ok refund(charge[1]); show refund(charge[0]); ok refund(charge[0])");
    let mut draft = charging("charge; other; first < charge other; after < first");
    task(&mut draft, "first").join = joined(Needs::Any, true);
    let loser = play(&draft, "ok other; ok first; fail after refused; ok refund(charge)");
    assert_snapshot!(format!("{items}\n{loser}"), @r#"
      0 run of story starts
      0 charge mapped
      0 charge[0] starts #1
      0 charge[1] starts #1
      0 charge[0] succeeds #1
      0 starter cancels: changed my mind (rollback: true)
      0 concluded: Cancelled { rollback: true }
      0 refund(charge[1]) starts #1
    refund(charge[1]) gets input {"id": "y"} params {"of":"y","at":1}
      0 refund(charge[1]) succeeds #1
      0 refund(charge[0]) starts #1
    refund(charge[0]) gets input {"id": "x"} params {"of":"x","at":0}
      0 refund(charge[0]) succeeds #1
      0 run ends cancelled []

      0 run of story starts
      0 charge starts #1
      0 other starts #1
      0 other succeeds #1
      0 first race_won
      0 first starts #1
      0 first succeeds #1
      0 after starts #1
      0 after fails #1: refused
      0 concluded: Failed(after)
      0 refund(charge) starts #1
      0 refund(charge) succeeds #1
      0 run ends failed [after]
    "#);
}

#[test]
fn every_turn_is_undone_with_what_it_did() {
    let mut draft = charging("charge; end < charge; fin < end");
    task(&mut draft, "end").repeat = again("charge", "always", 2);
    task(&mut draft, "refund").params = Some(serde_json::json!({"tx": "{{ charge.tx }}"}));
    let script = "ok charge {\"tx\": 1}; ok end; ok charge#2 {\"tx\": 2}; ok end#2; fail fin refused; show refund(charge#2); \
                  ok refund(charge#2); show refund(charge); ok refund(charge)";
    assert_snapshot!(play(&draft, script), @r#"
      0 run of story starts
      0 charge starts #1
      0 charge succeeds #1
      0 end starts #1
      0 end succeeds #1
      0 end repeated
      0 charge#2 starts #1
      0 charge#2 succeeds #1
      0 end#2 starts #1
      0 end#2 succeeds #1
      0 end#2 repeat_ended
      0 fin starts #1
      0 fin fails #1: refused
      0 concluded: Failed(fin)
      0 refund(charge#2) starts #1
    refund(charge#2) gets input null params {"tx":2}
      0 refund(charge#2) succeeds #1
      0 refund(charge) starts #1
    refund(charge) gets input null params {"tx":1}
      0 refund(charge) succeeds #1
      0 run ends failed [fin]
    "#);
}

#[test]
fn a_compensation_may_have_a_condition() {
    let mut draft = charging("charge; fin < charge");
    task(&mut draft, "refund").when = Some("charge.paid".into());
    assert_snapshot!(play(&draft, "ok charge {\"paid\": false}; fail fin refused"), @"
    0 run of story starts
    0 charge starts #1
    0 charge succeeds #1
    0 fin starts #1
    0 fin fails #1: refused
    0 concluded: Failed(fin)
    0 refund(charge) is skipped: `charge.paid` does not hold: charge.paid is false
    0 run ends failed [fin]
    ");
}

#[test]
fn what_fails_in_the_end_is_undone() {
    let mut draft = charging("charge; ship < charge");
    draft.continue_on_failure = true;
    let carried_on = play(&draft, "ok charge; fail ship refused; ok refund(charge)");
    let mut draft = charging("charge; review");
    task(&mut draft, "review").role = Role::Review;
    let choices =
        ["fine", "wrong"].map(|name| quorate_core::draft::Choice { name: name.into(), rejects: name == "wrong", needs_note: false });
    task(&mut draft, "review").work =
        WorkDraft::Approval(ApprovalDraft { question: "Fine?".into(), choices: choices.to_vec(), ..ApprovalDraft::default() });
    draft.reviews = vec![("HIL_REVIEW".into(), "review".into()), ("ESCALATE".into(), "review".into())];
    draft.decides = true;
    let rejected = play(&draft, "ok charge; answer review ann wrong; ok refund(charge)");
    let cancelled = play(&draft, "ok charge; cancel rollback; ok refund(charge)");
    let approved = play(&draft, "ok charge; answer review ann fine");
    assert_snapshot!(format!("{carried_on}\n{rejected}\n{cancelled}\n{approved}"), @r#"
    0 run of story starts
    0 charge starts #1
    0 charge succeeds #1
    0 ship starts #1
    0 ship fails #1: refused
    0 concluded: Finished
    0 refund(charge) starts #1
    0 refund(charge) succeeds #1
    0 run ends failed [ship]

    0 run of story starts
    0 charge starts #1
    0 charge succeeds #1
    0 decided: HIL_REVIEW Otherwise
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: Fine?
    0 concluded: Decided
    0 ann answers review: wrong (Rejected)
    0 refund(charge) starts #1
    0 refund(charge) succeeds #1
    0 run ends failed [review]

    0 run of story starts
    0 charge starts #1
    0 charge succeeds #1
    0 decided: HIL_REVIEW Otherwise
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: Fine?
    0 concluded: Decided
    0 starter cancels: changed my mind (rollback: true)
    0 refund(charge) starts #1
    0 refund(charge) succeeds #1
    0 run ends cancelled []

    0 run of story starts
    0 charge starts #1
    0 charge succeeds #1
    0 decided: HIL_REVIEW Otherwise
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: Fine?
    0 concluded: Decided
    0 ann answers review: fine (Accepted)
    0 run ends succeeded []
    "#);
}

#[test]
fn what_was_never_added_does_not_run_again() {
    let mut draft = plan("a; extra < a; end < a extra");
    task(&mut draft, "extra").role = Role::Catalogue;
    task(&mut draft, "a").may_grow = vec!["extra".into()];
    task(&mut draft, "end").join = joined(Needs::Settled, false);
    task(&mut draft, "end").repeat = again("a", "always", 2);
    assert_snapshot!(play(&draft, "ok a; ok end; ok a#2; ok end#2"), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 end starts #1
    0 end succeeds #1
    0 end repeated
    0 a#2 starts #1
    0 a#2 succeeds #1
    0 end#2 starts #1
    0 end#2 succeeds #1
    0 end#2 repeat_ended
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_failure_that_no_join_judged_counts() {
    let mut draft = plan("a; b; j < a");
    task(&mut draft, "j").role = Role::Catalogue;
    task(&mut draft, "j").join = joined(Needs::Any, false);
    task(&mut draft, "b").may_grow = vec!["j".into()];
    let never_added = play(&draft, "fail a refused; ok b");
    let mut draft = plan("a; b; j < a b");
    let within = Some(Millis(100));
    task(&mut draft, "j").join = Some(JoinDraft { needs: Needs::Any, within, on_late: OnLate::Skip, ..JoinDraft::default() });
    let late = play(&draft, "fail a refused; at 100; ok b");
    assert_snapshot!(format!("{never_added}\n{late}"), @"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 a fails #1: refused
      0 b succeeds #1
      0 concluded: Finished
      0 run ends failed [a]

      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 a fails #1: refused
    100 j is skipped: its dependencies were late
    100 b succeeds #1
    100 concluded: Finished
    100 run ends failed [a]
    ");
}

#[test]
fn a_repeat_that_is_unknown_ends_and_says_so() {
    let mut draft = plan("a");
    task(&mut draft, "a").repeat = again("a", "score > 3", 5);
    let told = Story::new(draft).play("ok a {\"note\": 1}; show journal");
    assert!(told.contains(r#""repeat_ended":{"task":"a","iterations":1,"exhausted":false,"operands":[{"name":"score","value":"is missing","unknown":true}],"unknown":true}"#), "{told}");
}

#[test]
fn fields_that_would_mean_nothing_are_refused() {
    let mut draft = plan("ask; hear; last");
    task(&mut draft, "ask").work = asking(Vec::new());
    task(&mut draft, "ask").timeout = Some(Millis(5));
    task(&mut draft, "hear").work = WorkDraft::Wait(WaitDraft { signal: Some("go".into()), ..WaitDraft::default() });
    task(&mut draft, "hear").timeout = Some(Millis(5));
    task(&mut draft, "hear").retry = Some(RetryDraft::default());
    task(&mut draft, "last").role = Role::Finally;
    task(&mut draft, "last").repeat = again("last", "always", 2);
    let said: Vec<String> = Plan::compile(&draft).unwrap_err().iter().map(ToString::to_string).collect();
    assert_snapshot!(said.join("\n"), @"
    tasks.ask.timeout: only an agent or a workflow runs out of time [P020]; give the approval a `within`
    tasks.hear.timeout: only an agent or a workflow runs out of time [P020]; give the wait `for` or `until`
    tasks.hear.retry: only an agent or a workflow is tried again [P020]
    tasks.last.repeat: only what belongs to the main part runs again [P019]
    ");
}

#[test]
fn nobody_answers_for_the_one_who_asks_when_time_is_up() {
    let mut draft = plan("pay");
    let level = Level { within: Some(Millis(100)), ..group("leads", 2) };
    let approval = ApprovalDraft {
        question: "Go?".into(),
        levels: vec![level],
        on_expiry: Expiry::Choose("approve".into()),
        ..ApprovalDraft::default()
    };
    task(&mut draft, "pay").work = WorkDraft::Approval(approval);
    assert_snapshot!(play(&draft, "answer pay ann approve; at 100"), @"
      0 run of story starts
      0 pay asks: Go?
      0 ann answers pay: approve (Counted)
    100 (nobody) answers pay: approve (Accepted)
    100 concluded: Finished
    100 run ends succeeded []
    ");
}

#[test]
fn a_task_is_asked_how_it_stands_where_that_is_wanted_and_is_what_it_returned_elsewhere() {
    let mut draft = plan("a; b < a; c < a");
    task(&mut draft, "a").for_each = Some(ForEachDraft { items: "input.list".into(), max_parallel: None, keep_going: false });
    task(&mut draft, "b").when = Some("a and length(a) > 1".into());
    task(&mut draft, "b").params = Some(serde_json::json!({"done": "{{ completed(a) }}", "all": "{{ a }}", "many": "{{ length(a) }}"}));
    task(&mut draft, "c").when = Some("not a".into());
    let told = Story::new(draft).input(r#"{"list": [1, 2]}"#).play("ok a[0] 10; ok a[1] 20; show b");
    assert_snapshot!(told, @r#"
      0 run of story starts
      0 a mapped
      0 a[0] starts #1
      0 a[1] starts #1
      0 a[0] succeeds #1
      0 a[1] succeeds #1
      0 a gathered
      0 b may run: completed(a) is true, a is [10, 20]
      0 c is skipped: `not a` does not hold: completed(a) is true
      0 b starts #1
    b gets input {"list": [1, 2]} params {"done":true,"all":[10,20],"many":2}
    "#);
}

#[test]
fn a_plan_of_one_task_at_a_time_that_asks_somebody_waits() {
    let mut draft = plan("ask; next");
    draft.one_at_a_time = true;
    task(&mut draft, "ask").work = asking(Vec::new());
    assert_snapshot!(Story::new(draft).play("show status; answer ask ann approve; show status"), @"
      0 run of story starts
      0 ask asks: Go?
    the run is waiting
      0 ann answers ask: approve (Accepted)
      0 next starts #1
    the run is running
    ");
}

#[test]
fn a_condition_that_can_never_hold_is_a_warning() {
    let mut draft = plan("a; b < a");
    task(&mut draft, "a").output =
        serde_json::from_str(r#"{"object": [{"name": "score", "type": {"number": {"min": "0", "max": "1"}}}]}"#).unwrap();
    task(&mut draft, "b").when = Some("a.score > 2".into());
    let warnings: Vec<String> = Plan::compile(&draft).unwrap().warnings().iter().map(ToString::to_string).collect();
    assert_snapshot!(warnings.join("\n"), @"tasks.b.when: `a.score > 2` can never hold [X044]; the value is declared as a number from 0 to 1");
    task(&mut draft, "b").when = Some("['x', 'y'] contains 5".into());
    assert_snapshot!(Plan::compile(&draft).unwrap_err()[0].to_string(), @"tasks.b.when: this list holds one of x, y, and never the number 5 [X042]");
}

#[test]
fn one_at_a_time_a_task_reads_what_came_before_it_in_the_file() {
    let mut draft = plan("a; b; c");
    draft.one_at_a_time = true;
    task(&mut draft, "c").params = Some(serde_json::json!({ "both": "{{ a }}{{ b }}" }));
    assert_snapshot!(play(&draft, "ok a 1; ok b 2; ok c 3"), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 b starts #1
    0 b succeeds #1
    0 c starts #1
    0 c succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
    task(&mut draft, "a").params = Some(serde_json::json!({ "later": "{{ c }}" }));
    assert_eq!(Plan::compile(&draft).unwrap_err()[0].code, "X034");
}
