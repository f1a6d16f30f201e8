//! What is said to agents outside of this process, and what they say: JSON.

use std::collections::BTreeMap;

use quorate_core::{Failure, FailureClass, Millis, Payload, Reply, Request, Said, Usage};
use quorate_expr::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Outcome;

/// How much of an answer that cannot be read is shown.
const SHOWN: usize = 120;

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
    skills: [(); 0],
    session: Option<&'a RawValue>,
}

/// What an agent is asked, as one line. `id` is there where answers may come in another order.
pub(crate) fn question(request: &Request, id: Option<u64>) -> Result<String, Failure> {
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
        skills: [],
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

/// What may stand beside an output. Numbers are kept as they are written: none goes through binary floating point.
#[derive(Deserialize)]
struct Beside<'a> {
    #[serde(borrow)]
    confidence: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<Used<'a>>,
    log: Option<String>,
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

impl Beside<'_> {
    fn read(self) -> Result<Said, Failure> {
        let usage = self.usage.map(|used| {
            let cost = used.cost.map(|cost| decimal("cost", cost)).transpose()?;
            Ok(Usage { tokens_in: used.tokens_in, tokens_out: used.tokens_out, cost })
        });
        let confidence = self.confidence.map(|confidence| decimal("confidence", confidence)).transpose()?;
        Ok(Said { confidence, usage: usage.transpose()?, log: self.log })
    }
}

fn decimal(name: &str, written: &RawValue) -> Result<Decimal, Failure> {
    let text = written.get();
    text.parse().or_else(|_| Decimal::from_scientific(text)).map_err(|_| invalid(format!("its `{name}` is not a number: {text}")))
}

/// What an agent answered: `{"output": …}` with what else it has to say, `{"error": …}`, or the output as it is.
pub(crate) fn answer(text: &str) -> Outcome {
    // Some systems begin every text with a mark of its byte order.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(Reply::new(Payload::null()));
    }
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else { return output(text).map(Reply::new) };
    let only = |known: &[&str]| fields.keys().all(|name| known.contains(&name.as_str()));
    if let Some(error) = fields.get("error").filter(|_| only(&["error", "id"])) {
        let refused: Refused = serde_json::from_str(error.get()).map_err(|wrong| {
            let classes = "invalid, unavailable, timeout, rate_limited, internal or refused";
            invalid(format!("it answered with an error that cannot be read: {wrong}; its class is {classes}"))
        })?;
        return Err(Failure { class: refused.class, message: refused.message, retry_after: refused.retry_after });
    }
    let Some(found) = fields.get("output").filter(|_| only(&["id", "output", "confidence", "usage", "log", "grow"])) else {
        return output(text).map(Reply::new);
    };
    let said: Beside<'_> =
        serde_json::from_str(text).map_err(|wrong| invalid(format!("what it said beside its output cannot be read: {wrong}")))?;
    let said = said.read()?;
    let grow = fields.get("grow").map_or(Ok(Vec::new()), |grow| serde_json::from_str(grow.get()));
    Ok(Reply {
        output: output(found.get())?,
        said: (said != Said::default()).then(|| Box::new(said)),
        grow: grow.map_err(|wrong| invalid(format!("`grow` is a list of tasks: {wrong}")))?,
    })
}

fn output(text: &str) -> Result<Payload, Failure> {
    Payload::parse(text.to_owned()).map_err(|wrong| {
        let shown: String = text.chars().take(SHOWN).collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        invalid(format!("its answer is not JSON: {wrong}; it begins with `{}{more}`", shown.escape_debug()))
    })
}

pub(crate) fn invalid(message: String) -> Failure {
    Failure::new(FailureClass::Invalid, message)
}
