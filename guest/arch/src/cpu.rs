//! Single instructions that Rust has no words for: here those that any ring may
//! use, in `ring0` those that only ring 0 may, in whose place the host has
//! `fake`'s.
#![allow(unsafe_code, reason = "inline assembly is the subject of this file")]

#[cfg(target_os = "none")]
mod ring0;

#[cfg(not(target_os = "none"))]
pub use crate::fake::cpu::*;
#[cfg(target_os = "none")]
pub use ring0::*;

use core::arch::asm;

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

/// Copies `words` 64-bit words.
///
/// # Safety
/// `from` must be valid for reads and `to` for writes of that many words, and
/// they must not overlap.
#[inline(always)]
pub unsafe fn copy_words(to: *mut u64, from: *const u64, words: usize) {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear.
    unsafe {
        asm!("rep movsq", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") words => _,
             options(nostack, preserves_flags));
    }
}

/// Copies bytes.
///
/// # Safety
/// As for [`copy_words`], of bytes.
#[inline(always)]
pub unsafe fn copy_bytes(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear.
    unsafe {
        asm!("rep movsq", "mov rcx, {tail}", "rep movsb", tail = in(reg) length & 7,
             inout("rdi") to => _, inout("rsi") from => _, inout("rcx") length >> 3 => _,
             options(nostack, preserves_flags));
    }
}

/// Fills bytes with zero.
///
/// # Safety
/// `start` must be valid for writes of that many bytes.
#[inline(always)]
pub unsafe fn zero_bytes(start: *mut u8, length: usize) {
    // SAFETY: the caller vouches for the range; the direction flag is clear.
    unsafe {
        asm!("rep stosq", "mov rcx, {tail}", "rep stosb", tail = in(reg) length & 7,
             inout("rdi") start => _, inout("rcx") length >> 3 => _, in("rax") 0u64,
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

    #[test]
    fn copy_words_fills_exactly_its_range() {
        let (from, mut to) = ([1u64, 2, 3], [7u64; 5]);
        // SAFETY: three words inside both arrays.
        unsafe { copy_words(to.as_mut_ptr().wrapping_add(1), from.as_ptr(), 3) };
        assert_eq!(to, [7, 1, 2, 3, 7]);
    }

    #[test]
    fn bytes_are_copied_and_cleared_exactly_in_their_range() {
        for length in [0, 1, 7, 8, 9, 16, 23] {
            let (from, mut to) = ([3u8; 32], [7u8; 32]);
            // SAFETY: at most 23 bytes from the fifth on, of 32.
            unsafe { copy_bytes(to.as_mut_ptr().add(4), from.as_ptr(), length) };
            let expected = |byte: u8| {
                core::array::from_fn(|at| if (4..4 + length).contains(&at) { byte } else { 7u8 })
            };
            assert_eq!(to, expected(3));
            // SAFETY: the same.
            unsafe { zero_bytes(to.as_mut_ptr().add(4), length) };
            assert_eq!(to, expected(0));
        }
    }
}
