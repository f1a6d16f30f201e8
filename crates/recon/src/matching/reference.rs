//! References as people type them: what they have in common when case, punctuation, prefixes and zeros are left out.

/// Makes a reference comparable: letters are large, what is neither letter nor digit is gone, and so are prefixes that mean
/// nothing, and zeros before a number.
pub(crate) fn plain(reference: &str, prefixes: &[String]) -> String {
    let rest = without_prefix(reference, prefixes, false);
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

/// A reference in large letters, without what stands before it and means nothing. Where it is `marked`, a space stays where numbers are set
/// apart.
fn without_prefix(reference: &str, prefixes: &[String], marked: bool) -> String {
    let mut whole = String::with_capacity(reference.len());
    let mut mark = false;
    for letter in reference.chars() {
        if !letter.is_alphanumeric() {
            mark = marked && whole.ends_with(|last: char| last.is_ascii_digit());
            continue;
        }
        if mark && letter.is_ascii_digit() {
            whole.push(' ');
        }
        mark = false;
        whole.extend(letter.to_uppercase());
    }
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
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest.to_owned() } else { whole }
}

/// Whether two references have the same numbers in them. Two that do not are two documents, however alike they look: `2026-1-12` is not
/// `2026-11-2`. Where one of them is written without marks between its numbers, they are held to be set apart as the other one's are.
pub(crate) fn numbers_agree(one: &str, other: &str, prefixes: &[String]) -> bool {
    fn numbers(reference: &str) -> Vec<&str> {
        reference.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()).collect()
    }
    fn without_zeros(numbers: &[&str]) -> Vec<String> {
        numbers.iter().map(|number| number.trim_start_matches('0').to_owned()).collect()
    }
    let (one, other) = (without_prefix(one, prefixes, true), without_prefix(other, prefixes, true));
    let (one, other) = (numbers(&one), numbers(&other));
    let is_whole = (one.len() == 1 || other.len() == 1) && !one.is_empty() && !other.is_empty();
    without_zeros(&one) == without_zeros(&other) || (is_whole && without_zeros(&[&one.concat()]) == without_zeros(&[&other.concat()]))
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
    }

    #[test]
    fn two_documents_differ_in_their_numbers() {
        let prefixes = ["E2E", "INV"].map(str::to_owned);
        for (one, other, agree) in [
            ("A12B7", "a-12/b 7", true),
            ("INV-0012", "12", true),
            ("2026-0007", "20260007", true),
            ("RF18 5390 0754", "RF18539007 54", false),
            ("RF18 5390 0754", "RF1853900754", true),
            ("INV-2026-1-12", "INV-2026-11-2", false),
            ("INV-1", "INV-11", false),
            ("INV", "PMT", true),
            ("INV-0", "INV", false),
            ("E2E-17", "17", true),
            ("E2E 17-4", "inv/17/4", true),
        ] {
            assert_eq!(numbers_agree(one, other, &prefixes), agree, "{one} and {other}");
            assert_eq!(numbers_agree(other, one, &prefixes), agree, "{other} and {one}");
        }
    }
}
