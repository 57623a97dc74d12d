//! Directories over others that are never written.

use crate::clock::Clock;
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::Limits;
use crate::fs::lower::{Lower, LowerContent, LowerInode, LowerName};
use crate::fs::place::Places;
use crate::fs::tree::root_over;
use crate::mm::object::{Below, Pager};
use crate::process::task::current;
use crate::tests::Sandbox;
use std::cell::Cell;
use std::sync::Arc;
use trapgate_arch::phys;
use trapgate_uapi::Errno;
use trapgate_uapi::dirent::{DT_DIR, DT_REG};
use trapgate_uapi::fcntl::{O_CREAT, O_RDWR};
use trapgate_uapi::stat::{S_IFDIR, S_IFREG};
use trapgate_uapi::syscall::nr64;
use trapgate_uapi::time::Timespec;

thread_local! {
    /// How often a name was asked for.
    static LOOKED_UP: Cell<u32> = const { Cell::new(0) };
}

/// A directory with files of the bytes `lower`, and one directory.
#[derive(Debug)]
struct Image;

const FILES: [(&[u8], u64, u32); 4] =
    [(b"one", 11, 1), (b"linked", 12, 2), (b"same", 12, 2), (b"other", 13, 1)];

#[derive(Debug)]
struct Bytes;

impl Pager for Bytes {
    fn below(&self, _index: u64) -> Result<Below, Errno> {
        Ok(Below::Bytes)
    }

    fn fill(&self, _index: u64, frame: u64) -> Result<(), Errno> {
        phys::write(frame, b"lower");
        Ok(())
    }
}

fn inode(number: u64, mode: u32, links: u32, content: LowerContent) -> LowerInode {
    let modified = Timespec { tv_sec: 1000, tv_nsec: 5 };
    let times = [modified; 3];
    LowerInode { number, mode, uid: 1, gid: 2, links, device: 0, times, content }
}

fn directory(number: u64) -> LowerInode {
    inode(number, S_IFDIR | 0o755, 2, LowerContent::Directory(Arc::new(Image)))
}

impl Lower for Image {
    fn lookup(&self, name: &[u8]) -> Result<Option<LowerInode>, Errno> {
        LOOKED_UP.set(LOOKED_UP.get() + 1);
        if name == b"dir" {
            return Ok(Some(directory(14)));
        }
        let found = FILES.iter().find(|(file, ..)| *file == name);
        Ok(found.map(|&(_, number, links)| {
            let content = LowerContent::Regular(5, Box::new(Bytes));
            inode(number, S_IFREG | 0o640, links, content)
        }))
    }

    fn list(&self, from: u64, each: &mut dyn FnMut(LowerName) -> bool) -> Result<(), Errno> {
        let files = FILES.iter().map(|&(name, number, _)| (name, number, DT_REG));
        let all = files.chain([(&b"dir"[..], 14, DT_DIR)]);
        for (index, (name, number, kind)) in all.enumerate().skip(from as usize) {
            if !each(LowerName { name, number, kind, next: index as u64 + 1 }) {
                break;
            }
        }
        Ok(())
    }
}

fn sandbox() -> (Sandbox, Arc<Dentry>) {
    let sandbox = Sandbox::new();
    let (clock, limits) = (Clock::NONE, Limits { frames: 100, nodes: 100 });
    let root = root_over(directory(1), 99, clock, limits).unwrap();
    *current().process.places.lock() = Places::at_root(root.clone(), clock, limits).unwrap();
    (sandbox, root)
}

fn names(sandbox: &Sandbox, path: &str) -> Vec<String> {
    let fd = sandbox.open_directory(path);
    let mut names = super::directories::list(sandbox, fd, 64);
    sandbox.close(fd);
    names.sort();
    names
}

#[test]
fn what_is_below_is_there_until_it_is_changed_or_removed() {
    let (sandbox, _root) = sandbox();
    let all = [".", "..", "dev", "dir", "linked", "one", "other", "proc", "same", "sys", "tmp"];
    assert_eq!(names(&sandbox, "/"), all);
    let stat = sandbox.stat("/one").unwrap();
    assert_eq!((stat.st_ino, stat.st_mode, stat.st_size), (11, 0o100640, 5));
    assert_eq!((stat.st_uid, stat.st_mtime, stat.st_mtime_nsec), (1, 1000, 5));
    let fd = sandbox.open("/one", O_RDWR).unwrap();
    assert_eq!(
        sandbox.read::<8>(fd).map(|(bytes, got)| (bytes[..5].to_vec(), got)),
        Ok((b"lower".to_vec(), 5))
    );
    assert_eq!(sandbox.write(fd, b"X"), Ok(1));
    let fd = sandbox.open("/one", O_RDWR).unwrap();
    let read = sandbox.read::<6>(fd);
    assert_eq!(read, Ok((*b"lowerX", 6)));
    assert_eq!(sandbox.with_path(nr64::UNLINK, "/one", []), Ok(0));
    assert_eq!(sandbox.stat("/one").err(), Some(Errno::ENOENT));
    assert!(!names(&sandbox, "/").contains(&"one".into()));
    sandbox.file("/one", b"new");
    assert_eq!(sandbox.stat("/one").unwrap().st_size, 3);
    assert!(sandbox.stat("/one").unwrap().st_ino > 99, "a number of its own");
    assert_eq!(names(&sandbox, "/"), all);
    assert_eq!(sandbox.rename_to("/other", "/moved"), Ok(0));
    assert_eq!(sandbox.stat("/other").err(), Some(Errno::ENOENT));
    assert_eq!(sandbox.stat("/moved").unwrap().st_size, 5);
}

impl Sandbox {
    fn rename_to(&self, old: &str, new: &str) -> super::Answer {
        self.with_paths(nr64::RENAME, [old, new])
    }
}

#[test]
fn looking_into_a_directory_is_no_change_of_it() {
    let (sandbox, _root) = sandbox();
    let what = || {
        let stat = sandbox.stat("/dir").unwrap();
        (stat.st_size, stat.st_mtime, stat.st_ctime, stat.st_nlink)
    };
    let before = what();
    names(&sandbox, "/dir");
    assert_eq!(sandbox.stat("/dir/one").unwrap().st_size, 5);
    assert_eq!(what(), before);
    sandbox.file("/dir/one", b"written");
    assert_eq!(what(), before);
}

#[test]
fn what_was_written_by_one_name_is_there_by_all() {
    let (sandbox, _root) = sandbox();
    let fd = sandbox.open("/linked", O_RDWR).unwrap();
    assert_eq!(sandbox.write(fd, b"LOWER"), Ok(5));
    sandbox.close(fd);
    assert_eq!(sandbox.with_path(nr64::UNLINK, "/linked", []), Ok(0));
    let fd = sandbox.open("/same", O_RDWR).unwrap();
    assert_eq!(sandbox.read::<5>(fd), Ok((*b"LOWER", 5)));
    assert_eq!(sandbox.stat("/same").unwrap().st_nlink, 1);
}

#[test]
fn a_directory_is_empty_when_all_below_it_is_gone() {
    let (sandbox, _root) = sandbox();
    let rmdir = |path| sandbox.with_path(nr64::RMDIR, path, []);
    assert_eq!(rmdir("/dir"), Err(Errno::ENOTEMPTY));
    for name in ["one", "linked", "same", "other"] {
        sandbox.with_path(nr64::UNLINK, &format!("/dir/{name}"), []).unwrap();
    }
    assert_eq!(rmdir("/dir"), Err(Errno::ENOTEMPTY));
    // It goes on for ever.
    sandbox.rename_to("/dir/dir", "/away").unwrap();
    assert_eq!(names(&sandbox, "/dir"), [".", ".."]);
    assert_eq!(rmdir("/dir"), Ok(0));
    assert_eq!(sandbox.with_path(nr64::MKDIR, "/dir", [0o755]), Ok(0));
    assert_eq!(names(&sandbox, "/dir"), [".", ".."], "nothing of the old one shows");
    assert!(names(&sandbox, "/away").contains(&"one".into()));
    assert!(sandbox.open("/away/new", O_CREAT | O_RDWR).is_ok());
}

#[test]
fn a_name_that_is_not_there_is_asked_for_once() {
    let (sandbox, root) = sandbox();
    let asks = |path: &str| {
        let before = LOOKED_UP.get();
        assert_eq!(sandbox.stat(path).err(), Some(Errno::ENOENT), "{path}");
        LOOKED_UP.get() - before
    };
    assert_eq!([asks("/none"), asks("/none"), asks("/none/x")], [1, 0, 0]);
    assert_eq!([asks("/a-longer-name"), asks("/a-longer-name")], [1, 0]);
    // It can be made, and is only in memory then.
    let before = names(&sandbox, "/");
    sandbox.open("/none", O_CREAT | O_RDWR).unwrap();
    assert_eq!(names(&sandbox, "/").len(), before.len() + 1);
    assert_eq!(sandbox.with_path(nr64::UNLINK, "/none", []), Ok(0));
    assert_eq!(names(&sandbox, "/"), before);
    assert_eq!([asks("/none"), asks("/none")], [1, 0]);
    // There is an end to what is noted, and files stay.
    sandbox.open("/kept", O_CREAT | O_RDWR).unwrap();
    for number in 0..2000 {
        assert_eq!(asks(&format!("/none-{number}")), 1);
    }
    assert!(root.children().unwrap().names.len() < 600);
    assert!(sandbox.stat("/kept").is_ok() && sandbox.stat("/one").is_ok());
}
