use super::*;
use crate::root::flatten::Limits;
use crate::root::flatten::tree::tests::listing;
use crate::root::flatten::tree::{Id, Tree};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A header of an entry without data.
fn header(kind: EntryType, name: &str) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_size(0);
    header
}

/// A header with its checksum, and data in whole blocks.
fn block(mut header: Header, data: &[u8]) -> Vec<u8> {
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An entry with data.
fn with_data(kind: EntryType, name: &str, data: &[u8]) -> Vec<u8> {
    let mut header = header(kind, name);
    header.set_size(data.len() as u64);
    block(header, data)
}

pub(crate) fn file(name: &str, data: &[u8]) -> Vec<u8> {
    with_data(EntryType::Regular, name, data)
}

pub(crate) fn directory(name: &str) -> Vec<u8> {
    block(header(EntryType::Directory, name), b"")
}

/// A link of either kind.
fn link(kind: EntryType, name: &str, target: &str) -> Vec<u8> {
    let mut header = header(kind, name);
    header.set_link_name_literal(target).unwrap();
    block(header, b"")
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let digits = (rest.len() + (rest.len() + 2).to_string().len()).to_string().len();
        text.extend(format!("{}{rest}", rest.len() + digits).bytes());
    }
    with_data(EntryType::XHeader, "pax", &text)
}

/// The archive of these entries, with its end mark.
pub(crate) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn flatten_with(bytes: &[u8], limits: Limits, end: End) -> Result<(Tree, File), Bad> {
    let mut flattener = Flattener::new(tempfile::tempfile().unwrap(), limits);
    read(&mut &bytes[..], end, &mut flattener)?;
    flattener.finish()
}

fn flatten(entries: &[Vec<u8>]) -> Result<(Tree, File), Bad> {
    flatten_with(&archive(entries), Limits::DEFAULT, End::Marked)
}

fn message(entries: &[Vec<u8>]) -> String {
    flatten(entries).map(|(tree, _)| listing(&tree)).unwrap_err().to_string()
}

/// The node at a path without links.
fn node(tree: &mut Tree, path: &str) -> Id {
    tree.find(path.as_bytes()).unwrap().expect(path)
}

/// A file's bytes.
fn bytes(tree: &mut Tree, spool: &File, path: &str) -> Vec<u8> {
    let id = node(tree, path);
    let Kind::Regular(content) = tree.node(id).kind else { panic!("{path}") };
    let mut bytes = vec![1; content.length as usize];
    spool.read_exact_at(&mut bytes, content.offset).unwrap();
    bytes
}

#[test]
fn every_kind_of_file_is_taken_with_what_is_said_of_it() {
    let mut device = header(EntryType::Char, "dev/null");
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    let mut disk = header(EntryType::Block, "dev/sda");
    disk.set_device_major(8).unwrap();
    let (mut tree, spool) = flatten(&[
        directory("./"),
        file("./a", b"hello"),
        link(EntryType::Link, "./b", "./a"),
        link(EntryType::Symlink, "./c", "/etc/passwd"),
        block(device, b""),
        block(disk, b""),
        block(header(EntryType::Fifo, "fifo"), b""),
        file("old/", b""),
    ])
    .unwrap();
    assert_eq!(
        listing(&tree),
        [
            "f /a 5",
            "f /b 5",
            "l /c /etc/passwd",
            "d /dev",
            "c /dev/null 1,3",
            "b /dev/sda 8,0",
            "p /fifo",
            "d /old",
        ]
    );
    assert_eq!(node(&mut tree, "a"), node(&mut tree, "b"));
    assert_eq!(bytes(&mut tree, &spool, "b"), b"hello");
    let meta = Meta { mode: 0o644, uid: 1, gid: 2, mtime: (3, 0) };
    let a = node(&mut tree, "a");
    assert_eq!((tree.node(a).meta, tree.node(Tree::ROOT).meta), (meta, meta));
}

#[test]
fn what_a_pax_header_says_counts_for_the_next_entry_alone() {
    let long = "d/".repeat(100) + "line\nend";
    let huge = "3000000000";
    let (mut tree, spool) = flatten(&[
        pax(&[("path", &long), ("uid", huge), ("gid", "7"), ("mtime", "-1.5"), ("size", "3")]),
        // The header's own size does not count.
        [block(header(EntryType::Regular, "short"), b""), block_of(b"abc")].concat(),
        file("next", b"x"),
        pax(&[("linkpath", &long)]),
        link(EntryType::Link, "hard", "short"),
    ])
    .unwrap();
    let id = node(&mut tree, &long);
    let meta = Meta { mode: 0o644, uid: 3_000_000_000, gid: 7, mtime: (-2, 500_000_000) };
    assert_eq!(tree.node(id).meta, meta);
    assert_eq!(bytes(&mut tree, &spool, &long), b"abc");
    assert_eq!(node(&mut tree, "hard"), id);
    let next = node(&mut tree, "next");
    assert_eq!(tree.node(next).meta.uid, 1);
}

/// Data in whole blocks.
fn block_of(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn a_global_header_counts_for_all_and_each_entrys_own_before_it() {
    let text = b"8 uid=9\n";
    let (mut tree, _) = flatten(&[
        with_data(EntryType::XGlobalHeader, "g", text),
        file("a", b""),
        pax(&[("uid", "5")]),
        file("b", b""),
        file("c", b""),
    ])
    .unwrap();
    let uids = ["a", "b", "c"].map(|path| {
        let id = node(&mut tree, path);
        tree.node(id).meta.uid
    });
    assert_eq!(uids, [9, 5, 9]);
}

#[test]
fn fields_that_are_empty_are_zero() {
    let mut header = header(EntryType::Char, "c");
    let old = header.as_old_mut();
    for field in [&mut old.mode, &mut old.uid, &mut old.gid] {
        field.fill(0);
    }
    old.mtime.fill(b' ');
    let (mut tree, _) = flatten(&[block(header, b"")]).unwrap();
    assert_eq!(listing(&tree), ["c /c 0,0"]);
    let id = node(&mut tree, "c");
    assert_eq!(tree.node(id).meta, Meta { mode: 0, uid: 0, gid: 0, mtime: (0, 0) });
}

#[test]
fn gnus_long_names_are_taken() {
    let long = "n".repeat(200) + "/" + &"m".repeat(200);
    let (tree, _) = flatten(&[
        with_data(EntryType::GNULongName, "././@LongLink", format!("{long}\0").as_bytes()),
        with_data(EntryType::GNULongLink, "././@LongLink", format!("{long}x\0").as_bytes()),
        link(EntryType::Symlink, "short", "cut"),
        file("next", b""),
    ])
    .unwrap();
    let (directory, _) = long.split_once('/').unwrap();
    let expected =
        [format!("d /{directory}"), format!("l /{long} {long}x"), "f /next 0".to_owned()];
    let mut expected = expected.to_vec();
    expected.rotate_right(1);
    assert_eq!(listing(&tree), expected);
}

/// What a sparse file of 10,000 bytes holds: `abc` at 1, and 600 times `x` from 9,400 on.
fn sparse_expected() -> Vec<u8> {
    let mut expected = vec![0; 10_000];
    expected[1..4].copy_from_slice(b"abc");
    expected[9400..].fill(b'x');
    expected
}

#[test]
fn sparse_files_of_every_form_are_as_they_were() {
    let data = [b"abc".to_vec(), vec![b'x'; 600]].concat();
    let mut old = Header::new_gnu();
    old.set_path("old").unwrap();
    old.set_entry_type(EntryType::GNUSparse);
    old.set_mode(0o600);
    old.set_uid(0);
    old.set_gid(0);
    old.set_mtime(0);
    old.set_size(603);
    let gnu = old.as_gnu_mut().unwrap();
    gnu.set_real_size(10_000);
    gnu.sparse[0].set_offset(1);
    gnu.sparse[0].set_length(3);
    gnu.set_is_extended(true);
    let mut more = GnuExtSparseHeader::new();
    more.sparse_mut()[0].set_offset(9400);
    more.sparse_mut()[0].set_length(600);
    let old = [block(old, b""), more.as_bytes().to_vec(), block_of(&data)].concat();
    let (size, one) = ("10000", "1");
    let front = [block_of(b"2\n1\n3\n9400\n600\n"), block_of(&data)].concat();
    let mut newest = header(EntryType::Regular, "GNUSparseFile.0/new");
    newest.set_size(512 + 603);
    let (mut tree, spool) = flatten(&[
        old,
        pax(&[
            ("GNU.sparse.size", size),
            ("GNU.sparse.offset", "1"),
            ("GNU.sparse.numbytes", "3"),
            ("GNU.sparse.offset", "9400"),
            ("GNU.sparse.numbytes", "600"),
        ]),
        file("first", &data),
        pax(&[("GNU.sparse.size", size), ("GNU.sparse.map", "1,3,9400,600")]),
        file("second", &data),
        pax(&[
            ("GNU.sparse.major", one),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "new"),
            ("GNU.sparse.realsize", size),
        ]),
        block(newest, &front),
        file("behind", b"."),
    ])
    .unwrap();
    for path in ["old", "first", "second", "new"] {
        assert!(bytes(&mut tree, &spool, path) == sparse_expected(), "{path}");
    }
    assert_eq!(bytes(&mut tree, &spool, "behind"), b".");
}

#[test]
fn a_map_that_does_not_fit_its_file_is_said() {
    for map in ["1,3,2,1", "0,11", "0", "x", "18446744073709551615,2"] {
        let text = message(&[
            pax(&[("GNU.sparse.size", "10"), ("GNU.sparse.map", map)]),
            file("s", b"abc"),
        ]);
        assert!(text.contains("is damaged"), "{map}: {text}");
    }
    // More pieces than data.
    let entries = [pax(&[("GNU.sparse.size", "10"), ("GNU.sparse.map", "0,9")]), file("s", b"abc")];
    assert!(message(&entries).contains("the map of a sparse file does not fit it"));
}

#[test]
fn an_archive_that_ends_early_is_said_to_at_every_byte() {
    let whole = archive(&[pax(&[("path", "abc")]), file("a", &[7; 700]), file("b", b"x")]);
    let end = whole.len() - 1024;
    for length in (0..end).step_by(128).chain([end, 1, end - 1]) {
        let result = flatten_with(&whole[..length], Limits::DEFAULT, End::Marked);
        let text = result.err().unwrap().to_string();
        assert!(text.contains("ends in the middle"), "{length}: {text}");
    }
    // Where its bytes are known to be all there, it need not say so.
    assert!(flatten_with(&whole[..end], Limits::DEFAULT, End::Anyhow).is_ok());
    assert!(flatten_with(&whole[..end - 1], Limits::DEFAULT, End::Anyhow).is_err());
}

#[test]
fn sizes_that_are_lies_do_not_cost_what_they_say() {
    for size in [1 << 20, 1 << 34, 1 << 62, u64::MAX - 1, u64::MAX] {
        let mut lying = header(EntryType::Regular, "lie");
        lying.set_size(size);
        let text = message(&[block(lying, b"short")]);
        let expected = ["ends in the middle", "larger than 64 GiB together"];
        assert!(expected.iter().any(|part| text.contains(part)), "{size}: {text}");
        let text = message(&[pax(&[("size", &size.to_string())]), file("lie", b"short")]);
        assert!(expected.iter().any(|part| text.contains(part)), "{size}: {text}");
    }
    let mut long = header(EntryType::XHeader, "pax");
    long.set_size(2 << 20);
    assert!(message(&[block(long, b"")]).contains("more than 1 MiB"));
    // Directories and links have no data, whatever they say.
    let mut directory = header(EntryType::Directory, "d");
    directory.set_size(4096);
    let (tree, _) = flatten(&[block(directory, b""), file("a", b"")]).unwrap();
    assert_eq!(listing(&tree), ["f /a 0", "d /d"]);
}

#[test]
fn what_is_wrong_names_its_entry() {
    let text = message(&[link(EntryType::Link, "a", "b\u{1b}[31m")]);
    assert_eq!(
        text,
        "entry 'a': it is a hard link to 'b\\u{1b}[31m', which is not there before it"
    );
    let text = message(&[directory("d"), link(EntryType::Link, "a", "d")]);
    assert_eq!(text, "entry 'a': it is a hard link to a directory");
    let text = message(&[pax(&[("uid", "4294967296")]), file("a", b"")]);
    assert_eq!(text, "entry 'a': its user number is beyond what Linux has");
    let mut odd = header(EntryType::Regular, "a");
    odd.as_old_mut().size = *b"nonsense\0\0\0\0";
    let text = message(&[block(odd, b"")]);
    assert!(text.starts_with("entry 'a': is damaged: a header is malformed"), "{text}");
    let mut bytes = archive(&[file("a", b""), file("b", b"")]);
    bytes[700] ^= 1;
    let result = flatten_with(&bytes, Limits::DEFAULT, End::Marked);
    assert_eq!(result.err().unwrap().to_string(), "is damaged: a header's checksum does not fit");
}

#[test]
fn bombs_are_stopped_at_their_limits() {
    let limits = Limits { bytes: 1000, entries: 3 };
    let result = |entries: &[Vec<u8>]| {
        let result = flatten_with(&archive(entries), limits, End::Marked);
        result.map(drop).map_err(|bad| bad.to_string())
    };
    assert_eq!(result(&[file("a", &[1; 500]), file("b", &[1; 500])]), Ok(()));
    // Each counts, although it covers the one before.
    let error = result(&[file("a", &[1; 600]), file("a", &[1; 600])]).unwrap_err();
    assert_eq!(error, "its files are larger than 1000 B together: that is no root");
    let sparse =
        [pax(&[("GNU.sparse.size", "1000000000000"), ("GNU.sparse.map", "0,1")]), file("s", b"a")];
    assert_eq!(result(&sparse).unwrap_err(), error);
    let many: Vec<_> = (0..4).map(|number| file(&number.to_string(), b"")).collect();
    assert_eq!(result(&many[..3]), Ok(()));
    let error = result(&many).unwrap_err();
    assert_eq!(error, "has more than 3 entries: that is no root");
    let headers: Vec<_> = (0..4).map(|_| pax(&[("comment", "x")])).collect();
    assert_eq!(result(&headers).unwrap_err(), error);
}

#[test]
fn a_million_entries_are_taken() {
    let many = if std::env::var_os("TRAPGATE_LONG").is_some() { 1_000_000 } else { 50_000 };
    let mut bytes = Vec::with_capacity(many * 512);
    for number in 0..many {
        bytes.extend(file(&format!("d{}/f{number}", number % 7), b""));
    }
    let (tree, _) = flatten_with(&archive(&[bytes]), Limits::DEFAULT, End::Marked).unwrap();
    let Kind::Directory(root) = &tree.node(Tree::ROOT).kind else { unreachable!() };
    let files = root.entries().map(|(_, id)| match &tree.node(id).kind {
        Kind::Directory(directory) => directory.entries().count(),
        other => panic!("{other:?}"),
    });
    assert_eq!(files.sum::<usize>(), many);
}

proptest::proptest! {
    #[test]
    fn whatever_the_bytes_are_it_ends_and_says_so(
        flips in proptest::collection::vec((0usize..8192, 0u8..=255), 1..8),
    ) {
        let mut bytes = archive(&[
            pax(&[("path", "abc"), ("GNU.sparse.size", "99"), ("GNU.sparse.map", "1,3")]),
            file("a", b"abc"),
            link(EntryType::Link, "hard", "abc"),
            link(EntryType::Symlink, "soft", "abc"),
            with_data(EntryType::GNULongName, "L", b"long\0"),
            file("b", &[7; 1000]),
        ]);
        let length = bytes.len();
        for (at, value) in flips {
            let block = at % length / 512 * 512;
            bytes[at % length] = value;
            // With its checksum right, so that more of it is believed.
            let mut header = Header::new_old();
            header.as_mut_bytes().copy_from_slice(&bytes[block..block + 512]);
            header.set_cksum();
            bytes[block..block + 512].copy_from_slice(header.as_bytes());
        }
        let limits = Limits { bytes: 1 << 20, entries: 100 };
        let _ = flatten_with(&bytes, limits, End::Marked);
    }
}
