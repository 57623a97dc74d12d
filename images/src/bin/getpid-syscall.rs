//! Measures the null call, getpid, by SYSCALL: prints one line for machines.
//!
//! `getpid-syscall [iterations [repeats]]`
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the loop around the door is assembly")]

use trapgate_images::{door_loop, measure};
use trapgate_rt::Args;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    measure(args, "syscall", with_door, empty)
}

#[inline(never)]
fn with_door(calls: u64) {
    door_loop!(calls, nr64::GETPID, "syscall");
}

#[inline(never)]
fn empty(calls: u64) {
    door_loop!(calls, nr64::GETPID, "");
}
