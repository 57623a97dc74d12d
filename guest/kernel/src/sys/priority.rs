//! How much of the CPU and of transfers a task gets: getpriority(2), setpriority(2),
//! ioprio_get(2), ioprio_set(2). There is one process with its tasks to ask for.

use crate::process::scheduling::{Allowed, Scheduling};
use crate::process::task::{Task, current, next_of};
use crate::sys::credentials::ids;
use crate::sys::define::syscall_define;
use crate::sys::process::task as sys_task;
use alloc::sync::Arc;
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

/// Whom a call is about.
enum Who {
    Task(Arc<Task>),
    /// All tasks of the process: the group's and the user's, there is no other.
    All,
}

impl Who {
    /// One task, or those of a group or user; ESRCH for none.
    fn find(kind: i32, [task, group, user]: [i32; 3], who: i32) -> Result<Who, Errno> {
        let is_this = |own: u32| who == 0 || who as u32 == own;
        let found = match kind {
            _ if kind == task => return sys_task(who).map(Who::Task),
            _ if kind == group => is_this(current().pid),
            _ if kind == user => is_this(ids().users.real),
            _ => return Err(Errno::EINVAL),
        };
        if found { Ok(Who::All) } else { Err(Errno::ESRCH) }
    }

    /// Does this with each of them, also after an error.
    fn each(&self, mut does: impl FnMut(&Task) -> Result<(), Errno>) -> Result<(), Errno> {
        let Who::All = self else {
            let Who::Task(task) = self else { return Ok(()) };
            return does(task);
        };
        let (mut result, mut from) = (Ok(()), 0);
        while let Some(task) = next_of(current().pid, from) {
            from = task.tid() + 1;
            result = result.and(does(&task));
        }
        result
    }
}

/// Whom getpriority(2) and setpriority(2) are about.
const PRIORITIES: [i32; 3] = [PRIO_PROCESS, PRIO_PGRP, PRIO_USER];
/// Whom ioprio_get(2) and ioprio_set(2) are about.
const IO_PRIORITIES: [i32; 3] = [IOPRIO_WHO_PROCESS, IOPRIO_WHO_PGRP, IOPRIO_WHO_USER];

syscall_define! {
    /// getpriority(2): the best that one has. What the system call answers is never
    /// negative.
    fn getpriority(which: i32, who: i32) {
        let mut best = MAX_NICE;
        Who::find(which, PRIORITIES, who)?.each(|task| {
            best = best.min(task.scheduling.lock().nice);
            Ok(())
        })?;
        Ok((MAX_NICE + 1 - best) as u64)
    }
}
syscall_define! {
    /// setpriority(2)
    fn setpriority(which: i32, who: i32, nice: i32) {
        let allowed = allowed();
        let set = |task: &Task| {
            let now = *task.scheduling.lock();
            task.schedule(now.renice(nice, allowed)?);
            Ok(())
        };
        Who::find(which, PRIORITIES, who)?.each(set).map(|()| 0)
    }
}

syscall_define! {
    /// ioprio_get(2): of a task, what was set; of several, the best that one has.
    fn ioprio_get(which: i32, who: i32) {
        let who = Who::find(which, IO_PRIORITIES, who)?;
        if let Who::Task(task) = &who {
            return Ok(task.scheduling.lock().io.into());
        }
        let mut best = u32::MAX;
        who.each(|task| {
            best = best.min(task.scheduling.lock().io());
            Ok(())
        })?;
        Ok(best.into())
    }
}
syscall_define! {
    /// ioprio_set(2)
    fn ioprio_set(which: i32, who: i32, priority: u32) {
        let may = current().credentials.can(CAP_SYS_NICE) || current().credentials.can(CAP_SYS_ADMIN);
        let new = Scheduling::default().with_io(priority, may)?.io;
        let set = |task: &Task| {
            task.scheduling.lock().io = new;
            Ok(())
        };
        Who::find(which, IO_PRIORITIES, who)?.each(set).map(|()| 0)
    }
}
