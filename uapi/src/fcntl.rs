//! fcntl.h: flags of open files, commands of fcntl(2), and what the calls with
//! a directory take.

use crate::macros::constants;

constants! { "open(2)", general as u32:
    O_ACCMODE O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND
    O_NONBLOCK O_DSYNC O_SYNC O_DIRECT O_LARGEFILE O_DIRECTORY O_NOFOLLOW O_NOATIME
    O_CLOEXEC O_PATH O_TMPFILE
}
/// `O_ASYNC`, under the header's other name.
pub const O_ASYNC: u32 = linux_raw_sys::general::FASYNC;
constants! { "fcntl(2)", general as u32:
    F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_DUPFD_CLOEXEC FD_CLOEXEC
}
constants! { "openat(2)", general as i32: AT_FDCWD }
constants! { "openat(2)", general as u32:
    AT_EMPTY_PATH AT_SYMLINK_NOFOLLOW AT_SYMLINK_FOLLOW AT_REMOVEDIR AT_EACCESS AT_NO_AUTOMOUNT
    AT_STATX_SYNC_TYPE
}
constants! { "access(2)", general as u32: F_OK R_OK W_OK X_OK }
