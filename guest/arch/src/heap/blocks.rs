//! Free blocks by their size, and the run that they are cut from. Whose memory it
//! is, and where more of it comes from, is the caller's business.
#![allow(unsafe_code, reason = "free blocks hold the lists")]

use super::{LARGEST, SMALLEST};
use crate::phys::direct;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;

/// How many sizes there are.
const SIZES: usize = (LARGEST - SMALLEST + 1) as usize;
/// Bytes taken from the frames at once, if they have them and the block is not
/// larger.
const RUN: u64 = 32 << 10;

/// Where memory comes from: frames in a row of so many bytes. If there are none,
/// a page's worth may come alone, where that is enough.
pub type Source = fn(length: u64, page_is_enough: bool) -> Option<Range>;

/// The free blocks: disjoint, each aligned to its size.
pub(super) struct Blocks {
    /// The first of each size; it holds the address of the next.
    lists: [u64; SIZES],
    /// Bit `n`: list `n` is not empty.
    there: u32,
    /// What is left of the run.
    run: u64,
    run_end: u64,
}

impl Blocks {
    /// None.
    pub(super) const fn new() -> Self {
        Blocks { lists: [0; SIZES], there: 0, run: 0, run_end: 0 }
    }

    /// A block of `1 << class` bytes by its address.
    pub(super) fn allocate(&mut self, class: u32, source: Source) -> Option<u64> {
        self.pop(class).or_else(|| self.make(class, source))
    }

    /// Takes a block back that [`allocate`](Self::allocate) gave.
    pub(super) fn free(&mut self, block: u64, class: u32) {
        self.push(block, class);
    }

    /// Makes sure that `count` blocks of a class are on its list.
    #[inline]
    pub(super) fn reserve(&mut self, class: u32, count: usize, source: Source) -> bool {
        let mut block = self.lists[index(class)];
        let mut missing = count;
        while missing > 0 && block != 0 {
            // SAFETY: a free block holds the address of the next one.
            block = unsafe { (block as *const u64).read() };
            missing -= 1;
        }
        (0..missing).all(|_| match self.make(class, source) {
            Some(block) => {
                self.push(block, class);
                true
            }
            None => false,
        })
    }

    /// A block that is on no list of its size yet.
    fn make(&mut self, class: u32, source: Source) -> Option<u64> {
        self.cut(class).or_else(|| self.split(class)).or_else(|| self.refill(class, source))
    }

    /// A block from the run.
    fn cut(&mut self, class: u32) -> Option<u64> {
        let size = 1 << class;
        let block = self.run.next_multiple_of(size);
        if block + size > self.run_end {
            return None;
        }
        let gap = self.run;
        self.run = block + size;
        self.keep(gap, block);
        Some(block)
    }

    /// A block from a larger one, whose other parts go onto the lists.
    fn split(&mut self, class: u32) -> Option<u64> {
        let larger = self.there >> index(class) >> 1;
        if larger == 0 {
            return None;
        }
        let from = class + 1 + larger.trailing_zeros();
        let block = self.pop(from)?;
        for part in class..from {
            self.push(block + (1 << part), part);
        }
        Some(block)
    }

    /// A block from a new run.
    fn refill(&mut self, class: u32, source: Source) -> Option<u64> {
        let size = 1 << class;
        // Aligned frames only come by chance: take what makes sure of it.
        let least = if size > PAGE_SIZE { 2 * size } else { PAGE_SIZE };
        let run = if least < RUN { source(RUN, size <= PAGE_SIZE) } else { None };
        let run = run.or_else(|| source(least, false))?;
        let (rest, end) = (self.run, self.run_end);
        self.run = direct::<u8>(run.start) as u64;
        self.run_end = self.run + run.len();
        self.keep(rest, end);
        self.cut(class)
    }

    /// Puts what lies from `start` to `end` onto the lists, in the largest blocks
    /// that fit.
    fn keep(&mut self, mut start: u64, end: u64) {
        while start < end {
            let fits = (end - start).ilog2().min(start.trailing_zeros());
            let class = fits.min(LARGEST);
            if class < SMALLEST {
                return;
            }
            self.push(start, class);
            start += 1 << class;
        }
    }

    fn pop(&mut self, class: u32) -> Option<u64> {
        let list = &mut self.lists[index(class)];
        let block = *list;
        if block == 0 {
            return None;
        }
        // SAFETY: a free block holds the address of the next one.
        let next = unsafe { (block as *const u64).read() };
        *list = next;
        if next == 0 {
            self.there &= !(1 << index(class));
        }
        Some(block)
    }

    fn push(&mut self, block: u64, class: u32) {
        let list = &mut self.lists[index(class)];
        // SAFETY: the block is free, and has room for a link.
        unsafe { (block as *mut u64).write(*list) };
        *list = block;
        self.there |= 1 << index(class);
    }
}

/// Where a class's list is.
const fn index(class: u32) -> usize {
    (class - SMALLEST) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Machine;
    use crate::heap::{Need, each_class};
    use core::alloc::Layout;
    use std::cell::Cell;

    const RAM: u64 = 8 << 20;

    thread_local! {
        /// Where memory that nobody had begins.
        static FRESH: Cell<u64> = const { Cell::new(0) };
    }

    /// All RAM but the first page, one run after the other.
    fn source(length: u64, page_is_enough: bool) -> Option<Range> {
        let start = FRESH.get();
        let fits = |length: &u64| start + length <= RAM;
        let length = Some(length).filter(fits).or(Some(PAGE_SIZE).filter(|_| page_is_enough));
        let end = start + length.filter(fits)?;
        FRESH.set(end);
        Some(Range { start, end })
    }

    fn nothing(_: u64, _: bool) -> Option<Range> {
        None
    }

    fn machine() -> Machine {
        FRESH.set(PAGE_SIZE);
        Machine::new(RAM)
    }

    impl Blocks {
        /// Bytes on the lists and in the run.
        fn bytes(&self) -> u64 {
            let of = |class: u32| {
                let (mut block, mut bytes) = (self.lists[index(class)], 0);
                assert_eq!(block != 0, self.there & 1 << index(class) != 0, "{class}");
                while block != 0 {
                    // SAFETY: a free block holds the address of the next one.
                    block = unsafe { (block as *const u64).read() };
                    bytes += 1 << class;
                }
                bytes
            };
            self.run_end - self.run + (SMALLEST..=LARGEST).map(of).sum::<u64>()
        }
    }

    /// Numbers that look like chance (Knuth's MMIX).
    fn next(state: &mut u64) -> u64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    #[test]
    fn blocks_are_aligned_and_disjoint_and_no_byte_is_lost() {
        let _machine = machine();
        let (mut blocks, mut state) = (Blocks::new(), 1);
        let mut taken: Vec<(u64, u32)> = Vec::new();
        for _ in 0..20_000 {
            let number = next(&mut state);
            if number % 5 < 3 {
                let class = SMALLEST + (next(&mut state) % 14) as u32;
                let Some(block) = blocks.allocate(class, source) else { continue };
                assert_eq!(block % (1 << class), 0);
                let end = block + (1 << class);
                let apart = |&(other, of): &(u64, u32)| end <= other || other + (1 << of) <= block;
                assert!(taken.iter().all(apart), "{block:#x}");
                // SAFETY: the block is ours.
                unsafe { (block as *mut u8).write_bytes(0xa5, 1 << class) };
                taken.push((block, class));
            } else if !taken.is_empty() {
                let (block, class) = taken.swap_remove(number as usize % taken.len());
                blocks.free(block, class);
            }
            let in_use: u64 = taken.iter().map(|(_, class)| 1 << class).sum();
            assert_eq!(blocks.bytes() + in_use, FRESH.get() - PAGE_SIZE);
        }
        assert!(FRESH.get() > RAM / 2, "memory ran short");
    }

    #[test]
    fn a_larger_block_serves_when_there_is_nothing_else() {
        let _machine = machine();
        let mut blocks = Blocks::new();
        let large = blocks.allocate(15, source).unwrap();
        while blocks.allocate(SMALLEST, nothing).is_some() {}
        blocks.free(large, 15);
        let got = (0..1 << 11).map_while(|_| blocks.allocate(SMALLEST, nothing)).count();
        assert_eq!(got, 1 << 11, "all of it");
        assert_eq!(blocks.bytes(), 0);
    }

    #[test]
    fn what_is_reserved_is_there_whatever_the_order() {
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        let needs = [(200, 2), (24, 3), (5000, 1), (32, 1), (0, 7)]
            .map(|(size, count)| Need { layout: layout(size), count });
        let _machine = machine();
        let mut blocks = Blocks::new();
        assert!(each_class(&needs, |class, count| blocks.reserve(class, count, source)));
        for class in [5, 5, 5, 8, 13, 5, 8] {
            assert!(blocks.allocate(class, nothing).is_some(), "{class}");
        }
    }

    #[test]
    fn a_reservation_that_cannot_be_had_says_so() {
        let _machine = machine();
        let mut blocks = Blocks::new();
        assert!(!blocks.reserve(12, 1 + (RAM / PAGE_SIZE) as usize, source));
        assert!(!blocks.reserve(LARGEST, 2, source));
        let layout = Layout::from_size_align((1 << LARGEST) + 1, 8).unwrap();
        assert!(!each_class(&[Need { layout, count: 1 }], |_, _| true), "no block is that large");
    }
}
