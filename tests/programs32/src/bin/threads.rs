//! `threads ROUNDS yield|spin`: two threads of 32-bit code, each with other values in
//! every integer register, and with another segment behind the same selector in FS and
//! GS, look after each turn of the other's whether theirs are still there. Only a kernel
//! that is built for tests makes threads so (`trapgate_abi::test_hook`).
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "computes with all registers, and loads segment registers")]

use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::str::from_utf8;
use trapgate_abi::test_hook::{FIRST, THREAD};
use trapgate_programs32::{Door, Report, Turns};
use trapgate_rt::Args;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

/// All that integer code has, but ESP, the stack's, and EIP.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Registers {
    /// EAX, ECX, EDX, EBX, EBP, ESI, EDI.
    general: [u32; 7],
    eflags: u32,
    /// DS, ES, FS, GS.
    selectors: [u32; 4],
    /// What FS:0 holds.
    through_fs: u32,
}

const NONE: Registers = Registers { general: [0; 7], eflags: 0, selectors: [0; 4], through_fs: 0 };

/// A thread's own, to which its GS points.
#[repr(C)]
struct Own {
    before: Registers,
    after: Registers,
    /// What FS points to.
    mark: u32,
    stack: u32,
    spins: u32,
    /// Kinds of registers that changed.
    failures: u32,
    number: u32,
    rounds: u32,
    spin: u32,
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
    failures: 0,
    number: 0,
    rounds: 0,
    spin: 0,
};
static THREADS: Shared = Shared(UnsafeCell::new([OWN; 2]));
static TURNS: Turns = Turns::new();

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; 16 << 10]>);
// SAFETY: it is the second thread's.
unsafe impl Sync for Stack {}
static STACK: Stack = Stack(UnsafeCell::new([0; 16 << 10]));

/// The first of the entries for a program's own segments.
const ENTRY: u32 = 12;
const SPINS: u32 = 20_000;

fn main(args: Args) -> i32 {
    let number = args.arg(1).and_then(|text| from_utf8(text).ok()?.parse().ok()).unwrap_or(1);
    let spin = u32::from(args.arg(2) == Some(b"spin"));
    for index in 0..2 {
        let own = own(index);
        own.number = index;
        own.rounds = number;
        own.spin = spin;
        own.mark = 0x7a11_5c00 | index;
        poison(own);
    }
    let top = STACK.0.get() as u32 + (16 << 10);
    let arguments = [second as *const () as u32, top, 1];
    let made = Door::Int80.call((FIRST + THREAD) as u32, &arguments);
    let mut report = Report::new();
    report.holds("there is a second thread", made.is_ok());
    run(0);
    if made.is_ok() {
        TURNS.wait_for_both(|| _ = Door::Int80.call(nr32::SCHED_YIELD, &[]));
    }
    for index in 0..2 {
        report.equals("kinds of registers that changed, as bits", own(index).failures.into(), 0);
    }
    TURNS.report(&mut report, number, spin != 0);
    report.status()
}

/// A thread's own.
fn own(index: u32) -> &'static mut Own {
    // SAFETY: each thread has one of the two, and the first has both before there is a
    // second and after it has ended.
    unsafe { &mut (&mut (*THREADS.0.get()))[index as usize] }
}

/// Where the second thread begins: ebx = its number.
#[unsafe(naked)]
unsafe extern "C" fn second() {
    naked_asm!("push ebx", "call {run}", "xor ebx, ebx", "mov eax, {exit}", "int 0x80", "ud2",
        run = sym run_second, exit = const nr32::EXIT)
}

extern "C" fn run_second(index: u32) {
    run(index);
}

/// Other values in all registers than the other thread has.
fn poison(own: &mut Own) {
    let number = own.number + 1;
    let before = &mut own.before;
    before.general =
        core::array::from_fn(|index| number << 28 | 0xbd1_e995 ^ (index as u32 * 0x0101));
    let odd = if number == 1 { 1 << 10 } else { 1 << 18 }; // DF, AC
    before.eflags = 0x203 | odd;
    let es = if number == 1 { 0x2b } else { (ENTRY + 2) << 3 | 3 };
    before.selectors = [0x2b, es, (ENTRY + 1) << 3 | 3, ENTRY << 3 | 3];
    before.through_fs = own.mark;
}

/// A segment of data for a thread, in one of its entries.
fn segment(entry: u32, base: u32) {
    let mut desc = [entry, base, 0xf_ffff, 1 << 0 | 1 << 4];
    let set = Door::Int80.call(nr32::SET_THREAD_AREA, &[desc.as_mut_ptr() as u32]);
    set.expect("a segment");
}

/// A thread's work, up to its end.
fn run(index: u32) {
    let own = own(index);
    segment(ENTRY, &raw const *own as u32);
    segment(ENTRY + 1, &raw const own.mark as u32);
    segment(ENTRY + 2, index);
    let [_, es, fs, gs] = own.before.selectors;
    let flat = 0x2bu32;
    for _ in 0..own.rounds {
        own.spins = SPINS;
        own.after = NONE;
        // SAFETY: the segments are data; the functions keep what the C ABI wants kept,
        // and GS points to `own`. Rust's code wants ES flat again.
        unsafe {
            asm!("mov es, {:e}", "mov fs, {:e}", "mov gs, {:e}", in(reg) es, in(reg) fs,
                in(reg) gs);
            if own.spin == 0 {
                round_yield()
            } else {
                round_spin()
            }
            asm!("mov es, {:e}", in(reg) flat);
        }
        TURNS.take(own.number);
        own.failures |= changed(own);
    }
    TURNS.end();
}

/// Compares, as far as the door keeps it: a bit for each kind of register that is not as
/// before.
fn changed(own: &mut Own) -> u32 {
    let Own { before, after, spin, .. } = own;
    // The call answers in EAX; counting down ends with a zero.
    let first = usize::from(*spin == 0);
    let arithmetic = if *spin == 0 { 0 } else { 0x8d4 };
    let same = [
        before.general[first..] == after.general[first..],
        before.eflags & !arithmetic == after.eflags & !arithmetic,
        before.selectors == after.selectors,
        before.through_fs == after.through_fs,
    ];
    same.iter().enumerate().map(|(bit, &same)| u32::from(!same) << bit).sum()
}

/// Loads all registers out of `before`, lets `$event` happen, stores all to `after`. On
/// arrival: the C ABI; gs = the thread's own.
macro_rules! round {
    ($name:ident, $($event:literal),+ $(, $operand:ident = const $value:expr)?) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "push ebx",
                "push ebp",
                "push esi",
                "push edi",
                "mov gs:[{stack}], esp",
                "push dword ptr gs:[{eflags}]",
                "popfd",                         // from here on no arithmetic
                "mov eax, gs:[{general}]",
                "mov ecx, gs:[{general} + 4]",
                "mov edx, gs:[{general} + 8]",
                "mov ebx, gs:[{general} + 12]",
                "mov ebp, gs:[{general} + 16]",
                "mov esi, gs:[{general} + 20]",
                "mov edi, gs:[{general} + 24]",
                $($event,)+
                "mov gs:[{after} + {general}], eax",
                "mov gs:[{after} + {general} + 4], ecx",
                "mov gs:[{after} + {general} + 8], edx",
                "mov gs:[{after} + {general} + 12], ebx",
                "mov gs:[{after} + {general} + 16], ebp",
                "mov gs:[{after} + {general} + 20], esi",
                "mov gs:[{after} + {general} + 24], edi",
                "pushfd",
                "pop dword ptr gs:[{after} + {eflags}]",
                "push 0x202",
                "popfd",                         // the ABI's flags again
                "xor eax, eax",
                "mov ax, ds",
                "mov gs:[{after} + {selectors}], eax",
                "mov ax, es",
                "mov gs:[{after} + {selectors} + 4], eax",
                "mov ax, fs",
                "mov gs:[{after} + {selectors} + 8], eax",
                "mov ax, gs",
                "mov gs:[{after} + {selectors} + 12], eax",
                "mov eax, fs:[0]",
                "mov gs:[{after} + {through_fs}], eax",
                "mov esp, gs:[{stack}]",
                "pop edi",
                "pop esi",
                "pop ebp",
                "pop ebx",
                "ret",
                stack = const offset_of!(Own, stack),
                after = const offset_of!(Own, after),
                eflags = const offset_of!(Registers, eflags),
                general = const offset_of!(Registers, general),
                selectors = const offset_of!(Registers, selectors),
                through_fs = const offset_of!(Registers, through_fs),
                $($operand = const $value)?
            )
        }
    };
}

round!(round_yield, "mov eax, {number}", "int 0x80", number = const nr32::SCHED_YIELD);
round!(
    round_spin,
    "5: dec dword ptr gs:[{spins}]",
    "jnz 5b",
    spins = const offset_of!(Own, spins)
);

const _: () = assert!(offset_of!(Own, before) == 0);
