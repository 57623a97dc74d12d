//! The CPU's numbers: selectors, descriptors, control bits, MSRs, vectors.
//!
//! The VMM's initial segment state and the kernel's GDT both derive from
//! [`descriptor`], so they cannot disagree. Names are those of the Intel SDM
//! and the AMD APM; the GDT's order is Linux's, because programs can see
//! their selectors.

/// Segment selectors, requested privilege level included.
pub mod selector {
    /// Ring 0, 64-bit code.
    pub const KERNEL_CS: u16 = 0x10;
    /// Ring 0, data. SYSCALL loads SS with `KERNEL_CS + 8`.
    pub const KERNEL_DS: u16 = 0x18;
    /// Ring 3, compatibility-mode code. SYSRET counts from here.
    pub const USER32_CS: u16 = 0x23;
    /// Ring 3, data: `USER32_CS + 8`.
    pub const USER_DS: u16 = 0x2b;
    /// Ring 3, 64-bit code: `USER32_CS + 16`.
    pub const USER_CS: u16 = 0x33;
    /// The task-state segment; its descriptor takes two slots.
    pub const TSS: u16 = 0x40;
}

/// Slots in the GDT.
pub const GDT_ENTRIES: usize = 16;
/// The first slot that a 32-bit program may set, with set_thread_area(2).
pub const TLS_FIRST: usize = 12;
/// How many such slots there are.
pub const TLS_ENTRIES: usize = 3;
/// GDTR's limit.
pub const GDT_LIMIT: u16 = GDT_ENTRIES as u16 * 8 - 1;
/// IDTR's limit: 256 gates of 16 bytes.
pub const IDT_LIMIT: u16 = 256 * 16 - 1;
/// Bytes in a 64-bit task-state segment, the I/O bitmap left out.
pub const TSS_SIZE: u32 = 104;

/// Segment descriptors as they lie in the GDT (Intel SDM vol. 3, 3.4.5).
pub mod descriptor {
    const ACCESSED: u64 = 1 << 40;
    const WRITABLE: u64 = 1 << 41; // of data; "readable" of code
    const CODE: u64 = 1 << 43;
    const CODE_OR_DATA: u64 = 1 << 44;
    const DPL_3: u64 = 3 << 45;
    const PRESENT: u64 = 1 << 47;
    const LONG: u64 = 1 << 53;
    const BIG: u64 = 1 << 54;
    const GRANULARITY: u64 = 1 << 55;
    const FLAT: u64 = 0x000f_0000_0000_ffff | GRANULARITY;

    /// Ring 0, 64-bit code.
    pub const KERNEL_CODE: u64 = FLAT | LONG | PRESENT | CODE_OR_DATA | CODE | WRITABLE | ACCESSED;
    /// Ring 0, data.
    pub const KERNEL_DATA: u64 = FLAT | BIG | PRESENT | CODE_OR_DATA | WRITABLE | ACCESSED;
    /// Ring 0, 32-bit code: for the way into legacy mode.
    pub const KERNEL32_CODE: u64 = FLAT | BIG | PRESENT | CODE_OR_DATA | CODE | WRITABLE | ACCESSED;
    /// Ring 3, 32-bit code: compatibility mode, or legacy mode.
    pub const USER32_CODE: u64 =
        FLAT | BIG | PRESENT | DPL_3 | CODE_OR_DATA | CODE | WRITABLE | ACCESSED;
    /// Ring 3, data.
    pub const USER_DATA: u64 = KERNEL_DATA | DPL_3;
    /// Ring 3, 64-bit code.
    pub const USER_CODE: u64 = KERNEL_CODE | DPL_3;

    const TSS_BUSY: u64 = 0xb << 40;

    /// The two words of a 64-bit TSS's descriptor, busy, as it is while TR
    /// holds it (Intel SDM vol. 3, 8.2.3).
    pub const fn tss(base: u64, limit: u32) -> [u64; 2] {
        [
            (limit as u64 & 0xffff)
                | (base & 0xff_ffff) << 16
                | TSS_BUSY
                | PRESENT
                | (limit as u64 >> 16 & 0xf) << 48
                | (base >> 24 & 0xff) << 56,
            base >> 32,
        ]
    }
}

/// Model-specific registers.
pub mod msr {
    /// Time-stamp counter.
    pub const TSC: u32 = 0x10;
    /// Speculation control (Intel SDM vol. 4, "IA32_SPEC_CTRL").
    pub const SPEC_CTRL: u32 = 0x48;
    /// SYSENTER's code segment; SS is 8 more. 0: SYSENTER is #GP.
    pub const SYSENTER_CS: u32 = 0x174;
    /// SYSENTER's stack pointer.
    pub const SYSENTER_ESP: u32 = 0x175;
    /// SYSENTER's target.
    pub const SYSENTER_EIP: u32 = 0x176;
    /// Extended features: SCE, LME, LMA, NXE.
    pub const EFER: u32 = 0xc000_0080;
    /// Selectors of SYSCALL and SYSRET.
    pub const STAR: u32 = 0xc000_0081;
    /// SYSCALL's target from 64-bit code.
    pub const LSTAR: u32 = 0xc000_0082;
    /// SYSCALL's target from compatibility mode (AMD).
    pub const CSTAR: u32 = 0xc000_0083;
    /// RFLAGS bits that SYSCALL clears: "SFMASK" (AMD), "FMASK" (Intel).
    pub const SFMASK: u32 = 0xc000_0084;
    /// Base of FS.
    pub const FS_BASE: u32 = 0xc000_0100;
    /// Base of GS.
    pub const GS_BASE: u32 = 0xc000_0101;
    /// What SWAPGS exchanges with the base of GS.
    pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
    /// What RDTSCP and RDPID answer beside the counter.
    pub const TSC_AUX: u32 = 0xc000_0103;
}

/// [`msr::SPEC_CTRL`]: indirect branch restricted speculation.
pub const SPEC_CTRL_IBRS: u64 = 1 << 0;

/// STAR's value: SYSCALL enters with [`selector::KERNEL_CS`], SYSRET leaves
/// with selectors counted from [`selector::USER32_CS`].
pub const STAR: u64 = (selector::USER32_CS as u64) << 48 | (selector::KERNEL_CS as u64) << 32;

/// EFER bits.
pub mod efer {
    /// SYSCALL enable.
    pub const SCE: u64 = 1 << 0;
    /// Long mode enable.
    pub const LME: u64 = 1 << 8;
    /// Long mode active.
    pub const LMA: u64 = 1 << 10;
    /// No-execute enable.
    pub const NXE: u64 = 1 << 11;
}

/// CR0 bits.
pub mod cr0 {
    /// Protection enable.
    pub const PE: u64 = 1 << 0;
    /// Monitor coprocessor: WAIT heeds TS.
    pub const MP: u64 = 1 << 1;
    /// Extension type, always one.
    pub const ET: u64 = 1 << 4;
    /// x87 errors as #MF.
    pub const NE: u64 = 1 << 5;
    /// Ring 0 heeds read-only pages.
    pub const WP: u64 = 1 << 16;
    /// Alignment check in ring 3, with RFLAGS.AC.
    pub const AM: u64 = 1 << 18;
    /// Paging.
    pub const PG: u64 = 1 << 31;
}

/// CR4 bits.
pub mod cr4 {
    /// Physical-address extension.
    pub const PAE: u64 = 1 << 5;
    /// Global pages.
    pub const PGE: u64 = 1 << 7;
    /// FXSAVE and SSE.
    pub const OSFXSR: u64 = 1 << 9;
    /// SIMD errors as #XM.
    pub const OSXMMEXCPT: u64 = 1 << 10;
    /// SGDT, SIDT, SLDT, SMSW and STR fault in ring 3.
    pub const UMIP: u64 = 1 << 11;
    /// RDFSBASE and its kin work in ring 3.
    pub const FSGSBASE: u64 = 1 << 16;
    /// XSAVE and XCR0.
    pub const OSXSAVE: u64 = 1 << 18;
    /// Ring 0 may not execute the user's pages.
    pub const SMEP: u64 = 1 << 20;
    /// Ring 0 may not touch the user's pages, unless RFLAGS.AC says so.
    pub const SMAP: u64 = 1 << 21;
}

/// RFLAGS bits.
pub mod rflags {
    /// Carry.
    pub const CF: u64 = 1 << 0;
    /// Always one.
    pub const FIXED: u64 = 1 << 1;
    /// Parity.
    pub const PF: u64 = 1 << 2;
    /// Auxiliary carry.
    pub const AF: u64 = 1 << 4;
    /// Zero.
    pub const ZF: u64 = 1 << 6;
    /// Sign.
    pub const SF: u64 = 1 << 7;
    /// Trap after the next instruction.
    pub const TF: u64 = 1 << 8;
    /// Interrupts enabled.
    pub const IF: u64 = 1 << 9;
    /// String instructions count down.
    pub const DF: u64 = 1 << 10;
    /// Overflow.
    pub const OF: u64 = 1 << 11;
    /// I/O privilege level, both bits.
    pub const IOPL: u64 = 3 << 12;
    /// Nested task.
    pub const NT: u64 = 1 << 14;
    /// Resume: no instruction breakpoint on the next instruction.
    pub const RF: u64 = 1 << 16;
    /// Alignment check; with SMAP, ring 0's permission to touch user pages.
    pub const AC: u64 = 1 << 18;
    /// That it can be changed: there is CPUID.
    pub const ID: u64 = 1 << 21;
    /// What arithmetic sets.
    pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;
    /// What a program can set by POPF.
    pub const USER: u64 = STATUS | TF | DF | NT | AC | ID;
}

/// What SYSCALL clears in RFLAGS before the first instruction of the kernel:
///
/// - IF: no interrupt may come before the kernel has its own stack;
/// - DF: the kernel's string instructions count up (System V ABI, 3.2.3);
/// - TF: single-stepping stops at the door, not inside the kernel;
/// - NT: an IRETQ with NT set would be a task switch, that is #GP;
/// - AC: user pages stay out of reach where SMAP is on, and a misaligned
///   access stays harmless;
/// - IOPL, RF and the arithmetic flags, so that what the kernel starts with
///   does not depend on the user. Linux masks the same set.
pub const SFMASK: u64 = rflags::STATUS
    | rflags::TF
    | rflags::IF
    | rflags::DF
    | rflags::IOPL
    | rflags::NT
    | rflags::RF
    | rflags::AC
    | rflags::ID;
const _: () = assert!(SFMASK == 0x25_7fd5, "Linux's");

/// Page-table entry bits (Intel SDM vol. 3, 4.5.4).
pub mod pte {
    /// Present.
    pub const P: u64 = 1 << 0;
    /// Writable.
    pub const W: u64 = 1 << 1;
    /// Ring 3 may use it.
    pub const U: u64 = 1 << 2;
    /// Accessed.
    pub const A: u64 = 1 << 5;
    /// Dirty.
    pub const D: u64 = 1 << 6;
    /// Page size: this entry maps a large page.
    pub const PS: u64 = 1 << 7;
    /// Global: survives a load of CR3.
    pub const G: u64 = 1 << 8;
    /// No execute.
    pub const NX: u64 = 1 << 63;
    /// The physical address in an entry.
    pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
}

/// Exception vectors (Intel SDM vol. 3, table 6-1).
pub mod vector {
    /// Divide error.
    pub const DE: u8 = 0;
    /// Debug.
    pub const DB: u8 = 1;
    /// Non-maskable interrupt.
    pub const NMI: u8 = 2;
    /// Breakpoint, INT3.
    pub const BP: u8 = 3;
    /// Overflow, INTO.
    pub const OF: u8 = 4;
    /// BOUND range exceeded.
    pub const BR: u8 = 5;
    /// Invalid opcode.
    pub const UD: u8 = 6;
    /// Device not available.
    pub const NM: u8 = 7;
    /// Double fault.
    pub const DF: u8 = 8;
    /// Invalid TSS.
    pub const TS: u8 = 10;
    /// Segment not present.
    pub const NP: u8 = 11;
    /// Stack fault.
    pub const SS: u8 = 12;
    /// General protection.
    pub const GP: u8 = 13;
    /// Page fault.
    pub const PF: u8 = 14;
    /// x87 error.
    pub const MF: u8 = 16;
    /// Alignment check.
    pub const AC: u8 = 17;
    /// Machine check.
    pub const MC: u8 = 18;
    /// SIMD error.
    pub const XM: u8 = 19;
    /// Control protection.
    pub const CP: u8 = 21;
    /// VMM communication (AMD SEV-ES).
    pub const VC: u8 = 29;
    /// Security (AMD SVM).
    pub const SX: u8 = 30;
    /// The door of `int 0x80`.
    pub const SYSCALL: u8 = 0x80;
    /// The interrupt that says that there are events, or that a tick is due
    /// (where Linux has LOCAL_TIMER_VECTOR).
    pub const EVENT: u8 = 0xec;

    /// Whether the CPU pushes an error code for this vector.
    pub const fn has_error_code(vector: u8) -> bool {
        matches!(vector, DF | TS | NP | SS | GP | PF | AC | CP | VC | SX)
    }

    /// Bit `n` is set if vector `n`, an exception's, pushes an error code: the
    /// same for assembly.
    pub const ERROR_CODES: u32 = {
        let mut mask = 0;
        let mut number = 0;
        while number < 32 {
            mask |= (has_error_code(number) as u32) << number;
            number += 1;
        }
        mask
    };

    /// The exception's mnemonic, as the manuals write it.
    pub const fn name(vector: u8) -> Option<&'static str> {
        Some(match vector {
            DE => "#DE",
            DB => "#DB",
            NMI => "NMI",
            BP => "#BP",
            OF => "#OF",
            BR => "#BR",
            UD => "#UD",
            NM => "#NM",
            DF => "#DF",
            TS => "#TS",
            NP => "#NP",
            SS => "#SS",
            GP => "#GP",
            PF => "#PF",
            MF => "#MF",
            AC => "#AC",
            MC => "#MC",
            XM => "#XM",
            CP => "#CP",
            VC => "#VC",
            SX => "#SX",
            _ => return None,
        })
    }
}

/// Page-fault error code bits (Intel SDM vol. 3, 4.7).
pub mod page_fault {
    /// The page was present: a protection violation.
    pub const P: u64 = 1 << 0;
    /// The access was a write.
    pub const W: u64 = 1 << 1;
    /// The access came from ring 3.
    pub const U: u64 = 1 << 2;
    /// A reserved bit was set in a table.
    pub const RSVD: u64 = 1 << 3;
    /// The access was an instruction fetch.
    pub const I: u64 = 1 << 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_fit_what_syscall_and_sysret_compute() {
        assert_eq!(STAR >> 32 & 0xffff, u64::from(selector::KERNEL_CS));
        assert_eq!((STAR >> 32 & 0xffff) + 8, u64::from(selector::KERNEL_DS));
        let base = STAR >> 48;
        assert_eq!((base + 16) | 3, u64::from(selector::USER_CS));
        assert_eq!((base + 8) | 3, u64::from(selector::USER_DS));
    }

    #[test]
    fn flat_descriptors_have_the_bits_of_the_manual() {
        assert_eq!(descriptor::KERNEL_CODE, 0x00af_9b00_0000_ffff);
        assert_eq!(descriptor::KERNEL_DATA, 0x00cf_9300_0000_ffff);
        assert_eq!(descriptor::KERNEL32_CODE, 0x00cf_9b00_0000_ffff);
        assert_eq!(descriptor::USER32_CODE, 0x00cf_fb00_0000_ffff);
        assert_eq!(descriptor::USER_DATA, 0x00cf_f300_0000_ffff);
        assert_eq!(descriptor::USER_CODE, 0x00af_fb00_0000_ffff);
    }

    #[test]
    fn tss_descriptor_carries_its_base_and_limit() {
        let [low, high] = descriptor::tss(0xffff_fe00_1234_5678, 0x67);
        assert_eq!(high, 0xffff_fe00);
        assert_eq!(low >> 16 & 0xff_ffff | (low >> 56) << 24, 0x1234_5678);
        assert_eq!(low & 0xffff, 0x67);
        assert_eq!(low >> 40 & 0xff, 0x8b);
    }

    #[test]
    fn ten_vectors_push_an_error_code() {
        let list: std::vec::Vec<u8> = (0..=255).filter(|&v| vector::has_error_code(v)).collect();
        assert_eq!(list, [8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
    }

    #[test]
    fn sfmask_clears_what_would_hurt_the_kernel_and_never_the_fixed_bit() {
        for bit in [rflags::IF, rflags::DF, rflags::TF, rflags::NT, rflags::AC] {
            assert_ne!(SFMASK & bit, 0);
        }
        assert_eq!(SFMASK & rflags::FIXED, 0);
    }
}
