//! The bytes of all files, one after the other in a temporary file: each from a
//! page's boundary on, with holes where whole pages are zeroes.

use super::error::Bad;
use super::sparse::Map;
use crate::ByteSize;
use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Where a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// From here on in the spool.
    pub(crate) offset: u64,
    /// So many.
    pub(crate) length: u64,
}

impl Content {
    /// Of an empty file.
    pub(crate) const EMPTY: Content = Content { offset: 0, length: 0 };
}

/// A part of a file, as a file of its own.
pub(crate) struct Part<F> {
    file: F,
    at: u64,
    left: u64,
}

impl<F: Borrow<File>> Part<F> {
    /// These bytes of it.
    pub(crate) fn new(file: F, content: Content) -> Part<F> {
        Part { file, at: content.offset, left: content.length }
    }
}

impl<F: Borrow<File>> Read for Part<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let room = self.left.min(bytes.len() as u64) as usize;
        let count = self.file.borrow().read_at(&mut bytes[..room], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// The file that they are in.
pub(super) struct Spool {
    file: File,
    /// Where the next one's begin.
    next: u64,
    /// Bytes of all until now.
    taken: u64,
    most: u64,
    buffer: Vec<u8>,
}

impl Spool {
    /// An empty one, for `most` bytes.
    pub(super) fn new(file: File, most: u64) -> Spool {
        Spool { file, next: 0, taken: 0, most, buffer: vec![0; 256 << 10] }
    }

    /// The file, as long as all that is in it.
    pub(super) fn finish(self) -> io::Result<File> {
        self.file.set_len(self.next)?;
        Ok(self.file)
    }

    /// Takes `length` bytes.
    pub(super) fn take(&mut self, from: &mut dyn Read, length: u64) -> Result<Content, Bad> {
        let content = self.reserve(length)?;
        self.piece(from, content.offset, length)?;
        Ok(content)
    }

    /// Takes the pieces of a sparse file.
    pub(super) fn take_sparse(&mut self, from: &mut dyn Read, map: &Map) -> Result<Content, Bad> {
        let content = self.reserve(map.size())?;
        for piece in map.pieces() {
            self.piece(from, content.offset + piece.start, piece.end - piece.start)?;
        }
        Ok(content)
    }

    /// Room for a file of so many bytes.
    fn reserve(&mut self, length: u64) -> Result<Content, Bad> {
        let taken = self.taken.checked_add(length).filter(|taken| *taken <= self.most);
        let Some(taken) = taken else { return Err(Bad::TooLarge { most: ByteSize(self.most) }) };
        let content = Content { offset: self.next, length };
        self.taken = taken;
        // No more than the limit, and a page for each entry.
        self.next += length.next_multiple_of(PAGE);
        Ok(content)
    }

    /// Writes `length` bytes to `at`, but no pages of zeroes.
    fn piece(&mut self, from: &mut dyn Read, mut at: u64, length: u64) -> Result<(), Bad> {
        let mut left = length;
        while left > 0 {
            // As far as a boundary of pages, so that what is a page there is looked at as
            // one.
            let room = self.buffer.len() as u64 - at % PAGE;
            let count = left.min(room) as usize;
            let bytes = &mut self.buffer[..count];
            from.read_exact(bytes).map_err(Bad::read)?;
            write_but_zeroes(&self.file, bytes, at).map_err(Bad::Write)?;
            at += count as u64;
            left -= count as u64;
        }
        Ok(())
    }
}

/// Writes runs of pages that are not all zeroes.
fn write_but_zeroes(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let first = (PAGE - at % PAGE).min(bytes.len() as u64) as usize;
    let (head, rest) = bytes.split_at(first);
    let pages = std::iter::once(head).chain(rest.chunks(PAGE as usize));
    let (mut start, mut end) = (0, 0);
    for page in pages {
        if page.iter().all(|byte| *byte == 0) {
            file.write_all_at(&bytes[start..end], at + start as u64)?;
            start = end + page.len();
        }
        end += page.len();
    }
    file.write_all_at(&bytes[start..end], at + start as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    /// All bytes of a file in the spool.
    fn bytes(file: &File, content: Content) -> Vec<u8> {
        let mut bytes = vec![1; content.length as usize];
        file.read_exact_at(&mut bytes, content.offset).unwrap();
        bytes
    }

    #[test]
    fn files_lie_on_pages_and_zeroes_take_no_room() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap(), 1 << 40);
        let first = spool.take(&mut &b"abc"[..], 3).unwrap();
        let zeroes = spool.take(&mut io::repeat(0), 64 << 20).unwrap();
        let mut mixed = vec![0; 20000];
        mixed[4095] = 1;
        mixed[19999] = 2;
        let last = spool.take(&mut &mixed[..], 20000).unwrap();
        assert_eq!((first.offset, zeroes.offset % PAGE, last.offset % PAGE), (0, 0, 0));
        let file = spool.finish().unwrap();
        assert_eq!(bytes(&file, first), b"abc");
        assert_eq!(bytes(&file, last), mixed);
        assert!(file.metadata().unwrap().blocks() * 512 <= 16 << 10);
    }

    #[test]
    fn pieces_of_a_sparse_file_are_where_they_belong() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap(), 1 << 40);
        let map = Map::new(20_000, [(1, 3), (5000, 5000), (20_000, 0)]).unwrap();
        let data: Vec<u8> = (0..5003).map(|at| (at % 251) as u8 + 1).collect();
        let content = spool.take_sparse(&mut &data[..], &map).unwrap();
        let mut expected = vec![0; 20_000];
        expected[1..4].copy_from_slice(&data[..3]);
        expected[5000..10_000].copy_from_slice(&data[3..]);
        assert!(bytes(&spool.finish().unwrap(), content) == expected);
    }

    #[test]
    fn what_is_too_much_is_said_before_it_is_read() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap(), 1 << 20);
        spool.take(&mut io::repeat(1), 1 << 19).unwrap();
        for length in [(1 << 19) + 1, u64::MAX] {
            let error = spool.take(&mut io::empty(), length).unwrap_err();
            assert!(matches!(error, Bad::TooLarge { .. }), "{error}");
        }
        assert!(matches!(spool.take(&mut &b"ab"[..], 3), Err(Bad::Truncated)));
    }
}
