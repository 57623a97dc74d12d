//! Sleeps for ever, in one call: only a signal ends it.
#![no_std]
#![no_main]

use trapgate_programs::{Outcome, address, call};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    println!("sleeping");
    let mut span = [1u64 << 40, 0];
    let result = call(nr64::NANOSLEEP, &[address(&mut span), 0]);
    println!("woken: {}", Outcome(result));
    1
}
