//! Calls by both doors that answer `Result`.

use trapgate_rt::{int80, syscall64};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;

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
