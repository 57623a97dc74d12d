//! Stamps: where the time of a call goes. In the instrumented image the door of
//! SYSCALL from 64-bit code is there a second time, with stamps in its text: it
//! notes the time-stamp counter at each step of a call, if the VMM points LSTAR to
//! it ([`crate::kernel_note::Instruments::stamped_syscall64`]). Mitigation steps
//! can be on beside them.
//!
//! The VMM reserves a buffer and writes where it is into the door's words in the
//! per-CPU area. It reads both when the program has ended; what is in them is the
//! guest's claim.
//!
//! ```text
//! record 0               nobody's: before the first call
//! records 1 to capacity  one a call
//! record capacity + 1    every call's after that
//! ```

use crate::wire::wire_struct;

wire_struct! {
    /// The door's own words, at [`crate::layout::percpu::STAMPING`].
    pub struct Stamping {
        /// Virtual address of the record of the call that is being made, or was
        /// made last.
        pub record: u64,
        /// How many records there are beyond it. As a signed number: calls that
        /// find none left still count down.
        pub left: u64,
        /// Where the user's RAX is while the counter is read.
        pub rax: u64,
        /// Where the user's RDX is.
        pub rdx: u64,
    }
}

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
    /// Ring 0's first instructions; the kernel's page tables.
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

/// Bytes of a buffer for so many calls.
pub const fn buffer_size(capacity: u64) -> u64 {
    (capacity + 2) * RECORD_SIZE
}
