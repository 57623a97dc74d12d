//! Says hello by INT 0x80 and by nothing else.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "makes its calls by the door itself")]

use trapgate_rt::{Args, STDOUT, int80};
use trapgate_uapi::errno::is_error;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

/// A static, because INT 0x80 takes addresses below 4 GiB.
static HELLO: [u8; 31] = *b"Hello from ring 3 by INT 0x80.\n";

fn main(_: Args) -> i32 {
    let (text, length) = (HELLO.as_ptr() as u32, HELLO.len() as u32);
    // SAFETY: the call reads a static.
    let result = unsafe { int80::call3(nr32::WRITE, STDOUT as u32, text, length) };
    let status = u32::from(is_error(result));
    // Here and not by returning, which would exit by SYSCALL.
    // SAFETY: the call ends the program.
    unsafe { int80::call1(nr32::EXIT_GROUP, status) };
    unreachable!("exit_group returned")
}
