//! The time, for the functions of both vDSOs: out of the data page and the TSC,
//! by the formula that the kernel has too (`abi::clock`).
#![allow(unsafe_code, reason = "reads the data page and the TSC")]

use core::arch::asm;
#[cfg(target_arch = "x86")]
use core::arch::naked_asm;
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::clock::is_wall_clock;
use trapgate_uapi::time::{CLOCK_REALTIME, NSEC_PER_SEC};

/// The data page, just before the image.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn data_page() -> *const ClockInfo {
    let page;
    // SAFETY: takes an address.
    unsafe {
        asm!("lea {}, [rip + vvar]", out(reg) page,
             options(pure, nomem, nostack, preserves_flags));
    }
    page
}

/// The data page, just before the image. 32-bit code has no address relative
/// to EIP, and asks a CALL for one.
#[cfg(target_arch = "x86")]
#[unsafe(naked)]
extern "C" fn data_page() -> *const ClockInfo {
    #[unsafe(naked)]
    extern "C" fn return_address() -> usize {
        naked_asm!("mov eax, [esp]", "ret")
    }
    naked_asm!(
        "call {return_address}",
        "2: leal vvar - 2b(%eax), %eax", // eax was this instruction's address
        "ret",
        return_address = sym return_address,
        // Intel's syntax has one symbol at most in an address.
        options(att_syntax),
    )
}

/// The time-stamp counter, not earlier than what stands before the call.
#[inline(always)]
fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high,
             options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// What `clock` shows, in nanoseconds; `None` for one that is the kernel's
/// business, as all are where the TSC is no clock.
#[inline(always)]
pub(crate) fn now(clock: i32) -> Option<u64> {
    // The check first: a clock that is none must not cost the TSC.
    if !is_wall_clock(clock) {
        return None;
    }
    // SAFETY: the VMM filled the page in before the program's first
    // instruction, and nobody can write to it; a program that has unmapped it
    // gets the SIGSEGV that it asked for.
    let info = unsafe { &*data_page() };
    if info.follows_tsc() { info.read(clock, tsc()) } else { None }
}

/// `CLOCK_REALTIME` in nanoseconds; `None` as above.
#[inline(always)]
pub(crate) fn realtime() -> Option<u64> {
    now(CLOCK_REALTIME)
}

/// Seconds, and nanoseconds below one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn split(ns: u64) -> (u64, u32) {
    (ns / NSEC_PER_SEC, (ns % NSEC_PER_SEC) as u32)
}

/// Seconds, and nanoseconds below one: the long division of two digits by one,
/// for which the compiler would call a library that may use SSE.
#[cfg(target_arch = "x86")]
#[inline(always)]
pub(crate) fn split(ns: u64) -> (u64, u32) {
    const BILLION: u32 = NSEC_PER_SEC as u32;
    let (high, mut low) = ((ns >> 32) as u32, ns as u32);
    let mut rest = high % BILLION;
    // SAFETY: DIV cannot overflow: its upper half is below the divisor.
    unsafe {
        asm!("div {}", in(reg) BILLION, inout("eax") low, inout("edx") rest,
             options(pure, nomem, nostack));
    }
    (u64::from(high / BILLION) << 32 | u64::from(low), rest)
}
