//! Whether what a file says adds up: within a statement, from one to the next, and beside what is known of the account.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::{Statement, Totalled};
use crate::words::{hex, money};
use crate::{Currency, Item, Place};

/// Statements of an account that are still known when one of them comes again.
pub const MAX_MARKS: usize = 10;

/// What does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// What there was before and the entries do not come to what there is after.
    Consistency,
    /// It does not begin with what the one before ended with.
    Continuity,
    /// It has been there before.
    Duplicate,
    /// The entries do not come to what the file says that they do.
    ControlTotal,
    /// Nobody knows the account.
    UnknownAccount,
    /// An entry is in another currency than its account.
    Currency,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::Consistency => "consistency",
            FaultKind::Continuity => "continuity",
            FaultKind::Duplicate => "duplicate",
            FaultKind::ControlTotal => "control total",
            FaultKind::UnknownAccount => "unknown account",
            FaultKind::Currency => "currency",
        })
    }
}

/// Something that does not add up. Nothing is resolved by itself for its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Where.
    pub place: Place,
    /// The account.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Currency,
    /// By how much, where it is a matter of amounts.
    pub by: Decimal,
    /// In words.
    pub what: String,
}

/// How an account was left the last time: what its next statement begins with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Known {
    /// The account.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Currency,
    /// What there was in the end, if that was said.
    pub closing: Option<Decimal>,
    /// Whether it has ever said what there was.
    #[serde(default)]
    pub stated: bool,
    /// What tells its last statements from others, the newest last.
    pub marks: Vec<String>,
}

/// What came of checking the statements of one side.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// What does not add up.
    pub faults: Vec<Fault>,
    /// Statements that have been there before. Their entries do not count.
    pub set_aside: Vec<Statement>,
    /// How the accounts are left.
    pub left: Vec<Known>,
    /// How many statements were held against the one before them.
    pub linked: usize,
    /// How many have one before them, and what one of both states is not enough for that.
    pub unlinked: usize,
}

/// Checks the statements of one side, brings those of an account into their order, and takes out what has been there before.
#[must_use]
pub fn check(statements: &mut Vec<Statement>, is_known: &dyn Fn(&str, Currency) -> bool, before: &[Known]) -> Checks {
    let mut checks = Checks::default();
    let mut accounts: BTreeMap<(Arc<str>, Currency), Vec<Statement>> = BTreeMap::new();
    for statement in statements.drain(..) {
        accounts.entry((statement.account.clone(), statement.currency)).or_default().push(statement);
    }
    let mut left: BTreeMap<(Arc<str>, Currency), Known> =
        before.iter().map(|known| ((known.account.clone(), known.currency), known.clone())).collect();
    for (key, of_account) in accounts {
        let (account, currency) = key.clone();
        let known = left.remove(&key).unwrap_or(Known { account, currency, closing: None, stated: false, marks: Vec::new() });
        let (ordered, after) = checks.account(of_account, known, is_known);
        left.insert(key, after);
        statements.extend(ordered);
    }
    checks.left = left.into_values().collect();
    checks
}

impl Checks {
    fn fault(&mut self, kind: FaultKind, statement: &Statement, place: &Place, by: Decimal, what: String) {
        let (account, currency) = (statement.account.clone(), statement.currency);
        self.faults.push(Fault { kind, place: place.clone(), account, currency, by, what });
    }

    fn account(&mut self, mut all: Vec<Statement>, known: Known, is_known: &dyn Fn(&str, Currency) -> bool) -> (Vec<Statement>, Known) {
        all.sort_by(|one, other| one.place.cmp(&other.place));
        if let Some(first) = all.first().filter(|first| !is_known(&first.account, first.currency)) {
            let what = format!("account {} in {} is not one that is reconciled", first.account, first.currency);
            self.fault(FaultKind::UnknownAccount, first, &first.place, Decimal::ZERO, what);
        }
        let mut met: BTreeMap<String, Place> = BTreeMap::new();
        let earlier: BTreeSet<&String> = known.marks.iter().collect();
        let (mut fresh, mut marks) = (Vec::new(), known.marks.clone());
        for statement in all {
            let mark = mark(&statement);
            let again = match (met.get(&mark), earlier.contains(&mark)) {
                (Some(place), _) => Some(format!("it is the statement at {place} once more")),
                (None, true) => Some("it is a statement that was reconciled before".to_owned()),
                (None, false) => None,
            };
            // A day without entries and dates looks like any other such day, and what is not booked yet is told day after day.
            let tells = statement.items.iter().any(|item| item.status.is_none())
                || statement.opening.iter().chain(&statement.closing).any(|balance| balance.date.is_some());
            if let Some(again) = again.filter(|_| tells) {
                let what = match statement.entries {
                    1 => format!("{again}; its entry does not count"),
                    entries => format!("{again}; its {entries} entries do not count"),
                };
                self.fault(FaultKind::Duplicate, &statement, &statement.place, Decimal::ZERO, what);
                self.set_aside.push(statement);
                continue;
            }
            marks.push(mark.clone());
            met.insert(mark, statement.place.clone());
            fresh.push(statement);
        }
        marks.drain(..marks.len().saturating_sub(MAX_MARKS));
        let ordered = in_order(fresh, known.closing);
        let mut closing = known.closing;
        self.pages(&ordered);
        for (at, statement) in ordered.iter().enumerate() {
            let follows = at > 0 || !earlier.is_empty();
            if follows {
                self.continuity(statement, closing);
            }
            self.within(statement);
            self.whole(statement, follows, ordered.get(at + 1));
            // Behind entries of which nobody says what they led to, it is not known any more.
            closing = statement.closing.as_ref().map(|balance| balance.amount).or(closing.filter(|_| statement.items.is_empty()));
        }
        let states = |statement: &Statement| statement.opening.is_some() || statement.closing.is_some();
        let stated = known.stated || ordered.iter().any(states);
        (ordered, Known { closing, stated, marks, ..known })
    }

    /// A page has the one before it before it, and the one that follows behind it.
    fn pages(&mut self, ordered: &[Statement]) {
        for (at, statement) in ordered.iter().enumerate() {
            let Some((number, goes_on)) = statement.page else { continue };
            // One that says that it is the last has none behind it, but of its own statement: there are banks that say so of each.
            let precedes = |other: &Statement| {
                let page = other.page.filter(|(before, _)| before.checked_add(1) == Some(number));
                let (ended, begins) = (other.closing.as_ref(), statement.opening.as_ref());
                let fits = || ended.zip(begins).is_none_or(|(ended, begins)| ended.amount == begins.amount);
                page.is_some_and(|(_, goes_on)| is_one(other, statement) || goes_on && fits())
            };
            let before = at.checked_sub(1).is_some_and(|before| precedes(&ordered[before]));
            // One that was there before is set aside, and stands before it all the same.
            let own = |other: &&Statement| (&other.account, other.currency) == (&statement.account, statement.currency);
            if number > 1 && !before && !self.set_aside.iter().filter(own).any(precedes) {
                let what = format!("it is page {number}, and page {} is not there", number - 1);
                self.fault(FaultKind::Continuity, statement, &statement.place, Decimal::ZERO, what);
            }
            let next = ordered.get(at + 1).and_then(|next| next.page).map(|(number, _)| number);
            if goes_on && next != Some(number.saturating_add(1)) {
                let what = format!("it is page {number}, and the one that follows it is not there");
                self.fault(FaultKind::Continuity, statement, &statement.place, Decimal::ZERO, what);
            }
        }
    }

    fn continuity(&mut self, statement: &Statement, before: Option<Decimal>) {
        let (Some(before), Some(opening)) = (before, &statement.opening) else {
            self.unlinked += 1;
            return;
        };
        self.linked += 1;
        if opening.amount != before {
            let by = opening.amount - before;
            let what = format!(
                "it begins with {}, and the statement before ended with {}: {} are missing in between",
                money(opening.amount),
                money(before),
                money(by)
            );
            self.fault(FaultKind::Continuity, statement, &opening.place, by, what);
        }
    }

    /// A statement is there from its beginning to its end, as far as it says what these are.
    fn whole(&mut self, statement: &Statement, follows: bool, next: Option<&Statement>) {
        let mut fault = |place: &Place, what: String| self.fault(FaultKind::Consistency, statement, place, Decimal::ZERO, what);
        // Of numbered pages it is known which of them are missing.
        let goes_on = statement.page.is_some_and(|(_, goes_on)| goes_on) || next.is_some_and(|next| is_next_page(statement, next));
        if let Some(opening) = statement.opening.as_ref().filter(|_| statement.begins_within && statement.page.is_none() && !follows) {
            let begins = money(opening.amount);
            fault(&opening.place, format!("it begins in the middle, with {begins}, and the page before it is not there"));
        }
        match (&statement.opening, &statement.closing) {
            _ if goes_on => {}
            (_, Some(closing)) if statement.ends_within => {
                let ends = money(closing.amount);
                fault(&closing.place, format!("it ends in the middle, with {ends}, and the page that follows it is not there"));
            }
            (Some(opening), None) if statement.says_end => {
                let begins = money(opening.amount);
                fault(&opening.place, format!("it begins with {begins}, and does not say what it ends with: its end may be missing"));
            }
            (None, None) if statement.says_end => {
                fault(&statement.place, "it says neither what it begins with nor what it ends with: its end may be missing".to_owned());
            }
            _ => {}
        }
    }

    fn within(&mut self, statement: &Statement) {
        // What is not booked yet is in no balance, but in what is counted; what is in another currency is in no balance either.
        let own = || statement.items.iter().filter(|item| item.currency == statement.currency);
        for item in statement.items.iter().filter(|item| item.currency != statement.currency) {
            let what = format!("this entry is in {}, and the account in {}", item.currency, statement.currency);
            self.fault(FaultKind::Currency, statement, &item.place, Decimal::ZERO, what);
        }
        let sum: Decimal = own().filter(|item| item.status.is_none()).map(|item| item.amount).sum();
        let (came, went) = statement.turned.unwrap_or_else(|| {
            let of = |into: bool| own().map(|item| item.amount).filter(|amount| amount.is_sign_negative() != into).map(|it| it.abs()).sum();
            (of(true), of(false))
        });
        if let (Some(opening), Some(closing)) = (&statement.opening, &statement.closing) {
            let by = closing.amount - opening.amount - sum;
            if !by.is_zero() {
                let entries = if statement.entries == 1 { "one entry".to_owned() } else { format!("{} entries", statement.entries) };
                let (before, after, stated) = (money(opening.amount), money(opening.amount + sum), money(closing.amount));
                let (sum, missing) = (money(sum), money(by));
                let what = format!("{before} before and {sum} of {entries} make {after}, and not {stated}: {missing} do not add up");
                self.fault(FaultKind::Consistency, statement, &closing.place, by, what);
            }
        }
        if let Some((count, place)) = statement.count.as_ref().filter(|(count, _)| *count != statement.entries) {
            let what = format!("it says that it has {count} entries, and has {}", statement.entries);
            self.fault(FaultKind::ControlTotal, statement, place, Decimal::ZERO, what);
        }
        for total in &statement.totals {
            let there = match total.of {
                Totalled::Net => came - went,
                Totalled::Gross => came + went,
                Totalled::Credits => came,
                Totalled::Debits => went,
            };
            if there != total.amount {
                let (by, of) = (total.amount - there, of(total.of));
                let what = format!("it says that {of} come to {}, and they come to {there}", total.amount);
                self.fault(FaultKind::ControlTotal, statement, &total.place, by, what);
            }
            let counts = matches!(total.of, Totalled::Net | Totalled::Gross);
            if let Some(count) = total.count.filter(|count| counts && *count != statement.entries) {
                let what = format!("it says that it has {count} entries, and has {}", statement.entries);
                self.fault(FaultKind::ControlTotal, statement, &total.place, Decimal::ZERO, what);
            }
        }
    }
}

fn of(total: Totalled) -> &'static str {
    match total {
        Totalled::Net => "its entries",
        Totalled::Gross => "its entries without their signs",
        Totalled::Credits => "its credits",
        Totalled::Debits => "its debits",
    }
}

/// Whether a page follows another one, though that says that it is the last: there are banks that say so of each.
fn is_next_page(one: &Statement, next: &Statement) -> bool {
    let numbered = one.page.zip(next.page).is_some_and(|((one, _), (next, _))| one.checked_add(1) == Some(next));
    let meet = one.closing.as_ref().zip(next.opening.as_ref()).is_some_and(|(ends, begins)| ends.amount == begins.amount);
    numbered && is_one(one, next) || one.ends_within && next.begins_within && meet
}

/// Whether two pages are of one statement, as far as they say of which.
fn is_one(one: &Statement, other: &Statement) -> bool {
    match (&one.id, &other.id) {
        (Some(one), Some(other)) => one == other,
        _ => one.number.is_some() && one.number == other.number,
    }
}

/// The order in which each begins with what the one before ended with; where that is not so, the order of their days.
fn in_order(mut left: Vec<Statement>, mut before: Option<Decimal>) -> Vec<Statement> {
    let day = |statement: &Statement| {
        let stated = statement.closing.as_ref().or(statement.opening.as_ref()).and_then(|balance| balance.date);
        stated.or_else(|| statement.items.iter().map(|item| item.booked.unwrap_or(item.value_date)).max())
    };
    left.sort_by(|one, other| (day(one), one.page, &one.place).cmp(&(day(other), other.page, &other.place)));
    let opens_with =
        |statement: &Statement, amount: Option<Decimal>| amount.is_some() && statement.opening.as_ref().map(|it| it.amount) == amount;
    let mut ordered: Vec<Statement> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        // A page is followed by the next of the same statement.
        let follows = |statement: &Statement, last: &Statement| {
            let next = last.page.filter(|(_, goes_on)| *goes_on).and_then(|(number, _)| number.checked_add(1));
            next.is_some() && next == statement.page.map(|(number, _)| number) && is_one(statement, last)
        };
        let page = ordered.last().and_then(|last| left.iter().position(|statement| follows(statement, last)));
        let closings: Vec<Option<Decimal>> = left.iter().map(|it| it.closing.as_ref().map(|it| it.amount)).collect();
        let next = page.or_else(|| left.iter().position(|statement| opens_with(statement, before)));
        // Where nothing fits, one goes first that none of the others leads to.
        let first = || left.iter().position(|statement| !closings.iter().any(|closing| opens_with(statement, *closing)));
        let next = left.remove(next.or_else(first).unwrap_or(0));
        before = next.closing.as_ref().map(|balance| balance.amount).or(before);
        ordered.push(next);
    }
    ordered
}

/// What tells a statement from others: what it begins and ends with, and its entries, in whatever order.
fn mark(statement: &Statement) -> String {
    let balance = |balance: &Option<super::Balance>| balance.as_ref().map(|it| format!("{} {:?}", it.amount.normalize(), it.date));
    let entry = |item: &Item| {
        let Item { amount, value_date, reference, bank_reference, counterparty, code, quantity, text, status, .. } = item;
        let quantity = quantity.map(|quantity| quantity.normalize());
        let names = [reference, bank_reference, counterparty, code, status];
        format!("{} {value_date} {names:?} {quantity:?} {text:?}", amount.normalize())
    };
    let mut entries: Vec<String> = statement.items.iter().map(entry).collect();
    entries.sort_unstable();
    let mut hasher = Sha256::new();
    hasher.update(format!("{:?} {:?}", balance(&statement.opening), balance(&statement.closing)));
    entries.iter().for_each(|entry| hasher.update(entry));
    hex(&hasher.finalize()[..8])
}
