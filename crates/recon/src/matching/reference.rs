//! References as people type them: what they have in common when case, punctuation, prefixes and zeros are left out.

/// Makes a reference comparable: letters are large, what is neither letter nor digit is gone, and so are prefixes that mean
/// nothing, and zeros before a number.
pub(crate) fn plain(reference: &str, prefixes: &[String]) -> String {
    let whole: String = reference.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    let mut rest = &*whole;
    // The longest first: an invoice is no INV with an OICE behind it.
    while let Some(shorter) = prefixes
        .iter()
        .filter(|prefix| !prefix.is_empty())
        .filter_map(|prefix| rest.strip_prefix(prefix.as_str()))
        .min_by_key(|rest| rest.len())
    {
        rest = shorter;
    }
    // Prefixes stand before a number; before anything else they are a part of a word.
    let rest = if rest.starts_with(|c: char| c.is_ascii_digit()) { rest } else { &whole };
    let mut plain = String::with_capacity(rest.len());
    let mut inside = false;
    let mut letters = rest.chars().peekable();
    while let Some(letter) = letters.next() {
        let more = letters.peek().is_some_and(char::is_ascii_digit);
        if letter == '0' && !inside && more {
            continue;
        }
        inside = letter.is_ascii_digit();
        plain.push(letter);
    }
    plain
}

/// The numbers in a plain reference. Two that differ in them are two documents, however alike they look.
pub(super) fn numbers(plain: &str) -> Vec<&str> {
    plain.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_is_left_out() {
        let prefixes: Vec<String> = ["REF", "INV", "INVOICE", "NO"].map(str::to_owned).to_vec();
        for (written, meant) in [
            ("INV-000123", "123"),
            ("inv 123", "123"),
            ("Ref: INV/0123", "123"),
            ("Invoice 7", "7"),
            ("INVEST 7", "INVEST7"),
            ("2026-0007", "20260007"),
            ("A0B00", "A0B0"),
            ("000", "0"),
            ("NO", "NO"),
            ("", ""),
        ] {
            assert_eq!(plain(written, &prefixes), meant, "{written}");
        }
        assert_eq!(numbers("A12B7"), ["12", "7"]);
    }
}
