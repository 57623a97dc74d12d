//! The door that Linux wants 32-bit programs to take: a call of the vDSO's
//! `__kernel_vsyscall`, which knows the CPU's best instruction. The kernel tells
//! its address by AT_SYSINFO.
#![allow(unsafe_code, reason = "a system call is one instruction")]

use super::door::door;
use crate::{Args, aux};
use core::sync::atomic::{AtomicU32, Ordering};

/// The address of `__kernel_vsyscall`, 0 if the kernel has told none.
static ADDRESS: AtomicU32 = AtomicU32::new(0);

/// Looks where it is. The start code calls this.
pub(super) fn init(args: Args) {
    ADDRESS.store(args.aux(aux::SYSINFO).unwrap_or(0) as u32, Ordering::Relaxed);
}

/// The address of `__kernel_vsyscall`. Without it, a call by this door is a
/// jump to address 0.
pub fn address() -> Option<u32> {
    Some(ADDRESS.load(Ordering::Relaxed)).filter(|&address| address != 0)
}

door!("call dword ptr [{address}]"; address = sym ADDRESS);
