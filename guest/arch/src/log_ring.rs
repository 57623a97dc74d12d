//! The ring of log records, which the VMM drains at each exit
//! (`trapgate_abi::log`).
#![allow(unsafe_code, reason = "the ring has a fixed address")]

use super::phys::direct;
use trapgate_abi::layout::LOG_RING;
use trapgate_abi::log::{CAPACITY, DROPPED, HEADER_WORDS, RECORD_WORDS, Record, TAKEN, WRITTEN};

/// Writes a record, or counts it as lost if the ring is full.
#[cold]
pub fn write(record: &Record) {
    let ring: *mut u64 = direct(LOG_RING);
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
