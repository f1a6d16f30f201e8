//! Lines of a file, counted.

use std::collections::VecDeque;
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
            Err(wrong) => {
                let before: String = text_before(bytes, wrong.valid_up_to());
                Err(format!("behind `{before}` stands no UTF-8; if it was written by an older system, `encoding: latin1` may be meant"))
            }
        },
    }
}

/// The letters before a byte that is none, as many as tell where it is.
fn text_before(bytes: &[u8], at: usize) -> String {
    const SHOWN: usize = 20;
    let text = String::from_utf8_lossy(&bytes[..at]);
    text.chars().skip(text.chars().count().saturating_sub(SHOWN)).collect()
}

/// Whether a file begins as one that is written in UTF-16.
pub(super) fn is_utf16(start: &[u8]) -> bool {
    start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) || start.iter().take(4).any(|byte| *byte == 0)
}

/// What is said of such a file.
pub(super) const UTF16: &str = "it is written in UTF-16; it is read in UTF-8, or where `encoding` says so in Latin-1";

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
    /// How many bytes went through, and where in them lines begin that have something on them.
    passed: u64,
    begin: VecDeque<(u64, u64)>,
    is_new: bool,
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
        let (begin, line) = (VecDeque::new(), before + 1);
        Quotes { from, separator, at: Within::Start, line, opened: 0, wrong: None, passed: 0, begin, is_new: true }
    }

    /// The line of the row that comes first behind so many bytes: ends of lines before it are none of it. Rows are asked for in their order.
    pub(super) fn line_behind(&mut self, bytes: u64) -> u64 {
        while self.begin.front().is_some_and(|(at, _)| *at < bytes) {
            self.begin.pop_front();
        }
        self.begin.front().map_or(self.line, |(_, line)| *line)
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
        let ends = matches!(byte, b'\n' | b'\r');
        if self.is_new && !ends {
            self.begin.push_back((self.passed, self.line));
        }
        self.is_new = ends;
        self.passed += 1;
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
