//! Where a process is: its root and its working directory (chroot(2), chdir(2)).

use crate::clock::Clock;
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::Limits;
use crate::fs::image;
use crate::fs::tree::{default_root, root_over};
use crate::memory::{try_extend, try_with_capacity};
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_abi::boot_info::Range;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::PATH_MAX;

/// A process's root and working directory.
pub struct Places {
    /// `None`: no path was walked yet, so there is no tree.
    held: Option<Held>,
    /// Where the image lies that is below the root; empty, if there is none.
    image: Range,
    clock: Clock,
    limits: Limits,
}

/// The two of them.
#[derive(Clone)]
pub struct Held {
    /// `/`, which `..` does not lead out of.
    pub root: Arc<Dentry>,
    /// Where relative paths begin.
    pub directory: Arc<Dentry>,
}

impl Places {
    /// The root that a sandbox begins with: over an image ([`root_over`]), or where that
    /// is empty over nothing ([`default_root`]). It is made when it is first needed: many
    /// a program does without.
    pub const fn at_the_start(image: Range, clock: Clock, limits: Limits) -> Places {
        Places { held: None, image, clock, limits }
    }

    /// At this root.
    pub fn at_root(root: Arc<Dentry>, clock: Clock, limits: Limits) -> Places {
        let held = Some(Held { root: root.clone(), directory: root });
        Places { held, image: Range::ZERO, clock, limits }
    }

    /// The same, if there is a tree.
    pub const fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The root and the working directory.
    ///
    /// # Errors
    /// If they have to be made, ENOMEM, and those of [`image::root`].
    #[inline]
    pub fn get(&mut self) -> Result<&mut Held, Errno> {
        if self.held.is_none() {
            self.make()?;
        }
        self.held.as_mut().ok_or(Errno::ENOMEM)
    }

    #[cold]
    fn make(&mut self) -> Result<(), Errno> {
        let root = if self.image.is_empty() {
            default_root(self.clock, self.limits)?
        } else {
            let (lower, last_number) = image::root(self.image)?;
            root_over(lower, last_number, self.clock, self.limits)?
        };
        self.held = Some(Held { root: root.clone(), directory: root });
        Ok(())
    }
}

/// What a path leads to from the root of everything.
#[derive(Debug, PartialEq, Eq)]
pub enum Path {
    /// From the process's root.
    Within(Vec<u8>),
    /// From a directory that the process's root does not have.
    Outside(Vec<u8>),
    /// It was removed: what its path was.
    Deleted(Vec<u8>),
}

/// The path of a file, as getcwd(2) and /proc tell it.
///
/// # Errors
/// ENOMEM; ENAMETOOLONG for one that is longer than a path may be.
pub fn path_of(dentry: &Arc<Dentry>, root: &Arc<Dentry>) -> Result<Path, Errno> {
    let mut path = Backwards::new()?;
    let mut at = dentry.clone();
    let mut deleted = false;
    let outside = loop {
        if Arc::ptr_eq(&at, root) {
            break false;
        }
        let Some(parent) = at.parent() else { break true };
        deleted |= at.is_removed();
        at.with_name(|name| path.put(name))?;
        path.put(b"/")?;
        at = parent;
    };
    let path = path.end()?;
    Ok(match (deleted, outside) {
        (true, _) => Path::Deleted(path),
        (false, true) => Path::Outside(path),
        (false, false) => Path::Within(path),
    })
}

impl Path {
    /// As proc(5) shows it: of what was removed, with words behind it.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn shown(self) -> Result<Vec<u8>, Errno> {
        match self {
            Path::Within(path) | Path::Outside(path) => Ok(path),
            Path::Deleted(mut path) => try_extend(&mut path, b" (deleted)").map(|()| path),
        }
    }
}

/// The root of everything that a file is in.
pub fn top_of(dentry: &Arc<Dentry>) -> Arc<Dentry> {
    let mut top = dentry.clone();
    while let Some(parent) = top.parent() {
        top = parent;
    }
    top
}

/// A path that is written from its end.
struct Backwards {
    bytes: Vec<u8>,
    start: usize,
}

impl Backwards {
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    fn new() -> Result<Backwards, Errno> {
        let mut bytes = try_with_capacity(PATH_MAX)?;
        bytes.resize(PATH_MAX, 0);
        Ok(Backwards { bytes, start: PATH_MAX })
    }

    fn put(&mut self, part: &[u8]) -> Result<(), Errno> {
        let start = self.start.checked_sub(part.len()).ok_or(Errno::ENAMETOOLONG)?;
        self.bytes[start..self.start].copy_from_slice(part);
        self.start = start;
        Ok(())
    }

    /// The path from its beginning; `/` if it is empty.
    fn end(mut self) -> Result<Vec<u8>, Errno> {
        if self.start == self.bytes.len() {
            self.put(b"/")?;
        }
        self.bytes.drain(..self.start);
        Ok(self.bytes)
    }
}
