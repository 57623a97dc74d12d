//! Files in memory over those of a lower directory.

use crate::fs::filesystem::FileSystem;
use crate::fs::inode::{Below, Inode, Kind, Linked, Meta};
use crate::fs::lower::{LowerContent, LowerInode};
use crate::fs::pipe::Pipe;
use crate::memory::try_arc;
use crate::mm::object::Object;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::stat::{
    S_IALLUGO, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK,
};

/// A file in memory over one of a lower directory.
///
/// # Errors
/// ENOMEM, ENOSPC; EIO, if content and type do not go together.
pub fn node_over(
    lower: LowerInode,
    below: &Below,
    filesystem: &Arc<FileSystem>,
) -> Result<Arc<Inode>, Errno> {
    let has_names = lower.links > 1 && lower.mode & S_IFMT != S_IFDIR;
    if has_names && let Some(known) = below.linked.get(lower.number) {
        return Ok(known);
    }
    let (number, meta) = (lower.number, meta_of(&lower));
    let kind = kind_of(lower, &below.linked, filesystem)?;
    let inode = Inode::over(filesystem, number, kind, meta)?;
    if has_names { below.linked.note(inode) } else { Ok(inode) }
}

/// What stat(2) tells of a lower file.
pub fn meta_of(lower: &LowerInode) -> Meta {
    let permissions = lower.mode & S_IALLUGO;
    let links = lower.links.max(1);
    let [accessed, modified, changed] = lower.times;
    let meta = Meta::at(modified, permissions, lower.uid, lower.gid);
    Meta { links, accessed, changed, ..meta }
}

/// What a file over a lower one is.
///
/// # Errors
/// ENOMEM; EIO, if content and type do not go together.
pub fn kind_of(
    lower: LowerInode,
    linked: &Arc<Linked>,
    filesystem: &FileSystem,
) -> Result<Kind, Errno> {
    Ok(match (lower.content, lower.mode & S_IFMT) {
        (LowerContent::Regular(size, pager), S_IFREG) => {
            Kind::Regular(Object::over(size, filesystem.frames.clone(), pager)?)
        }
        (LowerContent::Directory(directory), S_IFDIR) => {
            Kind::Directory(Some(Below { directory, linked: linked.clone() }))
        }
        (LowerContent::Symlink(target), S_IFLNK) => Kind::Symlink(target),
        (LowerContent::Special, S_IFCHR) => Kind::Character(lower.device),
        (LowerContent::Special, S_IFBLK) => Kind::Block(lower.device),
        (LowerContent::Special, S_IFIFO) => Kind::Fifo(try_arc(Pipe::default())?),
        (LowerContent::Special, S_IFSOCK) => Kind::Socket,
        _ => return Err(Errno::EIO),
    })
}
