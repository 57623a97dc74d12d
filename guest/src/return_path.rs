//! Which way back to ring 3: SYSRET where it is safe and exact, else IRET.
//!
//! Called by `entry` after each SYSCALL; pure, so that the host can test it.

use trapgate_abi::PtRegs;
use trapgate_abi::x86::{rflags, selector};

/// The instruction that returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnPath {
    /// SYSRET: fast, restores RIP from RCX and RFLAGS from R11 and loads fixed
    /// selectors.
    Sysret,
    /// IRET: restores everything.
    Iret,
}

/// SYSRET only if it restores exactly these registers and cannot fault:
///
/// - RCX must be RIP and R11 must be RFLAGS, for that is where SYSRET takes
///   them from;
/// - CS and SS must be those that STAR yields;
/// - RIP must be a user address: Intel's SYSRET with a non-canonical RCX
///   raises #GP in ring 0, with the user's stack pointer already loaded;
/// - RF and TF must be clear: SYSRET clears RF, and restoring TF would trap
///   after the user's instruction or before it, depending on the maker.
///
/// Linux makes the same checks (arch/x86/entry). Written without branches:
/// all differences are collected and compared with zero once.
#[inline(always)]
pub const fn return_path(regs: &PtRegs) -> ReturnPath {
    let difference = (regs.rcx ^ regs.rip)
        | (regs.r11 ^ regs.rflags)
        | (regs.cs ^ selector::USER_CS as u64)
        | (regs.ss ^ selector::USER_DS as u64)
        | regs.rip >> 47
        | regs.rflags & (rflags::RF | rflags::TF);
    if difference == 0 { ReturnPath::Sysret } else { ReturnPath::Iret }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_syscall() -> PtRegs {
        PtRegs {
            rip: 0x40_1000,
            rcx: 0x40_1000,
            rflags: rflags::FIXED | rflags::IF,
            r11: rflags::FIXED | rflags::IF,
            cs: selector::USER_CS.into(),
            ss: selector::USER_DS.into(),
            rsp: 0x7fff_0000,
            ..PtRegs::default()
        }
    }

    #[test]
    fn an_untouched_frame_returns_by_sysret() {
        assert_eq!(return_path(&after_syscall()), ReturnPath::Sysret);
    }

    #[test]
    fn each_difference_alone_forces_iret() {
        let cases: [(&str, fn(&mut PtRegs)); 8] = [
            ("rip changed", |r| r.rip += 1),
            ("rcx changed", |r| r.rcx += 1),
            ("rflags changed", |r| r.rflags |= rflags::CF),
            ("r11 changed", |r| r.r11 |= rflags::CF),
            ("compatibility-mode code segment", |r| r.cs = selector::USER32_CS.into()),
            ("another stack segment", |r| r.ss = 0),
            ("trap flag", |r| {
                r.rflags |= rflags::TF;
                r.r11 = r.rflags;
            }),
            ("resume flag", |r| {
                r.rflags |= rflags::RF;
                r.r11 = r.rflags;
            }),
        ];
        for (name, change) in cases {
            let mut regs = after_syscall();
            change(&mut regs);
            assert_eq!(return_path(&regs), ReturnPath::Iret, "{name}");
        }
    }

    #[test]
    fn non_canonical_and_kernel_addresses_force_iret() {
        for rip in [1 << 47, 0x8000_0000_0000_0000, 0xffff_8000_0000_0000, u64::MAX] {
            let regs = PtRegs { rip, rcx: rip, ..after_syscall() };
            assert_eq!(return_path(&regs), ReturnPath::Iret, "{rip:#x}");
        }
        let last = (1 << 47) - 1;
        let regs = PtRegs { rip: last, rcx: last, ..after_syscall() };
        assert_eq!(return_path(&regs), ReturnPath::Sysret);
    }
}
