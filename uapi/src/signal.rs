//! signal.h: signals, actions, masks, alternate stacks.
//!
//! A set of 64 signals lies in memory as on x86-64 in both widths: bit `n - 1`
//! for signal `n`, in i386's structures as two words, the lower one first.

use crate::macros::{constants, structure};

constants! { "signal(7)", general as u8:
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV
    SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN
    SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS
}
/// Signals have the numbers 1 to this.
pub const NSIG: i32 = 64;
/// Bytes of a set of signals: the only size that calls accept.
pub const SIGSET_SIZE: u64 = 8;

/// The handler that is none: what signal(7) says happens.
pub const SIG_DFL: u64 = 0;
/// The handler that is none: nothing happens.
pub const SIG_IGN: u64 = 1;

constants! { "sigaction(2)", general as u64:
    SA_NOCLDSTOP SA_NOCLDWAIT SA_SIGINFO SA_EXPOSE_TAGBITS SA_RESTORER SA_ONSTACK
    SA_RESTART SA_NODEFER SA_RESETHAND
}
/// The `SA_*` flags that there are: Linux's `UAPI_SA_FLAGS`.
pub const SA_FLAGS: u64 = SA_NOCLDSTOP
    | SA_NOCLDWAIT
    | SA_SIGINFO
    | SA_EXPOSE_TAGBITS
    | SA_RESTORER
    | SA_ONSTACK
    | SA_RESTART
    | SA_NODEFER
    | SA_RESETHAND;

constants! { "sigprocmask(2)", general as i32: SIG_BLOCK SIG_UNBLOCK SIG_SETMASK }
constants! { "sigaltstack(2)", general as u32: SS_ONSTACK SS_DISABLE SS_AUTODISARM }
constants! { "sigaltstack(2)", general as u64: MINSIGSTKSZ }

structure! {
    /// `struct sigaction` of rt_sigaction(2), as x86-64's kernel has it.
    #[derive(Default)]
    pub struct Sigaction: 32 = "x86_64" general::sigaction {
        pub sa_handler: u64,
        pub sa_flags: u64,
        pub sa_restorer: u64,
        pub sa_mask: u64,
    }
}

structure! {
    /// The same of i386.
    #[derive(Default)]
    pub struct CompatSigaction: 20 {
        pub sa_handler: u32,
        pub sa_flags: u32,
        pub sa_restorer: u32,
        pub sa_mask: [u32; 2],
    }
}
// Its first field has another name there.
#[cfg(target_arch = "x86")]
crate::macros::same_layout!(CompatSigaction = general::kernel_sigaction {
    sa_flags sa_restorer sa_mask
});

structure! {
    /// `struct old_sigaction` of i386's sigaction(2): 32 signals.
    #[derive(Default)]
    pub struct CompatOldSigaction: 16 {
        pub sa_handler: u32,
        pub sa_mask: u32,
        pub sa_flags: u32,
        pub sa_restorer: u32,
    }
}
// In i386's header this is the form called `sigaction`.
#[cfg(target_arch = "x86")]
crate::macros::same_layout!(CompatOldSigaction = general::sigaction {
    sa_mask sa_flags sa_restorer
});

impl From<CompatSigaction> for Sigaction {
    fn from(action: CompatSigaction) -> Self {
        let [low, high] = action.sa_mask.map(u64::from);
        Sigaction {
            sa_handler: action.sa_handler.into(),
            sa_flags: action.sa_flags.into(),
            sa_restorer: action.sa_restorer.into(),
            sa_mask: high << 32 | low,
        }
    }
}

impl From<Sigaction> for CompatSigaction {
    fn from(action: Sigaction) -> Self {
        CompatSigaction {
            sa_handler: action.sa_handler as u32,
            sa_flags: action.sa_flags as u32,
            sa_restorer: action.sa_restorer as u32,
            sa_mask: [action.sa_mask as u32, (action.sa_mask >> 32) as u32],
        }
    }
}

impl From<CompatOldSigaction> for Sigaction {
    fn from(action: CompatOldSigaction) -> Self {
        Sigaction {
            sa_handler: action.sa_handler.into(),
            sa_flags: action.sa_flags.into(),
            sa_restorer: action.sa_restorer.into(),
            sa_mask: action.sa_mask.into(),
        }
    }
}

impl From<Sigaction> for CompatOldSigaction {
    fn from(action: Sigaction) -> Self {
        CompatOldSigaction {
            sa_handler: action.sa_handler as u32,
            sa_mask: action.sa_mask as u32,
            sa_flags: action.sa_flags as u32,
            sa_restorer: action.sa_restorer as u32,
        }
    }
}

structure! {
    /// `stack_t` of sigaltstack(2), x86-64's.
    #[derive(Default)]
    pub struct Sigaltstack: 24 {
        pub ss_sp: u64,
        pub ss_flags: u32,
        pub __pad: u32,
        pub ss_size: u64,
    }
}
#[cfg(target_arch = "x86_64")]
crate::macros::same_layout!(Sigaltstack = general::sigaltstack { ss_sp ss_flags ss_size });

structure! {
    /// `stack_t` of i386.
    #[derive(Default)]
    pub struct CompatSigaltstack: 12 = "x86" general::sigaltstack {
        pub ss_sp: u32,
        pub ss_flags: u32,
        pub ss_size: u32,
    }
}

impl From<CompatSigaltstack> for Sigaltstack {
    fn from(stack: CompatSigaltstack) -> Self {
        Sigaltstack {
            ss_sp: stack.ss_sp.into(),
            ss_flags: stack.ss_flags,
            __pad: 0,
            ss_size: stack.ss_size.into(),
        }
    }
}

impl From<Sigaltstack> for CompatSigaltstack {
    fn from(stack: Sigaltstack) -> Self {
        CompatSigaltstack {
            ss_sp: stack.ss_sp as u32,
            ss_flags: stack.ss_flags,
            ss_size: stack.ss_size as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_convert_both_ways() {
        let action = Sigaction {
            sa_handler: 0x8049_1234,
            sa_flags: SA_RESETHAND | SA_NODEFER | SA_RESTORER | SA_SIGINFO,
            sa_restorer: 0xf7fc_1000,
            sa_mask: 0x8000_0001_0000_0002,
        };
        let compat = CompatSigaction::from(action);
        assert_eq!(compat.sa_mask, [2, 0x8000_0001]);
        assert_eq!(Sigaction::from(compat), action);
        // The old form has but 32 signals.
        let old = Sigaction::from(CompatOldSigaction::from(action));
        assert_eq!(old, Sigaction { sa_mask: 2, ..action });
    }

    #[test]
    fn signal_stacks_convert_both_ways() {
        let stack =
            CompatSigaltstack { ss_sp: 0xffff_0000, ss_flags: SS_AUTODISARM, ss_size: 0x4000 };
        let wide = Sigaltstack::from(stack);
        assert_eq!((wide.ss_sp, wide.ss_size), (0xffff_0000, 0x4000));
        assert_eq!(CompatSigaltstack::from(wide), stack);
    }
}
