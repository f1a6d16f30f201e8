//! Declared types, as they are written: `bool`, `[text]`, `{score: {type: number, minimum: 0}, "note?": text}`.

use quorate_expr::{Decimal, Field, Range, Type, closest};

use crate::report::Diagnostic;
use crate::shape::number;
use crate::yaml::{Kind, Node};

const WORDS: [&str; 6] = ["any", "bool", "number", "text", "list", "object"];

/// Reads a type; what is wrong with it is reported, and taken for `any`.
pub(crate) fn read(node: &Node, problems: &mut Vec<Diagnostic>) -> Type {
    match &node.kind {
        Kind::Scalar(_) => node.text().map_or(Type::Any, |word| named(word, node, problems)),
        Kind::List(items) => match items.as_slice() {
            [] => Type::List(Box::new(Type::Any)),
            [one] => Type::List(Box::new(read(one, problems))),
            [_, second, ..] => {
                let problem = Diagnostic::error("F011", "a list has one type for all of its items").at(second.span);
                problems.push(problem.help("write [number], or {enum: [A, B]} for one of several texts"));
                Type::List(Box::new(Type::Any))
            }
        },
        Kind::Map(entries) if entries.iter().any(|(key, _)| matches!(&*key.name, "type" | "enum")) && is_described(node) => {
            described(node, problems)
        }
        Kind::Map(entries) => {
            let field = |(key, value): &(crate::yaml::Key, Node)| {
                let name = key.name.strip_suffix('?');
                Field { name: name.unwrap_or(&key.name).to_owned(), required: name.is_none(), kind: read(value, problems) }
            };
            Type::Object(entries.iter().map(field).collect())
        }
    }
}

/// Whether a mapping describes a type, and is not an object that has fields of those names.
fn is_described(node: &Node) -> bool {
    let known = ["type", "enum", "minimum", "maximum", "min", "max", "items", "fields"];
    node.entries().iter().all(|(key, _)| known.contains(&&*key.name))
}

fn named(word: &str, node: &Node, problems: &mut Vec<Diagnostic>) -> Type {
    match word.to_ascii_lowercase().as_str() {
        "any" | "json" => Type::Any,
        "bool" | "boolean" => Type::Bool,
        "number" | "integer" | "int" | "float" | "decimal" => Type::NUMBER,
        "confidence" => Type::Number(Range::UNIT),
        "text" | "string" | "str" | "markdown" | "code" => Type::Text,
        "list" | "array" => Type::List(Box::new(Type::Any)),
        "object" | "dict" => Type::Object(Vec::new()),
        _ => {
            let help = match closest(word, WORDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it is one of {}, or [item], or {{field: type}}", WORDS.join(", ")),
            };
            problems.push(Diagnostic::error("F010", format!("`{word}` is not a type")).at(node.span).help(help));
            Type::Any
        }
    }
}

fn described(node: &Node, problems: &mut Vec<Diagnostic>) -> Type {
    if let Some(values) = node.get("enum") {
        let texts: Vec<String> = values.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect();
        if texts.is_empty() {
            problems.push(Diagnostic::error("F012", "`enum` takes a list of texts").at(values.span));
            return Type::Any;
        }
        return Type::Enum(texts);
    }
    let Some(kind) = node.get("type") else { return Type::Any };
    let kind = read(kind, problems);
    let mut bound = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| node.get(name))?;
        let found: Option<Decimal> = number(value).and_then(|text| text.parse().ok());
        if found.is_none() {
            problems.push(Diagnostic::error("F012", format!("`{}` takes a number", names[0])).at(value.span));
        }
        found
    };
    let (min, max) = (bound(["minimum", "min"]), bound(["maximum", "max"]));
    match kind {
        Type::Number(_) if min.is_some_and(|min| max.is_some_and(|max| min > max)) => {
            problems.push(Diagnostic::error("F012", "the minimum is larger than the maximum").at(node.span));
            Type::NUMBER
        }
        Type::Number(range) => Type::Number(Range { min: min.or(range.min), max: max.or(range.max) }),
        Type::List(_) => match node.get("items") {
            Some(items) => Type::List(Box::new(read(items, problems))),
            None => kind,
        },
        Type::Object(_) => match node.get("fields") {
            Some(fields) => read(fields, problems),
            None => kind,
        },
        other => other,
    }
}
