//! What classification finds out about a piece of work: the fields of its profile, each with the reason.

use std::collections::BTreeSet;
use std::fmt;

use quorate_core::{Operand, Payload};
use quorate_expr::{Decimal, Field, Range, Truth, Type};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::facts::{Facts, Formula, Known};
use crate::files::{CLASSIFY_FIELD, CLASSIFY_ROW};
use crate::report::{Diagnostic, Source};
use crate::shape::json;
use crate::yaml::{Kind, Node};

/// Names that mean something else in conditions.
const RESERVED: [&str; 4] = ["input", "profile", "session", "params"];

/// How the profile of a piece of work is found.
#[derive(Clone, Debug, Default)]
pub struct Classifier {
    /// What comes in.
    pub input: Type,
    /// The fields, in order: each may rest on those before it.
    fields: Vec<Field>,
    ways: Vec<Way>,
}

/// How a field is found.
#[derive(Clone, Debug)]
struct Way {
    by: By,
    on_unknown: Option<Payload>,
}

#[derive(Clone, Debug)]
enum By {
    Expression(Formula),
    Table(Vec<Row>),
}

/// A row of a table; without a condition it always holds.
#[derive(Clone, Debug)]
struct Row {
    when: Option<Formula>,
    then: Payload,
    because: Option<String>,
}

/// What was found out about a piece of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// The profile: what is known of it.
    pub profile: Payload,
    /// Every field, with its reason.
    pub fields: Vec<FieldFound>,
    /// Their values, by position.
    pub(crate) values: Vec<Option<Payload>>,
}

/// A field of a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldFound {
    /// Its name.
    pub field: String,
    /// Its value; nothing where it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Why.
    pub because: Because,
}

/// Why a field is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// An expression gives it.
    Expression {
        /// The expression.
        text: String,
        /// What it read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operands: Vec<Operand>,
    },
    /// The first row of a table that holds gives it.
    Row {
        /// Which, counted from 1.
        row: usize,
        /// Why it is there, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// Its condition; one without always holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// What that read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operands: Vec<Operand>,
    },
    /// A row is unknown, so that it cannot be said which one is the first that holds.
    Undecided {
        /// Which, counted from 1.
        row: usize,
        /// Its condition.
        when: String,
        /// What that read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operands: Vec<Operand>,
    },
    /// No row holds.
    NoRow,
}

impl fmt::Display for FieldFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldFound { field, value, because } = self;
        let seen = |operands: &[Operand]| operands.iter().map(Operand::to_string).collect::<Vec<_>>().join(", ");
        match value {
            Some(Json::String(text)) => write!(f, "{field} is {text}")?,
            Some(value) => write!(f, "{field} is {value}")?,
            None => write!(f, "{field} is unknown")?,
        }
        match because {
            Because::Expression { operands, .. } if operands.is_empty() => f.write_str(", always"),
            // A bare name says where the value is from.
            Because::Expression { text, operands } if operands.len() == 1 && operands[0].name == *text => {
                write!(f, ", as {}", seen(operands))
            }
            Because::Expression { text, operands } => write!(f, ": `{text}`, where {}", seen(operands)),
            Because::Row { row, when, operands, why } => {
                match why {
                    Some(why) => write!(f, ": {why}")?,
                    None if when.is_none() => write!(f, ": row {row}, since none above it holds")?,
                    None => write!(f, ": row {row} holds")?,
                }
                when.as_ref().map_or(Ok(()), |when| write!(f, ", `{when}`, where {}", seen(operands)))
            }
            Because::Undecided { row, when, operands } => write!(f, ": row {row} is unknown, `{when}`, where {}", seen(operands)),
            Because::NoRow => f.write_str(": no row holds"),
        }
    }
}

impl Classifier {
    /// Reads the fields of a profile whose shape was checked.
    pub(crate) fn read(node: Option<&Node>, input: Type, file: &Source, problems: &mut Vec<Diagnostic>) -> Classifier {
        let mut classifier = Classifier { input, ..Classifier::default() };
        let entries = node.map(Node::entries).unwrap_or_default();
        let names: Vec<&str> = entries.iter().map(|(key, _)| &*key.name).collect();
        let mut met = BTreeSet::new();
        for (position, (key, node)) in entries.iter().enumerate() {
            let name = &*key.name;
            let plain = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if RESERVED.contains(&name) || !plain {
                let problem = Diagnostic::error("C001", format!("`{}` cannot be a field of a profile", name.escape_debug())).at(key.span);
                problems.push(problem.help("a name has letters, digits and `_`, and is none of input, profile, session, params"));
                continue;
            }
            // One that stands twice is told of as that.
            if !met.insert(name) {
                continue;
            }
            let known = Known { input: &classifier.input, profile: &classifier.fields, later: &names[position..] };
            let Some((way, kind)) = Way::read(node, file, &known, problems) else { continue };
            classifier.fields.push(Field { name: name.to_owned(), kind, required: false });
            classifier.ways.push(way);
        }
        classifier
    }

    /// Whether nothing is found out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// What a profile looks like.
    #[must_use]
    pub fn profile(&self) -> Type {
        // Of which nothing is found out, nothing is there: a bare name is one of what comes in.
        Type::Object(self.fields.clone())
    }

    /// Finds out about a piece of work. What cannot be found out is unknown, and not in the profile.
    #[must_use]
    pub fn classify(&self, input: &Payload) -> Classified {
        let mut profile: Vec<Option<Payload>> = Vec::with_capacity(self.fields.len());
        let mut fields = Vec::with_capacity(self.fields.len());
        let mut json = String::from("{");
        for (field, way) in self.fields.iter().zip(&self.ways) {
            let (found, because) = way.look(Facts { input, profile: &profile });
            // What an expression comes to may be other than what its parts promised.
            let found = found.filter(|found| found.check(&field.kind).is_ok()).or_else(|| way.on_unknown.clone());
            if let Some(found) = &found {
                let comma = if json.len() > 1 { "," } else { "" };
                json.push_str(&format!("{comma}\"{}\":{}", field.name, found.json()));
            }
            let value = found.as_ref().and_then(|found| found.decode().ok());
            fields.push(FieldFound { field: field.name.clone(), value, because });
            profile.push(found);
        }
        json.push('}');
        Classified { profile: Payload::parse(json).unwrap_or_else(|_| Payload::null()), fields, values: profile }
    }
}

impl Way {
    fn read(node: &Node, file: &Source, known: &Known<'_>, problems: &mut Vec<Diagnostic>) -> Option<(Way, Type)> {
        let (by, on_unknown) = match &node.kind {
            Kind::Map(_) => {
                let (value, table) = (CLASSIFY_FIELD.get(node, "value"), CLASSIFY_FIELD.get(node, "table"));
                let by = match (value, table) {
                    (Some(one), None) | (None, Some(one)) => one,
                    _ => {
                        let problem = Diagnostic::error("C002", "a field has a `value` or a `table`, one of them").at(node.span);
                        problems.push(problem.help("write `value: an expression`, or `table: [{ when: …, then: … }]`"));
                        return None;
                    }
                };
                (by, CLASSIFY_FIELD.get(node, "on_unknown"))
            }
            Kind::Scalar(_) | Kind::List(_) => (node, None),
        };
        let (by, mut kind) = match &by.kind {
            Kind::List(rows) => table(rows, by, file, known, problems)?,
            _ => {
                let formula = Formula::expression(by, file, known, problems)?;
                let kind = widened(formula.kind());
                (By::Expression(formula), kind)
            }
        };
        let on_unknown = on_unknown.map(json);
        if let Some(constant) = &on_unknown {
            kind = together(kind, kind_of(constant));
        }
        let on_unknown = on_unknown.and_then(|constant| Payload::of(&constant).ok());
        Some((Way { by, on_unknown }, kind))
    }

    fn look(&self, facts: Facts<'_>) -> (Option<Payload>, Because) {
        let rows = match &self.by {
            By::Expression(formula) => {
                let (value, operands) = formula.value(facts);
                return (value.ok(), Because::Expression { text: formula.text().to_owned(), operands });
            }
            By::Table(rows) => rows,
        };
        for (row, Row { when, then, because }) in (1..).zip(rows) {
            let why = because.clone();
            let Some(when) = when else { return (Some(then.clone()), Because::Row { row, why, when: None, operands: Vec::new() }) };
            let (truth, operands) = when.holds(facts);
            let when = when.text().to_owned();
            match truth {
                Truth::True => return (Some(then.clone()), Because::Row { row, why, when: Some(when), operands }),
                Truth::False => {}
                // It may be the first that holds: those behind it decide nothing.
                Truth::Unknown(_) => return (None, Because::Undecided { row, when, operands }),
            }
        }
        (None, Because::NoRow)
    }
}

fn table(rows: &[Node], node: &Node, file: &Source, known: &Known<'_>, problems: &mut Vec<Diagnostic>) -> Option<(By, Type)> {
    if rows.is_empty() {
        problems.push(Diagnostic::error("C003", "this table has no rows").at(node.span).help("write [{ when: …, then: … }]"));
        return None;
    }
    let (mut read, mut kind, mut last, mut whole) = (Vec::with_capacity(rows.len()), None, None, true);
    for row in rows {
        if let Some(first) = last {
            let problem = Diagnostic::warning("C004", "no work comes as far as this row").at(row.span);
            problems.push(problem.note(first, "this one always holds").help("put the row without `when` last"));
        }
        let when = CLASSIFY_ROW.get(row, "when");
        let formula = when.and_then(|when| Formula::condition(when, file, known, problems));
        whole &= when.is_none() || formula.is_some();
        let Some(then) = CLASSIFY_ROW.get(row, "then").map(json) else {
            whole = false;
            continue;
        };
        kind = Some(match kind.take() {
            None => kind_of(&then),
            Some(kind) => together(kind, kind_of(&then)),
        });
        if when.is_none() {
            last = last.or(Some(row.span));
        }
        match Payload::of(&then) {
            Ok(then) => {
                let because = CLASSIFY_ROW.get(row, "because").and_then(Node::text).map(str::to_owned);
                read.push(Row { when: formula, then, because });
            }
            Err(wrong) => problems.push(Diagnostic::error("C005", wrong.to_string()).at(row.span)),
        }
    }
    whole.then_some((By::Table(read), kind.unwrap_or_default()))
}

/// What a field may be that is one of several constants.
fn kind_of(constant: &Json) -> Type {
    match constant {
        Json::Bool(_) => Type::Bool,
        Json::Number(number) => {
            let number = number.to_string().parse::<Decimal>().ok();
            Type::Number(number.map_or(Range::ALL, |number| Range { min: Some(number), max: Some(number) }))
        }
        Json::String(text) => Type::Enum(vec![text.clone()]),
        Json::Array(_) => Type::List(Box::new(Type::Any)),
        Json::Null | Json::Object(_) => Type::Any,
    }
}

fn together(one: Type, other: Type) -> Type {
    match (one, other) {
        (Type::Enum(mut all), Type::Enum(more)) => {
            for text in more {
                if !all.contains(&text) {
                    all.push(text);
                }
            }
            Type::Enum(all)
        }
        (Type::Number(one), Type::Number(other)) => {
            Type::Number(Range { min: one.min.zip(other.min).map(|(a, b)| a.min(b)), max: one.max.zip(other.max).map(|(a, b)| a.max(b)) })
        }
        (Type::Text, Type::Text | Type::Enum(_)) | (Type::Enum(_), Type::Text) => Type::Text,
        (one, other) if one == other => one,
        _ => Type::Any,
    }
}

/// What an expression may come to. The bounds that follow from a constant are no promise about others.
fn widened(kind: &Type) -> Type {
    match kind {
        Type::Enum(values) if values.len() == 1 => Type::Text,
        other => other.clone(),
    }
}
