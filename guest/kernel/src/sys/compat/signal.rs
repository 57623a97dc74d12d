//! Signals: structures of 32-bit words, and the calls from before there were
//! more than 32 signals.

use super::time::{read_if, read_time32, read_time64};
use crate::process::sigreturn;
use crate::signal::action::SA_IA32_ABI;
use crate::signal::info::Info;
use crate::sys::define::{compat_define, ia32_define, with_registers};
use crate::sys::kill::{MadeUp, queue_to_process, queue_to_task, wait_for};
use crate::sys::signal::{
    change_action, change_mask, change_stack, pending, suspend, write_pending,
};
use crate::user::UserPtr;
use trapgate_abi::PtRegs;
use trapgate_uapi::Errno;
use trapgate_uapi::siginfo::CompatSiginfo;
use trapgate_uapi::signal::{
    CompatOldSigaction, CompatSigaction, CompatSigaltstack, SA_NODEFER, SA_RESETHAND, SIGSET_SIZE,
    Sigaction,
};
use trapgate_uapi::time::{OldTimespec32, Timespec};

/// The least alternate stack (Linux: `COMPAT_MINSIGSTKSZ`).
const COMPAT_MINSIGSTKSZ: u64 = 2048;

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
        old.write_if(change_mask(how, new, u64::MAX)?).map(|()| 0)
    }
}
compat_define! {
    /// sigprocmask(2) of the first 32 signals; the others stay.
    fn sigprocmask(how: i32, new: UserPtr<u32>, old: UserPtr<u32>) {
        let new = if new.is_null() { None } else { Some(new.read()?.into()) };
        old.write_if(change_mask(how, new, u32::MAX.into())? as u32).map(|()| 0)
    }
}
compat_define! {
    /// rt_sigpending(2)
    fn rt_sigpending(set: UserPtr<u8>, mask_size: u64) { write_pending(set, mask_size) }
}
compat_define! {
    /// sigpending(2) of the first 32 signals.
    fn sigpending(set: UserPtr<u32>) {
        set.write(pending() as u32).map(|()| 0)
    }
}

compat_define! {
    /// rt_sigsuspend(2)
    fn rt_sigsuspend(set: UserPtr<u64>, mask_size: u64) {
        if mask_size != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        suspend(set.read()?)
    }
}
ia32_define! {
    /// sigsuspend(2) with the first 32 signals: its first two arguments mean nothing.
    fn sigsuspend(_history0: i32, _history1: i32, mask: u32) { suspend(mask.into()) }
}

with_registers! {
    /// sigaltstack(2)
    fn __ia32_compat_sys_sigaltstack by ia32(
        regs; new: UserPtr<CompatSigaltstack>, old: UserPtr<CompatSigaltstack>,
    ) {
        let new = if new.is_null() { None } else { Some(new.read()?.into()) };
        let told = change_stack(new, u64::from(regs.rsp as u32), COMPAT_MINSIGSTKSZ)?;
        old.write_if(told.into()).map(|()| 0)
    }
}

/// sigreturn(2)
pub(crate) extern "C-unwind" fn __ia32_compat_sys_sigreturn(regs: &PtRegs) -> u64 {
    sigreturn::plain32(regs)
}
/// rt_sigreturn(2)
pub(crate) extern "C-unwind" fn __ia32_compat_sys_rt_sigreturn(regs: &PtRegs) -> u64 {
    sigreturn::rt32(regs)
}

/// A signal as i386 makes one up.
fn made_up(number: i32, info: UserPtr<CompatSiginfo>) -> Result<MadeUp, Errno> {
    Ok(MadeUp::new(number, Info::from_compat(number as u8, &info.read()?)))
}

compat_define! {
    /// rt_sigqueueinfo(2)
    fn rt_sigqueueinfo(pid: i32, number: i32, info: UserPtr<CompatSiginfo>) {
        queue_to_process(pid, &made_up(number, info)?)
    }
}
compat_define! {
    /// rt_tgsigqueueinfo(2)
    fn rt_tgsigqueueinfo(tgid: i32, tid: i32, number: i32, info: UserPtr<CompatSiginfo>) {
        queue_to_task(tgid, tid, &made_up(number, info)?)
    }
}
compat_define! {
    /// rt_sigtimedwait(2) with a 32-bit time.
    fn rt_sigtimedwait_time32(
        set: UserPtr<u64>,
        info: UserPtr<CompatSiginfo>,
        timeout: UserPtr<OldTimespec32>,
        mask_size: u64,
    ) {
        let found = wait_for(set, mask_size, || read_if(timeout, read_time32))?;
        info.write_if(found.compat()).map(|()| found.signal.into())
    }
}
compat_define! {
    /// rt_sigtimedwait(2) with a 64-bit time.
    fn rt_sigtimedwait_time64(
        set: UserPtr<u64>,
        info: UserPtr<CompatSiginfo>,
        timeout: UserPtr<Timespec>,
        mask_size: u64,
    ) {
        let found = wait_for(set, mask_size, || read_if(timeout, read_time64))?;
        info.write_if(found.compat()).map(|()| found.signal.into())
    }
}
