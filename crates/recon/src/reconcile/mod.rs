//! One day: files are read and checked, what belongs together is matched, and what does not is a break that is known tomorrow.

mod carrying;
mod files;
mod seen;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Date;
use quorate_core::RunId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::booking::{Expected, Posts};
use crate::books::{self, Fault, FaultKind, Known};
use crate::breaks::{Besides, breaks};
use crate::record::{BreakRecord, Due, ItemRecord, Leg};
use crate::report::WrittenFile;
use crate::settings::Books;
use crate::world::World;
use crate::{BreakKind, Currency, Item, Match, Pass, Reconciled, Side, Standing, exact, signing};
use carrying::{Before, Carrying};
use files::read_all;
use seen::match_all;
use work::Work;

/// Days on which an entry may have been matched already that comes once more.
pub const MAX_DAYS_BACK: usize = 5;

/// What came of a day.
#[derive(Clone, Debug, Serialize)]
pub struct Day {
    /// The day.
    pub day: Date,
    /// The day that it goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Date>,
    /// The run that reconciled that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_run: Option<String>,
    /// The currency in which exposures are measured.
    pub base: Currency,
    /// The files that were read.
    pub files: Vec<FileRecord>,
    /// What does not add up in them.
    pub faults: Vec<FaultRecord>,
    /// How many statements were checked.
    pub statements: usize,
    /// How many of them state what there was before and after.
    pub stated: usize,
    /// How many of them were held against the one before them.
    pub linked: usize,
    /// How many have one before them, and what one of both states is not enough for that.
    pub unlinked: usize,
    /// What each pass matched.
    pub passes: Vec<PassRecord>,
    /// Differences within tolerance that are to be booked.
    pub adjustments: Vec<Adjustment>,
    /// The accounts, with what explains their difference.
    pub accounts: Vec<AccountRecord>,
    /// What is open.
    pub breaks: Vec<BreakRecord>,
    /// Where the entries of each of them stand in the files of today, or where they stood: a case that goes on knows them as they were.
    pub places: Vec<String>,
    /// How many business days the oldest item of each of them is old: the case of a break may be of an earlier day.
    pub ages: Vec<u32>,
    /// How the time of each of them stands.
    pub due: Vec<Due>,
    /// What was open the day before, and is not any more.
    pub cleared: Vec<Cleared>,
    /// Cases that need no answer any more.
    pub withdrawn: Vec<Withdrawn>,
    /// How people answered on the cases of the day before.
    pub answers: Answers,
    /// What people closed although nothing belongs to it.
    pub closed: Vec<Closed>,
    /// What the ledger is to bring, as it was known when the day began.
    pub expects: Vec<Expected>,
    /// How the accounts of both sides are left.
    pub left: [Vec<Known>; 2],
    /// The file that lists what was matched.
    pub matched_file: Option<WrittenFile>,
    /// Those of the days before it, the newest last.
    pub matched_before: Vec<WrittenFile>,
    /// Those of them in which nothing was looked up, since they are not what was written.
    pub not_seen: Vec<String>,
}

/// A file that was read.
#[derive(Clone, Debug, Serialize)]
pub struct FileRecord {
    /// Its side.
    pub side: Side,
    /// Its path in the project.
    pub file: String,
    /// The digest of its bytes.
    pub sha256: String,
    /// How many statements are in it.
    pub statements: usize,
    /// How many entries.
    pub items: usize,
}

/// Something that does not add up.
#[derive(Clone, Debug, Serialize)]
pub struct FaultRecord {
    /// The side.
    pub side: Side,
    /// What.
    pub kind: FaultKind,
    /// The account.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Currency,
    /// Where.
    pub at: String,
    /// By how much.
    #[serde(with = "exact")]
    pub by: Decimal,
    /// In words.
    pub what: String,
}

/// What a pass matched.
#[derive(Clone, Debug, Serialize)]
pub struct PassRecord {
    /// The pass.
    pub pass: Pass,
    /// How people call it.
    pub name: String,
    /// How many matches it made.
    pub matches: usize,
    /// Of how many items.
    pub items: usize,
    /// How many more it suggests: people look at these.
    pub suggested: usize,
}

/// A difference that is to be booked in the ledger: an explicit item, with both sides of the entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adjustment {
    /// The reference by which the entry is known when it comes back in a ledger.
    pub reference: String,
    /// The account.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Currency,
    /// What the ledger has to have more.
    #[serde(with = "exact")]
    pub amount: Decimal,
    /// The day that it is for.
    pub day: Date,
    /// Why.
    pub why: String,
    /// The items that it comes from.
    pub at: Vec<String>,
    /// Both sides of the entry: together they are nothing.
    pub legs: Vec<Leg>,
}

/// An account on one side.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BookRecord {
    /// Whether no statement of the day came, though one did before, and one of the other side: it counts as it was left.
    pub missing: bool,
    /// Whether what came does not say what it ends with, though the one before did.
    pub unsaid: bool,
    /// What there was before, where that is stated.
    #[serde(with = "exact::option")]
    pub opening: Option<Decimal>,
    /// What there is after it.
    #[serde(with = "exact::option")]
    pub closing: Option<Decimal>,
    /// Entries of the day.
    pub items: usize,
    /// What they come to.
    #[serde(with = "exact")]
    pub amount: Decimal,
    /// Open items of earlier days.
    pub carried: usize,
    /// Open items.
    pub open: usize,
    /// What they come to.
    #[serde(with = "exact")]
    pub open_amount: Decimal,
}

/// An account, and what explains the difference between its two sides.
#[derive(Clone, Debug, Serialize)]
pub struct AccountRecord {
    /// The account.
    pub account: Arc<str>,
    /// What people call it.
    pub name: String,
    /// Its currency.
    pub currency: Currency,
    /// The statement's side.
    pub a: BookRecord,
    /// The ledger's side.
    pub b: BookRecord,
    /// Items that are matched, of both sides.
    pub matched: usize,
    /// What is matched within tolerance, and to be booked.
    #[serde(with = "exact")]
    pub adjustments: Decimal,
    /// What people closed although nothing belongs to it.
    #[serde(with = "exact")]
    pub closed: Decimal,
    /// What was booked before and stands in the ledger already, of breaks that are there.
    #[serde(with = "exact")]
    pub booked: Decimal,
    /// What nothing explains: it must be zero. Nothing where a balance is not stated.
    #[serde(with = "exact::option")]
    pub proof: Option<Decimal>,
}

/// A break that is one no more.
#[derive(Clone, Debug, Serialize)]
pub struct Cleared {
    /// Its name.
    pub break_id: String,
    /// What was wrong.
    pub kind: BreakKind,
    /// How that came.
    pub why: String,
}

/// A case that needs no answer any more.
#[derive(Clone, Debug, Serialize)]
pub struct Withdrawn {
    /// Its run.
    pub run: String,
    /// The break that it was about.
    pub break_id: String,
    /// Why.
    pub reason: String,
    /// Whether it is not the case itself, but what would have woken up for it.
    pub recheck: bool,
}

/// How people answered, and whether they agreed with what was proposed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Answers {
    /// Cases on which they answered.
    pub answered: usize,
    /// Those of them on which they agreed.
    pub agreed: usize,
}

/// Something that people closed although nothing belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Closed {
    /// The break.
    pub break_id: String,
    /// The key of its case, by which it is opened again.
    pub key: String,
    /// The side of the entry.
    pub side: Side,
    /// The entry; nothing of a statement that does not add up.
    pub item: Option<ItemRecord>,
    /// The account.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Currency,
    /// What A has more than B by it.
    #[serde(with = "exact")]
    pub amount: Decimal,
    /// Who did.
    pub by: Option<String>,
    /// Since which day.
    pub since: Date,
    /// On which day it was met.
    #[serde(default)]
    pub opened: Option<Date>,
    /// The statement that does not add up, as it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Box<BreakRecord>>,
}

/// Which day is reconciled.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The file of settings.
    pub settings: &'a str,
    /// The day.
    pub day: Date,
    /// The folder in which what was matched is listed, if it is to be.
    pub out: Option<&'a str>,
    /// The run that it is a part of.
    pub run: RunId,
    /// The task.
    pub task: &'a str,
    /// The workflow that signs a day, and books what was decided.
    pub signs: &'a str,
}

/// Reconciles a day.
///
/// # Errors
/// What keeps it from being reconciled: files that cannot be read, all of them with their mistakes; settings that are wrong; more
/// breaks than the settings allow.
pub fn reconcile(world: &dyn World, asked: &Asked<'_>) -> Result<Day, String> {
    let Asked { settings, day, out, run, task, signs } = *asked;
    let books = Books::of(world.settings(settings)?).map_err(|wrong| format!("{settings}: {wrong}"))?;
    let (before_run, before): (Option<String>, Option<Before>) = match world.before(run, task, day)? {
        Some(past) => {
            let read = serde_json::from_value(past.output).map_err(|wrong| format!("what the day before left cannot be read: {wrong}"))?;
            (Some(past.run), Some(read))
        }
        None => (None, None),
    };
    let matcher = books.matcher(day);
    let (mut statements, files) = read_all(world, &books, day)?;
    let left = before.as_ref().map(|before| before.left.clone()).unwrap_or_default();
    let is_known = |account: &str, currency: Currency| books.knows(account, currency);
    let checks = [0, 1].map(|side: usize| books::check(&mut statements[side], &is_known, &left[side]));
    let faults: Vec<(Side, Fault)> = [Side::A, Side::B]
        .into_iter()
        .zip(&checks)
        .flat_map(|(side, checks)| checks.faults.iter().map(move |fault| (side, fault.clone())))
        .collect();
    let matched_before: Vec<WrittenFile> = before.as_ref().map(Before::matched).unwrap_or_default();
    let posts = Posts::read(world.outputs_of(signs, signing::POSTS)?)?;
    let mut carrying = Carrying::of(world, before, &posts)?;
    carrying.replace(&statements, &matcher);
    carrying.book_ahead(day, &statements, &posts);
    let sides = [0, 1].map(|side: usize| {
        let today = statements[side].iter_mut().flat_map(|statement| std::mem::take(&mut statement.items));
        std::mem::take(&mut carrying.items[side]).into_iter().chain(today).collect::<Vec<Item>>()
    });
    let [a, b] = &sides;
    let (found, seen, not_seen) = match_all(world, &matcher, &matched_before, &carrying, [a, b]);
    conserved(&found, a, b)?;
    let mut all = breaks(&matcher, &found, a, b, &Besides { faults: &faults, there_before: &seen });
    carrying.keep_names(&mut all, [a, b]);
    if all.len() > books.most_breaks {
        let (count, most) = (all.len(), books.most_breaks);
        return Err(format!(
            "there are {count} breaks, and more than {most} say that these books do not belong together; `most_breaks` in {settings} is that limit"
        ));
    }
    let standing = carrying.standing_faults();
    let since = carrying.since(&books, &matcher, day);
    let mut on_accounts: HashMap<(Arc<str>, Currency), Decimal> = HashMap::new();
    for (known, closing) in checks.iter().flat_map(|checks| &checks.left).filter_map(|known| Some((known, known.closing?))) {
        let most = on_accounts.entry((known.account.clone(), known.currency)).or_default();
        *most = closing.abs().max(*most);
    }
    let work = Work { books: &books, matcher: &matcher, day, sides: [a, b], faults: &faults, standing: &standing, since, on_accounts };
    let mut records = work.records(&all);
    let now: HashMap<String, String> = records.iter().map(|it| (it.break_id.clone(), it.places())).collect();
    carrying.go_on(day, &mut records);
    for record in &mut records {
        next_round(world, record)?;
    }
    let adjustments: Vec<Adjustment> = found.matches.iter().filter_map(|it| work.adjustment(it)).collect();
    let accounts = work.accounts(&statements, &left, &checks, &found, &carrying, &adjustments);
    let (cleared, mut withdrawn) = carrying.gone(&records, &work, &found);
    withdrawn.extend(superseded(world, &world.earlier(run, task, day)?, &records)?);
    let mut met = HashSet::new();
    withdrawn.retain(|it| met.insert(it.run.clone()));
    let matched_file = match out {
        Some(out) => Some(work.write_matched(world, out, &found, &carrying.settled)?),
        None => None,
    };
    let all_statements = || statements.iter().flatten().chain(checks.iter().flat_map(|checks| &checks.set_aside));
    let ages: Vec<u32> = records.iter().map(|it| work.age(it.currency, it.value_date, it.opened)).collect();
    Ok(Day {
        day,
        before: carrying.day,
        before_run,
        base: books.base,
        files,
        faults: faults.iter().map(|(side, fault)| FaultRecord::of(*side, fault)).collect(),
        stated: all_statements().filter(|statement| statement.opening.is_some() && statement.closing.is_some()).count(),
        statements: all_statements().count(),
        linked: checks.iter().map(|checks| checks.linked).sum(),
        unlinked: checks.iter().map(|checks| checks.unlinked).sum(),
        passes: passes(&found),
        adjustments,
        accounts,
        due: records.iter().zip(&ages).map(|(it, age)| books.due(age.saturating_sub(it.paused), it.sla_days)).collect(),
        places: records.iter().map(|it| now.get(&it.break_id).cloned().unwrap_or_else(|| it.places())).collect(),
        ages,
        breaks: records,
        cleared,
        withdrawn,
        answers: carrying.answers(),
        closed: carrying.closed,
        expects: carrying.expects,
        left: checks.map(|checks| checks.left),
        matched_file,
        matched_before,
        not_seen,
    })
}

/// The case of a break is about just this: where there is one for the same day that is, whichever it is, it goes on; else there is a new one,
/// known by the name of the break and the next number. So days that are reconciled anew find their cases, whatever came between.
fn next_round(world: &dyn World, record: &mut BreakRecord) -> Result<(), String> {
    let withdrawn = |key: &str| Ok::<bool, String>(world.fate(key)?.is_some_and(|fate| fate.withdrawn));
    let (mut number, mut found) = (1, None);
    loop {
        let key = key_of(&record.break_id, number);
        let Some(known) = world.case(&key)? else { break };
        number += 1;
        let Ok(known) = serde_json::from_value::<BreakRecord>(known) else { continue };
        let same = known == BreakRecord { round: known.round, key: known.key.clone(), ..record.clone() };
        if !same && (known.day != record.day || !known.is_like(record)) {
            continue;
        }
        // What people were asked on that day, and have said, stands as long as it is about the same; what agents decided is decided anew.
        let fate = signing::fate_of(world, &key)?.unwrap_or_default();
        // One that was taken back is no case any more.
        if (same || fate.asks || fate.by.is_some()) && !fate.withdrawn && !withdrawn(&signing::recheck_of(&key))? {
            found = Some(known);
        }
    }
    match found {
        Some(known) => *record = known,
        None => (record.round, record.key) = (number, key_of(&record.break_id, number)),
    }
    Ok(())
}

fn key_of(break_id: &str, round: u32) -> String {
    format!("{break_id}/{round}")
}

/// Cases that earlier reconciliations of the same day opened, and that this one knows nothing of.
fn superseded(world: &dyn World, earlier: &[Value], records: &[BreakRecord]) -> Result<Vec<Withdrawn>, String> {
    #[derive(Deserialize)]
    struct Opened {
        breaks: Vec<Known>,
    }
    #[derive(Deserialize)]
    struct Known {
        break_id: String,
        key: String,
    }
    let mut known: HashSet<String> = records.iter().map(|record| record.key.clone()).collect();
    let mut withdrawn = Vec::new();
    for output in earlier {
        let Ok(Opened { breaks }) = serde_json::from_value(output.clone()) else { continue };
        for Known { break_id, key } in breaks {
            if !known.insert(key.clone()) {
                continue;
            }
            for (key, recheck) in [(key.clone(), false), (signing::recheck_of(&key), true)] {
                // One that was taken back already is taken back again without harm.
                let open = world.fate(&key)?.filter(|fate| fate.open || fate.withdrawn);
                let reason = "the day was reconciled anew".to_owned();
                withdrawn.extend(open.map(|fate| Withdrawn { run: fate.run, break_id: break_id.clone(), reason, recheck }));
            }
        }
    }
    Ok(withdrawn)
}

impl FaultRecord {
    fn of(side: Side, fault: &Fault) -> FaultRecord {
        let Fault { kind, place, account, currency, by, what } = fault.clone();
        FaultRecord { side, kind, account, currency, at: place.to_string(), by, what }
    }
}

// -- what came in is what is matched and what is open

/// What was promised: every item is matched once or open, in count and in amount.
fn conserved(found: &Reconciled, a: &[Item], b: &[Item]) -> Result<(), String> {
    for (side, items, open) in [(Side::A, a, &found.open_a), (Side::B, b, &found.open_b)] {
        let matched = found.matches.iter().filter(|it| it.standing == Standing::Matched);
        let mut left: Vec<bool> = vec![true; items.len()];
        let all = matched.flat_map(|it| if side == Side::A { &it.a } else { &it.b }).chain(open);
        let mut count = 0;
        for place in all {
            count += 1;
            left[*place as usize] = false;
        }
        if count != items.len() || left.iter().any(|left| *left) {
            return Err(format!(
                "side {side} has {} items, and {count} are matched or open: this is a defect of the matching",
                items.len()
            ));
        }
    }
    Ok(())
}

fn passes(found: &Reconciled) -> Vec<PassRecord> {
    let of = |pass: Pass| {
        let its = found.matches.iter().filter(|it| it.pass == pass);
        let (matched, suggested): (Vec<&Match>, Vec<&Match>) = its.partition(|it| it.standing == Standing::Matched);
        let items = matched.iter().map(|it| it.a.len() + it.b.len()).sum();
        PassRecord { pass, name: pass.to_string(), matches: matched.len(), items, suggested: suggested.len() }
    };
    Pass::ALL.into_iter().map(of).collect()
}
