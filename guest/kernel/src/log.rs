//! Log records: structured, into the ring that the VMM drains at each exit
//! (`trapgate_abi::log`). Writing one never leaves the VM.
#![allow(unsafe_code, reason = "the ring has a fixed address")]

use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::layout::{DIRECT_MAP, LOG_RING};
use trapgate_abi::log::{
    CAPACITY, DROPPED, Event, HEADER_WORDS, Level, RECORD_WORDS, Record, TAKEN, WRITTEN,
};

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
        write(&Record { level, event, numbers });
    }
}

#[cold]
fn write(record: &Record) {
    let ring = (DIRECT_MAP + LOG_RING) as *mut u64;
    let word = |index: usize| ring.wrapping_add(index);
    // SAFETY: the ring's pages are RAM in the direct map, set aside by
    // abi::layout; the VMM writes only TAKEN, hence volatile.
    unsafe {
        let written = word(WRITTEN).read_volatile();
        if written - word(TAKEN).read_volatile() >= CAPACITY as u64 {
            *word(DROPPED) += 1;
            return;
        }
        let slot = HEADER_WORDS + (written as usize % CAPACITY) * RECORD_WORDS;
        for (index, value) in record.to_words().into_iter().enumerate() {
            word(slot + index).write_volatile(value);
        }
        word(WRITTEN).write_volatile(written + 1);
    }
}
