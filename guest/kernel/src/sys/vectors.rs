//! Vectors with flags: preadv2(2), pwritev2(2).

use crate::fs::file::Kind;
use crate::fs::inode_file::At;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::file;
use crate::sys::read_write::{input, input_at, output, output_at, position, write_pieces};
use crate::user::{IoVecs, UserPtr, read_iovecs};
use trapgate_uapi::Errno;
use trapgate_uapi::uio::{
    Iovec, RWF_APPEND, RWF_DSYNC, RWF_HIPRI, RWF_NOAPPEND, RWF_NOWAIT, RWF_SYNC,
};

/// In the place of an offset: the file's position.
const AT_POSITION: i64 = -1;

/// Flags of one transfer. Files are as safe as they will be at once; none can say that it
/// would wait.
fn check(flags: u32) -> Result<(), Errno> {
    let both = RWF_APPEND | RWF_NOAPPEND;
    if flags & !(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | both) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    match flags {
        _ if flags & both == both => Err(Errno::EINVAL),
        _ if flags & RWF_NOWAIT != 0 => Err(Errno::EOPNOTSUPP),
        _ => Ok(()),
    }
}

/// preadv2(2) for either width; `ranges` are read when the offset is found to be good.
pub(super) fn read_with(
    fd: u32,
    ranges: impl FnOnce() -> Result<IoVecs, Errno>,
    offset: i64,
    flags: u32,
) -> SysResult {
    let at = if offset == AT_POSITION { None } else { Some(position(offset)?) };
    let (file, ranges) = (file(fd)?, ranges()?);
    if file.readable() {
        check(flags)?;
    }
    match at {
        None => input(&file, &ranges),
        Some(offset) => input_at(&file, &ranges, offset),
    }
}

/// pwritev2(2) for either width, in the same way.
pub(super) fn write_with(
    fd: u32,
    ranges: impl FnOnce() -> Result<IoVecs, Errno>,
    offset: i64,
    flags: u32,
) -> SysResult {
    let at = if offset == AT_POSITION { None } else { Some(position(offset)?) };
    let (file, ranges) = (file(fd)?, ranges()?);
    if file.writable() {
        check(flags)?;
    }
    let changes = flags & (RWF_APPEND | RWF_NOAPPEND) != 0;
    match (&file.kind, at) {
        (Kind::Inode(inode), _) if changes && file.writable() => {
            let at = at.map_or(At::Position, At::Offset);
            write_pieces(inode, &ranges, at, flags & RWF_APPEND != 0)
        }
        (Kind::Standard(_), _) if changes => Err(Errno::EOPNOTSUPP),
        (_, None) => output(&file, &ranges),
        (_, Some(offset)) => output_at(&file, &ranges, offset),
    }
}

syscall_define! {
    /// preadv2(2): the offset is in one register, as with Linux the next one is not read.
    fn preadv2(
        fd: u32,
        vectors: UserPtr<Iovec>,
        count: u64,
        offset: i64,
        _high: u64,
        flags: u32,
    ) {
        read_with(fd, || read_iovecs(vectors, count), offset, flags)
    }
}
syscall_define! {
    /// pwritev2(2): the same.
    fn pwritev2(
        fd: u32,
        vectors: UserPtr<Iovec>,
        count: u64,
        offset: i64,
        _high: u64,
        flags: u32,
    ) {
        write_with(fd, || read_iovecs(vectors, count), offset, flags)
    }
}
