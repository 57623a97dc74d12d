//! Calls with a path.

use super::join;
use crate::fs::write_rules;
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::open::open_at;
use crate::sys::size::{truncate_file, truncate_path};
use crate::user::UserPtr;
use trapgate_uapi::fcntl::AT_FDCWD;

compat_define! {
    /// open(2): without `O_LARGEFILE` implied.
    fn open(path: UserPtr<u8>, flags: u32, mode: u32) {
        write_rules::begin();
        open_at(AT_FDCWD, path, flags, mode, 0)
    }
}
compat_define! {
    /// openat(2): without `O_LARGEFILE` implied.
    fn openat(directory: i32, path: UserPtr<u8>, flags: u32, mode: u32) {
        write_rules::begin();
        open_at(directory, path, flags, mode, 0)
    }
}
compat_define! {
    /// truncate(2)
    fn truncate(path: UserPtr<u8>, length: i32) { truncate_path(path, length.into()) }
}
compat_define! {
    /// ftruncate(2)
    fn ftruncate(fd: u32, length: i32) { truncate_file(fd, length.into()) }
}
ia32_define! {
    /// truncate64(2): the length in two registers.
    fn ia32_truncate64(path: UserPtr<u8>, low: u32, high: u32) {
        truncate_path(path, join(low, high) as i64)
    }
}
ia32_define! {
    /// ftruncate64(2): the same.
    fn ia32_ftruncate64(fd: u32, low: u32, high: u32) {
        truncate_file(fd, join(low, high) as i64)
    }
}
