//! `segments DOOR`: what the segment registers hold behind a door: selectors,
//! bases, and that ESP is used as a whole. ES, FS and GS hold a segment of the
//! program's own meanwhile; then SS does.
//!
//! `segments DOOR attributes`: the access rights and limits, by LAR and LSL.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "loads segment registers")]

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, Ordering};
use trapgate_programs32::{BAD_FD, Door, Report};
use trapgate_rt::{Args, println, vsyscall};
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

/// What lies at the base of the program's own segment.
static WORD: u32 = 0x1234_5678;
/// `__kernel_vsyscall`.
static VSYSCALL: AtomicU32 = AtomicU32::new(0);

const SEG_32BIT: u32 = 1 << 0;
const LIMIT_IN_PAGES: u32 = 1 << 4;
const FLAT: u32 = SEG_32BIT | LIMIT_IN_PAGES;
const EBADF: u32 = 9;

/// What was found behind the door.
#[derive(Default)]
#[repr(C)]
struct Found {
    /// The call's result.
    eax: u32,
    /// DS, ES, FS, GS, SS, CS.
    selectors: [u32; 6],
    /// What ES:0, FS:0 and GS:0 hold.
    words: [u32; 3],
    /// Whether ESP moved by more than its lower half, 0 if so.
    stack: u32,
}

fn main(args: Args) -> i32 {
    let door = Door::of(args);
    VSYSCALL.store(vsyscall::address().unwrap_or(0), Ordering::Relaxed);
    let cross = match door {
        Door::Int80 => by_int80,
        Door::Syscall => by_syscall,
        Door::Sysenter => by_sysenter,
        Door::Vsyscall => by_vsyscall,
    };
    let mut report = Report::new();
    if args.arg(2) == Some(b"attributes") {
        attributes(&mut report, "before");
        // SAFETY: the functions keep what the C ABI wants kept.
        unsafe { own_data(cross, 0x2b, &mut Found::default()) };
        attributes(&mut report, "behind");
        return report.status();
    }
    let own = segment(&raw const WORD as u32);
    let mut found = Found::default();
    // SAFETY: as above.
    unsafe { own_data(cross, own, &mut found) };
    report.equals("result", found.eax.into(), 0u32.wrapping_sub(EBADF).into());
    for (name, (got, expected)) in ["ds", "es", "fs", "gs", "ss", "cs"]
        .iter()
        .zip(found.selectors.iter().zip([0x2b, own, own, own, 0x2b, 0x23]))
    {
        report.equals(name, (*got).into(), expected.into());
    }
    for word in found.words {
        report.equals("the word at the segment's base", word.into(), WORD.into());
    }
    report.equals("ESP's lost bits", found.stack.into(), 0);
    if door == Door::Vsyscall {
        // Which instruction that is, only the kernel knows.
        return report.status();
    }
    // INT 0x80 comes back with the program's SS, the fast doors with Linux's.
    let flat = segment(0);
    // SAFETY: as above; the segment is as good as Linux's.
    let ss = unsafe { own_stack(cross, flat) };
    println!("ss, which was the program's own: {ss:#x}");
    report.status()
}

/// A selector for data at this base.
fn segment(base: u32) -> u32 {
    let mut desc = [u32::MAX, base, 0xf_ffff, FLAT];
    let result = Door::Int80.call(nr32::SET_THREAD_AREA, &[desc.as_mut_ptr() as u32]);
    result.expect("there is a free entry");
    // SAFETY: the kernel has written the entry's number.
    let number = unsafe { desc.as_ptr().read_volatile() };
    number << 3 | 3
}

/// Prints access rights and limits of what Linux gives every program.
fn attributes(report: &mut Report, when: &str) {
    for (name, selector, rights) in
        [("code", 0x23, 0xcf_fb00), ("data", 0x2b, 0xcf_f300), ("64-bit code", 0x33, 0xaf_fb00)]
    {
        // SAFETY: the instructions only look.
        let (got, limit) = unsafe { (lar(selector), lsl(selector)) };
        println!("{when}, {name}: limit {limit:#x}");
        report.equals("rights", (got & 0xf0_ff00).into(), (rights & 0xf0_ff00u32).into());
    }
}

/// On arrival: the C ABI.
#[unsafe(naked)]
unsafe extern "C" fn lar(selector: u32) -> u32 {
    naked_asm!("xor eax, eax", "mov ecx, [esp + 4]", "lar eax, ecx", "ret")
}

/// On arrival: the C ABI.
#[unsafe(naked)]
unsafe extern "C" fn lsl(selector: u32) -> u32 {
    naked_asm!("xor eax, eax", "mov ecx, [esp + 4]", "lsl eax, ecx", "ret")
}

/// Calls `cross` with `selector` in ES, FS and GS, and looks. On arrival: the
/// C ABI.
#[unsafe(naked)]
unsafe extern "C" fn own_data(cross: unsafe extern "C" fn(), selector: u32, found: &mut Found) {
    naked_asm!(
        "push ebx",
        "push esi",
        "mov ebx, es",
        "push ebx",
        "mov ebx, fs",
        "push ebx",
        "mov ebx, gs",
        "push ebx",
        "mov ebx, [esp + 24]", // cross
        "mov eax, [esp + 28]", // selector
        "mov esi, [esp + 32]", // found
        "mov es, eax",
        "mov fs, eax",
        "mov gs, eax",
        "call ebx",
        "mov [esi], eax",
        "xor eax, eax",
        "mov ax, ds",
        "mov [esi + 4], eax",
        "mov ax, es",
        "mov [esi + 8], eax",
        "mov ax, fs",
        "mov [esi + 12], eax",
        "mov ax, gs",
        "mov [esi + 16], eax",
        "mov ax, ss",
        "mov [esi + 20], eax",
        "mov ax, cs",
        "mov [esi + 24], eax",
        "cmp word ptr [esi + 8], 0x2b",
        "je 2f", // no segment of its own: nothing at 0
        "mov eax, es:[0]",
        "mov [esi + 28], eax",
        "mov eax, fs:[0]",
        "mov [esi + 32], eax",
        "mov eax, gs:[0]",
        "mov [esi + 36], eax",
        "2: mov eax, esp",
        "push eax",
        "pop ecx", // the stack's own word, by the whole of ESP
        "sub eax, ecx",
        "mov [esi + 40], eax",
        "pop ecx",
        "mov gs, ecx",
        "pop ecx",
        "mov fs, ecx",
        "pop ecx",
        "mov es, ecx",
        "pop esi",
        "pop ebx",
        "ret",
    )
}

/// Calls `cross` with `selector` in SS; answers SS behind it. On arrival: the
/// C ABI.
#[unsafe(naked)]
unsafe extern "C" fn own_stack(cross: unsafe extern "C" fn(), selector: u32) -> u32 {
    naked_asm!(
        "mov ecx, [esp + 4]",
        "mov eax, [esp + 8]",
        "mov ss, eax",
        "call ecx",
        "xor eax, eax",
        "mov ax, ss",
        "mov ecx, ds",
        "mov ss, ecx",
        "ret",
    )
}

/// close(2) of a bad descriptor by a door. On arrival: the C ABI; ES, FS, GS
/// and SS are whatever they are.
macro_rules! by {
    ($name:ident, $($door:literal),+ $(; $operand:ident = sym $symbol:path)?) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "push ebx",
                "push ebp",
                "mov eax, {close}",
                "mov ebx, {fd}",
                $($door,)+
                "pop ebp",
                "pop ebx",
                "ret",
                close = const nr32::CLOSE,
                fd = const BAD_FD,
                $($operand = sym $symbol,)?
            )
        }
    };
}

by!(by_int80, "int 0x80");
by!(by_vsyscall, "call dword ptr [{vsyscall}]"; vsyscall = sym VSYSCALL);
by!(
    by_sysenter,
    "call 2f",
    "jmp 3f",
    "2: push ecx",
    "push edx",
    "push ebp",
    "mov ebp, esp",
    "sysenter",
    "ud2",
    "3:"
);
by!(
    by_syscall,
    "call 2f",
    "jmp 3f",
    "2: push ecx",
    "push edx",
    "push ebp",
    "mov ebp, ecx",
    "syscall",
    "ud2",
    "3:"
);
