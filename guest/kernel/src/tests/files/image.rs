//! The files of an image, as the tree asks for them.

use super::super::{FREE, Sandbox, boot_info};
use super::BUFFER;
use crate::fs::image;
use crate::fs::lower::{Lower, LowerContent, LowerInode};
use crate::mm::object::{Below, Pager};
use proptest::prelude::*;
use std::io::Cursor;
use std::sync::Arc;
use trapgate_abi::boot_info::{BootInfo, Range};
use trapgate_abi::hypercall::Segment;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::fake::{Machine, bytes_of, fill};
use trapgate_erofs::write::{Attributes, Body, Settings, Tree, write};
use trapgate_erofs::{Device, Time};
use trapgate_uapi::Errno;
use trapgate_uapi::dirent::{DT_CHR, DT_DIR, DT_LNK, DT_REG};
use trapgate_uapi::fcntl::{O_CREAT, O_RDONLY, O_RDWR};
use trapgate_uapi::stat::{S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG};
use trapgate_uapi::syscall::nr64;
use trapgate_uapi::time::Timespec;

/// RAM ends here, and an image begins.
const PLACE: u64 = 8 << 20;

const ATTRIBUTES: Attributes = Attributes {
    permissions: 0o4750,
    uid: 1000,
    gid: 100_000,
    modified: Time { seconds: -5, nanoseconds: 7 },
};

/// A machine with this image above its RAM.
struct Mapped {
    _machine: Machine,
    range: Range,
}

impl Mapped {
    fn new(image: &[u8]) -> Mapped {
        let len = (image.len() as u64).next_multiple_of(PAGE_SIZE);
        let machine = Machine::new(PLACE + len);
        fill(&Segment { address: PLACE, length: len }, image);
        Mapped { _machine: machine, range: Range { start: PLACE, end: PLACE + len } }
    }

    fn root(&self) -> Result<LowerInode, Errno> {
        image::root(self.range).map(|(root, _)| root)
    }
}

fn directory(inode: LowerInode) -> Arc<dyn Lower> {
    match inode.content {
        LowerContent::Directory(directory) => directory,
        _ => panic!("no directory"),
    }
}

fn image() -> Vec<u8> {
    let mut tree = Tree::new(ATTRIBUTES);
    let content: Vec<_> = (0..5000).map(|at| at as u8 | 1).collect();
    let all = [
        (&b"bin"[..], Body::Directory),
        (b"bin/cat", Body::Regular { size: 5000, content }),
        (b"bin/empty", Body::Regular { size: 0, content: Vec::new() }),
        (b"link", Body::Symlink(b"bin/cat".to_vec())),
        (b"null", Body::Character(Device { major: 1, minor: 0x103 })),
    ];
    for (name, body) in all {
        tree.add(name, ATTRIBUTES, body).unwrap();
    }
    tree.link(b"bin/dog", b"bin/cat").unwrap();
    let mut image = Cursor::new(Vec::new());
    write(&tree, &Settings::default(), &mut image).unwrap();
    image.into_inner()
}

fn names(directory: &dyn Lower, from: u64) -> Vec<(Vec<u8>, u8, u64)> {
    let mut all = Vec::new();
    let mut each = |name: crate::fs::lower::LowerName<'_>| {
        all.push((name.name.to_vec(), name.kind, name.next));
        true
    };
    directory.list(from, &mut each).unwrap();
    all
}

#[test]
fn a_file_of_an_image_has_its_attributes() {
    let mapped = Mapped::new(&image());
    let root = mapped.root().unwrap();
    assert_eq!((root.mode, root.links), (S_IFDIR | 0o4750, 3));
    let root = directory(root);
    let look = |name: &[u8]| root.lookup(name).unwrap().unwrap();
    let null = look(b"null");
    assert_eq!((null.mode, null.device), (S_IFCHR | 0o4750, 0x100_103), "makedev(1, 0x103)");
    let link = look(b"link");
    assert_eq!(link.mode, S_IFLNK | 0o4750);
    assert!(matches!(link.content, LowerContent::Symlink(target) if target == b"bin/cat"));
    let bin = directory(look(b"bin"));
    let [cat, dog] = [b"cat", b"dog"].map(|name| bin.lookup(name).unwrap().unwrap());
    assert_eq!((cat.mode, cat.uid, cat.gid), (S_IFREG | 0o4750, 1000, 100_000));
    assert_eq!((cat.links, cat.number), (2, dog.number), "two names, one file");
    let modified = Timespec { tv_sec: -5, tv_nsec: 7 };
    assert_eq!(cat.times, [modified; 3]);
    assert!(root.lookup(b"dog").unwrap().is_none());
    let (_, last_number) = image::root(mapped.range).unwrap();
    assert!(cat.number <= last_number);
}

#[test]
fn names_of_an_image_are_listed_without_dots_and_go_on_behind_each() {
    let mapped = Mapped::new(&image());
    let root = directory(mapped.root().unwrap());
    let all = names(&*root, 0);
    let found: Vec<_> = all.iter().map(|(name, kind, _)| (&name[..], *kind)).collect();
    let expected: [(&[u8], u8); 3] = [(b"bin", DT_DIR), (b"link", DT_LNK), (b"null", DT_CHR)];
    assert_eq!(found, expected);
    for (index, (_, _, next)) in all.iter().enumerate() {
        assert_eq!(names(&*root, *next), all[index + 1..]);
    }
    let bin = directory(root.lookup(b"bin").unwrap().unwrap());
    assert_eq!(names(&*bin, 0)[0].1, DT_REG);
}

fn pages(inode: LowerInode) -> (u64, Box<dyn Pager>) {
    match inode.content {
        LowerContent::Regular(size, pager) => (size, pager),
        _ => panic!("no regular file"),
    }
}

#[test]
fn a_page_of_a_file_is_a_page_of_the_image_where_it_lies() {
    let mapped = Mapped::new(&image());
    let bin = directory(directory(mapped.root().unwrap()).lookup(b"bin").unwrap().unwrap());
    let (size, pager) = pages(bin.lookup(b"cat").unwrap().unwrap());
    assert_eq!(size, 5000);
    let outside = |index| match pager.below(index) {
        Ok(Below::Outside(physical)) => physical,
        other => panic!("{other:?}"),
    };
    assert!(outside(0).is_multiple_of(PAGE_SIZE) && outside(1) == outside(0) + PAGE_SIZE);
    let bytes = bytes_of(&Segment { address: outside(0), length: 2 * PAGE_SIZE });
    assert!(bytes[..5000].iter().enumerate().all(|(at, byte)| *byte == at as u8 | 1));
    assert!(bytes[5000..].iter().all(|byte| *byte == 0));
    assert_eq!(pager.below(2), Ok(Below::Hole));
    assert_eq!(pager.below(u64::MAX), Ok(Below::Hole));
    let (size, pager) = pages(bin.lookup(b"empty").unwrap().unwrap());
    assert_eq!((size, pager.below(0)), (0, Ok(Below::Hole)));
}

/// The 64-byte inode of this size in the image.
fn inode_of(image: &[u8], size: u64) -> usize {
    let inodes = (1152..image.len() - 64).step_by(32);
    let mut found = inodes.filter(|at| image[at + 8..at + 16] == size.to_le_bytes());
    found.find(|at| image[at + 4..at + 6] == 0o104_750_u16.to_le_bytes()).unwrap()
}

#[test]
fn bytes_behind_an_inode_are_copied() {
    let mut image = image();
    // The file's bytes are those behind its inode from now on.
    let at = inode_of(&image, 5000);
    image[at] = 0b101;
    image[at + 8..at + 16].copy_from_slice(&900_u64.to_le_bytes());
    let expected = image[at + 64..at + 964].to_vec();
    let mapped = Mapped::new(&image);
    let bin = directory(directory(mapped.root().unwrap()).lookup(b"bin").unwrap().unwrap());
    let (size, pager) = pages(bin.lookup(b"cat").unwrap().unwrap());
    assert_eq!((size, pager.below(0), pager.below(1)), (900, Ok(Below::Bytes), Ok(Below::Hole)));
    pager.fill(0, FREE).unwrap();
    let frame = bytes_of(&Segment { address: FREE, length: PAGE_SIZE });
    assert_eq!(frame[..900], expected);
    assert!(frame[900..].iter().all(|byte| *byte == 0));
}

#[test]
fn what_is_wrong_with_an_image_is_a_number_of_errno() {
    let good = image();
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut image = good.clone();
        change(&mut image);
        Mapped::new(&image).root().err()
    };
    assert_eq!(wrong(&|image| image[1024] = 0), Some(Errno::EINVAL));
    assert_eq!(wrong(&|image| image[1024 + 80] = 1 << 1), Some(Errno::EOPNOTSUPP));
    assert_eq!(wrong(&|image| image[1024 + 12] = 16), Some(Errno::EOPNOTSUPP));
    assert_eq!(wrong(&|image| image[1024 + 36] = 200), Some(Errno::EUCLEAN));
    assert_eq!(wrong(&|image| image[1152 + 4..1152 + 6].fill(0)), Some(Errno::EUCLEAN));
    assert_eq!(wrong(&|_| ()), None);
    let mapped = Mapped::new(&[0; 4096]);
    assert_eq!(image::root(Range::ZERO).err(), Some(Errno::EINVAL));
    assert_eq!(mapped.root().err(), Some(Errno::EINVAL));
}

#[test]
fn directories_that_go_round_are_not_gone_into() {
    let good = image();
    let mapped = Mapped::new(&good);
    let root = mapped.root().unwrap().number;
    let bin = directory(mapped.root().unwrap()).lookup(b"bin").unwrap().unwrap().number;
    let cat = directory(directory(mapped.root().unwrap()).lookup(b"bin").unwrap().unwrap());
    let cat = cat.lookup(b"cat").unwrap().unwrap().number;
    drop(mapped);
    for target in [root, bin] {
        // The file is one of the directories above it.
        let mut image = good.clone();
        let end = image.len() - 8;
        for at in (1152..end).filter(|at| good[*at..at + 8] == cat.to_le_bytes()) {
            image[at..at + 8].copy_from_slice(&target.to_le_bytes());
        }
        let mapped = Mapped::new(&image);
        let bin = directory(directory(mapped.root().unwrap()).lookup(b"bin").unwrap().unwrap());
        assert_eq!(bin.lookup(b"cat").err(), Some(Errno::EUCLEAN));
    }
}

/// A sandbox with this image below its root.
fn sandbox(image: &[u8]) -> Sandbox {
    let len = (image.len() as u64).next_multiple_of(PAGE_SIZE);
    let root = Range { start: PLACE, end: PLACE + len };
    let sandbox = Sandbox::boot(BootInfo { root, ..boot_info() });
    fill(&Segment { address: PLACE, length: len }, image);
    sandbox
}

#[test]
fn a_program_reads_the_files_of_its_roots_image_and_writes_its_own() {
    let image = image();
    let sandbox = sandbox(&image);
    let stat = sandbox.stat("/bin/../link").unwrap();
    assert_eq!((stat.st_mode, stat.st_size, stat.st_nlink), (S_IFREG | 0o4750, 5000, 2));
    assert_eq!((stat.st_uid, stat.st_mtime, stat.st_mtime_nsec), (1000, -5_i64 as u64, 7));
    assert_eq!(sandbox.open("/bin/bird", O_RDONLY), Err(Errno::ENOENT));
    let cat = sandbox.open("/link", O_RDWR).unwrap();
    let (bytes, len) = sandbox.read::<5001>(cat).unwrap();
    assert_eq!(len, 5000);
    assert!(bytes[..5000].iter().enumerate().all(|(at, byte)| *byte == at as u8 | 1));
    // The position is at the end.
    assert_eq!(sandbox.write(cat, b"more"), Ok(4));
    let dog = sandbox.open("/bin/dog", O_RDONLY).unwrap();
    let (bytes, len) = sandbox.read::<6000>(dog).unwrap();
    assert_eq!((len, &bytes[4998..5005]), (5004, &[135, 135, b'm', b'o', b'r', b'e', 0][..]));
    let new = sandbox.open("/bin/new", O_CREAT | O_RDWR).unwrap();
    assert_eq!(sandbox.write(new, b"new"), Ok(3));
    assert!(sandbox.stat("/tmp").is_ok(), "it is made where the image has none");
    let place = Segment { address: PLACE, length: image.len() as u64 };
    assert_eq!(bytes_of(&place), image, "nobody writes the image");
}

#[test]
fn what_an_image_has_can_be_read_where_nothing_can_be_written() {
    let image = image();
    let len = (image.len() as u64).next_multiple_of(PAGE_SIZE);
    let root = Range { start: PLACE, end: PLACE + len };
    let sandbox = Sandbox::boot(BootInfo { root, disk: PAGE_SIZE, ..boot_info() });
    fill(&Segment { address: PLACE, length: len }, &image);
    sandbox.file("/new", b"x");
    let new = sandbox.open("/new", O_RDWR).unwrap();
    let write = |fd: u64, at: u64| sandbox.call(nr64::PWRITE64, [fd, BUFFER, 1, at, 0, 0]);
    assert_eq!(write(new, PAGE_SIZE), Err(Errno::ENOSPC));
    // Its last bytes lie behind the inode, and are copied.
    let cat = sandbox.open("/bin/cat", O_RDWR).unwrap();
    assert_eq!(sandbox.read::<5000>(cat).unwrap().1, 5000);
    assert_eq!(write(cat, 0), Err(Errno::ENOSPC), "that would take another page");
}

#[test]
fn a_program_is_told_that_its_roots_image_is_damaged() {
    let mut image = image();
    let at = inode_of(&image, 5000);
    image[at + 44..at + 48].fill(0);
    let sandbox = sandbox(&image);
    assert_eq!(sandbox.open("/bin/cat", O_RDONLY), Err(Errno::EUCLEAN));
    assert_eq!(sandbox.open("/bin/empty", O_RDONLY), Ok(3));
}

/// Looks at everything that there is, as far as it can be looked at.
fn walk(root: LowerInode) {
    let mut ahead = vec![directory(root)];
    for _ in 0..50 {
        let Some(directory) = ahead.pop() else { break };
        let mut all = Vec::new();
        let _ = directory.list(0, &mut |name| {
            all.push(name.name.to_vec());
            all.len() < 1000
        });
        for name in all {
            let Ok(Some(found)) = directory.lookup(&name) else { continue };
            match found.content {
                LowerContent::Directory(below) => ahead.push(below),
                LowerContent::Regular(size, pager) => {
                    for index in [0, size / PAGE_SIZE] {
                        if let Ok(Below::Outside(page)) = pager.below(index) {
                            // The fake's memory ends where the image does.
                            bytes_of(&Segment { address: page, length: PAGE_SIZE });
                        }
                        let _ = pager.fill(index, FREE);
                    }
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_image_with_any_bytes_does_the_kernel_no_harm(
        changes in prop::collection::vec((1024..8192_usize, any::<u8>()), 1..30),
    ) {
        let mut image = image();
        let len = image.len();
        for (at, byte) in changes {
            image[at % len] = byte;
        }
        if let Ok(root) = Mapped::new(&image).root() {
            walk(root);
        }
    }
}
