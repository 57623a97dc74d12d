//! linux/resource.h: limits, usage and priorities of a process.

use crate::macros::{constants, structure};
use crate::time::{OldTimeval32, Timeval};

constants! { "getrlimit(2)", general as u32:
    RLIMIT_FSIZE RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_SIGPENDING RLIMIT_NPROC RLIMIT_NOFILE
    RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_CPU RLIMIT_DATA RLIMIT_AS RLIMIT_MEMLOCK RLIMIT_RTTIME
    RLIMIT_MSGQUEUE RLIM_NLIMITS
}
constants! { "getrusage(2)", general as i32: RUSAGE_SELF RUSAGE_CHILDREN RUSAGE_THREAD }
constants! { "getpriority(2)", general as i32: PRIO_PROCESS PRIO_PGRP PRIO_USER }

/// Nice values go from here,
pub const MIN_NICE: i32 = -20;
/// to here.
pub const MAX_NICE: i32 = 19;

/// No limit.
pub const RLIM_INFINITY: u64 = u64::MAX;
/// No limit, in 32 bits.
pub const COMPAT_RLIM_INFINITY: u32 = u32::MAX;

structure! {
    /// `struct rlimit` of x86-64: the soft and the hard limit.
    #[derive(Default)]
    pub struct Rlimit: 16 = "x86_64" general::rlimit {
        pub rlim_cur: u64,
        pub rlim_max: u64,
    }
}

structure! {
    /// `struct rlimit` of i386.
    #[derive(Default)]
    pub struct CompatRlimit: 8 = "x86" general::rlimit {
        pub rlim_cur: u32,
        pub rlim_max: u32,
    }
}

impl Rlimit {
    /// The same limit twice.
    pub const fn both(limit: u64) -> Self {
        Rlimit { rlim_cur: limit, rlim_max: limit }
    }
}

/// What does not fit is infinite.
impl From<Rlimit> for CompatRlimit {
    fn from(limit: Rlimit) -> Self {
        let [rlim_cur, rlim_max] = [limit.rlim_cur, limit.rlim_max]
            .map(|limit| u32::try_from(limit).unwrap_or(COMPAT_RLIM_INFINITY));
        CompatRlimit { rlim_cur, rlim_max }
    }
}

impl From<CompatRlimit> for Rlimit {
    fn from(limit: CompatRlimit) -> Self {
        let widen = |limit: u32| match limit {
            COMPAT_RLIM_INFINITY => RLIM_INFINITY,
            limit => limit.into(),
        };
        Rlimit { rlim_cur: widen(limit.rlim_cur), rlim_max: widen(limit.rlim_max) }
    }
}

impl CompatRlimit {
    /// For the first getrlimit(2), whose programs take limits for signed.
    pub fn signed(limit: Rlimit) -> Self {
        let [rlim_cur, rlim_max] =
            [limit.rlim_cur, limit.rlim_max].map(|limit| limit.min(i32::MAX as u64) as u32);
        CompatRlimit { rlim_cur, rlim_max }
    }
}

structure! {
    /// `struct rusage` of x86-64.
    #[derive(Default)]
    pub struct Rusage: 144 = "x86_64" general::rusage {
        pub ru_utime: Timeval,
        pub ru_stime: Timeval,
        pub ru_maxrss: i64,
        pub ru_ixrss: i64,
        pub ru_idrss: i64,
        pub ru_isrss: i64,
        pub ru_minflt: i64,
        pub ru_majflt: i64,
        pub ru_nswap: i64,
        pub ru_inblock: i64,
        pub ru_oublock: i64,
        pub ru_msgsnd: i64,
        pub ru_msgrcv: i64,
        pub ru_nsignals: i64,
        pub ru_nvcsw: i64,
        pub ru_nivcsw: i64,
    }
}

structure! {
    /// `struct rusage` of i386.
    #[derive(Default)]
    pub struct CompatRusage: 72 = "x86" general::rusage {
        pub ru_utime: OldTimeval32,
        pub ru_stime: OldTimeval32,
        pub ru_maxrss: i32,
        pub ru_ixrss: i32,
        pub ru_idrss: i32,
        pub ru_isrss: i32,
        pub ru_minflt: i32,
        pub ru_majflt: i32,
        pub ru_nswap: i32,
        pub ru_inblock: i32,
        pub ru_oublock: i32,
        pub ru_msgsnd: i32,
        pub ru_msgrcv: i32,
        pub ru_nsignals: i32,
        pub ru_nvcsw: i32,
        pub ru_nivcsw: i32,
    }
}

/// What does not fit is cut.
impl From<Rusage> for CompatRusage {
    fn from(usage: Rusage) -> Self {
        CompatRusage {
            ru_utime: usage.ru_utime.into(),
            ru_stime: usage.ru_stime.into(),
            ru_maxrss: usage.ru_maxrss as i32,
            ru_ixrss: usage.ru_ixrss as i32,
            ru_idrss: usage.ru_idrss as i32,
            ru_isrss: usage.ru_isrss as i32,
            ru_minflt: usage.ru_minflt as i32,
            ru_majflt: usage.ru_majflt as i32,
            ru_nswap: usage.ru_nswap as i32,
            ru_inblock: usage.ru_inblock as i32,
            ru_oublock: usage.ru_oublock as i32,
            ru_msgsnd: usage.ru_msgsnd as i32,
            ru_msgrcv: usage.ru_msgrcv as i32,
            ru_nsignals: usage.ru_nsignals as i32,
            ru_nvcsw: usage.ru_nvcsw as i32,
            ru_nivcsw: usage.ru_nivcsw as i32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_do_not_fit_are_infinite() {
        let narrow = |limit| CompatRlimit::from(Rlimit::both(limit)).rlim_max;
        assert_eq!(narrow(8 << 20), 8 << 20);
        assert_eq!(narrow(0xffff_fffe), 0xffff_fffe);
        assert_eq!([narrow(1 << 32), narrow(RLIM_INFINITY)], [COMPAT_RLIM_INFINITY; 2]);
        let wide = Rlimit::from(CompatRlimit { rlim_cur: 5, rlim_max: COMPAT_RLIM_INFINITY });
        assert_eq!(wide, Rlimit { rlim_cur: 5, rlim_max: RLIM_INFINITY });
    }

    #[test]
    fn old_limits_stop_at_the_greatest_signed_number() {
        let narrow = |limit| CompatRlimit::signed(Rlimit::both(limit)).rlim_cur;
        assert_eq!(narrow(0x7fff_fffe), 0x7fff_fffe);
        assert_eq!([narrow(1 << 31), narrow(RLIM_INFINITY)], [0x7fff_ffff; 2]);
    }
}
