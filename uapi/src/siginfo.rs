//! asm-generic/siginfo.h: what a signal tells of itself.

use crate::macros::{constants, structure};

constants! { "sigaction(2), si_code of any signal", general as i32:
    SI_USER SI_KERNEL SI_QUEUE SI_TIMER SI_MESGQ SI_ASYNCIO SI_SIGIO SI_TKILL SI_DETHREAD SI_ASYNCNL
}
constants! { "sigaction(2), si_code of SIGILL", general as i32: ILL_ILLOPN }
constants! { "sigaction(2), si_code of SIGFPE", general as i32:
    FPE_INTDIV FPE_FLTDIV FPE_FLTOVF FPE_FLTUND FPE_FLTRES FPE_FLTINV
}
constants! { "sigaction(2), si_code of SIGSEGV", general as i32:
    SEGV_MAPERR SEGV_ACCERR SEGV_BNDERR SEGV_PKUERR
}
constants! { "sigaction(2), si_code of SIGBUS", general as i32:
    BUS_ADRALN BUS_ADRERR BUS_MCEERR_AR BUS_MCEERR_AO
}
constants! { "sigaction(2), si_code of SIGTRAP", general as i32: TRAP_BRKPT TRAP_TRACE TRAP_HWBKPT }
constants! { "sigevent(7)", general as i32: SIGEV_SIGNAL SIGEV_NONE SIGEV_THREAD SIGEV_THREAD_ID }

/// The most that `si_code` can be for signals of these kinds, whose codes have another
/// form above it (Linux: `NSIGILL` and its kin).
pub mod last_code {
    /// SIGILL.
    pub const ILL: i32 = 11;
    /// SIGFPE.
    pub const FPE: i32 = 15;
    /// SIGSEGV.
    pub const SEGV: i32 = 10;
    /// SIGBUS.
    pub const BUS: i32 = 5;
    /// SIGTRAP.
    pub const TRAP: i32 = 6;
    /// SIGCHLD.
    pub const CHLD: i32 = 6;
    /// SIGIO.
    pub const POLL: i32 = 6;
    /// SIGSYS.
    pub const SYS: i32 = 2;
}

structure! {
    /// `siginfo_t` of x86-64. What the fields mean depends on signal and code.
    pub struct Siginfo: 128 {
        pub si_signo: i32,
        pub si_errno: i32,
        pub si_code: i32,
        pub __pad: i32,
        pub fields: [u64; 14],
    }
}

structure! {
    /// `siginfo_t` of i386, whose fields begin one word earlier.
    pub struct CompatSiginfo: 128 {
        pub si_signo: i32,
        pub si_errno: i32,
        pub si_code: i32,
        pub fields: [u32; 29],
    }
}

structure! {
    /// `struct sigevent` of x86-64, sigevent(7).
    pub struct Sigevent: 64 {
        pub sigev_value: u64,
        pub sigev_signo: i32,
        pub sigev_notify: i32,
        pub sigev_notify_thread_id: i32,
        pub __pad: [i32; 11],
    }
}
#[cfg(target_arch = "x86_64")]
crate::macros::same_layout!(Sigevent = general::sigevent { sigev_value sigev_signo sigev_notify });

structure! {
    /// The same of i386.
    pub struct CompatSigevent: 64 {
        pub sigev_value: u32,
        pub sigev_signo: i32,
        pub sigev_notify: i32,
        pub sigev_notify_thread_id: i32,
        pub __pad: [i32; 12],
    }
}
#[cfg(target_arch = "x86")]
crate::macros::same_layout!(CompatSigevent = general::sigevent {
    sigev_value sigev_signo sigev_notify
});

impl From<CompatSigevent> for Sigevent {
    fn from(event: CompatSigevent) -> Self {
        Sigevent {
            sigev_value: event.sigev_value.into(),
            sigev_signo: event.sigev_signo,
            sigev_notify: event.sigev_notify,
            sigev_notify_thread_id: event.sigev_notify_thread_id,
            __pad: [0; 11],
        }
    }
}
