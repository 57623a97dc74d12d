//! From a complete frame to the handler: number, table, call, result.
//!
//! `entry` calls [`syscall_64`] and [`syscall_32`] from the doors, `fault`
//! calls them for doors that arrive as exceptions.

pub mod args;
pub mod define;
pub mod table;

use crate::arch::cpu::array_index_nospec;
use crate::arch::percpu;
use crate::log::log;
use crate::return_path::{ReturnPath, return_path};
use crate::sys::signal;
use table::{SYS_CALL_TABLE_32, SYS_CALL_TABLE_64, SYS_CALL_TABLE_X32};
use trapgate_abi::PtRegs;
use trapgate_abi::log::{Event, Level};
use trapgate_abi::syscall::{I386_COUNT, X32_BIT, X32_COUNT, X86_64_COUNT};

/// What stands in a table: the outermost layer of a definition. The result is
/// what the program finds in RAX.
pub type Handler = extern "C" fn(&PtRegs) -> u64;

/// A call of the x86-64 or x32 ABI. True if the way back may be SYSRET.
///
/// The number is the low 32 bits of RAX, as in Linux. An index is checked
/// unsigned, so a negative number is a huge one.
pub extern "C" fn syscall_64(regs: &mut PtRegs) -> bool {
    let number = regs.orig_rax as u32 as usize;
    if number < X86_64_COUNT {
        let index = array_index_nospec(number, X86_64_COUNT);
        regs.rax = SYS_CALL_TABLE_64[index](regs);
    } else {
        syscall_x32(regs);
    }
    exit_work(regs);
    return_path(regs) == ReturnPath::Sysret
}

/// A call of the x32 ABI, or none at all: the frame says -ENOSYS already.
#[cold]
fn syscall_x32(regs: &mut PtRegs) {
    let number = (regs.orig_rax as u32).wrapping_sub(X32_BIT) as usize;
    if number < X32_COUNT {
        let index = array_index_nospec(number, X32_COUNT);
        regs.rax = SYS_CALL_TABLE_X32[index](regs);
    } else {
        unknown(regs, 0);
    }
}

/// A call of the i386 ABI.
pub extern "C" fn syscall_32(regs: &mut PtRegs) {
    let number = regs.orig_rax as u32 as usize;
    if number < I386_COUNT {
        let index = array_index_nospec(number, I386_COUNT);
        regs.rax = SYS_CALL_TABLE_32[index](regs);
    } else {
        unknown(regs, 1);
    }
    exit_work(regs);
}

/// What must be done before ring 3 goes on; nothing, nearly always.
#[inline(always)]
fn exit_work(regs: &mut PtRegs) {
    if percpu::get!(work) != 0 {
        signal::exit_work(regs);
    }
}

/// Notes a call that nobody answers. `abi`: 0 for 64-bit, 1 for i386.
#[cold]
fn unknown(regs: &PtRegs, abi: u64) {
    percpu::count!(unknown_calls, 1);
    percpu::set_counter!(last_unknown_call, regs.orig_rax);
    log(Level::Info, Event::UnknownCall, [regs.orig_rax, abi, regs.rip, 0]);
}
