//! Counters that are files (eventfd(2)).

use crate::sched::wait::wait;
use crate::sched::wait_queue::WaitQueue;
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_NONBLOCK;
use trapgate_uapi::poll::{POLLIN, POLLOUT};

/// The most that one counts to.
const MOST: u64 = u64::MAX - 1;

/// A counter.
pub struct Event {
    count: Mutex<u64>,
    /// A read takes one, and not all.
    semaphore: bool,
    /// Who waits for it to change.
    pub queue: WaitQueue,
}

impl Event {
    /// One that begins with `count`.
    pub const fn new(count: u64, semaphore: bool) -> Event {
        Event { count: Mutex::new(count), semaphore, queue: WaitQueue::new() }
    }

    /// Tries until it can be done, or once, if it must not wait. Something of `becomes` may
    /// be ready then.
    #[inline(always)]
    fn change(
        &self,
        flags: u32,
        becomes: u16,
        mut attempt: impl FnMut(&mut u64) -> Option<u64>,
    ) -> Result<u64, Errno> {
        let at_once = attempt(&mut self.count.lock());
        let done = match at_once {
            Some(done) => done,
            None => self.change_later(flags, &mut attempt)?,
        };
        self.queue.wake(becomes);
        Ok(done)
    }

    /// The same where it cannot be done now.
    #[cold]
    fn change_later(
        &self,
        flags: u32,
        attempt: &mut dyn FnMut(&mut u64) -> Option<u64>,
    ) -> Result<u64, Errno> {
        if flags & O_NONBLOCK != 0 {
            return Err(Errno::EAGAIN);
        }
        wait(&[&self.queue], None, || Ok(attempt(&mut self.count.lock())))?
            .ok_or(Errno::ERESTARTSYS)
    }

    /// read(2): what it has counted.
    ///
    /// # Errors
    /// EAGAIN, ERESTARTSYS.
    #[inline(always)]
    pub fn take(&self, flags: u32) -> Result<u64, Errno> {
        self.change(flags, POLLOUT, |count| {
            let taken = if self.semaphore { (*count).min(1) } else { *count };
            *count -= taken;
            (taken > 0).then_some(taken)
        })
    }

    /// write(2): adds to it.
    ///
    /// # Errors
    /// EINVAL, EAGAIN, ERESTARTSYS.
    #[inline(always)]
    pub fn add(&self, more: u64, flags: u32) -> Result<(), Errno> {
        if more > MOST {
            return Err(Errno::EINVAL);
        }
        let done = self.change(flags, POLLIN, |count| {
            *count = count.checked_add(more).filter(|&sum| sum <= MOST)?;
            Some(0)
        });
        done.map(|_| ())
    }

    /// What it has counted, which stays.
    pub fn count(&self) -> u64 {
        *self.count.lock()
    }

    /// Whether a read takes one, and not all.
    pub const fn is_semaphore(&self) -> bool {
        self.semaphore
    }

    /// What poll(2) tells.
    pub fn ready(&self) -> u16 {
        let count = *self.count.lock();
        let mut ready = 0;
        if count > 0 {
            ready |= POLLIN;
        }
        if count < MOST {
            ready |= POLLOUT;
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_takes_all_or_one() {
        let event = Event::new(3, false);
        assert_eq!(event.take(O_NONBLOCK), Ok(3));
        assert_eq!(event.take(O_NONBLOCK), Err(Errno::EAGAIN));
        let semaphore = Event::new(2, true);
        let takes = [(); 3].map(|()| semaphore.take(O_NONBLOCK));
        assert_eq!(takes, [Ok(1), Ok(1), Err(Errno::EAGAIN)]);
    }

    #[test]
    fn what_would_be_too_much_waits_or_is_refused() {
        let event = Event::new(0, false);
        assert_eq!(event.ready(), POLLOUT);
        assert_eq!(event.add(u64::MAX, O_NONBLOCK), Err(Errno::EINVAL));
        assert_eq!(event.add(MOST, O_NONBLOCK), Ok(()));
        assert_eq!(event.add(1, O_NONBLOCK), Err(Errno::EAGAIN));
        assert_eq!(event.add(0, O_NONBLOCK), Ok(()));
        assert_eq!(event.ready(), POLLIN);
        assert_eq!(event.take(O_NONBLOCK), Ok(MOST));
    }
}
