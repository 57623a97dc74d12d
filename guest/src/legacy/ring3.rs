//! Ring 3 of legacy mode: the loops that measure a door.
//!
//! One program for each door, from one text: a first call that may fail, batches
//! (which warm up what comes next), then single calls. A call and its empty
//! counterpart take turns, so that what disturbs one disturbs the other.
//!
//! The loop is three instructions besides the door: MOV EAX, CS, which in the
//! loop with the door is ring 0's; DEC; JNZ. So a loop with INT 0x80 and IRET is
//! 5 instructions, with SYSCALL and SYSRET 5, with SYSENTER and SYSEXIT 7: their
//! caller says in ECX and EDX where to come back.
#![allow(unsafe_code, reason = "assembly")]

use super::tables::{FINISH, PHYSICAL, at};
use core::arch::global_asm;
use trapgate_abi::legacy::phase;

// The programs, by their addresses in the kernel's image.
unsafe extern "C" {
    pub(super) fn legacy_ring3_int80();
    pub(super) fn legacy_ring3_sysenter();
    pub(super) fn legacy_ring3_syscall();
}

/// A door and back; `$place` makes labels differ.
macro_rules! through {
    (int80, $place:literal) => {
        "int 0x80\n"
    };
    (syscall, $place:literal) => {
        "syscall\n" // ecx = eip
    };
    (sysenter, $place:literal) => {
        concat!(
            "mov ecx, esp\n", // what SYSEXIT puts into ESP
            "mov edx, offset .Llegacy_back_",
            $place,
            " + {physical}\n", // and into EIP
            "sysenter\n",
            ".Llegacy_back_",
            $place,
            ":\n"
        )
    };
}

/// Reads the time-stamp counter, with nothing in flight before or after: RDTSC
/// and no RDTSCP, which not every CPU has, between two LFENCE (Intel SDM vol.
/// 2B, "RDTSC").
macro_rules! time {
    () => {
        "lfence\n rdtsc\n lfence\n"
    };
}

/// The program for one door. On arrival: ring 3, ds = es = ss = flat data, esp =
/// USER_STACK, empty.
macro_rules! program {
    ($name:literal, $door:ident) => {
        concat!(
            ".globl legacy_ring3_",
            $name,
            "\n",
            "legacy_ring3_",
            $name,
            ":\n",
            // The first call: ring 0's CS shall come back, and all else as it was.
            "mov dword ptr [{phase}], {trying}\n",
            "xor eax, eax\n",
            through!($door, "first"),
            "mov dword ptr [{crossed_eax}], eax\n",
            "mov dword ptr [{crossed_esp}], esp\n",
            "mov eax, cs\n",
            "mov dword ptr [{crossed_cs}], eax\n",
            "mov eax, ss\n",
            "mov dword ptr [{crossed_ss}], eax\n",
            "mov dword ptr [{phase}], {measuring}\n",
            "mov edi, dword ptr [{batches_at}]\n",
            "2:\n",
            time!(),
            "mov ebx, eax\n",
            "mov ebp, edx\n", // ebp:ebx = the time before
            "mov esi, dword ptr [{calls}]\n",
            "3:\n",
            through!($door, "batch"),
            "dec esi\n",
            "jnz 3b\n",
            time!(),
            "sub eax, ebx\n",
            "sbb edx, ebp\n",
            "mov dword ptr [edi], eax\n",
            "mov dword ptr [edi + 4], edx\n",
            time!(),
            "mov ebx, eax\n",
            "mov ebp, edx\n",
            "mov esi, dword ptr [{calls}]\n",
            "4:\n",
            "mov eax, cs\n", // what ring 0 does, without the door
            "dec esi\n",
            "jnz 4b\n",
            time!(),
            "sub eax, ebx\n",
            "sbb edx, ebp\n",
            "mov dword ptr [edi + 8], eax\n",
            "mov dword ptr [edi + 12], edx\n",
            "add edi, 16\n",
            "dec dword ptr [{batches}]\n",
            "jnz 2b\n",
            "mov edi, dword ptr [{samples_at}]\n",
            "mov esi, dword ptr [{samples}]\n",
            "5:\n",
            time!(),
            "mov ebx, eax\n", // ebx = the time before, its low half
            through!($door, "single"),
            time!(),
            "sub eax, ebx\n",
            "mov dword ptr [edi], eax\n",
            time!(),
            "mov ebx, eax\n",
            time!(),
            "sub eax, ebx\n",
            "mov dword ptr [edi + 4], eax\n", // the empty bracket
            "add edi, 8\n",
            "dec esi\n",
            "jnz 5b\n",
            "mov dword ptr [{phase}], {done}\n",
            "int {finish}\n", // does not come back
        )
    };
}

global_asm!(
    ".pushsection .legacy, \"ax\"",
    ".code32",
    program!("int80", int80),
    program!("sysenter", sysenter),
    program!("syscall", syscall),
    ".code64",
    ".popsection",
    physical = const PHYSICAL,
    phase = const at!(phase),
    trying = const phase::TRYING as u32,
    measuring = const phase::MEASURING as u32,
    done = const phase::DONE as u32,
    crossed_eax = const at!(crossed_eax),
    crossed_esp = const at!(crossed_esp),
    crossed_cs = const at!(crossed_cs),
    crossed_ss = const at!(crossed_ss),
    samples = const at!(samples),
    samples_at = const at!(samples_at),
    batches = const at!(batches),
    batches_at = const at!(batches_at),
    calls = const at!(calls),
    finish = const FINISH,
);
