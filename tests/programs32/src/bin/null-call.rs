//! `null-call DOOR [REPEATS]`: counts the instructions of getpid(2) by a door of
//! 32-bit code, where the time-stamp counter counts them, and prints them as
//! `instructions=N elements=N` (`cargo xtask counts`; `ops` has the 64-bit doors).
//!
//! Counted is the door's instruction and the way through the kernel to the next one.
//! For the fast doors that is the vDSO's landing pad, whose four instructions the
//! empty loop has too.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the loops around the doors are assembly")]

use core::arch::asm;

use trapgate_programs32::Door;
use trapgate_rt::{Args, eprintln, println};
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

/// Calls in a loop, and loops of which the least disturbed counts.
const CALLS: u32 = 1000;
const REPEATS: u64 = 20;

/// A loop of calls; what stands between the labels is the way to the door and, where
/// the landing pad does not do that, back.
macro_rules! ticks_of {
    ($($line:literal),*) => {{
        let start = ticks();
        // SAFETY: getpid touches no memory, and the stack is as it was.
        unsafe {
            asm!(
                "2:", "mov eax, {number}", "call 3f", "jmp 4f", "3:", $($line,)* "4:",
                "dec edi", "jnz 2b",
                number = const nr32::GETPID,
                inlateout("edi") CALLS => _, lateout("eax") _, lateout("ecx") _, lateout("edx") _,
            );
        }
        ticks().wrapping_sub(start)
    }};
}

fn main(args: Args) -> i32 {
    let with: fn() -> u64 = match Door::of(args) {
        Door::Int80 => || ticks_of!("int 0x80", "ret"),
        Door::Syscall => {
            || ticks_of!("push ecx", "push edx", "push ebp", "mov ebp, ecx", "syscall", "ud2")
        }
        Door::Sysenter => {
            || ticks_of!("push ecx", "push edx", "push ebp", "mov ebp, esp", "sysenter", "ud2")
        }
        Door::Vsyscall => {
            eprintln!("vsyscall is a function, no door");
            return 2;
        }
    };
    let without: fn() -> u64 = match Door::of(args) {
        Door::Int80 => || ticks_of!("ret"),
        _ => || {
            ticks_of!(
                "push ecx",
                "push edx",
                "push ebp",
                "mov ebp, ecx",
                "pop ebp",
                "pop edx",
                "pop ecx",
                "ret"
            )
        },
    };
    let repeats = args.number(2).unwrap_or(REPEATS).max(1);
    let least = |body: fn() -> u64| (0..repeats).map(|_| body()).min().unwrap_or_default();
    let counted = least(with).wrapping_sub(least(without));
    println!("instructions={} elements={CALLS}", counted / u64::from(CALLS));
    0
}

/// The time-stamp counter, between two fences.
#[inline(always)]
fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high, options(nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}
