//! Touches memory until it is killed. For the sandbox only: natively it would
//! take the machine's memory.
//!
//! Status 1 if mmap refuses before that.
#![no_std]
#![no_main]

use trapgate_programs::{Outcome, Pages, poke};
use trapgate_rt::{Args, println};

trapgate_rt::entry!(main);

/// Pages of one mapping: 1 MiB.
const COUNT: u64 = 256;

fn main(_: Args) -> i32 {
    println!("touching");
    loop {
        match Pages::map(COUNT) {
            Ok(pages) => (0..COUNT).for_each(|page| poke(pages.page(page), 1)),
            Err(error) => {
                println!("mmap: {}", Outcome(Err(error)));
                return 1;
            }
        }
    }
}
