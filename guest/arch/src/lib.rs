//! The floor: the CPU. Names and numbers come from `trapgate_abi::x86`.
//!
//! Nothing here knows a system call, a task or a file. Where the roof's entry
//! points stand, `trapgate_abi::layout` says.

#![cfg_attr(target_os = "none", no_std)]

pub mod cpu;
pub mod ex_table;
pub mod gdt;
pub mod idt;
pub mod paging;
pub mod percpu;
#[cfg(target_os = "none")]
pub mod site;
pub mod tls;
pub mod usercopy;
