//! The ELF notes by which a kernel image tells the VMM what it must know
//! (elf(5), "Notes"): its ABI version, and addresses for registers that the VMM
//! sets before the first instruction; of an instrumented image, what can be
//! changed in it.

use crate::wire::wire_struct;

/// The notes' name, padded to a multiple of four bytes.
pub const NAME: &[u8; 12] = b"trapgate\0\0\0\0";

/// The type of the note that is a [`KernelNote`].
pub const KERNEL: u32 = 1;
/// The type of the note that is [`Instruments`].
pub const INSTRUMENTS: u32 = 2;

wire_struct! {
    /// The description in the note that each image has.
    pub struct KernelNote {
        /// [`crate::ABI_VERSION`] of the image.
        pub abi_version: u64,
        /// The door of SYSCALL from 64-bit code, for LSTAR.
        pub syscall64: u64,
        /// The door of SYSCALL from compatibility mode, for CSTAR.
        pub syscall32: u64,
        /// The door of SYSENTER, for SYSENTER_EIP.
        pub sysenter: u64,
        /// The first CPU's GDT, for GDTR.
        pub gdt: u64,
        /// The first CPU's task-state segment, for TR.
        pub tss: u64,
        /// The IDT, for IDTR: one page.
        pub idt: u64,
    }
}

wire_struct! {
    /// The description in the second note of an instrumented image.
    pub struct Instruments {
        /// What stands in for [`KernelNote::syscall64`] if each step of a call is
        /// to be stamped ([`crate::stamps`]).
        pub stamped_syscall64: u64,
        /// First byte, on a page, of the code that an entry needs before it
        /// has changed page tables, and an exit after.
        pub entry_start: u64,
        /// The byte after its last, on a page.
        pub entry_end: u64,
        /// The first of the image's [`crate::mitigation::Site`]s.
        pub sites_start: u64,
        /// The byte after the last.
        pub sites_end: u64,
        /// A page that [`crate::mitigation::keep::UNTRAIN_ZEN4`] wants mapped a
        /// second time.
        pub untrain_page: u64,
        /// Where.
        pub untrain_alias: u64,
    }
}
