//! Frames by an index: what a memory object has of its pages. As page tables, but of
//! as many levels as the number of pages needs, and no CPU reads them.
#![allow(unsafe_code, reason = "tables are reached by physical address")]

use super::paging::FrameSource;
use super::phys::direct;

/// log2 of the words in a table.
const BITS: u32 = 9;

type Table = [u64; 1 << BITS];

/// A word for each of so many indices, 0 at first. Its tables are zeroed frames.
#[derive(Debug)]
pub struct PageMap {
    root: u64,
    /// Levels of tables above the last.
    levels: u32,
}

impl PageMap {
    /// A map for `count` indices; `None` without a frame.
    pub fn new(count: u64, frames: &mut impl FrameSource) -> Option<PageMap> {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let levels = bits.div_ceil(BITS).max(1) - 1;
        Some(PageMap { root: frames.take(1)?.start, levels })
    }

    fn table(&mut self, physical: u64) -> &mut Table {
        // SAFETY: the root, or an entry of one of these tables, which are nobody
        // else's; and `self` is borrowed mutably for as long as the reference lives.
        unsafe { &mut *direct(physical) }
    }

    /// The word of an index that the map has; missing tables are made from
    /// `frames`. `None` without a frame.
    pub fn slot(&mut self, index: u64, frames: &mut impl FrameSource) -> Option<&mut u64> {
        assert!(index >> (BITS * (self.levels + 1)) == 0, "an index beyond the map");
        let slot = |level: u32| (index >> (BITS * level)) as usize % (1 << BITS);
        let mut physical = self.root;
        for level in (1..=self.levels).rev() {
            let entry = &mut self.table(physical)[slot(level)];
            if *entry == 0 {
                *entry = frames.take(1)?.start;
            }
            physical = *entry;
        }
        Some(&mut self.table(physical)[slot(0)])
    }

    /// Gives all of it up: calls `freed` with each word that is not 0 (true), and
    /// with each table's frame (false).
    pub fn take_apart(mut self, freed: &mut dyn FnMut(u64, bool)) {
        self.take_table_apart(self.root, self.levels, freed);
    }

    fn take_table_apart(&mut self, physical: u64, level: u32, freed: &mut dyn FnMut(u64, bool)) {
        for slot in 0..1 << BITS {
            let entry = self.table(physical)[slot];
            match (entry, level) {
                (0, _) => {}
                (word, 0) => freed(word, true),
                (table, _) => self.take_table_apart(table, level - 1, freed),
            }
        }
        freed(physical, false);
    }
}
