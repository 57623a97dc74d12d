//! The machine as a 32-bit program sees it: the older unames, sysinfo(2), getrusage(2).

use crate::sys::define::{compat_define, ia32_define};
use crate::sys::system::{names, resource_usage, system_info};
use crate::user::UserPtr;
use trapgate_uapi::resource::CompatRusage;
use trapgate_uapi::sysinfo::CompatSysinfo;
use trapgate_uapi::utsname::{OldUtsname, OldoldUtsname};

ia32_define! {
    /// uname(2) without the domain: number 109, `olduname`.
    fn uname(buffer: UserPtr<OldUtsname>) { buffer.write(names().into()).map(|()| 0) }
}
ia32_define! {
    /// uname(2) as it was first: number 59, `oldolduname`.
    fn olduname(buffer: UserPtr<OldoldUtsname>) { buffer.write(names().into()).map(|()| 0) }
}
compat_define! {
    /// sysinfo(2)
    fn sysinfo(buffer: UserPtr<CompatSysinfo>) {
        buffer.write((&system_info()).into()).map(|()| 0)
    }
}
compat_define! {
    /// getrusage(2)
    fn getrusage(who: i32, usage: UserPtr<CompatRusage>) {
        usage.write(resource_usage(who)?.into()).map(|()| 0)
    }
}
