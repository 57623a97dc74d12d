//! What kernel and programs agree on: Linux's error numbers and system calls.
//!
//! Not what VMM and kernel agree on, which is `trapgate_abi`; neither crate uses
//! the other. The kernel answers programs by this, `guest-rt` and the tests'
//! programs ask by it, and the VMM takes the words of its services and reports
//! from here.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod errno;
pub mod syscall;

pub use errno::Errno;
