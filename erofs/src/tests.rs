//! Images that are written here and read again, in order and out of order.

mod attributes;
mod directories;
mod features;
mod hostile;
mod round_trip;
mod writing;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::ControlFlow;

use crate::write::{Attributes, Body, Settings, Tree, write};
use crate::{Error, FileType, Image, Inode, LINK_MAX, Nid, Source, Time, Unreadable};

const ROOT: Attributes = attributes(0o755);

const fn attributes(permissions: u16) -> Attributes {
    let modified = Time { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
    Attributes { permissions, uid: 1000, gid: 100_000, modified }
}

type Files = Tree<Vec<u8>>;

fn file(content: impl Into<Vec<u8>>) -> Body<Vec<u8>> {
    let content = content.into();
    Body::Regular { size: content.len() as u64, content }
}

/// A tree of these regular files, whose content is their name.
fn files<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Files {
    let mut tree = Tree::new(ROOT);
    for name in names {
        tree.add(name, attributes(0o644), file(name)).unwrap();
    }
    tree
}

/// A tree with something of every kind, small.
fn everything() -> Files {
    let mut tree = Tree::new(ROOT);
    let mut add = |path: &str, body| tree.add(path.as_bytes(), attributes(0o640), body).unwrap();
    add("bin", Body::Directory);
    add("bin/sh", file(vec![0x7f; 5000]));
    add("bin/empty", file(""));
    add("dev", Body::Directory);
    add("dev/null", Body::Character(crate::Device { major: 1, minor: 3 }));
    add("dev/sda", Body::Block(crate::Device { major: 0xfff, minor: 0xf_ffff }));
    add("dev/pipe", Body::Fifo);
    add("dev/log", Body::Socket);
    add("link", Body::Symlink(b"bin/sh".to_vec()));
    // More than a block of names.
    for number in 0..17 {
        add(&format!("bin/{number:_>250}"), Body::Fifo);
    }
    tree.link(b"bin/bash", b"bin/sh").unwrap();
    tree
}

fn image_of(tree: &Files) -> Vec<u8> {
    let mut image = Cursor::new(Vec::new());
    let settings = Settings { uuid: *b"0123456789abcdef", build_time: ROOT.modified };
    let len = write(tree, &settings, &mut image).unwrap();
    let image = image.into_inner();
    assert_eq!(len, image.len() as u64);
    image
}

fn open(image: &[u8]) -> Image<&[u8]> {
    Image::open(image).unwrap()
}

/// The same of one that was changed: its checksum does not count.
fn open_changed(image: &[u8]) -> Image<&[u8]> {
    Image::open_again(image).unwrap()
}

/// The inode of a path.
fn find<S: Source>(image: &Image<S>, path: &str) -> Result<Inode, Error> {
    let mut inode = image.inode(image.root())?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let nid = image.lookup(&inode, name.as_bytes())?;
        inode = image.inode(nid.unwrap_or_else(|| panic!("no {name} of {path}")))?;
    }
    Ok(inode)
}

/// Names of a directory from this place on, with where the listing goes on behind each.
fn list<S: Source>(image: &Image<S>, directory: &Inode, from: u64) -> Result<Vec<Listed>, Error> {
    let mut all = Vec::new();
    image.list(directory, from, &mut |entry| {
        let (name, nid, file_type) = (entry.name.to_vec(), entry.nid, entry.file_type);
        all.push(Listed { name, nid, file_type, next: entry.next });
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    name: Vec<u8>,
    nid: Nid,
    file_type: Option<FileType>,
    next: u64,
}

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    inode: Inode,
    content: Vec<u8>,
}

/// Everything in an image, by path. At most so many files: directories may go round.
fn read_all<S: Source>(image: &Image<S>, most: usize) -> Result<BTreeMap<Vec<u8>, Read>, Error> {
    let mut all = BTreeMap::new();
    let mut ahead = vec![(Vec::new(), image.root())];
    while let Some((path, nid)) = ahead.pop() {
        let inode = image.inode(nid)?;
        let mut content = Vec::new();
        match inode.file_type {
            FileType::Directory => {
                for entry in list(image, &inode, 0)? {
                    assert_eq!(image.lookup(&inode, &entry.name)?, Some(entry.nid), "{entry:?}");
                    if ![&b"."[..], b".."].contains(&&entry.name[..]) {
                        let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                        ahead.push(([&path, slash, &entry.name].concat(), entry.nid));
                    }
                }
            }
            FileType::Symlink => {
                content = image.read_link(&inode, &mut [0; LINK_MAX])?.to_vec();
            }
            _ => {
                content = vec![0; inode.size as usize];
                assert_eq!(image.read(&inode, 0, &mut content)? as u64, inode.size);
            }
        }
        all.insert(path, Read { inode, content });
        if all.len() == most {
            break;
        }
    }
    Ok(all)
}

/// An image that says how much is read of it, and panics where that is too much.
struct Counting<'a> {
    image: &'a [u8],
    reads: Cell<u64>,
    most: u64,
}

impl<'a> Counting<'a> {
    fn new(image: &'a [u8], most: u64) -> Self {
        Self { image, reads: Cell::new(0), most }
    }
}

impl Source for Counting<'_> {
    fn size(&self) -> u64 {
        self.image.size()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() <= self.most, "{} reads", self.most);
        self.image.read(offset, bytes)
    }
}
