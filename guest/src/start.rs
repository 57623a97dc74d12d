//! From the VMM's first instruction to ring 3.
//!
//! The VMM has set up what is mere data: page tables, control registers, MSRs
//! (SYSCALL's among them), GDT, IDT, task register, GS, the program in memory
//! and its stack. Here the kernel makes its heap and the first task; or, if the
//! VMM asks for that, does a job and runs no program.
#![allow(unsafe_code, reason = "the entry point")]

use crate::entry::{leave, thread};
use core::arch::{asm, naked_asm};
use trapgate_abi::boot_info::{BootInfo, MAGIC, feature};
use trapgate_abi::log::{Event, Level};
use trapgate_abi::x86::{rflags, selector};
use trapgate_abi::{ABI_VERSION, PtRegs};
use trapgate_arch::heap;
use trapgate_arch::paging::PageTables;
use trapgate_arch::{fpu, percpu, stack, switch};
use trapgate_kernel::clock::Clock;
use trapgate_kernel::fs::tree;
use trapgate_kernel::host;
use trapgate_kernel::log;
use trapgate_kernel::mm::frames::{self, FRAMES};
use trapgate_kernel::proc::{proc_root, sys_root};
use trapgate_kernel::process::prepare_return::prepare_return;
use trapgate_kernel::process::{exec, from_host, task};
use trapgate_kernel::sched::idle;

/// The entry point of the image.
///
/// On arrival: 64-bit mode, ring 0, interrupts off; rdi = virtual address of
/// the BootInfo; rsp = end of this CPU's kernel stack; gs = this CPU's block.
///
/// ```text
/// STACK_TOP      ┌─────────────────────────┐
/// STACK_TOP-8    │ (keeps calls aligned)   │
/// STACK_TOP-176  │ PtRegs, 21 words        │ ← rsp at the call, and at the end
///                └─────────────────────────┘
/// ```
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!(
        "sub rsp, {frame}",
        "mov rsi, rsp",             // rsi = where the program's registers go
        "call {start}",
        "jmp {leave}",              // rsp = PtRegs
        frame = const size_of::<PtRegs>() + 8,
        start = sym start,
        leave = sym leave::return_to_user,
    )
}

/// Sets the kernel up and fills in the registers that the program starts with.
extern "C" fn start(boot: &'static BootInfo, regs: &mut PtRegs) {
    assert!(boot.magic == MAGIC, "no boot information");
    assert!(boot.abi_version == ABI_VERSION, "the VMM speaks another ABI version");
    percpu::set_smap(boot.features & feature::SMAP != 0);
    percpu::set_landing_pad(boot.landing_pad);
    if boot.features & feature::PTI != 0 {
        percpu::use_entry_stack();
    }
    log::init(boot.log_level);
    FRAMES.lock().init(boot.free, boot.features & feature::INTERPRETED != 0);
    heap::init(frames::for_heap);
    stack::init(stack::Source { take: frames::take_one, give: frames::give_back });
    fpu::init(boot.features, boot.xcr0, boot.fpu_size);
    // SAFETY: it is what a new thread of ring 3 finds there.
    unsafe { switch::init(thread::first_return) };
    crate::exception::init(boot.features);
    if boot.job.kind != 0 {
        trapgate_job::carry_out(boot);
    }
    // SAFETY: the VMM has built these tables, and hands them over once.
    let tables = unsafe { PageTables::new(boot.page_table, boot.features & feature::PTI != 0) };
    tree::init([proc_root, sys_root]);
    idle::init(Clock::new(boot.clock), from_host::signal, frames::tidy);
    task::start_first(boot, tables).expect("no memory for the first task");
    *regs = match boot.exec.is_empty() {
        true => begin_loaded(boot),
        false => exec::first(boot).unwrap_or_else(|errno| host::not_started(errno)),
    };
    log::log(Level::Debug, Event::Booted, [boot.ram_size, regs.rip, regs.rsp, 0]);
    prepare_return(regs);
}

/// The registers of a program that the VMM has loaded.
fn begin_loaded(boot: &BootInfo) -> PtRegs {
    if boot.compat != 0 {
        load_data_segments();
    }
    let cs = if boot.compat != 0 { selector::USER32_CS } else { selector::USER_CS };
    PtRegs {
        rip: boot.entry,
        cs: cs.into(),
        rflags: rflags::FIXED | rflags::IF,
        rsp: boot.stack_pointer,
        ss: selector::USER_DS.into(),
        ..PtRegs::default()
    }
}

/// Gives DS and ES what a 32-bit program needs in them, as Linux's
/// `compat_start_thread` does. Ring 0 does not use them, so they stay.
fn load_data_segments() {
    // SAFETY: the selector is of a data segment in the GDT.
    unsafe {
        asm!("mov ds, {selector:e}", "mov es, {selector:e}",
             selector = in(reg) u32::from(selector::USER_DS), options(nostack, preserves_flags));
    }
}
