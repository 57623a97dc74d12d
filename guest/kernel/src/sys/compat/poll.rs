//! Waiting for files: ppoll(2).

use super::time::{read_if, read_time32, read_time64};
use crate::sys::define::compat_define;
use crate::sys::poll::poll_within;
use crate::user::UserPtr;
use trapgate_uapi::poll::Pollfd;
use trapgate_uapi::time::{OldTimespec32, Timespec};

compat_define! {
    /// ppoll(2) with a 32-bit time.
    fn ppoll_time32(entries: UserPtr<Pollfd>, count: u32, timeout: UserPtr<OldTimespec32>) {
        poll_within(entries, count, read_if(timeout, read_time32)?)
    }
}
compat_define! {
    /// ppoll(2) with a 64-bit time.
    fn ppoll_time64(entries: UserPtr<Pollfd>, count: u32, timeout: UserPtr<Timespec>) {
        poll_within(entries, count, read_if(timeout, read_time64)?)
    }
}
