//! Statements that others wrote to test their programs: read without loss, or refused with the line and the reason.
//!
//! They come with packages, and no copy of them is kept here.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is a test, and says what it skips")]

#[path = "../../agents/tests/packages/mod.rs"]
mod packages;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use quorate_recon::Decimal;
use quorate_recon::books::{self, Encoding, Format, Statement};

/// What a file comes to: how many entries, and their sum by currency.
type Came = (usize, BTreeMap<String, Decimal>);

fn files(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if wanted(&entry.file_name().unwrap().to_string_lossy()) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

/// The entries of a message, counted by somebody who knows nothing else of the format.
fn counted_in_mt940(text: &str) -> Came {
    let mut came = Came::default();
    let mut currency = String::new();
    for line in text.lines() {
        if let Some(balance) = line.strip_prefix(":60F:").or_else(|| line.strip_prefix(":60M:")) {
            currency = balance.get(7..10).unwrap_or_default().to_owned();
        }
        let Some(entry) = line.strip_prefix(":61:") else { continue };
        let entry: String = entry.chars().skip_while(char::is_ascii_digit).collect();
        let sign = if entry.starts_with('C') || entry.starts_with("RD") { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
        let digits = entry.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        let end = digits.find(|letter: char| !letter.is_ascii_digit() && letter != ',').unwrap_or(digits.len());
        let amount: Decimal = digits[..end].replace(',', ".").trim_end_matches('.').parse().unwrap();
        came.0 += 1;
        *came.1.entry(currency.clone()).or_default() += amount * sign;
    }
    came
}

/// The same for the entries of a document.
fn counted_in_camt(text: &str) -> Came {
    let mut came = Came::default();
    for entry in text.split("<Ntry>").skip(1) {
        let entry = entry.split("</Ntry>").next().unwrap();
        let (_, amount) = entry.split_once("<Amt Ccy=\"").unwrap();
        let (currency, amount) = amount.split_once("\">").unwrap();
        let amount: Decimal = amount.split('<').next().unwrap().trim().parse().unwrap();
        let credit = entry.split_once("<CdtDbtInd>").unwrap().1.starts_with("CRDT");
        came.0 += 1;
        *came.1.entry(currency.to_owned()).or_default() += if credit { amount } else { -amount };
    }
    came
}

fn counted(statements: &[Statement]) -> Came {
    let mut came = Came::default();
    for statement in statements {
        came.0 += usize::try_from(statement.entries).unwrap();
        for item in &statement.items {
            *came.1.entry(item.currency.to_string()).or_default() += item.amount;
        }
    }
    came
}

/// What is said of a file. What was read is what somebody else counted in it, or it is refused with the line and the reason.
fn told(root: &Path, path: &Path, format: &Format, count: &dyn Fn(&str) -> Came) -> String {
    let bytes = std::fs::read(path).unwrap();
    let name = path.strip_prefix(root).unwrap().display();
    let read = |encoding: Encoding| books::read("file", format, encoding, &bytes[..]);
    let (mut statements, text, how) = match read(Encoding::Utf8) {
        Ok(statements) => (statements, String::from_utf8(bytes.clone()).unwrap(), ""),
        Err(wrong) if std::str::from_utf8(&bytes).is_err() => {
            assert!(wrong.to_string().contains("line"), "{name}: {wrong}");
            match read(Encoding::Latin1) {
                Ok(statements) => (statements, bytes.iter().map(|byte| char::from(*byte)).collect(), " as latin-1"),
                Err(wrong) => return format!("{name}: {wrong}"),
            }
        }
        Err(wrong) => {
            assert!(wrong.to_string().contains("line"), "{name} is refused without a line: {wrong}");
            return format!("{name}: {wrong}");
        }
    };
    let (read, inside) = (counted(&statements), count(&text));
    assert_eq!(read, inside, "{name}: something is lost");
    let checks = books::check(&mut statements, &|_, _| true, &[]);
    let entries = if read.0 == 1 { "one entry".to_owned() } else { format!("{} entries", read.0) };
    let many = statements.len() + checks.set_aside.len();
    let many = if many == 1 { "one statement".to_owned() } else { format!("{many} statements") };
    let faults: Vec<String> = checks.faults.iter().map(|fault| format!("\n    line {}: {}", fault.place.line, fault.what)).collect();
    format!("{name}: {many} of {entries}{how}{}", faults.concat())
}

fn all(root: &Path, found: &[PathBuf], format: &Format, count: &dyn Fn(&str) -> Came) -> String {
    found.iter().map(|path| told(root, path, format, count)).collect::<Vec<_>>().join("\n")
}

#[test]
fn mt940_of_a_rust_parser() {
    let Some(folder) = packages::crate_files("mt940", "1.1.1") else { return };
    let root = folder.join("tests/data/mt940");
    let found = files(&root, &|name| name.ends_with(".sta"));
    assert_snapshot!(all(&root, &found, &Format::Mt940, &counted_in_mt940), @"
    full/abnamro/mt940.sta: 2 statements of 4 entries
        line 14: 1,111.10 before and -14.74 of 3 entries make 1,096.36, and not 2,222.20: 1,125.84 do not add up
        line 22: it begins with 5,555.20, and the statement before ended with 2,222.20: 3,333.00 are missing in between
        line 25: 5,555.20 before and -8.25 of one entry make 5,546.95, and not 6,666.83: 1,119.88 do not add up
    full/betterplace/sepa_mt9401.sta: 20 statements of 97 entries
    full/betterplace/sepa_snippet.sta: 2 statements of 11 entries
        line 55: -1,970,431.87 before and -2,501,917.30 of 7 entries make -4,472,349.17, and not -4,472,049.09: 300.08 do not add up
    full/betterplace/sepa_snippet_broken.sta: one statement of one entry
        line 10: 766,656.49 before and 50,990.05 of one entry make 817,646.54, and not 1,125,250.40: 307,603.86 do not add up
    full/betterplace/with_binary_character.sta: 2 statements of 4 entries
    full/bugs/issue-51.sta: one statement of 3 entries
        line 21: 13,564.13 before and -141.04 of 3 entries make 13,423.09, and not 13,523.09: 100.00 do not add up
    full/cmxl/mt940_1.sta: one statement of 2 entries
    full/cmxl/mt940_2.sta: one statement of 3 entries
    full/danskebank/MT940_DK_Example.sta: 14 statements of 89 entries
    full/danskebank/MT940_FI_Example.sta: one statement of 6 entries
    full/danskebank/MT940_NO_Example.sta: 13 statements of 24 entries
    full/danskebank/MT940_SE_Example.sta: 12 statements of 103 entries
    full/jejik/abnamro.sta: 2 statements of 10 entries
        line 27: 3,236.28 before and -321.44 of 8 entries make 2,914.84, and not 876.84: -2,038.00 do not add up
        line 35: it begins with 2,876.84, and the statement before ended with 876.84: 2,000.00 are missing in between
        line 40: 2,876.84 before and -24.49 of 2 entries make 2,852.35, and not 1,849.75: -1,002.60 do not add up
        line 40: it ends in the middle, with 1,849.75, and the page that follows it is not there
    full/jejik/ing.sta: one statement of 7 entries
        line 26: 0.00 before and -45.59 of 7 entries make -45.59, and not 3.47: 49.06 do not add up
    full/jejik/knab.sta: 2 statements of 3 entries
        line 13: it begins with 3,058.98, and the statement before ended with 500.00: 2,558.98 are missing in between
        line 20: 3,058.98 before and -6,760.00 of 2 entries make -3,701.02, and not 798.98: 4,500.00 do not add up
    full/jejik/knab_broken.sta: 2 statements of 3 entries
        line 13: it begins with 3,058.98, and the statement before ended with 500.00: 2,558.98 are missing in between
        line 20: 3,058.98 before and -6,760.00 of 2 entries make -3,701.02, and not 798.98: 4,500.00 do not add up
    full/jejik/postfinance.sta: one statement of 4 entries
        line 27: 0.00 before and 159.40 of 4 entries make 159.40, and not 159.60: 0.20 do not add up
    full/jejik/rabobank-iban.sta: 2 statements of 4 entries
    full/jejik/sns.sta: 2 statements of 2 entries
    full/mBank/mt940.sta: one statement of 3 entries
    full/mBank/with_newline_in_tnr.sta: one statement of 2 entries
        line 19: 0.46 before and 89.00 of 2 entries make 89.46, and not 860.17: 770.71 do not add up
    full/sparkasse/buxtehude.sta: one statement of 3 entries
        line 22: 13,564.13 before and -141.04 of 3 entries make 13,423.09, and not 13,523.09: 100.00 do not add up
    special-cases/february_30.sta: file could not be read: line 6: `160230` is not a day as in 260331
    special-cases/incomplete_tag_61.sta: one statement of one entry
        line 12: 12,345.12 before and -233.15 of one entry make 12,111.97, and not 12,345.98: 234.01 do not add up
    special-cases/invalid_statement.sta: file could not be read: line 1: it holds no field :20: and no :25:: it is no MT940 statement
    special-cases/invalid_utf8.sta: one statement of 7 entries as latin-1
        line 40: 25,170,637.10 before and -1,012,213.50 of 7 entries make 24,158,423.60, and not 25,281,687.60: 1,123,264.00 do not add up
    special-cases/overly_long_details.sta: one statement of one entry
        line 15: 12,345.12 before and -233.15 of one entry make 12,111.97, and not 12,345.98: 234.01 do not add up
    special-cases/unexpected_tag.sta: file could not be read: line 2: this statement has no field :25:, and so no account
    special-cases/unknown_tag.sta: one statement of one entry
    ");
}

#[test]
fn mt940_of_a_javascript_parser() {
    let Some(folder) = packages::npm("mt940js@1.3.5") else { return };
    let root = folder.join("node_modules/mt940js/test");
    let found = files(&root, &|name| name.contains(".mt940"));
    assert_snapshot!(all(&root, &found, &Format::Mt940, &counted_in_mt940), @"
    test-with-NS.mt940x: one statement of 4 entries
    test1.mt940: 2 statements of 3 entries
        line 15: it begins with 3,058.98, and the statement before ended with 500.00: 2,558.98 are missing in between
    test2.mt940x: one statement of 4 entries
    testX.mt940: 2 statements of 3 entries
        line 18: it begins with 3,058.98, and the statement before ended with 500.00: 2,558.98 are missing in between
    ");
}

#[test]
fn camt_of_an_accounting_program() {
    let packages =
        ["odoo14-addon-account-statement-import-camt==14.0.1.2.1", "odoo13-addon-account-bank-statement-import-camt-oca==13.0.1.1.2"];
    let mut said = Vec::new();
    for package in packages {
        let Some(root) = packages::python_files(package) else { return };
        let found = files(&root, &|name| name.starts_with("test-camt05") && !name.contains('.'));
        for whole_batches in [false, true] {
            let listed = found.iter().map(|path| told(path.parent().unwrap(), path, &Format::Camt053 { whole_batches }, &counted_in_camt));
            said.push(listed.collect::<Vec<_>>().join("\n"));
        }
    }
    assert_eq!(said[0], said[1], "a batch that is one item comes to the same");
    said.dedup();
    assert_snapshot!(said.join("\n\n"), @"
    test-camt053: one statement of 3 entries
        line 49: 15,568.27 before and -12.99 of 3 entries make 15,555.28, and not 15,121.12: -434.16 do not add up
    test-camt053-no-ntry: one statement of 0 entries
    test-camt053-txdtls: one statement of one entry
    test-camt054: file could not be read: line 1: it holds no <BkToCstmrStmt>: it is no camt.053 statement

    test-camt053: one statement of 3 entries
        line 49: 15,568.27 before and -12.99 of 3 entries make 15,555.28, and not 15,121.12: -434.16 do not add up
    test-camt053-bookgdt-dttm: one statement of one entry
        line 49: 15,568.27 before and -754.25 of one entry make 14,814.02, and not 15,121.12: 307.10 do not add up
    test-camt053-no-ntry: one statement of 0 entries
    test-camt053-txdtls: one statement of one entry
    ");
}
