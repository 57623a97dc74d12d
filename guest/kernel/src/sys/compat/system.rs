//! The machine as a 32-bit program sees it: the older unames, sysinfo(2),
//! affinity in 32-bit words, getrusage(2), futex(2).

use super::time::{read_if, read_time32, read_time64};
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::system::{UTSNAME, find_pid, futex_by, resource_usage, set_affinity, system_info};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::resource::CompatRusage;
use trapgate_uapi::sysinfo::CompatSysinfo;
use trapgate_uapi::time::{OldTimespec32, Timespec};
use trapgate_uapi::utsname::{OldUtsname, OldoldUtsname};

ia32_define! {
    /// uname(2) without the domain: number 109, `olduname`.
    fn uname(buffer: UserPtr<OldUtsname>) { buffer.write((&UTSNAME).into()).map(|()| 0) }
}
ia32_define! {
    /// uname(2) as it was first: number 59, `oldolduname`.
    fn olduname(buffer: UserPtr<OldoldUtsname>) { buffer.write((&UTSNAME).into()).map(|()| 0) }
}

compat_define! {
    /// sysinfo(2)
    fn sysinfo(buffer: UserPtr<CompatSysinfo>) {
        buffer.write((&system_info()).into()).map(|()| 0)
    }
}

/// Bytes of the kernel's own set of CPUs: the most that is written.
const KERNEL_MASK: u32 = 8;

compat_define! {
    /// sched_getaffinity(2): CPU 0. Answers the bytes written.
    fn sched_getaffinity(pid: i32, size: u32, mask: UserPtr<u8>) {
        if size == 0 || !size.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        find_pid(pid)?;
        let written = size.min(KERNEL_MASK);
        let set = 1u64.to_le_bytes();
        mask.write_slice(&set[..written as usize]).map(|()| written.into())
    }
}
compat_define! {
    /// sched_setaffinity(2)
    fn sched_setaffinity(pid: i32, size: u32, mask: UserPtr<u8>) { set_affinity(pid, size, mask) }
}
compat_define! {
    /// getrusage(2)
    fn getrusage(who: i32, usage: UserPtr<CompatRusage>) {
        usage.write(resource_usage(who)?.into()).map(|()| 0)
    }
}
ia32_define! {
    /// futex(2) with a 32-bit time.
    fn futex_time32(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<OldTimespec32>,
        _second: u64,
        bitset: u32,
    ) {
        futex_by(word, operation, value, || read_if(timeout, read_time32), bitset)
    }
}
ia32_define! {
    /// futex(2) with a 64-bit time.
    fn futex(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec>,
        _second: u64,
        bitset: u32,
    ) {
        futex_by(word, operation, value, || read_if(timeout, read_time64), bitset)
    }
}
