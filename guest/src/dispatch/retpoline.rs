//! An indirect call that can be made without the CPU's prediction of where it
//! goes.
#![allow(unsafe_code, reason = "the call is inline assembly")]

use core::arch::{asm, naked_asm};
use trapgate_abi::PtRegs;
use trapgate_abi::mitigation::{Step, keep};
use trapgate_arch::site::site;
use trapgate_kernel::sys::table::Handler;

/// `handler(regs)`, through [`jump_to_rax`] if the step is on.
#[inline(always)]
pub(super) fn call(handler: Handler, regs: &PtRegs) -> u64 {
    let result;
    // SAFETY: the call of a function by its own convention; one of the two
    // sites is NOPs.
    unsafe {
        asm!(
            site!("retpoline", "call {thunk}"),
            site!("ordinary", "call rax"),
            retpoline = const Step::Retpoline.bit(),
            ordinary = const keep::NO_RETPOLINE,
            thunk = sym jump_to_rax,
            inout("rax") handler => result,
            in("rdi") regs,
            clobber_abi("C"),
        );
    }
    result
}

/// Goes on at rax, by a RET: what the CPU predicts for that is the address that
/// the CALL has just pushed, where there is nothing but waiting (Intel,
/// "Retpoline: A Branch Target Injection Mitigation").
#[unsafe(naked)]
unsafe extern "C" fn jump_to_rax() -> ! {
    naked_asm!(
        "call 3f",
        "2: pause", // only ever speculatively
        "lfence",
        "jmp 2b",
        "3: mov [rsp], rax", // where it really goes
        "ret",
        "int3",
    )
}
