//! `start-with CLOSED IGNORED SIZE PROGRAM ARGUMENTS`: starts a program with
//! these of the standard descriptors closed (`02`), these signals ignored
//! (`13,25`), and files of so many bytes at most; `-` for none of it. For the
//! host: a sandbox has no execve(2).
#![no_std]
#![no_main]

use core::str::from_utf8;
use trapgate_programs::call;
use trapgate_rt::{Args, eprintln};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// The arguments before the program.
const OWN: usize = 4;
/// The most arguments of the program.
const MOST: usize = 32;

fn main(args: Args) -> i32 {
    let count = args.argc().saturating_sub(OWN);
    if count == 0 || count > MOST {
        eprintln!("arguments: closed, ignored, size, a program, its arguments ({MOST} at most)");
        return 2;
    }
    let mut arguments = [0; MOST + 1];
    for (index, argument) in args.argv().skip(OWN).enumerate() {
        arguments[index] = argument.as_ptr() as u64;
    }
    for number in numbers(args.arg(2)) {
        ignore(number);
    }
    for size in numbers(args.arg(3)) {
        limit_files(size);
    }
    // Last, because nothing can be told afterwards.
    for digit in args.arg(1).unwrap_or(b"").iter().filter(|digit| digit.is_ascii_digit()) {
        // One that is closed already is what was asked for.
        let _ = call(nr64::CLOSE, &[u64::from(digit - b'0')]);
    }
    let environment = [0u64];
    let (arguments, environment) = (arguments.as_ptr() as u64, environment.as_ptr() as u64);
    let path = args.arg(OWN).unwrap_or(b"").as_ptr() as u64;
    let error = call(nr64::EXECVE, &[path, arguments, environment]).err();
    eprintln!("execve: {}", error.map_or("came back", |error| error.name()));
    2
}

/// The numbers between commas.
fn numbers(list: Option<&[u8]>) -> impl Iterator<Item = u64> {
    let text = from_utf8(list.unwrap_or(b"")).unwrap_or("");
    text.split(',').filter_map(|number| number.parse().ok())
}

fn ignore(signal: u64) {
    const SIG_IGN: u64 = 1;
    let action = [SIG_IGN, 0, 0, 0];
    if let Err(error) = call(nr64::RT_SIGACTION, &[signal, action.as_ptr() as u64, 0, 8]) {
        eprintln!("rt_sigaction of {signal}: {}", error.name());
    }
}

fn limit_files(size: u64) {
    const FSIZE: u64 = 1;
    const CORE: u64 = 4;
    for (resource, size) in [(FSIZE, size), (CORE, 0)] {
        let limits = [size, size];
        if let Err(error) = call(nr64::SETRLIMIT, &[resource, limits.as_ptr() as u64]) {
            eprintln!("setrlimit: {}", error.name());
        }
    }
}
