//! Which signals are ignored at the start, and what a write to standard output
//! answers that cannot be made. Reports to standard error.
#![no_std]
#![no_main]

use trapgate_programs::{Outcome, address, call};
use trapgate_rt::{Args, STDOUT, eprintln, write};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    const SIG_IGN: u64 = 1;
    for signal in 1..=64 {
        let mut action = [0u64; 4];
        let asked = call(nr64::RT_SIGACTION, &[signal, 0, address(&mut action), 8]);
        if asked.is_ok() && action[0] == SIG_IGN {
            eprintln!("signal {signal} is ignored");
        }
    }
    for _ in 0..3 {
        eprintln!("write: {}", Outcome(write(STDOUT, &[b'x'; 700])));
    }
    0
}
