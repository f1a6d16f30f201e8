//! Items and breaks as they are written down.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::books::FaultKind;
use crate::{BreakKind, Currency, Item, Place, Side, exact};

/// An item, as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemRecord {
    /// Where it stands: file and line.
    pub at: String,
    /// The amount.
    #[serde(with = "exact")]
    pub amount: Decimal,
    /// The currency.
    pub currency: Currency,
    /// From when it counts.
    pub value_date: Date,
    /// When it was booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booked: Option<Date>,
    /// The reference that goes from end to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// The bank's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_reference: Option<Arc<str>>,
    /// What it was booked together with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Arc<str>>,
    /// With whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<Arc<str>>,
    /// What kind of transaction it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Arc<str>>,
    /// How many of something.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    /// What one of them costs.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Arc<str>>,
    /// Whether it takes another one back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reversal: bool,
    /// What else is said about it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub text: Arc<str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl ItemRecord {
    /// An item, written down.
    #[must_use]
    pub fn of(item: &Item) -> ItemRecord {
        let Item { amount, currency, value_date, booked, quantity, price, reversal, .. } = *item;
        ItemRecord {
            at: item.place.to_string(),
            amount,
            currency,
            value_date,
            booked,
            reference: item.reference.clone(),
            bank_reference: item.bank_reference.clone(),
            batch: item.batch.clone(),
            counterparty: item.counterparty.clone(),
            code: item.code.clone(),
            quantity,
            price,
            status: item.status.clone(),
            reversal,
            text: item.text.clone(),
        }
    }

    /// Whether another one says the same, wherever it stands. Of what the ledger is expected to bring, the text says where the lines stand
    /// that it comes of.
    pub(crate) fn is_like(&self, other: &ItemRecord) -> bool {
        let same_booking = self.at == other.at && self.at.starts_with(EXPECTED);
        let text = if same_booking { &self.text } else { &other.text };
        *self == ItemRecord { at: self.at.clone(), text: text.clone(), ..other.clone() }
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(&self.at)
    }

    /// The item that was written down.
    #[must_use]
    pub fn item(&self, account: &Arc<str>) -> Item {
        Item {
            place: self.place(),
            account: account.clone(),
            currency: self.currency,
            amount: self.amount,
            value_date: self.value_date,
            booked: self.booked,
            reference: self.reference.clone(),
            bank_reference: self.bank_reference.clone(),
            batch: self.batch.clone(),
            counterparty: self.counterparty.clone(),
            code: self.code.clone(),
            quantity: self.quantity,
            price: self.price,
            status: self.status.clone(),
            reversal: self.reversal,
            text: self.text.clone(),
        }
    }
}

/// A break, as it is decided on. Nothing in it changes as long as the same is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreakRecord {
    /// Its name.
    pub break_id: String,
    /// By what its case is known: its name, and how often it was opened.
    pub key: String,
    /// How often it was opened.
    pub round: u32,
    /// What is wrong.
    pub kind: BreakKind,
    /// What kind of business it is; nothing where the account is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_type: Option<String>,
    /// The account.
    pub account: Arc<str>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_class: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The systems that do not agree.
    #[serde(default)]
    pub source_systems: Vec<String>,
    /// Its currency.
    pub currency: Currency,
    /// What side A has.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub amount_a: Option<Decimal>,
    /// What side B has.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub amount_b: Option<Decimal>,
    /// What A has more than B; nothing where they are in two currencies.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub amount_diff: Option<Decimal>,
    /// How much is at stake, in the base currency; nothing where there is no rate.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Decimal>,
    /// Which share of what is on the account that is; nothing where its balances are not stated. Of one with nothing on it, it is all.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub share: Option<Decimal>,
    /// By which rates, where there are several currencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// From when its oldest item counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_date: Option<Date>,
    /// On which day it was met first.
    pub opened: Date,
    /// The day that its case is about.
    pub day: Date,
    /// How many business days its oldest item is old by then.
    pub age: u32,
    /// Within how many business days it is to be settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla_days: Option<u32>,
    /// How that stands.
    #[serde(default)]
    pub sla: Due,
    /// How many business days do not count for that: somebody else had it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paused: u32,
    /// Whether it is an entry that the ledger is expected to bring, since somebody decided to book it.
    #[serde(default)]
    pub expected: bool,
    /// What is wrong, in words.
    pub why: String,
    /// All of it in a line, for people.
    #[serde(default)]
    pub title: String,
    /// The same with every number and where it is from, line by line.
    #[serde(default)]
    pub about: Vec<String>,
    /// Where its items stand, or the statement that does not add up.
    #[serde(default)]
    pub at: String,
    /// Of a statement that does not add up: where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_at: Option<String>,
    /// What kind of fault that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultKind>,
    /// What stands against resolving anything on its account by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// How many small open breaks of the same kind there are on its account, with it.
    pub alike: usize,
    /// What is at stake in all of these.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub alike_exposure: Option<Decimal>,
    /// Its items of side A.
    pub a: Vec<ItemRecord>,
    /// Those of side B.
    pub b: Vec<ItemRecord>,
    /// How many business days lie between the value dates of the first ones of both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_apart: Option<u32>,
    /// Whether all of them have one reference, as the settings of the books compare references.
    #[serde(default)]
    pub one_reference: bool,
    /// How alike each of side B is to the first of side A.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paired: Vec<Likeness>,
    /// Open items that it may belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearRecord>,
    /// What is booked where that is what people, or agents, decide: both sides of the entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub booking: Vec<Leg>,
    /// What the other side is asked where that is what is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How many times as much may be at stake of what is as much: rates move from day to day.
const AS_MUCH: Decimal = Decimal::from_parts(11, 0, 0, false, 1);

fn as_much(one: Option<Decimal>, other: Option<Decimal>) -> bool {
    let larger = |one: Decimal, other: Decimal| other.checked_mul(AS_MUCH).is_none_or(|most| one > most);
    match (one, other) {
        (Some(one), Some(other)) => !larger(one, other) && !larger(other, one),
        (one, other) => one == other,
    }
}

/// What a resolution comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The ledger books the difference.
    Booked,
    /// The entries belong together.
    Together,
    /// It is closed although nothing belongs to it.
    Closed,
    /// It stays open.
    Open,
}

/// How the place of an entry begins that the ledger is expected to bring.
pub(crate) const EXPECTED: &str = "adjustment ";

impl BreakRecord {
    /// Whether it is about the same: the same is wrong with the same entries, wherever they stand by now, as much is at stake, the same
    /// people answer for it, and nothing else may belong to them.
    pub(crate) fn is_like(&self, other: &BreakRecord) -> bool {
        fn all<'i>(one: &'i [ItemRecord], other: &'i [ItemRecord]) -> bool {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_like(other))
        }
        let near = |it: &'_ BreakRecord| it.near.iter().map(|near| near.side).collect::<Vec<_>>();
        let nearest = self.near.iter().zip(&other.near).all(|(one, other)| one.item.is_like(&other.item));
        self.kind == other.kind
            && (self.account == other.account && self.currency == other.currency)
            && (all(&self.a, &other.a) && all(&self.b, &other.b))
            && (near(self) == near(other) && nearest)
            && self.blocked_by.is_some() == other.blocked_by.is_some()
            && (self.amount_diff, &self.break_type, &self.asset_class) == (other.amount_diff, &other.break_type, &other.asset_class)
            && self.owner == other.owner
            && as_much(self.exposure, other.exposure)
            // Of a statement, its words say what there is before and after.
            && (self.statement_at.is_some() == other.statement_at.is_some() && (self.statement_at.is_none() || self.why == other.why))
    }

    /// Where all its items stand, or the statement that does not add up.
    pub(crate) fn places(&self) -> String {
        let all: Vec<&str> = self.a.iter().chain(&self.b).map(|item| item.at.as_str()).collect();
        if all.is_empty() { self.at.clone() } else { all.join(" ") }
    }

    /// What a resolution comes to. What cannot be carried out leaves the break open: nothing is booked for what is to be booked
    /// already, or is not booked on the other side yet, and what belongs together differs in nothing.
    #[must_use]
    pub fn settled(&self, resolution: Option<&str>) -> Settled {
        let difference = self.amount_diff.filter(|_| self.statement_at.is_none());
        match (resolution, difference) {
            (Some("force_close"), _) => Settled::Closed,
            (Some("adjust" | "write_off"), Some(by)) if !by.is_zero() && self.not_to_book().is_none() => Settled::Booked,
            (Some("match"), Some(by)) if by.is_zero() && !self.is_pending() => Settled::Together,
            _ => Settled::Open,
        }
    }

    /// Whether an entry of it is not booked yet.
    fn is_pending(&self) -> bool {
        self.a.iter().chain(&self.b).any(|item| item.status.is_some())
    }

    /// Why nothing can be booked for it, whatever is decided.
    pub(crate) fn not_to_book(&self) -> Option<&'static str> {
        match () {
            () if self.statement_at.is_some() => Some("it is about a whole statement"),
            () if self.amount_diff.is_none() => Some("it is in two currencies"),
            () if self.is_pending() => Some("not all of it is booked on its own side yet"),
            () if self.expected => Some("it is what is to be booked already"),
            () => None,
        }
    }
}

/// One side of an entry that is to be booked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// The account.
    pub account: String,
    /// What is booked on it.
    #[serde(with = "exact")]
    pub amount: Decimal,
}

/// Both sides of an entry by which the ledger comes to what the statement has: together they are nothing.
#[must_use]
pub fn legs(account: &str, amount: Decimal) -> Vec<Leg> {
    vec![Leg { account: account.to_owned(), amount }, Leg { account: "differences".to_owned(), amount: -amount }]
}

/// How alike two items are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// From 0 to 1.
    #[serde(with = "exact")]
    pub likeness: Decimal,
    /// In what they are the same.
    pub same: Vec<String>,
}

/// An open item that a break may belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearRecord {
    /// Its side.
    pub side: Side,
    /// How alike they are.
    #[serde(with = "exact")]
    pub likeness: Decimal,
    /// In what.
    pub same: Vec<String>,
    /// The item.
    pub item: ItemRecord,
}

/// How a break stands whose time is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Due {
    /// There is time.
    #[default]
    #[serde(rename = "in time")]
    InTime,
    /// There is little of it.
    Warning,
    /// There is none.
    Overdue,
}

impl Due {
    /// As it stands in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Due::InTime => "in time",
            Due::Warning => "warning",
            Due::Overdue => "overdue",
        }
    }
}

/// Which of the ages people look at an age belongs to.
#[must_use]
pub fn bucket(age: u32) -> &'static str {
    match age {
        0..=2 => "0-2",
        3..=5 => "3-5",
        6..=30 => "6-30",
        31..=60 => "31-60",
        _ => "over 60",
    }
}

/// All of them, in their order.
pub const BUCKETS: [&str; 5] = ["0-2", "3-5", "6-30", "31-60", "over 60"];
