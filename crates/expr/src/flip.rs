//! What would have to be otherwise for a condition to come out the other way: the fewest values, and the nearest.

use std::borrow::Cow;

use crate::ast::{Arithmetic, Comparison, Expr, Function, NodeId, TextTest};
use crate::{Checked, Decimal, Range, Scope, Truth, Type, Value};

/// A value that would have to be otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// The part of the condition that would have to come out otherwise, as it is written.
    pub what: String,
    /// What it comes to.
    pub now: Value<'static>,
    /// What it would have to be, in words: `more than 0.9`.
    pub needs: String,
    /// The slot that would be otherwise, of [`Checked::slots`].
    pub slot: usize,
    /// One of the values with which it would.
    pub to: Value<'static>,
}

impl Checked {
    /// The fewest values that would have to be otherwise for the condition to hold, or not to, and of several the nearest. Nothing
    /// where it comes out that way already, or where no such values are seen. Those that are shown do it; where a value is read in
    /// several places, there may be fewer.
    #[must_use]
    pub fn flip(&self, scope: &(impl Scope + ?Sized), holds: bool) -> Option<Vec<Need>> {
        let flip = Flip { checked: self, scope };
        let Way { needs, .. } = flip.way(self.ast().root(), holds)?;
        let mut changed = Changed { scope, values: Vec::with_capacity(needs.len()) };
        let found = !needs.is_empty() && self.settle(&needs, &mut changed, holds, &mut MAX_SETTLED.clone());
        let chosen = changed.values;
        found.then(|| {
            let to = |slot: usize| chosen.iter().find(|(known, _)| *known == slot).map(|(_, value)| value.clone());
            let mut told: Vec<Need> = Vec::with_capacity(needs.len());
            for need in needs {
                if told.iter().all(|known| known.slot != need.slot || known.needs != need.needs) {
                    told.extend(to(need.slot).map(|to| Need { to, ..need }));
                }
            }
            told
        })
    }

    /// Finds for each slot one value with which all that is needed of it comes about.
    fn settle<S: Scope + ?Sized>(&self, needs: &[Need], changed: &mut Changed<'_, S>, holds: bool, tries: &mut usize) -> bool {
        let Some(next) = needs.iter().find(|need| changed.values.iter().all(|(slot, _)| *slot != need.slot)) else {
            *tries = tries.saturating_sub(1);
            return self.truth(changed) == Truth::from(holds);
        };
        for need in needs.iter().filter(|need| need.slot == next.slot) {
            changed.values.push((need.slot, need.to.clone()));
            if *tries > 0 && self.settle(needs, changed, holds, tries) {
                return true;
            }
            changed.values.pop();
        }
        false
    }
}

/// Most combinations that are tried where several things are needed of one value.
const MAX_SETTLED: usize = 64;

/// The values as they are, but for those that would have to be otherwise.
struct Changed<'a, S: Scope + ?Sized> {
    scope: &'a S,
    values: Vec<(usize, Value<'static>)>,
}

impl<S: Scope + ?Sized> Scope for Changed<'_, S> {
    fn value(&self, slot: usize) -> Value<'_> {
        match self.values.iter().find(|(changed, _)| *changed == slot) {
            Some((_, value)) => value.clone(),
            None => self.scope.value(slot),
        }
    }
}

struct Flip<'a, S: Scope + ?Sized> {
    checked: &'a Checked,
    scope: &'a S,
}

/// A way to another outcome, and how far it is.
#[derive(Default)]
struct Way {
    needs: Vec<Need>,
    distance: f64,
}

impl Way {
    /// How many values would be otherwise.
    fn slots(&self) -> usize {
        let first = |(position, need): &(usize, &Need)| self.needs[..*position].iter().all(|known| known.slot != need.slot);
        self.needs.iter().enumerate().filter(first).count()
    }

    fn and(mut self, other: Way) -> Way {
        let new = other.needs.into_iter().filter(|need| !self.needs.contains(need)).collect::<Vec<_>>();
        self.needs.extend(new);
        Way { distance: self.distance + other.distance, ..self }
    }
}

impl<S: Scope + ?Sized> Flip<'_, S> {
    fn expr(&self, id: NodeId) -> &Expr {
        self.checked.ast().node(id)
    }

    fn value(&self, id: NodeId) -> Value<'static> {
        self.checked.value_of(id, self.scope).into_owned()
    }

    fn text(&self, id: NodeId) -> String {
        let ast = self.checked.ast();
        ast.span(id).text(ast.source()).trim().to_owned()
    }

    fn way(&self, id: NodeId, holds: bool) -> Option<Way> {
        if self.checked.truth_of(id, self.scope) == Truth::from(holds) {
            return Some(Way::default());
        }
        match self.expr(id) {
            Expr::And(parts) if holds => self.all(parts, true),
            Expr::Or(parts) if !holds => self.all(parts, false),
            Expr::And(parts) | Expr::Or(parts) => self.nearest(parts, holds),
            Expr::Not(inner) => self.way(*inner, !holds),
            Expr::Compare(comparison, left, right) => {
                let comparison = if holds { *comparison } else { comparison.negated() };
                let ways = [self.compare(*left, comparison, *right), self.compare(*right, comparison.mirrored(), *left)];
                nearest(ways.into_iter().flatten())
            }
            Expr::In { needle, haystack, negated } => self.membership(*needle, *haystack, holds != *negated),
            Expr::TextTest(test, left, right) => self.text_test(*test, *left, *right, holds),
            Expr::Call(Function::Defined, arguments) => {
                let to = if holds { self.some(arguments[0]) } else { Value::Unknown(crate::Why::Missing) };
                self.need(arguments[0], if holds { "to be there" } else { "to be missing" }.to_owned(), to)
            }
            Expr::Name(_) | Expr::Call(..) => self.need(id, format!("to be {holds}"), Value::Bool(holds)),
            Expr::Bool(_) | Expr::Number(_) | Expr::Text(_) | Expr::List(_) | Expr::Negate(_) | Expr::Arithmetic(..) => None,
        }
    }

    fn all(&self, parts: &[NodeId], holds: bool) -> Option<Way> {
        parts.iter().try_fold(Way::default(), |way, part| Some(way.and(self.way(*part, holds)?)))
    }

    fn nearest(&self, parts: &[NodeId], holds: bool) -> Option<Way> {
        nearest(parts.iter().filter_map(|part| self.way(*part, holds)))
    }

    /// Lets the left side be otherwise.
    fn compare(&self, left: NodeId, comparison: Comparison, right: NodeId) -> Option<Way> {
        let to = self.value(right);
        let bound = match (&to, comparison) {
            (Value::Unknown(_) | Value::List(_) | Value::Object(_), _) => return None,
            (Value::Number(bound), _) => *bound,
            (value, Comparison::Equal) => return self.need(left, format!("to be {value}"), to.clone()),
            (value, Comparison::NotEqual) => return self.need(left, format!("not to be {value}"), self.other(left, &[value])?),
            _ => return None,
        };
        let told = match comparison {
            Comparison::Equal => format!("{bound}"),
            Comparison::NotEqual => format!("not {bound}"),
            Comparison::Less => format!("less than {bound}"),
            Comparison::LessOrEqual => format!("at most {bound}"),
            Comparison::Greater => format!("more than {bound}"),
            Comparison::GreaterOrEqual => format!("at least {bound}"),
        };
        let range = self.range(left);
        let to = match comparison {
            Comparison::Equal => Some(bound),
            // Where all values lie on the right side of it, the nearest of them will do.
            Comparison::LessOrEqual => Some(range.max.map_or(bound, |max| bound.min(max))),
            Comparison::GreaterOrEqual => Some(range.min.map_or(bound, |min| bound.max(min))),
            Comparison::Less => below(bound, range),
            Comparison::Greater => above(bound, range),
            Comparison::NotEqual => above(bound, range).or_else(|| below(bound, range)),
        };
        self.need(left, told, Value::Number(to.filter(|to| range.holds(*to))?))
    }

    fn membership(&self, needle: NodeId, haystack: NodeId, holds: bool) -> Option<Way> {
        let Value::List(items) = self.value(haystack) else { return None };
        let told: Vec<String> = items.iter().map(ToString::to_string).collect();
        let known: Vec<&Value<'_>> = items.iter().filter(|item| !matches!(item, Value::Unknown(_))).collect();
        if holds {
            // Any of them; which one does is found out where all that is needed of a value is put together.
            let told = format!("one of {}", told.join(", "));
            let ways = known.iter().filter_map(|one| self.need(needle, told.clone(), (*one).clone().into_owned()));
            return ways.reduce(|nearer, other| Way { distance: nearer.distance.min(other.distance), ..nearer.and(other) });
        }
        self.need(needle, format!("none of {}", told.join(", ")), self.other(needle, &known)?)
    }

    fn text_test(&self, test: TextTest, left: NodeId, right: NodeId, holds: bool) -> Option<Way> {
        let Value::Text(part) = self.value(right) else { return None };
        let verb = match test {
            TextTest::StartsWith => "start with",
            TextTest::EndsWith => "end with",
            TextTest::Contains => "contain",
        };
        let to = if holds { part.clone() } else { Cow::Borrowed("") };
        let not = if holds { "" } else { "not " };
        self.need(left, format!("{not}to {verb} '{part}'"), Value::Text(to))
    }

    /// A part that would have to come to this.
    fn need(&self, part: NodeId, needs: String, to: Value<'static>) -> Option<Way> {
        let now = self.value(part);
        let distance = match (&now, &to) {
            (Value::Number(now), Value::Number(to)) => far(*now, *to),
            (Value::Unknown(_), _) => 2.0,
            _ => 1.0,
        };
        let (slot, to) = self.solve(part, to)?;
        if !fits(self.checked.slot_type(slot), &to) {
            return None;
        }
        Some(Way { needs: vec![Need { what: self.text(part), now, needs, slot, to }], distance })
    }

    /// Which value would make a part come to this, all others being as they are.
    fn solve(&self, part: NodeId, to: Value<'static>) -> Option<(usize, Value<'static>)> {
        let constant = |id: NodeId| match self.value(id) {
            Value::Number(number) => Some(number),
            _ => None,
        };
        match (self.expr(part), to) {
            (Expr::Name(_) | Expr::Call(Function::Completed | Function::Failed | Function::Skipped | Function::Ended, _), to) => {
                Some((self.checked.slot_of(part)?, to))
            }
            (Expr::Call(Function::Default, arguments), to) => self.solve(arguments[0], to),
            (Expr::Call(Function::Abs, arguments), Value::Number(to)) if to >= Decimal::ZERO => {
                // On the side of zero where it is now.
                let negative = constant(arguments[0]).is_some_and(|now| now.is_sign_negative());
                self.solve(arguments[0], Value::Number(if negative { -to } else { to }))
            }
            (Expr::Negate(inner), Value::Number(to)) => self.solve(*inner, Value::Number(-to)),
            (Expr::Arithmetic(operation, left, right), Value::Number(to)) => {
                let (left, right) = (*left, *right);
                let solved = |part: NodeId, to: Option<Decimal>| self.solve(part, Value::Number(to?));
                let by_left = constant(right).and_then(|right| {
                    let to = match operation {
                        Arithmetic::Add => to.checked_sub(right),
                        Arithmetic::Subtract => to.checked_add(right),
                        Arithmetic::Multiply => to.checked_div(right),
                        Arithmetic::Divide => to.checked_mul(right),
                        Arithmetic::Remainder => None,
                    };
                    solved(left, to)
                });
                by_left.or_else(|| {
                    let left = constant(left)?;
                    let to = match operation {
                        Arithmetic::Add => to.checked_sub(left),
                        Arithmetic::Subtract => left.checked_sub(to),
                        Arithmetic::Multiply => to.checked_div(left),
                        Arithmetic::Divide => left.checked_div(to),
                        Arithmetic::Remainder => None,
                    };
                    solved(right, to)
                })
            }
            _ => None,
        }
    }

    /// The range of what a part comes to.
    fn range(&self, part: NodeId) -> Range {
        match self.checked.type_of(part) {
            Type::Number(range) => *range,
            _ => Range::ALL,
        }
    }

    /// A value that is none of these.
    fn other(&self, part: NodeId, than: &[&Value<'_>]) -> Option<Value<'static>> {
        let free = |value: &Value<'static>| than.iter().all(|known| *known != value);
        match (self.checked.type_of(part), than.first()?) {
            (Type::Enum(values), _) => values.iter().map(|value| Value::Text(Cow::Owned(value.clone()))).find(free),
            (_, Value::Bool(value)) => Some(Value::Bool(!value)).filter(free),
            (_, Value::Text(_)) => Some(Value::Text(Cow::Borrowed("…"))).filter(free),
            (_, Value::Number(_)) => {
                let most = than.iter().filter_map(|value| if let Value::Number(number) = value { Some(*number) } else { None }).max()?;
                above(most, self.range(part)).map(Value::Number).filter(free)
            }
            _ => None,
        }
    }

    /// Some value that a part may have.
    fn some(&self, part: NodeId) -> Value<'static> {
        match self.checked.type_of(part) {
            Type::Bool => Value::Bool(true),
            Type::Number(range) => Value::Number(range.min.or(range.max).unwrap_or_default()),
            Type::Enum(values) => Value::Text(Cow::Owned(values.first().cloned().unwrap_or_default())),
            Type::List(_) => Value::List(Vec::new()),
            Type::Text | Type::Any | Type::Object(_) => Value::Text(Cow::Borrowed("…")),
        }
    }
}

/// Of several ways the one with the fewest needs, and then the nearest.
fn nearest(ways: impl Iterator<Item = Way>) -> Option<Way> {
    ways.min_by(|a, b| a.slots().cmp(&b.slots()).then(a.distance.total_cmp(&b.distance)))
}

/// How far two numbers are apart, measured by their size.
fn far(now: Decimal, to: Decimal) -> f64 {
    let size = now.abs().max(to.abs()).max(Decimal::ONE);
    let apart = now.checked_sub(to).and_then(|apart| apart.abs().checked_div(size));
    apart.and_then(|apart| f64::try_from(apart).ok()).unwrap_or(1.0)
}

/// A number that is a little more, by one of its last digit, or half of what is left.
fn above(bound: Decimal, range: Range) -> Option<Decimal> {
    let more = bound.checked_add(Decimal::new(1, bound.scale().min(27)))?;
    match range.max {
        Some(max) if more > max => bound.checked_add(max).map(|both| both / Decimal::TWO).filter(|middle| *middle > bound),
        _ => Some(more.max(range.min.unwrap_or(more))),
    }
}

/// A number that is a little less.
fn below(bound: Decimal, range: Range) -> Option<Decimal> {
    let mirrored = Range { min: range.max.map(|max| -max), max: range.min.map(|min| -min) };
    above(-bound, mirrored).map(|less| -less)
}

fn fits(kind: &Type, value: &Value<'_>) -> bool {
    match (kind, value) {
        (Type::Any, _) | (_, Value::Unknown(_)) | (Type::Bool, Value::Bool(_)) | (Type::Text, Value::Text(_)) => true,
        (Type::Number(range), Value::Number(number)) => range.holds(*number),
        (Type::Enum(values), Value::Text(text)) => values.iter().any(|value| value == text),
        (Type::List(_), Value::List(_)) => true,
        _ => false,
    }
}
