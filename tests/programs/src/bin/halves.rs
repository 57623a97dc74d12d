//! INT 0x80 from 64-bit code: the kernel takes the lower halves of number and
//! arguments, and the upper halves of all registers but RAX come back.
#![no_std]
#![no_main]

use trapgate_programs::crossing::{NAMES, RAX, RBP, RBX, RCX, RDI, RDX, RSI, State, by_int80};
use trapgate_programs::{BAD_FD, PAGE, Report};
use trapgate_rt::Args;
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

const HIGH: u64 = 0xdead_beef << 32;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    let mut one =
        |what, number: u32, arguments: [u32; 6]| call(&mut report, what, number, arguments);
    let closed = one("close", nr32::CLOSE, [BAD_FD as u32, 0, 0, 0, 0, 0]);
    let unknown = one("unknown call", 5000, [0; 6]);
    // Of six arguments, all below 4 GiB: private, anonymous, anywhere.
    let mapped = one("mmap2", nr32::MMAP2, [0, PAGE as u32, 3, 0x22, u32::MAX, 0]);
    // A sixth argument beyond what the lower half can say: page 2^31.
    let unmapped = one("munmap", nr32::MUNMAP, [mapped as u32, PAGE as u32, 0, 0, 0, 0]);
    report.fails("close of a bad descriptor", from_return(closed), Errno::EBADF);
    report.fails("unknown call", from_return(unknown), Errno::ENOSYS);
    report.holds("mmap2 answers an address below 4 GiB", mapped < 1 << 32 && mapped != 0);
    report.is("munmap of it", from_return(unmapped), 0);
    report.status()
}

/// Makes one call with something in all upper halves; answers RAX.
fn call(report: &mut Report, what: &str, number: u32, arguments: [u32; 6]) -> u64 {
    let mut before = State::poison();
    before.general[RAX] = HIGH | u64::from(number);
    for (register, argument) in [RBX, RCX, RDX, RSI, RDI, RBP].into_iter().zip(arguments) {
        before.general[register] = HIGH | u64::from(argument);
    }
    let (before, after) = by_int80(&before);
    for (index, name) in NAMES.iter().enumerate() {
        let (got, expected) = (after.general[index], before.general[index]);
        if got != expected && index != RAX {
            report.failed(format_args!("{what}: {name} is {got:#x}, not {expected:#x}"));
        }
    }
    after.general[RAX]
}
