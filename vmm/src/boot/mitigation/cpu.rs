//! Whether a guest's CPU has what a step needs.

use super::Step;
use crate::Error;
use crate::machine::kvm::{Kind, cpuid, vm};
use kvm_bindings::CpuId;
use trapgate_abi::mitigation::keep;

/// What of a guest's CPU the steps depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestCpu {
    /// By AMD or Hygon: CPUID leaf 0.
    pub amd: bool,
    /// Family, the extended one added (AMD APM vol. 3, "CPUID", 0000_0001).
    pub family: u32,
    /// There is IA32_SPEC_CTRL.IBRS: CPUID.7:EDX bit 26, or AMD's
    /// CPUID.8000_0008:EBX bit 14.
    pub spec_ctrl: bool,
    /// VERW clears buffers: CPUID.7:EDX bit 10 (`MD_CLEAR`), or AMD's
    /// CPUID.8000_0021:EAX bit 5 (`VERW_CLEAR`).
    pub verw_clears: bool,
    /// Ring 0 is interpreted by a software KVM.
    pub interpreted: bool,
}

/// A step that a CPU cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mitigation step '{}' cannot be on: {why}", .step.name())]
pub struct Unavailable {
    /// The step.
    pub step: Step,
    /// Why.
    pub why: String,
}

impl GuestCpu {
    /// The CPU of a guest on this host.
    ///
    /// # Errors
    /// If there is no KVM that can be asked.
    pub fn of_this_host() -> Result<GuestCpu, Error> {
        let kind = Kind::of_this_host();
        let features = cpuid::features(&vm::open()?, kind)?;
        Ok(GuestCpu::new(&features.cpuid, kind))
    }

    /// The CPU that these leaves describe.
    pub(crate) fn new(leaves: &CpuId, kind: Kind) -> GuestCpu {
        let leaf = |function: u32| {
            let entry = leaves.as_slice().iter().find(|entry| entry.function == function);
            entry.map_or([0; 4], |entry| [entry.eax, entry.ebx, entry.ecx, entry.edx])
        };
        let [_, ebx, ecx, edx] = leaf(0);
        let maker = [ebx, edx, ecx].map(u32::to_le_bytes);
        let signature = leaf(1)[0];
        let (family, extended) = (signature >> 8 & 0xf, signature >> 20 & 0xff);
        GuestCpu {
            amd: matches!(maker.as_flattened(), b"AuthenticAMD" | b"HygonGenuine"),
            family: if family == 15 { family + extended } else { family },
            spec_ctrl: leaf(7)[3] & 1 << 26 != 0 || leaf(0x8000_0008)[1] & 1 << 14 != 0,
            verw_clears: leaf(7)[3] & 1 << 10 != 0 || leaf(0x8000_0021)[0] & 1 << 5 != 0,
            interpreted: kind == Kind::Software,
        }
    }

    /// The form of [`Step::Untrain`] for this family: that of Zen 1 and 2
    /// (17h; Hygon's is 18h), or that of Zen 3 and later (19h).
    pub(crate) fn untrain(&self) -> Option<u64> {
        match (self.amd, self.family) {
            (true, 0x17 | 0x18) => Some(keep::UNTRAIN_ZEN2),
            (true, 0x19..) => Some(keep::UNTRAIN_ZEN4),
            _ => None,
        }
    }

    /// Whether this CPU has what the step needs.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason.
    pub fn check(&self, step: Step) -> Result<(), Unavailable> {
        let why = match step {
            Step::Ibrs if !self.spec_ctrl => "the guest's CPU has no IA32_SPEC_CTRL",
            Step::Untrain if self.untrain().is_none() => {
                "it is for AMD CPUs of family 17h (Zen) and later"
            }
            Step::Verw if self.interpreted => "this KVM interprets ring 0, and does not know VERW",
            Step::Verw if !self.verw_clears => "VERW clears no buffers on the guest's CPU",
            _ => return Ok(()),
        };
        Err(Unavailable { step, why: why.to_owned() })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use kvm_bindings::kvm_cpuid_entry2;

    pub(in crate::boot::mitigation) fn zen2() -> GuestCpu {
        GuestCpu {
            amd: true,
            family: 0x17,
            spec_ctrl: true,
            verw_clears: false,
            interpreted: false,
        }
    }

    fn leaves(maker: &[u8; 12], signature: u32, edx7: u32) -> CpuId {
        let word = |at: usize| u32::from_le_bytes(maker[at..at + 4].try_into().unwrap());
        let zero = kvm_cpuid_entry2::default();
        let entries = [
            kvm_cpuid_entry2 { function: 0, ebx: word(0), edx: word(4), ecx: word(8), ..zero },
            kvm_cpuid_entry2 { function: 1, eax: signature, ..zero },
            kvm_cpuid_entry2 { function: 7, edx: edx7, ..zero },
        ];
        CpuId::from_entries(&entries).unwrap()
    }

    #[test]
    fn families_and_features_are_read_as_the_manuals_say() {
        // EPYC 7B12: family 17h, model 31h.
        let rome = GuestCpu::new(&leaves(b"AuthenticAMD", 0x0083_0f10, 0), Kind::Svm);
        assert_eq!((rome.amd, rome.family, rome.spec_ctrl), (true, 0x17, false));
        // Xeon, Skylake: family 6.
        let skylake = GuestCpu::new(&leaves(b"GenuineIntel", 0x0005_0654, 1 << 26), Kind::Vmx);
        assert_eq!((skylake.amd, skylake.family, skylake.spec_ctrl), (false, 6, true));
        assert!(!skylake.verw_clears);
    }

    #[test]
    fn untraining_is_for_amd_and_takes_the_familys_form() {
        let form = |family| GuestCpu { family, ..zen2() }.untrain();
        assert_eq!(form(0x16), None);
        assert_eq!([form(0x17), form(0x18)], [Some(keep::UNTRAIN_ZEN2); 2]);
        assert_eq!([form(0x19), form(0x1a)], [Some(keep::UNTRAIN_ZEN4); 2]);
        let intel = GuestCpu { amd: false, family: 0x19, ..zen2() };
        assert!(intel.check(Step::Untrain).is_err());
    }

    #[test]
    fn what_needs_nothing_of_the_cpu_is_always_there() {
        let bare = GuestCpu {
            amd: false,
            family: 6,
            spec_ctrl: false,
            verw_clears: false,
            interpreted: true,
        };
        let there = Step::ALL.into_iter().filter(|step| bare.check(*step).is_ok());
        let expected =
            [Step::Pti, Step::BhiClear, Step::KstackOffset, Step::Retpoline, Step::SwapgsFence];
        assert!(there.eq(expected));
        let mut clears = GuestCpu { verw_clears: true, ..bare };
        assert!(clears.check(Step::Verw).is_err(), "it is interpreted");
        clears.interpreted = false;
        assert!(clears.check(Step::Verw).is_ok());
    }
}
