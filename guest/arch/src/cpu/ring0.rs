//! The instructions of ring 0, and the counter that ring 0 reads.

use core::arch::asm;
use trapgate_abi::layout::USER_END;
use trapgate_abi::x86::msr;

/// CR2: the address of the last page fault.
#[inline(always)]
pub fn fault_address() -> u64 {
    let address;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// DR6: why there was a debug exception; the CPU does not clear it (Intel SDM vol. 3,
/// 17.2.3), this does.
pub fn take_debug_status() -> u64 {
    /// What the register reads as without a reason.
    const NONE: u64 = 0xffff_0ff0;
    let status: u64;
    // SAFETY: a register of the debugger's, which nobody in the guest is.
    unsafe {
        asm!("mov {}, dr6", "mov dr6, {}", out(reg) status, in(reg) NONE,
             options(nomem, nostack, preserves_flags));
    }
    status
}

/// CR3: the physical address of the top page table, with flags below it.
pub fn page_table() -> u64 {
    let root;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) };
    root
}

/// Loads CR3, and so forgets all translations but global ones.
///
/// # Safety
/// There must be page tables, with the kernel's half as it is in those that are loaded.
#[inline]
pub unsafe fn set_page_table(root: u64) {
    // SAFETY: the caller vouches for the tables.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Forgets the TLB's entry for the page of `address`.
#[inline(always)]
pub fn invalidate_page(address: u64) {
    // SAFETY: INVLPG reads no memory, and forgetting a translation is safe.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Forgets all translations but global ones.
pub fn flush_tlb() {
    // SAFETY: loads CR3 with what it holds.
    unsafe {
        asm!("mov {tmp}, cr3", "mov cr3, {tmp}", tmp = out(reg) _,
             options(nostack, preserves_flags));
    }
}

/// Writes a model-specific register.
///
/// # Safety
/// The value must be one that this kernel can go on with.
#[inline(always)]
pub unsafe fn write_msr(msr: u32, value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}

/// Reads a model-specific register that this CPU has.
#[inline(always)]
pub fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading an MSR that exists changes nothing.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high,
             options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The time-stamp counter, not earlier than what stands before the call.
#[inline(always)]
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high,
             options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Leaves the VM: one OUT to `port`. What the VMM does to memory meanwhile,
/// the compiler must expect.
#[inline(always)]
pub fn out(port: u16) {
    // SAFETY: the port's only meaning is "there is a request", and the asm
    // block clobbers memory.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") 0, options(nostack, preserves_flags)) };
}

/// Ends this CPU's work for good.
pub fn halt() -> ! {
    loop {
        // SAFETY: waits with interrupts off.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// The user's base of FS.
#[inline]
pub fn fs_base() -> u64 {
    read_msr(msr::FS_BASE)
}

/// Sets it; false for an address that is not the user's.
#[inline]
pub fn set_fs_base(base: u64) -> bool {
    set_base(msr::FS_BASE, base)
}

/// The user's base of GS: in ring 0 it is where SWAPGS keeps it.
#[inline]
pub fn user_gs_base() -> u64 {
    read_msr(msr::KERNEL_GS_BASE)
}

/// Sets it; false for an address that is not the user's.
#[inline]
pub fn set_user_gs_base(base: u64) -> bool {
    set_base(msr::KERNEL_GS_BASE, base)
}

#[inline]
fn set_base(register: u32, base: u64) -> bool {
    if base >= USER_END {
        return false;
    }
    // SAFETY: a base in the user's half is canonical and the user's business.
    unsafe { write_msr(register, base) };
    true
}
