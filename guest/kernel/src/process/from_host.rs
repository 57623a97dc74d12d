//! Signals from outside: somebody on the host sent them, to the process.

use crate::process::send;
use crate::process::task::current;
use crate::signal::info::Info;
use crate::signal::number::signal_number;

/// One came. Who sent it is nobody that the program knows (Linux tells 0 of a sender in
/// another PID namespace).
pub fn signal(number: u8) {
    let Ok(signal) = signal_number(number.into()) else { return };
    // It may have ended, and be idle. One that tells nothing of itself is never too much.
    let _ = send::to_process(&current().process, Info::unknown(signal));
}
