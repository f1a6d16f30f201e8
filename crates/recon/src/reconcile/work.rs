//! What is known of each break, and of each account, by the end of a day.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::carrying::Carrying;
use super::{AccountRecord, Adjustment, BookRecord, key_of};
use crate::booking::Expected;
use crate::books::{self, Fault, Known, Statement};
use crate::breaks::{self, Told};
use crate::record::{BreakRecord, ItemRecord, Likeness, NearRecord, Settled, legs};
use crate::report::WrittenFile;
use crate::settings::{Books, Rate};
use crate::world::World;
use crate::{Break, BreakKind, Currency, Item, Match, Matcher, Reconciled, Side, Standing, words};

/// A day whose items are matched, and what else there is to know.
pub(super) struct Work<'w> {
    pub(super) books: &'w Books,
    pub(super) matcher: &'w Matcher,
    pub(super) day: Date,
    pub(super) sides: [&'w [Item]; 2],
    pub(super) faults: &'w [(Side, Fault)],
    /// What did not add up on earlier days and was not closed: by account.
    pub(super) standing: &'w [(Arc<str>, String)],
    /// On which day breaks were met that were there before, and how many days of theirs do not count; by their names.
    pub(super) since: HashMap<String, (Date, u32)>,
    /// What is on the accounts, on the side that has more.
    pub(super) on_accounts: HashMap<(Arc<str>, Currency), Decimal>,
}

impl Work<'_> {
    pub(super) fn items(&self, side: Side, places: &[u32]) -> impl Iterator<Item = &Item> {
        let all = self.sides[side as usize];
        places.iter().map(|place| &all[*place as usize])
    }

    pub(super) fn places(&self, it: &Match) -> Vec<String> {
        self.items(Side::A, &it.a).chain(self.items(Side::B, &it.b)).map(|item| item.place.to_string()).collect()
    }

    // -- breaks

    pub(super) fn records(&self, all: &[Break]) -> Vec<BreakRecord> {
        let mut records: Vec<BreakRecord> = all.iter().map(|it| self.record(it)).collect();
        type Like = (Arc<str>, Currency, BreakKind);
        let mut alike: HashMap<Like, (usize, Option<Decimal>)> = HashMap::new();
        // One that is large hides nothing among others, and makes none of them larger.
        let small = |it: &BreakRecord| it.exposure.is_some_and(|exposure| self.books.small.is_none_or(|small| exposure < small));
        for it in records.iter().filter(|it| small(it)) {
            let known = alike.entry((it.account.clone(), it.currency, it.kind)).or_insert((0, Some(Decimal::ZERO)));
            *known = (known.0 + 1, known.1.zip(it.exposure).map(|(sum, exposure)| sum + exposure));
        }
        for it in &mut records {
            (it.alike, it.alike_exposure) = (1, it.exposure);
            if let Some((count, exposure)) = alike.get(&(it.account.clone(), it.currency, it.kind)).filter(|_| small(it)) {
                (it.alike, it.alike_exposure) = (*count, *exposure);
            }
            if it.settled(Some("adjust")) == Settled::Booked {
                it.booking = it.amount_diff.map(|by| legs(&it.account, by)).unwrap_or_default();
            }
            (it.title, it.about, it.at, it.message) = (words::title(it), words::lines(it), words::places(it), words::message(it));
        }
        records
    }

    /// How many business days there are since the value date, or since the day on which it was met, whichever was earlier: what is of a
    /// day to come gets older as well.
    pub(super) fn age(&self, currency: Currency, value_date: Option<Date>, opened: Date) -> u32 {
        let from = value_date.map_or(opened, |value_date| value_date.min(opened));
        if from < self.day { self.matcher.calendar.between(currency, from, self.day) } else { 0 }
    }

    fn record(&self, it: &Break) -> BreakRecord {
        let (a, b): (Vec<&Item>, Vec<&Item>) = (self.items(Side::A, &it.a).collect(), self.items(Side::B, &it.b).collect());
        let known = self.books.accounts.get(&it.account).filter(|_| self.books.knows(&it.account, it.currency));
        let value_date = a.iter().chain(&b).map(|item| item.value_date).min();
        let (opened, paused) = self.since.get(&it.id).copied().unwrap_or((self.day, 0));
        let age = self.age(it.currency, value_date, opened);
        let sum = |items: &[&Item]| (!items.is_empty()).then(|| items.iter().map(|item| item.amount).sum::<Decimal>());
        let one_currency = a.iter().chain(&b).all(|item| item.currency == it.currency);
        let (amount_a, amount_b) = (sum(&a), sum(&b));
        let by = it.fault.as_ref().map(|fault| fault.by);
        let amount_diff = match by {
            Some(by) => Some(by),
            None if one_currency => Some(amount_a.unwrap_or_default() - amount_b.unwrap_or_default()),
            // What is in two currencies is not subtracted.
            None => None,
        };
        let (exposure, rate) = self.exposure(it, &a, &b, amount_diff);
        let sla_days = self.books.sla_days(it.kind, known.map(|known| known.break_type.as_str()), exposure);
        BreakRecord {
            break_id: it.id.clone(),
            key: key_of(&it.id, 1),
            round: 1,
            kind: it.kind,
            break_type: known.map(|known| known.break_type.clone()),
            account: it.account.clone(),
            account_name: known.map(|known| known.name.clone()),
            asset_class: known.map(|known| known.asset_class.clone()),
            owner: known.map(|known| known.owner.clone()),
            source_systems: known.map(|known| known.systems.to_vec()).unwrap_or_default(),
            currency: it.currency,
            amount_a,
            amount_b,
            amount_diff,
            exposure,
            share: exposure.zip(self.on_account(&it.account, it.currency)).map(|(exposure, there)| {
                // Of an account with nothing on it, whatever is at stake is all.
                exposure.checked_div(there).map_or(Decimal::from(u8::from(!exposure.is_zero())), |share| share.round_dp(4))
            }),
            rate,
            value_date,
            opened,
            day: self.day,
            age,
            sla_days,
            sla: self.books.due(age.saturating_sub(paused), sla_days),
            paused,
            expected: a.iter().any(|item| item.is_expected()),
            why: it.why.clone(),
            title: String::new(),
            about: Vec::new(),
            at: String::new(),
            fault: it.fault.as_ref().map(|fault| fault.kind),
            statement_at: it.fault.as_ref().map(|fault| fault.place.to_string()),
            blocked_by: self.blocked_by(it),
            alike: 1,
            alike_exposure: None,
            booking: Vec::new(),
            message: None,
            days_apart: a.first().zip(b.first()).map(|(one, other)| self.days_apart(one, other)),
            one_reference: self.matcher.one_reference(a.iter().chain(&b).copied()),
            paired: a.first().map(|one| b.iter().map(|other| self.likeness(one, other)).collect()).unwrap_or_default(),
            a: a.iter().map(|item| ItemRecord::of(item)).collect(),
            b: b.iter().map(|item| ItemRecord::of(item)).collect(),
            near: it
                .near
                .iter()
                .map(|near| NearRecord {
                    side: near.side,
                    likeness: near.likeness,
                    same: near.same.iter().map(|same| (*same).to_owned()).collect(),
                    item: ItemRecord::of(&self.sides[near.side as usize][near.item as usize]),
                })
                .collect(),
        }
    }

    fn likeness(&self, one: &Item, other: &Item) -> Likeness {
        let (likeness, same) = if one.currency == other.currency {
            breaks::likeness(self.matcher, &Told::new(self.matcher, one), &Told::new(self.matcher, other))
        } else if self.matcher.one_reference([one, other]) {
            // What is in another currency is only known by its reference.
            (Decimal::new(7, 1), vec!["reference"])
        } else {
            (Decimal::ZERO, Vec::new())
        };
        Likeness { likeness, same: same.into_iter().map(str::to_owned).collect() }
    }

    /// What is on an account in the base currency, if that is known.
    fn on_account(&self, account: &Arc<str>, currency: Currency) -> Option<Decimal> {
        let amount = self.on_accounts.get(&(account.clone(), currency))?;
        amount.checked_mul(self.books.rate(currency, self.day)?.rate)
    }

    /// A statement that does not add up stands against everything on its account.
    fn blocked_by(&self, it: &Break) -> Option<String> {
        let against = self.faults.iter().find(|(_, fault)| fault.account == it.account);
        let against = against.map(|(side, fault)| format!("{} of side {side} at {}: {}", fault.kind, fault.place, fault.what));
        against.or_else(|| {
            let standing = self.standing.iter().find(|(account, _)| *account == it.account);
            standing.map(|(_, why)| why.clone())
        })
    }

    /// What is at stake: the difference where the items are about the same, else all that is missing; in two currencies the
    /// larger of both.
    fn exposure(&self, it: &Break, a: &[&Item], b: &[&Item], difference: Option<Decimal>) -> (Option<Decimal>, Option<String>) {
        let worth = |amount: Decimal, currency: Currency| {
            let rate = self.books.rate(currency, self.day)?;
            Some((amount.abs().checked_mul(rate.rate)?.round_dp(2), rate))
        };
        let told = |currency: Currency, rate: &Rate| {
            let Books { base, rates, .. } = self.books;
            (currency != *base).then(|| format!("1 {currency} = {} {base} on {} ({})", rate.rate, rate.day, rates.source))
        };
        let items = || a.iter().chain(b);
        if items().all(|item| item.currency == it.currency) {
            let gross = |items: &[&Item]| items.iter().map(|item| item.amount.abs()).sum::<Decimal>();
            let gross = gross(a).max(gross(b));
            let amount = match (difference, &it.kind) {
                (None, _) | (_, BreakKind::StatementError) => difference,
                // Of what could belong together either way, all that is on the larger side is at stake, whatever it nets to.
                (_, BreakKind::Ambiguous | BreakKind::ReferenceDiff | BreakKind::DateDiff | BreakKind::StatusDiff) => Some(gross),
                (Some(difference), _) => Some(self.apart(a, b, gross).max(difference.abs())),
            };
            let Some(amount) = amount else { return (None, None) };
            return match worth(amount, it.currency) {
                Some((worth, rate)) => (Some(worth), told(it.currency, &rate)),
                None => (None, Some(format!("there is no rate of {} until {}", it.currency, self.day))),
            };
        }
        // In several currencies the larger side counts, each entry by its own rate.
        let worths = |items: &[&Item]| -> Option<Vec<_>> {
            items.iter().map(|item| worth(item.amount, item.currency).map(|(worth, rate)| (worth, item.currency, rate))).collect()
        };
        let Some((a, b)) = worths(a).zip(worths(b)) else {
            return (None, Some(format!("one of the currencies has no rate until {}", self.day)));
        };
        let mut rates: Vec<String> = a.iter().chain(&b).filter_map(|(_, currency, rate)| told(*currency, rate)).collect();
        rates.sort_unstable();
        rates.dedup();
        let sum = |all: &[(Decimal, Currency, Rate)]| all.iter().map(|(worth, ..)| *worth).sum::<Decimal>();
        (Some(sum(&a).max(sum(&b))), (!rates.is_empty()).then(|| rates.join("; ")))
    }

    /// What is at stake of a pair besides the difference of its amounts: all of it where one of both is not booked or they lie far apart,
    /// and a part of it where their quantities or prices differ.
    fn apart(&self, a: &[&Item], b: &[&Item], gross: Decimal) -> Decimal {
        let ([one], [other]) = (a, b) else { return Decimal::ZERO };
        if one.status.is_some() || other.status.is_some() || self.days_apart(one, other) > self.matcher.settings.days {
            return gross;
        }
        let share = |of: fn(&Item) -> Option<Decimal>| {
            let (one, other) = of(one).zip(of(other))?;
            (one - other).abs().checked_div(one.abs().max(other.abs()))
        };
        let shares = [share(|item| item.quantity), share(|item| item.price)];
        match shares.into_iter().flatten().max().filter(|share| !share.is_zero()) {
            Some(share) => gross * share,
            None if one.amount == other.amount => gross,
            None => Decimal::ZERO,
        }
    }

    fn days_apart(&self, one: &Item, other: &Item) -> u32 {
        self.matcher.calendar.between(one.currency, one.value_date, other.value_date)
    }

    // -- what is to be booked

    pub(super) fn adjustment(&self, it: &Match) -> Option<Adjustment> {
        if it.standing != Standing::Matched || it.difference.is_zero() {
            return None;
        }
        let first = self.items(Side::A, &it.a).chain(self.items(Side::B, &it.b)).next()?;
        // What is not booked yet is in no balance: its difference is booked when it is.
        if first.status.is_some() {
            return None;
        }
        let name = first.reference.as_deref().map_or_else(|| first.place.to_string(), str::to_owned);
        Some(Adjustment {
            reference: format!("ADJ-{name}"),
            account: first.account.clone(),
            currency: first.currency,
            amount: it.difference,
            day: self.day,
            why: it.why.clone(),
            at: self.places(it),
            legs: legs(&first.account, it.difference),
        })
    }

    // -- accounts

    pub(super) fn accounts(
        &self,
        statements: &[Vec<Statement>; 2],
        left: &[Vec<Known>; 2],
        checks: &[books::Checks; 2],
        found: &Reconciled,
        carrying: &Carrying,
        adjustments: &[Adjustment],
    ) -> Vec<AccountRecord> {
        let mut accounts: BTreeMap<(Arc<str>, Currency), AccountRecord> = BTreeMap::new();
        let name = |account: &Arc<str>| self.books.accounts.get(account).map_or_else(|| account.to_string(), |known| known.name.clone());
        let empty = |account: &Arc<str>, currency: Currency| AccountRecord {
            account: account.clone(),
            name: name(account),
            currency,
            a: BookRecord::default(),
            b: BookRecord::default(),
            matched: 0,
            adjustments: Decimal::ZERO,
            closed: Decimal::ZERO,
            booked: Decimal::ZERO,
            proof: None,
        };
        macro_rules! of {
            ($account:expr, $currency:expr) => {
                accounts.entry(($account.clone(), $currency)).or_insert_with(|| empty($account, $currency))
            };
        }
        for (side, statements) in [Side::A, Side::B].into_iter().zip(statements) {
            for statement in statements {
                let book = of!(&statement.account, statement.currency).book(side);
                let amount = |balance: &Option<books::Balance>| balance.as_ref().map(|balance| balance.amount);
                book.opening = book.opening.or(amount(&statement.opening));
            }
            // What there is in the end is what the checks say: behind entries of which no balance is stated nobody knows.
            for known in &checks[side as usize].left {
                of!(&known.account, known.currency).book(side).closing = known.closing;
            }
            for known in &left[side as usize] {
                let book = of!(&known.account, known.currency).book(side);
                book.opening = book.opening.or(known.closing);
            }
        }
        let came = statements.each_ref().map(|all| all.iter().map(|it| (&it.account, it.currency)).collect::<HashSet<_>>());
        for (side, other) in [(Side::A, Side::B), (Side::B, Side::A)] {
            // Of books that state no balances nobody knows whether a day without entries is one without a statement.
            for known in left[side as usize].iter().filter(|known| known.stated) {
                let [this, other] = [side, other].map(|side| came[side as usize].contains(&(&known.account, known.currency)));
                let book = of!(&known.account, known.currency).book(side);
                book.missing = !this && other;
                book.unsaid = this && known.closing.is_some() && book.closing.is_none();
            }
        }
        for (side, open) in [(Side::A, &found.open_a), (Side::B, &found.open_b)] {
            let open: HashSet<u32> = open.iter().copied().collect();
            for (place, item) in (0..).zip(self.sides[side as usize]) {
                let account = of!(&item.account, item.currency);
                let is_open = open.contains(&place);
                account.matched += usize::from(!is_open);
                let book = account.book(side);
                if (place as usize) < carrying.from[side as usize].len() {
                    book.carried += 1;
                } else {
                    book.items += 1;
                    book.amount += item.amount;
                }
                if is_open {
                    book.open += 1;
                    book.open_amount += if item.status.is_none() { item.amount } else { Decimal::ZERO };
                }
            }
        }
        adjustments.iter().for_each(|it| of!(&it.account, it.currency).adjustments += it.amount);
        carrying.closed.iter().for_each(|it| of!(&it.account, it.currency).closed += it.amount);
        for (account, currency, amount) in carrying.expects.iter().filter_map(Expected::booked) {
            of!(account, currency).booked += amount;
        }
        for account in accounts.values_mut() {
            let explained = account.a.open_amount - account.b.open_amount + account.adjustments + account.closed - account.booked;
            account.proof = account.a.closing.zip(account.b.closing).map(|(a, b)| a - b - explained);
        }
        accounts.into_values().collect()
    }

    // -- what was matched, one by one

    pub(super) fn write_matched(
        &self,
        world: &dyn World,
        out: &str,
        found: &Reconciled,
        settled: &[(Side, Item)],
    ) -> Result<WrittenFile, String> {
        let path = format!("{out}/{}/matched.csv", self.day);
        let mut rows = csv::Writer::from_writer(Vec::new());
        let wrong = |wrong: csv::Error| format!("{path} could not be written: {wrong}");
        rows.write_record([
            "match",
            "pass",
            "side",
            "at",
            "account",
            "currency",
            "amount",
            "value_date",
            "reference",
            "difference",
            "why",
            "counterparty",
            "quantity",
            "bank_reference",
            "status",
            "text",
        ])
        .map_err(wrong)?;
        let mut row = |number: String, pass: String, side: Side, item: &Item, difference: String, why: &str| {
            let harmless = crate::report::harmless;
            let text = |text: &Option<Arc<str>>| harmless(text.as_deref().unwrap_or_default());
            let quantity = item.quantity.map(|quantity| quantity.to_string()).unwrap_or_default();
            let (at, account, currency) = (item.place.to_string(), item.account.to_string(), item.currency.to_string());
            let (amount, value_date) = (item.amount.to_string(), item.value_date.to_string());
            let (reference, party) = (text(&item.reference), text(&item.counterparty));
            let (bank_reference, status) = (text(&item.bank_reference), text(&item.status));
            let cells = [
                number,
                pass,
                side.to_string(),
                at,
                account,
                currency,
                amount,
                value_date,
                reference,
                difference,
                harmless(why),
                party,
                quantity,
                bank_reference,
                status,
                harmless(&item.text),
            ];
            rows.write_record(&cells).map_err(wrong)
        };
        for (number, it) in found.matches.iter().filter(|it| it.standing == Standing::Matched).enumerate() {
            let items =
                self.items(Side::A, &it.a).map(|item| (Side::A, item)).chain(self.items(Side::B, &it.b).map(|item| (Side::B, item)));
            for (side, item) in items {
                row((number + 1).to_string(), it.pass.to_string(), side, item, it.difference.to_string(), &it.why)?;
            }
        }
        // What was settled since the day before is nothing that may come again either.
        for (side, item) in settled {
            row(String::new(), "settled".to_owned(), *side, item, String::new(), "it was settled as a break")?;
        }
        let bytes = rows.into_inner().map_err(|wrong| format!("{path} could not be written: {wrong}"))?;
        world.write(&path, &bytes)?;
        Ok(WrittenFile::of(path, &bytes))
    }
}

impl AccountRecord {
    fn book(&mut self, side: Side) -> &mut BookRecord {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }
}
