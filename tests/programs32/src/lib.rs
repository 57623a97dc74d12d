//! What the 32-bit test programs share: the door that an argument names, calls
//! by it, crossings with every register under control, memory at fixed
//! addresses.
//!
//! Like the 64-bit ones (`tests/programs`) they print what they observed, in
//! words that are the same natively and in a sandbox, and end with status 0 if
//! all of it was as expected, else 1; status 2: not told what to do. They
//! consist of integer instructions alone, because compatibility mode may be
//! interpreted.
#![cfg(target_arch = "x86")]
#![no_std]
#![allow(unsafe_code, reason = "makes system calls and touches memory by address")]

pub mod crossing;
pub mod jump;
mod memory;

pub use memory::{PAGE, map, peek, poke, protect, unmap};
pub use trapgate_programs::turns::Turns;
pub use trapgate_programs::{Outcome, Report};

use trapgate_rt::{Args, eprintln, exit, int80, println, syscall32, sysenter, vsyscall};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;

/// A descriptor that is never open here.
pub const BAD_FD: u32 = 99;

/// A door of 32-bit code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// INT 0x80.
    Int80,
    /// SYSCALL, with the stack as the vDSO lays it.
    Syscall,
    /// SYSENTER, with the stack as the vDSO lays it.
    Sysenter,
    /// The vDSO's `__kernel_vsyscall`.
    Vsyscall,
}

impl Door {
    /// The door that the program's first argument names. Without one, the
    /// program ends with status 2; without the vDSO that all but INT 0x80 come
    /// back to, with status 3.
    pub fn of(args: Args) -> Door {
        let door = match args.arg(1) {
            Some(b"int80") => Door::Int80,
            Some(b"syscall") => Door::Syscall,
            Some(b"sysenter") => Door::Sysenter,
            Some(b"vsyscall") => Door::Vsyscall,
            _ => {
                eprintln!("first argument: int80, syscall, sysenter or vsyscall");
                exit(2)
            }
        };
        if door != Door::Int80 && vsyscall::address().is_none() {
            eprintln!("the kernel tells no __kernel_vsyscall (AT_SYSINFO)");
            exit(3)
        }
        door
    }

    /// A call; arguments not given are zero.
    ///
    /// Not `unsafe`, so that programs read as lists of calls. It is up to them
    /// to pass only memory that the compiler does not know.
    pub fn call(self, number: u32, arguments: &[u32]) -> Result<u64, Errno> {
        let mut six = [0; 6];
        six[..arguments.len()].copy_from_slice(arguments);
        // SAFETY: see above.
        let eax = unsafe {
            match self {
                Door::Int80 => int80::call(number, six),
                Door::Syscall => syscall32::call(number, six),
                Door::Sysenter => sysenter::call(number, six),
                Door::Vsyscall => vsyscall::call(number, six),
            }
        };
        from_return(eax.cast_signed() as u64)
    }

    /// The flags that come back as they were. SYSENTER, which the vDSO may use,
    /// saves none: Linux's entry does, after it has calculated, where it has
    /// page tables of its own.
    pub fn kept_flags(self) -> u32 {
        const ARITHMETIC: u32 = 0x8d5;
        match self {
            Door::Int80 | Door::Syscall => u32::MAX,
            Door::Sysenter | Door::Vsyscall => !ARITHMETIC,
        }
    }

    /// The door's instruction; the vDSO's door is none.
    pub fn bytes(self) -> [u8; 2] {
        match self {
            Door::Int80 => [0xcd, 0x80],
            Door::Syscall => [0x0f, 0x05],
            Door::Sysenter => [0x0f, 0x34],
            Door::Vsyscall => {
                eprintln!("a call of the vDSO is no door's instruction");
                exit(2)
            }
        }
    }
}

/// Prints where SYSENTER and SYSCALL return to, for whoever compares addresses:
/// the instruction behind INT 0x80 in `__kernel_vsyscall`.
pub fn print_landing_pad() {
    if let Some(start) = vsyscall::address() {
        let pad = (start..start + 32).find(|&at| [peek(at - 2), peek(at - 1)] == [0xcd, 0x80]);
        println!("landing pad {:#x}", pad.unwrap_or(0));
    }
}
