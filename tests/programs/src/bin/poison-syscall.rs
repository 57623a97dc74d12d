//! Every register holds poison, the call is made by SYSCALL, every register is
//! compared.
#![no_std]
#![no_main]

use trapgate_abi::x86::rflags;
use trapgate_programs::crossing::{
    NAMES, PLAIN_FLAGS, R8, R9, R10, R11, RAX, RCX, RDI, RDX, RSI, State, by_syscall,
};
use trapgate_programs::{BAD_FD, MINUS_ONE, Outcome, Report};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// Flags that the C ABI wants clear, and all that arithmetic sets.
const UNUSUAL_FLAGS: u64 = PLAIN_FLAGS | rflags::DF | rflags::AC | rflags::CF | 0x8d4;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    for flags in [PLAIN_FLAGS, UNUSUAL_FLAGS] {
        println!("rflags {flags:#x}");
        let getpid = cross(&mut report, "getpid", flags, &[(RAX, nr64::GETPID.into())]);
        report.holds("getpid is positive", getpid.is_ok_and(|pid| pid > 0));
        let unknown = cross(&mut report, "unknown call", flags, &[(RAX, 5000)]);
        report.fails("unknown call", unknown, Errno::ENOSYS);
        let write = [(RAX, nr64::WRITE.into()), (RDI, BAD_FD)];
        let write = cross(&mut report, "write to a bad descriptor", flags, &write);
        report.fails("write to a bad descriptor", write, Errno::EBADF);
        // The sixth argument, an offset that is no multiple of a page.
        let mut mmap = [
            (RAX, nr64::MMAP.into()),
            (RDI, 0),
            (RSI, 4096),
            (RDX, 0),
            (R10, 0x22),
            (R8, MINUS_ONE),
            (R9, 1),
        ];
        let refused = cross(&mut report, "mmap with a bad offset", flags, &mmap);
        report.fails("mmap with a bad offset", refused, Errno::EINVAL);
        mmap[6] = (R9, 0);
        let mapped = cross(&mut report, "mmap", flags, &mmap);
        println!("mmap succeeds: {}", mapped.is_ok());
        if mapped.is_err() {
            report.failed(format_args!("mmap: {}", Outcome(mapped)));
        }
    }
    report.status()
}

/// Makes one call with poison in all registers but these, and compares.
fn cross(
    report: &mut Report,
    what: &str,
    rflags: u64,
    registers: &[(usize, u64)],
) -> Result<u64, Errno> {
    let mut before = State::poison();
    before.rflags = rflags;
    for &(register, value) in registers {
        before.general[register] = value;
    }
    let (before, after) = by_syscall(&before);
    let mut expected = before;
    // What the door may change.
    expected.general[RAX] = after.general[RAX];
    expected.general[RCX] = before.behind;
    expected.general[R11] = rflags;
    for (index, name) in NAMES.iter().enumerate() {
        let (got, expected) = (after.general[index], expected.general[index]);
        if got != expected {
            report.failed(format_args!("{what}: {name} is {got:#x}, not {expected:#x}"));
        }
    }
    if after.rflags != rflags {
        let got = after.rflags;
        report.failed(format_args!("{what}: rflags is {got:#x}, not {rflags:#x}"));
    }
    for (index, (got, expected)) in after.xmm.iter().zip(&before.xmm).enumerate() {
        if got != expected {
            report.failed(format_args!("{what}: xmm{index} is {got:x?}, not {expected:x?}"));
        }
    }
    if after.selectors != before.selectors {
        let (got, expected) = (after.selectors, before.selectors);
        report.failed(format_args!("{what}: selectors {got:x?}, not {expected:x?}"));
    }
    println!("{what}: compared");
    from_return(after.general[RAX])
}
