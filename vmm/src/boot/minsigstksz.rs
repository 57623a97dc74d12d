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

use crate::machine::kvm::fpu::area_size;

/// What FXSAVE writes, in bytes: the state of a CPU without XSAVE.
const FXSAVE_AREA: u64 = 512;
/// The magic word behind an XSAVE area.
const MAGIC: u64 = 4;
/// The rest of a frame, padding included.
const REST: u64 = 63 + 112 + 15 + 736;

/// The size in bytes, with these states in XCR0; 0 stands for a CPU without
/// XSAVE.
pub(super) fn size(xcr0: u64) -> u64 {
    let state = match xcr0 {
        0 => FXSAVE_AREA,
        _ => area_size(xcr0) + MAGIC,
    };
    (state + REST).next_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::*;

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
