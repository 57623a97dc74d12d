//! What exceptions do to the running task: a missing page is put there, anything
//! else is a signal that it caused itself, and that acts before it goes on.
//!
//! The roof calls this when it has found that the exception is no door.

use crate::log::log;
use crate::mm::fault;
use crate::mm::space::FaultError;
use crate::process::exit;
use crate::process::task::current;
use crate::process::user_state;
use crate::sched::registers;
use crate::signal::exception::{NO_CALL, Status, describe, error_code, signal_of};
use crate::signal::info::Info;
use crate::signal::signals::{Forced, LastFault};
use trapgate_abi::PtRegs;
use trapgate_abi::layout::USER_END;
use trapgate_abi::log::{Event, Level};
use trapgate_abi::x86::{page_fault, vector};
use trapgate_arch::cpu;
use trapgate_uapi::siginfo::{BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR};
use trapgate_uapi::signal::{SIGBUS, SIGSEGV};

/// A page fault in ring 3.
pub fn page_fault(regs: &mut PtRegs, address: u64) {
    let (signal, code) = match fault::serve(&current().process.memory, address, regs.orig_rax) {
        Ok(()) => {
            regs.orig_rax = NO_CALL;
            return log(Level::Trace, Event::PageIn, [address, 1, regs.rip, 0]);
        }
        Err(FaultError::OutOfMemory) => exit::out_of_memory(regs),
        Err(FaultError::Beyond) => (SIGBUS, BUS_ADRERR),
        Err(FaultError::Access) => (SIGSEGV, SEGV_ACCERR),
        Err(FaultError::NotMapped | FaultError::Absent) => (SIGSEGV, SEGV_MAPERR),
    };
    // Whether there is a page in the kernel's half is not the program's to know.
    let hidden = if address >= USER_END { page_fault::P } else { 0 };
    let err = regs.orig_rax | hidden;
    let fault = LastFault { trapno: vector::PF.into(), err, cr2: address };
    current().signals.note_fault(|last| *last = fault);
    force(regs, vector::PF.into(), address, Info::of_fault(signal, code, address));
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
pub fn caused(regs: &mut PtRegs, number: u64) {
    let Some(info) = signal_of(number, regs.rip, status(number)) else {
        regs.orig_rax = NO_CALL;
        return;
    };
    note(number, error_code(regs));
    force(regs, number, 0, info);
}

/// A frame that the CPU refused to return by is the program's own doing, whatever
/// the vector (Linux: `bad_iret`).
pub fn bad_iret(regs: &mut PtRegs, number: u64) {
    note(number, error_code(regs));
    force(regs, number, 0, Info::of_kernel(SIGSEGV));
}

fn note(number: u64, err: u64) {
    current().signals.note_fault(|last| (last.trapno, last.err) = (number, err));
}

/// The signal acts before the task goes on. What it was interrupted in was no call.
fn force(regs: &mut PtRegs, number: u64, address: u64, info: Info) {
    let fault = describe(regs, number, address);
    regs.orig_rax = NO_CALL;
    current().signals.force(Forced { info, fault, is_fatal: false });
}

/// What the CPU says of an exception besides.
fn status(number: u64) -> Status {
    let mut status = Status::default();
    match number as u8 {
        vector::DB => status.dr6 = cpu::take_debug_status(),
        vector::MF | vector::XM => {
            user_state::claim();
            // Without memory for them it is none that anybody knows.
            let _ = registers::save(|area| {
                status.x87 = [area.get(0), area.get(2)];
                status.mxcsr = area.get(24);
            });
        }
        _ => {}
    }
    status
}
