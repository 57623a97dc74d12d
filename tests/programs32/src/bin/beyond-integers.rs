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
    let what = args.arg(1).unwrap_or(b"");
    if !matches!(what, b"xgetbv" | b"sse" | b"avx" | b"ud2") {
        eprintln!("first argument: xgetbv, sse, avx or ud2");
        return 2;
    }
    // SAFETY: each changes vector registers at most, which no code here uses, or
    // ends the program.
    unsafe {
        match what {
            b"xgetbv" => asm!("xgetbv", in("ecx") 0, out("eax") _, out("edx") _),
            b"sse" => asm!("addps xmm0, xmm1"),
            b"avx" => asm!("vaddps ymm0, ymm0, ymm1"),
            _ => asm!("ud2"),
        }
    }
    println!("executed");
    0
}
