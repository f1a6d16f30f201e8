//! What is said to agents outside of this process, and what they say: JSON.

use std::collections::BTreeMap;

use quorate_core::{BadValue, Failure, FailureClass, Millis, Payload, Reply, Request, Said, Usage};
use quorate_expr::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Outcome;
use crate::skill::{Shelf, Told};

/// How much of an answer that cannot be read is shown.
pub(crate) const SHOWN: usize = 120;

#[derive(Serialize)]
struct Question<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    run: String,
    task: &'a str,
    attempt: u32,
    idempotency_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    input: &'a RawValue,
    params: &'a RawValue,
    outputs: BTreeMap<&'a str, &'a RawValue>,
    skills: Vec<Told<'a>>,
    session: Option<&'a RawValue>,
}

/// What an agent is asked, as one line. `id` is there where answers may come in another order, and `shelf` where the agent
/// is on this machine.
pub(crate) fn question(request: &Request, id: Option<u64>, shelf: &Shelf) -> Result<String, Failure> {
    let question = Question {
        id,
        run: request.run.to_string(),
        task: &request.task,
        attempt: request.attempt,
        idempotency_key: request.idempotency_key(),
        deadline: request.deadline.map(|deadline| deadline.to_string()),
        input: raw(&request.input)?,
        params: raw(&request.params)?,
        outputs: request.outputs.iter().map(|(task, output)| Ok((&**task, raw(output)?))).collect::<Result<_, Failure>>()?,
        skills: request.skills.iter().map(|skill| Told::of(skill, shelf)).collect::<Result<_, Failure>>()?,
        session: request.session.as_ref().map(raw).transpose()?,
    };
    let mut line = serde_json::to_string(&question).map_err(|wrong| Failure::new(FailureClass::Internal, wrong.to_string()))?;
    line.push('\n');
    Ok(line)
}

fn raw(payload: &Payload) -> Result<&RawValue, Failure> {
    payload.decode().map_err(|wrong| Failure::new(FailureClass::Internal, wrong.to_string()))
}

#[derive(Deserialize)]
struct Refused {
    class: FailureClass,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retry_after: Option<Millis>,
}

#[derive(Deserialize)]
struct Used<'a> {
    #[serde(default)]
    tokens_in: u64,
    #[serde(default)]
    tokens_out: u64,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

/// What an agent said beside its output. Numbers are kept as they are written: none goes through binary floating point.
fn beside(fields: &Fields<'_>) -> Result<Said, Failure> {
    let given = |name| fields.get(name).filter(|raw| raw.get() != "null");
    let unfit = |name: &str, wanted: &str, raw: &RawValue| invalid(format!("its `{name}` is not {wanted}: {}", beginning(raw.get())));
    let usage = given("usage").map(|raw| {
        let used: Used<'_> = serde_json::from_str(raw.get())
            .map_err(|_| unfit("usage", "of the form {\"tokens_in\": 0, \"tokens_out\": 0, \"cost\": 0}", raw))?;
        let cost = used.cost.map(|cost| decimal("cost", cost)).transpose()?;
        Ok(Usage { tokens_in: used.tokens_in, tokens_out: used.tokens_out, cost })
    });
    let log = given("log").map(|raw| serde_json::from_str(raw.get()).map_err(|_| unfit("log", "a text", raw)));
    let confidence = given("confidence").map(|confidence| decimal("confidence", confidence));
    Ok(Said { confidence: confidence.transpose()?, usage: usage.transpose()?, log: log.transpose()?, tools: Vec::new() })
}

fn decimal(name: &str, written: &RawValue) -> Result<Decimal, Failure> {
    let text = written.get();
    text.parse().or_else(|_| Decimal::from_scientific(text)).map_err(|_| invalid(format!("its `{name}` is not a number: {text}")))
}

/// What an agent wrote, without what surrounds it: some systems begin every text with a mark of its byte order.
pub(crate) fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// What may stand beside an answer.
const BESIDE: [&str; 5] = ["id", "confidence", "usage", "log", "grow"];

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// What an agent answered: `{"output": …}` with what else it has to say, `{"error": …}`, or the output as it is.
pub(crate) fn answer(text: &str) -> Outcome {
    let text = without_mark(text);
    if text.is_empty() {
        return Ok(Reply::new(Payload::null()));
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(text) else { return output(text).map(Reply::new) };
    let known = |name: &String| matches!(name.as_str(), "output" | "error") || BESIDE.contains(&name.as_str());
    let is_envelope = fields.keys().all(known) && (fields.contains_key("output") || fields.contains_key("error"));
    if is_envelope { opened(&fields) } else { output(text).map(Reply::new) }
}

/// What is always an answer with its `output` or its `error`.
pub(crate) fn envelope(text: &str) -> Outcome {
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|wrong| invalid(format!("its answer cannot be read: {wrong}")))?;
    let odd = fields.keys().find(|name| !matches!(name.as_str(), "output" | "error") && !BESIDE.contains(&name.as_str()));
    match odd {
        Some(odd) => Err(invalid(format!("its answer has a field `{odd}`, which means nothing; its output goes into `output`"))),
        None => opened(&fields),
    }
}

fn opened(fields: &Fields<'_>) -> Outcome {
    // Who writes both says by null which of them it is not.
    if let Some(error) = fields.get("error").filter(|error| error.get() != "null") {
        let refused: Refused = serde_json::from_str(error.get()).map_err(|_| {
            let wanted =
                "{\"class\": …, \"message\": \"…\"}, and the class is invalid, unavailable, timeout, rate_limited, internal or refused";
            invalid(format!("it answered with an error that cannot be read: {}; an error is {wanted}", beginning(error.get())))
        })?;
        return Err(Failure::new(refused.class, refused.message).retry_after(refused.retry_after));
    }
    let Some(found) = fields.get("output") else { return Err(invalid("its answer has neither `output` nor `error`".to_owned())) };
    let said = beside(fields)?;
    let grow = fields.get("grow").map_or(Ok(Vec::new()), |grow| serde_json::from_str(grow.get()));
    Ok(Reply {
        output: output(found.get())?,
        said: (said != Said::default()).then(|| Box::new(said)),
        grow: grow.map_err(|wrong| invalid(format!("`grow` is a list of tasks: {wrong}")))?,
    })
}

fn output(text: &str) -> Result<Payload, Failure> {
    Payload::parse(text.to_owned()).map_err(|wrong| match wrong {
        BadValue::NotJson(_) => invalid(format!("its answer is not JSON; it begins with {}", beginning(text))),
        BadValue::TooLarge { .. } => invalid(format!("its answer cannot be taken: {wrong}")),
    })
}

/// What a text begins with, in one line.
pub(crate) fn beginning(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", shown.escape_debug())
}

pub(crate) fn invalid(message: String) -> Failure {
    Failure::new(FailureClass::Invalid, message)
}

/// The time, in microseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
