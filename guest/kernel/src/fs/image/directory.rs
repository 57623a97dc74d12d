//! A directory of an image: its names, and the files that they are.

use super::pages::Pages;
use super::slot::{Image, errno};
use crate::fs::lower::{Lower, LowerContent, LowerInode, LowerName};
use crate::memory::{try_arc, try_box, try_with_capacity};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use trapgate_erofs::{FileType, Inode, Nid};
use trapgate_uapi::Errno;
use trapgate_uapi::dirent::{DT_BLK, DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK, DT_UNKNOWN};
use trapgate_uapi::time::Timespec;

/// The longest directory, in bytes: a cookie is a place in it, and has 30 bits.
const MOST_BYTES: u64 = (1 << 30) - trapgate_erofs::BLOCK_SIZE;

/// A directory.
struct Directory {
    image: Arc<Image>,
    inode: Inode,
}

impl Lower for Directory {
    fn lookup(&self, name: &[u8]) -> Result<Option<LowerInode>, Errno> {
        let Some(nid) = self.image.lookup(&self.inode, name).map_err(errno)? else {
            return Ok(None);
        };
        let inode = self.image.inode(nid).map_err(errno)?;
        if inode.file_type == FileType::Directory {
            self.must_be_above(&inode)?;
        }
        file(&self.image, inode).map(Some)
    }

    fn list(&self, from: u64, each: &mut dyn FnMut(LowerName) -> bool) -> Result<(), Errno> {
        let listed = self.image.list(&self.inode, from, &mut |entry| {
            let name = LowerName {
                name: entry.name,
                number: entry.nid.0,
                kind: kind(entry.file_type),
                next: entry.next,
            };
            if matches!(entry.name, b"." | b"..") || each(name) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        listed.map_err(errno)
    }
}

impl Directory {
    /// A directory has one parent, which it names. So whoever goes down in an image does
    /// not come back to where he was: directories that go round end here.
    fn must_be_above(&self, below: &Inode) -> Result<(), Errno> {
        let parent = self.image.lookup(below, b"..").map_err(errno)?;
        let is_root = below.nid == self.image.root();
        if parent == Some(self.inode.nid) && !is_root { Ok(()) } else { Err(Errno::EUCLEAN) }
    }
}

/// A file of the image, as the tree wants it.
///
/// # Errors
/// ENOMEM; EUCLEAN, EIO.
pub(super) fn file(image: &Arc<Image>, inode: Inode) -> Result<LowerInode, Errno> {
    let content = match inode.file_type {
        FileType::Directory if inode.size > MOST_BYTES => return Err(Errno::EUCLEAN),
        FileType::Directory => {
            LowerContent::Directory(try_arc(Directory { image: image.clone(), inode })?)
        }
        FileType::Regular => LowerContent::Regular(inode.size, try_box(Pages::new(image, inode))?),
        FileType::Symlink => LowerContent::Symlink(target(image, &inode)?),
        _ => LowerContent::Special,
    };
    let Nid(number) = inode.nid;
    let modified =
        Timespec { tv_sec: inode.modified.seconds, tv_nsec: inode.modified.nanoseconds.into() };
    Ok(LowerInode {
        number,
        mode: (inode.file_type.mode() | inode.permissions).into(),
        uid: inode.uid,
        gid: inode.gid,
        links: inode.links,
        device: inode.device.encode().unwrap_or(0).into(),
        times: [modified; 3],
        content,
    })
}

#[expect(clippy::disallowed_methods, reason = "it is reserved")]
fn target(image: &Image, inode: &Inode) -> Result<Vec<u8>, Errno> {
    // At most PATH_MAX.
    let len = inode.size as usize;
    let mut target = try_with_capacity(len)?;
    target.resize(len, 0);
    image.read_link(inode, &mut target).map_err(errno)?;
    Ok(target)
}

/// `DT_*`
fn kind(file_type: Option<FileType>) -> u8 {
    match file_type {
        Some(FileType::Regular) => DT_REG,
        Some(FileType::Directory) => DT_DIR,
        Some(FileType::Character) => DT_CHR,
        Some(FileType::Block) => DT_BLK,
        Some(FileType::Fifo) => DT_FIFO,
        Some(FileType::Socket) => DT_SOCK,
        Some(FileType::Symlink) => DT_LNK,
        None => DT_UNKNOWN,
    }
}
