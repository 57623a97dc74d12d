//! What stat(2) and statfs(2) tell of a file.

use crate::fs::dentry::Dentry;
use crate::fs::filesystem::FileSystem;
use crate::fs::inode::{Inode, Kind};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::stat::Stat;
use trapgate_uapi::time::Timespec;

/// What tmpfs says that a name takes: Linux's `BOGO_DIRENT_SIZE`.
const BYTES_OF_A_NAME: usize = 20;
/// Bytes of a block in `st_blocks`.
const BLOCK: u64 = 512;

/// stat(2), and when the file was made.
pub fn status(dentry: &Dentry) -> (Stat, Timespec) {
    let inode = &dentry.inode;
    let meta = inode.meta();
    let stat = Stat {
        st_dev: inode.filesystem.device,
        st_ino: inode.number,
        st_nlink: meta.links.into(),
        st_mode: inode.file_type() | meta.permissions,
        st_uid: meta.uid,
        st_gid: meta.gid,
        st_rdev: match inode.kind {
            Kind::Character(device) | Kind::Block(device) => device,
            _ => 0,
        },
        st_size: size(dentry) as i64,
        st_blksize: PAGE_SIZE as i64,
        st_blocks: blocks(inode) as i64,
        st_atime: meta.accessed.tv_sec as u64,
        st_atime_nsec: meta.accessed.tv_nsec as u64,
        st_mtime: meta.modified.tv_sec as u64,
        st_mtime_nsec: meta.modified.tv_nsec as u64,
        st_ctime: meta.changed.tv_sec as u64,
        st_ctime_nsec: meta.changed.tv_nsec as u64,
        ..Stat::default()
    };
    (stat, meta.born)
}

fn size(dentry: &Dentry) -> u64 {
    match &dentry.inode.kind {
        Kind::Regular(object) => object.size(),
        Kind::Symlink(target) => target.len() as u64,
        // Programs take another size for a change, and looking a name up is none. So
        // it is a block, as in a small directory of a disk.
        Kind::Directory(Some(_)) => PAGE_SIZE,
        Kind::Directory(None) => {
            // Two for `.` and `..`.
            let names = dentry.children().map_or(0, |children| children.names.len());
            ((names + 2) * BYTES_OF_A_NAME) as u64
        }
        _ => 0,
    }
}

fn blocks(inode: &Inode) -> u64 {
    match &inode.kind {
        Kind::Regular(object) => object.frames() * (PAGE_SIZE / BLOCK),
        _ => 0,
    }
}

/// statfs(2), in whole numbers: blocks are pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// `f_type`
    pub kind: u64,
    /// `f_blocks`
    pub blocks: u64,
    /// `f_bfree`, `f_bavail`
    pub free: u64,
    /// `f_files`
    pub files: u64,
    /// `f_ffree`
    pub free_files: u64,
    /// `f_fsid`
    pub id: u64,
}

/// How much room there is in a file system.
pub fn space(filesystem: &FileSystem) -> Space {
    let blocks = filesystem.frames.limit;
    let files = filesystem.most_nodes();
    Space {
        kind: filesystem.kind.magic,
        blocks,
        free: blocks.saturating_sub(filesystem.frames.used()),
        files,
        free_files: files.saturating_sub(filesystem.nodes()),
        id: filesystem.device,
    }
}
