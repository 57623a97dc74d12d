//! Users and groups in 16 bits.

use crate::process::credentials::Identity;
use crate::sys::credentials::{
    groups, ids, set_group, set_group_for_files, set_groups, set_three_groups, set_three_users,
    set_two_groups, set_two_users, set_user, set_user_for_files,
};
use crate::sys::define::{SysResult, ia32_define};
use crate::user::UserPtr;
use trapgate_uapi::highuid::{high_id, low_id};

/// A number in the lower half of a register.
const fn wide(id: u32) -> u32 {
    high_id(id as u16)
}

fn write_three(who: Identity, pointers: [UserPtr<u16>; 3]) -> SysResult {
    for (pointer, id) in pointers.into_iter().zip([who.real, who.effective, who.saved]) {
        pointer.write(low_id(id))?;
    }
    Ok(0)
}

ia32_define! {
    /// getuid(2)
    fn getuid16() { Ok(low_id(ids().users.real).into()) }
}
ia32_define! {
    /// geteuid(2)
    fn geteuid16() { Ok(low_id(ids().users.effective).into()) }
}
ia32_define! {
    /// getgid(2)
    fn getgid16() { Ok(low_id(ids().groups.real).into()) }
}
ia32_define! {
    /// getegid(2)
    fn getegid16() { Ok(low_id(ids().groups.effective).into()) }
}
ia32_define! {
    /// getresuid(2)
    fn getresuid16(real: UserPtr<u16>, effective: UserPtr<u16>, saved: UserPtr<u16>) {
        write_three(ids().users, [real, effective, saved])
    }
}
ia32_define! {
    /// getresgid(2)
    fn getresgid16(real: UserPtr<u16>, effective: UserPtr<u16>, saved: UserPtr<u16>) {
        write_three(ids().groups, [real, effective, saved])
    }
}
ia32_define! {
    /// getgroups(2)
    fn getgroups16(size: i32, list: UserPtr<u16>) {
        groups(size, |index, group| list.offset(index).write(low_id(group)))
    }
}
ia32_define! {
    /// setuid(2)
    fn setuid16(uid: u32) { set_user(wide(uid)) }
}
ia32_define! {
    /// setgid(2)
    fn setgid16(gid: u32) { set_group(wide(gid)) }
}
ia32_define! {
    /// setreuid(2)
    fn setreuid16(real: u32, effective: u32) { set_two_users([real, effective].map(wide)) }
}
ia32_define! {
    /// setregid(2)
    fn setregid16(real: u32, effective: u32) { set_two_groups([real, effective].map(wide)) }
}
ia32_define! {
    /// setresuid(2)
    fn setresuid16(real: u32, effective: u32, saved: u32) {
        set_three_users([real, effective, saved].map(wide))
    }
}
ia32_define! {
    /// setresgid(2)
    fn setresgid16(real: u32, effective: u32, saved: u32) {
        set_three_groups([real, effective, saved].map(wide))
    }
}
ia32_define! {
    /// setfsuid(2)
    fn setfsuid16(uid: u32) { set_user_for_files(wide(uid)) }
}
ia32_define! {
    /// setfsgid(2)
    fn setfsgid16(gid: u32) { set_group_for_files(wide(gid)) }
}
ia32_define! {
    /// setgroups(2)
    fn setgroups16(count: u32, list: UserPtr<u16>) {
        set_groups(count, |index| list.offset(index).read().map(high_id))
    }
}
