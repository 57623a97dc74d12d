//! How much of the CPU and of transfers a task gets: getpriority(2), setpriority(2),
//! ioprio_get(2), ioprio_set(2). There is one process to ask for.

use crate::process::scheduling::{Allowed, Scheduling};
use crate::process::task::current;
use crate::sys::credentials::ids;
use crate::sys::define::syscall_define;
use crate::sys::sched::find_pid;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{CAP_SYS_ADMIN, CAP_SYS_NICE};
use trapgate_uapi::ioprio::{IOPRIO_WHO_PGRP, IOPRIO_WHO_PROCESS, IOPRIO_WHO_USER};
use trapgate_uapi::resource::{
    MAX_NICE, PRIO_PGRP, PRIO_PROCESS, PRIO_USER, RLIMIT_NICE, RLIMIT_RTPRIO,
};

/// What the running task may go to.
pub(super) fn allowed() -> Allowed {
    let soft = |resource| current().process.limits.get(resource).map_or(0, |limit| limit.rlim_cur);
    Allowed {
        all: current().credentials.can(CAP_SYS_NICE),
        nice: soft(RLIMIT_NICE),
        priority: soft(RLIMIT_RTPRIO),
    }
}

/// How the running task is scheduled.
pub(super) fn scheduling() -> Scheduling {
    *current().scheduling.lock()
}

/// ESRCH for a user who has no process: the running one has the only one.
fn find_user(user: i32) -> Result<(), Errno> {
    let own = ids().users.real;
    if user == 0 || user as u32 == own { Ok(()) } else { Err(Errno::ESRCH) }
}

/// ESRCH, unless it is about the running task.
fn find(which: i32, who: i32) -> Result<(), Errno> {
    match which {
        PRIO_PROCESS | PRIO_PGRP => find_pid(who),
        PRIO_USER => find_user(who),
        _ => Err(Errno::EINVAL),
    }
}

syscall_define! {
    /// getpriority(2): what the system call answers is never negative.
    fn getpriority(which: i32, who: i32) {
        find(which, who)?;
        Ok((MAX_NICE + 1 - scheduling().nice) as u64)
    }
}
syscall_define! {
    /// setpriority(2)
    fn setpriority(which: i32, who: i32, nice: i32) {
        find(which, who)?;
        let (allowed, mut scheduling) = (allowed(), current().scheduling.lock());
        *scheduling = scheduling.renice(nice, allowed)?;
        Ok(0)
    }
}

/// The same of ioprio_get(2) and ioprio_set(2).
fn find_for_io(which: i32, who: i32) -> Result<(), Errno> {
    match which {
        IOPRIO_WHO_PROCESS | IOPRIO_WHO_PGRP => find_pid(who),
        IOPRIO_WHO_USER => find_user(who),
        _ => Err(Errno::EINVAL),
    }
}

syscall_define! {
    /// ioprio_get(2): of a task, what was set; of several, the best that one has.
    fn ioprio_get(which: i32, who: i32) {
        find_for_io(which, who)?;
        let scheduling = scheduling();
        Ok(if which == IOPRIO_WHO_PROCESS { scheduling.io } else { scheduling.io() }.into())
    }
}
syscall_define! {
    /// ioprio_set(2)
    fn ioprio_set(which: i32, who: i32, priority: u32) {
        let may = current().credentials.can(CAP_SYS_NICE) || current().credentials.can(CAP_SYS_ADMIN);
        let new = scheduling().with_io(priority, may)?;
        find_for_io(which, who)?;
        current().scheduling.lock().io = new.io;
        Ok(0)
    }
}
