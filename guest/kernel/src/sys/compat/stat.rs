//! The status of a file in i386's two structures.

use crate::sys::define::compat_define;
use crate::sys::path::no_such_file;
use crate::sys::stat::{status, status_at};
use crate::user::UserPtr;
use trapgate_uapi::stat::{CompatStat, Stat64};

compat_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<CompatStat>) {
        buffer.write(CompatStat::try_from(&status(fd)?)?).map(|()| 0)
    }
}
compat_define! {
    /// stat64(2)
    fn ia32_stat64(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// lstat64(2)
    fn ia32_lstat64(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// fstat64(2)
    fn ia32_fstat64(fd: u32, buffer: UserPtr<Stat64>) {
        buffer.write(Stat64::from(&status(fd)?)).map(|()| 0)
    }
}
compat_define! {
    /// fstatat64(2)
    fn ia32_fstatat64(fd: u32, path: UserPtr<u8>, buffer: UserPtr<Stat64>, flags: u32) {
        buffer.write(Stat64::from(&status_at(fd, path, flags)?)).map(|()| 0)
    }
}
