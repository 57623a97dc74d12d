//! Tries one door: getpid twice and exit, by SYSCALL or by INT 0x80 alone.
//!
//! `trapgate doctor` runs it. Status 0: the door works; 1: it answers, but
//! wrongly; 2: not told which door. Prints nothing.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "makes its calls by the door itself")]

use trapgate_abi::errno::is_error;
use trapgate_abi::syscall::{nr32, nr64};
use trapgate_rt::{Args, int80, syscall64};

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    match args.arg(1) {
        Some(b"syscall64") => probe_syscall64(),
        Some(b"int80") => probe_int80(),
        _ => 2,
    }
}

/// 0 for two equal, positive answers.
fn status(first: u64, second: u64) -> u32 {
    let good = first == second && first != 0 && !is_error(first);
    u32::from(!good)
}

#[inline(never)]
fn probe_syscall64() -> ! {
    // SAFETY: getpid touches no memory, exit_group ends the program.
    unsafe {
        let first = syscall64::call0(nr64::GETPID);
        let second = syscall64::call0(nr64::GETPID);
        syscall64::call1(nr64::EXIT_GROUP, status(first, second).into());
    }
    unreachable!("exit_group returned")
}

#[inline(never)]
fn probe_int80() -> ! {
    // SAFETY: getpid touches no memory, exit_group ends the program.
    unsafe {
        let first = int80::call0(nr32::GETPID);
        let second = int80::call0(nr32::GETPID);
        int80::call1(nr32::EXIT_GROUP, status(first, second));
    }
    unreachable!("exit_group returned")
}
