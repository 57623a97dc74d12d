use super::*;
use crate::root::flatten::Limits;
use crate::root::flatten::tree::Tree;
use crate::root::flatten::tree::tests::listing;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What an entry's header says besides its name and its size.
#[derive(Clone, Copy, Default)]
struct Said {
    inode: u32,
    mode: u32,
    links: u32,
    special: (u32, u32),
    sum: Option<u32>,
}

fn entry(name: &[u8], said: Said, data: &[u8]) -> Vec<u8> {
    let magic = if said.sum.is_some() { "070702" } else { "070701" };
    let name_size = name.len() as u32 + 1;
    let numbers = [
        said.inode,
        said.mode,
        1,
        2,
        said.links,
        3,
        data.len() as u32,
        0,
        0,
        said.special.0,
        said.special.1,
        name_size,
        said.sum.unwrap_or(0),
    ];
    let mut bytes = magic.as_bytes().to_vec();
    numbers.iter().for_each(|number| bytes.extend(format!("{number:08X}").bytes()));
    bytes.extend(name);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    entry(name.as_bytes(), Said { mode: 0o100_644, links: 1, ..Said::default() }, data)
}

fn trailer() -> Vec<u8> {
    entry(b"TRAILER!!!", Said::default(), b"")
}

fn flatten(entries: &[Vec<u8>]) -> Result<(Tree, File), Bad> {
    let limits = Limits { bytes: 1 << 30, entries: 100 };
    let mut flattener = Flattener::new(tempfile::tempfile().unwrap(), limits);
    read(&mut &entries.concat()[..], &mut flattener)?;
    flattener.finish()
}

fn message(entries: &[Vec<u8>]) -> String {
    flatten(entries).map(|(tree, _)| listing(&tree)).unwrap_err().to_string()
}

#[test]
fn every_kind_of_file_is_taken_and_names_are_bytes() {
    let said = |mode, special| Said { mode, links: 1, special, ..Said::default() };
    let (tree, _) = flatten(&[
        entry(b".", said(0o040_755, (0, 0)), b""),
        file("a", b"hello"),
        entry(b"d\xff", said(0o040_700, (0, 0)), b""),
        entry(b"l", said(0o120_777, (0, 0)), b"/etc"),
        entry(b"c", said(0o020_600, (5, 1)), b""),
        entry(b"b", said(0o060_600, (8, 2)), b""),
        entry(b"p", said(0o010_600, (0, 0)), b""),
        entry(b"s", said(0o140_600, (0, 0)), b""),
        trailer(),
    ])
    .unwrap();
    assert_eq!(
        listing(&tree),
        ["f /a 5", "b /b 8,2", "c /c 5,1", "d /d\u{fffd}", "l /l /etc", "p /p", "s /s",]
    );
    assert_eq!(tree.node(Tree::ROOT).meta, Meta { mode: 0o755, uid: 1, gid: 2, mtime: (3, 0) });
}

#[test]
fn names_of_one_file_share_it_whichever_has_its_bytes() {
    let said = Said { inode: 7, mode: 0o100_644, links: 3, ..Said::default() };
    for with_bytes in 0..3 {
        let entries = ["a", "b", "c"].iter().enumerate().map(|(number, name)| {
            entry(name.as_bytes(), said, if number == with_bytes { b"data" } else { b"" })
        });
        let (mut tree, spool) =
            flatten(&[entries.collect::<Vec<_>>().concat(), trailer()]).unwrap();
        assert_eq!(listing(&tree), ["f /a 4", "f /b 4", "f /c 4"]);
        assert_eq!(tree.find(b"a"), tree.find(b"c"));
        let mut bytes = [0; 4];
        spool.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"data");
    }
}

#[test]
fn archives_follow_each_other_with_zeroes_between_as_in_an_initramfs() {
    let (tree, _) = flatten(&[
        file("a", b"1"),
        trailer(),
        vec![0; 1000],
        file("a", b"22"),
        file("b", b""),
        trailer(),
        vec![0; 512],
    ])
    .unwrap();
    assert_eq!(listing(&tree), ["f /a 2", "f /b 0"]);
}

#[test]
fn checksums_are_looked_at_where_there_are_some() {
    let said = |sum| Said { mode: 0o100_644, links: 1, sum: Some(sum), ..Said::default() };
    assert!(flatten(&[entry(b"a", said(294), b"abc"), trailer()]).is_ok());
    let text = message(&[entry(b"a", said(295), b"abc"), trailer()]);
    assert_eq!(text, "entry 'a': is damaged: its checksum does not fit");
}

#[test]
fn an_archive_that_ends_early_is_said_to_at_every_byte() {
    let whole = [file("a", &[7; 50]), file("bc", b"x"), trailer()].concat();
    for length in 0..whole.len() {
        let text = message(&[whole[..length].to_vec()]);
        assert!(text.contains("ends in the middle"), "{length}: {text}");
    }
}

#[test]
fn what_is_malformed_is_said() {
    let mut digits = file("a", b"");
    digits[20] = b'x';
    let mut magic = file("a", b"");
    magic[5] = b'7';
    let mut sign = file("a", b"");
    sign[14] = b'+';
    for bytes in [digits, magic, sign] {
        assert_eq!(message(&[bytes]), "is damaged: a header is malformed");
    }
    let mut long = file("a", b"");
    long[94..102].copy_from_slice(b"FFFFFFFF");
    assert!(message(&[long]).contains("a name is longer than 4096 bytes"));
    let mut large = file("a", b"");
    large[54..62].copy_from_slice(b"FFFFFFFF");
    assert!(message(&[large]).contains("larger than 1 GiB together"));
    let kind = entry(b"a", Said { mode: 0o644, ..Said::default() }, b"");
    assert!(message(&[kind]).contains("of no kind"));
    let target = Said { mode: 0o120_777, ..Said::default() };
    assert!(message(&[entry(b"a", target, &[b'x'; 5000])]).contains("longer than 4096"));
    assert!(message(&[entry(b"a", target, b""), trailer()]).contains("without a target"));
}
