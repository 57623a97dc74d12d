//! The doors: an instruction in a CPU mode. Which there are, which a maker's
//! CPUs have, and the ways they can arrive.
//!
//! Pure: [`crate::doctor`] tries them, [`crate::sandbox::stats`] counts them.

use crate::machine::kvm::Maker;
use serde::{Deserialize, Serialize};
use std::fmt;
use trapgate_abi::counters::Counters;

/// An instruction that enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Instruction {
    /// SYSCALL, SYSRET's partner.
    #[serde(rename = "SYSCALL")]
    Syscall,
    /// SYSENTER.
    #[serde(rename = "SYSENTER")]
    Sysenter,
    /// INT 0x80, IRET's partner.
    #[serde(rename = "INT 0x80")]
    Int80,
}

/// The mode of the CPU when it executes the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Mode {
    /// 64-bit mode: EFER.LMA = 1, CS.L = 1.
    #[serde(rename = "64-bit")]
    Long,
    /// Compatibility mode: 32-bit code under a 64-bit kernel, CS.L = 0.
    #[serde(rename = "compat")]
    Compat,
    /// Legacy protected mode: EFER.LMA = 0.
    #[serde(rename = "legacy")]
    Legacy,
}

/// A door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// How a door's instruction arrives on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", tag = "how")]
pub enum Delivery {
    /// The CPU itself reached the entry point in ring 0.
    Native,
    /// It raised an exception instead, and the kernel carried the call out.
    Trapped {
        /// Which exception.
        why: String,
    },
    /// There is no such door here: the program gets the signal that Linux would
    /// give it.
    Absent {
        /// Who says so.
        why: String,
    },
    /// It should be there, and calls through it cannot be made.
    Failed {
        /// What happened instead.
        why: String,
    },
}

impl Delivery {
    /// One word: `native`, `trapped`, `absent`, `failed`.
    pub fn word(&self) -> &'static str {
        match self {
            Delivery::Native => "native",
            Delivery::Trapped { .. } => "trapped",
            Delivery::Absent { .. } => "absent",
            Delivery::Failed { .. } => "failed",
        }
    }

    /// The reason, if it needs one.
    pub fn why(&self) -> Option<&str> {
        match self {
            Delivery::Native => None,
            Delivery::Trapped { why } | Delivery::Absent { why } | Delivery::Failed { why } => {
                Some(why)
            }
        }
    }

    /// Whether the architecture promises something else: a door that the maker
    /// has and this KVM does not deliver as the CPU would, or the reverse.
    pub fn is_unexpected(&self, door: Door, maker: Maker) -> bool {
        match self {
            Delivery::Native => !door.is_made_by(maker),
            Delivery::Absent { .. } => door.is_made_by(maker),
            Delivery::Trapped { .. } | Delivery::Failed { .. } => true,
        }
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
    fn what_differs_from_the_manual_is_unexpected() {
        let [syscall_compat, int80] = [ALL[3], ALL[2]];
        let trapped = Delivery::Trapped { why: "#UD".to_owned() };
        let absent = Delivery::Absent { why: "SIGILL".to_owned() };
        assert!(!Delivery::Native.is_unexpected(int80, Maker::Intel));
        assert!(trapped.is_unexpected(int80, Maker::Amd));
        assert!(!absent.is_unexpected(syscall_compat, Maker::Intel));
        assert!(absent.is_unexpected(syscall_compat, Maker::Amd));
        assert!(Delivery::Native.is_unexpected(syscall_compat, Maker::Intel));
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
