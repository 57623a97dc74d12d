//! Where a new thread of ring 3 begins.

use super::leave;
use core::arch::naked_asm;
use trapgate_abi::PtRegs;
use trapgate_kernel::process::prepare_return::prepare_return;
use trapgate_kernel::sched::switch;

/// The first switch to the thread comes here.
///
/// On arrival: rsp = the complete PtRegs that it was made with, at the end of its own
/// stack; gs = this CPU's block; interrupts off.
///
/// # Safety
/// Only `arch::switch` may come here.
#[unsafe(naked)]
pub unsafe extern "C" fn first_return() -> ! {
    naked_asm!(
        "mov rdi, rsp",
        "call {begin}",
        "jmp {leave}", // rsp = PtRegs
        begin = sym begin,
        leave = sym leave::return_to_user,
    )
}

/// What is done before.
extern "C" fn begin(regs: &mut PtRegs) {
    switch::finish();
    prepare_return(regs);
}
