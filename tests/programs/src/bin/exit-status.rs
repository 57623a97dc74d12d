//! Ends with the status that it is told, of which the low byte counts.
//!
//! `exit-status N [exit]`: with `exit`, by exit(2) and not by exit_group(2).
#![no_std]
#![no_main]

use trapgate_rt::{Args, PANIC_STATUS};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    let text = args.arg(1).and_then(|text| core::str::from_utf8(text).ok());
    let status = text.and_then(|text| text.parse::<i32>().ok());
    if let (Some(status), Some(b"exit")) = (status, args.arg(2)) {
        let _ = trapgate_programs::call(nr64::EXIT, &[status as u64]);
    }
    status.unwrap_or(PANIC_STATUS)
}
