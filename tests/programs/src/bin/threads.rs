//! `threads ROUNDS yield|spin [LEFT-OUT]`: two threads, each with other values in every register
//! that it has, look after each turn of the other's whether theirs are still there; but
//! for kinds of registers that are left out, as bits.
//! Only a kernel that is built for tests makes threads so (`trapgate_abi::test_hook`).
//!
//! `threads TURNS kernel`: two threads of the kernel's take so many turns.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "computes with all registers, and reads through FS and GS")]

use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::str::from_utf8;
use trapgate_abi::test_hook::{FIRST, KERNEL_THREADS, THREAD};
use trapgate_abi::x86::rflags;
use trapgate_programs::registers::Features;
use trapgate_programs::turns::Turns;
use trapgate_programs::{Pages, Report, call};
use trapgate_rt::Args;
use trapgate_uapi::prctl::{ARCH_SET_FS, ARCH_SET_GS};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// Registers: all that ring 3 has, but RSP, the stack's, and RIP.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
struct Registers {
    vectors: [[u64; 8]; 32],
    masks: [u64; 8],
    x87: [u64; 8],
    /// RAX, RCX, RDX, RBX, RBP, RSI, RDI, R8 to R15.
    general: [u64; 15],
    rflags: u64,
    mxcsr: u64,
    fcw: u64,
    /// DS and ES; what FS:0 holds.
    selectors: [u64; 2],
    through_fs: u64,
}

const NONE: Registers = Registers {
    vectors: [[0; 8]; 32],
    masks: [0; 8],
    x87: [0; 8],
    general: [0; 15],
    rflags: 0,
    mxcsr: 0,
    fcw: 0,
    selectors: [0; 2],
    through_fs: 0,
};

/// A thread's own, to which its GS points.
#[repr(C, align(64))]
struct Own {
    before: Registers,
    after: Registers,
    /// What FS points to.
    mark: u64,
    stack: u64,
    /// How often it is to count down where it spins.
    spins: u64,
    /// What the CPU has: 1 AVX, 2 AVX-512.
    has: u64,
    /// Kinds of registers that changed.
    failures: u64,
    left_out: u64,
    number: u64,
    rounds: u64,
    spin: u64,
}

struct Shared(UnsafeCell<[Own; 2]>);
// SAFETY: each thread has one of the two.
unsafe impl Sync for Shared {}

const OWN: Own = Own {
    before: NONE,
    after: NONE,
    mark: 0,
    stack: 0,
    spins: 0,
    has: 0,
    failures: 0,
    left_out: 0,
    number: 0,
    rounds: 0,
    spin: 0,
};
static THREADS: Shared = Shared(UnsafeCell::new([OWN; 2]));
static TURNS: Turns = Turns::new();

const SPINS: u64 = 2_000_000;

fn main(args: Args) -> i32 {
    let parsed = |index| args.arg(index).and_then(|text| from_utf8(text).ok()?.parse().ok());
    let number = parsed(1).unwrap_or(1);
    let mut report = Report::new();
    if args.arg(2) == Some(b"kernel") {
        let turns = hook(KERNEL_THREADS, [number, 0, 0]);
        report.equals("turns", turns, number);
        return report.status();
    }
    let features = Features::detect();
    let spin = u64::from(args.arg(2) == Some(b"spin"));
    for index in 0..2 {
        let own = own(index);
        own.number = index as u64;
        own.rounds = number;
        own.spin = spin;
        own.left_out = parsed(3).unwrap_or(0);
        own.has = if features.avx512 { 2 } else { features.avx.into() };
        own.mark = 0x7a11_5ca1_0000_0000 | own.number;
        poison(own);
    }
    let Ok(stack) = Pages::map(16) else { return 1 };
    let top = stack.page(15);
    hook(THREAD, [second as *const () as u64, top, 1]);
    run(0);
    TURNS.wait_for_both(|| _ = call(nr64::SCHED_YIELD, &[]));
    for index in 0..2 {
        report.equals("kinds of registers that changed, as bits", own(index).failures, 0);
    }
    TURNS.report(&mut report, number as u32, spin != 0);
    report.status()
}

/// A thread's own.
fn own(index: usize) -> &'static mut Own {
    // SAFETY: each thread has one of the two, and the first has both before there is a
    // second and after it has ended.
    unsafe { &mut (&mut (*THREADS.0.get()))[index] }
}

fn hook(operation: u64, arguments: [u64; 3]) -> u64 {
    call((FIRST + operation) as u32, &arguments).expect("the kernel is built for tests")
}

/// Where the second thread begins: rdi = its number.
#[unsafe(naked)]
unsafe extern "C" fn second() {
    naked_asm!("call {run}", "xor edi, edi", "mov eax, {exit}", "syscall", "ud2",
        run = sym run_second, exit = const nr64::EXIT)
}

extern "C" fn run_second(index: u64) {
    run(index as usize);
}

/// Other values in all registers than the other thread has.
fn poison(own: &mut Own) {
    let number = own.number + 1;
    let word = |index: usize| number << 56 | number << 40 | 0x5bd1_e995 ^ (index as u64 * 0x0101);
    let before = &mut own.before;
    for (index, vector) in before.vectors.iter_mut().enumerate() {
        *vector = core::array::from_fn(|part| word(8 * index + part));
    }
    before.masks = core::array::from_fn(|index| word(300 + index) & 0xffff);
    before.x87 = core::array::from_fn(|index| 1000 * number + index as u64);
    before.general = core::array::from_fn(|index| word(400 + index));
    let odd = if number == 1 { rflags::DF } else { rflags::AC };
    before.rflags = rflags::FIXED | rflags::IF | odd | rflags::CF;
    // Rounding, and flush to zero.
    before.mxcsr = if number == 1 { 0xdf80 } else { 0x3f80 };
    before.fcw = if number == 1 { 0x67f } else { 0xb7f };
    before.selectors = if number == 1 { [0, 0x2b] } else { [0x2b, 0] };
    before.through_fs = own.mark;
}

/// A thread's work, up to its end.
fn run(index: usize) {
    let own = own(index);
    let set = |what, address| call(nr64::ARCH_PRCTL, &[what, address]).expect("an address");
    set(ARCH_SET_FS as u64, &raw const own.mark as u64);
    set(ARCH_SET_GS as u64, &raw const *own as u64);
    let [ds, es] = own.before.selectors;
    // SAFETY: 64-bit code uses neither of these segments.
    unsafe { asm!("mov ds, {:x}", "mov es, {:x}", in(reg) ds, in(reg) es) };
    for _ in 0..own.rounds {
        own.spins = SPINS;
        own.after = NONE;
        // SAFETY: the functions keep what the C ABI wants kept, and GS points to `own`.
        unsafe { if own.spin == 0 { round_yield() } else { round_spin() } }
        TURNS.take(own.number as u32);
        own.failures |= changed(own) & !own.left_out;
    }
    TURNS.end();
}

/// Compares, as far as the CPU has it and the door keeps it: a bit for each kind of
/// register that is not as before.
fn changed(own: &mut Own) -> u64 {
    let Own { before, after, has, spin, .. } = own;
    let (registers, words) = [(16, 2), (16, 4), (32, 8)][*has as usize];
    let mut vectors = before.vectors.iter().zip(&after.vectors).take(registers);
    let general = (0..15).all(|index| {
        // SYSCALL takes RCX and R11, and answers in RAX.
        let taken = *spin == 0 && [0, 1, 10].contains(&index);
        taken || before.general[index] == after.general[index]
    });
    // Counting down ends with a zero.
    let arithmetic = if *spin == 0 { 0 } else { 0x8d4 };
    let same = [
        vectors.all(|(before, after)| before[..words] == after[..words]),
        *has < 2 || before.masks == after.masks,
        before.x87 == after.x87,
        general,
        before.rflags & !arithmetic == after.rflags & !arithmetic,
        before.mxcsr == after.mxcsr,
        before.fcw == after.fcw,
        before.selectors == after.selectors,
        before.through_fs == after.through_fs,
    ];
    same.iter().enumerate().map(|(bit, &same)| u64::from(!same) << bit).sum()
}

/// Loads all registers out of `before`, lets `$event` happen, stores all to `after`. On
/// arrival: the C ABI; gs = the thread's own.
macro_rules! round {
    ($name:ident, $($event:literal),+ $(, $operand:ident = const $value:expr)?) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "push rbx",
                "push rbp",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "mov gs:[{stack}], rsp",
                "fninit",
                ".irp i, 0,1,2,3,4,5,6,7",
                "fild qword ptr gs:[{x87} + 8*\\i]",
                ".endr",
                "fldcw gs:[{fcw}]",
                "ldmxcsr gs:[{mxcsr}]",
                "cmp qword ptr gs:[{has}], 1",
                "jb 3f",
                "je 2f",
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "vmovdqu64 zmm\\i, gs:[{vectors} + 64*\\i]",
                ".endr",
                ".irp i, 0,1,2,3,4,5,6,7",
                "kmovw k\\i, gs:[{masks} + 8*\\i]",
                ".endr",
                "jmp 4f",
                "2:",
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "vmovdqu ymm\\i, gs:[{vectors} + 64*\\i]",
                ".endr",
                "jmp 4f",
                "3:",
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "movups xmm\\i, gs:[{vectors} + 64*\\i]",
                ".endr",
                "4:",
                "push qword ptr gs:[{rflags}]",
                "popfq",                         // from here on no arithmetic
                "mov rax, gs:[{general} + 8*0]",
                "mov rcx, gs:[{general} + 8*1]",
                "mov rdx, gs:[{general} + 8*2]",
                "mov rbx, gs:[{general} + 8*3]",
                "mov rbp, gs:[{general} + 8*4]",
                "mov rsi, gs:[{general} + 8*5]",
                "mov rdi, gs:[{general} + 8*6]",
                "mov r8, gs:[{general} + 8*7]",
                "mov r9, gs:[{general} + 8*8]",
                "mov r10, gs:[{general} + 8*9]",
                "mov r11, gs:[{general} + 8*10]",
                "mov r12, gs:[{general} + 8*11]",
                "mov r13, gs:[{general} + 8*12]",
                "mov r14, gs:[{general} + 8*13]",
                "mov r15, gs:[{general} + 8*14]",
                $($event,)+
                "mov gs:[{after} + {general} + 8*0], rax",
                "mov gs:[{after} + {general} + 8*1], rcx",
                "mov gs:[{after} + {general} + 8*2], rdx",
                "mov gs:[{after} + {general} + 8*3], rbx",
                "mov gs:[{after} + {general} + 8*4], rbp",
                "mov gs:[{after} + {general} + 8*5], rsi",
                "mov gs:[{after} + {general} + 8*6], rdi",
                "mov gs:[{after} + {general} + 8*7], r8",
                "mov gs:[{after} + {general} + 8*8], r9",
                "mov gs:[{after} + {general} + 8*9], r10",
                "mov gs:[{after} + {general} + 8*10], r11",
                "mov gs:[{after} + {general} + 8*11], r12",
                "mov gs:[{after} + {general} + 8*12], r13",
                "mov gs:[{after} + {general} + 8*13], r14",
                "mov gs:[{after} + {general} + 8*14], r15",
                "pushfq",
                "pop qword ptr gs:[{after} + {rflags}]",
                "push 0x202",
                "popfq",                         // the ABI's flags again
                "xor eax, eax",
                "mov ax, ds",
                "mov gs:[{after} + {selectors}], rax",
                "mov ax, es",
                "mov gs:[{after} + {selectors} + 8], rax",
                "mov rax, fs:[0]",
                "mov gs:[{after} + {through_fs}], rax",
                "fnstcw gs:[{after} + {fcw}]",
                "stmxcsr gs:[{after} + {mxcsr}]",
                ".irp i, 7,6,5,4,3,2,1,0",
                "fistp qword ptr gs:[{after} + {x87} + 8*\\i]",
                ".endr",
                "cmp qword ptr gs:[{has}], 1",
                "jb 3f",
                "je 2f",
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "vmovdqu64 gs:[{after} + {vectors} + 64*\\i], zmm\\i",
                ".endr",
                ".irp i, 0,1,2,3,4,5,6,7",
                "kmovw gs:[{after} + {masks} + 8*\\i], k\\i",
                ".endr",
                "jmp 4f",
                "2:",
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "vmovdqu gs:[{after} + {vectors} + 64*\\i], ymm\\i",
                ".endr",
                "jmp 4f",
                "3:",
                ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "movups gs:[{after} + {vectors} + 64*\\i], xmm\\i",
                ".endr",
                "4:",
                "mov rsp, gs:[{stack}]",
                "pop r15",
                "pop r14",
                "pop r13",
                "pop r12",
                "pop rbp",
                "pop rbx",
                "ret",
                stack = const offset_of!(Own, stack),
                has = const offset_of!(Own, has),
                after = const offset_of!(Own, after),
                x87 = const offset_of!(Registers, x87),
                fcw = const offset_of!(Registers, fcw),
                mxcsr = const offset_of!(Registers, mxcsr),
                vectors = const offset_of!(Registers, vectors),
                masks = const offset_of!(Registers, masks),
                rflags = const offset_of!(Registers, rflags),
                general = const offset_of!(Registers, general),
                selectors = const offset_of!(Registers, selectors),
                through_fs = const offset_of!(Registers, through_fs),
                $($operand = const $value)?
            )
        }
    };
}

round!(round_yield, "mov eax, {number}", "syscall", number = const nr64::SCHED_YIELD);
round!(
    round_spin,
    "5: dec qword ptr gs:[{spins}]",
    "jnz 5b",
    spins = const offset_of!(Own, spins)
);

const _: () = assert!(offset_of!(Own, before) == 0);
