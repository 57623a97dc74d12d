//! Writes lines until nobody reads them: dies by SIGPIPE, or with status 1 by
//! another error. `write-forever [lines]` stops after so many, with status 0.
#![no_std]
#![no_main]

use trapgate_rt::{Args, STDOUT, write_all};

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    let mut left = args.number(1).unwrap_or(u64::MAX);
    while left > 0 {
        let line = b"The quick brown fox jumps over the lazy dog, again and again.\n";
        if write_all(STDOUT, line).is_err() {
            return 1;
        }
        left -= 1;
    }
    0
}
