//! The kernel's accesses to user memory: by quadwords as on the real floor, with the
//! kernel's own answer to a page fault between two attempts.

use super::floor;
use super::user::{PageFault, walk};

/// Where a user address is, after the kernel has served what faults it could, if any
/// are served.
fn reach(address: u64, write: bool, served: bool) -> Option<*mut u8> {
    loop {
        match walk(address, write) {
            Ok(byte) => return Some(byte),
            Err(_) if !served => return None,
            Err(PageFault { address, error_code }) => {
                floor().fault_address.set(address);
                if !(floor().page_fault.get())(address, error_code) {
                    return None;
                }
            }
        }
    }
}

/// Copies quadwords and then bytes; of one that is not all there, nothing. Returns how
/// many bytes were not copied. `copy` gets where one is in RAM, and which it is.
fn copy(
    address: u64,
    length: usize,
    write: bool,
    served: bool,
    mut copy: impl FnMut(*mut u8, usize),
) -> usize {
    let mut done = 0;
    while done < length {
        let element = if length - done >= 8 { 8 } else { 1 };
        let mut bytes = [core::ptr::null_mut(); 8];
        for (offset, byte) in bytes[..element].iter_mut().enumerate() {
            match reach(address + (done + offset) as u64, write, served) {
                Some(there) => *byte = there,
                None => return length - done,
            }
        }
        for (offset, byte) in bytes[..element].iter().enumerate() {
            copy(*byte, done + offset);
        }
        done += element;
    }
    0
}

/// Copies in; returns how many bytes were not copied.
///
/// # Safety
/// `to` must be valid for `length` bytes.
pub unsafe fn copy_in<const SERVED: bool>(to: *mut u8, from: u64, length: usize) -> usize {
    copy(from, length, false, SERVED, |byte, at| {
        // SAFETY: the caller vouches for `to`; `byte` is in RAM.
        unsafe { to.add(at).write(byte.read()) };
    })
}

/// Copies out; returns how many bytes were not copied.
///
/// # Safety
/// `from` must be valid for `length` bytes.
pub unsafe fn copy_out<const SERVED: bool>(to: u64, from: *const u8, length: usize) -> usize {
    copy(to, length, true, SERVED, |byte, at| {
        // SAFETY: the caller vouches for `from`; `byte` is in RAM.
        unsafe { byte.write(from.add(at).read()) };
    })
}

macro_rules! define_get {
    ($get:ident, $ty:ty) => {
        /// Reads one value; `None` if it faulted.
        ///
        /// # Safety
        /// As on the real floor.
        pub unsafe fn $get(from: u64) -> Option<$ty> {
            let mut value = <$ty>::default();
            // SAFETY: the value has that many bytes.
            let left = unsafe { copy_in::<true>((&raw mut value).cast(), from, size_of::<$ty>()) };
            (left == 0).then_some(value)
        }
    };
}

macro_rules! define_put {
    ($put:ident, $ty:ty) => {
        /// Writes one value; false if it faulted.
        ///
        /// # Safety
        /// As on the real floor.
        pub unsafe fn $put(to: u64, value: $ty) -> bool {
            // SAFETY: the value has that many bytes.
            unsafe { copy_out::<true>(to, (&raw const value).cast(), size_of::<$ty>()) == 0 }
        }
    };
}

/// Puts `new` where `old` is; what was there, `None` if it faulted.
///
/// # Safety
/// As on the real floor.
pub unsafe fn compare_exchange_u32(at: u64, old: u32, new: u32) -> Option<u32> {
    let word = reach(at, true, true)?.cast::<u32>();
    // SAFETY: it is in RAM, a word's bytes are on one page, and exactly one thread runs.
    unsafe {
        let found = word.read();
        if found == old {
            word.write(new);
        }
        Some(found)
    }
}
define_get!(get_u16, u16);
define_get!(get_u32, u32);
define_get!(get_u64, u64);
define_put!(put_u32, u32);
define_put!(put_u64, u64);
