//! vmsplice(2) with vectors of 32 bits.

use crate::sys::define::ia32_define;
use crate::sys::splice::splice_memory;
use crate::user::{UserPtr, read_compat_iovecs};
use trapgate_uapi::uio::CompatIovec;

ia32_define! {
    /// vmsplice(2)
    fn vmsplice(fd: u32, vectors: UserPtr<CompatIovec>, count: u64, flags: u32) {
        splice_memory(fd, flags, || read_compat_iovecs(vectors, count))
    }
}
