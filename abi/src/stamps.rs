//! Stamps: where the time of a call goes. A twin of the SYSCALL door notes the
//! time-stamp counter at each step of a call, if the VMM points LSTAR to it
//! ([`crate::kernel_note::KernelNote::stamped_syscall64`]); the plain door knows
//! nothing of it.
//!
//! The VMM reserves a buffer and writes where it is into the door's words in the
//! per-CPU area. It reads the buffer when the program has ended; what is in it is
//! the guest's claim.
//!
//! ```text
//! +0          Buffer
//! +RECORDS    Record, one a call, until the buffer is full
//!             one Record more: every call's after that
//! ```

use crate::wire::wire_struct;

wire_struct! {
    /// The door's own words, at [`crate::layout::percpu::STAMPING`].
    pub struct Stamping {
        /// Virtual address of the buffer.
        pub buffer: u64,
        /// Where the user's RAX is while the counter is read.
        pub rax: u64,
        /// Where the user's RDX is.
        pub rdx: u64,
        /// The first stamp, until there is a record.
        pub entered: u64,
        /// The record of the call that is on its way out.
        pub record: u64,
    }
}

wire_struct! {
    /// The buffer's head.
    pub struct Buffer {
        /// Records that are complete.
        pub count: u64,
        /// How many there can be.
        pub capacity: u64,
    }
}

/// Where the records begin, in bytes from the buffer's first.
pub const RECORDS: u64 = 8 * Buffer::WORDS as u64;
/// Bytes of a record, a power of two.
pub const RECORD_SIZE: u64 = size_of::<Record>() as u64;
/// The most records that a buffer can have.
pub const MAX_RECORDS: u64 = 1 << 20;

/// One call: the low halves of the counter, one after the other.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The call's number.
    pub number: u32,
    /// RDI: the time before the call, if the program put it there.
    pub user: u32,
    /// Ring 0's first instructions.
    pub entered: u32,
    /// The frame is complete.
    pub framed: u32,
    /// The handler is known.
    pub found: u32,
    /// The handler is done.
    pub handled: u32,
    /// What must be done before the return is done.
    pub settled: u32,
    /// The registers are the user's again, but RSP and GS; 0 if the call went
    /// back by IRET.
    pub leaving: u32,
}

const _: () = assert!(RECORD_SIZE.is_power_of_two());

impl Record {
    /// From memory.
    pub const fn from_words(words: [u32; 8]) -> Record {
        let [number, user, entered, framed, found, handled, settled, leaving] = words;
        Record { number, user, entered, framed, found, handled, settled, leaving }
    }
}

/// Bytes of a buffer for so many records.
pub const fn buffer_size(capacity: u64) -> u64 {
    RECORDS + (capacity + 1) * RECORD_SIZE
}
