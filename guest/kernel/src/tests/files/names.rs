//! Names that come, go and move.

use super::*;
use crate::tests::boot_info;
use trapgate_abi::boot_info::{BootInfo, Range};
use trapgate_uapi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, O_TMPFILE};
use trapgate_uapi::fs::{RENAME_EXCHANGE, RENAME_NOREPLACE};

const CWD: u64 = AT_FDCWD as u64;

impl Sandbox {
    fn mkdir(&self, path: &str) -> Answer {
        self.with_path(nr64::MKDIR, path, [0o755])
    }

    fn rename(&self, old: &str, new: &str) -> Answer {
        self.with_paths(nr64::RENAME, [old, new])
    }

    fn rename_with(&self, old: &str, new: &str, flags: u32) -> Answer {
        let [old, new] = [(0, old), (1, new)].map(|(index, path)| self.at(PATHS[index], path));
        self.call(nr64::RENAMEAT2, [CWD, old, CWD, new, flags.into(), 0])
    }

    fn links(&self, path: &str) -> u64 {
        self.stat(path).unwrap().st_nlink
    }
}

#[test]
fn directories_come_and_go_and_count_their_links() {
    let sandbox = Sandbox::new();
    assert_eq!((sandbox.mkdir("/tmp/a"), sandbox.links("/tmp")), (Ok(0), 3));
    assert_eq!((sandbox.mkdir("/tmp/a/b/"), sandbox.links("/tmp/a")), (Ok(0), 3));
    let stat = sandbox.stat("/tmp/a").unwrap();
    assert_eq!((stat.st_mode, stat.st_size), (0o40755, 60));
    for (path, error) in [
        ("/tmp/a", Errno::EEXIST),
        ("/", Errno::EEXIST),
        ("/tmp/.", Errno::EEXIST),
        ("/tmp/x/y", Errno::ENOENT),
    ] {
        assert_eq!(sandbox.mkdir(path), Err(error), "mkdir {path}");
    }
    let rmdir = |path| sandbox.with_path(nr64::RMDIR, path, []);
    for (path, error) in [
        ("/tmp/a", Errno::ENOTEMPTY),
        ("/tmp/a/..", Errno::ENOTEMPTY),
        ("/tmp/a/b/.", Errno::EINVAL),
        ("/", Errno::EBUSY),
        ("/tmp", Errno::EBUSY),
        ("/tmp/x", Errno::ENOENT),
        ("/dev/null", Errno::ENOTDIR),
    ] {
        assert_eq!(rmdir(path), Err(error), "rmdir {path}");
    }
    assert_eq!(rmdir("/tmp/a/b"), Ok(0));
    assert_eq!((rmdir("/tmp/a/"), sandbox.links("/tmp")), (Ok(0), 2));
}

#[test]
fn a_removed_working_directory_is_empty_for_ever() {
    let sandbox = Sandbox::new();
    sandbox.mkdir("/tmp/a").unwrap();
    sandbox.with_path(nr64::CHDIR, "/tmp/a", []).unwrap();
    sandbox.with_path(nr64::RMDIR, "/tmp/a", []).unwrap();
    assert_eq!(sandbox.call(nr64::GETCWD, [BUFFER, 100, 0, 0, 0, 0]), Err(Errno::ENOENT));
    assert_eq!(sandbox.open("x", O_CREAT | O_RDWR), Err(Errno::ENOENT));
    assert_eq!(sandbox.mkdir("x"), Err(Errno::ENOENT));
    assert_eq!(sandbox.links("."), 0);
    assert!(sandbox.stat("../").is_ok());
    let fd = sandbox.open_directory(".");
    assert_eq!(sandbox.call(nr64::GETDENTS64, [fd, BUFFER, 100, 0, 0, 0]), Err(Errno::ENOENT));
    assert_eq!(sandbox.rename("/dev/shm/none", "x"), Err(Errno::EXDEV));
}

#[test]
fn an_unlinked_file_lives_as_long_as_it_is_open() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/warm", b"");
    let unlink = |path| sandbox.with_path(nr64::UNLINK, path, []);
    unlink("/tmp/warm").unwrap();
    let free = super::super::free_frames();
    sandbox.file("/tmp/file", &[1; 100]);
    let fd = sandbox.open("/tmp/file", O_RDWR).unwrap();
    assert_eq!(unlink("/tmp/file"), Ok(0));
    assert_eq!(sandbox.stat("/tmp/file").err(), Some(Errno::ENOENT));
    assert_eq!(sandbox.read::<2>(fd), Ok(([1; 2], 2)));
    sandbox.close(fd);
    assert_eq!(super::super::free_frames(), free);
    for (path, error) in [
        ("/tmp", Errno::EISDIR),
        ("/tmp/", Errno::EISDIR),
        ("/tmp/.", Errno::EISDIR),
        ("/dev/null/", Errno::ENOTDIR),
        ("/tmp/none/", Errno::ENOENT),
    ] {
        assert_eq!(unlink(path), Err(error), "unlink {path}");
    }
    sandbox.mkdir("/tmp/a").unwrap();
    let path = sandbox.at(PATHS[0], "/tmp/a");
    let unlinkat = |flags| sandbox.call(nr64::UNLINKAT, [CWD, path, flags, 0, 0, 0]);
    assert_eq!(unlinkat(0), Err(Errno::EISDIR));
    assert_eq!(unlinkat(1), Err(Errno::EINVAL));
    assert_eq!(unlinkat(AT_REMOVEDIR.into()), Ok(0));
}

#[test]
fn links_are_one_file() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/file", b"abc");
    sandbox.mkdir("/tmp/a").unwrap();
    assert_eq!(sandbox.with_paths(nr64::LINK, ["/tmp/file", "/tmp/a/link"]), Ok(0));
    let [one, other] = ["/tmp/file", "/tmp/a/link"].map(|path| sandbox.stat(path).unwrap());
    assert_eq!((one.st_ino, one.st_nlink), (other.st_ino, 2));
    for (old, new, error) in [
        ("/tmp/a", "/tmp/b", Errno::EPERM),
        ("/tmp/file", "/tmp/a", Errno::EEXIST),
        ("/tmp/file", "/tmp/b/", Errno::ENOENT),
        ("/tmp/none", "/tmp/b", Errno::ENOENT),
        ("/tmp/file", "/dev/shm/b", Errno::EXDEV),
    ] {
        assert_eq!(sandbox.with_paths(nr64::LINK, [old, new]), Err(error), "{old} {new}");
    }
    sandbox.with_path(nr64::UNLINK, "/tmp/file", []).unwrap();
    assert_eq!(sandbox.links("/tmp/a/link"), 1);
    // A file without a name gets its first.
    let fd = sandbox.open("/tmp", O_TMPFILE | O_RDWR).unwrap();
    let [empty, new] = [(0, ""), (1, "/tmp/born")].map(|(at, path)| sandbox.at(PATHS[at], path));
    let link = || sandbox.call(nr64::LINKAT, [fd, empty, CWD, new, AT_EMPTY_PATH.into(), 0]);
    assert_eq!((link(), sandbox.links("/tmp/born")), (Ok(0), 1));
    sandbox.with_path(nr64::UNLINK, "/tmp/born", []).unwrap();
}

#[test]
fn symbolic_links_are_followed_up_to_forty_of_them() {
    let sandbox = Sandbox::new();
    let symlink = |to: &str, path: &str| sandbox.with_paths(nr64::SYMLINK, [to, path]);
    sandbox.file("/tmp/file", b"abc");
    sandbox.mkdir("/tmp/a").unwrap();
    assert_eq!(symlink("../file", "/tmp/a/up"), Ok(0));
    assert_eq!(symlink("/tmp/a/", "/tmp/dir"), Ok(0));
    assert_eq!(symlink("", "/tmp/x"), Err(Errno::ENOENT));
    assert_eq!(symlink("x", "/tmp/dir"), Err(Errno::EEXIST));
    assert_eq!(sandbox.stat("/tmp/dir/up").unwrap().st_size, 3);
    assert_eq!(sandbox.with_path(nr64::LSTAT, "/tmp/a/up", [BUFFER]), Ok(0));
    let stat: Stat = sandbox.structure(BUFFER);
    assert_eq!((stat.st_mode, stat.st_size), (0o120777, 7));
    assert_eq!(sandbox.with_path(nr64::LSTAT, "/tmp/dir/", [BUFFER]), Ok(0));
    assert_eq!(sandbox.structure::<Stat>(BUFFER).st_mode, 0o40755);
    assert_eq!(sandbox.with_path(nr64::READLINK, "/tmp/a/up", [BUFFER, 4]), Ok(4));
    assert_eq!(sandbox.load(BUFFER), *b"../f");
    assert_eq!(sandbox.with_path(nr64::READLINK, "/tmp/a", [BUFFER, 4]), Err(Errno::EINVAL));
    assert_eq!(sandbox.with_path(nr64::UNLINK, "/tmp/dir/", []), Err(Errno::ENOTDIR));
    // Each leads to the next, and the last to the file.
    symlink("file", "/tmp/l1").unwrap();
    for number in 2..=41 {
        symlink(&format!("l{}", number - 1), &format!("/tmp/l{number}")).unwrap();
    }
    assert!(sandbox.stat("/tmp/l40").is_ok());
    assert_eq!(sandbox.stat("/tmp/l41").err(), Some(Errno::ELOOP));
    symlink("loop", "/tmp/loop").unwrap();
    assert_eq!(sandbox.stat("/tmp/loop/x").err(), Some(Errno::ELOOP));
    // One that leads nowhere is where the file is made.
    symlink("made", "/tmp/dangling").unwrap();
    assert!(sandbox.open("/tmp/dangling", O_CREAT | O_RDWR).is_ok());
    assert!(sandbox.stat("/tmp/made").is_ok());
    assert_eq!(sandbox.mkdir("/tmp/dangling"), Err(Errno::EEXIST));
}

#[test]
fn renaming_moves_and_replaces() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/a", b"a");
    sandbox.file("/tmp/b", b"bb");
    for directory in ["/tmp/d", "/tmp/d/e", "/tmp/f"] {
        sandbox.mkdir(directory).unwrap();
    }
    let size = |path: &str| sandbox.stat(path).map(|stat| stat.st_size);
    assert_eq!(sandbox.rename("/tmp/a", "/tmp/d/a"), Ok(0));
    assert_eq!((size("/tmp/a"), size("/tmp/d/a")), (Err(Errno::ENOENT), Ok(1)));
    assert_eq!(sandbox.rename("/tmp/b", "/tmp/d/a"), Ok(0));
    assert_eq!((size("/tmp/b"), size("/tmp/d/a")), (Err(Errno::ENOENT), Ok(2)));
    assert_eq!(sandbox.rename("/tmp/d/a", "/tmp/d/c"), Ok(0));
    assert_eq!((size("/tmp/d/a"), size("/tmp/d/c")), (Err(Errno::ENOENT), Ok(2)));
    for (old, new, error) in [
        ("/tmp/d", "/tmp/d/e/x", Errno::EINVAL),
        ("/tmp/d/e", "/tmp/d", Errno::ENOTEMPTY),
        ("/tmp/f", "/tmp/d", Errno::ENOTEMPTY),
        ("/tmp/d/c", "/tmp/f", Errno::EISDIR),
        ("/tmp/f", "/tmp/d/c", Errno::ENOTDIR),
        ("/tmp/d/c/", "/tmp/x", Errno::ENOTDIR),
        ("/tmp/d/c", "/tmp/x/", Errno::ENOTDIR),
        ("/tmp/none", "/tmp/x", Errno::ENOENT),
        ("/tmp/d/.", "/tmp/x", Errno::EBUSY),
        ("/tmp/d/c", "/tmp/d/..", Errno::EBUSY),
        ("/tmp/d/c", "/dev/shm/c", Errno::EXDEV),
        ("/dev/shm", "/dev/x", Errno::EBUSY),
        ("/dev/zero", "/dev/shm", Errno::EISDIR),
    ] {
        assert_eq!(sandbox.rename(old, new), Err(error), "{old} {new}");
    }
    let links = || ["/tmp", "/tmp/d", "/tmp/f"].map(|path| sandbox.links(path));
    assert_eq!(links(), [4, 3, 2]);
    assert_eq!(sandbox.rename("/tmp/d/e", "/tmp/f/e/"), Ok(0));
    assert_eq!(links(), [4, 2, 3]);
    assert_eq!(sandbox.rename("/tmp/f/e", "/tmp/e"), Ok(0));
    assert_eq!(links(), [5, 2, 2]);
    assert_eq!(sandbox.rename("/tmp/e", "/tmp/f"), Ok(0));
    assert_eq!(links(), [4, 2, 2]);
}

#[test]
fn renaming_with_flags() {
    let sandbox = Sandbox::new();
    sandbox.file("/tmp/a", b"a");
    sandbox.file("/tmp/b", b"bb");
    sandbox.mkdir("/tmp/d").unwrap();
    let size = |path: &str| sandbox.stat(path).unwrap().st_size;
    let rename = |old, new, flags| sandbox.rename_with(old, new, flags);
    assert_eq!(rename("/tmp/a", "/tmp/b", RENAME_NOREPLACE), Err(Errno::EEXIST));
    assert_eq!(rename("/tmp/a", "/tmp/c", RENAME_NOREPLACE), Ok(0));
    assert_eq!(rename("/tmp/b", "/tmp/c", RENAME_EXCHANGE), Ok(0));
    assert_eq!((size("/tmp/b"), size("/tmp/c")), (1, 2));
    assert_eq!(rename("/tmp/b", "/tmp/none", RENAME_EXCHANGE), Err(Errno::ENOENT));
    assert_eq!(rename("/tmp/b", "/tmp/d", RENAME_EXCHANGE), Ok(0));
    assert_eq!((size("/tmp/d"), sandbox.stat("/tmp/b").unwrap().st_mode), (1, 0o40755));
    assert_eq!(rename("/tmp/c", "/tmp/b/c", 0), Ok(0));
    assert_eq!(rename("/tmp/d", "/tmp/b/c", RENAME_EXCHANGE), Ok(0));
    assert_eq!((size("/tmp/d"), size("/tmp/b/c")), (2, 1));
    let both = RENAME_EXCHANGE | RENAME_NOREPLACE;
    assert_eq!(rename("/tmp/d", "/tmp/x", both), Err(Errno::EINVAL));
    // The path of what was moved is its new one.
    sandbox.mkdir("/tmp/b/e").unwrap();
    sandbox.with_path(nr64::CHDIR, "/tmp/b/e", []).unwrap();
    sandbox.rename("/tmp/b", "/tmp/g").unwrap();
    assert_eq!(sandbox.call(nr64::GETCWD, [BUFFER, 100, 0, 0, 0, 0]), Ok(9));
    assert_eq!(sandbox.load(BUFFER), *b"/tmp/g/e\0");
}

#[test]
fn nodes_of_every_type() {
    let sandbox = Sandbox::new();
    let mknod =
        |path: &str, mode: u64, device| sandbox.with_path(nr64::MKNOD, path, [mode, device]);
    for (path, mode) in [("/tmp/p", 0o10644), ("/tmp/s", 0o140600), ("/tmp/r", 0o100600)] {
        assert_eq!(mknod(path, mode, 0), Ok(0));
        assert_eq!(u64::from(sandbox.stat(path).unwrap().st_mode), mode);
    }
    assert_eq!(mknod("/tmp/null", 0o20666, 0x103), Ok(0));
    let fd = sandbox.open("/tmp/null", O_RDWR).unwrap();
    assert_eq!(sandbox.write(fd, b"abc"), Ok(3));
    assert_eq!(mknod("/tmp/d", 0o40755, 0), Err(Errno::EPERM));
    assert_eq!(mknod("/tmp/d", 0o30755, 0), Err(Errno::EINVAL));
    assert_eq!(mknod("/tmp/p", 0o10644, 0), Err(Errno::EEXIST));
    assert_eq!(sandbox.open("/tmp/s", O_RDWR), Err(Errno::ENXIO));
}

#[test]
fn thousands_of_directories_go_at_once_without_a_stack() {
    const RAM: u64 = 64 << 20;
    const DEPTH: usize = 8000;
    let free = [Range { end: RAM, ..boot_info().free[0] }, Range::ZERO];
    let sandbox = Sandbox::boot(BootInfo { ram_size: RAM, free, ..boot_info() });
    sandbox.with_path(nr64::CHDIR, "/tmp", []).unwrap();
    for _ in 0..DEPTH {
        assert_eq!(sandbox.mkdir("d"), Ok(0));
        sandbox.with_path(nr64::CHDIR, "d", []).unwrap();
    }
    assert_eq!(sandbox.call(nr64::GETCWD, [BUFFER, 4096, 0, 0, 0, 0]), Err(Errno::ENAMETOOLONG));
    // From the inside out, with the innermost one held open.
    let held = sandbox.open_directory(".");
    for _ in 0..DEPTH {
        sandbox.with_path(nr64::CHDIR, "..", []).unwrap();
        assert_eq!(sandbox.with_path(nr64::RMDIR, "d", []), Ok(0));
    }
    sandbox.close(held);
    assert_eq!(sandbox.links("/tmp"), 2);
}
