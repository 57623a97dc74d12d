//! The host's clocks and a guest's time-stamp counter, read at one moment, and
//! whether the counter is a clock at all.
//!
//! What KVM_GET_MSRS says of it is not always what the guest will read:
//!
//! - Where Linux does not trust the CPU's counter (its clocksource is another:
//!   `hpet`, `acpi_pm`), KVM stops the guest's whenever its vCPU is not loaded,
//!   and makes up for that at the next entry by its own idea of the time.
//! - Where the CPU's frequency was found to be another after KVM was loaded, and
//!   the CPU cannot scale a guest's counter, KVM says 0, and the guest reads the
//!   host's (seen in Linux 6.1).
//!
//! Both show before the first entry: the counter stands still.

use crate::Error;
use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::VcpuFd;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::x86::msr;

/// All clocks, read at one moment: at some point between two readings of the
/// monotonic one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    tsc: u64,
    realtime_ns: u64,
    before_ns: u64,
    after_ns: u64,
}

impl Reading {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses the call.
    pub(super) fn of(vcpu: &VcpuFd) -> Result<Reading, Error> {
        let entry = kvm_msr_entry { index: msr::TSC, ..kvm_msr_entry::default() };
        let mut msrs = Msrs::from_entries(&[entry])
            .map_err(|_| Error::Unsupported { what: "gives no MSR".to_owned() })?;
        let before_ns = monotonic_ns();
        let realtime = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        vcpu.get_msrs(&mut msrs).map_err(Error::kvm("KVM_GET_MSRS"))?;
        Ok(Reading {
            tsc: msrs.as_slice().first().map_or(0, |entry| entry.data),
            realtime_ns: realtime.as_nanos() as u64,
            before_ns,
            after_ns: monotonic_ns(),
        })
    }

    /// For a guest whose counter runs at `khz`.
    pub(super) fn info(&self, khz: u32) -> ClockInfo {
        let middle = (self.after_ns - self.before_ns) / 2;
        ClockInfo {
            tsc_base: self.tsc,
            // 10^6 ns a ms, and khz ticks a ms.
            multiplier: (1_000_000 << 32) / u64::from(khz.max(1)),
            realtime_ns: self.realtime_ns + middle,
            monotonic_ns: self.before_ns + middle,
        }
    }

    /// Whether the counter has run with time since an `earlier` reading, but for
    /// a tenth: what KVM says of its frequency is not exact.
    pub(super) fn ran_with_time(&self, earlier: &Reading, khz: u32) -> bool {
        let Some(ticks) = self.tsc.checked_sub(earlier.tsc) else { return false };
        let ns = u128::from(ticks) * 1_000_000 / u128::from(khz.max(1));
        // Whoever was kept from its CPU between two of these readings knows the
        // time less well, and judges by less.
        let least = u128::from(self.before_ns.saturating_sub(earlier.after_ns));
        let most = u128::from(self.after_ns.saturating_sub(earlier.before_ns));
        ns * 10 >= least * 9 && ns * 10 <= most * 11
    }
}

/// CLOCK_MONOTONIC in nanoseconds: what programs see, and [`std::time::Instant`]
/// does not show.
pub fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tick is a nanosecond.
    const GHZ: u32 = 1_000_000;

    fn reading(tsc: u64, before_ns: u64, after_ns: u64) -> Reading {
        Reading { tsc, realtime_ns: 0, before_ns, after_ns }
    }

    #[test]
    fn a_counter_that_stands_still_or_jumps_is_no_clock() {
        let first = reading(5_000, 100_000, 101_000);
        for (ticks, is_clock) in
            [(300_000, true), (290_000, true), (0, false), (30_000, false), (94_000_000_000, false)]
        {
            let second = reading(5_000 + ticks, 400_000, 401_000);
            assert_eq!(second.ran_with_time(&first, GHZ), is_clock, "{ticks}");
        }
        assert!(!reading(4_999, 400_000, 401_000).ran_with_time(&first, GHZ), "backwards");
        // Another frequency than the one that was said.
        let second = reading(305_000, 400_000, 401_000);
        assert!(!second.ran_with_time(&first, 2 * GHZ));
    }

    #[test]
    fn who_was_preempted_while_reading_does_not_judge_wrongly() {
        // The counter was read at some time in those 5 ms.
        let first = reading(1_000, 0, 5_000_000);
        for ticks in [300_000, 2_000_000, 5_300_000] {
            let second = reading(1_000 + ticks, 5_300_000, 5_301_000);
            assert!(second.ran_with_time(&first, GHZ), "{ticks}");
        }
    }

    #[test]
    fn the_clocks_are_those_of_the_middle() {
        let info = Reading { tsc: 7, realtime_ns: 1_000, before_ns: 50, after_ns: 70 }.info(GHZ);
        assert_eq!((info.tsc_base, info.realtime_ns, info.monotonic_ns), (7, 1_010, 60));
        assert_eq!(info.multiplier, 1 << 32);
    }
}
