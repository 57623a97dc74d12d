//! Calls with a path.

use crate::sys::define::compat_define;
use crate::sys::path::no_such_file;
use crate::user::UserPtr;

compat_define! {
    /// open(2): without `O_LARGEFILE` implied.
    fn open(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// openat(2): without `O_LARGEFILE` implied.
    fn openat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
