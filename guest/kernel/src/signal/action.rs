//! What a process wants done with each signal, and what is done if it wants
//! nothing.

use super::number::{
    SIGCHLD, SIGCONT, SIGNALS, SIGSTOP, SIGTTOU, SIGURG, SIGWINCH, UNBLOCKABLE, bit,
};
use alloc::collections::BTreeMap;
use spin::Mutex;

/// The `SA_*` flags that there are (sigaction(2)).
pub const SA_KNOWN: u64 = 0xdc00_0807;

/// Set in a recorded action that came by an i386 call: the handler wants
/// i386's frame. Programs do not see it (Linux has the same bit).
pub const SA_IA32_ABI: u64 = 0x0200_0000;

/// The default action.
pub const SIG_DFL: u64 = 0;
/// Nothing happens.
pub const SIG_IGN: u64 = 1;

/// What happens if nobody handles the signal (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// Nothing.
    Ignore,
}

/// Of a signal. Stopping has no meaning without somebody who continues: it is ignored.
pub const fn default_action(signal: u8) -> DefaultAction {
    match signal {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH | SIGSTOP..=SIGTTOU => DefaultAction::Ignore,
        _ => DefaultAction::Terminate,
    }
}

/// What rt_sigaction(2) recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalAction {
    /// `SIG_DFL`, `SIG_IGN` or the handler's address.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// The address of the code that calls rt_sigreturn(2).
    pub restorer: u64,
    /// Signals to block meanwhile.
    pub mask: u64,
}

/// A process's actions: those that are not the default, by signal.
#[derive(Default)]
pub struct Actions(Mutex<BTreeMap<u8, SignalAction>>);

impl Actions {
    /// Those of a program that starts with these signals ignored, bit `n - 1` for
    /// signal `n`.
    pub fn inherited(ignored: u64) -> Self {
        let is_ignored = |signal: &u8| ignored & !UNBLOCKABLE & bit(*signal) != 0;
        let action = SignalAction { handler: SIG_IGN, ..SignalAction::default() };
        let actions = (1..=SIGNALS as u8).filter(is_ignored).map(|signal| (signal, action));
        Actions(Mutex::new(actions.collect()))
    }

    /// The action for a signal.
    pub fn get(&self, signal: u8) -> SignalAction {
        self.0.lock().get(&signal).copied().unwrap_or_default()
    }

    /// Records another.
    pub fn set(&self, signal: u8, action: SignalAction) {
        self.0.lock().insert(signal, action);
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
        for signal in [1, 2, 6, 9, 11, 13, 14, 15, 24, 31, 34, 64] {
            assert_eq!(default_action(signal), DefaultAction::Terminate, "{signal}");
        }
    }
}
