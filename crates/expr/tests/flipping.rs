//! What would have to be otherwise for a condition to come out the other way.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod conditions_of;

use conditions_of::{VARIABLES, any_condition, condition, everything, position};
use proptest::prelude::*;
use quorate_expr::{Checked, Truth, Value, Why};

/// The values of all names, in the order of [`VARIABLES`], as the slots of a condition read them.
fn slots(condition: &Checked, values: &[Value<'static>]) -> Vec<Value<'static>> {
    condition.slots().iter().map(|slot| values[position(slot)].clone()).collect()
}

fn told(text: &str, given: &[(&str, Value<'static>)], holds: bool) -> String {
    let condition = condition(text);
    let value =
        |name: &&str| given.iter().find(|(known, _)| known == name).map_or(Value::Unknown(Why::Missing), |(_, value)| value.clone());
    let values: Vec<Value<'static>> = VARIABLES.iter().map(value).collect();
    match condition.flip(&slots(&condition, &values)[..], holds) {
        None => "nothing".to_owned(),
        Some(needs) => {
            needs.iter().map(|need| format!("{} {}, needs {}", need.what, now(&need.now), need.needs)).collect::<Vec<_>>().join("; ")
        }
    }
}

fn now(value: &Value<'_>) -> String {
    match value {
        Value::Unknown(why) => why.to_string(),
        value => format!("is {value}"),
    }
}

fn number(text: &str) -> Value<'static> {
    Value::Number(text.parse().unwrap())
}

#[test]
fn the_fewest_values_and_the_nearest() {
    let near = |n: &str| [("flag", Value::Bool(true)), ("n", number(n))];
    insta::assert_snapshot!(told("flag and n > 0.9", &near("0.88"), true), @"n is 0.88, needs more than 0.9");
    insta::assert_snapshot!(told("flag and n > 0.9", &near("0.95"), false), @"n is 0.95, needs at most 0.9");
    insta::assert_snapshot!(told("flag and n > 0.9", &[("flag", Value::Bool(false)), ("n", number("0.88"))], true), @"flag is false, needs to be true; n is 0.88, needs more than 0.9");
    insta::assert_snapshot!(told("flag and n > 0.9", &[("flag", Value::Bool(true))], true), @"n is missing, needs more than 0.9");
    insta::assert_snapshot!(told("n > 3 or m > 100", &[("n", number("2.9")), ("m", number("4"))], true), @"n is 2.9, needs more than 3");
    insta::assert_snapshot!(told("n > 3 and n > 3.5", &[("n", number("1"))], true), @"n is 1, needs more than 3; n is 1, needs more than 3.5");
    insta::assert_snapshot!(told("n >= 2 and n <= 3", &[("n", number("4"))], true), @"n is 4, needs at most 3");
    insta::assert_snapshot!(told("n < m", &[("n", number("2")), ("m", number("1"))], true), @"m is 1, needs more than 2");
}

#[test]
fn what_is_computed_is_solved() {
    insta::assert_snapshot!(told("abs(m) < 5000", &[("m", number("-5200"))], true), @"abs(m) is 5200, needs less than 5000");
    insta::assert_snapshot!(told("1 - n >= 0.7", &[("n", number("0.4"))], true), @"1 - n is 0.6, needs at least 0.7");
    insta::assert_snapshot!(told("default(m, 0) * 2 > 10", &[], true), @"default(m, 0) * 2 is 0, needs more than 10");
    insta::assert_snapshot!(told("kind in ['FX', 'CASH']", &[("kind", Value::Text("EQUITY".into()))], true), @"kind is 'EQUITY', needs one of 'FX', 'CASH'");
    insta::assert_snapshot!(told("kind not in ['FX', 'CASH']", &[("kind", Value::Text("FX".into()))], true), @"kind is 'FX', needs none of 'FX', 'CASH'");
    insta::assert_snapshot!(told("kind == 'FX'", &[("kind", Value::Text("FX".into()))], false), @"kind is 'FX', needs not to be 'FX'");
    insta::assert_snapshot!(told("name ends_with '/USD'", &[("name", Value::Text("EUR/GBP".into()))], true), @"name is 'EUR/GBP', needs to end with '/USD'");
    // Any number up to 4 will do.
    insta::assert_snapshot!(told("n <= m", &[("m", number("4.25"))], true), @"n is missing, needs at most 4.25");
    insta::assert_snapshot!(told("not defined(m)", &[("m", number("1"))], true), @"m is 1, needs to be missing");
}

#[test]
fn what_no_value_can_do_is_not_promised() {
    // No number up to 4 is more than 4, and what holds already needs nothing.
    insta::assert_snapshot!(told("n > 4", &[("n", number("1"))], true), @"nothing");
    insta::assert_snapshot!(told("n > 3", &[("n", number("4"))], true), @"nothing");
    insta::assert_snapshot!(told("always", &[], false), @"nothing");
    insta::assert_snapshot!(told("n < 2 and n > 3", &[("n", number("1"))], true), @"nothing");
}

/// Whether every value is read in one place only, and none of them through `max`, so that each part can be flipped by itself.
fn reads_once(text: &str) -> bool {
    let words: Vec<&str> = text.split(|letter: char| !letter.is_alphanumeric()).collect();
    let once = |name: &&str| words.iter().filter(|word| word == &name).count() <= 1;
    VARIABLES.iter().all(once) && !text.contains("max(")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..Default::default() })]

    /// Whatever is said to flip a condition does; and where one value alone can flip it, no more are asked for.
    #[test]
    fn what_is_said_to_flip_it_does_and_nothing_smaller_would(text in any_condition(), picks in prop::collection::vec(0_usize..1_000, VARIABLES.len()), holds: bool) {
        let condition = condition(&text);
        let values: Vec<Value<'static>> = VARIABLES.iter().zip(&picks).map(|(name, pick)| { let all = everything(name); all[pick % all.len()].clone() }).collect();
        let before = slots(&condition, &values);
        let as_asked = |slots: &[Value<'static>]| condition.truth(slots) == Truth::from(holds);
        match condition.flip(&before[..], holds) {
            Some(needs) => {
                prop_assert!(!as_asked(&before), "{text} is {holds} already");
                let mut after = before.clone();
                for need in &needs {
                    after[need.slot] = need.to.clone();
                }
                prop_assert!(as_asked(&after), "{text} from {before:?} by {needs:?}");
                let alone = (0..before.len()).find(|slot| {
                    let name = VARIABLES[position(&condition.slots()[*slot])];
                    everything(name).into_iter().any(|value| { let mut other = before.clone(); other[*slot] = value; as_asked(&other) })
                });
                let mut touched: Vec<usize> = needs.iter().map(|need| need.slot).collect();
                touched.sort_unstable();
                touched.dedup();
                prop_assert!(alone.is_none() || touched.len() == 1 || !reads_once(&text), "{text} from {before:?}: slot {alone:?} alone does it, and not {needs:?}");
            }
            None if !as_asked(&before) => {
                let alone = (0..before.len()).any(|slot| {
                    let name = VARIABLES[position(&condition.slots()[slot])];
                    everything(name).into_iter().any(|value| { let mut other = before.clone(); other[slot] = value; as_asked(&other) })
                });
                prop_assert!(!(alone && reads_once(&text)), "{text} from {before:?} to {holds}: nothing is found");
            }
            None => {}
        }
    }
}
