//! What is to be booked for a day, by what it is known, and what sign-offs have booked of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::reconcile::Adjustment;
use crate::record::{BreakRecord, EXPECTED, Leg, legs};
use crate::{Currency, Item, Place, exact, words};

/// Something that is to be booked, and who decided so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Booking {
    /// By what it is known: it is booked once.
    pub(crate) id: String,
    /// The day whose case it comes of: where its books are corrected, it may have no reason any more.
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

/// What sign-offs have booked, by its names, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Posts(BTreeMap<String, Vec<Entry>>);

impl Posts {
    /// Reads what they returned, the newest first. One that cannot be read may have booked anything.
    pub(crate) fn read(outputs: Vec<Value>) -> Result<Posts, String> {
        let mut all = Posts::default();
        for output in outputs.into_iter().rev() {
            let posted: Posted =
                serde_json::from_value(output).map_err(|wrong| format!("what a sign-off has booked cannot be read: {wrong}"))?;
            posted.booked.into_iter().for_each(|entry| all.0.entry(entry.id.clone()).or_default().push(entry));
        }
        Ok(all)
    }

    /// What was booked under a name.
    pub(crate) fn of(&self, id: &str) -> &[Entry] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }

    /// What was booked for the books of a day.
    pub(crate) fn of_day(&self, day: Date) -> impl Iterator<Item = &Entry> {
        self.0.values().flatten().filter(move |entry| entry.of == day)
    }

    /// What was booked under a name, together.
    pub(crate) fn sum(&self, id: &str) -> Decimal {
        self.of(id).iter().map(|entry| entry.amount).sum()
    }
}

/// Where entries stand, without their lines: the same file may have another line before them tomorrow.
fn files_of(at: &str) -> String {
    let files: BTreeSet<&str> = at.split(", ").map(|place| place.rsplit_once(':').map_or(place, |(file, _)| file)).collect();
    files.into_iter().collect::<Vec<_>>().join(" ")
}

/// What is due, by its names: entries that are known by one name are one.
fn by_name(due: Vec<Booking>) -> BTreeMap<String, Booking> {
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
    all
}

/// What is still to be booked: what was booked under a name is booked, and what was booked under one that has `lost` its reason is taken back.
pub(crate) fn remaining(day: Date, due: Vec<Booking>, lost: &BTreeSet<String>, posts: &Posts) -> Vec<Booking> {
    let due = by_name(due);
    let back = lost.iter().filter(|id| !due.contains_key(*id)).filter_map(|id| posts.of(id).first()).map(|entry| {
        let Entry { id, of, reference, account, currency, .. } = entry.clone();
        let why = format!("what was booked with an earlier signature has no reason any more, as of {day}");
        let (at, by) = (format!("signed before, of {of}"), TAKEN_BACK.to_owned());
        Booking { id, of, reference, account, currency, amount: Decimal::ZERO, before: Decimal::ZERO, legs: Vec::new(), why, at, by }
    });
    let back: Vec<Booking> = back.collect();
    let rest = |mut it: Booking| {
        it.before = posts.sum(&it.id);
        it.amount -= it.before;
        it.legs = legs(&it.account, it.amount);
        (!it.amount.is_zero()).then_some(it)
    };
    due.into_values().chain(back).filter_map(rest).collect()
}

// -- what the ledger is to bring

/// What the ledger is to bring under a name, as it is known when a day begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expected {
    /// By what it is known.
    pub(crate) id: String,
    pub(crate) of: Date,
    reference: String,
    account: Arc<str>,
    currency: Currency,
    why: String,
    at: String,
    /// On which day there was something new to it.
    since: Date,
    /// What is due by it: nothing where it has lost its reason.
    #[serde(with = "exact")]
    pub(crate) due: Decimal,
    /// Whether its break is there, or is to come: nothing is expected as yet, but what the ledger has brought of it already stands.
    open: bool,
    /// What stands for it on the statement's side.
    pub(crate) stands: Vec<Stands>,
}

/// An amount that stands for a booking on the statement's side, and by which place its item is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stands {
    #[serde(with = "exact")]
    pub(crate) amount: Decimal,
    pub(crate) at: String,
}

/// What became of a break on the day before.
pub(crate) enum Became {
    /// It is to be booked.
    Booked(Booking),
    /// It is there still.
    Open,
    /// It was closed, or matched.
    Settled,
}

/// For so many days it is known what was due, since there was something new to it: what was booked for that has its reason.
const MAX_DAYS_EXPECTED: i32 = 60;

/// Goes on from the day before: what is known of each booking by now, and the items by which the statement's side comes to it. What a sign-off
/// has booked is one of them, and so is what none has booked yet; together that is what is due.
pub(crate) fn go_on(
    known: Vec<Expected>,
    day: Date,
    within_tolerance: Vec<Booking>,
    breaks: Vec<(String, Became)>,
    posts: &Posts,
) -> (Vec<Expected>, Vec<Item>) {
    let mut all: BTreeMap<String, Expected> = known.into_iter().map(|it| (it.id.clone(), it)).collect();
    let there: HashSet<String> = breaks.iter().map(|(id, _)| id.clone()).collect();
    // What was open, and is not there any more, has cleared without being booked.
    all.values_mut().filter(|it| it.of <= day && !there.contains(&it.id)).for_each(|it| it.open = false);
    let (mut due, mut open, mut settled) = (within_tolerance, Vec::new(), Vec::new());
    for (id, became) in breaks {
        match became {
            Became::Booked(booking) => due.push(booking),
            Became::Open => open.push(id),
            Became::Settled => settled.push(id),
        }
    }
    for it in by_name(due).into_values() {
        let Booking { id, of, reference, account, currency, amount, why, at, .. } = it;
        let (since, stands) = all.remove(&id).map_or((day, Vec::new()), |known| (known.since, known.stands));
        all.insert(id.clone(), Expected { id, of, reference, account, currency, why, at, since, due: amount, open: false, stands });
    }
    // What was booked for a break that is not, or of the day and for nothing that is known of it by now.
    for (id, is_open) in open.into_iter().map(|id| (id, true)).chain(settled.into_iter().map(|id| (id, false))) {
        if let Some(known) = all.get_mut(&id) {
            (known.due, known.open) = (Decimal::ZERO, is_open);
        } else if let Some(entry) = posts.of(&id).first() {
            all.insert(id, Expected { open: is_open, ..Expected::undue(entry, day) });
        }
    }
    for entry in posts.of_day(day) {
        all.entry(entry.id.clone()).or_insert_with(|| Expected::undue(entry, day));
    }
    let mut items = Vec::new();
    for it in all.values_mut() {
        let mut amounts: Vec<Decimal> = posts.of(&it.id).iter().map(|entry| entry.amount).collect();
        let rest = it.due - posts.sum(&it.id);
        if it.open && (it.of > day || !rest.is_zero()) {
            continue;
        }
        amounts.extend((!rest.is_zero()).then_some(rest));
        let mut stood = std::mem::take(&mut it.stands);
        for amount in amounts {
            match stood.iter().position(|other| other.amount == amount) {
                Some(at) => it.stands.push(stood.remove(at)),
                None => items.push(it.stand(amount, day)),
            }
        }
        // What stands for nothing any more has something against it.
        let kept = it.stands.len();
        items.extend(stood.into_iter().map(|gone| it.stand(-gone.amount, day)));
        it.stands.truncate(kept);
    }
    let is_old = |it: &Expected| !it.open && it.since.until(day).is_ok_and(|since| since.get_days() > MAX_DAYS_EXPECTED);
    (all.into_values().filter(|it| !is_old(it)).collect(), items)
}

/// What was booked and stands in the ledger of a day already, although its break is there or is to come: a ledger came again after it was
/// signed, or a break was asked anew. The statement's side comes to it, and it is not expected once more.
pub(crate) fn ahead<'i>(
    expects: &mut Vec<Expected>,
    day: Date,
    expected: &[Item],
    ledger: impl Iterator<Item = &'i Item>,
    posts: &Posts,
) -> Vec<Item> {
    type Named<'i> = (&'i str, &'i str, Currency, Decimal);
    fn named(item: &Item) -> Option<Named<'_>> {
        Some((item.reference.as_deref().filter(|_| item.status.is_none())?, &item.account, item.currency, item.amount))
    }
    fn booked(entry: &Entry) -> Named<'_> {
        (&entry.reference, &entry.account, entry.currency, entry.amount)
    }
    let mut known: HashMap<String, usize> = expects.iter().enumerate().map(|(at, it)| (it.id.clone(), at)).collect();
    let mut wanted: Vec<&Entry> = Vec::new();
    for (id, entries) in &posts.0 {
        let it = known.get(id).map(|at| &expects[*at]);
        if it.is_some_and(|it| it.open) || entries.iter().any(|entry| entry.of >= day) {
            let mut stands: Vec<Decimal> = it.iter().flat_map(|it| &it.stands).map(|it| it.amount).collect();
            wanted.extend(entries.iter().filter(|entry| {
                let found = stands.iter().position(|amount| *amount == entry.amount);
                found.map(|at| stands.swap_remove(at)).is_none()
            }));
        }
    }
    let mut there: HashMap<Named<'_>, usize> = wanted.iter().map(|entry| (booked(entry), 0)).collect();
    if there.is_empty() {
        return Vec::new();
    }
    for name in ledger.filter_map(named) {
        there.entry(name).and_modify(|count| *count += 1);
    }
    // What was expected before comes first.
    for name in expected.iter().filter(|item| item.is_expected()).filter_map(named) {
        there.entry(name).and_modify(|count| *count = count.saturating_sub(1));
    }
    let mut items = Vec::new();
    for entry in wanted {
        let Some(count) = there.get_mut(&booked(entry)).filter(|count| **count > 0) else { continue };
        *count -= 1;
        let at = *known.entry(entry.id.clone()).or_insert_with(|| {
            expects.push(Expected::undue(entry, day));
            expects.len() - 1
        });
        let it = &mut expects[at];
        it.open = true;
        let item = it.stand(entry.amount, day);
        items.push(Item { text: "it was booked before, and stands in the ledger".into(), ..item });
    }
    items
}

impl Expected {
    /// What was booked, and has no reason that is known by now.
    fn undue(entry: &Entry, day: Date) -> Expected {
        let Entry { id, of, reference, account, currency, .. } = entry.clone();
        let why = "what was booked has no reason any more".to_owned();
        let at = format!("signed before, of {of}");
        Expected { id, of, reference, account, currency, why, at, since: day, due: Decimal::ZERO, open: false, stands: Vec::new() }
    }

    /// What stands for it already while its break is there, by account and currency.
    pub(crate) fn booked(&self) -> Option<(&Arc<str>, Currency, Decimal)> {
        self.open.then(|| (&self.account, self.currency, self.stands.iter().map(|it| it.amount).sum()))
    }

    /// What stands for what no sign-off has booked yet.
    pub(crate) fn not_booked(&self, posts: &Posts) -> impl Iterator<Item = &Stands> {
        let mut booked: Vec<Decimal> = posts.of(&self.id).iter().map(|entry| entry.amount).collect();
        self.stands.iter().filter(move |it| {
            let found = booked.iter().position(|amount| *amount == it.amount);
            found.map(|at| booked.swap_remove(at)).is_none()
        })
    }

    /// Another item that stands for it from a day on.
    fn stand(&mut self, amount: Decimal, day: Date) -> Item {
        let item = self.item(amount, day);
        self.stands.push(Stands { amount, at: item.place.to_string() });
        self.since = day;
        item
    }

    /// An item by which the statement's side comes to it. Its place is known by the booking, whatever else there is, and wherever lines stand.
    fn item(&self, amount: Decimal, day: Date) -> Item {
        let nth = self.stands.iter().filter(|it| it.amount == amount).count();
        let digest = Sha256::digest(format!("{} {} {nth}", self.id, amount.normalize()));
        let code: String = digest.iter().take(3).map(|byte| format!("{byte:02X}")).collect();
        Item {
            place: Place { file: format!("{EXPECTED}{}/{code} of {day}", self.reference).into(), line: 0 },
            account: self.account.clone(),
            currency: self.currency,
            amount,
            value_date: day,
            booked: None,
            reference: Some(self.reference.as_str().into()),
            bank_reference: None,
            batch: None,
            counterparty: None,
            code: None,
            quantity: None,
            price: None,
            status: None,
            reversal: false,
            text: format!("{} ({})", self.why, self.at).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i8) -> Date {
        Date::constant(2026, 3, number)
    }

    fn posts(amounts: &[i64]) -> Posts {
        let entry = |amount: &i64| Entry {
            id: "X".to_owned(),
            of: day(1),
            reference: "ADJ-X".to_owned(),
            account: "1".into(),
            currency: "EUR".parse().unwrap(),
            amount: Decimal::from(*amount),
        };
        Posts(
            [("X".to_owned(), amounts.iter().map(entry).collect())].into_iter().filter(|(_, all): &(_, Vec<_>)| !all.is_empty()).collect(),
        )
    }

    fn booked(amount: i64) -> Became {
        let Entry { id, of, reference, account, currency, amount } = posts(&[amount]).of("X")[0].clone();
        let (why, at, by) = ("it is missing".to_owned(), "bank:3".to_owned(), "ann".to_owned());
        Became::Booked(Booking { id, of, reference, account, currency, amount, before: Decimal::ZERO, legs: Vec::new(), why, at, by })
    }

    /// Whatever becomes of a break from day to day, and whatever was signed meanwhile for these or for other books: what stands on the
    /// statement's side is what is due, once the break is not open any more, and each entry that was booked has its own.
    #[test]
    fn what_stands_for_a_booking_is_what_is_due_by_it() {
        let mut seeds = 0..4_000_u64;
        for mut seed in seeds.by_ref() {
            let mut next = |below: u64| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) % below
            };
            let (mut known, mut stands, mut signed): (Vec<Expected>, Vec<Decimal>, Vec<i64>) = Default::default();
            let ends = next(5);
            let mut due = 0;
            for at in 0..8_u64 {
                // It is open for some days, and then booked, or closed, or gone.
                let became = match (at.cmp(&ends), next(3)) {
                    (std::cmp::Ordering::Less, _) => Some(Became::Open),
                    (std::cmp::Ordering::Equal, 0) => {
                        due = 10;
                        Some(booked(10))
                    }
                    (std::cmp::Ordering::Equal, 1) => Some(Became::Settled),
                    _ => None,
                };
                let is_open = matches!(became, Some(Became::Open));
                // As long as it is there, days may be reconciled anew, and what others were signed for is signed anew.
                if (is_open || due != 0) && at <= ends && next(3) == 0 {
                    signed.push([10, -10, 4, 6][usize::try_from(next(4)).unwrap()]);
                } else if at > ends && next(3) == 0 {
                    signed.extend(Some(due - signed.iter().sum::<i64>()).filter(|rest| *rest != 0));
                }
                // As long as it is there, the ledger may bring what was booked for it by then.
                let today = day(i8::try_from(at).unwrap() + 1);
                if (is_open || at == 0) && next(2) == 0 {
                    let posts = posts(&signed);
                    let brought: Vec<Item> =
                        posts.of("X").iter().map(|entry| Expected::undue(entry, today).item(entry.amount, today)).collect();
                    stands.extend(ahead(&mut known, today, &[], brought.iter(), &posts).iter().map(|item| item.amount));
                }
                let breaks = became.into_iter().map(|became| ("X".to_owned(), became)).collect();
                let (now, items) = go_on(known, today, Vec::new(), breaks, &posts(&signed));
                known = now;
                stands.extend(items.iter().map(|item| item.amount));
                if is_open {
                    let booked: Decimal = known.iter().filter_map(Expected::booked).map(|(.., amount)| amount).sum();
                    assert_eq!(stands.iter().sum::<Decimal>(), booked, "{signed:?} {stands:?}");
                } else {
                    assert_eq!(stands.iter().sum::<Decimal>(), Decimal::from(due), "{signed:?} {stands:?}");
                    let mut left = stands.clone();
                    let own = signed.iter().all(|amount| {
                        let found = left.iter().position(|other| *other == Decimal::from(*amount));
                        found.map(|at| left.swap_remove(at)).is_some()
                    });
                    assert!(own || signed.is_empty(), "{signed:?} {stands:?}");
                }
            }
        }
        assert_eq!(seeds.next(), None);
    }
}
