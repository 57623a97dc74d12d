//! Open files as mmap(2) maps them.

use crate::fs::dev::Device;
use crate::fs::file::OpenFile;
use crate::fs::host;
use crate::fs::inode::Kind;
use crate::fs::place::{path_of, top_of};
use crate::memory::try_arc;
use crate::mm::backing::{Mapped, MappedFile, Stored};
use crate::mm::vma::Prot;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use trapgate_uapi::Errno;

/// What is mapped of a file.
pub enum Mappable {
    /// Its pages.
    Pages(Arc<Mapped>),
    /// Memory without a file: of /dev/zero.
    Zeroes,
}

impl MappedFile for OpenFile {
    fn device(&self) -> u64 {
        self.as_inode().map_or(0, |file| file.dentry.inode.filesystem.device)
    }

    fn number(&self) -> u64 {
        self.as_inode().map_or(0, |file| file.dentry.inode.number)
    }

    fn path(&self) -> Result<Vec<u8>, Errno> {
        // None of the host's can be mapped.
        let Some(file) = self.as_inode() else { return Ok(Vec::new()) };
        path_of(&file.dentry, &top_of(&file.dentry))?.shown()
    }

    fn stored(&self) {
        // Of a file of the host's, writing it back says when.
        if let Some(file) =
            self.as_inode().filter(|file| file.dentry.inode.filesystem.may_change().is_ok())
        {
            file.dentry.inode.modify();
        }
    }

    fn write_back(&self, to_disk: bool) -> Result<(), Errno> {
        let Some(file) = self.as_inode() else { return Ok(()) };
        host::content::write_back(&file.dentry.inode)?;
        if to_disk { host::content::synchronize(&file.dentry, true) } else { Ok(()) }
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "OpenFile({:p}, flags {:#x})", self, self.flags())
    }
}

/// What mmap(2) maps of an open file, `shared` or private, for accesses `prot`.
///
/// # Errors
/// EACCES, if it is not open for that; ENODEV, if it cannot be mapped; ENOMEM.
pub fn mappable(file: &Arc<OpenFile>, shared: bool, prot: Prot) -> Result<Mappable, Errno> {
    let writes = shared && prot.allows(Prot::WRITE);
    if !file.readable() || writes && !file.writable() {
        return Err(Errno::EACCES);
    }
    let inode = &file.as_inode().ok_or(Errno::ENODEV)?.dentry.inode;
    match &inode.kind {
        Kind::Regular(object) => {
            let sealed = object.check_seals(None).is_err();
            if sealed && writes {
                return Err(Errno::EPERM);
            }
            let may_write = file.writable() && !sealed;
            let stores = shared && may_write && object.is_written_there();
            if stores {
                object.is_stored_to();
            }
            let stored = stores.then_some(Stored);
            let (object, file) = (object.clone(), Some(file.clone() as Arc<dyn MappedFile>));
            let mapped = Mapped { object, file, may_write, stored };
            try_arc(mapped).map(Mappable::Pages)
        }
        Kind::Character(device) if Device::of(*device) == Some(Device::Zero) => {
            Ok(Mappable::Zeroes)
        }
        _ => Err(Errno::ENODEV),
    }
}
