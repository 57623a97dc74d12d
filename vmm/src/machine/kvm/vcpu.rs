//! A vCPU: made by `Vm::vcpu`, entered by the loop (`machine::run`).

use super::CpuState;
use super::clock::Reading;
use crate::Error;
use crate::machine::exit::{self, Exit};
use crate::report;
use kvm_ioctls::VcpuFd;
use trapgate_abi::PtRegs;
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

    /// Its state. What the guest's last exit asked for has been done, and the
    /// guest does not go on before a further run.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub(crate) fn save(&mut self) -> Result<CpuState, Error> {
        // The instruction of an exit is over only when KVM is entered again (KVM
        // API, "immediate_exit").
        self.fd.set_kvm_immediate_exit(1);
        let exit = exit::of(self.fd.run());
        self.fd.set_kvm_immediate_exit(0);
        match exit? {
            Exit::Interrupted => CpuState::save(&self.fd),
            _ => Err(Error::Unsupported { what: "ignores immediate_exit".to_owned() }),
        }
    }

    /// The program's registers, if it is in ring 3 and KVM tells.
    pub(crate) fn program_registers(&self) -> Option<PtRegs> {
        let (regs, sregs) = (self.fd.get_regs().ok()?, self.fd.get_sregs().ok()?);
        (sregs.cs.dpl == 3).then(|| report::pt_regs(&regs, &sregs))
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
