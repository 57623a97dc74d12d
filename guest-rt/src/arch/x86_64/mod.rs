//! x86-64: start code, the door of SYSCALL, the door of INT 0x80.

pub mod int80;
#[cfg(target_os = "none")]
mod start;
pub mod syscall64;

/// What an argument of a call is passed in.
pub(crate) type Word = u64;
pub(crate) use trapgate_uapi::syscall::nr64 as nr;
/// The call that takes a `struct timespec` of two 64-bit words.
pub(crate) const CLOCK_GETTIME: u32 = nr::CLOCK_GETTIME;
