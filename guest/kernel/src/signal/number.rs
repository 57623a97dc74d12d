//! Signals by number, and sets of them.

use trapgate_uapi::Errno;
use trapgate_uapi::signal::{
    NSIG, SIGBUS, SIGCONT, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP, SIGTSTP,
    SIGTTIN, SIGTTOU,
};

/// The first real-time signal, as the kernel counts them.
const SIGRTMIN: u8 = 32;

/// Bits of signals that cannot be blocked.
pub const UNBLOCKABLE: u64 = bit(SIGKILL) | bit(SIGSTOP);
/// Those that an instruction can cause.
pub const SYNCHRONOUS: u64 =
    bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGFPE) | bit(SIGSYS);
/// Those that stop a process.
pub const STOPS: u64 = bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
/// What has it go on.
pub const CONTINUES: u64 = bit(SIGCONT);

/// The bit of a signal in a set.
pub const fn bit(signal: u8) -> u64 {
    1 << (signal - 1)
}

/// Whether each of it that is sent comes.
pub const fn is_real_time(signal: u8) -> bool {
    signal >= SIGRTMIN
}

/// A signal number of a caller.
///
/// # Errors
/// EINVAL.
pub fn signal_number(number: i32) -> Result<u8, Errno> {
    if (1..=NSIG).contains(&number) { Ok(number as u8) } else { Err(Errno::EINVAL) }
}
