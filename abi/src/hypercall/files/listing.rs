//! Names that a directory has, as the VMM writes them into the guest's memory.
//!
//! ```text
//! 8 bytes   the file's number
//! 8 bytes   the cookie of what comes next
//! 2 bytes   bytes of the name
//! 1 byte    DT_*
//!           the name, and zeroes up to a multiple of 8 bytes
//! ```

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The file's number, as the directory has it: of a directory on which another file
    /// system is mounted, that of what is below it.
    pub number: u64,
    /// The cookie of the next one.
    pub next: u64,
    /// `DT_*`; `DT_UNKNOWN`, where the file system does not say.
    pub kind: u8,
    /// The name: neither `.` nor `..`.
    pub name: &'a [u8],
}

/// Bytes before the name.
const HEAD: usize = 19;

impl Entry<'_> {
    /// Bytes that an entry with a name of `length` bytes takes.
    pub const fn size(length: usize) -> usize {
        (HEAD + length).next_multiple_of(8)
    }

    /// Writes it at the beginning of `bytes`. Answers its size, or none, if there is no
    /// room.
    pub fn write(&self, bytes: &mut [u8]) -> Option<usize> {
        let size = Entry::size(self.name.len());
        let length = u16::try_from(self.name.len()).ok()?;
        let bytes = bytes.get_mut(..size)?;
        bytes.fill(0);
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.next.to_le_bytes());
        bytes[16..18].copy_from_slice(&length.to_le_bytes());
        bytes[18] = self.kind;
        bytes[HEAD..HEAD + self.name.len()].copy_from_slice(self.name);
        Some(size)
    }
}

/// Entries in a row. What is none ends them.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Those in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Entries<'a> {
        Entries { bytes }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (number, rest) = self.bytes.split_first_chunk()?;
        let (next, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (&kind, rest) = rest.split_first()?;
        let length = u16::from_le_bytes(*length).into();
        let name = rest.get(..length)?;
        self.bytes = self.bytes.get(Entry::size(length)..)?;
        let (number, next) = (u64::from_le_bytes(*number), u64::from_le_bytes(*next));
        Some(Entry { number, next, kind, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn entries_survive_the_crossing_and_end_where_there_is_no_room() {
        let mut bytes = [0xff; 72];
        let entry = |name| Entry { number: 1, next: u64::MAX, kind: 4, name };
        let given = [entry(&b"a"[..]), entry(b"12345"), entry(b"")];
        let mut at = 0;
        for entry in &given[..2] {
            at += entry.write(&mut bytes[at..]).unwrap();
        }
        assert_eq!(at, 48);
        assert_eq!(given[2].write(&mut bytes[at..at + 23]), None);
        assert_eq!(Entries::new(&bytes[..at]).collect::<Vec<_>>(), given[..2]);
    }

    #[test]
    fn what_is_no_entry_ends_them() {
        let mut bytes = [0; 48];
        let entry = Entry { number: 1, next: 2, kind: 8, name: b"abcdefgh" };
        let size = entry.write(&mut bytes).unwrap();
        for length in 0..size {
            assert_eq!(Entries::new(&bytes[..length]).next(), None, "{length}");
        }
        bytes[17] = 0xff;
        assert_eq!(Entries::new(&bytes).next(), None);
    }
}
