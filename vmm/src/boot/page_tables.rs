//! The first page tables, built by the VMM because here it costs nothing: the
//! program's pages, the kernel's with W^X, the per-CPU area with its guard
//! pages, and the direct map.
//!
//! Built in RAM, where they stay: it is new, so a frame that was never taken is an
//! empty table.

use crate::machine::memory::GuestRam;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::{DIRECT_MAP, LARGE_PAGE_SIZE, PAGE_SIZE};
use trapgate_abi::mitigation::PTI_USER_TABLE;
use trapgate_abi::x86::pte;

/// Physical frames in ascending order.
pub(super) struct Frames {
    next: u64,
    limit: u64,
}

impl Frames {
    /// Frames from `start` on, below `limit`.
    pub(super) fn new(start: u64, limit: u64) -> Self {
        Frames { next: start.next_multiple_of(PAGE_SIZE), limit }
    }

    /// `bytes` of memory, rounded up to pages.
    pub(super) fn take(&mut self, bytes: u64) -> Option<u64> {
        let start = self.next;
        let length = bytes.checked_next_multiple_of(PAGE_SIZE)?;
        let end = start.checked_add(length).filter(|&end| end <= self.limit)?;
        self.next = end;
        Some(start)
    }

    /// The first frame that was not taken.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}

/// The most bytes of tables that a range in the direct map takes, with large pages.
pub(super) fn size(range: Range) -> u64 {
    /// What a table with entries for large pages covers.
    const COVERED: u64 = 512 * LARGE_PAGE_SIZE;
    if range.is_empty() {
        return 0;
    }
    // And one above them, and one of small pages at the end.
    (2 + range.end.div_ceil(COVERED) - range.start / COVERED) * PAGE_SIZE
}

/// A table as it lies in memory: little-endian words.
type Table = [[u8; 8]; 512];

/// Tables in RAM, which nobody reads or writes yet but this.
pub(super) struct PageTables<'a> {
    ram: &'a GuestRam,
    /// Physical address of the top one.
    root: u64,
}

/// The bits of entries above the leaves: the leaves decide.
const ABOVE: u64 = pte::P | pte::W | pte::U | pte::A;

/// The index of `address` in a table of `level`; level 0 is the leaf.
const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % 512
}

/// Physical address of a table's entry.
const fn entry(table: u64, slot: usize) -> u64 {
    table + 8 * slot as u64
}

impl<'a> PageTables<'a> {
    /// An empty set.
    pub(super) fn new(ram: &'a GuestRam, frames: &mut Frames) -> Option<Self> {
        Some(PageTables { ram, root: frames.take(PAGE_SIZE)? })
    }

    /// Two empty sets whose top tables are [`PTI_USER_TABLE`] apart: the
    /// kernel's, and ring 3's.
    pub(super) fn pair(ram: &'a GuestRam, frames: &mut Frames) -> Option<(Self, Self)> {
        let mut first = frames.take(PAGE_SIZE)?;
        if first & PTI_USER_TABLE != 0 {
            // One frame is left over.
            first = frames.take(PAGE_SIZE)?;
        }
        let second = frames.take(PAGE_SIZE)?;
        Some((PageTables { ram, root: first }, PageTables { ram, root: second }))
    }

    /// Lets `user` have the user's half of these, which then is not executable
    /// with these: forgetting to change over does not go unnoticed.
    pub(super) fn lend_user_half(&self, user: &PageTables<'_>) -> Option<()> {
        for slot in 0..256 {
            let (own, user) = (entry(self.root, slot), entry(user.root, slot));
            let [word] = self.ram.read_words(own).ok()?;
            self.ram.write_words(user, &[word]).ok()?;
            if word != 0 {
                self.ram.write_words(own, &[word | pte::NX]).ok()?;
            }
        }
        Some(())
    }

    /// Physical address of the top table.
    pub(super) fn root(&self) -> u64 {
        self.root
    }

    /// The table of `level` that covers `address`.
    fn table(&self, address: u64, level: u32, frames: &mut Frames) -> Option<u64> {
        let mut table = self.root;
        for above in (level + 1..4).rev() {
            let at = entry(table, index(address, above));
            let [word] = self.ram.read_words(at).ok()?;
            table = if word == 0 {
                let below = frames.take(PAGE_SIZE)?;
                self.ram.write_words(at, &[below | ABOVE]).ok()?;
                below
            } else {
                word & pte::ADDRESS
            };
        }
        Some(table)
    }

    /// Maps physical addresses in the direct map.
    pub(super) fn map_direct(
        &mut self,
        start: u64,
        end: u64,
        flags: u64,
        large: bool,
        frames: &mut Frames,
    ) -> Option<()> {
        self.map(DIRECT_MAP + start, start, end.saturating_sub(start), flags, large, frames)
    }

    /// Maps `length` bytes at `address` to `physical`, with large pages where
    /// `large` and everything is aligned. `None` if frames ran out.
    pub(super) fn map(
        &mut self,
        address: u64,
        physical: u64,
        length: u64,
        flags: u64,
        large: bool,
        frames: &mut Frames,
    ) -> Option<()> {
        let mut done = 0;
        while done < length {
            let (at, to) = (address + done, physical + done);
            let fits = length - done >= LARGE_PAGE_SIZE;
            let level = u32::from(large && fits && (at | to).is_multiple_of(LARGE_PAGE_SIZE));
            let page = PAGE_SIZE << (9 * level);
            let flags = if level == 1 { flags | pte::PS } else { flags };
            // One walk for all pages of the same size in the same table.
            let table = self.table(at, level, frames)?;
            let first = index(at, level);
            let count = ((length - done) / page).min(512 - first as u64);
            let mut entries: Table = [[0; 8]; 512];
            let entries = &mut entries[..count as usize];
            for (slot, page_number) in entries.iter_mut().zip(0..) {
                *slot = ((to + page_number * page) | flags).to_le_bytes();
            }
            self.ram.write(entry(table, first), entries.as_flattened()).ok()?;
            done += count * page;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks the tables as the CPU would.
    fn translate(ram: &GuestRam, root: u64, address: u64) -> Option<u64> {
        let mut table = root;
        for level in (0..4).rev() {
            let index = address >> (12 + 9 * level) & 511;
            let [entry] = ram.read_words::<1>(table + index * 8).ok()?;
            if entry & pte::P == 0 {
                return None;
            }
            if level == 0 || entry & pte::PS != 0 {
                let offset = address & ((1 << (12 + 9 * level)) - 1);
                return Some((entry & pte::ADDRESS & !((1 << (12 + 9 * level)) - 1)) + offset);
            }
            table = entry & pte::ADDRESS;
        }
        None
    }

    #[test]
    fn what_is_mapped_translates_and_nothing_else_does() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let mut frames = Frames::new(0x10_0000, 0x20_0000);
        let mut tables = PageTables::new(&ram, &mut frames).unwrap();
        tables.map(0x40_0000, 0x5000, 0x3000, pte::P | pte::U, false, &mut frames).unwrap();
        let direct = 0xffff_8880_0000_0000;
        tables.map(direct, 0, 16 << 20, pte::P | pte::W, true, &mut frames).unwrap();
        let root = tables.root();
        assert_eq!(translate(&ram, root, 0x40_0123), Some(0x5123));
        assert_eq!(translate(&ram, root, 0x40_2fff), Some(0x7fff));
        assert_eq!(translate(&ram, root, 0x40_3000), None);
        assert_eq!(translate(&ram, root, 0x3f_ffff), None);
        assert_eq!(translate(&ram, root, direct + 0x12_3456), Some(0x12_3456));
        assert_eq!(translate(&ram, root, direct + (16 << 20)), None);
    }

    #[test]
    fn a_ranges_end_is_mapped_to_the_page_and_its_tables_are_as_large_as_was_said() {
        let ram = GuestRam::new(4 << 20).unwrap();
        let (gib, large) = (1 << 30, LARGE_PAGE_SIZE);
        for (start, length) in [
            (4 * gib, 0x3000),
            (4 * gib + large, 3 * large + 0x1000),
            (5 * gib - large, 2 * large),
            (4 * gib, 3 * gib + 0x1000),
        ] {
            let mut frames = Frames::new(0x10_0000, 0x20_0000);
            let mut tables = PageTables::new(&ram, &mut frames).unwrap();
            let before = frames.next();
            let range = Range { start, end: start + length };
            tables.map_direct(start, range.end, pte::P, true, &mut frames).unwrap();
            assert!(frames.next() - before <= size(range), "{range:x?}");
            let root = tables.root();
            assert_eq!(translate(&ram, root, DIRECT_MAP + start), Some(start));
            assert_eq!(translate(&ram, root, DIRECT_MAP + range.end - 1), Some(range.end - 1));
            assert_eq!(translate(&ram, root, DIRECT_MAP + range.end), None);
            ram.give_back();
        }
        assert_eq!(size(Range::ZERO), 0);
    }

    #[test]
    fn frames_run_out_and_say_so() {
        let mut frames = Frames::new(0x1000, 0x3000);
        assert_eq!(frames.take(1), Some(0x1000));
        assert_eq!(frames.take(0x1001), None);
        assert_eq!(frames.take(0x1000), Some(0x2000));
        assert_eq!(frames.take(u64::MAX), None);
    }
}
