//! Whether there is more to a write than that its end is no larger than the largest
//! offset: `RLIMIT_FSIZE`, seals (memfd_create(2)), a file that was opened without
//! `O_LARGEFILE`, a user whose writing takes set-user-ID bits.
//! Few programs have any of this, and each write asks.

use core::sync::atomic::{AtomicBool, Ordering};

/// The longest file of a program that does not know of longer ones: Linux's
/// `MAX_NON_LFS`.
pub const MAX_NON_LFS: u64 = i32::MAX as u64;

static ANY: AtomicBool = AtomicBool::new(false);

/// From now on there is.
pub fn begin() {
    ANY.store(true, Ordering::Relaxed);
}

/// Whether there ever was.
#[inline(always)]
pub fn any() -> bool {
    ANY.load(Ordering::Relaxed)
}
