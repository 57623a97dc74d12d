//! linux/close_range.h, which linux-raw-sys does not have.

/// A table of descriptors of one's own first: `CLOSE_RANGE_UNSHARE` of close_range(2).
pub const CLOSE_RANGE_UNSHARE: u32 = 1 << 1;
/// Marked and not closed: `CLOSE_RANGE_CLOEXEC` of close_range(2).
pub const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;
