//! Requests, and where they go: rules, what came close, the default, an agent that is asked, and what is on record of it.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use house::House;

/// What document 002 asks for.
fn finance() -> House {
    let house = House::empty();
    house.write("workflows/greet.yaml", "tasks: [{ id: hello, agent: std.echo }]\n");
    house.write(
        "quorate.yaml",
        "name: house\nroutes:\n  - { name: forecasts, keywords: [forecast, cash flow], agent: forecasting_agent }\n  - { keywords: alert, agent: alert_agent }\n  - { keywords: report, capability: reporting }\n  - { name: large, when: amount > 10000, workflow: greet }\n  - { agent: ai_cfo_agent }\n",
    );
    let agents = ["forecasting_agent", "alert_agent", "ai_cfo_agent"].map(|id| format!("  {id}: {{ use: std.echo }}\n")).concat();
    house.write("agents/all.yaml", &format!("agents:\n{agents}  reporting_agent: {{ use: std.echo, capabilities: [reporting] }}\n"));
    house
}

#[test]
fn the_first_rule_that_matches_decides_and_what_came_close_is_told() {
    let house = finance();
    let mut shown = String::new();
    for request in [
        "What is our FORECAST for May?",
        "Alert me!",
        "alert: the cash-flow report",
        "reconcile the bank statement data",
        "reforecast it",
        "risk analysis report",
        "hello",
    ] {
        let told = house.type_in(&format!("ask '{request}' --dry-run"));
        shown += &format!("{request}\n{}\n", told.replace("\nexit 0", "").lines().map(|line| format!("    {line}\n")).collect::<String>());
    }
    insta::assert_snapshot!(shown, @"
    What is our FORECAST for May?
        it goes to the agent forecasting_agent: the rule forecasts matches: `forecast`

    Alert me!
        it goes to the agent alert_agent: the rule 2 matches: `alert`

    alert: the cash-flow report
        it goes to the agent forecasting_agent: the rule forecasts matches: `cash flow`
          rule 2: matches as well, but stands later: `alert`
          rule 3: matches as well, but stands later: `report`

    reconcile the bank statement data
        it goes to the agent ai_cfo_agent: no rule decides, and this is the default
          rule large: is unknown: there is no `amount`

    reforecast it
        it goes to the agent ai_cfo_agent: no rule decides, and this is the default
          rule forecasts: `reforecast` contains `forecast`, but is another word
          rule large: is unknown: there is no `amount`

    risk analysis report
        it goes to an agent that can do reporting: the rule 3 matches: `report`

    hello
        it goes to the agent ai_cfo_agent: no rule decides, and this is the default
          rule large: is unknown: there is no `amount`
    ");
}

#[test]
fn conditions_look_at_the_fields_of_a_request() {
    let house = finance();
    insta::assert_snapshot!(house.type_in(r#"ask 'pay this' -i '{"amount": 20000}' --dry-run"#), @"
    it goes to the workflow greet: the rule large matches: amount is 20000
    exit 0
    ");
    insta::assert_snapshot!(house.type_in(r#"ask 'pay this' -i '{"amount": 20}' --dry-run"#), @"
    it goes to the agent ai_cfo_agent: no rule decides, and this is the default
    exit 0
    ");
    insta::assert_snapshot!(house.type_in(r#"ask -i '{"messages": [{"role": "user", "content": "Any alert?"}]}' --dry-run"#), @"
    it goes to the agent alert_agent: the rule 2 matches: `alert`
    exit 0
    ");
    insta::assert_snapshot!(house.type_in(r#"ask -i '{"amount": "much"}' --dry-run --json"#), @r#"
    {"schema":"quorate.route/1","route":{"to":{"agent":"ai_cfo_agent"},"by":"default","close":[{"rule":"large","why":"is unknown: amount is 'much'"}]},"classifier":null}
    exit 0
    "#);
    // What is unknown in front of a rule that matches leaves the rules undecided.
    house.write(
        "quorate.yaml",
        "name: house\nroutes:\n  - { when: amount > 10000, agent: alert_agent }\n  - { keywords: report, agent: reporting_agent }\n  - { agent: ai_cfo_agent }\n",
    );
    insta::assert_snapshot!(house.type_in("ask 'the report' --dry-run"), @"
    it goes to the agent ai_cfo_agent: no rule decides, and this is the default
      rule 1: is unknown: there is no `amount`
      rule 2: matches, but stands behind one that is unknown: `report`
    exit 0
    ");
}

#[test]
fn a_request_is_answered_and_it_is_on_record_why_by_whom() {
    let house = finance();
    insta::assert_snapshot!(house.type_in("ask 'our forecast'"), @"
    our forecast
    err: it goes to the agent forecasting_agent: the rule forecasts matches: `forecast`
    err:   <took>  run <id> of forecasting_agent started
    err:   <took>  answer started: forecasting_agent 1
    err:   <took>  answer succeeded
    err:   <took>  run succeeded
    err: run <id> has ended well, in <took>
    exit 0
    ");
    assert!(house.type_in("runs explain last").contains("started it, at <time>; the rule forecasts matches: `forecast`"));
    insta::assert_snapshot!(house.type_in("ask 'our forecast' --agent alert_agent --quiet"), @"
    our forecast
    exit 0
    ");
    insta::assert_snapshot!(house.type_in(r#"ask -i '{"name": "Ann"}' --workflow greet --quiet"#), @r#"
    {
      "name": "Ann"
    }
    exit 0
    "#);
    insta::assert_snapshot!(house.type_with("ask - --quiet", "our report, please\n"), @"
    our report, please
    exit 0
    ");
}

#[test]
fn a_request_that_goes_nowhere_says_so() {
    let house = finance();
    insta::assert_snapshot!(house.type_in("ask hi --agent alert_agnt"), @"
    err: error: there is no agent `alert_agnt`
    err: hint: did you mean `alert_agent`?
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("ask hi --workflow gret"), @"
    err: error: there is no workflow `gret`
    err: hint: did you mean `greet`?
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("ask hi --agent alert_agent --workflow greet"), @"
    err: error: the argument '--agent <ID>' cannot be used with '--workflow <ID>'
    err:
    err: Usage: quorate ask --agent <ID> <REQUEST>
    err:
    err: For more information, try '--help'.
    exit 2
    ");
    assert_eq!(house.type_in("ask ''"), house.type_in("ask"));
    insta::assert_snapshot!(house.type_in("ask"), @r#"
    err: error: nothing is asked
    err: hint: quorate ask "…", or -i with JSON
    exit 2
    "#);
    insta::assert_snapshot!(house.type_in("ask hi -i 3"), @"
    err: error: with a request in words, the input is an object that says more about it
    exit 2
    ");
    house.write("quorate.yaml", "name: house\nroutes: [{ keywords: x, agent: alert_agent }]\n");
    insta::assert_snapshot!(house.type_in("ask hi"), @"
    err: error: nothing says where this request goes: no rule decides, and there is no default
    err: hint: end `routes:` in quorate.yaml with a rule that has neither keywords nor a condition: that is the default
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("ask hi --dry-run"), @"
    it goes nowhere: no rule decides, and there is no default
    exit 4
    ");
    house.write("quorate.yaml", "name: house\n");
    insta::assert_snapshot!(house.type_in("ask hi"), @"
    err: error: nothing says where this request goes: the project has no `routes`
    err: hint: end `routes:` in quorate.yaml with a rule that has neither keywords nor a condition: that is the default
    exit 4
    ");
}

#[test]
fn an_agent_is_asked_where_no_rule_matches() {
    let house = finance();
    let rules = "routes: [{ keywords: alert, agent: alert_agent }, { agent: ai_cfo_agent }]\n";
    let classifier = |answer: &str| {
        house.write("quorate.yaml", &format!("name: house\nclassifier: router\n{rules}"));
        house.write("agents/router.yaml", &format!("agents: {{ router: {{ use: std.set, params: {{ value: {answer} }} }} }}\n"));
    };
    classifier("{ agent: reporting_agent, confidence: 0.8 }");
    insta::assert_snapshot!(house.type_in("ask 'an alert' --dry-run"), @"
    it goes to the agent alert_agent: the rule 1 matches: `alert`
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("ask 'something new' --dry-run"), @"
    it goes to the agent ai_cfo_agent: no rule decides, and this is the default
      router would be asked first
    exit 0
    ");
    let told = house.type_in("ask 'something new'");
    insta::assert_snapshot!(told.lines().filter(|line| line.contains("it goes")).collect::<String>(), @"err: it goes to the agent reporting_agent: no rule decides, and router said so");
    classifier("{ workflow: greet }");
    assert!(house.type_in("ask 'something new'").contains("it goes to the workflow greet: no rule decides, and router said so"));
    // One that names nothing leaves it to the default; without a default nothing is done.
    classifier("{ agent: nobody }");
    let told = house.type_in("ask 'something new'");
    insta::assert_snapshot!(told.lines().filter(|line| line.contains("it goes") || line.contains("asked")).collect::<Vec<_>>().join("\n"), @r#"
    err: it goes to the agent ai_cfo_agent: no rule decides, and this is the default
    err:   router was asked, and named nothing that is there: {"agent":"nobody"}
    "#);
    let told = house.type_in("runs explain last");
    insta::assert_snapshot!(told.lines().skip(3).take(2).collect::<Vec<_>>().join("\n"), @r#"
    1  <took>  eve started it, at <time>; no rule decides, and this is the default
                router was asked, and named nothing that is there: {"agent":"nobody"}
    "#);
    house.write("quorate.yaml", "name: house\nclassifier: router\n");
    insta::assert_snapshot!(house.type_in("ask 'something new'"), @r#"
    err: error: router was asked where this request goes, and named nothing that is there: {"agent":"nobody"}
    exit 1
    "#);
}

#[test]
fn mistakes_in_routes_are_found() {
    let house = finance();
    house.write(
        "quorate.yaml",
        "name: house\nclassifier: nobody\nroutes:\n  - { keywords: [a, '!'], agent: alert_agnt }\n  - { keywords: b }\n  - { keywords: c, agent: alert_agent, workflow: greet }\n  - { when: amount >, agent: alert_agent }\n  - { when: upper(text), agent: alert_agent }\n  - { capabilities: [flying] }\n  - { keywords: d, workflow: gret }\n  - { keywords: [], workflow: greet }\n",
    );
    insta::assert_snapshot!(house.type_in("check"), @"
    err: error[A010]: there is no agent `nobody`
    err:  --> quorate.yaml:2:13
    err:   |
    err: 2 | classifier: nobody
    err:   |             ^^^^^^
    err:   |
    err:   = help: there are: ai_cfo_agent, alert_agent, forecasting_agent, reporting_agent
    err:
    err: error[R006]: a keyword has letters or digits
    err:  --> quorate.yaml:4:5
    err:   |
    err: 4 |   - { keywords: [a, '!'], agent: alert_agnt }
    err:   |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:
    err: error[R004]: there is no agent `alert_agnt`
    err:  --> quorate.yaml:4:34
    err:   |
    err: 4 |   - { keywords: [a, '!'], agent: alert_agnt }
    err:   |                                  ^^^^^^^^^^
    err:   |
    err:   = help: did you mean `alert_agent`?
    err:
    err: error[R001]: nothing says where such requests go
    err:  --> quorate.yaml:5:5
    err:   |
    err: 5 |   - { keywords: b }
    err:   |     ^^^^^^^^^^^^^^^
    err:   |
    err:   = help: name one `agent`, `capabilities` or `workflow`
    err:
    err: error[R002]: such requests go to one place, and here are several
    err:  --> quorate.yaml:6:5
    err:   |
    err: 6 |   - { keywords: c, agent: alert_agent, workflow: greet }
    err:   |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: name one `agent`, `capabilities` or `workflow`
    err:
    err: error[X011]: the condition ends where a value should stand
    err:  --> quorate.yaml:7:21
    err:   |
    err: 7 |   - { when: amount >, agent: alert_agent }
    err:   |                     ^
    err:
    err: error[X040]: a condition is true or false, but this is a text
    err:  --> quorate.yaml:8:13
    err:   |
    err: 8 |   - { when: upper(text), agent: alert_agent }
    err:   |             ^^^^^^^^^^^
    err:
    err: error[R004]: no agent can do flying
    err:  --> quorate.yaml:9:21
    err:   |
    err: 9 |   - { capabilities: [flying] }
    err:   |                     ^^^^^^^^
    err:
    err: warning[R003]: no request comes this far
    err:   --> quorate.yaml:10:5
    err:    |
    err:  9 |   - { capabilities: [flying] }
    err:    |     -------------------------- this rule takes all that come to it
    err: 10 |   - { keywords: d, workflow: gret }
    err:    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:    |
    err:    = help: put the rule that takes all last
    err:
    err: error[R004]: there is no workflow `gret`
    err:   --> quorate.yaml:10:30
    err:    |
    err: 10 |   - { keywords: d, workflow: gret }
    err:    |                              ^^^^
    err:    |
    err:    = help: did you mean `greet`?
    err:
    err: warning[R003]: no request comes this far
    err:   --> quorate.yaml:11:5
    err:    |
    err:  9 |   - { capabilities: [flying] }
    err:    |     -------------------------- this rule takes all that come to it
    err: 10 |   - { keywords: d, workflow: gret }
    err: 11 |   - { keywords: [], workflow: greet }
    err:    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:    |
    err:    = help: put the rule that takes all last
    err:
    err: error[R006]: there are no keywords here
    err:   --> quorate.yaml:11:5
    err:    |
    err: 11 |   - { keywords: [], workflow: greet }
    err:    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:    |
    err:    = help: a rule without `keywords` and `when` takes every request
    err:
    err: 10 mistakes and 2 warnings
    exit 3
    ");
}
