//! How much room there is in a file system: statfs(2), fstatfs(2), ustat(2).

use crate::fs::file::Kind;
use crate::fs::filesystem::FileSystem;
use crate::fs::status::{Space, space};
use crate::fs::walk::Last;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::file;
use crate::sys::path::named;
use crate::user::UserPtr;
use trapgate_abi::file::FileSystemStatus;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::AT_FDCWD;
use trapgate_uapi::fs::NAME_MAX;
use trapgate_uapi::statfs::{ST_RDONLY, ST_RELATIME, ST_VALID, Statfs};

fn statfs_of(filesystem: &FileSystem) -> Result<Statfs, Errno> {
    if let Some(lower) = &filesystem.space
        && let Some(status) = lower.space()?
    {
        return Ok(statfs_of_host(filesystem, &status));
    }
    let Space { kind, blocks, free, files, free_files, id } = space(filesystem);
    let read_only = if filesystem.is_read_only() { ST_RDONLY } else { 0 };
    Ok(Statfs {
        f_type: kind as i64,
        f_bsize: PAGE_SIZE as i64,
        f_blocks: blocks,
        f_bfree: free,
        f_bavail: free,
        f_files: files,
        f_ffree: free_files,
        f_fsid: [id as u32, (id >> 32) as u32],
        f_namelen: NAME_MAX as i64,
        f_frsize: PAGE_SIZE as i64,
        f_flags: ST_VALID | ST_RELATIME | read_only,
        f_spare: [0; 4],
    })
}

/// The same of a file system of the host's.
fn statfs_of_host(filesystem: &FileSystem, status: &FileSystemStatus) -> Statfs {
    let id = filesystem.device;
    Statfs {
        f_type: status.kind as i64,
        f_bsize: status.bsize as i64,
        f_blocks: status.blocks,
        f_bfree: status.bfree,
        f_bavail: status.bavail,
        f_files: status.files,
        f_ffree: status.ffree,
        f_fsid: [id as u32, (id >> 32) as u32],
        f_namelen: status.namelen as i64,
        f_frsize: status.frsize as i64,
        f_flags: ST_VALID | ST_RELATIME | ST_RDONLY,
        f_spare: [0; 4],
    }
}

/// What statfs(2) tells.
pub(super) fn of_path(path: UserPtr<u8>) -> Result<Statfs, Errno> {
    statfs_of(&named(AT_FDCWD, path, Last::Follow)?.inode.filesystem)
}

/// What fstatfs(2) tells; of a standard file, nothing is known.
pub(super) fn of_file(fd: u32) -> Result<Statfs, Errno> {
    match &file(fd)?.kind {
        Kind::Inode(file) => statfs_of(&file.dentry.inode.filesystem),
        Kind::Standard(_) => Err(Errno::ENOSYS),
    }
}

syscall_define! {
    /// statfs(2)
    fn statfs(path: UserPtr<u8>, buffer: UserPtr<Statfs>) {
        buffer.write(of_path(path)?).map(|()| 0)
    }
}
syscall_define! {
    /// fstatfs(2)
    fn fstatfs(fd: u32, buffer: UserPtr<Statfs>) { write_of_file(fd, buffer) }
}

fn write_of_file(fd: u32, buffer: UserPtr<Statfs>) -> SysResult {
    buffer.write(of_file(fd)?).map(|()| 0)
}
