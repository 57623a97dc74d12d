//! What a file or a directory is made of where it has not been changed: an image, later
//! a directory of the host's. Nothing here is ever written.
//!
//! A directory in memory asks its lower one for a name on the first look-up, and keeps
//! what it finds as a node of its own (`dentry`).

use crate::mm::object::Pager;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_uapi::Errno;
use trapgate_uapi::time::Timespec;

/// A file as the lower one describes it.
pub struct LowerInode {
    /// Its number there. Two names of one file have the same.
    pub number: u64,
    /// `st_mode`, the type included.
    pub mode: u32,
    /// `st_uid`.
    pub uid: u32,
    /// `st_gid`.
    pub gid: u32,
    /// `st_nlink`.
    pub links: u32,
    /// `st_rdev` of a device.
    pub device: u64,
    /// When it was modified: for all of its times.
    pub modified: Timespec,
    /// What is in it.
    pub content: LowerContent,
}

/// What is in a file.
pub enum LowerContent {
    /// Bytes: how many, and where they come from.
    Regular(u64, Box<dyn Pager>),
    /// Names.
    Directory(Arc<dyn Lower>),
    /// A path.
    Symlink(Vec<u8>),
    /// Nothing: a device, a fifo, a socket.
    Special,
}

/// A name that a directory lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerName<'a> {
    /// The name: neither `.` nor `..`.
    pub name: &'a [u8],
    /// The inode's number.
    pub number: u64,
    /// `DT_*`
    pub kind: u8,
    /// The cookie of what comes next: above 0, and below 2^30.
    pub next: u64,
}

/// A directory.
pub trait Lower: Send + Sync {
    /// The file of that name, if there is one.
    ///
    /// # Errors
    /// EIO, EUCLEAN for what cannot be read; ENOMEM.
    fn lookup(&self, name: &[u8]) -> Result<Option<LowerInode>, Errno>;

    /// Calls `each` with the names from the cookie `from` on (0: all), until it answers
    /// false.
    ///
    /// # Errors
    /// As [`Lower::lookup`].
    fn list(&self, from: u64, each: &mut dyn FnMut(LowerName) -> bool) -> Result<(), Errno>;
}
