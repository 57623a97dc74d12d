//! `step DOOR`: single-steps over the door's instruction, that is with TF set;
//! `DOOR` is `syscall` or `int80`. Dies by SIGTRAP; the test compares where, and
//! with which registers.
//!
//! `step DOOR resume`: RF set instead, which nothing shows afterwards.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "sets flags in front of a door")]

use core::arch::naked_asm;
use trapgate_abi::syscall::{nr32, nr64};
use trapgate_abi::x86::rflags;
use trapgate_programs::jump::{Jump, back_address};
use trapgate_programs::{BAD_FD, PAGE, Report, map_at, poke_u64};
use trapgate_rt::{Args, eprintln};

trapgate_rt::entry!(main);

/// What is always set.
const PLAIN: u64 = 0x202;

const STACK: u64 = 0x2100_0000;

fn main(args: Args) -> i32 {
    let (number, code): (u32, unsafe extern "C" fn()) = match args.arg(1) {
        Some(b"syscall") => (nr64::CLOSE, by_syscall),
        Some(b"int80") => (nr32::CLOSE, by_int80),
        _ => {
            eprintln!("first argument: syscall or int80");
            return 2;
        }
    };
    let resume = args.arg(2) == Some(b"resume");
    map_at(STACK, 1);
    let top = STACK + PAGE / 2;
    // What IRETQ takes: behind it, the flags, and the stack with the way back.
    let flags = PLAIN | if resume { rflags::RF } else { rflags::TF };
    let door = code as *const () as u64 + 2;
    let words = [door, 0x33, flags, top + 40, 0x2b, back_address()];
    for (index, word) in (0..).zip(words) {
        poke_u64(top + 8 * index, word);
    }
    let result = Jump {
        rax: number.into(),
        rbx: BAD_FD,
        rdi: BAD_FD,
        rcx: 0x33,
        rdx: 0x44,
        rsi: 0x55,
        r11: 0x11,
        rsp: top,
        rip: door - 2,
        ..Jump::default()
    }
    .go();
    if !resume {
        eprintln!("survived");
        return 1;
    }
    let mut report = Report::new();
    report.equals("r11 behind SYSCALL, the flags behind INT 0x80", result, PLAIN);
    report.status()
}

/// Through IRETQ to the door; answers what SYSCALL left in R11.
#[unsafe(naked)]
unsafe extern "C" fn by_syscall() {
    naked_asm!("iretq", "syscall", "nop", "nop", "mov rax, r11", "ret")
}

/// Through IRETQ to the door; answers the flags.
#[unsafe(naked)]
unsafe extern "C" fn by_int80() {
    naked_asm!("iretq", "int 0x80", "nop", "nop", "pushfq", "pop rax", "ret")
}
