//! What is written is what is read.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Files, ROOT, Read, everything, file, find, image_of, open, read_all};
use crate::write::{Attributes, Body, Tree};
use crate::{BLOCK_SIZE, Device, FileType, LINK_MAX, NAME_MAX, Time};

/// A name: mostly short, so that some meet, now and then as long as can be.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no name has it", |byte| ![0, b'/'].contains(byte));
    let is_name = |name: &Vec<u8>| ![&b"."[..], b".."].contains(&&name[..]);
    let short = prop::collection::vec(byte.clone(), 1..3).prop_filter("a dot", is_name);
    prop_oneof![8 => short, 1 => prop::collection::vec(byte, NAME_MAX)]
}

fn body() -> impl Strategy<Value = Body<Vec<u8>>> {
    let sizes = prop_oneof![0..20_usize, 4090..4100_usize, 8000..8300_usize];
    let content = (sizes, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]);
    let target = prop::collection::vec(1..=u8::MAX, 1..100);
    let device = (0..=0xfff_u32, 0..=0xf_ffff_u32);
    let device = device.prop_map(|(major, minor)| Device { major, minor });
    let longest = Just(Body::Symlink(vec![b'x'; LINK_MAX]));
    prop_oneof![
        4 => Just(Body::Directory),
        4 => content.prop_map(file),
        1 => prop_oneof![target.prop_map(Body::Symlink), longest],
        1 => device.clone().prop_map(Body::Character),
        1 => device.prop_map(Body::Block),
        1 => Just(Body::Fifo),
        1 => Just(Body::Socket),
    ]
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let time = (any::<i64>(), 0..1_000_000_000_u32);
    (0..=0o7777_u16, any::<(u32, u32)>(), time).prop_map(|(permissions, (uid, gid), time)| {
        let modified = Time { seconds: time.0, nanoseconds: time.1 };
        Attributes { permissions, uid, gid, modified }
    })
}

/// What is added to a tree: something by its name in some directory that is there.
#[derive(Clone, Debug)]
enum Step {
    Add(prop::sample::Index, Vec<u8>, Attributes, Body<Vec<u8>>),
    Link(prop::sample::Index, Vec<u8>, prop::sample::Index),
    Remove(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        10 => (place(), name(), any_attributes(), body())
            .prop_map(|(place, name, attributes, body)| Step::Add(place, name, attributes, body)),
        2 => (place(), name(), place()).prop_map(|(place, name, old)| Step::Link(place, name, old)),
        1 => place().prop_map(Step::Remove),
    ]
}

/// A file of the model; those with one number are one.
type Model = BTreeMap<Vec<u8>, (usize, Attributes, Body<Vec<u8>>)>;

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Removes a path, and what is below it.
fn remove(model: &mut Model, path: &[u8]) {
    let below = join(path, b"");
    model.retain(|other, _| other != path && !other.starts_with(&below));
}

/// A tree, and what should be in it.
fn build(steps: Vec<Step>) -> (Files, Model) {
    let mut tree = Tree::new(ROOT);
    let mut model = Model::from([(Vec::new(), (0, ROOT, Body::Directory))]);
    for (number, step) in steps.into_iter().enumerate() {
        let paths: Vec<_> = model.keys().cloned().collect();
        let is_directory = |path: &&Vec<u8>| model[*path].2 == Body::Directory;
        let (directories, others): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) =
            paths.iter().partition(is_directory);
        match step {
            Step::Add(place, name, attributes, body) => {
                let path = join(place.get::<&Vec<u8>>(&directories), &name);
                tree.add(&path, attributes, body.clone()).unwrap();
                let kept = model.get(&path).is_some_and(|(_, _, there)| *there == Body::Directory)
                    && body == Body::Directory;
                if !kept {
                    remove(&mut model, &path);
                }
                model.insert(path, (number + 1, attributes, body));
            }
            Step::Link(place, name, old) if !others.is_empty() => {
                let (path, old) = (
                    join(place.get::<&Vec<u8>>(&directories), &name),
                    *old.get::<&Vec<u8>>(&others),
                );
                tree.link(&path, old).unwrap();
                let file = model[old].clone();
                if path != *old {
                    remove(&mut model, &path);
                    model.insert(path, file);
                }
            }
            Step::Remove(path) if paths.len() > 1 => {
                let path = path.get::<Vec<u8>>(&paths[1..]);
                assert!(tree.remove(path).unwrap());
                remove(&mut model, path);
            }
            _ => {}
        }
    }
    (tree, model)
}

/// Holds a file that was read to the one that was written.
fn compare(path: &[u8], read: &Read, model: &Model) {
    let (number, attributes, body) = &model[path];
    let Read { inode, content } = read;
    assert_eq!(inode.file_type, body.file_type());
    let seen = Attributes {
        permissions: inode.permissions,
        uid: inode.uid,
        gid: inode.gid,
        modified: inode.modified,
    };
    assert_eq!(seen, *attributes);
    let (device, bytes): (_, &[u8]) = match body {
        Body::Regular { content, .. } => (Device::default(), content),
        Body::Symlink(target) => (Device::default(), target),
        Body::Character(device) | Body::Block(device) => (*device, b""),
        _ => (Device::default(), b""),
    };
    assert_eq!((inode.device, &content[..]), (device, bytes));
    let links = match body {
        Body::Directory => {
            let below = join(path, b"");
            let inside = model.iter().filter(|(other, (_, _, body))| {
                let rest = other.strip_prefix(&below[..]).filter(|rest| !rest.is_empty());
                rest.is_some_and(|rest| !rest.contains(&b'/')) && *body == Body::Directory
            });
            2 + inside.count()
        }
        _ => model.values().filter(|(other, ..)| other == number).count(),
    };
    assert_eq!(inode.links as usize, links, "links");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_tree_is_read_as_it_was_written(steps in prop::collection::vec(step(), 0..40)) {
        let (tree, model) = build(steps);
        let image = image_of(&tree);
        let image = open(&image);
        let all = read_all(&image, usize::MAX).unwrap();
        prop_assert_eq!(all.keys().collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
        let mut nids = BTreeMap::new();
        for (path, read) in &all {
            compare(path, read, &model);
            let same = nids.entry(model[path].0).or_insert(read.inode.nid);
            prop_assert_eq!(*same, read.inode.nid, "one file, one inode");
        }
        let summary = image.check().unwrap();
        prop_assert_eq!(summary.inodes, nids.len() as u64);
        prop_assert_eq!(image.inode_count(), summary.inodes);
    }
}

#[test]
fn every_kind_of_file_is_read_as_it_was_written() {
    let image = image_of(&everything());
    let image = open(&image);
    let summary = image.check().unwrap();
    assert_eq!(summary.directories, 3);
    assert_eq!(summary.bytes, 5000);
    let sh = find(&image, "bin/sh").unwrap();
    assert_eq!(sh, find(&image, "bin/bash").unwrap());
    assert_eq!((sh.links, sh.size, sh.file_type), (2, 5000, FileType::Regular));
    assert_eq!(find(&image, "dev/sda").unwrap().device, Device { major: 0xfff, minor: 0xf_ffff });
}

#[test]
fn each_page_of_a_file_is_a_page_of_the_image() {
    let mut tree = Tree::new(ROOT);
    let sizes = [0, 1, 4095, 4096, 4097, 8192, 100_000];
    let content = |size: usize| (1..=size).map(|at| (at % 251) as u8 + 1).collect::<Vec<_>>();
    for size in sizes {
        tree.add(format!("{size}").as_bytes(), ROOT, file(content(size))).unwrap();
    }
    let bytes = image_of(&tree);
    let image = open(&bytes);
    for size in sizes {
        let inode = find(&image, &size.to_string()).unwrap();
        assert_eq!(inode.size, size as u64);
        let Some(extent) = image.extent(&inode, 0) else {
            assert_eq!(size, 0, "only an empty file has nothing");
            continue;
        };
        assert!(extent.in_blocks && extent.position.is_multiple_of(BLOCK_SIZE));
        assert_eq!(extent.length, size as u64, "all of it in one piece");
        let pages = &bytes[extent.position as usize..][..size.next_multiple_of(4096)];
        assert_eq!(pages[..size], content(size));
        assert!(pages[size..].iter().all(|byte| *byte == 0), "zeroes behind the end");
        let at = image.extent(&inode, size as u64 - 1).unwrap();
        assert_eq!((at.position, at.length), (extent.position + size as u64 - 1, 1));
        assert_eq!(image.extent(&inode, size as u64), None);
        assert_eq!(image.extent(&inode, u64::MAX), None);
    }
}

#[test]
fn a_read_gives_what_there_is_and_no_more() {
    let image = image_of(&everything());
    let image = open(&image);
    let sh = find(&image, "bin/sh").unwrap();
    let mut bytes = [0; 64];
    assert_eq!(image.read(&sh, 4990, &mut bytes), Ok(10));
    assert_eq!((bytes[9], bytes[10]), (0x7f, 0));
    assert_eq!(image.read(&sh, 5000, &mut bytes), Ok(0));
    assert_eq!(image.read(&sh, u64::MAX, &mut bytes), Ok(0));
    // What does not fill a block lies behind the inode.
    let bin = find(&image, "bin").unwrap();
    assert!(bin.size > BLOCK_SIZE && !bin.size.is_multiple_of(BLOCK_SIZE));
    let whole = bin.size / BLOCK_SIZE * BLOCK_SIZE;
    assert!(image.extent(&bin, whole - 1).unwrap().in_blocks);
    assert!(!image.extent(&bin, whole).unwrap().in_blocks);
    let mut bytes = vec![0; bin.size as usize + 1];
    assert_eq!(image.read(&bin, 0, &mut bytes), Ok(bin.size as usize), "across the two");
}
