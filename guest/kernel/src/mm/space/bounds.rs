//! How much may be mapped: `RLIMIT_AS`, `RLIMIT_DATA` and `RLIMIT_MEMLOCK` of getrlimit(2).
//! What is mapped is added up only where there is such a bound.

use super::AddressSpace;
use crate::mm::backing::Backing;
use crate::mm::vma::{Marks, Prot, Vma};
use trapgate_abi::layout::PAGE_SIZE;

/// Bounds in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all that is mapped.
    pub size: u64,
    /// Of what is private and can be written, but for stacks.
    pub data: u64,
}

impl Bounds {
    /// None.
    pub const NONE: Bounds = Bounds { size: u64::MAX, data: u64::MAX };
}

/// Linux: `is_data_mapping`.
const fn is_data(backing: &Backing, prot: Prot, marks: Marks) -> bool {
    let is_stack = matches!(backing, Backing::Stack) || marks.has(Marks::GROWS_DOWN);
    prot.allows(Prot::WRITE) && !backing.is_shared() && !is_stack
}

impl Vma {
    fn pages(&self) -> u64 {
        (self.end - self.start) / PAGE_SIZE
    }

    fn is_data(&self) -> bool {
        is_data(&self.backing, self.prot(), self.marks())
    }
}

impl AddressSpace {
    /// Sets them.
    pub const fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Whether so many pages more may be mapped like this one, besides those there are
    /// from `start` to `end`, which go (Linux: `may_expand_vm`).
    #[inline(always)]
    pub(super) fn may_expand(&self, like: &Vma, pages: u64, (start, end): (u64, u64)) -> bool {
        self.bounds == Bounds::NONE || self.has_room(like.is_data(), pages, (start, end))
    }

    /// Whether the heap may end there: its own bound is that of data alone.
    pub(super) fn heap_may_end(&self, end: u64) -> bool {
        let bytes = self.bounds.data.saturating_mul(PAGE_SIZE);
        self.bounds == Bounds::NONE || end - self.brk_start <= bytes
    }

    /// Whether what is mapped from `start` to `end` may become data, if that is what it is
    /// with this access (Linux: `mprotect_fixup`).
    #[inline(always)]
    pub(super) fn may_become(&self, start: u64, end: u64, prot: Prot) -> bool {
        self.bounds == Bounds::NONE || !prot.allows(Prot::WRITE) || {
            let more = self
                .vmas
                .within(start, end)
                .filter(|vma| is_data(&vma.backing, prot, vma.marks()) && !vma.is_data());
            let pages = more.map(|vma| (vma.end.min(end) - vma.start.max(start)) / PAGE_SIZE);
            self.has_data_room(pages.sum())
        }
    }

    #[cold]
    #[inline(never)]
    fn has_room(&self, is_data: bool, pages: u64, (start, end): (u64, u64)) -> bool {
        let all: u64 = self.vmas.within(0, u64::MAX).map(Vma::pages).sum();
        let going = self.vmas.within(start, end);
        let going: u64 =
            going.map(|vma| (vma.end.min(end) - vma.start.max(start)) / PAGE_SIZE).sum();
        all + pages.saturating_sub(going) <= self.bounds.size
            && (!is_data || self.has_data_room(pages.saturating_sub(going)))
    }

    #[cold]
    #[inline(never)]
    fn has_data_room(&self, pages: u64) -> bool {
        let data = self.vmas.within(0, u64::MAX).filter(|vma| vma.is_data()).map(Vma::pages);
        pages == 0 || data.sum::<u64>() + pages <= self.bounds.data
    }

    /// Pages that mlock(2) would keep besides, of a range.
    pub fn not_yet_locked(&self, start: u64, end: u64) -> u64 {
        let locked = self.vmas.within(start, end).filter(|vma| vma.marks().has(Marks::LOCKED));
        let pages = locked.map(|vma| (vma.end.min(end) - vma.start.max(start)) / PAGE_SIZE);
        ((end - start) / PAGE_SIZE).saturating_sub(pages.sum())
    }

    /// Pages that are mapped.
    pub fn mapped_pages(&self) -> u64 {
        self.vmas.within(0, u64::MAX).map(Vma::pages).sum()
    }

    /// Whether new mappings are locked: mlockall(2) `MCL_FUTURE`.
    pub const fn locks_future(&self) -> bool {
        self.future.has(Marks::LOCKED)
    }
}
