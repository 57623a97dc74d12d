//! RAM by physical address, through the direct map.
//!
//! Who owns which frame is for the kernel's `mm::frames` to know: what is handed
//! to a function here must be nobody else's.
#![allow(unsafe_code, reason = "memory is reached by its address")]

use super::cpu;
use trapgate_abi::boot_info::Range;

/// Where the kernel sees physical address `physical`.
#[cfg(target_os = "none")]
#[inline(always)]
pub const fn direct<T>(physical: u64) -> *mut T {
    (trapgate_abi::layout::DIRECT_MAP + physical) as *mut T
}

#[cfg(not(target_os = "none"))]
pub use crate::fake::direct;

/// Fills frames that nobody has with zeroes.
pub fn clear(run: Range) {
    // SAFETY: all RAM is in the direct map, and the frames are nobody's.
    unsafe { cpu::zero_words(direct(run.start), run.len() as usize / 8) };
}

/// Frames that hold zeroes, but for the first word of each: the address of the
/// next one.
pub struct FreeList {
    first: u64,
    count: u64,
}

impl FreeList {
    /// A list without frames.
    pub const fn new() -> Self {
        FreeList { first: 0, count: 0 }
    }

    /// How many there are.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts a frame that holds zeroes and is nobody's first.
    pub fn push(&mut self, frame: u64) {
        let link: *mut u64 = direct(frame);
        // SAFETY: all RAM is in the direct map, and the caller gave the frame up.
        unsafe { link.write(self.first) };
        self.first = frame;
        self.count += 1;
    }

    /// Takes the first frame; it holds zeroes.
    pub fn pop(&mut self) -> Option<u64> {
        if self.first == 0 {
            return None;
        }
        let frame = self.first;
        let link: *mut u64 = direct(frame);
        // SAFETY: the frame is on the list, so it is the list's, and holds a link.
        self.first = unsafe { link.replace(0) };
        self.count -= 1;
        Some(frame)
    }
}

impl Default for FreeList {
    fn default() -> Self {
        FreeList::new()
    }
}
