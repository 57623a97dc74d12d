//! `step DOOR`: single-steps over the door's instruction, that is with TF set;
//! `DOOR` is `syscall` or `int80`. Dies by SIGTRAP; the test compares where, and
//! with which registers.
//!
//! `step DOOR resume`: RF set instead, which nothing shows afterwards.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "sets flags in front of a door")]

use core::arch::naked_asm;
use trapgate_abi::x86::rflags;
use trapgate_programs::jump::{Jump, back_address};
use trapgate_programs::{BAD_FD, PAGE, Report, map_at, poke_u64};
use trapgate_rt::{Args, eprintln};
use trapgate_uapi::syscall::{nr32, nr64};

trapgate_rt::entry!(main);

/// What is always set.
const PLAIN: u64 = 0x202;
const STACK: u64 = 0x2100_0000;

type Code = unsafe extern "C" fn();

fn main(args: Args) -> i32 {
    let (number, step, resume): (u32, Code, Code) = match args.arg(1) {
        Some(b"syscall") => (nr64::CLOSE, step_syscall, resume_syscall),
        Some(b"int80") => (nr32::CLOSE, step_int80, resume_int80),
        _ => {
            eprintln!("first argument: syscall or int80");
            return 2;
        }
    };
    map_at(STACK, 1);
    let top = STACK + PAGE / 2;
    let put = |words: &[u64]| {
        for (index, word) in (0..).zip(words) {
            poke_u64(top + 8 * index, *word);
        }
    };
    let registers = Jump {
        rax: number.into(),
        rbx: BAD_FD,
        rdi: BAD_FD,
        rcx: 0x33,
        rdx: 0x44,
        rsi: 0x55,
        r11: 0x11,
        rsp: top,
        ..Jump::default()
    };
    if args.arg(2) != Some(b"resume") {
        // What POPFQ takes, and RET.
        put(&[PLAIN | rflags::TF, back_address()]);
        Jump { rip: step as *const () as u64, ..registers }.go();
        eprintln!("survived");
        return 1;
    }
    // What IRETQ takes: the door behind it, the flags, the stack with the way
    // back.
    let iretq = resume as *const () as u64;
    put(&[iretq + 2, 0x33, PLAIN | rflags::RF, top + 40, 0x2b, back_address()]);
    let flags = Jump { rip: iretq, ..registers }.go();
    let mut report = Report::new();
    report.equals("r11 behind SYSCALL, the flags behind INT 0x80", flags, PLAIN);
    report.status()
}

#[unsafe(naked)]
unsafe extern "C" fn step_syscall() {
    naked_asm!("popfq", "syscall", "nop", "nop", "ret")
}

#[unsafe(naked)]
unsafe extern "C" fn step_int80() {
    naked_asm!("popfq", "int 0x80", "nop", "nop", "ret")
}

/// Answers what SYSCALL left in R11.
#[unsafe(naked)]
unsafe extern "C" fn resume_syscall() {
    naked_asm!("iretq", "syscall", "mov rax, r11", "ret")
}

/// Answers the flags.
#[unsafe(naked)]
unsafe extern "C" fn resume_int80() {
    naked_asm!("iretq", "int 0x80", "pushfq", "pop rax", "ret")
}
