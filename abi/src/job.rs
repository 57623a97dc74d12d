//! Jobs: a VM that measures something of the CPU or of KVM instead of running a
//! program. What the VMM asks in [`crate::boot_info::BootInfo`], and what the
//! kernel leaves in memory.
//!
//! The kernel measures one item and exits with status 0. The results are then at
//! [`Request::results`]:
//!
//! ```text
//! +0               Answer
//! +SAMPLES         for each sample: u32 ticks of the call, u32 ticks of nothing
//! +batches(…)      for each batch:  u64 ticks of the calls, u64 ticks of the
//!                                   same loop without what is measured
//! ```
//!
//! All of it is the guest's claim.

use crate::wire::wire_struct;

wire_struct! {
    /// What to measure.
    pub struct Request {
        /// One of [`kind`]; 0: nothing, there is a program to start.
        pub kind: u64,
        /// What of it: one of [`legacy`], [`bare`], [`exits`].
        pub item: u64,
        /// How many single calls, 1 to [`MAX_SAMPLES`].
        pub samples: u64,
        /// How many batches, 1 to [`MAX_BATCHES`].
        pub batches: u64,
        /// Calls in a batch, 1 to [`MAX_CALLS`].
        pub calls: u64,
        /// 1: ring 0 ends a bracket by RDTSCP. Without it, by LFENCE and RDTSC:
        /// where the CPU has no RDTSCP, or ring 0 is interpreted.
        pub rdtscp: u64,
        /// Physical address of the results, below 4 GiB, a multiple of a page.
        pub results: u64,
    }
}

/// The kinds of jobs: [`Request::kind`].
pub mod kind {
    /// The doors of legacy protected mode.
    pub const LEGACY: u64 = 1;
    /// Round trips from 64-bit ring 3 into ring 0, with nothing of the kernel.
    pub const BARE: u64 = 2;
    /// Leaving the VM.
    pub const EXITS: u64 = 3;
}

/// The doors of legacy mode.
pub mod legacy {
    /// INT 0x80 and IRET.
    pub const INT80: u64 = 1;
    /// SYSENTER and SYSEXIT.
    pub const SYSENTER: u64 = 2;
    /// SYSCALL and SYSRET.
    pub const SYSCALL: u64 = 3;
}

/// Round trips from 64-bit ring 3 into ring 0.
pub mod bare {
    /// SYSCALL and SYSRET.
    pub const SYSCALL: u64 = 1;
    /// SYSENTER and SYSRET.
    pub const SYSENTER: u64 = 2;
    /// INT 0x80 and IRET.
    pub const INT80: u64 = 3;
    /// INT3 and IRET.
    pub const INT3: u64 = 4;
    /// UD2, and IRET to the instruction behind it.
    pub const INVALID_OPCODE: u64 = 5;
    /// A load from a page that is not there, and IRET to the instruction behind
    /// it.
    pub const PAGE_FAULT: u64 = 6;
    /// A far CALL through a 64-bit call gate, and RETF.
    pub const CALL_GATE: u64 = 7;
}

/// Ways out of the VM.
pub mod exits {
    /// OUT to [`super::PORT`], where no device is.
    pub const PORT_WRITE: u64 = 1;
    /// A store to [`super::DEVICE`], where no RAM is.
    pub const MMIO_WRITE: u64 = 2;
    /// HLT.
    pub const HALT: u64 = 3;
    /// CPUID.
    pub const CPUID: u64 = 4;
    /// VMCALL, Intel's hypercall.
    pub const VMCALL: u64 = 5;
    /// VMMCALL, AMD's hypercall.
    pub const VMMCALL: u64 = 6;
    /// A request to the VMM that does nothing.
    pub const NULL_REQUEST: u64 = 7;
}

/// The I/O port of [`exits::PORT_WRITE`]: the VMM goes on, in such a job only.
pub const PORT: u16 = crate::hypercall::PORT + 1;

/// Physical address of [`exits::MMIO_WRITE`]: the first one that is no RAM,
/// however much there is. In the direct map in such a job only.
pub const DEVICE: u64 = crate::layout::LOW_RAM_END;

wire_struct! {
    /// What came of it.
    pub struct Answer {
        /// How far it got: one of [`phase`].
        pub phase: u64,
        /// The exception that ended it, or [`NO_EXCEPTION`].
        pub vector: u64,
        /// The exception's error code, all ones if it has none.
        pub error_code: u64,
        /// Where the exception came.
        pub rip: u64,
        /// CS at the exception; its low two bits are the ring.
        pub cs: u64,
        /// 1 if the first call did what it should. Of a round trip: ring 0's CS
        /// came back in EAX, and CS, SS and RSP of ring 3.
        pub worked: u64,
    }
}

/// [`Answer::phase`].
pub mod phase {
    /// The first call was not reached.
    pub const NOT_THERE: u64 = 0;
    /// At the very first call.
    pub const TRYING: u64 = 1;
    /// After it.
    pub const MEASURING: u64 = 2;
    /// At the end.
    pub const DONE: u64 = 3;
}

/// [`Answer::vector`], if no exception ended it; [`Answer::error_code`], if the
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

    /// Calls in all: the first one, those of the batches, the single ones.
    pub const fn all_calls(&self) -> u64 {
        1 + self.samples + self.batches * self.calls
    }
}
