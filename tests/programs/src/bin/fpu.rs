//! x87, SSE, AVX and AVX-512 in ring 3: initial state, arithmetic, and that
//! registers survive system calls, page faults and a sleep.
//!
//! What is printed does not depend on which of them the CPU has.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "uses registers that the compiler does not")]

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::cell::UnsafeCell;
use trapgate_programs::{PAGE, Pages, Report};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// Room for 32 registers of 64 bytes.
#[repr(C, align(64))]
struct Vectors(UnsafeCell<[u64; 32 * 8]>);
// SAFETY: this program has one thread.
unsafe impl Sync for Vectors {}

impl Vectors {
    const fn new() -> Vectors {
        Vectors(UnsafeCell::new([0; 32 * 8]))
    }

    fn address(&self) -> u64 {
        self.0.get() as u64
    }

    fn content(&self) -> [u64; 32 * 8] {
        // SAFETY: one thread, and no reference outlives a call.
        unsafe { self.0.get().read_volatile() }
    }

    fn set(&self, content: [u64; 32 * 8]) {
        // SAFETY: as above.
        unsafe { self.0.get().write_volatile(content) };
    }
}

static BEFORE: Vectors = Vectors::new();
static AFTER: Vectors = Vectors::new();

/// What the CPU has and the kernel has switched on.
#[derive(Clone, Copy)]
struct Features {
    avx: bool,
    avx512: bool,
}

impl Features {
    fn detect() -> Features {
        const OSXSAVE_AND_AVX: u32 = 1 << 27 | 1 << 28;
        let first = __cpuid(1).ecx;
        if first & OSXSAVE_AND_AVX != OSXSAVE_AND_AVX {
            return Features { avx: false, avx512: false };
        }
        let low: u32;
        // SAFETY: CPUID says that XGETBV exists and is switched on.
        unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _) };
        let has_avx512f = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx & 1 << 16 != 0;
        Features { avx: low & 6 == 6, avx512: low & 0xe6 == 0xe6 && has_avx512f }
    }
}

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

/// The registers for control and status.
fn control() -> (u64, u64) {
    let (mut fcw, mut mxcsr) = (0u64, 0u64);
    // SAFETY: stores two registers into two words.
    unsafe {
        asm!("fnstcw [{}]", "stmxcsr [{}]", in(reg) &raw mut fcw, in(reg) &raw mut mxcsr,
             options(nostack));
    }
    (fcw & 0xffff, mxcsr & 0xffff_ffff)
}

fn set_control(fcw: u64, mxcsr: u64) {
    // SAFETY: only rounding and masks change, which nothing else here uses.
    unsafe {
        asm!("fldcw [{}]", "ldmxcsr [{}]", in(reg) &raw const fcw, in(reg) &raw const mxcsr,
             options(nostack, readonly));
    }
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

fn store_xmm() {
    // SAFETY: stores registers into the static.
    unsafe {
        asm!(
            ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "movaps [{at} + 64*\\i], xmm\\i",
            ".endr",
            at = in(reg) AFTER.address(),
            options(nostack),
        );
    }
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
    let words = match features {
        Features { avx512: true, .. } => 8,
        Features { avx: true, .. } => 4,
        _ => 2,
    };
    let registers = if features.avx512 { 32 } else { 16 };
    let mut poison = [0; 32 * 8];
    for (index, word) in poison.iter_mut().enumerate() {
        *word = 0x5bd1_e995_0000_0000 | (index as u64 * 0x0101);
    }
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

fn load(features: Features) {
    let at = BEFORE.address();
    // SAFETY: the registers are nobody's in a soft-float program, and are
    // loaded from the static.
    unsafe {
        if features.avx512 {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "vmovdqu64 zmm\\i, [{at} + 64*\\i]",
                ".endr",
                at = in(reg) at, options(nostack, readonly),
            );
        } else if features.avx {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "vmovdqu ymm\\i, [{at} + 64*\\i]",
                ".endr",
                at = in(reg) at, options(nostack, readonly),
            );
        } else {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "movaps xmm\\i, [{at} + 64*\\i]",
                ".endr",
                at = in(reg) at, options(nostack, readonly),
            );
        }
    }
}

fn store(features: Features) {
    let at = AFTER.address();
    // SAFETY: stores registers into the static.
    unsafe {
        if features.avx512 {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "vmovdqu64 [{at} + 64*\\i], zmm\\i",
                ".endr",
                at = in(reg) at, options(nostack),
            );
        } else if features.avx {
            asm!(
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "vmovdqu [{at} + 64*\\i], ymm\\i",
                ".endr",
                at = in(reg) at, options(nostack),
            );
        } else {
            store_xmm();
        }
    }
}

/// Fills the x87 stack: 0 at the bottom, 7 on top.
fn load_x87() {
    for number in 0..8i64 {
        // SAFETY: the stack is empty before; `store_x87` empties it again.
        unsafe {
            asm!("fild qword ptr [{}]", in(reg) &raw const number, options(nostack, readonly));
        }
    }
}

/// Pops the x87 stack.
fn store_x87() -> [i64; 8] {
    let mut numbers = [-1; 8];
    for number in &mut numbers {
        // SAFETY: pops what `load_x87` has pushed.
        unsafe { asm!("fistp qword ptr [{}]", in(reg) &raw mut *number, options(nostack)) };
    }
    numbers
}
