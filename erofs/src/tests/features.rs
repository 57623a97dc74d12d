//! What images this reader does not read, and says so by name.

use zerocopy::{FromBytes, IntoBytes};

use super::{everything, find, image_of, open, open_changed};
use crate::checksum;
use crate::disk::{self, SuperBlock};
use crate::{Damage, Error, Feature, Image};

/// The image with another superblock, whose checksum is right.
fn with(change: impl FnOnce(&mut SuperBlock)) -> Vec<u8> {
    let mut image = image_of(&everything());
    let place = disk::SUPER_OFFSET as usize..disk::SUPER_OFFSET as usize + size_of::<SuperBlock>();
    let mut block = SuperBlock::read_from_bytes(&image[place.clone()]).unwrap();
    change(&mut block);
    block.checksum = 0.into();
    image[place.clone()].copy_from_slice(block.as_bytes());
    block.checksum = checksum::with(checksum::START, &image[1024..4096]).into();
    image[place].copy_from_slice(block.as_bytes());
    image
}

fn refused(change: impl FnOnce(&mut SuperBlock)) -> Error {
    Image::open(with(change).as_slice()).unwrap_err()
}

#[test]
fn each_feature_that_is_not_read_is_refused_by_name() {
    let names = [
        (1 << 1, Feature::Compression),
        (1 << 2, Feature::Chunks),
        (1 << 3, Feature::Devices),
        (1 << 4, Feature::Compression),
        (1 << 5, Feature::Fragments),
        (1 << 7, Feature::Blocks48),
        (1 << 8, Feature::MetadataBox),
        (1 << 9, Feature::Unknown(1 << 9)),
        (1 << 31, Feature::Unknown(1 << 31)),
    ];
    for (bit, feature) in names {
        let error = refused(|block| block.incompatible = bit.into());
        assert_eq!(error, Error::Unsupported(feature));
        assert!(error.to_string().ends_with("which is not supported"), "{error}");
    }
    let error = refused(|block| block.directory_block_bits = 1);
    assert_eq!(error, Error::Unsupported(Feature::DirectoryBlocks));
    for bit in [0, 1 << 0, 1 << 6] {
        open(&with(|block| block.incompatible = bit.into()));
    }
    open(&with(|block| block.compatible = u32::MAX.into()));
}

#[test]
fn blocks_of_another_size_are_refused() {
    for bits in [0, 9, 11, 13, 16, 255] {
        assert_eq!(refused(|block| block.block_bits = bits), Error::BlockSize(bits));
    }
}

#[test]
fn each_layout_of_a_file_that_is_not_read_is_refused_by_name() {
    let layouts = [
        (disk::COMPRESSED_FULL, Feature::Compression),
        (disk::COMPRESSED_COMPACT, Feature::Compression),
        (disk::CHUNK_BASED, Feature::Chunks),
        (5, Feature::InodeFormat(11)),
        (8, Feature::InodeFormat(17)),
    ];
    let mut image = image_of(&everything());
    let nid = find(&open(&image), "bin/sh").unwrap().nid;
    for (layout, feature) in layouts {
        image[(nid.0 * disk::SLOT) as usize] = (layout << 1 | 1) as u8;
        assert_eq!(open_changed(&image).inode(nid), Err(Error::Unsupported(feature)));
    }
}

#[test]
fn a_superblock_out_of_order_is_told_by_what_is_wrong() {
    let damaged = |what| Error::Damaged { what, at: disk::SUPER_OFFSET };
    assert_eq!(refused(|block| block.magic = 0.into()), Error::NotErofs);
    assert_eq!(refused(|block| block.meta_block = u32::MAX.into()), damaged(Damage::InodeArea));
    let time = refused(|block| block.build_time_ns = 1_000_000_000.into());
    assert_eq!(time, damaged(Damage::Time));
    let mut size = 0;
    let truncated = refused(|block| {
        size = block.blocks.get();
        block.blocks = (size + 1).into();
    });
    let has = u64::from(size) * 4096;
    assert_eq!(truncated, Error::Truncated { says: has + 4096, has });
    let link = find(&open(&image_of(&everything())), "bin/sh").unwrap().nid;
    assert_eq!(refused(|block| block.root_nid = (link.0 as u16).into()), damaged(Damage::Root));
    // More than the image's length.
    let mut image = image_of(&everything());
    image.extend([1; 5000]);
    assert_eq!(open(&image).size(), has);
}

#[test]
fn a_checksum_that_does_not_fit_is_an_error_if_it_counts() {
    let mut image = image_of(&everything());
    image[1024 + 64] ^= 1;
    assert!(matches!(Image::open(&image[..]), Err(Error::Checksum { .. })), "the volume's name");
    assert!(Image::open_again(&image[..]).is_ok(), "it is not computed again");
    image[1024 + 8] &= !1;
    open(&image);
}

#[test]
fn what_is_no_image_is_told_so() {
    assert_eq!(Image::open(&b""[..]).unwrap_err(), Error::NotErofs);
    assert_eq!(Image::open(&[0; 1151][..]).unwrap_err(), Error::NotErofs);
    assert_eq!(Image::open(&[b'x'; 100_000][..]).unwrap_err(), Error::NotErofs);
}
