//! The way out by IRETQ, which all doors share. (SYSCALL's short way is in its
//! own file.)

use super::pop_registers;
use core::arch::naked_asm;

/// Returns to ring 3.
///
/// On arrival: rsp = a complete PtRegs of ring 3; gs = this CPU's block;
/// interrupts off. IRETQ takes the frame's last five words.
#[unsafe(naked)]
pub extern "C" fn return_to_user() -> ! {
    naked_asm!(
        pop_registers!(), // rsp = orig_rax
        "add rsp, 8",     // rsp = rip, cs, rflags, rsp, ss
        "swapgs",         // gs = user's
        "iretq",
    )
}
