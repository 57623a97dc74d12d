//! What a program's mappings take: proc(5) tells of it.

use super::AddressSpace;
use crate::mm::backing::Backing;
use crate::mm::frames::FRAMES;
use crate::mm::vma::{Prot, Vma};
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::x86::pte;
use trapgate_arch::paging::COUNTED;

/// Pages of mappings that are there, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// The mapping's own.
    pub anonymous: u64,
    /// A file's.
    pub file: u64,
    /// Shared memory's that no file has.
    pub shared_memory: u64,
    /// Those of all three that are mapped once more.
    pub shared: u64,
    /// Those of the shared that can be written.
    pub shared_dirty: u64,
    /// Those of a file that can be written by all who map it, but nobody else does.
    pub private_dirty_file: u64,
    /// Bytes, each page divided by how often it is mapped.
    pub proportional: u64,
}

impl Resident {
    /// All pages.
    pub const fn pages(&self) -> u64 {
        self.anonymous + self.file + self.shared_memory
    }

    /// Both.
    pub const fn with(self, other: Resident) -> Resident {
        Resident {
            anonymous: self.anonymous + other.anonymous,
            file: self.file + other.file,
            shared_memory: self.shared_memory + other.shared_memory,
            shared: self.shared + other.shared,
            shared_dirty: self.shared_dirty + other.shared_dirty,
            private_dirty_file: self.private_dirty_file + other.private_dirty_file,
            proportional: self.proportional + other.proportional,
        }
    }
}

/// What all mappings take, in pages (Linux: the counters of `mm_struct`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Mapped addresses.
    pub size: u64,
    /// Of these, what is private and can be written, but for the stack.
    pub data: u64,
    /// The stack.
    pub stack: u64,
    /// What can be executed and not written.
    pub code: u64,
    /// What is there.
    pub resident: Resident,
    /// Page tables that map something.
    pub tables: u64,
}

impl AddressSpace {
    /// The mapping at an address, or the next above.
    pub fn area_from(&self, address: u64) -> Option<&Vma> {
        self.vmas.find_from(address)
    }

    /// The heap, from where it starts to where brk(2) has its end.
    pub const fn heap(&self) -> Range {
        Range { start: self.brk_start, end: self.brk }
    }

    /// Bytes of memory that there are for all.
    pub const fn ram(&self) -> u64 {
        self.ram
    }

    /// What is there of a mapping.
    pub fn resident(&mut self, vma: &Vma) -> Resident {
        let mut tables = Tables::default();
        self.resident_with(vma, &mut tables)
    }

    /// What all of them take.
    pub fn usage(&mut self) -> Usage {
        let (mut usage, mut tables) = (Usage::default(), Tables::default());
        let mut at = 0;
        while let Some(vma) = self.vmas.find_from(at).cloned() {
            at = vma.end;
            let pages = (vma.end - vma.start) / PAGE_SIZE;
            let (writes, executes) =
                (vma.prot().allows(Prot::WRITE), vma.prot().allows(Prot::EXEC));
            usage.size += pages;
            match vma.backing {
                Backing::Stack => usage.stack += pages,
                _ if executes && !writes => usage.code += pages,
                _ if writes && !vma.backing.is_shared() => usage.data += pages,
                _ => {}
            }
            usage.resident = usage.resident.with(self.resident_with(&vma, &mut tables));
        }
        usage.tables = tables.count;
        usage
    }

    fn resident_with(&mut self, vma: &Vma, tables: &mut Tables) -> Resident {
        let frames = FRAMES.lock();
        let mut resident = Resident::default();
        self.tables.for_each(vma.start, vma.end, |address, entry| {
            let (entry, frame) = (*entry, *entry & pte::ADDRESS);
            if entry == 0 {
                return;
            }
            tables.has(address);
            if frame == frames.zero_page() {
                return;
            }
            let is_objects = entry & COUNTED != 0;
            let of_file = match &vma.backing {
                Backing::Shared(part) => {
                    let is_file = part.mapped.file.is_some();
                    let kind =
                        if is_file { &mut resident.file } else { &mut resident.shared_memory };
                    *kind += 1;
                    is_file
                }
                Backing::Private(_) | Backing::Vdso if is_objects => {
                    resident.file += 1;
                    true
                }
                _ => {
                    resident.anonymous += 1;
                    false
                }
            };
            // An object is an owner, too, and no mapping.
            let of_object = of_file || vma.backing.is_shared();
            let mappings = (frames.further_owners(frame) + u64::from(!of_object)).max(1);
            let is_dirty = entry & pte::W != 0;
            resident.shared += u64::from(mappings > 1);
            resident.shared_dirty += u64::from(mappings > 1 && is_dirty);
            resident.private_dirty_file += u64::from(mappings == 1 && is_dirty && of_object);
            resident.proportional += PAGE_SIZE / mappings;
        });
        resident
    }
}

/// Counts the tables above entries that come in ascending order.
#[derive(Default)]
struct Tables {
    count: u64,
    /// Which of each level was the last, and one.
    last: [u64; 3],
}

impl Tables {
    fn has(&mut self, address: u64) {
        for (level, last) in self.last.iter_mut().enumerate() {
            let table = (address >> (21 + 9 * level)) + 1;
            self.count += u64::from(*last != table);
            *last = table;
        }
        // The top one.
        self.count = self.count.max(4);
    }
}
