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

/// What ticks are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The time-stamp counter's frequency in kHz.
    pub khz: NonZeroU64,
    /// The smallest step in which that counter moves, in ticks.
    pub step: NonZeroU64,
}

impl Clock {
    /// This host's, measured. Takes 50 ms.
    pub fn of_this_host() -> Clock {
        Clock { khz: tsc_khz(), step: step() }
    }

    /// Ticks as nanoseconds.
    pub fn ns(&self, ticks: f64) -> f64 {
        ticks * 1e6 / self.khz.get() as f64
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

/// How many differences between readings are looked at for [`step`].
const READINGS: u64 = 4000;

/// The smallest step in which the time-stamp counter moves, in ticks: the
/// greatest common divisor of many differences between readings. Some CPUs
/// count in steps of some tens; no difference between two times is known better
/// than to one.
pub fn step() -> NonZeroU64 {
    let mut before = ticks();
    let differences = (0..READINGS).map(|index| {
        // Work of all lengths: readings that follow each other in one loop
        // might always be equally far apart.
        let length = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let work = |sum: u64, term| std::hint::black_box(sum.wrapping_mul(31) ^ term);
        std::hint::black_box((0..length).fold(0, work));
        let now = ticks();
        let difference = now.wrapping_sub(before);
        before = now;
        difference
    });
    greatest_common_divisor(differences)
}

/// Of all of them; 1 if there is none above zero.
fn greatest_common_divisor(numbers: impl Iterator<Item = u64>) -> NonZeroU64 {
    let of_two = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    NonZeroU64::new(numbers.fold(0, of_two)).unwrap_or(NonZeroU64::MIN)
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
pub(crate) fn has_rdtscp() -> bool {
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
    fn the_counters_step_is_in_every_difference_of_its_readings() {
        let step = step().get();
        let first = ticks();
        for _ in 0..1000 {
            assert_eq!(ticks().wrapping_sub(first) % step, 0, "steps of {step}");
        }
        assert_eq!(super::step().get(), step, "measured twice");
    }

    #[test]
    fn a_step_is_the_greatest_common_divisor() {
        let of = |numbers: &[u64]| greatest_common_divisor(numbers.iter().copied()).get();
        assert_eq!(of(&[78, 130, 104]), 26);
        assert_eq!(of(&[78, 130, 104, 7]), 1);
        assert_eq!(of(&[0, 12, 0]), 12);
        assert_eq!(of(&[0, 0]), 1);
        assert_eq!(of(&[]), 1);
    }

    #[test]
    fn ticks_go_forward() {
        let before = ticks();
        std::thread::sleep(Duration::from_millis(2));
        assert!(ticks() > before);
    }
}
