//! Computes in ring 3: hashes one mebibyte of memory again and again.
//!
//! `sha256 [mebibytes]` (256 if not given) prints the digest and the time it
//! took. The time must be the host's: the sandbox has no part in it.
#![no_std]
#![no_main]

use sha2::{Digest, Sha256};
use trapgate_rt::{Args, clock_gettime_ns, eprintln, print, println};

trapgate_rt::entry!(main);

const MEBIBYTE: usize = 1 << 20;
const CLOCK_MONOTONIC: i32 = 1;

fn main(args: Args) -> i32 {
    let count = match args.arg(1) {
        None => Some(256),
        Some(_) => args.number(1),
    };
    let Some(count) = count else {
        eprintln!("argument: how many mebibytes to hash");
        return 2;
    };
    let mut buffer = [0; MEBIBYTE];
    for (index, byte) in buffer.iter_mut().enumerate() {
        // Not a pattern of whole pages: 251 is prime.
        *byte = (index % 251) as u8;
    }
    let now = || clock_gettime_ns(CLOCK_MONOTONIC).expect("there is a monotonic clock");
    let start = now();
    let mut hash = Sha256::new();
    for _ in 0..count {
        hash.update(buffer);
    }
    let digest = hash.finalize();
    let elapsed = now() - start;
    print!("sha256=");
    for byte in digest {
        print!("{byte:02x}");
    }
    println!(" mebibytes={count} elapsed_ns={elapsed}");
    0
}
