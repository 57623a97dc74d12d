//! Time: clock_gettime(2), gettimeofday(2), time(2), clock_getres(2),
//! nanosleep(2). Reading a clock makes no request where the TSC is a clock
//! (`crate::clock`); sleeping makes one, to wait. There the vDSO (`guest/vdso`) answers
//! the first four without a call, and the same.

use crate::process::task::{RestartBlock, current};
use crate::sched::wait::wait;
use crate::sys::cpu_clock::{Named, is_descriptors};
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use trapgate_abi::clock::RESOLUTION_NS;
use trapgate_uapi::Errno;
use trapgate_uapi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_THREAD_CPUTIME_ID, NSEC_PER_SEC, OldTimespec32,
    TIMER_ABSTIME, Timespec, Timeval, Timezone, Tms, USER_HZ,
};

/// What clock_getres(2) says of a clock, in nanoseconds.
///
/// # Errors
/// EINVAL for what is no clock.
pub(super) fn resolution(clock: i32) -> Result<u64, Errno> {
    match current().process.clock.base(clock) {
        Some(_) => Ok(RESOLUTION_NS),
        None => Named::find(clock).map(|named| named.resolution()),
    }
}

/// A clock's time in nanoseconds.
///
/// # Errors
/// EINVAL for what is no clock.
#[inline(always)]
pub(super) fn now(clock: i32) -> Result<u64, Errno> {
    let clocks = &current().process.clock;
    // What is asked for most, first.
    match clocks.base(clock) {
        Some(base) => Ok(base + clocks.elapsed()),
        None => cpu_time(clock),
    }
}

/// CPU time by this clock.
#[inline(never)]
fn cpu_time(clock: i32) -> Result<u64, Errno> {
    Named::find(clock).map(|named| named.now())
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
        resolution.write_if(Timespec::from_ns(self::resolution(clock)?)).map(|()| 0)
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
    /// times(2)
    fn times(buffer: UserPtr<Tms>) {
        let (times, now) = ticks();
        buffer.write_if(times)?;
        Ok(now)
    }
}

/// times(2): what it tells, and what it returns.
pub(super) fn ticks() -> (Tms, u64) {
    const TICK: u64 = NSEC_PER_SEC / USER_HZ;
    let process = &current().process;
    let time = process.cpu_time();
    let [tms_utime, tms_stime] = [time.user(), time.system].map(|time| time / TICK);
    (Tms { tms_utime, tms_stime, ..Tms::default() }, process.clock.monotonic() / TICK)
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
    /// Its address, and 1 for the narrow form: as words, for later.
    const fn place(self) -> (u64, u64) {
        match self {
            Remaining::Wide(at) => (at.address(), 0),
            Remaining::Narrow(at) => (at.address(), 1),
        }
    }

    /// Out of these words.
    const fn at(address: u64, is_narrow: u64) -> Remaining {
        match is_narrow {
            0 => Remaining::Wide(UserPtr::new(address)),
            _ => Remaining::Narrow(UserPtr::new(address)),
        }
    }

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
            let (at, is_narrow) = remaining.place();
            let arguments = [deadline, at, is_narrow, 0, 0];
            *current().restart.lock() = Some(RestartBlock { again: sleep_again, arguments });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
        result => result,
    }
}

fn sleep_again([deadline, at, is_narrow, ..]: [u64; 5]) -> SysResult {
    sleep_to(deadline, Remaining::at(at, is_narrow))
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

/// Clocks to sleep by, besides those of CPU time.
const SLEEPS_BY: [i32; 4] = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI];

/// Clocks that there are, but none to sleep by: in Linux they cannot wake anybody
/// (`posix_clocks`).
const WAKES_NOBODY: [i32; 6] = [
    CLOCK_THREAD_CPUTIME_ID,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_REALTIME_ALARM,
    CLOCK_BOOTTIME_ALARM,
];

/// clock_nanosleep(2) for either width; `time` reads the time.
pub(super) fn sleep_by(
    clock: i32,
    flags: i32,
    time: impl FnOnce() -> Result<Timespec, Errno>,
    remaining: Remaining,
) -> SysResult {
    if WAKES_NOBODY.contains(&clock) || is_descriptors(clock) {
        return Err(Errno::EOPNOTSUPP);
    }
    let absolute = flags & TIMER_ABSTIME != 0;
    let base = current().process.clock.base(clock).filter(|_| SLEEPS_BY.contains(&clock));
    if base.is_none() && clock >= 0 && clock != CLOCK_PROCESS_CPUTIME_ID {
        return Err(Errno::EINVAL);
    }
    let time = time()?.to_ns()?;
    let slept = match base {
        None => {
            let named = Named::find(clock)?;
            if !absolute {
                return sleep_by_cpu(clock, named.all().saturating_add(time), remaining);
            }
            named.sleep_until(time)
        }
        Some(_) if !absolute => return sleep(time, remaining),
        // No clock is ever set, so a time of any of them is one since the start.
        Some(base) => sleep_until(time.saturating_sub(base)),
    };
    match slept {
        // Made again, it is until the same time.
        Err(Errno::ERESTARTSYS) => Err(Errno::ERESTARTNOHAND),
        result => result,
    }
}

/// The same by CPU time, until then; it goes on as [`sleep`] does.
fn sleep_by_cpu(clock: i32, until: u64, remaining: Remaining) -> SysResult {
    let named = Named::find(clock)?;
    match named.sleep_until(until) {
        Err(Errno::ERESTARTSYS) => {
            remaining.tell(until.saturating_sub(named.all()))?;
            let (at, is_narrow) = remaining.place();
            let arguments = [until, at, is_narrow, clock as u64, 0];
            *current().restart.lock() = Some(RestartBlock { again: sleep_by_cpu_again, arguments });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
        result => result,
    }
}

fn sleep_by_cpu_again([until, at, is_narrow, clock, _]: [u64; 5]) -> SysResult {
    sleep_by_cpu(clock as i32, until, Remaining::at(at, is_narrow))
}
