//! The program's address space: mappings, the page tables behind them, and what
//! happens on a page fault. The calls are in the files beside this one.
//!
//! `sys::mm` calls it for the memory calls, `fault` for page faults,
//! `fs::transfer` to find the frames behind user addresses.

mod brk;
pub mod map;
pub mod remap;

use crate::mm::frames::{Batch, FRAMES};
use crate::mm::vma::{Kind, Prot, Vma, VmaMap};
use trapgate_abi::boot_info::{BootInfo, REGION_STACK, REGION_VVAR, feature};
use trapgate_abi::hypercall::Segment;
use trapgate_abi::layout::{PAGE_SIZE, USER_END, USER_END32, page_down, page_up};
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
        self.prune(start, end, &mut batch);
    }

    /// Gives back tables of `start..end` in whose range nothing is mapped.
    fn prune(&mut self, start: u64, end: u64, batch: &mut Batch) {
        let (vmas, mut pruned) = (&self.vmas, false);
        self.tables.prune(start, end, &|start, end| vmas.is_free(start, end), &mut |table| {
            batch.free(table);
            pruned = true;
        });
        if pruned {
            cpu::flush_tlb();
        }
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
impl AddressSpace {
    /// What is mapped, for tests to compare.
    pub(crate) fn mappings(&self) -> Vec<String> {
        let mut at = 0;
        let next = || {
            let (start, vma) = self.vmas.find_from(at)?;
            at = vma.end;
            Some(format!("{start:#x}: {vma:x?}"))
        };
        std::iter::from_fn(next).collect()
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
