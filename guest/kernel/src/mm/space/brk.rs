//! The program's heap: brk(2).

use crate::mm::space::AddressSpace;
use crate::mm::vma::{Kind, Prot, Vma};
use trapgate_abi::layout::page_up;

impl AddressSpace {
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
}
