//! What is due at a time: threads to be woken. Times are nanoseconds of
//! [`Clock::elapsed`].

use super::queue;
use super::thread::Thread;
use crate::clock::Clock;
use crate::memory::try_insert;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Mutex;
use trapgate_uapi::Errno;

/// What is due, by its time and a number of its own.
struct Timers {
    clock: Clock,
    due: BTreeMap<(u64, u64), Arc<Thread>>,
    next: u64,
}

static TIMERS: Mutex<Timers> =
    Mutex::new(Timers { clock: Clock::NONE, due: BTreeMap::new(), next: 0 });

/// How many are due some time, for those who ask often.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Begins: with these clocks, and nothing due.
pub fn init(clock: Clock) {
    *TIMERS.lock() = Timers { clock, due: BTreeMap::new(), next: 0 };
    COUNT.store(0, Ordering::Relaxed);
}

/// The time.
pub fn now() -> u64 {
    // Not under the lock: it may be a request.
    let clock = TIMERS.lock().clock;
    clock.elapsed()
}

/// Whether nothing is ever due.
#[inline]
pub fn is_empty() -> bool {
    COUNT.load(Ordering::Relaxed) == 0
}

/// When something is due; `None`, if nothing ever is.
pub fn first() -> Option<u64> {
    TIMERS.lock().due.first_key_value().map(|(&(at, _), _)| at)
}

/// How long it is until then: 0, if it was.
pub fn left() -> Option<u64> {
    Some(first()?.saturating_sub(now()))
}

/// Wakes those whose time has come.
pub fn expire() {
    if is_empty() {
        return;
    }
    let now = now();
    while let Some(thread) = TIMERS.lock().take(now) {
        queue::wake(&thread);
    }
}

impl Timers {
    /// Says how many there are.
    fn count(&self) {
        COUNT.store(self.due.len(), Ordering::Relaxed);
    }

    /// Takes one that is due.
    fn take(&mut self, now: u64) -> Option<Arc<Thread>> {
        let first = self.due.first_entry()?;
        let thread = (first.key().0 <= now).then(|| first.remove());
        self.count();
        thread
    }
}

/// A thread's wake-up at a time. Dropped, it is off.
pub struct Alarm {
    key: (u64, u64),
}

impl Alarm {
    /// Wakes this thread then.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn set(at: u64, thread: &Arc<Thread>) -> Result<Alarm, Errno> {
        let mut timers = TIMERS.lock();
        let key = (at, timers.next);
        try_insert(&mut timers.due, key, thread.clone())?;
        timers.next += 1;
        timers.count();
        Ok(Alarm { key })
    }

    /// Whether its time has come.
    pub fn is_over(&self) -> bool {
        let is_due = TIMERS.lock().due.contains_key(&self.key);
        !is_due || self.key.0 <= now()
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut timers = TIMERS.lock();
        timers.due.remove(&self.key);
        timers.count();
    }
}
