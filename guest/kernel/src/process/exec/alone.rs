//! execve(2) of a process with several tasks: the others end first, and who stays has the
//! process's number (Linux: `de_thread`).

use crate::process::exit;
use crate::process::task::{Task, next_of};
use crate::sched::switch;
use crate::sched::wait::wait;
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;

/// The running task is the only one of its process from now on.
///
/// # Errors
/// EAGAIN, if another does the same: then this one ends.
pub(super) fn stay(task: &Task) -> Result<(), Errno> {
    let process = &task.process;
    let alone = || process.tasks.load(Ordering::Relaxed) == 1;
    if !alone() {
        let survivor = &process.survivor;
        let claim = survivor.compare_exchange(0, task.tid(), Ordering::Relaxed, Ordering::Relaxed);
        claim.map_err(|_| Errno::EAGAIN)?;
        let mut from = 0;
        while let Some(other) = next_of(process.pid, from) {
            from = other.tid() + 1;
            if other.tid() != task.tid() && !other.has_ended() {
                other.kill();
            }
        }
        let ended = loop {
            match wait(&[&process.left], None, || Ok(alone().then_some(()))) {
                // A signal waits until the program has begun, or this task is to end, too.
                Err(Errno::ERESTARTSYS) if !task.signals.is_killed() => switch::yield_now(),
                ended => break ended,
            }
        };
        survivor.store(0, Ordering::Relaxed);
        ended?;
    }
    exit::let_go(task);
    if !task.is_first() {
        task.become_first();
    }
    Ok(())
}
