//! What the CPU says of itself, as the VMM lets it.

use core::arch::x86_64::__cpuid_count;

/// CPUID of a leaf and its part: eax, ebx, ecx, edx. All of it leaves the VM.
pub fn cpuid(leaf: u32, part: u32) -> [u32; 4] {
    let answer = __cpuid_count(leaf, part);
    [answer.eax, answer.ebx, answer.ecx, answer.edx]
}
