//! Who could run: in the order of their virtual times, first come, first served where
//! these are about the same.
//!
//! A queue for each slice of virtual time, in a ring, and a bit for each that is not empty:
//! to put somebody in and to take the first out has as many instructions for a thousand
//! threads as for two. Who is further ahead than the ring is long is put at its end. The
//! queues are chained through the threads themselves, so that nothing is allocated when
//! one wakes.

use crate::sched::share::SLICE_NS;
use crate::sched::thread::{State, Thread, work};
use crate::sched::tick;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use trapgate_arch::percpu;

/// Slices of virtual time in the ring.
const SLICES: u64 = 64;

/// Those of one slice. The last is none, if it is the first.
struct Slice {
    first: Option<Arc<Thread>>,
    last: Option<Arc<Thread>>,
}

struct Queue {
    slices: [Slice; SLICES as usize],
    /// The slice of who was taken last. The ring goes from the one before it, for those
    /// who have slept, on.
    now: u64,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    slices: [const { Slice { first: None, last: None } }; SLICES as usize],
    now: 1,
});

/// A bit for each slice that is not empty. Who changes it holds the lock.
static OCCUPIED: AtomicU64 = AtomicU64::new(0);

fn occupied() -> u64 {
    OCCUPIED.load(Ordering::Relaxed)
}

/// Forgets everybody.
pub(super) fn clear() {
    while pop().is_some() {}
    QUEUE.lock().now = 1;
}

/// If the thread waits, it could go on from now on: before those who have computed all
/// the time, but with no more time than they. False: it does not wait.
pub fn wake(thread: &Arc<Thread>) -> bool {
    let waits = thread.state() == State::Blocked;
    if waits && thread.is_current() {
        // It has not given the CPU up, or has found nobody to give it to.
        thread.set_state(State::Running);
    } else if waits {
        put(thread.clone(), SLICE_NS, |queue| queue.now * SLICE_NS - 1);
    }
    waits
}

/// Puts a thread that is in no queue behind the others of its slice.
pub fn push(thread: Arc<Thread>) {
    put(thread, 0, |queue| queue.now * SLICE_NS);
}

/// The same, and behind whoever would be the first.
pub(super) fn push_behind_first(thread: Arc<Thread>) {
    put(thread, 0, |queue| queue.first().max(queue.now) * SLICE_NS);
}

/// Puts it where its virtual time is, or from the least that it may have on; and so much
/// before that.
#[inline]
fn put(thread: Arc<Thread>, before: u64, least: impl FnOnce(&Queue) -> u64) {
    thread.set_state(State::Ready);
    if !tick::come() {
        percpu::raise_work(work::TICK);
    }
    let mut queue = QUEUE.lock();
    let most = (queue.now + SLICES - 2) * SLICE_NS;
    let time = thread.share.virtual_time().max(least(&queue)).min(most);
    thread.share.set_virtual_time(time);
    let place = time.saturating_sub(before).max((queue.now - 1) * SLICE_NS);
    let index = place / SLICE_NS % SLICES;
    OCCUPIED.store(occupied() | 1 << index, Ordering::Relaxed);
    let slice = &mut queue.slices[index as usize];
    let Some(first) = &slice.first else {
        slice.first = Some(thread);
        return;
    };
    let before = slice.last.replace(thread.clone());
    before.as_ref().unwrap_or(first).next.replace(Some(thread));
}

/// Takes the first.
pub(super) fn pop() -> Option<Arc<Thread>> {
    if is_empty() {
        return None;
    }
    let mut queue = QUEUE.lock();
    let number = queue.first();
    queue.now = queue.now.max(number);
    let index = number % SLICES;
    let slice = &mut queue.slices[index as usize];
    let thread = slice.first.take()?;
    let Some(next) = thread.next.take() else {
        OCCUPIED.store(occupied() & !(1 << index), Ordering::Relaxed);
        return Some(thread);
    };
    if slice.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &next)) {
        slice.last = None;
    }
    slice.first = Some(next);
    Some(thread)
}

/// Whether somebody is ready.
#[inline]
pub fn is_empty() -> bool {
    occupied() == 0
}

impl Queue {
    /// The first slice that is not empty; if all are, a later one.
    fn first(&self) -> u64 {
        let before = self.now - 1;
        before + u64::from(occupied().rotate_right(before as u32 % 64).trailing_zeros())
    }
}
