//! Directories of the host's, as what the tree is made of where nobody has changed it.
//!
//! The VMM has them, and is asked by requests (`trapgate_abi::hypercall::files`): names
//! are looked up several at a time, bytes come in large pieces and are kept as pages.
//! What was found stands in the VMM's table under a handle; which of these are held is
//! decided here (`node`), and those that are not needed go back many at a time
//! (`release`).
//!
//! In a mount that can be written, what changes is changed there, at once (`names`,
//! `content`, `attributes`), and what is here of it follows.
//!
//! No lock is held while the VMM is asked. What it answers is the host's, who may say
//! anything: what no file can be is EIO.

mod ask;
pub mod attributes;
mod buffer;
pub mod content;
mod directory;
mod listing;
pub mod names;
mod node;
mod pages;
mod release;
mod told;

use crate::fs::lower::LowerInode;
use crate::memory::try_arc;
use ask::look;
pub use node::Writer;
use node::{Node, Nodes};
use trapgate_abi::boot_info::{MOUNT_SHARED, Mount};
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::files::{Found, Handle};
use trapgate_uapi::Errno;

/// A number that is above those of the host's files: of what is made in memory beside them.
pub const LAST_NUMBER: u64 = 1 << 62;

/// What a mount has at its root: a directory, or one file. `is_writable`: what is changed
/// in it is changed there.
///
/// # Errors
/// ENOMEM; EIO, and what else the host says.
pub fn root(mount: &Mount, is_writable: bool) -> Result<LowerInode, Errno> {
    root_that_is(mount, look(Handle(mount.handle))?, is_writable)
}

/// The same of a file that nobody changes, of which the VMM has told what it is.
///
/// # Errors
/// ENOMEM; EIO for what no file can be.
pub fn file(mount: &Mount, status: FileStatus) -> Result<LowerInode, Errno> {
    root_that_is(mount, status, false)
}

fn root_that_is(mount: &Mount, status: FileStatus, is_writable: bool) -> Result<LowerInode, Errno> {
    let found = Found { handle: Handle(mount.handle), status };
    let node = Node::root(&found)?;
    let changes = is_writable || mount.access & MOUNT_SHARED != 0;
    let nodes = if is_writable { Some(try_arc(Nodes::default())?) } else { None };
    let mount = directory::Mount { device: found.status.dev, changes, nodes };
    directory::file(&node, &found, &mount, None)
}
