//! Policies of scheduling (sched(7)): sched_setscheduler(2), sched_setparam(2),
//! sched_setattr(2), what tells of them, and their limits.

use crate::process::scheduling::Scheduling;
use crate::process::task::Task;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::open::only_zeroes;
use crate::sys::priority::allowed;
use crate::sys::sched::numbered;
use crate::user::UserPtr;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::resource::{MAX_NICE, MIN_NICE};
use trapgate_uapi::sched::{
    MAX_RT_PRIORITY, SCHED_ATTR_SIZE_VER0, SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO, SCHED_FLAG_ALL,
    SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_KEEP_POLICY, SCHED_FLAG_RESET_ON_FORK,
    SCHED_FLAG_UTIL_CLAMP, SCHED_IDLE, SCHED_NORMAL, SCHED_RESET_ON_FORK, SCHED_RR, SchedAttr,
    SchedParam,
};
use trapgate_uapi::time::Timespec;

/// How long a task of `SCHED_RR` runs before another of its priority does. What others
/// have is shorter than the ticks that Linux tells it in, and so 0.
const RR_SLICE_NS: i64 = 100_000_000;

/// Changes how a task is scheduled.
fn change(task: &Task, to: Scheduling) -> SysResult {
    let now = *task.scheduling.lock();
    task.schedule(now.change(to, allowed())?);
    Ok(0)
}

/// sched_setscheduler(2) and sched_setparam(2), which keeps the policy.
fn set(pid: i32, policy: Option<u32>, parameters: UserPtr<SchedParam>) -> SysResult {
    if parameters.is_null() || pid < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = parameters.read()?.sched_priority as u32;
    let task = numbered(pid)?;
    let now = *task.scheduling.lock();
    change(
        &task,
        match policy {
            None => Scheduling { priority, ..now },
            Some(policy) => Scheduling {
                policy: policy & !SCHED_RESET_ON_FORK,
                priority,
                reset_on_fork: policy & SCHED_RESET_ON_FORK != 0,
                ..now
            },
        },
    )
}

syscall_define! {
    /// sched_setscheduler(2)
    fn sched_setscheduler(pid: i32, policy: i32, parameters: UserPtr<SchedParam>) {
        if policy < 0 {
            return Err(Errno::EINVAL);
        }
        set(pid, Some(policy as u32), parameters)
    }
}
syscall_define! {
    /// sched_setparam(2)
    fn sched_setparam(pid: i32, parameters: UserPtr<SchedParam>) { set(pid, None, parameters) }
}
syscall_define! {
    /// sched_getscheduler(2)
    fn sched_getscheduler(pid: i32) {
        let Scheduling { policy, reset_on_fork, .. } = *numbered(pid)?.scheduling.lock();
        Ok((policy | if reset_on_fork { SCHED_RESET_ON_FORK } else { 0 }).into())
    }
}
syscall_define! {
    /// sched_getparam(2)
    fn sched_getparam(pid: i32, parameters: UserPtr<SchedParam>) {
        if parameters.is_null() {
            return Err(Errno::EINVAL);
        }
        let sched_priority = numbered(pid)?.scheduling.lock().priority as i32;
        parameters.write(SchedParam { sched_priority }).map(|()| 0)
    }
}

/// The least and the highest priority of a policy.
fn priorities(policy: u32) -> Result<[u32; 2], Errno> {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok([1, MAX_RT_PRIORITY]),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok([0; 2]),
        _ => Err(Errno::EINVAL),
    }
}
syscall_define! {
    /// sched_get_priority_min(2)
    fn sched_get_priority_min(policy: u32) { priorities(policy).map(|[least, _]| least.into()) }
}
syscall_define! {
    /// sched_get_priority_max(2)
    fn sched_get_priority_max(policy: u32) { priorities(policy).map(|[_, most]| most.into()) }
}

/// sched_rr_get_interval(2) for either width.
pub(super) fn interval(pid: i32) -> Result<Timespec, Errno> {
    let policy = numbered(pid)?.scheduling.lock().policy;
    let tv_nsec = if policy == SCHED_RR { RR_SLICE_NS } else { 0 };
    Ok(Timespec { tv_sec: 0, tv_nsec })
}
syscall_define! {
    /// sched_rr_get_interval(2)
    fn sched_rr_get_interval(pid: i32, to: UserPtr<Timespec>) {
        to.write(interval(pid)?).map(|()| 0)
    }
}

/// Reads what a program of whatever header says: what this kernel does not know must be
/// zero, and if not the program is told how much it knows.
fn read_attributes(from: UserPtr<SchedAttr>) -> Result<SchedAttr, Errno> {
    const SIZE: u32 = size_of::<SchedAttr>() as u32;
    let size = match from.cast::<u32>().read()? {
        0 => SCHED_ATTR_SIZE_VER0,
        size => size,
    };
    let too_big = || match from.cast::<u32>().write(SIZE) {
        Ok(()) => Errno::E2BIG,
        Err(error) => error,
    };
    if size < SCHED_ATTR_SIZE_VER0 || u64::from(size) > PAGE_SIZE {
        return Err(too_big());
    }
    let mut attributes = if size < SIZE {
        let first = from.cast::<[u64; 6]>().read()?;
        // Whatever it has of the rest is not looked at: it would be utilisation alone.
        SchedAttr::of_version_0(first)
    } else {
        let rest = u64::from(size - SIZE);
        only_zeroes(from.offset(1).cast(), rest).map_err(|error| match error {
            Errno::E2BIG => too_big(),
            error => error,
        })?;
        from.read()?
    };
    if attributes.sched_flags & SCHED_FLAG_UTIL_CLAMP != 0 && size < SIZE {
        return Err(Errno::EINVAL);
    }
    attributes.sched_nice = attributes.sched_nice.clamp(MIN_NICE, MAX_NICE);
    Ok(attributes)
}

syscall_define! {
    /// sched_setattr(2): deadlines are not to be had, nor bounds of utilisation.
    fn sched_setattr(pid: i32, from: UserPtr<SchedAttr>, flags: u32) {
        if from.is_null() || pid < 0 || flags != 0 {
            return Err(Errno::EINVAL);
        }
        let attributes = read_attributes(from)?;
        let SchedAttr { sched_policy, sched_flags, sched_nice, sched_priority, .. } = attributes;
        if (sched_policy as i32) < 0 {
            return Err(Errno::EINVAL);
        }
        let task = numbered(pid)?;
        if sched_flags & !SCHED_FLAG_ALL != 0 {
            return Err(Errno::EINVAL);
        }
        if sched_flags & SCHED_FLAG_UTIL_CLAMP != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let now = *task.scheduling.lock();
        let mut to = Scheduling {
            policy: sched_policy,
            priority: sched_priority,
            nice: sched_nice,
            reset_on_fork: sched_flags & SCHED_FLAG_RESET_ON_FORK != 0,
            ..now
        };
        if sched_flags & SCHED_FLAG_KEEP_POLICY != 0 {
            (to.policy, to.reset_on_fork) = (now.policy, now.reset_on_fork);
        }
        if sched_flags & SCHED_FLAG_KEEP_PARAMS != 0 {
            (to.priority, to.nice) = (now.priority, now.nice);
        }
        change(&task, to)
    }
}
syscall_define! {
    /// sched_getattr(2)
    fn sched_getattr(pid: i32, to: UserPtr<SchedAttr>, size: u32, flags: u32) {
        let sizes = SCHED_ATTR_SIZE_VER0..=PAGE_SIZE as u32;
        if to.is_null() || pid < 0 || !sizes.contains(&size) || flags != 0 {
            return Err(Errno::EINVAL);
        }
        let now = *numbered(pid)?.scheduling.lock();
        let told = size.min(size_of::<SchedAttr>() as u32);
        let is_fair = now.priority == 0;
        let attributes = SchedAttr {
            size: told,
            sched_policy: now.policy,
            sched_flags: if now.reset_on_fork { SCHED_FLAG_RESET_ON_FORK } else { 0 },
            sched_nice: if is_fair { now.nice } else { 0 },
            sched_priority: now.priority,
            ..SchedAttr::default()
        };
        let words = attributes.words();
        to.cast().write_slice(&words[..told as usize / size_of::<u64>()]).map(|()| 0)
    }
}
