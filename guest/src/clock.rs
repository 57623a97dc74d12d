//! Time from the time-stamp counter: no exit, no interrupt.
//!
//! The VMM reads the host's clocks once, together with the TSC, and passes
//! both with the TSC's frequency; `sys::time` asks here.

use crate::arch::cpu;
use trapgate_abi::boot_info::ClockInfo;

/// The program's clocks.
pub struct Clock {
    info: ClockInfo,
}

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: u64 = 1_000_000_000;

impl Clock {
    /// Clocks that run from what the VMM read.
    pub const fn new(info: ClockInfo) -> Self {
        Clock { info }
    }

    /// Nanoseconds since the start.
    pub fn elapsed(&self) -> u64 {
        elapsed(&self.info, cpu::tsc())
    }

    /// `CLOCK_REALTIME` in nanoseconds.
    pub fn realtime(&self) -> u64 {
        self.info.realtime_ns + self.elapsed()
    }

    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub fn monotonic(&self) -> u64 {
        self.info.monotonic_ns + self.elapsed()
    }
}

/// Nanoseconds from `info.tsc_base` to `tsc`; 0 if that is earlier.
const fn elapsed(info: &ClockInfo, tsc: u64) -> u64 {
    let ticks = tsc.saturating_sub(info.tsc_base);
    ((ticks as u128 * info.multiplier as u128) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds_without_overflow() {
        // 2 GHz: half a nanosecond a tick.
        let info = ClockInfo { tsc_base: 1000, multiplier: 1 << 31, ..ClockInfo::default() };
        assert_eq!(elapsed(&info, 1000), 0);
        assert_eq!(elapsed(&info, 3000), 1000);
        assert_eq!(elapsed(&info, 10), 0);
        let century = 2_000_000_000 * 3600 * 24 * 365 * 100;
        assert_eq!(elapsed(&info, 1000 + century), century / 2);
    }
}
