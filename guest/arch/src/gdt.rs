//! The segment descriptors and the task-state segment of one CPU: constants.
//! The VMM loads GDTR and TR with their addresses.

use trapgate_abi::layout::percpu;
use trapgate_abi::x86::{GDT_ENTRIES, TSS_SIZE, descriptor, selector};

/// Interrupt-stack numbers of the TSS: vectors that must not rely on the
/// stack they interrupted.
pub mod ist {
    /// #DF: the kernel stack may be what failed.
    pub const DOUBLE_FAULT: u8 = 1;
    /// NMI: may come between SYSCALL and the switch of stacks.
    pub const NMI: u8 = 2;
    /// #MC: as NMI.
    pub const MACHINE_CHECK: u8 = 3;
    /// #DB: as NMI, if a CPU does not mask the program's trap flag at once.
    pub const DEBUG: u8 = 4;
}

/// A pseudo-descriptor, as LGDT and LIDT read it in 64-bit mode; LIDT in 32-bit
/// mode reads its first six bytes (Intel SDM vol. 3, 3.5.1).
#[repr(C, packed)]
#[derive(Clone, Copy, Default)]
pub struct TableRegister {
    /// Bytes in the table, less one.
    pub limit: u16,
    /// Its linear address.
    pub base: u64,
}

/// 64-bit task-state segment (Intel SDM vol. 3, 8.7).
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct Tss {
    reserved0: u32,
    /// Stacks for a change to rings 0, 1, 2.
    rsp: [u64; 3],
    reserved1: u64,
    /// Interrupt stacks 1 to 7.
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    /// Where the I/O permission bitmap starts. At or past the segment's
    /// limit: there is none, so every IN and OUT in ring 3 faults.
    io_map_base: u16,
}

/// Where in it the stack for ring 0 is: not aligned to 8.
pub const RSP0: usize = core::mem::offset_of!(Tss, rsp);

const _: () = assert!(size_of::<Tss>() == TSS_SIZE as usize);
const _: () = assert!(RSP0 == 4);
const _: () = assert!(core::mem::offset_of!(Tss, ist) == 36);
const _: () = assert!(core::mem::offset_of!(Tss, io_map_base) == 102);

/// The descriptors, in Linux's order (`trapgate_abi::x86::selector`).
pub type Gdt = [u64; GDT_ENTRIES];

/// The TSS of the CPU whose area starts at virtual address `area`.
pub const fn tss(area: u64) -> Tss {
    let mut stacks = [0; 7];
    stacks[ist::DOUBLE_FAULT as usize - 1] = area + percpu::DOUBLE_FAULT_STACK + 0x1000;
    stacks[ist::NMI as usize - 1] = area + percpu::NMI_STACK + 0x1000;
    stacks[ist::MACHINE_CHECK as usize - 1] = area + percpu::MACHINE_CHECK_STACK + 0x1000;
    stacks[ist::DEBUG as usize - 1] = area + percpu::DEBUG_STACK + 0x1000;
    Tss {
        reserved0: 0,
        rsp: [area + percpu::STACK_TOP, 0, 0],
        reserved1: 0,
        ist: stacks,
        reserved2: 0,
        reserved3: 0,
        io_map_base: size_of::<Tss>() as u16,
    }
}

/// The descriptors of a CPU whose TSS is at virtual address `tss`.
pub const fn gdt(tss: u64) -> Gdt {
    let mut gdt = [0; GDT_ENTRIES];
    gdt[selector::KERNEL_CS as usize >> 3] = descriptor::KERNEL_CODE;
    gdt[selector::KERNEL_DS as usize >> 3] = descriptor::KERNEL_DATA;
    gdt[selector::USER32_CS as usize >> 3] = descriptor::USER32_CODE;
    gdt[selector::USER_DS as usize >> 3] = descriptor::USER_DATA;
    gdt[selector::USER_CS as usize >> 3] = descriptor::USER_CODE;
    let [low, high] = descriptor::tss(tss, TSS_SIZE - 1);
    gdt[selector::TSS as usize >> 3] = low;
    gdt[(selector::TSS as usize >> 3) + 1] = high;
    gdt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tss_stacks_are_the_areas_own_and_the_io_bitmap_is_closed() {
        let area = 0xffff_fe00_0000_0000;
        let tss = tss(area);
        let (rsp, ist, io) = (tss.rsp, tss.ist, tss.io_map_base);
        assert_eq!(rsp[0], area + 0x5000);
        assert_eq!(ist[0], area + 0x7000);
        assert_eq!(ist[1], area + 0x9000);
        assert_eq!(ist[2], area + 0xb000);
        assert_eq!(ist[3], area + 0xd000);
        assert!(usize::from(io) >= size_of::<Tss>());
    }

    #[test]
    fn gdt_has_the_tss_busy_as_the_task_register_says() {
        let gdt = gdt(0xffff_fe00_0000_c100);
        assert_eq!(gdt[8] >> 40 & 0xf, 0xb);
        assert_eq!(gdt[0], 0);
    }
}
