//! What the guest is told of its CPU: what KVM supports, less what the kernel
//! does not.
#![allow(unsafe_code, reason = "XGETBV")]

use crate::Error;
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::Kvm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use trapgate_abi::x86::cr4;

use super::{Kind, Vm};

/// XCR0 bits that a program may use: x87, SSE, AVX, and AVX-512's three.
/// (AMX wants a permission of its own, PKU a kernel that manages keys.)
const XCR0_USED: u64 = 0b1110_0111;

/// Protection keys: only where programs see that the host has enabled them.
const XCR0_PKRU: u64 = 1 << 9;

/// The guest's CPU.
pub struct Features {
    /// The leaves for `KVM_SET_CPUID2`.
    pub cpuid: CpuId,
    /// CR4 bits that depend on the CPU.
    pub cr4: u64,
    /// XCR0, 0 without XSAVE.
    pub xcr0: u64,
    /// CPUID.1:EDX, for `AT_HWCAP`.
    pub hwcap: u64,
}

/// Leaf 1, ECX.
mod leaf1 {
    pub(super) const MONITOR: u32 = 1 << 3;
    pub(super) const X2APIC: u32 = 1 << 21;
    pub(super) const TSC_DEADLINE: u32 = 1 << 24;
    pub(super) const XSAVE: u32 = 1 << 26;
    pub(super) const OSXSAVE: u32 = 1 << 27;
}

/// Leaf 7; a 1 after the register's name: subleaf 1.
mod leaf7 {
    pub(super) const EBX_FSGSBASE: u32 = 1 << 0;
    pub(super) const EBX_MPX: u32 = 1 << 14;
    pub(super) const EBX_SMEP: u32 = 1 << 7;
    pub(super) const EBX_SMAP: u32 = 1 << 20;
    pub(super) const ECX_UMIP: u32 = 1 << 2;
    pub(super) const ECX_PKU: u32 = 1 << 3;
    pub(super) const ECX_OSPKE: u32 = 1 << 4;
    pub(super) const ECX_SHSTK: u32 = 1 << 7;
    pub(super) const ECX_LA57: u32 = 1 << 16;
    pub(super) const EDX_UINTR: u32 = 1 << 5;
    pub(super) const EDX_IBT: u32 = 1 << 20;
    pub(super) const EAX1_AMX_FP16: u32 = 1 << 21;
    pub(super) const EDX1_AMX_COMPLEX: u32 = 1 << 8;
    pub(super) const EDX1_APX: u32 = 1 << 21;
    pub(super) const EDX_AMX: u32 = 1 << 22 | 1 << 24 | 1 << 25;
}

/// The features of a guest on this host.
///
/// # Errors
/// [`Error::Kvm`].
pub fn features(kvm: &Kvm, kind: Kind) -> Result<Features, Error> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(Error::kvm("KVM_GET_SUPPORTED_CPUID"))?;
    let (mut cr4, mut xcr0, mut hwcap) = (0, 0, 0);
    for entry in cpuid.as_mut_slice() {
        match (entry.function, entry.index) {
            (1, _) => {
                entry.ecx &= !(leaf1::MONITOR | leaf1::X2APIC | leaf1::TSC_DEADLINE);
                entry.ebx &= 0x00ff_ffff; // initial APIC ID: 0
                if entry.ecx & leaf1::XSAVE != 0 {
                    cr4 |= cr4::OSXSAVE;
                    entry.ecx |= leaf1::OSXSAVE;
                }
                hwcap = entry.edx.into();
            }
            (7, 0) => {
                for (bit, flag) in [
                    (leaf7::EBX_FSGSBASE, cr4::FSGSBASE),
                    (leaf7::EBX_SMEP, cr4::SMEP),
                    (leaf7::EBX_SMAP, cr4::SMAP),
                ] {
                    cr4 |= if entry.ebx & bit != 0 { flag } else { 0 };
                }
                cr4 |= if entry.ecx & leaf7::ECX_UMIP != 0 { cr4::UMIP } else { 0 };
                let refused =
                    leaf7::ECX_PKU | leaf7::ECX_OSPKE | leaf7::ECX_SHSTK | leaf7::ECX_LA57;
                entry.ebx &= !leaf7::EBX_MPX;
                entry.ecx &= !refused;
                entry.edx &= !(leaf7::EDX_UINTR | leaf7::EDX_IBT | leaf7::EDX_AMX);
            }
            (7, 1) => {
                entry.eax &= !leaf7::EAX1_AMX_FP16;
                entry.edx &= !(leaf7::EDX1_AMX_COMPLEX | leaf7::EDX1_APX);
            }
            // KVM's paravirtual features: the kernel uses none.
            (0x4000_0001, _) => entry.eax = 0,
            (0xb | 0x1f, _) => entry.edx = 0, // x2APIC ID
            (0xd, 0) => {
                xcr0 = (u64::from(entry.edx) << 32 | u64::from(entry.eax)) & XCR0_USED;
                entry.eax = xcr0 as u32;
                entry.edx = 0;
            }
            _ => {}
        }
    }
    if kind == Kind::Software {
        // Ring 3 executes CPUID and XGETBV on the CPU itself there, so what
        // programs see is the host's; XCR0 must be no less.
        cr4 |= cr4::OSXSAVE;
        hwcap = __cpuid_count(1, 0).edx.into();
        xcr0 = host_xcr0() & (XCR0_USED | XCR0_PKRU);
        add_xsave(&mut cpuid, xcr0);
    }
    if cr4 & cr4::OSXSAVE == 0 {
        xcr0 = 0;
    }
    Ok(Features { cpuid, cr4, xcr0, hwcap })
}

/// Whether the guest's ring 0 can use RDTSCP: CPUID.8000_0001:EDX, and no
/// interpreter, which does not know it.
pub fn ring0_has_rdtscp(vm: &Vm) -> bool {
    const RDTSCP: u32 = 1 << 27;
    let leaf = vm.features.cpuid.as_slice().iter().find(|entry| entry.function == 0x8000_0001);
    vm.kind != Kind::Software && leaf.is_some_and(|leaf| leaf.edx & RDTSCP != 0)
}

/// Whether the guest's ring 0 can use XSAVEOPT: CPUID.(EAX=0DH,ECX=1):EAX, and no
/// interpreter.
pub fn ring0_has_xsaveopt(vm: &Vm) -> bool {
    const XSAVEOPT: u32 = 1 << 0;
    let mut leaves = vm.features.cpuid.as_slice().iter();
    let leaf = leaves.find(|entry| (entry.function, entry.index) == (0xd, 1));
    vm.kind != Kind::Software && leaf.is_some_and(|leaf| leaf.eax & XSAVEOPT != 0)
}

/// XCR0 as the host's kernel has set it; 0 without XSAVE.
pub(crate) fn host_xcr0() -> u64 {
    #[target_feature(enable = "xsave")]
    fn read() -> u64 {
        // SAFETY: register 0 exists wherever XGETBV does.
        unsafe { _xgetbv(0) }
    }
    let enabled = __cpuid_count(1, 0).ecx & leaf1::OSXSAVE != 0;
    // SAFETY: OSXSAVE says that XGETBV exists and is enabled.
    if enabled { unsafe { read() } } else { 0 }
}

/// Adds XSAVE and the states of `xcr0` to leaves that do not have them, so
/// that KVM accepts the XCR0 which ring 3 will find.
fn add_xsave(cpuid: &mut CpuId, xcr0: u64) {
    let mut found = false;
    for entry in cpuid.as_mut_slice() {
        if entry.function == 1 {
            entry.ecx |= leaf1::XSAVE | leaf1::OSXSAVE;
        }
        if (entry.function, entry.index) == (0xd, 0) {
            entry.eax = xcr0 as u32;
            found = true;
        }
    }
    if !found {
        let host = __cpuid_count(0xd, 0);
        // A full list keeps the guest as it was: without XSAVE for ring 0.
        let _ = cpuid.push(kvm_bindings::kvm_cpuid_entry2 {
            function: 0xd,
            flags: kvm_bindings::KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            eax: xcr0 as u32,
            ebx: host.ebx,
            ecx: host.ecx,
            ..Default::default()
        });
    }
}
