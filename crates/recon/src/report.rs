//! The control report: what people sign. As text for a terminal, as a page that prints well, as a table, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sha2::{Digest as _, Sha256};

use crate::books::FaultKind;
use crate::record::{BUCKETS, BreakRecord, Due, ItemRecord, Settled, bucket};
use crate::words::{Less, counted, hex, money, proved, sum};
use crate::world::World;
use crate::{BreakKind, Currency, Side, exact};

/// The version of what `report.json` looks like.
pub(crate) const SCHEMA: &str = "quorate.reconciliation/1";

/// What is reported.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    /// What came of the day.
    day: Option<Box<RawValue>>,
    /// What was decided, case by case, in the order of its breaks.
    #[serde(default)]
    cases: Vec<CaseIn>,
    /// The folder that it goes to.
    out: Option<String>,
}

/// What is reported of a day.
#[derive(Debug, Deserialize)]
struct DayIn {
    day: Date,
    before: Option<Date>,
    before_run: Option<String>,
    base: Currency,
    files: Vec<FileIn>,
    faults: Vec<FaultIn>,
    statements: usize,
    stated: usize,
    #[serde(default)]
    linked: usize,
    #[serde(default)]
    unlinked: usize,
    not_seen: Vec<String>,
    passes: Vec<PassIn>,
    adjustments: Vec<Value>,
    accounts: Vec<AccountIn>,
    breaks: Vec<BreakRecord>,
    places: Vec<String>,
    ages: Vec<u32>,
    due: Vec<Due>,
    cleared: Vec<ClearedIn>,
    withdrawn: Vec<WithdrawnIn>,
    closed: Vec<ClosedIn>,
    answers: AnswersIn,
    matched_file: Option<WrittenFile>,
}

#[derive(Debug, Deserialize)]
struct ClosedIn {
    break_id: String,
    account: Arc<str>,
    currency: Currency,
    item: Option<ItemRecord>,
    by: Option<String>,
    since: Date,
}

#[derive(Debug, Deserialize)]
struct WithdrawnIn {
    recheck: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct AnswersIn {
    answered: usize,
    agreed: usize,
}

#[derive(Debug, Deserialize)]
struct FileIn {
    side: Side,
    file: String,
    statements: usize,
    items: usize,
}

#[derive(Debug, Deserialize)]
struct FaultIn {
    kind: FaultKind,
    account: Arc<str>,
    currency: Currency,
    at: String,
    what: String,
}

#[derive(Debug, Deserialize)]
struct PassIn {
    name: String,
    matches: usize,
    items: usize,
    suggested: usize,
}

#[derive(Debug, Deserialize)]
struct BookIn {
    #[serde(default)]
    missing: bool,
    #[serde(default)]
    unsaid: bool,
    #[serde(with = "exact::option")]
    opening: Option<Decimal>,
    #[serde(with = "exact::option")]
    closing: Option<Decimal>,
    items: usize,
    carried: usize,
    open: usize,
    #[serde(with = "exact")]
    open_amount: Decimal,
}

#[derive(Debug, Deserialize)]
struct AccountIn {
    account: Arc<str>,
    name: String,
    currency: Currency,
    a: BookIn,
    b: BookIn,
    matched: usize,
    #[serde(with = "exact")]
    adjustments: Decimal,
    #[serde(with = "exact")]
    closed: Decimal,
    #[serde(with = "exact")]
    booked: Decimal,
    #[serde(with = "exact::option")]
    proof: Option<Decimal>,
}

#[derive(Debug, Deserialize)]
struct ClearedIn {
    break_id: String,
    kind: BreakKind,
    why: String,
}

/// What was decided on a break.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct CaseIn {
    run: String,
    status: String,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    profile: Option<Value>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    because: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    with: Option<Value>,
    #[serde(default)]
    agents: Vec<String>,
    #[serde(default)]
    spared: Vec<String>,
    #[serde(default)]
    asks: Vec<String>,
}

impl CaseIn {
    fn action(&self) -> &str {
        self.action.as_deref().unwrap_or("undecided")
    }

    /// The tier that was found for it.
    fn tier(&self) -> &str {
        self.profile.as_ref().and_then(|profile| profile.get("risk_tier")?.as_str()).unwrap_or("-")
    }

    fn resolution(&self) -> Option<&str> {
        self.with.as_ref()?.get("resolution")?.as_str()
    }

    /// Where a break is on its way.
    fn state(&self, it: &BreakRecord) -> &'static str {
        match (self.action(), self.asks.is_empty()) {
            ("ESCALATE", false) => "escalated",
            (_, false) => "in_review",
            ("AUTO_RESOLVE", true) => match it.settled(self.resolution()) {
                Settled::Open => "pending_timing",
                Settled::Booked | Settled::Together | Settled::Closed => "auto_resolved",
            },
            (_, true) if self.action.is_none() => "open",
            // Nobody is asked any more.
            (_, true) => "answered",
        }
    }
}

/// What was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// The report, for a terminal.
    pub text: String,
    /// Its files, and the digests of their bytes.
    pub files: Vec<WrittenFile>,
    /// How many breaks there are.
    pub breaks: usize,
    /// How many of them people are asked about.
    pub waiting: usize,
    /// Whether everything is explained.
    pub proved: bool,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Its path in the project.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: String,
}

impl WrittenFile {
    /// A file of these bytes.
    #[must_use]
    pub fn of(path: String, bytes: &[u8]) -> WrittenFile {
        WrittenFile { path, sha256: hex(&Sha256::digest(bytes)) }
    }
}

/// Writes the report of a day.
pub(crate) fn write(world: &dyn World, task: &str, wanted: &Wanted) -> Result<Written, String> {
    let raw = wanted.day.as_deref().ok_or("`params.day` is what came of the day, and there is none")?;
    let day: DayIn = serde_json::from_str(raw.get()).map_err(|wrong| format!("`params.day` is not what came of a day: {wrong}"))?;
    if day.breaks.len() != wanted.cases.len()
        || [day.ages.len(), day.due.len(), day.places.len()].iter().any(|len| *len != day.breaks.len())
    {
        return Err(format!("there are {} breaks and {} cases: each break has one", day.breaks.len(), wanted.cases.len()));
    }
    let report = Report { day: &day, cases: &wanted.cases };
    // What was matched was written by whoever matched it.
    let mut files: Vec<WrittenFile> = day.matched_file.iter().cloned().collect();
    if let Some(out) = &wanted.out {
        let text = |wrong: serde_json::Error| wrong.to_string();
        let json = format!(
            "{{\"schema\":\"{SCHEMA}\",\"before\":{},\"day\":{},\"cases\":{}}}\n",
            serde_json::to_string(&before(world, task, &day)?).map_err(text)?,
            raw.get(),
            serde_json::to_string(&wanted.cases).map_err(text)?
        );
        let files_of_it = [
            ("report.html", report.html()),
            ("breaks.csv", report.csv()?),
            ("accounts.csv", report.accounts_csv()?),
            ("report.json", json),
        ];
        for (name, bytes) in files_of_it {
            let path = format!("{out}/{}/{name}", day.day);
            world.write(&path, bytes.as_bytes())?;
            files.push(WrittenFile::of(path, bytes.as_bytes()));
        }
    }
    let text = report.text(&files);
    let waiting = wanted.cases.iter().filter(|case| !case.asks.is_empty()).count();
    Ok(Written { text, files, breaks: day.breaks.len(), waiting, proved: report.proved() })
}

/// The report that the day goes on from: each holds the digest of the one before.
fn before(world: &dyn World, task: &str, day: &DayIn) -> Result<Option<WrittenFile>, String> {
    #[derive(Deserialize)]
    struct Of {
        files: Vec<WrittenFile>,
    }
    let Some(run) = &day.before_run else { return Ok(None) };
    let files = world.output(run, task)?.and_then(|output| serde_json::from_value::<Of>(output).ok()).map(|of| of.files);
    Ok(files.into_iter().flatten().find(|file| file.path.ends_with("/report.json")))
}

struct Report<'r> {
    day: &'r DayIn,
    cases: &'r [CaseIn],
}

/// Rows of words, the last columns of which are numbers.
struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// How many columns from the left are words.
    words: usize,
}

impl Table {
    fn new(title: impl Into<String>, words: usize, head: &[&str]) -> Table {
        Table { title: title.into(), head: head.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new(), words }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn text(&self) -> String {
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                std::iter::once(&self.head)
                    .chain(&self.rows)
                    .map(|row| row.get(column).map_or(0, |cell| cell.chars().count()))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let line = |row: &[String]| {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| if column < self.words { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
            format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        let mut text = format!("{}\n{}", self.title, line(&self.head));
        self.rows.iter().for_each(|row| text += &line(row));
        text
    }

    fn html(&self) -> String {
        let cell = |column: usize, tag: &str, text: &str| {
            let class = if column < self.words { "" } else { " class=\"n\"" };
            format!("<{tag}{class}>{}</{tag}>", escaped(text))
        };
        let row = |tag: &str, row: &[String]| {
            let cells: String = row.iter().enumerate().map(|(column, text)| cell(column, tag, text)).collect();
            format!("<tr>{cells}</tr>")
        };
        let body: String = self.rows.iter().map(|cells| row("td", cells)).collect();
        format!(
            "<section><h2>{}</h2><div class=\"scroll\"><table><thead>{}</thead><tbody>{body}</tbody></table></div></section>\n",
            escaped(&self.title),
            row("th", &self.head)
        )
    }
}

impl Report<'_> {
    fn proved(&self) -> bool {
        let proof = self.proof();
        !proof.is_empty() && proof.values().all(Decimal::is_zero)
    }

    /// What nothing explains, in each currency.
    fn proof(&self) -> BTreeMap<Currency, Decimal> {
        let mut proof: BTreeMap<Currency, Decimal> = BTreeMap::new();
        for (currency, amount) in self.day.accounts.iter().filter_map(|account| Some((account.currency, account.proof?))) {
            *proof.entry(currency).or_default() += amount.abs();
        }
        proof
    }

    /// Breaks with their cases and ages.
    fn all(&self) -> impl Iterator<Item = (&BreakRecord, &CaseIn, &'static str)> {
        let ages = self.day.ages.iter().copied().map(bucket);
        self.day.breaks.iter().zip(self.cases).zip(ages).map(|((it, case), age)| (it, case, age))
    }

    // -- its parts

    fn files(&self) -> Table {
        let mut table = Table::new("Files", 2, &["file", "side", "statements", "entries"]);
        for FileIn { side, file, statements, items } in &self.day.files {
            table.row([file.clone(), side.to_string(), statements.to_string(), items.to_string()]);
        }
        table
    }

    /// What people closed although nothing belongs to it.
    fn closed(&self) -> Table {
        let mut table = Table::new("Closed by force", 6, &["break", "account", "entry", "at", "by", "since", "amount"]);
        for ClosedIn { break_id, account, currency, item, by, since } in &self.day.closed {
            let by = by.clone().unwrap_or_else(|| "nobody".to_owned());
            let (entry, at, amount) = match item {
                Some(item) => {
                    (item.reference.as_deref().unwrap_or("no reference").to_owned(), item.at.clone(), sum(item.amount, *currency))
                }
                None => ("a statement that does not add up".to_owned(), String::new(), String::new()),
            };
            table.row([break_id.clone(), account.to_string(), entry, at, by, since.to_string(), amount]);
        }
        table
    }

    fn checks(&self) -> String {
        let DayIn { statements, stated, linked, unlinked, .. } = *self.day;
        let follow = match (linked, unlinked) {
            (0, 0) => String::new(),
            (_, 0) => ", and each begins with what the one before ended with".to_owned(),
            (_, 1) => "; of one nobody knows whether it begins with what the one before ended with".to_owned(),
            (_, several) => format!("; of {several} nobody knows whether they begin with what the one before ended with"),
        };
        let others = match statements - stated {
            0 => String::new(),
            1 => "; one does not say what there was before and after".to_owned(),
            several => format!("; {several} do not say what there was before and after"),
        };
        let said = match self.day.faults.len() {
            0 if stated == 0 => "no statement says what there was before and after, so nobody knows whether they add up".to_owned(),
            0 if statements == 1 => "the statement adds up".to_owned(),
            0 if stated == statements => format!("all {statements} statements add up{follow}"),
            0 => format!("{stated} of {statements} statements say what there was before and after, and add up; of the others nobody knows"),
            count => format!("{} in {}", counted(count, "fault"), counted(statements, "statement")) + &others,
        };
        let not_seen = match &self.day.not_seen[..] {
            [] => String::new(),
            all => format!(" What was matched before was not looked up in {}: not what was written.", all.join(", ")),
        };
        let not_come = match self.less().not_come.len() {
            0 => String::new(),
            1 => " No statement came for one account that had one before.".to_owned(),
            several => format!(" No statements came for {several} accounts that had some before."),
        };
        format!("File checks: {said}.{not_come}{not_seen}")
    }

    fn passes(&self) -> Table {
        let mut table = Table::new("Matched by pass, and suggested to people", 1, &["pass", "matches", "entries", "suggested"]);
        for PassIn { name, matches, items, suggested } in &self.day.passes {
            table.row([name.clone(), matches.to_string(), items.to_string(), suggested.to_string()]);
        }
        let sum = |of: fn(&PassIn) -> usize| self.day.passes.iter().map(of).sum::<usize>().to_string();
        table.row(["together".to_owned(), sum(|pass| pass.matches), sum(|pass| pass.items), sum(|pass| pass.suggested)]);
        table
    }

    fn kinds(&self) -> Table {
        let mut head = vec!["break", "open", "at stake"];
        head.extend(BUCKETS);
        let mut table = Table::new(format!("Breaks by kind and age (business days), at stake in {}", self.day.base), 1, &head);
        let mut rows = |name: String, all: &[(&BreakRecord, &str)]| {
            let at_stake = all.iter().filter_map(|(it, _)| it.exposure).sum::<Decimal>();
            let ages = BUCKETS.iter().map(|bucket| match all.iter().filter(|(_, age)| age == bucket).count() {
                0 => "-".to_owned(),
                count => count.to_string(),
            });
            table.row([name, all.len().to_string(), money(at_stake)].into_iter().chain(ages));
        };
        for kind in BreakKind::ALL {
            let all: Vec<(&BreakRecord, &str)> = self.all().filter(|(it, _, _)| it.kind == kind).map(|(it, _, age)| (it, age)).collect();
            if !all.is_empty() {
                rows(kind.to_string(), &all);
            }
        }
        rows("together".to_owned(), &self.all().map(|(it, _, age)| (it, age)).collect::<Vec<_>>());
        table
    }

    fn tiers(&self) -> Table {
        const TIERS: [&str; 4] = ["LOW", "MEDIUM", "HIGH", "CRITICAL"];
        let mut head: Vec<&str> = vec!["business"];
        head.extend(TIERS);
        head.push("other");
        let mut table = Table::new("Breaks by business and tier", 1, &head);
        let mut by: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
        for (it, case, _) in self.all() {
            let column = TIERS.iter().position(|tier| *tier == case.tier()).unwrap_or(4);
            by.entry(it.break_type.as_deref().unwrap_or("not known")).or_default()[column] += 1;
        }
        for (business, counts) in by {
            let cells = counts.iter().map(|count| if *count == 0 { "-".to_owned() } else { count.to_string() });
            table.row(std::iter::once(business.to_owned()).chain(cells));
        }
        table
    }

    fn decisions(&self) -> Table {
        let mut table = Table::new("Decisions", 2, &["decision", "proposed", "breaks", "at stake"]);
        let mut by: BTreeMap<(&str, &str), (usize, Decimal)> = BTreeMap::new();
        for (it, case, _) in self.all() {
            let done = case.resolution().unwrap_or(if case.asks.is_empty() { "-" } else { "people are asked" });
            let known = by.entry((case.action(), done)).or_default();
            *known = (known.0 + 1, known.1 + it.exposure.unwrap_or_default());
        }
        for ((action, done), (count, at_stake)) in by {
            table.row([action.to_owned(), done.to_owned(), count.to_string(), money(at_stake)]);
        }
        table
    }

    fn agents(&self) -> String {
        /// Agents that could look at a break.
        const ALL: usize = 7;
        let run: usize = self.cases.iter().map(|case| case.agents.len()).sum();
        let all = self.cases.len() * ALL;
        let saved = all.saturating_sub(run);
        let share = Decimal::from(saved * 100).checked_div(all.into()).unwrap_or_default().round();
        format!("Agents: {run} ran, where all seven for every break would have been {all}: {saved} saved ({share} %).")
    }

    fn waiting(&self) -> String {
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| !case.asks.is_empty()) {
            *by.entry(case.action()).or_default() += 1;
        }
        if by.is_empty() {
            return "Nobody is asked anything.".to_owned();
        }
        let told: Vec<String> = by.iter().map(|(action, count)| format!("{count} as {action}")).collect();
        format!("People are asked about {}: {}.", counted(by.values().sum(), "break"), told.join(", "))
    }

    /// How many of the breaks have no time left, or little.
    fn overdue(&self) -> Option<String> {
        let of = |wanted: Due| self.day.due.iter().filter(|due| **due == wanted).count();
        let (overdue, short) = (of(Due::Overdue), of(Due::Warning));
        (overdue + short > 0).then(|| format!("Overdue: {}; with little time left: {short}.", counted(overdue, "break")))
    }

    /// How people answered since the day before, where they did.
    fn answers(&self) -> Option<String> {
        let AnswersIn { answered, agreed } = self.day.answers;
        let agreed = match agreed {
            all if all == answered => "always".to_owned(),
            0 => "never".to_owned(),
            1 => "once".to_owned(),
            several => format!("{several} times"),
        };
        let cases = counted(answered, "case");
        (answered > 0).then(|| format!("People answered on {cases} from before, and agreed {agreed} with what was proposed."))
    }

    fn accounts(&self) -> Table {
        let head = ["account", "", "closing A", "closing B", "open A", "open B", "adjusted, closed", "proof"];
        let mut table = Table::new("Accounts: closing A - closing B - open A + open B - adjusted or closed = proof", 2, &head);
        for it in &self.day.accounts {
            let stated = |amount: Option<Decimal>| amount.map_or_else(|| "not stated".to_owned(), money);
            table.row([
                it.name.clone(),
                it.currency.to_string(),
                stated(it.a.closing),
                stated(it.b.closing),
                money(it.a.open_amount),
                money(it.b.open_amount),
                money(it.adjustments + it.closed - it.booked),
                stated(it.proof),
            ]);
        }
        table
    }

    /// What was booked before, of what is open here.
    fn booked(&self) -> Option<String> {
        let booked = self.day.accounts.iter().filter(|it| !it.booked.is_zero());
        let sums: Vec<String> = booked.map(|it| format!("{} on {}", sum(it.booked, it.currency), it.name)).collect();
        (!sums.is_empty()).then(|| format!("Booked before, and in the ledger already: {}.", sums.join(", ")))
    }

    /// Of what there was more before.
    fn less(&self) -> Less {
        let mut less = Less::default();
        for it in &self.day.accounts {
            less.add(&it.name, it.currency, [&it.a, &it.b].map(|book| (book.missing, book.unsaid)));
        }
        less
    }

    fn proof_line(&self) -> String {
        let not_proved = self.day.accounts.iter().filter(|account| account.proof.is_none());
        let not_proved: Vec<String> = not_proved.map(|account| format!("{} {}", account.name, account.currency)).collect();
        let doubtful = self.day.faults.iter().filter(|fault| fault.kind != FaultKind::Duplicate).count();
        let doubt = if doubtful == 0 { String::new() } else { format!(" It rests on statements with {}.", counted(doubtful, "fault")) };
        format!("{}{doubt}", proved(&self.proof(), &not_proved, &self.less()))
    }

    fn counts(&self) -> String {
        let sum = |of: fn(&AccountIn) -> usize| self.day.accounts.iter().map(of).sum::<usize>();
        let (entries, carried) = (sum(|it| it.a.items + it.b.items), sum(|it| it.a.carried + it.b.carried));
        let (matched, open) = (sum(|it| it.matched), sum(|it| it.a.open + it.b.open));
        let are = |count: usize| if count == 1 { "one is".to_owned() } else { format!("{count} are") };
        let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
        let carried = match carried {
            0 => String::new(),
            1 => " and one that was open".to_owned(),
            several => format!(" and {several} that were open"),
        };
        let breaks = counted(self.day.breaks.len(), "break");
        format!("{entries}{carried}: {} matched, {} open in {breaks}.", are(matched), are(open))
    }

    // -- the four shapes

    fn text(&self, files: &[WrittenFile]) -> String {
        let day = self.day;
        let mut text = format!("Reconciliation of {}", day.day);
        if let Some(before) = day.before {
            text += &format!(", going on from {before}");
        }
        text += &format!("\n{}\n\n{}\n{}\n", self.counts(), self.files().text(), self.checks());
        for fault in &day.faults {
            text += &format!("  {}: {} {}: {}\n", fault.at, fault.account, fault.currency, fault.what);
        }
        text += &format!("\n{}\n{}\n{}\n{}\n", self.passes().text(), self.kinds().text(), self.tiers().text(), self.decisions().text());
        let withdrawn = day.withdrawn.iter().filter(|it| !it.recheck).count();
        match (day.cleared.len(), withdrawn) {
            (0, 0) => {}
            (0, 1) => text += "One question from before needs no answer any more.\n",
            (0, count) => text += &format!("{count} questions from before need no answer any more.\n"),
            (count, 1) => text += &format!("{} from before, and one question needs no answer any more.\n", cleared(count)),
            (count, questions) => text += &format!("{} from before, and {questions} questions need no answer any more.\n", cleared(count)),
        }
        if !day.closed.is_empty() {
            text += &format!("{}\n", self.closed().text());
        }
        if let Some(overdue) = self.overdue() {
            text += &format!("{overdue}\n");
        }
        if let Some(answers) = self.answers() {
            text += &format!("{answers}\n");
        }
        if !day.adjustments.is_empty() {
            let are = if day.adjustments.len() == 1 { "is" } else { "are" };
            text += &format!("{} within tolerance {are} to be booked.\n", counted(day.adjustments.len(), "difference"));
        }
        if let Some(booked) = self.booked() {
            text += &format!("{booked}\n");
        }
        text += &format!("{}\n{}\n{}\n", self.agents(), self.waiting(), self.proof_line());
        for file in files {
            text += &format!("  {}\n", file.path);
        }
        text.trim_end().to_owned()
    }

    fn csv(&self) -> Result<String, String> {
        let mut rows = csv::Writer::from_writer(Vec::new());
        let wrong = |wrong: csv::Error| wrong.to_string();
        let head = [
            "break_id",
            "kind",
            "business",
            "tier",
            "account",
            "currency",
            "amount_a",
            "amount_b",
            "difference",
            "exposure",
            "value_date",
            "opened",
            "age",
            "due",
            "state",
            "decision",
            "because",
            "what_is_done",
            "asks",
            "agents",
            "run",
            "why",
            "entries",
        ];
        rows.write_record(head).map_err(wrong)?;
        for (((it, case, age), due), places) in self.all().zip(&self.day.due).zip(&self.day.places) {
            let amount = |amount: Option<Decimal>| amount.map(|amount| amount.to_string()).unwrap_or_default();
            let row = [
                it.break_id.clone(),
                it.kind.to_string(),
                harmless(it.break_type.as_deref().unwrap_or_default()),
                case.tier().to_owned(),
                harmless(&it.account),
                it.currency.to_string(),
                amount(it.amount_a),
                amount(it.amount_b),
                amount(it.amount_diff),
                amount(it.exposure),
                it.value_date.map(|date| date.to_string()).unwrap_or_default(),
                it.opened.to_string(),
                age.to_owned(),
                due.name().to_owned(),
                case.state(it).to_owned(),
                case.action().to_owned(),
                harmless(case.because.as_deref().unwrap_or_default()),
                case.resolution().unwrap_or_default().to_owned(),
                case.asks.join(" "),
                case.agents.join(" "),
                case.run.clone(),
                harmless(&it.why),
                harmless(places),
            ];
            rows.write_record(&row).map_err(wrong)?;
        }
        let bytes = rows.into_inner().map_err(|wrong| wrong.to_string())?;
        String::from_utf8(bytes).map_err(|wrong| wrong.to_string())
    }

    /// Open breaks of an account by their ages: how many there are, and what is at stake in them.
    fn open_of(&self, account: &AccountIn) -> [(usize, Decimal); BUCKETS.len()] {
        let mut open = [(0, Decimal::ZERO); BUCKETS.len()];
        for (it, _, age) in self.all().filter(|(it, ..)| it.account == account.account && it.currency == account.currency) {
            let at = BUCKETS.iter().position(|known| *known == age).unwrap_or_default();
            open[at] = (open[at].0 + 1, open[at].1 + it.exposure.unwrap_or_default());
        }
        open
    }

    /// The accounts: what there was, what there is, what is matched, adjusted and open by age and value, and what nothing explains.
    fn accounts_csv(&self) -> Result<String, String> {
        let mut rows = csv::Writer::from_writer(Vec::new());
        let wrong = |wrong: csv::Error| wrong.to_string();
        let mut head: Vec<String> = [
            "account",
            "name",
            "currency",
            "opening_a",
            "closing_a",
            "opening_b",
            "closing_b",
            "matched",
            "adjustments",
            "closed",
            "booked_already",
        ]
        .map(str::to_owned)
        .to_vec();
        head.extend(BUCKETS.iter().flat_map(|age| [format!("open {age} days"), format!("at stake {age} days")]));
        head.push("proof".to_owned());
        rows.write_record(&head).map_err(wrong)?;
        for it in &self.day.accounts {
            let amount = |amount: Option<Decimal>| amount.map(|amount| amount.to_string()).unwrap_or_default();
            let mut row = vec![harmless(&it.account), harmless(&it.name), it.currency.to_string()];
            row.extend([it.a.opening, it.a.closing, it.b.opening, it.b.closing].map(amount));
            row.extend([it.matched.to_string(), it.adjustments.to_string(), it.closed.to_string(), it.booked.to_string()]);
            row.extend(self.open_of(it).iter().flat_map(|(count, at_stake)| [count.to_string(), at_stake.to_string()]));
            row.push(amount(it.proof));
            rows.write_record(&row).map_err(wrong)?;
        }
        String::from_utf8(rows.into_inner().map_err(|wrong| wrong.to_string())?).map_err(|wrong| wrong.to_string())
    }

    /// Open breaks by account and age.
    fn ageing(&self) -> Table {
        let mut head = vec!["account", ""];
        head.extend(BUCKETS);
        head.push("at stake");
        let mut table = Table::new(format!("Open breaks by account and age (business days), at stake in {}", self.day.base), 2, &head);
        for it in &self.day.accounts {
            let open = self.open_of(it);
            let counts = open.iter().map(|(count, _)| if *count == 0 { "-".to_owned() } else { count.to_string() });
            let at_stake = money(open.iter().map(|(_, at_stake)| *at_stake).sum());
            table.row([it.name.clone(), it.currency.to_string()].into_iter().chain(counts).chain([at_stake]));
        }
        table
    }

    fn html(&self) -> String {
        let day = self.day;
        let proved = self.proved();
        let mut page = String::with_capacity(1 << 16);
        let title = format!("Reconciliation of {}", day.day);
        let before = day.before.map(|before| format!(", going on from {before}")).unwrap_or_default();
        let _ = write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
        );
        let _ = write!(
            page,
            "<title>{title}</title><style>{STYLE}</style></head><body><main>\n<header><h1>{title}</h1><p>{}{before}</p></header>\n",
            escaped(&self.counts())
        );
        let class = if proved { "good" } else { "bad" };
        let mark = if proved { "✓" } else { "✗" };
        let _ = writeln!(page, "<p class=\"proof {class}\"><span aria-hidden=\"true\">{mark}</span> {}</p>", escaped(&self.proof_line()));
        let more = [self.overdue(), self.answers(), self.booked()];
        for line in [self.checks(), self.waiting(), self.agents()].into_iter().chain(more.into_iter().flatten()) {
            let _ = writeln!(page, "<p>{}</p>", escaped(&line));
        }
        if !day.faults.is_empty() {
            page += "<ul class=\"faults\">";
            for fault in &day.faults {
                let _ = write!(
                    page,
                    "<li><code>{}</code> {} {}: {}</li>",
                    escaped(&fault.at),
                    escaped(&fault.account),
                    fault.currency,
                    escaped(&fault.what)
                );
            }
            page += "</ul>\n";
        }
        for table in
            [self.accounts(), self.openings(), self.ageing(), self.files(), self.passes(), self.kinds(), self.tiers(), self.decisions()]
        {
            page += &table.html();
        }
        page += &self.breaks_html();
        if !day.closed.is_empty() {
            page += &self.closed().html();
        }
        if !day.cleared.is_empty() {
            let mut table = Table::new("Cleared since", 3, &["break", "kind", "how"]);
            day.cleared.iter().for_each(|it| table.row([it.break_id.clone(), it.kind.to_string(), it.why.clone()]));
            page += &table.html();
        }
        page += "</main></body></html>\n";
        page
    }

    fn openings(&self) -> Table {
        let head = ["account", "", "opening A", "opening B", "entries A", "entries B", "matched", "open"];
        let mut table = Table::new("Entries by account", 2, &head);
        for it in &self.day.accounts {
            let stated = |amount: Option<Decimal>| amount.map_or_else(|| "not stated".to_owned(), money);
            let counts = [it.a.items + it.a.carried, it.b.items + it.b.carried, it.matched, it.a.open + it.b.open];
            let row = [format!("{} {}", it.name, it.account), it.currency.to_string(), stated(it.a.opening), stated(it.b.opening)];
            table.row(row.into_iter().chain(counts.iter().map(ToString::to_string)));
        }
        table
    }

    fn breaks_html(&self) -> String {
        let mut page = String::from("<section><h2>Breaks</h2>\n");
        for ((it, case, age), due) in self.all().zip(&self.day.due) {
            let amount = |amount: Option<Decimal>| amount.map_or_else(|| "–".to_owned(), money);
            let class = match case.action() {
                "AUTO_RESOLVE" => "good",
                "ESCALATE" | "REJECTED" => "bad",
                _ => "wait",
            };
            let _ = write!(
                page,
                "<article><h3>{} <small>{}</small> <span class=\"tag {class}\">{}</span></h3><p>{}</p><p class=\"facts\">{} · {} · at stake {} {} · {} business days, {} · {}</p>",
                it.kind,
                escaped(&format!("{} · run {}", it.break_id, case.run.get(case.run.len().saturating_sub(8)..).unwrap_or_default())),
                escaped(case.action()),
                escaped(&it.why),
                escaped(it.account_name.as_deref().unwrap_or(&it.account)),
                escaped(it.break_type.as_deref().unwrap_or("business not known")),
                amount(it.exposure),
                self.day.base,
                age,
                due.name(),
                escaped(case.reason.as_deref().or(case.because.as_deref()).unwrap_or_default()),
            );
            page += "<table class=\"items\"><tbody>";
            for (side, items) in [("A", &it.a), ("B", &it.b)] {
                for ItemRecord { at, amount, currency, value_date, reference, counterparty, text, .. } in items {
                    let texts: Vec<&str> = [reference.as_deref(), counterparty.as_deref(), Some(&**text)]
                        .into_iter()
                        .flatten()
                        .filter(|text| !text.is_empty())
                        .collect();
                    let _ = write!(
                        page,
                        "<tr><td>{side}</td><td class=\"n\">{}</td><td>{value_date}</td><td>{}</td><td><code>{}</code></td></tr>",
                        sum(*amount, *currency),
                        escaped(&texts.join(" · ")),
                        escaped(at)
                    );
                }
            }
            page += "</tbody></table></article>\n";
        }
        page += "</section>\n";
        page
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:light-dark(#12161c,#e6eaf0);--dim:light-dark(#5f6b79,#8f9bab);--bg:light-dark(#fff,#0e1116);--line:light-dark(#e2e6ec,#2a323d);\
--good:light-dark(#146c43,#4cc07a);--bad:light-dark(#bf1f2b,#ff8a80);--wait:light-dark(#6e3bd1,#c29bff)}\
body{margin:0;background:var(--bg);color:var(--fg);font:13px/1.45 Inter,system-ui,sans-serif;font-variant-numeric:tabular-nums}\
main{max-width:1080px;margin:0 auto;padding:24px}h1{font-size:18px;margin:0}h2{font-size:14px;margin:24px 0 8px}h3{font-size:13px;margin:0}\
small,.facts{color:var(--dim);font-weight:400}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--dim);font-weight:500}.n{text-align:right;white-space:nowrap}\
code{font:12px/1.4 'JetBrains Mono',ui-monospace,monospace}.proof{font-size:15px;font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}.wait{color:var(--wait)}\
.tag{font-weight:500;border:1px solid currentColor;border-radius:6px;padding:0 6px}article{border-top:1px solid var(--line);padding:8px 0;break-inside:avoid}\
article p{margin:4px 0}.items td{border:0;padding:1px 12px 1px 0}.faults{margin:0;padding-left:18px;color:var(--bad)}\
@media print{:root{color-scheme:light}body{font-size:10px}main{max-width:none;padding:0}section{break-inside:auto}table{break-inside:avoid}thead{display:table-header-group}tr{break-inside:avoid}}";

fn cleared(count: usize) -> String {
    if count == 1 { "One break has cleared".to_owned() } else { format!("{count} breaks have cleared") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text for a table that people open in a spreadsheet: what such programs would take for a formula is not one.
pub(crate) fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
