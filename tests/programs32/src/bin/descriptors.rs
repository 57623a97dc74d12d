//! `descriptors`: segments that no program may have, asked for by
//! set_thread_area(2) and modify_ldt(2).
//!
//! `descriptors REGISTER SELECTOR` (hexadecimal): loads a selector that is not
//! the program's into `ds`, `es`, `fs`, `gs` or `ss`, or goes there by a far
//! return, `return`, or a far call, `call`. Dies by a signal.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "loads segment registers")]

use core::arch::asm;
use trapgate_programs32::{Door, Report};
use trapgate_rt::{Args, eprintln, println};
use trapgate_uapi::{Errno, syscall::nr32};

trapgate_rt::entry!(main);

/// `struct user_desc`: number, base, limit, flags.
type UserDesc = [u32; 4];
const SEG_32BIT: u32 = 1 << 0;
const CODE: u32 = 2 << 1;
const CONFORMING: u32 = 3 << 1;
const LIMIT_IN_PAGES: u32 = 1 << 4;
const SEG_NOT_PRESENT: u32 = 1 << 5;
const FLAT: u32 = SEG_32BIT | LIMIT_IN_PAGES;

/// What set_thread_area answers EINVAL to: there is no way to say "ring 0" or
/// "gate", and these are what comes nearest.
const REFUSED: [(&str, UserDesc); 9] = [
    ("code", [12, 0, 0xf_ffff, FLAT | CODE]),
    ("conforming code", [12, 0, 0xf_ffff, FLAT | CONFORMING]),
    ("absent", [12, 0, 0xf_ffff, FLAT | SEG_NOT_PRESENT]),
    ("16-bit", [12, 0, 0xffff, 1 << 6]),
    ("the kernel's code", [2, 0, 0xf_ffff, FLAT]),
    ("the task-state segment", [8, 0, 0xf_ffff, FLAT]),
    ("the entry before", [11, 0, 0xf_ffff, FLAT]),
    ("the entry behind", [15, 0, 0xf_ffff, FLAT]),
    ("a negative entry", [0xffff_fff0, 0, 0xf_ffff, FLAT]),
];

fn main(args: Args) -> i32 {
    let selector = args.arg(2).and_then(|text| core::str::from_utf8(text).ok());
    let selector = selector.and_then(|text| u16::from_str_radix(text, 16).ok());
    match (args.arg(1), selector) {
        (None, _) => ask(),
        (Some(register), Some(selector)) => load(register, selector),
        _ => 2,
    }
}

fn ask() -> i32 {
    let mut report = Report::new();
    for (what, mut desc) in REFUSED {
        let got = Door::Int80.call(nr32::SET_THREAD_AREA, &[desc.as_mut_ptr() as u32]);
        report.fails(what, got, Errno::EINVAL);
    }
    // Linux has local tables, the sandbox has none. To neither one can say
    // "ring 0" or "gate", and a conforming segment must be absent.
    for (what, mut desc) in [
        ("conforming code in the LDT", [0, 0, 0xf_ffff, FLAT | CONFORMING]),
        ("beyond the LDT", [8192, 0, 0xf_ffff, FLAT]),
    ] {
        let address = desc.as_mut_ptr() as u32;
        let got = Door::Int80.call(nr32::MODIFY_LDT, &[0x11, address, 16]);
        report.holds(what, matches!(got, Err(Errno::EINVAL | Errno::ENOSYS)));
    }
    let got = Door::Int80.call(nr32::MODIFY_LDT, &[7, 0, 0]);
    report.fails("modify_ldt of an unknown kind", got, Errno::ENOSYS);
    report.status()
}

/// Loads a segment register, or CS.
fn load(register: &[u8], selector: u16) -> i32 {
    println!("loading");
    // SAFETY: the program ends here, by a signal.
    unsafe {
        match register {
            b"ds" => asm!("mov ds, {0:x}", in(reg) selector),
            b"es" => asm!("mov es, {0:x}", in(reg) selector),
            b"fs" => asm!("mov fs, {0:x}", in(reg) selector),
            b"gs" => asm!("mov gs, {0:x}", in(reg) selector),
            b"ss" => asm!("mov ss, {0:x}", in(reg) selector),
            b"return" => asm!("push {0:e}", "push 0", "retf", in(reg) u32::from(selector)),
            b"call" => {
                let target = [0u16, 0, selector];
                asm!("call fword ptr [{}]", in(reg) &target);
            }
            _ => return 2,
        }
    }
    eprintln!("survived");
    1
}
