//! A panic: say what happened, end with Rust's status.

use crate::{PANIC_STATUS, eprintln, exit};
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    exit(PANIC_STATUS)
}
