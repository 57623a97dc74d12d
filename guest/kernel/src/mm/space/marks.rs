//! What is said of mappings: mlock(2), madvise(2) for fork(2).

use super::AddressSpace;
use super::map::pages;
use crate::mm::backing::Backing;
use crate::mm::vma::Marks;
use trapgate_uapi::Errno;

impl AddressSpace {
    /// Sets and clears marks in a range, which must be mapped.
    ///
    /// # Errors
    /// EINVAL; ENOMEM, if part of it is not mapped; the rest is marked.
    pub fn mark(
        &mut self,
        address: u64,
        length: u64,
        set: Marks,
        clear: Marks,
    ) -> Result<(), Errno> {
        let (start, end) = pages(address, length, Errno::EINVAL)?;
        self.vmas.mark(start, end, set, clear)?;
        if self.vmas.is_covered(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// madvise(2) `MADV_WIPEONFORK`: only of memory that is nobody else's, and has no
    /// file.
    ///
    /// # Errors
    /// As [`Self::mark`]; EINVAL.
    pub fn wipe_on_fork(&mut self, address: u64, length: u64) -> Result<(), Errno> {
        let (start, end) = pages(address, length, Errno::EINVAL)?;
        let is_own = |backing: &Backing| {
            matches!(backing, Backing::Anonymous | Backing::Heap | Backing::Stack)
        };
        let other = self.vmas.within(start, end).find(|vma| !is_own(&vma.backing));
        match other.map(|other| other.start) {
            None => self.mark(address, length, Marks::WIPE_ON_FORK, Marks::NONE),
            Some(until) => {
                self.vmas.mark(start, until.max(start), Marks::WIPE_ON_FORK, Marks::NONE)?;
                Err(Errno::EINVAL)
            }
        }
    }

    /// Whether mlock(2) keeps a part of a range.
    pub fn has_locked(&self, address: u64, length: u64) -> bool {
        let end = address.saturating_add(length);
        self.vmas.within(address, end).any(|vma| vma.marks().has(Marks::LOCKED))
    }

    /// Pages that mlock(2) keeps.
    pub fn locked_pages(&self) -> u64 {
        let locked = self.vmas.within(0, u64::MAX).filter(|vma| vma.marks().has(Marks::LOCKED));
        locked.map(|vma| (vma.end - vma.start) / trapgate_abi::layout::PAGE_SIZE).sum()
    }

    /// mlockall(2), munlockall(2): of what is there, and of what comes.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn mark_all(&mut self, now: Marks, future: Marks) -> Result<(), Errno> {
        self.vmas.mark(0, u64::MAX, now, Marks::LOCKED.without(now))?;
        self.future = future;
        Ok(())
    }

    /// What new mappings are marked with.
    pub const fn set_future(&mut self, future: Marks) {
        self.future = future;
    }
}
