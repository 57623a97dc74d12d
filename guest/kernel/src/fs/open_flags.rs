//! What the flags of an open file allow.

use trapgate_uapi::fcntl::{O_ACCMODE, O_PATH, O_RDONLY, O_RDWR, O_WRONLY};

/// Whether a file with these flags can be read.
#[inline]
pub const fn readable(flags: u32) -> bool {
    flags & O_PATH == 0 && matches!(flags & O_ACCMODE, O_RDONLY | O_RDWR)
}

/// Whether a file with these flags can be written.
#[inline]
pub const fn writable(flags: u32) -> bool {
    flags & O_PATH == 0 && matches!(flags & O_ACCMODE, O_WRONLY | O_RDWR)
}
