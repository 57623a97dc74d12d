//! Names: of many files, of long ones, and how they are listed.

use std::ops::ControlFlow;

use super::{Counting, ROOT, everything, file, files, find, image_of, list, open};
use crate::write::Body;
use crate::{BLOCK_SIZE, Error, FileType, Image, NAME_MAX};

#[test]
fn a_hundred_thousand_names_are_listed_in_order_and_each_is_found_by_few_reads() {
    let name = |number: u32| format!("file-{number:06}").into_bytes();
    let names: Vec<_> = (0..100_000).map(name).collect();
    let bytes = image_of(&files(names.iter().map(Vec::as_slice)));
    let image = open(&bytes);
    let root = image.inode(image.root()).unwrap();
    let listed = list(&image, &root, 0).unwrap();
    assert_eq!(listed.len(), names.len() + 2);
    assert!(listed.is_sorted_by(|a, b| a.name < b.name && a.next < b.next));
    for number in (0..100_000).step_by(997) {
        // A block has 120 of them: 10 steps to the block, 7 within it. Each reads a
        // table's beginning, an entry or two, and a name.
        let image = Image::open(Counting::new(&bytes, 100)).unwrap();
        let nid = image.lookup(&root, &name(number)).unwrap().unwrap();
        let mut content = [0; 20];
        let len = image.read(&image.inode(nid).unwrap(), 0, &mut content).unwrap();
        assert_eq!(content[..len], name(number));
        let absent = [name(number), b"x".to_vec()].concat();
        assert_eq!(open(&bytes).lookup(&root, &absent), Ok(None));
    }
    assert_eq!(image.check().unwrap().inodes, 100_001);
}

#[test]
fn names_have_up_to_255_bytes_of_any_value() {
    let mut names: Vec<Vec<u8>> = (1..=255_u8).map(|byte| vec![byte; NAME_MAX]).collect();
    names.extend((1..=255_u8).map(|byte| vec![byte]));
    names.retain(|name| ![b'/', b'.'].contains(&name[0]));
    names.push(vec![b'.'; NAME_MAX]);
    names.push(b"...".to_vec());
    let bytes = image_of(&files(names.iter().map(Vec::as_slice)));
    let image = open(&bytes);
    let root = image.inode(image.root()).unwrap();
    for name in &names {
        assert!(image.lookup(&root, name).unwrap().is_some(), "{}", name.escape_ascii());
    }
    for absent in [&b""[..], &[b'x'; NAME_MAX + 1], &[0xff; NAME_MAX + 1], b"a/b", b"\0", b"xy"] {
        assert_eq!(image.lookup(&root, absent), Ok(None), "{}", absent.escape_ascii());
    }
    let found = list(&image, &root, 0).unwrap();
    names.extend([b".".to_vec(), b"..".to_vec()]);
    names.sort();
    assert_eq!(found.into_iter().map(|entry| entry.name).collect::<Vec<_>>(), names);
}

#[test]
fn a_listing_goes_on_behind_every_entry() {
    let bytes = image_of(&everything());
    let image = open(&bytes);
    let bin = find(&image, "bin").unwrap();
    let all = list(&image, &bin, 0).unwrap();
    assert!(all[0].next > 0);
    for (index, entry) in all.iter().enumerate() {
        assert_eq!(list(&image, &bin, entry.next).unwrap(), all[index + 1..]);
    }
    // One entry a call, as the smallest buffer of getdents64(2) makes it.
    let (mut next, mut count) = (0, 0);
    loop {
        let before = next;
        let mut step = |entry: crate::Entry<'_>| {
            next = entry.next;
            count += 1;
            ControlFlow::Break(())
        };
        image.list(&bin, before, &mut step).unwrap();
        if next == before {
            break;
        }
    }
    assert_eq!(count, all.len());
}

#[test]
fn a_listing_from_anywhere_shows_whole_entries() {
    let bytes = image_of(&everything());
    let image = open(&bytes);
    let bin = find(&image, "bin").unwrap();
    let all = list(&image, &bin, 0).unwrap();
    for from in (0..bin.size + 5000).step_by(5).chain([u64::MAX - 5, u64::MAX]) {
        let some = list(&image, &bin, from).unwrap();
        assert!(all.ends_with(&some), "{from}");
        assert!(from < bin.size || some.is_empty(), "{from}");
    }
}

#[test]
fn dots_are_names_like_others() {
    // Some names come before them.
    let mut tree = files([&b"!"[..], b"+", b"-", b"a"]);
    tree.add(b"d", ROOT, Body::Directory).unwrap();
    tree.add(b"d/!", ROOT, file("")).unwrap();
    let bytes = image_of(&tree);
    let image = open(&bytes);
    let root = image.inode(image.root()).unwrap();
    assert_eq!(image.lookup(&root, b".."), Ok(Some(root.nid)), "the root's is the root");
    let below = find(&image, "d").unwrap();
    assert_eq!(image.lookup(&below, b"."), Ok(Some(below.nid)));
    assert_eq!(image.lookup(&below, b".."), Ok(Some(root.nid)));
    let types: Vec<_> = list(&image, &below, 0).unwrap();
    let types: Vec<_> = types.iter().map(|entry| (&entry.name[..], entry.file_type)).collect();
    let directory = Some(FileType::Directory);
    let expected: [(&[u8], _); 3] =
        [(b"!", Some(FileType::Regular)), (b".", directory), (b"..", directory)];
    assert_eq!(types, expected);
}

#[test]
fn what_is_no_directory_has_no_names_and_what_is_no_link_has_no_target() {
    let bytes = image_of(&everything());
    let image = open(&bytes);
    let sh = find(&image, "bin/sh").unwrap();
    assert_eq!(image.lookup(&sh, b"x"), Err(Error::NotADirectory));
    assert_eq!(list(&image, &sh, 0), Err(Error::NotADirectory));
    assert_eq!(image.read_link(&sh, &mut [0; crate::LINK_MAX]), Err(Error::NotASymlink));
}

#[test]
fn blocks_of_names_that_fill_them_to_the_last_byte() {
    // 12 bytes an entry: `.` and `..` take 27; 15 names of 255 bytes 4005; one of 52 is
    // the rest of a block.
    let mut names: Vec<_> = (0..15).map(|number| vec![b'a' + number; NAME_MAX]).collect();
    names.push(vec![b'z'; 4096 - 27 - 15 * 267 - 12]);
    for more in [&b""[..], b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"] {
        let all = names.iter().map(Vec::as_slice).chain(Some(more).filter(|it| !it.is_empty()));
        let bytes = image_of(&files(all.clone()));
        let image = open(&bytes);
        let root = image.inode(image.root()).unwrap();
        assert_eq!(root.size.is_multiple_of(BLOCK_SIZE), more.is_empty());
        for name in all {
            assert!(image.lookup(&root, name).unwrap().is_some());
        }
        image.check().unwrap();
    }
}
