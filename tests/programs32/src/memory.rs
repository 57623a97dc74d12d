//! Memory at addresses that the program chooses, so that natively and in a
//! sandbox all addresses are the same.

use crate::Door;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr32;

/// Bytes in a page.
pub const PAGE: u32 = 4096;

const MAP_PRIVATE_ANONYMOUS_FIXED: u32 = 0x32;

/// Reads a byte at an address of the program's own pages. If there is none,
/// the program dies by a signal, which is a result too.
pub fn peek(address: u32) -> u8 {
    // SAFETY: an address which no Rust object owns.
    unsafe { (address as *const u8).read_volatile() }
}

/// Writes bytes, as [`peek`] reads them.
pub fn poke(address: u32, bytes: &[u8]) {
    for (address, byte) in (address..).zip(bytes) {
        // SAFETY: as for `peek`.
        unsafe { (address as *mut u8).write_volatile(*byte) }
    }
}

fn int80(number: u32, arguments: &[u32]) -> Result<(), Errno> {
    Door::Int80.call(number, arguments).map(drop)
}

/// Fresh pages at this address.
///
/// # Panics
/// If mmap(2) fails.
pub fn map(address: u32, pages: u32, protection: u32) {
    let arguments = [address, pages * PAGE, protection, MAP_PRIVATE_ANONYMOUS_FIXED, u32::MAX, 0];
    int80(nr32::MMAP2, &arguments).expect("memory at a fixed address");
}

/// Gives pages another access.
///
/// # Panics
/// If mprotect(2) fails.
pub fn protect(address: u32, pages: u32, protection: u32) {
    int80(nr32::MPROTECT, &[address, pages * PAGE, protection]).expect("another protection");
}

/// Takes pages away.
///
/// # Panics
/// If munmap(2) fails.
pub fn unmap(address: u32, pages: u32) {
    int80(nr32::MUNMAP, &[address, pages * PAGE]).expect("pages of ours");
}
