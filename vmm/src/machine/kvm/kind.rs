//! What kind of KVM this host has.

use std::arch::x86_64::__cpuid;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

/// Who runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Kind {
    /// Intel's virtualisation: kvm_intel.
    Vmx,
    /// AMD's: kvm_amd.
    Svm,
    /// Neither: a KVM that interprets ring 0 and traps what ring 3 does.
    Software,
}

impl Kind {
    /// A software KVM's module, if that is the only one; else what this CPU
    /// offers its host: CPUID.1:ECX.VMX (Intel SDM vol. 3,
    /// 24.6), CPUID.8000_0001:ECX.SVM (AMD APM vol. 2, 15.4).
    ///
    /// Looked up once a process: in a virtual machine CPUID is an exit.
    pub fn of_this_host() -> Kind {
        static KIND: OnceLock<Kind> = OnceLock::new();
        *KIND.get_or_init(Kind::look)
    }

    fn look() -> Kind {
        let loaded = |module: &str| Path::new("/sys/module").join(module).exists();
        if loaded("kvm_pvm") && !loaded("kvm_intel") && !loaded("kvm_amd") {
            Kind::Software
        } else if __cpuid(1).ecx & 1 << 5 != 0 {
            Kind::Vmx
        } else if __cpuid(0x8000_0001).ecx & 1 << 2 != 0 {
            Kind::Svm
        } else {
            Kind::Software
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Vmx => "VMX (Intel)",
            Kind::Svm => "SVM (AMD)",
            Kind::Software => "software (no VMX or SVM)",
        })
    }
}
