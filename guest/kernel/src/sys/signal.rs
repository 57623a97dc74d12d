//! What a program wants done with signals, which it blocks, and the way back from a
//! handler: sigaction(2), sigprocmask(2), sigpending(2), sigsuspend(2), sigaltstack(2),
//! sigreturn(2).

use crate::process::send;
use crate::process::sigreturn;
use crate::process::task::{RestartBlock, current};
use crate::sched::wait::wait;
use crate::signal::action::{DefaultAction, SA_IA32_ABI, default_action};
use crate::signal::number::{UNBLOCKABLE, bit, signal_number};
use crate::sys::define::{SysResult, syscall_define, with_registers};
use crate::user::UserPtr;
use trapgate_abi::PtRegs;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{
    MINSIGSTKSZ, SA_FLAGS, SIG_DFL, SIG_IGN, SIGSET_SIZE, Sigaction, Sigaltstack,
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
            send::forget(&current().process, bit(signal));
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
        old.write_if(change_mask(how, new, u64::MAX)?).map(|()| 0)
    }
}

/// sigprocmask(2) for either width: changes the blocked signals, if there are new ones, and
/// answers what they were. `reach`: the signals that the set can hold.
#[inline(always)]
pub(super) fn change_mask(how: i32, new: Option<u64>, reach: u64) -> Result<u64, Errno> {
    let task = current();
    let before = task.signals.blocked();
    if let Some(set) = new {
        send::set_blocked(task, task.signals.changed(how, set, reach)?);
    }
    Ok(before)
}

syscall_define! {
    /// rt_sigpending(2)
    fn rt_sigpending(set: UserPtr<u8>, mask_size: u64) { write_pending(set, mask_size) }
}

/// Those that wait because they are blocked.
pub(super) fn pending() -> u64 {
    let task = current();
    task.signals.sent(&task.process.signals) & task.signals.blocked()
}

/// rt_sigpending(2) for either width: a set may be cut short.
pub(super) fn write_pending(set: UserPtr<u8>, mask_size: u64) -> SysResult {
    if mask_size > SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    set.write_slice(&pending().to_le_bytes()[..mask_size as usize]).map(|()| 0)
}

syscall_define! {
    /// rt_sigsuspend(2)
    fn rt_sigsuspend(set: UserPtr<u64>, mask_size: u64) {
        if mask_size != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        suspend(set.read()?)
    }
}

/// sigsuspend(2) for either width: with these blocked, until a handler was called.
pub(super) fn suspend(mask: u64) -> SysResult {
    let task = current();
    let before = task.signals.blocked();
    send::set_blocked(task, mask);
    let result = until_a_signal();
    task.signals.block_after_acting(before);
    result
}

/// Waits until one is to act: the call is made again if no handler is called.
fn until_a_signal() -> SysResult {
    match wait(&[], None, || Ok(None)) {
        Err(Errno::ERESTARTSYS) => Err(Errno::ERESTARTNOHAND),
        waited => waited.map(|_: Option<()>| 0),
    }
}

syscall_define! {
    /// pause(2)
    fn pause() { until_a_signal() }
}

with_registers! {
    /// sigaltstack(2)
    fn __x64_sys_sigaltstack by x64(
        regs; new: UserPtr<Sigaltstack>, old: UserPtr<Sigaltstack>,
    ) {
        let new = if new.is_null() { None } else { Some(new.read()?) };
        old.write_if(change_stack(new, regs.rsp, MINSIGSTKSZ)?).map(|()| 0)
    }
}

/// sigaltstack(2) for either width, with this stack pointer: sets the stack, of `least`
/// bytes, if there is a new one, and answers what it was.
pub(super) fn change_stack(
    new: Option<Sigaltstack>,
    stack_pointer: u64,
    least: u64,
) -> Result<Sigaltstack, Errno> {
    let mut stack = current().alternate_stack.lock();
    let before = stack.told(stack_pointer);
    if let Some(new) = new {
        *stack = stack.changed(new, stack_pointer, least)?;
    }
    Ok(before)
}

/// rt_sigreturn(2)
pub(crate) extern "C-unwind" fn __x64_sys_rt_sigreturn(regs: &PtRegs) -> u64 {
    sigreturn::rt64(regs)
}

syscall_define! {
    /// restart_syscall(2): a call that was interrupted goes on.
    fn restart_syscall() {
        let block = current().restart.lock().take();
        let RestartBlock { again, arguments } = block.ok_or(Errno::EINTR)?;
        again(arguments)
    }
}
