//! Programs as agents: what they are asked, what they may answer, and how they misbehave.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::Path;
use std::time::{Duration, Instant};

use quorate_agents::{Agent, Call, Doing, Outcome, Program, Secret};
use quorate_core::{Payload, Request, RunId};

fn call() -> Call {
    let request = Request {
        run: RunId(7),
        task: "rules".into(),
        attempt: 2,
        deadline: None,
        input: Payload::parse(r#"{"amount": 12.50}"#.to_owned()).unwrap(),
        params: Payload::null(),
        outputs: vec![("enrich".into(), Payload::parse("[1]".to_owned()).unwrap())],
        skills: Vec::new(),
        session: None,
    };
    Call::new(request)
}

fn shell(script: &str) -> Program {
    Program { command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), ..Program::default() }
}

async fn ask(agent: &Agent, call: Call) -> Outcome {
    match agent.doing() {
        Doing::Async(function) => function(call).await,
        Doing::Blocking(_) | Doing::Quick(_) => unreachable!("programs are waited for"),
    }
}

/// What comes of a program, in a line.
fn told(outcome: Outcome) -> String {
    match outcome {
        Ok(reply) => {
            let said = reply.said.map(|said| format!(" {}", serde_json::to_string(&said).unwrap()));
            format!("{}{}", reply.output.json(), said.unwrap_or_default())
        }
        Err(failure) => failure.to_string(),
    }
}

async fn run(script: &str) -> String {
    told(ask(&Agent::from_program("rules", shell(script)), call()).await)
}

#[tokio::test]
async fn a_program_is_asked_in_json_and_answers_in_json() {
    insta::assert_snapshot!(run("cat").await, @r#"{"run":"00000000000000000000000000000007","task":"rules","attempt":2,"idempotency_key":"00000000000000000000000000000007/rules","input":{"amount": 12.50},"params":null,"outputs":{"enrich":[1]},"skills":[],"session":null}"#);
    insta::assert_snapshot!(run(r#"echo '{"within_tolerance": true}'"#).await, @r#"{"within_tolerance": true}"#);
    insta::assert_snapshot!(run(r#"echo '{"output": 3, "confidence": 0.75, "log": "looked twice"}'"#).await, @r#"3 {"confidence":"0.75","log":"looked twice"}"#);
    insta::assert_snapshot!(run(r#"echo '{"error": {"class": "rate_limited", "message": "later"}}'"#).await, @"rate_limited: later");
    insta::assert_snapshot!(run(r#"echo '{"output": {"ok": true}, "error": null}'"#).await, @r#"{"ok": true}"#);
    insta::assert_snapshot!(run(r#"echo '{"output": null, "error": {"class": "refused"}}'"#).await, @"refused");
    insta::assert_snapshot!(run(r#"echo '{"output": 1, "score": 2}'"#).await, @r#"{"output": 1, "score": 2}"#);
    insta::assert_snapshot!(run("exit 0").await, @"null");
    insta::assert_snapshot!(run(r"printf '\357\273\2771\r\n'").await, @"1");
}

#[tokio::test]
async fn what_a_program_does_wrong_is_named() {
    insta::assert_snapshot!(run("echo almost").await, @"invalid: its answer is not JSON; it begins with `almost`");
    insta::assert_snapshot!(run(r#"printf '{"output": [1, 2'"#).await, @r#"invalid: its answer is not JSON; it begins with `{\"output\": [1, 2`"#);
    insta::assert_snapshot!(run(r"printf '\377'").await, @"invalid: `/bin/sh` wrote what is not UTF-8");
    insta::assert_snapshot!(run(r#"echo '{"output": 1, "confidence": "high"}'"#).await, @r#"invalid: its `confidence` is not a number: "high""#);
    insta::assert_snapshot!(run(r#"echo '{"error": {"class": "tired"}}'"#).await, @r#"invalid: it answered with an error that cannot be read: `{\"class\": \"tired\"}`; an error is {"class": …, "message": "…"}, and the class is invalid, unavailable, timeout, rate_limited, internal or refused"#);
    insta::assert_snapshot!(run(r#"echo '{"error": "no"}'"#).await, @r#"invalid: it answered with an error that cannot be read: `\"no\"`; an error is {"class": …, "message": "…"}, and the class is invalid, unavailable, timeout, rate_limited, internal or refused"#);
    insta::assert_snapshot!(run(r#"echo '{"output": 1, "usage": [3]}'"#).await, @r#"invalid: its `usage` is not of the form {"tokens_in": 0, "tokens_out": 0, "cost": 0}: `[3]`"#);
    insta::assert_snapshot!(run(r#"echo '{"output": 1, "log": {"a": 1}}'"#).await, @r#"invalid: its `log` is not a text: `{\"a\": 1}`"#);
    insta::assert_snapshot!(run("echo 'no such account' >&2; exit 3").await, @"internal: `/bin/sh` ended with code 3: no such account");
    insta::assert_snapshot!(run("exit 75").await, @"unavailable: `/bin/sh` ended with code 75");
    insta::assert_snapshot!(run("kill -9 $$").await, @"internal: `/bin/sh` was ended by signal 9 (SIGKILL)");
    let nowhere = Program { command: vec!["/no/such/program".to_owned()], ..Program::default() };
    insta::assert_snapshot!(told(ask(&Agent::from_program("rules", nowhere), call()).await), @"invalid: could not start the program /no/such/program: No such file or directory (os error 2)");
}

#[tokio::test]
async fn a_program_gets_no_more_of_the_environment_than_it_is_given() {
    let mut program = shell(r#"echo "\"$CARGO_PKG_NAME,$GIVEN,$CARGO_MANIFEST_DIR\"""#);
    program.env = vec![("GIVEN".to_owned(), Secret::Plain("given".to_owned()))];
    program.pass_env = vec!["CARGO_PKG_NAME".to_owned()];
    assert_eq!(told(ask(&Agent::from_program("rules", program), call()).await), r#""quorate-agents,given,""#);
}

#[tokio::test]
async fn a_flood_is_stopped() {
    let flood = Program { max_output: Some(100_000), ..shell("yes") };
    let begun = Instant::now();
    insta::assert_snapshot!(told(ask(&Agent::from_program("rules", flood), call()).await), @"invalid: `/bin/sh` wrote more than the 100000 bytes allowed");
    let noise = shell("yes >&2 & sleep 0.2; kill $!; echo 1");
    assert_eq!(told(ask(&Agent::from_program("rules", noise), call()).await), "1");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Whether a process of this id is there.
fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    // One that has ended and was not fetched yet does nothing any more.
    !status.is_empty() && !status.contains(") Z ")
}

async fn is_gone(pid: &str) -> bool {
    for _ in 0..200 {
        if !lives(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

async fn written(path: &Path) -> String {
    for _ in 0..500 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("nothing was written to {}", path.display())
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_ended_with_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; echo '\"done\"'", pid.display());
    let begun = Instant::now();
    assert_eq!(run(&script).await, "\"done\"");
    assert!(begun.elapsed() < Duration::from_secs(5), "it does not wait for what was left behind");
    assert!(is_gone(&written(&pid).await).await);
}

#[tokio::test]
async fn a_program_that_is_told_to_stop_may_tidy_up_and_one_that_does_not_is_ended() {
    let agent = Agent::from_program("rules", shell("trap 'echo \\\"tidy\\\"; exit 0' TERM; sleep 1000 & wait"));
    let call = call();
    let cancel = call.cancel.clone();
    let asked = tokio::spawn(async move { ask(&agent, call).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    cancel.raise();
    assert_eq!(told(asked.await.unwrap()), "\"tidy\"");

    let folder = tempfile::TempDir::new().unwrap();
    let pid = folder.path().join("pid");
    let agent = Agent::from_program("rules", shell(&format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", pid.display())));
    let stubborn = self::call();
    let cancel = stubborn.cancel.clone();
    let asked = tokio::spawn(async move { ask(&agent, stubborn).await });
    let id = written(&pid).await;
    cancel.raise();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(lives(&id), "it does not heed");
    asked.abort();
    assert!(is_gone(&id).await, "whoever gives the call up ends the program");
}

const SERVER: &str = r#"while read -r line; do
    id=$(printf '%s' "$line" | sed 's/^{"id":\([0-9]*\).*/\1/')
    case "$line" in
        *'"amount": 0'*|*'"amount":0'*) exit 9 ;;
        *'"amount":1}'*) sleep 1000 ;;
        *'"amount":2}'*) echo "{\"id\": $id}" ;;
        *'"amount":3}'*) echo "not an answer" ;;
        *'"amount":4}'*) printf '\357\273\277{"id": %s, "output": null}\n' "$id" ;;
        *'"amount":5}'*) echo "{\"id\": $id, \"output\": null, \"error\": {\"class\": \"refused\", \"message\": \"no\"}}" ;;
        *'"amount":6}'*) echo "{\"id\": $id, \"result\": 3}" ;;
        *) echo "{\"id\": $id, \"output\": {\"pid\": $$}}" ;;
    esac
done"#;

fn asking(amount: u32) -> Call {
    let mut call = call();
    call.request.input = Payload::of(&serde_json::json!({ "amount": amount })).unwrap();
    call
}

#[tokio::test]
async fn a_program_that_is_kept_alive_serves_many_calls_and_is_started_again() {
    let agent = Agent::from_server("rules", shell(SERVER));
    let first = told(ask(&agent, asking(100)).await);
    assert_eq!(told(ask(&agent, asking(101)).await), first, "one process serves both");
    insta::assert_snapshot!(told(ask(&agent, asking(2)).await), @"invalid: its answer has neither `output` nor `error`");
    assert_eq!(told(ask(&agent, asking(4)).await), "null", "a mark before an answer is no mistake, and null is an output");
    assert_eq!(told(ask(&agent, asking(5)).await), "refused: no", "an error is an error, whatever stands beside it");
    insta::assert_snapshot!(told(ask(&agent, asking(6)).await), @"invalid: its answer has a field `result`, which means nothing; its output goes into `output`");
    insta::assert_snapshot!(told(ask(&agent, asking(0)).await), @"unavailable: `/bin/sh` ended with code 9");
    let second = told(ask(&agent, asking(102)).await);
    assert!(second != first && second.starts_with("{\"pid\""), "it was started again: {second}");
    insta::assert_snapshot!(told(ask(&agent, asking(3)).await), @"invalid: it wrote a line that is no answer: not an answer; an answer is JSON with the `id` of its call");
    // One that is stuck is ended by whoever gives its call up.
    let stuck = tokio::time::timeout(Duration::from_millis(300), ask(&agent, asking(1))).await;
    assert!(stuck.is_err());
    let pid = told(ask(&agent, asking(104)).await);
    let pid = pid.trim_start_matches("{\"pid\": ").trim_end_matches('}').to_owned();
    drop(agent);
    assert!(is_gone(&pid).await, "with its agent it is gone");
}

#[tokio::test]
async fn a_call_that_a_program_did_not_see_is_asked_of_the_next_one() {
    let agent = Agent::from_server("rules", shell(SERVER));
    let mut calls = tokio::task::JoinSet::new();
    for amount in 0..40 {
        // Every tenth of them ends the program under the others.
        let (agent, call) = (agent.clone(), asking(if amount % 10 == 5 { 0 } else { 100 + amount }));
        calls.spawn(async move { told(ask(&agent, call).await) });
    }
    for outcome in calls.join_all().await {
        let seen = outcome == "unavailable: `/bin/sh` ended with code 9" || outcome.starts_with("{\"pid\"");
        assert!(seen, "what was asked is answered, or failed with its program: {outcome}");
    }
}

#[tokio::test]
async fn where_several_calls_are_open_a_line_that_is_no_answer_lets_all_of_them_try_again() {
    let agent = Agent::from_server("rules", shell("read -r one; read -r two; echo loading the model"));
    let (one, two) = tokio::join!(ask(&agent, asking(1)), ask(&agent, asking(2)));
    let expected = r"unavailable: it wrote a line that is no answer: loading the model; an answer is JSON with the `id` of its call";
    assert_eq!([told(one), told(two)], [expected; 2]);
}

#[tokio::test]
async fn a_server_that_is_given_up_may_tidy_up() {
    let folder = tempfile::TempDir::new().unwrap();
    let tidied = folder.path().join("tidied");
    let script = format!("trap 'echo yes > {}; exit 0' TERM; read -r line; sleep 1000 & wait", tidied.display());
    let agent = Agent::from_server("rules", shell(&script));
    assert!(tokio::time::timeout(Duration::from_millis(300), ask(&agent, asking(1))).await.is_err());
    assert_eq!(written(&tidied).await, "yes");
}

#[tokio::test]
async fn a_call_that_is_told_to_stop_does_not_hold_up_those_that_come_after_it() {
    let agent = Agent::from_server("rules", shell(SERVER));
    let stuck = asking(1);
    let cancel = stuck.cancel.clone();
    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { told(ask(&agent, stuck).await) }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    cancel.raise();
    assert_eq!(waiting.await.unwrap(), "unavailable: `/bin/sh` ended before it answered");
    let begun = Instant::now();
    for amount in 100..103 {
        let next = told(ask(&agent, asking(amount)).await);
        assert!(next.starts_with("{\"pid\""), "it had nothing to do with that: {next}");
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
}

async fn at_once(agent: &Agent) -> String {
    tokio::time::timeout(Duration::from_secs(5), async { told(ask(agent, call()).await) }).await.unwrap_or_else(|_| "it hangs".to_owned())
}

#[tokio::test]
async fn what_holds_its_ears_or_its_mouth_open_does_not_hang() {
    let deaf = Program { max_output: Some(10), ..shell("trap '' PIPE; while :; do printf xxxxxxxxxxxx 2>/dev/null; done") };
    insta::assert_snapshot!(at_once(&Agent::from_program("rules", deaf)).await, @"invalid: `/bin/sh` wrote more than the 10 bytes allowed");
    insta::assert_snapshot!(at_once(&Agent::from_program("rules", shell("echo 1; exec sleep 1000 2>&1 >&- &"))).await, @"1");
    insta::assert_snapshot!(at_once(&Agent::from_program("rules", shell("exit 127"))).await, @"internal: `/bin/sh` ended with code 127");
    insta::assert_snapshot!(at_once(&Agent::from_server("rules", shell("sleep 100 & exit 0"))).await, @"unavailable: `/bin/sh` ended before it answered");
    insta::assert_snapshot!(at_once(&Agent::from_server("rules", shell("exec 1>&-; exec sleep 100"))).await, @"unavailable: `/bin/sh` was ended by signal 15 (SIGTERM)");
}
