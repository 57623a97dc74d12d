//! x87 and vector registers: how large the areas are that hold them, and their
//! exchange for a guest whose ring 0 is interpreted (`Request::SwapFpu`).
//!
//! The registers of ring 3 are in KVM's hands while the guest waits for a reply.
#![allow(unsafe_code, reason = "kvm-ioctls' KVM_SET_XSAVE, which may take longer states")]

use super::Vm;
use crate::machine::memory::GuestRam;
use kvm_bindings::kvm_xsave;
use kvm_ioctls::VcpuFd;
use std::arch::x86_64::__cpuid_count;
use trapgate_abi::hypercall::Segment;
use trapgate_uapi::Errno;

/// What FXSAVE writes, in bytes: all there is of a CPU without XSAVE.
const FXSAVE_AREA: u64 = 512;
/// XSAVE's header behind that.
const XSAVE_HEADER: u64 = 64;
/// Words of KVM's structure, and where the header is in it (Intel SDM vol. 1, 13.4).
const WORDS: usize = size_of::<kvm_xsave>() / 4;
const XSTATE_BV: usize = FXSAVE_AREA as usize / 4;
const XCOMP_BV: usize = XSTATE_BV + 2;
const COMPONENTS: usize = (FXSAVE_AREA + XSAVE_HEADER) as usize / 4;
/// MXCSR, and the bits of it that every CPU of 64 bits has.
const MXCSR: usize = 24 / 4;
const MXCSR_BITS: u32 = 0xffff;
/// x87 and SSE: what there is without XSAVE.
const LEGACY: u64 = 0b11;

/// Bytes of an area with the states of `xcr0`, 0 for a CPU without XSAVE, in the
/// standard format: up to the end of its last component.
pub fn area_size(xcr0: u64) -> u64 {
    end_of_components(xcr0, state_component)
}

/// `component` tells the size and the offset of each from number 2 on.
fn end_of_components(xcr0: u64, component: impl Fn(u32) -> (u64, u64)) -> u64 {
    let ends = (2..63).filter(|number| xcr0 & 1 << number != 0).map(|number| {
        let (size, offset) = component(number);
        offset + size
    });
    ends.fold(FXSAVE_AREA + XSAVE_HEADER, u64::max)
}

/// CPUID leaf 0xD: the same for every guest on this CPU.
fn state_component(number: u32) -> (u64, u64) {
    let leaf = __cpuid_count(0xd, number);
    (leaf.eax.into(), leaf.ebx.into())
}

/// Saves ring 3's registers in the area at `from`, unless that is 0, and loads them
/// from the one at `to`. If that is the same, they stay. States that the guest's XCR0 does
/// not have stay as they are.
///
/// # Errors
/// EFAULT for an area that is not in RAM, EINVAL for a state that is none of the
/// guest's, ENOSYS where KVM has longer states; then nothing was loaded.
pub(crate) fn swap(
    vcpu: &VcpuFd,
    vm: &Vm,
    ram: &GuestRam,
    [from, to]: [u64; 2],
) -> Result<u64, Errno> {
    let states = match vm.features.xcr0 {
        0 => LEGACY,
        xcr0 => xcr0,
    };
    let length = area_size(vm.features.xcr0);
    if vm.xsave_size() > size_of::<kvm_xsave>() || length > size_of::<kvm_xsave>() as u64 {
        return Err(Errno::ENOSYS);
    }
    for area in [from, to].into_iter().filter(|&area| area != 0 || area == to) {
        ram.check(Segment { address: area, length }).map_err(|_| Errno::EFAULT)?;
    }
    let errno = |error: kvm_ioctls::Error| Errno::new(error.errno() as u16).unwrap_or(Errno::EIO);
    let mut new = [0; size_of::<kvm_xsave>()];
    ram.read(to, &mut new[..length as usize]).map_err(|_| Errno::EFAULT)?;
    let mut registers = vcpu.get_xsave().map_err(errno)?;
    let old = words(&registers.region, states, length);
    if from == to {
        return ram.write(from, &old).map(|()| 0).map_err(|_| Errno::EFAULT);
    }
    merge(&mut registers.region, &new, states, length)?;
    if from != 0 {
        ram.write(from, &old).map_err(|_| Errno::EFAULT)?;
    }
    // SAFETY: KVM reads no more than a `kvm_xsave`: it would where this process has
    // asked for longer states, and that was looked at.
    unsafe { vcpu.set_xsave(&registers) }.map_err(errno)?;
    Ok(0)
}

/// An area as the guest may have it: of these states only.
fn words(region: &[u32; WORDS], states: u64, length: u64) -> Vec<u8> {
    let mut region = *region;
    let held = present(&region) & states;
    region[XSTATE_BV..COMPONENTS].fill(0);
    region[XSTATE_BV] = held as u32;
    region[XSTATE_BV + 1] = (held >> 32) as u32;
    region.iter().flat_map(|word| word.to_le_bytes()).take(length as usize).collect()
}

fn present(region: &[u32; WORDS]) -> u64 {
    u64::from(region[XSTATE_BV]) | u64::from(region[XSTATE_BV + 1]) << 32
}

/// Puts the guest's area, a claim, over KVM's: `states` are the guest's.
fn merge(
    region: &mut [u32; WORDS],
    area: &[u8; 4 * WORDS],
    states: u64,
    length: u64,
) -> Result<(), Errno> {
    let word = |index: usize| u32::from_le_bytes(std::array::from_fn(|i| area[4 * index + i]));
    let new: [u32; WORDS] = std::array::from_fn(word);
    let held = present(&new);
    let odd = held & !states != 0
        || new[XCOMP_BV..COMPONENTS].iter().any(|&word| word != 0)
        || new[MXCSR] & !MXCSR_BITS != 0;
    if odd {
        return Err(Errno::EINVAL);
    }
    let kept = present(region) & !states | held;
    let end = length as usize / 4;
    region[..XSTATE_BV].copy_from_slice(&new[..XSTATE_BV]);
    region[COMPONENTS..end].copy_from_slice(&new[COMPONENTS..end]);
    region[XSTATE_BV] = kept as u32;
    region[XSTATE_BV + 1] = (kept >> 32) as u32;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an AMD CPU with AVX-512, and of Intel's, where MPX left a gap.
    fn amd(number: u32) -> (u64, u64) {
        match number {
            2 => (256, 576),
            5 => (64, 832),
            6 => (512, 896),
            _ => (1024, 1408),
        }
    }

    fn intel(number: u32) -> (u64, u64) {
        match number {
            2 => (256, 576),
            5 => (64, 1088),
            6 => (512, 1152),
            _ => (1024, 1664),
        }
    }

    #[test]
    fn the_area_ends_with_the_last_component_that_is_on() {
        assert_eq!(end_of_components(0, amd), 576);
        assert_eq!(end_of_components(0x3, amd), 576);
        assert_eq!(end_of_components(0x7, amd), 832);
        assert_eq!(end_of_components(0xe7, amd), 2432);
        assert_eq!(end_of_components(0xe7, intel), 2688);
    }

    const AVX: u64 = 0b111;
    const LENGTH: u64 = 832;

    /// An area in which each word is its number, with this header and MXCSR.
    fn area(xstate_bv: u64, mxcsr: u32) -> [u8; 4 * WORDS] {
        let mut words: [u32; WORDS] = std::array::from_fn(|index| index as u32);
        words[XSTATE_BV..COMPONENTS].fill(0);
        words[XSTATE_BV] = xstate_bv as u32;
        words[XSTATE_BV + 1] = (xstate_bv >> 32) as u32;
        words[MXCSR] = mxcsr;
        let bytes = words.map(u32::to_le_bytes);
        *bytes.as_flattened().first_chunk().expect("it is as long")
    }

    #[test]
    fn what_the_guest_loads_replaces_its_states_and_no_other() {
        let protection_keys = 1 << 9;
        let mut region = [7; WORDS];
        region[XSTATE_BV] = (AVX | protection_keys) as u32;
        region[XSTATE_BV + 1..COMPONENTS].fill(0);
        merge(&mut region, &area(0b101, 0x1f80), AVX, LENGTH).expect("it is a state");
        assert_eq!(present(&region), 0b101 | protection_keys);
        assert_eq!((region[0], region[MXCSR], region[XSTATE_BV - 1]), (0, 0x1f80, 127));
        assert_eq!((region[COMPONENTS], region[207], region[208]), (144, 207, 7));
    }

    #[test]
    fn what_the_guest_saves_has_its_states_and_no_other() {
        let mut region = [7; WORDS];
        region[XSTATE_BV] = 0x207;
        let saved = words(&region, AVX, LENGTH);
        assert_eq!(saved.len(), 832);
        assert_eq!(saved[512..520], AVX.to_le_bytes());
        assert!(saved[520..576].iter().all(|&byte| byte == 0));
        assert_eq!(saved[828..], 7u32.to_le_bytes());
    }

    #[test]
    fn what_a_cpu_would_refuse_is_refused() {
        let refused = |area: &[u8; 4 * WORDS]| {
            let mut region = [7; WORDS];
            let result = merge(&mut region, area, AVX, LENGTH);
            assert_eq!(region, [7; WORDS]);
            result == Err(Errno::EINVAL)
        };
        assert!(refused(&area(0b1000, 0x1f80)), "a state that the guest does not have");
        assert!(refused(&area(1 << 63, 0x1f80)), "a state that nobody has");
        assert!(refused(&area(AVX, 0x1_1f80)), "a bit of MXCSR that is not there");
        for byte in [520, 527, 528, 575] {
            let mut area = area(AVX, 0x1f80);
            area[byte] = 0x80;
            assert!(refused(&area), "byte {byte} of the header");
        }
    }
}
