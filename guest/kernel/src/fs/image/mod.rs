//! The files of an image, as what the tree is made of where nobody has changed it: uncompressed
//! EROFS in memory that the VMM has mapped for reading.
//!
//! Names and inodes are copied out of it when they are first asked for. Bytes of files
//! are not: a page of a file is a page of the image, which is mapped where it is. Only
//! what lies behind an inode, in a page with other things, is copied.
//!
//! Whatever the image says ends as a number of errno: EUCLEAN where it is damaged,
//! EOPNOTSUPP for what EROFS has and the reader has not, EIO where it ends too early.

mod directory;
mod pages;
mod slot;

use crate::fs::lower::LowerInode;
use crate::memory::try_arc;
use trapgate_abi::boot_info::Range;
use trapgate_arch::phys::ReadOnly;
use trapgate_erofs::Image;
use trapgate_uapi::Errno;

/// The root directory of the image that lies here, which the VMM has looked at, and a
/// number that no inode in it is above.
///
/// # Errors
/// ENOMEM; EINVAL for what is no image; EUCLEAN, EOPNOTSUPP, EIO.
pub fn root(place: Range) -> Result<(LowerInode, u64), Errno> {
    // Its checksum was right a moment ago, and what follows does not rely on it.
    let image = Image::open_again(slot::Slot(ReadOnly::new(place))).map_err(slot::errno)?;
    let image = try_arc(image)?;
    let root = image.inode(image.root()).map_err(slot::errno)?;
    Ok((directory::file(&image, root)?, place.len() / trapgate_erofs::INODE_SLOT))
}
