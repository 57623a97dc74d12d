//! A call as trace records: the registers that it came with, and what it answered.
//!
//! The dispatch of the instrumented image calls this around a handler, if the run
//! is traced. A call that does not come back has no second record.

use super::args;
use crate::process::task::current;
use crate::trace::{self, Caller};
use trapgate_abi::PtRegs;
use trapgate_abi::trace::{Door, Entry, Exit, RecordId, Way};
use trapgate_uapi::syscall::{Abi, X32_BIT};

/// A call of the x86-64 or x32 ABI begins; `way` are the bits of a [`Way`]. The
/// number of its record.
#[inline]
pub fn entered_64(regs: &PtRegs, way: u64) -> RecordId {
    entered(regs, way, abi_64(regs.orig_rax as u32), args::x64(regs))
}

/// A call of the i386 ABI begins.
#[inline]
pub fn entered_32(regs: &PtRegs, way: u64) -> RecordId {
    entered(regs, way, Abi::I386, args::ia32(regs))
}

/// A call of the x86-64 or x32 ABI ends, with its result in place.
#[inline]
pub fn left_64(regs: &PtRegs, entry: RecordId) {
    left(regs, abi_64(regs.orig_rax as u32), entry);
}

/// A call of the i386 ABI ends.
#[inline]
pub fn left_32(regs: &PtRegs, entry: RecordId) {
    left(regs, Abi::I386, entry);
}

/// Whose number it is.
fn abi_64(number: u32) -> Abi {
    if number & X32_BIT != 0 { Abi::X32 } else { Abi::X86_64 }
}

fn caller() -> Caller {
    let task = current();
    Caller { thread: task.tid(), process: task.pid }
}

#[inline(always)]
fn entered(regs: &PtRegs, way: u64, abi: Abi, arguments: args::Registers) -> RecordId {
    // The entry code makes no others.
    let way = Way::from_bits(way).unwrap_or(Way::native(Door::Syscall64));
    let (number, ip, sp) = (regs.orig_rax, regs.rip, regs.rsp);
    trace::enter(caller(), &Entry { way, abi, number, arguments, ip, sp })
}

#[inline(always)]
fn left(regs: &PtRegs, abi: Abi, entry: RecordId) {
    trace::leave(caller(), &Exit { entry, abi, number: regs.orig_rax, result: regs.rax });
}
