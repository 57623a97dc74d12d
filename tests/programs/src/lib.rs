//! What the ring-3 test programs share: checks that print, calls that answer
//! `Result`, pages to try things on.
//!
//! Each program prints what it observed, in words that are the same natively
//! and in a sandbox, and ends with status 0 if all of it was as expected, else
//! with 1. So the same binary run on the host is the oracle. The 32-bit programs
//! (`tests/programs32`) use the report and `forks`, too.
#![no_std]
#![allow(unsafe_code, reason = "makes system calls and touches memory by address")]

#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
pub mod crossing;
pub mod forks;
#[cfg(target_arch = "x86_64")]
pub mod jump;
#[cfg(target_arch = "x86_64")]
mod memory;
#[cfg(target_arch = "x86_64")]
pub mod registers;
mod report;
pub mod turns;
#[cfg(target_arch = "x86_64")]
pub mod vdso;

#[cfg(target_arch = "x86_64")]
pub use calls::{address, call, call_i386};
#[cfg(target_arch = "x86_64")]
pub use memory::{PAGE, Pages, map_at, peek, peek_u64, poke, poke_u64};
pub use report::{Outcome, Report};

/// A descriptor that is never open here.
pub const BAD_FD: u64 = 99;
/// The end of the user's addresses, exclusive, as in Linux.
pub const USER_END: u64 = trapgate_abi::layout::USER_END;
/// An address in the kernel's half.
pub const KERNEL_HALF: u64 = 0xffff_8880_0000_0000;
/// An address that is in neither half.
pub const NON_CANONICAL: u64 = 0x8000_0000_0000_0000;

/// -1 as a register holds it.
pub const MINUS_ONE: u64 = u64::MAX;
