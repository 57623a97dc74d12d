//! Which signal an exception is, and what is told of it: its handler, and who reads a
//! report of the program's end.

use super::info::Info;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{Fault, NO_VECTOR, call};
use trapgate_abi::x86::{selector, vector};
use trapgate_arch::usercopy::read_prefix;
use trapgate_uapi::siginfo::{
    BUS_ADRALN, FPE_FLTDIV, FPE_FLTINV, FPE_FLTOVF, FPE_FLTRES, FPE_FLTUND, FPE_INTDIV, ILL_ILLOPN,
    TRAP_BRKPT, TRAP_HWBKPT, TRAP_TRACE,
};
use trapgate_uapi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

/// In `orig_rax`: what was interrupted was no call.
pub const NO_CALL: u64 = u64::MAX;

/// The exception's error code, 0 where the CPU pushed none.
pub const fn error_code(regs: &PtRegs) -> u64 {
    if regs.orig_rax == NO_CALL { 0 } else { regs.orig_rax }
}

/// The circumstances of an exception in ring 3, with the code at RIP.
pub fn describe(regs: &PtRegs, vector: u64, address: u64) -> Fault {
    let mut code = [0; 16];
    // As much of it as there is: the instruction may end at the page's end.
    let code_len = match read_prefix(&mut code, regs.rip) {
        0 => read_prefix(&mut code[..(4096 - regs.rip as usize % 4096).min(16)], regs.rip),
        length => length,
    };
    let (low, high) = code.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    Fault {
        vector,
        error_code: if vector == NO_VECTOR { call_of(regs) } else { error_code(regs) },
        address,
        code_low: word(low),
        code_high: word(high),
        code_len: code_len as u64,
    }
}

/// Which table's call the task is in, or none: [`call`]. Where it goes on is behind
/// the instruction that made it.
pub fn call_of(regs: &PtRegs) -> u64 {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let mut code = [0; 2];
    if regs.orig_rax == NO_CALL {
        call::NONE
    } else if regs.cs == u64::from(selector::USER_CS)
        && read_prefix(&mut code, regs.rip.wrapping_sub(2)) == code.len()
        && code == SYSCALL
    {
        call::X86_64
    } else {
        call::I386
    }
}

/// What the CPU says of an exception besides its vector.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// DR6, for #DB.
    pub dr6: u64,
    /// x87's control and status words, for #MF.
    pub x87: [u16; 2],
    /// MXCSR, for #XM.
    pub mxcsr: u32,
}

/// The signal that Linux sends for an exception in ring 3, but a page fault, at `rip`
/// (arch/x86/kernel/traps.c, by vector); `None`, if it was none in the end.
pub fn signal_of(number: u64, rip: u64, status: Status) -> Option<Info> {
    let at = |signal, code| Info::of_fault(signal, code, rip);
    Some(match number as u8 {
        vector::DE => at(SIGFPE, FPE_INTDIV),
        vector::MF | vector::XM => at(SIGFPE, fpe_code(number, status)?),
        vector::DB => at(SIGTRAP, debug_code(status.dr6)),
        vector::BP => Info::of_kernel(SIGTRAP),
        vector::UD => at(SIGILL, ILL_ILLOPN),
        vector::NP | vector::SS => Info::of_kernel(SIGBUS),
        vector::AC => Info::of_fault(SIGBUS, BUS_ADRALN, 0),
        _ => Info::of_kernel(SIGSEGV),
    })
}

/// Why the CPU stopped to be debugged (Intel SDM vol. 3, 17.2.3).
const fn debug_code(dr6: u64) -> i32 {
    const BREAKPOINTS: u64 = 0xf;
    const SINGLE_STEP: u64 = 1 << 14;
    if dr6 & SINGLE_STEP != 0 {
        TRAP_TRACE
    } else if dr6 & BREAKPOINTS != 0 {
        TRAP_HWBKPT
    } else {
        TRAP_BRKPT
    }
}

/// Which of the conditions that are not masked it was: the first, in the order in which the
/// CPU looks (Intel SDM vol. 1, 8.5 and 11.5).
fn fpe_code(number: u64, status: Status) -> Option<i32> {
    let conditions = if number as u8 == vector::MF {
        let [control, status] = status.x87;
        u32::from(status & !control)
    } else {
        status.mxcsr & !(status.mxcsr >> 7)
    };
    let codes = [
        (0x01, FPE_FLTINV),
        (0x04, FPE_FLTDIV),
        (0x08, FPE_FLTOVF),
        (0x12, FPE_FLTUND), // a denormal operand, too
        (0x20, FPE_FLTRES),
    ];
    codes.into_iter().find(|(bits, _)| conditions & bits != 0).map(|(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exception_becomes_linuxs_signal() {
        let expected = [
            (vector::DE, 8),
            (vector::DB, 5),
            (vector::BP, 5),
            (vector::OF, 11),
            (vector::UD, 4),
            (vector::GP, 11),
            (vector::PF, 11),
            (vector::SS, 7),
            (vector::NP, 7),
            (vector::MF, 8),
            (vector::AC, 7),
            (vector::XM, 8),
            (vector::TS, 11),
            (0x90, 11),
        ];
        let status = Status { x87: [0, 4], mxcsr: 1, ..Status::default() };
        for (number, signal) in expected {
            let found = signal_of(number.into(), 0, status).map(|info| info.signal);
            assert_eq!(found, Some(signal), "vector {number}");
        }
    }

    #[test]
    fn a_floating_point_exception_is_the_first_that_is_not_masked() {
        let x87 = |control, status| {
            fpe_code(vector::MF.into(), Status { x87: [control, status], ..Status::default() })
        };
        assert_eq!(x87(0x37b, 0x24), Some(FPE_FLTDIV));
        assert_eq!(x87(0x37f, 0x24), None);
        assert_eq!(x87(0x340, 0x3f), Some(FPE_FLTINV));
        let sse = |mxcsr| fpe_code(vector::XM.into(), Status { mxcsr, ..Status::default() });
        assert_eq!(sse(0x1f80 & !(1 << 12) | 0x20), Some(FPE_FLTRES));
        assert_eq!(sse(0x1f80 & !(1 << 8) | 2), Some(FPE_FLTUND));
        assert_eq!(sse(0x1f80 | 0x3f), None);
    }

    #[test]
    fn a_step_a_breakpoint_and_an_instruction_for_debuggers_are_told_apart() {
        let codes = [1 << 14, 1, 0].map(debug_code);
        assert_eq!(codes, [TRAP_TRACE, TRAP_HWBKPT, TRAP_BRKPT]);
    }
}
