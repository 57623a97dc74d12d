//! Says hello by SYSCALL and by nothing else.
#![no_std]
#![no_main]

use trapgate_rt::{Args, STDOUT, write_all};

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    // The run-time's wrappers, and the exit after main, use SYSCALL.
    i32::from(write_all(STDOUT, b"Hello from ring 3 by SYSCALL.\n").is_err())
}
