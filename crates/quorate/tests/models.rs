//! Projects whose agents are language models: what people write, and what they see.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use std::net::SocketAddr;

use house::{House, server};
use insta::assert_snapshot;

/// A service that speaks OpenAI's format: it wants the price first, and judges by it. Every turn uses 100 and 20 tokens.
fn service() -> SocketAddr {
    server(|asked| {
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        if head.starts_with("GET /v1/models ") {
            return ("200 OK", "{\"data\": []}".to_owned());
        }
        let usage = r#""usage": {"prompt_tokens": 100, "completion_tokens": 20}"#;
        let message = if !body.contains("\"tools\"") || body.contains("\"role\":\"tool\"") {
            r#""message": {"content": "{\"verdict\": \"break\", \"confidence\": 0.93}"}, "finish_reason": "stop""#.to_owned()
        } else {
            r#""message": {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "price", "arguments": "{\"sku\": \"x-1\"}"}}]}, "finish_reason": "tool_calls""#.to_owned()
        };
        ("200 OK", format!("{{\"choices\": [{{{message}}}], {usage}}}"))
    })
}

fn house(address: SocketAddr) -> House {
    let house = House::empty();
    house.write("quorate.yaml", "name: house\ngroups: { leads: [ann] }\n");
    house.write("prompts/judge.md", "Judge {{ amount }} {{ currency }} under {{ params.rule }}.\n");
    let agents = format!(
        "agents:
  judge:
    description: Judges breaks.
    llm:
      model: tiny-1
      url: http://{address}/v1
      allow_private: true
      key: env:QUORATE_TEST_KEY
      instructions: Be careful.
      prompt: judge.md
      inputs: {{ amount: number, currency: text }}
      max_tokens: 100
      stream: false
      prices: {{ input: 10, output: 50 }}
      tools: [{{ agent: price, input: {{ sku: text }} }}]
      max_steps: 3
    output: {{ verdict: {{ enum: [match, break] }}, confidence: confidence }}
  plain: {{ llm: {{ model: tiny-1, url: 'http://{address}/v1', allow_private: true, prices: {{ input: 10, output: 50 }}, max_tokens: 50 }} }}
  price: {{ use: std.set, description: Says what something costs., params: {{ value: 12.50 }} }}
"
    );
    house.write("agents/a.yaml", &agents);
    house.write(
        "workflows/w.yaml",
        "workflows:
  judge:
    input: { amount: number, currency: text }
    checkpoints: [{ after: look, condition: verdict == 'break' and confidence > 0.9, action: ESCALATE }]
    tasks:
      - { id: look, agent: judge, params: { rule: R7 } }
  dear:
    budget: { cost: 0.01, warn_at: 0.5, on_limit: { by: { group: leads } } }
    strategy: sequential
    tasks:
      - { id: one, agent: plain }
      - { id: two, agent: plain }
      - { id: three, agent: plain }
      - { id: four, agent: plain }
      - { id: five, agent: plain }
  free: { tasks: [{ id: x, agent: price }] }
  dearer:
    budget: { cost: 0.004, on_limit: { by: { group: leads } } }
    tasks:
      - { id: a, agent: plain }
      - { id: b, agent: plain, depends_on: [a] }
      - { id: c, agent: plain, depends_on: [b] }
      - { id: d, agent: plain, depends_on: [c] }
",
    );
    house
}

#[test]
fn a_model_judges_with_a_prompt_a_tool_and_a_declared_answer() {
    let address = service();
    let house = house(address);
    let keyed = |line: &str| {
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.args(&arguments).current_dir(house.path()).env("QUORATE_TEST_KEY", "sk-it-is-a-secret").env("USER", "eve");
        let output = command.env("HOME", house.path()).output().unwrap();
        let (said, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("sk-it-is") && !err.contains("sk-it-is"));
        format!("{}\n{}\nexit {}", house::masked(&said), house::masked(&err), output.status.code().unwrap())
    };
    assert_snapshot!(keyed("run judge -q -i {\"amount\":12.50,\"currency\":\"EUR\"}"), @"


    exit 5
    ");
    assert_snapshot!(keyed("runs explain last"), @r#"
    Run <id> waits for an answer to review (“What is to be done? The decision is left to people.”).

    The decision is ESCALATE, with a confidence of 0.93: checkpoint-1 holds.
    What was looked at, in this order:
      checkpoint-1 `verdict == 'break' and confidence > 0.9` holds: verdict is 'break' (look), confidence is 0.93 (look)
    Why nothing else was decided:
      not AUTO_RESOLVE, not HIL_REVIEW, not REJECTED: nothing here leads to it
    What would have been enough for another one:
      HIL_REVIEW: confidence is 0.93, needs at most 0.9 (checkpoint-1)

    How it came there:
         1  <took>  eve started it, at <time>
         2  <took>  look started: judge 1
         3  <took>  look succeeded, with 240 tokens for 0.004; price({"sku": "x-1"}) gave 12.50 in <took>
         4  <took>  decided: ESCALATE with confidence 0.93
         5  <took>  the decision ESCALATE added review
         6  <took>  review asks: What is to be done? The decision is left to people.

    exit 0
    "#);
    assert_snapshot!(keyed("runs show last"), @"
    run       <id>
    workflow  judge
    status    waiting
    started   <time> by eve
    took  <took>
    agents    1 of 1
    used      240 tokens for 0.004
    path      look -> Decision -> review
    decision  ESCALATE, confidence 0.93

      ✓ look    succeeded  judge  <took>
      ? review  asking  <took>  What is to be done? The decision is left to people.

    exit 0
    ");
    assert_snapshot!(keyed("agents check judge plain"), @"
    judge 1	well	<took>	it answers
    plain 1	well	<took>	it answers

    exit 0
    ");
    assert_snapshot!(keyed("agents list").replace(&address.to_string(), "<address>"), @"
    judge	1	enabled		model tiny-1 at http://<address>/v1
    plain	1	enabled		model tiny-1 at http://<address>/v1
    price	1	enabled		function std.set

    exit 0
    ");
    assert_snapshot!(house.type_in("agents call judge -i '{\"amount\": 12.50, \"currency\": \"EUR\"}'"), @"
    err: error: invalid: the prompt prompts/judge.md cannot be filled in: undefined value: `params.rule` is undefined, in line 1
    exit 1
    ");
}

#[test]
fn a_run_asks_before_it_uses_more_than_it_may() {
    let house = house(service());
    assert_snapshot!(house.type_in("run dear --as eve"), @"
    err:   <took>  run <id> of dear started
    err:   <took>  one started: plain 1
    err:   <took>  one succeeded
    err:   <took>  two started: plain 1
    err:   <took>  two succeeded
    err:   <took>  three started: plain 1
    err:   <took>  three succeeded
    err:   <took>  360 tokens for 0.006 of 0.01 are used
    err:   <took>  four started: plain 1
    err:   <took>  four succeeded
    err:   <took>  the budget (the run may use 0.01, and has used 480 tokens for 0.008; this could take 116 tokens for 0.00316, for five) added more_budget
    err:   <took>  more_budget asks: The budget of this run does not suffice. May it use as much again?
    err: run <id> waits for an answer to more_budget (“The budget of this run does not suffice. May it use as much again?”)
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 5
    ");
    assert_snapshot!(house.type_in("approvals approve last --as eve"), @"
    err: error: eve may not answer `more_budget`: they started the run
    exit 8
    ");
    assert_snapshot!(house.type_in("approvals approve last --as ann"), @r#"
    {
      "one": "{\"verdict\": \"break\", \"confidence\": 0.93}",
      "two": "{\"verdict\": \"break\", \"confidence\": 0.93}",
      "three": "{\"verdict\": \"break\", \"confidence\": 0.93}",
      "four": "{\"verdict\": \"break\", \"confidence\": 0.93}",
      "five": "{\"verdict\": \"break\", \"confidence\": 0.93}"
    }
    err:   <took>  more_budget: ann answered approve
    err:   <took>  five started: plain 1
    err:   <took>  five succeeded
    err:   <took>  600 tokens for 0.01 of 0.02 are used
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    "#);
    assert_snapshot!(house.type_in("runs explain last"), @"
    Run <id> has ended well.

    How it came there:
         1  <took>  eve started it, at <time>
         2  <took>  one started: plain 1
         3  <took>  one succeeded, with 120 tokens for 0.002
         4  <took>  two started: plain 1
         5  <took>  two succeeded, with 120 tokens for 0.002
         6  <took>  three started: plain 1
         7  <took>  three succeeded, with 120 tokens for 0.002
         8  <took>  360 tokens for 0.006 of 0.01 are used
         9  <took>  four started: plain 1
        10  <took>  four succeeded, with 120 tokens for 0.002
        11  <took>  the budget (the run may use 0.01, and has used 480 tokens for 0.008; this could take 116 tokens for 0.00316, for five) added more_budget
        12  <took>  more_budget asks: The budget of this run does not suffice. May it use as much again?
        13  <took>  more_budget: ann answered approve
        14  <took>  five started: plain 1
        15  <took>  five succeeded, with 120 tokens for 0.002
        16  <took>  600 tokens for 0.01 of 0.02 are used
        18  <took>  run succeeded
    exit 0
    ");
    assert_snapshot!(house.type_in("runs show last").lines().filter(|line| line.starts_with("used")).collect::<String>(), @"used      600 tokens for 0.01, of 0.02");
}

#[test]
fn who_is_asked_for_more_sees_why_and_nobody_waits_for_that_at_a_terminal() {
    let house = house(service());
    assert!(house.type_in("run dearer --as eve").ends_with("exit 5"));
    assert_snapshot!(house.type_in("approvals show last"), @r#"
    The budget of this run does not suffice. May it use as much again?

    approval  <id>/more_budget
    workflow  dearer
    started   by eve
    by        the group leads
              not by whoever started the run
    until     any time
    answers   approve, reject
    evidence  <id>
    {
      "task": "b",
      "used": {
        "tokens_in": 100,
        "tokens_out": 20,
        "cost": "0.002"
      },
      "wanted": {
        "tokens_in": 82,
        "tokens_out": 50,
        "cost": "0.00332"
      },
      "limit": {
        "cost": "0.004"
      }
    }
    err: hint: `quorate approvals approve <id>/more_budget --as NAME` says yes, `quorate approvals reject <id>/more_budget --as NAME` no
    exit 0
    "#);
    assert_snapshot!(house.type_in("approvals approve last --as ann"), @"
    err:   <took>  more_budget: ann answered approve
    err:   <took>  b started: plain 1
    err:   <took>  b succeeded
    err:   <took>  c started: plain 1
    err:   <took>  c succeeded
    err:   <took>  the budget (the run may use 0.008, and has used 360 tokens for 0.006; this could take 132 tokens for 0.00332, for d) added more_budget
    err:   <took>  more_budget#2 asks: The budget of this run does not suffice. May it use as much again?
    err: run <id> waits for an answer to more_budget#2 (“The budget of this run does not suffice. May it use as much again?”)
    err: hint: `quorate approvals show <id>` shows what is asked, and how it is answered
    exit 0
    ");
    assert_snapshot!(house.type_in("run free"), @"
    12.50
    err:   <took>  run <id> of free started
    err:   <took>  x started: price 1
    err:   <took>  x succeeded
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    ");
}
