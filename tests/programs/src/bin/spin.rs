//! Computes for ever, without a system call: only a kick ends it.
#![no_std]
#![no_main]

use trapgate_rt::{Args, println};

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    println!("spinning");
    loop {
        core::hint::spin_loop();
    }
}
