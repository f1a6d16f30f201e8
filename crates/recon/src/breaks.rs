//! What does not belong together: every open item is in one break, which says what is wrong with it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use crate::books::Fault;
use crate::matching::plain;
use crate::words::{money, sum};
use crate::{Currency, Item, Match, Matcher, Pass, Reconciled, Side, Standing};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakKind {
    /// The ledger has it, and the statement does not.
    MissingInA,
    /// The statement has it, and the ledger does not.
    MissingInB,
    /// The amounts differ.
    AmountDiff,
    /// The quantities do.
    QuantityDiff,
    /// The prices do.
    PriceDiff,
    /// The amounts of an exchange of currencies do.
    FxRateDiff,
    /// The value dates lie too far apart.
    DateDiff,
    /// The currencies differ: nothing is subtracted.
    CurrencyDiff,
    /// The references are only similar.
    ReferenceDiff,
    /// It is there once more than it should be.
    Duplicate,
    /// It could belong to one or to another.
    Ambiguous,
    /// One side has it booked, and the other has not.
    StatusDiff,
    /// The statement itself does not add up.
    StatementError,
    /// It was not settled.
    SettlementFail,
    /// It came of what a company does with its shares.
    CorporateAction,
}

impl BreakKind {
    /// All of them.
    pub const ALL: [BreakKind; 15] = [
        BreakKind::MissingInA,
        BreakKind::MissingInB,
        BreakKind::AmountDiff,
        BreakKind::QuantityDiff,
        BreakKind::PriceDiff,
        BreakKind::FxRateDiff,
        BreakKind::DateDiff,
        BreakKind::CurrencyDiff,
        BreakKind::ReferenceDiff,
        BreakKind::Duplicate,
        BreakKind::Ambiguous,
        BreakKind::StatusDiff,
        BreakKind::StatementError,
        BreakKind::SettlementFail,
        BreakKind::CorporateAction,
    ];

    /// Its name, as it stands in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BreakKind::MissingInA => "MISSING_IN_A",
            BreakKind::MissingInB => "MISSING_IN_B",
            BreakKind::AmountDiff => "AMOUNT_DIFF",
            BreakKind::QuantityDiff => "QUANTITY_DIFF",
            BreakKind::PriceDiff => "PRICE_DIFF",
            BreakKind::FxRateDiff => "FX_RATE_DIFF",
            BreakKind::DateDiff => "DATE_DIFF",
            BreakKind::CurrencyDiff => "CURRENCY_DIFF",
            BreakKind::ReferenceDiff => "REFERENCE_DIFF",
            BreakKind::Duplicate => "DUPLICATE",
            BreakKind::Ambiguous => "AMBIGUOUS",
            BreakKind::StatusDiff => "STATUS_DIFF",
            BreakKind::StatementError => "STATEMENT_ERROR",
            BreakKind::SettlementFail => "SETTLEMENT_FAIL",
            BreakKind::CorporateAction => "CORPORATE_ACTION",
        }
    }
}

impl fmt::Display for BreakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Items that should belong to something across, and do not; or a statement that does not add up.
#[derive(Clone, Debug, PartialEq)]
pub struct Break {
    /// Its name, the same as long as it is there: also tomorrow, in other files.
    pub id: String,
    /// What is wrong.
    pub kind: BreakKind,
    /// The account.
    pub account: Arc<str>,
    /// Its currency; of two, that of side A.
    pub currency: Currency,
    /// The items of side A, by their places in what came in.
    pub a: Vec<u32>,
    /// Those of side B.
    pub b: Vec<u32>,
    /// What is wrong, in words.
    pub why: String,
    /// What does not add up, of a statement.
    pub fault: Option<Fault>,
    /// Open items that it may belong to, the likeliest first.
    pub near: Vec<Near>,
}

/// An item across that something may belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// Its side.
    pub side: Side,
    /// Its place in what came in.
    pub item: u32,
    /// How alike they are, from 0 to 1.
    pub likeness: Decimal,
    /// In what.
    pub same: Vec<&'static str>,
}

/// Items across that are shown beside a break, at the most.
const MAX_NEAR: usize = 3;
/// Items that are looked at for them, on each side of the amount.
const MAX_LOOKED_AT: usize = 16;
/// How alike an item has to be.
const LIKE_ENOUGH: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// What is known besides the items of two books.
#[derive(Clone, Copy, Debug, Default)]
pub struct Besides<'b> {
    /// What does not add up in their files.
    pub faults: &'b [(Side, Fault)],
    /// Items that are there once too often, by what is known of earlier days.
    pub there_before: &'b [Repeated],
}

/// An item that is there once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Its side.
    pub side: Side,
    /// Its place in what came in.
    pub item: u32,
    /// How that is known.
    pub why: String,
}

/// Finds what is wrong with whatever is open. Every open item is in one break.
#[must_use]
pub fn breaks(matcher: &Matcher, found: &Reconciled, a: &[Item], b: &[Item], besides: &Besides<'_>) -> Vec<Break> {
    let unmatched = [open(&found.open_a, a.len()), open(&found.open_b, b.len())];
    let mut work = Work { matcher, sides: [a, b], open: unmatched.clone(), unmatched, found: Vec::new() };
    work.ambiguous(found);
    work.suggested(&found.matches);
    work.there_before(besides.there_before);
    work.duplicates();
    work.pairs();
    work.alone();
    for (side, fault) in besides.faults {
        work.faulty(*side, fault);
    }
    work.done(found)
}

fn open(places: &[u32], count: usize) -> Vec<bool> {
    let mut open = vec![false; count];
    places.iter().for_each(|place| open[*place as usize] = true);
    open
}

struct Work<'w> {
    matcher: &'w Matcher,
    sides: [&'w [Item]; 2],
    /// The items that are in no match.
    unmatched: [Vec<bool>; 2],
    /// Those of them that are in no break yet.
    open: [Vec<bool>; 2],
    found: Vec<Break>,
}

impl<'w> Work<'w> {
    fn item(&self, side: Side, place: u32) -> &'w Item {
        &self.sides[side as usize][place as usize]
    }

    fn all_open(&self, side: Side) -> Vec<u32> {
        (0..).zip(&self.open[side as usize]).filter(|(_, open)| **open).map(|(place, _)| place).collect()
    }

    fn are_open(&self, side: Side, all: &[u32]) -> bool {
        all.iter().all(|place| self.open[side as usize][*place as usize])
    }

    /// A break of these items, unless one of them is in another.
    fn record(&mut self, kind: BreakKind, a: &[u32], b: &[u32], why: String) {
        if !self.are_open(Side::A, a) || !self.are_open(Side::B, b) {
            return;
        }
        let first = |side: Side, all: &[u32]| all.iter().map(|place| self.item(side, *place)).min_by(|one, other| one.cmp_content(other));
        let Some(Item { account, currency, .. }) = first(Side::A, a).or_else(|| first(Side::B, b)) else { return };
        a.iter().for_each(|place| self.open[0][*place as usize] = false);
        b.iter().for_each(|place| self.open[1][*place as usize] = false);
        let (a, b) = (a.to_vec(), b.to_vec());
        self.found.push(Break {
            id: String::new(),
            kind,
            account: account.clone(),
            currency: *currency,
            a,
            b,
            why,
            fault: None,
            near: Vec::new(),
        });
    }

    fn ambiguous(&mut self, found: &Reconciled) {
        for it in &found.ambiguous {
            match self.there_too_often(&it.a, &it.b) {
                Some(why) => self.record(BreakKind::Duplicate, &it.a, &it.b, why),
                None => self.record(BreakKind::Ambiguous, &it.a, &it.b, it.why.clone()),
            }
        }
    }

    /// Items of which each could be the one too many, since all say the same but for what their senders call them.
    fn there_too_often(&self, a: &[u32], b: &[u32]) -> Option<String> {
        let items = |side: Side, all: &[u32]| all.iter().map(|place| self.item(side, *place)).collect::<Vec<_>>();
        let (a, b) = (items(Side::A, a), items(Side::B, b));
        let first = *a.first()?;
        let same = |item: &&Item| (item.amount, item.value_date, &item.reference) == (first.amount, first.value_date, &first.reference);
        // With another counterparty it is another entry.
        let parties: HashSet<&str> = a.iter().chain(&b).filter_map(|item| item.counterparty.as_deref()).collect();
        let (more, less, side) = if a.len() > b.len() { (a.len(), b.len(), Side::A) } else { (b.len(), a.len(), Side::B) };
        let all = first.reference.is_some() && more > less && less > 0 && parties.len() <= 1 && a.iter().chain(&b).all(same);
        let times = |count: usize| if count == 1 { "once".to_owned() } else { format!("{count} times") };
        all.then(|| format!("it is there {} in {side} and {} in {}", times(more), times(less), side.other()))
    }

    /// What may belong together. Suggestions that want the same items are one question, whichever of them is right.
    fn suggested(&mut self, matches: &[Match]) {
        let suggested = matches.iter().filter(|it| it.standing == Standing::Suggested);
        let mut groups: Vec<Vec<&Match>> = Vec::new();
        let mut group_of: HashMap<(Side, u32), usize> = HashMap::new();
        for it in suggested.filter(|it| self.are_open(Side::A, &it.a) && self.are_open(Side::B, &it.b)) {
            let items: Vec<(Side, u32)> = it.a.iter().map(|at| (Side::A, *at)).chain(it.b.iter().map(|at| (Side::B, *at))).collect();
            let mut others: Vec<usize> = items.iter().filter_map(|item| group_of.get(item).copied()).collect();
            others.sort_unstable();
            others.dedup();
            let mut group: Vec<&Match> = others.iter().flat_map(|other| std::mem::take(&mut groups[*other])).collect();
            group.push(it);
            for it in &group {
                let items = it.a.iter().map(|at| (Side::A, *at)).chain(it.b.iter().map(|at| (Side::B, *at)));
                group_of.extend(items.map(|item| (item, groups.len())));
            }
            groups.push(group);
        }
        for mut group in groups {
            let all = |of: fn(&Match) -> &Vec<u32>| {
                let mut all: Vec<u32> = group.iter().flat_map(|it| of(it)).copied().collect();
                all.sort_unstable();
                all.dedup();
                all
            };
            let (a, b) = (all(|it| &it.a), all(|it| &it.b));
            // Two passes may suggest the very same.
            group.sort_by(|one, other| (&one.a, &one.b, one.pass).cmp(&(&other.a, &other.b, other.pass)));
            group.dedup_by(|other, one| (&one.a, &one.b) == (&other.a, &other.b));
            let kind = match group[..] {
                [it] if it.pass == Pass::Reference => BreakKind::ReferenceDiff,
                _ => BreakKind::Ambiguous,
            };
            let mut ways: Vec<&str> = group.iter().map(|it| it.why.as_str()).collect();
            ways.sort_unstable();
            match (ways.first(), ways.len()) {
                (Some(why), 1) => self.record(kind, &a, &b, (*why).to_owned()),
                (Some(why), count) => self.record(kind, &a, &b, format!("{count} ways are possible, one of which is: {why}")),
                (None, _) => {}
            }
        }
    }

    /// An open item that was there before: its sender has sent it once more.
    fn there_before(&mut self, all: &[Repeated]) {
        for Repeated { side, item, why } in all {
            let (a, b): (&[u32], &[u32]) = if *side == Side::A { (&[*item], &[]) } else { (&[], &[*item]) };
            self.record(BreakKind::Duplicate, a, b, why.clone());
        }
    }

    /// An open item of which there is another one on its side, which is matched: it is there once too often. Of several that are
    /// all open, none is.
    fn duplicates(&mut self) {
        for side in [Side::A, Side::B] {
            type Content<'i> = (&'i str, Currency, Decimal, jiff::civil::Date, &'i str);
            // The ledger may have to bring the same more than once.
            fn content(item: &Item) -> Option<Content<'_>> {
                let reference = item.reference.as_deref().filter(|_| !item.is_expected())?;
                Some((&item.account, item.currency, item.amount, item.value_date, reference))
            }
            let open = self.all_open(side);
            let wanted: HashSet<Content<'_>> = open.iter().filter_map(|place| content(self.item(side, *place))).collect();
            let mut matched: HashMap<Content<'_>, u32> = HashMap::new();
            for (place, item) in (0..).zip(self.sides[side as usize]) {
                let is_matched = !self.unmatched[side as usize][place as usize];
                if let Some(content) = content(item).filter(|content| is_matched && wanted.contains(content)) {
                    let first = matched.entry(content).or_insert(place);
                    if item.place < self.item(side, *first).place {
                        *first = place;
                    }
                }
            }
            for place in open {
                let item = self.item(side, place);
                let Some(twin) = content(item).and_then(|content| matched.get(&content)) else { continue };
                let (one, other) = (&item.counterparty, &self.item(side, *twin).counterparty);
                if one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| one != other) {
                    continue;
                }
                let why = format!("it is the same as {}, which is matched", self.item(side, *twin).place);
                let (a, b): (&[u32], &[u32]) = if side == Side::A { (&[place], &[]) } else { (&[], &[place]) };
                self.record(BreakKind::Duplicate, a, b, why);
            }
        }
    }

    /// Items of one account with one reference: something about them differs.
    fn pairs(&mut self) {
        // Those of one currency come first: what differs in nothing but that comes after them.
        self.pairs_by(|item| Some(item.currency));
        self.pairs_by(|_| None);
    }

    fn pairs_by(&mut self, currency: impl Fn(&Item) -> Option<Currency>) {
        let prefixes = &self.matcher.settings.prefixes;
        type Name<'i> = (&'i str, Option<Currency>, String);
        let mut named: BTreeMap<Name<'_>, [Vec<u32>; 2]> = BTreeMap::new();
        for side in [Side::A, Side::B] {
            for place in self.all_open(side) {
                let item = self.item(side, place);
                if let Some(reference) = &item.reference {
                    named.entry((&item.account, currency(item), plain(reference, prefixes))).or_default()[side as usize].push(place);
                }
            }
        }
        for [a, b] in named.into_values() {
            match (&a[..], &b[..]) {
                ([], _) | (_, []) => {}
                // Two documents, that look like one when all marks between their numbers are left out.
                ([one], [other]) if !self.matcher.one_reference([self.item(Side::A, *one), self.item(Side::B, *other)]) => {}
                ([one], [other]) => {
                    let (kind, why) = self.differ(self.item(Side::A, *one), self.item(Side::B, *other));
                    self.record(kind, &a, &b, why);
                }
                _ => {
                    let why = format!("{} items of A and {} of B have one reference, and do not fit each other", a.len(), b.len());
                    self.record(BreakKind::Ambiguous, &a, &b, why);
                }
            }
        }
    }

    /// What differs between two items that are about the same.
    fn differ(&self, one: &Item, other: &Item) -> (BreakKind, String) {
        let settings = &self.matcher.settings;
        let failed = |item: &Item| self.matcher.has_failed(item);
        if failed(one) || failed(other) {
            let status = if failed(one) { &one.status } else { &other.status };
            return (BreakKind::SettlementFail, format!("it was not settled: {}", status.as_deref().unwrap_or_default()));
        }
        if one.currency != other.currency {
            let why = format!(
                "the reference is the same, and {} stand against {}",
                sum(one.amount, one.currency),
                sum(other.amount, other.currency)
            );
            return (BreakKind::CurrencyDiff, why);
        }
        if one.has_code(&settings.corporate_actions) || other.has_code(&settings.corporate_actions) {
            return (
                BreakKind::CorporateAction,
                format!("the reference is the same, and {} stand against {}", money(one.amount), money(other.amount)),
            );
        }
        let both = |of: fn(&Item) -> Option<Decimal>| of(one).zip(of(other)).filter(|(one, other)| one != other);
        if let Some((one, other)) = both(|item| item.quantity) {
            return (BreakKind::QuantityDiff, format!("the reference is the same, and the quantity is {one} in A and {other} in B"));
        }
        if let Some((one, other)) = both(|item| item.price) {
            return (BreakKind::PriceDiff, format!("the reference is the same, and the price is {one} in A and {other} in B"));
        }
        if one.amount != other.amount {
            let difference = one.amount - other.amount;
            let kind = if one.has_code(&settings.fx_codes) || other.has_code(&settings.fx_codes) {
                BreakKind::FxRateDiff
            } else {
                BreakKind::AmountDiff
            };
            let (one, other, by) = (money(one.amount), money(other.amount), money(difference));
            return (kind, format!("the reference is the same, and {one} in A differ from {other} in B by {by}"));
        }
        if one.status != other.status {
            let told = |item: &Item| item.status.as_deref().unwrap_or("booked").to_owned();
            return (
                BreakKind::StatusDiff,
                format!("amount and reference are the same, and it is {} in A and {} in B", told(one), told(other)),
            );
        }
        let days = self.matcher.calendar.between(one.currency, one.value_date, other.value_date);
        if days > settings.days {
            return (
                BreakKind::DateDiff,
                format!(
                    "amount and reference are the same, and the value dates {} and {} lie {days} business days apart",
                    one.value_date, other.value_date
                ),
            );
        }
        let (one, other) = (one.reference.as_deref().unwrap_or_default(), other.reference.as_deref().unwrap_or_default());
        if one == other {
            let why = "amount and reference are the same, and one of them is there once more than it should be";
            return (BreakKind::Ambiguous, why.to_owned());
        }
        (BreakKind::ReferenceDiff, format!("the amount is the same, and the reference is {one} in A and {other} in B"))
    }

    fn alone(&mut self) {
        for side in [Side::A, Side::B] {
            for place in self.all_open(side) {
                let item = self.item(side, place);
                let failed = item.status.as_ref().filter(|_| self.matcher.has_failed(item));
                let acts = item.has_code(&self.matcher.settings.corporate_actions);
                let (kind, why) = match (failed, side) {
                    (Some(status), _) => (BreakKind::SettlementFail, format!("it was not settled: {status}")),
                    (None, side) if acts => {
                        let other = side.other();
                        (BreakKind::CorporateAction, format!("{other} knows nothing of it"))
                    }
                    (None, Side::A) if item.is_expected() => {
                        (BreakKind::MissingInB, format!("the ledger has not booked it yet: {}", item.text))
                    }
                    (None, Side::A) => (BreakKind::MissingInB, "the ledger has nothing like it".to_owned()),
                    (None, Side::B) => (BreakKind::MissingInA, "the statement has nothing like it".to_owned()),
                };
                let (a, b): (&[u32], &[u32]) = if side == Side::A { (&[place], &[]) } else { (&[], &[place]) };
                self.record(kind, a, b, why);
            }
        }
    }

    fn faulty(&mut self, side: Side, fault: &Fault) {
        let (account, currency) = (fault.account.clone(), fault.currency);
        let why = format!("{} of side {side}: {}", fault.kind, fault.what);
        let (kind, id, fault) = (BreakKind::StatementError, side.to_string(), Some(fault.clone()));
        self.found.push(Break { id, kind, account, currency, a: Vec::new(), b: Vec::new(), why, fault, near: Vec::new() });
    }

    // -- names, and what is near

    fn done(mut self, found: &Reconciled) -> Vec<Break> {
        let index = Index::new(self.matcher, self.sides, found);
        let mut breaks = std::mem::take(&mut self.found);
        let mut keyed: Vec<(String, Break)> = breaks.drain(..).map(|it| (self.tracking(&it), it)).collect();
        keyed.sort_by(|(one, this), (other, that)| {
            let key = |it: &Break| (it.account.clone(), it.currency, it.kind);
            let place = |it: &Break| it.fault.as_ref().map(|fault| fault.place.clone());
            let known = key(this).cmp(&key(that)).then_with(|| one.cmp(other)).then_with(|| place(this).cmp(&place(that)));
            known.then_with(|| self.in_order(this, that))
        });
        let mut met: HashMap<String, u32> = HashMap::new();
        for (tracking, mut it) in keyed {
            let id = identity(&it, &tracking);
            // Copies of one item are told apart by their number.
            let number = met.entry(id.clone()).or_insert(0);
            *number += 1;
            it.id = if *number == 1 { id } else { format!("{id}-{number}") };
            it.near = match (&it.a[..], &it.b[..]) {
                ([one], []) => index.near(Side::A, self.item(Side::A, *one)),
                ([], [one]) => index.near(Side::B, self.item(Side::B, *one)),
                _ => Vec::new(),
            };
            if !it.near.is_empty() && matches!(it.kind, BreakKind::MissingInA | BreakKind::MissingInB) {
                let side = if it.kind == BreakKind::MissingInA { "the statement" } else { "the ledger" };
                let alike = if it.near.len() == 1 {
                    "one entry that is alike".to_owned()
                } else {
                    format!("{} entries that are alike", it.near.len())
                };
                it.why = format!("{side} has nothing that surely belongs to it, and {alike}");
            }
            breaks.push(it);
        }
        breaks
    }

    /// The order of two breaks that have all else in common: that of what is in them, and only of copies that of their places.
    fn in_order(&self, this: &Break, that: &Break) -> Ordering {
        let items = |it: &Break| {
            let (a, b) = (it.a.iter().map(|at| self.item(Side::A, *at)), it.b.iter().map(|at| self.item(Side::B, *at)));
            let mut items: Vec<&Item> = a.chain(b).collect();
            items.sort_by(|one, other| one.cmp_content(other).then_with(|| one.place.cmp(&other.place)));
            items
        };
        let (these, those) = (items(this), items(that));
        let contents = these.iter().zip(&those).map(|(one, other)| one.cmp_content(other)).find(|order| order.is_ne());
        let places = || these.iter().zip(&those).map(|(one, other)| one.place.cmp(&other.place)).find(|order| order.is_ne());
        contents.or_else(|| Some(these.len().cmp(&those.len())).filter(|order| order.is_ne())).or_else(places).unwrap_or(Ordering::Equal)
    }

    /// By what a break is known tomorrow: its reference, or what else its items say that stays.
    fn tracking(&self, it: &Break) -> String {
        if let Some(fault) = &it.fault {
            return format!("{} {:?} {} {}", it.id, fault.kind, fault.by.normalize(), fault.place.file);
        }
        let items =
            it.a.iter().map(|at| (Side::A, self.item(Side::A, *at))).chain(it.b.iter().map(|at| (Side::B, self.item(Side::B, *at))));
        let mut told: Vec<String> = items
            .map(|(side, item)| match &item.reference {
                // Of several that are expected under one reference each is its own.
                _ if item.is_expected() => item.place.to_string(),
                Some(reference) => plain(reference, &self.matcher.settings.prefixes),
                None => format!("{side} {} {} {:?} {}", item.amount.normalize(), item.value_date, item.bank_reference, item.text),
            })
            .collect();
        told.sort_unstable();
        told.dedup();
        told.join("|")
    }
}

fn identity(it: &Break, tracking: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [&*it.account, it.currency.as_str(), it.kind.name(), tracking] {
        hasher.update(part);
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    let digits: String = digest.iter().take(6).map(|byte| format!("{byte:02X}")).collect();
    format!("BRK-{digits}")
}

/// An item, and what its reference has in common with others that mean the same.
pub(crate) struct Told<'i> {
    item: &'i Item,
    reference: Option<String>,
}

impl<'i> Told<'i> {
    pub(crate) fn new(matcher: &Matcher, item: &'i Item) -> Told<'i> {
        Told { item, reference: item.reference.as_ref().map(|reference| plain(reference, &matcher.settings.prefixes)) }
    }
}

/// The open items of an account, by their amounts.
type ByAmount<'i> = HashMap<(&'i str, Currency), Vec<(Told<'i>, u32)>>;

/// The open items of both sides, by account and amount.
struct Index<'i> {
    matcher: &'i Matcher,
    by_amount: [ByAmount<'i>; 2],
}

impl<'i> Index<'i> {
    fn new(matcher: &'i Matcher, sides: [&'i [Item]; 2], found: &Reconciled) -> Index<'i> {
        let of = |items: &'i [Item], open: &[u32]| {
            let mut by: ByAmount<'i> = HashMap::new();
            for place in open {
                let item = &items[*place as usize];
                by.entry((&item.account, item.currency)).or_default().push((Told::new(matcher, item), *place));
            }
            for all in by.values_mut() {
                all.sort_by(|(Told { item: one, .. }, _), (Told { item: other, .. }, _)| {
                    let contents = one.amount.cmp(&other.amount).then_with(|| one.cmp_content(other));
                    contents.then_with(|| one.place.cmp(&other.place))
                });
            }
            by
        };
        Index { matcher, by_amount: [of(sides[0], &found.open_a), of(sides[1], &found.open_b)] }
    }

    /// What lies across, and is most like an item.
    fn near(&self, side: Side, item: &Item) -> Vec<Near> {
        let side = side.other();
        let Some(all) = self.by_amount[side as usize].get(&(&*item.account, item.currency)) else { return Vec::new() };
        let at = all.partition_point(|(other, _)| other.item.amount < item.amount);
        let around = &all[at.saturating_sub(MAX_LOOKED_AT)..(at + MAX_LOOKED_AT).min(all.len())];
        let this = Told::new(self.matcher, item);
        let mut near: Vec<Near> = around
            .iter()
            .map(|(other, place)| (likeness(self.matcher, &this, other), *place))
            .filter(|((likeness, _), _)| *likeness >= LIKE_ENOUGH)
            .map(|((likeness, same), item)| Near { side, item, likeness, same })
            .collect();
        near.sort_by_key(|near| std::cmp::Reverse(near.likeness));
        near.truncate(MAX_NEAR);
        near
    }
}

/// How alike two items are, and in what: amounts count most, then references, days and who it is with. What one of them does not
/// say counts for nothing.
pub(crate) fn likeness(matcher: &Matcher, this: &Told<'_>, that: &Told<'_>) -> (Decimal, Vec<&'static str>) {
    let (one, other) = (this.item, that.item);
    let tenths = |tenths: i64| Decimal::new(tenths, 1);
    let larger = one.amount.abs().max(other.amount.abs());
    let apart = (one.amount - other.amount).abs().checked_div(larger).unwrap_or_default();
    let amount = match () {
        () if apart.is_zero() => Decimal::ONE,
        () if apart < Decimal::new(1, 2) => tenths(9),
        () if apart < Decimal::new(5, 2) => tenths(7),
        () if apart < Decimal::new(1, 1) => tenths(4),
        () => Decimal::ZERO,
    };
    let days = matcher.calendar.between(one.currency, one.value_date, other.value_date);
    let dates = match days {
        0 => Decimal::ONE,
        1..=2 => tenths(8),
        3..=5 => tenths(4),
        _ => Decimal::ZERO,
    };
    let mut parts = vec![("amount", 4, amount), ("value date", 2, dates)];
    if let (Some(one), Some(other)) = (&this.reference, &that.reference) {
        let alike = strsim::normalized_levenshtein(one, other);
        let alike = Decimal::try_from(alike).unwrap_or_default().round_dp(2);
        parts.push(("reference", 3, alike));
    }
    if let (Some(one), Some(other)) = (&one.counterparty, &other.counterparty) {
        parts.push(("counterparty", 1, if one == other { Decimal::ONE } else { Decimal::ZERO }));
    }
    let weights: i64 = parts.iter().map(|(_, weight, _)| *weight).sum();
    let sum: Decimal = parts.iter().map(|(_, weight, part)| Decimal::from(*weight) * part).sum();
    let same = parts.iter().filter(|(_, _, part)| *part == Decimal::ONE).map(|(name, _, _)| *name).collect();
    ((sum / Decimal::from(weights)).round_dp(2), same)
}
