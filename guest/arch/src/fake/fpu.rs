//! The registers: one word of them.

use super::floor;

/// Where XMM0 is in an area (Intel SDM vol. 1, table 10-2).
const XMM0: usize = 160;

/// # Safety
/// An area.
pub(crate) unsafe fn save(area: *mut u8, _way: u64, _mask: u64) {
    floor().fpu_moves.update(|[saves, loads]| [saves + 1, loads]);
    // SAFETY: the caller vouches for the area.
    unsafe { area.byte_add(XMM0).cast::<u64>().write(floor().fpu.get()) };
}

/// # Safety
/// An area.
pub(crate) unsafe fn load(area: *const u8, _way: u64, _mask: u64) {
    floor().fpu_moves.update(|[saves, loads]| [saves, loads + 1]);
    // SAFETY: the caller vouches for the area.
    floor().fpu.set(unsafe { area.byte_add(XMM0).cast::<u64>().read() });
}
