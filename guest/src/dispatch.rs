//! From a complete frame to the handler: number, table, call, result.
//!
//! `entry` calls [`syscall_64`] and [`syscall_32`] from the doors, `fault`
//! calls them for doors that arrive as exceptions.

#[cfg(target_os = "none")]
mod retpoline;

use trapgate_abi::PtRegs;
use trapgate_arch::cpu::clamp_index_nospec;
use trapgate_arch::percpu;
use trapgate_kernel::sys::table::{Handler, SYS_CALL_TABLE_32, SYS_CALL_TABLE_64, Table};
use trapgate_kernel::sys::{mm, signal};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{I386_COUNT, X86_64_COUNT};

/// A call of the x86-64 or x32 ABI.
///
/// The number is the low 32 bits of RAX, as in Linux, and unsigned: a negative
/// one is huge.
pub extern "C" fn syscall_64(regs: &mut PtRegs) {
    regs.rax = row_64(regs)(regs);
    exit_work(regs);
}

/// A call of the i386 ABI.
pub extern "C" fn syscall_32(regs: &mut PtRegs) {
    regs.rax = row::<{ I386_COUNT as u32 }, _>(&SYS_CALL_TABLE_32, regs.orig_rax as u32)(regs);
    exit_work(regs);
}

/// [`syscall_64`] for the hardened door.
#[cfg(target_os = "none")]
pub extern "C" fn hardened_64(regs: &mut PtRegs) {
    regs.rax = retpoline::call(row_64(regs), regs);
    exit_work(regs);
}

/// [`syscall_32`] for the hardened doors.
#[cfg(target_os = "none")]
pub extern "C" fn hardened_32(regs: &mut PtRegs) {
    let handler = row::<{ I386_COUNT as u32 }, _>(&SYS_CALL_TABLE_32, regs.orig_rax as u32);
    regs.rax = retpoline::call(handler, regs);
    exit_work(regs);
}

/// A call by SYSENTER or by SYSCALL from compatibility mode, which leave the
/// sixth argument on the user's stack, and the stack is no good (Linux:
/// `do_fast_syscall_32`, whose get_user leaves 0 where the argument would be).
pub extern "C" fn bad_stack_32(regs: &mut PtRegs) {
    regs.rbp &= !u64::from(u32::MAX);
    regs.rax = Errno::EFAULT.number().wrapping_neg();
    exit_work(regs);
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

/// What must be done before ring 3 goes on; nothing, nearly always.
#[inline(always)]
pub fn exit_work(regs: &mut PtRegs) {
    if percpu::has_work() {
        work(regs);
    }
}

/// What it is.
#[cold]
fn work(regs: &mut PtRegs) {
    mm::follow_landing_pad(regs);
    signal::exit_work(regs);
}
