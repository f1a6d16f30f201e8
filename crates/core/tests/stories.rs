//! How runs behave, as stories: a plan, a script of what happens, and the journal that comes of it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

mod story;

use insta::assert_snapshot;
use quorate_core::draft::{
    ApprovalDraft, BudgetDraft, CheckpointDraft, Expiry, ForEachDraft, JoinDraft, Level, Needs, OnLate, RepeatDraft, RetryDraft, Role,
    ThenDraft, WaitDraft, WorkDraft,
};
use quorate_core::{Effect, FailureClass, Millis};
use serde_json::json;
use story::{Story, plan};

fn join(needs: Needs) -> JoinDraft {
    JoinDraft { needs, ..JoinDraft::default() }
}

#[test]
fn a_chain_runs_in_order_and_returns_what_its_last_task_returned() {
    assert_snapshot!(Story::new(plan("a; b < a")).play("ok a; ok b 7"), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 b starts #1
    0 b succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_task_starts_the_moment_its_join_is_satisfied() {
    // `slow` does not hold up what depends on `quick` alone.
    assert_snapshot!(Story::new(plan("quick; slow; next < quick; last < next slow")).play("ok quick; ok next; ok slow; ok last"), @"
    0 run of story starts
    0 quick starts #1
    0 slow starts #1
    0 quick succeeds #1
    0 next starts #1
    0 next succeeds #1
    0 slow succeeds #1
    0 last starts #1
    0 last succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn the_more_urgent_task_goes_first_and_the_limit_holds() {
    let mut draft = plan("low; high; middle; other");
    draft.max_parallel = Some(2);
    for (ix, priority) in [1, 10, 5, 5].into_iter().enumerate() {
        draft.tasks[ix].priority = Some(priority);
    }
    assert_snapshot!(Story::new(draft).play("ok middle; ok high; ok other; ok low"), @"
    0 run of story starts
    0 high starts #1
    0 middle starts #1
    0 middle succeeds #1
    0 other starts #1
    0 high succeeds #1
    0 low starts #1
    0 other succeeds #1
    0 low succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn one_task_at_a_time_follows_the_file_even_past_a_question() {
    let mut draft = plan("a; ask; b");
    draft.one_at_a_time = true;
    draft.tasks[1].work = WorkDraft::Approval(ApprovalDraft { question: "Go on?".into(), ..ApprovalDraft::default() });
    assert_snapshot!(Story::new(draft).play("ok a; answer ask ann approve; ok b"), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 ask asks: Go on?
    0 ann answers ask: approve (Accepted)
    0 b starts #1
    0 b succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_task_whose_agent_failed_goes_to_another_one_before_its_retries_are_counted() {
    let mut draft = plan("a");
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 1, ..RetryDraft::default() });
    let script = "fail a unavailable; fail a timeout; fail a internal; fail a rate_limited; at 1000; fail a internal; ok a 1";
    assert_snapshot!(Story::new(draft.clone()).others(1).play(script), @"
       0 run of story starts
       0 a starts #1
       0 a fails #1: unavailable, goes elsewhere
       0 a starts #2
       0 a fails #2: timeout, goes elsewhere
       0 a starts #3
       0 a fails #3: internal, goes elsewhere
       0 a starts #4
       0 a fails #4: rate_limited, again at 1000
    1000 a retry_due
    1000 a starts #5
    1000 a fails #5: internal, goes elsewhere
    1000 a starts #6
    1000 a succeeds #6
    1000 concluded: Finished
    1000 run ends succeeded []
    ");
    // What does not fit, or is refused, is no better anywhere else.
    assert_snapshot!(Story::new(draft).others(1).play("fail a invalid"), @"
    0 run of story starts
    0 a starts #1
    0 a fails #1: invalid
    0 concluded: Failed(a)
    0 run ends failed [a]
    ");
}

#[test]
fn what_must_not_be_done_twice_goes_elsewhere_only_where_nobody_was_reached() {
    let once = |script: &str| Story::new(plan("a")).effect(Effect::Once).others(3).play(script);
    assert_snapshot!(once("unreached a; fail a rate_limited; ok a"), @"
    0 run of story starts
    0 a starts #1
    0 a fails #1: unavailable, goes elsewhere
    0 a starts #2
    0 a fails #2: rate_limited, goes elsewhere
    0 a starts #3
    0 a succeeds #3
    0 concluded: Finished
    0 run ends succeeded []
    ");
    assert_snapshot!(once("unreached a; fail a timeout; answer a ann failed"), @"
    0 run of story starts
    0 a starts #1
    0 a fails #1: unavailable, goes elsewhere
    0 a starts #2
    0 a #2: nobody knows: boom
    0 ann answers a: failed (Rejected)
    0 concluded: Failed(a)
    0 run ends failed [a]
    ");
}

#[test]
fn a_task_that_nobody_takes_for_now_is_tried_again_as_if_it_had_failed() {
    let mut draft = plan("a");
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 2, ..RetryDraft::default() });
    assert_snapshot!(Story::new(draft.clone()).play("fail a unavailable; away; at 1000; away; at 3000; ok a"), @"
       0 run of story starts
       0 a starts #1
       0 a fails #1: unavailable, again at 1000
    1000 a retry_due
    1000 a is turned away: unavailable, again at 3000
    3000 a retry_due
    3000 a starts #2
    3000 a succeeds #2
    3000 concluded: Finished
    3000 run ends succeeded []
    ");
    // Retries come to an end, whether somebody was called or not.
    assert_snapshot!(Story::new(draft).play("fail a unavailable; away; at 1000; at 3000"), @"
       0 run of story starts
       0 a starts #1
       0 a fails #1: unavailable, again at 1000
    1000 a retry_due
    1000 a is turned away: unavailable, again at 3000
    3000 a retry_due
    3000 a fails: unavailable: all are left alone
    3000 concluded: Failed(a)
    3000 run ends failed [a]
    ");
    assert_snapshot!(Story::new(plan("a; b < a")).play("away; ok a"), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 b fails: unavailable: all are left alone
    0 concluded: Failed(b)
    0 run ends failed [b]
    ");
}

#[test]
fn a_retry_waits_out_its_backoff_and_its_attempts_never_overlap() {
    let mut draft = plan("a");
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 5, max_delay: Millis(30_000), ..RetryDraft::default() });
    let script = "fail a unavailable; at 999; at 1000; ok a! late; fail a unavailable; at 3000; fail a internal; at 7000; \
                  fail a timeout; at 15000; fail a rate_limited; at 31000; fail a unavailable";
    assert_snapshot!(Story::new(draft).play(script), @"
        0 run of story starts
        0 a starts #1
        0 a fails #1: unavailable, again at 1000
     1000 a retry_due
     1000 a starts #2
     1000 a fails #2: unavailable, again at 3000
     3000 a retry_due
     3000 a starts #3
     3000 a fails #3: internal, again at 7000
     7000 a retry_due
     7000 a starts #4
     7000 a fails #4: timeout, again at 15000
    15000 a retry_due
    15000 a starts #5
    15000 a fails #5: rate_limited, again at 31000
    31000 a retry_due
    31000 a starts #6
    31000 a fails #6: unavailable
    31000 concluded: Failed(a)
    31000 run ends failed [a]
    ");
}

#[test]
fn what_is_invalid_or_refused_is_not_tried_again() {
    let mut draft = plan("a; b");
    draft.continue_on_failure = true;
    for task in &mut draft.tasks {
        task.retry = Some(RetryDraft::default());
    }
    assert_snapshot!(Story::new(draft).play("fail a invalid; fail b refused"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 a fails #1: invalid
    0 b fails #1: refused
    0 concluded: Finished
    0 run ends failed [a, b]
    ");
}

#[test]
fn a_timeout_ends_an_attempt_that_says_nothing() {
    let mut draft = plan("a");
    draft.tasks[0].timeout = Some(Millis(500));
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 1, ..RetryDraft::default() });
    assert_snapshot!(Story::new(draft).play("at 500; ok a! too late; at 1500; at 2000"), @"
       0 run of story starts
       0 a starts #1, until 500
     500 a fails #1: timeout, again at 1500
    1500 a retry_due
    1500 a starts #2, until 2000
    2000 a fails #2: timeout
    2000 concluded: Failed(a)
    2000 run ends failed [a]
    ");
}

#[test]
fn what_must_not_be_done_twice_becomes_a_question_when_its_outcome_is_unknown() {
    let mut draft = plan("pay; after < pay");
    draft.tasks[0].retry = Some(RetryDraft::default());
    let story = || Story::new(draft.clone()).effect(Effect::Once);
    assert_snapshot!(story().play("restart; answer pay ann succeeded; ok after"), @"
    0 run of story starts
    0 pay starts #1
    0 pay #1: nobody knows: the engine stopped while it was under way
    0 ann answers pay: succeeded (Accepted)
    0 after starts #1
    0 after succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
    assert_snapshot!(story().play("fail pay timeout; answer pay ann failed"), @"
    0 run of story starts
    0 pay starts #1
    0 pay #1: nobody knows: boom
    0 ann answers pay: failed (Rejected)
    0 concluded: Failed(pay)
    0 run ends failed [pay]
    ");
    assert_snapshot!(story().play("fail pay unavailable; answer pay ann again; ok pay; ok after"), @"
    0 run of story starts
    0 pay starts #1
    0 pay #1: nobody knows: boom
    0 ann answers pay: again (Again)
    0 pay starts #2
    0 pay succeeds #2
    0 after starts #1
    0 after succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
    assert_snapshot!(story().play("fail pay rate_limited; at 1000; ok pay; ok after"), @"
       0 run of story starts
       0 pay starts #1
       0 pay fails #1: rate_limited, again at 1000
    1000 pay retry_due
    1000 pay starts #2
    1000 pay succeeds #2
    1000 after starts #1
    1000 after succeeds #1
    1000 concluded: Finished
    1000 run ends succeeded []
    ");
}

#[test]
fn after_a_restart_interrupted_attempts_are_made_again_and_finished_ones_are_not() {
    assert_snapshot!(Story::new(plan("a; b; c < a b")).play("ok a; restart; ok b; ok c"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 a succeeds #1
    0 b attempt_interrupted
    0 b starts #2
    0 b succeeds #2
    0 c starts #1
    0 c succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_failure_cancels_the_others_and_fails_the_run() {
    assert_snapshot!(Story::new(plan("a; b; c < b")).play("fail a internal; ok b! late"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 a fails #1: internal
    0 concluded: Failed(a)
    0 run ends failed [a]
    ");
}

#[test]
fn the_run_can_do_without_an_optional_task() {
    let mut draft = plan("a; b; c < a b; d < a b");
    draft.tasks[0].optional = true;
    draft.tasks[3].join = Some(join(Needs::Settled));
    assert_snapshot!(Story::new(draft).play("fail a internal; ok b; ok d"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 a fails #1: internal
    0 c is skipped: a did not succeed
    0 b succeeds #1
    0 d starts #1
    0 d succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn continuing_after_a_failure_still_ends_failed_and_says_which() {
    let mut draft = plan("a; b; c < a");
    draft.continue_on_failure = true;
    assert_snapshot!(Story::new(draft).play("fail a internal; ok b"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 a fails #1: internal
    0 c is skipped: a did not succeed
    0 b succeeds #1
    0 concluded: Finished
    0 run ends failed [a]
    ");
}

#[test]
fn a_skipped_dependency_skips_unless_the_join_lets_it_pass() {
    let mut draft = plan("a; b < a; strict < b; lenient < b a");
    draft.tasks[1].when = Some("a.score > 10".into());
    draft.tasks[3].join = Some(join(Needs::NoneFailed));
    assert_snapshot!(Story::new(draft).play(r#"ok a {"score": 3}; ok lenient"#), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 b is skipped: `a.score > 10` does not hold: a.score is 3
    0 strict is skipped: b did not succeed
    0 lenient starts #1
    0 lenient succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_condition_on_a_value_that_is_missing_does_not_hold() {
    let mut draft = plan("a; b < a; c < a");
    draft.tasks[1].when = Some("confidence > 0.9".into());
    draft.tasks[2].skip_when = Some("confidence > 0.9".into());
    assert_snapshot!(Story::new(draft).play(r#"ok a {"confidence": 1000000000000}; ok c"#), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 b is skipped: `confidence > 0.9` is unknown: confidence is out of range
    0 c may run: confidence is out of range
    0 c starts #1
    0 c succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_quorum_needs_so_many_and_judges_the_failures_of_its_voices() {
    let mut draft = plan("a; b; c; decide < a b c");
    draft.tasks[3].join = Some(join(Needs::AtLeast(2)));
    assert_snapshot!(Story::new(draft.clone()).play("fail a internal; ok b; ok c; ok decide"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 c starts #1
    0 a fails #1: internal
    0 b succeeds #1
    0 c succeeds #1
    0 decide starts #1
    0 decide succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
    assert_snapshot!(Story::new(draft).play("fail a internal; fail b internal; ok c"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 c starts #1
    0 a fails #1: internal
    0 b fails #1: internal
    0 decide fails: 0 of its dependencies succeeded, it needs 2
    0 concluded: Failed(decide)
    0 run ends failed [decide]
    ");
}

#[test]
fn the_first_success_wins_the_race_and_the_losers_are_cancelled() {
    let mut draft = plan("a; b; c < b; first < a c");
    draft.tasks[3].join = Some(JoinDraft { needs: Needs::Any, race: true, ..JoinDraft::default() });
    assert_snapshot!(Story::new(draft).play("ok a; ok first; ok b"), @"
    0 run of story starts
    0 a starts #1
    0 b starts #1
    0 a succeeds #1
    0 first race_won
    0 first starts #1
    0 first succeeds #1
    0 b succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn a_late_join_goes_on_with_what_is_there() {
    let mut draft = plan("a; b; join < a b");
    let late = |on_late| Some(JoinDraft { needs: Needs::All, within: Some(Millis(300)), on_late, race: true });
    draft.tasks[2].join = late(OnLate::Proceed);
    assert_snapshot!(Story::new(draft.clone()).play("ok a; at 300; ok join; ok b! late"), @"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 a succeeds #1
    300 join join_late
    300 join race_won
    300 join starts #1
    300 join succeeds #1
    300 concluded: Finished
    300 run ends succeeded []
    ");
    draft.tasks[2].join = late(OnLate::Skip);
    assert_snapshot!(Story::new(draft.clone()).play("ok a; at 300; ok b"), @"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 a succeeds #1
    300 join is skipped: its dependencies were late
    300 b succeeds #1
    300 concluded: Finished
    300 run ends succeeded []
    ");
    draft.tasks[2].join = late(OnLate::Fail);
    assert_snapshot!(Story::new(draft).play("ok a; at 300"), @"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 a succeeds #1
    300 join fails: its dependencies were late
    300 concluded: Failed(join)
    300 run ends failed [join]
    ");
}

#[test]
fn what_was_done_is_undone_in_reverse_order() {
    let mut draft = plan("book; charge < book; ship < charge; unbook; refund; tell");
    draft.tasks[0].compensate = Some("unbook".into());
    draft.tasks[1].compensate = Some("refund".into());
    draft.tasks[3].role = Role::Compensation;
    draft.tasks[4].role = Role::Compensation;
    draft.tasks[4].retry = Some(RetryDraft { max_retries: 1, ..RetryDraft::default() });
    draft.tasks[5].role = Role::Finally;
    let story = || Story::new(draft.clone());
    assert_snapshot!(story().play("ok book; ok charge; fail ship refused; fail refund(charge) internal; at 1000; ok refund(charge); ok unbook(book); ok tell"), @"
       0 run of story starts
       0 book starts #1
       0 book succeeds #1
       0 charge starts #1
       0 charge succeeds #1
       0 ship starts #1
       0 ship fails #1: refused
       0 concluded: Failed(ship)
       0 refund(charge) starts #1
       0 refund(charge) fails #1: internal, again at 1000
    1000 refund(charge) retry_due
    1000 refund(charge) starts #2
    1000 refund(charge) succeeds #2
    1000 unbook(book) starts #1
    1000 unbook(book) succeeds #1
    1000 tell starts #1
    1000 tell succeeds #1
    1000 run ends failed [ship]
    ");
    assert_snapshot!(story().play("ok book; cancel; ok tell"), @"
    0 run of story starts
    0 book starts #1
    0 book succeeds #1
    0 charge starts #1
    0 starter cancels: changed my mind (rollback: false)
    0 concluded: Cancelled { rollback: false }
    0 tell starts #1
    0 tell succeeds #1
    0 run ends cancelled []
    ");
    assert_snapshot!(story().effect(Effect::Idempotent).play("ok book; cancel rollback; ok refund(charge); ok unbook(book); ok tell"), @"
    0 run of story starts
    0 book starts #1
    0 book succeeds #1
    0 charge starts #1
    0 starter cancels: changed my mind (rollback: true)
    0 concluded: Cancelled { rollback: true }
    0 refund(charge) starts #1
    0 refund(charge) succeeds #1
    0 unbook(book) starts #1
    0 unbook(book) succeeds #1
    0 tell starts #1
    0 tell succeeds #1
    0 run ends cancelled []
    ");
}

#[test]
fn final_tasks_run_whatever_the_end_was() {
    let mut draft = plan("a; clean; report < clean");
    draft.tasks[1].role = Role::Finally;
    draft.tasks[2].role = Role::Finally;
    assert_snapshot!(Story::new(draft).play("fail a internal; fail clean internal; ok report"), @"
    0 run of story starts
    0 a starts #1
    0 a fails #1: internal
    0 concluded: Failed(a)
    0 clean starts #1
    0 clean fails #1: internal
    0 report starts #1
    0 report succeeds #1
    0 run ends failed [a, clean]
    ");
}

#[test]
fn a_list_is_worked_off_with_so_many_at_once_and_gathered_in_order() {
    let mut draft = plan("list; score < list; sum < score");
    draft.tasks[1].for_each = Some(ForEachDraft { items: "list.names".into(), max_parallel: Some(2), keep_going: false });
    draft.tasks[1].params = Some(json!({"name": "{{ item }}", "nr": "{{ index }}"}));
    draft.tasks[2].input = Some(json!("{{ score }}"));
    let story = || Story::new(draft.clone());
    assert_snapshot!(story().play(r#"ok list {"names": ["x", "y", "z"]}; ok score[1] 2; ok score[0] 1; ok score[2] 3; show sum; ok sum"#), @"
      0 run of story starts
      0 list starts #1
      0 list succeeds #1
      0 score mapped
      0 score[0] starts #1
      0 score[1] starts #1
      0 score[1] succeeds #1
      0 score[2] starts #1
      0 score[0] succeeds #1
      0 score[2] succeeds #1
      0 score gathered
      0 sum starts #1
    sum gets input [1,2,3] params null
      0 sum succeeds #1
      0 concluded: Finished
      0 run ends succeeded []
    ");
    assert_snapshot!(story().play(r#"ok list {"names": ["x", "y", "z"]}; fail score[0] internal"#), @"
    0 run of story starts
    0 list starts #1
    0 list succeeds #1
    0 score mapped
    0 score[0] starts #1
    0 score[1] starts #1
    0 score[0] fails #1: internal
    0 score fails: score[0] failed
    0 concluded: Failed(score)
    0 run ends failed [score]
    ");
    assert_snapshot!(story().play(r#"ok list {"names": []}; show sum; ok sum"#), @"
      0 run of story starts
      0 list starts #1
      0 list succeeds #1
      0 score mapped
      0 score gathered
      0 sum starts #1
    sum gets input [] params null
      0 sum succeeds #1
      0 concluded: Finished
      0 run ends succeeded []
    ");
    assert_snapshot!(story().play(r#"ok list {"names": 7}"#), @"
    0 run of story starts
    0 list starts #1
    0 list succeeds #1
    0 score fails: invalid: `list.names` is not a list
    0 concluded: Failed(score)
    0 run ends failed [score]
    ");
}

#[test]
fn an_item_may_fail_where_the_plan_says_so() {
    let mut draft = plan("score; sum < score");
    draft.tasks[0].for_each = Some(ForEachDraft { items: "input.list".into(), max_parallel: None, keep_going: true });
    draft.tasks[1].input = Some(json!("{{ score }}"));
    assert_snapshot!(Story::new(draft).input(r#"{"list": [1, 2]}"#).play("fail score[0] internal; ok score[1] 2; show sum; ok sum"), @"
      0 run of story starts
      0 score mapped
      0 score[0] starts #1
      0 score[1] starts #1
      0 score[0] fails #1: internal
      0 score[1] succeeds #1
      0 score gathered
      0 sum starts #1
    sum gets input [null,2] params null
      0 sum succeeds #1
      0 concluded: Finished
      0 run ends succeeded []
    ");
}

#[test]
fn a_section_repeats_until_its_condition_fails_or_it_had_its_turns() {
    let mut draft = plan("draft; review < draft; publish < review");
    draft.tasks[1].repeat = Some(RepeatDraft { from: "draft".into(), while_: "score < 0.8".into(), max: 3 });
    draft.tasks[2].input = Some(json!({"text": "{{ draft }}", "score": "{{ review.score }}"}));
    let story = || Story::new(draft.clone());
    assert_snapshot!(story().play(r#"ok draft 1; ok review {"score": 0.5}; ok draft#2 2; ok review#2 {"score": 0.8}; show publish; ok publish"#), @r#"
      0 run of story starts
      0 draft starts #1
      0 draft succeeds #1
      0 review starts #1
      0 review succeeds #1
      0 review repeated
      0 draft#2 starts #1
      0 draft#2 succeeds #1
      0 review#2 starts #1
      0 review#2 succeeds #1
      0 review#2 repeat_ended
      0 publish starts #1
    publish gets input {"text":2,"score":0.8} params null
      0 publish succeeds #1
      0 concluded: Finished
      0 run ends succeeded []
    "#);
    assert_snapshot!(story().play(r#"ok draft; ok review {"score": 0}; ok draft#2; ok review#2 {"score": 0}; ok draft#3; ok review#3 {"score": 0}; ok publish"#), @"
    0 run of story starts
    0 draft starts #1
    0 draft succeeds #1
    0 review starts #1
    0 review succeeds #1
    0 review repeated
    0 draft#2 starts #1
    0 draft#2 succeeds #1
    0 review#2 starts #1
    0 review#2 succeeds #1
    0 review#2 repeated
    0 draft#3 starts #1
    0 draft#3 succeeds #1
    0 review#3 starts #1
    0 review#3 succeeds #1
    0 review#3 repeat_ended
    0 publish starts #1
    0 publish succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    ");
}

#[test]
fn time_and_signals_end_waits_and_an_early_signal_is_not_lost() {
    let mut draft = plan("pause; hear < pause; both; end < hear both");
    draft.tasks[0].work = WorkDraft::Wait(WaitDraft { lasting: Some(Millis(100)), ..WaitDraft::default() });
    draft.tasks[1].work = WorkDraft::Wait(WaitDraft { signal: Some("go".into()), ..WaitDraft::default() });
    draft.tasks[2].work = WorkDraft::Wait(WaitDraft { lasting: Some(Millis(5000)), signal: Some("stop".into()), ..WaitDraft::default() });
    assert_snapshot!(Story::new(draft).play("signal go 1; signal go 1; at 100; at 5000; ok end"), @"
       0 run of story starts
       0 pause slept
       0 both slept
       0 signal go
     100 pause woken
     100 hear slept
     100 hear woken
    5000 both woken
    5000 end starts #1
    5000 end succeeds #1
    5000 concluded: Finished
    5000 run ends succeeded []
    ");
}

fn asking(levels: Vec<Level>) -> ApprovalDraft {
    ApprovalDraft { question: "Pay {{ input.amount }}?".into(), levels, ..ApprovalDraft::default() }
}

#[test]
fn people_answer_by_the_rules() {
    let mut draft = plan("pay");
    let group = |name: &str, at_least| Level { groups: vec![name.into()], at_least: Some(at_least), ..Level::default() };
    draft.tasks[0].work = WorkDraft::Approval(asking(vec![group("leads", 2)]));
    let story = || Story::new(draft.clone()).input(r#"{"amount": 12.50}"#);
    let script = "answer pay eve approve; answer pay starter approve; answer pay ann maybe; answer pay ann approve; answer pay ann approve; \
                  answer pay bob approve; answer pay cid approve";
    assert_snapshot!(story().play(script), @"
      0 run of story starts
      0 pay asks: Pay 12.50?
    refused: eve may not answer `pay`: it asks the group leads
    refused: starter may not answer `pay`: they started the run
    refused: `maybe` is not taken as an answer to `pay`: choose one of approve, reject
      0 ann answers pay: approve (Counted)
    refused: ann has answered `pay` already; others have to agree, or they may still reject
      0 bob answers pay: approve (Accepted)
      0 concluded: Finished
      0 run ends succeeded []
    refused: run 00000000000000000000000000000007 has ended
    ");
    assert_snapshot!(story().play("answer pay ann reject no receipt"), @"
    0 run of story starts
    0 pay asks: Pay 12.50?
    0 ann answers pay: reject (Rejected)
    0 concluded: Failed(pay)
    0 run ends failed [pay]
    ");
    assert_snapshot!(story().play("delegate pay eve dan; delegate pay ann starter; delegate pay ann dan; answer pay dan approve; answer pay bob approve"), @"
      0 run of story starts
      0 pay asks: Pay 12.50?
    refused: eve may not answer `pay`: it asks the group leads
    refused: starter may not answer `pay`: they started the run
      0 pay delegated
      0 dan answers pay: approve (Counted)
      0 bob answers pay: approve (Accepted)
      0 concluded: Finished
      0 run ends succeeded []
    ");
}

#[test]
fn a_question_that_nobody_answers_climbs_and_then_fails_closed() {
    let mut draft = plan("pay");
    let user = |name: &str| Level { users: vec![name.into()], within: Some(Millis(100)), ..Level::default() };
    draft.tasks[0].work = WorkDraft::Approval(asking(vec![user("ann"), user("boss")]));
    let story = |draft| Story::new(draft).input(r#"{"amount": 1}"#);
    assert_snapshot!(story(draft.clone()).play("answer pay boss approve; at 100; answer pay ann approve; at 200"), @"
      0 run of story starts
      0 pay asks: Pay 1?
    refused: boss may not answer `pay`: it asks ann
    100 pay escalated
    100 ann answers pay: approve (Accepted)
    100 concluded: Finished
    100 run ends succeeded []
    ");
    assert_snapshot!(story(draft.clone()).play("at 100; at 200"), @"
      0 run of story starts
      0 pay asks: Pay 1?
    100 pay escalated
    200 pay fails: nobody answered in time
    200 concluded: Failed(pay)
    200 run ends failed [pay]
    ");
    if let WorkDraft::Approval(approval) = &mut draft.tasks[0].work {
        approval.on_expiry = Expiry::Choose("approve".into());
    }
    assert_snapshot!(story(draft).play("at 200"), @"
      0 run of story starts
      0 pay asks: Pay 1?
    200 pay escalated
    ");
}

#[test]
fn who_proposed_may_not_approve() {
    let mut draft = plan("propose; approve < propose");
    for task in &mut draft.tasks {
        task.work = WorkDraft::Approval(ApprovalDraft { question: "?".into(), ..ApprovalDraft::default() });
    }
    if let WorkDraft::Approval(approval) = &mut draft.tasks[1].work {
        approval.not_by = vec!["propose".into()];
    }
    assert_snapshot!(Story::new(draft).play("answer propose ann approve; answer approve ann approve; answer approve bob approve"), @"
      0 run of story starts
      0 propose asks: ?
      0 ann answers propose: approve (Accepted)
      0 approve asks: ?
    refused: ann may not answer `approve`: they acted in `propose`
      0 bob answers approve: approve (Accepted)
      0 concluded: Finished
      0 run ends succeeded []
    ");
}

#[test]
fn who_had_a_part_in_it_may_not_answer() {
    let draft = || {
        let mut draft = plan("find; approve < find");
        let except = Some(Box::new("{{ find.names }}".into()));
        draft.tasks[1].work = WorkDraft::Approval(ApprovalDraft { question: "?".into(), except, ..ApprovalDraft::default() });
        draft
    };
    assert_snapshot!(Story::new(draft()).play(r#"ok find {"names": ["ann", "cid"]}; answer approve ann approve; answer approve bob approve"#), @"
      0 run of story starts
      0 find starts #1
      0 find succeeds #1
      0 approve asks: ?
    refused: ann may not answer `approve`: they had a part in what it is about
      0 bob answers approve: approve (Accepted)
      0 concluded: Finished
      0 run ends succeeded []
    ");
    assert_snapshot!(Story::new(draft()).play(r#"ok find {"names": 7}"#), @"
    0 run of story starts
    0 find starts #1
    0 find succeeds #1
    0 approve fails: invalid: who may not answer is no list of names: invalid type: integer `7`, expected a sequence at line 1 column 1
    0 concluded: Failed(approve)
    0 run ends failed [approve]
    ");
}

fn checkpoint(after: &str, condition: &str, then: ThenDraft) -> CheckpointDraft {
    let after = after.split_whitespace().map(str::to_owned).collect();
    CheckpointDraft::new(after, condition, then)
}

fn decide(action: &str) -> ThenDraft {
    ThenDraft::Decide(action.into())
}

/// Document 000, example 3: rules first, and more agents only if the rules do not settle it.
fn expanding() -> quorate_core::Draft {
    let mut draft = plan("N1; N2 < N1; N3 < N2; N4; N5; N6 < N4 N5; N7");
    for ix in [3, 4, 5] {
        draft.tasks[ix].role = Role::Catalogue;
    }
    draft.tasks[6].role = Role::Finally;
    draft.checkpoints = vec![
        checkpoint("N3", "within_tolerance and confidence > 0.85", decide("AUTO_RESOLVE")),
        checkpoint("N3", "rules_failed or confidence < 0.85", ThenDraft::Grow(vec!["N4".into(), "N5".into(), "N6".into()])),
        checkpoint("N6", "always", ThenDraft::Follow("N6".into())),
    ];
    draft
}

#[test]
fn a_checkpoint_that_holds_decides_early() {
    let script = r#"ok N1; ok N2; ok N3 {"within_tolerance": true, "rules_failed": false, "confidence": 0.97}; ok N7; show decision"#;
    assert_snapshot!(Story::new(expanding()).play(script), @r#"
        0 run of story starts
        0 N1 starts #1
        0 N1 succeeds #1
        0 N2 starts #1
        0 N2 succeeds #1
        0 N3 starts #1
        0 N3 succeeds #1
        0 decided: AUTO_RESOLVE Checkpoint("checkpoint-1")
        0 concluded: Decided
        0 N7 starts #1
        0 N7 succeeds #1
        0 run ends succeeded []
    {
      "action": "AUTO_RESOLVE",
      "confidence": "0.97",
      "rule": {
        "checkpoint": "checkpoint-1"
      },
      "looks": [
        {
          "checkpoint": "checkpoint-1",
          "condition": "within_tolerance and confidence > 0.85",
          "outcome": "holds",
          "operands": [
            {
              "name": "within_tolerance",
              "value": "true"
            },
            {
              "name": "confidence",
              "value": "0.97"
            }
          ]
        },
        {
          "checkpoint": "checkpoint-2",
          "condition": "rules_failed or confidence < 0.85",
          "outcome": "fails",
          "operands": [
            {
              "name": "rules_failed",
              "value": "false"
            },
            {
              "name": "confidence",
              "value": "0.97"
            }
          ]
        }
      ],
      "contributors": [
        {
          "task": "N1",
          "agent": {
            "id": "agent",
            "version": "1",
            "effect": "none"
          }
        },
        {
          "task": "N2",
          "agent": {
            "id": "agent",
            "version": "1",
            "effect": "none"
          }
        },
        {
          "task": "N3",
          "agent": {
            "id": "agent",
            "version": "1",
            "effect": "none"
          }
        }
      ],
      "not_taken": [
        {
          "action": "ESCALATE",
          "why": "no checkpoint of this plan takes it by itself"
        },
        {
          "action": "HIL_REVIEW",
          "why": "no checkpoint of this plan takes it by itself"
        },
        {
          "action": "REJECTED",
          "why": "no checkpoint of this plan takes it by itself"
        }
      ]
    }
    "#);
}

#[test]
fn the_plan_grows_when_the_rules_do_not_settle_it() {
    let script = r#"ok N1; ok N2; ok N3 {"within_tolerance": false, "rules_failed": true, "confidence": 0.4}; ok N5; ok N4; ok N6 {"action": "ESCALATE", "confidence": 0.7}; ok N7; show why"#;
    assert_snapshot!(Story::new(expanding()).play(script), @r#"
      0 run of story starts
      0 N1 starts #1
      0 N1 succeeds #1
      0 N2 starts #1
      0 N2 succeeds #1
      0 N3 starts #1
      0 N3 succeeds #1
      0 Checkpoint { id: "checkpoint-2", operands: [Operand { name: "rules_failed", value: "true", unknown: false }, Operand { name: "confidence", value: "0.4", unknown: false }] } adds ["N4", "N5", "N6"]
      0 N4 starts #1
      0 N5 starts #1
      0 N5 succeeds #1
      0 N4 succeeds #1
      0 N6 starts #1
      0 N6 succeeds #1
      0 decided: ESCALATE Followed { checkpoint: "checkpoint-3", task: N6 }
      0 Decision("ESCALATE") adds ["review"]
      0 review asks: What is to be done? The decision is left to people.
      0 concluded: Decided
      0 N7 starts #1
      0 N7 succeeds #1
    confidence Some(0.7)
    not AUTO_RESOLVE: `within_tolerance and confidence > 0.85` does not hold: within_tolerance is false, confidence is 0.4
    not HIL_REVIEW: no checkpoint of this plan takes it by itself
    not REJECTED: no checkpoint of this plan takes it by itself
    "#);
}

#[test]
fn what_is_left_undecided_goes_to_people() {
    let script = r#"ok N1; ok N2; ok N3 {"within_tolerance": true, "rules_failed": false, "confidence": 0.85}; ok N7; show why"#;
    assert_snapshot!(Story::new(expanding()).play(script), @r#"
      0 run of story starts
      0 N1 starts #1
      0 N1 succeeds #1
      0 N2 starts #1
      0 N2 succeeds #1
      0 N3 starts #1
      0 N3 succeeds #1
      0 decided: HIL_REVIEW Otherwise
      0 Decision("HIL_REVIEW") adds ["review"]
      0 review asks: What is to be done? The decision is left to people.
      0 concluded: Decided
      0 N7 starts #1
      0 N7 succeeds #1
    confidence None
    not AUTO_RESOLVE: `within_tolerance and confidence > 0.85` does not hold: within_tolerance is true, confidence is 0.85
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: no checkpoint of this plan takes it by itself
    "#);
}

/// Two looks at one piece of work, of which the quicker one would resolve it.
#[test]
fn where_something_failed_that_must_not_people_decide_and_nothing_is_resolved() {
    let mut draft = plan("enrich; rules; tell");
    draft.tasks[2].role = Role::Finally;
    draft.checkpoints = vec![checkpoint("rules", "within_tolerance", decide("AUTO_RESOLVE"))];
    assert_snapshot!(Story::new(draft.clone()).play("fail enrich internal; ok tell"), @"
    0 run of story starts
    0 enrich starts #1
    0 rules starts #1
    0 enrich fails #1: internal
    0 concluded: Failed(enrich)
    0 tell starts #1
    0 tell succeeds #1
    0 run ends failed [enrich]
    ");
    draft.on_failure = Some("HIL_REVIEW".into());
    assert_snapshot!(Story::new(draft.clone()).play("fail enrich internal; ok tell; answer review ann approve; show why"), @r#"
      0 run of story starts
      0 enrich starts #1
      0 rules starts #1
      0 enrich fails #1: internal
      0 decided: HIL_REVIEW Failed { task: enrich }
      0 Decision("HIL_REVIEW") adds ["review"]
      0 concluded: Failed(enrich)
      0 review asks: What is to be done? The decision is left to people.
      0 tell starts #1
      0 tell succeeds #1
      0 ann answers review: approve (Accepted)
      0 run ends failed [enrich]
    confidence None
    not AUTO_RESOLVE: checkpoint-1 was not reached: it is looked at after rules
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: no checkpoint of this plan takes it by itself
    "#);
    // What was decided before stays decided.
    assert_snapshot!(Story::new(draft.clone()).play("ok rules {\"within_tolerance\": true}; ok tell"), @r#"
    0 run of story starts
    0 enrich starts #1
    0 rules starts #1
    0 rules succeeds #1
    0 decided: AUTO_RESOLVE Checkpoint("checkpoint-1")
    0 concluded: Decided
    0 tell starts #1
    0 tell succeeds #1
    0 run ends succeeded []
    "#);
    draft.on_failure = Some("AUTO_RESOLVE".into());
    assert_snapshot!(quorate_core::Plan::compile(&draft).unwrap_err()[0].to_string(), @"on_failure: what failed is never resolved by itself [P003]; leave it out, or name another action, such as HIL_REVIEW");
}

#[test]
fn an_agent_that_answers_nonsense_does_not_decide() {
    let script = r#"ok N1; ok N2; ok N3 {"within_tolerance": false, "rules_failed": true, "confidence": 0.4}; ok N5; ok N4; ok N6 {"action": "SELL_ALL", "confidence": 2}; ok N7; show why"#;
    assert_snapshot!(Story::new(expanding()).play(script), @r#"
      0 run of story starts
      0 N1 starts #1
      0 N1 succeeds #1
      0 N2 starts #1
      0 N2 succeeds #1
      0 N3 starts #1
      0 N3 succeeds #1
      0 Checkpoint { id: "checkpoint-2", operands: [Operand { name: "rules_failed", value: "true", unknown: false }, Operand { name: "confidence", value: "0.4", unknown: false }] } adds ["N4", "N5", "N6"]
      0 N4 starts #1
      0 N5 starts #1
      0 N5 succeeds #1
      0 N4 succeeds #1
      0 N6 starts #1
      0 N6 succeeds #1
      0 decided: HIL_REVIEW NotFollowed { checkpoint: "checkpoint-3", task: N6, why: "`SELL_ALL` is not an action of this plan" }
      0 Decision("HIL_REVIEW") adds ["review"]
      0 review asks: What is to be done? The decision is left to people.
      0 concluded: Decided
      0 N7 starts #1
      0 N7 succeeds #1
    confidence None
    not AUTO_RESOLVE: `within_tolerance and confidence > 0.85` does not hold: within_tolerance is false, confidence is 0.4
    not ESCALATE: no checkpoint of this plan takes it by itself
    not REJECTED: no checkpoint of this plan takes it by itself
    "#);
}

#[test]
fn an_unknown_rule_before_one_that_holds_leaves_the_table_undecided() {
    let mut draft = plan("rules; slow; end < rules slow");
    draft.checkpoints =
        vec![checkpoint("rules", "slow.fraud > 0.8", decide("ESCALATE")), checkpoint("rules", "within_tolerance", decide("AUTO_RESOLVE"))];
    let story = || Story::new(draft.clone());
    assert_snapshot!(story().play(r#"ok rules {"within_tolerance": true}; ok slow {"fraud": 0.1}; show why"#), @r#"
      0 run of story starts
      0 rules starts #1
      0 slow starts #1
      0 rules succeeds #1
      0 slow succeeds #1
      0 decided: AUTO_RESOLVE Checkpoint("checkpoint-2")
      0 concluded: Decided
      0 run ends succeeded []
    confidence None
    not ESCALATE: `slow.fraud > 0.8` does not hold: slow.fraud is 0.1
    not HIL_REVIEW: no checkpoint of this plan takes it by itself
    not REJECTED: no checkpoint of this plan takes it by itself
    "#);
    assert_snapshot!(story().play(r#"ok rules {"within_tolerance": true}; ok slow {"fraud": null}; show why"#), @r#"
      0 run of story starts
      0 rules starts #1
      0 slow starts #1
      0 rules succeeds #1
      0 slow succeeds #1
      0 decided: HIL_REVIEW Unknown { checkpoint: "checkpoint-1", behind: "checkpoint-2" }
      0 Decision("HIL_REVIEW") adds ["review"]
      0 concluded: Decided
      0 review asks: What is to be done? The decision is left to people.
    confidence None
    not AUTO_RESOLVE: `within_tolerance` holds, but something else came first: within_tolerance is true
    not ESCALATE: `slow.fraud > 0.8` is unknown: slow.fraud is null
    not REJECTED: no checkpoint of this plan takes it by itself
    "#);
}

#[test]
fn a_decision_opens_the_review_that_the_plan_names() {
    let mut draft = plan("a; review; tell < review");
    draft.tasks[1].role = Role::Review;
    draft.tasks[1].work = WorkDraft::Approval(ApprovalDraft { question: "Agree?".into(), ..ApprovalDraft::default() });
    draft.tasks[2].role = Role::Finally;
    draft.decides = true;
    draft.reviews = vec![("HIL_REVIEW".into(), "review".into())];
    assert_snapshot!(Story::new(draft.clone()).play("ok a; answer review ann reject; ok tell"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 decided: HIL_REVIEW Otherwise
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: Agree?
    0 concluded: Decided
    0 ann answers review: reject (Accepted)
    0 tell starts #1
    0 tell succeeds #1
    0 run ends succeeded []
    "#);
    assert_snapshot!(Story::new(draft).play("ok a; cancel; ok tell"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 decided: HIL_REVIEW Otherwise
    0 Decision("HIL_REVIEW") adds ["review"]
    0 review asks: Agree?
    0 concluded: Decided
    0 starter cancels: changed my mind (rollback: false)
    0 tell starts #1
    0 tell succeeds #1
    0 run ends cancelled []
    "#);
}

#[test]
fn an_agent_adds_only_what_the_plan_lets_it_add() {
    let mut draft = plan("lead; extra < lead; other");
    draft.tasks[0].may_grow = vec!["extra".into()];
    draft.tasks[1].role = Role::Catalogue;
    assert_snapshot!(Story::new(draft).play("grow lead extra other nothing; ok extra; ok other"), @r#"
    0 run of story starts
    0 lead starts #1
    0 other starts #1
    0 lead succeeds #1
    0 lead growth_refused
    0 Task(lead) adds ["extra"]
    0 extra starts #1
    0 extra succeeds #1
    0 other succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    "#);
}

#[test]
fn a_run_that_runs_out_of_time_says_so() {
    let mut draft = plan("a; b < a; clean");
    draft.timeout = Some(Millis(1000));
    draft.tasks[2].role = Role::Finally;
    assert_snapshot!(Story::new(draft).play("at 1000; ok clean"), @"
       0 run of story starts
       0 a starts #1
    1000 concluded: TimedOut
    1000 clean starts #1
    1000 clean succeeds #1
    1000 run ends timed_out []
    ");
}

#[test]
fn values_are_put_together_from_facts_or_the_task_does_not_run() {
    let mut draft = plan("a; b < a; c < a");
    draft.continue_on_failure = true;
    draft.tasks[1].params =
        Some(json!({"whole": "{{ a }}", "sum": "{{ a.x + 0.2 }}", "text": "x is {{ a.x }} of {{ input.name }}", "fixed": [1, true]}));
    draft.tasks[2].params = Some(json!({"gone": "{{ a.nothing }}"}));
    assert_snapshot!(Story::new(draft).input(r#"{"name": "Ann \"A\""}"#).play(r#"ok a {"x": 0.1}; show b; ok b"#), @r#"
      0 run of story starts
      0 a starts #1
      0 a succeeds #1
      0 b starts #1
      0 c fails: invalid: `a.nothing` is missing
    b gets input {"name": "Ann \"A\""} params {"whole":{"x": 0.1},"sum":0.3,"text":"x is 0.1 of Ann \"A\"","fixed":[1,true]}
      0 b succeeds #1
      0 concluded: Finished
      0 run ends failed [c]
    "#);
}

#[test]
fn nothing_more_happens_to_a_run_that_has_ended() {
    assert_snapshot!(Story::new(plan("a")).play("ok a; ok a! again; at 99; signal go; cancel; answer a ann approve"), @"
      0 run of story starts
      0 a starts #1
      0 a succeeds #1
      0 concluded: Finished
      0 run ends succeeded []
    refused: run 00000000000000000000000000000007 has ended
    refused: run 00000000000000000000000000000007 has ended
    refused: run 00000000000000000000000000000007 has ended
    ");
}

#[test]
fn classes_have_names_that_people_write() {
    for class in [
        FailureClass::Invalid,
        FailureClass::Unavailable,
        FailureClass::Timeout,
        FailureClass::RateLimited,
        FailureClass::Internal,
        FailureClass::Refused,
    ] {
        assert_eq!(serde_json::to_value(class).unwrap(), json!(class.to_string()));
    }
}

/// A plan whose calls may use 100 tokens altogether; `ask` asks people for as much again.
fn with_budget(text: &str, ask: bool) -> quorate_core::Draft {
    let mut draft = plan(text);
    let asks = ask.then(|| "more".to_owned());
    draft.budget = Some(BudgetDraft { tokens: Some(100), warn_at: Some("0.8".parse().unwrap()), ask: asks, ..BudgetDraft::default() });
    if ask {
        let leads = Level { groups: vec!["leads".to_owned()], ..Level::default() };
        let asking = quorate_core::draft::TaskDraft::ask("more", "As much again?", leads);
        draft.tasks.push(quorate_core::draft::TaskDraft { role: Role::Catalogue, ..asking });
    }
    draft
}

#[test]
fn what_a_call_may_use_is_set_aside_and_others_wait_for_what_it_leaves() {
    // Two of 40 fit side by side, the third when one of them has used less.
    let story = Story::new(with_budget("a; b; c; d", false)).wants(40);
    assert_snapshot!(story.play("used a 10; used b 40; used c 10; used d 25; show used"), @"
      0 run of story starts
      0 a starts #1
      0 b starts #1
      0 a succeeds #1
      0 c starts #1
      0 b succeeds #1
      0 c succeeds #1
      0 d starts #1
      0 d succeeds #1
      0 85 tokens for 0.85 of 100 tokens are used
      0 concluded: Finished
      0 run ends succeeded []
    used 85 tokens for 0.85 of 100 tokens
    ");
    // What fails has used something as well.
    let mut draft = with_budget("a; b < a", false);
    draft.tasks[0].retry = Some(RetryDraft { max_retries: 1, ..RetryDraft::default() });
    assert_snapshot!(Story::new(draft).wants(40).play("wasted a 35; at 60000; used a 30; show used"), @"
        0 run of story starts
        0 a starts #1
        0 a fails #1: unavailable, again at 1000
    60000 a retry_due
    60000 a starts #2
    60000 a succeeds #2
    60000 b fails: the run may use 100 tokens, and has used 65 tokens for 0.65; this could take 40 tokens for 0.4
    60000 concluded: Failed(b)
    60000 run ends failed [b]
      used 65 tokens for 0.65 of 100 tokens
    ");
}

#[test]
fn a_task_that_the_run_can_never_afford_fails() {
    let story = Story::new(with_budget("a; b < a; c < b", false)).wants(60);
    assert_snapshot!(story.play("used a 55; show status"), @"
      0 run of story starts
      0 a starts #1
      0 a succeeds #1
      0 b fails: the run may use 100 tokens, and has used 55 tokens for 0.55; this could take 60 tokens for 0.6
      0 concluded: Failed(b)
      0 run ends failed [b]
    the run is failed
    ");
    // The run can do without it.
    let mut draft = with_budget("a; b < a; c < a", false);
    draft.tasks[1].optional = true;
    assert_snapshot!(Story::new(draft).wants(60).play("used a 30; used b 20; used c 10"), @"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 b starts #1
    0 b succeeds #1
    0 c fails: the run may use 100 tokens, and has used 50 tokens for 0.5; this could take 60 tokens for 0.6
    0 concluded: Failed(c)
    0 run ends failed [c]
    ");
}

#[test]
fn people_may_let_it_have_as_much_again() {
    let story = || Story::new(with_budget("a; b; c < a; d < c", true)).wants(60);
    // One question for all that cannot be afforded; whoever started the run does not answer it.
    assert_snapshot!(story().play("used a 55; show status; answer more starter approve; answer more ann approve; used c 30; used b 40; used d 1; show used"), @r#"
      0 run of story starts
      0 a starts #1
      0 a succeeds #1
      0 the budget adds ["more"]: the run may use 100 tokens, and has used 55 tokens for 0.55; this could take 60 tokens for 0.6
      0 more asks: As much again?
    the run is waiting
    refused: starter may not answer `more`: they started the run
      0 ann answers more: approve (Accepted)
      0 b starts #1
      0 c starts #1
      0 c succeeds #1
      0 b succeeds #1
      0 d starts #1
      0 d succeeds #1
      0 concluded: Finished
      0 run ends succeeded []
    used 126 tokens for 1.26 of 200 tokens
    "#);
    assert_snapshot!(story().play("used a 55; answer more bob reject too dear"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 the budget adds ["more"]: the run may use 100 tokens, and has used 55 tokens for 0.55; this could take 60 tokens for 0.6
    0 more asks: As much again?
    0 bob answers more: reject (Rejected)
    0 concluded: Failed(more)
    0 run ends failed [more]
    "#);
    // One task after another: the question comes before the task that it is about.
    let mut draft = with_budget("a; b", true);
    draft.one_at_a_time = true;
    assert_snapshot!(Story::new(draft).wants(60).play("used a 55; answer more ann approve; used b 50"), @r#"
    0 run of story starts
    0 a starts #1
    0 a succeeds #1
    0 the budget adds ["more"]: the run may use 100 tokens, and has used 55 tokens for 0.55; this could take 60 tokens for 0.6
    0 more asks: As much again?
    0 ann answers more: approve (Accepted)
    0 b starts #1
    0 b succeeds #1
    0 concluded: Finished
    0 run ends succeeded []
    "#);
    // A second time is a second question; it survives a restart.
    assert_snapshot!(story().play("used a 60; answer more ann approve; restart; used c 60; used b 60; show status; answer more#2 ann approve; show used"), @r#"
      0 run of story starts
      0 a starts #1
      0 a succeeds #1
      0 the budget adds ["more"]: the run may use 100 tokens, and has used 60 tokens for 0.6; this could take 60 tokens for 0.6
      0 more asks: As much again?
      0 ann answers more: approve (Accepted)
      0 b starts #1
      0 c starts #1
      0 b attempt_interrupted
      0 c attempt_interrupted
      0 b starts #2
      0 c starts #2
      0 c succeeds #2
      0 b succeeds #2
      0 180 tokens for 1.8 of 200 tokens are used
      0 the budget adds ["more"]: the run may use 200 tokens, and has used 180 tokens for 1.8; this could take 60 tokens for 0.6
      0 more#2 asks: As much again?
    the run is waiting
      0 ann answers more#2: approve (Accepted)
      0 d starts #1
    used 180 tokens for 1.8 of 300 tokens
    "#);
}
