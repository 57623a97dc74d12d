//! The memory that calls are given: below 4 GiB, so that both widths can name it, with
//! nothing behind its end.

#![allow(unsafe_code, reason = "memory by address")]

use crate::call::raw64;
use crate::show;
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE};

/// Where arguments lie: above what randomised heaps reach, a GiB behind the program.
const START: u64 = 0x6000_0000;
/// Where that ends; the page there is never mapped.
pub(crate) const END: u64 = START + (4 << 20);
/// A page that can only be read, with `r` in every byte.
pub(crate) const READ_ONLY: u64 = 0x6800_0000;
/// Where cases map what they like: `M`.
pub(crate) const MAPS: u64 = 0x7000_0000;
/// How much of it.
pub(crate) const MAPS_LENGTH: u64 = 64 << 20;
/// A file of the program's own, without a use but to carry bytes.
pub(crate) const CARRIER: u64 = 202;

/// Maps it.
pub(crate) fn prepare() {
    let flags = (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) as u64;
    let both = (PROT_READ | PROT_WRITE) as u64;
    for (start, length) in [(START, END - START), (READ_ONLY, 4096)] {
        let got = raw64("mmap", &[start, length, both, flags, u64::MAX, 0]);
        assert_eq!(got, Ok(start), "memory for arguments");
    }
    // SAFETY: it was just mapped.
    unsafe { (READ_ONLY as *mut u8).write_bytes(b'r', 4096) };
    raw64("mprotect", &[READ_ONLY, 4096, PROT_READ as u64]).expect("it is mapped");
}

/// Gives out a call's memory.
pub(crate) struct Arena {
    next: u64,
    /// What lies at the end is taken from above.
    end: u64,
}

impl Arena {
    pub(crate) fn new() -> Arena {
        Arena { next: START, end: END }
    }

    /// Room for so many bytes, which are `-`.
    pub(crate) fn room(&mut self, length: usize) -> u64 {
        let at = self.next;
        self.next += (length as u64).next_multiple_of(16) + 16;
        assert!(self.next <= self.end, "arguments of 4 MiB");
        // SAFETY: it is the arena's.
        unsafe { (at as *mut u8).write_bytes(b'-', length) };
        at
    }

    /// These bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> u64 {
        let at = self.room(bytes.len());
        write(at, bytes);
        at
    }

    /// These bytes, the last of them in front of what is not mapped.
    pub(crate) fn at_the_end(&mut self, bytes: &[u8]) -> u64 {
        let at = END - bytes.len() as u64;
        self.end = self.end.min(at);
        assert!(self.next <= self.end, "arguments of 4 MiB");
        write(at, bytes);
        at
    }
}

/// Puts bytes into the arena.
fn write(at: u64, bytes: &[u8]) {
    assert!(START <= at && at + bytes.len() as u64 <= END, "the arena's");
    // SAFETY: it is the arena's, where nothing of the compiler's lies.
    unsafe { (at as *mut u8).copy_from(bytes.as_ptr(), bytes.len()) };
}

/// Bytes of the arena.
pub(crate) fn read(at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    assert!(START <= at && at + length as u64 <= END, "the arena's");
    // SAFETY: it is the arena's, where nothing of the compiler's lies.
    unsafe { bytes.as_mut_ptr().copy_from(at as *const u8, length) };
    bytes
}

/// What lies at any address: the kernel reads it, so that what cannot be read is an
/// error, and then the program does.
pub(crate) fn peek(at: u64, length: usize) -> String {
    match raw64("pwrite64", &[CARRIER, at, length as u64, 0]) {
        Ok(got) if got == length as u64 => {}
        Ok(got) => return format!("{got} bytes can be read"),
        Err(error) => return error.name().to_owned(),
    }
    let mut carried = vec![0; length];
    let pread = raw64("pread64", &[CARRIER, carried.as_mut_ptr() as u64, length as u64, 0]);
    assert_eq!(pread, Ok(length as u64), "the carrier has it");
    let own = (0..length as u64).map(|offset| {
        // SAFETY: the kernel has just read it; nothing of the compiler's lies there.
        unsafe { ((at + offset) as *const u8).read_volatile() }
    });
    let own: Vec<u8> = own.collect();
    let same = if own == carried { "" } else { " (but the program reads something else)" };
    format!("{}{same}", show::bytes(&own))
}

/// Puts bytes anywhere, as [`peek`] reads them.
pub(crate) fn poke(at: u64, bytes: &[u8]) -> String {
    let length = bytes.len() as u64;
    let carried = raw64("pwrite64", &[CARRIER, bytes.as_ptr() as u64, length, 0]);
    assert_eq!(carried, Ok(length), "the carrier takes it");
    match raw64("pread64", &[CARRIER, at, length, 0]) {
        Ok(got) if got == length => {}
        Ok(got) => return format!("{got} bytes can be written"),
        Err(error) => return error.name().to_owned(),
    }
    for (offset, byte) in bytes.iter().enumerate() {
        // SAFETY: the kernel has just written it; nothing of the compiler's lies there.
        unsafe { ((at + offset as u64) as *mut u8).write_volatile(*byte) };
    }
    "done".to_owned()
}
