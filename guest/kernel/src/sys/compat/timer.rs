//! Timers that send signals: structures of 32-bit words.

use crate::sys::define::{compat_define, ia32_define};
use crate::sys::timer::{create, get, get_interval, set, set_interval};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::siginfo::CompatSigevent;
use trapgate_uapi::time::{Itimerspec, Itimerval, OldItimerspec32, OldItimerval32, Timespec};

compat_define! {
    /// timer_create(2)
    fn timer_create(clock: i32, event: UserPtr<CompatSigevent>, id: UserPtr<i32>) {
        let event = || {
            if event.is_null() { Ok(None) } else { event.read().map(|event| Some(event.into())) }
        };
        create(clock, event, id)
    }
}
ia32_define! {
    /// timer_settime(2) with 32-bit times.
    fn timer_settime32(
        id: i32,
        flags: i32,
        new: UserPtr<OldItimerspec32>,
        old: UserPtr<OldItimerspec32>,
    ) {
        if new.is_null() {
            return Err(Errno::EINVAL);
        }
        old.write_if(set(id, flags, new.read()?.into())?.into()).map(|()| 0)
    }
}
ia32_define! {
    /// timer_gettime(2) with 32-bit times.
    fn timer_gettime32(id: i32, now: UserPtr<OldItimerspec32>) {
        now.write(get(id)?.into()).map(|()| 0)
    }
}
ia32_define! {
    /// timer_settime(2) with 64-bit times.
    fn timer_settime(
        id: i32,
        flags: i32,
        new: UserPtr<Itimerspec>,
        old: UserPtr<Itimerspec>,
    ) {
        if new.is_null() {
            return Err(Errno::EINVAL);
        }
        let Itimerspec { it_interval, it_value } = new.read()?;
        let [it_interval, it_value] = [it_interval, it_value].map(Timespec::without_padding);
        old.write_if(set(id, flags, Itimerspec { it_interval, it_value })?).map(|()| 0)
    }
}
compat_define! {
    /// setitimer(2)
    fn setitimer(which: i32, new: UserPtr<OldItimerval32>, old: UserPtr<OldItimerval32>) {
        let new = if new.is_null() { Itimerval::default() } else { new.read()?.into() };
        old.write_if(set_interval(which, new)?.into()).map(|()| 0)
    }
}
compat_define! {
    /// getitimer(2)
    fn getitimer(which: i32, now: UserPtr<OldItimerval32>) {
        now.write(get_interval(which)?.into()).map(|()| 0)
    }
}
