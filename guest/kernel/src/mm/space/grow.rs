//! Memory that grows down when it is touched below: `MAP_GROWSDOWN` of mmap(2).

use super::{AddressSpace, FaultError};
use crate::mm::backing::Backing;
use crate::mm::vma::{Marks, Prot, Vma};
use trapgate_abi::layout::{PAGE_SIZE, USER_MIN, page_down};

/// What stays free below, if something else is mapped there: Linux's `stack_guard_gap`.
const GUARD_GAP: u64 = 256 * PAGE_SIZE;

impl AddressSpace {
    /// Serves a fault where nothing is mapped: the mapping above may grow down to there.
    ///
    /// # Errors
    /// [`FaultError`], if it does not, or the access has no page then.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&mut self, address: u64, access: Prot) -> Result<u64, FaultError> {
        let start = page_down(address);
        let above = self.vmas.find_from(address).ok_or(FaultError::NotMapped)?;
        let &Vma { start: end, end: top, attributes, .. } = above;
        let below = self.vmas.last_before(start);
        let is_near = below.is_some_and(|below| {
            let counts = below.prot() != Prot::NONE && !below.marks().has(Marks::GROWS_DOWN);
            counts && start - below.end < GUARD_GAP
        });
        if !above.marks().has(Marks::GROWS_DOWN)
            || start < USER_MIN
            || is_near
            || top - start > self.growth
        {
            return Err(FaultError::NotMapped);
        }
        let more = Vma { start, end, attributes, backing: Backing::Anonymous };
        if !self.may_expand(&more, (end - start) / PAGE_SIZE, (start, end)) {
            return Err(FaultError::NotMapped);
        }
        self.vmas.insert(more).map_err(|_| FaultError::OutOfMemory)?;
        self.fault(address, access)
    }

    /// To how many bytes a mapping may grow: setrlimit(2) `RLIMIT_STACK`.
    pub const fn set_growth(&mut self, bytes: u64) {
        self.growth = bytes;
    }

    /// Whether something is mapped there.
    pub fn is_mapped(&self, address: u64) -> bool {
        self.vmas.find(address).is_some()
    }

    /// Where mprotect(2) with `PROT_GROWSDOWN` begins: with the whole mapping at
    /// `address`, if that is one that grows, or the stack.
    pub fn start_of_growing(&self, address: u64) -> Option<u64> {
        let vma = self.vmas.find(address)?;
        let grows = vma.marks().has(Marks::GROWS_DOWN) || matches!(vma.backing, Backing::Stack);
        grows.then_some(vma.start)
    }
}
