//! One measurement from the VMM's wish to the answer.
//!
//! Called by `carry_out`; calls the assembly in `switch`.
#![allow(unsafe_code, reason = "the page of legacy mode is at a fixed address")]

use super::tables::{self, Page, physical, selector};
use super::{doors, ring3, switch};
use crate::registers::Registers;
use trapgate_arch::cpu::write_msr;
use trapgate_arch::phys::direct;

use trapgate_abi::job::{Answer, Request, legacy as door};
use trapgate_abi::layout::JOB;
use trapgate_abi::x86::msr;

/// Measures one door.
pub fn measure(request: &Request) -> Answer {
    let program = match request.item {
        door::INT80 => ring3::legacy_ring3_int80,
        door::SYSENTER => ring3::legacy_ring3_sysenter,
        door::SYSCALL => ring3::legacy_ring3_syscall,
        other => panic!("legacy mode has no door {other}"),
    };
    let before = Registers::read();
    let page: *mut Page = direct(JOB);
    let new = Page::new(request, physical(program), before.efer, &doors::addresses());
    // SAFETY: the page is RAM, in the direct map, and for this room alone.
    unsafe { page.write(new) };
    open_doors();
    // SAFETY: tables and MSRs are ready, and the VMM has mapped the image and
    // the page to their physical addresses for this.
    unsafe { switch::run() };
    // SAFETY: they were read on this CPU.
    unsafe { before.restore() };
    // SAFETY: as above; legacy mode wrote it meanwhile, and is over.
    unsafe { page.read_volatile() }.answer()
}

/// Points SYSENTER's and SYSCALL's MSRs to legacy mode's doors (Intel SDM vol.
/// 3, 5.8.7; AMD APM vol. 2, 6.1.1: in legacy mode SYSCALL's target is in STAR's
/// low half).
fn open_doors() {
    let doors = doors::addresses();
    let star = u64::from(selector::USER_CS & !3) << 48 | u64::from(selector::KERNEL_CS) << 32;
    for (register, value) in [
        (msr::SYSENTER_CS, selector::KERNEL_CS.into()),
        (msr::SYSENTER_ESP, tables::KERNEL_STACK.into()),
        (msr::SYSENTER_EIP, doors.sysenter.into()),
        (msr::STAR, star | u64::from(doors.syscall)),
    ] {
        // SAFETY: there is no program; and `measure` puts them back.
        unsafe { write_msr(register, value) };
    }
}
