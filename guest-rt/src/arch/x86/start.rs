//! A program's first instructions. The kernel jumps to `_start`; that calls
//! the program's `main` through [`crate::entry!`].
#![allow(unsafe_code, reason = "the first instructions have no stack frame yet")]

use super::vsyscall;
use crate::{Args, exit};
use core::arch::naked_asm;

/// The program's entry point.
///
/// On arrival (System V ABI for i386, 2.3.2): esp is a multiple of 16 and
/// points at argc; edx = 0 or a function for atexit; all else is undefined.
///
/// ```text
///         │ auxiliary vector, AT_NULL last │
///         │ envp, NULL last                │
///    +4   │ argv, NULL last                │
///    +0   │ argc                           │ ← esp
/// ```
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "xor ebp, ebp",      // the outermost frame: backtraces end here
        "mov eax, esp",      // eax = the initial stack
        "sub esp, 12",       // one word more, and it is a multiple of 16
        "push eax",          // as the ABI wants it at a call
        "call {start}",
        "ud2",               // it does not return
        start = sym start,
    )
}

unsafe extern "Rust" {
    /// The program's main: [`crate::entry!`] defines it.
    safe fn trapgate_main(args: Args) -> i32;
}

/// Hands over to safe code.
extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: `_start` passes what the kernel built, which nobody moves.
    let args = unsafe { Args::from_stack(stack) };
    vsyscall::init(args);
    exit(trapgate_main(args))
}
