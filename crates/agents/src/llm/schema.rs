//! Declared types as JSON Schemas, which is what models understand.

use quorate_core::{Failure, Payload};
use quorate_expr::Type;
use serde_json::{Map, Value, json};

use crate::wire::invalid;

/// The field in which a value travels that is no object: models answer with objects.
const WRAPPED: &str = "answer";

/// The schema of a type.
pub(crate) fn schema_of(kind: &Type) -> Value {
    match kind {
        Type::Any => json!({}),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Text => json!({ "type": "string" }),
        Type::Enum(words) => json!({ "type": "string", "enum": words }),
        Type::List(items) => json!({ "type": "array", "items": schema_of(items) }),
        Type::Number(range) => {
            let mut schema = json!({ "type": "number" });
            for (name, end) in [("minimum", range.min), ("maximum", range.max)] {
                if let Some(end) = end.and_then(|end| serde_json::from_str::<Value>(&end.to_string()).ok()) {
                    schema[name] = end;
                }
            }
            schema
        }
        Type::Object(fields) => {
            let properties: Map<String, Value> = fields.iter().map(|field| (field.name.clone(), schema_of(&field.kind))).collect();
            let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
            let open = fields.is_empty();
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": open })
        }
    }
}

/// The schema of an answer, which is an object.
pub(super) fn of_answer(kind: &Type) -> Value {
    match kind {
        Type::Object(_) => schema_of(kind),
        other => json!({
            "type": "object", "properties": { WRAPPED: schema_of(other) }, "required": [WRAPPED], "additionalProperties": false,
        }),
    }
}

/// Whether the strict mode of some services takes it: every field is there, and none is unknown.
pub(super) fn is_strict(kind: &Type) -> bool {
    match kind {
        Type::Any => false,
        Type::Bool | Type::Text | Type::Enum(_) | Type::Number(_) => true,
        Type::List(items) => is_strict(items),
        Type::Object(fields) => !fields.is_empty() && fields.iter().all(|field| field.required && is_strict(&field.kind)),
    }
}

/// Reads an answer: JSON, also where a model could not help putting a fence around it.
pub(super) fn read(text: &str, kind: &Type) -> Result<Payload, Failure> {
    let text = unfenced(text);
    let not_json = |wrong: &dyn std::fmt::Display| {
        invalid(format!("its answer is not JSON: {wrong}; it begins with `{}`", crate::net::beginning(text.as_bytes())))
    };
    let payload = Payload::parse(text.to_owned())
        .map_err(|wrong| not_json(&std::error::Error::source(&wrong).map_or_else(|| wrong.to_string(), ToString::to_string)))?;
    let payload = match kind {
        Type::Object(_) => payload,
        _ => match payload.decode::<std::collections::BTreeMap<String, &serde_json::value::RawValue>>() {
            Ok(fields) if fields.len() == 1 && fields.contains_key(WRAPPED) => {
                Payload::parse(fields[WRAPPED].get().to_owned()).map_err(|wrong| not_json(&wrong))?
            }
            _ => payload,
        },
    };
    payload.check(kind).map_err(invalid)?;
    Ok(payload)
}

fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inside = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inside.map_or(text, |inside| inside.split_once('\n').map_or(inside, |(_, rest)| rest).trim())
}
