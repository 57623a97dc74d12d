//! One bare round trip from the VMM's wish to the answer.
//!
//! Called by `carry_out`; calls the assembly in `switch`.
#![allow(unsafe_code, reason = "maps pages for ring 3, changes gates and MSRs")]

use super::tables::{CALL_GATE, CODE, PAGE, Page, RESULTS};
use super::{doors, ring3, switch};
use crate::registers::Registers;
use core::arch::asm;
use trapgate_abi::job::{Answer, Request, bare};
use trapgate_abi::layout::{JOB, PAGE_SIZE};
use trapgate_abi::x86::{msr, pte, vector};
use trapgate_arch::cpu::write_msr;
use trapgate_arch::idt;
use trapgate_arch::paging::PageTables;
use trapgate_arch::percpu;
use trapgate_arch::phys::direct;
use trapgate_kernel::mm::frames::FRAMES;

/// Measures one round trip. `page_table` is the top one's physical address.
pub fn measure(request: &Request, page_table: u64) -> Answer {
    let Some(program) = ring3::program(request.item) else {
        panic!("there is no round trip {}", request.item);
    };
    let page: *mut Page = direct(JOB);
    let door = match request.item {
        bare::INT80 => Some((vector::SYSCALL, doors::bare_int as *const () as u64)),
        bare::INT3 => Some((vector::BP, doors::bare_int as *const () as u64)),
        bare::INVALID_OPCODE => Some((vector::UD, doors::bare_invalid_opcode as *const () as u64)),
        bare::PAGE_FAULT => Some((vector::PF, doors::bare_page_fault as *const () as u64)),
        _ => None,
    };
    let exceptions = doors::bare_exceptions as *const () as u64;
    // SAFETY: the page is RAM, in the direct map, and for this room alone.
    unsafe { page.write(Page::new(request, exceptions, door)) };
    map(request, page_table);
    let before = Registers::read();
    open_doors();
    // SAFETY: the table is complete, and stays where it is.
    unsafe { asm!("lidt [{}]", in(reg) &raw const (*page).idtr, options(nostack)) };
    let offset = program as *const () as u64 - ring3::bare_ring3 as *const () as u64;
    // SAFETY: all is ready; `start` does not come back to a program's registers.
    unsafe { switch::run(CODE + offset) };
    before.load_idt();
    // SAFETY: what was there before: nothing.
    unsafe { set_call_gate(idt::Gate(0, 0)) };
    // SAFETY: they were read on this CPU.
    unsafe { before.restore() };
    // SAFETY: as above; ring 3 wrote it meanwhile, and is over.
    unsafe { page.read_volatile() }.answer()
}

/// Maps for ring 3: its code, copied; the page; the results.
fn map(request: &Request, page_table: u64) {
    const DATA: u64 = pte::P | pte::U | pte::A | pte::W | pte::D | pte::NX;
    let start = ring3::bare_ring3 as *const u8;
    let length = ring3::bare_ring3_end as *const () as usize - start as usize;
    assert!(length as u64 <= PAGE_SIZE, "ring 3's code has outgrown its page");
    let mut frames = FRAMES.lock();
    let code = frames.allocate_run(1).expect("no memory for ring 3's code");
    // SAFETY: two pieces of memory that do not overlap; the frame is ours.
    unsafe { direct::<u8>(code).copy_from_nonoverlapping(start, length) };
    // SAFETY: the VMM's tables, in which the user's half is empty; nobody else
    // changes them here.
    let mut tables = unsafe { PageTables::new(page_table, false) };
    for (at, physical, length, flags) in [
        (CODE, code, PAGE_SIZE, pte::P | pte::U | pte::A),
        (PAGE, JOB, PAGE_SIZE, DATA),
        (RESULTS, request.results, request.results_size(), DATA),
    ] {
        let end = (at + length).next_multiple_of(PAGE_SIZE);
        assert!(tables.prepare(at, end, &mut *frames), "no memory for ring 3's tables");
        for page in (at..end).step_by(PAGE_SIZE as usize) {
            tables.replace(page, (physical + (page - at)) | flags);
        }
    }
}

/// Points SYSCALL, SYSENTER and the call gate to their handlers here. Code
/// segment and stack of SYSENTER are as the VMM has set them: null where the
/// maker has no such door.
fn open_doors() {
    // SAFETY: there is no program; and `measure` puts them back.
    unsafe {
        write_msr(msr::LSTAR, doors::bare_syscall as *const () as u64);
        write_msr(msr::SYSENTER_EIP, doors::bare_sysenter as *const () as u64);
        set_call_gate(idt::call_gate(doors::bare_call_gate as *const () as u64, 3));
    }
}

/// Writes the call gate's two slots.
///
/// # Safety
/// No program may be there to use it.
unsafe fn set_call_gate(gate: idt::Gate) {
    let slot = usize::from(CALL_GATE >> 3);
    // SAFETY: the caller vouches for it; nothing else uses these slots.
    unsafe {
        percpu::set_descriptor(slot, gate.0);
        percpu::set_descriptor(slot + 1, gate.1);
    }
}
