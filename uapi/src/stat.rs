//! stat.h: what fstat(2) and its kin tell of a file. i386 has two forms.

use crate::Errno;
use crate::highuid::low_id;
use crate::macros::{constants, structure};

constants! { "inode(7)", general as u32:
    S_IFMT S_IFSOCK S_IFLNK S_IFREG S_IFBLK S_IFDIR S_IFCHR S_IFIFO S_ISUID S_ISGID S_ISVTX
    S_IRWXU S_IRWXG S_IRWXO S_IXUSR S_IWGRP S_IXGRP S_IWOTH S_IXOTH
}
/// All permissions of a file: Linux's `S_IRWXUGO`.
pub const S_IRWXUGO: u32 = S_IRWXU | S_IRWXG | S_IRWXO;
/// To be read by all: Linux's `S_IRUGO`,
pub const S_IRUGO: u32 = 0o444;
/// written by all,
pub const S_IWUGO: u32 = 0o222;
/// executed by all.
pub const S_IXUGO: u32 = 0o111;
/// The same, with the three bits above them: Linux's `S_IALLUGO`.
pub const S_IALLUGO: u32 = S_ISUID | S_ISGID | S_ISVTX | S_IRWXUGO;

/// In the place of a time's nanoseconds: what it is now (utimensat(2)).
pub const UTIME_NOW: i64 = (1 << 30) - 1;
/// The same: it stays as it is.
pub const UTIME_OMIT: i64 = (1 << 30) - 2;

structure! {
    /// `struct stat` of x86-64.
    #[derive(Default)]
    pub struct Stat: 144 = "x86_64" general::stat {
        pub st_dev: u64,
        pub st_ino: u64,
        pub st_nlink: u64,
        pub st_mode: u32,
        pub st_uid: u32,
        pub st_gid: u32,
        pub __pad0: u32,
        pub st_rdev: u64,
        pub st_size: i64,
        pub st_blksize: i64,
        pub st_blocks: i64,
        pub st_atime: u64,
        pub st_atime_nsec: u64,
        pub st_mtime: u64,
        pub st_mtime_nsec: u64,
        pub st_ctime: u64,
        pub st_ctime_nsec: u64,
        pub __unused: [i64; 3],
    }
}

structure! {
    /// `struct stat` of i386.
    #[derive(Default)]
    pub struct CompatStat: 64 = "x86" general::stat {
        pub st_dev: u32,
        pub st_ino: u32,
        pub st_mode: u16,
        pub st_nlink: u16,
        pub st_uid: u16,
        pub st_gid: u16,
        pub st_rdev: u32,
        pub st_size: u32,
        pub st_blksize: u32,
        pub st_blocks: u32,
        pub st_atime: u32,
        pub st_atime_nsec: u32,
        pub st_mtime: u32,
        pub st_mtime_nsec: u32,
        pub st_ctime: u32,
        pub st_ctime_nsec: u32,
        pub __unused4: u32,
        pub __unused5: u32,
    }
}

/// A 64-bit field that need not lie at a multiple of 8, the lower word first.
pub type Split = [u32; 2];

const fn split(value: u64) -> Split {
    [value as u32, (value >> 32) as u32]
}

structure! {
    /// `struct stat64` of i386.
    #[derive(Default)]
    pub struct Stat64: 96 = "x86" general::stat64 {
        pub st_dev: Split,
        pub __pad0: u32,
        pub __st_ino: u32,
        pub st_mode: u32,
        pub st_nlink: u32,
        pub st_uid: u32,
        pub st_gid: u32,
        pub st_rdev: Split,
        pub __pad3: u32,
        pub st_size: Split,
        pub st_blksize: u32,
        pub st_blocks: Split,
        pub st_atime: u32,
        pub st_atime_nsec: u32,
        pub st_mtime: u32,
        pub st_mtime_nsec: u32,
        pub st_ctime: u32,
        pub st_ctime_nsec: u32,
        pub st_ino: Split,
    }
}

/// In fields of 32 and 16 bits; seconds are cut.
impl TryFrom<&Stat> for CompatStat {
    type Error = Errno;

    /// # Errors
    /// EOVERFLOW for an inode, a number of links or a size that does not fit.
    fn try_from(stat: &Stat) -> Result<Self, Errno> {
        if stat.st_size > i32::MAX.into() {
            return Err(Errno::EOVERFLOW);
        }
        Ok(CompatStat {
            st_dev: stat.st_dev as u32,
            st_ino: u32::try_from(stat.st_ino).map_err(|_| Errno::EOVERFLOW)?,
            st_mode: stat.st_mode as u16,
            st_nlink: u16::try_from(stat.st_nlink).map_err(|_| Errno::EOVERFLOW)?,
            st_uid: low_id(stat.st_uid),
            st_gid: low_id(stat.st_gid),
            st_rdev: stat.st_rdev as u32,
            st_size: stat.st_size as u32,
            st_blksize: stat.st_blksize as u32,
            st_blocks: stat.st_blocks as u32,
            st_atime: stat.st_atime as u32,
            st_atime_nsec: stat.st_atime_nsec as u32,
            st_mtime: stat.st_mtime as u32,
            st_mtime_nsec: stat.st_mtime_nsec as u32,
            st_ctime: stat.st_ctime as u32,
            st_ctime_nsec: stat.st_ctime_nsec as u32,
            __unused4: 0,
            __unused5: 0,
        })
    }
}

/// Seconds are cut.
impl From<&Stat> for Stat64 {
    fn from(stat: &Stat) -> Self {
        Stat64 {
            st_dev: split(stat.st_dev),
            __pad0: 0,
            __st_ino: stat.st_ino as u32,
            st_mode: stat.st_mode,
            st_nlink: stat.st_nlink as u32,
            st_uid: stat.st_uid,
            st_gid: stat.st_gid,
            st_rdev: split(stat.st_rdev),
            __pad3: 0,
            st_size: split(stat.st_size as u64),
            st_blksize: stat.st_blksize as u32,
            st_blocks: split(stat.st_blocks as u64),
            st_atime: stat.st_atime as u32,
            st_atime_nsec: stat.st_atime_nsec as u32,
            st_mtime: stat.st_mtime as u32,
            st_mtime_nsec: stat.st_mtime_nsec as u32,
            st_ctime: stat.st_ctime as u32,
            st_ctime_nsec: stat.st_ctime_nsec as u32,
            st_ino: split(stat.st_ino),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: Stat = Stat {
        st_dev: 0x801,
        st_ino: 0x1_0000_0002,
        st_nlink: 1,
        st_mode: 0o100_644,
        st_uid: 70_000,
        st_gid: 100,
        __pad0: 0,
        st_rdev: 0,
        st_size: 5 << 30,
        st_blksize: 4096,
        st_blocks: 10 << 20,
        st_atime: 0x1_0000_0001,
        st_atime_nsec: 2,
        st_mtime: 3,
        st_mtime_nsec: 4,
        st_ctime: 5,
        st_ctime_nsec: 6,
        __unused: [0; 3],
    };

    #[test]
    fn stat64_holds_large_files() {
        let stat = Stat64::from(&STAT);
        assert_eq!((stat.st_size, stat.st_blocks), ([0x4000_0000, 1], [10 << 20, 0]));
        assert_eq!((stat.__st_ino, stat.st_ino), (2, [2, 1]));
        assert_eq!((stat.st_uid, stat.st_atime, stat.st_ctime_nsec), (70_000, 1, 6));
    }

    #[test]
    fn stat_refuses_what_does_not_fit() {
        let fits = Stat { st_ino: 2, st_size: 0x7fff_ffff, ..STAT };
        let stat = CompatStat::try_from(&fits).unwrap();
        assert_eq!((stat.st_size, stat.st_uid, stat.st_gid), (0x7fff_ffff, 65534, 100));
        let cases = [
            Stat { st_ino: 1 << 32, ..fits },
            Stat { st_size: 0x8000_0000, ..fits },
            Stat { st_nlink: 0x1_0000, ..fits },
        ];
        for stat in cases {
            assert_eq!(CompatStat::try_from(&stat), Err(Errno::EOVERFLOW));
        }
    }
}
