//! Records of what went wrong, as the kernel reports them.
//!
//! A record is data; the VMM adds symbols and words.

use crate::pt_regs::PtRegs;
use crate::wire::wire_struct;

wire_struct! {
    /// The circumstances of a fault.
    pub struct Fault {
        /// The exception's vector ([`crate::x86::vector`]), or
        /// [`NO_VECTOR`] where a call and no exception was the cause.
        pub vector: u64,
        /// The exception's error code, 0 where the vector has none; for
        /// [`NO_VECTOR`] one of [`call`].
        pub error_code: u64,
        /// CR2 for a page fault, else 0.
        pub address: u64,
        /// The first 8 bytes at RIP, as far as `code_len` says.
        pub code_low: u64,
        /// The next 8 bytes.
        pub code_high: u64,
        /// How many bytes of code could be read, at most 16.
        pub code_len: u64,
    }
}

/// [`Fault::vector`] when no exception was the cause.
pub const NO_VECTOR: u64 = u64::MAX;
/// What a program did that no exception has ended.
pub mod call {
    /// It ran.
    pub const NONE: u64 = 0;
    /// It was in a call of the x86-64 ABI, whose number is in `orig_rax`.
    pub const X86_64: u64 = 1;
    /// It was in one of the i386 ABI.
    pub const I386: u64 = 2;
}

/// [`Fault::vector`] when memory ran out.
pub const OUT_OF_MEMORY: u64 = u64::MAX - 1;

/// How many return addresses a kernel report carries at most.
pub const BACKTRACE_DEPTH: usize = 16;

/// A fault and the registers at it, as they travel in a request.
pub const FAULT_WORDS: usize = Fault::WORDS + PtRegs::WORDS;
