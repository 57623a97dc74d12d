//! x87, SSE, AVX and AVX-512 in ring 3: initial state, arithmetic, and that
//! registers survive system calls, page faults and a sleep.
//!
//! What is printed does not depend on which of them the CPU has.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "uses registers that the compiler does not")]

use core::arch::asm;
use trapgate_programs::registers::{
    AFTER, BEFORE, Features, control, load, load_x87, poison, set_control, store, store_x87,
    store_xmm,
};
use trapgate_programs::{PAGE, Pages, Report};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    // First, before anything here has used them.
    initial_state(&mut report);
    let features = Features::detect();
    x87(&mut report);
    sse(&mut report);
    avx(&mut report, features);
    let events: [(&str, fn()); 4] = [
        ("a system call by SYSCALL", by_syscall),
        ("a system call by INT 0x80", by_int80),
        ("page faults", page_faults),
        ("a sleep", sleep),
    ];
    for (what, event) in events {
        println!("{what}");
        survive(&mut report, features, event);
    }
    report.status()
}

const FCW: u64 = 0x37f;
const MXCSR: u64 = 0x1f80;

fn initial_state(report: &mut Report) {
    store_xmm();
    let registers = AFTER.content();
    let (fcw, mxcsr) = control();
    let status: u64;
    // SAFETY: reads the status word.
    unsafe { asm!("fnstsw ax", out("rax") status, options(nomem, nostack)) };
    report.equals("FCW", fcw, FCW);
    report.equals("MXCSR", mxcsr, MXCSR);
    report.equals("FSW", status & 0xffff, 0);
    let zero = (0..16).all(|index| registers[8 * index] == 0 && registers[8 * index + 1] == 0);
    report.holds("the XMM registers are zero", zero);
}

fn x87(report: &mut Report) {
    let mut result = 0i64;
    // SAFETY: pushes, computes, pops: the x87 stack is empty again.
    unsafe {
        asm!(
            "push 1000000",
            "fild qword ptr [rsp]",
            "fldpi",
            "fmulp",                             // a million times pi
            "fistp qword ptr [{}]",
            "pop rax",
            in(reg) &raw mut result,
            out("rax") _,
            out("st(0)") _, out("st(1)") _,
        );
    }
    report.equals("x87: a million times pi", result as u64, 3_141_593);
}

fn sse(report: &mut Report) {
    let root: u64;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!("cvtsi2sd xmm0, {two}", "sqrtsd xmm0, xmm0", "movq {root}, xmm0",
             two = in(reg) 2u64, root = out(reg) root, options(nomem, nostack));
    }
    report.equals("SSE2: the root of 2", root, 0x3ff6_a09e_667f_3bcd);
    let sum: u64;
    // SAFETY: as above.
    unsafe {
        asm!("movq xmm1, {words}", "paddw xmm1, xmm1", "movq {sum}, xmm1",
             words = in(reg) 0x0001_0002_0003_8000u64, sum = out(reg) sum,
             options(nomem, nostack));
    }
    report.equals("SSE2: four sums", sum, 0x0002_0004_0006_0000);
}

fn avx(report: &mut Report, features: Features) {
    let mut sums = [6.0f64.to_bits(); 4];
    if features.avx {
        let terms = [1.0f64, 2.0, 3.0, 4.0].map(f64::to_bits);
        // SAFETY: AVX is there; reads and writes the arrays.
        unsafe {
            asm!(
                "vmovupd ymm0, [{terms}]",
                "vaddpd ymm0, ymm0, ymm0",       // 2 4 6 8
                "vperm2f128 ymm1, ymm0, ymm0, 1",// 6 8 2 4
                "vaddpd ymm0, ymm0, ymm1",       // 8 12 8 12
                "vmovupd [{sums}], ymm0",
                "vzeroupper",
                terms = in(reg) terms.as_ptr(), sums = in(reg) sums.as_mut_ptr(),
                options(nostack),
            );
        }
        let expected = [8.0f64, 12.0, 8.0, 12.0].map(f64::to_bits);
        if sums != expected {
            report.failed(format_args!("AVX: sums are {sums:x?}"));
        }
    }
    println!("AVX: right, where there is AVX");
}

fn by_syscall() {
    let _ = trapgate_programs::call(nr64::GETPID, &[]);
}

fn by_int80() {
    let _ = trapgate_programs::call_i386(trapgate_uapi::syscall::nr32::GETPID, &[]);
}

/// Touches fresh memory.
fn page_faults() {
    const COUNT: u64 = 300;
    if let Ok(pages) = Pages::map(COUNT) {
        (0..COUNT).for_each(|page| trapgate_programs::poke(pages.page(page), 1));
        let _ = trapgate_programs::call(nr64::MUNMAP, &[pages.page(0), COUNT * PAGE]);
    }
}

fn sleep() {
    let mut millisecond = [0u64, 1_000_000];
    let span = trapgate_programs::address(&mut millisecond);
    let _ = trapgate_programs::call(nr64::NANOSLEEP, &[span, 0]);
}

/// Loads all there is with poison, lets `event` happen (soft-float code, which
/// touches none of it), and compares.
fn survive(report: &mut Report, features: Features, event: fn()) {
    let (registers, words) = features.registers();
    let poison = poison();
    BEFORE.set(poison);
    AFTER.set([0; 32 * 8]);
    // Round down, double precision; round up, flush to zero.
    let changed = (0x67f, 0xdf80);
    set_control(changed.0, changed.1);
    load_x87();
    load(features);
    event();
    store(features);
    let control = control();
    let x87 = store_x87();
    set_control(FCW, MXCSR);
    let after = AFTER.content();
    let mut bad = 0;
    for register in 0..registers {
        let range = 8 * register..8 * register + words;
        bad += u32::from(after[range.clone()] != poison[range]);
    }
    report.holds("vector registers survive", bad == 0);
    report.equals("FCW survives", control.0, changed.0);
    report.equals("MXCSR survives", control.1, changed.1);
    report.holds("x87 registers survive", x87 == [7, 6, 5, 4, 3, 2, 1, 0]);
    if features.avx {
        // SAFETY: AVX is there.
        unsafe { asm!("vzeroupper", options(nomem, nostack)) };
    }
}
