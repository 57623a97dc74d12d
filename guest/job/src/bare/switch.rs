//! From ring 0 to a job's ring 3 and back.
#![allow(unsafe_code, reason = "assembly")]

use super::tables::{FLAGS, Page, USER_STACK};
use core::arch::naked_asm;
use core::mem::offset_of;
use trapgate_abi::layout::{DIRECT_MAP, JOB};
use trapgate_abi::x86::selector;

/// Runs ring 3 from `program` on until it says that it is done, or an exception
/// ends it.
///
/// On arrival: ring 0, interrupts off; gates and MSRs are those of `tables`, the
/// page is filled in.
///
/// ```text
/// STACK_TOP       │ where start puts a program's  │ the CPU's frames of ring 3's
/// STACK_TOP-176   │ registers: no program is here │ doors and exceptions
///                 ├───────────────────────────────┤
/// rsp at the call │ return address                │
///           -48   │ rbx rbp r12 r13 r14 r15       │ ← rsp in the page, until bare_leave
///           -88   │ ss rsp rflags cs rip          │ gone with IRET
/// ```
///
/// # Safety
/// As on arrival; nothing of `start`'s may be at the stack's top.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn run(program: u64) {
    naked_asm!(
        "push rbx",                             // what the ABI preserves
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rax, {page}",
        "mov [rax + {rsp}], rsp",
        "push {user_ds}",
        "push {user_stack}",
        "push {flags}",
        "push {user_cs}",
        "push rdi",
        "mov r10d, {user_stack}",               // for SYSENTER's handler: ring 3's RSP
        "mov r11d, {flags}",                    // and RFLAGS
        "xor r8d, r8d",                         // a page that is not there
        "iretq",                                // ring 3
        page = const DIRECT_MAP + JOB,
        rsp = const offset_of!(Page, rsp),
        user_ds = const selector::USER_DS,
        user_stack = const USER_STACK,
        flags = const FLAGS,
        user_cs = const selector::USER_CS,
    )
}

/// The way back.
///
/// On arrival: ring 0, interrupts off; rsp = some stack of ring 0's; gs = this
/// CPU's block; ss = null or ring 0's; nothing else matters any more.
///
/// # Safety
/// Only the exceptions of `doors` may come here.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn bare_leave() {
    naked_asm!(
        "mov rax, {page}",
        "mov rsp, [rax + {rsp}]",               // measure's stack
        "mov eax, {kernel_ds}",
        "mov ss, eax",                          // as before
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "cld",
        "ret",
        page = const DIRECT_MAP + JOB,
        rsp = const offset_of!(Page, rsp),
        kernel_ds = const selector::KERNEL_DS,
    )
}
