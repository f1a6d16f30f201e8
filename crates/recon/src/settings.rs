//! What a reconciliation knows of its books: accounts, feeds, rates, holidays, and what is let pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::books::{Encoding, Format, Mapping};
use crate::{Calendar, Currency, Matcher, Settings, exact};

/// The file of settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Books {
    /// The currency in which exposures are measured.
    pub base: Currency,
    /// What other currencies are worth in it.
    #[serde(default)]
    pub rates: Rates,
    /// On which days nothing is settled, besides weekends.
    #[serde(default)]
    pub holidays: BTreeMap<Currency, Vec<Date>>,
    /// The accounts that are reconciled.
    pub accounts: BTreeMap<Arc<str>, Account>,
    /// Where the books come from.
    pub feeds: Feeds,
    /// What is let pass.
    #[serde(default)]
    pub matching: Settings,
    /// With more breaks than these, the books do not belong together, and nothing is opened.
    #[serde(default = "most_breaks")]
    pub most_breaks: usize,
    /// What is small, in the base currency: many of these of one kind on one account are looked at together. Without it, all are.
    #[serde(default, with = "exact::option")]
    pub small: Option<Decimal>,
}

/// What currencies are worth.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Who says so.
    pub source: String,
    /// For each day, what one unit of a currency is worth in the base currency.
    pub days: BTreeMap<Date, BTreeMap<Currency, Number>>,
}

/// An account that is reconciled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What people call it.
    pub name: String,
    /// Its currencies.
    pub currencies: Vec<Currency>,
    /// What kind of business its breaks are.
    pub break_type: String,
    /// What it holds.
    pub asset_class: String,
    /// Who answers for it.
    pub owner: String,
    /// The systems on both sides.
    pub systems: [String; 2],
}

/// Where the books come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feeds {
    /// The statements.
    pub a: Vec<Feed>,
    /// The ledgers.
    pub b: Vec<Feed>,
}

/// A file that comes every day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Its path in the project, with `{day}` for the day.
    pub file: String,
    /// How it is written.
    pub format: FormatName,
    /// Of a table: the file that says what its columns mean.
    #[serde(default)]
    pub mapping: Option<String>,
    /// How its letters are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// Of camt.053: whether a batch stays one item, also where its transactions are listed.
    #[serde(default)]
    pub whole_batches: bool,
    /// Whether there are days without it.
    #[serde(default)]
    pub optional: bool,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum FormatName {
    /// A table.
    #[serde(rename = "csv")]
    Csv,
    /// ISO 20022.
    #[serde(rename = "camt.053")]
    Camt053,
    /// SWIFT.
    #[serde(rename = "mt940")]
    Mt940,
}

fn most_breaks() -> usize {
    5_000
}

/// A rate, and of which day it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What one unit is worth.
    pub rate: Decimal,
    /// The day that it is of.
    pub day: Date,
}

impl Books {
    /// Reads the settings from their value.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(value: Value) -> Result<Books, String> {
        let books: Books = serde_json::from_value(value).map_err(|wrong| wrong.to_string())?;
        for (currency, rate) in books.rates.days.values().flatten() {
            let rate = exact::decimal(rate)?;
            if rate <= Decimal::ZERO {
                return Err(format!("the rate of {currency} is {rate}, and a rate is more than zero"));
            }
        }
        Ok(books)
    }

    /// What finds out what belongs together.
    #[must_use]
    pub fn matcher(&self) -> Matcher {
        let mut calendar = Calendar::default();
        for (currency, days) in &self.holidays {
            days.iter().for_each(|day| calendar.close(*currency, *day));
        }
        Matcher { settings: self.matching.clone(), calendar }
    }

    /// What a currency is worth on a day, by the newest rate until then.
    #[must_use]
    pub fn rate(&self, currency: Currency, day: Date) -> Option<Rate> {
        if currency == self.base {
            return Some(Rate { rate: Decimal::ONE, day });
        }
        let newest = self.rates.days.range(..=day).rev().find_map(|(day, rates)| Some((*day, rates.get(&currency)?)))?;
        Some(Rate { rate: exact::decimal(newest.1).ok()?, day: newest.0 })
    }

    /// Whether an account is one of those that are reconciled, in this currency.
    #[must_use]
    pub fn knows(&self, account: &str, currency: Currency) -> bool {
        self.accounts.get(account).is_some_and(|account| account.currencies.contains(&currency))
    }
}

impl Feed {
    /// Its file on a day.
    #[must_use]
    pub fn file_of(&self, day: Date) -> String {
        self.file.replace("{day}", &day.to_string())
    }

    /// How it is written, with the mapping that it names.
    ///
    /// # Errors
    /// Where it is a table and names none, or that cannot be read.
    pub fn format(&self, mapping_of: impl Fn(&str) -> Result<Value, String>) -> Result<Format, String> {
        Ok(match self.format {
            FormatName::Camt053 => Format::Camt053 { whole_batches: self.whole_batches },
            FormatName::Mt940 => Format::Mt940,
            FormatName::Csv => {
                let none =
                    || format!("the feed {} is a table, and says nowhere what its columns mean: name a file as its `mapping`", self.file);
                let name = self.mapping.as_deref().ok_or_else(none)?;
                let mapping: Mapping = serde_json::from_value(mapping_of(name)?).map_err(|wrong| format!("{name}: {wrong}"))?;
                Format::Csv(Box::new(mapping))
            }
        })
    }
}
