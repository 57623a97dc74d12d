//! Waiting for files: poll(2).
//!
//! Each standard file is asked for once, however many descriptors refer to it.

use super::descriptor::file;
use crate::fs::table::MAX_DESCRIPTORS;
use crate::host::Call;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use alloc::vec::Vec;
use trapgate_abi::hypercall::{PollEntry, Request};
use trapgate_uapi::Errno;
use trapgate_uapi::poll::{POLLERR, POLLHUP, POLLNVAL, Pollfd};
use trapgate_uapi::time::Timespec;

/// Standard files on the host: each is asked for once.
const HOST_FILES: usize = 3;

/// poll(2) with the time in nanoseconds, negative for ever.
fn poll_for(entries: UserPtr<Pollfd>, count: u32, timeout_ns: i64) -> SysResult {
    if count as usize > MAX_DESCRIPTORS {
        return Err(Errno::EINVAL);
    }
    let mut wanted = [None::<u16>; HOST_FILES];
    let mut invalid = 0;
    let mut list = Vec::new();
    list.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    for index in 0..count.into() {
        let entry = entries.offset(index).read()?;
        let host = match entry.fd {
            ..0 => None,
            fd => match file(fd as u32) {
                Ok(file) => Some(file.host as usize),
                Err(_) => {
                    invalid += 1;
                    Some(usize::MAX)
                }
            },
        };
        if let Some(slot) = host.and_then(|host| wanted.get_mut(host)) {
            *slot = Some(slot.unwrap_or(0) | entry.events);
        }
        list.push((entry, host));
    }
    // With an answer at hand there is nothing to wait for.
    let timeout_ns = if invalid > 0 { 0 } else { timeout_ns };
    let mut call = Call::new(Request::Poll { timeout_ns });
    for (host, events) in wanted.iter().enumerate() {
        if let Some(events) = *events {
            call.push_poll(PollEntry { file: host as u32, events });
        }
    }
    call.submit()?;
    let mut answers = [0u16; HOST_FILES];
    let asked = wanted.iter().enumerate().filter(|(_, events)| events.is_some());
    for ((host, _), word) in asked.zip(call.data::<HOST_FILES>()) {
        answers[host] = word as u16;
    }
    let mut ready = 0;
    for (index, (entry, host)) in list.into_iter().enumerate() {
        let revents = match host {
            None => 0,
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

syscall_define! {
    /// poll(2)
    fn poll(entries: UserPtr<Pollfd>, count: u32, timeout_ms: i32) {
        poll_for(entries, count, i64::from(timeout_ms) * 1_000_000)
    }
}
syscall_define! {
    /// ppoll(2); no signal can come meanwhile, so the mask does not matter.
    fn ppoll(entries: UserPtr<Pollfd>, count: u32, timeout: UserPtr<Timespec>) {
        let timeout = if timeout.is_null() { None } else { Some(timeout.read()?) };
        poll_within(entries, count, timeout)
    }
}

/// ppoll(2) for either width; without a time, for ever.
pub(super) fn poll_within(
    entries: UserPtr<Pollfd>,
    count: u32,
    timeout: Option<Timespec>,
) -> SysResult {
    let timeout_ns = match timeout {
        Some(time) => i64::try_from(time.to_ns()?).unwrap_or(-1),
        None => -1,
    };
    poll_for(entries, count, timeout_ns)
}
