//! What a process runs: what /proc tells of it.

use crate::fs::executable::Executable;
use trapgate_abi::boot_info::Range;

/// A program and its memory's parts.
#[derive(Clone, Default)]
pub struct Program {
    /// Its file, /proc/self/exe; none, if the VMM has loaded it.
    pub file: Option<Executable>,
    /// What is where on its stack.
    pub parts: Parts,
}

/// Ranges of a program's addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The arguments, NUL-terminated.
    pub arguments: Range,
    /// The environment, NUL-terminated.
    pub environment: Range,
    /// The auxiliary vector, its end among it.
    pub auxv: Range,
}
