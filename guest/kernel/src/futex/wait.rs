//! To wait: `FUTEX_WAIT`, `FUTEX_WAIT_BITSET`.

use super::key::{Found, Word};
use super::table::{Claim, TABLE, Waiter, Woken};
use crate::sched::thread::current_arc;
use crate::sched::wait;
use trapgate_uapi::Errno;

/// A place in the table, which its thread leaves whatever comes.
pub(super) struct Waiting(u32);

impl Waiting {
    /// The running thread waits from now on: whoever wakes it counts.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn begin(
        (key, mapped): Found,
        bitset: u32,
        claim: Option<Claim>,
    ) -> Result<Waiting, Errno> {
        let waiter = Waiter { key, mapped, bitset, claim, thread: current_arc() };
        TABLE.lock().add(waiter).map(Waiting)
    }

    /// Whether somebody has woken it.
    pub(super) fn woken(&self) -> Woken {
        TABLE.lock().woken(self.0)
    }

    /// Until somebody does.
    ///
    /// # Errors
    /// ETIMEDOUT, EINTR, ENOMEM, and what the VMM answered.
    pub(super) fn block(&self, deadline: Option<u64>) -> Result<Woken, Errno> {
        let woken = || Some(self.woken()).filter(|&woken| woken != Woken::Not);
        wait::wait(&[], deadline, || Ok(woken()))?.ok_or(Errno::ETIMEDOUT)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let removed = TABLE.lock().remove(self.0);
        drop(removed);
    }
}

/// Waits until somebody wakes this word with a bit in common, if it holds `value`.
/// `deadline`: nanoseconds of [`crate::clock::Clock::elapsed`].
///
/// The thread is in the table before it looks at the word, so whoever changes that and
/// wakes then finds it.
///
/// # Errors
/// EAGAIN for another value; EINVAL, EFAULT, ETIMEDOUT, EINTR, ENOMEM.
pub fn wait(word: Word, value: u32, bitset: u32, deadline: Option<u64>) -> Result<(), Errno> {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let waiting = Waiting::begin(word.find()?, bitset, None)?;
    // The page may have had to be brought meanwhile: a wake-up that came is this one's.
    let is = word.read()? == value;
    if !is && waiting.woken() == Woken::Not {
        return Err(Errno::EAGAIN);
    }
    waiting.block(deadline).map(drop)
}
