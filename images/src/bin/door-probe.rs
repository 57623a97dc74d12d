//! Tries one door: getpid twice and exit, by that door alone.
//!
//! Made for 64 bits, it knows `syscall64`, `int80` and `sysenter`; made for 32
//! bits, `int80`, `syscall`, `sysenter` and `vsyscall`. `trapgate doctor` runs
//! both.
//!
//! Status 0: the door works; 1: it answers, but wrongly; 2: not told which
//! door, or the kernel told no vDSO. Prints nothing.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "makes its calls by the door itself")]

use trapgate_rt::{Args, int80};
use trapgate_uapi::errno::is_error;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

/// Makes the calls by `$door`, a module of guest-rt, with the numbers `$nr`.
macro_rules! probe {
    ($door:ident, $nr:ident) => {{
        // SAFETY: getpid touches no memory, exit_group ends the program.
        unsafe {
            let first = $door::call0($nr::GETPID);
            let second = $door::call0($nr::GETPID);
            $door::call1($nr::EXIT_GROUP, status(first, second).into());
        }
        unreachable!("exit_group returned")
    }};
}

fn main(args: Args) -> i32 {
    match args.arg(1) {
        Some(b"int80") => probe!(int80, nr32),
        Some(door) => others::probe(door),
        None => 2,
    }
}

/// 0 for two equal, positive answers.
fn status(first: u64, second: u64) -> u32 {
    let good = first == second && first != 0 && !is_error(first);
    u32::from(!good)
}

/// The doors of 64-bit code.
#[cfg(target_arch = "x86_64")]
mod others {
    use super::status;
    use core::arch::asm;
    use trapgate_rt::syscall64;
    use trapgate_uapi::syscall::{nr32, nr64};

    pub(super) fn probe(door: &[u8]) -> i32 {
        match door {
            b"syscall64" => probe!(syscall64, nr64),
            b"sysenter" => exit_by_sysenter(),
            _ => 2,
        }
    }

    /// A call by SYSENTER returns to the lower half of a 64-bit address, which
    /// nobody survives. The call that does not return works: with status 0,
    /// which nothing else here ends with.
    fn exit_by_sysenter() -> ! {
        // The sixth argument is read from the stack, at the lower half of EBP:
        // so that must be memory. A program's own data is below 4 GiB.
        static SIXTH: [u32; 4] = [0; 4];
        // SAFETY: exit_group ends the program.
        unsafe {
            asm!(
                "mov rbp, {sixth}",
                "xor ebx, ebx",
                "sysenter",
                "ud2",
                sixth = in(reg) &raw const SIXTH,
                in("eax") nr32::EXIT_GROUP,
                options(noreturn),
            )
        }
    }
}

/// The doors of 32-bit code.
#[cfg(target_arch = "x86")]
mod others {
    use super::status;
    use trapgate_rt::{syscall32, sysenter, vsyscall};
    use trapgate_uapi::syscall::nr32;

    pub(super) fn probe(door: &[u8]) -> i32 {
        match door {
            b"syscall" => probe!(syscall32, nr32),
            b"sysenter" => probe!(sysenter, nr32),
            b"vsyscall" if vsyscall::address().is_some() => probe!(vsyscall, nr32),
            _ => 2,
        }
    }
}
