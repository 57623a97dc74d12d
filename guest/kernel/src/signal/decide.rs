//! What a signal comes to: pure.

use super::action::{DefaultAction, SIG_DFL, SIG_IGN, SignalAction, default_action};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Ignore,
    /// The process ends.
    Terminate,
    /// The handler at this address is called.
    Handle(u64),
}

/// For a signal with this action.
pub fn decide(signal: u8, action: &SignalAction) -> Decision {
    match action.handler {
        SIG_IGN => Decision::Ignore,
        SIG_DFL if default_action(signal) == DefaultAction::Ignore => Decision::Ignore,
        SIG_DFL => Decision::Terminate,
        handler => Decision::Handle(handler),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::number::{SIGCHLD, SIGSEGV};

    #[test]
    fn an_action_decides_and_the_default_where_there_is_none() {
        let with = |handler| SignalAction { handler, ..SignalAction::default() };
        assert_eq!(decide(SIGSEGV, &with(SIG_DFL)), Decision::Terminate);
        assert_eq!(decide(SIGCHLD, &with(SIG_DFL)), Decision::Ignore);
        assert_eq!(decide(SIGSEGV, &with(SIG_IGN)), Decision::Ignore);
        assert_eq!(decide(SIGCHLD, &with(0x40_1000)), Decision::Handle(0x40_1000));
    }
}
