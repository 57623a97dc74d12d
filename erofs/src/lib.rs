//! Uncompressed EROFS images: the reader that kernel and VMM share, and on the host
//! (feature `std`) what writes and checks whole images.
//!
//! EROFS is Linux's read-only file system
//! (<https://docs.kernel.org/filesystems/erofs.html>). Of its forms one is read here,
//! in which a file's bytes lie in the image as they are, so that a page of a file is a
//! page of the image and can be mapped where it is: layouts *flat plain* and *flat
//! inline*, 32- and 64-byte inodes, blocks of 4096 bytes. What else there is
//! (compression, chunks, several devices) is refused by its name ([`Feature`]).
//! Extended attributes are skipped.
//!
//! **The bytes are a stranger's, and may change while they are read**: the image is a
//! file of the host's. So there is no slice of it, only [`Source::read`], which
//! copies; what was copied is checked and then used, and not read again. Whatever the
//! bytes say, a call ends after work that its argument and the image's length bound,
//! in an answer or an [`Error`]. The reader has no heap, and no buffer above 256 bytes
//! on the stack.
//!
//! | module | what it is for |
//! |---|---|
//! | `disk` | the structures as they lie in the image |
//! | `image` | the superblock: which images are read |
//! | `inode` | a file's attributes, and where its bytes lie |
//! | `directory` | names: looked up, listed |
//! | `check`, `write` | whole images, on the host |
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
mod check;
mod checksum;
mod directory;
mod disk;
mod error;
mod image;
mod inode;
mod source;
#[cfg(test)]
mod tests;
#[cfg(feature = "std")]
pub mod write;

#[cfg(feature = "std")]
pub use check::Summary;
pub use directory::Entry;
pub use error::{Damage, Error, Feature};
pub use image::Image;
pub use inode::{Device, Extent, FileType, Inode, Nid, Time};
pub use source::{Source, Unreadable};

/// Bytes of a block, which is a page.
pub const BLOCK_SIZE: u64 = 4096;
/// Inodes are numbered by this many bytes: no number is above an image's length
/// divided by this.
pub const INODE_SLOT: u64 = disk::SLOT;
/// The longest name of a file, in bytes: `NAME_MAX`.
pub const NAME_MAX: usize = 255;
/// The longest target of a symbolic link, in bytes: `PATH_MAX` without its NUL.
pub const LINK_MAX: usize = 4095;
