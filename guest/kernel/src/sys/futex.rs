//! futex(2), with one task.

use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::time;
use crate::user::UserPtr;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE,
    FUTEX_WAKE_BITSET,
};
use trapgate_uapi::time::Timespec;

syscall_define! {
    /// futex(2)
    fn futex(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec>,
        _second: u64,
        bitset: u32,
    ) {
        let timeout = || if timeout.is_null() { Ok(None) } else { timeout.read().map(Some) };
        futex_by(word, operation, value, timeout, bitset)
    }
}

/// futex(2) for either width, with one task: a wait whose value has changed
/// answers EAGAIN, one with a timeout waits for that, a wake wakes nobody. A
/// wait that only another task could end is EDEADLK, and not a hang.
/// `timeout` reads the timeout.
pub(super) fn futex_by(
    word: UserPtr<u32>,
    operation: u32,
    value: u32,
    timeout: impl FnOnce() -> Result<Option<Timespec>, Errno>,
    bitset: u32,
) -> SysResult {
    let command = operation & FUTEX_CMD_MASK;
    let with_bitset = matches!(command, FUTEX_WAIT_BITSET | FUTEX_WAKE_BITSET);
    if with_bitset && bitset == 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            let time = timeout()?.map(Timespec::to_ns).transpose()?;
            check_futex(word)?;
            if word.read()? != value {
                return Err(Errno::EAGAIN);
            }
            let time = time.ok_or(Errno::EDEADLK)?;
            let clock = &current().process.clock;
            let wait = match (command, operation & FUTEX_CLOCK_REALTIME != 0) {
                (FUTEX_WAIT, _) => time,
                (_, true) => time.saturating_sub(clock.realtime()),
                (_, false) => time.saturating_sub(clock.monotonic()),
            };
            time::sleep(wait)?;
            Err(Errno::ETIMEDOUT)
        }
        FUTEX_WAKE | FUTEX_WAKE_BITSET => check_futex(word).map(|()| 0),
        _ => Err(Errno::ENOSYS),
    }
}

/// A futex's address, as futex(2) checks it.
fn check_futex(word: UserPtr<u32>) -> Result<(), Errno> {
    if !word.address().is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    if access_ok(word.address(), 4) { Ok(()) } else { Err(Errno::EFAULT) }
}
