//! The door of INT 0x80: Linux's i386 calls, from 32-bit and from 64-bit code (Linux:
//! `entry_INT80_compat`).

use super::{leave, push_registers};
use crate::dispatch as syscall;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
use trapgate_abi::x86::selector;
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_uapi::Errno;

/// Both twins' text.
///
/// On arrival: ring 0, from ring 3 (the gate is for the user; the kernel has
/// no INT 0x80); rsp = this CPU's kernel stack with the CPU's frame on it;
/// gs = user's; interrupts off, other flags the user's; eax = number.
///
/// ```text
/// STACK_TOP   -8  │ ss rsp rflags cs rip         │ pushed by the CPU
///            -48  │ orig_rax = eax               │
///            -56  │ rdi … r15, rax = -ENOSYS     │
///           -168  ├──────────────────────────────┤ PtRegs
///           -176  │ (keeps calls aligned)        │ ← rsp at the call
/// ```
macro_rules! int80 {
    ($twin:ident, $dispatch:path, $leave:path) => {
        entry_asm!($twin, [
            "swapgs",                                  // gs = this CPU's block
            fence!($twin),
            "cld",                                     // the ABI's direction
            "cmp qword ptr gs:[{smap}], 0",
            "je 2f",
            "clac",                                    // user pages out of reach
            "2:",
            "mov eax, eax",                            // the number has 32 bits
            "push rax",
            "push rdi",
            "push rsi",
            push_registers!("{enosys}"),               // the frame is complete
            kernel_tables!($twin, "rax"),
            "cmp byte ptr [rsp + {cs}], {user_cs}",
            "jne 3f",
            "inc qword ptr gs:[{count}]",
            "jmp 4f",
            "3: inc qword ptr gs:[{count_compat}]",
            "4:",
            "mov rdi, rsp",
            "sub rsp, 8",
            guard_branches!($twin),
            before_call!($twin),
            "call {dispatch}",
            after_call!($twin),
            "add rsp, 8",
            "jmp {leave}",
        ],
            smap = const offset_of!(PerCpu, smap),
            enosys = const -(Errno::ENOSYS.number() as i64),
            count = const COUNTERS as usize + offset_of!(Counters, int80_native),
            count_compat = const COUNTERS as usize + offset_of!(Counters, int80_compat_native),
            cs = const offset_of!(PtRegs, cs),
            user_cs = const selector::USER_CS,
            dispatch = sym $dispatch,
            leave = sym $leave,
        )
    };
}

/// The stub of vector 0x80 jumps here.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn entry_int80() -> ! {
    int80!(plain, syscall::syscall_32, leave::return_to_user)
}

/// Or its twin here, if a step is on.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.hardened")]
pub(super) unsafe extern "C" fn hardened_int80() -> ! {
    int80!(hardened, syscall::hardened_32, leave::hardened_return_to_user)
}
