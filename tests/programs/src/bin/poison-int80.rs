//! Every register holds poison, the call is made by INT 0x80, every register is
//! compared.
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU32;
use trapgate_abi::x86::rflags;
use trapgate_programs::crossing::{
    NAMES, PLAIN_FLAGS, RAX, RBP, RBX, RCX, RDI, RDX, RSI, State, by_int80,
};
use trapgate_programs::{BAD_FD, Report};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

/// Below 4 GiB, as INT 0x80 wants it.
static WORD: AtomicU32 = AtomicU32::new(0);
const FUTEX_WAIT_BITSET: u64 = 9;

/// Flags that the C ABI wants clear, and all that arithmetic sets.
const UNUSUAL_FLAGS: u64 = PLAIN_FLAGS | rflags::DF | rflags::AC | rflags::CF | 0x8d4;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    for flags in [PLAIN_FLAGS, UNUSUAL_FLAGS] {
        println!("rflags {flags:#x}");
        let getpid = cross(&mut report, "getpid", flags, &[(RAX, nr32::GETPID.into())]);
        report.holds("getpid is positive", getpid.is_ok_and(|pid| pid > 0));
        let unknown = cross(&mut report, "unknown call", flags, &[(RAX, 5000)]);
        report.fails("unknown call", unknown, Errno::ENOSYS);
        let write = [(RAX, nr32::WRITE.into()), (RBX, BAD_FD)];
        let write = cross(&mut report, "write to a bad descriptor", flags, &write);
        report.fails("write to a bad descriptor", write, Errno::EBADF);
        // Six arguments, of which this call uses all: wait while the word is 1,
        // which it is not.
        let futex = [
            (RAX, nr32::FUTEX_TIME64.into()),
            (RBX, &raw const WORD as u64),
            (RCX, FUTEX_WAIT_BITSET),
            (RDX, 1),
            (RSI, 0),
            (RDI, 0),
            (RBP, 1),
        ];
        let futex = cross(&mut report, "futex", flags, &futex);
        report.fails("futex", futex, Errno::EAGAIN);
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
    let (before, after) = by_int80(&before);
    let mut expected = before;
    // What the door may change.
    expected.general[RAX] = after.general[RAX];
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
