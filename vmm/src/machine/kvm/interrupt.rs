//! Interrupting a guest: the one vector that its kernel knows, when it takes
//! interrupts. There is no interrupt controller, neither here nor in KVM.
#![allow(unsafe_code, reason = "KVM_INTERRUPT, which kvm-ioctls does not have")]

use super::Vcpu;
use crate::Error;
use kvm_bindings::{KVMIO, kvm_interrupt};
use std::io;
use std::os::fd::AsRawFd;
use trapgate_abi::x86::vector;

/// _IOW(KVMIO, 0x86, struct kvm_interrupt), KVM API 4.12.
const KVM_INTERRUPT: u64 =
    1 << 30 | (size_of::<kvm_interrupt>() as u64) << 16 | (KVMIO as u64) << 8 | 0x86;

impl Vcpu {
    /// Interrupts the guest at its next instruction, if it takes interrupts there.
    /// False: it does not, and KVM leaves it as soon as it does.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses the call.
    pub(crate) fn interrupt(&mut self) -> Result<bool, Error> {
        let is_ready = self.fd.get_kvm_run().ready_for_interrupt_injection != 0;
        if is_ready {
            self.inject(vector::EVENT)?;
        }
        self.fd.get_kvm_run().request_interrupt_window = (!is_ready).into();
        Ok(is_ready)
    }

    /// Does not ask KVM any more to leave the guest when it takes interrupts.
    pub(crate) fn close_window(&mut self) {
        self.fd.get_kvm_run().request_interrupt_window = 0;
    }

    fn inject(&self, number: u8) -> Result<(), Error> {
        let interrupt = kvm_interrupt { irq: number.into() };
        // SAFETY: the structure outlives the call, which only reads it.
        let done =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), KVM_INTERRUPT as _, &raw const interrupt) };
        match io::Error::last_os_error() {
            _ if done == 0 => Ok(()),
            // The one before is still on its way, and says the same.
            error if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            error => Err(Error::host("KVM_INTERRUPT")(error)),
        }
    }
}
