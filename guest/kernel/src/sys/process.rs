//! Which process it is, and how it ends: getpid(2) and its kin, exit(2),
//! arch_prctl(2), set_tid_address(2), prctl(2), limits.

use crate::process::credentials::Ids;
use crate::process::exit;
use crate::process::task::{Task, current, find};
use crate::sys::credentials::ids;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::{UserPtr, read_string};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_arch::{cpu, percpu};
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{CAP_LAST_CAP, CAP_SYS_RESOURCE};
use trapgate_uapi::futex::RobustListHead;
use trapgate_uapi::membarrier::{
    MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_QUERY,
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_COMMANDS,
};
use trapgate_uapi::prctl::{
    ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS, PR_CAPBSET_DROP, PR_CAPBSET_READ,
    PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_NAME, PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG,
    PR_GET_SECUREBITS, PR_GET_THP_DISABLE, PR_GET_TIMERSLACK, PR_GET_TIMING, PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_NO_NEW_PRIVS, TASK_COMM_LEN,
};
use trapgate_uapi::resource::{RLIMIT_STACK, Rlimit};
use trapgate_uapi::stat::S_IRWXUGO;

syscall_define! {
    /// getpid(2)
    fn getpid() { Ok(current().pid.into()) }
}
syscall_define! {
    /// gettid(2)
    fn gettid() { Ok(current().tid().into()) }
}
syscall_define! {
    /// getppid(2): the parent is outside.
    fn getppid() { Ok(0) }
}
syscall_define! {
    /// getpgrp(2): the program leads the only process group.
    fn getpgrp() { Ok(current().process.pid.into()) }
}
syscall_define! {
    /// getpgid(2)
    fn getpgid(pid: i32) { of_this_process(pid) }
}
syscall_define! {
    /// getsid(2)
    fn getsid(pid: i32) { of_this_process(pid) }
}

fn of_this_process(pid: i32) -> Result<u64, Errno> {
    let own = current().process.pid;
    if pid == 0 || pid as u32 == own { Ok(own.into()) } else { Err(Errno::ESRCH) }
}

syscall_define! {
    /// exit(2): ends the task. The last one ends the process.
    fn exit(status: i32) { exit::exit_task(status as u8) }
}
syscall_define! {
    /// exit_group(2)
    fn exit_group(status: i32) { exit::exit(status as u8) }
}
syscall_define! {
    /// umask(2)
    fn umask(mask: u32) {
        Ok(current().process.umask.swap(mask & S_IRWXUGO, Ordering::Relaxed).into())
    }
}
syscall_define! {
    /// set_tid_address(2)
    fn set_tid_address(address: u64) {
        current().clear_child_tid.store(address, Ordering::Relaxed);
        Ok(current().tid().into())
    }
}

syscall_define! {
    /// membarrier(2): one CPU runs all threads, one at a time, so that each has seen what
    /// came before.
    fn membarrier(command: i32, flags: u32, _cpu: i32) {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        let registered = &current().process.membarrier;
        match command as u32 {
            MEMBARRIER_CMD_QUERY => Ok(MEMBARRIER_COMMANDS.into()),
            MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED => Ok(0),
            command @ (MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
            | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
            | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) => {
                registered.fetch_or(command, Ordering::Relaxed);
                Ok(0)
            }
            // Its registration is the next bit.
            command @ (MEMBARRIER_CMD_PRIVATE_EXPEDITED
            | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) => {
                let may = registered.load(Ordering::Relaxed) & command << 1 != 0;
                if may { Ok(0) } else { Err(Errno::EPERM) }
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

/// Bytes of [`RobustListHead`].
const ROBUST_LIST_HEAD: u64 = size_of::<RobustListHead>() as u64;

syscall_define! {
    /// set_robust_list(2)
    fn set_robust_list(head: u64, length: u64) {
        if length != ROBUST_LIST_HEAD {
            return Err(Errno::EINVAL);
        }
        *current().robust_list.lock() = [head, length];
        Ok(0)
    }
}
syscall_define! {
    /// get_robust_list(2)
    fn get_robust_list(pid: i32, head: UserPtr<u64>, length: UserPtr<u64>) {
        let [list, size] = *task(pid)?.robust_list.lock();
        length.write(if size == 0 { ROBUST_LIST_HEAD } else { size })?;
        head.write(list).map(|()| 0)
    }
}

/// The task of this number; the running one for 0.
///
/// # Errors
/// ESRCH.
pub(super) fn task(tid: i32) -> Result<Arc<Task>, Errno> {
    match tid {
        0 => Ok(percpu::current_arc()),
        tid => find(tid as u32).ok_or(Errno::ESRCH),
    }
}

syscall_define! {
    /// arch_prctl(2)
    fn arch_prctl(code: i32, address: u64) {
        match code {
            ARCH_SET_FS => set(cpu::set_fs_base(address)),
            ARCH_SET_GS => set(cpu::set_user_gs_base(address)),
            ARCH_GET_FS => UserPtr::new(address).write(cpu::fs_base()).map(|()| 0),
            ARCH_GET_GS => UserPtr::new(address).write(cpu::user_gs_base()).map(|()| 0),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// What a base comes to that is the user's, or is not.
fn set(is_users: bool) -> SysResult {
    if is_users { Ok(0) } else { Err(Errno::EPERM) }
}

/// By how much sleeps may be longer, so that others end with them: what Linux begins with.
const TIMER_SLACK_NS: u64 = 50_000;

/// A capability's number.
fn capability(number: u64) -> Result<u32, Errno> {
    u32::try_from(number).ok().filter(|&number| number <= CAP_LAST_CAP).ok_or(Errno::EINVAL)
}

syscall_define! {
    /// prctl(2): the task's name, its capabilities, and what is always so in a sandbox.
    fn prctl(option: i32, first: u64) {
        let name = UserPtr::<[u8; TASK_COMM_LEN]>::new(first);
        match option {
            PR_SET_NAME => {
                // A longer name is cut.
                let string = read_string(name.cast(), TASK_COMM_LEN - 1)?.bytes;
                let mut bytes = [0; TASK_COMM_LEN];
                bytes[..string.len()].copy_from_slice(&string);
                *current().name.lock() = bytes;
                Ok(0)
            }
            PR_GET_NAME => {
                let bytes = *current().name.lock();
                name.write(bytes).map(|()| 0)
            }
            PR_GET_KEEPCAPS => Ok(ids().keeps_capabilities.into()),
            PR_SET_KEEPCAPS => match first {
                0 | 1 => current().credentials.change(|ids| {
                    ids.keeps_capabilities = first == 1;
                    Ok(())
                }),
                _ => Err(Errno::EINVAL),
            }
            .map(|()| 0),
            PR_CAPBSET_READ => Ok(ids().bounding.has(capability(first)?).into()),
            PR_CAPBSET_DROP => {
                let drop = |ids: &mut Ids| ids.drop_bounding(capability(first)?);
                current().credentials.change(drop).map(|()| 0)
            }
            PR_GET_DUMPABLE | PR_GET_NO_NEW_PRIVS => Ok(1),
            // Nobody has set any of it, nor can.
            PR_GET_SECUREBITS | PR_GET_THP_DISABLE | PR_GET_TIMING => Ok(0),
            // The parent is outside.
            PR_GET_PDEATHSIG => UserPtr::<u32>::new(first).write(0).map(|()| 0),
            PR_GET_TIMERSLACK => Ok(TIMER_SLACK_NS),
            PR_SET_DUMPABLE | PR_SET_NO_NEW_PRIVS => Ok(0),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// setrlimit(2) for either width.
pub(super) fn set_limit(resource: u32, new: Rlimit) -> Result<(), Errno> {
    let process = &current().process;
    process.limits.set(resource, new, current().credentials.can(CAP_SYS_RESOURCE))?;
    if resource == RLIMIT_STACK {
        process.memory.lock().set_growth(new.rlim_cur);
    }
    Ok(())
}

syscall_define! {
    /// getrlimit(2)
    fn getrlimit(resource: u32, limits: UserPtr<Rlimit>) {
        limits.write(current().process.limits.get(resource)?).map(|()| 0)
    }
}
syscall_define! {
    /// setrlimit(2)
    fn setrlimit(resource: u32, limits: UserPtr<Rlimit>) {
        set_limit(resource, limits.read()?).map(|()| 0)
    }
}
syscall_define! {
    /// prlimit(2)
    fn prlimit64(pid: i32, resource: u32, new: UserPtr<Rlimit>, old: UserPtr<Rlimit>) {
        of_this_process(pid)?;
        let new = if new.is_null() { None } else { Some(new.read()?) };
        let limits = &current().process.limits;
        let now = limits.get(resource)?;
        if let Some(new) = new {
            set_limit(resource, new)?;
        }
        old.write_if(now).map(|()| 0)
    }
}
