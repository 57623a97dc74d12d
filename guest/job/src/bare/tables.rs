//! The page that bare round trips stand on, and where ring 3 sees what it needs.
//! Pure; tested on the host.

use crate::ring3::{Crossing, Ring3};
use core::mem::offset_of;
use trapgate_abi::job::{Answer, Request, phase};
use trapgate_abi::layout::{DIRECT_MAP, JOB, PAGE_SIZE, VECTOR_STRIDE};
use trapgate_abi::x86::{rflags, selector, vector};
use trapgate_arch::gdt::TableRegister;
use trapgate_arch::idt::{self, Gate, IDT};

/// The call gate: two slots of the GDT that are free otherwise.
pub const CALL_GATE: u16 = 0x53;
/// Ring 3's flags.
pub const FLAGS: u32 = (rflags::FIXED | rflags::IF) as u32;

/// Where ring 3 finds the page: where it is in physical memory.
pub const PAGE: u64 = JOB;
/// Where ring 3 finds its code, one page.
pub const CODE: u64 = 0x10_0000;
/// Where ring 3 finds the results.
pub const RESULTS: u64 = 0x20_0000;

const GATES: usize = vector::SYSCALL as usize + 1;
const STACK: usize = 512;

/// The page.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct Page {
    idt: [Gate; GATES],
    /// For IDTR.
    pub idtr: TableRegister,
    /// Ring 0's RSP, for the way back.
    pub rsp: u64,
    /// What a far CALL names: an offset, which a gate does not heed, and the
    /// gate's selector.
    pub far: [u16; 3],
    /// What ring 3 is told, and what it leaves.
    pub ring3: Ring3,
    user_stack: [u8; STACK],
}

const _: () = assert!(size_of::<Page>() as u64 <= PAGE_SIZE);

/// Where ring 3 finds a field of [`Page`].
macro_rules! at {
    ($($field:ident).+) => {
        $crate::bare::tables::PAGE as u32
            + core::mem::offset_of!($crate::bare::tables::Page, $($field).+) as u32
    };
}
#[cfg(target_os = "none")]
pub(super) use at;

/// The end of ring 3's stack.
pub const USER_STACK: u32 = at!(user_stack) + STACK as u32;

impl Page {
    /// The page for `request`. The first 32 vectors lead to `exceptions` and
    /// what follows it, but `door`'s gate, if it has one, to its handler.
    pub fn new(request: &Request, exceptions: u64, door: Option<(u8, u64)>) -> Page {
        let mut idt = [Gate(0, 0); GATES];
        for (number, gate) in (0..32).zip(&mut idt) {
            *gate = match number {
                // They have stacks of their own, and are the kernel's.
                vector::NMI | vector::DF | vector::MC => IDT.gate(number),
                _ => idt::gate(exceptions + u64::from(number) * VECTOR_STRIDE, 0, 0),
            };
        }
        if let Some((number, handler)) = door {
            // Only an INT of its own asks for the ring.
            idt[usize::from(number)] = idt::gate(handler, 0, 3);
        }
        Page {
            idt,
            idtr: TableRegister {
                limit: size_of::<[Gate; GATES]>() as u16 - 1,
                base: DIRECT_MAP + JOB + offset_of!(Page, idt) as u64,
            },
            rsp: 0,
            far: [0, 0, CALL_GATE],
            ring3: Ring3::new(request, RESULTS),
            user_stack: [0; STACK],
        }
    }

    /// What ring 3 and the exceptions left.
    pub fn answer(&self) -> Answer {
        let ring3 = match self.ring3 {
            // The HLT at ring 3's end.
            done if done.phase == phase::DONE as u32 && done.vector == vector::GP.into() => {
                Ring3 { vector: u32::MAX, error_code: u32::MAX, ..done }
            }
            other => other,
        };
        ring3.answer(&Crossing {
            ring0_cs: selector::KERNEL_CS,
            cs: selector::USER_CS,
            ss: selector::USER_DS,
            esp: USER_STACK,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::job::NO_EXCEPTION;

    #[test]
    fn ring_3_may_use_its_own_door_and_no_other() {
        let page = Page::new(&Request::default(), 0x1000, Some((0x80, 0x3000)));
        let open = |Gate(low, _): &Gate| low >> 45 & 3 == 3;
        let gates: Vec<usize> = (0..GATES).filter(|&number| open(&page.idt[number])).collect();
        assert_eq!(gates, [0x80]);
        assert!(page.idt[32..0x80].iter().all(|gate| *gate == Gate(0, 0)));
        let target = |number: usize| page.idt[number].0 & 0xffff;
        assert_eq!([0, 31, 0x80].map(target), [0x1000, 0x11f0, 0x3000]);
    }

    #[test]
    fn only_the_privileged_instruction_at_the_end_is_no_exception() {
        let mut page = Page::new(&Request::default(), 0x1000, None);
        page.ring3.vector = vector::GP.into();
        page.ring3.phase = phase::MEASURING as u32;
        assert_eq!(page.answer().vector, vector::GP.into());
        page.ring3.phase = phase::DONE as u32;
        assert_eq!(page.answer().vector, NO_EXCEPTION);
        page.ring3.vector = vector::PF.into();
        assert_eq!(page.answer().vector, vector::PF.into());
    }

    #[test]
    fn what_must_not_rely_on_the_stack_stays_the_kernels() {
        let page = Page::new(&Request::default(), 0x1000, None);
        for number in [vector::NMI, vector::DF, vector::MC] {
            assert_eq!(page.idt[usize::from(number)], IDT.gate(number));
        }
    }
}
