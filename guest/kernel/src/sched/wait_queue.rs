//! Queues of those who wait for something.

use super::queue;
use super::thread::Thread;
use crate::memory::try_push;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_uapi::Errno;

/// What a room above has in a queue: it is told, and sees to the rest.
pub trait Waiter: Send + Sync {
    /// Something may be ready: of these `POLL*` bits, or whatever it may be, if there are
    /// none. Answers whether anybody has been woken for that. The queue is locked.
    fn tell(&self, mask: u16) -> bool;
}

/// Who waits for something.
pub struct WaitQueue {
    places: Mutex<Places>,
}

struct Places {
    /// First those who all hear of everything; behind them, in their order, those of whom
    /// one is enough.
    list: Vec<Place>,
    /// How many the first are.
    all: usize,
}

/// What a queue can have in it.
enum Place {
    /// A thread that is woken.
    Thread(Arc<Thread>),
    /// What is told.
    Told(Arc<dyn Waiter>),
}

impl Place {
    fn wake(&self, mask: u16) -> bool {
        match self {
            Place::Thread(thread) => queue::wake(thread),
            Place::Told(waiter) => waiter.tell(mask),
        }
    }

    /// What it is known by.
    fn address(&self) -> usize {
        match self {
            Place::Thread(thread) => Arc::as_ptr(thread).addr(),
            Place::Told(waiter) => Arc::as_ptr(waiter).addr(),
        }
    }
}

impl Places {
    fn add(&mut self, place: Place, in_turn: bool) -> Result<(), Errno> {
        try_push(&mut self.list, place)?;
        if !in_turn {
            self.list[self.all..].rotate_right(1);
            self.all += 1;
        }
        Ok(())
    }

    /// Whoever came last is found first.
    fn remove(&mut self, address: usize) -> Option<Place> {
        let index = self.list.iter().rposition(|place| place.address() == address)?;
        if index >= self.all {
            return Some(self.list.remove(index));
        }
        self.all -= 1;
        self.list.swap(index, self.all);
        Some(self.list.remove(self.all))
    }

    fn wake(&self, mask: u16) {
        let (all, in_turn) = self.list.split_at(self.all);
        all.iter().for_each(|place| _ = place.wake(mask));
        let _ = in_turn.iter().any(|place| place.wake(mask));
    }
}

impl WaitQueue {
    /// One in which nobody waits.
    pub const fn new() -> WaitQueue {
        WaitQueue { places: Mutex::new(Places { list: Vec::new(), all: 0 }) }
    }

    /// Wakes everybody, and one of those of whom one is enough: each looks for itself
    /// whether it has something to do now.
    #[inline]
    pub fn wake_all(&self) {
        self.wake(0);
    }

    /// The same; what is told hears that something of these `POLL*` bits may be ready.
    #[inline]
    pub fn wake(&self, mask: u16) {
        // Mostly, that is nobody.
        if !self.is_empty() {
            self.wake_each(mask);
        }
    }

    #[inline(never)]
    fn wake_each(&self, mask: u16) {
        self.places.lock().wake(mask);
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.places.lock().list.is_empty()
    }

    /// Puts a thread into it.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn add(&self, thread: &Arc<Thread>) -> Result<(), Errno> {
        self.places.lock().add(Place::Thread(thread.clone()), false)
    }

    /// The same of one that need not be woken if another one of them was.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn add_in_turn(&self, thread: &Arc<Thread>) -> Result<(), Errno> {
        self.places.lock().add(Place::Thread(thread.clone()), true)
    }

    /// Puts what is to be told into it: all of these, or one is enough.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn add_waiter(&self, waiter: Arc<dyn Waiter>, in_turn: bool) -> Result<(), Errno> {
        self.places.lock().add(Place::Told(waiter), in_turn)
    }

    /// Takes a thread out of it.
    pub fn remove(&self, thread: &Arc<Thread>) {
        self.remove_place(Arc::as_ptr(thread).addr());
    }

    /// Takes what is told out of it, if it is there.
    pub fn remove_waiter(&self, waiter: &Arc<dyn Waiter>) {
        self.remove_place(Arc::as_ptr(waiter).addr());
    }

    fn remove_place(&self, address: usize) {
        let removed = self.places.lock().remove(address);
        drop(removed);
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        WaitQueue::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering};

    /// What counts how often it was told, and acts on it or not.
    struct Counts(AtomicU32, bool);

    impl Waiter for Counts {
        fn tell(&self, _: u16) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1
        }
    }

    #[test]
    fn all_hear_of_it_and_of_those_in_turn_the_first_that_acts() {
        let queue = WaitQueue::new();
        let [idle, first, second, all] =
            [false, true, true, true].map(|acts| Arc::new(Counts(AtomicU32::new(0), acts)));
        for (waiter, in_turn) in [(&idle, true), (&first, true), (&second, true), (&all, false)] {
            queue.add_waiter(waiter.clone(), in_turn).unwrap();
        }
        let told =
            || [&idle, &first, &second, &all].map(|counts| counts.0.swap(0, Ordering::Relaxed));
        queue.wake_all();
        assert_eq!(told(), [1, 1, 0, 1]);
        let first: Arc<dyn Waiter> = first.clone();
        queue.remove_waiter(&first);
        queue.wake(1);
        assert_eq!(told(), [1, 0, 1, 1]);
        let all: Arc<dyn Waiter> = all.clone();
        queue.remove_waiter(&all);
        queue.remove_waiter(&all);
        queue.wake(1);
        assert_eq!(told(), [1, 0, 1, 0]);
    }
}
