//! What people read about a break: numbers with their places, in sentences.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::record::{BreakRecord, ItemRecord, NearRecord};
use crate::{BreakKind, Currency, Side};

/// Items of a side that are listed; of the others their number is.
const MAX_LISTED: usize = 12;

/// An amount with at least two decimals, and its thousands set apart.
#[must_use]
pub(crate) fn money(amount: Decimal) -> String {
    let text = if amount.scale() < 2 { format!("{amount:.2}") } else { amount.to_string() };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if amount.is_zero() { "" } else { sign };
    format!("{sign}{grouped}.{fraction}")
}

/// The same with its currency.
#[must_use]
pub(crate) fn sum(amount: Decimal, currency: Currency) -> String {
    format!("{} {currency}", money(amount))
}

/// The sides of accounts of which there was more before, by their names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Less {
    /// No statement came.
    pub(crate) not_come: Vec<String>,
    /// It does not say what it ends with.
    pub(crate) unsaid: Vec<String>,
}

impl Less {
    /// Adds both sides of an account: of each whether it did not come, and whether it does not say what it ends with.
    pub(crate) fn add(&mut self, name: &str, currency: Currency, sides: [(bool, bool); 2]) {
        for (side, (missing, unsaid)) in [Side::A, Side::B].into_iter().zip(sides) {
            let name = || format!("{name} {currency} on side {side}");
            self.not_come.extend(missing.then(name));
            self.unsaid.extend(unsaid.then(name));
        }
    }

    fn told(&self) -> String {
        let sentence = |all: &[String], begins: &str, ends: &str| match all {
            [] => String::new(),
            all => format!(" {begins} {}{ends}.", listed(all)),
        };
        sentence(&self.not_come, "No statement came for", ": it counts as it was left")
            + &sentence(&self.unsaid, "No closing balance came for", ", though one did before")
    }
}

/// Names, as long as they are few.
fn listed(all: &[String]) -> String {
    let more = all.len().saturating_sub(MAX_LISTED);
    let shown = all[..all.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Whether everything is explained, by what is not, currency by currency; and by what statements.
pub(crate) fn proved(proof: &BTreeMap<Currency, Decimal>, not_proved: &[String], less: &Less) -> String {
    let older = less.told();
    if proof.is_empty() {
        return format!("No account states its balances on both sides: nothing is proved.{older}");
    }
    let verdict = if proof.values().all(Decimal::is_zero) { "everything is explained" } else { "this is NOT explained" };
    let proofs: Vec<String> = proof.iter().map(|(currency, amount)| sum(*amount, *currency)).collect();
    let others = match not_proved {
        [] => String::new(),
        all => format!(" Not proved, since not both sides state their balances: {}.", listed(all)),
    };
    format!("Proof amount: {}: {verdict}.{others}{older}", proofs.join(", "))
}

/// So many of a thing.
#[must_use]
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("one {thing}") } else { format!("{count} {thing}s") }
}

/// Bytes, as people hold them against each other.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the items of a break stand, or its statement.
pub(crate) fn places(it: &BreakRecord) -> String {
    if let Some(at) = &it.statement_at {
        return at.clone();
    }
    let all: Vec<&str> = it.a.iter().chain(&it.b).map(|item| item.at.as_str()).collect();
    let more = all.len().saturating_sub(MAX_LISTED);
    let shown = all.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// A break in a line.
pub(crate) fn title(it: &BreakRecord) -> String {
    let account = it.account_name.as_deref().unwrap_or(&it.account);
    let first = it.a.first().or(it.b.first());
    let tells = matches!(it.kind, BreakKind::AmountDiff | BreakKind::FxRateDiff | BreakKind::CurrencyDiff);
    let what = match first {
        // Which of them it is; the reason tells the amounts.
        Some(one) if tells => {
            let words: Vec<&str> = [&one.reference, &one.counterparty].into_iter().flatten().map(|word| &**word).collect();
            words.join(", ")
        }
        Some(one) => about(one),
        None => String::new(),
    };
    let what = if what.is_empty() { what } else { format!("{what}: ") };
    format!("{} on {account}: {what}{}", it.kind, it.why)
}

/// A break, line by line: every number with the place that it is from.
pub(crate) fn lines(it: &BreakRecord) -> Vec<String> {
    let names: Vec<String> = [Side::A, Side::B].iter().map(|side| named(it, *side)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut lines = Vec::new();
    if let Some(at) = &it.statement_at {
        lines.push(format!("{:width$}  the statement at {at}", "statement"));
    }
    let has_items = !it.a.is_empty() || !it.b.is_empty();
    for (name, items) in names.iter().zip([&it.a, &it.b]).filter(|_| has_items) {
        if items.is_empty() {
            lines.push(format!("{name:width$}  nothing"));
        }
        lines.extend(items.iter().take(MAX_LISTED).map(|item| format!("{name:width$}  {}  {}", item.at, about(item))));
        match items.len().saturating_sub(MAX_LISTED) {
            0 => {}
            1 => lines.push(format!("{name:width$}  and one other entry")),
            more => lines.push(format!("{name:width$}  and {more} other entries")),
        }
    }
    for NearRecord { side, likeness, same, item } in &it.near {
        let same = if same.is_empty() { String::new() } else { format!(", with the same {}", same.join(" and ")) };
        lines.push(format!("{:width$}  {} of side {side}  {}: {likeness} alike{same}", "near to it", item.at, about(item)));
    }
    if let Some(exposure) = it.exposure {
        let rate = it.rate.as_ref().map(|rate| format!(", at {rate}")).unwrap_or_default();
        let share = it.share.filter(|share| *share >= Decimal::new(1, 3));
        let share =
            share.map(|share| format!(", {} % of what is on the account", (share * Decimal::ONE_HUNDRED).normalize())).unwrap_or_default();
        lines.push(format!("{:width$}  {} in the base currency{rate}{share}", "at stake", money(exposure)));
    } else if let Some(why) = &it.rate {
        lines.push(format!("{:width$}  unknown: {why}", "at stake"));
    }
    if let Some(from) = it.value_date {
        let days = if it.age == 1 { "one business day".to_owned() } else { format!("{} business days", it.age) };
        let since =
            if from <= it.opened { format!("the value date {from}") } else { format!("it was met on {}, of value date {from}", it.opened) };
        let paused = match it.paused {
            0 => String::new(),
            1 => ", one of which somebody else had it".to_owned(),
            days => format!(", {days} of which somebody else had it"),
        };
        lines.push(format!("{:width$}  {days} on {}, since {since}{paused}", "age", it.day));
    }
    if it.alike > 1 {
        let together = it.alike_exposure.map(|all| format!(", {} at stake in all of them", money(all))).unwrap_or_default();
        lines.push(format!("{:width$}  {} small breaks of this kind on the account{together}", "with it", it.alike));
    }
    if !it.booking.is_empty() {
        let legs: Vec<String> = it.booking.iter().map(|leg| format!("{} on {}", sum(leg.amount, it.currency), leg.account)).collect();
        lines.push(format!("{:width$}  {}, where it is decided to book it", "booking", legs.join(", ")));
    } else if let Some(why) = it.not_to_book() {
        lines.push(format!("{:width$}  {why}: to book or write off its difference leaves it open", "booking"));
    }
    if let Some(why) = it.blocked_by.as_ref().filter(|_| it.statement_at.is_none()) {
        lines.push(format!("{:width$}  {why}", "against it"));
    }
    lines
}

/// What the other side is asked about a break: a draft, for whoever chases it.
pub(crate) fn message(it: &BreakRecord) -> Option<String> {
    let counterparty = it.a.iter().chain(&it.b).find_map(|item| item.counterparty.as_deref());
    let to = counterparty.or(it.source_systems.first().map(String::as_str)).unwrap_or("the other side");
    let list = |items: &[ItemRecord]| items.iter().take(MAX_LISTED).map(about).collect::<Vec<_>>().join("; ");
    let asked = match (&it.a[..], &it.b[..]) {
        ([], []) => {
            return it
                .statement_at
                .as_ref()
                .map(|at| format!("To {to}: your statement at {at} does not add up: {}. Please send it once more.", it.why));
        }
        ([], ours) => {
            format!("our books have {}, which your statement does not show. Please tell us when it comes, or why it does not", list(ours))
        }
        (theirs, []) => format!("your statement shows {}, of which our books know nothing. Please tell us what it is for", list(theirs)),
        (theirs, ours) => {
            format!("your statement shows {}, and our books have {}. Please tell us which of them is right", list(theirs), list(ours))
        }
    };
    Some(format!("To {to}, about {} ({}): {asked}.", it.account_name.as_deref().unwrap_or(&it.account), it.break_id))
}

/// A side, and the system that it comes from.
fn named(it: &BreakRecord, side: Side) -> String {
    match it.source_systems.get(side as usize) {
        Some(system) => format!("{side} ({system})"),
        None => side.to_string(),
    }
}

/// An item in a line: how much, from when, and by what it is known.
fn about(item: &ItemRecord) -> String {
    let mut told = format!("{} of {}", sum(item.amount, item.currency), item.value_date);
    for word in [&item.reference, &item.counterparty].into_iter().flatten() {
        told.push_str(&format!(", {word}"));
    }
    if let Some((quantity, price)) = item.quantity.zip(item.price) {
        told.push_str(&format!(", {quantity} at {price}"));
    }
    if let Some(status) = &item.status {
        told.push_str(&format!(", {status}"));
    }
    told
}
