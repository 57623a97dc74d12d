//! Which process it is, and how it ends: getpid(2) and its kin, exit(2),
//! arch_prctl(2), set_tid_address(2), limits.

use crate::mm::space::bounds::Bounds;
use crate::process::cpu::limit_was_set;
use crate::process::exit;
use crate::process::task::{Task, current, find};
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::{cpu, percpu};
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_SYS_RESOURCE;
use trapgate_uapi::futex::RobustListHead;
use trapgate_uapi::membarrier::{
    MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_QUERY,
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_COMMANDS,
};
use trapgate_uapi::prctl::{ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS};
use trapgate_uapi::resource::{
    RLIM_INFINITY, RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_STACK, Rlimit,
};
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

/// setrlimit(2) for either width.
pub(super) fn set_limit(resource: u32, new: Rlimit) -> Result<(), Errno> {
    let process = &current().process;
    process.limits.set(resource, new, current().credentials.can(CAP_SYS_RESOURCE))?;
    match resource {
        RLIMIT_STACK => process.memory.lock().set_growth(new.rlim_cur),
        RLIMIT_AS | RLIMIT_DATA => {
            let pages = |resource| {
                let limit =
                    process.limits.get(resource).map_or(RLIM_INFINITY, |limit| limit.rlim_cur);
                if limit == RLIM_INFINITY { limit } else { limit / PAGE_SIZE }
            };
            let bounds = Bounds { size: pages(RLIMIT_AS), data: pages(RLIMIT_DATA) };
            process.memory.lock().set_bounds(bounds);
        }
        RLIMIT_CPU => limit_was_set(new),
        _ => {}
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
        // All tasks have the process's.
        task(pid)?;
        let new = if new.is_null() { None } else { Some(new.read()?) };
        let limits = &current().process.limits;
        let now = limits.get(resource)?;
        if let Some(new) = new {
            set_limit(resource, new)?;
        }
        old.write_if(now).map(|()| 0)
    }
}
