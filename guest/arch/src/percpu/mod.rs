//! The block of one CPU, which GS points to in ring 0.
//!
//! The VMM sets GS to the first CPU's block before the first instruction;
//! SWAPGS at each crossing keeps it the kernel's in ring 0.
#![allow(unsafe_code, reason = "a link section; GS-relative access is inline assembly")]

mod counters;
mod descriptors;
mod running;

pub use counters::{
    COUNTERS, add_to_counter, calls, count, page_faults, set_counter, set_counter_at,
};
pub use descriptors::{descriptor, set_descriptor};
pub use running::{
    Owner, OwnerCell, Running, current, current_arc, exchange, running_task, running_thread,
};

use super::gdt::{self, Gdt, Tss};
#[cfg(not(target_os = "none"))]
use crate::fake::block_word;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::layout::{self, Cpu, DIRECT_MAP};
use trapgate_abi::x86::selector;

/// What a CPU has for itself.
#[repr(C)]
pub struct PerCpu {
    /// What the SYSCALL door loads into RSP: the end of the kernel stack, less
    /// the 8 bytes that keep calls aligned after 21 pushes.
    pub syscall_stack: u64,
    /// Where the SYSCALL door puts the user's RSP for a moment.
    pub user_rsp: u64,
    /// Not zero: something is to be done before the return to ring 3. Which bit
    /// means what, the kernel's scheduler says.
    pub work: u64,
    /// The running task.
    pub task: u64,
    /// Its thread, which is what the scheduler knows of it.
    pub thread: u64,
    /// Not zero: STAC and CLAC bracket user accesses.
    pub smap: u64,
    /// Where the fast 32-bit doors return to.
    pub landing_pad: u64,
    /// Segment descriptors.
    pub gdt: Gdt,
    /// Task-state segment.
    pub tss: Tss,
    /// For the step kstack-offset: the next call's random part of the distance to the
    /// stack's end, in its low bits.
    pub kstack_offset: u64,
    /// For the step verw: a selector in memory, which the instruction wants.
    pub verw_selector: u64,
    /// Not zero: TSS.RSP0 is the entry stack's end, whatever runs.
    pub has_entry_stack: u64,
    /// Where a complete frame on the entry stack begins.
    pub entry_frame: u64,
    /// What the CPU pushes onto where ring 3's page tables have no thread's stack: a
    /// frame's worth, and one of ring 0's below it.
    pub entry_stack: EntryStack,
    /// Where this CPU's page of requests is.
    pub host_page: u64,
    /// Where this CPU's ring of log records is.
    pub log_ring: u64,
    /// Where this CPU's words about its ring of trace records are.
    pub tracing: u64,
}

/// Words of the entry stack: two frames, that of an IRETQ which faults below the one
/// that it was to load, and room to align them.
const ENTRY_STACK_WORDS: usize = 2 * PtRegs::WORDS + 6;

/// The entry stack.
#[repr(C, align(16))]
pub struct EntryStack([u64; ENTRY_STACK_WORDS]);

const _: () = assert!(size_of::<EntryStack>().is_multiple_of(16));
const _: () = assert!(size_of::<PerCpu>() <= layout::PAGE_SIZE as usize);

/// The distance of the words for stamps from GS.
pub const STAMPING: usize = (layout::percpu::STAMPING - layout::percpu::BLOCK) as usize;

/// Reads a word of this CPU's block.
#[cfg(target_os = "none")]
macro_rules! get {
    ($field:ident) => {{
        let value: u64;
        // SAFETY: GS points to this CPU's block in ring 0.
        unsafe {
            core::arch::asm!("mov {}, gs:[{}]", out(reg) value,
                const offset_of!(PerCpu, $field),
                options(nostack, preserves_flags, readonly));
        }
        value
    }};
}

/// Writes a word of this CPU's block.
#[cfg(target_os = "none")]
macro_rules! set {
    ($field:ident, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: GS points to this CPU's block in ring 0.
        unsafe {
            core::arch::asm!("mov gs:[{}], {}",
                const offset_of!(PerCpu, $field),
                in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

/// Whether a word of this CPU's block is not zero, by one comparison.
#[cfg(target_os = "none")]
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

#[cfg(not(target_os = "none"))]
macro_rules! get {
    ($field:ident) => {
        block_word(offset_of!(PerCpu, $field)).get()
    };
}
#[cfg(not(target_os = "none"))]
macro_rules! set {
    ($field:ident, $value:expr) => {
        block_word(offset_of!(PerCpu, $field)).set($value)
    };
}
#[cfg(not(target_os = "none"))]
macro_rules! is_set {
    ($field:ident) => {
        get!($field) != 0
    };
}

/// Whether there is work to do before the return to ring 3.
#[inline(always)]
pub fn has_work() -> bool {
    is_set!(work)
}

/// Which, as bits.
#[inline(always)]
pub fn work() -> u64 {
    get!(work)
}

/// Says which there is, in the place of what there was.
#[inline]
pub fn set_work(bits: u64) {
    set!(work, bits);
}

/// Adds to it.
#[inline]
pub fn raise_work(bits: u64) {
    set!(work, get!(work) | bits);
}

/// Takes some of it away: it is done.
#[inline]
pub fn clear_work(bits: u64) {
    set!(work, get!(work) & !bits);
}

/// Whether STAC and CLAC must bracket user accesses.
#[inline(always)]
pub fn has_smap() -> bool {
    is_set!(smap)
}

/// Says whether they must.
pub fn set_smap(brackets: bool) {
    set!(smap, brackets.into());
}

/// Where the fast 32-bit doors return to.
#[inline(always)]
pub fn landing_pad() -> u64 {
    get!(landing_pad)
}

/// Sets where they return to: an address of the user's half.
pub fn set_landing_pad(address: u64) {
    set!(landing_pad, address);
}

/// The address of this CPU's page of requests to the VMM.
#[inline(always)]
pub(crate) fn host_page() -> u64 {
    get!(host_page)
}

/// Where this CPU's ring of log records is.
pub(crate) fn log_ring() -> u64 {
    get!(log_ring)
}

/// Where this CPU's words about its ring of trace records are.
pub(crate) fn tracing() -> u64 {
    get!(tracing)
}

/// The end of a thread's kernel stack, from now on: what the doors load, and, but where
/// ring 3's page tables do not have it, where the CPU itself begins.
///
/// # Safety
/// It must be the end of a stack that is mapped, 16-byte aligned, and on which nothing
/// is when ring 3 runs next.
pub unsafe fn set_stack(top: u64) {
    set!(syscall_stack, top - 8);
    if !has_entry_stack() {
        // SAFETY: the caller vouches for the stack.
        unsafe { set_ring0_stack(top) };
    }
}

/// Whether the CPU pushes onto its entry stack.
fn has_entry_stack() -> bool {
    is_set!(has_entry_stack)
}

/// Has the CPU push onto its entry stack when it leaves ring 3, from now on.
pub fn use_entry_stack() {
    let frame = get!(entry_frame);
    set!(has_entry_stack, 1);
    // SAFETY: the entry stack is this CPU's own, and mapped.
    unsafe { set_ring0_stack(frame + size_of::<PtRegs>() as u64) };
}

/// Sets TSS.RSP0.
///
/// # Safety
/// As for [`set_stack`].
unsafe fn set_ring0_stack(top: u64) {
    #[cfg(not(target_os = "none"))]
    let _ = top;
    // SAFETY: GS points to this CPU's block in ring 0; the CPU reads the word when it
    // leaves ring 3, and the caller vouches for the stack.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("mov gs:[{}], {}", const offset_of!(PerCpu, tss) + gdt::RSP0,
            in(reg) top, options(nostack, preserves_flags));
    }
}

impl PerCpu {
    /// The block of a CPU before anything ran there.
    pub const fn new(cpu: Cpu) -> Self {
        let area = cpu.area();
        let entry_stack = cpu.block() + offset_of!(PerCpu, entry_stack) as u64;
        PerCpu {
            syscall_stack: cpu.door_stack(),
            user_rsp: 0,
            work: 0,
            task: 0,
            thread: 0,
            smap: 0,
            landing_pad: 0,
            gdt: gdt::gdt(cpu.block() + offset_of!(PerCpu, tss) as u64),
            tss: gdt::tss(area),
            kstack_offset: 0,
            verw_selector: selector::KERNEL_DS as u64,
            has_entry_stack: 0,
            entry_frame: entry_stack + (size_of::<EntryStack>() - size_of::<PtRegs>()) as u64,
            entry_stack: EntryStack([0; ENTRY_STACK_WORDS]),
            host_page: area + layout::percpu::HOST_CALL,
            log_ring: DIRECT_MAP + cpu.log_ring_phys(),
            tracing: area + layout::percpu::TRACING,
        }
    }
}

/// The first CPU's block: a constant of the image. The VMM loads the registers
/// that point to its tables, so that the kernel need not spend instructions,
/// and on some hosts VM exits, on LGDT and its kin.
#[used]
#[cfg_attr(target_os = "none", unsafe(link_section = ".percpu"))]
pub static FIRST: PerCpu = PerCpu::new(Cpu::FIRST);
