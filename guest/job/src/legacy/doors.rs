//! Ring 0 of legacy mode: where the doors lead, and what ends an attempt.
//!
//! Each door answers in EAX with its own CS and goes back: one instruction, so
//! that what is measured is the CPU's way in and out. The answer cannot come
//! from ring 3, whose CS is another.
#![allow(unsafe_code, reason = "assembly")]

use super::tables::{Addresses, at, physical};
use core::arch::global_asm;
use trapgate_abi::layout::VECTOR_STRIDE;
use trapgate_abi::x86::vector;

unsafe extern "C" {
    fn legacy_int80();
    fn legacy_sysenter();
    fn legacy_syscall();
    fn legacy_exceptions();
    fn legacy_leave();
}

/// Where they are in physical memory.
pub(super) fn addresses() -> Addresses {
    Addresses {
        exceptions: physical(legacy_exceptions),
        int80: physical(legacy_int80),
        sysenter: physical(legacy_sysenter),
        syscall: physical(legacy_syscall),
        finish: physical(legacy_leave),
    }
}

// The doors. On arrival at all three: legacy mode, ring 0, paging off,
// interrupts off; ds, es = ring 3's flat data; eax is free.
//
// - `legacy_int80`: esp = KERNEL_STACK - 20, from the TSS; the CPU has pushed
//   ss, esp, eflags, cs, eip.
// - `legacy_sysenter`: esp = SYSENTER_ESP; ecx = ring 3's esp, edx = where to
//   return to, both by agreement. IF stays 0 after SYSEXIT: a system would STI
//   first, and nothing here waits for an interrupt.
// - `legacy_syscall`: esp = ring 3's; ecx = ring 3's eip. SYSRET sets IF.
//
// The exceptions. On arrival at a stub: ring 0, interrupts off; from ring 3, or
// from a door in ring 0.
//
// ```text
//   +16/8  │ (esp, ss from ring 3) eflags   │ not looked at
//      +8  │ cs                             │
//      +4  │ eip                            │
//      +0  │ error code, or -1              │ ← esp when the vector is in eax
// ```
global_asm!(
    ".pushsection .legacy, \"ax\"",
    ".code32",
    ".globl legacy_int80",
    "legacy_int80:",
    "mov eax, cs",                              // the answer
    "iretd",

    ".globl legacy_sysenter",
    "legacy_sysenter:",
    "mov eax, cs",
    "sysexit",                                  // EIP = edx, ESP = ecx

    ".globl legacy_syscall",
    "legacy_syscall:",
    "mov eax, cs",
    ".byte 0x0f, 0x07",                         // SYSRET: EIP = ecx

    ".globl legacy_exceptions",
    ".balign {stride}",
    "legacy_exceptions:",
    ".set legacy_vector, 0",
    ".rept 32",
    ".balign {stride}",
    ".if (({error_codes} >> legacy_vector) & 1)",
    ".else",
    "  push -1",
    ".endif",
    "  mov eax, legacy_vector",
    "  jmp legacy_exception",
    ".set legacy_vector, legacy_vector + 1",
    ".endr",
    ".balign {stride}",
    "legacy_exception:",
    "mov dword ptr [{vector}], eax",
    "pop dword ptr [{error_code}]",
    "pop dword ptr [{eip}]",
    "pop dword ptr [{cs}]",
    "jmp legacy_leave",                         // the attempt is over
    ".code64",
    ".popsection",
    stride = const VECTOR_STRIDE,
    error_codes = const vector::ERROR_CODES,
    vector = const at!(ring3.vector),
    error_code = const at!(ring3.error_code),
    eip = const at!(ring3.ip),
    cs = const at!(ring3.cs),
);
