//! The tree of files that an image is made of, put together file by file.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{Device, FileType, LINK_MAX, NAME_MAX, Time};

/// What a file has besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The lower twelve bits of st_mode; others are left out.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was modified last.
    pub modified: Time,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<C> {
    /// A directory: it becomes one with files by adding those.
    Directory,
    /// A regular file.
    Regular {
        /// How many bytes it has.
        size: u64,
        /// Where they come from, when the image is written.
        content: C,
    },
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A character device.
    Character(Device),
    /// A block device.
    Block(Device),
    /// A fifo.
    Fifo,
    /// A socket's name.
    Socket,
}

impl<C> Body<C> {
    /// The kind of file that it is.
    pub fn file_type(&self) -> FileType {
        match self {
            Self::Directory => FileType::Directory,
            Self::Regular { .. } => FileType::Regular,
            Self::Symlink(_) => FileType::Symlink,
            Self::Character(_) => FileType::Character,
            Self::Block(_) => FileType::Block,
            Self::Fifo => FileType::Fifo,
            Self::Socket => FileType::Socket,
        }
    }
}

/// Why a file does not become part of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {what}")]
pub struct TreeError {
    /// Which; bytes that are not printed as they are are escaped.
    pub path: String,
    /// Why.
    pub what: Problem,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// A part of the path is empty, `.`, `..`, or has a NUL.
    #[error("the path has a part that is no file's name (empty, `.`, `..`, or with a NUL in it)")]
    Name,
    /// A part of the path has more than 255 bytes.
    #[error("the path has a part of more than 255 bytes")]
    NameTooLong,
    /// There is no such directory to put it into.
    #[error("there is no directory for it")]
    NoDirectory,
    /// A part of the path before the last is no directory. Links are not followed.
    #[error("it would be in something that is no directory")]
    NotADirectory,
    /// What a hard link names is not there.
    #[error("it is a link to a file that is not there")]
    NoSuchFile,
    /// What a hard link names is a directory.
    #[error("it is a hard link to a directory")]
    LinkToDirectory,
    /// A symbolic link's target is empty, has a NUL, or more than 4095 bytes.
    #[error("the link's target is empty, has a NUL in it, or more than 4095 bytes")]
    Target,
    /// A device's numbers have more than 12 and 20 bits.
    #[error("the device's number is too large")]
    Device,
    /// A time with more nanoseconds than a second has.
    #[error("the time has more than 999,999,999 nanoseconds")]
    Time,
}

/// The number of the root among the nodes.
pub(super) const ROOT: usize = 0;

pub(super) struct Node<C> {
    pub(super) attributes: Attributes,
    pub(super) body: Body<C>,
    /// Of a directory, its files by name.
    pub(super) entries: BTreeMap<Vec<u8>, usize>,
}

/// Files by their paths.
///
/// A path is names with `/` between them, none before the first: the root's is empty.
/// It is taken as it is. `..` is refused and links are not followed, so that nothing
/// an archive says leads out of the tree, or to another place than it seems to.
pub struct Tree<C> {
    /// Some may have no name any more.
    pub(super) nodes: Vec<Node<C>>,
}

impl<C> Tree<C> {
    /// A root directory with nothing in it.
    pub fn new(root: Attributes) -> Self {
        let node = Node { attributes: root, body: Body::Directory, entries: BTreeMap::new() };
        Self { nodes: vec![node] }
    }

    /// Adds a file. What has this name is replaced, with all that is in it, as if it
    /// had been removed before; but a directory that becomes a directory keeps its
    /// files, and so does the root, which can become nothing else.
    pub fn add(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        body: Body<C>,
    ) -> Result<(), TreeError> {
        let result = valid(&attributes, &body).and_then(|()| self.put(path, attributes, body));
        result.map_err(|what| error(path, what))
    }

    fn put(&mut self, path: &[u8], attributes: Attributes, body: Body<C>) -> Result<(), Problem> {
        let is_directory = body.file_type() == FileType::Directory;
        if let Some(there) = self.find(path)?
            && (there == ROOT || is_directory && self.is_directory(there))
        {
            if !is_directory {
                return Err(Problem::Name);
            }
            self.nodes[there].attributes = attributes;
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        let new = self.nodes.len();
        self.nodes.push(Node { attributes, body, entries: BTreeMap::new() });
        self.nodes[parent].entries.insert(name.to_vec(), new);
        Ok(())
    }

    /// Gives a file a further name. What has this name is replaced.
    pub fn link(&mut self, path: &[u8], existing: &[u8]) -> Result<(), TreeError> {
        self.put_link(path, existing).map_err(|what| error(path, what))
    }

    fn put_link(&mut self, path: &[u8], existing: &[u8]) -> Result<(), Problem> {
        let node = self.find(existing)?.ok_or(Problem::NoSuchFile)?;
        if self.is_directory(node) {
            return Err(Problem::LinkToDirectory);
        }
        let (parent, name) = self.parent(path)?;
        self.nodes[parent].entries.insert(name.to_vec(), node);
        Ok(())
    }

    /// Removes a name, and all below it; whether it was there.
    pub fn remove(&mut self, path: &[u8]) -> Result<bool, TreeError> {
        let mut remove = || {
            let (parent, name) = self.parent(path)?;
            Ok(self.nodes[parent].entries.remove(name).is_some())
        };
        remove().map_err(|what| error(path, what))
    }

    /// What has this path: none, if there is no such name, or a part before the last
    /// is no directory.
    pub fn get(&self, path: &[u8]) -> Option<(&Attributes, &Body<C>)> {
        let node = &self.nodes[self.find(path).ok().flatten()?];
        Some((&node.attributes, &node.body))
    }

    /// The names in a directory, in order; none if it is no directory.
    pub fn names(&self, path: &[u8]) -> impl Iterator<Item = &[u8]> {
        let node = self.find(path).ok().flatten().map(|node| &self.nodes[node]);
        node.into_iter().flat_map(|node| node.entries.keys().map(Vec::as_slice))
    }

    fn is_directory(&self, node: usize) -> bool {
        self.nodes[node].body.file_type() == FileType::Directory
    }

    /// The node that has a path; an error, if it cannot be anybody's.
    fn find(&self, path: &[u8]) -> Result<Option<usize>, Problem> {
        let mut node = ROOT;
        if path.is_empty() {
            return Ok(Some(ROOT));
        }
        for name in path.split(|byte| *byte == b'/') {
            check_name(name)?;
            if !self.is_directory(node) {
                return Err(Problem::NotADirectory);
            }
            match self.nodes[node].entries.get(name) {
                Some(next) => node = *next,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    /// The directory that a path's last name is in, and that name.
    fn parent<'a>(&self, path: &'a [u8]) -> Result<(usize, &'a [u8]), Problem> {
        let end = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = match end {
            // Nothing is above the root, which has no name.
            Some(0) => return Err(Problem::Name),
            Some(end) => (&path[..end], &path[end + 1..]),
            None => (&path[..0], path),
        };
        check_name(name)?;
        let parent = self.find(above)?.ok_or(Problem::NoDirectory)?;
        if self.is_directory(parent) { Ok((parent, name)) } else { Err(Problem::NotADirectory) }
    }
}

fn error(path: &[u8], what: Problem) -> TreeError {
    TreeError { path: show(path), what }
}

/// A path for people.
pub(super) fn show(path: &[u8]) -> String {
    format!("/{}", path.escape_ascii())
}

fn check_name(name: &[u8]) -> Result<(), Problem> {
    match name {
        b"" | b"." | b".." => Err(Problem::Name),
        name if name.contains(&0) => Err(Problem::Name),
        name if name.len() > NAME_MAX => Err(Problem::NameTooLong),
        _ => Ok(()),
    }
}

fn valid<C>(attributes: &Attributes, body: &Body<C>) -> Result<(), Problem> {
    if attributes.modified.nanoseconds >= 1_000_000_000 {
        return Err(Problem::Time);
    }
    match body {
        Body::Symlink(target) if !(1..=LINK_MAX).contains(&target.len()) || target.contains(&0) => {
            Err(Problem::Target)
        }
        Body::Character(device) | Body::Block(device) if device.encode().is_none() => {
            Err(Problem::Device)
        }
        _ => Ok(()),
    }
}
