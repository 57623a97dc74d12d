//! What a file takes of memory: fallocate(2); and advice about that, which has no effect:
//! posix_fadvise(2), readahead(2), sync_file_range(2).

use crate::fs::content::MAX_SIZE;
use crate::fs::file::{OpenFile, readable, writable};
use crate::fs::host;
use crate::fs::inode::Kind;
use crate::mm::object::Object;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::madvise::punch;
use crate::sys::pipe::pipe_of;
use crate::sys::write_limit::check_size;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::falloc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE};
use trapgate_uapi::fcntl::{POSIX_FADV_NOREUSE, SYNC_FILE_RANGE_ALL};

/// The content of a regular file, if it is one.
pub(super) fn content(file: &OpenFile) -> Option<&Arc<Object>> {
    match &file.as_inode()?.dentry.inode.kind {
        Kind::Regular(object) => Some(object),
        _ => None,
    }
}

/// fallocate(2) for either width: memory for a range of bytes, or none.
pub(super) fn allocate(fd: u32, mode: u32, offset: i64, length: i64) -> SysResult {
    let (Ok(start), true) = (u64::try_from(offset), length > 0) else {
        return Err(Errno::EINVAL);
    };
    let punches = match mode {
        0 | FALLOC_FL_KEEP_SIZE => false,
        FALLOC_PUNCH => true,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    let file = opened(fd)?;
    if !writable(file.flags()) {
        return Err(Errno::EBADF);
    }
    let inode = file.as_inode().map(|file| &file.dentry.inode).ok_or(Errno::ESPIPE)?;
    let object = match &inode.kind {
        Kind::Regular(object) => object,
        Kind::Fifo(_) => return Err(Errno::ESPIPE),
        _ => return Err(Errno::ENODEV),
    };
    let end = start.checked_add(length as u64).filter(|&end| end <= MAX_SIZE);
    let end = end.ok_or(Errno::EFBIG)?;
    if object.is_written_there() {
        check_size(object, end)?;
        return host::content::allocate(inode, mode, start, end).map(|()| 0);
    }
    if punches {
        object.check_seals(None)?;
        punch(object, start, end)?;
    } else {
        check_size(object, end)?;
        if mode == 0 {
            object.check_seals_of_size(end.max(object.size()))?;
        }
        object.allocate(start, end, mode == 0)?;
    }
    inode.modify();
    Ok(0)
}

/// A hole is made without the file getting shorter.
const FALLOC_PUNCH: u32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/// posix_fadvise(2) for either width.
pub(super) fn advise(fd: u32, length: i64, advice: u32) -> SysResult {
    let file = opened(fd)?;
    if file.as_standard().is_some_and(|file| file.is_stream()) || pipe_of(&file).is_some() {
        return Err(Errno::ESPIPE);
    }
    if length < 0 || advice > POSIX_FADV_NOREUSE { Err(Errno::EINVAL) } else { Ok(0) }
}

/// readahead(2) for either width.
pub(super) fn read_ahead(fd: u32) -> SysResult {
    let file = opened(fd)?;
    if !readable(file.flags()) {
        return Err(Errno::EBADF);
    }
    if content(&file).is_some() { Ok(0) } else { Err(Errno::EINVAL) }
}

/// sync_file_range(2) for either width.
pub(super) fn sync_range(fd: u32, offset: i64, length: i64, flags: u32) -> SysResult {
    let file = opened(fd)?;
    let end = offset.checked_add(length).filter(|_| offset >= 0 && length >= 0);
    if flags & !SYNC_FILE_RANGE_ALL != 0 || end.is_none() {
        return Err(Errno::EINVAL);
    }
    match file.as_inode().map(|file| &file.dentry.inode.kind) {
        Some(Kind::Regular(_) | Kind::Directory(_) | Kind::Symlink(_) | Kind::Block(_)) => Ok(0),
        _ => Err(Errno::ESPIPE),
    }
}

syscall_define! {
    /// fallocate(2)
    fn fallocate(fd: u32, mode: u32, offset: i64, length: i64) {
        allocate(fd, mode, offset, length)
    }
}
syscall_define! {
    /// posix_fadvise(2)
    fn fadvise64(fd: u32, _offset: i64, length: i64, advice: u32) { advise(fd, length, advice) }
}
syscall_define! {
    /// readahead(2)
    fn readahead(fd: u32, _offset: i64, _count: u64) { read_ahead(fd) }
}
syscall_define! {
    /// sync_file_range(2)
    fn sync_file_range(fd: u32, offset: i64, length: i64, flags: u32) {
        sync_range(fd, offset, length, flags)
    }
}
