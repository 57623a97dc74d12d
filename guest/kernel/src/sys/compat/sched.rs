//! Affinity in 32-bit words, and a time slice in a time of 32 bits.

use crate::sys::define::{compat_define, ia32_define};
use crate::sys::policy::interval;
use crate::sys::process::task;
use crate::sys::sched::set_affinity;
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::time::OldTimespec32;

/// Bytes of the kernel's own set of CPUs: the most that is written.
const KERNEL_MASK: u32 = 8;

compat_define! {
    /// sched_getaffinity(2): CPU 0. Answers the bytes written.
    fn sched_getaffinity(pid: i32, size: u32, mask: UserPtr<u8>) {
        if size == 0 || !size.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        task(pid)?;
        let written = size.min(KERNEL_MASK);
        let set = 1u64.to_le_bytes();
        mask.write_slice(&set[..written as usize]).map(|()| written.into())
    }
}
compat_define! {
    /// sched_setaffinity(2)
    fn sched_setaffinity(pid: i32, size: u32, mask: UserPtr<u8>) { set_affinity(pid, size, mask) }
}

ia32_define! {
    /// sched_rr_get_interval(2)
    fn sched_rr_get_interval_time32(pid: i32, to: UserPtr<OldTimespec32>) {
        to.write(interval(pid)?.into()).map(|()| 0)
    }
}
