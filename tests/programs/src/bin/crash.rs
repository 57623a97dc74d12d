//! Programs' mistakes, one by each name: the program must die by the signal
//! that Linux sends. Each has a function of its own, which a crash report can
//! name.
//!
//! `crash NAME [ADDRESS]`; status 2: no such name; 1: it survived.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "crashes")]

use core::arch::asm;
use trapgate_abi::x86::rflags;
use trapgate_programs::{KERNEL_HALF, NON_CANONICAL, Pages, call, poke};
use trapgate_rt::{Args, eprintln};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// Names, and the signal that each dies by.
const CRASHES: [(&str, fn()); 29] = [
    ("null-read", null_read),                       // SIGSEGV
    ("null-write", null_write),                     // SIGSEGV
    ("exec-nx", exec_nx),                           // SIGSEGV
    ("write-text", write_text),                     // SIGSEGV
    ("read-kernel", read_kernel),                   // SIGSEGV
    ("write-kernel", write_kernel),                 // SIGSEGV
    ("jump-kernel", jump_kernel),                   // SIGSEGV
    ("ud2", ud2),                                   // SIGILL
    ("int3", int3),                                 // SIGTRAP
    ("div0", div0),                                 // SIGFPE
    ("hlt", hlt),                                   // SIGSEGV
    ("cli", cli),                                   // SIGSEGV
    ("in-port", in_port),                           // SIGSEGV
    ("out-port", out_port),                         // SIGSEGV
    ("int-n", int_n),                               // SIGSEGV
    ("stack-overflow", stack_overflow),             // SIGSEGV
    ("noncanonical", noncanonical),                 // SIGSEGV
    ("noncanonical-stack", noncanonical_stack),     // SIGBUS
    ("wild-jump", wild_jump),                       // SIGSEGV
    ("noncanonical-jump", noncanonical_jump),       // SIGSEGV
    ("gp-msr", gp_msr),                             // SIGSEGV
    ("load-segment", load_segment),                 // SIGSEGV
    ("iret-to-kernel", iret_to_kernel),             // SIGSEGV
    ("single-step", single_step),                   // SIGTRAP
    ("misaligned", misaligned),                     // SIGBUS
    ("x87-error", x87_error),                       // SIGFPE
    ("simd-error", simd_error),                     // SIGFPE
    ("abort", abort),                               // SIGABRT
    ("syscall-on-bad-stack", syscall_on_bad_stack), // SIGSEGV
];

fn main(args: Args) -> i32 {
    let name = args.arg(1).unwrap_or(b"");
    if name == b"jump-lstar" {
        jump_lstar(args);
        return 1;
    }
    let Some((_, crash)) = CRASHES.iter().find(|crash| crash.0.as_bytes() == name) else {
        eprintln!("argument: one of");
        CRASHES.iter().for_each(|crash| eprintln!("  {}", crash.0));
        eprintln!("  jump-lstar ADDRESS");
        return 2;
    };
    crash();
    eprintln!("survived");
    1
}

/// Runs instructions that end the program.
macro_rules! fatal {
    ($($asm:tt)*) => {
        // SAFETY: the program ends here, by a signal.
        unsafe { asm!($($asm)*) }
    };
}

#[inline(never)]
fn null_read() {
    fatal!("mov al, [{}]", in(reg) 0u64, out("al") _);
}

#[inline(never)]
fn null_write() {
    fatal!("mov byte ptr [{}], 1", in(reg) 0u64);
}

#[inline(never)]
fn exec_nx() {
    let page = Pages::map(1).expect("a page").page(0);
    poke(page, 0xc3); // RET
    fatal!("call {}", in(reg) page, clobber_abi("C"));
}

#[inline(never)]
fn write_text() {
    fatal!("mov byte ptr [{}], 0x90", in(reg) write_text as *const u8);
}

#[inline(never)]
fn read_kernel() {
    fatal!("mov al, [{}]", in(reg) KERNEL_HALF, out("al") _);
}

#[inline(never)]
fn write_kernel() {
    fatal!("mov byte ptr [{}], 1", in(reg) KERNEL_HALF);
}

#[inline(never)]
fn jump_kernel() {
    fatal!("jmp {}", in(reg) KERNEL_HALF);
}

/// To where the kernel's SYSCALL entry is, which the caller knows: `ADDRESS`
/// in hexadecimal. RCX and R11 are such that it is no system call.
#[inline(never)]
fn jump_lstar(args: Args) {
    let text = args.arg(2).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or("");
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let address = u64::from_str_radix(digits, 16).unwrap_or(KERNEL_HALF);
    fatal!("jmp {}", in(reg) address, in("rcx") 0, in("r11") 0x202, in("rax") 39);
}

#[inline(never)]
fn ud2() {
    fatal!("ud2");
}

#[inline(never)]
fn int3() {
    fatal!("int3");
}

#[inline(never)]
fn div0() {
    fatal!("div {:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _);
}

#[inline(never)]
fn hlt() {
    fatal!("hlt");
}

#[inline(never)]
fn cli() {
    fatal!("cli");
}

#[inline(never)]
fn in_port() {
    fatal!("in al, dx", in("dx") 0x80, out("al") _);
}

#[inline(never)]
fn out_port() {
    fatal!("out dx, al", in("dx") 0x80, in("al") 0i8);
}

/// A gate that is the kernel's.
#[inline(never)]
fn int_n() {
    fatal!("int 0x81");
}

#[inline(never)]
fn stack_overflow() {
    fatal!("2: push rax", "jmp 2b");
}

#[inline(never)]
fn noncanonical() {
    fatal!("mov al, [{}]", in(reg) NON_CANONICAL, out("al") _);
}

/// By way of the stack segment: #SS and not #GP.
#[inline(never)]
fn noncanonical_stack() {
    fatal!("mov rsp, {}", "pop rax", in(reg) NON_CANONICAL, out("rax") _);
}

#[inline(never)]
fn wild_jump() {
    fatal!("jmp {}", in(reg) 0x1234u64);
}

#[inline(never)]
fn noncanonical_jump() {
    fatal!("jmp {}", in(reg) NON_CANONICAL);
}

#[inline(never)]
fn gp_msr() {
    fatal!("rdmsr", in("ecx") 0x10, out("eax") _, out("edx") _);
}

/// The kernel's data segment.
#[inline(never)]
fn load_segment() {
    fatal!("mov ds, {:x}", in(reg) 0x18);
}

/// Ring 3 must not return to ring 0.
#[inline(never)]
fn iret_to_kernel() {
    fatal!(
        "push 0x18", "push rsp", "pushfq", "push 0x10", "push {}", "iretq",
        in(reg) KERNEL_HALF,
    );
}

#[inline(never)]
fn single_step() {
    fatal!(
        "pushfq", "or qword ptr [rsp], {trap}", "popfq", "nop", "nop",
        trap = const rflags::TF,
    );
}

/// With RFLAGS.AC set.
#[inline(never)]
fn misaligned() {
    let page = Pages::map(1).expect("a page").page(0);
    fatal!(
        "pushfq", "or qword ptr [rsp], {check}", "popfq", "mov eax, [{address} + 1]",
        check = const rflags::AC,
        address = in(reg) page,
        out("eax") _,
    );
}

/// A division by zero, not masked.
#[inline(never)]
fn x87_error() {
    fatal!(
        "push 0x37b", "fldcw [rsp]", "fld1", "fldz", "fdivp st(1), st", "fwait",
        out("st(0)") _, out("st(1)") _,
    );
}

/// The same by SSE.
#[inline(never)]
fn simd_error() {
    fatal!(
        "push 0x1d80",
        "ldmxcsr [rsp]",
        "xorps xmm0, xmm0",
        "push 0x3f800000",
        "movss xmm1, [rsp]",
        "divss xmm1, xmm0",
    );
}

#[inline(never)]
fn abort() {
    const SIGABRT: u64 = 6;
    let pid = call(nr64::GETPID, &[]).unwrap_or(0);
    let _ = call(nr64::TGKILL, &[pid, pid, SIGABRT]);
}

/// The kernel must not touch the user's stack: the call is carried out, and
/// the next push fails.
#[inline(never)]
fn syscall_on_bad_stack() {
    fatal!(
        "mov rsp, {stack}", "mov eax, {getpid}", "syscall", "push rax",
        stack = in(reg) KERNEL_HALF,
        getpid = const nr64::GETPID,
        out("rax") _, out("rcx") _, out("r11") _,
    );
}
