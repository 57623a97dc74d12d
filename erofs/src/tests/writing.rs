//! The writer: the same tree, the same bytes; trees and files out of order.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;

use super::{Files, ROOT, attributes, everything, file, find, image_of, list, open};
use crate::write::{Body, Content, Problem, Settings, Tree, WriteError, write};
use crate::{Device, Image, LINK_MAX, NAME_MAX, Time};

#[test]
fn the_same_files_give_the_same_bytes_in_whatever_order_they_were_added() {
    let names = [&b"a"[..], b"b", b"c/d", b"c/e", b"f"];
    let tree = |order: &[usize]| {
        let mut tree: Files = Tree::new(ROOT);
        tree.add(b"c", ROOT, Body::Directory).unwrap();
        tree.add(b"gone", ROOT, file("gone")).unwrap();
        for index in order {
            tree.add(names[*index], ROOT, file(names[*index])).unwrap();
        }
        tree.remove(b"gone").unwrap();
        tree.link(b"g", b"c/d").unwrap();
        image_of(&tree)
    };
    assert_eq!(tree(&[0, 1, 2, 3, 4]), tree(&[4, 2, 0, 3, 1]));
    assert_eq!(image_of(&everything()), image_of(&everything()));
}

#[test]
fn time_and_uuid_are_the_callers() {
    let mut image = Cursor::new(Vec::new());
    let build_time = Time { seconds: 5, nanoseconds: 6 };
    write(&everything(), &Settings { uuid: [7; 16], build_time }, &mut image).unwrap();
    let image = image.into_inner();
    assert_eq!((open(&image).uuid(), open(&image).build_time()), ([7; 16], build_time));
}

#[test]
fn what_is_added_replaces_what_was_there_and_directories_keep_their_files() {
    let mut tree: Files = Tree::new(ROOT);
    tree.add(b"x", ROOT, Body::Directory).unwrap();
    tree.add(b"x/y", ROOT, file("y")).unwrap();
    tree.add(b"x", attributes(0o700), Body::Directory).unwrap();
    assert_eq!(tree.get(b"x").unwrap().0.permissions, 0o700);
    assert_eq!(tree.names(b"x").collect::<Vec<_>>(), [b"y"]);
    tree.link(b"z", b"x/y").unwrap();
    tree.add(b"x", ROOT, file("")).unwrap();
    assert!(tree.get(b"x/y").is_none());
    assert_eq!(tree.get(b"z").unwrap().1, &file("y"), "it has another name");
    tree.add(b"x", ROOT, Body::Directory).unwrap();
    assert_eq!(tree.names(b"x").count(), 0);
    tree.add(b"", attributes(0o711), Body::Directory).unwrap();
    let image = image_of(&tree);
    let image = open(&image);
    assert_eq!(find(&image, "").unwrap().permissions, 0o711);
    assert_eq!(find(&image, "z").unwrap().links, 1);
    image.check().unwrap();
}

#[test]
fn a_path_that_leads_nowhere_or_out_of_the_tree_is_refused() {
    let mut tree: Files = Tree::new(ROOT);
    tree.add(b"d", ROOT, Body::Directory).unwrap();
    tree.add(b"f", ROOT, file("")).unwrap();
    tree.add(b"l", ROOT, Body::Symlink(b"d".to_vec())).unwrap();
    let long = [b'n'; NAME_MAX + 1];
    let bad: [(&[u8], Problem); 14] = [
        (b"/etc", Problem::Name),
        (b"d/", Problem::Name),
        (b"d//x", Problem::Name),
        (b".", Problem::Name),
        (b"..", Problem::Name),
        (b"../x", Problem::Name),
        (b"d/../../x", Problem::Name),
        (b"d/./x", Problem::Name),
        (b"d/x\0", Problem::Name),
        (&long, Problem::NameTooLong),
        (b"e/x", Problem::NoDirectory),
        (b"f/x", Problem::NotADirectory),
        (b"f/x/y", Problem::NotADirectory),
        (b"l/x", Problem::NotADirectory),
    ];
    for (path, what) in bad {
        let error = tree.add(path, ROOT, file("")).unwrap_err();
        assert_eq!(error.what, what, "{}", path.escape_ascii());
        assert!(error.to_string().starts_with('/'), "{error}");
        assert_eq!(tree.link(path, b"f").unwrap_err().what, what);
        assert_eq!(tree.remove(path).unwrap_err().what, what);
    }
    assert_eq!(tree.add(b"", ROOT, file("")).unwrap_err().what, Problem::Name);
    assert_eq!(tree.link(b"h", b"nobody").unwrap_err().what, Problem::NoSuchFile);
    assert_eq!(tree.link(b"h", b"d").unwrap_err().what, Problem::LinkToDirectory);
    assert!(!tree.remove(b"nobody").unwrap());
    let image = image_of(&tree);
    let image = open(&image);
    assert_eq!(list(&image, &find(&image, "").unwrap(), 0).unwrap().len(), 5, "nothing came of it");
}

#[test]
fn a_file_that_no_image_can_have_is_refused() {
    let mut tree: Files = Tree::new(ROOT);
    let mut refused = |body| tree.add(b"x", ROOT, body).unwrap_err().what;
    for target in [vec![], vec![b'x'; LINK_MAX + 1], b"a\0b".to_vec()] {
        assert_eq!(refused(Body::Symlink(target)), Problem::Target);
    }
    for (major, minor) in [(0x1000, 0), (0, 0x10_0000)] {
        assert_eq!(refused(Body::Block(Device { major, minor })), Problem::Device);
    }
    let mut time = ROOT;
    time.modified.nanoseconds = 1_000_000_000;
    assert_eq!(tree.add(b"x", time, file("")).unwrap_err().what, Problem::Time);
}

/// A file that has other bytes than it says, or none.
struct Lying(fn() -> Box<dyn Read>);

impl Content for Lying {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok((self.0)())
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StaleNetworkFileHandle.into())
    }
}

#[test]
fn a_file_that_is_not_as_it_was_said_is_told_by_its_path() {
    let written = |size, content: fn() -> Box<dyn Read>| {
        let mut tree = Tree::new(ROOT);
        tree.add(b"etc", ROOT, Body::Directory).unwrap();
        tree.add(b"etc/x", ROOT, Body::Regular { size, content: Lying(content) }).unwrap();
        write(&tree, &Settings::default(), Cursor::new(Vec::new()))
    };
    let hundred: fn() -> Box<dyn Read> = || Box::new(&[1; 100][..]);
    written(100, hundred).unwrap();
    for size in [1, 99, 101, 1 << 20] {
        let error = written(size, hundred).unwrap_err();
        assert!(matches!(error, WriteError::Size { .. }), "{error}");
        assert!(error.to_string().starts_with("/etc/x has"), "{error}");
    }
    let large: fn() -> Box<dyn Read> = || Box::new(io::repeat(1).take(65_536));
    written(65_536, large).unwrap();
    for size in [65_535, 65_537] {
        assert!(matches!(written(size, large), Err(WriteError::Size { .. })), "{size}");
    }
    let endless = written(1, || Box::new(io::repeat(1)));
    assert!(matches!(endless, Err(WriteError::Size { .. })), "no more is read than is wanted");
    let error = written(1, || Box::new(Broken)).unwrap_err();
    assert!(error.to_string().starts_with("/etc/x cannot be read: "), "{error}");
    let error = written(u64::MAX, hundred).unwrap_err();
    assert!(matches!(error, WriteError::TooLarge), "{error}");
}

/// An output that is full after some bytes.
struct Full(u64);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

#[test]
fn a_full_disk_is_an_error_whenever_it_is() {
    let tree = everything();
    let len = image_of(&tree).len() as u64;
    for room in [0, 1, 4096, len / 2] {
        let error = write(&tree, &Settings::default(), Full(room)).unwrap_err();
        assert!(matches!(error, WriteError::Output(_)), "{error}");
    }
}

#[test]
fn zeroes_take_no_room_on_disk() {
    let mut tree = Tree::new(ROOT);
    let zeroes: fn() -> Box<dyn Read> = || Box::new(io::repeat(0).take(64 << 20));
    tree.add(b"zeroes", ROOT, Body::Regular { size: 64 << 20, content: Lying(zeroes) }).unwrap();
    let mixed: fn() -> Box<dyn Read> =
        || Box::new(io::repeat(0).take(10_000).chain(&b"x"[..]).chain(io::repeat(0).take(9_999)));
    tree.add(b"mixed", ROOT, Body::Regular { size: 20_000, content: Lying(mixed) }).unwrap();
    let mut output = tempfile::tempfile().unwrap();
    let len = write(&tree, &Settings::default(), &mut output).unwrap();
    let metadata = output.metadata().unwrap();
    assert_eq!(metadata.len(), len);
    assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());
    let mut bytes = Vec::new();
    output.seek(SeekFrom::Start(0)).unwrap();
    output.read_to_end(&mut bytes).unwrap();
    let image = Image::open(&bytes[..]).unwrap();
    assert_eq!(find(&image, "zeroes").unwrap().size, 64 << 20);
    let mut content = vec![0; 20_000];
    image.read(&find(&image, "mixed").unwrap(), 0, &mut content).unwrap();
    assert_eq!(content.iter().position(|byte| *byte != 0), Some(10_000));
}

#[test]
fn a_deep_tree_is_written_without_recursion() {
    let mut tree = Tree::new(ROOT);
    let mut path = Vec::new();
    for _ in 0..1_000 {
        path.extend(if path.is_empty() { &b"d"[..] } else { b"/d" });
        tree.add(&path, ROOT, Body::<Vec<u8>>::Directory).unwrap();
    }
    assert_eq!(open(&image_of(&tree)).check().unwrap().directories, 1_001);
}
