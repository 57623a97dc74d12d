//! Exceptions, as the roof sees them: a door that this host delivers as one, the
//! kernel's own mistake, or something for the kernel's rooms: a page that is
//! missing, a mistake of the program's (`process::exception`).
//!
//! `entry` calls the functions here with a complete frame.

use crate::dispatch;
use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::feature;
use trapgate_abi::crash::{BACKTRACE_DEPTH, Fault};
use trapgate_abi::hypercall::{FailureKind, Segment};
use trapgate_abi::layout::USER_END;
use trapgate_abi::trace::{Door, Way};
use trapgate_abi::x86::{msr, page_fault, rflags, selector, vector};
use trapgate_arch::{cpu, ex_table, percpu};
use trapgate_kernel::host;
use trapgate_kernel::process::exception;
use trapgate_kernel::process::prepare_return::prepare_return;
use trapgate_kernel::sched::idle;
use trapgate_kernel::signal::exception::error_code;
use trapgate_kernel::user::UserPtr;
use trapgate_uapi::Errno;

/// [`feature`] bits: what the VMM knows of this CPU and this KVM.
static FEATURES: AtomicU64 = AtomicU64::new(0);

/// Says what the VMM knows.
pub fn init(features: u64) {
    FEATURES.store(features, Ordering::Relaxed);
}

fn has(feature: u64) -> bool {
    FEATURES.load(Ordering::Relaxed) & feature != 0
}

/// An exception or an interrupt in ring 3.
pub extern "C" fn exception_from_user(regs: &mut PtRegs, vector: u64) {
    match vector as u8 {
        vector::PF => page_fault(regs),
        vector::UD if trapped_door(regs) => {}
        vector::EVENT => idle::look(),
        vector::NMI => {}
        vector::MC => kernel_fault(regs, vector, 0),
        _ => {
            let vector = if is_forbidden_int(regs, vector) { vector::GP.into() } else { vector };
            exception::caused(regs, vector);
        }
    }
    prepare_return(regs);
}

/// A page fault in ring 3.
fn page_fault(regs: &mut PtRegs) {
    // Before anything that could fault again.
    let address = cpu::fault_address();
    // Where this KVM delivers SYSCALL as a page fault at LSTAR, and only
    // there, such a fault is a call and not a jump of the program's.
    let is_door = has(feature::SYSCALL_TRAPS)
        && address == regs.rip
        && address >= USER_END
        && trapped_syscall_64(regs);
    if !is_door {
        exception::page_fault(regs, address);
    }
}

/// SYSCALL, delivered as a fault at its entry point with everything else done:
/// RCX and R11 hold what they should. That distinguishes it from a jump to the
/// entry point: the instruction before RCX is a SYSCALL.
fn trapped_syscall_64(regs: &mut PtRegs) -> bool {
    let is_entry = regs.rip == cpu::read_msr(msr::LSTAR);
    if !is_entry || !code_is(regs.rcx.wrapping_sub(2), [0x0f, 0x05]) {
        return false;
    }
    percpu::set_counter!(last_trap, vector::PF.into());
    regs.rip = regs.rcx;
    regs.rflags = user_rflags(regs.r11);
    carry_out_64(regs);
    true
}

/// The flags that a program may set by POPF, and those that it always has.
const fn user_rflags(claimed: u64) -> u64 {
    claimed & rflags::USER | rflags::FIXED | rflags::IF
}

fn carry_out_64(regs: &mut PtRegs) {
    regs.orig_rax = regs.rax;
    regs.rax = Errno::ENOSYS.number().wrapping_neg();
    percpu::count!(syscall64_trapped, 1);
    dispatch::call_64(regs, Way::trapped(Door::Syscall64).bits());
}

/// #UD at the instruction of a door that the architecture has and this KVM
/// does not deliver.
fn trapped_door(regs: &mut PtRegs) -> bool {
    let long = regs.cs == u64::from(selector::USER_CS);
    if code_is(regs.rip, [0xcd, 0x80]) {
        trapped_int80(regs, long);
    } else if long && code_is(regs.rip, [0x0f, 0x05]) {
        regs.rip += 2;
        regs.rcx = regs.rip;
        regs.r11 = regs.rflags & !rflags::RF;
        regs.rflags = user_rflags(regs.r11);
        carry_out_64(regs);
    } else if !long && has(feature::SYSCALL32) && code_is(regs.rip, [0x0f, 0x05]) {
        // As entry::syscall32 builds the frame.
        percpu::count!(syscall_compat_trapped, 1);
        regs.r11 = regs.rflags & !rflags::RF;
        regs.rcx = u64::from(regs.rbp as u32);
        regs.rsp = u64::from(regs.rsp as u32);
        fast_call(regs, Door::Syscall32);
    } else if has(feature::SYSENTER32) && code_is(regs.rip, [0x0f, 0x34]) {
        // As entry::sysenter builds it.
        percpu::count!(sysenter_trapped, 1);
        regs.rsp = regs.rbp;
        fast_call(regs, Door::Sysenter);
    } else {
        return false;
    }
    percpu::set_counter!(last_trap, vector::UD.into());
    true
}

fn trapped_int80(regs: &mut PtRegs, long: bool) {
    regs.rip += 2;
    if long {
        percpu::count!(int80_trapped, 1);
    } else {
        regs.rip = u64::from(regs.rip as u32);
        percpu::count!(int80_compat_trapped, 1);
    }
    regs.orig_rax = u64::from(regs.rax as u32);
    regs.rax = Errno::ENOSYS.number().wrapping_neg();
    dispatch::call_32(regs, Way::trapped(Door::Int80).bits());
}

/// What SYSENTER and SYSCALL from compatibility mode have in common.
fn fast_call(regs: &mut PtRegs, door: Door) {
    regs.cs = selector::USER32_CS.into();
    regs.ss = selector::USER_DS.into();
    regs.rip = percpu::landing_pad();
    regs.rflags = user_rflags(regs.rflags);
    regs.orig_rax = u64::from(regs.rax as u32);
    regs.rax = Errno::ENOSYS.number().wrapping_neg();
    match UserPtr::<u32>::new(u64::from(regs.rsp as u32)).read() {
        Ok(sixth) => {
            regs.rbp = sixth.into();
            dispatch::call_32(regs, Way::trapped(door).bits());
        }
        Err(_) => dispatch::refuse_32(regs),
    }
}

/// Whether this is an INT n of a vector that is not for ring 3, which some
/// KVMs deliver as #UD: architecturally it is #GP.
fn is_forbidden_int(regs: &PtRegs, vector: u64) -> bool {
    vector == u64::from(vector::UD) && matches!(UserPtr::<u8>::new(regs.rip).read(), Ok(0xcd))
}

/// Whether these two bytes stand at a user address.
fn code_is(address: u64, bytes: [u8; 2]) -> bool {
    UserPtr::<[u8; 2]>::new(address).read() == Ok(bytes)
}

/// An exception in ring 0: a user address that did not hold, or a mistake.
pub extern "C" fn exception_from_kernel(regs: &mut PtRegs, vector: u64) {
    let address = if vector == u64::from(vector::PF) { cpu::fault_address() } else { 0 };
    let is_user_page = vector == u64::from(vector::PF)
        && address < USER_END
        && regs.orig_rax & page_fault::RSVD == 0;
    let Some(row) = ex_table::lookup(ex_table::kernel(), regs.rip).filter(|_| is_user_page) else {
        kernel_fault(regs, vector, address);
    };
    if row.served == 0 || !exception::page_fault_of_kernel(regs, address, regs.orig_rax) {
        regs.rip = row.fixup;
    }
}

/// The IRETQ to ring 3 faulted: what it was to load, which is in the frame now, is the
/// program's own doing. It gets SIGSEGV, as in Linux (`bad_iret`).
pub extern "C" fn bad_iret(regs: &mut PtRegs, vector: u64) {
    exception::bad_iret(regs, vector);
    prepare_return(regs);
}

/// #DF, NMI, #MC, and #DB in ring 0. An NMI means nothing here; #DF and #MC end
/// the sandbox.
///
/// A #DB comes by the program's trap flag, which is in ring 0 with it. What it
/// steps is not ours to show: the flag goes, but where SYSENTER's entry has not
/// saved it yet (`has_users_flags`). The program's #DB comes when it goes on, out
/// of its saved flags.
#[inline(never)] // apart from the entry's own text, which tests look into
pub fn paranoid_exception(regs: &mut PtRegs, vector: u64, has_users_flags: bool) {
    match vector as u8 {
        vector::NMI => {}
        vector::DB if has_users_flags => {}
        vector::DB => regs.rflags &= !rflags::TF,
        _ => kernel_fault(regs, vector, cpu::fault_address()),
    }
}

/// Ends the sandbox with a report.
fn kernel_fault(regs: &PtRegs, vector: u64, address: u64) -> ! {
    let fault = Fault { vector, error_code: error_code(regs), address, ..Fault::default() };
    let none = Segment::default();
    host::failed(FailureKind::Fault, none, &fault, regs, &backtrace(regs.rsp))
}

#[cfg(target_os = "none")]
fn backtrace(rsp: u64) -> [u64; BACKTRACE_DEPTH] {
    crate::panic::backtrace(rsp)
}

#[cfg(not(target_os = "none"))]
fn backtrace(_: u64) -> [u64; BACKTRACE_DEPTH] {
    [0; BACKTRACE_DEPTH]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_flags_cannot_raise_iopl_or_mask_interrupts() {
        let flags = user_rflags(u64::MAX);
        assert_eq!(flags & rflags::IOPL, 0);
        assert_ne!(user_rflags(0) & rflags::IF, 0);
        assert_ne!(flags & rflags::DF, 0);
    }
}
