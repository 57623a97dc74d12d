//! RAM by physical address, through the direct map.
//!
//! Who owns which frame is for the kernel's `mm::frames` to know: what is handed
//! to a function here must be nobody else's.
#![allow(unsafe_code, reason = "memory is reached by its address")]

use super::cpu;
use core::marker::PhantomData;
use trapgate_abi::boot_info::Range;
use trapgate_abi::layout::PAGE_SIZE;

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

/// Copies a page of RAM or of what lies above it, which is not written in the
/// meantime, to a frame that nobody has.
pub fn copy_frame(from: u64, to: u64) {
    // SAFETY: both are in the direct map, and `to` is nobody's, so it is another
    // frame than `from`.
    unsafe { cpu::copy_words(direct(to), direct(from), PAGE_SIZE as usize / 8) };
}

/// Copies bytes of a frame, which the program may write meanwhile if it has it mapped.
pub fn read(physical: u64, to: &mut [u8]) {
    in_frame(physical, to.len());
    // SAFETY: all frames are in the direct map, and the bytes are in one of them. The
    // copy is the CPU's, not Rust's.
    unsafe { cpu::copy_bytes(to.as_mut_ptr(), direct(physical), to.len()) };
}

/// The same of frames in a row.
pub fn read_run(physical: u64, to: &mut [u8]) {
    let (mut at, mut rest) = (physical, to);
    while !rest.is_empty() {
        let piece = rest.len().min((PAGE_SIZE - at % PAGE_SIZE) as usize);
        let (part, after) = rest.split_at_mut(piece);
        read(at, part);
        (at, rest) = (at + piece as u64, after);
    }
}

/// Writes bytes of a frame that is nobody's but the caller's object's.
pub fn write(physical: u64, from: &[u8]) {
    in_frame(physical, from.len());
    // SAFETY: as above.
    unsafe { cpu::copy_bytes(direct(physical), from.as_ptr(), from.len()) };
}

/// Fills bytes of such a frame with zeroes.
pub fn clear_bytes(physical: u64, length: u64) {
    in_frame(physical, length as usize);
    // SAFETY: as above.
    unsafe { cpu::zero_bytes(direct(physical), length as usize) };
}

fn in_frame(physical: u64, length: usize) {
    assert!(length as u64 <= PAGE_SIZE - physical % PAGE_SIZE, "bytes beyond a frame");
}

/// Memory above RAM that the VMM has mapped for reading: an image. Whoever has its file
/// may write it at any time.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnly {
    range: Range,
}

impl ReadOnly {
    /// What lies at these physical addresses, which are those of
    /// [`trapgate_abi::boot_info::BootInfo::root`].
    pub const fn new(range: Range) -> ReadOnly {
        ReadOnly { range }
    }

    /// Where it lies: whole pages.
    pub const fn range(&self) -> Range {
        self.range
    }

    /// Copies bytes of it, from this offset on; false, if there are not so many.
    #[must_use]
    pub fn read(&self, offset: u64, to: &mut [u8]) -> bool {
        let end = offset.checked_add(to.len() as u64);
        if end.is_none_or(|end| end > self.range.len()) {
            return false;
        }
        // SAFETY: all of it is in the direct map, and the bytes are in it. The copy is the
        // CPU's, not Rust's.
        unsafe { cpu::copy_bytes(to.as_mut_ptr(), direct(self.range.start + offset), to.len()) };
        true
    }
}

/// A word for each frame of RAM, found by the frame's number: its address in
/// pages. What the words mean, `mm::frames` says.
pub struct FrameTable {
    /// Physical address.
    words: u64,
    /// How long they are. With that, a word's place is what is compared with the end.
    bytes: u64,
}

const WORD: u64 = size_of::<u32>() as u64;

impl FrameTable {
    /// A table of no frame.
    pub const EMPTY: FrameTable = FrameTable { words: 0, bytes: 0 };

    /// Bytes that a table takes for all frames below `end`.
    pub const fn bytes(end: u64) -> u64 {
        end.div_ceil(PAGE_SIZE) * WORD
    }

    /// The table of all frames below `end` that lies in these, which hold zeroes and
    /// become the table's: all words are 0.
    pub const fn new(place: Range, end: u64) -> FrameTable {
        FrameTable { words: place.start, bytes: FrameTable::bytes(end) }
    }

    /// Whether the frame is in RAM, and so has a word.
    #[inline]
    pub const fn has(&self, frame: u64) -> bool {
        frame * WORD < self.bytes
    }

    fn at(&self, frame: u64) -> *mut u32 {
        assert!(self.has(frame), "a frame that is not in RAM");
        direct(self.words + frame * WORD)
    }

    /// The word of frame number `frame`.
    #[inline]
    pub fn get(&self, frame: u64) -> u32 {
        // SAFETY: the word is in the table, which is in the direct map.
        unsafe { self.at(frame).read() }
    }

    /// Sets it.
    #[inline]
    pub fn set(&mut self, frame: u64, word: u32) {
        // SAFETY: as for `get`; the table is nobody else's.
        unsafe { self.at(frame).write(word) };
    }

    /// The words, for a loop over many frames.
    #[inline(always)]
    pub fn words(&mut self) -> Words<'_> {
        Words { first: direct(self.words), bytes: self.bytes, table: PhantomData }
    }
}

/// The words of a table that is borrowed: where they are and how many need not be read
/// again for each.
pub struct Words<'a> {
    first: *mut u32,
    bytes: u64,
    table: PhantomData<&'a mut FrameTable>,
}

impl Words<'_> {
    /// The word of frame number `frame`; `None`, if it is not in RAM.
    #[inline(always)]
    pub fn get_mut(&mut self, frame: u64) -> Option<&mut u32> {
        let place = frame * WORD;
        if place >= self.bytes {
            return None;
        }
        // SAFETY: the word is in the table, which is in the direct map, and borrowed for
        // as long as the reference lives.
        Some(unsafe { &mut *self.first.byte_add(place as usize) })
    }
}
