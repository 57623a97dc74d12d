//! `numbers DOOR`: numbers that no call of i386 has, by this door.
#![no_std]
#![no_main]

use trapgate_programs32::{Door, Outcome, Report};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::{X32_BIT, nr32};
use trapgate_uapi::{Errno, syscall};

trapgate_rt::entry!(main);

/// From 463 on Linux grows.
const UNKNOWN: [u32; 28] = [
    // Taken, but nothing answers.
    17,
    31,
    32,
    35,
    44,
    53,
    56,
    58,
    98,
    // Free.
    222,
    223,
    251,
    285,
    387,
    415,
    // Beyond the table, by one and by more.
    syscall::I386_COUNT as u32 + 100,
    1000,
    4096,
    // With x32's bit: i386 has none.
    X32_BIT | nr32::GETPID,
    X32_BIT,
    0x7fff_ffff,
    // Negative.
    0x8000_0000,
    0x8000_0000 | nr32::GETPID,
    0xffff_ff00,
    0xffff_fffe,
    0xffff_ffff,
    // A good number in half a register.
    nr32::GETPID << 16,
    0x1_0000 | nr32::GETPID,
];

fn main(args: Args) -> i32 {
    let door = Door::of(args);
    let mut report = Report::new();
    for number in UNKNOWN {
        let got = door.call(number, &[u32::MAX; 6]);
        println!("{number:#x}: {}", Outcome(got));
        if got != Err(Errno::ENOSYS) {
            report.failed(format_args!("{number:#x} should be unknown"));
        }
    }
    // The doors have one table.
    let pid = Door::Int80.call(nr32::GETPID, &[]);
    report.holds("getpid is INT 0x80's", door.call(nr32::GETPID, &[]) == pid);
    report.status()
}
