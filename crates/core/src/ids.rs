//! Names and measures: runs, digests, points in time, lengths of time.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// The name of a run: 128 bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u128);

impl RunId {
    /// Makes an id that sorts by time, as UUID version 7 does, from a clock and a source of chance that the caller owns.
    #[must_use]
    pub fn at(at: Timestamp, chance: u128) -> RunId {
        let millis = u128::from(at.micros().unsigned_abs() / 1_000) & 0xffff_ffff_ffff;
        let version_and_variant = (0x7 << 76) | (0b10 << 62);
        let random = chance & 0x0fff_3fff_ffff_ffff_ffff;
        RunId((millis << 80) | version_and_variant | random)
    }

    /// The end of the id, which tells runs apart where the whole would be too much: its beginning is the time.
    #[must_use]
    pub fn short(self) -> String {
        const SHOWN: usize = 8;
        let id = self.to_string();
        id[id.len() - SHOWN..].to_owned()
    }

    /// The run that `task` of this run starts as a sub-workflow: always the same one, so that starting it twice is harmless.
    #[must_use]
    pub fn child(self, task: &str, attempt: u32) -> RunId {
        RunId::of(Digest::of_parts(&[&self.0.to_be_bytes(), task.as_bytes(), &attempt.to_be_bytes()]))
    }

    /// The run that is known by a key: always the same one, so that whoever starts it a second time finds the first. Keys of
    /// different scopes have nothing to do with each other.
    #[must_use]
    pub fn keyed(scope: &str, key: &str) -> RunId {
        RunId::of(Digest::of_parts(&[Digest::of(scope.as_bytes()).0.as_slice(), key.as_bytes()]))
    }

    fn of(digest: Digest) -> RunId {
        let mut first = [0; 16];
        first.copy_from_slice(&digest.0[..16]);
        RunId(u128::from_be_bytes(first))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that should have been an id, a digest or a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct NotA {
    text: String,
    wanted: &'static str,
}

impl FromStr for RunId {
    type Err = NotA;

    fn from_str(text: &str) -> Result<RunId, NotA> {
        let wrong = || NotA { text: text.to_owned(), wanted: "the id of a run (32 hexadecimal digits)" };
        if text.len() != 32 {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16).map(RunId).map_err(|_| wrong())
    }
}

/// A SHA-256 digest: the name of a value by its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Thirty-two zero bytes: what the first entry of a chain follows.
    pub const ZERO: Digest = Digest([0; 32]);

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::of_parts(&[bytes])
    }

    /// The digest of the parts, one after the other.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Digest {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }

    /// A number in 0..1 drawn from the digest: chance that is the same every time.
    #[must_use]
    pub fn fraction(self) -> f64 {
        let mut first = [0; 4];
        first.copy_from_slice(&self.0[..4]);
        f64::from(u32::from_be_bytes(first)) / (f64::from(u32::MAX) + 1.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (byte, pair) in self.0.iter().zip(text.chunks_exact_mut(2)) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are text"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Digest, NotA> {
        let wrong = || NotA { text: text.to_owned(), wanted: "a digest (64 hexadecimal digits)" };
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut digest = Digest::ZERO;
        for (byte, pair) in digest.0.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(digest)
    }
}

/// A point in time, to the microsecond, UTC.
///
/// Kept as the distance from the earliest point there is, which is never zero: a point that may be missing takes no
/// more room than one that is there, and every task has several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The earliest point that can be written, in the year -9999.
    pub const MIN: Timestamp = Timestamp::from_micros(i64::MIN);
    /// The latest point that can be written, in the year 9999.
    pub const MAX: Timestamp = Timestamp::from_micros(i64::MAX);

    const MIN_MICROS: i64 = -377_705_023_201_000_000;
    const MAX_MICROS: i64 = 253_402_207_200_000_000;
    const SIGN: u64 = 1 << 63;

    /// A point so many microseconds after 1970; the nearest one that can be written, where that is too far away.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Timestamp {
        let micros = match micros {
            ..Timestamp::MIN_MICROS => Timestamp::MIN_MICROS,
            Timestamp::MAX_MICROS.. => Timestamp::MAX_MICROS,
            _ => micros,
        };
        // Turning the sign over keeps the order, and the earliest points of all are not among these.
        match NonZeroU64::new(micros.cast_unsigned() ^ Timestamp::SIGN) {
            Some(distance) => Timestamp(distance),
            None => unreachable!(),
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> i64 {
        (self.0.get() ^ Timestamp::SIGN).cast_signed()
    }

    /// The point that lies `length` later.
    #[must_use]
    pub fn plus(self, length: Millis) -> Timestamp {
        let micros = i64::try_from(length.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.micros().saturating_add(micros))
    }
}

impl Default for Timestamp {
    fn default() -> Timestamp {
        Timestamp::from_micros(0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.micros()).expect("it is between MIN and MAX");
        write!(f, "{time:.6}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Timestamp, NotA> {
        let wrong = |_| NotA { text: text.to_owned(), wanted: "a point in time (such as 2026-11-20T09:30:00Z)" };
        text.parse::<jiff::Timestamp>().map(|time| Timestamp::from_micros(time.as_microsecond())).map_err(wrong)
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a text")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

serde_as_text!(RunId);
serde_as_text!(Digest);
serde_as_text!(Timestamp);
