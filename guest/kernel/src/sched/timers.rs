//! What is due at a time: a thread to be woken ([`Alarm`]), or what a room above has made
//! of it ([`Timer`], [`Expire`]). Times are nanoseconds of [`Clock::elapsed`], and there
//! is no slack: what is due later is not due.
//!
//! Nothing is locked when it is told ([`expire`]), so it may set its next time there. A
//! timer's room is made when the timer is: to set it never fails.

mod heap;

use super::thread::{Thread, work};
use super::{queue, tick};
use crate::clock::Clock;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicUsize, Ordering};
use heap::Heap;
use spin::Mutex;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;

/// What a room above is told of when its time has come.
pub trait Expire: Send + Sync {
    /// It has: `now` is at least what was set. Nothing is locked, and no time is set.
    fn expire(self: Arc<Self>, now: u64);
}

/// What is due.
enum Due {
    /// It is woken.
    Thread(Arc<Thread>),
    /// It is told, if it is still there.
    Told(Weak<dyn Expire>),
}

struct Timers {
    clock: Clock,
    heap: Heap<Due>,
}

static TIMERS: Mutex<Timers> = Mutex::new(Timers { clock: Clock::NONE, heap: Heap::new() });

/// How many are due some time, for those who ask often.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Begins: with these clocks, and nothing due.
pub fn init(clock: Clock) {
    *TIMERS.lock() = Timers { clock, heap: Heap::new() };
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
    TIMERS.lock().heap.first()
}

/// How long it is until then: 0, if it was.
pub fn left() -> Option<u64> {
    Some(first()?.saturating_sub(now()))
}

/// Sees to what is due by now, one after the other.
pub fn expire() {
    if is_empty() {
        return;
    }
    let now = now();
    while let Some(due) = with_heap(|heap| heap.take(now)) {
        match due {
            Due::Thread(thread) => _ = queue::wake(&thread),
            Due::Told(above) => {
                if let Some(above) = above.upgrade() {
                    above.expire(now);
                }
            }
        }
    }
}

/// Changes the heap. What comes out is dropped by the caller, with nothing locked.
fn with_heap<R>(change: impl FnOnce(&mut Heap<Due>) -> R) -> R {
    let mut timers = TIMERS.lock();
    let result = change(&mut timers.heap);
    COUNT.store(timers.heap.len(), Ordering::Relaxed);
    result
}

/// A thread's wake-up at a time. Dropped, it is off.
pub struct Alarm {
    slot: u32,
}

impl Alarm {
    /// Wakes this thread then.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn set(at: u64, thread: &Arc<Thread>) -> Result<Alarm, Errno> {
        with_heap(|heap| {
            let slot = heap.add()?;
            heap.set(slot, at, Due::Thread(thread.clone()));
            Ok(Alarm { slot })
        })
    }

    /// Whether its time has come.
    pub fn is_over(&self) -> bool {
        let time = TIMERS.lock().heap.time(self.slot);
        time.is_none_or(|at| at <= now())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        drop(with_heap(|heap| heap.remove(self.slot)));
    }
}

/// A time that can be set, changed and cancelled, for what a room above has. Dropped, it
/// is off. It does not keep what it tells: that has the timer, as a rule.
pub struct Timer {
    slot: u32,
}

impl Timer {
    /// One that is not set.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> Result<Timer, Errno> {
        with_heap(Heap::add).map(|slot| Timer { slot })
    }

    /// Sets it, in place of what was set before: `above` is told once, as soon as the time
    /// has come, though the running thread does nothing but compute.
    pub fn set(&self, at: u64, above: Weak<dyn Expire>) {
        drop(with_heap(|heap| heap.set(self.slot, at, Due::Told(above))));
        if !tick::come() {
            percpu::raise_work(work::TICK);
        }
    }

    /// Cancels it. Answers the time that it was set to; `None`, if there was none, or it
    /// has come.
    pub fn cancel(&self) -> Option<u64> {
        let before = with_heap(|heap| heap.cancel(self.slot));
        before.map(|(at, _)| at)
    }

    /// The time that it is set to.
    pub fn time(&self) -> Option<u64> {
        TIMERS.lock().heap.time(self.slot)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        drop(with_heap(|heap| heap.remove(self.slot)));
    }
}

/// When something is due that may be so again and again, on whatever clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// When it is next; `None`, if it never is.
    pub next: Option<u64>,
    /// How long it is from one time to the next; 0 for once.
    pub interval: u64,
}

impl Schedule {
    /// Goes on to what comes after `now`. Answers how often it was due until then: what is
    /// beyond 1 was missed.
    pub fn advance(&mut self, now: u64) -> u64 {
        let Some(at) = self.next.filter(|&at| at <= now) else { return 0 };
        let Some(more) = (now - at).checked_div(self.interval) else {
            self.next = None;
            return 1;
        };
        let passed = at + more * self.interval;
        self.next = Some(passed.saturating_add(self.interval));
        more.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_counts_what_was_missed_and_keeps_its_rhythm() {
        let mut schedule = Schedule { next: Some(10), interval: 5 };
        assert_eq!(schedule.advance(9), 0);
        assert_eq!(schedule.advance(10), 1);
        assert_eq!(schedule.next, Some(15));
        assert_eq!(schedule.advance(31), 4);
        assert_eq!(schedule.next, Some(35));
    }

    #[test]
    fn a_schedule_without_an_interval_is_due_once() {
        let mut schedule = Schedule { next: Some(10), interval: 0 };
        assert_eq!(schedule.advance(1_000), 1);
        assert_eq!(schedule, Schedule { next: None, interval: 0 });
        assert_eq!(schedule.advance(2_000), 0);
    }

    #[test]
    fn a_schedule_ends_with_time_itself() {
        let mut schedule = Schedule { next: Some(0), interval: 1 };
        assert_eq!(schedule.advance(u64::MAX), u64::MAX);
        let mut rare = Schedule { next: Some(1), interval: u64::MAX };
        assert_eq!((rare.advance(5), rare.next), (1, Some(u64::MAX)));
    }
}
