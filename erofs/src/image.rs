//! The superblock: which images are read.

use zerocopy::{FromBytes, IntoBytes};

use crate::BLOCK_SIZE;
use crate::checksum;
use crate::disk::{self, SuperBlock};
use crate::error::{Damage, Error, Feature};
use crate::inode::{FileType, Nid, Time};
use crate::source::Source;

/// `feature_incompat`, bit by bit: what each means, and whether it is refused. What
/// is not refused speaks of compressed files only, which are refused one by one (and
/// mkfs.erofs sets it in every image), or of extended attributes, which are skipped.
const INCOMPATIBLE: [(u32, Option<Feature>); 9] = [
    // LZ4_0PADDING
    (1 << 0, None),
    // COMPR_CFGS, BIG_PCLUSTER
    (1 << 1, Some(Feature::Compression)),
    // CHUNKED_FILE
    (1 << 2, Some(Feature::Chunks)),
    // COMPR_HEAD2, DEVICE_TABLE
    (1 << 3, Some(Feature::Devices)),
    // ZTAILPACKING
    (1 << 4, Some(Feature::Compression)),
    // FRAGMENTS, DEDUPE
    (1 << 5, Some(Feature::Fragments)),
    // XATTR_PREFIXES
    (1 << 6, None),
    // 48BIT
    (1 << 7, Some(Feature::Blocks48)),
    // METABOX
    (1 << 8, Some(Feature::MetadataBox)),
];

/// An image whose superblock is in order.
#[derive(Clone, Copy, Debug)]
pub struct Image<S> {
    pub(crate) source: S,
    /// Where the image ends, in bytes: whole blocks.
    pub(crate) end: u64,
    /// Where inode number 0 would be.
    pub(crate) inodes: u64,
    root: Nid,
    build_time: Time,
    inode_count: u64,
    uuid: [u8; 16],
}

impl<S: Source> Image<S> {
    /// Reads the superblock and looks whether the root is a directory.
    pub fn open(source: S) -> Result<Self, Error> {
        Self::open_with(source, true)
    }

    /// The same for an image whose checksum was right a moment ago: it is not computed
    /// again. That saves some ten thousand instructions, and nothing else relies on it.
    pub fn open_again(source: S) -> Result<Self, Error> {
        Self::open_with(source, false)
    }

    fn open_with(source: S, with_checksum: bool) -> Result<Self, Error> {
        let has = source.size();
        if has < disk::SUPER_OFFSET + size_of::<SuperBlock>() as u64 {
            return Err(Error::NotErofs);
        }
        let block: SuperBlock = read(&source, disk::SUPER_OFFSET)?;
        if block.magic.get() != disk::MAGIC {
            return Err(Error::NotErofs);
        }
        if block.block_bits != disk::BLOCK_BITS {
            return Err(Error::BlockSize(block.block_bits));
        }
        supported(&block)?;
        let says = u64::from(block.blocks.get()) * BLOCK_SIZE;
        if says > has || has < BLOCK_SIZE {
            return Err(Error::Truncated { says: says.max(BLOCK_SIZE), has });
        }
        if with_checksum && block.compatible.get() & disk::CHECKSUM != 0 {
            verify(&source, block)?;
        }
        let damaged = |what| Error::Damaged { what, at: disk::SUPER_OFFSET };
        let build_time = Time::new(block.build_time.get(), block.build_time_ns.get());
        let image = Self {
            source,
            end: says,
            inodes: u64::from(block.meta_block.get()) * BLOCK_SIZE,
            root: Nid(block.root_nid.get().into()),
            build_time: build_time.ok_or(damaged(Damage::Time))?,
            inode_count: block.inodes.get(),
            uuid: block.uuid,
        };
        if image.inodes >= image.end {
            return Err(damaged(Damage::InodeArea));
        }
        if image.inode(image.root)?.file_type != FileType::Directory {
            return Err(damaged(Damage::Root));
        }
        Ok(image)
    }

    /// The root directory.
    pub fn root(&self) -> Nid {
        self.root
    }

    /// How long the image is, in bytes: whole blocks. Its file may be longer.
    pub fn size(&self) -> u64 {
        self.end
    }

    /// When it was made; it is the time of every file with an inode of 32 bytes.
    pub fn build_time(&self) -> Time {
        self.build_time
    }

    /// How many inodes it says that it has: for statfs(2), and for nothing else.
    pub fn inode_count(&self) -> u64 {
        self.inode_count
    }

    /// What tells it from others.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Where its bytes come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Copies bytes of the image.
    pub(crate) fn copy(&self, at: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.source.read(at, bytes).map_err(|_| Error::Unreadable(at))
    }

    /// Copies a structure out of the image.
    pub(crate) fn structure<T: FromBytes + IntoBytes>(&self, at: u64) -> Result<T, Error> {
        read(&self.source, at)
    }

    /// Whether these bytes are in the image.
    pub(crate) fn has(&self, start: u64, len: u64) -> bool {
        start.checked_add(len).is_some_and(|end| end <= self.end)
    }
}

fn read<T: FromBytes + IntoBytes>(source: &impl Source, at: u64) -> Result<T, Error> {
    let mut value = T::new_zeroed();
    source.read(at, value.as_mut_bytes()).map_err(|_| Error::Unreadable(at))?;
    Ok(value)
}

/// Whether there is nothing in the image that this reader has not.
fn supported(block: &SuperBlock) -> Result<(), Error> {
    let bits = block.incompatible.get();
    let mut unknown = bits;
    for (bit, feature) in INCOMPATIBLE {
        if let Some(feature) = feature.filter(|_| bits & bit != 0) {
            return Err(Error::Unsupported(feature));
        }
        unknown &= !bit;
    }
    if unknown != 0 {
        return Err(Error::Unsupported(Feature::Unknown(unknown)));
    }
    match block.directory_block_bits {
        0 => Ok(()),
        _ => Err(Error::Unsupported(Feature::DirectoryBlocks)),
    }
}

/// Holds the checksum against what of the first block lies behind its beginning.
fn verify(source: &impl Source, block: SuperBlock) -> Result<(), Error> {
    let zeroed = SuperBlock { checksum: 0.into(), ..block };
    let mut computed = checksum::with(checksum::START, zeroed.as_bytes());
    let mut at = disk::SUPER_OFFSET + size_of::<SuperBlock>() as u64;
    let mut piece = [0; 128];
    while at < BLOCK_SIZE {
        source.read(at, &mut piece).map_err(|_| Error::Unreadable(at))?;
        computed = checksum::with(computed, &piece);
        at += piece.len() as u64;
    }
    let stored = block.checksum.get();
    if computed == stored { Ok(()) } else { Err(Error::Checksum { stored, computed }) }
}
