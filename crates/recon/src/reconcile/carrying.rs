//! What goes on from the day before: its open items, its breaks with what became of their cases, and what is to be booked for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::work::Work;
use super::{Adjustment, Answers, Cleared, Closed, MAX_DAYS_BACK, Withdrawn};
use crate::booking::{self, Became, Booking, Expected, Posts};
use crate::books::{Known, Statement};
use crate::breaks::Repeated;
use crate::record::{BreakRecord, Due, ItemRecord, Settled, bucket};
use crate::report::WrittenFile;
use crate::settings::Books;
use crate::world::{Fate, World};
use crate::{Break, BreakKind, Currency, Item, Match, Matcher, Place, Reconciled, Side, Standing, signing};

/// How many business days may lie between the value dates of what is pending and of what is booked for it.
const MAX_APART: u32 = 10;

/// What the next day has to know of this one.
#[derive(Debug, Deserialize)]
pub(super) struct Before {
    day: Date,
    breaks: Vec<BreakRecord>,
    adjustments: Vec<Adjustment>,
    closed: Vec<Closed>,
    expects: Vec<Expected>,
    pub(super) left: [Vec<Known>; 2],
    matched_file: Option<WrittenFile>,
    #[serde(default)]
    matched_before: Vec<WrittenFile>,
}

impl Before {
    /// The files that list what was matched, until that day: the newest last.
    pub(super) fn matched(&self) -> Vec<WrittenFile> {
        let all: Vec<WrittenFile> = self.matched_before.iter().chain(&self.matched_file).cloned().collect();
        all[all.len().saturating_sub(MAX_DAYS_BACK)..].to_vec()
    }
}

/// What the day before left open.
#[derive(Default)]
pub(super) struct Carrying {
    pub(super) day: Option<Date>,
    /// Open items of both sides: they come before those of the day.
    pub(super) items: [Vec<Item>; 2],
    /// For each of them the break that it was in.
    pub(super) from: [Vec<Option<usize>>; 2],
    /// Where those stand by now that were not booked yet.
    replaced: HashMap<Place, Place>,
    /// And in which break they were.
    came_from: HashMap<Place, Option<usize>>,
    /// The breaks, and what became of their cases.
    breaks: Vec<(BreakRecord, Option<Fate>)>,
    /// For each of them the run that wakes up for it, as long as that is open.
    rechecks: Vec<Option<String>>,
    pub(super) closed: Vec<Closed>,
    /// The entries of breaks that were settled since the last day.
    pub(super) settled: Vec<(Side, Item)>,
    /// What is opened again that was closed before the last day, and on which day it was met.
    reopened: Vec<(String, Date)>,
    /// Statements that do not add up, of which that was closed and is opened again.
    faults_again: Vec<(BreakRecord, Option<Fate>)>,
    pub(super) expects: Vec<Expected>,
}

impl Carrying {
    pub(super) fn of(world: &dyn World, before: Option<Before>, posts: &Posts) -> Result<Carrying, String> {
        let Some(before) = before else { return Ok(Carrying::default()) };
        let mut carrying = Carrying { day: Some(before.day), ..Carrying::default() };
        let again = world.opened_again()?;
        let (reopened, closed): (Vec<Closed>, Vec<Closed>) = before.closed.into_iter().partition(|it| again.contains(&it.key));
        carrying.closed = closed;
        for it in reopened {
            carrying.reopened.extend(it.opened.map(|opened| (it.break_id.clone(), opened)));
            if let Some(item) = &it.item {
                carrying.carry(it.side as usize, item.item(&it.account), None);
            }
            if let Some(record) = it.fault {
                let fate = signing::fate_of(world, &record.key)?;
                carrying.faults_again.push((*record, fate));
            }
        }
        let within_tolerance: Vec<Booking> = before.adjustments.iter().map(Booking::let_pass).collect();
        let mut became: Vec<(String, Became)> = Vec::new();
        for (number, record) in before.breaks.into_iter().enumerate() {
            let fate = signing::fate_of(world, &record.key)?;
            // One that was taken back already is taken back again without harm: this day may be reconciled anew.
            let recheck = world.fate(&signing::recheck_of(&record.key))?.filter(|recheck| recheck.open || recheck.withdrawn);
            carrying.rechecks.push(recheck.map(|recheck| recheck.run));
            let resolution = fate.as_ref().and_then(Fate::done);
            let settled = record.settled(resolution);
            let is_open = settled == Settled::Open || again.contains(&record.key);
            let by = || fate.as_ref().and_then(|fate| fate.by.as_deref());
            became.push(match settled {
                Settled::Booked => (Booking::id_of(&record), Became::Booked(Booking::decided(&record, by()))),
                _ if is_open => (Booking::id_of(&record), Became::Open),
                Settled::Together | Settled::Closed | Settled::Open => (Booking::id_of(&record), Became::Settled),
            });
            match settled {
                // People may have thought better of it.
                Settled::Closed | Settled::Together if again.contains(&record.key) => {
                    if record.statement_at.is_some() {
                        carrying.faults_again.push((record.clone(), fate.clone()));
                    }
                    for (side, items) in [&record.a, &record.b].into_iter().enumerate() {
                        items.iter().for_each(|item| carrying.carry(side, item.item(&record.account), Some(number)));
                    }
                }
                Settled::Booked | Settled::Together => {}
                Settled::Closed => {
                    // What is closed by force is in the books still, and explains their difference; what is not booked is in none.
                    let closed = |side, item: Option<&ItemRecord>, amount| Closed {
                        break_id: record.break_id.clone(),
                        key: record.key.clone(),
                        side,
                        item: item.cloned(),
                        account: record.account.clone(),
                        currency: item.map_or(record.currency, |item| item.currency),
                        amount,
                        by: fate.as_ref().and_then(|fate| fate.by.clone()),
                        since: before.day,
                        opened: Some(record.opened),
                        fault: record.statement_at.is_some().then(|| Box::new(record.clone())),
                    };
                    for (side, items, sign) in [(Side::A, &record.a, Decimal::ONE), (Side::B, &record.b, Decimal::NEGATIVE_ONE)] {
                        let amount = |item: &ItemRecord| if item.status.is_none() { item.amount * sign } else { Decimal::ZERO };
                        carrying.closed.extend(items.iter().map(|item| closed(side, Some(item), amount(item))));
                    }
                    if record.statement_at.is_some() {
                        carrying.closed.push(closed(Side::A, None, Decimal::ZERO));
                    }
                }
                Settled::Open => {
                    for (side, items) in [&record.a, &record.b].into_iter().enumerate() {
                        items.iter().for_each(|item| carrying.carry(side, item.item(&record.account), Some(number)));
                    }
                }
            }
            for (side, items) in [(Side::A, &record.a), (Side::B, &record.b)] {
                carrying.settled.extend(items.iter().filter(|_| !is_open).map(|item| (side, item.item(&record.account))));
            }
            carrying.breaks.push((record, fate));
        }
        let (expects, items) = booking::go_on(before.expects, before.day, within_tolerance, became, posts);
        carrying.expects = expects;
        items.into_iter().for_each(|item| carrying.carry(0, item, None));
        Ok(carrying)
    }

    /// What was not booked yet and stands in the files of today again, booked or not, is what these say now, and no entry besides.
    pub(super) fn replace(&mut self, statements: &[Vec<Statement>; 2], matcher: &Matcher) {
        type Named<'i> = (&'i str, Currency, Decimal, &'i str);
        fn named(item: &Item) -> Option<Named<'_>> {
            let Item { account, currency, amount, reference, bank_reference, .. } = item;
            Some((account, *currency, *amount, reference.as_deref().or(bank_reference.as_deref())?))
        }
        for (side, statements) in statements.iter().enumerate() {
            if self.items[side].iter().all(|item| item.status.is_none()) {
                continue;
            }
            let mut today: HashMap<Named<'_>, Vec<&Item>> = HashMap::new();
            for item in statements.iter().flat_map(|statement| &statement.items) {
                if let Some(named) = named(item) {
                    today.entry(named).or_default().push(item);
                }
            }
            let mut now: Vec<Option<Place>> = Vec::new();
            for item in &self.items[side] {
                let pending = item.status.is_some().then(|| named(item)).flatten();
                let found = pending.and_then(|named| {
                    let all = today.get_mut(&named)?;
                    let apart = |other: &&Item| matcher.calendar.between(item.currency, item.value_date, other.value_date);
                    let nearest =
                        all.iter().enumerate().min_by_key(|(_, other)| apart(other)).filter(|(_, other)| apart(other) <= MAX_APART)?.0;
                    Some(all.swap_remove(nearest).place.clone())
                });
                now.push(found);
            }
            let (items, from) = (std::mem::take(&mut self.items[side]), std::mem::take(&mut self.from[side]));
            for ((item, from), now) in items.into_iter().zip(from).zip(now) {
                match now {
                    Some(now) => {
                        self.came_from.insert(now.clone(), from);
                        self.replaced.insert(item.place, now);
                    }
                    None => self.carry(side, item, from),
                }
            }
        }
    }

    /// What was booked, and is in the ledger that is read now although it is not expected, is what the statement's side comes to already.
    pub(super) fn book_ahead(&mut self, day: Date, statements: &[Vec<Statement>; 2], posts: &Posts) {
        let ledger = self.items[1].iter().chain(statements[1].iter().flat_map(|statement| &statement.items));
        for item in booking::ahead(&mut self.expects, day, &self.items[0], ledger, posts) {
            self.carry(0, item, None);
        }
    }

    /// Statements that do not add up, as long as nobody has closed that by force.
    fn faulty(&self) -> impl Iterator<Item = (&BreakRecord, Option<&Fate>)> {
        let still = self.breaks.iter().filter_map(|(record, fate)| {
            let resolution = fate.as_ref().and_then(Fate::done);
            let stands = record.kind == BreakKind::StatementError && record.settled(resolution) != Settled::Closed;
            stands.then_some((record, fate.as_ref()))
        });
        still.chain(self.faults_again.iter().map(|(record, fate)| (record, fate.as_ref())))
    }

    pub(super) fn standing_faults(&self) -> Vec<(Arc<str>, String)> {
        let of =
            |(record, _): (&BreakRecord, Option<&Fate>)| (record.account.clone(), format!("{}, open since {}", record.why, record.opened));
        self.faulty().map(of).collect()
    }

    /// The items of both sides that were found to be there once too often on an earlier day, and are there still.
    pub(super) fn repeated(&self) -> impl Iterator<Item = Repeated> {
        let why = |from: Option<usize>| {
            let record = &self.breaks[from?].0;
            let alone = record.kind == BreakKind::Duplicate && (record.a.is_empty() || record.b.is_empty());
            alone.then(|| record.why.clone())
        };
        let of = move |side: Side| {
            (0..).zip(&self.from[side as usize]).filter_map(move |(item, from)| Some(Repeated { side, item, why: why(*from)? }))
        };
        of(Side::A).chain(of(Side::B))
    }

    /// The items of a side that were open before: they stand first.
    pub(super) fn items_of<'i>(&self, side: Side, sides: [&'i [Item]; 2]) -> impl Iterator<Item = &'i Item> {
        sides[side as usize][..self.from[side as usize].len()].iter()
    }

    fn carry(&mut self, side: usize, item: Item, from: Option<usize>) {
        self.items[side].push(item);
        self.from[side].push(from);
    }

    /// A break of the very same items is the same break. Where they only look alone today, it is what it was: that there was another one like
    /// it, say, is not seen any more. And one that has nothing of what was there before has a name of its own, also where it looks the same.
    pub(super) fn keep_names(&self, all: &mut [Break], sides: [&[Item]; 2]) {
        // The break that it was, and whether its entries stand where they stood.
        let of = |it: &Break| -> Option<(&BreakRecord, bool)> {
            let places =
                [Side::A, Side::B].into_iter().zip([&it.a, &it.b]).flat_map(|(side, all)| all.iter().map(move |place| (side, *place)));
            let from: Vec<(Option<usize>, bool)> = places.map(|(side, place)| self.break_of(sides, side, place)).collect();
            let (first, _) = *from.first()?;
            let (record, _) = &self.breaks[first?];
            let whole = (it.a.len(), it.b.len()) == (record.a.len(), record.b.len()) && from.iter().all(|(from, _)| *from == first);
            whole.then(|| (record, from.iter().all(|(_, replaced)| !replaced)))
        };
        let kept: Vec<Option<(&BreakRecord, bool)>> = all.iter().map(of).collect();
        let mut names: HashSet<String> = kept.iter().flatten().map(|(record, _)| record.break_id.clone()).collect();
        let before: HashMap<&str, &BreakRecord> = self.breaks.iter().map(|(record, _)| (record.break_id.as_str(), record)).collect();
        let is_another = |it: &Break| {
            let Some(record) = before.get(it.id.as_str()).filter(|_| it.fault.is_none()) else { return false };
            let there: HashSet<Place> = record.a.iter().chain(&record.b).map(|item| self.now(item)).collect();
            let places = |side: Side, all: &'_ [u32]| all.iter().any(|at| there.contains(&sides[side as usize][*at as usize].place));
            !places(Side::A, &it.a) && !places(Side::B, &it.b)
        };
        for (it, record) in all.iter_mut().zip(kept) {
            if let Some((record, as_it_was)) = record {
                it.id.clone_from(&record.break_id);
                // What is booked by now may look otherwise.
                let alone = matches!(it.kind, BreakKind::MissingInA | BreakKind::MissingInB);
                if as_it_was && alone && it.kind != record.kind {
                    (it.kind, it.why) = (record.kind, record.why.clone());
                }
                continue;
            }
            let plain = it.id.clone();
            let mut number = 1;
            while is_another(it) || !names.insert(it.id.clone()) {
                number += 1;
                it.id = format!("{plain}-{number}");
            }
        }
    }

    /// The break in which an entry was, and whether it stands elsewhere now.
    fn break_of(&self, sides: [&[Item]; 2], side: Side, at: u32) -> (Option<usize>, bool) {
        match self.from[side as usize].get(at as usize) {
            Some(from) => (*from, false),
            None => (self.came_from.get(&sides[side as usize][at as usize].place).copied().flatten(), true),
        }
    }

    /// Since when breaks are open, and how many business days of that do not count: those on which somebody else had them.
    pub(super) fn since(&self, books: &Books, matcher: &Matcher, day: Date) -> HashMap<String, (Date, u32)> {
        let of = |(record, fate): &(BreakRecord, Option<Fate>)| {
            let resolution = fate.as_ref().and_then(Fate::done);
            let pauses = resolution.is_some_and(|resolution| books.sla.pauses.iter().any(|known| known == resolution));
            let more = self.day.filter(|_| pauses).map_or(0, |before| matcher.calendar.between(record.currency, before, day));
            (record.break_id.clone(), (record.opened, record.paused + more))
        };
        self.reopened.iter().map(|(name, opened)| (name.clone(), (*opened, 0))).chain(self.breaks.iter().map(of)).collect()
    }

    /// Where an entry stands by now.
    fn now(&self, item: &ItemRecord) -> Place {
        let place = item.place();
        self.replaced.get(&place).cloned().unwrap_or(place)
    }

    pub(super) fn answers(&self) -> Answers {
        let agreed = || self.breaks.iter().filter_map(|(_, fate)| fate.as_ref()?.agreed);
        Answers { answered: agreed().count(), agreed: agreed().filter(|agreed| *agreed).count() }
    }

    /// Breaks that were there before go on: with their case, as long as that is open and nothing else is known of them; else with
    /// a new one.
    pub(super) fn go_on(&self, day: Date, records: &mut Vec<BreakRecord>) {
        let known: HashMap<&str, (&BreakRecord, Option<&Fate>)> =
            self.breaks.iter().map(|(record, fate)| (record.break_id.as_str(), (record, fate.as_ref()))).collect();
        for record in &mut *records {
            let Some((earlier, fate)) = known.get(record.break_id.as_str()) else { continue };
            let is_open = fate.is_none_or(|fate| fate.open);
            // What is overdue for long is decided anew from one month to the next, also while somebody is asked.
            let is_late = record.sla == Due::Overdue && record.age > 30 && bucket(record.age) != bucket(earlier.age);
            if is_open && !is_late && earlier.is_like(record) {
                record.clone_from(earlier);
            }
        }
        // What did not add up yesterday is not mended by not being looked at today, nor by somebody saying what is to be done.
        let there: HashSet<String> = records.iter().map(|record| record.break_id.clone()).collect();
        for (record, fate) in self.faulty().filter(|(record, _)| !there.contains(&record.break_id)) {
            let mut record = record.clone();
            if fate.is_some_and(|fate| !fate.open) {
                record.day = day;
            }
            records.push(record);
        }
    }

    /// What was open and is not any more, and the cases that need no answer any more.
    pub(super) fn gone(&self, records: &[BreakRecord], work: &Work<'_>, found: &Reconciled) -> (Vec<Cleared>, Vec<Withdrawn>) {
        let there: HashMap<&str, &BreakRecord> = records.iter().map(|record| (record.break_id.as_str(), record)).collect();
        let now = |item: &ItemRecord| self.now(item);
        let wanted: HashSet<Place> = self.breaks.iter().flat_map(|(earlier, _)| earlier.a.iter().chain(&earlier.b)).map(now).collect();
        let mut by_place: HashMap<&Place, &Match> = HashMap::new();
        for it in found.matches.iter().filter(|it| it.standing == Standing::Matched) {
            let items = work.items(Side::A, &it.a).chain(work.items(Side::B, &it.b));
            by_place.extend(items.filter(|item| wanted.contains(&item.place)).map(|item| (&item.place, it)));
        }
        let (mut cleared, mut withdrawn) = (Vec::new(), Vec::new());
        for ((earlier, fate), recheck) in self.breaks.iter().zip(&self.rechecks) {
            let open = fate.as_ref().filter(|fate| fate.open || fate.withdrawn);
            let why = match there.get(earlier.break_id.as_str()) {
                Some(now) if now.key == earlier.key => continue,
                Some(_) => "something else is known of it now".to_owned(),
                None => {
                    let found = earlier.a.iter().chain(&earlier.b).map(now).find_map(|place| Some((by_place.get(&place)?, place)));
                    let why = match found {
                        Some((it, place)) => {
                            let place = place.to_string();
                            let others = work.places(it).into_iter().filter(|other| *other != place).collect::<Vec<_>>().join(", ");
                            format!("{place} is matched with {others}: {}", it.why)
                        }
                        None => match fate.as_ref().and_then(|fate| fate.resolution.as_deref()) {
                            done @ Some(how) if earlier.settled(done) != Settled::Open => format!("it was settled: {how}"),
                            _ => "it is a part of another break now".to_owned(),
                        },
                    };
                    cleared.push(Cleared { break_id: earlier.break_id.clone(), kind: earlier.kind, why: why.clone() });
                    why
                }
            };
            let runs = open.map(|fate| (&fate.run, false)).into_iter().chain(recheck.as_ref().map(|run| (run, true)));
            withdrawn.extend(runs.map(|(run, recheck)| Withdrawn {
                run: run.clone(),
                break_id: earlier.break_id.clone(),
                reason: why.clone(),
                recheck,
            }));
        }
        (cleared, withdrawn)
    }
}
