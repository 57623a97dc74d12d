//! `exec PROGRAM ARGUMENTS`: goes on as that program, of whatever width, by INT 0x80, with
//! these arguments and no environment. Says first what it has found itself.
#![no_std]
#![no_main]

use core::str::from_utf8;
use trapgate_programs32::Door;
use trapgate_rt::{Args, aux, eprintln, println};
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

/// The most arguments.
const MOST: usize = 64;

fn main(args: Args) -> i32 {
    let execfn = args.aux_string(aux::EXECFN).unwrap_or(b"none");
    println!("32 bits: {}", from_utf8(execfn).unwrap_or("not UTF-8"));
    println!("AT_PHENT: {}", args.aux(aux::PHENT).unwrap_or(0));
    println!("AT_SYSINFO is there: {}", args.aux(aux::SYSINFO).is_some());
    println!("the stack ends below 4 GiB: {}", args.stack_address() < 0xffff_e000);
    let mut arguments = [0u32; MOST + 1];
    for (to, argument) in arguments[..MOST].iter_mut().zip(args.argv().skip(1)) {
        *to = argument.as_ptr() as u32;
    }
    let [path, ..] = arguments;
    let error = Door::Int80.call(nr32::EXECVE, &[path, arguments.as_ptr() as u32, 0, 0, 0, 0]);
    eprintln!("execve: {}", error.err().map_or("came back", |error| error.name()));
    3
}
