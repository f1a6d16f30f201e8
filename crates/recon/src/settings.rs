//! What a reconciliation knows of its books: accounts, feeds, rates, holidays, and what is let pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::books::{Encoding, Format, Mapping};
use crate::record::Due;
use crate::{BreakKind, Calendar, Currency, Matcher, Settings, exact};

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
    /// Until when breaks are to be settled.
    #[serde(default)]
    pub sla: Sla,
}

/// Within how many business days breaks are to be settled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sla {
    /// From which share of that time on it is short.
    #[serde(with = "exact")]
    pub warn_at: Decimal,
    /// The last one that fits a break is for it.
    pub days: Vec<SlaDays>,
    /// Resolutions during which the time stands still, since somebody else is to do something: `chase`, say.
    pub pauses: Vec<String>,
}

impl Default for Sla {
    fn default() -> Sla {
        Sla { warn_at: Decimal::new(8, 1), days: Vec::new(), pauses: Vec::new() }
    }
}

/// Within how many business days some of them are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlaDays {
    /// Those with at least this much at stake, in the base currency.
    #[serde(default, with = "exact::option")]
    pub from: Option<Decimal>,
    /// Those of this kind.
    #[serde(default)]
    pub kind: Option<BreakKind>,
    /// Those of this business.
    #[serde(default)]
    pub break_type: Option<String>,
    /// So many.
    pub days: u32,
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

/// Highest rate: what one unit of a currency may be worth in the base currency.
pub const MAX_RATE: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

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
        let mut books: Books = serde_json::from_value(value).map_err(|wrong| wrong.to_string())?;
        for (currency, rate) in books.rates.days.values().flatten() {
            let rate = exact::decimal(rate)?;
            if rate <= Decimal::ZERO || rate > MAX_RATE {
                return Err(format!("the rate of {currency} is {rate}, and a rate is more than zero and up to {MAX_RATE}"));
            }
        }
        books.matching.check()?;
        let share = books.sla.warn_at;
        if share < Decimal::ZERO || share > Decimal::ONE {
            return Err(format!("`sla.warn_at` is {share}, and is a share from 0 to 1"));
        }
        Ok(books)
    }

    /// What finds out what belongs together on a day.
    #[must_use]
    pub fn matcher(&self, day: Date) -> Matcher {
        let currencies = self.rates.days.values().flat_map(BTreeMap::keys).chain([&self.base]);
        let rates = currencies.filter_map(|currency| Some((*currency, self.rate(*currency, day)?.rate))).collect();
        Matcher { settings: self.matching.clone(), calendar: self.calendar(), rates: Some(rates) }
    }

    /// Which days are business days.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        let mut calendar = Calendar::default();
        for (currency, days) in &self.holidays {
            days.iter().for_each(|day| calendar.close(*currency, *day));
        }
        calendar
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

    /// Within how many business days a break is to be settled, if that is said.
    #[must_use]
    pub fn sla_days(&self, kind: BreakKind, break_type: Option<&str>, exposure: Option<Decimal>) -> Option<u32> {
        let fits = |it: &&SlaDays| {
            // What may be much is much.
            it.from.is_none_or(|from| exposure.is_none_or(|exposure| exposure >= from))
                && it.kind.is_none_or(|known| known == kind)
                && it.break_type.as_deref().is_none_or(|known| Some(known) == break_type)
        };
        self.sla.days.iter().rev().find(fits).map(|it| it.days)
    }

    /// How a break of this age stands, that is to be settled within so many days.
    #[must_use]
    pub fn due(&self, age: u32, within: Option<u32>) -> Due {
        match within {
            Some(within) if age > within => Due::Overdue,
            Some(within) if Decimal::from(age) >= Decimal::from(within) * self.sla.warn_at => Due::Warning,
            Some(_) | None => Due::InTime,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_none_are_told() {
        let of = |more: &str| {
            let text = format!(r#"{{ "base": "EUR", "accounts": {{}}, "feeds": {{ "a": [], "b": [] }}, {more} }}"#);
            Books::of(serde_json::from_str(&text).unwrap())
        };
        for (more, what) in [
            (r#""matching": { "similarity": 92 }"#, "`matching.similarity` is 92, and is a share from 0 to 1"),
            (r#""matching": { "tolerance": -5 }"#, "`matching.tolerance` is -5, and is no less than zero"),
            (
                r#""matching": { "tolerance_share": 5 }"#,
                "`matching.tolerance_share` is 5, and is no less than zero, and up to 0.1: 0.00005 is half a basis point",
            ),
            (r#""sla": { "warn_at": 80 }"#, "`sla.warn_at` is 80, and is a share from 0 to 1"),
            (
                r#""rates": { "source": "", "days": { "2026-03-12": { "USD": 70000000000000 } } }"#,
                "the rate of USD is 70000000000000, and a rate is more than zero and up to 1000000",
            ),
        ] {
            assert_eq!(of(more).unwrap_err(), what);
        }
        let books = of(r#""matching": { "prefixes": ["Kd-Nr.", "inv"] }"#).unwrap();
        assert_eq!(books.matching.prefixes, ["KDNR", "INV"]);
    }

    #[test]
    fn the_last_line_that_fits_says_until_when_a_break_is_settled() {
        let days = |text: &str| -> SlaDays { serde_json::from_str(text).unwrap() };
        let mut books: Books = serde_json::from_str(r#"{ "base": "EUR", "accounts": {}, "feeds": { "a": [], "b": [] } }"#).unwrap();
        let of =
            |books: &Books, kind, business: Option<&str>, amount: Option<i64>| books.sla_days(kind, business, amount.map(Decimal::from));
        assert_eq!(of(&books, BreakKind::Duplicate, None, Some(7)), None);
        assert_eq!(books.due(1_000, None), Due::InTime);
        books.sla.days = vec![
            days(r#"{ "days": 5 }"#),
            days(r#"{ "from": 5000, "days": 3 }"#),
            days(r#"{ "kind": "SETTLEMENT_FAIL", "days": 2 }"#),
            days(r#"{ "break_type": "REGULATORY_DATA", "days": 1 }"#),
        ];
        assert_eq!(of(&books, BreakKind::Duplicate, Some("CASH"), Some(4_999)), Some(5));
        assert_eq!(of(&books, BreakKind::Duplicate, None, Some(5_000)), Some(3));
        assert_eq!(of(&books, BreakKind::Duplicate, None, None), Some(3), "what is not known may be much");
        assert_eq!(of(&books, BreakKind::SettlementFail, None, Some(9_000_000)), Some(2));
        assert_eq!(of(&books, BreakKind::SettlementFail, Some("REGULATORY_DATA"), Some(0)), Some(1));
        let standing: Vec<&str> = (0..=6).map(|age| books.due(age, Some(5)).name()).collect();
        assert_eq!(standing, ["in time", "in time", "in time", "in time", "warning", "warning", "overdue"]);
    }
}
