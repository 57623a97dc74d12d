//! Files that can be run: what execve(2) needs of one.

use crate::fs::access::EXEC;
use crate::fs::dentry::Dentry;
use crate::fs::file::OpenFile;
use crate::fs::filesystem::FileSystem;
use crate::fs::inode::Kind;
use crate::fs::inode_file::InodeFile;
use crate::fs::open::open_exec;
use crate::fs::walk::{Last, Start, View};
use crate::memory::try_arc;
use crate::mm::backing::Mapped;
use alloc::sync::Arc;
use trapgate_loader::image::Source;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_RDONLY;

/// A file that may be run, open to be read. Nobody opens it to write meanwhile.
pub struct Executable {
    /// It.
    pub file: Arc<OpenFile>,
    /// Its content, as it is mapped.
    pub mapped: Arc<Mapped>,
}

impl Executable {
    /// Opens the file of this path.
    ///
    /// # Errors
    /// Those of execve(2) that concern its path.
    pub fn open(start: &Start, path: &[u8], last: Last) -> Result<Executable, Errno> {
        Executable::new(open_exec(start, path, last)?)
    }

    /// Opens again what is open.
    ///
    /// # Errors
    /// EACCES, if it is no program's; ENOMEM.
    pub fn of_open(view: &View, file: &OpenFile) -> Result<Executable, Errno> {
        let dentry = &file.as_inode().ok_or(Errno::EACCES)?.dentry;
        if !matches!(dentry.inode.kind, Kind::Regular(_)) {
            return Err(Errno::EACCES);
        }
        view.who.may(&dentry.inode, EXEC)?;
        Executable::new(OpenFile::of_inode(InodeFile::new(dentry.clone(), O_RDONLY))?)
    }

    /// Opens a file that runs already.
    ///
    /// # Errors
    /// ENOMEM; EACCES, if it is no program's.
    pub fn running(dentry: Arc<Dentry>) -> Result<Executable, Errno> {
        Executable::new(OpenFile::of_inode(InodeFile::new(dentry, O_RDONLY))?)
    }

    /// Whether it is the content of an open file.
    pub fn is(&self, other: &OpenFile) -> bool {
        match other.as_inode().map(|file| &file.dentry.inode.kind) {
            Some(Kind::Regular(object)) => Arc::ptr_eq(object, &self.mapped.object),
            _ => false,
        }
    }

    /// Whether it is a file of this file system.
    pub fn is_of(&self, filesystem: &Arc<FileSystem>) -> bool {
        let inode = self.file.as_inode().map(|file| &file.dentry.inode);
        inode.is_some_and(|inode| Arc::ptr_eq(&inode.filesystem, filesystem))
    }

    fn new(file: Arc<OpenFile>) -> Result<Executable, Errno> {
        let Some(Kind::Regular(object)) = file.as_inode().map(|file| &file.dentry.inode.kind)
        else {
            return Err(Errno::EACCES);
        };
        let (object, by) = (object.clone(), file.clone());
        let mapped = try_arc(Mapped { object, file: Some(by), may_write: false, stored: None })?;
        mapped.object.begin_to_run();
        Ok(Executable { file, mapped })
    }
}

impl Clone for Executable {
    fn clone(&self) -> Executable {
        self.mapped.object.begin_to_run();
        Executable { file: self.file.clone(), mapped: self.mapped.clone() }
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        self.mapped.object.end_to_run();
    }
}

impl Source for Executable {
    type Error = Errno;

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        self.file.read_at(offset, bytes)
    }
}
