//! What the measuring images share: the bracket around a loop, and the line
//! that reports it.
#![no_std]
#![allow(unsafe_code, reason = "reads the time-stamp counter")]

pub mod bench;

use core::arch::asm;
use trapgate_rt::{Args, println};

/// Iterations if the command line does not say.
const CALLS: u64 = 1000;
/// Repeats if the command line does not say.
const REPEATS: u64 = 20;

/// The time-stamp counter, between two fences: not before what stands in
/// front is done, and before what follows begins. RDTSCP is not everywhere.
#[inline(always)]
fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high, options(nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The fewest ticks that `body` took in so many repeats.
#[inline(always)]
fn fewest(repeats: u64, calls: u64, body: impl Fn(u64)) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..repeats {
        let start = ticks();
        body(calls);
        least = least.min(ticks().wrapping_sub(start));
    }
    least
}

/// Measures a door and prints one line. `with_door` and `empty` run a loop of
/// so many iterations, which differ only in the door's instruction.
///
/// Arguments of the program: iterations, repeats.
#[inline(always)]
pub fn measure(args: Args, door: &str, with_door: impl Fn(u64), empty: impl Fn(u64)) -> i32 {
    let positive = |index, default| match args.arg(index) {
        None => Some(default),
        Some(_) => args.number(index).filter(|&number| number > 0),
    };
    let (Some(calls), Some(repeats)) = (positive(1, CALLS), positive(2, REPEATS)) else {
        trapgate_rt::eprintln!("arguments: [iterations [repeats]], both above 0");
        return 2;
    };
    // Code, tables and the TLB are warm afterwards.
    with_door(calls.min(CALLS));
    let total = fewest(repeats, calls, with_door);
    let overhead = fewest(repeats, calls, empty);
    let hundredths = (u128::from(total.saturating_sub(overhead)) * 100) / u128::from(calls);
    println!(
        "door={door} calls={calls} repeats={repeats} min_ticks_total={total} \
         loop_ticks_total={overhead} ticks_per_call={}.{:02}",
        hundredths / 100,
        hundredths % 100,
    );
    0
}

/// A loop of `$calls` iterations around `$door`, an instruction or nothing.
/// Everything that either door clobbers counts as clobbered, so that the two
/// loops of a program are otherwise the same.
#[macro_export]
macro_rules! door_loop {
    ($calls:expr, $number:expr, $door:literal) => {
        // SAFETY: getpid touches no memory, and the loop ends with its count.
        unsafe {
            ::core::arch::asm!(
                "2:",
                "mov eax, {number}",
                $door,
                "dec {count}",
                "jnz 2b",
                number = const $number,
                count = inout(reg) $calls => _,
                out("rax") _,
                out("rcx") _,
                out("r8") _,
                out("r9") _,
                out("r10") _,
                out("r11") _,
                options(nostack),
            )
        }
    };
}
