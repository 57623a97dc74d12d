//! The kernel's heap, for `alloc`: powers of two, each with a list of free blocks,
//! cut from runs of contiguous frames.
//!
//! Few instructions matter more here than tight packing: where ring 0 is
//! interpreted, a first-fit search at every start was felt.
//!
//! What `alloc` cannot try (a box, a node of a tree) is reserved first: [`reserve`]
//! puts as many blocks on the lists as the next allocations take. On the host,
//! `fake::heap` is in its place.

#[cfg(any(test, target_os = "none"))]
mod blocks;
#[cfg(target_os = "none")]
mod kernel;

#[cfg(not(target_os = "none"))]
pub use crate::fake::heap::reserve;
#[cfg(any(test, target_os = "none"))]
pub use blocks::Source;
#[cfg(target_os = "none")]
pub use kernel::{init, reserve};

use core::alloc::Layout;

/// log2 of the smallest block: room for a link.
const SMALLEST: u32 = 4;
/// log2 of the largest block.
pub(crate) const LARGEST: u32 = 22;

/// So many blocks for values of one layout.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// What is to fit into each.
    pub layout: Layout,
    /// How many.
    pub count: usize,
}

/// log2 of the size of a block for this layout; `None` if that is too large.
pub(crate) fn class(layout: Layout) -> Option<u32> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST);
    let class = usize::BITS - (size - 1).leading_zeros();
    (class <= LARGEST).then_some(class)
}

/// Has `ready` make sure of each class that `needs` names, with how many blocks of
/// it they name in all. From the smallest up: one that is made ready may be cut from
/// a larger block, and never from a smaller.
#[cfg(any(test, target_os = "none"))]
fn each_class(needs: &[Need], mut ready: impl FnMut(u32, usize) -> bool) -> bool {
    if needs.iter().any(|need| class(need.layout).is_none()) {
        return false;
    }
    let of = |need: &Need| class(need.layout).unwrap_or_default();
    let mut done = 0;
    while let Some(next) = needs.iter().map(of).filter(|class| *class > done).min() {
        let same = needs.iter().filter(|need| of(need) == next);
        if !ready(next, same.map(|need| need.count).sum()) {
            return false;
        }
        done = next;
    }
    true
}
