//! trapgate's ring-0 kernel: one tiny kernel between an ordinary Linux program
//! in ring 3 and the VMM.
//!
//! The rooms, top to bottom; each uses the ones below it and none above:
//!
//! - `entry`: the roof. One file a door, the exceptions, the way out.
//! - [`syscall`] and [`fault`]: what came in, and who handles it.
//! - [`sys`]: the system calls, by subject. They read like their man pages.
//! - [`mm`], [`task`], [`fs`], [`user`], [`host`], [`clock`]: the mechanisms.
//! - [`arch`]: the floor. The CPU.
//! - [`job`]: a room apart, for VMs that measure and run no program.
//!
//! The library also builds for the host, without the entry code, so that its
//! pure functions can be tested there.
#![cfg_attr(target_os = "none", no_std)]

pub mod dispatch;
#[cfg(target_os = "none")]
pub mod entry;
pub mod exception;
#[cfg(target_os = "none")]
mod panic;
pub mod return_path;
#[cfg(target_os = "none")]
mod start;
