//! Amounts and dates as they are written in files, exactly.

use jiff::civil::Date;
use rust_decimal::Decimal;

/// Most digits before the decimal mark.
pub const MAX_WHOLE_DIGITS: usize = 15;
/// Most digits behind it. With both, the sum of ten million amounts is still exact.
pub const MAX_FRACTION_DIGITS: usize = 6;

/// Reads an amount: digits, one decimal mark, and marks between thousands where there are any. A sign stands before it or behind
/// it, if at all.
pub(super) fn amount(text: &str, decimal: char, thousands: Option<char>) -> Result<Decimal, String> {
    let wrong = || {
        format!(
            "`{text}` is not an amount such as 1{thousands}250{decimal}00",
            thousands = thousands.map_or_else(String::new, String::from)
        )
    };
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.strip_prefix(['-', '−']).or_else(|| trimmed.strip_suffix('-')) {
        Some(rest) => (true, rest.trim()),
        None => (false, trimmed.strip_prefix('+').or_else(|| trimmed.strip_suffix('+')).unwrap_or(trimmed).trim()),
    };
    let (whole, fraction) = digits.split_once(decimal).unwrap_or((digits, ""));
    let mut plain = String::with_capacity(digits.len() + 1);
    let mut groups = whole.split(|letter| thousands == Some(letter));
    let first = groups.next().unwrap_or_default();
    plain.push_str(first);
    for (at, group) in groups.enumerate() {
        if group.len() != 3 || (at == 0 && (first.is_empty() || first.len() > 3)) {
            return Err(wrong());
        }
        plain.push_str(group);
    }
    let is_digits = |text: &str| text.bytes().all(|letter| letter.is_ascii_digit());
    if !is_digits(&plain) || !is_digits(fraction) || (plain.is_empty() && fraction.is_empty()) {
        return Err(wrong());
    }
    let (before, behind) = (plain.trim_start_matches('0').len(), fraction.len());
    if before > MAX_WHOLE_DIGITS || fraction.trim_end_matches('0').len() > MAX_FRACTION_DIGITS {
        return Err(format!(
            "`{text}` has {before} digits before the decimal mark and {behind} behind it; up to {MAX_WHOLE_DIGITS} and {MAX_FRACTION_DIGITS} are read exactly, and nothing is rounded"
        ));
    }
    let fraction = &fraction[..fraction.len().min(MAX_FRACTION_DIGITS)];
    let digits = format!("{plain}{fraction}");
    // No more than 21 digits, once zeros in front are left out.
    let mantissa: i128 = digits.trim_start_matches('0').parse().unwrap_or(0);
    let number = Decimal::from_i128_with_scale(mantissa, u32::try_from(fraction.len()).unwrap_or(0));
    Ok(if negative { -number } else { number })
}

/// Reads a date by a pattern such as `%d.%m.%Y`.
pub(super) fn date(text: &str, pattern: &str) -> Result<Date, String> {
    let text = text.trim();
    let read = Date::strptime(pattern, text).ok().filter(is_of_our_time);
    read.ok_or_else(|| format!("`{text}` is not a date as in {}", example(pattern)))
}

/// A year of two digits, taken for one of four, is no year in which anything was booked.
fn is_of_our_time(day: &Date) -> bool {
    (1900..2200).contains(&day.year())
}

fn example(pattern: &str) -> String {
    const DAY: Date = Date::constant(2026, 3, 31);
    DAY.strftime(pattern).to_string()
}

/// Reads a date as ISO 20022 has it: a day, also where a time stands behind it.
pub(super) fn iso_date(text: &str) -> Result<Date, String> {
    let text = text.trim();
    let day = text.get(..10).filter(|_| matches!(text.as_bytes().get(10), None | Some(b'T' | b'Z' | b'+' | b'-')));
    day.and_then(|day| day.parse().ok()).filter(is_of_our_time).ok_or_else(|| format!("`{text}` is not a date as in 2026-03-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_digit_or_not_at_all() {
        let read = |text: &str, decimal, thousands| amount(text, decimal, thousands).map(|amount| amount.to_string());
        let good: [(&str, char, Option<char>, &str); 12] = [
            ("1250.00", '.', None, "1250.00"),
            ("-0.01", '.', None, "-0.01"),
            ("1.250,5", ',', Some('.'), "1250.5"),
            ("12,", ',', None, "12"),
            (",5", ',', None, "0.5"),
            ("+7", '.', None, "7"),
            ("7,00-", ',', None, "-7.00"),
            ("− 7", '.', None, "-7"),
            ("1 234 567.891", '.', Some(' '), "1234567.891"),
            ("999999999999999.999999", '.', None, "999999999999999.999999"),
            ("000000000000000000012.10", '.', None, "12.10"),
            ("1.50000000000", '.', None, "1.500000"),
        ];
        for (text, decimal, thousands, meant) in good {
            assert_eq!(read(text, decimal, thousands).as_deref(), Ok(meant), "{text}");
        }
        for (text, decimal, thousands) in [
            ("", '.', None),
            ("-", '.', None),
            (".", '.', None),
            ("1.2.3", '.', None),
            ("1,250.00", '.', None),
            ("12.34,5", ',', Some('.')),
            ("1234.567,0", ',', Some('.')),
            (".250", ',', Some('.')),
            ("1e9", '.', None),
            ("NaN", '.', None),
            ("0x10", '.', None),
            ("--1", '.', None),
            ("٣", '.', None),
            ("1000000000000000", '.', None),
            ("0.1234567", '.', None),
            ("123456789012345678901234567890", '.', None),
        ] {
            assert!(read(text, decimal, thousands).is_err(), "{text}: {:?}", read(text, decimal, thousands));
        }
        assert_eq!(
            read("123456789012345678901234567890", '.', None),
            Err("`123456789012345678901234567890` has 30 digits before the decimal mark and 0 behind it; up to 15 and 6 are read exactly, and nothing is rounded".to_owned())
        );
    }

    #[test]
    fn dates_are_days_of_the_calendar() {
        assert_eq!(iso_date("2026-03-31T23:59:59.000+02:00").map(|day| day.to_string()), Ok("2026-03-31".to_owned()));
        assert_eq!(iso_date("2026-03-31+01:00").map(|day| day.to_string()), Ok("2026-03-31".to_owned()));
        for wrong in ["2026-02-30", "2026-3-1", "26-03-31", "2026-03-311", "", "31.03.2026", "2026-03-3é"] {
            assert!(iso_date(wrong).is_err(), "{wrong}");
        }
        assert_eq!(date("29.02.2026", "%d.%m.%Y"), Err("`29.02.2026` is not a date as in 31.03.2026".to_owned()));
        assert_eq!(date("12.03.26", "%d.%m.%Y"), Err("`12.03.26` is not a date as in 31.03.2026".to_owned()));
        assert_eq!(date("31.12.2025", "%d.%m.%Y").map(|day| day.to_string()), Ok("2025-12-31".to_owned()));
    }
}
