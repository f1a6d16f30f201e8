//! Random plans: every feature, in every combination that compiles.

use std::sync::Arc;

use quorate_core::draft::{
    ApprovalDraft, BudgetDraft, CheckpointDraft, Choice, Expiry, ForEachDraft, JoinDraft, Level, Method, Needs, OnLate, RepeatDraft,
    RetryDraft, RowDraft, TaskDraft, ThenDraft, VoiceDraft, VoicesDraft, WaitDraft, WorkDraft,
};
use quorate_core::{Draft, Millis, Plan, Role};
use quorate_expr::Decimal;
use serde_json::json;

use crate::Chance;

/// Agents of which so many calls are allowed at once.
pub(crate) const AGENTS: [(&str, usize); 3] = [("quick", 100), ("narrow", 2), ("single", 1)];
const ACTIONS: [&str; 4] = ["AUTO_RESOLVE", "HIL_REVIEW", "ESCALATE", "MADE_UP"];

/// A random plan and its draft. Drafts that do not compile are thrown away; one that does is found soon.
pub(crate) fn random(chance: &mut Chance) -> (Draft, Arc<Plan>) {
    loop {
        if let Ok(plan) = Plan::compile(&draft(chance)) {
            // With the questions that were added to what was written.
            return (plan.draft(), Arc::new(plan));
        }
    }
}

fn draft(chance: &mut Chance) -> Draft {
    let count = 1 + chance.below(9);
    let mut draft = Draft { name: "random".into(), ..Draft::default() };
    for ix in 0..count {
        let task = task(chance, &draft, ix);
        draft.tasks.push(task);
    }
    draft.max_parallel = chance.percent(25).then(|| 1 + u32::try_from(chance.below(3)).unwrap_or(0));
    draft.one_at_a_time = chance.percent(10);
    draft.continue_on_failure = chance.percent(30);
    draft.timeout = chance.percent(10).then(|| Millis(500 + chance.below(20_000) as u64));
    add_repeat(chance, &mut draft);
    add_compensations(chance, &mut draft);
    add_finals(chance, &mut draft);
    add_checkpoints(chance, &mut draft);
    add_budget(&mut Chance::new(chance.clone().draw()), &mut draft);
    draft
}

fn task(chance: &mut Chance, draft: &Draft, ix: usize) -> TaskDraft {
    let mut depends_on = Vec::new();
    for other in &draft.tasks {
        if chance.percent(30) {
            depends_on.push(other.id.clone());
        }
    }
    let mut task = TaskDraft { id: format!("t{ix}"), work: work(chance), depends_on, ..TaskDraft::default() };
    if let Some(dep) = task.depends_on.first() {
        task.join = chance.percent(45).then(|| join(chance, task.depends_on.len()));
        let conditions =
            [format!("{dep}.ok"), format!("{dep}.score > 5"), format!("completed({dep})"), format!("{dep}.gone == 1"), "input.flag".into()];
        task.when = chance.percent(20).then(|| chance.pick(&conditions).clone());
        task.skip_when = chance.percent(10).then(|| chance.pick(&conditions).clone());
        task.params = chance.percent(10).then(|| json!({"from": format!("{{{{ {dep}.score }}}}")}));
    }
    let agent = matches!(task.work, WorkDraft::Agent { .. });
    if agent && chance.percent(15) {
        let items = if task.depends_on.is_empty() { "input.items".to_owned() } else { format!("{}.items", task.depends_on[0]) };
        let max_parallel = chance.percent(50).then(|| 1 + u32::try_from(chance.below(2)).unwrap_or(0));
        task.for_each = Some(ForEachDraft { items, max_parallel, keep_going: chance.percent(50) });
    }
    let called = matches!(task.work, WorkDraft::Agent { .. });
    task.retry = (called && chance.percent(40)).then(|| RetryDraft {
        max_retries: u32::try_from(chance.below(4)).unwrap_or(0),
        initial_delay: Millis(chance.below(500) as u64),
        jitter: if chance.percent(50) { 0.5 } else { 0.0 },
        ..RetryDraft::default()
    });
    task.timeout = (called && chance.percent(30)).then(|| Millis(1 + chance.below(3_000) as u64));
    task.optional = chance.percent(25);
    task.priority = chance.percent(50).then(|| 1 + u8::try_from(chance.below(10)).unwrap_or(0));
    task
}

fn work(chance: &mut Chance) -> WorkDraft {
    match chance.below(12) {
        0 => WorkDraft::Approval(approval(chance)),
        1 => WorkDraft::Wait(WaitDraft {
            lasting: Some(Millis(chance.below(2_000) as u64)),
            signal: chance.percent(50).then(|| "go".into()),
            until: None,
        }),
        2 => WorkDraft::Wait(WaitDraft { signal: Some("go".into()), ..WaitDraft::default() }),
        _ => WorkDraft::Agent { id: Some(chance.pick(&AGENTS).0.into()), capabilities: Vec::new() },
    }
}

fn approval(chance: &mut Chance) -> ApprovalDraft {
    let level = |chance: &mut Chance| Level {
        groups: vec!["leads".into()],
        at_least: Some(1 + u32::from(chance.percent(30))),
        within: Some(Millis(1 + chance.below(3_000) as u64)),
        ..Level::default()
    };
    let mut levels = vec![level(chance)];
    if chance.percent(40) {
        levels.push(level(chance));
    }
    let choices = ["approve", "reject"].map(|name| Choice { name: name.into(), rejects: name == "reject", needs_note: false }).to_vec();
    let on_expiry = if chance.percent(30) { Expiry::Choose("approve".into()) } else { Expiry::Fail };
    ApprovalDraft { question: "Go on?".into(), levels, choices, on_expiry, ..ApprovalDraft::default() }
}

fn join(chance: &mut Chance, deps: usize) -> JoinDraft {
    let needs = match chance.below(5) {
        0 => Needs::NoneFailed,
        1 => Needs::Settled,
        2 => Needs::Any,
        3 => Needs::AtLeast(1 + u32::try_from(chance.below(deps)).unwrap_or(0)),
        _ => Needs::All,
    };
    let within = chance.percent(30).then(|| Millis(1 + chance.below(2_000) as u64));
    let on_late = match (within, chance.below(3)) {
        (None, _) | (Some(_), 0) => OnLate::Fail,
        (Some(_), 1) => OnLate::Proceed,
        (Some(_), _) => OnLate::Skip,
    };
    JoinDraft { needs, within, on_late, race: chance.percent(30) }
}

fn add_repeat(chance: &mut Chance, draft: &mut Draft) {
    if !chance.percent(25) {
        return;
    }
    let ends: Vec<usize> = (0..draft.tasks.len()).filter(|ix| !draft.tasks[*ix].depends_on.is_empty()).collect();
    if ends.is_empty() {
        return;
    }
    let end = *chance.pick(&ends);
    let from = chance.pick(&draft.tasks[end].depends_on).clone();
    let max = 1 + u32::try_from(chance.below(3)).unwrap_or(0);
    draft.tasks[end].repeat = Some(RepeatDraft { from, while_: "score > 3".into(), max });
}

fn add_compensations(chance: &mut Chance, draft: &mut Draft) {
    for ix in 0..draft.tasks.len() {
        let agent = matches!(draft.tasks[ix].work, WorkDraft::Agent { .. });
        if agent && chance.percent(15) {
            let id = format!("undo{ix}");
            draft.tasks[ix].compensate = Some(id.clone());
            let work = WorkDraft::Agent { id: Some("quick".into()), capabilities: Vec::new() };
            let retry = Some(RetryDraft { max_retries: 2, initial_delay: Millis(10), ..RetryDraft::default() });
            draft.tasks.push(TaskDraft { id, work, retry, role: Role::Compensation, ..TaskDraft::default() });
        }
    }
}

fn add_finals(chance: &mut Chance, draft: &mut Draft) {
    for ix in 0..chance.below(3) {
        let depends_on = if ix > 0 && chance.percent(50) { vec!["last0".into()] } else { vec!["t0".into()] };
        let work = WorkDraft::Agent { id: Some("narrow".into()), capabilities: Vec::new() };
        draft.tasks.push(TaskDraft {
            id: format!("last{ix}"),
            work,
            depends_on,
            role: Role::Finally,
            optional: chance.percent(50),
            ..TaskDraft::default()
        });
    }
}

/// Some plans may use so many tokens, of which their calls take up to 50 each.
fn add_budget(chance: &mut Chance, draft: &mut Draft) {
    if !chance.percent(20) {
        return;
    }
    let ask = chance.percent(60).then(|| "more".to_owned());
    if let Some(id) = &ask {
        let work = WorkDraft::Approval(approval(chance));
        draft.tasks.push(TaskDraft { id: id.clone(), work, role: Role::Catalogue, ..TaskDraft::default() });
    }
    let tokens = Some(20 + chance.below(150) as u64);
    draft.budget = Some(BudgetDraft { tokens, cost: None, warn_at: Some(Decimal::new(5, 1)), ask });
}

/// Some decisions are taken by several voices.
fn add_council(chance: &mut Chance, draft: &mut Draft, mains: &[String]) {
    if !chance.percent(40) {
        return;
    }
    let by = *chance.pick(&[Method::Weighted, Method::Majority, Method::Unanimity, Method::First, Method::Best]);
    let weighted = by == Method::Weighted;
    let mut of = Vec::new();
    for task in mains {
        if chance.percent(60) {
            let says = chance.percent(50).then(|| if weighted { "score / 10".to_owned() } else { "vote".to_owned() });
            let veto = chance.percent(20).then(|| "not ok".to_owned());
            let weight = chance.percent(50).then(|| Decimal::new(1 + i64::try_from(chance.below(30)).unwrap_or(0), 1));
            of.push(VoiceDraft { task: task.clone(), weight, says, veto });
        }
    }
    let at_least = chance.percent(60).then(|| 1 + u32::try_from(chance.below(of.len().max(1))).unwrap_or(0));
    let row = |when: Option<&str>, then: &str| RowDraft { when: when.map(str::to_owned), then: then.to_owned() };
    let rows = vec![row(Some("score > 0.5"), "AUTO_RESOLVE"), row(Some("score > 0.2 and input.flag"), "ESCALATE"), row(None, "HOLD")];
    let voices = VoicesDraft {
        by,
        of,
        at_least,
        actions: if weighted { rows } else { Vec::new() },
        choices: if weighted { Vec::new() } else { vec!["HOLD".into()] },
        insufficient: chance.percent(50).then(|| "TOO_FEW".to_owned()),
        undecided: chance.percent(50).then(|| "UNDECIDED".to_owned()),
        vetoed: None,
    };
    let condition = *chance.pick(&["always", "always", "input.flag"]);
    let council = CheckpointDraft::new(Vec::new(), condition, ThenDraft::Voices(voices)).called("council");
    let place = chance.below(draft.checkpoints.len() + 1);
    draft.checkpoints.insert(place, council);
}

fn add_checkpoints(chance: &mut Chance, draft: &mut Draft) {
    if !chance.percent(40) {
        return;
    }
    let mains: Vec<String> = draft.tasks.iter().filter(|task| task.role == Role::Main).map(|task| task.id.clone()).collect();
    for ix in 0..chance.below(3) {
        let id = format!("grown{ix}");
        let depends_on = if chance.percent(50) { vec![chance.pick(&mains).clone()] } else { Vec::new() };
        let work = WorkDraft::Agent { id: Some("quick".into()), capabilities: Vec::new() };
        draft.tasks.push(TaskDraft { id: id.clone(), work, depends_on, role: Role::Catalogue, ..TaskDraft::default() });
        if chance.percent(30) {
            // A task of the main part waits for what may be added.
            let needs = *chance.pick(&[Needs::Settled, Needs::NoneFailed, Needs::Any]);
            if let Some(last) = draft.tasks.iter_mut().rfind(|task| task.role == Role::Main && !task.depends_on.is_empty()) {
                last.depends_on.push(id.clone());
                last.join = Some(JoinDraft { needs, ..last.join.take().unwrap_or_default() });
            }
        }
        let after = if chance.percent(80) { vec![chance.pick(&mains).clone()] } else { Vec::new() };
        let condition = (*chance.pick(&["always", "not input.flag", "input.flag"])).to_owned();
        draft.checkpoints.push(CheckpointDraft::new(after, &condition, ThenDraft::Grow(vec![id])).called(&format!("grow{ix}")));
        if chance.percent(40) {
            let grower = chance.below(draft.tasks.len());
            draft.tasks[grower].may_grow.push(format!("grown{ix}"));
        }
    }
    for ix in 0..chance.below(3) {
        let task = chance.pick(&mains).clone();
        let condition = (*chance.pick(&["ok", "score > 7", "confidence > 0.5", "always"])).to_owned();
        let then = if chance.percent(30) { ThenDraft::Follow(task.clone()) } else { ThenDraft::Decide((*chance.pick(&ACTIONS)).into()) };
        draft.checkpoints.push(CheckpointDraft::new(vec![task], &condition, then).called(&format!("decide{ix}")));
    }
    add_council(&mut Chance::new(chance.clone().draw()), draft, &mains);
    draft.no_early_exit = chance.percent(20);
    draft.on_failure = chance.percent(40).then(|| (*chance.pick(&["HIL_REVIEW", "ESCALATE"])).to_owned());
    if chance.percent(50) {
        let work = WorkDraft::Approval(approval(chance));
        draft.tasks.push(TaskDraft { id: "review".into(), work, role: Role::Review, optional: chance.percent(50), ..TaskDraft::default() });
        draft.reviews.push(((*chance.pick(&["HIL_REVIEW", "ESCALATE"])).into(), "review".into()));
        if let Some(last) = draft.tasks.iter_mut().find(|task| task.role == Role::Finally)
            && chance.percent(50)
        {
            last.depends_on.push("review".into());
        }
    }
}
