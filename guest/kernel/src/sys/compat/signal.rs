//! Signals: structures of 32-bit words, and the calls from before there were
//! more than 32 signals.

use crate::process::task::current;
use crate::signal::action::SA_IA32_ABI;
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::signal::{change_action, change_stack, write_pending};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{
    CompatOldSigaction, CompatSigaction, CompatSigaltstack, SA_NODEFER, SA_RESETHAND, SIGSET_SIZE,
    Sigaction,
};

compat_define! {
    /// rt_sigaction(2)
    fn rt_sigaction(
        number: i32,
        new: UserPtr<CompatSigaction>,
        old: UserPtr<CompatSigaction>,
        mask_size: u64,
    ) {
        if mask_size != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = || if new.is_null() { Ok(None) } else { new.read().map(|new| Some(new.into())) };
        old.write_if(change_action(number, new, SA_IA32_ABI)?.into()).map(|()| 0)
    }
}
compat_define! {
    /// sigaction(2) as it was first.
    fn sigaction(
        number: i32,
        new: UserPtr<CompatOldSigaction>,
        old: UserPtr<CompatOldSigaction>,
    ) {
        let new = || if new.is_null() { Ok(None) } else { new.read().map(|new| Some(new.into())) };
        old.write_if(change_action(number, new, SA_IA32_ABI)?.into()).map(|()| 0)
    }
}
ia32_define! {
    /// signal(2) as System V has it: the handler is for one time, and its
    /// signal is not blocked meanwhile. Answers the old handler.
    fn signal(number: i32, handler: u64) {
        let sa_flags = SA_RESETHAND | SA_NODEFER;
        let new = Sigaction { sa_handler: handler, sa_flags, ..Sigaction::default() };
        change_action(number, || Ok(Some(new)), SA_IA32_ABI).map(|old| old.sa_handler)
    }
}
compat_define! {
    /// rt_sigprocmask(2)
    fn rt_sigprocmask(how: i32, new: UserPtr<u64>, old: UserPtr<u64>, mask_size: u64) {
        if mask_size != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = if new.is_null() { None } else { Some(new.read()?) };
        old.write_if(current().signals.change_mask(how, new, u64::MAX)?).map(|()| 0)
    }
}
compat_define! {
    /// sigprocmask(2) of the first 32 signals; the others stay.
    fn sigprocmask(how: i32, new: UserPtr<u32>, old: UserPtr<u32>) {
        let new = if new.is_null() { None } else { Some(new.read()?.into()) };
        old.write_if(current().signals.change_mask(how, new, u32::MAX.into())? as u32).map(|()| 0)
    }
}
compat_define! {
    /// rt_sigpending(2)
    fn rt_sigpending(set: UserPtr<u8>, mask_size: u64) { write_pending(set, mask_size) }
}
compat_define! {
    /// sigpending(2) of the first 32 signals.
    fn sigpending(set: UserPtr<u32>) {
        set.write(current().signals.pending() as u32).map(|()| 0)
    }
}

compat_define! {
    /// sigaltstack(2)
    fn sigaltstack(new: UserPtr<CompatSigaltstack>, old: UserPtr<CompatSigaltstack>) {
        let new = if new.is_null() { None } else { Some(new.read()?.into()) };
        old.write_if(change_stack(new)?.into()).map(|()| 0)
    }
}
