//! Ring 0 of bare round trips: handlers that answer and go back, and what ends
//! an attempt.
//!
//! Each answers in EAX with its own CS, which ring 3 could not know otherwise:
//! one instruction, so that what is measured is the CPU's way in and out. Those
//! of faults must also step over the instruction, which would fault again.
#![allow(unsafe_code, reason = "assembly")]

use super::switch::bare_leave;
use super::tables::Page;
use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;
use trapgate_abi::layout::{DIRECT_MAP, JOB, VECTOR_STRIDE};
use trapgate_abi::x86::vector;

/// SYSCALL: rcx = where to return to, r11 = flags; rsp = ring 3's.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn bare_syscall() {
    naked_asm!("mov eax, cs", "sysretq")
}

/// SYSENTER: rcx, r11 and r10 = ring 3's RIP, RFLAGS and RSP, by agreement;
/// rsp = SYSENTER_ESP.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn bare_sysenter() {
    naked_asm!("mov eax, cs", "mov rsp, r10", "sysretq")
}

/// INT 0x80 and INT3: rsp = rip, cs, rflags, rsp, ss; rip is behind the
/// instruction.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn bare_int() {
    naked_asm!("mov eax, cs", "iretq")
}

/// #UD: as [`bare_int`], but rip is at UD2, two bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn bare_invalid_opcode() {
    naked_asm!("mov eax, cs", "add qword ptr [rsp], 2", "iretq")
}

/// #PF: rsp = error code, rip, cs, rflags, rsp, ss; rip is at the load, three
/// bytes. It is stepped over, and the page stays away.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn bare_page_fault() {
    naked_asm!("mov eax, cs", "add rsp, 8", "add qword ptr [rsp], 3", "iretq")
}

/// A call gate: rsp = rip, cs, rsp, ss; ss = null.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn bare_call_gate() {
    naked_asm!("mov eax, cs", "retfq")
}

unsafe extern "C" {
    /// The first of 32 stubs, [`VECTOR_STRIDE`] bytes apart.
    pub(super) fn bare_exceptions();
}

// Exceptions that nobody measures. On arrival at a stub: ring 0, interrupts off;
// from ring 3, or from a handler in ring 0; gs = this CPU's block.
//
// ```text
//   +32  │ rflags, rsp, ss          │ not looked at
//   +24  │ cs                       │
//   +16  │ rip                      │
//    +8  │ error code, or -1        │
//    +0  │ vector                   │ ← rsp at bare_exception
// ```
global_asm!(
    ".pushsection .text.bare, \"ax\"",
    ".balign {stride}",
    ".globl bare_exceptions",
    "bare_exceptions:",
    ".set bare_vector, 0",
    ".rept 32",
    ".balign {stride}",
    ".if (({error_codes} >> bare_vector) & 1)",
    ".else",
    "  push -1",
    ".endif",
    "  push bare_vector",
    "  jmp bare_exception",
    ".set bare_vector, bare_vector + 1",
    ".endr",
    ".balign {stride}",
    "bare_exception:",
    "mov rax, {page}",
    "pop rcx",
    "mov dword ptr [rax + {vector}], ecx",
    "pop rcx",
    "mov dword ptr [rax + {error_code}], ecx",
    "pop qword ptr [rax + {ip}]",
    "pop rcx",
    "mov dword ptr [rax + {cs}], ecx",
    "jmp {leave}",                              // the attempt is over
    ".popsection",
    stride = const VECTOR_STRIDE,
    error_codes = const vector::ERROR_CODES,
    page = const DIRECT_MAP + JOB,
    vector = const offset_of!(Page, ring3.vector),
    error_code = const offset_of!(Page, ring3.error_code),
    ip = const offset_of!(Page, ring3.ip),
    cs = const offset_of!(Page, ring3.cs),
    leave = sym bare_leave,
);
