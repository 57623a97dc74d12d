//! From 64-bit mode to legacy protected mode and back (Intel SDM vol. 3, 9.8.5;
//! AMD APM vol. 2, 14.6 and 14.7).
//!
//! Long mode ends when paging ends, and paging can only end in compatibility
//! mode, on a page whose linear address is its physical one. The VMM has mapped
//! the kernel's image and the page of `tables` so, in this VM only.
#![allow(unsafe_code, reason = "assembly")]

use super::tables::{KERNEL_STACK, PHYSICAL, USER_STACK, at, selector};
use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;
use trapgate_abi::x86::{cr0, efer, msr, rflags, selector as long};
use trapgate_arch::gdt::TableRegister;

unsafe extern "C" {
    fn legacy_enter();
}

/// Runs ring 3 in legacy mode until it says that it is done, or an exception
/// ends it.
///
/// On arrival: 64-bit mode, ring 0, interrupts off; the page of `tables` is
/// filled in, the MSRs of the doors are set.
///
/// ```text
/// rsp at the call  │ return address               │
///            -48   │ rbx rbp r12 r13 r14 r15      │ ← rsp in the page, until the way back
///            -64   │ cs, eip of legacy_enter      │ gone with RETF
/// ```
///
/// # Safety
/// As on arrival; the image and the page must be mapped to their physical
/// addresses. GS must be set again afterwards.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn run() {
    naked_asm!(
        "push rbx",                             // what the ABI preserves:
        "push rbp",                             // legacy mode keeps no high halves
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [{long_rsp}], rsp",
        "sgdt [{long_gdtr}]",
        "sidt [{long_idtr}]",
        "lgdt [{gdtr}]",                        // 64-bit segments as before, and 32-bit ones
        "push {kernel_cs}",
        "mov eax, offset {enter} + {physical}",
        "push rax",
        "retfq",                                // compatibility mode, at the physical address
        long_rsp = const at!(long_rsp),
        long_gdtr = const at!(long_gdtr),
        long_idtr = const at!(long_idtr),
        gdtr = const at!(gdtr),
        kernel_cs = const selector::KERNEL_CS,
        enter = sym legacy_enter,
        physical = const PHYSICAL,
    )
}

// The 32-bit part. On arrival at `legacy_enter`: compatibility mode, ring 0,
// paging on, eip = physical; ss = null or 64-bit data, rsp = the kernel's; no
// push until ESP is ours.
//
// ```text
// KERNEL_STACK  ┌───────────────────────┐
//           -4  │ ss     = USER_DS      │
//           -8  │ esp    = USER_STACK   │
//          -12  │ eflags = IF           │
//          -16  │ cs     = USER_CS      │
//          -20  │ eip    = program      │ ← esp at IRET
//               └───────────────────────┘
// ```
//
// On arrival at `legacy_leave`, from an exception or ring 3's last gate: legacy
// mode, ring 0, interrupts off; ds = ring 3's flat data; esp = some stack of the
// page; nothing else matters any more.
global_asm!(
    ".pushsection .legacy, \"ax\"",
    ".code32",
    ".globl legacy_enter",
    "legacy_enter:",
    "mov eax, cr0",
    "and eax, {no_paging}",
    "mov cr0, eax",                             // paging off: LMA = 0, legacy mode
    "jmp 2f",                                   // as the manuals want it after MOV CR0
    "2:",
    "mov ecx, {efer}",
    "rdmsr",
    "and eax, {no_long_mode}",                  // paging shall not bring long mode back
    "or eax, {sce}",                            // SYSCALL, where the CPU has it
    "wrmsr",
    "mov eax, {user_ds}",
    "mov ds, eax",                              // flat; ring 0 may use it, too
    "mov es, eax",
    "mov eax, {kernel_ds}",
    "mov ss, eax",
    "mov esp, {kernel_stack}",                  // own stack from here on
    "lidt [{idtr}]",                            // exceptions end the attempt from here on
    "mov eax, {tss}",
    "ltr ax",                                   // ss0 and esp0 for INT
    "push {user_ds}",
    "push {user_stack}",
    "push {flags}",
    "push {user_cs}",
    "push dword ptr [{program}]",
    "iretd",                                    // ring 3

    ".globl legacy_leave",
    "legacy_leave:",
    "mov ecx, {efer}",
    "mov eax, dword ptr [{long_efer}]",
    "mov edx, dword ptr [{long_efer} + 4]",
    "wrmsr",                                    // LME is on again
    "mov eax, cr0",
    "or eax, {paging}",
    "mov cr0, eax",                             // paging on: LMA = 1, compatibility mode
    "push {long_cs}",
    "mov eax, offset {back} + {physical}",
    "push eax",
    "retf",                                     // 64-bit mode, at the physical address
    ".code64",
    ".popsection",
    no_paging = const !(cr0::PG as u32),
    paging = const cr0::PG as u32,
    efer = const msr::EFER,
    no_long_mode = const !((efer::LME | efer::LMA) as u32),
    sce = const efer::SCE as u32,
    user_ds = const selector::USER_DS,
    user_cs = const selector::USER_CS,
    kernel_ds = const selector::KERNEL_DS,
    kernel_stack = const KERNEL_STACK,
    user_stack = const USER_STACK,
    flags = const (rflags::FIXED | rflags::IF) as u32,
    idtr = const at!(idtr),
    tss = const selector::TSS,
    program = const at!(program),
    long_efer = const at!(long_efer),
    long_cs = const long::KERNEL_CS,
    back = sym back,
    physical = const PHYSICAL,
);

/// The way back.
///
/// On arrival: 64-bit mode, ring 0, paging on, rip = physical; the upper halves
/// of all registers are undefined; GDTR, IDTR, TR and the data segments are
/// legacy mode's.
///
/// # Safety
/// Only `legacy_leave` may come here.
#[unsafe(naked)]
unsafe extern "C" fn back() {
    naked_asm!(
        "lgdt [{long_gdtr}]",
        "lidt [{long_idtr}]",                   // the kernel's exceptions again
        "mov eax, {data}",
        "mov ss, eax",
        "xor eax, eax",
        "mov ds, eax",                          // null, as before
        "mov es, eax",
        "mov fs, eax",
        "mov gs, eax",                          // its base comes later, by MSR
        "mov rax, [{long_gdtr} + {base}]",
        "and byte ptr [rax + {tss} + 5], 0xfd", // LTR wants one that is not busy
        "mov eax, {tss}",
        "ltr ax",
        "mov rsp, [{long_rsp}]",                // the kernel's stack
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",                                  // at the kernel's address again
        long_gdtr = const at!(long_gdtr),
        long_idtr = const at!(long_idtr),
        long_rsp = const at!(long_rsp),
        base = const offset_of!(TableRegister, base),
        data = const long::KERNEL_DS,
        tss = const long::TSS,
    )
}
