//! One day: files are read and checked, what belongs together is matched, and what does not is a break that is known tomorrow.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use jiff::civil::Date;
use quorate_core::RunId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::booking::{self, Became, Booking, Expected, Posts};
use crate::books::{self, Fault, FaultKind, Known, Statement};
use crate::breaks::{self, Besides, Repeated, Told, breaks};
use crate::record::{BreakRecord, Due, ItemRecord, Leg, Likeness, NearRecord, Settled, bucket, legs};
use crate::report::WrittenFile;
use crate::settings::{Books, Feed, Rate};
use crate::world::{Fate, NoFile, World};
use crate::{Break, BreakKind, Currency, Item, Match, Matcher, Pass, Place, Reconciled, Side, Standing, exact, signing, words};

/// How many business days may lie between the value dates of what is pending and of what is booked for it.
const MAX_APART: u32 = 10;
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

/// What the next day has to know of this one.
#[derive(Debug, Deserialize)]
struct Before {
    day: Date,
    breaks: Vec<BreakRecord>,
    adjustments: Vec<Adjustment>,
    closed: Vec<Closed>,
    expects: Vec<Expected>,
    left: [Vec<Known>; 2],
    matched_file: Option<WrittenFile>,
    #[serde(default)]
    matched_before: Vec<WrittenFile>,
}

impl Before {
    /// The files that list what was matched, until that day: the newest last.
    fn matched(&self) -> Vec<WrittenFile> {
        let all: Vec<WrittenFile> = self.matched_before.iter().chain(&self.matched_file).cloned().collect();
        all[all.len().saturating_sub(MAX_DAYS_BACK)..].to_vec()
    }
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
    /// What was booked for the day itself, and stands in its ledger already.
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

// -- files

fn read_all(world: &dyn World, books: &Books, day: Date) -> Result<([Vec<Statement>; 2], Vec<FileRecord>), String> {
    let (mut statements, mut files, mut wrong): ([Vec<Statement>; 2], _, Vec<String>) = (Default::default(), Vec::new(), Vec::new());
    for (side, feeds) in [(Side::A, &books.feeds.a), (Side::B, &books.feeds.b)] {
        for feed in feeds {
            match read_one(world, feed, side, day) {
                Ok(Some((record, found))) => {
                    files.push(record);
                    statements[side as usize].extend(found);
                }
                Ok(None) => {}
                Err(what) => wrong.push(what),
            }
        }
    }
    if wrong.is_empty() { Ok((statements, files)) } else { Err(wrong.join("; ")) }
}

fn read_one(world: &dyn World, feed: &Feed, side: Side, day: Date) -> Result<Option<(FileRecord, Vec<Statement>)>, String> {
    let file = feed.file_of(day);
    let format = feed.format(|name| world.settings(name))?;
    let from = match world.open(&file) {
        Ok(from) => from,
        Err(NoFile::Missing) if feed.optional => return Ok(None),
        Err(NoFile::Missing) => return Err(format!("there is no file {file}; a feed that does not come every day is `optional`")),
        Err(NoFile::Other(why)) => return Err(format!("{file} could not be read: {why}")),
    };
    let mut hashing = Hashing { from, hasher: Sha256::new() };
    let found =
        books::read(&file, &format, feed.encoding, BufReader::with_capacity(1 << 16, &mut hashing)).map_err(|wrong| wrong.to_string())?;
    // Whatever stands behind the end of what was read is a part of the file as well.
    std::io::copy(&mut hashing, &mut std::io::sink()).map_err(|wrong| format!("{file} could not be read: {wrong}"))?;
    let sha256 = words::hex(&hashing.hasher.finalize());
    let items = found.iter().map(|statement| statement.items.len()).sum();
    Ok(Some((FileRecord { side, file, sha256, statements: found.len(), items }, found)))
}

/// Puts together the digest of what is read through it.
struct Hashing {
    from: Box<dyn BufRead + Send>,
    hasher: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.hasher.update(&into[..read]);
        Ok(read)
    }
}

impl FaultRecord {
    fn of(side: Side, fault: &Fault) -> FaultRecord {
        let Fault { kind, place, account, currency, by, what } = fault.clone();
        FaultRecord { side, kind, account, currency, at: place.to_string(), by, what }
    }
}

// -- what was there before

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
        let mut hashing = Hashing { from, hasher: Sha256::new() };
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
        if read.is_ok() && words::hex(&hashing.hasher.finalize()) == file.sha256 {
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
fn match_all(
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

struct Work<'w> {
    books: &'w Books,
    matcher: &'w Matcher,
    day: Date,
    sides: [&'w [Item]; 2],
    faults: &'w [(Side, Fault)],
    /// What did not add up on earlier days and was not closed: by account.
    standing: &'w [(Arc<str>, String)],
    /// On which day breaks were met that were there before, and how many days of theirs do not count; by their names.
    since: HashMap<String, (Date, u32)>,
    /// What is on the accounts, on the side that has more.
    on_accounts: HashMap<(Arc<str>, Currency), Decimal>,
}

impl Work<'_> {
    fn items(&self, side: Side, places: &[u32]) -> impl Iterator<Item = &Item> {
        let all = self.sides[side as usize];
        places.iter().map(|place| &all[*place as usize])
    }

    fn places(&self, it: &Match) -> Vec<String> {
        self.items(Side::A, &it.a).chain(self.items(Side::B, &it.b)).map(|item| item.place.to_string()).collect()
    }

    // -- breaks

    fn records(&self, all: &[Break]) -> Vec<BreakRecord> {
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
    fn age(&self, currency: Currency, value_date: Option<Date>, opened: Date) -> u32 {
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

    fn adjustment(&self, it: &Match) -> Option<Adjustment> {
        if it.standing != Standing::Matched || it.difference.is_zero() {
            return None;
        }
        let first = self.items(Side::A, &it.a).chain(self.items(Side::B, &it.b)).next()?;
        // What is not booked yet is in no balance: its difference is booked when it is.
        if first.status.is_some() {
            return None;
        }
        let name = first.reference.as_deref().map_or_else(|| first.place.to_string(), str::to_owned);
        Some(Adjustment::new(
            format!("ADJ-{name}"),
            &first.account,
            first.currency,
            it.difference,
            self.day,
            it.why.clone(),
            self.places(it),
        ))
    }

    // -- accounts

    fn accounts(
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
        carrying.ahead.iter().for_each(|it| of!(&it.account, it.currency).booked += it.amount);
        for account in accounts.values_mut() {
            let explained = account.a.open_amount - account.b.open_amount + account.adjustments + account.closed - account.booked;
            account.proof = account.a.closing.zip(account.b.closing).map(|(a, b)| a - b - explained);
        }
        accounts.into_values().collect()
    }

    // -- what was matched, one by one

    fn write_matched(&self, world: &dyn World, out: &str, found: &Reconciled, settled: &[(Side, Item)]) -> Result<WrittenFile, String> {
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

impl Adjustment {
    fn new(
        reference: String,
        account: &Arc<str>,
        currency: Currency,
        amount: Decimal,
        day: Date,
        why: String,
        at: Vec<String>,
    ) -> Adjustment {
        let legs = legs(account, amount);
        Adjustment { reference, account: account.clone(), currency, amount, day, why, at, legs }
    }
}

// -- what goes on from the day before

/// What the day before left open.
#[derive(Default)]
struct Carrying {
    day: Option<Date>,
    /// Open items of both sides: they come before those of the day.
    items: [Vec<Item>; 2],
    /// For each of them the break that it was in.
    from: [Vec<Option<usize>>; 2],
    /// Where those stand by now that were not booked yet.
    replaced: HashMap<Place, Place>,
    /// And in which break they were.
    came_from: HashMap<Place, Option<usize>>,
    /// The breaks, and what became of their cases.
    breaks: Vec<(BreakRecord, Option<Fate>)>,
    /// For each of them the run that wakes up for it, as long as that is open.
    rechecks: Vec<Option<String>>,
    closed: Vec<Closed>,
    /// The entries of breaks that were settled since the last day.
    settled: Vec<(Side, Item)>,
    /// What is opened again that was closed before the last day, and on which day it was met.
    reopened: Vec<(String, Date)>,
    /// Statements that do not add up, of which that was closed and is opened again.
    faults_again: Vec<(BreakRecord, Option<Fate>)>,
    expects: Vec<Expected>,
    /// What was booked for the day itself, and stands in its ledger already.
    ahead: Vec<Item>,
}

impl Carrying {
    fn of(world: &dyn World, before: Option<Before>, posts: &Posts) -> Result<Carrying, String> {
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
    fn replace(&mut self, statements: &[Vec<Statement>; 2], matcher: &Matcher) {
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

    /// What was booked for the day and is in the ledger that is read now is what the statement's side comes to already.
    fn book_ahead(&mut self, day: Date, statements: &[Vec<Statement>; 2], posts: &Posts) {
        let ledger = self.items[1].iter().chain(statements[1].iter().flat_map(|statement| &statement.items));
        self.ahead = booking::ahead(&mut self.expects, day, &self.items[0], ledger, posts);
        for item in self.ahead.clone() {
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

    fn standing_faults(&self) -> Vec<(Arc<str>, String)> {
        let of =
            |(record, _): (&BreakRecord, Option<&Fate>)| (record.account.clone(), format!("{}, open since {}", record.why, record.opened));
        self.faulty().map(of).collect()
    }

    /// The items of both sides that were found to be there once too often on an earlier day, and are there still.
    fn repeated(&self) -> impl Iterator<Item = Repeated> {
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
    fn items_of<'i>(&self, side: Side, sides: [&'i [Item]; 2]) -> impl Iterator<Item = &'i Item> {
        sides[side as usize][..self.from[side as usize].len()].iter()
    }

    fn carry(&mut self, side: usize, item: Item, from: Option<usize>) {
        self.items[side].push(item);
        self.from[side].push(from);
    }

    /// A break of the very same items is the same break. Where they only look alone today, it is what it was: that there was another one like
    /// it, say, is not seen any more. And one that has nothing of what was there before has a name of its own, also where it looks the same.
    fn keep_names(&self, all: &mut [Break], sides: [&[Item]; 2]) {
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
    fn since(&self, books: &Books, matcher: &Matcher, day: Date) -> HashMap<String, (Date, u32)> {
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

    fn answers(&self) -> Answers {
        let agreed = || self.breaks.iter().filter_map(|(_, fate)| fate.as_ref()?.agreed);
        Answers { answered: agreed().count(), agreed: agreed().filter(|agreed| *agreed).count() }
    }

    /// Breaks that were there before go on: with their case, as long as that is open and nothing else is known of them; else with
    /// a new one.
    fn go_on(&self, day: Date, records: &mut Vec<BreakRecord>) {
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
    fn gone(&self, records: &[BreakRecord], work: &Work<'_>, found: &Reconciled) -> (Vec<Cleared>, Vec<Withdrawn>) {
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
