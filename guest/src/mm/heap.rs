//! The kernel's heap, for `alloc`: regions of contiguous frames, taken when
//! they are needed, each four times as large as the one before.
//!
//! The first is small, so that what the kernel touches at every start lies
//! together.
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use super::frames::FRAMES;
use crate::arch::paging::direct;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};
use linked_list_allocator::Heap;
use spin::Mutex;
use trapgate_abi::layout::PAGE_SIZE;

/// Bytes of the first region.
const FIRST: usize = 64 << 10;
/// Regions at most: 64 KiB, 256 KiB, … 1 GiB.
const REGIONS: usize = 8;

struct KernelHeap(Mutex<[Heap; REGIONS]>);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap(Mutex::new([const { Heap::empty() }; REGIONS]));

/// Allocates from the first region that has room; makes the next one if none
/// has.
fn allocate(heaps: &mut [Heap], layout: Layout) -> Option<NonNull<u8>> {
    let mut size = FIRST;
    for heap in heaps {
        if heap.size() == 0 {
            let frames = FRAMES.lock().allocate_run(size as u64 / PAGE_SIZE)?;
            // SAFETY: the frames are ours now, and in the direct map.
            unsafe { heap.init(direct(frames), size) };
        }
        if let Ok(block) = heap.allocate_first_fit(layout) {
            return Some(block);
        }
        size *= 4;
    }
    None
}

// SAFETY: `Heap` hands out disjoint blocks of the layout asked for; the lock
// makes it one at a time.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocate(&mut *self.0.lock(), layout).map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let mut heaps = self.0.lock();
        let owner = heaps.iter_mut().find(|heap| (heap.bottom()..heap.top()).contains(&block));
        if let (Some(heap), Some(block)) = (owner, NonNull::new(block)) {
            // SAFETY: the caller returns a block of `alloc` with its layout,
            // and it lies in this region.
            unsafe { heap.deallocate(block, layout) };
        }
    }
}
