//! From a complete frame to the handler: number, table, call, result.
//!
//! `entry` calls [`syscall_64`] and its kin from the doors; `exception` calls
//! [`call_64`] and its kin for doors that arrive as exceptions, and prepares the
//! return itself.

#[cfg(target_os = "none")]
mod retpoline;

use trapgate_abi::PtRegs;
use trapgate_arch::cpu::clamp_index_nospec;
use trapgate_kernel::process::prepare_return::prepare_return;
use trapgate_kernel::sys::table::{Handler, SYS_CALL_TABLE_32, SYS_CALL_TABLE_64, Table};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{I386_COUNT, X86_64_COUNT};

/// The door of the x86-64 and x32 ABIs.
pub extern "C" fn syscall_64(regs: &mut PtRegs) {
    call_64(regs);
    prepare_return(regs);
}

/// The doors of the i386 ABI.
pub extern "C" fn syscall_32(regs: &mut PtRegs) {
    call_32(regs);
    prepare_return(regs);
}

/// [`syscall_64`] for the hardened door.
#[cfg(target_os = "none")]
pub extern "C" fn hardened_64(regs: &mut PtRegs) {
    regs.rax = retpoline::call(row_64(regs), regs);
    prepare_return(regs);
}

/// [`syscall_32`] for the hardened doors.
#[cfg(target_os = "none")]
pub extern "C" fn hardened_32(regs: &mut PtRegs) {
    regs.rax = retpoline::call(row_32(regs), regs);
    prepare_return(regs);
}

/// The fast doors of the i386 ABI, if the stack is no good.
pub extern "C" fn bad_stack_32(regs: &mut PtRegs) {
    refuse_32(regs);
    prepare_return(regs);
}

/// A call of the x86-64 or x32 ABI.
///
/// The number is the low 32 bits of RAX, as in Linux, and unsigned: a negative
/// one is huge.
#[inline(always)]
pub fn call_64(regs: &mut PtRegs) {
    regs.rax = row_64(regs)(regs);
}

/// A call of the i386 ABI.
#[inline(always)]
pub fn call_32(regs: &mut PtRegs) {
    regs.rax = row_32(regs)(regs);
}

/// A call by SYSENTER or by SYSCALL from compatibility mode, which leave the
/// sixth argument on the user's stack, and the stack is no good (Linux:
/// `do_fast_syscall_32`, whose get_user leaves 0 where the argument would be).
pub fn refuse_32(regs: &mut PtRegs) {
    regs.rbp &= !u64::from(u32::MAX);
    regs.rax = Errno::EFAULT.number().wrapping_neg();
}

/// The handler of a call of the i386 ABI.
#[inline(always)]
fn row_32(regs: &PtRegs) -> Handler {
    row::<{ I386_COUNT as u32 }, _>(&SYS_CALL_TABLE_32, regs.orig_rax as u32)
}

/// The handler of a call of the x86-64 or x32 ABI.
#[inline(always)]
pub fn row_64(regs: &PtRegs) -> Handler {
    row::<{ X86_64_COUNT as u32 }, _>(&SYS_CALL_TABLE_64, regs.orig_rax as u32)
}

/// Row `number` of a table with `COUNT` numbers.
#[inline(always)]
#[allow(unsafe_code, reason = "a second check of the bound would cost the hot path")]
fn row<const COUNT: u32, const N: usize>(table: &'static Table<N>, number: u32) -> Handler {
    const { assert!(N == COUNT as usize + 1) };
    let index = clamp_index_nospec::<COUNT>(number);
    // SAFETY: the index is at most COUNT, and there is a row more than that.
    unsafe { *table.get_unchecked(index) }
}
