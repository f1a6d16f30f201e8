//! Lines of a file, counted.

use std::io::{self, BufRead, Read};

use super::{Encoding, MAX_LINE_BYTES};

/// Counts the lines of what is read through it.
pub(super) struct Counted<R> {
    from: R,
    ended: u64,
}

impl<R: BufRead> Counted<R> {
    pub(super) fn new(from: R) -> Counted<R> {
        Counted { from, ended: 0 }
    }

    /// The line on which reading stands, from 1.
    pub(super) fn line(&self) -> u64 {
        self.ended + 1
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed was in the buffer, so nothing is read here.
        if let Ok(buffer) = self.from.fill_buf() {
            let ended = buffer.iter().take(amount).filter(|byte| **byte == b'\n').count();
            self.ended += u64::try_from(ended).unwrap_or(u64::MAX);
        }
        self.from.consume(amount);
    }
}

/// Bytes as text.
pub(super) fn text_of(bytes: &[u8], encoding: Encoding) -> Result<String, String> {
    match encoding {
        Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Encoding::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(wrong) => Err(format!(
                "byte {} of the line is no UTF-8; if it was written by an older system, `encoding: latin1` may be meant",
                wrong.valid_up_to() + 1
            )),
        },
    }
}

/// The next line without its end, or nothing where there is none. What is longer than [`MAX_LINE_BYTES`] is an error.
pub(super) fn next_line(from: &mut impl BufRead, into: &mut Vec<u8>) -> Result<bool, String> {
    into.clear();
    let limit = MAX_LINE_BYTES as u64 + 2;
    let read = from.take(limit).read_until(b'\n', into).map_err(|wrong| format!("it could not be read: {wrong}"))?;
    while into.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        into.pop();
    }
    if into.len() > MAX_LINE_BYTES {
        return Err(format!("the line has more than the {MAX_LINE_BYTES} bytes that a line may have"));
    }
    Ok(read > 0)
}

/// Watches the quotes of a table that is read through it. Where one is not closed, whoever reads on takes several rows for one.
pub(super) struct Quotes<R> {
    from: R,
    separator: u8,
    at: Within,
    line: u64,
    opened: u64,
    wrong: Option<(u64, &'static str)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Start,
    Plain,
    Quoted,
    /// Behind a quote inside of quotes: it closes them, or is one of two.
    Quote,
}

impl<R: Read> Quotes<R> {
    pub(super) fn new(from: R, separator: u8, before: u64) -> Quotes<R> {
        Quotes { from, separator, at: Within::Start, line: before + 1, opened: 0, wrong: None }
    }

    /// What is wrong with the quotes so far, and on which line.
    pub(super) fn wrong(&self, all_read: bool) -> Option<(u64, &'static str)> {
        let open = (all_read && self.at == Within::Quoted).then_some((self.opened, "a quote opens here and is never closed"));
        self.wrong.or(open)
    }

    fn next(&mut self, byte: u8) {
        self.at = match (self.at, byte) {
            (Within::Start, b'"') => {
                self.opened = self.line;
                Within::Quoted
            }
            (Within::Quoted, b'"') => Within::Quote,
            (Within::Quoted, _) | (Within::Quote, b'"') => Within::Quoted,
            (_, b'\n' | b'\r') => Within::Start,
            (_, byte) if byte == self.separator => Within::Start,
            (Within::Quote, _) => {
                self.wrong.get_or_insert((self.line, "text stands behind the quote that closes a field"));
                Within::Plain
            }
            (Within::Start | Within::Plain, _) => Within::Plain,
        };
        self.line += u64::from(byte == b'\n');
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        into[..read].iter().for_each(|byte| self.next(*byte));
        Ok(read)
    }
}
