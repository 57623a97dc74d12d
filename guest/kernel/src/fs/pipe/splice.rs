//! What splice(2), tee(2) and vmsplice(2) need of a pipe: bytes that stay in it until they
//! have arrived elsewhere, and waiting apart from the transfer.

use super::{Pipe, READ, WRITE};
use crate::sched::wait::wait;
use trapgate_uapi::Errno;
use trapgate_uapi::poll::{POLLOUT, POLLWRNORM};

impl Pipe {
    /// Copies bytes from the one after `skip` on, which stay: how many.
    pub fn peek(&self, skip: u64, to: &mut [u8]) -> usize {
        self.held.lock().pages.peek(skip, to)
    }

    /// Takes so many bytes out.
    pub fn consume(&self, bytes: u64) {
        let mut done = 0;
        while done < bytes {
            let mut held = self.held.lock();
            let before = done;
            held.pages.take(&mut done, bytes, &mut |_, _, length| length);
            if done == before {
                break;
            }
        }
        self.writers.wake(POLLOUT | POLLWRNORM);
    }

    /// Waits for bytes; false, if none come any more.
    ///
    /// # Errors
    /// EAGAIN, if it must not wait; EINTR.
    pub fn wait_for_bytes(&self, must_not_wait: bool) -> Result<bool, Errno> {
        let state = || {
            let held = self.held.lock();
            match (held.pages.is_empty(), held.ends.open[WRITE]) {
                (false, _) => Some(true),
                (true, 0) => Some(false),
                (true, _) => None,
            }
        };
        match state() {
            Some(there) => Ok(there),
            None if must_not_wait => Err(Errno::EAGAIN),
            None => {
                wait(&[&self.readers], None, || Ok(state().map(drop)))?;
                Ok(state().unwrap_or(false))
            }
        }
    }

    /// Waits for room.
    ///
    /// # Errors
    /// EPIPE, if nobody reads; EAGAIN, if it must not wait; EINTR.
    pub fn wait_for_room(&self, must_not_wait: bool) -> Result<(), Errno> {
        let state = || {
            let held = self.held.lock();
            match (held.ends.open[READ], held.pages.is_full()) {
                (0, _) => Some(Err(Errno::EPIPE)),
                (_, false) => Some(Ok(())),
                (_, true) => None,
            }
        };
        match state() {
            Some(state) => state,
            None if must_not_wait => Err(Errno::EAGAIN),
            None => {
                wait(&[&self.writers], None, || Ok(state().map(drop)))?;
                state().unwrap_or(Ok(()))
            }
        }
    }
}
