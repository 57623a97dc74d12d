//! The program's heap: brk(2).

use crate::mm::backing::Backing;
use crate::mm::space::AddressSpace;
use crate::mm::vma::{Attributes, Prot, Vma};
use trapgate_abi::layout::{PAGE_SIZE, page_up};

impl AddressSpace {
    /// brk(2): sets the heap's end to `address` if it can, and answers where
    /// it is.
    #[inline]
    pub fn set_brk(&mut self, address: u64) -> u64 {
        // Most calls only ask, with an address before the heap, and shall not
        // pay for what moves the end.
        if address >= self.brk_start && self.move_brk(address).is_some() {
            self.brk = address;
        }
        self.brk
    }

    /// Maps or unmaps what is between the heap's end and `address`, if it can.
    fn move_brk(&mut self, address: u64) -> Option<()> {
        let (old_end, new_end) = (page_up(self.brk)?, page_up(address)?);
        if new_end > self.end {
            return None;
        }
        if new_end > old_end {
            if new_end - old_end > self.ram || !self.vmas.is_free(old_end, new_end) {
                return None;
            }
            let attributes = Attributes::new(Prot::READ.with(Prot::WRITE), self.future);
            let (start, end) = (old_end, new_end);
            let heap = Vma { start, end, attributes, backing: Backing::Heap };
            let pages = (end - start) / PAGE_SIZE;
            if !self.heap_may_end(address) || !self.may_expand(&heap, pages, (start, end)) {
                return None;
            }
            self.vmas.insert(heap).ok()?;
            self.populate_ahead(start, end);
        } else if new_end < old_end {
            let around = self.vmas.remove(new_end, old_end).ok()?;
            self.release(new_end, old_end, around);
        }
        Some(())
    }
}
