//! Mappings that come, go and change: mmap(2), munmap(2), mprotect(2), madvise(2).

use crate::mm::backing::{Backing, Mapped, Part};
use crate::mm::space::{AddressSpace, with_access};
use crate::mm::vma::{Attributes, Marks, Prot, Vma};
use trapgate_abi::layout::{MMAP_BASE, PAGE_SIZE, USER_MIN, page_down, page_up};
use trapgate_abi::x86::pte;
use trapgate_arch::paging::flush_range;
use trapgate_uapi::Errno;

/// The addresses from which a mapping without a place of its own gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Window {
    /// Of a 64-bit call.
    pub const NATIVE: Window = Window { low: USER_MIN, high: MMAP_BASE };
    /// Of a 64-bit call with `MAP_32BIT`.
    pub const LOW: Window = Window { low: 0x4000_0000, high: 0x8000_0000 };
    /// Of an i386 call, from whatever program: below 4 GiB and a 32-bit
    /// program's stack (Linux: `mmap_compat_base`, less the random part).
    pub const COMPAT: Window = Window { low: USER_MIN, high: 0xf7ff_e000 };

    /// Its end.
    pub const fn top(self) -> u64 {
        self.high
    }
}

/// Where mmap(2) is to put a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// At the address given, which is a hint otherwise.
    pub fixed: bool,
    /// With `fixed`: over whatever is there.
    pub replace: bool,
    /// Where to look for room otherwise.
    pub window: Window,
    /// `MAP_SHARED`.
    pub shared: bool,
    /// What is said of it at once.
    pub marks: Marks,
}

impl AddressSpace {
    /// mmap(2) at `address` if `place` fixes that or there is room: of `part`, or
    /// without a file.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn map(
        &mut self,
        address: u64,
        length: u64,
        prot: Prot,
        place: Place,
        part: Option<Part>,
        reserve: bool,
    ) -> Result<u64, Errno> {
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        let length = page_up(length).filter(|&l| l <= self.end).ok_or(Errno::ENOMEM)?;
        // Linux's heuristic overcommit: only what cannot ever fit is refused.
        if reserve && prot.allows(Prot::WRITE) && length > self.ram {
            return Err(Errno::ENOMEM);
        }
        let backing = match (part, place.shared) {
            (Some(part), true) => Backing::Shared(part),
            (Some(part), false) => Backing::Private(part),
            (None, true) => {
                let mapped = Mapped::anonymous(length / PAGE_SIZE)?;
                Backing::Shared(Part { mapped, first: 0 })
            }
            (None, false) => Backing::Anonymous,
        };
        let mut taken = false;
        let start = if place.fixed {
            if !address.is_multiple_of(PAGE_SIZE) {
                return Err(Errno::EINVAL);
            }
            let end = address.checked_add(length).filter(|&end| end <= self.end);
            let end = end.ok_or(Errno::ENOMEM)?;
            if address < USER_MIN {
                return Err(Errno::EPERM);
            }
            taken = !self.vmas.is_free(address, end);
            if taken && !place.replace {
                return Err(Errno::EEXIST);
            }
            address
        } else {
            self.place(address, length, place.window)?
        };
        let end = start + length;
        let attributes = Attributes::new(prot, place.marks.with(self.future));
        let vma = Vma { start, end, attributes, backing };
        if !self.may_expand(&vma, length / PAGE_SIZE, (start, end)) {
            return Err(Errno::ENOMEM);
        }
        if !taken {
            self.vmas.insert(vma)?;
        } else {
            let room = self.vmas.prepare_put(start, end)?;
            self.vmas.put(room, vma)?;
            self.release_pages(start, end);
        }
        self.populate_ahead(start, end);
        Ok(start)
    }

    /// Where a mapping of `length` bytes goes: at the hint, if that is free.
    fn place(&mut self, hint: u64, length: u64, window: Window) -> Result<u64, Errno> {
        let hint = page_down(hint);
        let end = hint.checked_add(length).filter(|&end| end <= self.end);
        if let Some(end) = end
            && hint >= window.low
            && (end <= window.high || window.high == MMAP_BASE)
            && self.vmas.is_free(hint, end)
        {
            return Ok(hint);
        }
        let high = window.high.min(self.mmap_top);
        self.vmas.find_gap(window.low, high, length).ok_or(Errno::ENOMEM)
    }

    /// munmap(2).
    ///
    /// # Errors
    /// Those of munmap(2).
    pub fn unmap(&mut self, address: u64, length: u64) -> Result<(), Errno> {
        let (start, end) = self.user_range(address, length)?;
        if start == end {
            return Err(Errno::EINVAL);
        }
        let around = self.vmas.remove(start, end)?;
        self.release(start, end, around);
        Ok(())
    }

    /// mprotect(2).
    ///
    /// # Errors
    /// Those of mprotect(2).
    pub fn protect(&mut self, address: u64, length: u64, prot: Prot) -> Result<(), Errno> {
        let (start, end) = pages(address, length, Errno::ENOMEM)?;
        // Linux: VM_MAYWRITE or VM_MAYEXEC is clear there.
        let may_not = |vma: &Vma| match &vma.backing {
            Backing::Vvar => true,
            Backing::Shared(part) => prot.allows(Prot::WRITE) && !part.mapped.may_write,
            _ => false,
        };
        let more_than_read = prot.allows(Prot::WRITE) || prot.allows(Prot::EXEC);
        // What comes before a hole, or before what may not change, changes.
        let (mut at, mut result) = (start, Ok(()));
        while at < end && result.is_ok() {
            match self.vmas.find(at) {
                None => result = Err(Errno::ENOMEM),
                Some(vma) if more_than_read && may_not(vma) => result = Err(Errno::EACCES),
                Some(vma) => at = vma.end.min(end),
            }
        }
        let end = at;
        if start == end {
            return result;
        }
        if !self.may_become(start, end, prot) {
            return Err(Errno::ENOMEM);
        }
        self.vmas.protect(start, end, prot)?;
        let mut present = 0;
        self.tables.for_each(start, end, |_, entry| {
            present |= *entry & pte::P;
            *entry = with_access(*entry, prot);
        });
        if present != 0 {
            flush_range(start, end);
        }
        result
    }

    /// madvise(2) `MADV_DONTNEED`, and `MADV_FREE`, which only private memory may be:
    /// the pages read as zeroes next time, or as the object has them. What is shared
    /// comes back as it was, and so does what the VMM has loaded. `locked`: what mlock(2)
    /// keeps is given up, too.
    ///
    /// # Errors
    /// ENOMEM, if part of the range is not mapped; the rest is done. EINVAL, if it
    /// wraps; or if it may not be given up, as the kernel's own pages, or not be freed;
    /// what comes before is done.
    pub fn discard(
        &mut self,
        address: u64,
        length: u64,
        free: bool,
        locked: bool,
    ) -> Result<(), Errno> {
        let (start, end) = pages(address, length, Errno::EINVAL)?;
        let mut at = start;
        while let Some(vma) = self.vmas.find_from(at).filter(|vma| vma.start < end) {
            let (first, last) = (vma.start.max(start), vma.end.min(end));
            at = vma.end;
            if !locked && vma.marks().has(Marks::LOCKED) {
                return Err(Errno::EINVAL);
            }
            match vma.backing {
                Backing::Anonymous | Backing::Heap | Backing::Stack => {
                    self.release_pages(first, last);
                }
                // Linux: VM_PFNMAP.
                Backing::Vvar => return Err(Errno::EINVAL),
                _ if free => return Err(Errno::EINVAL),
                Backing::Private(_) => self.release_pages(first, last),
                Backing::Shared(_) | Backing::Image | Backing::Vdso => {}
            }
        }
        if self.vmas.is_covered(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Whether all of a range is mapped; for madvise(2) and msync(2).
    ///
    /// # Errors
    /// EINVAL or ENOMEM; `wraps`, if it ends beyond all addresses.
    pub fn check_mapped(&self, address: u64, length: u64, wraps: Errno) -> Result<(), Errno> {
        let (start, end) = pages(address, length, wraps)?;
        if self.vmas.is_covered(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }
}

/// The pages of a range that may end anywhere; `address` must be on a page.
pub(super) fn pages(address: u64, length: u64, wraps: Errno) -> Result<(u64, u64), Errno> {
    if !address.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(length).and_then(|length| address.checked_add(length)).ok_or(wraps)?;
    Ok((address, end))
}
