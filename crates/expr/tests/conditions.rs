//! What conditions mean, what they refuse, and what they explain.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

use insta::assert_snapshot;
use proptest::prelude::*;
use quorate_expr::{Checked, Decimal, Field, Names, Path, Range, Resolution, Severity, Slot, Status, Truth, Type, Value, Why, parse};

/// The names of a small reconciliation: two outputs, a profile, one task that comes later.
struct Desk;

impl Names for Desk {
    fn resolve(&self, path: &Path) -> Resolution {
        let rules = Type::Object(vec![
            Field { name: "confidence".into(), kind: Type::Number(Range::UNIT), required: true },
            Field { name: "failed".into(), kind: Type::List(Box::new(Type::Text)), required: false },
        ]);
        let (kind, steps) = match path.head() {
            "within_tolerance" | "rules_failed" | "a" | "b" | "c" => (Type::Bool, path.tail()),
            "confidence" => (Type::Number(Range::UNIT), path.tail()),
            "amount_diff" | "x" => (Type::NUMBER, path.tail()),
            "break_type" => (Type::Enum(vec!["TRADE_OMS_MISMATCH".into(), "BROKER_VS_INTERNAL".into(), "CASH_BREAK".into()]), path.tail()),
            "instrument" => (Type::Text, path.tail()),
            "anything" => (Type::Any, path.tail()),
            "analyze" | "fix-issues" if path.tail().is_empty() => return Resolution::Task(Type::Any),
            "analyze" => (Type::Any, path.tail()),
            "RULES" => (rules, path.tail()),
            "status" => return Resolution::Ambiguous("`RULES.status` or `input.status`".into()),
            "DECISIONING" => return Resolution::TooEarly("DECISIONING runs after this task".into()),
            _ => return Resolution::Unknown,
        };
        kind.at(steps).cloned().map_or(Resolution::Unknown, Resolution::Value)
    }

    fn known(&self) -> Vec<String> {
        ["within_tolerance", "rules_failed", "confidence", "amount_diff", "break_type", "analyze", "RULES.confidence"]
            .map(str::to_owned)
            .to_vec()
    }
}

/// Evaluates `source`, with `facts` such as `confidence=0.95`; what is not among them is unknown.
fn truth(source: &str, facts: &str) -> Truth {
    let checked = checked(source);
    let values = values(&checked, facts);
    let truth = checked.truth(&values[..]);
    assert_eq!(checked.explain(&values[..]).0, truth, "an explanation never changes the outcome of {source}");
    truth
}

fn checked(source: &str) -> Checked {
    parse(source)
        .map_err(|problem| vec![problem])
        .and_then(|ast| ast.check_condition(&Desk))
        .unwrap_or_else(|problems| panic!("{source}: {problems:?}"))
}

fn values(checked: &Checked, facts: &str) -> Vec<Value<'static>> {
    let facts: Vec<(&str, &str)> = facts.split_whitespace().filter_map(|fact| fact.split_once('=')).collect();
    let named = |slot: &Slot| match slot {
        Slot::Value(path) => path.to_string(),
        Slot::Status(Status::Completed, task) => format!("completed({task})"),
        Slot::Status(Status::Failed, task) => format!("failed({task})"),
        Slot::Status(Status::Skipped, task) => format!("skipped({task})"),
        Slot::Status(Status::Ended, task) => format!("ended({task})"),
    };
    let found = |name: String| facts.iter().find(|(known, _)| *known == name).map_or(Value::Unknown(Why::Missing), |(_, text)| value(text));
    checked.slots().iter().map(named).map(found).collect()
}

fn value(text: &str) -> Value<'static> {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "failed" => Value::Unknown(Why::Failed),
        _ if text.starts_with('[') => {
            Value::List(text.trim_matches(['[', ']']).split(',').filter(|item| !item.is_empty()).map(value).collect())
        }
        _ => text.parse::<Decimal>().map_or_else(|_| Value::Text(text.to_owned().into()), Value::Number),
    }
}

const UNKNOWN: Truth = Truth::Unknown(Why::Missing);

#[test]
fn conditions_of_the_design_documents_mean_what_they_say() {
    for (source, facts, expected) in [
        ("within_tolerance and confidence > 0.9", "within_tolerance=true confidence=0.91", Truth::True),
        ("within_tolerance and confidence > 0.9", "within_tolerance=true confidence=0.90", Truth::False),
        ("rules_failed or confidence < 0.85", "rules_failed=false confidence=0.85", Truth::False),
        ("rules_failed or confidence < 0.85", "rules_failed=true", Truth::True),
        ("always", "", Truth::True),
        ("never", "", Truth::False),
        ("break_type in ['TRADE_OMS_MISMATCH', 'BROKER_VS_INTERNAL']", "break_type=BROKER_VS_INTERNAL", Truth::True),
        ("break_type not in ['TRADE_OMS_MISMATCH']", "break_type=CASH_BREAK", Truth::True),
        ("RULES.confidence >= 0.5", "RULES.confidence=0.5", Truth::True),
        ("abs(amount_diff) < 5000", "amount_diff=-4999.99", Truth::True),
        ("instrument ends_with '/USD'", "instrument=BTC/USD", Truth::True),
        ("length(instrument) == 6", "instrument=EURUSD", Truth::True),
        ("completed(analyze)", "completed(analyze)=true", Truth::True),
        ("analyze", "completed(analyze)=false", Truth::False),
        ("analyze and not failed(fix-issues)", "completed(analyze)=true failed(fix-issues)=false", Truth::True),
        ("analyze.output.score > 10", "analyze.output.score=11", Truth::True),
        ("RULES.failed[0] == 'FX'", "RULES.failed[0]=FX", Truth::True),
        ("RULES.failed contains 'FX'", "RULES.failed=[AMOUNT,FX]", Truth::True),
        ("default(confidence, 0) > 0.5", "", Truth::False),
        ("defined(confidence)", "", Truth::False),
        ("max(amount_diff, 10) == 10 and min(amount_diff, 10) == 7", "amount_diff=7", Truth::True),
        ("sum(anything) == 0.3", "anything=[0.1,0.2]", Truth::True),
        ("round(amount_diff, 1) == 2.4", "amount_diff=2.35", Truth::True),
        ("(amount_diff + 1) * 2 - 4 / 2 == 10 % 6 + -2", "amount_diff=1", Truth::True),
        ("upper(instrument) == 'EURUSD'", "instrument=eurUSD", Truth::True),
    ] {
        assert_eq!(truth(source, facts), expected, "{source} with {facts}");
    }
}

#[test]
fn a_missing_value_is_unknown_and_never_true() {
    for (source, facts, expected) in [
        ("confidence < 0.85", "", UNKNOWN),
        ("not (confidence > 0.9)", "", UNKNOWN),
        ("confidence != 0.85", "", UNKNOWN),
        ("break_type not in ['CASH_BREAK']", "", UNKNOWN),
        ("confidence < 0.85 or rules_failed", "rules_failed=true", Truth::True),
        ("confidence < 0.85 and rules_failed", "rules_failed=false", Truth::False),
        ("confidence < 0.85 and rules_failed", "rules_failed=true", UNKNOWN),
        ("confidence > 0.9", "confidence=failed", Truth::Unknown(Why::Failed)),
        ("anything > 1", "anything=text", Truth::Unknown(Why::WrongType)),
        ("anything == 1", "anything=text", Truth::Unknown(Why::WrongType)),
        ("amount_diff / x > 1", "amount_diff=1 x=0", Truth::Unknown(Why::DividedByZero)),
        ("amount_diff + 0.4 == amount_diff", "amount_diff=79228162514264337593543950335", Truth::Unknown(Why::Overflow)),
        ("amount_diff - 0.000001 > 0", "amount_diff=1234567890123456789012345678", Truth::Unknown(Why::Overflow)),
        ("sum(amount_diff, 0.000001) > 0", "amount_diff=1234567890123456789012345678", Truth::Unknown(Why::Overflow)),
        ("amount_diff * 0.00000000000001 == 0", "amount_diff=0.00000000000000001", Truth::Unknown(Why::Overflow)),
        ("amount_diff * 0.50 == 0.25", "amount_diff=0.500000000000000000000000000", Truth::True),
        ("amount_diff * 0 == 0", "amount_diff=79228162514264337593543950335", Truth::True),
        ("amount_diff + 1.10 == 3.3", "amount_diff=2.2000000000000000000000000000", Truth::True),
        ("amount_diff * amount_diff > 1", "amount_diff=79228162514264337593543950335", Truth::Unknown(Why::Overflow)),
        ("max(anything) > 1", "anything=[]", UNKNOWN),
    ] {
        assert_eq!(truth(source, facts), expected, "{source} with {facts}");
    }
}

#[test]
fn money_is_exact() {
    assert_eq!(truth("amount_diff + 0.2 == 0.3", "amount_diff=0.1"), Truth::True);
    assert_eq!(truth("amount_diff == 12345678901234567.89", "amount_diff=12345678901234567.89"), Truth::True);
    assert_eq!(truth("amount_diff == 12345678901234567.89", "amount_diff=12345678901234567.90"), Truth::False);
}

/// Shows mistakes as a reader of the message sees them.
fn mistakes(source: &str) -> String {
    let problems = match parse(source) {
        Err(problem) => vec![problem],
        Ok(ast) => match ast.check_condition(&Desk) {
            Err(problems) => problems,
            Ok(checked) => checked.warnings().to_vec(),
        },
    };
    let mut shown = String::new();
    for problem in problems {
        let kind = if problem.severity == Severity::Error { "error" } else { "warning" };
        let marks = "^".repeat(problem.span.text(source).chars().count().max(1));
        let indent = " ".repeat(source[..problem.span.start as usize].chars().count());
        shown += &format!("  {source}\n  {indent}{marks} {kind} {}: {}\n", problem.code, problem.message);
        if let Some(help) = problem.help {
            shown += &format!("  help: {help}\n");
        }
    }
    shown
}

#[test]
fn every_mistake_says_what_to_do() {
    let sources = [
        "",
        "confidense > 0.9",
        "confidence = 0.9",
        "confidence > 0.9 && a",
        "!a",
        "0.5 < confidence < 0.9",
        "a and or b",
        "in > 1",
        "confidence > '0.9'",
        "confidence",
        "break_type == 'CASH_BRAKE'",
        "break_type in ['CASH_BREAK', 'FX']",
        "confidence > 1.5",
        "confidence >= 0",
        "(a or b",
        "a)",
        "instrument == 'EUR",
        "abs() > 1",
        "abbs(x) > 1",
        "status == 'OPEN'",
        "DECISIONING.x > 1",
        "confidence is 1",
        "x = > 1",
        "a - b > 1",
        "amount-diff > 1",
        "x / 0 > 1",
        "instrument < 'B'",
        "x in 'abc'",
        "1.5.2 > x",
        "5k < x",
        "[1, 'a'] contains x",
        "failed(nobody)",
        "failed(analyze.output)",
        "x == null",
        "not not a",
        "a b",
        "x > 1 § 2",
        "round(x, 1.5) > 1",
        "x > 1234567890123456789012345678901",
        "RULES.confidense > 1",
        "'\\n' == instrument",
    ];
    assert_snapshot!(sources.map(mistakes).join("\n"));
}

#[test]
fn all_mistakes_of_meaning_are_reported_at_once() {
    assert_eq!(mistakes("confidense > 0.9 and break_type == 'FX' and confidence > 'x'").matches("error").count(), 3);
}

#[test]
fn size_and_depth_are_limited() {
    for (source, expected) in [
        (format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000)), "X010"),
        (format!("{}a{}", "(".repeat(65), ")".repeat(65)), "X010"),
        (format!("a{}", " and (a".repeat(70)), "X010"),
        (format!("x > 0{}", " + 1".repeat(100)), "X010"),
        (format!("{}a", "not ".repeat(2_000)), "X016"),
        (format!("x in [{}1]", "1,".repeat(5_000)), "X010"),
    ] {
        assert_eq!(parse(&source).expect_err("refused").code, expected);
    }
    let long = format!("a{}", " and a".repeat(2_000));
    assert_eq!(truth(&long, "a=true"), Truth::True, "a long flat rule is not a deep one");
}

#[test]
fn an_explanation_names_every_operand_and_every_verdict() {
    let checked = checked("within_tolerance and confidence > 0.9 or rules_failed");
    let values = values(&checked, "within_tolerance=true confidence=0.88");
    let (truth, trace) = checked.explain(&values[..]);
    let mut shown = format!("{truth:?}\n");
    for operand in &trace.operands {
        shown += &format!("{:?} = {}\n", checked.slots()[operand.slot], operand.value);
    }
    for verdict in &trace.verdicts {
        shown += &format!("{} is {:?}\n", checked.ast().span(verdict.node).text(checked.ast().source()), verdict.truth);
    }
    assert_snapshot!(shown);
}

fn condition() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("c".to_owned()),
        Just("confidence > 0.5".to_owned()),
        Just("break_type in ['CASH_BREAK']".to_owned()),
        Just("x + 1 <= abs(x)".to_owned()),
        Just("instrument starts_with 'E'".to_owned()),
    ];
    atom.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|x| format!("not ({x})")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x}) and ({y})")),
            (inner.clone(), inner).prop_map(|(x, y)| format!("({x}) or ({y})")),
        ]
    })
}

fn known(slot: &Slot, pick: u8) -> Value<'static> {
    let Slot::Value(path) = slot else { return Value::Bool(pick.is_multiple_of(2)) };
    match path.head() {
        "confidence" => Value::Number(Decimal::new(i64::from(pick % 11), 1)),
        "x" => Value::Number(Decimal::from(i64::from(pick) - 128)),
        "break_type" => Value::Text(["CASH_BREAK", "BROKER_VS_INTERNAL"][usize::from(pick % 2)].into()),
        "instrument" => Value::Text(["EURUSD", "GBPUSD"][usize::from(pick % 2)].into()),
        _ => Value::Bool(pick.is_multiple_of(2)),
    }
}

proptest! {
    /// Learning a value may settle a condition, and never overturns one that was settled without it.
    #[test]
    fn what_is_settled_stays_settled(source in condition(), picks in prop::collection::vec(any::<u8>(), 7), hidden in any::<u8>()) {
        let checked = checked(&source);
        let full: Vec<_> = checked.slots().iter().zip(&picks).map(|(slot, pick)| known(slot, *pick)).collect();
        let partial: Vec<_> = full.iter().enumerate()
            .map(|(i, value)| if hidden >> (i % 8) & 1 == 1 { Value::Unknown(Why::NotYet) } else { value.clone() }).collect();
        let (with_all, with_some) = (checked.truth(&full[..]), checked.truth(&partial[..]));
        prop_assert!(!matches!(with_all, Truth::Unknown(_)), "every value was known: {source}");
        if !matches!(with_some, Truth::Unknown(_)) {
            prop_assert_eq!(with_some, with_all, "{}", source);
        }
        prop_assert_eq!(checked.explain(&partial[..]).0, with_some);
    }

    #[test]
    fn any_text_is_parsed_or_refused(source in "\\PC{0,80}") {
        if let Err(problem) = parse(&source) {
            prop_assert!(problem.span.end as usize <= source.len() && problem.span.start <= problem.span.end);
        }
    }
}
