//! Document 001's patterns, written as policies: many voices and one decision, routes by content, stages that may stop.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use house::House;
use insta::assert_snapshot;
use serde_json::Value;

fn trading(policies: &str) -> House {
    let house = House::empty();
    house.write("quorate.yaml", "name: trading\ndefault: policies\n");
    house.write(
        "agents/agents.yaml",
        "agents:
  MOMENTUM: { use: std.echo, output: { 'momentum_strength?': { type: number, minimum: 0, maximum: 1 }, 'direction?': { enum: [up, down] } } }
  RISK: { use: std.echo, output: { 'risk_score?': { type: number, minimum: 0, maximum: 1 }, 'risk_level?': { enum: [low, high, blocked] } } }
  CORRELATION: { use: std.echo, output: { 'impact?': { type: number, minimum: 0, maximum: 1 } } }
  VALIDATION: { use: std.echo, output: { 'quality_score?': number } }
  RISK_CHECK: { use: std.echo, output: { 'overall_risk?': number } }
  POSITION_SIZING: { use: std.echo, output: { 'stop_workflow?': bool, 'reason?': text } }
  EXECUTION_TIMING: { use: std.echo, output: { action: text } }
  AUDIT: { use: std.echo }
",
    );
    house.write("policies/policies.yaml", policies);
    house
}

fn ran(house: &House, work: &str) -> Value {
    let output = house.run(&["run", ".", "--json", "-i", work], "");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// What was decided and why, without what was not.
fn told(house: &House, work: &str) -> String {
    ran(house, work);
    let explained = house.type_in("policy explain last");
    let from = explained.lines().skip_while(|line| !line.starts_with("The decision"));
    from.filter(|line| !line.starts_with("  not ") && !line.starts_with("exit")).map(|line| format!("{line}\n")).collect()
}

/// momentum × 0.4 + (1 - risk score) × 0.4 + correlation impact × 0.2, of which two have to be there.
const FAN_IN: &str = "policies:
  default:
    mandatory_agents: [MOMENTUM, RISK, CORRELATION]
    parallel_groups: [[MOMENTUM, RISK, CORRELATION]]
    decision_checkpoints:
      - id: weighted_average
        voices:
          by: weighted
          at_least: 2
          of:
            - { agent: MOMENTUM, weight: 0.4, says: momentum_strength }
            - { agent: RISK, weight: 0.4, says: 1 - risk_score, veto: risk_level == 'blocked' }
            - { agent: CORRELATION, weight: 0.2, says: impact }
          actions:
            - { when: score >= 0.7 and MOMENTUM.direction == 'up', then: buy }
            - { when: score >= 0.7 and MOMENTUM.direction == 'down', then: sell }
            - { then: hold }
          insufficient: insufficient_data
          vetoed: blocked
    finally: [AUDIT]
";

#[test]
fn three_agents_come_to_one_decision() {
    let house = trading(FAN_IN);
    let signal = |rest: &str| format!(r#"{{"momentum_strength": 0.9, "direction": "up", {rest}}}"#);
    assert_snapshot!(told(&house, &signal(r#""risk_score": 0.2, "risk_level": "low", "impact": 0.5"#)), @"
    The decision is buy, with a confidence of 0.78: weighted_average: the weighted mean is 0.78.
      MOMENTUM says 0.9, weight 0.4
      RISK says 0.8, weight 0.4
      CORRELATION says 0.5, weight 0.2
    What was looked at, in this order:
      weighted_average, in any case: what MOMENTUM, RISK and CORRELATION say is weighed
    Why nothing else was decided:
    What would have been enough for another one:
      hold: score is 0.78, needs less than 0.7 (weighted_average)
      sell: MOMENTUM.direction is 'up', needs to be 'down' (weighted_average)
    ");
    assert_snapshot!(told(&house, &signal(r#""risk_score": 0.2, "risk_level": "low""#)), @"
    The decision is buy, with a confidence of 0.85: weighted_average: the weighted mean is 0.85.
      MOMENTUM says 0.9, weight 0.4
      RISK says 0.8, weight 0.4
      CORRELATION is not heard: `impact` is missing, weight 0.2
    What was looked at, in this order:
      weighted_average, in any case: what MOMENTUM, RISK and CORRELATION say is weighed
    Why nothing else was decided:
    What would have been enough for another one:
      hold: score is 0.85, needs less than 0.7 (weighted_average)
      sell: MOMENTUM.direction is 'up', needs to be 'down' (weighted_average)
    ");
    assert_snapshot!(told(&house, &signal(r#""risk_score": 0.0, "risk_level": "blocked", "impact": 1"#)), @"
    The decision is blocked: weighted_average: RISK vetoes.
      MOMENTUM says 0.9, weight 0.4
      RISK says 1, weight 0.4, and vetoes
      CORRELATION has not been heard, weight 0.2
    What was looked at, in this order:
      weighted_average, in any case: what MOMENTUM, RISK and CORRELATION say is weighed
    Why nothing else was decided:
    ");
    assert_snapshot!(told(&house, r#"{"risk_score": 0.2, "risk_level": "low"}"#), @"
    The decision is insufficient_data: weighted_average: 1 of 3 voices can be heard, and it takes 2.
      MOMENTUM is not heard: `momentum_strength` is missing, weight 0.4
      RISK says 0.8, weight 0.4
      CORRELATION is not heard: `impact` is missing, weight 0.2
    What was looked at, in this order:
      weighted_average, in any case: what MOMENTUM, RISK and CORRELATION say is weighed
    Why nothing else was decided:
    ");
    let run = ran(&house, &signal(r#""risk_score": 0.2, "risk_level": "low", "impact": 0.5"#));
    assert_eq!(run["execution_path"], "[MOMENTUM || RISK || CORRELATION] -> Decision -> AUDIT");
    assert_eq!(run["decision"]["council"]["by"], "weighted");
    let names: Vec<&str> = run["decision"]["contributors"].as_array().unwrap().iter().filter_map(|one| one["task"].as_str()).collect();
    assert_eq!(names, ["MOMENTUM", "RISK", "CORRELATION"]);
}

/// The first rule that matches has the signal; what goes with the action is said by its policy.
const ROUTES: &str = "input: { instrument: text, 'risk_level?': text, 'momentum_strength?': number }
rules:
  - name: crypto_high_risk
    when: instrument ends_with '/USD' and default(risk_level, 'low') == 'high'
    policy: crypto_high_risk
  - name: forex_momentum
    when: length(instrument) == 6 and default(momentum_strength, 0) > 0.7
    policy: forex_momentum
  - { name: default, policy: standard }
policies:
  crypto_high_risk:
    mandatory_agents: [RISK]
    decision_checkpoints:
      after: RISK
      condition: always
      action: trade_with_caution
      reason: 'the risk of {{ input.instrument }} is {{ risk_level }}'
      with: { position_multiplier: 0.5, additional_checks: [volatility, liquidity], handler: crypto_high_risk, instrument: '{{ input.instrument }}' }
  forex_momentum:
    mandatory_agents: [MOMENTUM]
    decision_checkpoints: { after: MOMENTUM, condition: always, action: trade, with: { strategy: momentum_breakout, strength: '{{ momentum_strength }}' } }
  standard: { mandatory_agents: [RISK], otherwise: trade }
";

#[test]
fn a_signal_goes_where_the_first_rule_sends_it() {
    let house = trading(ROUTES);
    assert_snapshot!(house.type_in("check"), @"
    3 policies and 8 agents: all is well
    exit 0
    ");
    assert_snapshot!(told(&house, r#"{"instrument": "BTC/USD", "risk_level": "high"}"#), @r#"
    The decision is trade_with_caution: checkpoint_1 holds.
      because the risk of BTC/USD is high
      with {"position_multiplier":0.5,"additional_checks":["volatility","liquidity"],"handler":"crypto_high_risk","instrument":"BTC/USD"}
    What was looked at, in this order:
      checkpoint_1, in any case: trade_with_caution
    Why nothing else was decided:
    "#);
    assert_snapshot!(told(&house, r#"{"instrument": "EURUSD", "momentum_strength": 0.8}"#), @"
    The decision is trade: checkpoint_1 holds.
      with strategy momentum_breakout, strength 0.8
    What was looked at, in this order:
      checkpoint_1, in any case: trade
    Why nothing else was decided:
    ");
    let run = ran(&house, r#"{"instrument": "EURUSD"}"#);
    assert_eq!((&run["target"], &run["decision"]["action"]), (&"standard".into(), &"trade".into()));
    let run = ran(&house, r#"{"instrument": "BTC/USD", "risk_level": "high"}"#);
    assert_snapshot!(run["decision"]["with"]["value"], @r#"{"position_multiplier":0.5,"additional_checks":["volatility","liquidity"],"handler":"crypto_high_risk","instrument":"BTC/USD"}"#);
}

/// Validation, risk, size, and timing: each of them may stop it.
const STAGES: &str = "policies:
  default:
    stages:
      - { agent: VALIDATION, stop_when: quality_score < 0.6, reason: poor_signal_quality }
      - { agent: RISK_CHECK, stop_when: overall_risk > 0.8, reason: 'excessive_risk: {{ overall_risk }}', action: ESCALATE }
      - POSITION_SIZING
      - EXECUTION_TIMING
    decision_checkpoints: { after: EXECUTION_TIMING, condition: always, action: FOLLOW_DECISION }
    finally: [AUDIT]
";

#[test]
fn a_stage_may_stop_what_comes_after_it() {
    let house = trading(STAGES);
    let signal = |rest: &str| format!(r#"{{"quality_score": 0.9, "overall_risk": 0.3, "action": "AUTO_RESOLVE"{rest}}}"#);
    let path = |work: &str| {
        let run = ran(&house, work);
        format!("{}: {} {}", run["execution_path"], run["decision"]["action"], run["decision"]["reason"])
    };
    assert_snapshot!(path(&signal("")), @r#""VALIDATION -> RISK_CHECK -> POSITION_SIZING -> EXECUTION_TIMING -> Decision -> AUDIT": "AUTO_RESOLVE" null"#);
    assert_snapshot!(path(&signal("").replace("0.9", "0.59")), @r#""VALIDATION -> Decision -> AUDIT": "REJECTED" "poor_signal_quality""#);
    assert_snapshot!(path(&signal("").replace("0.3", "0.85")), @r#""VALIDATION -> RISK_CHECK -> Decision -> AUDIT -> review": "ESCALATE" "excessive_risk: 0.85""#);
    // A stage may say so itself, with its reason.
    assert_snapshot!(path(&signal(r#", "stop_workflow": true, "reason": "no room left""#)), @r#""VALIDATION -> RISK_CHECK -> POSITION_SIZING -> Decision -> AUDIT": "REJECTED" "no room left""#);
    assert_snapshot!(path(&signal(r#", "stop_workflow": true"#)), @r#""VALIDATION -> RISK_CHECK -> POSITION_SIZING -> Decision -> AUDIT": "REJECTED" "POSITION_SIZING ends it""#);
    // Where it cannot be said whether it stops, and where it fails, people decide; and what comes last runs all the same.
    assert_snapshot!(path(r#"{"overall_risk": 0.3, "action": "AUTO_RESOLVE"}"#), @r#""VALIDATION -> Decision -> AUDIT -> review": "HIL_REVIEW" null"#);
    let agents = std::fs::read_to_string(house.path().join("agents/agents.yaml")).unwrap();
    house.write("agents/agents.yaml", &agents.replace("RISK_CHECK: { use: std.echo", "RISK_CHECK: { use: std.fail"));
    assert_snapshot!(path(&signal("")), @r#""VALIDATION -> RISK_CHECK -> Decision -> AUDIT -> review": "HIL_REVIEW" null"#);
}

#[test]
fn a_stage_that_is_not_needed_ends_nothing() {
    let house = trading(&STAGES.replace("stop_when: overall_risk > 0.8,", "stop_when: overall_risk > 0.8, when: input.risky,").replace(
        "    decision_checkpoints: { after: EXECUTION_TIMING, condition: always, action: FOLLOW_DECISION }\n",
        "    otherwise: trade\n",
    ));
    let run = ran(&house, r#"{"quality_score": 0.9, "risky": false, "action": "AUTO_RESOLVE"}"#);
    assert_eq!(
        (&run["execution_path"], &run["decision"]["action"]),
        (&"VALIDATION -> POSITION_SIZING -> EXECUTION_TIMING -> Decision -> AUDIT".into(), &"trade".into()),
        "{}",
        run["decision"]
    );
    let run = ran(&house, r#"{"quality_score": 0.9, "risky": true, "action": "AUTO_RESOLVE"}"#);
    assert_eq!(run["decision"]["action"], "HIL_REVIEW", "whether it ends it is not known: {}", run["decision"]);
}

#[test]
fn voices_may_stand_behind_a_phase() {
    let house = trading("policies:
  default:
    routing:
      phase_1: [MOMENTUM, RISK]
      decision_checkpoint_1: { voices: { by: weighted, of: [{ agent: MOMENTUM, weight: 1e-1, says: momentum_strength }, { agent: RISK, weight: 3e-1, says: risk_score }], actions: [{ then: hold }] } }
");
    assert_snapshot!(told(&house, r#"{"momentum_strength": 0.5, "risk_score": 1}"#), @"
    The decision is hold, with a confidence of 0.875: checkpoint_1: the weighted mean is 0.875.
      MOMENTUM says 0.5, weight 0.1
      RISK says 1, weight 0.3
    What was looked at, in this order:
      checkpoint_1, in any case: what MOMENTUM and RISK say is weighed
    Why nothing else was decided:
    ");
}

#[test]
fn what_is_wrong_with_voices_and_stages_is_shown_in_its_place() {
    let house = trading(
        "policies:
  a:
    mandatory_agents: [MOMENTUM, RISK]
    decision_checkpoints:
      - { voices: { by: loudest, of: [MOMENTUM] } }
      - { voices: { by: weighted, of: [{ agent: MOMENTUM, weight: -1, says: momentum_strenght }, { agent: NOBODY }] } }
      - { voices: { by: majority, of: [RISK, RISK], at_least: 3 }, action: ESCALATE }
      - { after: RISK, action: ESCALATE }
      - { after: RISK, condition: risk_level == 'purple', action: ESCALATE, reason: '{{ nothing }}', with: { x: '{{ risk_scor }}' } }
  b:
    stages: [VALIDATION, { agent: RISK_CHECK, stop_when: overall_rsk > 0.8 }]
    parallel_groups: [[VALIDATION]]
",
    );
    assert_snapshot!(house.type_in("check"), @"
    err: error[F004]: `by` is one of weighted, majority, unanimity, first, best, not `loudest`
    err:  --> policies/policies.yaml:5:25
    err:   |
    err: 5 |       - { voices: { by: loudest, of: [MOMENTUM] } }
    err:   |                         ^^^^^^^
    err:
    err: error[P026]: nothing says what the weighted mean means
    err:  --> policies/policies.yaml:6:19
    err:   |
    err: 6 | ...s: { by: weighted, of: [{ agent: MOMENTUM, weight: -1, says: momentum_strenght }, { agent: NOBODY }] } }
    err:   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: write `actions: [{ when: score >= 0.7, then: AUTO_RESOLVE }]`
    err:
    err: error[F005]: `weight` is a number from 0 to 1000, not -1
    err:  --> policies/policies.yaml:6:67
    err:   |
    err: 6 |       - { voices: { by: weighted, of: [{ agent: MOMENTUM, weight: -1, say...
    err:   |                                                                   ^^
    err:
    err: error[P010]: there is no task `NOBODY`
    err:  --> policies/policies.yaml:6:107
    err:   |
    err: 6 | ...: momentum_strenght }, { agent: NOBODY }] } }
    err:   |                                    ^^^^^^
    err:
    err: error[W006]: two things follow from this checkpoint
    err:  --> policies/policies.yaml:7:9
    err:   |
    err: 7 | ... - { voices: { by: majority, of: [RISK, RISK], at_least: 3 }, action: ESCALATE }
    err:   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: give it `action`, `follow`, `add` or `voices`: one of them
    err:
    err: error[F002]: a checkpoint needs `condition`
    err:  --> policies/policies.yaml:8:9
    err:   |
    err: 8 |       - { after: RISK, action: ESCALATE }
    err:   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: write `always` if it is to hold in any case
    err:
    err: error[X045]: 'purple' is not a value that this can have
    err:  --> policies/policies.yaml:9:35
    err:   |
    err: 9 |       - { after: RISK, condition: risk_level == 'purple', action: ESCALAT...
    err:   |                                   ^^^^^^^^^^^^^^^^^^^^^^
    err:   |
    err:   = help: it is one of low, high, blocked
    err:
    err: error[D011]: `stages` and `parallel_groups` both say what runs
    err:   --> policies/policies.yaml:12:22
    err:    |
    err: 12 |     parallel_groups: [[VALIDATION]]
    err:    |                      ^^^^^^^^^^^^^^
    err:    |
    err:    = help: leave one of them out
    err:
    err: 8 mistakes and 0 warnings
    exit 3
    ");
}
