//! What the clocks show: the one formula, for the kernel's calls
//! (the kernel's `clock`) and for the vDSO's functions (`guest/vdso`), which must
//! agree.

use crate::boot_info::ClockInfo;
use trapgate_uapi::time::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE, CLOCK_TAI,
};

/// What clock_getres(2) says of every clock, in nanoseconds.
pub const RESOLUTION_NS: u64 = 1;

/// The clocks that show `CLOCK_REALTIME`, a bit each. Bits and no `match`: a
/// table to jump by would need addresses, and the vDSO has no relocations.
const REALTIME: u32 = 1 << CLOCK_REALTIME | 1 << CLOCK_REALTIME_COARSE | 1 << CLOCK_TAI;
/// The clocks that show `CLOCK_MONOTONIC`.
const MONOTONIC: u32 = 1 << CLOCK_MONOTONIC
    | 1 << CLOCK_MONOTONIC_RAW
    | 1 << CLOCK_MONOTONIC_COARSE
    | 1 << CLOCK_BOOTTIME;

/// Whether the clock shows wall-clock time: a base and what has elapsed since.
pub const fn is_wall_clock(clock: i32) -> bool {
    bit(clock) & (REALTIME | MONOTONIC) != 0
}

/// `ticks * multiplier >> 32`, where one instruction multiplies 64 bits.
#[inline(always)]
const fn scale(ticks: u64, multiplier: u64) -> u64 {
    ((ticks as u128 * multiplier as u128) >> 32) as u64
}

/// The same, where one multiplies 32 bits.
#[inline(always)]
const fn scale_by_halves(ticks: u64, multiplier: u64) -> u64 {
    const fn halves(value: u64) -> (u64, u64) {
        (value >> 32, value & 0xffff_ffff)
    }
    let ((th, tl), (mh, ml)) = (halves(ticks), halves(multiplier));
    (th.wrapping_mul(mh) << 32)
        .wrapping_add(th * ml)
        .wrapping_add(tl * mh)
        .wrapping_add((tl * ml) >> 32)
}

/// The clock's bit; 0 for what cannot be one.
const fn bit(clock: i32) -> u32 {
    if 0 <= clock && clock < 32 { 1 << clock } else { 0 }
}

impl ClockInfo {
    /// Nanoseconds from `tsc_base` to `tsc`; 0 if that is earlier.
    #[inline(always)]
    pub const fn elapsed(&self, tsc: u64) -> u64 {
        let ticks = tsc.saturating_sub(self.tsc_base);
        if cfg!(target_pointer_width = "64") {
            scale(ticks, self.multiplier)
        } else {
            scale_by_halves(ticks, self.multiplier)
        }
    }

    /// Whether the time follows from the TSC; else the VMM knows it.
    #[inline(always)]
    pub const fn follows_tsc(&self) -> bool {
        self.multiplier != 0
    }

    /// What the clock showed when the clocks were read, in nanoseconds; `None`
    /// if it is none of those for which [`is_wall_clock`] holds.
    #[inline(always)]
    pub const fn base(&self, clock: i32) -> Option<u64> {
        match bit(clock) {
            bit if bit & REALTIME != 0 => Some(self.realtime_ns),
            bit if bit & MONOTONIC != 0 => Some(self.monotonic_ns),
            _ => None,
        }
    }

    /// What the clock shows at `tsc`, in nanoseconds; `None` as above.
    #[inline(always)]
    pub const fn read(&self, clock: i32, tsc: u64) -> Option<u64> {
        match self.base(clock) {
            Some(base) => Some(base + self.elapsed(tsc)),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_uapi::time::{CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};

    #[test]
    fn ticks_become_nanoseconds_without_overflow() {
        // 2 GHz: half a nanosecond a tick.
        let info = ClockInfo { tsc_base: 1000, multiplier: 1 << 31, ..ClockInfo::default() };
        assert_eq!(info.elapsed(1000), 0);
        assert_eq!(info.elapsed(3000), 1000);
        assert_eq!(info.elapsed(10), 0);
        let century = 2_000_000_000 * 3600 * 24 * 365 * 100;
        assert_eq!(info.elapsed(1000 + century), century / 2);
    }

    #[test]
    fn both_ways_to_multiply_give_the_same() {
        let edges = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 0x1234_5678_9abc_def0];
        for ticks in edges.into_iter().chain([u64::MAX]) {
            for multiplier in edges.into_iter().chain([u64::MAX, (1_000_000 << 32) / 2_450_000]) {
                let (whole, halves) =
                    (scale(ticks, multiplier), scale_by_halves(ticks, multiplier));
                assert_eq!(whole, halves, "{ticks:#x} * {multiplier:#x}");
            }
        }
    }

    #[test]
    fn each_clock_shows_its_time() {
        let info = ClockInfo { tsc_base: 0, multiplier: 1 << 32, realtime_ns: 7, monotonic_ns: 3 };
        for clock in [CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI] {
            assert_eq!(info.read(clock, 10), Some(17));
        }
        for clock in [CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME]
        {
            assert_eq!(info.read(clock, 10), Some(13));
        }
        for none in
            [CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, 8, 9, 10, 12, 31, 32, 33, -1, -6]
        {
            assert_eq!(info.read(none, 10), None);
            assert!(!is_wall_clock(none));
        }
        assert!((0..32).filter(|&clock| is_wall_clock(clock)).count() == 7);
    }
}
