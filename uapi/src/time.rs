//! linux/time.h and linux/times.h: clocks, and times in their forms.

use crate::Errno;
use crate::macros::{constants, structure};

constants! { "clock_gettime(2)", general as i32:
    CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID
    CLOCK_MONOTONIC_RAW CLOCK_REALTIME_COARSE CLOCK_MONOTONIC_COARSE CLOCK_BOOTTIME
    CLOCK_TAI CLOCK_REALTIME_ALARM CLOCK_BOOTTIME_ALARM
}
constants! { "clock_nanosleep(2)", general as i32: TIMER_ABSTIME }
constants! { "setitimer(2)", general as i32: ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF }

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: u64 = 1_000_000_000;
/// Nanoseconds in a microsecond.
pub const NSEC_PER_USEC: u64 = 1000;
/// times(2)'s ticks a second.
pub const USER_HZ: u64 = 100;

structure! {
    /// `struct timespec` of x86-64; i386's with 64-bit seconds, where the upper
    /// half of `tv_nsec` is padding.
    #[derive(Default)]
    pub struct Timespec: 16 = "x86_64" general::timespec {
        pub tv_sec: i64,
        pub tv_nsec: i64,
    }
}

structure! {
    /// i386's `struct timespec`: Linux's `old_timespec32`.
    #[derive(Default)]
    pub struct OldTimespec32: 8 = "x86" general::timespec {
        pub tv_sec: i32,
        pub tv_nsec: i32,
    }
}

structure! {
    /// `struct itimerspec`: how long it is from one time to the next, and to the next one.
    #[derive(Default)]
    pub struct Itimerspec: 32 {
        pub it_interval: Timespec,
        pub it_value: Timespec,
    }
}
crate::macros::same_layout!(Itimerspec = general::__kernel_itimerspec { it_interval it_value });

structure! {
    /// i386's: Linux's `old_itimerspec32`.
    #[derive(Default)]
    pub struct OldItimerspec32: 16 {
        pub it_interval: OldTimespec32,
        pub it_value: OldTimespec32,
    }
}

structure! {
    /// `struct timeval` of x86-64.
    #[derive(Default)]
    pub struct Timeval: 16 = "x86_64" general::__kernel_old_timeval {
        pub tv_sec: i64,
        pub tv_usec: i64,
    }
}

structure! {
    /// i386's `struct timeval`: Linux's `old_timeval32`.
    #[derive(Default)]
    pub struct OldTimeval32: 8 = "x86" general::__kernel_old_timeval {
        pub tv_sec: i32,
        pub tv_usec: i32,
    }
}

structure! {
    /// `struct timezone` of gettimeofday(2).
    #[derive(Default)]
    pub struct Timezone: 8 {
        pub tz_minuteswest: i32,
        pub tz_dsttime: i32,
    }
}
crate::macros::same_layout!(Timezone = general::timezone { tz_minuteswest tz_dsttime });

structure! {
    /// `struct tms` of times(2), x86-64's.
    #[derive(Default)]
    pub struct Tms: 32 {
        pub tms_utime: u64,
        pub tms_stime: u64,
        pub tms_cutime: u64,
        pub tms_cstime: u64,
    }
}

structure! {
    /// `struct tms` of i386.
    #[derive(Default)]
    pub struct CompatTms: 16 {
        pub tms_utime: u32,
        pub tms_stime: u32,
        pub tms_cutime: u32,
        pub tms_cstime: u32,
    }
}

structure! {
    /// `struct itimerval` of setitimer(2), x86-64's.
    #[derive(Default)]
    pub struct Itimerval: 32 = "x86_64" general::__kernel_old_itimerval {
        pub it_interval: Timeval,
        pub it_value: Timeval,
    }
}

structure! {
    /// The same of i386: Linux's `old_itimerval32`.
    #[derive(Default)]
    pub struct OldItimerval32: 16 {
        pub it_interval: OldTimeval32,
        pub it_value: OldTimeval32,
    }
}

impl From<OldItimerval32> for Itimerval {
    fn from(times: OldItimerval32) -> Self {
        let [it_interval, it_value] = [times.it_interval, times.it_value]
            .map(|time| Timeval { tv_sec: time.tv_sec.into(), tv_usec: time.tv_usec.into() });
        Itimerval { it_interval, it_value }
    }
}

impl From<Itimerval> for OldItimerval32 {
    fn from(times: Itimerval) -> Self {
        OldItimerval32 { it_interval: times.it_interval.into(), it_value: times.it_value.into() }
    }
}

impl Timespec {
    /// So many nanoseconds.
    #[inline(always)]
    pub const fn from_ns(ns: u64) -> Self {
        Timespec { tv_sec: (ns / NSEC_PER_SEC) as i64, tv_nsec: (ns % NSEC_PER_SEC) as i64 }
    }

    /// In nanoseconds, the longest time there is for anything longer.
    ///
    /// # Errors
    /// EINVAL for what is no time span.
    #[inline]
    pub fn to_ns(self) -> Result<u64, Errno> {
        let nanoseconds = u64::try_from(self.tv_nsec).map_err(|_| Errno::EINVAL)?;
        if self.tv_sec < 0 || nanoseconds >= NSEC_PER_SEC {
            return Err(Errno::EINVAL);
        }
        Ok((self.tv_sec as u64).saturating_mul(NSEC_PER_SEC).saturating_add(nanoseconds))
    }

    /// A time with 64-bit seconds from an i386 program.
    pub const fn without_padding(self) -> Self {
        Timespec { tv_nsec: self.tv_nsec & 0xffff_ffff, ..self }
    }
}

impl Timeval {
    /// So many nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        let microseconds = ns % NSEC_PER_SEC / NSEC_PER_USEC;
        Timeval { tv_sec: (ns / NSEC_PER_SEC) as i64, tv_usec: microseconds as i64 }
    }
}

impl From<OldTimespec32> for Timespec {
    fn from(time: OldTimespec32) -> Self {
        Timespec { tv_sec: time.tv_sec.into(), tv_nsec: time.tv_nsec.into() }
    }
}

impl From<OldItimerspec32> for Itimerspec {
    fn from(times: OldItimerspec32) -> Self {
        Itimerspec { it_interval: times.it_interval.into(), it_value: times.it_value.into() }
    }
}

impl From<Itimerspec> for OldItimerspec32 {
    fn from(times: Itimerspec) -> Self {
        OldItimerspec32 { it_interval: times.it_interval.into(), it_value: times.it_value.into() }
    }
}

/// Seconds beyond 2038 are cut off, as Linux does.
impl From<Timespec> for OldTimespec32 {
    fn from(time: Timespec) -> Self {
        OldTimespec32 { tv_sec: time.tv_sec as i32, tv_nsec: time.tv_nsec as i32 }
    }
}

/// As [`OldTimespec32`]'s.
impl From<OldTimeval32> for Timeval {
    fn from(time: OldTimeval32) -> Self {
        Timeval { tv_sec: time.tv_sec.into(), tv_usec: time.tv_usec.into() }
    }
}

impl From<Timeval> for OldTimeval32 {
    fn from(time: Timeval) -> Self {
        OldTimeval32 { tv_sec: time.tv_sec as i32, tv_usec: time.tv_usec as i32 }
    }
}

impl From<Tms> for CompatTms {
    fn from(times: Tms) -> Self {
        CompatTms {
            tms_utime: times.tms_utime as u32,
            tms_stime: times.tms_stime as u32,
            tms_cutime: times.tms_cutime as u32,
            tms_cstime: times.tms_cstime as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_convert_both_ways() {
        let span = Timespec { tv_sec: 3, tv_nsec: 5 };
        assert_eq!(span.to_ns(), Ok(3_000_000_005));
        assert_eq!(Timespec::from_ns(3_000_000_005), span);
        assert_eq!(Timeval::from_ns(3_000_002_999), Timeval { tv_sec: 3, tv_usec: 2 });
        for (tv_sec, tv_nsec) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(Timespec { tv_sec, tv_nsec }.to_ns(), Err(Errno::EINVAL));
        }
        let long = Timespec { tv_sec: i64::MAX, tv_nsec: 999_999_999 };
        assert_eq!(long.to_ns(), Ok(u64::MAX));
    }

    #[test]
    fn times_of_32_bits_keep_their_sign() {
        let time = Timespec::from(OldTimespec32 { tv_sec: -1, tv_nsec: 5 });
        assert_eq!(time, Timespec { tv_sec: -1, tv_nsec: 5 });
        assert_eq!(time.to_ns(), Err(Errno::EINVAL));
    }

    #[test]
    fn seconds_beyond_2038_are_cut() {
        let time = OldTimespec32::from(Timespec { tv_sec: 0x1_8000_0000, tv_nsec: 7 });
        assert_eq!(time, OldTimespec32 { tv_sec: i32::MIN, tv_nsec: 7 });
    }

    #[test]
    fn padding_above_the_nanoseconds_does_not_matter() {
        let time = Timespec { tv_sec: 1, tv_nsec: 0x7fff_ffff_0000_0002 };
        assert_eq!(time.without_padding().to_ns(), Ok(1_000_000_002));
        // But its lower half may not be negative.
        let time = Timespec { tv_sec: 1, tv_nsec: -1 };
        assert_eq!(time.without_padding().to_ns(), Err(Errno::EINVAL));
    }
}
