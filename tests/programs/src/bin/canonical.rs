//! No code can end where the canonical addresses end: Linux and the sandbox
//! keep the page below 2^47 unmapped, so that no SYSCALL can lie there and
//! SYSRET never gets a return address that is in neither half.
#![no_std]
#![no_main]

use trapgate_programs::{MINUS_ONE, PAGE, Report, USER_END, call};
use trapgate_rt::Args;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const READ_WRITE: u64 = 3;
const MAP_PRIVATE_ANONYMOUS: u64 = 0x22;
const MAP_FIXED: u64 = 0x10;
const MREMAP_MAYMOVE_FIXED: u64 = 3;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    let map = |address, size, flags| {
        let flags = MAP_PRIVATE_ANONYMOUS | flags;
        call(nr64::MMAP, &[address, size, READ_WRITE, flags, MINUS_ONE, 0])
    };
    report.fails("mmap of the last page", map(USER_END, PAGE, MAP_FIXED), Errno::ENOMEM);
    let last_two = map(USER_END - PAGE, 2 * PAGE, MAP_FIXED);
    report.fails("mmap of the last two pages", last_two, Errno::ENOMEM);
    let beyond = map(USER_END + PAGE, PAGE, MAP_FIXED);
    report.fails("mmap of the first address in no half", beyond, Errno::ENOMEM);
    let hinted = map(USER_END, PAGE, 0);
    report.holds("a hint there leads elsewhere", hinted.is_ok_and(|at| at < USER_END));
    let page = map(0, PAGE, 0).unwrap_or(0);
    let moved = call(nr64::MREMAP, &[page, PAGE, PAGE, MREMAP_MAYMOVE_FIXED, USER_END]);
    report.fails("mremap to the last page", moved, Errno::EINVAL);
    let protected = call(nr64::MPROTECT, &[USER_END, PAGE, READ_WRITE]);
    report.fails("mprotect of the last page", protected, Errno::ENOMEM);
    report.status()
}
