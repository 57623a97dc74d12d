//! The status of a file in i386's two structures.

use crate::sys::define::compat_define;
use crate::sys::stat::{tell_at, tell_of, tell_open};
use crate::user::UserPtr;
use trapgate_uapi::fcntl::AT_SYMLINK_NOFOLLOW;
use trapgate_uapi::stat::{CompatStat, Stat64};

compat_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>, buffer: UserPtr<CompatStat>) {
        tell_of(path, 0, |stat| buffer.write(CompatStat::try_from(&stat)?))
    }
}
compat_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>, buffer: UserPtr<CompatStat>) {
        tell_of(path, AT_SYMLINK_NOFOLLOW, |stat| buffer.write(CompatStat::try_from(&stat)?))
    }
}
compat_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<CompatStat>) {
        tell_open(fd, |stat| buffer.write(CompatStat::try_from(&stat)?))
    }
}
compat_define! {
    /// stat64(2)
    fn ia32_stat64(path: UserPtr<u8>, buffer: UserPtr<Stat64>) {
        tell_of(path, 0, |stat| buffer.write(Stat64::from(&stat)))
    }
}
compat_define! {
    /// lstat64(2)
    fn ia32_lstat64(path: UserPtr<u8>, buffer: UserPtr<Stat64>) {
        tell_of(path, AT_SYMLINK_NOFOLLOW, |stat| buffer.write(Stat64::from(&stat)))
    }
}
compat_define! {
    /// fstat64(2)
    fn ia32_fstat64(fd: u32, buffer: UserPtr<Stat64>) {
        tell_open(fd, |stat| buffer.write(Stat64::from(&stat)))
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
        tell_at(directory, path, flags, |stat| buffer.write(Stat64::from(&stat)))
    }
}
