//! The door of SYSENTER, which Intel has in long mode (Intel SDM vol. 2B,
//! "SYSENTER").

use core::arch::naked_asm;

/// SYSENTER_EIP points here.
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_sysenter() -> ! {
    naked_asm!("ud2")
}
