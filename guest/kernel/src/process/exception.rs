//! What exceptions do to the running task: a missing page is put there, anything
//! else is a signal that it caused itself, and that acts before it goes on.
//!
//! The roof calls this when it has found that the exception is no door.

use crate::log::log;
use crate::mm::fault;
use crate::mm::space::FaultError;
use crate::process::exit;
use crate::process::task::current;
use crate::signal::exception::{describe, signal_of};
use trapgate_abi::PtRegs;
use trapgate_abi::log::{Event, Level};
use trapgate_abi::x86::vector;
use trapgate_uapi::signal::{SIGBUS, SIGSEGV};

/// A page fault in ring 3.
pub fn page_fault(regs: &PtRegs, address: u64) {
    match fault::serve(&current().process.memory, address, regs.orig_rax) {
        Ok(()) => log(Level::Trace, Event::PageIn, [address, 1, regs.rip, 0]),
        Err(FaultError::OutOfMemory) => exit::out_of_memory(regs),
        Err(FaultError::Beyond) => {
            current().signals.force(SIGBUS, describe(regs, vector::PF.into(), address));
        }
        Err(FaultError::NotMapped | FaultError::Access | FaultError::Absent) => {
            caused(regs, vector::PF.into(), address);
        }
    }
}

/// A page fault in ring 0, at an instruction that may fault on a user address.
/// False: the access cannot be had.
pub fn page_fault_of_kernel(regs: &PtRegs, address: u64, error_code: u64) -> bool {
    match fault::serve(&current().process.memory, address, error_code) {
        Ok(()) => true,
        Err(FaultError::OutOfMemory) => exit::out_of_memory(regs),
        Err(_) => false,
    }
}

/// Any other exception, which the task caused itself.
pub fn caused(regs: &PtRegs, vector: u64, address: u64) {
    current().signals.force(signal_of(vector), describe(regs, vector, address));
}

/// A frame that the CPU refused to return by is the program's own doing, whatever
/// the vector (Linux: `bad_iret`).
pub fn bad_iret(regs: &PtRegs, vector: u64) {
    current().signals.force(SIGSEGV, describe(regs, vector, 0));
}
