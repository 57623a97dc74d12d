//! A vCPU's state as data: saved from one, loaded into another.
//!
//! [`super::initial`] makes the one that a kernel starts in. That of a CPU that
//! has run is good beside a copy of the RAM at the same moment; the program that
//! it runs then goes on as if nothing had been.
#![allow(unsafe_code, reason = "kvm-ioctls' KVM_SET_XSAVE, which may take longer states")]

use crate::Error;
use kvm_bindings::{
    Msrs, kvm_debugregs, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;
use trapgate_abi::x86::msr;

/// The state of a vCPU.
///
/// The state of waiting (`KVM_GET_MP_STATE`) is none of it: without an interrupt
/// controller in KVM, every vCPU is to be run.
#[derive(Debug)]
pub struct CpuState {
    /// General registers.
    pub regs: kvm_regs,
    /// Segments, tables and control registers.
    pub sregs: kvm_sregs,
    /// Model-specific registers: number, value.
    pub msrs: Vec<(u32, u64)>,
    /// XCR0; 0 for a CPU without XSAVE.
    pub xcr0: u64,
    /// What a CPU has besides that has run; `None` for one as after a reset.
    pub rest: Option<Box<Rest>>,
}

/// What is not otherwise than at a reset before a CPU has run.
#[derive(Debug)]
pub struct Rest {
    /// x87, SSE, AVX and what else XCR0 enables.
    pub xsave: kvm_xsave,
    /// Exceptions and interrupts under way.
    pub events: kvm_vcpu_events,
    /// Debug registers.
    pub debug: kvm_debugregs,
}

/// What of MSRs the kernel uses, or ring 3 sees. FS and GS are in `sregs`.
const SAVED: [u32; 9] = [
    msr::STAR,
    msr::LSTAR,
    msr::CSTAR,
    msr::SFMASK,
    msr::SYSENTER_CS,
    msr::SYSENTER_ESP,
    msr::SYSENTER_EIP,
    msr::KERNEL_GS_BASE,
    msr::TSC,
];

/// What some CPUs have.
const SAVED_IF_THERE: [u32; 2] = [msr::TSC_AUX, msr::SPEC_CTRL];

impl CpuState {
    /// Loads it into a vCPU that has the CPUID of the one that it is of. KVM's
    /// states of extended registers have `xsave_size` bytes (`KVM_CAP_XSAVE2`),
    /// or none is told.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call; [`Error::Unsupported`], if it does
    /// not have an MSR, or reads more than there is.
    pub(crate) fn load(&self, vcpu: &VcpuFd, xsave_size: usize) -> Result<(), Error> {
        if self.rest.is_some() && xsave_size > size_of::<kvm_xsave>() {
            let what = format!("wants {xsave_size} bytes of extended state");
            return Err(Error::Unsupported { what });
        }
        vcpu.set_sregs(&self.sregs).map_err(Error::kvm("KVM_SET_SREGS"))?;
        vcpu.set_regs(&self.regs).map_err(Error::kvm("KVM_SET_REGS"))?;
        let msrs = msr_list(self.msrs.iter().copied())?;
        let set = vcpu.set_msrs(&msrs).map_err(Error::kvm("KVM_SET_MSRS"))?;
        if let Some((refused, _)) = self.msrs.get(set) {
            return Err(Error::Unsupported { what: format!("refuses MSR {refused:#x}") });
        }
        if self.xcr0 != 0 {
            let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
            xcrs.xcrs[0].value = self.xcr0;
            vcpu.set_xcrs(&xcrs).map_err(Error::kvm("KVM_SET_XCRS"))?;
        }
        if let Some(rest) = &self.rest {
            // SAFETY: KVM reads no more than a `kvm_xsave`: it would where this
            // process, whoever's it is, has asked for longer states (AMX:
            // arch_prctl(2), ARCH_REQ_XCOMP_GUEST_PERM), and that was looked at.
            unsafe { vcpu.set_xsave(&rest.xsave) }.map_err(Error::kvm("KVM_SET_XSAVE"))?;
            vcpu.set_debug_regs(&rest.debug).map_err(Error::kvm("KVM_SET_DEBUGREGS"))?;
            vcpu.set_vcpu_events(&rest.events).map_err(Error::kvm("KVM_SET_VCPU_EVENTS"))?;
        }
        Ok(())
    }

    /// The state of a vCPU that is not in the guest, and has nothing of its last
    /// exit still to do ([`super::Vcpu::save`] sees to that).
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub(super) fn save(vcpu: &VcpuFd) -> Result<CpuState, Error> {
        let mut list = msr_list(SAVED.map(|index| (index, 0)).into_iter())?;
        let got = vcpu.get_msrs(&mut list).map_err(Error::kvm("KVM_GET_MSRS"))?;
        if let Some(refused) = SAVED.get(got) {
            return Err(Error::Unsupported { what: format!("refuses MSR {refused:#x}") });
        }
        let mut msrs: Vec<_> = list.as_slice().iter().map(|msr| (msr.index, msr.data)).collect();
        for index in SAVED_IF_THERE {
            let mut one = msr_list([(index, 0)].into_iter())?;
            if let Ok(1) = vcpu.get_msrs(&mut one) {
                msrs.extend(one.as_slice().iter().map(|msr| (msr.index, msr.data)));
            }
        }
        // Without XSAVE there is none.
        let xcr0 = vcpu.get_xcrs().map_or(0, |xcrs| xcrs.xcrs[0].value);
        Ok(CpuState {
            regs: vcpu.get_regs().map_err(Error::kvm("KVM_GET_REGS"))?,
            sregs: vcpu.get_sregs().map_err(Error::kvm("KVM_GET_SREGS"))?,
            msrs,
            xcr0,
            rest: Some(Box::new(Rest {
                xsave: vcpu.get_xsave().map_err(Error::kvm("KVM_GET_XSAVE"))?,
                events: vcpu.get_vcpu_events().map_err(Error::kvm("KVM_GET_VCPU_EVENTS"))?,
                debug: vcpu.get_debug_regs().map_err(Error::kvm("KVM_GET_DEBUGREGS"))?,
            })),
        })
    }
}

fn msr_list(msrs: impl Iterator<Item = (u32, u64)>) -> Result<Msrs, Error> {
    let entries: Vec<_> = msrs
        .map(|(index, data)| kvm_msr_entry { index, data, ..kvm_msr_entry::default() })
        .collect();
    Msrs::from_entries(&entries)
        .map_err(|_| Error::Unsupported { what: "takes no list of MSRs".to_owned() })
}
