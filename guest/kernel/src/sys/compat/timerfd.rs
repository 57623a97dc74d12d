//! timerfd_settime(2), timerfd_gettime(2): with times of 32 bits, and of 64 with padding.

use crate::sys::define::ia32_define;
use crate::sys::timerfd::{get, set};
use crate::user::UserPtr;
use trapgate_uapi::time::{Itimerspec, OldItimerspec32, Timespec};

ia32_define! {
    /// timerfd_settime(2) with a 32-bit time.
    fn timerfd_settime32(
        fd: u32,
        flags: u32,
        new: UserPtr<OldItimerspec32>,
        old: UserPtr<OldItimerspec32>,
    ) {
        old.write_if(set(fd, flags, new.read()?.into())?.into()).map(|()| 0)
    }
}
ia32_define! {
    /// timerfd_gettime(2) with a 32-bit time.
    fn timerfd_gettime32(fd: u32, now: UserPtr<OldItimerspec32>) {
        now.write(get(fd)?.into()).map(|()| 0)
    }
}
ia32_define! {
    /// timerfd_settime(2) with a 64-bit time.
    fn timerfd_settime(
        fd: u32,
        flags: u32,
        new: UserPtr<Itimerspec>,
        old: UserPtr<Itimerspec>,
    ) {
        let Itimerspec { it_interval, it_value } = new.read()?;
        let [it_interval, it_value] = [it_interval, it_value].map(Timespec::without_padding);
        old.write_if(set(fd, flags, Itimerspec { it_interval, it_value })?).map(|()| 0)
    }
}
