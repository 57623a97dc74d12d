//! Where everything of an image lies: worked out before anything is written.

use std::borrow::Cow;

use zerocopy::IntoBytes;

use super::WriteError;
use super::pack::{self, Entry};
use super::tree::{self, Attributes, Body, Node, Tree};
use crate::disk::{self, ExtendedInode, SuperBlock};
use crate::{BLOCK_SIZE, FileType};

/// Bytes of an inode.
const INODE_SIZE: u64 = size_of::<ExtendedInode>() as u64;
/// Where the first inode lies: behind the superblock.
const FIRST: u64 = disk::SUPER_OFFSET + size_of::<SuperBlock>() as u64;
/// A file with its place.
pub(super) struct Placed<'a, C> {
    node: &'a Node<C>,
    pub(super) body: &'a Body<C>,
    /// The file by whose directory it was met first, as an index, and its name there.
    parent: usize,
    name: &'a [u8],
    links: u32,
    size: u64,
    /// Where its inode lies.
    inode: u64,
    /// How many of its bytes lie behind its inode.
    tail: u64,
    /// With which block the others begin.
    block: u32,
}

impl<C> Placed<'_, C> {
    fn nid(&self) -> u64 {
        self.inode / disk::SLOT
    }

    /// How many blocks it has.
    fn block_count(&self) -> u64 {
        (self.size - self.tail).div_ceil(BLOCK_SIZE)
    }
}

/// Everything in its place.
pub(super) struct Layout<'a, C> {
    tree: &'a Tree<C>,
    /// In the order in which a walk by name meets them; the root first.
    pub(super) placed: Vec<Placed<'a, C>>,
    /// For each node of the tree its index among those; none if it has no name.
    index: Vec<Option<usize>>,
    /// Where the inodes end.
    metadata_end: u64,
    /// How many blocks the image has.
    pub(super) block_count: u32,
}

impl<'a, C> Layout<'a, C> {
    pub(super) fn of(tree: &'a Tree<C>) -> Result<Self, WriteError> {
        let index = vec![None; tree.nodes.len()];
        let mut layout =
            Self { tree, placed: Vec::new(), index, metadata_end: FIRST, block_count: 0 };
        layout.meet_all();
        layout.place_inodes();
        layout.place_blocks()?;
        Ok(layout)
    }

    /// The root's number. It is the first inode, so that its number has 16 bits: the
    /// inode lies in the first block, or with what lies behind it in the second.
    pub(super) fn root_nid(&self) -> u16 {
        self.placed[0].nid() as u16
    }

    /// Walks the tree by name, without recursion: it may be deep.
    fn meet_all(&mut self) {
        // The root's directory is the root.
        let mut ahead = vec![(tree::ROOT, 0, &b""[..])];
        while let Some((number, parent, name)) = ahead.pop() {
            if let Some(met) = self.index[number] {
                self.placed[met].links += 1;
                continue;
            }
            let node = &self.tree.nodes[number];
            let own = self.placed.len();
            self.index[number] = Some(own);
            let is_directory = node.body.file_type() == FileType::Directory;
            let (links, size) = match &node.body {
                Body::Directory => (2, pack::size(&names(node))),
                Body::Regular { size, .. } => (1, *size),
                Body::Symlink(target) => (1, target.len() as u64),
                _ => (1, 0),
            };
            if is_directory && number != tree::ROOT {
                self.placed[parent].links += 1;
            }
            let body = &node.body;
            self.placed.push(Placed {
                node,
                body,
                parent,
                name,
                links,
                size,
                inode: 0,
                tail: 0,
                block: 0,
            });
            let below = node.entries.iter().rev();
            ahead.extend(below.map(|(name, node)| (*node, own, name.as_slice())));
        }
    }

    /// Puts inodes and what lies behind them one behind the other, each within a
    /// block.
    fn place_inodes(&mut self) {
        for placed in &mut self.placed {
            let tail = placed.size % BLOCK_SIZE;
            let is_inline =
                !matches!(placed.body, Body::Regular { .. }) && tail <= BLOCK_SIZE - INODE_SIZE;
            placed.tail = if is_inline { tail } else { 0 };
            let start = self.metadata_end.next_multiple_of(disk::SLOT);
            let len = INODE_SIZE + placed.tail;
            let fits = start % BLOCK_SIZE + len <= BLOCK_SIZE;
            placed.inode = if fits { start } else { start.next_multiple_of(BLOCK_SIZE) };
            self.metadata_end = placed.inode + len;
        }
    }

    /// Gives out blocks: to directories and links, then to files.
    fn place_blocks(&mut self) -> Result<(), WriteError> {
        let mut next = self.metadata_end.div_ceil(BLOCK_SIZE);
        for of_files in [false, true] {
            for placed in &mut self.placed {
                let count = placed.block_count();
                if matches!(placed.body, Body::Regular { .. }) == of_files && count > 0 {
                    placed.block = u32::try_from(next).map_err(|_| WriteError::TooLarge)?;
                    next = next.checked_add(count).ok_or(WriteError::TooLarge)?;
                }
            }
        }
        self.block_count = u32::try_from(next).map_err(|_| WriteError::TooLarge)?;
        Ok(())
    }

    /// The blocks of the superblock and of all inodes, the former's place empty.
    pub(super) fn metadata(&self) -> Vec<u8> {
        let len = self.metadata_end.next_multiple_of(BLOCK_SIZE);
        let mut bytes = vec![0; len as usize];
        for (index, placed) in self.placed.iter().enumerate() {
            let at = placed.inode as usize;
            let inode = inode(placed, index);
            bytes[at..][..INODE_SIZE as usize].copy_from_slice(inode.as_bytes());
            if placed.tail > 0 {
                let all = self.bytes(placed);
                let tail = &all[all.len() - placed.tail as usize..];
                bytes[at + INODE_SIZE as usize..][..tail.len()].copy_from_slice(tail);
            }
        }
        bytes
    }

    /// What lies in blocks of a directory or a symbolic link.
    pub(super) fn blocks(&self, placed: &Placed<'a, C>) -> Cow<'a, [u8]> {
        if placed.block_count() == 0 || matches!(placed.body, Body::Regular { .. }) {
            return Cow::Borrowed(&[]);
        }
        let in_blocks = (placed.size - placed.tail) as usize;
        match self.bytes(placed) {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..in_blocks]),
            Cow::Owned(mut bytes) => {
                bytes.truncate(in_blocks);
                Cow::Owned(bytes)
            }
        }
    }

    /// All bytes of a directory or a symbolic link.
    fn bytes(&self, placed: &Placed<'a, C>) -> Cow<'a, [u8]> {
        match placed.body {
            Body::Directory => Cow::Owned(self.directory(placed)),
            Body::Symlink(target) => Cow::Borrowed(target),
            _ => Cow::Borrowed(&[]),
        }
    }

    fn directory(&self, placed: &Placed<'a, C>) -> Vec<u8> {
        let entry = |name: &'a [u8]| {
            let target = match name {
                b"." => placed,
                b".." => &self.placed[placed.parent],
                // Whatever has a name was met.
                name => &self.placed[self.index[placed.node.entries[name]].unwrap_or_default()],
            };
            Entry { name, nid: target.nid(), file_type: target.body.file_type() }
        };
        pack::pack(&names(placed.node).into_iter().map(entry).collect::<Vec<_>>())
    }

    /// A file's path, for people.
    pub(super) fn path(&self, placed: &Placed<'a, C>) -> String {
        let mut names = Vec::new();
        let mut at = placed;
        while !at.name.is_empty() {
            names.push(at.name);
            at = &self.placed[at.parent];
        }
        names.reverse();
        tree::show(&names.join(&b'/'))
    }
}

/// The names in a directory, those of every directory among them, in order.
fn names<C>(node: &Node<C>) -> Vec<&[u8]> {
    let mut names: Vec<_> = node.entries.keys().map(Vec::as_slice).collect();
    names.extend([&b"."[..], b".."]);
    names.sort_unstable();
    names
}

fn inode<C>(placed: &Placed<'_, C>, index: usize) -> ExtendedInode {
    let Attributes { permissions, uid, gid, modified } = placed.node.attributes;
    let layout = if placed.tail > 0 { disk::FLAT_INLINE } else { disk::FLAT_PLAIN };
    let place = match placed.body {
        Body::Character(device) | Body::Block(device) => device.encode().unwrap_or_default(),
        _ => placed.block,
    };
    ExtendedInode {
        format: (disk::EXTENDED | layout << disk::LAYOUT_SHIFT).into(),
        xattr_count: 0.into(),
        mode: (placed.body.file_type().mode() | permissions & 0o7777).into(),
        reserved: 0.into(),
        size: placed.size.into(),
        place: place.into(),
        // For systems with inode numbers of 32 bits only; 0 is none.
        number: (index as u32).wrapping_add(1).into(),
        uid: uid.into(),
        gid: gid.into(),
        time: modified.seconds.cast_unsigned().into(),
        time_ns: modified.nanoseconds.into(),
        links: placed.links.into(),
        reserved2: [0; 16],
    }
}
