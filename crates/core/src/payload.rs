//! Values as they travel: checked JSON text, shared, never decoded unless a condition asks for a field.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use quorate_expr::{Decimal, Field, Segment, Type, Value, Why};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Digest;

/// Largest value that a run takes in: an input, an output, a signal.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;
/// Values longer than this are kept once, by their digest.
pub const MAX_INLINE_BYTES: usize = 64 * 1024;
/// The text of nothing.
const NULL: &str = "null";
/// How deep a value is looked into when a condition compares it as a whole.
const MAX_COMPARED_DEPTH: usize = 64;

/// A JSON text that was checked once and is shared from then on.
#[derive(Clone)]
pub struct Payload(Repr);

#[derive(Clone)]
enum Repr {
    /// `null`, which most tasks have for something: it takes no memory, and is shared without being counted.
    Null,
    Text(Arc<RawValue>),
    /// Longer than [`MAX_INLINE_BYTES`], or meant to be: written as its digest.
    Long(Arc<Long>),
    /// Read from a journal that keeps the text elsewhere, and not yet put together.
    Absent(Box<Digest>),
}

struct Long {
    raw: Box<RawValue>,
    digest: Digest,
}

/// A value that cannot become a payload.
#[derive(Debug, thiserror::Error)]
pub enum BadValue {
    /// It is too large.
    #[error("the value has {bytes} bytes, more than the {MAX_VALUE_BYTES} allowed; hand over a reference to it instead")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is not JSON.
    #[error("the value is not JSON")]
    NotJson(#[source] serde_json::Error),
}

impl Payload {
    /// Encodes a value.
    ///
    /// # Errors
    /// [`BadValue`] where it does not fit or does not encode.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Payload, BadValue> {
        serde_json::value::to_raw_value(value).map_err(BadValue::NotJson).and_then(Payload::from_raw)
    }

    /// Checks a JSON text.
    ///
    /// # Errors
    /// [`BadValue`] where it does not fit or is not JSON.
    pub fn parse(json: String) -> Result<Payload, BadValue> {
        if json.len() > MAX_VALUE_BYTES {
            return Err(BadValue::TooLarge { bytes: json.len() });
        }
        RawValue::from_string(json).map_err(BadValue::NotJson).and_then(Payload::from_raw)
    }

    fn from_raw(raw: Box<RawValue>) -> Result<Payload, BadValue> {
        let raw = on_one_line(raw);
        let bytes = raw.get().len();
        match bytes {
            _ if raw.get() == NULL => Ok(Payload(Repr::Null)),
            0..=MAX_INLINE_BYTES => Ok(Payload(Repr::Text(raw.into()))),
            _ if bytes <= MAX_VALUE_BYTES => Ok(Payload::long(raw)),
            _ => Err(BadValue::TooLarge { bytes }),
        }
    }

    fn long(raw: Box<RawValue>) -> Payload {
        let digest = Digest::of(raw.get().as_bytes());
        Payload(Repr::Long(Arc::new(Long { raw, digest })))
    }

    /// The same value, kept once by its digest however short it is: what many runs carry.
    #[must_use]
    pub fn apart(self) -> Payload {
        match self.0 {
            Repr::Null => Payload::long(RawValue::NULL.to_owned()),
            Repr::Text(raw) => Payload::long((*raw).to_owned()),
            Repr::Long(_) | Repr::Absent(_) => self,
        }
    }

    /// What was kept under this digest; nothing where it is something else.
    #[must_use]
    pub fn kept_as(digest: Digest, text: String) -> Option<Payload> {
        let found = Payload::parse(text).ok()?.apart();
        (found.kept_apart() == Some(digest)).then_some(found)
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Payload {
        Payload(Repr::Null)
    }

    /// The JSON text; `null` for one that is [absent](Payload::absent).
    #[must_use]
    pub fn json(&self) -> &str {
        match &self.0 {
            Repr::Text(raw) => raw.get(),
            Repr::Long(long) => long.raw.get(),
            Repr::Null | Repr::Absent(_) => NULL,
        }
    }

    /// The digest under which a long value is kept apart from the entry.
    #[must_use]
    pub fn kept_apart(&self) -> Option<Digest> {
        match &self.0 {
            Repr::Null | Repr::Text(_) => None,
            Repr::Long(long) => Some(long.digest),
            Repr::Absent(digest) => Some(**digest),
        }
    }

    /// The digest of a value that still has to be fetched.
    #[must_use]
    pub fn absent(&self) -> Option<Digest> {
        match &self.0 {
            Repr::Absent(digest) => Some(**digest),
            Repr::Null | Repr::Text(_) | Repr::Long(_) => None,
        }
    }

    /// Decodes the value.
    ///
    /// # Errors
    /// That of the decoder, where the value is not a `T`.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.json())
    }

    /// The text at `path`.
    pub(crate) fn at(&self, path: &[Segment]) -> Result<&str, Why> {
        path.iter().try_fold(self.json(), |json, step| pick(json, step))
    }

    /// The value at `path`, as conditions see it.
    #[must_use]
    pub fn value(&self, path: &[Segment]) -> Value<'_> {
        self.at(path).map_or_else(Value::Unknown, |json| possible(value(json, 0), path))
    }

    /// What an expression comes to.
    ///
    /// # Errors
    /// Why it is unknown, or a part of it.
    pub fn from_value(value: &Value<'_>) -> Result<Payload, Why> {
        let mut json = String::new();
        write_value(&mut json, value)?;
        Payload::parse(json).map_err(|_| Why::Overflow)
    }

    /// The texts of the items, where this is a list.
    pub(crate) fn items(&self) -> Option<Vec<&RawValue>> {
        self.decode().ok()
    }

    /// Checks the value against a declared type, and any `confidence` against 0 to 1.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub fn check(&self, kind: &Type) -> Result<(), String> {
        self.check_as("output", kind)
    }

    /// The same for something else than an output: an input, say.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub fn check_as(&self, what: &str, kind: &Type) -> Result<(), String> {
        fits(self.json(), kind, what)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Payload) -> bool {
        self.kept_apart() == other.kept_apart() && self.json() == other.json()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wire<T> {
    /// The value itself.
    Value(T),
    /// The digest of a long value.
    Stored(Digest),
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Null => Wire::Value(RawValue::NULL).serialize(serializer),
            Repr::Text(raw) => Wire::Value(&**raw).serialize(serializer),
            Repr::Long(long) => Wire::<()>::Stored(long.digest).serialize(serializer),
            Repr::Absent(digest) => Wire::<()>::Stored(**digest).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        match Wire::<Box<RawValue>>::deserialize(deserializer)? {
            Wire::Value(raw) => Payload::from_raw(raw).map_err(serde::de::Error::custom),
            Wire::Stored(digest) => Ok(Payload(Repr::Absent(Box::new(digest)))),
        }
    }
}

/// A journal is lines, so a value is one line. Between the tokens of JSON a line break is white space, and nowhere else.
fn on_one_line(raw: Box<RawValue>) -> Box<RawValue> {
    let bytes = raw.get().as_bytes();
    if !bytes.contains(&b'\n') && !bytes.contains(&b'\r') {
        return raw;
    }
    let spaced = raw.get().replace(['\n', '\r'], " ");
    RawValue::from_string(spaced).expect("white space of one kind is as good as another")
}

/// One step into a JSON text. Of a field that stands twice the last one counts, as it does for every decoder.
fn pick<'a>(json: &'a str, step: &Segment) -> Result<&'a str, Why> {
    let mut decoder = serde_json::Deserializer::from_str(json);
    let found = match step {
        Segment::Field(name) => decoder.deserialize_map(FieldNamed(name)),
        Segment::Index(index) => decoder.deserialize_seq(ItemAt(*index)),
    };
    match found {
        Ok(Some(raw)) => Ok(raw.get()),
        Ok(None) => Err(Why::Missing),
        Err(_) if json == NULL => Err(Why::Null),
        Err(_) => Err(Why::WrongType),
    }
}

struct FieldNamed<'n>(&'n str);

impl<'de> Visitor<'de> for FieldNamed<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(SameText(self.0))? {
            if wanted {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct SameText<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for SameText<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for SameText<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        Ok(text == self.0)
    }
}

struct ItemAt(u32);

impl<'de> Visitor<'de> for ItemAt {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut position = 0;
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            if position == self.0 {
                found = Some(item);
            }
            position += 1;
        }
        Ok(found)
    }
}

/// Models do answer 1000000000000: what is called a confidence and cannot be one is not known.
pub(crate) fn possible<'a>(found: Value<'a>, path: &[Segment]) -> Value<'a> {
    match found {
        Value::Number(number) if is_confidence(path) && !quorate_expr::Range::UNIT.holds(number) => Value::Unknown(Why::OutOfRange),
        found => found,
    }
}

pub(crate) fn is_confidence(path: &[Segment]) -> bool {
    matches!(path.last(), Some(Segment::Field(name)) if &**name == "confidence")
}

/// Writes a value as JSON.
pub(crate) fn write_value(json: &mut String, value: &Value<'_>) -> Result<(), Why> {
    match value {
        Value::Unknown(why) => return Err(*why),
        Value::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write!(json, "{number}").expect("a String takes any text"),
        Value::Text(text) => json.push_str(&quoted(text)),
        Value::Object(object) => json.push_str(object),
        Value::List(items) => {
            json.push('[');
            for (position, item) in items.iter().enumerate() {
                json.push_str(if position == 0 { "" } else { "," });
                write_value(json, item)?;
            }
            json.push(']');
        }
    }
    Ok(())
}

/// A text as JSON has it.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// A JSON text as conditions see it. Numbers are read from their digits: nothing is rounded on the way.
pub(crate) fn value(json: &str, depth: usize) -> Value<'_> {
    match json.as_bytes().first() {
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Unknown(Why::Null),
        Some(b'"') if !json.contains('\\') => Value::Text(Cow::Borrowed(json.trim_matches('"'))),
        Some(b'"') => serde_json::from_str(json).map_or(Value::Unknown(Why::WrongType), |text| Value::Text(Cow::Owned(text))),
        Some(b'{') => Value::Object(Cow::Borrowed(json)),
        Some(b'[') if depth < MAX_COMPARED_DEPTH => match serde_json::from_str::<Vec<&RawValue>>(json) {
            Ok(items) => Value::List(items.into_iter().map(|item| value(item.get(), depth + 1)).collect()),
            Err(_) => Value::Unknown(Why::WrongType),
        },
        Some(b'-' | b'0'..=b'9') => decimal(json).map_or(Value::Unknown(Why::Overflow), Value::Number),
        _ => Value::Unknown(Why::WrongType),
    }
}

/// Reads the digits of a JSON number; `None` where 28 digits do not hold it exactly.
pub(crate) fn decimal(digits: &str) -> Option<Decimal> {
    if let Ok(exact) = Decimal::from_str_exact(digits) {
        return Some(exact);
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E'])?;
    let mantissa = Decimal::from_str_exact(mantissa).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    match exponent {
        0..=28 => (0..exponent).try_fold(mantissa, |number, _| number.checked_mul(Decimal::TEN)),
        -28..=-1 => {
            let mut number = mantissa;
            number.set_scale(mantissa.scale() + exponent.unsigned_abs()).ok()?;
            Some(number)
        }
        _ => mantissa.is_zero().then_some(Decimal::ZERO),
    }
}

/// Most digits of a number that conditions read.
const MAX_DIGITS: u32 = 28;
/// So many fields are looked for one after the other, rather than put into a table first.
const FEW_FIELDS: usize = 8;

fn fits(json: &str, kind: &Type, place: &str) -> Result<(), String> {
    if *kind == Type::Any && !json.starts_with('{') {
        return Ok(());
    }
    // What a list holds is looked at below, item by item.
    let found = if json.starts_with('[') { Value::List(Vec::new()) } else { value(json, 0) };
    let wrong = || Err(format!("`{place}` should be {kind}, but is {}", shorten(json)));
    if matches!((kind, &found), (Type::Number(_), Value::Unknown(Why::Overflow))) {
        return Err(format!("`{place}` has more digits than the {MAX_DIGITS} that are kept exactly: {}", shorten(json)));
    }
    match (kind, &found) {
        (Type::Any, Value::Object(_)) if has_odd_confidence(json) => match pick(json, &Segment::Field("confidence".into())) {
            Ok(confidence) => fits(confidence, &Type::Number(quorate_expr::Range::UNIT), &format!("{place}.confidence")),
            Err(_) => Ok(()),
        },
        (Type::Any, _) | (Type::Bool, Value::Bool(_)) | (Type::Text, Value::Text(_)) => Ok(()),
        (Type::Number(range), Value::Number(number)) if range.holds(*number) => Ok(()),
        (Type::Enum(values), Value::Text(text)) if values.iter().any(|known| known == text) => Ok(()),
        (Type::List(item), Value::List(_)) => {
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|problem| format!("`{place}`: {problem}"))?;
            items.iter().enumerate().try_for_each(|(position, text)| fits(text.get(), item, &format!("{place}[{position}]")))
        }
        (Type::Object(fields), Value::Object(_)) if fields.len() <= FEW_FIELDS => {
            let found = |field: &Field| pick(json, &Segment::Field(field.name.as_str().into())).ok();
            fields.iter().try_for_each(|field| fits_field(found(field), field, place))
        }
        (Type::Object(fields), Value::Object(_)) => {
            let there: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).map_err(|problem| format!("`{place}`: {problem}"))?;
            fields.iter().try_for_each(|field| fits_field(there.get(field.name.as_str()).map(|raw| raw.get()), field, place))
        }
        _ => wrong(),
    }
}

/// Whether any field called `confidence`, at whatever depth, is not plainly a number from 0 to 1. Saves looking closer
/// at outputs that are as they should be, which is nearly all of them.
fn has_odd_confidence(json: &str) -> bool {
    const FIELD: &str = "\"confidence\"";
    json.match_indices(FIELD).any(|(at, _)| {
        let rest = json[at + FIELD.len()..].trim_start().trim_start_matches(':').trim_start();
        let digits = rest.split(|next: char| !matches!(next, '0'..='9' | '.' | '-' | '+' | 'e' | 'E')).next();
        !digits.and_then(decimal).is_some_and(|number| quorate_expr::Range::UNIT.holds(number))
    })
}

fn fits_field(found: Option<&str>, field: &Field, place: &str) -> Result<(), String> {
    match found {
        Some("null") if !field.required => Ok(()),
        Some(inner) => fits(inner, &field.kind, &format!("{place}.{}", field.name)),
        None if field.required => Err(format!("`{place}` has no `{}`", field.name)),
        None => Ok(()),
    }
}

fn shorten(json: &str) -> String {
    const SHOWN: usize = 60;
    match json.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &json[..end]),
        None => json.to_owned(),
    }
}
