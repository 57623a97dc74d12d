//! A second address space with the same content: fork(2)'s memory.
//!
//! Leaf tables are copied; private pages lose the right to be written on both
//! sides, and each frame gets an owner more. Whoever writes first gets a copy
//! (`cow`), and who is left alone with a frame writes to it.

use super::AddressSpace;
use crate::mm::frames::{FRAMES, Frames};
use crate::mm::vma::Marks;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_abi::x86::pte;
use trapgate_arch::cpu;
use trapgate_arch::paging::{COPY_ON_WRITE, COUNTED, FrameSource, PageTables};
use trapgate_uapi::Errno;

impl AddressSpace {
    /// A copy of it. On an error what the program sees of this one has not changed.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn fork(&mut self) -> Result<AddressSpace, Errno> {
        let mut vmas = self.vmas.try_clone()?;
        vmas.begin_in_child();
        let top = top_tables(&self.tables).ok_or(Errno::ENOMEM)?;
        let tables = self.tables.sibling(top);
        // From here on its end gives everything back.
        let &mut AddressSpace {
            brk_start,
            brk,
            end,
            mmap_top,
            ahead,
            eager,
            ram,
            growth,
            bounds,
            ..
        } = self;
        let future = Marks::NONE;
        let mut copy = AddressSpace {
            vmas,
            tables,
            brk_start,
            brk,
            end,
            mmap_top,
            ahead,
            eager,
            ram,
            future,
            growth,
            bounds,
            stored: None,
        };
        let copied = self.copy_pages(&mut copy.tables);
        cpu::flush_tlb();
        if copied { Ok(copy) } else { Err(Errno::ENOMEM) }
    }

    /// Copies all entries; false, if frames for tables ran out.
    fn copy_pages(&mut self, to: &mut PageTables) -> bool {
        let frames = &mut *FRAMES.lock();
        let tables = &mut self.tables;
        let without = Marks::WIPE_ON_FORK.with(Marks::DONT_FORK);
        self.vmas.within(0, u64::MAX).filter(|vma| !vma.marks().has(without)).all(|vma| {
            // What is shared stays so, and may be written.
            let (set, clear) = match vma.backing.is_shared() {
                true => (COUNTED, 0),
                false => (COUNTED | COPY_ON_WRITE, pte::W | pte::D),
            };
            let share = |from: &mut [u64], to: &mut [u64], frames: &mut Frames| {
                let mut owners = frames.owners();
                for (entry, copy) in from.iter_mut().zip(to) {
                    if *entry != 0 {
                        owners.add(*entry & pte::ADDRESS);
                        *entry = (*entry | set) & !clear;
                        *copy = *entry;
                    }
                }
            };
            tables.copy(to, vma.start, vma.end, frames, share)
        })
    }
}

/// Frames for top tables like these: two that are aligned to two, if ring 3 has one
/// of its own.
pub(super) fn top_tables(like: &PageTables) -> Option<Range> {
    let frames = &mut *FRAMES.lock();
    if !like.is_isolated() {
        return frames.take(1);
    }
    let start = frames.allocate_run(3)?;
    let aligned = start.next_multiple_of(2 * PAGE_SIZE);
    let top = Range { start: aligned, end: aligned + 2 * PAGE_SIZE };
    let spare = if aligned == start { top.end } else { start };
    frames.give_back(Range { start: spare, end: spare + PAGE_SIZE });
    Some(top)
}
