//! A tar's entries: ustar, pax, GNU's and the oldest form.
//!
//! A header's fields are the crate `tar`'s to read. The way from one header to the next
//! is gone here: sizes may stand in a pax header, what is said beside a header must not
//! fill memory, and a pax value may have a line end in it.

use super::error::{Bad, Refused};
use super::pax::{Extensions, MapAt, number};
use super::sparse::{Map, damaged};
use super::tree::{Directory, Kind, Meta};
use super::{Flattener, Source};
use ::tar::{EntryType, GnuExtSparseHeader, Header};
use std::io::{self, Read};

/// Bytes of a block: headers are one, files begin and end with one.
const BLOCK: u64 = 512;

/// Bytes of the longest extended header that is taken.
const LONGEST: u64 = 1 << 20;

/// The most blocks of a sparse file's map.
const MAP_BLOCKS: u64 = 1 << 16;

/// How an archive ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a block of zeroes: otherwise it may have been cut off.
    Marked,
    /// As it likes: its bytes are known to be all there.
    Anyhow,
}

/// What was said of the next entry ahead of its header.
#[derive(Default)]
struct Ahead {
    extensions: Option<Extensions>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// Puts all entries of a tar into a tree.
pub(crate) fn read(archive: &mut dyn Read, end: End, into: &mut Flattener) -> Result<(), Bad> {
    let mut global = Extensions::default();
    let mut ahead = Ahead::default();
    loop {
        let header = match next_header(archive)? {
            Next::Header(header) => header,
            Next::EndMark => return Ok(()),
            Next::Nothing if end == End::Anyhow => return Ok(()),
            Next::Nothing => return Err(Bad::Truncated),
        };
        into.count()?;
        let extension = |archive: &mut dyn Read| extension(archive, &header);
        match header.entry_type() {
            EntryType::XGlobalHeader => global.read(&extension(archive)?)?,
            EntryType::XHeader => {
                let extensions = ahead.extensions.get_or_insert_with(|| global.clone());
                extensions.read(&extension(archive)?)?;
            }
            EntryType::GNULongName => ahead.name = Some(c_string(extension(archive)?)),
            EntryType::GNULongLink => ahead.link = Some(c_string(extension(archive)?)),
            _ => entry(archive, &header, &global, std::mem::take(&mut ahead), into)?,
        }
    }
}

enum Next {
    Header(Box<Header>),
    EndMark,
    Nothing,
}

fn next_header(archive: &mut dyn Read) -> Result<Next, Bad> {
    let mut header = Header::new_old();
    let block = header.as_mut_bytes();
    let mut got = 0;
    while got < block.len() {
        match archive.read(&mut block[got..]) {
            Ok(0) if got == 0 => return Ok(Next::Nothing),
            Ok(0) => return Err(Bad::Truncated),
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Bad::read(error)),
        }
    }
    if block.iter().all(|byte| *byte == 0) {
        return Ok(Next::EndMark);
    }
    match is_header(block) {
        true => Ok(Next::Header(Box::new(header))),
        false => Err(Bad::Damaged("a header's checksum does not fit".to_owned())),
    }
}

/// Whether a header begins these bytes, as its checksum says.
pub(super) fn is_header(bytes: &[u8]) -> bool {
    let Some(block) = bytes.get(..BLOCK as usize) else { return false };
    let sum = |checksum: u8| {
        let bytes = block.iter().enumerate();
        // Its own place counts as spaces.
        bytes
            .map(|(at, byte)| if (148..156).contains(&at) { checksum } else { *byte })
            .map(u32::from)
            .sum::<u32>()
    };
    Header::from_byte_slice(block).cksum().is_ok_and(|said| said == sum(b' '))
}

/// What a header that only says something has behind it.
fn extension(archive: &mut dyn Read, header: &Header) -> Result<Vec<u8>, Bad> {
    let size = said_size(header)?;
    if size > LONGEST {
        return Err(Bad::Unsupported("has an extended header of more than 1 MiB".to_owned()));
    }
    let mut bytes = vec![0; size.next_multiple_of(BLOCK) as usize];
    archive.read_exact(&mut bytes).map_err(Bad::read)?;
    bytes.truncate(size as usize);
    Ok(bytes)
}

/// Bytes up to a NUL.
fn c_string(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

/// A field of a header that is none.
fn malformed(error: io::Error) -> Bad {
    Bad::Damaged(format!("a header is malformed: {error}"))
}

/// Takes an entry with what is behind it.
fn entry(
    archive: &mut dyn Read,
    header: &Header,
    global: &Extensions,
    ahead: Ahead,
    into: &mut Flattener,
) -> Result<(), Bad> {
    let extensions = ahead.extensions.as_ref().unwrap_or(global);
    let path = match (extensions.name(), &ahead.name) {
        (Some(path), _) => path.to_vec(),
        (None, Some(path)) => path.clone(),
        (None, None) => header.path_bytes().into_owned(),
    };
    let target = || match (&extensions.linkpath, &ahead.link) {
        (Some(target), _) | (None, Some(target)) => target.clone(),
        (None, None) => header.link_name_bytes().unwrap_or_default().into_owned(),
    };
    let meta = meta(header, extensions, &path)?;
    let kind = header.entry_type();
    let simple = match kind {
        EntryType::Directory => Kind::Directory(Directory::new()),
        EntryType::Symlink => Kind::Symlink(target().into()),
        EntryType::Link => return into.link(&path, &target()),
        EntryType::Char => Kind::Character(device(header)?),
        EntryType::Block => Kind::Block(device(header)?),
        EntryType::Fifo => Kind::Fifo,
        _ => return with_data(archive, header, extensions, &path, meta, into),
    };
    // What has no data has none, whatever its size says.
    into.add(&path, meta, simple)
}

/// Takes an entry that has data: a file, mostly.
fn with_data(
    archive: &mut dyn Read,
    header: &Header,
    extensions: &Extensions,
    path: &[u8],
    meta: Meta,
    into: &mut Flattener,
) -> Result<(), Bad> {
    let in_header = |bad: Bad| bad.of(path);
    let size = match extensions.size {
        Some(size) => size,
        None => said_size(header).map_err(in_header)?,
    };
    // Not the archive's: sizes near the end of 64 bits have no next block.
    let padded = size.checked_next_multiple_of(BLOCK).ok_or(Bad::Truncated).map_err(in_header)?;
    let is_file = !path.ends_with(b"/");
    let mut data = archive.take(padded);
    match header.entry_type() {
        EntryType::GNUSparse => {
            // What is left of the map is in front of the data, and not in its size.
            let map = old_map(data.get_mut(), header).map_err(in_header)?;
            file(&mut data, size, Some(&map), path, meta, into)?;
        }
        EntryType::Regular | EntryType::Continuous if is_file => {
            let (map, size) = match extensions.sparse.map().map_err(in_header)? {
                MapAt::Nowhere => (None, size),
                MapAt::Here(map) => (Some(map), size),
                MapAt::InFront(real) => {
                    let (map, taken) = map_in_front(&mut data, real).map_err(in_header)?;
                    (Some(map), size.checked_sub(taken).ok_or_else(damaged).map_err(in_header)?)
                }
            };
            file(&mut data, size, map.as_ref(), path, meta, into)?;
        }
        // As the oldest form and GNU's dumps have directories.
        EntryType::Regular | EntryType::Continuous => {
            into.add(path, meta, Kind::Directory(Directory::new()))?;
        }
        other => match other.as_byte() {
            b'D' => into.add(path, meta, Kind::Directory(Directory::new()))?,
            // The name of a volume.
            b'V' => {}
            b'M' => return Err(Bad::Unsupported("is a volume of a larger tar".to_owned())),
            // As POSIX wants it of what one does not know.
            _ => file(&mut data, size, None, path, meta, into)?,
        },
    }
    let left = data.limit();
    match io::copy(&mut data, &mut io::sink()).map_err(Bad::read).map_err(in_header)? {
        copied if copied == left => Ok(()),
        _ => Err(in_header(Bad::Truncated)),
    }
}

/// Takes a file's bytes.
fn file(
    data: &mut dyn Read,
    size: u64,
    map: Option<&Map>,
    path: &[u8],
    meta: Meta,
    into: &mut Flattener,
) -> Result<(), Bad> {
    match map {
        None => into.regular(path, meta, Source::Whole(data, size)),
        Some(map) if map.stored() <= size => into.regular(path, meta, Source::Sparse(data, map)),
        Some(_) => Err(damaged().of(path)),
    }
}

/// The map of a sparse file of GNU's own format: in its header, and in further blocks.
fn old_map(archive: &mut dyn Read, header: &Header) -> Result<Map, Bad> {
    let header = header.as_gnu().ok_or_else(damaged)?;
    let mut pieces = Vec::new();
    for piece in header.sparse.iter().take_while(|piece| !piece.is_empty()) {
        let (offset, length) = (piece.offset(), piece.length());
        pieces.push((offset.map_err(malformed)?, length.map_err(malformed)?));
    }
    let mut more = header.is_extended();
    let mut blocks = 0;
    while more {
        blocks += 1;
        if blocks > MAP_BLOCKS {
            return Err(damaged());
        }
        let mut block = GnuExtSparseHeader::new();
        archive.read_exact(block.as_mut_bytes()).map_err(Bad::read)?;
        for piece in block.sparse().iter().take_while(|piece| !piece.is_empty()) {
            let (offset, length) = (piece.offset(), piece.length());
            pieces.push((offset.map_err(malformed)?, length.map_err(malformed)?));
        }
        more = block.is_extended();
    }
    Map::new(header.real_size().map_err(malformed)?, pieces)
}

/// The map in front of a sparse file's data (pax, GNU's format 1.0), and the bytes that
/// it takes: decimal numbers on lines of their own, in whole blocks.
fn map_in_front(data: &mut dyn Read, size: u64) -> Result<(Map, u64), Bad> {
    let mut numbers = Vec::new();
    let mut line = Vec::new();
    let mut wanted = None;
    for block_number in 1..=MAP_BLOCKS {
        let mut block = [0; BLOCK as usize];
        data.read_exact(&mut block).map_err(Bad::read)?;
        for byte in block {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let number = number(&line).ok_or_else(damaged)?;
            line.clear();
            match wanted {
                None => wanted = Some(number.checked_mul(2).ok_or_else(damaged)?),
                Some(_) => numbers.push(number),
            }
            if wanted == Some(numbers.len() as u64) {
                let (pieces, _) = numbers.as_chunks::<2>();
                let map = Map::new(size, pieces.iter().map(|[at, length]| (*at, *length)))?;
                return Ok((map, block_number * BLOCK));
            }
        }
    }
    Err(damaged())
}

/// A field of a header; one that is empty is 0.
fn field(raw: &[u8], number: io::Result<u64>) -> Result<u64, Bad> {
    match number {
        Err(_) if raw.iter().all(|byte| matches!(byte, 0 | b' ')) => Ok(0),
        number => number.map_err(malformed),
    }
}

/// The size that a header says.
fn said_size(header: &Header) -> Result<u64, Bad> {
    field(&header.as_old().size, header.entry_size())
}

/// Whose an entry is, and when it was written.
fn meta(header: &Header, extensions: &Extensions, path: &[u8]) -> Result<Meta, Bad> {
    let old = header.as_old();
    let field = |said: Option<u64>, raw: &[u8], number: io::Result<u64>| match said {
        Some(number) => Ok(number),
        None => field(raw, number).map_err(|bad| bad.of(path)),
    };
    let id = |number: u64, what| {
        u32::try_from(number).map_err(|_| Bad::entry(path, Refused::Beyond(what)))
    };
    let mtime = match extensions.mtime {
        Some(mtime) => mtime,
        // GNU's binary form has a sign.
        None => (field(None, &old.mtime, header.mtime())? as i64, 0),
    };
    Ok(Meta {
        mode: (field(None, &old.mode, header.mode().map(u64::from))? & 0o7777) as u16,
        uid: id(field(extensions.uid, &old.uid, header.uid())?, "user number")?,
        gid: id(field(extensions.gid, &old.gid, header.gid())?, "group number")?,
        mtime,
    })
}

/// A device's numbers, which the oldest form has not.
fn device(header: &Header) -> Result<(u32, u32), Bad> {
    let number = |raw: &[u8], number: io::Result<u32>| {
        // From 32 bits.
        field(raw, number.map(u64::from)).map(|number| number as u32)
    };
    if let Some(fields) = header.as_ustar() {
        let major = number(&fields.dev_major, fields.device_major())?;
        Ok((major, number(&fields.dev_minor, fields.device_minor())?))
    } else if let Some(fields) = header.as_gnu() {
        let major = number(&fields.dev_major, fields.device_major())?;
        Ok((major, number(&fields.dev_minor, fields.device_minor())?))
    } else {
        Ok((0, 0))
    }
}

#[cfg(test)]
pub(crate) mod tests;
