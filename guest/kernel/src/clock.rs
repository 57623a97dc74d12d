//! Time: from the time-stamp counter, without an exit, where it is a clock.
//!
//! The VMM reads the host's clocks once, together with the TSC, and passes
//! both with the TSC's frequency; `sys::time` asks here. The formula is in
//! `abi::clock`: the vDSO has the same. Where the counter is no clock, the VMM
//! is asked each time, by the vDSO's functions through a call.

use crate::host;
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::hypercall::Request;
use trapgate_arch::cpu;

/// The program's clocks.
#[derive(Clone, Copy)]
pub struct Clock {
    info: ClockInfo,
}

impl Clock {
    /// Clocks before there are any.
    pub const NONE: Clock = Clock::new(ClockInfo::ZERO);

    /// Clocks that run from what the VMM read.
    pub const fn new(info: ClockInfo) -> Self {
        Clock { info }
    }

    /// Nanoseconds since the start.
    pub fn elapsed(&self) -> u64 {
        if self.info.follows_tsc() { self.info.elapsed(cpu::tsc()) } else { asked() }
    }

    /// Ticks of the counter in a millisecond, where it is a clock.
    pub fn counter_khz(&self) -> Option<u64> {
        (1_000_000u64 << 32).checked_div(self.info.multiplier)
    }

    /// Nanoseconds a tick, in 32.32 fixed point, where the counter is a clock.
    pub fn multiplier(&self) -> Option<u64> {
        self.info.follows_tsc().then_some(self.info.multiplier)
    }

    /// So many ticks in nanoseconds, where the counter is a clock.
    pub fn span(&self, ticks: u64) -> Option<u64> {
        let multiplier = self.multiplier()?;
        Some(((u128::from(ticks) * u128::from(multiplier)) >> 32) as u64)
    }

    /// What a clock showed at the start, in nanoseconds; `None` for CPU time and
    /// for what is no clock.
    pub fn base(&self, clock: i32) -> Option<u64> {
        self.info.base(clock)
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

/// Nanoseconds since the start, by the VMM: an exit. Out of the way of those who
/// need not ask.
#[cold]
#[inline(never)]
fn asked() -> u64 {
    // It is never refused.
    host::call(Request::Elapsed).unwrap_or(0)
}
