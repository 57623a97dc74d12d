//! Descriptors: fcntl(2), whose commands here have no structure of two forms.

use crate::sys::define::compat_define;
use crate::sys::descriptor::control;

compat_define! {
    /// fcntl(2) and fcntl64(2)
    fn fcntl64(fd: u32, command: u32, argument: u64) { control(fd, command, argument) }
}
