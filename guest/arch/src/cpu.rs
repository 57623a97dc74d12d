//! Single instructions that Rust has no words for.
#![allow(unsafe_code, reason = "inline assembly is the subject of this file")]

use core::arch::asm;

/// CR2: the address of the last page fault.
#[inline(always)]
pub fn fault_address() -> u64 {
    let address;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Forgets the TLB's entry for the page of `address`.
#[inline(always)]
pub fn invalidate_page(address: u64) {
    // SAFETY: INVLPG reads no memory, and forgetting a translation is safe.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Forgets all translations but global ones.
pub fn flush_tlb() {
    // SAFETY: loads CR3 with what it holds.
    unsafe {
        asm!("mov {tmp}, cr3", "mov cr3, {tmp}", tmp = out(reg) _,
             options(nostack, preserves_flags));
    }
}

/// Writes a model-specific register.
///
/// # Safety
/// The value must be one that this kernel can go on with.
#[inline(always)]
pub unsafe fn write_msr(msr: u32, value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}

/// Reads a model-specific register that this CPU has.
#[inline(always)]
pub fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading an MSR that exists changes nothing.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high,
             options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The time-stamp counter, not earlier than what stands before the call.
#[inline(always)]
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high,
             options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Leaves the VM: one OUT to `port`. What the VMM does to memory meanwhile,
/// the compiler must expect.
#[inline(always)]
pub fn out(port: u16) {
    // SAFETY: the port's only meaning is "there is a request", and the asm
    // block clobbers memory.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") 0, options(nostack, preserves_flags)) };
}

/// Ends this CPU's work for good.
pub fn halt() -> ! {
    loop {
        // SAFETY: waits with interrupts off.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Fills `words` 64-bit words with zero.
///
/// # Safety
/// `start` must be valid for writes of that many words.
#[inline(always)]
pub unsafe fn zero_words(start: *mut u64, words: usize) {
    // SAFETY: the caller vouches for the range. REP STOSQ and no loop: one
    // instruction to interpret where ring 0 is interpreted.
    unsafe {
        asm!("rep stosq", inout("rdi") start => _, inout("rcx") words => _, in("rax") 0u64,
             options(nostack, preserves_flags));
    }
}

/// `index`, or `BOUND` if it is not below that. CMOV and no branch: there is
/// nothing to mispredict into an access beyond the end (Spectre variant 1).
#[inline(always)]
pub fn clamp_index_nospec<const BOUND: u32>(index: u32) -> usize {
    let mut clamped = u64::from(index);
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!(
            "cmp {index:e}, {bound:e}",
            "cmovae {index:e}, {bound:e}",
            index = inout(reg) clamped,
            bound = in(reg) BOUND,
            options(pure, nomem, nostack),
        );
    }
    clamped as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nospec_keeps_good_indices_and_clamps_bad_ones() {
        for (index, expected) in [(0, 0), (4, 4), (5, 5), (6, 5), (u32::MAX, 5)] {
            assert_eq!(clamp_index_nospec::<5>(index), expected);
        }
    }

    #[test]
    fn zero_words_clears_exactly_its_range() {
        let mut words = [7u64; 5];
        // SAFETY: three words inside the array.
        unsafe { zero_words(words.as_mut_ptr().wrapping_add(1), 3) };
        assert_eq!(words, [7, 0, 0, 0, 7]);
    }
}
