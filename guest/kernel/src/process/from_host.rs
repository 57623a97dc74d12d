//! Signals from outside: somebody on the host sent them, to the process.

use crate::process::task::{current, send_to_process};
use crate::signal::decide::{Decision, decide};
use crate::signal::number::signal_number;

/// One came. What is ignored is forgotten, and disturbs nobody.
pub fn signal(number: u8) {
    // It may have ended, and be idle.
    let task = current();
    let Ok(signal) = signal_number(number.into()) else { return };
    let is_blocked = task.signals.blocks(signal);
    let decision = decide(signal, &task.process.actions.get(signal));
    if decision == Decision::Ignore && !is_blocked {
        return;
    }
    send_to_process(&task.process, Some(task), signal);
}
