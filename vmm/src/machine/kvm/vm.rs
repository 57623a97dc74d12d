//! A VM: its RAM, and its vCPU.
#![allow(unsafe_code, reason = "KVM_SET_USER_MEMORY_REGION takes an address")]

use super::access::{self, Found};
use super::cpuid::{self, Features};
use super::{Kind, Vcpu};
use crate::Error;
use crate::machine::image::MappedImage;
use crate::machine::memory::GuestRam;
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, Kvm, VmFd};
use std::io;
use std::sync::Arc;
use trapgate_abi::layout::Cpu;

/// The version of KVM's interface: the only one there has been since 2007.
pub const API_VERSION: i32 = 12;

/// Opens /dev/kvm.
///
/// # Errors
/// [`Error::NoKvm`] with what to do, [`Error::Unsupported`].
pub fn open() -> Result<Kvm, Error> {
    let failed = |source: io::Error| {
        if let Some(error) = Error::unless_few(&source, || "/dev/kvm".to_owned()) {
            return error;
        }
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

/// A VM.
pub struct Vm {
    /// What the guest's CPU can do.
    pub features: Features,
    /// What kind of KVM this is.
    pub kind: Kind,
    fd: VmFd,
    /// Kept for as long as the VM knows it.
    _ram: Arc<GuestRam>,
    /// The same.
    pub(in crate::machine) image: Option<Arc<MappedImage>>,
}

impl Vm {
    /// Makes a VM with `ram`, and with an image that it can read.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub fn new(
        kvm: &Kvm,
        ram: Arc<GuestRam>,
        image: Option<Arc<MappedImage>>,
    ) -> Result<Vm, Error> {
        let kind = Kind::of_this_host();
        let fd = retry(|| kvm.create_vm()).map_err(Error::kvm("KVM_CREATE_VM"))?;
        let read_only = image.iter().map(|image| (image.slot(), KVM_MEM_READONLY));
        let slots = ram.slots().map(|piece| (piece, 0)).chain(read_only);
        for (slot, (piece, flags)) in slots.enumerate() {
            let region = kvm_userspace_memory_region {
                slot: slot as u32,
                guest_phys_addr: piece.guest,
                memory_size: piece.size,
                userspace_addr: piece.host,
                flags,
            };
            // SAFETY: the region is the RAM's or the image's own mapping, and `Vm`
            // keeps both for as long as the VM.
            unsafe { fd.set_user_memory_region(region) }
                .map_err(Error::kvm("KVM_SET_USER_MEMORY_REGION"))?;
        }
        let features = cpuid::features(kvm, kind)?;
        Ok(Vm { features, kind, fd, _ram: ram, image })
    }

    /// Bytes that KVM reads for a vCPU's extended registers; 0 before Linux 5.17,
    /// which reads a `kvm_xsave`.
    pub(crate) fn xsave_size(&self) -> usize {
        usize::try_from(self.fd.check_extension_int(Cap::Xsave2)).unwrap_or(0)
    }

    /// Makes a vCPU.
    ///
    /// # Errors
    /// [`Error::Kvm`], if KVM refuses a call.
    pub(crate) fn vcpu(&self, cpu: Cpu) -> Result<Vcpu, Error> {
        let fd = self.fd.create_vcpu(cpu.number()).map_err(Error::kvm("KVM_CREATE_VCPU"))?;
        let vcpu = Vcpu::new(fd, cpu)?;
        vcpu.fd.set_cpuid2(&self.features.cpuid).map_err(Error::kvm("KVM_SET_CPUID2"))?;
        Ok(vcpu)
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
