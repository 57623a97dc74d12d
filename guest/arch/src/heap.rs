//! The kernel's heap, for `alloc`: powers of two, each with a list of freed
//! blocks, cut from runs of contiguous frames.
//!
//! Few instructions matter more here than tight packing: where ring 0 is
//! interpreted, a first-fit search at every start was felt.
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait; free blocks hold the lists")]

use super::phys::direct;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use spin::Mutex;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;

/// log2 of the smallest block: room for a link.
const SMALLEST: u32 = 4;
/// log2 of the largest: an array of all mappings that a program may have.
const LARGEST: u32 = 22;
/// Bytes taken from the frames at once, if the block is not larger.
const RUN: u64 = 32 << 10;

/// Where memory comes from: frames in a row of so many bytes. If there are none,
/// a page's worth may come alone, where that is enough.
pub type Source = fn(length: u64, page_is_enough: bool) -> Option<Range>;

/// The state: lists of free blocks by size, and the run that is being cut up.
struct Heap {
    free: [u64; (LARGEST - SMALLEST + 1) as usize],
    run: u64,
    run_end: u64,
    source: Option<Source>,
}

/// Says where the heap's memory comes from.
pub fn init(source: Source) {
    HEAP.0.lock().source = Some(source);
}

struct KernelHeap(Mutex<Heap>);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap(Mutex::new(Heap {
    free: [0; (LARGEST - SMALLEST + 1) as usize],
    run: 0,
    run_end: 0,
    source: None,
}));

/// Which list a block of this layout belongs to; `None` if it is too large.
fn class(layout: Layout) -> Option<u32> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST);
    let class = usize::BITS - (size - 1).leading_zeros();
    (class <= LARGEST).then_some(class)
}

impl Heap {
    /// A block of `1 << class` bytes, aligned to its size, by its address.
    fn allocate(&mut self, class: u32) -> Option<u64> {
        let list = &mut self.free[(class - SMALLEST) as usize];
        if *list != 0 {
            let block = *list;
            // SAFETY: a free block holds the address of the next one.
            *list = unsafe { (block as *const u64).read() };
            return Some(block);
        }
        let size = 1 << class;
        let mut block = self.run.next_multiple_of(size);
        if block + size > self.run_end {
            let length = RUN.max(size);
            // Aligned frames only come by chance: take what makes sure of it.
            let slack = if size > PAGE_SIZE { size } else { 0 };
            let run = (self.source?)(length + slack, size <= PAGE_SIZE)?;
            self.run = direct::<u8>(run.start) as u64;
            self.run_end = self.run + run.len();
            block = self.run.next_multiple_of(size);
        }
        self.run = block + size;
        Some(block)
    }
}

// SAFETY: blocks are disjoint and as large and aligned as their class; the
// lock makes it one at a time.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = class(layout).and_then(|class| self.0.lock().allocate(class));
        block.map_or(null_mut(), |block| block as *mut u8)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else { return };
        let mut heap = self.0.lock();
        let list = &mut heap.free[(class - SMALLEST) as usize];
        // SAFETY: the block was ours, of this class, and nobody uses it now.
        unsafe { block.cast::<u64>().write(*list) };
        *list = block as u64;
    }
}
