//! Any entries are folded or refused: a run never panics on a journal, whatever it holds, and goes on from it.
//!
//! The bytes choose a plan, then entries: events of a real run with their tasks, attempts and order changed, or raw
//! lines of JSON. What came about is loaded, and given everything that can happen to a run.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use quorate_core::{
    AgentRef, Draft, Effect, Entry, Failure, FailureClass, Input, Payload, Person, Plan, Reply, Run, RunId, Said, Signal, TaskView,
    Timestamp, Usage,
};
use serde_json::{Value, json};

static PLANS: LazyLock<[Arc<Plan>; 5]> = LazyLock::new(|| [0, 1, 2, 3, 4].map(plan));

fn plan(pick: u8) -> Arc<Plan> {
    let agent = json!({"agent": {"id": "a"}});
    let draft = match pick {
        0 => json!({"name": "p", "tasks": [
            {"id": "a", "work": agent}, {"id": "b", "work": agent, "depends_on": ["a"], "when": "a.ok"},
            {"id": "c", "work": agent, "depends_on": ["a", "b"], "join": {"needs": "any", "race": true, "within": 5, "on_late": "proceed"}}]}),
        1 => json!({"name": "p", "tasks": [
            {"id": "a", "work": agent, "for_each": {"items": "input.items", "max_parallel": 2}, "compensate": "c"},
            {"id": "b", "work": agent, "depends_on": ["a"], "repeat": {"from": "b", "while": "score < 3", "max": 3}},
            {"id": "c", "work": agent, "role": "compensation"}, {"id": "d", "work": agent, "role": "finally"}]}),
        2 => json!({"name": "p", "tasks": [
            {"id": "a", "work": {"approval": {"question": "?", "levels": [{"users": ["x"], "within": 3}, {"users": ["y"], "within": 3}]}}},
            {"id": "b", "work": {"wait": {"signal": "go", "for": 4}}, "depends_on": ["a"]}, {"id": "c", "work": agent, "role": "catalogue"}],
            "checkpoints": [{"id": "k", "after": ["a"], "condition": "always", "then": {"grow": ["c"]}},
                            {"id": "m", "after": ["b"], "condition": "ok", "then": {"decide": "ESCALATE"}}]}),
        3 => json!({"name": "p", "budget": {"tokens": 20, "cost": 2, "warn_at": "0.5", "ask": "d"}, "tasks": [
            {"id": "a", "work": agent, "retry": {"max_retries": 2, "initial_delay": 1}}, {"id": "b", "work": agent}, {"id": "c", "work": agent, "depends_on": ["a"]},
            {"id": "d", "role": "catalogue", "work": {"approval": {"question": "more?", "levels": [{"users": ["x"]}]}}}]}),
        _ => {
            json!({"name": "p", "one_at_a_time": true, "tasks": [{"id": "a", "work": agent}, {"id": "b", "work": agent}, {"id": "c", "work": agent}]})
        }
    };
    let draft: Draft = serde_json::from_value(draft).expect("the draft is right");
    Arc::new(Plan::compile(&draft).expect("the plan compiles"))
}

/// An event from a few bytes: what, about which task, with which number.
fn event(plan: &Plan, bytes: [u8; 3]) -> Value {
    let task = ["a", "b", "c", "d", "a[0]", "a[1]", "b#2", "c(a[0])"][usize::from(bytes[1] % 8)];
    let number = u32::from(bytes[2] % 4);
    let failure = json!({"class": (if number % 2 == 0 { "timeout" } else { "internal" }), "message": "m"});
    let usage = json!({"tokens_in": number * 4, "tokens_out": 1, "cost": number});
    let time = format!("1970-01-01T00:00:00.00{}Z", bytes[2] % 8);
    match bytes[0] % 37 {
        0 => {
            json!({"run_started": {"plan": plan.digest(), "name": "p", "input": {"value": {"items": [1, 2, 3]}}, "by": "x", "deadline": time}})
        }
        1 => {
            json!({"task_started": {"task": task, "attempt": number, "agent": {"id": "a", "version": "1", "effect": "once"}, "deadline": time}})
        }
        2 => json!({"task_succeeded": {"task": task, "attempt": number, "output": {"value": {"ok": true, "score": number}}}}),
        3 => json!({"attempt_failed": {"task": task, "attempt": number, "failure": failure, "retry_at": time}}),
        4 => json!({"attempt_failed": {"task": task, "attempt": number, "failure": failure}}),
        5 => json!({"retry_due": {"task": task}}),
        6 => json!({"attempt_interrupted": {"task": task, "attempt": number}}),
        7 => json!({"outcome_unknown": {"task": task, "attempt": number, "failure": failure}}),
        8 => json!({"task_failed": {"task": task, "cause": "late"}}),
        9 => json!({"task_skipped": {"task": task, "cause": "stalled"}}),
        10 => json!({"join_late": {"task": task}}),
        11 => json!({"race_won": {"task": task, "losers": ["a", "b"]}}),
        12 => json!({"mapped": {"task": task, "items": {"value": (0..number).collect::<Vec<_>>()}}}),
        13 => json!({"gathered": {"task": task}}),
        14 => json!({"repeated": {"task": task, "iteration": number}}),
        15 => json!({"repeat_ended": {"task": task, "iterations": number, "exhausted": false}}),
        16 => {
            json!({"asked": {"task": task, "question": {"text": "?", "evidence": {"value": null}, "evidence_digest": plan.digest(), "deadline": time}}})
        }
        17 => {
            json!({"answered": {"task": task, "answer": {"by": "x", "choice": "c"}, "verdict": (["counted", "accepted", "rejected", "again"][usize::from(bytes[2] % 4)])}})
        }
        18 => json!({"slept": {"task": task, "until": time}}),
        19 => json!({"woken": {"task": task, "signal": number}}),
        20 => json!({"signal_received": {"name": "go", "payload": {"value": 1}, "by": "x"}}),
        21 => json!({"grew": {"by": {"decision": "x"}, "tasks": ["c"]}}),
        22 => json!({"decided": {"action": "x", "rule": "otherwise", "looks": [], "contributors": [], "not_taken": []}}),
        23 => json!({"concluded": (["finished", "decided", "timed_out"][usize::from(bytes[2] % 3)])}),
        24 => json!({"run_ended": {"status": "succeeded"}}),
        25 => json!({"escalated": {"task": task, "level": number, "deadline": time}}),
        26 => json!({"delegated": {"task": task, "from": "x", "to": "y", "levels": [number]}}),
        27 => json!({"cancel_requested": {"by": "x", "reason": "r", "rollback": number % 2 == 0}}),
        28 => json!({"child_started": {"task": task, "attempt": number, "run": RunId(2), "deadline": time}}),
        29 => json!({"growth_refused": {"task": task, "asked": ["z"]}}),
        30 => {
            json!({"task_started": {"task": task, "attempt": number, "agent": {"id": "b", "version": "1", "effect": "idempotent"}, "reserved": usage,
                "choice": {"by": "load", "others": number}}})
        }
        31 => json!({"task_succeeded": {"task": task, "attempt": number, "output": {"value": 1}, "said": {"usage": usage}}}),
        32 => json!({"attempt_failed": {"task": task, "attempt": number, "failure": failure, "elsewhere": true}}),
        33 => json!({"turned_away": {"task": task, "failure": failure, "retry_at": time}}),
        34 => {
            let exceeded = json!({"task": task, "used": usage, "wanted": usage, "limit": {"tokens": 20}});
            json!({"grew": {"by": {"budget": exceeded}, "tasks": ["d"]}})
        }
        35 => json!({"budget_low": {"used": usage, "limit": {"tokens": 20}}}),
        _ => json!({"task_admitted": {"task": task}}),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((pick, rest)) = bytes.split_first() else { return };
    let plan = PLANS[usize::from(pick & 0x7f) % PLANS.len()].clone();
    if pick & 0x80 != 0 {
        let lines = String::from_utf8_lossy(rest);
        let entries: Vec<Entry> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if let Ok(run) = Run::load(RunId(1), plan, &entries) {
            go_on(run);
        }
        return;
    }
    let mut entries = Vec::new();
    let Ok(mut run) = Run::load(RunId(1), plan.clone(), []) else { return };
    for (at, chunk) in rest.chunks_exact(3).enumerate() {
        let bytes = if at == 0 { [0, 0, chunk[2]] } else { [chunk[0], chunk[1], chunk[2]] };
        let line = json!({"seq": run.seq() + 1, "at": "1970-01-01T00:00:00Z", "event": event(&plan, bytes)});
        let entry: Entry = serde_json::from_value(line.clone()).unwrap_or_else(|wrong| panic!("{wrong}: {line}"));
        // An entry that cannot have happened is left out, so that long stories come about.
        let mut next = run.clone();
        if next.apply(&entry).is_ok() {
            run = next;
            entries.push(entry);
        }
    }
    let loaded = Run::load(RunId(1), plan, &entries).expect("what could be folded once can be folded again");
    go_on(loaded);
});

/// Everything that can happen to a run, in an order that gets far.
fn go_on(mut run: Run) {
    let _ = (run.status(), run.output(), run.outstanding().count(), run.next_ready().map(|offer| run.request(&offer.task)));
    let person = |name: &str| Person { name: name.into(), groups: Vec::new() };
    let answer = |task: &str, name: &str, choice: &str| Input::Answered {
        task: task.into(),
        by: person(name),
        choice: choice.into(),
        note: String::new(),
        evidence: None,
        output: None,
    };
    let cancel = || Input::Cancel { by: "x".into(), reason: String::new(), rollback: true };
    let signal = Signal { name: "go".into(), id: Some("1".into()), payload: Payload::null(), by: "x".into() };
    let inputs = [
        Input::Restarted,
        Input::Signal(signal),
        answer("a", "x", "again"),
        answer("a", "y", "approve"),
        answer("b", "x", "failed"),
        answer("d", "x", "approve"),
        Input::Delegated { task: "a".into(), from: person("x"), to: "z".into(), note: String::new() },
        Input::Woke,
        cancel(),
        cancel(),
    ];
    let mut at = 0;
    for input in inputs {
        at += 2_000;
        let _ = run.advance(Timestamp::from_micros(at), input);
        for _ in 0..20 {
            let Some(task) = run.next_ready().map(|offer| offer.task) else { break };
            let agent = Arc::new(AgentRef::new("a", "1", Effect::Idempotent));
            let usage = Usage { tokens_in: 7, cost: Some(1.into()), ..Usage::default() };
            let wanted = Some(Box::new(usage.clone()));
            let dispatched = Input::Dispatched { task: task.clone(), agent, timeout: None, choice: None, wanted };
            let _ = run.advance(Timestamp::from_micros(at), dispatched);
            let attempt = run.task(task.id()).map_or(1, TaskView::attempts);
            let said = Some(Box::new(Said { usage: Some(usage), ..Said::default() }));
            let result = if at % 4_000 == 0 { Ok(Reply { said, ..Reply::new(Payload::null()) }) } else { Err(Failure::new(FailureClass::Internal, "m")) };
            let _ = run.advance(Timestamp::from_micros(at), Input::Ended { task, attempt, result });
        }
    }
}
