//! Passes that pair one item with one across.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::assign::{Candidates, Sure};
use super::reference::{numbers_agree, plain};
use super::{Ix, LetPass, Pass, Standing, Work};
use crate::words::money;
use crate::{Item, Side};

/// Most pairs that are looked at among items that have everything in common that a pass asks for.
const MAX_PAIRS: usize = 200_000;
/// What a pair weighs that could not be better, leaving aside what else the two have in common.
const WHOLE: u32 = 1_000;

/// What two items must have in common to be looked at together. What a pass does not ask for is nothing on both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'i> {
    // In the order in which books are sorted.
    date: Option<Date>,
    amount: Option<Decimal>,
    reference: Option<&'i str>,
}

/// Copies of one item.
struct Kind {
    all: Vec<Ix>,
}

/// Several items of both sides, copies together.
type Kinds = [Vec<Kind>; 2];

/// The items of both sides that have a key in common.
enum Bucket {
    /// One with one, as nearly all of them are.
    Pair(Ix, Ix),
    /// More than that.
    Several(Kinds),
}

/// Kinds that hang together, since one could go with another.
#[derive(Default)]
struct Component {
    left: Vec<usize>,
    right: Vec<usize>,
    candidates: Candidates,
}

impl Pass {
    fn key(self, item: &Item) -> Option<Key<'_>> {
        let reference = Some(item.reference.as_deref()?);
        let key = Key { date: Some(item.value_date), amount: Some(item.amount), reference };
        match self {
            Pass::Exact => Some(key),
            Pass::Dated => Some(Key { date: None, ..key }),
            Pass::Reference => Some(Key { date: None, reference: None, ..key }),
            Pass::Tolerance => Some(Key { date: None, amount: None, ..key }),
            Pass::Group | Pass::Netting | Pass::Reversal => None,
        }
    }
}

impl Work<'_, '_> {
    /// Pairs what the ledger is to bring with what it has brought, however late: of several that have one reference and one amount the oldest
    /// come first, since one is as good as another.
    pub(super) fn booked(&mut self) {
        let expected: Vec<Ix> = self.book(Side::A).all_free().filter(|ix| self.item(Side::A, *ix).is_expected()).collect();
        if expected.is_empty() {
            return;
        }
        let named = |item: &'_ Item| Some((item.reference.clone()?, item.amount));
        let mut brought: HashMap<(Arc<str>, Decimal), VecDeque<Ix>> =
            expected.iter().filter_map(|ix| Some((named(self.item(Side::A, *ix))?, VecDeque::new()))).collect();
        for ix in self.book(Side::B).all_free() {
            if let Some(all) = named(self.item(Side::B, ix)).and_then(|name| brought.get_mut(&name)) {
                all.push_back(ix);
            }
        }
        for one in expected {
            let Some(other) = named(self.item(Side::A, one)).and_then(|name| brought.get_mut(&name)?.pop_front()) else { continue };
            let (ours, theirs) = (self.item(Side::A, one), self.item(Side::B, other));
            let pass = if ours.value_date == theirs.value_date { Pass::Exact } else { Pass::Dated };
            let (standing, why) = self.told(pass, ours, theirs);
            self.matched(pass, standing, [&[one], &[other]], why);
        }
    }

    /// Pairs what is free, as far as it is certain.
    pub(super) fn pairs(&mut self, pass: Pass) {
        for bucket in self.buckets(pass) {
            match bucket {
                Bucket::Pair(one, other) => self.pair(pass, one, other),
                Bucket::Several(kinds) => self.several(pass, kinds),
            }
        }
    }

    fn several(&mut self, pass: Pass, kinds: Kinds) {
        match self.components(pass, &kinds) {
            Some(components) => components.iter().for_each(|component| self.settle(pass, &kinds, component)),
            // Those with one reference are too many alike; those with one amount have nothing to do with each other.
            None if pass == Pass::Reference => {}
            None => {
                let [a, b] = kinds.map(|kinds| kinds.into_iter().flat_map(|kind| kind.all).collect::<Vec<_>>());
                let why = format!("{} items of A and {} of B are too much alike to be told apart", a.len(), b.len());
                self.ambiguous(pass, [&a, &b], why);
            }
        }
    }

    /// Two that have nothing else to go with.
    fn pair(&mut self, pass: Pass, one: Ix, other: Ix) {
        let (ours, theirs) = (self.item(Side::A, one), self.item(Side::B, other));
        let plain = |item: &Item| plain(item.reference.as_deref().unwrap_or_default(), &self.matcher.settings.prefixes);
        let alike = (pass == Pass::Reference).then(|| strsim::normalized_levenshtein(&plain(ours), &plain(theirs)));
        if self.days(ours, theirs) <= self.matcher.settings.days && self.weight(pass, ours, theirs, alike).is_some() {
            let (standing, why) = self.told(pass, ours, theirs);
            self.matched(pass, standing, [&[one], &[other]], why);
        }
    }

    fn buckets(&self, pass: Pass) -> Vec<Bucket> {
        let mut keyed: Vec<(Key<'_>, Side, Ix)> = Vec::new();
        for side in [Side::A, Side::B] {
            let book = self.book(side);
            keyed.extend(book.all_free().filter_map(|ix| Some((pass.key(book.item(ix))?, side, ix))));
        }
        // Both books are sorted nearly so already, of which this kind of sorting makes use.
        keyed.sort();
        let mut buckets = Vec::new();
        for same in keyed.chunk_by(|one, other| one.0 == other.0) {
            let split = same.partition_point(|(_, side, _)| *side == Side::A);
            if split == 0 || split == same.len() {
                continue;
            }
            if let [(_, _, one), (_, _, other)] = *same {
                buckets.push(Bucket::Pair(one, other));
                continue;
            }
            let sides = [(Side::A, &same[..split]), (Side::B, &same[split..])];
            buckets.push(Bucket::Several(sides.map(|(side, keyed)| {
                let copies = keyed.chunk_by(|one, other| self.book(side).kind(one.2) == self.book(side).kind(other.2));
                copies.map(|same| Kind { all: same.iter().map(|(_, _, ix)| *ix).collect() }).collect()
            })));
        }
        buckets
    }

    /// What could go together in a bucket, taken apart into what has nothing to do with each other. `None` where that is too much.
    fn components(&self, pass: Pass, bucket: &Kinds) -> Option<Vec<Component>> {
        let [left, right] = bucket;
        let item = |side: Side, kind: &Kind| self.item(side, kind.all[0]);
        let plain_references = |side: Side, kinds: &[Kind]| -> Vec<String> {
            let reference = |kind: &Kind| plain(item(side, kind).reference.as_deref().unwrap_or_default(), &self.matcher.settings.prefixes);
            if pass == Pass::Reference { kinds.iter().map(reference).collect() } else { Vec::new() }
        };
        let plain = [plain_references(Side::A, left), plain_references(Side::B, right)];
        let mut weights: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        let (mut first, mut looked_at) = (0, 0);
        for (row, kind) in left.iter().enumerate() {
            let one = item(Side::A, kind);
            // Items stand in the order of their value dates: those too early for this one are too early for all that follow.
            let too_far = |other: &Item| self.days(one, other) > self.matcher.settings.days;
            while right.get(first).is_some_and(|kind| item(Side::B, kind).value_date < one.value_date && too_far(item(Side::B, kind))) {
                first += 1;
            }
            for (column, other) in right.iter().enumerate().skip(first).map(|(column, kind)| (column, item(Side::B, kind))) {
                if other.value_date > one.value_date && too_far(other) {
                    break;
                }
                looked_at += 1;
                if looked_at > MAX_PAIRS {
                    return None;
                }
                let alike = plain[0].get(row).zip(plain[1].get(column)).map(|(one, other)| strsim::normalized_levenshtein(one, other));
                if let Some(weight) = self.weight(pass, one, other, alike) {
                    weights.insert((row, column), weight);
                }
            }
        }
        Some(apart(bucket, weights))
    }

    /// How well two items go together, where they can.
    fn weight(&self, pass: Pass, one: &Item, other: &Item, alike: Option<f64>) -> Option<u32> {
        if !one.agrees_with(other) {
            return None;
        }
        let settings = &self.matcher.settings;
        let days = self.days(one, other);
        let same = |one: &Option<Arc<str>>, other: &Option<Arc<str>>| one.is_some() && one == other;
        let besides = 10 * u32::from(same(&one.bank_reference, &other.bank_reference))
            + 10 * u32::from(same(&one.counterparty, &other.counterparty))
            + 5 * u32::from(!one.text.is_empty() && one.text == other.text);
        let whole = match pass {
            Pass::Exact | Pass::Dated => WHOLE,
            Pass::Reference => {
                let alike = alike.filter(|alike| *alike >= settings.similarity)?;
                (alike * f64::from(WHOLE)).round().to_u32()?
            }
            Pass::Tolerance => {
                let (apart, allowed) = ((one.amount - other.amount).abs(), self.tolerance(one, other));
                let signs_differ = one.amount.is_sign_negative() != other.amount.is_sign_negative();
                if signs_differ || apart > allowed {
                    return None;
                }
                let spent = apart.checked_div(allowed).unwrap_or_default();
                WHOLE - (spent * Decimal::from(WHOLE / 2)).round().to_u32()?
            }
            Pass::Group | Pass::Netting | Pass::Reversal => return None,
        };
        Some((whole + besides).saturating_sub(days * 50).max(1))
    }

    /// How far apart two amounts may be: the same whichever side is asked.
    pub(super) fn tolerance(&self, one: &Item, other: &Item) -> Decimal {
        let settings = &self.matcher.settings;
        let is_fx = |item: &Item| item.has_code(&settings.fx_codes);
        let share = if is_fx(one) || is_fx(other) { settings.tolerance_share_fx } else { settings.tolerance_share };
        let larger = one.amount.abs().max(other.amount.abs());
        let LetPass { flat, most } = self.let_pass;
        flat.max(larger.checked_mul(share).unwrap_or_default().min(most))
    }

    /// Matches what every best answer agrees on. What it leaves open is ambiguous.
    fn settle(&mut self, pass: Pass, bucket: &Kinds, component: &Component) {
        let sure = component.candidates.sure();
        let mut left: Vec<Vec<Ix>> = component.left.iter().map(|kind| bucket[0][*kind].all.clone()).collect();
        let mut right: Vec<Vec<Ix>> = component.right.iter().map(|kind| bucket[1][*kind].all.clone()).collect();
        let mut pairs: Vec<(Ix, Ix)> = Vec::new();
        for ((row, column), count) in sure.iter().flat_map(|sure| &sure.pairs) {
            let (ones, others) = (left[*row].drain(..*count as usize), right[*column].drain(..*count as usize));
            pairs.extend(ones.zip(others));
        }
        let all_left: Vec<Ix> = left.iter().flatten().copied().collect();
        let all_right: Vec<Ix> = right.iter().flatten().copied().collect();
        let all_fit = component.candidates.weights.len() == component.left.len() * component.right.len();
        if pass == Pass::Exact && all_fit && all_left.len() == all_right.len() {
            // All of them belong together, whichever of them is whose.
            pairs.extend(all_left.into_iter().zip(all_right));
        } else {
            let open = |open: fn(&Sure) -> &Vec<usize>, all: Vec<Vec<Ix>>| -> Vec<Ix> {
                let of = |sure: &Sure| open(sure).iter().flat_map(|kind| all[*kind].iter().copied()).collect();
                sure.as_ref().map_or_else(|| all.iter().flatten().copied().collect(), of)
            };
            let (a, b) = (open(|sure| &sure.open_left, left), open(|sure| &sure.open_right, right));
            if !a.is_empty() && !b.is_empty() {
                let why = match sure {
                    Some(_) => "each could as well go with another one",
                    None => "there are too many that could go together to try them all",
                };
                self.ambiguous(pass, [&a, &b], why.to_owned());
            }
        }
        for (one, other) in pairs {
            let (standing, why) = self.told(pass, self.item(Side::A, one), self.item(Side::B, other));
            self.matched(pass, standing, [&[one], &[other]], why);
        }
    }

    fn told(&self, pass: Pass, one: &Item, other: &Item) -> (Standing, String) {
        let reference = |item: &Item| item.reference.as_deref().unwrap_or_default().to_owned();
        let days = match self.days(one, other) {
            0 => String::new(),
            1 => ", one business day apart".to_owned(),
            days => format!(", {days} business days apart"),
        };
        match pass {
            Pass::Reference => {
                let enough = self.matcher.settings.similar_is_enough
                    && numbers_agree(&reference(one), &reference(other), &self.matcher.settings.prefixes);
                let standing = if enough { Standing::Matched } else { Standing::Suggested };
                (standing, format!("the amount is the same, and {} is nearly {}{days}", reference(one), reference(other)))
            }
            Pass::Tolerance => {
                let (apart, allowed) = ((one.amount - other.amount).abs(), self.tolerance(one, other));
                let why = format!(
                    "the reference is the same, and {} and {} differ by {}, where {} is allowed{days}",
                    money(one.amount),
                    money(other.amount),
                    money(apart),
                    money(allowed.normalize())
                );
                (Standing::Matched, why)
            }
            _ => (Standing::Matched, format!("amount and reference are the same{days}")),
        }
    }
}

/// Kinds that could go together, directly or by way of others.
fn apart(bucket: &Kinds, weights: BTreeMap<(usize, usize), u32>) -> Vec<Component> {
    let [left, right] = bucket;
    // Rows first, then columns; each points towards the first of those it hangs together with.
    let mut heads: Vec<usize> = (0..left.len() + right.len()).collect();
    fn head(heads: &mut [usize], mut at: usize) -> usize {
        while heads[at] != at {
            heads[at] = heads[heads[at]];
            at = heads[at];
        }
        at
    }
    for (row, column) in weights.keys() {
        let (one, other) = (head(&mut heads, *row), head(&mut heads, left.len() + column));
        heads[one.max(other)] = one.min(other);
    }
    let mut components: BTreeMap<usize, Component> = BTreeMap::new();
    let mut places: Vec<Option<usize>> = vec![None; heads.len()];
    for ((row, column), weight) in weights {
        let component = components.entry(head(&mut heads, row)).or_default();
        let mut local = |known: &mut Vec<usize>, kind: usize, at: usize| {
            *places[at].get_or_insert_with(|| {
                known.push(kind);
                known.len() - 1
            })
        };
        let pair = (local(&mut component.left, row, row), local(&mut component.right, column, left.len() + column));
        component.candidates.weights.insert(pair, weight);
    }
    for component in components.values_mut() {
        let copies =
            |kinds: &[Kind], all: &[usize]| all.iter().map(|kind| u32::try_from(kinds[*kind].all.len()).unwrap_or(u32::MAX)).collect();
        component.candidates.left = copies(left, &component.left);
        component.candidates.right = copies(right, &component.right);
    }
    components.into_values().collect()
}
