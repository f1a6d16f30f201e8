//! The records of a file, each the input of a run of its own: lines of JSON, or CSV.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use quorate::expr::Type;
use quorate::{MAX_VALUE_BYTES, Payload};
use serde_json::{Map, Value};

use super::context::parse_input;
use super::exit::{Exit, Problem};

/// Most bytes of a file of records: all of them are looked at before the first one runs.
const MAX_RECORDS_BYTES: u64 = 1 << 30;

/// A record, and the line of its file at which it begins.
pub(crate) struct Record {
    pub(crate) line: u64,
    pub(crate) payload: Payload,
}

/// Reads a file of records. A field of CSV becomes what `kind`, the declared input, says of it.
pub(crate) fn read(path: &str, kind: &Type) -> Result<Vec<Record>, Problem> {
    let wrong = |wrong: &dyn std::fmt::Display| Problem::new(Exit::Invalid, format!("could not read the records of {path}: {wrong}"));
    let file = File::open(path).map_err(|missing| match missing.kind() {
        std::io::ErrorKind::NotFound => Problem::new(Exit::NotFound, format!("there is no file {path}")),
        _ => wrong(&missing),
    })?;
    if file.metadata().is_ok_and(|about| about.len() > MAX_RECORDS_BYTES) {
        return Err(wrong(&format!("it has more than the {MAX_RECORDS_BYTES} bytes allowed; split it")));
    }
    let read = if path.ends_with(".csv") { of_csv(file, kind) } else { of_lines(file, path)? };
    read.map_err(|broken| wrong(&broken))
}

/// Lines that are no records are told apart from a file that cannot be read.
fn of_lines(file: File, path: &str) -> Result<Result<Vec<Record>, String>, Problem> {
    let mut records = Vec::new();
    let mut lines = BufReader::new(file);
    for line in 1.. {
        let mut bytes = Vec::new();
        match (&mut lines).take(MAX_VALUE_BYTES as u64 + 1).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) if bytes.len() > MAX_VALUE_BYTES => {
                return Ok(Err(format!("line {line} has more than the {MAX_VALUE_BYTES} bytes allowed")));
            }
            Ok(_) => {}
            Err(broken) => return Ok(Err(broken.to_string())),
        }
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(Err(format!("line {line} is not UTF-8 text"))) };
        // Some systems begin every text with a mark of its byte order.
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            records.push(Record { line, payload: parse_input(text, &format!("{path}, line {line},"))? });
        }
    }
    Ok(Ok(records))
}

/// Every row as an object. What is empty is null.
fn of_csv(mut file: File, kind: &Type) -> Result<Vec<Record>, String> {
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|broken| broken.to_string())?;
    let lines = rows_of(&text)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().map_err(|broken| broken.to_string())?.clone();
    let twice = |position: usize, name: &str| names.iter().take(position).any(|earlier| earlier == name);
    if let Some((_, name)) = names.iter().enumerate().find(|(position, name)| twice(*position, name)) {
        return Err(format!("the column `{name}` is there twice"));
    }
    if let Some(position) = names.iter().position(str::is_empty) {
        return Err(format!("column {} has no name", position + 1));
    }
    let kind_of = |name: &str| match kind {
        Type::Object(fields) => fields.iter().find(|field| field.name == name).map_or(&Type::Any, |field| &field.kind),
        _ => &Type::Any,
    };
    let kinds: Vec<&Type> = names.iter().map(kind_of).collect();
    let mut records = Vec::new();
    for (row, line) in reader.records().zip(lines.into_iter().skip(1)) {
        let row = row.map_err(|broken| broken.to_string())?;
        let fields = names.iter().zip(&row).zip(&kinds);
        let fields: Map<String, Value> = fields.map(|((name, text), kind)| (name.to_owned(), value(text, kind))).collect();
        let payload = Payload::of(&fields).map_err(|broken| format!("line {line}: {broken}"))?;
        records.push(Record { line, payload });
    }
    Ok(records)
}

/// The line at which each row begins. Quotes that do not close, or stand where none may, are mistakes: whoever reads on
/// takes several rows for one.
fn rows_of(text: &str) -> Result<Vec<u64>, String> {
    #[derive(PartialEq)]
    enum At {
        Begin,
        Plain,
        Quoted,
        /// Behind a quote inside of quotes: it closes them, or is one of two.
        Quote,
    }
    let (mut rows, mut at, mut line, mut opened) = (Vec::new(), At::Begin, 1, 1);
    let mut fresh = true;
    for next in text.trim_start_matches('\u{feff}').chars() {
        if fresh && !matches!(next, '\r' | '\n') {
            rows.push(line);
            fresh = false;
        }
        at = match (at, next) {
            (At::Begin, '"') => {
                opened = line;
                At::Quoted
            }
            (At::Quoted, '"') => At::Quote,
            (At::Quoted, _) | (At::Quote, '"') => At::Quoted,
            (At::Plain, '"') => return Err(format!("line {line}: a quote stands inside of a field that does not begin with one")),
            (_, ',' | '\r' | '\n') => At::Begin,
            (At::Quote, _) => return Err(format!("line {line}: text stands behind the quote that closes a field")),
            (At::Begin | At::Plain, _) => At::Plain,
        };
        if next == '\n' {
            line += 1;
            fresh |= at != At::Quoted;
        }
    }
    if at == At::Quoted { Err(format!("line {opened}: a quote opens here and is never closed")) } else { Ok(rows) }
}

/// A field, as it is declared. What it cannot be stays a text, and is refused as such when its run begins.
fn value(text: &str, kind: &Type) -> Value {
    let read = match kind {
        Type::Any | Type::Text | Type::Enum(_) => None,
        Type::Bool | Type::Number(_) | Type::List(_) | Type::Object(_) => serde_json::from_str(text.trim()).ok(),
    };
    match read {
        Some(value) => value,
        None if text.is_empty() => Value::Null,
        None => text.into(),
    }
}
