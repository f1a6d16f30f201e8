//! ISO 20022 camt.053, all versions from .02 on: they differ in how deep some texts lie.
//!
//! Elements are told apart by their local names on the way from the statement down. Types of documents, entities of one's own and
//! anything else by which a small file becomes a large one are refused.

use std::io::BufRead;
use std::sync::Arc;

use jiff::civil::Date;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use rust_decimal::Decimal;

use super::amount::{amount, iso_date};
use super::lines::{Counted, is_utf16};
use super::{Balance, GivenUp, MAX_LINE_BYTES, Reading, Statement, Total, Totalled, kept, reference};
use crate::{Currency, Item};

/// How deep elements may lie in each other.
const MAX_DEPTH: usize = 64;

pub(super) fn read(reading: &mut Reading, whole_batches: bool, from: impl BufRead) -> Vec<Statement> {
    let mut document = Document {
        reading,
        whole_batches,
        path: Vec::new(),
        text: String::new(),
        currency: None,
        found: Vec::new(),
        statement: None,
        met: false,
    };
    // What was wrong is on record.
    let _ = document.read(from);
    document.found
}

struct Document<'r> {
    reading: &'r mut Reading,
    whole_batches: bool,
    /// The local names of the elements around, from the outermost.
    path: Vec<String>,
    /// The text of the innermost element so far.
    text: String,
    /// The currency of the amount that is being read.
    currency: Option<Currency>,
    found: Vec<Statement>,
    statement: Option<Stmt>,
    /// Whether it was a statement message at all.
    met: bool,
}

/// An amount with what says its direction, where both have been met.
#[derive(Default)]
struct Signed {
    amount: Option<(Decimal, Option<Currency>)>,
    credit: Option<bool>,
}

impl Signed {
    fn signed(&self) -> Option<Decimal> {
        let (amount, _) = self.amount?;
        Some(if self.credit? { amount } else { -amount })
    }
}

#[derive(Default)]
struct Stmt {
    line: u64,
    id: Option<Arc<str>>,
    number: Option<Arc<str>>,
    account: Option<Arc<str>>,
    /// Which page it is, and whether more follow.
    page: Option<u32>,
    goes_on: bool,
    currency: Option<Currency>,
    opening: Option<(Balance, Currency)>,
    closing: Option<(Balance, Currency)>,
    begins_within: bool,
    ends_within: bool,
    /// What there is where one page ends and the next begins.
    interim: Vec<(Balance, Currency)>,
    balance: Bal,
    count: Option<(u64, u64)>,
    totals: Vec<Total>,
    total: TotalOf,
    entry: Entry,
    items: Vec<Item>,
    entries: u64,
    /// What came in, and what went out.
    turned: (Decimal, Decimal),
}

impl Stmt {
    /// A page begins and ends with what there is in between, where it is not the first one or the last one.
    fn bound(&mut self) {
        // One alone is the end of a page that says how it begins, and the beginning of one that says how it ends.
        let mut interim = std::mem::take(&mut self.interim).into_iter();
        if self.opening.is_none() && (self.closing.is_some() || interim.len() > 1) {
            self.opening = interim.next();
            self.begins_within = self.opening.is_some();
        }
        if self.closing.is_none() && self.opening.is_some() {
            self.closing = interim.next_back();
            self.ends_within = self.closing.is_some();
        }
    }
}

#[derive(Default)]
struct Bal {
    kind: String,
    money: Signed,
    date: Option<Date>,
}

#[derive(Default)]
struct TotalOf {
    count: Option<u64>,
    sum: Option<Decimal>,
    credit: Option<bool>,
}

/// What entries and the transactions within them have in common.
#[derive(Default)]
struct Part {
    line: u64,
    money: Signed,
    end_to_end: Option<Arc<str>>,
    bank: Option<Arc<str>>,
    creditor_reference: Option<Arc<str>>,
    debtor: Option<Arc<str>>,
    creditor: Option<Arc<str>>,
    code: [String; 3],
    own_code: Option<Arc<str>>,
    text: String,
}

#[derive(Default)]
struct Entry {
    part: Part,
    booked: Option<Date>,
    value: Option<Date>,
    status: Option<Arc<str>>,
    reversal: bool,
    batch: Option<Arc<str>>,
    parts: Vec<Part>,
}

impl Document<'_> {
    fn read(&mut self, from: impl BufRead) -> Result<(), GivenUp> {
        let mut counted = Counted::new(from);
        if counted.fill_buf().is_ok_and(is_utf16) {
            return Err(self.reading.give_up(1, "it is written in UTF-16; camt.053 is read in UTF-8"));
        }
        let mut xml = quick_xml::Reader::from_reader(counted);
        xml.config_mut().expand_empty_elements = true;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let event = xml.read_event_into(&mut buffer);
            let line = xml.get_ref().line();
            match event {
                Ok(Event::Start(start)) => self.start(&start, line)?,
                Ok(Event::End(_)) => self.end(line)?,
                Ok(Event::Text(text)) => self.more(&text.xml_content(XmlVersion::Implicit1_0), line)?,
                Ok(Event::CData(text)) => self.more(&text.xml_content(XmlVersion::Implicit1_0), line)?,
                Ok(Event::GeneralRef(entity)) => self.entity(&entity, line)?,
                Ok(Event::Decl(declared)) => {
                    let encoding = declared.encoding().and_then(Result::ok).map(|name| name.to_ascii_lowercase());
                    if let Some(other) = encoding.filter(|name| !matches!(name.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii")) {
                        return Err(self
                            .reading
                            .give_up(line, format!("it says that it is written in {other}; statements are read in UTF-8")));
                    }
                }
                Ok(Event::DocType(_)) => {
                    return Err(self.reading.give_up(line, "it declares a document type, which a statement has no use for"));
                }
                Ok(Event::Eof) => break,
                Ok(Event::Empty(_) | Event::Comment(_) | Event::PI(_)) => {}
                Err(quick_xml::Error::Encoding(_)) => {
                    return Err(self.reading.give_up(line, "a letter here is no UTF-8, in which camt.053 is written"));
                }
                Err(wrong) => return Err(self.reading.give_up(line, format!("it is no well-formed XML: {wrong}"))),
            }
        }
        let line = xml.get_ref().line();
        if let Some(open) = self.path.last() {
            return Err(self.reading.give_up(line, format!("it ends within <{open}>")));
        }
        if !self.met {
            return Err(self.reading.give_up(1, "it holds no <BkToCstmrStmt>: it is no camt.053 statement"));
        }
        Ok(())
    }

    fn start(&mut self, start: &BytesStart<'_>, line: u64) -> Result<(), GivenUp> {
        let name = start.local_name();
        let name: &str = name.as_ref();
        if self.path.len() >= MAX_DEPTH {
            return Err(self.reading.give_up(line, format!("elements lie in each other more than {MAX_DEPTH} deep")));
        }
        self.text.clear();
        self.path.push(name.to_owned());
        self.met |= name == "BkToCstmrStmt";
        if name == "Stmt" && self.statement.is_none() && self.path.iter().any(|name| name == "BkToCstmrStmt") {
            self.statement = Some(Stmt { line, ..Stmt::default() });
        }
        let Some(statement) = &mut self.statement else { return Ok(()) };
        match name {
            "Bal" => statement.balance = Bal::default(),
            "TtlNtries" | "TtlCdtNtries" | "TtlDbtNtries" => statement.total = TotalOf::default(),
            "Ntry" => statement.entry = Entry { part: Part { line, ..Part::default() }, ..Entry::default() },
            "TxDtls" => statement.entry.parts.push(Part { line, ..Part::default() }),
            "Amt" => {
                let currency = start.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == "Ccy");
                self.currency = match currency {
                    Some(currency) => self.reading.or_told(line, currency.value.parse())?,
                    None => None,
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn more(&mut self, text: &str, line: u64) -> Result<(), GivenUp> {
        if self.text.len() + text.len() > MAX_LINE_BYTES {
            return Err(self.reading.give_up(line, format!("a text has more than the {MAX_LINE_BYTES} bytes that one may have")));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn entity(&mut self, entity: &BytesRef<'_>, line: u64) -> Result<(), GivenUp> {
        let name: &str = entity;
        let letter = match entity.resolve_char_ref() {
            Ok(Some(letter)) => Some(letter.to_string()),
            Ok(None) => resolve_predefined_entity(name).map(str::to_owned),
            Err(_) => None,
        };
        match letter {
            Some(letter) => self.more(&letter, line),
            None => Err(self.reading.give_up(line, format!("nobody knows what `&{name};` stands for"))),
        }
    }

    fn end(&mut self, line: u64) -> Result<(), GivenUp> {
        let text = std::mem::take(&mut self.text);
        let told = self.ended(text.trim(), line);
        let name = self.path.pop();
        told?;
        // Of text on both sides of an element nothing is kept.
        self.text.clear();
        if name.as_deref() == Some("Stmt")
            && !self.path.iter().any(|name| name == "Stmt")
            && let Some(statement) = self.statement.take()
        {
            self.close(statement)?;
        }
        Ok(())
    }

    /// An element has ended: what it says goes where it belongs.
    fn ended(&mut self, text: &str, line: u64) -> Result<(), GivenUp> {
        let Some(at) = self.path.iter().position(|name| name == "Stmt") else { return Ok(()) };
        let path = std::mem::take(&mut self.path);
        let below: Vec<&str> = path[at + 1..].iter().map(String::as_str).collect();
        let told = self.stated(&below, text, line);
        drop(below);
        self.path = path;
        told
    }

    fn stated(&mut self, below: &[&str], text: &str, line: u64) -> Result<(), GivenUp> {
        match below {
            ["Ntry", rest @ ..] => self.of_entry(rest, text, line),
            ["TxsSummry", rest @ ..] => self.of_summary(rest, text, line),
            ["Bal", rest @ ..] => self.of_balance(rest, text, line),
            [] | ["Acct", ..] | [_] | [_, _] => {
                let Some(statement) = &mut self.statement else { return Ok(()) };
                match below {
                    ["Id"] => statement.id = kept(text),
                    ["ElctrncSeqNb"] => statement.number = kept(text),
                    ["StmtPgntn", "PgNb"] => {
                        statement.page =
                            self.reading.or_told(line, text.parse().map_err(|_| format!("`{text}` is not the number of a page")))?;
                    }
                    ["StmtPgntn", "LastPgInd"] => statement.goes_on = matches!(text, "false" | "0"),
                    ["LglSeqNb"] if statement.number.is_none() => statement.number = kept(text),
                    ["Acct", "Id", "IBAN"] => statement.account = kept(text),
                    ["Acct", "Id", "Othr", "Id"] if statement.account.is_none() => statement.account = kept(text),
                    ["Acct", "Ccy"] => {
                        let read = self.reading.or_told(line, text.parse())?;
                        if let Some(statement) = &mut self.statement {
                            statement.currency = read;
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read_amount(reading: &mut Reading, money: &mut Signed, currency: Option<Currency>, text: &str, line: u64) -> Result<(), GivenUp> {
        let Some(amount) = reading.or_told(line, amount(text, '.', None))? else { return Ok(()) };
        if amount.is_sign_negative() && !amount.is_zero() {
            return reading.mistake(line, format!("`{text}` is below zero; the direction of an amount stands in <CdtDbtInd>"));
        }
        money.amount = Some((amount, currency));
        Ok(())
    }

    fn direction(reading: &mut Reading, text: &str, line: u64) -> Result<Option<bool>, GivenUp> {
        match text {
            "CRDT" => Ok(Some(true)),
            "DBIT" => Ok(Some(false)),
            other => reading.mistake(line, format!("`{other}` is neither CRDT nor DBIT")).map(|()| None),
        }
    }

    fn of_balance(&mut self, below: &[&str], text: &str, line: u64) -> Result<(), GivenUp> {
        let Some(statement) = &mut self.statement else { return Ok(()) };
        let balance = &mut statement.balance;
        match below {
            ["Tp", "CdOrPrtry", "Cd" | "Prtry"] => text.clone_into(&mut balance.kind),
            ["Amt"] => Self::read_amount(self.reading, &mut balance.money, self.currency, text, line)?,
            ["CdtDbtInd"] => balance.money.credit = Self::direction(self.reading, text, line)?,
            ["Dt", "Dt" | "DtTm"] => balance.date = self.reading.or_told(line, iso_date(text))?,
            [] => {
                let balance = std::mem::take(&mut statement.balance);
                if !matches!(balance.kind.as_str(), "OPBD" | "PRCD" | "CLBD" | "ITBD") {
                    return Ok(());
                }
                let place = self.reading.place(line);
                match (balance.money.signed(), balance.money.amount.and_then(|(_, currency)| currency)) {
                    (Some(amount), Some(currency)) => {
                        let stated = (Balance { amount, date: balance.date, place }, currency);
                        match balance.kind.as_str() {
                            "ITBD" => statement.interim.push(stated),
                            "CLBD" => statement.closing = Some(stated),
                            "PRCD" if statement.opening.is_some() => {}
                            _ => statement.opening = Some(stated),
                        }
                    }
                    _ => self.reading.mistake(line, "this balance lacks its amount, its currency or its direction")?,
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn of_summary(&mut self, below: &[&str], text: &str, line: u64) -> Result<(), GivenUp> {
        let Some(statement) = &mut self.statement else { return Ok(()) };
        let reading = &mut *self.reading;
        match below {
            [_, "NbOfNtries"] => {
                let count = reading.or_told(line, text.parse().map_err(|_| format!("`{text}` is not a number of entries")))?;
                statement.total.count = count;
            }
            [_, "Sum"] => statement.total.sum = reading.or_told(line, amount(text, '.', None))?,
            ["TtlNtries", "TtlNetNtryAmt"] | ["TtlNtries", "TtlNetNtry", "Amt"] => {
                let net = reading.or_told(line, amount(text, '.', None))?;
                let place = reading.place(line);
                statement.totals.extend(net.map(|amount| Total { of: Totalled::Net, amount, count: None, place }));
            }
            ["TtlNtries", "CdtDbtInd"] | ["TtlNtries", "TtlNetNtry", "CdtDbtInd"] => {
                statement.total.credit = Self::direction(reading, text, line)?;
            }
            [which @ ("TtlNtries" | "TtlCdtNtries" | "TtlDbtNtries")] => {
                let total = std::mem::take(&mut statement.total);
                let of = match *which {
                    "TtlNtries" => Totalled::Gross,
                    "TtlCdtNtries" => Totalled::Credits,
                    _ => Totalled::Debits,
                };
                // The net amount was met before its direction.
                match statement.totals.last_mut().filter(|last| last.of == Totalled::Net && of == Totalled::Gross) {
                    Some(net) if total.credit == Some(false) => net.amount = -net.amount,
                    Some(_) if total.credit.is_none() => drop(statement.totals.pop()),
                    Some(_) | None => {}
                }
                let place = reading.place(line);
                if let Some(amount) = total.sum {
                    statement.totals.push(Total { of, amount, count: total.count, place });
                } else if let Some(count) = total.count.filter(|_| of == Totalled::Gross) {
                    statement.count = Some((count, line));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn of_entry(&mut self, below: &[&str], text: &str, line: u64) -> Result<(), GivenUp> {
        let Some(statement) = &mut self.statement else { return Ok(()) };
        let entry = &mut statement.entry;
        match below {
            ["NtryDtls", "TxDtls", rest @ ..] => {
                let Some(part) = entry.parts.last_mut() else { return Ok(()) };
                return Self::of_part(self.reading, part, self.currency, rest, text, line);
            }
            ["NtryDtls", "Btch", "PmtInfId"] => entry.batch = kept(text),
            ["NtryDtls", "Btch", "MsgId"] if entry.batch.is_none() => entry.batch = kept(text),
            ["Sts"] | ["Sts", "Cd" | "Prtry"] if !text.is_empty() => entry.status = kept(text).filter(|status| &**status != "BOOK"),
            ["RvslInd"] => entry.reversal = matches!(text, "true" | "1"),
            ["BookgDt", "Dt" | "DtTm"] => entry.booked = self.reading.or_told(line, iso_date(text))?,
            ["ValDt", "Dt" | "DtTm"] => entry.value = self.reading.or_told(line, iso_date(text))?,
            ["AcctSvcrRef"] => entry.part.bank = kept(text),
            ["NtryRef"] => entry.part.end_to_end = reference(text),
            ["AddtlNtryInf"] => add(&mut entry.part.text, text),
            [] => return self.entry_ends(line),
            // What an entry was before it was exchanged, or a fee taken off, is not what was booked.
            ["AmtDtls", ..] => {}
            _ => return Self::of_part(self.reading, &mut entry.part, self.currency, below, text, line),
        }
        Ok(())
    }

    /// What is said alike of an entry and of a transaction within it.
    fn of_part(
        reading: &mut Reading,
        part: &mut Part,
        currency: Option<Currency>,
        below: &[&str],
        text: &str,
        line: u64,
    ) -> Result<(), GivenUp> {
        match below {
            ["Amt"] | ["AmtDtls", "TxAmt", "Amt"] => Self::read_amount(reading, &mut part.money, currency, text, line)?,
            ["CdtDbtInd"] => part.money.credit = Self::direction(reading, text, line)?,
            ["Refs", "EndToEndId"] => part.end_to_end = reference(text),
            ["Refs", "AcctSvcrRef" | "TxId"] if part.bank.is_none() => part.bank = kept(text),
            ["RmtInf", "Strd", "CdtrRefInf", "Ref"] => part.creditor_reference = reference(text),
            ["RmtInf", "Ustrd"] | ["AddtlTxInf"] => add(&mut part.text, text),
            ["RltdPties", "Dbtr", "Nm"] | ["RltdPties", "Dbtr", "Pty", "Nm"] => part.debtor = kept(text),
            ["RltdPties", "Cdtr", "Nm"] | ["RltdPties", "Cdtr", "Pty", "Nm"] => part.creditor = kept(text),
            ["BkTxCd", "Domn", "Cd"] => text.clone_into(&mut part.code[0]),
            ["BkTxCd", "Domn", "Fmly", "Cd"] => text.clone_into(&mut part.code[1]),
            ["BkTxCd", "Domn", "Fmly", "SubFmlyCd"] => text.clone_into(&mut part.code[2]),
            ["BkTxCd", "Prtry", "Cd"] => part.own_code = kept(text),
            _ => {}
        }
        Ok(())
    }

    fn entry_ends(&mut self, line: u64) -> Result<(), GivenUp> {
        let Some(statement) = &mut self.statement else { return Ok(()) };
        let mut entry = std::mem::take(&mut statement.entry);
        statement.entries += 1;
        let (Some(amount), Some((_, Some(currency)))) = (entry.part.money.signed(), entry.part.money.amount) else {
            return self.reading.mistake(line, "this entry lacks its amount, its currency or its direction");
        };
        let turned = if amount.is_sign_negative() { &mut statement.turned.1 } else { &mut statement.turned.0 };
        *turned += amount.abs();
        let Some(value) = entry.value.or(entry.booked) else {
            return self.reading.mistake(line, "this entry has neither a value date nor a booking date");
        };
        let credit = !amount.is_sign_negative();
        let mut parts = std::mem::take(&mut entry.parts);
        // A transaction goes where its entry goes, where it does not say.
        parts.iter_mut().for_each(|part| part.money.credit = part.money.credit.or(Some(credit)));
        let of_part = |part: &Part| {
            part.money.signed().filter(|_| part.money.amount.and_then(|(_, currency)| currency).is_none_or(|it| it == currency))
        };
        let sum = parts.iter().try_fold(Decimal::ZERO, |sum, part| sum.checked_add(of_part(part)?));
        let is_listed = parts.len() > 1 && sum == Some(amount) && !self.whole_batches;
        let batch = entry.batch.clone().or_else(|| entry.part.bank.clone()).or_else(|| entry.part.end_to_end.clone());
        let whole = [(amount, &entry.part)];
        let listed: Vec<(Decimal, &Part)> = parts.iter().filter_map(|part| Some((of_part(part)?, part))).collect();
        let only = if parts.len() == 1 { parts.first() } else { None };
        for (amount, part) in if is_listed { &listed[..] } else { &whole[..] } {
            self.reading.counted(part.line)?;
            // Of an entry with one transaction, that one knows more.
            let inner = only.unwrap_or(part);
            let either = |of: fn(&Part) -> &Option<Arc<str>>| of(inner).clone().or_else(|| of(&entry.part).clone());
            let text = if inner.text.is_empty() { &entry.part.text } else { &inner.text };
            let code = |part: &Part| kept(&part.code.iter().filter(|code| !code.is_empty()).cloned().collect::<Vec<_>>().join("/"));
            let party = if amount.is_sign_negative() { either(|part| &part.creditor) } else { either(|part| &part.debtor) };
            let item = Item {
                place: self.reading.place(part.line),
                account: "".into(),
                currency,
                amount: *amount,
                value_date: value,
                booked: entry.booked,
                reference: inner.end_to_end.clone().or_else(|| inner.creditor_reference.clone()).or_else(|| entry.part.end_to_end.clone()),
                bank_reference: either(|part| &part.bank),
                batch: batch.clone().filter(|_| is_listed || entry.batch.is_some()),
                counterparty: party,
                code: code(inner).or_else(|| code(&entry.part)).or_else(|| either(|part| &part.own_code)),
                quantity: None,
                price: None,
                status: entry.status.clone(),
                reversal: entry.reversal,
                text: kept(text).unwrap_or_else(|| "".into()),
            };
            if let Some(statement) = &mut self.statement {
                statement.items.push(item);
            }
        }
        Ok(())
    }

    fn close(&mut self, mut statement: Stmt) -> Result<(), GivenUp> {
        let line = statement.line;
        statement.bound();
        let Some(account) = statement.account else {
            return self.reading.mistake(line, "this statement names no account: neither <IBAN> nor <Othr><Id>");
        };
        let stated = |balance: &Option<(Balance, Currency)>| balance.as_ref().map(|(_, currency)| *currency);
        let first = statement.items.first().map(|item| item.currency);
        let Some(currency) = statement.currency.or(stated(&statement.opening)).or(stated(&statement.closing)).or(first) else {
            return self.reading.mistake(line, "nothing in this statement says in which currency it is");
        };
        for (what, balance) in [("opening", &statement.opening), ("closing", &statement.closing)] {
            if let Some((balance, other)) = balance.as_ref().filter(|(_, other)| *other != currency) {
                let line = u64::from(balance.place.line);
                self.reading.mistake(line, format!("the {what} balance is in {other}, and the account in {currency}"))?;
            }
        }
        let mut items = statement.items;
        items.iter_mut().for_each(|item| item.account = account.clone());
        self.found.push(Statement {
            place: self.reading.place(line),
            id: statement.id,
            number: statement.number,
            page: statement.page.map(|number| (number, statement.goes_on)),
            account,
            currency,
            says_end: statement.opening.is_some(),
            begins_within: statement.begins_within,
            ends_within: statement.ends_within,
            opening: statement.opening.map(|(balance, _)| balance),
            closing: statement.closing.map(|(balance, _)| balance),
            count: statement.count.map(|(count, line)| (count, self.reading.place(line))),
            totals: statement.totals,
            items,
            entries: statement.entries,
            turned: Some(statement.turned),
        });
        Ok(())
    }
}

/// Texts of one item, one after the other.
fn add(texts: &mut String, text: &str) {
    if !texts.is_empty() && !text.is_empty() {
        texts.push(' ');
    }
    texts.push_str(text);
    texts.truncate(texts.floor_char_boundary(super::MAX_FIELD_BYTES));
}
