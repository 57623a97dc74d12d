//! The door of SYSCALL, with the x86-64 numbers and convention.
//!
//! Number in RAX, arguments in RDI, RSI, RDX, R10, R8, R9; the result comes
//! in RAX (System V ABI for x86-64, A.2.1). SYSCALL itself clobbers RCX (the
//! return address) and R11 (RFLAGS); everything else is preserved.
#![allow(unsafe_code, reason = "a system call is one instruction")]

use core::arch::asm;

/// A call with all six arguments and the whole of RAX, high half included.
/// The number is its low half; what is in the high half is for tests.
///
/// Clobbers RCX and R11.
///
/// # Safety
/// The call may do whatever its number and arguments say, to memory too.
#[inline(always)]
pub unsafe fn call(rax: u64, arguments: [u64; 6]) -> u64 {
    let [a0, a1, a2, a3, a4, a5] = arguments;
    let result;
    // SAFETY: the caller vouches for what the call does.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") rax => result,
            in("rdi") a0,
            in("rsi") a1,
            in("rdx") a2,
            in("r10") a3,
            in("r8") a4,
            in("r9") a5,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Calls with so many arguments; registers of the others are left alone.
macro_rules! calls {
    ($($name:ident($($register:tt $argument:ident),*), $count:literal;)*) => {
        $(
            #[doc = concat!("A call with ", $count, ".")]
            ///
            /// Answers RAX as it is: `trapgate_uapi::errno::from_return` tells
            /// results from errors. Clobbers RCX and R11.
            ///
            /// # Safety
            /// The call may do whatever its number and arguments say, to
            /// memory too.
            #[inline(always)]
            pub unsafe fn $name(number: u32, $($argument: u64),*) -> u64 {
                let result;
                // SAFETY: the caller vouches for what the call does.
                unsafe {
                    asm!(
                        "syscall",
                        inlateout("rax") u64::from(number) => result,
                        $(in($register) $argument,)*
                        lateout("rcx") _,
                        lateout("r11") _,
                        options(nostack),
                    );
                }
                result
            }
        )*
    };
}
calls! {
    call0(), "no argument";
    call1("rdi" a0), "one argument";
    call2("rdi" a0, "rsi" a1), "two arguments";
    call3("rdi" a0, "rsi" a1, "rdx" a2), "three arguments";
    call4("rdi" a0, "rsi" a1, "rdx" a2, "r10" a3), "four arguments";
    call5("rdi" a0, "rsi" a1, "rdx" a2, "r10" a3, "r8" a4), "five arguments";
    call6("rdi" a0, "rsi" a1, "rdx" a2, "r10" a3, "r8" a4, "r9" a5), "six arguments";
}
