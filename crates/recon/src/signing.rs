//! What comes after a day: what is waited for wakes up, and what was decided is signed by a second person and booked.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::reconcile::POSTING;
use crate::record::{BreakRecord, Leg};
use crate::settings::Books;
use crate::words::{self, counted, money, sum};
use crate::world::{Fate, NoFile, World};
use crate::{Currency, exact};

/// By what the run is known that wakes up for a case, beside the key of the case.
pub(crate) fn recheck_of(key: &str) -> String {
    format!("recheck/{key}")
}

/// What became of a case: by itself, or by the people who were asked when what was waited for had not come.
///
/// # Errors
/// Why that cannot be said.
pub(crate) fn fate_of(world: &dyn World, key: &str) -> Result<Option<Fate>, String> {
    let Some(fate) = world.fate(key)? else { return Ok(None) };
    let waits = !fate.open && fate.resolution.as_deref() == Some("wait");
    let later = if waits { world.fate(&recheck_of(key))?.filter(|later| later.by.is_some()) } else { None };
    Ok(Some(match later {
        Some(later) => Fate { resolution: later.resolution, by: later.by, agreed: later.agreed, ..fate },
        None => fate,
    }))
}

// -- what is waited for

/// A day and its cases, as their agents returned them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Waiting {
    day: Option<DayIn>,
    #[serde(default)]
    cases: Vec<CaseIn>,
    /// After how many business days what is waited for should have come.
    days: Option<u32>,
    /// The file of settings, which knows the holidays.
    books: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DayIn {
    day: Date,
    breaks: Vec<BreakRecord>,
}

#[derive(Debug, Deserialize)]
struct CaseIn {
    action: Option<String>,
    with: Option<Value>,
}

/// Business days after which somebody looks again, where the project does not say.
const LOOK_AGAIN: u32 = 3;

/// The cases that are waited for, each with the time at which somebody looks again.
pub(crate) fn waiting(world: &dyn World, wanted: &Waiting) -> Result<Value, String> {
    let settings = wanted.books.as_deref().unwrap_or("books.yaml");
    let calendar = Books::of(world.settings(settings)?).map_err(|wrong| format!("{settings}: {wrong}"))?.matcher().calendar;
    let day = wanted.day.as_ref().ok_or("`params.day` is what the reconciliation returned")?;
    let days = wanted.days.unwrap_or(LOOK_AGAIN);
    let waits = |case: &CaseIn| {
        case.action.as_deref() == Some(quorate_core::AUTO_RESOLVE) && case.with.as_ref().is_some_and(|with| with["resolution"] == "wait")
    };
    let waiting = day.breaks.iter().zip(&wanted.cases).filter(|(_, case)| waits(case));
    let all = waiting.map(|(it, _)| {
        let on = calendar.after(it.currency, day.day, days).ok_or_else(|| format!("{} business days after {} there is no day", days, day.day))?;
        let input = json!({ "break_id": it.break_id, "key": it.key, "title": it.title, "about": it.about, "message": it.message, "until": moment(day.day, on)? });
        Ok(json!({ "key": recheck_of(&it.key), "input": input }))
    });
    Ok(json!({ "waiting": all.collect::<Result<Vec<_>, String>>()? }))
}

/// The morning of a day; of books of long ago, as long after now.
fn moment(day: Date, on: Date) -> Result<String, String> {
    let far = |wrong: jiff::Error| format!("{on} is too far away: {wrong}");
    let morning = on.at(9, 0, 0, 0).to_zoned(TimeZone::UTC).map_err(far)?.timestamp();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = Timestamp::from_second(i64::try_from(now).unwrap_or(i64::MAX)).map_err(far)?;
    let later = if morning > now {
        morning
    } else {
        let days = day.until(on).map_err(far)?.get_days();
        now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).map_err(far)?
    };
    Ok(later.to_string())
}

// -- how a day stands by now

#[derive(Debug, Default, Deserialize)]
pub(crate) struct StandingParams {
    day: Option<String>,
    /// The workflow that reconciled it, and its task.
    workflow: Option<String>,
    task: Option<String>,
    out: Option<String>,
}

/// A day with all that was decided on it since.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    day: Date,
    run: String,
    /// Who reconciled it: they do not sign it.
    started_by: String,
    breaks: usize,
    by_agents: usize,
    by_people: usize,
    waited_for: usize,
    unanswered: usize,
    proof: BTreeMap<Currency, Value>,
    explained: bool,
    bookings: Vec<Booking>,
    report: String,
    report_sha256: String,
    text: String,
}

/// Something that is to be booked, and who decided so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Booking {
    reference: String,
    currency: Currency,
    #[serde(with = "exact")]
    amount: Decimal,
    legs: Vec<Leg>,
    why: String,
    at: String,
    by: String,
}

#[derive(Debug, Deserialize)]
struct Reconciled {
    day: Date,
    breaks: Vec<BreakRecord>,
    adjustments: Vec<AdjustmentIn>,
    accounts: Vec<AccountIn>,
}

#[derive(Debug, Deserialize)]
struct AdjustmentIn {
    reference: String,
    currency: Currency,
    #[serde(with = "exact")]
    amount: Decimal,
    why: String,
    at: Vec<String>,
    legs: Vec<Leg>,
}

#[derive(Debug, Deserialize)]
struct AccountIn {
    currency: Currency,
    #[serde(with = "exact::option")]
    proof: Option<Decimal>,
}

/// How a day stands by now: what agents settled, what people did, and what is to be booked for it.
pub(crate) fn standing(world: &dyn World, wanted: &StandingParams) -> Result<Standing, String> {
    let day = wanted.day.as_deref().ok_or("`params.day` says which day, as in 2026-03-31")?;
    let day: Date = day.parse().map_err(|_| format!("`{day}` is not a day as in 2026-03-31"))?;
    let (workflow, task) = (wanted.workflow.as_deref().unwrap_or("reconcile"), wanted.task.as_deref().unwrap_or("books"));
    let done = world
        .reconciled(workflow, task, day)?
        .ok_or_else(|| format!("{day} has not been reconciled yet; `quorate run {workflow}` does it"))?;
    let whole: Reconciled = serde_json::from_value(done.output).map_err(|wrong| format!("what became of {day} cannot be read: {wrong}"))?;
    let (mut by_agents, mut by_people, mut waited_for, mut unanswered) = (0, 0, 0, 0);
    let mut bookings: Vec<Booking> = (whole.adjustments.into_iter())
        .map(|it| Booking {
            reference: it.reference,
            currency: it.currency,
            amount: it.amount,
            legs: it.legs,
            why: it.why,
            at: it.at.join(", "),
            by: "within tolerance".to_owned(),
        })
        .collect();
    for it in &whole.breaks {
        let fate = fate_of(world, &it.key)?.unwrap_or_else(|| Fate { open: true, ..Fate::default() });
        match (&fate.by, fate.open, fate.resolution.as_deref()) {
            (_, true, _) => unanswered += 1,
            (Some(_), false, _) => by_people += 1,
            (None, false, Some("wait")) => waited_for += 1,
            (None, false, _) => by_agents += 1,
        }
        if fate.open || !fate.resolution.as_deref().is_some_and(|done| POSTING.contains(&done)) || it.booking.is_empty() {
            continue;
        }
        bookings.push(Booking {
            reference: format!("ADJ-{}", it.break_id),
            currency: it.currency,
            amount: it.amount_diff.unwrap_or_default(),
            legs: it.booking.clone(),
            why: it.why.clone(),
            at: words::places(it),
            by: fate.by.unwrap_or_else(|| quorate_core::AUTO_RESOLVE.to_owned()),
        });
    }
    let mut proof: BTreeMap<Currency, Decimal> = BTreeMap::new();
    for (currency, amount) in whole.accounts.iter().filter_map(|it| Some((it.currency, it.proof?))) {
        *proof.entry(currency).or_default() += amount.abs();
    }
    let explained = proof.values().all(Decimal::is_zero);
    let report = format!("{}/{day}/report.json", wanted.out.as_deref().unwrap_or("reports"));
    let report_sha256 = digest_of(world, &report)?;
    let mut sums: BTreeMap<Currency, Decimal> = BTreeMap::new();
    bookings.iter().for_each(|it| *sums.entry(it.currency).or_default() += it.amount);
    let sums: Vec<String> = sums.into_iter().map(|(currency, amount)| sum(amount, currency)).collect();
    let to_book = match bookings.len() {
        0 => "Nothing is to be booked".to_owned(),
        1 => format!("One difference is to be booked: {}", sums.join(", ")),
        count => format!("{count} differences are to be booked: {}", sums.join(", ")),
    };
    let proofs: Vec<String> = proof.iter().map(|(currency, amount)| sum(*amount, *currency)).collect();
    let verdict = if explained { "everything is explained" } else { "this is NOT explained" };
    let text = format!(
        "Reconciliation of {day}: of {}, agents settled {by_agents}, people {by_people}, {waited_for} are waited for, and {unanswered} still wait for an answer. {to_book}. Proof amount: {}: {verdict}.",
        counted(whole.breaks.len(), "break"),
        proofs.join(", "),
    );
    Ok(Standing {
        day: whole.day,
        run: done.run,
        started_by: done.by,
        breaks: whole.breaks.len(),
        by_agents,
        by_people,
        waited_for,
        unanswered,
        proof: proof.into_iter().map(|(currency, amount)| (currency, json!(money(amount)))).collect(),
        explained,
        bookings,
        report,
        report_sha256,
        text,
    })
}

fn digest_of(world: &dyn World, path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut from = world.open(path).map_err(|wrong| match wrong {
        NoFile::Missing => format!("there is no {path}: the report that is signed has to be there"),
        NoFile::Other(why) => format!("{path} could not be read: {why}"),
    })?;
    from.read_to_end(&mut bytes).map_err(|wrong| format!("{path} could not be read: {wrong}"))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

// -- signed, booked, taken back

#[derive(Debug, Default, Deserialize)]
pub(crate) struct PostParams {
    day: Option<Standing>,
    /// How it was signed.
    signed: Option<Signed>,
    out: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Signed {
    choice: String,
    answers: Vec<SignedBy>,
}

#[derive(Debug, Deserialize)]
struct SignedBy {
    by: String,
    #[serde(default)]
    note: String,
}

impl PostParams {
    fn parts(&self) -> Result<(&Standing, &Signed, String), String> {
        let day = self.day.as_ref().ok_or("`params.day` is how the day stands")?;
        let signed = self.signed.as_ref().ok_or("`params.signed` is how it was signed")?;
        if signed.choice != "approve" {
            return Err(format!("{} is not signed: the answer was {}", day.day, signed.choice));
        }
        // Whoever reconciled a day is not the second person.
        if let Some(same) = signed.answers.iter().find(|answer| answer.by == day.started_by) {
            return Err(format!("{} reconciled {}, and somebody else has to sign it", same.by, day.day));
        }
        Ok((day, signed, format!("{}/{}", self.out.as_deref().unwrap_or("reports"), day.day)))
    }
}

/// Writes down what is to be booked, for whatever books it.
pub(crate) fn post(world: &dyn World, wanted: &PostParams) -> Result<Value, String> {
    let (day, signed, folder) = wanted.parts()?;
    let by: Vec<&str> = signed.answers.iter().map(|answer| answer.by.as_str()).collect();
    if let Some(unbalanced) = day.bookings.iter().find(|it| !it.legs.iter().map(|leg| leg.amount).sum::<Decimal>().is_zero()) {
        return Err(format!("both sides of {} do not come to nothing: it is not booked", unbalanced.reference));
    }
    let file = format!("{folder}/bookings.csv");
    let bytes = table(&day.bookings, Decimal::ONE, &by.join(", ")).map_err(|wrong| format!("{file} could not be written: {wrong}"))?;
    world.write(&file, &bytes)?;
    Ok(
        json!({ "file": file, "sha256": hex(&bytes), "bookings": day.bookings.len(), "explanation": format!("{} in {file}", counted(day.bookings.len(), "booking")) }),
    )
}

/// The opposite of all that was booked, so that nothing of it stays.
pub(crate) fn take_back(world: &dyn World, wanted: &PostParams) -> Result<Value, String> {
    let (day, _, folder) = wanted.parts()?;
    let file = format!("{folder}/bookings-taken-back.csv");
    let bytes =
        table(&day.bookings, Decimal::NEGATIVE_ONE, "taken back").map_err(|wrong| format!("{file} could not be written: {wrong}"))?;
    world.write(&file, &bytes)?;
    Ok(json!({ "file": file, "bookings": day.bookings.len() }))
}

fn table(bookings: &[Booking], sign: Decimal, signed_by: &str) -> Result<Vec<u8>, csv::Error> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(["reference", "account", "currency", "amount", "why", "at", "decided_by", "signed_by"])?;
    for it in bookings {
        for leg in &it.legs {
            let texts = [&it.reference, &leg.account].map(|text| crate::report::harmless(text));
            let (amount, currency) = ((leg.amount * sign).to_string(), it.currency.to_string());
            let [why, at, by, signed] = [&it.why, &it.at, &it.by, &signed_by.to_owned()].map(|text| crate::report::harmless(text));
            rows.write_record([&texts[0], &texts[1], &currency, &amount, &why, &at, &by, &signed])?;
        }
    }
    rows.into_inner().map_err(|wrong| wrong.into_error().into())
}

/// Puts on record who signed what: the report by its digest, which is the one that was shown.
pub(crate) fn seal(world: &dyn World, wanted: &PostParams) -> Result<Value, String> {
    let (day, signed, folder) = wanted.parts()?;
    let now = digest_of(world, &day.report)?;
    if now != day.report_sha256 {
        return Err(format!("{} is not the report any more that was signed; sign it once more", day.report));
    }
    let bookings = digest_of(world, &format!("{folder}/bookings.csv"))?;
    let file = format!("{folder}/signed.json");
    let answers: Vec<Value> = signed.answers.iter().map(|answer| json!({ "by": answer.by, "note": answer.note })).collect();
    let sealed = json!({
        "schema": "quorate.recon.signed/1", "day": day.day, "run": day.run, "reconciled_by": day.started_by, "signed_by": answers,
        "report": day.report, "report_sha256": now, "bookings_sha256": bookings, "bookings": day.bookings.len(),
        "breaks": day.breaks, "unanswered": day.unanswered, "proof": day.proof,
    });
    let mut bytes = serde_json::to_vec_pretty(&sealed).map_err(|wrong| wrong.to_string())?;
    bytes.push(b'\n');
    world.write(&file, &bytes)?;
    let by: Vec<&str> = signed.answers.iter().map(|answer| answer.by.as_str()).collect();
    let text = format!(
        "{}\nSigned by {}; {} in {folder}/bookings.csv, and who signed what in {file}.",
        day.text,
        by.join(", "),
        counted(day.bookings.len(), "booking")
    );
    Ok(json!({ "file": file, "text": text }))
}
