//! The door of SYSCALL from 32-bit code (AMD APM vol. 3), used as the vDSO's
//! `__kernel_vsyscall` uses it: the kernel finds the second argument in EBP and
//! the sixth on the stack, and returns to the vDSO, which pops what was pushed
//! and returns to its caller.
//!
//! In 64-bit kernels only AMD's CPUs have it; Intel's raise #UD.
#![allow(unsafe_code, reason = "a system call is one instruction")]

use super::door::door;

door!(
    "call 2f", // where the vDSO returns to
    "jmp 3f",
    "2: push ecx",
    "push edx",
    "push ebp",     // the sixth argument, where the kernel reads it
    "mov ebp, ecx", // SYSCALL puts the return address into ECX
    "syscall",      // the kernel never returns behind it
    "ud2",
    "3:"
);
