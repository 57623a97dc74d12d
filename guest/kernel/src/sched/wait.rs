//! Waiting: [`wait`], of which every call that blocks is made.

use super::switch;
use super::thread::{State, Thread, current_arc, work};
use super::timers::Alarm;
use super::wait_queue::WaitQueue;
use super::watch::{self, HOST_FILES};
use alloc::sync::Arc;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;

/// A thread's places in queues, which it leaves whatever comes.
struct Places<'a> {
    queues: &'a [&'a WaitQueue],
    thread: &'a Arc<Thread>,
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        for queue in self.queues {
            queue.remove(self.thread);
        }
        self.thread.set_state(State::Running);
    }
}

/// Waits until `condition` answers something, and answers that; `None`, if the
/// `deadline` passed before (nanoseconds of [`crate::clock::Clock::elapsed`]).
///
/// The thread is in all queues before the condition is looked at, so whatever
/// happens after that wakes it: no wake-up is lost. It may be woken for nothing, and
/// looks again.
///
/// # Errors
/// ERESTARTSYS, if a signal is to act; ENOMEM; those of the condition; and what the VMM
/// answered, if it does not let the program wait.
pub fn wait<T>(
    queues: &[&WaitQueue],
    deadline: Option<u64>,
    condition: impl FnMut() -> Result<Option<T>, Errno>,
) -> Result<Option<T>, Errno> {
    let thread = &current_arc();
    let mut places = Places { queues: &[], thread };
    for (index, queue) in queues.iter().enumerate() {
        queue.add(thread)?;
        places.queues = &queues[..=index];
    }
    until(thread, deadline, condition)
}

/// The same in one queue, for what one thread is enough: it is not woken for what another
/// one was woken for.
///
/// # Errors
/// Those of [`wait`].
pub fn wait_in_turn<T>(
    queue: &WaitQueue,
    deadline: Option<u64>,
    condition: impl FnMut() -> Result<Option<T>, Errno>,
) -> Result<Option<T>, Errno> {
    let thread = &current_arc();
    queue.add_in_turn(thread)?;
    let _places = Places { queues: &[queue], thread };
    until(thread, deadline, condition)
}

/// The running thread is in its queues.
#[inline(always)]
fn until<T>(
    thread: &Arc<Thread>,
    deadline: Option<u64>,
    mut condition: impl FnMut() -> Result<Option<T>, Errno>,
) -> Result<Option<T>, Errno> {
    let alarm = deadline.map(|deadline| Alarm::set(deadline, thread)).transpose()?;
    loop {
        // From here on a wake-up counts.
        thread.set_state(State::Blocked);
        if let Some(found) = condition()? {
            return Ok(Some(found));
        }
        if percpu::work() & work::SIGNAL != 0 {
            return Err(Errno::ERESTARTSYS);
        }
        if alarm.as_ref().is_some_and(Alarm::is_over) {
            return Ok(None);
        }
        switch::block()?;
    }
}

/// Waits until a file has something of this.
///
/// # Errors
/// Those of [`wait`] and [`watch::look`].
pub fn wait_for(file: u32, mask: u16) -> Result<(), Errno> {
    let mut wanted = [None; HOST_FILES];
    *wanted.get_mut(file as usize).ok_or(Errno::EBADF)? = Some(mask);
    wait(&[watch::queue(file)?], None, || {
        let ready = watch::look(&wanted, true)?;
        Ok(ready.iter().any(|ready| ready.is_some_and(|mask| mask != 0)).then_some(()))
    })?;
    Ok(())
}
