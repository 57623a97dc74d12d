//! `carry-on ROUNDS`: computes for so many rounds with all registers loaded, and
//! says whether they are still there. Whoever moves it into another VM meanwhile
//! must not be noticed.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "computes in registers, and reads through FS")]

use core::arch::asm;
use core::str::from_utf8;
use trapgate_programs::registers::{
    AFTER, BEFORE, Features, control, load, load_x87, poison, set_control, store, store_x87,
};
use trapgate_programs::{Report, address, call, call_i386};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::{nr32, nr64};

trapgate_rt::entry!(main);

/// arch_prctl(2)'s way to set the base of FS.
const ARCH_SET_FS: u64 = 0x1002;
/// What is at the beginning of the thread's block.
const MARK: u64 = 0x7a11_5ca1_ab1e;
/// Rounding and masks unlike those at the start, for x87 and for SSE.
const CONTROL: (u64, u64) = (0x67f, 0xdf80);

fn main(args: Args) -> i32 {
    let rounds = args.arg(1).and_then(|text| from_utf8(text).ok()?.parse().ok()).unwrap_or(1);
    let mut report = Report::new();
    let mut block = [MARK, 0];
    let set = call(nr64::ARCH_PRCTL, &[ARCH_SET_FS, address(&mut block)]);
    report.equals("arch_prctl", set.unwrap_or(1), 0);
    let features = Features::detect();
    let poison = poison();
    BEFORE.set(poison);
    let (fcw, mxcsr) = control();
    set_control(CONTROL.0, CONTROL.1);
    load_x87();
    load(features);
    // From here to `store`, nothing touches a vector register.
    println!("ready");
    let computed = compute(rounds);
    store(features);
    let controls = control();
    let x87 = store_x87();
    set_control(fcw, mxcsr);
    println!("computed {computed:#x}");
    let (registers, words) = features.registers();
    let after = AFTER.content();
    let whole = |register| 8 * register..8 * register + words;
    let kept = (0..registers).all(|register| after[whole(register)] == poison[whole(register)]);
    report.holds("vector registers survive", kept);
    report.holds("control registers survive", controls == CONTROL);
    report.holds("x87 registers survive", x87 == [7, 6, 5, 4, 3, 2, 1, 0]);
    report.equals("FS", through_fs(), MARK);
    let (by_syscall, by_int80) = (call(nr64::GETPID, &[]), call_i386(nr32::GETPID, &[]));
    report.holds("both doors agree", by_syscall.is_ok() && by_syscall == by_int80);
    report.status()
}

/// A sequence that depends on every one of its members, in registers alone.
fn compute(rounds: u64) -> u64 {
    let mut value: u64 = 1;
    // SAFETY: arithmetic in registers.
    unsafe {
        asm!(
            "2:",
            "imul {value}, {factor}",
            "add {value}, {term}",
            "dec {rounds}",
            "jnz 2b",
            value = inout(reg) value,
            factor = in(reg) 6_364_136_223_846_793_005_u64,
            term = in(reg) 1_442_695_040_888_963_407_u64,
            rounds = inout(reg) rounds.max(1) => _,
            options(nomem, nostack),
        );
    }
    value
}

fn through_fs() -> u64 {
    let word;
    // SAFETY: FS points to a block of this program's.
    unsafe { asm!("mov {}, fs:[0]", out(reg) word, options(nostack, readonly)) };
    word
}
