//! The signals of one task, and those of its process: which were sent, which are blocked.

use super::info::Info;
use super::number::bit;
use super::pending::{Pending, Queued};
use crate::sched::thread::work;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::crash::Fault;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK};

/// What the tasks of a process share of signals, but the actions.
#[derive(Default)]
pub struct Shared {
    /// Those that any of them may take.
    pub pending: Pending,
    /// How many are queued, of theirs, too.
    pub queued: Queued,
}

/// What a task has of signals, bit `n - 1` for signal `n`.
#[derive(Default)]
pub struct Signals {
    blocked: AtomicU64,
    /// Those that are blocked but for a call which waits for them: nobody ignores them
    /// (Linux: `real_blocked`).
    waited_for: AtomicU64,
    /// Those that were sent to it alone.
    pub pending: Pending,
    /// What is blocked again when those have acted that a call has let through (Linux:
    /// `saved_sigmask`).
    blocked_after: Mutex<Option<u64>>,
    forced: Mutex<Option<Forced>>,
    last_fault: Mutex<LastFault>,
    /// The task is to end.
    killed: AtomicBool,
}

/// A signal that a task caused itself by an exception: it is neither blocked nor
/// ignored (Linux: `force_sig_info`).
#[derive(Clone, Copy, Debug)]
pub struct Forced {
    /// What its handler is told.
    pub info: Info,
    /// The exception.
    pub fault: Fault,
    /// No handler is called.
    pub is_fatal: bool,
}

/// What a frame tells of the last exception that became a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastFault {
    /// Its vector.
    pub trapno: u64,
    /// Its error code.
    pub err: u64,
    /// The address of the last page fault.
    pub cr2: u64,
}

impl Signals {
    /// The running task has caused this signal; it acts before the return to ring 3.
    pub fn force(&self, forced: Forced) {
        *self.forced.lock() = Some(forced);
        percpu::raise_work(work::SIGNAL);
    }

    /// Takes it, if there is one.
    pub fn take_forced(&self) -> Option<Forced> {
        self.forced.lock().take()
    }

    /// An exception became a signal.
    pub fn note_fault(&self, change: impl FnOnce(&mut LastFault)) {
        change(&mut self.last_fault.lock());
    }

    /// What is known of the last one.
    pub fn last_fault(&self) -> LastFault {
        *self.last_fault.lock()
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
        self.blocked() & bit(signal) != 0
    }

    /// Whether a signal that is ignored is kept all the same: it is blocked, or is but for
    /// a call that waits for it.
    pub fn keeps_ignored(&self, signal: u8) -> bool {
        (self.blocked() | self.waited_for.load(Ordering::Relaxed)) & bit(signal) != 0
    }

    /// Those that were sent to it or to its process and have not acted.
    pub fn sent(&self, shared: &Shared) -> u64 {
        self.pending.set() | shared.pending.set()
    }

    /// Whether one may act.
    pub fn is_ready(&self, shared: &Shared) -> bool {
        self.sent(shared) & !self.blocked() != 0
    }

    /// Takes the next one in this set: of its own first.
    pub fn take_of(&self, set: u64, shared: &Shared) -> Option<Info> {
        let own = self.pending.take(set, &shared.queued);
        own.or_else(|| shared.pending.take(set, &shared.queued))
    }

    /// `mask` is blocked again, but only when those have acted that may now.
    pub fn block_after_acting(&self, mask: u64) {
        *self.blocked_after.lock() = Some(mask);
        percpu::raise_work(work::SIGNAL);
    }

    /// What a handler that is called now has blocked again when it returns.
    pub fn take_blocked_after(&self) -> Option<u64> {
        self.blocked_after.lock().take()
    }

    /// These are let through while a call waits for them. Answers what was blocked.
    pub fn wait_for(&self, set: u64) -> u64 {
        let blocked = self.blocked();
        self.waited_for.store(blocked, Ordering::Relaxed);
        self.blocked.store(blocked & !set, Ordering::Relaxed);
        blocked
    }

    /// The call waits no more.
    pub fn waited(&self) {
        self.waited_for.store(0, Ordering::Relaxed);
    }

    /// Blocks these, and no others. Answers what was blocked.
    #[inline]
    pub fn set_blocked(&self, set: u64) -> u64 {
        let before = self.blocked();
        self.blocked.store(set, Ordering::Relaxed);
        before
    }

    /// What sigprocmask(2) would have blocked: `set`, and how. `reach`: the signals that
    /// the set can hold.
    ///
    /// # Errors
    /// EINVAL.
    #[inline]
    pub fn changed(&self, how: i32, set: u64, reach: u64) -> Result<u64, Errno> {
        let before = self.blocked();
        Ok(match how {
            SIG_BLOCK => before | set,
            SIG_UNBLOCK => before & !set,
            SIG_SETMASK => before & !reach | set,
            _ => return Err(Errno::EINVAL),
        })
    }
}
