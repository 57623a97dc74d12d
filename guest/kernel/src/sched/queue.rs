//! Who could run: a queue for each level, first come, first served, and a bit for each
//! that is not empty.
//!
//! The queues are chained through the threads themselves, so that nothing is allocated
//! when one wakes.

use crate::sched::thread::{LEVELS, State, Thread, work};
use crate::sched::tick;
use alloc::sync::Arc;
use spin::Mutex;
use trapgate_arch::percpu;

/// A level's queue.
struct Level {
    first: Option<Arc<Thread>>,
    last: Option<Arc<Thread>>,
}

struct Queue {
    levels: [Level; LEVELS as usize],
    /// A bit for each level that is not empty.
    occupied: u64,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    levels: [const { Level { first: None, last: None } }; LEVELS as usize],
    occupied: 0,
});

/// Forgets everybody.
pub(super) fn clear() {
    while pop().is_some() {}
}

/// If the thread waits, it could go on from now on. False: it does not wait.
pub fn wake(thread: &Arc<Thread>) -> bool {
    let waits = thread.state() == State::Blocked;
    if waits && thread.is_current() {
        // It has not given the CPU up, or has found nobody to give it to.
        thread.set_state(State::Running);
    } else if waits {
        push(thread.clone());
    }
    waits
}

/// Puts a thread that is in no queue behind the others of its level.
pub fn push(thread: Arc<Thread>) {
    thread.set_state(State::Ready);
    if !tick::come() {
        percpu::raise_work(work::TICK);
    }
    let number = thread.level();
    let mut queue = QUEUE.lock();
    queue.occupied |= 1 << number;
    let level = &mut queue.levels[usize::from(number)];
    match level.last.replace(thread.clone()) {
        Some(before) => *before.next.lock() = Some(thread),
        None => level.first = Some(thread),
    }
}

/// Takes the first of the first level.
pub(super) fn pop() -> Option<Arc<Thread>> {
    let mut queue = QUEUE.lock();
    if queue.occupied == 0 {
        return None;
    }
    let number = queue.occupied.trailing_zeros();
    let level = &mut queue.levels[number as usize];
    let thread = level.first.take()?;
    level.first = thread.next.lock().take();
    if level.first.is_none() {
        level.last = None;
        queue.occupied &= !(1 << number);
    }
    Some(thread)
}

/// Whether somebody is ready.
pub fn is_empty() -> bool {
    QUEUE.lock().occupied == 0
}
