//! Requests that change something: what comes of them on the host.

use super::*;
use rustix::fs::{AtFlags, StatxFlags, statx};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use trapgate_abi::hypercall::files::AT_END;

impl Host {
    fn writable() -> (TempDir, Host) {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::of(directory.path(), true);
        (directory, host)
    }

    fn made(&mut self, directory: Handle, name: &str, mode: u32) -> Result<Found, Errno> {
        let job = named(FileRequest::Make { directory, mode }, &[name]);
        let done = self.ask(Job { input: b"../target".to_vec(), ..job })?;
        assert_eq!(done.value, 1);
        Ok(Found::from_words(done.data[..].try_into().unwrap()))
    }

    fn put(&mut self, file: Handle, offset: u64, bytes: &[u8]) -> Result<FileStatus, Errno> {
        let job = Job { input: bytes.to_vec(), ..Job::new(FileRequest::Put { file, offset }) };
        let done = self.ask(job)?;
        assert_eq!(done.value, bytes.len() as u64);
        Ok(status(&done))
    }

    fn change(&mut self, file: Handle, change: Change) -> Result<FileStatus, Errno> {
        let job = Job { change: Some(change), ..Job::new(FileRequest::Change { file }) };
        self.ask(job).map(|done| status(&done))
    }

    fn rename(
        &mut self,
        [from, to]: [Handle; 2],
        names: [&str; 2],
        flags: u32,
    ) -> Result<Vec<Found>, Errno> {
        let done = self.ask(named(FileRequest::Rename { from, to, flags }, &names))?;
        let (words, _) = done.data.as_chunks();
        Ok(words.iter().map(Found::from_words).collect())
    }

    fn unlink(&mut self, directory: Handle, name: &str, is_directory: bool) -> Result<(), Errno> {
        self.ask(named(FileRequest::Unlink { directory, is_directory }, &[name])).map(drop)
    }
}

#[test]
fn what_is_made_is_there_with_the_mode_that_was_asked_for() {
    let (directory, mut host) = Host::writable();
    let at = |name: &str| directory.path().join(name);
    for (name, kind, mode) in [
        ("file", S_IFREG, 0o666),
        ("directory", S_IFDIR, 0o1777),
        ("pipe", S_IFIFO, 0o622),
        ("socket", S_IFSOCK, 0o700),
    ] {
        let found = host.made(host.root, name, kind | mode).unwrap();
        assert_eq!(fs::symlink_metadata(at(name)).unwrap().mode(), kind | mode, "{name}");
        assert_eq!(found.status.mode, u64::from(kind | mode));
        assert_eq!(host.made(host.root, name, kind | mode).unwrap_err(), Errno::EEXIST);
        assert_eq!(host.find(name).status.ino, found.status.ino);
    }
    let link = host.made(host.root, "link", S_IFLNK | 0o777).unwrap();
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("../target"));
    assert_eq!(link.status.size, 9);
    for kind in [S_IFCHR, 0o060_000] {
        assert_eq!(host.made(host.root, "device", kind | 0o666).unwrap_err(), Errno::EPERM);
    }
    assert_eq!(host.made(host.root, "nothing", 0o666).unwrap_err(), Errno::EINVAL);
    // It would run on the host as whoever has made it.
    host.made(host.root, "suid", S_IFREG | 0o6755).unwrap();
    assert_eq!(fs::metadata(at("suid")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn what_is_written_is_in_the_file_and_what_is_open_stays_so() {
    let (directory, mut host) = Host::writable();
    let path = directory.path().join("file");
    let file = host.made(host.root, "file", S_IFREG | 0o644).unwrap().handle;
    assert_eq!(host.put(file, 3, b"abc").unwrap().size, 6);
    assert_eq!(host.put(file, AT_END, b"de").unwrap().size, 8);
    assert_eq!(host.put(file, 0, b"x").unwrap().size, 8);
    assert_eq!(fs::read(&path).unwrap(), b"x\0\0abcde");
    assert_eq!(host.read(file, 3).unwrap(), b"abcde", "it is open for both");
    host.unlink(host.root, "file", false).unwrap();
    assert!(!path.exists());
    assert_eq!(host.put(file, AT_END, b"f").unwrap().nlink, 0);
    assert_eq!(host.read(file, 3).unwrap(), b"abcdef");
    // One that is found is open for what it was opened for.
    fs::write(&path, "12").unwrap();
    let file = host.find("file").handle;
    assert_eq!(host.put(file, 0, b"x").unwrap_err(), Errno::EBADF);
    host.open(file).unwrap();
    assert_eq!(host.put(file, 0, b"x").unwrap_err(), Errno::EBADF);
    host.call(FileRequest::Open { file, access: Access::Both }).unwrap();
    host.put(file, 0, b"x").unwrap();
    assert_eq!(host.read(file, 0).unwrap(), b"x2");
}

/// Whether Linux executes a file: not while somebody has it open for writing. A process
/// that another test is just making may have it open, too.
fn is_executed(path: &Path) -> bool {
    for _ in 0..100 {
        match Command::new(path).status() {
            Ok(status) => return status.success(),
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
    false
}

#[test]
fn what_is_given_back_as_not_written_can_be_executed_and_read_on() {
    let (directory, mut host) = Host::writable();
    let program = fs::read("/bin/true").unwrap();
    let file = host.made(host.root, "program", S_IFREG | 0o700).unwrap().handle;
    for (at, piece) in program.chunks(4096).enumerate() {
        host.put(file, 4096 * at as u64, piece).unwrap();
    }
    let path = directory.path().join("program");
    assert!(!is_executed(&path), "it is open for writing");
    let descriptors = host.directories.server().unwrap().budget.used();
    // Whatever is beside it is none.
    let given = [0, u64::MAX, file.0 + 1, host.root.0 | Handle::NOT_WRITTEN];
    assert!(host.directories.release(&given, &host.control));
    assert_eq!(host.put(file, 0, b"\x7f").unwrap().size, program.len() as u64);
    assert!(host.directories.release(&[file.0 | Handle::NOT_WRITTEN], &host.control));
    assert_eq!(host.directories.server().unwrap().budget.used(), descriptors);
    assert!(is_executed(&path));
    assert_eq!(host.read(file, 0).unwrap()[..4], *b"\x7fELF");
    assert_eq!(host.put(file, 0, b"x").unwrap_err(), Errno::EBADF);
    // Two descriptors, of which one goes; and for writing alone.
    let (both, write) = (Access::Both, Access::Write);
    host.call(FileRequest::Open { file, access: both }).unwrap();
    assert!(!is_executed(&path));
    assert!(host.directories.release(&[file.0 | Handle::NOT_WRITTEN], &host.control));
    assert!(is_executed(&path));
    let alone = host.find("program").handle;
    host.call(FileRequest::Open { file: alone, access: write }).unwrap();
    assert!(host.directories.release(&[alone.0 | Handle::NOT_WRITTEN], &host.control));
    assert!(is_executed(&path));
    assert_eq!(host.read(alone, 0).unwrap_err(), Errno::EBADF);
    assert!(host.directories.release(&[alone.0, file.0], &host.control));
    assert_eq!(host.read(file, 0).unwrap_err(), Errno::EBADF);
    // A sandbox without directories has no handle.
    assert!(Directories::default().release(&given, &host.control));
}

#[test]
fn names_are_moved_exchanged_and_taken_away() {
    let (directory, mut host) = Host::writable();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("a")).unwrap();
    fs::write(at("one"), "1").unwrap();
    fs::write(at("a/two"), "2").unwrap();
    let (root, a) = (host.root, host.find("a").handle);
    let [one, open] = [host.find("one").handle, host.find("one").handle];
    host.open(open).unwrap();
    let moved = host.rename([root, a], ["one", "three"], 0).unwrap();
    assert_eq!(fs::read(at("a/three")).unwrap(), b"1");
    assert_eq!(host.open(one), Err(Errno::ENOENT), "a file that is not open is a name");
    assert_eq!(host.read(open, 0).unwrap(), b"1");
    host.open(moved[0].handle).unwrap();
    assert_eq!(host.rename([a, a], ["two", "three"], 1).unwrap_err(), Errno::EEXIST);
    let both = host.rename([a, a], ["two", "three"], 2).unwrap();
    assert_eq!(fs::read(at("a/three")).unwrap(), b"2");
    assert_eq!(both[1].status.ino, moved[0].status.ino);
    assert_eq!(host.unlink(root, "a", true), Err(Errno::ENOTEMPTY));
    assert_eq!(host.unlink(root, "a", false), Err(Errno::EISDIR));
    assert_eq!(host.unlink(a, "two", true), Err(Errno::ENOTDIR));
    for name in ["two", "three"] {
        host.unlink(a, name, false).unwrap();
    }
    host.unlink(root, "a", true).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(host.made(a, "late", S_IFREG | 0o644).unwrap_err(), Errno::ENOENT);
}

#[test]
fn a_file_gets_further_names_in_its_own_directory_only() {
    let (directory, host) = Host::writable();
    drop(host);
    let other = tempfile::tempdir_in(directory.path()).unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    fs::write(other.path().join("file"), "").unwrap();
    let open = |path: &Path, is_writable| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Shared { fd: openat(CWD, path, flags, Mode::empty()).unwrap(), is_writable }
    };
    let limits = Limits { descriptors: 100, handles: 100 };
    let shared = vec![open(directory.path(), true), open(other.path(), false)];
    let (server, handles) = Server::within(limits, shared).unwrap();
    let (directories, control) = (Directories::new(server), Control::default());
    let mut host = Host { directories, control, root: handles[0] };
    let (rw, ro) = (handles[0], handles[1]);
    let link = |file, directory| named(FileRequest::Link { file, directory }, &["new"]);
    let own = host.find("file");
    host.ask(link(own.handle, rw)).unwrap();
    assert_eq!(host.find("new").status.ino, own.status.ino);
    assert_eq!(host.find("new").status.nlink, 2);
    assert_eq!(host.ask(link(own.handle, rw)).unwrap_err(), Errno::EEXIST);
    // What can only be read in one cannot be written by way of the other.
    let others = host.walk(ro, &["file"]).unwrap()[0].handle;
    let job = named(FileRequest::Link { file: others, directory: rw }, &["stolen"]);
    assert_eq!(host.ask(job).unwrap_err(), Errno::EXDEV);
    assert_eq!(host.ask(link(own.handle, ro)).unwrap_err(), Errno::EROFS);
    assert_eq!(host.rename([ro, rw], ["file", "stolen"], 0).unwrap_err(), Errno::EROFS);
    assert_eq!(host.ask(link(rw, rw)).unwrap_err(), Errno::EPERM, "a directory");
    // A link gets another name itself.
    symlink("/etc/passwd", directory.path().join("link")).unwrap();
    let file = host.find("link").handle;
    host.ask(named(FileRequest::Link { file, directory: rw }, &["same"])).unwrap();
    assert_eq!(kind(&host.find("same")), S_IFLNK);
}

#[test]
fn links_in_the_way_are_not_followed_by_what_changes_something() {
    let (directory, mut host) = Host::writable();
    let outside = tempfile::tempdir().unwrap();
    let (at, victim) = (|name: &str| directory.path().join(name), outside.path().join("victim"));
    fs::write(&victim, "whole").unwrap();
    let before = fs::metadata(&victim).unwrap();
    symlink(&victim, at("link")).unwrap();
    fs::create_dir(at("d")).unwrap();
    let d = host.find("d").handle;
    fs::rename(at("d"), at("was-d")).unwrap();
    symlink(outside.path(), at("d")).unwrap();
    assert_eq!(host.made(host.root, "link", S_IFREG | 0o644).unwrap_err(), Errno::EEXIST);
    let link = host.find("link").handle;
    for access in [Access::Write, Access::Both] {
        assert_eq!(host.call(FileRequest::Open { file: link, access }).unwrap_err(), Errno::ELOOP);
    }
    let times = Change { which: Change::MTIME, mtime: 5, ..Change::ZERO };
    assert_eq!(host.change(link, times).unwrap().mtime, 5, "its own");
    assert!(host.change(link, Change { which: Change::MODE, ..Change::ZERO }).is_err());
    host.made(d, "new", S_IFREG | 0o644).unwrap();
    assert!(at("was-d/new").exists());
    assert_eq!(host.unlink(d, "victim", false), Err(Errno::ENOENT));
    host.rename([d, host.root], ["new", "link"], 0).unwrap();
    assert!(fs::symlink_metadata(at("link")).unwrap().is_file());
    let after = fs::metadata(&victim).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"whole");
    assert_eq!(
        (after.mode(), after.mtime(), after.ctime()),
        (before.mode(), before.mtime(), before.ctime())
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn modes_sizes_and_times_are_set_of_what_is_open_and_what_is_not() {
    let (directory, mut host) = Host::writable();
    let path = directory.path().join("file");
    fs::write(&path, [1; 100]).unwrap();
    fs::create_dir(directory.path().join("d")).unwrap();
    let [file, open, d] =
        [host.find("file").handle, host.find("file").handle, host.find("d").handle];
    host.call(FileRequest::Open { file: open, access: Access::Write }).unwrap();
    for handle in [file, open] {
        let change = Change {
            which: Change::MODE | Change::ATIME | Change::MTIME,
            mode: 0o4640,
            atime: 1,
            atime_nsec: 2,
            mtime: (-3i64).cast_unsigned(),
            mtime_nsec: 4,
            ..Change::ZERO
        };
        let status = host.change(handle, change).unwrap();
        let expected = (u64::from(S_IFREG | 0o640), 1, 2, (-3i64).cast_unsigned(), 4);
        let FileStatus { mode, atime, atime_nsec, mtime, mtime_nsec, .. } = status;
        assert_eq!((mode, atime, atime_nsec, mtime, mtime_nsec), expected);
        let only = Change { which: Change::ATIME, atime: 9, ..Change::ZERO };
        let status = host.change(handle, only).unwrap();
        assert_eq!((status.atime, status.mtime), (9, (-3i64).cast_unsigned()));
        let wrong = Change { which: Change::ATIME, atime_nsec: 2_000_000_000, ..Change::ZERO };
        assert_eq!(host.change(handle, wrong), Err(Errno::EINVAL));
    }
    let size = |size| Change { which: Change::SIZE, size, ..Change::ZERO };
    assert_eq!(host.change(file, size(5)), Err(Errno::EBADF));
    assert_eq!(host.change(open, size(5)).unwrap().size, 5);
    assert_eq!(host.change(open, size(1 << 40)).unwrap().size, 1 << 40);
    assert_eq!(host.change(open, size(u64::MAX)), Err(Errno::EINVAL));
    let mode = Change { which: Change::MODE, mode: 0o2750, ..Change::ZERO };
    assert_eq!(host.change(d, mode).unwrap().mode, u64::from(S_IFDIR | 0o2750));
    let owner = statx(CWD, &path, AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
    let same = Change {
        which: Change::UID | Change::GID,
        uid: owner.stx_uid.into(),
        gid: owner.stx_gid.into(),
        ..Change::ZERO
    };
    host.change(file, same).unwrap();
}

#[test]
fn a_directory_takes_its_groups_bit_from_the_one_that_it_is_in() {
    let (directory, mut host) = Host::writable();
    let above = host.made(host.root, "above", S_IFDIR | 0o755).unwrap().handle;
    host.change(above, Change { which: Change::MODE, mode: 0o2775, ..Change::ZERO }).unwrap();
    for (name, kind, expected) in [("d", S_IFDIR, 0o2701), ("f", S_IFREG, 0o701)] {
        let found = host.made(above, name, kind | 0o701).unwrap();
        let mode = fs::metadata(directory.path().join("above").join(name)).unwrap().mode();
        assert_eq!((mode, found.status.mode), (kind | expected, mode.into()), "{name}");
    }
}

#[test]
fn an_owner_that_stays_is_set_all_the_same() {
    let (directory, mut host) = Host::writable();
    let file = host.made(host.root, "f", S_IFREG | 0o644).unwrap();
    thread::sleep(Duration::from_millis(20));
    let which = Change::UID | Change::GID;
    let stays = Change { which, uid: u32::MAX.into(), gid: u32::MAX.into(), ..Change::ZERO };
    let after = host.change(file.handle, stays).unwrap();
    let data = fs::metadata(directory.path().join("f")).unwrap();
    let before = &file.status;
    assert_eq!((after.uid, after.gid), (before.uid, before.gid));
    assert_eq!((u64::from(data.uid()), after.mtime_nsec), (before.uid, before.mtime_nsec));
    assert_ne!((after.ctime, after.ctime_nsec), (before.ctime, before.ctime_nsec));
}

#[test]
fn holes_are_found_in_what_is_open_and_positions_stay() {
    const BLOCK: u64 = 1 << 16;
    let (_directory, mut host) = Host::writable();
    let file = host.made(host.root, "f", S_IFREG | 0o644).unwrap().handle;
    host.put(file, 2 * BLOCK, b"data").unwrap();
    let mut find =
        |offset, hole| host.call(FileRequest::Find { file, offset, hole }).map(|done| done.value);
    assert_eq!((find(0, true), find(0, false)), (Ok(0), Ok(2 * BLOCK)));
    let end = find(2 * BLOCK, true).unwrap();
    assert!(end > 2 * BLOCK && end <= 3 * BLOCK, "{end}");
    for offset in [3 * BLOCK, i64::MAX as u64, u64::MAX] {
        for hole in [false, true] {
            let found = find(offset, hole);
            assert!(matches!(found, Err(Errno::ENXIO | Errno::EINVAL)), "{offset:#x}: {found:?}");
        }
    }
    assert_eq!(host.put(file, AT_END, b" and more").unwrap().size, 2 * BLOCK + 13);
    let closed = host.find("f").handle;
    for handle in [closed, Handle(7), host.root] {
        let found = host.call(FileRequest::Find { file: handle, offset: 0, hole: true });
        assert!(matches!(found, Err(Errno::EBADF | Errno::EISDIR)));
    }
}

#[test]
fn what_may_take_long_is_done_elsewhere() {
    let (directory, mut host) = Host::writable();
    let file = host.made(host.root, "file", S_IFREG | 0o644).unwrap().handle;
    for data_only in [true, false] {
        host.call(FileRequest::Sync { file, data_only }).unwrap();
    }
    assert!(host.directories.away.is_some());
    host.call(FileRequest::Sync { file: host.root, data_only: false }).unwrap();
    host.call(FileRequest::Allocate { file, mode: 0, offset: 10, length: 90 }).unwrap();
    assert_eq!(fs::metadata(directory.path().join("file")).unwrap().len(), 100);
    let wrong = FileRequest::Allocate { file, mode: 0, offset: 0, length: 0 };
    assert_eq!(host.call(wrong).unwrap_err(), Errno::EINVAL);
}

#[test]
fn in_a_directory_that_is_read_only_nothing_is_changed() {
    let (directory, mut host) = Host::new();
    fs::write(directory.path().join("file"), "x").unwrap();
    let (directory, file) = (host.root, host.find("file").handle);
    host.open(file).unwrap();
    let change = Change { which: Change::ALL, ..Change::ZERO };
    let requests = [
        (FileRequest::Make { directory, mode: S_IFREG }, &["new"][..]),
        (FileRequest::Make { directory, mode: S_IFDIR }, &["new"]),
        (FileRequest::Link { file, directory }, &["new"]),
        (FileRequest::Unlink { directory, is_directory: false }, &["file"]),
        (FileRequest::Rename { from: directory, to: directory, flags: 0 }, &["file", "new"]),
        (FileRequest::Change { file }, &["x"]),
        (FileRequest::Change { file: directory }, &["x"]),
        (FileRequest::Put { file, offset: 0 }, &["x"]),
        (FileRequest::Allocate { file, mode: 0, offset: 0, length: 1 }, &["x"]),
        (FileRequest::Open { file, access: Access::Write }, &["x"]),
        (FileRequest::Open { file, access: Access::Both }, &["x"]),
    ];
    for (request, names) in requests {
        assert!(request.changes());
        let job = Job { change: Some(change), input: b"y".to_vec(), ..named(request, names) };
        let answer = host.directories.carry_out(job, &host.control);
        assert!(matches!(answer, Err(Failure::Refused(Errno::EROFS))), "{request:?}");
    }
}
