//! Numbers that no call has, numbers with more bits than they should, and
//! arguments with more bits than their types.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "passes whole registers to the doors")]

use trapgate_programs::{BAD_FD, Outcome, Report, call, call_i386};
use trapgate_rt::{Args, STDOUT, int80, println, syscall64};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::{X32_BIT, nr32, nr64};

trapgate_rt::entry!(main);

/// Numbers without a call, in whole registers. From 463 on Linux grows, 335 and
/// 336 are for its uprobes alone: so they are not here.
const UNKNOWN_64: [u64; 25] = [
    // Taken, but nothing answers.
    156,
    174,
    177,
    178,
    180,
    181,
    182,
    183,
    184,
    185,
    214,
    215,
    236,
    // Free.
    350,
    400,
    423, // x32's own, without its bit.
    512,
    547, // Beyond the table.
    548,
    1000,
    4096,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    u64::MAX,
];
const UNKNOWN_X32: [u64; 3] = [548, 1000, 0x3fff_ffff];
const UNKNOWN_32: [u64; 20] = [
    // Taken, but nothing answers.
    17,
    31,
    32,
    35,
    44,
    53,
    56,
    58,
    98, // Free.
    222,
    223,
    251,
    285,
    387,
    415, // Beyond the table.
    1000,
    0x4000_0014,
    0x8000_0000,
    0xffff_ffff,
    u64::MAX,
];
/// High halves that a number's register may have: only the low half counts.
const HIGH: [u64; 3] = [1 << 32, 1 << 63, 0xffff_ffff << 32];

/// Arguments that no call can do anything with.
const HARMLESS: [u64; 6] = [u64::MAX; 6];

fn by_syscall(rax: u64) -> Result<u64, Errno> {
    // SAFETY: the arguments are no addresses and no descriptors.
    from_return(unsafe { syscall64::call(rax, HARMLESS) })
}

fn by_int80(rax: u64) -> Result<u64, Errno> {
    // SAFETY: as above.
    from_return(unsafe { int80::call(rax, HARMLESS) })
}

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    numbers_64(&mut report);
    numbers_32(&mut report);
    arguments(&mut report);
    report.status()
}

fn unknown(report: &mut Report, door: &str, number: u64, got: Result<u64, Errno>) {
    println!("{door} {number:#x}: {}", Outcome(got));
    if got != Err(Errno::ENOSYS) {
        report.failed(format_args!("{number:#x} should be unknown"));
    }
}

fn numbers_64(report: &mut Report) {
    for number in UNKNOWN_64 {
        unknown(report, "SYSCALL", number, by_syscall(number));
    }
    for number in UNKNOWN_X32 {
        let number = u64::from(X32_BIT) | number;
        unknown(report, "SYSCALL, x32", number, by_syscall(number));
    }
    let pid = call(nr64::GETPID, &[]);
    for high in HIGH {
        let same = by_syscall(high | u64::from(nr64::GETPID)) == pid;
        report.holds("SYSCALL: getpid with a high half is getpid", same);
        // 0 is read, and -1 is no descriptor.
        report.fails("SYSCALL: 0 with a high half is read", by_syscall(high), Errno::EBADF);
    }
    // Linux may be built or started without x32.
    let x32 = by_syscall(u64::from(X32_BIT | nr64::GETPID));
    report.holds("x32 getpid: ENOSYS or the pid", x32 == Err(Errno::ENOSYS) || x32 == pid);
}

fn numbers_32(report: &mut Report) {
    for number in UNKNOWN_32 {
        unknown(report, "INT 0x80", number, by_int80(number));
    }
    let pid = call_i386(nr32::GETPID, &[]);
    for high in HIGH {
        let same = by_int80(high | u64::from(nr32::GETPID)) == pid;
        report.holds("INT 0x80: getpid with a high half is getpid", same);
    }
    let same = pid == call(nr64::GETPID, &[]);
    report.holds("both doors answer the same pid", same);
}

/// Only as many bits of an argument count as its type has.
fn arguments(report: &mut Report) {
    static TEXT: [u8; 12] = *b"from int 80\n";
    let high = 0xdead_beef << 32;
    let text = TEXT.as_ptr() as u64;
    let out = STDOUT as u64;
    report.is(
        "write of nothing, descriptor with a high half",
        call(nr64::WRITE, &[high | out, text, 0]),
        0,
    );
    report.fails(
        "close of a bad descriptor with a high half",
        call(nr64::CLOSE, &[high | BAD_FD]),
        Errno::EBADF,
    );
    report.works("getpgid of 0 with a high half", call(nr64::GETPGID, &[high]));
    report.fails(
        "getgroups with a negative size",
        call(nr64::GETGROUPS, &[0xffff_ffff]),
        Errno::EINVAL,
    );
    let length = TEXT.len() as u64;
    let written = call_i386(nr32::WRITE, &[high | out, high | text, high | length]);
    report.is("write by INT 0x80, all arguments with high halves", written, length);
    report.works("getpgid by INT 0x80, 0 with a high half", call_i386(nr32::GETPGID, &[high]));
    report.fails("close by INT 0x80 of -1", call_i386(nr32::CLOSE, &[u64::MAX]), Errno::EBADF);
}
