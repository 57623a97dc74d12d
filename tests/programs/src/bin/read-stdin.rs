//! Copies standard input to standard output in chunks of odd sizes, and says
//! on standard error how many bytes there were.
#![no_std]
#![no_main]

use trapgate_rt::{Args, STDIN, STDOUT, eprintln, read, write_all};

trapgate_rt::entry!(main);

/// Below, at and above a page, and more than a pipe takes at once.
const SIZES: [usize; 7] = [1, 7, 509, 4095, 4096, 4097, 70_001];

fn main(_: Args) -> i32 {
    let mut buffer = [0; 70_001];
    let mut total = 0;
    for size in SIZES.into_iter().cycle() {
        let chunk = &mut buffer[..size];
        match read(STDIN, chunk) {
            Ok(0) => break,
            Ok(count) => {
                if let Err(error) = write_all(STDOUT, &chunk[..count as usize]) {
                    eprintln!("write: {}", error.name());
                    return 1;
                }
                total += count;
            }
            Err(error) => {
                eprintln!("read: {}", error.name());
                return 1;
            }
        }
    }
    eprintln!("{total} bytes");
    0
}
