//! Images that nobody would have written. Whatever they say: no panic, no end of work,
//! an answer or a typed error.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::{Counting, everything, find, image_of, open, open_changed, read_all};
use crate::disk::{self, DirectoryEntry};
use crate::{BLOCK_SIZE, Damage, Error, FileType, Image, Source, Unreadable};

/// The most that is read of a small image, whatever it says: for each file that is
/// looked at some reads, and one or two for each name that could be in the image.
const MOST_READS: u64 = 50_000;
/// How many files are looked at.
const MOST_FILES: usize = 200;

/// Reads whatever there is to read.
fn examine(source: impl Source) {
    if let Ok(image) = Image::open(&source) {
        let _ = image.check();
        read_some(&image);
    }
}

/// As `read_all`, but it goes on after what is wrong.
fn read_some<S: Source>(image: &Image<S>) {
    let mut ahead = vec![image.root()];
    for _ in 0..MOST_FILES {
        let Some(nid) = ahead.pop() else { break };
        let Ok(inode) = image.inode(nid) else { continue };
        if inode.file_type == FileType::Directory {
            let Ok(names) = super::list(image, &inode, 0) else { continue };
            for entry in names.iter().step_by(names.len() / 3 + 1) {
                let _ = image.lookup(&inode, &entry.name);
            }
            ahead.extend(names.into_iter().map(|entry| entry.nid));
        }
        let _ = image.read_link(&inode, &mut [0; crate::LINK_MAX]);
        for offset in [0, inode.size.saturating_sub(1)] {
            if let Some(extent) = image.extent(&inode, offset) {
                assert!(extent.position + extent.length <= image.size(), "outside of the image");
                assert!(extent.length > 0 && extent.length <= inode.size - offset);
                let _ = image.read(&inode, offset, &mut [0; 100]);
            }
        }
    }
}

/// The image without a checksum, so that what else protects it is seen.
fn without_checksum() -> Vec<u8> {
    let mut image = image_of(&everything());
    image[1024 + 8] &= !1;
    image
}

/// How many of its bytes are not files': those come last.
fn metadata(image: &[u8]) -> usize {
    let image = open(image);
    let sh = find(&image, "bin/sh").unwrap();
    image.extent(&sh, 0).unwrap().position as usize
}

#[test]
fn each_byte_of_the_metadata_may_be_any_other() {
    let good = without_checksum();
    let end = metadata(&good);
    assert!(end <= 5 * 4096, "small enough for all of it: {end}");
    let mut image = good.clone();
    for at in 1024..end {
        for flip in [1 << (at % 8), 0xff] {
            image[at] = good[at] ^ flip;
            examine(Counting::new(&image, MOST_READS));
        }
        image[at] = good[at];
    }
}

#[test]
fn an_image_may_end_anywhere() {
    for image in [image_of(&everything()), without_checksum()] {
        for end in (0..image.len()).step_by(7).chain(image.len() - 5000..image.len()) {
            assert!(Image::open(&image[..end]).is_err(), "{end}");
        }
        // The file is shorter than it was when it was opened.
        for end in (1200..image.len()).step_by(61) {
            examine(Shrunk { image: &image[..end], size: image.len() as u64 });
        }
    }
}

/// What was cut off after its size was known.
struct Shrunk<'a> {
    image: &'a [u8],
    size: u64,
}

impl Source for Shrunk<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.image.read(offset, bytes)
    }
}

/// The test's rounds, in a run that is not a long one and in one that is.
fn cases(every: u32, long: u32) -> ProptestConfig {
    let is_long = std::env::var_os("TRAPGATE_LONG").is_some();
    ProptestConfig::with_cases(if is_long { long } else { every })
}

proptest! {
    #![proptest_config(cases(1000, 200_000))]

    #[test]
    fn bytes_anywhere_may_be_any_others(
        changes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..40),
    ) {
        let mut image = without_checksum();
        let end = metadata(&image);
        for (place, word) in changes {
            let at = 1024 + place.index(end - 1024);
            let len = word.len().min(end - at);
            image[at..at + len].copy_from_slice(&word[..len]);
        }
        examine(Counting::new(&image, MOST_READS));
    }

    #[test]
    fn the_image_may_change_while_it_is_read(seed in any::<[u8; 32]>(), rate in 1..100_u32) {
        let image = without_checksum();
        let rng = RefCell::new(TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        examine(Changing { image: &image, rng, rate });
    }
}

/// What may stand somewhere: numbers that matter, and others.
fn word() -> impl Strategy<Value = Vec<u8>> {
    const NUMBERS: &[u64] = &[0, 1, 12, 36, 255, 4095, 4096, 4097, 0xffff, u64::MAX];
    let number = (prop::sample::select(NUMBERS), 1..=8_usize);
    let number = number.prop_map(|(number, len)| number.to_le_bytes()[..len].to_vec());
    prop_oneof![number, prop::collection::vec(any::<u8>(), 1..8)]
}

/// One read in so many has a byte that is another one.
struct Changing<'a> {
    image: &'a [u8],
    rng: RefCell<TestRng>,
    rate: u32,
}

impl Source for Changing<'_> {
    fn size(&self) -> u64 {
        self.image.size()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.image.read(offset, bytes)?;
        let mut rng = self.rng.borrow_mut();
        if rng.next_u32().is_multiple_of(self.rate) && !bytes.is_empty() {
            let at = rng.next_u32() as usize % bytes.len();
            bytes[at] ^= rng.next_u32() as u8;
        }
        Ok(())
    }
}

/// Where in the image an entry of a directory of one block is.
fn entry_of(image: &[u8], directory: &str, name: &[u8]) -> usize {
    let image = open(image);
    let inode = find(&image, directory).unwrap();
    let start = image.extent(&inode, 0).unwrap().position as usize;
    let names = super::list(&image, &inode, 0).unwrap();
    let index = names.iter().position(|entry| entry.name == name).unwrap();
    start + index * size_of::<DirectoryEntry>()
}

/// Where in an entry its type is.
const TYPE: usize = 10;

#[test]
fn directories_that_go_round_are_found_out() {
    let good = image_of(&everything());
    let nid = |path| find(&open(&good), path).unwrap().nid.0;
    for target in [nid(""), nid("dev"), nid("bin")] {
        let mut image = good.clone();
        let entry = entry_of(&good, "dev", b"null");
        image[entry..entry + 8].copy_from_slice(&target.to_le_bytes());
        image[entry + TYPE] = FileType::Directory as u8;
        let error = open_changed(&image).check().unwrap_err();
        assert!(matches!(error, Error::Damaged { what: Damage::Parent, .. }), "{error}");
        // As far as one likes, and no further.
        assert!(read_all(&open_changed(&image), 5000).unwrap().len() <= 5000);
    }
}

#[test]
fn what_contradicts_itself_is_found_out_by_check() {
    let good = image_of(&everything());
    let sh = find(&open(&good), "bin/sh").unwrap();
    let check = |image: &[u8]| match open_changed(image).check().unwrap_err() {
        Error::Damaged { what, .. } => what,
        other => panic!("{other}"),
    };
    let mut image = good.clone();
    image[entry_of(&good, "dev", b"null") + TYPE] = FileType::Fifo as u8;
    assert_eq!(check(&image), Damage::Type);
    let mut image = good.clone();
    image[(sh.nid.0 * disk::SLOT) as usize + 44] = 3;
    assert_eq!(check(&image), Damage::LinkCount);
    let mut image = good.clone();
    let dev = find(&open(&good), "dev").unwrap();
    let names = open(&good).extent(&dev, 0).unwrap();
    let names = &mut image[names.position as usize..][..names.length as usize];
    let log = names.windows(3).position(|name| name == b"log").unwrap();
    names[log..log + 3].copy_from_slice(b"zzz");
    assert_eq!(check(&image), Damage::Order);
}

/// The image with another inode of bin/sh: the 64-byte form's fields by offset.
fn sh_with(fields: &[(usize, &[u8])]) -> Result<crate::Inode, Error> {
    let mut image = image_of(&everything());
    let nid = find(&open(&image), "bin/sh").unwrap().nid;
    for (offset, bytes) in fields {
        let at = (nid.0 * disk::SLOT) as usize + offset;
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }
    open_changed(&image).inode(nid)
}

#[test]
fn sizes_and_places_that_lie_are_errors() {
    let damage = |fields: &[(usize, &[u8])]| match sh_with(fields) {
        Err(Error::Damaged { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let size = |size: u64| size.to_le_bytes();
    const SIZE: usize = 8;
    const BLOCK: usize = 16;
    let inline: (usize, &[u8]) = (0, &[(disk::FLAT_INLINE << 1 | 1) as u8]);
    let link: (usize, &[u8]) = (4, &0o120_777_u16.to_le_bytes());
    for lie in [2 * BLOCK_SIZE + 1, 1 << 32, i64::MAX as u64, u64::MAX] {
        let expected = damage(&[(SIZE, &size(lie))]);
        assert_eq!(expected, Damage::Data, "{lie}");
    }
    assert_eq!(damage(&[(BLOCK, &[0xff; 4])]), Damage::Data);
    assert_eq!(damage(&[inline, (SIZE, &size(BLOCK_SIZE))]), Damage::Inline, "a tail of 4096");
    assert_eq!(damage(&[inline, (SIZE, &size(u64::MAX))]), Damage::Data);
    assert_eq!(damage(&[inline, (2, &[0xff, 0xff]), (SIZE, &size(10))]), Damage::Data);
    assert_eq!(damage(&[link, (SIZE, &size(0))]), Damage::Target);
    assert_eq!(damage(&[link, (SIZE, &size(4096))]), Damage::Target);
    assert_eq!(damage(&[(4, &[0, 0])]), Damage::Mode);
    assert_eq!(damage(&[(4, &0o170_000_u16.to_le_bytes())]), Damage::Mode);
    assert_eq!(damage(&[(44, &[0; 4])]), Damage::Links);
    assert_eq!(damage(&[(40, &1_000_000_000_u32.to_le_bytes())]), Damage::Time);
    sh_with(&[]).unwrap();
}

#[test]
fn tables_and_names_that_lie_are_errors() {
    let good = image_of(&everything());
    let dev = find(&open(&good), "dev").unwrap();
    let start = open(&good).extent(&dev, 0).unwrap().position as usize;
    let count = super::list(&open(&good), &dev, 0).unwrap().len();
    let damage = |changes: &[(usize, &[u8])]| {
        let mut image = good.clone();
        for (at, bytes) in changes {
            image[start + at..][..bytes.len()].copy_from_slice(bytes);
        }
        match super::list(&open_changed(&image), &dev, 0) {
            Err(Error::Damaged { what, at }) => {
                assert_eq!(at, start as u64);
                what
            }
            other => panic!("{other:?}"),
        }
    };
    let word = |number: usize| (number as u16).to_le_bytes();
    for table in [0, 1, 11, 13, 12 * count + 6, dev.size as usize, 65_535] {
        assert_eq!(damage(&[(8, &word(table))]), Damage::Table, "{table}");
    }
    // One entry less: the second name is no longer where the table ends.
    assert_eq!(damage(&[(8, &word(12 * count + 12))]), Damage::Name);
    let second = 12 + 8;
    for name in [0, 12 * count, 12 * count - 1, dev.size as usize, 65_535] {
        assert_eq!(damage(&[(second, &word(name))]), Damage::Name, "{name}");
    }
    for byte in [b"/", b"\0"] {
        assert_eq!(damage(&[(12 * count, byte)]), Damage::Name, "in the first name");
    }
    assert_eq!(damage(&[(dev.size as usize - 3, b"/")]), Damage::Name, "in the last name");
}

#[test]
fn a_link_with_a_nul_in_it_is_damaged() {
    let mut image = image_of(&everything());
    let link = find(&open(&image), "link").unwrap();
    let at = open(&image).extent(&link, 0).unwrap().position;
    image[at as usize + 2] = 0;
    let result =
        open_changed(&image).read_link(&link, &mut [0; crate::LINK_MAX]).map(<[u8]>::to_vec);
    assert_eq!(result, Err(Error::Damaged { what: Damage::Target, at }));
}
