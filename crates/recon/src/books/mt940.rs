//! SWIFT MT940, customer statement message, as banks write it: with or without the envelope, one statement or many, on several pages.

use std::io::BufRead;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::amount::amount;
use super::lines::{UTF16, is_utf16, next_line, text_of};
use super::{Balance, Encoding, GivenUp, Reading, Statement, kept, reference};
use crate::{Currency, Item};

/// How an entry stands that is expected only: as other formats call it.
const PENDING: &str = "PDNG";
/// Most lines of one field.
const MAX_FIELD_LINES: usize = 64;

pub(super) fn read(reading: &mut Reading, encoding: Encoding, from: impl BufRead) -> Vec<Statement> {
    let mut message = Message { reading, found: Vec::new(), page: None, last: None };
    // What was wrong is on record.
    let _ = message.read(encoding, from);
    message.found
}

/// A field: its tag, the line where it begins, and its lines.
struct Field {
    tag: String,
    line: u64,
    lines: Vec<String>,
}

/// A statement, or a page of one.
struct Page {
    line: u64,
    id: Option<Arc<str>>,
    account: Option<(Arc<str>, Option<Currency>)>,
    number: Option<Arc<str>>,
    opening: Option<(Balance, Currency)>,
    /// Whether it goes on with a page before.
    goes_on: bool,
    closing: Option<(Balance, Currency)>,
    /// Whether another page follows.
    is_followed: bool,
    items: Vec<Item>,
}

struct Message<'r> {
    reading: &'r mut Reading,
    found: Vec<Statement>,
    page: Option<Page>,
    /// The tag of the field before: what an :86: is about.
    last: Option<String>,
}

impl Message<'_> {
    fn read(&mut self, encoding: Encoding, mut from: impl BufRead) -> Result<(), GivenUp> {
        let (mut bytes, mut number) = (Vec::new(), 0);
        let mut field: Option<Field> = None;
        let mut met = false;
        if from.fill_buf().is_ok_and(is_utf16) {
            return Err(self.reading.give_up(1, UTF16));
        }
        loop {
            number += 1;
            match next_line(&mut from, &mut bytes) {
                Ok(true) => {}
                Ok(false) => break,
                Err(wrong) => return Err(self.reading.give_up(number, wrong)),
            }
            let text = match text_of(&bytes, encoding) {
                Ok(text) => text,
                Err(wrong) => return Err(self.reading.give_up(number, wrong)),
            };
            let line = inside(&text);
            if let Some((tag, rest)) = tag(line) {
                self.field(field.take())?;
                met |= tag == "20" || tag == "25";
                field = Some(Field { tag: tag.to_owned(), line: number, lines: vec![rest.to_owned()] });
            } else if ends_message(line) {
                self.field(field.take())?;
                self.close()?;
            } else if let Some(field) = field.as_mut().filter(|_| !line.trim().is_empty() && !is_envelope(&text)) {
                if field.lines.len() >= MAX_FIELD_LINES {
                    return Err(self.reading.give_up(number, format!("field :{}: has more than {MAX_FIELD_LINES} lines", field.tag)));
                }
                field.lines.push(line.to_owned());
            }
            // What stands around messages is how they were sent: every bank has its own way.
        }
        self.field(field.take())?;
        self.close()?;
        if !met {
            return Err(self.reading.give_up(1, "it holds no field :20: and no :25:: it is no MT940 statement"));
        }
        Ok(())
    }

    fn field(&mut self, field: Option<Field>) -> Result<(), GivenUp> {
        let Some(field) = field else { return Ok(()) };
        // A statement begins with its reference, also where the one before was not ended.
        if field.tag == "20" || self.page.is_none() {
            self.close()?;
            let empty = Page {
                line: field.line,
                id: None,
                account: None,
                number: None,
                opening: None,
                goes_on: false,
                closing: None,
                is_followed: false,
                items: Vec::new(),
            };
            self.page = Some(empty);
        }
        let Some(page) = &mut self.page else { return Ok(()) };
        let first = field.lines[0].trim();
        match field.tag.as_str() {
            "20" => page.id = kept(first),
            "25" | "25P" => page.account = account(first),
            "28" | "28C" => page.number = kept(first),
            "60F" | "60M" => {
                page.goes_on = field.tag == "60M";
                page.opening = Self::balance(self.reading, &field)?;
            }
            "62F" | "62M" => {
                page.is_followed = field.tag == "62M";
                page.closing = Self::balance(self.reading, &field)?;
            }
            "61" => {
                self.reading.counted(field.line)?;
                match line(&field.lines) {
                    Ok(line) => page.items.push(line.item(self.reading.place(field.line))),
                    Err(what) => self.reading.mistake(field.line, what)?,
                }
            }
            // Details belong to the entry that they follow; behind anything else they are about the statement.
            "86" if self.last.as_deref() == Some("61") => {
                if let Some(item) = page.items.last_mut() {
                    Details::of(&field.lines).add_to(item);
                }
            }
            _ => {}
        }
        self.last = Some(field.tag);
        Ok(())
    }

    fn balance(reading: &mut Reading, field: &Field) -> Result<Option<(Balance, Currency)>, GivenUp> {
        let read = balance(field.lines[0].trim());
        let place = reading.place(field.line);
        let read = reading.or_told(field.line, read)?;
        Ok(read.map(|(amount, date, currency)| (Balance { amount, date: Some(date), place }, currency)))
    }

    /// A statement has ended: it is one of its own, or another page of the one before.
    fn close(&mut self) -> Result<(), GivenUp> {
        let Some(page) = self.page.take() else { return Ok(()) };
        self.last = None;
        let Some((account, stated)) = page.account else {
            return self.reading.mistake(page.line, "this statement has no field :25:, and so no account");
        };
        let balance = page.opening.as_ref().or(page.closing.as_ref()).map(|(_, currency)| *currency);
        let Some(currency) = stated.or(balance) else {
            return self
                .reading
                .mistake(page.line, "nothing in this statement says in which currency it is: there is neither :60F: nor :62F:");
        };
        for (balance, other) in page.opening.iter().chain(&page.closing).filter(|(_, other)| *other != currency) {
            self.reading.mistake(u64::from(balance.place.line), format!("this balance is in {other}, and the account in {currency}"))?;
        }
        let mut items = page.items;
        for item in &mut items {
            item.account = account.clone();
            item.currency = currency;
        }
        let (opening, closing) = (page.opening.map(|(balance, _)| balance), page.closing.map(|(balance, _)| balance));
        let entries = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let whole = |number: &Option<Arc<str>>| number.as_ref().and_then(|number| number.split('/').next().map(str::to_owned));
        if page.goes_on
            && let Some(before) = self.found.last_mut()
            && before.account == account
            && whole(&before.number) == whole(&page.number)
            && before.closing.as_ref().map(|it| it.amount) == opening.as_ref().map(|it| it.amount)
        {
            before.closing = closing;
            before.ends_within = page.is_followed;
            before.entries += entries;
            before.items.append(&mut items);
            return Ok(());
        }
        let place = self.reading.place(page.line);
        let (id, number, totals) = (page.id, page.number, Vec::new());
        self.found.push(Statement {
            place,
            id,
            number,
            page: None,
            account,
            currency,
            opening,
            closing,
            // Neither may be left out.
            says_end: true,
            begins_within: page.goes_on,
            ends_within: page.is_followed,
            count: None,
            totals,
            items,
            entries,
            turned: None,
        });
        Ok(())
    }
}

/// A line without the envelope that its first field may stand in: `{1:…}{4:` and the like.
fn inside(line: &str) -> &str {
    let line = line.trim_end();
    match line.rfind("{4:") {
        Some(at) if line.starts_with('{') => &line[at + 3..],
        _ => line,
    }
}

fn is_envelope(line: &str) -> bool {
    line.trim_start().starts_with('{')
}

fn ends_message(line: &str) -> bool {
    line == "-" || line.starts_with("-}")
}

/// A tag such as `:60F:`, and what stands behind it.
fn tag(line: &str) -> Option<(&str, &str)> {
    let (tag, rest) = line.strip_prefix(':')?.split_once(':')?;
    let number = tag.get(..2)?;
    let is_tag = number.bytes().all(|byte| byte.is_ascii_digit()) || tag == "NS";
    (is_tag && tag.len() <= 3 && tag[2..].bytes().all(|byte| byte.is_ascii_uppercase())).then_some((tag, rest))
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// An account, with its currency where that stands behind it.
fn account(text: &str) -> Option<(Arc<str>, Option<Currency>)> {
    let behind = text.len().checked_sub(3).and_then(|at| text.split_at_checked(at));
    let with_currency =
        behind.filter(|(before, _)| before.len() >= 8 && before.ends_with(|letter: char| letter.is_ascii_digit() || letter == ' '));
    match with_currency.and_then(|(before, behind)| Some((before, behind.parse::<Currency>().ok()?))) {
        Some((before, currency)) => Some((kept(before)?, Some(currency))),
        None => Some((kept(text)?, None)),
    }
}

/// A day as `YYMMDD`: years up to 79 are of this century.
fn day(text: &str) -> Result<Date, String> {
    let wrong = || format!("`{text}` is not a day as in 260331");
    let number = |range: std::ops::Range<usize>| {
        text.get(range).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit())).and_then(|it| it.parse::<i16>().ok())
    };
    let (year, month, day) = (number(0..2).ok_or_else(wrong)?, number(2..4).ok_or_else(wrong)?, number(4..6).ok_or_else(wrong)?);
    let year = if year < 80 { 2000 + year } else { 1900 + year };
    let small = |number: i16| i8::try_from(number).map_err(|_| wrong());
    Date::new(year, small(month)?, small(day)?).map_err(|_| wrong())
}

/// The day of this month that lies nearest to another day: the year is not written.
fn near(text: &str, to: Date) -> Result<Date, String> {
    let of = |year: i16| {
        let year_digits = (year.rem_euclid(100)).to_string();
        day(&format!("{year_digits:0>2}{text}"))
    };
    let days = [to.year() - 1, to.year(), to.year() + 1].map(|year| of(year).ok());
    let nearest = days.into_iter().flatten().min_by_key(|day| (*day - to).get_days().abs());
    nearest.ok_or_else(|| format!("`{text}` is not a day of a month as in 0331"))
}

/// `C260331EUR1250,00`
fn balance(text: &str) -> Result<(Decimal, Date, Currency), String> {
    let wrong = || format!("`{}` is not a balance as in C260331EUR1250,00", shortened(text));
    let (mark, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
    let credit = match mark {
        "C" => true,
        "D" => false,
        _ => return Err(wrong()),
    };
    let (date, rest) = rest.split_at_checked(6).ok_or_else(wrong)?;
    let (currency, digits) = rest.split_at_checked(3).ok_or_else(wrong)?;
    let amount = unsigned(digits)?;
    Ok((if credit { amount } else { -amount }, day(date)?, currency.parse()?))
}

/// An amount as MT940 writes it: with a comma, without marks between thousands, without a sign.
fn unsigned(text: &str) -> Result<Decimal, String> {
    if text.starts_with(|letter: char| letter.is_ascii_digit()) {
        amount(text, ',', None)
    } else {
        Err(format!("`{text}` is not an amount such as 1250,00"))
    }
}

/// What an entry says.
struct Line {
    value: Date,
    booked: Option<Date>,
    amount: Decimal,
    reversal: bool,
    expected: bool,
    code: Option<Arc<str>>,
    reference: Option<Arc<str>>,
    bank: Option<Arc<str>>,
    text: String,
}

/// `2603310401DR1250,00NTRFREF-1//BANK-1`, and more on the next line.
fn line(lines: &[String]) -> Result<Line, String> {
    let text = lines[0].trim();
    let wrong = |what: &str| format!("`{}`: {what}; an entry begins as in 2603310401D1250,00NTRF", shortened(text));
    let (date, rest) = text.split_at_checked(6).ok_or_else(|| wrong("it is too short"))?;
    let value = day(date)?;
    let month = rest.get(..4).filter(|month| month.bytes().all(|byte| byte.is_ascii_digit()));
    let booked = month.map(|month| near(month, value)).transpose()?;
    let rest = if month.is_some() { &rest[4..] } else { rest };
    let (mark, rest) = ["RC", "RD", "EC", "ED", "C", "D"]
        .iter()
        .find_map(|mark| rest.strip_prefix(mark).map(|rest| (*mark, rest)))
        .ok_or_else(|| wrong("neither C nor D says in which direction it goes"))?;
    // The third letter of the currency may stand before the amount.
    let rest = rest.strip_prefix(|letter: char| letter.is_ascii_uppercase()).unwrap_or(rest);
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != ',').unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let amount = unsigned(digits)?;
    // What takes a credit back goes out.
    let credit = matches!(mark, "C" | "RD" | "EC");
    let (code, rest) = match rest.split_at_checked(4) {
        Some((code, rest)) if code.starts_with(['N', 'F', 'S']) && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            (kept(&code[1..]), rest)
        }
        // What stands there may be a part of the amount.
        _ => return Err(wrong(&format!("no kind of transaction such as NTRF stands behind the amount {digits}"))),
    };
    let (customer, bank) = rest.split_once("//").map_or((rest, None), |(customer, bank)| (customer, Some(bank)));
    Ok(Line {
        value,
        booked,
        amount: if credit { amount } else { -amount },
        reversal: mark.starts_with('R'),
        expected: mark.starts_with('E'),
        code,
        reference: reference(customer),
        bank: bank.and_then(kept),
        text: lines[1..].join(" "),
    })
}

impl Line {
    fn item(self, place: crate::Place) -> Item {
        Item {
            place,
            account: "".into(),
            currency: Currency::NONE,
            amount: self.amount,
            value_date: self.value,
            booked: self.booked,
            reference: self.reference,
            bank_reference: self.bank,
            batch: None,
            counterparty: None,
            code: self.code,
            quantity: None,
            price: None,
            // What is expected is not booked, and in no balance.
            status: self.expected.then(|| PENDING.into()),
            reversal: self.reversal,
            text: kept(&self.text).unwrap_or_else(|| "".into()),
        }
    }
}

/// What field :86: says, in one of the two ways in which banks structure it, or in words.
#[derive(Default)]
struct Details {
    end_to_end: Option<Arc<str>>,
    counterparty: Option<Arc<str>>,
    text: String,
}

impl Details {
    fn of(lines: &[String]) -> Details {
        let joined = lines.concat();
        let begins = |at: usize| joined.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        if begins(0) && begins(1) && begins(2) && matches!(joined.as_bytes().get(3), Some(b'?')) {
            return Details::by_numbers(&joined[4..]);
        }
        if joined.starts_with('/') {
            return Details::by_words(&joined);
        }
        Details { text: lines.join(" "), ..Details::default() }
    }

    /// `166?00TRANSFER?20EREF+E2E-1?21SVWZ+INVOICE 7?32ACME GMBH`
    fn by_numbers(text: &str) -> Details {
        let (mut purpose, mut party, mut rest) = (String::new(), String::new(), String::new());
        for part in text.split('?') {
            let Some((number, value)) = part.split_at_checked(2) else { continue };
            match number.parse::<u8>() {
                Ok(20..=29 | 60..=63) => purpose.push_str(value),
                Ok(32 | 33) => party.push_str(value),
                Ok(0) => rest.push_str(value),
                _ => {}
            }
        }
        let found = |name: &str| {
            let (_, behind) = purpose.split_once(name)?;
            const NAMES: [&str; 8] = ["EREF+", "KREF+", "MREF+", "CRED+", "DEBT+", "SVWZ+", "ABWA+", "PURP+"];
            let end = NAMES.iter().filter_map(|next| behind.find(next)).min().unwrap_or(behind.len());
            Some(behind[..end].trim().to_owned())
        };
        let said = found("SVWZ+").unwrap_or_else(|| purpose.clone());
        Details {
            end_to_end: found("EREF+").as_deref().and_then(reference),
            counterparty: kept(&party),
            text: if said.is_empty() { rest } else { said },
        }
    }

    /// `/TRTP/SEPA OVERBOEKING/IBAN/NL…/NAME/ACME/REMI/INVOICE 7/EREF/E2E-1`
    fn by_words(text: &str) -> Details {
        const WORDS: [&str; 16] =
            ["TRTP", "TRCD", "IBAN", "BIC", "NAME", "REMI", "EREF", "MARF", "CSID", "CNTP", "ORDP", "BENM", "RTRN", "ISDT", "PREF", "PURP"];
        let (mut word, mut values) = ("", std::collections::BTreeMap::<&str, String>::new());
        for part in text.split('/').skip(1) {
            if let Some(known) = WORDS.iter().find(|known| **known == part) {
                word = known;
                continue;
            }
            let value = values.entry(word).or_default();
            if !value.is_empty() {
                value.push('/');
            }
            value.push_str(part);
        }
        let said = |word: &str| values.get(word).map(|value| value.trim_end_matches('/').trim()).filter(|value| !value.is_empty());
        // Some write the other side as account, bank, name and town.
        let party = said("NAME").or_else(|| said("CNTP").and_then(|party| party.split('/').nth(2)));
        Details {
            end_to_end: said("EREF").and_then(reference),
            counterparty: party.and_then(kept),
            text: said("REMI").or_else(|| said("")).unwrap_or_default().to_owned(),
        }
    }

    fn add_to(self, item: &mut Item) {
        // What goes from end to end says more than what the bank calls it.
        if self.end_to_end.is_some() {
            item.reference = self.end_to_end;
        }
        item.counterparty = self.counterparty.or(item.counterparty.take());
        let text = if item.text.is_empty() { self.text } else { format!("{} {}", item.text, self.text) };
        item.text = kept(&text).unwrap_or_else(|| "".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_that_is_not_written_is_the_nearest_one() {
        let value = |text: &str| day(text).unwrap();
        for (month, to, meant) in [
            ("1231", "260102", "2025-12-31"),
            ("0102", "251231", "2026-01-02"),
            ("0331", "260331", "2026-03-31"),
            ("0229", "240301", "2024-02-29"),
            ("0101", "000101", "2000-01-01"),
        ] {
            assert_eq!(near(month, value(to)).map(|day| day.to_string()), Ok(meant.to_owned()), "{month} near {to}");
        }
        assert!(near("0230", value("260301")).is_err());
        assert!(near("0229", value("260301")).is_err(), "there was none for two years");
        assert_eq!(day("991231").map(|day| day.year()), Ok(1999));
    }
}
