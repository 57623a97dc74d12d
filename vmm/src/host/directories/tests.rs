//! The server, on directories of the host's that are not as they were a moment ago.

mod changes;

use super::*;
use crate::host::directories::server::Limits;
use rustix::event::poll;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, openat};
use rustix::thread::set_thread_res_uid;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use trapgate_abi::file::{FileStatus, FileSystemStatus};
use trapgate_abi::hypercall::files::{Access, Entries, Found};
use trapgate_abi::hypercall::{MESSAGE_WORDS, put_names};
use trapgate_uapi::stat::{S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK};

/// A sandbox's server of one directory.
struct Host {
    directories: Directories,
    control: Control,
    root: Handle,
}

impl Host {
    fn of(path: &Path, is_writable: bool) -> Host {
        Host::within(Limits { descriptors: 1000, handles: 1000 }, path, is_writable)
    }

    fn within(limits: Limits, path: &Path, is_writable: bool) -> Host {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).unwrap();
        let (server, handles) = Server::within(limits, vec![Shared { fd, is_writable }]).unwrap();
        let directories = Directories::new(server);
        Host { directories, control: Control::default(), root: handles[0] }
    }

    /// An empty directory, which cannot be changed.
    fn new() -> (TempDir, Host) {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::of(directory.path(), false);
        (directory, host)
    }

    fn ask(&mut self, job: Job) -> Result<Done, Errno> {
        self.directories.carry_out(job, &self.control).map_err(|failure| match failure {
            Failure::Errno(errno) | Failure::Refused(errno) => errno,
            Failure::Stopped => panic!("nobody stopped it"),
        })
    }

    fn call(&mut self, request: FileRequest) -> Result<Done, Errno> {
        self.ask(Job { room: 4096, ..Job::new(request) })
    }

    fn walk(&mut self, directory: Handle, given: &[&str]) -> Result<Vec<Found>, Errno> {
        let job = named(FileRequest::Walk { directory }, given);
        let done = self.ask(job)?;
        let (words, rest) = done.data.as_chunks();
        assert_eq!((words.len() as u64, rest), (done.value, &[][..]));
        Ok(words.iter().map(Found::from_words).collect())
    }

    /// The one file of that name in the root.
    fn find(&mut self, name: &str) -> Found {
        self.walk(self.root, &[name]).unwrap()[0]
    }

    fn open(&mut self, file: Handle) -> Result<FileStatus, Errno> {
        self.call(FileRequest::Open { file, access: Access::Read }).map(|done| status(&done))
    }

    fn read(&mut self, file: Handle, offset: u64) -> Result<Vec<u8>, Errno> {
        self.call(FileRequest::Get { file, offset }).map(|done| done.bytes)
    }

    fn release(&mut self, handles: &[Handle], keep: bool) -> u64 {
        let request = FileRequest::Release { keep };
        self.ask(Job { handles: handles.to_vec(), ..Job::new(request) }).unwrap().value
    }

    /// All names, asked for in pieces of `room` bytes.
    fn list(&mut self, directory: Handle, room: usize) -> Result<Vec<(String, u8)>, Errno> {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let request = FileRequest::List { directory, cookie };
            let done = self.ask(Job { room, ..Job::new(request) })?;
            assert_eq!(done.value, done.bytes.len() as u64);
            if done.bytes.is_empty() {
                return Ok(names);
            }
            for entry in Entries::new(&done.bytes) {
                cookie = entry.next;
                names.push((String::from_utf8(entry.name.to_vec()).unwrap(), entry.kind));
            }
        }
    }

    fn handles(&mut self) -> usize {
        self.directories.server().unwrap().table.size()
    }
}

fn named(request: FileRequest, given: &[&str]) -> Job {
    let mut message = [0; MESSAGE_WORDS];
    let given: Vec<_> = given.iter().map(|name| name.as_bytes()).collect();
    assert!(put_names(&mut message, &given));
    Job { names: Some(names(&message).unwrap()), ..Job::new(request) }
}

fn status(done: &Done) -> FileStatus {
    FileStatus::from_words(done.data.first_chunk().unwrap())
}

fn kind(found: &Found) -> u32 {
    found.status.mode as u32 & S_IFMT
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

#[test]
fn a_walk_tells_of_each_name_and_ends_at_what_is_no_directory() {
    let (directory, mut host) = Host::new();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    fs::write(at("a/b/file"), "12345").unwrap();
    let found = host.walk(host.root, &["a", "b", "file", "more"]).unwrap();
    assert_eq!(found.iter().map(kind).collect::<Vec<_>>(), [S_IFDIR, S_IFDIR, S_IFREG]);
    assert_eq!(found[2].status.size, 5);
    let again = host.walk(found[1].handle, &["file"]).unwrap()[0];
    assert_eq!((again.status.ino, again.status.dev), (found[2].status.ino, found[2].status.dev));
    assert_ne!(again.handle, found[2].handle);
    // What is not there is an error only where nothing was found before it.
    assert_eq!(host.walk(host.root, &["a", "none"]).unwrap().len(), 1);
    assert_eq!(host.walk(host.root, &["none", "a"]).unwrap_err(), Errno::ENOENT);
    assert_eq!(host.walk(again.handle, &["a"]).unwrap_err(), Errno::ENOTDIR);
}

#[test]
fn no_link_leads_anywhere() {
    let (directory, mut host) = Host::new();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("inside")).unwrap();
    fs::write(at("inside/file"), "").unwrap();
    for (name, target) in [("out", "/etc"), ("up", ".."), ("in", "inside"), ("fd", "/proc/self/fd")]
    {
        symlink(target, at(name)).unwrap();
        for rest in ["passwd", "file", "0"] {
            let found = host.walk(host.root, &[name, rest]).unwrap();
            assert_eq!(found.iter().map(kind).collect::<Vec<_>>(), [S_IFLNK], "{name}");
        }
        let link = host.find(name).handle;
        let read = host.call(FileRequest::ReadLink { link }).unwrap();
        assert_eq!(read.bytes, target.as_bytes());
        assert_eq!(host.open(link), Err(Errno::ELOOP));
        assert_eq!(host.walk(link, &["passwd"]).unwrap_err(), Errno::ENOTDIR);
        assert_eq!(host.list(link, 4096), Err(Errno::ENOTDIR));
    }
    // To a directory made a link, and to a link made another one.
    let inside = host.find("inside").handle;
    fs::rename(at("inside"), at("moved")).unwrap();
    symlink("/etc", at("inside")).unwrap();
    assert_eq!(host.list(inside, 4096).unwrap().len(), 1, "it is the directory that it was");
    assert_eq!(host.walk(inside, &["passwd"]).unwrap_err(), Errno::ENOENT);
    assert_eq!(kind(&host.find("inside")), S_IFLNK);
    let link = host.find("in").handle;
    fs::remove_file(at("in")).unwrap();
    symlink("/etc", at("in")).unwrap();
    assert_eq!(host.call(FileRequest::ReadLink { link }).unwrap_err(), Errno::ESTALE);
}

#[test]
fn a_directory_stays_the_same_one_wherever_it_goes() {
    let (directory, mut host) = Host::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("a")).unwrap();
    fs::write(at("a/file"), "x").unwrap();
    let a = host.find("a");
    fs::rename(at("a"), elsewhere.path().join("b")).unwrap();
    let file = host.walk(a.handle, &["file"]).unwrap()[0].handle;
    host.open(file).unwrap();
    assert_eq!(host.read(file, 0).unwrap(), b"x");
    fs::remove_dir_all(elsewhere.path().join("b")).unwrap();
    assert_eq!(host.walk(a.handle, &["file"]).unwrap_err(), Errno::ENOENT);
    assert_eq!(status(&host.call(FileRequest::Look { file: a.handle }).unwrap()).nlink, 0);
}

#[test]
fn what_is_opened_is_what_was_found() {
    let (directory, mut host) = Host::new();
    let path = directory.path().join("file");
    type Replace = fn(&Path);
    let replace: [(&str, Replace); 4] = [
        ("a file", |path| fs::write(path, "new").unwrap()),
        ("a link to what it was", |path| symlink("other", path).unwrap()),
        ("a pipe", fifo),
        ("a directory", |path| fs::create_dir(path).unwrap()),
    ];
    for (what, replace) in replace {
        fs::write(&path, "old").unwrap();
        let [before, opened] = [host.find("file").handle, host.find("file").handle];
        host.open(opened).unwrap();
        fs::rename(&path, directory.path().join("other")).unwrap();
        replace(&path);
        assert_eq!(host.open(before), Err(Errno::ESTALE), "{what}");
        assert_eq!(host.call(FileRequest::Look { file: before }).unwrap_err(), Errno::ESTALE);
        assert_eq!(host.read(opened, 0).unwrap(), b"old", "it is open");
        assert_eq!(host.open(opened).unwrap().size, 3, "and stays so");
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        assert_eq!(host.open(before), Err(Errno::ENOENT), "{what}");
        // Closed it is a name again.
        assert_eq!(host.release(&[opened], true), 1);
        assert_eq!(host.open(opened), Err(Errno::ENOENT));
        assert_eq!(host.read(opened, 0), Err(Errno::EBADF));
    }
}

#[test]
fn a_file_that_is_cut_ends_there() {
    let (directory, mut host) = Host::new();
    let path = directory.path().join("file");
    fs::write(&path, [7; 6000]).unwrap();
    let file = host.find("file").handle;
    assert_eq!(host.open(file).unwrap().size, 6000);
    assert_eq!(host.read(file, 1000).unwrap(), [7; 4096]);
    fs::write(&path, [8; 10]).unwrap();
    assert_eq!(host.read(file, 0).unwrap(), [8; 10]);
    assert_eq!(host.read(file, 10).unwrap(), b"");
    assert_eq!(host.read(file, u64::MAX).unwrap_err(), Errno::EINVAL);
    assert_eq!(status(&host.call(FileRequest::Look { file }).unwrap()).size, 10);
}

#[test]
fn what_the_user_may_not_read_is_not_read() {
    let (directory, _) = Host::new();
    let at = |name: &str| directory.path().join(name);
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(at("closed")).unwrap();
    fs::write(at("file"), "x").unwrap();
    for name in ["closed", "file"] {
        fs::set_permissions(at(name), PermissionsExt::from_mode(0o0)).unwrap();
    }
    // Of a thread alone, and this one ends.
    let path = directory.path().to_owned();
    let answers = thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        let mut host = Host::of(&path, false);
        let (closed, file) = (host.find("closed").handle, host.find("file").handle);
        let walked = host.walk(closed, &["x"]).map(|_| ());
        [walked, host.list(closed, 4096).map(|_| ()), host.open(file).map(|_| ())]
    });
    assert_eq!(answers.join().unwrap(), [Err(Errno::EACCES); 3]);
    fs::set_permissions(at("closed"), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn devices_pipes_and_sockets_are_seen_and_never_opened() {
    let (directory, mut host) = Host::new();
    fifo(&directory.path().join("pipe"));
    let _socket = UnixListener::bind(directory.path().join("socket")).unwrap();
    // To open a pipe to write to would wait for somebody who reads.
    for (name, expected) in [("pipe", S_IFIFO), ("socket", S_IFSOCK)] {
        let found = host.find(name);
        assert_eq!(kind(&found), expected);
        assert_eq!(host.open(found.handle), Err(Errno::ENXIO));
        assert_eq!(host.read(found.handle, 0), Err(Errno::EBADF));
    }
    let mut devices = Host::of(Path::new("/dev"), true);
    let found = devices.find("null");
    assert_eq!((kind(&found), found.status.rdev), (S_IFCHR, 0x103));
    for access in [Access::Read, Access::Write, Access::Both] {
        let request = FileRequest::Open { file: found.handle, access };
        assert_eq!(devices.call(request).unwrap_err(), Errno::ENXIO);
    }
}

#[test]
fn what_is_no_handle_is_refused() {
    let (directory, mut host) = Host::new();
    fs::write(directory.path().join("file"), "").unwrap();
    let file = host.find("file").handle;
    assert_eq!(host.release(&[file, file, host.root], false), 1, "once, and never the root");
    let next = host.find("file").handle;
    assert_ne!(next, file, "its place has another generation");
    let forged = [0, 1, next.0 + 1, next.0 + (1 << 32), host.root.0 - (1 << 32), u64::MAX];
    for handle in forged.into_iter().map(Handle).chain([file]) {
        assert_eq!(host.open(handle), Err(Errno::EBADF), "{handle:?}");
        assert_eq!(host.walk(handle, &["file"]).unwrap_err(), Errno::EBADF);
        assert_eq!(host.list(handle, 4096), Err(Errno::EBADF));
        for request in
            [FileRequest::Look { file: handle }, FileRequest::FileSystem { file: handle }]
        {
            assert_eq!(host.call(request).unwrap_err(), Errno::EBADF);
        }
        assert_eq!(host.release(&[handle], false), 0);
    }
    assert_eq!(host.open(host.root), Err(Errno::EISDIR));
    assert_eq!(host.read(next, 0), Err(Errno::EBADF), "it is not open");
}

#[test]
fn a_guest_that_opens_and_releases_for_ever_takes_nothing() {
    let (directory, mut host) = Host::new();
    fs::create_dir(directory.path().join("a")).unwrap();
    fs::write(directory.path().join("a/file"), "").unwrap();
    for _ in 0..100_000 / 2 {
        let found = host.walk(host.root, &["a", "file"]).unwrap();
        host.open(found[1].handle).unwrap();
        assert_eq!(host.release(&[found[0].handle, found[1].handle], false), 2);
    }
    assert_eq!(host.handles(), 3);
}

#[test]
fn a_guest_that_releases_nothing_comes_to_an_end() {
    let (directory, _) = Host::new();
    fs::create_dir(directory.path().join("a")).unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    // One is the root's.
    let limits = Limits { descriptors: 8, handles: 100 };
    let mut host = Host::within(limits, directory.path(), false);
    let directories: Vec<_> = (0..6).map(|_| host.find("a").handle).collect();
    let files = [host.find("file").handle, host.find("file").handle];
    host.open(files[0]).unwrap();
    assert_eq!(host.open(files[1]), Err(Errno::ENFILE));
    assert_eq!(host.walk(host.root, &["a"]).unwrap_err(), Errno::ENFILE);
    assert_eq!(host.read(files[0], 0).unwrap(), b"", "what is there stays");
    host.release(&directories[..1], false);
    host.open(files[1]).unwrap();
    let left = limits.handles - host.handles() + 1;
    assert!((0..left).all(|_| host.walk(host.root, &["file"]).is_ok()));
    assert_eq!(host.walk(host.root, &["file"]).unwrap_err(), Errno::ENFILE);
    host.release(&files, false);
    assert!(host.walk(host.root, &["file"]).is_ok());
}

#[test]
fn names_are_listed_once_in_pieces_of_any_size() {
    let (directory, mut host) = Host::new();
    let expected: BTreeSet<_> =
        (0..500).map(|at| format!("{at:0>width$}", width = 1 + at % 200)).collect();
    for name in &expected {
        fs::write(directory.path().join(name), "").unwrap();
    }
    fs::create_dir(directory.path().join("directory")).unwrap();
    for room in [224, 1000, 1 << 20] {
        let listed = host.list(host.root, room).unwrap();
        assert_eq!(listed.len(), expected.len() + 1);
        let files = listed.iter().filter(|(_, kind)| *kind == 8).map(|(name, _)| name);
        assert_eq!(files.cloned().collect::<BTreeSet<_>>(), expected);
        assert!(listed.contains(&("directory".to_owned(), 4)));
    }
    assert_eq!(host.list(host.root, 20), Err(Errno::EINVAL));
    // Another one in between.
    let other = host.find("directory").handle;
    let request = FileRequest::List { directory: host.root, cookie: 0 };
    let first = host.ask(Job { room: 1000, ..Job::new(request) }).unwrap();
    assert_eq!(host.list(other, 4096).unwrap(), []);
    let cookie = Entries::new(&first.bytes).last().unwrap().next;
    let request = FileRequest::List { directory: host.root, cookie };
    let second = host.ask(Job { room: 1000, ..Job::new(request) }).unwrap();
    let names: Vec<_> =
        [&first, &second].iter().flat_map(|done| Entries::new(&done.bytes)).collect();
    let different: BTreeSet<_> = names.iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), different.len());
    // A cookie that is none is an answer, whatever the file system makes of it.
    let request = FileRequest::List { directory: host.root, cookie: u64::MAX };
    let _ = host.call(request);
}

#[test]
fn a_file_system_that_may_not_answer_is_asked_elsewhere_and_answers_the_same() {
    let mut host = Host::of(Path::new("/"), false);
    let here = host.find("proc");
    assert!(host.directories.away.is_some(), "it is another file system");
    let file = host.walk(here.handle, &["version"]).unwrap()[0].handle;
    assert_ne!(
        here.status.dev,
        status(&host.call(FileRequest::Look { file: host.root }).unwrap()).dev
    );
    host.open(file).unwrap();
    assert_eq!(host.read(file, 0).unwrap(), fs::read("/proc/version").unwrap());
    assert!(host.list(here.handle, 4096).unwrap().iter().any(|(name, _)| name == "version"));
    let done = host.call(FileRequest::FileSystem { file }).unwrap();
    let system = FileSystemStatus::from_words(done.data[..].try_into().unwrap());
    assert_eq!(system.kind, 0x9fa0);
}

#[test]
fn who_waits_for_a_file_system_can_be_stopped() {
    let mut host = Host::of(Path::new("/proc"), false);
    // Until it is kicked.
    let hold = || _ = poll(&mut [], None);
    host.directories.server().unwrap().hold = Some(hold);
    let control = Arc::new(Control::default());
    let stops = control.clone();
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        stops.stop();
    });
    let start = Instant::now();
    let job = named(FileRequest::Walk { directory: host.root }, &["version"]);
    let answer = host.directories.carry_out(job, &control);
    assert!(matches!(answer, Err(Failure::Stopped)));
    assert!(start.elapsed() < Duration::from_secs(5));
    stopper.join().unwrap();
    // The thread is ended, and does not take the second that it may.
    let start = Instant::now();
    drop(host);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn one_file_is_a_mount_of_its_own_and_leads_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "mine").unwrap();
    fs::write(at("other"), "not mine").unwrap();
    let fd = openat(CWD, at("file"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let limits = Limits { descriptors: 10, handles: 10 };
    let (server, handles) = Server::within(limits, vec![Shared { fd, is_writable: true }]).unwrap();
    let directories = Directories::new(server);
    let mut host = Host { directories, control: Control::default(), root: handles[0] };
    let file = host.root;
    // Its name is another's.
    fs::rename(at("other"), at("file")).unwrap();
    let status = status(&host.call(FileRequest::Look { file }).unwrap());
    assert_eq!((status.mode as u32 & S_IFMT, status.size), (S_IFREG, 4));
    assert_eq!(host.open(file).unwrap().size, 4);
    assert_eq!(host.read(file, 0).unwrap(), b"mine");
    for name in ["other", "file"] {
        assert_eq!(host.walk(file, &[name]).unwrap_err(), Errno::ENOTDIR, "{name}");
    }
    let list = FileRequest::List { directory: file, cookie: 0 };
    assert_eq!(host.call(list).unwrap_err(), Errno::ENOTDIR);
}
