//! ioctl(2), whose requests here have no structure of two forms.

use crate::sys::define::compat_define;
use crate::sys::ioctl::control_device;

compat_define! {
    /// ioctl(2)
    fn ioctl(fd: u32, request: u32, argument: u64) { control_device(fd, request, argument) }
}
