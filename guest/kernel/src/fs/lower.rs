//! What a file or a directory is made of where it has not been changed: an image, or a
//! directory of the host's. Nothing is changed by what is here.
//!
//! A directory in memory asks its lower one for a name on the first look-up, and keeps
//! what it finds as a node of its own (`dentry`).

use crate::mm::object::Pager;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use smallvec::SmallVec;
use trapgate_abi::file::FileSystemStatus;
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
    /// When it was last read, when it was modified, and when anything of it changed.
    pub times: [Timespec; 3],
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

/// Names that are looked up at once, at most.
pub const AHEAD: usize = 4;

/// What a walk finds.
pub type Walked = SmallVec<[LowerInode; AHEAD]>;

/// A directory.
pub trait Lower: Send + Sync {
    /// The file of that name, if there is one.
    ///
    /// # Errors
    /// EIO, EUCLEAN for what cannot be read; ENOMEM.
    fn lookup(&self, name: &[u8]) -> Result<Option<LowerInode>, Errno>;

    /// The files of these names: the first one in this directory, each further one in the
    /// one before. As many as can be had at once; none, if the first is not there. `read`:
    /// the last one will be read.
    ///
    /// # Errors
    /// As [`Lower::lookup`].
    #[expect(clippy::disallowed_methods, reason = "it has room for one")]
    fn walk(&self, names: &[&[u8]], read: bool) -> Result<Walked, Errno> {
        let _ = read;
        let mut walked = Walked::new();
        let first = names.first().map_or(Ok(None), |name| self.lookup(name))?;
        first.into_iter().for_each(|first| walked.push(first));
        Ok(walked)
    }

    /// Calls `each` with the names from the cookie `from` on (0: all), until it answers
    /// false.
    ///
    /// # Errors
    /// As [`Lower::lookup`].
    fn list(&self, from: u64, each: &mut dyn FnMut(LowerName) -> bool) -> Result<(), Errno>;

    /// Itself, for who changes what is there.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// Whether others change it, so that what was found once may be something else the
    /// next time.
    fn changes(&self) -> bool {
        false
    }

    /// How much room there is in its file system, if somebody else knows that.
    ///
    /// # Errors
    /// As [`Lower::lookup`].
    fn space(&self) -> Result<Option<FileSystemStatus>, Errno> {
        Ok(None)
    }
}
