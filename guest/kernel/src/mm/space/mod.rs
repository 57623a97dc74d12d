//! The program's address space: mappings, the page tables behind them, the
//! heap's end, and what happens on a page fault.
//!
//! `sys::mm` calls it for the memory calls, `fault` for page faults,
//! `fs::transfer` to find the frames behind user addresses.

use super::frames::{Batch, FRAMES};
use super::vma::{Kind, Prot, Vma, VmaMap};
use trapgate_abi::boot_info::{BootInfo, REGION_STACK, REGION_VVAR, feature};
use trapgate_abi::hypercall::Segment;
use trapgate_abi::layout::{
    LARGE_PAGE_SIZE, MMAP_BASE, PAGE_SIZE, USER_END, USER_END32, USER_MIN, page_down, page_up,
};
use trapgate_abi::x86::pte;
use trapgate_arch::paging::{NO_ACCESS, PageTables, flush_range};
use trapgate_arch::{cpu, percpu};
use trapgate_uapi::Errno;

/// Pages mapped at once on a fault, a power of two, where memory is plenty: a
/// fault costs as much as dozens of entries.
const FAULT_AROUND: u64 = 16;
/// The same where ring 0 is interpreted, and a fault costs 0.2 ms.
const FAULT_AROUND_INTERPRETED: u64 = 64;

/// Room for mappings at the start: what a simple program has in the end.
const USUAL_MAPPINGS: usize = 16;

/// Why an access has no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// Nothing is mapped there: `SEGV_MAPERR`.
    NotMapped,
    /// It is mapped, but not for this access: `SEGV_ACCERR`.
    Access,
    /// There is no frame left.
    OutOfMemory,
}

/// The addresses from which a mapping without a place of its own gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    low: u64,
    high: u64,
}

impl Window {
    /// Of a 64-bit call.
    pub const NATIVE: Window = Window { low: USER_MIN, high: MMAP_BASE };
    /// Of a 64-bit call with `MAP_32BIT`.
    pub const LOW: Window = Window { low: 0x4000_0000, high: 0x8000_0000 };
    /// Of an i386 call, from whatever program: below 4 GiB and a 32-bit
    /// program's stack (Linux: `mmap_compat_base`, less the random part).
    pub const COMPAT: Window = Window { low: USER_MIN, high: 0xf7ff_e000 };
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
}

/// Where mremap(2) may move a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nowhere.
    Never,
    /// To this address, over whatever is there.
    To(u64),
    /// To wherever there is room.
    Within(Window),
}

/// One program's memory.
pub struct AddressSpace {
    vmas: VmaMap,
    tables: PageTables,
    brk_start: u64,
    brk: u64,
    /// The end of its addresses, which depends on the width of the program.
    end: u64,
    ahead: u64,
    ram: u64,
}

/// What a page of a mapping with this access gets in its table. On x86 what
/// can be written or executed can be read. Accessed and dirty are set ahead,
/// so that the CPU need not come back to do it.
const fn flags(prot: Prot) -> u64 {
    if prot.allows(Prot::WRITE) {
        pte::P | pte::U | pte::A | pte::W | pte::D | no_execute(prot)
    } else if prot.allows(Prot::READ) || prot.allows(Prot::EXEC) {
        pte::P | pte::U | pte::A | no_execute(prot)
    } else {
        NO_ACCESS
    }
}

const fn no_execute(prot: Prot) -> u64 {
    if prot.allows(Prot::EXEC) { 0 } else { pte::NX }
}

/// Whether a page with these flags allows the access.
const fn permits(entry: u64, access: Prot) -> bool {
    entry & pte::P != 0
        && (!access.allows(Prot::WRITE) || entry & pte::W != 0)
        && (!access.allows(Prot::EXEC) || entry & pte::NX == 0)
}

/// Whether `prot` allows `access`, reading being part of all but none.
const fn prot_permits(prot: Prot, access: Prot) -> bool {
    permits(flags(prot), access)
}

impl AddressSpace {
    /// The address space that the VMM has built, with these tables.
    ///
    /// # Errors
    /// ENOMEM, if the regions do not fit: never, with what the VMM sends.
    pub fn from_boot_info(boot: &BootInfo, tables: PageTables) -> Result<Self, Errno> {
        let mut vmas = VmaMap::with_capacity(USUAL_MAPPINGS);
        for region in &boot.regions[..boot.region_count as usize] {
            let kind = match region.flags & (REGION_STACK | REGION_VVAR) {
                REGION_STACK => Kind::Stack,
                REGION_VVAR => Kind::Vvar,
                _ => Kind::Image,
            };
            assert!(vmas.is_free(region.start, region.end), "the VMM's regions overlap");
            let prot = Prot::from_bits(region.flags & 7).unwrap_or(Prot::NONE);
            vmas.insert(region.start, Vma { end: region.end, prot, kind })?;
        }
        let interpreted = boot.features & feature::INTERPRETED != 0;
        Ok(AddressSpace {
            vmas,
            tables,
            brk_start: boot.brk,
            brk: boot.brk,
            end: if boot.compat != 0 { USER_END32 } else { USER_END },
            ahead: if interpreted { FAULT_AROUND_INTERPRETED } else { FAULT_AROUND },
            ram: boot.ram_size,
        })
    }

    /// Maps the missing pages of `start..end`, as far as there are frames.
    fn populate(&mut self, start: u64, end: u64, prot: Prot) {
        let mapped = self.tables.map_missing(start, end, flags(prot), &mut *FRAMES.lock());
        percpu::count!(pages_mapped, mapped);
    }

    /// Maps the first pages of a new mapping, which will surely be touched.
    fn populate_ahead(&mut self, start: u64, end: u64, prot: Prot) {
        let ahead = FRAMES.lock().ahead(self.ahead);
        if prot_permits(prot, Prot::READ) && ahead > 1 {
            self.populate(start, end.min(start + ahead * PAGE_SIZE), prot);
        }
    }

    /// Makes the page of `address` accessible, if its mapping allows that.
    ///
    /// # Errors
    /// [`FaultError`], if there is no such page.
    pub fn fault(&mut self, address: u64, access: Prot) -> Result<u64, FaultError> {
        let (start, vma) = self.vmas.find(address).ok_or(FaultError::NotMapped)?;
        if !prot_permits(vma.prot, access) {
            return Err(FaultError::Access);
        }
        let page = page_down(address);
        let entry = self.tables.entry(page);
        if permits(entry, access) {
            // The tables allow it already: the TLB had an older entry.
            flush_range(page, page + PAGE_SIZE);
            return Ok(entry);
        }
        let window = FRAMES.lock().ahead(self.ahead) * PAGE_SIZE;
        let first = (page & !(window - 1)).max(start);
        let last = ((page & !(window - 1)) + window).min(vma.end);
        self.populate(first, last, vma.prot);
        let entry = self.tables.entry(page);
        if entry == 0 {
            return Err(FaultError::OutOfMemory);
        }
        if !permits(entry, access) {
            // The tables were behind the mapping: better late than for ever.
            self.tables.replace(page, entry & pte::ADDRESS | flags(vma.prot));
            flush_range(page, page + PAGE_SIZE);
        }
        Ok(self.tables.entry(page))
    }

    /// The memory behind user addresses, page by page, as far as it allows
    /// the access: calls `take` with each piece until that answers false.
    /// Returns how many bytes were taken.
    pub fn pieces(
        &mut self,
        address: u64,
        length: u64,
        access: Prot,
        mut take: impl FnMut(Segment) -> bool,
    ) -> u64 {
        let mut done = 0;
        while done < length {
            let at = address + done;
            let mut entry = self.tables.entry(page_down(at));
            if !permits(entry, access) {
                match self.fault(at, access) {
                    Ok(now) => entry = now,
                    Err(_) => break,
                }
            }
            let offset = at % PAGE_SIZE;
            let piece = (PAGE_SIZE - offset).min(length - done);
            if !take(Segment { address: (entry & pte::ADDRESS) + offset, length: piece }) {
                break;
            }
            done += piece;
        }
        done
    }

    /// Gives back the frames behind `start..end`, and tables that are not
    /// needed any more.
    fn release(&mut self, start: u64, end: u64) {
        let mut batch = Batch::default();
        self.tables.for_each(start, end, &mut |_, entry| {
            batch.free(*entry & pte::ADDRESS);
            *entry = 0;
        });
        flush_range(start, end);
        let (vmas, mut pruned) = (&self.vmas, false);
        self.tables.prune(start, end, &|start, end| vmas.is_free(start, end), &mut |table| {
            batch.free(table);
            pruned = true;
        });
        if pruned {
            cpu::flush_tlb();
        }
    }

    /// mmap(2) without a file, at `address` if `place` fixes that or there is
    /// room.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn map(
        &mut self,
        address: u64,
        length: u64,
        prot: Prot,
        place: Place,
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
        let start = if place.fixed {
            if !address.is_multiple_of(PAGE_SIZE) {
                return Err(Errno::EINVAL);
            }
            let end = address.checked_add(length).filter(|&end| end <= self.end);
            let end = end.ok_or(Errno::ENOMEM)?;
            if address < USER_MIN {
                return Err(Errno::EPERM);
            }
            if !self.vmas.is_free(address, end) {
                if !place.replace {
                    return Err(Errno::EEXIST);
                }
                self.unmap(address, length)?;
            }
            address
        } else {
            self.place(address, length, place.window)?
        };
        let kind = if place.shared { Kind::Shared } else { Kind::Anonymous };
        self.vmas.insert(start, Vma { end: start + length, prot, kind })?;
        self.populate_ahead(start, start + length, prot);
        Ok(start)
    }

    /// Where a mapping of `length` bytes goes: at the hint, if that is free.
    fn place(&self, hint: u64, length: u64, window: Window) -> Result<u64, Errno> {
        let hint = page_down(hint);
        let end = hint.checked_add(length).filter(|&end| end <= self.end);
        if let Some(end) = end
            && hint >= window.low
            && (end <= window.high || window.high == MMAP_BASE)
            && self.vmas.is_free(hint, end)
        {
            return Ok(hint);
        }
        self.vmas.find_gap(window.low, window.high, length).ok_or(Errno::ENOMEM)
    }

    /// munmap(2).
    ///
    /// # Errors
    /// Those of munmap(2).
    pub fn unmap(&mut self, address: u64, length: u64) -> Result<(), Errno> {
        let (start, end) = self.user_range(address, length, Errno::EINVAL)?;
        if start == end {
            return Err(Errno::EINVAL);
        }
        self.vmas.remove(start, end)?;
        self.release(start, end);
        Ok(())
    }

    /// mprotect(2).
    ///
    /// # Errors
    /// Those of mprotect(2).
    pub fn protect(&mut self, address: u64, length: u64, prot: Prot) -> Result<(), Errno> {
        let (start, end) = self.user_range(address, length, Errno::ENOMEM)?;
        if !self.vmas.is_covered(start, end) {
            return Err(Errno::ENOMEM);
        }
        // Linux: VM_MAYWRITE and VM_MAYEXEC are clear there.
        let more_than_read = prot.allows(Prot::WRITE) || prot.allows(Prot::EXEC);
        if more_than_read && self.vmas.any(start, end, Kind::Vvar) {
            return Err(Errno::EACCES);
        }
        self.vmas.protect(start, end, prot)?;
        self.tables.for_each(start, end, &mut |_, entry| {
            *entry = *entry & pte::ADDRESS | flags(prot);
        });
        flush_range(start, end);
        Ok(())
    }

    /// mremap(2).
    ///
    /// # Errors
    /// Those of mremap(2).
    pub fn remap(
        &mut self,
        address: u64,
        old_length: u64,
        new_length: u64,
        to: Move,
    ) -> Result<u64, Errno> {
        if !address.is_multiple_of(PAGE_SIZE) || new_length == 0 {
            return Err(Errno::EINVAL);
        }
        let old_length = page_up(old_length).ok_or(Errno::EINVAL)?;
        let new_length =
            page_up(new_length).filter(|&length| length <= self.end).ok_or(Errno::EINVAL)?;
        let (_, vma) = self.vmas.find(address).ok_or(Errno::EFAULT)?;
        let old_end = address.checked_add(old_length).ok_or(Errno::EINVAL)?;
        if old_length == 0 {
            // A second mapping of the same pages: only for shared memory.
            return Err(Errno::EINVAL);
        }
        if let Move::To(to) = to {
            let end = to.checked_add(new_length).filter(|&end| end <= self.end);
            let end = end.ok_or(Errno::EINVAL)?;
            let overlap = to < old_end && address < end;
            if to % PAGE_SIZE != 0 || overlap {
                return Err(Errno::EINVAL);
            }
            if to < USER_MIN {
                return Err(Errno::EPERM);
            }
        } else if new_length <= old_length {
            if new_length < old_length {
                self.unmap(address + new_length, old_length - new_length)?;
            }
            return Ok(address);
        }
        if old_end > vma.end {
            return Err(Errno::EFAULT);
        }
        let wanted = address.checked_add(new_length).filter(|&end| end <= self.end);
        if !matches!(to, Move::To(_))
            && let Some(end) = wanted
            && self.vmas.is_free(old_end, end)
        {
            self.vmas.insert(old_end, Vma { end, ..vma })?;
            self.populate_ahead(old_end, end, vma.prot);
            return Ok(address);
        }
        let target = match to {
            Move::Never => return Err(Errno::ENOMEM),
            Move::To(to) => {
                if !self.vmas.is_free(to, to + new_length) {
                    self.unmap(to, new_length)?;
                }
                to
            }
            Move::Within(Window { low, high }) => {
                self.vmas.find_gap(low, high, new_length).ok_or(Errno::ENOMEM)?
            }
        };
        let kept = old_length.min(new_length);
        self.prepare_move(address, target, kept)?;
        self.vmas.insert(target, Vma { end: target + new_length, ..vma })?;
        self.vmas.remove(address, old_end)?;
        self.move_pages(address, target, kept, vma.prot);
        if kept < old_length {
            self.release(address + kept, old_end);
        }
        Ok(target)
    }

    /// Makes the tables at `to` for what there is in `length` bytes at `from`:
    /// a mapping may be far larger than what was touched of it.
    fn prepare_move(&mut self, from: u64, to: u64, length: u64) -> Result<(), Errno> {
        let end = from + length;
        let mut at = from;
        while let Some((page, _)) = self.tables.first_entry(at, end) {
            // All pages that share this one's table, on either side.
            at = ((page & !(LARGE_PAGE_SIZE - 1)) + LARGE_PAGE_SIZE).min(end);
            let (first, last) = (to + (page - from), to + (at - from));
            if !self.tables.prepare(first, last, &mut *FRAMES.lock()) {
                return Err(Errno::ENOMEM);
            }
        }
        Ok(())
    }

    /// Moves the frames of `length` bytes at `from` to `to`, where tables are
    /// ready.
    fn move_pages(&mut self, from: u64, to: u64, length: u64, prot: Prot) {
        let mut at = from;
        while let Some((page, entry)) = self.tables.first_entry(at, from + length) {
            self.tables.replace(page, 0);
            self.tables.replace(to + (page - from), entry & pte::ADDRESS | flags(prot));
            at = page + PAGE_SIZE;
        }
        flush_range(from, from + length);
    }

    /// brk(2): sets the heap's end to `address` if it can, and answers where
    /// it is.
    pub fn set_brk(&mut self, address: u64) -> u64 {
        let (Some(old_end), Some(new_end)) = (page_up(self.brk), page_up(address)) else {
            return self.brk;
        };
        if address < self.brk_start || new_end > self.end {
            return self.brk;
        }
        if new_end > old_end {
            let vma = Vma { end: new_end, prot: Prot::READ.with(Prot::WRITE), kind: Kind::Heap };
            let fits = new_end - old_end <= self.ram;
            if !fits
                || !self.vmas.is_free(old_end, new_end)
                || self.vmas.insert(old_end, vma).is_err()
            {
                return self.brk;
            }
            self.populate_ahead(old_end, new_end, vma.prot);
        } else if new_end < old_end {
            if self.vmas.remove(new_end, old_end).is_err() {
                return self.brk;
            }
            self.release(new_end, old_end);
        }
        self.brk = address;
        address
    }

    /// madvise(2) `MADV_DONTNEED`: the pages read as zeroes next time.
    ///
    /// # Errors
    /// ENOMEM, if part of the range is not mapped; the rest is done.
    pub fn discard(&mut self, address: u64, length: u64) -> Result<(), Errno> {
        let (start, end) = self.user_range(address, length, Errno::ENOMEM)?;
        let mut at = start;
        while let Some((first, vma)) = self.vmas.find_from(at).filter(|(first, _)| *first < end) {
            if !matches!(vma.kind, Kind::Shared | Kind::Image | Kind::Vvar) {
                self.release(first.max(start), vma.end.min(end));
            }
            at = vma.end;
        }
        if self.vmas.is_covered(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Whether all of a range is mapped; for madvise(2) and msync(2).
    ///
    /// # Errors
    /// EINVAL or ENOMEM.
    pub fn check_mapped(&self, address: u64, length: u64) -> Result<(), Errno> {
        let (start, end) = self.user_range(address, length, Errno::ENOMEM)?;
        if self.vmas.is_covered(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// The pages of `address..address + length`; `address` must be on a page.
    fn user_range(&self, address: u64, length: u64, beyond: Errno) -> Result<(u64, u64), Errno> {
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let length = page_up(length).ok_or(beyond)?;
        let end = address.checked_add(length).filter(|&end| end <= self.end).ok_or(beyond)?;
        Ok((address, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_flags_follow_the_access() {
        let rw = Prot::READ.with(Prot::WRITE);
        assert!(prot_permits(rw, Prot::WRITE) && prot_permits(rw, Prot::READ));
        assert!(!prot_permits(rw, Prot::EXEC));
        assert!(prot_permits(Prot::WRITE, Prot::READ), "x86 has no write-only pages");
        assert!(prot_permits(Prot::EXEC, Prot::READ) && prot_permits(Prot::EXEC, Prot::EXEC));
        for access in [Prot::READ, Prot::WRITE, Prot::EXEC] {
            assert!(!prot_permits(Prot::NONE, access));
        }
        assert_ne!(flags(Prot::NONE), 0, "a page without access still holds its frame");
    }
}
