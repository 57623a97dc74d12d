//! The door of SYSCALL from 64-bit code (Intel SDM vol. 2B and AMD APM vol. 3,
//! "SYSCALL").

#[cfg(feature = "instrumented")]
use super::stamps::stamped;
use super::{leave, pop_registers, push_registers};
use crate::dispatch;
use crate::return_path::{CANONICAL_END, SINGLE_STEP, sysret_checks};
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
#[cfg(feature = "instrumented")]
use trapgate_abi::stamps::{RECORD_SIZE, Record, Stamping};
use trapgate_abi::trace::{Door, Way};
use trapgate_abi::x86::selector;
#[cfg(feature = "instrumented")]
use trapgate_arch::percpu::STAMPING;
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_uapi::Errno;

/// The door's text. `$stamped` is what its stamps are: [`unstamped`], or `stamped`
/// of `stamps`, whose operands follow.
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
    ($stamped:ident, $dispatch:path, $($operands:tt)*) => {
        entry_asm!([
            "swapgs",                                  // gs = this CPU's block
            "mov gs:[{user_rsp}], rsp",                // the one scratch slot
            kernel_tables!("rsp"),
            $stamped!(entered),
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
            $stamped!(framed),
            "inc qword ptr gs:[{count}]",
            "mov rdi, rsp",
            guard_branches!(),
            before_call!(),
            "call {dispatch}",                         // the frame = what the program gets
            $stamped!(settled),
            after_call!(),
            pop_registers!(),                          // rcx, r11 and rax as they shall be
            sysret_checks!("rsp - {popped}", "2f"),    // SYSRET is exact
            $stamped!(leaving),
            "mov rsp, [rsp - {popped} + {rsp_slot}]",  // rsp = user's
            user_tables!(),
            clear_buffers!(),
            "swapgs",                                  // gs = user's
            "sysretq",                                 // RIP = rcx, RFLAGS = r11
            "2: # or by {leave}",
            leave_by_entry_stack!(),
            "add rsp, 8",                              // rsp = rip, cs, rflags, rsp, ss
            clear_buffers!(),
            "swapgs",                                  // gs = user's
            "jmp {iret}",
        ],
            user_rsp = const offset_of!(PerCpu, user_rsp),
            stack = const offset_of!(PerCpu, syscall_stack),
            enosys = const -(Errno::ENOSYS.number() as i64),
            count = const COUNTERS as usize + offset_of!(Counters, syscall64_native),
            way = const Way::native(Door::Syscall64).bits(),
            dispatch = sym $dispatch,
            iret = sym leave::iret_to_user,
            leave = sym leave::return_to_user,
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
            $($operands)*
        )
    };
}

/// No stamp.
macro_rules! unstamped {
    ($stamp:ident) => {
        ""
    };
}

/// LSTAR points here.
///
/// # Safety
/// Only the CPU may come here.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
pub unsafe extern "C" fn entry_syscall_64() -> ! {
    syscall_64!(unstamped, dispatch::syscall_64,)
}

/// Or here, if the VMM wants stamps.
///
/// # Safety
/// Only the CPU may come here; the VMM has given a buffer.
#[cfg(feature = "instrumented")]
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
pub unsafe extern "C" fn entry_syscall_64_stamped() -> ! {
    syscall_64!(
        stamped,
        dispatch::syscall_64_stamped,
        stamp_rax = const STAMPING + offset_of!(Stamping, rax),
        stamp_rdx = const STAMPING + offset_of!(Stamping, rdx),
        records_left = const STAMPING + offset_of!(Stamping, left),
        record = const STAMPING + offset_of!(Stamping, record),
        record_size = const RECORD_SIZE,
        number = const offset_of!(Record, number),
        user = const offset_of!(Record, user),
        entered = const offset_of!(Record, entered),
        framed = const offset_of!(Record, framed),
        settled = const offset_of!(Record, settled),
        leaving = const offset_of!(Record, leaving),
    )
}
