//! A VM with one vCPU, ready to run.
#![allow(unsafe_code, reason = "KVM_SET_USER_MEMORY_REGION takes an address")]

use super::access::{self, Found};
use super::clock::Reading;
use super::cpuid::{self, Features};
use super::{Kind, Maker, state};
use crate::Error;
use crate::boot::Prepared;
use crate::machine::memory::GuestRam;
use kvm_bindings::{Msrs, kvm_userspace_memory_region, kvm_xcrs};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use std::io;
use std::sync::Arc;
use trapgate_abi::boot_info::ClockInfo;

/// The version of KVM's interface: the only one there has been since 2007.
pub const API_VERSION: i32 = 12;

/// Opens /dev/kvm.
///
/// # Errors
/// [`Error::NoKvm`] with what to do, [`Error::Unsupported`].
pub fn open() -> Result<Kvm, Error> {
    let failed = |source: io::Error| {
        let advice = access::advice(source.kind(), source.raw_os_error(), &Found::look());
        Error::NoKvm { source, advice }
    };
    let kvm = Kvm::new().map_err(|error| failed(io::Error::from_raw_os_error(error.errno())))?;
    match kvm.get_api_version() {
        API_VERSION => Ok(kvm),
        ..0 => Err(failed(io::Error::other("it is something else than KVM's device"))),
        version => Err(Error::Unsupported { what: format!("has API version {version}") }),
    }
}

/// A VM and its vCPU.
pub struct Vm {
    /// The vCPU.
    pub vcpu: VcpuFd,
    /// What the guest's CPU can do.
    pub features: Features,
    /// What kind of KVM this is.
    pub kind: Kind,
    /// Clocks when the vCPU was made.
    born: Reading,
    /// Kept for as long as the vCPU.
    _vm: VmFd,
    /// Kept for as long as the VM knows it.
    _ram: Arc<GuestRam>,
}

impl Vm {
    /// Makes a VM with `ram`.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub fn new(kvm: &Kvm, ram: Arc<GuestRam>) -> Result<Vm, Error> {
        let kind = Kind::of_this_host();
        let vm = retry(|| kvm.create_vm()).map_err(Error::kvm("KVM_CREATE_VM"))?;
        for (slot, piece) in ram.slots().enumerate() {
            let region = kvm_userspace_memory_region {
                slot: slot as u32,
                guest_phys_addr: piece.guest,
                memory_size: piece.size,
                userspace_addr: piece.host,
                flags: 0,
            };
            // SAFETY: the region is this RAM's own mapping, and `Vm` keeps the
            // RAM for as long as the VM.
            unsafe { vm.set_user_memory_region(region) }
                .map_err(Error::kvm("KVM_SET_USER_MEMORY_REGION"))?;
        }
        let vcpu = vm.create_vcpu(0).map_err(Error::kvm("KVM_CREATE_VCPU"))?;
        let born = Reading::of(&vcpu)?;
        let features = cpuid::features(kvm, kind)?;
        vcpu.set_cpuid2(&features.cpuid).map_err(Error::kvm("KVM_SET_CPUID2"))?;
        Ok(Vm { vcpu, features, kind, born, _vm: vm, _ram: ram })
    }

    /// Sets the state that the kernel starts in.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub fn set_initial_state(&mut self, prepared: &Prepared) -> Result<(), Error> {
        let Vm { vcpu, features, kind, .. } = self;
        let reset = vcpu.get_sregs().map_err(Error::kvm("KVM_GET_SREGS"))?;
        let sregs =
            state::sregs(reset, features, &prepared.kernel.note, prepared.page_table, *kind);
        vcpu.set_sregs(&sregs).map_err(Error::kvm("KVM_SET_SREGS"))?;
        vcpu.set_regs(&state::regs(&prepared.kernel)).map_err(Error::kvm("KVM_SET_REGS"))?;
        let entries = state::msrs(&prepared.kernel, Maker::of_this_cpu());
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
    /// whether the counter has run with time since the VM was made.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub fn clock(&self) -> Result<(ClockInfo, bool), Error> {
        let khz = self.vcpu.get_tsc_khz().map_err(Error::kvm("KVM_GET_TSC_KHZ"))?;
        let now = Reading::of(&self.vcpu)?;
        Ok((now.info(khz), now.ran_with_time(&self.born, khz)))
    }
}

/// Repeats a call that a signal interrupted.
fn retry<T>(
    mut call: impl FnMut() -> Result<T, kvm_ioctls::Error>,
) -> Result<T, kvm_ioctls::Error> {
    loop {
        match call() {
            Err(error) if error.errno() == libc::EINTR => {}
            result => return result,
        }
    }
}
