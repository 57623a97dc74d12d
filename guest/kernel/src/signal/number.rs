//! Signals by number, and sets of them.

use trapgate_uapi::Errno;

/// Illegal instruction.
pub const SIGILL: u8 = 4;
/// Breakpoint or single step.
pub const SIGTRAP: u8 = 5;
/// Bad memory access: alignment, stack segment.
pub const SIGBUS: u8 = 7;
/// Arithmetic error.
pub const SIGFPE: u8 = 8;
/// Kill, cannot be caught.
pub const SIGKILL: u8 = 9;
/// Bad memory access.
pub const SIGSEGV: u8 = 11;
/// Write to a pipe that nobody reads.
pub const SIGPIPE: u8 = 13;
/// Write beyond the largest size of files.
pub const SIGXFSZ: u8 = 25;
/// A child ended.
pub const SIGCHLD: u8 = 17;
/// Go on.
pub const SIGCONT: u8 = 18;
/// Stop, cannot be caught.
pub const SIGSTOP: u8 = 19;
/// Output of a background process, the last of those that stop.
pub const SIGTTOU: u8 = 22;
/// Urgent data.
pub const SIGURG: u8 = 23;
/// The window has another size.
pub const SIGWINCH: u8 = 28;
/// Signals have numbers 1 to this.
pub const SIGNALS: i32 = 64;

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
    if (1..=SIGNALS).contains(&number) { Ok(number as u8) } else { Err(Errno::EINVAL) }
}
