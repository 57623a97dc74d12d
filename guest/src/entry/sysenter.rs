//! The door of SYSENTER, which Intel has in long mode, for 32-bit and for
//! 64-bit code (Intel SDM vol. 2B, "SYSENTER"; Linux: `entry_SYSENTER_compat`).
//!
//! SYSENTER keeps neither RIP nor RSP. So the vDSO's `__kernel_vsyscall` puts
//! ESP into EBP before, EBP onto the stack, and the call returns to a fixed
//! place in the vDSO, the landing pad, whoever made it. A 64-bit program gets
//! there too, in compatibility mode, as in Linux: it does not live on.

use super::{fast_call_32, leave, push_registers, sixth_argument};
use crate::dispatch;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
use trapgate_abi::trace::{Door, Way};
use trapgate_abi::x86::{rflags, selector};
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_uapi::Errno;

/// SYSENTER_EIP points here.
///
/// On arrival: ring 0, 64-bit mode; rsp = SYSENTER_ESP, no thread's stack; eax =
/// number, ebp = user ESP, gs = user's; interrupts off, VM and RF
/// clear, but all other flags the user's: direction, alignment check, nested
/// task, and the trap flag, with which every instruction up to
/// `sysenter_flags_are_ours` raises #DB. `exception` lets those go on.
///
/// ```text
/// STACK_TOP      ┌──────────────────────────────┐
///            -8  │ (keeps calls aligned)        │
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
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
pub unsafe extern "C" fn entry_sysenter() -> ! {
    entry_asm!([
        "swapgs",                                  // gs = this CPU's block
        kernel_tables_keep_flags!(),
        "mov rsp, gs:[{stack}]",                   // own stack from here on
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
        "test dword ptr [rsp + {rflags}], {not_ours}",
        "jz 2f",
        "push {fixed}",
        "popfq",
        "2:",                                      // TF, DF, NT and AC clear
        ".globl sysenter_flags_are_ours",
        "sysenter_flags_are_ours:",
        "inc qword ptr gs:[{count}]",
        guard_branches!(),
        fast_call_32!(),                           // the call, and the way back
    ],
        stack = const offset_of!(PerCpu, syscall_stack),
        interrupts = const rflags::IF,
        landing_pad = const offset_of!(PerCpu, landing_pad),
        enosys = const -(Errno::ENOSYS.number() as i64),
        rflags = const offset_of!(PtRegs, rflags),
        not_ours = const rflags::TF | rflags::DF | rflags::NT | rflags::AC,
        fixed = const rflags::FIXED,
        count = const COUNTERS as usize + offset_of!(Counters, sysenter_native),
        rsp_slot = const offset_of!(PtRegs, rsp),
        rbp_slot = const offset_of!(PtRegs, rbp),
        smap = const offset_of!(PerCpu, smap),
        way = const Way::native(Door::Sysenter).bits(),
        dispatch = sym dispatch::syscall_32,
        bad_stack = sym dispatch::bad_stack_32,
        leave = sym leave::return_to_compat,
        user_ds = const selector::USER_DS,
        user32_cs = const selector::USER32_CS,
    )
}

unsafe extern "C" {
    // The label behind the last instruction that runs with the user's flags.
    static sysenter_flags_are_ours: u8;
}

/// Whether the instruction at `rip` runs with the flags of the program that
/// came by SYSENTER: its trap flag is then still to be saved.
pub fn has_users_flags(rip: u64) -> bool {
    let entry: unsafe extern "C" fn() -> ! = entry_sysenter;
    (entry as usize as u64..=(&raw const sysenter_flags_are_ours) as u64).contains(&rip)
}
