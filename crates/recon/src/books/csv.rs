//! Tables, by a mapping that says what their columns mean.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::amount::{amount, date};
use super::lines::{Quotes, UTF16, is_utf16, text_of};
use super::{Balance, Encoding, GivenUp, Reading, Statement, Total, Totalled, kept, reference};
use crate::{Currency, Item, Place};

/// What the columns of a table mean, and how its values are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What stands between columns; a comma where it is not given.
    #[serde(default = "comma")]
    pub separator: char,
    /// What stands before the fraction of an amount; a point where it is not given.
    #[serde(default = "point")]
    pub decimal: char,
    /// What stands between thousands, where anything does.
    #[serde(default)]
    pub thousands: Option<char>,
    /// How days are written, as in `%d.%m.%Y`; `%Y-%m-%d` where it is not given.
    #[serde(default = "iso")]
    pub date: String,
    /// How letters are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How many lines stand before the one that names the columns.
    #[serde(default)]
    pub skip: u32,
    /// Which column holds what.
    pub columns: Columns,
    /// In which direction an amount goes, where a column says so.
    #[serde(default)]
    pub sign: Option<Sign>,
    /// What kinds of rows there are, where there are others than entries.
    #[serde(default)]
    pub rows: Option<Rows>,
}

/// Which column holds what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The account.
    pub account: Column,
    /// The currency.
    pub currency: Column,
    /// The amount; in its place there may be two columns, `debit` and `credit`.
    #[serde(default)]
    pub amount: Option<Column>,
    /// What goes out.
    #[serde(default)]
    pub debit: Option<Column>,
    /// What comes in.
    #[serde(default)]
    pub credit: Option<Column>,
    /// From when it counts.
    pub value_date: Column,
    /// When it was booked.
    #[serde(default)]
    pub booked: Option<Column>,
    /// The reference that goes from end to end.
    #[serde(default)]
    pub reference: Option<Column>,
    /// The bank's own reference.
    #[serde(default)]
    pub bank_reference: Option<Column>,
    /// What it was booked together with.
    #[serde(default)]
    pub batch: Option<Column>,
    /// With whom.
    #[serde(default)]
    pub counterparty: Option<Column>,
    /// What kind of transaction it is.
    #[serde(default)]
    pub code: Option<Column>,
    /// How many of something.
    #[serde(default)]
    pub quantity: Option<Column>,
    /// What one of them costs.
    #[serde(default)]
    pub price: Option<Column>,
    /// How it stands.
    #[serde(default)]
    pub status: Option<Column>,
    /// Whether it takes another one back: `1`, `true`, `yes` or `R`.
    #[serde(default)]
    pub reversal: Option<Column>,
    /// What else is said about it.
    #[serde(default)]
    pub text: Option<Column>,
    /// What there is after it: by that, no row is missing.
    #[serde(default)]
    pub balance: Option<Column>,
}

/// A column by its name, or what is the same in all rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// The column of this name.
    Named(String),
    /// What is the same in all rows.
    Fixed {
        /// That.
        fixed: String,
    },
}

/// Where a column says in which direction an amount goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The column.
    pub column: String,
    /// What stands there where it goes out.
    pub out: Vec<String>,
    /// What stands there where it comes in.
    #[serde(rename = "in")]
    pub into: Vec<String>,
}

/// Rows that are no entries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The column that says what a row is.
    pub column: String,
    /// What stands there in entries.
    pub entry: Vec<String>,
    /// In rows whose amount is what there was before.
    #[serde(default)]
    pub opening: Vec<String>,
    /// In rows whose amount is what there is afterwards.
    #[serde(default)]
    pub closing: Vec<String>,
    /// In rows whose amount is what all entries of an account come to.
    #[serde(default)]
    pub total: Vec<String>,
    /// The column that says of how many entries, in rows of `total`.
    #[serde(default)]
    pub count: Option<String>,
}

fn comma() -> char {
    ','
}

fn point() -> char {
    '.'
}

fn iso() -> String {
    "%Y-%m-%d".to_owned()
}

pub(super) fn read(reading: &mut Reading, mapping: &Mapping, encoding: Encoding, from: impl BufRead) -> Vec<Statement> {
    let encoding = if mapping.encoding == Encoding::Utf8 { encoding } else { mapping.encoding };
    let mut table = Table { reading, mapping, encoding, names: Vec::new(), statements: BTreeMap::new() };
    // What was wrong is on record.
    let _ = table.read(from);
    table.statements.into_values().map(|statement| statement.whole).collect()
}

/// What is known of an account of a table so far.
struct Account {
    whole: Statement,
    /// The balance that the last row stated.
    balance: Option<Decimal>,
}

struct Table<'r> {
    reading: &'r mut Reading,
    mapping: &'r Mapping,
    encoding: Encoding,
    names: Vec<String>,
    statements: BTreeMap<(Arc<str>, Currency), Account>,
}

/// What a row is.
enum Row {
    Entry,
    Opening,
    Closing,
    Total,
}

impl Table<'_> {
    fn read(&mut self, mut from: impl BufRead) -> Result<(), GivenUp> {
        // What cannot be read at all is met again, and told then.
        if from.fill_buf().is_ok_and(is_utf16) {
            return Err(self.reading.give_up(1, UTF16));
        }
        let mut skipped = Vec::new();
        for line in 1..=u64::from(self.mapping.skip) {
            super::lines::next_line(&mut from, &mut skipped).map_err(|wrong| self.reading.give_up(line, wrong))?;
        }
        let Ok(separator) = u8::try_from(self.mapping.separator) else {
            return Err(self
                .reading
                .give_up(1, format!("`{}` cannot stand between columns: it is no ASCII letter", self.mapping.separator)));
        };
        let before = u64::from(self.mapping.skip);
        let quotes = Quotes::new(from, separator, before);
        let mut rows = ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(false).from_reader(quotes);
        let mut record = ByteRecord::new();
        loop {
            let more = rows.read_byte_record(&mut record);
            if let Some((line, what)) = rows.get_ref().wrong(rows.is_done()) {
                return Err(self.reading.give_up(line, what));
            }
            let begun = record.position().map_or(rows.position().byte(), csv::Position::byte);
            let line = rows.get_mut().line_behind(begun);
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(wrong) => {
                    let what = match wrong.kind() {
                        ErrorKind::Io(wrong) => format!("it could not be read: {wrong}"),
                        _ => format!("it is no table: {wrong}"),
                    };
                    return Err(self.reading.give_up(line, what));
                }
            }
            if record.iter().map(<[u8]>::len).sum::<usize>() > super::MAX_LINE_BYTES {
                return Err(self.reading.give_up(
                    line,
                    format!("the row has more than the {} bytes allowed; a quote may not be closed", super::MAX_LINE_BYTES),
                ));
            }
            let fields: Result<Vec<String>, String> = record.iter().map(|field| text_of(field, self.encoding)).collect();
            let Some(fields) = self.reading.or_told(line, fields)? else { continue };
            if self.names.is_empty() {
                self.header(fields, line)?;
            } else if fields.iter().all(|field| field.trim().is_empty()) {
                // A line with nothing on it.
            } else if fields.len() == self.names.len() {
                self.row(&fields, line)?;
            } else {
                let (there, wanted) = (fields.len(), self.names.len());
                self.reading.mistake(line, format!("this row has {there} columns, and the table {wanted}"))?;
            }
        }
        if self.names.is_empty() {
            return Err(self.reading.give_up(1, "it is empty: there is no line that names its columns"));
        }
        let closes = self.mapping.rows.as_ref().is_some_and(|rows| !rows.closing.is_empty());
        for account in self.statements.values_mut() {
            account.whole.says_end = closes && account.whole.opening.is_some();
            if account.whole.closing.is_none()
                && let (Some(amount), Some(last)) = (account.balance, account.whole.items.last())
            {
                account.whole.closing =
                    Some(Balance { amount, date: Some(last.booked.unwrap_or(last.value_date)), place: last.place.clone() });
            }
        }
        Ok(())
    }

    fn header(&mut self, mut names: Vec<String>, line: u64) -> Result<(), GivenUp> {
        for name in &mut names {
            *name = name.trim_start_matches('\u{feff}').trim().to_owned();
        }
        self.names = names;
        let Mapping { columns, sign, rows, .. } = self.mapping;
        let optional = [
            &columns.amount,
            &columns.debit,
            &columns.credit,
            &columns.booked,
            &columns.reference,
            &columns.bank_reference,
            &columns.batch,
            &columns.counterparty,
            &columns.code,
            &columns.quantity,
            &columns.price,
            &columns.status,
            &columns.reversal,
            &columns.text,
            &columns.balance,
        ];
        let named = [&columns.account, &columns.currency, &columns.value_date].into_iter().chain(optional.into_iter().flatten());
        let named = named.filter_map(|column| match column {
            Column::Named(name) => Some(name),
            Column::Fixed { .. } => None,
        });
        let named = named
            .chain(sign.iter().map(|sign| &sign.column))
            .chain(rows.iter().flat_map(|rows| [&rows.column].into_iter().chain(&rows.count)));
        let missing: BTreeSet<&String> = named.filter(|name| !self.names.contains(name)).collect();
        if !missing.is_empty() {
            let names = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let are_missing = if missing.len() == 1 { "there is no column" } else { "there are no columns" };
            let there = self.names.join(", ");
            self.reading.mistake(line, format!("{are_missing} {names}; there are: {there}"))?;
        }
        let both = columns.amount.is_some() == (columns.debit.is_some() || columns.credit.is_some());
        if both {
            return Err(self.reading.give_up(line, "the mapping names either the column `amount`, or `debit` and `credit`"));
        }
        // Without its columns, every row would be another mistake.
        if missing.is_empty() { Ok(()) } else { Err(GivenUp) }
    }

    fn named<'f>(&self, fields: &'f [String], name: &str) -> &'f str {
        self.names.iter().position(|known| known == name).and_then(|at| fields.get(at)).map_or("", |field| field.trim())
    }

    fn get<'f>(&self, fields: &'f [String], column: &'f Column) -> &'f str {
        match column {
            Column::Named(name) => self.named(fields, name),
            Column::Fixed { fixed } => fixed,
        }
    }

    fn optional<'f>(&self, fields: &'f [String], column: &'f Option<Column>) -> &'f str {
        column.as_ref().map_or("", |column| self.get(fields, column))
    }

    /// A number, where there is one. Nothing at all where it cannot be read, which is told.
    fn number(&mut self, text: &str, line: u64) -> Result<Option<Option<Decimal>>, GivenUp> {
        let (decimal, thousands) = (self.mapping.decimal, self.mapping.thousands);
        let read = (!text.is_empty()).then(|| amount(text, decimal, thousands)).transpose();
        self.reading.or_told(line, read)
    }

    /// A day, likewise.
    fn day(&mut self, text: &str, line: u64) -> Result<Option<Option<Date>>, GivenUp> {
        let read = (!text.is_empty()).then(|| date(text, &self.mapping.date)).transpose();
        self.reading.or_told(line, read)
    }

    fn kind(&mut self, fields: &[String], line: u64) -> Result<Option<Row>, GivenUp> {
        let Some(rows) = &self.mapping.rows else { return Ok(Some(Row::Entry)) };
        let said = self.named(fields, &rows.column);
        let has = |words: &[String]| words.iter().any(|word| word == said);
        Ok(Some(match () {
            () if has(&rows.entry) => Row::Entry,
            () if has(&rows.opening) => Row::Opening,
            () if has(&rows.closing) => Row::Closing,
            () if has(&rows.total) => Row::Total,
            () => {
                let what = format!("`{said}` in column `{}` is no kind of row that the mapping knows", rows.column);
                return self.reading.mistake(line, what).map(|()| None);
            }
        }))
    }

    /// The amount of a row with its sign.
    fn signed(&mut self, fields: &[String], line: u64) -> Result<Option<Decimal>, GivenUp> {
        let Columns { amount, debit, credit, .. } = &self.mapping.columns;
        let Some(column) = amount else {
            let (out, into) = (self.optional(fields, debit), self.optional(fields, credit));
            let (Some(out), Some(into)) = (self.number(out, line)?, self.number(into, line)?) else { return Ok(None) };
            let there = |amount: Option<Decimal>| amount.filter(|amount| !amount.is_zero());
            return match (there(out), there(into), out.or(into)) {
                (Some(_), Some(_), _) => self.reading.mistake(line, "the row has both a debit and a credit").map(|()| None),
                (Some(out), None, _) => Ok(Some(-out)),
                (None, Some(into), _) => Ok(Some(into)),
                (None, None, Some(zero)) => Ok(Some(zero)),
                (None, None, None) => self.reading.mistake(line, "the row has neither a debit nor a credit").map(|()| None),
            };
        };
        let text = self.get(fields, column);
        if text.is_empty() {
            return self.reading.mistake(line, "the row has no amount").map(|()| None);
        }
        let Some(Some(amount)) = self.number(text, line)? else { return Ok(None) };
        let Some(sign) = &self.mapping.sign else { return Ok(Some(amount)) };
        let said = self.named(fields, &sign.column);
        match (sign.out.iter().any(|word| word == said), sign.into.iter().any(|word| word == said)) {
            (true, _) => Ok(Some(-amount)),
            (_, true) => Ok(Some(amount)),
            (false, false) => {
                let what = format!("`{said}` in column `{}` does not say in which direction it goes", sign.column);
                self.reading.mistake(line, what).map(|()| None)
            }
        }
    }

    fn row(&mut self, fields: &[String], line: u64) -> Result<(), GivenUp> {
        let columns = &self.mapping.columns;
        let Some(kind) = self.kind(fields, line)? else { return Ok(()) };
        let Some(account) = kept(self.get(fields, &columns.account)) else { return self.reading.mistake(line, "the row has no account") };
        let currency = self.get(fields, &columns.currency).parse();
        let Some(currency) = self.reading.or_told(line, currency)? else { return Ok(()) };
        let Some(amount) = self.signed(fields, line)? else { return Ok(()) };
        let day = self.get(fields, &columns.value_date);
        let booked = self.optional(fields, &columns.booked);
        let (Some(day), Some(booked)) = (self.day(day, line)?, self.day(booked, line)?) else { return Ok(()) };
        let place = self.reading.place(line);
        let item = match kind {
            Row::Entry => {
                let Some(value_date) = day.or(booked) else { return self.reading.mistake(line, "the row has no date") };
                self.reading.counted(line)?;
                match self.item(fields, (&place, &account, currency, amount, value_date, booked))? {
                    Some(item) => Some(item),
                    None => return Ok(()),
                }
            }
            Row::Opening | Row::Closing | Row::Total => None,
        };
        let count = self.mapping.rows.as_ref().and_then(|rows| rows.count.as_deref()).map(|name| self.named(fields, name).to_owned());
        let balance = self.optional(fields, &columns.balance);
        let Some(balance) = self.number(balance, line)? else { return Ok(()) };
        let statement = || Account { whole: empty(place.clone(), account.clone(), currency), balance: None };
        let known = self.statements.entry((account.clone(), currency)).or_insert_with(statement);
        let stated = |amount| Some(Balance { amount, date: day.or(booked), place: place.clone() });
        match (kind, item) {
            (Row::Entry, Some(item)) => {
                if let Some(after) = balance {
                    let before = after - item.amount;
                    if known.balance.is_none() && known.whole.opening.is_none() {
                        known.whole.opening = stated(before);
                    }
                    if let Some(last) = known.balance.filter(|last| *last != before) {
                        let what = format!(
                            "the balance is {after} after {}, and {last} before it: rows are missing, or do not stand in order",
                            item.amount
                        );
                        self.reading.mistake(line, what)?;
                        return Ok(());
                    }
                    known.balance = Some(after);
                }
                known.whole.entries += 1;
                known.whole.items.push(item);
            }
            (Row::Opening, _) => known.whole.opening = stated(amount),
            (Row::Closing, _) => known.whole.closing = stated(amount),
            (Row::Total, _) => {
                let count = count.filter(|count| !count.is_empty());
                let count = match count.map(|count| count.parse().map_err(|_| format!("`{count}` is not a number of entries"))).transpose()
                {
                    Ok(count) => count,
                    Err(what) => return self.reading.mistake(line, what),
                };
                known.whole.totals.push(Total { of: Totalled::Net, amount, count, place });
            }
            (Row::Entry, None) => {}
        }
        Ok(())
    }

    fn item(
        &mut self,
        fields: &[String],
        (place, account, currency, amount, value_date, booked): (&Place, &Arc<str>, Currency, Decimal, Date, Option<Date>),
    ) -> Result<Option<Item>, GivenUp> {
        let columns = &self.mapping.columns;
        let line = u64::from(place.line);
        let (quantity, price) = (self.optional(fields, &columns.quantity), self.optional(fields, &columns.price));
        let (Some(quantity), Some(price)) = (self.number(quantity, line)?, self.number(price, line)?) else { return Ok(None) };
        let text = |column| kept(self.optional(fields, column));
        let reversal = self.optional(fields, &columns.reversal);
        Ok(Some(Item {
            place: place.clone(),
            account: account.clone(),
            currency,
            amount,
            value_date,
            booked,
            reference: reference(self.optional(fields, &columns.reference)),
            bank_reference: text(&columns.bank_reference),
            batch: text(&columns.batch),
            counterparty: text(&columns.counterparty),
            code: text(&columns.code),
            quantity,
            price,
            status: text(&columns.status).filter(|status| !status.eq_ignore_ascii_case("BOOK") && !status.eq_ignore_ascii_case("BOOKED")),
            reversal: ["1", "true", "yes", "r"].iter().any(|yes| reversal.eq_ignore_ascii_case(yes)),
            text: text(&columns.text).unwrap_or_else(|| "".into()),
        }))
    }
}

fn empty(place: Place, account: Arc<str>, currency: Currency) -> Statement {
    let (id, number, opening, closing, count) = (None, None, None, None, None);
    Statement {
        place,
        id,
        number,
        page: None,
        account,
        currency,
        opening,
        closing,
        says_end: false,
        begins_within: false,
        ends_within: false,
        count,
        totals: Vec::new(),
        items: Vec::new(),
        entries: 0,
        turned: None,
    }
}
