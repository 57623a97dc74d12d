//! Signals: sigaction(2), sigprocmask(2), sigpending(2), sigaltstack(2), kill(2).
//! Actions and masks are recorded; handlers cannot be called yet.

use crate::process::task::{current, find, send_to_process};
use crate::signal::action::{DefaultAction, SA_IA32_ABI, default_action};
use crate::signal::number::{UNBLOCKABLE, bit, signal_number};
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{
    MINSIGSTKSZ, SA_FLAGS, SIG_DFL, SIG_IGN, SIGSET_SIZE, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK,
    Sigaction, Sigaltstack,
};

syscall_define! {
    /// rt_sigaction(2)
    fn rt_sigaction(
        number: i32,
        new: UserPtr<Sigaction>,
        old: UserPtr<Sigaction>,
        mask_size: u64,
    ) {
        if mask_size != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = || if new.is_null() { Ok(None) } else { new.read().map(Some) };
        old.write_if(change_action(number, new, 0)?).map(|()| 0)
    }
}

/// sigaction(2) for either width. `new` reads the new action, if there is one;
/// `width` is 0 or [`SA_IA32_ABI`]. Answers the old one.
pub(super) fn change_action(
    number: i32,
    new: impl FnOnce() -> Result<Option<Sigaction>, Errno>,
    width: u64,
) -> Result<Sigaction, Errno> {
    let signal = signal_number(number)?;
    let new = new()?;
    if new.is_some() && UNBLOCKABLE & bit(signal) != 0 {
        return Err(Errno::EINVAL);
    }
    let before = current().process.actions.get(signal);
    if let Some(new) = new {
        let handler = new.sa_handler;
        // Unknown flags are cleared, which is how programs ask for them.
        let flags = new.sa_flags & SA_FLAGS | width;
        let action = Sigaction { sa_flags: flags, sa_mask: new.sa_mask & !UNBLOCKABLE, ..new };
        current().process.actions.set(signal, action)?;
        let ignored = default_action(signal) == DefaultAction::Ignore;
        if handler == SIG_IGN || handler == SIG_DFL && ignored {
            current().signals.forget(signal);
        }
    }
    Ok(Sigaction { sa_flags: before.sa_flags & !SA_IA32_ABI, ..before })
}

syscall_define! {
    /// rt_sigprocmask(2)
    fn rt_sigprocmask(how: i32, new: UserPtr<u64>, old: UserPtr<u64>, mask_size: u64) {
        if mask_size != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = if new.is_null() { None } else { Some(new.read()?) };
        old.write_if(current().signals.change_mask(how, new, u64::MAX)?).map(|()| 0)
    }
}

syscall_define! {
    /// rt_sigpending(2)
    fn rt_sigpending(set: UserPtr<u8>, mask_size: u64) { write_pending(set, mask_size) }
}

/// rt_sigpending(2) for either width: a set may be cut short.
pub(super) fn write_pending(set: UserPtr<u8>, mask_size: u64) -> SysResult {
    if mask_size > SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    let pending = current().signals.pending().to_le_bytes();
    set.write_slice(&pending[..mask_size as usize]).map(|()| 0)
}

syscall_define! {
    /// sigaltstack(2)
    fn sigaltstack(new: UserPtr<Sigaltstack>, old: UserPtr<Sigaltstack>) {
        let new = if new.is_null() { None } else { Some(new.read()?) };
        old.write_if(change_stack(new)?).map(|()| 0)
    }
}

/// sigaltstack(2) for either width: sets the stack, if there is a new one, and
/// answers what it was.
pub(super) fn change_stack(new: Option<Sigaltstack>) -> Result<Sigaltstack, Errno> {
    let mut stack = current().alternate_stack.lock();
    let before = match *stack {
        Sigaltstack { ss_size: 0, .. } => {
            Sigaltstack { ss_flags: SS_DISABLE, ..Sigaltstack::default() }
        }
        stack => stack,
    };
    if let Some(new) = new {
        *stack = match new.ss_flags & !SS_AUTODISARM {
            SS_DISABLE => Sigaltstack::default(),
            0 | SS_ONSTACK if new.ss_size < MINSIGSTKSZ => return Err(Errno::ENOMEM),
            0 | SS_ONSTACK => {
                Sigaltstack { ss_flags: new.ss_flags & SS_AUTODISARM, __pad: 0, ..new }
            }
            _ => return Err(Errno::EINVAL),
        };
    }
    Ok(before)
}

/// The signal that a caller means; `None` for 0, which only asks.
fn signal_or_none(number: i32) -> Result<Option<u8>, Errno> {
    if number == 0 { Ok(None) } else { signal_number(number).map(Some) }
}

syscall_define! {
    /// kill(2): to the one process there is.
    fn kill(pid: i32, number: i32) {
        let signal = signal_or_none(number)?;
        let task = current();
        // Linux does not send to oneself by -1.
        if pid != 0 && (pid == -1 || pid.unsigned_abs() != task.pid) {
            return Err(Errno::ESRCH);
        }
        if let Some(signal) = signal {
            send_to_process(&task.process, Some(task), signal);
        }
        Ok(0)
    }
}
syscall_define! {
    /// tkill(2)
    fn tkill(tid: i32, number: i32) { send_to_task(None, tid, number) }
}
syscall_define! {
    /// tgkill(2)
    fn tgkill(tgid: i32, tid: i32, number: i32) {
        if tgid <= 0 {
            return Err(Errno::EINVAL);
        }
        send_to_task(Some(tgid as u32), tid, number)
    }
}

fn send_to_task(pid: Option<u32>, tid: i32, number: i32) -> SysResult {
    if tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let task = find(tid as u32).ok_or(Errno::ESRCH)?;
    if pid.is_some_and(|pid| pid != task.pid) {
        return Err(Errno::ESRCH);
    }
    if let Some(signal) = signal_or_none(number)?
        && !task.has_ended()
    {
        task.send(signal);
    }
    Ok(0)
}
