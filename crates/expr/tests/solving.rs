//! What values would make conditions come out as asked: held against trying everything.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod conditions_of;

use conditions_of::{VARIABLES, any_condition, condition, everything, position, type_of};
use proptest::prelude::*;
use quorate_expr::{Answer, Checked, MAX_TRIES, Outcomes, Search, Slot, Source, Stand, Truth, Value, Variable, Wanted, Why, Witness};

fn sources(condition: &Checked) -> Vec<Source> {
    let source = |slot: &Slot| match slot {
        Slot::Value(_) => Source::Variable(position(slot)),
        Slot::Status(status, _) => Source::Task(0, *status),
    };
    condition.slots().iter().map(source).collect()
}

/// Looks for values under which each condition comes out as asked.
fn search(asked: &[(&str, Outcomes)]) -> Answer {
    let conditions: Vec<Checked> = asked.iter().map(|(text, _)| condition(text)).collect();
    let sources: Vec<Vec<Source>> = conditions.iter().map(sources).collect();
    let wanted = conditions.iter().zip(&sources).zip(asked).map(|((condition, sources), (_, outcomes))| Wanted {
        condition,
        sources,
        outcomes: *outcomes,
    });
    let variable = |name: &&str| Variable { kind: type_of(name), may_be_missing: true, of: None };
    let search = Search {
        variables: VARIABLES.iter().map(variable).collect(),
        tasks: vec![vec![Stand::Succeeded, Stand::Failed, Stand::Skipped]],
        wanted: wanted.collect(),
    };
    search.run(MAX_TRIES)
}

/// What was found, by name.
fn told(answer: &Answer) -> String {
    let Answer::Found(Witness { values, tasks }) = answer else { return format!("{answer:?}") };
    let values = VARIABLES.iter().zip(values).filter_map(|(name, value)| Some(format!("{name} is {}", value.as_ref()?)));
    values.chain(tasks.iter().flatten().map(|stand| format!("rules: {stand:?}"))).collect::<Vec<_>>().join(", ")
}

fn holds(text: &str) -> String {
    told(&search(&[(text, Outcomes::TRUE)]))
}

#[test]
fn a_witness_is_found_where_there_is_one() {
    insta::assert_snapshot!(holds("n > 3 and n < 3.5"), @"n is 3.2");
    insta::assert_snapshot!(holds("n == 0.85"), @"n is 0.85");
    insta::assert_snapshot!(holds("abs(m - 1) > 5 and m < 0"), @"m is -5");
    insta::assert_snapshot!(holds("n > m and m > 3"), @"n is 3.7, m is 3.3");
    insta::assert_snapshot!(holds("kind in ['FX', 'CASH'] and kind != 'FX'"), @"kind is 'CASH'");
    insta::assert_snapshot!(holds("name ends_with '/USD' and name != '/USD'"), @"name is '…/USD'");
    insta::assert_snapshot!(holds("min(n, m) >= 2 and not flag"), @"flag is false, n is 2, m is 2");
    insta::assert_snapshot!(holds("any == 'x' or any > 3"), @"any is 4");
    insta::assert_snapshot!(holds("n == default(m, 2.5) and not defined(m)"), @"n is 2.5, m is unknown (is missing)");
    insta::assert_snapshot!(holds("m == min(n, 2.5) and n > 3"), @"n is 3.5, m is 2.5");
    insta::assert_snapshot!(holds("failed(rules) and not completed(rules)"), @"rules: Failed");
    insta::assert_snapshot!(told(&search(&[("n > 3", Outcomes::UNKNOWN), ("default(n, 1) < 2", Outcomes::TRUE)])), @"n is unknown (is missing)");
}

#[test]
fn that_there_is_none_is_known_where_conditions_only_compare() {
    for never in [
        "n > 4",
        "n > 3 and n < 3",
        "flag and not flag",
        "kind == 'FX' and kind == 'CASH'",
        "abs(m) < 0",
        "m > n and n > m",
        "m == n and m > 4",
        "completed(rules) and skipped(rules)",
        "defined(n) and not defined(n)",
        "lower(kind) == 'bond'",
        "any == 'x' and any > 3",
    ] {
        assert_eq!(search(&[(never, Outcomes::TRUE)]), Answer::Never, "{never}");
    }
    // More than comparing: no witness is found, and nothing is claimed.
    for unsure in ["round(m, 0) == 0.5", "m * m < 0", "name starts_with 'a' and name starts_with 'b'"] {
        assert_eq!(search(&[(unsure, Outcomes::TRUE)]), Answer::Unsure, "{unsure}");
    }
}

#[test]
fn the_gap_that_document_000_leaves_is_found() {
    let (first, second) = ("flag and n > 0.85", "not flag or n < 0.85");
    insta::assert_snapshot!(told(&search(&[(first, Outcomes::FALSE), (second, Outcomes::FALSE)])), @"flag is true, n is 0.85");
    insta::assert_snapshot!(told(&search(&[(first, Outcomes::NOT_TRUE), (second, Outcomes::UNKNOWN)])), @"flag is true, n is unknown (is missing)");
}

#[test]
fn two_hundred_rules_over_three_names_are_no_trouble() {
    let rules: Vec<String> = (0..200)
        .map(|number| {
            format!(
                "name == 'TYPE{}' and kind == '{}' and m < {}",
                number / 5,
                ["FX", "EQUITY", "CASH"][number % 3],
                1_000 * (number % 5 + 1)
            )
        })
        .collect();
    let asked: Vec<(&str, Outcomes)> = rules.iter().map(|rule| (rule.as_str(), Outcomes::NOT_TRUE)).collect();
    assert!(matches!(search(&asked), Answer::Found(_)));
    let mut all: Vec<(&str, Outcomes)> = asked.clone();
    let any = (0..40).map(|number| format!("'TYPE{number}'")).collect::<Vec<_>>().join(", ");
    let known = format!("name in [{any}] and m < 0 and kind == 'FX'");
    let rest = "name in ['TYPE0', 'TYPE1'] and m < 0 and kind == 'FX'";
    all.push((&known, Outcomes::TRUE));
    all.push((rest, Outcomes::TRUE));
    assert_eq!(search(&all), Answer::Never);
}

#[test]
fn a_search_that_would_take_too_long_says_so() {
    let condition = condition("m + n == 0 and any + n == 0");
    let sources = sources(&condition);
    let variables = VARIABLES.iter().map(|name| Variable { kind: type_of(name), may_be_missing: true, of: None }).collect();
    let wanted = vec![Wanted { condition: &condition, sources: &sources, outcomes: Outcomes::TRUE }];
    let search = Search { variables, tasks: Vec::new(), wanted };
    assert_eq!(search.run(3), Answer::GaveUp);
}

// -- held against trying everything

fn fits(truth: Truth, wanted: Outcomes) -> bool {
    let outcome = match truth {
        Truth::True => Outcomes::TRUE,
        Truth::False => Outcomes::FALSE,
        Truth::Unknown(_) => Outcomes::UNKNOWN,
    };
    [Outcomes::TRUE, Outcomes::FALSE, Outcomes::UNKNOWN, Outcomes::NOT_TRUE].contains(&wanted)
        && (wanted == outcome || wanted == Outcomes::NOT_TRUE && outcome != Outcomes::TRUE)
}

fn comes_out(condition: &Checked, values: &[Value<'static>]) -> Truth {
    let slots: Vec<Value<'_>> = sources(condition)
        .iter()
        .map(|source| match source {
            Source::Variable(variable) => values[*variable].clone(),
            Source::Task(..) => Value::Unknown(Why::NotYet),
        })
        .collect();
    condition.truth(&slots[..])
}

fn tried(asked: &[(Checked, Outcomes)], used: &[usize], values: &mut Vec<Value<'static>>) -> bool {
    let Some((first, rest)) = used.split_first() else {
        return asked.iter().all(|(condition, wanted)| fits(comes_out(condition, values), *wanted));
    };
    everything(VARIABLES[*first]).into_iter().any(|value| {
        values[*first] = value;
        tried(asked, rest, values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_found_is_true_and_what_is_not_found_is_not_there(
        first in any_condition(),
        second in any_condition(),
        outcomes in prop::sample::select(&[
            (Outcomes::TRUE, Outcomes::TRUE), (Outcomes::FALSE, Outcomes::TRUE), (Outcomes::UNKNOWN, Outcomes::FALSE),
            (Outcomes::NOT_TRUE, Outcomes::NOT_TRUE), (Outcomes::TRUE, Outcomes::UNKNOWN),
        ][..]),
    ) {
        let asked = [(condition(&first), outcomes.0), (condition(&second), outcomes.1)];
        let mut used: Vec<usize> = (0..VARIABLES.len()).filter(|variable| asked.iter().any(|(condition, _)| sources(condition).contains(&Source::Variable(*variable)))).collect();
        used.sort_by_key(|variable| everything(VARIABLES[*variable]).len());
        // Trying everything has its limits, too.
        prop_assume!(used.iter().map(|variable| everything(VARIABLES[*variable]).len()).product::<usize>() < 150_000);
        let mut values = vec![Value::Unknown(Why::Missing); VARIABLES.len()];
        let there = tried(&asked, &used, &mut values);
        match search(&[(&first, outcomes.0), (&second, outcomes.1)]) {
            Answer::Found(Witness { values, .. }) => {
                prop_assert!(there, "{first} and {second} are found, and nothing was");
                // What is left open may be anything.
                for fill in 0..3 {
                    let filled: Vec<Value<'static>> = values.iter().zip(VARIABLES).map(|(value, name)| {
                        value.clone().unwrap_or_else(|| { let all = everything(name); all[fill * 7 % all.len()].clone() })
                    }).collect();
                    for (condition, wanted) in &asked {
                        prop_assert!(fits(comes_out(condition, &filled), *wanted), "{first} and {second} under {filled:?}");
                    }
                }
            }
            Answer::Never => prop_assert!(!there, "{first} and {second}: {values:?} is there"),
            other => prop_assert!(false, "{first} and {second}: {other:?}"),
        }
    }
}
