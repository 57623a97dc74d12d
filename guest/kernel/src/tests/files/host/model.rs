//! A VMM with a directory of a host's, in the test's memory.

mod writing;

use crate::tests::{Sandbox, boot_info};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::boot_info::{Mount, Range};
use trapgate_abi::file::{FileStatus, FileSystemStatus};
use trapgate_abi::hypercall::files::{
    Access, Entry, Found, Handle, MAX_WALK, WALK_OPENED, handles,
};
use trapgate_abi::hypercall::{FileRequest, Message, Request, Segment, names};
use trapgate_arch::fake::{fill, given_back};
use trapgate_uapi::Errno;
use trapgate_uapi::stat::{S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG};

/// Where the paths of mounts lie.
const PATHS_AT: u64 = 0x9_3000;
/// The handle of a mount's root is its number and this.
const ROOTS: u64 = 100;

/// Said of a mount: it is the file of the program that the VMM has loaded.
pub(super) const PROGRAM: u64 = u64::MAX;

/// How many hosts there were.
static HOSTS: AtomicU64 = AtomicU64::new(0);

/// What a file is.
pub(super) enum What {
    Directory(BTreeMap<String, usize>),
    File(Vec<u8>),
    Link(String),
    Fifo,
}

/// A file.
pub(super) struct HostFile {
    pub(super) what: What,
    /// What it says of itself besides.
    pub(super) status: FileStatus,
}

/// What a handle is.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    file: usize,
    reading: bool,
    writing: bool,
    /// The name by which it was found is not its any more.
    stale: bool,
}

/// The host.
#[derive(Default)]
pub(super) struct Host {
    pub(super) files: Vec<HostFile>,
    /// Handles.
    pub(super) handles: BTreeMap<u64, Held>,
    next: u64,
    /// How many it may have at most.
    pub(super) most: usize,
    /// The most that there were.
    pub(super) peak: usize,
    /// The names of requests.
    pub(super) asked: Vec<&'static str>,
    /// What is answered instead, by the request's name.
    pub(super) fails: BTreeMap<&'static str, Errno>,
    /// At most so many bytes are read at once.
    pub(super) short: Option<usize>,
    /// So many bytes can be written before the disk is full.
    pub(super) room: Option<usize>,
    /// What time it is: later with each change.
    now: u64,
}

impl Host {
    fn add(&mut self, what: What) -> usize {
        let number = self.files.len();
        let (mode, size) = match &what {
            What::Directory(_) => (S_IFDIR | 0o755, 4096),
            What::File(bytes) => (S_IFREG | 0o644, bytes.len()),
            What::Link(target) => (S_IFLNK | 0o777, target.len()),
            What::Fifo => (S_IFIFO | 0o600, 0),
        };
        let status = FileStatus {
            dev: 7,
            ino: 1000 + number as u64,
            mode: mode.into(),
            nlink: 1,
            uid: 5,
            size: size as u64,
            atime: 1,
            mtime: 2,
            ctime: 3,
            ..FileStatus::ZERO
        };
        self.files.push(HostFile { what, status });
        number
    }

    /// Puts a file at a path, with the directories above it, or in the place of another.
    pub(super) fn put(&mut self, path: &str, what: What) -> usize {
        let new = self.add(what);
        let mut at = 0;
        let names: Vec<&str> = path.split('/').collect();
        for (index, name) in names.iter().enumerate() {
            let is_last = index + 1 == names.len();
            let known = match &self.files[at].what {
                What::Directory(entries) => entries.get(*name).copied(),
                _ => panic!("{path}"),
            };
            let next = match known {
                Some(known) if !is_last => known,
                _ if is_last => new,
                _ => self.add(What::Directory(BTreeMap::new())),
            };
            if let What::Directory(entries) = &mut self.files[at].what {
                entries.insert((*name).into(), next);
            }
            at = next;
        }
        new
    }

    /// Takes a name out of a directory of the root.
    pub(super) fn remove(&mut self, directory: &str, name: &str) {
        let What::Directory(names) = &self.files[0].what else { panic!() };
        let directory = names[directory];
        let What::Directory(names) = &mut self.files[directory].what else { panic!() };
        names.remove(name);
    }

    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> usize {
        self.put(path, What::File(bytes.to_vec()))
    }

    fn grant(&mut self, file: usize) -> Result<u64, Errno> {
        if self.handles.len() >= self.most {
            return Err(Errno::ENFILE);
        }
        self.next += 1;
        self.handles.insert(self.next, Held { file, ..Held::default() });
        self.peak = self.peak.max(self.handles.len());
        Ok(self.next)
    }

    /// What is given back.
    fn release(&mut self, handles: impl Iterator<Item = Handle>) {
        for Handle(given) in handles {
            let handle = given & !Handle::NOT_WRITTEN;
            if handle == given {
                assert!(!(ROOTS..=ROOTS + 16).contains(&handle), "a root");
                self.handles.remove(&handle);
            } else if let Some(held) = self.handles.get_mut(&handle) {
                held.writing = false;
            }
        }
    }

    /// How many files are open for writing.
    pub(super) fn written(&self) -> usize {
        self.handles.values().filter(|held| held.writing).count()
    }

    fn of(&self, Handle(handle): Handle) -> Result<usize, Errno> {
        self.handles.get(&handle).map(|held| held.file).ok_or(Errno::EBADF)
    }

    fn read(&self, file: usize, offset: u64, segments: &[Segment]) -> Result<u64, Errno> {
        let What::File(bytes) = &self.files[file].what else { return Err(Errno::EISDIR) };
        let from = bytes.len().min(offset as usize);
        let end = self.short.map_or(bytes.len(), |short| bytes.len().min(from + short));
        Ok(scatter(segments, &bytes[from..end]))
    }

    fn answer(
        &mut self,
        request: FileRequest,
        segments: &[Segment],
        message: &mut Message,
    ) -> Result<u64, Errno> {
        if let Some(&error) = self.fails.get(request.name()) {
            return Err(error);
        }
        match request {
            FileRequest::Walk { directory } => {
                let mut at = self.of(directory)?;
                let mut found = Vec::new();
                for name in names(message).expect("names").iter() {
                    let name = std::str::from_utf8(name).unwrap();
                    let next = match &self.files[at].what {
                        What::Directory(entries) => entries.get(name),
                        _ if found.is_empty() => return Err(Errno::ENOTDIR),
                        _ => break,
                    };
                    match next.copied() {
                        Some(next) if found.len() < MAX_WALK => {
                            at = next;
                            let status = self.files[at].status;
                            let handle = Handle(match self.grant(at) {
                                Err(error) if found.is_empty() => return Err(error),
                                Err(_) => break,
                                Ok(handle) => handle,
                            });
                            found.push(Found { handle, status });
                        }
                        None if found.is_empty() => return Err(Errno::ENOENT),
                        _ => break,
                    }
                }
                if let Some(last) = found.last() {
                    let opened =
                        matches!(self.files[at].what, What::File(_)) && !segments.is_empty();
                    let opened = opened && !self.fails.contains_key("open");
                    message[WALK_OPENED] = match opened {
                        true => {
                            self.handles.get_mut(&last.handle.0).unwrap().reading = true;
                            self.read(at, 0, segments)?
                        }
                        false => u64::MAX,
                    };
                }
                for (index, found) in found.iter().enumerate() {
                    let first = 1 + index * Found::WORDS;
                    message[first..first + Found::WORDS].copy_from_slice(&found.to_words());
                }
                Ok(found.len() as u64)
            }
            FileRequest::List { directory, cookie } => {
                let at = self.of(directory)?;
                let What::Directory(entries) = &self.files[at].what else {
                    return Err(Errno::ENOTDIR);
                };
                let room: u64 = segments.iter().map(|segment| segment.length).sum();
                let (mut bytes, mut end) = (vec![0; room as usize], 0);
                // Numbers that do not fit in 32 bits.
                let first = (cookie >> 33) as usize;
                for (index, (name, &file)) in entries.iter().enumerate().skip(first) {
                    let number = self.files[file].status.ino;
                    let next = (index as u64 + 1) << 33;
                    let kind = (self.files[file].status.mode >> 12) as u8;
                    let entry = Entry { number, next, kind, name: name.as_bytes() };
                    match entry.write(&mut bytes[end..]) {
                        Some(size) => end += size,
                        None => break,
                    }
                }
                Ok(scatter(segments, &bytes[..end]))
            }
            FileRequest::ReadLink { link } => match &self.files[self.of(link)?].what {
                What::Link(target) => Ok(scatter(segments, target.as_bytes())),
                _ => Err(Errno::EINVAL),
            },
            FileRequest::Open { file, access } => {
                let at = self.of(file)?;
                let got = self.read(at, 0, segments)?;
                let held = self.handles.get_mut(&file.0).unwrap();
                if held.stale && !held.reading && !held.writing {
                    return Err(Errno::ESTALE);
                }
                held.reading |= access != Access::Write;
                held.writing |= access != Access::Read;
                message[1..=FileStatus::WORDS].copy_from_slice(&self.files[at].status.to_words());
                Ok(got)
            }
            FileRequest::Get { file, offset } => {
                let at = self.of(file)?;
                if !self.handles[&file.0].reading {
                    return Err(Errno::EBADF);
                }
                self.read(at, offset, segments)
            }
            FileRequest::Look { file } => {
                let status = self.files[self.of(file)?].status;
                message[1..=FileStatus::WORDS].copy_from_slice(&status.to_words());
                Ok(0)
            }
            FileRequest::Release { keep: false } => {
                self.release(handles(message).unwrap());
                Ok(0)
            }
            FileRequest::Find { file, offset, hole } => {
                let held = self.handles.get(&file.0).ok_or(Errno::EBADF)?;
                let What::File(bytes) = &self.files[held.file].what else { panic!() };
                assert!(held.reading || held.writing);
                // Blocks of zeroes are holes.
                let is_hole = |at: &u64| {
                    let block = *at as usize / 4096 * 4096;
                    bytes[block..bytes.len().min(block + 4096)].iter().all(|&byte| byte == 0)
                };
                let end = bytes.len() as u64;
                let found = (offset..end).find(|at| is_hole(at) == hole);
                found.or((hole && offset < end).then_some(end)).ok_or(Errno::ENXIO)
            }
            FileRequest::FileSystem { file } => {
                self.of(file)?;
                let status =
                    FileSystemStatus { kind: 0xef53, blocks: 77, ..FileSystemStatus::ZERO };
                message[1..=FileSystemStatus::WORDS].copy_from_slice(&status.to_words());
                Ok(0)
            }
            request => self.change(request, segments, message),
        }
    }

    /// The bytes of a file at the root.
    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        let What::Directory(names) = &self.files[0].what else { panic!() };
        let What::File(bytes) = &self.files[names[name]].what else { panic!("{name}") };
        bytes.clone()
    }

    /// The requests since the last time.
    pub(super) fn asked(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked)
    }
}

/// Writes bytes over segments: how many.
fn scatter(segments: &[Segment], bytes: &[u8]) -> u64 {
    let mut done = 0;
    for segment in segments {
        done += fill(segment, &bytes[done..]) as usize;
    }
    done as u64
}

/// A sandbox with mounts, each with its access and the file of the host's that it is, and
/// the host.
pub(super) fn sandbox(
    mounts: &[(&str, u64, &str)],
    build: impl FnOnce(&mut Host),
) -> (Sandbox, Rc<RefCell<Host>>) {
    sandbox_with(8 << 20, mounts, build)
}

/// The same with so much memory.
pub(super) fn sandbox_with(
    ram_size: u64,
    mounts: &[(&str, u64, &str)],
    build: impl FnOnce(&mut Host),
) -> (Sandbox, Rc<RefCell<Host>>) {
    // Tests that run at once give back each other's handles, so none has another's.
    let next = 1000 + (HOSTS.fetch_add(1, Ordering::Relaxed) << 32);
    let mut host = Host { most: 4000, next, now: 100, ..Host::default() };
    host.add(What::Directory(BTreeMap::new()));
    build(&mut host);
    let mut boot = boot_info();
    boot.ram_size = ram_size;
    boot.free[0].end = ram_size;
    let mut at = PATHS_AT;
    for (index, (path, access, what)) in mounts.iter().enumerate() {
        let handle = ROOTS + index as u64;
        let path = Range { start: at, end: at + path.len() as u64 };
        let mount = Mount { handle, access: *access, path };
        match *access {
            PROGRAM => boot.program = mount,
            _ => {
                boot.mounts[boot.mount_count as usize] = mount;
                boot.mount_count += 1;
            }
        }
        at = path.end;
        let mut file = 0;
        for name in what.split('/').filter(|name| !name.is_empty()) {
            let What::Directory(entries) = &host.files[file].what else { panic!("{what}") };
            file = entries[name];
        }
        host.handles.insert(handle, Held { file, ..Held::default() });
        if *access == PROGRAM {
            boot.program_status = host.files[file].status;
        }
    }
    let sandbox = Sandbox::boot(boot);
    let mut at = PATHS_AT;
    for (path, ..) in mounts {
        fill(&Segment { address: at, length: path.len() as u64 }, path.as_bytes());
        at += path.len() as u64;
    }
    let host = Rc::new(RefCell::new(host));
    let vmm = host.clone();
    sandbox.machine.set_vmm(move |request, segments, message| {
        vmm.borrow_mut().release(given_back().into_iter().map(Handle));
        match request {
            Request::File(request) => {
                let mut host = vmm.borrow_mut();
                host.asked.push(request.name());
                host.answer(request, segments, message)
            }
            Request::Discard => Ok(0),
            _ => Err(Errno::ENOSYS),
        }
    });
    (sandbox, host)
}
