//! `without DESCRIPTORS PROGRAM ARGUMENTS`: starts a program with these of the
//! standard descriptors closed, such as `02`. For the host: a sandbox has no
//! execve(2).
#![no_std]
#![no_main]

use trapgate_abi::syscall::nr64;
use trapgate_programs::call;
use trapgate_rt::{Args, eprintln};

trapgate_rt::entry!(main);

/// The most arguments of the program.
const MOST: usize = 32;

fn main(args: Args) -> i32 {
    let count = args.argc().saturating_sub(2);
    if count == 0 || count > MOST {
        eprintln!("arguments: descriptors, a program, its arguments ({MOST} at most)");
        return 2;
    }
    let mut arguments = [0; MOST + 1];
    for (index, argument) in args.argv().skip(2).enumerate() {
        arguments[index] = argument.as_ptr() as u64;
    }
    for digit in args.arg(1).unwrap_or(b"") {
        // One that is closed already is what was asked for.
        let _ = call(nr64::CLOSE, &[u64::from(digit.wrapping_sub(b'0'))]);
    }
    let environment = [0u64];
    let (arguments, environment) = (arguments.as_ptr() as u64, environment.as_ptr() as u64);
    let path = args.arg(2).unwrap_or(b"").as_ptr() as u64;
    let error = call(nr64::EXECVE, &[path, arguments, environment]).err();
    eprintln!("execve: {}", error.map_or("came back", |error| error.name()));
    2
}
