//! What belongs together: seven passes, from what is certain to what is only likely.

mod assign;
mod groups;
mod pairs;
mod reference;

pub(crate) use reference::{numbers_agree, plain};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::books::MAX_FRACTION_DIGITS;
use crate::{Calendar, Currency, Item, Side};

/// A way of finding what belongs together, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Account, currency, amount, reference and value date are the same.
    Exact,
    /// The same, a few business days apart; what the ledger was to bring also later.
    Dated,
    /// The amount is the same and the references are nearly so.
    Reference,
    /// The reference is the same and the amounts are nearly so.
    Tolerance,
    /// One item is the sum of several across.
    Group,
    /// With one counterparty and for one day, both sides come to the same sum.
    Netting,
    /// An item is taken back by another one on the same side.
    Reversal,
}

impl Pass {
    /// All of them, in order.
    pub const ALL: [Pass; 7] = [Pass::Exact, Pass::Dated, Pass::Reference, Pass::Tolerance, Pass::Group, Pass::Netting, Pass::Reversal];
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pass::Exact => "exact",
            Pass::Dated => "exact, days apart",
            Pass::Reference => "similar reference",
            Pass::Tolerance => "within tolerance",
            Pass::Group => "one to many",
            Pass::Netting => "netting",
            Pass::Reversal => "reversal",
        })
    }
}

/// Whether a match is one, or is only proposed to people: its items are open then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its items belong together.
    Matched,
    /// They may.
    Suggested,
}

/// Items that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// How that was found.
    pub pass: Pass,
    /// Whether it is more than a suggestion.
    pub standing: Standing,
    /// Those of side A, by their places in what came in.
    pub a: Vec<u32>,
    /// Those of side B.
    pub b: Vec<u32>,
    /// What A has more than B: a difference within tolerance, which somebody has to book.
    pub difference: Decimal,
    /// What the match rests on, for people.
    pub why: String,
}

/// Items of which some belong together, but which is not known: each could as well go with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// The pass that met them.
    pub pass: Pass,
    /// Those of side A.
    pub a: Vec<u32>,
    /// Those of side B.
    pub b: Vec<u32>,
    /// Why it is not known.
    pub why: String,
}

/// What became of two sides.
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    /// What belongs together, in the order in which it was found.
    pub matches: Vec<Match>,
    /// What does, but not how.
    pub ambiguous: Vec<Ambiguous>,
    /// The items of side A that are in no match: what is ambiguous, and what is only suggested, is open as well.
    pub open_a: Vec<u32>,
    /// Those of side B.
    pub open_b: Vec<u32>,
}

impl Reconciled {
    /// How many matches each pass made, suggestions apart.
    #[must_use]
    pub fn by_pass(&self) -> BTreeMap<Pass, usize> {
        let mut found = BTreeMap::new();
        for matched in self.matches.iter().filter(|matched| matched.standing == Standing::Matched) {
            *found.entry(matched.pass).or_default() += 1;
        }
        found
    }

    /// Adds what was found among some of the items, whose places are `places`.
    fn add(&mut self, found: Reconciled, places: &[Vec<u32>; 2]) {
        let came_in = |side: Side, all: &mut Vec<u32>| all.iter_mut().for_each(|at| *at = places[side as usize][*at as usize]);
        let both = |a: &mut Vec<u32>, b: &mut Vec<u32>| {
            came_in(Side::A, a);
            came_in(Side::B, b);
        };
        let Reconciled { mut matches, mut ambiguous, mut open_a, mut open_b } = found;
        matches.iter_mut().for_each(|matched| both(&mut matched.a, &mut matched.b));
        ambiguous.iter_mut().for_each(|ambiguous| both(&mut ambiguous.a, &mut ambiguous.b));
        both(&mut open_a, &mut open_b);
        self.matches.append(&mut matches);
        self.ambiguous.append(&mut ambiguous);
        self.open_a.append(&mut open_a);
        self.open_b.append(&mut open_b);
    }
}

/// What is let pass.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many business days apart two value dates may be.
    pub days: u32,
    /// How similar two references are that may mean the same, from 0 to 1.
    pub similarity: f64,
    /// Whether similar references make a match; else a suggestion. Where their numbers differ it is a suggestion in any case.
    pub similar_is_enough: bool,
    /// What stands before a reference and means nothing.
    pub prefixes: Vec<String>,
    /// How far two amounts may be apart whatever they are.
    #[serde(with = "crate::exact")]
    pub tolerance: Decimal,
    /// How far they may be apart for each unit of the amount.
    #[serde(with = "crate::exact")]
    pub tolerance_share: Decimal,
    /// The same for foreign exchange.
    #[serde(with = "crate::exact")]
    pub tolerance_share_fx: Decimal,
    /// What the first of these may be worth at the most, in the base currency: a hundredth of everything is not worth the same.
    #[serde(with = "crate::exact")]
    pub tolerance_worth: Decimal,
    /// What a share may be worth: more than this is looked at, however large the amount is.
    #[serde(with = "crate::exact")]
    pub tolerance_share_worth: Decimal,
    /// The codes of transactions that are foreign exchange.
    pub fx_codes: Vec<String>,
    /// How many days an item may be from one of several that it is the sum of.
    pub group_days: u32,
    /// How many items one may be the sum of.
    pub group_most: usize,
    /// How many business days after an item it may still be taken back.
    pub reversal_days: u32,
    /// What stands in the status of what was not settled.
    pub failed: Vec<String>,
    /// The codes of what came of what a company does with its shares.
    pub corporate_actions: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Settings {
            days: 2,
            similarity: 0.92,
            similar_is_enough: false,
            prefixes: words(&["REF", "INV", "INVOICE", "PMT", "PAYMENT", "E2E", "TRF", "NO", "NR"]),
            tolerance: Decimal::new(1, 2),
            tolerance_share: Decimal::new(5, 5),
            tolerance_share_fx: Decimal::new(2, 4),
            tolerance_worth: Decimal::ONE,
            tolerance_share_worth: Decimal::ONE_HUNDRED,
            fx_codes: words(&["FX", "FEX", "FORX", "SPOT", "FXD"]),
            group_days: 3,
            group_most: 8,
            reversal_days: 10,
            failed: words(&["FAIL", "FAILED", "RJCT", "REJT", "UNSETTLED"]),
            corporate_actions: words(&["CORP", "CACT", "DVCA", "DVOP", "SPLF", "RHTS", "MRGR"]),
        }
    }
}

impl Settings {
    /// Makes prefixes comparable as references are: in large letters, without marks. And looks whether the limits are ones.
    ///
    /// # Errors
    /// Which of them is none.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.similarity) {
            return Err(format!("`matching.similarity` is {}, and is a share from 0 to 1", self.similarity));
        }
        for (name, limit, most) in [
            ("tolerance", self.tolerance, Decimal::MAX),
            ("tolerance_share", self.tolerance_share, MAX_TOLERANCE_SHARE),
            ("tolerance_share_fx", self.tolerance_share_fx, MAX_TOLERANCE_SHARE),
            ("tolerance_worth", self.tolerance_worth, Decimal::MAX),
            ("tolerance_share_worth", self.tolerance_share_worth, Decimal::MAX),
        ] {
            if limit < Decimal::ZERO || limit > most {
                let upto = if most == Decimal::MAX { String::new() } else { format!(", and up to {most}: 0.00005 is half a basis point") };
                return Err(format!("`matching.{name}` is {limit}, and is no less than zero{upto}"));
            }
        }
        let comparable = |prefix: &String| prefix.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_uppercase).collect();
        self.prefixes = self.prefixes.iter().map(comparable).collect();
        Ok(())
    }
}

/// Largest share of an amount that may be let pass: a tenth.
const MAX_TOLERANCE_SHARE: Decimal = Decimal::from_parts(1, 0, 0, false, 1);

/// Finds out what belongs together.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// What is let pass.
    pub settings: Settings,
    /// Which days are business days.
    pub calendar: Calendar,
    /// What currencies are worth on the day. Without any of them nobody knows what is let pass, and only settings bound it; of a
    /// currency that is not among them nothing is.
    pub rates: Option<HashMap<Currency, Decimal>>,
}

impl Matcher {
    /// How far apart two amounts of a currency may be: whatever they are, and at the most.
    fn let_pass(&self, currency: Currency) -> LetPass {
        let Settings { tolerance, tolerance_worth, tolerance_share_worth, .. } = self.settings;
        let Some(rates) = &self.rates else { return LetPass { flat: tolerance, most: Decimal::MAX } };
        let exact = u32::try_from(MAX_FRACTION_DIGITS).unwrap_or_default();
        let units = |worth: Decimal| Some(worth.checked_div(*rates.get(&currency)?)?.trunc_with_scale(exact));
        let [flat, most] = [tolerance_worth, tolerance_share_worth].map(|worth| units(worth).unwrap_or_default());
        LetPass { flat: flat.min(tolerance), most }
    }

    /// Whether an item was not settled.
    pub(crate) fn has_failed(&self, item: &Item) -> bool {
        item.status.as_ref().is_some_and(|status| self.settings.failed.iter().any(|known| known.eq_ignore_ascii_case(status)))
    }

    /// Whether all of some items have the same reference, leaving aside what means nothing in one. None at all is the same as none.
    pub(crate) fn one_reference<'i>(&self, items: impl IntoIterator<Item = &'i Item>) -> bool {
        let told = |item: &'i Item| item.reference.as_ref().map(|reference| (plain(reference, &self.settings.prefixes), reference));
        let mut all = items.into_iter().map(told);
        let Some(first) = all.next() else { return true };
        all.all(|other| match (&first, &other) {
            (Some((one, whole)), Some((other, other_whole))) => one == other && numbers_agree(whole, other_whole, &self.settings.prefixes),
            (one, other) => one.is_none() && other.is_none(),
        })
    }

    /// Holds two books against each other. `a` and `b` may hold any items in any order; what is said of them later names them
    /// by their places in these.
    ///
    /// # Panics
    /// Where a side has more than [`u32::MAX`] items.
    #[must_use]
    pub fn reconcile(&self, a: &[Item], b: &[Item]) -> Reconciled {
        self.reconcile_but(a, b, &HashSet::new())
    }

    /// The same, where some items are known to be there once too often: they belong to what is the very same, or to what takes them back,
    /// and are no part of anything else.
    ///
    /// # Panics
    /// Where a side has more than [`u32::MAX`] items.
    #[must_use]
    pub fn reconcile_but(&self, a: &[Item], b: &[Item], again: &HashSet<(Side, u32)>) -> Reconciled {
        let mut all = Reconciled::default();
        for sides in apart([a, b]) {
            // What was not settled belongs to nothing, also where both sides know that.
            if [(a, &sides[0]), (b, &sides[1])]
                .iter()
                .any(|(items, places)| places.first().is_some_and(|at| self.has_failed(&items[*at as usize])))
            {
                all.open_a.extend(&sides[0]);
                all.open_b.extend(&sides[1]);
                continue;
            }
            let items =
                [(a, &sides[0]), (b, &sides[1])].map(|(items, places)| places.iter().map(|place| &items[*place as usize]).collect());
            let mut work = Work::new(self, items);
            work.booked();
            work.pairs(Pass::Exact);
            let again = work.hold(|side, book, ix| again.contains(&(side, sides[side as usize][book.places[ix.0 as usize] as usize])));
            work.pairs(Pass::Dated);
            let copies = work.copies();
            let copies = work.hold(|side, _, ix| copies[side as usize].contains(&ix));
            work.pairs(Pass::Reference);
            work.pairs(Pass::Tolerance);
            work.groups();
            work.netting();
            work.release(&again);
            work.release(&copies);
            work.reversals();
            all.add(work.done(), &sides);
        }
        all.matches.sort_by_key(|matched| matched.pass);
        all.ambiguous.sort_by_key(|ambiguous| ambiguous.pass);
        all.open_a.sort_unstable();
        all.open_b.sort_unstable();
        all
    }
}

/// The places of items that could have to do with each other: those of one account, one currency and one status. Nothing else
/// ever belongs together, so each of these is a reconciliation of its own, and is small enough to stay at hand.
fn apart(sides: [&[Item]; 2]) -> Vec<[Vec<u32>; 2]> {
    type Common<'i> = (&'i str, Currency, Option<&'i str>);
    let mut all: HashMap<Common<'_>, [Vec<u32>; 2]> = HashMap::new();
    for (side, items) in sides.into_iter().enumerate() {
        u32::try_from(items.len()).expect("a side has no more than u32::MAX items");
        for (place, item) in (0..).zip(items) {
            all.entry((&item.account, item.currency, item.status.as_deref())).or_default()[side].push(place);
        }
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_unstable_by_key(|(common, _)| *common);
    all.into_iter().map(|(_, sides)| sides).collect()
}

/// An item in the order of contents: nothing depends on the order in which items came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ix(u32);

/// What is known of a side while passes go over it.
struct Book<'i> {
    /// The items, by their contents.
    items: Vec<&'i Item>,
    /// Where each of them came in.
    places: Vec<u32>,
    /// Copies have the same number.
    kinds: Vec<u32>,
    /// Those that are in no match and are not ambiguous.
    free: Vec<bool>,
    /// Those that are in no match.
    open: Vec<bool>,
}

impl<'i> Book<'i> {
    fn new(items: &[&'i Item]) -> Book<'i> {
        // What nearly always decides lies side by side; the rest of an item is looked at only where it does not.
        let mut order: Vec<(Date, Decimal, u32)> = (0..).zip(items).map(|(place, item)| (item.value_date, item.amount, place)).collect();
        let at = |place: u32| items[place as usize];
        order.sort_unstable_by(|one, other| {
            let (this, that) = (at(one.2), at(other.2));
            (one.0, one.1).cmp(&(other.0, other.1)).then_with(|| this.cmp_content(that)).then_with(|| this.place.cmp(&that.place))
        });
        let places: Vec<u32> = order.iter().map(|(_, _, place)| *place).collect();
        let mut kinds: Vec<u32> = Vec::with_capacity(places.len());
        for (ix, (date, amount, place)) in (0_u32..).zip(&order) {
            let before = ix.checked_sub(1).map(|before| before as usize);
            let same = before.filter(|before| {
                let (its_date, its_amount, its_place) = &order[*before];
                (its_date, its_amount) == (date, amount) && at(*its_place).cmp_content(at(*place)).is_eq()
            });
            kinds.push(same.map_or(ix, |before| kinds[before]));
        }
        Book {
            items: places.iter().map(|place| at(*place)).collect(),
            kinds,
            free: vec![true; places.len()],
            open: vec![true; places.len()],
            places,
        }
    }

    fn item(&self, ix: Ix) -> &'i Item {
        self.items[ix.0 as usize]
    }

    fn all_free(&self) -> impl Iterator<Item = Ix> + '_ {
        (0..).map(Ix).zip(&self.free).filter(|(_, free)| **free).map(|(ix, _)| ix)
    }

    /// Those of some items of one day and one amount that are free, and of which there is another one that is matched: the reference is the
    /// same, and nobody says that it is with somebody else.
    fn copies(&self, all: impl Iterator<Item = Ix>) -> Vec<Ix> {
        let (free, others): (Vec<Ix>, Vec<Ix>) = all.partition(|ix| self.free[ix.0 as usize]);
        let mut matched: HashMap<&str, HashSet<Option<&str>>> = HashMap::new();
        for item in others.into_iter().filter(|ix| !free.is_empty() && !self.open[ix.0 as usize]).map(|ix| self.item(ix)) {
            if let Some(reference) = &item.reference {
                matched.entry(reference).or_default().insert(item.counterparty.as_deref());
            }
        }
        let is_copy = |ix: &Ix| {
            let item = self.item(*ix);
            let Item { reference, counterparty, .. } = item;
            let parties = reference.as_deref().filter(|_| !item.is_expected()).and_then(|reference| matched.get(reference));
            parties.is_some_and(|parties| counterparty.is_none() || parties.contains(&None) || parties.contains(&counterparty.as_deref()))
        };
        free.into_iter().filter(is_copy).collect()
    }

    /// Copies of one item, by their number.
    fn kind(&self, ix: Ix) -> u32 {
        self.kinds[ix.0 as usize]
    }

    fn came_in(&self, all: &[Ix]) -> Vec<u32> {
        let mut places: Vec<u32> = all.iter().map(|ix| self.places[ix.0 as usize]).collect();
        places.sort_unstable();
        places
    }

    fn opened(&self) -> Vec<u32> {
        let all: Vec<Ix> = (0..).map(Ix).zip(&self.open).filter(|(_, open)| **open).map(|(ix, _)| ix).collect();
        self.came_in(&all)
    }
}

/// How far apart two amounts may be.
#[derive(Clone, Copy, Debug)]
struct LetPass {
    /// Whatever they are.
    flat: Decimal,
    /// However large they are.
    most: Decimal,
}

/// Two books of one currency, and what was found so far.
struct Work<'m, 'i> {
    matcher: &'m Matcher,
    let_pass: LetPass,
    books: [Book<'i>; 2],
    found: Reconciled,
}

impl<'m, 'i> Work<'m, 'i> {
    fn new(matcher: &'m Matcher, sides: [Vec<&'i Item>; 2]) -> Work<'m, 'i> {
        let currency = sides.iter().flatten().next().map(|item| item.currency);
        let let_pass = currency.map_or(LetPass { flat: Decimal::ZERO, most: Decimal::ZERO }, |currency| matcher.let_pass(currency));
        Work { matcher, let_pass, books: sides.map(|side| Book::new(&side)), found: Reconciled::default() }
    }

    fn book(&self, side: Side) -> &Book<'i> {
        &self.books[side as usize]
    }

    fn item(&self, side: Side, ix: Ix) -> &'i Item {
        self.book(side).item(ix)
    }

    /// How many business days lie between the value dates of two items of one currency.
    fn days(&self, one: &Item, other: &Item) -> u32 {
        self.matcher.calendar.between(one.currency, one.value_date, other.value_date)
    }

    /// Keeps back some of what is free.
    fn hold(&mut self, which: impl Fn(Side, &Book<'_>, Ix) -> bool) -> [Vec<Ix>; 2] {
        [Side::A, Side::B].map(|side| {
            let book = self.book(side);
            let held: Vec<Ix> = book.all_free().filter(|ix| which(side, book, *ix)).collect();
            held.iter().for_each(|ix| self.books[side as usize].free[ix.0 as usize] = false);
            held
        })
    }

    /// What is free, and of which there is another one that is matched.
    fn copies(&self) -> [HashSet<Ix>; 2] {
        [Side::A, Side::B].map(|side| {
            let book = self.book(side);
            let (mut copies, mut first) = (HashSet::new(), 0_u32);
            // Items of one day and one amount lie side by side.
            for same in book.items.chunk_by(|one, other| (one.value_date, one.amount) == (other.value_date, other.amount)) {
                let all = (first..).map(Ix).take(same.len());
                first += u32::try_from(same.len()).unwrap_or_default();
                if same.len() > 1 {
                    copies.extend(book.copies(all));
                }
            }
            copies
        })
    }

    /// Gives back what was kept back.
    fn release(&mut self, held: &[Vec<Ix>; 2]) {
        for (book, held) in self.books.iter_mut().zip(held) {
            held.iter().for_each(|ix| book.free[ix.0 as usize] = true);
        }
    }

    fn sum(&self, side: Side, all: &[Ix]) -> Decimal {
        all.iter().map(|ix| self.item(side, *ix).amount).sum()
    }

    /// Records what belongs together. Where it is more than a suggestion, its items are in no other match.
    fn matched(&mut self, pass: Pass, standing: Standing, sides: [&[Ix]; 2], why: String) {
        let difference = self.sum(Side::A, sides[0]) - self.sum(Side::B, sides[1]);
        if standing == Standing::Matched {
            for (book, all) in self.books.iter_mut().zip(sides) {
                for ix in all {
                    let was_free = std::mem::replace(&mut book.free[ix.0 as usize], false);
                    assert!(was_free, "an item is in one match at most");
                    book.open[ix.0 as usize] = false;
                }
            }
        }
        let [a, b] = [(Side::A, sides[0]), (Side::B, sides[1])].map(|(side, all)| self.book(side).came_in(all));
        self.found.matches.push(Match { pass, standing, a, b, difference, why });
    }

    /// Records that it is not known how items belong together. They stay open, and no later pass matches them.
    fn ambiguous(&mut self, pass: Pass, sides: [&[Ix]; 2], why: String) {
        for (book, all) in self.books.iter_mut().zip(sides) {
            all.iter().for_each(|ix| book.free[ix.0 as usize] = false);
        }
        let [a, b] = [(Side::A, sides[0]), (Side::B, sides[1])].map(|(side, all)| self.book(side).came_in(all));
        self.found.ambiguous.push(Ambiguous { pass, a, b, why });
    }

    fn done(mut self) -> Reconciled {
        let [open_a, open_b] = self.books.map(|book| book.opened());
        // What was suggested and then matched otherwise is no suggestion any more.
        let is_open = |all: &[u32], open: &[u32]| all.iter().all(|place| open.binary_search(place).is_ok());
        self.found.matches.retain(|it| it.standing == Standing::Matched || (is_open(&it.a, &open_a) && is_open(&it.b, &open_b)));
        Reconciled { open_a, open_b, ..self.found }
    }
}
