//! Scheduling with one CPU: sched_yield(2), sched_setaffinity(2), getcpu(2).

use crate::process::task::Task;
use crate::sched::switch;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::process::task;
use crate::user::UserPtr;
use alloc::sync::Arc;
use trapgate_uapi::Errno;

syscall_define! {
    /// getcpu(2): there is one.
    fn getcpu(cpu: UserPtr<u32>, node: UserPtr<u32>) {
        cpu.write_if(0)?;
        node.write_if(0).map(|()| 0)
    }
}
syscall_define! {
    /// sched_yield(2)
    fn sched_yield() {
        switch::yield_now();
        Ok(0)
    }
}

/// The task of this number: EINVAL for what is no number of one, ESRCH.
pub(super) fn numbered(pid: i32) -> Result<Arc<Task>, Errno> {
    if pid < 0 { Err(Errno::EINVAL) } else { task(pid) }
}
syscall_define! {
    /// sched_getaffinity(2): CPU 0. Answers the bytes written, as the system
    /// call does.
    fn sched_getaffinity(pid: i32, size: u32, mask: UserPtr<u64>) {
        if size < 8 || !size.is_multiple_of(8) {
            return Err(Errno::EINVAL);
        }
        task(pid)?;
        mask.write(1).map(|()| 8)
    }
}
syscall_define! {
    /// sched_setaffinity(2): any set with CPU 0.
    fn sched_setaffinity(pid: i32, size: u32, mask: UserPtr<u8>) {
        set_affinity(pid, size, mask)
    }
}

/// sched_setaffinity(2) for either width: the first byte decides.
pub(super) fn set_affinity(pid: i32, size: u32, mask: UserPtr<u8>) -> SysResult {
    let first = if size == 0 { 0 } else { mask.read()? };
    task(pid)?;
    if first & 1 == 0 { Err(Errno::EINVAL) } else { Ok(0) }
}
