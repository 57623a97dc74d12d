//! The door of SYSENTER (Intel SDM vol. 2B), used as the vDSO's
//! `__kernel_vsyscall` uses it: the kernel finds the stack in EBP and the sixth
//! argument there, and returns to the vDSO, which pops what was pushed and
//! returns to its caller.
//!
//! In 64-bit kernels only Intel's CPUs have it for programs; AMD's raise #UD.
#![allow(unsafe_code, reason = "a system call is one instruction")]

use super::door::door;

door!(
    "call 2f", // where the vDSO returns to
    "jmp 3f",
    "2: push ecx",
    "push edx",
    "push ebp",     // the sixth argument, where the kernel reads it
    "mov ebp, esp", // SYSENTER saves no stack pointer
    "sysenter",     // the kernel never returns behind it
    "ud2",
    "3:"
);
