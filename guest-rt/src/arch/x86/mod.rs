//! i386: start code, memory routines, and four doors, which all have the same
//! numbers and arguments: INT 0x80, the vDSO's `__kernel_vsyscall`, and what
//! that consists of: SYSENTER or SYSCALL.
//!
//! The programs are made for Linux's target, because no bare one has this
//! instruction set, and linked without a C library (`FLAGS_32` in
//! vmm/build-guest).

mod door;
pub mod int80;
mod mem;
mod start;
pub mod syscall32;
pub mod sysenter;
pub mod vsyscall;

/// What an argument of a call is passed in.
pub(crate) type Word = u32;
pub(crate) use trapgate_uapi::syscall::nr32 as nr;
/// The call that takes a `struct timespec` of two 64-bit words.
pub(crate) const CLOCK_GETTIME: u32 = nr::CLOCK_GETTIME64;
