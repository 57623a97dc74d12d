//! Ring 3 of bare round trips: a program for each, of `job::ring3`'s text. They
//! run where they are copied to.
//!
//! A loop with INT 0x80, INT3 or a call gate is five instructions, as is one
//! with SYSCALL; with SYSENTER seven, because its caller says in RCX where to
//! come back, and its handler puts RSP back; a handler of #UD steps over the
//! instruction, one of #PF also over the error code.
#![allow(unsafe_code, reason = "assembly")]

use super::tables::at;
use crate::ring3::{assemble, program};
use trapgate_abi::job::bare;

// The programs, by their addresses in the kernel's image, between two ends.
unsafe extern "C" {
    pub(super) fn bare_ring3();
    pub(super) fn bare_ring3_end();
    fn bare_ring3_syscall();
    fn bare_ring3_sysenter();
    fn bare_ring3_int80();
    fn bare_ring3_int3();
    fn bare_ring3_invalid_opcode();
    fn bare_ring3_page_fault();
    fn bare_ring3_call_gate();
}

/// The program of an item.
pub(super) fn program(item: u64) -> Option<unsafe extern "C" fn()> {
    Some(match item {
        bare::SYSCALL => bare_ring3_syscall,
        bare::SYSENTER => bare_ring3_sysenter,
        bare::INT80 => bare_ring3_int80,
        bare::INT3 => bare_ring3_int3,
        bare::INVALID_OPCODE => bare_ring3_invalid_opcode,
        bare::PAGE_FAULT => bare_ring3_page_fault,
        bare::CALL_GATE => bare_ring3_call_gate,
        _ => return None,
    })
}

/// SYSENTER and back; `$place` makes labels differ.
macro_rules! sysenter {
    ($place:literal) => {
        concat!(
            "lea rcx, [rip + .Lbare_back_",
            $place,
            "]\n", // what SYSRET puts into RIP
            "sysenter\n",
            ".Lbare_back_",
            $place,
            ":\n"
        )
    };
}

/// A program, which says by HLT that it is done: #GP, on every KVM, and no
/// item's door.
macro_rules! ring3 {
    ($name:literal, $first:expr, $batch:expr, $single:expr) => {
        program!($name, "hlt\n", $first, $batch, $single)
    };
    ($name:literal, $through:literal) => {
        ring3!($name, concat!($through, "\n"), concat!($through, "\n"), concat!($through, "\n"))
    };
}

/// The address of one of `Ring3`'s words.
macro_rules! word {
    ($field:ident) => {
        at!(ring3.$field)
    };
}

assemble!(
    word,
    ".pushsection .text.bare, \"ax\"",
    ".globl bare_ring3",
    "bare_ring3:",
    ring3!("bare_ring3_syscall", "syscall"), // rcx = rip, r11 = rflags
    ring3!("bare_ring3_sysenter", sysenter!("first"), sysenter!("batch"), sysenter!("single")),
    ring3!("bare_ring3_int80", "int 0x80"),
    ring3!("bare_ring3_int3", "int3"),
    ring3!("bare_ring3_invalid_opcode", "ud2"),
    ring3!("bare_ring3_page_fault", "mov eax, dword ptr [r8]"),
    ring3!("bare_ring3_call_gate", "call fword ptr [{far}]"),
    ".globl bare_ring3_end",
    "bare_ring3_end:",
    ".globl bare_ring3_syscall",
    ".globl bare_ring3_sysenter",
    ".globl bare_ring3_int80",
    ".globl bare_ring3_int3",
    ".globl bare_ring3_invalid_opcode",
    ".globl bare_ring3_page_fault",
    ".globl bare_ring3_call_gate",
    ".popsection"
    ; far = const at!(far)
);
