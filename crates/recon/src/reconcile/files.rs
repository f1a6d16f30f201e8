//! The files of a day, and their digests.

use std::io::{BufRead, BufReader, Read};

use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

use super::FileRecord;
use crate::books::{self, Statement};
use crate::settings::{Books, Feed};
use crate::world::{NoFile, World};
use crate::{Side, words};

pub(super) fn read_all(world: &dyn World, books: &Books, day: Date) -> Result<([Vec<Statement>; 2], Vec<FileRecord>), String> {
    let (mut statements, mut files, mut wrong): ([Vec<Statement>; 2], _, Vec<String>) = (Default::default(), Vec::new(), Vec::new());
    for (side, feeds) in [(Side::A, &books.feeds.a), (Side::B, &books.feeds.b)] {
        for feed in feeds {
            match read_one(world, feed, side, day) {
                Ok(Some((record, found))) => {
                    files.push(record);
                    statements[side as usize].extend(found);
                }
                Ok(None) => {}
                Err(what) => wrong.push(what),
            }
        }
    }
    if wrong.is_empty() { Ok((statements, files)) } else { Err(wrong.join("; ")) }
}

fn read_one(world: &dyn World, feed: &Feed, side: Side, day: Date) -> Result<Option<(FileRecord, Vec<Statement>)>, String> {
    let file = feed.file_of(day);
    let format = feed.format(|name| world.settings(name))?;
    let from = match world.open(&file) {
        Ok(from) => from,
        Err(NoFile::Missing) if feed.optional => return Ok(None),
        Err(NoFile::Missing) => return Err(format!("there is no file {file}; a feed that does not come every day is `optional`")),
        Err(NoFile::Other(why)) => return Err(format!("{file} could not be read: {why}")),
    };
    let mut hashing = Hashing::of(from);
    let found =
        books::read(&file, &format, feed.encoding, BufReader::with_capacity(1 << 16, &mut hashing)).map_err(|wrong| wrong.to_string())?;
    // Whatever stands behind the end of what was read is a part of the file as well.
    std::io::copy(&mut hashing, &mut std::io::sink()).map_err(|wrong| format!("{file} could not be read: {wrong}"))?;
    let sha256 = hashing.digest();
    let items = found.iter().map(|statement| statement.items.len()).sum();
    Ok(Some((FileRecord { side, file, sha256, statements: found.len(), items }, found)))
}

/// Puts together the digest of what is read through it.
pub(super) struct Hashing {
    from: Box<dyn BufRead + Send>,
    hasher: Sha256,
}

impl Hashing {
    pub(super) fn of(from: Box<dyn BufRead + Send>) -> Hashing {
        Hashing { from, hasher: Sha256::new() }
    }

    pub(super) fn digest(self) -> String {
        words::hex(&self.hasher.finalize())
    }
}

impl Read for Hashing {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.hasher.update(&into[..read]);
        Ok(read)
    }
}
