//! The ways out: by IRETQ, which all doors share, and by SYSRET to the landing
//! pad, for the fast 32-bit doors. (64-bit SYSCALL's short way is in its own
//! file.)

use super::pop_registers;
use crate::return_path::SINGLE_STEP;
use core::arch::naked_asm;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::x86::selector;
use trapgate_arch::percpu::PerCpu;

/// Returns to ring 3.
///
/// On arrival: rsp = a complete PtRegs of ring 3; gs = this CPU's block;
/// interrupts off.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
pub extern "C" fn return_to_user() -> ! {
    entry_asm!([
        to_entry_stack!(),
        pop_registers!(), // rsp = orig_rax
        "add rsp, 8",     // rsp = rip, cs, rflags, rsp, ss
        user_tables!(),
        clear_buffers!(),
        "swapgs",         // gs = user's
        "jmp {iret}",
    ],
        iret = sym iret_to_user,
    )
}

/// Returns to compatibility mode, by SYSRET without REX.W if that restores the
/// frame (Linux: `do_fast_syscall_32`): the vDSO's landing pad expects nothing in
/// ECX, and R11 does not exist there. Also on Intel, where 64-bit mode has SYSRET
/// to compatibility mode but compatibility mode has no SYSCALL.
///
/// On arrival: rsp = a complete PtRegs of ring 3; gs = this CPU's block;
/// interrupts off; the CPU's SS is KERNEL_DS.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
pub extern "C" fn return_to_compat() -> ! {
    entry_asm!([
        "mov rax, gs:[{landing_pad}]",
        "cmp rax, [rsp + {rip}]",
        "jne {iret}",
        "cmp dword ptr [rsp + {cs}], {user32_cs}",
        "jne {iret}",
        "cmp dword ptr [rsp + {ss}], {user_ds}",
        "jne {iret}",
        "test dword ptr [rsp + {rflags}], {single_step}",
        "jnz {iret}",                              // else SYSRET is exact
        pop_registers!(),                          // rsp = orig_rax
        "mov ecx, [rsp + {rip} - {popped}]",
        "mov r11, [rsp + {rflags} - {popped}]",
        "mov rsp, [rsp + {rsp_slot} - {popped}]",  // rsp = user's
        user_tables!(),
        clear_buffers!(),
        "swapgs",                                  // gs = user's
        "sysret",                                  // EIP = ecx, RFLAGS = r11
    ],
        landing_pad = const offset_of!(PerCpu, landing_pad),
        popped = const offset_of!(PtRegs, orig_rax),
        rip = const offset_of!(PtRegs, rip),
        rflags = const offset_of!(PtRegs, rflags),
        cs = const offset_of!(PtRegs, cs),
        ss = const offset_of!(PtRegs, ss),
        rsp_slot = const offset_of!(PtRegs, rsp),
        single_step = const SINGLE_STEP,
        user32_cs = const selector::USER32_CS,
        user_ds = const selector::USER_DS,
        iret = sym return_to_user,
    )
}

/// The only IRETQ to ring 3, because it may fault: a program can make the
/// segment in its SS go away with set_thread_area(2). The fault comes in ring
/// 0 with the user's gs; `vectors::exception` knows this address.
///
/// On arrival: rsp = rip, cs, rflags, rsp, ss; all other registers, gs
/// included, the user's.
#[unsafe(naked)]
#[unsafe(link_section = ".entry.doors")]
pub extern "C" fn iret_to_user() -> ! {
    naked_asm!("iretq")
}
