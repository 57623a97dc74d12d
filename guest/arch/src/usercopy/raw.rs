//! The only instructions that touch user memory, but for the fast 32-bit doors'
//! own load (`entry::sixth_argument`), each with its row in the exception table.
//!
//! The callers have checked the addresses with `access_ok`: what
//! is left to go wrong is a page that is missing or protected, and then the
//! fixup ends the copy early.
//!
//! Quadwords and REP: where ring 0 is interpreted, an element costs as much as
//! an instruction.

use crate::percpu;
use core::arch::asm;

/// Opens user memory where SMAP closes it.
#[inline(always)]
fn open() {
    if percpu::has_smap() {
        // SAFETY: CR4.SMAP is on, so STAC exists.
        unsafe { asm!("stac", options(nostack)) };
    }
}

/// Closes it again.
#[inline(always)]
fn close() {
    if percpu::has_smap() {
        // SAFETY: as above.
        unsafe { asm!("clac", options(nostack)) };
    }
}

/// Copies `length` bytes in; returns how many were not copied. `SERVED`: whether
/// missing pages are put there in the meantime.
///
/// # Safety
/// As for [`copy`].
#[inline]
pub(super) unsafe fn copy_in<const SERVED: bool>(to: *mut u8, from: u64, length: usize) -> usize {
    // SAFETY: the caller vouches for both sides.
    unsafe { copy::<SERVED>(to, from as *const u8, length) }
}

/// Copies `length` bytes out; returns how many were not copied. `SERVED` as above.
///
/// # Safety
/// As for [`copy`].
#[inline]
pub(super) unsafe fn copy_out<const SERVED: bool>(
    to: u64,
    from: *const u8,
    length: usize,
) -> usize {
    // SAFETY: the caller vouches for both sides.
    unsafe { copy::<SERVED>(to as *mut u8, from, length) }
}

/// Copies `length` bytes; returns how many were not copied.
///
/// # Safety
/// The kernel's side must be valid for `length` bytes and the user's side
/// must lie in the user's half of the address space.
#[inline(always)]
unsafe fn copy<const SERVED: bool>(to: *mut u8, from: *const u8, length: usize) -> usize {
    let left: usize;
    open();
    // SAFETY: the caller vouches for the kernel's side; a fault on the user's
    // side goes on at a fixup with RCX elements left.
    unsafe {
        asm!(
            "2: rep movsq",
            "mov ecx, {tail:e}",
            "3: rep movsb",
            "jmp 5f",
            "4: lea rcx, [{tail} + rcx * 8]", // quadwords left, and the tail
            "5:",
            ".pushsection .ex_table, \"a\"",
            ".quad 2b, 4b, {served}",
            ".quad 3b, 5b, {served}",
            ".popsection",
            tail = in(reg) length & 7,
            served = const SERVED as u64,
            inout("rcx") length >> 3 => left,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack),
        );
    }
    close();
    left
}

/// Defines a read of 2, 4 or 8 bytes; `None` if it faulted.
macro_rules! define_get {
    ($name:ident, $ty:ty, $load:literal) => {
        /// Reads one value; `None` if the page is missing or protected.
        ///
        /// # Safety
        /// The address must lie in the user's half of the address space.
        #[inline]
        pub(super) unsafe fn $name(from: u64) -> Option<$ty> {
            let (value, failed): (u64, u32);
            open();
            // SAFETY: a fault goes on at the fixup, which says so.
            unsafe {
                asm!(
                    concat!("2: ", $load),
                    "xor {failed:e}, {failed:e}",
                    "3:",
                    ".pushsection .entry.text, \"ax\"",
                    "4: mov {failed:e}, 1",
                    "xor {value:e}, {value:e}",
                    "jmp 3b",
                    ".popsection",
                    ".pushsection .ex_table, \"a\"",
                    ".quad 2b, 4b, 1",
                    ".popsection",
                    from = in(reg) from,
                    value = out(reg) value,
                    failed = out(reg) failed,
                    options(nostack, readonly),
                );
            }
            close();
            (failed == 0).then_some(value as $ty)
        }
    };
}
define_get!(get_u16, u16, "movzx {value:e}, word ptr [{from}]");
define_get!(get_u32, u32, "mov {value:e}, dword ptr [{from}]");
define_get!(get_u64, u64, "mov {value}, qword ptr [{from}]");

/// Defines a write of 4 or 8 bytes; false if it faulted.
macro_rules! define_put {
    ($name:ident, $ty:ty, $store:literal) => {
        /// Writes one value; false if the page is missing or protected.
        ///
        /// # Safety
        /// The address must lie in the user's half of the address space.
        #[inline]
        pub(super) unsafe fn $name(to: u64, value: $ty) -> bool {
            let failed: u32;
            open();
            // SAFETY: a fault goes on at the fixup, which says so.
            unsafe {
                asm!(
                    concat!("2: ", $store),
                    "xor {failed:e}, {failed:e}",
                    "3:",
                    ".pushsection .entry.text, \"ax\"",
                    "4: mov {failed:e}, 1",
                    "jmp 3b",
                    ".popsection",
                    ".pushsection .ex_table, \"a\"",
                    ".quad 2b, 4b, 1",
                    ".popsection",
                    to = in(reg) to,
                    value = in(reg) u64::from(value),
                    failed = out(reg) failed,
                    options(nostack),
                );
            }
            close();
            failed == 0
        }
    };
}

/// Puts `new` where `old` is, at once; what was there, or `None` if the page is missing
/// or protected.
///
/// # Safety
/// The address must lie in the user's half of the address space, on a multiple of 4.
pub(super) unsafe fn compare_exchange_u32(at: u64, old: u32, new: u32) -> Option<u32> {
    let (found, failed): (u32, u32);
    open();
    // SAFETY: a fault goes on at the fixup, which says so.
    unsafe {
        asm!(
            "2: lock cmpxchg dword ptr [{at}], {new:e}",
            "xor {failed:e}, {failed:e}",
            "3:",
            ".pushsection .entry.text, \"ax\"",
            "4: mov {failed:e}, 1",
            "jmp 3b",
            ".popsection",
            ".pushsection .ex_table, \"a\"",
            ".quad 2b, 4b, 1",
            ".popsection",
            at = in(reg) at,
            new = in(reg) new,
            failed = out(reg) failed,
            inout("eax") old => found,
            options(nostack),
        );
    }
    close();
    (failed == 0).then_some(found)
}
define_put!(put_u32, u32, "mov dword ptr [{to}], {value:e}");
define_put!(put_u64, u64, "mov qword ptr [{to}], {value}");
