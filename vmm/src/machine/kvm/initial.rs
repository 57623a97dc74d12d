//! The state a vCPU starts in: straight in 64-bit mode, with everything set
//! that is mere data, so that the kernel needs no exit to set it.

use super::{CpuState, Kind, Maker, Vm};
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use trapgate_abi::kernel_note::KernelNote;
use trapgate_abi::layout::{BOOT_INFO, Cpu, DIRECT_MAP};
use trapgate_abi::x86::{
    GDT_LIMIT, IDT_LIMIT, SFMASK, STAR, TSS_SIZE, cr0, cr4, descriptor, efer, msr, rflags, selector,
};

/// A segment register that holds `selector`, with the cached descriptor that
/// `descriptor` describes: the VMM's segments cannot disagree with the
/// kernel's GDT, because both come from the same constants.
pub(crate) fn segment(selector: u16, descriptor: u64) -> kvm_segment {
    let bits = |shift: u32, count: u32| (descriptor >> shift & ((1 << count) - 1)) as u8;
    let granular = bits(55, 1) == 1;
    let limit = (descriptor & 0xffff | descriptor >> 32 & 0xf_0000) as u32;
    kvm_segment {
        base: descriptor >> 16 & 0xff_ffff | descriptor >> 56 << 24,
        limit: if granular { limit << 12 | 0xfff } else { limit },
        selector,
        type_: bits(40, 4),
        s: bits(44, 1),
        dpl: bits(45, 2),
        present: bits(47, 1),
        avl: bits(52, 1),
        l: bits(53, 1),
        db: bits(54, 1),
        g: bits(55, 1),
        unusable: 0,
        padding: 0,
    }
}

/// Where a guest's kernel begins.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The address of its `_start`.
    pub start: u64,
    /// What its image says of itself: doors and tables.
    pub note: KernelNote,
    /// Physical address of the top page table.
    pub page_table: u64,
}

impl CpuState {
    /// The state of a CPU that is to begin there: all that differs from a reset.
    pub fn initial(entry: &Entry, vm: &Vm, cpu: Cpu) -> CpuState {
        CpuState {
            regs: regs(entry, cpu),
            sregs: sregs(entry, vm, cpu),
            msrs: msrs(&entry.note, cpu, Maker::of_this_cpu()).to_vec(),
            xcr0: vm.features.xcr0,
            rest: None,
        }
    }
}

/// The base of the local APIC at a reset: where it is, that it is on, and whether
/// this CPU starts the others (Intel SDM vol. 3, "IA32_APIC_BASE").
fn apic_base(cpu: Cpu) -> u64 {
    0xfee0_0000 | 1 << 11 | if cpu == Cpu::FIRST { 1 << 8 } else { 0 }
}

/// Segments, tables and control registers. What is not set, CR2 and CR8 among it,
/// is 0 at a reset.
fn sregs(entry: &Entry, vm: &Vm, cpu: Cpu) -> kvm_sregs {
    let Entry { note, page_table, .. } = entry;
    let data = segment(selector::KERNEL_DS, descriptor::KERNEL_DATA);
    let [tss, _] = descriptor::tss(note.tss, TSS_SIZE - 1);
    let unusable = kvm_segment { unusable: 1, ..kvm_segment::default() };
    kvm_sregs {
        cs: segment(selector::KERNEL_CS, descriptor::KERNEL_CODE),
        ss: data,
        // What Linux programs find in these: null.
        ds: unusable,
        es: unusable,
        fs: unusable,
        gs: kvm_segment { base: cpu.block(), ..unusable },
        // A system descriptor's base has 64 bits, 32 of them in a second word.
        tr: kvm_segment { base: note.tss, ..segment(selector::TSS, tss) },
        ldt: unusable,
        gdt: kvm_dtable { base: note.gdt, limit: GDT_LIMIT, padding: [0; 3] },
        idt: kvm_dtable { base: note.idt, limit: IDT_LIMIT, padding: [0; 3] },
        cr0: cr0::PE | cr0::MP | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::PG,
        cr3: *page_table,
        cr4: cr4::PAE | cr4::PGE | cr4::OSFXSR | cr4::OSXMMEXCPT | vm.features.cr4,
        efer: efer::LME | efer::LMA | efer::NXE | syscall_enable(vm.kind),
        apic_base: apic_base(cpu),
        ..kvm_sregs::default()
    }
}

/// EFER.SCE, but for a software KVM: with it, that takes a SYSCALL from
/// compatibility mode to CSTAR's low 32 bits, which are a user address, in
/// ring 0. Without it, it delivers SYSCALL no worse.
fn syscall_enable(kind: Kind) -> u64 {
    if kind == Kind::Software { 0 } else { efer::SCE }
}

/// General registers: at the kernel's entry point, as its `_start` says.
fn regs(entry: &Entry, cpu: Cpu) -> kvm_regs {
    kvm_regs {
        rip: entry.start,
        rsp: cpu.stack_top(),
        rdi: DIRECT_MAP + BOOT_INFO,
        rflags: rflags::FIXED,
        ..kvm_regs::default()
    }
}

/// The MSRs of SYSCALL and SYSENTER.
///
/// Where the maker has no SYSENTER in long mode, its code segment is null: an
/// emulator that executes it nevertheless raises #GP.
fn msrs(note: &KernelNote, cpu: Cpu, maker: Maker) -> [(u32, u64); 7] {
    let [cs, esp, eip] = match maker {
        Maker::Intel => [selector::KERNEL_CS.into(), cpu.door_stack(), note.sysenter],
        Maker::Amd => [0; 3],
    };
    [
        (msr::STAR, STAR),
        (msr::LSTAR, note.syscall64),
        (msr::CSTAR, note.syscall32),
        (msr::SFMASK, SFMASK),
        (msr::SYSENTER_CS, cs),
        (msr::SYSENTER_ESP, esp),
        (msr::SYSENTER_EIP, eip),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_what_their_descriptors_say() {
        let code = segment(selector::KERNEL_CS, descriptor::KERNEL_CODE);
        assert_eq!((code.type_, code.s, code.dpl, code.present), (0xb, 1, 0, 1));
        assert_eq!((code.l, code.db, code.g, code.limit), (1, 0, 1, u32::MAX));
        let user = segment(selector::USER_DS, descriptor::USER_DATA);
        assert_eq!((user.type_, user.dpl, user.l, user.db), (3, 3, 0, 1));
        let [low, _] = descriptor::tss(0x1234_5678, 0x67);
        let tss = segment(selector::TSS, low);
        assert_eq!((tss.base, tss.limit, tss.type_, tss.s), (0x1234_5678, 0x67, 0xb, 0));
    }
}
