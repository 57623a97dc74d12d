//! What is wrong with an image.

use thiserror::Error;

/// Why an image, or a file in it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The magic number is another one.
    #[error("this is not an EROFS image")]
    NotErofs,
    /// Blocks of other than 4096 bytes.
    #[error("the image's blocks have 2^{0} bytes; only 4096 are supported (mkfs.erofs -b 4096)")]
    BlockSize(u8),
    /// Something that this reader has not.
    #[error("the image has {0}, which is not supported")]
    Unsupported(Feature),
    /// The superblock's checksum does not fit.
    #[error("the superblock's checksum is {stored:#010x}, and should be {computed:#010x}")]
    Checksum {
        /// What it says.
        stored: u32,
        /// What it should say.
        computed: u32,
    },
    /// The image's end is missing.
    #[error("the image has {has} bytes, and says that it has {says}")]
    Truncated {
        /// How long it says that it is, in bytes.
        says: u64,
        /// How long it is.
        has: u64,
    },
    /// The source has not given these bytes.
    #[error("the image cannot be read at byte {0}")]
    Unreadable(u64),
    /// Something that no writer of images would have written.
    #[error("the image is damaged at byte {at}: {what}")]
    Damaged {
        /// What it is.
        what: Damage,
        /// Where: the byte of the image with which the structure begins.
        at: u64,
    },
    /// It is no directory, so there are no names in it.
    #[error("not a directory")]
    NotADirectory,
    /// It is no symbolic link, so it has no target.
    #[error("not a symbolic link")]
    NotASymlink,
}

/// What EROFS has, and this reader has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Feature {
    /// Compressed files.
    #[error("compressed files")]
    Compression,
    /// Files in chunks that may lie anywhere.
    #[error("files in chunks (chunk-based layout)")]
    Chunks,
    /// Further devices, or a second way of compressing: one bit means both.
    #[error("further devices or a second compression algorithm")]
    Devices,
    /// Ends of files packed together.
    #[error("packed fragments or deduplicated data")]
    Fragments,
    /// Block addresses of 48 bits.
    #[error("48-bit block addresses")]
    Blocks48,
    /// Inodes in a file of their own.
    #[error("a metadata box")]
    MetadataBox,
    /// Directories in blocks of several blocks.
    #[error("large directory blocks")]
    DirectoryBlocks,
    /// Bits of the superblock that had no meaning yet.
    #[error("unknown features ({0:#x})")]
    Unknown(u32),
    /// Bits of an inode that had no meaning yet.
    #[error("inodes of an unknown form ({0:#x})")]
    InodeFormat(u16),
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// The superblock's time.
    #[error("a time of more than 999,999,999 nanoseconds")]
    Time,
    /// The inodes would be outside of the image.
    #[error("the inodes lie outside of the image")]
    InodeArea,
    /// An inode is outside of the image.
    #[error("an inode outside of the image")]
    Inode,
    /// The root is no directory.
    #[error("the root is no directory")]
    Root,
    /// A mode that no kind of file has.
    #[error("a mode of no kind of file")]
    Mode,
    /// No links to a file that has a name.
    #[error("no links")]
    Links,
    /// A symbolic link of no bytes or too many, or with a NUL in it.
    #[error("a symbolic link's target")]
    Target,
    /// A file's bytes would be outside of the image.
    #[error("data outside of the image")]
    Data,
    /// Bytes behind an inode would go on in the next block.
    #[error("inline data across a block's end")]
    Inline,
    /// A directory's table of entries.
    #[error("a directory's table of entries")]
    Table,
    /// A name that no file can have.
    #[error("a name in a directory")]
    Name,
    /// Names that are not in ascending order, by which they are found (only
    /// `check` looks).
    #[error("names that are not in order")]
    Order,
    /// A directory that is in two places, or in none, or in itself.
    #[error("a directory whose parent is another one")]
    Parent,
    /// An entry's type is not its inode's (only `check` looks).
    #[error("an entry of another type than its inode")]
    Type,
    /// An inode has not as many links as names (only `check` looks).
    #[error("a number of links that is not that of the names")]
    LinkCount,
    /// Directories that have bytes in common (only `check` looks).
    #[error("more directories than the image has room for")]
    Overlap,
}
