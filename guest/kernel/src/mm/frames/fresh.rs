//! Frames that were never used, in ascending order.
//!
//! Each large page of the host's is written to before anybody gets a frame of it. What
//! is read first, a host maps as a page of zeroes of its own; and when that is written
//! to, Linux takes it apart into small pages: three exits for each of 512 frames, and
//! not one for all of them.

use super::number;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::{LARGE_PAGE_SIZE, PAGE_SIZE};
use trapgate_arch::phys;

/// Those of two ranges of RAM.
pub(super) struct Fresh {
    /// Of large pages that are written to.
    begun: [Range; 2],
    /// Where each range ends.
    ends: [u64; 2],
}

impl Fresh {
    /// None.
    pub(super) const NONE: Fresh = Fresh { begun: [Range::ZERO; 2], ends: [0; 2] };

    /// These, which hold zeroes. Where a range begins inside a large page, the VMM has
    /// written to what is before it.
    pub(super) fn new(ranges: [Range; 2]) -> Fresh {
        let begun = ranges.map(|Range { start, end }| Range {
            start,
            end: end.min(start.next_multiple_of(LARGE_PAGE_SIZE)),
        });
        Fresh { begun, ends: ranges.map(|range| range.end) }
    }

    /// The first `most` frames, or fewer.
    #[inline(always)]
    pub(super) fn take(&mut self, most: u64) -> Option<Range> {
        match self.begun.iter_mut().find(|range| !range.is_empty()) {
            Some(range) => Some(take_from(range, most)),
            None => self.begin(1).map(|range| take_from(range, most)),
        }
    }

    /// `count` frames in a row.
    pub(super) fn take_run(&mut self, count: u64) -> Option<Range> {
        match self.begun.iter_mut().find(|range| number(range.len()) >= count) {
            Some(range) => Some(take_from(range, count)),
            None => self.begin(count).map(|range| take_from(range, count)),
        }
    }

    /// Takes back what was taken last; false, if it is not that.
    #[inline]
    pub(super) fn put_back(&mut self, run: Range) -> bool {
        let last = self.begun.iter_mut().find(|range| range.start == run.end);
        last.map(|range| range.start = run.start).is_some()
    }

    /// Begins large pages until there are `count` frames in a row.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, count: u64) -> Option<&mut Range> {
        let mut ranges = self.begun.iter_mut().zip(self.ends);
        let (begun, end) = ranges.find(|(begun, end)| number(end - begun.start) >= count)?;
        while number(begun.len()) < count {
            phys::clear_bytes(begun.end, size_of::<u64>() as u64);
            begun.end = end.min(begun.end + LARGE_PAGE_SIZE);
        }
        Some(begun)
    }
}

/// The first `most` frames of a range, or all.
#[inline(always)]
fn take_from(range: &mut Range, most: u64) -> Range {
    let start = range.start;
    range.start = range.end.min(start + most * PAGE_SIZE);
    Range { start, end: range.start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::hypercall::Segment;
    use trapgate_arch::fake::{self, Machine};

    const MIB: u64 = 1 << 20;

    /// From one MiB to another.
    fn mib(start: u64, end: u64) -> Range {
        Range { start: start * MIB, end: end * MIB }
    }

    /// Whether the first word at an address was written since `mark`.
    fn is_written(address: u64) -> bool {
        fake::bytes_of(&Segment { address, length: 8 }).iter().all(|&byte| byte == 0)
    }

    fn mark(address: u64) {
        fake::fill(&Segment { address, length: 8 }, &[0xaa; 8]);
    }

    #[test]
    fn a_large_page_is_written_to_before_a_frame_of_it_is_taken() {
        let _machine = Machine::new(12 * MIB);
        let boundaries = [2, 4, 6, 8, 10].map(|number| number * MIB);
        boundaries.into_iter().for_each(mark);
        let mut fresh = Fresh::new([mib(3, 8), mib(8, 11)]);
        let written = || boundaries.map(is_written);
        assert_eq!(fresh.take(1000), Some(mib(3, 4)), "to its end");
        assert_eq!(written(), [false; 5]);
        assert_eq!(fresh.take(1), Some(Range { start: 4 * MIB, end: 4 * MIB + PAGE_SIZE }));
        assert_eq!(written(), [false, true, false, false, false]);
        let run = fresh.take_run(3 * MIB / PAGE_SIZE).unwrap();
        assert_eq!(run, Range { start: 4 * MIB + PAGE_SIZE, end: 7 * MIB + PAGE_SIZE });
        assert_eq!(written(), [false, true, true, false, false]);
        assert_eq!(fresh.take_run(3 * MIB / PAGE_SIZE).unwrap().start, 8 * MIB);
        assert_eq!(written(), [false, true, true, true, true]);
        assert_eq!(fresh.take_run(MIB / PAGE_SIZE), None);
        assert_eq!(fresh.take(1000).unwrap().end, 8 * MIB);
        assert_eq!(fresh.take(1), None);
    }

    #[test]
    fn what_was_taken_last_goes_back() {
        let _machine = Machine::new(4 * MIB);
        let mut fresh = Fresh::new([mib(2, 4), Range::ZERO]);
        let run = fresh.take(3).unwrap();
        let above = Range { start: run.start + PAGE_SIZE, end: run.end };
        assert!(!fresh.put_back(run_below(run)) && fresh.put_back(above));
        assert_eq!(fresh.take(2), Some(above));
    }

    /// All of a run but its last frame.
    fn run_below(run: Range) -> Range {
        Range { start: run.start, end: run.end - PAGE_SIZE }
    }
}
