//! The kernel's heap, for `alloc`: a fixed share of RAM, so that a program
//! which makes the kernel keep books cannot take all memory for them.
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use crate::arch::paging::direct;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};
use linked_list_allocator::Heap;
use spin::Mutex;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::{PAGE_SIZE, page_down};

struct KernelHeap(Mutex<Heap>);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap(Mutex::new(Heap::empty()));

/// The heap's share: one part in this many of free RAM…
const SHARE: u64 = 64;
/// …but at least this many bytes.
const LEAST: u64 = 64 << 10;

/// Takes the heap from the end of `free` and shortens it.
///
/// # Safety
/// Once, with a range of RAM that nothing else uses.
pub unsafe fn init(free: &mut Range) {
    let size = page_down((free.len() / SHARE).max(LEAST)).min(page_down(free.len() / 2));
    free.end -= size;
    debug_assert!(size >= PAGE_SIZE);
    // SAFETY: the range is ours now, and in the direct map.
    unsafe { HEAP.0.lock().init(direct(free.end), size as usize) };
}

// SAFETY: `Heap` hands out disjoint blocks of the layout asked for; the lock
// makes it one at a time.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0
            .lock()
            .allocate_first_fit(layout)
            .map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller returns a block of `alloc` with its layout.
            unsafe { self.0.lock().deallocate(block, layout) };
        }
    }
}
