//! What must be in the CPU's registers again after a job's own ring 3.
#![allow(unsafe_code, reason = "reads and writes the CPU's registers")]

use core::arch::asm;
use trapgate_abi::x86::msr;
use trapgate_arch::cpu::{read_msr, write_msr};
use trapgate_arch::gdt::TableRegister;

/// MSRs that jobs change, or that loads of selectors change.
const MSRS: [(&str, u32); 9] = [
    // First, because without it nothing of this CPU's can be found.
    ("GS.base", msr::GS_BASE),
    ("FS.base", msr::FS_BASE),
    ("STAR", msr::STAR),
    ("LSTAR", msr::LSTAR),
    ("CSTAR", msr::CSTAR),
    ("SFMASK", msr::SFMASK),
    ("SYSENTER_CS", msr::SYSENTER_CS),
    ("SYSENTER_ESP", msr::SYSENTER_ESP),
    ("SYSENTER_EIP", msr::SYSENTER_EIP),
];

/// The other registers, by name.
const NAMES: [&str; 15] = [
    "CR0",
    "CR3",
    "CR4",
    "EFER",
    "KERNEL_GS_BASE",
    "GDTR",
    "GDTR's limit",
    "IDTR",
    "IDTR's limit",
    "TR",
    "CS",
    "SS",
    "DS",
    "ES",
    "FS or GS",
];

/// The registers at one moment.
pub(super) struct Registers {
    msrs: [u64; MSRS.len()],
    others: [u64; NAMES.len()],
    idtr: TableRegister,
    /// EFER.
    pub(super) efer: u64,
}

impl Registers {
    /// Reads them.
    pub(super) fn read() -> Registers {
        let efer = read_msr(msr::EFER);
        let (mut gdtr, mut idtr) = (TableRegister::default(), TableRegister::default());
        let [mut cr0, mut cr3, mut cr4] = [0u64; 3];
        let [mut tr, mut cs, mut ss, mut ds, mut es, mut fs, mut gs] = [0u64; 7];
        // SAFETY: reads registers into variables.
        unsafe {
            asm!("sgdt [{}]", in(reg) &raw mut gdtr, options(nostack, preserves_flags));
            asm!("sidt [{}]", in(reg) &raw mut idtr, options(nostack, preserves_flags));
            asm!("mov {}, cr0", "mov {}, cr3", "mov {}, cr4",
                 inout(reg) cr0, inout(reg) cr3, inout(reg) cr4, options(nomem, nostack));
            asm!("str {:r}", inout(reg) tr, options(nomem, nostack));
            asm!("mov {:r}, cs", "mov {:r}, ss", "mov {:r}, ds",
                 inout(reg) cs, inout(reg) ss, inout(reg) ds, options(nomem, nostack));
            asm!("mov {:r}, es", "mov {:r}, fs", "mov {:r}, gs",
                 inout(reg) es, inout(reg) fs, inout(reg) gs, options(nomem, nostack));
        }
        let TableRegister { limit: gdt_limit, base: gdt } = gdtr;
        let TableRegister { limit: idt_limit, base: idt } = idtr;
        Registers {
            msrs: MSRS.map(|(_, number)| read_msr(number)),
            others: [
                cr0,
                cr3,
                cr4,
                efer,
                read_msr(msr::KERNEL_GS_BASE),
                gdt,
                gdt_limit.into(),
                idt,
                idt_limit.into(),
                tr,
                cs,
                ss,
                ds,
                es,
                fs | gs << 16,
            ],
            idtr,
            efer,
        }
    }

    /// Loads IDTR with what it was.
    pub(super) fn load_idt(&self) {
        // SAFETY: the kernel's table is where it was.
        unsafe { asm!("lidt [{}]", in(reg) &raw const self.idtr, options(nostack)) };
    }

    /// Writes the MSRs back, and sees to it that the others have come back.
    ///
    /// # Safety
    /// They must have been read on this CPU.
    pub(super) unsafe fn restore(&self) {
        for ((_, number), value) in MSRS.into_iter().zip(self.msrs) {
            // SAFETY: the value that was in this very register.
            unsafe { write_msr(number, value) };
        }
        if let Some(name) = self.first_difference(&Registers::read()) {
            panic!("{name} is not what it was before");
        }
    }

    /// The name of the first register that differs, if one does.
    fn first_difference(&self, other: &Registers) -> Option<&'static str> {
        let msrs = MSRS.into_iter().map(|(name, _)| name).zip(self.msrs.iter().zip(&other.msrs));
        let others = NAMES.into_iter().zip(self.others.iter().zip(&other.others));
        msrs.chain(others).find(|(_, (before, after))| before != after).map(|(name, _)| name)
    }
}
