//! What a process wants done with each signal, and what is done if it wants
//! nothing.

use super::number::UNBLOCKABLE;
use crate::memory::try_insert;
use alloc::collections::BTreeMap;
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{
    SIG_IGN, SIGCHLD, SIGCONT, SIGSTOP, SIGTTOU, SIGURG, SIGWINCH, Sigaction,
};

/// Set in a recorded action that came by an i386 call: the handler wants
/// i386's frame. Programs do not see it (Linux has the same bit).
pub const SA_IA32_ABI: u64 = 0x0200_0000;

/// What happens if nobody handles the signal (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// Nothing.
    Ignore,
    /// The process stops.
    Stop,
}

/// Of a signal.
pub const fn default_action(signal: u8) -> DefaultAction {
    match signal {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH => DefaultAction::Ignore,
        SIGSTOP..=SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::Terminate,
    }
}

/// A process's actions: those that are not the default, by signal.
#[derive(Default)]
pub struct Actions(Mutex<BTreeMap<u8, Sigaction>>);

impl Actions {
    /// Those of a program that starts with these signals ignored, bit `n - 1` for
    /// signal `n`.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn inherited(ignored: u64) -> Result<Self, Errno> {
        let actions = Actions::default();
        let action = Sigaction { sa_handler: SIG_IGN, ..Sigaction::default() };
        // Few are, so those that are not cost a start nothing.
        let mut left = ignored & !UNBLOCKABLE;
        while left != 0 {
            actions.set(left.trailing_zeros() as u8 + 1, action)?;
            left &= left - 1;
        }
        Ok(actions)
    }

    /// The action for a signal.
    pub fn get(&self, signal: u8) -> Sigaction {
        self.0.lock().get(&signal).copied().unwrap_or_default()
    }

    /// For a new program, whose handlers are gone: what is not ignored has its default
    /// (Linux: `flush_signal_handlers`).
    pub fn reset_handlers(&self) {
        let mut actions = self.0.lock();
        actions.retain(|_, action| action.sa_handler == SIG_IGN);
        for action in actions.values_mut() {
            *action = Sigaction { sa_handler: SIG_IGN, ..Sigaction::default() };
        }
    }

    /// What is done by default is done with it from now on.
    pub fn reset(&self, signal: u8) {
        self.0.lock().remove(&signal);
    }

    /// Records another.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn set(&self, signal: u8, action: Sigaction) -> Result<(), Errno> {
        try_insert(&mut self.0.lock(), signal, action).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_actions_are_those_of_signal_7() {
        for signal in [17, 18, 23, 28] {
            assert_eq!(default_action(signal), DefaultAction::Ignore, "{signal}");
        }
        for signal in [19, 20, 21, 22] {
            assert_eq!(default_action(signal), DefaultAction::Stop, "{signal}");
        }
        for signal in [1, 2, 6, 9, 11, 13, 14, 15, 24, 31, 34, 64] {
            assert_eq!(default_action(signal), DefaultAction::Terminate, "{signal}");
        }
    }

    #[test]
    fn of_ignored_signals_those_stay_ignored_that_can_be() {
        // SIGKILL and SIGSTOP are 9 and 19.
        let ignored = [1, 9, 13, 19, 64].iter().fold(0, |bits, signal| bits | 1 << (signal - 1));
        let actions = Actions::inherited(ignored).unwrap();
        let found = (1..=64).filter(|&signal| actions.get(signal).sa_handler == SIG_IGN);
        assert_eq!(found.collect::<Vec<_>>(), [1, 13, 64]);
    }
}
