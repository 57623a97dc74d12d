//! AT_MINSIGSTKSZ: prints it, and compares it with Linux's reckoning for the
//! states that are enabled here. Those may be more natively.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "XGETBV")]

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use trapgate_programs::Report;
use trapgate_rt::{Args, aux, println};

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    let mut report = Report::new();
    let told = args.aux(aux::MINSIGSTKSZ).unwrap_or(0) as u64;
    println!("AT_MINSIGSTKSZ: {told}");
    report.equals("it fits this CPU", told, reckoned());
    report.status()
}

fn reckoned() -> u64 {
    const OSXSAVE: u32 = 1 << 27;
    let mut state = 512;
    if __cpuid_count(1, 0).ecx & OSXSAVE != 0 {
        let (low, high): (u32, u32);
        // SAFETY: OSXSAVE says that it is there; it reads a register.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack));
        }
        let enabled = u64::from(high) << 32 | u64::from(low);
        let ends = (2..63).filter(|number| enabled & 1 << number != 0).map(|number| {
            let leaf = __cpuid_count(0xd, number);
            u64::from(leaf.eax) + u64::from(leaf.ebx)
        });
        // With the magic word at the end.
        state = ends.fold(576, u64::max) + 4;
    }
    // i386's struct sigframe, FSAVE's state, and padding.
    (state + 736 + 112 + 15 + 63).next_multiple_of(16)
}
