//! linux/magic.h and asm/statfs.h: what statfs(2) tells of a file system.

use crate::macros::{constants, structure};

constants! { "statfs(2)", general as u64: TMPFS_MAGIC PROC_SUPER_MAGIC SYSFS_MAGIC }

structure! {
    /// `struct statfs` of x86-64.
    #[derive(Default)]
    pub struct Statfs: 120 = "x86_64" general::statfs {
        pub f_type: i64,
        pub f_bsize: i64,
        pub f_blocks: u64,
        pub f_bfree: u64,
        pub f_bavail: u64,
        pub f_files: u64,
        pub f_ffree: u64,
        pub f_fsid: [u32; 2],
        pub f_namelen: i64,
        pub f_frsize: i64,
        pub f_flags: i64,
        pub f_spare: [i64; 4],
    }
}

structure! {
    /// `struct statfs` of i386.
    #[derive(Default)]
    pub struct CompatStatfs: 64 = "x86" general::statfs {
        pub f_type: u32,
        pub f_bsize: u32,
        pub f_blocks: u32,
        pub f_bfree: u32,
        pub f_bavail: u32,
        pub f_files: u32,
        pub f_ffree: u32,
        pub f_fsid: [u32; 2],
        pub f_namelen: u32,
        pub f_frsize: u32,
        pub f_flags: u32,
        pub f_spare: [u32; 4],
    }
}

structure! {
    /// `struct statfs64` of i386: its 64-bit words lie at multiples of four.
    #[derive(Default)]
    pub struct Statfs64: 84 {
        pub f_type: u32,
        pub f_bsize: u32,
        pub f_blocks: [u32; 2],
        pub f_bfree: [u32; 2],
        pub f_bavail: [u32; 2],
        pub f_files: [u32; 2],
        pub f_ffree: [u32; 2],
        pub f_fsid: [u32; 2],
        pub f_namelen: u32,
        pub f_frsize: u32,
        pub f_flags: u32,
        pub f_spare: [u32; 4],
    }
}
