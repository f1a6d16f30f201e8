//! What an earlier day had already: what is there once more is a part of nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::BufReader;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::carrying::Carrying;
use super::files::Hashing;
use crate::breaks::Repeated;
use crate::report::WrittenFile;
use crate::world::World;
use crate::{Item, Match, Matcher, Pass, Place, Reconciled, Side, Standing};

/// By what an entry is known in the list of what was matched: its side, its account, and its reference, or else what its bank calls it, or
/// else what is said about it.
type Named = (Side, String, String);

/// What else is known of an entry that was matched or settled earlier, or is open since.
struct Earlier {
    place: Place,
    currency: String,
    amount: Decimal,
    value_date: Date,
    counterparty: String,
    quantity: Option<Decimal>,
    /// Whether it was not booked yet.
    pending: bool,
}

impl Earlier {
    fn of(side: Side, item: &Item) -> (Named, Earlier) {
        let text = |text: &Option<Arc<str>>| crate::report::harmless(text.as_deref().unwrap_or_default());
        let Item { place, currency, amount, value_date, quantity, .. } = item.clone();
        let known_as = [text(&item.reference), text(&item.bank_reference), crate::report::harmless(&item.text)];
        let known_as = known_as.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let (counterparty, pending) = (text(&item.counterparty), item.status.is_some());
        let earlier = Earlier { place, currency: currency.to_string(), amount, value_date, counterparty, quantity, pending };
        ((side, item.account.to_string(), known_as), earlier)
    }

    /// The name of an entry that is listed.
    fn name(row: &csv::StringRecord) -> Named {
        let cell = |column: usize| row.get(column).unwrap_or_default();
        let known_as = [8, 13, 15].into_iter().map(cell).find(|name| !name.is_empty()).unwrap_or_default();
        (if cell(2) == "A" { Side::A } else { Side::B }, cell(4).to_owned(), known_as.to_owned())
    }

    fn read(row: &csv::StringRecord) -> Option<Earlier> {
        let cell = |column: usize| row.get(column).unwrap_or_default();
        Some(Earlier {
            place: Place::of(cell(3)),
            currency: cell(5).to_owned(),
            amount: cell(6).parse().ok()?,
            value_date: cell(7).parse().ok()?,
            counterparty: cell(11).to_owned(),
            quantity: cell(12).parse().ok(),
            pending: !cell(14).is_empty(),
        })
    }

    /// Whether an entry with the same name is this one once more. What was not booked yet may be told day after day, and then be booked.
    fn is(&self, item: &Item) -> bool {
        let party = crate::report::harmless(item.counterparty.as_deref().unwrap_or_default());
        let quantities = self.quantity.zip(item.quantity);
        !self.pending
            && (&*self.currency, self.amount, self.value_date) == (item.currency.as_str(), item.amount, item.value_date)
            && (self.counterparty.is_empty() || party.is_empty() || self.counterparty == party)
            && quantities.is_none_or(|(one, other)| one == other)
    }
}

/// Whether a match needs no more than that both sides have the very same, or takes something back: what is there once more may be in one.
fn is_plain(pass: Pass) -> bool {
    matches!(pass, Pass::Exact | Pass::Reversal)
}

/// Items of the day of which an earlier day had another one, as far as they are open or would be matched by more than being the same. And the
/// files that could not be looked at.
fn there_before(
    world: &dyn World,
    files: &[WrittenFile],
    carrying: &Carrying,
    found: &Reconciled,
    sides: [&[Item]; 2],
) -> (Vec<Repeated>, Vec<String>) {
    let mut wanted: HashMap<Named, Vec<u32>> = HashMap::new();
    for (side, open, of) in [(Side::A, &found.open_a, (|it| &it.a) as fn(&Match) -> &Vec<u32>), (Side::B, &found.open_b, |it| &it.b)] {
        let taken = found.matches.iter().filter(|it| it.standing == Standing::Matched && !is_plain(it.pass)).flat_map(of);
        for at in open.iter().chain(taken).filter(|at| **at as usize >= carrying.from[side as usize].len()) {
            let (name, _) = Earlier::of(side, &sides[side as usize][*at as usize]);
            if !name.2.is_empty() {
                wanted.entry(name).or_default().push(*at);
            }
        }
    }
    let (mut seen, mut not_seen) = (BTreeMap::new(), Vec::new());
    let again = |name: &Named, earlier: &Earlier, open: bool| -> Vec<((Side, u32), (Place, bool))> {
        let all = wanted.get(name).into_iter().flatten();
        all.filter(|at| earlier.is(&sides[name.0 as usize][**at as usize]))
            .map(|at| ((name.0, *at), (earlier.place.clone(), open)))
            .collect()
    };
    let known = |side: Side, item: &Item, open: bool| {
        let (name, earlier) = Earlier::of(side, item);
        again(&name, &earlier, open)
    };
    for side in [Side::A, Side::B] {
        seen.extend(carrying.items_of(side, sides).filter(|item| !item.is_expected()).flat_map(|item| known(side, item, true)));
    }
    let closed = carrying.closed.iter().filter_map(|it| Some((it.side, it.item.as_ref()?.item(&it.account))));
    for (side, item) in carrying.settled.iter().cloned().chain(closed) {
        seen.extend(known(side, &item, false));
    }
    for file in files.iter().filter(|_| !wanted.is_empty()) {
        let Ok(from) = world.open(&file.path) else {
            not_seen.push(file.path.clone());
            continue;
        };
        let mut hashing = Hashing::of(from);
        let mut rows = csv::Reader::from_reader(BufReader::with_capacity(1 << 16, &mut hashing));
        let mut known = Vec::new();
        let read: Result<(), csv::Error> = rows.records().try_for_each(|row| {
            let row = row?;
            let name = Earlier::name(&row);
            if wanted.contains_key(&name) {
                known.extend(Earlier::read(&row).iter().flat_map(|earlier| again(&name, earlier, false)));
            }
            Ok(())
        });
        drop(rows);
        if read.is_ok() && hashing.digest() == file.sha256 {
            seen.extend(known);
        } else {
            not_seen.push(file.path.clone());
        }
    }
    let why = |place: &Place, open: bool| {
        format!("it is the same as {place}, which {}", if open { "was there before" } else { "was matched before" })
    };
    let seen = seen.into_iter().map(|((side, item), (place, open))| Repeated { side, item, why: why(&place, open) });
    (carrying.repeated().chain(seen).collect(), not_seen)
}

/// Matches, and finds out what was there before. What was may belong to what is the very same, but is no part of anything else.
pub(super) fn match_all(
    world: &dyn World,
    matcher: &Matcher,
    files: &[WrittenFile],
    carrying: &Carrying,
    [a, b]: [&[Item]; 2],
) -> (Reconciled, Vec<Repeated>, Vec<String>) {
    let known: HashSet<(Side, u32)> = carrying.repeated().map(|it| (it.side, it.item)).collect();
    let found = matcher.reconcile_but(a, b, &known);
    let (seen, not_seen) = there_before(world, files, carrying, &found, [a, b]);
    let again: HashSet<(Side, u32)> = seen.iter().map(|it| (it.side, it.item)).collect();
    let takes = |pass: Pass, a: &[u32], b: &[u32]| {
        !is_plain(pass) && (a.iter().any(|at| again.contains(&(Side::A, *at))) || b.iter().any(|at| again.contains(&(Side::B, *at))))
    };
    let wrong =
        found.matches.iter().any(|it| takes(it.pass, &it.a, &it.b)) || found.ambiguous.iter().any(|it| takes(it.pass, &it.a, &it.b));
    if !wrong {
        return (found, seen, not_seen);
    }
    let found = matcher.reconcile_but(a, b, &again);
    let (seen, not_seen) = there_before(world, files, carrying, &found, [a, b]);
    (found, seen, not_seen)
}
