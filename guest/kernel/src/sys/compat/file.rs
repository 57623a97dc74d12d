//! Files: vectors, offsets and statuses in i386's form.
//!
//! An `off_t` is 32 bits and signed; a `loff_t` comes as two registers, or goes
//! through memory (`_llseek`).

use super::time::{Timespec32, read_if, read_time32, read_time64};
use super::{join, low_id};
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::file::{
    control, control_device, file, input, input_at, no_such_file, output, position, seek, status,
    status_at,
};
use crate::sys::poll::{PollFd, poll_within};
use crate::sys::time::Timespec;
use crate::user::{CompatIoVec, IoVec, UserPtr, read_compat_iovecs};
use trapgate_abi::file::FileStatus;
use trapgate_arch::usercopy::plain_struct;
use trapgate_uapi::Errno;

ia32_define! {
    /// readv(2)
    fn readv(fd: u32, vectors: UserPtr<CompatIoVec>, count: u64) {
        input(&*file(fd)?, &read_compat_iovecs(vectors, count)?)
    }
}
ia32_define! {
    /// writev(2)
    fn writev(fd: u32, vectors: UserPtr<CompatIoVec>, count: u64) {
        output(&*file(fd)?, &read_compat_iovecs(vectors, count)?)
    }
}
ia32_define! {
    /// pread(2): the offset in two registers.
    fn ia32_pread64(fd: u32, buffer: UserPtr<u8>, count: u64, low: u32, high: u32) {
        let offset = position(join(low, high) as i64)?;
        input_at(&*file(fd)?, &[IoVec { base: buffer.address(), length: count }], offset)
    }
}
compat_define! {
    /// preadv(2): the offset in two registers.
    fn preadv(fd: u32, vectors: UserPtr<CompatIoVec>, count: u64, low: u32, high: u32) {
        let offset = position(join(low, high) as i64)?;
        input_at(&*file(fd)?, &read_compat_iovecs(vectors, count)?, offset)
    }
}
compat_define! {
    /// lseek(2). A position of more than 32 bits is cut by the caller's
    /// register, as with Linux.
    fn lseek(fd: u32, offset: i32, whence: u32) { seek(fd, offset.into(), whence) }
}
ia32_define! {
    /// _llseek(2): the offset in two registers, the new position in memory.
    fn llseek(fd: u32, high: u32, low: u32, result: UserPtr<u64>, whence: u32) {
        result.write(seek(fd, join(low, high) as i64, whence)?).map(|()| 0)
    }
}
compat_define! {
    /// fcntl(2) and fcntl64(2)
    fn fcntl64(fd: u32, command: u32, argument: u64) { control(fd, command, argument) }
}
compat_define! {
    /// ioctl(2)
    fn ioctl(fd: u32, request: u32, argument: u64) { control_device(fd, request, argument) }
}
compat_define! {
    /// open(2): without `O_LARGEFILE` implied.
    fn open(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// openat(2): without `O_LARGEFILE` implied.
    fn openat(_directory: i32, path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// ppoll(2) with a 32-bit time.
    fn ppoll_time32(entries: UserPtr<PollFd>, count: u32, timeout: UserPtr<Timespec32>) {
        poll_within(entries, count, read_if(timeout, read_time32)?)
    }
}
compat_define! {
    /// ppoll(2) with a 64-bit time.
    fn ppoll_time64(entries: UserPtr<PollFd>, count: u32, timeout: UserPtr<Timespec>) {
        poll_within(entries, count, read_if(timeout, read_time64)?)
    }
}

plain_struct! {
    /// i386's `struct stat`.
    pub struct CompatStat {
        /// Device.
        pub dev: u32,
        /// Inode.
        pub ino: u32,
        /// Type and permissions.
        pub mode: u16,
        /// Hard links.
        pub nlink: u16,
        /// Owner.
        pub uid: u16,
        /// Group.
        pub gid: u16,
        /// Device number of a special file.
        pub rdev: u32,
        /// Bytes.
        pub size: u32,
        /// Preferred block size.
        pub blksize: u32,
        /// Blocks of 512 bytes.
        pub blocks: u32,
        /// Access, modification and change: seconds and nanoseconds.
        pub times: [u32; 6],
        /// Reserved.
        pub reserved: [u32; 2],
    }
}
const _: () = assert!(size_of::<CompatStat>() == 64);

/// Access, modification and change in 32-bit words; seconds are cut.
fn times(status: &FileStatus) -> [u32; 6] {
    [
        status.atime,
        status.atime_nsec,
        status.mtime,
        status.mtime_nsec,
        status.ctime,
        status.ctime_nsec,
    ]
    .map(|word| word as u32)
}

impl CompatStat {
    /// The status in fields of 32 and 16 bits.
    ///
    /// # Errors
    /// EOVERFLOW for an inode, a number of links or a size that does not fit.
    fn new(status: &FileStatus) -> Result<Self, Errno> {
        const MAX_SIZE: u64 = i32::MAX as u64;
        if status.size > MAX_SIZE {
            return Err(Errno::EOVERFLOW);
        }
        Ok(CompatStat {
            dev: status.dev as u32,
            ino: u32::try_from(status.ino).map_err(|_| Errno::EOVERFLOW)?,
            mode: status.mode as u16,
            nlink: u16::try_from(status.nlink).map_err(|_| Errno::EOVERFLOW)?,
            uid: low_id(status.uid),
            gid: low_id(status.gid),
            rdev: status.rdev as u32,
            size: status.size as u32,
            blksize: status.blksize as u32,
            blocks: status.blocks as u32,
            times: times(status),
            reserved: [0; 2],
        })
    }
}

/// A 64-bit field that need not lie at a multiple of 8, the lower word first.
type Split = [u32; 2];

const fn split(value: u64) -> Split {
    [value as u32, (value >> 32) as u32]
}

plain_struct! {
    /// i386's `struct stat64`.
    pub struct Stat64 {
        /// Device.
        pub dev: Split,
        /// Padding.
        pub pad0: u32,
        /// Inode, cut.
        pub low_ino: u32,
        /// Type and permissions.
        pub mode: u32,
        /// Hard links.
        pub nlink: u32,
        /// Owner.
        pub uid: u32,
        /// Group.
        pub gid: u32,
        /// Device number of a special file.
        pub rdev: Split,
        /// Padding.
        pub pad3: u32,
        /// Bytes.
        pub size: Split,
        /// Preferred block size.
        pub blksize: u32,
        /// Blocks of 512 bytes.
        pub blocks: Split,
        /// Access, modification and change: seconds and nanoseconds.
        pub times: [u32; 6],
        /// Inode.
        pub ino: Split,
    }
}
const _: () = assert!(size_of::<Stat64>() == 96);

impl Stat64 {
    fn new(status: &FileStatus) -> Self {
        Stat64 {
            dev: split(status.dev),
            pad0: 0,
            low_ino: status.ino as u32,
            mode: status.mode as u32,
            nlink: status.nlink as u32,
            uid: status.uid as u32,
            gid: status.gid as u32,
            rdev: split(status.rdev),
            pad3: 0,
            size: split(status.size),
            blksize: status.blksize as u32,
            blocks: split(status.blocks),
            times: times(status),
            ino: split(status.ino),
        }
    }
}

compat_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<CompatStat>) {
        buffer.write(CompatStat::new(&status(fd)?)?).map(|()| 0)
    }
}
compat_define! {
    /// stat64(2)
    fn ia32_stat64(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// lstat64(2)
    fn ia32_lstat64(path: UserPtr<u8>) { no_such_file(path) }
}
compat_define! {
    /// fstat64(2)
    fn ia32_fstat64(fd: u32, buffer: UserPtr<Stat64>) {
        buffer.write(Stat64::new(&status(fd)?)).map(|()| 0)
    }
}
compat_define! {
    /// fstatat64(2)
    fn ia32_fstatat64(fd: u32, path: UserPtr<u8>, buffer: UserPtr<Stat64>, flags: u32) {
        buffer.write(Stat64::new(&status_at(fd, path, flags)?)).map(|()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    const STATUS: FileStatus = FileStatus {
        dev: 0x801,
        ino: 0x1_0000_0002,
        mode: 0o100_644,
        nlink: 1,
        uid: 70_000,
        gid: 100,
        rdev: 0,
        size: 5 << 30,
        blksize: 4096,
        blocks: 10 << 20,
        atime: 0x1_0000_0001,
        atime_nsec: 2,
        mtime: 3,
        mtime_nsec: 4,
        ctime: 5,
        ctime_nsec: 6,
    };

    #[test]
    fn statuses_have_i386s_layout() {
        assert_eq!(offset_of!(CompatStat, rdev), 16);
        assert_eq!(offset_of!(CompatStat, times), 32);
        assert_eq!(offset_of!(Stat64, low_ino), 12);
        assert_eq!(offset_of!(Stat64, rdev), 32);
        assert_eq!(offset_of!(Stat64, size), 44);
        assert_eq!(offset_of!(Stat64, blocks), 56);
        assert_eq!(offset_of!(Stat64, times), 64);
        assert_eq!(offset_of!(Stat64, ino), 88);
    }

    #[test]
    fn stat64_holds_large_files() {
        let stat = Stat64::new(&STATUS);
        assert_eq!((stat.size, stat.blocks), ([0x4000_0000, 1], [10 << 20, 0]));
        assert_eq!((stat.low_ino, stat.ino), (2, [2, 1]));
        assert_eq!((stat.uid, stat.times), (70_000, [1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn stat_refuses_what_does_not_fit() {
        let fits = FileStatus { ino: 2, size: 0x7fff_ffff, ..STATUS };
        let stat = CompatStat::new(&fits).unwrap();
        assert_eq!((stat.size, stat.uid, stat.gid), (0x7fff_ffff, 65534, 100));
        let cases = [
            FileStatus { ino: 1 << 32, ..fits },
            FileStatus { size: 0x8000_0000, ..fits },
            FileStatus { nlink: 0x1_0000, ..fits },
        ];
        for status in cases {
            assert_eq!(CompatStat::new(&status).err(), Some(Errno::EOVERFLOW));
        }
    }
}
