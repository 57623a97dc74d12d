//! The status of a file in i386's two structures.

use crate::sys::define::compat_define;
use crate::sys::stat::{status, status_at, status_of};
use crate::user::UserPtr;
use trapgate_uapi::fcntl::AT_SYMLINK_NOFOLLOW;
use trapgate_uapi::stat::{CompatStat, Stat64};

compat_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>, buffer: UserPtr<CompatStat>) {
        buffer.write(CompatStat::try_from(&status_of(path, 0)?)?).map(|()| 0)
    }
}
compat_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>, buffer: UserPtr<CompatStat>) {
        buffer.write(CompatStat::try_from(&status_of(path, AT_SYMLINK_NOFOLLOW)?)?).map(|()| 0)
    }
}
compat_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<CompatStat>) {
        buffer.write(CompatStat::try_from(&status(fd)?)?).map(|()| 0)
    }
}
compat_define! {
    /// stat64(2)
    fn ia32_stat64(path: UserPtr<u8>, buffer: UserPtr<Stat64>) {
        buffer.write(Stat64::from(&status_of(path, 0)?)).map(|()| 0)
    }
}
compat_define! {
    /// lstat64(2)
    fn ia32_lstat64(path: UserPtr<u8>, buffer: UserPtr<Stat64>) {
        buffer.write(Stat64::from(&status_of(path, AT_SYMLINK_NOFOLLOW)?)).map(|()| 0)
    }
}
compat_define! {
    /// fstat64(2)
    fn ia32_fstat64(fd: u32, buffer: UserPtr<Stat64>) {
        buffer.write(Stat64::from(&status(fd)?)).map(|()| 0)
    }
}
compat_define! {
    /// fstatat64(2)
    fn ia32_fstatat64(
        directory: i32,
        path: UserPtr<u8>,
        buffer: UserPtr<Stat64>,
        flags: u32,
    ) {
        buffer.write(Stat64::from(&status_at(directory, path, flags)?)).map(|()| 0)
    }
}
