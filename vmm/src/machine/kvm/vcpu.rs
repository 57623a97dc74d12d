//! A vCPU: made by [`Vm::vcpu`], entered by the loop (`machine::run`).

use super::clock::Reading;
use super::{Entry, Maker, Vm, state};
use crate::Error;
use kvm_bindings::{Msrs, kvm_xcrs};
use kvm_ioctls::VcpuFd;
use trapgate_abi::boot_info::ClockInfo;
use trapgate_abi::layout::Cpu;

/// A vCPU.
pub struct Vcpu {
    /// KVM's.
    pub(crate) fd: VcpuFd,
    /// Which it is for the guest.
    pub(crate) cpu: Cpu,
    /// Clocks when it was made.
    born: Reading,
}

impl Vcpu {
    pub(super) fn new(fd: VcpuFd, cpu: Cpu) -> Result<Vcpu, Error> {
        let born = Reading::of(&fd)?;
        Ok(Vcpu { fd, cpu, born })
    }

    /// Sets the state that the kernel starts in.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub(crate) fn set_initial_state(&mut self, vm: &Vm, entry: &Entry) -> Result<(), Error> {
        let (vcpu, features) = (&self.fd, &vm.features);
        let reset = vcpu.get_sregs().map_err(Error::kvm("KVM_GET_SREGS"))?;
        let sregs = state::sregs(reset, features, entry, vm.kind);
        vcpu.set_sregs(&sregs).map_err(Error::kvm("KVM_SET_SREGS"))?;
        vcpu.set_regs(&state::regs(entry)).map_err(Error::kvm("KVM_SET_REGS"))?;
        let entries = state::msrs(entry, Maker::of_this_cpu());
        let msrs = Msrs::from_entries(&entries)
            .map_err(|_| Error::Unsupported { what: "takes no list of MSRs".to_owned() })?;
        let set = vcpu.set_msrs(&msrs).map_err(Error::kvm("KVM_SET_MSRS"))?;
        if let Some(refused) = entries.get(set) {
            return Err(Error::Unsupported { what: format!("refuses MSR {:#x}", refused.index) });
        }
        if features.xcr0 != 0 {
            let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
            xcrs.xcrs[0].value = features.xcr0;
            vcpu.set_xcrs(&xcrs).map_err(Error::kvm("KVM_SET_XCRS"))?;
        }
        Ok(())
    }

    /// The host's clocks and the guest's time-stamp counter at one moment; and
    /// whether the counter has run with time since the vCPU was made.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub(crate) fn clock(&self) -> Result<(ClockInfo, bool), Error> {
        let khz = self.fd.get_tsc_khz().map_err(Error::kvm("KVM_GET_TSC_KHZ"))?;
        let now = Reading::of(&self.fd)?;
        Ok((now.info(khz), now.ran_with_time(&self.born, khz)))
    }
}
