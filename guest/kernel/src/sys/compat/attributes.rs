//! Owners of 16 bits, and times of 32.

use crate::sys::attributes::{
    change_times, change_times_s, change_times_us, chown_at, chown_file, read_if,
};
use crate::sys::define::ia32_define;
use crate::user::UserPtr;
use trapgate_uapi::fcntl::{AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use trapgate_uapi::time::{OldTimespec32, OldTimeval32, Timespec};

/// An owner: -1 stays as it is.
const fn owner(id: u32) -> Option<u32> {
    match id as u16 {
        u16::MAX => None,
        id => Some(id as u32),
    }
}

ia32_define! {
    /// chown(2)
    fn chown16(path: UserPtr<u8>, uid: u32, gid: u32) {
        chown_at(AT_FDCWD, path, [owner(uid), owner(gid)], 0)
    }
}
ia32_define! {
    /// lchown(2)
    fn lchown16(path: UserPtr<u8>, uid: u32, gid: u32) {
        chown_at(AT_FDCWD, path, [owner(uid), owner(gid)], AT_SYMLINK_NOFOLLOW)
    }
}
ia32_define! {
    /// fchown(2)
    fn fchown16(fd: u32, uid: u32, gid: u32) { chown_file(fd, [owner(uid), owner(gid)]) }
}
ia32_define! {
    /// utimensat(2) with 32-bit times.
    fn utimensat_time32(
        directory: i32,
        path: UserPtr<u8>,
        times: UserPtr<[OldTimespec32; 2]>,
        flags: u32,
    ) {
        let times = read_if(times)?.map(|times| times.map(Into::into));
        change_times(directory, path, times, flags)
    }
}
ia32_define! {
    /// utimensat(2) with 64-bit times.
    fn utimensat(
        directory: i32,
        path: UserPtr<u8>,
        times: UserPtr<[Timespec; 2]>,
        flags: u32,
    ) {
        let times = read_if(times)?.map(|times| times.map(Timespec::without_padding));
        change_times(directory, path, times, flags)
    }
}
ia32_define! {
    /// futimesat(2)
    fn futimesat_time32(directory: i32, path: UserPtr<u8>, times: UserPtr<[OldTimeval32; 2]>) {
        change_times_us(directory, path, read_if(times)?.map(|times| times.map(Into::into)))
    }
}
ia32_define! {
    /// utimes(2)
    fn utimes_time32(path: UserPtr<u8>, times: UserPtr<[OldTimeval32; 2]>) {
        change_times_us(AT_FDCWD, path, read_if(times)?.map(|times| times.map(Into::into)))
    }
}
ia32_define! {
    /// utime(2)
    fn utime32(path: UserPtr<u8>, times: UserPtr<[i32; 2]>) {
        change_times_s(path, read_if(times)?.map(|times| times.map(i64::from)))
    }
}
