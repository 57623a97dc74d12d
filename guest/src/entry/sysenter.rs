//! The door of SYSENTER, which Intel has in long mode, for 32-bit and for
//! 64-bit code (Intel SDM vol. 2B, "SYSENTER"; Linux: `entry_SYSENTER_compat`).
//!
//! SYSENTER keeps neither RIP nor RSP. So the vDSO's `__kernel_vsyscall` puts
//! ESP into EBP before, EBP onto the stack, and the call returns to a fixed
//! place in the vDSO, the landing pad, whoever made it. A 64-bit program gets
//! there too, in compatibility mode, as in Linux: it does not live on.

use super::{leave, push_registers, sixth_argument};
use crate::dispatch as syscall;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
use trapgate_abi::x86::{rflags, selector};
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_uapi::Errno;

/// Both twins' text.
///
/// On arrival: ring 0, 64-bit mode; rsp = SYSENTER_ESP, this CPU's kernel
/// stack; eax = number, ebp = user ESP, gs = user's; interrupts off, VM and RF
/// clear, but all other flags the user's: direction, alignment check, nested
/// task, and the trap flag, with which every instruction up to
/// `$flags_are_ours` raises #DB. `vectors::exception` lets those go on.
///
/// ```text
/// STACK_TOP      ┌──────────────────────────────┐
///            -8  │ (keeps calls aligned)        │ ← SYSENTER_ESP
///           -16  │ ss      = USER_DS            │
///           -24  │ rsp     = rbp                │
///           -32  │ rflags  = user's, IF set     │
///           -40  │ cs      = USER32_CS          │
///           -48  │ rip     = landing pad        │
///           -56  │ orig_rax = eax               │
///           -64  │ rdi rsi rdx rcx              │
///           -96  │ rax     = -ENOSYS            │
///          -104  │ r8 r9 r10 r11                │
///          -136  │ rbx rbp r12 r13 r14 r15      │ ← rsp at the call
///                └──────────────────────────────┘
/// ```
macro_rules! sysenter {
    ($twin:ident, $flags_are_ours:literal, $dispatch:path, $leave:path) => {
        entry_asm!($twin, [
            "swapgs",                                  // gs = this CPU's block
            "push {user_ds}",
            "push rbp",                                // the vDSO's copy of ESP
            "pushfq",
            "or dword ptr [rsp], {interrupts}",        // SYSENTER has cleared it
            "push {user32_cs}",
            "push qword ptr gs:[{landing_pad}]",
            "mov eax, eax",                            // the number has 32 bits
            "push rax",
            "push rdi",
            "push rsi",
            push_registers!("{enosys}"),               // the frame is complete
            "cld",                                     // the ABI's direction
            "test dword ptr [rsp + {rflags}], {not_ours}",
            "jz 2f",
            "push {fixed}",
            "popfq",
            "2:",                                      // TF, NT and AC clear
            concat!(".globl ", $flags_are_ours),
            concat!($flags_are_ours, ":"),
            kernel_tables!($twin, "rax"),
            "inc qword ptr gs:[{count}]",
            guard_branches!($twin),
            sixth_argument!("4f"),                     // the frame's rbp = the sixth
            "mov rdi, rsp",
            before_call!($twin),
            "call {dispatch}",
            after_call!($twin),
            "jmp {leave}",
            "4: mov rdi, rsp",
            before_call!($twin),
            "call {bad_stack}",
            after_call!($twin),
            "jmp {leave}",
        ],
            interrupts = const rflags::IF,
            landing_pad = const offset_of!(PerCpu, landing_pad),
            enosys = const -(Errno::ENOSYS.number() as i64),
            rflags = const offset_of!(PtRegs, rflags),
            not_ours = const rflags::TF | rflags::NT | rflags::AC,
            fixed = const rflags::FIXED,
            count = const COUNTERS as usize + offset_of!(Counters, sysenter_native),
            rsp_slot = const offset_of!(PtRegs, rsp),
            rbp_slot = const offset_of!(PtRegs, rbp),
            smap = const offset_of!(PerCpu, smap),
            dispatch = sym $dispatch,
            bad_stack = sym syscall::bad_stack_32,
            leave = sym $leave,
            user_ds = const selector::USER_DS,
            user32_cs = const selector::USER32_CS,
        )
    };
}

/// SYSENTER_EIP points here.
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_sysenter() -> ! {
    sysenter!(plain, "sysenter_flags_are_ours", syscall::syscall_32, leave::return_to_compat)
}

/// Or here, if a step is on.
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.hardened")]
pub unsafe extern "C" fn hardened_sysenter() -> ! {
    sysenter!(
        hardened,
        "hardened_sysenter_flags_are_ours",
        syscall::hardened_32,
        leave::hardened_return_to_compat
    )
}

unsafe extern "C" {
    // The labels behind the last instruction that runs with the user's flags.
    static sysenter_flags_are_ours: u8;
    static hardened_sysenter_flags_are_ours: u8;
}

/// Whether the instruction at `rip` runs with the flags of the program that
/// came by SYSENTER: its trap flag is then still to be saved.
pub fn has_users_flags(rip: u64) -> bool {
    let address = |function: unsafe extern "C" fn() -> !| function as usize as u64;
    let plain = address(entry_sysenter)..=(&raw const sysenter_flags_are_ours) as u64;
    let hardened =
        address(hardened_sysenter)..=(&raw const hardened_sysenter_flags_are_ours) as u64;
    plain.contains(&rip) || hardened.contains(&rip)
}
