//! fcntl.h: flags of open files, commands of fcntl(2), and what the calls with
//! a directory take.

use crate::Errno;
use crate::macros::{constants, structure};

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
    AT_STATX_SYNC_TYPE AT_HANDLE_FID AT_HANDLE_MNT_ID_UNIQUE AT_HANDLE_CONNECTABLE
}
constants! { "splice(2)", general as u32:
    SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT
}
constants! { "access(2)", general as u32: F_OK R_OK W_OK X_OK }
constants! { "fcntl(2)", general as u32:
    F_GETLK F_SETLK F_SETLKW F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW F_ADD_SEALS F_GET_SEALS
    F_SEAL_SEAL F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SEAL_FUTURE_WRITE F_SEAL_EXEC
    F_GETOWN F_SETOWN F_GETSIG F_SETSIG F_GETOWN_EX F_SETOWN_EX F_GETLEASE F_GETPIPE_SZ
    F_SETPIPE_SZ
}
constants! { "fcntl(2)", general as i32: F_OWNER_TID F_OWNER_PID F_OWNER_PGRP }
constants! { "fcntl(2)", general as i16: F_RDLCK F_WRLCK F_UNLCK }
constants! { "flock(2)", general as u32: LOCK_SH LOCK_EX LOCK_NB LOCK_UN }
/// fcntl(2)'s commands of i386 with 64-bit offsets.
pub const F_GETLK64: u32 = 12;
/// The same.
pub const F_SETLK64: u32 = 13;
/// The same.
pub const F_SETLKW64: u32 = 14;

structure! {
    /// `struct f_owner_ex`, the same for both widths.
    #[derive(Default)]
    pub struct FOwnerEx: 8 {
        pub kind: i32,
        pub pid: i32,
    }
}

structure! {
    /// `struct flock` of x86-64.
    #[derive(Default)]
    pub struct Flock: 32 {
        pub l_type: i16,
        pub l_whence: i16,
        pub __pad0: i32,
        pub l_start: i64,
        pub l_len: i64,
        pub l_pid: i32,
        pub __pad1: i32,
    }
}
#[cfg(target_arch = "x86_64")]
crate::macros::same_layout!(Flock = general::flock { l_type l_whence l_start l_len l_pid });

structure! {
    /// `struct flock` of i386.
    #[derive(Default)]
    pub struct CompatFlock: 16 = "x86" general::flock {
        pub l_type: i16,
        pub l_whence: i16,
        pub l_start: i32,
        pub l_len: i32,
        pub l_pid: i32,
    }
}

structure! {
    /// `struct flock64` of i386, whose 64-bit words lie at multiples of four.
    #[derive(Default)]
    pub struct Flock64: 24 = "x86" general::flock64 {
        pub l_type: i16,
        pub l_whence: i16,
        pub l_start: [u32; 2],
        pub l_len: [u32; 2],
        pub l_pid: i32,
    }
}

const fn join([low, high]: [u32; 2]) -> i64 {
    ((high as u64) << 32 | low as u64) as i64
}

const fn split(value: i64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

impl From<CompatFlock> for Flock {
    fn from(lock: CompatFlock) -> Self {
        Flock {
            l_type: lock.l_type,
            l_whence: lock.l_whence,
            l_start: lock.l_start.into(),
            l_len: lock.l_len.into(),
            l_pid: lock.l_pid,
            ..Flock::default()
        }
    }
}

impl TryFrom<Flock> for CompatFlock {
    type Error = Errno;

    /// # Errors
    /// EOVERFLOW for a start that does not fit; a length that does not is cut.
    fn try_from(lock: Flock) -> Result<Self, Errno> {
        Ok(CompatFlock {
            l_type: lock.l_type,
            l_whence: lock.l_whence,
            l_start: i32::try_from(lock.l_start).map_err(|_| Errno::EOVERFLOW)?,
            l_len: i32::try_from(lock.l_len).unwrap_or(0),
            l_pid: lock.l_pid,
        })
    }
}

impl From<Flock64> for Flock {
    fn from(lock: Flock64) -> Self {
        Flock {
            l_type: lock.l_type,
            l_whence: lock.l_whence,
            l_start: join(lock.l_start),
            l_len: join(lock.l_len),
            l_pid: lock.l_pid,
            ..Flock::default()
        }
    }
}

impl From<Flock> for Flock64 {
    fn from(lock: Flock) -> Self {
        Flock64 {
            l_type: lock.l_type,
            l_whence: lock.l_whence,
            l_start: split(lock.l_start),
            l_len: split(lock.l_len),
            l_pid: lock.l_pid,
        }
    }
}
constants! { "posix_fadvise(2)", general as u32: POSIX_FADV_NOREUSE }
/// All flags of sync_file_range(2).
pub const SYNC_FILE_RANGE_ALL: u32 = 7;
