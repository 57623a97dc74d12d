//! This CPU's ring of trace records, which the VMM drains at each exit
//! (`trapgate_abi::trace`). There is one only if the VMM reserved it, and only then
//! is anything here called.
#![allow(unsafe_code, reason = "the ring is reached by its address, which GS knows")]

use super::percpu;
use core::ptr::{addr_of, addr_of_mut};
use trapgate_abi::trace::{CAPACITY, HALF, RECORD_WORDS, RecordId, Tracing};

/// The words about this CPU's ring.
#[derive(Clone, Copy)]
struct Words(*mut Tracing);

/// A word of them.
macro_rules! word {
    ($words:ident.$field:ident) => {
        // SAFETY: GS knows where the words are, and whoever ran before on this CPU
        // is done with them; the VMM writes `taken`, hence volatile.
        unsafe { addr_of!((*$words.0).$field).read_volatile() }
    };
    ($words:ident.$field:ident = $value:expr) => {{
        let value = $value;
        // SAFETY: as above.
        unsafe { addr_of_mut!((*$words.0).$field).write_volatile(value) }
    }};
}

impl Words {
    #[inline(always)]
    fn here() -> Words {
        Words(percpu::tracing() as *mut Tracing)
    }

    /// Whether half of the ring is full. The VMM may have been here meanwhile.
    #[cold]
    #[inline(never)]
    fn look(self) -> bool {
        let (next, taken) = (word!(self.next), word!(self.taken));
        let is_half_full = next.wrapping_sub(taken) >= HALF;
        word!(self.due = HALF.wrapping_add(if is_half_full { next } else { taken }));
        is_half_full
    }
}

/// Writes a record, whose words are made for the number that it gets, or counts it
/// as lost if the ring is full. Its number.
#[inline(always)]
pub fn write<const N: usize>(words: impl FnOnce(RecordId) -> [u64; N]) -> RecordId {
    const { assert!(N <= RECORD_WORDS) };
    let tracing = Words::here();
    let next = word!(tracing.next);
    if next.wrapping_sub(word!(tracing.taken)) >= CAPACITY {
        word!(tracing.lost = word!(tracing.lost).wrapping_add(1));
        return RecordId::LOST;
    }
    let slot = RecordId(next).slot() as usize * RECORD_WORDS;
    let slot = (word!(tracing.ring) as *mut u64).wrapping_add(slot);
    for (index, value) in words(RecordId(next)).into_iter().enumerate() {
        // SAFETY: the VMM has reserved CAPACITY slots of RECORD_WORDS words there,
        // mapped in the direct map.
        unsafe { slot.wrapping_add(index).write_volatile(value) };
    }
    word!(tracing.next = next.wrapping_add(1));
    RecordId(next)
}

/// Whether it is time to leave for the VMM: half of the ring is full. Says so once
/// in so many records: one who does not listen is not asked at each.
#[inline(always)]
pub fn is_due() -> bool {
    let tracing = Words::here();
    word!(tracing.next) >= word!(tracing.due) && tracing.look()
}
