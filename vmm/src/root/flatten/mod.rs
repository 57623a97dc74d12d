//! Archives and layers -> one tree, in memory, with the files' bytes in a temporary
//! file beside it.
//!
//! ```text
//! decompress   gzip, zstd or neither, by what the bytes begin with
//! tar, cpio    an archive's entries, one after the other
//! pax, sparse  what a tar says of an entry beside its header
//! oci          the layers of an image, from a layout
//! tree         where entries go: paths, links, what covers what, whiteouts
//! spool        the bytes of files
//! hashed       digests
//! error        what is wrong with an archive
//! ```
//!
//! An archive may have been made by anybody. Nothing of it reaches the host's file
//! system, whatever its names are; it is bounded by [`Limits`]; and what it says of
//! sizes is believed only as far as there are bytes.

pub(super) mod cpio;
pub(super) mod decompress;
pub(super) mod error;
pub(super) mod hashed;
pub(super) mod oci;
mod pax;
mod sparse;
pub(super) mod spool;
pub(super) mod tar;
pub(super) mod tree;

use error::{Bad, Refused};
use spool::{Content, Spool};
use std::fs::File;
use std::io::Read;
use tree::{Kind, Meta, Tree};

/// What an archive may come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of all files.
    pub(super) bytes: u64,
    /// Entries, those included that a later one covers.
    pub(super) entries: u64,
}

impl Limits {
    /// What no root has, and a bomb soon does.
    pub(super) const DEFAULT: Limits = Limits { bytes: 64 << 30, entries: 4 << 20 };
}

/// Takes entries, in their order, and makes a tree of them.
pub(super) struct Flattener {
    tree: Tree,
    spool: Spool,
    limits: Limits,
    entries: u64,
    /// Whether names that begin with `.wh.` take away what lower layers have.
    whiteouts: bool,
}

/// What is to be in a file.
pub(super) enum Source<'a> {
    /// So many bytes of these.
    Whole(&'a mut dyn Read, u64),
    /// Pieces of it, one after the other in these bytes; the rest are zeroes.
    Sparse(&'a mut dyn Read, &'a sparse::Map),
    /// The bytes of this one.
    Content(Content),
}

impl Flattener {
    /// An empty tree. The files' bytes go into `spool`, which is empty too.
    pub(super) fn new(spool: File, limits: Limits) -> Flattener {
        let spool = Spool::new(spool, limits.bytes);
        Flattener { tree: Tree::new(), spool, limits, entries: 0, whiteouts: false }
    }

    /// What follows is a layer above what there is.
    pub(super) fn begin_layer(&mut self) {
        self.whiteouts = true;
        self.tree.begin_layer();
    }

    /// What there is now, and the file that its bytes are in.
    ///
    /// # Errors
    /// [`Bad::Write`].
    pub(super) fn finish(self) -> Result<(Tree, File), Bad> {
        Ok((self.tree, self.spool.finish().map_err(Bad::Write)?))
    }

    /// Counts an entry, or something that takes as long to read.
    pub(super) fn count(&mut self) -> Result<(), Bad> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Bad::TooManyEntries { most: self.limits.entries });
        }
        Ok(())
    }

    /// A file's bytes, of the entry `name`.
    pub(super) fn content(&mut self, name: &[u8], source: Source<'_>) -> Result<Content, Bad> {
        let content = match source {
            Source::Content(content) => return Ok(content),
            Source::Whole(from, length) => self.spool.take(from, length),
            Source::Sparse(from, map) => self.spool.take_sparse(from, map),
        };
        content.map_err(|bad| bad.of(name))
    }

    /// A regular file.
    pub(super) fn regular(
        &mut self,
        path: &[u8],
        meta: Meta,
        source: Source<'_>,
    ) -> Result<(), Bad> {
        let content = self.content(path, source)?;
        self.add(path, meta, Kind::Regular(content))
    }

    /// Anything else but a hard link.
    pub(super) fn add(&mut self, path: &[u8], meta: Meta, kind: Kind) -> Result<(), Bad> {
        if self.whiteouts && self.whiteout(path)? {
            return Ok(());
        }
        self.tree.add(path, meta, kind).map(drop).map_err(|refused| Bad::entry(path, refused))
    }

    /// A further name of a file that is there.
    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Bad> {
        if self.whiteouts && self.whiteout(path)? {
            return Ok(());
        }
        let linked = self.tree.find(target).and_then(|node| match node {
            Some(node) => self.tree.link(path, node),
            None => Err(Refused::NoTarget(target.to_vec())),
        });
        linked.map_err(|refused| Bad::entry(path, refused))
    }

    /// A further name of a node that was made here.
    pub(super) fn link_node(&mut self, path: &[u8], node: tree::Id) -> Result<(), Bad> {
        self.tree.link(path, node).map_err(|refused| Bad::entry(path, refused))
    }

    /// As [`Flattener::add`], where the node is needed later.
    pub(super) fn add_node(
        &mut self,
        path: &[u8],
        meta: Meta,
        kind: Kind,
    ) -> Result<tree::Id, Bad> {
        self.tree.add(path, meta, kind).map_err(|refused| Bad::entry(path, refused))
    }

    /// Gives a node other bytes: of a file whose bytes come with a later name.
    pub(super) fn fill(&mut self, node: tree::Id, content: Content) {
        self.tree.fill(node, content);
    }

    /// Takes a whiteout for what it is (OCI image layer, "Whiteouts"). Whether it was
    /// one.
    fn whiteout(&mut self, path: &[u8]) -> Result<bool, Bad> {
        const PREFIX: &[u8] = b".wh.";
        const OPAQUE: &[u8] = b".wh..wh..opq";
        let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, name) = path.split_at(start);
        let Some(hidden) = name.strip_prefix(PREFIX) else { return Ok(false) };
        let done = if name == OPAQUE {
            self.tree.hide_all(directory)
        } else if hidden.starts_with(PREFIX) || hidden.is_empty() {
            // Further marks of aufs, which say nothing about the files.
            Ok(())
        } else {
            self.tree.hide(&[directory, hidden].concat())
        };
        done.map(|()| true).map_err(|refused| Bad::entry(path, refused))
    }
}
