//! Where an image lies, and how what is wrong with one is told to programs.

use trapgate_arch::phys::ReadOnly;
use trapgate_erofs::{Error, Source, Unreadable};
use trapgate_uapi::Errno;

/// An image in memory above RAM.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(pub(super) ReadOnly);

impl Source for Slot {
    fn size(&self) -> u64 {
        self.0.range().len()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        if self.0.read(offset, bytes) { Ok(()) } else { Err(Unreadable) }
    }
}

/// The image that this module is about.
pub(super) type Image = trapgate_erofs::Image<Slot>;

/// An error as Linux's EROFS has it.
pub(super) fn errno(error: Error) -> Errno {
    match error {
        Error::NotErofs | Error::NotASymlink => Errno::EINVAL,
        Error::BlockSize(_) | Error::Unsupported(_) => Errno::EOPNOTSUPP,
        Error::Checksum { .. } | Error::Truncated { .. } | Error::Damaged { .. } => Errno::EUCLEAN,
        Error::Unreadable(_) => Errno::EIO,
        Error::NotADirectory => Errno::ENOTDIR,
    }
}
