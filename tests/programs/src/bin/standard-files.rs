//! Which standard descriptors are open: the status has bit N for descriptor N.
//! It is also said on standard output and error, if they are open.
#![no_std]
#![no_main]

use trapgate_programs::{Outcome, address, call};
use trapgate_rt::{Args, STDERR, STDOUT, eprintln, println, write};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    const GETFD: u64 = 1;
    let get = |fd| call(nr64::FCNTL, &[fd, GETFD, 0]);
    let open = (0..3).filter(|&fd| get(fd) != Err(Errno::EBADF)).fold(0, |set, fd| set | 1 << fd);
    let is_open = |fd: i32| open & 1 << fd != 0;
    let mut buffer = [0u8; 8];
    let read = call(nr64::READ, &[0, address(&mut buffer), 8]);
    // Whoever started it may have left others open.
    let dup = call(nr64::DUP, &[if is_open(STDOUT) { 1 } else { 2 }]).map(|fd| fd.min(3));
    if is_open(STDOUT) {
        println!("open: {open:#b}; read: {}; dup: {}", Outcome(read), Outcome(dup));
        println!("written to standard error: {}", Outcome(write(STDERR, b"here\n")));
    } else {
        eprintln!("open: {open:#b}; read: {}; dup: {}", Outcome(read), Outcome(dup));
        eprintln!("written to standard output: {}", Outcome(write(STDOUT, b"here\n")));
    }
    open
}
