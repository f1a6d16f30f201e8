//! Decimals in JSON, as numbers with all their digits.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::Number;

pub(crate) fn serialize<S: Serializer>(decimal: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    number(decimal).map_err(ser::Error::custom)?.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    decimal(&Number::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// A decimal as a number of JSON.
pub(crate) fn number(decimal: &Decimal) -> Result<Number, String> {
    decimal.to_string().parse().map_err(|wrong: serde_json::Error| wrong.to_string())
}

/// A number of JSON as a decimal.
pub(crate) fn decimal(number: &Number) -> Result<Decimal, String> {
    let text = number.to_string();
    let read = text.parse().or_else(|_| Decimal::from_scientific(&text));
    read.map_err(|wrong| format!("{text} is not a number that can be kept exactly: {wrong}"))
}

/// The same where there may be none.
pub(crate) mod option {
    use super::{Decimal, Deserialize, Deserializer, Number, Serialize, Serializer, de, decimal, number, ser};

    pub(crate) fn serialize<S: Serializer>(decimal: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
        decimal.as_ref().map(number).transpose().map_err(ser::Error::custom)?.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
        let read = Option::<Number>::deserialize(deserializer)?;
        read.as_ref().map(decimal).transpose().map_err(de::Error::custom)
    }
}
