//! Steps in ring 3 on a software KVM: there, the guest gets the #DB, and KVM
//! stops behind the first instruction of its stub. So the VMM takes the
//! exception back, as an IRETQ would (AMD APM vol. 3, "IRET").
//!
//! Called by [`super::Stepper`]. Only returns to Linux's own segments: in
//! others, steps are lost.

use super::tables::Tables;
use crate::Error;
use crate::machine::kvm::{Vcpu, initial};
use crate::machine::memory::GuestRam;
use kvm_bindings::kvm_regs;
use trapgate_abi::x86::{descriptor, rflags, selector};

/// Bytes of PUSH -1, the stub's first instruction.
const PUSH: u64 = 2;

/// Takes a #DB back, if it is there that the guest stopped, at or in its `stub`;
/// false if that cannot be done.
///
/// # Errors
/// [`Error::Kvm`], if KVM refuses a call.
pub(super) fn take_back(
    vcpu: &Vcpu,
    ram: &GuestRam,
    tables: Tables,
    stub: u64,
    regs: &mut kvm_regs,
) -> Result<bool, Error> {
    let frame = match regs.rip {
        rip if rip == stub => regs.rsp,
        rip if rip == stub + PUSH => regs.rsp.wrapping_add(8),
        _ => return Ok(true),
    };
    let popped: [Option<u64>; 5] = std::array::from_fn(|index| {
        let at = frame.wrapping_add(index as u64 * 8);
        tables.word(ram, at).map(|(_, word)| word)
    });
    let [Some(rip), Some(cs), Some(flags), Some(rsp), Some(ss)] = popped else { return Ok(false) };
    const LONG: u64 = selector::USER_CS as u64;
    const COMPAT: u64 = selector::USER32_CS as u64;
    let code = match cs {
        LONG => initial::segment(selector::USER_CS, descriptor::USER_CODE),
        COMPAT => initial::segment(selector::USER32_CS, descriptor::USER32_CODE),
        _ => return Ok(false),
    };
    if ss != u64::from(selector::USER_DS) {
        return Ok(false);
    }
    let mut sregs = vcpu.fd.get_sregs().map_err(Error::kvm("KVM_GET_SREGS"))?;
    sregs.cs = code;
    sregs.ss = initial::segment(selector::USER_DS, descriptor::USER_DATA);
    vcpu.fd.set_sregs(&sregs).map_err(Error::kvm("KVM_SET_SREGS"))?;
    (regs.rip, regs.rsp) = (rip, rsp);
    regs.rflags = (flags | rflags::FIXED) & !(rflags::RF | rflags::TF);
    super::set_regs(vcpu, regs)?;
    Ok(true)
}
