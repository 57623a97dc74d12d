//! The door of SYSCALL from 64-bit code (Intel SDM vol. 2B and AMD APM vol. 3,
//! "SYSCALL").

use super::{leave, pop_registers, push_registers};
use crate::dispatch as syscall;
use crate::return_path::{CANONICAL_END, SINGLE_STEP, sysret_checks};
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
use trapgate_abi::x86::selector;
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_uapi::Errno;

/// Both twins' text.
///
/// On arrival: ring 0; rcx = user RIP, r11 = user RFLAGS, rax = number;
/// rsp = user's, gs = user's; RFLAGS masked by SFMASK, so no interrupt comes;
/// everything else is the user's.
///
/// ```text
/// STACK_TOP      ┌──────────────────────────────┐
///            -8  │ (keeps calls aligned)        │
///           -16  │ ss      = USER_DS            │
///           -24  │ rsp     = user's             │
///           -32  │ rflags  = r11                │
///           -40  │ cs      = USER_CS            │
///           -48  │ rip     = rcx                │
///           -56  │ orig_rax = number            │
///           -64  │ rdi rsi rdx rcx              │
///           -96  │ rax     = -ENOSYS            │
///          -104  │ r8 r9 r10 r11                │
///          -136  │ rbx rbp r12 r13 r14 r15      │ ← rsp at the call
///                └──────────────────────────────┘
/// ```
macro_rules! syscall_64 {
    ($twin:ident, $dispatch:path, $iret:path) => {
        entry_asm!($twin, [
            "swapgs",                                  // gs = this CPU's block
            "mov gs:[{user_rsp}], rsp",                // the one scratch slot
            kernel_tables!($twin, "rsp"),
            "mov rsp, gs:[{stack}]",                   // own stack from here on
            "push {user_ds}",
            "push qword ptr gs:[{user_rsp}]",
            "push r11",
            "push {user_cs}",
            "push rcx",
            "push rax",
            "push rdi",
            "push rsi",
            push_registers!("{enosys}"),               // the frame is complete
            "inc qword ptr gs:[{count}]",
            "mov rdi, rsp",
            guard_branches!($twin),
            before_call!($twin),
            "call {dispatch}",
            after_call!($twin),
            pop_registers!(),                          // rcx, r11 and rax as they shall be
            sysret_checks!("rsp - {popped}", "2f"),
            user_tables!($twin),
            "mov rsp, [rsp - {popped} + {rsp_slot}]",  // rsp = user's
            clear_buffers!($twin),
            "swapgs",                                  // gs = user's
            "sysretq",                                 // RIP = rcx, RFLAGS = r11
            "2: add rsp, 8",                           // rsp = rip, cs, rflags, rsp, ss
            user_tables!($twin),
            clear_buffers!($twin),
            "swapgs",
            "jmp {iret}",
        ],
            user_rsp = const offset_of!(PerCpu, user_rsp),
            stack = const offset_of!(PerCpu, syscall_stack),
            enosys = const -(Errno::ENOSYS.number() as i64),
            count = const COUNTERS as usize + offset_of!(Counters, syscall64_native),
            dispatch = sym $dispatch,
            iret = sym $iret,
            popped = const offset_of!(PtRegs, orig_rax),
            rip = const offset_of!(PtRegs, rip),
            rflags = const offset_of!(PtRegs, rflags),
            cs = const offset_of!(PtRegs, cs),
            ss = const offset_of!(PtRegs, ss),
            rsp_slot = const offset_of!(PtRegs, rsp),
            canonical_end = sym CANONICAL_END,
            single_step = const SINGLE_STEP,
            user_cs = const selector::USER_CS,
            user_ds = const selector::USER_DS,
        )
    };
}

/// LSTAR points here.
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_syscall_64() -> ! {
    syscall_64!(plain, syscall::syscall_64, leave::iret_to_user)
}

/// Or here, if a step is on.
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.hardened")]
pub unsafe extern "C" fn hardened_syscall_64() -> ! {
    syscall_64!(hardened, syscall::hardened_64, leave::hardened_iret_to_user)
}
