//! An open file: what a descriptor refers to.

use crate::fs::inode;
use crate::fs::inode_file::InodeFile;
pub use crate::fs::open_flags::{readable, writable};
use crate::fs::standard::Standard;
use crate::memory::try_arc;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;
use trapgate_abi::boot_info::StandardFile;
use trapgate_abi::file::TRANSFER_FLAGS;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_ASYNC, O_DIRECT, O_NOATIME};

/// An open file description (open(2)): shared by descriptors that dup(2) made.
pub struct OpenFile {
    /// What is open.
    pub kind: Kind,
    /// Who is to hear of it, and how.
    pub owner: Mutex<Owner>,
}

/// Whom fcntl(2) `F_SETOWN` has named, and by which signal it would hear of the file: kept
/// and told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `F_OWNER_*`.
    pub kind: i32,
    /// Its number; 0 for nobody.
    pub number: i32,
    /// `F_SETSIG`.
    pub signal: i32,
}

/// What is open.
pub enum Kind {
    /// A file of the host's.
    Standard(Standard),
    /// A file of a file system.
    Inode(InodeFile),
}

impl OpenFile {
    fn new(kind: Kind) -> OpenFile {
        OpenFile { kind, owner: Mutex::default() }
    }

    /// The standard file `host`, as it was at the start.
    pub fn standard(host: u32, flags: Arc<AtomicU32>, info: &'static StandardFile) -> Self {
        OpenFile::new(Kind::Standard(Standard::new(host, flags, info)))
    }

    /// The same standard file once more, with the flags that it shares.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn of_standard(file: &Standard) -> Result<Arc<OpenFile>, Errno> {
        try_arc(OpenFile::new(Kind::Standard(file.clone())))
    }

    /// A file of a file system.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn of_inode(file: InodeFile) -> Result<Arc<OpenFile>, Errno> {
        try_arc(OpenFile::new(Kind::Inode(file)))
    }

    /// The standard file that it is.
    #[inline]
    pub const fn as_standard(&self) -> Option<&Standard> {
        match &self.kind {
            Kind::Standard(standard) => Some(standard),
            Kind::Inode(_) => None,
        }
    }

    /// The file of a file system that it is.
    #[inline]
    pub const fn as_inode(&self) -> Option<&InodeFile> {
        match &self.kind {
            Kind::Inode(file) => Some(file),
            Kind::Standard(_) => None,
        }
    }

    /// Reads bytes for the kernel, for who loads a program: how many there are, from
    /// `offset` up to the file's end.
    ///
    /// # Errors
    /// EINVAL, EACCES for what has no bytes of its own; those of the lower file.
    pub fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize, Errno> {
        match self.as_inode().map(|file| &file.dentry.inode.kind) {
            Some(inode::Kind::Regular(object)) => Ok(object.read_for_kernel(offset, to)?),
            Some(_) => Err(Errno::EACCES),
            None => Err(Errno::EINVAL),
        }
    }

    #[inline]
    fn flag_word(&self) -> &AtomicU32 {
        match &self.kind {
            Kind::Standard(standard) => standard.flags(),
            Kind::Inode(file) => &file.flags,
        }
    }

    /// The flags that fcntl(2) shows.
    #[inline]
    pub fn flags(&self) -> u32 {
        self.flag_word().load(Ordering::Relaxed)
    }

    /// Those of its flags that bear on a transfer ([`TRANSFER_FLAGS`]).
    pub fn transfer_flags(&self) -> u32 {
        self.flags() & TRANSFER_FLAGS
    }

    /// The flags that fcntl(2) `F_SETFL` can change.
    pub const fn settable_flags(&self) -> u32 {
        match self.kind {
            Kind::Standard(_) => TRANSFER_FLAGS,
            Kind::Inode(_) => TRANSFER_FLAGS | O_NOATIME | O_DIRECT | O_ASYNC,
        }
    }

    /// Sets those of the flags in `mask` that are in `flags`, and clears the
    /// others in it.
    pub fn set_flags(&self, mask: u32, flags: u32) {
        let word = self.flag_word();
        let kept = word.load(Ordering::Relaxed) & !mask;
        word.store(kept | flags & mask, Ordering::Relaxed);
    }

    /// Whether it was opened for reading.
    pub fn readable(&self) -> bool {
        readable(self.flags())
    }

    /// Whether it was opened for writing.
    pub fn writable(&self) -> bool {
        writable(self.flags())
    }
}
