//! The page that legacy mode stands on: descriptors, gates, task state, stacks,
//! and what the 32-bit code reads and writes. Pure; tested on the host.
//!
//! The 32-bit code knows the page by its physical address, so fields are found
//! there by `at!`.

use crate::ring3::{Crossing, Ring3};
use core::mem::offset_of;
use trapgate_abi::job::{Answer, Request};
use trapgate_abi::layout::{JOB, KERNEL_BASE, PAGE_SIZE, VECTOR_STRIDE};
use trapgate_abi::x86::{TSS_SIZE, descriptor, efer, selector as long, vector};
use trapgate_arch::gdt::TableRegister;

/// Selectors of legacy mode. The kernel's own 64-bit segments and TSS slot are
/// where they always are, so that an exception on the way, still in long mode,
/// finds its gate's segment, and #DF a stack.
pub mod selector {
    /// Ring 0, code. SYSENTER and SYSCALL count from here: SS is 8 more.
    pub const KERNEL_CS: u16 = 0x20;
    /// Ring 0, data.
    pub const KERNEL_DS: u16 = 0x28;
    /// Ring 3, code: SYSEXIT's is 16 more than SYSENTER's; SYSRET counts from it.
    pub const USER_CS: u16 = 0x33;
    /// Ring 3, data: 8 more.
    pub const USER_DS: u16 = 0x3b;
    /// The task-state segment.
    pub const TSS: u16 = 0x40;
}

/// INT 0x80's gate, and the one behind it by which ring 3 says that it is done.
pub const FINISH: u8 = vector::SYSCALL + 1;

const GATES: usize = FINISH as usize + 1;
const DESCRIPTORS: usize = selector::TSS as usize / 8 + 1;
const STACK: usize = 512;

/// What the 32-bit assembler adds to a symbol of this image to get its physical
/// address: minus [`KERNEL_BASE`], in 32 bits.
pub const PHYSICAL: u32 = KERNEL_BASE.wrapping_neg() as u32;

/// A symbol's physical address, which is its linear one without paging.
pub fn physical(symbol: unsafe extern "C" fn()) -> u32 {
    (symbol as usize as u32).wrapping_add(PHYSICAL)
}

/// Where the doors and exceptions of ring 0 are, in physical memory.
pub struct Addresses {
    /// The first of 32 exception stubs, [`VECTOR_STRIDE`] bytes apart.
    pub exceptions: u32,
    /// INT 0x80.
    pub int80: u32,
    /// SYSENTER.
    pub sysenter: u32,
    /// SYSCALL.
    pub syscall: u32,
    /// INT [`FINISH`].
    pub finish: u32,
}

/// The page.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct Page {
    gdt: [u64; DESCRIPTORS],
    idt: [u64; GATES],
    tss: [u32; TSS_SIZE as usize / 4],
    /// For GDTR.
    pub gdtr: TableRegister,
    /// For IDTR.
    pub idtr: TableRegister,
    /// GDTR in long mode.
    pub long_gdtr: TableRegister,
    /// IDTR in long mode.
    pub long_idtr: TableRegister,
    /// RSP in long mode.
    pub long_rsp: u64,
    /// EFER for the way back; LMA is the CPU's to set.
    pub long_efer: u64,
    /// Where ring 3 begins.
    pub program: u32,
    /// What ring 3 is told, and what it leaves.
    pub ring3: Ring3,
    kernel_stack: [u8; STACK],
    user_stack: [u8; STACK],
}

/// The physical address of a field of [`Page`].
macro_rules! at {
    ($($field:ident).+) => {
        trapgate_abi::layout::JOB as u32
            + core::mem::offset_of!($crate::legacy::tables::Page, $($field).+) as u32
    };
}
#[cfg(target_os = "none")]
pub(crate) use at;

/// The end of ring 0's stack.
pub const KERNEL_STACK: u32 = at!(kernel_stack) + STACK as u32;
/// The end of ring 3's stack.
pub const USER_STACK: u32 = at!(user_stack) + STACK as u32;

const _: () = assert!(size_of::<Page>() as u64 <= PAGE_SIZE);
// ESP0, SS0 and the I/O map are found by index (Intel SDM vol. 3, figure 8-2).
const ESP0: usize = 1;
const SS0: usize = 2;
const IO_MAP: usize = 25;

/// An interrupt gate for legacy mode's ring 0 (Intel SDM vol. 3, 6.11).
const fn gate(handler: u32, dpl: u64) -> u64 {
    const PRESENT: u64 = 1 << 47;
    const INTERRUPT_GATE_32: u64 = 0xe << 40;
    (handler as u64 & 0xffff)
        | (selector::KERNEL_CS as u64) << 16
        | INTERRUPT_GATE_32
        | dpl << 45
        | PRESENT
        | (handler as u64 >> 16) << 48
}

fn gdt() -> [u64; DESCRIPTORS] {
    const BUSY: u64 = 1 << 41;
    let mut gdt = [0; DESCRIPTORS];
    let [tss, _] = descriptor::tss(u64::from(at!(tss)), TSS_SIZE - 1);
    for (selector, descriptor) in [
        (long::KERNEL_CS, descriptor::KERNEL_CODE),
        (long::KERNEL_DS, descriptor::KERNEL_DATA),
        (selector::KERNEL_CS, descriptor::KERNEL32_CODE),
        (selector::KERNEL_DS, descriptor::KERNEL_DATA),
        (selector::USER_CS, descriptor::USER32_CODE),
        (selector::USER_DS, descriptor::USER_DATA),
        // LTR takes one that is available, and makes it busy.
        (selector::TSS, tss & !BUSY),
    ] {
        gdt[usize::from(selector >> 3)] = descriptor;
    }
    gdt
}

fn idt(doors: &Addresses) -> [u64; GATES] {
    let mut idt = [0; GATES];
    for (number, entry) in (0..).zip(&mut idt[..32]) {
        *entry = gate(doors.exceptions + number * VECTOR_STRIDE as u32, 0);
    }
    idt[usize::from(vector::SYSCALL)] = gate(doors.int80, 3);
    idt[usize::from(FINISH)] = gate(doors.finish, 3);
    idt
}

impl Page {
    /// The page for `request`: ring 3 begins at `program`; `efer` is long
    /// mode's.
    pub fn new(request: &Request, program: u32, efer: u64, doors: &Addresses) -> Page {
        let mut tss = [0; TSS_SIZE as usize / 4];
        tss[ESP0] = KERNEL_STACK;
        tss[SS0] = selector::KERNEL_DS.into();
        tss[IO_MAP] = TSS_SIZE << 16; // at the limit: there is none
        let table = |offset: usize, size: usize| TableRegister {
            limit: size as u16 - 1,
            base: JOB + offset as u64,
        };
        Page {
            gdt: gdt(),
            idt: idt(doors),
            tss,
            gdtr: table(offset_of!(Page, gdt), DESCRIPTORS * 8),
            idtr: table(offset_of!(Page, idt), GATES * 8),
            long_gdtr: TableRegister::default(),
            long_idtr: TableRegister::default(),
            long_rsp: 0,
            long_efer: efer & !efer::LMA,
            program,
            ring3: Ring3::new(request, request.results),
            kernel_stack: [0; STACK],
            user_stack: [0; STACK],
        }
    }

    /// What the 32-bit code left.
    pub fn answer(&self) -> Answer {
        self.ring3.answer(&Crossing {
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
    use trapgate_abi::job::{kind, legacy};

    fn page() -> Page {
        let request = Request { kind: kind::LEGACY, item: legacy::INT80, ..Request::default() };
        let doors = Addresses {
            exceptions: 0x4_0000,
            int80: 0x4_1000,
            sysenter: 0x4_2000,
            syscall: 0x4_3000,
            finish: 0x5_4321,
        };
        Page::new(&request, 0x4_5000, 0xd01, &doors)
    }

    #[test]
    fn segments_are_in_the_order_that_sysexit_and_sysret_count() {
        assert_eq!(selector::KERNEL_DS, selector::KERNEL_CS + 8);
        assert_eq!(selector::USER_CS, (selector::KERNEL_CS + 16) | 3);
        assert_eq!(selector::USER_DS, (selector::KERNEL_CS + 24) | 3);
        let gdt = page().gdt;
        let dpl = |selector: u16| gdt[usize::from(selector >> 3)] >> 45 & 3;
        assert_eq!([selector::KERNEL_CS, selector::KERNEL_DS].map(dpl), [0, 0]);
        assert_eq!([selector::USER_CS, selector::USER_DS].map(dpl), [3, 3]);
        // 64-bit code, for the way back; an available 32-bit TSS.
        assert_eq!(gdt[2], descriptor::KERNEL_CODE);
        assert_eq!(gdt[8] >> 40 & 0x1f, 9);
    }

    #[test]
    fn ring_3_may_use_two_gates_and_the_other_exceptions_have_a_stub_each() {
        let idt = page().idt;
        let open: Vec<usize> = (0..GATES).filter(|&number| idt[number] >> 45 & 3 == 3).collect();
        assert_eq!(open, [0x80, 0x81]);
        let target = |number: usize| idt[number] & 0xffff | idt[number] >> 48 << 16;
        assert_eq!((target(0), target(31)), (0x4_0000, 0x4_01f0));
        assert_eq!((target(0x80), target(0x81)), (0x4_1000, 0x5_4321));
        assert!((32..0x80).all(|number| idt[number] == 0));
    }

    #[test]
    fn the_way_back_does_not_set_the_bit_that_is_the_cpus() {
        assert_eq!(page().long_efer, 0x901);
    }
}
