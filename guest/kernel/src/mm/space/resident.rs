//! Pages that are there, and those that are to be: mincore(2), mlock(2), `MAP_POPULATE`;
//! and pages of objects that are there no longer.

use super::object::object_at;
use super::{AddressSpace, FaultError};
use crate::mm::object::Object;
use crate::mm::vma::Prot;
use core::ops::Range;
use trapgate_abi::layout::{PAGE_SIZE, page_down};
use trapgate_abi::x86::pte;

impl AddressSpace {
    /// Whether the page of an address is in memory, mapped already or not; `None` where
    /// nothing is mapped.
    pub fn is_resident(&mut self, address: u64) -> Option<bool> {
        let vma = self.vmas.find(address)?;
        let of_object = object_at(vma, address);
        let at_hand = of_object.is_some_and(|(object, index)| object.lock().is_there(index));
        Some(at_hand || self.tables.entry(page_down(address)) != 0)
    }

    /// For which access a page is touched so that it is there: for this one, or for
    /// whatever its mapping is for. One that may be written and is nobody else's is to get
    /// a frame of its own.
    ///
    /// # Errors
    /// Nothing is mapped there.
    pub fn access_of_touch(&self, address: u64, access: Option<Prot>) -> Result<Prot, FaultError> {
        let vma = self.vmas.find(address).ok_or(FaultError::NotMapped)?;
        let own = vma.prot().allows(Prot::WRITE) && !vma.backing.is_shared();
        Ok(access.unwrap_or(if own { Prot::WRITE } else { Prot::READ }))
    }

    /// Where a range of mapped addresses ends that begins at `start`: at `end`, at the
    /// latest.
    pub fn mapped_until(&self, start: u64, end: u64) -> u64 {
        let mut at = start;
        while at < end
            && let Some(vma) = self.vmas.find(at)
        {
            at = vma.end.min(end);
        }
        at
    }

    /// Whether it has an object mapped such that it could be written, or made so.
    pub fn may_write(&self, object: &Object) -> bool {
        let mut at = 0;
        while let Some(vma) = self.vmas.find_from(at) {
            let part =
                vma.backing.part().filter(|part| core::ptr::eq(&*part.mapped.object, object));
            if vma.backing.is_shared() && part.is_some_and(|part| part.mapped.may_write) {
                return true;
            }
            at = vma.end;
        }
        false
    }

    /// Takes these pages of an object out of all mappings of it: the object is about to
    /// have none there. What private mappings have written themselves stays.
    pub fn forget(&mut self, object: &Object, pages: Range<u64>) {
        let mut at = 0;
        while let Some(vma) = self.vmas.find_from(at) {
            at = vma.end;
            let (start, count) = (vma.start, (vma.end - vma.start) / PAGE_SIZE);
            let shared = vma.backing.is_shared();
            let Some((_, index)) =
                object_at(vma, start).filter(|(mapped, _)| core::ptr::eq(*mapped, object))
            else {
                continue;
            };
            let address = |page: u64| start + (page - index) * PAGE_SIZE;
            let (first, last) = (pages.start.max(index), pages.end.min(index + count));
            if first < last && shared {
                self.release_pages(address(first), address(last));
                continue;
            }
            for page in first..last {
                let (at, frame) = (address(page), object.lock().frame(page));
                if frame != 0 && self.tables.entry(at) & pte::ADDRESS == frame {
                    self.release_pages(at, at + PAGE_SIZE);
                }
            }
        }
    }
}
