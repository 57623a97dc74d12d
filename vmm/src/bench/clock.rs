//! The clocks that measuring functions read, and what the scheduler did.
#![allow(unsafe_code, reason = "RDTSC is an intrinsic; getrusage takes a pointer")]

use std::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// The time-stamp counter, between two fences: not before what stands in front
/// is done, and before what follows begins.
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has both instructions; they touch no memory.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// How long the time-stamp counter is watched.
const WATCHED: Duration = Duration::from_millis(50);

/// The time-stamp counter's frequency in kHz, by the host's monotonic clock:
/// what the CPU itself says (leaves 15h and 16h) is often absent and sometimes
/// nominal. Takes 50 ms.
pub fn tsc_khz() -> NonZeroU64 {
    // A clock and a counter cannot be read at once: the pair with the least
    // between the counter's two readings is the one to trust.
    let pair = || {
        let readings = (0..10).map(|_| {
            let before = ticks();
            let now = Instant::now();
            let after = ticks();
            (after.wrapping_sub(before), before.wrapping_add(after.wrapping_sub(before) / 2), now)
        });
        readings.min_by_key(|(gap, ..)| *gap).unwrap_or((0, ticks(), Instant::now()))
    };
    let (_, first, start) = pair();
    std::thread::sleep(WATCHED);
    let (_, last, end) = pair();
    let ns = (end - start).as_nanos().max(1);
    let khz = u128::from(last.wrapping_sub(first)) * 1_000_000 / ns;
    NonZeroU64::new(khz as u64).unwrap_or(NonZeroU64::MIN)
}

/// How often this process was made to wait for others (getrusage(2),
/// `ru_nivcsw`).
pub fn preemptions() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a valid place for a rusage, which is zeroes if the call fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_nivcsw as u64
}

/// The CPU that this thread is on (sched_getcpu(3)). Two readings tell a
/// migration.
pub fn cpu() -> i32 {
    // SAFETY: takes nothing.
    unsafe { libc::sched_getcpu() }
}

/// Whether this CPU has RDTSCP (CPUID.8000_0001:EDX, bit 27).
pub(super) fn has_rdtscp() -> bool {
    __cpuid(0x8000_0001).edx & 1 << 27 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_frequency_is_measured_alike_twice() {
        let (first, second) = (tsc_khz().get() as f64, tsc_khz().get() as f64);
        assert!((first / second - 1.0).abs() < 0.01, "{first} and {second}");
    }

    #[test]
    fn ticks_go_forward() {
        let before = ticks();
        std::thread::sleep(Duration::from_millis(2));
        assert!(ticks() > before);
    }
}
