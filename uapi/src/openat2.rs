//! linux/openat2.h: how openat2(2) opens.

use crate::macros::{constants, structure};

constants! { "openat2(2)", general as u64:
    RESOLVE_NO_XDEV RESOLVE_NO_MAGICLINKS RESOLVE_NO_SYMLINKS RESOLVE_BENEATH
    RESOLVE_IN_ROOT RESOLVE_CACHED
}

structure! {
    /// `struct open_how`, the same for both widths.
    #[derive(Default)]
    pub struct OpenHow: 24 = "x86_64" general::open_how {
        pub flags: u64,
        pub mode: u64,
        pub resolve: u64,
    }
}
