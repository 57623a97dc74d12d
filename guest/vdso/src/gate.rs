//! `linux-gate.so.1`: the 32-bit program's way to the kernel, whichever door
//! this CPU has, and the two ways back from a signal handler. The C library
//! finds `__kernel_vsyscall` by AT_SYSINFO.
//!
//! All of it is assembly, with what an unwinder needs to get through.
#![allow(unsafe_code, reason = "nothing else can be at a given place on a given stack")]

use core::arch::global_asm;
use trapgate_uapi::syscall::nr32;

// __kernel_vsyscall
//
// On arrival: a call's number in eax, its arguments in ebx, ecx, edx, esi, edi,
// ebp; called as a function. On return eax has the result, and nothing else has
// changed.
//
// SYSENTER saves no return address and no stack pointer, SYSCALL puts the
// return address into ecx. So what they destroy is pushed, and the kernel finds
// the sixth argument on the stack:
//
//   +12  │ return address │
//    +8  │ ecx            │
//    +4  │ edx            │
//    +0  │ ebp, argument 6│ ← esp, and ebp at SYSENTER
//
// The kernel returns to int80_landing_pad, by whatever door it was entered
// (abi::boot_info::BootInfo::landing_pad). Where neither door is, the slot is
// four NOPs, and INT 0x80 it is. The VMM writes the slot (trapgate::boot::vdso).
global_asm!(
    ".text",
    ".balign 16",
    ".globl __kernel_vsyscall",
    ".type __kernel_vsyscall, @function",
    "__kernel_vsyscall:",
    ".cfi_startproc",
    "push ecx", // SYSENTER: the kernel returns esp in it
    ".cfi_adjust_cfa_offset 4",
    ".cfi_rel_offset ecx, 0",
    "push edx", // SYSENTER: the kernel returns eip in it
    ".cfi_adjust_cfa_offset 4",
    ".cfi_rel_offset edx, 0",
    "push ebp", // where the kernel looks for argument 6
    ".cfi_adjust_cfa_offset 4",
    ".cfi_rel_offset ebp, 0",
    ".globl vsyscall_slot",
    "vsyscall_slot:",
    ".fill 4, 1, 0x90", // or: mov ebp, esp; sysenter
    // or: mov ebp, ecx; syscall
    "int 0x80", // also a restarted call's way in, with all registers
    ".globl int80_landing_pad",
    "int80_landing_pad:", // eax = the result
    "pop ebp",
    ".cfi_restore ebp",
    ".cfi_adjust_cfa_offset -4",
    "pop edx",
    ".cfi_restore edx",
    ".cfi_adjust_cfa_offset -4",
    "pop ecx",
    ".cfi_restore ecx",
    ".cfi_adjust_cfa_offset -4",
    "ret",
    ".cfi_endproc",
    ".size __kernel_vsyscall, . - __kernel_vsyscall",
);

// __kernel_sigreturn and __kernel_rt_sigreturn
//
// A handler that was set without SA_RESTORER returns to one of them. On arrival
// esp is behind the address that the handler's RET has popped:
//
//   sigreturn                            rt_sigreturn
//      +4 │ struct sigcontext │            +160 │ struct sigcontext │
//      +0 │ signal            │ ← esp        +0 │ signal            │ ← esp
//
// To an unwinder all registers of the interrupted code are in the sigcontext:
// `saved` says where, by DW_CFA_def_cfa_expression and DW_CFA_expression over
// DW_OP_breg4 (esp). The NOP in front is for unwinders that look one byte
// before a return address. Debuggers know these functions by their bytes.
global_asm!(
    // DW_CFA_expression: register `number` is at esp + `offset`, a SLEB128 of
    // two bytes.
    ".macro saved_at number, offset",
    ".cfi_escape 0x10, \\number, 3, 0x74, ((\\offset) & 0x7f) | 0x80, (\\offset) >> 7",
    ".endm",
    // The registers of the sigcontext at esp + `base`, numbered as DWARF does.
    ".macro saved base",
    // The frame's own address is the interrupted esp: DW_OP_breg4, DW_OP_deref.
    ".cfi_escape 0x0f, 4, 0x74, ((\\base + 28) & 0x7f) | 0x80, (\\base + 28) >> 7, 0x06",
    "saved_at 0, (\\base + 44)", // eax
    "saved_at 1, (\\base + 40)", // ecx
    "saved_at 2, (\\base + 36)", // edx
    "saved_at 3, (\\base + 32)", // ebx
    "saved_at 5, (\\base + 24)", // ebp
    "saved_at 6, (\\base + 20)", // esi
    "saved_at 7, (\\base + 16)", // edi
    "saved_at 8, (\\base + 56)", // eip
    ".endm",
    ".text",
    ".balign 16",
    ".cfi_startproc simple",
    ".cfi_signal_frame",
    "saved 4",
    "nop",
    ".globl __kernel_sigreturn",
    ".type __kernel_sigreturn, @function",
    "__kernel_sigreturn:",
    "pop eax",               // the signal's number, which nobody wants
    "saved 0",
    "mov eax, {sigreturn}",
    "int 0x80",              // does not return
    ".cfi_endproc",
    ".size __kernel_sigreturn, . - __kernel_sigreturn",
    ".balign 16",
    ".cfi_startproc simple",
    ".cfi_signal_frame",
    "saved 160",
    "nop",
    ".globl __kernel_rt_sigreturn",
    ".type __kernel_rt_sigreturn, @function",
    "__kernel_rt_sigreturn:",
    "mov eax, {rt_sigreturn}",
    "int 0x80",              // does not return
    ".cfi_endproc",
    ".size __kernel_rt_sigreturn, . - __kernel_rt_sigreturn",
    sigreturn = const nr32::SIGRETURN,
    rt_sigreturn = const nr32::RT_SIGRETURN,
);
