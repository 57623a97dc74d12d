//! Offsets and lengths in two registers each.

use super::join;
use crate::sys::define::ia32_define;
use crate::sys::space::{advise, allocate, read_ahead, sync_range};

ia32_define! {
    /// fallocate(2)
    fn ia32_fallocate(
        fd: u32,
        mode: u32,
        offset_low: u32,
        offset_high: u32,
        length_low: u32,
        length_high: u32,
    ) {
        let (offset, length) = (join(offset_low, offset_high), join(length_low, length_high));
        allocate(fd, mode, offset as i64, length as i64)
    }
}
ia32_define! {
    /// posix_fadvise(2) with a 32-bit length.
    fn ia32_fadvise64(fd: u32, _low: u32, _high: u32, length: u32, advice: u32) {
        advise(fd, length.into(), advice)
    }
}
ia32_define! {
    /// posix_fadvise(2)
    fn ia32_fadvise64_64(
        fd: u32,
        _low: u32,
        _high: u32,
        length_low: u32,
        length_high: u32,
        advice: u32,
    ) {
        advise(fd, join(length_low, length_high) as i64, advice)
    }
}
ia32_define! {
    /// readahead(2)
    fn ia32_readahead(fd: u32, _low: u32, _high: u32, _count: u32) { read_ahead(fd) }
}
ia32_define! {
    /// sync_file_range(2)
    fn ia32_sync_file_range(
        fd: u32,
        offset_low: u32,
        offset_high: u32,
        length_low: u32,
        length_high: u32,
        flags: u32,
    ) {
        let (offset, length) = (join(offset_low, offset_high), join(length_low, length_high));
        sync_range(fd, offset as i64, length as i64, flags)
    }
}
