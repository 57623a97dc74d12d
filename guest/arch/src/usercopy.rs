//! User memory: values in and out, after a look at the address.
//!
//! Ring 3 may pass any address. One in the kernel's half is refused here; a page
//! that is missing or protected ends the copy in `raw`, whose place the host's
//! `fake` takes.
#![allow(unsafe_code, reason = "hands checked addresses to the copies")]

#[cfg(target_os = "none")]
mod raw;

#[cfg(not(target_os = "none"))]
use crate::fake::usercopy as raw;
use crate::phys::direct;
use core::mem::MaybeUninit;
use trapgate_abi::layout::{PAGE_SIZE, USER_END};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Whether `length` bytes at `address` lie in the user's half.
#[inline(always)]
pub const fn access_ok(address: u64, length: u64) -> bool {
    match address.checked_add(length) {
        Some(end) => end <= USER_END,
        None => false,
    }
}

/// Copies a value in; `None` if it is not all there.
#[inline]
pub fn read<T: FromBytes>(address: u64) -> Option<T> {
    if !access_ok(address, size_of::<T>() as u64) {
        return None;
    }
    let mut value = MaybeUninit::<T>::uninit();
    let to: *mut u8 = value.as_mut_ptr().cast();
    // One load is cheaper than REP for the sizes that calls use most.
    match size_of::<T>() {
        2 => {
            // SAFETY: the address was checked.
            let read = unsafe { raw::get_u16(address) }?;
            // SAFETY: `to` has that many bytes.
            unsafe { to.cast::<u16>().write_unaligned(read) };
        }
        4 => {
            // SAFETY: as above, both.
            let read = unsafe { raw::get_u32(address) }?;
            // SAFETY: as above, both.
            unsafe { to.cast::<u32>().write_unaligned(read) };
        }
        8 => {
            // SAFETY: as above, both.
            let read = unsafe { raw::get_u64(address) }?;
            // SAFETY: as above, both.
            unsafe { to.cast::<u64>().write_unaligned(read) };
        }
        // SAFETY: as above, both.
        length if unsafe { raw::copy_in::<true>(to, address, length) } == 0 => {}
        _ => return None,
    }
    // SAFETY: all bytes were copied, and any bytes are a `T` (`FromBytes`).
    Some(unsafe { value.assume_init() })
}

/// Copies a value out, or a slice of them; false if there is not room for all.
#[inline]
pub fn write<T: IntoBytes + Immutable + ?Sized>(to: u64, value: &T) -> bool {
    let bytes = value.as_bytes();
    let (from, length) = (bytes.as_ptr(), bytes.len());
    if !access_ok(to, length as u64) {
        return false;
    }
    match length {
        // SAFETY: `from` has that many bytes, `to` was checked.
        4 => unsafe { raw::put_u32(to, from.cast::<u32>().read_unaligned()) },
        // SAFETY: as above.
        8 => unsafe { raw::put_u64(to, from.cast::<u64>().read_unaligned()) },
        // SAFETY: as above.
        _ => unsafe { raw::copy_out::<true>(to, from, length) == 0 },
    }
}

/// Puts `new` into a word where `old` is, at once: what was there; `None` if the address
/// is no word's, or it cannot be written.
#[inline]
pub fn compare_exchange(address: u64, old: u32, new: u32) -> Option<u32> {
    if !access_ok(address, 4) || !address.is_multiple_of(4) {
        return None;
    }
    // SAFETY: the address was checked.
    unsafe { raw::compare_exchange_u32(address, old, new) }
}

/// Copies in as many bytes as can be read at `address`, up to `to.len()`: how
/// many.
pub fn read_prefix(to: &mut [u8], address: u64) -> usize {
    if !access_ok(address, to.len() as u64) {
        return 0;
    }
    // SAFETY: the slice is valid, the address was checked.
    to.len() - unsafe { raw::copy_in::<true>(to.as_mut_ptr(), address, to.len()) }
}

/// Copies bytes of a frame out, as far as the pages are there: none is fetched, so the
/// caller may hold locks. How many bytes it copied.
#[inline]
pub fn from_frame(to: u64, physical: u64, length: u64) -> u64 {
    in_frame(physical, length);
    if !access_ok(to, length) {
        return 0;
    }
    // SAFETY: all frames are in the direct map, the bytes are in one of them, and `to`
    // was checked. A program that has the frame mapped may write it meanwhile; the
    // copy is the CPU's, not Rust's.
    length - unsafe { raw::copy_out::<false>(to, direct(physical), length as usize) } as u64
}

/// Copies bytes into a frame that is nobody's but the caller's object's; else as
/// [`from_frame`].
#[inline]
pub fn to_frame(physical: u64, from: u64, length: u64) -> u64 {
    in_frame(physical, length);
    if !access_ok(from, length) {
        return 0;
    }
    // SAFETY: as above.
    length - unsafe { raw::copy_in::<false>(direct(physical), from, length as usize) } as u64
}

/// Copies bytes of the kernel's out, as far as the pages are there: as [`from_frame`].
///
/// # Safety
/// `from` must be valid for reads of `length` bytes.
pub(crate) unsafe fn from_kernel(to: u64, from: *const u8, length: u64) -> u64 {
    if !access_ok(to, length) {
        return 0;
    }
    // SAFETY: the caller vouches for `from`; `to` was checked.
    length - unsafe { raw::copy_out::<false>(to, from, length as usize) } as u64
}

/// Copies bytes of the program's in, as far as the pages are there: as [`to_frame`].
///
/// # Safety
/// `to` must be valid for writes of `length` bytes.
pub(crate) unsafe fn to_kernel(to: *mut u8, from: u64, length: u64) -> u64 {
    if !access_ok(from, length) {
        return 0;
    }
    // SAFETY: the caller vouches for `to`; `from` was checked.
    length - unsafe { raw::copy_in::<false>(to, from, length as usize) } as u64
}

/// Copies are by quadwords, and one that is not all there is not copied at all: how many
/// bytes of it are in front of the next page, where a copy has stopped at `address` with
/// `left` bytes to go. Those can be copied alone.
#[cold]
pub const fn in_front_of_a_page(address: u64, left: u64) -> u64 {
    let bytes = PAGE_SIZE - address % PAGE_SIZE;
    if bytes < 8 && bytes < left { bytes } else { 0 }
}

#[inline(always)]
fn in_frame(physical: u64, length: u64) {
    assert!(length <= PAGE_SIZE - physical % PAGE_SIZE, "bytes beyond a frame");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_ok_refuses_the_kernels_half_and_wrapping() {
        assert!(access_ok(0, 0) && access_ok(USER_END, 0) && access_ok(USER_END - 1, 1));
        assert!(!access_ok(USER_END, 1) && !access_ok(USER_END - 1, 2));
        assert!(!access_ok(u64::MAX, 1) && !access_ok(8, u64::MAX - 3));
        assert!(!access_ok(0xffff_8880_0000_0000, 8) && !access_ok(1 << 47, 1));
    }
}
