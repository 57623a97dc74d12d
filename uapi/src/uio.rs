//! linux/uio.h: the vectors of readv(2) and writev(2).

use crate::macros::{constants, structure};

constants! { "readv(2)", general as u64: UIO_MAXIOV }
constants! { "preadv2(2)", general as u32: RWF_HIPRI RWF_DSYNC RWF_SYNC RWF_NOWAIT RWF_APPEND }
/// Not at the end, whatever `O_APPEND` says; linux-raw-sys lacks it.
pub const RWF_NOAPPEND: u32 = 0x20;

structure! {
    /// `struct iovec` of x86-64.
    #[derive(Default)]
    pub struct Iovec: 16 = "x86_64" general::iovec {
        pub iov_base: u64,
        pub iov_len: u64,
    }
}

structure! {
    /// `struct iovec` of i386.
    #[derive(Default)]
    pub struct CompatIovec: 8 = "x86" general::iovec {
        pub iov_base: u32,
        pub iov_len: u32,
    }
}

impl From<CompatIovec> for Iovec {
    fn from(vector: CompatIovec) -> Self {
        Iovec { iov_base: vector.iov_base.into(), iov_len: vector.iov_len.into() }
    }
}
