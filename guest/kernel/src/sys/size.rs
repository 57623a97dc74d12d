//! How long a file is: truncate(2), ftruncate(2); and that it is safe: fsync(2), sync(2).

use crate::fs::access::WRITE;
use crate::fs::file::Kind;
use crate::fs::filesystem::Changed;
use crate::fs::host;
use crate::fs::inode;
use crate::fs::open::truncate as truncate_inode;
use crate::fs::walk::Last;
use crate::fs::write_rules::MAX_NON_LFS;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::path::{named, view};
use crate::sys::write_limit::{check_size, check_size_of};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{AT_FDCWD, O_LARGEFILE};

/// A size, which is checked first.
fn size(size: i64) -> Result<u64, Errno> {
    u64::try_from(size).map_err(|_| Errno::EINVAL)
}

/// truncate(2) for either width.
pub(super) fn truncate_path(path: UserPtr<u8>, length: i64) -> SysResult {
    let length = size(length)?;
    let dentry = named(AT_FDCWD, path, Last::Follow)?;
    let inode = &dentry.inode;
    if inode.is_directory() {
        return Err(Errno::EISDIR);
    }
    let view = view();
    view.who.may(inode, WRITE)?;
    if let inode::Kind::Regular(object) = &inode.kind {
        check_size(object, length)?;
    }
    truncate_inode(&view, inode, length).map(|()| 0)
}

/// ftruncate(2) for either width.
pub(super) fn truncate_file(fd: u32, length: i64) -> SysResult {
    let length = size(length)?;
    let file = opened(fd)?;
    match &file.kind {
        Kind::Inode(inode) if file.writable() => {
            if file.flags() & O_LARGEFILE == 0 && length > MAX_NON_LFS {
                return Err(Errno::EINVAL);
            }
            check_size_of(&file, length)?;
            truncate_inode(&view(), &inode.dentry.inode, length).map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

syscall_define! {
    /// truncate(2)
    fn truncate(path: UserPtr<u8>, length: i64) { truncate_path(path, length) }
}
syscall_define! {
    /// ftruncate(2)
    fn ftruncate(fd: u32, length: i64) { truncate_file(fd, length) }
}

/// Files in memory are as safe as they will be; of others the host sees to it.
fn synchronize(fd: u32, data_only: bool) -> SysResult {
    match &opened(fd)?.kind {
        Kind::Inode(file) if file.dentry.inode.filesystem.changed == Changed::There => {
            host::content::synchronize(&file.dentry, data_only).map(|()| 0)
        }
        Kind::Inode(file) if !matches!(file.dentry.inode.kind, inode::Kind::Fifo(_)) => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
syscall_define! {
    /// fsync(2)
    fn fsync(fd: u32) { synchronize(fd, false) }
}
syscall_define! {
    /// fdatasync(2)
    fn fdatasync(fd: u32) { synchronize(fd, true) }
}
syscall_define! {
    /// syncfs(2)
    fn syncfs(fd: u32) { opened(fd).map(|_| 0) }
}
syscall_define! {
    /// sync(2)
    fn sync() { Ok(0) }
}
