//! linux/eventfd.h.

use crate::macros::constants;

constants! { "eventfd(2)", general as u32: EFD_SEMAPHORE EFD_CLOEXEC EFD_NONBLOCK }
