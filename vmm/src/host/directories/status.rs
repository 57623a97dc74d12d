//! What a file is: statx(2) of a descriptor.

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::io;
use trapgate_abi::file::FileStatus;

/// What tells a file from others that have had its name: also from one that got its
/// number when it was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    number: u64,
    /// When it was made; zero, where the file system does not know.
    born: (i64, u32),
}

/// What the file of a descriptor is.
pub(super) fn of(fd: impl AsFd) -> io::Result<(FileStatus, Identity)> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let status = statx(fd, "", flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let device = makedev(status.stx_dev_major, status.stx_dev_minor);
    let time = |time: StatxTimestamp| (time.tv_sec.cast_unsigned(), time.tv_nsec.into());
    let (atime, atime_nsec) = time(status.stx_atime);
    let (mtime, mtime_nsec) = time(status.stx_mtime);
    let (ctime, ctime_nsec) = time(status.stx_ctime);
    let has_birth = status.stx_mask & StatxFlags::BTIME.bits() != 0;
    let birth = status.stx_btime;
    let born = if has_birth { (birth.tv_sec, birth.tv_nsec) } else { (0, 0) };
    let identity = Identity { device, number: status.stx_ino, born };
    let file = FileStatus {
        dev: device,
        ino: status.stx_ino,
        mode: status.stx_mode.into(),
        nlink: status.stx_nlink.into(),
        uid: status.stx_uid.into(),
        gid: status.stx_gid.into(),
        rdev: makedev(status.stx_rdev_major, status.stx_rdev_minor),
        size: status.stx_size,
        blksize: status.stx_blksize.into(),
        blocks: status.stx_blocks,
        atime,
        atime_nsec,
        mtime,
        mtime_nsec,
        ctime,
        ctime_nsec,
    };
    Ok((file, identity))
}
