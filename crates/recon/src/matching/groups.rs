//! Passes in which more than two items belong together: sums, nettings, and what is taken back.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{Ix, Matcher, Pass, Settings, Standing, Work};
use crate::words::money;
use crate::{Item, Side};

/// Most items among which the parts of a sum are looked for. Among more, some add up to anything.
const MAX_PARTS: usize = 30;
/// Most sums that are tried for one item.
const MAX_SUMS: usize = 200_000;

/// What items share that may be parts of one whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bond<'i> {
    /// Nothing but the account.
    None,
    Party(&'i str),
    Batch(&'i str),
}

/// What is free on a side and counts from one day, in the order of amounts, and what those before each of them come to.
#[derive(Default)]
struct Free {
    all: Vec<Ix>,
    sums: Vec<Decimal>,
}

type Across<'i> = BTreeMap<(Bond<'i>, Date), Free>;

/// Items across that one item is the sum of.
struct Group {
    side: Side,
    whole: Ix,
    parts: Vec<Ix>,
    /// What speaks for it but the sum, or nothing.
    because: Option<&'static str>,
    /// Whether other parts would do as well, or were not all tried.
    doubt: Option<&'static str>,
}

impl Group {
    fn sides(&self) -> [Vec<Ix>; 2] {
        match self.side {
            Side::A => [vec![self.whole], self.parts.clone()],
            Side::B => [self.parts.clone(), vec![self.whole]],
        }
    }
}

impl Work<'_, '_> {
    /// Finds items that are the sum of several across. All are looked for before any is taken, so that none depends on which came first.
    pub(super) fn groups(&mut self) {
        let mut groups = Vec::new();
        for side in [Side::A, Side::B] {
            let across = self.across(side.other());
            groups.extend(self.book(side).all_free().filter_map(|whole| self.group(side, whole, &across)));
        }
        // Groups that want the same item stand in each other's way.
        let mut wanted: BTreeMap<(Side, Ix), Vec<usize>> = BTreeMap::new();
        for (number, group) in groups.iter().enumerate() {
            wanted.entry((group.side, group.whole)).or_default().push(number);
            group.parts.iter().for_each(|part| wanted.entry((group.side.other(), *part)).or_default().push(number));
        }
        let contested = |group: &Group| {
            let shared = |side: Side, ix: Ix| wanted[&(side, ix)].len() > 1;
            shared(group.side, group.whole) || group.parts.iter().any(|part| shared(group.side.other(), *part))
        };
        let contested: Vec<bool> = groups.iter().map(contested).collect();
        for (group, contested) in groups.iter().zip(contested) {
            let [a, b] = group.sides();
            let doubt = if contested { Some("others want the same items") } else { group.doubt };
            let sum = format!("{} is the sum of {} items", money(self.item(group.side, group.whole).amount), group.parts.len());
            let (standing, why) = match (group.because, doubt) {
                (Some(because), None) => (Standing::Matched, format!("{sum}; {because}")),
                (Some(because), Some(doubt)) => (Standing::Suggested, format!("{sum}; {because}, but {doubt}")),
                (None, None) => (Standing::Suggested, format!("{sum}; nothing but the sum speaks for it")),
                (None, Some(doubt)) => (Standing::Suggested, format!("{sum}; nothing but the sum speaks for it, and {doubt}")),
            };
            self.matched(Pass::Group, standing, [&a, &b], why);
        }
    }

    /// What is free on a side, by what it shares with others, and by value date.
    fn across(&self, side: Side) -> Across<'_> {
        let mut across = Across::new();
        for ix in self.book(side).all_free() {
            let item = self.item(side, ix);
            let bonds = [Some(Bond::None), item.counterparty.as_deref().map(Bond::Party), item.batch.as_deref().map(Bond::Batch)];
            for bond in bonds.into_iter().flatten() {
                let free = across.entry((bond, item.value_date)).or_default();
                free.all.push(ix);
                free.sums.push(item.amount + free.sums.last().copied().unwrap_or_default());
            }
        }
        across
    }

    /// What an item is the sum of.
    fn group<'b>(&'b self, side: Side, whole: Ix, across: &'b Across<'b>) -> Option<Group> {
        let (one, other) = (self.item(side, whole), side.other());
        let days = i64::from(self.matcher.settings.group_days) + 4;
        let (from, to) = (around(one.value_date, -days), around(one.value_date, days));
        let near = |day: Date| self.matcher.calendar.between(one.currency, one.value_date, day) <= self.matcher.settings.group_days;
        let parts = |bond: Bond<'b>| {
            let days = across.range((bond, from)..=(bond, to)).filter(|((_, day), _)| near(*day));
            days.map(|(_, free)| (free, self.smaller(other, &free.all, one.amount)))
        };
        let same = |(_, free): &(_, &Free)| {
            let from = free.all.partition_point(|ix| self.item(other, *ix).amount < one.amount);
            free.all.get(from).is_some_and(|ix| self.item(other, *ix).amount == one.amount)
        };
        let mut days_of_all = across.range((Bond::None, from)..=(Bond::None, to)).filter(|((_, day), _)| near(*day));
        let doubt = days_of_all.any(|it| same(&it)).then_some("one entry across has the same amount as well");
        let group = |parts, because, doubt| Some(Group { side, whole, parts, because, doubt });
        // A batch is known by its name: all of it, or nothing.
        if let Some(name) = one.batch.as_deref().or(one.reference.as_deref()) {
            let batch = || across.range((Bond::Batch(name), Date::MIN)..=(Bond::Batch(name), Date::MAX));
            let sum: Decimal = batch().filter_map(|(_, free)| free.sums.last()).sum();
            let count: usize = batch().map(|(_, free)| free.all.len()).sum();
            if count > 1 && sum == one.amount && batch().all(|((_, day), _)| near(*day)) {
                return group(batch().flat_map(|(_, free)| &free.all).copied().collect(), Some("they are one batch"), doubt);
            }
        }
        let party = one.counterparty.as_deref().map(|party| (Bond::Party(party), Some("the counterparty is the same")));
        for (bond, because) in party.into_iter().chain([(Bond::None, None)]) {
            let among: Vec<Ix> = parts(bond).flat_map(|(free, at)| &free.all[at]).take(MAX_PARTS + 1).copied().collect();
            if let Some((parts, others)) = self.summands(other, one.amount, &among) {
                return group(parts, because, others.or(doubt));
            }
        }
        None
    }

    /// Where those stand that can be a part of an amount: they lie between nothing and it. `all` stand in the order of amounts.
    fn smaller(&self, side: Side, all: &[Ix], whole: Decimal) -> std::ops::Range<usize> {
        let (least, most) = (whole.min(Decimal::ZERO), whole.max(Decimal::ZERO));
        let from = all.partition_point(|ix| self.item(side, *ix).amount <= least);
        let to = all.partition_point(|ix| self.item(side, *ix).amount < most);
        from.min(to)..to
    }

    /// Which of some items come to an amount, and what makes that doubtful.
    fn summands(&self, side: Side, amount: Decimal, among: &[Ix]) -> Option<(Vec<Ix>, Option<&'static str>)> {
        if among.len() < 2 || among.len() > MAX_PARTS {
            return None;
        }
        let scale = among.iter().map(|ix| self.item(side, *ix).amount.scale()).chain([amount.scale()]).max()?;
        let units = |amount: Decimal| amount.abs().mantissa().checked_mul(10_i128.checked_pow(scale - amount.scale())?);
        let mut parts: Vec<(i128, Ix)> = among.iter().map(|ix| Some((units(self.item(side, *ix).amount)?, *ix))).collect::<Option<_>>()?;
        // The largest first; copies side by side.
        parts.sort_by_key(|(units, ix)| (std::cmp::Reverse(*units), *ix));
        let kinds: Vec<u32> = parts.iter().map(|(_, ix)| self.book(side).kind(*ix)).collect();
        let mut rest: Vec<i128> = vec![0; parts.len() + 1];
        for at in (0..parts.len()).rev() {
            rest[at] = rest[at + 1].checked_add(parts[at].0)?;
        }
        let mut sums = Sums {
            parts: &parts,
            kinds: &kinds,
            rest: &rest,
            most: self.matcher.settings.group_most,
            taken: Vec::new(),
            found: Vec::new(),
            left: MAX_SUMS,
        };
        sums.look(0, units(amount)?);
        let doubt = match (sums.found.len(), sums.left) {
            (0, _) => return None,
            (1, 0) => Some("not all sums were tried"),
            (1, _) => None,
            (_, _) => Some("others come to the same sum"),
        };
        let first = sums.found.swap_remove(0);
        Some((first.into_iter().map(|at| parts[at].1).collect(), doubt))
    }

    /// Suggests what comes to the same sum on both sides, with one counterparty and for one day.
    pub(super) fn netting(&mut self) {
        let mut days: BTreeMap<(&str, Date), [Vec<Ix>; 2]> = BTreeMap::new();
        for side in [Side::A, Side::B] {
            for ix in self.book(side).all_free() {
                let item = self.item(side, ix);
                if let Some(party) = item.counterparty.as_deref() {
                    days.entry((party, item.value_date)).or_default()[side as usize].push(ix);
                }
            }
        }
        for ((party, day), [a, b]) in days {
            if !a.is_empty() && !b.is_empty() && self.sum(Side::A, &a) == self.sum(Side::B, &b) {
                let why =
                    format!("with {party}, all that is open for {day} comes to {} on both sides", money(self.sum(Side::A, &a).normalize()));
                self.matched(Pass::Netting, Standing::Suggested, [&a, &b], why);
            }
        }
    }

    /// Matches what was taken back with what takes it back. That is a reconciliation of its own: what takes back, turned round,
    /// beside what may have been taken back.
    pub(super) fn reversals(&mut self) {
        for side in [Side::A, Side::B] {
            let (back, others): (Vec<Ix>, Vec<Ix>) = self.book(side).all_free().partition(|ix| self.item(side, *ix).reversal);
            if back.is_empty() {
                continue;
            }
            let turn = |ix: &Ix| Item { amount: -self.item(side, *ix).amount, ..self.item(side, *ix).clone() };
            let turned: Vec<Item> = back.iter().map(turn).collect();
            let settings = Settings { days: self.matcher.settings.reversal_days, ..self.matcher.settings.clone() };
            let matcher = Matcher { settings, ..self.matcher.clone() };
            let mut work = Work::new(&matcher, [turned.iter().collect(), others.iter().map(|ix| self.item(side, *ix)).collect()]);
            work.pairs(Pass::Exact);
            work.pairs(Pass::Dated);
            let found = work.done();
            let one_side = |one: &[u32], other: &[u32]| -> [Vec<Ix>; 2] {
                let both = one.iter().map(|at| back[*at as usize]).chain(other.iter().map(|at| others[*at as usize])).collect();
                if side == Side::A { [both, Vec::new()] } else { [Vec::new(), both] }
            };
            let takes_back = |found: &super::Match| {
                let day = |all: &[Ix], at: &[u32]| at.first().map(|at| self.item(side, all[*at as usize]).value_date);
                day(&back, &found.a) >= day(&others, &found.b)
            };
            // What is of an earlier day takes nothing back that came later.
            let (sound, _): (Vec<_>, Vec<_>) = found.matches.into_iter().partition(takes_back);
            for found in sound {
                let [a, b] = one_side(&found.a, &found.b);
                self.matched(Pass::Reversal, Standing::Matched, [&a, &b], format!("one takes the other back: {}", found.why));
            }
            for found in found.ambiguous {
                let [a, b] = one_side(&found.a, &found.b);
                self.ambiguous(Pass::Reversal, [&a, &b], found.why);
            }
        }
    }
}

/// The search for parts that come to a sum.
struct Sums<'p> {
    parts: &'p [(i128, Ix)],
    kinds: &'p [u32],
    /// What all parts from here on come to.
    rest: &'p [i128],
    most: usize,
    taken: Vec<usize>,
    /// No more than two: the second says that the first is not the only one.
    found: Vec<Vec<usize>>,
    left: usize,
}

impl Sums<'_> {
    fn look(&mut self, from: usize, missing: i128) {
        if missing == 0 {
            if self.taken.len() > 1 {
                self.found.push(self.taken.clone());
            }
            return;
        }
        if self.taken.len() == self.most {
            return;
        }
        let mut last = None;
        for at in from..self.parts.len() {
            if self.found.len() > 1 || self.left == 0 || self.rest[at] < missing {
                return;
            }
            self.left -= 1;
            // Of copies, the first is taken first: other ways to take them are the same way.
            if self.parts[at].0 > missing || last.replace(self.kinds[at]) == Some(self.kinds[at]) {
                continue;
            }
            self.taken.push(at);
            self.look(at + 1, missing - self.parts[at].0);
            self.taken.pop();
        }
    }
}

/// A day so many days from another, or the first or the last one there is.
fn around(day: Date, days: i64) -> Date {
    day.saturating_add(jiff::Span::new().days(days))
}
