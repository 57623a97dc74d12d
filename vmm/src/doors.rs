//! The doors: an instruction in a CPU mode. Which there are, and which a maker's
//! CPUs have.
//!
//! Pure: [`crate::sandbox::stats`] counts what came through them. How they arrive
//! is the matter of the crate `trapgate-measure`.

use crate::machine::kvm::Maker;
use std::fmt;
use trapgate_abi::counters::Counters;

/// An instruction that enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Instruction {
    /// SYSCALL, SYSRET's partner.
    #[cfg_attr(feature = "serde", serde(rename = "SYSCALL"))]
    Syscall,
    /// SYSENTER.
    #[cfg_attr(feature = "serde", serde(rename = "SYSENTER"))]
    Sysenter,
    /// INT 0x80, IRET's partner.
    #[cfg_attr(feature = "serde", serde(rename = "INT 0x80"))]
    Int80,
}

/// The mode of the CPU when it executes the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mode {
    /// 64-bit mode: EFER.LMA = 1, CS.L = 1.
    #[cfg_attr(feature = "serde", serde(rename = "64-bit"))]
    Long,
    /// Compatibility mode: 32-bit code under a 64-bit kernel, CS.L = 0.
    #[cfg_attr(feature = "serde", serde(rename = "compat"))]
    Compat,
    /// Legacy protected mode: EFER.LMA = 0.
    #[cfg_attr(feature = "serde", serde(rename = "legacy"))]
    Legacy,
}

/// A door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Door {
    /// The instruction.
    pub instruction: Instruction,
    /// The mode.
    pub mode: Mode,
}

/// All of them, 64-bit first.
pub const ALL: [Door; 9] = {
    use Instruction::{Int80, Syscall, Sysenter};
    use Mode::{Compat, Legacy, Long};
    const fn door(instruction: Instruction, mode: Mode) -> Door {
        Door { instruction, mode }
    }
    [
        door(Syscall, Long),
        door(Sysenter, Long),
        door(Int80, Long),
        door(Syscall, Compat),
        door(Sysenter, Compat),
        door(Int80, Compat),
        door(Syscall, Legacy),
        door(Sysenter, Legacy),
        door(Int80, Legacy),
    ]
};

impl Door {
    /// Whether the maker's CPUs have it, as the manuals say (Intel SDM vol. 2B,
    /// AMD APM vol. 3: "SYSCALL", "SYSENTER").
    pub fn is_made_by(self, maker: Maker) -> bool {
        match (self.instruction, self.mode) {
            (Instruction::Int80, _) | (Instruction::Syscall, Mode::Long) => true,
            (Instruction::Syscall, _) => maker == Maker::Amd,
            (Instruction::Sysenter, Mode::Legacy) => true,
            (Instruction::Sysenter, _) => maker == Maker::Intel,
        }
    }

    /// Its calls by the kernel's count: native, trapped. The CPU does not tell
    /// from which mode SYSENTER comes; the kernel has no part in legacy mode.
    pub fn calls(self, counters: &Counters) -> (u64, u64) {
        let c = counters;
        match (self.instruction, self.mode) {
            (_, Mode::Legacy) => (0, 0),
            (Instruction::Sysenter, _) => (c.sysenter_native, c.sysenter_trapped),
            (Instruction::Syscall, Mode::Long) => (c.syscall64_native, c.syscall64_trapped),
            (Instruction::Syscall, Mode::Compat) => {
                (c.syscall_compat_native, c.syscall_compat_trapped)
            }
            (Instruction::Int80, Mode::Long) => (c.int80_native, c.int80_trapped),
            (Instruction::Int80, Mode::Compat) => (c.int80_compat_native, c.int80_compat_trapped),
        }
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Instruction::Syscall => "SYSCALL",
            Instruction::Sysenter => "SYSENTER",
            Instruction::Int80 => "INT 0x80",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Long => "64-bit",
            Mode::Compat => "compat",
            Mode::Legacy => "legacy",
        })
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.instruction, self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_have_the_doors_of_their_manuals() {
        let had = |maker| ALL.map(|door| u8::from(door.is_made_by(maker)));
        // SYSCALL, SYSENTER, INT 0x80: 64-bit, compat, legacy.
        assert_eq!(had(Maker::Intel), [1, 1, 1, 0, 1, 1, 0, 1, 1]);
        assert_eq!(had(Maker::Amd), [1, 0, 1, 1, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn each_counter_belongs_to_its_door() {
        let counters = Counters {
            syscall64_native: 1,
            syscall_compat_trapped: 2,
            sysenter_native: 3,
            int80_native: 4,
            int80_compat_trapped: 5,
            ..Counters::default()
        };
        let calls = ALL.map(|door| door.calls(&counters));
        let expected = [(1, 0), (3, 0), (4, 0), (0, 2), (3, 0), (0, 5), (0, 0), (0, 0), (0, 0)];
        assert_eq!(calls, expected);
    }
}
