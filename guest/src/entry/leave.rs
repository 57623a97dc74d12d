//! The way out by IRETQ, which all doors share. (SYSCALL's short way is in its
//! own file.)

use super::pop_registers;
use core::arch::naked_asm;

/// Returns to ring 3.
///
/// On arrival: rsp = a complete PtRegs of ring 3; gs = this CPU's block;
/// interrupts off.
#[unsafe(naked)]
pub extern "C" fn return_to_user() -> ! {
    naked_asm!(
        pop_registers!(), // rsp = orig_rax
        "add rsp, 8",     // rsp = rip, cs, rflags, rsp, ss
        "swapgs",         // gs = user's
        "jmp {iret}",
        iret = sym iret_to_user,
    )
}

/// The only IRETQ to ring 3, because it may fault: a program can make the
/// segment in its SS go away with set_thread_area(2). The fault comes in ring
/// 0 with the user's gs; `vectors::exception` knows this address.
///
/// On arrival: rsp = rip, cs, rflags, rsp, ss; all other registers, gs
/// included, the user's.
#[unsafe(naked)]
pub extern "C" fn iret_to_user() -> ! {
    naked_asm!("iretq")
}
