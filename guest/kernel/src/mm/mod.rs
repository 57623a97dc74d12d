//! Memory: frames, and the program's address space.

pub mod backing;
pub mod fault;
pub mod frames;
pub mod object;
pub mod space;
pub mod vma;
