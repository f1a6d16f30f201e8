//! What comes after a day: what is waited for wakes up, and what was decided is signed by a second person and booked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use quorate_core::RunId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::booking::{self, Booking, Expected, Posted, Posts};
use crate::books::FaultKind;
use crate::reconcile::Adjustment;
use crate::record::{BreakRecord, Settled};
use crate::report::WrittenFile;
use crate::settings::Books;
use crate::words::{Less, counted, money, proved, sum};
use crate::world::{Fate, NoFile, Since, World};
use crate::{Currency, exact};

/// By what the run is known that wakes up for a case, beside the key of the case.
pub(crate) fn recheck_of(key: &str) -> String {
    format!("recheck/{key}")
}

/// What became of a case: by itself, or by the people who were asked when what was waited for had not come.
///
/// # Errors
/// Why that cannot be said.
pub(crate) fn fate_of(world: &dyn World, key: &str) -> Result<Option<Fate>, String> {
    let Some(fate) = world.fate(key)? else { return Ok(None) };
    let waits = !fate.open && fate.resolution.as_deref() == Some("wait");
    let later = if waits { world.fate(&recheck_of(key))? } else { None };
    let Some(later) = later else { return Ok(Some(fate)) };
    let heard = fate.heard.iter().chain(&later.heard).cloned().collect();
    Ok(Some(match later.by {
        Some(by) => Fate { resolution: later.resolution, by: Some(by), agreed: later.agreed, heard, ..fate },
        None => Fate { asks: later.asks, heard, ..fate },
    }))
}

// -- what is waited for

/// A day and its cases, as their agents returned them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Waiting {
    day: Option<DayIn>,
    #[serde(default)]
    cases: Vec<CaseIn>,
    /// After how many business days what is waited for should have come.
    days: Option<u32>,
    /// The file of settings, which knows the holidays.
    books: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DayIn {
    day: Date,
    breaks: Vec<BreakRecord>,
}

#[derive(Debug, Deserialize)]
struct CaseIn {
    action: Option<String>,
    with: Option<Value>,
}

/// Business days after which somebody looks again, where the project does not say.
const LOOK_AGAIN: u32 = 3;

/// The cases that are waited for, each with the time at which somebody looks again.
pub(crate) fn waiting(world: &dyn World, wanted: &Waiting) -> Result<Value, String> {
    let settings = wanted.books.as_deref().unwrap_or("books.yaml");
    let calendar = Books::of(world.settings(settings)?).map_err(|wrong| format!("{settings}: {wrong}"))?.calendar();
    let day = wanted.day.as_ref().ok_or("`params.day` is what the reconciliation returned")?;
    let days = wanted.days.unwrap_or(LOOK_AGAIN);
    let waits = |case: &CaseIn| {
        case.action.as_deref() == Some(quorate_core::AUTO_RESOLVE) && case.with.as_ref().is_some_and(|with| with["resolution"] == "wait")
    };
    let waiting = day.breaks.iter().zip(&wanted.cases).filter(|(_, case)| waits(case));
    let all = waiting.map(|(it, _)| {
        let on = calendar.after(it.currency, day.day, days).ok_or_else(|| format!("{} business days after {} there is no day", days, day.day))?;
        let input = json!({ "break_id": it.break_id, "key": it.key, "title": it.title, "about": it.about, "message": it.message, "until": moment(day.day, on)? });
        Ok(json!({ "key": recheck_of(&it.key), "input": input }))
    });
    Ok(json!({ "waiting": all.collect::<Result<Vec<_>, String>>()? }))
}

/// The morning of a day; of books of long ago, as long after now.
fn moment(day: Date, on: Date) -> Result<String, String> {
    let far = |wrong: jiff::Error| format!("{on} is too far away: {wrong}");
    let morning = on.at(9, 0, 0, 0).to_zoned(TimeZone::UTC).map_err(far)?.timestamp();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = Timestamp::from_second(i64::try_from(now).unwrap_or(i64::MAX)).map_err(far)?;
    let later = if morning > now {
        morning
    } else {
        let days = day.until(on).map_err(far)?.get_days();
        now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).map_err(far)?
    };
    Ok(later.to_string())
}

// -- how a day stands by now

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StandingParams {
    day: Option<String>,
    /// The workflow that reconciled it, its task, and the one that wrote the report.
    workflow: Option<String>,
    task: Option<String>,
    report: Option<String>,
    /// Why it is signed although not everything is explained.
    unexplained: Option<String>,
}

/// A day with all that was decided on it since.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    asked: StandingParams,
    day: Date,
    run: String,
    /// Who has to leave it to others to sign: whoever reconciled the day, or decided what is booked for it.
    not_by: Vec<String>,
    breaks: usize,
    /// How they stand, each with the names of the breaks.
    stand: Stand,
    proof: BTreeMap<Currency, Value>,
    not_proved: Vec<String>,
    /// The accounts of which there was more before.
    #[serde(default)]
    less: Less,
    /// The statements that do not add up, as long as nobody has closed that by force.
    #[serde(default)]
    faults: Vec<String>,
    explained: bool,
    /// Why it is signed all the same, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unexplained: Option<String>,
    bookings: Vec<Booking>,
    /// The files of the report, which are as they were written.
    files: Vec<WrittenFile>,
    text: String,
}

/// The breaks of a day, by how they stand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Stand {
    settled_by_agents: Vec<String>,
    settled_by_people: Vec<String>,
    /// Of those that people settled: what they closed although nothing belongs to it, in words.
    closed_by_force: Vec<String>,
    waited_for: Vec<String>,
    /// Somebody asks for it, or corrects it.
    looked_after: Vec<String>,
    /// What was answered cannot be carried out, or changes nothing.
    #[serde(default)]
    open_all_the_same: Vec<String>,
    /// It was closed or matched, and is open again with the next statement.
    #[serde(default)]
    opened_again: Vec<String>,
    unanswered: Vec<String>,
    /// What is not booked, since somebody closed by force what was expected of it; in words.
    #[serde(default)]
    not_booked: Vec<String>,
    /// What the next statement brought, or another reconciliation of the day.
    withdrawn: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Reconciled {
    day: Date,
    breaks: Vec<BreakRecord>,
    adjustments: Vec<Adjustment>,
    accounts: Vec<AccountIn>,
    expects: Vec<Expected>,
}

/// What is known on the days after it.
#[derive(Debug, Default)]
struct Later {
    breaks: Vec<BreakRecord>,
    expects: Vec<Expected>,
}

impl Later {
    /// Reads them, the earliest day first.
    fn read(days: Vec<Value>) -> Result<Later, String> {
        #[derive(Deserialize)]
        struct Day {
            breaks: Vec<BreakRecord>,
            expects: Vec<Expected>,
        }
        let mut all = Later::default();
        for output in days {
            let day: Day = serde_json::from_value(output).map_err(|wrong| format!("what became of a later day cannot be read: {wrong}"))?;
            all.breaks.extend(day.breaks);
            all.expects.extend(day.expects);
        }
        Ok(all)
    }

    /// Whether somebody has closed by force that a statement does not add up, with the last case of it.
    fn closes(&self, world: &dyn World, again: &HashSet<String>, fault: &BreakRecord) -> Result<bool, String> {
        let same = |it: &&BreakRecord| it.break_id == fault.break_id && it.statement_at.is_some() && it.why == fault.why;
        let last = self.breaks.iter().rfind(same).unwrap_or(fault);
        let fate = fate_of(world, &last.key)?;
        Ok(last.settled(fate.as_ref().and_then(Fate::done)) == Settled::Closed && !again.contains(&last.key))
    }

    /// What was expected of the ledger and is closed by force: its place and amount, and who did so. And whoever has said anything on what was
    /// expected.
    fn not_wanted(&self, world: &dyn World, again: &HashSet<String>) -> Result<(NotWanted<'_>, Vec<String>), String> {
        let (mut closed, mut heard): (NotWanted<'_>, Vec<String>) = (HashMap::new(), Vec::new());
        for it in self.breaks.iter().filter(|it| it.expected) {
            let Some(fate) = fate_of(world, &it.key)? else { continue };
            if it.settled(fate.done()) == Settled::Closed && !again.contains(&it.key) {
                closed.extend(it.a.iter().map(|item| ((&*item.at, item.amount), fate.by.clone().unwrap_or_else(|| "nobody".to_owned()))));
            }
            heard.extend(fate.heard);
        }
        Ok((closed, heard))
    }

    /// What is known of a booking on the last day.
    fn of(&self, id: &str) -> Option<&Expected> {
        self.expects.iter().rfind(|it| it.id == id)
    }
}

/// Who closed by force what was expected, by its place and amount.
type NotWanted<'l> = HashMap<(&'l str, Decimal), String>;

#[derive(Debug, Deserialize)]
struct AccountIn {
    name: String,
    currency: Currency,
    a: BookIn,
    b: BookIn,
    #[serde(with = "exact::option")]
    proof: Option<Decimal>,
}

#[derive(Debug, Deserialize)]
struct BookIn {
    #[serde(default)]
    missing: bool,
    #[serde(default)]
    unsaid: bool,
}

#[derive(Debug, Deserialize)]
struct Report {
    files: Vec<WrittenFile>,
}

/// The task of a sign-off that books.
pub(crate) const POSTS: &str = "post";

/// What was decided on the breaks of a day by now.
#[derive(Default)]
struct Decided {
    stand: Stand,
    /// What is to be booked.
    due: Vec<Booking>,
    /// By what that is known that was decided otherwise.
    otherwise: BTreeSet<String>,
    /// The accounts whose statements do not add up: nothing is booked there that nobody has looked at.
    faulty: HashSet<Arc<str>>,
    /// Those of them of which nobody knows what there is: one that came twice says it as well as one that came once.
    unsound: HashSet<Arc<str>>,
    /// What is wrong with these, in words.
    faults: Vec<String>,
    /// Whoever had a say in any of it.
    heard: BTreeSet<String>,
}

impl Decided {
    fn of(world: &dyn World, breaks: &[BreakRecord], later: &Later, again: &HashSet<String>) -> Result<Decided, String> {
        let mut all = Decided::default();
        for it in breaks {
            if it.statement_at.is_some() && !later.closes(world, again, it)? {
                all.faulty.insert(it.account.clone());
                if it.fault != Some(FaultKind::Duplicate) {
                    all.unsound.insert(it.account.clone());
                    let account = it.account_name.as_deref().unwrap_or(&it.account);
                    all.faults.push(format!("{account} {} at {}: {}", it.currency, it.at, it.why));
                }
            }
            match fate_of(world, &it.key)? {
                Some(fate) => all.add(it, &fate, again.contains(&it.key)),
                None => all.stand.unanswered.push(it.break_id.clone()),
            }
        }
        Ok(all)
    }

    fn add(&mut self, it: &BreakRecord, fate: &Fate, is_again: bool) {
        let (name, stand) = (it.break_id.clone(), &mut self.stand);
        let resolution = fate.done();
        let settled = it.settled(resolution);
        self.heard.extend(fate.heard.iter().cloned());
        if fate.withdrawn {
            stand.withdrawn.push(name);
            return;
        }
        if is_again && matches!(settled, Settled::Closed | Settled::Together) {
            stand.opened_again.push(name);
            return;
        }
        match (settled, resolution, &fate.by) {
            _ if fate.asks => stand.unanswered.push(name),
            (Settled::Open, None, _) => stand.unanswered.push(name),
            (Settled::Open, Some("wait"), _) => stand.waited_for.push(name),
            (Settled::Open, Some("chase" | "correct_source"), _) => stand.looked_after.push(name),
            (Settled::Open, Some(_), _) => stand.open_all_the_same.push(name),
            (_, _, Some(_)) => stand.settled_by_people.push(name),
            (_, _, None) => stand.settled_by_agents.push(name),
        }
        if settled == Settled::Booked {
            self.due.push(Booking::decided(it, fate.by.as_deref()));
        } else if resolution.is_some() && !fate.asks {
            self.otherwise.insert(Booking::id_of(it));
        }
        if settled == Settled::Closed {
            stand.closed_by_force.push(format!("{} by {}: {}", it.break_id, fate.by.as_deref().unwrap_or("nobody"), it.title));
        }
    }
}

/// What nothing explains, by currency, and the accounts of which nobody knows.
struct Proof {
    amounts: BTreeMap<Currency, Decimal>,
    not_proved: Vec<String>,
    less: Less,
}

impl Proof {
    fn of(accounts: &[AccountIn]) -> Proof {
        let mut amounts: BTreeMap<Currency, Decimal> = BTreeMap::new();
        for (currency, amount) in accounts.iter().filter_map(|it| Some((it.currency, it.proof?))) {
            *amounts.entry(currency).or_default() += amount.abs();
        }
        let not_proved = accounts.iter().filter(|it| it.proof.is_none()).map(|it| format!("{} {}", it.name, it.currency));
        let mut less = Less::default();
        for it in accounts {
            less.add(&it.name, it.currency, [&it.a, &it.b].map(|book| (book.missing, book.unsaid)));
        }
        Proof { amounts, not_proved: not_proved.collect(), less }
    }

    /// Whether all is explained, as far as that is known of any account.
    fn explained(&self) -> bool {
        !self.amounts.is_empty() && self.amounts.values().all(Decimal::is_zero)
    }

    fn told(&self) -> String {
        proved(&self.amounts, &self.not_proved, &self.less)
    }
}

/// A day as it was reconciled last, and what is to be booked for it by now.
struct ByNow {
    run: String,
    whole: Reconciled,
    stand: Stand,
    bookings: Vec<Booking>,
    /// How many differences are held back, since a statement does not add up.
    held: usize,
    /// The statements that do not, as long as nobody has closed that by force.
    faults: Vec<String>,
    not_by: BTreeSet<String>,
    /// What other sign-offs have booked.
    posts: Posts,
}

impl StandingParams {
    fn named<'p>(given: &'p Option<String>, usual: &'p str) -> &'p str {
        given.as_deref().unwrap_or(usual)
    }

    fn by_now(&self, world: &dyn World, run: RunId) -> Result<ByNow, String> {
        let day = self.day.as_deref().ok_or("`params.day` says which day, as in 2026-03-31")?;
        let day: Date = day.parse().map_err(|_| format!("`{day}` is not a day as in 2026-03-31"))?;
        let workflow = Self::named(&self.workflow, "reconcile");
        let Since { of_day, later } = world.reconciled(workflow, Self::named(&self.task, "books"), day)?;
        let mut all = of_day.into_iter();
        let done = all.next().ok_or_else(|| format!("{day} has not been reconciled yet; `quorate run {workflow}` does it"))?;
        let mut not_by: BTreeSet<String> = all.map(|other| other.by).chain([done.by]).collect();
        let whole: Reconciled =
            serde_json::from_value(done.output).map_err(|wrong| format!("what became of {day} cannot be read: {wrong}"))?;
        let later = Later::read(later)?;
        let again: HashSet<String> = world.opened_again()?.into_iter().collect();
        let decided = Decided::of(world, &whole.breaks, &later, &again)?;
        let posts = Posts::read(world.standing_outputs(run, POSTS)?)?;
        let (lost, kept) = lost(day, &whole, &decided, &later, &posts);
        let Decided { mut stand, mut due, faulty, faults, heard, .. } = decided;
        // Whoever had a say in any of it leaves it to others to sign.
        not_by.extend(heard);
        let (held, let_pass): (Vec<Booking>, Vec<Booking>) =
            whole.adjustments.iter().map(Booking::let_pass).partition(|it| faulty.contains(&it.account));
        due.extend(let_pass);
        let mut bookings = booking::remaining(day, due, &lost, &posts);
        let (not_wanted, heard) = later.not_wanted(world, &again)?;
        not_by.extend(heard);
        let mut held = booking::remaining(day, held, &BTreeSet::new(), &posts);
        // What was booked before it was closed by force is booked, and what was not is not wanted any more.
        let mut is_wanted = |it: &Booking| {
            let known = later.of(&it.id).into_iter().flat_map(|known| known.not_booked(&posts));
            let mut same = known.filter(|stands| stands.amount == it.amount);
            let Some(by) = same.find_map(|stands| not_wanted.get(&(&*stands.at, stands.amount))) else { return true };
            stand.not_booked.push(format!("{} of {}, which {by} closed by force", it.reference, sum(it.amount, it.currency)));
            false
        };
        bookings.retain(&mut is_wanted);
        held.retain(&mut is_wanted);
        let held = held.len() + kept;
        Ok(ByNow { faults, run: done.run, whole, stand, bookings, held, not_by, posts })
    }
}

/// How a day stands by now: what agents settled, what people did, and what is to be booked for it.
pub(crate) fn standing(world: &dyn World, run: RunId, wanted: &StandingParams) -> Result<Standing, String> {
    let ByNow { run, whole, stand, bookings, held, faults, not_by, .. } = wanted.by_now(world, run)?;
    let day = whole.day;
    let files: Report = world
        .output(&run, StandingParams::named(&wanted.report, "report"))?
        .and_then(|output| serde_json::from_value(output).ok())
        .ok_or_else(|| format!("run {run} wrote no report of {day}"))?;
    unchanged(world, &files.files)?;
    let proof = Proof::of(&whole.accounts);
    let explained = proof.explained();
    let unexplained = wanted.unexplained.as_deref().map(str::trim).filter(|why| !why.is_empty());
    // Books that state no balances prove nothing, day after day.
    let open = !explained && !proof.amounts.is_empty() || !faults.is_empty();
    let unexplained = unexplained.filter(|_| open || !explained);
    let rests = if faults.is_empty() { String::new() } else { format!(" This does not add up: {}.", faults.join("; ")) };
    if open && unexplained.is_none() {
        return Err(format!(
            "{}{rests} It is not signed as long as that is so: correct the files and reconcile {day} again; or say why it is signed all the same, as `unexplained`",
            proof.told()
        ));
    }
    let all_the_same = unexplained.map(|why| format!(" It is to be signed all the same: {why}.")).unwrap_or_default();
    let text = format!(
        "Reconciliation of {day}: {}. {}. {}{rests}{all_the_same}",
        stand.told(whole.breaks.len()),
        to_book(&bookings, held, &stand.not_booked),
        proof.told()
    );
    Ok(Standing {
        asked: wanted.clone(),
        day,
        run,
        not_by: not_by.into_iter().collect(),
        breaks: whole.breaks.len(),
        stand,
        proof: proof.amounts.into_iter().map(|(currency, amount)| (currency, json!(money(amount)))).collect(),
        not_proved: proof.not_proved,
        less: proof.less,
        faults,
        explained,
        unexplained: unexplained.map(str::to_owned),
        bookings,
        files: files.files,
        text,
    })
}

/// The bookings that have lost their reason: what was decided otherwise since, on the last day that has the break, or is not there any more.
/// And how many of them stand all the same, since their account does not add up.
fn lost(day: Date, whole: &Reconciled, decided: &Decided, later: &Later, posts: &Posts) -> (BTreeSet<String>, usize) {
    let there: HashSet<String> =
        whole.breaks.iter().map(Booking::id_of).chain(whole.adjustments.iter().map(|it| Booking::let_pass(it).id)).collect();
    let goes_on: HashSet<String> = later.breaks.iter().map(Booking::id_of).collect();
    let known: HashSet<&str> = whole.expects.iter().map(|it| it.id.as_str()).collect();
    let undue = whole.expects.iter().filter(|it| it.due.is_zero() && it.of <= day).map(|it| &it.id).filter(|id| !there.contains(*id));
    let unknown = posts.of_day(day).map(|entry| &entry.id).filter(|id| !there.contains(*id) && !known.contains(id.as_str()));
    let mut lost: BTreeSet<String> =
        decided.otherwise.iter().filter(|id| !goes_on.contains(*id)).chain(undue).chain(unknown).cloned().collect();
    // Of an account that does not add up nobody knows what is lost.
    let mut kept = 0;
    lost.retain(|id| {
        let sound = posts.of(id).iter().all(|entry| !decided.unsound.contains(&entry.account));
        kept += usize::from(!sound && !posts.sum(id).is_zero());
        sound
    });
    (lost, kept)
}

impl Stand {
    /// How the breaks of a day stand, in words.
    fn told(&self, breaks: usize) -> String {
        let also = |names: &[String], what: &str| if names.is_empty() { String::new() } else { format!(", {} {what}", names.len()) };
        format!(
            "of {}, agents settled {} and people {}{}{}{}{}{}{}, and {} still wait for an answer",
            counted(breaks, "break"),
            self.settled_by_agents.len(),
            self.settled_by_people.len(),
            also(&self.closed_by_force, "of them closed by force"),
            also(&self.waited_for, "are waited for"),
            also(&self.looked_after, "are chased or corrected"),
            also(&self.open_all_the_same, "are answered and stay open"),
            also(&self.withdrawn, "were withdrawn since"),
            also(&self.opened_again, "were opened again"),
            self.unanswered.len(),
        )
    }
}

/// What is to be booked, in words, and what is not.
fn to_book(bookings: &[Booking], held: usize, not_booked: &[String]) -> String {
    let mut sums: BTreeMap<Currency, Decimal> = BTreeMap::new();
    bookings.iter().for_each(|it| *sums.entry(it.currency).or_default() += it.amount.abs());
    let sums: Vec<String> = sums.into_iter().map(|(currency, amount)| sum(amount, currency)).collect();
    let mut told = match bookings.len() {
        0 => "Nothing is to be booked".to_owned(),
        1 => format!("One difference is to be booked: {}", sums.join(", ")),
        count => format!("{count} differences are to be booked, in all {}", sums.join(", ")),
    };
    let back = bookings.iter().filter(|it| it.takes_back()).count();
    if back > 0 {
        let take = if back == 1 { "one takes".to_owned() } else { format!("{back} take") };
        told += &format!("; {take} back what was booked before and has no reason any more");
    }
    if held > 0 {
        told += &format!(
            "; {} held back, since a statement of the account does not add up: once somebody has closed that by force, the day is signed once more",
            counted(held, "difference")
        );
    }
    if !not_booked.is_empty() {
        told += &format!("; what is not expected any more is not booked: {}", not_booked.join(", "));
    }
    told
}

/// The files of a report are those that its run wrote.
fn unchanged(world: &dyn World, files: &[WrittenFile]) -> Result<(), String> {
    for file in files {
        let path = &file.path;
        if there(world, path)? != *file {
            return Err(format!("{path} is not what was written any more: reconcile the day again, and look at it before it is signed"));
        }
    }
    Ok(())
}

fn there(world: &dyn World, path: &str) -> Result<WrittenFile, String> {
    let mut bytes = Vec::new();
    let mut from = world.open(path).map_err(|wrong| match wrong {
        NoFile::Missing => format!("there is no {path}: what is signed has to be there"),
        NoFile::Other(why) => format!("{path} could not be read: {why}"),
    })?;
    from.read_to_end(&mut bytes).map_err(|wrong| format!("{path} could not be read: {wrong}"))?;
    Ok(WrittenFile::of(path.to_owned(), &bytes))
}

// -- signed, booked, taken back

#[derive(Debug, Default, Deserialize)]
pub(crate) struct PostParams {
    day: Option<Standing>,
    /// How it was signed.
    signed: Option<Signed>,
    /// What was booked.
    posted: Option<PostedAs>,
    out: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Signed {
    choice: String,
    answers: Vec<SignedBy>,
}

#[derive(Debug, Deserialize)]
struct SignedBy {
    by: String,
    #[serde(default)]
    note: String,
}

#[derive(Debug, Deserialize)]
struct PostedAs {
    file: WrittenFile,
}

impl Signed {
    /// That none of some people has signed it.
    fn leaves_out<'n>(&self, day: Date, not_by: impl IntoIterator<Item = &'n String>) -> Result<(), String> {
        match not_by.into_iter().find(|name| self.answers.iter().any(|answer| answer.by == **name)) {
            Some(name) => Err(format!("{name} had a part in {day}, and somebody else has to sign it")),
            None => Ok(()),
        }
    }
}

impl PostParams {
    fn parts(&self, run: RunId) -> Result<(&Standing, &Signed, String), String> {
        let day = self.day.as_ref().ok_or("`params.day` is how the day stands")?;
        let signed = self.signed.as_ref().ok_or("`params.signed` is how it was signed")?;
        if signed.choice != quorate_core::APPROVE {
            return Err(format!("{} is not signed: the answer was {}", day.day, signed.choice));
        }
        signed.leaves_out(day.day, &day.not_by)?;
        // Each sign-off has files of its own: what was signed once stays as it is.
        let folder = self.out.as_deref().unwrap_or("reports");
        Ok((day, signed, format!("{folder}/{}/signed-{}", day.day, run.short())))
    }
}

/// Writes down what is to be booked, for whatever books it.
pub(crate) fn post(world: &dyn World, run: RunId, wanted: &PostParams) -> Result<Value, String> {
    let (day, signed, folder) = wanted.parts(run)?;
    let by: Vec<&str> = signed.answers.iter().map(|answer| answer.by.as_str()).collect();
    if let Some(unbalanced) = day.bookings.iter().find(|it| !it.legs.iter().map(|leg| leg.amount).sum::<Decimal>().is_zero()) {
        return Err(format!("both sides of {} do not come to nothing: it is not booked", unbalanced.reference));
    }
    // People go on deciding, and signing, while somebody thinks it over.
    let now = day.asked.by_now(world, run)?;
    if let Some(twice) = day.bookings.iter().find(|it| now.posts.sum(&it.id) != it.before) {
        return Err(format!("{} was booked by another sign-off meanwhile; bring the day to be signed once more", twice.reference));
    }
    let entries = |all: &[Booking]| all.iter().map(|it| (it.id.clone(), it.amount)).collect::<BTreeSet<_>>();
    if entries(&now.bookings) != entries(&day.bookings) {
        return Err(format!("what is to be booked for {} is not what was signed any more; bring the day to be signed once more", day.day));
    }
    signed.leaves_out(day.day, &now.not_by)?;
    let path = format!("{folder}/bookings.csv");
    let bytes = table(&day.bookings, Decimal::ONE, &by.join(", ")).map_err(|wrong| format!("{path} could not be written: {wrong}"))?;
    world.write(&path, &bytes)?;
    let posted = Posted { booked: day.bookings.iter().map(Booking::entry).collect() };
    let explanation = format!("{} in {path}", counted(posted.booked.len(), "booking"));
    Ok(json!({ "file": WrittenFile::of(path, &bytes), "booked": posted.booked, "explanation": explanation }))
}

/// The opposite of all that this sign-off booked, so that nothing of it stays.
pub(crate) fn take_back(world: &dyn World, run: RunId, wanted: &PostParams) -> Result<Value, String> {
    let (day, _, folder) = wanted.parts(run)?;
    // What was refused before it was written has booked nothing.
    if let Err(NoFile::Missing) = world.open(&format!("{folder}/bookings.csv")) {
        return Ok(json!({ "file": null }));
    }
    let path = format!("{folder}/bookings-taken-back.csv");
    let bytes =
        table(&day.bookings, Decimal::NEGATIVE_ONE, "taken back").map_err(|wrong| format!("{path} could not be written: {wrong}"))?;
    world.write(&path, &bytes)?;
    Ok(json!({ "file": WrittenFile::of(path, &bytes) }))
}

fn table(bookings: &[Booking], sign: Decimal, signed_by: &str) -> Result<Vec<u8>, csv::Error> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(["reference", "account", "currency", "amount", "why", "at", "decided_by", "signed_by"])?;
    for it in bookings {
        for leg in &it.legs {
            let (amount, currency) = ((leg.amount * sign).to_string(), it.currency.to_string());
            let [reference, account] = [&it.reference, &leg.account].map(|text| crate::report::harmless(text));
            let [why, at, by, signed] = [&*it.why, &*it.at, &*it.by, signed_by].map(crate::report::harmless);
            rows.write_record([&reference, &account, &currency, &amount, &why, &at, &by, &signed])?;
        }
    }
    rows.into_inner().map_err(|wrong| wrong.into_error().into())
}

/// Puts on record who signed what: the report, and what was booked, by their digests.
pub(crate) fn seal(world: &dyn World, run: RunId, wanted: &PostParams) -> Result<Value, String> {
    let (day, signed, folder) = wanted.parts(run)?;
    let posted = wanted.posted.as_ref().ok_or("`params.posted` is what was booked")?;
    let all: Vec<WrittenFile> = day.files.iter().chain([&posted.file]).cloned().collect();
    unchanged(world, &all)?;
    let path = format!("{folder}/signed.json");
    let answers: Vec<Value> = signed.answers.iter().map(|answer| json!({ "by": answer.by, "note": answer.note })).collect();
    let sealed = json!({
        "schema": "quorate.recon.signed/1", "day": day.day, "reconciled_in": day.run, "signed_in": run.to_string(), "signed_by": answers,
        "not_by": day.not_by, "files": all, "bookings": day.bookings.len(), "breaks": day.breaks, "stand": day.stand,
        "proof": day.proof, "not_proved": day.not_proved, "not_come": day.less.not_come, "no_closing": day.less.unsaid, "faults": day.faults, "explained": day.explained, "unexplained": day.unexplained,
    });
    let mut bytes = serde_json::to_vec_pretty(&sealed).map_err(|wrong| wrong.to_string())?;
    bytes.push(b'\n');
    world.write(&path, &bytes)?;
    let by: Vec<&str> = signed.answers.iter().map(|answer| answer.by.as_str()).collect();
    let booked = counted(day.bookings.len(), "booking");
    let text = format!("{}\nSigned by {}: {booked} in {}, and who signed what in {path}.", day.text, by.join(", "), posted.file.path);
    Ok(json!({ "file": path, "text": text }))
}

// -- opened again

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ReopenParams {
    /// The key of the case, or the name of the break.
    #[serde(rename = "break")]
    wanted: Option<String>,
    workflow: Option<String>,
    task: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ClosedIn {
    break_id: String,
    key: String,
    by: Option<String>,
    since: Date,
}

/// Finds a break that was closed by force, or matched, for it to be opened again.
pub(crate) fn closed(world: &dyn World, wanted: &ReopenParams) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Last {
        day: Date,
        closed: Vec<ClosedIn>,
        breaks: Vec<BreakRecord>,
    }
    let name = wanted.wanted.as_deref().ok_or("`params.break` says which one, as in BRK-0123456789AB")?;
    let (workflow, task) = (wanted.workflow.as_deref().unwrap_or("reconcile"), wanted.task.as_deref().unwrap_or("books"));
    let last = world.last(workflow, task)?.ok_or_else(|| format!("nothing has been reconciled yet; `quorate run {workflow}` does it"))?;
    let last: Last = serde_json::from_value(last).map_err(|wrong| format!("what became of the last day cannot be read: {wrong}"))?;
    if let Some(it) = last.closed.iter().find(|it| it.break_id == name || it.key == name) {
        let by = it.by.clone().unwrap_or_else(|| "nobody knows whom".to_owned());
        let text = format!("{} was closed by {by} with the books of {}", it.break_id, it.since);
        return Ok(json!({ "key": it.key, "not_by": it.by.iter().flat_map(|by| by.split(", ")).collect::<Vec<_>>(), "text": text }));
    }
    if let Some(it) = last.breaks.iter().find(|it| it.break_id == name || it.key == name) {
        let fate = fate_of(world, &it.key)?.unwrap_or_default();
        let how = match it.settled(fate.done()) {
            Settled::Closed => "closed",
            Settled::Together => "matched",
            Settled::Booked => return Err(format!("{name} is to be booked: the ledger brings the entry, and it is taken back there")),
            Settled::Open => return Err(format!("{name} is open as it is")),
        };
        let not_by: Vec<&str> = fate.by.iter().flat_map(|by| by.split(", ")).collect();
        let by = fate.by.as_deref().unwrap_or("agents");
        let text = format!("{} was {how} by {by}: {}", it.break_id, it.title);
        return Ok(json!({ "key": it.key, "not_by": not_by, "text": text }));
    }
    Err(format!("as of {} there is no {name} that was closed by force or matched", last.day))
}
