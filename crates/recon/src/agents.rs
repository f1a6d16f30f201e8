//! The agents of a reconciliation: one that reconciles a day, seven that look at one break each, and one that writes the report.

use std::sync::Arc;

use jiff::civil::Date;
use quorate_agents::{Agent, Call, Outcome};
use quorate_core::{Effect, Failure, FailureClass, Payload, Reply, RunId};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::reconcile::{Asked, reconcile};
use crate::record::{BreakRecord, Due, ItemRecord, Settled, bucket};
use crate::report::{self, Wanted};
use crate::signing;
use crate::words::money;
use crate::world::{Case, World};
use crate::{BreakKind, Currency, Side, exact, words};

/// The names by which agents `use` these.
pub const FUNCTIONS: [&str; 15] = [
    "recon.reconcile",
    "recon.ingestion",
    "recon.enrichment",
    "recon.matching",
    "recon.rules",
    "recon.patterns",
    "recon.decisioning",
    "recon.feedback",
    "recon.report",
    "recon.waiting",
    "recon.standing",
    "recon.post",
    "recon.take_back",
    "recon.seal",
    "recon.closed",
];

/// The agent of this name, under the id `id`, if there is one.
#[must_use]
pub fn agent(name: &str, id: &str, world: &Arc<dyn World>) -> Option<Agent> {
    let world = world.clone();
    Some(match name {
        "recon.reconcile" => Agent::from_blocking(id, move |call| day(&*world, &call)).effect(Effect::Idempotent),
        "recon.report" => Agent::from_blocking(id, move |call| write_report(&*world, &call)).effect(Effect::Idempotent),
        "recon.waiting" => Agent::from_blocking(id, move |call| done(signing::waiting(&*world, &params(&call)?))),
        "recon.standing" => Agent::from_blocking(id, move |call| done(signing::standing(&*world, call.request.run, &params(&call)?))),
        "recon.closed" => Agent::from_blocking(id, move |call| done(signing::closed(&*world, &params(&call)?))),
        // What they write is the same however often they write it.
        "recon.post" => signs(id, world, signing::post),
        "recon.take_back" => signs(id, world, signing::take_back),
        "recon.seal" => signs(id, world, signing::seal),
        "recon.feedback" => Agent::from_blocking(id, move |call| feedback(&*world, &call)),
        "recon.patterns" => Agent::from_blocking(id, move |call| patterns(&*world, &call)),
        "recon.ingestion" => Agent::from_quick(id, |call| ingestion(&call)),
        "recon.enrichment" => Agent::from_quick(id, |call| enrichment(&call)),
        "recon.matching" => Agent::from_quick(id, |call| matching(&call)),
        "recon.rules" => Agent::from_quick(id, |call| rules(&call)),
        "recon.decisioning" => Agent::from_quick(id, |call| decisioning(&call)),
        _ => return None,
    })
}

// -- what all of them do alike

fn invalid(what: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Invalid, what)
}

fn params<P: DeserializeOwned + Default>(call: &Call) -> Result<P, Failure> {
    let given: Option<P> =
        call.request.params.decode().map_err(|wrong| invalid(format!("the parameters of {} do not fit: {wrong}", call.request.task)))?;
    Ok(given.unwrap_or_default())
}

fn the_break(call: &Call) -> Result<BreakRecord, Failure> {
    call.request.input.decode().map_err(|wrong| invalid(format!("this is no break: {wrong}")))
}

fn reply(answer: &impl Serialize) -> Outcome {
    Payload::of(answer).map(Reply::new).map_err(|wrong| invalid(wrong.to_string()))
}

fn days(days: u32) -> String {
    if days == 1 { "one business day".to_owned() } else { format!("{days} business days") }
}

type Signing = fn(&dyn World, RunId, &signing::PostParams) -> Result<Value, String>;

fn signs(id: &str, world: Arc<dyn World>, does: Signing) -> Agent {
    Agent::from_blocking(id, move |call| done(does(&*world, call.request.run, &params(&call)?))).effect(Effect::Idempotent)
}

fn done(answer: Result<impl Serialize, String>) -> Outcome {
    reply(&answer.map_err(invalid)?)
}

/// What another agent of the run returned, where it ran before this one.
fn heard<T: DeserializeOwned>(call: &Call, agent: &str) -> Option<T> {
    let (_, output) = call.request.outputs.iter().find(|(task, _)| &**task == agent)?;
    output.decode().ok()
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap_or_default()
}

// -- a day

#[derive(Default, Deserialize)]
struct DayParams {
    #[serde(default)]
    books: Option<String>,
    #[serde(default)]
    day: Option<String>,
    #[serde(default)]
    out: Option<String>,
    /// The workflow that signs a day.
    #[serde(default)]
    sign_off: Option<String>,
}

fn day(world: &dyn World, call: &Call) -> Outcome {
    let DayParams { books, day, out, sign_off } = params(call)?;
    let day = day.ok_or_else(|| invalid("`params.day` says which day is reconciled, as in 2026-03-31"))?;
    let day: Date = day.parse().map_err(|_| invalid(format!("`{day}` is not a day as in 2026-03-31")))?;
    let settings = books.unwrap_or_else(|| "books.yaml".to_owned());
    let signs = sign_off.as_deref().unwrap_or("sign_off");
    let asked = Asked { settings: &settings, day, out: out.as_deref(), run: call.request.run, task: &call.request.task, signs };
    let done = reconcile(world, &asked).map_err(invalid)?;
    reply(&done)
}

fn write_report(world: &dyn World, call: &Call) -> Outcome {
    let wanted: Wanted = params(call)?;
    reply(&report::write(world, &call.request.task, &wanted).map_err(invalid)?)
}

// -- one break: is it what it says

#[derive(Serialize)]
struct Ingested {
    valid: bool,
    problems: Vec<String>,
    sides: &'static str,
    items: usize,
    currencies: Vec<Currency>,
    #[serde(with = "exact")]
    confidence: Decimal,
    explanation: String,
}

fn ingestion(call: &Call) -> Outcome {
    let it = the_break(call)?;
    let mut problems = Vec::new();
    let sum = |items: &[ItemRecord]| (!items.is_empty()).then(|| items.iter().map(|item| item.amount).sum::<Decimal>());
    if it.kind != BreakKind::StatementError {
        if it.a.is_empty() && it.b.is_empty() {
            problems.push("it is about no items".to_owned());
        }
        for (side, said, items) in [("A", it.amount_a, &it.a), ("B", it.amount_b, &it.b)] {
            if sum(items) != said {
                problems.push(format!("the items of side {side} do not come to what is said of them"));
            }
        }
    }
    let mut currencies: Vec<Currency> = it.a.iter().chain(&it.b).map(|item| item.currency).collect();
    currencies.sort_unstable();
    currencies.dedup();
    if currencies.len() > 1 && it.amount_diff.is_some() {
        problems.push("amounts of different currencies were subtracted".to_owned());
    }
    if it.break_type.is_none() {
        problems.push(format!("account {} is not one that is reconciled", it.account));
    }
    let sides = match (it.a.is_empty(), it.b.is_empty()) {
        (false, false) => "both",
        (false, true) => "A",
        (true, false) => "B",
        (true, true) => "none",
    };
    let confidence = if problems.is_empty() { Decimal::ONE } else { Decimal::ZERO };
    let explanation = match (&problems[..], &it.statement_at) {
        ([], Some(at)) => format!("it is what it says: the statement at {at}, which does not add up"),
        ([], None) => {
            let entries = match it.a.len() {
                1 => "one entry".to_owned(),
                count => format!("{count} entries"),
            };
            format!("it is what it says: {entries} of side A and {} of side B ({})", it.b.len(), it.at)
        }
        (wrong, _) => wrong.join("; "),
    };
    reply(&Ingested { valid: problems.is_empty(), problems, sides, items: it.a.len() + it.b.len(), currencies, confidence, explanation })
}

// -- what else is known of it

#[derive(Serialize)]
struct Enriched<'a> {
    age: u32,
    bucket: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sla_days: Option<u32>,
    sla: Due,
    owner: Option<&'a str>,
    counterparty: Option<&'a str>,
    #[serde(with = "exact::option")]
    exposure: Option<Decimal>,
    rate: Option<&'a str>,
    alike: usize,
    #[serde(with = "exact::option")]
    alike_exposure: Option<Decimal>,
    blocked_by: Option<&'a str>,
    sources: Vec<&'a str>,
    explanation: String,
}

fn enrichment(call: &Call) -> Outcome {
    let it = the_break(call)?;
    let counterparty = it.a.iter().chain(&it.b).find_map(|item| item.counterparty.as_deref());
    let whose = it.owner.as_ref().map(|owner| format!("; {owner} answers for it")).unwrap_or_default();
    let within = it.sla_days.map(|within| format!(", and to be settled within {}: {}", days(within), it.sla.name())).unwrap_or_default();
    let explanation = format!("it is {} old{within}{whose}", days(it.age));
    reply(&Enriched {
        explanation,
        age: it.age,
        bucket: bucket(it.age),
        sla_days: it.sla_days,
        sla: it.sla,
        owner: it.owner.as_deref(),
        counterparty,
        exposure: it.exposure,
        rate: it.rate.as_deref(),
        alike: it.alike,
        alike_exposure: it.alike_exposure,
        blocked_by: it.blocked_by.as_deref(),
        sources: it.a.iter().chain(&it.b).map(|item| item.at.as_str()).collect(),
    })
}

// -- what it may belong to

#[derive(Deserialize)]
#[serde(default)]
struct MatchingParams {
    threshold: Number,
}

impl Default for MatchingParams {
    fn default() -> MatchingParams {
        MatchingParams { threshold: Number::from_f64(0.7).unwrap_or_else(|| 1.into()) }
    }
}

/// Candidates that are told of in words.
const MAX_TOLD: usize = 3;

#[derive(Serialize)]
struct Candidate<'a> {
    candidate_id: &'a str,
    source: Side,
    match_type: &'static str,
    #[serde(with = "exact")]
    similarity_score: Decimal,
    matched_fields: Vec<String>,
    #[serde(with = "exact")]
    amount: Decimal,
}

#[derive(Serialize)]
struct Matched<'a> {
    match_found: bool,
    correlation: &'static str,
    candidates: Vec<Candidate<'a>>,
    #[serde(with = "exact")]
    confidence: Decimal,
    explanation: String,
}

fn matching(call: &Call) -> Outcome {
    let it = the_break(call)?;
    let threshold = exact::decimal(&params::<MatchingParams>(call)?.threshold).map_err(invalid)?;
    let paired = it.b.iter().zip(&it.paired).map(|(other, alike)| Candidate {
        candidate_id: &other.at,
        source: Side::B,
        match_type: "PAIRED",
        similarity_score: alike.likeness,
        matched_fields: alike.same.clone(),
        amount: other.amount,
    });
    let near = it.near.iter().map(|near| Candidate {
        candidate_id: &near.item.at,
        source: near.side,
        match_type: "NEAR",
        similarity_score: near.likeness,
        matched_fields: near.same.clone(),
        amount: near.item.amount,
    });
    let candidates: Vec<Candidate<'_>> = paired.chain(near).filter(|candidate| candidate.similarity_score >= threshold).collect();
    let several = it.kind == BreakKind::Ambiguous || candidates.len() > 1;
    let correlation = match candidates.len() {
        0 => "NO_MATCH",
        _ if several => "MULTIPLE_MATCHES",
        _ => "SINGLE_MATCH",
    };
    let best = candidates.iter().map(|candidate| candidate.similarity_score).max();
    // Where several would do, none is sure; where none does, that is.
    let confidence = match best {
        None => number("0.9"),
        Some(best) if several => (best / Decimal::TWO).round_dp(2),
        Some(best) => best,
    };
    let alike = |candidate: &Candidate<'_>| {
        let same = candidate.matched_fields.join(" and ");
        let same = if same.is_empty() { same } else { format!(", with the same {same}") };
        format!("{} ({} alike{same})", candidate.candidate_id, candidate.similarity_score)
    };
    let told: Vec<String> = candidates.iter().take(MAX_TOLD).map(alike).collect();
    let explanation = match correlation {
        "NO_MATCH" if it.a.is_empty() || it.b.is_empty() => format!("nothing that is open across is {threshold} alike or more"),
        "NO_MATCH" => format!("its entries are less than {threshold} alike, and nothing else that is open is like one of them"),
        "SINGLE_MATCH" => format!("one entry across is alike: {}", told.join(", ")),
        _ => format!("{} could be it: {}", words::counted(candidates.len(), "other"), told.join(", ")),
    };
    reply(&Matched { match_found: correlation == "SINGLE_MATCH", correlation, candidates, confidence, explanation })
}

// -- whether it is within what is let pass

#[derive(Deserialize)]
#[serde(default)]
struct RulesParams {
    /// How far amounts may be apart: for each ten thousand, and in any case.
    amount_bps: Number,
    amount: Number,
    fx_bps: Number,
    quantity: Number,
    /// What is a matter of rounding.
    rounding: Number,
    /// The same in the base currency, and what `amount` may be worth.
    rounding_worth: Number,
    /// What a difference within so many ten thousandths may be worth.
    share_worth: Number,
    /// How many business days something may be late.
    timing_days: u32,
    /// How many business days may lie between two value dates.
    days_apart: u32,
}

impl Default for RulesParams {
    fn default() -> RulesParams {
        let of = |text: &str| text.parse().unwrap_or_else(|_| 0.into());
        RulesParams {
            amount_bps: of("0.5"),
            amount: of("0.01"),
            fx_bps: of("2"),
            quantity: of("0.01"),
            rounding: of("0.05"),
            rounding_worth: of("1"),
            share_worth: of("100"),
            timing_days: 2,
            days_apart: 10,
        }
    }
}

#[derive(Serialize)]
struct Check {
    rule: &'static str,
    passed: bool,
    #[serde(with = "exact::option", skip_serializing_if = "Option::is_none")]
    difference: Option<Decimal>,
    #[serde(with = "exact::option", skip_serializing_if = "Option::is_none")]
    difference_bps: Option<Decimal>,
    #[serde(with = "exact::option", skip_serializing_if = "Option::is_none")]
    allowed: Option<Decimal>,
}

impl Check {
    /// What is wrong where it does not hold, in words.
    fn failed(&self, it: &BreakRecord) -> String {
        let apart = money(self.difference.unwrap_or_default());
        let allowed = || self.allowed.map(|allowed| money(allowed.normalize())).unwrap_or_default();
        match self.rule {
            "STATEMENT_OK" => match &it.blocked_by {
                Some(why) => format!("a statement of the account does not add up ({why})"),
                None => "a statement of the account does not add up".to_owned(),
            },
            "CURRENCY_MATCH" => "there are two currencies in it, and nothing is subtracted".to_owned(),
            "BOTH_SIDES" => match (it.a.is_empty(), it.b.is_empty()) {
                (true, true) => "it has no entries".to_owned(),
                (true, false) => "side A has nothing for it".to_owned(),
                _ => "side B has nothing for it".to_owned(),
            },
            "AMOUNT" | "FX" if self.difference.is_none() => "there is no difference in one currency to compare".to_owned(),
            "AMOUNT" | "FX" => format!("the difference of {apart} is more than the {} that are let pass", allowed()),
            "QUANTITY" => format!("the quantities lie {apart} apart, and up to {} are let pass", allowed()),
            "TIMING_LAG" => format!("it is {} old, and up to {} are let pass", days(it.age), self.allowed.unwrap_or_default()),
            "VALUE_DATE" => {
                let apart = it.days_apart.unwrap_or_default();
                format!("the value dates lie {} apart, and up to {} are let pass", days(apart), self.allowed.unwrap_or_default())
            }
            "WORTH" => match self.difference {
                Some(worth) => {
                    format!(
                        "{} in the base currency are at stake, and up to {} are let pass",
                        money(worth),
                        money(self.allowed.unwrap_or_default())
                    )
                }
                None => "nobody knows what is at stake".to_owned(),
            },
            "NOT_EXPECTED" => "it is an entry that the ledger was to bring".to_owned(),
            "PRICE" => "the prices differ".to_owned(),
            "REFERENCE_MATCH" if it.a.len() > 1 || it.b.len() > 1 => "there is more than one entry on a side".to_owned(),
            "REFERENCE_MATCH" => "the references are not the same one".to_owned(),
            "BOOKED" => "not all of it is booked".to_owned(),
            other => format!("{other} does not hold"),
        }
    }
}

#[derive(Serialize)]
struct Ruled {
    within_tolerance: bool,
    within_rounding_tolerance: bool,
    rules_failed: bool,
    passed_rules: Vec<&'static str>,
    failed_rules: Vec<&'static str>,
    tolerance_checks: Vec<Check>,
    #[serde(with = "exact")]
    confidence: Decimal,
    explanation: String,
}

fn rules(call: &Call) -> Outcome {
    let it = the_break(call)?;
    let given: RulesParams = params(call)?;
    let limit = |number: &Number| exact::decimal(number).map_err(invalid);
    let (quantity, rounding, timing) = (limit(&given.quantity)?, limit(&given.rounding)?, given.timing_days);
    let rounding_worth = limit(&given.rounding_worth)?;
    let mut checks = Vec::new();
    let simple = |rule, passed| Check { rule, passed, difference: None, difference_bps: None, allowed: None };
    let currencies: std::collections::BTreeSet<Currency> = it.a.iter().chain(&it.b).map(|item| item.currency).collect();
    let both = !it.a.is_empty() && !it.b.is_empty();
    checks.push(simple("STATEMENT_OK", it.blocked_by.is_none()));
    checks.push(simple("CURRENCY_MATCH", currencies.len() <= 1));
    checks.push(simple("BOTH_SIDES", both));
    let difference = it.amount_diff.map(|difference| difference.abs());
    let larger = it.amount_a.unwrap_or_default().abs().max(it.amount_b.unwrap_or_default().abs());
    let bps = difference.and_then(|difference| (difference * Decimal::from(10_000)).checked_div(larger));
    let allowed = |bps: Decimal, least: Decimal| (larger * bps / Decimal::from(10_000)).max(least).round_dp(4);
    let is_fx = it.kind == BreakKind::FxRateDiff;
    // A hundredth of everything is not worth the same.
    let is_little = it.exposure.is_some_and(|worth| worth <= rounding_worth);
    let least = if is_fx || !is_little { Decimal::ZERO } else { limit(&given.amount)? };
    let amount = allowed(limit(if is_fx { &given.fx_bps } else { &given.amount_bps })?, least);
    checks.push(Check {
        rule: if is_fx { "FX" } else { "AMOUNT" },
        passed: both && difference.is_some_and(|difference| difference <= amount),
        difference,
        difference_bps: bps.filter(|_| both).map(|bps| bps.round_dp(2)),
        allowed: Some(amount),
    });
    // What is little of very much is not little.
    let share_worth = limit(&given.share_worth)?;
    if both && difference.is_some_and(|difference| !difference.is_zero() && difference <= amount) {
        let passed = it.exposure.is_some_and(|worth| worth <= share_worth);
        checks.push(Check { rule: "WORTH", passed, difference: it.exposure, difference_bps: None, allowed: Some(share_worth) });
    }
    let says_the_same = |of: fn(&ItemRecord) -> Option<Decimal>| {
        let (one, other) = (it.a.first().and_then(of), it.b.first().and_then(of));
        one.zip(other).map(|(one, other)| one == other)
    };
    if both {
        checks.push(simple("REFERENCE_MATCH", it.one_reference && it.a.len() == 1 && it.b.len() == 1));
        // What was decided to be booked is booked as it was decided.
        checks.extend(it.expected.then(|| simple("NOT_EXPECTED", false)));
        checks.extend(it.days_apart.map(|apart| Check {
            rule: "VALUE_DATE",
            passed: apart <= given.days_apart,
            difference: Some(apart.into()),
            difference_bps: None,
            allowed: Some(given.days_apart.into()),
        }));
        checks.push(simple("BOOKED", it.a.iter().chain(&it.b).all(|item| item.status.is_none())));
        checks.extend(says_the_same(|item| item.price).map(|same| simple("PRICE", same)));
    }
    let quantities = it.a.first().and_then(|item| item.quantity).zip(it.b.first().and_then(|item| item.quantity));
    if let Some((one, other)) = quantities {
        let apart = (one - other).abs();
        let passed = apart <= quantity;
        checks.push(Check { rule: "QUANTITY", passed, difference: Some(apart), difference_bps: None, allowed: Some(quantity) });
    }
    checks.push(Check {
        rule: "TIMING_LAG",
        passed: it.age <= timing,
        difference: Some(it.age.into()),
        difference_bps: None,
        allowed: Some(timing.into()),
    });
    let passed = |rule: &str| checks.iter().any(|check| check.rule == rule && check.passed);
    let sound = it.kind != BreakKind::Ambiguous && it.kind != BreakKind::Duplicate;
    // Besides when and how much, nothing about it may be doubtful.
    let doubtful = |check: &Check| !check.passed && !matches!(check.rule, "AMOUNT" | "FX" | "TIMING_LAG");
    let clear = sound && both && !checks.iter().any(doubtful);
    let within_tolerance = clear && (passed("AMOUNT") || passed("FX"));
    let within_rounding = clear && is_little && difference.is_some_and(|difference| !difference.is_zero() && difference <= rounding);
    let failed_rules: Vec<&str> = checks.iter().filter(|check| !check.passed).map(|check| check.rule).collect();
    let passed_rules: Vec<&str> = checks.iter().filter(|check| check.passed).map(|check| check.rule).collect();
    let share = Decimal::from(passed_rules.len()) / Decimal::from(checks.len());
    // By how many of the rules agree with what comes of them.
    let agree = if within_tolerance { share } else { Decimal::ONE - share + Decimal::new(25, 2) };
    let confidence = (number("0.5") + agree.min(Decimal::ONE) / Decimal::TWO).min(number("0.99")).round_dp(2);
    // Of what is not there no difference is told.
    let told = |check: &&Check| !check.passed && (both || it.kind != BreakKind::StatementError && !matches!(check.rule, "AMOUNT" | "FX"));
    let failures: Vec<String> =
        checks.iter().filter(|check| told(check) || check.rule == "STATEMENT_OK" && !check.passed).map(|check| check.failed(&it)).collect();
    let explanation = match (within_rounding, within_tolerance, &failures[..]) {
        (true, ..) => format!("it is a matter of rounding: {} where up to {} are", money(difference.unwrap_or_default()), money(rounding)),
        (false, true, []) => "every rule holds".to_owned(),
        (false, true, failed) => format!("it is within tolerance, although {}", failed.join(", and ")),
        (false, false, []) => "every rule holds, but it is not clear what belongs to what".to_owned(),
        (false, false, failed) => failed.join("; "),
    };
    reply(&Ruled {
        explanation,
        within_tolerance,
        within_rounding_tolerance: within_rounding,
        rules_failed: !within_tolerance,
        passed_rules,
        failed_rules,
        tolerance_checks: checks,
        confidence,
    })
}

// -- where it comes from

/// Cases of one kind from which on a cause is surer.
const SEEN_OFTEN: usize = 10;

#[derive(Serialize)]
struct Alternative {
    cause: &'static str,
    #[serde(with = "exact")]
    confidence: Decimal,
}

#[derive(Serialize)]
struct Suggestion {
    action: &'static str,
    auto_resolvable: bool,
    steps: Vec<&'static str>,
}

#[derive(Serialize)]
struct Pattern {
    probable_root_cause: &'static str,
    #[serde(with = "exact")]
    confidence: Decimal,
    alternatives: Vec<Alternative>,
    seen: usize,
    agreed: usize,
    suggestion: Suggestion,
    explanation: String,
}

fn patterns(world: &dyn World, call: &Call) -> Outcome {
    let it = the_break(call)?;
    let past = world.cases(it.day).map_err(|wrong| Failure::new(FailureClass::Unavailable, wrong))?;
    let counterparty = it.a.iter().chain(&it.b).find_map(|item| item.counterparty.as_deref());
    // The same break of an earlier day says nothing about others.
    let alike = |case: &&Case| {
        case.break_id != it.break_id
            && case.kind == it.kind.name()
            && case.account == *it.account
            && case.counterparty.as_deref() == counterparty
    };
    let alike: Vec<&Case> = past.iter().filter(alike).collect();
    let mut causes = causes_of(&it);
    if alike.len() > SEEN_OFTEN {
        for (_, confidence) in &mut causes {
            *confidence = (*confidence + number("0.1")).min(number("0.95"));
        }
    }
    let (cause, confidence) = causes.remove(0);
    let (seen, agreed) = (alike.len(), alike.iter().filter(|case| case.agreed == Some(true)).count());
    let suggestion = suggestion(cause, &it);
    let past = match seen {
        0 => "none like it was there on earlier days".to_owned(),
        _ => format!("{} like it on earlier days, {agreed} of which people settled as was proposed", words::counted(seen, "break")),
    };
    let explanation = format!("{} ({confidence} sure); {past}; to do: {}", cause_in_words(cause), suggestion.steps.join(", then "));
    reply(&Pattern {
        probable_root_cause: cause,
        confidence,
        alternatives: causes.into_iter().map(|(cause, confidence)| Alternative { cause, confidence }).collect(),
        seen,
        agreed,
        suggestion,
        explanation,
    })
}

/// What may have led to a break, the likeliest first: by what is wrong, by how much, and by what the items say.
fn causes_of(it: &BreakRecord) -> Vec<(&'static str, Decimal)> {
    let difference = it.amount_diff.unwrap_or_default().abs();
    let larger = it.amount_a.unwrap_or_default().abs().max(it.amount_b.unwrap_or_default().abs());
    // Ten basis points: what is typed in wrong lies further apart.
    let near = difference * Decimal::from(1_000) <= larger;
    let words: String =
        it.a.iter().chain(&it.b).map(|item| format!("{} {} ", item.text, item.code.as_deref().unwrap_or_default())).collect();
    let words = words.to_lowercase();
    let is_fee = ["fee", "chg", "charge", "comm", "interest"].iter().any(|word| words.contains(word));
    let of = |text: &str| number(text);
    let mut causes: Vec<(&str, Decimal)> = match it.kind {
        BreakKind::MissingInA | BreakKind::MissingInB if is_fee => vec![("fee_mismatch", of("0.8"))],
        BreakKind::MissingInA | BreakKind::MissingInB if it.age <= 2 => vec![("timing_lag", of("0.85"))],
        BreakKind::MissingInA | BreakKind::MissingInB if it.age <= 5 => vec![("timing_lag", of("0.6")), ("data_entry_error", of("0.4"))],
        BreakKind::MissingInA | BreakKind::MissingInB => vec![("data_entry_error", of("0.6")), ("timing_lag", of("0.4"))],
        BreakKind::DateDiff | BreakKind::StatusDiff => vec![("timing_lag", of("0.85"))],
        BreakKind::AmountDiff if difference <= of("0.05") => vec![("rounding", of("0.75")), ("fee_mismatch", of("0.4"))],
        BreakKind::AmountDiff if is_fee || near || difference <= of("50") => {
            vec![("fee_mismatch", of("0.8")), ("data_entry_error", of("0.4"))]
        }
        BreakKind::AmountDiff => vec![("data_entry_error", of("0.6")), ("partial_fill", of("0.4"))],
        BreakKind::QuantityDiff => vec![("partial_fill", of("0.7")), ("data_entry_error", of("0.4"))],
        BreakKind::PriceDiff if near => vec![("rounding", of("0.75")), ("data_entry_error", of("0.4"))],
        BreakKind::PriceDiff => vec![("data_entry_error", of("0.6")), ("rounding", of("0.4"))],
        BreakKind::FxRateDiff => vec![("fx_rate", of("0.75")), ("rounding", of("0.4"))],
        BreakKind::CurrencyDiff | BreakKind::ReferenceDiff => vec![("data_entry_error", of("0.6"))],
        BreakKind::Duplicate => vec![("duplicate", of("0.85")), ("system_error", of("0.4"))],
        BreakKind::SettlementFail => vec![("settlement_fail", of("0.8"))],
        BreakKind::CorporateAction => vec![("corporate_action", of("0.8"))],
        BreakKind::StatementError => vec![("system_error", of("0.6"))],
        BreakKind::Ambiguous => vec![("unknown", of("0.3"))],
    };
    causes.push(("unknown", of("0.1")));
    causes
}

/// A cause, as people say it.
fn cause_in_words(cause: &str) -> String {
    match cause {
        "timing_lag" => "likely a matter of time: one side has it earlier than the other",
        "rounding" => "likely rounded or averaged otherwise on one side",
        "fee_mismatch" => "likely a fee or a charge that one side does not have",
        "data_entry_error" => "likely typed in wrong on one side",
        "partial_fill" => "likely filled in part only",
        "fx_rate" => "likely two rates of exchange",
        "duplicate" => "likely there twice",
        "corporate_action" => "likely what a company did with its shares",
        "settlement_fail" => "likely not delivered, or not paid",
        "system_error" => "likely a fault of the system that sent it",
        "unknown" => "nobody can say where it comes from",
        other => return format!("likely {}", other.replace('_', " ")),
    }
    .to_owned()
}

fn suggestion(cause: &str, it: &BreakRecord) -> Suggestion {
    let small = it.exposure.is_some_and(|exposure| exposure <= number("100"));
    if it.expected {
        let steps = vec!["ask why the ledger has not booked it yet"];
        return Suggestion { action: if it.age > 2 { "chase" } else { "wait" }, auto_resolvable: it.age <= 2, steps };
    }
    let (action, auto_resolvable, steps): (_, _, &[&'static str]) = match cause {
        "timing_lag" if it.age > 2 && matches!(it.kind, BreakKind::MissingInA | BreakKind::MissingInB) => {
            ("chase", false, &["ask the other side where it is", "give it somebody who looks after it"])
        }
        "timing_lag" if it.kind == BreakKind::DateDiff => ("match", true, &["compare both dates with the contract, then match them"]),
        "timing_lag" => {
            ("wait", true, &["look again with the next statement", "ask the other side when it is older than two business days"])
        }
        "rounding" if it.amount_diff.is_some_and(|by| by.is_zero()) => ("correct_source", false, &["correct the side that is wrong"]),
        "rounding" => ("write_off", true, &["book the difference to rounding"]),
        "fee_mismatch" if small => ("adjust", true, &["book the fee", "compare it with the price list"]),
        "fee_mismatch" => ("adjust", false, &["compare the fee with the price list", "book it"]),
        "fx_rate" => ("adjust", small, &["compare both rates with the source", "book the difference"]),
        "duplicate" => ("correct_source", false, &["ask the sender to take one of them back"]),
        "partial_fill" => ("chase", false, &["compare the fills with the broker's confirmation"]),
        "corporate_action" => ("chase", false, &["compare the entitlement with the custodian's notice"]),
        "settlement_fail" => ("chase", false, &["ask the counterparty why it was not settled", "claim the interest"]),
        "data_entry_error" => ("correct_source", false, &["compare it with the order", "correct the side that is wrong"]),
        "system_error" => ("correct_source", false, &["ask the sender for the statement once more"]),
        _ => ("chase", false, &["look at both sides"]),
    };
    Suggestion { action, auto_resolvable, steps: steps.to_vec() }
}

// -- what is to be done

#[derive(Deserialize)]
#[serde(default)]
struct DecisioningParams {
    auto_confidence: Number,
    auto_amount: Number,
    auto_risk: Number,
    escalate_risk: Number,
    escalate_amount: Number,
    escalate_causes: Vec<String>,
    /// For less than this, its cause alone is no reason for two people.
    escalate_causes_from: Number,
    risky_types: Vec<String>,
}

impl Default for DecisioningParams {
    fn default() -> DecisioningParams {
        let of = |text: &str| text.parse().unwrap_or_else(|_| 0.into());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        DecisioningParams {
            auto_confidence: of("0.9"),
            auto_amount: of("10000"),
            auto_risk: of("0.3"),
            escalate_risk: of("0.75"),
            escalate_amount: of("100000"),
            escalate_causes: words(&["system_error", "data_entry_error"]),
            escalate_causes_from: of("0"),
            risky_types: words(&["REGULATORY_DATA", "LIFECYCLE_EVENT"]),
        }
    }
}

#[derive(Deserialize)]
struct HeardRules {
    within_tolerance: bool,
    failed_rules: Vec<String>,
    confidence: Number,
    #[serde(default)]
    explanation: String,
}

#[derive(Deserialize)]
struct HeardPattern {
    probable_root_cause: String,
    confidence: Number,
    suggestion: HeardSuggestion,
}

#[derive(Deserialize)]
struct HeardSuggestion {
    action: String,
    #[serde(default)]
    auto_resolvable: bool,
}

#[derive(Deserialize)]
struct HeardMatch {
    correlation: String,
    confidence: Number,
}

#[derive(Serialize)]
struct Decided {
    action: &'static str,
    resolution: String,
    explanation: String,
    labels: Vec<String>,
    #[serde(with = "exact")]
    confidence: Decimal,
    #[serde(with = "exact")]
    risk_score: Decimal,
    requires_hil: bool,
    auto_resolvable: bool,
}

fn decisioning(call: &Call) -> Outcome {
    let it = the_break(call)?;
    let given: DecisioningParams = params(call)?;
    let limit = |number: &Number| exact::decimal(number).map_err(invalid);
    let rules: Option<HeardRules> = heard(call, "RULES_TOLERANCE");
    let pattern: Option<HeardPattern> = heard(call, "PATTERN_INTELLIGENCE");
    let matched: Option<HeardMatch> = heard(call, "MATCHING_CORRELATION");
    let sure = [
        rules.as_ref().map(|rules| limit(&rules.confidence)).transpose()?,
        pattern.as_ref().map(|pattern| limit(&pattern.confidence)).transpose()?,
        matched.as_ref().map(|matched| limit(&matched.confidence)).transpose()?,
    ];
    let [rules_sure, _, matched_sure] = sure;
    let heard: Vec<Decimal> = sure.into_iter().flatten().collect();
    let count = Decimal::from(heard.len());
    let confidence = heard.iter().sum::<Decimal>().checked_div(count).unwrap_or_default().round_dp(2);
    let at_stake = it.exposure;
    let failed = rules.as_ref().map_or(usize::MAX, |rules| rules.failed_rules.len());
    let risky = it.break_type.as_ref().is_some_and(|kind| given.risky_types.contains(kind));
    let risk = risk_score(at_stake, failed, confidence, risky);
    let cause = pattern.as_ref().map_or("unknown", |pattern| pattern.probable_root_cause.as_str());
    let within = rules.as_ref().is_some_and(|rules| rules.within_tolerance);
    // Who says where it comes from may be a language model: by itself only that is done which the rules would do as well, and as surely.
    let own = causes_of(&it).remove(0).0;
    let own = suggestion(own, &it);
    let others: Vec<Decimal> = [rules_sure, matched_sure].into_iter().flatten().collect();
    let others = others.iter().sum::<Decimal>().checked_div(Decimal::from(others.len())).unwrap_or_default().round_dp(2);
    let (resolution, suggested) = match &pattern {
        Some(HeardPattern { suggestion, .. }) => (suggestion.action.clone(), suggestion.auto_resolvable),
        None => ("chase".to_owned(), false),
    };
    let several = matched.as_ref().is_some_and(|matched| matched.correlation == "MULTIPLE_MATCHES");
    let mut against: Vec<String> = Vec::new();
    if let Some(why) = &it.blocked_by {
        against.push(format!("the statement does not add up ({why})"));
    }
    if at_stake.is_none() {
        against.push("it is not known how much is at stake".to_owned());
    }
    if several {
        against.push("it could belong to several others".to_owned());
    }
    if !within {
        against.push(match rules.as_ref().map(|rules| rules.explanation.as_str()) {
            Some("") => "it is not within tolerance".to_owned(),
            Some(why) => format!("it is not within tolerance: {why}"),
            None => "nobody looked at the rules".to_owned(),
        });
    }
    let surely = confidence.min(others);
    if surely < limit(&given.auto_confidence)? {
        against.push(format!("those who looked at it are {surely} sure, and {} is needed", given.auto_confidence));
    }
    if at_stake.is_some_and(|amount| amount > limit(&given.auto_amount).unwrap_or_default()) {
        let most = money(limit(&given.auto_amount)?);
        against.push(format!("{} are at stake, and up to {most} may be resolved without people", money(at_stake.unwrap_or_default())));
    }
    if risk >= limit(&given.auto_risk)? {
        against.push(format!("its risk is {risk}, and has to be below {}", given.auto_risk));
    }
    if !suggested || !own.auto_resolvable || own.action != resolution {
        against.push(format!("what is suggested, {resolution}, is for people to do"));
    }
    let (escalate_amount, escalate_risk) = (limit(&given.escalate_amount)?, limit(&given.escalate_risk)?);
    let mut upwards: Vec<String> = Vec::new();
    if risk >= escalate_risk {
        upwards.push(format!("its risk is {risk}, and from {escalate_risk} on two people decide"));
    }
    match at_stake {
        None => upwards.push("nobody knows how much is at stake, and two people decide".to_owned()),
        Some(amount) if amount > escalate_amount => {
            upwards.push(format!("{} are at stake, and over {} two people decide", money(amount), money(escalate_amount)));
        }
        Some(_) => {}
    }
    let causes_from = limit(&given.escalate_causes_from)?;
    if given.escalate_causes.iter().any(|known| known == cause) && at_stake.is_none_or(|amount| amount >= causes_from) {
        upwards.push(format!("it is {}, which two people look at", cause_in_words(cause)));
    }
    let (action, reasons) = match (upwards.is_empty(), against.is_empty()) {
        (false, _) => ("ESCALATE", upwards),
        (true, true) => ("AUTO_RESOLVE", vec!["it is within tolerance, small and sure".to_owned()]),
        (true, false) => ("HIL_REVIEW", against),
    };
    reply(&Decided {
        action,
        explanation: format!("{} ({}): {}", it.why, it.at, reasons.join("; ")),
        labels: vec![it.kind.to_string(), cause.to_owned()],
        resolution,
        confidence,
        risk_score: risk,
        requires_hil: action != "AUTO_RESOLVE",
        auto_resolvable: action == "AUTO_RESOLVE",
    })
}

/// How much is at risk: by the amount, by the rules that failed, by how unsure it is, and by the kind of business.
fn risk_score(at_stake: Option<Decimal>, failed: usize, confidence: Decimal, risky: bool) -> Decimal {
    let amount = match at_stake {
        None => 3,
        Some(amount) if amount <= Decimal::from(1_000) => 0,
        Some(amount) if amount <= Decimal::from(10_000) => 1,
        Some(amount) if amount <= Decimal::from(100_000) => 2,
        Some(_) => 3,
    };
    let rules = match failed {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 3,
    };
    let unsure = match () {
        () if confidence >= number("0.85") => 0,
        () if confidence >= number("0.7") => 1,
        () => 2,
    };
    Decimal::new(amount + rules + unsure + if risky { 2 } else { 0 }, 1)
}

// -- what became of it

#[derive(Serialize)]
struct Fed {
    ticket: Ticket,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<Feedback>,
    explanation: String,
}

#[derive(Serialize)]
struct Ticket {
    ticket_id: String,
    status: &'static str,
    priority: &'static str,
    assigned_to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<String>,
}

#[derive(Serialize)]
struct Feedback {
    agent_decision: Option<String>,
    human_action: Option<String>,
    by: Option<String>,
    agreement: bool,
}

fn feedback(world: &dyn World, call: &Call) -> Outcome {
    let it = the_break(call)?;
    let fate = world.standing(call.request.run).map_err(|wrong| Failure::new(FailureClass::Unavailable, wrong))?.unwrap_or_default();
    let keeps = it.settled(fate.resolution.as_deref()) == Settled::Open;
    let priority = match it.exposure {
        Some(amount) if amount < Decimal::from(5_000) => "LOW",
        Some(amount) if amount < Decimal::from(100_000) => "MEDIUM",
        Some(_) | None => "HIGH",
    };
    let ticket = Ticket {
        ticket_id: it.key.replace("BRK-", "TKT-").replace('/', "-"),
        status: if keeps { "OPEN" } else { "RESOLVED" },
        priority,
        assigned_to: match (&fate.by, fate.action.as_deref()) {
            (Some(by), _) => by.clone(),
            (None, Some("AUTO_RESOLVE")) => "AUTO".to_owned(),
            (None, _) => "ANALYST_QUEUE".to_owned(),
        },
        resolution: fate.resolution.clone(),
    };
    let feedback = fate.agreed.map(|agreement| Feedback {
        agent_decision: fate.action.clone(),
        human_action: fate.resolution.clone(),
        by: fate.by.clone(),
        agreement,
    });
    let answered = match (fate.agreed, &fate.resolution) {
        (Some(true), Some(resolution)) => format!(": {resolution}, as was proposed"),
        (Some(false), Some(resolution)) => format!(": {resolution}, and not what was proposed"),
        _ => String::new(),
    };
    let explanation = format!("ticket {} is {}, for {}{answered}", ticket.ticket_id, ticket.status.to_lowercase(), ticket.assigned_to);
    reply(&Fed { ticket, feedback, explanation })
}

/// Whether a value is a case that was decided on a break: what its run was about.
#[must_use]
pub fn case_of(input: &Value) -> Option<(BreakRecord, Date)> {
    let record: BreakRecord = serde_json::from_value(input.clone()).ok()?;
    let day = record.day;
    Some((record, day))
}
