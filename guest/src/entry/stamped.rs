//! The door of SYSCALL from 64-bit code once more, with stamps
//! ([`trapgate_abi::stamps`]): where the time of a call goes. For `trapgate
//! bench`; `syscall64` is the door of programs.

use super::{leave, pop_registers, push_registers};
use crate::dispatch as syscall;
use crate::return_path::{CANONICAL_END, SINGLE_STEP, sysret_checks};
use core::arch::{asm, naked_asm};
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::counters::Counters;
use trapgate_abi::layout::percpu;
use trapgate_abi::stamps::{Buffer, RECORD_SIZE, RECORDS, Record, Stamping};
use trapgate_abi::x86::selector;
use trapgate_arch::percpu::{COUNTERS, PerCpu};
use trapgate_kernel::process::prepare_return::prepare_return;
use trapgate_uapi::Errno;

/// The door's words, from GS.
const STAMPING: usize = (percpu::STAMPING - percpu::BLOCK) as usize;

/// Reads the time-stamp counter into edx:eax, with nothing in flight before or
/// after.
macro_rules! time {
    () => {
        "lfence\n rdtsc\n lfence"
    };
}

/// LSTAR points here, if the VMM wants stamps.
///
/// On arrival, and the frame: as for `syscall64::entry_syscall_64`, whose
/// instructions these are, in their order. In addition to them: rbx = the
/// buffer and r12 = this call's record, once the frame holds the user's.
///
/// # Safety
/// Only the CPU may come here; the VMM has given a buffer.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_syscall_64_stamped() -> ! {
    naked_asm!(
        "swapgs",                                  // gs = this CPU's block
        "mov gs:[{rax}], rax",
        "mov gs:[{rdx}], rdx",
        time!(),                                   // entered
        "mov gs:[{entered}], eax",
        "mov rax, gs:[{rax}]",
        "mov rdx, gs:[{rdx}]",                     // rax, rdx = the user's again
        "mov gs:[{user_rsp}], rsp",                // the one scratch slot
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
        time!(),                                   // framed
        "mov rbx, gs:[{buffer}]",
        "mov r12, [rbx + {buffer_count}]",         // at most its capacity
        "imul r12, r12, {record_size}",
        "lea r12, [rbx + r12 + {records}]",        // r12 = this call's record
        "mov [r12 + {record_framed}], eax",
        "mov eax, gs:[{entered}]",
        "mov [r12 + {record_entered}], eax",
        "mov [r12 + {record_user}], edi",
        "mov eax, [rsp + {orig_rax}]",
        "mov [r12 + {record_number}], eax",
        "inc qword ptr gs:[{count}]",
        "mov rdi, rsp",
        "mov rsi, r12",
        "call {dispatch}",                         // found, handled, settled
        "mov gs:[{record}], r12",
        "mov rax, [rbx + {buffer_count}]",
        "cmp rax, [rbx + {buffer_capacity}]",
        "adc qword ptr [rbx + {buffer_count}], 0", // one more, if it is not full
        pop_registers!(),                          // rcx, r11 and rax as they shall be
        sysret_checks!("rsp - {popped}", "2f"),
        "mov gs:[{rax}], rax",
        "mov gs:[{rdx}], rdx",
        time!(),                                   // leaving
        "mov rdx, gs:[{record}]",
        "mov [rdx + {record_leaving}], eax",
        "mov rax, gs:[{rax}]",
        "mov rdx, gs:[{rdx}]",
        "mov rsp, [rsp - {popped} + {rsp_slot}]",  // rsp = user's
        "swapgs",                                  // gs = user's
        "sysretq",                                 // RIP = rcx, RFLAGS = r11
        "2: add rsp, 8",                           // rsp = rip, cs, rflags, rsp, ss
        "swapgs",
        "jmp {iret}",
        rax = const STAMPING + offset_of!(Stamping, rax),
        rdx = const STAMPING + offset_of!(Stamping, rdx),
        entered = const STAMPING + offset_of!(Stamping, entered),
        buffer = const STAMPING + offset_of!(Stamping, buffer),
        record = const STAMPING + offset_of!(Stamping, record),
        buffer_count = const offset_of!(Buffer, count),
        buffer_capacity = const offset_of!(Buffer, capacity),
        records = const RECORDS,
        record_size = const RECORD_SIZE,
        record_number = const offset_of!(Record, number),
        record_user = const offset_of!(Record, user),
        record_entered = const offset_of!(Record, entered),
        record_framed = const offset_of!(Record, framed),
        record_leaving = const offset_of!(Record, leaving),
        user_rsp = const offset_of!(PerCpu, user_rsp),
        stack = const offset_of!(PerCpu, syscall_stack),
        enosys = const -(Errno::ENOSYS.number() as i64),
        count = const COUNTERS as usize + offset_of!(Counters, syscall64_native),
        dispatch = sym syscall_64_stamped,
        iret = sym leave::iret_to_user,
        popped = const offset_of!(PtRegs, orig_rax),
        orig_rax = const offset_of!(PtRegs, orig_rax),
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
}

/// [`syscall::syscall_64`] with stamps.
extern "C" fn syscall_64_stamped(regs: &mut PtRegs, record: &mut Record) {
    let handler = syscall::row_64(regs);
    record.found = now();
    regs.rax = handler(regs);
    record.handled = now();
    prepare_return(regs);
    record.settled = now();
}

/// The counter's low half.
#[inline(always)]
fn now() -> u32 {
    let low: u32;
    // SAFETY: reads a counter. It may change memory, as far as the compiler
    // knows, so that nothing is moved across it.
    unsafe { asm!(time!(), out("eax") low, out("edx") _, options(nostack, preserves_flags)) };
    low
}
