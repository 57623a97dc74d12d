//! What a process runs: what /proc tells of it.

use crate::fs::executable::Executable;
pub use trapgate_abi::boot_info::Parts;

/// A program and its memory's parts.
#[derive(Clone, Default)]
pub struct Program {
    /// Its file, /proc/self/exe; none, if the VMM has loaded it, and nobody has asked.
    pub file: Option<Executable>,
    /// What is where in its memory.
    pub parts: Parts,
}
