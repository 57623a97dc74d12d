//! What stat(2) and statfs(2) tell of a file.

use crate::fs::dentry::Dentry;
use crate::fs::filesystem::FileSystem;
use crate::fs::host::names;
use crate::fs::inode::{Inode, Kind};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::stat::{S_IFDIR, S_IFLNK, S_IFREG, Stat};
use trapgate_uapi::time::Timespec;

/// What `st_blocks` counts.
const BLOCK: u64 = 512;
/// What tmpfs says that a name takes: Linux's `BOGO_DIRENT_SIZE`.
const BYTES_OF_A_NAME: usize = 20;

/// What a file's kind says of its status.
struct Content {
    file_type: u32,
    size: u64,
    blocks: u64,
    device: u64,
}

/// stat(2)
pub fn status(dentry: &Dentry) -> Stat {
    let inode = &*dentry.inode;
    let content = content(dentry, inode);
    inode.with_meta(|meta| Stat {
        st_dev: inode.filesystem.device,
        st_ino: inode.number,
        st_nlink: meta.links.into(),
        st_mode: content.file_type | meta.permissions,
        st_uid: meta.uid,
        st_gid: meta.gid,
        st_rdev: content.device,
        st_size: content.size as i64,
        st_blksize: PAGE_SIZE as i64,
        st_blocks: content.blocks as i64,
        st_atime: meta.accessed.tv_sec as u64,
        st_atime_nsec: meta.accessed.tv_nsec as u64,
        st_mtime: meta.modified.tv_sec as u64,
        st_mtime_nsec: meta.modified.tv_nsec as u64,
        st_ctime: meta.changed.tv_sec as u64,
        st_ctime_nsec: meta.changed.tv_nsec as u64,
        ..Stat::default()
    })
}

/// When the file was made, for statx(2).
pub fn born(dentry: &Dentry) -> Timespec {
    dentry.inode.with_meta(|meta| meta.born)
}

#[inline(always)]
fn content(dentry: &Dentry, inode: &Inode) -> Content {
    let (file_type, size, blocks) = match &inode.kind {
        Kind::Regular(object) => (S_IFREG, object.size(), object.blocks()),
        // Programs take another size for a change, and looking a name up is none. So
        // it is a block, as in a small directory of a disk.
        Kind::Directory(Some(_)) => {
            names::look_again(dentry);
            (S_IFDIR, PAGE_SIZE, PAGE_SIZE / BLOCK)
        }
        Kind::Directory(None) => {
            // Two for `.` and `..`.
            let names = dentry.children().map_or(0, |children| children.names.len());
            (S_IFDIR, ((names + 2) * BYTES_OF_A_NAME) as u64, 0)
        }
        Kind::Symlink(target) => (S_IFLNK, target.len() as u64, 0),
        Kind::Character(device) | Kind::Block(device) => {
            let (file_type, device) = (inode.file_type(), *device);
            return Content { file_type, size: 0, blocks: 0, device };
        }
        _ => (inode.file_type(), 0, 0),
    };
    Content { file_type, size, blocks, device: 0 }
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
