//! Pages to try things on, and memory by address.

use crate::call;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

/// Bytes in a page.
pub const PAGE: u64 = PAGE_SIZE;

const PROT_READ_WRITE: u64 = 3;
const MAP_PRIVATE_ANONYMOUS: u64 = 0x22;

/// Reads a byte at an address of the program's own pages. If there is none,
/// the program dies by a signal, which is a result too.
pub fn peek(address: u64) -> u8 {
    // SAFETY: an address from mmap, which no Rust object owns.
    unsafe { (address as *const u8).read_volatile() }
}

/// Writes a byte, as [`peek`] reads it.
pub fn poke(address: u64, value: u8) {
    // SAFETY: as for `peek`.
    unsafe { (address as *mut u8).write_volatile(value) }
}

/// Reads a word, aligned.
pub fn peek_u64(address: u64) -> u64 {
    // SAFETY: as for `peek`.
    unsafe { (address as *const u64).read_volatile() }
}

/// Writes a word, aligned.
pub fn poke_u64(address: u64, value: u64) {
    // SAFETY: as for `peek`.
    unsafe { (address as *mut u64).write_volatile(value) }
}

/// Fresh pages at this address, readable and writable: where natively and in a
/// sandbox all addresses shall be the same.
///
/// # Panics
/// If mmap(2) fails.
pub fn map_at(address: u64, pages: u64) {
    const MAP_FIXED: u64 = 0x10;
    let flags = MAP_PRIVATE_ANONYMOUS | MAP_FIXED;
    let arguments = [address, pages * PAGE, PROT_READ_WRITE, flags, u64::MAX, 0];
    call(nr64::MMAP, &arguments).expect("memory at a fixed address");
}

/// Some pages in a row, from mmap(2), readable and writable at first.
#[derive(Clone, Copy)]
pub struct Pages {
    start: u64,
}

impl Pages {
    /// So many fresh pages.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn map(count: u64) -> Result<Pages, Errno> {
        let arguments = [0, count * PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, u64::MAX, 0];
        Ok(Pages { start: call(nr64::MMAP, &arguments)? })
    }

    /// The address of page `index`.
    pub fn page(self, index: u64) -> u64 {
        self.start + index * PAGE
    }

    /// Unmaps page `index`.
    ///
    /// # Errors
    /// Those of munmap(2).
    pub fn remove(self, index: u64) -> Result<u64, Errno> {
        call(nr64::MUNMAP, &[self.page(index), PAGE])
    }

    /// Gives page `index` another access.
    ///
    /// # Errors
    /// Those of mprotect(2).
    pub fn protect(self, index: u64, prot: u64) -> Result<u64, Errno> {
        call(nr64::MPROTECT, &[self.page(index), PAGE, prot])
    }

    /// Fills page `index` with a byte.
    pub fn fill(self, index: u64, value: u8) {
        for offset in 0..PAGE {
            poke(self.page(index) + offset, value);
        }
    }

    /// Whether all of page `index` is that byte.
    pub fn is_all(self, index: u64, value: u8) -> bool {
        (0..PAGE).all(|offset| peek(self.page(index) + offset) == value)
    }
}
