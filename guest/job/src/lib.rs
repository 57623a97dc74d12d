//! Jobs: what a VM does that measures instead of running a program.
//!
//! A room apart, which no call of a program's ever enters. `start` comes here if
//! the VMM asks for it ([`trapgate_abi::job`]); one of three does the work:
//!
//! - `legacy`: the doors of legacy protected mode;
//! - `bare`: ways from 64-bit ring 3 into ring 0 and back;
//! - `exits`: ways out of the VM.
//!
//! The first two run the kernel's own ring-3 code, of one text in `ring3`.

#![cfg_attr(target_os = "none", no_std)]

pub mod bare;
#[cfg(target_os = "none")]
mod carry_out;
#[cfg(target_os = "none")]
mod exits;
pub mod legacy;
#[cfg(target_os = "none")]
mod registers;
pub mod ring3;

#[cfg(target_os = "none")]
pub use carry_out::carry_out;
