//! `forks ROUNDS`: processes of 32-bit code that fork share their memory by
//! copy-on-write, and find in every page what they must.
#![no_std]
#![no_main]

use core::str::from_utf8;
use trapgate_programs::forks::{Calls, play, with_room};
use trapgate_programs32::Door;
use trapgate_rt::Args;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

const CALLS: Calls = Calls {
    call: |number, arguments| {
        let mut six = [0; 6];
        six.iter_mut().zip(arguments).for_each(|(to, &from)| *to = from as u32);
        Door::Int80.call(number, &six)
    },
    mmap: nr32::MMAP2,
    munmap: nr32::MUNMAP,
    mprotect: nr32::MPROTECT,
    mremap: nr32::MREMAP,
    madvise: nr32::MADVISE,
    read: nr32::READ,
    sched_yield: nr32::SCHED_YIELD,
    clock_getres: nr32::CLOCK_GETRES,
    stride: 512,
};

fn main(args: Args) -> i32 {
    let rounds = args.arg(1).and_then(|text| from_utf8(text).ok()?.parse().ok()).unwrap_or(1);
    with_room(|| play(&CALLS, rounds))
}
