//! Limits, robust lists and arch_prctl(2) of i386.

use crate::process::task::current;
use crate::sys::define::compat_define;
use crate::sys::process::{set_limit, task};
use crate::user::UserPtr;
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::CompatRobustListHead;
use trapgate_uapi::resource::CompatRlimit;

compat_define! {
    /// arch_prctl(2): bases of FS and GS are not for 32-bit programs, which
    /// have set_thread_area(2).
    fn arch_prctl(_code: i32, _address: u32) { Err(Errno::EINVAL) }
}

compat_define! {
    /// getrlimit(2): number 191, `ugetrlimit`.
    fn getrlimit(resource: u32, limits: UserPtr<CompatRlimit>) {
        limits.write(current().process.limits.get(resource)?.into()).map(|()| 0)
    }
}
compat_define! {
    /// getrlimit(2) as it was first: number 76.
    fn old_getrlimit(resource: u32, limits: UserPtr<CompatRlimit>) {
        limits.write(CompatRlimit::signed(current().process.limits.get(resource)?)).map(|()| 0)
    }
}
compat_define! {
    /// setrlimit(2)
    fn setrlimit(resource: u32, limits: UserPtr<CompatRlimit>) {
        set_limit(resource, limits.read()?.into()).map(|()| 0)
    }
}

/// Bytes of [`CompatRobustListHead`].
const ROBUST_LIST_HEAD: u32 = size_of::<CompatRobustListHead>() as u32;

compat_define! {
    /// set_robust_list(2): a list of its own, beside x86-64's.
    fn set_robust_list(head: u32, length: u32) {
        if length != ROBUST_LIST_HEAD {
            return Err(Errno::EINVAL);
        }
        current().compat_robust_list.store(head, Ordering::Relaxed);
        Ok(0)
    }
}
compat_define! {
    /// get_robust_list(2)
    fn get_robust_list(tid: i32, head: UserPtr<u32>, length: UserPtr<u32>) {
        let list = task(tid)?.compat_robust_list.load(Ordering::Relaxed);
        length.write(ROBUST_LIST_HEAD)?;
        head.write(list).map(|()| 0)
    }
}
