//! trapgate's kernel above the CPU.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod clock;
pub mod fs;
pub mod host;
pub mod log;
pub mod mm;
pub mod process;
pub mod signal;
pub mod sys;
pub mod user;
#[cfg(test)]
mod tests;
