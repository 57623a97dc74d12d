//! Files that are made when they are asked for: what /proc and /sys consist of.
//!
//! Nobody keeps their names: each look-up makes a dentry anew, so what is gone is never
//! found. The room that has them, above, implements these traits; `D` is the dentry,
//! which is above this file.

use crate::fs::inode::Inode;
use crate::fs::lower::LowerName;
use crate::memory::Text;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_arch::usercopy;
use trapgate_uapi::Errno;

/// How a file is made.
pub enum Generated<D> {
    /// A directory.
    Directory(Box<dyn Directory<D>>),
    /// A regular file.
    File(Box<dyn File>),
    /// A link that leads to a file itself, not to a path.
    Link(Box<dyn Link<D>>),
}

impl<D> Generated<D> {
    /// The directory that it is.
    pub fn as_directory(&self) -> Option<&dyn Directory<D>> {
        match self {
            Generated::Directory(directory) => Some(&**directory),
            _ => None,
        }
    }

    /// The regular file that it is.
    pub fn as_file(&self) -> Option<&dyn File> {
        match self {
            Generated::File(file) => Some(&**file),
            _ => None,
        }
    }

    /// The link that it is.
    pub fn as_link(&self) -> Option<&dyn Link<D>> {
        match self {
            Generated::Link(link) => Some(&**link),
            _ => None,
        }
    }
}

/// What a look-up finds.
pub struct Node<D> {
    /// The file.
    pub inode: Arc<Inode>,
    /// How it is made, if it is none that is as others are.
    pub generated: Option<Generated<D>>,
}

/// A directory.
pub trait Directory<D>: Send + Sync {
    /// The file of that name.
    ///
    /// # Errors
    /// ENOENT, also for who would create one; ENOMEM.
    fn look_up(&self, name: &[u8]) -> Result<Node<D>, Errno>;

    /// Calls `take` with the names from the cookie `from` on (2: all), until it answers
    /// false; answers the cookie of what was not taken.
    ///
    /// # Errors
    /// ENOENT, if what it is about is gone.
    fn list(&self, from: u64, take: &mut dyn FnMut(LowerName) -> bool) -> Result<u64, Errno>;
}

/// A regular file.
pub trait File: Send + Sync {
    /// Writes all of its content.
    ///
    /// # Errors
    /// ESRCH, if what it is about is gone; ENOMEM.
    fn read(&self, text: &mut Text) -> Result<(), Errno>;

    /// Takes what was written.
    ///
    /// # Errors
    /// EINVAL and others, as proc(5) has it.
    fn write(&self, bytes: &[u8]) -> Result<(), Errno>;
}

/// A link to a file itself.
pub trait Link<D>: Send + Sync {
    /// The file.
    ///
    /// # Errors
    /// ENOENT, if it is gone; ENOMEM.
    fn target(&self) -> Result<Arc<D>, Errno>;

    /// What readlink(2) tells of it.
    ///
    /// # Errors
    /// As [`Link::target`].
    fn text(&self) -> Result<Vec<u8>, Errno>;
}

/// The most bytes that one write(2) hands to a file: Linux's, a page.
const LONGEST_WRITE: usize = 4096;

/// write(2) to such a file: how much it has taken. `from` is the program's.
///
/// # Errors
/// Those of [`File::write`]; EFAULT.
pub fn write(file: &dyn File, from: u64, length: u64) -> Result<u64, Errno> {
    let mut bytes = [0; LONGEST_WRITE];
    let bytes = &mut bytes[..length.min(LONGEST_WRITE as u64) as usize];
    if usercopy::read_prefix(bytes, from) < bytes.len() {
        return Err(Errno::EFAULT);
    }
    file.write(bytes)?;
    Ok(bytes.len() as u64)
}
