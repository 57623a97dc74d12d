//! What differs between instruction sets: how a program starts, and by which
//! instructions it enters the kernel. One directory each; 32-bit programs will
//! get theirs.

mod x86_64;

/// The door that this crate's own wrappers use.
pub(crate) use x86_64::syscall64 as door;
pub use x86_64::{int80, syscall64};
