//! Ring 3's own page tables, for the mitigation step pti: the user's half as it
//! is, and of the kernel what an entry needs until it has changed over.
//!
//! `super::prepare` calls it; the kernel keeps the two user halves the same
//! (`arch::paging` there).

use super::kernel_flags;
use super::page_tables::{Frames, PageTables};
use crate::boot::kernel::Kernel;
use crate::machine::memory::GuestRam;
use trapgate_abi::kernel_note::Instruments;
use trapgate_abi::layout::{Cpu, KERNEL_BASE, PAGE_SIZE, percpu};
use trapgate_abi::x86::pte;

/// Empty tables, and a second set if they are to be `isolated`.
pub(super) fn tables<'a>(
    ram: &'a GuestRam,
    frames: &mut Frames,
    isolated: bool,
) -> Option<(PageTables<'a>, Option<PageTables<'a>>)> {
    if isolated {
        PageTables::pair(ram, frames).map(|(kernel, user)| (kernel, Some(user)))
    } else {
        Some((PageTables::new(ram, frames)?, None))
    }
}

/// Fills ring 3's tables; the kernel's are done. What is in both is global: it is
/// the same in both.
pub(super) fn fill(
    kernels: &PageTables<'_>,
    user: &mut PageTables<'_>,
    kernel: &Kernel,
    cpus: u64,
    frames: &mut Frames,
) -> Option<()> {
    kernels.lend_user_half(user)?;
    let Instruments { entry_start, entry_end, .. } = kernel.instruments?;
    let mut map = |start: u64, physical: u64, length, write, exec| {
        let flags = kernel_flags(pte::G, write, exec);
        user.map(start, physical, length, flags, false, frames)
    };
    let (code, idt) = (entry_start, kernel.note.idt);
    map(code, code - KERNEL_BASE, entry_end - code, false, true)?;
    map(idt, idt - KERNEL_BASE, PAGE_SIZE, false, false)?;
    for cpu in Cpu::first(cpus) {
        for (start, end) in percpu::ENTRY {
            map(cpu.area() + start, cpu.area_phys() + start, end - start, true, false)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::boot::kernel::INSTRUMENTED;
    use crate::boot::mitigation::Hardening;
    use crate::boot::vdso::FastDoor;
    use crate::boot::{Load, Prepared, Start, prepare};
    use crate::machine::memory::GuestRam;
    use std::collections::BTreeMap;
    use trapgate_abi::boot_info::{Range, User};
    use trapgate_abi::layout::{
        Cpu, KERNEL_BASE, KERNEL_PHYS_END, KERNEL_SPACE, MAX_CPUS, PAGE_SIZE, cpus_end, percpu,
    };
    use trapgate_abi::mitigation::{PTI_USER_TABLE, keep};
    use trapgate_abi::x86::pte;

    /// A static ELF64 executable of one page of code.
    fn program() -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        let halves = |file: &mut Vec<u8>, values: &[u16]| {
            values.iter().for_each(|value| file.extend(value.to_le_bytes()));
        };
        let words = |file: &mut Vec<u8>, values: &[u64]| {
            values.iter().for_each(|value| file.extend(value.to_le_bytes()));
        };
        // ET_EXEC for x86-64, version 1; entry, program headers, no sections.
        halves(&mut file, &[2, 62, 1, 0]);
        words(&mut file, &[0x40_1000, 64, 0]);
        // Flags; the sizes of the headers, and one of the second kind.
        halves(&mut file, &[0, 0, 64, 56, 1, 64, 0, 0]);
        // PT_LOAD, readable and executable: a page of the file at 4 KiB.
        halves(&mut file, &[1, 0, 5, 0]);
        words(&mut file, &[PAGE_SIZE, 0x40_1000, 0x40_1000, PAGE_SIZE, PAGE_SIZE, PAGE_SIZE]);
        file.resize(2 * PAGE_SIZE as usize, 0xf4);
        file
    }

    fn prepared(ram: &GuestRam, hardening: Hardening) -> Prepared {
        prepared_for(ram, hardening, 1)
    }

    fn prepared_for(ram: &GuestRam, hardening: Hardening, cpus: u64) -> Prepared {
        let program = program();
        let image = trapgate_loader::image::parse(&program).unwrap();
        let start = Start {
            name: "probe",
            execfn: b"probe",
            load: Load::Here { image: &image, bytes: &program },
            argv: &[],
            envp: &[],
            seed: [0; 5],
            random_stock: &[],
            hwcap: 0,
            hwcap2: 0,
            xcr0: 0,
            features: 0,
            cpus,
            root: Range::ZERO,
            program: None,
            disk: 0,
            dense: false,
            directory: b"",
            user: User::ROOT,
            mounts: &[],
            fast_door: FastDoor::Int80,
            log_level: 0,
            ignored_signals: 0,
            stamps: 0,
            traced: false,
            hardening,
        };
        prepare(ram, INSTRUMENTED, &start).unwrap()
    }

    /// The pages of half an address space (0: the user's): address, entry.
    fn pages(ram: &GuestRam, root: u64, half: u64) -> BTreeMap<u64, u64> {
        fn walk(ram: &GuestRam, table: u64, level: u32, base: u64, pages: &mut BTreeMap<u64, u64>) {
            let slots = if level == 3 { 256 } else { 512 };
            let first = if level == 3 { (base >> 63) * 256 } else { 0 };
            for slot in 0..slots {
                let [entry] = ram.read_words::<1>(table + (first + slot) * 8).unwrap();
                let address = base + (slot << (12 + 9 * level));
                if entry & pte::P != 0 && (level == 0 || entry & pte::PS != 0) {
                    pages.insert(address, entry);
                } else if entry & pte::P != 0 {
                    walk(ram, entry & pte::ADDRESS, level - 1, address, pages);
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(ram, root, 3, if half == 0 { 0 } else { 0xffff_8000_0000_0000 }, &mut found);
        found
    }

    const PTI: Hardening = Hardening { keep: keep::ALL, pti: true };

    #[test]
    fn of_the_kernel_ring_3s_tables_have_what_an_entry_needs_and_nothing_else() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let prepared = prepared(&ram, PTI);
        assert_eq!(prepared.page_table & PTI_USER_TABLE, 0);
        let note = &prepared.kernel.note;
        let instruments = prepared.kernel.instruments.unwrap();
        let (base, cpu) = (KERNEL_BASE, Cpu::FIRST);
        let mut expected: BTreeMap<u64, (u64, bool, bool)> = (instruments.entry_start
            ..instruments.entry_end)
            .step_by(PAGE_SIZE as usize)
            .map(|page| (page, (page - base, false, true)))
            .collect();
        expected.insert(note.idt, (note.idt - base, false, false));
        for (start, end) in percpu::ENTRY {
            let pages = (start..end).step_by(PAGE_SIZE as usize);
            expected.extend(
                pages.map(|page| (cpu.area() + page, (cpu.area_phys() + page, true, false))),
            );
        }
        let found = pages(&ram, prepared.page_table | PTI_USER_TABLE, 1);
        for entry in found.values() {
            assert_eq!(entry & (pte::U | pte::PS), 0, "{entry:#x}");
        }
        let parts = |entry: u64| (entry & pte::ADDRESS, entry & pte::W != 0, entry & pte::NX == 0);
        let found: BTreeMap<_, _> = found.into_iter().map(|(at, e)| (at, parts(e))).collect();
        assert_eq!(found, expected);
        // And these are what the doors need.
        let doors = [note.syscall64, note.syscall32, note.sysenter, instruments.stamped_syscall64];
        for door in doors {
            assert!(found.contains_key(&(door & !(PAGE_SIZE - 1))), "{door:#x}");
        }
    }

    #[test]
    fn both_have_the_program_and_only_ring_3s_can_execute_it() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let root = prepared(&ram, PTI).page_table;
        let user = pages(&ram, root | PTI_USER_TABLE, 0);
        assert!(!user.is_empty());
        assert_eq!(pages(&ram, root, 0), user);
        let top = |root: u64| (0..256).map(move |slot| root + slot * 8);
        for (own, users) in top(root).zip(top(root | PTI_USER_TABLE)) {
            let [own, users] = [own, users].map(|at| ram.read_words::<1>(at).unwrap()[0]);
            assert_eq!(users & pte::NX, 0);
            assert_eq!(own, if users == 0 { 0 } else { users | pte::NX });
        }
    }

    #[test]
    fn each_cpu_that_is_there_has_its_area_and_for_no_other_anything_is_done() {
        for cpus in [1, 2, MAX_CPUS] {
            let ram = GuestRam::new(16 << 20).unwrap();
            let prepared = prepared_for(&ram, PTI, cpus);
            let roots = [prepared.page_table, prepared.page_table | PTI_USER_TABLE];
            for (root, ranges) in roots.into_iter().zip([&percpu::MAPPED[..], &percpu::ENTRY]) {
                let found = pages(&ram, root, 1);
                for cpu in Cpu::first(MAX_CPUS) {
                    for (start, _) in ranges {
                        let entry = found.get(&(cpu.area() + start));
                        let expected = (cpu.number() < cpus).then(|| cpu.area_phys() + start);
                        assert_eq!(entry.map(|entry| entry & pte::ADDRESS), expected, "{cpu:?}");
                    }
                }
            }
            let users = pages(&ram, roots[1], 0);
            let lowest = users.values().map(|entry| entry & pte::ADDRESS).min().unwrap();
            assert!(lowest.min(roots[0]) >= cpus_end(cpus));
            assert!(cpus > 1 || roots[0] < KERNEL_PHYS_END, "one CPU wastes no memory");
        }
    }

    #[test]
    fn nothing_of_the_kernel_outlives_a_change_of_tables_but_what_both_have() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let root = prepared(&ram, PTI).page_table;
        assert!(pages(&ram, root, 1).values().all(|entry| entry & pte::G == 0));
        let plain = GuestRam::new(16 << 20).unwrap();
        let root = prepared(&plain, Hardening::NONE).page_table;
        assert!(pages(&plain, root, 1).values().all(|entry| entry & pte::G != 0));
    }

    #[test]
    fn the_page_of_untraining_is_there_twice_if_it_is_wanted() {
        let ram = GuestRam::new(16 << 20).unwrap();
        let prepared_with = prepared(&ram, PTI);
        let note = prepared_with.kernel.instruments.unwrap();
        assert_eq!(note.untrain_alias ^ note.untrain_page, 1 << 14 | 1 << 20);
        assert!((KERNEL_SPACE..KERNEL_BASE).contains(&note.untrain_alias));
        let entry = pages(&ram, prepared_with.page_table, 1)[&note.untrain_alias];
        assert_eq!(entry & pte::ADDRESS, note.untrain_page - KERNEL_BASE);
        assert_eq!(entry & (pte::W | pte::NX | pte::U), 0);
        let without = Hardening { keep: keep::ALL & !keep::UNTRAIN_ZEN4, pti: false };
        let ram = GuestRam::new(16 << 20).unwrap();
        let root = prepared(&ram, without).page_table;
        assert!(!pages(&ram, root, 1).contains_key(&note.untrain_alias));
    }
}
