//! Room for a new mapping: the highest gap that is large enough, as in Linux.
//!
//! Each chunk knows a bound of the gaps below its mappings, so most chunks are
//! passed by with one look: for the most mappings that a program may have, some
//! 3,000 looks. A bound that has become too large, because its gap was filled,
//! costs a look at each mapping of its chunk, and is right then: that comes once for
//! each mapping that came or went there.

use super::map::{At, VmaMap};

impl VmaMap {
    /// The highest free range of `length` bytes within `low..high`: where
    /// Linux puts a mapping without a hint.
    pub fn find_gap(&mut self, low: u64, high: u64, length: u64) -> Option<u64> {
        let start = self.end_of_gap(high, length)?.checked_sub(length)?;
        (start >= low).then_some(start)
    }

    /// The end of the highest gap of `length` bytes below `high`.
    fn end_of_gap(&mut self, high: u64, length: u64) -> Option<u64> {
        if let Some(found) = self.end_of_high_gap(high, length) {
            return Some(found);
        }
        let mut at = self.search(high - 1);
        if self.at(at).is_none_or(|vma| vma.start >= high) {
            if high - self.end_below(at) >= length {
                return Some(high);
            }
            at = self.before(at)?;
        }
        loop {
            if self.chunks[at.chunk].gap >= length
                && let Some(end) = self.end_of_gap_in_chunk(at, length)
            {
                return Some(end);
            }
            // Many chunks are full: nothing but their largest gaps is looked at.
            let mut below = self.chunks[..at.chunk].iter();
            let chunk = below.rposition(|chunk| chunk.gap >= length)?;
            at = At { chunk, index: self.chunks[chunk].areas.len() - 1 };
        }
    }

    /// The same, if it is between the mappings of the last chunk: there it mostly is,
    /// below the few that are above `high`, so that nothing need be searched for.
    #[inline(always)]
    fn end_of_high_gap(&self, high: u64, length: u64) -> Option<u64> {
        let chunk = self.chunks.len().checked_sub(1)?;
        let mut above = high;
        for (index, vma) in self.chunks[chunk].areas.iter().enumerate().rev() {
            if vma.start >= high {
                continue;
            }
            if above.checked_sub(vma.end).is_some_and(|gap| gap >= length) {
                self.found(At { chunk, index: index + 1 });
                return Some(above);
            }
            above = vma.start;
        }
        None
    }

    /// The same of the gaps directly below the mapping at `at` and those before it in
    /// its chunk.
    fn end_of_gap_in_chunk(&mut self, at: At, length: u64) -> Option<u64> {
        let areas = &self.chunks[at.chunk].areas;
        let (mut above, mut largest) = (areas[at.index].start, 0);
        for (index, vma) in areas[..at.index].iter().enumerate().rev() {
            let gap = above - vma.end;
            if gap >= length {
                self.found(At { index: index + 1, ..at });
                return Some(above);
            }
            (above, largest) = (vma.start, largest.max(gap));
        }
        let first = At { index: 0, ..at };
        let gap = above - self.end_below(first);
        if gap >= length {
            self.found(first);
            return Some(above);
        }
        if at.index + 1 == areas.len() {
            self.chunks[at.chunk].gap = largest.max(gap);
        }
        None
    }
}
