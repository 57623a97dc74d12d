//! The signals of one task: which were sent, and which it has blocked.

use super::number::{UNBLOCKABLE, bit};
use crate::sched::thread::work;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::crash::Fault;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK};

/// What a task has of signals, bit `n - 1` for signal `n`.
#[derive(Default)]
pub struct Signals {
    blocked: AtomicU64,
    pending: AtomicU64,
    /// What is blocked again when those have acted that a call has let through (Linux:
    /// `saved_sigmask`).
    blocked_after: Mutex<Option<u64>>,
    forced: Mutex<Option<Forced>>,
    /// The task is to end.
    killed: AtomicBool,
}

/// A signal that a task caused itself by an exception: it is neither blocked nor
/// ignored (Linux: `force_sig_fault`).
#[derive(Clone, Copy, Debug)]
pub struct Forced {
    /// Its number.
    pub signal: u8,
    /// The exception.
    pub fault: Fault,
}

impl Signals {
    /// The running task has caused this signal; it acts before the return to ring 3.
    pub fn force(&self, signal: u8, fault: Fault) {
        *self.forced.lock() = Some(Forced { signal, fault });
        percpu::raise_work(work::SIGNAL);
    }

    /// Takes it, if there is one.
    pub fn take_forced(&self) -> Option<Forced> {
        self.forced.lock().take()
    }

    /// One was sent. Whether it may act, and is to be told to the task's thread.
    pub fn send(&self, signal: u8) -> bool {
        self.pending.fetch_or(bit(signal), Ordering::Relaxed);
        !self.blocks(signal)
    }

    /// The task is to end before it goes back to ring 3.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// What a task that it makes has of it: what is blocked.
    #[must_use]
    pub fn inherited(&self) -> Signals {
        Signals { blocked: AtomicU64::new(self.blocked()), ..Signals::default() }
    }

    /// What is blocked, bit `n - 1` for signal `n`.
    pub fn blocked(&self) -> u64 {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Whether it is blocked.
    pub fn blocks(&self, signal: u8) -> bool {
        self.blocked.load(Ordering::Relaxed) & bit(signal) != 0
    }

    /// Those that were sent and have not acted.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Forgets one that was sent.
    pub fn forget(&self, signal: u8) {
        self.pending.fetch_and(!bit(signal), Ordering::Relaxed);
    }

    /// `mask` is blocked again, but only when those have acted that may now.
    pub fn block_after_acting(&self, mask: u64) {
        *self.blocked_after.lock() = Some(mask);
        percpu::raise_work(work::SIGNAL);
    }

    /// They have acted.
    pub fn have_acted(&self) {
        if let Some(mask) = self.blocked_after.lock().take() {
            self.blocked.store(mask, Ordering::Relaxed);
        }
    }

    /// Takes the next one that may act.
    pub fn take(&self) -> Option<u8> {
        let ready = self.pending() & !self.blocked.load(Ordering::Relaxed);
        if ready == 0 {
            return None;
        }
        let signal = ready.trailing_zeros() as u8 + 1;
        self.forget(signal);
        Some(signal)
    }

    /// sigprocmask(2): changes the blocked signals, if `new` says how, and answers
    /// what they were. `reach`: the signals that the set can hold.
    ///
    /// # Errors
    /// EINVAL.
    pub fn change_mask(&self, how: i32, new: Option<u64>, reach: u64) -> Result<u64, Errno> {
        let before = self.blocked.load(Ordering::Relaxed);
        if let Some(new) = new {
            let set = new & !UNBLOCKABLE;
            let after = match how {
                SIG_BLOCK => before | set,
                SIG_UNBLOCK => before & !set,
                SIG_SETMASK => before & !reach | set,
                _ => return Err(Errno::EINVAL),
            };
            self.blocked.store(after, Ordering::Relaxed);
            if self.pending() & !after != 0 {
                percpu::raise_work(work::SIGNAL);
            }
        }
        Ok(before)
    }
}
