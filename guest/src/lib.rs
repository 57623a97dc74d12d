//! The image of trapgate's ring-0 kernel: the roof over `trapgate-kernel`, and the
//! start.
//!
//! - `start`: from the VMM's first instruction to ring 3.
//! - `entry`: one file a door, the exceptions, the ways out.
//! - [`dispatch`]: from a complete frame to the handler in the kernel's tables.
//! - [`exception`]: whether an exception is a door, the kernel's own mistake, or
//!   something for the kernel's rooms.
//! - [`return_path`]: which way back.
//! - `note`: what the VMM must know of the image.
//! - `panic`: the end of a kernel that has gone wrong.
//!
//! Below are the crates `trapgate-kernel`, without unsafe code, and
//! `trapgate-arch`, the floor; apart is `trapgate-job`, for VMs that measure and
//! run no program.
//!
//! The library also builds for the host, without the entry code, so that its
//! pure functions can be tested there.
#![cfg_attr(target_os = "none", no_std)]

pub mod dispatch;
#[cfg(target_os = "none")]
pub mod entry;
pub mod exception;
#[cfg(target_os = "none")]
mod note;
#[cfg(target_os = "none")]
mod panic;
pub mod return_path;
#[cfg(target_os = "none")]
mod start;
