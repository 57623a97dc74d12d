//! Time: the calls with a 32-bit time, and those of the time64 family that
//! read a `struct timespec`, whose upper half of `tv_nsec` is padding on i386.

use crate::process::task::current;
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::time::{Remaining, now, sleep, sleep_by, ticks};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::time::{
    CompatTms, NSEC_PER_SEC, OldTimespec32, OldTimeval32, Timespec, Timeval, Timezone,
};

/// Reads a time of 32 bits.
pub(super) fn read_time32(from: UserPtr<OldTimespec32>) -> Result<Timespec, Errno> {
    from.read().map(Timespec::from)
}

/// Reads a time of 64 bits.
pub(super) fn read_time64(from: UserPtr<Timespec>) -> Result<Timespec, Errno> {
    from.read().map(Timespec::without_padding)
}

/// Reads what may be absent.
pub(super) fn read_if<T>(
    from: UserPtr<T>,
    read: impl FnOnce(UserPtr<T>) -> Result<Timespec, Errno>,
) -> Result<Option<Timespec>, Errno> {
    if from.is_null() { Ok(None) } else { read(from).map(Some) }
}

ia32_define! {
    /// time(2)
    fn time32(seconds: UserPtr<i32>) {
        let now = (current().process.clock.realtime() / NSEC_PER_SEC) as i32;
        seconds.write_if(now)?;
        Ok(i64::from(now) as u64)
    }
}
compat_define! {
    /// gettimeofday(2): the time zone is UTC.
    fn gettimeofday(time: UserPtr<OldTimeval32>, zone: UserPtr<Timezone>) {
        if !time.is_null() {
            time.write(Timeval::from_ns(current().process.clock.realtime()).into())?;
        }
        zone.write_if(Timezone::default()).map(|()| 0)
    }
}
compat_define! {
    /// times(2)
    fn times(buffer: UserPtr<CompatTms>) {
        let (times, now) = ticks();
        buffer.write_if(times.into())?;
        Ok(now)
    }
}
ia32_define! {
    /// clock_gettime(2)
    fn clock_gettime32(id: i32, time: UserPtr<OldTimespec32>) {
        time.write(Timespec::from_ns(now(id)?).into()).map(|()| 0)
    }
}
ia32_define! {
    /// clock_getres(2)
    fn clock_getres_time32(id: i32, resolution: UserPtr<OldTimespec32>) {
        let ns = crate::sys::time::resolution(id)?;
        resolution.write_if(Timespec::from_ns(ns).into()).map(|()| 0)
    }
}
ia32_define! {
    /// nanosleep(2)
    fn nanosleep_time32(duration: UserPtr<OldTimespec32>, remaining: UserPtr<OldTimespec32>) {
        sleep(read_time32(duration)?.to_ns()?, Remaining::Narrow(remaining))
    }
}
ia32_define! {
    /// clock_nanosleep(2) with a 32-bit time.
    fn clock_nanosleep_time32(
        id: i32,
        flags: i32,
        time: UserPtr<OldTimespec32>,
        remaining: UserPtr<OldTimespec32>,
    ) {
        sleep_by(id, flags, || read_time32(time), Remaining::Narrow(remaining))
    }
}
ia32_define! {
    /// clock_nanosleep(2) with a 64-bit time.
    fn clock_nanosleep(
        id: i32,
        flags: i32,
        time: UserPtr<Timespec>,
        remaining: UserPtr<Timespec>,
    ) {
        sleep_by(id, flags, || read_time64(time), Remaining::Wide(remaining))
    }
}
