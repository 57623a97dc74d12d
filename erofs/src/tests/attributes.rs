//! Attributes at their ends, and inodes of 32 bytes, which the writer does not write.

use zerocopy::IntoBytes;

use super::{ROOT, file, find, image_of, open, open_changed};
use crate::disk::{self, CompactInode};
use crate::write::{Attributes, Tree};
use crate::{Error, FileType, Inode, Time};

#[test]
fn attributes_are_kept_at_their_ends() {
    for (seconds, nanoseconds) in [(i64::MIN, 0), (-1, 999_999_999), (0, 0), (i64::MAX, 1)] {
        let modified = Time { seconds, nanoseconds };
        let attributes = Attributes { permissions: 0o7777, uid: u32::MAX, gid: 65_536, modified };
        let mut tree = Tree::new(ROOT);
        tree.add(b"file", attributes, file("")).unwrap();
        let image = image_of(&tree);
        let inode = find(&open(&image), "file").unwrap();
        assert_eq!((inode.permissions, inode.uid, inode.gid), (0o7777, u32::MAX, 65_536));
        assert_eq!(inode.modified, modified);
    }
}

/// Puts another inode into the place of one.
fn replace(image: &mut [u8], inode: &Inode, new: &[u8]) {
    image[(inode.nid.0 * disk::SLOT) as usize..][..new.len()].copy_from_slice(new);
}

fn compact(layout: u16, size: u32, place: u32) -> CompactInode {
    CompactInode {
        format: (layout << disk::LAYOUT_SHIFT).into(),
        xattr_count: 0.into(),
        mode: 0o100_604.into(),
        links: 3.into(),
        size: size.into(),
        reserved: 0.into(),
        place: place.into(),
        number: 0.into(),
        uid: 65_535.into(),
        gid: 7.into(),
        reserved2: 0.into(),
    }
}

#[test]
fn inodes_of_32_bytes_have_the_images_time() {
    let mut tree = Tree::new(ROOT);
    tree.add(b"file", ROOT, file("in a block")).unwrap();
    let mut image = image_of(&tree);
    let old = find(&open(&image), "file").unwrap();
    let block = open(&image).extent(&old, 0).unwrap().position / 4096;
    replace(&mut image, &old, compact(disk::FLAT_PLAIN, 10, block as u32).as_bytes());
    let image = open_changed(&image);
    let inode = image.inode(old.nid).unwrap();
    assert_eq!((inode.file_type, inode.permissions), (FileType::Regular, 0o604));
    assert_eq!((inode.uid, inode.gid, inode.links), (65_535, 7, 3));
    assert_eq!(inode.modified, image.build_time());
    let mut bytes = [0; 10];
    assert_eq!(image.read(&inode, 0, &mut bytes), Ok(10));
    assert_eq!(&bytes, b"in a block");
}

#[test]
fn bytes_behind_an_inode_lie_behind_its_extended_attributes() {
    let mut tree = Tree::new(ROOT);
    tree.add(b"file", ROOT, file("")).unwrap();
    let mut image = image_of(&tree);
    let old = find(&open(&image), "file").unwrap();
    for (count, skipped) in [(0, 0), (1, 12), (4, 24)] {
        let inode = CompactInode { xattr_count: count.into(), ..compact(disk::FLAT_INLINE, 4, 0) };
        let bytes = [inode.as_bytes(), &vec![b'x'; skipped], b"tail"].concat();
        replace(&mut image, &old, &bytes);
        let mut bytes = [0; 5];
        let image = open_changed(&image);
        let inode = image.inode(old.nid).unwrap();
        assert_eq!(image.read(&inode, 0, &mut bytes), Ok(4));
        assert_eq!(&bytes[..4], b"tail");
        assert!(!image.extent(&inode, 0).unwrap().in_blocks);
    }
}

#[test]
fn a_number_of_a_device_is_taken_apart_as_linux_does() {
    for (major, minor) in [(0, 0), (1, 3), (0xfff, 0xf_ffff), (259, 0x12345)] {
        let device = crate::Device { major, minor };
        let number = device.encode().unwrap();
        assert_eq!(number, major << 8 | minor & 0xff | minor >> 8 << 20, "new_encode_dev");
        let mut tree = Tree::new(ROOT);
        tree.add(b"x", ROOT, crate::write::Body::Character(device)).unwrap();
        assert_eq!(find(&open(&image_of(&tree)), "x").map(|inode| inode.device), Ok(device));
    }
}

#[test]
fn an_inode_number_outside_of_the_image_is_an_error() {
    let image = image_of(&Tree::new(ROOT));
    let image = open(&image);
    for nid in [image.size() / disk::SLOT, u64::MAX / 32, u64::MAX] {
        assert!(matches!(image.inode(crate::Nid(nid)), Err(Error::Damaged { .. })), "{nid}");
    }
}
