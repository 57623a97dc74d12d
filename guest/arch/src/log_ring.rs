//! This CPU's ring of log records, which the VMM drains at each exit
//! (`trapgate_abi::log`).
#![allow(unsafe_code, reason = "the ring is reached by its address, which GS knows")]

use super::percpu;
use trapgate_abi::log::{CAPACITY, DROPPED, HEADER_WORDS, RECORD_WORDS, Record, TAKEN, WRITTEN};

/// Writes a record, or counts it as lost if the ring is full.
#[cold]
pub fn write(record: &Record) {
    let ring = percpu::log_ring() as *mut u64;
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
