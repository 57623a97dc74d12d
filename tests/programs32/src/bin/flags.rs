//! `flags DOOR`: each flag of EFLAGS that a program can set comes back, and
//! those that it cannot set stay as they are.
//!
//! `flags DOOR nt`: the same for NT alone, which a software KVM may lose on the
//! way.
#![no_std]
#![no_main]

use trapgate_programs32::crossing::{EAX, PLAIN_FLAGS, State, cross};
use trapgate_programs32::{Door, Report};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

const FLAGS: [(&str, u32); 10] = [
    ("none", 0),
    ("CF", 1 << 0),
    ("PF", 1 << 2),
    ("AF", 1 << 4),
    ("ZF", 1 << 6),
    ("SF", 1 << 7),
    ("DF", 1 << 10),
    ("OF", 1 << 11),
    ("AC", 1 << 18),
    ("ID", 1 << 21),
];
const IF: u32 = 1 << 9;
const IOPL: u32 = 3 << 12;
const NT: u32 = 1 << 14;

fn main(args: Args) -> i32 {
    let door = Door::of(args);
    let mut report = Report::new();
    if args.arg(2) == Some(b"nt") {
        check(&mut report, door, "NT", NT, PLAIN_FLAGS | NT);
        return report.status();
    }
    let mut all = 0;
    for (flag, bits) in FLAGS {
        all |= bits;
        check(&mut report, door, flag, bits, PLAIN_FLAGS | bits);
    }
    check(&mut report, door, "all", all, PLAIN_FLAGS | all);
    // POPF in ring 3 ignores these.
    check(&mut report, door, "IF cleared", 0, PLAIN_FLAGS & !IF);
    check(&mut report, door, "IOPL set", 0, PLAIN_FLAGS | IOPL);
    report.status()
}

fn check(report: &mut Report, door: Door, what: &str, expected: u32, popped: u32) {
    let mut before = State::poison();
    before.general[EAX] = nr32::GETPID;
    before.eflags = popped;
    let (_, after) = cross(door, &before);
    let expected = (PLAIN_FLAGS | expected) & door.kept_flags();
    let got = after.eflags & door.kept_flags();
    println!("{what}: {got:#x}");
    if got != expected {
        report.failed(format_args!("eflags should be {expected:#x}"));
    }
}
