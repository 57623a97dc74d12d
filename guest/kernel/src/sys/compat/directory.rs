//! The names of a directory with 32-bit numbers.

use crate::sys::define::compat_define;
use crate::sys::directory::read_directory;
use crate::user::UserPtr;
use trapgate_uapi::dirent::Form;

compat_define! {
    /// getdents(2)
    fn getdents(fd: u32, buffer: UserPtr<u8>, size: u32) {
        read_directory(fd, buffer, size, Form::CompatDirent)
    }
}
