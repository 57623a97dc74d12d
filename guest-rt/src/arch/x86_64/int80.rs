//! The door of INT 0x80, with the i386 numbers and convention, from 64-bit
//! code.
//!
//! Number in EAX, arguments in EBX, ECX, EDX, ESI, EDI, EBP: the kernel takes
//! 32 bits of each, so pointers must lie below 4 GiB, as a static program's
//! own data does and its stack does not. The result comes in RAX; no other
//! register changes. (Linux before 4.17 zeroed R8 to R11: they count as
//! clobbered here.)
#![allow(unsafe_code, reason = "a system call is one instruction")]

use core::arch::asm;

/// A call with all six arguments and whole registers, high halves included;
/// what is in the high halves is for tests. Answers RAX as it is.
///
/// Clobbers R8 to R11.
///
/// # Safety
/// The call may do whatever its number and arguments say, to memory too.
#[inline(always)]
pub unsafe fn call(rax: u64, arguments: [u64; 6]) -> u64 {
    let [a0, a1, a2, a3, a4, a5] = arguments;
    let result;
    // SAFETY: the caller vouches for what the call does. RBX and RBP belong
    // to the compiler and are back in place after the block.
    unsafe {
        asm!(
            "xchg rbx, r12",
            "xchg rbp, r13",
            "int 0x80",
            "xchg rbp, r13",
            "xchg rbx, r12",
            inlateout("rax") rax => result,
            inout("r12") a0 => _,
            in("rcx") a1,
            in("rdx") a2,
            in("rsi") a3,
            in("rdi") a4,
            inout("r13") a5 => _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// The result in EAX, extended by its sign, so that errors are where
/// `trapgate_uapi::errno` looks for them.
#[inline(always)]
const fn extend(rax: u64) -> u64 {
    rax as i32 as u64
}

/// Calls with so many arguments; those not given are zero.
macro_rules! calls {
    ($($name:ident($($argument:ident),*), $count:literal;)*) => {
        $(
            #[doc = concat!("A call with ", $count, ".")]
            ///
            /// Answers EAX extended by its sign: `trapgate_uapi::errno::from_return`
            /// tells results from errors. Clobbers R8 to R11.
            ///
            /// # Safety
            /// The call may do whatever its number and arguments say, to
            /// memory too.
            #[inline(always)]
            pub unsafe fn $name(number: u32, $($argument: u32),*) -> u64 {
                let given = [$(u64::from($argument)),*];
                let mut arguments = [0; 6];
                arguments[..given.len()].copy_from_slice(&given);
                // SAFETY: the caller vouches for what the call does.
                extend(unsafe { call(u64::from(number), arguments) })
            }
        )*
    };
}
calls! {
    call0(), "no argument";
    call1(a0), "one argument";
    call2(a0, a1), "two arguments";
    call3(a0, a1, a2), "three arguments";
    call4(a0, a1, a2, a3), "four arguments";
    call5(a0, a1, a2, a3, a4), "five arguments";
    call6(a0, a1, a2, a3, a4, a5), "six arguments";
}
