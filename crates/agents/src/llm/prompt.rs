//! Prompts: Jinja templates over what a task is about.

use std::sync::Arc;

use minijinja::value::ValueKind;
use minijinja::{Environment, UndefinedBehavior, Value as Jinja};
use quorate_core::{Failure, Payload, Request};
use quorate_expr::Field;
use serde_json::Value;

use crate::wire::invalid;

/// How many steps a template may take: enough for any text, and an end for what goes round and round.
const FUEL: u64 = 1_000_000;
/// How deep a template may call itself.
const MAX_DEPTH: usize = 64;

/// A template that was read.
#[derive(Clone, Debug)]
pub struct Prompt {
    name: Arc<str>,
    templates: Arc<Environment<'static>>,
    size: usize,
}

impl Prompt {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(name: &str, text: &str) -> Result<Prompt, String> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        // A mistake names the value that it is about.
        templates.set_debug(true);
        templates.set_fuel(Some(FUEL));
        templates.set_recursion_limit(MAX_DEPTH);
        templates.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        // What is no text is written as JSON, as everywhere else.
        templates.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map => {
                let json =
                    minijinja::filters::tojson(value, None, minijinja::value::Kwargs::from_iter(std::iter::empty::<(String, Jinja)>()))?;
                minijinja::escape_formatter(out, state, &json)
            }
            _ => minijinja::escape_formatter(out, state, value),
        });
        templates.add_template_owned(name.to_owned(), text.to_owned()).map_err(|wrong| told(&wrong))?;
        Ok(Prompt { name: name.into(), templates: Arc::new(templates), size: text.len() })
    }

    /// How long it is before it is filled in.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// What it says for this request.
    pub(super) fn render(&self, request: &Request, inputs: &[Field]) -> Result<String, Failure> {
        let wrong = |wrong: &minijinja::Error| invalid(format!("the prompt {} cannot be filled in: {}", self.name, told(wrong))).unsent();
        let template = self.templates.get_template(&self.name).map_err(|error| wrong(&error))?;
        template.render(context(request, inputs)?).map_err(|error| wrong(&error))
    }
}

fn told(wrong: &minijinja::Error) -> String {
    let what = wrong.detail().map_or_else(|| wrong.kind().to_string(), |detail| format!("{}: {detail}", wrong.kind()));
    wrong.line().map_or_else(|| what.clone(), |line| format!("{what}, in line {line}"))
}

/// What a template may name.
fn context(request: &Request, inputs: &[Field]) -> Result<Jinja, Failure> {
    let (input, params) = (read(&request.input), read(&request.params));
    let mut names: Vec<(String, Jinja)> = Vec::with_capacity(inputs.len() + 6);
    for field in inputs {
        let found = [&params, &input].into_iter().find_map(|place| place.get(&field.name)).filter(|found| !found.is_null());
        let value = match found {
            Some(found) => {
                let payload = Payload::of(found).map_err(|wrong| invalid(wrong.to_string()))?;
                payload.check(&field.kind).map_err(|why| invalid(why.replacen("`output", &format!("`{}", field.name), 1)).unsent())?;
                jinja(found)
            }
            None if field.required => {
                return Err(invalid(format!("its prompt needs `{}`, which stands neither in `params` nor in `input`", field.name)).unsent());
            }
            None => Jinja::from(()),
        };
        names.push((field.name.clone(), value));
    }
    let outputs = request.outputs.iter().map(|(task, output)| (task.to_string(), jinja(&read(output))));
    names.push(("outputs".to_owned(), Jinja::from_pairs(outputs)));
    names.push(("session".to_owned(), request.session.as_ref().map_or(Jinja::from(()), |session| jinja(&read(session)))));
    names.push(("task".to_owned(), Jinja::from(&*request.task)));
    names.push(("attempt".to_owned(), Jinja::from(request.attempt)));
    names.push(("input".to_owned(), jinja(&input)));
    names.push(("params".to_owned(), jinja(&params)));
    Ok(Jinja::from_pairs(names))
}

fn read(payload: &Payload) -> Value {
    payload.decode().unwrap_or(Value::Null)
}

/// A value as templates know it. A number that they cannot hold exactly is a text, so that no digit is lost.
fn jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(truth) => Jinja::from(*truth),
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(items) => items.iter().map(jinja).collect(),
        Value::Object(fields) => Jinja::from_pairs(fields.iter().map(|(name, value)| (name.clone(), jinja(value)))),
        Value::Number(number) => {
            let text = number.to_string();
            let exact = |number: &f64| number.to_string().parse::<quorate_expr::Decimal>().ok() == text.parse().ok();
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => Jinja::from(whole),
                (_, Ok(number)) if exact(&number) => Jinja::from(number),
                _ => Jinja::from(text),
            }
        }
    }
}
