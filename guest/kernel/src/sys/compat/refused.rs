//! What is refused and has an entry of its own for 32-bit callers.

use crate::sys::define::compat_define;
use trapgate_uapi::Errno;

compat_define! {
    /// open_by_handle_at(2)
    fn open_by_handle_at() { Err(Errno::EPERM) }
}
