//! Ring 3's own page tables, for the mitigation step pti: the user's half as it
//! is, and of the kernel what an entry needs until it has changed over.
//!
//! `super::prepare` calls it; the kernel keeps the two user halves the same
//! (`arch::paging` there).

use super::kernel_flags;
use super::page_tables::{Frames, PageTables};
use trapgate_abi::kernel_note::KernelNote;
use trapgate_abi::layout::{KERNEL_BASE, PAGE_SIZE, PERCPU_BASE, PERCPU_PHYS, percpu};
use trapgate_abi::x86::pte;

/// Empty tables, and a second set if they are to be `isolated`.
pub(super) fn tables(
    frames: &mut Frames,
    isolated: bool,
) -> Option<(PageTables, Option<PageTables>)> {
    if isolated {
        PageTables::pair(frames).map(|(kernel, user)| (kernel, Some(user)))
    } else {
        Some((PageTables::new(frames)?, None))
    }
}

/// Fills ring 3's tables; `kernel`'s are done. What is in both is global: it is
/// the same in both.
pub(super) fn fill(
    kernel: &mut PageTables,
    user: &mut PageTables,
    note: &KernelNote,
    frames: &mut Frames,
) -> Option<()> {
    kernel.lend_user_half(user);
    let mut map = |start: u64, physical: u64, length, write, exec| {
        let flags = kernel_flags(pte::G, write, exec);
        user.map(start, physical, length, flags, false, frames)
    };
    let (code, idt) = (note.entry_start, note.hardened_idt);
    map(code, code - KERNEL_BASE, note.entry_end - code, false, true)?;
    map(idt, idt - KERNEL_BASE, PAGE_SIZE, false, false)?;
    for (start, end) in percpu::ENTRY {
        map(PERCPU_BASE + start, PERCPU_PHYS + start, end - start, true, false)?;
    }
    Some(())
}
