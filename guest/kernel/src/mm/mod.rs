//! Memory: frames, the kernel's heap, and the program's address space.

pub mod frames;
#[cfg(target_os = "none")]
pub mod heap;
pub mod space;
pub mod vma;

pub use space::AddressSpace;
