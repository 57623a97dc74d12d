//! Signals by number, and sets of them.

use trapgate_uapi::Errno;
use trapgate_uapi::signal::{NSIG, SIGKILL, SIGSTOP};

/// Bits of signals that cannot be blocked.
pub const UNBLOCKABLE: u64 = bit(SIGKILL) | bit(SIGSTOP);

/// The bit of a signal in a set.
pub const fn bit(signal: u8) -> u64 {
    1 << (signal - 1)
}

/// A signal number of a caller.
///
/// # Errors
/// EINVAL.
pub fn signal_number(number: i32) -> Result<u8, Errno> {
    if (1..=NSIG).contains(&number) { Ok(number as u8) } else { Err(Errno::EINVAL) }
}
