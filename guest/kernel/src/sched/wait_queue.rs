//! Queues of those who wait for something.

use super::queue;
use super::thread::Thread;
use crate::memory::try_push;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_uapi::Errno;

/// Who waits for something.
pub struct WaitQueue {
    waiters: Mutex<Vec<Waiter>>,
}

/// What a queue can have in it.
enum Waiter {
    /// A thread that is woken.
    Thread(Arc<Thread>),
}

impl Waiter {
    fn wake(&self) {
        match self {
            Waiter::Thread(thread) => _ = queue::wake(thread),
        }
    }

    fn is(&self, thread: &Arc<Thread>) -> bool {
        match self {
            Waiter::Thread(other) => Arc::ptr_eq(other, thread),
        }
    }
}

impl WaitQueue {
    /// One in which nobody waits.
    pub const fn new() -> WaitQueue {
        WaitQueue { waiters: Mutex::new(Vec::new()) }
    }

    /// Wakes everybody: each looks for itself whether it has something to do now.
    #[inline]
    pub fn wake_all(&self) {
        // Mostly, that is nobody.
        if !self.is_empty() {
            self.wake_each();
        }
    }

    #[inline(never)]
    fn wake_each(&self) {
        self.waiters.lock().iter().for_each(Waiter::wake);
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiters.lock().is_empty()
    }

    /// Puts a thread into it.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn add(&self, thread: &Arc<Thread>) -> Result<(), Errno> {
        try_push(&mut *self.waiters.lock(), Waiter::Thread(thread.clone()))
    }

    /// Takes a thread out of it.
    pub fn remove(&self, thread: &Arc<Thread>) {
        let mut waiters = self.waiters.lock();
        if let Some(index) = waiters.iter().position(|waiter| waiter.is(thread)) {
            waiters.swap_remove(index);
        }
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        WaitQueue::new()
    }
}
