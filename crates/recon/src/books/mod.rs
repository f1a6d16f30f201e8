//! Books as they come: files of three formats, read line by line into items and statements.
//!
//! What cannot be read is an error with its file and line, and then nothing of the file counts. What can be read and does not add
//! up is not an error here: [`check`] finds it.

mod amount;
mod camt;
mod check;
mod csv;
mod lines;
mod mt940;

use std::fmt;
use std::io::BufRead;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::{Currency, Item, Place};

pub use amount::{MAX_FRACTION_DIGITS, MAX_WHOLE_DIGITS};
pub use check::{Checks, Fault, FaultKind, Known, MAX_MARKS, check};
pub use csv::{Column, Mapping, Rows, Sign};

/// Most items of one file.
pub const MAX_ITEMS: usize = 10_000_000;
/// Longest line of a file, and longest text of an element.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// Longest text that an item keeps of any of its fields.
pub const MAX_FIELD_BYTES: usize = 4_096;
/// Mistakes of one file that are told.
pub const MAX_MISTAKES: usize = 20;

/// How a file is written.
#[derive(Clone, Debug)]
pub enum Format {
    /// A table, with what its columns mean.
    Csv(Box<Mapping>),
    /// ISO 20022, bank to customer statement.
    Camt053 {
        /// Whether a batch stays one item, also where its transactions are listed.
        whole_batches: bool,
    },
    /// SWIFT, customer statement message.
    Mt940,
}

/// How the letters of a file are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As everywhere.
    #[default]
    Utf8,
    /// As in many files of banks: a byte is a letter.
    Latin1,
}

/// A balance, as a file states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The amount, signed.
    pub amount: Decimal,
    /// The day.
    pub date: Option<Date>,
    /// Where it stands.
    pub place: Place,
}

/// What a file says of one account over some days.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Where it begins.
    pub place: Place,
    /// What it calls itself.
    pub id: Option<Arc<str>>,
    /// Its number among others.
    pub number: Option<Arc<str>>,
    /// Which of its pages it is, from 1, and whether more follow.
    pub page: Option<(u32, bool)>,
    /// The account.
    pub account: Arc<str>,
    /// The currency of its balances.
    pub currency: Currency,
    /// What there was before it.
    pub opening: Option<Balance>,
    /// What there is after it.
    pub closing: Option<Balance>,
    /// Whether its source says what there is after it: one that does not is cut off.
    pub says_end: bool,
    /// Whether what it begins with stands in the middle of a statement, behind another page.
    pub begins_within: bool,
    /// Whether what it ends with stands there, before another page.
    pub ends_within: bool,
    /// How many entries it says that it has, and where.
    pub count: Option<(u64, Place)>,
    /// What it says that they come to: signed, or both directions together.
    pub totals: Vec<Total>,
    /// Its items.
    pub items: Vec<Item>,
    /// How many entries these were made of: one that lists its transactions is several items.
    pub entries: u64,
    /// What these come to, where they are not the items: what came in, and what went out.
    pub turned: Option<(Decimal, Decimal)>,
}

/// What a file says that some of its entries come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Of which entries.
    pub of: Totalled,
    /// The amount.
    pub amount: Decimal,
    /// How many there are, if it says so.
    pub count: Option<u64>,
    /// Where it stands.
    pub place: Place,
}

/// Which entries a total is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Totalled {
    /// All, each with its sign.
    Net,
    /// All, without their signs.
    Gross,
    /// What came in.
    Credits,
    /// What went out, as a number above zero.
    Debits,
}

/// Something in a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// A file that could not be read: nothing of it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub file: Arc<str>,
    /// Its mistakes, the first [`MAX_MISTAKES`] of them.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be read", self.file)?;
        for (number, mistake) in self.mistakes.iter().enumerate() {
            write!(f, "{} line {}: {}", if number == 0 { ":" } else { ";" }, mistake.place.line, mistake.what)?;
        }
        if self.mistakes.len() == MAX_MISTAKES { f.write_str("; and more") } else { Ok(()) }
    }
}

impl std::error::Error for Unreadable {}

/// Reads a file.
///
/// # Errors
/// [`Unreadable`], with every mistake that was met and where it stands.
pub fn read(file: &str, format: &Format, encoding: Encoding, from: impl BufRead) -> Result<Vec<Statement>, Unreadable> {
    let mut reading = Reading { file: file.into(), mistakes: Vec::new(), items: 0 };
    let statements = match format {
        Format::Csv(mapping) => csv::read(&mut reading, mapping, encoding, from),
        Format::Camt053 { whole_batches } => camt::read(&mut reading, *whole_batches, from),
        Format::Mt940 => mt940::read(&mut reading, encoding, from),
    };
    let Reading { file, mistakes, .. } = reading;
    if mistakes.is_empty() { Ok(statements) } else { Err(Unreadable { file, mistakes }) }
}

/// A file that is being read.
struct Reading {
    file: Arc<str>,
    mistakes: Vec<Mistake>,
    items: usize,
}

/// Reading is given up: why has been told.
struct GivenUp;

impl Reading {
    fn place(&self, line: u64) -> Place {
        Place { file: self.file.clone(), line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    /// Tells of a mistake after which reading can go on.
    fn mistake(&mut self, line: u64, what: impl Into<String>) -> Result<(), GivenUp> {
        let place = self.place(line);
        self.mistakes.push(Mistake { place, what: what.into() });
        if self.mistakes.len() < MAX_MISTAKES { Ok(()) } else { Err(GivenUp) }
    }

    /// Tells of a mistake after which nothing can be read.
    fn give_up(&mut self, line: u64, what: impl Into<String>) -> GivenUp {
        let place = self.place(line);
        self.mistakes.push(Mistake { place, what: what.into() });
        GivenUp
    }

    /// Counts an item.
    fn counted(&mut self, line: u64) -> Result<(), GivenUp> {
        self.items += 1;
        if self.items > MAX_ITEMS {
            return Err(self.give_up(line, format!("there are more than the {MAX_ITEMS} entries that a file may have")));
        }
        Ok(())
    }

    /// What was read, or nothing where it could not be, which is told.
    fn or_told<T>(&mut self, line: u64, read: Result<T, String>) -> Result<Option<T>, GivenUp> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(what) => self.mistake(line, what).map(|()| None),
        }
    }
}

/// A text that an item keeps, or nothing where there is none.
fn kept(text: &str) -> Option<Arc<str>> {
    let text = text.trim();
    let end = text.floor_char_boundary(MAX_FIELD_BYTES);
    (!text.is_empty()).then(|| text[..end].into())
}

/// A reference, or nothing where what stands there says that there is none.
fn reference(text: &str) -> Option<Arc<str>> {
    const NONE: [&str; 6] = ["NOTPROVIDED", "NOT PROVIDED", "NONREF", "NOREF", "NONE", "N/A"];
    // Nor do marks or zeros alone name anything.
    let names = |text: &Arc<str>| text.chars().any(|letter| letter.is_alphanumeric() && letter != '0');
    kept(text).filter(names).filter(|text| !NONE.iter().any(|none| text.eq_ignore_ascii_case(none)))
}
