//! The door of SYSCALL from compatibility mode, which AMD has (AMD APM vol. 3,
//! "SYSCALL"; Linux: `entry_SYSCALL_compat`).
//!
//! SYSCALL takes ECX for the return address. So the vDSO's `__kernel_vsyscall`
//! moves the second argument to EBP before and puts EBP, the sixth, onto the
//! stack; the call returns to the vDSO's landing pad, whoever made it.

use super::{fast_call_32, leave, push_registers, sixth_argument};
use crate::dispatch;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
use trapgate_abi::trace::{Door, Way};
use trapgate_abi::x86::selector;
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_uapi::Errno;

/// CSTAR points here, on every maker's CPU: where SYSCALL does not come here,
/// nothing does.
///
/// On arrival: ring 0, 64-bit mode; ecx = user EIP, r11 = user RFLAGS, eax =
/// number, ebp = second argument; esp = user's; gs = user's; RFLAGS masked by
/// SFMASK; r8 to r15 mean nothing to 32-bit code.
///
/// ```text
/// STACK_TOP      ┌──────────────────────────────┐
///            -8  │ (keeps calls aligned)        │
///           -16  │ ss      = USER_DS            │
///           -24  │ rsp     = esp                │
///           -32  │ rflags  = r11                │
///           -40  │ cs      = USER32_CS          │
///           -48  │ rip     = landing pad        │
///           -56  │ orig_rax = eax               │
///           -64  │ rdi rsi rdx, rcx = ebp       │
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
pub unsafe extern "C" fn entry_syscall_32() -> ! {
    entry_asm!([
        "swapgs",                                  // gs = this CPU's block
        "mov r8d, esp",                            // r8 = user's esp
        kernel_tables!("rsp"),
        "mov rsp, gs:[{stack}]",                   // own stack from here on
        "push {user_ds}",
        "push r8",
        "push r11",
        "push {user32_cs}",
        "push qword ptr gs:[{landing_pad}]",
        "mov eax, eax",                            // the number has 32 bits
        "push rax",
        "push rdi",
        "push rsi",
        "mov ecx, ebp",                            // rcx = second argument
        push_registers!("{enosys}"),               // the frame is complete
        "inc qword ptr gs:[{count}]",
        guard_branches!(),
        fast_call_32!(),                           // the call, and the way back
    ],
        stack = const offset_of!(PerCpu, syscall_stack),
        landing_pad = const offset_of!(PerCpu, landing_pad),
        enosys = const -(Errno::ENOSYS.number() as i64),
        count = const COUNTERS as usize + offset_of!(Counters, syscall_compat_native),
        rsp_slot = const offset_of!(PtRegs, rsp),
        rbp_slot = const offset_of!(PtRegs, rbp),
        smap = const offset_of!(PerCpu, smap),
        way = const Way::native(Door::Syscall32).bits(),
        dispatch = sym dispatch::syscall_32,
        bad_stack = sym dispatch::bad_stack_32,
        leave = sym leave::return_to_compat,
        user_ds = const selector::USER_DS,
        user32_cs = const selector::USER32_CS,
    )
}
