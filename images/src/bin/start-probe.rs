//! Says when its first instructions ran, and ends: eight bytes on standard
//! output, nanoseconds of CLOCK_MONOTONIC. `trapgate bench start` runs it in a
//! sandbox and as a process; a sandbox's clock is the host's.
#![no_std]
#![no_main]

use trapgate_rt::{Args, STDOUT, clock_gettime_ns, write_all};

trapgate_rt::entry!(main);

/// CLOCK_MONOTONIC, as in Linux's time.h.
const MONOTONIC: i32 = 1;

fn main(_: Args) -> i32 {
    let Ok(now) = clock_gettime_ns(MONOTONIC) else { return 1 };
    i32::from(write_all(STDOUT, &now.to_le_bytes()).is_err())
}
