//! From a complete frame to the handler: number, table, call, result.
//!
//! `entry` calls [`syscall_64`] and its kin from the doors; `exception` calls
//! [`call_64`] and its kin for doors that arrive as exceptions, and prepares the
//! return itself.

mod row;
#[cfg(feature = "instrumented")]
mod trace;

use row::{Row, call};
use trapgate_abi::PtRegs;
#[cfg(feature = "instrumented")]
use trapgate_arch::stamp;
use trapgate_kernel::process::prepare_return::prepare_return;
#[cfg(feature = "test-hook")]
use trapgate_kernel::process::test_hook;
use trapgate_kernel::sys::table::{SYS_CALL_TABLE_32, SYS_CALL_TABLE_64};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{I386_COUNT, X86_64_COUNT};

/// The door of the x86-64 and x32 ABIs. `way`, here and below, is for the trace:
/// the bits of a [`trapgate_abi::trace::Way`], if the run is traced.
pub extern "C" fn syscall_64(regs: &mut PtRegs, way: u64) {
    call_64(regs, way);
    prepare_return(regs);
}

/// The same door with stamps.
#[cfg(feature = "instrumented")]
pub extern "C" fn syscall_64_stamped(regs: &mut PtRegs, way: u64) {
    let row = row_64(regs);
    stamp::found();
    regs.rax = call!(SYS_CALL_TABLE_64, row, regs, way, [entered_64, left_64]);
    stamp::handled();
    prepare_return(regs);
}

/// The doors of the i386 ABI.
pub extern "C" fn syscall_32(regs: &mut PtRegs, way: u64) {
    call_32(regs, way);
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
pub fn call_64(regs: &mut PtRegs, way: u64) {
    #[cfg(feature = "test-hook")]
    if let Some(result) = test_hook::call(regs, regs.orig_rax, [regs.rdi, regs.rsi, regs.rdx]) {
        regs.rax = result;
        return;
    }
    regs.rax = call!(SYS_CALL_TABLE_64, row_64(regs), regs, way, [entered_64, left_64]);
}

/// A call of the i386 ABI.
#[inline(always)]
pub fn call_32(regs: &mut PtRegs, way: u64) {
    #[cfg(feature = "test-hook")]
    if let Some(result) = test_hook::call(regs, regs.orig_rax, [regs.rbx, regs.rcx, regs.rdx]) {
        regs.rax = result;
        return;
    }
    let row = Row::<{ I386_COUNT as u32 }>::of(regs.orig_rax as u32);
    regs.rax = call!(SYS_CALL_TABLE_32, row, regs, way, [entered_32, left_32]);
}

/// A call by SYSENTER or by SYSCALL from compatibility mode, which leave the
/// sixth argument on the user's stack, and the stack is no good (Linux:
/// `do_fast_syscall_32`, whose get_user leaves 0 where the argument would be).
pub fn refuse_32(regs: &mut PtRegs) {
    regs.rbp &= !u64::from(u32::MAX);
    regs.rax = Errno::EFAULT.number().wrapping_neg();
}

/// The row of a call of the x86-64 or x32 ABI.
#[inline(always)]
fn row_64(regs: &PtRegs) -> Row<{ X86_64_COUNT as u32 }> {
    Row::of(regs.orig_rax as u32)
}
