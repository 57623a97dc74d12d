//! A directory of the host's: its names, and the files that they are.

use super::ask;
use super::buffer::Buffer;
use super::listing::Listing;
use super::node::{Node, Nodes};
use super::pages::Pages;
use super::release::release;
use crate::fs::dentry::name as copy;
use crate::fs::lower::{AHEAD, Lower, LowerContent, LowerInode, LowerName, Walked};
use crate::memory::{try_arc, try_box, try_with_capacity};
use crate::mm::object::clean;
use crate::mm::object::taken::{AT_ONCE, Begun, Taken};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::AtomicBool;
use spin::Mutex;
use trapgate_abi::file::{FileStatus, FileSystemStatus};
use trapgate_abi::hypercall::MAX_SEGMENTS_BESIDE_NAMES;
use trapgate_abi::hypercall::files::{Access, Found, MAX_WALK};
use trapgate_arch::phys;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::PATH_MAX;
use trapgate_uapi::stat::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK};
use trapgate_uapi::time::Timespec;

const _: () = assert!(AHEAD <= MAX_WALK);

/// A directory.
pub(super) struct Directory {
    pub(super) node: Arc<Node>,
    mount: Mount,
    listing: Mutex<Option<Arc<Listing>>>,
    /// Its names have changed since the host told what it is.
    pub(super) renamed: AtomicBool,
}

/// What a mount's files have in common.
#[derive(Clone)]
pub(super) struct Mount {
    /// The device of its root.
    pub(super) device: u64,
    /// Whether others change it.
    pub(super) changes: bool,
    /// Its files, if they are written there.
    pub(super) nodes: Option<Arc<Nodes>>,
}

impl Lower for Directory {
    fn lookup(&self, name: &[u8]) -> Result<Option<LowerInode>, Errno> {
        Ok(self.walk(&[name], false)?.pop())
    }

    #[expect(clippy::disallowed_methods, reason = "it has room for as many")]
    fn walk(&self, names: &[&[u8]], read: bool) -> Result<Walked, Errno> {
        let names = &names[..names.len().min(AHEAD)];
        let frames = read.then(|| {
            clean::make_room(AT_ONCE);
            Taken::new(AT_ONCE, MAX_SEGMENTS_BESIDE_NAMES)
        });
        let to = frames.as_ref().map_or(&[][..], Taken::runs);
        let walked = self.node.ask(|handle| ask::walk(handle, names, to));
        let mut begun = match (&walked, frames) {
            (Ok((_, Some(bytes))), Some(frames)) => Some(Begun { frames, bytes: *bytes }),
            (_, frames) => {
                frames.into_iter().for_each(Taken::untouched);
                None
            }
        };
        let walked = match walked {
            Err(Errno::ENOENT) => return Ok(Walked::new()),
            walked => walked?.0,
        };
        let mut files = Walked::new();
        let (mut above, mut failed) = (self.node.clone(), None);
        for (index, (name, found)) in names.iter().zip(&walked).enumerate() {
            if failed.is_some() {
                release(found.handle);
                continue;
            }
            let is_last = index + 1 == walked.len();
            let begun = if is_last { begun.take() } else { None };
            match self.found(&above, name, found, begun) {
                Ok((node, file)) => {
                    files.push(file);
                    above = node;
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if files.is_empty() => Err(error),
            // Whoever goes on finds out.
            _ => Ok(files),
        }
    }

    fn list(&self, from: u64, each: &mut dyn FnMut(LowerName) -> bool) -> Result<(), Errno> {
        let known = self.listing.lock().clone();
        // Who begins again sees what has changed.
        let listing = match known.filter(|_| from > 0 || !self.mount.changes) {
            Some(listing) => listing,
            None => {
                let listing = try_arc(Listing::fetch(&self.node)?)?;
                *self.listing.lock() = Some(listing.clone());
                listing
            }
        };
        listing.list(from, each);
        Ok(())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn changes(&self) -> bool {
        self.mount.changes
    }

    fn space(&self) -> Result<Option<FileSystemStatus>, Errno> {
        self.node.ask(ask::file_system).map(Some)
    }
}

impl Directory {
    /// What has been found here, or made, under this name.
    ///
    /// # Errors
    /// ENOMEM, EIO, as [`file`]; the handle goes back.
    pub(super) fn found(
        &self,
        above: &Arc<Node>,
        name: &[u8],
        found: &Found,
        begun: Option<Begun>,
    ) -> Result<(Arc<Node>, LowerInode), Errno> {
        let name = copy(name).inspect_err(|_| release(found.handle))?;
        let node = Node::found(above, name, found, self.mount.nodes.as_deref())?;
        if begun.is_some() {
            node.opened(found.handle, Access::Read);
        }
        let file = file(&node, found, &self.mount, begun)?;
        Ok((node, file))
    }
}

/// What was found in a mount, as the tree wants it, and perhaps its first bytes with it.
///
/// # Errors
/// ENOMEM; EIO for what no file can be, and what the host says.
pub(super) fn file(
    node: &Arc<Node>,
    found: &Found,
    mount: &Mount,
    begun: Option<Begun>,
) -> Result<LowerInode, Errno> {
    let status = &found.status;
    let mode = u32::try_from(status.mode).map_err(|_| Errno::EIO)?;
    let content = match mode & S_IFMT {
        S_IFREG if i64::try_from(status.size).is_err() => return Err(Errno::EIO),
        S_IFREG => {
            let pages = Pages::new(node, status, begun, mount.nodes.is_some());
            LowerContent::Regular(status.size, try_box(pages)?)
        }
        S_IFDIR => LowerContent::Directory(try_arc(Directory {
            node: node.clone(),
            mount: mount.clone(),
            listing: Mutex::new(None),
            renamed: AtomicBool::new(false),
        })?),
        S_IFLNK => LowerContent::Symlink(target(node)?),
        S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK => LowerContent::Special,
        _ => return Err(Errno::EIO),
    };
    Ok(LowerInode {
        number: number(status, mount.device),
        mode,
        uid: status.uid as u32,
        gid: status.gid as u32,
        links: u32::try_from(status.nlink).unwrap_or(u32::MAX),
        device: status.rdev,
        times: times(status),
        content,
    })
}

/// A file's number in its mount: the host's, and for those of other file systems that are
/// mounted there on the host, one that their device goes into.
const fn number(status: &FileStatus, device: u64) -> u64 {
    if status.dev == device {
        return status.ino;
    }
    // So that it is another one, whatever the two have in common.
    let apart = (status.dev ^ device).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    status.ino ^ (apart | 1 << 47) & ((1 << 48) - 1)
}

/// When it was read, modified, and changed.
pub(super) fn times(status: &FileStatus) -> [Timespec; 3] {
    [
        [status.atime, status.atime_nsec],
        [status.mtime, status.mtime_nsec],
        [status.ctime, status.ctime_nsec],
    ]
    .map(time)
}

const fn time([seconds, nanoseconds]: [u64; 2]) -> Timespec {
    Timespec { tv_sec: seconds as i64, tv_nsec: (nanoseconds % 1_000_000_000) as i64 }
}

/// A link's target.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
fn target(link: &Arc<Node>) -> Result<Vec<u8>, Errno> {
    let buffer = Buffer::new(1)?;
    let run = buffer.run();
    let length = link.ask(|handle| ask::read_link(handle, &[run]))?;
    let length = usize::try_from(length).ok().filter(|length| (1..PATH_MAX).contains(length));
    let length = length.ok_or(Errno::EIO)?;
    let mut target = try_with_capacity(length)?;
    target.resize(length, 0);
    phys::read_run(run.start, &mut target);
    Ok(target)
}
