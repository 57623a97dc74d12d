//! Frames by an index: what a memory object has of its pages. As page tables, but of
//! as many levels as the number of pages needs, and no CPU reads them.
#![allow(unsafe_code, reason = "tables are reached by physical address")]

use super::paging::FrameSource;
use super::phys::direct;

/// log2 of the words in a table.
const BITS: u32 = 9;

/// A word for each index, 0 where nothing was set. Its tables are zeroed frames, of as
/// many levels as its highest index needs; index 0 alone needs none.
#[derive(Debug, Default)]
pub struct PageMap {
    /// With levels, the top table's frame; without, the word of index 0.
    root: u64,
    levels: u32,
}

/// Words of a table.
const WORDS: u64 = 1 << BITS;

/// How many indices a table of this level has below it, or an entry of the next.
const fn span(level: u32) -> u64 {
    1 << (BITS * level)
}

impl PageMap {
    /// All words are 0.
    pub const EMPTY: PageMap = PageMap { root: 0, levels: 0 };
    /// Indices are below this.
    pub const END: u64 = span(6);

    /// Whether nothing is set, and no table is there.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.root == 0
    }

    /// The word of an index.
    #[inline]
    pub fn get(&self, index: u64) -> u64 {
        if index >> (BITS * self.levels) != 0 {
            return 0;
        }
        let mut word = self.root;
        for level in (0..self.levels).rev() {
            if word == 0 {
                return 0;
            }
            word = *self.entry(word, index >> (BITS * level));
        }
        word
    }

    /// The words from an index on, as far as they lie in one table; none, if there is no
    /// table, so that they are 0.
    pub fn words_from(&self, index: u64) -> &[u64] {
        if index >> (BITS * self.levels) != 0 {
            return &[];
        }
        if self.levels == 0 {
            return core::slice::from_ref(&self.root);
        }
        let mut table = self.root;
        for level in (1..self.levels).rev() {
            if table == 0 {
                return &[];
            }
            table = *self.entry(table, index >> (BITS * level));
        }
        if table == 0 {
            return &[];
        }
        let words = (WORDS - index % WORDS) as usize;
        // SAFETY: as for `entry`, and they end where the table does.
        unsafe { core::slice::from_raw_parts(self.entry(table, index), words) }
    }

    /// How many frames [`PageMap::slot`] takes for an index.
    pub fn missing(&self, index: u64) -> u64 {
        let (mut levels, mut word) = (self.levels, self.root);
        let mut missing = 0;
        while index >> (BITS * levels) != 0 {
            // The index is not below what there is.
            missing += u64::from(word != 0);
            levels += 1;
            if word != 0 && index >> (BITS * levels) == 0 {
                return missing + u64::from(levels) - 1;
            }
        }
        for level in (0..levels).rev() {
            if word == 0 {
                return missing + u64::from(level) + 1;
            }
            word = *self.entry(word, index >> (BITS * level));
        }
        missing
    }

    /// The word of an index, to be set; missing tables are made from `frames`. `None`
    /// without a frame.
    #[inline]
    pub fn slot(&mut self, index: u64, frames: &mut impl FrameSource) -> Option<&mut u64> {
        assert!(index < Self::END, "an index beyond the map");
        while index >> (BITS * self.levels) != 0 {
            self.add_level(frames)?;
        }
        if self.levels == 0 {
            return Some(&mut self.root);
        }
        if self.root == 0 {
            self.root = frames.take(1)?.start;
        }
        let mut table = self.root;
        for level in (1..self.levels).rev() {
            let entry = self.entry_mut(table, index >> (BITS * level));
            if *entry == 0 {
                *entry = frames.take(1)?.start;
            }
            table = *entry;
        }
        Some(self.entry_mut(table, index))
    }

    /// What there was is below the first entry of a table above it.
    fn add_level(&mut self, frames: &mut impl FrameSource) -> Option<()> {
        if self.root != 0 {
            let table = frames.take(1)?.start;
            *self.entry_mut(table, 0) = self.root;
            self.root = table;
        }
        self.levels += 1;
        Some(())
    }

    /// The first index from `from` on whose word is not 0.
    pub fn next(&self, from: u64) -> Option<u64> {
        if from >= span(self.levels) {
            return None;
        }
        self.next_below(self.root, self.levels, from)
    }

    /// The same below an entry of this level, counted from its first index.
    fn next_below(&self, word: u64, level: u32, from: u64) -> Option<u64> {
        if word == 0 || level == 0 {
            return (word != 0).then_some(from);
        }
        let below = span(level - 1);
        let first = from / below;
        (first..WORDS).find_map(|slot| {
            let from = if slot == first { from % below } else { 0 };
            let found = self.next_below(*self.entry(word, slot), level - 1, from)?;
            Some(slot * below + found)
        })
    }

    /// Sets the words of `first..end` to 0: calls `freed` with each that was not (true),
    /// and with the frame of each table that is not needed any more (false).
    pub fn remove(&mut self, first: u64, end: u64, freed: &mut dyn FnMut(u64, bool)) {
        let end = end.min(span(self.levels));
        if first < end {
            self.root = self.remove_below(self.root, self.levels, [first, end], freed);
        }
        if self.root == 0 {
            self.levels = 0;
        }
    }

    /// The same below an entry of this level, counted from its first index. Answers
    /// the entry as it is then.
    fn remove_below(
        &mut self,
        word: u64,
        level: u32,
        [first, end]: [u64; 2],
        freed: &mut dyn FnMut(u64, bool),
    ) -> u64 {
        if word == 0 {
            return 0;
        }
        if level == 0 {
            freed(word, true);
            return 0;
        }
        let below = span(level - 1);
        for slot in first / below..end.div_ceil(below) {
            let start = slot * below;
            let part = [first.saturating_sub(start), (end - start).min(below)];
            let entry = *self.entry(word, slot);
            *self.entry_mut(word, slot) = self.remove_below(entry, level - 1, part, freed);
        }
        if first == 0 && end == span(level) {
            freed(word, false);
            return 0;
        }
        word
    }

    #[inline(always)]
    fn entry(&self, table: u64, slot: u64) -> &u64 {
        // SAFETY: the root, or an entry of one of these tables, which are nobody
        // else's, and are borrowed with `self`; the slot is within one.
        unsafe { &*direct::<u64>(table).add((slot % WORDS) as usize) }
    }

    #[inline(always)]
    fn entry_mut(&mut self, table: u64, slot: u64) -> &mut u64 {
        // SAFETY: as above; `self` is borrowed mutably for as long as the reference
        // lives.
        unsafe { &mut *direct::<u64>(table).add((slot % WORDS) as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Machine;
    use crate::phys;
    use std::collections::{BTreeMap, BTreeSet};
    use trapgate_abi::boot_info::Range;
    use trapgate_abi::layout::PAGE_SIZE;

    /// Zeroed frames, and which are out.
    struct Source {
        next: u64,
        free: Vec<u64>,
        out: BTreeSet<u64>,
    }

    impl FrameSource for Source {
        fn take(&mut self, _most: u64) -> Option<Range> {
            let start = self.free.pop().unwrap_or_else(|| {
                self.next += PAGE_SIZE;
                self.next
            });
            let run = Range { start, end: start + PAGE_SIZE };
            phys::clear(run);
            assert!(self.out.insert(start));
            Some(run)
        }

        fn give_back(&mut self, _run: Range) {}
    }

    const RAM: u64 = 8 << 20;

    #[test]
    fn a_map_is_what_was_set_and_not_removed_and_its_tables_go() {
        let _machine = Machine::new(RAM);
        let mut frames = Source { next: 1 << 20, free: Vec::new(), out: BTreeSet::new() };
        let (mut map, mut model) = (PageMap::EMPTY, BTreeMap::new());
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (seed >> 33) % below
        };
        let index = |random: &mut dyn FnMut(u64) -> u64| match random(4) {
            0 => random(3),
            1 => random(1200),
            2 => random(1 << 20),
            _ => (1 << (9 * random(6))) + random(3),
        };
        for step in 0..3000 {
            if random(3) > 0 {
                let index = index(&mut random);
                let (missing, had) = (map.missing(index), frames.out.len() as u64);
                *map.slot(index, &mut frames).unwrap() = step + 1;
                assert_eq!(frames.out.len() as u64, had + missing, "index {index}");
                model.insert(index, step + 1);
            } else {
                let (first, length) = (index(&mut random), 1 + index(&mut random));
                let end = (first + length).min(PageMap::END);
                let mut gone = Vec::new();
                map.remove(first, end, &mut |word, is_word| {
                    if is_word {
                        gone.push(word);
                    } else {
                        assert!(frames.out.remove(&word));
                        frames.free.push(word);
                    }
                });
                let indices: Vec<u64> = model.range(first..end).map(|(&index, _)| index).collect();
                let expected: Vec<u64> =
                    indices.iter().map(|index| model.remove(index).unwrap()).collect();
                assert_eq!(gone, expected);
            }
            let from = index(&mut random);
            assert_eq!(map.get(from), model.get(&from).copied().unwrap_or(0));
            for (index, &word) in (from..).zip(map.words_from(from)) {
                assert_eq!(word, model.get(&index).copied().unwrap_or(0), "index {index}");
            }
            assert!(!map.words_from(from).is_empty() || map.get(from) == 0);
            let next = model.range(from..).next().map(|(&index, _)| index);
            assert_eq!(map.next(from), next, "from {from}");
        }
        map.remove(0, PageMap::END, &mut |word, is_word| {
            assert!(is_word || frames.out.remove(&word));
        });
        assert!(frames.out.is_empty(), "tables that nobody has");
    }

    #[test]
    fn one_page_needs_no_table() {
        let mut frames = Source { next: 1 << 20, free: Vec::new(), out: BTreeSet::new() };
        let mut map = PageMap::EMPTY;
        *map.slot(0, &mut frames).unwrap() = 5;
        assert_eq!((map.get(0), map.get(1), map.next(0), map.next(1)), (5, 0, Some(0), None));
        assert!(frames.out.is_empty());
    }
}
