//! What trapgate's VMM (`vmm`) and its ring-0 kernel (`guest`) agree on.
//!
//! Each number that both sides use stands here, once: the memory map, the CPU's
//! selectors and registers, the boot information and the requests of the hypercall
//! interface. What Linux and its programs agree on is `trapgate_uapi`, on which this
//! crate stands. It has no other dependencies, no unsafe code and no state.
//!
//! | module | what is agreed on |
//! |---|---|
//! | [`layout`] | the memory map, drawn; where each CPU's things are |
//! | [`boot_info`], [`kernel_note`] | what the VMM tells the kernel, and what the image tells the VMM |
//! | [`hypercall`], [`file`](mod@file), [`event`], [`crash`] | requests and replies, and what they carry |
//! | [`counters`], [`log`] | what the kernel leaves for the VMM to read |
//! | [`clock`] | what the clocks show: one formula for kernel and vDSO |
//! | [`mitigation`], [`stamps`], [`trace`] | what the instrumented image has besides |
//! | [`job`], [`bench`](mod@bench) | what a VM without a program measures; how the probe is talked to |
//! | [`x86`], [`pt_regs`] | the CPU's numbers; a program's registers in ring 0 |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bench;
pub mod boot_info;
pub mod clock;
pub mod counters;
pub mod crash;
pub mod event;
pub mod file;
pub mod hypercall;
pub mod job;
pub mod kernel_note;
pub mod layout;
pub mod log;
pub mod mitigation;
pub mod pt_regs;
pub mod stamps;
pub mod test_hook;
pub mod trace;
mod wire;
pub mod x86;

pub use pt_regs::PtRegs;

/// The version of everything in this crate. The kernel's image carries it in
/// an ELF note, the VMM refuses an image with another one, and the kernel
/// compares it with [`boot_info::BootInfo::abi_version`] once more.
pub const ABI_VERSION: u64 = 16;
