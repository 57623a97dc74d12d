//! The 256 exception and interrupt stubs, and the two ways they go on.
//!
//! A stub makes the stack look alike for all vectors: an error code (all ones
//! where the CPU pushed none) and the vector. Stubs stand [`VECTOR_STRIDE`]
//! bytes apart from the image's first byte on, so that the IDT is a constant.

use super::{int80, leave, pop_registers, push_registers, sysenter};
use crate::exception;
use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::layout::{PERCPU_STRIDE, VECTOR_STRIDE, percpu};
use trapgate_abi::x86::{msr, vector};
use trapgate_arch::percpu::PerCpu;

global_asm!(
    ".pushsection .entry.vectors, \"ax\"",
    ".set vec, 0",
    ".rept 256",
    ".balign {stride}",
    ".if vec == {syscall}",
    "  jmp {int80}",
    ".else",
    "  .if (vec < 32) && (({error_codes} >> (vec & 31)) & 1)",
    "  .else",
    "    push -1",
    "  .endif",
    "  push vec",
    "  .if (vec == {df}) || (vec == {nmi}) || (vec == {mc})",
    "    jmp {paranoid}",
    "  .elseif vec == {db}",
    "    jmp {debug}",
    "  .else",
    "    jmp {common}",
    "  .endif",
    ".endif",
    ".set vec, vec + 1",
    ".endr",
    ".balign {stride}",
    ".popsection",
    stride = const VECTOR_STRIDE,
    syscall = const vector::SYSCALL,
    error_codes = const vector::ERROR_CODES,
    df = const vector::DF,
    nmi = const vector::NMI,
    mc = const vector::MC,
    db = const vector::DB,
    int80 = sym int80::entry_int80,
    common = sym exception,
    paranoid = sym paranoid_exception,
    debug = sym debug_exception,
);

/// The stubs of all vectors that found a usable stack go on here.
///
/// On arrival: ring 0, interrupts off; gs = user's if cs on the stack is ring
/// 3's, or if rip is that of the IRETQ to ring 3; else this CPU's block; general
/// registers those of what was interrupted.
///
/// ```text
///   +48  │ ss rsp rflags cs rip    │ pushed by the CPU
///    +8  │ error code, or -1       │ → orig_rax
///    +0  │ vector                  │ → rdi's slot; rsi = vector
/// ```
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
unsafe extern "C" fn exception() -> ! {
    entry_asm!([
        "push rsi",
        "mov rsi, [rsp + 8]",                 // rsi = vector
        "mov [rsp + 8], rdi",                 // user's rdi into its slot
        push_registers!("rax"),               // the frame is complete
        "cld",                                // the ABI's direction
        "test byte ptr [rsp + {cs}], 3",
        "jz 3f",
        "swapgs",                             // gs = this CPU's block
        fence!(),
        kernel_tables!("rax"),
        "cmp qword ptr gs:[{smap}], 0",
        "je 2f",
        "clac",                               // user pages out of reach
        "2:",
        ibrs_on!(),
        untrain!(),
        "mov rdi, rsp",
        "sub rsp, 8",
        "call {from_user}",
        "add rsp, 8",
        ibrs_off!(),
        "jmp {leave}",
        "3:",                                 // from ring 0
        fence!(),
        "lea rax, [rip + {iret}]",
        "cmp rax, [rsp + {rip}]",
        "je 5f",
        "cmp qword ptr gs:[{smap}], 0",
        "je 4f",
        "clac",                               // IRETQ brings AC back
        "4:",
        "mov rdi, rsp",
        "sub rsp, 8",
        "call {from_kernel}",
        "add rsp, 8",
        pop_registers!(),
        "add rsp, 8",
        "iretq",
        "5:",                                 // at IRETQ to ring 3: gs = user's
        "swapgs",                             // gs = this CPU's block
        fence!(),
        kernel_tables!("rax"),
        "cmp qword ptr gs:[{smap}], 0",
        "je 6f",
        "clac",
        "6:",
        ibrs_on!(),
        untrain!(),
        "mov rdi, rsp",
        "sub rsp, 8",
        "call {bad_iret}",                    // does not return
    ],
        cs = const offset_of!(PtRegs, cs),
        rip = const offset_of!(PtRegs, rip),
        smap = const offset_of!(PerCpu, smap),
        iret = sym leave::iret_to_user,
        bad_iret = sym exception::bad_iret,
        from_user = sym exception::exception_from_user,
        from_kernel = sym exception::exception_from_kernel,
        leave = sym leave::return_to_user,
    )
}

/// The stubs of #DF, NMI and #MC go on here, and #DB in ring 0: they may come at any
/// instruction, also between SYSCALL and SWAPGS: ring 0 does not mean that gs is
/// the kernel's.
///
/// On arrival: as for the others, but rsp = the vector's own stack in this
/// CPU's area. Areas are aligned to their size, so rsp tells which CPU this is,
/// and the GS that was there is put back at the end.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
unsafe extern "C" fn paranoid_exception() -> ! {
    entry_asm!([
        "push rsi",
        "mov rsi, [rsp + 8]",                 // rsi = vector
        "mov [rsp + 8], rdi",
        push_registers!("rax"),               // the frame is complete
        "cld",
        "mov ecx, {gs_base}",
        "rdmsr",
        "shl rdx, 32",
        "mov ebx, eax",
        "or rbx, rdx",                        // rbx = GS base as it was
        "mov rax, rsp",
        "and rax, {area}",
        "add rax, {block}",                   // rax = this CPU's block
        "mov rdx, rax",
        "shr rdx, 32",
        "wrmsr",                              // gs = this CPU's block
        save_and_switch!(),
        "mov rdi, rsp",
        "sub rsp, 8",
        "call {paranoid}",
        "add rsp, 8",
        restore!(),
        clear_buffers!(),
        "mov ecx, {gs_base}",
        "mov eax, ebx",
        "mov rdx, rbx",
        "shr rdx, 32",
        "wrmsr",                              // gs = as it was
        pop_registers!(),
        "add rsp, 8",
        "iretq",
    ],
        gs_base = const msr::GS_BASE,
        area = const -(PERCPU_STRIDE as i64),
        block = const percpu::BLOCK,
        paranoid = sym paranoid,
    )
}

/// Goes on in Rust, and says what only the entries know: whether the program's
/// trap flag is still to be saved.
extern "C" fn paranoid(regs: &mut PtRegs, vector: u64) {
    exception::paranoid_exception(regs, vector, sysenter::has_users_flags(regs.rip));
}

/// The stub of #DB goes on here, on the vector's own stack.
///
/// On arrival: as for [`exception()`]; in ring 0 gs may be anybody's. That
/// happens to a program that enters with its trap flag set: SYSENTER keeps the
/// flag, and an emulator may look at it before SYSCALL masks it.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
unsafe extern "C" fn debug_exception() -> ! {
    naked_asm!(
        "test byte ptr [rsp + 24], 3",        // cs: vector, error code, rip are before it
        "jnz {from_user}",
        "jmp {from_kernel}",
        from_user = sym exception,
        from_kernel = sym paranoid_exception,
    )
}
