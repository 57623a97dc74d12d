//! Calls that nobody answers: counted, noted for whoever asks why a program failed, and
//! ENOSYS.

use super::define::encode;
use crate::log::log;
use trapgate_abi::PtRegs;
use trapgate_abi::log::{Event, Level};
use trapgate_arch::percpu;
use trapgate_uapi::Errno;

/// A call without a handler: Linux's `sys_ni_syscall`.
pub(super) extern "C-unwind" fn no_call_of_x86_64(regs: &PtRegs) -> u64 {
    unknown(regs, 0);
    encode(Err(Errno::ENOSYS))
}

/// The same by the i386 convention.
pub(super) extern "C-unwind" fn no_call_of_i386(regs: &PtRegs) -> u64 {
    unknown(regs, 1);
    encode(Err(Errno::ENOSYS))
}

/// Notes a call of x86-64's of which nobody answers what was asked for.
pub(super) fn note_of_x86_64(regs: &PtRegs) {
    unknown(regs, 0);
}

/// The same of i386's.
pub(super) fn note_of_i386(regs: &PtRegs) {
    unknown(regs, 1);
}

/// Notes a call that nobody answers. `abi`: 0 for 64-bit, 1 for i386.
#[cold]
fn unknown(regs: &PtRegs, abi: u64) {
    percpu::count!(unknown_calls, 1);
    percpu::set_counter!(last_unknown_call, regs.orig_rax);
    log(Level::Info, Event::UnknownCall, [regs.orig_rax, abi, regs.rip, 0]);
}
