//! linux/magic.h and asm/statfs.h: what statfs(2) tells of a file system.

use crate::Errno;
use crate::macros::{constants, structure};

constants! { "statfs(2)", general as u64: TMPFS_MAGIC PROC_SUPER_MAGIC SYSFS_MAGIC
DEVPTS_SUPER_MAGIC }

/// In `f_flags`: nothing can be changed.
pub const ST_RDONLY: i64 = 1;
/// The flags mean something.
pub const ST_VALID: i64 = 0x20;
/// Times of access are kept as mount option `relatime` has it.
pub const ST_RELATIME: i64 = 0x1000;
/// The sizes that statfs64(2) takes: the structure's, and what a compiler for x86-64 makes
/// of it.
pub const STATFS64_SIZES: [u32; 2] = [84, 88];

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
    pub struct Statfs64: 84 = "x86" general::statfs64 {
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

const fn split(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

impl TryFrom<&Statfs> for CompatStatfs {
    type Error = Errno;

    /// # Errors
    /// EOVERFLOW for a number that does not fit.
    fn try_from(statfs: &Statfs) -> Result<Self, Errno> {
        let fits = |value: u64| u32::try_from(value).map_err(|_| Errno::EOVERFLOW);
        Ok(CompatStatfs {
            f_type: statfs.f_type as u32,
            f_bsize: statfs.f_bsize as u32,
            f_blocks: fits(statfs.f_blocks)?,
            f_bfree: fits(statfs.f_bfree)?,
            f_bavail: fits(statfs.f_bavail)?,
            f_files: fits(statfs.f_files)?,
            f_ffree: fits(statfs.f_ffree)?,
            f_fsid: statfs.f_fsid,
            f_namelen: statfs.f_namelen as u32,
            f_frsize: statfs.f_frsize as u32,
            f_flags: statfs.f_flags as u32,
            f_spare: [0; 4],
        })
    }
}

impl From<&Statfs> for Statfs64 {
    fn from(statfs: &Statfs) -> Self {
        Statfs64 {
            f_type: statfs.f_type as u32,
            f_bsize: statfs.f_bsize as u32,
            f_blocks: split(statfs.f_blocks),
            f_bfree: split(statfs.f_bfree),
            f_bavail: split(statfs.f_bavail),
            f_files: split(statfs.f_files),
            f_ffree: split(statfs.f_ffree),
            f_fsid: statfs.f_fsid,
            f_namelen: statfs.f_namelen as u32,
            f_frsize: statfs.f_frsize as u32,
            f_flags: statfs.f_flags as u32,
            f_spare: [0; 4],
        }
    }
}
