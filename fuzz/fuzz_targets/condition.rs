//! Any text is parsed or refused with a place; what is parsed is checked, evaluated and explained without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_expr::{Decimal, Names, Path, Resolution, Slot, Template, Type, Value, Why, parse};

/// Names whose first letter says what they are.
struct ByLetter;

impl Names for ByLetter {
    fn resolve(&self, path: &Path) -> Resolution {
        Resolution::Value(match path.head().bytes().next() {
            Some(b'b') => Type::Bool,
            Some(b'n') => Type::NUMBER,
            Some(b't') => Type::Text,
            Some(b'l') => Type::List(Box::new(Type::Any)),
            Some(b'j') => return Resolution::Task(Type::Any),
            Some(b'x') => return Resolution::Unknown,
            _ => Type::Any,
        })
    }

    fn known(&self) -> Vec<String> {
        ["bool", "number", "text", "list"].map(str::to_owned).to_vec()
    }
}

fn value(slot: &Slot, position: usize) -> Value<'static> {
    let Slot::Value(path) = slot else { return Value::Bool(position % 2 == 0) };
    match path.head().bytes().next() {
        Some(b'b') => Value::Bool(position % 2 == 0),
        Some(b'n') => Value::Number([Decimal::MAX, Decimal::MIN, Decimal::ZERO, Decimal::new(15, 1)][position % 4]),
        Some(b't') => Value::Text("text".into()),
        Some(b'l') => Value::List(vec![Value::Bool(true), Value::Number(Decimal::ONE), Value::Unknown(Why::Null)]),
        _ => Value::Unknown(Why::Missing),
    }
}

fuzz_target!(|text: &str| {
    if let Err(problems) = Template::parse(text) {
        assert!(problems.iter().all(|problem| problem.span.end as usize <= text.len()));
    }
    match parse(text) {
        Err(problem) => assert!(text.is_char_boundary(problem.span.start as usize) && problem.span.end as usize <= text.len()),
        Ok(ast) => {
            if let Ok(checked) = ast.check(&ByLetter) {
                let values: Vec<Value<'static>> = checked.slots().iter().enumerate().map(|(at, slot)| value(slot, at)).collect();
                let truth = checked.truth(&values[..]);
                let _ = checked.value(&values[..]);
                assert_eq!(checked.explain(&values[..]).0, truth);
            }
        }
    }
});
