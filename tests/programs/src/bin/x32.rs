//! Numbers with x32's bit, by SYSCALL. Linux may be built or started without
//! x32: then each of them is ENOSYS. Else the x32 table answers: the calls that
//! are common, those of its own from 512 on, and ENOSYS to the numbers that are
//! x86-64's alone.
#![no_std]
#![no_main]

use trapgate_programs::{BAD_FD, Report, call};
use trapgate_rt::Args;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{X32_BIT, nr64, nrx32};

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    let pid = call(nr64::GETPID, &[]);
    let there = call(nrx32::GETPID, &[]) == pid;
    let mut answers = |what, number, arguments: &[u64], expected| {
        let got = call(number, arguments);
        let expected = if there { Err(expected) } else { Err(Errno::ENOSYS) };
        report.holds(what, got == expected);
    };
    answers("close", nrx32::CLOSE, &[BAD_FD], Errno::EBADF);
    answers("x32's own writev", nrx32::WRITEV, &[BAD_FD, 0, 0], Errno::EBADF);
    answers("x86-64's writev", X32_BIT | nr64::WRITEV, &[BAD_FD, 0, 0], Errno::ENOSYS);
    answers("x86-64's rt_sigaction", X32_BIT | nr64::RT_SIGACTION, &[0, 0, 0, 8], Errno::ENOSYS);
    answers("beyond the table", X32_BIT | 1000, &[], Errno::ENOSYS);
    answers("negative", X32_BIT | 0x8000_0000 | nr64::GETPID, &[], Errno::ENOSYS);
    report.status()
}
