//! A whole image looked through: whether all that can be reached from the root is in
//! order. Each inode is read and each name, but no file's bytes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::directory::Entry;
use crate::error::{Damage, Error};
use crate::image::Image;
use crate::inode::{FileType, Inode, Nid};
use crate::source::Source;

/// What there is in an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Inodes that have a name, the root among them.
    pub inodes: u64,
    /// Those of them that are directories.
    pub directories: u64,
    /// The sum of the sizes of regular files, in bytes.
    pub bytes: u64,
}

impl<S: Source> Image<S> {
    /// Looks all of it through.
    ///
    /// The memory that this takes is a multiple of the inodes that were found. All
    /// directories together can have no more bytes than the image, for each byte is
    /// one directory's: so the time is bounded by the image's length.
    pub fn check(&self) -> Result<Summary, Error> {
        let mut walk = Walk { image: self, seen: BTreeMap::new(), ahead: Vec::new(), listed: 0 };
        let root = self.inode(self.root())?;
        walk.seen.insert(root.nid, Seen { inode: root, names: 2 });
        walk.ahead.push((root, root.nid));
        while let Some((directory, parent)) = walk.ahead.pop() {
            walk.directory(directory, parent)?;
        }
        walk.summary()
    }
}

/// An inode, and by how many names it was met.
struct Seen {
    inode: Inode,
    /// Of a directory, 2 and those of the directories in it.
    names: u32,
}

struct Walk<'a, S> {
    image: &'a Image<S>,
    seen: BTreeMap<Nid, Seen>,
    /// Directories that were not looked into yet, each with its parent.
    ahead: Vec<(Inode, Nid)>,
    /// Bytes of all directories that were.
    listed: u64,
}

impl<S: Source> Walk<'_, S> {
    fn directory(&mut self, directory: Inode, parent: Nid) -> Result<(), Error> {
        let image = self.image;
        let damaged = |what| image.damaged(directory.nid, what);
        self.listed += directory.size;
        if self.listed > image.size() {
            return Err(damaged(Damage::Overlap));
        }
        let mut outcome = Ok(());
        let mut last = Vec::new();
        let mut dots = 0;
        image.list(&directory, 0, &mut |entry| {
            outcome = if entry.name <= last.as_slice() {
                Err(damaged(Damage::Order))
            } else {
                last.clear();
                last.extend_from_slice(entry.name);
                let is = |nid| (entry.nid == nid).then_some(()).ok_or(damaged(Damage::Parent));
                match entry.name {
                    b"." | b".." => {
                        dots += 1;
                        is(if entry.name == b"." { directory.nid } else { parent })
                    }
                    _ => self.entry(&directory, entry),
                }
            };
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        if dots == 2 { Ok(()) } else { Err(damaged(Damage::Parent)) }
    }

    fn entry(&mut self, directory: &Inode, entry: Entry<'_>) -> Result<(), Error> {
        let image = self.image;
        let damaged = |what| image.damaged(entry.nid, what);
        let inode = self.image.inode(entry.nid)?;
        if entry.file_type != Some(inode.file_type) {
            return Err(damaged(Damage::Type));
        }
        let is_directory = inode.file_type == FileType::Directory;
        match self.seen.get_mut(&entry.nid) {
            Some(_) if is_directory => return Err(damaged(Damage::Parent)),
            // More names than a number can say are more than the inode says.
            Some(seen) => seen.names = seen.names.saturating_add(1),
            None => {
                let names = if is_directory { 2 } else { 1 };
                self.seen.insert(entry.nid, Seen { inode, names });
            }
        }
        if is_directory {
            self.ahead.push((inode, directory.nid));
            let parent = self.seen.get_mut(&directory.nid);
            parent.into_iter().for_each(|seen| seen.names = seen.names.saturating_add(1));
        }
        Ok(())
    }

    fn summary(&self) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        for Seen { inode, names } in self.seen.values() {
            if inode.links != *names {
                return Err(self.image.damaged(inode.nid, Damage::LinkCount));
            }
            summary.inodes += 1;
            match inode.file_type {
                FileType::Directory => summary.directories += 1,
                FileType::Regular => summary.bytes = summary.bytes.saturating_add(inode.size),
                _ => {}
            }
        }
        Ok(summary)
    }
}
