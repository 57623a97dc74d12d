//! The image's ELF notes: what the VMM must know of it, in the order of
//! `trapgate_abi::kernel_note`.
#![allow(unsafe_code, reason = "a link section; symbols of kernel.ld")]

use crate::entry;
use trapgate_abi::ABI_VERSION;
use trapgate_abi::kernel_note::{KERNEL, KernelNote, NAME};
use trapgate_arch::gdt::{Gdt, Tss};
use trapgate_arch::idt::{self, Idt};
use trapgate_arch::percpu;

/// A note with a description of words (elf(5), "Notes").
#[repr(C)]
struct Note<D> {
    name_size: u32,
    desc_size: u32,
    kind: u32,
    name: [u8; 12],
    description: D,
}

impl<D> Note<D> {
    const fn new(kind: u32, description: D) -> Note<D> {
        let desc_size = size_of::<D>() as u32;
        Note { name_size: 9, desc_size, kind, name: *NAME, description }
    }
}

/// Where a door is.
type Door = unsafe extern "C" fn() -> !;

/// [`KernelNote`].
#[repr(C)]
struct Kernel {
    abi_version: u64,
    syscall64: Door,
    syscall32: Door,
    sysenter: Door,
    gdt: &'static Gdt,
    tss: &'static Tss,
    idt: &'static Idt,
}

const _: () = assert!(size_of::<Kernel>() == size_of::<KernelNote>());

#[used]
#[unsafe(link_section = ".note.trapgate")]
static NOTE: Note<Kernel> = Note::new(
    KERNEL,
    Kernel {
        abi_version: ABI_VERSION,
        syscall64: entry::syscall64::entry_syscall_64,
        syscall32: entry::syscall32::entry_syscall_32,
        sysenter: entry::sysenter::entry_sysenter,
        gdt: &percpu::FIRST.gdt,
        tss: &percpu::FIRST.tss,
        idt: &idt::IDT,
    },
);

/// What only the instrumented image says.
#[cfg(feature = "instrumented")]
mod instruments {
    use super::{Door, Note};
    use crate::entry;
    use trapgate_abi::kernel_note::{self, INSTRUMENTS};

    /// [`kernel_note::Instruments`].
    #[repr(C)]
    struct Instruments {
        stamped_syscall64: Door,
        entry_start: *const u8,
        entry_end: *const u8,
        sites_start: *const u8,
        sites_end: *const u8,
        untrain_page: *const u8,
        untrain_alias: *const u8,
    }

    const _: () = assert!(size_of::<Instruments>() == size_of::<kernel_note::Instruments>());

    // Where things are: symbols of kernel.ld.
    unsafe extern "C" {
        static __entry_start: u8;
        static __entry_end: u8;
        static __sites_start: u8;
        static __sites_end: u8;
        static __untrain_page: u8;
        static __untrain_alias: u8;
    }

    // SAFETY: nobody reads through its pointers: they are for the VMM.
    unsafe impl Sync for Instruments {}

    #[used]
    #[unsafe(link_section = ".note.trapgate")]
    static NOTE: Note<Instruments> = Note::new(
        INSTRUMENTS,
        Instruments {
            stamped_syscall64: entry::syscall64::entry_syscall_64_stamped,
            entry_start: &raw const __entry_start,
            entry_end: &raw const __entry_end,
            sites_start: &raw const __sites_start,
            sites_end: &raw const __sites_end,
            untrain_page: &raw const __untrain_page,
            untrain_alias: &raw const __untrain_alias,
        },
    );
}
