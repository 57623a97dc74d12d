//! The door of INT 0x80: Linux's i386 calls, from 32-bit and from 64-bit code (Linux:
//! `entry_INT80_compat`).

use super::{leave, push_registers};
use crate::dispatch;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
use trapgate_abi::trace::{Door, Way};
use trapgate_abi::x86::selector;
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_uapi::Errno;

/// The stub of vector 0x80 jumps here.
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
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
pub(super) unsafe extern "C" fn entry_int80() -> ! {
    entry_asm!([
        "swapgs",                                  // gs = this CPU's block
        fence!(),
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
        kernel_tables!("rax"),
        to_thread_stack!(),
        "cmp byte ptr [rsp + {cs}], {user_cs}",
        "jne 3f",
        "inc qword ptr gs:[{count}]",              // from 64-bit code
        "jmp 4f",
        "3: inc qword ptr gs:[{count_compat}]",    // from compatibility mode
        "4:",
        "mov rdi, rsp",
        "sub rsp, 8",
        guard_branches!(),
        before_call!(),
        "call {dispatch}",                         // the frame = what the program gets
        after_call!(),
        "add rsp, 8",
        "jmp {leave}",
    ],
        smap = const offset_of!(PerCpu, smap),
        enosys = const -(Errno::ENOSYS.number() as i64),
        count = const COUNTERS as usize + offset_of!(Counters, int80_native),
        count_compat = const COUNTERS as usize + offset_of!(Counters, int80_compat_native),
        cs = const offset_of!(PtRegs, cs),
        user_cs = const selector::USER_CS,
        way = const Way::native(Door::Int80).bits(),
        dispatch = sym dispatch::syscall_32,
        leave = sym leave::return_to_user,
    )
}
