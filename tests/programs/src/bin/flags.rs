//! RFLAGS across both doors: each flag that a program can set comes back, and
//! those that it cannot set stay as they are.
//!
//! `flags nt`: the same for NT alone, which a software KVM may lose on the way.
#![no_std]
#![no_main]

use trapgate_abi::x86::rflags;
use trapgate_programs::Report;
use trapgate_programs::crossing::{PLAIN_FLAGS, R11, RAX, State, by_int80, by_syscall};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::{nr32, nr64};

trapgate_rt::entry!(main);

type Door = fn(&State) -> (State, State);

const FLAGS: [(&str, u64); 10] = [
    ("none", 0),
    ("CF", rflags::CF),
    ("PF", 1 << 2),
    ("AF", 1 << 4),
    ("ZF", 1 << 6),
    ("SF", 1 << 7),
    ("DF", rflags::DF),
    ("OF", 1 << 11),
    ("AC", rflags::AC),
    ("ID", 1 << 21),
];

fn main(args: Args) -> i32 {
    let mut report = Report::new();
    let doors: [(&str, Door, u32); 2] =
        [("SYSCALL", by_syscall, nr64::GETPID), ("INT 0x80", by_int80, nr32::GETPID)];
    for (door, cross, number) in doors {
        if args.arg(1) == Some(b"nt") {
            let popped = PLAIN_FLAGS | rflags::NT;
            check(&mut report, door, cross, number, "NT", rflags::NT, popped);
            continue;
        }
        let mut all = 0;
        for (flag, bits) in FLAGS {
            all |= bits;
            check(&mut report, door, cross, number, flag, bits, PLAIN_FLAGS | bits);
        }
        check(&mut report, door, cross, number, "all", all, PLAIN_FLAGS | all);
        // POPF in ring 3 ignores these.
        let fixed = rflags::IF;
        check(&mut report, door, cross, number, "IF cleared", 0, PLAIN_FLAGS & !fixed);
        check(&mut report, door, cross, number, "IOPL set", 0, PLAIN_FLAGS | rflags::IOPL);
    }
    report.status()
}

fn check(
    report: &mut Report,
    door: &str,
    cross: Door,
    number: u32,
    what: &str,
    expected: u64,
    popped: u64,
) {
    let mut before = State::poison();
    before.general[RAX] = number.into();
    before.rflags = popped;
    let (_, after) = cross(&before);
    let expected = PLAIN_FLAGS | expected;
    let got = after.rflags;
    println!("{door}, {what}: {got:#x}");
    if got != expected {
        report.failed(format_args!("rflags should be {expected:#x}"));
    }
    if door == "SYSCALL" && after.general[R11] != expected {
        let r11 = after.general[R11];
        report.failed(format_args!("r11 is {r11:#x}, not {expected:#x}"));
    }
}
