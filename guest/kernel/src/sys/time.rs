//! Time: clock_gettime(2), gettimeofday(2), time(2), clock_getres(2),
//! nanosleep(2). Reading a clock makes no request where the TSC is a clock
//! (`crate::clock`); sleeping makes one, to wait. There the vDSO (`guest/vdso`) answers
//! the first four without a call, and the same.

use crate::clock::Clock;
use crate::process::task::{RestartBlock, current};
use crate::sched::wait::wait;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use trapgate_abi::clock::RESOLUTION_NS;
use trapgate_uapi::Errno;
use trapgate_uapi::time::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID, NSEC_PER_SEC, OldTimespec32, TIMER_ABSTIME, Timespec, Timeval,
    Timezone, Tms, USER_HZ,
};

/// What a clock showed at the start, in nanoseconds. CPU time is the time since
/// then: the program is the only one in the VM.
#[inline(always)]
fn base(clocks: &Clock, clock: i32) -> Result<u64, Errno> {
    // What is asked for most, first.
    match (clocks.base(clock), clock) {
        (Some(base), _) => Ok(base),
        (None, CLOCK_PROCESS_CPUTIME_ID | CLOCK_THREAD_CPUTIME_ID) => Ok(0),
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
    fn gettimeofday(time: UserPtr<Timeval>, zone: UserPtr<Timezone>) {
        if !time.is_null() {
            time.write(Timeval::from_ns(current().process.clock.realtime()))?;
        }
        zone.write_if(Timezone::default()).map(|()| 0)
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
    fn times(buffer: UserPtr<Tms>) {
        let (times, now) = ticks();
        buffer.write_if(times)?;
        Ok(now)
    }
}

/// times(2): what it tells, and what it returns.
pub(super) fn ticks() -> (Tms, u64) {
    const TICK: u64 = NSEC_PER_SEC / USER_HZ;
    let clocks = &current().process.clock;
    let times = Tms { tms_utime: clocks.elapsed() / TICK, ..Tms::default() };
    (times, clocks.monotonic() / TICK)
}

/// Where a sleep that a signal has ended tells what was left of its time.
#[derive(Clone, Copy)]
pub(super) enum Remaining {
    /// A `struct timespec`, or nowhere.
    Wide(UserPtr<Timespec>),
    /// One of 32 bits.
    Narrow(UserPtr<OldTimespec32>),
}

impl Remaining {
    fn tell(self, left_ns: u64) -> Result<(), Errno> {
        let left = Timespec::from_ns(left_ns);
        match self {
            Remaining::Wide(at) => at.write_if(left),
            Remaining::Narrow(at) => at.write_if(left.into()),
        }
    }
}

/// Waits for so long. If a signal ends it and no handler was called, it goes on until the
/// same time.
pub(super) fn sleep(duration_ns: u64, remaining: Remaining) -> SysResult {
    sleep_to(current().process.clock.elapsed().saturating_add(duration_ns), remaining)
}

fn sleep_to(deadline: u64, remaining: Remaining) -> SysResult {
    match sleep_until(deadline) {
        Err(Errno::ERESTARTSYS) => {
            remaining.tell(deadline.saturating_sub(current().process.clock.elapsed()))?;
            let (at, is_narrow) = match remaining {
                Remaining::Wide(at) => (at.address(), 0),
                Remaining::Narrow(at) => (at.address(), 1),
            };
            let arguments = [deadline, at, is_narrow, 0, 0];
            *current().restart.lock() = Some(RestartBlock { again: sleep_again, arguments });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
        result => result,
    }
}

fn sleep_again([deadline, at, is_narrow, ..]: [u64; 5]) -> SysResult {
    let remaining = match is_narrow {
        0 => Remaining::Wide(UserPtr::new(at)),
        _ => Remaining::Narrow(UserPtr::new(at)),
    };
    sleep_to(deadline, remaining)
}

/// Waits until then, in nanoseconds since the start.
fn sleep_until(deadline: u64) -> SysResult {
    wait(&[], Some(deadline), || Ok(None::<()>)).map(|_| 0)
}

syscall_define! {
    /// nanosleep(2)
    fn nanosleep(duration: UserPtr<Timespec>, remaining: UserPtr<Timespec>) {
        sleep(duration.read()?.to_ns()?, Remaining::Wide(remaining))
    }
}
syscall_define! {
    /// clock_nanosleep(2)
    fn clock_nanosleep(
        clock: i32,
        flags: i32,
        time: UserPtr<Timespec>,
        remaining: UserPtr<Timespec>,
    ) {
        sleep_by(clock, flags, || time.read(), Remaining::Wide(remaining))
    }
}

/// Clocks to sleep by: in Linux the others cannot wake anybody (`posix_clocks`).
const SLEEPS_BY: [i32; 5] =
    [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID];

/// clock_nanosleep(2) for either width; `time` reads the time.
pub(super) fn sleep_by(
    clock: i32,
    flags: i32,
    time: impl FnOnce() -> Result<Timespec, Errno>,
    remaining: Remaining,
) -> SysResult {
    check(clock)?;
    if !SLEEPS_BY.contains(&clock) {
        return Err(Errno::EOPNOTSUPP);
    }
    let time = time()?.to_ns()?;
    if flags & TIMER_ABSTIME == 0 {
        return sleep(time, remaining);
    }
    // No clock is ever set, so a time of any of them is one since the start.
    match sleep_until(time.saturating_sub(base(&current().process.clock, clock)?)) {
        // Made again, it is until the same time.
        Err(Errno::ERESTARTSYS) => Err(Errno::ERESTARTNOHAND),
        result => result,
    }
}
