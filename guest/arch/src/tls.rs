//! Thread-local storage of 32-bit programs: three descriptors of the GDT that
//! they may set, and what Linux lets them be (arch/x86/kernel/tls.c).
//!
//! A program can load any of them into a segment register. So they are data
//! segments of ring 3, present, with 32-bit offsets, or nothing: never code,
//! never a gate or a system segment, never the kernel's.
#![allow(unsafe_code, reason = "writes the GDT, loads segment registers")]

use super::percpu;
#[cfg(target_os = "none")]
use core::arch::asm;
#[cfg(target_os = "none")]
use trapgate_abi::x86::selector;
use trapgate_abi::x86::{TLS_ENTRIES, TLS_FIRST};
use trapgate_uapi::ldt::{UserDesc, flag};

/// How Linux reads a request to clear an entry: all fields zero, or the two
/// that say "read-only" and "not present" set.
const fn is_empty(desc: &UserDesc) -> bool {
    let flags = desc.flags & flag::ALL;
    desc.base_addr == 0
        && desc.limit == 0
        && (flags == 0 || flags == flag::READ_EXEC_ONLY | flag::SEG_NOT_PRESENT)
}

/// The segment descriptor for an entry, 0 for none; `None` if the program may
/// not have it (Linux: `tls_desc_okay`, `fill_ldt`; Intel SDM vol. 3, 3.4.5).
pub fn descriptor(desc: &UserDesc) -> Option<u64> {
    const ACCESSED: u64 = 1 << 40; // the CPU need not write to the GDT
    const CODE_OR_DATA: u64 = 1 << 44;
    const DPL_3: u64 = 3 << 45;
    const PRESENT: u64 = 1 << 47;
    if is_empty(desc) {
        return Some(0);
    }
    let UserDesc { base_addr: base, limit, flags, .. } = *desc;
    // 16-bit segments would need espfix, code and absent ones are refused.
    if flags & flag::SEG_32BIT == 0
        || flags & flag::CONTENTS > flag::EXPAND_DOWN
        || flags & flag::SEG_NOT_PRESENT != 0
    {
        return None;
    }
    let bit = |at: u64, set: bool| if set { 1u64 << at } else { 0 };
    Some(
        limit as u64 & 0xffff
            | (base as u64 & 0xff_ffff) << 16
            | ACCESSED
            | bit(41, flags & flag::READ_EXEC_ONLY == 0)
            | bit(42, flags & flag::EXPAND_DOWN != 0)
            | CODE_OR_DATA
            | DPL_3
            | PRESENT
            | (limit as u64 >> 16 & 0xf) << 48
            | bit(52, flags & flag::USEABLE != 0)
            | bit(54, true)
            | bit(55, flags & flag::LIMIT_IN_PAGES != 0)
            | (base as u64 >> 24) << 56,
    )
}

/// What get_thread_area(2) tells of a descriptor (Linux: `fill_user_desc`).
pub fn user_desc(number: u32, descriptor: u64) -> UserDesc {
    let flag = |bit: u64, flag: u32, value: bool| {
        if (descriptor >> bit & 1 != 0) == value { flag } else { 0 }
    };
    UserDesc {
        entry_number: number,
        base_addr: (descriptor >> 16 & 0xff_ffff | (descriptor >> 56) << 24) as u32,
        limit: (descriptor & 0xffff | (descriptor >> 48 & 0xf) << 16) as u32,
        flags: flag(54, flag::SEG_32BIT, true)
            | flag(42, flag::EXPAND_DOWN, true)
            | flag(41, flag::READ_EXEC_ONLY, false)
            | flag(55, flag::LIMIT_IN_PAGES, true)
            | flag(47, flag::SEG_NOT_PRESENT, false)
            | flag(52, flag::USEABLE, true),
    }
}

/// Whether `number` is one of the entries that programs may set.
pub const fn is_entry(number: usize) -> bool {
    number >= TLS_FIRST && number < TLS_FIRST + TLS_ENTRIES
}

/// The first entry that holds nothing.
pub fn free_entry() -> Option<usize> {
    (TLS_FIRST..TLS_FIRST + TLS_ENTRIES).find(|&number| entry(number) == 0)
}

/// What entry `number` holds.
pub fn entry(number: usize) -> u64 {
    assert!(is_entry(number));
    percpu::descriptor(number)
}

/// Sets entry `number` to what `desc` asks for, and loads it anew into the
/// segment registers that hold its selector: they would keep the old segment
/// otherwise. False: refused.
pub fn set_entry(number: usize, desc: &UserDesc) -> bool {
    assert!(is_entry(number));
    let Some(descriptor) = descriptor(desc) else { return false };
    // SAFETY: `descriptor` makes nothing but data segments of ring 3.
    unsafe { percpu::set_descriptor(number, descriptor) };
    #[cfg(target_os = "none")]
    let selector = (number as u16) << 3 | 3;
    #[cfg(target_os = "none")]
    // SAFETY: a ring-3 data segment that is present, or the null selector;
    // ring 0 uses none of these registers' segments. GS is loaded between two
    // SWAPGS with interrupts off: its base is the user's meanwhile.
    unsafe {
        reload(selector, if descriptor == 0 { 0 } else { selector });
    }
    true
}

/// Loads `new` into those of DS, ES, FS and GS that hold `old`.
///
/// # Safety
/// `new` must be null or a data segment that ring 0 can load.
#[cfg(target_os = "none")]
unsafe fn reload(old: u16, new: u16) {
    // A null selector alone leaves the base as it was on some CPUs (Linux:
    // X86_BUG_NULL_SEG), so that a flat segment goes before it.
    macro_rules! reload {
        ($register:literal, $swapgs:literal) => {
            let now: u16;
            asm!(concat!("mov {:x}, ", $register), out(reg) now,
                options(nomem, nostack, preserves_flags));
            if now == old {
                asm!($swapgs, concat!("mov ", $register, ", {:x}"),
                    concat!("mov ", $register, ", {:x}"), $swapgs,
                    in(reg) selector::USER_DS, in(reg) new, options(nostack, preserves_flags));
            }
        };
    }
    // SAFETY: the caller vouches for the selector.
    unsafe {
        reload!("ds", "");
        reload!("es", "");
        reload!("fs", "");
        reload!("gs", "swapgs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::x86::descriptor::USER_DATA;

    /// Of number, base, limit and flags.
    fn desc([entry_number, base_addr, limit, flags]: [u32; 4]) -> UserDesc {
        UserDesc { entry_number, base_addr, limit, flags }
    }

    fn made(words: [u32; 4]) -> Option<u64> {
        descriptor(&desc(words))
    }

    const FLAT: u32 = flag::SEG_32BIT | flag::LIMIT_IN_PAGES;

    #[test]
    fn a_libcs_descriptor_is_ring_3_data_with_its_base() {
        // As glibc and musl ask for it.
        let flags = FLAT | flag::USEABLE;
        let libcs = made([u32::MAX, 0x1234_5678, 0xf_ffff, flags]).unwrap();
        assert_eq!(libcs, 0x12df_f334_5678_ffff);
        assert_eq!(made([0, 0, 0xf_ffff, FLAT]), Some(USER_DATA));
    }

    #[test]
    fn flags_go_to_the_manuals_bits() {
        let base = made([0, 4, 0, flag::SEG_32BIT]).unwrap();
        let with = |flag| made([0, 4, 0, flag::SEG_32BIT | flag]).unwrap() ^ base;
        assert_eq!(with(flag::READ_EXEC_ONLY), 1 << 41);
        assert_eq!(with(flag::EXPAND_DOWN), 1 << 42);
        assert_eq!(with(flag::USEABLE), 1 << 52);
        assert_eq!(with(flag::LIMIT_IN_PAGES), 1 << 55);
        // `lm` and what is above mean nothing.
        assert_eq!(with(0xffff_ff80), 0);
    }

    #[test]
    fn two_forms_clear_an_entry() {
        let cleared = flag::READ_EXEC_ONLY | flag::SEG_NOT_PRESENT;
        for flags in [0, 0x80, cleared, cleared | 0x80] {
            assert_eq!(made([12, 0, 0, flags]), Some(0), "{flags:#x}");
            assert_eq!(made([12, 1, 0, flags]), None, "{flags:#x}");
            assert_eq!(made([12, 0, 1, flags]), None, "{flags:#x}");
        }
    }

    #[test]
    fn code_absent_and_16_bit_segments_are_refused() {
        let refused = [
            2 << 1 | flag::SEG_32BIT,
            3 << 1 | flag::SEG_32BIT,
            flag::SEG_32BIT | flag::SEG_NOT_PRESENT,
            flag::LIMIT_IN_PAGES,
            0x80 | flag::USEABLE,
        ];
        for flags in refused {
            assert_eq!(made([12, 0x1000, 0xfff, flags]), None, "{flags:#x}");
        }
    }

    #[test]
    fn no_request_makes_more_than_data_of_ring_3() {
        for flags in 0..=0xff {
            for (base, limit) in [(0, 0), (0xffff_ffff, 0xffff_ffff), (0x8000_0000, 0xf_ffff)] {
                let Some(made) = made([12, base, limit, flags]) else { continue };
                // Present, DPL 3, code or data: data, accessed; 32 bits, not 64.
                let fixed = made & (0xf9 << 40 | 0x60 << 48);
                assert!(made == 0 || fixed == 0xf1 << 40 | 0x40 << 48, "{flags:#x} {made:#x}");
            }
        }
    }

    #[test]
    fn what_was_set_is_told() {
        for flags in 0..=flag::ALL {
            let asked = desc([13, 0xfedc_ba98, 0xa_bcde, flags]);
            if let Some(made) = descriptor(&asked) {
                assert_eq!(user_desc(13, made), asked);
            }
        }
        let empty = flag::READ_EXEC_ONLY | flag::SEG_NOT_PRESENT;
        assert_eq!(user_desc(14, 0), desc([14, 0, 0, empty]));
    }

    #[test]
    fn three_entries_are_the_programs() {
        let entries: Vec<usize> = (0..20).filter(|&number| is_entry(number)).collect();
        assert_eq!(entries, [12, 13, 14]);
    }
}
