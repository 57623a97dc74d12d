//! Timers that are files: timerfd_create(2), timerfd_settime(2), timerfd_gettime(2).

use crate::fs::file::OpenFile;
use crate::fs::inode::Kind;
use crate::fs::table::Descriptor;
use crate::fs::timer::{Shown, TimerFile};
use crate::fs::unnamed;
use crate::process::task::current;
use crate::sys::define::syscall_define;
use crate::sys::descriptor::opened;
use crate::sys::path::view;
use crate::user::UserPtr;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_WAKE_ALARM;
use trapgate_uapi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    Itimerspec, Timespec,
};
use trapgate_uapi::timerfd::{
    TFD_CLOEXEC, TFD_NONBLOCK, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET,
};

syscall_define! {
    /// timerfd_create(2): nothing sleeps so deep that an alarm would have to wake it.
    fn timerfd_create(clock: i32, flags: u32) {
        if flags & !(TFD_CLOEXEC | TFD_NONBLOCK) != 0 {
            return Err(Errno::EINVAL);
        }
        let (clocks, process) = (current().process.clock, &current().process);
        let by = match clock {
            CLOCK_REALTIME | CLOCK_REALTIME_ALARM => CLOCK_REALTIME,
            CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => CLOCK_MONOTONIC,
            _ => return Err(Errno::EINVAL),
        };
        let is_alarm = matches!(clock, CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM);
        if is_alarm && !current().credentials.can(CAP_WAKE_ALARM) {
            return Err(Errno::EPERM);
        }
        let base = clocks.base(by).ok_or(Errno::EINVAL)?;
        let flags_of_file = flags & TFD_NONBLOCK;
        let file = unnamed::timer(&process.unnamed, view().who, clock, base, flags_of_file)?;
        let descriptor = Descriptor { file, close_on_exec: flags & TFD_CLOEXEC != 0 };
        let limit = process.limits.descriptors();
        process.files.lock().insert(0, limit, descriptor).map(u64::from)
    }
}

/// The timer that a file is.
fn timer_of(file: &OpenFile) -> Result<&Arc<TimerFile>, Errno> {
    match file.as_inode().map(|file| &file.dentry.inode.kind) {
        Some(Kind::Timer(timer)) => Ok(timer),
        _ => Err(Errno::EINVAL),
    }
}

fn times(shown: &Shown) -> Itimerspec {
    let [it_interval, it_value] = [shown.interval, shown.left].map(Timespec::from_ns);
    Itimerspec { it_interval, it_value }
}

/// timerfd_settime(2) for either width: answers what it was before.
pub(super) fn set(fd: u32, flags: u32, new: Itimerspec) -> Result<Itimerspec, Errno> {
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let (interval, value) = (new.it_interval.to_ns()?, new.it_value.to_ns()?);
    let file = opened(fd)?;
    let absolute = flags & TFD_TIMER_ABSTIME != 0;
    Ok(times(&timer_of(&file)?.set(absolute, flags, value, interval)))
}

/// timerfd_gettime(2) for either width.
pub(super) fn get(fd: u32) -> Result<Itimerspec, Errno> {
    Ok(times(&timer_of(&*opened(fd)?)?.get()))
}

syscall_define! {
    /// timerfd_settime(2)
    fn timerfd_settime(
        fd: u32,
        flags: u32,
        new: UserPtr<Itimerspec>,
        old: UserPtr<Itimerspec>,
    ) {
        old.write_if(set(fd, flags, new.read()?)?).map(|()| 0)
    }
}
syscall_define! {
    /// timerfd_gettime(2)
    fn timerfd_gettime(fd: u32, now: UserPtr<Itimerspec>) { now.write(get(fd)?).map(|()| 0) }
}
