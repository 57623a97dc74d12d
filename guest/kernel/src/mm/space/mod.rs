//! The program's address space: mappings, the page tables behind them, and what
//! happens on a page fault. The calls are in the files beside this one.
//!
//! `sys::mm` calls it for the memory calls, `fault` for page faults,
//! `fs::transfer` to find the frames behind user addresses.

pub mod bounds;
mod brk;
mod cow;
mod fork;
mod grow;
pub mod map;
mod marks;
mod object;
mod populate;
mod program;
pub mod remap;
pub mod resident;
pub mod usage;

use crate::mm::backing::{Backing, Mapped};
use crate::mm::frames::{Batch, FRAMES};
use crate::mm::vma::{Marks, Prot, Vma, VmaMap};
use alloc::sync::Arc;
use bounds::Bounds;
use trapgate_abi::boot_info::{
    BootInfo, REGION_STACK, REGION_VDSO, REGION_VVAR, REGION_ZERO, Range, feature,
};
use trapgate_abi::hypercall::Segment;
use trapgate_abi::layout::{PAGE_SIZE, USER_END, USER_END32, USER_STACK_SIZE, page_down, page_up};
use trapgate_abi::x86::pte;
use trapgate_arch::cpu;
use trapgate_arch::paging::{COPY_ON_WRITE, COUNTED, Cr3, FrameSource, NO_ACCESS, PageTables};
use trapgate_arch::paging::{USER_HALF_END, flush_range};
use trapgate_uapi::Errno;

/// Pages mapped at once on a fault, a power of two, where memory is plenty: a
/// fault costs as much as dozens of entries.
const FAULT_AROUND: u64 = 16;
/// The same where ring 0 is interpreted, and a fault costs 0.2 ms.
const FAULT_AROUND_INTERPRETED: u64 = 64;

/// Frames that a fault, or a new mapping, may take at most: its pages, and their
/// tables.
pub const FRAMES_AT_ONCE: u64 = FAULT_AROUND_INTERPRETED + 6;

/// Why an access has no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// Nothing is mapped there: `SEGV_MAPERR`.
    NotMapped,
    /// It is mapped, but not for this access: `SEGV_ACCERR`.
    Access,
    /// It is mapped, but the object has no such page, or cannot read it: SIGBUS.
    Beyond,
    /// There is no frame left.
    OutOfMemory,
    /// The object's page has to be brought first, with nothing locked: `fault::fetch`.
    Absent,
}

/// One program's memory.
pub struct AddressSpace {
    vmas: VmaMap,
    tables: PageTables,
    brk_start: u64,
    brk: u64,
    /// The end of its addresses, which depends on the width of the program.
    end: u64,
    /// The end of where mappings without a place of their own go.
    mmap_top: u64,
    ahead: u64,
    /// Ring 0 is interpreted: a fault is so dear that pages are mapped before they
    /// are touched, and for writing when they are only read.
    eager: bool,
    ram: u64,
    /// What new mappings are marked with: mlockall(2) `MCL_FUTURE`.
    future: Marks,
    /// To how many bytes a mapping may grow down: the soft `RLIMIT_STACK`.
    growth: u64,
    /// How much may be mapped.
    bounds: Bounds,
    /// A file of which a shared mapping has become writable, since the last time that
    /// somebody asked.
    stored: Option<Arc<Mapped>>,
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

/// An entry for the same page with another access.
const fn with_access(entry: u64, prot: Prot) -> u64 {
    let page = entry & (pte::ADDRESS | COUNTED | COPY_ON_WRITE);
    if entry & COPY_ON_WRITE != 0 {
        page | flags(prot) & !(pte::W | pte::D)
    } else {
        page | flags(prot)
    }
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
        let mut vmas = VmaMap::default();
        // They are in ascending order.
        let mut reached = 0;
        for region in &boot.regions[..boot.region_count as usize] {
            const KINDS: u64 = REGION_STACK | REGION_VVAR | REGION_VDSO | REGION_ZERO;
            let backing = match region.flags & KINDS {
                REGION_STACK => Backing::Stack,
                REGION_ZERO => Backing::Anonymous,
                REGION_VVAR => Backing::Vvar,
                REGION_VDSO => Backing::Vdso,
                _ => Backing::Image,
            };
            let Range { start, end } = Range { start: region.start, end: region.end };
            assert!(reached <= start && start <= end, "the VMM's regions overlap");
            reached = end;
            let prot = Prot::from_bits(region.flags & 7).unwrap_or(Prot::NONE);
            vmas.insert(Vma { start, end, attributes: prot.into(), backing })?;
        }
        let eager = boot.features & feature::INTERPRETED != 0;
        Ok(AddressSpace {
            vmas,
            tables,
            brk_start: boot.brk,
            brk: boot.brk,
            end: if boot.compat != 0 { USER_END32 } else { USER_END },
            mmap_top: u64::MAX,
            ahead: if eager { FAULT_AROUND_INTERPRETED } else { FAULT_AROUND },
            eager,
            ram: boot.ram_size,
            future: Marks::NONE,
            growth: USER_STACK_SIZE,
            bounds: Bounds::NONE,
            stored: None,
        })
    }

    /// The physical address of its top page table, for CR3.
    pub const fn page_table(&self) -> u64 {
        self.tables.root()
    }

    /// The same, for the threads that run in it.
    pub const fn cr3(&self) -> Cr3 {
        self.tables.cr3()
    }

    /// The same for a page that may be accessible already.
    ///
    /// # Errors
    /// [`FaultError`], if there is no such page.
    pub fn fetch(&mut self, address: u64, access: Prot) -> Result<(), FaultError> {
        if permits(self.tables.entry(page_down(address)), access) {
            return Ok(());
        }
        self.fault(address, access).map(drop)
    }

    /// Makes the page of `address` accessible, if its mapping allows that.
    ///
    /// # Errors
    /// [`FaultError`], if there is no such page.
    pub fn fault(&mut self, address: u64, access: Prot) -> Result<u64, FaultError> {
        let Some(vma) = self.vmas.find(address) else {
            return self.grow(address, access);
        };
        let prot = vma.prot();
        if !prot_permits(prot, access) {
            return Err(FaultError::Access);
        }
        let page = page_down(address);
        let entry = self.tables.entry(page);
        if permits(entry, access) {
            // The tables allow it already: the TLB had an older entry.
            flush_range(page, page + PAGE_SIZE);
            return Ok(entry);
        }
        if vma.backing.part().is_some() {
            let vma = vma.clone();
            return self.fault_in_object(&vma, page, entry, access);
        }
        if entry != 0 && entry & pte::ADDRESS != FRAMES.lock().zero_page() {
            return self.open_up(page, entry, prot);
        }
        let window = FRAMES.lock().ahead(self.ahead) * PAGE_SIZE;
        let block = page & !(window - 1);
        let (first, last) = (block.max(vma.start), (block + window).min(vma.end));
        if access == Prot::WRITE || self.eager {
            self.populate(first, last, prot);
        } else {
            self.populate_zero(first, last, prot);
        }
        let entry = self.tables.entry(page);
        if permits(entry, access) { Ok(entry) } else { Err(FaultError::OutOfMemory) }
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

    /// Gives back the pages of `start..end`.
    fn release_pages(&mut self, start: u64, end: u64) {
        let frames = &mut *FRAMES.lock();
        let (mut batch, zero_page, mut present) = (Batch::default(), frames.zero_page(), 0);
        self.tables.for_each_part(start, end, |entries| {
            for entry in entries {
                let (old, frame) = (*entry, *entry & pte::ADDRESS);
                if old == 0 {
                    continue;
                }
                *entry = 0;
                present |= old;
                if old & COUNTED != 0 && frames.owners().remove(frame) {
                    continue;
                }
                if old & COUNTED == 0 || frame != zero_page && frames.disown(frame) {
                    batch.free(frame, frames);
                }
            }
        });
        batch.end_run(frames);
        if present & pte::P != 0 {
            flush_range(start, end);
        }
    }

    /// Gives back what is behind `start..end`, the pages and tables that are not needed
    /// now; nothing is mapped in `around` it.
    fn release(&mut self, start: u64, end: u64, around: [u64; 2]) {
        self.release_pages(start, end);
        self.prune(start, end, around);
    }

    /// Gives back tables of `start..end`; the same holds.
    fn prune(&mut self, start: u64, end: u64, around: [u64; 2]) {
        let mut pruned = false;
        self.tables.prune([start, end], around, &mut |table| {
            // All of its entries are gone.
            FRAMES.lock().give_back(Range { start: table, end: table + PAGE_SIZE });
            pruned = true;
        });
        if pruned {
            cpu::flush_tlb();
        }
    }

    /// The pages of `address..address + length`, all of them the user's; `address` must
    /// be on a page.
    fn user_range(&self, address: u64, length: u64) -> Result<(u64, u64), Errno> {
        let length = page_up(length).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(length).filter(|&end| end <= self.end);
        match end {
            Some(end) if address.is_multiple_of(PAGE_SIZE) => Ok((address, end)),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        assert!(!self.tables.is_loaded(), "an address space ends while the CPU uses it");
        self.release_pages(0, USER_HALF_END);
        let frames = &mut *FRAMES.lock();
        let whole = [0, USER_HALF_END];
        self.tables.prune(whole, whole, &mut |table| {
            frames.give_back(Range { start: table, end: table + PAGE_SIZE });
        });
        frames.give_up(self.tables.top());
    }
}

#[cfg(test)]
impl AddressSpace {
    /// What is mapped, for tests to compare.
    pub(crate) fn mappings(&self) -> Vec<String> {
        self.vmas.within(0, u64::MAX).map(|vma| format!("{vma:x?}")).collect()
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
