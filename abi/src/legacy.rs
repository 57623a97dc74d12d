//! Legacy protected mode (EFER.LMA = 0), for measuring its doors: what the VMM
//! asks in [`crate::boot_info::BootInfo`], and what the kernel leaves in memory.
//!
//! A VM that measures runs no program. The kernel leaves long mode, ring-3 code
//! of its own goes through one door, and the kernel comes back and exits with
//! status 0. The results are then at [`Request::results`]:
//!
//! ```text
//! +0               Answer
//! +SAMPLES         for each sample: u32 ticks of the call, u32 ticks of nothing
//! +batches(…)      for each batch:  u64 ticks of the calls, u64 ticks of the
//!                                   same loop without the door
//! ```
//!
//! All of it is the guest's claim.

use crate::wire::wire_struct;

wire_struct! {
    /// What to measure.
    pub struct Request {
        /// One of [`door`]; 0: nothing, there is a program to start.
        pub door: u64,
        /// How many single calls, 1 to [`MAX_SAMPLES`].
        pub samples: u64,
        /// How many batches, 1 to [`MAX_BATCHES`].
        pub batches: u64,
        /// Calls in a batch, 1 to [`MAX_CALLS`].
        pub calls: u64,
        /// Physical address of the results, below 4 GiB, a multiple of 8.
        pub results: u64,
    }
}

/// The doors of legacy mode: [`Request::door`].
pub mod door {
    /// INT 0x80 and IRET.
    pub const INT80: u64 = 1;
    /// SYSENTER and SYSEXIT.
    pub const SYSENTER: u64 = 2;
    /// SYSCALL and SYSRET.
    pub const SYSCALL: u64 = 3;
}

wire_struct! {
    /// What came of it.
    pub struct Answer {
        /// How far ring 3 got: one of [`phase`].
        pub phase: u64,
        /// The exception that ended it, or [`NO_EXCEPTION`].
        pub vector: u64,
        /// The exception's error code, all ones if it has none.
        pub error_code: u64,
        /// Where the exception came.
        pub eip: u64,
        /// CS at the exception; its low two bits are the ring.
        pub cs: u64,
        /// 1 if the first call went through ring 0 and came back as it left:
        /// with ring 0's CS in EAX, and ring 3's CS, SS and ESP.
        pub crossed: u64,
    }
}

/// [`Answer::phase`].
pub mod phase {
    /// Legacy mode was not reached.
    pub const NOT_THERE: u64 = 0;
    /// At the door's very first call.
    pub const TRYING: u64 = 1;
    /// After it.
    pub const MEASURING: u64 = 2;
    /// At the end.
    pub const DONE: u64 = 3;
}

/// [`Answer::vector`], if ring 3 came to its end; [`Answer::error_code`], if the
/// exception has none.
pub const NO_EXCEPTION: u64 = u64::MAX;

/// The most single calls.
pub const MAX_SAMPLES: u64 = 1 << 16;
/// The most batches.
pub const MAX_BATCHES: u64 = 1 << 10;
/// The most calls in a batch.
pub const MAX_CALLS: u64 = 1 << 24;

/// Where the samples begin, in bytes from [`Request::results`].
pub const SAMPLES: u64 = 8 * Answer::WORDS as u64;

impl Request {
    /// Where the batches begin, in bytes from [`Request::results`].
    pub const fn batches_at(&self) -> u64 {
        SAMPLES + 8 * self.samples
    }

    /// Bytes of the results.
    pub const fn results_size(&self) -> u64 {
        self.batches_at() + 16 * self.batches
    }
}
