//! Calls with a path: open(2), access(2), readlink(2), chdir(2), getcwd(2). There is no
//! file system yet, so no path names anything.

use crate::sys::define::{SysResult, syscall_define};
use crate::user::{UserPtr, UserString, read_string};
use alloc::vec::Vec;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::PATH_MAX;

/// Reads a path, for what it may say of the pointer.
pub(super) fn read_path(path: UserPtr<u8>) -> Result<Vec<u8>, Errno> {
    let UserString { bytes, terminated } = read_string(path, PATH_MAX)?;
    if terminated { Ok(bytes) } else { Err(Errno::ENAMETOOLONG) }
}

/// What a call with a path answers while there are no files: the path is
/// read, so that a bad pointer is found.
pub(super) fn no_such_file(path: UserPtr<u8>) -> SysResult {
    read_path(path)?;
    Err(Errno::ENOENT)
}
syscall_define! {
    /// open(2)
    fn open(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// openat(2)
    fn openat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// access(2)
    fn access(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// faccessat(2)
    fn faccessat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// readlink(2)
    fn readlink(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// readlinkat(2)
    fn readlinkat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// chdir(2)
    fn chdir(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// getcwd(2): the root. Answers the length, as the system call does.
    fn getcwd(buffer: UserPtr<[u8; 2]>, size: u64) {
        if size < 2 {
            return Err(Errno::ERANGE);
        }
        buffer.write(*b"/\0").map(|()| 2)
    }
}
