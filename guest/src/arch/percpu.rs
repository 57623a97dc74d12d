//! The block of one CPU, which GS points to in ring 0.
//!
//! The VMM sets GS to the first CPU's block before the first instruction;
//! SWAPGS at each crossing keeps it the kernel's in ring 0.
#![allow(unsafe_code, reason = "a link section; GS-relative access is inline assembly")]

use super::gdt::{self, Gdt, Tss};
use core::mem::offset_of;
use trapgate_abi::layout;
use trapgate_abi::x86::{GDT_ENTRIES, selector};

/// What a CPU has for itself.
#[repr(C)]
pub struct PerCpu {
    /// What the SYSCALL door loads into RSP: the end of the kernel stack, less
    /// the 8 bytes that keep calls aligned after 21 pushes.
    pub syscall_stack: u64,
    /// Where the SYSCALL door puts the user's RSP for a moment.
    pub user_rsp: u64,
    /// Not zero: something is to be done before the return to ring 3.
    pub work: u64,
    /// The running task.
    pub current: u64,
    /// Not zero: STAC and CLAC bracket user accesses.
    pub smap: u64,
    /// Where the fast 32-bit doors return to.
    pub landing_pad: u64,
    /// Segment descriptors.
    pub gdt: Gdt,
    /// Task-state segment.
    pub tss: Tss,
    /// For hardened doors: the next call's random part of the distance to the
    /// stack's end, in its low bits.
    pub kstack_offset: u64,
    /// For hardened doors: a selector in memory, which VERW wants.
    pub verw_selector: u64,
}

const _: () = assert!(size_of::<PerCpu>() <= layout::PAGE_SIZE as usize);

/// The counters' and the host call page's distance from GS.
pub const COUNTERS: u64 = layout::percpu::COUNTERS - layout::percpu::BLOCK;

/// Reads a word of this CPU's block: `get!(work)`.
macro_rules! get {
    ($field:ident) => {{
        let value: u64;
        // SAFETY: GS points to this CPU's block in ring 0.
        #[allow(unsafe_code, reason = "GS-relative access")]
        unsafe {
            core::arch::asm!("mov {}, gs:[{}]", out(reg) value,
                const core::mem::offset_of!($crate::arch::percpu::PerCpu, $field),
                options(nostack, preserves_flags, readonly));
        }
        value
    }};
}

/// Whether a word of this CPU's block is not zero, by one comparison.
macro_rules! is_set {
    ($field:ident) => {{
        // SAFETY: GS points to this CPU's block in ring 0.
        unsafe {
            core::arch::asm!("cmp qword ptr gs:[{}], 0", "jne {}",
                const offset_of!(PerCpu, $field), label { return true },
                options(nostack, readonly));
        }
        false
    }};
}

/// Whether there is work to do before the return to ring 3.
#[inline(always)]
pub fn has_work() -> bool {
    is_set!(work)
}

/// Whether STAC and CLAC must bracket user accesses.
#[inline(always)]
pub fn has_smap() -> bool {
    is_set!(smap)
}

/// Writes a word of this CPU's block: `set!(work, 1)`.
macro_rules! set {
    ($field:ident, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: GS points to this CPU's block in ring 0.
        #[allow(unsafe_code, reason = "GS-relative access")]
        unsafe {
            core::arch::asm!("mov gs:[{}], {}",
                const core::mem::offset_of!($crate::arch::percpu::PerCpu, $field),
                in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

/// Adds to one of this CPU's counters: `count!(page_faults, 1)`.
macro_rules! count {
    ($field:ident, $amount:expr) => {{
        let amount: u64 = $amount;
        // SAFETY: GS points to this CPU's block in ring 0, and the counters lie
        // at a fixed distance from it.
        #[allow(unsafe_code, reason = "GS-relative access")]
        unsafe {
            core::arch::asm!("add gs:[{}], {}",
                const $crate::arch::percpu::COUNTERS as usize
                    + core::mem::offset_of!(trapgate_abi::counters::Counters, $field),
                in(reg) amount, options(nostack));
        }
    }};
}

/// Sets one of this CPU's counters.
macro_rules! set_counter {
    ($field:ident, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: as for `count`.
        #[allow(unsafe_code, reason = "GS-relative access")]
        unsafe {
            core::arch::asm!("mov gs:[{}], {}",
                const $crate::arch::percpu::COUNTERS as usize
                    + core::mem::offset_of!(trapgate_abi::counters::Counters, $field),
                in(reg) value, options(nostack, preserves_flags));
        }
    }};
}
pub(crate) use {count, get, set, set_counter};

/// This CPU's segment descriptor `index`.
pub fn descriptor(index: usize) -> u64 {
    assert!(index < GDT_ENTRIES);
    let value: u64;
    // SAFETY: GS points to this CPU's block in ring 0, and the index is one of
    // its GDT's.
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
    // SAFETY: GS points to this CPU's block in ring 0, and the index is one of
    // its GDT's; the caller vouches for the value.
    unsafe {
        core::arch::asm!("mov gs:[{} + {} * 8], {}",
            const offset_of!(PerCpu, gdt), in(reg) index, in(reg) value,
            options(nostack, preserves_flags));
    }
}

/// Address of the block of CPU `index`.
pub const fn block(index: u64) -> u64 {
    layout::PERCPU_BASE + index * layout::PERCPU_STRIDE + layout::percpu::BLOCK
}

impl PerCpu {
    /// The block of CPU `index`, before anything ran there.
    pub const fn new(index: u64) -> Self {
        let block = block(index);
        let area = block - layout::percpu::BLOCK;
        PerCpu {
            syscall_stack: area + layout::percpu::STACK_TOP - 8,
            user_rsp: 0,
            work: 0,
            current: 0,
            smap: 0,
            landing_pad: 0,
            gdt: gdt::gdt(block + offset_of!(PerCpu, tss) as u64),
            tss: gdt::tss(area),
            kstack_offset: 0,
            verw_selector: selector::KERNEL_DS as u64,
        }
    }
}

/// The first CPU's block: a constant of the image. The VMM loads the registers
/// that point to its tables, so that the kernel need not spend instructions,
/// and on some hosts VM exits, on LGDT and its kin.
#[used]
#[cfg_attr(target_os = "none", unsafe(link_section = ".percpu"))]
pub static FIRST: PerCpu = PerCpu::new(0);
