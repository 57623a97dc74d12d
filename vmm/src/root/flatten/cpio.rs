//! A cpio's entries: the formats `newc` and `crc`, as Linux' initramfs has them, one
//! archive after the other.
//!
//! (The crate `cpio` takes no name that is not UTF-8.)

use super::error::{Bad, Refused};
use super::spool::Content;
use super::tree::{Directory, Id, Kind, Meta};
use super::{Flattener, Source};
use std::collections::HashMap;
use std::io::{BufRead, Read};

/// Bytes of a header: the magic number, and thirteen numbers of eight digits.
const HEADER: usize = 6 + 13 * 8;

/// Bytes of the longest name, its NUL included.
const LONGEST: u32 = 4097;

/// Bytes of the longest target of a link.
const LONGEST_TARGET: u32 = 4096;

/// A header's numbers.
struct Header {
    inode: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
    special: (u32, u32),
    name: u32,
    /// Of the format `crc`: the sum of the file's bytes.
    sum: Option<u32>,
}

/// Files with several names, by device and inode: their bytes come with one of them.
type Known = HashMap<(u32, u32, u32), Id>;

/// Puts all entries of a cpio into a tree.
pub(crate) fn read(archive: &mut dyn BufRead, into: &mut Flattener) -> Result<(), Bad> {
    loop {
        one(archive, into)?;
        // Zeroes, and perhaps another archive.
        loop {
            let bytes = archive.fill_buf().map_err(Bad::read)?;
            let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
            let (is_end, is_other) = (bytes.is_empty(), zeroes < bytes.len());
            archive.consume(zeroes);
            if is_end {
                return Ok(());
            }
            if is_other {
                break;
            }
        }
    }
}

/// The entries of one archive, up to its trailer.
fn one(archive: &mut dyn BufRead, into: &mut Flattener) -> Result<(), Bad> {
    let mut known = Known::new();
    loop {
        let header = header(archive)?;
        into.count()?;
        if header.name == 0 || header.name > LONGEST {
            return Err(Bad::Damaged("a name is longer than 4096 bytes".to_owned()));
        }
        let mut name = vec![0; header.name as usize];
        archive.read_exact(&mut name).map_err(Bad::read)?;
        pad(archive, HEADER as u64 + u64::from(header.name))?;
        let end = name.iter().position(|byte| *byte == 0);
        name.truncate(end.ok_or_else(|| Bad::Damaged("a name has no end".to_owned()))?);
        if name == b"TRAILER!!!" {
            return Ok(());
        }
        entry(archive, &header, &name, &mut known, into)?;
        pad(archive, header.size.into()).map_err(|bad| bad.of(&name))?;
    }
}

fn header(archive: &mut dyn BufRead) -> Result<Header, Bad> {
    let mut bytes = [0; HEADER];
    archive.read_exact(&mut bytes).map_err(Bad::read)?;
    let malformed = || Bad::Damaged("a header is malformed".to_owned());
    let is_crc = match &bytes[..6] {
        b"070701" => false,
        b"070702" => true,
        _ => return Err(malformed()),
    };
    let (numbers, _) = bytes[6..].as_chunks::<8>();
    let number = |which: usize| {
        let digits = &numbers[which];
        let are_digits = digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| are_digits);
        text.and_then(|text| u32::from_str_radix(text, 16).ok()).ok_or_else(malformed)
    };
    Ok(Header {
        inode: number(0)?,
        mode: number(1)?,
        uid: number(2)?,
        gid: number(3)?,
        links: number(4)?,
        mtime: number(5)?,
        size: number(6)?,
        device: (number(7)?, number(8)?),
        special: (number(9)?, number(10)?),
        name: number(11)?,
        sum: is_crc.then(|| number(12)).transpose()?,
    })
}

/// Reads what fills the last four bytes of `length`.
fn pad(archive: &mut dyn BufRead, length: u64) -> Result<(), Bad> {
    let mut padding = [0; 3];
    let count = (length.next_multiple_of(4) - length) as usize;
    archive.read_exact(&mut padding[..count]).map_err(Bad::read)
}

/// Takes an entry with what is behind it.
fn entry(
    archive: &mut dyn BufRead,
    header: &Header,
    name: &[u8],
    known: &mut Known,
    into: &mut Flattener,
) -> Result<(), Bad> {
    let meta = Meta {
        mode: (header.mode & 0o7777) as u16,
        uid: header.uid,
        gid: header.gid,
        mtime: (header.mtime.into(), 0),
    };
    let kind = match header.mode & 0o170_000 {
        0o100_000 => return file(archive, header, name, meta, known, into),
        0o040_000 => Kind::Directory(Directory::new()),
        0o120_000 => {
            if header.size > LONGEST_TARGET {
                return Err(Bad::entry(name, Refused::LongPath));
            }
            let mut target = vec![0; header.size as usize];
            archive.read_exact(&mut target).map_err(Bad::read).map_err(|bad| bad.of(name))?;
            return into.add(name, meta, Kind::Symlink(target.into()));
        }
        0o020_000 => Kind::Character(header.special),
        0o060_000 => Kind::Block(header.special),
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        _ => return Err(Bad::Damaged("it is of no kind of file".to_owned()).of(name)),
    };
    into.add(name, meta, kind)?;
    skip(archive, header.size).map_err(|bad| bad.of(name))
}

/// Takes a file, which may be known by another name.
fn file(
    archive: &mut dyn BufRead,
    header: &Header,
    name: &[u8],
    meta: Meta,
    known: &mut Known,
    into: &mut Flattener,
) -> Result<(), Bad> {
    let content = if header.size == 0 {
        Content::EMPTY
    } else {
        let mut summed = Summed { inner: archive, sum: 0 };
        let content = into.content(name, Source::Whole(&mut summed, header.size.into()))?;
        if header.sum.is_some_and(|said| said != summed.sum) {
            return Err(Bad::Damaged("its checksum does not fit".to_owned()).of(name));
        }
        content
    };
    if header.links < 2 {
        return into.regular(name, meta, Source::Content(content));
    }
    let key = (header.device.0, header.device.1, header.inode);
    if let Some(&node) = known.get(&key) {
        into.link_node(name, node)?;
        if header.size > 0 {
            into.fill(node, content);
        }
    } else {
        known.insert(key, into.add_node(name, meta, Kind::Regular(content))?);
    }
    Ok(())
}

/// Reads what nobody needs.
fn skip(archive: &mut dyn BufRead, length: u32) -> Result<(), Bad> {
    let length = u64::from(length);
    let copied = std::io::copy(&mut archive.take(length), &mut std::io::sink());
    if copied.map_err(Bad::read)? < length { Err(Bad::Truncated) } else { Ok(()) }
}

/// Bytes, and their sum.
struct Summed<'a> {
    inner: &'a mut dyn BufRead,
    sum: u32,
}

impl Read for Summed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.sum =
            bytes[..count].iter().fold(self.sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
