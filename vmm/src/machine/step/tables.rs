//! Virtual addresses by the guest's page tables (Intel SDM vol. 3, 4.5.4).
//!
//! KVM_TRANSLATE does not do: it translates as ring 0 may read, so with SMAP
//! nothing of ring 3's. Called by [`super::Stepper`] and [`super::way`]. The
//! tables are the guest's claims: what is not RAM is nowhere.

use crate::machine::memory::GuestRam;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::x86::pte;

/// Where an address space begins: CR3.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    pub(super) cr3: u64,
}

impl Tables {
    /// The physical address; `None` if the page is not mapped.
    pub(super) fn physical(self, ram: &GuestRam, address: u64) -> Option<u64> {
        let mut table = self.cr3 & pte::ADDRESS;
        for shift in [39, 30, 21, 12] {
            let [entry] = ram.read_words(table + (address >> shift & 0x1ff) * 8).ok()?;
            if entry & pte::P == 0 {
                return None;
            }
            let within = (1 << shift) - 1;
            let is_page = shift == 12 || shift < 39 && entry & pte::PS != 0;
            if is_page {
                return Some(entry & pte::ADDRESS & !within | address & within);
            }
            table = entry & pte::ADDRESS;
        }
        None
    }

    /// A word, and where it is; `None` if it is not on one page of RAM.
    pub(super) fn word(self, ram: &GuestRam, address: u64) -> Option<(u64, u64)> {
        if address % PAGE_SIZE > PAGE_SIZE - 8 {
            return None;
        }
        let at = self.physical(ram, address)?;
        let [word] = ram.read_words(at).ok()?;
        Some((at, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_pages_are_found_and_nothing_else() {
        let ram = GuestRam::new(4 << 20).unwrap();
        for (at, entry) in [
            (0x1000, 0x2000 | pte::P | pte::NX),
            (0x2000 + 8, 0x3000 | pte::P),
            (0x3000 + 16, 0x20_0000 | pte::P | pte::PS),
            (0x3000 + 24, 0x4000 | pte::P),
            (0x4000 + 32, 0x5000 | pte::P | pte::U),
            (0x4000 + 40, 0x6000),
            (0x4000 + 48, 1 << 40 | pte::P),
        ] {
            ram.write_words(at, &[entry]).unwrap();
        }
        ram.write_words(0x5ff8, &[7]).unwrap();
        let tables = Tables { cr3: 0x1000 | 1 << 3 };
        let base = 1 << 30 | 3 << 21;
        assert_eq!(tables.physical(&ram, 1 << 30 | 2 << 21 | 0x12345), Some(0x21_2345));
        assert_eq!(tables.word(&ram, base | 4 << 12 | 0xff8), Some((0x5ff8, 7)));
        assert_eq!(tables.word(&ram, base | 4 << 12 | 0xff9), None, "on two pages");
        assert_eq!(tables.physical(&ram, base | 5 << 12), None, "not present");
        assert_eq!(tables.word(&ram, base | 6 << 12), None, "no RAM");
        assert_eq!(tables.physical(&ram, 0), None);
    }
}
