//! The 256 exception and interrupt stubs, and the two ways they go on.
//!
//! A stub makes the stack look alike for all vectors: an error code (all ones
//! where the CPU pushed none) and the vector. Stubs stand [`VECTOR_STRIDE`]
//! bytes apart from the image's first byte on, so that the IDT is a constant.

use super::{int80, leave, pop_registers, push_registers, sysenter};
use crate::exception;
use core::arch::global_asm;
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
    "  .if vec == {df}",
    "    jmp {paranoid}",
    "  .elseif (vec == {db}) || (vec == {nmi}) || (vec == {mc})",
    "    jmp {own_stack}",
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
    own_stack = sym exception_on_own_stack,
);

/// Serves an exception in ring 3, whose complete frame rsp points to, on the thread's
/// stack, with the vector in rsi; and goes back.
macro_rules! serve_user {
    ($serve:literal) => {
        concat!(
            "cmp qword ptr gs:[{smap}], 0
             je 2f
             clac                             # user pages out of reach
             2:\n",
            ibrs_on!(),
            untrain!(),
            "\nmov rdi, rsp
             sub rsp, 8\n",
            "call ",
            $serve,
            "\nadd rsp, 8\n",
            ibrs_off!(),
            "\njmp {leave}",
        )
    };
}

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
        to_thread_stack!(),
        serve_user!("{from_user}"),
        "3:",                                 // from ring 0
        fence!(),
        "lea rax, [rip + {iret}]",
        "cmp rax, [rsp + {rip}]",
        "je {refused}",
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
    ],
        cs = const offset_of!(PtRegs, cs),
        rip = const offset_of!(PtRegs, rip),
        smap = const offset_of!(PerCpu, smap),
        iret = sym leave::iret_to_user,
        refused = sym iret_refused,
        from_user = sym exception::exception_from_user,
        from_kernel = sym exception::exception_from_kernel,
        leave = sym leave::return_to_user,
    )
}

/// The IRETQ to ring 3 faulted: what it was to load is still there, where the frame
/// of ring 0 has its stack pointer. With that the frame is one of ring 3, in which
/// the exception might have been (Linux: `fixup_bad_iret`).
///
/// On arrival: rsp = a complete frame of ring 0, below what IRETQ was to load; rsi =
/// vector; gs = user's; general registers in the frame are the user's.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
unsafe extern "C" fn iret_refused() -> ! {
    entry_asm!([
        "swapgs",                             // gs = this CPU's block
        fence!(),
        kernel_tables!("rax"),
        "mov rbx, rsi",
        "mov rsi, [rsp + {rsp_slot}]",
        "lea rdi, [rsp + {rip}]",
        "mov ecx, 5",
        "rep movsq",                          // rip, cs, rflags, rsp, ss
        "mov rsi, rbx",                       // rsi = vector
        to_thread_stack!(),
        serve_user!("{bad_iret}"),
    ],
        rip = const offset_of!(PtRegs, rip),
        rsp_slot = const offset_of!(PtRegs, rsp),
        smap = const offset_of!(PerCpu, smap),
        bad_iret = sym exception::bad_iret,
        leave = sym leave::return_to_user,
    )
}

/// The stubs of #DB, NMI and #MC go on here, which have stacks of their own. From
/// ring 3 nothing is odd but that stack, which the next one of its kind would
/// overwrite: the frame moves to the thread's. In ring 0 gs may be anybody's; and #DB
/// happens to a program that enters with its trap flag set: SYSENTER keeps the flag,
/// and an emulator may look at it before SYSCALL masks it.
///
/// On arrival: as for [`exception()`], on the vector's stack.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
unsafe extern "C" fn exception_on_own_stack() -> ! {
    entry_asm!([
        "test byte ptr [rsp + 24], 3",        // cs: vector, error code, rip are before it
        "jz {from_kernel}",
        "push rsi",
        "mov rsi, [rsp + 8]",                 // rsi = vector
        "mov [rsp + 8], rdi",
        push_registers!("rax"),               // the frame is complete
        "cld",
        "swapgs",                             // gs = this CPU's block
        fence!(),
        kernel_tables!("rax"),
        move_to_thread_stack!("{stack}", "{above}", "{words}"),
        serve_user!("{from_user}"),
    ],
        stack = const offset_of!(PerCpu, syscall_stack),
        above = const super::FRAME_ABOVE,
        words = const PtRegs::WORDS,
        smap = const offset_of!(PerCpu, smap),
        from_user = sym exception::exception_from_user,
        from_kernel = sym paranoid_exception,
        leave = sym leave::return_to_user,
    )
}

/// The stub of #DF goes on here, and those of NMI, #MC and #DB in ring 0: they may come at any
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
