//! What a signal comes to: pure.

use super::action::{DefaultAction, default_action};
use trapgate_uapi::signal::{SIG_DFL, SIG_IGN, Sigaction};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Ignore,
    /// The process ends.
    Terminate,
    /// The process stops.
    Stop,
    /// The handler is called.
    Handle,
}

/// For a signal with this action.
pub fn decide(signal: u8, action: &Sigaction) -> Decision {
    match action.sa_handler {
        SIG_IGN => Decision::Ignore,
        SIG_DFL => match default_action(signal) {
            DefaultAction::Ignore => Decision::Ignore,
            DefaultAction::Terminate => Decision::Terminate,
            DefaultAction::Stop => Decision::Stop,
        },
        _ => Decision::Handle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_uapi::signal::{SIGCHLD, SIGSEGV, SIGTSTP};

    #[test]
    fn an_action_decides_and_the_default_where_there_is_none() {
        let with = |sa_handler| Sigaction { sa_handler, ..Sigaction::default() };
        assert_eq!(decide(SIGSEGV, &with(SIG_DFL)), Decision::Terminate);
        assert_eq!(decide(SIGCHLD, &with(SIG_DFL)), Decision::Ignore);
        assert_eq!(decide(SIGTSTP, &with(SIG_DFL)), Decision::Stop);
        assert_eq!(decide(SIGSEGV, &with(SIG_IGN)), Decision::Ignore);
        assert_eq!(decide(SIGCHLD, &with(0x40_1000)), Decision::Handle);
    }
}
