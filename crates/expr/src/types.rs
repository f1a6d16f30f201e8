use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::Segment;

/// What is known about a value before anything runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Nothing is declared; the value is looked at when it is there.
    #[default]
    Any,
    /// True or false.
    Bool,
    /// A decimal number within a range.
    Number(Range),
    /// A text.
    Text,
    /// One of these texts.
    Enum(Vec<String>),
    /// A list of values of one type.
    List(Box<Type>),
    /// An object with these fields.
    Object(Vec<Field>),
}

/// A declared field of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The name by which it is read.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Whether an output without it does not fit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// The numbers from `min` to `max`, both included; an end that is missing is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Decimal>,
    /// The largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Decimal>,
}

impl Range {
    /// Every number.
    pub const ALL: Range = Range { min: None, max: None };
    /// From 0 to 1, as confidences are.
    pub const UNIT: Range = Range { min: Some(Decimal::ZERO), max: Some(Decimal::ONE) };

    pub(crate) fn only(number: Decimal) -> Range {
        Range { min: Some(number), max: Some(number) }
    }

    /// Whether `number` lies in the range.
    #[must_use]
    pub fn holds(&self, number: Decimal) -> bool {
        self.min.is_none_or(|min| min <= number) && self.max.is_none_or(|max| number <= max)
    }
}

impl Type {
    /// A number without bounds.
    pub const NUMBER: Type = Type::Number(Range::ALL);

    /// Follows a path into the type; `None` where the type has no such place.
    #[must_use]
    pub fn at(&self, path: &[Segment]) -> Option<&Type> {
        path.iter().try_fold(self, |kind, step| match (kind, step) {
            (Type::Any, _) => Some(&Type::Any),
            (Type::Object(fields), Segment::Field(name)) => fields.iter().find(|field| field.name == **name).map(|field| &field.kind),
            (Type::List(items), Segment::Index(_)) => Some(&**items),
            _ => None,
        })
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Type::Any | Type::Text | Type::Enum(_))
    }

    /// Whether a value of this type and one of `other` can be compared at all.
    pub(crate) fn meets(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Any, _) | (_, Type::Any) | (Type::Bool, Type::Bool) | (Type::Number(_), Type::Number(_)) => true,
            (Type::Text | Type::Enum(_), Type::Text | Type::Enum(_)) => true,
            (Type::List(a), Type::List(b)) => a.meets(b),
            (Type::Bool | Type::Number(_) | Type::Text | Type::Enum(_) | Type::List(_) | Type::Object(_), _) => false,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any value"),
            Type::Bool => f.write_str("true or false"),
            Type::Number(Range { min: Some(min), max: Some(max) }) if min == max => write!(f, "the number {min}"),
            Type::Number(Range { min: None, max: None }) => f.write_str("a number"),
            Type::Number(Range { min: Some(min), max: None }) => write!(f, "a number from {min}"),
            Type::Number(Range { min: None, max: Some(max) }) => write!(f, "a number up to {max}"),
            Type::Number(Range { min: Some(min), max: Some(max) }) => write!(f, "a number from {min} to {max}"),
            Type::Text => f.write_str("a text"),
            Type::Enum(values) if values.len() == 1 => write!(f, "the text '{}'", values[0]),
            Type::Enum(values) => write!(f, "one of {}", values.join(", ")),
            Type::List(items) => write!(f, "a list (each item {items})"),
            Type::Object(_) => f.write_str("an object"),
        }
    }
}
