//! Random conditions over a few names, and everything that these may be.
#![allow(dead_code, clippy::unwrap_used, reason = "this is a test, and each test file uses its part")]

use proptest::prelude::*;
use quorate_expr::{Checked, Decimal, Names, Path, Range, Resolution, Slot, Type, Value, Why, parse};

/// What the conditions of these tests read.
pub(crate) const VARIABLES: [&str; 6] = ["flag", "kind", "n", "m", "name", "any"];

pub(crate) fn type_of(name: &str) -> Type {
    match name {
        "flag" => Type::Bool,
        "kind" => Type::Enum(["FX", "EQUITY", "CASH"].map(str::to_owned).to_vec()),
        "n" => Type::Number(Range { min: Some(Decimal::ZERO), max: Some(Decimal::from(4)) }),
        "m" => Type::NUMBER,
        "name" => Type::Text,
        _ => Type::Any,
    }
}

struct All;

impl Names for All {
    fn resolve(&self, path: &Path) -> Resolution {
        match path.head() {
            "rules" => Resolution::Task(Type::Any),
            head if VARIABLES.contains(&head) => Resolution::Value(type_of(head)),
            _ => Resolution::Unknown,
        }
    }

    fn known(&self) -> Vec<String> {
        Vec::new()
    }
}

pub(crate) fn condition(text: &str) -> Checked {
    parse(text).unwrap().check_condition(&All).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"))
}

/// Which of the names a slot reads.
pub(crate) fn position(slot: &Slot) -> usize {
    let Slot::Value(path) = slot else { panic!("{slot:?} is no value") };
    VARIABLES.iter().position(|name| *name == path.head()).unwrap()
}

/// Parts whose conditions only compare, so that the answer is exact.
fn part() -> impl Strategy<Value = String> {
    let number = || (0..=4_i32).prop_map(|number| number.to_string());
    let comparison = || prop::sample::select(&["<", "<=", ">", ">=", "==", "!="][..]);
    let kind = || prop::sample::select(&["FX", "EQUITY", "CASH"][..]);
    prop_oneof![
        Just("flag".to_owned()),
        Just("any".to_owned()),
        kind().prop_map(|kind| format!("kind == '{kind}'")),
        (kind(), kind()).prop_map(|(one, other)| format!("kind in ['{one}', '{other}']")),
        (comparison(), number()).prop_map(|(compare, number)| format!("n {compare} {number}")),
        (comparison(), number()).prop_map(|(compare, number)| format!("{number} {compare} m")),
        (comparison(), number()).prop_map(|(compare, number)| format!("abs(m - 1) {compare} {number}")),
        (comparison(), number()).prop_map(|(compare, number)| format!("2 - n {compare} {number}")),
        (comparison(), number()).prop_map(|(compare, number)| format!("max(n, m) {compare} {number}")),
        comparison().prop_map(|compare| format!("n {compare} m")),
        comparison().prop_map(|compare| format!("m {compare} any")),
        (comparison(), number()).prop_map(|(compare, number)| format!("default(m, 2) {compare} {number}")),
        (comparison(), number()).prop_map(|(compare, number)| format!("any {compare} {number}")),
        prop::sample::select(&["p", "q"][..]).prop_map(|text| format!("name != '{text}'")),
        prop::sample::select(&["p", "q"][..]).prop_map(|text| format!("any == '{text}'")),
        prop::sample::select(&VARIABLES[..]).prop_map(|name| format!("defined({name})")),
    ]
}

pub(crate) fn any_condition() -> impl Strategy<Value = String> {
    part().prop_recursive(3, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
}

/// Everything that a variable may be, finely enough that nothing lies between which differs.
pub(crate) fn everything(name: &str) -> Vec<Value<'static>> {
    let quarters = |from: i64, to: i64| (from * 4..=to * 4).map(|quarter| Value::Number(Decimal::new(quarter * 25, 2)));
    let texts = || ["p", "q", "else"].map(|text| Value::Text(text.into())).into_iter();
    let mut all: Vec<Value<'static>> = match name {
        "flag" => vec![Value::Bool(true), Value::Bool(false)],
        "kind" => ["FX", "EQUITY", "CASH"].map(|text| Value::Text(text.into())).to_vec(),
        "n" => quarters(0, 4).collect(),
        "m" => quarters(-5, 7).collect(),
        "name" => texts().collect(),
        // As wide as `m`, with which it is compared.
        _ => quarters(-5, 7).chain(texts()).chain([Value::Bool(true), Value::Bool(false), Value::Object("{}".into())]).collect(),
    };
    all.push(Value::Unknown(Why::Missing));
    all
}
