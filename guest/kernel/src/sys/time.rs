//! Time: clock_gettime(2), gettimeofday(2), time(2), clock_getres(2),
//! nanosleep(2). Reading a clock makes no request where the TSC is a clock
//! (`crate::clock`); sleeping makes one. There the vDSO (`guest/vdso`) answers
//! the first four without a call, and the same.

use crate::clock::{Clock, NSEC_PER_SEC};
use crate::host;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use trapgate_abi::clock::{RESOLUTION_NS, id};
use trapgate_abi::hypercall::Request;
use trapgate_arch::usercopy::plain_struct;
use trapgate_uapi::Errno;

plain_struct! {
    /// `struct timespec`.
    pub struct Timespec {
        /// Seconds.
        pub seconds: i64,
        /// Nanoseconds below a second.
        pub nanoseconds: i64,
    }
}

impl Timespec {
    /// So many nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Timespec { seconds: (ns / NSEC_PER_SEC) as i64, nanoseconds: (ns % NSEC_PER_SEC) as i64 }
    }

    /// In nanoseconds, the longest time there is for anything longer.
    ///
    /// # Errors
    /// EINVAL for what is no time span.
    pub fn to_ns(self) -> Result<u64, Errno> {
        let nanoseconds = u64::try_from(self.nanoseconds).map_err(|_| Errno::EINVAL)?;
        if self.seconds < 0 || nanoseconds >= NSEC_PER_SEC {
            return Err(Errno::EINVAL);
        }
        Ok((self.seconds as u64).saturating_mul(NSEC_PER_SEC).saturating_add(nanoseconds))
    }
}

/// What a clock showed at the start, in nanoseconds. CPU time is the time since
/// then: the program is the only one in the VM.
#[inline(always)]
fn base(clocks: &Clock, clock: i32) -> Result<u64, Errno> {
    // What is asked for most, first.
    match (clocks.base(clock), clock) {
        (Some(base), _) => Ok(base),
        (None, id::PROCESS_CPUTIME | id::THREAD_CPUTIME) => Ok(0),
        (None, _) => Err(Errno::EINVAL),
    }
}

/// Whether there is such a clock, without a look at it.
///
/// # Errors
/// EINVAL.
pub(super) fn check(clock: i32) -> Result<(), Errno> {
    base(&current().process.clock, clock).map(|_| ())
}

/// A clock's time in nanoseconds.
///
/// # Errors
/// EINVAL for what is no clock.
#[inline(always)]
pub(super) fn now(clock: i32) -> Result<u64, Errno> {
    let clocks = &current().process.clock;
    Ok(base(clocks, clock)? + clocks.elapsed())
}

syscall_define! {
    /// clock_gettime(2)
    fn clock_gettime(clock: i32, time: UserPtr<Timespec>) {
        time.write(Timespec::from_ns(now(clock)?)).map(|()| 0)
    }
}
syscall_define! {
    /// clock_getres(2)
    fn clock_getres(clock: i32, resolution: UserPtr<Timespec>) {
        check(clock)?;
        resolution.write_if(Timespec::from_ns(RESOLUTION_NS)).map(|()| 0)
    }
}
syscall_define! {
    /// gettimeofday(2): the time zone is UTC.
    fn gettimeofday(time: UserPtr<Timespec>, zone: UserPtr<[u32; 2]>) {
        if !time.is_null() {
            let now = current().process.clock.realtime();
            let mut value = Timespec::from_ns(now);
            value.nanoseconds /= 1000; // struct timeval has microseconds
            time.write(value)?;
        }
        zone.write_if([0; 2]).map(|()| 0)
    }
}
syscall_define! {
    /// time(2)
    fn time(seconds: UserPtr<u64>) {
        let now = current().process.clock.realtime() / NSEC_PER_SEC;
        seconds.write_if(now).map(|()| now)
    }
}
syscall_define! {
    /// times(2): all time is user time.
    fn times(buffer: UserPtr<[u64; 4]>) {
        let (user, now) = ticks();
        buffer.write_if([user, 0, 0, 0])?;
        Ok(now)
    }
}

/// times(2) in ticks of a hundredth: user time, and what the call returns.
pub(super) fn ticks() -> (u64, u64) {
    const TICK: u64 = NSEC_PER_SEC / 100;
    let clocks = &current().process.clock;
    (clocks.elapsed() / TICK, clocks.monotonic() / TICK)
}

/// Waits, on the host.
pub(super) fn sleep(duration_ns: u64) -> SysResult {
    host::call(Request::Sleep { duration_ns }).map(|_| 0)
}

syscall_define! {
    /// nanosleep(2)
    fn nanosleep(duration: UserPtr<Timespec>, _remaining: UserPtr<Timespec>) {
        sleep(duration.read()?.to_ns()?)
    }
}
syscall_define! {
    /// clock_nanosleep(2)
    fn clock_nanosleep(
        clock: i32,
        flags: i32,
        time: UserPtr<Timespec>,
        _remaining: UserPtr<Timespec>,
    ) {
        sleep_by(clock, flags, || time.read())
    }
}

/// clock_nanosleep(2) for either width; `time` reads the time.
pub(super) fn sleep_by(
    clock: i32,
    flags: i32,
    time: impl FnOnce() -> Result<Timespec, Errno>,
) -> SysResult {
    const ABSOLUTE: i32 = 1;
    check(clock)?;
    if clock == id::THREAD_CPUTIME {
        return Err(Errno::EOPNOTSUPP);
    }
    let time = time()?.to_ns()?;
    sleep(if flags & ABSOLUTE != 0 { time.saturating_sub(now(clock)?) } else { time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_convert_both_ways() {
        let span = Timespec { seconds: 3, nanoseconds: 5 };
        assert_eq!(span.to_ns(), Ok(3_000_000_005));
        let back = Timespec::from_ns(3_000_000_005);
        assert_eq!((back.seconds, back.nanoseconds), (3, 5));
        for (seconds, nanoseconds) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(Timespec { seconds, nanoseconds }.to_ns(), Err(Errno::EINVAL));
        }
        let long = Timespec { seconds: i64::MAX, nanoseconds: 999_999_999 };
        assert_eq!(long.to_ns(), Ok(u64::MAX));
    }
}
