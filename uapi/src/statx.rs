//! linux/stat.h: statx(2), whose structure is the same for both widths.

use crate::macros::{constants, same_layout, structure};
use crate::stat::Stat;
use crate::time::Timespec;

constants! { "statx(2)", general as u32:
    STATX_BASIC_STATS STATX_BTIME STATX_MNT_ID STATX__RESERVED
}

structure! {
    /// `struct statx_timestamp`.
    #[derive(Default)]
    pub struct StatxTimestamp: 16 = "x86_64" general::statx_timestamp {
        pub tv_sec: i64,
        pub tv_nsec: u32,
        pub __reserved: i32,
    }
}

structure! {
    /// `struct statx`.
    #[derive(Default)]
    pub struct Statx: 256 {
        pub stx_mask: u32,
        pub stx_blksize: u32,
        pub stx_attributes: u64,
        pub stx_nlink: u32,
        pub stx_uid: u32,
        pub stx_gid: u32,
        pub stx_mode: u16,
        pub __spare0: u16,
        pub stx_ino: u64,
        pub stx_size: u64,
        pub stx_blocks: u64,
        pub stx_attributes_mask: u64,
        pub stx_atime: StatxTimestamp,
        pub stx_btime: StatxTimestamp,
        pub stx_ctime: StatxTimestamp,
        pub stx_mtime: StatxTimestamp,
        pub stx_rdev_major: u32,
        pub stx_rdev_minor: u32,
        pub stx_dev_major: u32,
        pub stx_dev_minor: u32,
        pub stx_mnt_id: u64,
        pub stx_dio_mem_align: u32,
        pub stx_dio_offset_align: u32,
        pub __spare: [u64; 12],
    }
}
same_layout!(Statx = general::statx {
    stx_mask stx_blksize stx_attributes stx_nlink stx_uid stx_gid stx_mode stx_ino stx_size stx_blocks stx_attributes_mask stx_atime stx_btime stx_ctime stx_mtime stx_rdev_major stx_rdev_minor stx_dev_major stx_dev_minor stx_mnt_id stx_dio_mem_align stx_dio_offset_align
});

/// The major number of a device, as stat(2) has it.
const fn major(device: u64) -> u32 {
    ((device >> 8) & 0xfff | (device >> 32) & !0xfff) as u32
}

/// The minor one.
const fn minor(device: u64) -> u32 {
    (device & 0xff | (device >> 12) & !0xff) as u32
}

const fn timestamp(seconds: u64, nanoseconds: u64) -> StatxTimestamp {
    StatxTimestamp { tv_sec: seconds as i64, tv_nsec: nanoseconds as u32, __reserved: 0 }
}

/// What stat(2) tells, in this form.
impl From<&Stat> for Statx {
    fn from(stat: &Stat) -> Self {
        Statx {
            stx_mask: STATX_BASIC_STATS,
            stx_blksize: stat.st_blksize as u32,
            stx_nlink: stat.st_nlink as u32,
            stx_uid: stat.st_uid,
            stx_gid: stat.st_gid,
            stx_mode: stat.st_mode as u16,
            stx_ino: stat.st_ino,
            stx_size: stat.st_size as u64,
            stx_blocks: stat.st_blocks as u64,
            stx_atime: timestamp(stat.st_atime, stat.st_atime_nsec),
            stx_ctime: timestamp(stat.st_ctime, stat.st_ctime_nsec),
            stx_mtime: timestamp(stat.st_mtime, stat.st_mtime_nsec),
            stx_rdev_major: major(stat.st_rdev),
            stx_rdev_minor: minor(stat.st_rdev),
            stx_dev_major: major(stat.st_dev),
            stx_dev_minor: minor(stat.st_dev),
            ..Statx::default()
        }
    }
}

impl Statx {
    /// With the time at which the file was made.
    pub const fn born(self, time: Timespec) -> Statx {
        Statx {
            stx_mask: self.stx_mask | STATX_BTIME,
            stx_btime: timestamp(time.tv_sec as u64, time.tv_nsec as u64),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_come_apart_as_the_c_library_puts_them_together() {
        // makedev(0x12345, 0x6789a).
        let device = 0x120006783459a;
        assert_eq!((major(device), minor(device)), (0x12345, 0x6789a));
        assert_eq!((major(0x103), minor(0x103), major(0x501), minor(0x501)), (1, 3, 5, 1));
    }
}
