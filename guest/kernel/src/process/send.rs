//! Sending a signal, to a task or to a process (Linux: kernel/signal.c, `send_signal`).

use crate::process::task::{Process, Task, find, next_of};
use crate::process::timers::{self, Owner};
use crate::sched::queue;
use crate::sched::thread::work;
use crate::signal::decide::{Decision, decide};
use crate::signal::info::Info;
use crate::signal::number::{CONTINUES, STOPS, UNBLOCKABLE, bit};
use trapgate_uapi::Errno;
use trapgate_uapi::resource::{RLIM_INFINITY, RLIMIT_SIGPENDING};
use trapgate_uapi::siginfo::SI_USER;
use trapgate_uapi::signal::SIGKILL;

impl Task {
    /// It is sent a signal by its own doing: as by itself.
    pub fn send(&self, signal: u8) {
        let uid = self.credentials.get().users.real;
        // A standard signal is never too much.
        let _ = to_task(self, Info::of_process(signal, SI_USER, self.pid, uid));
    }

    /// Whether it takes this signal, if it is sent to the process.
    fn wants(&self, signal: u8) -> bool {
        !self.has_ended() && (signal == SIGKILL || !self.signals.blocks(signal))
    }

    /// It looks at its signals before it goes on in ring 3, wherever it waits now.
    fn look_at_signals(&self) {
        self.thread.raise(work::SIGNAL);
        queue::wake(&self.thread);
    }

    /// It ends before it goes back to ring 3, wherever it waits now.
    pub(super) fn kill(&self) {
        self.signals.kill();
        self.look_at_signals();
    }
}

/// A timer's signal.
impl Owner for Process {
    fn send(&self, info: Info, task: Option<u32>) -> bool {
        let sent = match task {
            None => to_process(self, info),
            Some(tid) => find(tid).map_or(Ok(false), |task| to_task(&task, info)),
        };
        sent == Ok(true)
    }
}

/// Sends a signal to one task. Whether it is there now to be taken, and not ignored.
///
/// # Errors
/// EAGAIN, if too many are queued.
pub fn to_task(task: &Task, info: Info) -> Result<bool, Errno> {
    let process = &*task.process;
    if task.has_ended() || !prepare(process, task, info.signal) {
        return Ok(false);
    }
    task.signals.pending.add(info, &process.signals.queued, limit(process))?;
    if task.wants(info.signal) {
        task.look_at_signals();
    }
    Ok(true)
}

/// Sends a signal to a process: any of its tasks may take it, its first before others.
/// Whether it is there now to be taken, and not ignored.
///
/// # Errors
/// As [`to_task`].
pub fn to_process(process: &Process, info: Info) -> Result<bool, Errno> {
    let Some(first) = find(process.pid) else { return Ok(false) };
    if !prepare(process, &first, info.signal) {
        return Ok(false);
    }
    process.signals.pending.add(info, &process.signals.queued, limit(process))?;
    tell_one(process, info.signal);
    Ok(true)
}

/// The task takes the next signal of a set that was sent to it or to its process.
pub fn take(task: &Task, set: u64) -> Option<Info> {
    let info = task.signals.take_of(set, &task.process.signals)?;
    Some(timers::taken(&task.process.timers, info))
}

/// Whether a signal is to be queued: not if it is ignored. Those that stop a process and
/// what has it go on take each other back (Linux: `prepare_signal`).
fn prepare(process: &Process, task: &Task, signal: u8) -> bool {
    let takes_back = match bit(signal) {
        one if one & STOPS != 0 => CONTINUES,
        CONTINUES => STOPS,
        _ => 0,
    };
    if takes_back != 0 {
        forget(process, takes_back);
    }
    let action = process.actions.get(signal);
    task.signals.keeps_ignored(signal) || decide(signal, &action) != Decision::Ignore
}

/// Takes back what a process and its tasks were sent of these.
pub fn forget(process: &Process, signals: u64) {
    let queued = &process.signals.queued;
    process.signals.pending.forget(signals, queued);
    let mut from = 0;
    while let Some(task) = next_of(process.pid, from) {
        from = task.tid() + 1;
        task.signals.pending.forget(signals, queued);
    }
}

/// Tells a task that takes this signal.
fn tell_one(process: &Process, signal: u8) {
    let mut from = 0;
    while let Some(task) = next_of(process.pid, from) {
        from = task.tid() + 1;
        if task.wants(signal) {
            return task.look_at_signals();
        }
    }
}

/// How many signals may be queued.
fn limit(process: &Process) -> u64 {
    process.limits.get(RLIMIT_SIGPENDING).map_or(RLIM_INFINITY, |limit| limit.rlim_cur)
}

/// The running task blocks these signals, and no others. Of those that were sent already,
/// what it has blocked now may be another's to take.
#[inline]
pub fn set_blocked(task: &Task, set: u64) {
    let set = set & !UNBLOCKABLE;
    let before = task.signals.set_blocked(set);
    if task.signals.sent(&task.process.signals) != 0 {
        look_again(task, set & !before);
    }
}

#[cold]
fn look_again(task: &Task, newly_blocked: u64) {
    let shared = &task.process.signals;
    if task.signals.is_ready(shared) {
        task.thread.raise(work::SIGNAL);
    }
    let mut left = shared.pending.set() & newly_blocked;
    while left != 0 {
        tell_one(&task.process, left.trailing_zeros() as u8 + 1);
        left &= left - 1;
    }
}
