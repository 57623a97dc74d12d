//! Sending signals, and waiting for them: kill(2), tgkill(2), rt_sigqueueinfo(2),
//! sigtimedwait(2). The one process there is is the only one that is found.

use crate::process::send;
use crate::process::task::{Task, current, find};
use crate::sched::wait::wait;
use crate::signal::info::Info;
use crate::signal::number::{UNBLOCKABLE, signal_number};
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::siginfo::{SI_TKILL, SI_USER, Siginfo};
use trapgate_uapi::signal::SIGSET_SIZE;
use trapgate_uapi::time::Timespec;

/// The signal that a caller means; `None` for 0, which only asks.
fn signal_or_none(number: i32) -> Result<Option<u8>, Errno> {
    if number == 0 { Ok(None) } else { signal_number(number).map(Some) }
}

/// What a signal of the running task's tells.
fn by_this(signal: u8, code: i32) -> Info {
    let task = current();
    Info::of_process(signal, code, task.pid, task.credentials.get().users.real)
}

syscall_define! {
    /// kill(2)
    fn kill(pid: i32, number: i32) {
        let signal = signal_or_none(number);
        let task = current();
        // Linux does not send to oneself by -1.
        if pid != 0 && (pid == -1 || pid.unsigned_abs() != task.pid) {
            return Err(Errno::ESRCH);
        }
        if let Some(signal) = signal? {
            send::to_process(&task.process, by_this(signal, SI_USER))?;
        }
        Ok(0)
    }
}
syscall_define! {
    /// tkill(2)
    fn tkill(tid: i32, number: i32) {
        if tid <= 0 {
            return Err(Errno::EINVAL);
        }
        send_to_task(None, tid, number, |signal| by_this(signal, SI_TKILL))
    }
}
syscall_define! {
    /// tgkill(2)
    fn tgkill(tgid: i32, tid: i32, number: i32) {
        if tgid <= 0 || tid <= 0 {
            return Err(Errno::EINVAL);
        }
        send_to_task(Some(tgid), tid, number, |signal| by_this(signal, SI_TKILL))
    }
}

fn send_to_task(
    pid: Option<i32>,
    tid: i32,
    number: i32,
    info: impl FnOnce(u8) -> Info,
) -> SysResult {
    let belongs = |task: &Arc<Task>| pid.is_none_or(|pid| pid as u32 == task.pid);
    let task = find(tid as u32).filter(belongs).ok_or(Errno::ESRCH)?;
    if let Some(signal) = signal_or_none(number)? {
        send::to_task(&task, info(signal))?;
    }
    Ok(0)
}

/// A signal that a caller makes up; 0 only asks.
pub(super) struct MadeUp {
    number: i32,
    info: Info,
}

impl MadeUp {
    /// As x86-64 has it.
    ///
    /// # Errors
    /// E2BIG for what no signal of this kind has.
    fn native(number: i32, info: &Siginfo) -> Result<MadeUp, Errno> {
        let info = Info::from_user(number as u8, info).ok_or(Errno::E2BIG)?;
        Ok(MadeUp { number, info })
    }

    /// In this form.
    pub(super) const fn new(number: i32, info: Info) -> MadeUp {
        MadeUp { number, info }
    }

    /// That it comes from the kernel or by kill(2) or tkill(2), only who sends to itself
    /// can say.
    fn check(&self, to: i32, itself: u32) -> Result<(), Errno> {
        let claims = self.info.code >= 0 || self.info.code == SI_TKILL;
        if claims && to as u32 != itself { Err(Errno::EPERM) } else { Ok(()) }
    }
}

/// rt_sigqueueinfo(2) for either width.
pub(super) fn queue_to_process(pid: i32, made_up: &MadeUp) -> SysResult {
    let task = current();
    made_up.check(pid, task.pid)?;
    let signal = signal_or_none(made_up.number)?;
    if pid as u32 != task.pid {
        return Err(Errno::ESRCH);
    }
    if signal.is_some() {
        send::to_process(&task.process, made_up.info)?;
    }
    Ok(0)
}

/// rt_tgsigqueueinfo(2) for either width.
pub(super) fn queue_to_task(tgid: i32, tid: i32, made_up: &MadeUp) -> SysResult {
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    made_up.check(tid, current().tid())?;
    send_to_task(Some(tgid), tid, made_up.number, |_| made_up.info)
}

syscall_define! {
    /// rt_sigqueueinfo(2)
    fn rt_sigqueueinfo(pid: i32, number: i32, info: UserPtr<Siginfo>) {
        queue_to_process(pid, &MadeUp::native(number, &info.read()?)?)
    }
}
syscall_define! {
    /// rt_tgsigqueueinfo(2)
    fn rt_tgsigqueueinfo(tgid: i32, tid: i32, number: i32, info: UserPtr<Siginfo>) {
        queue_to_task(tgid, tid, &MadeUp::native(number, &info.read()?)?)
    }
}

syscall_define! {
    /// rt_sigtimedwait(2)
    fn rt_sigtimedwait(
        set: UserPtr<u64>,
        info: UserPtr<Siginfo>,
        timeout: UserPtr<Timespec>,
        mask_size: u64,
    ) {
        let time = || if timeout.is_null() { Ok(None) } else { timeout.read().map(Some) };
        let found = wait_for(set, mask_size, time)?;
        info.write_if(found.native()).map(|()| found.signal.into())
    }
}

/// rt_sigtimedwait(2) for either width: takes a signal of a set, for which it waits at most
/// so long.
pub(super) fn wait_for(
    set: UserPtr<u64>,
    mask_size: u64,
    timeout: impl FnOnce() -> Result<Option<Timespec>, Errno>,
) -> Result<Info, Errno> {
    if mask_size != SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    let set = set.read()? & !UNBLOCKABLE;
    let timeout = timeout()?.map(Timespec::to_ns).transpose()?;
    let task = current();
    let signals = &task.signals;
    if let Some(info) = send::take(task, set) {
        return Ok(info);
    }
    let deadline = match timeout {
        Some(0) => return Err(Errno::EAGAIN),
        Some(timeout) => Some(task.process.clock.elapsed().saturating_add(timeout)),
        None => None,
    };
    // They are let through, so that one that comes wakes this thread.
    let blocked = signals.wait_for(set);
    let waited = wait(&[], deadline, || Ok(send::take(task, set)));
    signals.waited();
    send::set_blocked(task, blocked);
    match waited {
        // One that came with the timeout counts.
        Ok(found) => found.or_else(|| send::take(task, set)).ok_or(Errno::EAGAIN),
        Err(Errno::ERESTARTSYS) => Err(Errno::EINTR),
        Err(error) => Err(error),
    }
}
