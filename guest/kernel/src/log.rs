//! Log records: structured, into the ring that the VMM drains at each exit
//! (`trapgate_abi::log`). Writing one never leaves the VM.

use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::log::{Event, Level, Record};
use trapgate_arch::log_ring;

/// The least level that the VMM wants to hear, 0 for none.
static LEVEL: AtomicU64 = AtomicU64::new(0);

/// Sets what the VMM wants to hear.
pub fn init(level: u64) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// Writes a record, if the VMM wants to hear it.
#[inline]
pub fn log(level: Level, event: Event, numbers: [u64; 4]) {
    if level as u64 <= LEVEL.load(Ordering::Relaxed) {
        log_ring::write(&Record { level, event, numbers });
    }
}
