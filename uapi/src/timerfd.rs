//! linux/timerfd.h.

use crate::macros::constants;

constants! { "timerfd_create(2)", general as u32:
    TFD_TIMER_ABSTIME TFD_TIMER_CANCEL_ON_SET TFD_CLOEXEC TFD_NONBLOCK
}
