//! `forks ROUNDS`: processes that fork share their memory by copy-on-write, and find in
//! every page what they must. `forks count`: what that takes.
#![no_std]
#![no_main]

use core::str::from_utf8;
use trapgate_programs::forks::{Calls, count, play, with_room};
use trapgate_rt::Args;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const CALLS: Calls = Calls {
    call: |number, arguments| {
        let mut six = [0; 6];
        six.iter_mut().zip(arguments).for_each(|(to, &from)| *to = from as u64);
        trapgate_programs::call(number, &six)
    },
    mmap: nr64::MMAP,
    munmap: nr64::MUNMAP,
    mprotect: nr64::MPROTECT,
    mremap: nr64::MREMAP,
    madvise: nr64::MADVISE,
    read: nr64::READ,
    sched_yield: nr64::SCHED_YIELD,
    clock_getres: nr64::CLOCK_GETRES,
    stride: 1,
};

fn main(args: Args) -> i32 {
    let number = args.arg(1).and_then(|text| from_utf8(text).ok()?.parse().ok());
    match number {
        Some(rounds) => with_room(|| play(&CALLS, rounds)),
        None => count(&CALLS),
    }
}
