//! Which agent is chosen, as stories: agents, a script of what is asked and what happens, and each choice with its
//! explanation.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use quorate_agents::{Agent, Ask, BreakerRule, Grant, Picked, Place, Registry};
use quorate_core::{AgentRef, Asker, Digest, FailureClass, Millis, Payload, Reply, Timestamp};

/// Agents from lines such as `senior: code debug; priority 10, slots 2`. What stands behind a name in brackets is its version.
fn agent(line: &str) -> Agent {
    let (name, rest) = line.split_once(':').unwrap_or((line, ""));
    let (name, version) = name.split_once('@').unwrap_or((name, "1"));
    let (capabilities, settings) = rest.split_once(';').unwrap_or((rest, ""));
    let rule = BreakerRule { failures: 2, within: Millis(60_000), open_for: Millis(30_000), trials: 1 };
    let mut agent = Agent::from_quick(name.trim(), |_| Ok(Reply::new(Payload::null()))).version(version).breaker(rule);
    agent = agent.capabilities(capabilities.split_whitespace());
    for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
        let (what, value) = setting.split_once(' ').unwrap();
        agent = match what {
            "priority" => agent.priority(value.parse().unwrap()),
            "slots" => agent.max_concurrent(value.parse().unwrap()),
            "weight" => agent.weight(value.parse().unwrap()),
            "share" => agent.share(value.parse().unwrap()),
            "at" => agent.endpoints(value.split_whitespace()),
            "by" => agent.sticky_by(value),
            other => panic!("an agent has no {other}"),
        };
    }
    agent
}

/// Who stands in line, and what came to them.
type Told = Arc<Mutex<Vec<(String, Option<Place>)>>>;

#[derive(Default)]
struct Story {
    registry: Registry,
    now: Timestamp,
    /// Places that are taken, by agent.
    taken: BTreeMap<String, Vec<Place>>,
    told: Told,
    shown: String,
}

fn story(agents: &str, script: &str) -> String {
    let mut story = Story::default();
    agents.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| story.registry.register(agent(line)));
    for line in script.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
        story.line(line);
        story.tell();
    }
    story.shown
}

impl Story {
    fn line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (verb, who) = (words.next().unwrap(), words.next().unwrap_or_default());
        let rest: Vec<&str> = words.collect();
        match verb {
            "at" => self.now = Timestamp::from_micros(who.parse::<i64>().unwrap() * 1_000_000),
            "done" => self.first_of(who).succeeded(),
            "fail" => self.first_of(who).failed(FailureClass::Unavailable, None, self.now),
            "rest" => self.first_of(who).failed(FailureClass::RateLimited, Some(Millis(5_000)), self.now),
            "disable" => assert!(self.registry.disable(who, None)),
            "drain" => assert!(self.registry.drain(who, None)),
            "enable" => assert!(self.registry.enable(who, None)),
            "register" => self.registry.register(agent(line.strip_prefix("register").unwrap())),
            "unregister" => assert!(self.registry.unregister(who)),
            "call" => self.ask(&Asker::Agent(&who.into()), line, &rest),
            "ask" => {
                let wanted: Vec<Arc<str>> = who.split('+').map(Arc::from).collect();
                self.ask(&Asker::Capabilities(&wanted), line, &rest);
            }
            other => panic!("the script says {other}"),
        }
    }

    fn first_of(&mut self, who: &str) -> Place {
        let places = self.taken.get_mut(who).unwrap_or_else(|| panic!("{who} has nothing to do:\n{}", self.shown));
        let place = places.remove(0);
        if places.is_empty() {
            self.taken.remove(who);
        }
        place
    }

    /// What follows `after` was tried already; what follows `for` is the key; `urgent` is what it says.
    fn ask(&mut self, asker: &Asker<'_>, line: &str, rest: &[&str]) {
        let value = |name: &str| rest.iter().position(|word| *word == name).and_then(|position| rest.get(position + 1)).copied();
        let tried: Vec<Arc<AgentRef>> = value("after")
            .map(|tried| tried.split('+').map(|id| Arc::new(AgentRef::new(id, "1", quorate_core::Effect::None))).collect())
            .unwrap_or_default();
        let key = |path: Option<&str>| Digest::of(format!("{}{}", path.unwrap_or_default(), value("for").unwrap_or("k")).as_bytes());
        let slate = match self.registry.slate(asker) {
            Ok(slate) => slate,
            Err(none) => return writeln!(self.shown, "{line}: {none}").unwrap(),
        };
        let picked = slate.choose(Ask { now: self.now, tried: &tried, key: &key, held: None });
        match picked {
            Picked::Agent { identity, place, choice } => {
                let why = choice.map_or_else(|| " was named".to_owned(), |choice| format!(", {choice} (others: {})", choice.others));
                writeln!(self.shown, "{line}: {identity}{why}").unwrap();
                self.taken.entry(identity.id.to_string()).or_default().push(place);
            }
            Picked::Nobody { failure, for_now } => {
                let ends = if for_now { " for now" } else { "" };
                let wait = failure.retry_after.map(|wait| format!(" [{} ms]", wait.0)).unwrap_or_default();
                writeln!(self.shown, "{line}: nobody{ends}{wait}: {}", failure.message).unwrap();
            }
            Picked::Full(wanted) => {
                writeln!(self.shown, "{line}: stands in line").unwrap();
                let (told, name) = (self.told.clone(), line.to_owned());
                let grant: Grant = Box::new(move |place| {
                    told.lock().unwrap().push((name, place));
                    Ok(())
                });
                slate.wait(&wanted, if rest.contains(&"urgent") { 10 } else { 5 }, None, grant);
            }
        }
    }

    fn tell(&mut self) {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        for (who, place) in told {
            match place {
                Some(place) => {
                    let id = place.agent().identity().id.to_string();
                    writeln!(self.shown, "  `{who}` gets {id}").unwrap();
                    self.taken.entry(id).or_default().push(place);
                }
                None => writeln!(self.shown, "  `{who}` may ask again").unwrap(),
            }
        }
    }
}

#[test]
fn seniors_come_first_and_juniors_when_they_are_busy() {
    let team = "senior-developer: code_generation code_analysis debugging; priority 10, slots 2
                junior-developer: code_generation; priority 5, slots 5";
    let script = "ask code_generation; ask code_generation; ask code_generation; ask code_analysis; done senior-developer";
    assert_snapshot!(story(team, script), @"
    ask code_generation: senior-developer 1, by priority; junior-developer 1 has a lower priority (5) (others: 1)
    ask code_generation: senior-developer 1, by priority; junior-developer 1 has a lower priority (5) (others: 1)
    ask code_generation: junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken (others: 1)
    ask code_analysis: stands in line
      `ask code_analysis` gets senior-developer
    ");
}

#[test]
fn an_agent_must_have_all_that_is_asked_and_may_have_more() {
    let team = "reader: parse
                writer: parse write
                all: parse write test; priority 1";
    assert_snapshot!(story(team, "ask parse+write; ask write+test; ask parse+fly; call nobody; call reader"), @"
    ask parse+write: writer 1, by priority; all 1 has a lower priority (1) (others: 1)
    ask write+test: all 1, the only one (others: 0)
    ask parse+fly: no agent can do parse, fly; there is all (parse, write, test), reader (parse), writer (parse, write)
    call nobody: no agent is called `nobody`; there is all (parse, write, test), reader (parse), writer (parse, write)
    call reader: reader 1 was named
    ");
}

#[test]
fn among_equals_the_least_busy_then_whose_turn_it_is_then_the_name() {
    let team = "a: x\nb: x\nc: x";
    assert_snapshot!(story(team, "ask x; ask x; ask x; done b; ask x; done a; done b; done c; ask x; done a; ask x"), @"
    ask x: a 1, the first by name; b 1 comes later, c 1 comes later (others: 2)
    ask x: b 1, the first by name; a 1 is busier (1 under way), c 1 comes later (others: 2)
    ask x: c 1, the least busy; a 1 is busier (1 under way), b 1 is busier (1 under way) (others: 2)
    ask x: b 1, the least busy; a 1 is busier (1 under way), c 1 is busier (1 under way) (others: 2)
    ask x: a 1, the first by name; b 1 comes later, c 1 comes later (others: 2)
    ask x: c 1, in turn; a 1 comes later, b 1 comes later (others: 2)
    ");
    // Twice the weight is twice the work, whether calls overlap or not.
    assert_snapshot!(story("a: x; weight 2\nb: x", "ask x; done a; ask x; done b; ask x; done a; ask x; ask x; ask x"), @"
    ask x: a 1, the first by name; b 1 comes later (others: 1)
    ask x: b 1, in turn; a 1 comes later (others: 1)
    ask x: a 1, in turn; b 1 comes later (others: 1)
    ask x: a 1, the first by name; b 1 comes later (others: 1)
    ask x: b 1, the least busy; a 1 is busier (1 under way) (others: 1)
    ask x: a 1, the least busy; b 1 is busier (1 under way) (others: 1)
    ");
}

#[test]
fn who_is_disabled_is_as_if_not_there_and_who_is_drained_is_waited_for() {
    let team = "a: x; priority 9\nb: x";
    assert_snapshot!(story(team, "disable a; ask x; drain b; ask x; enable b; disable b; ask x; call a; enable a; ask x"), @"
    ask x: b 1, the only one free; a 1 is disabled (others: 0)
    ask x: stands in line
      `ask x` gets b
    ask x: nobody: no agent that can do x takes calls: a 1 is disabled, b 1 is disabled
    call a: nobody: no agent that is called `a` takes calls: a 1 is disabled
    ask x: a 1, the only one free; b 1 is disabled (others: 0)
    ");
}

#[test]
fn a_breaker_opens_is_tried_and_closes() {
    let team = "a: x; priority 9\nb: x; slots 1";
    let script = "ask x; fail a; ask x; fail a; ask x; ask x
                  at 30; ask x; ask x; done a; ask x; done a; done b";
    assert_snapshot!(story(team, script), @"
    ask x: a 1, by priority; b 1 has a lower priority (5) (others: 1)
    ask x: a 1, by priority; b 1 has a lower priority (5) (others: 1)
    ask x: b 1, the only one free; a 1 failed too often, and is left alone until 1970-01-01T00:00:30.000000Z (others: 0)
    ask x: stands in line
    ask x: a 1, the only one free; b 1 has its 1 slots taken (others: 1)
    ask x: stands in line
      `ask x` gets a
      `ask x` gets a
    ask x: a 1, the only one free; b 1 has its 1 slots taken (others: 1)
    ");
    // It is tried also where another one is free.
    assert_snapshot!(story("a: x; priority 9\nb: x", "ask x; fail a; ask x; fail a; ask x; at 30; ask x; ask x"), @"
    ask x: a 1, by priority; b 1 has a lower priority (5) (others: 1)
    ask x: a 1, by priority; b 1 has a lower priority (5) (others: 1)
    ask x: b 1, the only one free; a 1 failed too often, and is left alone until 1970-01-01T00:00:30.000000Z (others: 0)
    ask x: a 1, by priority; b 1 has a lower priority (5) (others: 1)
    ask x: b 1, the only one free; a 1 failed too often, and is being tried with another call (others: 0)
    ");
    // Alone, it turns away until it is tried again, and one trial that fails opens it again.
    assert_snapshot!(story("a: x", "call a; fail a; call a; fail a; call a; at 31; call a; call a; fail a; call a; at 62; call a; done a; call a"), @"
    call a: a 1 was named
    call a: a 1 was named
    call a: nobody for now [30000 ms]: no agent that is called `a` takes calls: a 1 failed too often, and is left alone until 1970-01-01T00:00:30.000000Z
    call a: a 1 was named
    call a: nobody for now: no agent that is called `a` takes calls: a 1 failed too often, and is being tried with another call
    call a: nobody for now [30000 ms]: no agent that is called `a` takes calls: a 1 failed too often, and is left alone until 1970-01-01T00:01:01.000000Z
    call a: a 1 was named
    call a: a 1 was named
    ");
}

#[test]
fn who_asks_to_be_left_alone_is_left_alone_and_waited_for() {
    assert_snapshot!(story("a: x; priority 9\nb: x", "ask x; rest a; ask x; at 5; ask x"), @"
    ask x: a 1, by priority; b 1 has a lower priority (5) (others: 1)
    ask x: b 1, the only one free; a 1 asked to be left alone until 1970-01-01T00:00:05.000000Z (others: 0)
    ask x: a 1, by priority; b 1 has a lower priority (5) (others: 1)
    ");
    assert_snapshot!(story("a: x", "ask x; rest a; ask x; at 6; ask x"), @"
    ask x: a 1, the only one (others: 0)
    ask x: stands in line
    ask x: a 1, the only one (others: 0)
    ");
}

#[test]
fn each_endpoint_of_an_agent_is_left_alone_by_itself() {
    let team = "a: x; at env:EAST env:WEST, slots 3";
    assert_snapshot!(story(team, "call a; call a; fail a; call a; fail a; fail a; call a; call a; call a; call a"), @"
    call a: a 1 at env:EAST, the first by name; a 1 at env:WEST comes later (others: 1)
    call a: a 1 at env:WEST, the least busy; a 1 at env:EAST is busier (1 under way) (others: 1)
    call a: a 1 at env:EAST, the least busy; a 1 at env:WEST is busier (1 under way) (others: 1)
    call a: a 1 at env:WEST, the only one free; a 1 at env:EAST failed too often, and is left alone until 1970-01-01T00:00:30.000000Z (others: 0)
    call a: a 1 at env:WEST, the only one free; a 1 at env:EAST failed too often, and is left alone until 1970-01-01T00:00:30.000000Z (others: 0)
    call a: a 1 at env:WEST, the only one free; a 1 at env:EAST failed too often, and is left alone until 1970-01-01T00:00:30.000000Z (others: 0)
    call a: stands in line
    ");
}

#[test]
fn who_failed_at_it_comes_last_and_only_where_there_is_nobody_else() {
    let team = "a: x; priority 9\nb: x; priority 8\nc: x; slots 1";
    assert_snapshot!(story(team, "ask x after a; ask x after a+b; ask x after a+b; ask x after a+b+c; disable b; disable c; ask x after a+b"), @"
    ask x after a: b 1, by priority; a 1 failed at it just now, c 1 has a lower priority (5) (others: 1)
    ask x after a+b: c 1, the only one free; a 1 failed at it just now, b 1 failed at it just now (others: 0)
    ask x after a+b: stands in line
    ask x after a+b+c: a 1, by priority; b 1 has a lower priority (8), c 1 has its 1 slots taken (others: 2)
      `ask x after a+b` may ask again
    ask x after a+b: a 1, the only one free; b 1 is disabled, c 1 is disabled (others: 0)
    ");
}

#[test]
fn a_key_stays_with_its_version_and_moves_only_while_that_one_is_away() {
    let team = "a@1: x; share 1\na@2: x; share 1";
    assert_snapshot!(story(team, "call a for ann; call a for ann; call a for bob; call a for cid; done a; done a"), @"
    call a for ann: a 1, by its share; a 2 has another share of the runs (others: 1)
    call a for ann: a 1, by its share; a 2 has another share of the runs (others: 1)
    call a for bob: a 1, by its share; a 2 has another share of the runs (others: 1)
    call a for cid: a 2, by its share; a 1 has another share of the runs (others: 1)
    ");
    let team = "a@1: x; share 9\na@2: x; share 1\nb: x; priority 3";
    assert_snapshot!(story(team, "ask x for ann; ask x for ann"), @"
    ask x for ann: a 1, by priority; a 2 has another share of the runs, b 1 has a lower priority (3) (others: 2)
    ask x for ann: a 1, by priority; a 2 has another share of the runs, b 1 has a lower priority (3) (others: 2)
    ");
}

#[test]
fn versions_get_their_shares_of_many_keys() {
    let registry = Registry::new();
    registry.register(agent("a@1: x; share 90, slots 100000"));
    registry.register(agent("a@2: x; share 10, slots 100000"));
    let slate = registry.slate(&Asker::Agent(&"a".into())).unwrap();
    let mut second = 0;
    for number in 0..10_000 {
        let key = |_: Option<&str>| Digest::of(&i32::to_be_bytes(number));
        let Picked::Agent { identity, .. } = slate.choose(Ask { now: Timestamp::default(), tried: &[], key: &key, held: None }) else {
            panic!("there is room");
        };
        second += usize::from(&*identity.version == "2");
    }
    assert!((900..1_100).contains(&second), "{second} of 10,000");
}

#[test]
fn lines_are_kept_across_kinds_of_requests_and_places_never_given_twice() {
    let team = "a: x y; slots 1\nb: y z; slots 1";
    let script = "ask x; ask z; ask x; ask y; ask z urgent; done b; done a; done a; done b";
    assert_snapshot!(story(team, script), @"
    ask x: a 1, the only one (others: 0)
    ask z: b 1, the only one (others: 0)
    ask x: stands in line
    ask y: stands in line
    ask z urgent: stands in line
      `ask z urgent` gets b
      `ask x` gets a
      `ask y` gets a
    ");
    // What is registered or enabled while others wait is asked at once.
    assert_snapshot!(story("a: x; slots 1", "ask x; ask x; register b: x; ask x; drain a; done a; ask x; unregister b; ask x; enable a"), @"
    ask x: a 1, the only one (others: 0)
    ask x: stands in line
      `ask x` may ask again
    ask x: b 1, the only one free; a 1 has its 1 slots taken (others: 1)
    ask x: b 1, the only one free; a 1 is drained (others: 0)
    ask x: stands in line
      `ask x` gets a
    ");
}

#[test]
fn a_choice_names_so_many_and_counts_the_rest() {
    let team: String = (0..40).map(|number| format!("agent{number:02}: x\n")).collect();
    let told = story(&team, "ask x");
    assert!(told.contains("agent12 1 comes later, and 27 more (others: 39)"), "{told}");
}

#[tokio::test]
async fn whoever_drains_an_agent_can_wait_until_it_has_nothing_under_way() {
    let registry = Arc::new(Registry::new());
    registry.register(agent("a: x"));
    let slate = registry.slate(&Asker::Agent(&"a".into())).unwrap();
    let key = |_: Option<&str>| Digest::ZERO;
    let Picked::Agent { place, .. } = slate.choose(Ask { now: Timestamp::default(), tried: &[], key: &key, held: None }) else {
        panic!("it is free");
    };
    registry.drain("a", None);
    let waiting = tokio::spawn({
        let registry = registry.clone();
        async move { registry.idle("a").await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(place);
    waiting.await.unwrap();
}

/// There is a quick way of choosing, for the usual case, and a thorough one. Whoever names an agent that nobody asked for as
/// tried takes the thorough one.
#[test]
fn the_quick_way_and_the_thorough_one_choose_the_same_for_the_same_reasons() {
    let nobody = [Arc::new(AgentRef::new("nobody", "1", quorate_core::Effect::None))];
    let key = |_: Option<&str>| Digest::ZERO;
    let mut chosen = 0;
    for seed in 0..300_u64 {
        let mut state = seed;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut lines = Vec::new();
        for number in 0..2 + draw(20) {
            let (priority, slots, weight) = (1 + draw(3), 1 + draw(4), 1 + draw(3));
            lines.push(format!("a{number:02}: x; priority {priority}, slots {slots}, weight {weight}"));
        }
        let team = || {
            let registry = Registry::new();
            lines.iter().for_each(|line| registry.register(agent(line)));
            registry
        };
        let (quick, thorough) = (team(), team());
        let mut places: Vec<(Place, Place)> = Vec::new();
        for step in 0..60 {
            let now = Timestamp::from_micros(step * 2_000_000);
            match draw(4) {
                0 if !places.is_empty() => {
                    let (one, two) = places.swap_remove(usize::try_from(draw(places.len() as u64)).unwrap());
                    if draw(2) == 0 {
                        one.failed(FailureClass::Unavailable, None, now);
                        two.failed(FailureClass::Unavailable, None, now);
                    }
                }
                _ => {
                    let ask = |registry: &Registry, tried| {
                        let slate = registry.slate(&Asker::Capabilities(&["x".into()])).unwrap();
                        slate.choose(Ask { now, tried, key: &key, held: None })
                    };
                    match (ask(&quick, &[]), ask(&thorough, &nobody)) {
                        (
                            Picked::Agent { identity: one, place, choice },
                            Picked::Agent { identity: two, place: other, choice: reasons },
                        ) => {
                            assert_eq!((one, choice), (two, reasons), "seed {seed}, step {step}");
                            places.push((place, other));
                            chosen += 1;
                        }
                        (Picked::Full(_), Picked::Full(_)) | (Picked::Nobody { .. }, Picked::Nobody { .. }) => {}
                        (one, two) => panic!("seed {seed}, step {step}: {one:?} and {two:?}"),
                    }
                }
            }
        }
    }
    assert!(chosen > 5_000, "{chosen}");
}
