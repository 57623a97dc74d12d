//! Which way back to ring 3: SYSRET where it is safe and exact, else IRET.
//!
//! SYSRET only if it restores exactly the frame and cannot fault:
//!
//! - RCX must be RIP and R11 must be RFLAGS, for that is where SYSRET takes
//!   them from;
//! - RIP must be a user address: Intel's SYSRET with a non-canonical RCX
//!   raises #GP in ring 0, with the user's stack pointer already loaded;
//! - RF and TF must be clear: SYSRET clears RF, and restoring TF would trap
//!   after the user's instruction or before it, depending on the maker;
//! - CS and SS must be those that STAR yields.
//!
//! Linux makes the same checks (arch/x86/entry). They are on the way of every
//! call, so they are assembly, without a call and without a scratch register:
//! one text, which `entry::syscall64` has at its door and [`return_path`] has
//! for the host's tests.
#![allow(unsafe_code, reason = "the checks are assembly")]

use core::arch::naked_asm;
use core::mem::offset_of;
use trapgate_abi::PtRegs;
use trapgate_abi::x86::{rflags, selector};

/// The end of the addresses that SYSRET can return to.
pub static CANONICAL_END: u64 = 1 << 47;

/// The checks. On arrival rcx and r11 hold what the frame has for them, and
/// `$frame` is an address expression for the PtRegs; jumps to `$iret` if SYSRET
/// will not do.
macro_rules! sysret_checks {
    ($frame:literal, $iret:literal) => {
        concat!(
            "cmp rcx, [",
            $frame,
            " + {rip}]\n",
            "jne ",
            $iret,
            "\n",
            "cmp rcx, [rip + {canonical_end}]\n",
            "jae ",
            $iret,
            "\n",
            "cmp r11, [",
            $frame,
            " + {rflags}]\n",
            "jne ",
            $iret,
            "\n",
            "test r11d, {single_step}\n",
            "jnz ",
            $iret,
            "\n",
            "cmp qword ptr [",
            $frame,
            " + {cs}], {user_cs}\n",
            "jne ",
            $iret,
            "\n",
            "cmp qword ptr [",
            $frame,
            " + {ss}], {user_ds}\n",
            "jne ",
            $iret,
            "\n",
        )
    };
}
#[cfg(target_os = "none")]
pub(crate) use sysret_checks;

/// RFLAGS bits that SYSRET does not restore as they should be.
pub const SINGLE_STEP: u64 = rflags::RF | rflags::TF;

/// The instruction that returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReturnPath {
    /// SYSRET: fast, restores RIP from RCX and RFLAGS from R11 and loads fixed
    /// selectors.
    Sysret = 0,
    /// IRET: restores everything.
    Iret = 1,
}

/// The decision for `regs`. (rcx and r11 are the caller's to lose.)
#[unsafe(naked)]
pub extern "C" fn return_path(regs: &PtRegs) -> ReturnPath {
    naked_asm!(
        "mov rcx, [rdi + {rcx}]",
        "mov r11, [rdi + {r11}]",
        sysret_checks!("rdi", "2f"),
        "mov al, {sysret}",
        "ret",
        "2: mov al, {use_iret}",
        "ret",
        rcx = const offset_of!(PtRegs, rcx),
        r11 = const offset_of!(PtRegs, r11),
        rip = const offset_of!(PtRegs, rip),
        rflags = const offset_of!(PtRegs, rflags),
        cs = const offset_of!(PtRegs, cs),
        ss = const offset_of!(PtRegs, ss),
        canonical_end = sym CANONICAL_END,
        single_step = const SINGLE_STEP,
        user_cs = const selector::USER_CS,
        user_ds = const selector::USER_DS,
        sysret = const ReturnPath::Sysret as u8,
        use_iret = const ReturnPath::Iret as u8,
    )
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
        type Change = fn(&mut PtRegs);
        let cases: [(&str, Change); 8] = [
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
