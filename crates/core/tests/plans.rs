//! What makes a draft no plan, and what is said about it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

mod story;

use insta::assert_snapshot;
use quorate_core::draft::{CheckpointDraft, JoinDraft, Needs, OnLate, RepeatDraft, Role, TaskDraft, ThenDraft, WorkDraft};
use quorate_core::{BadValue, Draft, MAX_VALUE_BYTES, Millis, Payload, Plan};
use serde_json::json;
use story::plan;

fn problems(draft: &Draft) -> String {
    match Plan::compile(draft) {
        Ok(_) => "it compiles".to_owned(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

fn with(text: &str, change: impl Fn(&mut Draft)) -> String {
    let mut draft = plan(text);
    change(&mut draft);
    problems(&draft)
}

fn join(needs: Needs) -> Option<JoinDraft> {
    Some(JoinDraft { needs, ..JoinDraft::default() })
}

#[test]
fn every_mistake_in_a_draft_is_named_with_its_place() {
    let said = [
        ("a cycle", with("a < c; b < a; c < b; d < c", |_| {})),
        ("an unknown dependency", with("build; test < biuld", |_| {})),
        ("itself", with("a < a", |_| {})),
        ("twice the same", with("a; b < a a", |_| {})),
        ("two of one name", with("a; a", |_| {})),
        ("names", with("1st; and; input; sp ace", |_| {})),
        ("nothing to start with", with("a", |draft| draft.tasks[0].role = Role::Finally)),
        ("a join that cannot fire", with("a; b; c < a b", |draft| draft.tasks[2].join = join(Needs::AtLeast(3)))),
        (
            "a join on what may never be added",
            with("a; b; c < a b", |draft| {
                draft.tasks[1].role = Role::Catalogue;
                draft.tasks[0].may_grow = vec!["b".into()];
            }),
        ),
        ("a join of nothing", with("a", |draft| draft.tasks[0].join = join(Needs::Any))),
        (
            "what happens without a deadline",
            with("a; b < a", |draft| {
                draft.tasks[1].join = Some(JoinDraft { on_late: OnLate::Proceed, ..JoinDraft::default() });
            }),
        ),
        (
            "roles",
            with("main < last; last; undo < main", |draft| {
                draft.tasks[1].role = Role::Finally;
                draft.tasks[2].role = Role::Compensation;
            }),
        ),
        (
            "what can never run",
            with("a; extra; undo; look", |draft| {
                draft.tasks[1].role = Role::Catalogue;
                draft.tasks[2].role = Role::Compensation;
                draft.tasks[3].role = Role::Review;
            }),
        ),
        (
            "a repeat of nothing",
            with("a; b", |draft| {
                draft.tasks[1].repeat = Some(RepeatDraft { from: "a".into(), while_: "always".into(), max: 2 });
            }),
        ),
        (
            "a way out of the middle of a section",
            with("a; b < a; c < a", |draft| {
                draft.tasks[1].repeat = Some(RepeatDraft { from: "a".into(), while_: "score < 1".into(), max: 2 });
            }),
        ),
        (
            "conditions",
            with("a; b < a; c < a", |draft| {
                draft.tasks[1].when = Some("confidense = 1".into());
                draft.tasks[2].when = Some("b.score > 1".into());
                draft.tasks[2].params = Some(json!({"x": ["{{ nobody.x }}", "{{ open"]}));
            }),
        ),
        (
            "numbers out of range",
            with("a", |draft| {
                draft.max_parallel = Some(0);
                draft.tasks[0].priority = Some(11);
                draft.tasks[0].retry =
                    Some(quorate_core::draft::RetryDraft { multiplier: 0.5, jitter: 2.0, max_retries: 1_000_000, ..Default::default() });
            }),
        ),
        ("nobody to do it", with("a", |draft| draft.tasks[0].work = WorkDraft::default())),
        ("a question without a question", with("a", |draft| draft.tasks[0].work = WorkDraft::Approval(Default::default()))),
        ("a wait for nothing", with("a", |draft| draft.tasks[0].work = WorkDraft::Wait(Default::default()))),
        (
            "a late final task",
            with("a; z < a", |draft| {
                draft.tasks[1].role = Role::Finally;
                draft.tasks[1].join = Some(JoinDraft { within: Some(Millis(1)), ..JoinDraft::default() });
            }),
        ),
        (
            "checkpoints",
            with("a; z", |draft| {
                draft.tasks[1].role = Role::Finally;
                let checkpoint = |after: &str, then| CheckpointDraft::new(vec![after.into()], "always", then).called("k");
                draft.checkpoints =
                    vec![checkpoint("z", ThenDraft::Follow("nobody".into())), checkpoint("a", ThenDraft::Grow(vec!["a".into()]))];
            }),
        ),
        ("all at once", with("a; b < x; c < y; d", |draft| draft.tasks[3].priority = Some(0))),
    ];
    assert_snapshot!(said.map(|(what, said)| format!("{what}:\n{said}\n")).join("\n"));
}

#[test]
fn a_long_cycle_is_found_and_not_printed_whole() {
    let mut draft = Draft { name: "ring".into(), ..Draft::default() };
    for ix in 0..10_000 {
        let before = format!("t{}", (ix + 9_999) % 10_000);
        draft.tasks.push(TaskDraft {
            id: format!("t{ix}"),
            depends_on: vec![before],
            work: WorkDraft::Agent { id: Some("a".into()), capabilities: vec![] },
            ..TaskDraft::default()
        });
    }
    let said = problems(&draft);
    assert!(said.contains("(10000 tasks)") && said.len() < 500, "{said}");
}

#[test]
fn a_plan_of_too_many_tasks_is_refused() {
    let task = TaskDraft { id: "a".into(), ..TaskDraft::default() };
    let draft = Draft { tasks: vec![task; quorate_core::MAX_TASKS + 1], ..Draft::default() };
    assert!(problems(&draft).contains("the plan has 100001 tasks, more than the 100000 allowed"));
}

#[test]
fn a_value_that_is_too_large_or_no_json_is_refused() {
    let wrong = Payload::parse(format!("\"{}\"", "x".repeat(50 * 1024 * 1024))).unwrap_err();
    assert_eq!(wrong.to_string(), "the value has 52428802 bytes, more than the 16777216 allowed; hand over a reference to it instead");
    assert!(matches!(Payload::of(&"x".repeat(MAX_VALUE_BYTES)), Err(BadValue::TooLarge { .. })));
    assert_eq!(Payload::parse("{\"a\": }".into()).unwrap_err().to_string(), "the value is not JSON");
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let shown = Payload::parse(deep).unwrap().value(&[]).to_string();
    assert!(shown.contains("unknown"), "what is nested too deep to compare is unknown: {shown:.80}");
}

#[test]
fn a_plan_is_named_by_its_content_and_read_back_the_same() {
    let draft = plan("a; b < a");
    let first = Plan::compile(&draft).unwrap();
    let again = Plan::read(first.source()).unwrap();
    assert_eq!(first.digest(), again.digest());
    assert_ne!(first.digest(), Plan::compile(&plan("a; c < a")).unwrap().digest());
    assert!(Plan::read("{\"name\": 1}").is_err());
    assert!(Plan::read("{\"nmae\": \"x\"}").unwrap_err()[0].message.contains("unknown field `nmae`"));
}
