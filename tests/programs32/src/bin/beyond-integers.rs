//! `beyond-integers WHAT`: an instruction that is not an integer one: `xgetbv`,
//! `sse`, `avx`; or `ud2`, which no CPU has. It dies by SIGILL where there is no
//! such instruction.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "instructions by name")]

use core::arch::asm;
use trapgate_rt::{Args, eprintln, println};

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    // SAFETY: each changes vector registers at most, which no code here uses.
    match args.arg(1).unwrap_or(b"") {
        b"xgetbv" => unsafe { asm!("xgetbv", in("ecx") 0, out("eax") _, out("edx") _) },
        b"sse" => unsafe { asm!("addps xmm0, xmm1") },
        b"avx" => unsafe { asm!("vaddps ymm0, ymm0, ymm1") },
        b"ud2" => unsafe { asm!("ud2") },
        _ => {
            eprintln!("first argument: xgetbv, sse, avx or ud2");
            return 2;
        }
    }
    println!("executed");
    0
}
