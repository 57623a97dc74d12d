//! Waiting for files: poll(2), pause(2).
//!
//! Each standard file is asked for once, however many descriptors refer to it.

use super::descriptor::file;
use crate::memory::{try_push, try_with_capacity};
use crate::process::task::current;
use crate::sched::thread::work;
use crate::sched::wait::wait;
use crate::sched::watch::{self, HOST_FILES, Masks};
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::poll::{
    POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDNORM, POLLWRNORM, Pollfd,
};
use trapgate_uapi::signal::{SIG_SETMASK, SIGSET_SIZE};
use trapgate_uapi::time::Timespec;

/// In the place of a host's file: one of a file system, which never keeps anybody
/// waiting.
pub(super) const ALWAYS: usize = HOST_FILES;
/// What is ready of such a file: Linux's `DEFAULT_POLLMASK`.
pub(super) const ALWAYS_READY: u16 = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
/// In the place of a host's file: no file.
const INVALID: usize = usize::MAX;

/// poll(2) with the time in nanoseconds, negative for ever.
fn poll_for(entries: UserPtr<Pollfd>, count: u32, timeout_ns: i64) -> SysResult {
    if count as usize > current().process.limits.descriptors() {
        return Err(Errno::EINVAL);
    }
    let mut wanted: Masks = [None; HOST_FILES];
    // Those with an answer at hand.
    let mut answered = 0;
    let mut list = try_with_capacity(count as usize)?;
    for index in 0..count.into() {
        let entry = entries.offset(index).read()?;
        let host = match entry.fd {
            ..0 => None,
            fd => match file(fd as u32) {
                Ok(file) => Some(file.as_standard().map_or(ALWAYS, |file| file.host as usize)),
                Err(_) => Some(INVALID),
            },
        };
        answered += match host {
            Some(INVALID) => 1,
            Some(ALWAYS) => u32::from(entry.events & ALWAYS_READY != 0),
            _ => 0,
        };
        if let Some(slot) = host.and_then(|host| wanted.get_mut(host)) {
            *slot = Some(slot.unwrap_or(0) | entry.events);
        }
        try_push(&mut list, (entry, host))?;
    }
    // With an answer at hand there is nothing to wait for.
    let timeout_ns = if answered > 0 { 0 } else { timeout_ns };
    let answers = ready_within(&wanted, timeout_ns)?.map(Option::unwrap_or_default);
    let mut ready = 0;
    for (index, (entry, host)) in list.into_iter().enumerate() {
        let revents = match host {
            None => 0,
            Some(ALWAYS) => ALWAYS_READY & entry.events,
            Some(host) => match answers.get(host) {
                Some(answer) => answer & (entry.events | POLLERR | POLLHUP),
                None => POLLNVAL,
            },
        };
        ready += u64::from(revents != 0);
        entries.offset(index as u64).write(Pollfd { revents, ..entry })?;
    }
    Ok(ready)
}

/// Waits until something of what is wanted is ready, at most so long, negative for
/// ever, and answers what is. Nothing of it: the time is over.
///
/// # Errors
/// EINTR, ENOMEM; what the VMM answered.
pub(super) fn ready_within(wanted: &Masks, timeout_ns: i64) -> Result<Masks, Errno> {
    const NOTHING: Masks = [None; HOST_FILES];
    let is_any_wanted = wanted.iter().any(Option::is_some);
    let look = |arm| {
        let ready = if is_any_wanted { watch::look(wanted, arm)? } else { NOTHING };
        Ok(ready.iter().flatten().any(|mask| *mask != 0).then_some(ready))
    };
    // What is ready costs no place in a queue.
    if let Some(ready) = look(timeout_ns != 0)? {
        return Ok(ready);
    }
    let elapsed = || current().process.clock.elapsed();
    let deadline = match u64::try_from(timeout_ns) {
        Ok(0) if percpu::work() & work::SIGNAL != 0 => return Err(Errno::EINTR),
        Ok(0) => return Ok(NOTHING),
        Ok(timeout) => Some(elapsed().saturating_add(timeout)),
        Err(_) => None,
    };
    let mut queues = [watch::queue(0)?; HOST_FILES];
    let mut count = 0;
    for (file, _) in (0..).zip(wanted).filter(|(_, mask)| mask.is_some()) {
        queues[count] = watch::queue(file)?;
        count += 1;
    }
    // It has just been looked at, and nobody has run since.
    let mut looked = true;
    let ready = wait(&queues[..count], deadline, || {
        if core::mem::take(&mut looked) { Ok(None) } else { look(true) }
    })?;
    Ok(ready.unwrap_or(NOTHING))
}

syscall_define! {
    /// poll(2)
    fn poll(entries: UserPtr<Pollfd>, count: u32, timeout_ms: i32) {
        poll_for(entries, count, i64::from(timeout_ms) * 1_000_000)
    }
}
syscall_define! {
    /// ppoll(2)
    fn ppoll(
        entries: UserPtr<Pollfd>,
        count: u32,
        timeout: UserPtr<Timespec>,
        mask: UserPtr<u64>,
        mask_size: u64,
    ) {
        let time = if timeout.is_null() { None } else { Some(timeout.read()?) };
        poll_within(entries, count, time, (mask, mask_size), |left| timeout.write(left))
    }
}

syscall_define! {
    /// pause(2)
    fn pause() { wait(&[], None, || Ok(None)).map(|_: Option<()>| 0) }
}

/// ppoll(2) for either width; without a time, for ever.
pub(super) fn poll_within(
    entries: UserPtr<Pollfd>,
    count: u32,
    timeout: Option<Timespec>,
    mask: (UserPtr<u64>, u64),
    tell: impl FnOnce(Timespec) -> Result<(), Errno>,
) -> SysResult {
    let timeout = timeout.map(Timespec::to_ns).transpose()?;
    let mask = read_mask(mask)?;
    let tell = |left| tell(Timespec::from_ns(left));
    within(timeout, tell, |timeout_ns| with_mask(mask, || poll_for(entries, count, timeout_ns)))
}

/// The signals to be blocked while a call waits: where they are, and how many bytes.
pub(super) fn read_mask((mask, size): (UserPtr<u64>, u64)) -> Result<Option<u64>, Errno> {
    if mask.is_null() {
        return Ok(None);
    }
    if size != SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    mask.read().map(Some)
}

/// Blocks other signals while `wait` waits. One that ends it acts on the way back to
/// ring 3, and until then the mask stays.
pub(super) fn with_mask(mask: Option<u64>, wait: impl FnOnce() -> SysResult) -> SysResult {
    let Some(mask) = mask else { return wait() };
    let signals = &current().signals;
    let before = signals.change_mask(SIG_SETMASK, Some(mask), u64::MAX)?;
    let result = wait();
    if result == Err(Errno::EINTR) {
        signals.block_after_acting(before);
    } else {
        signals.change_mask(SIG_SETMASK, Some(before), u64::MAX)?;
    }
    result
}

/// Waits, for at most so many nanoseconds: `wait` is told them, negative without a
/// time. `tell` writes what is left of them where the caller had them, as Linux does
/// (`poll_select_finish`).
pub(super) fn within(
    timeout_ns: Option<u64>,
    tell: impl FnOnce(u64) -> Result<(), Errno>,
    wait: impl FnOnce(i64) -> SysResult,
) -> SysResult {
    let Some(timeout) = timeout_ns else { return wait(-1) };
    let elapsed = || current().process.clock.elapsed();
    let began = elapsed();
    let result = wait(i64::try_from(timeout).unwrap_or(-1));
    if timeout != 0 {
        // Where it cannot be told, the result stands.
        let _ = tell(timeout.saturating_sub(elapsed().saturating_sub(began)));
    }
    result
}
