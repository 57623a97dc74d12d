//! The tree that entries are put into.
//!
//! Paths are followed as if the tree were the root: an absolute name begins there,
//! `..` does not lead out of it, and neither does a link on the way, wherever it points
//! to. Directories that no entry has named are made as they are needed. What comes
//! later covers what was there; a directory keeps what is in it.

use super::error::Refused;
use super::spool::Content;
use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of the longest name in a directory, `NAME_MAX`.
const NAME_MAX: usize = 255;
/// Bytes of the longest path, `PATH_MAX`.
const PATH_MAX: usize = 4096;
/// Directories below each other: as many as a path can name.
const DEEPEST: u32 = 2048;
/// Links that are followed in one path, as Linux does (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// A node's number.
pub(crate) type Id = u32;

/// What every node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Permissions, set-user-ID and the like: twelve bits.
    pub(crate) mode: u16,
    /// Whose it is.
    pub(crate) uid: u32,
    /// Whose group's.
    pub(crate) gid: u32,
    /// When it was written: seconds since 1970, and nanoseconds.
    pub(crate) mtime: (i64, u32),
}

impl Meta {
    /// Of a directory that no entry has named.
    const IMPLIED: Meta = Meta { mode: 0o755, uid: 0, gid: 0, mtime: (0, 0) };
}

/// A file, whatever kind of one.
#[derive(Debug)]
pub(crate) struct Node {
    /// What every node has.
    pub(crate) meta: Meta,
    /// What it is.
    pub(crate) kind: Kind,
}

/// Major and minor number of a device.
pub(crate) type Device = (u32, u32);

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    Directory(Directory),
    Regular(Content),
    Symlink(Box<[u8]>),
    Character(Device),
    Block(Device),
    Fifo,
    Socket,
}

/// Names, and what they are names of.
#[derive(Debug)]
pub(crate) struct Directory {
    entries: BTreeMap<Box<[u8]>, Link>,
    parent: Id,
    depth: u32,
}

impl Directory {
    /// A new one, which gets its place when it is added.
    pub(crate) fn new() -> Directory {
        Directory { entries: BTreeMap::new(), parent: Tree::ROOT, depth: 0 }
    }

    /// Its names in ascending order, each with its node.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], Id)> {
        self.entries.iter().map(|(name, link)| (&**name, link.node))
    }
}

#[derive(Clone, Copy, Debug)]
struct Link {
    node: Id,
    /// The layer that has put it there.
    layer: u32,
}

/// A root directory and what is below it.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Those that were given a further name.
    named_again: BTreeSet<Id>,
    layer: u32,
}

impl Tree {
    /// The number of the root directory.
    pub(crate) const ROOT: Id = 0;

    /// An empty root directory.
    pub(crate) fn new() -> Tree {
        let root = Node { meta: Meta::IMPLIED, kind: Kind::Directory(Directory::new()) };
        Tree { nodes: vec![root], named_again: BTreeSet::new(), layer: 0 }
    }

    /// A node.
    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// Whether a node may have several names.
    pub(crate) fn has_names(&self, id: Id) -> bool {
        self.named_again.contains(&id)
    }

    /// The bytes of a regular file, by a path without links.
    pub(crate) fn regular(&self, path: &[u8]) -> Option<Content> {
        let mut node = self.node(Tree::ROOT);
        for name in path.split(|byte| *byte == b'/') {
            let Kind::Directory(directory) = &node.kind else { return None };
            node = self.node(directory.entries.get(name)?.node);
        }
        match node.kind {
            Kind::Regular(content) => Some(content),
            _ => None,
        }
    }

    /// What is added now is a layer above all that there is.
    pub(super) fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Puts a node where `path` names one.
    pub(super) fn add(&mut self, path: &[u8], meta: Meta, kind: Kind) -> Result<Id, Refused> {
        if let Kind::Symlink(target) = &kind {
            check_target(target)?;
        }
        let (parent, name) = self.place(path)?;
        let Some(name) = name else {
            // The directory itself: the root, mostly.
            return match kind {
                Kind::Directory(_) => {
                    self.nodes[parent as usize].meta = meta;
                    Ok(parent)
                }
                _ if parent == Tree::ROOT => Err(Refused::Root),
                _ => Err(Refused::NoName),
            };
        };
        if let Kind::Directory(_) = kind
            && let Some(link) = self.directory_mut(parent).entries.get(name).copied()
            && let Kind::Directory(_) = self.node(link.node).kind
        {
            self.nodes[link.node as usize].meta = meta;
            self.put(parent, name, link.node);
            return Ok(link.node);
        }
        self.make(parent, name, Node { meta, kind })
    }

    /// Gives a node a further name.
    pub(super) fn link(&mut self, path: &[u8], node: Id) -> Result<(), Refused> {
        if let Kind::Directory(_) = self.node(node).kind {
            return Err(Refused::LinkToDirectory);
        }
        match self.place(path)? {
            (parent, Some(name)) => self.put(parent, name, node),
            (Tree::ROOT, None) => return Err(Refused::Root),
            (_, None) => return Err(Refused::NoName),
        }
        self.named_again.insert(node);
        Ok(())
    }

    /// Gives a file other bytes.
    pub(super) fn fill(&mut self, node: Id, bytes: Content) {
        if let Kind::Regular(content) = &mut self.nodes[node as usize].kind {
            *content = bytes;
        }
    }

    /// The node that `path` names, if there is one; it may be a link itself.
    pub(super) fn find(&mut self, path: &[u8]) -> Result<Option<Id>, Refused> {
        let (parent, name) = self.place(path)?;
        let Some(name) = name else { return Ok(Some(parent)) };
        Ok(self.directory_mut(parent).entries.get(name).map(|link| link.node))
    }

    /// Takes away what lower layers have at `path`.
    pub(super) fn hide(&mut self, path: &[u8]) -> Result<(), Refused> {
        if let (parent, Some(name)) = self.place(path)? {
            self.hide_entry(parent, name);
        }
        Ok(())
    }

    /// Takes away what lower layers have in the directory at `path`.
    pub(super) fn hide_all(&mut self, path: &[u8]) -> Result<(), Refused> {
        let directory = self.enter(Tree::ROOT, path)?;
        self.hide_entries(directory);
        Ok(())
    }

    fn hide_entries(&mut self, directory: Id) {
        let names: Vec<_> = self.directory_mut(directory).entries.keys().cloned().collect();
        names.iter().for_each(|name| self.hide_entry(directory, name));
    }

    /// The same of one entry. A directory that this layer has something in stays. Calls
    /// itself, [`DEEPEST`] times at most.
    fn hide_entry(&mut self, parent: Id, name: &[u8]) {
        let Some(link) = self.directory_mut(parent).entries.get(name).copied() else { return };
        let mut stays = link.layer == self.layer;
        if let Kind::Directory(_) = self.node(link.node).kind {
            self.hide_entries(link.node);
            stays |= !self.directory_mut(link.node).entries.is_empty();
        }
        if !stays {
            self.directory_mut(parent).entries.remove(name);
        }
    }

    /// The directory that the last name of `path` is in, and that name; none if the path
    /// names a directory by `.`, `..` or nothing.
    fn place<'a>(&mut self, path: &'a [u8]) -> Result<(Id, Option<&'a [u8]>), Refused> {
        if path.contains(&0) {
            return Err(Refused::Nul);
        }
        if path.len() > PATH_MAX {
            return Err(Refused::LongPath);
        }
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, name) = path[..end].split_at(start);
        match name {
            b"" | b"." | b".." => Ok((self.enter(Tree::ROOT, &path[..end])?, None)),
            name if name.len() > NAME_MAX => Err(Refused::LongName),
            name => Ok((self.enter(Tree::ROOT, directory)?, Some(name))),
        }
    }

    /// Goes from a directory along `path`, and makes what is not there.
    fn enter(&mut self, from: Id, path: &[u8]) -> Result<Id, Refused> {
        let mut current = from;
        let mut links = 0;
        let mut path = Cow::Borrowed(path);
        let mut at = 0;
        while at < path.len() {
            let rest = &path[at..];
            let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let name = &rest[..length];
            at += length + 1;
            match name {
                b"" | b"." => continue,
                b".." => {
                    current = self.directory_mut(current).parent;
                    continue;
                }
                name if name.len() > NAME_MAX => return Err(Refused::LongName),
                _ => {}
            }
            let found = self.directory_mut(current).entries.get(name).map(|link| link.node);
            current = match found.map(|node| (node, &self.node(node).kind)) {
                Some((node, Kind::Directory(_))) => node,
                Some((_, Kind::Symlink(target))) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Refused::Circle);
                    }
                    let start = if target.starts_with(b"/") { Tree::ROOT } else { current };
                    let rest = path.get(at..).unwrap_or_default();
                    path = Cow::Owned([target, &b"/"[..], rest].concat());
                    at = 0;
                    start
                }
                // What is no directory is covered by one.
                _ => self.make(
                    current,
                    name,
                    Node { meta: Meta::IMPLIED, kind: Kind::Directory(Directory::new()) },
                )?,
            };
        }
        Ok(current)
    }

    /// Puts a new node into a directory.
    fn make(&mut self, parent: Id, name: &[u8], mut node: Node) -> Result<Id, Refused> {
        if let Kind::Directory(directory) = &mut node.kind {
            directory.parent = parent;
            directory.depth = self.directory_mut(parent).depth + 1;
            if directory.depth > DEEPEST {
                return Err(Refused::TooDeep);
            }
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(node);
        self.put(parent, name, id);
        Ok(id)
    }

    /// Has a name in a directory name this node.
    fn put(&mut self, parent: Id, name: &[u8], node: Id) {
        let link = Link { node, layer: self.layer };
        match self.directory_mut(parent).entries.entry(name.into()) {
            Entry::Occupied(mut there) => drop(there.insert(link)),
            Entry::Vacant(place) => drop(place.insert(link)),
        }
    }

    /// The directory of this number, which must be one's.
    fn directory_mut(&mut self, id: Id) -> &mut Directory {
        match &mut self.nodes[id as usize].kind {
            Kind::Directory(directory) => directory,
            other => unreachable!("{other:?} is no directory"),
        }
    }
}

/// Whether a link may point there.
fn check_target(target: &[u8]) -> Result<(), Refused> {
    match target {
        [] => Err(Refused::EmptyLink),
        _ if target.contains(&0) => Err(Refused::Nul),
        _ if target.len() >= PATH_MAX => Err(Refused::LongPath),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
