//! Directories: their names, looked up and listed.
//!
//! A directory's bytes are blocks, each with a table of entries and their names
//! behind it. All names are in ascending order, so one is found by looking at the
//! first names of some blocks and then at some names of one block.

use core::cmp::Ordering;
use core::ops::ControlFlow;

use crate::disk::{DirectoryEntry, ENTRY_SIZE};
use crate::error::{Damage, Error};
use crate::image::Image;
use crate::inode::{FileType, Inode, Nid};
use crate::source::Source;
use crate::{BLOCK_SIZE, NAME_MAX};

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name: 1 to 255 bytes, no `/` and no NUL. `.` and `..` are there, too.
    pub name: &'a [u8],
    /// Whose it is.
    pub nid: Nid,
    /// What that is, if the entry says it; the inode decides.
    pub file_type: Option<FileType>,
    /// Where the listing goes on behind it: for [`Image::list`]. Above 0, ascending.
    pub next: u64,
}

/// One of a directory's blocks.
struct Block {
    /// Where it lies in the image.
    position: u64,
    /// How many of its bytes are the directory's.
    size: u64,
    /// How many entries it has, at least 1.
    count: u64,
}

/// A name, and room to find a NUL behind the longest one.
struct Name {
    bytes: [u8; NAME_MAX + 1],
    len: usize,
}

impl Name {
    const EMPTY: Self = Self { bytes: [0; NAME_MAX + 1], len: 0 };

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Block {
    fn damaged(&self, what: Damage) -> Error {
        Error::Damaged { what, at: self.position }
    }
}

impl<S: Source> Image<S> {
    /// Finds a name in a directory; `.` and `..` are names like others.
    pub fn lookup(&self, directory: &Inode, name: &[u8]) -> Result<Option<Nid>, Error> {
        let blocks = blocks_of(directory)?;
        let mut found = Name::EMPTY;
        // The last block whose first name is not behind the one that is looked for.
        let (mut low, mut high) = (0, blocks);
        let mut candidate = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let block = self.block(directory, middle)?;
            let entry = self.entry(&block, 0, &mut found)?;
            match found.bytes().cmp(name) {
                Ordering::Equal => return Ok(Some(Nid(entry.nid.get()))),
                Ordering::Less => {
                    candidate = Some(block);
                    low = middle + 1;
                }
                Ordering::Greater => high = middle,
            }
        }
        let Some(block) = candidate else { return Ok(None) };
        let (mut low, mut high) = (1, block.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(&block, middle, &mut found)?;
            match found.bytes().cmp(name) {
                Ordering::Equal => return Ok(Some(Nid(entry.nid.get()))),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Shows the directory's entries one by one, as long as it is told to go on:
    /// from the beginning, which is 0, or behind an entry, which is its
    /// [`Entry::next`]. What is neither goes on with some entry behind it.
    pub fn list(
        &self,
        directory: &Inode,
        from: u64,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut name = Name::EMPTY;
        let mut number = from / BLOCK_SIZE;
        let mut index = (from % BLOCK_SIZE).div_ceil(ENTRY_SIZE);
        let blocks = blocks_of(directory)?;
        while number < blocks {
            let block = self.block(directory, number)?;
            while index < block.count {
                let entry = self.entry(&block, index, &mut name)?;
                index += 1;
                let is_last = index == block.count;
                let next = if is_last {
                    (number + 1) * BLOCK_SIZE
                } else {
                    number * BLOCK_SIZE + index * ENTRY_SIZE
                };
                let entry = Entry {
                    name: name.bytes(),
                    nid: Nid(entry.nid.get()),
                    file_type: FileType::of_entry(entry.file_type),
                    next,
                };
                if each(entry).is_break() {
                    return Ok(());
                }
            }
            number += 1;
            index = 0;
        }
        Ok(())
    }

    /// A block that the directory has, by its number.
    fn block(&self, directory: &Inode, number: u64) -> Result<Block, Error> {
        let start = number * BLOCK_SIZE;
        let size = (directory.size - start).min(BLOCK_SIZE);
        // There is one: the number is below that of the blocks.
        let position = self.extent(directory, start).map_or(self.end, |extent| extent.position);
        let mut block = Block { position, size, count: 0 };
        if size <= ENTRY_SIZE {
            return Err(block.damaged(Damage::Table));
        }
        // The first name begins where the table ends.
        let first: DirectoryEntry = self.structure(position)?;
        let table = u64::from(first.name.get());
        if table == 0 || table >= size || !table.is_multiple_of(ENTRY_SIZE) {
            return Err(block.damaged(Damage::Table));
        }
        block.count = table / ENTRY_SIZE;
        Ok(block)
    }

    /// An entry of a block, by its number, which is below the count.
    fn entry(&self, block: &Block, index: u64, name: &mut Name) -> Result<DirectoryEntry, Error> {
        let position = block.position + index * ENTRY_SIZE;
        let is_last = index + 1 == block.count;
        let [entry, next] = if is_last {
            [self.structure(position)?; 2]
        } else {
            self.structure::<[DirectoryEntry; 2]>(position)?
        };
        let start = u64::from(entry.name.get());
        if start < block.count * ENTRY_SIZE || start >= block.size {
            return Err(block.damaged(Damage::Name));
        }
        let longest = (block.size - start).min(NAME_MAX as u64 + 1);
        let len =
            if is_last { Some(longest) } else { u64::from(next.name.get()).checked_sub(start) };
        let len = len.filter(|len| (1..=longest).contains(len));
        let len = len.ok_or(block.damaged(Damage::Name))? as usize;
        self.copy(block.position + start, &mut name.bytes[..len])?;
        let text = &name.bytes[..len];
        let end = text.iter().position(|byte| *byte == 0);
        name.len = if is_last { end.unwrap_or(len) } else { len };
        let is_whole = is_last || end.is_none();
        if !is_whole || name.len == 0 || name.len > NAME_MAX || name.bytes().contains(&b'/') {
            return Err(block.damaged(Damage::Name));
        }
        Ok(entry)
    }
}

/// How many blocks a directory has.
fn blocks_of(directory: &Inode) -> Result<u64, Error> {
    match directory.file_type {
        FileType::Directory => Ok(directory.size.div_ceil(BLOCK_SIZE)),
        _ => Err(Error::NotADirectory),
    }
}
