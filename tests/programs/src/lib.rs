//! What the ring-3 test programs share: checks that print, calls that answer
//! `Result`, pages to try things on.
//!
//! Each program prints what it observed, in words that are the same natively
//! and in a sandbox, and ends with status 0 if all of it was as expected, else
//! 1. So the same binary run on the host is the oracle.
#![no_std]
#![allow(unsafe_code, reason = "makes system calls and touches memory by address")]

pub mod crossing;
mod memory;
mod report;
pub mod vdso;

pub use memory::{PAGE, Pages, peek, peek_u64, poke, poke_u64};
pub use report::{Outcome, Report};

use trapgate_abi::Errno;
use trapgate_abi::errno::from_return;
use trapgate_rt::{int80, syscall64};

/// A descriptor that is never open here.
pub const BAD_FD: u64 = 99;
/// The end of the user's addresses, exclusive, as in Linux.
pub const USER_END: u64 = trapgate_abi::layout::USER_END;
/// An address in the kernel's half.
pub const KERNEL_HALF: u64 = 0xffff_8880_0000_0000;
/// An address that is in neither half.
pub const NON_CANONICAL: u64 = 0x8000_0000_0000_0000;

/// A call by SYSCALL; arguments not given are zero.
///
/// Not `unsafe`, so that programs read as lists of calls. It is up to them to
/// pass only memory of their own that the compiler does not know: [`Pages`],
/// or arrays that they reread through this crate.
#[inline(never)]
pub fn call(number: u32, arguments: &[u64]) -> Result<u64, Errno> {
    // SAFETY: see above.
    from_return(unsafe { syscall64::call(number.into(), six(arguments)) })
}

/// A call by INT 0x80, with the i386 number; arguments not given are zero.
/// For safety see [`call`].
#[inline(never)]
pub fn call_i386(number: u32, arguments: &[u64]) -> Result<u64, Errno> {
    // SAFETY: see `call`.
    let rax = unsafe { int80::call(number.into(), six(arguments)) };
    from_return(rax as i32 as u64)
}

fn six(arguments: &[u64]) -> [u64; 6] {
    let mut registers = [0; 6];
    registers[..arguments.len()].copy_from_slice(arguments);
    registers
}

/// The address of a value that a call will read or write.
pub fn address<T: ?Sized>(value: &mut T) -> u64 {
    (&raw mut *value).cast::<u8>() as u64
}

/// -1 as a register holds it.
pub const MINUS_ONE: u64 = u64::MAX;
