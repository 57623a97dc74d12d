//! Timers that send signals: timer_create(2) and its family, setitimer(2), alarm(2).

use crate::process::task::{Process, current, find};
use crate::process::timers::{Notice, Owner, ProcessTimer, Shown};
use crate::signal::number::signal_number;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use alloc::sync::{Arc, Weak};
use trapgate_uapi::Errno;
use trapgate_uapi::siginfo::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, Sigevent};
use trapgate_uapi::signal::SIGALRM;
use trapgate_uapi::time::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID, ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, Itimerspec, Itimerval,
    NSEC_PER_SEC, TIMER_ABSTIME, Timespec, Timeval,
};

/// Clocks that a timer can go by.
const CLOCKS: [i32; 4] = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI];
/// Those by which none can go yet.
const OF_CPU_TIME: [i32; 2] = [CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID];

syscall_define! {
    /// timer_create(2)
    fn timer_create(clock: i32, event: UserPtr<Sigevent>, id: UserPtr<i32>) {
        create(clock, || if event.is_null() { Ok(None) } else { event.read().map(Some) }, id)
    }
}

/// timer_create(2) for either width. `event` reads what it does, if that is said.
pub(super) fn create(
    clock: i32,
    event: impl FnOnce() -> Result<Option<Sigevent>, Errno>,
    id: UserPtr<i32>,
) -> SysResult {
    let process = &current().process;
    let base = match process.clock.base(clock) {
        Some(base) if CLOCKS.contains(&clock) => base,
        None if !OF_CPU_TIME.contains(&clock) => return Err(Errno::EINVAL),
        _ => return Err(Errno::EOPNOTSUPP),
    };
    let event = event()?.map(notice).transpose()?;
    let made = process.timers.lock().create(owner(process), base, |id| {
        let by_number = Notice::Signal { signal: SIGALRM, value: id as u64, task: None };
        event.unwrap_or(by_number)
    })?;
    id.write(made).map(|()| 0).inspect_err(|_| {
        let deleted = process.timers.lock().delete(made);
        drop(deleted);
    })
}

/// What a timer does (Linux: `good_sigevent`).
fn notice(event: Sigevent) -> Result<Notice, Errno> {
    let task = match event.sigev_notify {
        SIGEV_NONE => return Ok(Notice::Nothing),
        SIGEV_SIGNAL | SIGEV_THREAD => None,
        notify if notify == SIGEV_SIGNAL | SIGEV_THREAD_ID => {
            let tid = event.sigev_notify_thread_id as u32;
            let task = find(tid).filter(|task| task.pid == current().pid);
            Some(task.ok_or(Errno::EINVAL)?.tid())
        }
        _ => return Err(Errno::EINVAL),
    };
    let signal = signal_number(event.sigev_signo)?;
    Ok(Notice::Signal { signal, value: event.sigev_value, task })
}

/// Who is sent the signals of a process's timers.
fn owner(process: &Arc<Process>) -> Weak<dyn Owner> {
    let process: Weak<Process> = Arc::downgrade(process);
    process
}

fn timer_of(process: &Process, id: i32) -> Result<Arc<ProcessTimer>, Errno> {
    process.timers.lock().get(id).cloned()
}

fn spec(shown: Shown) -> Itimerspec {
    let [it_interval, it_value] = [shown.interval, shown.left].map(Timespec::from_ns);
    Itimerspec { it_interval, it_value }
}

/// timer_settime(2) for either width: answers what it was.
pub(super) fn set(id: i32, flags: i32, new: Itimerspec) -> Result<Itimerspec, Errno> {
    let (interval, value) = (new.it_interval.to_ns()?, new.it_value.to_ns()?);
    let process = &current().process;
    let timer = timer_of(process, id)?;
    let next = match value {
        0 => None,
        // No clock is ever set, so a time of any of them is one since the start.
        at if flags & TIMER_ABSTIME != 0 => Some(at.saturating_sub(timer.base)),
        after => Some(process.clock.elapsed().saturating_add(after)),
    };
    Ok(spec(timer.set(next, interval)))
}

/// timer_gettime(2) for either width.
pub(super) fn get(id: i32) -> Result<Itimerspec, Errno> {
    timer_of(&current().process, id).map(|timer| spec(timer.get()))
}

syscall_define! {
    /// timer_settime(2)
    fn timer_settime(
        id: i32,
        flags: i32,
        new: UserPtr<Itimerspec>,
        old: UserPtr<Itimerspec>,
    ) {
        if new.is_null() {
            return Err(Errno::EINVAL);
        }
        old.write_if(set(id, flags, new.read()?)?).map(|()| 0)
    }
}
syscall_define! {
    /// timer_gettime(2)
    fn timer_gettime(id: i32, now: UserPtr<Itimerspec>) { now.write(get(id)?).map(|()| 0) }
}
syscall_define! {
    /// timer_getoverrun(2)
    fn timer_getoverrun(id: i32) {
        timer_of(&current().process, id).map(|timer| timer.overruns())
    }
}
syscall_define! {
    /// timer_delete(2)
    fn timer_delete(id: i32) {
        let deleted = current().process.timers.lock().delete(id)?;
        drop(deleted);
        Ok(0)
    }
}

/// Times of setitimer(2) in nanoseconds: until it is due, and from one time to the next.
fn of_timeval(times: &Itimerval) -> Result<[u64; 2], Errno> {
    let ns = |time: Timeval| -> Result<u64, Errno> {
        let micros = u64::try_from(time.tv_usec).ok().filter(|&micros| micros < 1_000_000);
        let seconds = u64::try_from(time.tv_sec).ok();
        let (micros, seconds) = micros.zip(seconds).ok_or(Errno::EINVAL)?;
        Ok(seconds.saturating_mul(NSEC_PER_SEC).saturating_add(micros * 1000))
    };
    Ok([ns(times.it_value)?, ns(times.it_interval)?])
}

fn timeval(shown: Shown) -> Itimerval {
    let [it_interval, mut it_value] = [shown.interval, shown.left].map(Timeval::from_ns);
    if shown.left != 0 && it_value == Timeval::default() {
        it_value.tv_usec = 1;
    }
    Itimerval { it_interval, it_value }
}

/// The timer that is meant: the others go by the CPU's time, which nobody counts for them
/// yet. They can be off.
fn check_which(which: i32) -> Result<bool, Errno> {
    match which {
        ITIMER_REAL => Ok(true),
        ITIMER_VIRTUAL | ITIMER_PROF => Ok(false),
        _ => Err(Errno::EINVAL),
    }
}

/// setitimer(2) for either width: answers what it was.
pub(super) fn set_interval(which: i32, new: Itimerval) -> Result<Itimerval, Errno> {
    let [value, interval] = of_timeval(&new)?;
    match check_which(which)? {
        true => set_alarm(value, interval).map(timeval),
        false if value == 0 => Ok(Itimerval::default()),
        false => Err(Errno::ENOSYS),
    }
}

/// getitimer(2) for either width.
pub(super) fn get_interval(which: i32) -> Result<Itimerval, Errno> {
    let is_real = check_which(which)?;
    let process = &current().process;
    let alarm = process.timers.lock().made_alarm().cloned();
    Ok(alarm.filter(|_| is_real).map_or(Itimerval::default(), |alarm| timeval(alarm.get())))
}

fn set_alarm(value: u64, interval: u64) -> Result<Shown, Errno> {
    let process = &current().process;
    let made = process.timers.lock().made_alarm().cloned();
    let alarm = match made {
        Some(alarm) => alarm,
        None if value == 0 => return Ok(Shown::default()),
        None => process.timers.lock().alarm(owner(process))?.clone(),
    };
    let next = (value != 0).then(|| process.clock.elapsed().saturating_add(value));
    Ok(alarm.set(next, interval))
}

syscall_define! {
    /// setitimer(2): no time is 0.
    fn setitimer(which: i32, new: UserPtr<Itimerval>, old: UserPtr<Itimerval>) {
        let new = if new.is_null() { Itimerval::default() } else { new.read()? };
        old.write_if(set_interval(which, new)?).map(|()| 0)
    }
}
syscall_define! {
    /// getitimer(2)
    fn getitimer(which: i32, now: UserPtr<Itimerval>) {
        now.write(get_interval(which)?).map(|()| 0)
    }
}
syscall_define! {
    /// alarm(2): what was left is told in whole seconds, at least one.
    fn alarm(seconds: u32) {
        let left = set_alarm(u64::from(seconds) * NSEC_PER_SEC, 0)?.left;
        let (whole, rest) = (left / NSEC_PER_SEC, left % NSEC_PER_SEC);
        let rounds_up = rest >= NSEC_PER_SEC / 2 || whole == 0 && rest > 0;
        Ok(whole + u64::from(rounds_up))
    }
}
