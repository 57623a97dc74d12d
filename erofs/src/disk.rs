//! The structures of an image, as they lie there: little-endian, without padding.
//! Names are ours; those of Linux's fs/erofs/erofs_fs.h stand behind.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where the superblock lies.
pub(crate) const SUPER_OFFSET: u64 = 1024;
/// [`SuperBlock::magic`].
pub(crate) const MAGIC: u32 = 0xe0f5_e1e2;
/// Blocks have 2 to this power bytes.
pub(crate) const BLOCK_BITS: u8 = 12;
/// Inodes are numbered by this many bytes: one lies at `nid` times this in the area
/// of inodes.
pub(crate) const SLOT: u64 = 32;

/// [`SuperBlock::compatible`]: the checksum counts.
pub(crate) const CHECKSUM: u32 = 1 << 0;
/// [`SuperBlock::compatible`]: times are those of the last modification.
#[cfg(feature = "std")]
pub(crate) const MODIFICATION_TIMES: u32 = 1 << 1;

/// `struct erofs_super_block`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct SuperBlock {
    /// [`MAGIC`].
    pub(crate) magic: U32,
    /// Of what of the first block lies behind [`SUPER_OFFSET`], with zero here.
    pub(crate) checksum: U32,
    /// `feature_compat`.
    pub(crate) compatible: U32,
    /// `blkszbits`.
    pub(crate) block_bits: u8,
    /// `sb_extslots`: 16 bytes each, behind this.
    pub(crate) extension_slots: u8,
    pub(crate) root_nid: U16,
    /// `inos`: how many inodes there are.
    pub(crate) inodes: U64,
    /// The time of all 32-byte inodes, in seconds since the epoch.
    pub(crate) build_time: U64,
    pub(crate) build_time_ns: U32,
    /// How many blocks the image has.
    pub(crate) blocks: U32,
    /// The block with which the area of inodes begins.
    pub(crate) meta_block: U32,
    /// The same for extended attributes that several inodes share.
    pub(crate) xattr_block: U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) volume_name: [u8; 16],
    /// `feature_incompat`.
    pub(crate) incompatible: U32,
    pub(crate) compression: U16,
    pub(crate) extra_devices: U16,
    pub(crate) device_table: U16,
    /// `dirblkbits`: a directory's blocks have as many blocks, as a power of 2.
    pub(crate) directory_block_bits: u8,
    pub(crate) xattr_prefixes: u8,
    pub(crate) xattr_prefix_start: U32,
    pub(crate) packed_nid: U64,
    pub(crate) reserved: [u8; 24],
}

/// [`Inode::format`]: the inode has 64 bytes.
pub(crate) const EXTENDED: u16 = 1 << 0;
/// [`Inode::format`]: its other bits that mean something here: the layout.
pub(crate) const LAYOUT_SHIFT: u32 = 1;
pub(crate) const LAYOUT_MASK: u16 = 0b111;

/// Where the bytes are: in blocks one behind the other.
pub(crate) const FLAT_PLAIN: u16 = 0;
/// The same, but what does not fill a block lies behind the inode.
pub(crate) const FLAT_INLINE: u16 = 2;
/// Both forms of compressed files.
pub(crate) const COMPRESSED_FULL: u16 = 1;
pub(crate) const COMPRESSED_COMPACT: u16 = 3;
/// In chunks that may lie anywhere.
pub(crate) const CHUNK_BASED: u16 = 4;

/// `struct erofs_inode_compact`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct CompactInode {
    pub(crate) format: U16,
    pub(crate) xattr_count: U16,
    pub(crate) mode: U16,
    pub(crate) links: U16,
    pub(crate) size: U32,
    pub(crate) reserved: U32,
    pub(crate) place: U32,
    pub(crate) number: U32,
    pub(crate) uid: U16,
    pub(crate) gid: U16,
    pub(crate) reserved2: U32,
}

/// `struct erofs_inode_extended`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ExtendedInode {
    pub(crate) format: U16,
    /// `i_xattr_icount`: words of four bytes of extended attributes behind the inode,
    /// see [`xattr_bytes`].
    pub(crate) xattr_count: U16,
    /// `st_mode`.
    pub(crate) mode: U16,
    pub(crate) reserved: U16,
    pub(crate) size: U64,
    /// `i_u`: the first block of the bytes; of a device its number.
    pub(crate) place: U32,
    /// A number of 32 bits, for systems that have no larger ones.
    pub(crate) number: U32,
    pub(crate) uid: U32,
    pub(crate) gid: U32,
    pub(crate) time: U64,
    pub(crate) time_ns: U32,
    pub(crate) links: U32,
    pub(crate) reserved2: [u8; 16],
}

/// How long the extended attributes are that lie behind an inode, in bytes: a header
/// of 12, which counts for one word.
pub(crate) fn xattr_bytes(count: u16) -> u64 {
    match count {
        0 => 0,
        count => 12 + (u64::from(count) - 1) * 4,
    }
}

/// `struct erofs_dirent`: a table of these begins each block of a directory; behind it
/// lie the names, in the same order.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct DirectoryEntry {
    pub(crate) nid: U64,
    /// Where in the block the name begins. It ends where the next one begins; the
    /// last one at a NUL, or where the block or the directory ends.
    pub(crate) name: U16,
    /// See [`crate::FileType`]; 0 if it is not known.
    pub(crate) file_type: u8,
    pub(crate) reserved: u8,
}

/// Bytes of a [`DirectoryEntry`].
pub(crate) const ENTRY_SIZE: u64 = size_of::<DirectoryEntry>() as u64;

const _: () = assert!(size_of::<SuperBlock>() == 128);
const _: () = assert!(size_of::<CompactInode>() == 32);
const _: () = assert!(size_of::<ExtendedInode>() == 64);
const _: () = assert!(ENTRY_SIZE == 12);
