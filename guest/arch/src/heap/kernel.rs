//! The global allocator of the image: the blocks, behind a lock, and where their
//! memory comes from.
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use super::blocks::{Blocks, Source};
use super::{Need, class, each_class};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use spin::Mutex;

/// The state.
struct Heap {
    blocks: Blocks,
    source: Source,
}

struct KernelHeap(Mutex<Heap>);

#[global_allocator]
static HEAP: KernelHeap =
    KernelHeap(Mutex::new(Heap { blocks: Blocks::new(), source: |_, _| None }));

/// Says where the heap's memory comes from.
pub fn init(source: Source) {
    HEAP.0.lock().source = source;
}

/// Makes sure that the next allocations, of what `needs` names, succeed. It holds
/// until others come between: call it right in front of them. What is not taken
/// stays for others. False if there is no memory for it.
pub fn reserve(needs: &[Need]) -> bool {
    let Heap { blocks, source } = &mut *HEAP.0.lock();
    let mut ready = |class, count| blocks.reserve(class, count, *source);
    match needs {
        // Most need no order.
        [need] => class(need.layout).is_some_and(|class| ready(class, need.count)),
        _ => each_class(needs, ready),
    }
}

// SAFETY: blocks are disjoint and as large and aligned as their class; the
// lock makes it one at a time.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else { return null_mut() };
        let Heap { blocks, source } = &mut *self.0.lock();
        blocks.allocate(class, *source).map_or(null_mut(), |block| block as *mut u8)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else { return };
        self.0.lock().blocks.free(block as u64, class);
    }
}
