//! Who the program is, and who it becomes: getuid(2), setuid(2) and their kin,
//! getgroups(2), setgroups(2); capget(2), capset(2).

use crate::fs::access::Capabilities;
use crate::memory::{try_push, try_with_capacity};
use crate::process::credentials::Ids;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use alloc::vec::Vec;
use core::mem;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{
    _LINUX_CAPABILITY_VERSION_1, _LINUX_CAPABILITY_VERSION_2, _LINUX_CAPABILITY_VERSION_3,
    CAP_SETGID, CapData, CapHeader,
};

/// The most further groups.
const NGROUPS_MAX: u32 = 65536;
/// What is no user or group; where one may stay as it is, it does.
const NOBODY: u32 = u32::MAX;

/// The running task's numbers.
pub(super) fn ids() -> Ids {
    current().credentials.get()
}

/// An argument for which -1 means none.
pub(super) const fn unless_minus_one(id: u32) -> Option<u32> {
    if id == NOBODY { None } else { Some(id) }
}

fn change(change: impl FnOnce(&mut Ids) -> Result<(), Errno>) -> SysResult {
    current().credentials.change(change).map(|()| 0)
}

/// setuid(2) for either width.
pub(super) fn set_user(id: u32) -> SysResult {
    let id = unless_minus_one(id).ok_or(Errno::EINVAL)?;
    change(|ids| ids.change_user(|users, anybody| users.set(id, anybody)))
}

/// setgid(2) for either width.
pub(super) fn set_group(id: u32) -> SysResult {
    let id = unless_minus_one(id).ok_or(Errno::EINVAL)?;
    change(|ids| ids.change_group(|groups, anybody| groups.set(id, anybody)))
}

/// setreuid(2) for either width.
pub(super) fn set_two_users(two: [u32; 2]) -> SysResult {
    let [real, effective] = two.map(unless_minus_one);
    change(|ids| ids.change_user(|users, anybody| users.set_two(real, effective, anybody)))
}

/// setregid(2) for either width.
pub(super) fn set_two_groups(two: [u32; 2]) -> SysResult {
    let [real, effective] = two.map(unless_minus_one);
    change(|ids| ids.change_group(|groups, anybody| groups.set_two(real, effective, anybody)))
}

/// setresuid(2) for either width.
pub(super) fn set_three_users(three: [u32; 3]) -> SysResult {
    let three = three.map(unless_minus_one);
    change(|ids| ids.change_user(|users, anybody| users.set_three(three, anybody)))
}

/// setresgid(2) for either width.
pub(super) fn set_three_groups(three: [u32; 3]) -> SysResult {
    let three = three.map(unless_minus_one);
    change(|ids| ids.change_group(|groups, anybody| groups.set_three(three, anybody)))
}

/// setfsuid(2) for either width: answers who it was.
pub(super) fn set_user_for_files(id: u32) -> SysResult {
    let before = ids().users.files;
    if let Some(id) = unless_minus_one(id) {
        change(|ids| {
            ids.change_user_for_files(id);
            Ok(())
        })?;
    }
    Ok(before.into())
}

/// setfsgid(2) for either width: answers which it was.
pub(super) fn set_group_for_files(id: u32) -> SysResult {
    let before = ids().groups.files;
    if let Some(id) = unless_minus_one(id) {
        change(|ids| {
            ids.change_group_for_files(id);
            Ok(())
        })?;
    }
    Ok(before.into())
}

/// getgroups(2) for either width: `write` writes the group of an index.
pub(super) fn groups(size: i32, write: impl Fn(u64, u32) -> Result<(), Errno>) -> SysResult {
    let room = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    // User memory may fault, and nothing is locked then.
    let group = |index| current().credentials.rights.groups.lock().get(index).copied();
    let count = current().credentials.rights.groups.lock().len();
    if room == 0 {
        return Ok(count as u64);
    }
    if count > room {
        return Err(Errno::EINVAL);
    }
    for (index, group) in (0..count).map_while(group).enumerate() {
        write(index as u64, group)?;
    }
    Ok(count as u64)
}

/// setgroups(2) for either width: `read` reads the group of an index.
pub(super) fn set_groups(count: u32, read: impl Fn(u64) -> Result<u32, Errno>) -> SysResult {
    let credentials = &current().credentials;
    if !credentials.can(CAP_SETGID) {
        return Err(Errno::EPERM);
    }
    if count > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut groups: Vec<u32> = try_with_capacity(count as usize)?;
    for index in 0..count.into() {
        let group = unless_minus_one(read(index)?).ok_or(Errno::EINVAL)?;
        try_push(&mut groups, group)?;
    }
    groups.sort_unstable();
    drop(mem::replace(&mut *credentials.rights.groups.lock(), groups));
    Ok(0)
}

syscall_define! {
    /// getuid(2)
    fn getuid() { Ok(ids().users.real.into()) }
}
syscall_define! {
    /// geteuid(2)
    fn geteuid() { Ok(ids().users.effective.into()) }
}
syscall_define! {
    /// getgid(2)
    fn getgid() { Ok(ids().groups.real.into()) }
}
syscall_define! {
    /// getegid(2)
    fn getegid() { Ok(ids().groups.effective.into()) }
}
syscall_define! {
    /// getresuid(2)
    fn getresuid(real: UserPtr<u32>, effective: UserPtr<u32>, saved: UserPtr<u32>) {
        let users = ids().users;
        real.write(users.real)?;
        effective.write(users.effective)?;
        saved.write(users.saved).map(|()| 0)
    }
}
syscall_define! {
    /// getresgid(2)
    fn getresgid(real: UserPtr<u32>, effective: UserPtr<u32>, saved: UserPtr<u32>) {
        let groups = ids().groups;
        real.write(groups.real)?;
        effective.write(groups.effective)?;
        saved.write(groups.saved).map(|()| 0)
    }
}
syscall_define! {
    /// getgroups(2)
    fn getgroups(size: i32, list: UserPtr<u32>) {
        groups(size, |index, group| list.offset(index).write(group))
    }
}
syscall_define! {
    /// setuid(2)
    fn setuid(uid: u32) { set_user(uid) }
}
syscall_define! {
    /// setgid(2)
    fn setgid(gid: u32) { set_group(gid) }
}
syscall_define! {
    /// setreuid(2)
    fn setreuid(real: u32, effective: u32) { set_two_users([real, effective]) }
}
syscall_define! {
    /// setregid(2)
    fn setregid(real: u32, effective: u32) { set_two_groups([real, effective]) }
}
syscall_define! {
    /// setresuid(2)
    fn setresuid(real: u32, effective: u32, saved: u32) {
        set_three_users([real, effective, saved])
    }
}
syscall_define! {
    /// setresgid(2)
    fn setresgid(real: u32, effective: u32, saved: u32) {
        set_three_groups([real, effective, saved])
    }
}
syscall_define! {
    /// setfsuid(2)
    fn setfsuid(uid: u32) { set_user_for_files(uid) }
}
syscall_define! {
    /// setfsgid(2)
    fn setfsgid(gid: u32) { set_group_for_files(gid) }
}
syscall_define! {
    /// setgroups(2)
    fn setgroups(count: u32, list: UserPtr<u32>) {
        set_groups(count, |index| list.offset(index).read())
    }
}

/// How many words of capabilities a version has; one that is not known is told which is.
fn words(header: UserPtr<CapHeader>, version: u32) -> Result<usize, Errno> {
    match version {
        _LINUX_CAPABILITY_VERSION_1 => Ok(1),
        _LINUX_CAPABILITY_VERSION_2 | _LINUX_CAPABILITY_VERSION_3 => Ok(2),
        _ => {
            header.cast().write(_LINUX_CAPABILITY_VERSION_3)?;
            Err(Errno::EINVAL)
        }
    }
}

fn is_this_task(pid: i32) -> bool {
    pid == 0 || pid as u32 == current().tid()
}

syscall_define! {
    /// capget(2)
    fn capget(header: UserPtr<CapHeader>, data: UserPtr<CapData>) {
        let CapHeader { version, pid } = header.read()?;
        let words = match words(header, version) {
            // It is how a program asks for the version.
            Err(Errno::EINVAL) if data.is_null() => return Ok(0),
            words => words?,
        };
        if pid < 0 {
            return Err(Errno::EINVAL);
        }
        if !is_this_task(pid) {
            return Err(Errno::ESRCH);
        }
        if data.is_null() {
            return Ok(0);
        }
        let ids = ids();
        let word = |index: usize| {
            let part = |set: Capabilities| (set.0 >> (32 * index)) as u32;
            CapData {
                effective: part(ids.effective),
                permitted: part(ids.permitted),
                inheritable: part(ids.inheritable),
            }
        };
        data.write_slice(&[word(0), word(1)][..words]).map(|()| 0)
    }
}
syscall_define! {
    /// capset(2)
    fn capset(header: UserPtr<CapHeader>, data: UserPtr<CapData>) {
        let CapHeader { version, pid } = header.read()?;
        let words = words(header, version)?;
        if !is_this_task(pid) {
            return Err(Errno::EPERM);
        }
        let low = data.read()?;
        let high = if words == 2 { data.offset(1).read()? } else { CapData::default() };
        let set = |low: u32, high: u32| {
            Capabilities(u64::from(low) | u64::from(high) << 32).and(Capabilities::ALL)
        };
        let effective = set(low.effective, high.effective);
        let permitted = set(low.permitted, high.permitted);
        let inheritable = set(low.inheritable, high.inheritable);
        change(|ids| ids.set_capabilities(effective, permitted, inheritable))
    }
}
