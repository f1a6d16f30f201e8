//! What may stand in a file, declared once: files are checked against it, editors get a JSON Schema made of it, and the
//! book its tables.

use quorate_core::Millis;
use quorate_expr::closest;
use serde_json::{Map, Value as Json, json};

use crate::report::Diagnostic;
use crate::yaml::{Kind, Node, Plain};

/// A limit that nobody means.
pub(crate) const MANY: u64 = u32::MAX as u64;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    Bool,
    /// A whole number in this range.
    Whole(u64, u64),
    /// A number in this range.
    Number(f64, f64),
    /// A text; a number or a truth value is taken as it is written.
    Text,
    /// How long something takes: `500ms`, `10m`, `1h 30m`, or a number of seconds.
    Duration,
    /// A condition or an expression of the condition language.
    Condition,
    /// Anything.
    Any,
    /// What a value looks like: `number`, `[text]`, `{ok: bool}`.
    Type,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    List(&'static Shape),
    /// One, or a list of them.
    Some(&'static Shape),
    /// Names, each with one of these.
    Map(&'static Shape),
    Object(&'static Object),
    /// Such an object, or names, each with one: it is one where a key is a field of it.
    OneOrNamed(&'static Object),
    /// One of these, which are of different kinds.
    Either(&'static [Shape]),
}

#[derive(Debug)]
pub(crate) struct Object {
    /// Its name in the schema.
    pub(crate) title: &'static str,
    /// What it is, with its article: `a task`.
    pub(crate) what: &'static str,
    pub(crate) fields: &'static [Field],
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Other names by which it is known.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// What it means, in one sentence.
    pub(crate) doc: &'static str,
}

/// A field that may be left out.
pub(crate) const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, aliases: &[], shape, required: false, doc }
}

impl Field {
    pub(crate) const fn or(mut self, aliases: &'static [&'static str]) -> Field {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn required(mut self) -> Field {
        self.required = true;
        self
    }
}

impl Object {
    fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name || field.aliases.contains(&name))
    }

    /// Whether a mapping is one of these, by its keys.
    pub(crate) fn is_one(&self, node: &Node) -> bool {
        node.entries().iter().any(|(key, _)| self.position(&key.name).is_some())
    }

    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.position(name).map(|position| &self.fields[position])
    }

    /// The value of a field, by whichever of its names.
    pub(crate) fn get<'a>(&self, node: &'a Node, name: &str) -> Option<&'a Node> {
        let field = self.field(name)?;
        let names = std::iter::once(&field.name).chain(field.aliases);
        names.filter_map(|name| node.get(name)).find(|value| !value.is_null())
    }
}

/// Kinds of values as YAML tells them apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Single,
    List,
    Map,
}

fn sort_of(node: &Node) -> Sort {
    match node.kind {
        Kind::Scalar(_) => Sort::Single,
        Kind::List(_) => Sort::List,
        Kind::Map(_) => Sort::Map,
    }
}

impl Shape {
    fn takes(&self, sort: Sort) -> bool {
        match self {
            Shape::Any | Shape::Type => true,
            Shape::Bool | Shape::Whole(..) | Shape::Number(..) | Shape::Text | Shape::Duration | Shape::Condition | Shape::Choice(_) => {
                sort == Sort::Single
            }
            Shape::List(_) => sort == Sort::List,
            Shape::Some(one) => sort == Sort::List || one.takes(sort),
            Shape::Map(_) | Shape::Object(_) | Shape::OneOrNamed(_) => sort == Sort::Map,
            Shape::Either(shapes) => shapes.iter().any(|shape| shape.takes(sort)),
        }
    }

    /// What is wanted, in words.
    fn wanted(&self) -> String {
        match self {
            Shape::Bool => "true or false".to_owned(),
            Shape::Whole(0, MANY..) => "a whole number".to_owned(),
            Shape::Whole(min, MANY..) => format!("a whole number from {min}"),
            Shape::Whole(min, max) => format!("a whole number from {min} to {max}"),
            Shape::Number(min, max) => format!("a number from {min} to {max}"),
            Shape::Text => "a text".to_owned(),
            Shape::Duration => "a length of time, such as 500ms, 30s or 1h 30m".to_owned(),
            Shape::Condition => "a condition".to_owned(),
            Shape::Any => "a value".to_owned(),
            Shape::Type => "a type, such as bool, number, text, [text] or {score: number}".to_owned(),
            Shape::Choice(words) => format!("one of {}", words.join(", ")),
            Shape::List(one) => format!("a list, each item {}", one.wanted()),
            Shape::Some(one) => format!("{}, or a list of such", one.wanted()),
            Shape::Map(one) => format!("names, each with {}", one.wanted()),
            Shape::Object(object) => format!("{} with its fields", object.what),
            Shape::OneOrNamed(object) => format!("{0} with its fields, or names, each with {0}", object.what),
            Shape::Either(shapes) => shapes.iter().map(Shape::wanted).collect::<Vec<_>>().join(", or "),
        }
    }

    /// Reports everything in `node` that does not fit.
    pub(crate) fn check(&self, node: &Node, name: &str, problems: &mut Vec<Diagnostic>) {
        if !self.takes(sort_of(node)) {
            return self.misfit(node, name, problems);
        }
        match self {
            Shape::Any | Shape::Type => {}
            Shape::Either(shapes) => {
                let Some(shape) = shapes.iter().find(|shape| shape.takes(sort_of(node))) else { return };
                let before = problems.len();
                shape.check(node, name, problems);
                let others: Vec<String> = shapes.iter().filter(|other| !std::ptr::eq(*other, shape)).map(Shape::wanted).collect();
                // What is wrong inside of it is no reason to write something else altogether.
                for problem in problems[before..].iter_mut().filter(|problem| problem.span == Some(node.span) && problem.help.is_none()) {
                    problem.help = Some(format!("it may also be {}", others.join(", or ")));
                }
            }
            Shape::List(one) => node.items().iter().for_each(|item| one.check(item, name, problems)),
            Shape::Some(one) if sort_of(node) == Sort::List => node.items().iter().for_each(|item| one.check(item, name, problems)),
            Shape::Some(one) => one.check(node, name, problems),
            Shape::Map(one) => node.entries().iter().for_each(|(key, value)| one.check(value, &key.name, problems)),
            Shape::Object(object) => object.check(node, problems),
            Shape::OneOrNamed(object) if object.is_one(node) => object.check(node, problems),
            Shape::OneOrNamed(object) => node.entries().iter().for_each(|(key, value)| {
                Shape::Object(object).check(value, &key.name, problems);
            }),
            Shape::Bool | Shape::Whole(..) | Shape::Number(..) | Shape::Text | Shape::Duration | Shape::Condition | Shape::Choice(_) => {
                self.check_single(node, name, problems)
            }
        }
    }

    fn check_single(&self, node: &Node, name: &str, problems: &mut Vec<Diagnostic>) {
        let Some(text) = node.text() else { return self.misfit(node, name, problems) };
        let fits = match self {
            Shape::Bool => truth(node).is_some(),
            Shape::Whole(min, max) => match number(node).and_then(|text| text.parse::<u64>().ok()) {
                Some(whole) if (*min..=*max).contains(&whole) => true,
                Some(_) => return self.out_of_range(node, text, name, problems),
                None => false,
            },
            Shape::Number(min, max) => match number(node).and_then(|text| text.parse::<f64>().ok()) {
                Some(number) if (*min..=*max).contains(&number) => true,
                Some(_) => return self.out_of_range(node, text, name, problems),
                None => false,
            },
            Shape::Duration => duration(node).is_some(),
            Shape::Choice(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(_) => true,
                None => {
                    let near = closest(text, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                    let message = format!("`{name}` is one of {}, not `{text}`", words.join(", "));
                    problems.push(Diagnostic::error("F004", message).at(node.span).maybe_help(near));
                    return;
                }
            },
            _ => true,
        };
        if !fits {
            self.misfit(node, name, problems);
        }
    }

    fn out_of_range(&self, node: &Node, text: &str, name: &str, problems: &mut Vec<Diagnostic>) {
        problems.push(Diagnostic::error("F005", format!("`{name}` is {}, not {text}", self.wanted())).at(node.span));
    }

    fn misfit(&self, node: &Node, name: &str, problems: &mut Vec<Diagnostic>) {
        let help = match (self, node.text()) {
            (Shape::Bool, Some("yes" | "on" | "Yes" | "On")) => Some("write `true`".to_owned()),
            (Shape::Bool, Some("no" | "off" | "No" | "Off")) => Some("write `false`".to_owned()),
            (Shape::Text | Shape::Condition, None) if !node.entries().is_empty() => {
                Some("put it in quotes: without them, `{` and `: ` begin a mapping".to_owned())
            }
            (Shape::List(_), Some(text)) => Some(format!("write a list: [{text}]")),
            _ => None,
        };
        let found = match node.text() {
            Some(text) if text.chars().count() <= 40 => format!("`{text}`"),
            _ => node.describe(),
        };
        let message = format!("`{name}` takes {}, not {found}", self.wanted());
        problems.push(Diagnostic::error("F003", message).at(node.span).maybe_help(help));
    }

    /// The objects that may stand in it, each once.
    fn objects(&self, met: &mut Vec<&'static Object>) {
        match self {
            Shape::Object(object) | Shape::OneOrNamed(object) if !met.iter().any(|known| std::ptr::eq(*known, *object)) => met.push(object),
            Shape::List(one) | Shape::Some(one) | Shape::Map(one) => one.objects(met),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| shape.objects(met)),
            _ => {}
        }
    }

    pub(crate) fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        match self {
            Shape::Any => json!({}),
            Shape::Bool => json!({"type": "boolean"}),
            Shape::Whole(min, MANY..) => json!({"type": "integer", "minimum": min}),
            Shape::Whole(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
            Shape::Number(min, max) => json!({"type": "number", "minimum": min, "maximum": max}),
            Shape::Text | Shape::Condition => json!({"type": ["string", "number", "boolean"]}),
            Shape::Duration => json!({"type": ["string", "number"], "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d) ?)+$"}),
            Shape::Type => json!({"type": ["string", "array", "object"]}),
            Shape::Choice(words) => {
                let upper = words.iter().map(|word| word.to_uppercase());
                let all: Vec<String> = words.iter().map(|word| (*word).to_owned()).chain(upper).collect();
                json!({"enum": all})
            }
            Shape::List(one) => json!({"type": "array", "items": one.schema(definitions)}),
            Shape::Some(one) => {
                let one = one.schema(definitions);
                json!({"anyOf": [one, {"type": "array", "items": one}]})
            }
            Shape::Map(one) => json!({"type": "object", "additionalProperties": one.schema(definitions)}),
            Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(|shape| shape.schema(definitions)).collect::<Vec<_>>()}),
            Shape::OneOrNamed(object) => {
                let one = Shape::Object(object).schema(definitions);
                json!({"anyOf": [one, {"type": "object", "additionalProperties": one}]})
            }
            Shape::Object(object) => {
                if !definitions.contains_key(object.title) {
                    // The name is taken first: what an object holds may hold it again.
                    definitions.insert(object.title.to_owned(), Json::Null);
                    let schema = object.schema(definitions);
                    definitions.insert(object.title.to_owned(), schema);
                }
                json!({"$ref": format!("#/$defs/{}", object.title)})
            }
        }
    }
}

impl Object {
    pub(crate) fn check(&self, node: &Node, problems: &mut Vec<Diagnostic>) {
        // By the position of the field: a file may name one very often.
        let mut given: Vec<Option<&str>> = vec![None; self.fields.len()];
        for (key, value) in node.entries() {
            let Some(position) = self.position(&key.name) else {
                problems.push(self.unknown(&key.name).at(key.span));
                continue;
            };
            let field = &self.fields[position];
            match given[position].replace(&key.name) {
                Some(first) if first != &*key.name => {
                    let message = format!("`{}` and `{first}` are two names of the same field", key.name);
                    problems.push(Diagnostic::error("F007", message).at(key.span).help("give one of them"));
                }
                _ => {}
            }
            match (value.is_null(), &field.shape) {
                // Nothing is a value like any other.
                (true, Shape::Any) => {}
                (true, _) => {
                    let problem = Diagnostic::error("F009", format!("`{}` has no value", key.name)).at(key.span);
                    problems.push(problem.help(format!("it takes {}; or leave it out", field.shape.wanted())));
                }
                (false, shape) => shape.check(value, &key.name, problems),
            }
        }
        for field in self.fields.iter().filter(|field| field.required) {
            if self.position(field.name).is_some_and(|position| given[position].is_none()) {
                let (first, rest) = field.doc.split_at(1);
                let doc = format!("{}{}", first.to_lowercase(), rest.trim_end_matches('.'));
                problems.push(Diagnostic::error("F002", format!("{} needs `{}`", self.what, field.name)).at(node.span).help(doc));
            }
        }
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        let names = self.fields.iter().flat_map(|field| std::iter::once(field.name).chain(field.aliases.iter().copied()));
        let help = match closest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let names: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
                format!("it may have: {}", names.join(", "))
            }
        };
        Diagnostic::error("F001", format!("{} has no field `{name}`", self.what)).help(help)
    }

    /// A table of the fields, and the objects that are met in it.
    pub(crate) fn table(&'static self, met: &mut Vec<&'static Object>) -> String {
        let mut text = format!("| {} | takes | |\n|---|---|---|\n", self.title);
        for field in self.fields {
            field.shape.objects(met);
            let needed = if field.required { " (needed)" } else { "" };
            let names: Vec<String> = std::iter::once(&field.name).chain(field.aliases).map(|name| format!("`{name}`")).collect();
            text.push_str(&format!("| {}{needed} | {} | {} |\n", names.join(", "), field.shape.wanted(), field.doc));
        }
        text
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        let mut properties = Map::new();
        for field in self.fields {
            let mut schema = field.shape.schema(definitions);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), field.doc.into());
            }
            for alias in field.aliases {
                let mut other = schema.clone();
                if let Some(other) = other.as_object_mut() {
                    other.insert("description".to_owned(), format!("The same as `{}`. {}", field.name, field.doc).into());
                }
                properties.insert((*alias).to_owned(), other);
            }
            properties.insert(field.name.to_owned(), schema);
        }
        // One that may come under another name cannot be demanded by this one.
        let demanded = self.fields.iter().filter(|field| field.required && field.aliases.is_empty());
        let required: Vec<&str> = demanded.map(|field| field.name).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }
}

// -- values of what was checked

pub(crate) fn truth(node: &Node) -> Option<bool> {
    match &node.kind {
        Kind::Scalar(scalar) => match scalar.plain() {
            Plain::Bool(truth) => Some(truth),
            Plain::Null | Plain::Number(_) | Plain::Text => None,
        },
        Kind::List(_) | Kind::Map(_) => None,
    }
}

pub(crate) fn number(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(scalar) => match scalar.plain() {
            Plain::Number(text) => Some(text),
            Plain::Null | Plain::Bool(_) | Plain::Text => None,
        },
        Kind::List(_) | Kind::Map(_) => None,
    }
}

pub(crate) fn duration(node: &Node) -> Option<Millis> {
    read_duration(node.text()?)
}

/// Reads a length of time: `500ms`, `10m`, `1h 30m`, or a number of seconds.
#[must_use]
pub fn read_duration(text: &str) -> Option<Millis> {
    if let Ok(seconds) = text.parse::<f64>() {
        return millis(seconds * 1_000.0);
    }
    let mut rest = text.trim();
    let mut whole = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|next: char| !next.is_ascii_digit() && next != '.')?;
        let amount: f64 = rest[..digits].parse().ok()?;
        let unit =
            rest[digits..].find(|next: char| next.is_ascii_digit() || next.is_whitespace()).map_or(rest.len(), |found| digits + found);
        whole += amount
            * match &rest[digits..unit] {
                "ms" => 1.0,
                "s" => 1_000.0,
                "m" | "min" => 60_000.0,
                "h" => 3_600_000.0,
                "d" => 86_400_000.0,
                _ => return None,
            };
        rest = rest[unit..].trim_start();
    }
    if text.trim().is_empty() { None } else { millis(whole) }
}

fn millis(length: f64) -> Option<Millis> {
    /// A thousand years.
    const LONGEST: f64 = 31_557_600_000_000.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..=LONGEST).contains(&length).then_some(Millis(length.round() as u64))
}

/// The value as JSON; numbers keep their digits.
pub(crate) fn json(node: &Node) -> Json {
    match &node.kind {
        Kind::Scalar(scalar) => match scalar.plain() {
            Plain::Null => Json::Null,
            Plain::Bool(truth) => truth.into(),
            Plain::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            Plain::Text => (&*scalar.text).into(),
        },
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => entries.iter().map(|(key, value)| (key.name.to_string(), json(value))).collect::<Map<_, _>>().into(),
    }
}
