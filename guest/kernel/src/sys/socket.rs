//! socket(2): there is no network.
//!
//! C libraries ask the name service's cache for users and hosts by a socket of
//! `AF_UNIX`, and do without if there is none: so that is no call that is missing. A
//! program that wants another one is told so.

use crate::sys::absent::{no_call_of_i386, no_call_of_x86_64};
use crate::sys::args::{Registers, ia32, x64};
use crate::sys::define::encode;
use trapgate_abi::PtRegs;
use trapgate_uapi::Errno;
use trapgate_uapi::socket::AF_UNIX;

/// What is answered at once.
fn socket([family, ..]: Registers) -> Option<u64> {
    (family as i32 == AF_UNIX).then(|| encode(Err(Errno::EAFNOSUPPORT)))
}

/// `socket` by the x86-64 convention.
pub(crate) extern "C-unwind" fn __x64_sys_socket(regs: &PtRegs) -> u64 {
    socket(x64(regs)).unwrap_or_else(|| no_call_of_x86_64(regs))
}

/// `socket` by the i386 convention.
pub(crate) extern "C-unwind" fn __ia32_sys_socket(regs: &PtRegs) -> u64 {
    socket(ia32(regs)).unwrap_or_else(|| no_call_of_i386(regs))
}
