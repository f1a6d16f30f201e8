//! One line of a book, the same whatever file it came from.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::record::EXPECTED;

/// Which of the two books an item is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Side {
    /// The statement: the bank's, the custodian's, the broker's.
    A,
    /// The ledger: one's own.
    B,
}

impl Side {
    /// The one across.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::A => "A",
            Side::B => "B",
        })
    }
}

/// A currency, by its three letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// None, until it is known.
    pub(crate) const NONE: Currency = Currency(*b"XXX");

    /// Its letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Currency, String> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Currency(letters)),
            Ok(_) | Err(_) => Err(format!("{text:?} is not a currency: it is three capital letters, as in EUR")),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an item stands: what every figure that is shown goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line in it, from 1.
    pub line: u32,
}

impl Place {
    /// A place as it is written.
    #[must_use]
    pub fn of(text: &str) -> Place {
        // What is in no file has no line, though there may be such a mark in its name.
        let known = text.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let (file, line) = known.unwrap_or((text, 0));
        Place { file: file.into(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in no file has no line.
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}", self.file, self.line) }
    }
}

/// One line of a book.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it stands.
    pub place: Place,
    /// The account.
    pub account: Arc<str>,
    /// The currency of the amount.
    pub currency: Currency,
    /// The amount, signed: what comes in is above zero on both sides.
    pub amount: Decimal,
    /// From when it counts.
    pub value_date: Date,
    /// When it was booked.
    pub booked: Option<Date>,
    /// The reference that goes from end to end.
    pub reference: Option<Arc<str>>,
    /// The bank's own reference.
    pub bank_reference: Option<Arc<str>>,
    /// What it was booked together with.
    pub batch: Option<Arc<str>>,
    /// With whom.
    pub counterparty: Option<Arc<str>>,
    /// What kind of transaction it is, in the words of the file.
    pub code: Option<Arc<str>>,
    /// How many of something it is about.
    pub quantity: Option<Decimal>,
    /// What one of them costs.
    pub price: Option<Decimal>,
    /// How it stands, where it is not simply booked: `PDNG` is not booked yet.
    pub status: Option<Arc<str>>,
    /// Whether it takes another one back.
    pub reversal: bool,
    /// What else is said about it.
    pub text: Arc<str>,
}

impl Item {
    /// Whether nothing but amounts, dates and references may keep two items apart: what both say of quantity and price is the same.
    pub(crate) fn agrees_with(&self, other: &Item) -> bool {
        let same = |one: Option<Decimal>, other: Option<Decimal>| one.is_none() || other.is_none() || one == other;
        same(self.quantity, other.quantity) && same(self.price, other.price)
    }

    /// Whether its code, or a part of it as in `PMNT/ICDT/ESCT`, is one of these.
    pub(crate) fn has_code(&self, codes: &[String]) -> bool {
        self.code.as_deref().is_some_and(|code| code.split('/').any(|part| codes.iter().any(|known| known == part)))
    }

    /// Whether it is an entry that the ledger is expected to bring: it stands in no file.
    pub(crate) fn is_expected(&self) -> bool {
        self.place.line == 0 && self.place.file.starts_with(EXPECTED)
    }

    /// What tells it from others of its side, apart from where it stands. Items that are the same in all of it are copies:
    /// nothing depends on which of them is which.
    pub(crate) fn cmp_content(&self, other: &Item) -> Ordering {
        let key = |item: &Item| (item.currency, item.value_date, item.amount, item.booked, item.reversal);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.account.cmp(&other.account))
            .then_with(|| self.reference.cmp(&other.reference))
            .then_with(|| self.bank_reference.cmp(&other.bank_reference))
            .then_with(|| self.batch.cmp(&other.batch))
            .then_with(|| self.counterparty.cmp(&other.counterparty))
            .then_with(|| self.code.cmp(&other.code))
            .then_with(|| (self.quantity, self.price).cmp(&(other.quantity, other.price)))
            .then_with(|| self.status.cmp(&other.status))
            .then_with(|| self.text.cmp(&other.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for (file, line) in [("data/a.csv", 7), ("adjustment ADJ-INV:7 of 2026-03-12", 0), ("c:/a.csv", 12)] {
            let place = Place { file: file.into(), line };
            assert_eq!(Place::of(&place.to_string()), place);
        }
    }
}
