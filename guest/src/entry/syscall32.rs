//! The door of SYSCALL from compatibility mode, which AMD has (AMD APM vol. 3,
//! "SYSCALL"): closed until there are 32-bit programs.
//!
//! It must exist all the same: any program can jump into compatibility mode,
//! and CSTAR is where the CPU then goes, in ring 0, with the user's stack
//! pointer. An address there that faults would push the fault's frame
//! wherever the program wants it.

use core::arch::naked_asm;
use trapgate_abi::Errno;

/// CSTAR points here.
///
/// On arrival: ring 0, 64-bit mode; ecx = user EIP, r11 = user RFLAGS, eax =
/// number; rsp = user's, gs = user's. Nothing is pushed, nothing is saved: the
/// call answers ENOSYS, as Linux does without IA32 emulation
/// (`entry_SYSCALL32_ignore`).
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_syscall_32() -> ! {
    naked_asm!(
        "mov eax, {enosys}",
        ".byte 0x0f, 0x07",     // SYSRET without REX.W: back to compatibility mode
        enosys = const -(Errno::ENOSYS.number() as i32),
    )
}
