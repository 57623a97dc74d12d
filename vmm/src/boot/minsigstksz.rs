//! `AT_MINSIGSTKSZ`: how large a signal's frame can get on this CPU.
//!
//! Linux's `init_sigframe_size`, which takes the worst of all frames for every
//! program, whatever its width:
//!
//! ```text
//! up to 63 bytes, so that the next lies at a multiple of 64
//! XSAVE area                      as large as the states in XCR0 make it
//! 4 bytes: the magic word at its end
//! 112 bytes: the state as FSAVE has it, of 32-bit programs
//! up to 15 bytes, so that the next lies at a multiple of 16
//! 736 bytes: i386's struct sigframe, the largest of the structures
//! ```
//!
//! [`super::prepare`] calls it with the XCR0 that the program will have.

use std::arch::x86_64::__cpuid_count;

/// What FXSAVE writes, in bytes: the state of a CPU without XSAVE.
const FXSAVE_AREA: u64 = 512;
/// XSAVE's header behind that.
const XSAVE_HEADER: u64 = 64;
/// The magic word behind an XSAVE area.
const MAGIC: u64 = 4;
/// The rest of a frame, padding included.
const REST: u64 = 63 + 112 + 15 + 736;

/// The size in bytes, with these states in XCR0; 0 stands for a CPU without
/// XSAVE.
pub(super) fn size(xcr0: u64) -> u64 {
    let state = match xcr0 {
        0 => FXSAVE_AREA,
        _ => xsave_area(xcr0, state_component) + MAGIC,
    };
    (state + REST).next_multiple_of(16)
}

/// The XSAVE area in the standard format: up to the end of its last component.
/// `component` tells the size and the offset of each from number 2 on.
fn xsave_area(xcr0: u64, component: impl Fn(u32) -> (u64, u64)) -> u64 {
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
        assert_eq!(xsave_area(0x3, amd), 576);
        assert_eq!(xsave_area(0x7, amd), 832);
        assert_eq!(xsave_area(0xe7, amd), 2432);
        assert_eq!(xsave_area(0xe7, intel), 2688);
    }

    #[test]
    fn it_is_what_linux_says_on_a_cpu_without_xsave() {
        assert_eq!(size(0), 1440);
    }

    #[test]
    fn it_is_what_linux_says_here() {
        let linuxs = rustix::param::linux_minsigstksz() as u64;
        // Linux has it from 5.14 on.
        if linuxs != 0 {
            assert_eq!(size(crate::machine::kvm::cpuid::host_xcr0()), linuxs);
        }
    }
}
