//! Who made this CPU: that decides which doors it has.

use std::arch::x86_64::__cpuid;
use std::fmt;
use std::sync::OnceLock;

/// The two families of makers, as far as their doors differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Maker {
    /// Intel, Centaur and Zhaoxin: SYSENTER in long mode, and no SYSCALL in
    /// compatibility mode.
    Intel,
    /// AMD and Hygon: SYSCALL in compatibility mode, and no SYSENTER in long
    /// mode.
    Amd,
}

impl Maker {
    /// By CPUID leaf 0, looked up once a process: in a virtual machine CPUID is an
    /// exit.
    pub fn of_this_cpu() -> Maker {
        static MAKER: OnceLock<Maker> = OnceLock::new();
        *MAKER.get_or_init(Maker::look)
    }

    fn look() -> Maker {
        let leaf = __cpuid(0);
        let mut name = [0; 12];
        for (part, register) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
            part.copy_from_slice(&register.to_le_bytes());
        }
        Maker::named(&name)
    }

    fn named(name: &[u8; 12]) -> Maker {
        match name {
            b"AuthenticAMD" | b"HygonGenuine" => Maker::Amd,
            _ => Maker::Intel,
        }
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Maker::Intel => "Intel",
            Maker::Amd => "AMD",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_are_known_by_their_names() {
        for (name, maker) in [
            (b"GenuineIntel", Maker::Intel),
            (b"CentaurHauls", Maker::Intel),
            (b"AuthenticAMD", Maker::Amd),
            (b"HygonGenuine", Maker::Amd),
        ] {
            assert_eq!(Maker::named(name), maker);
        }
    }
}
