//! What differs between instruction sets: how a program starts, by which
//! instructions it enters the kernel, and the numbers that its calls have. One
//! directory each.

#[cfg(target_arch = "x86")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86")]
pub(crate) use x86::{CLOCK_GETTIME, Word, int80 as door, nr};
#[cfg(target_arch = "x86")]
pub use x86::{int80, syscall32, sysenter, vsyscall};
/// The door that this crate's own wrappers use, a register of it, its numbers.
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{CLOCK_GETTIME, Word, nr, syscall64 as door};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{int80, syscall64};
