use std::borrow::Cow;
use std::fmt;

use crate::ast::{Arithmetic, Comparison, Expr, Function, NodeId, TextTest};
use crate::{Checked, Decimal};

/// A value while a condition is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// There is no value, for this reason.
    Unknown(Why),
    /// True or false.
    Bool(bool),
    /// An exact decimal.
    Number(Decimal),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// An object, as JSON text; conditions read its fields, never the whole.
    Object(Cow<'a, str>),
}

/// Why a value is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The object that should hold it has no such field.
    Missing,
    /// It is `null`.
    Null,
    /// The task that should give it has not ended.
    NotYet,
    /// The task that should give it failed.
    Failed,
    /// The task that should give it was skipped.
    Skipped,
    /// The task that should give it was cancelled.
    Cancelled,
    /// It is of another type than the condition needs.
    WrongType,
    /// It is outside of what was declared, as a confidence of 12 is.
    OutOfRange,
    /// A division by zero.
    DividedByZero,
    /// A number that does not fit into 28 digits.
    Overflow,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Missing => "is missing",
            Why::Null => "is null",
            Why::NotYet => "is not there yet",
            Why::Failed => "comes from a task that failed",
            Why::Skipped => "comes from a task that was skipped",
            Why::Cancelled => "comes from a task that was cancelled",
            Why::WrongType => "is of the wrong type",
            Why::OutOfRange => "is out of range",
            Why::DividedByZero => "divides by zero",
            Why::Overflow => "is too large to be exact",
        })
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unknown(why) => write!(f, "unknown ({why})"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "'{text}'"),
            Value::List(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Value::Object(json) => f.write_str(json),
        }
    }
}

impl Value<'_> {
    /// The same value, without a borrow.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Unknown(why) => Value::Unknown(why),
            Value::Bool(value) => Value::Bool(value),
            Value::Number(number) => Value::Number(number),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Value::Object(json) => Value::Object(Cow::Owned(json.into_owned())),
        }
    }

    fn truth(&self) -> Truth {
        match self {
            Value::Bool(true) => Truth::True,
            Value::Bool(false) => Truth::False,
            Value::Unknown(why) => Truth::Unknown(*why),
            Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => Truth::Unknown(Why::WrongType),
        }
    }
}

/// The outcome of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// A value is missing on which it depends; the reason is that of the first one.
    Unknown(Why),
}

impl Truth {
    /// Whether the condition holds. Unknown does not.
    #[must_use]
    pub fn holds(self) -> bool {
        self == Truth::True
    }

    fn not(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown(why) => Truth::Unknown(why),
        }
    }

    fn value<'a>(self) -> Value<'a> {
        match self {
            Truth::True => Value::Bool(true),
            Truth::False => Value::Bool(false),
            Truth::Unknown(why) => Value::Unknown(why),
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Truth {
        if value { Truth::True } else { Truth::False }
    }
}

/// Where values come from when a condition is evaluated.
pub trait Scope {
    /// The value of the slot at this position of [`Checked::slots`].
    fn value(&self, slot: usize) -> Value<'_>;
}

impl Scope for [Value<'_>] {
    fn value(&self, slot: usize) -> Value<'_> {
        self.get(slot).cloned().unwrap_or(Value::Unknown(Why::Missing))
    }
}

/// What a condition saw: its operands, and the outcome of each of its comparisons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Every slot that was read, once, in the order of the text.
    pub operands: Vec<Operand>,
    /// Every part that is true, false or unknown, innermost first; the last one is the whole.
    pub verdicts: Vec<Verdict>,
}

/// A value that a condition read.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// The position in [`Checked::slots`].
    pub slot: usize,
    /// What was found.
    pub value: Value<'static>,
}

/// The outcome of one part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The part.
    pub node: NodeId,
    /// Its outcome.
    pub truth: Truth,
}

impl Checked {
    /// Evaluates a condition.
    #[must_use]
    pub fn truth(&self, scope: &(impl Scope + ?Sized)) -> Truth {
        Evaluation { checked: self, scope, witness: &mut () }.truth(self.ast.root)
    }

    /// Evaluates a part of a condition.
    pub(crate) fn truth_of(&self, part: NodeId, scope: &(impl Scope + ?Sized)) -> Truth {
        Evaluation { checked: self, scope, witness: &mut () }.truth(part)
    }

    /// Evaluates a part of an expression.
    pub(crate) fn value_of<'a>(&'a self, part: NodeId, scope: &'a (impl Scope + ?Sized)) -> Value<'a> {
        Evaluation { checked: self, scope, witness: &mut () }.value(part)
    }

    /// Evaluates an expression of any type.
    #[must_use]
    pub fn value<'a>(&'a self, scope: &'a (impl Scope + ?Sized)) -> Value<'a> {
        Evaluation { checked: self, scope, witness: &mut () }.value(self.ast.root)
    }

    /// Evaluates an expression of any type, and writes down all that it depends on.
    #[must_use]
    pub fn explain_value<'a>(&'a self, scope: &'a (impl Scope + ?Sized)) -> (Value<'a>, Trace) {
        let mut trace = Trace::default();
        let value = Evaluation { checked: self, scope, witness: &mut trace }.value(self.ast.root);
        (value, trace)
    }

    /// Evaluates a condition and writes down all that it depends on. The truth is the same as [`Checked::truth`] gives.
    #[must_use]
    pub fn explain(&self, scope: &(impl Scope + ?Sized)) -> (Truth, Trace) {
        let mut trace = Trace::default();
        let truth = Evaluation { checked: self, scope, witness: &mut trace }.truth(self.ast.root);
        (truth, trace)
    }
}

/// Whoever watches an evaluation. `()` watches nothing and costs nothing.
trait Witness {
    /// Whether parts that cannot change the outcome are evaluated too.
    const THOROUGH: bool;
    fn read(&mut self, slot: usize, value: &Value<'_>);
    fn judged(&mut self, node: NodeId, truth: Truth);
}

impl Witness for () {
    const THOROUGH: bool = false;
    fn read(&mut self, _: usize, _: &Value<'_>) {}
    fn judged(&mut self, _: NodeId, _: Truth) {}
}

impl Witness for Trace {
    const THOROUGH: bool = true;

    fn read(&mut self, slot: usize, value: &Value<'_>) {
        if self.operands.iter().all(|operand| operand.slot != slot) {
            self.operands.push(Operand { slot, value: value.clone().into_owned() });
        }
    }

    fn judged(&mut self, node: NodeId, truth: Truth) {
        self.verdicts.push(Verdict { node, truth });
    }
}

struct Evaluation<'a, 'w, S: Scope + ?Sized, W: Witness> {
    checked: &'a Checked,
    scope: &'a S,
    witness: &'w mut W,
}

impl<'a, S: Scope + ?Sized, W: Witness> Evaluation<'a, '_, S, W> {
    fn truth(&mut self, id: NodeId) -> Truth {
        let truth = match self.checked.ast.node(id) {
            Expr::Bool(value) => Truth::from(*value),
            Expr::And(parts) => self.series(parts, Truth::False),
            Expr::Or(parts) => self.series(parts, Truth::True),
            Expr::Not(inner) => self.truth(*inner).not(),
            Expr::Compare(comparison, left, right) => self.compare(*comparison, *left, *right),
            Expr::In { needle, haystack, negated } => {
                let found = self.membership(*needle, *haystack);
                if *negated { found.not() } else { found }
            }
            Expr::TextTest(test, left, right) => self.text_test(*test, *left, *right),
            Expr::Call(Function::Defined, arguments) => {
                let value = self.value(arguments[0]);
                Truth::from(!matches!(value, Value::Unknown(_)))
            }
            Expr::Name(_) | Expr::Call(..) | Expr::Number(_) | Expr::Text(_) | Expr::List(_) | Expr::Negate(_) | Expr::Arithmetic(..) => {
                self.value(id).truth()
            }
        };
        self.witness.judged(id, truth);
        truth
    }

    /// `and` is decided by the first false, `or` by the first true, and otherwise unknown if any part is.
    fn series(&mut self, parts: &[NodeId], deciding: Truth) -> Truth {
        let mut outcome = deciding.not();
        for part in parts {
            let truth = self.truth(*part);
            if truth == deciding {
                outcome = deciding;
                if !W::THOROUGH {
                    break;
                }
            } else if outcome != deciding && !matches!(outcome, Truth::Unknown(_)) {
                outcome = truth;
            }
        }
        outcome
    }

    fn value(&mut self, id: NodeId) -> Value<'a> {
        match self.checked.ast.node(id) {
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(Cow::Borrowed(text)),
            Expr::List(items) => Value::List(items.iter().map(|item| self.value(*item)).collect()),
            Expr::Name(_) => self.read(id),
            Expr::Negate(inner) => self.number(*inner).map_or_else(Value::Unknown, |number| Value::Number(-number)),
            Expr::Arithmetic(operation, left, right) => self.arithmetic(*operation, *left, *right),
            Expr::Call(function, arguments) => self.call(id, *function, arguments),
            Expr::Bool(_) | Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Compare(..) | Expr::In { .. } | Expr::TextTest(..) => {
                self.truth(id).value()
            }
        }
    }

    fn read(&mut self, id: NodeId) -> Value<'a> {
        let slot = self.checked.reads[id.0 as usize] as usize;
        let value = self.scope.value(slot);
        self.witness.read(slot, &value);
        value
    }

    fn number(&mut self, id: NodeId) -> Result<Decimal, Why> {
        number(&self.value(id))
    }

    fn compare(&mut self, comparison: Comparison, left: NodeId, right: NodeId) -> Truth {
        let (a, b) = (self.value(left), self.value(right));
        let equal = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match (&a, &b) {
            (Value::Unknown(why), _) | (_, Value::Unknown(why)) => Truth::Unknown(*why),
            (Value::Number(a), Value::Number(b)) => Truth::from(match comparison {
                Comparison::Equal => a == b,
                Comparison::NotEqual => a != b,
                Comparison::Less => a < b,
                Comparison::LessOrEqual => a <= b,
                Comparison::Greater => a > b,
                Comparison::GreaterOrEqual => a >= b,
            }),
            _ if equal => match same(&a, &b) {
                truth if comparison == Comparison::NotEqual => truth.not(),
                truth => truth,
            },
            _ => Truth::Unknown(Why::WrongType),
        }
    }

    fn membership(&mut self, needle: NodeId, haystack: NodeId) -> Truth {
        let wanted = self.value(needle);
        if let Value::Unknown(why) = wanted {
            if W::THOROUGH {
                self.value(haystack);
            }
            return Truth::Unknown(why);
        }
        match self.checked.ast.node(haystack) {
            // The usual case, a list of constants, is read without building it.
            Expr::List(items) => {
                let mut outcome = Truth::False;
                for item in items {
                    match same(&wanted, &self.value(*item)) {
                        Truth::True => return Truth::True,
                        Truth::Unknown(why) => outcome = Truth::Unknown(why),
                        Truth::False => {}
                    }
                }
                outcome
            }
            _ => listed(&wanted, &self.value(haystack)),
        }
    }

    fn text_test(&mut self, test: TextTest, left: NodeId, right: NodeId) -> Truth {
        let (subject, part) = (self.value(left), self.value(right));
        match (&subject, &part) {
            (Value::Unknown(why), _) | (_, Value::Unknown(why)) => Truth::Unknown(*why),
            (Value::Text(subject), Value::Text(part)) => Truth::from(match test {
                TextTest::StartsWith => subject.starts_with(&**part),
                TextTest::EndsWith => subject.ends_with(&**part),
                TextTest::Contains => subject.contains(&**part),
            }),
            (Value::List(_), _) if test == TextTest::Contains => listed(&part, &subject),
            _ => Truth::Unknown(Why::WrongType),
        }
    }

    fn arithmetic(&mut self, operation: Arithmetic, left: NodeId, right: NodeId) -> Value<'a> {
        let (a, b) = (self.number(left), self.number(right));
        let (a, b) = match (a, b) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(why), _) | (_, Err(why)) => return Value::Unknown(why),
        };
        let result = match operation {
            Arithmetic::Add => sum(a, b),
            Arithmetic::Subtract => sum(a, -b),
            Arithmetic::Multiply => product(a, b),
            Arithmetic::Divide | Arithmetic::Remainder if b.is_zero() => return Value::Unknown(Why::DividedByZero),
            Arithmetic::Divide => a.checked_div(b),
            Arithmetic::Remainder => a.checked_rem(b),
        };
        result.map_or(Value::Unknown(Why::Overflow), Value::Number)
    }

    fn call(&mut self, id: NodeId, function: Function, arguments: &[NodeId]) -> Value<'a> {
        match function {
            Function::Completed | Function::Failed | Function::Skipped | Function::Ended => self.read(id),
            Function::Defined => self.truth(id).value(),
            Function::Default => {
                let value = self.value(arguments[0]);
                if W::THOROUGH || matches!(value, Value::Unknown(_)) {
                    let default = self.value(arguments[1]);
                    if matches!(value, Value::Unknown(_)) {
                        return default;
                    }
                }
                value
            }
            Function::Abs => self.number(arguments[0]).map_or_else(Value::Unknown, |number| Value::Number(number.abs())),
            Function::Round => self.round(arguments[0], arguments[1]),
            Function::Min | Function::Max | Function::Sum => self.fold(function, arguments),
            Function::Length => match self.value(arguments[0]) {
                Value::Text(text) => Value::Number(text.chars().count().into()),
                Value::List(items) => Value::Number(items.len().into()),
                Value::Unknown(why) => Value::Unknown(why),
                Value::Bool(_) | Value::Number(_) | Value::Object(_) => Value::Unknown(Why::WrongType),
            },
            Function::Lower | Function::Upper => match self.value(arguments[0]) {
                Value::Text(text) if function == Function::Lower => Value::Text(Cow::Owned(text.to_lowercase())),
                Value::Text(text) => Value::Text(Cow::Owned(text.to_uppercase())),
                Value::Unknown(why) => Value::Unknown(why),
                Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => Value::Unknown(Why::WrongType),
            },
        }
    }

    fn round(&mut self, value: NodeId, places: NodeId) -> Value<'a> {
        let half_away = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
        match (self.number(value), self.number(places).ok().and_then(|places| u32::try_from(places).ok())) {
            (Ok(number), Some(places)) => Value::Number(number.round_dp_with_strategy(places, half_away)),
            (Err(why), _) => Value::Unknown(why),
            (Ok(_), None) => Value::Unknown(Why::WrongType),
        }
    }

    fn fold(&mut self, function: Function, arguments: &[NodeId]) -> Value<'a> {
        let mut values: Vec<Value<'a>> = arguments.iter().map(|argument| self.value(*argument)).collect();
        if let [Value::List(_)] = &values[..]
            && let Some(Value::List(items)) = values.pop()
        {
            values = items;
        }
        let mut total = (function == Function::Sum).then_some(Decimal::ZERO);
        for value in &values {
            let next = match number(value) {
                Ok(next) => next,
                Err(why) => return Value::Unknown(why),
            };
            total = match (function, total) {
                (Function::Min, Some(least)) => Some(least.min(next)),
                (Function::Max, Some(most)) => Some(most.max(next)),
                (Function::Sum, Some(so_far)) => match sum(so_far, next) {
                    Some(so_far) => Some(so_far),
                    None => return Value::Unknown(Why::Overflow),
                },
                _ => Some(next),
            };
        }
        total.map_or(Value::Unknown(Why::Missing), Value::Number)
    }
}

/// The sum, or nothing where 28 digits do not hold all of it: a cent that is rounded away is a cent that is lost.
fn sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    let whole = |a: Decimal, b: Decimal| sum.scale() >= a.scale().max(b.scale());
    (whole(a, b) || whole(a.normalize(), b.normalize())).then_some(sum)
}

/// The product, or nothing where 28 digits do not hold all of it.
fn product(a: Decimal, b: Decimal) -> Option<Decimal> {
    if a.is_zero() || b.is_zero() {
        return Some(Decimal::ZERO);
    }
    let product = a.checked_mul(b)?;
    let whole = |a: Decimal, b: Decimal| product.scale() >= a.scale() + b.scale();
    (whole(a, b) || whole(a.normalize(), b.normalize())).then_some(product)
}

fn number(value: &Value<'_>) -> Result<Decimal, Why> {
    match value {
        Value::Number(number) => Ok(*number),
        Value::Unknown(why) => Err(*why),
        Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => Err(Why::WrongType),
    }
}

/// Whether two values are equal. Values of different types are not comparable, rather than different.
fn same(a: &Value<'_>, b: &Value<'_>) -> Truth {
    match (a, b) {
        (Value::Unknown(why), _) | (_, Value::Unknown(why)) => Truth::Unknown(*why),
        (Value::Bool(a), Value::Bool(b)) => Truth::from(a == b),
        (Value::Number(a), Value::Number(b)) => Truth::from(a == b),
        (Value::Text(a), Value::Text(b)) => Truth::from(a == b),
        (Value::List(a), Value::List(b)) if a.len() != b.len() => Truth::False,
        (Value::List(a), Value::List(b)) => {
            let mut outcome = Truth::True;
            for (a, b) in a.iter().zip(b) {
                match same(a, b) {
                    Truth::False => return Truth::False,
                    Truth::Unknown(why) => outcome = Truth::Unknown(why),
                    Truth::True => {}
                }
            }
            outcome
        }
        _ => Truth::Unknown(Why::WrongType),
    }
}

fn listed(wanted: &Value<'_>, list: &Value<'_>) -> Truth {
    let items = match (wanted, list) {
        (Value::Unknown(why), _) | (_, Value::Unknown(why)) => return Truth::Unknown(*why),
        (_, Value::List(items)) => items,
        _ => return Truth::Unknown(Why::WrongType),
    };
    let mut outcome = Truth::False;
    for item in items {
        match same(wanted, item) {
            Truth::True => return Truth::True,
            Truth::Unknown(why) => outcome = Truth::Unknown(why),
            Truth::False => {}
        }
    }
    outcome
}
