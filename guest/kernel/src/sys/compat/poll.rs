//! Waiting for files: ppoll(2), select(2), pselect6(2).

use super::time::{read_if, read_time32, read_time64};
use crate::sys::define::{SysResult, compat_define};
use crate::sys::poll::{poll_within, read_mask};
use crate::sys::select::{Sets, select_within, timeval_ns};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::poll::Pollfd;
use trapgate_uapi::time::{OldTimespec32, OldTimeval32, Timespec, Timeval};

compat_define! {
    /// ppoll(2) with a 32-bit time.
    fn ppoll_time32(
        entries: UserPtr<Pollfd>,
        count: u32,
        timeout: UserPtr<OldTimespec32>,
        mask: UserPtr<u64>,
        mask_size: u32,
    ) {
        let time = read_if(timeout, read_time32)?;
        let mask = (mask, mask_size.into());
        poll_within(entries, count, time, mask, |left| timeout.write(left.into()))
    }
}
compat_define! {
    /// ppoll(2) with a 64-bit time.
    fn ppoll_time64(
        entries: UserPtr<Pollfd>,
        count: u32,
        timeout: UserPtr<Timespec>,
        mask: UserPtr<u64>,
        mask_size: u32,
    ) {
        let time = read_if(timeout, read_time64)?;
        let mask = (mask, mask_size.into());
        poll_within(entries, count, time, mask, |left| timeout.write(left))
    }
}
compat_define! {
    /// select(2): i386's `_newselect`.
    fn select(
        count: i32,
        input: UserPtr<u32>,
        output: UserPtr<u32>,
        exceptions: UserPtr<u32>,
        timeout: UserPtr<OldTimeval32>,
    ) {
        select_with_timeval(sets(count, [input, output, exceptions]), timeout)
    }
}
compat_define! {
    /// select(2), whose arguments are in memory.
    fn old_select(arguments: UserPtr<[u32; 5]>) {
        let [count, input, output, exceptions, timeout] = arguments.read()?;
        let at = [input, output, exceptions].map(|address| UserPtr::new(address.into()));
        select_with_timeval(sets(count as i32, at), UserPtr::new(timeout.into()))
    }
}
compat_define! {
    /// pselect6(2) with a 32-bit time.
    fn pselect6_time32(
        count: i32,
        input: UserPtr<u32>,
        output: UserPtr<u32>,
        exceptions: UserPtr<u32>,
        timeout: UserPtr<OldTimespec32>,
        mask: UserPtr<[u32; 2]>,
    ) {
        let mask = pack(mask)?;
        let time = read_if(timeout, read_time32)?.map(Timespec::to_ns).transpose()?;
        let tell = |left| timeout.write(Timespec::from_ns(left).into());
        select_within(&sets(count, [input, output, exceptions]), time, read_mask(mask)?, tell)
    }
}
compat_define! {
    /// pselect6(2) with a 64-bit time.
    fn pselect6_time64(
        count: i32,
        input: UserPtr<u32>,
        output: UserPtr<u32>,
        exceptions: UserPtr<u32>,
        timeout: UserPtr<Timespec>,
        mask: UserPtr<[u32; 2]>,
    ) {
        let mask = pack(mask)?;
        let time = read_if(timeout, read_time64)?.map(Timespec::to_ns).transpose()?;
        let tell = |left| timeout.write(Timespec::from_ns(left));
        select_within(&sets(count, [input, output, exceptions]), time, read_mask(mask)?, tell)
    }
}

/// Where pselect6(2)'s mask is, and its size: that is in memory.
fn pack(at: UserPtr<[u32; 2]>) -> Result<(UserPtr<u64>, u64), Errno> {
    let [mask, size] = if at.is_null() { [0; 2] } else { at.read()? };
    Ok((UserPtr::new(mask.into()), size.into()))
}

/// Sets of i386's, whose `long` has 32 bits.
fn sets(count: i32, at: [UserPtr<u32>; 3]) -> Sets {
    Sets { count, at, long: 32 }
}

fn select_with_timeval(sets: Sets, timeout: UserPtr<OldTimeval32>) -> SysResult {
    let time = if timeout.is_null() { None } else { Some(timeout.read()?) };
    let time = time.map(|time| timeval_ns(time.tv_sec.into(), time.tv_usec.into())).transpose()?;
    select_within(&sets, time, None, |left| timeout.write(Timeval::from_ns(left).into()))
}
