//! Which signal an exception is, and what is told of it.

use trapgate_abi::PtRegs;
use trapgate_abi::crash::{Fault, NO_VECTOR, call};
use trapgate_abi::x86::{selector, vector};
use trapgate_arch::usercopy::read_prefix;
use trapgate_uapi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

/// The exception's error code, 0 where the CPU pushed none.
pub const fn error_code(regs: &PtRegs) -> u64 {
    if regs.orig_rax == u64::MAX { 0 } else { regs.orig_rax }
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
fn call_of(regs: &PtRegs) -> u64 {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let mut code = [0; 2];
    if regs.orig_rax == u64::MAX {
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

/// The signal that Linux sends for an exception in ring 3
/// (arch/x86/kernel/traps.c, by vector).
pub fn signal_of(number: u64) -> u8 {
    match number as u8 {
        vector::DE | vector::MF | vector::XM => SIGFPE,
        vector::DB | vector::BP => SIGTRAP,
        vector::UD => SIGILL,
        vector::NP | vector::SS | vector::AC => SIGBUS,
        _ => SIGSEGV,
    }
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
        for (number, signal) in expected {
            assert_eq!(signal_of(number.into()), signal, "vector {number}");
        }
    }
}
