//! This CPU's segment descriptors, which the block has.
#![allow(unsafe_code, reason = "GS-relative access is inline assembly")]

use super::PerCpu;
#[cfg(not(target_os = "none"))]
use crate::fake::block_word;
use core::mem::offset_of;
use trapgate_abi::x86::GDT_ENTRIES;

/// This CPU's segment descriptor `index`.
pub fn descriptor(index: usize) -> u64 {
    assert!(index < GDT_ENTRIES);
    #[cfg(not(target_os = "none"))]
    let value = block_word(offset_of!(PerCpu, gdt) + index * 8).get();
    #[cfg(target_os = "none")]
    let value: u64;
    // SAFETY: GS points to this CPU's block in ring 0, and the index is one of
    // its GDT's.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("mov {}, gs:[{} + {} * 8]", out(reg) value,
            const offset_of!(PerCpu, gdt), in(reg) index,
            options(nostack, preserves_flags, readonly));
    }
    value
}

/// Changes this CPU's segment descriptor `index`.
///
/// # Safety
/// Ring 3 can load it: it must not be one that gives it more than memory that
/// is its own.
pub unsafe fn set_descriptor(index: usize, value: u64) {
    assert!(index < GDT_ENTRIES);
    #[cfg(not(target_os = "none"))]
    block_word(offset_of!(PerCpu, gdt) + index * 8).set(value);
    // SAFETY: GS points to this CPU's block in ring 0, and the index is one of
    // its GDT's; the caller vouches for the value.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("mov gs:[{} + {} * 8], {}",
            const offset_of!(PerCpu, gdt), in(reg) index, in(reg) value,
            options(nostack, preserves_flags));
    }
}
