//! What is to be booked for a day, by what it is known, and what sign-offs have booked of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reconcile::Adjustment;
use crate::record::{BreakRecord, EXPECTED, Leg, legs};
use crate::{Currency, Item, Place, exact, words};

/// Something that is to be booked, and who decided so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Booking {
    /// By what it is known: it is booked once.
    pub(crate) id: String,
    /// The day whose books it comes of: where these are corrected, it may have no reason any more.
    pub(crate) of: Date,
    pub(crate) reference: String,
    pub(crate) account: Arc<str>,
    pub(crate) currency: Currency,
    /// What is to be booked, besides what was booked before.
    #[serde(with = "exact")]
    pub(crate) amount: Decimal,
    #[serde(with = "exact")]
    pub(crate) before: Decimal,
    pub(crate) legs: Vec<Leg>,
    pub(crate) why: String,
    pub(crate) at: String,
    pub(crate) by: String,
}

/// What a sign-off has booked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Posted {
    pub(crate) booked: Vec<Entry>,
}

/// An entry that was booked: by what it is known, and how much.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) of: Date,
    pub(crate) reference: String,
    pub(crate) account: Arc<str>,
    pub(crate) currency: Currency,
    #[serde(with = "exact")]
    pub(crate) amount: Decimal,
}

impl Booking {
    /// A difference within tolerance.
    pub(crate) fn let_pass(it: &Adjustment) -> Booking {
        let Adjustment { reference, account, currency, amount, day, why, .. } = it.clone();
        let at = it.at.join(", ");
        let id = format!("{day} {reference} {account} {currency} {}", files_of(&at));
        let by = "within tolerance".to_owned();
        Booking { id, of: day, reference, account, currency, amount, before: Decimal::ZERO, legs: Vec::new(), why, at, by }
    }

    /// What was decided on a break.
    pub(crate) fn decided(it: &BreakRecord, by: Option<&str>) -> Booking {
        Booking {
            id: Booking::id_of(it),
            of: it.day,
            reference: format!("ADJ-{}", it.break_id),
            account: it.account.clone(),
            currency: it.currency,
            amount: it.amount_diff.unwrap_or_default(),
            before: Decimal::ZERO,
            legs: Vec::new(),
            why: it.why.clone(),
            at: words::places(it),
            by: by.unwrap_or(quorate_core::AUTO_RESOLVE).to_owned(),
        }
    }

    /// By what it is known what is booked for a break. Another one of several that are alike may have its name once files are corrected.
    pub(crate) fn id_of(it: &BreakRecord) -> String {
        let amount = it.amount_diff.unwrap_or_default().normalize();
        format!("{} {} {amount} {}", it.opened, it.break_id, files_of(&words::places(it)))
    }

    /// Whether it takes back what was booked before and has no reason any more.
    pub(crate) fn takes_back(&self) -> bool {
        self.by == TAKEN_BACK
    }

    pub(crate) fn entry(&self) -> Entry {
        let Booking { id, of, reference, account, currency, amount, .. } = self.clone();
        Entry { id, of, reference, account, currency, amount }
    }
}

/// Who decides that something has no reason any more.
const TAKEN_BACK: &str = "reconciled anew";

/// What sign-offs have booked, by what they returned: one that cannot be read may have booked anything.
pub(crate) fn posted(outputs: Vec<Value>) -> Result<Vec<Posted>, String> {
    let read = |output| serde_json::from_value(output).map_err(|wrong| format!("what a sign-off has booked cannot be read: {wrong}"));
    outputs.into_iter().map(read).collect()
}

/// What was booked under a name.
pub(crate) fn booked<'p>(id: &str, posts: &'p [Posted]) -> impl Iterator<Item = &'p Entry> {
    posts.iter().flat_map(|posted| &posted.booked).filter(move |entry| entry.id == id)
}

/// Where entries stand, without their lines: the same file may have another line before them tomorrow.
fn files_of(at: &str) -> String {
    let files: BTreeSet<&str> = at.split(", ").map(|place| place.rsplit_once(':').map_or(place, |(file, _)| file)).collect();
    files.into_iter().collect::<Vec<_>>().join(" ")
}

/// What is due, by its names. Entries that are known by one name are one; and what was booked for the day and has no reason any more, since the
/// day was reconciled anew, is due as nothing. What is `kept` is there still and waits for an answer: it stays as it is until then.
fn by_name(due: Vec<Booking>, day: Date, posts: &[Posted], kept: &HashSet<String>) -> BTreeMap<String, Booking> {
    let mut all: BTreeMap<String, Booking> = BTreeMap::new();
    for it in due {
        match all.get_mut(&it.id) {
            Some(known) => {
                known.amount += it.amount;
                known.at = format!("{}, {}", known.at, it.at);
            }
            None => drop(all.insert(it.id.clone(), it)),
        }
    }
    for entry in posts.iter().flat_map(|posted| &posted.booked).filter(|entry| entry.of == day && !kept.contains(&entry.id)) {
        let Entry { id, of, reference, account, currency, .. } = entry.clone();
        all.entry(id.clone()).or_insert_with(|| Booking {
            id,
            of,
            reference,
            account,
            currency,
            amount: Decimal::ZERO,
            before: Decimal::ZERO,
            legs: Vec::new(),
            why: format!("what was booked with an earlier signature of {day} has no reason any more"),
            at: format!("signed before, of {day}"),
            by: TAKEN_BACK.to_owned(),
        });
    }
    all
}

/// What is still to be booked: what was booked under a name is booked.
pub(crate) fn remaining(due: Vec<Booking>, day: Date, posts: &[Posted], kept: &HashSet<String>) -> Vec<Booking> {
    let rest = |mut it: Booking| {
        it.before = booked(&it.id, posts).map(|entry| entry.amount).sum();
        it.amount -= it.before;
        it.legs = legs(&it.account, it.amount);
        (!it.amount.is_zero()).then_some(it)
    };
    by_name(due, day, posts, kept).into_values().filter_map(rest).collect()
}

/// What the ledger is to bring for a day, entry by entry as sign-offs booked it, and in one for what none has booked yet. Together that is
/// what is due.
pub(crate) fn expected(due: Vec<Booking>, day: Date, posts: &[Posted], kept: &HashSet<String>) -> Vec<Item> {
    let mut all = Vec::new();
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for it in by_name(due, day, posts, kept).into_values() {
        // The newest sign-off comes first.
        let mut amounts: Vec<Decimal> = booked(&it.id, posts).map(|entry| entry.amount).collect();
        amounts.reverse();
        amounts.push(it.amount - amounts.iter().sum::<Decimal>());
        for amount in amounts.into_iter().filter(|amount| !amount.is_zero()) {
            let number = met.entry(it.reference.clone()).or_insert(0);
            *number += 1;
            let more = if *number == 1 { String::new() } else { format!(", {number}") };
            all.push(Item {
                place: Place { file: format!("{EXPECTED}{} of {day}{more}", it.reference).into(), line: 0 },
                account: it.account.clone(),
                currency: it.currency,
                amount,
                value_date: day,
                booked: None,
                reference: Some(it.reference.as_str().into()),
                bank_reference: None,
                batch: None,
                counterparty: None,
                code: None,
                quantity: None,
                price: None,
                status: None,
                reversal: false,
                text: format!("{} ({})", it.why, it.at).into(),
            });
        }
    }
    all
}
