//! Measures the null call, getpid, by INT 0x80: prints one line for machines.
//!
//! `getpid-int80 [iterations [repeats]]`
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the loop around the door is assembly")]

use trapgate_images::{door_loop, measure};
use trapgate_rt::Args;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    measure(args, "int80", with_door, empty)
}

#[inline(never)]
fn with_door(calls: u64) {
    door_loop!(calls, nr32::GETPID, "int 0x80");
}

#[inline(never)]
fn empty(calls: u64) {
    door_loop!(calls, nr32::GETPID, "");
}
