//! AT_MINSIGSTKSZ: prints it, as the 64-bit program of this name does first.
#![no_std]
#![no_main]

use trapgate_rt::{Args, aux, println};

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    println!("AT_MINSIGSTKSZ: {}", args.aux(aux::MINSIGSTKSZ).unwrap_or(0));
    0
}
